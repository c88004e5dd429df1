/*
 * server.c - the HTTP/1.1 server of one lane; see server.h.
 *
 * Reading order: on_data() takes one message after the other from the bytes at hand;
 * take_message() is the life of one as far as it is read here; pf__http_request_end() is
 * what follows when it has been answered.
 *
 * A connection between requests owns nothing but its client (internal.h). A head is parsed
 * where the connection keeps its bytes; they are used up together with the message, or,
 * when that goes on later, against a copy of the head.
 *
 * Three deadlines, one at a time: IDLE between messages, HEAD from the first byte of a head
 * to its last, BODY from any byte of a body to the next. While the application has the
 * request there is none: its time is its own.
 *
 * Invariant: whenever framing is in doubt there is one error answer, behind those of the
 * good requests before it, and nothing more is parsed on that connection.
 */
#include "http/internal.h"

#include "http/clear.h"
#include "net/proxy.h"

#include <prefork/log.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct pf__http_client) <= 48,
               "an idle connection is to cost little");

static struct pf__http_client *client_of(pf_conn *conn)
{
    return pf_conn_state(conn);
}

/* ---- requests -------------------------------------------------------------------- */

static void enlist(pf_http_server *server, pf_http_request *request)
{
    request->prev = NULL;
    request->next = server->living;
    if (server->living)
        server->living->prev = request;
    server->living = request;
}

static void delist(pf_http_server *server, pf_http_request *request)
{
    *(request->prev ? &request->prev->next : &server->living) = request->next;
    if (request->next)
        request->next->prev = request->prev;
}

static pf_http_request *take_free(pf_http_server *server)
{
    pf_http_request *request = server->free;
    if (!request)
        return calloc(1, sizeof *request);
    server->free = request->next;
    server->free_count--;
    return request;
}

/* What lies behind needs no clearing, and the buffer of the response's fields stays. */
static pf_http_request *new_request(pf_http_server *server, pf_conn *conn)
{
    pf_http_request *request = take_free(server);
    if (!request)
        return NULL;
    char *fields = request->fields;
    size_t fields_room = request->fields_room;
    pf__clear(request, offsetof(pf_http_request, parser.fields));
    request->captures.count = 0;
    request->server = server;
    request->conn = conn;
    request->client = client_of(conn);
    request->fields = fields;
    request->fields_room = fields_room;
    request->length = UINT64_MAX;
    request->began_ns = server->now_ns;
    pf__http_parser_init(&request->parser, PF_HTTP_REQUEST, false);
    enlist(server, request);
    return request;
}

static void destroy(pf_http_request *request)
{
    free(request->fields);
    free(request);
}

static void free_request(pf_http_request *request)
{
    pf_http_server *server = request->server;
    delist(server, request);
    if (request->is_soon)
        (void)pf_loop_remove_timeout(server->loop, request->soon);
    free(request->head_copy);
    free(request->body_copy);
    server->bodies -= request->body_held;
    pf__http_deferred_drop(request->deferred);
    if (server->free_count >= PF_HTTP_FREE_MAX) {
        destroy(request);
        return;
    }
    request->next = server->free;
    server->free = request;
    server->free_count++;
}

static char *memdup(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    return copy && len ? memcpy(copy, bytes, len) : copy;
}

int pf__http_request_keep(pf_http_request *request)
{
    pf__http_note_remote(request); /* its connection may go */
    if (!request->head_copy) {
        request->head_copy = memdup(request->head, request->parser.head_len);
        if (!request->head_copy)
            return -ENOMEM;
        for (size_t i = 0; i < request->captures.count; i++)
            if (request->captures.at[i].at)
                request->captures.at[i].at =
                    request->head_copy + (request->captures.at[i].at - request->head);
        request->head = request->head_copy;
    }
    if (request->body && !request->body_copy) {
        if (!pf__http_body_hold(request, (size_t)request->body_len))
            return -ENOMEM;
        request->body =
            memcpy(request->body_copy, request->body, (size_t)request->body_len);
    }
    return 0;
}

/* Bytes left unread, or on their way from a client that was not told yet, would reset the
 * connection and with it the answer. */
static bool must_linger(const pf_http_request *request)
{
    return request->rest > 0 || !request->body_ended || request->parser.keep_alive;
}

/* Finished later, and nothing will come behind it: the end was told when its head was out
 * already. */
static bool is_last(const pf_http_request *request)
{
    return request->later && request->client->half_closed &&
           pf_conn_pending(request->conn) == 0;
}

/* In a drain not for long: its next request may be on its way. */
static void wait_for_next(pf_conn *conn)
{
    const pf_http_server *server = pf_conn_arg(conn);
    pf_conn_set_deadline(conn, server->draining ? PF__HTTP_LAME : PF__HTTP_IDLE);
}

/* If the end of the connection is that of the body, only a reset says that this was not
 * all. */
static void cut(pf_conn *conn, const pf_http_request *request)
{
    if (pf__http_ends_by_closing(request))
        (void)pf_conn_reset(conn, -EPROTO);
    else
        (void)pf_conn_abort(conn, -EPROTO);
}

void pf__http_request_end(pf_http_request *request)
{
    pf_conn *conn = request->conn;
    if (conn) {
        request->client->request = NULL;
        if (request->must_cut) {
            cut(conn, request);
        } else if (request->closing || is_last(request)) {
            (void)pf_conn_close(conn, must_linger(request));
        } else if (request->later) {
            wait_for_next(conn);
            pf_conn_go_on(conn, false);
        }
    }
    free_request(request);
}

/* ---- ends ------------------------------------------------------------------------ */

static int request_on_soon(pf_loop *loop, void *arg)
{
    (void)loop;
    pf_http_request *request = arg;
    request->is_soon = false;
    pf__http_tell_gone(request, request->gone_due);
    return 0;
}

/* The application keeps it, without its connection. If that broke inside a call, the
 * application is told behind it, in the next turn; without memory it has only what that
 * call answers. */
static void detach(pf_http_request *request, int reason)
{
    request->client->request = NULL;
    request->conn = NULL;
    if (request->running == 0) {
        pf__http_tell_gone(request, reason);
    } else if (request->stage == PF__HTTP_DISPATCHED && !request->is_soon) {
        request->gone_due = reason;
        request->is_soon = pf_loop_call_later(request->server->loop, 0, request_on_soon,
                                              request, &request->soon) == 0;
    }
}

/* Answer with an error and close, without losing the answer to a reset. What has been read
 * so far is nothing; a request that the application has loses its connection. */
static void refuse(pf_conn *conn, int status)
{
    struct pf__http_client *client = client_of(conn);
    pf_http_request *request = client->request;
    if (request && request->stage != PF__HTTP_READING) {
        bool begun = request->head_sent;
        detach(request, -EBADMSG);
        request = NULL;
        if (begun) {
            (void)pf_conn_abort(conn, -EBADMSG); /* in the midst of a response */
            return;
        }
    }
    if (!request)
        request = client->request = new_request(pf_conn_arg(conn), conn);
    if (!request) {
        (void)pf_conn_abort(conn, -ENOMEM);
        return;
    }
    request->closing = true;
    pf__http_enter(request);
    int err = pf__http_answer_status(request, status, NULL);
    if (err && request->conn)
        (void)pf_conn_abort(conn, err);
    request->stage = PF__HTTP_FINISHED;
    (void)pf__http_leave(request);
}

void pf__http_request_lose(pf_http_request *request)
{
    pf_conn *conn = request->conn;
    bool begun = request->head_sent;
    if (!request->head_copy) { /* what it speaks of is about to go */
        pf__http_parser_start(&request->parser, PF_HTTP_REQUEST, false);
        request->head_done = false;
        request->head = "";
        request->captures.count = 0;
    }
    request->body = NULL;
    request->body_len = 0;
    if (!conn)
        return;
    detach(request, -ENOMEM);
    if (begun)
        (void)pf_conn_abort(conn, -ENOMEM);
    else
        refuse(conn, 503);
}

/* ---- reading --------------------------------------------------------------------- */

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
    client->request = new_request(pf_conn_arg(conn), conn);
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
        refuse(conn, 503);
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
        free_request(request); /* it broke over a 100 */
    else if (progress < 0 && request->conn && !inherited)
        refuse(conn, -progress);
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
    const pf_http_request *request = client_of(conn)->request;
    bool is_read = request && request->stage != PF__HTTP_READING;
    if ((is_read && (request->body_ended || request->body_paused)) ||
        (rest > 0 && !request && !client_of(conn)->awaits_proxy))
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

/* As little of it as is asked for later. */
static void note_peer(struct pf__http_client *client, const struct sockaddr *peer)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    client->family = (uint8_t)peer->sa_family;
    client->port = 0;
    if (peer->sa_family == AF_INET) {
        memcpy(&in, peer, sizeof in);
        memcpy(client->address, &in.sin_addr, sizeof in.sin_addr);
        client->port = ntohs(in.sin_port);
    } else if (peer->sa_family == AF_INET6) {
        memcpy(&in6, peer, sizeof in6);
        memcpy(client->address, &in6.sin6_addr, sizeof in6.sin6_addr);
        client->port = ntohs(in6.sin6_port);
    }
}

/* Returns its length; 0: more must come, or the connection ends. */
static size_t take_proxy_header(pf_conn *conn, const char *data, size_t len)
{
    struct pf__http_client *client = client_of(conn);
    struct pf_proxy proxy;
    int used = pf__proxy_parse(data, len, &proxy);
    if (used < 0)
        (void)pf_conn_close(conn, false);
    if (used <= 0)
        return 0;
    client->awaits_proxy = false;
    if (proxy.is_known)
        note_peer(client, (const struct sockaddr *)&proxy.source.storage);
    return (size_t)used;
}

/* Once for all the requests of one read; the calendar once for all reads of one turn. */
static void look_at_clocks(pf_http_server *server)
{
    int64_t now = pf_loop_now(server->loop);
    if (now != server->now_ns)
        pf__http_date_refresh(&server->date);
    server->now_ns = now;
}

static size_t on_data(pf_conn *conn, const char *data, size_t len)
{
    pf_http_server *server = pf_conn_arg(conn);
    struct pf__http_client *client = client_of(conn);
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
        wait_for_next(conn);
    else if (request->stage != PF__HTTP_READING && request->body_ended)
        pf_conn_clear_deadline(conn);
    if (client->half_closed)
        take_end(conn, len - at);
    return at;
}

static void on_eof(pf_conn *conn)
{
    pf_http_request *request = client_of(conn)->request;
    client_of(conn)->half_closed = true;
    if (request && (request->body_ended || request->body_paused))
        pf__http_tell_gone(request, 0);
    take_end(conn, pf_conn_pending(conn));
}

static void on_drained(pf_conn *conn)
{
    pf_http_request *request = client_of(conn)->request;
    if (!request || !request->on_writable)
        return;
    pf_http_writable_fn *fn = request->on_writable;
    request->on_writable = NULL;
    pf__http_enter(request);
    fn(request, request->on_writable_arg);
    (void)pf__http_leave(request);
}

static void on_deadline(pf_conn *conn)
{
    pf_http_server *server = pf_conn_arg(conn);
    if (!client_of(conn)->request) {
        (void)pf_conn_close(conn, false);
        return;
    }
    look_at_clocks(server);
    if (!client_of(conn)->request->head_done) /* its bytes may be anywhere by now */
        pf__http_parser_start(&client_of(conn)->request->parser, PF_HTTP_REQUEST, false);
    refuse(conn, 408);
}

static void on_close(pf_conn *conn, int reason)
{
    pf_http_request *request = client_of(conn)->request;
    if (!request)
        return;
    if (request->stage == PF__HTTP_READING && !request->running) {
        free_request(request);
        return;
    }
    detach(request, reason ? reason : -EPIPE);
}

static void on_gone(pf_conns *conns, int fd, void *arg)
{
    (void)conns;
    const pf_http_server *server = arg;
    const struct pf_http_observer *observer = server->options.observer;
    if (observer && observer->on_gone)
        observer->on_gone(server->options.observer_arg, fd);
}

static const struct pf_conn_protocol protocol = {
    .name = "http",
    .state_size = sizeof(struct pf__http_client),
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_close = on_close,
};

/* ---- the server ------------------------------------------------------------------ */

static int64_t or_default(int64_t value, int64_t standard)
{
    return value ? value : standard;
}

static void fill_in(pf_http_server *server, const struct pf_http_server_options *options)
{
    server->options = *options;
    server->options.body_max = options->body_max ? options->body_max : PF_HTTP_BODY_MAX;
    server->options.bodies_max =
        options->bodies_max ? options->bodies_max : PF_HTTP_BODIES_MAX;
    const struct pf_http_middleware *m = options->middleware;
    for (; m && (m->before || m->after || m->before_body); m++) {
        server->middleware_count++;
        server->asks_for_bodies = server->asks_for_bodies || m->before_body;
    }
}

static int make_conns(pf_http_server *server)
{
    const struct pf_http_server_options *options = &server->options;
    struct pf_conns_options conns = {
        .protocol = &protocol,
        .arg = server,
        /* Answering stops while output is blocked, so no more than a batch stands before.
         */
        .output_max = PF_HTTP_RESPONSE_BODY_MAX + PF__HTTP_HEAD_MAX +
                      PF_HTTP_RESPONSE_HEAD_MAX + PF_CONN_BATCH_MAX,
        .timeouts_ns = {[PF__HTTP_IDLE] =
                            or_default(options->idle_timeout_ns, PF_HTTP_IDLE_TIMEOUT_NS),
                        [PF__HTTP_HEAD] =
                            or_default(options->head_timeout_ns, PF_HTTP_HEAD_TIMEOUT_NS),
                        [PF__HTTP_BODY] =
                            or_default(options->body_timeout_ns, PF_HTTP_BODY_TIMEOUT_NS),
                        [PF__HTTP_LAME] = PF_HTTP_LAME_NS},
        .on_gone = on_gone,
    };
    return pf_conns_new(server->loop, &conns, &server->conns);
}

static int initialize(const struct pf_http_resource *resource, void *arg)
{
    int err = resource->initialize ? resource->initialize(arg) : 0;
    return err > 0 ? -err : err;
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
    server->cookie = pf__process_cookie();
    fill_in(server, options);
    pf__http_date_refresh(&server->date);
    err = pf__http_routes_new(options->routes, options->error, options->error_len,
                              &server->routes);
    if (err)
        goto free_server;
    err = pf__http_routes_each_resource(server->routes, initialize);
    if (err)
        goto free_routes;
    err = make_conns(server);
    if (err)
        goto free_routes;
    *out = server;
    return 0;

free_routes:
    pf__http_routes_free(server->routes);
free_server:
    free(server);
    return err;
}

static bool must_send_proxy_header(const pf_http_server *server,
                                   const struct pf__http_client *client)
{
    const struct pf_http_server_options *options = &server->options;
    if (!options->proxy_protocol || !options->trusted)
        return false;
    struct pf_address peer = pf__http_client_address(client);
    return pf__networks_have(options->trusted, &peer);
}

int pf_http_server_adopt(pf_http_server *server, int fd, const struct sockaddr *peer)
{
    pf_conn *conn;
    int err = pf_conn_open(server->conns, fd, &conn);
    if (err)
        return err;
    struct pf__http_client *client = client_of(conn);
    client->born_ns = pf_loop_now(server->loop);
    if (peer)
        note_peer(client, peer);
    client->awaits_proxy = must_send_proxy_header(server, client);
    pf_conn_set_deadline(conn, PF__HTTP_HEAD); /* one that says nothing is not idle yet */
    return 0;
}

/* A request that was begun, or stands behind answers that the client does not take yet, is
 * answered, and its answer closes. */
static void drain_one(pf_conn *conn, void *arg)
{
    (void)arg;
    if (client_of(conn)->request || pf_conn_pending(conn) > 0)
        return;
    if (pf_conn_blocked(conn))
        (void)pf_conn_close(conn, true);
    else if (pf_conn_poll(conn) == 0) /* the next request may be on its way */
        pf_conn_set_deadline(conn, PF__HTTP_LAME);
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
    pf__http_blocking_fini(server);
    pf_conns_free(server->conns);
    pf_conns_free(server->refused);
    while (server->living) /* the application's, or of a child */
        free_request(server->living);
    while (server->free) {
        pf_http_request *request = server->free;
        server->free = request->next;
        destroy(request);
    }
    pf__http_routes_free(server->routes);
    free(server);
}
