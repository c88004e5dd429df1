/* owed.c - see owed.h. */
#include "bench/owed.h"

#include <errno.h>
#include <stdlib.h>

enum {
    FIRST_MAX = 1024 /* answers: 24 kB */
};

/* A ring twice as long, with what there is at its beginning. */
static int grow(struct owed_queue *queue)
{
    size_t max = queue->max ? queue->max * 2 : FIRST_MAX;
    if (max > OWED_MAX)
        return -ENOBUFS;
    struct owed *ring = calloc(max, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->first + i) % queue->max];
    free(queue->ring);
    *queue = (struct owed_queue){.ring = ring, .max = max, .count = queue->count};
    return 0;
}

int owed_push(struct owed_queue *queue, struct owed owed)
{
    int err = queue->count == queue->max ? grow(queue) : 0;
    if (err)
        return err;
    queue->ring[(queue->first + queue->count++) % queue->max] = owed;
    return 0;
}

int64_t owed_due(const struct owed_queue *queue)
{
    return queue->count ? queue->ring[queue->first].due_ns : INT64_MAX;
}

struct owed owed_take(struct owed_queue *queue)
{
    struct owed owed = queue->ring[queue->first];
    queue->first = (queue->first + 1) % queue->max;
    queue->count--;
    return owed;
}

void owed_free(struct owed_queue *queue)
{
    free(queue->ring);
    *queue = (struct owed_queue){0};
}
