/*
 * verdict.h - was it the server that was measured, or the generator?
 *
 * Pure: a table of rules over a result, each with its limit, what it says and what to do.
 * INVALID if one of the rules that make it so applies, else SUSPECT, else VALID.
 *
 *     INVALID  a process of the load died
 *              nothing was connected to, or not one request answered
 *              ports, descriptors or memory of this machine ran out while connecting
 *              requests were dropped
 *              lag is most of the response time, and beyond VERDICT_LAG_INVALID_LEAST
 *              the counters contradict one another
 *     SUSPECT  a loop was busy for VERDICT_BUSY_MOST of the time, or more: with its own
 *              work, or because it waited for a CPU that others had
 *              lag beyond VERDICT_LAG_SHARE of the response time and VERDICT_LAG_LEAST
 *              a loop stood still for longer than VERDICT_STALL_MOST
 *              Little's law is off by more than VERDICT_LITTLES_MOST
 *     note     server and generator share their CPUs; the CPU governor saves power; SYNs
 *              were sent again
 *
 * A note changes no verdict and begins with "note: ". Lag is judged at p99, but if there
 * are too few samples to tell that, at p90 or at the median; with fewer than 20 not at all.
 */
#ifndef PREFORK_BENCH_VERDICT_H
#define PREFORK_BENCH_VERDICT_H

#include "bench/result.h"

/* A loop so busy may itself be what limits the rate. */
#define VERDICT_BUSY_MOST 0.85
/* Lag p99 may be this share of the response p99, or VERDICT_LAG_LEAST if that is more. */
#define VERDICT_LAG_SHARE 0.10
#define VERDICT_LAG_LEAST INT64_C(250000) /* ns */
/* Lag is a part of the response time. Beyond this share of it, it is what was measured;
 * below VERDICT_LAG_INVALID_LEAST the numbers still say something about a fast server. */
#define VERDICT_LAG_INVALID_SHARE 0.50
#define VERDICT_LAG_INVALID_LEAST INT64_C(10000000) /* ns */
/* So many of the requests that were due must have a response time, an answer or an age:
 * else lag is of others, and is judged by VERDICT_LAG_INVALID_LEAST alone, as SUSPECT. */
#define VERDICT_LAG_ANSWERED 0.98
/* Below that nobody can tell how busy a loop was: the run is hardly longer than its start.
 */
#define VERDICT_BUSY_LEAST INT64_C(50000000) /* ns */
/* The longest time a generator's loop may have stood still. */
#define VERDICT_STALL_MOST INT64_C(100000000) /* ns */
/* result_validity.littles_law may be so far from 1. */
#define VERDICT_LITTLES_MOST 0.10

/* What only the machine knows, beside the result. */
struct verdict_facts {
    int64_t stall_ns; /* the longest time a unit stood still */
    bool shares_cpus; /* server and generator had the same CPUs, with none to spare */
};

/* Fill in result->validity: verdict and reasons, the gravest first; the numbers in it are
 * there already. */
void verdict_give(struct result *result, const struct verdict_facts *facts);

/* The percentile of lag that is judged, 99, 90 or 50; 0: there are too few to tell one. */
int verdict_lag_percent(const struct hdr *lag);

const char *verdict_name(enum result_verdict verdict); /* "VALID" ... */

#endif
