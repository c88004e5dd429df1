/*
 * chars.h - what kinds of character a byte is, by one look into a table. ASCII's, whatever
 * the locale.
 */
#ifndef PREFORK_HTTP_CHARS_H
#define PREFORK_HTTP_CHARS_H

#include <prefork/base.h>

enum pf__char_kind {
    PF__DIGIT = 1 << 0,
    PF__HEX = 1 << 1,
    PF__TOKEN = 1 << 2, /* RFC 9110 section 5.6.2 */
    PF__HOST = 1 << 3,  /* of a name or an IPv4 address, RFC 3986 section 3.2.2; not % */
    PF__VALUE = 1 << 4, /* of a field's value: no control character but a tab */
    PF__PATH = 1 << 5,  /* of a target: all but what ends its path, or needs a look: ?#% */
    PF__QUERY = 1 << 6, /* of a target: all but what ends it */
};

extern __attribute__((visibility("hidden"))) const uint8_t pf__char_kinds[256];

static inline bool pf__char_is(char c, unsigned kinds)
{
    return pf__char_kinds[(unsigned char)c] & kinds;
}

/* Where the first byte stands that is of none of these kinds, or the end. */
static inline const char *pf__skip(const char *p, const char *end, unsigned kinds)
{
    while (p < end && pf__char_is(*p, kinds))
        p++;
    return p;
}

#endif
