/*
 * fields.c - the fields that the application sets of a response; see internal.h.
 *
 * They are kept as the lines that will be sent.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is good ---------------------------------------------------------------- */

ptrdiff_t pf__http_value_len(const char *value)
{
    const char *end = value;
    while (pf__char_is(*end, PF__VALUE))
        end++;
    return *end == '\0' ? end - value : -1;
}

static bool is_the_servers(const char *name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                        "Date", "Server"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static int check_field(const pf_http_request *request, const char *name, const char *value)
{
    int err = pf__http_check_unbegun(request);
    if (err)
        return err;
    if (!name || !value || !pf__is_token(pf__text_of(name)) || is_the_servers(name) ||
        pf__http_value_len(value) < 0)
        return -EINVAL;
    return 0;
}

/* ---- lines ----------------------------------------------------------------------- */

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
    to = pf__http_put(to, name, strlen(name));
    to = pf__http_put_text(to, ": ");
    to = pf__http_put(to, value, strlen(value));
    to = pf__http_put_text(to, "\r\n");
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

size_t pf__http_len_of_fields(const pf_http_request *request, const char *name)
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

char *pf__http_put_fields(char *to, const pf_http_request *request, bool has_type)
{
    if (!has_type)
        return pf__http_put(to, request->fields, request->fields_len);
    size_t len;
    for (size_t at = 0; at < request->fields_len; at += len) {
        const char *line = request->fields + at;
        len = len_of_line_at(request, at);
        if (!is_called(line, len, "Content-Type"))
            to = pf__http_put(to, line, len);
    }
    return to;
}

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

void pf__http_remove_fields_of_body(pf_http_request *request)
{
    remove_if(request, describes_body, NULL);
}

/* ---- for handlers ---------------------------------------------------------------- */

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
        err = make_room(request, line_len(name, value),
                        pf__http_len_of_fields(request, name));
    if (err)
        return err;
    remove_if(request, is_called, name);
    append_field(request, name, value);
    return 0;
}
