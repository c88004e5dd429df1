/*
 * The HTTP server of a lane, over real sockets and a real loop, whose clock is the test's:
 * what a client gets for what it sends, in how many pieces it may send it, when it is told
 * to go, and what becomes of it when the server drains.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "http/internal.h"

#include <prefork/log.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GET(path)   "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(field) "POST /post HTTP/1.1\r\nHost: a\r\n" field "\r\n\r\n"
#define CLOSES      "Connection: close"

#define HEAD_TIMEOUT (1 * PF_SECOND)
#define IDLE_TIMEOUT (5 * PF_SECOND)
#define BODY_TIMEOUT (3 * PF_SECOND)
#define BODY_MAX     1000
#define BIG          (200 * 1024)

/* ---- an allocator that fails when told; the sanitizers have one of their own ----- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ALLOCATOR 0
#elif defined(__has_feature)
#define OWN_ALLOCATOR                                                                      \
    (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define OWN_ALLOCATOR 1
#endif

static int allocations; /* so far */
static int fail_at;     /* the one that fails, from 1; 0: none */

#if OWN_ALLOCATOR
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool may_allocate(void)
{
    allocations++;
    if (allocations != fail_at)
        return true;
    errno = ENOMEM;
    return false;
}

void *malloc(size_t size)
{
    return may_allocate() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
    return may_allocate() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *old, size_t size)
{
    return may_allocate() ? __libc_realloc(old, size) : NULL;
}
#endif

/* ---- the application ------------------------------------------------------------- */

static struct {
    int calls;
    pf_http_request *request;
    void (*inspect)(pf_http_request *request);
    char big[2 * 1024 * 1024];
} app;

static int hello(pf_http_request *request, void *arg)
{
    app.calls++;
    if (app.inspect)
        app.inspect(request);
    return pf_http_respond(request, 200, "text/plain", arg, strlen(arg));
}

/* Answers the query: tests tell answers apart by it. */
static int query(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *text = pf_http_get_query(request, &len);
    return pf_http_respond(request, 200, "text/plain", text, len);
}

/* As many bytes as the query says. */
static int big(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *text = pf_http_get_query(request, &len);
    return pf_http_respond(request, 200, "text/plain", app.big, strtoul(text, NULL, 10));
}

static int status(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *text = pf_http_get_query(request, &len);
    return pf_http_respond(request, atoi(text), "text/plain", "x", 1);
}

static int fails(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    return -EIO;
}

static int forgets(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    return 0;
}

static int answers_and_fails(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), 0);
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), -EALREADY);
    return -EIO;
}

static char hi[] = "hello", posted[] = "posted";

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = hello, .arg = hi},
    {.method = "POST", .path = "/post", .handler = hello, .arg = posted},
    {.method = "GET", .path = "/query", .handler = query},
    {.method = "GET", .path = "/big", .handler = big},
    {.method = "GET", .path = "/status", .handler = status},
    {.method = "GET", .path = "/fails", .handler = fails},
    {.method = "GET", .path = "/forgets", .handler = forgets},
    {.method = "GET", .path = "/answers-and-fails", .handler = answers_and_fails},
    {0}};

/* ---- a loop, a server, a client -------------------------------------------------- */

static int64_t now;
static pf_loop *loop;
static pf_http_server *server;
static int client; /* the other end of the connection that is served */

static struct {
    int responses, gone;
    int last_status;
    size_t bytes;
} observed;

static struct {
    char *bytes;
    size_t len, at; /* at: where the next answer begins */
    bool ended;     /* the server has closed, or said that it will say no more */
    int error;
} heard;

static struct {
    int lines;
    char last[PF_LOG_LINE_MAX];
} logged;

static int64_t read_clock(void *arg)
{
    (void)arg;
    return now;
}

static void on_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)arg;
    logged.lines++;
    memcpy(logged.last, line, len + 1);
}

static void on_response(void *arg, int code, size_t bytes)
{
    assert_ptr_equal(arg, &observed);
    observed.responses++;
    observed.last_status = code;
    observed.bytes += bytes;
}

static void on_gone(void *arg, int fd)
{
    assert_true(fd >= 0);
    assert_ptr_equal(arg, &observed);
    observed.gone++;
}

static const struct pf_http_observer observer = {.on_response = on_response,
                                                 .on_gone = on_gone};

static void turn(void)
{
    int n;
    while ((n = pf_loop_turn(loop, 0)) > 0)
        ;
    assert_int_equal(n, 0);
}

static void advance(int64_t ns)
{
    now += ns;
    turn();
}

/* A second client of the same server; the first one is kept by the caller. */
static int connect_another(void)
{
    int pair[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(server, pair[0], NULL), 0);
    return pair[1];
}

static void reset_heard(void)
{
    free(heard.bytes);
    memset(&heard, 0, sizeof heard);
}

/* Speak through another connection from now on. */
static void speak_through(int fd)
{
    if (client >= 0)
        close(client);
    turn();
    reset_heard();
    client = fd;
}

static void reconnect(void)
{
    speak_through(-1);
    client = connect_another();
}

static void start(void)
{
    now = 1000 * PF_SECOND;
    client = -1;
    memset(&observed, 0, sizeof observed);
    memset(&logged, 0, sizeof logged);
    app.calls = 0;
    app.inspect = NULL;
    pf_log_set_sink(on_line, NULL);
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = read_clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    struct pf_http_server_options http = {.routes = routes,
                                          .observer = &observer,
                                          .observer_arg = &observed,
                                          .head_timeout_ns = HEAD_TIMEOUT,
                                          .idle_timeout_ns = IDLE_TIMEOUT,
                                          .body_timeout_ns = BODY_TIMEOUT,
                                          .body_max = BODY_MAX};
    assert_int_equal(pf_http_server_new(loop, &http, &server), 0);
    reconnect();
}

static void stop(void)
{
    if (client >= 0)
        close(client);
    reset_heard();
    pf_http_server_free(server);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    pf_log_set_sink(NULL, NULL);
}

static void say_bytes(const char *bytes, size_t len)
{
    assert_int_equal(send(client, bytes, len, MSG_NOSIGNAL), len);
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

/* Take all that has come so far. */
static void hear(void)
{
    static char piece[65536];
    ssize_t n;
    while ((n = recv(client, piece, sizeof piece, 0)) > 0) {
        heard.bytes = realloc(heard.bytes, heard.len + (size_t)n + 1);
        assert_non_null(heard.bytes);
        memcpy(heard.bytes + heard.len, piece, (size_t)n);
        heard.len += (size_t)n;
        heard.bytes[heard.len] = 0;
    }
    heard.ended = n == 0;
    heard.error = n == -1 && errno != EAGAIN ? errno : 0;
}

static void ask(const char *text)
{
    say(text);
    turn();
    hear();
}

/* ---- answers --------------------------------------------------------------------- */

static struct {
    char head[1024];
    const char *body;
    size_t len;
} answer;

static bool has(const char *text)
{
    return strstr(answer.head, text) != NULL;
}

static size_t content_length(void)
{
    const char *field = strstr(answer.head, "\r\nContent-Length: ");
    return field ? strtoul(field + 18, NULL, 10) : 0;
}

/* Take the next answer that was heard. */
static void next(int code, bool has_body)
{
    assert_true(heard.at < heard.len);
    const char *begin = heard.bytes + heard.at;
    const char *end = strstr(begin, "\r\n\r\n");
    assert_non_null(end);
    size_t len = (size_t)(end + 4 - begin);
    assert_true(len < sizeof answer.head);
    memcpy(answer.head, begin, len);
    answer.head[len] = 0;
    assert_memory_equal(answer.head, "HTTP/1.1 ", 9);
    assert_int_equal(atoi(answer.head + 9), code);
    answer.body = begin + len;
    answer.len = has_body ? content_length() : 0;
    heard.at += len + answer.len;
    assert_true(heard.at <= heard.len);
}

static void assert_answer(int code, const char *body)
{
    next(code, true);
    assert_int_equal(answer.len, strlen(body));
    assert_memory_equal(answer.body, body, answer.len);
}

static void assert_no_more(void)
{
    assert_int_equal(heard.len - heard.at, 0);
}

static void assert_open(void)
{
    assert_no_more();
    assert_false(heard.ended);
    assert_int_equal(heard.error, 0);
    assert_int_equal(pf_http_server_connections(server), 1);
}

/* The answer said so, and the connection ended in an orderly way. */
static void assert_closed(void)
{
    assert_no_more();
    assert_true(heard.ended);
    close(client);
    client = -1;
    turn();
    assert_int_equal(pf_http_server_connections(server), 0);
}

static void assert_refused(int code)
{
    next(code, true);
    assert_true(has("\r\n" CLOSES "\r\n"));
    assert_true(has("\r\nContent-Type: text/plain\r\n"));
    assert_true(answer.len > 0);
    assert_closed();
}

/* ---- requests and answers -------------------------------------------------------- */

static void an_answer_is_complete_to_the_byte(void **state)
{
    (void)state;
    start();
    ask(GET("/"));
    assert_true(heard.len > 54);
    memset(heard.bytes + 40, '#', 29); /* the date */
    assert_string_equal(heard.bytes, "HTTP/1.1 200 OK\r\n"
                                     "Server: prefork\r\n"
                                     "Date: #############################\r\n"
                                     "Content-Type: text/plain\r\n"
                                     "Content-Length: 5\r\n"
                                     "\r\n"
                                     "hello");
    assert_int_equal(observed.bytes, heard.len);
    stop();
}

static void a_connection_answers_one_request_after_the_other(void **state)
{
    (void)state;
    start();
    for (int i = 1; i <= 5; i++) {
        ask(GET("/"));
        assert_answer(200, "hello");
        assert_false(has("Connection:"));
        assert_open();
        assert_int_equal(observed.responses, i);
    }
    stop();
}

static void head_gets_the_head_of_get(void **state)
{
    (void)state;
    start();
    ask(GET("/") "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"));
    assert_answer(200, "hello");
    char head[sizeof answer.head];
    memcpy(head, answer.head, sizeof head);
    next(200, false);
    assert_string_equal(answer.head, head);
    assert_answer(200, "hello");
    ask("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n");
    next(404, false);
    assert_true(content_length() > 0);
    assert_open();
    stop();
}

static void paths_and_methods_without_a_route_are_told_so(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int code;
        const char *allow;
    } rows[] = {
        {"GET /none HTTP/1.1", 404, NULL},
        {"GET /Post HTTP/1.1", 404, NULL},
        {"GET /post/ HTTP/1.1", 404, NULL},
        {"PATCH /none HTTP/1.1", 404, NULL},
        {"OPTIONS /none HTTP/1.1", 404, NULL},
        {"GET /post HTTP/1.1", 405, "POST, OPTIONS"},
        {"HEAD /post HTTP/1.1", 405, "POST, OPTIONS"},
        {"DELETE / HTTP/1.1", 405, "GET, HEAD, OPTIONS"},
        {"TRACE / HTTP/1.1", 405, "GET, HEAD, OPTIONS"},
        {"TRACE /none HTTP/1.1", 405, "GET, HEAD, POST, OPTIONS"},
        {"OPTIONS / HTTP/1.1", 204, "GET, HEAD, OPTIONS"},
        {"OPTIONS /post HTTP/1.1", 204, "POST, OPTIONS"},
        {"OPTIONS * HTTP/1.1", 204, "GET, HEAD, POST, OPTIONS"},
        {"OPTIONS http://a HTTP/1.1", 204, "GET, HEAD, POST, OPTIONS"},
        {"PROPFIND / HTTP/1.1", 501, NULL},
    };
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128], allow[64];
        snprintf(text, sizeof text, "%s\r\nHost: a\r\n\r\n", rows[i].line);
        snprintf(allow, sizeof allow, "\r\nAllow: %s\r\n", rows[i].allow);
        ask(text);
        next(rows[i].code, strncmp(rows[i].line, "HEAD", 4) != 0);
        assert_int_equal(has("Allow:"), rows[i].allow != NULL);
        if (rows[i].allow)
            assert_true(has(allow));
        assert_int_equal(has("Content-Length:"), rows[i].code != 204);
        assert_open();
    }
    assert_int_equal(observed.responses, sizeof rows / sizeof *rows);
    assert_int_equal(app.calls, 0);
    stop();
}

static void connect_is_refused_and_what_follows_is_not_read(void **state)
{
    (void)state;
    start();
    ask("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" GET("/"));
    next(405, true);
    assert_true(has("\r\nAllow: "));
    assert_true(has(CLOSES));
    assert_closed();
    stop();
}

static void an_upgrade_is_ignored(void **state)
{
    (void)state;
    start();
    ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: "
        "websocket\r\n\r\n" GET("/query?2"));
    assert_answer(200, "hello");
    assert_answer(200, "2");
    assert_open();
    stop();
}

static void the_target_may_have_any_form(void **state)
{
    (void)state;
    start();
    ask("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(200, "hello");
    ask("GET http://b/query?x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(200, "x");
    ask(GET("/?ignored"));
    assert_answer(200, "hello");
    ask("\r\n" GET("/query"));
    assert_answer(200, "");
    assert_open();
    stop();
}

static void the_version_decides_whether_a_connection_is_kept(void **state)
{
    (void)state;
    start();
    ask("GET / HTTP/1.0\r\n\r\n");
    next(200, true);
    assert_true(has("\r\n" CLOSES "\r\n"));
    assert_closed();

    reconnect();
    ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    next(200, true);
    assert_true(has("\r\nConnection: keep-alive\r\n"));
    assert_open();
    ask("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    next(200, true);
    assert_true(has("\r\n" CLOSES "\r\n"));
    assert_closed();
    stop();
}

static void nothing_is_parsed_behind_a_close(void **state)
{
    (void)state;
    start();
    ask(GET("/query?1") "GET /query?2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                        "this is no request\r\n\r\n");
    assert_answer(200, "1");
    assert_false(has(CLOSES));
    assert_answer(200, "2");
    assert_true(has(CLOSES));
    assert_closed();
    assert_int_equal(observed.responses, 2);
    stop();
}

/* ---- answers of handlers --------------------------------------------------------- */

static void a_handler_that_fails_or_forgets_is_a_500_and_a_line_in_the_log(void **state)
{
    (void)state;
    start();
    ask(GET("/fails"));
    next(500, true);
    assert_int_equal(logged.lines, 1);
    assert_non_null(strstr(logged.last, "path=/fails"));
    assert_non_null(strstr(logged.last, strerror(EIO)));
    ask(GET("/forgets"));
    next(500, true);
    assert_int_equal(logged.lines, 2);
    assert_non_null(strstr(logged.last, "returned 0 without an answer"));
    ask(GET("/answers-and-fails"));
    assert_answer(200, "");
    assert_int_equal(logged.lines, 3);
    assert_open();
    assert_int_equal(observed.responses, 3);
    stop();
}

static void inspect_mistakes(pf_http_request *request)
{
    static const int bad[] = {-1, 0, 100, 199, 600};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pf_http_respond(request, bad[i], NULL, NULL, 0), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a\r\nSet-Cookie: b", "", 0), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a\nb", "", 0), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, NULL, "x", 1), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a", NULL, 1), -EINVAL);
    assert_int_equal(pf_http_respond(NULL, 200, "a", "", 0), -EINVAL);
    char type[258] = "";
    memset(type, 'x', sizeof type - 1);
    assert_int_equal(pf_http_respond(request, 200, type, "", 0), -EINVAL);
    assert_int_equal(
        pf_http_respond(request, 200, "a", app.big, PF_HTTP_RESPONSE_BODY_MAX + 1),
        -ENOBUFS);
}

static void a_mistaken_answer_leaves_room_for_a_right_one(void **state)
{
    (void)state;
    start();
    app.inspect = inspect_mistakes;
    ask(GET("/"));
    assert_answer(200, "hello");
    assert_int_equal(observed.responses, 1);
    assert_int_equal(logged.lines, 0);
    stop();
}

static void an_answer_has_a_body_only_if_its_status_may(void **state)
{
    (void)state;
    start();
    ask(GET("/status?204") GET("/status?205") GET("/status?304") GET("/status?299"));
    next(204, false);
    assert_false(has("Content-Length"));
    next(205, true);
    assert_true(has("\r\nContent-Length: 0\r\n"));
    next(304, false);
    assert_false(has("Content-Length"));
    assert_answer(299, "x");
    assert_memory_equal(answer.head, "HTTP/1.1 299 \r\n", 15);
    assert_open();
    stop();
}

static void answers_of_every_size_arrive_whole(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0,    1,    3400,  3500, 3584,
                                     3585, 4096, 65536, BIG,  1000000};
    start();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[64];
        snprintf(text, sizeof text, GET("/big?%u"), sizes[i]);
        say(text);
        do {
            turn();
            hear();
        } while (!heard.bytes || !strstr(heard.bytes, "\r\n\r\n") ||
                 (sizes[i] && heard.bytes[heard.len - 1] != (char)('a' + sizes[i] % 26)));
        next(200, true);
        assert_int_equal(answer.len, sizes[i]);
        assert_memory_equal(answer.body, app.big, sizes[i]);
        assert_open();
        reset_heard();
    }
    ask(GET("/big?1048577"));
    next(500, true);
    assert_open();
    stop();
}

/* The largest answer has room behind a batch of others that is all but full. */
static void the_largest_answer_may_stand_anywhere_in_a_batch(void **state)
{
    (void)state;
    enum {
        SMALL = 22
    };
    start();
    for (int i = 0; i < SMALL; i++)
        say(GET("/big?2800"));
    say(GET("/big?1048576"));
    do {
        turn();
        hear();
    } while (heard.len < PF_HTTP_RESPONSE_BODY_MAX + SMALL * 2800);
    for (int i = 0; i < SMALL; i++)
        next(200, true);
    next(200, true);
    assert_int_equal(answer.len, PF_HTTP_RESPONSE_BODY_MAX);
    turn();
    hear();
    assert_open();
    stop();
}

static void inspect_parts(pf_http_request *request)
{
    size_t len;
    const char *text = pf_http_get_method(request, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(text, "POST", 4);
    text = pf_http_get_path(request, &len);
    assert_int_equal(len, 5);
    assert_memory_equal(text, "/post", 5);
    text = pf_http_get_query(request, &len);
    assert_int_equal(len, 7);
    assert_memory_equal(text, "a=b&c=d", 7);
    text = pf_http_get_field(request, "x-one", &len);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "two", 3);
    assert_null(pf_http_get_field(request, "X-On", &len));
}

static const char with_parts[] =
    "POST /post?a=b&c=d HTTP/1.1\r\nHost: a\r\nX-One:  two \r\n"
    "Content-Length: 3\r\n\r\nabc";

static void a_handler_reads_the_parts_of_its_request(void **state)
{
    (void)state;
    start();
    app.inspect = inspect_parts;
    ask(with_parts);
    assert_answer(200, "posted");
    ask("\r\n");
    ask(with_parts); /* behind an empty line */
    assert_answer(200, "posted");

    /* The head is a copy by now. */
    say_bytes(with_parts, sizeof with_parts - 3);
    turn();
    assert_int_equal(app.calls, 2);
    ask("bc");
    assert_answer(200, "posted");
    assert_int_equal(app.calls, 3);
    stop();
}

/* ---- pieces ---------------------------------------------------------------------- */

static void sixteen_pipelined_requests_come_back_in_one_recv(void **state)
{
    (void)state;
    start();
    char text[4096] = "", bytes[65536];
    size_t len = 0;
    for (int i = 0; i < 16; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, GET("/query?%d"), i);
    close(client);
    turn();
    int pair[2]; /* whose records tell one send from two */
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(server, pair[0], NULL), 0);
    client = pair[1];
    say(text);
    turn();
    ssize_t n = recv(client, bytes, sizeof bytes - 1, 0);
    assert_true(n > 0);
    assert_int_equal(recv(client, bytes, 1, MSG_DONTWAIT), -1);
    heard.bytes = malloc((size_t)n + 1);
    memcpy(heard.bytes, bytes, (size_t)n);
    heard.bytes[n] = 0;
    heard.len = (size_t)n;
    for (int i = 0; i < 16; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        assert_answer(200, body);
    }
    assert_int_equal(observed.responses, 16);
    assert_int_equal(observed.bytes, n);
    stop();
}

/* Several requests of all kinds, then the last. */
static const char all_kinds[] = GET("/") "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" POST(
    "Content-Length: 10") "0123456789" POST("Content-Length: 0")
    POST("Transfer-Encoding: chunked") "5;x=y\r\n01234\r\n3\r\nabc\r\n"
                                       "0\r\nTrailer: t\r\n\r\n" GET(
                                           "/none") "DELETE / HTTP/1.1\r\nHost: "
                                                    "a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: "
                                                    "a\r\n\r\n"
                                                    "GET http://a/query?x "
                                                    "HTTP/1.0\r\nConnection: close\r\n\r\n";

/* Dates differ from run to run. */
static void blank_dates(void)
{
    for (char *p = heard.bytes; (p = strstr(p, "\r\nDate: ")); p += 37)
        memset(p + 8, '#', 29);
}

static char *hear_all_kinds(size_t first, size_t step)
{
    reconnect();
    for (size_t at = 0, n = first; at < sizeof all_kinds - 1; at += n, n = step) {
        if (n > sizeof all_kinds - 1 - at)
            n = sizeof all_kinds - 1 - at;
        say_bytes(all_kinds + at, n);
        turn();
        hear();
    }
    assert_true(heard.ended);
    assert_null(server->living);
    blank_dates();
    char *text = heard.bytes;
    heard.bytes = NULL;
    return text;
}

static void requests_may_come_in_any_pieces(void **state)
{
    (void)state;
    start();
    char *whole = hear_all_kinds(sizeof all_kinds, 1);
    int responses = observed.responses;
    assert_int_equal(responses, 9);
    size_t bytes = observed.bytes;
    for (size_t split = 0; split < sizeof all_kinds; split++) {
        observed.responses = 0;
        observed.bytes = 0;
        /* 0: byte by byte; else two pieces */
        char *pieces = hear_all_kinds(split ? split : 1, split ? sizeof all_kinds : 1);
        assert_string_equal(pieces, whole);
        assert_int_equal(observed.responses, responses);
        assert_int_equal(observed.bytes, bytes);
        free(pieces);
    }
    free(whole);
    stop();
}

static void a_reader_that_pauses_gets_every_answer_in_order(void **state)
{
    (void)state;
    enum {
        REQUESTS = 10000
    };
    start();
    static char text[REQUESTS * 64];
    size_t len = 0, at = 0;
    for (int i = 0; i < REQUESTS; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, GET("/query?%d"), i);

    /* Say what fits, until neither side can go on. */
    for (bool progress = true; progress && at < len;) {
        ssize_t n = send(client, text + at, len - at, MSG_NOSIGNAL);
        progress = n > 0;
        at += n > 0 ? (size_t)n : 0;
        turn();
    }
    assert_true(observed.responses < REQUESTS);
    int before = observed.responses;
    advance(2 * IDLE_TIMEOUT); /* not idle, only not reading */
    assert_int_equal(observed.responses, before);
    assert_int_equal(observed.gone, 0);

    while (observed.responses < REQUESTS) {
        hear();
        assert_false(heard.ended);
        ssize_t n = send(client, text + at, len - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        turn();
    }
    hear();
    for (int i = 0; i < REQUESTS; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        assert_answer(200, body);
    }
    assert_int_equal(observed.bytes, heard.len);
    assert_open();
    advance(IDLE_TIMEOUT); /* now it is */
    hear();
    assert_closed();
    stop();
}

static void a_client_that_leaves_in_the_middle_is_no_news(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 100; i++)
        say(GET("/big?10000"));
    close(client);
    client = -1;
    turn();
    assert_int_equal(pf_http_server_connections(server), 0);
    assert_int_equal(observed.gone, 1);
    assert_int_equal(logged.lines, 0);
    stop();
}

/* ---- bodies ---------------------------------------------------------------------- */

static void a_handler_runs_when_the_body_has_come(void **state)
{
    (void)state;
    start();
    ask(POST("Content-Length: 4"));
    ask("abc");
    assert_int_equal(app.calls, 0);
    assert_open();
    ask("d" GET("/query?next"));
    assert_int_equal(app.calls, 1);
    assert_answer(200, "posted");
    assert_answer(200, "next");
    ask(POST("Transfer-Encoding: chunked") "1\r\n");
    ask("x\r\n0\r\n");
    assert_int_equal(app.calls, 1);
    ask("\r\n");
    assert_answer(200, "posted");
    ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx" GET("/query?next"));
    assert_answer(200, "hello");
    assert_answer(200, "next");
    assert_open();
    stop();
}

static void a_body_over_the_limit_is_refused_at_once(void **state)
{
    (void)state;
    start();
    static char body[BODY_MAX + 1];
    memset(body, 'x', BODY_MAX);
    ask(POST("Content-Length: 1000"));
    ask(body);
    assert_answer(200, "posted");
    ask(POST("Transfer-Encoding: chunked") "3e8\r\n");
    ask(body);
    ask("\r\n0\r\n\r\n");
    assert_answer(200, "posted");
    assert_open();

    ask(GET("/") POST("Content-Length: 1001"));
    assert_answer(200, "hello");
    assert_refused(413);

    reconnect();
    ask(POST("Content-Length: 9223372036854775807"));
    assert_refused(413);

    reconnect();
    ask(POST("Content-Length: 1001\r\nExpect: 100-continue"));
    assert_refused(413);

    reconnect();
    ask(POST("Transfer-Encoding: chunked") "3e8\r\n");
    ask(body);
    ask("\r\n");
    assert_open();
    ask("1\r\nx");
    assert_refused(413);
    stop();
}

static void a_client_that_waits_is_told_to_go_on(void **state)
{
    (void)state;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    start();
    ask(GET("/") POST("Content-Length: 3\r\nExpect: 100-Continue"));
    assert_answer(200, "hello");
    assert_string_equal(heard.bytes + heard.at, go_on);
    heard.at = heard.len;
    assert_int_equal(observed.responses, 1);
    ask("abc");
    assert_answer(200, "posted");
    ask(POST("Transfer-Encoding: chunked\r\nExpect: 100-continue"));
    assert_string_equal(heard.bytes + heard.at, go_on);
    heard.at = heard.len;
    ask("0\r\n\r\n");
    assert_answer(200, "posted");

    /* part of the body is here; there is none; the client does not know the word */
    ask(POST("Content-Length: 3\r\nExpect: 100-continue") "a");
    assert_open();
    ask("bc");
    assert_answer(200, "posted");
    ask(POST("Content-Length: 0\r\nExpect: 100-continue"));
    assert_answer(200, "posted");
    ask("POST /post HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n"
        "Content-Length: 3\r\n\r\n");
    assert_open();
    ask("abc");
    assert_answer(200, "posted");
    assert_open();

    ask(POST("Content-Length: 3\r\nExpect: a-miracle"));
    assert_refused(417);
    stop();
}

/* ---- errors ---------------------------------------------------------------------- */

static void what_is_wrong_is_answered_once_and_closed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"nonsense\r\n\r\n", 400},
        {"\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
        {"GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {POST("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400},
        {POST("Content-Length: 1\r\nContent-Length: 2"), 400},
        {POST("Content-Length: +1"), 400},
        {POST("Transfer-Encoding: xchunked"), 400},
        {POST("Transfer-Encoding: gzip, chunked"), 501},
        {POST("Transfer-Encoding: chunked") "zz\r\n", 400},
        {"POST /post HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    };
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        reconnect();
        memset(&observed, 0, sizeof observed);
        say(GET("/query?1") GET("/query?2"));
        say(rows[i].text);
        ask(GET("/query?3"));
        assert_answer(200, "1");
        assert_answer(200, "2");
        if (atoi(heard.bytes + heard.at + 9) != rows[i].code)
            print_error("row %zu: %s", i, rows[i].text);
        assert_refused(rows[i].code);
        assert_int_equal(observed.responses, 3);
        assert_int_equal(observed.last_status, rows[i].code);
        assert_int_equal(observed.bytes, heard.len);
        assert_int_equal(observed.gone, 1);
    }
    assert_int_equal(logged.lines, 0);
    stop();
}

static void heads_over_the_limits_are_refused(void **state)
{
    (void)state;
    static char text[128 * 1024];
    start();
    memcpy(text, "GET /", 5);
    memset(text + 5, 'x', 9000);
    ask(text);
    assert_refused(414);

    reconnect();
    memset(text, 0, sizeof text);
    int len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + len, 'x', 9000);
    ask(text);
    assert_refused(431);

    reconnect();
    memset(text, 0, sizeof text);
    len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 101; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "X: y\r\n");
    ask(text);
    assert_refused(431);

    reconnect();
    memset(text, 0, sizeof text);
    len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 40; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "X: %01000d\r\n", 1);
    ask(text);
    assert_refused(431);
    stop();
}

/* With bytes unread, close(2) would answer with a reset and the client never see why. */
static void an_error_reaches_a_client_that_goes_on_sending(void **state)
{
    (void)state;
    start();
    close(client);
    turn();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    assert_int_equal(pf_http_server_adopt(server, fd, NULL), 0);

    static char body[100000];
    say(POST("Content-Length: 1000000"));
    while (observed.responses == 0)
        assert_true(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND) >= 0);
    for (int i = 0; i < 5; i++) {
        say_bytes(body, sizeof body);
        turn();
    }
    shutdown(client, SHUT_WR);
    struct pollfd ready = {.fd = client, .events = POLLRDHUP};
    assert_int_equal(poll(&ready, 1, PF_TEST_DEADLINE_S * 1000), 1);
    while (pf_http_server_connections(server) > 0)
        assert_true(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND) >= 0);
    hear();
    assert_int_equal(heard.error, 0);
    assert_refused(413);
    stop();
}

/* ---- deadlines ------------------------------------------------------------------- */

static void a_silent_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    start();
    advance(HEAD_TIMEOUT - 1); /* a new one that says nothing is not idle, it is late */
    assert_int_equal(pf_http_server_connections(server), 1);
    advance(1);
    hear();
    assert_closed();

    reconnect();
    advance(HEAD_TIMEOUT - 1);
    ask(GET("/"));
    assert_answer(200, "hello");
    advance(IDLE_TIMEOUT - 1);
    hear();
    assert_open();
    advance(1);
    hear();
    assert_closed();
    assert_int_equal(observed.gone, 2);
    stop();
}

static void a_head_has_one_deadline_whatever_comes_of_it(void **state)
{
    (void)state;
    start();
    ask(GET("/"));
    assert_answer(200, "hello");
    advance(IDLE_TIMEOUT - 1);
    ask(GET("/") "GET / HTTP/1.1\r\nX: ");
    assert_answer(200, "hello");
    for (int i = 0; i < 8; i++) {
        advance(HEAD_TIMEOUT / 10);
        ask("T");
        assert_open();
    }
    advance(HEAD_TIMEOUT / 5 - 1);
    hear();
    assert_open();
    advance(1);
    hear();
    assert_refused(408);
    assert_int_equal(observed.last_status, 408);

    /* The deadline of one head is not that of the next. */
    reconnect();
    ask("GET / HTTP/1.1\r\nHo");
    advance(HEAD_TIMEOUT - 1);
    ask("st: a\r\n\r\nGET");
    assert_answer(200, "hello");
    advance(HEAD_TIMEOUT - 1);
    hear();
    assert_open();
    ask(" / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(200, "hello");
    advance(HEAD_TIMEOUT);
    hear();
    assert_open();
    stop();
}

static void a_body_has_time_from_each_byte_to_the_next(void **state)
{
    (void)state;
    start();
    ask("POST /post HTTP/1.1\r\n");
    advance(HEAD_TIMEOUT - 1);
    ask("Host: a\r\nContent-Length: 900\r\n\r\n");
    advance(BODY_TIMEOUT - 1);
    ask("x");
    assert_open();
    advance(BODY_TIMEOUT);
    hear();
    assert_refused(408);
    assert_int_equal(app.calls, 0);
    stop();
}

/* Byte by byte, each in time, would keep a place for hours. */
static void a_body_that_comes_too_slowly_is_cut(void **state)
{
    (void)state;
    start();
    ask("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n");
    for (int64_t taken = 0; taken < PF_HTTP_BODY_GRACE_NS - PF_SECOND; taken += PF_SECOND) {
        advance(PF_SECOND);
        ask("x");
        assert_open();
    }
    advance(PF_SECOND);
    ask("x");
    assert_refused(408);
    assert_int_equal(app.calls, 0);
    stop();
}

/* ---- the client's end ------------------------------------------------------------ */

static void a_half_closed_client_gets_its_answers(void **state)
{
    (void)state;
    start();
    say(GET("/query?1") GET("/query?2"));
    shutdown(client, SHUT_WR);
    turn();
    hear();
    assert_answer(200, "1");
    assert_answer(200, "2");
    assert_closed();

    reconnect(); /* also one who has to wait for them */
    for (int i = 0; i < 20; i++)
        say(GET("/big?204800"));
    shutdown(client, SHUT_WR);
    turn();
    assert_true(observed.responses < 22);
    for (;;) {
        turn();
        hear();
        if (heard.ended)
            break;
    }
    for (int i = 0; i < 20; i++) {
        next(200, true);
        assert_int_equal(answer.len, BIG);
    }
    assert_closed();
    stop();
}

static void half_a_request_is_not_answered(void **state)
{
    (void)state;
    static const char *const halves[] = {"G", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n",
                                         POST("Content-Length: 5") "1234",
                                         POST("Transfer-Encoding: chunked") "0\r\n"};
    start();
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        reconnect();
        say(GET("/"));
        say(halves[i]);
        shutdown(client, SHUT_WR);
        turn();
        hear();
        assert_answer(200, "hello");
        assert_closed();
        assert_null(server->living);
    }
    stop();
}

/* ---- good-bye -------------------------------------------------------------------- */

static void drain_closes_idle_connections_and_answers_what_stands_in_them(void **state)
{
    (void)state;
    start();
    int waits = connect_another();
    ask(GET("/"));
    assert_answer(200, "hello");
    assert_int_equal(send(waits, GET("/"), strlen(GET("/")), 0), strlen(GET("/")));
    int idle = client, late = connect_another();
    assert_int_equal(pf_http_server_drain(server), 0);

    client = -1; /* `idle` stays open */
    speak_through(waits);
    hear();
    assert_answer(200, "hello");
    assert_true(has("\r\n" CLOSES "\r\n"));
    assert_no_more();
    assert_true(heard.ended);

    /* A request that was on its way is answered, too. */
    speak_through(late);
    ask(GET("/"));
    assert_answer(200, "hello");
    assert_true(has("\r\n" CLOSES "\r\n"));
    assert_no_more();
    assert_true(heard.ended);

    speak_through(idle);
    advance(PF_HTTP_LAME_NS - 1);
    hear();
    assert_open();
    advance(1);
    hear();
    assert_closed();
    assert_int_equal(observed.gone, 3);
    stop();
}

static void a_draining_connection_finishes_its_request(void **state)
{
    (void)state;
    static const char text[] = POST("Content-Length: 3") "abc";
    start();
    for (size_t split = 1; split < sizeof text - 1; split++) {
        reconnect();
        say_bytes(text, split);
        turn();
        assert_int_equal(pf_http_server_drain(server), 0);
        turn();
        hear();
        assert_open();
        ask(text + split);
        assert_answer(200, "posted");
        assert_true(has("\r\n" CLOSES "\r\n"));
        assert_closed();
        server->draining = false;
    }
    stop();
}

static void a_draining_connection_answers_what_has_come_and_says_so_in_the_last(
    void **state)
{
    (void)state;
    start();
    say(GET("/query?1") GET("/query?2") GET("/query?3"));
    assert_int_equal(pf_http_server_drain(server), 0);
    turn();
    hear();
    for (int i = 1; i <= 3; i++) {
        char body[2] = {(char)('0' + i), 0};
        assert_answer(200, body);
        assert_int_equal(has("\r\n" CLOSES "\r\n"), i == 3);
    }
    assert_closed();
    assert_int_equal(observed.responses, 3);
    stop();
}

static void a_connection_that_comes_during_a_drain_is_served_once(void **state)
{
    (void)state;
    start();
    assert_int_equal(pf_http_server_drain(server), 0);
    reconnect();
    ask(GET("/"));
    assert_answer(200, "hello");
    assert_true(has(CLOSES));
    assert_closed();

    reconnect(); /* nor may one that says nothing hold the drain up for long */
    advance(HEAD_TIMEOUT);
    hear();
    assert_closed();
    stop();
}

static void a_drain_waits_for_a_reader_that_pauses(void **state)
{
    (void)state;
    start();
    for (int asked = 1; asked <= 10;
         asked += 9) { /* nothing stands behind it; a lot does */
        reconnect();
        memset(&observed, 0, sizeof observed);
        for (int i = 0; i < asked; i++)
            say(GET("/big?1000000"));
        turn();
        int begun = observed.responses;
        assert_int_equal(begun, 1);
        assert_int_equal(pf_http_server_drain(server), 0);
        assert_int_equal(pf_http_server_connections(server), 1);
        do {
            turn();
            hear();
        } while (!heard.ended);
        next(200, true);
        assert_int_equal(answer.len, 1000000);
        assert_false(has(CLOSES));
        for (int i = 2; i <= asked; i++) {
            next(200, true);
            assert_int_equal(answer.len, 1000000);
            assert_int_equal(has(CLOSES), i == asked);
        }
        assert_closed();
        server->draining = false;
    }
    stop();
}

/* ---- forks and ends -------------------------------------------------------------- */

static void use_in_child(void *arg)
{
    (void)arg;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    int fds = pf_test_count_fds();
    assert_int_equal(pf_http_server_adopt(server, pair[0], NULL), -ECHILD);
    assert_int_equal(pf_test_count_fds(), fds - 1);
    close(pair[1]);
    assert_int_equal(pf_http_server_drain(server), -ECHILD);
    pf_http_server_free(server); /* closes its copies of the descriptors */
    assert_int_equal(pf_test_count_fds(), fds - 4);
    assert_int_equal(observed.gone, 0);
}

static void a_child_can_do_no_harm(void **state)
{
    (void)state;
    start();
    int other = connect_another();
    ask("GET / HTTP/1.1\r\n"); /* a message on the heap */
    pf_test_in_child(use_in_child, NULL);
    ask("Host: a\r\n\r\n");
    assert_answer(200, "hello");
    close(other);
    stop();
}

static void respond_in_child(void *arg)
{
    assert_int_equal(pf_http_respond(arg, 200, "text/plain", "child", 5), -ECHILD);
}

static void inspect_by_forking(pf_http_request *request)
{
    pf_test_in_child(respond_in_child, request);
}

static void a_request_is_not_answered_by_a_child(void **state)
{
    (void)state;
    start();
    app.inspect = inspect_by_forking;
    ask(GET("/"));
    assert_answer(200, "hello");
    assert_open();
    stop();
}

static pid_t forked;

static void inspect_by_returning_twice(pf_http_request *request)
{
    (void)request;
    forked = fork();
    assert_true(forked >= 0);
}

static void a_child_that_returns_from_a_handler_answers_nothing(void **state)
{
    (void)state;
    start();
    app.inspect = inspect_by_returning_twice;
    say(GET("/") GET("/query?2"));
    (void)pf_loop_turn(loop, 0);
    if (forked == 0)
        _exit(observed.responses == 0 && observed.gone == 0 && logged.lines == 0 ? 0 : 1);
    int how = -1;
    assert_int_equal(waitpid(forked, &how, 0), forked);
    assert_int_equal(how, 0);
    turn();
    hear();
    assert_answer(200, "hello");
    assert_answer(200, "2");
    assert_open();
    stop();
}

static void freeing_a_server_ends_its_connections(void **state)
{
    (void)state;
    start();
    int others[3];
    for (int i = 0; i < 3; i++)
        others[i] = connect_another();
    ask(POST("Content-Length: 5") "12");
    assert_non_null(server->living);
    assert_int_equal(pf_http_server_connections(server), 4);
    pf_http_server_free(server);
    assert_int_equal(observed.gone, 4);
    hear();
    assert_no_more();
    for (int i = 0; i < 3; i++)
        close(others[i]);
    server = NULL;
    pf_http_server_free(server);
    stop();
}

static void a_server_may_have_nobody_who_looks_on(void **state)
{
    (void)state;
    start();
    pf_http_server_free(server);
    struct pf_http_server_options options = {.routes = routes};
    assert_int_equal(pf_http_server_new(loop, &options, &server), 0);
    reconnect();
    ask(GET("/"));
    assert_answer(200, "hello");
    advance(PF_HTTP_IDLE_TIMEOUT_NS - 1);
    hear();
    assert_open();
    advance(1);
    hear();
    assert_closed();
    stop();
}

/* ---- memory ---------------------------------------------------------------------- */

static void requests_that_come_whole_allocate_nothing(void **state)
{
    (void)state;
    if (!OWN_ALLOCATOR)
        skip();
    start();
    ask(GET("/"));
    for (int i = 0; i < 3; i++) {
        say(GET("/") GET("/query?2") GET("/none") POST("Content-Length: 3") "abc");
        allocations = 0;
        turn();
        assert_int_equal(allocations, 0);
    }
    assert_int_equal(observed.responses, 13);
    stop();
}

/* A message in pieces, with the n-th allocation failing. Returns the status of the answer,
 * or 0 if the connection ended without one. */
static int ask_in_pieces(int n)
{
    static const char *const pieces[] = {"POST /post HTTP/1.1\r\nHost: a\r\nContent-Le",
                                         "ngth: 5\r\n\r\n12", "345"};
    allocations = 0;
    for (int i = 0; i < 3 && !heard.ended; i++) {
        say(pieces[i]);
        fail_at = n;
        turn();
        fail_at = 0;
        int used = allocations;
        hear();
        allocations = used;
    }
    int code = heard.len > 0 ? atoi(heard.bytes + 9) : 0;
    if (code)
        next(code, true);
    return code;
}

static void a_message_for_which_memory_is_short_is_refused(void **state)
{
    (void)state;
    if (!OWN_ALLOCATOR)
        skip();
    start();
    int code, refused = 0;
    for (int n = 1; (code = ask_in_pieces(n)) != 200; n++) {
        assert_true(code == 503 || code == 0);
        refused += code == 503;
        assert_closed();
        assert_null(server->living);
        reconnect();
    }
    assert_true(refused >= 2); /* its head, its body */
    assert_open();
    stop();
}

static void a_large_answer_for_which_memory_is_short_is_a_500(void **state)
{
    (void)state;
    if (!OWN_ALLOCATOR)
        skip();
    start();
    ask(GET("/")); /* from now on there is a request to be used again */
    assert_answer(200, "hello");
    say(GET("/big?100000") GET("/"));
    allocations = 0;
    fail_at = 1;
    turn();
    fail_at = 0;
    hear();
    next(500, true);
    assert_answer(200, "hello");
    assert_open();
    stop();
}

static void a_server_for_which_memory_is_short_is_not_made(void **state)
{
    (void)state;
    if (!OWN_ALLOCATOR)
        skip();
    start();
    struct pf_http_server_options options = {.routes = routes};
    pf_http_server *made = NULL;
    int err = -ENOMEM;
    for (int n = 1; err; n++) {
        allocations = 0;
        fail_at = n;
        err = pf_http_server_new(loop, &options, &made);
        fail_at = 0;
        assert_true(err ? err == -ENOMEM && !made : n > 4);
    }
    pf_http_server_free(made);
    stop();
}

/* ---- routes and dates ------------------------------------------------------------ */

static const struct pf_http_resource some_resource = {.size = sizeof some_resource,
                                                      .get = hello};

static int make_routes(const struct pf_http_route *table, struct pf__http_routes **out)
{
    char why[256];
    return pf__http_routes_new(table, why, sizeof why, out);
}

static const struct pf__http_path *find_path(const struct pf__http_routes *in,
                                             const char *path)
{
    struct pf__captures captures;
    return pf__http_routes_find(in, pf__text_of("example.com"), pf__text_of(path), false,
                                &captures);
}

static void a_table_of_routes_is_checked(void **state)
{
    (void)state;
    static const struct pf_http_route bad[][3] = {
        {{.method = "GET", .path = "/"}, {0}},
        {{.method = "GET", .handler = hello}, {0}},
        {{.path = "/", .handler = hello, .resource = &some_resource}, {0}},
        {{.method = "GET", .path = "/", .resource = &some_resource}, {0}},
        {{.method = "GET", .path = "", .handler = hello}, {0}},
        {{.method = "GET", .path = "none", .handler = hello}, {0}},
        {{.method = "get", .path = "/", .handler = hello}, {0}},
        {{.method = "TRACE", .path = "/", .handler = hello}, {0}},
        {{.method = "GET", .path = "/", .handler = hello},
         {.method = "GET", .path = "/", .handler = fails},
         {0}},
    };
    struct pf__http_routes *made = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = make_routes(bad[i], &made);
        assert_true(err == -EINVAL || err == -EEXIST);
        assert_null(made);
    }
    static const struct pf_http_route none[] = {{0}};
    assert_int_equal(make_routes(none, &made), 0);
    assert_null(find_path(made, "/"));
    assert_string_equal(pf__http_routes_allow(made), "Allow: OPTIONS\r\n");
    pf__http_routes_free(made);
}

static void every_route_of_many_is_found(void **state)
{
    (void)state;
    enum {
        PATHS = 500
    };
    static char paths[PATHS][16];
    static struct pf_http_route table[2 * PATHS + 1];
    for (int i = 0; i < PATHS; i++) {
        snprintf(paths[i], sizeof paths[i], "/%x", (unsigned)i * 7919u % 65536u);
        table[i] =
            (struct pf_http_route){.method = "GET", .path = paths[i], .handler = hello};
        table[2 * PATHS - 1 - i] =
            (struct pf_http_route){.method = "HEAD", .path = paths[i], .handler = fails};
    }
    struct pf__http_routes *made;
    assert_int_equal(make_routes(table, &made), 0);
    for (int i = 0; i < PATHS; i++) {
        const struct pf__http_path *path = find_path(made, paths[i]);
        assert_non_null(path);
        assert_ptr_equal(path->by_method[PF_HTTP_GET], &table[i]);
        assert_ptr_equal(path->by_method[PF_HTTP_HEAD], &table[2 * PATHS - 1 - i]);
        assert_null(path->by_method[PF_HTTP_PUT]);
    }
    assert_null(find_path(made, "/zz"));
    pf__http_routes_free(made);
}

static void all_methods_fit_into_one_allow(void **state)
{
    (void)state;
    static const char all[] = "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n";
    static const struct pf_http_route table[] = {{.path = "/", .handler = hello}, {0}};
    struct pf__http_routes *made;
    assert_int_equal(make_routes(table, &made), 0);
    assert_string_equal(find_path(made, "/")->allow, all);
    assert_string_equal(pf__http_routes_allow(made), all);
    pf__http_routes_free(made);
}

static void a_date_is_written_as_the_rfc_has_it(void **state)
{
    (void)state;
    static const struct {
        int64_t second;
        const char *text;
    } rows[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
        {4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
    };
    struct pf__http_date date;
    char expected[80];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pf__http_date_set(&date, rows[i].second);
        snprintf(expected, sizeof expected, "Server: prefork\r\nDate: %s\r\n",
                 rows[i].text);
        assert_string_equal(date.text, expected);
    }
}

static void a_date_is_the_second_that_it_is(void **state)
{
    (void)state;
    struct pf__http_date date = {0};
    int64_t before = time(NULL);
    pf__http_date_refresh(&date);
    assert_true(date.second >= before && date.second <= time(NULL));
    struct pf__http_date same;
    pf__http_date_set(&same, date.second);
    assert_string_equal(same.text, date.text);
}

int main(void)
{
    pf_backend_configure();
    for (size_t i = 0; i < sizeof app.big;
         i++) /* each length ends in a letter of its own */
        app.big[i] = (char)('a' + (i + 1) % 26);
    const struct CMUnitTest tests[] = {
        pf_test(an_answer_is_complete_to_the_byte),
        pf_test(a_connection_answers_one_request_after_the_other),
        pf_test(head_gets_the_head_of_get),
        pf_test(paths_and_methods_without_a_route_are_told_so),
        pf_test(connect_is_refused_and_what_follows_is_not_read),
        pf_test(an_upgrade_is_ignored),
        pf_test(the_target_may_have_any_form),
        pf_test(the_version_decides_whether_a_connection_is_kept),
        pf_test(nothing_is_parsed_behind_a_close),
        pf_test(a_handler_that_fails_or_forgets_is_a_500_and_a_line_in_the_log),
        pf_test(a_mistaken_answer_leaves_room_for_a_right_one),
        pf_test(an_answer_has_a_body_only_if_its_status_may),
        pf_test(answers_of_every_size_arrive_whole),
        pf_test(the_largest_answer_may_stand_anywhere_in_a_batch),
        pf_test(a_handler_reads_the_parts_of_its_request),
        pf_test(sixteen_pipelined_requests_come_back_in_one_recv),
        pf_test(requests_may_come_in_any_pieces),
        pf_test(a_reader_that_pauses_gets_every_answer_in_order),
        pf_test(a_client_that_leaves_in_the_middle_is_no_news),
        pf_test(a_handler_runs_when_the_body_has_come),
        pf_test(a_body_over_the_limit_is_refused_at_once),
        pf_test(a_client_that_waits_is_told_to_go_on),
        pf_test(what_is_wrong_is_answered_once_and_closed),
        pf_test(heads_over_the_limits_are_refused),
        pf_test(an_error_reaches_a_client_that_goes_on_sending),
        pf_test(a_silent_connection_is_closed_without_a_word),
        pf_test(a_head_has_one_deadline_whatever_comes_of_it),
        pf_test(a_body_has_time_from_each_byte_to_the_next),
        pf_test(a_body_that_comes_too_slowly_is_cut),
        pf_test(a_half_closed_client_gets_its_answers),
        pf_test(half_a_request_is_not_answered),
        pf_test(drain_closes_idle_connections_and_answers_what_stands_in_them),
        pf_test(a_draining_connection_finishes_its_request),
        pf_test(a_draining_connection_answers_what_has_come_and_says_so_in_the_last),
        pf_test(a_connection_that_comes_during_a_drain_is_served_once),
        pf_test(a_drain_waits_for_a_reader_that_pauses),
        pf_test(a_child_can_do_no_harm),
        pf_test(a_request_is_not_answered_by_a_child),
        pf_test(a_child_that_returns_from_a_handler_answers_nothing),
        pf_test(freeing_a_server_ends_its_connections),
        pf_test(a_server_may_have_nobody_who_looks_on),
        pf_test(requests_that_come_whole_allocate_nothing),
        pf_test(a_message_for_which_memory_is_short_is_refused),
        pf_test(a_large_answer_for_which_memory_is_short_is_a_500),
        pf_test(a_server_for_which_memory_is_short_is_not_made),
        pf_test(a_table_of_routes_is_checked),
        pf_test(every_route_of_many_is_found),
        pf_test(all_methods_fit_into_one_allow),
        pf_test(a_date_is_written_as_the_rfc_has_it),
        pf_test(a_date_is_the_second_that_it_is),
    };
    return cmocka_run_group_tests_name("http server", tests, NULL, NULL);
}
