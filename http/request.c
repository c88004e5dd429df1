/*
 * request.c - a request as its handler sees it, and the answer as its client does.
 *
 * A short answer is written in place, into the batch of its connection: a few memcpy()s of
 * text that stands ready. A longer one is put together on the heap first, so that either
 * all of it is queued or nothing.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- status lines ---------------------------------------------------------------- */

#define LINE(status, phrase)                                                               \
    {                                                                                      \
        status, sizeof "HTTP/1.1 " #status " " phrase "\r\n" - 1,                          \
            "HTTP/1.1 " #status " " phrase "\r\n"                                          \
    }
#define PHRASE_AT (sizeof "HTTP/1.1 200 " - 1)

struct status_line {
    int status;
    size_t len;
    char text[56];
};

/* The most frequent ones first. */
static const struct status_line status_lines[] = {
    LINE(200, "OK"),
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

static const struct status_line *find_status_line(int status)
{
    for (size_t i = 0; i < sizeof status_lines / sizeof *status_lines; i++)
        if (status_lines[i].status == status)
            return &status_lines[i];
    return NULL;
}

/* ---- pieces of a head ------------------------------------------------------------ */

static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

#define put_text(to, literal) put((to), (literal), sizeof(literal) - 1)

static char *put_number(char *to, size_t number)
{
    char digits[20]; /* of 2^64 - 1 */
    char *end = digits + sizeof digits, *p = end;
    do
        *--p = (char)('0' + number % 10);
    while (number /= 10);
    return put(to, p, (size_t)(end - p));
}

static char *put_status_line(char *to, int status)
{
    const struct status_line *line = find_status_line(status);
    if (line)
        return put(to, line->text, line->len);
    to = put_text(to, "HTTP/1.1 ");
    to = put_number(to, (size_t)status);
    return put_text(to, " \r\n"); /* the phrase may be empty, the space not */
}

static bool is_http_1_0(const struct pf_http_request *request)
{
    return request->parser && request->parser->minor == 0;
}

static char *put_connection(char *to, const struct pf_http_request *request)
{
    if (request->closing)
        return put_text(to, "Connection: close\r\n");
    if (is_http_1_0(request))
        return put_text(to, "Connection: keep-alive\r\n");
    return to;
}

/* ---- which parts an answer has --------------------------------------------------- */

/* 204 and 304 end behind their head: RFC 9110 sections 8.6 and 6.4.1. */
static bool has_length(int status)
{
    return status != 204 && status != 304;
}

static bool has_body(int status)
{
    return has_length(status) && status != 205;
}

static bool is_head_only(const struct pf_http_request *request)
{
    return request->parser && request->parser->method == PF_HTTP_HEAD;
}

static char *put_answer(char *to, const struct pf_http_request *request,
                        const struct pf__http_answer *answer)
{
    size_t len = has_body(answer->status) ? answer->len : 0;
    to = put_status_line(to, answer->status);
    to = put(to, request->server->date.text, sizeof request->server->date.text - 1);
    if (answer->content_type) {
        to = put_text(to, "Content-Type: ");
        to = put(to, answer->content_type, strlen(answer->content_type));
        to = put_text(to, "\r\n");
    }
    if (answer->field)
        to = put(to, answer->field, strlen(answer->field));
    to = put_connection(to, request);
    if (has_length(answer->status)) {
        to = put_text(to, "Content-Length: ");
        to = put_number(to, len);
        to = put_text(to, "\r\n");
    }
    to = put_text(to, "\r\n");
    return len == 0 || is_head_only(request) ? to : put(to, answer->body, len);
}

/* ---- sending it ------------------------------------------------------------------ */

static int write_from_heap(const struct pf_http_request *request,
                           const struct pf__http_answer *answer, size_t *len)
{
    char *begin = malloc(PF__HTTP_HEAD_MAX + answer->len);
    if (!begin)
        return -ENOMEM;
    *len = (size_t)(put_answer(begin, request, answer) - begin);
    int err = pf_conn_write(request->conn, begin, *len);
    free(begin);
    return err;
}

int pf__http_answer(struct pf_http_request *request, const struct pf__http_answer *answer)
{
    size_t len;
    int err = 0;
    char *reserved = pf_conn_reserve(request->conn, PF__HTTP_HEAD_MAX + answer->len);
    if (reserved) {
        len = (size_t)(put_answer(reserved, request, answer) - reserved);
        pf_conn_wrote(request->conn, len);
    } else {
        err = write_from_heap(request, answer, &len);
    }
    if (err)
        return err;
    request->answered = true;
    const pf_http_server *server = request->server;
    if (server->observer.on_response)
        server->observer.on_response(server->observer_arg, answer->status, len);
    return 0;
}

int pf__http_answer_status(struct pf_http_request *request, int status, const char *field)
{
    struct pf__http_answer answer = {.status = status, .field = field};
    const struct status_line *line = find_status_line(status);
    if (line && has_body(status)) {
        answer.content_type = "text/plain";
        answer.body = line->text + PHRASE_AT;
        answer.len = line->len - PHRASE_AT;
    }
    return pf__http_answer(request, &answer);
}

/* ---- for handlers ---------------------------------------------------------------- */

static bool is_valid_type(const char *type)
{
    return strnlen(type, PF_HTTP_CONTENT_TYPE_MAX + 1) <= PF_HTTP_CONTENT_TYPE_MAX &&
           !strchr(type, '\r') && !strchr(type, '\n');
}

int pf_http_respond(pf_http_request *request, int status, const char *content_type,
                    const void *body, size_t len)
{
    if (!request)
        return -EINVAL;
    int err = pf_loop_check(request->server->loop);
    if (err)
        return err;
    if (request->answered)
        return -EALREADY;
    if (status < 200 || status > 599 || (len > 0 && (!body || !content_type)) ||
        (content_type && !is_valid_type(content_type)))
        return -EINVAL;
    if (len > PF_HTTP_RESPONSE_BODY_MAX)
        return -ENOBUFS;
    return pf__http_answer(request, &(struct pf__http_answer){.status = status,
                                                              .content_type = content_type,
                                                              .body = body,
                                                              .len = len});
}

static const char *text_of(const pf_http_request *request, struct pf_http_span span,
                           size_t *len)
{
    *len = span.len;
    return request->head + span.at;
}

const char *pf_http_get_method(pf_http_request *request, size_t *len)
{
    const char *name = pf__http_method_name(request->parser->method);
    *len = strlen(name);
    return name;
}

const char *pf_http_get_path(pf_http_request *request, size_t *len)
{
    if (request->parser->path.len > 0)
        return text_of(request, request->parser->path, len);
    *len = 1;
    return "/";
}

const char *pf_http_get_query(pf_http_request *request, size_t *len)
{
    return text_of(request, request->parser->query, len);
}

const char *pf_http_get_field(pf_http_request *request, const char *name, size_t *len)
{
    return pf__http_parser_field(request->parser, request->head, name, len);
}
