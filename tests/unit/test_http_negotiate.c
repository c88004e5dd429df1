/* test_http_negotiate.c - Accept-Encoding as clients send it. */
#include "tests/lib/test.h"

#include <string.h>

#include "http/negotiate.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define I PF__CODING_IDENTITY
#define G PF__CODING_GZIP
#define B PF__CODING_BR

static void a_field_tells_what_is_accepted_and_what_is_best(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        int identity, gzip, br;
        enum pf__coding of_all, of_gzip; /* chosen if all are there, or gzip alone */
    } cases[] = {
        {"", 1, 0, 0, I, I},
        {"gzip", 1, 1000, 0, G, G},
        {"gzip, deflate, br", 1, 1000, 1000, B, G},
        {"GZip,BR", 1, 1000, 1000, B, G},
        {"x-gzip", 1, 1000, 0, G, G},
        {"gzipped, xgzip, brr", 1, 0, 0, I, I},
        {"gzip;q=0", 1, 0, 0, I, I},
        {"gzip;q=0.000, br;q=0.001", 1, 0, 1, B, I},
        {"gzip;q=1.0, br;q=0.5", 1, 1000, 500, G, G},
        {"gzip ; Q=0.25 ,br\t;\tq=0.2", 1, 250, 200, G, G},
        {"identity, gzip;q=0.5", 1000, 500, 0, I, I},
        {"identity;q=0.5, gzip;q=0.5", 500, 500, 0, G, G},
        {"identity;q=0", 0, 0, 0, I, I},
        {"identity;q=0, gzip", 0, 1000, 0, G, G},
        {"*", 1000, 1000, 1000, B, G},
        {"*;q=0", 0, 0, 0, I, I},
        {"*;q=0, gzip", 0, 1000, 0, G, G},
        {"br;q=0, *", 1000, 1000, 0, G, G},
        {"identity, *;q=0", 1000, 0, 0, I, I},
        {"*;q=0.5, identity;q=0.1, br;q=0", 100, 500, 0, G, G},
        {"gzip;q=0.5, gzip;q=0", 1, 0, 0, I, I},
        {"gzip,,;,", 1, 1000, 0, G, G},
        /* Malformed weights. */
        {"gzip;q=2", 1, 0, 0, I, I},
        {"gzip;q=1.001", 1, 0, 0, I, I},
        {"gzip;q=0.0001", 1, 0, 0, I, I},
        {"gzip;q=-1", 1, 0, 0, I, I},
        {"gzip;q=", 1, 0, 0, I, I},
        {"gzip;q=.5", 1, 0, 0, I, I},
        {"gzip;q=0,5", 1, 0, 0, I, I},
        {"gzip;q=05", 1, 0, 0, I, I},
        {"gzip;x=1", 1, 0, 0, I, I},
        {"gzip;", 1, 0, 0, I, I},
        {"gzip;q=1.", 1, 1000, 0, G, G},
        {"gzip;q=x, br", 1, 0, 1000, B, I},
    };
    static const bool all[PF__CODINGS] = {true, true, true};
    static const bool gzip[PF__CODINGS] = {[PF__CODING_GZIP] = true};
    static const bool none[PF__CODINGS] = {false, false, false};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__text line = pf__text_of(cases[i].field);
        struct pf__accepted accepted;
        pf__negotiate_read((struct pf__texts){&line, 1}, &accepted);
        if (accepted.quality[G] != cases[i].gzip)
            print_error("%s\n", cases[i].field);
        assert_int_equal(accepted.quality[I], cases[i].identity);
        assert_int_equal(accepted.quality[G], cases[i].gzip);
        assert_int_equal(accepted.quality[B], cases[i].br);
        assert_int_equal(pf__negotiate_choose(&accepted, all), cases[i].of_all);
        assert_int_equal(pf__negotiate_choose(&accepted, gzip), cases[i].of_gzip);
        assert_int_equal(pf__negotiate_choose(&accepted, none), I);
    }
}

static void several_lines_are_one_list_and_none_is_identity(void **state)
{
    (void)state;
    const struct pf__text lines[] = {{"gzip;q=0.5", 10}, {"br, gzip;q=0.7", 14}};
    struct pf__accepted accepted;
    pf__negotiate_read((struct pf__texts){lines, 2}, &accepted);
    assert_int_equal(accepted.quality[PF__CODING_GZIP], 700);
    assert_int_equal(accepted.quality[PF__CODING_BR], 1000);
    pf__negotiate_read((struct pf__texts){NULL, 0}, &accepted);
    assert_int_equal(accepted.quality[PF__CODING_GZIP], 0);
    assert_int_equal(accepted.quality[PF__CODING_BR], 0);
    assert_int_equal(accepted.quality[PF__CODING_IDENTITY], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_field_tells_what_is_accepted_and_what_is_best),
        pf_test(several_lines_are_one_list_and_none_is_identity),
    };
    return cmocka_run_group_tests_name("http-negotiate", tests, NULL, NULL);
}
