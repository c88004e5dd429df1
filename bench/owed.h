/*
 * owed.h - answers that are due later: a null server's, which all wait equally long and so
 * fall due in the order in which they came. A ring that grows, up to OWED_MAX.
 */
#ifndef PREFORK_BENCH_OWED_H
#define PREFORK_BENCH_OWED_H

#include "bench/canned.h"
#include <stdint.h>

/* Answers owed at a time, of all connections: 24 MB. Whoever asks for more without waiting
 * is not served. */
#define OWED_MAX ((size_t)1 << 20)

struct owed {
    int64_t due_ns;
    int fd;
    uint32_t generation; /* of the descriptor: tells its connection from the one before */
    enum canned_kind kind;
};

/* Zeros are an empty one. */
struct owed_queue {
    struct owed *ring;
    size_t max, first, count;
};

/* Returns 0, -ENOBUFS with OWED_MAX in it, or -ENOMEM. */
int owed_push(struct owed_queue *queue, struct owed owed);

/* When the first is due; INT64_MAX: there is none. */
int64_t owed_due(const struct owed_queue *queue);

/* Take the first of a queue that has one. */
struct owed owed_take(struct owed_queue *queue);

void owed_free(struct owed_queue *queue);

#endif
