/* What is counted of requests: errors of a kind together, sums of units, what was lost. */
#include "tests/lib/test.h"

#include "bench/tally.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct tally a, b; /* large */

static struct tally_error error_of(enum tally_phase phase, enum tally_when when, int reason,
                                   int64_t first_ns, const char *sample)
{
    struct tally_error error = {phase, when, reason, 1, first_ns, ""};
    strncpy(error.sample, sample, sizeof error.sample - 1);
    return error;
}

static void errors_of_a_kind_are_one_with_the_first_time_and_its_sample(void **state)
{
    (void)state;
    tally_init(&a);
    struct tally_error late =
        error_of(TALLY_PARSE, TALLY_PARTIAL, TALLY_NOT_HTTP, 200, "l");
    struct tally_error early =
        error_of(TALLY_PARSE, TALLY_PARTIAL, TALLY_NOT_HTTP, 100, "e");
    struct tally_error other = error_of(TALLY_PARSE, TALLY_SENT, TALLY_NOT_HTTP, 50, "o");
    tally_error(&a, &late);
    tally_error(&a, &early);
    tally_error(&a, &other);
    tally_error(&a, &late);
    assert_int_equal(a.error_count, 2);
    assert_int_equal(a.errors[0].count, 3);
    assert_int_equal(a.errors[0].first_ns, 100);
    assert_string_equal(a.errors[0].sample, "e");
    assert_int_equal(a.errors[1].count, 1);
}

static void kinds_beyond_the_room_are_counted_together(void **state)
{
    (void)state;
    tally_init(&a);
    for (int i = 0; i < TALLY_ERRORS_MAX + 5; i++) {
        struct tally_error error = error_of(TALLY_READ, TALLY_SENT, i, i, "");
        tally_error(&a, &error);
    }
    assert_int_equal(a.error_count, TALLY_ERRORS_MAX);
    assert_int_equal(a.errors_beyond, 5);
}

static void sum_of_units_is_the_sum_of_all_they_counted(void **state)
{
    (void)state;
    tally_init(&a);
    tally_init(&b);
    uint64_t *const counters[] = {&b.planned,  &b.sent,    &b.ok,     &b.wrong,
                                  &b.failed,   &b.dropped, &b.opened, &b.reused,
                                  &b.bytes_in, &b.backlog, &b.unsent, &b.censored};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        tally_count(counters[i], i + 1);
    tally_count(&b.status[200], 7);
    hdr_record(&b.service, 1000, 3);
    hdr_record(&b.lag, 5, 2);
    b.began_ns = 100;
    b.ended_ns = 900;
    b.busy = 0.5;
    b.waited = 0.125;
    b.stall_ns = 3;
    b.censored_ns = 40;
    b.in_flight_ns = 10;
    tally_merge(&a, &b);
    b.began_ns = 50;
    b.ended_ns = 800;
    b.busy = 0.25;
    b.waited = 0.25;
    b.censored_ns = 70;
    tally_merge(&a, &b);
    assert_int_equal(a.planned, 2);
    assert_int_equal(a.sent, 4);
    assert_int_equal(a.ok, 6);
    assert_int_equal(a.wrong, 8);
    assert_int_equal(a.failed, 10);
    assert_int_equal(a.dropped, 12);
    assert_int_equal(a.opened, 14);
    assert_int_equal(a.reused, 16);
    assert_int_equal(a.bytes_in, 18);
    assert_int_equal(a.backlog, 20);
    assert_int_equal(a.unsent, 22);
    assert_int_equal(a.censored, 24);
    assert_int_equal(a.status[200], 14);
    assert_int_equal(a.service.count, 6);
    assert_int_equal(a.lag.count, 4);
    assert_int_equal(a.began_ns, 50);
    assert_int_equal(a.ended_ns, 900);
    assert_true(a.busy == 0.5);
    assert_true(a.waited == 0.125); /* of the same one */
    assert_int_equal(a.stall_ns, 3);
    assert_int_equal(a.censored_ns, 40);
    assert_true(a.in_flight_ns == 20);
}

static void unit_that_has_not_begun_moves_no_time(void **state)
{
    (void)state;
    tally_init(&a);
    tally_init(&b);
    b.began_ns = 100;
    b.ended_ns = 200;
    tally_merge(&a, &b);
    tally_init(&b);
    tally_merge(&a, &b);
    assert_int_equal(a.began_ns, 100);
    assert_int_equal(a.ended_ns, 200);
    assert_int_equal(a.censored_ns, INT64_MAX);
}

static void live_sum_leaves_out_what_is_only_right_at_the_end(void **state)
{
    (void)state;
    tally_init(&a);
    tally_init(&b);
    struct tally_error error = error_of(TALLY_READ, TALLY_SENT, ECONNRESET, 1, "");
    tally_error(&b, &error);
    tally_count(&b.ok, 3);
    hdr_record(&b.response, 7, 1);
    b.ended_ns = 5;
    tally_merge_live(&a, &b);
    assert_int_equal(a.ok, 3);
    assert_int_equal(a.response.count, 1);
    assert_int_equal(a.error_count, 0);
    assert_int_equal(a.ended_ns, 0);
}

static void what_an_error_means_depends_on_what_was_under_way(void **state)
{
    (void)state;
    static const struct {
        enum tally_phase phase;
        enum tally_when when;
        int reason;
        enum tally_loss loss;
    } rows[] = {
        {TALLY_READ, TALLY_IDLE, 0, TALLY_HARMLESS},
        {TALLY_READ, TALLY_IDLE, ECONNRESET, TALLY_HARMLESS},
        {TALLY_READ, TALLY_SENT, 0, TALLY_RETRYABLE},
        {TALLY_READ, TALLY_SENT, ECONNRESET, TALLY_RETRYABLE},
        {TALLY_WRITE, TALLY_SENT, EPIPE, TALLY_RETRYABLE},
        {TALLY_READ, TALLY_TAKEN, 0, TALLY_LOST},
        {TALLY_READ, TALLY_PARTIAL, 0, TALLY_LOST},
        {TALLY_WRITE, TALLY_PARTIAL, EPIPE, TALLY_LOST},
        {TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, TALLY_LOST},
        {TALLY_TIMEOUT, TALLY_SENT, ETIMEDOUT, TALLY_LOST},
        {TALLY_TIMEOUT, TALLY_PARTIAL, ETIMEDOUT, TALLY_LOST},
        {TALLY_PARSE, TALLY_PARTIAL, TALLY_NOT_HTTP, TALLY_LOST},
        {TALLY_PARSE, TALLY_ANSWERED, TALLY_UNASKED, TALLY_LOST},
        {TALLY_VALIDATE, TALLY_ANSWERED, TALLY_STATUS, TALLY_LOST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tally_error error =
            error_of(rows[i].phase, rows[i].when, rows[i].reason, 1, "");
        assert_int_equal(tally_loss_of(&error), rows[i].loss);
    }
}

static void reasons_phases_and_times_have_names(void **state)
{
    (void)state;
    assert_string_equal(tally_reason_name(0), "closed");
    assert_string_equal(tally_reason_name(ECONNRESET), "ECONNRESET");
    assert_string_equal(tally_reason_name(ETIMEDOUT), "ETIMEDOUT");
    for (int reason = TALLY_NOT_HTTP; reason <= TALLY_ECHO; reason++)
        assert_string_not_equal(tally_reason_name(reason), "unknown");
    assert_string_equal(tally_reason_name(999), "unknown");
    for (int phase = TALLY_CONNECT; phase <= TALLY_TIMEOUT; phase++)
        assert_non_null(tally_phase_name((enum tally_phase)phase));
    for (int when = TALLY_OPENING; when <= TALLY_TAKEN; when++)
        assert_non_null(tally_when_name((enum tally_when)when));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(errors_of_a_kind_are_one_with_the_first_time_and_its_sample),
        pf_test(kinds_beyond_the_room_are_counted_together),
        pf_test(sum_of_units_is_the_sum_of_all_they_counted),
        pf_test(unit_that_has_not_begun_moves_no_time),
        pf_test(live_sum_leaves_out_what_is_only_right_at_the_end),
        pf_test(what_an_error_means_depends_on_what_was_under_way),
        pf_test(reasons_phases_and_times_have_names),
    };
    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
