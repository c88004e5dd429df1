/*
 * answer.h - one answer, written to a connection.
 *
 * All or nothing: an answer that does not fit is not begun.
 */
#ifndef PREFORK_HTTP_ANSWER_H
#define PREFORK_HTTP_ANSWER_H

#include "http/date.h"
#include "net/conn.h"

enum pf_http_connection {
    PF_HTTP_KEEP,        /* HTTP/1.1: goes without saying */
    PF_HTTP_KEEP_SAYING, /* HTTP/1.0 */
    PF_HTTP_CLOSE,
};

struct pf_http_answer {
    int status; /* 200..599 */
    enum pf_http_connection connection;
    const char *content_type; /* NULL: no such field */
    unsigned allow;           /* methods, as 1u << PF_HTTP_GET; 0: no such field */
    const void *body;
    size_t len;
    bool is_head; /* the body is measured, not sent */
};

/* "404 Not Found"; NULL for a status without a name. */
const char *pf__http_status_text(int status);

/*
 * Write it, in place of the batch if it is short. What a status may not have is left out:
 * no body with 204, 205 and 304. Returns the bytes written, or -EINVAL (a content type with
 * CR or LF, or longer than PF_HTTP_CONTENT_TYPE_MAX), -ENOBUFS (longer than
 * PF_HTTP_RESPONSE_BODY_MAX, or the peer reads too slowly), -ENOMEM, -EPIPE (the connection
 * has ended).
 */
int64_t pf__http_answer_write(pf_conn *conn, const struct pf_http_front *front,
                              const struct pf_http_answer *answer);

#endif
