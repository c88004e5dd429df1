/*
 * route.h - which handler answers a method on a path, and which methods a path has.
 *
 * Made from the application's table once; looking up allocates nothing. Immutable, so a
 * forked child may go on using it.
 */
#ifndef PREFORK_HTTP_ROUTE_H
#define PREFORK_HTTP_ROUTE_H

#include "http/parser.h"

#include <prefork/http.h>

struct pf_http_routes;

/* "GET"; PF_HTTP_METHOD_OTHER has no name. */
const char *pf__http_method_name(enum pf_http_method method);

/* Returns 0, -EINVAL (see pf_http_server_new()) or -ENOMEM. `table` is borrowed. */
int pf__http_routes_new(const struct pf_http_route *table, struct pf_http_routes **out);
void pf__http_routes_free(struct pf_http_routes *routes);

/* The route, or NULL; then *allow is the set of methods (1u << PF_HTTP_GET, ...) that the
 * path has, 0 if there is no such path. */
const struct pf_http_route *pf__http_routes_find(const struct pf_http_routes *routes,
                                                 enum pf_http_method method,
                                                 const char *path, size_t path_len,
                                                 unsigned *allow);

/* The methods of all paths together. */
unsigned pf__http_routes_methods(const struct pf_http_routes *routes);

#endif
