/*
 * test_slots.c - what becomes of a slot: filled again whatever its worker was at, and
 * without anything that was known of the worker before.
 */
#include "tests/lib/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define ANY_PORT    "-b", "127.0.0.1:0"
#define SERVER      "bin/prefork-server"
#define FAULTY      "tests/apps/faulty"
#define PID_REQUEST "GET /pid HTTP/1.1\r\nHost: test\r\n\r\n"

static struct pf_test_server server;
static char answer[4096];

/* Ask on a new connection that stays open, whose answer may never come: then -1. */
static int ask(int timeout_ms)
{
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, PID_REQUEST), 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) == 1 &&
        pf_test_read_response(fd, answer, sizeof answer) > 0)
        return fd;
    close(fd);
    return -1;
}

static unsigned count_of(const char *what)
{
    unsigned n = 0;
    for (const char *at = strstr(server.text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

/* ---- limits ---------------------------------------------------------------------- */

static void a_worker_that_had_enough_leaves_none_of_that_to_its_successor(void **state)
{
    (void)state;
    enum {
        SOFT = 4,
        OPEN = 2 * SOFT
    };
    pf_test_program_start(&server, FAULTY,
                          ARGS(ANY_PORT, "-w", "1", "--soft-connections", "4"));
    for (int round = 0; round < 2; round++) {
        int fds[OPEN];
        for (int i = 0; i < OPEN; i++) { /* nobody else is there: beyond the soft limit */
            fds[i] = ask(PF_TEST_DEADLINE_S * 1000);
            assert_true(fds[i] >= 0);
        }
        size_t said = server.text_len;
        pid_t pids[8];
        assert_int_equal(pf_test_children(server.pid, pids, 8), 1);
        assert_int_equal(kill(pids[0], SIGKILL), 0);
        pf_test_server_expect(&server, said, "worker-accepts");
        for (int i = 0; i < OPEN; i++)
            close(fds[i]);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- boots ------------------------------------------------------------------------ */

static void a_worker_that_is_ready_and_never_accepts_is_replaced(void **state)
{
    (void)state;
    char file[64];
    snprintf(file, sizeof file, "/tmp/pf-slots-%d", getpid());
    unlink(file);
    setenv("PF_FAULTY_BOOT", "stall", 1);
    setenv("PF_FAULTY_IF", file, 1);
    pf_test_program_start(
        &server, FAULTY,
        ARGS(ANY_PORT, "-w", "1", "--threads", "2", "--boot-timeout", "10s"));
    unsetenv("PF_FAULTY_BOOT");
    unsetenv("PF_FAULTY_IF");
    FILE *made = fopen(file, "we");
    assert_non_null(made);
    fclose(made);
    size_t said = server.text_len;
    pid_t pids[8];
    assert_int_equal(pf_test_children(server.pid, pids, 8), 1);
    assert_int_equal(kill(pids[0], SIGKILL), 0);
    pf_test_server_expect(&server, said, "why=boot-limit");
    assert_int_equal(unlink(file), 0);
    pf_test_server_expect(&server, said, "worker-accepts");
    close(ask(PF_TEST_DEADLINE_S * 1000));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_loop_that_ends_before_all_lanes_are_ready_ends_its_worker(void **state)
{
    (void)state;
    setenv("PF_FAULTY_BOOT", "stop", 1);
    pf_test_program_spawn(
        &server, NULL, FAULTY,
        ARGS(ANY_PORT, "-w", "1", "--threads", "2", "--boot-timeout", "1h"));
    unsetenv("PF_FAULTY_BOOT");
    assert_int_equal(pf_test_server_wait(&server), 78); /* as all of them do */
    assert_non_null(strstr(server.text, "loop-ended before-all-lanes-were-ready"));
    /* A thread that is not joined is a leak to valgrind, which has a status for that. */
    const char *wrap = getenv("WRAP");
    assert_non_null(strstr(server.text, wrap && *wrap ? "cause=boot-failure status="
                                                      : "cause=boot-failure status=70"));
}

/* ---- told to leave ---------------------------------------------------------------- */

static pid_t only_worker(void)
{
    pid_t pids[8];
    assert_int_equal(pf_test_children(server.pid, pids, 8), 1);
    return pids[0];
}

static void young_workers_that_are_told_to_leave_are_no_failures(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGTERM};
    pf_test_program_start(&server, FAULTY, ARGS(ANY_PORT, "-w", "1"));
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        size_t said = server.text_len;
        assert_int_equal(kill(only_worker(), signals[i]), 0);
        pf_test_server_expect(&server, said, "cause=commanded");
        pf_test_server_expect(&server, said, "worker-accepts");
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_null(strstr(server.text, "next-in="));
}

static void a_worker_that_is_told_to_leave_while_it_boots_is_no_failure(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* whose status it is that a thread was not joined */
    char file[] = "/tmp/prefork-slots-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    setenv("PF_FAULTY_BOOT", "wait", 1);
    setenv("PF_FAULTY_WHILE", file, 1);
    pf_test_program_spawn(&server, NULL, FAULTY,
                          ARGS(ANY_PORT, "-w", "1", "--threads", "2"));
    unsetenv("PF_FAULTY_BOOT");
    unsetenv("PF_FAULTY_WHILE");
    pf_test_server_expect(&server, 0, "faulty: waits");
    size_t said = server.text_len;
    assert_int_equal(kill(only_worker(), SIGTERM), 0);
    pf_test_server_expect(&server, said, "faulty: waits"); /* its successor, at once */
    assert_int_equal(unlink(file), 0);
    pf_test_server_expect(&server, said, "cause=commanded");
    pf_test_server_read_banner(&server);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_null(strstr(server.text, "cause=boot-failure"));
}

/* ---- no processes ------------------------------------------------------------------ */

/* Descriptors run out at every step of the start, one after the other. */
static void a_first_fork_that_fails_says_that_the_server_stops(void **state)
{
    (void)state;
    pf_test_skip_without("prlimit");
    pf_test_skip_under_valgrind();
    int failed = 0;
    for (int max = 6, status = 70; status != 0 && max < 100; max++) {
        char limit[48];
        snprintf(limit, sizeof limit, "--nofile=%d:%d", max, max);
        pf_test_program_spawn(&server, ARGS("prlimit", limit), SERVER,
                              ARGS(ANY_PORT, "-w", "2"));
        time_t end = time(NULL) + PF_TEST_DEADLINE_S;
        struct pollfd wait = {.fd = server.output, .events = POLLIN};
        do {
            (void)poll(&wait, 1, 1000);
            pf_test_server_listen(&server);
        } while (!(wait.revents & POLLHUP) && !strstr(server.text, "worker-accepts") &&
                 time(NULL) < end);
        kill(server.pid, SIGTERM);
        status = pf_test_server_wait(&server);
        const char *said = strstr(server.text, "fork-failed");
        if (!said)
            continue;
        failed++;
        assert_int_equal(status, 70);
        assert_non_null(strstr(said, "next=none"));
        assert_null(strstr(server.text, "next-in="));
        assert_null(strstr(said + 1, "fork-failed")); /* nor are others tried */
    }
    assert_true(failed > 0);
}

/* The master alone is short of them; nobody accepts meanwhile. What is not forked
 * does not count as forked. */
static void a_fork_that_fails_is_tried_again_soon(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* it is another process then */
    enum {
        WORKERS = 4,
        FAILURES = 6 * WORKERS
    };
    struct rlimit before, none;
    pf_test_program_start(&server, SERVER, ARGS(ANY_PORT, "-w", "4"));
    size_t said = server.text_len;
    assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, NULL, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, &none, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(kill(server.workers[i], SIGKILL), 0);
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (count_of("fork-failed") < FAILURES && time(NULL) < end) {
        (void)poll(&(struct pollfd){.fd = server.output, .events = POLLIN}, 1, 1000);
        pf_test_server_listen(&server);
    }
    for (const char *at = server.text; (at = strstr(at, "next-in=")); at++)
        assert_true(strtod(at + strlen("next-in="), NULL) <= 2.0);
    assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, &before, NULL), 0);
    for (int i = 0; i < WORKERS; i++) {
        char words[48];
        snprintf(words, sizeof words, "worker-accepts worker=%d", i);
        pf_test_server_expect(&server, said, words);
    }
    assert_int_equal(count_of("fork-limit"), 0);
    assert_true(count_of("fork-failed") >= FAILURES);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- recycling ------------------------------------------------------------------- */

/* Send datagrams, each answered or lost, until so many workers have been replaced. Returns
 * how many have had no answer: the next worker may find them all. */
static unsigned send_until_recycled(int fd, unsigned times)
{
    unsigned unanswered = 0;
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (count_of("cause=recycled") < times && time(NULL) < end) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        char byte = 'x';
        assert_int_equal(send(fd, &byte, 1, 0), 1);
        unanswered++;
        if (poll(&wait, 1, 20) == 1)
            unanswered -= recv(fd, &byte, 1, 0) == 1;
        pf_test_server_listen(&server);
    }
    assert_true(count_of("cause=recycled") >= times);
    return unanswered;
}

static void datagrams_wear_a_worker_out_once(void **state)
{
    (void)state;
    enum {
        ENOUGH = 100,
        ENOUGH_LEAST = ENOUGH * 8 / 10 /* workers have numbers of their own below it */
    };
    pf_test_program_start(&server, SERVER,
                          ARGS(ANY_PORT, "-b", "udp:127.0.0.1:0", "-w", "1",
                               "--recycle-requests", "100", "echo"));
    const char *at = strstr(server.text, "udp:127.0.0.1:");
    assert_non_null(at);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)strtol(at + strlen("udp:127.0.0.1:"), NULL, 10));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    unsigned unanswered = send_until_recycled(fd, 2); /* each seat has had a worker now */
    pf_test_server_listen(&server);
    unsigned before = count_of("recycling worker=");
    (void)poll(NULL, 0, 2000); /* time for a mistake */
    pf_test_server_listen(&server);
    /* What has been answered may wear out one more, and what stands in the queue of a slow
     * machine some; nobody after that. */
    assert_true(count_of("recycling worker=") <= before + 1 + unanswered / ENOUGH_LEAST);
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- a worker that hears nothing ----------------------------------------------------- */

static void a_worker_without_its_channel_is_told_to_stop_by_a_signal(void **state)
{
    (void)state;
    pf_test_program_start(&server, FAULTY,
                          ARGS(ANY_PORT, "-w", "1", "--drain-timeout", "20s"));
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, "GET /deaf HTTP/1.1\r\nHost: test\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_null(strstr(server.text, "worker-killed"));
}

/* ---- crashes ----------------------------------------------------------------------- */

/* The master is held up meanwhile, so that it learns of all of them at once. */
static void workers_that_crash_together_all_say_where(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which has no pidfd_open */
    enum {
        WORKERS = 4
    };
    pid_t pids[2 * WORKERS];
    pf_test_program_start(&server, FAULTY, ARGS(ANY_PORT, "-w", "4"));
    assert_int_equal(pf_test_children(server.pid, pids, 2 * WORKERS), WORKERS);
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(kill(pids[i], SIGABRT), 0);
    for (int i = 0; i < WORKERS; i++) { /* until it has ended */
        int pidfd = (int)syscall(SYS_pidfd_open, pids[i], 0);
        assert_true(pidfd >= 0);
        struct pollfd wait = {.fd = pidfd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
        close(pidfd);
    }
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (count_of("worker-ended") < WORKERS && time(NULL) < end) {
        (void)poll(&(struct pollfd){.fd = server.output, .events = POLLIN}, 1, 1000);
        pf_test_server_listen(&server);
    }
    assert_int_equal(count_of("worker-ended"), WORKERS);
    assert_int_equal(count_of("worker-was-at"), WORKERS);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_worker_that_is_ready_and_never_accepts_is_replaced),
        pf_test(a_loop_that_ends_before_all_lanes_are_ready_ends_its_worker),
        pf_test(young_workers_that_are_told_to_leave_are_no_failures),
        pf_test(a_worker_that_is_told_to_leave_while_it_boots_is_no_failure),
        pf_test(a_first_fork_that_fails_says_that_the_server_stops),
        pf_test(a_fork_that_fails_is_tried_again_soon),
        pf_test(datagrams_wear_a_worker_out_once),
        pf_test(a_worker_without_its_channel_is_told_to_stop_by_a_signal),
        pf_test(workers_that_crash_together_all_say_where),
        pf_test(a_worker_that_had_enough_leaves_none_of_that_to_its_successor),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
