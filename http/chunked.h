/*
 * chunked.h - the chunked coding, RFC 9112 section 7.1: what stands around the data.
 *
 * One byte at a time, strictly by the grammar: sizes of up to 16 digits, extensions with
 * white space beside their ; and =, quoted strings, trailers that are fields. Nothing of
 * it is kept but the size. Lines end with CR LF and nothing else.
 *
 * Plain memory; zero is the beginning of a body.
 */
#ifndef PREFORK_HTTP_CHUNKED_H
#define PREFORK_HTTP_CHUNKED_H

#include <prefork/base.h>

enum pf__chunked_state {
    PF__CHUNKED_START, /* of a size */
    PF__CHUNKED_SIZE,
    PF__CHUNKED_EXTENSION, /* blanks behind a size or a value; a ; must come */
    PF__CHUNKED_BEFORE_NAME,
    PF__CHUNKED_NAME,
    PF__CHUNKED_AFTER_NAME,
    PF__CHUNKED_BEFORE_VALUE,
    PF__CHUNKED_VALUE,
    PF__CHUNKED_QUOTED,
    PF__CHUNKED_ESCAPED,
    PF__CHUNKED_AFTER_QUOTED,
    PF__CHUNKED_SIZE_FEED,
    PF__CHUNKED_DATA, /* pf__chunked.left bytes follow */
    PF__CHUNKED_DATA_RETURN,
    PF__CHUNKED_DATA_FEED,
    PF__CHUNKED_TRAILER_START,
    PF__CHUNKED_TRAILER_NAME,
    PF__CHUNKED_TRAILER_VALUE,
    PF__CHUNKED_TRAILER_FEED,
    PF__CHUNKED_LAST_FEED,
    PF__CHUNKED_DONE,
    PF__CHUNKED_BAD,
};

struct pf__chunked {
    uint64_t left; /* of the chunk */
    uint8_t state; /* enum pf__chunked_state */
    uint8_t digits;
};

/* Pass over framing, to where it ends or the bytes do: data, the end of the body, or the
 * first byte that may not stand there (it counts). Returns how many bytes that were. */
size_t pf__chunked_skip(struct pf__chunked *chunked, const char *p, size_t len);

/* In DATA: so many bytes of it, at most `left`, have been passed over. */
void pf__chunked_take(struct pf__chunked *chunked, size_t len);

#endif
