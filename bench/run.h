/*
 * run.h - one measurement: threads with a client each, steered from the main thread's loop.
 *
 *     1. each thread sets up its connections and says so
 *     2. when the last one has, all are told to go: the clock starts with connections
 * standing
 *     3. each ends by itself, or all are stopped by SIGINT
 *     4. the threads are joined and their tallies added up
 */
#ifndef PREFORK_BENCH_RUN_H
#define PREFORK_BENCH_RUN_H

#include "bench/plan.h"
#include "bench/tally.h"

struct run_result {
    struct tally tally;
    bool interrupted; /* by SIGINT */
};

/*
 * Carry out the plan. With standard error on a terminal, a line of progress each second
 * goes there. SIGINT ends the run early; a second one kills the program.
 *
 * Returns 0, also if nothing could be reached (then result->tally.connect.count is 0 and
 * the measurement did not begin), or -ENOMEM, -EMFILE, -EAGAIN (threads): no result.
 */
int run_plan(const struct plan *plan, struct run_result *result);

#endif
