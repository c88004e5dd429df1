/*
 * The loop in one thread and one process, sentence by sentence of prefork/loop.h: the order
 * of an iteration, when it stops, what callbacks may do and what becomes of their errors,
 * and every path on which a registration ends. Time and readiness are the test's own,
 * except where the kernel's behaviour is the point.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"
#include "tests/lib/fake.h"

#include <prefork/log.h>
#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what happened, in order ----------------------------------------------------- */

static char trace[512];

static void note(const char *word)
{
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "%s%s", used ? " " : "", word);
}

static void assert_happened(const char *expected)
{
    assert_string_equal(trace, expected);
    trace[0] = 0;
}

/* The arg of the handlers and callbacks here: they note the word, do what is to be done,
 * and return the result. */
struct deed;
typedef void act_fn(pf_loop *loop, struct deed *deed);

struct deed {
    const char *word;
    act_fn *act;
    int result;
    int calls;
    int destroyed;
    unsigned events; /* handed to the handler */
    int fd;          /* what `act` works with, from here on */
    struct deed *other;
    pf_timer timer;
    int64_t ns;
    int answer;
};

static struct deed says(const char *word)
{
    return (struct deed){.word = word};
}

static struct deed returns(const char *word, int result)
{
    return (struct deed){.word = word, .result = result};
}

static struct deed does(const char *word, act_fn *act)
{
    return (struct deed){.word = word, .act = act};
}

static struct deed does_to(const char *word, act_fn *act, struct deed *other)
{
    return (struct deed){.word = word, .act = act, .other = other};
}

static int do_callback(pf_loop *loop, void *arg)
{
    struct deed *deed = arg;
    deed->calls++;
    if (deed->word)
        note(deed->word);
    if (deed->act)
        deed->act(loop, deed);
    return deed->result;
}

static int do_handler(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)fd;
    deed->events = events;
    return do_callback(loop, deed);
}

static void add(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_add_callback(loop, do_callback, deed), 0);
}

static void at(pf_loop *loop, int64_t when, struct deed *deed)
{
    assert_int_equal(pf_loop_call_at(loop, when, do_callback, deed, &deed->timer), 0);
}

static void watch(pf_loop *loop, int fd, unsigned events, struct deed *deed)
{
    assert_int_equal(pf_loop_add_handler(loop, fd, events, do_handler, deed), 0);
}

static void act_stop(pf_loop *loop, struct deed *deed)
{
    (void)deed;
    assert_int_equal(pf_loop_stop(loop), 0);
}

static void act_add_other(pf_loop *loop, struct deed *deed)
{
    add(loop, deed->other);
}

static void act_add_self(pf_loop *loop, struct deed *deed)
{
    add(loop, deed);
}

static void act_rearm_self(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_call_later(loop, 0, do_callback, deed, NULL), 0);
}

static void act_remove_fd(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_remove_handler(loop, deed->fd), 0);
}

static void act_remove_other_timer(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_remove_timeout(loop, deed->other->timer), 0);
}

/* ---- a loop with a fake clock and a fake poller ---------------------------------- */

static struct pf_fake_clock fake_clock;
static struct pf_fake_poller fake_poller;
static int fd_a, fd_b,
    fd_c; /* descriptors that exist; the fake poller says what they are */

static struct {
    int count;
    struct pf_loop_error last;
} reported;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop;
    assert_ptr_equal(arg, &reported);
    reported.count++;
    reported.last = *error;
}

static struct pf_loop_options fake_options(void)
{
    fake_clock = (struct pf_fake_clock){.now = 1000};
    fake_poller = (struct pf_fake_poller){.clock = &fake_clock};
    memset(&reported, 0, sizeof reported);
    trace[0] = 0;
    struct pf_loop_options options = pf_fake_options(&fake_poller);
    options.on_error = on_error;
    options.on_error_arg = &reported;
    return options;
}

static int open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static pf_loop *make_with(const struct pf_loop_options *options)
{
    pf_loop *loop;
    assert_int_equal(pf_loop_new(options, &loop), 0);
    fd_a = open_null();
    fd_b = open_null();
    fd_c = open_null();
    return loop;
}

static pf_loop *make_fake(void)
{
    struct pf_loop_options options = fake_options();
    return make_with(&options);
}

static pf_loop *make_fake_with_policy(enum pf_error_policy policy)
{
    struct pf_loop_options options = fake_options();
    options.error_policy = policy;
    return make_with(&options);
}

/* One that asks the kernel. */
static pf_loop *make_real(void)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    (void)fake_options();
    options.on_error = on_error;
    options.on_error_arg = &reported;
    return make_with(&options);
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    close(fd_a);
    close(fd_b);
    close(fd_c);
}

static void ready(int fd, unsigned events)
{
    pf_fake_poller_ready(&fake_poller, fd, events);
}

static struct pf_loop_stats stats_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats;
}

static int64_t deadline_of(pf_loop *loop)
{
    int64_t ns = -1;
    assert_int_equal(pf_loop_next_deadline(loop, &ns), 0);
    return ns;
}

/* Readable from the start. */
static void make_readable_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
}

static void close_pipe(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* ---- one iteration --------------------------------------------------------------- */

static void callbacks_run_first_then_timers_then_handlers(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed handler = says("handler"), late = says("late"), early = says("early");
    struct deed first = says("first"), second = says("second");
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    at(loop, 200, &late);
    at(loop, 100, &early);
    add(loop, &first);
    add(loop, &second);
    assert_int_equal(pf_loop_turn(loop, 0), 5);
    assert_happened("first second early late handler");
    drop(loop);
}

static void what_a_callback_adds_runs_after_the_next_poll(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed added = says("added"), adder = does_to("adder", act_add_other, &added);
    struct deed timer = says("timer"), timer_adder = does("arm", act_rearm_self);
    struct deed handler = says("handler");
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    add(loop, &adder);
    add(loop, &timer_adder); /* adds one that is overdue at once: itself */
    at(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, -1), 4);
    assert_happened("adder arm timer handler");
    assert_int_equal(fake_poller.last_limit_ns, 0); /* a callback waits: no sleep */
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    assert_happened("added arm handler");
    drop(loop);
}

static void what_a_timer_adds_waits_for_the_next_iteration(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed rearmed = does("timer", act_rearm_self);
    struct deed added = says("added"), adder = does_to("adder", act_add_other, &added);
    at(loop, 0, &rearmed);
    at(loop, 1, &adder);
    assert_int_equal(pf_loop_turn(loop, -1), 2);
    assert_happened("timer adder");
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_happened("added timer");
    drop(loop);
}

static void act_advance_clock(pf_loop *loop, struct deed *deed)
{
    (void)loop;
    fake_clock.now += deed->ns;
}

static void due_timers_are_chosen_before_any_callback_runs(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed slow = {.word = "slow", .act = act_advance_clock, .ns = 500},
                timer = says("timer");
    add(loop, &slow);
    at(loop, 1400, &timer); /* not due at 1000, due when the callback has run */
    assert_int_equal(pf_loop_turn(loop, -1), 1);
    assert_happened("slow");
    assert_int_equal(fake_poller.last_limit_ns, 0); /* measured after the callback */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("timer");
    drop(loop);
}

static void a_due_timer_can_be_removed_by_a_callback_or_an_earlier_timer(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed never = says("never"), nor = says("nor");
    struct deed callback = {
        .word = "callback", .act = act_remove_other_timer, .other = &never};
    struct deed timer = does_to("timer", act_remove_other_timer, &nor);
    add(loop, &callback);
    at(loop, 1, &timer);
    at(loop, 2, &never);
    at(loop, 3, &nor);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_happened("callback timer");
    assert_int_equal(stats_of(loop).timers_live, 0);
    drop(loop);
}

static void the_poll_sleeps_until_the_next_timer_and_not_longer(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed timer = does("timer", act_stop), never = says("never");
    at(loop, PF_NEVER, &never);
    at(loop, 1777, &timer);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("timer");
    assert_int_equal(fake_poller.waits, 1);
    assert_int_equal(fake_poller.last_limit_ns, 777);
    assert_int_equal(fake_clock.now, 1777);
    drop(loop);
}

static void callbacks_that_add_callbacks_for_ever_do_not_starve_descriptors(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed forever = does(NULL, act_add_self), timer = says("timer");
    struct deed handler = does("handler", act_stop);
    add(loop, &forever);
    at(loop, 0, &timer);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("timer handler");
    assert_int_equal(forever.calls, 2); /* stop leaves one more pass */
    drop(loop);
}

static void a_timer_that_rearms_itself_with_no_delay_does_not_starve_descriptors(
    void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed forever = does(NULL, act_rearm_self), handler = does("handler", act_stop);
    at(loop, 0, &forever);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("handler");
    assert_int_equal(forever.calls, 2);
    drop(loop);
}

/* ---- stopping -------------------------------------------------------------------- */

static void stop_from_a_callback_ends_the_pass_and_skips_the_poll(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed next = says("next"), stop = does("stop", act_stop);
    struct deed rest = does_to("rest", act_add_other, &next), timer = says("timer");
    add(loop, &stop);
    add(loop, &rest);
    at(loop, 0, &timer);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("stop rest timer");
    assert_int_equal(fake_poller.waits, 0);
    add(loop, &stop);
    assert_int_equal(pf_loop_start(loop), 0); /* what was left over runs now */
    assert_happened("next stop");
    drop(loop);
}

static void stop_from_a_timer_ends_the_pass_and_skips_the_poll(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed stop = does("stop", act_stop), later = says("later");
    at(loop, 0, &stop);
    at(loop, 1, &later);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("stop later");
    assert_int_equal(fake_poller.waits, 0);
    drop(loop);
}

static void stop_from_a_handler_ends_the_batch_and_one_more_pass(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed added = says("added"), rest = does_to("rest", act_add_other, &added);
    struct deed stop = does("stop", act_stop), arm = does("arm", act_rearm_self);
    watch(loop, fd_a, PF_READ, &stop);
    watch(loop, fd_b, PF_READ, &rest);
    watch(loop, fd_c, PF_READ, &arm);
    ready(fd_a, PF_READ);
    ready(fd_b, PF_READ);
    ready(fd_c, PF_READ);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("stop rest arm added arm");
    assert_int_equal(fake_poller.waits, 1);
    drop(loop);
}

static void stop_before_start_runs_nothing_and_two_count_once(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed waiting = does("waiting", act_stop);
    add(loop, &waiting);
    assert_int_equal(pf_loop_stop(loop), 0);
    assert_int_equal(pf_loop_stop(loop), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("");
    assert_int_equal(fake_poller.waits, 0);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("waiting");
    drop(loop);
}

static void a_failing_poller_ends_start_and_turn_and_the_loop_can_go_on(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed stop = does("stop", act_stop);
    fake_poller.wait_error = -EIO;
    assert_int_equal(pf_loop_start(loop), -EIO);
    fake_poller.wait_error = -ENXIO;
    assert_int_equal(pf_loop_turn(loop, 0), -ENXIO);
    add(loop, &stop);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("stop");
    drop(loop);
}

static void act_run_again(pf_loop *loop, struct deed *deed)
{
    (void)deed;
    assert_int_equal(pf_loop_start(loop), -EBUSY);
    assert_int_equal(pf_loop_turn(loop, 0), -EBUSY);
    assert_int_equal(pf_loop_close(loop, true), -EBUSY);
    assert_int_equal(pf_loop_make_current(loop), 0);
}

static void on_error_run_again(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)error, (void)arg;
    note("hook");
    act_run_again(loop, NULL);
}

static void a_running_loop_refuses_to_be_run_or_closed_from_inside(void **state)
{
    (void)state;
    struct pf_loop_options options = fake_options();
    options.on_error = on_error_run_again;
    pf_loop *loop = make_with(&options);
    struct deed callback = {.word = "callback", .act = act_run_again, .result = -EIO};
    struct deed timer = does("timer", act_run_again),
                handler = does("handler", act_run_again);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    add(loop, &callback);
    at(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    assert_happened("callback hook timer handler");
    drop(loop);
}

/* ---- under a host's loop --------------------------------------------------------- */

static void a_turn_sleeps_at_most_as_long_as_it_may(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed timer = says("timer");
    static const struct {
        int64_t max_ns, slept;
    } rows[] = {{0, 0}, {300, 300}, {5000, 5000}, {INT64_MAX, INT64_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_clock.now = 0;
        assert_int_equal(pf_loop_turn(loop, rows[i].max_ns), 0);
        assert_int_equal(fake_poller.last_limit_ns, rows[i].slept);
    }
    assert_int_equal(pf_loop_turn(loop, -1),
                     -EDEADLK); /* no limit: the fake sees through */
    assert_true(fake_poller.last_limit_ns < 0);

    fake_clock.now = 1000;
    at(loop, 2000, &timer);
    assert_int_equal(pf_loop_turn(loop, 5000), 0);
    assert_int_equal(fake_poller.last_limit_ns, 1000);
    fake_clock.now = 1000;
    assert_int_equal(pf_loop_turn(loop, 400), 0);
    assert_int_equal(fake_poller.last_limit_ns, 400);
    drop(loop);
}

static void the_next_deadline_is_now_or_the_earliest_timer_or_never(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("callback");
    assert_int_equal(deadline_of(loop), PF_NEVER);
    at(loop, 9000, &deed);
    at(loop, 7000, &deed);
    assert_int_equal(deadline_of(loop), 7000);
    add(loop, &deed);
    fake_clock.now = 1234;
    assert_int_equal(deadline_of(loop), 1234);
    assert_int_equal(pf_loop_add_callback_from_signal(loop, do_callback, &deed), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_int_equal(deadline_of(loop), 7000);
    drop(loop);
}

static void the_loops_descriptor_polls_readable_while_a_handler_is_due(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    int fds[2];
    char byte;
    make_readable_pipe(fds);
    struct deed handler = says("handler");
    assert_false(pf_backend_polls_readable(loop, false));
    watch(loop, fds[0], PF_READ, &handler);
    assert_true(pf_backend_polls_readable(loop, true));
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_false(pf_backend_polls_readable(loop, false));
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_happened("handler");
    pf_loop_remove_handler(loop, fds[0]);
    close_pipe(fds);
    drop(loop);
}

static void a_poller_without_a_descriptor_says_so(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    assert_int_equal(pf_loop_fd(loop), -ENOTSUP);
    drop(loop);
}

/* ---- time ------------------------------------------------------------------------ */

static void past_negative_and_zero_deadlines_are_due_at_once(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed min = says("min"), negative = says("negative"), zero = says("zero"),
                past = says("past");
    struct deed now = says("now"), soon = says("soon"), minus = says("minus");
    at(loop, 1000, &now);
    at(loop, 1001, &soon);
    at(loop, 999, &past);
    at(loop, 0, &zero);
    at(loop, -7, &negative);
    at(loop, INT64_MIN, &min);
    assert_int_equal(pf_loop_call_later(loop, INT64_MIN, do_callback, &minus, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 6);
    assert_happened("min minus negative zero past now");
    drop(loop);
}

static void never_never_comes_and_an_overflow_is_refused(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed never = says("never");
    pf_timer timer = {77};
    assert_int_equal(pf_loop_call_at(loop, PF_NEVER, do_callback, &never, NULL), 0);
    assert_int_equal(pf_loop_call_later(loop, PF_NEVER, do_callback, &never, NULL), 0);
    assert_int_equal(pf_loop_call_later(loop, INT64_MAX - 999, do_callback, &never, &timer),
                     -EOVERFLOW);
    assert_int_equal(timer.id, 77);
    assert_int_equal(deadline_of(loop), PF_NEVER);
    fake_clock.now = INT64_MAX;
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(stats_of(loop).timers_live, 2);
    drop(loop);
}

static void equal_deadlines_fire_in_the_order_they_were_added(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deeds[5] = {says("1"), says("2"), says("3"), says("4"), says("5")};
    for (size_t i = 0; i < 5; i++)
        at(loop, 500, &deeds[i]);
    assert_int_equal(pf_loop_turn(loop, 0), 5);
    assert_happened("1 2 3 4 5");
    drop(loop);
}

static void act_call_later(pf_loop *loop, struct deed *deed)
{
    fake_clock.now += 5000; /* it takes its time before it asks */
    assert_int_equal(pf_loop_call_later(loop, 100, do_callback, deed->other, NULL), 0);
}

static void a_delay_counts_from_the_call_and_not_from_the_start_of_the_pass(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed timer = says("timer"), slow = does_to("slow", act_call_later, &timer);
    at(loop, 0, &slow);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(deadline_of(loop), 1000 + 5000 + 100);
    drop(loop);
}

static void stale_timers_are_unknown_and_harmless(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed fired = says("fired"), removed = says("removed"), live = says("live");
    at(loop, 0, &fired);
    at(loop, 5000, &removed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_remove_timeout(loop, fired.timer), -ENOENT);
    assert_int_equal(pf_loop_remove_timeout(loop, removed.timer), 0);
    assert_int_equal(pf_loop_remove_timeout(loop, removed.timer), -ENOENT);
    assert_int_equal(pf_loop_remove_timeout(loop, (pf_timer){0}), -ENOENT);
    at(loop, 1, &live); /* takes a slot that a stale name points at */
    assert_int_equal(pf_loop_remove_timeout(loop, fired.timer), -ENOENT);
    assert_int_equal(pf_loop_remove_timeout(loop, removed.timer), -ENOENT);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("fired live");
    drop(loop);
}

static void act_remove_self_timer(pf_loop *loop, struct deed *deed)
{
    deed->answer = pf_loop_remove_timeout(loop, deed->timer);
}

static void a_timer_that_runs_has_fired_already(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed timer = does("timer", act_remove_self_timer);
    at(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(timer.answer, -ENOENT);
    assert_int_equal(stats_of(loop).timers_live, 0);
    drop(loop);
}

static void act_ask_now_twice(pf_loop *loop, struct deed *deed)
{
    deed->ns = pf_loop_now(loop);
    fake_clock.now += 10;
    assert_int_equal(pf_loop_now(loop), deed->ns);
    int64_t time;
    assert_int_equal(pf_loop_time(loop, &time), 0);
    assert_int_equal(time, fake_clock.now);
}

static void now_is_read_once_a_batch_and_time_each_time(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed first = does(NULL, act_ask_now_twice),
                second = does(NULL, act_ask_now_twice);
    struct deed handler = does(NULL, act_ask_now_twice);
    assert_int_equal(pf_loop_now(loop), 1000);
    fake_clock.now = 1100;
    assert_int_equal(pf_loop_now(loop), 1100); /* outside: always fresh */
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    add(loop, &first);
    add(loop, &second);
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    assert_int_equal(first.ns, 1100);
    assert_int_equal(second.ns, 1100);
    assert_int_equal(handler.ns, 1120);
    drop(loop);
}

static void act_assert_not_early(pf_loop *loop, struct deed *deed)
{
    int64_t now;
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(now >= deed->ns);
    if (--*(int *)deed->other == 0)
        assert_int_equal(pf_loop_stop(loop), 0);
}

static void no_timer_fires_early_on_the_real_clock(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deeds[40] = {{0}};
    int left = 40;
    int64_t now;
    assert_int_equal(pf_loop_time(loop, &now), 0);
    for (int i = 0; i < 40; i++) {
        deeds[i] = (struct deed){.act = act_assert_not_early, .other = (void *)&left};
        deeds[i].ns = now + i * 137 * PF_MICROSECOND; /* between milliseconds, too */
        at(loop, deeds[i].ns, &deeds[i]);
    }
    assert_int_equal(pf_loop_start(loop), 0);
    assert_int_equal(left, 0);
    /* Rounding a sleep down would poll many times for one timer. */
    assert_true(stats_of(loop).polls <= 3 * 40);
    drop(loop);
}

/* ---- descriptors: what is refused ------------------------------------------------ */

static void bad_handlers_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deed = says("handler");
    int fds[2], closed;
    make_readable_pipe(fds);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true((closed = dup(fds[0])) >= 0);
    close(closed);
    const struct {
        int fd;
        unsigned events;
        pf_io_fn *fn;
        int expected;
    } rows[] = {
        {fds[0], PF_READ, NULL, -EINVAL},
        {fds[0], 0, do_handler, -EINVAL},
        {fds[0], PF_ERROR, do_handler, -EINVAL},     /* always watched, so no interest */
        {fds[0], PF_EXCLUSIVE, do_handler, -EINVAL}, /* says how, not for what */
        {fds[0], PF_READ | 0x2, do_handler, -EINVAL},
        {fds[0], PF_READ | 1u << 31, do_handler, -EINVAL},
        {-1, PF_READ, do_handler, -EBADF},
        {-100, PF_READ, do_handler, -EBADF},
        {closed, PF_READ, do_handler, -EBADF},
        {fileno(file), PF_READ, do_handler, -ENOTSUP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(
            pf_loop_add_handler(loop, rows[i].fd, rows[i].events, rows[i].fn, &deed),
            rows[i].expected);
    assert_int_equal(stats_of(loop).handlers, 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    watch(loop, fds[0], PF_READ, &deed); /* and none of that is in the way */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    pf_loop_remove_handler(loop, fds[0]);
    fclose(file);
    close_pipe(fds);
    drop(loop);
}

static void add_beyond_every_descriptor(void *arg)
{
    (void)arg;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* A table for two thousand million descriptors would fill the machine. */
    setrlimit(RLIMIT_AS, &(struct rlimit){1u << 30, 1u << 30});
#endif
    pf_loop *loop;
    struct deed deed = says("handler");
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pf_loop_add_handler(loop, INT_MAX, PF_READ, do_handler, &deed),
                     -EBADF);
    assert_int_equal(pf_loop_add_handler(loop, 1 << 26, PF_READ, do_handler, &deed),
                     -EBADF);
    assert_int_equal(pf_loop_update_handler(loop, INT_MAX, PF_READ), -ENOENT);
    assert_int_equal(pf_loop_remove_handler(loop, INT_MAX), -ENOENT);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void a_huge_number_that_is_not_open_is_a_bad_descriptor(void **state)
{
    (void)state;
    pf_test_in_child(add_beyond_every_descriptor, NULL);
}

static void a_second_registration_is_refused_and_the_first_stays(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed first = says("first"), second = says("second");
    int fds[2];
    make_readable_pipe(fds);
    watch(loop, fds[0], PF_READ, &first);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, do_handler, &second),
                     -EEXIST);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("first");
    pf_loop_remove_handler(loop, fds[0]);
    close_pipe(fds);
    drop(loop);
}

static void bad_updates_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("handler");
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_update_handler(loop, fd_b, PF_READ), -ENOENT);
    assert_int_equal(pf_loop_update_handler(loop, -1, PF_READ), -ENOENT);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, 0x2), -EINVAL);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_ERROR), -EINVAL);
    fake_poller.add_error = -ENOSPC;
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_WRITE), -ENOSPC);
    assert_int_equal(pf_loop_turn(loop, 0), 1); /* still PF_READ */
    fake_poller.add_error = -ENOSPC;
    assert_int_equal(pf_loop_add_handler(loop, fd_b, PF_READ, do_handler, &deed), -ENOSPC);
    assert_int_equal(pf_loop_remove_handler(loop, fd_b), -ENOENT);
    assert_int_equal(stats_of(loop).handlers, 1);
    drop(loop);
}

static void an_update_asks_the_poller_only_if_the_events_differ(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("handler");
    watch(loop, fd_a, PF_READ, &deed);
    unsigned before = fake_poller.controls;
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ), 0);
    assert_int_equal(fake_poller.controls, before);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ | PF_WRITE), 0);
    assert_int_equal(fake_poller.controls, before + 1);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, 0), 0);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, 0), 0);
    assert_int_equal(fake_poller.controls, before + 2);
    drop(loop);
}

static void an_exclusive_registration_is_made_anew_and_a_failure_pauses_it(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("handler");
    watch(loop, fd_a, PF_READ | PF_EXCLUSIVE, &deed);
    unsigned before = fake_poller.controls;
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ | PF_EXCLUSIVE), 0);
    assert_int_equal(fake_poller.controls, before);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ), 0);
    assert_int_equal(fake_poller.controls, before + 2);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ | PF_EXCLUSIVE), 0);
    assert_int_equal(fake_poller.controls, before + 4);
    fake_poller.add_error = -ENOMEM;
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ), -ENOMEM);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* paused */
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ | PF_EXCLUSIVE), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), 0);
    drop(loop);
}

static void an_exclusive_registration_is_told_like_any_other(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deed = says("handler");
    int fds[2];
    make_readable_pipe(fds);
    watch(loop, fds[0], PF_READ | PF_EXCLUSIVE, &deed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pf_loop_update_handler(loop, fds[0], PF_READ), 0);
        assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_int_equal(pf_loop_update_handler(loop, fds[0], PF_READ | PF_EXCLUSIVE), 0);
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    }
    assert_int_equal(pf_loop_update_handler(loop, fds[0], 0), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(pf_loop_update_handler(loop, fds[0], PF_EXCLUSIVE), -EINVAL);
    assert_int_equal(pf_loop_remove_handler(loop, fds[0]), 0);
    close_pipe(fds);
    drop(loop);
}

static void removing_twice_is_unknown_and_a_closed_descriptor_can_be_removed(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deed = says("handler");
    int fds[2];
    make_readable_pipe(fds);
    watch(loop, fds[0], PF_READ, &deed);
    close_pipe(fds);
    assert_int_equal(pf_loop_remove_handler(loop, fds[0]), 0);
    assert_int_equal(pf_loop_remove_handler(loop, fds[0]), -ENOENT);
    assert_int_equal(pf_loop_remove_handler(loop, -1), -ENOENT);
    make_readable_pipe(fds); /* the same numbers */
    watch(loop, fds[0], PF_READ, &deed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    pf_loop_remove_handler(loop, fds[0]);
    close_pipe(fds);
    drop(loop);
}

/* ---- descriptors: what is delivered ---------------------------------------------- */

static void a_reader_hears_of_reading_only(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("handler");
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ | PF_WRITE);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(deed.events, PF_READ);
    ready(fd_a, PF_ERROR); /* never asked for, always watched */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(deed.events, PF_ERROR);
    drop(loop);
}

static void act_update_fd_to_write(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_update_handler(loop, deed->fd, PF_WRITE), 0);
}

static void act_pause_fd(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_update_handler(loop, deed->fd, 0), 0);
}

static void an_event_that_is_no_longer_asked_for_is_not_delivered(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed first = does("first", act_update_fd_to_write), second = says("second");
    struct deed third = says("third");
    first.fd = fd_b;
    watch(loop, fd_a, PF_READ, &first);
    watch(loop, fd_b, PF_READ, &second);
    watch(loop, fd_c, PF_READ, &third);
    ready(fd_a, PF_READ);
    ready(fd_b, PF_READ);
    ready(fd_c, PF_READ | PF_ERROR);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_happened("first third");
    first.act = act_pause_fd; /* not even the error, when it is paused */
    first.fd = fd_c;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("first");
    drop(loop);
}

static void paused_means_that_not_even_a_hang_up_wakes_the_loop(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deed = says("handler");
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    watch(loop, fds[0], PF_READ, &deed);
    assert_int_equal(pf_loop_update_handler(loop, fds[0], 0), 0);
    close(fds[1]);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_false(pf_backend_polls_readable(loop, false));
    assert_int_equal(stats_of(loop).handlers, 1);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, do_handler, &deed),
                     -EEXIST);
    assert_int_equal(pf_loop_update_handler(loop, fds[0], PF_READ), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_true((deed.events & PF_ERROR) != 0);
    pf_loop_remove_handler(loop, fds[0]);
    close(fds[0]);
    drop(loop);
}

static void a_handler_may_remove_itself_and_others_of_its_batch(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed self = does("self", act_remove_fd), killer = does("killer", act_remove_fd);
    struct deed victim = says("victim");
    self.fd = fd_a;
    killer.fd = fd_c;
    watch(loop, fd_a, PF_READ, &self);
    watch(loop, fd_b, PF_READ, &killer);
    watch(loop, fd_c, PF_READ, &victim);
    ready(fd_a, PF_READ);
    ready(fd_b, PF_READ);
    ready(fd_c, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_happened("self killer");
    assert_int_equal(stats_of(loop).handlers, 1);
    drop(loop);
}

static void act_reopen_fd(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_remove_handler(loop, deed->fd), 0);
    close(deed->fd);
    assert_int_equal(open_null(), deed->fd);
    watch(loop, deed->fd, PF_READ, deed->other);
}

static void a_number_reused_within_the_batch_gets_no_stale_event(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed old = says("old"), fresh = says("fresh");
    struct deed first = does_to("first", act_reopen_fd, &fresh);
    first.fd = fd_b;
    watch(loop, fd_a, PF_READ, &first);
    watch(loop, fd_b, PF_READ, &old);
    ready(fd_a, PF_READ);
    ready(fd_b, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("first");
    assert_int_equal(stats_of(loop).stale, 1);
    first.act = NULL;
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_happened("first fresh");
    drop(loop);
}

static void a_number_filled_by_dup2_behind_the_loops_back_can_be_added(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deed = says("handler"), fresh = says("fresh");
    int fds[2];
    make_readable_pipe(fds);
    int copy = dup(fds[0]);
    watch(loop, copy, PF_READ, &deed);
    close(copy); /* the open file lives on in fds[0], and so does the kernel's entry */
    assert_int_equal(pf_loop_remove_handler(loop, copy), 0);
    assert_int_equal(dup2(fds[0], copy), copy);
    watch(loop, copy, PF_READ, &fresh);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("fresh");
    pf_loop_remove_handler(loop, copy);
    close(copy);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    close_pipe(fds);
    drop(loop);
}

/* A descriptor closed here without being removed first, while a child holds the same open
 * file: its events can no longer be turned off. */
struct ghost {
    pid_t child;
    int child_lives; /* the child ends when this is closed */
};

static struct ghost make_ghost(pf_loop *loop, struct deed *deed)
{
    int fds[2], lives[2];
    make_readable_pipe(fds);
    assert_int_equal(pipe2(lives, O_CLOEXEC), 0);
    watch(loop, fds[0], PF_READ, deed);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(lives[1]);
        _exit(read(lives[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(lives[0]);
    close_pipe(fds);
    assert_int_equal(pf_loop_remove_handler(loop, fds[0]), 0);
    return (struct ghost){child, lives[1]};
}

static void end_ghost(struct ghost ghost)
{
    int status;
    close(ghost.child_lives);
    assert_int_equal(waitpid(ghost.child, &status, 0), ghost.child);
    assert_int_equal(status, 0);
}

static void events_of_a_file_that_only_a_child_still_holds_do_not_spin(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed gone = says("gone"), live = says("live"), paused = says("paused");
    int fds[2], other[2];
    make_readable_pipe(fds);
    make_readable_pipe(other);
    watch(loop, fds[0], PF_READ, &live);
    watch(loop, other[0], PF_READ, &paused);
    assert_int_equal(pf_loop_update_handler(loop, other[0], 0), 0);
    struct ghost ghost = make_ghost(loop, &gone);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    uint64_t stale = stats_of(loop).stale;
    assert_int_equal(stale >= 1, pf_backend()->has_ghosts);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1); /* the living one, not the paused */
    assert_int_equal(stats_of(loop).stale, stale);
    pf_loop_remove_handler(loop, fds[0]);
    assert_false(pf_backend_polls_readable(loop, false));
    end_ghost(ghost);
    pf_loop_remove_handler(loop, other[0]);
    close_pipe(fds);
    close_pipe(other);
    drop(loop);
}

static void the_loops_descriptor_outlives_the_ghosts(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed gone = says("gone"), live = says("live");
    int fd = pf_loop_fd(loop);
    struct ghost ghost = make_ghost(loop, &gone);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 0);
    int fds[2];
    make_readable_pipe(fds); /* might take the number, if it were free by now */
    assert_int_equal(pf_loop_fd(loop), fd);
    assert_false(pf_backend_polls_readable(loop, false));
    watch(loop, fds[0], PF_READ, &live);
    assert_true(pf_backend_polls_readable(loop, true));
    pf_loop_remove_handler(loop, fds[0]);
    end_ghost(ghost);
    close_pipe(fds);
    drop(loop);
}

static struct {
    int opens, refusals;
    int64_t now;
} sparing;

static int open_sparingly(void *arg, void **state)
{
    if (sparing.opens++ > 0 && sparing.refusals > 0) {
        sparing.refusals--;
        return -EMFILE;
    }
    return pf_backend()->ops->open(arg, state);
}

static int64_t sparing_clock(void *arg)
{
    (void)arg;
    return sparing.now;
}

static void what_fails_against_ghosts_is_tried_once_a_second(void **state)
{
    (void)state;
    if (!pf_backend()->has_ghosts)
        skip();
    struct pf_poller_ops ops = *pf_backend()->ops;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    struct deed gone = says("gone");
    pf_loop *loop;
    memset(&sparing, 0, sizeof sparing);
    sparing.refusals = 2;
    ops.open = open_sparingly;
    options.poller = &ops;
    options.clock = sparing_clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    struct ghost ghost = make_ghost(loop, &gone);
    for (int second = 0; second < 3; second++) {
        for (int i = 0; i < 20; i++)
            assert_int_equal(pf_loop_turn(loop, 0), 0);
        assert_int_equal(sparing.opens, 2 + second);
        sparing.now += PF_SECOND;
    }
    uint64_t stale = stats_of(loop).stale;
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(stats_of(loop).stale, stale); /* the third time it worked */
    end_ghost(ghost);
    drop(loop);
}

enum {
    CROWD = 2500
};

struct crowd {
    int fds[CROWD];
    size_t size; /* fewer than CROWD where the poller takes no such numbers */
    int calls;
};

static int on_crowd_readable(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct crowd *crowd = arg;
    (void)fd, (void)events;
    crowd->calls++;
    for (size_t i = 0; i < crowd->size; i++) {
        assert_int_equal(pf_loop_remove_handler(loop, crowd->fds[i]), 0);
        close(crowd->fds[i]);
    }
    return 0;
}

static void the_first_of_2500_ready_descriptors_can_remove_them_all(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < CROWD + 100)
        skip();
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

    static struct crowd crowd;
    pf_loop *loop = make_real();
    int fds[2];
    make_readable_pipe(fds);
    crowd.size = pf_backend()->fd_end < CROWD ? CROWD / 3 : CROWD;
    for (size_t i = 0; i < crowd.size; i++) {
        crowd.fds[i] = dup(fds[0]);
        assert_int_equal(
            pf_loop_add_handler(loop, crowd.fds[i], PF_READ, on_crowd_readable, &crowd), 0);
    }
    for (int i = 0; i < 10; i++)
        (void)pf_loop_turn(loop, 0);
    assert_int_equal(crowd.calls, 1);
    assert_int_equal(stats_of(loop).handlers, 0);
    close_pipe(fds);
    drop(loop);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void more_ready_descriptors_than_one_poll_fetches_all_get_their_turn(void **state)
{
    (void)state;
    enum {
        N = 900
    };
    static struct deed deeds[N];
    memset(deeds, 0, sizeof deeds);
    pf_loop *loop = make_real();
    int fds[2], copies[N];
    make_readable_pipe(fds);
    for (size_t i = 0; i < N; i++) {
        assert_true((copies[i] = dup(fds[0])) >= 0);
        watch(loop, copies[i], PF_READ, &deeds[i]);
    }
    int ran = 0;
    for (int turns = 0; turns < 4; turns++)
        ran += pf_loop_turn(loop, 0);
    assert_true(ran > N);
    for (size_t i = 0; i < N; i++)
        assert_true(deeds[i].calls >= 1);
    assert_int_equal(pf_loop_close(loop, true), 0);
    pf_loop_unref(loop);
    close_pipe(fds);
    close(fd_a);
    close(fd_b);
    close(fd_c);
}

/* ---- what callbacks return ------------------------------------------------------- */

static void a_handler_that_is_done_is_removed(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = returns("once", PF_DONE);
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_happened("once");
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), -ENOENT);
    watch(loop, fd_a, PF_READ, &deed); /* its number is free */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
}

static void a_positive_result_without_meaning_is_success(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed handler = returns("handler", 42), callback = returns("callback", 42);
    struct deed timer = returns("timer", PF_DONE);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    add(loop, &callback);
    at(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("callback timer handler handler");
    assert_int_equal(reported.count, 0);
    drop(loop);
}

static void a_broken_pipe_is_silent_from_handlers_and_reported_from_others(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed handler = returns("handler", -EPIPE);
    struct deed callback = returns("callback", -EPIPE);
    struct deed timer = returns("timer", -EPIPE);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 0);
    ready(fd_a, 0);
    add(loop, &callback);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 1);
    assert_string_equal(reported.last.kind, "callback");
    at(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 2);
    assert_string_equal(reported.last.kind, "timer");
    assert_int_equal(reported.last.error, -EPIPE);
    ready(fd_a, PF_READ);
    handler.result = 0;
    assert_int_equal(pf_loop_turn(loop, 0), 1); /* it has stayed */
    drop(loop);
}

static void a_report_says_what_failed_and_where_it_was_registered(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed handler = returns("handler", -EIO);
    struct deed callback = returns("callback", -ENXIO);
    struct deed timer = returns("timer", -ERANGE);
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &handler), 0);
    const char *line = PF_HERE;
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 1);
    assert_int_equal(reported.last.error, -EIO);
    assert_int_equal(reported.last.fd, fd_a);
    assert_string_equal(reported.last.kind, "handler");
    assert_false(reported.last.disabled);
    assert_int_equal(strncmp(reported.last.where, line, strcspn(line, ":") + 1), 0);
    int registered = atoi(strrchr(reported.last.where, ':') + 1);
    assert_int_equal(registered, atoi(strrchr(line, ':') + 1) - 1);
    pf_loop_remove_handler(loop, fd_a);

    assert_int_equal(
        pf_loop_add_callback_full(loop, do_callback, &callback, NULL, "here.c:7"), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.last.error, -ENXIO);
    assert_int_equal(reported.last.fd, -1);
    assert_string_equal(reported.last.where, "here.c:7");

    assert_int_equal(
        pf_loop_call_at_full(loop, 0, do_callback, &timer, NULL, "there.c:8", NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.last.error, -ERANGE);
    assert_int_equal(reported.last.fd, -1);
    assert_string_equal(reported.last.where, "there.c:8");

    assert_int_equal(pf_loop_add_callback_full(loop, do_callback, &callback, NULL, NULL),
                     0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_null(reported.last.where);
    assert_int_equal(reported.count, 4);
    drop(loop);
}

static void sixteen_failures_in_a_row_disable_a_handler_until_it_is_updated(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = returns(NULL, -EIO);
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ | PF_ERROR);
    for (int i = 1; i < PF_HANDLER_FAILURES_MAX; i++) {
        assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_int_equal(reported.count, i);
        assert_false(reported.last.disabled);
    }
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, PF_HANDLER_FAILURES_MAX);
    assert_true(reported.last.disabled);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* gone from the poller */
    assert_int_equal(reported.count, PF_HANDLER_FAILURES_MAX);
    assert_int_equal(stats_of(loop).handlers, 1); /* and still in the table */
    assert_int_equal(pf_loop_update_handler(loop, fd_a, PF_READ), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_false(reported.last.disabled); /* it starts again from 0 */
    drop(loop);
}

static void a_success_in_between_starts_the_count_again(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = returns(NULL, -EIO);
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ);
    for (int i = 0; i < 5 * PF_HANDLER_FAILURES_MAX; i++) {
        deed.result = i % PF_HANDLER_FAILURES_MAX ? -EIO : 0;
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    }
    assert_int_equal(deed.calls, 5 * PF_HANDLER_FAILURES_MAX);
    assert_false(reported.last.disabled);
    drop(loop);
}

static void broken_pipes_count_as_failures_too(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = returns(NULL, -EPIPE);
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ);
    for (int i = 0; i < PF_HANDLER_FAILURES_MAX; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(reported.count, 1);
    assert_true(reported.last.disabled);
    drop(loop);
}

static void a_handler_that_removed_itself_is_still_reported(void **state)
{
    (void)state;
    pf_loop *loop = make_fake_with_policy(PF_ERROR_STOP);
    struct deed deed = {.word = "handler", .act = act_remove_fd, .result = -EIO};
    deed.fd = fd_a;
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_start(loop), -EIO);
    assert_int_equal(reported.count, 1);
    assert_int_equal(reported.last.fd, fd_a);
    drop(loop);
}

static void the_disable_policy_disables_at_the_first_failure(void **state)
{
    (void)state;
    pf_loop *loop = make_fake_with_policy(PF_ERROR_DISABLE);
    struct deed deed = returns(NULL, -EPIPE), callback = returns("callback", -EIO);
    watch(loop, fd_a, PF_READ, &deed);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 1); /* a broken pipe is silent, and stays */
    deed.result = -EIO;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(reported.count, 1);
    assert_true(reported.last.disabled);
    add(loop, &callback);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_false(reported.last.disabled);
    drop(loop);
}

static void the_stop_policy_ends_start_with_the_first_error(void **state)
{
    (void)state;
    pf_loop *loop = make_fake_with_policy(PF_ERROR_STOP);
    struct deed fails = returns("fails", -EIO), rest = says("rest");
    struct deed fails_too = returns("too", -ENXIO), stop = does("stop", act_stop);
    add(loop, &fails);
    add(loop, &rest);
    add(loop, &fails_too);
    assert_int_equal(pf_loop_start(loop), -EIO);
    assert_happened("fails rest too");
    assert_int_equal(reported.count, 2);
    add(loop, &stop);
    assert_int_equal(pf_loop_start(loop), 0); /* the error is spent */
    struct deed handler = returns("handler", -ERANGE);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_start(loop), -ERANGE);
    handler.result = -EPIPE;
    at(loop, fake_clock.now, &stop);
    trace[0] = 0;
    assert_int_equal(pf_loop_start(loop), 0); /* a broken pipe stops nothing */
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), 0);
    add(loop, &fails);
    assert_int_equal(pf_loop_turn(loop, 0), -EIO); /* a host is told, too */
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    struct deed strange = returns("strange", INT_MIN);
    add(loop, &strange);
    assert_int_equal(pf_loop_turn(loop, 0), INT_MIN);
    drop(loop);
}

static enum pf_log_level logged_level;
static char logged[PF_LOG_LINE_MAX + 1];

static void keep_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)len, (void)arg;
    logged_level = level;
    snprintf(logged, sizeof logged, "%s", line);
}

static void without_a_hook_errors_go_to_the_log(void **state)
{
    (void)state;
    struct pf_loop_options options = fake_options();
    options.on_error = NULL;
    pf_loop *loop = make_with(&options);
    struct deed callback = returns("callback", -EIO);
    pf_log_set_sink(keep_line, NULL);
    assert_int_equal(
        pf_loop_add_callback_full(loop, do_callback, &callback, NULL, "here.c:7"), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    pf_log_set_sink(NULL, NULL);
    assert_int_equal(logged_level, PF_LOG_ERROR);
    assert_non_null(strstr(logged, "callback"));
    assert_non_null(strstr(logged, "here.c:7"));
    drop(loop);
}

/* ---- destroy functions ----------------------------------------------------------- */

static void destroy_deed(void *arg)
{
    struct deed *deed = arg;
    deed->destroyed++;
    if (deed->word)
        note("destroyed");
}

static void watch_owned(pf_loop *loop, int fd, struct deed *deed)
{
    assert_int_equal(
        pf_loop_add_handler_full(loop, fd, PF_READ, do_handler, deed, destroy_deed, NULL),
        0);
}

static void add_owned(pf_loop *loop, struct deed *deed)
{
    assert_int_equal(pf_loop_add_callback_full(loop, do_callback, deed, destroy_deed, NULL),
                     0);
}

static void at_owned(pf_loop *loop, int64_t when, struct deed *deed)
{
    assert_int_equal(pf_loop_call_at_full(loop, when, do_callback, deed, destroy_deed, NULL,
                                          &deed->timer),
                     0);
}

static void what_has_run_is_destroyed_once_and_after_it_returned(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed callback = says("callback"), timer = returns("timer", -EIO);
    add_owned(loop, &callback);
    at_owned(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_happened("callback destroyed timer destroyed");
    assert_int_equal(pf_loop_remove_timeout(loop, timer.timer), -ENOENT);
    drop(loop);
    assert_happened("");
}

static void act_remove_and_note(pf_loop *loop, struct deed *deed)
{
    act_remove_fd(loop, deed);
    note("returns");
}

static void a_handler_is_destroyed_once_whichever_way_it_is_removed(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed removed = says("removed"), done = returns("done", PF_DONE);
    struct deed self = {.word = "self", .act = act_remove_and_note, .result = PF_DONE};
    struct deed fails = {.word = "fails", .act = act_remove_and_note, .result = -EIO};
    struct deed fresh = says("fresh");

    watch_owned(loop, fd_a, &removed);
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), 0);
    assert_happened("destroyed");

    ready(fd_a, PF_READ);
    watch_owned(loop, fd_a, &done);
    (void)pf_loop_turn(loop, 0);
    assert_happened("done destroyed");

    self.fd = fails.fd = fd_a;
    watch_owned(loop, fd_a, &self);
    (void)pf_loop_turn(loop, 0);
    assert_happened("self returns destroyed");

    watch_owned(loop, fd_a, &fails);
    (void)pf_loop_turn(loop, 0);
    assert_happened("fails returns destroyed");

    watch_owned(loop, fd_a, &fresh);
    drop(loop);
    assert_happened("destroyed");
}

static void act_replace_self_twice(pf_loop *loop, struct deed *deed)
{
    act_remove_fd(loop, deed);
    watch_owned(loop, deed->fd, deed->other);
    act_remove_fd(loop, deed);
    watch_owned(loop, deed->fd, deed->other->other);
    note("returns");
}

static void a_handler_that_replaces_itself_is_destroyed_when_it_returns(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed third = returns(NULL, 0), second = {.other = &third};
    struct deed first = {.word = "first", .act = act_replace_self_twice, .result = PF_DONE};
    first.fd = fd_a;
    first.other = &second;
    watch_owned(loop, fd_a, &first);
    ready(fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("first returns destroyed");
    assert_int_equal(second.destroyed, 1);
    assert_int_equal(third.destroyed, 0); /* PF_DONE was for the first */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(third.calls, 1);
    drop(loop);
    assert_int_equal(third.destroyed, 1);
    assert_int_equal(second.calls, 0);
}

static void a_timer_is_destroyed_once_when_it_is_removed(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed waiting = says("waiting"), due = says("due");
    struct deed killer = does_to("killer", act_remove_other_timer, &due);
    at_owned(loop, 9000, &waiting);
    assert_int_equal(pf_loop_remove_timeout(loop, waiting.timer), 0);
    at(loop, 0, &killer);
    at_owned(loop, 1, &due);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("destroyed killer destroyed");
    drop(loop);
    assert_happened("");
}

static void close_and_the_last_unref_destroy_what_is_left_once(void **state)
{
    (void)state;
    for (int by_unref = 0; by_unref < 2; by_unref++) {
        pf_loop *loop = make_fake();
        struct deed deeds[6] = {{0}};
        watch_owned(loop, fd_a, &deeds[0]);
        watch_owned(loop, fd_b, &deeds[1]);
        assert_int_equal(pf_loop_update_handler(loop, fd_b, 0), 0); /* paused */
        add_owned(loop, &deeds[2]);
        at_owned(loop, 0, &deeds[3]);
        at_owned(loop, PF_NEVER, &deeds[4]);
        deeds[5].result = -EIO;
        watch_owned(loop, fd_c, &deeds[5]);
        ready(fd_c, PF_READ);
        for (int i = 0; i < PF_HANDLER_FAILURES_MAX; i++) /* disabled */
            (void)pf_loop_turn(loop, 0);
        if (!by_unref)
            assert_int_equal(pf_loop_close(loop, false), 0);
        pf_loop_unref(loop);
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(deeds[i].destroyed, 1);
        close(fd_a);
        close(fd_b);
        close(fd_c);
    }
}

static void a_refused_registration_leaves_the_arg_to_the_caller(void **state)
{
    (void)state;
    struct pf_loop_options options = fake_options();
    options.callbacks_max = 1;
    pf_loop *loop = make_with(&options);
    struct deed deed = returns(NULL, 0);
    assert_int_equal(
        pf_loop_add_handler_full(loop, -1, PF_READ, do_handler, &deed, destroy_deed, NULL),
        -EBADF);
    fake_poller.add_error = -ENOSPC;
    assert_int_equal(pf_loop_add_handler_full(loop, fd_a, PF_READ, do_handler, &deed,
                                              destroy_deed, NULL),
                     -ENOSPC);
    assert_int_equal(pf_loop_call_at_full(loop, 0, NULL, &deed, destroy_deed, NULL, NULL),
                     -EINVAL);
    assert_int_equal(pf_loop_call_later_full(loop, INT64_MAX - 1, do_callback, &deed,
                                             destroy_deed, NULL, NULL),
                     -EOVERFLOW);
    add(loop, &deed);
    assert_int_equal(
        pf_loop_add_callback_full(loop, do_callback, &deed, destroy_deed, NULL), -ENOSPC);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
    assert_int_equal(deed.destroyed, 0);
}

/* ---- callbacks ------------------------------------------------------------------- */

static void a_full_queue_refuses_and_takes_again_when_it_has_run(void **state)
{
    (void)state;
    struct pf_loop_options options = fake_options();
    options.callbacks_max = 3;
    pf_loop *loop = make_with(&options);
    struct deed deed = says("callback");
    for (int i = 0; i < 3; i++)
        add(loop, &deed);
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &deed), -ENOSPC);
    assert_int_equal(pf_loop_spawn_callback(loop, do_callback, &deed), -ENOSPC);
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    add(loop, &deed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
}

static void every_callback_is_delivered_even_twice_the_same(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed same = says("same"), spawned = says("spawned");
    add(loop, &same);
    assert_int_equal(pf_loop_spawn_callback(loop, do_callback, &spawned), 0);
    add(loop, &same);
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    assert_happened("same spawned same");
    assert_int_equal(stats_of(loop).wakes, 0); /* its own thread needs no waking */
    drop(loop);
}

static void a_full_signal_ring_refuses_and_takes_again_when_it_has_run(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed deed = returns(NULL, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < PF_LOOP_SIGNAL_CALLBACKS_MAX; i++)
            assert_int_equal(pf_loop_add_callback_from_signal(loop, do_callback, &deed), 0);
        errno = EXDEV;
        assert_int_equal(pf_loop_add_callback_from_signal(loop, do_callback, &deed),
                         -EAGAIN);
        assert_int_equal(errno, EXDEV);
        assert_true(pf_backend_polls_readable(loop, true));
        assert_int_equal(pf_loop_turn(loop, 0), PF_LOOP_SIGNAL_CALLBACKS_MAX);
        assert_false(pf_backend_polls_readable(loop, false));
    }
    assert_int_equal(deed.calls, 3 * PF_LOOP_SIGNAL_CALLBACKS_MAX);
    drop(loop);
}

/* ---- life ------------------------------------------------------------------------ */

static void null_is_refused_everywhere(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("deed");
    struct pf_loop_stats stats = {.size = sizeof stats};
    int64_t ns;
    const int answers[] = {
        pf_loop_new(NULL, NULL),
        pf_loop_close(NULL, false),
        pf_loop_discard(NULL),
        pf_loop_reserve(NULL, 1, 1, 1),
        pf_loop_make_current(NULL),
        pf_loop_install(NULL),
        pf_loop_start(NULL),
        pf_loop_stop(NULL),
        pf_loop_turn(NULL, 0),
        pf_loop_fd(NULL),
        pf_loop_next_deadline(NULL, &ns),
        pf_loop_next_deadline(loop, NULL),
        pf_loop_time(NULL, &ns),
        pf_loop_time(loop, NULL),
        (int)pf_loop_now(NULL),
        pf_loop_check(NULL),
        pf_loop_add_handler(NULL, 0, PF_READ, do_handler, &deed),
        pf_loop_add_handler(loop, 0, PF_READ, NULL, &deed),
        pf_loop_update_handler(NULL, 0, PF_READ),
        pf_loop_remove_handler(NULL, 0),
        pf_loop_add_callback(NULL, do_callback, &deed),
        pf_loop_add_callback(loop, NULL, &deed),
        pf_loop_add_callback_from_signal(NULL, do_callback, &deed),
        pf_loop_add_callback_from_signal(loop, NULL, &deed),
        pf_loop_spawn_callback(NULL, do_callback, &deed),
        pf_loop_spawn_callback(loop, NULL, &deed),
        pf_loop_call_at(NULL, 0, do_callback, &deed, NULL),
        pf_loop_call_at(loop, 0, NULL, &deed, NULL),
        pf_loop_call_later(NULL, 0, do_callback, &deed, NULL),
        pf_loop_call_later(loop, 0, NULL, &deed, NULL),
        pf_loop_remove_timeout(NULL, (pf_timer){0}),
        pf_loop_stats(NULL, &stats),
        pf_loop_stats(loop, NULL),
        pf_loop_set_beat(NULL, NULL),
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        assert_int_equal(answers[i], -EINVAL);
    assert_null(pf_loop_ref(NULL));
    pf_loop_unref(NULL);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    drop(loop);
}

static void a_closed_loop_answers_estale(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("deed");
    struct pf_loop_stats stats = {.size = sizeof stats};
    int64_t ns = 7;
    uint64_t beat = 7;
    assert_int_equal(pf_loop_close(loop, false), 0);
    const int answers[] = {
        pf_loop_close(loop, true),
        pf_loop_reserve(loop, 1, 1, 1),
        pf_loop_make_current(loop),
        pf_loop_install(loop),
        pf_loop_start(loop),
        pf_loop_stop(loop),
        pf_loop_turn(loop, 0),
        pf_loop_fd(loop),
        pf_loop_next_deadline(loop, &ns),
        pf_loop_time(loop, &ns),
        (int)pf_loop_now(loop),
        pf_loop_check(loop),
        pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &deed),
        pf_loop_update_handler(loop, fd_a, PF_READ),
        pf_loop_remove_handler(loop, fd_a),
        pf_loop_add_callback(loop, do_callback, &deed),
        pf_loop_add_callback_from_signal(loop, do_callback, &deed),
        pf_loop_spawn_callback(loop, do_callback, &deed),
        pf_loop_call_at(loop, 0, do_callback, &deed, NULL),
        pf_loop_call_later(loop, 0, do_callback, &deed, NULL),
        pf_loop_remove_timeout(loop, (pf_timer){0}),
        pf_loop_stats(loop, &stats),
        pf_loop_set_beat(loop, &beat),
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        assert_int_equal(answers[i], -ESTALE);
    assert_int_equal(pf_loop_discard(loop), -EBUSY);
    assert_true(ns == 7 && beat == 7);
    assert_null(pf_loop_current(false));
    assert_null(pf_loop_owned());
    pf_loop_unref(loop);
    close(fd_a);
    close(fd_b);
    close(fd_c);
    assert_happened("");
}

static void close_leaves_descriptors_open_unless_told_otherwise(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        pf_loop *loop = make_fake();
        struct deed deed = says("deed");
        int unwatched = open_null();
        watch(loop, fd_a, PF_READ, &deed);
        watch(loop, fd_b, PF_READ, &deed);
        assert_int_equal(pf_loop_update_handler(loop, fd_b, 0), 0); /* paused: registered */
        watch(loop, fd_c, PF_READ, &deed);
        close(fd_c); /* closed already: no harm */
        assert_int_equal(pf_loop_close(loop, all), 0);
        assert_int_equal(fcntl(fd_a, F_GETFD), all ? -1 : FD_CLOEXEC);
        assert_int_equal(fcntl(fd_b, F_GETFD), all ? -1 : FD_CLOEXEC);
        assert_int_equal(fcntl(unwatched, F_GETFD), FD_CLOEXEC);
        pf_loop_unref(loop);
        close(unwatched);
        if (!all) {
            close(fd_a);
            close(fd_b);
        }
    }
}

static void a_new_loop_becomes_current_as_its_options_say(void **state)
{
    (void)state;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *first, *second, *none = NULL;
    pf_loop_clear_current();
    options.make_current = PF_CURRENT_NEVER;
    assert_int_equal(pf_loop_new(&options, &first), 0);
    assert_null(pf_loop_current(false));
    options.make_current = PF_CURRENT_ALWAYS;
    assert_int_equal(pf_loop_new(&options, &second), 0);
    assert_ptr_equal(pf_loop_current(false), second);
    assert_int_equal(pf_loop_new(&options, &none), -EEXIST);
    assert_null(none);
    assert_int_equal(pf_loop_close(second, false), 0);
    pf_loop_unref(second);
    assert_null(pf_loop_current(false));             /* closing takes it away */
    assert_int_equal(pf_loop_new(NULL, &second), 0); /* PF_CURRENT_IF_NONE */
    assert_ptr_equal(pf_loop_current(false), second);
    assert_int_equal(pf_loop_make_current(first), 0);
    assert_ptr_equal(pf_loop_current(true), first);
    pf_loop_clear_current();
    assert_null(pf_loop_current(false));
    pf_loop_unref(first); /* not closed before: it is closed now */
    pf_loop_unref(second);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    pf_loop *loop = NULL;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.size = 1;
    assert_int_equal(pf_loop_new(&options, &loop), -EINVAL);
    options = (struct pf_loop_options)PF_LOOP_OPTIONS_INIT;
    options.make_current = (enum pf_make_current)77;
    assert_int_equal(pf_loop_new(&options, &loop), -EINVAL);
    options = (struct pf_loop_options)PF_LOOP_OPTIONS_INIT;
    options.error_policy = (enum pf_error_policy)77;
    assert_int_equal(pf_loop_new(&options, &loop), -EINVAL);
    assert_null(loop);
}

static void options_of_an_older_caller_are_taken_as_far_as_they_go(void **state)
{
    (void)state;
    pf_loop *loop;
    struct pf_loop_options options;
    memset(&options, 0x5a, sizeof options);
    options.size = offsetof(struct pf_loop_options, error_policy);
    options.make_current = PF_CURRENT_NEVER;
    assert_int_equal(pf_loop_new(&options, &loop), 0); /* the rest is not looked at */
    assert_null(pf_loop_current(false));
    pf_loop_unref(loop);

    struct {
        struct pf_loop_options known;
        char newer[64];
    } larger = {.known = PF_LOOP_OPTIONS_INIT};
    larger.known.size = sizeof larger;
    assert_int_equal(pf_loop_new(&larger.known, &loop), 0);
    pf_loop_unref(loop);
}

static int on_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo, (void)arg;
    return 0;
}

static void a_loop_without_descriptors_for_it_is_not_made(void **state)
{
    (void)state;
    pf_loop *loop = NULL;
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open_null();
    close(next);
    limit = before;
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int err = pf_loop_new(NULL, &loop);
    setrlimit(RLIMIT_NOFILE, &before);
    if (pf_backend()->descriptors == 0) { /* select */
        assert_int_equal(err, 0);
        assert_int_equal(pf_loop_close(loop, false), 0);
        pf_loop_unref(loop);
        return;
    }
    assert_int_equal(err, -EMFILE);
    assert_null(loop);
    assert_null(pf_loop_current(false));
    assert_null(pf_loop_owned());
    int fd = open_null(); /* and nothing of it is left */
    assert_int_equal(fd, next);
    close(fd);
}

static void a_loop_without_descriptors_to_be_woken_by_does_not_run(void **state)
{
    (void)state;
    pf_loop *loop = make_real();
    struct deed stopper = does("ran", act_stop);
    struct rlimit before, limit;
    add(loop, &stopper);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open_null();
    close(next);
    limit = before;
    for (rlim_t room = 0; room < 2; room++) { /* a pipe needs two */
        limit.rlim_cur = (rlim_t)next + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        int started = pf_loop_start(loop), turned = pf_loop_turn(loop, 0);
        int fd = pf_loop_fd(loop),
            signal = pf_loop_add_signal(loop, SIGUSR1, on_signal, loop);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(started, -EMFILE);
        assert_int_equal(turned, -EMFILE);
        assert_int_equal(fd, pf_backend()->has_fd ? -EMFILE : -ENOTSUP);
        assert_int_equal(signal, -EMFILE);
        assert_happened("");
    }
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("ran");
    drop(loop);
}

static int failing_open(void *arg, void **state)
{
    (void)arg, (void)state;
    return -EDOM;
}

static void what_the_pollers_open_answers_fails_the_loop(void **state)
{
    (void)state;
    struct pf_poller_ops ops = pf_poller_fake;
    struct pf_loop_options options = fake_options();
    pf_loop *loop = NULL;
    ops.open = failing_open;
    options.poller = &ops;
    assert_int_equal(pf_loop_new(&options, &loop), -EDOM);
    assert_null(loop);
}

static void what_the_poller_answers_for_the_waker_fails_the_start(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    fake_poller.add_error = -ENOSPC; /* its first registration */
    assert_int_equal(pf_loop_start(loop), -ENOSPC);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* the error came once */
    drop(loop);
}

static void references_keep_a_closed_loop_in_memory(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed deed = says("deed");
    assert_ptr_equal(pf_loop_ref(loop), loop);
    drop(loop);
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &deed), -ESTALE);
    assert_int_equal(pf_loop_check(loop), -ESTALE);
    pf_loop_unref(loop);
}

static void act_unref_and_stop(pf_loop *loop, struct deed *deed)
{
    pf_loop_unref(loop);
    act_stop(loop, deed);
    assert_int_equal(pf_loop_check(loop), 0); /* it lives while it runs */
}

static void the_last_reference_may_go_inside_a_callback(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed last = does("last", act_unref_and_stop), owned = says("owned");
    add(loop, &last);
    at_owned(loop, PF_NEVER, &owned);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("last destroyed");
    assert_null(pf_loop_current(false));
    assert_null(pf_loop_owned());
    close(fd_a);
    close(fd_b);
    close(fd_c);
}

static void act_assert_current(pf_loop *loop, struct deed *deed)
{
    (void)deed;
    assert_ptr_equal(pf_loop_current(false), loop);
}

static pf_loop *outer;

static void act_run_inner(pf_loop *loop, struct deed *deed)
{
    struct deed stop = does("inner", act_stop), current = does(NULL, act_assert_current);
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *inner;
    outer = loop;
    assert_int_equal(pf_loop_new(&options, &inner), 0);
    add(inner, &current);
    add(inner, &stop);
    assert_int_equal(pf_loop_start(inner), 0);
    act_assert_current(loop, deed);
    pf_loop_unref(inner);
    act_assert_current(loop, deed);
}

static void a_running_loop_is_current_and_the_former_one_comes_back(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed nested = does("outer", act_run_inner);
    pf_loop_clear_current();
    add(loop, &nested);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("outer inner");
    assert_null(pf_loop_current(false));
    drop(loop);
}

static void act_close_outer(pf_loop *loop, struct deed *deed)
{
    act_stop(loop, deed);
    assert_int_equal(pf_loop_close(outer, false), 0);
    pf_loop_unref(outer);
}

static void a_former_loop_that_was_freed_meanwhile_does_not_come_back(void **state)
{
    (void)state;
    struct deed close_it = does("close", act_close_outer);
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_NEVER;
    pf_loop *inner;
    assert_int_equal(pf_loop_new(NULL, &outer), 0);
    assert_int_equal(pf_loop_new(&options, &inner), 0);
    trace[0] = 0;
    add(inner, &close_it);
    assert_int_equal(pf_loop_start(inner), 0);
    assert_null(pf_loop_current(false));
    pf_loop_unref(inner);
}

static void current_makes_a_loop_if_asked(void **state)
{
    (void)state;
    struct deed stop = does("stop", act_stop);
    trace[0] = 0;
    assert_null(pf_loop_current(false));
    pf_loop *loop = pf_loop_current(true);
    assert_non_null(loop);
    assert_ptr_equal(pf_loop_current(true), loop);
    assert_ptr_equal(pf_loop_current(false), loop);
    assert_false(pf_loop_initialized()); /* this thread's, not the process's */
    add(loop, &stop);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_happened("stop");
    assert_int_equal(pf_loop_close(loop, false), 0); /* borrowed: nothing to give back */
    assert_null(pf_loop_current(false));
}

static void the_instance_is_made_once_and_forgotten_when_it_closes(void **state)
{
    (void)state;
    pf_loop *other;
    pf_loop_clear_instance(); /* without one: nothing happens */
    assert_false(pf_loop_initialized());
    pf_loop *instance = pf_loop_instance();
    assert_non_null(instance);
    assert_true(pf_loop_initialized());
    assert_ptr_equal(pf_loop_instance(), instance);
    assert_int_equal(pf_loop_new(NULL, &other), 0);
    assert_int_equal(pf_loop_install(other), -EEXIST);
    assert_int_equal(pf_loop_close(instance, false), 0);
    assert_false(pf_loop_initialized());
    assert_int_equal(pf_loop_install(other), 0);
    assert_int_equal(pf_loop_install(other), -EEXIST);
    assert_ptr_equal(pf_loop_instance(), other);
    pf_loop_clear_instance(); /* forgotten, not closed: we hold it too */
    assert_false(pf_loop_initialized());
    assert_int_equal(pf_loop_check(other), 0);
    assert_int_equal(pf_loop_install(other), 0);
    pf_loop_unref(other);
    assert_int_equal(pf_loop_check(other), 0); /* the instance's reference holds it */
    pf_loop_clear_instance();
    assert_null(pf_loop_owned());
}

static void the_program_owns_the_loops_that_are_not_internal(void **state)
{
    (void)state;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *internal, *first, *second;
    options.internal = true;
    assert_null(pf_loop_owned());
    assert_int_equal(pf_loop_new(&options, &internal), 0);
    assert_null(pf_loop_owned());
    assert_int_equal(pf_loop_new_at(NULL, "main.c:12", &first), 0);
    assert_string_equal(pf_loop_owned(), "main.c:12");
    assert_int_equal(pf_loop_new_at(NULL, NULL, &second), 0);
    assert_non_null(pf_loop_owned());
    pf_loop_unref(first);
    assert_non_null(pf_loop_owned()); /* made who knows where, but there */
    pf_loop_unref(second);
    assert_null(pf_loop_owned());
    assert_int_equal(pf_loop_new(NULL, &first), 0);
    assert_non_null(strstr(pf_loop_owned(), "test_loop.c:"));
    pf_loop_unref(first);
    pf_loop_unref(internal);
}

static void a_loop_of_this_process_cannot_be_discarded(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    assert_int_equal(pf_loop_discard(loop), -EBUSY);
    assert_int_equal(pf_loop_check(loop), 0);
    drop(loop);
}

/* ---- looking in ------------------------------------------------------------------ */

static void stats_count_what_happened(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed handler = returns(NULL, 0), callback = returns(NULL, 0),
                timer = returns(NULL, 0);
    watch(loop, fd_a, PF_READ, &handler);
    watch(loop, fd_b, PF_READ, &handler);
    ready(fd_a, PF_READ);
    ready(fd_b, PF_READ);
    for (int i = 0; i < 5; i++) {
        add(loop, &callback);
        at(loop, i, &timer);
    }
    at(loop, PF_NEVER, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 12);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    struct pf_loop_stats stats = stats_of(loop);
    assert_int_equal(stats.turns, 2);
    assert_int_equal(stats.polls, 2);
    assert_int_equal(stats.events, 4);
    assert_int_equal(stats.stale, 0);
    assert_int_equal(stats.callbacks, 5);
    assert_int_equal(stats.timers, 5);
    assert_int_equal(stats.wakes, 0);
    assert_int_equal(stats.handlers, 2);
    assert_int_equal(stats.timers_live, 1);
    drop(loop);
}

static void stats_fill_only_what_the_caller_knows(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct pf_loop_stats stats;
    memset(&stats, 0x5a, sizeof stats);
    stats.size = offsetof(struct pf_loop_stats, polls);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_int_equal(stats.turns, 1);
    assert_int_equal(stats.polls, UINT64_C(0x5a5a5a5a5a5a5a5a));
    stats.size = sizeof stats + 64;
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_int_equal(stats.size, sizeof stats);
    stats.size = 0;
    assert_int_equal(pf_loop_stats(loop, &stats), -EINVAL);
    drop(loop);
}

static uint64_t beat_word;

static void act_read_beat(pf_loop *loop, struct deed *deed)
{
    (void)loop;
    deed->ns = (int64_t)beat_word;
}

static void the_beat_is_odd_while_callbacks_run_and_even_while_the_loop_sleeps(void **state)
{
    (void)state;
    pf_loop *loop = make_fake();
    struct deed handler = does(NULL, act_read_beat);
    beat_word = 99;
    assert_int_equal(pf_loop_set_beat(loop, &beat_word), 0);
    watch(loop, fd_a, PF_READ, &handler);
    ready(fd_a, PF_READ);
    for (int turn = 0; turn < 3; turn++) {
        struct deed callback = does(NULL, act_read_beat), timer = does(NULL, act_read_beat);
        add(loop, &callback);
        at(loop, 0, &timer);
        assert_int_equal(beat_word, turn * 2);
        assert_int_equal(pf_loop_turn(loop, 0), 3);
        assert_int_equal(callback.ns, turn * 2 + 1);
        assert_int_equal(timer.ns, turn * 2 + 1);
        assert_int_equal(handler.ns, turn * 2 + 3);
    }
    assert_int_equal(beat_word % 2, 0);
    assert_int_equal(pf_loop_set_beat(loop, NULL), 0);
    beat_word = 99;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(beat_word, 99);
    assert_int_equal(pf_loop_set_beat(loop, &beat_word), 0);
    drop(loop);
    assert_int_equal(beat_word % 2, 0);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(callbacks_run_first_then_timers_then_handlers),
        pf_test(what_a_callback_adds_runs_after_the_next_poll),
        pf_test(what_a_timer_adds_waits_for_the_next_iteration),
        pf_test(due_timers_are_chosen_before_any_callback_runs),
        pf_test(a_due_timer_can_be_removed_by_a_callback_or_an_earlier_timer),
        pf_test(the_poll_sleeps_until_the_next_timer_and_not_longer),
        pf_test(callbacks_that_add_callbacks_for_ever_do_not_starve_descriptors),
        pf_test(a_timer_that_rearms_itself_with_no_delay_does_not_starve_descriptors),
        pf_test(stop_from_a_callback_ends_the_pass_and_skips_the_poll),
        pf_test(stop_from_a_timer_ends_the_pass_and_skips_the_poll),
        pf_test(stop_from_a_handler_ends_the_batch_and_one_more_pass),
        pf_test(stop_before_start_runs_nothing_and_two_count_once),
        pf_test(a_failing_poller_ends_start_and_turn_and_the_loop_can_go_on),
        pf_test(a_running_loop_refuses_to_be_run_or_closed_from_inside),
        pf_test(a_turn_sleeps_at_most_as_long_as_it_may),
        pf_test(the_next_deadline_is_now_or_the_earliest_timer_or_never),
        pf_test(the_loops_descriptor_polls_readable_while_a_handler_is_due),
        pf_test(a_poller_without_a_descriptor_says_so),
        pf_test(past_negative_and_zero_deadlines_are_due_at_once),
        pf_test(never_never_comes_and_an_overflow_is_refused),
        pf_test(equal_deadlines_fire_in_the_order_they_were_added),
        pf_test(a_delay_counts_from_the_call_and_not_from_the_start_of_the_pass),
        pf_test(stale_timers_are_unknown_and_harmless),
        pf_test(a_timer_that_runs_has_fired_already),
        pf_test(now_is_read_once_a_batch_and_time_each_time),
        pf_test(no_timer_fires_early_on_the_real_clock),
        pf_test(bad_handlers_are_refused_and_nothing_changes),
        pf_test(a_huge_number_that_is_not_open_is_a_bad_descriptor),
        pf_test(a_second_registration_is_refused_and_the_first_stays),
        pf_test(bad_updates_are_refused_and_nothing_changes),
        pf_test(an_update_asks_the_poller_only_if_the_events_differ),
        pf_test(an_exclusive_registration_is_made_anew_and_a_failure_pauses_it),
        pf_test(an_exclusive_registration_is_told_like_any_other),
        pf_test(removing_twice_is_unknown_and_a_closed_descriptor_can_be_removed),
        pf_test(a_reader_hears_of_reading_only),
        pf_test(an_event_that_is_no_longer_asked_for_is_not_delivered),
        pf_test(paused_means_that_not_even_a_hang_up_wakes_the_loop),
        pf_test(a_handler_may_remove_itself_and_others_of_its_batch),
        pf_test(a_number_reused_within_the_batch_gets_no_stale_event),
        pf_test(a_number_filled_by_dup2_behind_the_loops_back_can_be_added),
        pf_test(events_of_a_file_that_only_a_child_still_holds_do_not_spin),
        pf_test(the_loops_descriptor_outlives_the_ghosts),
        pf_test(what_fails_against_ghosts_is_tried_once_a_second),
        pf_test(the_first_of_2500_ready_descriptors_can_remove_them_all),
        pf_test(more_ready_descriptors_than_one_poll_fetches_all_get_their_turn),
        pf_test(a_handler_that_is_done_is_removed),
        pf_test(a_positive_result_without_meaning_is_success),
        pf_test(a_broken_pipe_is_silent_from_handlers_and_reported_from_others),
        pf_test(a_report_says_what_failed_and_where_it_was_registered),
        pf_test(sixteen_failures_in_a_row_disable_a_handler_until_it_is_updated),
        pf_test(a_success_in_between_starts_the_count_again),
        pf_test(broken_pipes_count_as_failures_too),
        pf_test(a_handler_that_removed_itself_is_still_reported),
        pf_test(the_disable_policy_disables_at_the_first_failure),
        pf_test(the_stop_policy_ends_start_with_the_first_error),
        pf_test(without_a_hook_errors_go_to_the_log),
        pf_test(what_has_run_is_destroyed_once_and_after_it_returned),
        pf_test(a_handler_is_destroyed_once_whichever_way_it_is_removed),
        pf_test(a_handler_that_replaces_itself_is_destroyed_when_it_returns),
        pf_test(a_timer_is_destroyed_once_when_it_is_removed),
        pf_test(close_and_the_last_unref_destroy_what_is_left_once),
        pf_test(a_refused_registration_leaves_the_arg_to_the_caller),
        pf_test(a_full_queue_refuses_and_takes_again_when_it_has_run),
        pf_test(every_callback_is_delivered_even_twice_the_same),
        pf_test(a_full_signal_ring_refuses_and_takes_again_when_it_has_run),
        pf_test(null_is_refused_everywhere),
        pf_test(a_closed_loop_answers_estale),
        pf_test(close_leaves_descriptors_open_unless_told_otherwise),
        pf_test(a_new_loop_becomes_current_as_its_options_say),
        pf_test(options_out_of_range_are_refused),
        pf_test(options_of_an_older_caller_are_taken_as_far_as_they_go),
        pf_test(a_loop_without_descriptors_for_it_is_not_made),
        pf_test(a_loop_without_descriptors_to_be_woken_by_does_not_run),
        pf_test(what_the_poller_answers_for_the_waker_fails_the_start),
        pf_test(what_the_pollers_open_answers_fails_the_loop),
        pf_test(references_keep_a_closed_loop_in_memory),
        pf_test(the_last_reference_may_go_inside_a_callback),
        pf_test(a_running_loop_is_current_and_the_former_one_comes_back),
        pf_test(a_former_loop_that_was_freed_meanwhile_does_not_come_back),
        pf_test(current_makes_a_loop_if_asked),
        pf_test(the_instance_is_made_once_and_forgotten_when_it_closes),
        pf_test(the_program_owns_the_loops_that_are_not_internal),
        pf_test(a_loop_of_this_process_cannot_be_discarded),
        pf_test(stats_count_what_happened),
        pf_test(stats_fill_only_what_the_caller_knows),
        pf_test(the_beat_is_odd_while_callbacks_run_and_even_while_the_loop_sleeps),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
