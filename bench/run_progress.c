/*
 * run_progress.c - where a run is, on standard error: a line each second.
 */
#include "bench/run_internal.h"

#include "bench/figure.h"
#include <inttypes.h>
#include <stdio.h>

void run_progress_show(const struct run *run, const struct result_row *row, uint64_t failed)
{
    if (run->progress == RUN_SILENT)
        return;
    char rate[FIGURE_MAX], p99[FIGURE_MAX], backlog[FIGURE_MAX], text[96];
    double seconds = (double)row->span_ns / 1e9;
    int n = snprintf(text, sizeof text, "%4" PRId64 "s  %s/s  p99 %s  %" PRIu64 " failed",
                     row->t_ns / PF_SECOND, figure_count((double)row->ok / seconds, rate),
                     figure_time(row->p99_ns, p99), failed);
    if (row->backlog > 0 && n > 0 && n < (int)sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "  backlog %s",
                 figure_count((double)row->backlog, backlog));
    fprintf(stderr, "%s\n", text);
}
