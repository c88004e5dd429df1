/* json.c - see json.h. */
#include "master/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_ROOM = 4096
};

static bool make_room(struct pf__json *to, size_t len)
{
    size_t room = to->room ? to->room : FIRST_ROOM;
    while (room <= to->len + len)
        room *= 2;
    if (room == to->room)
        return true;
    char *grown = realloc(to->text, room);
    if (!grown)
        return false;
    to->text = grown;
    to->room = room;
    return true;
}

static void put_bytes(struct pf__json *to, const void *bytes, size_t len)
{
    if (to->failed || !make_room(to, len)) {
        to->failed = true;
        return;
    }
    memcpy(to->text + to->len, bytes, len);
    to->len += len;
    to->text[to->len] = 0;
}

void pf__json_put(struct pf__json *to, const char *text)
{
    put_bytes(to, text, strlen(text));
}

/* How many bytes of `at` are one character of UTF-8; 0 if they are none. The bounds of the
 * second byte keep out long forms, surrogates, and what is beyond U+10FFFF. */
static size_t character(const unsigned char *at)
{
    static const struct {
        unsigned char first, last;  /* of the first byte */
        unsigned char lowest, most; /* of the second */
        unsigned char len;
    } rows[] = {
        {0x20, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (at[0] < rows[i].first || at[0] > rows[i].last)
            continue;
        if (rows[i].len > 1 && (at[1] < rows[i].lowest || at[1] > rows[i].most))
            return 0;
        for (size_t n = 2; n < rows[i].len; n++)
            if (at[n] < 0x80 || at[n] > 0xbf)
                return 0;
        return rows[i].len;
    }
    return 0;
}

static void put_escape(struct pf__json *to, unsigned code)
{
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", code);
    pf__json_put(to, text);
}

void pf__json_string(struct pf__json *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (!at) {
        pf__json_put(to, "null");
        return;
    }
    pf__json_put(to, "\"");
    while (*at) {
        size_t len = character(at);
        if (*at == '"' || *at == '\\')
            pf__json_put(to, "\\");
        if (*at < 0x20)
            put_escape(to, *at);
        else if (len)
            put_bytes(to, at, len);
        else
            put_escape(to, 0xfffd);
        at += len ? len : 1;
    }
    pf__json_put(to, "\"");
}

void pf__json_seconds(struct pf__json *to, int64_t ns)
{
    char text[40];
    snprintf(text, sizeof text, "%" PRId64 ".%03" PRId64, ns / PF_SECOND,
             ns % PF_SECOND / PF_MILLISECOND);
    pf__json_put(to, ns < 0 ? "null" : text);
}

void pf__json_or_null(struct pf__json *to, int64_t value)
{
    if (value < 0)
        pf__json_put(to, "null");
    else
        pf__json_count(to, (uint64_t)value);
}

void pf__json_count(struct pf__json *to, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64,
             value < INT64_MAX ? value : (uint64_t)INT64_MAX);
    pf__json_put(to, text);
}
