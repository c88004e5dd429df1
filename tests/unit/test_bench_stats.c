/* Statistics across runs: known values, counting by hand, and properties that hold for any
 * numbers. */
#include "tests/lib/test.h"

#include "bench/stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_near(double value, double expected, double within)
{
    return fabs(value - expected) <= within;
}

static void the_median_is_in_the_middle(void **state)
{
    (void)state;
    static const struct {
        double values[5];
        size_t n;
        double median;
    } rows[] = {
        {{7}, 1, 7},
        {{3, 1}, 2, 2},
        {{3, 1, 2}, 3, 2},
        {{4, 1, 3, 2}, 4, 2.5},
        {{5, 5, 1, 9, 5}, 5, 5},
        {{-1, -3, -2}, 3, -2},
        {{1.7e308, 1.7e308}, 2, 1.7e308},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double values[5];
        memcpy(values, rows[i].values, sizeof values);
        assert_true(stats_median(values, rows[i].n) == rows[i].median);
        for (size_t n = 1; n < rows[i].n; n++)
            assert_true(values[n - 1] <= values[n]);
    }
    assert_true(!!isnan(stats_median(NULL, 0)));
}

/* The ranks of a table that stands in every book: for 95 %, the k-th from both ends. */
static void the_interval_of_the_median_has_95_percent(void **state)
{
    (void)state;
    static const struct {
        size_t n, k; /* 0: too few */
    } rows[] = {{1, 0},  {5, 0},   {6, 1},   {7, 1},   {8, 1},    {9, 2},
                {11, 2}, {12, 3},  {14, 3},  {15, 4},  {17, 5},   {20, 6},
                {25, 8}, {30, 10}, {40, 14}, {50, 18}, {100, 40}, {2000, 956}};
    static double values[2000];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = rows[i].n;
        for (size_t v = 0; v < n; v++)
            values[v] = (double)(n - v); /* n .. 1 */
        double low, high;
        assert_int_equal(stats_median_interval(values, n, &low, &high), rows[i].k > 0);
        size_t k = rows[i].k ? rows[i].k : 1;
        if (!is_near(low, (double)k, 0) || !is_near(high, (double)(n + 1 - k), 0))
            fail_msg("%zu: %g to %g", n, low, high);
    }
    double low = 0, high = 0;
    assert_false(stats_median_interval(NULL, 0, &low, &high));
    assert_true(isnan(low) && isnan(high));
}

static void known_rankings_have_their_known_p(void **state)
{
    (void)state;
    static const struct {
        double a[8], b[8];
        size_t a_len, b_len;
        double p, within;
    } rows[] = {
        {{1}, {2}, 1, 1, 1, 0},
        {{1, 2}, {3, 4}, 2, 2, 1.0 / 3, 1e-15},
        /* Complete separation: 2 of (n + m over n). */
        {{1, 2, 3}, {4, 5, 6}, 3, 3, 0.10, 1e-15},
        {{9, 8, 7}, {1, 2, 3}, 3, 3, 0.10, 1e-15},
        {{1, 2, 3, 4}, {5, 6, 7, 8}, 4, 4, 0.0286, 5e-5},
        {{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, 5, 5, 0.00794, 5e-6},
        {{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}, 6, 6, 2.0 / 924, 1e-15},
        {{1, 2, 3}, {4, 5, 6, 7, 8}, 3, 5, 2.0 / 56, 1e-15},
        /* One out of place: 4 of 20. */
        {{1, 2, 4}, {3, 5, 6}, 3, 3, 0.2, 1e-15},
        {{1, 3, 5}, {2, 4, 6}, 3, 3, 0.7, 1e-15},
        /* All equal: every ranking is as far off. */
        {{5, 5, 5}, {5, 5}, 3, 2, 1, 0},
        /* Ties, by counting: sums of {1, 2.5, 2.5, 4}; 3.5 is one of the two farthest of
         * 6, with ways 3.5 3.5 5 5 6.5 6.5. */
        {{1, 2}, {2, 3}, 2, 2, 4.0 / 6, 1e-15},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double p = stats_mann_whitney(rows[i].a, rows[i].a_len, rows[i].b, rows[i].b_len);
        if (!is_near(p, rows[i].p, rows[i].within))
            fail_msg("row %zu: %.17g", i, p);
        double back =
            stats_mann_whitney(rows[i].b, rows[i].b_len, rows[i].a, rows[i].a_len);
        assert_true(is_near(back, p, 1e-12));
    }
    /* Hollander and Wolfe, Nonparametric Statistical Methods, table 4.1: 0.1272 one-sided.
     */
    static const double at_term[] = {0.80, 0.83, 1.89, 1.04, 1.45,
                                     1.38, 1.91, 1.64, 0.73, 1.46};
    static const double early[] = {1.15, 0.88, 0.90, 0.74, 1.21};
    assert_true(is_near(stats_mann_whitney(at_term, 10, early, 5), 2 * 0.1272, 1e-4));
    double shift, low, high;
    assert_int_equal(stats_shift(early, 5, at_term, 10, &shift, &low, &high), 0);
    assert_true(is_near(shift, 0.305, 1e-12));
    assert_true(low < 0 && high > shift);
}

/* Every choice of a_len of the values, by the bits of a number. */
static double p_by_counting(const double *values, size_t n, size_t a_len)
{
    int doubled[16] = {0}, own = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            doubled[i] += (values[j] < values[i]) + (values[j] <= values[i]);
    int mean = (int)(a_len * n); /* of these ranks, which are 2 * rank - 1 */
    for (size_t i = 0; i < a_len; i++)
        own += doubled[i];
    double all = 0, as_far = 0;
    for (unsigned bits = 0; bits < 1u << n; bits++) {
        if ((size_t)__builtin_popcount(bits) != a_len)
            continue;
        int sum = 0;
        for (size_t i = 0; i < n; i++)
            if (bits >> i & 1)
                sum += doubled[i];
        all++;
        as_far += abs(sum - mean) >= abs(own - mean);
    }
    return as_far / all;
}

static void p_is_that_of_counting_all_rankings(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        double values[12];
        size_t n = 2 + (size_t)rand_r(&seed) % 11;
        size_t a_len = 1 + (size_t)rand_r(&seed) % (n - 1);
        int kinds = 2 + rand_r(&seed) % 20; /* few: many ties */
        for (size_t i = 0; i < n; i++)
            values[i] = rand_r(&seed) % kinds;
        double p = stats_mann_whitney(values, a_len, values + a_len, n - a_len);
        assert_true(is_near(p, p_by_counting(values, n, a_len), 1e-12));
    }
}

static double random_value(unsigned *seed)
{
    return rand_r(seed) / (double)RAND_MAX;
}

/* The interval holds just the shifts that the test does not reject. */
static void the_interval_of_the_shift_is_where_the_test_says_no(void **state)
{
    (void)state;
    unsigned seed = 2;
    for (size_t n = 4; n <= 10; n++) {
        double a[10], b[10], moved[10], shift, low, high;
        size_t m = n + n % 3 - 1;
        for (size_t i = 0; i < n; i++)
            a[i] = random_value(&seed);
        for (size_t i = 0; i < m; i++)
            b[i] = random_value(&seed) + 0.3;
        int err = stats_shift(a, n, b, m, &shift, &low, &high);
        assert_int_equal(err, 0);
        if (isinf(low)) {
            assert_true(n + m < 8);
            continue;
        }
        assert_true(low <= shift && shift <= high);
        static const struct {
            bool from_high;
            double by;
            bool rejects;
        } rows[] = {{false, -1e-9, true},
                    {false, 1e-9, false},
                    {true, -1e-9, false},
                    {true, 1e-9, true}};
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            for (size_t i = 0; i < n; i++)
                moved[i] = a[i] + (rows[r].from_high ? high : low) + rows[r].by;
            assert_int_equal(stats_mann_whitney(moved, n, b, m) <= 0.05, rows[r].rejects);
        }
    }
}

static void too_few_runs_have_no_interval(void **state)
{
    (void)state;
    static const double a[] = {1, 2, 3}, b[] = {11, 12, 13}, c[] = {4};
    double shift, low, high;
    assert_int_equal(stats_shift(a, 3, b, 3, &shift, &low, &high), 0);
    assert_true(shift == 10);
    assert_true(isinf(low) && low < 0 && isinf(high) && high > 0);
    assert_int_equal(stats_shift(c, 1, c, 1, &shift, &low, &high), 0);
    assert_true(shift == 0);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    static double many[STATS_RUNS_MAX + 1];
    static const double one[] = {1}, none[] = {NAN};
    double shift = 5, low = 6, high = 7;
    assert_true(!!isnan(stats_mann_whitney(one, 1, one, 0)));
    assert_true(!!isnan(stats_mann_whitney(one, 0, one, 1)));
    assert_true(!!isnan(stats_mann_whitney(one, 1, none, 1)));
    assert_true(!!isnan(stats_mann_whitney(many, STATS_RUNS_MAX + 1, one, 1)));
    assert_int_equal(stats_shift(one, 1, one, 0, &shift, &low, &high), -EINVAL);
    assert_int_equal(stats_shift(one, 1, none, 1, &shift, &low, &high), -EINVAL);
    assert_int_equal(stats_shift(one, 1, many, STATS_RUNS_MAX + 1, &shift, &low, &high),
                     -EINVAL);
    assert_true(shift == 5 && low == 6 && high == 7);
}

/* 80 over 40 is beyond 64 bits; the chance of complete separation is twice its inverse. */
static void the_largest_samples_keep_their_precision(void **state)
{
    (void)state;
    static double a[STATS_RUNS_MAX], b[STATS_RUNS_MAX];
    double ways = 1;
    for (int i = 0; i < STATS_RUNS_MAX; i++) {
        a[i] = i;
        b[i] = 1000 + i;
        ways = ways * (STATS_RUNS_MAX + i + 1) / (i + 1);
    }
    double p = stats_mann_whitney(a, STATS_RUNS_MAX, b, STATS_RUNS_MAX);
    assert_true(is_near(p * ways, 2, 1e-9));
    for (int i = 0; i < STATS_RUNS_MAX; i++)
        b[i] = i;
    assert_true(
        is_near(stats_mann_whitney(a, STATS_RUNS_MAX, b, STATS_RUNS_MAX), 1, 1e-12));
    double shift, low, high;
    assert_int_equal(stats_shift(a, STATS_RUNS_MAX, b, STATS_RUNS_MAX, &shift, &low, &high),
                     0);
    assert_true(shift == 0 && low < 0 && low == -high && high < 10);
}

static void fairness_is_one_among_equals(void **state)
{
    (void)state;
    static const struct {
        double shares[4];
        size_t n;
        double jain;
    } rows[] = {
        {{1}, 1, 1},
        {{5, 5, 5, 5}, 4, 1},
        {{5, 0, 0, 0}, 4, 0.25},
        {{1, 1, 0, 0}, 4, 0.5},
        {{1, 2, 3, 4}, 4, 100.0 / 120},
        {{0, 0, 0}, 3, 1},
        {{122800, 127200, 127500, 122500}, 4, 0.99965},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(is_near(stats_jain(rows[i].shares, rows[i].n), rows[i].jain, 5e-5));
    assert_true(!!isnan(stats_jain(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_median_is_in_the_middle),
        pf_test(the_interval_of_the_median_has_95_percent),
        pf_test(known_rankings_have_their_known_p),
        pf_test(p_is_that_of_counting_all_rankings),
        pf_test(the_interval_of_the_shift_is_where_the_test_says_no),
        pf_test(too_few_runs_have_no_interval),
        pf_test(what_cannot_be_compared_is_refused),
        pf_test(the_largest_samples_keep_their_precision),
        pf_test(fairness_is_one_among_equals),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
