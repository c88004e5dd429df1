/*
 * slo_internal.h - goals, in two files:
 *
 *     slo.c          what is a goal, and whether it was reached
 *     slo_actual.c   what was reached, of each metric, and how it is written
 */
#ifndef PREFORK_BENCH_SLO_INTERNAL_H
#define PREFORK_BENCH_SLO_INTERNAL_H

#include "bench/slo.h"

enum slo_comparison {
    SLO_LESS,
    SLO_AT_MOST,
    SLO_MORE,
    SLO_AT_LEAST,
};

enum slo_statistic {
    SLO_PERCENTILE,
    SLO_MEAN,
};

enum {
    SLO_KIND_MAIN = -1
};

struct slo_metric;

struct slo_goal {
    const struct slo_metric *metric;
    int kind; /* of a latency: enum result_kind, or SLO_KIND_MAIN */
    enum slo_statistic statistic;
    int64_t percent; /* in HDR_PERCENT */
    enum slo_comparison op;
    double limit;
};

/* What was reached; NAN: unknown. *bound: it may be more than that; of NAN, that samples
 * are there but too few. */
typedef double slo_actual_fn(const struct result *result, const struct slo_goal *goal,
                             bool *bound);

/* As figure.h's, of what slo_actual_fn gives. */
typedef char *slo_text_fn(double value, char *text);

/* ---- slo_actual.c */

/* Samples without which a latency means nothing: see hdr_can_tell(). The least, the
 * greatest and the mean are what they are. */
uint64_t slo_samples_of(const struct slo_goal *goal);

extern slo_actual_fn slo_actual_latency, slo_actual_err, slo_actual_lost, slo_actual_rate,
    slo_actual_cpu, slo_actual_rss, slo_actual_fair;
extern slo_text_fn slo_text_time, slo_text_share, slo_text_count, slo_text_rate,
    slo_text_bytes, slo_text_index;

#endif
