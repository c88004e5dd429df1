/*
 * verdict.h - was it the server that was measured, or the generator?
 *
 * Pure: a table of rules over a result, each with its limit, what it says and what to do.
 * INVALID if one of the rules that make it so applies, else SUSPECT, else VALID.
 */
#ifndef PREFORK_BENCH_VERDICT_H
#define PREFORK_BENCH_VERDICT_H

#include "bench/result.h"

/* A loop busier than that may itself be what limits the rate. */
#define VERDICT_BUSY_MOST 0.85
/* Lag p99 may be this share of the response p99, or VERDICT_LAG_LEAST if that is more. */
#define VERDICT_LAG_SHARE 0.10
#define VERDICT_LAG_LEAST INT64_C(250000) /* ns */
/* The longest time a generator's loop may have stood still. */
#define VERDICT_STALL_MOST INT64_C(100000000) /* ns */
/* An open loop whose backlog at its end holds more than this share of a second's requests
 * has measured its own queue: said, but no fault of the generator's. */
#define VERDICT_LITTLES_MOST 0.10

/* What only the machine knows, beside the result. */
struct verdict_facts {
    int64_t stall_ns; /* the longest time a unit stood still */
    bool shares_cpus; /* server and generator had the same CPUs, with none to spare */
};

/* Fill in result->validity: verdict and reasons; the numbers in it are there already. */
void verdict_give(struct result *result, const struct verdict_facts *facts);

const char *verdict_name(enum result_verdict verdict); /* "VALID" ... */

#endif
