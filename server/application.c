/* application.c - see application.h. */
#include "server/application.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- its size -------------------------------------------------------------------- */

/* Larger than a struct pf_app will ever be: more is no size. */
enum {
    SIZE_LIMIT = 4096
};

/* What the library does not know of must not be asked for. */
static bool is_empty(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

int pf__app_take(const struct pf_app *given, struct pf_app *out, char *why, size_t why_len)
{
    if (given->size < offsetof(struct pf_app, interface) + sizeof given->interface ||
        given->size > SIZE_LIMIT) {
        snprintf(why, why_len, "its size is wrong; begin it with PF_APP");
        return -EINVAL;
    }
    if (given->interface != PF_APP_INTERFACE) {
        snprintf(why, why_len,
                 "it was compiled for version %u of the interface, and this is version %d; "
                 "compile it again",
                 given->interface, PF_APP_INTERFACE);
        return -EINVAL;
    }
    size_t known = given->size < sizeof *out ? given->size : sizeof *out;
    if (!is_empty((const char *)given + known, given->size - known)) {
        snprintf(why, why_len, "it asks for more than prefork %s has; use a newer one",
                 pf_version());
        return -EINVAL;
    }
    *out = (struct pf_app){0};
    memcpy(out, given, known);
    out->size = sizeof *out;
    return 0;
}

/* ---- facts ----------------------------------------------------------------------- */

/* A name in front, so that the routes' are all different however they are cut. */
static void add_routes(const struct pf_http_route *routes, struct pf__facts *facts)
{
    size_t at = facts->own_columns;
    for (; (routes->path || routes->handler || routes->resource) &&
           at < PF_SERVICE_COLUMNS_MAX;
         routes++, at++) {
        struct pf__column_fact *column = &facts->columns[at];
        column->kind = PF_COLUMN_COUNTER;
        int n = snprintf(column->name, sizeof column->name, "route-%zu %s %s",
                         facts->route_columns, routes->method ? routes->method : "*",
                         routes->path ? routes->path : "");
        (void)n; /* cut, as promised */
        facts->route_columns++;
    }
}

static bool add_own(const struct pf_app *app, struct pf__facts *facts)
{
    if (app->column_count > PF_SERVICE_COLUMNS_MAX || (app->column_count && !app->columns))
        return false;
    for (size_t i = 0; i < app->column_count; i++) {
        const struct pf_column *column = &app->columns[i];
        struct pf__column_fact *fact = &facts->columns[i];
        if (!column->name || strlen(column->name) >= sizeof fact->name ||
            column->writer != PF_COLUMN_LANE)
            return false;
        fact->kind = column->kind;
        memcpy(fact->name, column->name, strlen(column->name) + 1);
    }
    facts->own_columns = app->column_count;
    return true;
}

int pf__app_facts(const struct pf_app *app, struct pf__facts *out, char *why,
                  size_t why_len)
{
    struct pf__facts facts = {.http = app->routes != NULL,
                              .on_connection = app->on_connection != NULL,
                              .on_datagram = app->on_datagram != NULL};
    if (!app->name || !*app->name) {
        snprintf(why, why_len, "it has no name; give it one");
        return -EINVAL;
    }
    if (facts.http == (facts.on_connection || facts.on_datagram)) {
        snprintf(why, why_len,
                 "it has neither routes nor a function for connections or "
                 "datagrams, or both: give it one");
        return -EINVAL;
    }
    if (!add_own(app, &facts)) {
        snprintf(why, why_len,
                 "its columns are wrong; at most %d, with names shorter than %d bytes, "
                 "written by lanes",
                 PF_SERVICE_COLUMNS_MAX, PF_SCOREBOARD_NAME_MAX);
        return -EINVAL;
    }
    if (facts.http)
        add_routes(app->routes, &facts);
    snprintf(facts.name, sizeof facts.name, "%s", app->name);
    *out = facts;
    return 0;
}
