/*
 * server.c - HTTP/1.1 on buffered connections; see server.h.
 *
 * Reading order: on_data() takes one message after another off the input; take_message() is
 * one of them, whole on the hot path; hold() is for those that come in pieces.
 *
 * Invariants: answers leave in the order of requests, since each is written before the next
 * message is looked at. A connection has a `held` exactly while a message of it is begun:
 * that is also what tells the deadlines apart. Behind an answer that closes nothing is
 * parsed.
 */
#include "http/server.h"

#include "http/request.h"
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum deadline {
    DEADLINE_IDLE,
    DEADLINE_HEAD,
    DEADLINE_BODY,
};

/* A message that is begun. While its head is incomplete the connection keeps the bytes;
 * then they move here, so that the body need not be kept. */
struct held {
    LIST_ENTRY(held) entry;
    struct pf_http_parser parser;
    size_t used;       /* bytes of the head, in the connection's input, that are parsed */
    uint64_t body_len; /* so far */
    size_t head_len;   /* 0: incomplete */
    char head[];
};

struct session {
    struct held *held; /* NULL: idle */
};

_Static_assert(sizeof(struct session) <= 32, "an idle connection is small");

struct pf_http_server {
    pf_loop *loop;
    pf_conns *conns;
    struct pf_http_routes *routes;
    struct pf_http_server_options options;
    bool draining;
    unsigned serving; /* input is being handled */
    LIST_HEAD(, held) held;
    struct pf_http_front front;
    struct pf_http_parser parser; /* for messages that come whole */
};

/* ---- messages in pieces ----------------------------------------------------------------
 */

/* Keep a copy of the parser, and of the head that it speaks of, for the rest of a message.
 * NULL: no memory, and the connection is gone. */
static struct held *hold(pf_conn *conn, const struct pf_http_parser *parser,
                         const char *head, size_t head_len)
{
    pf_http_server *server = pf_conn_arg(conn);
    struct session *session = pf_conn_state(conn);
    struct held *held = malloc(sizeof *held + head_len);
    if (!held) {
        (void)pf_conn_abort(conn, -ENOMEM);
        return NULL;
    }
    held->parser = *parser;
    held->used = 0;
    held->body_len = 0;
    held->head_len = head_len;
    memcpy(held->head, head, head_len);
    LIST_INSERT_HEAD(&server->held, held, entry);
    session->held = held;
    return held;
}

static void let_go(struct held *held)
{
    LIST_REMOVE(held, entry);
    free(held);
}

static void let_go_of(pf_conn *conn)
{
    struct session *session = pf_conn_state(conn);
    if (session->held)
        let_go(session->held);
    session->held = NULL;
}

/* ---- answers ---------------------------------------------------------------------------
 */

static struct pf_http_request request_of(pf_conn *conn, const struct pf_http_parser *parser,
                                         const char *base)
{
    pf_http_server *server = pf_conn_arg(conn);
    pf__http_front_update(&server->front, pf_loop_now(server->loop));
    return (struct pf_http_request){.loop = server->loop,
                                    .conn = conn,
                                    .options = &server->options,
                                    .front = &server->front,
                                    .parser = parser,
                                    .base = base};
}

/* One answer and the end, however much of the request still comes. */
static void refuse(pf_conn *conn, const struct pf_http_parser *parser, int status)
{
    struct pf_http_request request = request_of(conn, parser, NULL);
    request.close = true;
    pf__http_request_refuse(&request, status, 0);
    (void)pf_conn_close(conn, true);
}

/* Answer a complete message; `is_last`: no byte of another one is known. */
static void answer(pf_conn *conn, const struct pf_http_parser *parser, const char *base,
                   bool is_last)
{
    pf_http_server *server = pf_conn_arg(conn);
    struct pf_http_request request = request_of(conn, parser, base);
    bool asked = !parser->keep_alive;
    request.close = asked || (server->draining && is_last);
    pf__http_request_dispatch(&request, server->routes);
    if (!request.answered)
        (void)pf_conn_abort(conn, -ENOBUFS); /* a gap would shift all answers behind it */
    else if (request.close) /* a client that did not ask may be sending the next request */
        (void)pf_conn_close(conn, !asked || !is_last);
}

/* ---- one message -----------------------------------------------------------------------
 */

/* Pass over what there is of a body. Returns PF_HTTP_MORE, PF_HTTP_DONE or -status. */
static int pass_body(const pf_http_server *server, struct pf_http_parser *parser,
                     const char *data, size_t len, size_t *used, uint64_t *body_len)
{
    struct pf_http_span span;
    int progress;
    while ((progress = pf__http_parser_run(parser, data, len, used, &span)) ==
           PF_HTTP_BODY) {
        *body_len += span.len;
        if (*body_len > server->options.body_max)
            return -413;
    }
    return progress;
}

/* Go on with the body of a message whose head is held. */
static size_t take_body(pf_conn *conn, struct held *held, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    size_t used = 0;
    int progress = pass_body(server, &held->parser, data, len, &used, &held->body_len);
    if (progress == PF_HTTP_MORE) {
        pf_conn_set_deadline(conn, DEADLINE_BODY);
        return used;
    }
    if (progress < 0)
        refuse(conn, &held->parser, -progress);
    else
        answer(conn, &held->parser, held->head, used == len);
    let_go_of(conn);
    return used;
}

/* The body goes on in later reads: put the head away. */
static void wait_for_body(pf_conn *conn, const struct pf_http_parser *parser,
                          const char *head, uint64_t body_len, bool has_begun)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    bool is_awaited = parser->expect_continue && !has_begun;
    struct held *held = hold(conn, parser, head, parser->head_len);
    if (!held)
        return;
    held->body_len = body_len;
    pf_conn_set_deadline(conn, DEADLINE_BODY);
    if (is_awaited && pf_conn_write(conn, go_on, sizeof go_on - 1) == -ENOMEM)
        (void)pf_conn_abort(conn, -ENOMEM);
}

/* A head is complete, in data[0..head_len): refuse it, or answer it, or wait. */
static size_t take_head(pf_conn *conn, struct pf_http_parser *parser, const char *data,
                        size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    size_t used = parser->head_len;
    uint64_t body_len = 0;
    int progress = PF_HTTP_DONE;
    if (parser->method == PF_HTTP_CONNECT)
        progress = -501;
    else if (parser->has_body && !parser->chunked &&
             parser->content_length > server->options.body_max)
        progress = -413;
    else if (parser->has_body)
        progress = pass_body(server, parser, data, len, &used, &body_len);
    if (progress < 0)
        refuse(conn, parser, -progress);
    else if (progress == PF_HTTP_DONE)
        answer(conn, parser, data, used == len);
    else
        wait_for_body(conn, parser, data, body_len, used > parser->head_len);
    return used;
}

/* The head goes on in later reads, `used` bytes of it are parsed. */
static void wait_for_head(pf_conn *conn, struct held *held, size_t used)
{
    pf_http_server *server = pf_conn_arg(conn);
    if (!held) {
        held = hold(conn, &server->parser, NULL, 0);
        if (!held)
            return;
        pf_conn_set_deadline(conn, DEADLINE_HEAD); /* for the whole of it */
    }
    held->used = used;
}

/* Take one message, or a part of it, off the input. Returns the bytes used up; 0 if the
 * head is incomplete. */
static size_t take_message(pf_conn *conn, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    struct held *held = ((struct session *)pf_conn_state(conn))->held;
    if (held && held->head_len > 0)
        return take_body(conn, held, data, len);
    struct pf_http_parser *parser = held ? &held->parser : &server->parser;
    struct pf_http_span body;
    size_t used = held ? held->used : 0;
    if (!held)
        pf__http_parser_start(parser, PF_HTTP_REQUEST, false);
    int progress = pf__http_parser_run(parser, data, len, &used, &body);
    if (progress == PF_HTTP_MORE) {
        wait_for_head(conn, held, used);
        return 0;
    }
    ((struct session *)pf_conn_state(conn))->held = NULL; /* take_head() may hold anew */
    if (progress < 0) {
        refuse(conn, parser, -progress);
        used = len;
    } else {
        used = take_head(conn, parser, data, len);
    }
    if (held)
        let_go(held);
    return used;
}

/* ---- connections -----------------------------------------------------------------------
 */

static bool may_go_on(pf_conn *conn)
{
    return pf_conn_get_state(conn) == PF_CONN_OPEN && !pf_conn_blocked(conn);
}

static size_t on_data(pf_conn *conn, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    const struct session *session = pf_conn_state(conn);
    size_t used = 0, taken = 1;
    server->serving++;
    while (taken > 0 && used < len && may_go_on(conn)) {
        taken = take_message(conn, data + used, len - used);
        used += taken;
    }
    server->serving--;
    if (!session->held)
        pf_conn_set_deadline(conn, DEADLINE_IDLE);
    return used;
}

static void on_deadline(pf_conn *conn)
{
    const struct session *session = pf_conn_state(conn);
    if (session->held)
        refuse(conn, &session->held->parser, 408);
    else
        (void)pf_conn_close(conn, false);
}

static void on_close(pf_conn *conn, int reason)
{
    (void)reason;
    let_go_of(conn);
}

/* on_eof is not needed: all that was complete is answered by then, and the default closes
 * when the answers are out. */
static const struct pf_conn_protocol protocol = {
    .name = "http/1.1",
    .state_size = sizeof(struct session),
    .on_data = on_data,
    .on_deadline = on_deadline,
    .on_close = on_close,
};

static void on_gone(pf_conns *conns, void *arg)
{
    (void)conns;
    pf_http_server *server = arg;
    const struct pf_http_observer *observer = server->options.observer;
    if (observer && observer->on_gone)
        observer->on_gone(server->options.observer_arg);
}

/* ---- the server ------------------------------------------------------------------------
 */

static bool is_valid(const struct pf_http_server_options *options)
{
    return options && options->head_timeout_ns >= 0 && options->idle_timeout_ns >= 0 &&
           options->body_timeout_ns >= 0;
}

static struct pf_http_server_options with_defaults(struct pf_http_server_options options)
{
    if (!options.head_timeout_ns)
        options.head_timeout_ns = PF_HTTP_HEAD_TIMEOUT_NS;
    if (!options.idle_timeout_ns)
        options.idle_timeout_ns = PF_HTTP_IDLE_TIMEOUT_NS;
    if (!options.body_timeout_ns)
        options.body_timeout_ns = PF_HTTP_BODY_TIMEOUT_NS;
    if (!options.body_max)
        options.body_max = PF_HTTP_BODY_MAX;
    return options;
}

static int new_conns(pf_http_server *server)
{
    struct pf_conns_options options = {
        .protocol = &protocol,
        .arg = server,
        /* Room for any one answer behind a full batch of others. */
        .output_max = PF_HTTP_RESPONSE_BODY_MAX + 2 * PF_CONN_BATCH_MAX,
        .timeouts_ns = {[DEADLINE_IDLE] = server->options.idle_timeout_ns,
                        [DEADLINE_HEAD] = server->options.head_timeout_ns,
                        [DEADLINE_BODY] = server->options.body_timeout_ns},
        .on_gone = on_gone,
    };
    return pf_conns_new(server->loop, &options, &server->conns);
}

int pf_http_server_new(pf_loop *loop, const struct pf_http_server_options *options,
                       pf_http_server **out)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    if (!is_valid(options) || !out)
        return -EINVAL;
    pf_http_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->options = with_defaults(*options);
    LIST_INIT(&server->held);
    pf__http_front_init(&server->front);
    err = pf__http_routes_new(options->routes, &server->routes);
    if (err)
        goto free_server;
    server->loop = pf_loop_ref(loop);
    err = new_conns(server);
    if (err)
        goto free_routes;
    *out = server;
    return 0;

free_routes:
    pf_loop_unref(server->loop);
    pf__http_routes_free(server->routes);
free_server:
    free(server);
    return err;
}

int pf_http_server_adopt(pf_http_server *server, int fd)
{
    pf_conn *conn;
    int err = pf_conn_open(server->conns, fd, &conn);
    if (!err)
        pf_conn_set_deadline(conn, DEADLINE_IDLE);
    return err;
}

static void say_goodbye(pf_conn *conn, void *arg)
{
    (void)arg;
    const struct session *session = pf_conn_state(conn);
    if (session->held || pf_conn_pending(conn) > 0)
        return;
    if (pf_conn_poll(conn) == 0) /* else it is answered, or begun, or gone */
        (void)pf_conn_close(conn, true);
}

int pf_http_server_drain(pf_http_server *server)
{
    int err = pf_loop_check(server->loop);
    if (err)
        return err;
    if (server->serving)
        return -EBUSY;
    server->draining = true;
    pf_conns_each(server->conns, say_goodbye, NULL);
    return 0;
}

size_t pf_http_server_connections(const pf_http_server *server)
{
    return pf_conns_count(server->conns);
}

void pf_http_server_free(pf_http_server *server)
{
    if (!server)
        return;
    pf_conns_free(server->conns);
    while (!LIST_EMPTY(&server->held)) /* in a child, where no connection's end was told */
        let_go(LIST_FIRST(&server->held));
    pf__http_routes_free(server->routes);
    pf_loop_unref(server->loop);
    free(server);
}
