/* test_options.c - options from a table: forms, types, limits, errors, help. */
#include "tests/lib/test.h"

#include <errno.h>
#include <prefork/options.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config {
    bool verbose, quiet;
    int64_t workers, offset, any, least;
    int64_t buffer, heap;
    int64_t drain, tick, never;
    const char *app;
    int accept;
    struct pf_option_list bind;
    int even;
};

static const char *const accepts[] = {"reuseport", "exclusive", "shared", NULL};

static pf_option_parse_fn parse_even;
static int parse_even(const char *value, void *field, char *why, size_t why_len)
{
    int n = atoi(value);
    if (strcmp(value, "silent") == 0)
        return -EINVAL;
    if (n % 2 != 0) {
        (void)snprintf(why, why_len, "must be even");
        return -EINVAL;
    }
    *(int *)field = n;
    return 0;
}

#define AT(field) .at = offsetof(struct config, field)

static const struct pf_option table[] = {
    {.name = "workers",
     .letter = 'w',
     .type = PF_OPTION_INT,
     AT(workers),
     .min = 1,
     .max = 1024,
     .argument = "N",
     .help = "worker processes (default 1)"},
    {.name = "verbose",
     .letter = 'v',
     .type = PF_OPTION_FLAG,
     AT(verbose),
     .help = "log more"},
    {.name = "quiet", .letter = 'q', .type = PF_OPTION_FLAG, AT(quiet), .help = "log less"},
    {.name = "offset", .type = PF_OPTION_INT, AT(offset), .min = -20, .max = 20},
    {.name = "any", .type = PF_OPTION_INT, AT(any)},
    {.name = "least", .type = PF_OPTION_INT, AT(least), .min = 2, .max = INT64_MAX},
    {.name = "buffer-size",
     .letter = 's',
     .type = PF_OPTION_SIZE,
     AT(buffer),
     .min = 4096,
     .max = INT64_C(1) << 30,
     .argument = "SIZE",
     .help = "bytes"},
    {.name = "heap", .type = PF_OPTION_SIZE, AT(heap)},
    {.name = "drain-timeout",
     .letter = 'd',
     .type = PF_OPTION_DURATION,
     AT(drain),
     .min = 100 * PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME"},
    {.name = "tick", .type = PF_OPTION_DURATION, AT(tick), .min = 1, .max = 1500000},
    {.name = "never", .type = PF_OPTION_DURATION, AT(never)},
    {.name = "app", .letter = 'a', .type = PF_OPTION_STRING, AT(app), .argument = "FILE"},
    {.name = "accept",
     .type = PF_OPTION_CHOICE,
     AT(accept),
     .choices = accepts,
     .argument = "HOW"},
    {.name = "bind", .letter = 'b', .type = PF_OPTION_LIST, AT(bind), .argument = "ADDR"},
    {.name = "even",
     .letter = 'e',
     .type = PF_OPTION_CUSTOM,
     AT(even),
     .parse = parse_even},
    {0}};

static struct config config;
static char error[PF_OPTION_ERROR_MAX];

static const struct config defaults = {
    .workers = 7, .app = "hello", .drain = 30 * PF_SECOND};

static int start_afresh(void **state)
{
    config = defaults;
    memset(error, '#', sizeof error);
    error[0] = '\0';
    return pf_test_setup(state);
}

/* Parse "program" and the arguments, up to a NULL. */
#define parse(...) parse_arguments((const char *[]){"program", __VA_ARGS__, NULL})

static int parse_arguments(const char *arguments[])
{
    char *argv[PF_OPTION_LIST_MAX * 2 + 8];
    int argc = 0;
    for (; arguments[argc]; argc++)
        memcpy(&argv[argc], &arguments[argc], sizeof *argv);
    argv[argc] = NULL;
    return pf_options_parse(table, &config, argc, argv, error);
}

/* ---- forms ----------------------------------------------------------------------- */

static void every_form_of_giving_a_value_is_understood(void **state)
{
    (void)state;
    assert_int_equal(parse("--workers=4"), 2);
    assert_int_equal(config.workers, 4);
    assert_int_equal(parse("--workers", "5"), 3);
    assert_int_equal(config.workers, 5);
    assert_int_equal(parse("-w", "6"), 3);
    assert_int_equal(config.workers, 6);
    assert_int_equal(parse("-w8"), 2);
    assert_int_equal(config.workers, 8);
    assert_int_equal(parse("-w", "9", "-w10", "--workers=11"), 5);
    assert_int_equal(config.workers, 11);
}

static void letters_run_together(void **state)
{
    (void)state;
    assert_int_equal(parse("-vqw3"), 2);
    assert_true(config.verbose && config.quiet);
    assert_int_equal(config.workers, 3);
    config = defaults;
    assert_int_equal(parse("-vw", "12", "x"), 3);
    assert_true(config.verbose && !config.quiet);
    assert_int_equal(config.workers, 12);
}

static void an_underscore_equals_a_dash(void **state)
{
    (void)state;
    assert_int_equal(parse("--buffer_size=8k"), 2);
    assert_int_equal(config.buffer, 8192);
    assert_int_equal(pf_options_set(table, &config, "drain_timeout", "2", error), 0);
    assert_int_equal(config.drain, 2 * PF_SECOND);
}

static void options_end_at_the_first_argument_or_two_dashes(void **state)
{
    (void)state;
    assert_int_equal(parse("-v", "app", "--frobnicate"), 2);
    assert_int_equal(parse("-v", "--", "--workers", "0"), 3);
    assert_int_equal(parse("-", "--workers=0"), 1); /* a dash alone is an argument */
    assert_int_equal(parse(""), 1);
    assert_int_equal(parse("--workers", "2", "--"), 4);
    char *nothing[] = {NULL};
    assert_int_equal(pf_options_parse(table, &config, 0, nothing, error), 0);
    char program[] = "program", *alone[] = {program, NULL};
    assert_int_equal(pf_options_parse(table, &config, 1, alone, error), 1);
}

static void a_value_may_look_like_an_option(void **state)
{
    (void)state;
    assert_int_equal(parse("--offset", "-5", "--app", "--workers"), 5);
    assert_int_equal(config.offset, -5);
    assert_string_equal(config.app, "--workers");
    assert_int_equal(parse("--app=a=b", "-a--"), 3);
    assert_string_equal(config.app, "--");
}

static void options_not_given_keep_what_they_hold(void **state)
{
    (void)state;
    assert_int_equal(parse("-v"), 2);
    assert_int_equal(config.workers, 7);
    assert_string_equal(config.app, "hello");
    assert_int_equal(config.drain, 30 * PF_SECOND);
}

static void strings_point_into_the_arguments(void **state)
{
    (void)state;
    static char value[] = "--app=file";
    char program[] = "program", *argv[] = {program, value, NULL};
    assert_int_equal(pf_options_parse(table, &config, 2, argv, error), 2);
    assert_ptr_equal(config.app, value + strlen("--app="));
}

static void names_are_not_abbreviated(void **state)
{
    (void)state;
    assert_int_equal(parse("--work=4"), -EINVAL);
    assert_int_equal(parse("--workersx=4"), -EINVAL);
    assert_int_equal(parse("--Workers=4"), -EINVAL);
    assert_int_equal(config.workers, 7);
}

/* ---- types ----------------------------------------------------------------------- */

struct number {
    const char *value;
    int64_t expected;
};

static void assert_accepted(const char *name, const int64_t *field,
                            const struct number *rows)
{
    for (; rows->value; rows++) {
        assert_int_equal(pf_options_set(table, &config, name, rows->value, error), 0);
        if (*field != rows->expected)
            fail_msg("%s %s is %lld", name, rows->value, (long long)*field);
    }
}

/* Each value is refused, and the field keeps what it holds. */
static void assert_refused(const char *name, const int64_t *field,
                           const char *const *values)
{
    int64_t before = *field;
    for (; *values; values++) {
        if (pf_options_set(table, &config, name, *values, error) != -EINVAL)
            fail_msg("%s accepts \"%s\"", name, *values);
        assert_int_equal(*field, before);
    }
}

static void whole_numbers_are_read(void **state)
{
    (void)state;
    static const struct number within[] = {{"1", 1}, {"1024", 1024}, {"0012", 12}, {0}};
    assert_accepted("workers", &config.workers, within);
    static const struct number any[] = {{"0", 0},
                                        {"-0", 0},
                                        {"-17", -17},
                                        {"9223372036854775807", INT64_MAX},
                                        {"-9223372036854775808", INT64_MIN},
                                        {0}};
    assert_accepted("any", &config.any, any);

    static const char *const wrong[] = {"",
                                        " ",
                                        "0",
                                        "1025",
                                        "-1",
                                        "4x",
                                        "4 ",
                                        " 4",
                                        "+4",
                                        "0x10",
                                        "1.0",
                                        "1e3",
                                        "4k",
                                        "-",
                                        "--4",
                                        "four",
                                        "4,000",
                                        "9223372036854775808",
                                        "99999999999999999999999999",
                                        NULL};
    assert_refused("workers", &config.workers, wrong);
    static const char *const overflow[] = {"9223372036854775808", "-9223372036854775809",
                                           "18446744073709551617", NULL};
    assert_refused("any", &config.any, overflow);
}

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct number rows[] = {{"0", 0},
                                         {"1", 1},
                                         {"64k", 65536},
                                         {"64K", 65536},
                                         {"3m", 3 << 20},
                                         {"1g", 1 << 30},
                                         {"8589934591g", INT64_C(8589934591) << 30},
                                         {0}};
    assert_accepted("heap", &config.heap, rows);
    static const char *const wrong[] = {
        "",  "k", "-1", "64kb", "64 k", "1.5k", "1t", "8589934592g", "9223372036854775807k",
        NULL};
    assert_refused("heap", &config.heap, wrong);
    static const char *const outside[] = {"4095", "3k", "1073741825", "2g", NULL};
    assert_refused("buffer-size", &config.buffer, outside);
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct number rows[] = {
        {"0", 0},
        {"3", 3 * PF_SECOND},
        {"1.5s", 1500 * PF_MILLISECOND},
        {"0.25", 250 * PF_MILLISECOND},
        {"250ms", 250 * PF_MILLISECOND},
        {"1.5us", 1500},
        {"2m", 120 * PF_SECOND},
        {"0.5m", 30 * PF_SECOND},
        {"1.25h", 4500 * PF_SECOND},
        {"7ns", 7},
        {"1m30s", 90 * PF_SECOND},
        {"1h30m5s", 5405 * PF_SECOND},
        {"1s500ms", 1500 * PF_MILLISECOND},
        {"1h0.5s", 3600 * PF_SECOND + 500 * PF_MILLISECOND},
        {"0.000000001", 1},
        {"1.00000000000000000000000000000000001s", PF_SECOND},
        {"9223372036.854775807", INT64_MAX},
        {0}};
    assert_accepted("never", &config.never, rows);
    static const char *const wrong[] = {"",           "s",
                                        ".5",         "1.",
                                        "1.s",        "1..5",
                                        "1.5.5",      "-1s",
                                        "5 s",        "5S",
                                        "5sec",       "1e3s",
                                        "1,5s",       "inf",
                                        "nan",        "9223372036.854775808",
                                        "9223372037", "2562048h",
                                        "1m30",       "30s1m",
                                        "1s1s",       "1m 30s",
                                        "1ms.",       "1m-30s",
                                        "1h1x",       "2562047h2000000s",
                                        NULL};
    assert_refused("never", &config.never, wrong);
    static const char *const outside[] = {"99ms", "0", "3600.1s", "2h", NULL};
    assert_refused("drain-timeout", &config.drain, outside);
}

static void flags_take_a_word_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool expected;
    } rows[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                {"on", true},   {"off", false},   {"1", true},   {"0", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        config.verbose = !rows[i].expected;
        assert_int_equal(pf_options_set(table, &config, "verbose", rows[i].value, error),
                         0);
        assert_int_equal(config.verbose, rows[i].expected);
    }
    assert_int_equal(parse("--verbose=no"), 2);
    assert_false(config.verbose);
    assert_int_equal(parse("--verbose", "no"), 2); /* takes no next argument */
    assert_true(config.verbose);
    assert_int_equal(parse("--verbose="), -EINVAL);
    assert_string_equal(error,
                        "--verbose '': must be yes or no (true, false, on, off, 1, 0)");
    assert_int_equal(parse("--verbose=TRUE"), -EINVAL);
}

static void a_choice_is_one_of_its_words(void **state)
{
    (void)state;
    assert_int_equal(parse("--accept", "shared"), 3);
    assert_int_equal(config.accept, 2);
    assert_int_equal(parse("--accept=share"), -EINVAL);
    assert_string_equal(error, "--accept share: must be reuseport, exclusive or shared");
    assert_int_equal(parse("--accept="), -EINVAL);
    assert_int_equal(config.accept, 2);
}

static void a_list_collects_until_it_is_full(void **state)
{
    (void)state;
    assert_int_equal(parse("-b", ":1", "--bind=:2", "-b:3"), 5);
    assert_int_equal(config.bind.count, 3);
    assert_string_equal(config.bind.values[0], ":1");
    assert_string_equal(config.bind.values[2], ":3");
    while (config.bind.count < PF_OPTION_LIST_MAX)
        assert_int_equal(parse("-b:4"), 2);
    assert_int_equal(parse("-b:5"), -EINVAL);
    assert_string_equal(error, "--bind :5: may be given 64 times at the most");
    assert_int_equal(config.bind.count, PF_OPTION_LIST_MAX);
}

static void a_custom_option_says_itself_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(parse("-e", "4"), 3);
    assert_int_equal(config.even, 4);
    assert_int_equal(parse("-e5"), -EINVAL);
    assert_string_equal(error, "--even 5: must be even");
    assert_int_equal(parse("--even=silent"), -EINVAL);
    assert_string_equal(error, "--even silent: not a value that this option takes");
}

/* ---- errors ---------------------------------------------------------------------- */

static void an_error_names_the_option_the_value_and_the_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *argument, *error;
    } rows[] = {
        {"--workers=0", "--workers 0: must be 1 to 1024"},
        {"-w0", "--workers 0: must be 1 to 1024"},
        {"-vw4x", "--workers 4x: must be 1 to 1024"},
        {"--workers=", "--workers '': must be 1 to 1024"},
        {"--offset=21", "--offset 21: must be -20 to 20"},
        {"--any=x", "--any x: must be a whole number of 64 bits"},
        {"--least=1", "--least 1: must be a whole number of 64 bits, at least 2"},
        {"--buffer_size=1", "--buffer-size 1: must be 4k to 1g"},
        {"--heap=x", "--heap x: must be a size such as 4096, 64k or 1g, at least 0"},
        {"--drain-timeout=1us", "--drain-timeout 1us: must be 100ms to 1h"},
        {"--tick=0", "--tick 0: must be 1ns to 1500us"},
        {"--never=soon",
         "--never soon: must be a time such as 500ms, 1.5s or 1m30s, at least 0"},
        {"--workers", "--workers: needs a value (N)"},
        {"-w", "--workers: needs a value (N)"},
        {"-vw", "--workers: needs a value (N)"},
        {"--any", "--any: needs a value (VALUE)"},
        {"--frobnicate", "--frobnicate: unknown option; see --help"},
        {"--frobnicate=3", "--frobnicate: unknown option; see --help"},
        {"--=3", "--: unknown option; see --help"},
        {"---v", "---v: unknown option; see --help"},
        {"-x", "-x: unknown option; see --help"},
        {"-vx", "-x: unknown option; see --help"},
        {"-v=1", "-=: unknown option; see --help"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse(rows[i].argument), -EINVAL);
        assert_string_equal(error, rows[i].error);
    }
}

static void a_slip_is_met_with_a_suggestion(void **state)
{
    (void)state;
    static const struct {
        const char *argument, *meant;
    } rows[] = {
        {"--worker=4", "workers"},
        {"--wrokers=4", "workers"},
        {"--workerss", "workers"},
        {"--vebrose", "verbose"},
        {"--drain_timeot=3", "drain-timeout"},
        {"--bnd", "bind"},
    };
    char meant[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse(rows[i].argument), -EINVAL);
        (void)snprintf(meant, sizeof meant, "; did you mean --%s?", rows[i].meant);
        assert_non_null(strstr(error, meant));
    }
    assert_int_equal(parse("--xyz"), -EINVAL); /* near to no name: no guess */
    assert_null(strstr(error, "mean"));
    assert_int_equal(parse("--a"), -EINVAL);
    assert_null(strstr(error, "mean"));
}

static void an_error_is_one_line_that_fits_whatever_was_typed(void **state)
{
    (void)state;
    static char huge[5000] = "--";
    memset(huge + 2, 'x', sizeof huge - 3);
    assert_int_equal(parse(huge), -EINVAL);
    assert_non_null(strstr(error, ": unknown option; see --help"));
    assert_true(strlen(error) < sizeof error);
    assert_int_equal(parse("--accept", huge), -EINVAL);
    assert_non_null(strstr(error, ": must be reuseport, exclusive or shared"));
    assert_int_equal(parse("--workers=\n4\x7f\x1b"), -EINVAL);
    assert_string_equal(error, "--workers ?4??: must be 1 to 1024");
    assert_int_equal(parse("--wor\nkers"), -EINVAL);
    assert_null(strchr(error, '\n'));
}

static void long_choices_are_cut_not_overrun(void **state)
{
    (void)state;
    static const char *const many[] = {
        "a-rather-long-choice-number-one",   "a-rather-long-choice-number-two",
        "a-rather-long-choice-number-three", "a-rather-long-choice-number-four",
        "a-rather-long-choice-number-five",  NULL};
    static const struct pf_option long_table[] = {
        {.name = "an-option-with-a-name-that-is-longer-than-any",
         .type = PF_OPTION_CHOICE,
         AT(accept),
         .choices = many},
        {0}};
    assert_int_equal(
        pf_options_set(long_table, &config, "an-option-with-a-name-that-is-longer-than-any",
                       "a-value-that-is-itself-quite-long-and-goes-on-and-on-and-"
                       "on-beyond-what-anyone-types",
                       error),
        -EINVAL);
    assert_non_null(strstr(error, ": must be a-rather-long-choice-number-one, "));
    assert_true(strlen(error) < sizeof error);
}

static void options_before_the_wrong_one_are_set(void **state)
{
    (void)state;
    assert_int_equal(parse("-w3", "--drain-timeout=x", "--app=late"), -EINVAL);
    assert_int_equal(config.workers, 3);
    assert_string_equal(config.app, "hello");
    assert_int_equal(config.drain, 30 * PF_SECOND);
}

static void a_file_sets_by_name_and_sees_no_dashes(void **state)
{
    (void)state;
    assert_int_equal(pf_options_set(table, &config, "workers", "3", error), 0);
    assert_int_equal(config.workers, 3);
    assert_int_equal(pf_options_set(table, &config, "workers", "0", error), -EINVAL);
    assert_string_equal(error, "workers 0: must be 1 to 1024");
    assert_int_equal(pf_options_set(table, &config, "wokers", "3", error), -ENOENT);
    assert_string_equal(error, "wokers: unknown option; did you mean workers?");
    assert_int_equal(pf_options_set(table, &config, "", "3", error), -ENOENT);
    assert_int_equal(pf_options_set(table, &config, "w", "3", error), -ENOENT);
    assert_int_equal(config.workers, 3);
}

/* ---- help ------------------------------------------------------------------------ */

static void assert_help(const struct pf_option *options, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    assert_non_null(memory);
    pf_options_help(options, memory);
    assert_int_equal(fclose(memory), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void help_is_aligned_and_wrapped(void **state)
{
    (void)state;
    static const struct pf_option options[] = {
        {.name = "workers",
         .letter = 'w',
         .type = PF_OPTION_INT,
         .argument = "N|auto",
         .help =
             "worker processes, or as many as the CPUs that this process may really use "
             "(default auto)"},
        {.name = "quiet", .type = PF_OPTION_FLAG, .help = "log less"},
        {.name = "steer",
         .type = PF_OPTION_CHOICE,
         .argument = "a-long-name-of-an-argument",
         .help = "on a line of its own"},
        {.name = "bare", .letter = 'B', .type = PF_OPTION_FLAG},
        {0}};
    assert_help(
        options,
        "  -w, --workers N|auto  worker processes, or as many as the CPUs that this\n"
        "                        process may really use (default auto)\n"
        "      --quiet           log less\n"
        "      --steer a-long-name-of-an-argument\n"
        "                        on a line of its own\n"
        "  -B, --bare            \n");
}

static void of_several_tables_each_option_writes_its_own_struct(void **state)
{
    (void)state;
    struct other {
        int64_t level;
        bool verbose, fast;
    } other = {0};
    static const struct pf_option others[] = {
        {.name = "level",
         .letter = 'l',
         .type = PF_OPTION_INT,
         .at = offsetof(struct other, level)},
        {.name = "verbose", .type = PF_OPTION_FLAG, .at = offsetof(struct other, verbose)},
        {.name = "fast",
         .letter = 'f',
         .type = PF_OPTION_FLAG,
         .at = offsetof(struct other, fast)},
        {0}};
    struct config first = {0};
    const struct pf_option_set sets[] = {{table, &first}, {others, &other}, {0}};
    char level[] = "--level=7", wrong[] = "--levle=7", letters[] = "-vf", name[] = "x",
         verbose[] = "--verbose", letter[] = "-w", three[] = "3", rest[] = "rest";
    char *argv[] = {name, level, letters, verbose, letter, three, rest, NULL};
    assert_int_equal(pf_options_parse_sets(sets, 7, argv, error), 6);
    assert_int_equal(other.level, 7);
    assert_true(other.fast);
    assert_true(first.verbose);
    assert_false(other.verbose); /* the first of that name is meant */
    assert_int_equal(first.workers, 3);
    argv[1] = wrong;
    assert_int_equal(pf_options_parse_sets(sets, 7, argv, error), -EINVAL);
    assert_non_null(strstr(error, "--level?"));
    assert_int_equal(pf_options_parse_sets(sets + 2, 7, argv, error), -EINVAL);
}

static void help_has_no_line_beyond_80_columns(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    static const char words[] =
        "a b cc ddd eeee fffff gggggg hhhhhhh iiiiiiii jjjjjjjjj kkkkkkkkkk lllllllllll "
        "mmmmmmmmmmmm nnnnnnnnnnnnn oooooooooooooo ppppppppppppppp qqqqqqqqqqqqqqqq";
    for (size_t from = 0; from < 60; from++) {
        const struct pf_option options[] = {{.name = "width", .help = words + from}, {0}};
        FILE *memory = open_memstream(&text, &len);
        assert_non_null(memory);
        pf_options_help(options, memory);
        assert_int_equal(fclose(memory), 0);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            assert_in_range(strcspn(line, "\n"), 16, 80);
        free(text);
    }
}

static void help_of_an_empty_table_is_empty(void **state)
{
    (void)state;
    static const struct pf_option empty[] = {{0}};
    assert_help(empty, "");
    char program[] = "program", option[] = "-x", *argv[] = {program, option, NULL};
    assert_int_equal(pf_options_parse(empty, NULL, 2, argv, error), -EINVAL);
}

#define option_test(name)                                                                  \
    cmocka_unit_test_setup_teardown(name, start_afresh, pf_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        option_test(every_form_of_giving_a_value_is_understood),
        option_test(letters_run_together),
        option_test(an_underscore_equals_a_dash),
        option_test(options_end_at_the_first_argument_or_two_dashes),
        option_test(a_value_may_look_like_an_option),
        option_test(options_not_given_keep_what_they_hold),
        option_test(strings_point_into_the_arguments),
        option_test(names_are_not_abbreviated),
        option_test(whole_numbers_are_read),
        option_test(sizes_are_read),
        option_test(durations_are_read),
        option_test(flags_take_a_word_or_none),
        option_test(a_choice_is_one_of_its_words),
        option_test(a_list_collects_until_it_is_full),
        option_test(a_custom_option_says_itself_what_is_wrong),
        option_test(an_error_names_the_option_the_value_and_the_remedy),
        option_test(a_slip_is_met_with_a_suggestion),
        option_test(an_error_is_one_line_that_fits_whatever_was_typed),
        option_test(long_choices_are_cut_not_overrun),
        option_test(options_before_the_wrong_one_are_set),
        option_test(a_file_sets_by_name_and_sees_no_dashes),
        option_test(help_is_aligned_and_wrapped),
        option_test(of_several_tables_each_option_writes_its_own_struct),
        option_test(help_has_no_line_beyond_80_columns),
        option_test(help_of_an_empty_table_is_empty),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
