/* test_orphan.c - a worker leaves after its master was killed, whatever its loop does. */
#include "tests/lib/test.h"

#include "ipc/crash.h"
#include "worker/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2]; /* the worker writes into [1], and alone keeps it open */

static void assert_readable(void)
{
    struct pollfd wait = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
}

static _Noreturn void block(void)
{
    for (;;)
        pause();
}

/* Nothing but the orphan's signal gets through, and nobody looks at anything. */
static _Noreturn void be_worker(pid_t master)
{
    sigset_t all;
    pid_t pid = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (pf__orphan_arm(master, 50 * PF_MILLISECOND) != 0 ||
        write(ends[1], &pid, sizeof pid) != sizeof pid)
        _exit(1);
    block();
}

static _Noreturn void be_master(void)
{
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0)
        be_worker(self);
    close(ends[1]);
    block();
}

static void a_blocked_worker_leaves_after_its_master_was_killed(void **state)
{
    (void)state;
    pid_t master, worker;
    int status;
    char byte;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    master = fork();
    assert_true(master >= 0);
    if (master == 0)
        be_master();
    close(ends[1]);
    assert_readable();
    assert_int_equal(read(ends[0], &worker, sizeof worker), sizeof worker);
    assert_int_equal(kill(master, SIGKILL), 0);
    assert_int_equal(waitpid(master, &status, 0), master);
    assert_readable();
    assert_int_equal(read(ends[0], &byte, 1), 0); /* its end */
    assert_int_equal(waitpid(worker, &status, 0), worker);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    close(ends[0]);
}

static int end_of_child(int (*body)(void))
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* The signal alone means little: a thread of the master's may have ended. */
static int be_told_while_the_master_lives(void)
{
    if (pf__orphan_arm(getppid(), 1) != 0)
        return 1;
    errno = EXDEV;
    if (raise(PF_CRASH_SIGNAL_ORPHAN) != 0 || errno != EXDEV)
        return 2;
    return 7;
}

static void one_whose_master_lives_stays(void **state)
{
    (void)state;
    int status = end_of_child(be_told_while_the_master_lives);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* No process is its own parent. */
static int come_too_late(void)
{
    return pf__orphan_arm(getpid(), INT64_MAX) == 1 ? 7 : 1;
}

static int come_too_late_and_stay(void)
{
    (void)pf__orphan_arm(getpid(), PF_MILLISECOND);
    block();
}

static void one_that_comes_too_late_is_told_and_limited(void **state)
{
    (void)state;
    int status = end_of_child(come_too_late);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    status = end_of_child(come_too_late_and_stay);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void on_own(int signo)
{
    (void)signo;
}

static void refused_body(void *arg)
{
    struct sigaction own = {.sa_handler = on_own}, standard = {.sa_handler = SIG_DFL};
    int death = -1;
    (void)arg;
    assert_int_equal(pf__orphan_arm(0, PF_SECOND), -EINVAL);
    assert_int_equal(pf__orphan_arm(getppid(), 0), -EINVAL);
    sigaction(PF_CRASH_SIGNAL_ORPHAN, &own, NULL);
    assert_int_equal(pf__orphan_arm(getppid(), PF_SECOND), -EBUSY);
    assert_int_equal(prctl(PR_GET_PDEATHSIG, &death), 0);
    assert_int_equal(death, 0);
    sigaction(PF_CRASH_SIGNAL_ORPHAN, &standard, NULL);
    assert_int_equal(pf__orphan_arm(getppid(), PF_SECOND), 0);
    assert_int_equal(prctl(PR_GET_PDEATHSIG, &death), 0);
    assert_int_equal(death, PF_CRASH_SIGNAL_ORPHAN);
    assert_int_equal(pf__orphan_arm(getppid(), PF_SECOND), -EALREADY);
}

static void what_cannot_be_armed_is_refused(void **state)
{
    (void)state;
    pf_test_in_child(refused_body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_blocked_worker_leaves_after_its_master_was_killed),
        pf_test(one_whose_master_lives_stays),
        pf_test(one_that_comes_too_late_is_told_and_limited),
        pf_test(what_cannot_be_armed_is_refused),
    };
    return cmocka_run_group_tests_name("orphan", tests, NULL, NULL);
}
