/*
 * slo.h - what a run must reach: `p99<5ms,err<0.1%,rate>=49k,cpu<60us,fair>0.95`.
 *
 *     min p50 p99 p99.9 max mean   of the response time (closed loop: of service); any pN
 *     service.p99 connect.max      of another one: response service ttfb connect error lag
 *     err      failed or wrong requests, and answers of 400 and above unless --expect
 *              allows them: a share of those sent: 0.1%, or 0.001
 *     lost     requests lost (tally.h), a number
 *     rate     ok per second, with k or m: 49k
 *     cpu      the server's CPU time per request
 *     rss      the server's memory, with k, m, g (powers of 1024)
 *     fair     Jain's index over its workers
 *     lag      p99 of the generator's own delay
 *
 * Operators: < <= > >=. Times have a unit: ns us ms s m h. Blanks are passed over.
 *
 * A percentile of too few samples is unknown, which fails; so is one of none.
 *
 * Where requests were censored, a time may be a lower bound only: then it cannot pass < or
 * <=, and is written as ">=3.00ms".
 */
#ifndef PREFORK_BENCH_SLO_H
#define PREFORK_BENCH_SLO_H

#include "bench/result.h"

/* Parse into goals of result->slos (expr set, nothing judged). Returns how many, or -EINVAL
 * with a phrase in `why` that names the part and what would be right; out is then
 * untouched. */
int slo_parse(const char *text, struct result_slo *out, size_t max, char *why,
              size_t why_len);

/* Judge each of result->slos by the rest of the result; an actual value that is not known
 * fails, and so does an expr (of a document) that is none. Returns how many failed. */
unsigned slo_judge(struct result *result);

/* The limit in ns of a goal that is an upper one of the response time: min, max or pN. NAN
 * if it is about something else, or no goal, or no time is so long. */
double slo_time_limit(const char *expr);

/* Answers that a goal needs to mean something, such as 1,000 for p99 (hdr_needed()); 0: any
 * number will do, or it is no goal. */
uint64_t slo_samples(const char *expr);

#endif
