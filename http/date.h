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
    char text[sizeof PF__HTTP_DATE_FIELDS]; /* always of the same length */
};

/* Bring the text up to date. Cost: a read of the clock, which is no system call. */
void pf__http_date_refresh(struct pf__http_date *date);

/* The same for a given moment, in seconds since the epoch; the years are 0 to 9999. */
void pf__http_date_set(struct pf__http_date *date, int64_t second);

/* Such a date alone: PF__HTTP_DATE_LEN bytes at out, without a NUL. */
void pf__http_date_write(int64_t second, char *out);

#endif
