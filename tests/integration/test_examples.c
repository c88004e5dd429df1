/* test_examples.c - the programs in examples/seeds, line_server and chat, run and talked
 * to.
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

/* Run a program that ends by itself: this is all that it says, but for what valgrind puts
 * in front. */
static void assert_says(const char *program, const char *text)
{
    struct pf_test_server server;
    pf_test_program_spawn(&server, NULL, program, ARGS(NULL));
    assert_int_equal(pf_test_server_wait(&server), 0);
    const char *said = strstr(server.text, text);
    assert_string_equal(said ? said : server.text, text);
    const char *wrap = getenv("WRAP");
    assert_true(said == server.text || (wrap && *wrap));
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

static void start_listening(struct pf_test_server *server, const char *program,
                            const char *where)
{
    pf_test_program_spawn(server, NULL, program, ARGS(where));
    pf_test_server_expect(server, 0, "\n");
    assert_int_equal(sscanf(server->text, "listening on port %d", &server->port), 1);
}

static void seed_003_greets_whoever_connects(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_listening(&server, "examples/seeds/003_tcp_server", "0");
    for (int i = 0; i < 20; i++)
        assert_string_equal(ask(server.port, ""), "hello\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 128 + SIGTERM);
}

static void seed_004_sends_back_what_it_gets(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_listening(&server, "examples/seeds/004_tcp_server", "0");
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

/* ---- streams --------------------------------------------------------------------- */

static void the_line_server_answers_in_capitals(void **state)
{
    (void)state;
    /* "Can't extend stack during signal delivery": by where its stack begins. */
    pf_test_skip_under_valgrind();
    struct pf_test_server server;
    start_listening(&server, "examples/line_server", "127.0.0.1:0");
    assert_string_equal(ask(server.port, "one\ntwo\nquit\nnot this\n"), "ONE\nTWO\nbye\n");
    assert_string_equal(ask(server.port, "quit\r\n"), "bye\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- the chat -------------------------------------------------------------------- */

#define SAY(text, len)                                                                     \
    "POST /say HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " len           \
    "\r\n\r\n" text
#define LINES_AFTER(n) "GET /lines?after=" n " HTTP/1.1\r\nHost: a\r\n\r\n"
#define LINES_CLOSE    "GET /lines?after=0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void start_chat(struct pf_test_server *server)
{
    pf_test_program_start(server, "examples/chat", ARGS("-b", "127.0.0.1:0", "-w", "1"));
}

static int wait_for_line(const struct pf_test_server *server, const char *request)
{
    int fd = pf_test_connect(server->port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    return fd;
}

static void assert_answered(int fd, const char *text)
{
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    assert_string_equal(body + 4, text);
}

static void a_line_of_the_chat_reaches_all_who_wait_for_it(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_chat(&server);
    int fds[100];
    for (int i = 0; i < 100; i++)
        fds[i] = wait_for_line(&server, LINES_AFTER("0"));
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "<title>chat</title>"));
    assert_non_null(strstr(ask(server.port, SAY("hello, all", "10")), "HTTP/1.1 204 "));
    for (int i = 0; i < 100; i++) {
        assert_answered(fds[i], "1 hello, all\n");
        assert_int_equal(pf_test_send_text(fds[i], LINES_AFTER("1")), 0);
    }
    (void)ask(server.port, SAY("a\nb\tc", "5"));
    for (int i = 0; i < 100; i++) {
        assert_answered(fds[i], "2 a b c\n");
        close(fds[i]);
    }
    assert_non_null(strstr(ask(server.port, LINES_CLOSE), "\r\n\r\n1 hello, all\n2 a b"));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void the_chat_keeps_the_newest_lines_and_refuses_what_is_none(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_chat(&server);
    assert_non_null(strstr(ask(server.port, SAY("", "0")), "HTTP/1.1 400 "));
    assert_non_null(strstr(ask(server.port, SAY("", "501")), "HTTP/1.1 413 "));
    int fd = wait_for_line(&server, LINES_AFTER("x"));
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    assert_non_null(strstr(answer, "HTTP/1.1 400 "));
    close(fd);
    for (int i = 0; i < 103; i++)
        (void)ask(server.port, SAY("line", "4"));
    const char *all = strstr(ask(server.port, LINES_CLOSE), "\r\n\r\n");
    assert_non_null(all);
    assert_memory_equal(all + 4, "4 line\n5 line\n", 14);
    assert_non_null(strstr(all, "\n103 line\n"));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* Some leave with a good-bye, some without; the others are let go when the server stops,
 * which does not wait for what nobody will say. */
static void who_leaves_the_chat_is_forgotten_and_who_waits_is_let_go(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_chat(&server);
    struct linger now = {.l_onoff = 1};
    for (int i = 0; i < 50; i++) {
        int fd = wait_for_line(&server, LINES_AFTER("0"));
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
    }
    int half = wait_for_line(&server, LINES_AFTER("0"));
    shutdown(half, SHUT_WR);
    assert_true(pf_test_read_all(half, answer, sizeof answer) > 0);
    assert_non_null(strstr(answer, "HTTP/1.1 204 "));
    close(half);
    int fd = wait_for_line(&server, LINES_AFTER("0"));
    (void)ask(server.port, SAY("x", "1"));
    assert_answered(fd, "1 x\n");
    assert_int_equal(pf_test_send_text(fd, LINES_AFTER("1")), 0);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
    assert_non_null(strstr(answer, "HTTP/1.1 204 "));
    assert_null(strstr(server.text, "drain-limit"));
    close(fd);
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
        pf_test(the_line_server_answers_in_capitals),
        pf_test(a_line_of_the_chat_reaches_all_who_wait_for_it),
        pf_test(the_chat_keeps_the_newest_lines_and_refuses_what_is_none),
        pf_test(who_leaves_the_chat_is_forgotten_and_who_waits_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
