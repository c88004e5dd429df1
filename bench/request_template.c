/* request_template.c - see request_template.h. */
#include "bench/request_template.h"
#include "bench/request_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- putting it together ----------------------------------------------------------- */

/* A template in the making; after an error it takes nothing more. */
struct builder {
    char *text;
    size_t len, room, run; /* run: where the text since the last placeholder begins */
    struct request_piece *pieces;
    size_t piece_count;
    unsigned used[PLACEHOLDER_KINDS], placeholders;
    int err;
    char *why;
    size_t why_len;
};

static bool reserve(struct builder *b, size_t more)
{
    if (b->err)
        return false;
    if (b->len + more <= b->room)
        return true;
    size_t room = (b->len + more) * 2;
    char *text = realloc(b->text, room);
    if (!text) {
        b->err = -ENOMEM;
        return false;
    }
    b->text = text;
    b->room = room;
    return true;
}

static void put(struct builder *b, const char *bytes, size_t len)
{
    if (len == 0 || !reserve(b, len))
        return;
    memcpy(b->text + b->len, bytes, len);
    b->len += len;
}

static void put_string(struct builder *b, const char *text)
{
    put(b, text, strlen(text));
}

static void add_piece(struct builder *b, struct request_piece piece)
{
    /* Before each placeholder and behind the last there may be text; one more placeholder
     * is the body's length. */
    static const size_t most = 2 * (REQUESTS_PLACEHOLDERS_MAX + 1) + 1;
    if (!b->err && !b->pieces && !(b->pieces = malloc(most * sizeof *b->pieces)))
        b->err = -ENOMEM;
    if (b->err)
        return;
    b->pieces[b->piece_count++] = piece;
    b->used[piece.kind]++;
}

static void end_run(struct builder *b)
{
    if (b->len > b->run)
        add_piece(b, (struct request_piece){PLACEHOLDER_TEXT, b->run, b->len - b->run});
    b->run = b->len;
}

static int too_many(const struct builder *b)
{
    snprintf(b->why, b->why_len, "too many placeholders; at most %d",
             REQUESTS_PLACEHOLDERS_MAX);
    return -EINVAL;
}

static void put_piece(struct builder *b, enum placeholder kind)
{
    end_run(b);
    if (!b->err && kind != PLACEHOLDER_LENGTH &&
        b->placeholders++ == REQUESTS_PLACEHOLDERS_MAX)
        b->err = too_many(b);
    add_piece(b, (struct request_piece){kind, 0, 0});
}

static void put_template(struct builder *b, const char *text, size_t len)
{
    /* It also says what is wrong with it. */
    struct placeholder_measure unused;
    if (!b->err)
        b->err = placeholder_measure(text, len, false, &unused, b->why, b->why_len);
    struct placeholder_token token;
    for (const char *at = text; !b->err && placeholder_next(&at, text + len, &token) > 0;) {
        if (token.kind == PLACEHOLDER_TEXT)
            put(b, token.bytes, token.len);
        else
            put_piece(b, token.kind);
    }
}

/* Methods whose content has a meaning: RFC 9110 section 8.6. */
static bool wants_length(const struct request_line *line)
{
    return line->body || strcmp(line->method, "POST") == 0 ||
           strcmp(line->method, "PUT") == 0 || strcmp(line->method, "PATCH") == 0;
}

static void put_fields(struct builder *b, const struct request_line *line)
{
    bool host = false;
    for (size_t i = 0; i < line->header_count; i++)
        host = host || request_field_is(line->headers[i], "Host");
    if (!host) {
        put_string(b, "Host: ");
        put_string(b, line->authority ? line->authority : "");
        put_string(b, "\r\n");
    }
    for (size_t i = 0; i < line->header_count; i++) {
        const char *field = line->headers[i];
        if (request_field_is(field, "Content-Length") ||
            (line->close && request_field_is(field, "Connection")))
            continue;
        put(b, field, request_token_len(field));
        put_string(b, ": ");
        put_template(b, request_field_value(field), request_field_value_len(field));
        put_string(b, "\r\n");
    }
    if (line->close)
        put_string(b, "Connection: close\r\n");
}

static void put_length(struct builder *b, const struct placeholder_measure *body)
{
    put_string(b, "Content-Length: ");
    if (placeholder_measure_varies(body)) {
        put_piece(b, PLACEHOLDER_LENGTH);
    } else {
        char length[REQUESTS_NUMBER_MAX + 1];
        snprintf(length, sizeof length, "%zu", body->fixed);
        put_string(b, length);
    }
    put_string(b, "\r\n");
}

static void put_request(struct builder *b, const struct request_line *line,
                        const struct placeholder_measure *body)
{
    put_string(b, line->method);
    put_string(b, " ");
    put_template(b, line->target, strlen(line->target));
    put_string(b, " HTTP/1.1\r\n");
    put_fields(b, line);
    if (wants_length(line))
        put_length(b, body);
    put_string(b, "\r\n");
    if (line->body && line->verbatim)
        put(b, line->body, line->body_len);
    else if (line->body)
        put_template(b, line->body, line->body_len);
    end_run(b);
}

static char *name_of(const struct request_line *line)
{
    char *name;
    return asprintf(&name, "%s %s", line->method, line->target) < 0 ? NULL : name;
}

/* Give back the room that was not needed. */
static void trim(struct builder *b)
{
    void *less = realloc(b->pieces, b->piece_count * sizeof *b->pieces);
    if (less)
        b->pieces = less;
    less = realloc(b->text, b->len);
    if (less)
        b->text = less;
}

int request_compile(const struct request_line *line, struct request_template *out,
                    char *why, size_t why_len)
{
    struct placeholder_measure body;
    int err = request_check(line, &body, why, why_len);
    if (err)
        return err;
    struct builder b = {.why = why, .why_len = why_len};
    put_request(&b, line, &body);
    char *name = b.err ? NULL : name_of(line);
    if (!name) {
        free(b.text);
        free(b.pieces);
        return b.err ? b.err : -ENOMEM;
    }
    trim(&b);
    unsigned numbers = b.used[PLACEHOLDER_SEQ] + b.used[PLACEHOLDER_RAND] +
                       b.used[PLACEHOLDER_CONN] + b.used[PLACEHOLDER_LENGTH];
    *out = (struct request_template){
        .request = {.name = name,
                    .weight = 1,
                    .head = strcmp(line->method, "HEAD") == 0,
                    .fixed = numbers == 0,
                    .bytes = b.text,
                    .len = b.len,
                    .len_max = b.len + (size_t)numbers * REQUESTS_NUMBER_MAX},
        .name = name,
        .text = b.text,
        .pieces = b.pieces,
        .piece_count = b.piece_count,
        .body = body,
    };
    memcpy(out->used, b.used, sizeof out->used);
    return 0;
}

int request_compile_raw(const void *bytes, size_t len, struct request_template *out)
{
    char *text = malloc(len), *name = NULL;
    if (text && asprintf(&name, "%zu bytes", len) < 0)
        name = NULL;
    if (!name) {
        free(text);
        return -ENOMEM;
    }
    memcpy(text, bytes, len);
    *out = (struct request_template){.request = {.name = name,
                                                 .weight = 1,
                                                 .fixed = true,
                                                 .bytes = text,
                                                 .len = len,
                                                 .len_max = len},
                                     .name = name,
                                     .text = text};
    return 0;
}

void request_template_fini(struct request_template *request)
{
    free(request->name);
    free(request->text);
    free(request->pieces);
}

/* ---- writing ----------------------------------------------------------------------- */

struct decimal {
    char text[REQUESTS_NUMBER_MAX];
    unsigned len;
};

static void set_decimal(struct decimal *decimal, uint64_t number)
{
    char *end = decimal->text + sizeof decimal->text, *p = end;
    do
        *--p = (char)('0' + number % 10);
    while (number /= 10);
    decimal->len = (unsigned)(end - p);
    memmove(decimal->text, p, decimal->len);
}

static size_t body_length(const struct placeholder_measure *body,
                          const struct decimal decimals[PLACEHOLDER_KINDS])
{
    size_t len = body->fixed;
    for (unsigned kind = PLACEHOLDER_SEQ; kind <= PLACEHOLDER_CONN; kind++)
        len += (size_t)body->counts[kind] * decimals[kind].len;
    return len;
}

size_t request_write(const struct request *request, const struct request_numbers *numbers,
                     char *to)
{
    if (request->fixed) {
        memcpy(to, request->bytes, request->len);
        return request->len;
    }
    const struct request_template *template = (const struct request_template *)request;
    const uint64_t values[PLACEHOLDER_KINDS] = {[PLACEHOLDER_SEQ] = numbers->seq,
                                                [PLACEHOLDER_RAND] = numbers->rand,
                                                [PLACEHOLDER_CONN] = numbers->conn};
    struct decimal decimals[PLACEHOLDER_KINDS];
    for (unsigned kind = PLACEHOLDER_SEQ; kind <= PLACEHOLDER_CONN; kind++)
        if (template->used[kind])
            set_decimal(&decimals[kind], values[kind]);
        else
            decimals[kind].len = 0;
    if (template->used[PLACEHOLDER_LENGTH])
        set_decimal(&decimals[PLACEHOLDER_LENGTH], body_length(&template->body, decimals));

    char *end = to;
    for (size_t i = 0; i < template->piece_count; i++) {
        const struct request_piece *piece = &template->pieces[i];
        const char *bytes = template->text + piece->at;
        size_t len = piece->len;
        if (piece->kind != PLACEHOLDER_TEXT) {
            bytes = decimals[piece->kind].text;
            len = decimals[piece->kind].len;
        }
        memcpy(end, bytes, len);
        end += len;
    }
    return (size_t)(end - to);
}
