/* What a result says of how it ends, and what follows from its numbers. */
#include "tests/lib/test.h"

#include "bench/result.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define TEN(x) x x x x x x x x x x

/* exit_why holds 127 bytes. */
static void a_reason_that_is_too_long_ends_at_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *why, *said;
    } rows[] = {
        {"", ""},
        {"3 lost", "3 lost"},
        {TEN("123456789 ") "123456789 12345678901234567",
         TEN("123456789 ") "123456789 12345678901234567"},
        {TEN("123456789 ") "123456789 123456789012345678",
         TEN("123456789 ") "123456789..."},
        {TEN("123456789 ") "123456789 12345678901234 and so on",
         TEN("123456789 ") "123456789 12345678901234..."},
        {TEN("123456789 ") "123456789 123456789012345 and so on",
         TEN("123456789 ") "123456789..."},
        /* A single word: in front of a character that is cut. */
        {TEN("123456789a") TEN("123456789a"),
         TEN("123456789a") "123456789a123456789a1234..."},
        {TEN("123456789a") "123456789a123456789a123\xc3\xa4" TEN("b"),
         TEN("123456789a") "123456789a123456789a123..."},
    };
    struct result *result = result_new();
    assert_non_null(result);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        result_set_exit(result, (int)i, "%s", rows[i].why);
        assert_int_equal(result->exit_code, i);
        assert_string_equal(result->exit_why, rows[i].said);
    }
    result_set_exit(result, 4, "%u %s", 7, "lost");
    assert_string_equal(result->exit_why, "7 lost");
    result_free(result);
}

static void rate_is_of_what_came_in_time(void **state)
{
    (void)state;
    static const struct {
        uint64_t ok;
        int64_t in_time, elapsed_ns;
        double rate, seconds;
    } rows[] = {
        {1000, RESULT_UNKNOWN, 2 * PF_SECOND, 500, 2}, /* a document from before */
        {1000, 1000, 2 * PF_SECOND, 500, 2},
        {1000, 800, 2 * PF_SECOND, 400, 2.5},
        {1000, 0, 2 * PF_SECOND, 0, 2},
        {0, 0, 2 * PF_SECOND, 0, 2},
        {10, 11, 2 * PF_SECOND, 5, 2}, /* no document of ours */
        {0, 0, 0, 0, 0},
        {10, 10, RESULT_UNKNOWN, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result *result = result_new();
        assert_non_null(result);
        result->totals.ok = rows[i].ok;
        result->totals.ok_in_time = rows[i].in_time;
        result->totals.elapsed_ns = rows[i].elapsed_ns;
        assert_true(fabs(result_rate(result) - rows[i].rate) < 1e-9);
        assert_true(fabs(result_seconds(result) - rows[i].seconds) < 1e-9);
        result_free(result);
    }
}

/* Attempts to connect and answers are no lost requests; at most all are lost. */
static void lost_are_requests(void **state)
{
    (void)state;
    static const struct {
        struct tally_error errors[2];
        uint64_t planned, unsent, lost, refused, unasked;
    } rows[] = {
        {{{TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, 1854, 0, ""}}, 544, 0, 0, 1854, 0},
        {{{TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, 575, 0, ""},
          {TALLY_READ, TALLY_PARTIAL, 0, 1, 0, ""}},
         2000,
         0,
         1,
         575,
         0},
        /* What was due and found nobody is lost. */
        {{{TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, 575, 0, ""},
          {TALLY_TIMEOUT, TALLY_SENT, ETIMEDOUT, 5, 0, ""}},
         2000,
         20,
         25,
         575,
         0},
        {{{TALLY_CONNECT, TALLY_OPENING, ETIMEDOUT, 5, 0, ""}}, 20, 30, 20, 5, 0},
        /* But not what this machine could not do. */
        {{{TALLY_CONNECT, TALLY_OPENING, EADDRNOTAVAIL, 5, 0, ""},
          {TALLY_CONNECT, TALLY_OPENING, EMFILE, 5, 0, ""}},
         20,
         10,
         0,
         0,
         0},
        {{{TALLY_CONNECT, TALLY_OPENING, ENOBUFS, 5, 0, ""}}, 20, 10, 0, 0, 0},
        /* Answered, and more. */
        {{{TALLY_PARSE, TALLY_ANSWERED, TALLY_UNASKED, 1491, 0, ""},
          {TALLY_VALIDATE, TALLY_ANSWERED, TALLY_STATUS, 3, 0, ""}},
         1491,
         0,
         0,
         0,
         1491},
        {{{TALLY_READ, TALLY_TAKEN, 0, 2, 0, ""}, {TALLY_READ, TALLY_SENT, 0, 9, 0, ""}},
         20,
         0,
         2,
         0,
         0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result *result = result_new();
        assert_non_null(result);
        memcpy(result->errors, rows[i].errors, sizeof rows[i].errors);
        result->error_count = rows[i].errors[1].count ? 2 : 1;
        result->totals.planned = rows[i].planned;
        result->totals.unsent = rows[i].unsent;
        assert_int_equal(result_lost(result), rows[i].lost);
        assert_int_equal(result_refused(result), rows[i].refused);
        assert_int_equal(result_unasked(result), rows[i].unasked);
        result_free(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_reason_that_is_too_long_ends_at_a_word),
        pf_test(rate_is_of_what_came_in_time),
        pf_test(lost_are_requests),
    };
    return cmocka_run_group_tests_name("bench_result", tests, NULL, NULL);
}
