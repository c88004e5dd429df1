/*
 * text.h - a piece of text that somebody else owns, and what the readers of fields do with
 * one. Letters and digits are ASCII's, whatever the locale.
 */
#ifndef PREFORK_HTTP_TEXT_H
#define PREFORK_HTTP_TEXT_H

#include "http/chars.h"

#include <string.h>

/* Not NUL-terminated; any bytes. `at` may be NULL if len is 0: where a field may be
 * missing, NULL says that it is. */
struct pf__text {
    const char *at;
    size_t len;
};

/* Several: the lines of one field, in the order they came. */
struct pf__texts {
    const struct pf__text *at;
    size_t count;
};

static inline struct pf__text pf__text_of(const char *string)
{
    return (struct pf__text){string, strlen(string)};
}

static inline bool pf__is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char pf__to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool pf__is_letter(char c)
{
    return pf__to_lower(c) >= 'a' && pf__to_lower(c) <= 'z';
}

static inline bool pf__is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Below a space, or DEL. */
static inline bool pf__is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* 0 to 15, or -1. */
static inline int pf__hex_digit(char c)
{
    char lower = pf__to_lower(c);
    if (pf__is_digit(c))
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static inline bool pf__is_token(struct pf__text text)
{
    const char *end = text.at + text.len;
    return text.len > 0 && pf__skip(text.at, end, PF__TOKEN) == end;
}

static inline bool pf__text_equals(struct pf__text text, struct pf__text other)
{
    return text.len == other.len && (text.len == 0 || !memcmp(text.at, other.at, text.len));
}

/* Is it `word`, in upper or lower case? */
static inline bool pf__text_is_word(struct pf__text text, const char *word)
{
    for (size_t i = 0; i < text.len; i++)
        if (!word[i] || pf__to_lower(text.at[i]) != pf__to_lower(word[i]))
            return false;
    return !word[text.len];
}

/* What is behind the first `count` bytes, or behind all there are. */
static inline struct pf__text pf__text_skip(struct pf__text text, size_t count)
{
    size_t skipped = count < text.len ? count : text.len;
    return skipped > 0 ? (struct pf__text){text.at + skipped, text.len - skipped} : text;
}

/* Without the blanks around it. */
static inline struct pf__text pf__text_trim(struct pf__text text)
{
    while (text.len > 0 && pf__is_blank(text.at[0]))
        text = pf__text_skip(text, 1);
    while (text.len > 0 && pf__is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

/* How many bytes there are in front of the first `c`, or in all. */
static inline size_t pf__text_find(struct pf__text text, char c)
{
    const char *found = text.len > 0 ? memchr(text.at, c, text.len) : NULL;
    return found ? (size_t)(found - text.at) : text.len;
}

/* Take what is in front of the first separator off *rest, and the separator; all of it if
 * there is none. False if *rest is empty. */
static inline bool pf__text_split(struct pf__text *rest, char separator,
                                  struct pf__text *item)
{
    if (rest->len == 0)
        return false;
    *item = (struct pf__text){rest->at, pf__text_find(*rest, separator)};
    *rest = pf__text_skip(*rest, item->len + 1);
    return true;
}

#endif
