/*
 * test_daemon.c - a server in the background, and the process that waits until it is up.
 */
#include "tests/lib/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SERVER    "bin/prefork-server"
#define FAULTY    "tests/apps/faulty"

static int end_of(pid_t pid)
{
    int status = 0;
    pid_t ended = waitpid(pid, &status, 0);
    assert_true(pid == -1 ? ended > 0 : ended == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What becomes an orphan is ours from now on, so that it can be waited for. */
static int adopt_orphans(void **state)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return pf_test_setup(state);
}

static int adopt_no_more(void **state)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    return pf_test_teardown(state);
}

static void assert_is_nothing(pid_t pid, int fd)
{
    char link[64], target[64] = "";
    snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)pid, fd);
    ssize_t n = readlink(link, target, sizeof target - 1);
    assert_true(n > 0);
    assert_string_equal(target, "/dev/null");
}

static void it_returns_when_the_server_is_up(void **state)
{
    (void)state;
    static struct pf_test_server server;
    char answer[512];
    pf_test_program_spawn(&server, NULL, SERVER,
                          ARGS("-w", "2", "-b", "127.0.0.1:0", "--daemon"));
    pid_t first = server.pid;
    assert_int_equal(end_of(first), 0);
    pf_test_server_listen(&server); /* all of it has been said */
    pf_test_server_read_banner(&server);
    const char *at = strstr(server.text, "  stop        kill ");
    assert_non_null(at);
    server.pid = (pid_t)strtol(at + strlen("  stop        kill "), NULL, 10);
    assert_int_not_equal(server.pid, first);
    assert_int_equal(getsid(server.pid), server.pid);
    for (int fd = 0; fd < 2; fd++) {
        assert_is_nothing(server.pid, fd);
        assert_is_nothing(server.workers[0], fd);
    }
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_non_null(strstr(server.text, "stopping signal=15")); /* the log goes on */
}

/* Once: the server says it, and the first process only ends. */
static void it_fails_as_the_server_does(void **state)
{
    (void)state;
    static struct pf_test_server server;
    assert_int_equal(
        pf_test_server_run(&server, ARGS("-d", "-w", "1", "-b", "192.0.2.1:1")), 69);
    const char *line = strstr(server.text, "--bind 192.0.2.1:1: not an address of this");
    assert_non_null(line);
    assert_null(strstr(line + 1, "--bind"));
    assert_int_equal(pf_test_server_run(&server, ARGS("-d", "-w", "0")), 64);

    setenv("PF_FAULTY_BOOT", "error", 1);
    pf_test_program_spawn(&server, NULL, FAULTY,
                          ARGS("-d", "-w", "1", "-b", "127.0.0.1:0"));
    unsetenv("PF_FAULTY_BOOT");
    assert_int_equal(pf_test_server_wait(&server), 78);
    assert_non_null(strstr(server.text, "no worker could boot; the last one said"));
}

/* One whose worker never gets ready; returns its pid when that is so. */
static pid_t start_hopeless(struct pf_test_server *server)
{
    pid_t pid;
    setenv("PF_FAULTY_BOOT", "block", 1);
    pf_test_program_spawn(server, NULL, FAULTY,
                          ARGS("-d", "-w", "1", "-b", "127.0.0.1:0", "--boot-timeout", "1h",
                               "--drain-timeout", "10ms"));
    unsetenv("PF_FAULTY_BOOT");
    pf_test_server_expect(server, 0, "faulty: there is no database here");
    assert_int_equal(pf_test_children(server->pid, &pid, 1), 1);
    return pid;
}

static void a_server_that_is_killed_before_it_is_up_is_told_of(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pid_t pid = start_hopeless(&server);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(pf_test_server_wait(&server), 70);
    assert_int_equal(end_of(-1), 128 + SIGKILL); /* its worker, at the orphan's limit */
    assert_non_null(strstr(server.text, "--daemon: ended by signal 9 before it was up"));
}

static void a_server_that_nobody_waits_for_any_more_stops(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pid_t pid = start_hopeless(&server);
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    assert_int_equal(pf_test_server_wait(&server), 128 + SIGKILL);
    assert_int_equal(end_of(pid), 0);
    assert_non_null(strstr(server.text, "stopping signal=15"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, adopt_orphans, adopt_no_more)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(it_returns_when_the_server_is_up),
        test(it_fails_as_the_server_does),
        test(a_server_that_is_killed_before_it_is_up_is_told_of),
        test(a_server_that_nobody_waits_for_any_more_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
