/* Runs against runs, and results added up. */
#include "tests/lib/test.h"

#include "bench/compare.h"
#include "bench/figure.h"
#include "bench/merge.h"
#include "bench/report.h"
#include "bench/stats.h"
#include "tests/lib/sample_result.h"

/* ---- compare --------------------------------------------------------------------------
 */

#define RUNS 6

/* Runs around these numbers, each a little off. */
static void make_runs(struct result_run *runs, size_t count, double rate, int64_t p99_ns)
{
    for (size_t i = 0; i < count; i++)
        runs[i] = (struct result_run){.side = 'A',
                                      .rate_ok = rate * (1 + 0.001 * (double)i),
                                      .p50_ns = p99_ns / 4 + (int64_t)i,
                                      .p99_ns = p99_ns + (int64_t)i * 10,
                                      .max_ns = RESULT_UNKNOWN,
                                      .mean_ns = p99_ns / 3 + (int64_t)i,
                                      .cpu_ns_per_req = NAN};
}

static void a_change_is_told_from_chance(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        double rate;
        int64_t p99_ns;
        double min_effect;
        enum compare_verdict rate_verdict, p99_verdict;
    } rows[] = {
        {RUNS, 50000, 400000, 0.02, COMPARE_SAME, COMPARE_SAME},
        {RUNS, 40000, 400000, 0.02, COMPARE_WORSE, COMPARE_SAME},
        {RUNS, 60000, 400000, 0.02, COMPARE_BETTER, COMPARE_SAME},
        {RUNS, 50000, 500000, 0.02, COMPARE_SAME, COMPARE_WORSE},
        {RUNS, 50000, 300000, 0.02, COMPARE_SAME, COMPARE_BETTER},
        {RUNS, 50000, 404000, 0.02, COMPARE_SAME, COMPARE_SAME}, /* sure, but 1 % */
        {RUNS, 50000, 404000, 0.005, COMPARE_SAME, COMPARE_WORSE},
        {3, 25000, 900000, 0.02, COMPARE_SAME, COMPARE_SAME}, /* p is 0.1 at the least */
        {4, 25000, 900000, 0.02, COMPARE_WORSE, COMPARE_WORSE},
        {1, 25000, 900000, 0.02, COMPARE_SAME, COMPARE_SAME},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_run a[RUNS], b[RUNS];
        struct compare_row out[COMPARE_NUMBERS];
        make_runs(a, rows[i].count, 50000, 400000);
        make_runs(b, rows[i].count, rows[i].rate, rows[i].p99_ns);
        assert_int_equal(
            compare_runs(a, rows[i].count, b, rows[i].count, rows[i].min_effect, out), 0);
        if (out[COMPARE_RATE].verdict != rows[i].rate_verdict ||
            out[COMPARE_P99].verdict != rows[i].p99_verdict)
            fail_msg("row %zu: %d, %d", i, out[COMPARE_RATE].verdict,
                     out[COMPARE_P99].verdict);
        assert_int_equal(out[COMPARE_MAX].verdict, COMPARE_UNKNOWN);
        assert_int_equal(out[COMPARE_CPU].verdict, COMPARE_UNKNOWN);
        assert_int_equal(out[COMPARE_CPU].a_count, 0);
    }
}

static void a_change_is_a_share_with_its_interval(void **state)
{
    (void)state;
    struct result_run a[RUNS], b[RUNS];
    struct compare_row out[COMPARE_NUMBERS];
    make_runs(a, RUNS, 50000, 400000);
    make_runs(b, RUNS, 45000, 400000);
    assert_int_equal(compare_runs(a, RUNS, b, RUNS, 0.02, out), 0);
    const struct compare_row *row = &out[COMPARE_RATE];
    assert_true(fabs(row->change + 0.1) < 0.005);
    assert_true(row->low <= row->change && row->change <= row->high);
    assert_true(row->high < -0.09 && row->low > -0.11);
    assert_true(row->p < 0.01);
    assert_int_equal(compare_worse(out), 1);
    char text[FIGURE_MAX];
    assert_string_equal(compare_figure(COMPARE_RATE, row->a, text), "50,125");
    assert_string_equal(compare_figure(COMPARE_P99, 402000, text), "402us");
    assert_string_equal(compare_figure(COMPARE_P99, NAN, text), "-");
}

/* Six questions are asked at once: by chance alone one of them is below 0.05 rather often.
 * What the exit status rests on holds for all six together. */
static void many_questions_make_one_answer_no_less_sure(void **state)
{
    (void)state;
    static const struct {
        double p[COMPARE_NUMBERS];
        bool better;
        unsigned worse, sure;
    } rows[] = {
        {{0.04, 1, 1, 1, 1, 1}, false, 1, 0}, /* 0.24 */
        {{0.008, 1, 1, 1, 1, 1}, false, 1, 1},
        {{0.009, 1, 1, 1, 1, 1}, false, 1, 0},
        {{0.008, 0.0099, 1, 1, 1, 1}, false, 2, 2}, /* 6, then 5 */
        {{0.0099, 0.008, 1, 1, 1, 1}, false, 2, 2},
        {{0.008, 0.011, 0.001, 1, 1, 1}, false, 3, 3}, /* 6, 5, 4 */
        {{0.04, 0.04, 0.04, 0.04, 0.04, 0.04}, false, 6, 0},
        {{0.001, 0.001, 0.001, 0.001, 0.001, 0.049}, false, 6, 6},
        {{0.001, 1, 1, 1, 1, 1}, true, 0, 0},
        {{0.04, NAN, NAN, NAN, NAN, NAN}, false, 1, 1}, /* asked one thing alone */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct compare_row out[COMPARE_NUMBERS] = {0};
        for (int n = 0; n < COMPARE_NUMBERS; n++) {
            out[n].p = rows[i].p[n];
            out[n].verdict = isnan(out[n].p)             ? COMPARE_UNKNOWN
                             : out[n].p >= COMPARE_ALPHA ? COMPARE_SAME
                             : rows[i].better            ? COMPARE_BETTER
                                                         : COMPARE_WORSE;
        }
        if (compare_worse(out) != rows[i].worse ||
            compare_surely_worse(out) != rows[i].sure)
            fail_msg("row %zu: %u, %u", i, compare_worse(out), compare_surely_worse(out));
    }
}

static void empty_sides_and_too_many_runs_are_no_comparison(void **state)
{
    (void)state;
    static struct result_run many[STATS_RUNS_MAX + 1];
    struct compare_row out[COMPARE_NUMBERS];
    make_runs(many, STATS_RUNS_MAX + 1, 50000, 400000);
    assert_int_equal(compare_runs(many, STATS_RUNS_MAX + 1, many, 1, 0.02, out), -E2BIG);
    assert_int_equal(compare_runs(many, 1, many, STATS_RUNS_MAX + 1, 0.02, out), -E2BIG);
    assert_int_equal(compare_runs(many, 4, many, 0, 0.02, out), 0);
    for (int i = 0; i < COMPARE_NUMBERS; i++)
        assert_int_equal(out[i].verdict, COMPARE_UNKNOWN);
    assert_int_equal(compare_worse(out), 0);
}

static void sides_of_a_result_are_taken_apart(void **state)
{
    (void)state;
    struct result *result = sample_modes();
    struct result_run *a, *b;
    assert_int_equal(compare_side(result, 'A', &a), 7);
    assert_int_equal(compare_side(result, 'B', &b), 7);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(a[i].side, 'A');
        assert_int_equal(b[i].side, 'B');
    }
    free(a);
    free(b);
    result_free(result);
    result = sample_open();
    assert_int_equal(compare_side(result, 'A', &a), 0);
    free(a);
    struct result_run run = compare_as_run(result);
    assert_int_equal(run.rate_ok, 49998);
    assert_int_equal(run.p99_ns,
                     hdr_percentile(result->latency[RESULT_RESPONSE].hdr, 99000));
    assert_true(fabs(run.cpu_ns_per_req - 46201.8) < 1);
    result_free(result);
}

/* ---- merge ----------------------------------------------------------------------------
 */

static char why[160];

static void assert_merges(struct result *into, const struct result *from)
{
    int err = merge_result(into, from, why, sizeof why);
    if (err)
        fail_msg("%d: %s", err, why);
}

static void counters_and_histograms_add_up(void **state)
{
    (void)state;
    struct result *a = sample_open(), *b = sample_open();
    hdr_record(b->latency[RESULT_RESPONSE].hdr, 77, 5);
    b->latency[RESULT_RESPONSE].censored_at_ns = 900000;
    b->totals.elapsed_ns = 11 * PF_SECOND;
    assert_merges(a, b);
    assert_int_equal(a->totals.sent, 2 * 499998);
    assert_int_equal(a->totals.ok, 2 * 499980);
    assert_int_equal(a->totals.bytes_in, 2 * 612000000);
    assert_int_equal(a->totals.elapsed_ns, 11 * PF_SECOND);
    assert_int_equal(a->status[503], 24);
    assert_int_equal(a->plan.connections, 512);
    assert_int_equal(a->plan.loops, 8);
    assert_int_equal(a->plan.rate_per_s, 100000);
    assert_int_equal(a->validity.loops, 8);
    assert_int_equal(a->latency[RESULT_RESPONSE].hdr->count, 1000005);
    assert_int_equal(a->latency[RESULT_RESPONSE].hdr->min, 77);
    assert_int_equal(a->latency[RESULT_RESPONSE].censored_at_ns, 900000);
    assert_int_equal(a->latency[RESULT_LAG].hdr->count, 1000000);
    /* Both saw the same server. */
    assert_int_equal(a->server.cpu_ns, 23100000000);
    assert_int_equal(a->server.worker_count, 4);
    /* Twice as much of everything: the law holds as before. */
    assert_true(fabs(a->validity.littles_law - 0.99) < 0.11);
    result_free(a);
    result_free(b);
}

static void the_order_does_not_matter_to_what_adds_up(void **state)
{
    (void)state;
    struct result *a[2] = {sample_open(), sample_open()};
    struct result *b[2] = {sample_open(), sample_open()};
    for (int i = 0; i < 2; i++) {
        hdr_record(b[i]->latency[RESULT_SERVICE].hdr, 12345678, 99);
        b[i]->totals.failed = 77;
        b[i]->errors[0].count = 70;
        b[i]->errors[0].first_ns = 1;
        b[i]->rows[3].ok = 1;
    }
    assert_merges(a[0], b[0]);
    assert_merges(b[1], a[1]);
    assert_memory_equal(&a[0]->totals, &b[1]->totals, sizeof a[0]->totals);
    assert_memory_equal(a[0]->latency[RESULT_SERVICE].hdr,
                        b[1]->latency[RESULT_SERVICE].hdr, sizeof(struct hdr));
    assert_memory_equal(a[0]->rows, b[1]->rows, a[0]->row_count * sizeof *a[0]->rows);
    assert_int_equal(a[0]->error_count, 4);
    assert_int_equal(b[1]->error_count, 4);
    assert_int_equal(a[0]->errors[0].count, 73);
    assert_int_equal(b[1]->errors[0].count, 73);
    assert_int_equal(a[0]->errors[0].first_ns, 1);
    assert_int_equal(b[1]->errors[0].first_ns, 1);
    for (int i = 0; i < 2; i++) {
        result_free(a[i]);
        result_free(b[i]);
    }
}

static void errors_of_other_kinds_stand_beside(void **state)
{
    (void)state;
    struct result *a = sample_open(), *b = result_new();
    assert_non_null(b);
    b->errors_beyond = 3;
    for (int reason = 1; reason <= TALLY_ERRORS_MAX; reason++)
        sample_error(b, TALLY_WRITE, TALLY_SENT, reason, 2, 0, "");
    free(a->plan.stages);
    sample_plan(b, "run", "open");
    assert_merges(a, b);
    assert_int_equal(a->error_count, TALLY_ERRORS_MAX);
    assert_int_equal(a->errors_beyond, 3 + 2 * 4);
    result_free(a);
    result_free(b);
}

static void rows_of_the_same_time_are_one(void **state)
{
    (void)state;
    struct result *a = sample_open(), *b = sample_open();
    free(b->rows);
    sample_rows(b, 12);
    b->rows[0].max_ns = b->rows[0].p50_ns = b->rows[0].p99_ns = RESULT_UNKNOWN;
    memset(b->rows[0].heat, 0, sizeof b->rows[0].heat);
    assert_merges(a, b);
    assert_int_equal(a->row_count, 12);
    assert_int_equal(a->rows[0].sent, 100000);
    assert_int_equal(a->rows[0].p50_ns, 88000); /* of the one that has any */
    assert_int_equal(a->rows[1].heat[10], 58000);
    assert_int_equal(a->rows[1].in_flight, 10);
    /* Of both, from the bins: 50090 values, the middle one in bin 10. */
    assert_int_equal(a->rows[1].p50_ns, series_bin_top(10));
    assert_int_equal(a->rows[11].sent, 50000);
    result_free(a);
    result_free(b);
}

static void rows_of_other_spans_are_joined_first(void **state)
{
    (void)state;
    struct result *long_run = sample_open(), *short_run = sample_open();
    for (size_t i = 0; i < long_run->row_count; i++) {
        long_run->rows[i].span_ns = 4 * PF_SECOND;
        long_run->rows[i].t_ns = (int64_t)(i + 1) * 4 * PF_SECOND;
    }
    struct result *other = sample_open();
    assert_merges(short_run, long_run);
    assert_int_equal(short_run->row_count, 10);
    assert_int_equal(short_run->rows[0].span_ns, 4 * PF_SECOND);
    assert_int_equal(short_run->rows[0].sent, 5 * 50000);
    assert_merges(long_run, other);
    assert_int_equal(long_run->row_count, 10);
    assert_int_equal(long_run->rows[0].sent, 5 * 50000);
    uint64_t sent = 0;
    for (size_t i = 0; i < long_run->row_count; i++)
        sent += long_run->rows[i].sent;
    assert_int_equal(sent, 20 * 50000);
    result_free(long_run);
    result_free(short_run);
    result_free(other);
}

static void the_worst_verdict_and_all_reasons_remain(void **state)
{
    (void)state;
    struct result *a = sample_open(), *b = sample_open();
    b->validity.verdict = RESULT_SUSPECT;
    b->validity.reason_count = 2;
    snprintf(b->validity.reasons[0], RESULT_REASON_MAX, "busy");
    snprintf(b->validity.reasons[1], RESULT_REASON_MAX, "late");
    a->validity.reason_count = 1;
    snprintf(a->validity.reasons[0], RESULT_REASON_MAX, "late");
    assert_merges(a, b);
    assert_int_equal(a->validity.verdict, RESULT_SUSPECT);
    assert_int_equal(a->validity.reason_count, 2);
    assert_string_equal(a->validity.reasons[1], "busy");
    for (int i = 0; i < 40; i++) {
        snprintf(b->validity.reasons[0], RESULT_REASON_MAX, "reason %d", i);
        assert_merges(a, b);
    }
    assert_int_equal(a->validity.reason_count, RESULT_REASONS_MAX);
    result_free(a);
    result_free(b);
}

static void set_text(char **text, const char *to)
{
    free(*text);
    *text = sample_text(to);
}

static void other_plans_are_refused_and_nothing_is_changed(void **state)
{
    (void)state;
    for (int round = 0; round < 9; round++) {
        struct result *a = sample_open(), *b = sample_open();
        static const char *const phrases[] = {
            "plan.target",      "plan.mode",    "plan.load", "plan.pipeline",
            "plan.duration_ns", "several runs", "no sum",    "not taken at the same time",
            "plan.stages"};
        switch (round) {
        case 0:
            set_text(&b->plan.target, "http://127.0.0.1:1/");
            break;
        case 1:
            set_text(&b->plan.mode, "storm");
            break;
        case 2:
            set_text(&b->plan.load, "closed");
            break;
        case 3:
            b->plan.pipeline = 16;
            break;
        case 4:
            b->plan.duration_ns++;
            break;
        case 5:
            b->runs = calloc(1, sizeof *b->runs);
            b->run_count = 1;
            break;
        case 6:
            b->reload = calloc(1, sizeof *b->reload);
            break;
        case 7: /* the sample lasted 2 s or so */
            set_text(&a->environment.time_utc, "2026-11-27T23:59:00Z");
            set_text(&b->environment.time_utc, "2026-11-28T01:00:00Z");
            break;
        default:
            set_text(&b->plan.stages, "10s:1k");
            break;
        }
        char *before, *after;
        SAMPLE_WRITTEN(before, report_json(a, to));
        assert_int_equal(merge_result(a, b, why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, phrases[round]));
        SAMPLE_WRITTEN(after, report_json(a, to));
        assert_string_equal(before, after);
        free(before);
        free(after);
        result_free(a);
        result_free(b);
    }
}

static void connections_held_add_up(void **state)
{
    (void)state;
    struct result *a = sample_open(), *b = sample_open();
    a->hold = calloc(1, sizeof *a->hold);
    b->hold = calloc(1, sizeof *b->hold);
    assert_non_null(a->hold);
    assert_non_null(b->hold);
    *a->hold = (struct result_hold){
        .asked = 100, .held = 100, .user_bytes = 40, .kernel_bytes = 3000, .connect_ns = 5};
    *b->hold = (struct result_hold){.asked = 300,
                                    .held = 300,
                                    .lost = 2,
                                    .user_bytes = 80,
                                    .kernel_bytes = 3000,
                                    .connect_ns = 9};
    assert_merges(a, b);
    assert_int_equal(a->hold->held, 400);
    assert_int_equal(a->hold->lost, 2);
    assert_true(a->hold->user_bytes == 70);
    assert_true(a->hold->kernel_bytes == 3000);
    assert_int_equal(a->hold->connect_ns, 9);
    result_free(a);
    result_free(b);
}

static void a_sum_is_a_document_again(void **state)
{
    (void)state;
    struct result *a = sample_open(), *b = sample_open(), *back = NULL;
    for (int i = 0; i < 3; i++)
        assert_merges(a, b);
    char *text, *again;
    SAMPLE_WRITTEN(text, report_json(a, to));
    FILE *from = fmemopen(text, strlen(text), "r");
    assert_non_null(from);
    assert_int_equal(report_read_json(from, &back, why, sizeof why), 0);
    fclose(from);
    SAMPLE_WRITTEN(again, report_json(back, to));
    assert_string_equal(text, again);
    free(text);
    free(again);
    result_free(a);
    result_free(b);
    result_free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_change_is_told_from_chance),
        pf_test(a_change_is_a_share_with_its_interval),
        pf_test(many_questions_make_one_answer_no_less_sure),
        pf_test(empty_sides_and_too_many_runs_are_no_comparison),
        pf_test(sides_of_a_result_are_taken_apart),
        pf_test(counters_and_histograms_add_up),
        pf_test(the_order_does_not_matter_to_what_adds_up),
        pf_test(errors_of_other_kinds_stand_beside),
        pf_test(rows_of_the_same_time_are_one),
        pf_test(rows_of_other_spans_are_joined_first),
        pf_test(the_worst_verdict_and_all_reasons_remain),
        pf_test(other_plans_are_refused_and_nothing_is_changed),
        pf_test(connections_held_add_up),
        pf_test(a_sum_is_a_document_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
