/* When requests are due: even schedules against exact arithmetic, ramps against their
 * integral, Poisson streams against the distributions they must have. */
#include "tests/lib/test.h"

#include "bench/pace.h"
#include <prefork/base.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct plan plan;

static void plan_stages(const struct plan_stage *stages, unsigned count)
{
    memset(&plan, 0, sizeof plan);
    plan.load = PLAN_OPEN;
    plan.stage_count = count;
    memcpy(plan.stages, stages, count * sizeof *stages);
}

static void plan_constant(double rate, int64_t duration_ns)
{
    const struct plan_stage stage = {duration_ns, rate, rate};
    plan_stages(&stage, 1);
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* (k + 1/2) * 10^9 / rate, rounded. */
static int64_t exact_due(uint64_t k, uint64_t rate)
{
    __extension__ typedef unsigned __int128 wide;
    return (int64_t)(((wide)(2 * k + 1) * PF_SECOND + rate) / (2 * rate));
}

static void even_slots_never_drift(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 7, 1000, 4999, 20000, 333333, 1000003, 50000000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        int64_t duration = 50 * 24 * 3600 * PF_SECOND;
        plan_constant((double)rates[i], duration);
        /* A cursor of one unit of very many begins far out. */
        for (unsigned units = 1; units <= 1000000000; units *= 1000) {
            struct pace pace;
            pace_init(&pace, &plan, units - 1, units);
            for (uint64_t slot = 0; slot < 3000 && pace_due(&pace) != INT64_MAX; slot++) {
                uint64_t k = units - 1 + slot * units;
                assert_int_equal(pace.slot, slot);
                assert_true(distance(pace_due(&pace), exact_due(k, rates[i])) <= 1);
                pace_next(&pace);
            }
        }
    }
}

static void millions_of_slots_are_all_there_and_in_time(void **state)
{
    (void)state;
    plan_constant(300000, 10 * PF_SECOND);
    struct pace pace;
    pace_init(&pace, &plan, 0, 1);
    uint64_t k = 0;
    for (; pace_due(&pace) != INT64_MAX; pace_next(&pace), k++)
        assert_true(distance(pace_due(&pace), exact_due(k, 300000)) <= 1);
    assert_int_equal(k, 3000000);
    pace_next(&pace);
    assert_true(pace_due(&pace) == INT64_MAX);
    assert_int_equal(pace.slot, 3000000);
}

static uint64_t count_slots(unsigned units)
{
    uint64_t count = 0;
    for (unsigned unit = 0; unit < units; unit++) {
        struct pace pace;
        int64_t before = 0;
        pace_init(&pace, &plan, unit, units);
        for (; pace_due(&pace) != INT64_MAX; pace_next(&pace), count++) {
            assert_true(pace_due(&pace) >= before);
            before = pace_due(&pace);
        }
    }
    return count;
}

static void as_many_are_due_as_the_integral_says(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct plan_stage stages[5];
        unsigned count;
        double amount, mean;
    } rows[] = {
        {"constant", {{PF_SECOND, 1000, 1000}}, 1, 1000, 1000},
        {"less than one", {{PF_SECOND, 0.3, 0.3}}, 1, 0.3, 0.3},
        {"up from nothing", {{2 * PF_SECOND, 0, 1000}}, 1, 1000, 500},
        {"down to nothing", {{2 * PF_SECOND, 1000, 0}}, 1, 1000, 500},
        {"a pause",
         {{PF_SECOND, 10, 10}, {3 * PF_SECOND, 0, 0}, {PF_SECOND, 30, 30}},
         3,
         40,
         8},
        {"nothing", {{PF_SECOND, 0, 0}}, 1, 0, 0},
        {"steps and ramps",
         {{PF_SECOND, 0, 100},
          {PF_SECOND, 100, 100},
          {PF_SECOND, 100, 7},
          {PF_SECOND, 7, 7},
          {0, 9, 9}},
         5,
         210.5,
         52.625},
        {"no time", {{0, 5, 10}, {PF_SECOND, 8, 8}}, 2, 8, 8},
        {"a hair's slope",
         {{10 * PF_SECOND, 1000, 1000.0000001}},
         1,
         10000.0000005,
         1000.00000005},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        plan_stages(rows[i].stages, rows[i].count);
        double amount = pace_amount(&plan, INT64_MAX);
        if (fabs(amount - rows[i].amount) > 1e-9 * (1 + amount))
            fail_msg("%s: %.12g", rows[i].what, amount);
        assert_true(fabs(plan_mean_rate(&plan) - rows[i].mean) < 1e-9 * (1 + amount));
        /* k + 1/2 < amount */
        uint64_t slots = amount > 0.5 ? (uint64_t)ceil(amount - 0.5) : 0;
        for (unsigned units = 1; units <= 7; units += 2)
            assert_int_equal(count_slots(units), slots);
    }
}

static void at_every_slot_the_integral_is_a_half(void **state)
{
    (void)state;
    static const struct plan_stage stages[] = {
        {PF_SECOND, 0, 5000},         {PF_SECOND / 2, 5000, 5000}, {PF_SECOND, 5000, 0},
        {3 * PF_SECOND, 0, 0},        {PF_SECOND, 0, 1000},        {7, 1e9, 1e9},
        {PF_SECOND, 1000, 1000.0001}, {PF_SECOND, 100000, 1},
    };
    plan_stages(stages, sizeof stages / sizeof stages[0]);
    struct pace pace;
    pace_init(&pace, &plan, 0, 1);
    uint64_t k = 0;
    for (; pace_due(&pace) != INT64_MAX; pace_next(&pace), k++) {
        int64_t due = pace_due(&pace);
        /* Within the rounding to whole ns. */
        double low = pace_amount(&plan, due - 1), high = pace_amount(&plan, due + 1);
        assert_true(low <= (double)k + 0.5 + 1e-9 && (double)k + 0.5 - 1e-9 <= high);
    }
    assert_true(k > 50000);
}

static void nothing_is_due_in_a_pause(void **state)
{
    (void)state;
    static const struct plan_stage stages[] = {
        {PF_SECOND, 10, 10}, {3 * PF_SECOND, 0, 0}, {PF_SECOND, 10, 10}};
    for (int arrival = PLAN_CONST; arrival <= PLAN_POISSON; arrival++) {
        plan_stages(stages, 3);
        plan.arrival = (enum plan_arrival)arrival;
        struct pace pace;
        pace_init(&pace, &plan, 0, 1);
        int in_each[3] = {0};
        for (; pace_due(&pace) != INT64_MAX; pace_next(&pace)) {
            int64_t due = pace_due(&pace);
            assert_true(due >= 0 && due <= 5 * PF_SECOND);
            in_each[due < PF_SECOND ? 0 : due < 4 * PF_SECOND ? 1 : 2]++;
        }
        assert_int_equal(in_each[1], 0);
        assert_true(in_each[0] > 0 && in_each[2] > 0);
    }
}

static void the_rate_goes_evenly_within_a_stage(void **state)
{
    (void)state;
    static const struct plan_stage stages[] = {
        {2 * PF_SECOND, 0, 100}, {PF_SECOND, 50, 50}, {PF_SECOND, 50, 0}};
    static const struct {
        int64_t at_ns;
        double amount;
    } rows[] = {
        {-1, 0},
        {0, 0},
        {PF_SECOND, 25},
        {2 * PF_SECOND, 100},
        {3 * PF_SECOND, 150},
        {3 * PF_SECOND + PF_SECOND / 2, 168.75},
        {4 * PF_SECOND, 175},
        {INT64_MAX, 175},
    };
    plan_stages(stages, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(fabs(pace_amount(&plan, rows[i].at_ns) - rows[i].amount) < 1e-9);
    plan.load = PLAN_CLOSED;
    assert_true(plan_mean_rate(&plan) == 0);
}

static void neighbours_of_a_burst_fall_due_together(void **state)
{
    (void)state;
    for (unsigned units = 1; units <= 3; units++) {
        plan_constant(1000, PF_SECOND);
        plan.burst = 10;
        for (unsigned unit = 0; unit < units; unit++) {
            struct pace pace;
            pace_init(&pace, &plan, unit, units);
            for (; pace_due(&pace) != INT64_MAX; pace_next(&pace)) {
                uint64_t k = unit + pace.slot * units;
                assert_int_equal(pace_due(&pace), exact_due(k - k % 10, 1000));
            }
        }
        assert_int_equal(count_slots(units), 1000);
        /* The last burst is as short as it must be. */
        plan_constant(1005.4, PF_SECOND);
        plan.burst = 10;
        assert_int_equal(count_slots(units), 1005);
    }
}

static void random_bursts_come_together_and_keep_the_rate(void **state)
{
    (void)state;
    plan_constant(100000, 10 * PF_SECOND);
    plan.arrival = PLAN_POISSON;
    plan.burst = 10;
    struct pace pace;
    pace_init(&pace, &plan, 0, 1);
    int64_t due = 0;
    for (; pace_due(&pace) != INT64_MAX; pace_next(&pace)) {
        if (pace.slot % 10 != 0)
            assert_int_equal(pace_due(&pace), due);
        due = pace_due(&pace);
    }
    /* 100,000 bursts, of which the count has a deviation of 316: five of those. */
    assert_true(distance((int64_t)pace.slot, 1000000) < 5 * 316 * 10);
}

static int by_time(const void *x, const void *y)
{
    int64_t l = *(const int64_t *)x, r = *(const int64_t *)y;
    return (l > r) - (l < r);
}

enum {
    ARRIVALS = 100000,
    RATE = 20000,
    WINDOWS = 1000
};

/* All units' arrivals in order; returns how many. */
static size_t merge_units(unsigned units, uint64_t seed, int64_t *times, size_t room)
{
    size_t count = 0;
    plan_constant(RATE, (ARRIVALS / RATE) * PF_SECOND);
    plan.arrival = PLAN_POISSON;
    plan.seed = seed;
    for (unsigned unit = 0; unit < units; unit++) {
        struct pace pace;
        pace_init(&pace, &plan, unit, units);
        for (; pace_due(&pace) != INT64_MAX; pace_next(&pace)) {
            assert_true(count < room);
            times[count++] = pace_due(&pace);
        }
    }
    qsort(times, count, sizeof *times, by_time);
    return count;
}

/* The largest distance of the gaps' distribution from the exponential one. */
static double kolmogorov_smirnov(const int64_t *times, size_t count)
{
    static int64_t gaps[2 * ARRIVALS];
    for (size_t i = 0; i < count; i++)
        gaps[i] = times[i] - (i ? times[i - 1] : 0);
    qsort(gaps, count, sizeof *gaps, by_time);
    double worst = 0, n = (double)count;
    for (size_t i = 0; i < count; i++) {
        double expected = 1 - exp(-(double)gaps[i] * RATE / (double)PF_SECOND);
        worst = fmax(worst, fabs(expected - (double)i / n));
        worst = fmax(worst, fabs((double)(i + 1) / n - expected));
    }
    return worst;
}

/* The sum of the squares of the windows' counts, each less the mean and divided by it. */
static double chi_square(const int64_t *times, size_t count)
{
    static unsigned windows[WINDOWS];
    memset(windows, 0, sizeof windows);
    const int64_t width = ARRIVALS / RATE * PF_SECOND / WINDOWS;
    for (size_t i = 0; i < count; i++)
        windows[times[i] / width < WINDOWS ? times[i] / width : WINDOWS - 1]++;
    double sum = 0, mean = (double)ARRIVALS / WINDOWS;
    for (int i = 0; i < WINDOWS; i++)
        sum += (windows[i] - mean) * (windows[i] - mean) / mean;
    return sum;
}

static void poisson_streams_of_all_units_are_one_poisson_process(void **state)
{
    (void)state;
    static int64_t times[2 * ARRIVALS];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (unsigned units = 1; units <= 8; units *= 2) {
            size_t count = merge_units(units, seed, times, 2 * ARRIVALS);
            /* The deviation of the count is its root. */
            assert_true(fabs((double)count - ARRIVALS) < 4 * sqrt(ARRIVALS));
            /* Kolmogorov's distribution: larger once in a thousand. The walks are the same
             * in each run, so it is not left to chance. */
            assert_true(kolmogorov_smirnov(times, count) < 1.95 / sqrt((double)count));
            /* 999 or 1000 degrees of freedom, deviation 45: both tails. */
            double chi = chi_square(times, count);
            assert_true(chi > WINDOWS - 3.5 * sqrt(2.0 * WINDOWS));
            assert_true(chi < WINDOWS + 3.5 * sqrt(2.0 * WINDOWS));
        }
    }
}

/* The tests above must be able to tell: they reject an even schedule, and units that walk
 * in step. */
static void the_distribution_tests_can_fail(void **state)
{
    (void)state;
    static int64_t times[2 * ARRIVALS];
    for (int i = 0; i < ARRIVALS; i++)
        times[i] = exact_due((uint64_t)i, RATE);
    assert_true(kolmogorov_smirnov(times, ARRIVALS) > 0.3);
    assert_true(chi_square(times, ARRIVALS) < 1);
    plan_constant(RATE, (ARRIVALS / RATE) * PF_SECOND);
    plan.arrival = PLAN_POISSON;
    struct pace pace;
    size_t count = 0;
    for (pace_init(&pace, &plan, 0, 2); pace_due(&pace) != INT64_MAX; pace_next(&pace)) {
        times[2 * count] = times[2 * count + 1] = pace_due(&pace);
        count++;
    }
    assert_true(kolmogorov_smirnov(times, 2 * count) > 0.3);
    assert_true(chi_square(times, 2 * count) > 1.5 * WINDOWS);
}

static void the_same_seed_gives_the_same_walk(void **state)
{
    (void)state;
    plan_constant(1000, PF_SECOND);
    plan.arrival = PLAN_POISSON;
    plan.seed = 42;
    struct pace due, sent, other_unit, other_seed;
    struct plan other = plan;
    other.seed = 43;
    pace_init(&due, &plan, 0, 2);
    pace_init(&other_unit, &plan, 1, 2);
    pace_init(&other_seed, &other, 0, 2);
    assert_true(pace_due(&due) != pace_due(&other_unit));
    assert_true(pace_due(&due) != pace_due(&other_seed));
    static int64_t walk[1000];
    size_t count = 0;
    for (; pace_due(&due) != INT64_MAX; pace_next(&due))
        walk[count++] = pace_due(&due);
    pace_init(&sent, &plan, 0, 2);
    for (size_t i = 0; i < count; i++, pace_next(&sent))
        assert_int_equal(pace_due(&sent), walk[i]);
    assert_true(pace_due(&sent) == INT64_MAX);
    /* And on another machine: this must not change by accident. */
    assert_int_equal(walk[0], 2199046);
}

static void an_empty_plan_has_nothing_due(void **state)
{
    (void)state;
    struct pace pace;
    for (int arrival = PLAN_CONST; arrival <= PLAN_POISSON; arrival++) {
        memset(&plan, 0, sizeof plan);
        plan.arrival = (enum plan_arrival)arrival;
        pace_init(&pace, &plan, 0, 1);
        assert_true(pace_due(&pace) == INT64_MAX);
        pace_next(&pace);
        assert_true(pace_due(&pace) == INT64_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(even_slots_never_drift),
        pf_test(millions_of_slots_are_all_there_and_in_time),
        pf_test(as_many_are_due_as_the_integral_says),
        pf_test(at_every_slot_the_integral_is_a_half),
        pf_test(nothing_is_due_in_a_pause),
        pf_test(the_rate_goes_evenly_within_a_stage),
        pf_test(neighbours_of_a_burst_fall_due_together),
        pf_test(random_bursts_come_together_and_keep_the_rate),
        pf_test(poisson_streams_of_all_units_are_one_poisson_process),
        pf_test(the_distribution_tests_can_fail),
        pf_test(the_same_seed_gives_the_same_walk),
        pf_test(an_empty_plan_has_nothing_due),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
