/*
 * One HTTP connection seen from the side that asks, over real sockets: the peer is the test
 * itself, which says what a server would, whole, byte by byte, and cut at every place.
 */
#include "tests/lib/test.h"

#include "http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define LAST  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

/* What a callback does beside telling. */
enum deed {
    NOTHING,
    CLOSE_IN_FIRST,
    CLOSE_IN_HEAD,
    CLOSE_IN_BODY,
    CLOSE_IN_ANSWER,
    CLOSE_IN_TAKEN,
    REOPEN_IN_ANSWER,
    REOPEN_IN_CLOSE,
    ASK_IN_ANSWER,
};

struct side {
    struct pf__http_client_conn conn; /* first */
    struct pf__http_client_shared *shared;
    pf_loop *loop;
    int listener, peer; /* the peer's end; -1: not accepted */
    struct pf_address address;
    bool head[8]; /* the n-th request is a HEAD */
    unsigned firsts, answers, takens, sents, opens, closes;
    enum deed deed;
    struct pf__http_client_end end; /* the last one */
    char sample[64];
    char told[4096];
};

static void tell(struct side *side, const char *format, ...) PF_PRINTF(2, 3);

static void tell(struct side *side, const char *format, ...)
{
    size_t len = strlen(side->told);
    va_list args;
    va_start(args, format);
    vsnprintf(side->told + len, sizeof side->told - len, format, args);
    va_end(args);
}

static void connect_it(struct side *side)
{
    struct pf__http_client_options options = {.to = &side->address, .nodelay = true};
    assert_int_equal(pf__http_client_connect(&side->conn, &options), 0);
}

static void on_open(struct pf__http_client_conn *conn, int64_t now)
{
    struct side *side = (struct side *)conn;
    assert_true(now > 0);
    side->opens++;
}

static bool on_first(struct pf__http_client_conn *conn, int64_t now)
{
    struct side *side = (struct side *)conn;
    assert_true(now > 0);
    bool head = side->head[side->firsts % 8];
    side->firsts++;
    if (side->deed == CLOSE_IN_FIRST)
        pf__http_client_close(conn);
    return head;
}

static void on_head(struct pf__http_client_conn *conn, const struct pf_http_parser *parser,
                    const char *head)
{
    struct side *side = (struct side *)conn;
    size_t len;
    const char *x = pf__http_parser_field(parser, head, "X", &len);
    tell(side, "%u", parser->status);
    if (x)
        tell(side, "(%.*s)", (int)len, x);
    tell(side, "[");
    if (side->deed == CLOSE_IN_HEAD)
        pf__http_client_close(conn);
}

static void on_body(struct pf__http_client_conn *conn, const char *bytes, size_t len)
{
    struct side *side = (struct side *)conn;
    tell(side, "%.*s", (int)len, bytes);
    if (side->deed == CLOSE_IN_BODY)
        pf__http_client_close(conn);
}

static void on_answer(struct pf__http_client_conn *conn,
                      const struct pf_http_parser *parser, int64_t now)
{
    struct side *side = (struct side *)conn;
    assert_true(now > 0);
    side->answers++;
    tell(side, "] ");
    (void)parser;
    if (side->deed == CLOSE_IN_ANSWER || side->deed == REOPEN_IN_ANSWER)
        pf__http_client_close(conn);
    if (side->deed == REOPEN_IN_ANSWER)
        connect_it(side);
    if (side->deed == ASK_IN_ANSWER)
        assert_int_equal(pf__http_client_send(conn, "A", 1, 1), 0);
}

static void on_taken(struct pf__http_client_conn *conn, int64_t now)
{
    struct side *side = (struct side *)conn;
    (void)now;
    side->takens++;
    if (side->deed == CLOSE_IN_TAKEN)
        pf__http_client_close(conn);
}

static void on_sent(struct pf__http_client_conn *conn, int64_t now)
{
    (void)now;
    ((struct side *)conn)->sents++;
}

static void on_close(struct pf__http_client_conn *conn,
                     const struct pf__http_client_end *end, int64_t now)
{
    struct side *side = (struct side *)conn;
    assert_true(now > 0);
    assert_int_equal(conn->state, PF__HTTP_CLIENT_DOWN);
    side->closes++;
    side->end = *end;
    snprintf(side->sample, sizeof side->sample, "%.*s", (int)end->sample_len,
             end->sample ? end->sample : "");
    tell(side, "%s%s%s owed=%u", end->announced ? "last" : "closed",
         end->begun ? " begun" : "", end->error ? " error" : "", end->owed);
    if (side->deed == REOPEN_IN_CLOSE)
        connect_it(side);
}

static void on_bytes(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                     int64_t now)
{
    (void)now;
    tell((struct side *)conn, "<%.*s>", (int)len, bytes);
}

static const struct pf__http_client_ops ops = {.on_open = on_open,
                                               .on_first = on_first,
                                               .on_head = on_head,
                                               .on_body = on_body,
                                               .on_answer = on_answer,
                                               .on_taken = on_taken,
                                               .on_sent = on_sent,
                                               .on_close = on_close};

static const struct pf__http_client_ops raw_ops = {
    .on_open = on_open, .on_taken = on_taken, .on_close = on_close, .on_bytes = on_bytes};

/* ---- both ends ------------------------------------------------------------------- */

static void listen_on_loopback(struct side *side)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    side->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(side->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(side->listener, 16), 0);
    assert_int_equal(getsockname(side->listener, (struct sockaddr *)&at, &len), 0);
    side->address = (struct pf_address){.len = sizeof at};
    memcpy(&side->address.storage, &at, sizeof at);
}

static void side_init(struct side *side, const struct pf__http_client_ops *which)
{
    memset(side, 0, sizeof *side);
    side->peer = -1;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    assert_int_equal(pf_loop_new(&options, &side->loop), 0);
    side->shared = malloc(sizeof *side->shared);
    pf__http_client_share(side->shared, side->loop);
    pf__http_client_init(&side->conn, side->shared, which);
    listen_on_loopback(side);
}

static void side_fini(struct side *side)
{
    pf__http_client_fini(&side->conn);
    assert_int_equal(pf_loop_close(side->loop, false), 0);
    pf_loop_unref(side->loop);
    free(side->shared);
    close(side->listener);
    if (side->peer >= 0)
        close(side->peer);
}

/* Turn the loop until `*counter` has reached `least`; a working client never needs all. */
static void turn_until(struct side *side, const unsigned *counter, unsigned least)
{
    int64_t deadline, now;
    assert_int_equal(pf_loop_time(side->loop, &now), 0);
    deadline = now + PF_TEST_DEADLINE_S * PF_SECOND;
    while (*counter < least && now < deadline) {
        assert_true(pf_loop_turn(side->loop, 10 * PF_MILLISECOND) >= 0);
        assert_int_equal(pf_loop_time(side->loop, &now), 0);
    }
    assert_true(*counter >= least);
}

static void open_it(struct side *side)
{
    if (side->peer >= 0)
        close(side->peer);
    connect_it(side);
    side->peer = accept4(side->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(side->peer >= 0);
    turn_until(side, &side->opens, side->opens + 1);
    assert_int_equal(side->conn.state, PF__HTTP_CLIENT_OPEN);
}

static void ask(struct side *side, unsigned count)
{
    assert_int_equal(pf__http_client_send(&side->conn, "ASK", 3, count), 0);
}

/* The peer says so much, and the client takes it in. */
static void say_n(struct side *side, const char *bytes, size_t len)
{
    uint64_t before = side->shared->bytes_in;
    unsigned ever = 0;
    if (len == 0 || side->conn.state != PF__HTTP_CLIENT_OPEN)
        return;
    assert_int_equal(send(side->peer, bytes, len, MSG_NOSIGNAL), len);
    while (side->shared->bytes_in < before + len &&
           side->conn.state == PF__HTTP_CLIENT_OPEN && ever++ < 100000)
        assert_true(pf_loop_turn(side->loop, 10 * PF_MILLISECOND) >= 0);
}

static void say(struct side *side, const char *text)
{
    say_n(side, text, strlen(text));
}

/* The peer will say no more. */
static void hang_up(struct side *side)
{
    if (side->conn.state != PF__HTTP_CLIENT_OPEN)
        return;
    shutdown(side->peer, SHUT_WR);
    turn_until(side, &side->closes, side->closes + 1);
}

/* ---- what comes of answers, however they are cut ---------------------------------- */

#define WHOLE SIZE_MAX
#define BYTES 0

static void exchange(struct side *side, unsigned asked, const char *in, size_t cut,
                     bool ends)
{
    size_t len = strlen(in);
    side->told[0] = '\0';
    side->firsts = side->answers = 0;
    open_it(side);
    ask(side, asked);
    if (cut == WHOLE)
        say(side, in);
    else if (cut == BYTES)
        for (size_t i = 0; i < len; i++)
            say_n(side, in + i, 1);
    else {
        say_n(side, in, cut);
        say_n(side, in + cut, len - cut);
    }
    if (ends)
        hang_up(side);
    if (side->conn.state == PF__HTTP_CLIENT_OPEN)
        tell(side, "open owed=%u", side->conn.owed);
    pf__http_client_close(&side->conn);
}

static void assert_told(struct side *side, const char *in, size_t cut, const char *expected)
{
    if (strcmp(side->told, expected) != 0)
        print_error("cut at %zd: %s\n", (ssize_t)cut, in);
    assert_string_equal(side->told, expected);
}

struct exchange {
    unsigned asked;
    const char *in;
    bool ends; /* the peer closes behind it */
    const char *told;
    bool head;
};

static const struct exchange exchanges[] = {
    /* one answer, and the connection goes on */
    {1, HELLO, false, "200[hello] open owed=0", false},
    {1, "HTTP/1.1 204 No\r\n\r\n", false, "204[] open owed=0", false},
    {1, "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", false, "304[] open owed=0",
     false},
    {1, "HTTP/1.1 200 OK\r\nX: one two\r\nContent-Length: 0\r\n\r\n", false,
     "200(one two)[] open owed=0", false},
    {1,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n"
     "0\r\nT: r\r\n\r\n",
     false, "200[abcde] open owed=0", false},
    {1, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", false,
     "200[ok] open owed=0", false},
    /* interim answers */
    {1, "HTTP/1.1 100 Continue\r\n\r\n" HELLO, false, "200[hello] open owed=0", false},
    {1, "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n" HELLO, false,
     "200[hello] open owed=0", false},
    {1, "HTTP/1.1 100 Continue\r\n\r\n", false, "open owed=1", false},
    {1, "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n", false, "101[] last owed=0", false},
    /* HEAD */
    {1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, "200[] open owed=0", true},
    {2, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" HELLO, false,
     "200[] 200[hello] open owed=0", true},
    {1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, "200[] open owed=0",
     true},
    {1, "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false,
     "200[] open owed=0", true},
    /* several */
    {3, HELLO HELLO HELLO, false, "200[hello] 200[hello] 200[hello] open owed=0", false},
    {3, HELLO HELLO, false, "200[hello] 200[hello] open owed=1", false},
    /* the last one */
    {1, LAST, false, "200[ok] last owed=0", false},
    {2, HELLO LAST, false, "200[hello] 200[ok] last owed=0", false},
    {3, LAST, false, "200[ok] last owed=2", false},
    {1, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, "200[ok] last owed=0",
     false},
    {1, "HTTP/1.1 200 OK\r\n\r\nuntil the end", true, "200[until the end] last owed=0",
     false},
    {1, "HTTP/1.1 200 OK\r\n\r\n", true, "200[] last owed=0", false},
    {2, "HTTP/1.1 200 OK\r\n\r\nx", true, "200[x] last owed=1", false},
    /* closed */
    {1, "", true, "closed owed=1", false},
    {0, "", true, "closed owed=0", false},
    {2, HELLO, true, "200[hello] closed owed=1", false},
    {1, "HTTP/1.1 2", true, "closed begun owed=1", false},
    {2, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true,
     "200[half"
     "closed begun owed=2",
     false},
    {1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true,
     "200[abc"
     "closed begun owed=1",
     false},
};

static void answers_are_told_whole_byte_by_byte_and_cut_everywhere(void **state)
{
    (void)state;
    static struct side side;
    for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) {
        const struct exchange *row = &exchanges[i];
        side_init(&side, &ops); /* each with nothing left over of the one before */
        side.head[0] = row->head;
        exchange(&side, row->asked, row->in, WHOLE, row->ends);
        assert_told(&side, row->in, WHOLE, row->told);
        exchange(&side, row->asked, row->in, BYTES, row->ends);
        assert_told(&side, row->in, BYTES, row->told);
        for (size_t cut = 1; cut < strlen(row->in); cut++) {
            exchange(&side, row->asked, row->in, cut, row->ends);
            assert_told(&side, row->in, cut, row->told);
        }
        side_fini(&side);
    }
}

/* ---- what is refused ------------------------------------------------------------- */

static void what_is_no_answer_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        unsigned asked;
        const char *in;
        int error;
        const char *sample, *told;
    } rows[] = {
        {1, "SSH-2.0-x\r\n", EBADMSG, "SSH-2.0-x\r\n", "closed begun error owed=1"},
        {1, "HTTP/1.1 two OK\r\n\r\n", EBADMSG, "HTTP/1.1 two OK\r\n\r\n",
         "closed begun error owed=1"},
        {2, HELLO "rest", EBADMSG, "rest", "200[hello] closed begun error owed=1"},
        {1, HELLO "rest", EPROTO, "rest", "200[hello] closed error owed=0"},
        {0, "what", EPROTO, "what", "closed error owed=0"},
        {1, LAST "more", EPROTO, "more", "200[ok] last error owed=0"},
        {1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", EBADMSG, NULL,
         "200[closed begun error owed=1"},
    };
    static struct side side;
    side_init(&side, &ops);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        exchange(&side, rows[i].asked, rows[i].in, WHOLE, false);
        assert_string_equal(side.told, rows[i].told);
        assert_int_equal(side.end.phase, PF__HTTP_CLIENT_PARSE);
        assert_int_equal(side.end.error, rows[i].error);
        if (rows[i].sample)
            assert_string_equal(side.sample, rows[i].sample);
    }
    side_fini(&side);
}

static void head_beyond_the_limit_is_refused_also_in_pieces(void **state)
{
    (void)state;
    static struct side side;
    static const char line[] =
        "A: 0123456789012345678901234567890123456789012345678901234\r\n";
    side_init(&side, &ops);
    open_it(&side);
    ask(&side, 1);
    say(&side, "HTTP/1.1 200 OK\r\n");
    for (size_t sent = 0; sent < 2 * PF_HTTP_HEAD_MAX && side.closes == 0;
         sent += sizeof line - 1)
        say(&side, line);
    assert_int_equal(side.closes, 1);
    assert_int_equal(side.end.phase, PF__HTTP_CLIENT_PARSE);
    side_fini(&side);
}

/* ---- callbacks that close, open and ask ------------------------------------------ */

static void nothing_is_told_of_a_connection_that_a_callback_has_closed(void **state)
{
    (void)state;
    static const struct {
        enum deed deed;
        const char *told;
        unsigned takens;
    } rows[] = {
        {CLOSE_IN_FIRST, "", 0},
        {CLOSE_IN_HEAD, "200[", 0},
        {CLOSE_IN_BODY, "200[hello", 0},
        {CLOSE_IN_ANSWER, "200[hello] ", 0},
        {CLOSE_IN_TAKEN, "200[hello] 200[hello] ", 1},
    };
    static struct side side;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        side_init(&side, &ops);
        side.deed = rows[i].deed;
        exchange(&side, 2, HELLO HELLO, WHOLE, false);
        assert_string_equal(side.told, rows[i].told);
        assert_int_equal(side.takens, rows[i].takens);
        assert_int_equal(side.closes, 0);
        side_fini(&side);
    }
}

static void connection_is_opened_again_inside_its_callbacks(void **state)
{
    (void)state;
    static const enum deed deeds[] = {REOPEN_IN_ANSWER, REOPEN_IN_CLOSE};
    static struct side side;
    for (size_t i = 0; i < 2; i++) {
        side_init(&side, &ops);
        side.deed = deeds[i];
        open_it(&side);
        ask(&side, 2);
        say(&side, HELLO "HTTP/1.1 2"); /* what is left is of the connection before */
        if (deeds[i] == REOPEN_IN_CLOSE)
            hang_up(&side);
        side.deed = NOTHING;
        close(side.peer);
        side.peer = accept4(side.listener, NULL, NULL, SOCK_CLOEXEC);
        turn_until(&side, &side.opens, 2);
        side.told[0] = '\0';
        ask(&side, 1);
        say(&side, HELLO);
        assert_string_equal(side.told, "200[hello] ");
        side_fini(&side);
    }
}

static void asking_on_in_an_answer_goes_out_at_once(void **state)
{
    (void)state;
    static struct side side;
    char bytes[16];
    side_init(&side, &ops);
    side.deed = ASK_IN_ANSWER;
    open_it(&side);
    ask(&side, 1);
    assert_int_equal(recv(side.peer, bytes, sizeof bytes, 0), 3);
    say(&side, HELLO);
    assert_int_equal(recv(side.peer, bytes, sizeof bytes, 0), 1);
    assert_int_equal(side.conn.owed, 1);
    side_fini(&side);
}

/* ---- sending --------------------------------------------------------------------- */

static void what_the_kernel_does_not_take_follows_by_itself(void **state)
{
    (void)state;
    enum {
        SIZE = 8 << 20
    };
    static struct side side;
    char *out = malloc(SIZE), *in = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        out[i] = (char)(i * 7 + i / 251);
    side_init(&side, &ops);
    open_it(&side);
    assert_int_equal(pf__http_client_send(&side.conn, out, SIZE / 2, 1), 0);
    assert_true(pf__http_client_unsent(&side.conn) > 0);
    assert_int_equal(pf__http_client_send(&side.conn, out + SIZE / 2, SIZE / 2, 1), 0);
    memset(out, 0, 16); /* borrowed for the call only */
    size_t got = 0;
    while (got < SIZE) {
        ssize_t n = recv(side.peer, in + got, SIZE - got, MSG_DONTWAIT);
        if (n > 0)
            got += (size_t)n;
        assert_true(n > 0 || errno == EAGAIN);
        assert_true(pf_loop_turn(side.loop, 0) >= 0);
    }
    for (size_t i = 0; i < SIZE; i++)
        assert_true(in[i] == (char)(i * 7 + i / 251));
    assert_int_equal(pf__http_client_unsent(&side.conn), 0);
    assert_true(side.sents > 0);
    assert_false(side.conn.blocked);
    assert_int_equal(side.conn.owed, 2);
    say(&side, HELLO HELLO);
    assert_string_equal(side.told, "200[hello] 200[hello] ");
    side_fini(&side);
    free(out);
    free(in);
}

static void answer_to_a_request_that_is_not_all_sent_is_the_last(void **state)
{
    (void)state;
    enum {
        SIZE = 16 << 20
    };
    static struct side side;
    char *out = calloc(1, SIZE);
    side_init(&side, &ops);
    open_it(&side);
    assert_int_equal(pf__http_client_send(&side.conn, out, SIZE, 1), 0);
    assert_true(pf__http_client_unsent(&side.conn) > 0);
    say(&side, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(side.told, "413[] last owed=0");
    side_fini(&side);
    free(out);
}

static void sending_on_what_is_not_open_is_refused(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    assert_int_equal(pf__http_client_send(&side.conn, "x", 1, 1), -ENOTCONN);
    connect_it(&side);
    assert_int_equal(pf__http_client_send(&side.conn, "x", 1, 1), -ENOTCONN);
    struct pf__http_client_options options = {.to = &side.address};
    assert_int_equal(pf__http_client_connect(&side.conn, &options), -EALREADY);
    assert_int_equal(side.conn.owed, 0);
    side_fini(&side);
}

/* ---- connecting ------------------------------------------------------------------ */

static void refused_connect_is_told_with_its_errno(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    assert_int_equal(bind(bound, (struct sockaddr *)&at, len), 0); /* and not listening */
    assert_int_equal(getsockname(bound, (struct sockaddr *)&at, &len), 0);
    memcpy(&side.address.storage, &at, sizeof at);
    connect_it(&side);
    assert_int_equal(side.closes, 0);
    turn_until(&side, &side.closes, 1);
    assert_int_equal(side.end.phase, PF__HTTP_CLIENT_CONNECT);
    assert_int_equal(side.end.error, ECONNREFUSED);
    close(bound);
    side_fini(&side);
}

static void source_address_is_taken_and_a_reset_closes(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    struct pf_address from = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in at = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, "127.9.8.7", &at.sin_addr), 1);
    memcpy(&from.storage, &at, sizeof at);
    struct pf__http_client_options options = {.to = &side.address,
                                              .from = &from,
                                              .nodelay = true,
                                              .reset = true,
                                              .rcvbuf = 8192,
                                              .sndbuf = 8192};
    assert_int_equal(pf__http_client_connect(&side.conn, &options), 0);
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    side.peer = accept4(side.listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
    turn_until(&side, &side.opens, 1);
    assert_int_equal(peer.sin_addr.s_addr, at.sin_addr.s_addr);
    pf__http_client_close(&side.conn);
    char byte;
    assert_int_equal(recv(side.peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    side_fini(&side);
}

static void reset_by_the_peer_is_told_with_what_is_owed(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    open_it(&side);
    ask(&side, 3);
    say(&side, HELLO "HTTP/1.1");
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(side.peer, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    close(side.peer);
    side.peer = -1;
    turn_until(&side, &side.closes, 1);
    assert_int_equal(side.end.phase, PF__HTTP_CLIENT_READ_ON);
    assert_int_equal(side.end.error, ECONNRESET);
    assert_string_equal(side.told, "200[hello] closed begun error owed=2");
    side_fini(&side);
}

static void unix_socket_is_as_good(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int len = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "test_http_client.%ld",
                       (long)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    close(side.listener);
    side.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(side.listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(side.listener, 1), 0);
    side.address = (struct pf_address){.len = size};
    memcpy(&side.address.storage, &at, size);
    open_it(&side);
    ask(&side, 1);
    say(&side, HELLO);
    assert_string_equal(side.told, "200[hello] ");
    side_fini(&side);
}

static void peer_is_waited_for_behind_the_last_answer_if_asked_for(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    struct pf__http_client_options options = {.to = &side.address, .await_close = true};
    assert_int_equal(pf__http_client_connect(&side.conn, &options), 0);
    side.peer = accept4(side.listener, NULL, NULL, SOCK_CLOEXEC);
    turn_until(&side, &side.opens, 1);
    ask(&side, 1);
    say(&side, LAST);
    assert_int_equal(side.conn.state, PF__HTTP_CLIENT_OPEN);
    assert_int_equal(side.closes, 0);
    hang_up(&side);
    assert_string_equal(side.told, "200[ok] last owed=0");
    side_fini(&side);
}

/* ---- other than HTTP ------------------------------------------------------------- */

static void raw_bytes_are_handed_on_as_they_come(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &raw_ops);
    open_it(&side);
    assert_int_equal(pf__http_client_send(&side.conn, "ping", 4, 0), 0);
    say(&side, "po");
    say(&side, "ng");
    hang_up(&side);
    assert_string_equal(side.told, "<po><ng>closed owed=0");
    assert_int_equal(side.shared->bytes_in, 4);
    assert_int_equal(side.shared->bytes_out, 4);
    side_fini(&side);
}

/* ---- was it read? ---------------------------------------------------------------- */

enum peer_deed {
    READ_AND_CLOSE,
    CLOSE_UNREAD,
    CLOSE_BEFORE, /* it is asked when it has gone, and has not told yet */
    BEGIN_AND_CLOSE,
};

static void peer_closes(struct side *side, enum peer_deed deed)
{
    char text[16];
    if (deed != CLOSE_BEFORE)
        ask(side, 1);
    if (deed == READ_AND_CLOSE || deed == BEGIN_AND_CLOSE)
        assert_int_equal(recv(side->peer, text, 3, MSG_WAITALL), 3);
    if (deed == BEGIN_AND_CLOSE)
        say(side, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    close(side->peer);
    side->peer = -1;
    if (deed == CLOSE_BEFORE)
        ask(side, 1);
    turn_until(side, &side->closes, side->closes + 1);
}

static void what_the_peer_had_read_is_told_from_what_it_may_not_know_of(void **state)
{
    (void)state;
    static const struct {
        enum peer_deed deed;
        bool taken;
    } rows[] = {
        {READ_AND_CLOSE, true},
        {CLOSE_UNREAD, false},
        {CLOSE_BEFORE, false},
        {BEGIN_AND_CLOSE, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct side side;
        side_init(&side, &ops);
        open_it(&side);
        peer_closes(&side, rows[i].deed);
        assert_int_equal(side.end.owed, 1);
        assert_int_equal(side.end.taken, rows[i].taken);
        side_fini(&side);
    }
}

/* ---- cost ------------------------------------------------------------------------ */

static void quiet_connection_holds_no_memory(void **state)
{
    (void)state;
    static struct side side;
    side_init(&side, &ops);
    open_it(&side);
    ask(&side, 16);
    for (int i = 0; i < 16; i++)
        say(&side, HELLO);
    assert_null(side.conn.parser);
    assert_null(side.conn.head);
    assert_null(side.conn.unsent);
    assert_true(sizeof side.conn <= 160);
    side_fini(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(answers_are_told_whole_byte_by_byte_and_cut_everywhere),
        pf_test(what_is_no_answer_ends_the_connection),
        pf_test(head_beyond_the_limit_is_refused_also_in_pieces),
        pf_test(nothing_is_told_of_a_connection_that_a_callback_has_closed),
        pf_test(connection_is_opened_again_inside_its_callbacks),
        pf_test(asking_on_in_an_answer_goes_out_at_once),
        pf_test(what_the_kernel_does_not_take_follows_by_itself),
        pf_test(answer_to_a_request_that_is_not_all_sent_is_the_last),
        pf_test(sending_on_what_is_not_open_is_refused),
        pf_test(refused_connect_is_told_with_its_errno),
        pf_test(source_address_is_taken_and_a_reset_closes),
        pf_test(reset_by_the_peer_is_told_with_what_is_owed),
        pf_test(unix_socket_is_as_good),
        pf_test(peer_is_waited_for_behind_the_last_answer_if_asked_for),
        pf_test(raw_bytes_are_handed_on_as_they_come),
        pf_test(what_the_peer_had_read_is_told_from_what_it_may_not_know_of),
        pf_test(quiet_connection_holds_no_memory),
    };
    return cmocka_run_group_tests_name("http client", tests, NULL, NULL);
}
