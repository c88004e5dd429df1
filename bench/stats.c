/* stats.c - see stats.h. */
#include "bench/stats.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* 1 - confidence, and of one tail. */
#define ALPHA 0.05
#define TAIL  (ALPHA / 2)

static int by_value(const void *x, const void *y)
{
    double l = *(const double *)x, r = *(const double *)y;
    return (l > r) - (l < r);
}

static void sort(double *values, size_t n)
{
    if (n > 0)
        qsort(values, n, sizeof *values, by_value);
}

/* ---- one sample -------------------------------------------------------------------- */

static double median_of_sorted(const double *values, size_t n)
{
    if (n == 0)
        return NAN;
    return n % 2 ? values[n / 2] : values[n / 2 - 1] / 2 + values[n / 2] / 2;
}

double stats_median(double *values, size_t n)
{
    sort(values, n);
    return median_of_sorted(values, n);
}

/* The chance that k of n coins show heads. */
static double binomial(size_t n, size_t k)
{
    double ways =
        lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
    return exp(ways - (double)n * log(2));
}

/*
 * The k-th lowest and the k-th highest value have the median between them unless fewer than
 * k values lie on one side of it, and each lies on either side like a coin.
 */
bool stats_median_interval(double *values, size_t n, double *low, double *high)
{
    sort(values, n);
    *low = n ? values[0] : NAN;
    *high = n ? values[n - 1] : NAN;
    double tail = n ? binomial(n, 0) : 1;
    if (tail > TAIL)
        return false;
    size_t k = 1;
    while (k < n / 2 && tail + binomial(n, k) <= TAIL)
        tail += binomial(n, k++);
    *low = values[k - 1];
    *high = values[n - k];
    return true;
}

double stats_jain(const double *shares, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += shares[i];
        squares += shares[i] * shares[i];
    }
    if (n == 0)
        return NAN;
    return squares > 0 ? sum * sum / ((double)n * squares) : 1;
}

/* ---- two samples ------------------------------------------------------------------- */

enum {
    BOTH_MAX = 2 * STATS_RUNS_MAX
};

/* All values in order with their ranks, doubled so that those of ties are whole numbers. */
struct ranking {
    size_t n;
    unsigned doubled[BOTH_MAX];
    unsigned sum_a; /* of the ranks of a's */
};

struct ranked {
    double value;
    bool of_a;
};

static int by_ranked_value(const void *x, const void *y)
{
    return by_value(&((const struct ranked *)x)->value, &((const struct ranked *)y)->value);
}

static void rank_all(const double *a, size_t a_len, const double *b, size_t b_len,
                     struct ranking *out)
{
    struct ranked all[BOTH_MAX];
    size_t n = 0;
    for (size_t i = 0; i < a_len; i++)
        all[n++] = (struct ranked){a[i], true};
    for (size_t i = 0; i < b_len; i++)
        all[n++] = (struct ranked){b[i], false};
    qsort(all, n, sizeof all[0], by_ranked_value);
    *out = (struct ranking){.n = n};
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && all[end].value <= all[i].value; end++)
            ;
        /* Ranks i + 1 to end, of which the mean is half of this. */
        for (size_t tied = i; tied < end; tied++) {
            out->doubled[tied] = (unsigned)(i + 1 + end);
            if (all[tied].of_a)
                out->sum_a += out->doubled[tied];
        }
    }
}

/*
 * In how many ways `picks` of the ranks add up to each sum: *ways, to be freed, holds
 * *sums of them. They are counted by the ranks one after another: with the next rank there
 * are as many ways to pick m of them to a sum as without it, and m - 1 of them to the sum
 * less that rank. The largest count, 80 over 40, is 10^23: doubles hold it to 16 digits.
 */
static int count_ways(const unsigned *ranks, size_t n, size_t picks, double **ways,
                      size_t *sums)
{
    size_t most = 0;
    for (size_t i = n - picks; i < n; i++) /* the highest ones: they ascend */
        most += ranks[i];
    size_t width = most + 1;
    double *table = calloc((picks + 1) * width, sizeof *table);
    if (!table)
        return -ENOMEM;
    table[0] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t m = i + 1 < picks ? i + 1 : picks; m > 0; m--) {
            double *to = table + m * width;
            const double *from = table + (m - 1) * width;
            for (size_t sum = most; sum >= ranks[i]; sum--)
                to[sum] += from[sum - ranks[i]];
        }
    memmove(table, table + picks * width, width * sizeof *table);
    *ways = table;
    *sums = width;
    return 0;
}

static bool all_numbers(const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i]))
            return false;
    return true;
}

static bool can_compare(const double *a, size_t a_len, const double *b, size_t b_len)
{
    return a_len > 0 && b_len > 0 && a_len <= STATS_RUNS_MAX && b_len <= STATS_RUNS_MAX &&
           all_numbers(a, a_len) && all_numbers(b, b_len);
}

double stats_mann_whitney(const double *a, size_t a_len, const double *b, size_t b_len)
{
    if (!can_compare(a, a_len, b, b_len))
        return NAN;
    struct ranking ranking;
    rank_all(a, a_len, b, b_len, &ranking);
    double *ways;
    size_t sums;
    if (count_ways(ranking.doubled, ranking.n, a_len, &ways, &sums) != 0)
        return NAN;
    /* The mean of the doubled sums, and how far off it this one is. */
    long mean = (long)(a_len * (ranking.n + 1));
    long off = labs((long)ranking.sum_a - mean);
    double all = 0, as_far = 0;
    for (size_t sum = 0; sum < sums; sum++) {
        all += ways[sum];
        if (labs((long)sum - mean) >= off)
            as_far += ways[sum];
    }
    free(ways);
    return as_far / all;
}

/*
 * How many of the lowest and of the highest differences are cut off: the largest number of
 * which U is at most one less with a chance of at most TAIL, without ties. 0: there are too
 * few values. Returns it, or -ENOMEM.
 */
static int count_cut(size_t a_len, size_t b_len)
{
    unsigned ranks[BOTH_MAX];
    double *ways, all = 0, below = 0;
    size_t sums, n = a_len + b_len, least = a_len * (a_len + 1) / 2;
    for (size_t i = 0; i < n; i++)
        ranks[i] = (unsigned)i + 1;
    if (count_ways(ranks, n, a_len, &ways, &sums) != 0)
        return -ENOMEM;
    for (size_t sum = least; sum < sums; sum++)
        all += ways[sum];
    int cut = 0;
    for (size_t sum = least; sum < sums; sum++, cut++) {
        below += ways[sum];
        if (below / all > TAIL)
            break;
    }
    free(ways);
    return cut;
}

int stats_shift(const double *a, size_t a_len, const double *b, size_t b_len, double *shift,
                double *low, double *high)
{
    if (!can_compare(a, a_len, b, b_len))
        return -EINVAL;
    size_t n = a_len * b_len;
    double *differences = malloc(n * sizeof *differences);
    int cut = differences ? count_cut(a_len, b_len) : -ENOMEM;
    if (cut < 0) {
        free(differences);
        return cut;
    }
    for (size_t i = 0; i < n; i++)
        differences[i] = b[i % b_len] - a[i / b_len];
    *shift = stats_median(differences, n);
    *low = cut ? differences[cut - 1] : -INFINITY;
    *high = cut ? differences[n - (size_t)cut] : INFINITY;
    free(differences);
    return 0;
}
