/*
 * HTTP/1.1 as RFC 9110 and RFC 9112 have it, where servers tend to miss it: one test for
 * each matter. Whatever is said is said over TCP, whole, byte by byte, and cut once at
 * every place: what comes back is the same.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"
#include "tests/lib/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST          "Host: a\r\n"
#define GET(path)     "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GOOD          GET("/")
#define POST(path)    "POST " path " HTTP/1.1\r\n" HOST
#define CHUNKED(path) POST(path) "Transfer-Encoding: chunked\r\n\r\n"
#define EXPECT        "Expect: 100-continue\r\n"

static struct pf_wire wire;

static void start(const struct pf_http_server_options *options)
{
    pf_wire_start(&wire, options);
    pf_wire_listen(&wire);
}

struct row {
    const char *said;
    const char *told; /* pf_wire_tell()'s brief account */
};

static void assert_exchange(const char *said, size_t len, size_t cut,
                            enum pf_wire_detail detail, const char *expected)
{
    char *told = pf_wire_exchange(&wire, said, len, cut, detail);
    if (strcmp(told, expected) != 0)
        print_error("cut at %zd, said:\n%.300s\n", (ssize_t)cut, said);
    assert_string_equal(told, expected);
    free(told);
}

static void assert_row(const char *said, const char *expected)
{
    size_t len = strlen(said);
    assert_exchange(said, len, PF_WIRE_WHOLE, PF_WIRE_BRIEF, expected);
    char *whole = pf_wire_exchange(&wire, said, len, PF_WIRE_WHOLE, PF_WIRE_FULL);
    assert_exchange(said, len, PF_WIRE_BYTES, PF_WIRE_FULL, whole);
    for (size_t n = 1; n < len; n++)
        assert_exchange(said, len, PF_WIRE_AT(n), PF_WIRE_FULL, whole);
    free(whole);
}

static void assert_rows(const struct row *rows, size_t count)
{
    start(NULL);
    for (size_t i = 0; i < count; i++)
        assert_row(rows[i].said, rows[i].told);
    pf_wire_stop(&wire);
}

#define ASSERT_ROWS(...)                                                                   \
    do {                                                                                   \
        static const struct row rows[] = {__VA_ARGS__};                                    \
        assert_rows(rows, sizeof rows / sizeof *rows);                                     \
    } while (0)

/* Say it whole; the full account of what came back. Free it. */
static char *ask(const char *said)
{
    return pf_wire_exchange(&wire, said, strlen(said), PF_WIRE_WHOLE, PF_WIRE_FULL);
}

static void assert_heard(const char *said, const char *text, bool expected)
{
    char *told = ask(said);
    if ((strstr(told, text) != NULL) != expected)
        print_error("said:\n%s\ntold: %s\n", said, told);
    assert_int_equal(strstr(told, text) != NULL, expected);
    free(told);
}

/* Go on with what stands: no new connection. */
static void assert_told(const char *expected)
{
    char *told = pf_wire_tell(&wire, PF_WIRE_BRIEF);
    assert_string_equal(told, expected);
    free(told);
}

static void say(const char *text)
{
    assert_true(pf_wire_say(&wire, text, strlen(text)));
}

/* ---- message --------------------------------------------------------------------- */

static void an_empty_line_may_stand_in_front_of_a_request(void **state)
{
    (void)state;
    ASSERT_ROWS({"\r\n" GOOD, "200[hello] open"}, {"\r\n\r\n" GOOD, "200[hello] open"},
                {GOOD "\r\n" GOOD, "200[hello] 200[hello] open"});
}

static void versions_are_answered_by_their_numbers(void **state)
{
    (void)state;
    ASSERT_ROWS({"GET / HTTP/1.1\r\n" HOST "\r\n", "200[hello] open"},
                {"GET / HTTP/1.0\r\n\r\n", "200[hello] closed"},
                {"GET / HTTP/1.2\r\n" HOST "\r\n", "200[hello] open"},
                {"GET / HTTP/2.0\r\n" HOST "\r\n", "505 closed"},
                {"GET / HTTP/0.9\r\n" HOST "\r\n", "505 closed"},
                {"GET / HTTP/3.1\r\n" HOST "\r\n", "505 closed"},
                {"GET /\r\n\r\n", "400 closed"},
                {"GET / http/1.1\r\n" HOST "\r\n", "400 closed"},
                {"GET / HTTP/11\r\n" HOST "\r\n", "400 closed"});
}

static void methods_are_known_allowed_or_neither(void **state)
{
    (void)state;
    ASSERT_ROWS({"PROPFIND / HTTP/1.1\r\n" HOST "\r\n" GOOD, "501 200[hello] open"},
                {"POST / HTTP/1.1\r\n" HOST "\r\n" GOOD, "405 200[hello] open"},
                {"get / HTTP/1.1\r\n" HOST "\r\n", "501 closed"},
                {"PUT /table HTTP/1.1\r\n" HOST "\r\n", "200[PUT] open"},
                {"POST /table HTTP/1.1\r\n" HOST "\r\n", "405 open"},
                {"TRACE / HTTP/1.1\r\n" HOST "Cookie: secret\r\n\r\n", "405 open"},
                {"CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n" GOOD, "405 closed"});
    start(NULL);
    assert_heard("POST / HTTP/1.1\r\n" HOST "\r\n", "{Allow: GET, HEAD, OPTIONS}", true);
    assert_heard("TRACE / HTTP/1.1\r\n" HOST "Cookie: secret\r\n\r\n", "secret", false);
    assert_heard("OPTIONS /echo HTTP/1.1\r\n" HOST "\r\n",
                 "204 {Server: prefork} {Allow: ", true);
    pf_wire_stop(&wire);
}

static void the_four_forms_of_a_target(void **state)
{
    (void)state;
    ASSERT_ROWS({"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "204 open"},
                {"GET * HTTP/1.1\r\n" HOST "\r\n", "400 closed"},
                {"GET http://b/users/x HTTP/1.1\r\n" HOST "\r\n", "200[x] open"},
                {"GET HTTP://b:80 HTTP/1.1\r\n" HOST "\r\n", "200[hello] open"},
                {"GET http:// HTTP/1.1\r\n" HOST "\r\n", "400 closed"},
                {"GET ftp://b/ HTTP/1.1\r\n" HOST "\r\n", "400 closed"},
                {"GET http://b@c/ HTTP/1.1\r\n" HOST "\r\n", "400 closed"},
                {"GET users HTTP/1.1\r\n" HOST "\r\n", "400 closed"},
                {"GET /#top HTTP/1.1\r\n" HOST "\r\n", "400 closed"});
}

static void an_escape_is_decoded_once_or_refused(void **state)
{
    (void)state;
    ASSERT_ROWS({GET("/users/a%20b"), "200[a b] open"},
                {GET("/users/%2525"), "200[%25] open"},
                {GET("/users/a%2Fb"), "200[a/b] open"}, {GET("/users/%zz"), "400 closed"},
                {GET("/users/%4"), "400 closed"}, {GET("/users/%"), "400 closed"},
                {GET("/files/a/%62"), "200[a/b] open"});
}

/* ---- host ------------------------------------------------------------------------ */

/* RFC 3986 section 6.2.2.2. */
static void an_escape_that_says_nothing_finds_the_same_route(void **state)
{
    (void)state;
    ASSERT_ROWS({"GET /%75sers/7 HTTP/1.1\r\n" HOST "\r\n", "200[7] open"},
                {"GET http://a/%75%73ers/7?%75 HTTP/1.1\r\n" HOST "\r\n", "200[7] open"},
                {"GET /users%2F7 HTTP/1.1\r\n" HOST "\r\n", "404 open"});
}

static void host_stands_once_and_is_one(void **state)
{
    (void)state;
    ASSERT_ROWS({"GET / HTTP/1.1\r\n\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400 closed"},
                {"GET / HTTP/1.0\r\n" HOST HOST "\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "200[hello] open"}, /* a reg-name */
                {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400 closed"},
                {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "200[hello] open"},
                {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "200[hello] open"},
                {"GET / HTTP/1.1\r\nhOsT:\ta:80 \r\n\r\n", "200[hello] open"},
                {"GET / HTTP/1.0\r\n\r\n", "200[hello] closed"},
                {"GET http://b/ HTTP/1.1\r\n\r\n", "400 closed"},
                {"GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 closed"});
}

/* ---- framing --------------------------------------------------------------------- */

static void an_answer_to_head_is_the_head_of_the_answer_to_get(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/chunks", "/users/x", "/none", "/any"};
    start(NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char get[128], head[128];
        snprintf(get, sizeof get, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        snprintf(head, sizeof head, "HEAD %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        char *got = ask(get), *heads = ask(head);
        char *body = strchr(got, '[');
        assert_non_null(body);
        assert_null(strchr(heads, '['));
        if (strcmp(paths[i], "/any") != 0) /* which says how long the method is */
            assert_memory_equal(got, heads, (size_t)(body - got));
        free(got);
        free(heads);
    }
    pf_wire_stop(&wire);
    ASSERT_ROWS({"HEAD / HTTP/1.1\r\n" HOST "\r\n" GOOD, "200 200[hello] open"},
                {"HEAD /chunks HTTP/1.1\r\n" HOST "\r\n" GOOD, "200 200[hello] open"},
                {"HEAD /later HTTP/1.1\r\n" HOST "\r\n" GOOD, "200 200[hello] open"},
                {"HEAD /none HTTP/1.1\r\n" HOST "\r\n" GOOD, "404 200[hello] open"});
}

static void an_answer_without_a_body_has_no_framing(void **state)
{
    (void)state;
    start(NULL);
    assert_heard("OPTIONS / HTTP/1.1\r\n" HOST "\r\n", "Content-Length", false);
    assert_heard("OPTIONS / HTTP/1.1\r\n" HOST "\r\n", "Transfer-Encoding", false);
    pf_wire_stop(&wire);
}

static void a_client_of_1_0_gets_no_coding(void **state)
{
    (void)state;
    start(NULL);
    assert_heard(GET("/chunks"), "{Transfer-Encoding: chunked}", true);
    assert_heard("GET /chunks HTTP/1.0\r\n\r\n", "Transfer-Encoding", false);
    pf_wire_stop(&wire);
    ASSERT_ROWS({GET("/chunks") GOOD, "200[onetwothree] 200[hello] open"},
                {"GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                 "200[onetwothree] closed"});
}

static void a_body_nobody_asked_for_is_read_and_dropped(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET /" GOOD,
         "200[hello] 200[hello] open"},
        {"HEAD / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET /" GOOD,
         "200 200[hello] open"},
        {"DELETE /table HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "5\r\nGET /\r\n0\r\n\r\n" GOOD,
         "200[DELETE] 200[hello] open"},
        {POST("/none") "Content-Length: 5\r\n\r\nGET /" GOOD, "404 200[hello] open"},
        {POST("/") "Content-Length: 5\r\n\r\nGET /" GOOD, "405 200[hello] open"},
        {"OPTIONS * HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET /" GOOD,
         "204 200[hello] open"},
        {"BREW / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET /" GOOD, "501 closed"});
}

static void a_request_without_length_or_coding_has_no_body(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {POST("/echo") "\r\n" GOOD, "200 200[hello] open"},
        {POST("/echo") "Content-Length: 0\r\n\r\n" GOOD, "200 200[hello] open"},
        {POST("/echo") "Content-Length: 3\r\n\r\nabc" GOOD, "200[abc] 200[hello] open"});
}

static void a_body_may_be_empty_wherever_it_goes(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {POST("/upload") "\r\n" GOOD, "200[0] 200[hello] open"},
        {POST("/upload") "Content-Length: 0\r\n\r\n" GOOD, "200[0] 200[hello] open"},
        {CHUNKED("/upload") "0\r\n\r\n" GOOD, "200[0] 200[hello] open"},
        {POST("/mirror") "\r\n" GOOD, "200 200[hello] open"});
}

/* RFC 7578. */
static void a_form_is_its_parts_however_they_come(void **state)
{
    (void)state;
#define FORM_TYPE "Content-Type: multipart/form-data; boundary=b\r\n"
#define PART(n)   "--b\r\nContent-Disposition: form-data; name=" n "\r\n\r\n"
    ASSERT_ROWS({POST("/form") FORM_TYPE "Content-Length: 122\r\n\r\n" PART(
                     "a") "1\r\n" PART("f; filename=x") "\r\n--\r\n--b--\r\n" GOOD,
                 "200[a=1;f=4;] 200[hello] open"},
                {CHUNKED("/form") "1\r\nx\r\n0\r\n\r\n" GOOD, "415 closed"},
                {POST("/form") FORM_TYPE "Content-Length: 5\r\n\r\n--b--" GOOD,
                 "200 200[hello] open"},
                {POST("/form") FORM_TYPE "Content-Length: 3\r\n\r\n--b" GOOD,
                 "400 200[hello] open"});
#undef FORM_TYPE
#undef PART
}

static void a_body_left_unread_ends_the_connection(void **state)
{
    (void)state;
    ASSERT_ROWS({POST("/refuse") "Content-Length: 5\r\n\r\nGET /" GOOD, "401 closed"},
                {CHUNKED("/refuse") "5\r\nGET /\r\n0\r\n\r\n" GOOD, "401 closed"});
}

/* ---- transfer codings ------------------------------------------------------------ */

static void chunks_have_their_freedoms(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {POST("/echo") "transfer-ENCODING: \tCHUNKED \r\n\r\n3\r\nabc\r\n0\r\n\r\n" GOOD,
         "200[abc] 200[hello] open"},
        {CHUNKED("/echo") "3;x=y\r\nabc\r\n0\r\n\r\n", "200[abc] open"},
        {CHUNKED("/echo") "3 ;x = y\t; z\r\nabc\r\n0 ; x\r\n\r\n", "200[abc] open"},
        {CHUNKED("/echo") "3;x=\"a;b\"\r\nabc\r\n0\r\n\r\n", "200[abc] open"},
        {CHUNKED("/echo") "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
         "200[01234567890123456789] open"},
        {CHUNKED("/echo") "0003\r\nabc\r\n000;x\r\n\r\n" GOOD, "200[abc] 200[hello] open"},
        {CHUNKED("/echo") "3\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n" GOOD,
         "200[abc] 200[hello] open"},
        {CHUNKED("/mirror") "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
         "200[abcde] closed"},
        {CHUNKED("/upload") "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GOOD,
         "200[5] 200[hello] open"});
}

/* ---- connection ------------------------------------------------------------------ */

static void a_connection_is_kept_by_what_its_fields_say(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {"GET / HTTP/1.1\r\n" HOST "Connection: x, CLOSE\r\n\r\n" GOOD,
         "200[hello] closed"},
        {"GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: close\r\n\r\n" GOOD,
         "200[hello] closed"},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close, keep-alive\r\n\r\n" GOOD,
         "200[hello] closed"},
        {"GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", "200[hello] open"},
        {"GET / HTTP/1.0\r\n\r\n" GOOD, "200[hello] closed"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" GOOD,
         "200[hello] 200[hello] open"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "200[hello] closed"},
        {"GET /later HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GOOD,
         "200[later] closed"},
        {GOOD "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nno request\r\n\r\n",
         "200[hello] 200[hello] closed"});
    start(NULL);
    assert_heard("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                 "{Connection: keep-alive}", true);
    assert_heard("GET / HTTP/1.0\r\n\r\n", "{Connection: close}", true);
    assert_heard(GOOD, "Connection", false);
    pf_wire_stop(&wire);
}

static void the_last_answer_of_a_connection_says_that_it_is(void **state)
{
    (void)state;
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.requests_max = 2;
    options.age_max_ns = 3 * PF_SECOND;
    start(&options);
    char *told = ask(GOOD GOOD GOOD);
    assert_non_null(strstr(told, "{Connection: close} {Content-Length: 5}[hello] closed"));
    assert_told("200[hello] 200[hello] closed");
    free(told);
    pf_wire_connect(&wire);
    pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT - 1);
    say(GOOD);
    pf_wire_advance(&wire, 3 * PF_SECOND);
    assert_told("200[hello] open");
    say(GOOD);
    assert_told("200[hello] 200[hello] closed");
    pf_wire_stop(&wire);
}

static void a_drain_says_good_bye_to_the_busy_and_closes_the_idle(void **state)
{
    (void)state;
    start(NULL);
    pf_wire_connect(&wire);
    say(GET("/later"));
    assert_int_equal(pf_http_server_drain(wire.server), 0);
    pf_wire_settle(&wire);
    char *told = pf_wire_tell(&wire, PF_WIRE_FULL);
    assert_non_null(strstr(told, "{Connection: close}"));
    free(told);
    assert_told("200[later] closed");
    pf_wire_stop(&wire);

    start(NULL);
    pf_wire_connect(&wire);
    say(GOOD);
    assert_int_equal(pf_http_server_drain(wire.server), 0);
    pf_wire_advance(&wire, PF_HTTP_LAME_NS);
    assert_told("200[hello] closed");
    pf_wire_stop(&wire);
}

/* ---- pipelining ------------------------------------------------------------------ */

static void answers_come_in_the_order_of_the_requests(void **state)
{
    (void)state;
    ASSERT_ROWS({GET("/later") GET("/users/2") GET("/later") GET("/users/4"),
                 "200[later] 200[2] 200[later] 200[4] open"},
                {POST("/echo") "Content-Length: 1\r\n\r\n1" CHUNKED(
                     "/upload") "1\r\n2\r\n0\r\n\r\n" GET("/later")
                     POST("/echo") "Content-Length: 1\r\n\r\n4",
                 "200[1] 200[1] 200[later] 200[4] open"});
}

static void what_is_wrong_is_answered_behind_what_is_right(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {GOOD GET("/later") "no request\r\n\r\n" GOOD, "200[hello] 200[later] 400 closed"},
        {GET("/chunks") "GET / HTTP/1.1\r\n\r\n" GOOD, "200[onetwothree] 400 closed"},
        {GET("/none") "GET / HTTP/2.0\r\n\r\n" GOOD, "404 505 closed"});
}

/* ---- 100-continue ---------------------------------------------------------------- */

/* What is answered to a head alone, and whether it is told to go on. */
static void assert_head_alone(const char *head, const char *told, int interim)
{
    char *heard = pf_wire_exchange(&wire, head, strlen(head), PF_WIRE_WHOLE, PF_WIRE_BRIEF);
    assert_string_equal(heard, told);
    assert_int_equal(wire.interim, interim);
    free(heard);
}

static void a_client_is_told_to_go_on_only_if_it_waits(void **state)
{
    (void)state;
    start(NULL);
    assert_head_alone(POST("/echo") EXPECT "Content-Length: 3\r\n\r\n", "open", 1);
    say("abc");
    assert_told("200[abc] open");
    assert_head_alone(POST("/upload") EXPECT "Content-Length: 3\r\n\r\n", "open", 1);
    assert_head_alone(POST("/echo") EXPECT "Transfer-Encoding: chunked\r\n\r\n", "open", 1);
    static const char head[] = POST("/echo") EXPECT "Content-Length: 3\r\n\r\n";
    for (size_t n = 0; n < sizeof head - 1; n++) {
        free(pf_wire_exchange(&wire, head, sizeof head - 1, n, PF_WIRE_BRIEF));
        assert_int_equal(wire.interim, 1);
    }
    assert_head_alone(POST("/echo") EXPECT "Content-Length: 3\r\n\r\na", "open", 0);
    assert_head_alone(POST("/echo") EXPECT "Content-Length: 0\r\n\r\n", "200 open", 0);
    assert_head_alone(POST("/echo") EXPECT "\r\n", "200 open", 0);
    assert_head_alone("POST /echo HTTP/1.0\r\n" EXPECT "Content-Length: 3\r\n\r\n", "open",
                      0);
    pf_wire_stop(&wire);
}

static void a_client_that_waits_is_refused_without_going_on(void **state)
{
    (void)state;
    start(NULL);
    assert_head_alone(POST("/refuse") EXPECT "Content-Length: 3\r\n\r\n", "401 closed", 0);
    assert_head_alone(POST("/echo") EXPECT "Content-Length: 3000\r\n\r\n", "413 closed", 0);
    assert_head_alone(POST("/none") EXPECT "Content-Length: 3\r\n\r\n", "404 closed", 0);
    assert_head_alone(POST("/") EXPECT "Content-Length: 3\r\n\r\n", "405 closed", 0);
    assert_head_alone(POST("/echo") "Expect: a cake\r\nContent-Length: 3\r\n\r\n",
                      "417 closed", 0);
    pf_wire_stop(&wire);
    ASSERT_ROWS({POST("/echo") "Expect: a cake\r\n\r\n" GOOD, "417 closed"},
                {POST("/echo") EXPECT "Content-Length: 3\r\n\r\nabc" GOOD,
                 "200[abc] 200[hello] open"},
                {POST("/refuse") EXPECT "Content-Length: 3\r\n\r\nabc" GOOD, "401 closed"});
}

/* ---- upgrade --------------------------------------------------------------------- */

static void an_upgrade_is_answered_as_if_it_had_not_been_asked_for(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {"GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n" GOOD,
         "200[hello] 200[hello] open"},
        {POST("/echo") "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\n"
                       "abc" GOOD,
         "200[abc] 200[hello] open"});
}

/* ---- fields ---------------------------------------------------------------------- */

static void fields_have_white_space_of_both_kinds_and_any_text(void **state)
{
    (void)state;
    ASSERT_ROWS(
        {POST("/echo") "Content-Length:\t 3 \r\n\r\nabc" GOOD, "200[abc] 200[hello] open"},
        {POST("/echo") "Content-Length: 3\t\r\n\r\nabc" GOOD, "200[abc] 200[hello] open"},
        {"GET /chunks HTTP/1.1\r\nHost:\ta\t\r\nConnection:\tclose\t\r\n\r\n",
         "200[onetwothree] closed"},
        {POST("/echo") "CONTENT-LENGTH:3\r\n\r\nabc" GOOD, "200[abc] 200[hello] open"},
        {"GET / HTTP/1.1\r\n" HOST "X: \x80\xff\r\nY:\r\n\r\n", "200[hello] open"});
}

static void every_answer_has_a_date_and_a_server(void **state)
{
    (void)state;
    static const char *const said[] = {GOOD,
                                       GET("/none"),
                                       POST("/") "\r\n",
                                       GET("/chunks"),
                                       GET("/later"),
                                       "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
                                       "no request\r\n\r\n"};
    start(NULL);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        free(ask(said[i]));
        char *text = strndup(wire.heard, wire.len);
        assert_non_null(text);
        assert_non_null(strstr(text, "\r\nDate: "));
        assert_non_null(strstr(text, "\r\nServer: prefork\r\n"));
        free(text);
    }
    pf_wire_stop(&wire);
}

/* ---- close ----------------------------------------------------------------------- */

/* Say it, and that this was all. */
static void say_all(const char *text)
{
    pf_wire_connect(&wire);
    say(text);
    assert_int_equal(shutdown(wire.client, SHUT_WR), 0);
    pf_wire_settle(&wire);
}

static void a_client_that_has_said_all_gets_every_answer(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {GOOD, "200[hello] closed"},
        {GET("/later"), "200[later] closed"},
        {GET("/later") GOOD, "200[later] 200[hello] closed"},
        {GET("/later") GET("/later") GET("/chunks"),
         "200[later] 200[later] 200[onetwothree] closed"},
        {GET("/later") "no request\r\n\r\n", "200[later] 400 closed"},
        {GET("/later") "GET / HT", "200[later] closed"},
        {GET("/later") POST("/echo") "Content-Length: 3\r\n\r\nab", "200[later] closed"},
        {POST("/mirror") "Content-Length: 3\r\n\r\nabc", "200[abc] closed"},
        {"GET / HT", "closed"},
        {"", "closed"},
    };
    start(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        say_all(rows[i].said);
        assert_told(rows[i].told);
        pf_wire_leave(&wire);
        assert_int_equal(pf_http_server_connections(wire.server), 0);
    }
    pf_wire_stop(&wire);
}

static void a_head_that_does_not_end_is_told_so_and_silence_is_not(void **state)
{
    (void)state;
    start(NULL);
    pf_wire_connect(&wire);
    pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT);
    assert_told("closed");
    pf_wire_connect(&wire);
    say("G");
    pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT);
    assert_told("408 closed");
    pf_wire_connect(&wire);
    say(GOOD);
    pf_wire_advance(&wire, PF_WIRE_IDLE_TIMEOUT);
    assert_told("200[hello] closed");
    pf_wire_stop(&wire);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(an_empty_line_may_stand_in_front_of_a_request),
        pf_test(versions_are_answered_by_their_numbers),
        pf_test(methods_are_known_allowed_or_neither),
        pf_test(the_four_forms_of_a_target),
        pf_test(an_escape_is_decoded_once_or_refused),
        pf_test(an_escape_that_says_nothing_finds_the_same_route),
        pf_test(host_stands_once_and_is_one),
        pf_test(an_answer_to_head_is_the_head_of_the_answer_to_get),
        pf_test(an_answer_without_a_body_has_no_framing),
        pf_test(a_client_of_1_0_gets_no_coding),
        pf_test(a_body_nobody_asked_for_is_read_and_dropped),
        pf_test(a_request_without_length_or_coding_has_no_body),
        pf_test(a_body_may_be_empty_wherever_it_goes),
        pf_test(a_form_is_its_parts_however_they_come),
        pf_test(a_body_left_unread_ends_the_connection),
        pf_test(chunks_have_their_freedoms),
        pf_test(a_connection_is_kept_by_what_its_fields_say),
        pf_test(the_last_answer_of_a_connection_says_that_it_is),
        pf_test(a_drain_says_good_bye_to_the_busy_and_closes_the_idle),
        pf_test(answers_come_in_the_order_of_the_requests),
        pf_test(what_is_wrong_is_answered_behind_what_is_right),
        pf_test(a_client_is_told_to_go_on_only_if_it_waits),
        pf_test(a_client_that_waits_is_refused_without_going_on),
        pf_test(an_upgrade_is_answered_as_if_it_had_not_been_asked_for),
        pf_test(fields_have_white_space_of_both_kinds_and_any_text),
        pf_test(every_answer_has_a_date_and_a_server),
        pf_test(a_client_that_has_said_all_gets_every_answer),
        pf_test(a_head_that_does_not_end_is_told_so_and_silence_is_not),
    };
    return cmocka_run_group_tests_name("http rfc", tests, NULL, NULL);
}
