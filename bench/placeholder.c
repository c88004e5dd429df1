/* placeholder.c - see placeholder.h. */
#include "bench/placeholder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* In a message, at most so much of what is wrong. */
#define SHOWN_MAX 40

static const char *const placeholders[PLACEHOLDER_KINDS] = {[PLACEHOLDER_SEQ] = "{seq}",
                                                            [PLACEHOLDER_RAND] = "{rand}",
                                                            [PLACEHOLDER_CONN] = "{conn}"};

/* The kind of a placeholder that begins so, with or without its last brace; else TEXT. */
static enum placeholder kind_of(const char *bytes, size_t len)
{
    for (unsigned kind = 0; kind < PLACEHOLDER_KINDS; kind++) {
        const char *known = placeholders[kind];
        size_t known_len = known ? strlen(known) : 0;
        if (known && (len == known_len || len == known_len - 1) &&
            memcmp(known, bytes, len) == 0)
            return (enum placeholder)kind;
    }
    return PLACEHOLDER_TEXT;
}

/* "{word}": its length. "{seq" that no brace closes: its length. Else 0. */
static size_t word_in_braces(const char *at, const char *end)
{
    const char *p = at + 1;
    while (p < end && ((*p >= 'a' && *p <= 'z') || *p == '_'))
        p++;
    if (p < end && *p == '}' && p > at + 1)
        return (size_t)(p - at) + 1;
    return kind_of(at, (size_t)(p - at)) ? (size_t)(p - at) : 0;
}

static bool is_closed(const struct placeholder_token *token)
{
    return token->bytes[token->len - 1] == '}';
}

int placeholder_next(const char **at, const char *end, struct placeholder_token *out)
{
    if (*at == end)
        return 0;
    *out = (struct placeholder_token){PLACEHOLDER_TEXT, *at, 1};
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
    out->kind = kind_of(out->bytes, len);
    return out->kind && is_closed(out) ? 1 : -EINVAL;
}

int placeholder_measure(const char *text, size_t len, bool verbatim,
                        struct placeholder_measure *out, char *why, size_t why_len)
{
    *out = (struct placeholder_measure){0};
    if (verbatim) {
        out->fixed = len;
        return 0;
    }
    struct placeholder_token token;
    int got;
    for (const char *at = text; (got = placeholder_next(&at, text + len, &token)) > 0;) {
        if (token.kind == PLACEHOLDER_TEXT)
            out->fixed += token.len;
        else
            out->counts[token.kind]++;
    }
    if (got == 0)
        return 0;
    int shown = (int)(token.len < SHOWN_MAX ? token.len : SHOWN_MAX);
    if (is_closed(&token))
        snprintf(why, why_len,
                 "there is no %.*s; write {seq}, {rand} or {conn}, and {{ for a brace",
                 shown, token.bytes);
    else
        snprintf(why, why_len, "%.*s is not closed; write %.*s}, or {%.*s for the text",
                 shown, token.bytes, shown, token.bytes, shown, token.bytes);
    return -EINVAL;
}

bool placeholder_measure_varies(const struct placeholder_measure *of)
{
    return of->counts[PLACEHOLDER_SEQ] || of->counts[PLACEHOLDER_RAND] ||
           of->counts[PLACEHOLDER_CONN];
}
