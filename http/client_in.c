/*
 * client_in.c - answers, as they come; see client_internal.h.
 *
 * They are parsed where they were received, by the parser that all connections share. Only
 * at the end of what came, and in the middle of an answer, is its state put by: the parser
 * is copied, and of a head that is not complete the bytes too, because the parser wants a
 * head from its first byte on.
 */
#include "http/client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A head that came in pieces begins with that much room. */
#define HEAD_ROOM 1024

static void refuse(struct pf__http_client_conn *conn, int error, const char *bytes,
                   size_t len, int64_t now)
{
    struct pf__http_client_end how = {
        .phase = PF__HTTP_CLIENT_PARSE, .error = error, .sample = bytes, .sample_len = len};
    pf__http_client_tell_end(conn, &how, now);
}

/* Put by what the parser knows: the fields that are there, and not the room for others. */
static int keep_parser(struct pf__http_client_conn *conn,
                       const struct pf_http_parser *parser)
{
    if (parser == conn->parser)
        return 0;
    if (!conn->parser && !(conn->parser = malloc(sizeof *conn->parser)))
        return -ENOMEM;
    memcpy(conn->parser, parser,
           offsetof(struct pf_http_parser, fields) +
               parser->field_count * sizeof parser->fields[0]);
    return 0;
}

static int keep_head(struct pf__http_client_conn *conn, const char *bytes, size_t len)
{
    if (len > PF_HTTP_HEAD_MAX)
        return -EMSGSIZE;
    if (len > conn->head_size) {
        size_t size = conn->head_size ? conn->head_size : HEAD_ROOM;
        while (size < len)
            size *= 2;
        char *larger = realloc(conn->head, size);
        if (!larger)
            return -ENOMEM;
        conn->head = larger;
        conn->head_size = size;
    }
    if (len) /* behind an interim answer nothing of the next may be here: then no room is */
        memcpy(conn->head, bytes, len);
    conn->head_len = len;
    return 0;
}

/* The message goes on in what is not here yet. */
static bool put_by(struct pf__http_client_conn *conn, const struct pf_http_parser *parser,
                   const char *bytes, size_t len, int64_t now)
{
    int err = keep_parser(conn, parser);
    if (err == 0 && !conn->head_done)
        err = keep_head(conn, bytes, len);
    if (err)
        refuse(conn, -err, bytes, len, now);
    return err == 0;
}

static void begin_message(struct pf__http_client_conn *conn, struct pf_http_parser *parser)
{
    conn->head_done = false;
    pf__http_parser_start(parser, PF_HTTP_RESPONSE, conn->head_request);
}

/* A message of 1xx is followed by another one, RFC 9110 section 15.2; not so 101. */
static bool is_interim(const struct pf_http_parser *parser)
{
    return parser->status < 200 && parser->status != 101;
}

/* Tell of a complete answer. False: the connection is not what it was. */
static bool answered(struct pf__http_client_conn *conn, struct pf_http_parser *parser,
                     int64_t now)
{
    uint32_t life = conn->life;
    conn->begun = false;
    conn->owed--;
    /* To a request that is not even sent: what is left of it would be garbage. */
    if (conn->owed == 0 && conn->unsent_len)
        parser->keep_alive = false;
    conn->announced = !parser->keep_alive;
    conn->ops->on_answer(conn, parser, now);
    return conn->life == life;
}

/* Behind the last answer. */
static void finish(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                   int64_t now)
{
    if (len > 0)
        refuse(conn, EPROTO, bytes, len, now);
    else if (!conn->await_close || conn->owed > 0)
        pf__http_client_fail(conn, PF__HTTP_CLIENT_READ_ON, 0, now);
}

/* One step of the parser has got somewhere, in the message that begins at `bytes`. False:
 * the connection is not what it was. */
static bool tell_step(struct pf__http_client_conn *conn,
                      const struct pf_http_parser *parser, int step, const char *bytes,
                      struct pf_http_span body)
{
    uint32_t life = conn->life;
    if (step == PF_HTTP_BODY) {
        if (conn->ops->on_body && !is_interim(parser))
            conn->ops->on_body(conn, bytes + body.at, body.len);
    } else {
        conn->head_done = true;
        if (conn->ops->on_head && !is_interim(parser))
            conn->ops->on_head(conn, parser, bytes);
    }
    return conn->life == life;
}

/* Bytes of an answer that is new. False: the connection ended. */
static bool begin_answer(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                         int64_t now)
{
    if (conn->owed == 0) {
        refuse(conn, EPROTO, bytes, len, now);
        return false;
    }
    uint32_t life = conn->life;
    bool head_request = conn->ops->on_first(conn, now);
    if (conn->life != life)
        return false;
    conn->head_request = head_request;
    conn->begun = true;
    begin_message(conn, &conn->shared->parser);
    return true;
}

/* Go through bytes[0..len), of which the parser saw the first `used` before. False: the
 * connection ended. */
static bool take_in(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                    size_t used, int64_t now)
{
    struct pf_http_parser *parser = conn->begun ? conn->parser : &conn->shared->parser;
    struct pf_http_span body = {0, 0};
    size_t at = 0;
    while (at < len || conn->begun) {
        if (!conn->begun && !begin_answer(conn, bytes + at, len - at, now))
            return false;
        int step = pf__http_parser_run(parser, bytes + at, len - at, &used, &body);
        if (step < 0) {
            refuse(conn, EBADMSG, bytes + at, len - at, now);
            return false;
        }
        if (step == PF_HTTP_MORE)
            return put_by(conn, parser, bytes + at, len - at, now);
        if (step != PF_HTTP_DONE) {
            if (!tell_step(conn, parser, step, bytes + at, body))
                return false;
            continue;
        }
        at += used;
        used = 0;
        if (is_interim(parser)) {
            begin_message(conn, parser);
            continue;
        }
        if (!answered(conn, parser, now))
            return false;
        if (conn->announced) {
            uint32_t life = conn->life;
            finish(conn, bytes + at, len - at, now);
            return conn->life == life;
        }
        parser = &conn->shared->parser;
    }
    return true;
}

/* The peer closed (error 0), or the connection failed. */
static void ended(struct pf__http_client_conn *conn, int error)
{
    int64_t now = pf__http_client_clock(conn);
    if (error == 0 && conn->begun && conn->head_done &&
        pf__http_parser_eof(conn->parser) == PF_HTTP_DONE) {
        conn->parser->keep_alive = false; /* a body that lasts until the close */
        if (!answered(conn, conn->parser, now))
            return;
    }
    pf__http_client_fail(conn, PF__HTTP_CLIENT_READ_ON, error, now);
}

void pf__http_client_receive(struct pf__http_client_conn *conn)
{
    struct pf__http_client_shared *shared = conn->shared;
    size_t kept = conn->head_len;
    if (kept)
        memcpy(shared->buffer, conn->head, kept);
    ssize_t got = recv(conn->fd, shared->buffer + kept, PF__HTTP_CLIENT_READ, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        ended(conn, got < 0 ? errno : 0);
        return;
    }
    int64_t now = pf__http_client_clock(conn);
    uint32_t life = conn->life;
    shared->bytes_in += (uint64_t)got;
    conn->head_len = 0;
    if (conn->ops->on_bytes)
        conn->ops->on_bytes(conn, shared->buffer, (size_t)got, now);
    else if (!take_in(conn, shared->buffer, kept + (size_t)got, kept, now))
        return;
    if (conn->life == life && conn->ops->on_taken)
        conn->ops->on_taken(conn, now);
}
