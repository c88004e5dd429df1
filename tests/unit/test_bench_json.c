/* The document: what is written reads back to the same, what is missing stays unknown, and
 * a document that somebody else has written is looked at before it is believed. */
#include "tests/lib/test.h"

#include "bench/report.h"
#include "tests/lib/alloc.h"
#include "tests/lib/sample_result.h"
#include <jansson.h>

static char why[256];

static char *written(const struct result *result)
{
    char *text;
    SAMPLE_WRITTEN(text, report_json(result, to));
    return text;
}

static int read_text(const char *text, size_t len, struct result **out)
{
    FILE *from = fmemopen((void *)(uintptr_t)text, len, "r");
    assert_non_null(from);
    why[0] = '\0';
    int err = report_read_json(from, out, why, sizeof why);
    fclose(from);
    return err;
}

static struct result *read_back(const char *text)
{
    struct result *result = NULL;
    int err = read_text(text, strlen(text), &result);
    if (err)
        fail_msg("%d: %s", err, why);
    return result;
}

static void assert_survives(struct result *result)
{
    char *first = written(result);
    struct result *back = read_back(first);
    char *second = written(back);
    assert_string_equal(first, second);
    free(first);
    free(second);
    result_free(back);
    result_free(result);
}

static void results_survive_writing_and_reading(void **state)
{
    (void)state;
    assert_survives(result_new());
    assert_survives(sample_open());
    assert_survives(sample_modes());
}

static void extreme_numbers_survive(void **state)
{
    (void)state;
    struct result *result = sample_open();
    result->plan.seed = UINT64_MAX;
    result->plan.rate_per_s = 1.0 / 3;
    result->server.jain = 1e-300;
    result->validity.littles_law = -0.0;
    result->environment.nofile = RESULT_MOST;
    result->totals.bytes_in = RESULT_MOST;
    result->rows[3].heat[39] = UINT32_MAX;
    struct hdr *hdr = result->latency[RESULT_SERVICE].hdr;
    hdr_record(hdr, HDR_HIGHEST + 12345, 2);
    result->latency[RESULT_SERVICE].censored_at_ns = 0;
    hdr->sum = UINT64_MAX - 1;
    assert_survives(result);
}

static void everything_comes_back_as_it_was(void **state)
{
    (void)state;
    struct result *result = sample_open();
    char *text = written(result);
    struct result *back = read_back(text);
    free(text);
    assert_string_equal(back->plan.mode, "run");
    assert_int_equal(back->plan.seed, result->plan.seed);
    assert_string_equal(back->environment.cpu, result->environment.cpu);
    assert_null(back->environment.governor);
    assert_int_equal(back->argc, 4);
    assert_string_equal(back->argv[2], "50k");
    assert_null(back->argv[4]);
    assert_memory_equal(&back->totals, &result->totals, sizeof back->totals);
    assert_memory_equal(back->status, result->status, sizeof back->status);
    assert_int_equal(back->error_count, 4);
    for (size_t i = 0; i < back->error_count; i++) {
        assert_int_equal(back->errors[i].reason, result->errors[i].reason);
        assert_int_equal(back->errors[i].phase, result->errors[i].phase);
        assert_int_equal(back->errors[i].when, result->errors[i].when);
        assert_int_equal(back->errors[i].first_ns, result->errors[i].first_ns);
        assert_string_equal(back->errors[i].sample, result->errors[i].sample);
    }
    for (int kind = 0; kind < RESULT_KINDS; kind++) {
        if (result->latency[kind].hdr)
            assert_memory_equal(back->latency[kind].hdr, result->latency[kind].hdr,
                                sizeof(struct hdr));
        else
            assert_null(back->latency[kind].hdr);
    }
    assert_int_equal(back->row_count, result->row_count);
    assert_memory_equal(back->rows, result->rows, back->row_count * sizeof *back->rows);
    assert_memory_equal(back->server.workers, result->server.workers,
                        4 * sizeof *back->server.workers);
    assert_null(back->search);
    result_free(back);
    result_free(result);
}

static void what_is_unknown_is_null(void **state)
{
    (void)state;
    struct result *result = result_new();
    char *text = written(result);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    assert_true(json_is_null(json_object_get(json_object_get(root, "server"), "cpu_ns")));
    assert_true(json_is_null(json_object_get(json_object_get(root, "server"), "jain")));
    assert_true(json_is_null(json_object_get(json_object_get(root, "latency"), "connect")));
    assert_true(json_is_null(json_object_get(json_object_get(root, "env"), "cores")));
    assert_true(json_is_null(json_object_get(root, "search")));
    json_decref(root);
    free(text);
    result_free(result);
}

/* Names of the schema that other programs rely upon. */
static void the_document_has_the_schemas_fields(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "schema",
        "tool.version",
        "tool.argv",
        "env.kernel",
        "env.cpu",
        "env.cores",
        "env.governor",
        "env.sysctl",
        "env.rlimit_nofile",
        "env.time_utc",
        "plan.mode",
        "plan.target",
        "plan.ips",
        "plan.connections",
        "plan.loops",
        "plan.procs",
        "plan.rate_per_s",
        "plan.arrival",
        "plan.stages",
        "plan.warmup_ns",
        "plan.duration_ns",
        "plan.timeout_ns",
        "plan.pipeline",
        "plan.seed",
        "validity.verdict",
        "validity.reasons",
        "validity.loop_busy",
        "validity.loop_waited",
        "validity.lag_ns.p50",
        "validity.lag_ns.p99",
        "validity.lag_ns.max",
        "validity.backlog_max",
        "validity.dropped",
        "validity.censored",
        "validity.littles_law_ratio",
        "totals.planned",
        "totals.sent",
        "totals.ok",
        "totals.failed",
        "totals.bytes_in",
        "totals.bytes_out",
        "totals.elapsed_ns",
        "totals.rate_ok_per_s",
        "totals.conns_opened",
        "totals.conns_reused",
        "totals.retried",
        "latency.response.n",
        "latency.response.min_ns",
        "latency.response.max_ns",
        "latency.response.mean_ns",
        "latency.response.stdev_ns",
        "latency.response.q",
        "latency.response.censored_at",
        "latency.response.hdr_v2",
        "latency.response.digits",
        "latency.service",
        "latency.connect",
        "latency.tls",
        "latency.ttfb",
        "latency.error",
        "status.200",
        "errors",
        "series",
        "server.source",
        "server.cpu_ns",
        "server.cpu_user_ns",
        "server.cpu_sys_ns",
        "server.cpu_ns_per_req",
        "server.rss_max",
        "server.ctx_switches",
        "server.syscalls",
        "server.listen_drops",
        "server.workers",
        "server.jain",
        "slo",
        "search",
        "repeat",
        "exit.code",
        "exit.why",
    };
    struct result *result = sample_open();
    char *text = written(result);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char path[64], *rest = path, *step;
        snprintf(path, sizeof path, "%s", paths[i]);
        json_t *at = root;
        while ((step = strsep(&rest, ".")))
            at = json_object_get(at, step);
        if (!at)
            fail_msg("no %s", paths[i]);
    }
    assert_string_equal(json_string_value(json_object_get(root, "schema")),
                        "prefork-bench/1");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(root, "plan"), "mode")), "open");
    json_decref(root);
    free(text);
    result_free(result);
}

static void texts_that_are_no_utf8_are_mended(void **state)
{
    (void)state;
    struct result *result = sample_open();
    snprintf(result->errors[0].sample, TALLY_SAMPLE_MAX,
             "\xff\xc0\x80 \xed\xa0\x80 \t\x1b[2J</script>");
    char *text = written(result);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    json_decref(root);
    assert_null(strstr(text, "</script>"));
    assert_null(strchr(text, '\x1b'));
    struct result *back = read_back(text);
    assert_non_null(strstr(back->errors[0].sample, "\xef\xbf\xbd"));
    assert_non_null(strstr(back->errors[0].sample, "\t\x1b[2J</script>"));
    free(text);
    result_free(back);
    assert_survives(result);
}

/* ---- documents of others ------------------------------------------------------------- */

static void fields_that_are_not_known_are_passed_over(void **state)
{
    (void)state;
    struct result *result = sample_open();
    char *text = written(result), *more;
    assert_true(asprintf(&more, "{\"new\": [{\"x\": [1e5, null]}],%s", text + 1) > 0);
    struct result *back = read_back(more);
    char *again = written(back);
    assert_string_equal(again, text);
    free(text);
    free(more);
    free(again);
    result_free(back);
    result_free(result);
}

static void what_is_no_document_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "line 1"},
        {"x", "line 1: not JSON"},
        {"\n\n{", "line 3: not JSON"},
        {"[]", "schema"},
        {"{}", "schema"},
        {"1", "not JSON"},
        {"{\"schema\": \"prefork-bench/2\"}", "schema is not prefork-bench/1"},
        {"{\"schema\": 1}", "schema"},
        {"{\"schema\": \"prefork-bench/1\"}", "plan"},
        {"{\"schema\": \"prefork-bench/1\", \"plan\": []}", "plan must be an object"},
        {"{\"schema\": \"prefork-bench/1\", \"schema\": \"prefork-bench/1\"}", "duplicate"},
        {"{\"a\": \"\xff\"}", "not JSON"},
        {"{\"a\": \"\\u0000\"}", "not JSON"},
        {"{\"a\x1b[2J\": }", "not JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result *result = NULL;
        /* fmemopen() refuses a length of 0. */
        size_t len = strlen(rows[i].text);
        int err = read_text(len ? rows[i].text : " ", len ? len : 1, &result);
        if (err != -EINVAL || !strstr(why, rows[i].why))
            fail_msg("row %zu: %d, \"%s\"", i, err, why);
        assert_null(result);
        assert_null(strchr(why, '\x1b'));
    }
}

/* A document in which one value is another one. */
static void fields_of_the_wrong_kind_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value, *why;
    } rows[] = {
        {"tool.argv", "{}", "argv must be an array"},
        {"tool.argv.0", "1", "argv[0]"},
        {"env.cpu", "1", "env.cpu must be a string"},
        {"env.cores", "-1", "env.cores"},
        {"env.cores", "1.5", "env.cores"},
        {"env.cores", "1152921504606846977", "2^60"},
        {"env", "[]", "env must be an object"},
        {"env.sysctl", "3", "sysctl must be an object"},
        {"plan.seed", "-1", "plan.seed"},
        {"plan.seed", "\"18446744073709551616\"", "plan.seed"},
        {"plan.seed", "\" 1\"", "plan.seed"},
        {"plan.seed", "\"1x\"", "plan.seed"},
        {"plan.connections", "\"256\"", "plan.connections"},
        {"plan.rate_per_s", "\"fast\"", "plan.rate_per_s"},
        {"plan.stages", "[1]", "stages[0]"},
        {"validity.verdict", "\"fine\"", "verdict"},
        {"validity.verdict", "null", "verdict"},
        {"validity.reasons", "[1]", "reasons[0]"},
        {"validity.reasons", "[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7]", "more than 16"},
        {"validity.backlog_max", "null", "backlog_max"},
        {"validity.loop_busy", "[[]]", "loop_busy[0]"},
        {"validity.loop_busy", "7", "must be an array"},
        {"validity.loop_waited", "[0.1]", "must be as long as loop_busy"},
        {"validity.loop_waited", "[[]]", "loop_waited[0]"},
        {"totals", "null", "totals must be an object"},
        {"totals.sent", "null", "totals.sent"},
        {"totals.sent", "-5", "totals.sent"},
        {"latency.response", "[]", "hdr_v2 must be"},
        {"latency.response.hdr_v2", "\"HISTF\"", "response.hdr_v2: "},
        {"latency.response.n", "499999", "n must be the count"},
        {"latency.response.n", "-500000", "n must be the count"},
        {"latency.response.min_ns", "1", "min_ns"},
        {"latency.response.min_ns", "9000000000000000000", "min_ns"},
        {"latency.response.max_ns", "1", "max_ns"},
        {"latency.response.max_ns", "null", "max_ns"},
        {"latency.response.max_ns", "3600000000001", "max_ns"},
        {"latency.response.sum_ns", "-1", "sum_ns"},
        {"latency.response.clamped", "1", "clamped"},
        {"latency.response.censored_at", "\"x\"", "censored_at"},
        {"status.200", "-1", "status.200"},
        {"status", "{\"1000\": 1}", "from 0 to 999"},
        {"status", "{\"-1\": 1}", "from 0 to 999"},
        {"status", "{\"\": 1}", "from 0 to 999"},
        {"errors.0.phase", "\"dream\"", "errors[0].phase"},
        {"errors.0.when", "7", "errors[0].when"},
        {"errors.0.reason", "\"EWHAT\"", "errors[0].reason"},
        {"errors.0.reason", "null", "errors[0].reason"},
        {"errors.0.n", "1e3", "errors[0].n"},
        {"errors.0.first_ns", "null", "errors[0].first_ns"},
        {"errors.0.sample",
         "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "901"
         "23456789012345\"",
         "errors[0].sample"},
        {"errors.0", "0", "errors[0] must be an object"},
        {"errors", "{}", "errors must be an array"},
        {"errors_beyond", "-1", "errors_beyond"},
        {"series.1.t_ns", "1000000000", "series[1]"},
        {"series.1.t_ns", "null", "series[1]"},
        {"series.0.span_ns", "0", "series[0]"},
        {"series.0.span_ns", "1000000001", "series[0]"},
        {"series.0.heat", "[[40, 1]]", "series[0].heat"},
        {"series.0.heat", "[[-1, 1]]", "series[0].heat"},
        {"series.0.heat", "[[null, 1]]", "series[0].heat"},
        {"series.0.heat", "[[1, 4294967296]]", "series[0].heat"},
        {"series.0.heat", "[[1]]", "series[0].heat"},
        {"series.0.heat", "[3]", "series[0].heat"},
        {"marks.0.text", "null", "marks[0].text"},
        {"server.source", "\"magic\"", "server.source"},
        {"server.jain", "true", "server.jain"},
        {"server.workers.0.pid", "[]", "workers[0].pid"},
        {"slo.0.expr", "3", "slo[0].expr"},
        {"slo.0.pass", "1", "slo[0].pass"},
        {"search", "3", "search must be an object"},
        {"hold", "[]", "hold must be an object"},
        {"reload", "true", "reload must be an object"},
        {"adversaries", "[3]", "adversaries[0] must be an object"},
        {"repeat", "[{\"side\": \"C\", \"verdict\": \"valid\"}]", "repeat[0]: side"},
        {"repeat", "[{\"side\": \"A\"}]", "repeat[0]: side"},
        {"exit.code", "256", "exit.code"},
        {"exit.why", "null", "exit.why"},
        {"exit", "null", "exit.code"},
    };
    struct result *sample = sample_open();
    char *text = written(sample);
    result_free(sample);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64], *rest = path, *step;
        snprintf(path, sizeof path, "%s", rows[i].path);
        json_t *root = json_loads(text, 0, NULL), *at = root;
        json_t *value = json_loads(rows[i].value, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        while ((step = strsep(&rest, ".")) && rest)
            at = json_is_array(at) ? json_array_get(at, (size_t)atoi(step))
                                   : json_object_get(at, step);
        assert_non_null(at);
        if (json_is_array(at))
            json_array_set_new(at, (size_t)atoi(step), value);
        else
            json_object_set_new(at, step, value);
        char *changed = json_dumps(root, JSON_ENCODE_ANY);
        struct result *result = NULL;
        int err = read_text(changed, strlen(changed), &result);
        if (err != -EINVAL || !strstr(why, rows[i].why))
            fail_msg("%s = %s: %d, \"%s\"", rows[i].path, rows[i].value, err, why);
        free(changed);
        json_decref(root);
    }
    free(text);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum {
        DEPTH = 100000
    };
    char *text = malloc(DEPTH);
    assert_non_null(text);
    memset(text, '[', DEPTH);
    struct result *result = NULL;
    assert_int_equal(read_text(text, DEPTH, &result), -EINVAL);
    free(text);
}

static void every_part_cut_off_is_refused(void **state)
{
    (void)state;
    struct result *sample = sample_modes();
    char *text = written(sample);
    result_free(sample);
    size_t len = strlen(text) - 1; /* the last is the end of the line */
    for (size_t cut = 1; cut < len; cut += cut < 200 ? 1 : 97) {
        struct result *result = NULL;
        assert_int_equal(read_text(text, cut, &result), -EINVAL);
    }
    free(text);
}

/* Whatever a changed document says, all reports of it come to an end. */
static void reports_of_a_changed_document_do_no_harm(void **state)
{
    (void)state;
    static const struct report_style style = {.utf8 = true};
    static const char letters[] = "09-\"{}[],:naze.\xff";
    struct result *sample = sample_modes();
    char *text = written(sample);
    result_free(sample);
    size_t len = strlen(text);
    FILE *null = fopen("/dev/null", "w");
    assert_non_null(null);
    uint64_t dice = 1;
    size_t read = 0;
    for (int round = 0; round < 3000; round++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t at = (size_t)(dice >> 33) % len;
        char kept = text[at];
        text[at] = letters[dice >> 20 & 15];
        struct result *result = NULL;
        if (read_text(text, len, &result) == 0) {
            read++;
            assert_int_equal(report_json(result, null), 0);
            assert_int_equal(report_text(result, &style, null), 0);
            assert_int_equal(report_csv(result, null), 0);
            assert_int_equal(report_events(result, null), 0);
            assert_int_equal(report_hgrm(result, null), 0);
            assert_int_equal(report_hlog(result, null), 0);
            assert_int_equal(report_html(result, NULL, null), 0);
            result_free(result);
        }
        text[at] = kept;
    }
    assert_true(read > 0);
    fclose(null);
    free(text);
}

/* ---- without memory ------------------------------------------------------------------ */

static int all_reports(const struct result *result, FILE *to)
{
    static const struct report_style style = {.utf8 = true};
    int err = report_text(result, &style, to);
    err = err ? err : report_json(result, to);
    err = err ? err : report_hlog(result, to);
    return err ? err : report_html(result, NULL, to);
}

static void a_report_without_memory_says_so_and_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct result *result = sample_modes();
    sample_server(result);
    sample_rows(result, 10);
    sample_environment(result);
    result->plan.stages = sample_text("10s:1k,5s:2k");
    free(result->argv[1]);
    result->argv[1] = sample_text("it's");
    FILE *null = fopen("/dev/null", "w");
    assert_non_null(null);
    assert_int_equal(all_reports(result, null), 0); /* with the stream's own buffer */
    size_t before = pf_alloc_bytes();
    int n = 0, err;
    do {
        pf_alloc_fail(++n);
        err = all_reports(result, null);
        bool met = pf_alloc_stop() >= n;
        if (err != (met ? -ENOMEM : 0) || pf_alloc_bytes() != before)
            fail_msg("allocation %d: %d, %zu bytes left", n, err,
                     pf_alloc_bytes() - before);
    } while (err);
    assert_true(n > 20);
    fclose(null);
    result_free(result);
}

static void reading_without_memory_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct result *sample = sample_modes(), *result = NULL;
    sample_server(sample);
    sample_environment(sample);
    char *text = written(sample);
    result_free(sample);
    FILE *from = fmemopen(text, strlen(text), "r");
    assert_non_null(from);
    assert_int_equal(report_read_json(from, &result, why, sizeof why), 0);
    result_free(result);
    size_t before = pf_alloc_bytes();
    int n = 0, err;
    bool met;
    do {
        /* Of the many that are jansson's, some: not all but the first and the last. */
        n += n > 100 && n < 2000 ? 37 : 1;
        rewind(from);
        result = NULL;
        pf_alloc_fail(n);
        err = report_read_json(from, &result, why, sizeof why);
        met = pf_alloc_stop() >= n;
        /* jansson 2.14 passes over a buffer that cannot grow, and a letter is lost: that is
         * not to be seen from here. */
        if (err == 0)
            result_free(result);
        if ((err && err != -ENOMEM && err != -EINVAL) || (!met && err) ||
            pf_alloc_bytes() != before)
            fail_msg("allocation %d: %d, %zu bytes left", n, err,
                     pf_alloc_bytes() - before);
    } while (met);
    assert_true(n > 200);
    fclose(from);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(results_survive_writing_and_reading),
        pf_test(extreme_numbers_survive),
        pf_test(everything_comes_back_as_it_was),
        pf_test(what_is_unknown_is_null),
        pf_test(the_document_has_the_schemas_fields),
        pf_test(texts_that_are_no_utf8_are_mended),
        pf_test(fields_that_are_not_known_are_passed_over),
        pf_test(what_is_no_document_is_refused),
        pf_test(fields_of_the_wrong_kind_are_refused),
        pf_test(deep_nesting_is_refused),
        pf_test(every_part_cut_off_is_refused),
        pf_test(a_report_without_memory_says_so_and_leaves_nothing),
        pf_test(reading_without_memory_leaves_nothing),
        pf_test(reports_of_a_changed_document_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
