/* route.c - see route.h. A list, searched from the top: tables are short. */
#include "http/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    const struct pf_http_route *route;
    size_t path_len;
    enum pf_http_method method;
};

struct pf_http_routes {
    size_t count;
    unsigned methods;
    struct entry entries[];
};

static const char *const names[PF_HTTP_METHOD_OTHER] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"};

const char *pf__http_method_name(enum pf_http_method method)
{
    return names[method];
}

static enum pf_http_method method_named(const char *name)
{
    unsigned method = 0;
    while (method < PF_HTTP_METHOD_OTHER && strcmp(names[method], name) != 0)
        method++;
    return (enum pf_http_method)method;
}

/* TRACE and CONNECT are refused before routes are asked. */
static bool is_routable(enum pf_http_method method)
{
    return method != PF_HTTP_METHOD_OTHER && method != PF_HTTP_TRACE &&
           method != PF_HTTP_CONNECT;
}

static bool is_end(const struct pf_http_route *route)
{
    return !route->method && !route->path && !route->handler;
}

/* Every path answers OPTIONS, and HEAD where it answers GET. */
static unsigned with_implied(unsigned methods)
{
    if (methods & 1u << PF_HTTP_GET)
        methods |= 1u << PF_HTTP_HEAD;
    return methods ? methods | 1u << PF_HTTP_OPTIONS : 0;
}

int pf__http_routes_new(const struct pf_http_route *table, struct pf_http_routes **out)
{
    size_t count = 0;
    while (table && !is_end(&table[count]))
        count++;
    struct pf_http_routes *routes =
        malloc(sizeof *routes + count * sizeof *routes->entries);
    if (!routes)
        return -ENOMEM;
    routes->count = count;
    routes->methods = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pf_http_route *route = &table[i];
        if (!route->method || !route->path || route->path[0] != '/' || !route->handler ||
            !is_routable(method_named(route->method))) {
            free(routes);
            return -EINVAL;
        }
        routes->entries[i] =
            (struct entry){route, strlen(route->path), method_named(route->method)};
        routes->methods |= 1u << routes->entries[i].method;
    }
    *out = routes;
    return 0;
}

void pf__http_routes_free(struct pf_http_routes *routes)
{
    free(routes);
}

const struct pf_http_route *pf__http_routes_find(const struct pf_http_routes *routes,
                                                 enum pf_http_method method,
                                                 const char *path, size_t path_len,
                                                 unsigned *allow)
{
    const struct pf_http_route *for_head = NULL;
    unsigned methods = 0;
    for (size_t i = 0; i < routes->count; i++) {
        const struct entry *entry = &routes->entries[i];
        if (entry->path_len != path_len || memcmp(entry->route->path, path, path_len) != 0)
            continue;
        if (entry->method == method)
            return entry->route;
        if (entry->method == PF_HTTP_GET && method == PF_HTTP_HEAD && !for_head)
            for_head = entry->route;
        methods |= 1u << entry->method;
    }
    if (!for_head)
        *allow = with_implied(methods);
    return for_head;
}

unsigned pf__http_routes_methods(const struct pf_http_routes *routes)
{
    return with_implied(routes->methods | 1u << PF_HTTP_OPTIONS);
}
