/* What a run must reach: every goal understood, judged on both sides of its limit, and what
 * is said of the ones that are none. */
#include "tests/lib/test.h"

#include "bench/slo.h"
#include <prefork/base.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char why[256];

static void fill(struct result_latency *latency, int64_t ns)
{
    struct hdr *hdr = malloc(sizeof *hdr);
    assert_non_null(hdr);
    hdr_init(hdr);
    /* 1000 of them, evenly from ns to 2 * ns. */
    for (int64_t i = 1; i <= 1000; i++)
        hdr_record(hdr, ns + ns * i / 1000, 1);
    latency->hdr = hdr;
}

/* Everything known. */
static struct result *make_result(void)
{
    struct result *result = result_new();
    assert_non_null(result);
    result->plan.load = strdup("open");
    result->totals.sent = 1000;
    result->totals.ok = 990;
    result->totals.failed = 4;
    result->totals.wrong = 3;
    result->totals.elapsed_ns = 10 * PF_SECOND;
    static const int64_t ns[RESULT_KINDS] = {
        [RESULT_RESPONSE] = 1000, [RESULT_SERVICE] = 2000, [RESULT_TTFB] = 500,
        [RESULT_CONNECT] = 700,   [RESULT_REFUSED] = 100,  [RESULT_LAG] = 300};
    for (int kind = 0; kind < RESULT_KINDS; kind++)
        fill(&result->latency[kind],
             ns[kind] * 512); /* below 2048 slots are exact: not here */
    result->errors[0] =
        (struct tally_error){TALLY_READ, TALLY_PARTIAL, ECONNRESET, 2, 0, ""};
    result->errors[1] = (struct tally_error){TALLY_READ, TALLY_IDLE, 0, 9, 0, ""};
    result->error_count = 2;
    result->server.cpu_ns = 990 * 50000;
    result->server.rss_max = 40 * 1024 * 1024;
    result->server.jain = 0.9;
    return result;
}

static void judge_one(struct result *result, const char *text, struct result_slo *out)
{
    int count = slo_parse(text, result->slos, RESULT_SLOS_MAX, why, sizeof why);
    if (count != 1)
        fail_msg("%s: %d, %s", text, count, why);
    result->slo_count = 1;
    unsigned failed = slo_judge(result);
    *out = result->slos[0];
    assert_int_equal(failed, !out->pass);
}

static void goals_are_judged_on_both_sides_of_their_limit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool pass;
        const char *actual; /* NULL: not looked at */
    } rows[] = {
        /* response: 512..1024 us */
        {"max<=1.024ms", true, "1.02ms"},
        {"max<1.024ms", false, "1.02ms"},
        {"max>=1024us", true, NULL},
        {"max>1024000ns", false, NULL},
        {"min>=512.512us", true, "513us"},
        {"min>512.512us", false, NULL},
        {"p50<769us", true, "769us"},
        {"p50<767us", false, NULL},
        {"p99<1020us", true, NULL},
        {"p99<1018us", false, NULL},
        {"p0<=512512ns", true, NULL},
        {"p100<=1024000ns", true, NULL},
        {"mean<768.3us", true, "768us"},
        {"mean<768.2us", false, NULL},
        {"p99<1s", true, NULL},
        {"p99<1m", true, NULL},
        {"p99>1H", false, NULL},
        {" p99  <  1 s ", true, NULL},
        {"response.max<=1.024ms", true, NULL},
        {"service.max<=2.048ms", true, NULL},
        {"service.max<2.048ms", false, NULL},
        {"ttfb.p50<=400us", true, NULL},
        {"connect.max<=716.8us", true, NULL},
        {"error.max<=102.4us", true, NULL},
        {"lag.max<=307.2us", true, NULL},
        {"lag<306us", true, NULL},
        {"lag<305us", false, "306us"},
        {"err<=0.7%", true, "0.7%"},
        {"err<0.7%", false, "0.7%"},
        {"err<=0.007", true, NULL},
        {"err<0.0071", true, NULL},
        {"lost<=2", true, "2"},
        {"lost<2", false, "2"},
        {"lost<=0", false, NULL},
        {"rate>=99", true, "99/s"},
        {"rate>99", false, NULL},
        {"rate>=0.099k", true, NULL},
        {"rate>=0.1k/s", false, NULL},
        {"rate<1M", true, NULL},
        {"cpu<=50us", true, "50.0us"},
        {"cpu<50us", false, NULL},
        {"rss<=40m", true, "41.9 MB"},
        {"rss<=40M", true, NULL},
        {"rss<40mb", false, NULL},
        {"rss<=40960k", true, NULL},
        {"rss<=0.04g", true, NULL},
        {"rss<41943040", false, NULL},
        {"fair>=0.9", true, "0.9000"},
        {"fair>0.9", false, NULL},
    };
    struct result *result = make_result();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_slo slo;
        judge_one(result, rows[i].text, &slo);
        if (slo.pass != rows[i].pass ||
            (rows[i].actual && strcmp(slo.actual_text, rows[i].actual) != 0))
            fail_msg("%s: %d, %s", rows[i].text, slo.pass, slo.actual_text);
        assert_true(!isnan(slo.actual));
    }
    result_free(result);
}

static void several_goals_are_judged_each(void **state)
{
    (void)state;
    struct result *result = make_result();
    int count = slo_parse("p99 < 5ms, err<0.1%,rate>=49k", result->slos, RESULT_SLOS_MAX,
                          why, sizeof why);
    assert_int_equal(count, 3);
    result->slo_count = 3;
    assert_string_equal(result->slos[0].expr, "p99<5ms");
    assert_string_equal(result->slos[1].expr, "err<0.1%");
    assert_string_equal(result->slos[2].expr, "rate>=49k");
    assert_true(isnan(result->slos[0].actual));
    assert_false(result->slos[0].pass);
    assert_int_equal(slo_judge(result), 2);
    assert_true(result->slos[0].pass);
    assert_false(result->slos[1].pass);
    assert_false(result->slos[2].pass);
    assert_true(fabs(result->slos[1].actual - 0.007) < 1e-12);
    assert_true(fabs(result->slos[2].actual - 99) < 1e-9);
    result->slo_count = 0;
    assert_int_equal(slo_judge(result), 0);
    result_free(result);
}

/* Of answers: 200, 302 and 503; which of them are ok is a matter of --expect. */
static void answers_that_nobody_allowed_are_errors(void **state)
{
    (void)state;
    static const struct {
        uint64_t ok, wrong, failed, refused;
        const char *err;
    } rows[] = {
        {1000, 0, 0, 0, "0%"},     {900, 0, 0, 100, "10%"},   {900, 0, 50, 50, "10%"},
        {900, 100, 0, 0, "10%"}, /* wrong ones are so whatever their status: once */
        {800, 100, 50, 50, "20%"}, {1000, 0, 0, 100, "9.1%"},
    };
    struct result *result = make_result();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_totals *totals = &result->totals;
        totals->ok = rows[i].ok;
        totals->wrong = rows[i].wrong;
        totals->failed = rows[i].failed;
        totals->sent = rows[i].ok + rows[i].wrong + rows[i].failed + rows[i].refused;
        result->status[200] = rows[i].ok / 2 + rows[i].wrong;
        result->status[302] = rows[i].ok - rows[i].ok / 2;
        result->status[503] = rows[i].refused;
        struct result_slo slo;
        judge_one(result, "err<100%", &slo);
        assert_string_equal(slo.actual_text, rows[i].err);
    }
    /* An ok answer of 503: it was allowed. */
    result->totals = (struct result_totals){.sent = 1000, .ok = 1000};
    result->status[200] = result->status[302] = 0;
    result->status[503] = 1000;
    struct result_slo slo;
    judge_one(result, "err<=0", &slo);
    assert_true(slo.pass);
    /* Below 400 there are none, whatever a document counts as ok. */
    result->totals.ok = 500;
    result->status[503] = 0;
    result->status[399] = 1000;
    judge_one(result, "err<=0", &slo);
    assert_true(slo.pass);
    /* A document may say that more were ok than were answered. */
    result->totals.ok = 2000;
    judge_one(result, "err<=0", &slo);
    assert_true(slo.pass);
    result_free(result);
}

static void the_limit_of_a_time_is_told_if_it_is_one(void **state)
{
    (void)state;
    static const struct {
        const char *expr;
        double ns; /* NAN: none */
    } rows[] = {
        {"p99<5ms", 5e6},  {"p99.9<=1h", 3.6e12},
        {"max<2s", 2e9},   {"p50<1m", 6e10},
        {"min<1us", 1e3},  {"p99>5ms", NAN},
        {"p99>=5ms", NAN}, {"mean<5ms", NAN},
        {"err<1%", NAN},   {"cpu<5ms", NAN},
        {"lag<5ms", NAN},  {"service.p99<5ms", NAN},
        {"p99<infs", NAN}, {"max<1e300s", NAN},
        {"p99<nans", NAN}, {"p99<0x5s", NAN},
        {"max<5 ms", 5e6}, {"nonsense", NAN},
        {"", NAN},         {"max<99999999999999999999h", NAN}, /* no time is so long */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ns = slo_time_limit(rows[i].expr);
        if (isnan(rows[i].ns) ? !isnan(ns) : !(fabs(ns - rows[i].ns) < 1))
            fail_msg("%s: %g", rows[i].expr, ns);
    }
}

static void a_closed_loop_is_judged_by_its_service_time(void **state)
{
    (void)state;
    struct result *result = make_result();
    free(result->plan.load);
    result->plan.load = strdup("closed");
    struct result_slo slo;
    judge_one(result, "max<=2.048ms", &slo);
    assert_true(slo.pass);
    judge_one(result, "max<2.048ms", &slo);
    assert_false(slo.pass);
    result_free(result);
}

static void what_is_unknown_fails(void **state)
{
    (void)state;
    static const char *const goals[] = {"p99<1h",  "max>=0ns", "service.p50<1h", "lag<1h",
                                        "err<1",   "err>=0",   "rate>=0",        "cpu<1h",
                                        "cpu>0ns", "rss<99g",  "fair<=1",        "fair>=0"};
    struct result *result = result_new();
    assert_non_null(result);
    for (size_t i = 0; i < sizeof goals / sizeof goals[0]; i++) {
        struct result_slo slo;
        judge_one(result, goals[i], &slo);
        if (slo.pass || !isnan(slo.actual))
            fail_msg("%s: %s", goals[i], slo.actual_text);
        assert_string_equal(slo.actual_text, "unknown");
    }
    /* As it may stand in a document. */
    snprintf(result->slos[0].expr, sizeof result->slos[0].expr, "nonsense");
    result->slo_count = 1;
    assert_int_equal(slo_judge(result), 1);
    result_free(result);
}

/* Of 1000: ten lie beyond p99. */
static void a_percentile_of_too_few_is_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t samples; /* that it needs */
        bool told;
    } rows[] = {
        {"p99<1h", 1000, true},
        {"p99.1<1h", 1112, false},
        {"p99.9<1h", 10000, false},
        {"p99.999>0ns", 1000000, false},
        {"p100<1h", 0, true},
        {"p0<1h", 0, true},
        {"mean<1h", 0, true},
        {"service.p99.9<1h", 10000, false},
        {"connect.p99.9<1h", 0, false},
        {"lag<1h", 1000, true},
        {"err<=1", 0, true},
        {"nonsense", 0, false},
    };
    struct result *result = make_result();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_slo slo;
        assert_int_equal(slo_samples(rows[i].text), rows[i].samples);
        if (strcmp(rows[i].text, "nonsense") == 0)
            continue;
        judge_one(result, rows[i].text, &slo);
        if (slo.pass != rows[i].told || isnan(slo.actual) == rows[i].told)
            fail_msg("%s: %d, %s", rows[i].text, slo.pass, slo.actual_text);
        if (!rows[i].told)
            assert_string_equal(slo.actual_text, "too few samples");
    }
    result->latency[RESULT_RESPONSE].hdr->count--;
    struct result_slo slo;
    judge_one(result, "p99<1h", &slo);
    assert_false(slo.pass);
    result_free(result);
}

/* Beyond the age of the youngest censored request, percentiles are lower bounds. */
static void a_lower_bound_passes_no_upper_limit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool pass;
        const char *actual;
    } rows[] = {
        {"p50<1ms", true, "769us"},    {"p99<5ms", false, ">=1.02ms"},
        {"p99<=5ms", false, NULL},     {"p99>1ms", true, ">=1.02ms"},
        {"p99>=1ms", true, NULL},      {"p99>2ms", false, NULL},
        {"max<1h", false, ">=1.02ms"}, {"mean<1h", false, ">=768us"},
        {"min<1h", true, "513us"},     {"service.max<1h", true, "2.05ms"},
    };
    struct result *result = make_result();
    result->latency[RESULT_RESPONSE].censored_at_ns = 1000000;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_slo slo;
        judge_one(result, rows[i].text, &slo);
        if (slo.pass != rows[i].pass ||
            (rows[i].actual && strcmp(slo.actual_text, rows[i].actual) != 0))
            fail_msg("%s: %d, %s", rows[i].text, slo.pass, slo.actual_text);
    }
    result_free(result);
}

#define TEN(x) x x x x x x x x x x

static void what_is_no_goal_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *phrase;
    } rows[] = {
        {"", "'' is no goal"},
        {",", "'' is no goal"},
        {"p99<5ms,", "'' is no goal"},
        {"p99<5ms,,err<1%", "'' is no goal"},
        {"p99", "'p99' has no < <= > or >="},
        {"p99=5ms", "has no < <= > or >="},
        {"p99==5ms", "has no < <= > or >="},
        {"p99!=5ms", "has no < <= > or >="},
        {"p<5ms", "is no goal"},
        {"p-1<5ms", "is no goal"},
        {"p101<5ms", "is no goal"},
        {"p99.9999<5ms", "is no goal"},
        {"p99.<5ms", "is no goal"},
        {"p.9<5ms", "is no goal"},
        {"pinf<5ms", "is no goal"},
        {"p0x9<5ms", "is no goal"},
        {"p1e1<5ms", "is no goal"},
        {"q99<5ms", "is no goal"},
        {"P99<5ms", "is no goal"},
        {"service<5ms", "is no goal"},
        {"service.<5ms", "is no goal"},
        {"service.err<5ms", "is no goal"},
        {"servicep99<5ms", "is no goal"},
        {"none.p99<5ms", "is no goal"},
        {"<5ms", "is no goal"},
        {"p99<5", "with ns, us, ms, s, m or h behind it: p99<5ms"},
        {"p99<ms", "with ns, us, ms, s, m or h"},
        {"p99<5 parsecs", "with ns, us, ms, s, m or h"},
        {"p99<-5ms", "with ns, us, ms, s, m or h"},
        {"p99<<5ms", "with ns, us, ms, s, m or h"},
        {"p99<=>5ms", "with ns, us, ms, s, m or h"},
        {"p99<infs", "with ns, us, ms, s, m or h"},
        {"p99<nan", "with ns, us, ms, s, m or h"},
        {"p99<0x5s", "with ns, us, ms, s, m or h"},
        {"p99<1e3s", "with ns, us, ms, s, m or h"},
        {"p99<5.ms", "with ns, us, ms, s, m or h"},
        {"p99<111111111111111111111ms", "with ns, us, ms, s, m or h"},
        {"cpu<60", "with ns, us, ms, s, m or h behind it: cpu<60us"},
        {"err<101%", "can never be beyond 1; write err<0.1%"},
        {"err<5", "can never be beyond 1"},
        {"err<x", "must have a number behind it: err<0.1%"},
        {"fair>1.1", "can never be beyond 1; write fair>0.95"},
        {"fair>95%", "must have a number behind it: fair>0.95"},
        {"lost<1k", "must have a number behind it: lost<=0"},
        {"rate>=49q", "must have a number behind it: rate>=49k"},
        {"rss<1t", "must have a number behind it: rss<100m"},
        {"p99<" TEN("0000000"), "is too long"},
        {TEN("p99<5ms,") "p99<5ms,p99<5ms,p99<5ms,p99<5ms,p99<5ms,p99<5ms,p99<5ms",
         "too many goals; there may be 16 in all"},
    };
    static struct result_slo slos[RESULT_SLOS_MAX], before[RESULT_SLOS_MAX];
    memset(slos, 'x', sizeof slos);
    memcpy(before, slos, sizeof slos);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        why[0] = 0;
        assert_int_equal(slo_parse(rows[i].text, slos, RESULT_SLOS_MAX, why, sizeof why),
                         -EINVAL);
        if (!strstr(why, rows[i].phrase))
            fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].text, why, rows[i].phrase);
        assert_memory_equal(slos, before, sizeof slos);
    }
}

static void hostile_text_does_no_harm(void **state)
{
    (void)state;
    /* Most often in the order of a goal. */
    static const char *const parts[] = {
        "p99", "err",  "rate", "max", "service.p9.9", "rss", "<",           "<=", ">",
        ">=",  "=",    "",     "5",   "0.1",          ".9",  "99999999999", "-",  "1e",
        "ms",  "%",    "k",    "us",  "\xff",         " ",   ",",           "",   ",",
        "",    "fair", "lag"};
    struct result *result = make_result();
    unsigned seed = 1, accepted = 0;
    for (int i = 0; i < 300000; i++) {
        char text[256];
        size_t len = 0;
        size_t many = (size_t)rand_r(&seed) % 15;
        for (size_t n = 0; n < many; n++) {
            size_t kind = rand_r(&seed) % 20 ? n % 5 : (size_t)rand_r(&seed) % 5;
            const char *part = parts[kind * 6 + (size_t)rand_r(&seed) % 6];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        text[len] = 0;
        why[0] = 0;
        int count = slo_parse(text, result->slos, RESULT_SLOS_MAX, why, sizeof why);
        if (count < 0) {
            assert_true(*why);
            continue;
        }
        accepted++;
        result->slo_count = (size_t)count;
        assert_true(slo_judge(result) <= (unsigned)count);
        for (int n = 0; n < count; n++)
            assert_true(result->slos[n].actual_text[0]);
    }
    assert_true(accepted > 3000);
    result_free(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(goals_are_judged_on_both_sides_of_their_limit),
        pf_test(several_goals_are_judged_each),
        pf_test(answers_that_nobody_allowed_are_errors),
        pf_test(the_limit_of_a_time_is_told_if_it_is_one),
        pf_test(a_closed_loop_is_judged_by_its_service_time),
        pf_test(what_is_unknown_fails),
        pf_test(a_percentile_of_too_few_is_unknown),
        pf_test(a_lower_bound_passes_no_upper_limit),
        pf_test(what_is_no_goal_is_refused),
        pf_test(hostile_text_does_no_harm),
    };
    return cmocka_run_group_tests_name("slo", tests, NULL, NULL);
}
