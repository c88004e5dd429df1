/*
 * head.c - what stands in front of a body; see internal.h.
 *
 * A few memcpy()s of text that stands ready, into room that the caller has made: see
 * PF__HTTP_HEAD_MAX.
 */
#include "http/internal.h"

/* ---- pieces ---------------------------------------------------------------------- */

static char *put_number(char *to, size_t number)
{
    char digits[20]; /* of 2^64 - 1 */
    size_t at = sizeof digits;
    for (; number >= 10; number /= 10)
        digits[--at] = (char)('0' + number % 10);
    *to++ = (char)('0' + number);
    while (at < sizeof digits)
        *to++ = digits[at++];
    return to;
}

static char *put_status_line(char *to, int status)
{
    if (status == 200)
        return pf__http_put_text(to, "HTTP/1.1 200 OK\r\n");
    const struct pf__http_status_line *line = pf__http_find_status_line(status);
    if (line)
        return pf__http_put(to, line->text, line->len);
    to = pf__http_put_text(to, "HTTP/1.1 ");
    to = put_number(to, (size_t)status);
    return pf__http_put_text(to, " \r\n"); /* the phrase may be empty, the space not */
}

static bool is_http_1_0(const pf_http_request *request)
{
    return request->head_done && request->parser.minor == 0;
}

static char *put_connection(char *to, const pf_http_request *request)
{
    if (request->closing)
        return pf__http_put_text(to, "Connection: close\r\n");
    if (is_http_1_0(request))
        return pf__http_put_text(to, "Connection: keep-alive\r\n");
    return to;
}

char *pf__http_put_length(char *to, uint64_t len)
{
    to = pf__http_put_text(to, "Content-Length: ");
    to = put_number(to, len);
    return pf__http_put_text(to, "\r\n");
}

/* ---- the head -------------------------------------------------------------------- */

void pf__http_decide_closing(pf_http_request *request)
{
    const struct pf__http_client *client = request->client;
    size_t behind = request->later ? pf_conn_pending(request->conn) : request->rest;
    bool is_last = request->server->draining || client->half_closed;
    bool is_unread = !request->body_ended && request->parser.has_body;
    if (is_unread || (is_last && behind == 0))
        request->closing = true;
}

char *pf__http_put_head(char *to, const pf_http_request *request,
                        const struct pf__http_answer *answer)
{
    if (request->later) /* else it was looked at when the request was read */
        pf__http_date_refresh(&request->server->date);
    to = put_status_line(to, answer->status);
    to =
        pf__http_put(to, request->server->date.text, sizeof request->server->date.text - 1);
    if (answer->content_type.at) {
        to = pf__http_put_text(to, "Content-Type: ");
        to = pf__http_put(to, answer->content_type.at, answer->content_type.len);
        to = pf__http_put_text(to, "\r\n");
    }
    if (answer->field)
        to = pf__http_put(to, answer->field, strlen(answer->field));
    if (request->fields_len)
        to = pf__http_put_fields(to, request, answer->content_type.at != NULL);
    return put_connection(to, request);
}

/* How the client is to know where the body ends. */
char *pf__http_put_framing(char *to, pf_http_request *request)
{
    int status = pf__http_status_of(request);
    request->no_body = !pf__http_has_body(status) || pf__http_is_head_only(request);
    if (!pf__http_has_length(status))
        return to;
    if (status == 205)
        return pf__http_put_length(to, 0);
    if (request->length != UINT64_MAX)
        return pf__http_put_length(to, request->length);
    if (is_http_1_0(request)) /* by the connection's end */
        return to;
    request->chunked = !request->no_body;
    return pf__http_put_text(to, "Transfer-Encoding: chunked\r\n");
}

/* Is the end of the body nothing but the connection's? */
bool pf__http_ends_by_closing(const pf_http_request *request)
{
    return is_http_1_0(request) && request->length == UINT64_MAX &&
           pf__http_has_body(pf__http_status_of(request));
}
