/* test_http_pattern.c - path patterns: which wins, what is captured, what is refused. */
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/pattern.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const char *const table[] = {
    "/",
    "/users/{id}",
    "/users/me",
    "/users/me/{tab}",
    "/users/{id}/posts/{post}",
    "/files/{path...}",
    "/files/",
    "/files/readme",
    "/{a}/{b}/{c}/{d}",
    "/{a}/x/{rest...}",
    "/a%20b",
    "/users/{id}/",
};

static struct pf__patterns *made(const char *const *patterns, size_t count)
{
    struct pf__patterns *out = NULL;
    char why[200] = "";
    assert_int_equal(pf__patterns_new(patterns, count, why, sizeof why, &out), 0);
    assert_string_equal(why, "");
    return out;
}

/* "1 [7]": the index and what was captured. */
static void describe(const struct pf__patterns *patterns, const char *path, char *out,
                     size_t size)
{
    struct pf__captures captures = {.count = 99};
    int index = pf__patterns_match(patterns, pf__text_of(path), true, &captures);
    if (index < 0) {
        assert_int_equal(index, -ENOENT);
        assert_int_equal(captures.count, 99);
        snprintf(out, size, "none");
        return;
    }
    int at = snprintf(out, size, "%d", index);
    for (size_t i = 0; i < captures.count; i++)
        at += snprintf(out + at, size - (size_t)at, " [%.*s]", (int)captures.at[i].len,
                       captures.at[i].at);
}

static void a_path_finds_the_most_literal_pattern(void **state)
{
    (void)state;
    static const struct {
        const char *path, *expected;
    } cases[] = {
        {"/", "0"},
        {"", "none"},
        {"users/7", "none"},
        {"/users/7", "1 [7]"},
        {"/users/me", "2"},
        {"/users/mee", "1 [mee]"},
        {"/users/", "none"},
        {"/users", "none"},
        {"/users/7/", "11 [7]"},
        {"/users//", "none"},
        {"/users/me/mail", "3 [mail]"},
        /* Back from the literal that led nowhere. */
        {"/users/me/posts/9", "4 [me] [9]"},
        {"/users/x/posts/9", "4 [x] [9]"},
        {"/users/x/photos/9", "9 [users] [photos/9]"},
        {"/users/y/photos/9", "8 [users] [y] [photos] [9]"},
        {"/users/y/photos/", "none"},
        {"/files/", "6"},
        {"/files", "none"},
        {"/files/readme", "7"},
        {"/files/readme/", "5 [readme/]"},
        {"/files/a/b//c", "5 [a/b//c]"},
        {"/files//", "5 [/]"},
        {"/q/x/", "9 [q] []"},
        {"/q/x/1/2/3", "9 [q] [1/2/3]"},
        {"/q/x/1/2", "9 [q] [1/2]"}, /* literal x before the capture */
        {"/q/y/1/2", "8 [q] [y] [1] [2]"},
        {"/q/y/1/2/3", "none"},
        {"/a%20b", "10"},
        {"/a b", "none"},
        {"/users/a%2Fb", "1 [a%2Fb]"},
        /* An escape that says nothing is none: RFC 3986 section 6.2.2.2. */
        {"/%75sers/7", "1 [7]"},
        {"/users/%6D%65", "2"},
        {"/users/%6d%65", "2"},
        {"/users/%6D%65/%6Dail", "3 [%6Dail]"},
        {"/%66iles/read%6Deb", "5 [read%6Deb]"},
        {"/%61%20b", "10"},
        {"/users/me%20", "1 [me%20]"},
        {"/users%2F7", "none"},
        {"/users/%6", "1 [%6]"},
        {"/users/%zz", "1 [%zz]"},
        {"//", "none"},
    };
    struct pf__patterns *patterns = made(table, COUNT(table));
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[200];
        describe(patterns, cases[i].path, out, sizeof out);
        assert_string_equal(out, cases[i].expected);
    }
    pf__patterns_free(patterns);
}

static void the_order_of_the_table_does_not_matter(void **state)
{
    (void)state;
    const char *reversed[COUNT(table)];
    for (size_t i = 0; i < COUNT(table); i++)
        reversed[COUNT(table) - 1 - i] = table[i];
    struct pf__patterns *patterns = made(table, COUNT(table));
    struct pf__patterns *other = made(reversed, COUNT(reversed));
    static const char *const paths[] = {
        "/", "/users/me", "/users/7", "/users/me/posts/9", "/files/a", "/q/x/1/2"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct pf__captures captures;
        struct pf__text path = pf__text_of(paths[i]);
        int index = pf__patterns_match(patterns, path, false, &captures);
        assert_true(index >= 0);
        assert_int_equal(pf__patterns_match(other, path, false, &captures),
                         (int)COUNT(table) - 1 - index);
    }
    pf__patterns_free(patterns);
    pf__patterns_free(other);
}

static void patterns_for_the_same_paths_conflict_and_both_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/a", "/a"},
        {"/users/{id}", "/users/{name}"},
        {"/{a}/b/{c...}", "/{x}/b/{y...}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const patterns[] = {"/", cases[i][0], "/else", cases[i][1]};
        struct pf__patterns *out = NULL;
        char why[200], expected[200];
        snprintf(expected, sizeof expected, "%s and %s match the same paths", cases[i][0],
                 cases[i][1]);
        assert_int_equal(pf__patterns_new(patterns, 4, why, sizeof why, &out), -EEXIST);
        assert_string_equal(why, expected);
        assert_null(out);
    }
}

static void malformed_patterns_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "a",
        "/{",
        "/}",
        "/{}",
        "/{...}",
        "/a{b}",
        "/{b}a",
        "/{a b}",
        "/{{a}}",
        "/{a...}/b",
        "/{a...}/",
        "/{a}/{a}",
        "/{a}/{a...}",
        "/{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}/{9}",
        "/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__patterns *out = NULL;
        char why[200] = "";
        assert_int_equal(pf__patterns_new(&cases[i], 1, why, sizeof why, &out), -EINVAL);
        assert_int_equal(strncmp(why, cases[i], strlen(cases[i])), 0);
        assert_null(out);
    }
}

static void captures_have_names(void **state)
{
    (void)state;
    const char *pattern = "/users/{id}/x/{path...}";
    assert_true(pf__text_equals(pf__pattern_capture_name(pattern, 0), pf__text_of("id")));
    assert_true(pf__text_equals(pf__pattern_capture_name(pattern, 1), pf__text_of("path")));
    assert_null(pf__pattern_capture_name(pattern, 2).at);
}

static void an_empty_table_matches_nothing(void **state)
{
    (void)state;
    struct pf__patterns *patterns = made(NULL, 0);
    struct pf__captures captures;
    assert_int_equal(pf__patterns_match(patterns, pf__text_of("/"), false, &captures),
                     -ENOENT);
    pf__patterns_free(patterns);
    pf__patterns_free(NULL);
}

static void many_patterns_each_find_their_own(void **state)
{
    (void)state;
    enum {
        MANY = 2000
    };
    static char texts[MANY][32];
    static const char *patterns[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], i % 2 ? "/p%d/{a}" : "/p%d", i / 2);
        patterns[i] = texts[i];
    }
    struct pf__patterns *made_of_them = made(patterns, MANY);
    for (int i = 0; i < MANY; i++) {
        char path[32];
        struct pf__captures captures;
        snprintf(path, sizeof path, i % 2 ? "/p%d/q" : "/p%d", i / 2);
        assert_int_equal(
            pf__patterns_match(made_of_them, pf__text_of(path), true, &captures), i);
    }
    pf__patterns_free(made_of_them);
}

static void a_table_that_runs_out_of_memory_is_not_made_and_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    int err = -ENOMEM, failing = 0;
    while (err) {
        struct pf__patterns *out = NULL;
        char why[200];
        size_t before = pf_alloc_bytes();
        pf_alloc_fail(++failing);
        err = pf__patterns_new(table, COUNT(table), why, sizeof why, &out);
        (void)pf_alloc_stop();
        assert_true(err == 0 || (err == -ENOMEM && !out));
        pf__patterns_free(out);
        assert_int_equal(pf_alloc_bytes(), before);
    }
    assert_true(failing > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_path_finds_the_most_literal_pattern),
        pf_test(the_order_of_the_table_does_not_matter),
        pf_test(patterns_for_the_same_paths_conflict_and_both_are_named),
        pf_test(malformed_patterns_are_refused),
        pf_test(captures_have_names),
        pf_test(an_empty_table_matches_nothing),
        pf_test(many_patterns_each_find_their_own),
        pf_test(a_table_that_runs_out_of_memory_is_not_made_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("http-pattern", tests, NULL, NULL);
}
