/*
 * response.c - what a client is answered at once, and what follows every answer.
 *
 * A short answer is written in place, into the batch of its connection. A longer one is put
 * together first, so that either all of it is queued or nothing.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the end --------------------------------------------------------------------- */

static void tell_observer(pf_http_request *request)
{
    const pf_http_server *server = request->server;
    const struct pf_http_observer *observer = server->options.observer;
    if (!observer)
        return;
    if (observer->on_response)
        observer->on_response(server->options.observer_arg, request->status,
                              (size_t)request->bytes_out);
    if (observer->on_request)
        observer->on_request(server->options.observer_arg, request, request->status,
                             request->bytes_out, request->began_ns);
}

/* What runs behind every response, or behind its failure. */
static void tell_application(pf_http_request *request)
{
    const pf_http_server *server = request->server;
    const struct pf_http_route *route = request->route;
    if (request->form)
        pf__http_form_end(request);
    if (route && route->resource && route->resource->on_finish)
        route->resource->on_finish(request, route->arg);
    while (request->middleware > 0) {
        const struct pf_http_middleware *m =
            &server->options.middleware[--request->middleware];
        if (m->after)
            m->after(request, request->status, m->arg);
    }
}

void pf__http_finish(pf_http_request *request, int status)
{
    if (request->stage == PF__HTTP_FINISHED)
        return;
    bool was_read = request->stage == PF__HTTP_DISPATCHED;
    request->status = status;
    request->stage = PF__HTTP_FINISHED;
    tell_observer(request);
    if (was_read)
        tell_application(request);
}

/* ---- at once --------------------------------------------------------------------- */

static char *put_answer(char *to, const pf_http_request *request,
                        const struct pf__http_answer *answer)
{
    size_t len = pf__http_has_body(answer->status) ? answer->len : 0;
    to = pf__http_put_head(to, request, answer);
    if (pf__http_has_length(answer->status))
        to = pf__http_put_length(to, len);
    to = pf__http_put_text(to, "\r\n");
    return len == 0 || pf__http_is_head_only(request) ? to
                                                      : pf__http_put(to, answer->body, len);
}

static int write_together(pf_http_request *request, const struct pf__http_answer *answer,
                          size_t room, size_t *len)
{
    char small[PF__HTTP_SMALL];
    char *begin = room <= sizeof small ? small : malloc(room);
    if (!begin)
        return -ENOMEM;
    *len = (size_t)(put_answer(begin, request, answer) - begin);
    int err = pf_conn_write(request->conn, begin, *len);
    if (begin != small)
        free(begin);
    return err;
}

static int queue_answer(pf_http_request *request, const struct pf__http_answer *what)
{
    if (!request->conn) {
        pf__http_finish(request, what->status);
        return -EPIPE;
    }
    size_t len, room = PF__HTTP_HEAD_MAX + request->fields_len + what->len;
    int err = 0;
    pf__http_decide_closing(request);
    char *reserved = pf_conn_reserve(request->conn, room);
    if (reserved) {
        len = (size_t)(put_answer(reserved, request, what) - reserved);
        pf_conn_wrote(request->conn, len);
    } else { /* it may have ended over what stood in the batch */
        err = request->conn ? write_together(request, what, room, &len) : -EPIPE;
    }
    if (err && err != -EPIPE)
        return err;
    request->bytes_out += err ? 0 : len;
    pf__http_finish(request, what->status);
    return err;
}

int pf__http_answer(pf_http_request *request, const struct pf__http_answer *what)
{
    pf__http_enter(request);
    int err = queue_answer(request, what);
    (void)pf__http_leave(request);
    return err;
}

/* ---- for handlers ---------------------------------------------------------------- */

int pf__http_check(const pf_http_request *request)
{
    if (!request)
        return -EINVAL;
    if (request->blocking) /* on its thread, which has it alone */
        return 0;
    int err = pf_loop_check(request->server->loop);
    if (err)
        return err;
    return request->stage == PF__HTTP_FINISHED ? -EALREADY : 0;
}

int pf__http_check_unbegun(const pf_http_request *request)
{
    int err = pf__http_check(request);
    return !err && request->head_sent ? -EALREADY : err;
}

/* The length of a content type; -1 if it cannot be one. Most answers have the type of the
 * one before, which is known. */
static ptrdiff_t type_len(const pf_http_request *request, const char *type)
{
    struct pf__http_type *last = request->blocking ? NULL /* on a thread of its own */
                                                   : &request->server->type;
    if (last && strcmp(type, last->text) == 0)
        return (ptrdiff_t)last->len;
    ptrdiff_t len = pf__http_value_len(type);
    if (len > PF_HTTP_CONTENT_TYPE_MAX)
        return -1;
    if (last && len >= 0) {
        last->len = (size_t)len;
        memcpy(last->text, type, last->len + 1);
    }
    return len;
}

int pf__http_take_type(const pf_http_request *request, const char *type,
                       struct pf__text *out)
{
    ptrdiff_t len = type ? type_len(request, type) : 0;
    if (len < 0)
        return -EINVAL;
    *out = (struct pf__text){type, (size_t)len};
    return 0;
}

static bool is_status(int status)
{
    return status >= 200 && status <= 599;
}

int pf_http_respond(pf_http_request *request, int status, const char *content_type,
                    const void *body, size_t len)
{
    int err = pf__http_check_unbegun(request);
    if (err)
        return err;
    struct pf__http_answer answer = {.status = status, .body = body, .len = len};
    if (!is_status(status) || (len > 0 && (!body || !content_type)) ||
        pf__http_take_type(request, content_type, &answer.content_type) != 0)
        return -EINVAL;
    if (len > PF_HTTP_RESPONSE_BODY_MAX)
        return -ENOBUFS;
    if (request->blocking)
        return pf__http_defer(request, status, content_type, body, len);
    return pf__http_answer(request, &answer);
}

int pf_http_respond_json(pf_http_request *request, int status, const char *json, size_t len)
{
    return pf_http_respond(request, status, "application/json", json, len);
}

int pf_http_set_status(pf_http_request *request, int status)
{
    int err = pf__http_check_unbegun(request);
    if (err)
        return err;
    if (!is_status(status))
        return -EINVAL;
    request->status = status;
    return 0;
}

/* What a browser drops before it reads on: blanks in front, tabs anywhere. No URL has any.
 */
static bool has_blank(const char *location)
{
    for (; *location; location++)
        if (pf__is_control(*location) || *location == ' ')
            return true;
    return false;
}

/* A browser takes "//host" and "/\host" for another server: whoever builds a location from
 * what was asked would send people there. */
int pf_http_redirect(pf_http_request *request, int status, const char *location)
{
    bool moves =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (!moves || !location || has_blank(location))
        return -EINVAL;
    size_t slashes = strspn(location, "/\\");
    char path[PF_HTTP_TARGET_MAX];
    if (slashes > 1) {
        int n = snprintf(path, sizeof path, "/%s", location + slashes);
        if (n < 0 || (size_t)n >= sizeof path)
            return -ENOBUFS;
        location = path;
    }
    int err = pf_http_set_field(request, "Location", location);
    return err ? err : pf_http_respond(request, status, NULL, NULL, 0);
}

int pf_http_on_gone(pf_http_request *request, pf_http_gone_fn *fn, void *arg)
{
    int err = pf__http_check(request);
    if (err)
        return err;
    request->on_gone = fn;
    request->on_gone_arg = arg;
    return 0;
}
