#include "tests/lib/stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct stage stage;

/* ---- who looks on ---------------------------------------------------------------- */

static void on_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)arg;
    stage.logged.lines++;
    memcpy(stage.logged.last, line, len + 1);
}

static void on_response(void *arg, int status, size_t bytes)
{
    (void)arg;
    stage.observed.responses++;
    stage.observed.last_status = status;
    stage.observed.bytes += bytes;
}

static void on_gone(void *arg, int fd)
{
    (void)arg;
    assert_true(fd >= 0);
    stage.observed.gone++;
}

static const struct pf_http_observer observer = {.on_response = on_response,
                                                 .on_gone = on_gone};

/* ---- clients --------------------------------------------------------------------- */

static void forget(void)
{
    free(stage.heard.bytes);
    memset(&stage.heard, 0, sizeof stage.heard);
}

void stage_leave(void)
{
    if (stage.client >= 0)
        close(stage.client);
    stage.client = -1;
    stage_turn();
    forget();
}

void stage_reconnect(void)
{
    int pair[2];
    stage_leave();
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(stage.server, pair[0], NULL), 0);
    stage.client = pair[1];
}

void stage_reconnect_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int small = 8192;
    stage_leave();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    stage.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(stage.client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(stage.client, (struct sockaddr *)&address, len), 0);
    assert_int_equal(fcntl(stage.client, F_SETFL, O_NONBLOCK), 0);
    len = sizeof address;
    int fd =
        accept4(listener, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(
        pf_http_server_adopt(stage.server, fd, (const struct sockaddr *)&address), 0);
    close(listener);
}

void stage_reset(void)
{
    const struct linger reset = {.l_onoff = 1};
    setsockopt(stage.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    stage_leave();
}

/* ---- loop and server ------------------------------------------------------------- */

void stage_open(const struct pf_http_server_options *options)
{
    struct pf_http_server_options own = *options;
    memset(&stage, 0, sizeof stage);
    stage.clock.now_ns = 1000 * PF_SECOND;
    stage.client = -1;
    pf_log_set_sink(on_line, NULL);
    assert_int_equal(pf_test_loop_new(&stage.clock, &stage.loop), 0);
    own.observer = &observer;
    assert_int_equal(pf_http_server_new(stage.loop, &own, &stage.server), 0);
    stage_reconnect();
}

void stage_serve(pf_http_handler_fn *handler, unsigned flags)
{
    static struct pf_http_route routes[2];
    routes[0] =
        (struct pf_http_route){.path = "/{rest...}", .handler = handler, .flags = flags};
    stage_open(&(struct pf_http_server_options){.routes = routes});
}

void stage_close(void)
{
    if (stage.client >= 0)
        close(stage.client);
    forget();
    pf_http_server_free(stage.server);
    assert_int_equal(pf_loop_close(stage.loop, false), 0);
    pf_loop_unref(stage.loop);
    pf_log_set_sink(NULL, NULL);
}

void stage_turn(void)
{
    assert_true(pf_test_run_until_idle(stage.loop) >= 0);
}

void stage_advance(int64_t ns)
{
    assert_true(pf_test_advance(stage.loop, &stage.clock, ns) >= 0);
}

int64_t stage_real_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * PF_SECOND + t.tv_nsec;
}

void stage_turn_once(void)
{
    assert_true(pf_loop_turn(stage.loop, 0) >= 0);
    sched_yield();
}

/* ---- talk ------------------------------------------------------------------------ */

void say_bytes(const void *bytes, size_t len)
{
    assert_int_equal(send(stage.client, bytes, len, MSG_NOSIGNAL), len);
}

void say(const char *text)
{
    say_bytes(text, strlen(text));
}

void hear(void)
{
    static char piece[65536];
    ssize_t n;
    while ((n = recv(stage.client, piece, sizeof piece, 0)) > 0) {
        stage.heard.bytes = realloc(stage.heard.bytes, stage.heard.len + (size_t)n + 1);
        assert_non_null(stage.heard.bytes);
        memcpy(stage.heard.bytes + stage.heard.len, piece, (size_t)n);
        stage.heard.len += (size_t)n;
        stage.heard.bytes[stage.heard.len] = 0;
    }
    stage.heard.ended = n == 0;
    stage.heard.error = n == -1 && errno != EAGAIN ? errno : 0;
}

void hear_all(void)
{
    size_t before;
    do {
        before = stage.heard.len;
        stage_turn();
        hear();
    } while (stage.heard.len > before);
}

void ask(const char *text)
{
    say(text);
    stage_turn();
    hear();
}

/* ---- answers --------------------------------------------------------------------- */

bool has(const char *text)
{
    return strstr(stage.answer.head, text) != NULL;
}

void next_head(int status)
{
    assert_true(stage.heard.at < stage.heard.len);
    char *begin = stage.heard.bytes + stage.heard.at;
    const char *end = strstr(begin, "\r\n\r\n");
    assert_non_null(end);
    size_t len = (size_t)(end + 4 - begin);
    assert_true(len < sizeof stage.answer.head);
    memcpy(stage.answer.head, begin, len);
    stage.answer.head[len] = 0;
    assert_memory_equal(stage.answer.head, "HTTP/1.1 ", 9);
    assert_int_equal(atoi(stage.answer.head + 9), status);
    stage.answer.body = begin + len;
    stage.answer.len = 0;
    stage.heard.at += len;
}

/* Put the pieces of a chunked body together, where they stand. */
static void take_chunks(void)
{
    char *to = stage.heard.bytes + stage.heard.at, *from = to, *line_end;
    const char *end = stage.heard.bytes + stage.heard.len;
    size_t len;
    do {
        len = strtoul(from, &line_end, 16);
        assert_true(line_end > from && end - line_end >= (ptrdiff_t)(len + 4));
        assert_memory_equal(line_end, "\r\n", 2);
        memmove(to, line_end + 2, len);
        to += len;
        from = line_end + 2 + len;
        assert_memory_equal(from, "\r\n", 2);
        from += 2;
    } while (len > 0);
    stage.answer.len = (size_t)(to - stage.answer.body);
    stage.heard.at = (size_t)(from - stage.heard.bytes);
}

void next_answer(int status)
{
    next_head(status);
    const char *length = strstr(stage.answer.head, "\r\nContent-Length: ");
    if (has("\r\nTransfer-Encoding: chunked\r\n")) {
        assert_null(length);
        take_chunks();
    } else if (length) {
        stage.answer.len = strtoul(length + 18, NULL, 10);
        stage.heard.at += stage.answer.len;
    } else if (status != 204 && status != 304) { /* to the connection's end */
        stage.answer.len = stage.heard.len - stage.heard.at;
        stage.heard.at = stage.heard.len;
    }
    assert_true(stage.heard.at <= stage.heard.len);
}

void assert_answer(int status, const char *body)
{
    next_answer(status);
    assert_int_equal(stage.answer.len, strlen(body));
    assert_memory_equal(stage.answer.body, body, stage.answer.len);
}

void assert_nothing(void)
{
    assert_int_equal(stage.heard.len - stage.heard.at, 0);
}

void assert_open(void)
{
    assert_nothing();
    assert_false(stage.heard.ended);
    assert_int_equal(stage.heard.error, 0);
    assert_int_equal(pf_http_server_connections(stage.server), 1);
}

void assert_closed(void)
{
    assert_nothing();
    assert_true(stage.heard.ended);
    stage_leave();
    assert_int_equal(pf_http_server_connections(stage.server), 0);
}

void assert_cut(void)
{
    assert_true(stage.heard.ended || stage.heard.error == ECONNRESET);
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    stage_leave();
}
