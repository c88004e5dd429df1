/*
 * route.h - an application's routes, put in order once, so that a request finds its own
 * fast: by host, then by pattern, then by method.
 */
#ifndef PREFORK_HTTP_ROUTE_H
#define PREFORK_HTTP_ROUTE_H

#include "http/parser.h"
#include "http/pattern.h"
#include <prefork/http.h>

/* Methods that a route may answer: PF_HTTP_GET to PF_HTTP_PATCH. */
#define PF__HTTP_ROUTED_METHODS (PF_HTTP_PATCH + 1)

/* "Allow: " with every one of them. */
#define PF__HTTP_ALLOW_MAX 64

/* One pattern, with what it answers. */
struct pf__http_path {
    const char *pattern; /* borrowed from the application's table */
    bool is_regex;
    const struct pf_http_route *by_method[PF__HTTP_ROUTED_METHODS]; /* HEAD: GET's, too */
    char allow[PF__HTTP_ALLOW_MAX]; /* the field "Allow: GET, HEAD, OPTIONS\r\n" */
};

struct pf__http_routes;

/*
 * Put a table, which ends with {0}, in order; it is borrowed.
 *
 * Returns 0 and *out, or -ENOMEM, -ENOTSUP (a regular expression, without PCRE2), -EEXIST
 * (two routes for one method, host and path), or -EINVAL: a route without path, or with
 * neither or both of handler and resource, one that blocks without a handler or with its
 * body streamed, a method that no route can answer, a pattern that is none. `why` (why_len
 * bytes) then has a phrase that says which.
 */
int pf__http_routes_new(const struct pf_http_route *table, char *why, size_t why_len,
                        struct pf__http_routes **out);
void pf__http_routes_free(struct pf__http_routes *routes);

/* Is there a route that asks for the host? If not it need not be given. */
bool pf__http_routes_ask_host(const struct pf__http_routes *routes);

/* What is at this path of this host, and what was captured; NULL if nothing is. `escaped`:
 * is there a % in the path? One thread at a time, for the sake of regular expressions. */
const struct pf__http_path *pf__http_routes_find(const struct pf__http_routes *routes,
                                                 struct pf__text host, struct pf__text path,
                                                 bool escaped,
                                                 struct pf__captures *captures);

/* Is this the name of the path's n-th capture? A regular expression's are numbers, from 1.
 */
bool pf__http_capture_is(const struct pf__http_path *path, size_t n, const char *name);

/* "Allow: ..." of all of them together: for `OPTIONS *`. */
const char *pf__http_routes_allow(const struct pf__http_routes *routes);

/* Call fn for each different resource with its route's arg, until one does not return 0. */
int pf__http_routes_each_resource(const struct pf__http_routes *routes,
                                  int (*fn)(const struct pf_http_resource *resource,
                                            void *arg));

#endif
