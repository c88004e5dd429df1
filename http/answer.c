/*
 * answer.c - see answer.h.
 *
 * A short answer is put together in the connection's batch: two or three memcpy of less
 * than 200 bytes. Only a body that does not fit there is written by itself, behind its
 * head.
 */
#include "http/answer.h"

#include "http/route.h"

#include <errno.h>
#include <prefork/http.h>
#include <stdlib.h>
#include <string.h>

/* What pf_conn_reserve() gives at the most. */
#define PLACE_MAX 4096
/* More than all fields below with the longest content type take. */
#define HEAD_MAX (512 + PF_HTTP_CONTENT_TYPE_MAX)

struct status {
    int code;
    const char *text;
};

static const struct status statuses[] = {
    {200, "200 OK"},
    {201, "201 Created"},
    {202, "202 Accepted"},
    {203, "203 Non-Authoritative Information"},
    {204, "204 No Content"},
    {205, "205 Reset Content"},
    {206, "206 Partial Content"},
    {300, "300 Multiple Choices"},
    {301, "301 Moved Permanently"},
    {302, "302 Found"},
    {303, "303 See Other"},
    {304, "304 Not Modified"},
    {307, "307 Temporary Redirect"},
    {308, "308 Permanent Redirect"},
    {400, "400 Bad Request"},
    {401, "401 Unauthorized"},
    {403, "403 Forbidden"},
    {404, "404 Not Found"},
    {405, "405 Method Not Allowed"},
    {406, "406 Not Acceptable"},
    {408, "408 Request Timeout"},
    {409, "409 Conflict"},
    {410, "410 Gone"},
    {411, "411 Length Required"},
    {412, "412 Precondition Failed"},
    {413, "413 Content Too Large"},
    {414, "414 URI Too Long"},
    {415, "415 Unsupported Media Type"},
    {416, "416 Range Not Satisfiable"},
    {417, "417 Expectation Failed"},
    {421, "421 Misdirected Request"},
    {422, "422 Unprocessable Content"},
    {426, "426 Upgrade Required"},
    {428, "428 Precondition Required"},
    {429, "429 Too Many Requests"},
    {431, "431 Request Header Fields Too Large"},
    {500, "500 Internal Server Error"},
    {501, "501 Not Implemented"},
    {502, "502 Bad Gateway"},
    {503, "503 Service Unavailable"},
    {504, "504 Gateway Timeout"},
    {505, "505 HTTP Version Not Supported"},
};

static int compare_status(const void *key, const void *element)
{
    return *(const int *)key - ((const struct status *)element)->code;
}

const char *pf__http_status_text(int status)
{
    const struct status *found =
        bsearch(&status, statuses, sizeof statuses / sizeof *statuses, sizeof *statuses,
                compare_status);
    return found ? found->text : NULL;
}

/* ---- the head: each step writes at p and returns the end
 * ---------------------------------- */

static char *put(char *p, const void *bytes, size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

static char *put_text(char *p, const char *text)
{
    return put(p, text, strlen(text));
}
#define put_literal(p, literal) put((p), (literal), sizeof(literal) - 1)

static char *put_number(char *p, size_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return put(p, digits + at, sizeof digits - at);
}

static char *put_front(char *p, const struct pf_http_front *front, int status)
{
    const size_t line = sizeof PF_HTTP_STATUS_LINE - 1;
    if (status == 200)
        return put(p, front->text, sizeof front->text);
    const char *text = pf__http_status_text(status);
    p = put_literal(p, "HTTP/1.1 ");
    if (text) {
        p = put_text(p, text);
    } else {
        p = put_number(p, (size_t)status);
        p = put_literal(p, " "); /* RFC 9112 section 4: the space stays */
    }
    p = put_literal(p, "\r\n");
    return put(p, front->text + line, sizeof front->text - line);
}

static char *put_allow(char *p, unsigned methods)
{
    const char *comma = "Allow: ";
    for (unsigned method = 0; method < PF_HTTP_METHOD_OTHER; method++) {
        if (!(methods & 1u << method))
            continue;
        p = put_text(p, comma);
        p = put_text(p, pf__http_method_name((enum pf_http_method)method));
        comma = ", ";
    }
    return put_literal(p, "\r\n");
}

static char *put_head(char *p, const struct pf_http_front *front,
                      const struct pf_http_answer *answer, size_t body_len)
{
    p = put_front(p, front, answer->status);
    if (answer->connection == PF_HTTP_CLOSE)
        p = put_literal(p, "Connection: close\r\n");
    else if (answer->connection == PF_HTTP_KEEP_SAYING)
        p = put_literal(p, "Connection: keep-alive\r\n");
    if (answer->allow)
        p = put_allow(p, answer->allow);
    if (answer->content_type) {
        p = put_literal(p, "Content-Type: ");
        p = put_text(p, answer->content_type);
        p = put_literal(p, "\r\n");
    }
    if (answer->status != 204 && answer->status != 304) {
        p = put_literal(p, "Content-Length: ");
        p = put_number(p, body_len);
        p = put_literal(p, "\r\n");
    }
    return put_literal(p, "\r\n");
}

/* ---- the answer ------------------------------------------------------------------------
 */

static size_t body_len_of(const struct pf_http_answer *answer)
{
    bool may_have_one =
        answer->status != 204 && answer->status != 205 && answer->status != 304;
    return may_have_one ? answer->len : 0;
}

static int check(const struct pf_http_answer *answer)
{
    const char *type = answer->content_type;
    size_t len = type ? strlen(type) : 0;
    if (len > PF_HTTP_CONTENT_TYPE_MAX || (type && strcspn(type, "\r\n") != len))
        return -EINVAL;
    return answer->len > PF_HTTP_RESPONSE_BODY_MAX ? -ENOBUFS : 0;
}

int64_t pf__http_answer_write(pf_conn *conn, const struct pf_http_front *front,
                              const struct pf_http_answer *answer)
{
    int err = check(answer);
    if (err)
        return err;
    size_t len = body_len_of(answer), to_send = answer->is_head ? 0 : len;
    bool is_short = to_send <= PLACE_MAX - HEAD_MAX;
    char elsewhere[PLACE_MAX];
    char *place = pf_conn_reserve(conn, is_short ? HEAD_MAX + to_send : HEAD_MAX);
    char *p = place ? place : elsewhere;
    char *end = put_head(p, front, answer, len);
    if (is_short && to_send > 0)
        end = put(end, answer->body, to_send);
    size_t written = (size_t)(end - p);
    if (place)
        pf_conn_wrote(conn, written);
    else
        err = pf_conn_write(conn, elsewhere, written);
    if (err || is_short)
        return err ? err : (int64_t)written;
    err = pf_conn_write(conn, answer->body, to_send);
    if (err) /* the server gives connections room for any body; here memory is short */
        (void)pf_conn_abort(conn, err);
    return err ? err : (int64_t)(written + to_send);
}
