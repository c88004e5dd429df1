/* test_demo.c - examples/demo as its users meet it: each of its routes, from two workers.
 */
#include "tests/lib/server.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path)       "GET " path " HTTP/1.1\r\nHost: test\r\n\r\n"
#define GET_CLOSE(path) "GET " path " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
#define SENT_MAX        1000000
#define ANSWER_MAX      (8 * 1024 * 1024)

static char answer[ANSWER_MAX];
static char sent[SENT_MAX];

/* `option`: of the demo, or NULL. */
static void start_with(struct pf_test_server *server, const char *option)
{
    const char *const args[] = {"--bind", "127.0.0.1:0", "--workers", "2", option, NULL};
    pf_test_program_start(server, "examples/demo", args);
    assert_int_equal(server->worker_count, 2);
}

static void start(struct pf_test_server *server)
{
    start_with(server, NULL);
}

static void stop(struct pf_test_server *server)
{
    assert_int_equal(pf_test_server_stop(server, SIGTERM), 0);
}

/* All that comes until the connection ends. Returns its length. */
static size_t ask(const struct pf_test_server *server, const char *request)
{
    int fd = pf_test_connect(server->port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    ssize_t len = pf_test_read_all(fd, answer, sizeof answer);
    close(fd);
    assert_true(len > 0);
    return (size_t)len;
}

static int status_of(const char *text)
{
    int status = 0;
    assert_int_equal(sscanf(text, "HTTP/1.1 %d ", &status), 1);
    return status;
}

static void assert_status(const struct pf_test_server *server, const char *request,
                          int status)
{
    (void)ask(server, request);
    if (status_of(answer) != status)
        fail_msg("%s\nis answered with %.200s", request, answer);
}

static const char *body_of(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

/* The chunks of answer[0..len) become one text, with a NUL; returns its length. Fails if
 * the last chunk is missing. */
static size_t join_chunks(size_t len)
{
    assert_non_null(strstr(answer, "Transfer-Encoding: chunked\r\n"));
    const char *from = body_of(answer), *end = answer + len;
    char *to = answer;
    for (;;) {
        char *data;
        size_t size = strtoul(from, &data, 16);
        assert_true(data > from && data + 2 + size + 2 <= end);
        assert_memory_equal(data, "\r\n", 2);
        assert_memory_equal(data + 2 + size, "\r\n", 2);
        memmove(to, data + 2, size);
        to += size;
        from = data + 2 + size + 2;
        if (size == 0)
            break;
    }
    assert_ptr_equal(from, end);
    *to = '\0';
    return (size_t)(to - answer);
}

/* Leave without a good-bye. */
static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* ---- at once --------------------------------------------------------------------- */

static void the_root_says_hello(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    assert_status(&server, GET_CLOSE("/"), 200);
    assert_string_equal(body_of(answer), "hello");
    stop(&server);
}

static void what_is_not_there_is_404_and_what_is_not_done_is_405_with_allow(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    assert_status(&server, GET_CLOSE("/none"), 404);
    assert_status(&server, GET_CLOSE("/sleep"), 404);
    assert_status(&server, GET_CLOSE("/sleep/1/2"), 404);
    assert_status(&server, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405);
    const char *allow = strstr(answer, "\r\nAllow: ");
    assert_non_null(allow);
    assert_non_null(strstr(allow, "GET"));
    stop(&server);
}

static void a_number_that_is_none_or_too_large_is_400(void **state)
{
    static const char *const requests[] = {
        GET_CLOSE("/sleep/x"),     GET_CLOSE("/sleep/-1"),
        GET_CLOSE("/sleep/60001"), GET_CLOSE("/sleep/99999999999999999999999"),
        GET_CLOSE("/stream/1x"),   GET_CLOSE("/stream/1000001"),
        GET_CLOSE("/big/%31%00"),  GET_CLOSE("/big/1073741825"),
        GET_CLOSE("/big/%201"),
    };
    (void)state;
    struct pf_test_server server;
    start(&server);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        assert_status(&server, requests[i], 400);
    stop(&server);
}

static void head_is_answered_without_a_body(void **state)
{
    static const char *const paths[] = {"/", "/stream/1000", "/big/100000", "/whoami",
                                        "/sleep/0"};
    (void)state;
    struct pf_test_server server;
    start(&server);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "HEAD %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", paths[i]);
        assert_status(&server, request, 200);
        assert_string_equal(body_of(answer), "");
    }
    assert_status(&server, "HEAD /big/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                  200);
    assert_non_null(strstr(answer, "\r\nContent-Length: 7\r\n"));
    stop(&server);
}

static unsigned number_in(const char *json, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    if (!at)
        fail_msg("no %s in %s", key, json);
    return (unsigned)strtoul(at + strlen(key), NULL, 10);
}

static void whoami_tells_worker_pid_and_connection(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    int fd = pf_test_connect(server.port);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(pf_test_send_text(fd, GET("/whoami")), 0);
        assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
        assert_non_null(strstr(answer, "\r\nContent-Type: application/json\r\n"));
        const char *json = body_of(answer);
        unsigned worker = number_in(json, "worker");
        assert_true(worker < 2);
        assert_int_equal(number_in(json, "pid"), server.workers[worker]);
        assert_int_equal(number_in(json, "thread"), 0);
        assert_int_equal(number_in(json, "request"), i);
        if (server.cpus[worker] >= 0)
            assert_int_equal(number_in(json, "cpu"), server.cpus[worker]);
        assert_non_null(strstr(json, "\"address\":\"127.0.0.1\""));
    }
    close(fd);
    stop(&server);
}

/* ---- echo ------------------------------------------------------------------------ */

static void assert_echoed(int fd, size_t len)
{
    assert_int_equal(pf_test_read_response(fd, answer, sizeof answer) > 0, 1);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\r\nContent-Type: text/x-test; a=b\r\n"));
    const char *body = body_of(answer);
    char length[64];
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", len);
    assert_non_null(strstr(answer, length));
    assert_memory_equal(body, sent, len);
}

static void send_with_length(int fd, const char *method, size_t len)
{
    char head[256];
    snprintf(head, sizeof head,
             "%s /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/x-test; a=b\r\n"
             "Content-Length: %zu\r\n\r\n",
             method, len);
    assert_int_equal(pf_test_send_text(fd, head), 0);
    assert_int_equal(pf_test_send(fd, sent, len), 0);
}

static void send_chunked(int fd, size_t len)
{
    assert_int_equal(pf_test_send_text(fd, "PUT /echo HTTP/1.1\r\nHost: a\r\n"
                                           "Content-Type: text/x-test; a=b\r\n"
                                           "Transfer-Encoding: chunked\r\n\r\n"),
                     0);
    for (size_t at = 0; at < len;) {
        size_t size = len - at < 4999 ? len - at : 4999;
        char line[16];
        snprintf(line, sizeof line, "%zx\r\n", size);
        assert_int_equal(pf_test_send_text(fd, line), 0);
        assert_int_equal(pf_test_send(fd, sent + at, size), 0);
        assert_int_equal(pf_test_send_text(fd, "\r\n"), 0);
        at += size;
    }
    assert_int_equal(pf_test_send_text(fd, "0\r\n\r\n"), 0);
}

static void a_body_comes_back_with_its_type_with_length_and_chunked(void **state)
{
    static const size_t sizes[] = {0, 1, 65536, SENT_MAX};
    (void)state;
    struct pf_test_server server;
    start(&server);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7 + i / 256); /* any byte, NUL too */
    int fd = pf_test_connect(server.port);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        send_with_length(fd, "POST", sizes[i]);
        assert_echoed(fd, sizes[i]);
        send_chunked(fd, sizes[i]);
        assert_echoed(fd, sizes[i]);
    }
    send_with_length(fd, "DELETE", 3);
    assert_echoed(fd, 3);
    close(fd);
    assert_status(&server, GET_CLOSE("/echo"), 200);
    assert_non_null(strstr(answer, "\r\nContent-Length: 0\r\n"));
    stop(&server);
}

static void a_body_over_the_limit_is_413(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    assert_status(&server,
                  "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n", 413);
    stop(&server);
}

/* ---- later ----------------------------------------------------------------------- */

/* One worker, so that the same loop has both: the second is answered while the first one
 * waits for a time that no test lasts. */
static void a_request_that_sleeps_keeps_nobody_waiting(void **state)
{
    static const char *const args[] = {"--bind", "127.0.0.1:0", "--workers", "1", NULL};
    (void)state;
    struct pf_test_server server;
    pf_test_program_start(&server, "examples/demo", args);
    int sleeper = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(sleeper, GET("/sleep/60000")), 0);
    for (int i = 0; i < 3; i++) {
        assert_status(&server, GET_CLOSE("/sleep/1"), 200);
        assert_string_equal(body_of(answer), "slept\n");
        assert_status(&server, GET_CLOSE("/"), 200);
    }
    struct pollfd silent = {.fd = sleeper, .events = POLLIN};
    assert_int_equal(poll(&silent, 1, 0), 0);
    reset(sleeper);
    stop(&server);
}

static void a_client_that_leaves_while_it_sleeps_harms_nothing(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    for (int i = 0; i < 32; i++) {
        int fd = pf_test_connect(server.port);
        const char *request = i % 2 ? GET("/sleep/60000") : GET("/sleep/50");
        assert_int_equal(pf_test_send_text(fd, request), 0);
        if (i % 2)
            reset(fd);
        else
            close(fd); /* it might still read: it is answered, when it is time */
    }
    for (int i = 0; i < 4; i++)
        assert_status(&server, GET_CLOSE("/sleep/2"), 200);
    pid_t now[4];
    assert_int_equal(pf_test_children(server.pid, now, 4), 2);
    for (int i = 0; i < 2; i++)
        assert_true(now[i] == server.workers[0] || now[i] == server.workers[1]);
    stop(&server);
}

/* ---- streamed -------------------------------------------------------------------- */

static void a_stream_is_complete_and_in_order(void **state)
{
    static const unsigned counts[] = {0, 1, 1259, 1260, 1261, 200000};
    (void)state;
    struct pf_test_server server;
    start(&server);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char request[128], line[32];
        snprintf(request, sizeof request,
                 "GET /stream/%u HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                 counts[i]);
        size_t len = join_chunks(ask(&server, request));
        assert_int_equal(len, counts[i] * 13);
        for (unsigned n = 0; n < counts[i]; n++) {
            snprintf(line, sizeof line, "line %07u\n", n);
            assert_memory_equal(answer + n * 13, line, 13);
        }
    }
    stop(&server);
}

static void a_stream_with_a_length_is_complete(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, 4 * 1000 * 1000};
    (void)state;
    struct pf_test_server server;
    start(&server);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "GET /big/%zu HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", sizes[i]);
        size_t len = ask(&server, request);
        const char *body = body_of(answer);
        assert_int_equal(len - (size_t)(body - answer), sizes[i]);
        for (size_t n = 0; n < sizes[i]; n++)
            if (body[n] != (char)('a' + n % 26))
                fail_msg("byte %zu is %d", n, body[n]);
    }
    stop(&server);
}

/* Of a worker in kB, as the kernel counts it. */
static long resident(pid_t pid)
{
    char path[64], text[4096] = "";
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *at = strstr(text, "VmRSS:");
    return at ? strtol(at + 6, NULL, 10) : 0;
}

/* A gigabyte is asked for and not read: what waits is bounded, others are served, and when
 * the client leaves nothing remains to be done. */
static void a_stream_waits_for_its_client_and_ends_with_it(void **state)
{
    static const char *const args[] = {"--bind", "127.0.0.1:0", "--workers", "1", NULL};
    (void)state;
    struct pf_test_server server;
    pf_test_program_start(&server, "examples/demo", args);
    assert_status(&server, GET_CLOSE("/big/1000000"), 200);
    long before = resident(server.workers[0]);
    int fds[16];
    for (int i = 0; i < 16; i++) {
        char first[100];
        fds[i] = pf_test_connect(server.port);
        assert_int_equal(pf_test_send_text(fds[i], i % 2 ? GET("/big/1073741824")
                                                         : GET("/stream/1000000")),
                         0);
        assert_true(recv(fds[i], first, sizeof first, MSG_WAITALL) == sizeof first);
    }
    for (int i = 0; i < 20; i++)
        assert_status(&server, GET_CLOSE("/"), 200);
    assert_true(resident(server.workers[0]) - before < 64 * 1024);
    for (int i = 0; i < 16; i++)
        close(fds[i]); /* with bytes unread: a reset */
    assert_status(&server, GET_CLOSE("/stream/3"), 200);
    stop(&server); /* waits for all requests that are open */
}

/* ---- files ----------------------------------------------------------------------- */

static void the_page_is_served_with_its_style_and_script(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    assert_status(&server, GET_CLOSE("/static/"), 200);
    assert_non_null(strstr(answer, "Content-Type: text/html"));
    assert_non_null(strstr(body_of(answer), "<title>prefork</title>"));
    assert_status(&server, GET_CLOSE("/static/style.css"), 200);
    assert_status(&server, GET_CLOSE("/static/script.js"), 200);
    assert_status(&server, GET_CLOSE("/static/nothing"), 404);
    assert_status(&server, GET_CLOSE("/static/../demo.c"), 404);
    stop(&server);
}

/* ---- on purpose ------------------------------------------------------------------ */

static void what_is_unsafe_is_not_there_unless_it_was_asked_for(void **state)
{
    (void)state;
    struct pf_test_server server;
    start(&server);
    assert_status(&server, GET_CLOSE("/block/1"), 404);
    assert_status(&server, GET_CLOSE("/crash"), 404);
    assert_status(&server, GET_CLOSE("/"), 200);
    stop(&server);
}

static int count_in(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        count++;
    return count;
}

static void a_crash_costs_one_worker_which_is_replaced(void **state)
{
    (void)state;
    struct pf_test_server server;
    start_with(&server, "--unsafe");
    assert_status(&server, GET_CLOSE("/block/1"), 200);
    assert_status(&server, GET_CLOSE("/block/x"), 400);
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, GET("/crash")), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) <= 0);
    close(fd);
    pf_test_server_expect(&server, 0, "worker-ended");
    const char *ended = strstr(server.text, "worker-ended");
    pf_test_server_expect(&server, (size_t)(ended - server.text), "worker-accepts");
    for (int i = 0; i < 8; i++) /* by either, the new one too */
        assert_status(&server, GET_CLOSE("/whoami"), 200);
    stop(&server);
    assert_int_equal(count_in(server.text, "cause=crash signal=6"), 1);
    assert_int_equal(count_in(server.text, "worker-accepts"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_root_says_hello),
        pf_test(what_is_not_there_is_404_and_what_is_not_done_is_405_with_allow),
        pf_test(a_number_that_is_none_or_too_large_is_400),
        pf_test(head_is_answered_without_a_body),
        pf_test(whoami_tells_worker_pid_and_connection),
        pf_test(a_body_comes_back_with_its_type_with_length_and_chunked),
        pf_test(a_body_over_the_limit_is_413),
        pf_test(a_request_that_sleeps_keeps_nobody_waiting),
        pf_test(a_client_that_leaves_while_it_sleeps_harms_nothing),
        pf_test(a_stream_is_complete_and_in_order),
        pf_test(a_stream_with_a_length_is_complete),
        pf_test(a_stream_waits_for_its_client_and_ends_with_it),
        pf_test(the_page_is_served_with_its_style_and_script),
        pf_test(what_is_unsafe_is_not_there_unless_it_was_asked_for),
        pf_test(a_crash_costs_one_worker_which_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
