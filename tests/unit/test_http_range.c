/* test_http_range.c - which bytes are asked for. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "http/range.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void ranges_are_clipped_to_what_there_is(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        uint64_t size;
        const char *out; /* the status, and Content-Range of each */
    } cases[] = {
        {"bytes=0-4", 10, "206 0-4"},
        {"bytes=0-0", 10, "206 0-0"},
        {"bytes=9-9", 10, "206 9-9"},
        {"bytes=5-", 10, "206 5-9"},
        {"bytes=-3", 10, "206 7-9"},
        {"bytes=-10", 10, "206 0-9"},
        {"bytes=-11", 10, "206 0-9"},
        {"bytes=0-10", 10, "206 0-9"},
        {"bytes=0-18446744073709551615", 10, "206 0-9"},
        {"bytes=0-18446744073709551616", 10, "206 0-9"},
        {"bytes=0-99999999999999999999999999999999", 10, "206 0-9"},
        {"bytes=-99999999999999999999999999999999", 10, "206 0-9"},
        {"bytes=0000000000000000000000000000000000001-2", 10, "206 1-2"},
        {"bytes=18446744073709551613-18446744073709551613", UINT64_MAX,
         "206 18446744073709551613-18446744073709551613"},
        {"bytes=-1", UINT64_MAX, "206 18446744073709551614-18446744073709551614"},
        {"bytes=0-", UINT64_MAX, "206 0-18446744073709551614"},
        {"Bytes=1-2", 10, "206 1-2"},
        {"bytes= 1-2 ", 10, "206 1-2"},
        {"bytes=1-2,4-5", 10, "206 1-2 4-5"},
        {"bytes=4-5 ,\t, 1-2,", 10, "206 4-5 1-2"},
        {"bytes=0-0,-1", 10, "206 0-0 9-9"},
        {"bytes=0-4,5-9", 10, "206 0-4 5-9"},
        {"bytes=20-,1-2,30-40", 10, "206 1-2"},
        {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7", 10,
         "206 0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7"},
        /* None of it is there. */
        {"bytes=10-", 10, "416"},
        {"bytes=10-20", 10, "416"},
        {"bytes=-0", 10, "416"},
        {"bytes=99999999999999999999999999999999-", 10, "416"},
        {"bytes=18446744073709551615-", UINT64_MAX, "416"},
        {"bytes=0-", 0, "416"},
        {"bytes=0-0,-0", 0, "200"},
        {"bytes=-5", 0, "200"},
        /* The whole. */
        {"", 10, "200"},
        {"bytes", 10, "200"},
        {"bytes=", 10, "200"},
        {"bytes=,", 10, "200"},
        {"bytes=-", 10, "200"},
        {"bytes=a-b", 10, "200"},
        {"bytes=1", 10, "200"},
        {"bytes=1-2-3", 10, "200"},
        {"bytes=--1", 10, "200"},
        {"bytes=+1-2", 10, "200"},
        {"bytes=1 -2", 10, "200"},
        {"bytes=1- 2", 10, "200"},
        {"bytes=0x1-2", 10, "200"},
        {"bytes=3-2", 10, "200"},
        {"bytes=1-2,3-2", 10, "200"},
        {"bytes=1-2;4-5", 10, "200"},
        {"bytes =1-2", 10, "200"},
        {"lines=1-2", 10, "200"},
        {"=1-2", 10, "200"},
        /* Asking for bytes twice. */
        {"bytes=0-,0-,0-", 10, "200"},
        {"bytes=0-5,5-9", 10, "200"},
        {"bytes=5-9,0-5", 10, "200"},
        {"bytes=0-9,3-4", 10, "200"},
        {"bytes=3-4,-8", 10, "200"},
        {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 10, "200"},
        {"bytes=20-,20-,20-,20-,20-,20-,20-,20-,20-", 10, "200"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__ranges ranges = {.count = 99};
        char out[200], text[PF__CONTENT_RANGE_MAX], tail[32];
        int status = pf__range_parse(pf__text_of(cases[i].field), cases[i].size, &ranges);
        int at = snprintf(out, sizeof out, "%d", status);
        snprintf(tail, sizeof tail, "/%llu", (unsigned long long)cases[i].size);
        assert_true(status == 206 || ranges.count == 99);
        for (size_t r = 0; status == 206 && r < ranges.count; r++) {
            int len = pf__range_format(&ranges.at[r], cases[i].size, text);
            assert_int_equal(len, (int)strlen(text));
            assert_string_equal(text + len - strlen(tail), tail);
            at += snprintf(out + at, sizeof out - (size_t)at, " %.*s",
                           len - (int)strlen("bytes ") - (int)strlen(tail),
                           text + strlen("bytes "));
        }
        if (strcmp(out, cases[i].out) != 0)
            print_error("%s\n", cases[i].field);
        assert_string_equal(out, cases[i].out);
    }
}

static void content_range_tells_the_range_and_the_size(void **state)
{
    (void)state;
    char out[PF__CONTENT_RANGE_MAX];
    const struct pf__range range = {2, 3}, last = {UINT64_MAX - 1, 1};
    assert_int_equal(pf__range_format(&range, 10, out), 12);
    assert_string_equal(out, "bytes 2-4/10");
    assert_int_equal(pf__range_format(NULL, 10, out), 10);
    assert_string_equal(out, "bytes */10");
    assert_int_equal(pf__range_format(&last, UINT64_MAX, out), PF__CONTENT_RANGE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(ranges_are_clipped_to_what_there_is),
        pf_test(content_range_tells_the_range_and_the_size),
    };
    return cmocka_run_group_tests_name("http-range", tests, NULL, NULL);
}
