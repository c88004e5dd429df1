/*
 * date.c - IMF-fixdate, RFC 9110 section 5.6.7: English whatever the locale, so by hand.
 */
#include "http/date.h"

#include <string.h>
#include <time.h>

static void put_digits(char *at, int count, int number)
{
    while (count-- > 0) {
        at[count] = (char)('0' + number % 10);
        number /= 10;
    }
}

void pf__http_date_write(int64_t second, char *at)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t when = (time_t)second;
    struct tm tm;
    gmtime_r(&when, &tm);
    memcpy(at, "Thu, 01 Jan 1970 00:00:00 GMT", PF__HTTP_DATE_LEN);
    memcpy(at, days[tm.tm_wday], 3);
    put_digits(at + 5, 2, tm.tm_mday);
    memcpy(at + 8, months[tm.tm_mon], 3);
    put_digits(at + 12, 4, tm.tm_year + 1900);
    put_digits(at + 17, 2, tm.tm_hour);
    put_digits(at + 20, 2, tm.tm_min);
    put_digits(at + 23, 2, tm.tm_sec);
}

void pf__http_date_set(struct pf__http_date *date, int64_t second)
{
    memcpy(date->text, PF__HTTP_DATE_FIELDS, sizeof date->text);
    pf__http_date_write(second,
                        date->text + sizeof date->text - sizeof "\r\n" - PF__HTTP_DATE_LEN);
    date->second = second;
}

void pf__http_date_refresh(struct pf__http_date *date)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* right to the tick: whole seconds count */
    if (now.tv_sec != date->second)
        pf__http_date_set(date, now.tv_sec);
}
