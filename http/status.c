/*
 * status.c - status lines, ready to be sent; see internal.h.
 */
#include "http/internal.h"

#define LINE(status, phrase)                                                               \
    {                                                                                      \
        status, sizeof "HTTP/1.1 " #status " " phrase "\r\n" - 1,                          \
            "HTTP/1.1 " #status " " phrase "\r\n"                                          \
    }

/* The most frequent ones first; but for 200, which put_status_line() has. */
static const struct pf__http_status_line status_lines[] = {
    LINE(404, "Not Found"),
    LINE(204, "No Content"),
    LINE(304, "Not Modified"),
    LINE(201, "Created"),
    LINE(202, "Accepted"),
    LINE(205, "Reset Content"),
    LINE(206, "Partial Content"),
    LINE(300, "Multiple Choices"),
    LINE(301, "Moved Permanently"),
    LINE(302, "Found"),
    LINE(303, "See Other"),
    LINE(307, "Temporary Redirect"),
    LINE(308, "Permanent Redirect"),
    LINE(400, "Bad Request"),
    LINE(401, "Unauthorized"),
    LINE(403, "Forbidden"),
    LINE(405, "Method Not Allowed"),
    LINE(406, "Not Acceptable"),
    LINE(408, "Request Timeout"),
    LINE(409, "Conflict"),
    LINE(410, "Gone"),
    LINE(411, "Length Required"),
    LINE(412, "Precondition Failed"),
    LINE(413, "Content Too Large"),
    LINE(414, "URI Too Long"),
    LINE(415, "Unsupported Media Type"),
    LINE(416, "Range Not Satisfiable"),
    LINE(417, "Expectation Failed"),
    LINE(421, "Misdirected Request"),
    LINE(422, "Unprocessable Content"),
    LINE(426, "Upgrade Required"),
    LINE(428, "Precondition Required"),
    LINE(429, "Too Many Requests"),
    LINE(431, "Request Header Fields Too Large"),
    LINE(500, "Internal Server Error"),
    LINE(501, "Not Implemented"),
    LINE(502, "Bad Gateway"),
    LINE(503, "Service Unavailable"),
    LINE(504, "Gateway Timeout"),
    LINE(505, "HTTP Version Not Supported"),
};

const struct pf__http_status_line *pf__http_find_status_line(int status)
{
    for (size_t i = 0; i < sizeof status_lines / sizeof *status_lines; i++)
        if (status_lines[i].status == status)
            return &status_lines[i];
    return NULL;
}
