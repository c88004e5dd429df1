/*
 * ending.c - what becomes of a request and of its connection when one of them ends; see
 * internal.h.
 *
 * Invariant: whenever framing is in doubt there is one error answer, behind those of the
 * good requests before it, and nothing more is parsed on that connection.
 */
#include "http/internal.h"

#include <errno.h>

/* ---- answered -------------------------------------------------------------------- */

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

void pf__http_wait_for_next(pf_conn *conn)
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
            pf__http_wait_for_next(conn);
            pf_conn_go_on(conn, false);
        }
    }
    pf__http_request_free(request);
}

/* ---- broken off ------------------------------------------------------------------ */

static int request_on_soon(pf_loop *loop, void *arg)
{
    (void)loop;
    pf_http_request *request = arg;
    request->is_soon = false;
    if (request->gone_due)
        pf__http_tell_gone(request, request->gone_due);
    else
        pf__http_tell_writable(request);
    return 0;
}

int pf__http_tell_soon(pf_http_request *request)
{
    if (request->is_soon)
        return 0;
    int err = pf_loop_call_later(request->server->loop, 0, request_on_soon, request,
                                 &request->soon);
    request->is_soon = err == 0;
    return err;
}

void pf__http_detach(pf_http_request *request, int reason)
{
    request->client->request = NULL;
    request->conn = NULL;
    if (request->running == 0) {
        pf__http_tell_gone(request, reason);
    } else if (request->stage == PF__HTTP_DISPATCHED) {
        request->gone_due = reason;
        (void)pf__http_tell_soon(request);
    }
}

void pf__http_refuse_message(pf_conn *conn, int status)
{
    struct pf__http_client *client = pf__http_client_of(conn);
    pf_http_request *request = client->request;
    if (request && request->stage != PF__HTTP_READING) {
        bool begun = request->head_sent;
        pf__http_detach(request, -EBADMSG);
        request = NULL;
        if (begun) {
            (void)pf_conn_abort(conn, -EBADMSG); /* in the midst of a response */
            return;
        }
    }
    if (!request)
        request = client->request = pf__http_request_new(pf_conn_arg(conn), conn);
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
    pf__http_detach(request, -ENOMEM);
    if (begun)
        (void)pf_conn_abort(conn, -ENOMEM);
    else
        pf__http_refuse_message(conn, 503);
}
