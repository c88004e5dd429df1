/*
 * request.h - one request on its way through routing and its handler.
 *
 * Lives on the server's stack for as long as that takes. What it points at may belong to
 * the connection: after the answer only `answered` is looked at.
 */
#ifndef PREFORK_HTTP_REQUEST_H
#define PREFORK_HTTP_REQUEST_H

#include "http/answer.h"
#include "http/parser.h"
#include "http/route.h"
#include "http/server.h"

struct pf_http_request {
    pf_loop *loop;
    pf_conn *conn;
    const struct pf_http_server_options *options; /* for the observer */
    const struct pf_http_front *front;
    const struct pf_http_parser *parser;
    const char *base; /* the head that the parser's spans are in */
    bool close;       /* the connection ends behind the answer */
    bool answered;
};

/* Find the handler and call it, or answer in its place. */
void pf__http_request_dispatch(struct pf_http_request *request,
                               const struct pf_http_routes *routes);

/* Answer with a short text that says the status, and Allow unless `allow` is 0. */
void pf__http_request_refuse(struct pf_http_request *request, int status, unsigned allow);

#endif
