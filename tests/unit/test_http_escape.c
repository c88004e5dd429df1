/* test_http_escape.c - nothing from outside breaks out of a log line, JSON or HTML. */
#include "tests/lib/test.h"

#include <errno.h>
#include <string.h>

#include "http/escape.h"
#include "http/utf8.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define TEXT(literal)                                                                      \
    {                                                                                      \
        literal, sizeof(literal) - 1                                                       \
    }

typedef int escape_fn(struct pf__text text, char *out, size_t size);

struct row {
    struct pf__text in;
    const char *out;
};

/* In full, in exactly as much room as it takes, and in less. */
static void check(escape_fn *escape, const struct row *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char out[200];
        size_t len = strlen(cases[i].out);
        assert_int_equal(escape(cases[i].in, out, sizeof out), (int)len);
        assert_string_equal(out, cases[i].out);
        assert_int_equal(escape(cases[i].in, out, len + 1), (int)len);
        assert_string_equal(out, cases[i].out);
        for (size_t room = 0; room <= len; room++) {
            out[room] = '~';
            assert_int_equal(escape(cases[i].in, out, room), -ENOBUFS);
            assert_int_equal(out[room], '~');
        }
    }
}

static void log_lines_stay_lines(void **state)
{
    (void)state;
    static const struct row cases[] = {
        {TEXT(""), ""},
        {TEXT("GET /a?b HTTP/1.1 '<>&"), "GET /a?b HTTP/1.1 '<>&"},
        {TEXT("a\"b\\c"), "a\\x22b\\x5Cc"},
        {TEXT("a\r\nb\tc\0d\x1b[31m\x7f"), "a\\x0D\\x0Ab\\x09c\\x00d\\x1B[31m\\x7F"},
        {TEXT("\xc3\xa9\xff"), "\\xC3\\xA9\\xFF"},
    };
    check(pf__escape_log, cases, COUNT(cases));
}

static void json_strings_stay_strings(void **state)
{
    (void)state;
    static const struct row cases[] = {
        {TEXT(""), ""},
        {TEXT("plain /'<>"), "plain /'<>"},
        {TEXT("a\"b\\c"), "a\\\"b\\\\c"},
        {TEXT("\b\f\n\r\t"), "\\b\\f\\n\\r\\t"},
        {TEXT("\0\x01\x1f\x7f"), "\\u0000\\u0001\\u001F\x7f"},
        {TEXT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {TEXT("a\xff\xc3"), "a\\uFFFD\\uFFFD"},
        {TEXT("\xc0\xaf"), "\\uFFFD\\uFFFD"},
    };
    check(pf__escape_json, cases, COUNT(cases));
}

static void html_stays_text(void **state)
{
    (void)state;
    static const struct row cases[] = {
        {TEXT(""), ""},
        {TEXT("<a href=\"x\">'&amp;'</a>"),
         "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&#39;&lt;/a&gt;"},
        {TEXT("\xc3\xa9\n"), "\xc3\xa9\n"},
    };
    check(pf__escape_html, cases, COUNT(cases));
}

static void each_byte_takes_no_more_than_was_said(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte, out[16];
        struct pf__text text = {&c, 1};
        int len = pf__escape_log(text, out, PF__ESCAPE_LOG_MAX + 1);
        assert_in_range(len, 1, PF__ESCAPE_LOG_MAX);
        for (int i = 0; i < len; i++)
            assert_true(out[i] >= 0x20 && out[i] < 0x7f && out[i] != '"');
        len = pf__escape_json(text, out, PF__ESCAPE_JSON_MAX + 1);
        assert_in_range(len, 1, PF__ESCAPE_JSON_MAX);
        assert_true(pf__utf8_is_valid((struct pf__text){out, (size_t)len}));
        assert_in_range(pf__escape_html(text, out, PF__ESCAPE_HTML_MAX + 1), 1,
                        PF__ESCAPE_HTML_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(log_lines_stay_lines),
        pf_test(json_strings_stay_strings),
        pf_test(html_stays_text),
        pf_test(each_byte_takes_no_more_than_was_said),
    };
    return cmocka_run_group_tests_name("http-escape", tests, NULL, NULL);
}
