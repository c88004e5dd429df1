/* test_master.c - pf_master_run() in programs of our own: services that fail, rules it
 * keeps. */
#include "tests/lib/server.h"

#include <prefork.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const any_port[] = {"127.0.0.1:0"};

static void drop(pf_lane *lane, int fd, const struct sockaddr *peer, socklen_t len,
                 void *arg)
{
    (void)peer, (void)len, (void)arg;
    close(fd);
    (void)pf_lane_closed(lane, fd);
}

static void stop_self(const struct pf_master_status *status, void *arg)
{
    (void)arg;
    kill(status->pid, SIGTERM);
}

static void keep_quiet(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

struct run {
    struct pf_service service;
    struct pf_master_options options;
    char error[512];
};

static void prepare(struct run *run)
{
    *run = (struct run){
        .service = {.size = sizeof run->service, .name = "test", .on_connection = drop},
        .options = PF_MASTER_OPTIONS_INIT};
    run->options.service = &run->service;
    run->options.binds = any_port;
    run->options.bind_count = 1;
    run->options.workers = 2;
    run->options.on_ready = stop_self;
    run->options.error = run->error;
    run->options.error_len = sizeof run->error;
    pf_log_set_sink(keep_quiet, NULL);
    char directory[] = "/tmp/prefork-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    setenv("XDG_RUNTIME_DIR", directory, 1);
    unsetenv("RUNTIME_DIRECTORY");
}

static void clean(void)
{
    const char *directory = getenv("XDG_RUNTIME_DIR");
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", directory, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    pf_log_set_sink(NULL, NULL);
}

static void it_runs_until_told_to_stop_and_can_run_again(void **state)
{
    (void)state;
    struct run run;
    for (int i = 0; i < 2; i++) {
        prepare(&run);
        assert_int_equal(pf_master_run(&run.options), PF_EXIT_OK);
        assert_string_equal(run.error, "");
        clean();
    }
}

static int fail_to_boot(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    return -ENOENT;
}

static void workers_that_never_boot_end_with_78(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    run.service.lane_init = fail_to_boot;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_CONFIG);
    clean();
}

static int crash_in_boot(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

static void workers_that_die_in_boot_end_with_78(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    run.service.worker_init = crash_in_boot;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_CONFIG);
    clean();
}

static int never_ready(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static void a_boot_that_takes_too_long_is_a_failure(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    run.service.worker_init = never_ready;
    run.options.workers = 1;
    run.options.boot_ns = 20 * PF_MILLISECOND;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_CONFIG);
    clean();
}

/* The hooks write down, through a pipe, that they ran. */
static int hooks_fd;

static void note(char c)
{
    assert_int_equal(write(hooks_fd, &c, 1), 1);
}

static int note_worker_init(void *arg)
{
    (void)arg;
    note('w');
    return 0;
}

static int note_lane_init(pf_lane *lane, void *arg)
{
    (void)arg;
    note(pf_lane_loop(lane) == pf_loop_current(false) ? 'l' : '?');
    return 0;
}

static void note_drain(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    note('d');
}

static void note_lane_exit(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    note('x');
}

static void note_worker_exit(void *arg)
{
    (void)arg;
    note('e');
}

static void the_hooks_of_a_service_run_once_and_in_order(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    hooks_fd = fds[1];
    run.options.workers = 1;
    run.service.worker_init = note_worker_init;
    run.service.lane_init = note_lane_init;
    run.service.on_drain = note_drain;
    run.service.lane_exit = note_lane_exit;
    run.service.worker_exit = note_worker_exit;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_OK);
    close(fds[1]);
    char text[16] = "";
    assert_int_equal(read(fds[0], text, sizeof text - 1), 5);
    assert_string_equal(text, "wldxe");
    close(fds[0]);
    clean();
}

static void a_program_that_owns_a_loop_is_told_where_it_was_made(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    pf_loop *loop;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pf_master_run(&run.options), -EBUSY);
    assert_non_null(strstr(run.error, "test_master.c:"));
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_OK);
    clean();
}

static void *wait_for_byte(void *arg)
{
    char c;
    while (read(*(int *)arg, &c, 1) == -1 && errno == EINTR)
        ;
    return NULL;
}

static void a_program_with_threads_is_refused_and_they_are_listed(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pthread_t thread;
    sigset_t all, before; /* the master's signals must not end up in a thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_byte, &fds[0]), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(pf_master_run(&run.options), -EBUSY);
    assert_non_null(strstr(run.error, "other threads run"));
    char main_thread[32]; /* its number, which valgrind does not rename */
    snprintf(main_thread, sizeof main_thread, "(%d)", getpid());
    assert_non_null(strstr(run.error, main_thread));
#if !defined(__SANITIZE_THREAD__) /* which refuses to fork with threads */
    run.options.allow_threads = true;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_OK);
#endif
    assert_int_equal(write(fds[1], "", 1), 1);
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    clean();
}

static void what_cannot_be_bound_is_named(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    static const char *const binds[] = {"127.0.0.1:0", "nonsense"};
    run.options.binds = binds;
    run.options.bind_count = 2;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_USAGE);
    assert_non_null(strstr(run.error, "--bind nonsense"));
    clean();
}

static void several_addresses_are_served_at_once(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    static const char *const binds[] = {"127.0.0.1:0", "127.0.0.2:0"};
    run.options.binds = binds;
    run.options.bind_count = 2;
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_OK);
    clean();
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    assert_int_equal(pf_master_run(NULL), -EINVAL);
    run.options.workers = 1025;
    assert_int_equal(pf_master_run(&run.options), -EINVAL);
    run.options.workers = 1;
    run.options.bind_count = 0;
    assert_int_equal(pf_master_run(&run.options), -EINVAL);
    run.options.bind_count = 1;
    run.options.service = NULL;
    assert_int_equal(pf_master_run(&run.options), -EINVAL);
    clean();
}

static void signal_mask_and_dispositions_are_as_they_were_afterwards(void **state)
{
    (void)state;
    struct run run;
    prepare(&run);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before, pipe, child;
    sigset_t mask;
    sigaction(SIGPIPE, &ignore, &before);
    assert_int_equal(pf_master_run(&run.options), PF_EXIT_OK);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&mask, i), 0);
    sigaction(SIGPIPE, &before, &pipe);
    sigaction(SIGCHLD, NULL, &child);
    assert_ptr_equal(pipe.sa_handler, SIG_IGN);
    assert_ptr_equal(child.sa_handler, SIG_DFL);
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(it_runs_until_told_to_stop_and_can_run_again),
        pf_test(workers_that_never_boot_end_with_78),
        pf_test(workers_that_die_in_boot_end_with_78),
        pf_test(a_boot_that_takes_too_long_is_a_failure),
        pf_test(the_hooks_of_a_service_run_once_and_in_order),
        pf_test(a_program_that_owns_a_loop_is_told_where_it_was_made),
        pf_test(a_program_with_threads_is_refused_and_they_are_listed),
        pf_test(what_cannot_be_bound_is_named),
        pf_test(several_addresses_are_served_at_once),
        pf_test(wrong_options_are_refused),
        pf_test(signal_mask_and_dispositions_are_as_they_were_afterwards),
    };
    return cmocka_run_group_tests_name("master", tests, NULL, NULL);
}
