/*
 * error_page.c - what a client is shown of an error; see internal.h.
 *
 * The page of the resource, else of the application, else the status's phrase.
 */
#include "http/internal.h"

#include <errno.h>

/* A 503 is for now: RFC 9110 section 15.6.4. */
int pf__http_answer_status(pf_http_request *request, int status, const char *field)
{
    struct pf__http_answer answer = {.status = status, .field = field};
    if (status == 503 && !field && pf__http_len_of_fields(request, "Retry-After") == 0)
        answer.field = "Retry-After: 1\r\n";
    const struct pf__http_status_line *line = pf__http_find_status_line(status);
    if (line && pf__http_has_body(status)) {
        answer.content_type = pf__text_of("text/plain");
        answer.body = line->text + PF__HTTP_PHRASE_AT;
        answer.len = line->len - PF__HTTP_PHRASE_AT;
    }
    return pf__http_answer(request, &answer);
}

/* Of a method that nobody answers: of those that are answered there. */
static const struct pf_http_route *page_route(const pf_http_request *request)
{
    const struct pf_http_route *route = request->route;
    for (size_t i = 0; !route && request->path && i < PF__HTTP_ROUTED_METHODS; i++)
        route = request->path->by_method[i];
    return route;
}

/* The resource's or the application's page; neither is asked for the page of its page. */
static void ask_for_page(pf_http_request *request, int status)
{
    const struct pf_http_route *route = page_route(request);
    const struct pf_http_server_options *options = &request->server->options;
    if (request->asked_for_page)
        return;
    request->asked_for_page = true;
    pf__http_remove_fields_of_body(request);
    pf__http_enter(request);
    if (route && route->resource && route->resource->write_error)
        route->resource->write_error(request, status, route->arg);
    else if (options->on_error)
        options->on_error(request, status, options->on_error_arg);
    request->running--; /* whoever called us leaves */
}

int pf_http_respond_error(pf_http_request *request, int status)
{
    int err = pf__http_check_unbegun(request);
    if (err)
        return err;
    if (status < 400 || status > 599)
        return -EINVAL;
    if (request->blocking) {
        err = pf__http_defer(request, status, NULL, NULL, 0);
        if (!err)
            request->deferred->is_page = true;
        return err;
    }
    pf__http_enter(request);
    ask_for_page(request, status);
    err = 0;
    if (request->stage != PF__HTTP_FINISHED)
        err = pf__http_answer_status(request, status, NULL);
    (void)pf__http_leave(request);
    return err;
}
