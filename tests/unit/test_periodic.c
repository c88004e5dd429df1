/*
 * Periodic calls, on a clock that the test owns: when they come, what becomes of those that
 * were overrun, and that nothing ends a schedule but who may end it.
 */
#include "tests/lib/test.h"

#include "tests/lib/fake.h"

#include <prefork/periodic.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define S PF_SECOND

static struct pf_fake_clock fake_clock;
static struct pf_fake_poller fake_poller;

static struct {
    int count;
    struct pf_loop_error last;
} reported;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)arg;
    reported.count++;
    reported.last = *error;
}

static pf_loop *make_at(int64_t now_ns)
{
    pf_loop *loop;
    fake_clock = (struct pf_fake_clock){.now = now_ns};
    fake_poller = (struct pf_fake_poller){.clock = &fake_clock};
    memset(&reported, 0, sizeof reported);
    struct pf_loop_options options = pf_fake_options(&fake_poller);
    options.on_error = on_error;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static uint64_t timers_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats.timers_live;
}

/* ---- what is called -------------------------------------------------------------- */

enum {
    CALLS = 32
};

struct called;
typedef void act_fn(pf_loop *loop, struct called *called);

struct called {
    pf_periodic *periodic;
    int64_t at_s[CALLS]; /* when, in seconds */
    int count;
    const int *takes_s; /* how long each call takes */
    int takes;
    act_fn *act;
    int result;
    bool was_running; /* is_running() inside */
};

static int on_tick(pf_loop *loop, void *arg)
{
    struct called *called = arg;
    if (called->count < CALLS)
        called->at_s[called->count] = fake_clock.now / S;
    if (called->count < called->takes)
        fake_clock.now += called->takes_s[called->count] * S;
    called->count++;
    called->was_running = called->periodic && pf_periodic_is_running(called->periodic);
    if (called->act)
        called->act(loop, called);
    return called->result;
}

static void make_periodic(pf_loop *loop, int64_t period_ns, struct called *called)
{
    assert_int_equal(pf_periodic_new(loop, period_ns, on_tick, called, &called->periodic),
                     0);
}

static void start(struct called *called)
{
    assert_int_equal(pf_periodic_start(called->periodic), 0);
}

/* Until so many calls came; each turn's sleep moves the clock. */
static void run_until(pf_loop *loop, const struct called *called, int count)
{
    for (int turns = 0; called->count < count; turns++) {
        assert_true(turns < 100000);
        int ran = pf_loop_turn(loop, -1); /* -EDEADLK: that was the last timer */
        assert_true(ran >= 0 || called->count == count);
    }
}

static void assert_called_at(const struct called *called, const int *expected, int count)
{
    assert_int_equal(called->count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(called->at_s[i], expected[i]);
}

/* No call comes until then. */
static void assert_quiet(pf_loop *loop, const struct called *called, int64_t for_ns)
{
    int count = called->count;
    fake_clock.now += for_ns;
    assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_int_equal(called->count, count);
}

/* ---- the grid -------------------------------------------------------------------- */

static void calls_come_once_a_period_the_first_after_one(void **state)
{
    (void)state;
    static const int expected[] = {1010, 1020, 1030, 1040, 1050};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {0};
    make_periodic(loop, 10 * S, &called);
    assert_false(pf_periodic_is_running(called.periodic));
    assert_quiet(loop, &called, 0);
    start(&called);
    assert_true(pf_periodic_is_running(called.periodic));
    run_until(loop, &called, 5);
    assert_called_at(&called, expected, 5);
    assert_true(called.was_running);
    pf_periodic_free(called.periodic);
    assert_int_equal(timers_of(loop), 0);
    drop(loop);
}

static void calls_that_are_overrun_are_lost_and_the_grid_stays(void **state)
{
    (void)state;
    static const int takes[] = {9, 9, 10, 11, 20, 20, 35, 35, 0, 0};
    static const int expected[] = {1010, 1020, 1030, 1050, 1070, 1100,
                                   1130, 1170, 1210, 1220, 1230};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {.takes_s = takes, .takes = 10};
    make_periodic(loop, 10 * S, &called);
    start(&called);
    run_until(loop, &called, 11);
    assert_called_at(&called, expected, 11);
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void a_loop_that_did_not_turn_for_long_makes_one_call_and_keeps_the_grid(
    void **state)
{
    (void)state;
    static const int expected[] = {1057, 1060, 1070};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {0};
    make_periodic(loop, 10 * S, &called);
    start(&called);
    fake_clock.now = 1057 * S;
    run_until(loop, &called, 3);
    assert_called_at(&called, expected, 3);
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void act_step_back_once(pf_loop *loop, struct called *called)
{
    (void)loop;
    if (called->count == 1)
        fake_clock.now = 900 * S;
}

static void after_the_clock_went_back_the_next_call_is_one_period_after_the_last(
    void **state)
{
    (void)state;
    static const int expected[] = {1010, 1020, 1030};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {.act = act_step_back_once};
    make_periodic(loop, 10 * S, &called);
    start(&called);
    run_until(loop, &called, 3);
    assert_called_at(&called, expected, 3);
    fake_clock.now = 500 * S; /* between calls, too */
    assert_quiet(loop, &called, 10 * S);
    run_until(loop, &called, 4);
    assert_int_equal(called.at_s[3], 1040);
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void a_clock_that_stands_still_makes_no_calls(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called called = {0};
    make_periodic(loop, 1, &called);
    start(&called);
    assert_quiet(loop, &called, 0);
    fake_clock.now++;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_quiet(loop, &called, 0);
    pf_periodic_free(called.periodic);
    drop(loop);
}

/* ---- starting and stopping ------------------------------------------------------- */

static void starting_twice_starts_over(void **state)
{
    (void)state;
    static const int expected[] = {1017, 1027, 1037};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {0};
    make_periodic(loop, 10 * S, &called);
    start(&called);
    fake_clock.now = 1007 * S;
    start(&called);
    assert_int_equal(timers_of(loop), 1); /* and not twice as often */
    run_until(loop, &called, 3);
    assert_called_at(&called, expected, 3);
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void after_a_stop_no_call_comes_until_the_next_start(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called called = {0};
    make_periodic(loop, 10 * S, &called);
    assert_int_equal(pf_periodic_stop(called.periodic), 0); /* was not running: fine */
    start(&called);
    fake_clock.now = 1050 * S; /* one is due by now */
    assert_int_equal(pf_periodic_stop(called.periodic), 0);
    assert_false(pf_periodic_is_running(called.periodic));
    assert_quiet(loop, &called, 100 * S);
    assert_int_equal(timers_of(loop), 0);
    assert_int_equal(pf_periodic_stop(called.periodic), 0);
    start(&called);
    run_until(loop, &called, 1);
    assert_int_equal(called.at_s[0], 1160);
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void act_stop(pf_loop *loop, struct called *called)
{
    (void)loop;
    assert_int_equal(pf_periodic_stop(called->periodic), 0);
    assert_false(pf_periodic_is_running(called->periodic));
}

static void act_restart(pf_loop *loop, struct called *called)
{
    (void)loop;
    if (called->count == 1)
        fake_clock.now += 3 * S;
    start(called);
}

static void act_stop_and_start(pf_loop *loop, struct called *called)
{
    act_stop(loop, called);
    start(called);
}

static void act_free(pf_loop *loop, struct called *called)
{
    (void)loop;
    pf_periodic_free(called->periodic);
    called->periodic = NULL;
}

static void act_stop_start_and_free(pf_loop *loop, struct called *called)
{
    act_stop_and_start(loop, called);
    act_free(loop, called);
}

static void it_may_be_stopped_restarted_and_freed_inside_its_call(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called stopped = {.act = act_stop}, restarted = {.act = act_restart};
    struct called again = {.act = act_stop_and_start}, freed = {.act = act_free};
    struct called all = {.act = act_stop_start_and_free};

    make_periodic(loop, 10 * S, &stopped);
    start(&stopped);
    run_until(loop, &stopped, 1);
    assert_quiet(loop, &stopped, 100 * S);
    pf_periodic_free(stopped.periodic);

    static const int expected[] = {1120, 1133, 1143};
    make_periodic(loop, 10 * S, &restarted);
    start(&restarted);
    run_until(loop, &restarted, 3);
    assert_called_at(&restarted, expected, 3);
    pf_periodic_free(restarted.periodic);

    make_periodic(loop, 10 * S, &again);
    start(&again);
    run_until(loop, &again, 2);
    assert_int_equal(again.at_s[1] - again.at_s[0], 10);
    assert_int_equal(timers_of(loop), 1);
    pf_periodic_free(again.periodic);

    make_periodic(loop, 10 * S, &freed);
    start(&freed);
    run_until(loop, &freed, 1);
    assert_quiet(loop, &freed, 100 * S);

    make_periodic(loop, 10 * S, &all);
    start(&all);
    run_until(loop, &all, 1);
    assert_quiet(loop, &all, 100 * S);
    assert_int_equal(timers_of(loop), 0);
    drop(loop);
}

static void one_that_is_done_stops_and_can_be_started_again(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called called = {.result = PF_DONE};
    make_periodic(loop, 10 * S, &called);
    start(&called);
    run_until(loop, &called, 1);
    assert_false(pf_periodic_is_running(called.periodic));
    assert_quiet(loop, &called, 100 * S);
    assert_int_equal(timers_of(loop), 0);
    assert_int_equal(reported.count, 0);
    start(&called);
    run_until(loop, &called, 2);
    assert_false(pf_periodic_is_running(called.periodic));
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void done_is_about_the_schedule_that_ran(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called called = {.result = PF_DONE, .act = act_stop_and_start};
    make_periodic(loop, 10 * S, &called);
    start(&called);
    run_until(loop, &called, 1);
    assert_true(pf_periodic_is_running(called.periodic)); /* started anew since */
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void errors_are_reported_and_the_schedule_goes_on(void **state)
{
    (void)state;
    static const int expected[] = {1010, 1020, 1030};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {.result = -EIO};
    assert_int_equal(
        pf_periodic_new_at(loop, 10 * S, on_tick, &called, "here.c:1", &called.periodic),
        0);
    start(&called);
    run_until(loop, &called, 1);
    assert_int_equal(reported.count, 1);
    assert_int_equal(reported.last.error, -EIO);
    assert_int_equal(reported.last.fd, -1);
    assert_string_equal(reported.last.where, "here.c:1");
    called.result = -EPIPE;
    run_until(loop, &called, 2);
    assert_int_equal(reported.count, 2);
    called.result = 7; /* no meaning */
    run_until(loop, &called, 3);
    assert_int_equal(reported.count, 2);
    assert_called_at(&called, expected, 3);
    called.result = -EIO;
    called.act = act_free; /* an error of one that is gone */
    run_until(loop, &called, 4);
    assert_int_equal(reported.count, 3);
    drop(loop);
}

/* ---- jitter ---------------------------------------------------------------------- */

static int64_t last_tick, sum, least, most;

static int on_jittered(pf_loop *loop, void *arg)
{
    int *count = arg;
    int64_t gap = fake_clock.now - last_tick;
    (void)loop;
    last_tick = fake_clock.now;
    sum += gap;
    least = gap < least ? gap : least;
    most = gap > most ? gap : most;
    ++*count;
    return 0;
}

static void jitter_stays_in_its_bounds_and_around_the_period(void **state)
{
    (void)state;
    static const double fractions[] = {0, 0.1, 0.5, 1};
    enum {
        TICKS = 10000
    };
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        pf_loop *loop = make_at(1000 * S);
        pf_periodic *periodic;
        int count = 0;
        double half = fractions[i] / 2;
        assert_int_equal(pf_periodic_new(loop, S, on_jittered, &count, &periodic), 0);
        assert_int_equal(pf_periodic_set_jitter(periodic, fractions[i]), 0);
        last_tick = fake_clock.now;
        sum = most = 0;
        least = INT64_MAX;
        assert_int_equal(pf_periodic_start(periodic), 0);
        while (count < TICKS)
            assert_true(pf_loop_turn(loop, -1) >= 0);
        assert_true(least >= (int64_t)((1 - half) * 1e9) - 1);
        assert_true(most <= (int64_t)((1 + half) * 1e9) + 1);
        /* Uniform: the mean of 10000 is off by more than half / 20 once in 10^16 tries. */
        double mean = (double)sum / TICKS / 1e9;
        assert_true(mean >= 1 - half / 20 && mean <= 1 + half / 20);
        if (fractions[i] > 0) /* and it does vary */
            assert_true(most - least > (int64_t)(half * 1e9));
        pf_periodic_free(periodic);
        drop(loop);
    }
}

static void jitter_never_ends_a_schedule(void **state)
{
    (void)state;
    static const int takes[CALLS] = {0, 30, 0, 1, 2, 3, 0, 100, 10, 10, 10, 11, 9};
    pf_loop *loop = make_at(1000 * S);
    struct called called = {.takes_s = takes, .takes = CALLS};
    make_periodic(loop, 10 * S, &called);
    assert_int_equal(pf_periodic_set_jitter(called.periodic, 1), 0);
    start(&called);
    for (int i = 1; i <= CALLS; i++) {
        run_until(loop, &called, i);
        int64_t next;
        assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
        assert_true(next >= fake_clock.now && next <= fake_clock.now + 15 * S);
        if (i % 5 == 0)
            fake_clock.now -= 3 * S;
    }
    pf_periodic_free(called.periodic);
    drop(loop);
}

static void jitter_of_a_period_of_one_nanosecond_still_moves_on(void **state)
{
    (void)state;
    pf_loop *loop = make_at(0);
    int count = 0;
    pf_periodic *periodic;
    assert_int_equal(pf_periodic_new(loop, 1, on_jittered, &count, &periodic), 0);
    assert_int_equal(pf_periodic_set_jitter(periodic, 1), 0);
    assert_int_equal(pf_periodic_start(periodic), 0);
    last_tick = 0;
    least = INT64_MAX;
    while (count < 1000)
        assert_true(pf_loop_turn(loop, -1) >= 0);
    assert_true(least >= 1);
    pf_periodic_free(periodic);
    drop(loop);
}

static void a_bad_jitter_is_refused(void **state)
{
    (void)state;
    pf_loop *loop = make_at(0);
    struct called called = {0};
    volatile double zero = 0;
    make_periodic(loop, S, &called);
    assert_int_equal(pf_periodic_set_jitter(called.periodic, -0.01), -EINVAL);
    assert_int_equal(pf_periodic_set_jitter(called.periodic, 1.01), -EINVAL);
    assert_int_equal(pf_periodic_set_jitter(called.periodic, zero / zero), -EINVAL);
    assert_int_equal(pf_periodic_set_jitter(called.periodic, 1 / zero), -EINVAL);
    assert_int_equal(pf_periodic_set_jitter(NULL, 0.5), -EINVAL);
    start(&called);
    run_until(loop, &called, 3);
    assert_int_equal(called.at_s[2], 3); /* it has none */
    pf_periodic_free(called.periodic);
    drop(loop);
}

/* ---- the ends of the range ------------------------------------------------------- */

static void bad_periodics_are_refused_and_out_is_untouched(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    pf_periodic *out = (pf_periodic *)&fake_clock;
    static const int64_t periods[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++)
        assert_int_equal(pf_periodic_new(loop, periods[i], on_tick, NULL, &out), -EINVAL);
    assert_int_equal(pf_periodic_new(loop, S, NULL, NULL, &out), -EINVAL);
    assert_int_equal(pf_periodic_new(loop, S, on_tick, NULL, NULL), -EINVAL);
    assert_int_equal(pf_periodic_new(NULL, S, on_tick, NULL, &out), -EINVAL);
    assert_int_equal((pf_periodic_new)(loop, 0, on_tick, NULL, &out), -EINVAL);
    assert_ptr_equal(out, &fake_clock);
    assert_int_equal(pf_periodic_start(NULL), -EINVAL);
    assert_int_equal(pf_periodic_stop(NULL), -EINVAL);
    assert_false(pf_periodic_is_running(NULL));
    pf_periodic_free(NULL);
    drop(loop);
}

static void a_start_beyond_the_end_of_time_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    pf_loop *loop = make_at(INT64_MAX - 15 * S);
    struct called called = {0}, huge = {0};
    make_periodic(loop, 10 * S, &called);
    make_periodic(loop, INT64_MAX, &huge);
    assert_int_equal(pf_periodic_start(huge.periodic), -EOVERFLOW);
    assert_false(pf_periodic_is_running(huge.periodic));
    start(&called);
    fake_clock.now += 6 * S;
    assert_int_equal(pf_periodic_start(called.periodic), -EOVERFLOW);
    assert_true(pf_periodic_is_running(called.periodic)); /* as it was */
    run_until(loop, &called, 1);
    assert_true(fake_clock.now == INT64_MAX - 5 * S);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* the next one would be beyond: never */
    fake_clock.now = INT64_MAX;
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(called.count, 1);
    pf_periodic_free(called.periodic);
    pf_periodic_free(huge.periodic);
    drop(loop);
}

static void a_clock_may_cross_the_whole_range(void **state)
{
    (void)state;
    pf_loop *loop = make_at(INT64_MIN);
    struct called tiny = {0}, large = {0};
    make_periodic(loop, 1, &tiny);
    make_periodic(loop, INT64_MAX, &large);
    start(&tiny);
    start(&large);
    fake_clock.now++;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(tiny.count, 1);
    fake_clock.now = INT64_MAX - 2; /* as far as it gets */
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_int_equal(tiny.count, 2);
    assert_int_equal(large.count, 1);
    fake_clock.now++;
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_int_equal(tiny.count, 3);
    assert_int_equal(large.count, 2);
    fake_clock.now++; /* beyond the grids of both */
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    pf_periodic_free(tiny.periodic);
    pf_periodic_free(large.periodic);
    drop(loop);
}

static void jitter_of_a_huge_period_stays_in_its_bounds(void **state)
{
    (void)state;
    pf_loop *loop = make_at(0);
    struct called called = {0};
    make_periodic(loop, INT64_MAX / 4 * 3, &called);
    assert_int_equal(pf_periodic_set_jitter(called.periodic, 0.25), 0);
    for (int i = 0; i < 100; i++) {
        int64_t next;
        assert_int_equal(pf_periodic_start(called.periodic), 0);
        assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
        assert_true(next >= INT64_MAX / 4 * 3 / 8 * 7 - 4096);
    }
    pf_periodic_free(called.periodic);
    drop(loop);
}

/* ---- whose it is ----------------------------------------------------------------- */

static void *call_from_outside(void *arg)
{
    struct called *called = arg;
    pf_periodic *other = NULL;
    pf_loop *loop = pf_loop_instance();
    intptr_t wrong = pf_periodic_new(loop, S, on_tick, NULL, &other) != -EPERM;
    wrong += pf_periodic_start(called->periodic) != -EPERM;
    wrong += pf_periodic_stop(called->periodic) != -EPERM;
    wrong += pf_periodic_set_jitter(called->periodic, 0.5) != -EPERM;
    pf_periodic_free(called->periodic); /* nothing happens */
    return (void *)(wrong + (other != NULL));
}

static void it_is_used_on_its_loops_thread_only(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called called = {0};
    pthread_t thread;
    void *wrong;
    assert_int_equal(pf_loop_install(loop), 0);
    make_periodic(loop, 10 * S, &called);
    start(&called);
    assert_int_equal(pthread_create(&thread, NULL, call_from_outside, &called), 0);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    run_until(loop, &called, 2);
    assert_int_equal(called.at_s[1], 1020);
    pf_periodic_free(called.periodic);
    pf_loop_clear_instance();
    drop(loop);
}

static void it_may_outlive_its_loop(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called first = {0}, second = {0}, never_started = {0};
    make_periodic(loop, 10 * S, &first);
    make_periodic(loop, 10 * S, &never_started);
    make_periodic(loop, 10 * S, &second);
    start(&first);
    start(&second);
    pf_periodic_free(second.periodic); /* from the middle of what hangs on the loop */
    drop(loop);
    assert_false(pf_periodic_is_running(first.periodic));
    assert_int_equal(pf_periodic_start(first.periodic), -ESTALE);
    assert_int_equal(pf_periodic_stop(first.periodic), -ESTALE);
    assert_int_equal(pf_periodic_set_jitter(first.periodic, 0.5), -ESTALE);
    assert_int_equal(pf_periodic_start(never_started.periodic), -ESTALE);
    pf_periodic_free(first.periodic);
    pf_periodic_free(never_started.periodic);

    pf_periodic *out = NULL;
    loop = make_at(0);
    pf_loop_ref(loop);
    drop(loop);
    assert_int_equal(pf_periodic_new(loop, S, on_tick, NULL, &out), -ESTALE);
    assert_null(out);
    pf_loop_unref(loop);
}

static pf_loop *shared_loop;

static void free_around_the_discard(void *arg)
{
    struct called *called = arg;
    pf_periodic *out = NULL;
    assert_int_equal(pf_periodic_new(shared_loop, S, on_tick, NULL, &out), -ECHILD);
    assert_null(out);
    assert_int_equal(pf_periodic_start(called[0].periodic), -ECHILD);
    assert_int_equal(pf_periodic_stop(called[0].periodic), -ECHILD);
    assert_int_equal(pf_periodic_set_jitter(called[0].periodic, 0.5), -ECHILD);
    assert_false(pf_periodic_is_running(called[0].periodic));
    pf_periodic_free(called[0].periodic); /* before the loop is discarded ... */
    assert_int_equal(pf_loop_discard(shared_loop), 0);
    assert_int_equal(pf_periodic_start(called[1].periodic), -ECHILD);
    pf_periodic_free(called[1].periodic); /* ... and after it */
}

static void a_child_can_only_free_it_and_the_parent_goes_on(void **state)
{
    (void)state;
    pf_loop *loop = make_at(1000 * S);
    struct called called[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        make_periodic(loop, 10 * S, &called[i]);
        start(&called[i]);
    }
    shared_loop = loop;
    pf_test_in_child(free_around_the_discard, called);
    pf_test_in_raw_clone(free_around_the_discard, called);
    run_until(loop, &called[0], 2);
    run_until(loop, &called[1], 2);
    assert_int_equal(called[0].at_s[1], 1020);
    for (int i = 0; i < 2; i++)
        pf_periodic_free(called[i].periodic);
    drop(loop);
}

static pid_t child;
static bool free_before, discard_inside;

static void act_fork(pf_loop *loop, struct called *called)
{
    fflush(NULL);
    child = fork();
    if (child != 0)
        return;
    if (free_before)
        act_free(loop, called);
    if (discard_inside && pf_loop_discard(loop) != 0)
        _exit(1);
}

static void a_child_made_inside_its_call_may_free_it_there(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        free_before = round & 1;
        discard_inside = round & 2;
        pf_loop *loop = make_at(1000 * S);
        struct called called = {.act = act_fork};
        pid_t parent = getpid();
        int status;
        make_periodic(loop, 10 * S, &called);
        start(&called);
        fake_clock.now = 1010 * S;
        int ran = pf_loop_turn(loop, 0);
        if (getpid() != parent) {
            if (!discard_inside && pf_loop_discard(loop) != 0)
                _exit(2);
            pf_periodic_free(called.periodic); /* NULL if it was freed inside */
            _exit(ran == -ECHILD ? 0 : 3);
        }
        assert_int_equal(ran, 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        called.act = NULL;
        run_until(loop, &called, 2);
        assert_int_equal(called.at_s[1], 1020);
        pf_periodic_free(called.periodic);
        drop(loop);
    }
}

/* ---- many ------------------------------------------------------------------------ */

static void many_come_in_the_order_of_their_starts(void **state)
{
    (void)state;
    enum {
        MANY = 100
    };
    static struct called called[MANY];
    pf_loop *loop = make_at(0);
    for (int i = 0; i < MANY; i++) {
        called[i] = (struct called){0};
        make_periodic(loop, (i % 10 + 1) * S, &called[i]);
        start(&called[i]);
    }
    while (fake_clock.now < 2520 * S) /* a multiple of all periods */
        assert_true(pf_loop_turn(loop, -1) >= 0);
    assert_true(pf_loop_turn(loop, 0) >= 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(called[i].count, 2520 / (i % 10 + 1));
        pf_periodic_free(called[i].periodic);
    }
    assert_int_equal(timers_of(loop), 0);
    drop(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(calls_come_once_a_period_the_first_after_one),
        pf_test(calls_that_are_overrun_are_lost_and_the_grid_stays),
        pf_test(a_loop_that_did_not_turn_for_long_makes_one_call_and_keeps_the_grid),
        pf_test(after_the_clock_went_back_the_next_call_is_one_period_after_the_last),
        pf_test(a_clock_that_stands_still_makes_no_calls),
        pf_test(starting_twice_starts_over),
        pf_test(after_a_stop_no_call_comes_until_the_next_start),
        pf_test(it_may_be_stopped_restarted_and_freed_inside_its_call),
        pf_test(one_that_is_done_stops_and_can_be_started_again),
        pf_test(done_is_about_the_schedule_that_ran),
        pf_test(errors_are_reported_and_the_schedule_goes_on),
        pf_test(jitter_stays_in_its_bounds_and_around_the_period),
        pf_test(jitter_never_ends_a_schedule),
        pf_test(jitter_of_a_period_of_one_nanosecond_still_moves_on),
        pf_test(a_bad_jitter_is_refused),
        pf_test(bad_periodics_are_refused_and_out_is_untouched),
        pf_test(a_start_beyond_the_end_of_time_is_refused_and_changes_nothing),
        pf_test(a_clock_may_cross_the_whole_range),
        pf_test(jitter_of_a_huge_period_stays_in_its_bounds),
        pf_test(it_is_used_on_its_loops_thread_only),
        pf_test(it_may_outlive_its_loop),
        pf_test(a_child_can_only_free_it_and_the_parent_goes_on),
        pf_test(a_child_made_inside_its_call_may_free_it_there),
        pf_test(many_come_in_the_order_of_their_starts),
    };
    return cmocka_run_group_tests_name("periodic", tests, NULL, NULL);
}
