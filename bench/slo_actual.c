#include "bench/slo_internal.h"

#include "bench/figure.h"
#include <math.h>
#include <stdio.h>

uint64_t slo_samples_of(const struct slo_goal *goal)
{
    if (goal->statistic != SLO_PERCENTILE || goal->percent <= 0 ||
        goal->percent >= 100 * HDR_PERCENT)
        return 0;
    return hdr_needed(goal->percent);
}

double slo_actual_latency(const struct result *result, const struct slo_goal *goal,
                          bool *bound)
{
    const struct result_latency *latency = goal->kind == SLO_KIND_MAIN
                                               ? result_main_latency(result)
                                               : &result->latency[goal->kind];
    if (!latency->hdr || latency->hdr->count == 0)
        return NAN;
    bool mean = goal->statistic == SLO_MEAN;
    *bound = slo_samples_of(goal) > latency->hdr->count;
    if (*bound)
        return NAN;
    int64_t value =
        mean ? hdr_mean(latency->hdr) : hdr_percentile(latency->hdr, goal->percent);
    /* Any of the missing ones would move the mean. */
    *bound = latency->censored_at_ns >= 0 && (mean || value >= latency->censored_at_ns);
    return (double)value;
}

/* Answers of 400 and above that nobody allowed: the ones that are neither ok nor wrong. */
static uint64_t refused(const struct result *result)
{
    const struct result_totals *totals = &result->totals;
    uint64_t answers = 0, from_400 = 0;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        answers += result->status[i];
        from_400 += i >= 400 ? result->status[i] : 0;
    }
    uint64_t told = totals->ok + totals->wrong;
    uint64_t untold = answers > told ? answers - told : 0;
    return untold < from_400 ? untold : from_400;
}

double slo_actual_err(const struct result *result, const struct slo_goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    const struct result_totals *totals = &result->totals;
    uint64_t errors = totals->failed + totals->wrong + refused(result);
    return totals->sent ? (double)errors / (double)totals->sent : NAN;
}

double slo_actual_lost(const struct result *result, const struct slo_goal *goal,
                       bool *bound)
{
    (void)goal;
    (void)bound;
    return (double)result_lost(result);
}

double slo_actual_rate(const struct result *result, const struct slo_goal *goal,
                       bool *bound)
{
    (void)goal;
    (void)bound;
    return result->totals.elapsed_ns > 0 ? result_rate(result) : NAN;
}

double slo_actual_cpu(const struct result *result, const struct slo_goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return result_cpu_per_request(result);
}

double slo_actual_rss(const struct result *result, const struct slo_goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return result->server.rss_max >= 0 ? (double)result->server.rss_max : NAN;
}

double slo_actual_fair(const struct result *result, const struct slo_goal *goal,
                       bool *bound)
{
    (void)goal;
    (void)bound;
    return result->server.jain;
}

char *slo_text_time(double value, char *text)
{
    return figure_time(value < 0x1p62 ? llround(value) : INT64_MAX, text);
}

char *slo_text_share(double value, char *text)
{
    return figure_share(value, text);
}

char *slo_text_count(double value, char *text)
{
    return figure_rate(value, text);
}

char *slo_text_rate(double value, char *text)
{
    char number[FIGURE_MAX];
    snprintf(text, FIGURE_MAX, "%.28s/s", figure_rate(value, number));
    return text;
}

char *slo_text_bytes(double value, char *text)
{
    return figure_bytes(value, text);
}

char *slo_text_index(double value, char *text)
{
    snprintf(text, FIGURE_MAX, "%.4f", value);
    return text;
}
