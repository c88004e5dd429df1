/* How a run ends, as its exit status says: the gravest that is true of it. */
#include "tests/lib/test.h"

#include "bench/cli_internal.h"

#include <errno.h>
#include <string.h>

const struct mode mode_run = {.name = "run"}; /* the program's own is not in the library */

struct row {
    uint64_t ok, wrong, dropped, unsent;
    struct tally_error error;
    bool unopened, undue;
    const char *invalid; /* the reason, if it is */
    int code;
    const char *why;
};

static const struct row rows[] = {
    {.ok = 9, .code = 0, .why = ""},
    {.ok = 0, .code = 2, .why = "nothing succeeded"},
    {.undue = true, .code = 2, .why = "nothing was due: raise the rate or the time"},
    {.ok = 9, .wrong = 2, .code = 4, .why = "2 wrong answers"},
    {.ok = 9,
     .error = {TALLY_READ, TALLY_PARTIAL, 0, 3, 0, ""},
     .code = 4,
     .why = "3 lost"},
    {.ok = 9,
     .error = {TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, 3, 0, ""},
     .code = 4,
     .why = "3 connects failed"},
    {.ok = 9,
     .error = {TALLY_PARSE, TALLY_ANSWERED, TALLY_UNASKED, 3, 0, ""},
     .code = 4,
     .why = "3 times bytes nobody asked for"},
    /* What is no measurement says nothing of the server. */
    {.ok = 9,
     .error = {TALLY_READ, TALLY_PARTIAL, 0, 3, 0, ""},
     .invalid = "lag; add -t",
     .code = 3,
     .why = "not a valid measurement: lag"},
    {.ok = 9,
     .dropped = 4,
     .invalid = "dropped; raise -c",
     .code = 3,
     .why = "not a valid measurement: dropped"},
    {.ok = 9,
     .error = {TALLY_CONNECT, TALLY_OPENING, EADDRNOTAVAIL, 3, 0, ""},
     .invalid = "local ports ran out; add",
     .code = 3,
     .why = "not a valid measurement: local ports ran out"},
    {.unopened = true,
     .error = {TALLY_CONNECT, TALLY_OPENING, EMFILE, 3, 0, ""},
     .invalid = "descriptors ran out; raise",
     .code = 3,
     .why = "not a valid measurement: descriptors ran out"},
    {.unopened = true,
     .error = {TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, 3, 0, ""},
     .invalid = "nothing; start it",
     .code = 2,
     .why = "cannot connect"},
    {.ok = 0, .invalid = "nothing", .code = 2, .why = "nothing succeeded"},
};

static void the_exit_status_is_of_the_gravest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct result *result = result_new();
        assert_non_null(result);
        result->totals.opened = !row->unopened;
        result->totals.planned = row->undue ? 0 : 20;
        result->totals.ok = row->ok;
        result->totals.wrong = row->wrong;
        result->totals.dropped = row->dropped;
        result->totals.unsent = row->unsent;
        result->errors[0] = row->error;
        result->error_count = row->error.count > 0;
        if (row->invalid) {
            result->validity.verdict = RESULT_INVALID;
            result->validity.reason_count = 1;
            strncpy(result->validity.reasons[0], row->invalid, RESULT_REASON_MAX - 1);
        }
        cli_set_ending(result);
        if (result->exit_code != row->code || strcmp(result->exit_why, row->why) != 0)
            print_error("row %zu: %d %s\n", i, result->exit_code, result->exit_why);
        assert_int_equal(result->exit_code, row->code);
        assert_string_equal(result->exit_why, row->why);
        result_free(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {pf_test(the_exit_status_is_of_the_gravest)};
    return cmocka_run_group_tests_name("bench_ending", tests, NULL, NULL);
}
