/*
 * What the open internet sends to an HTTP server, and what it is to get for it: one error
 * answer and the end, nothing parsed behind it, nothing held for long, nothing leaked.
 * Whatever is said is said over TCP, whole, byte by byte, and cut once at every place: what
 * comes back is the same.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"
#include "tests/lib/corpus.h"
#include "tests/lib/wire.h"

#include "tests/fuzz/fuzz_http_connection.c"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST          "Host: a\r\n"
#define GET(path)     "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GOOD          GET("/")
#define WITH(fields)  "POST /echo HTTP/1.1\r\n" HOST fields "\r\n"
#define BODY          "3\r\nabc\r\n0\r\n\r\n"
#define CHUNKED(body) WITH("Transfer-Encoding: chunked\r\n") body

static struct pf_wire wire;

static void start(const struct pf_http_server_options *options)
{
    pf_wire_start(&wire, options);
    pf_wire_listen(&wire);
}

/* Behind a good request, and in front of one that must not be seen. */
static void assert_answer(const char *said, size_t len, const char *told)
{
    char *whole = pf_wire_exchange(&wire, said, len, PF_WIRE_WHOLE, PF_WIRE_BRIEF);
    if (strcmp(whole, told) != 0)
        print_error("said:\n%.300s\n", said);
    assert_string_equal(whole, told);
    free(whole);
    whole = pf_wire_exchange(&wire, said, len, PF_WIRE_WHOLE, PF_WIRE_FULL);
    size_t step = len < 2000 ? 1 : len / 97; /* long ones: at some places */
    for (size_t n = 0; n < len; n += step) {
        if (n == PF_WIRE_BYTES && len > 40000)
            continue;
        char *cut = pf_wire_exchange(&wire, said, len, n, PF_WIRE_FULL);
        if (strcmp(cut, whole) != 0)
            print_error("cut at %zu, said:\n%.300s\n", n, said);
        assert_string_equal(cut, whole);
        free(cut);
    }
    free(whole);
}

static void assert_refused(const char *said, int status)
{
    char told[64], text[2048];
    snprintf(told, sizeof told, "200[hello] %d closed", status);
    int len = snprintf(text, sizeof text, GOOD "%s" GOOD, said);
    assert_true(len > 0 && (size_t)len < sizeof text);
    assert_answer(text, (size_t)len, told);
}

#define ASSERT_REFUSED(code, ...)                                                          \
    do {                                                                                   \
        static const char *const said[] = {__VA_ARGS__};                                   \
        start(NULL);                                                                       \
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)                            \
            assert_refused(said[i], code);                                                 \
        pf_wire_stop(&wire);                                                               \
    } while (0)

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

/* head, `count` times `piece`, tail. Free it. */
static char *make(const char *head, const char *piece, size_t count, const char *tail,
                  size_t *len)
{
    size_t piece_len = strlen(piece);
    *len = strlen(head) + count * piece_len + strlen(tail);
    char *text = malloc(*len + 1), *p = text;
    assert_non_null(text);
    p = stpcpy(p, head);
    for (size_t i = 0; i < count; i++)
        p = stpcpy(p, piece);
    stpcpy(p, tail);
    return text;
}

static void assert_made(const char *head, const char *piece, size_t count, const char *tail,
                        const char *told)
{
    size_t len;
    char *text = make(head, piece, count, tail, &len);
    assert_answer(text, len, told);
    free(text);
}

/* ---- smuggling ------------------------------------------------------------------- */

static void a_length_and_a_coding_together_are_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, WITH("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") BODY,
                   WITH("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") BODY,
                   WITH("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n") BODY,
                   WITH("Transfer-Encoding: identity\r\nContent-Length: 3\r\n") "abc");
}

static void a_coding_that_is_not_exactly_chunked_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, WITH("Transfer-Encoding: xchunked\r\n") BODY,
                   WITH("Transfer-Encoding: chunked, identity\r\n") BODY,
                   WITH("Transfer-Encoding: identity\r\n") BODY,
                   WITH("Transfer-Encoding: \"chunked\"\r\n") BODY,
                   WITH("Transfer-Encoding: \vchunked\r\n") BODY,
                   WITH("Transfer-Encoding: chunked\f\r\n") BODY,
                   WITH("Transfer-Encoding: chunked\xa0\r\n") BODY,
                   WITH("Transfer-Encoding: chunked, chunked\r\n") BODY,
                   WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")
                       BODY,
                   WITH("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n") BODY,
                   WITH("Transfer-Encoding: chunked;q=1\r\n") BODY,
                   WITH("Transfer-Encoding:\r\n") BODY,
                   WITH("Transfer-Encoding:\r\n chunked\r\n") BODY,
                   WITH("Transfer-Encoding : chunked\r\n") BODY);
    ASSERT_REFUSED(501, WITH("Transfer-Encoding: gzip, chunked\r\n") BODY);
}

static void a_coding_in_1_0_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" BODY);
}

static void a_length_that_is_not_one_number_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(
        400, WITH("Content-Length: 3\r\nContent-Length: 4\r\n") "abc",
        WITH("Content-Length: 3\r\nContent-Length: 3\r\n") "abc",
        WITH("Content-Length: 3, 3\r\n") "abc", WITH("Content-Length: +3\r\n") "abc",
        WITH("Content-Length: -3\r\n") "abc", WITH("Content-Length: 0x3\r\n") "abc",
        WITH("Content-Length:\r\n") "abc", WITH("Content-Length: 1 1\r\n") "abc",
        WITH("Content-Length: 3.0\r\n") "abc", WITH("Content-Length: 3;\r\n") "abc",
        WITH("Content-Length: 9223372036854775808\r\n") "abc",
        WITH("Content-Length: 18446744073709551616\r\n") "abc",
        WITH("Content-Length: 18446744073709551619\r\n") "abc",
        WITH("Content-Length: 99999999999999999999999\r\n") "abc",
        WITH("Content_Length: 3\r\nContent-Length: x\r\n") "abc");
    ASSERT_REFUSED(413, WITH("Content-Length: 4294967299\r\n") "abc",
                   WITH("Content-Length: 9223372036854775807\r\n") "abc");
}

static void a_chunk_that_is_not_exactly_one_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, CHUNKED("0x3\r\nabc\r\n0\r\n\r\n"),
                   CHUNKED("+3\r\nabc\r\n0\r\n\r\n"), CHUNKED("-3\r\nabc\r\n0\r\n\r\n"),
                   CHUNKED("1_1\r\nabc\r\n0\r\n\r\n"), CHUNKED("\r\nabc\r\n0\r\n\r\n"),
                   CHUNKED(" 3\r\nabc\r\n0\r\n\r\n"), CHUNKED(";x\r\nabc\r\n0\r\n\r\n"),
                   CHUNKED("10000000000000003\r\nabc\r\n0\r\n\r\n"),
                   CHUNKED("fffffffffffffffff\r\nabc\r\n0\r\n\r\n"));
    ASSERT_REFUSED(400, CHUNKED("3\nabc\r\n0\r\n\r\n"), CHUNKED("3\rabc\r\n0\r\n\r\n"),
                   CHUNKED("3;x\nabc\r\n0\r\n\r\n"), CHUNKED("3;x\ry\r\nabc\r\n0\r\n\r\n"),
                   CHUNKED("3\r\nabc\n0\r\n\r\n"), CHUNKED("3\r\nabc\r0\r\n\r\n"),
                   CHUNKED("3\r\nabc0\r\n\r\n"), CHUNKED("3\r\nabcd\r\n0\r\n\r\n"),
                   CHUNKED("3\r\nabc\r\n0\n\n"), CHUNKED("3\r\nabc\r\n0\r\n\n"));
}

static void framing_without_end_is_counted(void **state)
{
    (void)state;
    start(NULL);
    assert_made(CHUNKED("1;"), "x", PF_HTTP_CHUNK_OVERHEAD_MAX + 1, "\r\n", "431 closed");
    assert_made(CHUNKED("0\r\n"), "X: y\r\n", PF_HTTP_CHUNK_OVERHEAD_MAX / 6 + 10, "\r\n",
                "431 closed");
    assert_made(CHUNKED(""), "1\r\nx\r\n", PF_WIRE_BODY_MAX + 1, "0\r\n\r\n", "413 closed");
    pf_wire_stop(&wire);
}

static void trailers_never_become_fields(void **state)
{
    (void)state;
    static const char *const harmless[] = {
        CHUNKED("3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n") GOOD,
        CHUNKED("3\r\nabc\r\n0\r\nHost: b\r\n\r\n") GOOD,
        CHUNKED("3\r\nabc\r\n0\r\nConnection: close\r\n\r\n") GOOD,
    };
    start(NULL);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        char *told = pf_wire_exchange(&wire, harmless[i], strlen(harmless[i]),
                                      PF_WIRE_WHOLE, PF_WIRE_BRIEF);
        assert_true(strcmp(told, "200[abc] 200[hello] open") == 0 ||
                    strcmp(told, "400 closed") == 0); /* ignored, or not had at all */
        assert_answer(harmless[i], strlen(harmless[i]), told);
        free(told);
    }
    pf_wire_stop(&wire);
    ASSERT_REFUSED(400, CHUNKED("3\r\nabc\r\n0\r\nno colon\r\n\r\n"),
                   CHUNKED("3\r\nabc\r\n0\r\n: nameless\r\n\r\n"),
                   CHUNKED("3\r\nabc\r\n0\r\nX: y\r\n folded\r\n\r\n"));
}

static void a_head_that_is_not_made_of_lines_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, WITH("Content-Length : 3\r\n") "abc", WITH(" X: y\r\n"),
                   WITH("X: y\r\n folded\r\n"), WITH("X: y\r\n\tfolded\r\n"),
                   WITH("X: y\n"), WITH("X: y\rZ: w\r\n"),
                   "GET / HTTP/1.1\r\n" HOST "\r\rX", "GET / HTTP/1.1\r\n" HOST "\n",
                   "GET / HTTP/1.1\n" HOST "\r\n", WITH("X\x01: y\r\n"),
                   WITH("X: \x01\r\n"), WITH("X: \x7f\r\n"), WITH(": y\r\n"),
                   WITH("X Y: z\r\n"), WITH("X(: y\r\n"), WITH("X\x80: y\r\n"),
                   WITH("no colon\r\n"), "GET  / HTTP/1.1\r\n" HOST "\r\n",
                   "GET / HTTP/1.1 \r\n" HOST "\r\n", "GET /\x01 HTTP/1.1\r\n" HOST "\r\n",
                   " GET / HTTP/1.1\r\n" HOST "\r\n", "GET\t/ HTTP/1.1\r\n" HOST "\r\n");
    start(NULL);
    static const char nul_in_name[] = "GET / HTTP/1.1\r\n" HOST "X\0Y: z\r\n\r\n" GOOD;
    static const char nul_in_value[] = "GET / HTTP/1.1\r\n" HOST "X: y\0z\r\n\r\n" GOOD;
    static const char nul_in_path[] = "GET /\0 HTTP/1.1\r\n" HOST "\r\n" GOOD;
    assert_answer(nul_in_name, sizeof nul_in_name - 1, "400 closed");
    assert_answer(nul_in_value, sizeof nul_in_value - 1, "400 closed");
    assert_answer(nul_in_path, sizeof nul_in_path - 1, "400 closed");
    pf_wire_stop(&wire);
}

static void a_host_that_is_none_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(
        400, "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n" HOST "Host: b\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST HOST "\r\n", "GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", "GET http://a/b@c/ HTTP/1.1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\n" HOST "\r\n");
}

static void what_is_not_http_1_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, "G(T / HTTP/1.1\r\n" HOST "\r\n", "\x80 / HTTP/1.1\r\n" HOST "\r\n",
                   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / RTSP/1.0\r\n\r\n",
                   "\x16\x03\x01\x02\x01\x01\xfc\x03\x03", "GET / HTTP/1\r\n" HOST "\r\n",
                   "GET / HTTP/x.1\r\n" HOST "\r\n");
    ASSERT_REFUSED(505, "GET / HTTP/2.0\r\n" HOST "\r\n", "GET / HTTP/1.10\r\n" HOST "\r\n",
                   "GET / HTTP/0.9\r\n" HOST "\r\n");
    ASSERT_REFUSED(501, "NOSUCHMETHOD / HTTP/1.1\r\n" HOST "\r\n");
}

/* ---- limits ---------------------------------------------------------------------- */

static void heads_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    start(NULL);
    assert_made("GET /", "a", PF_HTTP_TARGET_MAX, " HTTP/1.1\r\n" HOST "\r\n" GOOD,
                "414 closed");
    assert_made("GET /", "a", 4 * PF_HTTP_TARGET_MAX, "", "414 closed");
    assert_made("GET / HTTP/1.1\r\n" HOST "X: ", "a", PF_HTTP_FIELD_MAX, "\r\n\r\n" GOOD,
                "431 closed");
    assert_made("GET / HTTP/1.1\r\n" HOST, "X: 0123456789\r\n", PF_HTTP_FIELDS_MAX,
                "\r\n" GOOD, "431 closed");
    assert_made("GET / HTTP/1.1\r\n" HOST, "X: y\r\n", PF_HTTP_FIELDS_MAX - 1, "\r\n",
                "200[hello] open");
    char piece[1024];
    memset(piece, 'a', sizeof piece);
    memcpy(piece, "X: ", 3);
    memcpy(piece + sizeof piece - 3, "\r\n", 3);
    assert_made("GET / HTTP/1.1\r\n" HOST, piece, 40, "\r\n" GOOD, "431 closed");
    pf_wire_stop(&wire);
}

static void empty_lines_without_end_are_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(400, "\r\n\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n");
}

static void a_body_over_the_limit_is_refused_before_it_comes(void **state)
{
    (void)state;
    start(NULL);
    assert_made(WITH("Content-Length: 1001\r\n"), "x", 1001, GOOD, "413 closed");
    size_t len;
    char *text = make(WITH("Content-Length: 1000\r\n"), "x", 1000, GOOD, &len);
    char *told = make("200[", "x", 1000, "] 200[hello] open", &len);
    assert_answer(text, strlen(text), told);
    free(text);
    free(told);
    say(WITH("Expect: 100-continue\r\nContent-Length: 1001\r\n"));
    char *heard = pf_wire_tell(&wire, PF_WIRE_BRIEF);
    assert_non_null(strstr(heard, "200[hello] 413 closed"));
    assert_int_equal(wire.interim, 0);
    free(heard);
    pf_wire_stop(&wire);
}

/* ---- slowness -------------------------------------------------------------------- */

static void a_head_has_one_deadline_however_it_comes(void **state)
{
    (void)state;
    static const char head[] = "GET / HTTP/1.1\r\n" HOST "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    start(NULL);
    pf_wire_connect(&wire);
    for (size_t i = 0; i < 20; i++) { /* a byte now and then changes nothing */
        assert_true(pf_wire_say(&wire, head + i, 1));
        pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT / 20 - 1);
    }
    assert_told("open");
    pf_wire_advance(&wire, 20);
    assert_told("408 closed");
    for (size_t n = 1; n < sizeof head - 1; n++) { /* wherever it stops */
        pf_wire_connect(&wire);
        assert_true(pf_wire_say(&wire, head, n));
        pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT);
        assert_told("408 closed");
    }
    pf_wire_connect(&wire);
    say("\r\n");
    pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT);
    assert_told("408 closed");
    pf_wire_connect(&wire);
    pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT);
    assert_told("closed");
    pf_wire_stop(&wire);
}

/* Whoever looks on is shown what was understood, and no bytes that stand there no more. */
static void what_was_no_request_has_no_method(void **state)
{
    (void)state;
    static const struct {
        const char *said, *method;
    } rows[] = {{"G", ""},
                {GOOD, "GET"},
                {"\r\n" GOOD, "GET"},
                {"TRACE / HTTP/1.1\r\n" HOST "\r\n", "TRACE"},
                {"CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", "CONNECT"},
                {"PROPFIND / HTTP/1.1\r\n" HOST "\r\n", "PROPFIND"},
                {"\x16\x03\x01\x02", ""},
                {"POST /echo HTTP/1.1\r\n" HOST "no colon\r\n", "POST"},
                {"POST /echo HTTP/1.1\r\n" HOST "X: y", ""}};
    start(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pf_wire_connect(&wire);
        int responses = wire.responses;
        say(rows[i].said);
        pf_wire_advance(&wire, PF_WIRE_HEAD_TIMEOUT);
        assert_int_equal(wire.responses, responses + 1);
        assert_string_equal(wire.method, rows[i].method);
    }
    pf_wire_stop(&wire);
}

static void a_body_has_a_deadline_and_a_least_rate(void **state)
{
    (void)state;
    static const char *const heads[] = {
        WITH("Content-Length: 1000\r\n"), CHUNKED("3e8\r\n"),
        "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n",
        "POST /none HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n"};
    start(NULL);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        pf_wire_connect(&wire);
        say(heads[i]);
        pf_wire_advance(&wire, PF_WIRE_BODY_TIMEOUT - 1);
        assert_told("open");
        pf_wire_advance(&wire, 1);
        assert_told("408 closed");
        pf_wire_connect(&wire);
        say(heads[i]);
        for (int64_t spent = 0; spent <= PF_HTTP_BODY_GRACE_NS; spent += PF_SECOND) {
            say("x");
            pf_wire_advance(&wire, PF_SECOND);
        }
        (void)pf_wire_say(&wire, "x", 1);
        assert_told("408 closed");
    }
    pf_wire_stop(&wire);
}

/* Ask again and again, as long as it takes requests, and hear nothing. Returns how many
 * bytes went. */
static size_t pour(void)
{
    size_t len, poured = 0, at = 0;
    char *text = make("", GOOD, 100, "", &len);
    for (int stuck = 0; stuck < 3;) {
        ssize_t n = send(wire.client, text + at, len - at, MSG_NOSIGNAL);
        stuck = n > 0 ? 0 : stuck + 1;
        poured += n > 0 ? (size_t)n : 0;
        at = n > 0 ? (at + (size_t)n) % len : at;
        pf_wire_turn(&wire);
    }
    free(text);
    return poured;
}

static void a_client_that_reads_nothing_is_read_no_further_and_cut(void **state)
{
    (void)state;
    start(NULL);
    pf_wire_connect(&wire);
    size_t poured = pour();
    int answered = wire.responses;
    assert_true((size_t)answered * (sizeof GOOD - 1) < poured);
    wire.now += PF_WIRE_STALL - 1;
    pf_wire_turn(&wire);
    assert_int_equal(wire.responses, answered);
    assert_int_equal(pf_http_server_connections(wire.server), 1);
    wire.now += 1;
    pf_wire_turn(&wire);
    assert_int_equal(pf_http_server_connections(wire.server), 0);
    assert_int_equal(wire.gone, 1);
    pf_wire_stop(&wire);
}

static void a_client_that_reads_slowly_is_served_as_long_as_it_reads(void **state)
{
    (void)state;
    start(NULL);
    pf_wire_connect(&wire);
    (void)pour();
    for (int i = 0; i < 3; i++) {
        int before = wire.responses;
        wire.now += PF_WIRE_STALL - 1;
        while (wire.responses == before) { /* until there is room, as the kernel sees it */
            char some[1024];
            ssize_t n = recv(wire.client, some, sizeof some, 0);
            assert_true(n > 0 || (n == -1 && errno == EAGAIN)); /* on its way */
            pf_wire_turn(&wire);
        }
        assert_int_equal(pf_http_server_connections(wire.server), 1);
    }
    pf_wire_stop(&wire);
}

/* ---- floods ---------------------------------------------------------------------- */

static void a_flood_of_pipelined_requests_is_answered_in_order_and_not_alone(void **state)
{
    (void)state;
    enum {
        BATCH = 1000,
        BATCHES = 100
    };
    size_t len;
    char *flood = make("", GOOD, BATCH, "", &len);
    start(NULL);
    pf_wire_connect(&wire);
    for (int i = 1; i <= BATCHES; i++) {
        assert_true(pf_wire_say(&wire, flood, len));
        assert_int_equal(wire.responses, i * BATCH);
    }
    assert_false(wire.ended);
    size_t each = wire.len / (BATCH * BATCHES);
    assert_int_equal(each * BATCH * BATCHES, wire.len);
    /* A turn of the loop answers no more than one read brings, so others get theirs. */
    int before = wire.responses, turns = 0;
    size_t at = 0;
    for (ssize_t n;
         at < len && (n = send(wire.client, flood + at, len - at, MSG_NOSIGNAL)) > 0;)
        at += (size_t)n;
    pf_wire_await(&wire);
    while (wire.responses == before) {
        assert_true(pf_loop_turn(wire.loop, 0) >= 0);
        assert_true(++turns < 100);
    }
    assert_true((size_t)(wire.responses - before) * (sizeof GOOD - 1) <= 64 * 1024);
    free(flood);
    pf_wire_stop(&wire);
}

static void a_connection_too_many_is_told_so(void **state)
{
    (void)state;
    start(NULL);
    for (int scarce = 0; scarce < 2; scarce++) {
        int pair[2];
        char text[512] = "";
        assert_int_equal(
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(send(pair[1], GOOD, sizeof GOOD - 1, MSG_NOSIGNAL),
                         sizeof GOOD - 1);
        pf_http_server_refuse(wire.server, pair[0], scarce);
        pf_wire_turn(&wire);
        assert_true(recv(pair[1], text, sizeof text - 1, 0) > 0);
        assert_non_null(strstr(text, "HTTP/1.1 503 "));
        assert_non_null(strstr(text, "\r\nRetry-After: "));
        assert_int_equal(recv(pair[1], text, sizeof text, 0), 0);
        close(pair[1]);
        pf_wire_turn(&wire);
    }
    pf_wire_stop(&wire);
}

/* ---- what the application passes on ---------------------------------------------- */

static int pass_on(pf_http_request *request, void *arg)
{
    (void)arg;
    static const char *const bad[] = {"a\r\nX: y", "a\nX: y", "a\rX: y", "a\r\n\r\nbody"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(pf_http_set_field(request, "X", bad[i]), -EINVAL);
        assert_int_equal(pf_http_add_field(request, bad[i], "x"), -EINVAL);
        assert_int_equal(pf_http_redirect(request, 302, bad[i]), -EINVAL);
        assert_int_equal(pf_http_respond(request, 200, bad[i], "x", 1), -EINVAL);
        struct pf_http_cookie cookie = {.name = "c", .value = bad[i]};
        assert_true(pf_http_set_cookie(request, &cookie) < 0);
        cookie = (struct pf_http_cookie){.name = "c", .value = "v", .path = bad[i]};
        assert_true(pf_http_set_cookie(request, &cookie) < 0);
    }
    assert_int_equal(pf_http_set_field(request, "Content-Length", "1"), -EINVAL);
    assert_int_equal(pf_http_set_field(request, "transfer-encoding", "chunked"), -EINVAL);
    assert_int_equal(pf_http_set_field(request, "Connection", "close"), -EINVAL);
    return pf_http_respond(request, 200, "text/plain", "good", 4);
}

/* To where the query says. */
static int redirect(pf_http_request *request, void *arg)
{
    (void)arg;
    char where[128];
    int len = pf_http_get_argument(request, "to", where, sizeof where);
    return len < 0 ? len : pf_http_redirect(request, 302, where);
}

static int fails(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    return -EIO;
}

static const struct pf_http_route passing[] = {
    {.method = "GET", .path = "/", .handler = pass_on},
    {.method = "GET", .path = "/redirect", .handler = redirect},
    {.method = "GET", .path = "/{fails}", .handler = fails},
    {0}};

static void start_with(const struct pf_http_route *routes)
{
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.routes = routes;
    start(&options);
}

static void an_answer_cannot_be_split(void **state)
{
    (void)state;
    start_with(passing);
    assert_answer(GOOD, sizeof GOOD - 1, "200[good] open");
    static const struct {
        const char *asked, *location;
    } rows[] = {
        {GET("/redirect?to=/a"), "{Location: /a}"},
        {GET("/redirect?to=//evil"), "{Location: /evil}"},
        {GET("/redirect?to=/%5cevil"), "{Location: /evil}"},
        {GET("/redirect?to=%5c%5cevil"), "{Location: /evil}"},
        {GET("/redirect?to=a%0d%0aX:%20y"), "500 "},
        {GET("/redirect?to=a%00b"), "500 "},
        {GET("/redirect?to=+//evil"), "500 "},
        {GET("/redirect?to=/%09/evil"), "500 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *told = pf_wire_exchange(&wire, rows[i].asked, strlen(rows[i].asked),
                                      PF_WIRE_WHOLE, PF_WIRE_FULL);
        if (!strstr(told, rows[i].location))
            print_error("%s: %s\n", rows[i].asked, told);
        assert_non_null(strstr(told, rows[i].location));
        free(told);
    }
    pf_wire_stop(&wire);
}

static struct {
    int lines;
    char last[PF_LOG_LINE_MAX];
} logged;

static void on_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)arg;
    logged.lines++;
    memcpy(logged.last, line, len + 1);
}

static void a_request_cannot_write_a_line_into_the_log(void **state)
{
    (void)state;
    static const char *const asked[] = {GET("/%0aerror%20main"), GET("/a\"b"), GET("/a=b"),
                                        GET("/\xc2\x85"), GET("/\x1b[31m")};
    start_with(passing);
    pf_log_set_sink(on_line, NULL);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        logged.lines = 0;
        char *told = pf_wire_exchange(&wire, asked[i], strlen(asked[i]), PF_WIRE_WHOLE,
                                      PF_WIRE_BRIEF);
        assert_true(logged.lines <= 1);
        assert_int_equal(logged.lines, strcmp(told, "500 open") == 0);
        for (const char *p = logged.last; *p && p[1]; p++) /* its end is a line feed */
            assert_false((unsigned char)*p < ' ' || *p == 0x7f);
        free(told);
    }
    pf_log_set_sink(NULL, NULL);
    pf_wire_stop(&wire);
}

/* ---- clients that leave ---------------------------------------------------------- */

static void a_client_may_leave_anywhere(void **state)
{
    (void)state;
    static const char *const said[] = {
        GOOD,
        WITH("Content-Length: 3\r\n") "abc",
        CHUNKED("3\r\nabc\r\n0\r\n\r\n"),
        "POST /mirror HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" BODY,
        "POST /upload HTTP/1.1\r\n" HOST
        "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
        GET("/later") GOOD GET("/later"),
        GET("/chunks"),
        "no request\r\n\r\n",
    };
    start(NULL);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        for (size_t n = 0; n <= strlen(said[i]); n++)
            for (int way = 0; way < 3; way++) {
                int gone = wire.gone;
                pf_wire_connect(&wire);
                if (way == 0) /* it reads what it gets, and goes */
                    (void)pf_wire_say(&wire, said[i], n);
                else if (n > 0) /* gone, or as good as, before the server looks */
                    assert_int_equal(send(wire.client, said[i], n, MSG_NOSIGNAL), n);
                if (way == 2)
                    assert_int_equal(shutdown(wire.client, SHUT_RDWR), 0);
                pf_wire_leave(&wire);
                assert_int_equal(pf_http_server_connections(wire.server), 0);
                assert_int_equal(wire.gone, gone + 1);
            }
    pf_wire_stop(&wire);
}

/* An application that finishes whenever it hears that the client is gone, and that writes
 * as if it were not. */
static struct {
    pf_http_request *held;
    int gone, finished, paused, pieces;
    char heard[64];
    bool ended;
} app;

static void held_on_gone(pf_http_request *request, int reason, void *arg)
{
    (void)arg;
    assert_ptr_equal(request, app.held);
    if (!reason)
        return;
    app.gone++;
    app.held = NULL;
    assert_int_equal(pf_http_finish(request), -EPIPE);
}

static int hold(pf_http_request *request, void *arg)
{
    (void)arg;
    app.held = request;
    assert_int_equal(pf_http_on_gone(request, held_on_gone, NULL), 0);
    return PF_HTTP_LATER;
}

static void held_on_finish(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    app.finished++;
}

static int pausing_body(pf_http_request *request, const void *data, size_t len, void *arg)
{
    (void)arg;
    assert_false(app.paused);
    if (len == 0) {
        app.ended = true;
        return pf_http_respond(request, 200, "text/plain", app.heard, strlen(app.heard));
    }
    app.pieces++;
    strncat(app.heard, data, len);
    app.paused = true;
    return pf_http_pause_body(request);
}

static int take_slowly(pf_http_request *request, void *arg)
{
    (void)arg;
    app.held = request;
    app.paused = true;
    int err = pf_http_on_body(request, pausing_body, NULL);
    if (!err)
        err = pf_http_pause_body(request);
    return err ? err : PF_HTTP_LATER;
}

static const struct pf_http_resource held = {
    .size = sizeof held, .get = hold, .on_finish = held_on_finish};

static const struct pf_http_route holding[] = {
    {.path = "/hold", .resource = &held},
    {.method = "POST", .path = "/pause", .handler = take_slowly, .flags = PF_HTTP_STREAM},
    {0}};

enum call {
    RESPOND,
    FINISH,
    FLUSH,
    WRITE,
    FILE_,
    ABORT,
    CALLS
};

static int answer_by(enum call call, pf_http_request *request)
{
    switch (call) {
    case RESPOND:
        return pf_http_respond(request, 200, "text/plain", "x", 1);
    case FINISH:
        return pf_http_finish(request);
    case FLUSH:
        return pf_http_flush(request);
    case WRITE:
        return pf_http_write(request, "x", 1);
    case FILE_:
        return pf_http_respond_file(request, "text/plain",
                                    open("Makefile", O_RDONLY | O_CLOEXEC), 0, 100);
    case ABORT:
        return pf_http_abort(request);
    case CALLS:
        break;
    }
    return -EINVAL;
}

static void whoever_is_told_that_a_client_is_gone_may_finish(void **state)
{
    (void)state;
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.routes = holding;
    /* Not over TCP, where the first that is sent to whoever is gone succeeds. */
    pf_wire_start(&wire, &options);
    for (enum call call = RESPOND; call < CALLS; call++) {
        memset(&app, 0, sizeof app);
        int responses = wire.responses;
        pf_wire_connect(&wire);
        say(GET("/hold"));
        assert_non_null(app.held);
        close(wire.client); /* the server finds it by sending, before it is told */
        wire.client = -1;
        pf_http_request *request = app.held;
        int err = answer_by(call, request);
        assert_int_equal(err, call == ABORT ? 0 : -EPIPE);
        assert_int_equal(app.gone, 0); /* not inside the call */
        pf_wire_turn(&wire);
        assert_int_equal(app.gone, call == FLUSH || call == WRITE);
        assert_int_equal(app.finished, 1);
        assert_int_equal(wire.responses, responses + 1);
        assert_int_equal(pf_http_server_connections(wire.server), 0);
    }
    pf_wire_stop(&wire);
}

static void resume(void)
{
    app.paused = false;
    assert_int_equal(pf_http_resume_body(app.held), 0);
    assert_false(app.ended); /* nothing is handed over inside the call */
    pf_wire_advance(&wire, 0);
}

static void a_pause_hands_over_nothing_until_it_ends(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        int pieces;
        const char *told;
    } rows[] = {
        {"POST /pause HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 1,
         "200[abc] open"},
        {"POST /pause HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 0, "200 open"},
        {"POST /pause HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
         3, "200[abc] open"},
        {"POST /pause HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET("/none"), 1,
         "200[abc] 404 open"},
    };
    start_with(holding);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int half_closed = 0; half_closed < 2; half_closed++) {
            char expected[64];
            memset(&app, 0, sizeof app);
            pf_wire_connect(&wire);
            say(rows[i].said);
            if (half_closed)
                assert_int_equal(shutdown(wire.client, SHUT_WR), 0);
            pf_wire_advance(&wire, PF_WIRE_BODY_TIMEOUT + PF_WIRE_HEAD_TIMEOUT);
            assert_told("open"); /* whatever time it takes */
            for (int piece = 0; !app.ended; piece++) {
                assert_int_equal(app.pieces, piece);
                assert_true(piece <= rows[i].pieces);
                if (piece == rows[i].pieces)
                    break;
                resume();
            }
            if (!app.ended)
                resume();
            assert_int_equal(app.pieces, rows[i].pieces);
            snprintf(expected, sizeof expected, "%s", rows[i].told);
            if (half_closed)
                memcpy(strstr(expected, "open"), "closed", sizeof "closed");
            assert_told(expected);
        }
    pf_wire_stop(&wire);
}

static void a_client_that_waits_behind_a_pause_waits_for_its_end(void **state)
{
    (void)state;
    start_with(holding);
    memset(&app, 0, sizeof app);
    pf_wire_connect(&wire);
    say("POST /pause HTTP/1.1\r\n" HOST
        "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(wire.len, 0);
    resume();
    assert_told("open");
    assert_int_equal(wire.interim, 1);
    say("abc");
    resume();
    assert_told("200[abc] open");
    pf_wire_stop(&wire);
}

/* ---- handlers that block --------------------------------------------------------- */

static int began[2], may_end[2];

static int block(pf_http_request *request, void *arg)
{
    (void)arg;
    char byte = 'x';
    if (write(began[1], &byte, 1) != 1 || read(may_end[0], &byte, 1) != 1)
        return -EIO;
    return pf_http_respond(request, 200, "text/plain", "done", 4);
}

static const struct pf_http_route blocking[] = {
    {.method = "GET", .path = "/", .handler = block, .flags = PF_HTTP_BLOCKING}, {0}};

/* One runs, one waits for its thread; both come to their end when the server is no more. */
static void a_server_may_go_while_handlers_block(void **state)
{
    (void)state;
    struct pf_http_server_options options;
    pf_wire_options(&options);
    options.routes = blocking;
    options.threads = 1;
    assert_int_equal(pipe2(began, O_CLOEXEC), 0);
    assert_int_equal(pipe2(may_end, O_CLOEXEC), 0);
    start(&options);
    pf_wire_connect(&wire);
    say(GOOD);
    char byte;
    assert_int_equal(read(began[0], &byte, 1), 1);
    int pair[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(wire.server, pair[0], NULL), 0);
    assert_int_equal(send(pair[1], GOOD, sizeof GOOD - 1, MSG_NOSIGNAL), sizeof GOOD - 1);
    pf_wire_turn(&wire);
    close(wire.client); /* the client of the one that runs has gone before */
    wire.client = -1;
    pf_wire_turn(&wire);
    assert_int_equal(write(may_end[1], "xx", 2), 2); /* the other may yet get to run */
    pf_log_set_sink(on_line, NULL);
    logged.lines = 0;
    pf_http_server_free(wire.server);
    wire.server = NULL;
    pf_wire_turn(&wire);
    if (logged.lines)
        print_error("%s", logged.last);
    assert_int_equal(logged.lines, 0); /* nobody misses what they would have answered */
    pf_log_set_sink(NULL, NULL);
    pf_wire_stop(&wire);
    close(pair[1]);
    for (int i = 0; i < 2; i++) {
        close(began[i]);
        close(may_end[i]);
    }
}

/* ---- whatever -------------------------------------------------------------------- */

static void what_was_tried_before_is_tried_again(void **state)
{
    (void)state;
    assert_true(pf_test_corpus("tests/fuzz/corpus/connection", LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_length_and_a_coding_together_are_refused),
        pf_test(a_coding_that_is_not_exactly_chunked_is_refused),
        pf_test(a_coding_in_1_0_is_refused),
        pf_test(a_length_that_is_not_one_number_is_refused),
        pf_test(a_chunk_that_is_not_exactly_one_is_refused),
        pf_test(framing_without_end_is_counted),
        pf_test(trailers_never_become_fields),
        pf_test(a_head_that_is_not_made_of_lines_is_refused),
        pf_test(a_host_that_is_none_is_refused),
        pf_test(what_is_not_http_1_is_refused),
        pf_test(heads_beyond_the_limits_are_refused),
        pf_test(empty_lines_without_end_are_refused),
        pf_test(a_body_over_the_limit_is_refused_before_it_comes),
        pf_test(a_head_has_one_deadline_however_it_comes),
        pf_test(what_was_no_request_has_no_method),
        pf_test(a_body_has_a_deadline_and_a_least_rate),
        pf_test(a_client_that_reads_nothing_is_read_no_further_and_cut),
        pf_test(a_client_that_reads_slowly_is_served_as_long_as_it_reads),
        pf_test(a_flood_of_pipelined_requests_is_answered_in_order_and_not_alone),
        pf_test(a_connection_too_many_is_told_so),
        pf_test(an_answer_cannot_be_split),
        pf_test(a_request_cannot_write_a_line_into_the_log),
        pf_test(a_client_may_leave_anywhere),
        pf_test(whoever_is_told_that_a_client_is_gone_may_finish),
        pf_test(a_pause_hands_over_nothing_until_it_ends),
        pf_test(a_client_that_waits_behind_a_pause_waits_for_its_end),
        pf_test(a_server_may_go_while_handlers_block),
        pf_test(what_was_tried_before_is_tried_again),
    };
    return cmocka_run_group_tests_name("http attacks", tests, NULL, NULL);
}
