/*
 * dispatch.c - a request is there: which route, who is called, and what came of it.
 *
 * The application is only ever called between pf__http_enter() and pf__http_leave(): what
 * it finishes meanwhile is given back behind the call, not under it.
 */
#include "http/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <string.h>

/* ---- around calls ---------------------------------------------------------------- */

static bool is_the_applications(const pf_http_request *request)
{
    return request->stage == PF__HTTP_DISPATCHED;
}

bool pf__http_last_leaves(pf_http_request *request)
{
    if (request->stage == PF__HTTP_FINISHED) {
        pf__http_request_end(request);
        return false;
    }
    if (is_the_applications(request) && request->conn &&
        (request->body_ended || request->body_paused))
        pf_conn_hold(request->conn); /* the next one waits for its answer */
    return true;
}

/* Whoever was to answer it at the end of its body will not be called any more. */
static bool is_orphan(const pf_http_request *request)
{
    return !request->body_ended && !request->body_paused && !request->later;
}

void pf__http_tell_gone(pf_http_request *request, int reason)
{
    const struct pf_http_route *route = request->route;
    if (!is_the_applications(request) || request->blocking)
        return;
    bool tells_route =
        reason && route && route->resource && route->resource->on_connection_close;
    pf__http_enter(request);
    if (reason && !request->on_gone && !tells_route && is_orphan(request))
        pf__http_finish(request, 400);
    if (request->on_gone)
        request->on_gone(request, reason, request->on_gone_arg);
    if (tells_route)
        route->resource->on_connection_close(request, reason, route->arg);
    (void)pf__http_leave(request);
}

void pf__http_tell_writable(pf_http_request *request)
{
    pf_http_writable_fn *fn = request->on_writable;
    if (!fn || !request->conn || pf_conn_blocked(request->conn))
        return;
    request->on_writable = NULL;
    pf__http_enter(request);
    fn(request, request->on_writable_arg);
    (void)pf__http_leave(request);
}

/* ---- finding the route ----------------------------------------------------------- */

static struct pf__text span_of(const pf_http_request *request, struct pf_http_span span)
{
    return (struct pf__text){request->head + span.at, span.len};
}

/* Without the port. The parser has seen to it that it is well-formed. */
struct pf__text pf__http_host(const pf_http_request *request)
{
    struct pf__text host = span_of(request, request->parser.host);
    if (host.len > 0 && host.at[0] == '[')
        host.len = pf__text_find(host, ']') + 1;
    else
        host.len = pf__text_find(host, ':');
    return host;
}

static bool is_about_the_server(const struct pf_http_parser *parser)
{
    return parser->method == PF_HTTP_OPTIONS && parser->path.len == 0;
}

void pf__http_route_request(pf_http_request *request)
{
    const struct pf_http_parser *parser = &request->parser;
    if (parser->method == PF_HTTP_METHOD_OTHER || is_about_the_server(parser))
        return;
    struct pf__text path = span_of(request, parser->path);
    if (path.len == 0)
        path = pf__text_of("/");
    const struct pf__http_routes *routes = request->server->routes;
    struct pf__text host = {0};
    if (pf__http_routes_ask_host(routes))
        host = pf__http_host(request);
    request->path =
        pf__http_routes_find(routes, host, path, parser->path_escaped, &request->captures);
    if (request->path && parser->method < PF__HTTP_ROUTED_METHODS)
        request->route = request->path->by_method[parser->method];
    if (request->captures.count > 0 && path.at[0] == '/' && parser->path.len == 0)
        request->captures.count = 0; /* of a text that is not in the head */
}

int pf__http_admit_body(const pf_http_request *request)
{
    const struct pf_http_parser *parser = &request->parser;
    if (!parser->has_body || parser->chunked)
        return 0;
    if (parser->content_length > pf__http_body_max(request))
        return -413;
    bool is_collected = request->route && !(request->route->flags & PF_HTTP_STREAM);
    const pf_http_server *server = request->server;
    return is_collected &&
                   parser->content_length > server->options.bodies_max - server->bodies
               ? -503
               : 0;
}

/* ---- calling --------------------------------------------------------------------- */

/* A page as for other errors, with the field that a 405 must have: a line, as it is kept
 * ready. */
static int answer_not_allowed(pf_http_request *request, const char *allow)
{
    static const size_t at = sizeof "Allow: " - 1;
    char methods[PF__HTTP_ALLOW_MAX];
    size_t len = strcspn(allow, "\r") - at;
    memcpy(methods, allow + at, len);
    methods[len] = '\0';
    if (pf_http_set_field(request, "Allow", methods) != 0)
        return pf__http_answer_status(request, 405, allow);
    return pf_http_respond_error(request, 405);
}

/* What is answered without the application: no such path, no such method. */
static int answer_without_route(pf_http_request *request)
{
    enum pf_http_method method = request->parser.method;
    const struct pf__http_path *path = request->path;
    const char *all = pf__http_routes_allow(request->server->routes);
    if (method == PF_HTTP_METHOD_OTHER)
        return pf_http_respond_error(request, 501);
    if (is_about_the_server(&request->parser))
        return pf__http_answer_status(request, 204, all);
    if (method == PF_HTTP_CONNECT || method == PF_HTTP_TRACE)
        return answer_not_allowed(request, path ? path->allow : all);
    if (!path)
        return pf_http_respond_error(request, 404);
    if (method == PF_HTTP_OPTIONS)
        return pf__http_answer_status(request, 204, path->allow);
    return answer_not_allowed(request, path->allow);
}

static pf_http_handler_fn *function_of(const struct pf_http_resource *resource,
                                       enum pf_http_method method)
{
    switch (method) {
    case PF_HTTP_GET:
        return resource->get;
    case PF_HTTP_HEAD:
        return resource->head ? resource->head : resource->get;
    case PF_HTTP_POST:
        return resource->post;
    case PF_HTTP_PUT:
        return resource->put;
    case PF_HTTP_DELETE:
        return resource->del;
    case PF_HTTP_PATCH:
        return resource->patch;
    case PF_HTTP_OPTIONS:
        return resource->options;
    case PF_HTTP_TRACE:
    case PF_HTTP_CONNECT:
    case PF_HTTP_METHOD_OTHER:
        break;
    }
    return NULL;
}

static int call_resource(pf_http_request *request)
{
    const struct pf_http_route *route = request->route;
    const struct pf_http_resource *resource = route->resource;
    int result = resource->prepare ? resource->prepare(request, route->arg) : 0;
    if (result < 0 || request->stage == PF__HTTP_FINISHED)
        return result;
    return function_of(resource, request->parser.method)(request, route->arg);
}

static int call_route(pf_http_request *request)
{
    const struct pf_http_route *route = request->route;
    if (!route)
        return answer_without_route(request);
    if (route->flags & PF_HTTP_BLOCKING)
        return pf__http_run_blocking(request);
    return route->resource ? call_resource(request) : route->handler(request, route->arg);
}

/* Returns what ended the round: a negative errno, or 0 with the response finished or all
 * passed. */
static int call_middleware(pf_http_request *request, bool before_body)
{
    const pf_http_server *server = request->server;
    int result = 0;
    while (result >= 0 && request->middleware < server->middleware_count &&
           request->stage != PF__HTTP_FINISHED) {
        const struct pf_http_middleware *m =
            &server->options.middleware[request->middleware++];
        pf_http_handler_fn *fn = before_body ? m->before_body : m->before;
        if (fn)
            result = fn(request, m->arg);
    }
    return result;
}

static void log_failure(pf_http_request *request, int err)
{
    size_t len, method_len;
    const char *method = pf_http_get_method(request, &method_len);
    const char *path = pf_http_get_path(request, &len);
    pf_log(PF_LOG_ERROR, "http-handler-failed",
           "method=%.*s path=%.*s error=%s answered=%d", (int)method_len, method, (int)len,
           path, err == -ENODATA ? "returned 0 without an answer" : strerror(-err),
           request->stage == PF__HTTP_FINISHED || request->head_sent);
}

/* The handler has failed: 500, or, behind a beginning, an end that shows. */
static void answer_failure(pf_http_request *request, int err)
{
    if (err != -EPIPE) /* a client that is gone is no news */
        log_failure(request, err);
    if (request->stage == PF__HTTP_FINISHED)
        return;
    if (!request->head_sent)
        request->fields_len = 0; /* what was meant for another response */
    if (request->head_sent || !request->conn ||
        (pf_http_respond_error(request, 500) != 0 && request->stage != PF__HTTP_FINISHED))
        (void)pf_http_abort(request);
}

void pf__http_take_result(pf_http_request *request, int result, bool may_be_later)
{
    bool finished = request->stage == PF__HTTP_FINISHED;
    if (pf__http_is_inherited(request->server)) {
        request->stage = PF__HTTP_FINISHED; /* it has forked: the parent answers */
        return;
    }
    if (result == PF_HTTP_LATER && !finished) {
        request->later = true;
        if (pf__http_request_keep(request) != 0)
            pf__http_request_lose(request);
        return;
    }
    if (result == 0 && !finished && !may_be_later)
        result = -ENODATA;
    if (result < 0)
        answer_failure(request, result);
}

/* Will another request be read on this connection? Later, when the head is written, more
 * reasons against it may have come. */
static bool ends_connection(const pf_http_request *request)
{
    const struct pf_http_server_options *options = &request->server->options;
    const struct pf__http_client *client = request->client;
    int64_t age = request->server->now_ns - client->born_ns;
    return !request->parser.keep_alive ||
           /* What follows a CONNECT may be meant for the other end of a tunnel. */
           request->parser.method == PF_HTTP_CONNECT ||
           (options->requests_max && client->requests >= options->requests_max) ||
           (options->age_max_ns && age >= options->age_max_ns);
}

void pf__http_ask_for_body(pf_http_request *request)
{
    if (!request->server->asks_for_bodies)
        return;
    request->stage = PF__HTTP_DISPATCHED;
    request->closing = ends_connection(request);
    pf__http_enter(request);
    int result = call_middleware(request, true);
    pf__http_take_result(request, result < 0 ? result : 0, true);
    if (request->stage == PF__HTTP_DISPATCHED) { /* all have passed it: read on */
        request->stage = PF__HTTP_READING;
        request->middleware = 0;
    }
    (void)pf__http_leave(request);
}

void pf__http_dispatch(pf_http_request *request)
{
    request->stage = PF__HTTP_DISPATCHED;
    request->closing = ends_connection(request);
    pf__http_enter(request);
    int result = 0;
    if (request->server->middleware_count > 0)
        result = call_middleware(request, false);
    if (result >= 0 && request->stage != PF__HTTP_FINISHED)
        result = call_route(request);
    bool streams = request->route && (request->route->flags & PF_HTTP_STREAM);
    pf__http_take_result(request, result, streams && !request->body_ended);
    (void)pf__http_leave(request);
}
