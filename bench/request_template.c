/* request_template.c - see request_template.h. */
#include "bench/request_template.h"
#include "bench/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* In a message, at most so much of what is wrong. */
#define SHOWN_MAX 40

/* ---- placeholders ------------------------------------------------------------------ */

static const char *const placeholders[PIECE_KINDS] = {
    [PIECE_SEQ] = "{seq}", [PIECE_RAND] = "{rand}", [PIECE_CONN] = "{conn}"};

struct token {
    enum request_piece_kind kind;
    const char *bytes;
    size_t len;
};

/* "{word}": its length, or 0. */
static size_t word_in_braces(const char *at, const char *end)
{
    const char *p = at + 1;
    while (p < end && ((*p >= 'a' && *p <= 'z') || *p == '_'))
        p++;
    return p > at + 1 && p < end && *p == '}' ? (size_t)(p - at) + 1 : 0;
}

/* Take one token from *at. Returns 1, 0 at the end, or -EINVAL: the token is no
 * placeholder. */
static int next_token(const char **at, const char *end, struct token *out)
{
    if (*at == end)
        return 0;
    *out = (struct token){PIECE_TEXT, *at, 1};
    if (**at != '{') {
        const char *brace = memchr(*at, '{', (size_t)(end - *at));
        out->len = (size_t)((brace ? brace : end) - *at);
        *at += out->len;
        return 1;
    }
    if (end - *at >= 2 && (*at)[1] == '{') {
        *at += 2;
        return 1;
    }
    size_t len = word_in_braces(*at, end);
    if (len == 0) {
        *at += 1;
        return 1;
    }
    out->len = len;
    *at += len;
    for (unsigned kind = 0; kind < PIECE_KINDS; kind++) {
        const char *known = placeholders[kind];
        if (known && strlen(known) == len && memcmp(known, out->bytes, len) == 0) {
            out->kind = (enum request_piece_kind)kind;
            return 1;
        }
    }
    return -EINVAL;
}

static int measure(const char *text, size_t len, bool verbatim, struct request_measure *out,
                   char *why, size_t why_len)
{
    *out = (struct request_measure){0};
    if (verbatim) {
        out->fixed = len;
        return 0;
    }
    struct token token;
    int got;
    for (const char *at = text; (got = next_token(&at, text + len, &token)) > 0;) {
        if (token.kind == PIECE_TEXT)
            out->fixed += token.len;
        else
            out->counts[token.kind]++;
    }
    if (got == 0)
        return 0;
    snprintf(why, why_len,
             "knows no %.*s; there are {seq}, {rand} and {conn}, and {{ is a brace",
             (int)(token.len < SHOWN_MAX ? token.len : SHOWN_MAX), token.bytes);
    return -EINVAL;
}

static bool has_placeholders(const struct request_measure *of)
{
    return of->counts[PIECE_SEQ] || of->counts[PIECE_RAND] || of->counts[PIECE_CONN];
}

/* ---- what is accepted -------------------------------------------------------------- */

/* A character of a name: RFC 9110 section 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *text)
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
    size_t len = token_len(field);
    return len && field[len] == ':' && is_value(field + len) ? len : 0;
}

static const char *value_of(const char *field)
{
    field += token_len(field) + 1;
    return field + strspn(field, " \t");
}

static size_t value_len(const char *field)
{
    const char *value = value_of(field);
    size_t len = strlen(value);
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

static bool is_named(const char *field, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(field, name, len) == 0 && field[len] == ':';
}

static int refuse(char *why, size_t why_len, const char *what)
{
    snprintf(why, why_len, "%s", what);
    return -EINVAL;
}

static int check_method(const char *method, char *why, size_t why_len)
{
    size_t len = method ? token_len(method) : 0;
    if (len == 0 || method[len] || len > SHOWN_MAX)
        return refuse(why, why_len, "has no valid method; one is GET");
    if (strcmp(method, "CONNECT") == 0)
        return refuse(why, why_len, "has a method that makes a tunnel; use another");
    return 0;
}

static int check_target(const char *method, const char *target, char *why, size_t why_len)
{
    if (!target ||
        (*target != '/' && !(strcmp(target, "*") == 0 && strcmp(method, "OPTIONS") == 0)))
        return refuse(why, why_len, "has a target that does not begin with /");
    size_t len = strlen(target);
    if (len >= URL_PATH_MAX)
        return refuse(why, why_len, "has too long a target");
    for (size_t i = 0; i < len; i++)
        if (target[i] < '!' || target[i] > '~')
            return refuse(why, why_len,
                          "has a target with blanks, controls or bytes beyond ASCII; "
                          "percent-encode them");
    if (strchr(target, '#'))
        return refuse(why, why_len, "has a target with a fragment, which is never sent");
    return 0;
}

static int check_field(const char *field, char *why, size_t why_len)
{
    size_t len = token_len(field);
    if (len == 0 || field[len] != ':') {
        int shown = (int)strcspn(field, "\r\n");
        snprintf(why, why_len, "has the header '%.*s', which must be 'Name: value'",
                 shown < SHOWN_MAX ? shown : SHOWN_MAX, is_value(field) ? field : "...");
        return -EINVAL;
    }
    if (is_value(field + len))
        return 0;
    snprintf(why, why_len,
             "has the header '%.*s: ...', which must be one line without control "
             "characters",
             (int)(len < SHOWN_MAX ? len : SHOWN_MAX), field);
    return -EINVAL;
}

/* Fields that say where a body ends would contradict ours, or are the same. */
static int check_framing(const char *field, const struct request_line *line,
                         const struct request_measure *body, char *why, size_t why_len)
{
    if (is_named(field, "Transfer-Encoding"))
        return refuse(
            why, why_len,
            "has Transfer-Encoding, but bodies go with their length; leave it out");
    if (!is_named(field, "Content-Length"))
        return 0;
    char length[REQUESTS_NUMBER_MAX + 1];
    snprintf(length, sizeof length, "%zu", line->body ? body->fixed : 0);
    if (!has_placeholders(body) && value_len(field) == strlen(length) &&
        memcmp(value_of(field), length, strlen(length)) == 0)
        return 0;
    return refuse(why, why_len,
                  "has a Content-Length that is not the body's; leave it out, it is added");
}

static int check_fields(const struct request_line *line, const struct request_measure *body,
                        char *why, size_t why_len)
{
    unsigned hosts = 0;
    if (line->header_count > REQUESTS_FIELDS_MAX)
        return refuse(why, why_len, "has too many header fields; at most 128");
    for (size_t i = 0; i < line->header_count; i++) {
        int err = check_field(line->headers[i], why, why_len);
        if (!err)
            err = check_framing(line->headers[i], line, body, why, why_len);
        if (err)
            return err;
        hosts += is_named(line->headers[i], "Host");
    }
    return hosts > 1 ? refuse(why, why_len, "has more than one Host; give one") : 0;
}

static int check(const struct request_line *line, struct request_measure *body, char *why,
                 size_t why_len)
{
    int err = check_method(line->method, why, why_len);
    if (!err)
        err = check_target(line->method, line->target, why, why_len);
    if (!err && line->body_len > REQUESTS_BODY_MAX)
        err = refuse(why, why_len, "has a body beyond 64 MiB");
    if (!err && line->body)
        err = measure(line->body, line->body_len, line->verbatim, body, why, why_len);
    if (!err)
        err = check_fields(line, body, why, why_len);
    if (!err && line->authority && !is_value(line->authority))
        err = refuse(why, why_len, "has an authority with control characters");
    return err;
}

/* ---- putting it together ----------------------------------------------------------- */

/* A template in the making; after an error it takes nothing more. */
struct builder {
    char *text;
    size_t len, room, run; /* run: where the text since the last placeholder begins */
    struct request_piece *pieces;
    size_t piece_count;
    unsigned used[PIECE_KINDS], placeholders;
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
        add_piece(b, (struct request_piece){PIECE_TEXT, b->run, b->len - b->run});
    b->run = b->len;
}

static void put_piece(struct builder *b, enum request_piece_kind kind)
{
    end_run(b);
    if (!b->err && kind != PIECE_LENGTH && b->placeholders++ == REQUESTS_PLACEHOLDERS_MAX)
        b->err = refuse(b->why, b->why_len, "has too many placeholders; at most 1024");
    add_piece(b, (struct request_piece){kind, 0, 0});
}

static void put_template(struct builder *b, const char *text, size_t len)
{
    /* It also says what is wrong with it. */
    struct request_measure unused;
    if (!b->err)
        b->err = measure(text, len, false, &unused, b->why, b->why_len);
    struct token token;
    for (const char *at = text; !b->err && next_token(&at, text + len, &token) > 0;) {
        if (token.kind == PIECE_TEXT)
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
        host = host || is_named(line->headers[i], "Host");
    if (!host) {
        put_string(b, "Host: ");
        put_string(b, line->authority ? line->authority : "");
        put_string(b, "\r\n");
    }
    for (size_t i = 0; i < line->header_count; i++) {
        const char *field = line->headers[i];
        if (is_named(field, "Content-Length") ||
            (line->close && is_named(field, "Connection")))
            continue;
        put(b, field, token_len(field));
        put_string(b, ": ");
        put_template(b, value_of(field), value_len(field));
        put_string(b, "\r\n");
    }
    if (line->close)
        put_string(b, "Connection: close\r\n");
}

static void put_length(struct builder *b, const struct request_measure *body)
{
    put_string(b, "Content-Length: ");
    if (has_placeholders(body)) {
        put_piece(b, PIECE_LENGTH);
    } else {
        char length[REQUESTS_NUMBER_MAX + 1];
        snprintf(length, sizeof length, "%zu", body->fixed);
        put_string(b, length);
    }
    put_string(b, "\r\n");
}

static void put_request(struct builder *b, const struct request_line *line,
                        const struct request_measure *body)
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
    struct request_measure body = {0};
    int err = check(line, &body, why, why_len);
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
    unsigned numbers =
        b.used[PIECE_SEQ] + b.used[PIECE_RAND] + b.used[PIECE_CONN] + b.used[PIECE_LENGTH];
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

static size_t body_length(const struct request_measure *body,
                          const struct decimal decimals[PIECE_KINDS])
{
    size_t len = body->fixed;
    for (unsigned kind = PIECE_SEQ; kind <= PIECE_CONN; kind++)
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
    const uint64_t values[PIECE_KINDS] = {[PIECE_SEQ] = numbers->seq,
                                          [PIECE_RAND] = numbers->rand,
                                          [PIECE_CONN] = numbers->conn};
    struct decimal decimals[PIECE_KINDS];
    for (unsigned kind = PIECE_SEQ; kind <= PIECE_CONN; kind++)
        if (template->used[kind])
            set_decimal(&decimals[kind], values[kind]);
        else
            decimals[kind].len = 0;
    if (template->used[PIECE_LENGTH])
        set_decimal(&decimals[PIECE_LENGTH], body_length(&template->body, decimals));

    char *end = to;
    for (size_t i = 0; i < template->piece_count; i++) {
        const struct request_piece *piece = &template->pieces[i];
        const char *bytes = template->text + piece->at;
        size_t len = piece->len;
        if (piece->kind != PIECE_TEXT) {
            bytes = decimals[piece->kind].text;
            len = decimals[piece->kind].len;
        }
        memcpy(end, bytes, len);
        end += len;
    }
    return (size_t)(end - to);
}
