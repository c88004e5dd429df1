/*
 * escape.c - see escape.h.
 */
#include "http/escape.h"
#include "http/utf8.h"

#include <errno.h>
#include <limits.h>

/* Where the escaped text goes. */
struct sink {
    char *out;
    size_t size, len;
    bool full;
};

static void put(struct sink *sink, const char *text, size_t len)
{
    if (sink->full || len >= sink->size - sink->len || len > INT_MAX - sink->len) {
        sink->full = true;
        return;
    }
    memcpy(sink->out + sink->len, text, len);
    sink->len += len;
}

static struct sink sink_of(char *out, size_t size)
{
    return (struct sink){.out = out, .size = size, .full = size == 0};
}

static int finish(struct sink *sink)
{
    if (sink->full)
        return -ENOBUFS;
    sink->out[sink->len] = '\0';
    return (int)sink->len;
}

/* The byte as two hexadecimal digits, behind `prefix`. */
static void put_hex(struct sink *sink, const char *prefix, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char hex[] = {digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15]};
    put(sink, prefix, strlen(prefix));
    put(sink, hex, sizeof hex);
}

int pf__escape_log(struct pf__text text, char *out, size_t size)
{
    struct sink sink = sink_of(out, size);
    for (size_t i = 0; i < text.len && !sink.full; i++) {
        char c = text.at[i];
        if (pf__is_control(c) || (unsigned char)c >= 0x80 || c == '"' || c == '\\')
            put_hex(&sink, "\\x", c);
        else
            put(&sink, &c, 1);
    }
    return finish(&sink);
}

static void put_json_byte(struct sink *sink, char c)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* the byte, and its letter */
    for (const char *at = named; *at; at += 2)
        if (*at == c) {
            const char pair[] = {'\\', at[1]};
            put(sink, pair, sizeof pair);
            return;
        }
    if ((unsigned char)c < 0x20)
        put_hex(sink, "\\u00", c);
    else
        put(sink, &c, 1);
}

int pf__escape_json(struct pf__text text, char *out, size_t size)
{
    struct sink sink = sink_of(out, size);
    while (text.len > 0 && !sink.full) {
        size_t len = pf__utf8_next(text);
        if (len == 0)
            put(&sink, "\\uFFFD", 6);
        else if (len == 1)
            put_json_byte(&sink, text.at[0]);
        else
            put(&sink, text.at, len);
        text = pf__text_skip(text, len ? len : 1);
    }
    return finish(&sink);
}

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

int pf__escape_html(struct pf__text text, char *out, size_t size)
{
    struct sink sink = sink_of(out, size);
    for (size_t i = 0; i < text.len && !sink.full; i++) {
        const char *entity = entity_of(text.at[i]);
        if (entity)
            put(&sink, entity, strlen(entity));
        else
            put(&sink, &text.at[i], 1);
    }
    return finish(&sink);
}
