/*
 * slo.h - what a run must reach: `p99<5ms,err<0.1%,rate>=49k,cpu<60us,fair>0.95`.
 *
 *     min p50 p99 p99.9 max mean   of the response time (closed loop: of service); any pN
 *     service.p99 connect.max ttfb.p50   of another one
 *     err      failed or wrong requests, a share of those sent: 0.1%, or 0.001
 *     lost     requests lost (tally.h), a number
 *     rate     ok per second
 *     cpu      the server's CPU time per request
 *     rss      the server's memory, with k, m, g
 *     fair     Jain's index over its workers
 *     lag      p99 of the generator's own delay
 *
 * Operators: < <= > >=.
 */
#ifndef PREFORK_BENCH_SLO_H
#define PREFORK_BENCH_SLO_H

#include "bench/result.h"

/* Parse into goals of result->slos (expr set, nothing judged). Returns how many, or -EINVAL
 * with a phrase in `why` that names the part and what would be right. */
int slo_parse(const char *text, struct result_slo *out, size_t max, char *why,
              size_t why_len);

/* Judge each of result->slos by the rest of the result; an actual value that is not known
 * fails. Returns how many failed. */
unsigned slo_judge(struct result *result);

#endif
