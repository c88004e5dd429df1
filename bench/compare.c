#include "bench/compare.h"

#include "bench/figure.h"
#include "bench/stats.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double known(int64_t ns)
{
    return ns < 0 ? NAN : (double)ns;
}

static double number_of(const struct result_run *run, enum compare_number number)
{
    switch (number) {
    case COMPARE_RATE:
        return run->rate_ok;
    case COMPARE_P50:
        return known(run->p50_ns);
    case COMPARE_P99:
        return known(run->p99_ns);
    case COMPARE_MAX:
        return known(run->max_ns);
    case COMPARE_MEAN:
        return known(run->mean_ns);
    case COMPARE_CPU:
        return run->cpu_ns_per_req;
    case COMPARE_NUMBERS:
        break;
    }
    return NAN;
}

static const struct {
    const char *name;
    bool more_is_better;
} numbers[COMPARE_NUMBERS] = {
    [COMPARE_RATE] = {"req/s", true}, [COMPARE_P50] = {"p50", false},
    [COMPARE_P99] = {"p99", false},   [COMPARE_MAX] = {"max", false},
    [COMPARE_MEAN] = {"mean", false}, [COMPARE_CPU] = {"CPU/req", false},
};

const char *compare_name(enum compare_number number)
{
    return numbers[number].name;
}

char *compare_figure(enum compare_number number, double value, char *text)
{
    if (number == COMPARE_RATE)
        return figure_rate(value, text);
    return figure_time(value >= 0 && value < 1e18 ? (int64_t)(value + 0.5) : -1, text);
}

static size_t collect(const struct result_run *runs, size_t count,
                      enum compare_number number, double *out)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        double value = number_of(&runs[i], number);
        if (isfinite(value))
            out[n++] = value;
    }
    return n;
}

static void judge(enum compare_number number, double min_effect, struct compare_row *row)
{
    bool told = row->p < COMPARE_ALPHA && fabs(row->change) >= min_effect;
    if (!told)
        row->verdict = COMPARE_SAME;
    else if ((row->change > 0) == numbers[number].more_is_better)
        row->verdict = COMPARE_BETTER;
    else
        row->verdict = COMPARE_WORSE;
}

static int compare_number(enum compare_number number, double min_effect, double *a,
                          double *b, struct compare_row *row)
{
    double shift, low, high;
    row->a = stats_median(a, row->a_count);
    row->b = stats_median(b, row->b_count);
    row->change = row->low = row->high = row->p = NAN;
    row->verdict = COMPARE_UNKNOWN;
    if (row->a_count == 0 || row->b_count == 0 || !(row->a > 0))
        return 0;
    int err = stats_shift(a, row->a_count, b, row->b_count, &shift, &low, &high);
    if (err)
        return err;
    row->change = shift / row->a;
    row->low = low / row->a;
    row->high = high / row->a;
    row->p = stats_mann_whitney(a, row->a_count, b, row->b_count);
    if (isnan(row->p)) /* of finite values, not too many: without memory */
        return -ENOMEM;
    judge(number, min_effect, row);
    return 0;
}

int compare_runs(const struct result_run *a, size_t a_count, const struct result_run *b,
                 size_t b_count, double min_effect, struct compare_row *rows)
{
    double a_values[STATS_RUNS_MAX], b_values[STATS_RUNS_MAX];
    if (a_count > STATS_RUNS_MAX || b_count > STATS_RUNS_MAX)
        return -E2BIG;
    int err = 0;
    for (int i = 0; !err && i < COMPARE_NUMBERS; i++) {
        enum compare_number number = (enum compare_number)i;
        rows[i].a_count = collect(a, a_count, number, a_values);
        rows[i].b_count = collect(b, b_count, number, b_values);
        err = compare_number(number, min_effect, a_values, b_values, &rows[i]);
    }
    return err;
}

/* ---- what may be compared ----------------------------------------------------------- */

static const char *name_or(const char *name, const char *other)
{
    return name ? name : other;
}

/* Of a side: what is asked must be the same. NULL: it is. */
static const char *difference(const struct result_plan *a, const struct result_plan *b)
{
    bool same_rate = isnan(a->rate_per_s) ? isnan(b->rate_per_s)
                                          : fabs(a->rate_per_s - b->rate_per_s) <=
                                                1e-9 * fabs(a->rate_per_s);
    const struct {
        const char *name;
        bool same;
    } rows[] = {{"connections", a->connections == b->connections},
                {"loops", a->loops == b->loops},
                {"rate_per_s", same_rate},
                {"pipeline", a->pipeline == b->pipeline},
                {"reqs_per_conn", a->reqs_per_conn == b->reqs_per_conn}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!rows[i].same)
            return rows[i].name;
    return NULL;
}

int compare_check(const struct result *a, const struct result *b, bool one_side, char *why,
                  size_t why_len)
{
    const char *a_mode = name_or(a->plan.mode, "run"), *a_load = name_or(a->plan.load, "?");
    const char *b_mode = name_or(b->plan.mode, "run"), *b_load = name_or(b->plan.load, "?");
    const char *name = one_side ? difference(&a->plan, &b->plan) : NULL;
    if (strcmp(a_mode, b_mode) != 0)
        snprintf(why, why_len,
                 "is of %s, the first of %s: their numbers mean different "
                 "things; compare documents of one command",
                 b_mode, a_mode);
    else if (b->search)
        snprintf(why, why_len,
                 "is of search, whose numbers are of its last trial; compare runs at one "
                 "rate");
    else if (strcmp(a_load, b_load) != 0)
        snprintf(why, why_len,
                 "is of a loop that is %s, the first of one that is %s: their times mean "
                 "different things; compare documents of one kind",
                 b_load, a_load);
    else if (name)
        snprintf(why, why_len,
                 "its plan.%s is not that of the first: a side is one plan, run several "
                 "times; put it on the other side of --",
                 name);
    else
        return 0;
    return -EINVAL;
}

/* ---- runs ---------------------------------------------------------------------------- */

int compare_side(const struct result *result, char side, struct result_run **out)
{
    struct result_run *runs = calloc(result->run_count + 1, sizeof *runs);
    int count = 0;
    if (!runs)
        return -ENOMEM;
    for (unsigned i = 0; i < result->run_count; i++)
        if (result->runs[i].side == side)
            runs[count++] = result->runs[i];
    *out = runs;
    return count;
}

struct result_run compare_as_run(const struct result *result)
{
    const struct hdr *hdr = result_main_latency(result)->hdr;
    struct result_run run = {.side = 'A',
                             .rate_ok = result_rate(result),
                             .p50_ns = RESULT_UNKNOWN,
                             .p99_ns = RESULT_UNKNOWN,
                             .max_ns = RESULT_UNKNOWN,
                             .mean_ns = RESULT_UNKNOWN,
                             .cpu_ns_per_req = result_cpu_per_request(result),
                             .verdict = result->validity.verdict};
    if (hdr && hdr->count) {
        run.p50_ns = hdr_percentile(hdr, 50000);
        run.p99_ns = hdr_percentile(hdr, 99000);
        run.max_ns = hdr->max;
        run.mean_ns = hdr_mean(hdr);
    }
    return run;
}

unsigned compare_worse(const struct compare_row *rows)
{
    unsigned worse = 0;
    for (int i = 0; i < COMPARE_NUMBERS; i++)
        worse += rows[i].verdict == COMPARE_WORSE;
    return worse;
}

static int by_p(const void *a, const void *b)
{
    const struct compare_row *l = *(const struct compare_row *const *)a;
    const struct compare_row *r = *(const struct compare_row *const *)b;
    return (l->p > r->p) - (l->p < r->p);
}

/* Holm: the smallest p must do for all tests, the next for all but one ... until one fails.
 */
unsigned compare_surely_worse(const struct compare_row *rows)
{
    const struct compare_row *asked[COMPARE_NUMBERS];
    size_t count = 0, passed = 0;
    unsigned worse = 0;
    for (int i = 0; i < COMPARE_NUMBERS; i++)
        if (!isnan(rows[i].p))
            asked[count++] = &rows[i];
    qsort(asked, count, sizeof(const struct compare_row *), by_p);
    while (passed < count && asked[passed]->p * (double)(count - passed) < COMPARE_ALPHA)
        worse += asked[passed++]->verdict == COMPARE_WORSE;
    return worse;
}
