/* test_http_regex.c - paths by regular expression, with PCRE2 and without. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/regex.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#ifdef PF__HAVE_PCRE2

static struct pf__regex *made(const char *expression)
{
    struct pf__regex *regex = NULL;
    char why[200] = "";
    assert_int_equal(pf__regex_new(expression, why, sizeof why, &regex), 0);
    return regex;
}

static void an_expression_matches_whole_paths(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *path, *expected;
    } cases[] = {
        {"/", "/", "yes"},
        {"/", "/a", "no"},
        {"/a", "/b/a", "no"},
        {"/a$", "/a\n", "no"},
        {"/user/([0-9]+)", "/user/12", "yes [12]"},
        {"/user/([0-9]+)", "/user/12x", "no"},
        {"/a|/ab", "/ab", "yes"}, /* all of the path, not the first that fits */
        {"/(x)?(y)?", "/y", "yes (none) [y]"},
        {"/(x)?(y)?", "/x", "yes [x] (none)"},
        {"/(.*)", "/a/b%2F", "yes [a/b%2F]"},
        {"/(\\w+)/([^/]*)", "/a/", "yes [a] []"},
        {"", "", "yes"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__regex *regex = made(cases[i].expression);
        struct pf__captures captures = {0};
        char out[200];
        int err = pf__regex_match(regex, pf__text_of(cases[i].path), &captures);
        assert_true(err == 0 || err == -ENOENT);
        int at = snprintf(out, sizeof out, "%s", err ? "no" : "yes");
        for (size_t c = 0; c < captures.count; c++)
            at += captures.at[c].at
                      ? snprintf(out + at, sizeof out - (size_t)at, " [%.*s]",
                                 (int)captures.at[c].len, captures.at[c].at)
                      : snprintf(out + at, sizeof out - (size_t)at, " (none)");
        assert_string_equal(out, cases[i].expected);
        pf__regex_free(regex);
    }
}

static void malformed_expressions_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *why;
    } cases[] = {
        {"/(", "missing closing parenthesis, at byte 2"},
        {"()()()()()()()()()", "more than 8 groups"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__regex *regex = NULL;
        char why[200] = "";
        assert_int_equal(pf__regex_new(cases[i].expression, why, sizeof why, &regex),
                         -EINVAL);
        assert_string_equal(why, cases[i].why);
        assert_null(regex);
    }
}

static void a_match_without_end_is_given_up(void **state)
{
    (void)state;
    struct pf__captures captures = {.count = 99};
    char path[64] = "/";
    memset(path + 1, 'a', 60);
    struct pf__regex *regex = made("/(a|aa)+(?=.*x|.*a)[^a]");
    assert_int_equal(pf__regex_match(regex, (struct pf__text){path, 61}, &captures),
                     -E2BIG);
    assert_int_equal(captures.count, 99);
    pf__regex_free(regex);
    pf__regex_free(NULL);
}

#else

static void without_pcre2_there_are_no_expressions(void **state)
{
    (void)state;
    struct pf__regex *regex = NULL;
    char why[200] = "";
    assert_int_equal(pf__regex_new("/", why, sizeof why, &regex), -ENOTSUP);
    assert_string_equal(why, "built without PCRE2");
    assert_null(regex);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef PF__HAVE_PCRE2
        pf_test(an_expression_matches_whole_paths),
        pf_test(malformed_expressions_are_refused_with_a_reason),
        pf_test(a_match_without_end_is_given_up),
#else
        pf_test(without_pcre2_there_are_no_expressions),
#endif
    };
    return cmocka_run_group_tests_name("http-regex", tests, NULL, NULL);
}
