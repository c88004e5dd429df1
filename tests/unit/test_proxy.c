/* test_proxy.c - the PROXY protocol: each header whole, cut short, and with bytes behind.
 */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_proxy.c"

#define COUNT(table) (sizeof(table) / sizeof *(table))

struct row {
    const char *in;
    size_t len;
    const char *out; /* without the length */
};

#define ROW(literal, expected)                                                             \
    {                                                                                      \
        literal, sizeof(literal) - 1, expected                                             \
    }

static void check_good(const struct row *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char expected[400], text[400], longer[1024];
        snprintf(expected, sizeof expected, "%zu %s", cases[i].len, cases[i].out);
        for (size_t len = 0; len < cases[i].len; len++) {
            describe(cases[i].in, len, text, sizeof text);
            assert_string_equal(text, "more");
        }
        describe(cases[i].in, cases[i].len, text, sizeof text);
        assert_string_equal(text, expected);
        memcpy(longer, cases[i].in, cases[i].len);
        memcpy(longer + cases[i].len, "GET / HTTP/1.1\r\n", 16);
        describe(longer, cases[i].len + 16, text, sizeof text);
        assert_string_equal(text, expected);
    }
}

static void lines_of_version_1_are_read(void **state)
{
    (void)state;
#define FULL "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    static const struct row cases[] = {
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
            "192.0.2.1:56324 > 198.51.100.2:443"),
        ROW("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n",
            "255.255.255.255:65535 > 255.255.255.255:0"),
        ROW("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1 > [::1]:2"),
        ROW("PROXY TCP6 " FULL " " FULL " 65535 65535\r\n",
            "[" FULL "]:65535 > [" FULL "]:65535"),
        ROW("PROXY UNKNOWN\r\n", "- > -"),
        ROW("PROXY UNKNOWN " FULL " " FULL " 65535 65535\r\n", "- > -"), /* 107 bytes */
        ROW("PROXY UNKNOWN what ever\r\n", "- > -"),
    };
    check_good(cases, COUNT(cases));
}

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static void bytes_of_version_2_are_read(void **state)
{
    (void)state;
#define TEN   "\0\0\0\0\0\0\0\0\0\0"
#define PATH  "/a" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\0\0\0\0\0\0"
#define NAME  "\0ab" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\0\0\0\0\0"
#define NONE  TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\0\0\0\0\0\0\0\0"
#define INET  "\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
#define INET6 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1" TEN "\0\0\0\0\0\1\0\1\0\2"
    static const struct row cases[] = {
        ROW(V2 "\x21\x11\0\x0c" INET, "192.0.2.1:56324 > 198.51.100.2:443"),
        ROW(V2 "\x21\x12\0\x0c" INET, "udp:192.0.2.1:56324 > udp:198.51.100.2:443"),
        ROW(V2 "\x21\x21\0\x24" INET6, "[2001:db8::1]:1 > [::1]:2"),
        ROW(V2 "\x21\x31\0\xd8" PATH NAME, "unix:/a > unix:@ab"),
        ROW(V2 "\x21\x31\0\xd8" NONE NONE, "unix: > unix:"),
        /* With additions behind, which are not looked at. */
        ROW(V2 "\x21\x11\0\x13" INET "\4\0\4abcd", "192.0.2.1:56324 > 198.51.100.2:443"),
        ROW(V2 "\x21\x11\0\x0d" INET "\xff", "192.0.2.1:56324 > 198.51.100.2:443"),
        /* Nothing known. */
        ROW(V2 "\x20\0\0\0", "- > -"),
        ROW(V2 "\x20\x11\0\x0c" INET, "- > -"),
        ROW(V2 "\x20\x11\0\0", "- > -"),
        ROW(V2 "\x21\0\0\0", "- > -"),
        ROW(V2 "\x21\0\0\3abc", "- > -"),
        ROW(V2 "\x21\x10\0\0", "- > -"),
        ROW(V2 "\x21\1\0\0", "- > -"),
    };
    check_good(cases, COUNT(cases));
}

static void a_path_may_fill_its_place(void **state)
{
    (void)state;
    char header[16 + 216] = V2 "\x21\x31\0\xd8", text[400];
    struct pf_proxy proxy;
    memset(header + 16, 'x', 216);
    header[16] = '/';
    assert_int_equal(pf__proxy_parse(header, sizeof header, &proxy), (int)sizeof header);
    assert_int_equal(strlen(pf_address_path(&proxy.source)), 108);
    describe(header, sizeof header, text, sizeof text);
    assert_non_null(strstr(text, "unix:/xxx"));
}

static void all_else_is_refused_as_soon_as_it_is_seen(void **state)
{
    (void)state;
    static const struct row cases[] = {
        ROW("G", "bad"),
        ROW("GET / HTTP/1.1\r\n", "bad"),
        ROW("\x16\3\1", "bad"),
        ROW("PROXX", "bad"),
        ROW("proxy TCP4", "bad"),
        ROW("PROXY\r\n", "bad"),
        ROW("\r\n\r\nG", "bad"),
        ROW("PROXY \n", "bad"),
        ROW("PROXY \r\n", "bad"),
        ROW("PROXY UNKNOWN\n", "bad"),
        ROW("PROXY UNKNOWNS\r\n", "bad"),
        ROW("PROXY unknown\r\n", "bad"),
        ROW("PROXY TCP4\r\n", "bad"),
        ROW("PROXY TCP4 \r\n", "bad"),
        ROW("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "bad"),
        ROW("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1  2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 100000 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 x 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY TCP4 ::1 ::1 1 2\r\n", "bad"),
        ROW("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY TCP6 ::1%lo ::1 1 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "bad"),
        ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", "bad"),
        ROW(V2 "\x11", "bad"),
        ROW(V2 "\x22", "bad"),
        ROW(V2 "\x21\x41", "bad"),
        ROW(V2 "\x21\x13", "bad"),
        ROW(V2 "\x21\x11\x0f\xf1", "long"), /* 16 + 4081 bytes */
        ROW(V2 "\x21\x11\xff\xff", "long"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[400];
        describe(cases[i].in, cases[i].len, text, sizeof text);
        if (strcmp(text, cases[i].out) != 0)
            print_error("%s\n", cases[i].in);
        assert_string_equal(text, cases[i].out);
    }
    static const struct row blocks[] = {
        ROW(V2 "\x21\x11\0\x0b" INET, "bad"),
        ROW(V2 "\x21\x21\0\x23" INET6, "bad"),
        ROW(V2 "\x21\x31\0\xd7" PATH NAME, "bad"),
        ROW(V2 "\x21\x11\0\0", "bad"),
    };
    for (size_t i = 0; i < COUNT(blocks); i++) {
        char text[400];
        describe(blocks[i].in, blocks[i].len, text, sizeof text);
        assert_string_equal(text, blocks[i].out);
    }
}

static void a_line_without_end_is_refused_at_its_limit(void **state)
{
    (void)state;
    char line[200] = "PROXY UNKNOWN ", text[400];
    memset(line + 14, 'x', sizeof line - 14);
    describe(line, 106, text, sizeof text);
    assert_string_equal(text, "more");
    describe(line, 107, text, sizeof text);
    assert_string_equal(text, "bad");
    memcpy(line + 105, "\r\n", 2);
    describe(line, sizeof line, text, sizeof text);
    assert_string_equal(text, "107 - > -");
    memcpy(line + 105, "x\r\n", 3);
    describe(line, sizeof line, text, sizeof text);
    assert_string_equal(text, "bad");
}

static void what_is_refused_leaves_the_answer_alone(void **state)
{
    (void)state;
    struct pf_proxy proxy = {.is_known = true, .source = {.len = 42}};
    assert_int_equal(pf__proxy_parse(V2 "\x21\x11\0\0", 16, &proxy), -EPROTO);
    assert_int_equal(pf__proxy_parse("PROXY TCP4 1.1.1.1 1.1.1.1 1 x\r\n", 32, &proxy),
                     -EPROTO);
    assert_true(proxy.is_known);
    assert_int_equal(proxy.source.len, 42);
}

#define CORPUS "tests/fuzz/corpus/proxy"

static void the_corpus_is_decided_once_and_for_all(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(lines_of_version_1_are_read),
        pf_test(bytes_of_version_2_are_read),
        pf_test(a_path_may_fill_its_place),
        pf_test(all_else_is_refused_as_soon_as_it_is_seen),
        pf_test(a_line_without_end_is_refused_at_its_limit),
        pf_test(what_is_refused_leaves_the_answer_alone),
        pf_test(the_corpus_is_decided_once_and_for_all),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
