/*
 * server.c - the HTTP/1.1 server of one lane; see server.h.
 *
 * Reading order: on_data() takes one message after the other from the bytes at hand;
 * take_message() is the life of one; answer() says what it gets.
 *
 * A connection between messages owns nothing but its client below. A head is parsed where
 * the connection keeps its bytes; they are used up together with the message, or, when its
 * body goes on in a later read, against a copy of the head. Bodies are counted and dropped.
 *
 * Three deadlines, one at a time: IDLE between messages, HEAD from the first byte of a head
 * to its last, BODY from any byte of a body to the next.
 *
 * Invariant: whenever framing is in doubt there is one error answer, behind those of the
 * good requests before it, and nothing more is parsed on that connection.
 */
#include "http/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Deadline classes of our connections. */
enum {
    IDLE,
    HEAD,
    BODY,
    LAME, /* idle in a drain */
};

/* Behind each connection. */
struct client {
    struct pf__http_message *unfinished; /* goes on in a later read; NULL: none */
};
_Static_assert(sizeof(struct client) <= 32, "an idle connection is to cost little");

/* ---- messages that go on in a later read ----------------------------------------- */

static struct pf__http_message *begin_message(pf_http_server *server)
{
    struct pf__http_message *message = &server->scratch;
    pf__http_parser_start(&message->parser, PF_HTTP_REQUEST, false);
    message->head_done = false;
    message->used = 0;
    message->body_len = 0;
    return message;
}

static struct pf__http_message *copy_to_heap(pf_http_server *server)
{
    struct pf__http_message *message = malloc(sizeof *message);
    if (!message)
        return NULL;
    *message = server->scratch;
    message->prev = NULL;
    message->next = server->unfinished;
    if (message->next)
        message->next->prev = message;
    server->unfinished = message;
    return message;
}

static char *memdup(const char *bytes, size_t len)
{
    char *copy = malloc(len);
    return copy ? memcpy(copy, bytes, len) : NULL;
}

/* The server's own message is not on the heap: nothing to do. */
static void drop_message(pf_http_server *server, struct pf__http_message *message)
{
    if (!message || message == &server->scratch)
        return;
    *(message->prev ? &message->prev->next : &server->unfinished) = message->next;
    if (message->next)
        message->next->prev = message->prev;
    free(message->head);
    free(message);
}

/* ---- ends ------------------------------------------------------------------------ */

/* Queue the answer of an error and close, without losing the answer to a reset. */
static void refuse(pf_conn *conn, int status)
{
    struct pf_http_request request = {
        .server = pf_conn_arg(conn), .conn = conn, .closing = true};
    int err = pf__http_answer_status(&request, status, NULL);
    if (err)
        pf_conn_abort(conn, err);
    else
        pf_conn_close(conn, true);
}

/* ---- the answer ------------------------------------------------------------------ */

static int call_handler(struct pf_http_request *request, const struct pf_http_route *route)
{
    int err = route->handler(request, route->arg);
    if (pf_loop_check(request->server->loop) == -ECHILD)
        return -ECHILD; /* it has forked, and this is the child: the parent answers */
    if (err >= 0 && !request->answered)
        err = -ENODATA;
    if (err >= 0)
        return 0;
    if (err != -EPIPE) /* a client that is gone is no news */
        pf_log(PF_LOG_ERROR, "http-handler-failed",
               "method=%s path=%s error=%s answered=%d", route->method, route->path,
               strerror(-err), request->answered);
    return request->answered ? 0 : pf__http_answer_status(request, 500, NULL);
}

static int answer(struct pf_http_request *request)
{
    const struct pf_http_parser *parser = request->parser;
    const struct pf__http_routes *routes = request->server->routes;
    enum pf_http_method method = parser->method;
    if (method == PF_HTTP_METHOD_OTHER)
        return pf__http_answer_status(request, 501, NULL);
    if (method == PF_HTTP_OPTIONS && parser->path.len == 0) /* of the server as a whole */
        return pf__http_answer_status(request, 204, routes->allow);

    size_t len;
    const char *text = pf_http_get_path(request, &len);
    const struct pf__http_path *path = pf__http_routes_find(routes, text, len);
    if (method == PF_HTTP_CONNECT || method == PF_HTTP_TRACE)
        return pf__http_answer_status(request, 405, path ? path->allow : routes->allow);
    if (!path)
        return pf__http_answer_status(request, 404, NULL);
    if (path->by_method[method])
        return call_handler(request, path->by_method[method]);
    return pf__http_answer_status(request, method == PF_HTTP_OPTIONS ? 204 : 405,
                                  path->allow);
}

/* `rest`: bytes that stand behind the request. */
static void answer_message(pf_conn *conn, const struct pf__http_message *message,
                           const char *head, size_t rest)
{
    pf_http_server *server = pf_conn_arg(conn);
    const struct pf_http_parser *parser = &message->parser;
    struct pf_http_request request = {
        .server = server, .conn = conn, .parser = parser, .head = head};
    /* What follows a CONNECT may be meant for the other end of a tunnel. */
    request.closing = (server->draining && rest == 0) || !parser->keep_alive ||
                      parser->method == PF_HTTP_CONNECT;
    int err = answer(&request);
    if (err)
        pf_conn_abort(conn, err);
    else if (request.closing)
        /* Bytes left unread, or on their way from a client that was not told yet, would
         * reset the connection and with it the answer. */
        pf_conn_close(conn, rest > 0 || parser->keep_alive);
}

/* ---- one message ----------------------------------------------------------------- */

/* The head is complete: may the body come? Returns 0, or -status. */
static int accept_head(pf_conn *conn, const struct pf__http_message *message, size_t rest)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const pf_http_server *server = pf_conn_arg(conn);
    const struct pf_http_parser *parser = &message->parser;
    if (!parser->has_body)
        return 0;
    if (!parser->chunked && parser->content_length > server->body_max)
        return -413;
    if (parser->expect_continue && rest == 0)
        return pf_conn_write(conn, go_on, sizeof go_on - 1) == 0 ? 0 : -503;
    return 0;
}

/* Parse on. Returns PF_HTTP_MORE, PF_HTTP_DONE or -status. */
static int read_message(pf_conn *conn, struct pf__http_message *message, const char *data,
                        size_t len)
{
    const pf_http_server *server = pf_conn_arg(conn);
    for (;;) {
        struct pf_http_span body;
        int progress =
            pf__http_parser_run(&message->parser, data, len, &message->used, &body);
        if (progress == PF_HTTP_HEAD_DONE) {
            message->head_done = true;
            progress = accept_head(conn, message, len - message->used);
        } else if (progress == PF_HTTP_BODY) {
            message->body_len += body.len;
            progress = message->body_len > server->body_max ? -413 : 0;
        } else {
            return progress;
        }
        if (progress < 0)
            return progress;
    }
}

/* The message goes on in a later read. Until its head is complete the connection keeps the
 * bytes; then they are used up, and the message keeps the head. False: no memory. */
static bool keep_message(pf_conn *conn, const char *data)
{
    struct client *client = pf_conn_state(conn);
    if (!client->unfinished) {
        client->unfinished = copy_to_heap(pf_conn_arg(conn));
        if (!client->unfinished)
            return false;
        pf_conn_set_deadline(conn, HEAD);
    }
    struct pf__http_message *message = client->unfinished;
    if (!message->head_done)
        return true;
    if (!message->head)
        message->head = memdup(data, message->parser.head_len);
    if (!message->head)
        return false;
    message->used = 0;
    pf_conn_set_deadline(conn, BODY);
    return true;
}

/* Take one message, or as much of it as came. Returns how many bytes are used up; 0: more
 * must come, or none will be taken. */
static size_t take_message(pf_conn *conn, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    struct client *client = pf_conn_state(conn);
    struct pf__http_message *message =
        client->unfinished ? client->unfinished : begin_message(server);
    int progress = read_message(conn, message, data, len);
    if (progress == PF_HTTP_MORE && keep_message(conn, data))
        return message->head_done ? len : 0;
    if (progress == PF_HTTP_MORE) {
        refuse(conn, 503);
        return 0;
    }
    client->unfinished = NULL; /* ours, to its end */
    size_t used = message->used;
    if (progress < 0)
        refuse(conn, -progress);
    else
        answer_message(conn, message, message->head ? message->head : data, len - used);
    drop_message(server, message);
    return used;
}

/* ---- a connection ---------------------------------------------------------------- */

static bool may_go_on(pf_conn *conn)
{
    const pf_http_server *server = pf_conn_arg(conn);
    return pf_conn_get_state(conn) == PF_CONN_OPEN && !pf_conn_blocked(conn) &&
           pf_loop_check(server->loop) == 0; /* a handler may have forked */
}

static size_t on_data(pf_conn *conn, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    const struct client *client = pf_conn_state(conn);
    size_t at = 0, used = 1;
    pf__http_date_refresh(&server->date);
    while (at < len && used > 0 && may_go_on(conn)) {
        used = take_message(conn, data + at, len - at);
        at += used;
    }
    if (!client->unfinished)
        pf_conn_set_deadline(conn, IDLE);
    return at;
}

/* All complete requests are answered by now; half of one gets no answer. */
static void on_eof(pf_conn *conn)
{
    pf_conn_close(conn, false);
}

static void on_deadline(pf_conn *conn)
{
    pf_http_server *server = pf_conn_arg(conn);
    const struct client *client = pf_conn_state(conn);
    if (!client->unfinished) {
        pf_conn_close(conn, false);
        return;
    }
    pf__http_date_refresh(&server->date);
    refuse(conn, 408);
}

static void on_close(pf_conn *conn, int reason)
{
    (void)reason;
    struct client *client = pf_conn_state(conn);
    drop_message(pf_conn_arg(conn), client->unfinished);
}

static void on_gone(pf_conns *conns, int fd, void *arg)
{
    (void)conns;
    const pf_http_server *server = arg;
    if (server->observer.on_gone)
        server->observer.on_gone(server->observer_arg, fd);
}

static const struct pf_conn_protocol protocol = {
    .name = "http",
    .state_size = sizeof(struct client),
    .on_data = on_data,
    .on_eof = on_eof,
    .on_deadline = on_deadline,
    .on_close = on_close,
};

/* ---- life ------------------------------------------------------------------------ */

static int64_t or_default(int64_t value, int64_t other)
{
    return value > 0 ? value : other;
}

int pf_http_server_new(pf_loop *loop, const struct pf_http_server_options *options,
                       pf_http_server **out)
{
    int err = pf_loop_check(loop); /* before anything is allocated: rule of the fork */
    if (err)
        return err;
    if (!options || !options->routes || !out)
        return -EINVAL;
    pf_http_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->body_max = options->body_max ? options->body_max : PF_HTTP_BODY_MAX;
    server->observer_arg = options->observer_arg;
    if (options->observer)
        server->observer = *options->observer;
    pf__http_date_refresh(&server->date);

    err = pf__http_routes_new(options->routes, &server->routes);
    if (err)
        goto free_server;
    struct pf_conns_options conns = {
        .protocol = &protocol,
        .arg = server,
        /* Answering stops while output is blocked, so no more than a batch stands before.
         */
        .output_max = PF_HTTP_RESPONSE_BODY_MAX + PF__HTTP_HEAD_MAX + PF_CONN_BATCH_MAX,
        .timeouts_ns =
            {[IDLE] = or_default(options->idle_timeout_ns, PF_HTTP_IDLE_TIMEOUT_NS),
             [HEAD] = or_default(options->head_timeout_ns, PF_HTTP_HEAD_TIMEOUT_NS),
             [BODY] = or_default(options->body_timeout_ns, PF_HTTP_BODY_TIMEOUT_NS),
             [LAME] = PF_HTTP_LAME_NS},
        .on_gone = on_gone,
    };
    err = pf_conns_new(loop, &conns, &server->conns);
    if (err)
        goto free_routes;
    *out = server;
    return 0;

free_routes:
    free(server->routes);
free_server:
    free(server);
    return err;
}

int pf_http_server_adopt(pf_http_server *server, int fd)
{
    pf_conn *conn;
    int err = pf_conn_open(server->conns, fd, &conn);
    if (!err)
        pf_conn_set_deadline(conn, HEAD); /* one that says nothing is not idle yet */
    return err;
}

/* A request that was begun, or stands behind answers that the client does not take yet, is
 * answered, and its answer closes. */
static void drain_one(pf_conn *conn, void *arg)
{
    (void)arg;
    const struct client *client = pf_conn_state(conn);
    if (client->unfinished || pf_conn_pending(conn) > 0)
        return;
    if (pf_conn_blocked(conn))
        pf_conn_close(conn, true);
    else if (pf_conn_poll(conn) == 0) /* the next request may be on its way */
        pf_conn_set_deadline(conn, LAME);
}

int pf_http_server_drain(pf_http_server *server)
{
    int err = pf_loop_check(server->loop);
    if (err)
        return err;
    server->draining = true;
    pf_conns_each(server->conns, drain_one, NULL);
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
    pf_conns_free(server->refused);
    while (server->unfinished) /* in a child, where no connection was told */
        drop_message(server, server->unfinished);
    free(server->routes);
    free(server);
}
