/*
 * route.h - an application's routes, put in order once, so that a request finds its own
 * fast.
 */
#ifndef PREFORK_HTTP_ROUTE_H
#define PREFORK_HTTP_ROUTE_H

#include "http/parser.h"
#include <prefork/http.h>

/* Methods that a route may answer: PF_HTTP_GET to PF_HTTP_PATCH. */
#define PF__HTTP_ROUTED_METHODS (PF_HTTP_PATCH + 1)

/* "Allow: " with every one of them. */
#define PF__HTTP_ALLOW_MAX 64

/* "GET"; of a method that a route may answer. */
const char *pf__http_method_name(enum pf_http_method method);

/* One path, with what it answers. */
struct pf__http_path {
    const char *text; /* borrowed from the application's table */
    size_t len;
    const struct pf_http_route *by_method[PF__HTTP_ROUTED_METHODS]; /* HEAD: GET's, too */
    char allow[PF__HTTP_ALLOW_MAX]; /* the field "Allow: GET, HEAD, OPTIONS\r\n" */
};

struct pf__http_routes {
    char allow[PF__HTTP_ALLOW_MAX]; /* what any path allows: for `OPTIONS *` */
    size_t count;
    struct pf__http_path paths[]; /* in order of length, then of bytes */
};

/*
 * Put a table, which ends with {0}, in order; it is borrowed.
 *
 * Returns 0 and *out, to be freed with free(3), or -ENOMEM, or -EINVAL: a route without
 * method, path or handler, a method that no route can answer, a path that does not begin
 * with '/', or two routes for one method and path.
 */
int pf__http_routes_new(const struct pf_http_route *table, struct pf__http_routes **out);

/* The path that equals text[0..len), or NULL. */
const struct pf__http_path *pf__http_routes_find(const struct pf__http_routes *routes,
                                                 const char *text, size_t len);

#endif
