/*
 * test_process.c - what prefork/process.h promises, with real processes.
 *
 * The call, the clock and the fork are wrapped when the test is linked: time can be made to
 * pass fast, so that limits of many seconds are reached, and the n-th fork can be made to
 * fail.
 */
#include "tests/lib/server.h"

#include <prefork/log.h>
#include <prefork/loop.h>
#include <prefork/process.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the kernel, wrapped --------------------------------------------------------- */

static int forks, failing_from, failing_to, failing_with; /* counted in the parent */

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    forks++;
    if (forks < failing_from || forks > failing_to)
        return __real_fork();
    errno = failing_with;
    return -1;
}

static void fail_forks(int from, int to, int err)
{
    forks = 0;
    failing_from = from;
    failing_to = to;
    failing_with = err;
}

static bool hurried; /* sleeps are cut short, and the clock is moved on by the rest */
static int64_t ahead_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    int64_t ns = now->tv_sec * PF_SECOND + now->tv_nsec + ahead_ns;
    now->tv_sec = ns / PF_SECOND;
    now->tv_nsec = ns % PF_SECOND;
    return result;
}

int __real_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *limit);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *limit);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *limit)
{
    if (!hurried || !limit)
        return __real_sigtimedwait(set, info, limit);
    int64_t ns = limit->tv_sec * PF_SECOND + limit->tv_nsec;
    const struct timespec brief = {.tv_nsec = 20 * PF_MILLISECOND};
    int number = __real_sigtimedwait(set, info, &brief);
    if (number <= 0)
        ahead_ns += ns;
    return number;
}

/* ---- what children leave for the test -------------------------------------------- */

enum {
    CHILDREN_MAX = 8
};

struct shared {
    atomic_int births[CHILDREN_MAX]; /* returns of the call, by id */
    atomic_int pids[CHILDREN_MAX];
    atomic_int signals[CHILDREN_MAX]; /* the last one a handler saw */
    atomic_int wrong;
};

static struct shared *shared;
static char log_text[16384];

static void keep(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)arg;
    size_t used = strlen(log_text);
    if (used + len + 2 < sizeof log_text) {
        memcpy(log_text + used, line, len);
        memcpy(log_text + used + len, "\n", 2);
    }
}

static int times_logged(const char *text)
{
    int n = 0;
    for (const char *at = log_text; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static int setup(void **state)
{
    if (pf_test_setup(state) != 0)
        return -1;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    log_text[0] = '\0';
    pf_log_set_sink(keep, NULL);
    return shared == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
    munmap(shared, sizeof *shared);
    pf_log_set_sink(NULL, NULL);
    fail_forks(0, 0, 0);
    hurried = false;
    ahead_ns = 0;
    return pf_test_teardown(state);
}

/* What every child does first; how often its id has been born, itself included. */
static int born(int id)
{
    if (id < 0 || id >= CHILDREN_MAX || pf_task_id() != id)
        atomic_fetch_add(&shared->wrong, 1);
    atomic_store(&shared->pids[id], getpid());
    return atomic_fetch_add(&shared->births[id], 1) + 1;
}

static void assert_births(int id, int wanted)
{
    assert_int_equal(atomic_load(&shared->births[id]), wanted);
}

static void assert_gone(int id)
{
    pid_t pid = atomic_load(&shared->pids[id]);
    assert_true(pid > 0);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* A pipe to wait with: for a byte, or for the end of all that hold its other end. */
static void await_byte(int fd)
{
    char byte;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
}

static void await_end(int fd)
{
    char bytes[64];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    do
        assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
    while (read(fd, bytes, sizeof bytes) > 0);
}

/* For ever: only a signal ends it. */
static _Noreturn void stay(void)
{
    for (;;)
        pause();
}

/* ---- ids, ends, restarts --------------------------------------------------------- */

static void each_child_gets_its_own_id_and_the_parent_returns_0_when_all_are_done(
    void **state)
{
    (void)state;
    int id = -7;
    int result = pf_fork_processes(4, -1, &id);
    if (result == 1) {
        born(id);
        _exit(0);
    }
    assert_int_equal(result, 0);
    assert_int_equal(id, -7); /* untouched in the parent */
    assert_int_equal(pf_task_id(), -ENOENT);
    for (int i = 0; i < 4; i++)
        assert_births(i, 1);
    assert_births(4, 0);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_int_equal(times_logged("starting processes=4 max-restarts=100"), 1);
    assert_int_equal(times_logged("child-ended"), 4);
    assert_int_equal(times_logged("cause=clean status=0"), 4);
}

static void a_child_that_ends_badly_is_forked_again_with_its_id(void **state)
{
    (void)state;
    int id;
    int result = pf_fork_processes(3, 5, &id);
    if (result == 1) {
        int birth = born(id);
        if (id == 1 && birth == 1)
            _exit(3);
        if (id == 2 && birth == 1)
            raise(SIGKILL);
        if (id == 2 && birth == 2)
            raise(SIGUSR1);
        _exit(0);
    }
    assert_int_equal(result, 0);
    assert_births(0, 1);
    assert_births(1, 2);
    assert_births(2, 3);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_int_equal(times_logged("cause=crash status=3"), 1);
    assert_int_equal(times_logged("cause=killed signal=9"), 1);
    assert_int_equal(times_logged("cause=crash signal=10"), 1);
    assert_int_equal(times_logged("restarts=3/5"), 1);
}

static void it_gives_up_when_no_restart_is_left_and_stops_the_others(void **state)
{
    (void)state;
    int id;
    int result = pf_fork_processes(3, 3, &id);
    if (result == 1) {
        born(id);
        if (id == 1)
            _exit(9);
        stay();
    }
    assert_int_equal(result, -EAGAIN);
    assert_births(1, 4); /* one, and three restarts */
    assert_int_equal(times_logged("cause=crash status=9"), 4);
    assert_int_equal(times_logged("giving-up why=no-restarts-left restarts=3"), 1);
    assert_int_equal(times_logged("cause=commanded signal=15"), 2);
    for (int i = 0; i < 3; i++)
        assert_gone(i);
}

static void restarts_are_counted_over_all_children(void **state)
{
    (void)state;
    int id;
    int result = pf_fork_processes(2, 1, &id);
    if (result == 1) {
        born(id);
        _exit(1);
    }
    assert_int_equal(result, -EAGAIN);
    int births = atomic_load(&shared->births[0]) + atomic_load(&shared->births[1]);
    assert_true(births == 2 || births == 3);
    assert_int_equal(times_logged("restarts=1/1"), 1);
}

static void with_no_restarts_the_first_crash_is_the_last(void **state)
{
    (void)state;
    int id;
    int result = pf_fork_processes(1, 0, &id);
    if (result == 1) {
        born(id);
        _exit(1);
    }
    assert_int_equal(result, -EAGAIN);
    assert_births(0, 1);
}

static void a_crash_loop_waits_longer_each_time(void **state)
{
    (void)state;
    hurried = true;
    int result = pf_fork_processes(1, 6, NULL);
    if (result == 1) {
        born(pf_task_id());
        _exit(1);
    }
    assert_int_equal(result, -EAGAIN);
    assert_births(0, 7);
    assert_int_equal(times_logged("next-in=0.0s restarts=1/6"), 1); /* at once */
    const char *at = strstr(log_text, "next-in=") + 1;
    for (double usual = 0.1; usual < 3.0; usual *= 2) { /* half to one and a half of it */
        at = strstr(at, "next-in=");
        assert_non_null(at);
        at += strlen("next-in=");
        double next = strtod(at, NULL);
        assert_true(next >= usual * 0.5 - 0.051 && next <= usual * 1.5 + 0.051);
    }
}

static void it_may_be_called_again_afterwards(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int id;
        int result = pf_fork_processes(2, 0, &id);
        if (result == 1) {
            born(id);
            _exit(0);
        }
        assert_int_equal(result, 0);
    }
    assert_births(0, 2);
    assert_births(1, 2);
}

/* ---- what is refused ------------------------------------------------------------- */

static void a_loop_of_the_program_refuses_it_and_the_log_says_where_it_was_made(
    void **state)
{
    (void)state;
    pf_loop *loop;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pf_fork_processes(2, -1, NULL), -EBUSY);
    assert_int_equal(times_logged("fork-refused"), 1);
    assert_int_equal(times_logged("test_process.c:"), 1);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    int result = pf_fork_processes(1, 0, NULL);
    if (result == 1)
        _exit(0);
    assert_int_equal(result, 0);
}

static void *wait_for_end(void *arg)
{
    char byte;
    pthread_setname_np(pthread_self(), "bystander");
    (void)!write(((int *)arg)[3], "x", 1);
    (void)!read(((int *)arg)[0], &byte, 1);
    return NULL;
}

static void other_threads_refuse_it_and_the_log_names_them(void **state)
{
    (void)state;
    int pipes[4];
    pthread_t thread;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(pipe2(pipes + 2, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_end, pipes), 0);
    await_byte(pipes[2]); /* it has its name */
    assert_int_equal(pf_fork_processes(2, -1, NULL), -EBUSY);
    assert_int_equal(times_logged("bystander("), 1);
    close(pipes[1]);
    pthread_join(thread, NULL);
    close(pipes[0]);
    close(pipes[2]);
    close(pipes[3]);
}

static void too_many_children_and_a_second_call_in_a_child_are_refused(void **state)
{
    (void)state;
    assert_int_equal(pf_fork_processes(PF_FORK_MAX + 1, -1, NULL), -EINVAL);
    int result = pf_fork_processes(1, 0, NULL);
    if (result == 1)
        _exit(pf_fork_processes(1, 0, NULL) == -EALREADY ? 0 : 1);
    assert_int_equal(result, 0);
    assert_int_equal(pf_task_watch_parent(), -ENOENT);
}

/* ---- forks that fail ------------------------------------------------------------- */

static void a_first_fork_that_fails_leaves_no_child_behind(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 3; nth++) {
        log_text[0] = '\0';
        fail_forks(nth, nth, ENOMEM);
        int id;
        int result = pf_fork_processes(3, -1, &id);
        if (result == 1)
            stay();
        assert_int_equal(result, -ENOMEM);
        assert_int_equal(forks, nth);
        assert_int_equal(times_logged("fork-failed"), 1);
        assert_int_equal(times_logged("child-ended"), nth - 1);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
}

static void a_later_fork_that_fails_is_tried_again(void **state)
{
    (void)state;
    hurried = true;
    fail_forks(3, 4, EAGAIN);
    int id;
    int result = pf_fork_processes(2, 5, &id);
    if (result == 1)
        _exit(born(id) == 1 && id == 1 ? 1 : 0);
    assert_int_equal(result, 0);
    assert_births(0, 1);
    assert_births(1, 2);
    assert_int_equal(forks, 5);
    assert_int_equal(times_logged("fork-failed"), 2);
    assert_int_equal(times_logged("restarts=3/5"), 1);
}

static void forks_that_never_succeed_use_up_the_restarts(void **state)
{
    (void)state;
    hurried = true;
    fail_forks(2, 1000, EAGAIN);
    int id;
    int result = pf_fork_processes(1, 12, &id);
    if (result == 1)
        _exit(1);
    assert_int_equal(result, -EAGAIN);
    assert_int_equal(forks, 13);
    assert_int_equal(times_logged("giving-up"), 1);
}

/* ---- stopping -------------------------------------------------------------------- */

/* A parent of two children in a process of its own, over a pipe on which each child leaves
 * a byte when it is up, and the parent its result. */
struct parent {
    pid_t pid;
    int fd;
};

static volatile sig_atomic_t got;

static void note(int number)
{
    got = number;
}

static void be_parent(int fd, bool deaf)
{
    int id;
    int result = pf_fork_processes(2, -1, &id);
    if (result != 1)
        _exit(-result);
    born(id);
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    struct sigaction action = {.sa_handler = deaf ? SIG_IGN : note};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    (void)!write(fd, "x", 1);
    while (!got)
        sigsuspend(&old);
    atomic_store(&shared->signals[id], got);
    _exit(0);
}

static void start_parent(struct parent *parent, bool deaf)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(NULL);
    parent->pid = fork();
    assert_true(parent->pid >= 0);
    if (parent->pid == 0) {
        close(fds[0]);
        be_parent(fds[1], deaf);
    }
    close(fds[1]);
    parent->fd = fds[0];
    await_byte(parent->fd);
    await_byte(parent->fd);
}

/* The errno of what the call returned in it, and all of its children are gone. */
static int parent_result(const struct parent *parent)
{
    int status = 0;
    await_end(parent->fd);
    close(parent->fd);
    assert_int_equal(waitpid(parent->pid, &status, 0), parent->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void a_signal_to_the_parent_is_passed_on_and_ends_the_call(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        struct parent parent;
        start_parent(&parent, false);
        kill(parent.pid, numbers[i]);
        assert_int_equal(parent_result(&parent), ECANCELED);
        assert_int_equal(atomic_load(&shared->signals[0]), numbers[i]);
        assert_int_equal(atomic_load(&shared->signals[1]), numbers[i]);
    }
}

static void children_that_do_not_listen_are_killed_at_the_limit(void **state)
{
    (void)state;
    hurried = true;
    struct parent parent;
    start_parent(&parent, true);
    kill(parent.pid, SIGTERM);
    assert_int_equal(parent_result(&parent), ECANCELED);
}

static void children_that_do_not_listen_are_killed_at_the_second_signal(void **state)
{
    (void)state;
    struct parent parent;
    start_parent(&parent, true);
    kill(parent.pid, SIGTERM);
    kill(parent.pid, SIGINT); /* another number, so that both are told of */
    assert_int_equal(parent_result(&parent), ECANCELED);
}

static void children_of_a_parent_that_was_killed_are_told(void **state)
{
    (void)state;
    struct parent parent;
    start_parent(&parent, false);
    kill(parent.pid, SIGKILL);
    assert_int_equal(parent_result(&parent), 1000 + SIGKILL);
    assert_int_equal(atomic_load(&shared->signals[0]), SIGTERM);
    assert_int_equal(atomic_load(&shared->signals[1]), SIGTERM);
}

static void a_child_that_asks_again_is_told_of_its_parents_end(void **state)
{
    (void)state;
    int number = 0;
    int result = pf_fork_processes(1, 0, NULL);
    if (result == 1) {
        bool born_so = prctl(PR_GET_PDEATHSIG, &number) == 0 && number == SIGTERM;
        prctl(PR_SET_PDEATHSIG, 0); /* as setuid(2) does */
        int err = pf_task_watch_parent();
        bool again = prctl(PR_GET_PDEATHSIG, &number) == 0 && number == SIGTERM;
        _exit(born_so && err == 0 && again ? 0 : 1);
    }
    assert_int_equal(result, 0);
}

/* ---- what the program had before ------------------------------------------------- */

static bool same_signals(const sigset_t *mask, const struct sigaction *child)
{
    sigset_t now;
    struct sigaction child_now, stop_now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    sigaction(SIGCHLD, NULL, &child_now);
    sigaction(SIGTERM, NULL, &stop_now);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&now, number) != sigismember(mask, number))
            return false;
    return child_now.sa_handler == child->sa_handler && stop_now.sa_handler == SIG_DFL;
}

static void mask_and_dispositions_are_as_before_in_parent_and_child(void **state)
{
    (void)state;
    sigset_t mask, old;
    struct sigaction child = {.sa_handler = note}, old_child;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, &old);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigaction(SIGCHLD, &child, &old_child);
    int result = pf_fork_processes(2, 0, NULL);
    bool same = same_signals(&mask, &child);
    if (result == 1)
        _exit(same && getpgrp() == getpid() ? 0 : 1);
    sigaction(SIGCHLD, &old_child, NULL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(result, 0);
    assert_true(same);
}

static void statuses_are_known_even_if_the_program_ignores_its_children(void **state)
{
    (void)state;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigaction(SIGCHLD, &ignore, &old);
    int id;
    int result = pf_fork_processes(1, 1, &id);
    if (result == 1)
        _exit(born(id) == 1 ? 1 : 0);
    sigaction(SIGCHLD, &old, NULL);
    assert_int_equal(result, 0);
    assert_births(0, 2);
}

static void a_stop_signal_that_the_program_ignores_stops_nothing(void **state)
{
    (void)state;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigaction(SIGINT, &ignore, &old);
    int result = pf_fork_processes(1, 0, NULL);
    if (result == 1) {
        kill(getppid(), SIGINT);
        _exit(0);
    }
    sigaction(SIGINT, &old, NULL);
    assert_int_equal(result, 0);
}

static void children_that_the_program_had_before_are_left_alone(void **state)
{
    (void)state;
    int status = 0;
    struct sigaction child = {.sa_handler = note}, old;
    got = 0;
    sigaction(SIGCHLD, &child, &old);
    fflush(NULL);
    pid_t dead = fork();
    if (dead == 0)
        _exit(42);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)dead, &info, WEXITED | WNOWAIT), 0);
    pid_t alive = fork();
    if (alive == 0)
        stay();
    got = 0;
    int id;
    int result = pf_fork_processes(2, 0, &id);
    if (result == 1) {
        born(id);
        _exit(0);
    }
    sigaction(SIGCHLD, &old, NULL);
    assert_int_equal(result, 0);
    assert_int_equal(got, SIGCHLD); /* there may have been one for the program */
    assert_int_equal(waitpid(dead, &status, WNOHANG), dead);
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_int_equal(waitpid(alive, &status, WNOHANG), 0);
    kill(alive, SIGKILL);
    assert_int_equal(waitpid(alive, &status, 0), alive);
    assert_int_equal(times_logged("child-ended"), 2);
}

static void what_is_buffered_is_written_once(void **state)
{
    (void)state;
    int fds[2];
    char text[64] = "";
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    FILE *file = fdopen(fds[1], "w");
    assert_non_null(file);
    fputs("once", file);
    int result = pf_fork_processes(2, 0, NULL);
    if (result == 1) {
        fclose(file);
        _exit(0);
    }
    fclose(file);
    assert_int_equal(result, 0);
    assert_int_equal(read(fds[0], text, sizeof text - 1), 4);
    close(fds[0]);
}

/* ---- CPUs ------------------------------------------------------------------------ */

static void the_cpu_count_is_what_the_affinity_leaves(void **state)
{
    (void)state;
    int all = pf_cpu_count();
    assert_in_range(all, 1, PF_FORK_MAX);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(all <= CPU_COUNT(&before));
    size_t first = 0;
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int alone = pf_cpu_count();
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(alone, 1);
}

static void none_or_fewer_means_one_for_each_cpu(void **state)
{
    (void)state;
    for (int n = 0; n >= -1; n--) {
        log_text[0] = '\0';
        int result = pf_fork_processes(n, 0, NULL);
        if (result == 1)
            _exit(0);
        assert_int_equal(result, 0);
        assert_int_equal(times_logged("child-ended"), pf_cpu_count());
    }
}

/* ---- the example ----------------------------------------------------------------- */

static pid_t start_example(int *output)
{
    char path[256];
    int fds[2];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/examples/fork_processes",
             build ? build : "build/release");
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        execl(path, path, "2", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    *output = fds[0];
    return pid;
}

/* It says so in a line; its log may come in between. */
static int example_port(int output)
{
    char text[4096];
    size_t len = 0;
    const char *on = NULL;
    while (!on || !strchr(on, '\n')) {
        struct pollfd wait = {.fd = output, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
        ssize_t n = read(output, text + len, sizeof text - 1 - len);
        assert_true(n > 0);
        text[len += (size_t)n] = '\0';
        on = strstr(text, "127.0.0.1:");
    }
    return (int)strtol(on + strlen("127.0.0.1:"), NULL, 10);
}

static void the_example_serves_and_leaves_when_told(void **state)
{
    (void)state;
    int output, status = 0;
    pid_t pid = start_example(&output);
    int port = example_port(output);
    for (int i = 0; i < 20; i++) {
        char answer[64] = "";
        int fd = pf_test_connect(port);
        assert_true(fd >= 0);
        assert_int_equal(pf_test_read_all(fd, answer, sizeof answer), strlen("child 0\n"));
        assert_true(strcmp(answer, "child 0\n") == 0 || strcmp(answer, "child 1\n") == 0);
        close(fd);
    }
    kill(pid, SIGTERM);
    await_end(output);
    close(output);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(each_child_gets_its_own_id_and_the_parent_returns_0_when_all_are_done),
        test(a_child_that_ends_badly_is_forked_again_with_its_id),
        test(it_gives_up_when_no_restart_is_left_and_stops_the_others),
        test(restarts_are_counted_over_all_children),
        test(with_no_restarts_the_first_crash_is_the_last),
        test(a_crash_loop_waits_longer_each_time),
        test(it_may_be_called_again_afterwards),
        test(a_loop_of_the_program_refuses_it_and_the_log_says_where_it_was_made),
        test(other_threads_refuse_it_and_the_log_names_them),
        test(too_many_children_and_a_second_call_in_a_child_are_refused),
        test(a_first_fork_that_fails_leaves_no_child_behind),
        test(a_later_fork_that_fails_is_tried_again),
        test(forks_that_never_succeed_use_up_the_restarts),
        test(a_signal_to_the_parent_is_passed_on_and_ends_the_call),
        test(children_that_do_not_listen_are_killed_at_the_limit),
        test(children_that_do_not_listen_are_killed_at_the_second_signal),
        test(children_of_a_parent_that_was_killed_are_told),
        test(a_child_that_asks_again_is_told_of_its_parents_end),
        test(mask_and_dispositions_are_as_before_in_parent_and_child),
        test(statuses_are_known_even_if_the_program_ignores_its_children),
        test(a_stop_signal_that_the_program_ignores_stops_nothing),
        test(children_that_the_program_had_before_are_left_alone),
        test(what_is_buffered_is_written_once),
        test(the_cpu_count_is_what_the_affinity_leaves),
        test(none_or_fewer_means_one_for_each_cpu),
        test(the_example_serves_and_leaves_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
