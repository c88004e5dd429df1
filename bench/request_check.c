/* request_check.c - see request_check.h. */
#include "bench/request_check.h"
#include "bench/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* In a message, at most so much of what is wrong. */
#define SHOWN_MAX 40

/* A character of a name: RFC 9110 section 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

size_t request_token_len(const char *text)
{
    size_t len = 0;
    while (is_token_char(text[len]))
        len++;
    return len;
}

/* A value of a field: RFC 9110 section 5.5. */
static bool is_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

size_t request_field_name(const char *field)
{
    size_t len = request_token_len(field);
    return len && field[len] == ':' && is_value(field + len) ? len : 0;
}

const char *request_field_value(const char *field)
{
    field += request_token_len(field) + 1;
    return field + strspn(field, " \t");
}

size_t request_field_value_len(const char *field)
{
    const char *value = request_field_value(field);
    size_t len = strlen(value);
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

bool request_field_is(const char *field, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(field, name, len) == 0 && field[len] == ':';
}

static int refuse(char *why, size_t why_len, const char *what)
{
    snprintf(why, why_len, "%s", what);
    return -EINVAL;
}

/* Only what is harmless in a message is shown in it. */
static const char *shown(const char *text)
{
    for (const char *c = text; c && *c; c++)
        if (*c < ' ' || *c > '~')
            return "...";
    return text ? text : "";
}

static int check_method(const char *method, char *why, size_t why_len)
{
    size_t len = method ? request_token_len(method) : 0;
    if (len == 0 || method[len] || len > SHOWN_MAX) {
        snprintf(why, why_len, "the method '%.*s' must be one word, such as GET", SHOWN_MAX,
                 shown(method));
        return -EINVAL;
    }
    if (strcmp(method, "CONNECT") == 0)
        return refuse(why, why_len, "the method CONNECT makes a tunnel; use another");
    return 0;
}

static int check_target(const char *method, const char *target, char *why, size_t why_len)
{
    if (!target ||
        (*target != '/' && !(strcmp(target, "*") == 0 && strcmp(method, "OPTIONS") == 0)))
        return refuse(why, why_len, "the target must begin with /");
    size_t len = strlen(target);
    if (len >= URL_PATH_MAX)
        return refuse(why, why_len, "the target is too long; use less than 8000 bytes");
    for (size_t i = 0; i < len; i++)
        if (target[i] < '!' || target[i] > '~')
            return refuse(why, why_len,
                          "the target has blanks, controls or bytes beyond ASCII; "
                          "percent-encode them");
    if (strchr(target, '#'))
        return refuse(why, why_len,
                      "the target has a fragment, which is never sent; leave it out");
    return 0;
}

static int check_field(const char *field, char *why, size_t why_len)
{
    size_t len = request_token_len(field);
    if (len == 0 || field[len] != ':') {
        int shown = (int)strcspn(field, "\r\n");
        snprintf(why, why_len, "-H '%.*s': must be 'Name: value'",
                 shown < SHOWN_MAX ? shown : SHOWN_MAX, is_value(field) ? field : "...");
        return -EINVAL;
    }
    if (is_value(field + len))
        return 0;
    snprintf(why, why_len,
             "-H '%.*s: ...': must be one line without control "
             "characters",
             (int)(len < SHOWN_MAX ? len : SHOWN_MAX), field);
    return -EINVAL;
}

/* Fields that say where a body ends would contradict ours, or are the same. */
static int check_framing(const char *field, const struct request_line *line,
                         const struct placeholder_measure *body, char *why, size_t why_len)
{
    if (request_field_is(field, "Transfer-Encoding"))
        return refuse(
            why, why_len,
            "Transfer-Encoding contradicts the length that bodies go with; leave it out");
    if (!request_field_is(field, "Content-Length"))
        return 0;
    char length[REQUESTS_NUMBER_MAX + 1];
    snprintf(length, sizeof length, "%zu", line->body ? body->fixed : 0);
    if (!placeholder_measure_varies(body) &&
        request_field_value_len(field) == strlen(length) &&
        memcmp(request_field_value(field), length, strlen(length)) == 0)
        return 0;
    return refuse(why, why_len,
                  "Content-Length is not the body's; leave it out, it is added");
}

static int check_fields(const struct request_line *line,
                        const struct placeholder_measure *body, char *why, size_t why_len)
{
    unsigned hosts = 0;
    if (line->header_count > REQUESTS_FIELDS_MAX)
        return refuse(why, why_len, "too many header fields; at most 128");
    for (size_t i = 0; i < line->header_count; i++) {
        int err = check_field(line->headers[i], why, why_len);
        if (!err)
            err = check_framing(line->headers[i], line, body, why, why_len);
        if (err)
            return err;
        hosts += request_field_is(line->headers[i], "Host");
    }
    return hosts > 1 ? refuse(why, why_len, "more than one Host; give one") : 0;
}

int request_check(const struct request_line *line, struct placeholder_measure *body,
                  char *why, size_t why_len)
{
    *body = (struct placeholder_measure){0};
    int err = check_method(line->method, why, why_len);
    if (!err)
        err = check_target(line->method, line->target, why, why_len);
    if (!err && line->body_len > REQUESTS_BODY_MAX)
        err = refuse(why, why_len, "the body is beyond 64 MiB; make it smaller");
    if (!err && line->body)
        err = placeholder_measure(line->body, line->body_len, line->verbatim, body, why,
                                  why_len);
    if (!err)
        err = check_fields(line, body, why, why_len);
    if (!err && line->authority && !is_value(line->authority))
        err = refuse(why, why_len, "the host has control characters");
    return err;
}
