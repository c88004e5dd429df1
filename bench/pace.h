/*
 * pace.h - when requests are due: one schedule for all units, walked by each in its own
 * slots, without memory for the slots that wait.
 *
 * The rate over time is a chain of stages, in each of which it goes evenly from one value
 * to another. Its integral says how many requests are due at a time; the schedule is the
 * inverse. Of W units, unit w owns every W-th slot:
 *
 *     even      slot k falls due when the integral reaches k + 1/2
 *     Poisson   each unit walks a stream of exponential steps with the mean W: together
 *               they are a Poisson process of the whole rate
 *
 * In bursts, an even slot falls due with the first of its `burst` neighbours, whichever
 * units own them; of a Poisson process each unit's slots come `burst` at a time, at steps
 * so many times as long. Either way the rate stays the same.
 *
 * A cursor is a few words, and the same seed always gives the same walk: a unit keeps two,
 * one at what is due (it moves with the clock) and one at what has been sent. What is in
 * between is the backlog, however long it grows. Even slots are computed from their number,
 * so that nothing adds up: each is within 1 ns of the exact time in the first 50 days of a
 * stage. Pure: reads no clock.
 */
#ifndef PREFORK_BENCH_PACE_H
#define PREFORK_BENCH_PACE_H

#include "bench/plan.h"

struct pace {
    const struct plan *plan; /* borrowed: stages, arrival, burst, seed */
    unsigned unit, units;
    uint64_t slot;    /* slots of this unit that were passed; this one is number
                         unit + slot * units of all */
    double amount;    /* the integral at which the slot falls due */
    double total;     /* the integral of all stages */
    unsigned stage;   /* that holds it */
    double before;    /* the integral at that stage's start */
    int64_t stage_ns; /* and its time, from the start of the run */
    uint64_t dice;    /* this unit's key for random numbers */
    int64_t due_ns;   /* of the next slot, from the start of the run; INT64_MAX: none */
};

/* A cursor at the first slot of unit `unit` of `units`. */
void pace_init(struct pace *pace, const struct plan *plan, unsigned unit, unsigned units);

/* When the next slot falls due, in ns from the start of the run; INT64_MAX behind the last
 * stage. Non-decreasing. */
static inline int64_t pace_due(const struct pace *pace)
{
    return pace->due_ns;
}

/* Step over it. Cost: a logarithm (Poisson) or a square root (a ramp), at most. */
void pace_next(struct pace *pace);

/* Requests due from the start up to a time, over all units: the integral. */
double pace_amount(const struct plan *plan, int64_t at_ns);

#endif
