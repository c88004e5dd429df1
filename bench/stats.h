/*
 * stats.h - statistics across runs. The unit is the run: requests within one are not
 * independent of one another. Pure.
 */
#ifndef PREFORK_BENCH_STATS_H
#define PREFORK_BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* More runs of a side than that are refused: the exact test counts all rankings. At 40 of
 * each that takes some 10 ms. */
#define STATS_RUNS_MAX 40

/* The median; sorts values[0..n). NAN of none. */
double stats_median(double *values, size_t n);

/* The interval between two order statistics that holds the median with at least 95 %:
 * false, and the range, if n is too small for it (below 6). Sorts. */
bool stats_median_interval(double *values, size_t n, double *low, double *high);

/*
 * Exact two-sided p of the Mann-Whitney U test; with ties, of the permutation distribution
 * of the midranks. NAN if either side is empty or beyond STATS_RUNS_MAX, a value is NAN, or
 * without memory.
 */
double stats_mann_whitney(const double *a, size_t a_len, const double *b, size_t b_len);

/* The Hodges-Lehmann shift from a to b: the median of all differences. With its 95 %
 * interval by the same test's distribution; infinite ends if there are too few runs.
 * Returns 0, -EINVAL (a side empty or beyond STATS_RUNS_MAX, a value NAN) or -ENOMEM; then
 * nothing is written. */
int stats_shift(const double *a, size_t a_len, const double *b, size_t b_len, double *shift,
                double *low, double *high);

/* Jain's fairness index of n shares: 1 if all are equal (all 0 as well), 1/n if one has
 * all; NAN of none. */
double stats_jain(const double *shares, size_t n);

#endif
