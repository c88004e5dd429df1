/*
 * calendar.h - the date of a second, without a lock.
 *
 * gmtime_r(3) takes one, which a fork may find taken by another thread: a log line in the
 * child would wait for ever.
 */
#ifndef PREFORK_LOOP_CALENDAR_H
#define PREFORK_LOOP_CALENDAR_H

#include <prefork/base.h>

struct pf__date {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
};

/* Of a second since 1970, UTC, which is not negative. Pure: any thread, any process, in a
 * signal handler too. */
struct pf__date pf__date_of(int64_t s);

#endif
