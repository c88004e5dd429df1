/*
 * queue.h - the queue that other libraries need beside their wake-up call, which tells a
 * loop that something came but not what, nor how often.
 *
 * Any number of threads push; the loop's thread takes all there is at once. Room for every
 * item is there from the start, so no push ever allocates.
 */
#ifndef PREFORK_BENCH_PEERS_QUEUE_H
#define PREFORK_BENCH_PEERS_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue_item {
    void (*fn)(void *arg);
    void *arg;
};

struct queue {
    pthread_mutex_t lock;
    struct queue_item *in, *out;
    size_t count;
};

void queue_init(struct queue *queue, size_t capacity);

/* Returns whether the queue was empty: only then must the loop be woken. */
bool queue_push(struct queue *queue, void (*fn)(void *arg), void *arg);

/* Call what was pushed, oldest first. */
void queue_run(struct queue *queue);

#endif
