#include "bench/row.h"

#include "bench/series.h"

#define LAST_BIN (RESULT_HEAT_BINS - 1)

int64_t row_percentile(const struct result_row *row, unsigned percent)
{
    uint64_t total = 0, seen = 0;
    for (unsigned bin = 0; bin < RESULT_HEAT_BINS; bin++)
        total += row->heat[bin];
    if (total == 0)
        return RESULT_UNKNOWN;
    uint64_t rank = (total * percent + 50) / 100;
    unsigned bin = 0;
    while (bin < LAST_BIN && (seen += row->heat[bin]) < (rank ? rank : 1))
        bin++;
    int64_t top = series_bin_top(bin);
    return row->max_ns >= 0 && (bin == LAST_BIN || top > row->max_ns) ? row->max_ns : top;
}

/* RESULT_UNKNOWN is below all that is known. */
static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t sum_of(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return RESULT_UNKNOWN;
    return a + b < RESULT_MOST ? a + b : RESULT_MOST;
}

static void add_counts(struct result_row *row, const struct result_row *from)
{
    row->planned += from->planned;
    row->sent += from->sent;
    row->ok += from->ok;
    row->err += from->err;
}

static void add_times(struct result_row *row, const struct result_row *from)
{
    bool alone = row->max_ns < 0 || from->max_ns < 0;
    row->max_ns = larger(row->max_ns, from->max_ns);
    for (unsigned bin = 0; bin < RESULT_HEAT_BINS; bin++) {
        uint64_t sum = (uint64_t)row->heat[bin] + from->heat[bin];
        row->heat[bin] = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
    }
    row->p50_ns = alone ? larger(row->p50_ns, from->p50_ns) : row_percentile(row, 50);
    row->p99_ns = alone ? larger(row->p99_ns, from->p99_ns) : row_percentile(row, 99);
}

void row_join(struct result_row *row, const struct result_row *next)
{
    int64_t began_ns = row->t_ns - row->span_ns;
    row->t_ns = larger(row->t_ns, next->t_ns);
    row->span_ns = row->t_ns - began_ns;
    add_counts(row, next);
    add_times(row, next);
    row->in_flight = next->in_flight;
    if (next->backlog > row->backlog)
        row->backlog = next->backlog;
    row->server_cpu_ns = sum_of(row->server_cpu_ns, next->server_cpu_ns);
    row->server_rss = larger(row->server_rss, next->server_rss);
}

void row_add(struct result_row *row, const struct result_row *other)
{
    row->t_ns = larger(row->t_ns, other->t_ns);
    row->span_ns = larger(row->span_ns, other->span_ns);
    add_counts(row, other);
    add_times(row, other);
    row->in_flight += other->in_flight;
    row->backlog += other->backlog;
    if (row->server_cpu_ns < 0)
        row->server_cpu_ns = other->server_cpu_ns;
    if (row->server_rss < 0)
        row->server_rss = other->server_rss;
}
