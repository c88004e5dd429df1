/* test_http_multipart.c - forms with files: whole, byte by byte, and cut at every place. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_http_multipart.c"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define TYPE    "multipart/form-data; boundary=xyz"
#define PART(n) "Content-Disposition: form-data; name=\"" n "\"\r\n\r\n"

static void assert_text(const char *expected, char *text, const char *in, size_t cut)
{
    if (!text || strcmp(expected, text) != 0)
        print_error("input, cut at %zd: %.300s\n", (ssize_t)cut, in);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void check(const char *type, const char *body, size_t len, const char *expected)
{
    struct pf__text content_type = pf__text_of(type);
    assert_text(expected, describe(content_type, body, len, CUT_WHOLE), body, CUT_WHOLE);
    assert_text(expected, describe(content_type, body, len, CUT_BYTES), body, CUT_BYTES);
    for (size_t cut = 1; cut < len; cut++)
        assert_text(expected, describe(content_type, body, len, cut), body, cut);
}

struct row {
    const char *in;
    size_t len;
    const char *out;
};

#define ROW(literal, expected)                                                             \
    {                                                                                      \
        literal, sizeof(literal) - 1, expected                                             \
    }

static void check_all(const struct row *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(TYPE, cases[i].in, cases[i].len, cases[i].out);
}

static void parts_are_told_from_their_data(void **state)
{
    (void)state;
    static const struct row cases[] = {
        ROW("--xyz\r\n" PART("a") "1\r\n--xyz--\r\n", "[a:1]."),
        ROW("--xyz\r\n" PART("a") "1\r\n--xyz\r\n" PART("b") "22\r\n--xyz--",
            "[a:1][b:22]."),
        ROW("--xyz--\r\n", "."),
        ROW("--xyz\r\n" PART("a") "\r\n--xyz--", "[a:]."),
        ROW("--xyz\r\n" PART("a") "--xyz--", "[a:]."), /* without a line end of its own */
        ROW("--xyz\r\n" PART("a") "\r\n\r\n--xyz--", "[a:\r\n]."),
        ROW("--xyz\r\n" PART("") "1\r\n--xyz--", "[:1]."),
        ROW("--xyz\r\n" PART("a") "1\0"
                                  "2\r\n--xyz--",
            "[a:1@2]."),
        /* What comes before and behind is passed over. */
        ROW("hello\r\n\r\n--xyz\r\n" PART("a") "1\r\n--xyz--\r\n--xyz\r\nbye", "[a:1]."),
        ROW("--xy\r\n--xyz\r\n" PART("a") "1\r\n--xyz--", "[a:1]."),
        ROW("\r\n--xyz\r\n" PART("a") "1\r\n--xyz--", "[a:1]."),
        /* Blanks behind a boundary. */
        ROW("--xyz \t\r\n" PART("a") "1\r\n--xyz  \r\n" PART("b") "\r\n--xyz--  ",
            "[a:1][b:]."),
        /* What looks like a boundary. */
        ROW("--xyz\r\n" PART("a") "\r\n--xy\r\n--xyz--", "[a:\r\n--xy]."),
        ROW("--xyz\r\n" PART("a") "--xyz\r\n" PART("b") "\r\n--xyz--", "[a:][b:]."),
        ROW("--xyz\r\n" PART("a") "--xy\r\n--xyz--", "[a:--xy]."),
        ROW("--xyz\r\n" PART("a") "-\r\n\r\r\n--xyz--", "[a:-\r\n\r]."),
        ROW("--xyz\r\n" PART("a") "\r\r\r\n\r\n-\r\n--\r\n--x\r\n--xyz--",
            "[a:\r\r\r\n\r\n-\r\n--\r\n--x]."),
        ROW("--xyz\r\n" PART("a") "1\n--xyz--\r\n--xyz--", "[a:1\n--xyz--]."),
        ROW("--xyz\r\n" PART("a") "1 --xyz--\r\n--xyz--", "[a:1 --xyz--]."),
        ROW("--xyz\r\n" PART("a") "1\r\n --xyz--\r\n--xyz--", "[a:1\r\n --xyz--]."),
        /* Cut short: no end. */
        ROW("", ""),
        ROW("--xyz", ""),
        ROW("--xyz\r\nContent-Disposition: form-data; name=a\r\n", ""),
        ROW("--xyz\r\n" PART("a") "12", "[a:12"),
        ROW("--xyz\r\n" PART("a") "12\r\n--xy", "[a:12"),
        ROW("--xyz\r\n" PART("a") "12\r\n--xyz", "[a:12]"),
        ROW("--xyz\r\n" PART("a") "12\r\n--xyz-", "[a:12]"),
    };
    check_all(cases, COUNT(cases));
}

#define HEAD(h)     "--xyz\r\n" h "\r\n\r\n1\r\n--xyz--"
#define DISPOSITION "Content-Disposition: form-data; "

static void heads_of_parts_say_name_file_and_type(void **state)
{
    (void)state;
    static const struct row cases[] = {
        ROW(HEAD(DISPOSITION "name=a"), "[a:1]."),
        ROW(HEAD("content-disposition:FORM-DATA;NAME=a"), "[a:1]."),
        ROW(HEAD(DISPOSITION "name=\"a b\"; filename=\"c d.txt\""), "[a b|c d.txt:1]."),
        ROW(HEAD(DISPOSITION "filename=c; name=a"), "[a|c:1]."),
        ROW(HEAD(DISPOSITION "name=a; filename=\"\""), "[a|:1]."),
        ROW(HEAD(DISPOSITION "name=a; filename=\"c;d=\\\"e\\\".txt\""),
            "[a|c;d=\"e\".txt:1]."),
        ROW(HEAD(DISPOSITION "name=a; filename=\"C:\\dir\\f\\\\g.txt\""),
            "[a|C:\\dir\\f\\g.txt:1]."),
        ROW(HEAD(DISPOSITION "name=\"%22\"; filename=\"../../etc/passwd\""),
            "[%22|../../etc/passwd:1]."),
        ROW(HEAD(DISPOSITION "name=\"\xc3\xa9\"; filename*=UTF-8''x"), "[\xc3\xa9:1]."),
        ROW(HEAD(DISPOSITION "name=a;"), "[a:1]."),
        ROW(HEAD(DISPOSITION " name=a ; x=\"y\" ;; filename=b "), "[a|b:1]."),
        ROW(HEAD(DISPOSITION "name=a; filename=b\r\nContent-Type: text/plain;charset=x"),
            "[a|b text/plain;charset=x:1]."),
        ROW(HEAD("Content-Type:\ttext/plain \r\nX-Other: 1\r\n" DISPOSITION "name=a"),
            "[a text/plain:1]."),
    };
    check_all(cases, COUNT(cases));
}

static void malformed_parts_end_it(void **state)
{
    (void)state;
    static const struct row cases[] = {
        ROW("--xyzz\r\n" PART("a"), "bad"),
        ROW("--xyz-\r\n", "bad"),
        ROW("--xyz-", ""),
        ROW("--xyz\n", "bad"),
        ROW("--xyz\r\r\n", "bad"),
        ROW("--xyz \r\r", "bad"),
        ROW("--xyz\r\n" PART("a") "1\r\n--xyzw\r\n--xyz--", "[a:1]bad"),
        ROW("--xyz\r\n\r\n1\r\n--xyz--", "bad"),
        ROW(HEAD("X: y"), "bad"),
        ROW(HEAD("Content-Disposition: attachment; name=a"), "bad"),
        ROW(HEAD("Content-Disposition: form-data"), "bad"),
        ROW(HEAD(DISPOSITION "filename=a"), "bad"),
        ROW(HEAD(DISPOSITION "name"), "bad"),
        ROW(HEAD(DISPOSITION "name=\"a"), "bad"),
        ROW(HEAD(DISPOSITION "name=\"a\\\""), "bad"),
        ROW(HEAD(DISPOSITION "name=\"a\\"), "bad"),
        ROW(HEAD(DISPOSITION "name=\"a\"b"), "bad"),
        ROW(HEAD(DISPOSITION "name=a; name=b"), "bad"),
        ROW(HEAD(DISPOSITION "name=a; filename=b; filename=c"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\r\n" DISPOSITION "name=a"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\r\n folded"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\r\nX y"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\r\n: y"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\r\nX : y"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\nX: y"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\rX: y"), "bad"),
        ROW(HEAD(DISPOSITION "name=a\0"), "bad"),
    };
    check_all(cases, COUNT(cases));
}

/* A part whose head has a field of `len` bytes of x between `before` and `after`. */
static void check_long(const char *before, size_t len, const char *after, bool fits)
{
    char body[3 * PF__MULTIPART_HEAD_MAX], *text;
    int start = snprintf(body, sizeof body, "--xyz\r\n%s", before);
    memset(body + start, 'x', len);
    snprintf(body + start + len, sizeof body - (size_t)start - len,
             "%s\r\n\r\n1\r\n--xyz--", after);
    text = describe(pf__text_of(TYPE), body, strlen(body), CUT_WHOLE);
    assert_non_null(text);
    assert_int_equal(strcmp(text, "big") != 0, fits);
    assert_int_equal(text[strlen(text) - 1] == '.', fits);
    free(text);
    text = describe(pf__text_of(TYPE), body, strlen(body), CUT_BYTES);
    assert_int_equal(strcmp(text, "big") != 0, fits);
    free(text);
}

static void long_heads_are_refused(void **state)
{
    (void)state;
    check_long(DISPOSITION "name=\"", PF__MULTIPART_NAME_MAX - 1, "\"", true);
    check_long(DISPOSITION "name=\"", PF__MULTIPART_NAME_MAX, "\"", false);
    check_long(DISPOSITION "name=a; filename=", PF__MULTIPART_NAME_MAX - 1, "", true);
    check_long(DISPOSITION "name=a; filename=", PF__MULTIPART_NAME_MAX, "", false);
    check_long(DISPOSITION "name=a\r\nContent-Type: ", PF__MULTIPART_TYPE_MAX - 1, "",
               true);
    check_long(DISPOSITION "name=a\r\nContent-Type: ", PF__MULTIPART_TYPE_MAX, "", false);
    check_long(DISPOSITION "name=a\r\nX: ", PF__MULTIPART_LINE_MAX - 3, "", true);
    check_long(DISPOSITION "name=a\r\nX: ", PF__MULTIPART_LINE_MAX - 2, "", false);
    char lines[PF__MULTIPART_HEAD_MAX + 100] = "";
    size_t at = (size_t)snprintf(lines, sizeof lines, DISPOSITION "name=a\r\n");
    while (at < PF__MULTIPART_HEAD_MAX - 40)
        at += (size_t)snprintf(lines + at, sizeof lines - at, "X: y\r\n");
    size_t left = PF__MULTIPART_HEAD_MAX - at - strlen("X: \r\n\r\n");
    snprintf(lines + at, sizeof lines - at, "X: ");
    check_long(lines, left, "", true);
    check_long(lines, left + 1, "", false);
}

static void there_are_not_more_parts_than_allowed(void **state)
{
    (void)state;
    char body[2000] = "", *text;
    size_t at = 0;
    for (int i = 0; i < PARTS_MAX; i++)
        at += (size_t)snprintf(body + at, sizeof body - at, "--xyz\r\n" PART("a") "\r\n");
    snprintf(body + at, sizeof body - at, "--xyz--");
    text = describe(pf__text_of(TYPE), body, strlen(body), CUT_WHOLE);
    assert_string_equal(text, "[a:][a:][a:][a:][a:].");
    free(text);
    snprintf(body + at, sizeof body - at, "--xyz\r\n" PART("a") "\r\n--xyz--");
    text = describe(pf__text_of(TYPE), body, strlen(body), CUT_WHOLE);
    assert_string_equal(text, "[a:][a:][a:][a:][a:]big");
    free(text);
}

static void the_boundary_is_read_from_the_content_type(void **state)
{
    (void)state;
#define SEVENTY "0123456789012345678901234567890123456789012345678901234567890123456789"
    static const struct {
        const char *type;
        int err;
        const char *boundary;
    } cases[] = {
        {"multipart/form-data; boundary=xyz", 0, "xyz"},
        {"Multipart/Form-Data;BOUNDARY=xyz", 0, "xyz"},
        {"multipart/form-data; charset=utf-8; boundary=\"a b'()+_,-./:=?\"", 0,
         "a b'()+_,-./:=?"},
        {"multipart/form-data; boundary=a/b=c ; x=y", 0, "a/b=c"},
        {"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk", 0,
         "----WebKitFormBoundary7MA4YWxk"},
        {"multipart/form-data; boundary=" SEVENTY, 0, SEVENTY},
        {"multipart/form-data; boundary=" SEVENTY "0", -EINVAL, NULL},
        {"multipart/form-data", -EINVAL, NULL},
        {"multipart/form-data; boundary", -EINVAL, NULL},
        {"multipart/form-data; boundary=", -EINVAL, NULL},
        {"multipart/form-data; boundary=\"\"", -EINVAL, NULL},
        {"multipart/form-data; boundary=\"a", -EINVAL, NULL},
        {"multipart/form-data; boundary=\"a \"", -EINVAL, NULL},
        {"multipart/form-data; boundary=\"a\\b\"", -EINVAL, NULL},
        {"multipart/form-data; boundary=a<b", -EINVAL, NULL},
        {"multipart/form-data; boundary=a\r", -EINVAL, NULL},
        {"multipart/form-data; boundary=a; boundary=b", -EINVAL, NULL},
        {"multipart/form-data boundary=a", -ENOTSUP, NULL},
        {"multipart/mixed; boundary=a", -ENOTSUP, NULL},
        {"multipart/form-data-x; boundary=a", -ENOTSUP, NULL},
        {"application/x-www-form-urlencoded", -ENOTSUP, NULL},
        {"", -ENOTSUP, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__multipart multipart;
        struct pf__text type = pf__text_of(cases[i].type);
        assert_int_equal(pf__multipart_start(&multipart, type, 1), cases[i].err);
        if (cases[i].err)
            continue;
        char body[400];
        int len = snprintf(body, sizeof body, "--%s\r\n" PART("a") "1\r\n--%s--",
                           cases[i].boundary, cases[i].boundary);
        check(cases[i].type, body, (size_t)len, "[a:1].");
    }
}

static void an_error_stays_and_behind_the_end_all_is_passed_over(void **state)
{
    (void)state;
    struct pf__multipart multipart;
    struct pf__text piece;
    size_t used = 0;
    assert_int_equal(pf__multipart_start(&multipart, pf__text_of(TYPE), 1), 0);
    assert_int_equal(pf__multipart_run(&multipart, "--xyzz", 6, &used, &piece), -EBADMSG);
    assert_int_equal(pf__multipart_run(&multipart, "\r\n", 2, &used, &piece), -EBADMSG);
    assert_int_equal(pf__multipart_start(&multipart, pf__text_of(TYPE), 1), 0);
    used = 0;
    assert_int_equal(pf__multipart_run(&multipart, "--xyz--12", 9, &used, &piece),
                     PF__MULTIPART_DONE);
    assert_int_equal(used, 7);
    assert_int_equal(pf__multipart_run(&multipart, "--xyz--12", 9, &used, &piece),
                     PF__MULTIPART_DONE);
    assert_int_equal(used, 9);
    assert_true(multipart.done);
}

#define CORPUS "tests/fuzz/corpus/multipart"

static void the_corpus_has_the_same_parts_however_it_is_cut(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(parts_are_told_from_their_data),
        pf_test(heads_of_parts_say_name_file_and_type),
        pf_test(malformed_parts_end_it),
        pf_test(long_heads_are_refused),
        pf_test(there_are_not_more_parts_than_allowed),
        pf_test(the_boundary_is_read_from_the_content_type),
        pf_test(an_error_stays_and_behind_the_end_all_is_passed_over),
        pf_test(the_corpus_has_the_same_parts_however_it_is_cut),
    };
    return cmocka_run_group_tests_name("http-multipart", tests, NULL, NULL);
}
