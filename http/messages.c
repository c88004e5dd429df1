/*
 * messages.c - what comes on a connection, taken as messages; see internal.h.
 *
 * Reading order: on_data() takes one message after the other from the bytes at hand;
 * take_message() is the life of one as far as it is read here.
 *
 * A connection between requests owns nothing but its client (internal.h). A head is parsed
 * where the connection keeps its bytes; they are used up together with the message, or,
 * when that goes on later, against a copy of the head.
 *
 * Three deadlines, one at a time: IDLE between messages, HEAD from the first byte of a head
 * to its last, BODY from any byte of a body to the next. While the application has the
 * request there is none: its time is its own.
 */
#include "http/internal.h"

#include "net/proxy.h"

#include <errno.h>

/* ---- one message ----------------------------------------------------------------- */

/* Nobody wants more of it: answered early, or its connection is gone. */
static bool is_over(const pf_http_request *request)
{
    return request->stage == PF__HTTP_FINISHED || !request->conn;
}

int pf__http_go_on(pf_http_request *request)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!request->continue_due || request->head_sent)
        return 0;
    request->continue_due = false;
    return pf_conn_write(request->conn, go_on, sizeof go_on - 1);
}

/* The head is complete. Whoever need not see the body first is asked now: middleware that
 * wants to be, a route that streams it, or nobody, for a client that waits to be told
 * whether to send it. Returns 0 or -status. */
static int take_head(pf_http_request *request, size_t rest)
{
    const struct pf_http_parser *parser = &request->parser;
    request->head_done = true;
    pf__http_route_request(request);
    int status = pf__http_admit_body(request);
    if (status < 0)
        return status;
    bool waits = parser->expect_continue && parser->has_body && rest == 0;
    bool streams = request->route && (request->route->flags & PF_HTTP_STREAM);
    if (parser->has_body) {
        pf__http_ask_for_body(request);
        if (is_over(request))
            return 0;
        request->body_began_ns = pf_loop_now(request->server->loop);
    }
    if (streams && pf__http_request_keep(request) != 0)
        return -503;
    if (streams || (waits && !request->route))
        pf__http_dispatch(request);
    request->continue_due = waits;
    if (is_over(request) || request->body_paused)
        return 0;
    return pf__http_go_on(request) == 0 ? 0 : -503;
}

/* Parse on. Returns PF_HTTP_MORE, PF_HTTP_DONE or -status. */
static int read_message(pf_http_request *request, const char *data, size_t len)
{
    for (;;) {
        struct pf_http_span body;
        int progress =
            pf__http_parser_run(&request->parser, data, len, &request->used, &body);
        if (progress == PF_HTTP_HEAD_DONE)
            progress = take_head(request, len - request->used);
        else if (progress == PF_HTTP_BODY)
            progress = pf__http_body_piece(request, data + body.at, body.len);
        else
            return progress;
        if (progress < 0)
            return progress;
        if (is_over(request) || request->body_paused)
            return PF_HTTP_MORE;
        if (!request->parser.has_body)
            return PF_HTTP_DONE;
    }
}

/* Has the body come too slowly so far? */
static bool is_too_slow(const pf_http_request *request)
{
    int64_t took = pf_loop_now(request->server->loop) - request->body_began_ns;
    if (!request->head_done || request->body_paused || took < PF_HTTP_BODY_GRACE_NS)
        return false;
    return request->body_len < (uint64_t)(took / PF_SECOND) * PF_HTTP_BODY_RATE;
}

/* The message goes on in a later read. Until its head is complete the connection keeps the
 * bytes; then they are used up, but for those behind a pause, and the request keeps the
 * head. Returns how many bytes are used up, or -status. */
static int keep_message(pf_http_request *request, size_t len)
{
    if (!request->head_done)
        return 0;
    if (is_too_slow(request))
        return -408;
    if (pf__http_request_keep(request) != 0)
        return -503;
    int used = (int)(request->body_paused ? request->used : len); /* of one read */
    request->used = 0;
    if (!request->body_paused)
        pf_conn_set_deadline(request->conn, PF__HTTP_BODY);
    return used;
}

static void complete_message(pf_http_request *request, size_t rest)
{
    request->rest = rest;
    request->body_ended = true;
    if (request->stage == PF__HTTP_READING)
        pf__http_dispatch(request);
    else
        pf__http_body_end(request);
}

static pf_http_request *begin_request(pf_conn *conn, struct pf__http_client *client)
{
    client->request = pf__http_request_new(pf_conn_arg(conn), conn);
    if (!client->request)
        return NULL;
    client->request->number = ++client->requests;
    return client->request;
}

/* Take one message, or as much of it as came. Returns how many bytes are used up; 0: more
 * must come, or none will be taken. */
static size_t take_message(pf_conn *conn, struct pf__http_client *client, const char *data,
                           size_t len)
{
    pf_http_request *request = client->request;
    bool is_new = !request;
    if (is_new)
        request = begin_request(conn, client);
    if (!request) {
        pf__http_refuse_message(conn, 503);
        return 0;
    }
    if (!request->head_copy)
        request->head = data;
    pf__http_enter(request);
    int progress = read_message(request, data, len);
    size_t used = request->used;
    if (progress == PF_HTTP_MORE && !is_over(request)) {
        int kept = keep_message(request, len);
        used = kept > 0 ? (size_t)kept : 0;
        progress = kept < 0 ? kept : progress;
        if (is_new && !request->head_done)
            pf_conn_set_deadline(conn, PF__HTTP_HEAD);
    }
    if (progress == PF_HTTP_DONE)
        complete_message(request, len - used);
    bool inherited = pf__http_is_inherited(request->server);
    if (!pf__http_leave(request))
        return used;
    if (!request->conn && request->stage == PF__HTTP_READING)
        pf__http_request_free(request); /* it broke over a 100 */
    else if (progress < 0 && request->conn && !inherited)
        pf__http_refuse_message(conn, -progress);
    return used;
}

/* ---- a connection ---------------------------------------------------------------- */

static bool may_go_on(const pf_conn *conn, const struct pf__http_client *client,
                      const pf_http_server *server)
{
    const pf_http_request *request = client->request;
    bool waits = request && request->stage != PF__HTTP_READING &&
                 (request->body_ended || request->body_paused);
    return !waits && pf_conn_get_state(conn) == PF_CONN_OPEN && !pf_conn_blocked(conn) &&
           !pf__http_is_inherited(server); /* a handler may have forked */
}

/* No more will come; `rest` bytes stand. Those behind a request are for later if the client
 * does not take the answers, or the application has a request. Half of one gets no answer.
 */
static void take_end(pf_conn *conn, size_t rest)
{
    const pf_http_request *request = pf__http_client_of(conn)->request;
    bool is_read = request && request->stage != PF__HTTP_READING;
    if ((is_read && (request->body_ended || request->body_paused)) ||
        (rest > 0 && !request && !pf__http_client_of(conn)->awaits_proxy))
        return;
    if (is_read)
        (void)pf_conn_abort(conn, -ECONNRESET);
    else
        (void)pf_conn_close(conn, false);
}

/* Its end may be known without another byte, and have waited for a pause to end. */
static bool is_in_body(const struct pf__http_client *client)
{
    const pf_http_request *request = client->request;
    return request && request->head_done && !request->body_ended;
}

/* Returns its length; 0: more must come, or the connection ends. */
static size_t take_proxy_header(pf_conn *conn, const char *data, size_t len)
{
    struct pf__http_client *client = pf__http_client_of(conn);
    struct pf_proxy proxy;
    int used = pf__proxy_parse(data, len, &proxy);
    if (used < 0)
        (void)pf_conn_close(conn, false);
    if (used <= 0)
        return 0;
    client->awaits_proxy = false;
    if (proxy.is_known)
        pf__http_note_peer(client, (const struct sockaddr *)&proxy.source.storage);
    return (size_t)used;
}

/* Once for all the requests of one read. */
static void look_at_clocks(pf_http_server *server)
{
    server->now_ns = pf_loop_now(server->loop);
    pf__http_date_keep(&server->date, server->now_ns);
}

static size_t on_data(pf_conn *conn, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    struct pf__http_client *client = pf__http_client_of(conn);
    size_t at = 0;
    bool goes_on = true;
    if (client->awaits_proxy) {
        at = take_proxy_header(conn, data, len);
        if (at == 0 || at == len)
            return at; /* no request has begun: the same deadline */
    }
    look_at_clocks(server);
    while (goes_on && (at < len || is_in_body(client)) && may_go_on(conn, client, server)) {
        bool was_in_body = is_in_body(client);
        size_t used = take_message(conn, client, data + at, len - at);
        at += used;
        goes_on = used > 0 || (was_in_body && !is_in_body(client));
    }
    const pf_http_request *request = client->request;
    if (!request)
        pf__http_wait_for_next(conn);
    else if (request->stage != PF__HTTP_READING && request->body_ended)
        pf_conn_clear_deadline(conn);
    if (client->half_closed)
        take_end(conn, len - at);
    return at;
}

static void on_eof(pf_conn *conn)
{
    pf_http_request *request = pf__http_client_of(conn)->request;
    pf__http_client_of(conn)->half_closed = true;
    if (request && (request->body_ended || request->body_paused))
        pf__http_tell_gone(request, 0);
    take_end(conn, pf_conn_pending(conn));
}

static void on_drained(pf_conn *conn)
{
    pf_http_request *request = pf__http_client_of(conn)->request;
    if (request)
        pf__http_tell_writable(request);
}

static void on_deadline(pf_conn *conn)
{
    pf_http_server *server = pf_conn_arg(conn);
    pf_http_request *request = pf__http_client_of(conn)->request;
    if (!request) {
        (void)pf_conn_close(conn, false);
        return;
    }
    look_at_clocks(server);
    if (!request->head_done) /* its bytes may be anywhere by now */
        pf__http_parser_start(&request->parser, PF_HTTP_REQUEST, false);
    pf__http_refuse_message(conn, 408);
}

static void on_close(pf_conn *conn, int reason)
{
    pf_http_request *request = pf__http_client_of(conn)->request;
    if (!request)
        return;
    if (request->stage == PF__HTTP_READING && !request->running) {
        pf__http_request_free(request);
        return;
    }
    pf__http_detach(request, reason ? reason : -EPIPE);
}

const struct pf_conn_protocol pf__http_protocol = {
    .name = "http",
    .state_size = sizeof(struct pf__http_client),
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_close = on_close,
};
