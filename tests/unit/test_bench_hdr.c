/* The histogram of prefork-bench: its layout against HdrHistogram's published one, and its
 * percentiles against sorted values. */
#include "tests/lib/test.h"

#include "bench/hdr.h"

#include <math.h>
#include <pthread.h>
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

static void the_deviation_is_that_of_the_values(void **state)
{
    (void)state;
    static const struct {
        int64_t values[4];
        unsigned count;
        double stdev, within; /* relative: a slot's width */
    } rows[] = {
        {{0}, 0, 0, 0},
        {{77}, 1, 0, 0},
        {{1, 3}, 2, 1, 0},
        {{2, 4, 4, 6}, 4, 1.4142135623730951, 1e-12},
        {{1000000, 3000000}, 2, 1000000, 0.001},
        {{0, 3600000000000}, 2, 1800000000000, 0.001},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hdr_init(&a);
        for (unsigned n = 0; n < rows[i].count; n++)
            hdr_record(&a, rows[i].values[n], 1);
        assert_true(fabs(hdr_stdev(&a) - rows[i].stdev) <= rows[i].stdev * rows[i].within);
    }
}

/* At 100,000 a second that wait a second each, the sum goes round in 51 hours. */
static void the_mean_stands_when_the_sum_goes_round(void **state)
{
    (void)state;
    hdr_init(&a);
    hdr_record(&a, 1000000001, UINT64_C(60000000000));
    hdr_record(&a, 3000000001, UINT64_C(60000000000));
    assert_true(a.sum < UINT64_C(1) << 63);
    assert_int_equal(hdr_mean(&a), 2000000001);
    assert_true(fabs(hdr_stdev(&a) - 1e9) < 1e6);
}

static void a_difference_is_what_came_since(void **state)
{
    (void)state;
    static struct hdr total, since;
    uint64_t seed = 11;
    hdr_init(&total);
    for (int i = 0; i < 20000; i++)
        hdr_record(&total, random_time(&seed) + 1000, 1);
    hdr_copy(&a, &total);
    assert_memory_equal(&a, &total, sizeof a);

    hdr_init(&b);
    for (int i = 0; i < 20000; i++) {
        int64_t value = 1000000 + random_time(&seed) % 1000000;
        hdr_record(&total, value, 1);
        hdr_record(&b, value, 1);
    }
    hdr_subtract(&since, &total, &a);
    assert_int_equal(since.count, b.count);
    assert_int_equal(since.sum, b.sum);
    assert_memory_equal(since.slots, b.slots, sizeof b.slots);
    assert_int_equal(hdr_slot(since.min), hdr_slot(b.min));
    assert_int_equal(hdr_slot(since.max), hdr_slot(b.max));
    for (int64_t percent = 1000; percent < 100000; percent += 1000)
        assert_int_equal(hdr_slot(hdr_percentile(&since, percent)),
                         hdr_slot(hdr_percentile(&b, percent)));

    hdr_subtract(&a, &total, &a); /* in place */
    assert_memory_equal(&a, &since, sizeof a);
    hdr_subtract(&since, &total, &total);
    hdr_init(&b);
    assert_memory_equal(&since, &b, sizeof b);
}

/* A value in a half-filled slot, and a maximum that is younger than the difference. */
static void a_difference_never_leaves_the_range_of_the_whole(void **state)
{
    (void)state;
    static struct hdr total;
    hdr_init(&total);
    hdr_record(&total, 1000001, 1);
    hdr_copy(&a, &total);
    hdr_record(&total, 1000001, 1);
    hdr_subtract(&b, &total, &a);
    assert_int_equal(b.min, 1000001);
    assert_int_equal(b.max, 1000001);
    hdr_copy(&a, &total);
    hdr_record(&total, HDR_HIGHEST * 7, 1);
    hdr_subtract(&b, &total, &a);
    assert_int_equal(b.clamped, 1);
    assert_int_equal(hdr_percentile(&b, 50000), HDR_HIGHEST * 7);
}

static void only_clamped_values_keep_their_exact_ends(void **state)
{
    (void)state;
    hdr_init(&a);
    hdr_record(&a, HDR_HIGHEST * 3, 1);
    hdr_record(&a, HDR_HIGHEST * 2, 1);
    hdr_copy(&b, &a);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(b.min, HDR_HIGHEST * 2);
}

enum {
    RECORDED = 300000
};

static void *record_all(void *arg)
{
    struct hdr *hdr = arg;
    uint64_t seed = 5;
    for (int i = 0; i < RECORDED; i++)
        hdr_record(hdr, 1000 + random_time(&seed) % 1000000, 1);
    return NULL;
}

static void check_whole(const struct hdr *hdr, uint64_t at_least)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HDR_SLOTS; i++)
        count += hdr->slots[i];
    assert_int_equal(count, hdr->count);
    assert_true(count >= at_least);
    if (count == 0)
        return;
    assert_true(hdr->min >= 1000 && hdr->min <= hdr->max && hdr->max < 1002048);
    int64_t median = hdr_percentile(hdr, 50000);
    assert_true(median >= hdr->min && median <= hdr->max);
}

/* For ThreadSanitizer as well: it sees threads, not processes. */
static void what_is_read_while_it_is_recorded_is_whole(void **state)
{
    (void)state;
    static struct hdr live;
    hdr_init(&live);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, record_all, &live), 0);
    uint64_t seen = 0;
    while (seen < RECORDED) {
        hdr_copy(&a, &live);
        check_whole(&a, seen);
        seen = a.count;
        hdr_init(&b);
        hdr_merge(&b, &live);
        check_whole(&b, seen);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    hdr_copy(&a, &live);
    assert_memory_equal(&a, &live, sizeof a);
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
        pf_test(the_deviation_is_that_of_the_values),
        pf_test(the_mean_stands_when_the_sum_goes_round),
        pf_test(a_difference_is_what_came_since),
        pf_test(a_difference_never_leaves_the_range_of_the_whole),
        pf_test(only_clamped_values_keep_their_exact_ends),
        pf_test(what_is_read_while_it_is_recorded_is_whole),
    };
    return cmocka_run_group_tests_name("hdr", tests, NULL, NULL);
}
