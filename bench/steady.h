/*
 * steady.h - plans of one constant rate, as modes make them for themselves.
 */
#ifndef PREFORK_BENCH_STEADY_H
#define PREFORK_BENCH_STEADY_H

#include "bench/plan.h"

/* What a mode asks at that needs an open loop, when the user names no rate; per second. */
#define STEADY_RATE 1000

/* An open loop at that rate for as long as warm-up and measurement take; with a number of
 * requests and no time, for as long as they take. Keeps the arrival. */
void steady_set(struct plan *plan, double rate);

/* The same at STEADY_RATE, if the plan is a closed one. */
void steady_unless_open(struct plan *plan);

/* A closed loop. */
void steady_close(struct plan *plan);

#endif
