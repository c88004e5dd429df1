/*
 * test_subprocess.c - other programs: their streams, their end, what they inherit. Each
 * test runs with pidfd_open(2) and again without, where SIGCHLD has to do.
 */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <prefork/future.h>
#include <prefork/subprocess.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a kernel without pidfd_open(2) ---------------------------------------------- */

static bool is_old;

int pidfd_open(pid_t pid, unsigned flags);
int pidfd_open(pid_t pid, unsigned flags)
{
    if (is_old) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

/* ---- the stage ------------------------------------------------------------------- */

static pf_loop *loop;
static pf_subprocess *process;

static struct {
    int exits, status;
    int reads;
    size_t len;
    char data[4096];
} seen;

static int on_exit_of_it(pf_subprocess *of, int status, void *arg)
{
    (void)of, (void)arg;
    seen.exits++;
    seen.status = status;
    return 0;
}

static int on_read(pf_stream *stream, const char *data, size_t len, int err, void *arg)
{
    (void)stream, (void)arg;
    assert_int_equal(err, 0);
    assert_true(len < sizeof seen.data);
    memcpy(seen.data, data, len);
    seen.data[len] = 0;
    seen.len = len;
    seen.reads++;
    return 0;
}

static void open_stage(void)
{
    pf_backend_skip_select_under_valgrind(); /* SIGCHLD interrupts it */
    memset(&seen, 0, sizeof seen);
    process = NULL;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
}

static void close_stage(void)
{
    pf_subprocess_free(process);
    process = NULL;
    pf_loop_unref(loop);
}

static int64_t real_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * PF_SECOND + t.tv_nsec;
}

#define turn_until(condition)                                                              \
    do {                                                                                   \
        int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;                    \
        while (!(condition)) {                                                             \
            assert_true(real_time() < give_up);                                            \
            assert_true(pf_loop_turn(loop, 10 * PF_MILLISECOND) >= 0);                     \
        }                                                                                  \
    } while (0)

static int start(struct pf_subprocess_options options, const char *const *argv)
{
    options.size = sizeof options;
    options.argv = argv;
    if (!options.on_exit)
        options.on_exit = on_exit_of_it;
    return pf_subprocess_start(loop, &options, &process);
}

#define shell(text, ...)                                                                   \
    start((struct pf_subprocess_options){__VA_ARGS__},                                     \
          (const char *const[]){"/bin/sh", "-c", (text), NULL})

#define on_both_kernels(old) for (int old = 0; old <= 1; old++, is_old = old == 1)

/* ---- tests ----------------------------------------------------------------------- */

static void status_and_signal_are_told(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        open_stage();
        assert_int_equal(shell("exit 7", .size = 0), 0);
        int status;
        turn_until(seen.exits == 1);
        assert_int_equal(seen.status, 7);
        assert_int_equal(pf_subprocess_status(process, &status), 0);
        assert_int_equal(status, 7);
        assert_int_equal(pf_subprocess_kill(process, SIGTERM), -ESRCH);
        pf_subprocess_free(process);
        assert_int_equal(shell("exec cat", .standard = {PF_STDIO_STREAM}), 0);
        assert_int_equal(pf_subprocess_status(process, &status), -EINPROGRESS);
        assert_int_equal(pf_subprocess_kill(process, SIGKILL), 0);
        turn_until(seen.exits == 2);
        assert_int_equal(seen.status, -SIGKILL);
        close_stage();
    }
    is_old = false;
}

static void pipes_are_streams(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        open_stage();
        assert_int_equal(
            shell("tr a-z A-Z; echo oops >&2",
                  .standard = {PF_STDIO_STREAM, PF_STDIO_STREAM, PF_STDIO_STREAM}),
            0);
        pf_stream *in = pf_subprocess_stream(process, 0);
        pf_stream *out = pf_subprocess_stream(process, 1);
        pf_stream *err = pf_subprocess_stream(process, 2);
        assert_null(pf_subprocess_stream(process, 3));
        assert_int_equal(pf_stream_write(in, "hello", 5, NULL, NULL), 0);
        assert_int_equal(pf_stream_close_when_written(in), 0);
        assert_int_equal(pf_stream_read_until_close(out, on_read, NULL), 0);
        turn_until(seen.reads == 1);
        assert_string_equal(seen.data, "HELLO");
        assert_int_equal(pf_stream_read_until_close(err, on_read, NULL), 0);
        turn_until(seen.reads == 2 && seen.exits == 1);
        assert_string_equal(seen.data, "oops\n");
        close_stage();
    }
    is_old = false;
}

static void program_that_cannot_run_is_an_error_of_the_start(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        open_stage();
        const char *const none[] = {"/nonexistent/program", NULL};
        const char *const nobody[] = {NULL};
        struct pf_subprocess_options streams = {
            .standard = {PF_STDIO_STREAM, PF_STDIO_STREAM, PF_STDIO_NULL}};
        assert_int_equal(start(streams, none), -ENOENT);
        assert_int_equal(start(streams, (const char *const[]){"/etc/passwd", NULL}),
                         -EACCES);
        assert_int_equal(shell("true", .cwd = "/nonexistent"), -ENOENT);
        assert_int_equal(start(streams, nobody), -EINVAL);
        assert_null(process);
        for (int i = 0; i < 3; i++)
            assert_true(pf_loop_turn(loop, 0) >= 0);
        assert_int_equal(seen.exits, 0);
        close_stage();
    }
    is_old = false;
}

static void environment_directory_and_null_are_as_asked_for(void **unused)
{
    (void)unused;
    const char *const env[] = {"PF_SAYS=this", NULL};
    open_stage();
    assert_int_equal(shell("pwd; echo $PF_SAYS $HOME; cat", .env = env, .cwd = "/",
                           .standard = {PF_STDIO_NULL, PF_STDIO_STREAM, PF_STDIO_NULL}),
                     0);
    assert_int_equal(
        pf_stream_read_until_close(pf_subprocess_stream(process, 1), on_read, NULL), 0);
    turn_until(seen.reads && seen.exits);
    assert_string_equal(seen.data, "/\nthis\n");
    close_stage();
}

static void ignore(int signo)
{
    (void)signo;
}

static void signals_are_reset_and_descriptors_closed(void **unused)
{
    (void)unused;
    struct sigaction ignored = {.sa_handler = SIG_IGN}, handled = {.sa_handler = ignore}, a,
                     b;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    open_stage();
    sigaction(SIGPIPE, &ignored, &a);
    sigaction(SIGUSR1, &handled, &b);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    const char *text =
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l";
    const char *const argv[] = {"sh", "-c", text, NULL}; /* by PATH */
    struct pf_subprocess_options options = {.standard = {PF_STDIO_NULL, PF_STDIO_STREAM}};
    assert_int_equal(start(options, argv), 0);
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_true(sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGTERM) == 0);
    sigaction(SIGPIPE, &a, NULL);
    sigaction(SIGUSR1, &b, NULL);
    assert_int_equal(
        pf_stream_read_until_close(pf_subprocess_stream(process, 1), on_read, NULL), 0);
    turn_until(seen.reads && seen.exits);
    unsigned long long blocks, ignores;
    int fds;
    assert_int_equal(
        sscanf(seen.data, "SigBlk: %llx SigIgn: %llx %d", &blocks, &ignores, &fds), 3);
    /* 32 and 33 are the C library's own: its posix_spawn(), and so make, ignores them. */
    assert_int_equal(ignores & ~(3ULL << 31), 0);
    assert_int_equal(blocks, 0);
    int expected = 4; /* 0 to 2, and ls has one for the folder */
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        expected +=
            flags != -1 && !(flags & FD_CLOEXEC); /* what the test was started with */
    }
    assert_int_equal(fds, expected);
    close_stage();
}

static void only_children_of_its_own_are_reaped(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        open_stage();
        pid_t mine = fork();
        if (mine == 0)
            _exit(3);
        assert_int_equal(shell("exit 0", .size = 0), 0);
        turn_until(seen.exits == 1);
        int status = -1;
        assert_int_equal(waitpid(mine, &status, 0), mine);
        assert_int_equal(WEXITSTATUS(status), 3);
        close_stage();
    }
    is_old = false;
}

static int on_value(pf_loop *of, pf_future *future, void *arg)
{
    (void)of;
    int err = 1;
    assert_int_equal(pf_future_result(future, &err, NULL), 0);
    *(int *)arg = err;
    return 0;
}

static void futures_are_set_at_its_end(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        pf_future *any, *good, *late;
        int results[3] = {1, 1, 1};
        open_stage();
        assert_int_equal(shell("cat; exit 2", .standard = {PF_STDIO_STREAM}), 0);
        assert_int_equal(pf_subprocess_wait_for_exit(process, false, &any), 0);
        assert_int_equal(pf_subprocess_wait_for_exit(process, true, &good), 0);
        assert_int_equal(pf_loop_add_future(loop, any, on_value, &results[0]), 0);
        assert_int_equal(pf_loop_add_future(loop, good, on_value, &results[1]), 0);
        assert_int_equal(pf_stream_close(pf_subprocess_stream(process, 0)), 0);
        turn_until(results[0] != 1 && results[1] != 1);
        assert_int_equal(results[0], 0);
        assert_int_equal(results[1], -EPROTO);
        assert_int_equal(pf_subprocess_wait_for_exit(process, false, &late), 0);
        assert_true(pf_future_is_done(late));
        pf_future_unref(any);
        pf_future_unref(good);
        pf_future_unref(late);
        close_stage();
    }
    is_old = false;
}

static void exit_callback_may_be_set_after_the_end(void **unused)
{
    (void)unused;
    open_stage();
    pf_future *ended;
    assert_int_equal(shell("exit 4", .size = 0), 0);
    assert_int_equal(pf_subprocess_set_exit_callback(process, NULL, NULL), 0);
    assert_int_equal(pf_subprocess_wait_for_exit(process, false, &ended), 0);
    turn_until(pf_future_is_done(ended));
    pf_future_unref(ended);
    assert_int_equal(seen.exits, 0);
    assert_int_equal(pf_subprocess_set_exit_callback(process, on_exit_of_it, NULL), 0);
    turn_until(seen.exits == 1);
    assert_int_equal(seen.status, 4);
    close_stage();
}

static int free_at_exit(pf_subprocess *of, int status, void *arg)
{
    (void)status, (void)arg;
    pf_subprocess_free(of);
    process = NULL;
    seen.exits++;
    return 0;
}

static void many_at_once_and_freed_in_their_callbacks(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        open_stage();
        for (int i = 0; i < 5; i++)
            assert_int_equal(shell("exit 1", .on_exit = free_at_exit), 0);
        process = NULL;
        turn_until(seen.exits == 5);
        close_stage();
    }
    is_old = false;
}

static void freed_one_lives_on_and_is_the_programs_to_wait_for(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        pf_future *ended;
        int status = -1, result = 1;
        open_stage();
        assert_int_equal(shell("cat; exit 5", .standard = {PF_STDIO_STREAM}), 0);
        assert_int_equal(pf_subprocess_wait_for_exit(process, false, &ended), 0);
        assert_int_equal(pf_loop_add_future(loop, ended, on_value, &result), 0);
        pid_t pid = pf_subprocess_pid(process);
        pf_subprocess_free(process); /* closes its input, which ends it */
        process = NULL;
        turn_until(result != 1);
        assert_int_equal(result, -ECANCELED);
        pf_future_unref(ended);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 5);
        close_stage();
    }
    is_old = false;
}

static int on_sigchld(pf_loop *of, int signo, void *arg)
{
    (void)of, (void)signo, (void)arg;
    return 0;
}

static void taken_sigchld_is_said_where_it_is_needed(void **unused)
{
    (void)unused;
    open_stage();
    assert_int_equal(pf_loop_add_signal(loop, SIGCHLD, on_sigchld, NULL), 0);
    is_old = true;
    assert_int_equal(shell("exit 0", .size = 0), -EEXIST);
    is_old = false;
    int probe = pidfd_open(getpid(), 0);
    if (probe >= 0) { /* this kernel, and not valgrind's idea of one */
        close(probe);
        assert_int_equal(shell("exit 0", .size = 0), 0);
        turn_until(seen.exits == 1);
    }
    close_stage();
}

static void loop_that_closes_first_leaves_nothing_open(void **unused)
{
    (void)unused;
    for (int all_fds = 0; all_fds <= 1; all_fds++) {
        on_both_kernels(old)
        {
            open_stage();
            assert_int_equal(shell("cat", .standard = {PF_STDIO_STREAM}), 0);
            pid_t pid = pf_subprocess_pid(process);
            assert_int_equal(pf_loop_close(loop, all_fds), 0);
            assert_int_equal(pf_subprocess_kill(process, SIGKILL), -ESTALE);
            close_stage();
            assert_int_equal(waitpid(pid, NULL, 0), pid);
        }
        is_old = false;
    }
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    pf_alloc_needed();
    on_both_kernels(old)
    {
        for (int n = 1, err = -ENOMEM; err; n++) {
            open_stage();
            pf_alloc_fail(n);
            err = shell("exit 0", .standard = {PF_STDIO_STREAM, PF_STDIO_STREAM});
            pf_alloc_stop();
            assert_true(err == 0 || err == -ENOMEM);
            if (!err)
                turn_until(seen.exits == 1);
            close_stage();
        }
    }
    is_old = false;
}

static void descriptors_may_run_out_at_any_point(void **unused)
{
    (void)unused;
    on_both_kernels(old)
    {
        struct rlimit before, few;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        for (int free_ones = 0, err = -EMFILE; err; free_ones++) {
            open_stage();
            int next = fcntl(0, F_DUPFD_CLOEXEC, 0), open_before = pf_test_count_fds() - 1;
            close(next);
            few = before;
            few.rlim_cur = (rlim_t)(next + free_ones);
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
            err = shell("exit 0",
                        .standard = {PF_STDIO_STREAM, PF_STDIO_STREAM, PF_STDIO_NULL});
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
            assert_true(err == 0 || err == -EMFILE);
            if (err)
                assert_int_equal(pf_test_count_fds(), open_before);
            else
                turn_until(seen.exits == 1);
            close_stage();
        }
    }
    is_old = false;
}

/* valgrind cannot extend the stack while it delivers a signal. */
static void use_stack(void)
{
    volatile char deep[64 * 1024];
    for (size_t i = 0; i < sizeof deep; i += 1024)
        deep[sizeof deep - 1 - i] = 0;
}

int main(void)
{
    use_stack();
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(status_and_signal_are_told),
        pf_test(pipes_are_streams),
        pf_test(program_that_cannot_run_is_an_error_of_the_start),
        pf_test(environment_directory_and_null_are_as_asked_for),
        pf_test(signals_are_reset_and_descriptors_closed),
        pf_test(only_children_of_its_own_are_reaped),
        pf_test(futures_are_set_at_its_end),
        pf_test(exit_callback_may_be_set_after_the_end),
        pf_test(many_at_once_and_freed_in_their_callbacks),
        pf_test(freed_one_lives_on_and_is_the_programs_to_wait_for),
        pf_test(taken_sigchld_is_said_where_it_is_needed),
        pf_test(loop_that_closes_first_leaves_nothing_open),
        pf_test(every_allocation_may_fail),
        pf_test(descriptors_may_run_out_at_any_point),
    };
    return cmocka_run_group_tests_name("subprocess", tests, NULL, NULL);
}
