/*
 * run_progress.c - where a run is, on standard error: a line each second, or a screen.
 */
#include "bench/run_internal.h"

#include "bench/figure.h"
#include "bench/screen.h"
#include <inttypes.h>
#include <stdio.h>

void run_progress_open(struct run *run)
{
    /* No terminal that is large enough: lines do. */
    if (run->progress == RUN_SCREEN && screen_open(&run->screen) != 0)
        run->progress = RUN_LINES;
}

void run_progress_close(struct run *run)
{
    screen_close(run->screen);
    run->screen = NULL;
}

/* "open 20,000/s c=64 t=1" */
static void describe(const struct plan *plan, char *text, size_t len)
{
    char rate[FIGURE_MAX];
    if (plan->load == PLAN_OPEN)
        snprintf(text, len, "open %s/s  c=%u t=%u", figure_rate(plan_mean_rate(plan), rate),
                 plan->connections, plan->threads);
    else
        snprintf(text, len, "closed  c=%u t=%u", plan->connections, plan->threads);
}

void run_progress_draw(struct run *run, int64_t now)
{
    const struct tally *sum = run->sum;
    char load[96];
    describe(run->plan, load, sizeof load);
    int64_t start = run->begun ? run->began_ns : run->began_ns - run->plan->warmup_ns;
    int64_t elapsed = now - start, duration = run->plan->duration_ns;
    double seconds = (double)(now - run->drawn_ns) / 1e9;
    struct screen_view view = {
        .title = run->plan->url,
        .load = load,
        .elapsed_ns = run->begun && duration && elapsed > duration ? duration : elapsed,
        .duration_ns = duration,
        .requests = run->plan->requests,
        .warming = !run->begun,
        .ok = sum->ok,
        .rate = seconds > 0 ? (double)(sum->ok - run->drawn_ok) / seconds : 0,
        .failed = sum->failed,
        .wrong = sum->wrong,
        .dropped = sum->dropped,
        .in_flight = sum->in_flight,
        .backlog = sum->backlog,
        .rows = run->series.rows,
        .row_count = run->series.count,
    };
    run->drawn_ns = now;
    run->drawn_ok = sum->ok;
    screen_show(run->screen, &view);
}

void run_progress_line(const struct run *run, const struct result_row *row, uint64_t failed)
{
    if (run->progress != RUN_LINES)
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
