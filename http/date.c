/* date.c - see date.h. */
#include "http/date.h"

#include <string.h>

#define BEFORE_DATE PF_HTTP_STATUS_LINE "Server: prefork\r\nDate: "

static void put_number(char *out, int digits, int number)
{
    for (; digits > 0; number /= 10)
        out[--digits] = (char)('0' + number % 10);
}

/* strftime() would speak the program's language. */
void pf__http_date_format(time_t seconds, char out[PF_HTTP_DATE_LEN])
{
    struct tm tm;
    gmtime_r(&seconds, &tm);
    memcpy(out, "Xxx, 00 Xxx 0000 00:00:00 GMT", PF_HTTP_DATE_LEN);
    memcpy(out, &"SunMonTueWedThuFriSat"[3 * tm.tm_wday], 3);
    put_number(out + 5, 2, tm.tm_mday);
    memcpy(out + 8, &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * tm.tm_mon], 3);
    put_number(out + 12, 4, tm.tm_year + 1900);
    put_number(out + 17, 2, tm.tm_hour);
    put_number(out + 20, 2, tm.tm_min);
    put_number(out + 23, 2, tm.tm_sec);
}

void pf__http_front_init(struct pf_http_front *front)
{
    _Static_assert(sizeof front->text == sizeof BEFORE_DATE - 1 + PF_HTTP_DATE_LEN + 2, "");
    front->good_until_ns = INT64_MIN;
    memcpy(front->text, BEFORE_DATE, sizeof BEFORE_DATE - 1);
    memcpy(front->text + sizeof front->text - 2, "\r\n", 2);
}

void pf__http_front_update(struct pf_http_front *front, int64_t now_ns)
{
    if (now_ns < front->good_until_ns)
        return;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    pf__http_date_format(time.tv_sec, front->text + sizeof BEFORE_DATE - 1);
    front->good_until_ns = now_ns + PF_SECOND - time.tv_nsec;
}
