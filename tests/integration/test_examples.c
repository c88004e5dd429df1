/* test_examples.c - the programs in examples/seeds and examples/chat, run and talked to.
 */
#include "tests/lib/server.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char answer[65536];

static const char *ask(int port, const char *request)
{
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) >= 0);
    close(fd);
    return answer;
}

/* Run a program that ends by itself: this is all that it says. */
static void assert_says(const char *program, const char *text)
{
    struct pf_test_server server;
    pf_test_program_spawn(&server, NULL, program, ARGS(NULL));
    assert_int_equal(pf_test_server_wait(&server), 0);
    assert_string_equal(server.text, text);
}

/* ---- the seeds ------------------------------------------------------------------- */

static void seed_000_answers_hello(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_program_start(&server, "examples/seeds/000_hello_http",
                          ARGS("-b", "127.0.0.1:0", "-w", "2"));
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\nhello"));
    ask(server.port, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 405 "));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void start_listening(struct pf_test_server *server, const char *program)
{
    pf_test_program_spawn(server, NULL, program, ARGS("0"));
    pf_test_server_expect(server, 0, "\n");
    assert_int_equal(sscanf(server->text, "listening on port %d", &server->port), 1);
}

static void seed_003_greets_whoever_connects(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_listening(&server, "examples/seeds/003_tcp_server");
    for (int i = 0; i < 20; i++)
        assert_string_equal(ask(server.port, ""), "hello\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 128 + SIGTERM);
}

static void seed_004_sends_back_what_it_gets(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_listening(&server, "examples/seeds/004_tcp_server");
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = pf_test_connect(server.port);
    for (int i = 0; i < 8; i++) {
        char line[16], back[16];
        int len = snprintf(line, sizeof line, "client %d", i);
        assert_int_equal(pf_test_send_text(fds[i], line), 0);
        assert_int_equal(recv(fds[i], back, (size_t)len, MSG_WAITALL), len);
        assert_memory_equal(line, back, (size_t)len);
        close(fds[i]);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 128 + SIGTERM);
}

static void seed_003_start_returns_when_the_answer_is_there(void **state)
{
    (void)state;
    assert_says("examples/seeds/003_stop", "start has returned: the answer\n");
}

static void seed_003_run_sync_gives_the_result_or_times_out(void **state)
{
    (void)state;
    assert_says("examples/seeds/003_run_sync",
                "run_sync: the answer\nrun_sync: timed out\n");
}

static void seed_003_timers_come_in_their_order(void **state)
{
    (void)state;
    assert_says("examples/seeds/003_timer", "meanwhile\nthe first\nthe last\n");
}

static void seed_003_a_thread_hands_over_to_the_loop(void **state)
{
    (void)state;
    assert_says("examples/seeds/003_thread", "500500, told on the loop's thread\n");
}

static void seed_003_signals_are_told_in_the_loop(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_program_spawn(&server, NULL, "examples/seeds/003_signal", ARGS(NULL));
    pf_test_server_expect(&server, 0, "waiting for signals\n");
    for (int i = 1; i <= 3; i++) {
        char told[32];
        snprintf(told, sizeof told, "signal %d\n", i);
        assert_int_equal(kill(server.pid, SIGUSR1), 0);
        pf_test_server_expect(&server, 0, told);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_non_null(strstr(server.text, "stopping\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(seed_000_answers_hello),
        pf_test(seed_003_greets_whoever_connects),
        pf_test(seed_004_sends_back_what_it_gets),
        pf_test(seed_003_start_returns_when_the_answer_is_there),
        pf_test(seed_003_run_sync_gives_the_result_or_times_out),
        pf_test(seed_003_timers_come_in_their_order),
        pf_test(seed_003_a_thread_hands_over_to_the_loop),
        pf_test(seed_003_signals_are_told_in_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
