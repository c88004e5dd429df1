/* One row a second in constant memory: nothing is lost when rows become one. */
#include "tests/lib/test.h"

#include "bench/series.h"
#include <prefork/base.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct hdr now;

static void bins_are_a_fifth_of_a_decade(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        unsigned bin;
    } rows[] = {
        {0, 0},
        {999, 0},
        {1000, 0},
        {1584, 0},
        {1585, 1},
        {2511, 1},
        {2512, 2},
        {9999, 4},
        {10000, 5},
        {15848, 5},
        {15849, 6},
        {999999, 14},
        {1000000, 15},
        {PF_SECOND - 1, 29},
        {PF_SECOND, 30},
        {99 * PF_SECOND, 39},
        {100 * PF_SECOND, 39},
        {HDR_HIGHEST, 39},
        {INT64_MAX, 39},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(series_bin(rows[i].ns), rows[i].bin);
    for (unsigned bin = 0; bin < RESULT_HEAT_BINS; bin++) {
        int64_t top = series_bin_top(bin);
        double end = 1000 * pow(10, (bin + 1) / 5.0);
        assert_true((double)top < end * (1 + 1e-11) &&
                    (double)top >= end * (1 - 1e-11) - 1.001);
        assert_int_equal(series_bin(top), bin);
        if (bin + 1 < RESULT_HEAT_BINS)
            assert_int_equal(series_bin(top + 1), bin + 1);
    }
}

/* Second i: i + 1 requests sent, one fewer ok, of i + 1 us each; one of 50 ms. */
static struct result_row *add_second(struct series *series, struct series_sample *sample,
                                     uint64_t i)
{
    sample->t_ns = (int64_t)(i + 1) * PF_SECOND;
    sample->planned += i + 2;
    sample->sent += i + 1;
    sample->ok += i;
    sample->err += 1;
    sample->in_flight = i % 10;
    sample->backlog = i % 7;
    hdr_record(&now, (int64_t)(i % 100 + 1) * 1000, i);
    hdr_record(&now, 50000000, 1);
    sample->hdr = &now;
    return series_add(series, sample);
}

static void a_row_is_what_came_since_the_one_before(void **state)
{
    (void)state;
    struct series series;
    struct series_sample sample = {0};
    assert_int_equal(series_init(&series), 0);
    hdr_init(&now);
    for (uint64_t i = 0; i < 1000; i++) {
        struct result_row *row = add_second(&series, &sample, i);
        assert_int_equal(series.count, i + 1);
        assert_ptr_equal(row, &series.rows[i]);
        assert_int_equal(row->t_ns, sample.t_ns);
        assert_int_equal(row->span_ns, PF_SECOND);
        assert_int_equal(row->planned, i + 2);
        assert_int_equal(row->sent, i + 1);
        assert_int_equal(row->ok, i);
        assert_int_equal(row->err, 1);
        assert_int_equal(row->in_flight, i % 10);
        assert_int_equal(row->backlog, i % 7);
        assert_int_equal(row->server_cpu_ns, RESULT_UNKNOWN);
        assert_int_equal(row->server_rss, RESULT_UNKNOWN);
        int64_t usual = (int64_t)(i % 100 + 1) * 1000;
        if (i >= 2)
            assert_int_equal(hdr_slot(row->p50_ns), hdr_slot(usual));
        if (i >= 200)
            assert_int_equal(hdr_slot(row->p99_ns), hdr_slot(usual));
        assert_int_equal(row->max_ns, 50000000);
        unsigned bin = series_bin(usual);
        assert_int_equal(row->heat[bin], i);
        assert_int_equal(row->heat[series_bin(50000000)], 1);
    }
    /* A second in which nothing came. */
    sample.t_ns += PF_SECOND;
    struct result_row *row = series_add(&series, &sample);
    assert_int_equal(row->ok, 0);
    assert_int_equal(row->p50_ns, RESULT_UNKNOWN);
    assert_int_equal(row->p99_ns, RESULT_UNKNOWN);
    assert_int_equal(row->max_ns, RESULT_UNKNOWN);
    series_fini(&series);
}

static void check_sums(const struct series *series, uint64_t seconds, int64_t cpu)
{
    uint64_t sent = 0, planned = 0, ok = 0, err = 0, heat = 0;
    int64_t t_ns = 0, cpu_ns = 0;
    for (size_t i = 0; i < series->count; i++) {
        const struct result_row *row = &series->rows[i];
        planned += row->planned;
        sent += row->sent;
        ok += row->ok;
        err += row->err;
        t_ns += row->span_ns;
        cpu_ns += row->server_cpu_ns;
        assert_int_equal(row->t_ns, t_ns);
        /* All but the last two span the same. */
        if (i + 2 < series->count)
            assert_int_equal(row->span_ns, series->seconds_per_row * PF_SECOND);
        for (unsigned bin = 0; bin < RESULT_HEAT_BINS; bin++)
            heat += row->heat[bin];
    }
    assert_int_equal(t_ns, (int64_t)seconds * PF_SECOND);
    assert_int_equal(planned, seconds * (seconds + 3) / 2);
    assert_int_equal(sent, seconds * (seconds + 1) / 2);
    assert_int_equal(ok, seconds * (seconds - 1) / 2);
    assert_int_equal(err, seconds);
    assert_int_equal(heat, sent);
    assert_int_equal(cpu_ns, cpu);
}

static void a_long_run_loses_nothing(void **state)
{
    (void)state;
    struct series series;
    struct series_sample sample = {0};
    assert_int_equal(series_init(&series), 0);
    hdr_init(&now);
    for (uint64_t i = 0; i < 5000; i++) {
        struct result_row *row = add_second(&series, &sample, i);
        assert_int_equal(row->span_ns, PF_SECOND);
        assert_int_equal(row->sent, i + 1);
        row->server_cpu_ns = 3;
        row->server_rss = (int64_t)i;
        assert_true(series.count <= SERIES_ROWS_MAX);
        if (i % 97 == 0)
            check_sums(&series, i + 1, 3 * (int64_t)(i + 1));
    }
    check_sums(&series, 5000, 15000);
    assert_int_equal(series.seconds_per_row, 8);
    assert_true(series.count >= 5000 / 8);
    /* A row of 8 seconds, far from the end. */
    const struct result_row *row = &series.rows[201];
    assert_int_equal(row->t_ns, 1616 * PF_SECOND);
    assert_int_equal(row->server_rss, 1615);
    assert_int_equal(row->backlog, 6);
    assert_int_equal(row->in_flight, 1615 % 10);
    assert_int_equal(row->max_ns, 50000000);
    /* Its values lie from 1608 % 100 + 1 to 1615 % 100 + 1 us. */
    assert_true(row->p50_ns >= 9000 && row->p50_ns <= 16000);
    series_fini(&series);
}

static void joined_rows_take_their_percentiles_from_the_bins(void **state)
{
    (void)state;
    struct series series;
    struct series_sample sample = {.hdr = &now};
    assert_int_equal(series_init(&series), 0);
    hdr_init(&now);
    hdr_record(&now, 1200, 98); /* bin 0 */
    sample.t_ns = PF_SECOND;
    series_add(&series, &sample)->server_cpu_ns = 5;
    hdr_record(&now, 3000, 1); /* bin 2 */
    hdr_record(&now, 5000, 1); /* bin 3: up to 6309 */
    sample.t_ns = 2 * PF_SECOND;
    series_add(&series, &sample);
    sample.t_ns = 3 * PF_SECOND;
    series_add(&series, &sample);
    series_join(&series);
    assert_int_equal(series.count, 2);
    assert_int_equal(series.seconds_per_row, 2);
    assert_int_equal(series.rows[0].p50_ns, 1584);
    assert_int_equal(series.rows[0].p99_ns, 3981);
    assert_int_equal(series.rows[0].max_ns, 5000);
    assert_int_equal(series.rows[0].server_cpu_ns, RESULT_UNKNOWN);
    assert_int_equal(series.rows[1].p99_ns, RESULT_UNKNOWN);
    assert_int_equal(series.rows[1].max_ns, RESULT_UNKNOWN);
    assert_int_equal(series.rows[1].span_ns, PF_SECOND);
    /* The maximum bounds the bin; what is beyond all bins is the maximum. */
    hdr_record(&now, 5000, 1);
    sample.t_ns = 4 * PF_SECOND;
    series_add(&series, &sample);
    hdr_record(&now, 200 * PF_SECOND, 1);
    sample.t_ns = 5 * PF_SECOND;
    series_add(&series, &sample);
    series_join(&series);
    assert_int_equal(series.count, 2);
    assert_int_equal(series.rows[0].t_ns, 4 * PF_SECOND);
    assert_int_equal(series.rows[0].p99_ns, 5000);
    assert_int_equal(series.rows[1].p99_ns, 200 * PF_SECOND);
    series_fini(&series);
}

static void an_empty_series_can_be_joined(void **state)
{
    (void)state;
    struct series series;
    assert_int_equal(series_init(&series), 0);
    series_join(&series);
    assert_int_equal(series.count, 0);
    struct series_sample sample = {.hdr = &now};
    hdr_init(&now);
    series.seconds_per_row = 1;
    for (int i = 1; i <= 5; i++) {
        sample.t_ns = i * PF_SECOND;
        series_add(&series, &sample);
        series_join(&series);
    }
    int64_t span = 0;
    for (size_t i = 0; i < series.count; i++)
        span += series.rows[i].span_ns;
    assert_int_equal(span, 5 * PF_SECOND);
    series_fini(&series);
    series_fini(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(bins_are_a_fifth_of_a_decade),
        pf_test(a_row_is_what_came_since_the_one_before),
        pf_test(a_long_run_loses_nothing),
        pf_test(joined_rows_take_their_percentiles_from_the_bins),
        pf_test(an_empty_series_can_be_joined),
    };
    return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
