/* Server or generator? Every rule of the verdict, on both sides of its limit. */
#include "tests/lib/test.h"

#include "bench/verdict.h"
#include <prefork/base.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A measurement: what is not given is as in a sound one. */
struct row {
    const char *what;
    double busy, busy_too; /* of two loops */
    double waited;         /* of busy; 0: not told */
    int64_t cores;
    int64_t lag_ns, response_ns;
    uint64_t samples;   /* of both */
    uint64_t responses; /* if other than those of lag */
    int64_t elapsed_ns; /* 0: long enough */
    int64_t stall_ns;
    double littles_off;
    uint64_t dropped;
    struct tally_error error;
    uint64_t answers, failed, censored, sent; /* sent: if different from their sum */
    bool unconnected, incomplete, shares_cpus;
    char governor[16];
    int64_t syn_retries;
    enum result_verdict verdict;
    const char *phrase; /* of the first reason; NULL: there is none */
    unsigned reasons;   /* if other than one with a phrase, none without */
};

static void set_latency(struct result *result, enum result_kind kind, int64_t ns,
                        uint64_t n)
{
    struct hdr *hdr = malloc(sizeof *hdr);
    assert_non_null(hdr);
    hdr_init(hdr);
    hdr_record(hdr, ns, n);
    result->latency[kind].hdr = hdr;
}

static struct result *make(const struct row *row)
{
    struct result *result = result_new();
    assert_non_null(result);
    result->plan.connections = 10;
    result->totals.opened = row->unconnected ? 0 : 10;
    result->environment.cores = row->cores ? row->cores : 4;
    if (row->governor[0])
        result->environment.governor = strdup(row->governor);
    result->validity.loops = 2;
    result->validity.loop_busy = malloc(2 * sizeof(double));
    assert_non_null(result->validity.loop_busy);
    result->validity.loop_busy[0] = row->busy_too;
    result->validity.loop_busy[1] = row->busy;
    if (row->waited > 0) {
        result->validity.loop_waited = calloc(2, sizeof(double));
        assert_non_null(result->validity.loop_waited);
        result->validity.loop_waited[1] = row->waited;
    }
    result->validity.incomplete = row->incomplete;
    result->validity.littles_law = 1 + row->littles_off;
    if (row->samples) {
        set_latency(result, RESULT_LAG, row->lag_ns, row->samples);
        set_latency(result, RESULT_RESPONSE, row->response_ns,
                    row->responses ? row->responses : row->samples);
    }
    result->totals.elapsed_ns = row->elapsed_ns ? row->elapsed_ns : PF_SECOND;
    result->totals.dropped = row->dropped;
    result->totals.failed = row->failed;
    result->totals.censored = row->censored;
    result->status[200] = row->answers;
    result->totals.sent =
        row->sent ? row->sent : row->answers + row->failed + row->censored;
    if (row->error.count)
        result->errors[result->error_count++] = row->error;
    result->server.syn_retries = row->syn_retries ? row->syn_retries : RESULT_UNKNOWN;
    return result;
}

#define CONNECT_ERROR(reason)                                                              \
    {                                                                                      \
        TALLY_CONNECT, TALLY_OPENING, reason, 3, 0, ""                                     \
    }

static const struct row rows[] = {
    {.what = "sound", .answers = 100},
    {.what = "nothing known", .littles_off = NAN},

    {.what = "nothing answered",
     .censored = 3,
     .verdict = RESULT_INVALID,
     .phrase = "not one request was answered"},
    {.what = "nothing answered, nothing asked", .answers = 0},

    {.what = "busy below", .busy = 0.849},
    {.what = "busy",
     .busy = 0.85,
     .verdict = RESULT_SUSPECT,
     .phrase = "add threads: -t 3"},
    {.what = "the busiest counts",
     .busy = 0.91,
     .busy_too = 0.9,
     .verdict = RESULT_SUSPECT,
     .phrase = "loop 2 of 2 was busy for 91%"},
    {.what = "busy on all CPUs",
     .busy = 1,
     .cores = 2,
     .verdict = RESULT_SUSPECT,
     .phrase = "with more than 2 CPUs"},

    {.what = "busy with work",
     .busy = 0.95,
     .waited = 0.1,
     .verdict = RESULT_SUSPECT,
     .phrase = "was busy for 95% of the time with its own work: the generator may be the "
               "limit; add threads: -t 3"},
    {.what = "busy with waiting",
     .busy = 0.95,
     .waited = 0.11,
     .verdict = RESULT_SUSPECT,
     .phrase = "was busy for 95% of the time, but had a CPU for 84% and waited for one for "
               "11%: others had it; free this machine, or pin with --cpus"},
    {.what = "waiting, and not busy", .busy = 0.84, .waited = 0.84},

    {.what = "busy for a moment", .busy = 1, .elapsed_ns = 49999999},
    {.what = "busy for longer",
     .busy = 1,
     .elapsed_ns = 50000000,
     .verdict = RESULT_SUSPECT,
     .phrase = "was busy for 100%"},

    {.what = "lag for want of a CPU",
     .samples = 1000,
     .lag_ns = 20000000,
     .response_ns = 30000000,
     .busy = 0.5,
     .waited = 0.4,
     .verdict = RESULT_INVALID,
     .phrase = "mostly the generator was measured; it waited for a CPU for 40% of the "
               "time: free this machine, or pin with --cpus"},
    {.what = "lag with work",
     .samples = 1000,
     .lag_ns = 20000000,
     .response_ns = 30000000,
     .busy = 0.5,
     .waited = 0.2,
     .verdict = RESULT_INVALID,
     .phrase = "mostly the generator was measured; add -t N"},

    {.what = "lag of requests that failed",
     .samples = 1000,
     .responses = 979,
     .lag_ns = 10000000,
     .response_ns = 1000},
    {.what = "large lag of requests that failed",
     .samples = 1000,
     .responses = 979,
     .lag_ns = 10000001,
     .response_ns = 1000,
     .verdict = RESULT_SUSPECT,
     .phrase = "lag p99 10.0ms: the generator was late"},
    {.what = "lag, and hardly one failed",
     .samples = 1000,
     .responses = 980,
     .lag_ns = 10000001,
     .response_ns = 1000,
     .verdict = RESULT_INVALID,
     .phrase = "mostly the generator was measured"},

    {.what = "lag below the least",
     .samples = 1000,
     .lag_ns = 250000,
     .response_ns = 300000},
    {.what = "lag beyond the least",
     .samples = 1000,
     .lag_ns = 250001,
     .response_ns = 300000,
     .verdict = RESULT_SUSPECT,
     .phrase = "lag p99 250us of response p99 300us: the generator was late"},
    {.what = "lag below the share",
     .samples = 1000,
     .lag_ns = 990000,
     .response_ns = 10000000},
    {.what = "lag beyond the share",
     .samples = 1000,
     .lag_ns = 1010000,
     .response_ns = 10000000,
     .verdict = RESULT_SUSPECT,
     .phrase = "the generator was late; add -t N, use --pace spin, lower -R"},
    {.what = "lag is most, but small",
     .samples = 1000,
     .lag_ns = 10000000,
     .response_ns = 10100000,
     .verdict = RESULT_SUSPECT,
     .phrase = "the generator was late"},
    {.what = "lag is most",
     .samples = 1000,
     .lag_ns = 10000001,
     .response_ns = 10100000,
     .verdict = RESULT_INVALID,
     .phrase = "mostly the generator was measured; add -t N"},
    {.what = "lag is large, but not most",
     .samples = 1000,
     .lag_ns = 49000000,
     .response_ns = 100000000,
     .verdict = RESULT_SUSPECT,
     .phrase = "the generator was late"},
    {.what = "lag is half",
     .samples = 1000,
     .lag_ns = 51000000,
     .response_ns = 100000000,
     .verdict = RESULT_INVALID,
     .phrase = "mostly the generator was measured"},
    {.what = "p99 cannot be told",
     .samples = 999,
     .lag_ns = 1000000,
     .response_ns = 1000000,
     .verdict = RESULT_SUSPECT,
     .phrase = "lag p90 1.00ms of response p90"},
    {.what = "p90 cannot be told",
     .samples = 99,
     .lag_ns = 1000000,
     .response_ns = 1000000,
     .verdict = RESULT_SUSPECT,
     .phrase = "lag p50 1.00ms of response p50"},
    {.what = "no lag can be told",
     .samples = 19,
     .lag_ns = 1000000,
     .response_ns = 1000000},

    {.what = "stall below", .stall_ns = 100000000},
    {.what = "stall",
     .stall_ns = 100000001,
     .verdict = RESULT_SUSPECT,
     .phrase = "stood still for 100ms: something else had its CPU; free this machine"},

    {.what = "Little's law, low", .littles_off = -0.10},
    {.what = "Little's law, high", .littles_off = 0.10},
    {.what = "Little's law, too low",
     .littles_off = -0.101,
     .verdict = RESULT_SUSPECT,
     .phrase = "Little's law is off: in flight / (rate x mean time) = 0.90, not 1; measure "
               "longer"},
    {.what = "Little's law, too high",
     .littles_off = 0.101,
     .verdict = RESULT_SUSPECT,
     .phrase = "Little's law is off"},

    {.what = "dropped",
     .dropped = 1234,
     .verdict = RESULT_INVALID,
     .phrase =
         "1,234 due requests were dropped, so the plan was not carried out: raise -c"},

    {.what = "ports",
     .error = CONNECT_ERROR(EADDRNOTAVAIL),
     .verdict = RESULT_INVALID,
     .phrase =
         "local ports ran out (3 x EADDRNOTAVAIL): add source addresses (--src auto)"},
    {.what = "bound ports",
     .error = CONNECT_ERROR(EADDRINUSE),
     .verdict = RESULT_INVALID,
     .phrase = "local ports ran out (3 x EADDRINUSE)"},
    {.what = "descriptors",
     .error = CONNECT_ERROR(EMFILE),
     .verdict = RESULT_INVALID,
     .phrase = "descriptors of a process ran out (3 x EMFILE): raise ulimit -n"},
    {.what = "all descriptors",
     .error = CONNECT_ERROR(ENFILE),
     .verdict = RESULT_INVALID,
     .phrase = "descriptors of the system ran out (3 x ENFILE): raise sysctl fs.file-max"},
    {.what = "buffers",
     .error = CONNECT_ERROR(ENOBUFS),
     .verdict = RESULT_INVALID,
     .phrase = "socket memory ran out (3 x ENOBUFS): lower -c"},
    {.what = "memory",
     .error = CONNECT_ERROR(ENOMEM),
     .verdict = RESULT_INVALID,
     .phrase = "kernel memory ran out (3 x ENOMEM): lower -c"},
    {.what = "refused: the server's", .error = CONNECT_ERROR(ECONNREFUSED)},
    {.what = "timed out: the server's", .error = CONNECT_ERROR(ETIMEDOUT)},
    {.what = "no errors while connecting",
     .error = {TALLY_READ, TALLY_SENT, ENOMEM, 3, 0, ""}},

    {.what = "unreachable",
     .unconnected = true,
     .verdict = RESULT_INVALID,
     .phrase = "no connection was made: nothing was measured; is the server"},

    {.what = "counters agree", .answers = 5, .failed = 3, .censored = 2, .sent = 10},
    {.what = "too few",
     .answers = 5,
     .failed = 3,
     .censored = 2,
     .sent = 11,
     .verdict = RESULT_INVALID,
     .phrase = "11 requests were sent, but 10 have ended: this tool has miscounted"},
    {.what = "too few, since a part of the load was killed",
     .answers = 5,
     .failed = 3,
     .sent = 11,
     .incomplete = true,
     .verdict = RESULT_INVALID,
     .phrase = "a part of the load has ended too early"},
    {.what = "too many",
     .answers = 5,
     .failed = 3,
     .censored = 2,
     .sent = 9,
     .verdict = RESULT_INVALID,
     .phrase = "9 requests were sent, but 10 have ended"},

    {.what = "shared CPUs",
     .shares_cpus = true,
     .phrase = "note: server and generator share"},
    {.what = "shared and busy",
     .shares_cpus = true,
     .busy = 0.9,
     .verdict = RESULT_SUSPECT,
     .phrase = "busy for 90%",
     .reasons = 2},
    {.what = "saving power",
     .governor = "powersave",
     .phrase = "note: the CPU governor is powersave"},
    {.what = "at full power", .governor = "performance"},
    {.what = "by the scheduler", .governor = "schedutil"},
    {.what = "SYNs",
     .syn_retries = 7,
     .phrase = "note: 7 SYNs of this machine were sent again"},

    {.what = "all at once, the gravest first",
     .busy = 0.99,
     .samples = 1000,
     .lag_ns = 1 * PF_SECOND,
     .response_ns = 1 * PF_SECOND,
     .stall_ns = 1 * PF_SECOND,
     .littles_off = 5,
     .dropped = 1,
     .error = CONNECT_ERROR(EADDRNOTAVAIL),
     .answers = 5,
     .sent = 6,
     .shares_cpus = true,
     .governor = "ondemand",
     .syn_retries = 1,
     .verdict = RESULT_INVALID,
     .phrase = "local ports ran out",
     .reasons = 10},
};

static void every_rule_applies_beyond_its_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct result *result = make(row);
        struct verdict_facts facts = {row->stall_ns, row->shares_cpus};
        result->validity.reason_count = 3; /* of before: forgotten */
        result->validity.verdict = RESULT_INVALID;
        verdict_give(result, &facts);
        const struct result_validity *validity = &result->validity;
        const char *first = validity->reason_count ? validity->reasons[0] : "";
        if (validity->verdict != row->verdict ||
            (row->phrase && !strstr(first, row->phrase)))
            fail_msg("%s: %s \"%s\"", row->what, verdict_name(validity->verdict), first);
        unsigned reasons = row->reasons ? row->reasons : row->phrase ? 1 : 0;
        if (validity->reason_count != reasons)
            fail_msg("%s: %u reasons, \"%s\"", row->what, validity->reason_count, first);
        for (unsigned n = 0; n < reasons; n++) {
            /* Nothing is cut off. */
            assert_true(strlen(validity->reasons[n]) < RESULT_REASON_MAX - 1);
        }
        result_free(result);
    }
}

/* With the largest numbers as well. */
static void no_reason_is_ever_cut_off(void **state)
{
    (void)state;
    struct row row = {.what = "huge",
                      .busy = 1,
                      .cores = 1,
                      .samples = 1000,
                      .lag_ns = HDR_HIGHEST,
                      .response_ns = HDR_HIGHEST,
                      .stall_ns = INT64_MAX,
                      .littles_off = 123456,
                      .dropped = UINT64_MAX,
                      .answers = 1,
                      .sent = UINT64_MAX,
                      .governor = "conservative",
                      .shares_cpus = true,
                      .syn_retries = INT64_MAX};
    static const int reasons[] = {EADDRNOTAVAIL, EADDRINUSE, EMFILE,
                                  ENFILE,        ENOBUFS,    ENOMEM};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        row.error = (struct tally_error)CONNECT_ERROR(reasons[i]);
        row.error.count = UINT64_MAX;
        struct result *result = make(&row);
        struct verdict_facts facts = {row.stall_ns, row.shares_cpus};
        verdict_give(result, &facts);
        assert_true(result->validity.reason_count >= 10);
        for (unsigned n = 0; n < result->validity.reason_count; n++)
            if (strlen(result->validity.reasons[n]) >= RESULT_REASON_MAX - 1)
                fail_msg("\"%s\"", result->validity.reasons[n]);
        result_free(result);
    }
}

static void what_is_unknown_makes_no_verdict(void **state)
{
    (void)state;
    struct result *result = result_new();
    assert_non_null(result);
    static const struct verdict_facts facts;
    verdict_give(result, &facts);
    assert_int_equal(result->validity.verdict, RESULT_VALID);
    assert_int_equal(result->validity.reason_count, 0);
    result_free(result);
}

static void verdicts_have_names(void **state)
{
    (void)state;
    assert_string_equal(verdict_name(RESULT_VALID), "VALID");
    assert_string_equal(verdict_name(RESULT_SUSPECT), "SUSPECT");
    assert_string_equal(verdict_name(RESULT_INVALID), "INVALID");
}

static void lag_is_told_at_the_percentile_that_is_judged(void **state)
{
    (void)state;
    static const struct {
        uint64_t samples;
        int percent;
    } told[] = {{0, 0}, {19, 0}, {20, 50}, {99, 50}, {100, 90}, {999, 90}, {1000, 99}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        static struct hdr lag;
        hdr_init(&lag);
        hdr_record(&lag, 1000, told[i].samples);
        assert_int_equal(verdict_lag_percent(&lag), told[i].percent);
    }
    assert_int_equal(verdict_lag_percent(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(lag_is_told_at_the_percentile_that_is_judged),
        pf_test(every_rule_applies_beyond_its_limit),
        pf_test(no_reason_is_ever_cut_off),
        pf_test(what_is_unknown_makes_no_verdict),
        pf_test(verdicts_have_names),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
