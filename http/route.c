/*
 * route.c - routes by path and method; see route.h.
 */
#include "http/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const method_names[PF__HTTP_ROUTED_METHODS] = {
    [PF_HTTP_GET] = "GET",     [PF_HTTP_HEAD] = "HEAD",     [PF_HTTP_POST] = "POST",
    [PF_HTTP_PUT] = "PUT",     [PF_HTTP_DELETE] = "DELETE", [PF_HTTP_OPTIONS] = "OPTIONS",
    [PF_HTTP_PATCH] = "PATCH",
};

const char *pf__http_method_name(enum pf_http_method method)
{
    return method_names[method];
}

static int method_of(const char *name)
{
    for (int i = 0; i < PF__HTTP_ROUTED_METHODS; i++)
        if (strcmp(name, method_names[i]) == 0)
            return i;
    return -EINVAL;
}

static bool is_end(const struct pf_http_route *route)
{
    return !route->method && !route->path && !route->handler;
}

static bool is_valid(const struct pf_http_route *route)
{
    return route->method && route->path && route->handler && route->path[0] == '/' &&
           method_of(route->method) >= 0;
}

/* A shorter path comes first: most comparisons end without looking at a byte. */
static int compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    return memcmp(a, b, a_len);
}

static int compare_paths(const void *a, const void *b)
{
    const struct pf__http_path *x = a, *y = b;
    return compare_text(x->text, x->len, y->text, y->len);
}

/* Copy the table, one path for each route, in order. */
static void list_paths(struct pf__http_routes *routes, const struct pf_http_route *table)
{
    for (size_t i = 0; i < routes->count; i++) {
        struct pf__http_path *path = &routes->paths[i];
        *path = (struct pf__http_path){.text = table[i].path, .len = strlen(table[i].path)};
        path->by_method[method_of(table[i].method)] = &table[i];
    }
    qsort(routes->paths, routes->count, sizeof *routes->paths, compare_paths);
}

static int merge_into(struct pf__http_path *path, const struct pf__http_path *other)
{
    for (int i = 0; i < PF__HTTP_ROUTED_METHODS; i++) {
        if (!other->by_method[i])
            continue;
        if (path->by_method[i])
            return -EINVAL;
        path->by_method[i] = other->by_method[i];
    }
    return 0;
}

/* Neighbours that are the same path become one. */
static int merge_paths(struct pf__http_routes *routes)
{
    size_t kept = 0;
    for (size_t i = 0; i < routes->count; i++) {
        struct pf__http_path *last = kept > 0 ? &routes->paths[kept - 1] : NULL;
        if (!last || compare_paths(last, &routes->paths[i]) != 0)
            routes->paths[kept++] = routes->paths[i];
        else if (merge_into(last, &routes->paths[i]) != 0)
            return -EINVAL;
    }
    routes->count = kept;
    return 0;
}

static void write_allow(char *allow, const bool *allowed)
{
    int at = 0;
    for (int i = 0; i < PF__HTTP_ROUTED_METHODS; i++)
        if (allowed[i])
            at += snprintf(allow + at, PF__HTTP_ALLOW_MAX - (size_t)at, "%s%s",
                           at > 0 ? ", " : "Allow: ", method_names[i]);
    snprintf(allow + at, PF__HTTP_ALLOW_MAX - (size_t)at, "\r\n");
}

/* Fill in what a path answers by itself: HEAD wherever GET is, and OPTIONS. */
static void complete_paths(struct pf__http_routes *routes)
{
    bool any[PF__HTTP_ROUTED_METHODS] = {[PF_HTTP_OPTIONS] = true};
    for (size_t i = 0; i < routes->count; i++) {
        struct pf__http_path *path = &routes->paths[i];
        bool allowed[PF__HTTP_ROUTED_METHODS] = {[PF_HTTP_OPTIONS] = true};
        if (!path->by_method[PF_HTTP_HEAD])
            path->by_method[PF_HTTP_HEAD] = path->by_method[PF_HTTP_GET];
        for (int m = 0; m < PF__HTTP_ROUTED_METHODS; m++) {
            allowed[m] |= path->by_method[m] != NULL;
            any[m] |= allowed[m];
        }
        write_allow(path->allow, allowed);
    }
    write_allow(routes->allow, any);
}

int pf__http_routes_new(const struct pf_http_route *table, struct pf__http_routes **out)
{
    size_t count = 0;
    for (; !is_end(&table[count]); count++)
        if (!is_valid(&table[count]))
            return -EINVAL;
    struct pf__http_routes *routes = malloc(sizeof *routes + count * sizeof *routes->paths);
    if (!routes)
        return -ENOMEM;
    routes->count = count;
    list_paths(routes, table);
    int err = merge_paths(routes);
    if (err) {
        free(routes);
        return err;
    }
    complete_paths(routes);
    *out = routes;
    return 0;
}

const struct pf__http_path *pf__http_routes_find(const struct pf__http_routes *routes,
                                                 const char *text, size_t len)
{
    size_t from = 0, to = routes->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct pf__http_path *path = &routes->paths[middle];
        int order = compare_text(text, len, path->text, path->len);
        if (order == 0)
            return path;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}
