/* test_http_proxied.c - the HTTP server behind proxies: whom it takes for the client. */
#include "tests/lib/test.h"

#include "http/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static pf_loop *loop;
static pf_http_server *server;
static int client;
static char heard[65536];
static size_t heard_len;
static int gone;

/* "REMOTE PORT SCHEME" */
static int tell(pf_http_request *request, void *arg)
{
    (void)arg;
    char text[128];
    int len = snprintf(text, sizeof text, "%s %u %s", pf_http_get_remote_address(request),
                       pf_http_get_remote_port(request), pf_http_get_scheme(request));
    return pf_http_respond(request, 200, "text/plain", text, (size_t)len);
}

/* Answers later, when nothing of the head stands there any more. */
static pf_http_request *kept;
static int keep(pf_http_request *request, void *arg)
{
    (void)arg;
    kept = request;
    return PF_HTTP_LATER;
}

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = tell},
    {.method = "GET", .path = "/keep", .handler = keep},
    {0}};

static void on_gone(void *arg, int fd)
{
    (void)arg, (void)fd;
    gone++;
}

static const struct pf_http_observer observer = {.on_gone = on_gone};

/* ---- one connection -------------------------------------------------------------- */

enum {
    XHEADERS = 1,
    PROXY = 2
};

static struct pf__networks trusted;

static void connect_from(const char *address)
{
    int pair[2];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(1234)};
    struct sockaddr unix_peer = {.sa_family = AF_UNIX};
    const struct sockaddr *peer = &unix_peer;
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        peer = (const struct sockaddr *)&in;
    else if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1)
        peer = (const struct sockaddr *)&in6;
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(server, pair[0], peer), 0);
    client = pair[1];
    heard_len = 0;
    heard[0] = '\0';
}

static void start(unsigned what, const char *networks, const char *peer)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf__networks_parse(pf__text_of(networks), NULL, &trusted), 0);
    struct pf_http_server_options http = {.routes = routes,
                                          .observer = &observer,
                                          .xheaders = what & XHEADERS,
                                          .proxy_protocol = what & PROXY,
                                          .trusted = &trusted};
    assert_int_equal(pf_http_server_new(loop, &http, &server), 0);
    gone = 0;
    connect_from(peer);
}

static void stop(void)
{
    close(client);
    pf_http_server_free(server);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void turn(void)
{
    while (pf_loop_turn(loop, 0) > 0)
        ;
}

static void say(const char *bytes, size_t len)
{
    assert_int_equal(send(client, bytes, len, MSG_NOSIGNAL), len);
    turn();
    ssize_t n = recv(client, heard + heard_len, sizeof heard - 1 - heard_len, 0);
    if (n > 0)
        heard_len += (size_t)n;
    heard[heard_len] = '\0';
}

/* The server has closed, after no word at all. */
static void assert_silently_closed(void)
{
    assert_int_equal(gone, 1);
    assert_int_equal(heard_len, 0);
    assert_true(recv(client, heard, sizeof heard, 0) <= 0);
}

static void assert_client(const char *expected)
{
    const char *end = strstr(heard, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, expected);
}

/* ---- fields ---------------------------------------------------------------------- */

static void fields_of_trusted_peers_alone_are_believed(void **state)
{
    (void)state;
    static const struct {
        unsigned what;
        const char *peer, *request, *expected;
    } rows[] = {
        {XHEADERS, "10.1.2.3", GET(""), "10.1.2.3 1234 http"},
        {XHEADERS, "10.1.2.3", GET("X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1 0 http"},
        {XHEADERS, "10.1.2.3",
         GET("X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nx-forwarded-for: 10.9.9.9\r\n"),
         "192.0.2.1 0 http"},
        {XHEADERS, "10.1.2.3",
         GET("X-Forwarded-For: 2001:db8::1\r\n"
             "X-Forwarded-Proto: https\r\n"),
         "2001:db8::1 0 https"},
        {XHEADERS, "10.1.2.3", GET("X-Real-Ip: 192.0.2.7\r\nX-Scheme: https\r\n"),
         "192.0.2.7 0 https"},
        {XHEADERS, "unix", GET("X-Real-Ip: 192.0.2.7\r\n"), "192.0.2.7 0 http"},
        {XHEADERS, "11.1.2.3", GET("X-Forwarded-For: 192.0.2.1\r\nX-Scheme: https\r\n"),
         "11.1.2.3 1234 http"},
        {XHEADERS, "::1", GET("X-Forwarded-For: 192.0.2.1\r\n"), "::1 1234 http"},
        {0, "10.1.2.3", GET("X-Forwarded-For: 192.0.2.1\r\nX-Scheme: https\r\n"),
         "10.1.2.3 1234 http"},
        {0, "unix", GET("X-Real-Ip: 192.0.2.7\r\n"), "unix 0 http"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        start(rows[i].what, "10.0.0.0/8, unix", rows[i].peer);
        say(rows[i].request, strlen(rows[i].request));
        assert_client(rows[i].expected);
        stop();
    }
}

static void a_short_address_behind_a_long_one_is_not_mixed_with_it(void **state)
{
    (void)state;
    start(0, "", "192.168.100.200");
    say(GET(""), sizeof GET("") - 1);
    assert_client("192.168.100.200 1234 http");
    close(client);
    turn();
    connect_from("10.1.1.1"); /* a request that was used before */
    say(GET(""), sizeof GET("") - 1);
    assert_client("10.1.1.1 1234 http");
    stop();
}

static void who_asks_is_known_when_the_client_has_gone(void **state)
{
    (void)state;
    start(XHEADERS, "10.0.0.0/8", "10.1.2.3");
    static const char request[] =
        "GET /keep HTTP/1.1\r\nHost: a\r\nX-Real-Ip: 192.0.2.7\r\nX-Scheme: https\r\n\r\n";
    say(request, sizeof request - 1);
    assert_non_null(kept);
    struct linger hard = {.l_onoff = 1};
    (void)setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(client);
    turn();
    assert_string_equal(pf_http_get_remote_address(kept), "192.0.2.7");
    assert_string_equal(pf_http_get_scheme(kept), "https");
    (void)pf_http_respond(kept, 200, NULL, NULL, 0);
    turn();
    connect_from("10.1.2.3"); /* for stop() */
    stop();
}

/* ---- the PROXY protocol ---------------------------------------------------------- */

#define V1       "PROXY TCP4 192.0.2.9 198.51.100.1 5555 80\r\n"
#define V1_OTHER "PROXY UNKNOWN\r\n"
#define V2_START "\r\n\r\n\0\r\nQUIT\n"
#define V2       V2_START "\x21\x11\0\x0c\xc0\0\2\x09\xc6\x33\x64\1\x15\xb3\0\x50"
#define V2_LOCAL V2_START "\x20\0\0\0"
#define ROW(header, text)                                                                  \
    {                                                                                      \
        header GET(""), sizeof(header GET("")) - 1, text                                   \
    }

static void a_header_says_who_the_client_is_however_it_is_split(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *expected;
    } rows[] = {
        ROW(V1, "192.0.2.9 5555 http"),
        ROW(V2, "192.0.2.9 5555 http"),
        ROW(V1_OTHER, "10.1.2.3 1234 http"),
        ROW(V2_LOCAL, "10.1.2.3 1234 http"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t split = 0; split < rows[i].len; split++) {
            start(PROXY, "10.0.0.0/8", "10.1.2.3");
            if (split > 0)
                say(rows[i].bytes, split);
            say(rows[i].bytes + split, rows[i].len - split);
            assert_client(rows[i].expected);
            heard_len = 0;
            say(GET(""), strlen(GET(""))); /* only the first bytes are a header */
            assert_client(rows[i].expected);
            stop();
        }
}

static void what_is_no_header_closes_without_a_word(void **state)
{
    (void)state;
    static const char *const rows[] = {GET(""), "PROXY TCP4 nonsense\r\n" GET(""), "PROXX",
                                       "\r\n\r\nGET / HTTP/1.1\r\n"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        start(PROXY, "10.0.0.0/8", "10.1.2.3");
        say(rows[i], strlen(rows[i]));
        assert_silently_closed();
        stop();
    }
}

static void a_second_header_is_no_request(void **state)
{
    (void)state;
    start(PROXY, "10.0.0.0/8", "10.1.2.3");
    say(V1 V1, sizeof(V1 V1) - 1);
    assert_memory_equal(heard, "HTTP/1.1 400 ", 13);
    stop();
}

static void peers_that_are_not_trusted_speak_http_at_once(void **state)
{
    (void)state;
    start(PROXY, "10.0.0.0/8", "11.1.2.3");
    say(GET(""), strlen(GET("")));
    assert_client("11.1.2.3 1234 http");
    stop();
    start(PROXY, "10.0.0.0/8", "11.1.2.3");
    say(V1, sizeof V1 - 1);
    assert_memory_equal(heard, "HTTP/1.1 400 ", 13);
    stop();
}

static void fields_are_believed_of_whom_the_header_names_if_that_is_trusted(void **state)
{
    (void)state;
    start(PROXY | XHEADERS, "10.0.0.0/8", "10.1.2.3");
    say(V1 GET("X-Real-Ip: 6.6.6.6\r\n"), sizeof(V1 GET("X-Real-Ip: 6.6.6.6\r\n")) - 1);
    assert_client("192.0.2.9 5555 http");
    stop();
    start(PROXY | XHEADERS, "10.0.0.0/8, 192.0.2.0/24", "10.1.2.3");
    say(V1 GET("X-Real-Ip: 6.6.6.6\r\n"), sizeof(V1 GET("X-Real-Ip: 6.6.6.6\r\n")) - 1);
    assert_client("6.6.6.6 0 http");
    stop();
}

static void half_a_header_ends_quietly(void **state)
{
    (void)state;
    start(PROXY, "10.0.0.0/8", "10.1.2.3");
    say("PROXY TCP4", 10);
    assert_int_equal(gone, 0);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    turn();
    assert_silently_closed();
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(fields_of_trusted_peers_alone_are_believed),
        pf_test(a_short_address_behind_a_long_one_is_not_mixed_with_it),
        pf_test(who_asks_is_known_when_the_client_has_gone),
        pf_test(a_header_says_who_the_client_is_however_it_is_split),
        pf_test(what_is_no_header_closes_without_a_word),
        pf_test(a_second_header_is_no_request),
        pf_test(peers_that_are_not_trusted_speak_http_at_once),
        pf_test(fields_are_believed_of_whom_the_header_names_if_that_is_trusted),
        pf_test(half_a_header_ends_quietly),
    };
    return cmocka_run_group_tests_name("http_proxied", tests, NULL, NULL);
}
