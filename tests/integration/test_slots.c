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
#include <sys/socket.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_worker_that_had_enough_leaves_none_of_that_to_its_successor),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
