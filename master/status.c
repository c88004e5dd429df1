/* status.c - see status.h. */
#include "master/status.h"

#include "master/json.h"

#include <errno.h>
#include <stdlib.h>

/* ,"key": - of a member that is not its object's first. */
static void put_key(struct pf__json *to, const char *key)
{
    pf__json_put(to, ",\"");
    pf__json_put(to, key);
    pf__json_put(to, "\":");
}

static void put_string(struct pf__json *to, const char *key, const char *text)
{
    put_key(to, key);
    pf__json_string(to, text);
}

static void put_seconds(struct pf__json *to, const char *key, int64_t ns)
{
    put_key(to, key);
    pf__json_seconds(to, ns);
}

/* Negative: null. */
static void put_number(struct pf__json *to, const char *key, int64_t value)
{
    put_key(to, key);
    pf__json_or_null(to, value);
}

static void put_count(struct pf__json *to, const char *key, uint64_t value)
{
    put_key(to, key);
    pf__json_count(to, value);
}

/* The members of an object that has one already. */
static void put_counts(struct pf__json *to, const struct pf__status_counts *counts)
{
    put_count(to, "connections", counts->connections);
    put_count(to, "requests", counts->requests);
    put_count(to, "bytes_out", counts->bytes_out);
    put_count(to, "refused", counts->refused);
}

static void put_lane(struct pf__json *to, const struct pf__status_lane *lane)
{
    pf__json_put(to, "{\"thread\":");
    pf__json_or_null(to, lane->thread);
    put_number(to, "cpu", lane->cpu);
    put_string(to, "state", lane->state);
    put_key(to, "stuck");
    pf__json_put(to, lane->stuck ? "true" : "false");
    put_number(to, "beat_age_ms", lane->beat_age_ms);
    put_number(to, "adopted_by", lane->adopted_by);
    put_count(to, "accepted", lane->counts.accepted);
    put_counts(to, &lane->counts);
    pf__json_put(to, "}");
}

static void put_worker(struct pf__json *to, const struct pf__status_worker *worker)
{
    pf__json_put(to, "{\"worker\":");
    pf__json_count(to, worker->slot);
    put_number(to, "pid", worker->pid ? worker->pid : -1);
    put_string(to, "state", worker->state);
    put_seconds(to, "uptime_s", worker->uptime_ns);
    put_count(to, "starts", worker->starts);
    put_count(to, "failures", worker->failures);
    put_string(to, "last_end", worker->last_end);
    put_seconds(to, "next_start_s", worker->next_start_ns);
    pf__json_put(to, ",\"lanes\":[");
    for (size_t i = 0; i < worker->lane_count; i++) {
        pf__json_put(to, i ? "," : "");
        put_lane(to, &worker->lanes[i]);
    }
    pf__json_put(to, "]}");
}

static void put_address(struct pf__json *to, const struct pf__status_address *address)
{
    pf__json_put(to, "{\"address\":");
    pf__json_string(to, address->text);
    put_string(to, "kind", address->kind);
    put_number(to, "queue", address->queue);
    put_number(to, "queue_limit", address->queue_limit);
    pf__json_put(to, "}");
}

static void put_supervision(struct pf__json *to,
                            const struct pf__status_supervision *counts)
{
    pf__json_put(to, ",\"supervision\":{\"restarts\":");
    pf__json_count(to, counts->restarts);
    put_count(to, "crashes", counts->crashes);
    put_count(to, "adoptions", counts->adoptions);
    put_count(to, "stuck", counts->stuck);
    put_count(to, "undead", counts->undead);
    pf__json_put(to, "}");
}

static void put_columns(struct pf__json *to, const struct pf__status_column *columns,
                        size_t count)
{
    pf__json_put(to, ",\"columns\":{");
    for (size_t i = 0; i < count; i++) {
        pf__json_put(to, i ? "," : "");
        pf__json_string(to, columns[i].name);
        pf__json_put(to, ":");
        pf__json_count(to, columns[i].value);
    }
    pf__json_put(to, "}");
}

static void put_view(struct pf__json *to, const struct pf__status_view *view)
{
    pf__json_put(to, "{\"ok\":true");
    put_string(to, "version", view->version);
    put_number(to, "pid", view->pid);
    put_string(to, "state", view->state);
    put_seconds(to, "uptime_s", view->uptime_ns);
    put_string(to, "accept", view->accept);
    put_string(to, "steer", view->steer);
    put_string(to, "pin", view->pin);
    put_number(to, "workers_wanted", view->workers);
    put_number(to, "threads", view->threads);
    pf__json_put(to, ",\"totals\":{\"accepted\":");
    pf__json_count(to, view->totals.accepted);
    put_counts(to, &view->totals);
    pf__json_put(to, "}");
    put_columns(to, view->columns, view->column_count);
    put_supervision(to, &view->supervision);
    pf__json_put(to, ",\"addresses\":[");
    for (size_t i = 0; i < view->address_count; i++) {
        pf__json_put(to, i ? "," : "");
        put_address(to, &view->addresses[i]);
    }
    pf__json_put(to, "],\"workers\":[");
    for (size_t i = 0; i < view->slot_count; i++) {
        pf__json_put(to, i ? "," : "");
        put_worker(to, &view->slots[i]);
    }
    pf__json_put(to, "]}");
}

int pf__status_write(const struct pf__status_view *view, char **out, size_t *len)
{
    struct pf__json to = {0};
    put_view(&to, view);
    if (to.failed) {
        free(to.text);
        return -ENOMEM;
    }
    *out = to.text;
    *len = to.len;
    return 0;
}
