/*
 * loop_producers.h - threads that hand items to a loop.
 *
 *     producers_start(&producers, job, post, arg);     they wait
 *     producers_go(&producers);
 *     ...run the loop until producers_delivered(&producers) says true...
 *     producers_join(&producers);
 *
 * The loop's thread gets the first CPU this process may use, the producers share the others
 * if there are any: where a scheduler puts them at first is chance otherwise.
 */
#ifndef PREFORK_BENCH_LOOP_PRODUCERS_H
#define PREFORK_BENCH_LOOP_PRODUCERS_H

#include "bench/loop_bench.h"

#include <pthread.h>
#include <semaphore.h>

#define PRODUCERS_MAX 16

/* Hand one item to the loop. Any producer's thread. */
typedef void post_fn(void *arg);

struct producers {
    long to_deliver; /* counted down by the loop's thread alone */
    bool one_by_one;
    /* private */
    post_fn *post;
    void *arg;
    int count;
    long each;
    sem_t delivered;
    pthread_barrier_t gate;
    pthread_t threads[PRODUCERS_MAX];
};

void producers_start(struct producers *producers, const struct job *job, post_fn *post,
                     void *arg);
void producers_go(struct producers *producers);

/* An item came, in the loop's thread. Returns true for the last one. */
static inline bool producers_delivered(struct producers *producers)
{
    if (producers->one_by_one)
        sem_post(&producers->delivered);
    return --producers->to_deliver == 0;
}

void producers_join(struct producers *producers);

#endif
