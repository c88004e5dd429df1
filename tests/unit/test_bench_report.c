/* What people read of a result: numbers with units, the summary on the terminal, the page;
 * and the series and histograms for other programs. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_bench_document.c"

#include "bench/figure.h"
#include "bench/hdr_codec.h"
#include "bench/report.h"
#include "bench/utf8.h"
#include "tests/lib/sample_result.h"

/* ---- numbers ------------------------------------------------------------------------- */

static void times_have_three_digits(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *time, *span;
    } rows[] = {
        {0, "0ns", "0ns"},
        {1, "1ns", "1ns"},
        {999, "999ns", "999ns"},
        {1000, "1.00us", "1us"},
        {1500, "1.50us", "1.5us"},
        {9994, "9.99us", "9.99us"},
        {9996, "10.0us", "10us"},
        {99940, "99.9us", "99.9us"},
        {99960, "100us", "100us"},
        {999400, "999us", "999us"},
        {999600, "1.00ms", "1ms"},
        {402000, "402us", "402us"},
        {10000000000, "10.0s", "10s"},
        {120000000000, "120s", "120s"},
        {-1, "-", "-"},
        {RESULT_UNKNOWN, "-", "-"},
    };
    char text[FIGURE_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(figure_time(rows[i].ns, text), rows[i].time);
        assert_string_equal(figure_span(rows[i].ns, text), rows[i].span);
    }
}

typedef char *figure_fn(double number, char *text);

static void other_numbers_have_their_units(void **state)
{
    (void)state;
    static const struct {
        figure_fn *figure;
        double number;
        const char *expected;
    } rows[] = {
        {figure_bytes, 0, "0 B"},
        {figure_bytes, 999, "999 B"},
        {figure_bytes, 61200000, "61.2 MB"},
        {figure_bytes, 1e15, "1000 TB"},
        {figure_bytes, -1, "-"},
        {figure_bytes, NAN, "-"},
        {figure_count, 48100, "48.1k"},
        {figure_count, 999, "999"},
        {figure_count, 999600, "1.00M"},
        {figure_count, 1e300, NULL},
        {figure_brief, 20000, "20k"},
        {figure_brief, 1500000, "1.5M"},
        {figure_brief, 0, "0"},
        {figure_brief, 0.5, "0.5"},
        {figure_brief, 100, "100"},
        {figure_rate, 49998.2, "49,998"},
        {figure_rate, 12.5, "12.5"},
        {figure_rate, 3, "3"},
        {figure_rate, 0.25, "0.25"},
        {figure_rate, 1234567, "1,234,567"},
        {figure_rate, 1e300, NULL},
        {figure_rate, NAN, "-"},
        {figure_share, 0, "0%"},
        {figure_share, 0.12, "12%"},
        {figure_share, 0.009, "0.9%"},
        {figure_share, 0.00003, "0.003%"},
        {figure_share, 1, "100%"},
        {figure_decimal, 46.2, "46.2"},
        {figure_decimal, 1234.4, "1234"},
    };
    char text[FIGURE_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rows[i].figure(rows[i].number, text);
        assert_true(strlen(text) < FIGURE_MAX);
        if (rows[i].expected)
            assert_string_equal(text, rows[i].expected);
    }
}

static void text_of_any_bytes_reads_as_characters(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t characters[4];
    } rows[] = {
        {"a", {'a'}},
        {"\xc3\xa4", {0xe4}},
        {"\xe2\x96\x87", {0x2587}},
        {"\xf0\x9f\x98\x80", {0x1f600}},
        {"\xc0\x80", {UTF8_REPLACEMENT, UTF8_REPLACEMENT}}, /* too long a form */
        {"\xed\xa0\x80", {UTF8_REPLACEMENT, UTF8_REPLACEMENT, UTF8_REPLACEMENT}},
        {"\xf4\x90\x80\x80",
         {UTF8_REPLACEMENT, UTF8_REPLACEMENT, UTF8_REPLACEMENT, UTF8_REPLACEMENT}},
        {"\xe2\x96", {UTF8_REPLACEMENT, UTF8_REPLACEMENT}}, /* cut off */
        {"\xe2", {UTF8_REPLACEMENT}},
        {"\xff"
         "b",
         {UTF8_REPLACEMENT, 'b'}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *text = rows[i].bytes;
        for (int n = 0; n < 4 && rows[i].characters[n]; n++)
            assert_int_equal(utf8_next(&text), rows[i].characters[n]);
        assert_int_equal(utf8_next(&text), 0);
        assert_int_equal(utf8_next(&text), 0);
    }
}

/* ---- the summary --------------------------------------------------------------------- */

static const struct report_style plain_style = {.utf8 = false};

static char *summary(const struct result *result, const struct report_style *style)
{
    char *text;
    SAMPLE_WRITTEN(text, report_text(result, style, to));
    return text;
}

/* The rows stand in the text one after another. */
static void assert_rows(const char *text, const char *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *at = strstr(text, rows[i]);
        if (!at)
            fail_msg("no \"%s\" in its place in:\n%s", rows[i], text);
        text = at + strlen(rows[i]);
    }
}

static void the_summary_has_its_rows_in_order(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "prefork-bench 0.",
        "http://127.0.0.1:8080/",
        "open 50,000/s poisson",
        "c=256 t=4",
        "10s (+2s warm-up)\n",
        "  VALID ",
        "generator 61% of 4 loops (46% CPU, 15% waiting for one),",
        "lag p99 18.9us",
        "backlog 0",
        "0 dropped",
        "censored 0\n",
        "  rate ",
        "50,000/s planned",
        "50,000/s sent",
        "49,998/s ok",
        "61.2 MB/s in",
        "7.10 MB/s out\n",
        "min    p50    p90    p99  p99.9 p99.99    max   mean\n",
        "  response 44.0us 88.0us",
        "from due\n",
        "  service ",
        "from send\n",
        "  ttfb ",
        "  error ",
        "  connect ",
        "n=1.00k\n",
        "  req/s    #########",
        "min 48.1k",
        "p99/s .....#....",
        "worst 2.20ms at 5s\n",
        "  status   200 x 499,982   503 x 12\n",
        "  errors ",
        "4 failed",
        "2 wrong",
        "phase    reason ",
        "read     ECONNRESET            3   5.12s  0 bytes back: retryable\n",
        "read     closed                1   5.30s  in mid-response: lost\n",
        "\"HTTP/1.1 200 OK\"\n",
        "validate wrong length          2   120ms  complete, but wrong\n",
        "connect  ECONNREFUSED          1  set-up  not connected: no request\n",
        "  server   2.31 cores",
        "46.2 us CPU/req (user 17.0 sys 29.2)",
        "RSS 38.4 MB (4 workers)",
        "  workers  123k 127k 128k 122k req",
        "fairness 0.9996",
        "conns 61-67",
        "cpu 55-60%\n",
        "  conns    256 opened",
        "  slo      PASS p99<1ms (402us)   FAIL err<0.001% (0.003%)\n",
        "  note     2 requests were never sent\n",
        "exit 99: 1 of 2 SLOs failed\n",
    };
    struct result *result = sample_open();
    char *text = summary(result, &plain_style);
    assert_rows(text, rows, sizeof rows / sizeof rows[0]);
    free(text);
    result_free(result);
}

static void other_modes_have_rows_of_their_own(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "prefork-bench 0.",
        "  search  ",
        "  VALID ",
        "  rate     1,000/s ok",
        "  service ",
        "  search       rate/s   achieved ",
        "24,000     24,002 ",
        "pass\n",
        "FAIL p99<5ms (30.0ms)\n",
        "  confirm ",
        "  highest  48,000/s holds",
        "50,400/s does not\n",
        "  hold     99,999 of 100,000 held",
        "1 lost",
        "opened in 2.10s (47.6k/s)\n",
        "  each     here 48 B user + 3.70 kB kernel",
        "  reload   LOST 0 of 1,000",
        "17 idle closes",
        "blackout 1.50ms\n",
        "p99 1.30ms in seconds with one  400us without\n",
        "  abuse    kind ",
        "slowloris       500      500      480       20     10.0s     12.0s\n",
        "idle          5,000    5,000        0    5,000         -         -\n",
        "  runs     A x 7",
        "  runs     B x 7",
        "  A to B   req/s -10.0% worse   p50 ~   p99 +25.0% worse",
        "exit 0: VALID\n",
    };
    struct result *result = sample_modes();
    char *text = summary(result, &plain_style);
    assert_rows(text, rows, sizeof rows / sizeof rows[0]);
    free(text);
    result_free(result);
}

static void rows_of_nothing_are_not_there(void **state)
{
    (void)state;
    static const char *const names[] = {
        "  rate", "  response", "  req/s", "  status", "  errors", "  server", "  workers",
        "  slo",  "  search",   "  hold",  "  note",   "nan",      "-1"};
    struct result *result = result_new();
    char *text = summary(result, &plain_style);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strstr(text, names[i]))
            fail_msg("\"%s\" in:\n%s", names[i], text);
    free(text);
    result_free(result);
}

static unsigned widest_line(const char *text)
{
    unsigned widest = 0, width = 0;
    for (uint32_t c; (c = utf8_next(&text)) != 0;) {
        width = c == '\n' ? 0 : width + 1;
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void lines_fit_a_terminal(void **state)
{
    (void)state;
    static const struct report_style styles[] = {{.utf8 = true}, {.plain = true}};
    for (int i = 0; i < 2; i++) {
        struct result *result = sample_open();
        snprintf(
            result->validity.reasons[0], RESULT_REASON_MAX,
            "loop 1 of 4 was busy for 92%% of the time: the generator may be the limit; "
            "add threads: -t 5");
        result->validity.reason_count = 1;
        char *text = summary(result, &styles[i]);
        /* But for the title, which holds what may be a long URL. */
        assert_true(widest_line(strchr(text, '\n') + 1) <= 80);
        assert_non_null(strstr(text, "add threads:"));
        free(text);
        result_free(result);
    }
}

static void percentiles_need_ten_values_beyond_them(void **state)
{
    (void)state;
    struct result *result = result_new();
    struct hdr *hdr = sample_hdr(result, RESULT_SERVICE);
    hdr_record(hdr, 1000, 99);
    char *text = summary(result, &plain_style);
    assert_non_null(
        strstr(text, "  service  1.00us 1.00us      -      -      -      - 1.00us"));
    free(text);
    hdr_record(hdr, 1000, 1);
    text = summary(result, &plain_style);
    assert_non_null(
        strstr(text, "  service  1.00us 1.00us 1.00us      -      -      - 1.00us"));
    free(text);
    result_free(result);
}

static void what_was_censored_is_a_lower_bound(void **state)
{
    (void)state;
    struct result *result = result_new();
    struct hdr *hdr = sample_hdr(result, RESULT_SERVICE);
    hdr_record(hdr, 1000, 980);
    hdr_record(hdr, 5000, 20);
    result->latency[RESULT_SERVICE].censored_at_ns = 5000;
    result->totals.censored = 20;
    char *text = summary(result, &plain_style);
    static const char *const rows[] = {"censored 20\n", "  service  1.00us 1.00us 1.00us ",
                                       ">=5.00us      -", ">=5.00us >=1.08us",
                                       "20 unanswered at the end"};
    assert_rows(text, rows, sizeof rows / sizeof rows[0]);
    free(text);
    result_free(result);
}

static void a_server_that_cannot_keep_up_is_told_in_a_sentence(void **state)
{
    (void)state;
    static const char sentence[] =
        "response >> service: the server could not keep up with the rate, backlog 14,200\n";
    struct result *result = sample_open();
    char *text = summary(result, &plain_style);
    assert_null(strstr(text, "response >>"));
    free(text);
    sample_fill(sample_hdr(result, RESULT_RESPONSE), 500000, 900000000);
    result->validity.backlog_max = 14200;
    text = summary(result, &plain_style);
    assert_non_null(strstr(text, sentence));
    free(text);
    result_free(result);
}

/* Late by as much as the answers, or nearly, it cannot tell what the server did. */
static void a_generator_that_was_late_does_not_blame_the_server(void **state)
{
    (void)state;
    static const char server[] = "the server could not keep up",
                      own[] = "the generator was late itself";
    static const struct {
        int64_t response_ns, service_ns, lag_ns; /* each all alike */
        const char *said;
    } rows[] = {
        {100000000, 1000000, 0, server},
        {100000000, 1000000, 100000, server},
        {100000000, 1000000, 20000000, server},
        {100000000, 1000000, 26000000, own},
        {100000000, 1000000, 60000000, own},
        {100000000, 1000000, 100000000, own},
        {100000000, 40000000, 60000000, own},
        {100000000, 60000000, 40000000, NULL}, /* they are not far apart */
        {1500000, 600000, 1500000, NULL},
        {1700000, 600000, 1100000, own},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result *result = sample_open();
        hdr_record(sample_hdr(result, RESULT_RESPONSE), rows[i].response_ns, 1000);
        hdr_record(sample_hdr(result, RESULT_SERVICE), rows[i].service_ns, 1000);
        hdr_record(sample_hdr(result, RESULT_LAG), rows[i].lag_ns, 1000);
        char *text = summary(result, &plain_style);
        if ((strstr(text, server) != NULL) != (rows[i].said == server) ||
            (strstr(text, own) != NULL) != (rows[i].said == own))
            fail_msg("row %zu: %s", i, text);
        free(text);
        result_free(result);
    }
}

static void what_was_lost_had_been_opened_and_drops_are_the_machines(void **state)
{
    (void)state;
    struct result *result = sample_modes();
    result->hold->held = 0;
    result->hold->lost = 100000;
    result->server.listen_drops = 7;
    char *text = summary(result, &plain_style);
    assert_non_null(strstr(text, "opened in 2.10s (47.6k/s)\n"));
    assert_non_null(
        strstr(text, "  machine  listen drops 7 (of all of this machine, not of"));
    free(text);
    result_free(result);
}

static void a_closed_loop_says_what_it_leaves_out(void **state)
{
    (void)state;
    static const char hint[] = "closed loop: latency excludes waiting; use -R or search\n";
    struct result *result = result_new();
    sample_plan(result, "run", "closed");
    char *text = summary(result, &plain_style);
    assert_non_null(strstr(text, hint));
    free(text);
    result_free(result);
    result = sample_open();
    text = summary(result, &plain_style);
    assert_null(strstr(text, hint));
    free(text);
    result_free(result);
}

static void styles_are_kept_to(void **state)
{
    (void)state;
    struct result *result = sample_open();
    static const struct report_style utf8 = {.utf8 = true}, quiet = {.quiet = true},
                                     plain = {.utf8 = true, .plain = true},
                                     colour = {.colour = true};
    char *text = summary(result, &utf8);
    assert_non_null(
        strstr(text, "\u2582\u2582\u2582\u2582\u2582\u2588\u2582\u2582\u2582\u2582"));
    assert_null(strchr(text, '\033'));
    free(text);
    text = summary(result, &plain);
    assert_null(strstr(text, "\u2588"));
    assert_non_null(strstr(text, "  req/s    min 48.1k"));
    free(text);
    text = summary(result, &colour);
    assert_non_null(strstr(text, "\033[32mVALID"));
    assert_non_null(strstr(text, "\033[31mFAIL\033[0m"));
    free(text);
    text = summary(result, &quiet);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "VALID  http://127.0.0.1:8080/  49,998/s ok  p50 88.0us"));
    assert_non_null(strstr(text, "exit 99: 1 of 2 SLOs failed"));
    free(text);
    result_free(result);
}

static void many_rows_share_a_bar_by_their_worst(void **state)
{
    (void)state;
    struct result *result = sample_open();
    free(result->rows);
    sample_rows(result, 1200);
    result->totals.elapsed_ns = 1200 * PF_SECOND;
    result->rows[777].ok = 0;
    result->rows[1100].p99_ns = 90000000;
    static const struct report_style utf8 = {.utf8 = true};
    char *text = summary(result, &utf8);
    const char *rate = strstr(text, "  req/s "), *p99 = strstr(text, "  p99/s ");
    assert_true(rate && p99);
    const char *dip = strstr(rate, "\u2581"), *peak = strstr(p99, "\u2588");
    assert_true(dip && dip < p99 && peak);
    assert_non_null(strstr(text, "min 0"));
    assert_non_null(strstr(text, "worst 90.0ms at 1100s"));
    free(text);
    result_free(result);
}

static void row_of_the_drain_is_none_of_the_rate(void **state)
{
    (void)state;
    struct result *result = sample_open();
    free(result->rows);
    sample_rows(result, 11); /* the last one begins when the ten seconds are over */
    result->rows[10].ok = 1;
    result->rows[10].p99_ns = 90000000;
    static const struct report_style plain = {.plain = true};
    char *text = summary(result, &plain);
    assert_non_null(strstr(text, "  req/s    min 48.1k"));
    assert_non_null(strstr(text, "worst 90.0ms at 10s"));
    free(text);
    result_free(result);
}

static void answers_behind_the_time_are_told_apart(void **state)
{
    (void)state;
    struct result *result = sample_modes();
    result->totals.ok_in_time = 993;
    static const struct report_style plain = {.plain = true};
    char *text = summary(result, &plain);
    assert_non_null(strstr(text, "993/s ok"));
    assert_non_null(strstr(text, "993 ok in 1.00s"));
    assert_non_null(strstr(text, "and 7 later"));
    free(text);
    result_free(result);
}

static void foreign_text_cannot_control_the_terminal(void **state)
{
    (void)state;
    static const char evil[] = "\033[2J\033]0;x\007\r\n\xc2\x9b"
                               "31m\xe2\x80\xae";
    static const struct report_style styles[] = {
        {.utf8 = true}, {.utf8 = false}, {.utf8 = true, .quiet = true}};
    for (int i = 0; i < 3; i++) {
        struct result *result = sample_modes();
        free(result->plan.target);
        result->plan.target = sample_text(evil);
        free(result->plan.mode);
        result->plan.mode = sample_text(evil);
        sample_error(result, TALLY_READ, TALLY_SENT, 0, 1, 0, evil);
        snprintf(result->exit_why, sizeof result->exit_why, "%s", evil);
        snprintf(result->search->trials[1].why, sizeof result->search->trials[1].why, "%s",
                 evil);
        static const char kind[] = "\033[2J\n";
        memcpy(result->adversaries[0].kind, kind, sizeof kind);
        snprintf(result->validity.reasons[0], RESULT_REASON_MAX, "%s", evil);
        result->validity.reason_count = 1;
        snprintf(result->slos[0].expr, sizeof result->slos[0].expr, "%s", evil);
        snprintf(result->slos[0].actual_text, sizeof result->slos[0].actual_text, "%s",
                 evil);
        result->slo_count = 1;
        char *text = summary(result, &styles[i]);
        const char *at = text;
        for (uint32_t c; (c = utf8_next(&at)) != 0;)
            assert_true(c == '\n' || !utf8_is_control(c));
        free(text);
        result_free(result);
    }
}

/* On a terminal colours are ours alone. */
static void foreign_text_sets_no_colour(void **state)
{
    (void)state;
    static const char evil[] = "x\033[8my\033[31m";
    static const struct report_style style = {.utf8 = true, .colour = true};
    struct result *result = sample_modes();
    snprintf(result->validity.reasons[0], RESULT_REASON_MAX, "%s", evil);
    result->validity.reason_count = 1;
    snprintf(result->slos[0].expr, sizeof result->slos[0].expr, "%s", evil);
    snprintf(result->slos[0].actual_text, sizeof result->slos[0].actual_text, "%s", evil);
    result->slo_count = 1;
    char *text = summary(result, &style);
    assert_non_null(strstr(text, "\033[0m"));
    assert_null(strstr(text, "x\033"));
    assert_null(strstr(text, "y\033"));
    free(text);
    result_free(result);
}

/* ---- for other programs -------------------------------------------------------------- */

static void the_series_is_csv_with_a_head(void **state)
{
    (void)state;
    struct result *result = sample_open();
    result->rows[1].p99_ns = RESULT_UNKNOWN;
    char *text;
    SAMPLE_WRITTEN(text, report_csv(result, to));
    static const char *const rows[] = {
        "t_ns,span_ns,planned,sent,ok,err,inflight,backlog,p50_ns,p99_ns,max_ns,srv_cpu_ns,"
        "srv_rss\n",
        "1000000000,1000000000,50000,50000,50000,0,5,0,88000,402000,1900000,2310000000,"
        "38400000\n",
        "2000000000,1000000000,50000,50000,50100,0,5,0,88100,,1900000,2310000000,"
        "38400000\n",
    };
    assert_rows(text, rows, 3);
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 11);
    free(text);
    result_free(result);
}

static void the_log_holds_each_latency_with_its_tag(void **state)
{
    (void)state;
    static struct hdr hdr;
    struct result *result = sample_open();
    char *text, why[64];
    SAMPLE_WRITTEN(text, report_hlog(result, to));
    static const char *const rows[] = {"#[Histogram log format version 1.2]\n",
                                       "#[StartTime: 1769860800.000 (seconds since",
                                       "\"StartTimestamp\",\"Interval_Length\",\"Interval_"
                                       "Max\",\"Interval_Compressed_Histogram"
                                       "\"\n",
                                       "Tag=response,0.000,10.000,0.5",
                                       "Tag=service,",
                                       "Tag=ttfb,",
                                       "Tag=connect,",
                                       "Tag=error,",
                                       "Tag=lag,"};
    assert_rows(text, rows, sizeof rows / sizeof rows[0]);
    char *at = strstr(text, "Tag=response,");
    char *line = strsep(&at, "\n");
    assert_int_equal(hdr_decode(strrchr(line, ',') + 1, &hdr, why, sizeof why), 0);
    assert_int_equal(hdr.count, 500000);
    assert_memory_equal(hdr.slots, result->latency[RESULT_RESPONSE].hdr->slots,
                        sizeof hdr.slots);
    free(text);
    result_free(result);
}

static void the_table_climbs_by_halves_of_what_is_left(void **state)
{
    (void)state;
    struct result *result = result_new();
    struct hdr *hdr = sample_hdr(result, RESULT_SERVICE);
    for (int64_t ms = 1; ms <= 100; ms++)
        hdr_record(hdr, ms * 1000000, 1);
    char *text;
    SAMPLE_WRITTEN(text, report_hgrm(result, to));
    static const char *const rows[] = {
        "       Value   Percentile   TotalCount 1/(1-Percentile)\n\n",
        "       1.000     0.000000            1         1.00\n",
        "     0.100000           10         1.11\n",
        "     0.500000           50         2.00\n",
        "     0.550000           55         2.22\n",
        "     0.750000           75         4.00\n",
        "     0.775000           78         4.44\n",
        "     100.000     1.000000          100          inf\n",
        "#[Mean    =       50.500, StdDeviation   =       28.8",
        "#[Max     =      100.000, Total count    =          100]\n",
        "#[Buckets =           32, SubBuckets     =         2048]\n",
    };
    assert_rows(text, rows, sizeof rows / sizeof rows[0]);
    free(text);
    result_free(result);
}

/* ---- the page ------------------------------------------------------------------------ */

/* Elements that have no end. */
static bool is_void(const char *name)
{
    static const char *const names[] = {"meta", "br", "img", "input", "hr", "link"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Every element that begins ends, in order; attributes are in quotes; what stands in script
 * and style is passed over. */
static void assert_well_formed(const char *page)
{
    char open[64][16];
    int depth = 0;
    const char *at = page;
    assert_int_equal(strncmp(at, "<!DOCTYPE html>", 15), 0);
    at += 15;
    while ((at = strchr(at, '<'))) {
        bool end = at[1] == '/';
        const char *name = at + 1 + end;
        size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
        char word[16];
        assert_true(len > 0 && len < sizeof word);
        snprintf(word, sizeof word, "%.*s", (int)len, name);
        const char *close = name + len;
        while (*close && *close != '>') {
            if (*close == '"') {
                close = strchr(close + 1, '"');
                assert_non_null(close);
            }
            assert_true(*close != '<');
            close++;
        }
        assert_int_equal(*close, '>');
        at = close + 1;
        if (end) {
            assert_true(depth > 0);
            if (strcmp(open[--depth], word) != 0)
                fail_msg("</%s> ends <%s>", word, open[depth]);
        } else if (close[-1] != '/' && !is_void(word)) {
            assert_true(depth < 64);
            snprintf(open[depth++], sizeof open[0], "%s", word);
            if (strcmp(word, "script") == 0 || strcmp(word, "style") == 0) {
                at = strstr(at, strcmp(word, "style") == 0 ? "</style>" : "</script>");
                assert_non_null(at);
            }
        }
    }
    assert_int_equal(depth, 0);
}

static char *page_of(const struct result *result, const struct result *baseline)
{
    char *text;
    SAMPLE_WRITTEN(text, report_html(result, baseline, to));
    return text;
}

static void the_page_has_its_parts_in_order(void **state)
{
    (void)state;
    static const char *const rows[] = {"<title>http://127.0.0.1:8080/",
                                       "class=\"banner valid\"",
                                       "(46% CPU, 15% waiting for one)",
                                       "class=\"tiles\"",
                                       "49,998/s",
                                       "88.0us",
                                       "Latency by percentile",
                                       "99.99%",
                                       "p99&lt;1ms",
                                       "Latency over time",
                                       ">reload</text>",
                                       "Requests per second",
                                       "<h2>Server</h2>",
                                       "fairness (Jain) <b>0.9996</b>",
                                       "Where the time goes",
                                       "Answers and errors",
                                       "ECONNRESET",
                                       "12 bytes &lt;b&gt;\xc3\xa4&quot;",
                                       "Measured with",
                                       "A CPU @ 3.00GHz &lt;&quot;fast&quot;&gt;",
                                       "id=\"data\""};
    struct result *result = sample_open(), *other = sample_modes();
    char *text = page_of(result, NULL);
    assert_well_formed(text);
    assert_rows(text, rows, sizeof rows / sizeof rows[0]);
    assert_null(strstr(text, "the baseline"));
    free(text);
    text = page_of(result, other);
    assert_well_formed(text);
    static const char *const compared[] = {"the baseline's", "Against the baseline"};
    assert_rows(text, compared, 2);
    free(text);
    text = page_of(other, NULL);
    assert_well_formed(text);
    static const char *const modes[] = {"A against B",
                                        "worse",
                                        "Latency against rate",
                                        "48,000/s</b> holds",
                                        "Connections held",
                                        "<h2>Reload</h2>",
                                        "LOST 0",
                                        "Adversaries",
                                        "slowloris"};
    assert_rows(text, modes, sizeof modes / sizeof modes[0]);
    free(text);
    result_free(other);
    result_free(result);
}

/* A search's answer, not its last trial; of two sides both, and the ratio. */
static void the_tiles_are_what_the_page_is_about(void **state)
{
    (void)state;
    static const char *const search[] = {
        "class=\"tiles\"", "highest that holds</span><strong>48,000/s",
        "lowest that does not</span><strong>50,400/s",
        "p99 where it holds</span><strong>400us", "those of the last trial"};
    static const char *const sides[] = {"A against B: <b>http://b/?&lt;</b>",
                                        "class=\"tiles\"",
                                        "ok, A</span><strong>50,074/s",
                                        "ok, B</span><strong>45,063/s",
                                        "ok, B/A</span><strong>0.90",
                                        "p99, A</span><strong>400us",
                                        "p99, B</span><strong>500us",
                                        "p99, B/A</span><strong>1.25",
                                        "those of A",
                                        "<h2>A against B</h2>"};
    struct result *result = sample_modes();
    char *text = page_of(result, NULL);
    assert_well_formed(text);
    assert_rows(text, search, sizeof search / sizeof search[0]);
    free(text);
    free(result->search->trials);
    free(result->search);
    result->search = NULL;
    result->plan.vs = strdup("http://b/?<");
    assert_non_null(result->plan.vs);
    text = page_of(result, NULL);
    assert_well_formed(text);
    assert_rows(text, sides, sizeof sides / sizeof sides[0]);
    free(text);
    result_free(result);
}

static void what_was_not_seen_of_the_server_is_marked(void **state)
{
    (void)state;
    static const struct report_style style = {.plain = true};
    struct result *result = sample_open();
    snprintf(result->server.unseen, sizeof result->server.unseen,
             "2 of its 3 processes are another user's");
    char *text = summary(result, &style), *page = page_of(result, NULL);
    assert_non_null(strstr(text, "\n           partial: 2 of its 3 processes are"));
    assert_non_null(strstr(page, "<b>partial</b>: 2 of its 3 processes are another user"));
    free(page);
    free(text);
    result->server.source = RESULT_SOURCE_NONE;
    text = summary(result, &style);
    assert_non_null(strstr(text, "\n  server   partial: 2 of its 3 processes are"));
    free(text);
    result_free(result);
}

static void a_page_of_nothing_is_a_page(void **state)
{
    (void)state;
    struct result *result = result_new();
    char *text = page_of(result, result);
    assert_well_formed(text);
    assert_null(strstr(strstr(text, "</style>"), "nan"));
    free(text);
    /* One value, one row, one second of nothing. */
    hdr_record(sample_hdr(result, RESULT_SERVICE), 0, 1);
    hdr_record(sample_hdr(result, RESULT_TTFB), HDR_HIGHEST * 2, 1);
    sample_plan(result, "run", "open");
    sample_rows(result, 2);
    memset(result->rows[0].heat, 0, sizeof result->rows[0].heat);
    result->rows[0].ok = result->rows[1].ok = 0;
    text = page_of(result, result);
    assert_well_formed(text);
    assert_null(strstr(strstr(text, "</style>"), "nan"));
    assert_null(strstr(text, "inf\""));
    free(text);
    result_free(result);
}

/* A document may say anything: no scale becomes infinite by it, and no grid endless. */
static void goals_without_measure_have_no_line(void **state)
{
    (void)state;
    static const char *const exprs[] = {"p99<infs", "max<1e300s", "p99<nans", "p50<=infm"};
    struct result *result = sample_open();
    char *before = page_of(result, NULL);
    result->slo_count = 0;
    for (size_t i = 0; i < sizeof exprs / sizeof exprs[0]; i++)
        snprintf(result->slos[result->slo_count++].expr, sizeof result->slos[0].expr, "%s",
                 exprs[i]);
    char *text = page_of(result, NULL);
    assert_well_formed(text);
    assert_non_null(strstr(before, "<path class=\"limit\""));
    assert_null(strstr(text, "<path class=\"limit\""));
    free(before);
    free(text);
    result_free(result);
}

static void the_page_fetches_nothing(void **state)
{
    (void)state;
    struct result *result = sample_open();
    char *text = page_of(result, NULL);
    static const char *const words[] = {" src=",  " href=",  "url(",   "@import",
                                        "fetch(", "XMLHttp", "import("};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(text, words[i]))
            fail_msg("the page has %s", words[i]);
    free(text);
    result_free(result);
}

static void foreign_text_stays_text_in_the_page(void **state)
{
    (void)state;
    static const char evil[] = "</script><script>alert(1)</script>'\"&<!--\x01";
    struct result *result = sample_modes();
    sample_environment(result);
    sample_server(result);
    sample_rows(result, 4);
    char **texts[] = {&result->plan.target,        &result->plan.mode,
                      &result->plan.address,       &result->environment.cpu,
                      &result->environment.kernel, &result->environment.time_utc,
                      &result->server.name,        &result->argv[1]};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(*texts[i]);
        *texts[i] = sample_text(evil);
    }
    sample_error(result, TALLY_READ, TALLY_SENT, 0, 1, 0, evil);
    snprintf(result->exit_why, sizeof result->exit_why, "%s", evil);
    snprintf(result->search->trials[1].why, sizeof result->search->trials[1].why, "%s",
             evil);
    snprintf(result->adversaries[0].kind, sizeof result->adversaries[0].kind, "<b>&'\"");
    snprintf(result->validity.reasons[0], RESULT_REASON_MAX, "%s", evil);
    result->validity.reason_count = 1;
    result->marks[0].t_ns = PF_SECOND;
    snprintf(result->marks[0].text, sizeof result->marks[0].text, "%s", evil);
    result->mark_count = 1;
    snprintf(result->slos[0].expr, sizeof result->slos[0].expr, "p99<1ms</text>%s", evil);
    result->slo_count = 1;
    char *text = page_of(result, NULL);
    assert_well_formed(text);
    assert_null(strstr(text, "<script>alert"));
    assert_null(strchr(text, '\x01'));
    size_t scripts = 0;
    for (const char *at = text; (at = strstr(at, "<script")); at++)
        scripts++;
    assert_int_equal(scripts, 2);
    free(text);
    result_free(result);
}

static void the_page_holds_its_document(void **state)
{
    (void)state;
    struct result *result = sample_open(), *back = NULL;
    char *document, *text = page_of(result, NULL), why[128] = "";
    SAMPLE_WRITTEN(document, report_json(result, to));
    char *begin = strstr(text, "id=\"data\">\n");
    assert_non_null(begin);
    begin += strlen("id=\"data\">\n");
    char *end = strstr(begin, "</script>");
    assert_non_null(end);
    FILE *from = fmemopen(begin, (size_t)(end - begin), "r");
    assert_non_null(from);
    assert_int_equal(report_read_json(from, &back, why, sizeof why), 0);
    fclose(from);
    assert_int_equal(strncmp(begin, document, strlen(document)), 0);
    free(text);
    free(document);
    result_free(back);
    result_free(result);
}

static void a_long_run_makes_no_larger_page(void **state)
{
    (void)state;
    struct result *result = sample_open();
    free(result->rows);
    sample_rows(result, SERIES_ROWS_MAX);
    char *text = page_of(result, NULL);
    assert_well_formed(text);
    char *data = strstr(text, "id=\"data\"");
    assert_non_null(data);
    assert_true(data - text < 400 * 1024);
    free(text);
    result_free(result);
}

/* ---- the environment ----------------------------------------------------------------- */

static void the_environment_is_this_machines(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"prefork-bench"}, (char[]){"-n"}, (char[]){"1"}, NULL};
    struct result *result = result_new();
    assert_non_null(result);
    assert_int_equal(result_set_environment(result, 3, argv), 0);
    const struct result_environment *environment = &result->environment;
    assert_int_equal(strncmp(environment->kernel, "Linux ", 6), 0);
    assert_true(environment->cores >= 1);
    assert_true(environment->nofile > 2);
    assert_int_equal(strlen(environment->time_utc), strlen("2026-01-31T12:00:00Z"));
    assert_int_equal(result->argc, 3);
    assert_string_equal(result->argv[1], "-n");
    assert_null(result->argv[3]);
    /* Again: nothing of the first is left. */
    assert_int_equal(result_set_environment(result, 1, argv), 0);
    assert_int_equal(result->argc, 1);
    result_free(result);
}

#define CORPUS "tests/fuzz/corpus/bench_document"

static void the_corpus_keeps_its_promises(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(times_have_three_digits),
        pf_test(other_numbers_have_their_units),
        pf_test(text_of_any_bytes_reads_as_characters),
        pf_test(the_summary_has_its_rows_in_order),
        pf_test(other_modes_have_rows_of_their_own),
        pf_test(rows_of_nothing_are_not_there),
        pf_test(lines_fit_a_terminal),
        pf_test(percentiles_need_ten_values_beyond_them),
        pf_test(what_was_censored_is_a_lower_bound),
        pf_test(a_server_that_cannot_keep_up_is_told_in_a_sentence),
        pf_test(a_generator_that_was_late_does_not_blame_the_server),
        pf_test(what_was_lost_had_been_opened_and_drops_are_the_machines),
        pf_test(a_closed_loop_says_what_it_leaves_out),
        pf_test(styles_are_kept_to),
        pf_test(many_rows_share_a_bar_by_their_worst),
        pf_test(row_of_the_drain_is_none_of_the_rate),
        pf_test(answers_behind_the_time_are_told_apart),
        pf_test(foreign_text_cannot_control_the_terminal),
        pf_test(foreign_text_sets_no_colour),
        pf_test(the_series_is_csv_with_a_head),
        pf_test(the_log_holds_each_latency_with_its_tag),
        pf_test(the_table_climbs_by_halves_of_what_is_left),
        pf_test(the_page_has_its_parts_in_order),
        pf_test(the_tiles_are_what_the_page_is_about),
        pf_test(what_was_not_seen_of_the_server_is_marked),
        pf_test(a_page_of_nothing_is_a_page),
        pf_test(goals_without_measure_have_no_line),
        pf_test(the_page_fetches_nothing),
        pf_test(foreign_text_stays_text_in_the_page),
        pf_test(the_page_holds_its_document),
        pf_test(a_long_run_makes_no_larger_page),
        pf_test(the_environment_is_this_machines),
        pf_test(the_corpus_keeps_its_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
