/* request.c - see request.h; the public functions are described in <prefork/http.h>. */
#include "http/request.h"

#include <errno.h>
#include <prefork/log.h>
#include <stdio.h>
#include <string.h>

static enum pf_http_connection connection_of(const struct pf_http_request *request)
{
    if (request->close)
        return PF_HTTP_CLOSE;
    return request->parser->minor == 0 ? PF_HTTP_KEEP_SAYING : PF_HTTP_KEEP;
}

/* `answer` lacks only what the request decides. */
static int send_answer(struct pf_http_request *request, struct pf_http_answer *answer)
{
    answer->connection = connection_of(request);
    answer->is_head = request->parser->method == PF_HTTP_HEAD;
    int64_t written = pf__http_answer_write(request->conn, request->front, answer);
    if (written < 0)
        return (int)written;
    request->answered = true;
    const struct pf_http_server_options *options = request->options;
    if (options->observer && options->observer->on_response)
        options->observer->on_response(options->observer_arg, answer->status,
                                       (size_t)written);
    return 0;
}

int pf_http_respond(pf_http_request *request, int status, const char *content_type,
                    const void *body, size_t len)
{
    int err = pf_loop_check(request->loop);
    if (err)
        return err;
    if (request->answered)
        return -EALREADY;
    if (status < 200 || status > 599 || (len > 0 && (!content_type || !body)))
        return -EINVAL;
    struct pf_http_answer answer = {
        .status = status, .content_type = content_type, .body = body, .len = len};
    return send_answer(request, &answer);
}

void pf__http_request_refuse(struct pf_http_request *request, int status, unsigned allow)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s\n", pf__http_status_text(status));
    struct pf_http_answer answer = {.status = status,
                                    .content_type = "text/plain",
                                    .allow = allow,
                                    .body = text,
                                    .len = (size_t)len};
    (void)send_answer(request, &answer); /* what cannot be sent now: the caller sees it */
}

static void answer_options(struct pf_http_request *request, unsigned allow)
{
    struct pf_http_answer answer = {.status = 204, .allow = allow};
    (void)send_answer(request, &answer);
}

static void call(struct pf_http_request *request, const struct pf_http_route *route)
{
    int err = route->handler(request, route->arg);
    if (err == 0 && !request->answered)
        err = -ENODATA;
    if (err < 0 && err != -EPIPE)
        pf_log(PF_LOG_ERROR, "handler-failed", "method=%s path=%s error=%d",
               pf__http_method_name(request->parser->method), route->path, err);
    if (!request->answered)
        pf__http_request_refuse(request, 500, 0);
}

void pf__http_request_dispatch(struct pf_http_request *request,
                               const struct pf_http_routes *routes)
{
    enum pf_http_method method = request->parser->method;
    unsigned allow = 0;
    size_t len;
    const char *path = pf_http_get_path(request, &len);
    const struct pf_http_route *route =
        pf__http_routes_find(routes, method, path, len, &allow);
    if (route)
        call(request, route);
    else if (method == PF_HTTP_METHOD_OTHER)
        pf__http_request_refuse(request, 501, 0);
    else if (method == PF_HTTP_OPTIONS && request->parser->path.len == 0)
        answer_options(request, pf__http_routes_methods(routes));
    else if (method == PF_HTTP_TRACE)
        pf__http_request_refuse(request, 405,
                                allow ? allow : pf__http_routes_methods(routes));
    else if (!allow)
        pf__http_request_refuse(request, 404, 0);
    else if (method == PF_HTTP_OPTIONS)
        answer_options(request, allow);
    else
        pf__http_request_refuse(request, 405, allow);
}

static const char *part(pf_http_request *request, struct pf_http_span span, size_t *len)
{
    *len = span.len;
    return request->base + span.at;
}

const char *pf_http_get_method(pf_http_request *request, size_t *len)
{
    const char *name = pf__http_method_name(request->parser->method);
    *len = strlen(name);
    return name;
}

const char *pf_http_get_path(pf_http_request *request, size_t *len)
{
    const struct pf_http_parser *parser = request->parser;
    if (parser->path.len > 0)
        return part(request, parser->path, len);
    *len = 1;
    return parser->method == PF_HTTP_OPTIONS ? "*" : "/";
}

const char *pf_http_get_query(pf_http_request *request, size_t *len)
{
    return part(request, request->parser->query, len);
}

const char *pf_http_get_field(pf_http_request *request, const char *name, size_t *len)
{
    return pf__http_parser_field(request->parser, request->base, name, len);
}
