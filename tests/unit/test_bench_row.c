/* Rows of a series that become one. */
#include "tests/lib/test.h"

#include "bench/row.h"
#include "bench/series.h"

#define SECOND INT64_C(1000000000)

/* `fast` values in bin 10, `slow` ones in bin 20. */
static struct result_row make(int64_t t_s, uint32_t fast, uint32_t slow)
{
    struct result_row row = {.t_ns = t_s * SECOND,
                             .span_ns = SECOND,
                             .planned = 10,
                             .sent = 9,
                             .ok = fast + slow,
                             .err = 1,
                             .in_flight = 3,
                             .backlog = slow,
                             .p50_ns = RESULT_UNKNOWN,
                             .p99_ns = RESULT_UNKNOWN,
                             .max_ns = RESULT_UNKNOWN,
                             .server_cpu_ns = 100,
                             .server_rss = 1000 * t_s};
    row.heat[10] = fast;
    row.heat[20] = slow;
    if (fast + slow) {
        row.max_ns = slow ? series_bin_top(20) - 5 : series_bin_top(10) - 5;
        row.p50_ns = row.p99_ns = row.max_ns - 1;
    }
    return row;
}

static void a_percentile_is_the_end_of_its_bin_within_the_maximum(void **state)
{
    (void)state;
    static const struct {
        uint32_t fast, slow;
        unsigned percent, bin;
    } rows[] = {{100, 0, 1, 10}, {99, 1, 99, 10}, {98, 2, 99, 20},  {1, 1, 50, 10},
                {1, 2, 50, 20},  {0, 1, 1, 20},   {50, 50, 50, 10}, {50, 50, 100, 20}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_row row = make(1, rows[i].fast, rows[i].slow);
        int64_t top = series_bin_top(rows[i].bin);
        assert_int_equal(row_percentile(&row, rows[i].percent),
                         top < row.max_ns ? top : row.max_ns);
    }
    struct result_row none = make(1, 0, 0);
    assert_int_equal(row_percentile(&none, 50), RESULT_UNKNOWN);
    /* A document may leave the maximum out. */
    struct result_row row = make(1, 1, 0);
    row.max_ns = RESULT_UNKNOWN;
    assert_int_equal(row_percentile(&row, 50), series_bin_top(10));
}

static void what_follows_goes_on_in_time(void **state)
{
    (void)state;
    struct result_row row = make(1, 99, 1), next = make(2, 98, 2);
    next.in_flight = 8;
    row_join(&row, &next);
    assert_int_equal(row.t_ns, 2 * SECOND);
    assert_int_equal(row.span_ns, 2 * SECOND);
    assert_int_equal(row.planned, 20);
    assert_int_equal(row.sent, 18);
    assert_int_equal(row.ok, 200);
    assert_int_equal(row.err, 2);
    assert_int_equal(row.in_flight, 8); /* at its end */
    assert_int_equal(row.backlog, 2);   /* the largest */
    assert_int_equal(row.server_cpu_ns, 200);
    assert_int_equal(row.server_rss, 2000);
    assert_int_equal(row.heat[10], 197);
    assert_int_equal(row.p50_ns, series_bin_top(10));
    assert_int_equal(row.p99_ns, row.max_ns);
    next = make(3, 1, 0);
    next.server_cpu_ns = RESULT_UNKNOWN;
    row_join(&row, &next);
    assert_int_equal(row.server_cpu_ns, RESULT_UNKNOWN);
}

static void the_same_time_of_another_is_beside_it(void **state)
{
    (void)state;
    struct result_row row = make(1, 99, 1), other = make(1, 98, 2);
    row.server_cpu_ns = row.server_rss = RESULT_UNKNOWN;
    row_add(&row, &other);
    assert_int_equal(row.t_ns, SECOND);
    assert_int_equal(row.span_ns, SECOND);
    assert_int_equal(row.ok, 200);
    assert_int_equal(row.in_flight, 6);
    assert_int_equal(row.backlog, 3);
    assert_int_equal(row.server_cpu_ns, 100); /* of the same server: once */
    assert_int_equal(row.server_rss, 1000);
}

static void one_without_values_leaves_the_others_as_they_are(void **state)
{
    (void)state;
    struct result_row row = make(1, 0, 0), other = make(1, 7, 0);
    row_add(&row, &other);
    assert_int_equal(row.p50_ns, other.p50_ns);
    assert_int_equal(row.max_ns, other.max_ns);
    struct result_row next = make(2, 0, 0);
    row_join(&row, &next);
    assert_int_equal(row.p99_ns, other.p99_ns);
    row.heat[10] = UINT32_MAX - 1;
    row_join(&row, &other);
    assert_int_equal(row.heat[10], UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_percentile_is_the_end_of_its_bin_within_the_maximum),
        pf_test(what_follows_goes_on_in_time),
        pf_test(the_same_time_of_another_is_beside_it),
        pf_test(one_without_values_leaves_the_others_as_they_are),
    };
    return cmocka_run_group_tests_name("row", tests, NULL, NULL);
}
