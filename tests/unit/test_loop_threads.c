/*
 * The loop among threads: what add_callback promises to producers, who may call what, how a
 * loop changes hands, and callbacks from signal handlers. Threads assert nothing: they
 * leave answers, which the main thread looks at when it has joined them.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

enum {
    PRODUCERS = 8,
    EACH = UNDER_TSAN ? 2000 : 20000, /* callbacks of one producer */
};

/* ---- tools ----------------------------------------------------------------------- */

static pf_loop *make(void)
{
    pf_loop *loop;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static pthread_t start_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    return thread;
}

static void join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* False if nothing came in time: a test that would hang fails. */
static bool wait_for(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PF_TEST_DEADLINE_S;
    int err;
    do
        err = sem_timedwait(sem, &until);
    while (err == -1 && errno == EINTR);
    return err == 0;
}

static struct pf_loop_stats stats_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats;
}

static int stop_loop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static int count_up(pf_loop *loop, void *arg)
{
    (void)loop;
    ++*(int *)arg;
    return 0;
}

static int fail_on_deadline(pf_loop *loop, void *arg)
{
    (void)loop;
    *(bool *)arg = true;
    return pf_loop_stop(loop);
}

/* Start the loop; false if it had to be stopped because nobody else did. */
static bool run_until_stopped(pf_loop *loop)
{
    bool late = false;
    pf_timer timer;
    assert_int_equal(pf_loop_call_later(loop, PF_TEST_DEADLINE_S * PF_SECOND,
                                        fail_on_deadline, &late, &timer),
                     0);
    assert_int_equal(pf_loop_start(loop), 0);
    if (!late)
        assert_int_equal(pf_loop_remove_timeout(loop, timer), 0);
    return !late;
}

/* ---- producers ------------------------------------------------------------------- */

struct crowd {
    pf_loop *loop;
    pthread_barrier_t together;
    int arrived[PRODUCERS]; /* the loop's thread only */
    int out_of_order;
    int left;
    int wake_every; /* each producer waits for the loop after so many; 0: never */
    sem_t seen[PRODUCERS];
};

struct message {
    struct crowd *crowd;
    int producer, sequence;
};

struct producer {
    struct crowd *crowd;
    int number;
    int refused;
    struct message messages[EACH];
};

static int on_message(pf_loop *loop, void *arg)
{
    const struct message *message = arg;
    struct crowd *crowd = message->crowd;
    if (crowd->arrived[message->producer]++ != message->sequence)
        crowd->out_of_order++;
    if (crowd->wake_every && (message->sequence + 1) % crowd->wake_every == 0)
        sem_post(&crowd->seen[message->producer]);
    return --crowd->left == 0 ? pf_loop_stop(loop) : 0;
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct crowd *crowd = producer->crowd;
    pthread_barrier_wait(&crowd->together);
    for (int i = 0; i < EACH; i++) {
        struct message *message = &producer->messages[i];
        *message = (struct message){crowd, producer->number, i};
        if (pf_loop_add_callback(crowd->loop, on_message, message) != 0)
            producer->refused++;
        if (crowd->wake_every && (i + 1) % crowd->wake_every == 0 &&
            !wait_for(&crowd->seen[producer->number]))
            producer->refused++;
    }
    return NULL;
}

static void let_producers_add(int wake_every)
{
    static struct producer producers[PRODUCERS];
    struct crowd crowd = {.loop = make(), .left = PRODUCERS * EACH};
    pthread_t threads[PRODUCERS];
    crowd.wake_every = wake_every;
    pthread_barrier_init(&crowd.together, NULL, PRODUCERS);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.crowd = &crowd, .number = i};
        sem_init(&crowd.seen[i], 0, 0);
        threads[i] = start_thread(produce, &producers[i]);
    }
    bool in_time = run_until_stopped(crowd.loop);
    for (int i = 0; i < PRODUCERS; i++)
        join(threads[i]);
    assert_true(in_time);
    assert_int_equal(crowd.left, 0);
    assert_int_equal(crowd.out_of_order, 0);
    for (int i = 0; i < PRODUCERS; i++) {
        assert_int_equal(producers[i].refused, 0);
        assert_int_equal(crowd.arrived[i], EACH);
        sem_destroy(&crowd.seen[i]);
    }
    struct pf_loop_stats stats = stats_of(crowd.loop);
    assert_int_equal(stats.callbacks, PRODUCERS * EACH);
    assert_true(stats.wakes <= stats.polls + 1); /* one byte for each sleep, at most */
    pthread_barrier_destroy(&crowd.together);
    drop(crowd.loop);
}

static void callbacks_of_eight_threads_all_arrive_once_and_in_order(void **state)
{
    (void)state;
    let_producers_add(0);
}

/* Here the loop falls asleep all the time: a lost wake-up would stop everything. */
static void no_wakeup_is_lost_between_the_look_and_the_sleep(void **state)
{
    (void)state;
    let_producers_add(1);
}

struct burst {
    pf_loop *loop;
    int ran;
    int refused;
};

static void *add_a_thousand(void *arg)
{
    struct burst *burst = arg;
    for (int i = 0; i < 1000; i++)
        if (pf_loop_add_callback(burst->loop, count_up, &burst->ran) != 0)
            burst->refused++;
    return NULL;
}

static int let_others_add(pf_loop *loop, void *arg)
{
    struct burst *burst = arg;
    uint64_t before = stats_of(loop).wakes;
    join(start_thread(add_a_thousand, burst));
    assert_int_equal(stats_of(loop).wakes, before); /* it is awake, and will look */
    return pf_loop_add_callback(loop, stop_loop, NULL);
}

static void a_loop_that_is_awake_is_not_woken(void **state)
{
    (void)state;
    struct burst burst = {.loop = make()};
    assert_int_equal(pf_loop_add_callback(burst.loop, let_others_add, &burst), 0);
    assert_true(run_until_stopped(burst.loop));
    assert_int_equal(burst.refused, 0);
    assert_int_equal(burst.ran, 1000);
    assert_int_equal(stats_of(burst.loop).wakes, 0);
    drop(burst.loop);
}

static void any_number_of_callbacks_wake_a_sleeping_loop_with_one_byte(void **state)
{
    (void)state;
    struct burst burst = {.loop = make()};
    assert_int_equal(pf_loop_turn(burst.loop, 0), 0);
    for (int round = 1; round <= 3; round++) {
        join(start_thread(add_a_thousand, &burst)); /* not running is asleep */
        assert_int_equal(stats_of(burst.loop).wakes, round);
        assert_int_equal(pf_loop_turn(burst.loop, 0), 1000);
    }
    assert_int_equal(burst.ran, 3000);
    drop(burst.loop);
}

static void a_callback_of_another_thread_shows_in_the_loops_descriptor(void **state)
{
    (void)state;
    struct burst burst = {.loop = make()};
    assert_false(pf_backend_polls_readable(burst.loop, false));
    join(start_thread(add_a_thousand, &burst));
    assert_true(pf_backend_polls_readable(burst.loop, true));
    assert_int_equal(pf_loop_turn(burst.loop, 0), 1000);
    assert_false(pf_backend_polls_readable(burst.loop, false));
    drop(burst.loop);
}

static int let_others_add_quietly(pf_loop *loop, void *arg)
{
    (void)loop;
    join(start_thread(add_a_thousand, arg));
    return 0;
}

static void one_added_while_a_turn_runs_shows_in_the_loops_descriptor_too(void **state)
{
    (void)state;
    struct burst burst = {.loop = make()};
    assert_int_equal(pf_loop_add_callback(burst.loop, let_others_add_quietly, &burst), 0);
    assert_int_equal(pf_loop_turn(burst.loop, 0), 1);
    assert_true(pf_backend_polls_readable(burst.loop, true));
    assert_int_equal(pf_loop_turn(burst.loop, 0), 1000);
    assert_false(pf_backend_polls_readable(burst.loop, false));
    drop(burst.loop);
}

static void *stop_from_outside(void *arg)
{
    pf_loop_add_callback(arg, stop_loop, NULL);
    return NULL;
}

static void a_sleeping_loop_is_stopped_by_a_callback_of_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        pf_loop *loop = make();
        pthread_t thread = start_thread(stop_from_outside, loop);
        assert_true(run_until_stopped(loop));
        join(thread);
        drop(loop);
    }
}

/* ---- who may call what ----------------------------------------------------------- */

static int never_called(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    abort();
}

static int never_handled(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events;
    return never_called(loop, arg);
}

struct foreigner {
    pf_loop *loop;
    pf_timer timer;
    int fd;
    int answers[32];
    int count;
    int64_t ns;
    uint64_t beat;
};

static void *call_what_only_the_owner_may(void *arg)
{
    struct foreigner *f = arg;
    pf_loop *loop = f->loop;
    struct pf_loop_stats stats = {.size = sizeof stats};
    const int answers[] = {
        pf_loop_check(loop),
        pf_loop_stop(loop),
        pf_loop_turn(loop, 0),
        pf_loop_fd(loop),
        pf_loop_next_deadline(loop, &f->ns),
        pf_loop_time(loop, &f->ns),
        (int)pf_loop_now(loop),
        pf_loop_reserve(loop, 1, 1, 1),
        pf_loop_install(loop),
        pf_loop_add_handler(loop, f->fd, PF_READ, never_handled, NULL),
        pf_loop_update_handler(loop, f->fd, 0),
        pf_loop_remove_handler(loop, f->fd),
        pf_loop_call_at(loop, 0, never_called, NULL, NULL),
        pf_loop_call_later(loop, 0, never_called, NULL, NULL),
        pf_loop_remove_timeout(loop, f->timer),
        pf_loop_stats(loop, &stats),
        pf_loop_set_beat(loop, &f->beat),
    };
    f->count = sizeof answers / sizeof *answers;
    memcpy(f->answers, answers, sizeof answers);
    return NULL;
}

static void what_belongs_to_the_owner_answers_eperm_elsewhere(void **state)
{
    (void)state;
    struct foreigner f = {.loop = make(), .ns = 77, .beat = 77};
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    f.fd = fds[0];
    assert_int_equal(pf_loop_add_handler(f.loop, fds[0], PF_READ, never_handled, NULL), 0);
    assert_int_equal(pf_loop_call_at(f.loop, PF_NEVER, never_called, NULL, &f.timer), 0);
    join(start_thread(call_what_only_the_owner_may, &f));
    for (int i = 0; i < f.count; i++)
        assert_int_equal(f.answers[i], -EPERM);
    assert_true(f.ns == 77 && f.beat == 77);
    assert_int_equal(pf_loop_turn(f.loop, 0), 0);
    assert_int_equal(stats_of(f.loop).handlers, 1);
    assert_int_equal(pf_loop_remove_timeout(f.loop, f.timer), 0);
    assert_false(pf_loop_initialized());
    drop(f.loop);
    close(fds[0]);
    close(fds[1]);
}

struct elsewhere {
    pf_loop *loop;
    int ran;
    int answers[3];
    bool same, initialized;
};

static void *call_what_anyone_may(void *arg)
{
    struct elsewhere *e = arg;
    e->same = pf_loop_ref(e->loop) == e->loop && pf_loop_instance() == e->loop;
    e->initialized = pf_loop_initialized();
    e->answers[0] = pf_loop_add_callback(e->loop, count_up, &e->ran);
    e->answers[1] = pf_loop_spawn_callback(e->loop, count_up, &e->ran);
    e->answers[2] = pf_loop_add_callback_from_signal(e->loop, count_up, &e->ran);
    pf_loop_unref(e->loop);
    return NULL;
}

static void some_calls_are_for_every_thread(void **state)
{
    (void)state;
    struct elsewhere e = {.loop = pf_loop_instance()};
    assert_non_null(e.loop);
    join(start_thread(call_what_anyone_may, &e));
    for (int i = 0; i < 3; i++)
        assert_int_equal(e.answers[i], 0);
    assert_true(e.same && e.initialized);
    assert_int_equal(pf_loop_turn(e.loop, 0), 3);
    assert_int_equal(e.ran, 3);
    assert_int_equal(pf_loop_close(e.loop, false), 0);
    assert_false(pf_loop_initialized());
}

/* ---- taking over ----------------------------------------------------------------- */

struct runner {
    pf_loop *loop;
    sem_t runs;
    int result;
    pf_loop *current;
};

static int post_running(pf_loop *loop, void *arg)
{
    struct runner *runner = arg;
    runner->current = pf_loop_current(false) == loop ? loop : NULL;
    sem_post(&runner->runs);
    return 0;
}

static void *run_loop(void *arg)
{
    struct runner *runner = arg;
    runner->result = pf_loop_start(runner->loop);
    return NULL;
}

static void a_loop_goes_to_the_thread_that_starts_it_and_comes_back(void **state)
{
    (void)state;
    struct runner runner = {.loop = make(), .result = 1};
    pf_loop *loop = runner.loop;
    sem_init(&runner.runs, 0, 0);
    assert_int_equal(pf_loop_add_callback(loop, post_running, &runner), 0);
    pthread_t thread = start_thread(run_loop, &runner);
    assert_true(wait_for(&runner.runs));
    assert_int_equal(pf_loop_check(loop), -EPERM);
    assert_int_equal(pf_loop_stop(loop), -EPERM);
    assert_int_equal(pf_loop_start(loop), -EBUSY);
    assert_int_equal(pf_loop_make_current(loop), -EBUSY);
    assert_int_equal(pf_loop_close(loop, true), -EBUSY);
    assert_int_equal(pf_loop_add_callback(loop, stop_loop, NULL), 0);
    join(thread);
    assert_int_equal(runner.result, 0);
    assert_ptr_equal(runner.current, loop);

    assert_int_equal(pf_loop_check(loop), -EPERM); /* stopped, but still the other's */
    assert_int_equal(pf_loop_turn(loop, 0), -EPERM);
    assert_int_equal(pf_loop_make_current(loop), 0);
    assert_int_equal(pf_loop_check(loop), 0);
    assert_ptr_equal(pf_loop_current(false), loop);
    sem_destroy(&runner.runs);
    drop(loop);
}

static void *make_without_closing(void *arg)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    return pf_loop_new(&options, arg) == 0 ? arg : NULL;
}

static void a_loop_whose_maker_is_gone_is_closed_by_another(void **state)
{
    (void)state;
    pf_loop *loop = NULL;
    join(start_thread(make_without_closing, &loop));
    assert_non_null(loop);
    assert_int_equal(pf_loop_close(loop, false), 0);
    assert_int_equal(pf_loop_close(loop, false), -ESTALE);
    pf_loop_unref(loop);

    join(start_thread(make_without_closing, &loop));
    pf_loop_unref(loop); /* the last reference closes, in whichever thread */
    assert_null(pf_loop_owned());
}

struct maker {
    pf_loop *loop;
    sem_t made, closed;
    bool current_at_first, none_at_last;
};

static void *make_and_look_again(void *arg)
{
    struct maker *maker = arg;
    if (pf_loop_new(NULL, &maker->loop) == 0)
        maker->current_at_first = pf_loop_current(false) == maker->loop;
    sem_post(&maker->made);
    if (wait_for(&maker->closed))
        maker->none_at_last = pf_loop_current(false) == NULL;
    return NULL;
}

static void a_loop_freed_elsewhere_is_no_longer_current(void **state)
{
    (void)state;
    struct maker maker = {0};
    sem_init(&maker.made, 0, 0);
    sem_init(&maker.closed, 0, 0);
    pthread_t thread = start_thread(make_and_look_again, &maker);
    assert_true(wait_for(&maker.made));
    drop(maker.loop); /* and its memory is gone */
    sem_post(&maker.closed);
    join(thread);
    assert_true(maker.current_at_first);
    assert_true(maker.none_at_last);
    sem_destroy(&maker.made);
    sem_destroy(&maker.closed);
}

static void *get_instance(void *arg)
{
    pthread_barrier_wait(arg);
    return pf_loop_instance();
}

static void threads_that_race_for_the_instance_get_the_same(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_barrier_t together;
        pthread_t threads[PRODUCERS];
        void *got[PRODUCERS];
        pthread_barrier_init(&together, NULL, PRODUCERS);
        for (int i = 0; i < PRODUCERS; i++)
            threads[i] = start_thread(get_instance, &together);
        for (int i = 0; i < PRODUCERS; i++)
            assert_int_equal(pthread_join(threads[i], &got[i]), 0);
        for (int i = 1; i < PRODUCERS; i++)
            assert_ptr_equal(got[i], got[0]);
        assert_non_null(got[0]);
        assert_int_equal(pf_loop_close(got[0], false), 0);
        assert_null(pf_loop_owned());
        pthread_barrier_destroy(&together);
    }
}

static void *run_a_loop_of_ones_own(void *arg)
{
    pf_loop *loop;
    (void)arg;
    if (pf_loop_new(NULL, &loop) != 0)
        return NULL;
    void *good = loop;
    for (int i = 0; i < 100; i++) {
        int ran = 0;
        if (pf_loop_current(false) != loop ||
            pf_loop_add_callback(loop, count_up, &ran) != 0 || pf_loop_turn(loop, 0) != 1 ||
            ran != 1)
            good = NULL;
    }
    if (pf_loop_close(loop, false) != 0)
        good = NULL;
    pf_loop_unref(loop);
    return good;
}

static void each_thread_has_a_loop_of_its_own(void **state)
{
    (void)state;
    pthread_t threads[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        threads[i] = start_thread(run_a_loop_of_ones_own, NULL);
    for (int i = 0; i < PRODUCERS; i++) {
        void *good;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_non_null(good);
    }
    assert_null(pf_loop_owned());
}

static void count_one(void *arg)
{
    ++*(int *)arg;
}

/* Makes a loop that nobody else knows, and leaves a callback in it. */
static void *use_a_loop(void *dropped)
{
    pf_loop *loop = pf_loop_current(true);
    if (loop)
        (void)pf_loop_add_callback_full(loop, never_called, dropped, count_one, NULL);
    return NULL;
}

static void *hold_a_loop(void *out)
{
    *(pf_loop **)out = pf_loop_ref(pf_loop_current(true));
    return NULL;
}

static void a_loop_that_was_made_for_a_thread_goes_with_it(void **state)
{
    (void)state;
    int dropped = 0;
    join(start_thread(use_a_loop, &dropped));
    assert_int_equal(dropped, 1);

    pf_loop *held = NULL; /* this one somebody holds */
    join(start_thread(hold_a_loop, &held));
    assert_non_null(held);
    assert_int_equal(pf_loop_make_current(held), 0);
    drop(held);
}

/* ---- adding while the loop closes ------------------------------------------------ */

struct race {
    pf_loop *loop;
    pthread_barrier_t *together;
    bool from_signal; /* add as a signal handler would */
    int strange;      /* answers that are neither success nor an expected refusal */
    int closed;       /* closes that succeeded */
};

static void *add_until_closed(void *arg)
{
    struct race *race = arg;
    int err;
    pthread_barrier_wait(race->together);
    do {
        if (race->from_signal)
            err = pf_loop_add_callback_from_signal(race->loop, never_called, NULL);
        else
            err = pf_loop_add_callback(race->loop, never_called, NULL);
        if (err != 0 && err != -ESTALE && err != -EAGAIN && err != -ENOSPC)
            race->strange++;
    } while (err != -ESTALE);
    pf_loop_unref(race->loop);
    return NULL;
}

static void adding_while_the_loop_closes_writes_into_nobody_elses_descriptor(void **state)
{
    (void)state;
    enum {
        ROUNDS = 100,
        RACERS = 4
    };
    for (int round = 0; round < ROUNDS; round++) {
        pf_loop *loop = make();
        assert_int_equal(pf_loop_turn(loop, 0),
                         0); /* opens its waker, which is to be missed */
        pthread_barrier_t together;
        struct race races[RACERS];
        pthread_t threads[RACERS];
        int fds[8];
        pthread_barrier_init(&together, NULL, RACERS + 1);
        for (int i = 0; i < RACERS; i++) {
            races[i] = (struct race){.loop = pf_loop_ref(loop),
                                     .together = &together,
                                     .from_signal = i % 2 == 1};
            threads[i] = start_thread(add_until_closed, &races[i]);
        }
        pthread_barrier_wait(&together);
        drop(loop);
        for (int i = 0; i < 8; i += 2) /* these take the numbers that became free */
            assert_int_equal(pipe2(&fds[i], O_CLOEXEC | O_NONBLOCK), 0);
        for (int i = 0; i < RACERS; i++) {
            join(threads[i]);
            assert_int_equal(races[i].strange, 0);
        }
        for (int i = 0; i < 8; i += 2) {
            char byte;
            assert_int_equal(read(fds[i], &byte, 1), -1);
            assert_int_equal(errno, EAGAIN);
        }
        for (int i = 0; i < 8; i++)
            close(fds[i]);
        pthread_barrier_destroy(&together);
    }
}

static void *close_once(void *arg)
{
    struct race *race = arg;
    pthread_barrier_wait(race->together);
    int err = pf_loop_close(race->loop, false);
    if (err != 0 && err != -ESTALE && err != -EBUSY)
        race->strange++;
    if (err == 0)
        race->closed++;
    pf_loop_unref(race->loop);
    return NULL;
}

static void of_threads_that_race_to_close_exactly_one_does(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        pf_loop *loop = make();
        pthread_barrier_t together;
        struct race races[2];
        pthread_t threads[2];
        pthread_barrier_init(&together, NULL, 2);
        for (int i = 0; i < 2; i++) {
            races[i] = (struct race){.loop = pf_loop_ref(loop), .together = &together};
            threads[i] = start_thread(close_once, &races[i]);
        }
        join(threads[0]);
        join(threads[1]);
        assert_int_equal(races[0].strange + races[1].strange, 0);
        assert_int_equal(races[0].closed + races[1].closed, 1);
        assert_int_equal(pf_loop_close(loop, false), -ESTALE);
        pf_loop_unref(loop);
        pthread_barrier_destroy(&together);
    }
}

/* ---- from signal handlers -------------------------------------------------------- */

/*
 * ThreadSanitizer holds a signal back until the next system call that it knows to block; it
 * does not know epoll_pwait2(2), so there the loop would sleep on. The ring itself is tried
 * from threads, below.
 */
static void skip_under_tsan(void)
{
    if (UNDER_TSAN)
        skip();
}

static struct {
    pf_loop *loop;
    atomic_int accepted, refused, errno_lost;
    int ran;
    sem_t seen;
} signals;

static int on_signalled(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    signals.ran++;
    sem_post(&signals.seen);
    return 0;
}

static void handle_signal(int signo)
{
    (void)signo;
    int saved = errno;
    errno = EXDEV;
    int err = pf_loop_add_callback_from_signal(signals.loop, on_signalled, NULL);
    if (err == 0)
        atomic_fetch_add(&signals.accepted, 1);
    else
        atomic_fetch_add(&signals.refused, 1);
    if (errno != EXDEV)
        atomic_fetch_add(&signals.errno_lost, 1);
    errno = saved;
}

static void catch_signals(struct sigaction *before)
{
    struct sigaction action = {.sa_handler = handle_signal};
    memset(&signals, 0, sizeof signals);
    sem_init(&signals.seen, 0, 0);
    signals.loop = make();
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, before), 0);
}

static void release_signals(const struct sigaction *before)
{
    assert_int_equal(sigaction(SIGUSR1, before, NULL), 0);
    drop(signals.loop);
    sem_destroy(&signals.seen);
}

struct sender {
    pthread_t target;
    int count;
    bool one_by_one;
    bool in_time;
};

static void *send_signals(void *arg)
{
    struct sender *sender = arg;
    sender->in_time = true;
    for (int i = 0; i < sender->count && sender->in_time; i++) {
        pthread_kill(sender->target, SIGUSR1);
        if (sender->one_by_one)
            sender->in_time = wait_for(&signals.seen);
    }
    pf_loop_add_callback(signals.loop, stop_loop, NULL);
    return NULL;
}

static void every_signal_wakes_the_loop_wherever_it_strikes(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    struct sigaction before;
    skip_under_tsan();
    catch_signals(&before);
    struct sender sender = {.target = pthread_self(), .count = 2000, .one_by_one = true};
    pthread_t thread = start_thread(send_signals, &sender);
    assert_true(run_until_stopped(signals.loop));
    join(thread);
    assert_true(sender.in_time);
    assert_int_equal(signals.ran, 2000);
    assert_int_equal(atomic_load(&signals.errno_lost), 0);
    release_signals(&before);
}

static void a_storm_of_signals_loses_no_callback(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    struct sigaction before;
    skip_under_tsan();
    catch_signals(&before);
    struct sender sender = {.target = pthread_self(), .count = 50000};
    pthread_t thread = start_thread(send_signals, &sender);
    assert_true(run_until_stopped(signals.loop));
    join(thread);
    while (pf_loop_turn(signals.loop, 0) > 0)
        continue;
    assert_true(atomic_load(&signals.accepted) > 0);
    assert_int_equal(signals.ran, atomic_load(&signals.accepted));
    assert_int_equal(atomic_load(&signals.errno_lost), 0);
    release_signals(&before);
}

struct ring_user {
    pf_loop *loop;
    atomic_int ran;
};

static int count_up_atomically(pf_loop *loop, void *arg)
{
    (void)loop;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void *fill_the_ring(void *arg)
{
    struct ring_user *user = arg;
    for (int i = 0; i < EACH; i++)
        while (pf_loop_add_callback_from_signal(user->loop, count_up_atomically,
                                                &user->ran) != 0)
            sched_yield();
    return NULL;
}

static void what_many_threads_put_into_the_ring_arrives_once(void **state)
{
    (void)state;
    enum {
        USERS = 4
    };
    pf_loop *loop = make();
    struct ring_user users[USERS];
    pthread_t threads[USERS];
    for (int i = 0; i < USERS; i++) {
        users[i] = (struct ring_user){.loop = loop};
        threads[i] = start_thread(fill_the_ring, &users[i]);
    }
    for (int left = USERS * EACH; left > 0;) { /* asleep whenever the ring is empty */
        int ran = pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND);
        assert_true(ran >= 0);
        left -= ran;
    }
    for (int i = 0; i < USERS; i++) {
        join(threads[i]);
        assert_int_equal(atomic_load(&users[i].ran), EACH);
    }
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    drop(loop);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(callbacks_of_eight_threads_all_arrive_once_and_in_order),
        pf_test(no_wakeup_is_lost_between_the_look_and_the_sleep),
        pf_test(a_loop_that_is_awake_is_not_woken),
        pf_test(any_number_of_callbacks_wake_a_sleeping_loop_with_one_byte),
        pf_test(a_callback_of_another_thread_shows_in_the_loops_descriptor),
        pf_test(one_added_while_a_turn_runs_shows_in_the_loops_descriptor_too),
        pf_test(a_sleeping_loop_is_stopped_by_a_callback_of_another_thread),
        pf_test(what_belongs_to_the_owner_answers_eperm_elsewhere),
        pf_test(some_calls_are_for_every_thread),
        pf_test(a_loop_goes_to_the_thread_that_starts_it_and_comes_back),
        pf_test(a_loop_whose_maker_is_gone_is_closed_by_another),
        pf_test(a_loop_freed_elsewhere_is_no_longer_current),
        pf_test(threads_that_race_for_the_instance_get_the_same),
        pf_test(each_thread_has_a_loop_of_its_own),
        pf_test(a_loop_that_was_made_for_a_thread_goes_with_it),
        pf_test(adding_while_the_loop_closes_writes_into_nobody_elses_descriptor),
        pf_test(of_threads_that_race_to_close_exactly_one_does),
        pf_test(every_signal_wakes_the_loop_wherever_it_strikes),
        pf_test(a_storm_of_signals_loses_no_callback),
        pf_test(what_many_threads_put_into_the_ring_arrives_once),
    };
    return cmocka_run_group_tests_name("loop threads", tests, NULL, NULL);
}
