/*
 * A blocked loop is noticed from outside, once for each block, with what it is in; one that
 * sleeps never is. The callbacks here block until they have been noticed, so nothing
 * depends on how fast the machine is.
 */
#include "tests/lib/test.h"

#include "loop/internal.h"

#include <prefork/log.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

/* A threshold that is soon reached; but not by a machine that just has much to do. */
#define SHORT (25 * PF_MILLISECOND)
#define LONG  (3600 * PF_SECOND) /* one that never is */

/* ---- what is noticed ------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    int count;
    char last[PF_LOG_LINE_MAX + 1];
    sem_t came;
} lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void sink(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)len, (void)arg;
    if (!strstr(line, " loop-blocked ") || level != PF_LOG_WARN)
        return;
    pthread_mutex_lock(&lines.lock);
    lines.count++;
    snprintf(lines.last, sizeof lines.last, "%s", line);
    pthread_mutex_unlock(&lines.lock);
    sem_post(&lines.came);
}

static int line_count(void)
{
    pthread_mutex_lock(&lines.lock);
    int count = lines.count;
    pthread_mutex_unlock(&lines.lock);
    return count;
}

static void assert_last_says(const char *part)
{
    pthread_mutex_lock(&lines.lock);
    bool says = strstr(lines.last, part) != NULL;
    if (!says)
        print_error("not in \"%s\": %s\n", lines.last, part);
    pthread_mutex_unlock(&lines.lock);
    assert_true(says);
}

/* False if nothing came in time. */
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

static int setup(void **state)
{
    lines.count = 0;
    lines.last[0] = 0;
    sem_init(&lines.came, 0, 0);
    pf_log_set_sink(sink, NULL);
    return pf_test_setup(state);
}

static int teardown(void **state)
{
    pf_log_set_sink(NULL, NULL);
    sem_destroy(&lines.came);
    return pf_test_teardown(state);
}

#define watch_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- loops and what blocks them -------------------------------------------------- */

static pf_loop *make_at(const char *where)
{
    pf_loop *loop;
    assert_int_equal(pf_loop_new_at(NULL, where, &loop), 0);
    return loop;
}

static pf_loop *make_watched(int64_t threshold_ns)
{
    pf_loop *loop = make_at("made.c:1");
    assert_int_equal(pf_loop_set_blocking_threshold(loop, threshold_ns, 0), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

/* Blocks until it is noticed; *arg counts how often it was. */
static int block_until_noticed(pf_loop *loop, void *arg)
{
    (void)loop;
    *(int *)arg += wait_for(&lines.came);
    return 0;
}

static int block_in_handler(pf_loop *loop, int fd, unsigned events, void *arg)
{
    char byte;
    (void)events;
    return read(fd, &byte, 1) == 1 ? block_until_noticed(loop, arg) : -EIO;
}

static int block_in_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo;
    return block_until_noticed(loop, arg);
}

static int do_nothing(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

/* One block, and how often it was noticed. */
static int block_once(pf_loop *loop)
{
    int noticed = 0;
    assert_int_equal(
        pf_loop_add_callback_full(loop, block_until_noticed, &noticed, NULL, "block.c:1"),
        0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    return noticed;
}

/* Another loop of this process is watched with a short threshold, and blocked, so often:
 * the thread that looks has looked at all loops for a while. */
static void let_the_watcher_look(int times)
{
    pf_loop *other = make_watched(SHORT);
    for (int i = 0; i < times; i++)
        assert_int_equal(block_once(other), 1);
    drop(other);
}

static int threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    int n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2; /* . and .. */
}

/* A thread that was joined may stand in /proc for a moment yet. */
static void assert_threads_become(int count)
{
    time_t deadline = time(NULL) + PF_TEST_DEADLINE_S;
    while (threads() != count && time(NULL) < deadline)
        sched_yield();
    assert_int_equal(threads(), count);
}

/* ---- by the log ------------------------------------------------------------------ */

static void a_block_is_reported_once_with_what_it_is_in(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(SHORT);
    assert_int_equal(block_once(loop), 1);
    assert_int_equal(line_count(), 1);
    assert_last_says(" in=callback registered-at=block.c:1 loop-made-at=made.c:1");
    assert_last_says(" ms=");
    assert_int_equal(block_once(loop), 1); /* the next one again */
    assert_int_equal(line_count(), 2);
    drop(loop);
}

static int block_on_and_on(pf_loop *loop, void *arg)
{
    (void)block_until_noticed(loop, arg);
    let_the_watcher_look(3); /* a second line about this loop would come meanwhile */
    return 0;
}

static void one_block_is_not_reported_again_however_long_it_lasts(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(SHORT);
    int noticed = 0;
    assert_int_equal(
        pf_loop_add_callback_full(loop, block_on_and_on, &noticed, NULL, "on.c:1"), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(noticed, 1);
    assert_int_equal(line_count(), 4); /* this one's, and three of the other */
    drop(loop);
}

static void each_kind_of_call_is_named(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(SHORT);
    int fds[2], noticed = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pf_loop_add_handler_full(loop, fds[0], PF_READ, block_in_handler,
                                              &noticed, NULL, "handler.c:1"),
                     0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_last_says(" in=handler registered-at=handler.c:1 ");
    assert_int_equal(pf_loop_call_at_full(loop, 0, block_until_noticed, &noticed, NULL,
                                          "timer.c:1", NULL),
                     0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_last_says(" in=timer registered-at=timer.c:1 ");
    assert_int_equal(
        pf_loop_add_signal_full(loop, SIGUSR1, block_in_signal, &noticed, NULL, "sig.c:1"),
        0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_last_says(" in=signal registered-at=sig.c:1 ");
    assert_int_equal(pf_loop_spawn_callback(loop, block_until_noticed, &noticed), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_last_says(" in=callback registered-at=? ");
    assert_int_equal(noticed, 4);
    assert_int_equal(line_count(), 4);
    drop(loop);
    close(fds[0]);
    close(fds[1]);
}

static int stop_loop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static int block_and_stop(pf_loop *loop, void *arg)
{
    (void)block_until_noticed(loop, arg);
    return pf_loop_stop(loop);
}

static int block_and_add(pf_loop *loop, void *arg)
{
    (void)block_until_noticed(loop, arg);
    return pf_loop_add_callback(loop, block_and_stop, arg);
}

static void a_started_loop_is_watched_from_its_first_call_on(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(SHORT);
    int noticed = 0;
    assert_int_equal(pf_loop_add_callback(loop, block_and_add, &noticed), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_int_equal(noticed, 2); /* between them it has polled */
    assert_int_equal(line_count(), 2);
    drop(loop);
}

/* ---- who is not blocked ---------------------------------------------------------- */

struct sleeper {
    pf_loop *loop;
    sem_t ready;
    int err;
};

static int post_ready(pf_loop *loop, void *arg)
{
    (void)loop;
    sem_post(arg);
    return 0;
}

static void *sleep_in_a_loop(void *arg)
{
    struct sleeper *sleeper = arg;
    sleeper->err = pf_loop_new_at(NULL, "sleeper.c:1", &sleeper->loop);
    if (!sleeper->err)
        sleeper->err = pf_loop_set_blocking_threshold(sleeper->loop, 4 * SHORT, 0);
    if (!sleeper->err)
        sleeper->err = pf_loop_add_callback(sleeper->loop, post_ready, &sleeper->ready);
    if (sleeper->err)
        sem_post(&sleeper->ready);
    else
        sleeper->err = pf_loop_start(sleeper->loop);
    return NULL;
}

/* Of all the lines that come, none may be about the sleeper. */
static atomic_int about_sleeper;

static void sink_for_sleeper(enum pf_log_level level, const char *line, size_t len,
                             void *arg)
{
    if (strstr(line, "sleeper.c:1"))
        atomic_fetch_add(&about_sleeper, 1);
    sink(level, line, len, arg);
}

static void a_loop_that_sleeps_is_never_reported(void **state)
{
    (void)state;
    struct sleeper sleeper = {.err = -1};
    pthread_t thread;
    atomic_store(&about_sleeper, 0);
    pf_log_set_sink(sink_for_sleeper, NULL);
    sem_init(&sleeper.ready, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_a_loop, &sleeper), 0);
    assert_true(wait_for(&sleeper.ready));
    let_the_watcher_look(3); /* it may be on its way to sleep */
    int before = atomic_load(&about_sleeper);
    let_the_watcher_look(6);
    assert_int_equal(atomic_load(&about_sleeper), before);
    assert_int_equal(pf_loop_add_callback(sleeper.loop, stop_loop, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sleeper.err, 0);
    drop(sleeper.loop);
    sem_destroy(&sleeper.ready);
}

static void a_loop_that_does_not_run_is_never_reported(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(SHORT), *turned = make_watched(SHORT);
    assert_int_equal(pf_loop_add_callback(turned, do_nothing, NULL), 0);
    assert_int_equal(pf_loop_turn(turned, 0), 1); /* between the turns of a host */
    let_the_watcher_look(4);
    assert_int_equal(line_count(), 4);
    drop(turned);
    drop(loop);
}

/* A process that is stopped for longer than the threshold was not blocked. It counts a
 * block's time in its own periods, so only what it lived through is held against it: the
 * round is repeated if the machine let it live too long inside the callback. */
enum {
    STOPPED_THRESHOLD_MS = 400
};

struct stopped {
    int fds[2]; /* the child writes when it is inside; and is let go by a byte */
    int go[2];
    int64_t inside_ns;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

static int wait_inside(pf_loop *loop, void *arg)
{
    struct stopped *stopped = arg;
    char byte;
    (void)loop;
    int64_t began = now_ns();
    ssize_t told = write(stopped->fds[1], "x", 1);
    ssize_t n;
    do
        n = read(stopped->go[0], &byte, 1);
    while (n == -1 && errno == EINTR);
    stopped->inside_ns = now_ns() - began;
    return told == 1 && n == 1 ? 0 : -EIO;
}

enum {
    EXIT_REPORTED = 3,
    EXIT_TOO_SLOW = 4
};

static int live_stopped(struct stopped *stopped)
{
    pf_loop *loop;
    if (pf_loop_new(NULL, &loop) != 0 ||
        pf_loop_set_blocking_threshold(loop, STOPPED_THRESHOLD_MS * PF_MILLISECOND, 0) !=
            0 ||
        pf_loop_add_callback(loop, wait_inside, stopped) != 0 || pf_loop_turn(loop, 0) != 1)
        return 1;
    int reported = line_count();
    int64_t stood_ns;
    if (read(stopped->go[0], &stood_ns, sizeof stood_ns) != sizeof stood_ns)
        return 2;
    drop(loop);
    if (reported == 0)
        return 0;
    /* Half the threshold is what a stop may count at the most. */
    int64_t lived = stopped->inside_ns - stood_ns;
    return lived < STOPPED_THRESHOLD_MS * PF_MILLISECOND / 2 ? EXIT_REPORTED
                                                             : EXIT_TOO_SLOW;
}

static int stop_and_go_on(struct stopped *stopped, pid_t child)
{
    char byte;
    int status;
    assert_int_equal(read(stopped->fds[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    int64_t began = now_ns();
    /* time has to pass: nothing will ever be ready here */
    assert_int_equal(poll(NULL, 0, STOPPED_THRESHOLD_MS * 3 / 2), 0);
    int64_t stood_ns = now_ns() - began;
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(write(stopped->go[1], "x", 1), 1);
    assert_int_equal(write(stopped->go[1], &stood_ns, sizeof stood_ns), sizeof stood_ns);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_process_that_stood_still_is_not_reported(void **state)
{
    (void)state;
    int status = EXIT_TOO_SLOW;
    for (int round = 0; status == EXIT_TOO_SLOW && round < 10; round++) {
        struct stopped stopped = {.inside_ns = 0};
        assert_int_equal(pipe2(stopped.fds, O_CLOEXEC), 0);
        assert_int_equal(pipe2(stopped.go, O_CLOEXEC), 0);
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(live_stopped(&stopped));
        status = stop_and_go_on(&stopped, child);
        for (int i = 0; i < 2; i++) {
            close(stopped.fds[i]);
            close(stopped.go[i]);
        }
    }
    assert_int_equal(status, 0);
}

/* ---- by a signal ----------------------------------------------------------------- */

static struct {
    atomic_int count;
    pthread_t thread;
    sem_t came;
} struck;

static void strike(int signo)
{
    (void)signo;
    struck.thread = pthread_self();
    atomic_fetch_add(&struck.count, 1);
    sem_post(&struck.came);
}

static int block_until_struck(pf_loop *loop, void *arg)
{
    (void)loop;
    *(int *)arg += wait_for(&struck.came);
    return 0;
}

static void *run_and_be_struck(void *arg)
{
    int *noticed = arg;
    pf_loop *loop;
    if (pf_loop_new(NULL, &loop) != 0 ||
        pf_loop_set_blocking_threshold(loop, SHORT, SIGUSR1) != 0 ||
        pf_loop_add_callback(loop, block_until_struck, noticed) != 0 ||
        pf_loop_turn(loop, 0) != 1 || pf_loop_close(loop, false) != 0 ||
        !pthread_equal(struck.thread, pthread_self()))
        *noticed = -1;
    pf_loop_unref(loop);
    return NULL;
}

static void the_signal_strikes_the_loops_thread_once(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = strike}, before;
    pthread_t thread;
    int noticed = 0;
    sem_init(&struck.came, 0, 0);
    atomic_store(&struck.count, 0);
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    pf_loop *loop = make_at("made.c:1");
    assert_int_equal(pf_loop_set_blocking_threshold(loop, SHORT, SIGUSR1), 0);
    assert_int_equal(pf_loop_add_callback(loop, block_until_struck, &noticed), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(noticed, 1);
    assert_true(pthread_equal(struck.thread, pthread_self()));
    drop(loop);
    assert_int_equal(atomic_load(&struck.count), 1);
    assert_int_equal(line_count(), 0); /* and not by the log, too */

    noticed = 0; /* a loop of another thread's: there */
    assert_int_equal(pthread_create(&thread, NULL, run_and_be_struck, &noticed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(noticed, 1);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    sem_destroy(&struck.came);
}

/* ---- thresholds ------------------------------------------------------------------ */

static void bad_thresholds_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(SHORT);
    static const struct {
        int64_t threshold_ns;
        int signo;
    } rows[] = {{-1, 0},           {1, 0},     {PF_MILLISECOND - 1, 0},
                {INT64_MIN, 0},    {LONG, -1}, {LONG, 65},
                {LONG, INT32_MAX}, {0, -1},    {0, 65}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(
            pf_loop_set_blocking_threshold(loop, rows[i].threshold_ns, rows[i].signo),
            -EINVAL);
    assert_int_equal(pf_loop_set_blocking_threshold(NULL, SHORT, 0), -EINVAL);
    assert_int_equal(block_once(loop), 1); /* the good one is in force */
    pf_loop_ref(loop);
    drop(loop);
    assert_int_equal(pf_loop_set_blocking_threshold(loop, SHORT, 0), -ESTALE);
    pf_loop_unref(loop);
}

static void the_last_threshold_is_the_one_that_counts(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(LONG);
    assert_int_equal(pf_loop_set_blocking_threshold(loop, INT64_MAX, 0), 0);
    assert_int_equal(pf_loop_set_blocking_threshold(loop, SHORT, 0), 0);
    assert_int_equal(block_once(loop), 1);
    assert_int_equal(pf_loop_set_blocking_threshold(loop, LONG, 0), 0);
    assert_int_equal(line_count(), 1);
    drop(loop);
}

static int let_look(pf_loop *loop, void *arg)
{
    (void)loop;
    let_the_watcher_look(*(int *)arg);
    return 0;
}

static void below_its_threshold_a_call_is_not_reported(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(LONG);
    int times = 3;
    assert_int_equal(pf_loop_add_callback(loop, let_look, &times), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(line_count(), 3); /* the other loop's */
    assert_int_equal(pf_loop_set_blocking_threshold(loop, SHORT, 0), 0);
    assert_int_equal(pf_loop_set_blocking_threshold(loop, 0, 0), 0);
    assert_int_equal(pf_loop_add_callback(loop, let_look, &times), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(line_count(), 6);
    drop(loop);
}

static int change_threshold(pf_loop *loop, void *arg)
{
    int err = pf_loop_set_blocking_threshold(loop, 0, 0);
    if (!err)
        err = pf_loop_set_blocking_threshold(loop, SHORT, 0);
    return err ? err : block_until_noticed(loop, arg);
}

static void the_threshold_may_be_changed_inside_a_call(void **state)
{
    (void)state;
    pf_loop *loop = make_watched(LONG);
    int noticed = 0;
    assert_int_equal(pf_loop_add_callback(loop, change_threshold, &noticed), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(noticed, 1);
    drop(loop);
}

/* ---- the thread ------------------------------------------------------------------ */

static void one_thread_watches_all_loops_and_goes_with_the_last(void **state)
{
    (void)state;
    let_the_watcher_look(1); /* a sanitizer may have made threads of its own by now */
    int before = threads();
    pf_loop *first = make_watched(LONG), *second = make_watched(LONG);
    assert_int_equal(threads(), before + 1);
    assert_int_equal(pf_loop_set_blocking_threshold(first, SHORT, 0), 0);
    assert_int_equal(threads(), before + 1);
    assert_int_equal(pf_loop_set_blocking_threshold(first, 0, 0), 0);
    assert_int_equal(pf_loop_set_blocking_threshold(first, 0, 0), 0); /* twice is fine */
    assert_int_equal(threads(), before + 1);
    drop(second);
    assert_threads_become(before);
    assert_int_equal(pf_loop_set_blocking_threshold(first, LONG, 0), 0);
    assert_int_equal(threads(), before + 1);
    pf_loop_unref(first); /* closes it */
    assert_threads_become(before);
}

static int block_until_both_are_noticed(pf_loop *loop, void *arg)
{
    (void)loop;
    while (line_count() < 2 && wait_for(&lines.came))
        continue;
    *(int *)arg = line_count();
    return 0;
}

/* Inside the call of one loop another one runs, and blocks. */
static int block_in_a_loop_inside(pf_loop *loop, void *arg)
{
    (void)loop;
    pf_loop *inner = make_watched(SHORT);
    int err = pf_loop_add_callback(inner, block_until_both_are_noticed, arg);
    int ran = err ? err : pf_loop_turn(inner, 0);
    drop(inner);
    return ran == 1 ? 0 : -EIO;
}

static void two_blocked_loops_are_both_reported(void **state)
{
    (void)state;
    pf_loop *outer = make_watched(SHORT);
    int noticed = 0;
    assert_int_equal(pf_loop_add_callback(outer, block_in_a_loop_inside, &noticed), 0);
    assert_int_equal(pf_loop_turn(outer, 0), 1);
    assert_int_equal(noticed, 2);
    drop(outer);
}

static void *change_all_the_time(void *arg)
{
    int *failed = arg;
    pf_loop *loop;
    *failed = pf_loop_new(NULL, &loop) != 0;
    for (int i = 0; !*failed && i < 200; i++) {
        *failed = pf_loop_set_blocking_threshold(loop, i % 3 ? LONG : PF_MILLISECOND, 0) ||
                  pf_loop_add_callback(loop, do_nothing, NULL) ||
                  pf_loop_turn(loop, 0) != 1 ||
                  (i % 2 && pf_loop_set_blocking_threshold(loop, 0, 0));
    }
    pf_loop_unref(loop);
    return NULL;
}

static void threads_may_begin_and_end_their_watches_at_once(void **state)
{
    (void)state;
    enum {
        THREADS = 4
    };
    int before = threads(), failed[THREADS];
    pthread_t all[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&all[i], NULL, change_all_the_time, &failed[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(all[i], NULL), 0);
        assert_int_equal(failed[i], 0);
    }
    assert_threads_become(before);
}

static int signals_blocked; /* in the watching thread, as its log sink sees it */

static void sink_that_looks_at_its_mask(enum pf_log_level level, const char *line,
                                        size_t len, void *arg)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    signals_blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1);
    sink(level, line, len, arg);
}

static void the_programs_signals_are_not_for_the_watching_thread(void **state)
{
    (void)state;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    pf_log_set_sink(sink_that_looks_at_its_mask, NULL);
    let_the_watcher_look(1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(signals_blocked, 1);
    for (int signo = 1; signo < 32; signo++)
        assert_int_equal(sigismember(&before, signo), sigismember(&after, signo));
}

/* ---- in a child ------------------------------------------------------------------ */

static void watch_in_child(void *arg)
{
    pf_loop *inherited = arg;
    int before = threads();
    assert_int_equal(pf_loop_set_blocking_threshold(inherited, SHORT, 0), -ECHILD);
    pf_loop *loop = make_watched(SHORT);
    assert_int_equal(block_once(loop), 1);
    assert_last_says(" in=callback registered-at=block.c:1 loop-made-at=made.c:1");
    assert_int_equal(pf_loop_discard(inherited), 0);
    assert_int_equal(block_once(loop), 1); /* the discard has not ended this one's */
    drop(loop);
    assert_threads_become(before);
}

static void a_child_watches_its_own_loops_and_the_parent_goes_on(void **state)
{
    (void)state;
    if (UNDER_TSAN)
        skip(); /* it makes no threads after a fork of a process with threads */
    pf_test_skip_under_valgrind(); /* to it the parent's thread is lost memory of the child
                                    */
    pf_loop *loop = make_watched(SHORT);
    pf_test_in_child(watch_in_child, loop);
    assert_int_equal(line_count(), 0);
    assert_int_equal(block_once(loop), 1);
    drop(loop);
}

static void discard_watched(void *arg)
{
    assert_int_equal(pf_loop_discard(arg), 0);
}

static void a_child_may_discard_a_loop_that_is_watched(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    pf_loop *loop = make_watched(LONG), *other = make_watched(LONG);
    for (int i = 0; i < 20; i++)
        pf_test_in_child(discard_watched, i % 2 ? loop : other);
    if (!UNDER_TSAN) /* it does not notice such a child, and mixes up the threads of both */
        pf_test_in_raw_clone(discard_watched, loop);
    drop(other);
    drop(loop);
}

enum {
    PULSES = 10
};

struct pulses {
    unsigned long long seen[PULSES];
    int count;
};

static int note_pulse(pf_loop *loop, void *arg)
{
    struct pulses *pulses = arg;
    pulses->seen[pulses->count++] = atomic_load(&loop->pulse.beat);
    return pulses->count < PULSES ? pf_loop_add_callback(loop, note_pulse, pulses)
                                  : pf_loop_stop(loop);
}

/* Seen from where the watcher stands: by time it could not be told from a slow machine. */
static void a_loop_that_never_sleeps_has_another_pulse_each_turn(void **state)
{
    (void)state;
    pf_loop *loop;
    struct pulses pulses = {.count = 0};
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pf_loop_add_callback(loop, note_pulse, &pulses), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    for (int i = 0; i < PULSES; i++) {
        assert_int_equal(pulses.seen[i] % 2, 1);
        assert_true(i == 0 || pulses.seen[i] != pulses.seen[i - 1]);
    }
    assert_int_equal(atomic_load(&loop->pulse.beat) % 2, 0);
    pf_loop_unref(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(a_block_is_reported_once_with_what_it_is_in),
        watch_test(one_block_is_not_reported_again_however_long_it_lasts),
        watch_test(each_kind_of_call_is_named),
        watch_test(a_started_loop_is_watched_from_its_first_call_on),
        watch_test(a_loop_that_sleeps_is_never_reported),
        watch_test(a_loop_that_does_not_run_is_never_reported),
        watch_test(a_loop_that_never_sleeps_has_another_pulse_each_turn),
        watch_test(a_process_that_stood_still_is_not_reported),
        watch_test(the_signal_strikes_the_loops_thread_once),
        watch_test(bad_thresholds_are_refused_and_nothing_changes),
        watch_test(the_last_threshold_is_the_one_that_counts),
        watch_test(below_its_threshold_a_call_is_not_reported),
        watch_test(the_threshold_may_be_changed_inside_a_call),
        watch_test(one_thread_watches_all_loops_and_goes_with_the_last),
        watch_test(two_blocked_loops_are_both_reported),
        watch_test(threads_may_begin_and_end_their_watches_at_once),
        watch_test(the_programs_signals_are_not_for_the_watching_thread),
        watch_test(a_child_watches_its_own_loops_and_the_parent_goes_on),
        watch_test(a_child_may_discard_a_loop_that_is_watched),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
