/* test_http_uri.c - percent-encoding, queries and forms, paths that name files. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_http_uri.c"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* A table entry whose text may hold a NUL. */
#define TEXT(literal)                                                                      \
    {                                                                                      \
        literal, sizeof(literal) - 1                                                       \
    }

static void escapes_are_decoded_once(void **state)
{
    (void)state;
    static const struct {
        struct pf__text in;
        enum pf__uri_part part;
        int err;
        const char *out;
    } cases[] = {
        {TEXT(""), PF__URI_PATH, 0, ""},
        {TEXT("/a%20b"), PF__URI_PATH, 0, "/a b"},
        {TEXT("a+b%2B"), PF__URI_PATH, 0, "a+b+"},
        {TEXT("a+b%2b"), PF__URI_FORM, 0, "a b+"},
        {TEXT("%2541"), PF__URI_PATH, 0, "%41"},
        {TEXT("%e2%82%AC"), PF__URI_PATH, 0, "\xe2\x82\xac"},
        {TEXT("%ff"), PF__URI_FORM, 0, "\xff"},
        {TEXT("%"), PF__URI_PATH, -EINVAL, NULL},
        {TEXT("%4"), PF__URI_PATH, -EINVAL, NULL},
        {TEXT("a%4g"), PF__URI_FORM, -EINVAL, NULL},
        {TEXT("%%41"), PF__URI_FORM, -EINVAL, NULL},
        {TEXT("% 41"), PF__URI_FORM, -EINVAL, NULL},
        {TEXT("a%00"), PF__URI_PATH, -EINVAL, NULL},
        {TEXT("a\0b"), PF__URI_FORM, -EINVAL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[32];
        int len = pf__uri_decode(cases[i].in, cases[i].part, out, sizeof out);
        assert_int_equal(len, cases[i].err ? cases[i].err : (int)strlen(cases[i].out));
        if (len >= 0)
            assert_string_equal(out, cases[i].out);
    }
}

static void decoding_needs_room_for_the_text_and_a_nul(void **state)
{
    (void)state;
    char out[4] = "xyz";
    assert_int_equal(pf__uri_decode(pf__text_of("%41b"), PF__URI_PATH, out, 3), 2);
    assert_int_equal(pf__uri_decode(pf__text_of("%41b"), PF__URI_PATH, out, 2), -ENOBUFS);
    assert_int_equal(pf__uri_decode(pf__text_of(""), PF__URI_PATH, out, 1), 0);
    assert_int_equal(pf__uri_decode(pf__text_of(""), PF__URI_PATH, out, 0), -ENOBUFS);
    char self[] = "%61%62c";
    assert_int_equal(pf__uri_decode(pf__text_of(self), PF__URI_PATH, self, sizeof self), 3);
    assert_string_equal(self, "abc");
}

static void forms_are_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"&", ""},
        {"a=b", "[a=b]"},
        {"a", "[a=]"},
        {"=b", "[=b]"},
        {"a=b=c&d", "[a=b=c][d=]"},
        {"a=&&b=1&", "[a=][b=1]"},
        {"a%3Db=c", "[a%3Db=c]"},
        {"a;b=c", "[a;b=c]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__text rest = pf__text_of(cases[i].in), name, value;
        char out[64] = "";
        size_t at = 0;
        while (pf__form_next(&rest, &name, &value))
            at += (size_t)snprintf(out + at, sizeof out - at, "[%.*s=%.*s]", (int)name.len,
                                   name.at, (int)value.len, value.len ? value.at : "");
        assert_string_equal(out, cases[i].out);
    }
}

static void a_field_is_found_by_its_decoded_name_as_often_as_it_comes(void **state)
{
    (void)state;
    struct pf__text rest = pf__text_of("b=0&a+b=1+2&a%20b=%33&a%20c=4&a b&%zz=5&c=%zz");
    struct pf__text all = rest;
    char out[4];
    assert_int_equal(pf__form_find(&rest, "a b", out, sizeof out), 3);
    assert_string_equal(out, "1 2");
    assert_int_equal(pf__form_find(&rest, "a b", out, sizeof out), 1);
    assert_string_equal(out, "3");
    assert_int_equal(pf__form_find(&rest, "a b", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(pf__form_find(&rest, "a b", out, sizeof out), -ENOENT);
    rest = all;
    assert_int_equal(pf__form_find(&rest, "c", out, sizeof out), -EINVAL);
    rest = all;
    assert_int_equal(pf__form_find(&rest, "a", out, sizeof out), -ENOENT);
    rest = all;
    assert_int_equal(pf__form_find(&rest, "a b", out, 3), -ENOBUFS);
}

static void paths_name_files_below_a_directory_or_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct pf__text in;
        int err;
        const char *out;
    } cases[] = {
        {TEXT("/"), 0, ""},
        {TEXT("/a"), 0, "a"},
        {TEXT("/a/"), 0, "a/"},
        {TEXT("/a/b.c/d%20e+f"), 0, "a/b.c/d e+f"},
        {TEXT("/a..b/c."), 0, "a..b/c."},
        {TEXT("/%C3%A9"), 0, "\xc3\xa9"},
        {TEXT("/%252e%252e/a"), 0, "%2e%2e/a"},
        {TEXT(""), -EINVAL, NULL},
        {TEXT("a"), -EINVAL, NULL},
        {TEXT("//"), -EINVAL, NULL},
        {TEXT("//a"), -EINVAL, NULL},
        {TEXT("/a//b"), -EINVAL, NULL},
        {TEXT("/a//"), -EINVAL, NULL},
        {TEXT("/."), -EINVAL, NULL},
        {TEXT("/./a"), -EINVAL, NULL},
        {TEXT("/.."), -EINVAL, NULL},
        {TEXT("/a/../b"), -EINVAL, NULL},
        {TEXT("/a/%2e%2E/b"), -EINVAL, NULL},
        {TEXT("/a/.%2e"), -EINVAL, NULL},
        {TEXT("/a%2fb"), -EINVAL, NULL},
        {TEXT("/a%2F..%2Fb"), -EINVAL, NULL},
        {TEXT("/a\\b"), -EINVAL, NULL},
        {TEXT("/..%5cb"), -EINVAL, NULL},
        {TEXT("/a%00.html"), -EINVAL, NULL},
        {TEXT("/a\0"), -EINVAL, NULL},
        {TEXT("/a%"), -EINVAL, NULL},
        {TEXT("/.git"), -EACCES, NULL},
        {TEXT("/a/.htaccess"), -EACCES, NULL},
        {TEXT("/%2egit/config"), -EACCES, NULL},
        {TEXT("/..."), -EACCES, NULL},
        {TEXT("/.git/../a"), -EACCES, NULL}, /* the first thing that is wrong */
        {TEXT("/%ff"), -EILSEQ, NULL},
        {TEXT("/%c0%ae%c0%ae/"), -EILSEQ, NULL},
        {TEXT("/%c0%af"), -EILSEQ, NULL},
        {TEXT("/%e0%80%af"), -EILSEQ, NULL},
        {TEXT("/%ed%a0%80"), -EILSEQ, NULL},
        {TEXT("/%f4%90%80%80"), -EILSEQ, NULL},
        {TEXT("/%e2%82"), -EILSEQ, NULL},
        {TEXT("/%80"), -EILSEQ, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[64];
        int len = pf__uri_file_name(cases[i].in, out, sizeof out);
        if (len != (cases[i].err ? cases[i].err : (int)strlen(cases[i].out)))
            print_error("%s\n", cases[i].in.at);
        assert_int_equal(len, cases[i].err ? cases[i].err : (int)strlen(cases[i].out));
        if (len >= 0)
            assert_string_equal(out, cases[i].out);
    }
    char small[3];
    assert_int_equal(pf__uri_file_name(pf__text_of("/ab"), small, 3), 2);
    assert_int_equal(pf__uri_file_name(pf__text_of("/abc"), small, 3), -ENOBUFS);
    assert_int_equal(pf__uri_file_name(pf__text_of("/"), small, 0), -ENOBUFS);
}

static void every_character_is_utf8_and_nothing_else_is(void **state)
{
    (void)state;
    unsigned valid = 0;
    for (unsigned code = 0; code < 0x200000; code++) {
        unsigned char out[4];
        size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = len; i-- > 1;)
            out[i] = (unsigned char)(0x80 | ((code >> 6 * (len - 1 - i)) & 0x3f));
        out[0] = (unsigned char)(marks[len] | (code >> 6 * (len - 1)));
        struct pf__text text = {(const char *)out, len};
        valid += pf__utf8_next(text) == len;
        assert_int_equal(pf__utf8_next((struct pf__text){text.at, len - 1}), 0);
    }
    assert_int_equal(valid, 0x110000 - 0x800);
    assert_true(pf__utf8_is_valid((struct pf__text){NULL, 0}));
}

#define CORPUS "tests/fuzz/corpus/uri"

static void the_corpus_keeps_its_promises(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(escapes_are_decoded_once),
        pf_test(decoding_needs_room_for_the_text_and_a_nul),
        pf_test(forms_are_pairs),
        pf_test(a_field_is_found_by_its_decoded_name_as_often_as_it_comes),
        pf_test(paths_name_files_below_a_directory_or_are_refused),
        pf_test(every_character_is_utf8_and_nothing_else_is),
        pf_test(the_corpus_keeps_its_promises),
    };
    return cmocka_run_group_tests_name("http-uri", tests, NULL, NULL);
}
