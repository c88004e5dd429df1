/* chars.c - see chars.h. */
#include "http/chars.h"

/* Each row is worked out by the compiler. */
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_HEX(c)   (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define IS_ALNUM(c)                                                                        \
    (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_CONTROL(c) ((c) < 0x20 || (c) == 0x7f)

/* In tokens and in hosts; then what only one of them has. */
#define IS_IN_BOTH(c)                                                                      \
    (IS_ALNUM(c) || (c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '*' || \
     (c) == '+' || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_TOKEN(c)                                                                        \
    (IS_IN_BOTH(c) || (c) == '#' || (c) == '%' || (c) == '^' || (c) == '`' || (c) == '|')
#define IS_HOST(c)                                                                         \
    (IS_IN_BOTH(c) || (c) == '(' || (c) == ')' || (c) == ',' || (c) == ';' || (c) == '=')

#define IS_QUERY(c) ((c) != ' ' && (c) != '#')
#define IS_PATH(c)  (IS_QUERY(c) && (c) != '?' && (c) != '%')

#define KINDS(c)                                                                           \
    ((IS_DIGIT(c) ? PF__DIGIT : 0) | (IS_HEX(c) ? PF__HEX : 0) |                           \
     (IS_TOKEN(c) ? PF__TOKEN : 0) | (IS_HOST(c) ? PF__HOST : 0) |                         \
     (!IS_CONTROL(c) || (c) == '\t' ? PF__VALUE : 0) | (IS_PATH(c) ? PF__PATH : 0) |       \
     (IS_QUERY(c) ? PF__QUERY : 0))
#define FOUR(c) KINDS(c), KINDS((c) + 1), KINDS((c) + 2), KINDS((c) + 3)
#define ROW(c)  FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)

const uint8_t pf__char_kinds[256] = {
    ROW(0x00), ROW(0x10), ROW(0x20), ROW(0x30), ROW(0x40), ROW(0x50), ROW(0x60), ROW(0x70),
    ROW(0x80), ROW(0x90), ROW(0xa0), ROW(0xb0), ROW(0xc0), ROW(0xd0), ROW(0xe0), ROW(0xf0),
};
