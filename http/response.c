/*
 * response.c - what a client is answered: heads, bodies, and their end.
 *
 * A short answer is written in place, into the batch of its connection: a few memcpy()s of
 * text that stands ready. A longer one is put together first, so that either all of it is
 * queued or nothing.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A streamed piece of no more is sent together with its chunk's lines. */
enum {
    SMALL = 8192,
    CHUNK_LINES = 24 /* "ffffffffffffffff\r\n" and "\r\n" */
};

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

/* The most frequent ones first; but for 200, which put_status_line() has. */
static const struct status_line status_lines[] = {
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
        return put_text(to, "HTTP/1.1 200 OK\r\n");
    const struct status_line *line = find_status_line(status);
    if (line)
        return put(to, line->text, line->len);
    to = put_text(to, "HTTP/1.1 ");
    to = put_number(to, (size_t)status);
    return put_text(to, " \r\n"); /* the phrase may be empty, the space not */
}

/* ---- what belongs to an answer ---------------------------------------------------- */

static bool is_http_1_0(const pf_http_request *request)
{
    return request->head_done && request->parser.minor == 0;
}

/* 204 and 304 end behind their head: RFC 9110 sections 8.6 and 6.4.1. */
static bool has_length(int status)
{
    return status != 204 && status != 304;
}

static bool has_body(int status)
{
    return has_length(status) && status != 205;
}

static bool is_head_only(const pf_http_request *request)
{
    return request->head_done && request->parser.method == PF_HTTP_HEAD;
}

static char *put_connection(char *to, const pf_http_request *request)
{
    if (request->closing)
        return put_text(to, "Connection: close\r\n");
    if (is_http_1_0(request))
        return put_text(to, "Connection: keep-alive\r\n");
    return to;
}

static char *put_length(char *to, uint64_t len)
{
    to = put_text(to, "Content-Length: ");
    to = put_number(to, len);
    return put_text(to, "\r\n");
}

/* The last moment to decide whether the connection goes on: a drain may have begun, the
 * client have said that this was all, and a body may be left unread. */
static void decide_closing(pf_http_request *request)
{
    const struct pf__http_client *client = request->client;
    size_t behind = request->later ? pf_conn_pending(request->conn) : request->rest;
    bool is_last = request->server->draining || client->half_closed;
    bool is_unread = !request->body_ended && request->parser.has_body;
    if (is_unread || (is_last && behind == 0))
        request->closing = true;
}

/* All but the framing and the empty line. */
static char *put_head(char *to, const pf_http_request *request,
                      const struct pf__http_answer *answer)
{
    if (request->later) /* else it was looked at when the request was read */
        pf__http_date_refresh(&request->server->date);
    to = put_status_line(to, answer->status);
    to = put(to, request->server->date.text, sizeof request->server->date.text - 1);
    if (answer->content_type.at) {
        to = put_text(to, "Content-Type: ");
        to = put(to, answer->content_type.at, answer->content_type.len);
        to = put_text(to, "\r\n");
    }
    if (answer->field)
        to = put(to, answer->field, strlen(answer->field));
    if (request->fields_len)
        to = put(to, request->fields, request->fields_len);
    return put_connection(to, request);
}

static char *put_answer(char *to, const pf_http_request *request,
                        const struct pf__http_answer *answer)
{
    size_t len = has_body(answer->status) ? answer->len : 0;
    to = put_head(to, request, answer);
    if (has_length(answer->status))
        to = put_length(to, len);
    to = put_text(to, "\r\n");
    return len == 0 || is_head_only(request) ? to : put(to, answer->body, len);
}

/* ---- the end --------------------------------------------------------------------- */

static void tell_observer(pf_http_request *request)
{
    const pf_http_server *server = request->server;
    const struct pf_http_observer *observer = server->options.observer;
    if (!observer)
        return;
    if (observer->on_response)
        observer->on_response(server->options.observer_arg, request->status,
                              (size_t)request->bytes_out);
    if (observer->on_request)
        observer->on_request(server->options.observer_arg, request, request->status,
                             request->bytes_out, request->began_ns);
}

/* What runs behind every response, or behind its failure. */
static void tell_application(pf_http_request *request)
{
    const pf_http_server *server = request->server;
    const struct pf_http_route *route = request->route;
    if (route && route->resource && route->resource->on_finish)
        route->resource->on_finish(request, route->arg);
    while (request->middleware > 0) {
        const struct pf_http_middleware *m =
            &server->options.middleware[--request->middleware];
        if (m->after)
            m->after(request, request->status, m->arg);
    }
}

/* Finished: nothing may be done with it any more, and when whoever calls this leaves, it
 * goes, unless a handler of its runs. The application may have done so itself, when told
 * that the client has gone. */
static void finish(pf_http_request *request, int status)
{
    if (request->stage == PF__HTTP_FINISHED)
        return;
    bool was_read = request->stage == PF__HTTP_DISPATCHED;
    request->status = status;
    request->stage = PF__HTTP_FINISHED;
    tell_observer(request);
    if (was_read)
        tell_application(request);
}

/* ---- at once --------------------------------------------------------------------- */

static int write_together(pf_http_request *request, const struct pf__http_answer *answer,
                          size_t room, size_t *len)
{
    char small[SMALL];
    char *begin = room <= sizeof small ? small : malloc(room);
    if (!begin)
        return -ENOMEM;
    *len = (size_t)(put_answer(begin, request, answer) - begin);
    int err = pf_conn_write(request->conn, begin, *len);
    if (begin != small)
        free(begin);
    return err;
}

static int queue_answer(pf_http_request *request, const struct pf__http_answer *what)
{
    if (!request->conn) {
        finish(request, what->status);
        return -EPIPE;
    }
    size_t len, room = PF__HTTP_HEAD_MAX + request->fields_len + what->len;
    int err = 0;
    decide_closing(request);
    char *reserved = pf_conn_reserve(request->conn, room);
    if (reserved) {
        len = (size_t)(put_answer(reserved, request, what) - reserved);
        pf_conn_wrote(request->conn, len);
    } else { /* it may have ended over what stood in the batch */
        err = request->conn ? write_together(request, what, room, &len) : -EPIPE;
    }
    if (err && err != -EPIPE)
        return err;
    request->bytes_out += err ? 0 : len;
    finish(request, what->status);
    return err;
}

int pf__http_answer(pf_http_request *request, const struct pf__http_answer *what)
{
    pf__http_enter(request);
    int err = queue_answer(request, what);
    (void)pf__http_leave(request);
    return err;
}

static size_t len_of_fields(const pf_http_request *request, const char *name);

/* A 503 is for now: RFC 9110 section 15.6.4. */
int pf__http_answer_status(pf_http_request *request, int status, const char *field)
{
    struct pf__http_answer answer = {.status = status, .field = field};
    if (status == 503 && !field && len_of_fields(request, "Retry-After") == 0)
        answer.field = "Retry-After: 1\r\n";
    const struct status_line *line = find_status_line(status);
    if (line && has_body(status)) {
        answer.content_type = pf__text_of("text/plain");
        answer.body = line->text + PHRASE_AT;
        answer.len = line->len - PHRASE_AT;
    }
    return pf__http_answer(request, &answer);
}

/* ---- for handlers ---------------------------------------------------------------- */

int pf__http_check(const pf_http_request *request)
{
    if (!request)
        return -EINVAL;
    if (request->blocking) /* on its thread, which has it alone */
        return 0;
    int err = pf_loop_check(request->server->loop);
    if (err)
        return err;
    return request->stage == PF__HTTP_FINISHED ? -EALREADY : 0;
}

static int check_unbegun(const pf_http_request *request)
{
    int err = pf__http_check(request);
    return !err && request->head_sent ? -EALREADY : err;
}

/* How long it is as the value of a field; -1 if it cannot be one. */
static ptrdiff_t value_len(const char *value)
{
    const char *end = value;
    while (pf__char_is(*end, PF__VALUE))
        end++;
    return *end == '\0' ? end - value : -1;
}

/* The length of a content type; -1 if it cannot be one. Most answers have the type of the
 * one before, which is known. */
static ptrdiff_t type_len(const pf_http_request *request, const char *type)
{
    struct pf__http_type *last = request->blocking ? NULL /* on a thread of its own */
                                                   : &request->server->type;
    if (last && strcmp(type, last->text) == 0)
        return (ptrdiff_t)last->len;
    ptrdiff_t len = value_len(type);
    if (len > PF_HTTP_CONTENT_TYPE_MAX)
        return -1;
    if (last && len >= 0) {
        last->len = (size_t)len;
        memcpy(last->text, type, last->len + 1);
    }
    return len;
}

/* NULL is none. Returns 0 or -EINVAL. */
static int take_type(const pf_http_request *request, const char *type, struct pf__text *out)
{
    ptrdiff_t len = type ? type_len(request, type) : 0;
    if (len < 0)
        return -EINVAL;
    *out = (struct pf__text){type, (size_t)len};
    return 0;
}

static bool is_status(int status)
{
    return status >= 200 && status <= 599;
}

int pf_http_respond(pf_http_request *request, int status, const char *content_type,
                    const void *body, size_t len)
{
    int err = check_unbegun(request);
    if (err)
        return err;
    struct pf__http_answer answer = {.status = status, .body = body, .len = len};
    if (!is_status(status) || (len > 0 && (!body || !content_type)) ||
        take_type(request, content_type, &answer.content_type) != 0)
        return -EINVAL;
    if (len > PF_HTTP_RESPONSE_BODY_MAX)
        return -ENOBUFS;
    if (request->blocking)
        return pf__http_defer(request, status, content_type, body, len);
    return pf__http_answer(request, &answer);
}

int pf_http_respond_json(pf_http_request *request, int status, const char *json, size_t len)
{
    return pf_http_respond(request, status, "application/json", json, len);
}

/* ---- fields ---------------------------------------------------------------------- */

static bool is_the_servers(const char *name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                        "Date", "Server"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static size_t line_len(const char *name, const char *value)
{
    return strlen(name) + strlen(value) + sizeof ": \r\n" - 1;
}

/* For `more` bytes, of which `less` take the place of others. Returns 0, -ENOBUFS or
 * -ENOMEM. */
static int make_room(pf_http_request *request, size_t more, size_t less)
{
    size_t needed = request->fields_len + more;
    if (more > PF_HTTP_RESPONSE_HEAD_MAX || needed - less > PF_HTTP_RESPONSE_HEAD_MAX)
        return -ENOBUFS;
    if (needed <= request->fields_room)
        return 0;
    size_t room = needed < 512 ? 512 : needed * 2;
    char *grown = realloc(request->fields, room);
    if (!grown)
        return -ENOMEM;
    request->fields = grown;
    request->fields_room = room;
    return 0;
}

static void append_field(pf_http_request *request, const char *name, const char *value)
{
    char *to = request->fields + request->fields_len;
    to = put(to, name, strlen(name));
    to = put_text(to, ": ");
    to = put(to, value, strlen(value));
    to = put_text(to, "\r\n");
    request->fields_len = (size_t)(to - request->fields);
}

/* Is it a line of this kind? */
typedef bool line_test_fn(const char *line, size_t len, const char *name);

static bool is_called(const char *line, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    return len > name_len && line[name_len] == ':' &&
           strncasecmp(line, name, name_len) == 0;
}

static size_t len_of_line_at(const pf_http_request *request, size_t at)
{
    const char *line = request->fields + at;
    const char *end = memchr(line, '\n', request->fields_len - at);
    return (size_t)(end - line) + 1;
}

/* How many bytes the fields of that name take. */
static size_t len_of_fields(const pf_http_request *request, const char *name)
{
    size_t sum = 0, len;
    for (size_t at = 0; at < request->fields_len; at += len) {
        len = len_of_line_at(request, at);
        sum += is_called(request->fields + at, len, name) ? len : 0;
    }
    return sum;
}

static void remove_if(pf_http_request *request, line_test_fn *fn, const char *name)
{
    size_t at = 0;
    while (at < request->fields_len) {
        char *line = request->fields + at;
        size_t len = len_of_line_at(request, at);
        if (fn(line, len, name)) {
            memmove(line, line + len, request->fields_len - at - len);
            request->fields_len -= len;
        } else {
            at += len;
        }
    }
}

static int check_field(const pf_http_request *request, const char *name, const char *value)
{
    int err = check_unbegun(request);
    if (err)
        return err;
    if (!name || !value || !pf__is_token(pf__text_of(name)) || is_the_servers(name) ||
        value_len(value) < 0)
        return -EINVAL;
    return 0;
}

int pf_http_add_field(pf_http_request *request, const char *name, const char *value)
{
    int err = check_field(request, name, value);
    if (!err)
        err = make_room(request, line_len(name, value), 0);
    if (!err)
        append_field(request, name, value);
    return err;
}

int pf_http_set_field(pf_http_request *request, const char *name, const char *value)
{
    int err = check_field(request, name, value);
    if (!err)
        err = make_room(request, line_len(name, value), len_of_fields(request, name));
    if (err)
        return err;
    remove_if(request, is_called, name);
    append_field(request, name, value);
    return 0;
}

int pf_http_set_status(pf_http_request *request, int status)
{
    int err = check_unbegun(request);
    if (err)
        return err;
    if (!is_status(status))
        return -EINVAL;
    request->status = status;
    return 0;
}

/* What a browser drops before it reads on: blanks in front, tabs anywhere. No URL has any.
 */
static bool has_blank(const char *location)
{
    for (; *location; location++)
        if (pf__is_control(*location) || *location == ' ')
            return true;
    return false;
}

/* A browser takes "//host" and "/\host" for another server: whoever builds a location from
 * what was asked would send people there. */
int pf_http_redirect(pf_http_request *request, int status, const char *location)
{
    bool moves =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (!moves || !location || has_blank(location))
        return -EINVAL;
    size_t slashes = strspn(location, "/\\");
    char path[PF_HTTP_TARGET_MAX];
    if (slashes > 1) {
        int n = snprintf(path, sizeof path, "/%s", location + slashes);
        if (n < 0 || (size_t)n >= sizeof path)
            return -ENOBUFS;
        location = path;
    }
    int err = pf_http_set_field(request, "Location", location);
    return err ? err : pf_http_respond(request, status, NULL, NULL, 0);
}

/* ---- errors ------------------------------------------------------------------------ */

/* Of a line, one field: is it about the body that was meant to come, which is not that of
 * an error? */
static bool describes_body(const char *line, size_t len, const char *unused)
{
    static const char *const names[] = {"Accept-Ranges", "Cache-Control", "ETag", "Expires",
                                        "Last-Modified"};
    (void)unused;
    if (strncasecmp(line, "Content-", 8) == 0) /* no line is shorter that begins so */
        return strncasecmp(line, "Content-Security-Policy", 23) != 0; /* or -Report-Only */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_called(line, len, names[i]))
            return true;
    return false;
}

/* The resource's or the application's page; neither is asked for the page of its page. */
static void ask_for_page(pf_http_request *request, int status)
{
    const struct pf_http_route *route = request->route;
    const struct pf_http_server_options *options = &request->server->options;
    if (request->asked_for_page)
        return;
    request->asked_for_page = true;
    remove_if(request, describes_body, NULL);
    pf__http_enter(request);
    if (route && route->resource && route->resource->write_error)
        route->resource->write_error(request, status, route->arg);
    else if (options->on_error)
        options->on_error(request, status, options->on_error_arg);
    request->running--; /* whoever called us leaves */
}

int pf_http_respond_error(pf_http_request *request, int status)
{
    int err = check_unbegun(request);
    if (err)
        return err;
    if (status < 400 || status > 599)
        return -EINVAL;
    if (request->blocking) {
        err = pf__http_defer(request, status, NULL, NULL, 0);
        if (!err)
            request->deferred->is_page = true;
        return err;
    }
    pf__http_enter(request);
    ask_for_page(request, status);
    err = 0;
    if (request->stage != PF__HTTP_FINISHED)
        err = pf__http_answer_status(request, status, NULL);
    (void)pf__http_leave(request);
    return err;
}

/* ---- streamed -------------------------------------------------------------------- */

static int status_of(const pf_http_request *request)
{
    return request->status ? request->status : 200;
}

/* How the client is to know where the body ends. */
static char *put_framing(char *to, pf_http_request *request)
{
    int status = status_of(request);
    request->no_body = !has_body(status) || is_head_only(request);
    if (!has_length(status))
        return to;
    if (status == 205)
        return put_length(to, 0);
    if (request->length != UINT64_MAX)
        return put_length(to, request->length);
    if (is_http_1_0(request)) /* by the connection's end */
        return to;
    request->chunked = !request->no_body;
    return put_text(to, "Transfer-Encoding: chunked\r\n");
}

/* Is the end of the body nothing but the connection's? */
bool pf__http_ends_by_closing(const pf_http_request *request)
{
    return is_http_1_0(request) && request->length == UINT64_MAX &&
           has_body(status_of(request));
}

static const struct pf__text no_type = {NULL, 0};

static int send_head(pf_http_request *request, struct pf__text content_type)
{
    char small[SMALL];
    size_t room = PF__HTTP_HEAD_MAX + request->fields_len;
    char *begin = room <= sizeof small ? small : malloc(room);
    if (!begin)
        return -ENOMEM;
    decide_closing(request);
    request->closing = request->closing || pf__http_ends_by_closing(request);
    struct pf__http_answer answer = {.status = status_of(request),
                                     .content_type = content_type};
    char *end = put_head(begin, request, &answer);
    end = put_text(put_framing(end, request), "\r\n");
    int err = pf_conn_write(request->conn, begin, (size_t)(end - begin));
    if (!err) {
        request->head_sent = true;
        request->bytes_out += (uint64_t)(end - begin);
    }
    if (begin != small)
        free(begin);
    return err;
}

static int check_stream(const pf_http_request *request)
{
    int err = pf__http_check(request);
    if (err)
        return err;
    if (request->blocking)
        return -EPERM;
    return request->conn ? 0 : -EPIPE;
}

int pf_http_set_length(pf_http_request *request, uint64_t len)
{
    int err = check_unbegun(request);
    if (err)
        return err;
    if (request->blocking)
        return -EPERM;
    if (len == UINT64_MAX)
        return -EINVAL;
    request->length = len;
    return 0;
}

int pf_http_flush(pf_http_request *request)
{
    int err = check_stream(request);
    if (err || request->head_sent)
        return err;
    pf__http_enter(request);
    err = send_head(request, no_type);
    (void)pf__http_leave(request);
    return err;
}

static const char last_chunk[] = "0\r\n\r\n";

/* A chunk in one piece: its size, the data, a line end. The last one always finds room. */
static int write_chunk(pf_http_request *request, const char *data, size_t len)
{
    if (len + CHUNK_LINES + sizeof last_chunk > pf_conn_room(request->conn))
        return -ENOBUFS;
    char small[SMALL + CHUNK_LINES];
    char *begin = len <= SMALL ? small : malloc(len + CHUNK_LINES);
    if (!begin)
        return -ENOMEM;
    int lines = snprintf(begin, CHUNK_LINES, "%zx\r\n", len);
    char *end = put_text(put(begin + lines, data, len), "\r\n");
    int err = pf_conn_write(request->conn, begin, (size_t)(end - begin));
    if (!err)
        request->bytes_out += (uint64_t)(end - begin);
    if (begin != small)
        free(begin);
    return err;
}

static int write_piece(pf_http_request *request, const char *data, size_t len)
{
    if (request->no_body || len == 0)
        return 0;
    if (request->chunked)
        return write_chunk(request, data, len);
    int err = pf_conn_write(request->conn, data, len);
    request->bytes_out += err ? 0 : len;
    return err;
}

int pf_http_write(pf_http_request *request, const void *data, size_t len)
{
    int err = check_stream(request);
    if (!err && !data && len)
        err = -EINVAL;
    if (!err &&
        (len > PF_HTTP_RESPONSE_BODY_MAX ||
         (request->length != UINT64_MAX && len > request->length - request->written)))
        err = -EMSGSIZE;
    if (err)
        return err;
    pf__http_enter(request);
    err = pf_http_flush(request);
    if (!err)
        err = write_piece(request, data, len);
    if (!err)
        request->written += len;
    (void)pf__http_leave(request);
    return err;
}

bool pf_http_blocked(pf_http_request *request)
{
    return check_stream(request) == 0 && pf_conn_blocked(request->conn);
}

int pf_http_on_writable(pf_http_request *request, pf_http_writable_fn *fn, void *arg)
{
    int err = check_stream(request);
    if (err)
        return err;
    request->on_writable = fn;
    request->on_writable_arg = arg;
    return 0;
}

/* The end of a body that was begun. Returns 0 or what the connection answered. */
static int end_stream(pf_http_request *request)
{
    bool short_of = request->length != UINT64_MAX && request->written < request->length;
    if (short_of && !request->no_body) {
        request->must_cut = true;
        return 0;
    }
    return request->chunked
               ? pf_conn_write(request->conn, last_chunk, sizeof last_chunk - 1)
               : 0;
}

int pf_http_finish(pf_http_request *request)
{
    int err = check_stream(request);
    if (err && err != -EPIPE)
        return err;
    pf__http_enter(request);
    if (!err && !request->head_sent) {
        if (request->length == UINT64_MAX)
            request->length = 0;
        err = send_head(request, no_type);
    }
    if (!err)
        err = end_stream(request);
    if (err)
        request->must_cut = true;
    finish(request, status_of(request));
    (void)pf__http_leave(request);
    return err;
}

int pf_http_abort(pf_http_request *request)
{
    int err = check_stream(request);
    if (err && err != -EPIPE)
        return err;
    pf__http_enter(request);
    request->must_cut = true;
    finish(request, status_of(request));
    (void)pf__http_leave(request);
    return err;
}

/* ---- files ----------------------------------------------------------------------- */

static int send_file(pf_http_request *request, struct pf__text content_type, int fd,
                     uint64_t offset, uint64_t len)
{
    request->length = len;
    int err = send_head(request, content_type);
    if (err || request->no_body) {
        close(fd);
        return err;
    }
    request->written = len;
    request->bytes_out += len;
    return pf_conn_send_file(request->conn, fd, offset, len);
}

int pf__http_write_file(pf_http_request *request, int fd, uint64_t offset, uint64_t len)
{
    int err = check_stream(request);
    if (!err && (request->length == UINT64_MAX || len > request->length - request->written))
        err = -EMSGSIZE;
    if (err) {
        close(fd);
        return err;
    }
    pf__http_enter(request);
    err = pf_http_flush(request);
    if (err || request->no_body)
        close(fd);
    else
        err = pf_conn_send_file(request->conn, fd, offset, len);
    if (!err) {
        request->written += len;
        request->bytes_out += request->no_body ? 0 : len;
    }
    (void)pf__http_leave(request);
    return err;
}

int pf_http_respond_file(pf_http_request *request, const char *content_type, int fd,
                         uint64_t offset, uint64_t len)
{
    struct pf__text type;
    int err = check_unbegun(request);
    if (!err && (len == UINT64_MAX || offset > INT64_MAX || len > INT64_MAX - offset ||
                 take_type(request, content_type, &type) != 0))
        err = -EINVAL;
    if (err) {
        close(fd);
        return err;
    }
    if (request->blocking)
        return pf__http_defer_file(request, content_type, fd, offset, len);
    pf__http_enter(request);
    if (request->conn) {
        err = send_file(request, type, fd, offset, len);
    } else {
        close(fd);
        err = -EPIPE;
    }
    request->must_cut = request->must_cut || (err && request->head_sent);
    if (!err || request->head_sent || !request->conn)
        finish(request, status_of(request));
    (void)pf__http_leave(request);
    return err;
}

/* ---- a client that goes ---------------------------------------------------------- */

int pf_http_on_gone(pf_http_request *request, pf_http_gone_fn *fn, void *arg)
{
    int err = pf__http_check(request);
    if (err)
        return err;
    request->on_gone = fn;
    request->on_gone_arg = arg;
    return 0;
}
