/* test_http_when.c - the three forms of a date. */
#include "tests/lib/test.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "http/date.h"
#include "http/when.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define NOW INT64_C(1795761248) /* Fri, 27 Nov 2026 06:34:08 GMT */

static void the_three_forms_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t second;
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Sun Nov 06 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
        {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Sat, 01 Jan 0000 00:00:00 GMT", -62167219200},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* a Sunday */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t second = 42;
        assert_int_equal(pf__when_parse(pf__text_of(cases[i].in), NOW, &second), 0);
        assert_int_equal(second, cases[i].second);
    }
}

static void two_digits_of_a_year_are_at_most_50_years_ahead(void **state)
{
    (void)state;
    static const struct {
        int64_t now;
        const char *in, *same;
    } cases[] = {
        {NOW, "Friday, 27-Nov-26 06:34:08 GMT", "Fri, 27 Nov 2026 06:34:08 GMT"},
        {NOW, "Friday, 27-Nov-76 06:34:08 GMT", "Fri, 27 Nov 2076 06:34:08 GMT"},
        {NOW, "Friday, 27-Nov-76 06:34:09 GMT", "Fri, 27 Nov 1976 06:34:09 GMT"},
        {NOW, "Friday, 27-Nov-77 06:34:08 GMT", "Fri, 27 Nov 1977 06:34:08 GMT"},
        {NOW, "Friday, 27-Nov-00 06:34:08 GMT", "Fri, 27 Nov 2000 06:34:08 GMT"},
        {946684799, "Friday, 01-Jan-05 00:00:00 GMT", "Fri, 01 Jan 2005 00:00:00 GMT"},
        {946684799, "Friday, 01-Jan-60 00:00:00 GMT", "Fri, 01 Jan 1960 00:00:00 GMT"},
        {NOW, "Friday, 29-Feb-00 00:00:00 GMT", "Fri, 29 Feb 2000 00:00:00 GMT"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t second = 1, same = 2;
        assert_int_equal(pf__when_parse(pf__text_of(cases[i].in), cases[i].now, &second),
                         0);
        assert_int_equal(pf__when_parse(pf__text_of(cases[i].same), 0, &same), 0);
        assert_int_equal(second, same);
    }
}

static void anything_else_is_no_date(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "0",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Someday, 06-Nov-94 08:49:37 GMT",
        "Monday, 29-Feb-01 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov   08:49:37 1994",
        "Sun Nov 31 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t second = 42;
        assert_int_equal(pf__when_parse(pf__text_of(cases[i]), NOW, &second), -EINVAL);
        assert_int_equal(second, 42);
    }
}

static void what_date_h_writes_is_read_again(void **state)
{
    (void)state;
    for (int64_t second = 0; second < INT64_C(253402300800);
         second += INT64_C(86400) * 37 + 12345) {
        struct pf__http_date date = {0};
        int64_t read = 0;
        pf__http_date_set(&date, second);
        const char *at = strstr(date.text, "Date: ") + strlen("Date: ");
        struct pf__text text = {at, strlen("Thu, 01 Jan 1970 00:00:00 GMT")};
        assert_int_equal(pf__when_parse(text, 0, &read), 0);
        assert_int_equal(read, second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_three_forms_are_read),
        pf_test(two_digits_of_a_year_are_at_most_50_years_ahead),
        pf_test(anything_else_is_no_date),
        pf_test(what_date_h_writes_is_read_again),
    };
    return cmocka_run_group_tests_name("http-when", tests, NULL, NULL);
}
