/* test_http_cookie.c - cookies as browsers send them, and Set-Cookie without surprises. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include <stdio.h>

#include "tests/fuzz/fuzz_http_cookie.c"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void a_cookie_field_is_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"a=b", "[a=b]"},
        {"a=b; c=d", "[a=b][c=d]"},
        {"a=b;c=d;", "[a=b][c=d]"},
        {" a = b \t; c= d e ", "[a=b][c=d e]"},
        {"a=", "[a=]"},
        {"a=b=c==", "[a=b=c==]"},
        {"a=\"b c\"; d=\"", "[a=b c][d=\"]"},
        {"a=\"\"", "[a=]"},
        {"nameless; =novalue; ; a=b", "[a=b]"},
        {"$Version=1; a=b", "[$Version=1][a=b]"},
        {"a=%20{\"x\":1,\"y\":2}", "[a=%20{\"x\":1,\"y\":2}]"},
        {"a=b, c=d", "[a=b, c=d]"},
        {"a=1; a=2", "[a=1][a=2]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__text rest = pf__text_of(cases[i].in), name, value;
        char out[64] = "";
        size_t at = 0;
        while (pf__cookie_next(&rest, &name, &value))
            at += (size_t)snprintf(out + at, sizeof out - at, "[%.*s=%.*s]", (int)name.len,
                                   name.at, (int)value.len, value.len ? value.at : "");
        assert_string_equal(out, cases[i].out);
    }
}

static void the_first_of_a_name_is_found_in_any_line(void **state)
{
    (void)state;
    const struct pf__text at[] = {{"a=1; B=2", 8}, {"b=3; a=4; ab=5", 14}};
    struct pf__texts lines = {at, 2};
    struct pf__text value = {NULL, 0};
    assert_false(pf__cookie_find(lines, "c", &value));
    assert_null(value.at);
    assert_true(pf__cookie_find(lines, "a", &value));
    assert_true(pf__text_equals(value, pf__text_of("1")));
    assert_true(pf__cookie_find(lines, "b", &value));
    assert_true(pf__text_equals(value, pf__text_of("3")));
    assert_false(pf__cookie_find((struct pf__texts){NULL, 0}, "a", &value));
}

static void set_cookie_says_what_was_asked(void **state)
{
    (void)state;
    static const struct {
        struct pf__cookie cookie;
        const char *out;
    } cases[] = {
        {{.name = "a"}, "a="},
        {{.name = "a", .value = "b"}, "a=b"},
        {{.name = "sid",
          .value = "x%20y",
          .path = "/",
          .domain = "a.example",
          .max_age_s = 60,
          .secure = true,
          .http_only = true,
          .same_site = PF__SAME_SITE_STRICT},
         "sid=x%20y; Path=/; Domain=a.example; Max-Age=60; Secure; HttpOnly; "
         "SameSite=Strict"},
        {{.name = "a", .max_age_s = -1}, "a=; Max-Age=0"},
        {{.name = "a", .max_age_s = INT64_MAX}, "a=; Max-Age=9223372036854775807"},
        {{.name = "a", .same_site = PF__SAME_SITE_LAX}, "a=; SameSite=Lax"},
        {{.name = "a", .secure = true, .same_site = PF__SAME_SITE_NONE},
         "a=; Secure; SameSite=None"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[200];
        int len = pf__cookie_write(&cases[i].cookie, out, sizeof out);
        assert_int_equal(len, (int)strlen(cases[i].out));
        assert_string_equal(out, cases[i].out);
        assert_int_equal(pf__cookie_write(&cases[i].cookie, out, (size_t)len + 1), len);
        assert_int_equal(pf__cookie_write(&cases[i].cookie, out, (size_t)len), -ENOBUFS);
    }
}

static void what_could_be_read_as_something_else_is_refused(void **state)
{
    (void)state;
    static const struct pf__cookie cases[] = {
        {.name = NULL},
        {.name = ""},
        {.name = "a b"},
        {.name = "a=b"},
        {.name = "a;b"},
        {.name = "a\r\nX: y"},
        {.name = "a", .value = "b; Secure"},
        {.name = "a", .value = "b\r\nX: y"},
        {.name = "a", .value = "b c"},
        {.name = "a", .value = "\"b\""},
        {.name = "a", .value = "b,c"},
        {.name = "a", .value = "b\\"},
        {.name = "a", .value = "\xc3\xa9"},
        {.name = "a", .value = "\x7f"},
        {.name = "a", .path = ""},
        {.name = "a", .path = "b"},
        {.name = "a", .path = "/; Domain=evil"},
        {.name = "a", .path = "/\n"},
        {.name = "a", .domain = ""},
        {.name = "a", .domain = "a b"},
        {.name = "a", .domain = "a;b"},
        {.name = "a", .same_site = PF__SAME_SITE_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[200];
        assert_int_equal(pf__cookie_write(&cases[i], out, sizeof out), -EINVAL);
    }
}

static void a_cookie_that_no_browser_keeps_is_not_written(void **state)
{
    (void)state;
    char value[PF__COOKIE_MAX + 1], out[PF__COOKIE_MAX + 100];
    memset(value, 'x', sizeof value);
    value[PF__COOKIE_MAX - 2] = '\0';
    struct pf__cookie cookie = {.name = "a", .value = value};
    assert_int_equal(pf__cookie_write(&cookie, out, sizeof out), PF__COOKIE_MAX);
    cookie.name = "ab";
    assert_int_equal(pf__cookie_write(&cookie, out, sizeof out), -ENOBUFS);
}

#define CORPUS "tests/fuzz/corpus/cookie"

static void the_corpus_keeps_its_promises(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_cookie_field_is_pairs),
        pf_test(the_first_of_a_name_is_found_in_any_line),
        pf_test(set_cookie_says_what_was_asked),
        pf_test(what_could_be_read_as_something_else_is_refused),
        pf_test(a_cookie_that_no_browser_keeps_is_not_written),
        pf_test(the_corpus_keeps_its_promises),
    };
    return cmocka_run_group_tests_name("http-cookie", tests, NULL, NULL);
}
