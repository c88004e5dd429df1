/*
 * range.h - which bytes of a representation are asked for; RFC 9110 section 14.
 *
 * Pure functions: any thread, any process. Cost: linear in the field.
 */
#ifndef PREFORK_HTTP_RANGE_H
#define PREFORK_HTTP_RANGE_H

#include "http/text.h"

/* More ranges than this in one request are answered with the whole. */
#define PF__RANGES_MAX 8

/* "bytes 18446744073709551614-18446744073709551614/18446744073709551615" and a NUL. */
#define PF__CONTENT_RANGE_MAX 69

struct pf__range {
    uint64_t first;
    uint64_t len; /* at least 1 */
};

struct pf__ranges {
    size_t count;
    struct pf__range at[PF__RANGES_MAX]; /* in the order asked */
};

/*
 * What a Range field asks of `size` bytes. It has to count: a GET whose If-Range holds.
 *
 * Returns 206 and *ranges (at least one; none reaches beyond the size, no two have a byte
 * in common), 416 (none of them lies within), or 200, the whole: another unit than bytes,
 * anything malformed, more than PF__RANGES_MAX of them, some that overlap, or a suffix of
 * nothing. Numbers may have any number of digits.
 */
int pf__range_parse(struct pf__text field, uint64_t size, struct pf__ranges *ranges);

/* Write the value of Content-Range into out[PF__CONTENT_RANGE_MAX]; `range` NULL is for
 * 416: "bytes *" and the size. Returns the length. */
int pf__range_format(const struct pf__range *range, uint64_t size, char *out);

#endif
