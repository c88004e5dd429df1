/* Every case is read whole, byte by byte, and cut at every position: the same each time. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_http_parser.c"

/* Inputs longer than this are cut at some positions only. */
#define EVERY_CUT_MAX 1000

static void assert_text(const char *expected, char *text, const char *in, size_t cut)
{
    if (strcmp(expected, text) != 0)
        print_error("input, cut at %zd: %.300s\n", (ssize_t)cut, in);
    assert_string_equal(text, expected);
    free(text);
}

static void check_bytes(enum pf_http_side side, bool head_request, const char *in,
                        size_t len, const char *expected)
{
    size_t stride = len <= EVERY_CUT_MAX ? 1 : len / 50;
    assert_text(expected, describe(side, head_request, in, len, CUT_WHOLE), in, CUT_WHOLE);
    assert_text(expected, describe(side, head_request, in, len, CUT_BYTES), in, CUT_BYTES);
    for (size_t cut = 1; cut < len; cut += stride)
        assert_text(expected, describe(side, head_request, in, len, CUT_AT(cut)), in, cut);
}

struct message {
    const char *in, *expected;
};

static void check_requests(const struct message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_bytes(PF_HTTP_REQUEST, false, messages[i].in, strlen(messages[i].in),
                    messages[i].expected);
}

static void check_responses(const struct message *messages, size_t count, bool head_request)
{
    for (size_t i = 0; i < count; i++)
        check_bytes(PF_HTTP_RESPONSE, head_request, messages[i].in, strlen(messages[i].in),
                    messages[i].expected);
}

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- what is understood ---------------------------------------------------------- */

#define H            "Host: h\r\n"
#define GET          "GET / HTTP/1.1\r\n" H
#define POST         "POST / HTTP/1.1\r\n" H
#define CHUNKED      POST "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "POST / @h 1.1 keep chunked [Host=h] [Transfer-Encoding=chunked] <"

static void requests_are_understood(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {GET "\r\n", "GET / @h 1.1 keep [Host=h] <> "},
        {"GET /a/b?c=d&e HTTP/1.1\r\nhost:h:80\r\n\r\n",
         "GET /a/b?c=d&e @h:80 1.1 keep [host=h:80] <> "},
        {"GET /%20a%zz?b HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /%20?%zz%2 HTTP/1.1\r\n" H "\r\n", "GET /%20?%zz%2 @h 1.1 keep [Host=h] <> "},
        {"GET / HTTP/1.0\r\n\r\n", "GET / @ 1.0 close <> "},
        {"HEAD / HTTP/1.1\r\nHost:\r\n\r\n", "HEAD / @ 1.1 keep [Host=] <> "},
        {"DELETE / HTTP/1.1\r\nHost: [::1]:8888\r\n\r\n",
         "DELETE / @[::1]:8888 1.1 keep [Host=[::1]:8888] <> "},
        {"PATCH / HTTP/1.1\r\nHost:\t a.b-c_d \t\r\nX:\t\r\n\r\n",
         "PATCH / @a.b-c_d 1.1 keep [Host=a.b-c_d] [X=] <> "},
        {GET "X: \xc3\xa9\r\n\r\n", "GET / @h 1.1 keep [Host=h] [X=\xc3\xa9] <> "},
        {"PROPFIND / HTTP/1.1\r\n" H "\r\n", "OTHER / @h 1.1 keep [Host=h] <> "},
        {"TRACE / HTTP/1.1\r\n" H "\r\n", "TRACE / @h 1.1 keep [Host=h] <> "},
        /* The forms of a target. */
        {"GET http://a.b:1/c?d HTTP/1.1\r\n" H "\r\n",
         "GET /c?d @a.b:1 1.1 keep [Host=h] <> "},
        {"GET HTTPS://a HTTP/1.1\r\n" H "\r\n", "GET  @a 1.1 keep [Host=h] <> "},
        {"GET http://a?q HTTP/1.1\r\n" H "\r\n", "GET ?q @a 1.1 keep [Host=h] <> "},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS  @h 1.1 keep [Host=h] <> "},
        {"CONNECT a.b:443 HTTP/1.1\r\n" H "\r\n", "CONNECT  @h 1.1 close [Host=h] <> "},
        {"CONNECT a.b:443 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n",
         "CONNECT  @h 1.1 close [Host=h] [Content-Length=2] <> "},
        {"CONNECT a.b:443 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
         "CONNECT  @h 1.1 close [Host=h] [Transfer-Encoding=chunked] <> "},
        /* Empty lines in front. */
        {"\r\n" GET "\r\n", "GET / @h 1.1 keep [Host=h] <> "},
        {"\r\n\r\n" GET "\r\n", "GET / @h 1.1 keep [Host=h] <> "},
        /* One behind another. */
        {GET "\r\n\r\n" POST "Content-Length: 2\r\n\r\nab" GET "\r\n",
         "GET / @h 1.1 keep [Host=h] <> POST / @h 1.1 keep 2 [Host=h] [Content-Length=2] "
         "<ab> "
         "GET / @h 1.1 keep [Host=h] <> "},
    };
    check_requests(cases, COUNT(cases));
}

static void connection_options_decide_what_follows(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {GET "Connection: close\r\n\r\n",
         "GET / @h 1.1 close [Host=h] [Connection=close] <> "},
        {GET "Connection: x, Close\r\n\r\n",
         "GET / @h 1.1 close [Host=h] [Connection=x, Close] <> "},
        {GET "Connection: keep-alive\r\nConnection: close\r\n\r\n",
         "GET / @h 1.1 close [Host=h] [Connection=keep-alive] [Connection=close] <> "},
        {GET "Connection: closed, xclose\r\n\r\n",
         "GET / @h 1.1 keep [Host=h] [Connection=closed, xclose] <> "},
        {"GET / HTTP/1.0\r\nConnection: ,Keep-Alive\r\n\r\n",
         "GET / @ 1.0 keep [Connection=,Keep-Alive] <> "},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
         "GET / @ 1.0 close [Connection=keep-alive, close] <> "},
        /* Bytes behind a request that closes are the next message's, not an error of it. */
        {GET "Connection: close\r\n\r\n" GET "\r\n",
         "GET / @h 1.1 close [Host=h] [Connection=close] <> GET / @h 1.1 keep [Host=h] "
         "<> "},
        {GET "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" GET "\r\n",
         "GET / @h 1.1 keep [Host=h] [Connection=upgrade] [Upgrade=websocket] <> "
         "GET / @h 1.1 keep [Host=h] <> "},
    };
    check_requests(cases, COUNT(cases));
}

static void bodies_are_framed(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {POST "Content-Length: 5\r\n\r\nhello",
         "POST / @h 1.1 keep 5 [Host=h] [Content-Length=5] <hello> "},
        {POST "Content-Length:\t0005 \r\n\r\nhello",
         "POST / @h 1.1 keep 5 [Host=h] [Content-Length=0005] <hello> "},
        {POST "Content-Length: 5\t \t\r\nX:\ty\r\n\r\nhello" GET "\r\n",
         "POST / @h 1.1 keep 5 [Host=h] [Content-Length=5] [X=y] <hello> "
         "GET / @h 1.1 keep [Host=h] <> "},
        {POST "Content-Length: 0\r\n\r\n",
         "POST / @h 1.1 keep [Host=h] [Content-Length=0] <> "},
        {POST "Content-Length: 5\r\n\r\nhell",
         "POST / @h 1.1 keep 5 [Host=h] [Content-Length=5] <hell..."},
        {POST "Content-Length: 9223372036854775807\r\n\r\nab",
         "POST / @h 1.1 keep 9223372036854775807 [Host=h] "
         "[Content-Length=9223372036854775807] <ab..."},
        {"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
         "GET / @ 1.0 close 1 [Content-Length=1] <x> "},
        {CHUNKED "5\r\nhello\r\n0\r\n\r\n" GET "\r\n",
         CHUNKED_HEAD "hello> GET / @h 1.1 keep [Host=h] <> "},
        {CHUNKED "0\r\n\r\n", CHUNKED_HEAD "> "},
        {CHUNKED "00005\r\nhello\r\n1\r\n!\r\n000;x\r\n\r\n", CHUNKED_HEAD "hello!> "},
        {CHUNKED "5 ; a\t= b \t;c =\t\"; = d\"  ;e\r\nhello\r\n0\t;a\r\n\r\n",
         CHUNKED_HEAD "hello> "},
        {CHUNKED "5;a=b;c;d=\"\\\"\\\\ \t;\x80\";e=f\r\nhello\r\n0\r\n\r\n",
         CHUNKED_HEAD "hello> "},
        {CHUNKED "A;a;b=\"d;e\";c=d\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
         CHUNKED_HEAD "01234567890123456789> "},
        {CHUNKED "5\r\nhel", CHUNKED_HEAD "hel..."},
        {CHUNKED "5\r\nhello\r\n0\r\n", CHUNKED_HEAD "hello..."},
        {POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
         "POST / @h 1.1 keep chunked [Host=h] [Transfer-Encoding=CHUNKED] <> "},
        {POST "Transfer-Encoding:\tchunked \t\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "POST / @h 1.1 keep chunked [Host=h] [Transfer-Encoding=chunked] <x> "},
        {"GET / HTTP/1.1\r\n" H "Upgrade: x\r\nConnection: upgrade\r\nTransfer-Encoding: "
         "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" GET "\r\n",
         "GET / @h 1.1 keep chunked [Host=h] [Upgrade=x] [Connection=upgrade] "
         "[Transfer-Encoding=chunked] <x> GET / @h 1.1 keep [Host=h] <> "},
    };
    check_requests(cases, COUNT(cases));
}

static void trailers_never_become_fields(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {CHUNKED "0\r\nX: y\r\nZ: \r\n\r\n" GET "\r\n",
         CHUNKED_HEAD "> GET / @h 1.1 keep [Host=h] <> "},
        {CHUNKED "0\r\nHost: evil\r\n\r\n" GET "\r\n",
         CHUNKED_HEAD "> GET / @h 1.1 keep [Host=h] <> "},
        {CHUNKED "0\r\nConnection: close\r\n\r\n" GET "\r\n",
         CHUNKED_HEAD "> GET / @h 1.1 keep [Host=h] <> "},
        {CHUNKED "0\r\nContent-Length: 30\r\n\r\n" GET "\r\n",
         CHUNKED_HEAD "> GET / @h 1.1 keep [Host=h] <> "},
        {CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n" GET "\r\n",
         CHUNKED_HEAD "> GET / @h 1.1 keep [Host=h] <> "},
        {CHUNKED "0\r\nX: \ty\x80 \r\n\r\n", CHUNKED_HEAD "> "},
        {CHUNKED "0\r\nX: y\x01\r\n\r\n", CHUNKED_HEAD "400"},
        {CHUNKED "0\r\nX : y\r\n\r\n", CHUNKED_HEAD "400"},
        {CHUNKED "0\r\nX: y\rZ\r\n\r\n", CHUNKED_HEAD "400"},
        {CHUNKED "0\r\nno colon\r\n\r\n", CHUNKED_HEAD "400"},
        {CHUNKED "0\r\n: no name\r\n\r\n", CHUNKED_HEAD "400"},
        {CHUNKED "0\r\nX: y\r\n folded\r\n\r\n", CHUNKED_HEAD "400"},
        {CHUNKED "0\r\nX: y\n\r\n", CHUNKED_HEAD "400"},
    };
    check_requests(cases, COUNT(cases));
}

static void expectations_are_read(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
         "POST / @h 1.1 keep 1 100 [Host=h] [Expect=100-Continue] [Content-Length=1] <x> "},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
         "POST / @ 1.0 close 1 [Expect=100-continue] [Content-Length=1] <x> "},
        {"GET / HTTP/1.0\r\nExpect: tea\r\n\r\n", "GET / @ 1.0 close [Expect=tea] <> "},
        {GET "Expect: tea\r\n\r\n", "417"},
        {GET "Expect: 100-continue, tea\r\n\r\n", "417"},
        {GET "Expect: 100-continue\r\nExpect: tea\r\n\r\n", "417"},
    };
    check_requests(cases, COUNT(cases));
}

static void fields_are_found_by_name(void **state)
{
    (void)state;
    static const char in[] =
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nEmpty:\r\n\r\n";
    struct pf_http_parser parser;
    struct pf_http_span body;
    size_t used = 0, len = 99;
    pf__http_parser_start(&parser, PF_HTTP_REQUEST, false);
    assert_int_equal(pf__http_parser_run(&parser, in, sizeof in - 1, &used, &body),
                     PF_HTTP_HEAD_DONE);
    assert_int_equal(parser.head_len, sizeof in - 1);
    assert_memory_equal(pf__http_parser_field(&parser, in, "x-A", &len), "1", 1);
    assert_int_equal(len, 1);
    assert_non_null(pf__http_parser_field(&parser, in, "EMPTY", &len));
    assert_int_equal(len, 0);
    assert_null(pf__http_parser_field(&parser, in, "X", &len));
    assert_int_equal(pf__http_parser_run(&parser, in, sizeof in - 1, &used, &body),
                     PF_HTTP_DONE);
    assert_int_equal(pf__http_parser_run(&parser, in, sizeof in - 1, &used, &body),
                     PF_HTTP_DONE);
}

static void a_copied_parser_goes_on_by_itself(void **state)
{
    (void)state;
    static const char in[] = CHUNKED "3\r\nabc\r\n0\r\n\r\n";
    for (size_t cut = 1; cut < sizeof in - 1; cut++) {
        struct pf_http_parser parser, copy;
        struct pf_http_span body;
        size_t used = 0, data = 0;
        int progress;
        pf__http_parser_start(&parser, PF_HTTP_REQUEST, false);
        while ((progress = pf__http_parser_run(&parser, in, cut, &used, &body)) > 0)
            data += progress == PF_HTTP_BODY ? body.len : 0;
        assert_int_equal(progress, PF_HTTP_MORE);
        copy = parser;
        memset(&parser, 0xff, sizeof parser);
        do {
            progress = pf__http_parser_run(&copy, in, sizeof in - 1, &used, &body);
            data += progress == PF_HTTP_BODY ? body.len : 0;
        } while (progress > 0 && progress != PF_HTTP_DONE);
        assert_int_equal(progress, PF_HTTP_DONE);
        assert_int_equal(used, sizeof in - 1);
        assert_int_equal(data, 3);
    }
}

/* ---- what is refused ------------------------------------------------------------- */

static void malformed_start_lines_are_refused(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"GET  / HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /  HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET / HTTP/1.1 \r\n" H "\r\n", "400"},
        {"GET\t/ HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /\tHTTP/1.1\r\n" H "\r\n", "400"},
        {" GET / HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET / HTTP/1.1\n" H "\r\n", "400"},
        {"GET / HTTP/1.1\r" H "\r\n", "400"},
        {"GET / http/1.1\r\n" H "\r\n", "400"},
        {"GET / HTTP/1.1X\r\n" H "\r\n", "400"},
        {"GET / HTTP/A.1\r\n" H "\r\n", "400"},
        {"GET / HTTP/1\r\n" H "\r\n", "400"},
        {"GET / RTSP/1.0\r\n" H "\r\n", "400"},
        {"SOURCE / ICE/1.0\r\n" H "\r\n", "400"},
        {"GET /\r\n\r\n", "400"},
        {"GET /\r\n" H "\r\n", "400"},
        {"GET\r\n\r\n", "400"},
        {"GET", "..."},
        /* Targets. */
        {"GET * HTTP/1.1\r\n" H "\r\n", "400"},
        {"OPTIONS *x HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET a HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET ?a HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /a#b HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /a?b#c HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /\x80 HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /\x01 HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /% HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /%a HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET /%ag HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET ftp://a/ HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET http:///a HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET http://:80/a HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET http://u@a/ HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n", "400"},
        {"GET http://a:b/ HTTP/1.1\r\n" H "\r\n", "400"},
        {"CONNECT /a HTTP/1.1\r\n" H "\r\n", "400"},
        {"CONNECT a1 HTTP/1.1\r\n" H "\r\n", "400"},
        {"CONNECT a1: HTTP/1.1\r\n" H "\r\n", "400"},
        {"CONNECT [::1] HTTP/1.1\r\n" H "\r\n", "400"},
        /* In front of it. */
        {"\n" GET "\r\n", "400"},
        {"\r" GET "\r\n", "400"},
        {"\r\n\n" GET "\r\n", "400"},
        {"\r\n\r\n\r\n", "400"},
        {"\r\n\r\n\r\n" GET "\r\n", "400"},
    };
    check_requests(cases, COUNT(cases));
}

static void other_versions_are_505(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"GET / HTTP/2.0\r\n" H "\r\n", "505"},
        {"GET / HTTP/0.9\r\n" H "\r\n", "505"},
        {"GET / HTTP/1.10\r\n" H "\r\n", "505"},
        {"GET / HTTP/3.0\r\n" H "\r\n", "505"},
        {"GET / HTTP/2.0\r\n", "505"},
        {"GET / HTTP/1.25", "505"},
        {"GET / HTTP/2.0x", "505"},
        {"GET / HTTP/1.2x", "400"},
        {"GET / HTTP/1.x", "400"},
    };
    check_requests(cases, COUNT(cases));
}

static void later_minor_versions_are_understood_as_1_1(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"GET / HTTP/1.2\r\n" H "\r\n" GET "\r\n",
         "GET / @h 1.1 keep [Host=h] <> GET / @h 1.1 keep [Host=h] <> "},
        {"GET / HTTP/1.9\r\n\r\n", "400"}, /* without a host */
    };
    check_requests(cases, COUNT(cases));
}

static void unknown_methods_are_501(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"BREW / HTTP/1.1\r\n" H "\r\n", "501"},
        {"BREW *", "501"},
        {"garbage garbage garbage\r\n\r\n", "400"},
        {"BREW http://a/ HTTP/1.1\r\n" H "\r\n", "400"},
        {"BREW", "..."},
        {"get / HTTP/1.1\r\n" H "\r\n", "501"},
        {"GETS / HTTP/1.1\r\n" H "\r\n", "501"},
        {"G!#$%&'*+-.^_`|~9 /", "501"},
        {"DESCRIBE / HTTP/1.1\r\n" H "\r\n", "501"},
        {"AMETHODTHATISMUCHLONGERTHANANYMETH", "400"},
    };
    check_requests(cases, COUNT(cases));
}

/* Other protocols are refused by their first bytes: nothing else need come. */
static void garbage_is_refused_as_soon_as_it_is_visible(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"\x16\x03\x01\x02", "400"},
        {"\x80\x2e\x01", "400"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
        {"PRI * HTTP/2.0\r\n", "400"},
        {"PRI / HTTP/1.1\r\n" H "\r\n", "400"},
        {"(GET / HTTP/1.1", "400"},
        {"GE\x7f", "400"},
        {"\r\n\x16", "400"},
        {"{\"a\":1}", "400"},
        {"XYZ:", "400"},
        {"<policy", "400"},
    };
    check_requests(cases, COUNT(cases));
    check_bytes(PF_HTTP_REQUEST, false, "\0\0", 2, "400");
    check_bytes(PF_HTTP_REQUEST, false, "GET /\0", 6, "400");
}

static void malformed_fields_are_refused(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", "400"},
        {GET "A : b\r\n\r\n", "400"},
        {GET "A\t: b\r\n\r\n", "400"},
        {GET ": b\r\n\r\n", "400"},
        {GET "A\r\n\r\n", "400"},
        {GET "A(: b\r\n\r\n", "400"},
        {GET "A\x80: b\r\n\r\n", "400"},
        {GET "A: b\x01\r\n\r\n", "400"},
        {GET "A: b\x7f\r\n\r\n", "400"},
        {GET "A: b\n\r\n", "400"},
        {GET "A: b\r\n\n", "400"},
        {GET "A: b\rC: d\r\n\r\n", "400"},
        {GET "A: b\r\r\n\r\n", "400"},
        {GET "\r\r\n", "400"},
        {GET "A: b\r\n\rX", "400"},
        /* CVE-2023-30589: a field in a field. */
        {GET "X:\rContent-Length: 1\r\n\r\nA", "400"},
        /* obs-fold */
        {GET "A: b\r\n c\r\n\r\n", "400"},
        {GET "A: b\r\n\tc\r\n\r\n", "400"},
        {GET "A:\r\n b\r\n\r\n", "400"},
        {GET "A: b\r\n \r\n\r\n", "400"},
        {GET "Content-Length: 1\r\n 2\r\n\r\n", "400"},
        {GET "Transfer-Encoding:\r\n chunked\r\n\r\n", "400"},
    };
    check_requests(cases, COUNT(cases));
    static const char nul_in_value[] = GET "A: b\0c\r\n\r\n",
                      nul_in_name[] = GET "A\0: b\r\n";
    check_bytes(PF_HTTP_REQUEST, false, nul_in_value, sizeof nul_in_value - 1, "400");
    check_bytes(PF_HTTP_REQUEST, false, nul_in_name, sizeof nul_in_name - 1, "400");
}

static void a_host_is_needed_once_and_valid(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nX: y\r\n\r\n", "400"},
        {GET H "\r\n", "400"},
        {"GET / HTTP/1.0\r\n" H H "\r\n", "400"},
        {"GET http://a/ HTTP/1.1\r\n\r\n", "400"},
        {"GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: :\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: []\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: [x]\r\n\r\n", "400"},
        {"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", "400"},
    };
    check_requests(cases, COUNT(cases));
}

static void doubtful_framing_is_refused(void **state)
{
    (void)state;
#define TE "Transfer-Encoding: "
#define CL "Content-Length: "
    static const struct message cases[] = {
        /* Both. */
        {POST CL "5\r\n" TE "chunked\r\n\r\n0\r\n\r\n", "400"},
        {POST TE "chunked\r\n" CL "5\r\n\r\n0\r\n\r\n", "400"},
        {POST CL "0\r\n" TE "chunked\r\n\r\n0\r\n\r\n", "400"},
        {POST TE "gzip, chunked\r\n" CL "0\r\n\r\n", "400"},
        /* Transfer codings. */
        {POST TE "xchunked\r\n\r\n", "400"},
        {POST TE "chunked, identity\r\n\r\n", "400"},
        {POST TE "identity\r\n\r\n", "400"},
        {POST TE "identity, chunked\r\n\r\n", "400"},
        {POST TE "chunked, chunked\r\n\r\n", "400"},
        {POST TE "chunked\r\n" TE "chunked\r\n\r\n", "400"},
        {POST TE "gzip\r\n" TE "chunked\r\n\r\n", "400"},
        {POST TE "chunked\r\n" TE "identity\r\n\r\n", "400"},
        {POST TE "\"chunked\"\r\n\r\n", "400"},
        {POST TE "\x0b"
                 "chunked\r\n\r\n",
         "400"},
        {POST TE "chunked\x0c\r\n\r\n", "400"},
        {POST TE "\xa0"
                 "chunked\r\n\r\n",
         "400"},
        {POST TE "chunked;a=b\r\n\r\n", "400"},
        {POST TE "chunked,\r\n\r\n", "400"},
        {POST TE "chunked\t\r\n" CL "1\r\n\r\n", "400"},
        {POST CL "1\t\r\n" TE "chunked\t\r\n\r\n", "400"},
        {POST TE "gzip,\tchunked\t\r\n\r\n", "501"},
        {POST TE "gzip\t\r\n\r\n", "400"},
        {POST CL "1\t2\r\n\r\n", "400"},
        {POST CL "1\t,\t1\r\n\r\n", "400"},
        {POST CL "\t\r\n\r\n", "400"},
        {POST CL "1\t\r\n" CL "1\r\n\r\n", "400"},
        {POST CL "1\t\r\nX\t: y\r\n\r\n", "400"},
        {POST CL "1\t\r\n\tX: y\r\n\r\n", "400"},
        {"GET\t/ HTTP/1.1\r\n" H CL "1\t\r\n\r\n", "400"},
        {POST TE ",chunked\r\n\r\n", "400"},
        {POST TE "\r\n\r\n", "400"},
        {POST TE "gzip\r\n\r\n", "400"},
        {POST TE "gzip, chunked\r\n\r\n", "501"},
        {POST TE "Deflate , x-gzip,\tChunked\r\n\r\n", "501"},
        {POST TE "chunked, gzip, chunked\r\n\r\n", "400"},
        {"POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST / HTTP/1.0\r\n" TE "gzip, chunked\r\n\r\n", "400"},
        /* Lengths. */
        {POST CL "1\r\n" CL "2\r\n\r\n", "400"},
        {POST CL "1\r\n" CL "1\r\n\r\n", "400"},
        {POST CL "1, 1\r\n\r\n", "400"},
        {POST CL "1,\r\n\r\n", "400"},
        {POST CL "+1\r\n\r\n", "400"},
        {POST CL "-1\r\n\r\n", "400"},
        {POST CL "0x1\r\n\r\n", "400"},
        {POST CL "1 2\r\n\r\n", "400"},
        {POST CL "1.0\r\n\r\n", "400"},
        {POST CL "\r\n\r\n", "400"},
        {POST CL " \r\n\r\n", "400"},
        {POST CL "9223372036854775808\r\n\r\n", "400"},
        {POST CL "18446744073709551615\r\n\r\n", "400"},
        {POST CL "18446744073709551616\r\n\r\n", "400"},
        {POST CL "99999999999999999999999\r\n\r\n", "400"},
    };
    check_requests(cases, COUNT(cases));
}

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "5_\r\nhello\r\n",
        "\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "g\r\nhello\r\n",
        ";a\r\nhello\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5;a\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;a=\"b\r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "5 5;a\r\nhello\r\n",
        "5 =a\r\nhello\r\n",
        "5;a b\r\nhello\r\n",
        "5;a=b c\r\nhello\r\n",
        "5;a=\"b\" \r\nhello\r\n",
        "5 ; \r\nhello\r\n",
        "5 \n;a\r\nhello\r\n",
        "ffffffffffffffff0\r\nhello\r\n",
        "10000000000000005\r\nhello\r\n",
        "00000000000000005\r\nhello\r\n",
        "5;\r\nhello\r\n",
        "5;;a\r\nhello\r\n",
        "5;=a\r\nhello\r\n",
        "5;a=\r\nhello\r\n",
        "5;a=b=c\r\nhello\r\n",
        "5;a=\"b\"c\r\nhello\r\n",
        "5;a=\"b\\\r\n\"\r\nhello\r\n",
        "5;a=\"\x01\"\r\nhello\r\n",
        "5;a\x80\r\nhello\r\n",
    };
    for (size_t i = 0; i < COUNT(chunks); i++) {
        char in[256];
        snprintf(in, sizeof in, CHUNKED "%s", chunks[i]);
        check_bytes(PF_HTTP_REQUEST, false, in, strlen(in), CHUNKED_HEAD "400");
    }
    static const struct message cases[] = {
        {CHUNKED "5\r\nhello0\r\n\r\n", CHUNKED_HEAD "hello400"},
        {CHUNKED "5\r\nhello\n0\r\n\r\n", CHUNKED_HEAD "hello400"},
        {CHUNKED "5\r\nhello\r0\r\n\r\n", CHUNKED_HEAD "hello400"},
        {CHUNKED "5\r\nhello\r\n0\r\n\rX", CHUNKED_HEAD "hello400"},
        {CHUNKED "5\r\nhello\r\n0\r\n\n", CHUNKED_HEAD "hello400"},
        {CHUNKED "5\r\nhello \r\n0\r\n\r\n", CHUNKED_HEAD "hello400"},
        {CHUNKED "5\r\nhello\r\n\r\n0\r\n\r\n", CHUNKED_HEAD "hello400"},
    };
    check_requests(cases, COUNT(cases));
}

/* ---- limits ---------------------------------------------------------------------- */

static void check_at_both_ends(const char *in, size_t len, const char *expected)
{
    assert_text(expected, describe(PF_HTTP_REQUEST, false, in, len, CUT_WHOLE), in,
                CUT_WHOLE);
    assert_text(expected, describe(PF_HTTP_REQUEST, false, in, len, CUT_BYTES), in,
                CUT_BYTES);
}

static void assert_ends_with(const char *in, size_t len, const char *end)
{
    static const size_t cuts[] = {CUT_WHOLE, CUT_BYTES};
    for (size_t i = 0; i < COUNT(cuts); i++) {
        char *text = describe(PF_HTTP_REQUEST, false, in, len, cuts[i]);
        assert_true(strlen(text) >= strlen(end));
        assert_string_equal(text + strlen(text) - strlen(end), end);
        free(text);
    }
}

/* before, n times c, behind; into a static buffer. */
static const char *stretched(const char *before, char c, size_t n, const char *behind,
                             size_t *len)
{
    static char text[128 * 1024];
    *len = (size_t)snprintf(text, sizeof text, "%s%*s%s", before, (int)n, "", behind);
    assert_true(*len < sizeof text);
    memset(text + strlen(before), c, n);
    return text;
}

static void long_targets_are_414_without_waiting_for_their_end(void **state)
{
    (void)state;
    size_t len;
    const char *in = stretched("GET /", 'a', PF_HTTP_TARGET_MAX - 1,
                               " HTTP/1.1\r\nHost: h\r\n\r\n", &len);
    assert_ends_with(in, len, " @h 1.1 keep [Host=h] <> ");
    in = stretched("GET /", 'a', PF_HTTP_TARGET_MAX, " HTTP/1.1\r\nHost: h\r\n\r\n", &len);
    check_at_both_ends(in, len, "414");
    in = stretched("GET /", 'a', PF_HTTP_TARGET_MAX + 100, "", &len);
    check_at_both_ends(in, len, "414");
}

static void long_fields_are_431_without_waiting_for_their_end(void **state)
{
    (void)state;
    size_t len;
    const char *in = stretched(GET "X:", 'a', PF_HTTP_FIELD_MAX - 4, "\r\n\r\n", &len);
    assert_ends_with(in, len, "] <> ");
    in = stretched(GET "X:", 'a', PF_HTTP_FIELD_MAX - 3, "\r\n\r\n", &len);
    check_at_both_ends(in, len, "431");
    in = stretched(GET, 'a', PF_HTTP_FIELD_MAX + 1, "", &len);
    check_at_both_ends(in, len, "431");
}

static size_t many_fields(char *text, size_t size, unsigned count, int value_len)
{
    size_t len = (size_t)snprintf(text, size, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (unsigned i = 1; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "X: %0*d\r\n", value_len, 7);
    assert_true(len < size);
    return len;
}

static void many_fields_are_431(void **state)
{
    (void)state;
    char in[4096];
    size_t len = many_fields(in, sizeof in, PF_HTTP_FIELDS_MAX, 1);
    memcpy(in + len, "\r\n", 3);
    assert_ends_with(in, len + 2, "[X=7] <> ");
    check_at_both_ends(in, many_fields(in, sizeof in, PF_HTTP_FIELDS_MAX + 1, 1), "431");
}

static void long_heads_are_431(void **state)
{
    (void)state;
    static char in[PF_HTTP_HEAD_MAX + 4096];
    size_t len = many_fields(in, sizeof in, 33, 990); /* 995 bytes a field */
    size_t rest = PF_HTTP_HEAD_MAX - len - 7;
    len += (size_t)snprintf(in + len, sizeof in - len, "X: %0*d\r\n\r\n", (int)rest, 7);
    assert_int_equal(len, PF_HTTP_HEAD_MAX);
    assert_ends_with(in, len, "7] <> ");
    memcpy(in + len - 4, "7\r\n\r\n", 6);
    check_at_both_ends(in, len + 1, "431");
}

static void chunks_may_not_be_all_framing(void **state)
{
    (void)state;
    size_t len;
    const char *in = stretched(CHUNKED "1;", 'a', 16000, "\r\nx\r\n0\r\n\r\n", &len);
    assert_ends_with(in, len, "<x> ");
    in = stretched(CHUNKED "1;", 'a', PF_HTTP_CHUNK_OVERHEAD_MAX, "", &len);
    assert_ends_with(in, len, "<431");
    in = stretched(CHUNKED "0\r\nX:", 'a', PF_HTTP_CHUNK_OVERHEAD_MAX, "", &len);
    assert_ends_with(in, len, "<431");
    in = stretched(CHUNKED "1", ' ', PF_HTTP_CHUNK_OVERHEAD_MAX, "", &len);
    assert_ends_with(in, len, "<431");

    /* Six bytes a byte is too much, for long; six bytes a hundred is not. */
    static char small[100000], large[200000];
    size_t small_len = (size_t)snprintf(small, sizeof small, "%s", CHUNKED);
    size_t large_len = (size_t)snprintf(large, sizeof large, "%s", CHUNKED);
    for (int i = 0; i < 5000; i++)
        small_len +=
            (size_t)snprintf(small + small_len, sizeof small - small_len, "1\r\nx\r\n");
    for (int i = 0; i < 1800; i++)
        large_len += (size_t)snprintf(large + large_len, sizeof large - large_len,
                                      "64\r\n%0100d\r\n", 5);
    large_len += (size_t)snprintf(large + large_len, sizeof large - large_len, "0\r\n\r\n");
    assert_ends_with(small, small_len, "xx431");
    assert_ends_with(large, large_len, "005> ");
}

/* A client takes a byte at a time, but no chunk without end. */
static void chunks_of_a_response_may_be_small(void **state)
{
    (void)state;
    struct pf_http_parser parser;
    static char in[200000];
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    size_t len = (size_t)snprintf(in, sizeof in, "%s", head), used = 0, bytes = 0;
    for (int i = 0; i < 10000; i++)
        len += (size_t)snprintf(in + len, sizeof in - len, "1\r\nx\r\n");
    len += (size_t)snprintf(in + len, sizeof in - len, "0\r\n\r\n");
    struct pf_http_span body;
    pf__http_parser_start(&parser, PF_HTTP_RESPONSE, false);
    int step;
    while ((step = pf__http_parser_run(&parser, in, len, &used, &body)) > 0 &&
           step != PF_HTTP_DONE)
        bytes += step == PF_HTTP_BODY ? body.len : 0;
    assert_int_equal(step, PF_HTTP_DONE);
    assert_int_equal(bytes, 10000);
    len = (size_t)snprintf(in, sizeof in, "%s1;", head);
    memset(in + len, 'a', PF_HTTP_CHUNK_OVERHEAD_MAX);
    used = 0;
    pf__http_parser_start(&parser, PF_HTTP_RESPONSE, false);
    while ((step = pf__http_parser_run(&parser, in, len + PF_HTTP_CHUNK_OVERHEAD_MAX, &used,
                                       &body)) > 0)
        ;
    assert_int_equal(step, -431);
}

/* ---- responses ------------------------------------------------------------------- */

static void responses_are_understood(void **state)
{
    (void)state;
#define OK "HTTP/1.1 200 OK\r\n"
    static const struct message cases[] = {
        {OK "Content-Length: 5\r\n\r\nhello" OK "Content-Length: 0\r\n\r\n",
         "200 1.1 keep 5 [Content-Length=5] <hello> 200 1.1 keep [Content-Length=0] <> "},
        {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n",
         "200 1.1 keep chunked [Transfer-Encoding=chunked] <ab> "},
        {OK "\r\nto the end", "200 1.1 close until-close <to the end> "},
        {OK "\r\n", "200 1.1 close until-close <> "},
        {OK "Content-Length: 5\r\n\r\nhell", "200 1.1 keep 5 [Content-Length=5] <hell..."},
        {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n",
         "200 1.1 keep chunked [Transfer-Encoding=chunked] <..."},
        {OK "Content-Length", "..."},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
         "200 1.0 close 1 [Content-Length=1] <x> "},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
         "200 1.0 keep 1 [Connection=keep-alive] [Content-Length=1] <x> "},
        {OK "Connection: close\r\nContent-Length: 1\r\n\r\nx",
         "200 1.1 close 1 [Connection=close] [Content-Length=1] <x> "},
        {"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
         "404 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
         "404 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 200 C'est \xe9gal\r\nContent-Length: 0\r\n\r\n",
         "200 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 599 X\r\nContent-Length: 0\r\nExpect: tea\r\nHost: a/b\r\n\r\n",
         "599 1.1 keep [Content-Length=0] [Expect=tea] [Host=a/b] <> "},
        {OK "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n",
         "200 1.1 keep [Content-Length=0] [Expect=100-continue] <> "},
        /* No body whatever the head says. */
        {"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 0\r\n\r\n",
         "100 1.1 keep <> 200 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "103 1.1 keep [Link=x] <> "},
        {"HTTP/1.1 204 No Content\r\n\r\n" OK "Content-Length: 0\r\n\r\n",
         "204 1.1 keep <> 200 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" OK
         "Content-Length: 0\r\n\r\n",
         "304 1.1 keep [Content-Length=5] <> 200 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n" OK
         "Content-Length: 0\r\n\r\n",
         "304 1.1 keep [Transfer-Encoding=chunked] <> 200 1.1 keep [Content-Length=0] <> "},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
         "101 1.1 close [Upgrade=x] [Connection=upgrade] <> "},
    };
    check_responses(cases, COUNT(cases), false);
}

static void responses_to_head_have_no_body(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {OK "Content-Length: 5\r\n\r\n" OK "\r\n",
         "200 1.1 keep [Content-Length=5] <> 200 1.1 keep <> "},
        {OK "Transfer-Encoding: chunked\r\n\r\n" OK "\r\n",
         "200 1.1 keep [Transfer-Encoding=chunked] <> 200 1.1 keep <> "},
    };
    check_responses(cases, COUNT(cases), true);
}

static void malformed_responses_are_refused(void **state)
{
    (void)state;
    static const struct message cases[] = {
        {"HTTP/2.0 200 OK\r\n\r\n", "505"},
        {"HTTP/1.1 20 OK\r\n\r\n", "400"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "400"},
        {"HTTP/1.1 0200 OK\r\n\r\n", "400"},
        {"HTTP/1.1 200OK\r\n\r\n", "400"},
        {"HTTP/1.1 200\tOK\r\n\r\n", "400"},
        {"HTTP/1.1 OK\r\n\r\n", "400"},
        {"HTTP/1.1\r\n\r\n", "400"},
        {"HTTP/1.1 099 X\r\n\r\n", "400"},
        {"HTTP/1.1 600 X\r\n\r\n", "400"},
        {"HTTP/1.1  200 OK\r\n\r\n", "400"},
        {"HTTX", "400"},
        {"SSH-2.0-OpenSSH", "400"},
        {"\x16\x03", "400"},
        {OK "A: b\r\n c\r\n\r\n", "400"},
        {OK ": b\r\n\r\n", "400"},
        {OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
        {OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
        {OK "Content-Length: x\r\n\r\n", "400"},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
        {OK "Transfer-Encoding: gzip, chunked\r\n\r\n", "501"},
        {OK "Transfer-Encoding: gzip\r\n\r\n", "400"},
    };
    check_responses(cases, COUNT(cases), false);
}

/* ---- what fuzzing found stays fixed ---------------------------------------------- */

#define CORPUS "tests/fuzz/corpus/parser"

static void the_corpus_gives_the_same_messages_however_it_is_cut(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(requests_are_understood),
        pf_test(connection_options_decide_what_follows),
        pf_test(bodies_are_framed),
        pf_test(trailers_never_become_fields),
        pf_test(expectations_are_read),
        pf_test(fields_are_found_by_name),
        pf_test(a_copied_parser_goes_on_by_itself),
        pf_test(malformed_start_lines_are_refused),
        pf_test(other_versions_are_505),
        pf_test(later_minor_versions_are_understood_as_1_1),
        pf_test(unknown_methods_are_501),
        pf_test(garbage_is_refused_as_soon_as_it_is_visible),
        pf_test(malformed_fields_are_refused),
        pf_test(a_host_is_needed_once_and_valid),
        pf_test(doubtful_framing_is_refused),
        pf_test(malformed_chunks_are_refused),
        pf_test(long_targets_are_414_without_waiting_for_their_end),
        pf_test(long_fields_are_431_without_waiting_for_their_end),
        pf_test(many_fields_are_431),
        pf_test(long_heads_are_431),
        pf_test(chunks_may_not_be_all_framing),
        pf_test(chunks_of_a_response_may_be_small),
        pf_test(responses_are_understood),
        pf_test(responses_to_head_have_no_body),
        pf_test(malformed_responses_are_refused),
        pf_test(the_corpus_gives_the_same_messages_however_it_is_cut),
    };
    return cmocka_run_group_tests_name("http-parser", tests, NULL, NULL);
}
