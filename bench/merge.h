/*
 * merge.h - results of several generators that loaded one server at the same time, as if
 * they were one: counters and histograms add up without loss, rates and connections too.
 * Runs after one another are compare.h's.
 */
#ifndef PREFORK_BENCH_MERGE_H
#define PREFORK_BENCH_MERGE_H

#include "bench/result.h"

/*
 * Add `from` to `into`. Returns 0, -ENOMEM, or -EINVAL with a phrase in `why`, and then
 * nothing has been changed: the plans differ in what cannot be added (target, loop model,
 * pipelining, duration ...), they are of a mode whose answer is no sum, or one began after
 * the other's end.
 *
 * What adds up: counters, histograms, status, errors by kind, rows of the series at the
 * same time, rates and connections of the plan. Elapsed is the longest, the verdict the
 * worst, with everyone's reasons. The server's side is that of the first that knows it:
 * all saw the same server. Goals are to be judged anew: slo_judge().
 */
int merge_result(struct result *into, const struct result *from, char *why, size_t why_len);

/* Are they of one measurement? No two have the same times, to the nanosecond. */
bool merge_is_same(const struct result *a, const struct result *b);

#endif
