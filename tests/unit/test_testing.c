/*
 * What prefork/testing.h promises to the tests of applications: time moves only where they
 * move it, nothing waits, and what is left over is named.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include <prefork/loop.h>
#include <prefork/periodic.h>
#include <prefork/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pf_loop *make(struct pf_test_clock *clock)
{
    pf_loop *loop;
    assert_int_equal(pf_test_loop_new(clock, &loop), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void make_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void close_pipe(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* When something was called, on the test's clock. */
enum {
    CALLS = 16
};

struct calls {
    const struct pf_test_clock *clock;
    int64_t at_ns[CALLS];
    int count;
    int more; /* adds itself so many times more; -1: for ever */
};

static int on_call(pf_loop *loop, void *arg)
{
    struct calls *calls = arg;
    if (calls->count < CALLS)
        calls->at_ns[calls->count] = calls->clock->now_ns;
    calls->count++;
    if (calls->more != 0) {
        calls->more -= calls->more > 0;
        return pf_loop_add_callback(loop, on_call, calls);
    }
    return 0;
}

static int read_byte(pf_loop *loop, int fd, unsigned events, void *arg)
{
    char byte;
    (void)loop, (void)events;
    ++*(int *)arg;
    return read(fd, &byte, 1) == 1 ? 0 : -errno;
}

static int64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

/* ---- time ------------------------------------------------------------------------ */

static void the_loops_clock_is_the_tests(void **state)
{
    (void)state;
    struct pf_test_clock clock = {.now_ns = 7 * PF_SECOND};
    pf_loop *loop = make(&clock);
    int64_t now;
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(now == 7 * PF_SECOND);
    clock.now_ns = -3;
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(now == -3);
    drop(loop);
    assert_int_equal(pf_test_loop_new(NULL, &loop), -EINVAL);
    assert_int_equal(pf_test_loop_new(&clock, NULL), -EINVAL);
}

static void options_may_be_changed_before_the_loop_is_made(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    struct pf_loop_options options = pf_test_options(&clock);
    struct calls calls = {.clock = &clock};
    pf_loop *loop;
    options.callbacks_max = 1;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_add_callback(loop, on_call, &calls), 0);
    assert_int_equal(pf_loop_add_callback(loop, on_call, &calls), -ENOSPC);
    drop(loop);
}

static void every_new_loop_may_be_one_for_tests(void **state)
{
    (void)state;
    struct pf_test_clock clock = {.now_ns = 5};
    struct pf_loop_options options = pf_test_options(&clock);
    assert_int_equal(pf_loop_configure(&options), 0);
    pf_loop_clear_current();
    pf_loop *loop = pf_loop_current(true);
    int64_t now = 0;
    assert_non_null(loop);
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(now == 5);
    assert_int_equal(pf_loop_close(loop, false), 0);
    assert_int_equal(pf_loop_configure(NULL), 0);
    pf_backend_configure();
}

static void a_test_cannot_wait_beyond_the_end_of_time(void **state)
{
    (void)state;
    struct pf_test_clock clock = {.now_ns = 1};
    pf_loop *loop = make(&clock);
    assert_int_equal(pf_loop_turn(loop, INT64_MAX), 0);
    assert_true(clock.now_ns == INT64_MAX);
    drop(loop);
}

static void an_hour_passes_at_once_and_each_timer_runs_at_its_deadline(void **state)
{
    (void)state;
    struct pf_test_clock clock = {.now_ns = 1000};
    pf_loop *loop = make(&clock);
    struct calls calls = {.clock = &clock};
    static const int64_t delays[] = {0,
                                     1,
                                     PF_MICROSECOND,
                                     PF_MILLISECOND,
                                     PF_MILLISECOND + 1,
                                     90 * PF_SECOND,
                                     3599 * PF_SECOND,
                                     3600 * PF_SECOND,
                                     3600 * PF_SECOND + 1};
    int n = sizeof delays / sizeof *delays;
    for (int i = 0; i < n; i++)
        assert_int_equal(pf_loop_call_later(loop, delays[i], on_call, &calls, NULL), 0);
    int64_t began = real_ns();
    assert_int_equal(pf_test_advance(loop, &clock, 3600 * PF_SECOND), n - 1);
    assert_true(real_ns() - began < 3600 * PF_SECOND / 2);
    assert_true(clock.now_ns == 1000 + 3600 * PF_SECOND);
    for (int i = 0; i < n - 1; i++)
        assert_true(calls.at_ns[i] == 1000 + delays[i]);
    assert_int_equal(pf_test_advance(loop, &clock, 0), 0);
    assert_int_equal(pf_test_advance(loop, &clock, 1), 1);
    drop(loop);
}

static void time_that_is_advanced_without_timers_just_passes(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    assert_int_equal(pf_test_advance(loop, &clock, 5 * PF_SECOND), 0);
    assert_true(clock.now_ns == 5 * PF_SECOND);
    assert_int_equal(pf_test_advance(loop, &clock, 0), 0);
    assert_true(clock.now_ns == 5 * PF_SECOND);
    assert_int_equal(pf_test_advance(loop, &clock, -1), -EINVAL);
    assert_int_equal(pf_test_advance(loop, &clock, INT64_MAX), -EINVAL);
    assert_int_equal(pf_test_advance(loop, NULL, 1), -EINVAL);
    assert_int_equal(pf_test_advance(NULL, &clock, 1), -EINVAL);
    assert_true(clock.now_ns == 5 * PF_SECOND);
    assert_int_equal(pf_test_advance(loop, &clock, INT64_MAX - 5 * PF_SECOND), 0);
    assert_true(clock.now_ns == INT64_MAX);
    drop(loop);
}

static void timers_of_timers_run_within_the_same_advance(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    struct calls calls = {.clock = &clock};
    pf_periodic *periodic;
    assert_int_equal(pf_periodic_new(loop, 10 * PF_SECOND, on_call, &calls, &periodic), 0);
    assert_int_equal(pf_periodic_start(periodic), 0);
    assert_int_equal(pf_test_advance(loop, &clock, 55 * PF_SECOND), 5);
    for (int i = 0; i < 5; i++)
        assert_true(calls.at_ns[i] == (i + 1) * 10 * PF_SECOND);
    assert_int_equal(pf_test_advance(loop, &clock, 5 * PF_SECOND), 1);
    pf_periodic_free(periodic);
    drop(loop);
}

static void a_timer_that_was_removed_or_moved_does_not_hold_up_time(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    struct calls calls = {.clock = &clock};
    pf_timer removed, moved;
    assert_int_equal(pf_loop_call_at(loop, PF_SECOND, on_call, &calls, &removed), 0);
    assert_int_equal(pf_loop_call_at(loop, PF_SECOND + 1, on_call, &calls, NULL), 0);
    assert_int_equal(pf_loop_call_at(loop, 2 * PF_SECOND, on_call, &calls, &moved), 0);
    assert_int_equal(pf_loop_remove_timeout(loop, removed), 0);
    assert_int_equal(pf_loop_update_timeout(loop, moved, 2 * PF_SECOND + 5), 0);
    assert_int_equal(pf_test_advance(loop, &clock, 3 * PF_SECOND), 2);
    assert_true(calls.at_ns[0] == PF_SECOND + 1);
    assert_true(calls.at_ns[1] == 2 * PF_SECOND + 5);
    assert_true(clock.now_ns == 3 * PF_SECOND);
    drop(loop);
}

static int stop_loop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static void start_moves_the_clock_where_it_would_sleep(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    assert_int_equal(pf_loop_call_later(loop, 3600 * PF_SECOND, stop_loop, NULL, NULL), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_true(clock.now_ns == 3600 * PF_SECOND);
    drop(loop);
}

static void a_loop_that_would_sleep_for_ever_says_so(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    int fds[2], bytes = 0;
    make_pipe(fds);
    assert_int_equal(pf_loop_start(loop), -EDEADLK);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, read_byte, &bytes), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_call_later(loop, PF_NEVER, stop_loop, NULL, NULL), 0);
    assert_int_equal(pf_loop_start(loop), -EDEADLK); /* when it has read it */
    assert_int_equal(bytes, 1);
    assert_true(clock.now_ns == 0);
    drop(loop);
    close_pipe(fds);
}

struct other {
    pf_loop *loop;
    sem_t go;
    int err;
};

static void *add_stop(void *arg)
{
    struct other *other = arg;
    while (sem_wait(&other->go) != 0)
        continue;
    other->err = pf_loop_add_callback(other->loop, stop_loop, NULL);
    return NULL;
}

static int let_go(pf_loop *loop, void *arg)
{
    struct other *other = arg;
    (void)loop;
    sem_post(&other->go);
    return 0;
}

static void with_patience_other_threads_are_waited_for(void **state)
{
    (void)state;
    struct pf_test_clock clock = {.patience_ns = PF_TEST_DEADLINE_S * PF_SECOND};
    struct other other = {.loop = make(&clock), .err = -1};
    pthread_t thread;
    sem_init(&other.go, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, add_stop, &other), 0);
    assert_int_equal(pf_loop_add_callback(other.loop, let_go, &other), 0);
    assert_int_equal(pf_loop_start(other.loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(other.err, 0);
    assert_true(clock.now_ns == 0);
    clock.patience_ns = PF_MICROSECOND; /* and when it is at an end */
    assert_int_equal(pf_loop_start(other.loop), -EDEADLK);
    drop(other.loop);
    sem_destroy(&other.go);
}

/* ---- until idle ------------------------------------------------------------------ */

static void idle_means_that_nothing_is_left_to_do_now(void **state)
{
    (void)state;
    struct pf_test_clock clock = {.now_ns = 5};
    pf_loop *loop = make(&clock);
    struct calls calls = {.clock = &clock, .more = 9}, later = {.clock = &clock};
    int fds[2], bytes = 0;
    make_pipe(fds);
    assert_int_equal(pf_test_run_until_idle(loop), 0);
    assert_int_equal(pf_loop_add_callback(loop, on_call, &calls), 0);
    assert_int_equal(pf_loop_call_at(loop, 5, on_call, &calls, NULL), 0);
    assert_int_equal(pf_loop_call_at(loop, 6, on_call, &later, NULL), 0);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, read_byte, &bytes), 0);
    assert_int_equal(write(fds[1], "12345", 5), 5);
    assert_int_equal(pf_test_run_until_idle(loop), 11 + 5);
    assert_int_equal(bytes, 5);
    assert_int_equal(calls.count, 11);
    assert_int_equal(later.count, 0);
    assert_true(clock.now_ns == 5); /* time stood still */
    drop(loop);
    close_pipe(fds);
}

struct chain {
    int fds[2];
    struct chain *next;
    int bytes;
};

static int pass_on(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct chain *chain = arg;
    char byte;
    (void)loop, (void)events;
    if (read(fd, &byte, 1) != 1)
        return -EIO;
    chain->bytes++;
    return !chain->next || write(chain->next->fds[1], &byte, 1) == 1 ? 0 : -EIO;
}

static void parts_of_one_test_may_talk_through_pipes(void **state)
{
    (void)state;
    enum {
        LINKS = 20
    };
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    struct chain chain[LINKS];
    for (int i = 0; i < LINKS; i++) {
        chain[i] = (struct chain){.next = i + 1 < LINKS ? &chain[i + 1] : NULL};
        make_pipe(chain[i].fds);
        assert_int_equal(
            pf_loop_add_handler(loop, chain[i].fds[0], PF_READ, pass_on, &chain[i]), 0);
    }
    assert_int_equal(write(chain[0].fds[1], "x", 1), 1);
    assert_int_equal(pf_test_run_until_idle(loop), LINKS);
    assert_int_equal(chain[LINKS - 1].bytes, 1);
    drop(loop);
    for (int i = 0; i < LINKS; i++)
        close_pipe(chain[i].fds);
}

static void who_never_comes_to_rest_is_given_up(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    struct calls calls = {.clock = &clock, .more = -1};
    assert_int_equal(pf_loop_add_callback(loop, on_call, &calls), 0);
    assert_int_equal(pf_test_run_until_idle(loop), -EDEADLK);
    assert_int_equal(calls.count, PF_TEST_TURNS_MAX);
    assert_int_equal(pf_test_advance(loop, &clock, PF_SECOND), -EDEADLK);
    drop(loop);
    assert_int_equal(pf_test_run_until_idle(NULL), -EINVAL);
}

static int read_byte_and_stop(pf_loop *loop, int fd, unsigned events, void *arg)
{
    int err = read_byte(loop, fd, events, arg);
    return err ? err : pf_loop_stop(loop);
}

static void a_stop_does_not_end_it_before_all_is_done(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    int fds[2], bytes = 0;
    make_pipe(fds);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, read_byte_and_stop, &bytes),
                     0);
    assert_int_equal(write(fds[1], "123", 3), 3);
    assert_int_equal(pf_loop_stop(loop), 0);
    assert_int_equal(pf_test_run_until_idle(loop), 3);
    assert_int_equal(bytes, 3);
    drop(loop);
    close_pipe(fds);
}

static int on_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo;
    ++*(int *)arg;
    return 0;
}

static void signals_count_as_something_to_do(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    int told = 0;
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, on_signal, &told), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_test_run_until_idle(loop), 1);
    assert_int_equal(told, 1);
    drop(loop);
}

static int idle_inside(pf_loop *loop, void *arg)
{
    *(int *)arg = pf_test_run_until_idle(loop);
    return 0;
}

static void inside_a_call_it_is_refused(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    int answer = 0;
    assert_int_equal(pf_loop_add_callback(loop, idle_inside, &answer), 0);
    assert_int_equal(pf_test_run_until_idle(loop), 1);
    assert_int_equal(answer, -EBUSY);
    drop(loop);
}

/* ---- what is left ---------------------------------------------------------------- */

static void nothing_left_is_no_finding(void **state)
{
    (void)state;
    struct pf_test_mark mark;
    char why[256] = "untouched";
    int fds[2];
    make_pipe(fds); /* from before the mark: none of its business */
    pf_test_mark(&mark);
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    drop(loop);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), 0);
    close_pipe(fds); /* less than before is no leak */
    assert_int_equal(pf_test_check(&mark, why, sizeof why), 0);
}

static void each_descriptor_that_is_left_is_named_with_its_kind(void **state)
{
    (void)state;
    struct pf_test_mark mark;
    char why[256], expected[256];
    int pipes[2], sockets[2];
    pf_test_mark(&mark);
    make_pipe(pipes);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(pipes[1]);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), -EBUSY);
    snprintf(expected, sizeof expected,
             "descriptor %d (pipe), descriptor %d (socket), descriptor %d (socket), "
             "descriptor %d (file), descriptor %d (other)",
             pipes[0], sockets[0], sockets[1], file, other);
    assert_string_equal(why, expected);
    close(pipes[0]);
    close_pipe(sockets);
    close(file);
    close(other);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), 0);
}

static void a_child_that_is_left_is_a_finding_running_or_not(void **state)
{
    (void)state;
    struct pf_test_mark mark;
    char why[256];
    int fds[2];
    pf_test_mark(&mark);
    make_pipe(fds);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(fds[1]);
        fcntl(fds[0], F_SETFL, 0);
        _exit(read(fds[0], &byte, 1) == 0 ? 0 : 1); /* until the parent closes it */
    }
    close(fds[0]);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), -EBUSY);
    assert_non_null(strstr(why, "a child process"));
    struct pf_test_mark with_child;
    pf_test_mark(&with_child);
    assert_int_equal(pf_test_check(&with_child, why, sizeof why), 0);
    close(fds[1]);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), -EBUSY);
    assert_string_equal(why, "a child process"); /* ended, and not reaped */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), 0);
}

static void a_loop_that_is_left_is_named_by_where_it_was_made(void **state)
{
    (void)state;
    struct pf_test_mark mark;
    char why[256];
    pf_loop *loop;
    pf_test_mark(&mark);
    assert_int_equal(pf_loop_new_at(NULL, "app.c:12", &loop), 0);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), -EBUSY);
    assert_non_null(strstr(why, "a loop made at app.c:12"));
    if (pf_loop_fd(loop) != -ENOTSUP) /* select has none */
        assert_non_null(strstr(why, "descriptor "));
    pf_loop_unref(loop);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), 0);
}

static void a_text_is_cut_where_its_room_ends(void **state)
{
    (void)state;
    struct pf_test_mark mark;
    char whole[256], why[256];
    int fds[2];
    pf_test_mark(&mark);
    make_pipe(fds);
    assert_int_equal(pf_test_check(&mark, whole, sizeof whole), -EBUSY);
    for (size_t size = 1; size <= strlen(whole) + 2; size++) {
        memset(why, '#', sizeof why);
        assert_int_equal(pf_test_check(&mark, why, size), -EBUSY);
        size_t len = size - 1 < strlen(whole) ? size - 1 : strlen(whole);
        assert_int_equal(strlen(why), len);
        assert_memory_equal(why, whole, len);
        assert_int_equal(why[size], '#');
    }
    assert_int_equal(pf_test_check(&mark, why, 0), -EBUSY);
    assert_int_equal(pf_test_check(&mark, NULL, 0), -EBUSY);
    assert_int_equal(pf_test_check(&mark, NULL, 100), -EBUSY);
    close_pipe(fds);
}

static void assert_left(pf_loop *loop, const char *expected)
{
    char why[256];
    assert_int_equal(pf_test_check_loop(loop, why, sizeof why), -EBUSY);
    assert_string_equal(why, expected);
}

static void what_a_loop_would_still_call_is_named(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    pf_loop *loop = make(&clock);
    struct calls calls = {.clock = &clock};
    int fds[2], bytes = 0;
    char why[256] = "untouched", expected[256];
    pf_timer timer;
    make_pipe(fds);
    assert_int_equal(pf_test_check_loop(loop, why, sizeof why), 0);
    assert_string_equal(why, "untouched");
    assert_int_equal(pf_loop_add_signal_full(loop, SIGUSR1, on_signal, &bytes, NULL, NULL),
                     0);
    snprintf(expected, sizeof expected, "signal %d, registered at ?", SIGUSR1);
    assert_left(loop, expected);
    assert_int_equal(pf_loop_add_callback_full(loop, on_call, &calls, NULL, "app.c:3"), 0);
    assert_left(loop, "callback, registered at app.c:3");
    assert_int_equal(
        pf_loop_call_at_full(loop, PF_NEVER, on_call, &calls, NULL, "app.c:2", &timer), 0);
    assert_left(loop, "timer, registered at app.c:2");
    assert_int_equal(pf_loop_describe_timeout(loop, timer, "patience"), 0);
    assert_left(loop, "timer (patience), registered at app.c:2");
    assert_int_equal(
        pf_loop_add_handler_full(loop, fds[0], PF_READ, read_byte, &bytes, NULL, "app.c:1"),
        0);
    assert_int_equal(pf_loop_describe_handler(loop, fds[0], "client"), 0);
    snprintf(expected, sizeof expected,
             "handler of descriptor %d (client), registered at app.c:1", fds[0]);
    assert_left(loop, expected);
    assert_int_equal(pf_test_check_loop(loop, NULL, 0), -EBUSY);
    assert_int_equal(pf_test_check_loop(NULL, why, sizeof why), -EINVAL);
    pf_loop_ref(loop);
    drop(loop);
    assert_int_equal(pf_test_check_loop(loop, why, sizeof why), -ESTALE);
    pf_loop_unref(loop);
    close_pipe(fds);
}

/* ---- as an application would ----------------------------------------------------- */

/* A client that is dropped when it has said nothing for half a minute. */
struct client {
    int fd;
    pf_timer patience;
    bool dropped;
};

static int client_on_silence(pf_loop *loop, void *arg)
{
    struct client *client = arg;
    client->dropped = true;
    return pf_loop_remove_handler(loop, client->fd);
}

static int client_on_readable(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct client *client = arg;
    char bytes[16];
    (void)events;
    if (read(fd, bytes, sizeof bytes) <= 0)
        return -EIO;
    int64_t now;
    int err = pf_loop_time(loop, &now);
    return err ? err : pf_loop_update_timeout(loop, client->patience, now + 30 * PF_SECOND);
}

static void half_a_minute_of_silence_takes_no_time(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    struct pf_test_mark mark;
    char why[256];
    pf_test_mark(&mark);
    pf_loop *loop = make(&clock);
    int ends[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct client client = {.fd = ends[0]};
    assert_int_equal(
        pf_loop_add_handler(loop, ends[0], PF_READ, client_on_readable, &client), 0);
    assert_int_equal(pf_loop_call_later(loop, 30 * PF_SECOND, client_on_silence, &client,
                                        &client.patience),
                     0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(write(ends[1], "hello", 5), 5);
        assert_true(pf_test_advance(loop, &clock, 29 * PF_SECOND) >= 1);
        assert_false(client.dropped);
    }
    assert_true(pf_test_advance(loop, &clock, PF_SECOND) >= 0);
    assert_true(client.dropped);
    assert_int_equal(pf_test_check_loop(loop, why, sizeof why), 0);
    close_pipe(ends);
    drop(loop);
    assert_int_equal(pf_test_check(&mark, why, sizeof why), 0);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(the_loops_clock_is_the_tests),
        pf_test(options_may_be_changed_before_the_loop_is_made),
        pf_test(every_new_loop_may_be_one_for_tests),
        pf_test(a_test_cannot_wait_beyond_the_end_of_time),
        pf_test(an_hour_passes_at_once_and_each_timer_runs_at_its_deadline),
        pf_test(time_that_is_advanced_without_timers_just_passes),
        pf_test(timers_of_timers_run_within_the_same_advance),
        pf_test(a_timer_that_was_removed_or_moved_does_not_hold_up_time),
        pf_test(start_moves_the_clock_where_it_would_sleep),
        pf_test(a_loop_that_would_sleep_for_ever_says_so),
        pf_test(with_patience_other_threads_are_waited_for),
        pf_test(idle_means_that_nothing_is_left_to_do_now),
        pf_test(parts_of_one_test_may_talk_through_pipes),
        pf_test(who_never_comes_to_rest_is_given_up),
        pf_test(a_stop_does_not_end_it_before_all_is_done),
        pf_test(signals_count_as_something_to_do),
        pf_test(inside_a_call_it_is_refused),
        pf_test(nothing_left_is_no_finding),
        pf_test(each_descriptor_that_is_left_is_named_with_its_kind),
        pf_test(a_child_that_is_left_is_a_finding_running_or_not),
        pf_test(a_loop_that_is_left_is_named_by_where_it_was_made),
        pf_test(a_text_is_cut_where_its_room_ends),
        pf_test(what_a_loop_would_still_call_is_named),
        pf_test(half_a_minute_of_silence_takes_no_time),
    };
    return cmocka_run_group_tests_name("testing", tests, NULL, NULL);
}
