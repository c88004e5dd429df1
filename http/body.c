/*
 * body.c - the bytes behind a head: collected, handed over as they come, or dropped.
 *
 * A body that stands whole in one read is not copied. One that nobody will look at, since
 * there is no route for it, is counted and dropped.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_ROOM = 4096
};

size_t pf__http_body_max(const pf_http_request *request)
{
    size_t own = request->route ? request->route->body_max : 0;
    return own ? own : request->server->options.body_max;
}

/* Room for `needed` bytes: what was announced at once, if it is not much, else doubled. */
static bool make_room(pf_http_request *request, size_t needed)
{
    if (request->body_copy && needed <= request->body_room)
        return true;
    uint64_t announced = request->parser.content_length;
    size_t room = request->body_room ? request->body_room * 2 : FIRST_ROOM;
    if (request->body_room == 0 && announced <= PF_HTTP_BODY_MAX)
        room = (size_t)announced;
    if (room < needed)
        room = needed;
    char *grown = realloc(request->body_copy, room ? room : 1);
    if (!grown)
        return false;
    request->body_copy = grown;
    request->body_room = room;
    return true;
}

/* Room that was announced and not written to yet costs nothing, and so does not count:
 * else a client could take all of it by promises. */
bool pf__http_body_hold(pf_http_request *request, size_t len)
{
    pf_http_server *server = request->server;
    size_t others = server->bodies - request->body_held;
    if (len > server->options.bodies_max - others || !make_room(request, len))
        return false;
    request->body_held = len;
    server->bodies = others + len;
    return true;
}

static int collect(pf_http_request *request, const char *data, size_t len)
{
    const struct pf_http_parser *parser = &request->parser;
    if (request->body_len == 0 && !parser->chunked && parser->content_length == len) {
        request->body = data; /* all of it stands there */
        return 0;
    }
    if (!pf__http_body_hold(request, (size_t)request->body_len + len))
        return -503;
    memcpy(request->body_copy + request->body_len, data, len);
    request->body = request->body_copy;
    return 0;
}

/* To the application; at its end with len 0. */
static void hand_over(pf_http_request *request, const char *data, size_t len)
{
    if (!request->on_body || request->stage == PF__HTTP_FINISHED)
        return;
    pf__http_enter(request);
    int result = request->on_body(request, data, len, request->on_body_arg);
    pf__http_take_result(request, result, len > 0 || request->later);
    (void)pf__http_leave(request);
}

int pf__http_body_piece(pf_http_request *request, const char *data, size_t len)
{
    if (request->body_len + len > pf__http_body_max(request))
        return -413;
    int status = 0;
    if (request->stage != PF__HTTP_READING)
        hand_over(request, data, len);
    else if (request->route)
        status = collect(request, data, len);
    request->body_len += len;
    return status;
}

void pf__http_body_end(pf_http_request *request)
{
    if (request->on_body) {
        hand_over(request, NULL, 0);
    } else if (!request->later && request->stage != PF__HTTP_FINISHED) {
        pf__http_take_result(request, 0, false); /* nobody will answer it any more */
    }
}

int pf_http_on_body(pf_http_request *request, pf_http_body_fn *fn, void *arg)
{
    int err = pf__http_check(request);
    if (err)
        return err;
    bool streams = request->route && (request->route->flags & PF_HTTP_STREAM);
    if (!fn || !streams || request->body_ended)
        return -EINVAL;
    request->on_body = fn;
    request->on_body_arg = arg;
    return 0;
}

int pf_http_pause_body(pf_http_request *request)
{
    int err = pf__http_check(request);
    if (err || request->body_ended || !request->conn)
        return err;
    request->body_paused = true;
    pf_conn_clear_deadline(request->conn);
    pf_conn_hold(request->conn);
    return 0;
}

int pf_http_resume_body(pf_http_request *request)
{
    int err = pf__http_check(request);
    if (err || !request->body_paused)
        return err;
    request->body_paused = false;
    if (!request->conn)
        return 0;
    request->body_began_ns = pf_loop_now(request->server->loop); /* the rate starts anew */
    pf_conn_set_deadline(request->conn, PF__HTTP_BODY);
    pf__http_enter(request);
    if (pf_conn_pending(request->conn) == 0)
        (void)pf__http_go_on(request); /* if it breaks over that, on_gone tells */
    if (request->conn)
        pf_conn_go_on(request->conn, true);
    (void)pf__http_leave(request);
    return 0;
}
