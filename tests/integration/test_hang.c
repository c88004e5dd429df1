/*
 * test_hang.c - handlers that do not return, and what only looks like it.
 *
 * PF_TEST_LONG=1 in the environment: limits and blocks as long as they are in earnest.
 */
#include "tests/lib/server.h"
#include "tests/lib/swarm.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define FAULTY      "tests/apps/faulty"
#define PID_REQUEST "GET /pid HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

static struct pf_test_server server;

static bool is_long(void)
{
    const char *value = getenv("PF_TEST_LONG");
    return value && strcmp(value, "1") == 0;
}

static int ask(const char *path)
{
    char request[128];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    return fd;
}

/* The worker that says on its standard error that it begins to `what`. */
static pid_t expect_pid(size_t from, const char *what)
{
    char words[64];
    snprintf(words, sizeof words, "faulty: %s pid=", what);
    pf_test_server_expect(&server, from, words);
    pf_test_server_expect(&server,
                          (size_t)(strstr(server.text + from, words) - server.text), "\n");
    return (pid_t)strtol(strstr(server.text + from, words) + strlen(words), NULL, 10);
}

static void assert_backtrace_names(const char *text, const char *function)
{
    const char *at = strstr(text, "backtrace");
    assert_non_null(at);
    const char *name = strstr(at, function);
    assert_non_null(name);
    const char *end = strchr(name, '\n');
    const char *file = strstr(name, "faulty.c");
    assert_non_null(file);
    assert_true(!end || file < end); /* in the same line */
}

/* ---- blocked --------------------------------------------------------------------- */

static void while_a_worker_is_blocked_the_others_serve_and_then_it_is_replaced(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* whose code has no names */
    const char *hard = is_long() ? "5s" : "2s";
    int block_ms = is_long() ? 10000 : 6000;
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "500ms", "--hang-hard", hard));
    char path[64];
    snprintf(path, sizeof path, "/block?ms=%d", block_ms);
    size_t from = server.text_len;
    int blocked = ask(path);
    pid_t pid = expect_pid(from, "blocks");
    assert_true(pid == server.workers[0] || pid == server.workers[1]);

    /* All of these are new: none has been accepted by the one that is blocked. */
    struct pf_swarm_options options = {
        .port = server.port, .connections = 8, .request = PID_REQUEST};
    pf_swarm *swarm = pf_swarm_new(&options);
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do {
        (void)pf_swarm_run(swarm, 20);
        pf_test_server_listen(&server);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!strstr(server.text + from, "worker-accepts") &&
             now.tv_sec - begun.tv_sec < PF_TEST_DEADLINE_S);
    assert_int_equal(pf_swarm_finish(swarm), 0);
    const struct pf_swarm_counts *counts = pf_swarm_counts(swarm);
    pf_swarm_print(swarm, "one of two blocked");
    assert_true(counts->served > 0);
    assert_int_equal(counts->attempted, counts->served);
    assert_true(counts->longest_wait_us < block_ms * 1000LL);
    pf_swarm_free(swarm);

    pf_test_server_expect(&server, from, "worker-accepts");
    pf_test_server_expect(&server, from, "cause=hung"); /* its successor is there by then */
    assert_backtrace_names(server.text + from, "block_for_long");
    pid_t pids[8];
    unsigned count = pf_test_children(server.pid, pids, 8);
    for (unsigned i = 0; i < count; i++)
        assert_int_not_equal(pids[i], pid);
    assert_true(count >= 2);
    close(blocked);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_worker_that_comes_back_before_the_hard_limit_goes_on(void **state)
{
    (void)state;
    static char answer[4096];
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "200ms", "--hang-hard", "1h"));
    int blocked = ask("/block?ms=1500");
    pid_t pid = expect_pid(0, "blocks");
    pf_test_server_expect(&server, 0, "stuck");
    /* Its own client gets its answer from it; new ones got theirs all the time. */
    assert_true(pf_test_read_response(blocked, answer, sizeof answer) > 0);
    char word[32];
    snprintf(word, sizeof word, "pid=%d\n", pid);
    assert_non_null(strstr(answer, word));
    struct pf_swarm_options options = {
        .port = server.port, .connections = 8, .total = 200, .request = PID_REQUEST};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000), 0);
    assert_int_equal(pf_swarm_counts(swarm)->served, 200);
    pf_swarm_free(swarm);
    close(blocked);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_null(strstr(server.text, "cause=hung"));
}

/* ---- spinning -------------------------------------------------------------------- */

static void a_handler_that_computes_for_long_is_named(void **state)
{
    (void)state;
    static char answer[4096];
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--spin-warning", "100ms"));
    int fd = ask("/spin?ms=1000");
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    pf_test_server_expect(&server, 0, "spin_for_long");
    assert_backtrace_names(server.text, "spin_for_long");
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- what is no hang ------------------------------------------------------------- */

/* So long nothing at all is said: nobody is stuck, nobody replaced. */
static void assert_silence(int ms)
{
    pf_test_server_listen(&server);
    struct pollfd wait = {.fd = server.output, .events = POLLIN};
    if (poll(&wait, 1, ms) != 0) {
        pf_test_server_listen(&server);
        fail_msg("the server says: %s", server.text);
    }
}

static void a_worker_that_sleeps_is_never_hung(void **state)
{
    (void)state;
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "100ms",
                               "--hang-hard", "200ms"));
    assert_silence(1500);
    pid_t pids[8];
    assert_int_equal(pf_test_children(server.pid, pids, 8), 2);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_worker_in_a_debugger_is_not_killed(void **state)
{
    (void)state;
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--hang-soft", "300ms",
                               "--hang-hard", "1500ms"));
    /* Stopped in the middle of a handler, as at a breakpoint. */
    int fd = ask("/block?ms=1000");
    pid_t pid = expect_pid(0, "blocks");
    assert_int_equal(kill(pid, SIGSTOP), 0);
    (void)poll(NULL, 0, 2500); /* time for a mistake */
    pf_test_server_listen(&server);
    if (strstr(server.text, "cause=hung"))
        fail_msg("the server says: %s", server.text);
    assert_int_equal(kill(pid, SIGCONT), 0);
    static char answer[4096];
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    if (strstr(server.text, "cause=hung"))
        fail_msg("the server says: %s", server.text);
}

static int ask_and_wait(void)
{
    char answer[4096];
    int fd = ask("/pid");
    int got = (int)pf_test_read_response(fd, answer, sizeof answer);
    close(fd);
    return got;
}

/* Stopped in its poller, as a debugger that attaches finds it mostly. */
static void the_queue_of_a_worker_stopped_in_its_sleep_is_served_by_others(void **state)
{
    (void)state;
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "800ms",
                               "--hang-hard", "1600ms"));
    pid_t stopped = server.workers[0];
    assert_int_equal(kill(stopped, SIGSTOP), 0);
    /* The first that comes to it waits until it is known to be stuck. */
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (!strstr(server.text, "lane-stuck worker=0") && time(NULL) < end) {
        assert_true(ask_and_wait() > 0);
        pf_test_server_listen(&server);
    }
    assert_non_null(strstr(server.text, "lane-stuck worker=0"));
    (void)poll(NULL, 0, 2500); /* time for a mistake */
    assert_true(ask_and_wait() > 0);
    pf_test_server_listen(&server);
    if (strstr(server.text, "lane-recovered") || strstr(server.text, "worker-hung"))
        fail_msg("the server says: %s", server.text);
    assert_int_equal(kill(stopped, SIGCONT), 0);
    pf_test_server_expect(&server, 0, "lane-recovered worker=0");
    assert_true(ask_and_wait() > 0);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(while_a_worker_is_blocked_the_others_serve_and_then_it_is_replaced),
        pf_test(a_worker_that_comes_back_before_the_hard_limit_goes_on),
        pf_test(a_handler_that_computes_for_long_is_named),
        pf_test(a_worker_that_sleeps_is_never_hung),
        pf_test(a_worker_in_a_debugger_is_not_killed),
        pf_test(the_queue_of_a_worker_stopped_in_its_sleep_is_served_by_others),
    };
    return cmocka_run_group_tests_name("hang", tests, NULL, NULL);
}
