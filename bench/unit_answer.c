/*
 * unit_answer.c - what comes back: whose it is, when it began, and whether it is right.
 */
#include "bench/unit_internal.h"

#include <string.h>

bool unit_on_first(struct pf__http_client_conn *http, int64_t now)
{
    struct conn *conn = (struct conn *)http;
    conn->first_ns = now;
    if (conn->unit->plan->expect) {
        expect_begin(&conn->check);
        if (conn->unit->sampled == conn)
            conn->unit->sampled = NULL;
    }
    return unit_stamp(conn, 0)->request->head;
}

/* The first bytes of a body, in case it is wrong: kept of one connection at a time. */
static void sample(struct conn *conn, const char *bytes, size_t len)
{
    struct unit *unit = conn->unit;
    if (conn->check.len > 0)
        return;
    struct tally_error error;
    unit_books_sample(&error, bytes, len);
    memcpy(unit->sample, error.sample, sizeof unit->sample);
    unit->sampled = conn;
}

void unit_on_body(struct pf__http_client_conn *http, const char *bytes, size_t len)
{
    struct conn *conn = (struct conn *)http;
    const struct expect *expect = conn->unit->plan->expect;
    if (!expect)
        return;
    sample(conn, bytes, len);
    expect_body(expect, &conn->check, bytes, len);
}

static int judge(struct conn *conn, unsigned status)
{
    struct unit *unit = conn->unit;
    const struct expect *expect = unit->plan->expect;
    if (!expect) /* nobody asks for another protocol here: RFC 9110 15.2.2 */
        return status == 101 ? TALLY_STATUS : 0;
    if (unit->sampled != conn)
        unit->sample[0] = '\0';
    const struct request *request = unit_stamp(conn, 0)->request;
    return expect_end(expect, &conn->check, status, request->head,
                      &unit->share.hashes[request->index]);
}

void unit_on_answer(struct pf__http_client_conn *http, const struct pf_http_parser *parser,
                    int64_t now)
{
    struct conn *conn = (struct conn *)http;
    unit_books_answered(conn, parser->status, judge(conn, parser->status), now);
}

/* What came is not what was to come back: the end of the connection. */
static void refuse_bytes(struct conn *conn, int reason, const char *bytes, size_t len,
                         int64_t now)
{
    struct tally_error how = {.phase = reason == TALLY_ECHO ? TALLY_VALIDATE : TALLY_PARSE,
                              .when = TALLY_ANSWERED,
                              .reason = reason,
                              .count = 1,
                              .first_ns = now};
    unit_books_sample(&how, bytes, len);
    if (conn->count > 0)
        unit_books_broken(conn, &how, true, now);
    else
        unit_books_error(conn->unit, &how);
    unit_conn_reopen(conn);
}

/* Raw bytes: they are to be those that were sent. */
void unit_on_bytes(struct pf__http_client_conn *http, const char *bytes, size_t len,
                   int64_t now)
{
    struct conn *conn = (struct conn *)http;
    while (len > 0) {
        if (conn->count == 0) {
            refuse_bytes(conn, TALLY_UNASKED, bytes, len, now);
            return;
        }
        const struct request *request = unit_stamp(conn, 0)->request;
        size_t n = request->len - conn->echoed;
        if (n > len)
            n = len;
        if (conn->echoed == 0)
            conn->first_ns = now;
        if (memcmp(request->bytes + conn->echoed, bytes, n) != 0) {
            refuse_bytes(conn, TALLY_ECHO, bytes, len, now);
            return;
        }
        bytes += n;
        len -= n;
        conn->echoed += n;
        if (conn->echoed == request->len) {
            conn->echoed = 0;
            unit_books_answered(conn, 200, 0, now);
        }
    }
}
