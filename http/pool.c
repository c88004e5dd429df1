/*
 * pool.c - requests: taken when a message begins, given back when it is over; see
 * internal.h.
 *
 * All that live hang on their server, which outlives its connections; those that are free
 * wait there too, so that a request costs no allocation.
 */
#include "http/internal.h"

#include "http/clear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
pf_http_request *pf__http_request_new(pf_http_server *server, pf_conn *conn)
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
    request->client = pf__http_client_of(conn);
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

void pf__http_request_free(pf_http_request *request)
{
    pf_http_server *server = request->server;
    delist(server, request);
    if (request->is_soon)
        (void)pf_loop_remove_timeout(server->loop, request->soon);
    free(request->head_copy);
    free(request->body_copy);
    server->bodies -= request->body_held;
    if (request->deferred)
        pf__http_deferred_drop(request->deferred);
    if (request->form)
        pf__http_form_free(request->form);
    if (server->free_count >= PF_HTTP_FREE_MAX) {
        destroy(request);
        return;
    }
    request->next = server->free;
    server->free = request;
    server->free_count++;
}

void pf__http_requests_fini(pf_http_server *server)
{
    while (server->living) /* the application's, or of a child */
        pf__http_request_free(server->living);
    while (server->free) {
        pf_http_request *request = server->free;
        server->free = request->next;
        destroy(request);
    }
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
