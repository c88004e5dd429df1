/* Which rates the search of prefork-bench tries, against servers that are a function of the
 * rate. */
#include "tests/lib/test.h"

#include "bench/search_policy.h"
#include <math.h>
#include <prefork/base.h>
#include <string.h>

/* A server: which trials it passes. */
struct server {
    double capacity;  /* holds up to that rate */
    double confirmed; /* in longer trials only up to that */
};

static bool passes(const struct server *server, const struct search_policy *policy)
{
    double limit = policy->phase == SEARCH_CONFIRM ? server->confirmed : server->capacity;
    return policy->rate <= limit;
}

static struct search_policy search(double probe, const struct server *server)
{
    struct search_policy policy;
    search_begin(&policy);
    assert_int_equal(policy.phase, SEARCH_PROBE);
    search_probed(&policy, probe);
    while (policy.phase != SEARCH_DONE)
        search_tried(&policy, passes(server, &policy));
    return policy;
}

static void it_closes_in_on_the_highest_rate_that_passes(void **state)
{
    (void)state;
    static const struct {
        double probe, capacity;
        unsigned trials_most;
    } rows[] = {
        {50000, 50000, 14},   /* as fast as the probe */
        {50000, 31234, 14},   /* slower */
        {50000, 5000, 10},    /* the first trial's rate is its last */
        {50000, 4999, 10},    /* the first trial fails */
        {50000, 120, 16},     /* much slower */
        {50000, 1000000, 16}, /* the probe had too few connections */
        {3, 2, 16},           /* below 10/s the climb begins at 1/s */
        {20, 2.5, 16},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server server = {rows[i].capacity, rows[i].capacity};
        struct search_policy policy = search(rows[i].probe, &server);
        assert_true(policy.pass_max <= rows[i].capacity);
        assert_true(policy.fail_min > rows[i].capacity);
        assert_true(policy.fail_min <= policy.pass_max * SEARCH_WIDTH);
        assert_true(policy.trials <= rows[i].trials_most);
    }
}

static void it_climbs_by_twos_from_a_tenth_and_then_halves_in_ratios(void **state)
{
    (void)state;
    static const struct {
        enum search_phase phase;
        double rate;
        bool pass;
    } rows[] = {
        {SEARCH_CLIMB, 1000, true},       {SEARCH_CLIMB, 2000, true},
        {SEARCH_CLIMB, 4000, true},       {SEARCH_CLIMB, 8000, false},
        {SEARCH_BISECT, 5656.85, false},  {SEARCH_BISECT, 4756.83, true},
        {SEARCH_BISECT, 5187.36, true},   {SEARCH_BISECT, 5417.02, false},
        {SEARCH_CONFIRM, 5187.36, true},  {SEARCH_CONFIRM, 5187.36, false},
        {SEARCH_CONFIRM, 4940.34, false}, {SEARCH_CONFIRM, 4481.04, true},
        {SEARCH_CONFIRM, 4481.04, true},
    };
    struct search_policy policy;
    search_begin(&policy);
    search_probed(&policy, 10000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(policy.phase, rows[i].phase);
        assert_true(fabs(policy.rate - rows[i].rate) < 0.01);
        search_tried(&policy, rows[i].pass);
    }
    assert_int_equal(policy.phase, SEARCH_DONE);
    assert_true(fabs(policy.pass_max - 4481.04) < 0.01);
    assert_true(fabs(policy.fail_min - 4940.34) < 0.01);
}

static void an_answer_that_longer_trials_do_not_bear_out_is_stepped_down(void **state)
{
    (void)state;
    struct server server = {.capacity = 10000, .confirmed = 6000};
    struct search_policy policy = search(20000, &server);
    assert_true(policy.pass_max <= 6000 && policy.pass_max > 3000);
    assert_true(policy.fail_min > 6000 && policy.fail_min <= 10000);
}

static void a_server_that_holds_no_rate_gets_no_answer(void **state)
{
    (void)state;
    static const struct {
        double probe;
        struct server server;
    } rows[] = {
        {5000, {0, 0}},    /* every trial fails */
        {5000, {4000, 0}}, /* every longer one does */
        {0, {4000, 4000}}, /* nothing answers the probe */
        {NAN, {4000, 4000}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct search_policy policy = search(rows[i].probe, &rows[i].server);
        assert_true(isnan(policy.pass_max));
    }
}

static void a_search_always_ends(void **state)
{
    (void)state;
    /* Passes whatever it is asked: the limit of trials. */
    struct server server = {INFINITY, INFINITY};
    assert_int_equal(search(1000, &server).trials, SEARCH_TRIALS_MAX);
    /* By the throw of a coin. */
    uint64_t seed = 1;
    for (int round = 0; round < 1000; round++) {
        struct search_policy policy;
        search_begin(&policy);
        search_probed(&policy, 1000);
        while (policy.phase != SEARCH_DONE) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            search_tried(&policy, seed >> 63);
        }
        assert_true(policy.trials <= SEARCH_TRIALS_MAX);
        assert_true(isnan(policy.pass_max) || isnan(policy.fail_min) ||
                    policy.pass_max < policy.fail_min);
    }
}

static void a_trial_lasts_until_its_goals_can_be_told(void **state)
{
    (void)state;
    static const struct {
        double rate;
        uint64_t samples;
        int64_t lasts_ns;
    } rows[] = {
        {1000, 0, 5 * PF_SECOND},
        {1.5, 0, 5 * PF_SECOND},
        {1000, 1000, 5 * PF_SECOND},
        {240, 1000, 5 * PF_SECOND},
        {120, 1000, 10 * PF_SECOND},
        {24, 1000, 50 * PF_SECOND},
        {23, 1000, -1},
        {1.48, 1000, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct search_policy policy = {.phase = SEARCH_CONFIRM, .rate = rows[i].rate};
        assert_int_equal(search_duration(&policy, 5 * PF_SECOND, rows[i].samples),
                         rows[i].lasts_ns);
    }
    struct search_policy policy = {.phase = SEARCH_CONFIRM, .rate = 1, .pass_max = 9};
    search_give_up(&policy);
    assert_int_equal(policy.phase, SEARCH_DONE);
    assert_true(isnan(policy.pass_max));
}

static void a_trial_passes_only_if_all_is_well(void **state)
{
    (void)state;
    static const struct {
        struct search_outcome outcome;
        const char *why; /* "": it passes */
    } rows[] = {
        {{1000, 1000, NULL, NULL, false}, ""},
        {{1000, 990, NULL, NULL, false}, ""},
        {{1000, 989, NULL, NULL, false}, "989 of 1000 were answered"},
        {{0, 0, NULL, NULL, false}, "nothing was answered"},
        {{1000, 1000, "p99<5ms (was 7.1ms)", NULL, false}, "p99<5ms (was 7.1ms)"},
        {{1000, 1000, NULL, "a loop was 99% busy", false}, "a loop was 99% busy"},
        {{1000, 1000, NULL, NULL, true}, "the backlog grew 3 s running"},
        /* what is the cause comes first */
        {{1000, 10, "p99<5ms", "busy", true}, "the backlog grew 3 s running"},
        {{1000, 10, "p99<5ms", "busy", false}, "busy"},
        {{1000, 10, "p99<5ms", NULL, false}, "10 of 1000 were answered"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[96] = "?";
        bool pass = search_judge(&rows[i].outcome, why, sizeof why);
        assert_string_equal(why, rows[i].why);
        assert_int_equal(pass, rows[i].why[0] == '\0');
    }
}

static void a_backlog_that_grows_three_times_running_ends_a_trial(void **state)
{
    (void)state;
    static const struct {
        uint64_t backlog[6];
        int gives_up_at; /* row; -1: never */
    } rows[] = {
        {{0, 0, 0, 0, 0, 0}, -1},
        {{100, 200, 300, 400, 500, 600}, 2},
        {{100, 200, 150, 200, 300, 400}, 5},
        {{100, 200, 200, 300, 400, 400}, -1},
        {{1, 2, 3, 4, 5, 6}, -1}, /* a few at 1000/s are chance */
        {{1, 2, 3, 11, 12, 13}, 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct search_backlog watch = {0};
        int at = -1;
        for (int row = 0; row < 6 && at < 0; row++)
            if (search_backlog_grows(&watch, rows[i].backlog[row], 1000))
                at = row;
        assert_int_equal(at, rows[i].gives_up_at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(it_closes_in_on_the_highest_rate_that_passes),
        pf_test(it_climbs_by_twos_from_a_tenth_and_then_halves_in_ratios),
        pf_test(an_answer_that_longer_trials_do_not_bear_out_is_stepped_down),
        pf_test(a_server_that_holds_no_rate_gets_no_answer),
        pf_test(a_search_always_ends),
        pf_test(a_trial_lasts_until_its_goals_can_be_told),
        pf_test(a_trial_passes_only_if_all_is_well),
        pf_test(a_backlog_that_grows_three_times_running_ends_a_trial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
