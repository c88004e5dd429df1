/*
 * A server that is short of something, or whose client is: of memory, of descriptors, of
 * attention. And what a field of a request must never become. Over TCP; what is served goes
 * on being served.
 */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"
#include "tests/lib/tree.h"
#include "tests/lib/wire.h"

#include "http/internal.h"

#include <prefork/log.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST       "Host: a\r\n"
#define GET(path)  "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GOOD       GET("/")
#define POST(path) "POST " path " HTTP/1.1\r\n" HOST

static struct pf_wire wire;

static void drop_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

static void start(const struct pf_http_server_options *options)
{
    pf_log_set_sink(drop_line, NULL); /* failing handlers have a line each */
    pf_wire_start(&wire, options);
    pf_wire_listen(&wire);
}

static void start_with(const struct pf_http_route *routes)
{
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.routes = routes;
    start(&options);
}

static void stop(void)
{
    pf_wire_stop(&wire);
    pf_log_set_sink(NULL, NULL);
}

static void say(const char *text)
{
    assert_true(pf_wire_say(&wire, text, strlen(text)));
}

static void assert_told(const char *expected)
{
    char *told = pf_wire_tell(&wire, PF_WIRE_BRIEF);
    assert_string_equal(told, expected);
    free(told);
}

static void assert_exchange(const char *said, const char *expected)
{
    char *told = pf_wire_exchange(&wire, said, strlen(said), PF_WIRE_WHOLE, PF_WIRE_BRIEF);
    assert_string_equal(told, expected);
    free(told);
}

static void assert_has(const char *text)
{
    char *told = pf_wire_tell(&wire, PF_WIRE_FULL);
    if (!strstr(told, text))
        print_error("not in: %.1000s\n", told);
    assert_non_null(strstr(told, text));
    free(told);
}

/* ---- memory ---------------------------------------------------------------------- */

/* What this process has of it now. */
static rlim_t data_bytes(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        (void)sscanf(line, "VmData: %lu kB", &kib);
    fclose(status);
    assert_true(kib > 0);
    return (rlim_t)kib * 1024;
}

/* Of a body that would be the last straw; the client goes on sending meanwhile. */
static void a_body_beyond_the_processes_memory_is_a_503_and_others_are_served(void **state)
{
    (void)state;
    enum {
        MIB = 1024 * 1024,
        BODY = 64
    };
    static char piece[MIB];
    struct pf_http_server_options options;
    struct rlimit limit, low;
    if (!PF_ALLOC_OWN)
        skip(); /* a sanitizer dies of it */
    pf_test_skip_under_valgrind();
    pf_wire_options(&options);
    options.body_max = (size_t)BODY * MIB;
    start(&options);
    assert_exchange(GOOD, "200[hello] open");
    pf_wire_connect(&wire);
    say(POST("/echo") "Content-Length: 67108864\r\n\r\n");
    assert_int_equal(getrlimit(RLIMIT_DATA, &limit), 0);
    low = limit;
    low.rlim_cur = data_bytes() + (rlim_t)BODY / 2 * MIB;
    assert_int_equal(setrlimit(RLIMIT_DATA, &low), 0);
    for (int i = 0; i < BODY && !wire.len; i++)
        (void)pf_wire_say(&wire, piece, sizeof piece);
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    assert_told("503 closed");
    assert_has("{Retry-After: 1}");
    assert_exchange(GOOD, "200[hello] open");
    stop();
}

static pf_http_request *held;

static int hold(pf_http_request *request, void *arg)
{
    (void)arg;
    held = request;
    return PF_HTTP_LATER;
}

/* On a connection of its own, whose client goes at once. */
static void hold_one(const char *text)
{
    int pair[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(wire.server, pair[0], NULL), 0);
    assert_int_equal(write(pair[1], text, strlen(text)), strlen(text));
    pf_wire_turn(&wire);
    close(pair[1]);
    pf_wire_turn(&wire);
    assert_non_null(held);
}

#define FIFTY "01234567890123456789012345678901234567890123456789"

static int sized(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *body = pf_http_get_body(request, &len);
    return pf_http_respond(request, 200, "text/plain", body, len > 4 ? 4 : len);
}

/* Bodies that wait count together, also those of requests whose client has gone, and are
 * given back with them. */
static void bodies_have_no_more_memory_than_the_server_gives_all_of_them(void **state)
{
    (void)state;
    static const struct pf_http_route bodies[] = {
        {.method = "POST", .path = "/sized", .handler = sized},
        {.method = "POST", .path = "/hold", .handler = hold},
        {0}};
    static const char *const refused[] = {
        POST("/sized") "Content-Length: 101\r\n\r\n",
        POST("/sized") "Expect: 100-continue\r\nContent-Length: 101\r\n\r\n",
        POST("/sized") "Transfer-Encoding: chunked\r\n\r\n"
                       "32\r\n" FIFTY "\r\n"
                       "33\r\n0" FIFTY "\r\n",
    };
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.routes = bodies;
    options.bodies_max = 100;
    start(&options);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        pf_wire_connect(&wire);
        say(refused[i]);
        assert_told("503 closed");
        assert_has("{Retry-After: 1}");
    }
    pf_wire_connect(&wire);
    hold_one(POST("/hold") "Content-Length: 50\r\n\r\n" FIFTY);
    say(POST("/sized") "Content-Length: 50\r\n\r\n" FIFTY);
    say(POST("/sized") "Content-Length: 51\r\n\r\n");
    assert_told("200[0123] 503 closed");
    (void)pf_http_respond(held, 200, "text/plain", "", 0); /* nobody hears it */
    assert_exchange(POST("/sized") "Transfer-Encoding: chunked\r\n\r\n"
                                   "32\r\n" FIFTY "\r\n"
                                   "32\r\n" FIFTY "\r\n"
                                   "0\r\n\r\n",
                    "200[0123] open");
    stop();
}

static int overloaded(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond_error(request, 503);
}

static const struct pf_http_route busy[] = {
    {.method = "GET", .path = "/", .handler = overloaded}, {0}};

/* The standard page, but it is to take longer. */
static void page_that_waits(pf_http_request *request, int status, void *arg)
{
    (void)arg;
    assert_int_equal(pf_http_set_field(request, "retry-after", "90"), 0);
    assert_int_equal(pf_http_respond_error(request, status), 0);
}

static void a_503_says_once_when_to_come_again(void **state)
{
    (void)state;
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.routes = busy;
    start(&options);
    assert_exchange(GOOD, "503 open");
    assert_has("{Content-Type: text/plain} {Retry-After: 1} {Content-Length: ");
    stop();
    options.on_error = page_that_waits;
    start(&options);
    assert_exchange(GOOD, "503 open");
    assert_has("{Content-Type: text/plain} {retry-after: 90} {Content-Length: ");
    stop();
}

static int before(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_set_field(request, "X-Before", "y");
}

static void after(pf_http_request *request, int status, void *arg)
{
    (void)request, (void)status;
    int *afters = arg;
    (*afters)++;
}

static void page(pf_http_request *request, int status, void *arg)
{
    (void)arg;
    char text[32];
    int len = snprintf(text, sizeof text, "page of %d", status);
    (void)pf_http_respond(request, 0, "text/html", text, (size_t)len);
}

static int greet(pf_http_request *request, void *arg)
{
    (void)arg;
    const struct pf_http_cookie cookie = {.name = "seen", .value = "1", .path = "/"};
    char name[64];
    int len = pf_http_get_argument(request, "name", name, sizeof name);
    int err = len < 0 ? len : pf_http_set_cookie(request, &cookie);
    if (!err)
        err = pf_http_set_field(request, "X-Peer", pf_http_get_remote_address(request));
    return err ? err : pf_http_respond(request, 200, "text/plain", name, (size_t)len);
}

static int redirect(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_redirect(request, 303, "/elsewhere");
}

static int answer_more(pf_http_request *request, const void *data, size_t len, void *arg)
{
    (void)data, (void)arg;
    return len ? 0 : pf_http_finish(request);
}

static void on_gone(pf_http_request *request, int reason, void *arg)
{
    (void)arg;
    if (reason)
        (void)pf_http_abort(request);
}

/* Half of the answer, and the other half at the body's end. */
static int answer_early(pf_http_request *request, void *arg)
{
    (void)arg;
    int err = pf_http_write(request, "early", 5);
    if (!err)
        err = pf_http_on_body(request, answer_more, NULL);
    return err ? err : pf_http_on_gone(request, on_gone, NULL);
}

/* A batch of answers stands, and then this. */
static int abort_it(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_abort(request);
}

static int resource_prepare(pf_http_request *request, void *arg)
{
    (void)arg;
    pf_http_set_data(request, malloc(8)); /* NOLINT: free(NULL) is fine */
    return pf_http_get_data(request) ? 0 : -ENOMEM;
}

static void resource_finish(pf_http_request *request, void *arg)
{
    (void)arg;
    free(pf_http_get_data(request));
}

static const struct pf_http_resource resource = {.size = sizeof resource,
                                                 .prepare = resource_prepare,
                                                 .get = greet,
                                                 .on_finish = resource_finish};

static int respond_later(pf_loop *loop, void *arg)
{
    (void)loop;
    int err = pf_http_respond(arg, 200, "text/plain", "later", 5);
    assert_true(err == 0 || err == -EPIPE);
    return 0;
}

static int later(pf_http_request *request, void *arg)
{
    (void)arg;
    pf_timer timer;
    int err = pf_loop_call_later(pf_http_get_loop(request), PF_WIRE_LATER, respond_later,
                                 request, &timer);
    return err ? err : PF_HTTP_LATER;
}

#define X20  "xxxxxxxxxxxxxxxxxxxx"
#define X100 X20 X20 X20 X20 X20

static const struct pf_http_route thrifty[] = {
    {.path = "/greet", .handler = greet},
    {.method = "GET", .path = "/redirect", .handler = redirect},
    {.path = "/later", .handler = later},
    {.method = "GET", .path = "/abort", .handler = abort_it},
    {.method = "POST", .path = "/early", .handler = answer_early, .flags = PF_HTTP_STREAM},
    {.path = "/resource", .resource = &resource},
    {0}};

/* Answers may be missing, or errors; those that are there are right. */
static bool are_right(const char *heard, const char *told)
{
    char answer[64];
    for (const char *at = heard; (at = strstr(at, "200[")); at++) {
        size_t len = strcspn(at, "]") + 1;
        if (len >= sizeof answer)
            return false;
        memcpy(answer, at, len);
        answer[len] = '\0';
        if (!strstr(told, answer))
            return false;
    }
    return true;
}

/* Say it to a server in want, however long that lasts, and see what it makes of it. Returns
 * whether it came to want. */
static bool is_found_wanting(const char *said, size_t cut, const char *told, int nth,
                             int *afters)
{
    int gone = wire.gone, responses = wire.responses;
    pf_wire_connect(&wire);
    *afters = 0;
    size_t len = strlen(said);
    pf_alloc_fail(nth);
    if (cut < len) {
        (void)!send(wire.client, said, cut, MSG_NOSIGNAL);
        pf_wire_turn(&wire);
    }
    cut = cut < len ? cut : 0;
    (void)!send(wire.client, said + cut, len - cut, MSG_NOSIGNAL); /* if it is there yet */
    pf_wire_turn(&wire);
    bool failed = pf_alloc_stop() >= abs(nth);
    pf_wire_settle(&wire);
    char *heard = pf_wire_tell(&wire, PF_WIRE_BRIEF);
    bool is_right = !wire.malformed && !wire.spilled && are_right(heard, told);
    if (!failed)
        is_right = strcmp(heard, told) == 0;
    else if (is_right && wire.len == 0) /* at the worst it is cut */
        is_right = wire.ended || wire.error;
    if (!is_right)
        print_error("allocation %d of %.60s: %s, not %s\n", nth, said, heard, told);
    assert_true(is_right);
    free(heard);
    pf_wire_leave(&wire);
    assert_int_equal(pf_http_server_connections(wire.server), 0);
    assert_null(wire.server->living);
    assert_int_equal(wire.gone, gone + 1);
    assert_true(*afters <= wire.responses - responses);
    return failed;
}

static void want_of_memory_is_an_error_or_the_end_and_leaves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *said, *told;
    } rows[] = {
        {GET("/greet?name=a"), "200[a] open"},
        {"GET /greet?name=a HTTP/1.1\r\n" HOST "X-Forwarded-For: 192.0.2.1\r\n"
         "Cookie: a=b; c=d\r\n\r\n",
         "200[a] open"},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" GET("/greet?name=a"), "400 closed"},
        {GET("/redirect") GET("/greet?name=a"), "303 200[a] open"},
        {GET("/greet?name=a") GET("/abort") GET("/greet?name=b"), "200[a] closed"},
        {GET("/later") GET("/greet?name=a"), "200[later] 200[a] open"},
        {POST("/later") "Content-Length: 100\r\n\r\n" X100 GET("/greet?name=a"),
         "200[later] 200[a] open"},
        {GET("/none"), "404 open"},
        {GET("/greet"), "500 open"},
        {POST("/early") "Content-Length: 3\r\n\r\nabc" GET("/greet?name=a"),
         "200[early] closed"}, /* begun before the body was read */
        {POST("/early") "\r\n" GET("/greet?name=a"), "200[early] 200[a] open"},
        {GET("/resource?name=a"), "200[a] open"},
        {POST("/greet?name=a") "Content-Length: 300\r\n\r\n" X100 X100 X100, "200[a] open"},
        {POST("/greet?name=a") "Transfer-Encoding: chunked\r\n\r\n"
                               "12c\r\n" X100 X100 X100 "\r\n0\r\n\r\n",
         "200[a] open"},
        {"PUT /resource HTTP/1.1\r\n" HOST "\r\n", "405 open"},
        {"GET /greet?name=a HTTP/1.1\r\n" HOST, "open"},
        {"no request\r\n\r\n", "400 closed"},
    };
    struct pf__networks trusted = {0};
    int afters, checked = 0;
    const struct pf_http_middleware middleware[] = {
        {.before = before, .after = after, .arg = &afters}, {0}};
    struct pf_http_server_options options;
    pf_alloc_needed();
    assert_int_equal(pf__networks_parse(pf__text_of("127.0.0.1"), NULL, &trusted), 0);
    pf_wire_options(&options);
    options.routes = thrifty;
    options.middleware = middleware;
    options.on_error = page;
    options.xheaders = true;
    options.trusted = &trusted;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int way = 0; way < 6; way++) {
            size_t len = strlen(rows[i].said);
            size_t cut = way % 3 == 0 ? PF_WIRE_WHOLE : way % 3 == 1 ? len / 2 : len - 1;
            bool failed = true;
            for (int nth = 1; failed; nth++) {
                assert_true(nth < 100);
                start(&options); /* with nothing at hand from requests before */
                failed = is_found_wanting(rows[i].said, cut, rows[i].told,
                                          way < 3 ? nth : -nth, &afters);
                checked += failed;
                assert_exchange(GET("/greet?name=z"), "200[z] open");
                stop();
            }
        }
    assert_true(checked > (int)(sizeof rows / sizeof *rows));
}

static void a_proxy_header_may_come_when_memory_is_short(void **state)
{
    (void)state;
    static const char said[] =
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" GET("/greet?name=a");
    struct pf__networks trusted = {0};
    struct pf_http_server_options options;
    int afters = 0;
    pf_alloc_needed();
    assert_int_equal(pf__networks_parse(pf__text_of("127.0.0.1"), NULL, &trusted), 0);
    pf_wire_options(&options);
    options.routes = thrifty;
    options.proxy_protocol = true;
    options.trusted = &trusted;
    for (size_t half = 0; half < 2; half++) {
        bool failed = true;
        for (int nth = 1; failed; nth++) { /* whole, and without its end */
            start(&options);
            failed = is_found_wanting(half ? "PROXY TCP4 192.0.2" : said, PF_WIRE_WHOLE,
                                      half ? "open" : "200[a] open", nth, &afters);
            assert_exchange(said, "200[a] open");
            assert_has("{X-Peer: 192.0.2.1}");
            stop();
        }
    }
}

/* ---- floods of names ------------------------------------------------------------- */

static char asked_field[16], asked_argument[16], asked_cookie[16];

/* The last one of each kind that came, by its name. */
static int find_last(pf_http_request *request, void *arg)
{
    (void)arg;
    char text[256] = "", argument[64], cookie[64];
    size_t len;
    const char *field = pf_http_get_field(request, asked_field, &len);
    int argument_len =
        pf_http_get_argument(request, asked_argument, argument, sizeof argument);
    int cookie_len = pf_http_get_cookie(request, asked_cookie, cookie, sizeof cookie);
    int n = snprintf(text, sizeof text, "%.*s %.*s %.*s", field ? (int)len : 0,
                     field ? field : "", argument_len > 0 ? argument_len : 0, argument,
                     cookie_len > 0 ? cookie_len : 0, cookie);
    return pf_http_respond(request, 200, "text/plain", text, (size_t)n);
}

static const struct pf_http_route finding[] = {
    {.method = "GET", .path = "/", .handler = find_last}, {0}};

enum kind {
    DISTINCT,
    COLLIDING,
    SAME,
    KINDS
};

/* Of 128 names of 14 letters that collide, all the same or each another: under every hash
 * that adds a byte to 33 times what was there, "Aa" and "BB" are one. */
static void make_name(enum kind kind, unsigned i, bool is_last, char name[16])
{
    if (kind == DISTINCT)
        snprintf(name, 16, "X%u", i);
    for (unsigned bit = 0; kind != DISTINCT && bit < 7; bit++)
        memcpy(name + bit * 2, kind == COLLIDING && (i >> bit & 1) ? "BB" : "Aa", 3);
    if (kind == SAME && is_last)
        snprintf(name, 16, "last");
}

static void put_names(FILE *to, enum kind kind, unsigned count, const char *format,
                      char last[16])
{
    for (unsigned i = 0; i < count; i++) {
        make_name(kind, i, i + 1 == count, last);
        fprintf(to, "%s%s%u%.2s", last, format, i, format + strlen(format) + 1);
    }
}

/* `count` names each in query, fields and cookies, the n-th with the value n. Free it. */
static char *make_flood(enum kind kind, unsigned count)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    fputs("GET /?", to);
    put_names(to, kind, count, "=\0&", asked_argument);
    fputs(" HTTP/1.1\r\n" HOST, to);
    put_names(to, kind, count, ": \0\r\n", asked_field);
    fputs("Cookie: ", to);
    put_names(to, kind, count, "=\0; ", asked_cookie);
    fputs("z=z\r\n\r\n", to);
    fclose(to);
    return text;
}

/* That the server makes until it has answered. */
static int allocations_of(const char *said)
{
    size_t len = strlen(said);
    pf_wire_connect(&wire);
    assert_int_equal(send(wire.client, said, len, MSG_NOSIGNAL), len);
    pf_alloc_fail(0);
    pf_wire_turn(&wire);
    int count = pf_alloc_stop();
    pf_wire_settle(&wire);
    return count;
}

static int allocations_of_flood(enum kind kind, unsigned count)
{
    char *flood = make_flood(kind, count), expected[64];
    int allocations = allocations_of(flood);
    snprintf(expected, sizeof expected, "200[%u %u %u] open", count - 1, count - 1,
             count - 1);
    assert_told(expected);
    free(flood);
    return allocations;
}

static void floods_of_names_make_no_table_and_end_at_the_limit(void **state)
{
    (void)state;
    enum {
        MOST = PF_HTTP_FIELDS_MAX - 2 /* beside Host and Cookie */
    };
    start_with(finding);
    (void)allocations_of(GOOD); /* and what the first request of a server makes */
    for (enum kind kind = DISTINCT; kind < KINDS; kind++) {
        int least = allocations_of_flood(kind, 1);
        assert_int_equal(allocations_of_flood(kind, MOST), least);
        char *flood = make_flood(kind, MOST + 1);
        assert_exchange(flood, "431 closed");
        free(flood);
    }
    stop();
}

/* ---- fields that would be believed ------------------------------------------------ */

/* Who asks, whatever was sent. */
static int tell_peer(pf_http_request *request, void *arg)
{
    (void)arg;
    char text[128];
    int len = snprintf(text, sizeof text, "%s %s", pf_http_get_remote_address(request),
                       pf_http_get_scheme(request));
    return pf_http_respond(request, 200, "text/plain", text, (size_t)len);
}

static const struct pf_http_route telling[] = {
    {.method = "GET", .path = "/", .handler = tell_peer},
    {.method = "POST", .path = "/", .handler = tell_peer},
    {0}};

/* All of it, as one text. Free it. */
static char *copy_environment(void)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    for (char **at = environ; *at; at++)
        fprintf(to, "%s\n", *at);
    fclose(to);
    return text;
}

/* httpoxy: in CGI `Proxy` becomes HTTP_PROXY, which libraries believe, and names with _ in
 * the place of - become the same variable. Here no field becomes anything but itself. */
static void no_field_becomes_an_environment_or_another_field(void **state)
{
    (void)state;
    static const struct {
        const char *said, *told;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: 192.0.2.1\r\n\r\n",
         "200[192.0.2.1 http] open"},
        {"GET / HTTP/1.1\r\n" HOST "X_Forwarded_For: 192.0.2.1\r\nX_Real_Ip: 192.0.2.1\r\n"
         "HTTP_X_REAL_IP: 192.0.2.1\r\nREMOTE_ADDR: 192.0.2.1\r\n\r\n",
         "200[127.0.0.1 http] open"},
        {"GET / HTTP/1.1\r\n" HOST "X_Scheme: https\r\nX_Forwarded_Proto: https\r\n"
         "HTTPS: on\r\n\r\n",
         "200[127.0.0.1 http] open"},
        {"GET / HTTP/1.1\r\n" HOST "Proxy: http://192.0.2.1:80\r\n"
         "HTTP_PROXY: http://192.0.2.1:80\r\nhttp_proxy: http://192.0.2.1:80\r\n"
         "PATH: /nowhere\r\nLD_PRELOAD: /nowhere\r\n\r\n",
         "200[127.0.0.1 http] open"},
        {POST("/") "Content_Length: 3\r\n\r\n" GOOD,
         "200[127.0.0.1 http] 200[127.0.0.1 http] open"},
        {POST("/") "Transfer_Encoding: chunked\r\n\r\n" GOOD,
         "200[127.0.0.1 http] 200[127.0.0.1 http] open"},
        {"GET / HTTP/1.1\r\n" HOST "Connection_: close\r\n_Connection: close\r\n\r\n" GOOD,
         "200[127.0.0.1 http] 200[127.0.0.1 http] open"},
    };
    struct pf__networks trusted = {0};
    struct pf_http_server_options options;
    assert_int_equal(pf__networks_parse(pf__text_of("127.0.0.1"), NULL, &trusted), 0);
    pf_wire_options(&options);
    options.routes = telling;
    options.xheaders = true;
    options.trusted = &trusted;
    start(&options);
    char *environment = copy_environment();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_exchange(rows[i].said, rows[i].told);
        char *now = copy_environment();
        assert_string_equal(now, environment);
        free(now);
    }
    free(environment);
    stop();
}

/* ---- files ----------------------------------------------------------------------- */

#define BIG (256 * 1024 * 1024) /* more than any socket's buffers hold; all holes */

static pf_http_files *files;

static void start_files(void)
{
    static struct pf_http_route routes[] = {
        {.method = "GET", .path = "/{path...}", .handler = pf_http_files_handler}, {0}};
    char path[PATH_MAX];
    pf_tree_put("a.txt", "hello");
    pf_tree_put("big.bin", "");
    snprintf(path, sizeof path, "%s/big.bin", pf_tree_root);
    assert_int_equal(truncate(path, BIG), 0);
    assert_int_equal(pf_http_files_new(pf_tree_root, NULL, &files), 0);
    routes[0].arg = files;
    start_with(routes);
}

static void stop_files(void)
{
    stop();
    pf_http_files_free(files);
}

/* Take all descriptors that this process may have: `fill` has them. */
static int fill_descriptors(int fill[], int most)
{
    int count = 0;
    while (count < most && (fill[count] = fcntl(wire.client, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    assert_true(count < most);
    assert_int_equal(errno, EMFILE);
    return count;
}

static void without_descriptors_a_file_is_a_503_and_later_it_is_there(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* it keeps descriptors for itself */
    enum {
        MOST = 128
    };
    static const char *const paths[] = {GET("/a.txt"), GET("/big.bin"), GET("/none"),
                                        GET("/")};
    struct rlimit limit, low;
    int fill[MOST];
    start_files();
    assert_exchange(GET("/a.txt"), "200[hello] open");
    pf_wire_connect(&wire);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = MOST;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int count = fill_descriptors(fill, MOST);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        say(paths[i]);
    assert_told("503 503 503 503 open");
    assert_has("{Retry-After: 1}");
    while (count > 0)
        close(fill[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    say(GET("/a.txt")); /* on the same connection */
    assert_told("503 503 503 503 200[hello] open");
    stop_files();
}

/* Read n bytes of the answer and let the server send on. */
static void read_some(size_t n)
{
    static char piece[65536];
    while (n > 0) {
        ssize_t got =
            recv(wire.client, piece, n < sizeof piece ? n : sizeof piece, MSG_DONTWAIT);
        assert_true(got > 0 || (got == -1 && errno == EAGAIN));
        n -= got > 0 ? (size_t)got : 0;
        pf_wire_turn(&wire);
    }
}

static void a_client_that_stops_reading_a_file_is_cut_and_the_file_closed(void **state)
{
    (void)state;
    start_files();
    for (int reads = 0; reads < 3; reads++) {
        const int small = 65536; /* and it stays so */
        pf_wire_connect(&wire);
        assert_int_equal(
            setsockopt(wire.client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
        int gone = wire.gone, fds = pf_test_count_fds();
        assert_int_equal(
            send(wire.client, GET("/big.bin"), sizeof GET("/big.bin") - 1, MSG_NOSIGNAL),
            sizeof GET("/big.bin") - 1);
        pf_wire_turn(&wire);
        assert_int_equal(pf_test_count_fds(), fds + 1); /* it is on its way */
        for (int i = 0; i < reads; i++) {               /* only what is read counts */
            wire.now += PF_WIRE_STALL - 1;
            read_some(2 * 1024 * 1024);
            assert_int_equal(pf_test_count_fds(), fds + 1);
        }
        wire.now += PF_WIRE_STALL - 1;
        pf_wire_turn(&wire);
        assert_int_equal(wire.gone, gone);
        wire.now += 1;
        pf_wire_turn(&wire);
        assert_int_equal(wire.gone, gone + 1);
        assert_int_equal(pf_test_count_fds(), fds - 1); /* nor the server's end */
        pf_wire_advance(&wire, 0);
        assert_int_equal(wire.error, ECONNRESET); /* the client sees that it was not all */
    }
    assert_exchange(GET("/a.txt"), "200[hello] open");
    stop_files();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_body_beyond_the_processes_memory_is_a_503_and_others_are_served),
        pf_test(bodies_have_no_more_memory_than_the_server_gives_all_of_them),
        pf_test(a_503_says_once_when_to_come_again),
        pf_test(want_of_memory_is_an_error_or_the_end_and_leaves_nothing),
        pf_test(a_proxy_header_may_come_when_memory_is_short),
        pf_test(floods_of_names_make_no_table_and_end_at_the_limit),
        pf_test(no_field_becomes_an_environment_or_another_field),
        pf_tree_test(without_descriptors_a_file_is_a_503_and_later_it_is_there),
        pf_tree_test(a_client_that_stops_reading_a_file_is_cut_and_the_file_closed),
    };
    return cmocka_run_group_tests_name("http scarcity", tests, NULL, NULL);
}
