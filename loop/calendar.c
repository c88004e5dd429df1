/* calendar.c - see calendar.h. */
#include "loop/calendar.h"

/* Years begin in March here, so that a leap day is the last of one; eras have 400 of them,
 * all of the same length. */
struct pf__date pf__date_of(int64_t s)
{
    static const int before[] = {0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337};
    int64_t days = s / 86400 + 719468; /* since March 1st of the year 0 */
    int era = (int)(days / 146097), in_era = (int)(days % 146097);
    int year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int in_year = in_era - (365 * year + year / 4 - year / 100);
    int month = 11; /* from March */
    while (before[month] > in_year)
        month--;
    return (struct pf__date){.year = era * 400 + year + (month > 9),
                             .month = month > 9 ? month - 9 : month + 3,
                             .day = in_year - before[month] + 1,
                             .hour = (int)(s / 3600 % 24),
                             .minute = (int)(s / 60 % 60),
                             .second = (int)(s % 60)};
}
