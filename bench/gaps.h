/*
 * gaps.h - the longest times without an ok answer: what one unit saw, and what all together
 * did.
 *
 * A unit says when each ok answer came; what lies between two of them, if it is long
 * enough to speak of, goes into a table of the longest. A time without an answer over all
 * units lies in a gap of each: so the gaps of a sum are the overlaps of those of its parts.
 * Exact as long as no unit had more than GAPS_MAX gaps longer than the answer; beyond that
 * the answer is too short, never too long.
 *
 * Plain memory, one writer; read when that has ended.
 */
#ifndef PREFORK_BENCH_GAPS_H
#define PREFORK_BENCH_GAPS_H

#include <stdbool.h>
#include <stdint.h>

#define GAPS_MAX   32
#define GAPS_LEAST INT64_C(100000) /* ns: shorter ones are not kept */

struct gap {
    int64_t from_ns, to_ns;
};

struct gaps {
    int64_t last_ns; /* of an ok answer, or of the begin; 0: not begun */
    unsigned count;
    struct gap longest[GAPS_MAX]; /* in no order */
};

/* The time between from and to was without one: keep it if it is among the longest. */
void gaps_keep(struct gaps *gaps, int64_t from_ns, int64_t to_ns);

/* The measurement begins: times on CLOCK_MONOTONIC, above 0. */
static inline void gaps_begin(struct gaps *gaps, int64_t now_ns)
{
    gaps->last_ns = now_ns;
    gaps->count = 0;
}

/* An ok answer has come. Cost: a subtraction and a branch. */
static inline void gaps_ok(struct gaps *gaps, int64_t now_ns)
{
    if (now_ns - gaps->last_ns >= GAPS_LEAST)
        gaps_keep(gaps, gaps->last_ns, now_ns);
    gaps->last_ns = now_ns;
}

/* The measurement ends, or none can be due any more: what is open is a gap. */
static inline void gaps_end(struct gaps *gaps, int64_t now_ns)
{
    gaps_ok(gaps, now_ns);
}

/* Make of `gaps` what both have in common. One that has not begun takes all of `from`; of a
 * `from` that has not begun nothing is taken. */
void gaps_merge(struct gaps *gaps, const struct gaps *from);

/* The longest; {0, 0} if there is none. */
struct gap gaps_longest(const struct gaps *gaps);

#endif
