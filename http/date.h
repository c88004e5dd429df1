/*
 * date.h - the front of every answer, made once a second.
 *
 * Status line, Server and Date of a 200 lie ready as one block; an answer of another status
 * takes the block behind its status line. Nothing here allocates or fails.
 */
#ifndef PREFORK_HTTP_DATE_H
#define PREFORK_HTTP_DATE_H

#include <prefork/base.h>
#include <time.h>

#define PF_HTTP_STATUS_LINE "HTTP/1.1 200 OK\r\n"
#define PF_HTTP_DATE_LEN    29 /* Sun, 06 Nov 1994 08:49:37 GMT */

struct pf_http_front {
    int64_t good_until_ns;
    char text[sizeof PF_HTTP_STATUS_LINE + sizeof "Server: prefork\r\nDate: \r\n" +
              PF_HTTP_DATE_LEN - 2]; /* no NUL */
};

void pf__http_front_init(struct pf_http_front *front);

/* Bring the date up to date; `now_ns` is the loop's clock. */
void pf__http_front_update(struct pf_http_front *front, int64_t now_ns);

/* Write `seconds` since 1970 as an IMF-fixdate, RFC 9110 section 5.6.7. No NUL. */
void pf__http_date_format(time_t seconds, char out[PF_HTTP_DATE_LEN]);

#endif
