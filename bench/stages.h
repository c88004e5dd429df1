/*
 * stages.h - an open schedule as the command line gives it: `10s:1k,30s:20k,5s:0`.
 *
 * Each stage is a duration and the rate that it reaches at its end, going evenly from where
 * the one before it left off; the first one holds its rate. `30s:1k-20k` says both ends: so
 * `10s:1k,10s:2k-2k` is a step.
 */
#ifndef PREFORK_BENCH_STAGES_H
#define PREFORK_BENCH_STAGES_H

#include "bench/plan.h"

/*
 * Read stages into stages[0..PLAN_STAGES_MAX). Returns how many, or -EINVAL with a phrase
 * in `why` that names the part and what would be right. Their durations add up to at most
 * STAGES_MOST, their requests to more than nought.
 */
int stages_parse(const char *text, struct plan_stage *stages, char *why, size_t why_len);

#define STAGES_MOST (INT64_C(1000) * 3600 * 1000000000)

/* Put a stage of that time in front, at the rate where the first begins, or, if that is 0,
 * where it ends. Returns the new count, or -EINVAL (no room). */
int stages_warm_up(struct plan_stage *stages, unsigned count, int64_t warmup_ns);

int64_t stages_duration(const struct plan_stage *stages, unsigned count);

#endif
