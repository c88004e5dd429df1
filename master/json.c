/* json.c - see json.h. */
#include "master/json.h"

#include <inttypes.h>

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

void pf__json_string(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (!at) {
        fputs("null", to);
        return;
    }
    fputc('"', to);
    while (*at) {
        size_t len = character(at);
        if (*at < 0x20)
            fprintf(to, "\\u%04x", *at);
        else if (*at == '"' || *at == '\\')
            fprintf(to, "\\%c", *at);
        else if (len)
            fwrite(at, 1, len, to);
        else
            fputs("\\ufffd", to);
        at += len ? len : 1;
    }
    fputc('"', to);
}

void pf__json_seconds(FILE *to, int64_t ns)
{
    if (ns < 0)
        fputs("null", to);
    else
        fprintf(to, "%" PRId64 ".%03" PRId64, ns / PF_SECOND,
                ns % PF_SECOND / PF_MILLISECOND);
}

void pf__json_or_null(FILE *to, int64_t value)
{
    if (value < 0)
        fputs("null", to);
    else
        fprintf(to, "%" PRId64, value);
}

void pf__json_count(FILE *to, uint64_t value)
{
    fprintf(to, "%" PRIu64, value < INT64_MAX ? value : (uint64_t)INT64_MAX);
}
