/* status.c - see status.h. */
#include "master/status.h"

#include "master/json.h"

#include <errno.h>
#include <stdlib.h>

static void put_string(FILE *to, const char *key, const char *text)
{
    fprintf(to, ",\"%s\":", key);
    pf__json_string(to, text);
}

static void put_seconds(FILE *to, const char *key, int64_t ns)
{
    fprintf(to, ",\"%s\":", key);
    pf__json_seconds(to, ns);
}

/* Negative: null. */
static void put_number(FILE *to, const char *key, int64_t value)
{
    fprintf(to, ",\"%s\":", key);
    pf__json_or_null(to, value);
}

static void put_count(FILE *to, const char *key, uint64_t value)
{
    fprintf(to, ",\"%s\":", key);
    pf__json_count(to, value);
}

/* The members of an object that has one already. */
static void put_counts(FILE *to, const struct pf__status_counts *counts)
{
    put_count(to, "connections", counts->connections);
    put_count(to, "requests", counts->requests);
    put_count(to, "bytes_out", counts->bytes_out);
    put_count(to, "refused", counts->refused);
}

static void put_lane(FILE *to, const struct pf__status_lane *lane)
{
    fprintf(to, "{\"thread\":%d", lane->thread);
    put_number(to, "cpu", lane->cpu);
    put_string(to, "state", lane->state);
    fprintf(to, ",\"stuck\":%s", lane->stuck ? "true" : "false");
    put_number(to, "beat_age_ms", lane->beat_age_ms);
    put_number(to, "adopted_by", lane->adopted_by);
    put_count(to, "accepted", lane->counts.accepted);
    put_counts(to, &lane->counts);
    fputc('}', to);
}

static void put_worker(FILE *to, const struct pf__status_worker *worker)
{
    fprintf(to, "{\"worker\":%u", worker->slot);
    put_number(to, "pid", worker->pid ? worker->pid : -1);
    put_string(to, "state", worker->state);
    put_seconds(to, "uptime_s", worker->uptime_ns);
    put_count(to, "starts", worker->starts);
    put_count(to, "failures", worker->failures);
    put_string(to, "last_end", worker->last_end);
    put_seconds(to, "next_start_s", worker->next_start_ns);
    fputs(",\"lanes\":[", to);
    for (size_t i = 0; i < worker->lane_count; i++) {
        fputs(i ? "," : "", to);
        put_lane(to, &worker->lanes[i]);
    }
    fputs("]}", to);
}

static void put_address(FILE *to, const struct pf__status_address *address)
{
    fputs("{\"address\":", to);
    pf__json_string(to, address->text);
    put_string(to, "kind", address->kind);
    put_number(to, "queue", address->queue);
    put_number(to, "queue_limit", address->queue_limit);
    fputc('}', to);
}

static void put_supervision(FILE *to, const struct pf__status_supervision *counts)
{
    fputs(",\"supervision\":{\"restarts\":", to);
    pf__json_count(to, counts->restarts);
    put_count(to, "crashes", counts->crashes);
    put_count(to, "adoptions", counts->adoptions);
    put_count(to, "stuck", counts->stuck);
    put_count(to, "undead", counts->undead);
    fputc('}', to);
}

static void put_view(FILE *to, const struct pf__status_view *view)
{
    fputs("{\"ok\":true", to);
    put_string(to, "version", view->version);
    put_number(to, "pid", view->pid);
    put_string(to, "state", view->state);
    put_seconds(to, "uptime_s", view->uptime_ns);
    put_string(to, "accept", view->accept);
    put_string(to, "steer", view->steer);
    put_string(to, "pin", view->pin);
    put_number(to, "workers_wanted", view->workers);
    put_number(to, "threads", view->threads);
    fputs(",\"totals\":{\"accepted\":", to);
    pf__json_count(to, view->totals.accepted);
    put_counts(to, &view->totals);
    fputc('}', to);
    put_supervision(to, &view->supervision);
    fputs(",\"addresses\":[", to);
    for (size_t i = 0; i < view->address_count; i++) {
        fputs(i ? "," : "", to);
        put_address(to, &view->addresses[i]);
    }
    fputs("],\"workers\":[", to);
    for (size_t i = 0; i < view->slot_count; i++) {
        fputs(i ? "," : "", to);
        put_worker(to, &view->slots[i]);
    }
    fputs("]}", to);
}

int pf__status_write(const struct pf__status_view *view, char **out, size_t *len)
{
    char *text = NULL;
    size_t text_len = 0;
    FILE *to = open_memstream(&text, &text_len);
    if (!to)
        return -ENOMEM;
    put_view(to, view);
    int failed = ferror(to);
    failed |= fclose(to); /* text is there only now; it may fail too */
    if (failed) {
        free(text);
        return -ENOMEM;
    }
    *out = text;
    *len = text_len;
    return 0;
}
