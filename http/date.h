/*
 * date.h - the fields that every answer carries, Server and Date, as text made once a
 * second.
 */
#ifndef PREFORK_HTTP_DATE_H
#define PREFORK_HTTP_DATE_H

#include <prefork/base.h>

#define PF__HTTP_DATE_FIELDS                                                               \
    "Server: prefork\r\n"                                                                  \
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"

#define PF__HTTP_DATE_LEN (sizeof "Thu, 01 Jan 1970 00:00:00 GMT" - 1)

/* Zeroed at first. */
struct pf__http_date {
    int64_t second;                         /* since the epoch; what `text` says */
    int64_t kept_ns;                        /* when pf__http_date_keep() last looked */
    char text[sizeof PF__HTTP_DATE_FIELDS]; /* always of the same length */
};

/* Bring the text up to date. Cost: a read of the clock, which is no system call. */
void pf__http_date_refresh(struct pf__http_date *date);

/* The same, once a millisecond: `now_ns` is a clock that never goes back. */
static inline void pf__http_date_keep(struct pf__http_date *date, int64_t now_ns)
{
    if ((uint64_t)now_ns - (uint64_t)date->kept_ns < PF_MILLISECOND)
        return;
    date->kept_ns = now_ns;
    pf__http_date_refresh(date);
}

/* The same for a given moment, in seconds since the epoch; the years are 0 to 9999. */
void pf__http_date_set(struct pf__http_date *date, int64_t second);

/* Such a date alone: PF__HTTP_DATE_LEN bytes at out, without a NUL. */
void pf__http_date_write(int64_t second, char *out);

#endif
