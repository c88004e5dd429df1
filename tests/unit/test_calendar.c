/* test_calendar.c - the date of a second. */
#include "tests/lib/test.h"

#include "loop/calendar.h"

#include <time.h>

static void check(int64_t s)
{
    time_t time = (time_t)s;
    struct tm tm;
    assert_non_null(gmtime_r(&time, &tm));
    struct pf__date date = pf__date_of(s);
    if (date.year != tm.tm_year + 1900 || date.month != tm.tm_mon + 1 ||
        date.day != tm.tm_mday || date.hour != tm.tm_hour || date.minute != tm.tm_min ||
        date.second != tm.tm_sec)
        fail_msg("%lld: %d-%d-%d %d:%d:%d", (long long)s, date.year, date.month, date.day,
                 date.hour, date.minute, date.second);
}

static void each_day_of_five_centuries_is_the_one_that_libc_has(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 500 * 366; day++) {
        check(day * 86400);
        check(day * 86400 + 86399);
    }
}

static void each_second_of_a_day_is_right(void **state)
{
    (void)state;
    for (int64_t s = 0; s < 86400; s++)
        check(951782400 + s); /* February 29th, 2000 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(each_day_of_five_centuries_is_the_one_that_libc_has),
        pf_test(each_second_of_a_day_is_right),
    };
    return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
