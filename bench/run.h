/*
 * run.h - one measurement: units in threads, threads in processes, steered from the
 * coordinator's loop in the main thread.
 *
 *     1. processes are forked, threads made; each unit sets up its connections and says so
 *     2. when the last one has, all are told when to begin: the clock starts with
 *        connections standing; after the warm-up all counters begin at nought
 *     3. each second the coordinator reads all tallies and makes a row of the series
 *     4. each unit ends by itself, or all are stopped: by SIGINT or
 *        SIGTERM, or by the watcher
 *     5. threads and processes are joined and their tallies added up
 */
#ifndef PREFORK_BENCH_RUN_H
#define PREFORK_BENCH_RUN_H

#include "bench/plan.h"
#include "bench/result.h"
#include <prefork/loop.h>

/* What a mode does beside the load. Each function may be NULL. On the main thread. */
struct run_watcher {
    /* The measurement begins, at began_ns on CLOCK_MONOTONIC: with a warm-up just now, else
     * in some ms, with the connections standing. `loop` is the coordinator's; add timers,
     * subprocesses, handlers to it. A negative errno ends the run with it. */
    int (*begin)(void *arg, pf_loop *loop, int64_t began_ns);
    /* A row is complete. True: stop early; the run is not failed by it. */
    bool (*row)(void *arg, const struct result_row *row);
    /* It is over, the loop still there: remove what begin added. Not called if that failed,
     * or never was called. */
    void (*end)(void *arg, pf_loop *loop);
    /* Fill in result_row.server_cpu_ns and server_rss. */
    void (*sample)(void *arg, struct result_row *row);
    /* Each second: totals, latencies and errors so far, in a result that is only lent.
     * True: stop early. Costs a merge of all histograms. */
    bool (*judge)(void *arg, struct result *so_far);
    void *arg;
};

enum run_progress {
    RUN_SILENT,
    RUN_LINES,  /* a line each second on standard error */
    RUN_SCREEN, /* a live screen there: screen.h */
};

/*
 * Carry out the plan and fill in the result's plan, totals, latency, status, errors, rows
 * and validity (busy, backlog, Little's law; the verdict is verdict.h's). SIGINT or
 * SIGTERM ends the run early, also if it came before (interrupt.h); a second one kills the
 * program.
 *
 * Returns 0, also if nothing could be reached (totals.opened is 0 then), -EINTR after
 * SIGINT (the result holds what there was), -ECHILD if a process of the load was killed,
 * by others or because it was stopped for seconds (the same; it is said on standard error),
 * or -ENOMEM, -EMFILE, -EAGAIN (threads, processes), or what a unit's loop or the watcher's
 * begin failed with, and no result.
 */
int run_plan(const struct plan *plan, const struct run_watcher *watcher,
             enum run_progress progress, struct result *result);

#endif
