/*
 * unit.h - one thread's share of the load: its connections, on a loop of its own.
 *
 *     unit_new(&share, &unit);
 *     unit_run(unit);               in a thread of its own; returns when it is done
 *     unit_free(unit);
 *
 * It is steered by bytes in a pipe, which it watches, and answers by callbacks, which the
 * same thread runs; so it does not matter whether who steers it is in the same process:
 *
 *     1. it sets up its connections, and says on_ready
 *     2. UNIT_GO: it waits until *go_ns, and asks until its time or number is over; what is
 *        due by then it waits for, up to the plan's drain_ns
 *     3. UNIT_STOP: nothing new falls due from now on; what is due it waits for as in 2. Of
 * a warm-up nothing is waited for, and it counts for nothing. A second one, or the end of
 * the pipe: it ends at once, from wherever it is
 *     4. it says on_done; what came of it is in the tally
 *
 * Closed loop: a connection sends a batch of `pipeline` requests in one send, and the next
 * one when all of them are answered. Open loop: what falls due is sent on a connection with
 * room, the one that has waited longest; if there is none it joins a backlog without
 * memory: two cursors of the schedule, one at what is due and one at what has been sent.
 * The path from "readable" to "sent" is one recv and one send, and neither allocates nor
 * makes a system call beside: one timer stands at the next slot, and timeouts are found by
 * a scan.
 */
#ifndef PREFORK_BENCH_UNIT_H
#define PREFORK_BENCH_UNIT_H

#include "bench/plan.h"
#include "bench/tally.h"
#include <prefork/loop.h>

struct unit;

#define UNIT_GO   'g'
#define UNIT_STOP 's'

/* Called on the unit's thread, each once; they must not block. */
typedef void unit_event_fn(void *arg);

struct unit_share {
    const struct plan *plan; /* borrowed until unit_free() */
    unsigned index, units;   /* this one, of all there are in all processes */
    unsigned connections;    /* of plan->connections */
    unsigned connections_max;
    uint64_t requests;       /* of plan->requests; not read when the plan goes by time */
    struct tally *tally;     /* borrowed, initialised; often in shared memory */
    int64_t *hashes;         /* for expect_end(): of each request; often shared as well */
    const int64_t *go_ns;    /* read at UNIT_GO: when to begin, on CLOCK_MONOTONIC */
    int steering;            /* end of a pipe to read from, non-blocking; borrowed */
    unit_event_fn *on_ready; /* set up: each connection was tried, or none can be made */
    unit_event_fn *on_done;
    void *arg;
};

/* Returns 0 or -ENOMEM. No loop is made here: it may come before a fork. */
int unit_new(const struct unit_share *share, struct unit **out);
void unit_free(struct unit *unit);

/* Make a loop and run to the end; to be called once. Returns 0, or what pf_loop_new(),
 * pf_loop_start() or the first registrations answer; on_done is called only with 0. */
int unit_run(struct unit *unit);

#endif
