/*
 * route.c - routes by host, path and method; see route.h.
 *
 * A group is all routes of one host: exact names come before those with a star, longer
 * before shorter, and those of any host last. The first group that knows the path answers
 * for it, be it with 405. Regular expressions are tried when no group does.
 */
#include "http/route.h"

#include "http/regex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct group {
    const char *host; /* NULL: any */
    struct pf__patterns *patterns;
    struct pf__http_path *paths; /* by the pattern's index */
    size_t count;
};

struct expression {
    const char *host;
    struct pf__regex *regex;
    struct pf__http_path path;
};

struct pf__http_routes {
    const struct pf_http_route *table;
    size_t table_len;
    char allow[PF__HTTP_ALLOW_MAX];
    struct group *groups;
    size_t group_count;
    struct expression *expressions;
    size_t expression_count;
    bool asks_host;
};

/* ---- methods --------------------------------------------------------------------- */

static const char *const method_names[PF__HTTP_ROUTED_METHODS] = {
    [PF_HTTP_GET] = "GET",     [PF_HTTP_HEAD] = "HEAD",     [PF_HTTP_POST] = "POST",
    [PF_HTTP_PUT] = "PUT",     [PF_HTTP_DELETE] = "DELETE", [PF_HTTP_OPTIONS] = "OPTIONS",
    [PF_HTTP_PATCH] = "PATCH",
};

static int method_of(const char *name)
{
    for (int i = 0; i < PF__HTTP_ROUTED_METHODS; i++)
        if (strcmp(name, method_names[i]) == 0)
            return i;
    return -EINVAL;
}

static bool resource_has(const struct pf_http_resource *resource, int method)
{
    switch (method) {
    case PF_HTTP_GET:
        return resource->get != NULL;
    case PF_HTTP_HEAD:
        return resource->head != NULL;
    case PF_HTTP_POST:
        return resource->post != NULL;
    case PF_HTTP_PUT:
        return resource->put != NULL;
    case PF_HTTP_PATCH:
        return resource->patch != NULL;
    case PF_HTTP_DELETE:
        return resource->del != NULL;
    default:
        return resource->options != NULL;
    }
}

static bool answers(const struct pf_http_route *route, int method)
{
    if (route->resource)
        return resource_has(route->resource, method);
    return !route->method || method_of(route->method) == method;
}

/* ---- one path -------------------------------------------------------------------- */

static int refuse(char *why, size_t why_len, int err, const char *path, const char *what)
{
    snprintf(why, why_len, "route %s: %s", path ? path : "without a path", what);
    return err;
}

static int add_to_path(struct pf__http_path *path, const struct pf_http_route *route,
                       char *why, size_t why_len)
{
    for (int i = 0; i < PF__HTTP_ROUTED_METHODS; i++) {
        if (!answers(route, i))
            continue;
        if (path->by_method[i])
            return refuse(why, why_len, -EEXIST, route->path,
                          "has two routes for one method");
        path->by_method[i] = route;
    }
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
static void complete_path(struct pf__http_path *path, bool *any)
{
    bool allowed[PF__HTTP_ROUTED_METHODS] = {[PF_HTTP_OPTIONS] = true};
    if (!path->by_method[PF_HTTP_HEAD])
        path->by_method[PF_HTTP_HEAD] = path->by_method[PF_HTTP_GET];
    for (int m = 0; m < PF__HTTP_ROUTED_METHODS; m++) {
        allowed[m] |= path->by_method[m] != NULL;
        any[m] |= allowed[m];
    }
    write_allow(path->allow, allowed);
}

/* ---- the table ------------------------------------------------------------------- */

static bool is_end(const struct pf_http_route *route)
{
    return !route->method && !route->path && !route->handler && !route->resource;
}

static int check(const struct pf_http_route *route, char *why, size_t why_len)
{
    if (!route->path)
        return refuse(why, why_len, -EINVAL, NULL, "give it one");
    if (!route->handler == !route->resource)
        return refuse(why, why_len, -EINVAL, route->path,
                      "needs a handler or a resource, and not both");
    if (route->resource && route->method)
        return refuse(why, why_len, -EINVAL, route->path,
                      "a resource has its methods itself; leave the method out");
    if ((route->flags & PF_HTTP_BLOCKING) &&
        (route->resource || (route->flags & PF_HTTP_STREAM)))
        return refuse(why, why_len, -EINVAL, route->path,
                      "blocks: needs a handler, and its body collected");
    if (route->method && method_of(route->method) < 0)
        return refuse(why, why_len, -EINVAL, route->path, "has no method of HTTP");
    return 0;
}

static bool is_regex(const struct pf_http_route *route)
{
    return route->flags & PF_HTTP_REGEX;
}

static bool same_host(const char *a, const char *b)
{
    return a == b || (a && b && strcasecmp(a, b) == 0);
}

/* Names before stars, longer before shorter, any host last. */
static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (!x->host || !y->host)
        return !x->host - !y->host;
    int stars = (x->host[0] == '*') - (y->host[0] == '*');
    size_t x_len = strlen(x->host), y_len = strlen(y->host);
    return stars ? stars : (x_len < y_len) - (x_len > y_len);
}

static struct group *group_of(struct pf__http_routes *routes, const char *host)
{
    for (size_t i = 0; i < routes->group_count; i++)
        if (same_host(routes->groups[i].host, host))
            return &routes->groups[i];
    struct group *group = &routes->groups[routes->group_count++];
    *group = (struct group){.host = host};
    return group;
}

/* The group's path with the same pattern, made if need be: there is room for all. */
static struct pf__http_path *path_of(struct group *group, const char *pattern)
{
    for (size_t i = 0; i < group->count; i++)
        if (strcmp(group->paths[i].pattern, pattern) == 0)
            return &group->paths[i];
    struct pf__http_path *path = &group->paths[group->count++];
    *path = (struct pf__http_path){.pattern = pattern};
    return path;
}

static int add_pattern(struct pf__http_routes *routes, const struct pf_http_route *route,
                       char *why, size_t why_len)
{
    struct group *group = group_of(routes, route->host);
    if (!group->paths)
        group->paths = calloc(routes->table_len, sizeof *group->paths);
    if (!group->paths)
        return -ENOMEM;
    return add_to_path(path_of(group, route->path), route, why, why_len);
}

static int add_expression(struct pf__http_routes *routes, const struct pf_http_route *route,
                          char *why, size_t why_len)
{
    struct expression *last = routes->expression_count
                                  ? &routes->expressions[routes->expression_count - 1]
                                  : NULL;
    if (last && strcmp(last->path.pattern, route->path) == 0 &&
        same_host(last->host, route->host))
        return add_to_path(&last->path, route, why, why_len);
    struct expression *new = &routes->expressions[routes->expression_count];
    *new = (struct expression){.host = route->host,
                               .path = {.pattern = route->path, .is_regex = true}};
    char detail[128] = "";
    int err = pf__regex_new(route->path, detail, sizeof detail, &new->regex);
    if (err)
        return refuse(why, why_len, err, route->path,
                      err == -ENOTSUP ? "this library was built without PCRE2" : detail);
    routes->expression_count++;
    return add_to_path(&new->path, route, why, why_len);
}

static int compile_group(struct group *group, bool *any, char *why, size_t why_len)
{
    const char **patterns = calloc(group->count, sizeof *patterns);
    if (!patterns)
        return -ENOMEM;
    for (size_t i = 0; i < group->count; i++) {
        patterns[i] = group->paths[i].pattern;
        complete_path(&group->paths[i], any);
    }
    int err = pf__patterns_new(patterns, group->count, why, why_len, &group->patterns);
    free(patterns);
    return err;
}

static int fill(struct pf__http_routes *routes, char *why, size_t why_len)
{
    bool any[PF__HTTP_ROUTED_METHODS] = {[PF_HTTP_OPTIONS] = true};
    int err = 0;
    for (size_t i = 0; i < routes->table_len && !err; i++) {
        const struct pf_http_route *route = &routes->table[i];
        routes->asks_host = routes->asks_host || route->host;
        err = check(route, why, why_len);
        if (!err)
            err = is_regex(route) ? add_expression(routes, route, why, why_len)
                                  : add_pattern(routes, route, why, why_len);
    }
    for (size_t i = 0; i < routes->group_count && !err; i++)
        err = compile_group(&routes->groups[i], any, why, why_len);
    for (size_t i = 0; i < routes->expression_count; i++)
        complete_path(&routes->expressions[i].path, any);
    if (!err)
        qsort(routes->groups, routes->group_count, sizeof *routes->groups, compare_groups);
    write_allow(routes->allow, any);
    return err;
}

int pf__http_routes_new(const struct pf_http_route *table, char *why, size_t why_len,
                        struct pf__http_routes **out)
{
    struct pf__http_routes *routes = calloc(1, sizeof *routes);
    if (!routes)
        return -ENOMEM;
    routes->table = table;
    while (!is_end(&table[routes->table_len]))
        routes->table_len++;
    routes->groups = calloc(routes->table_len + 1, sizeof *routes->groups);
    routes->expressions = calloc(routes->table_len + 1, sizeof *routes->expressions);
    int err = routes->groups && routes->expressions ? fill(routes, why, why_len) : -ENOMEM;
    if (err)
        pf__http_routes_free(routes);
    else
        *out = routes;
    return err;
}

void pf__http_routes_free(struct pf__http_routes *routes)
{
    if (!routes)
        return;
    for (size_t i = 0; i < routes->group_count; i++) {
        pf__patterns_free(routes->groups[i].patterns);
        free(routes->groups[i].paths);
    }
    for (size_t i = 0; i < routes->expression_count; i++)
        pf__regex_free(routes->expressions[i].regex);
    free(routes->groups);
    free(routes->expressions);
    free(routes);
}

/* ---- finding --------------------------------------------------------------------- */

/* "*.example.com" is for all below example.com, not for that itself. */
static bool is_for(const char *host, struct pf__text asked)
{
    if (!host)
        return true;
    if (host[0] != '*')
        return pf__text_is_word(asked, host);
    size_t len = strlen(host + 1);
    return asked.len > len &&
           pf__text_is_word(pf__text_skip(asked, asked.len - len), host + 1);
}

static const struct pf__http_path *find_expression(const struct pf__http_routes *routes,
                                                   struct pf__text host,
                                                   struct pf__text path,
                                                   struct pf__captures *captures)
{
    for (size_t i = 0; i < routes->expression_count; i++) {
        const struct expression *expression = &routes->expressions[i];
        if (is_for(expression->host, host) &&
            pf__regex_match(expression->regex, path, captures) == 0)
            return &expression->path;
    }
    return NULL;
}

const struct pf__http_path *pf__http_routes_find(const struct pf__http_routes *routes,
                                                 struct pf__text host, struct pf__text path,
                                                 bool escaped,
                                                 struct pf__captures *captures)
{
    const struct group *group = routes->groups, *end = group + routes->group_count;
    captures->count = 0;
    for (; group < end; group++) {
        if (group->host && !is_for(group->host, host))
            continue;
        int found = pf__patterns_match(group->patterns, path, escaped, captures);
        if (found >= 0)
            return &group->paths[found];
    }
    return routes->expression_count > 0 ? find_expression(routes, host, path, captures)
                                        : NULL;
}

bool pf__http_capture_is(const struct pf__http_path *path, size_t n, const char *name)
{
    if (!path->is_regex)
        return pf__text_equals(pf__pattern_capture_name(path->pattern, n),
                               pf__text_of(name));
    char number[8];
    snprintf(number, sizeof number, "%zu", n + 1);
    return strcmp(number, name) == 0;
}

bool pf__http_routes_ask_host(const struct pf__http_routes *routes)
{
    return routes->asks_host;
}

const char *pf__http_routes_allow(const struct pf__http_routes *routes)
{
    return routes->allow;
}

static bool came_before(const struct pf__http_routes *routes, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (routes->table[i].resource == routes->table[at].resource &&
            routes->table[i].arg == routes->table[at].arg)
            return true;
    return false;
}

int pf__http_routes_each_resource(const struct pf__http_routes *routes,
                                  int (*fn)(const struct pf_http_resource *resource,
                                            void *arg))
{
    int err = 0;
    for (size_t i = 0; i < routes->table_len && !err; i++)
        if (routes->table[i].resource && !came_before(routes, i))
            err = fn(routes->table[i].resource, routes->table[i].arg);
    return err;
}
