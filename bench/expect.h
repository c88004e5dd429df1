/*
 * expect.h - what an answer must be to count as one: `status=200,len=13,body=~ok,hash`.
 *
 *     status=200      the status; also 2xx, and several: status=200|304
 *     len=13          bytes of the body
 *     body=~text      the body holds this text, also across pieces
 *     hash            each body is the same as the first that came, of each request of a
 *                     mix: by CRC-32
 *     hash=9a3f12cd   its CRC-32 is this (hexadecimal)
 *
 * A comma belongs to a text if a backslash stands before it, and so does a backslash. With
 * no status given it must be below 400. What a body must be is not asked of an answer that
 * has none by its nature: to HEAD, and 304.
 *
 * A check goes along with the pieces of a body as they come, and keeps none of them.
 */
#ifndef PREFORK_BENCH_EXPECT_H
#define PREFORK_BENCH_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPECT_STATUS_MAX 8
#define EXPECT_TEXT_MAX   128

struct expect {
    unsigned status[EXPECT_STATUS_MAX]; /* 1..5: a class; else the status itself */
    unsigned status_count;              /* 0: any below 400 */
    int64_t len;                        /* -1: any */
    char text[EXPECT_TEXT_MAX];         /* "": any */
    size_t text_len;
    uint16_t border[EXPECT_TEXT_MAX]; /* of each prefix: the longest that also ends it */
    bool hash, hash_given;
    uint32_t hash_value;
};

/* The state of one check. Plain memory. */
struct expect_check {
    uint64_t len;
    uint32_t hash;
    uint16_t matched; /* bytes of the text that the body ends with */
    bool found;
};

/* Returns 0, or -EINVAL with a phrase in `why` that says what is wrong and what would be
 * right; *out is then untouched. */
int expect_parse(const char *text, struct expect *out, char *why, size_t why_len);

/* For each answer: begin, body for each piece of it, end. */
void expect_begin(struct expect_check *check);
void expect_body(const struct expect *expect, struct expect_check *check, const char *bytes,
                 size_t len);

/*
 * Judge a complete answer: 0, or the TALLY_ reason (tally.h) why it is wrong, the status
 * before all else. `first` holds the hash that the others are compared with, as -1 before
 * the first answer that is right otherwise. There is one for each request of a mix, in
 * memory that all units share, threads and processes: it is set once, whoever comes first,
 * and so the answers of all of them agree, or are wrong.
 */
int expect_end(const struct expect *expect, const struct expect_check *check,
               unsigned status, bool head, int64_t *first);

#endif
