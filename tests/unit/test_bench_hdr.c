/* The histogram of prefork-bench: its layout against HdrHistogram's published one, and its
 * percentiles against sorted values. */
#include "tests/lib/test.h"

#include "bench/hdr.h"

#include <stdbool.h>
#include <stdlib.h>

/* Large: kept off the stack. */
static struct hdr a, b;

/* xorshift64*: the same values in each run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

/* Spread over all magnitudes from 1 ns to an hour. */
static int64_t random_time(uint64_t *seed)
{
    uint64_t bits = next_random(seed) % 42;
    return (int64_t)(next_random(seed) % (UINT64_C(1) << bits)) % HDR_HIGHEST;
}

static void slots_are_laid_out_as_hdrhistogram_has_them(void **state)
{
    (void)state;
    /* By hand from bucket = floor(log2 v) - 10, sub-bucket = v >> bucket, index =
     * ((bucket + 1) << 10) + sub-bucket - 1024. */
    static const struct {
        int64_t value;
        unsigned slot;
    } rows[] = {
        {0, 0},       {1, 1},       {1023, 1023},     {1024, 1024},         {2047, 2047},
        {2048, 2048}, {2049, 2048}, {2050, 2049},     {4095, 3071},         {4096, 3072},
        {4099, 3072}, {4100, 3073}, {1000000, 11169}, {HDR_HIGHEST, 33420},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(hdr_slot(rows[i].value), rows[i].slot);
    assert_int_equal(HDR_SLOTS, 33792);
}

static void every_slot_begins_where_the_one_before_ends(void **state)
{
    (void)state;
    int64_t low = 0;
    for (unsigned slot = 0; slot < HDR_SLOTS; slot++) {
        assert_int_equal(hdr_slot_low(slot), low);
        assert_int_equal(hdr_slot(low), slot);
        low += hdr_slot_width(slot);
        assert_int_equal(hdr_slot(low - 1), slot);
    }
    assert_true(low > HDR_HIGHEST);
}

static void a_slot_is_narrower_than_a_thousandth_of_its_values(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        int64_t value = random_time(&seed);
        unsigned slot = hdr_slot(value);
        int64_t low = hdr_slot_low(slot), width = hdr_slot_width(slot);
        assert_true(low <= value && value < low + width);
        assert_true(width == 1 || width * 1000 < value);
    }
}

static int by_value(const void *x, const void *y)
{
    int64_t l = *(const int64_t *)x, r = *(const int64_t *)y;
    return (l > r) - (l < r);
}

static void percentiles_agree_with_the_sorted_values(void **state)
{
    (void)state;
    enum {
        N = 20000
    };
    static int64_t values[N];
    uint64_t seed = 42, sum = 0;
    hdr_init(&a);
    for (int i = 0; i < N; i++) {
        values[i] = random_time(&seed);
        sum += (uint64_t)values[i];
        hdr_record(&a, values[i], 1);
    }
    qsort(values, N, sizeof values[0], by_value);
    static const int64_t percents[] = {1, 1000, 25000, 50000, 90000, 99000, 99900, 99990};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        int64_t rank = (percents[i] * N + 50000) / 100000;
        int64_t exact = values[rank > 0 ? rank - 1 : 0];
        int64_t got = hdr_percentile(&a, percents[i]);
        assert_true(got >= exact);
        assert_int_equal(hdr_slot(got), hdr_slot(exact));
    }
    assert_int_equal(hdr_percentile(&a, 0), values[0]);
    assert_int_equal(hdr_percentile(&a, 100000), values[N - 1]);
    assert_int_equal(a.min, values[0]);
    assert_int_equal(a.max, values[N - 1]);
    assert_int_equal(hdr_mean(&a), sum / N);
}

static void a_percentile_never_leaves_the_recorded_range(void **state)
{
    (void)state;
    hdr_init(&a);
    hdr_record(&a, 1000001, 1);
    /* The slot reaches further on both sides. */
    assert_true(hdr_slot_low(hdr_slot(1000001)) < 1000001);
    assert_int_equal(hdr_percentile(&a, 1), 1000001);
    assert_int_equal(hdr_percentile(&a, 50000), 1000001);
    assert_int_equal(hdr_percentile(&a, 100000), 1000001);
}

static void an_empty_histogram_answers_zero(void **state)
{
    (void)state;
    hdr_init(&a);
    assert_int_equal(hdr_percentile(&a, 0), 0);
    assert_int_equal(hdr_percentile(&a, 99000), 0);
    assert_int_equal(hdr_mean(&a), 0);
    assert_false(hdr_can_tell(&a, 50000));
    hdr_record(&a, 5, 0);
    assert_int_equal(a.count, 0);
}

static void values_out_of_range_are_clamped_and_counted(void **state)
{
    (void)state;
    hdr_init(&a);
    hdr_record(&a, -5, 1);
    hdr_record(&a, HDR_HIGHEST, 1);
    assert_int_equal(a.min, 0);
    assert_int_equal(a.clamped, 0);
    hdr_record(&a, HDR_HIGHEST * 1000, 2);
    assert_int_equal(a.clamped, 2);
    assert_int_equal(a.count, 4);
    assert_int_equal(a.max, HDR_HIGHEST * 1000);
    assert_int_equal(hdr_percentile(&a, 100000), HDR_HIGHEST * 1000);
    assert_int_equal(hdr_percentile(&a, 25000), 0);
}

static void recording_many_at_once_equals_recording_each(void **state)
{
    (void)state;
    hdr_init(&a);
    hdr_init(&b);
    hdr_record(&a, 123456, 1000);
    for (int i = 0; i < 1000; i++)
        hdr_record(&b, 123456, 1);
    assert_memory_equal(&a, &b, sizeof a);
}

static void merging_equals_recording_in_one(void **state)
{
    (void)state;
    static struct hdr both;
    uint64_t seed = 3;
    hdr_init(&a);
    hdr_init(&b);
    hdr_init(&both);
    for (int i = 0; i < 50000; i++) {
        int64_t value = random_time(&seed);
        hdr_record(i % 3 ? &a : &b, value, 1);
        hdr_record(&both, value, 1);
    }
    hdr_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof a);

    hdr_init(&b);
    hdr_merge(&a, &b); /* empty: changes nothing, min included */
    assert_memory_equal(&a, &both, sizeof a);
    hdr_merge(&b, &a);
    assert_memory_equal(&b, &both, sizeof b);
}

static void a_percentile_needs_ten_values_beyond_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        int64_t percent;
        bool can_tell;
    } rows[] = {
        {19, 50000, false},    {20, 50000, true},       {99, 90000, false},
        {100, 90000, true},    {999, 99000, false},     {1000, 99000, true},
        {9999, 99900, false},  {10000, 99900, true},    {99999, 99990, false},
        {100000, 99990, true}, {100000, 100000, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hdr_init(&a);
        hdr_record(&a, 1, rows[i].count);
        assert_int_equal(hdr_can_tell(&a, rows[i].percent), rows[i].can_tell);
    }
}

static void ranks_of_huge_counts_do_not_overflow(void **state)
{
    (void)state;
    hdr_init(&a);
    hdr_record(&a, 1, UINT64_C(1) << 61);
    hdr_record(&a, 2, UINT64_C(1) << 61);
    assert_int_equal(hdr_percentile(&a, 49000), 1);
    assert_int_equal(hdr_percentile(&a, 51000), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(slots_are_laid_out_as_hdrhistogram_has_them),
        pf_test(every_slot_begins_where_the_one_before_ends),
        pf_test(a_slot_is_narrower_than_a_thousandth_of_its_values),
        pf_test(percentiles_agree_with_the_sorted_values),
        pf_test(a_percentile_never_leaves_the_recorded_range),
        pf_test(an_empty_histogram_answers_zero),
        pf_test(values_out_of_range_are_clamped_and_counted),
        pf_test(recording_many_at_once_equals_recording_each),
        pf_test(merging_equals_recording_in_one),
        pf_test(a_percentile_needs_ten_values_beyond_it),
        pf_test(ranks_of_huge_counts_do_not_overflow),
    };
    return cmocka_run_group_tests_name("hdr", tests, NULL, NULL);
}
