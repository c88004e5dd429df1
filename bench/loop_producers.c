/* loop_producers.c - see loop_producers.h. */
#include "bench/loop_producers.h"

#include <errno.h>
#include <sched.h>

#ifdef __linux__
static void place(const cpu_set_t *cpus)
{
    require(sched_setaffinity(0, sizeof *cpus, cpus) == 0, "sched_setaffinity");
}

/* Threads inherit the affinity they are made under. */
static void place_producers(cpu_set_t *loops)
{
    cpu_set_t all;
    require(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity");
    *loops = all;
    if (CPU_COUNT(&all) < 2)
        return;
    size_t first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(loops);
    CPU_SET(first, loops);
    CPU_CLR(first, &all);
    place(&all);
}
#endif

static void wait_for_delivery(struct producers *producers)
{
    int result;
    do
        result = sem_wait(&producers->delivered);
    while (result == -1 && errno == EINTR);
}

static void *produce(void *arg)
{
    struct producers *producers = arg;
    pthread_barrier_wait(&producers->gate);
    for (long i = 0; i < producers->each; i++) {
        producers->post(producers->arg);
        if (producers->one_by_one)
            wait_for_delivery(producers);
    }
    return NULL;
}

void producers_start(struct producers *producers, const struct job *job, post_fn *post,
                     void *arg)
{
    require(job->producers <= PRODUCERS_MAX && job->ops % job->producers == 0,
            "items that cannot be shared out");
    *producers = (struct producers){.to_deliver = job->ops,
                                    .one_by_one = job->one_by_one,
                                    .post = post,
                                    .arg = arg,
                                    .count = job->producers,
                                    .each = job->ops / job->producers};
    require(sem_init(&producers->delivered, 0, 0) == 0, "sem_init");
    require(pthread_barrier_init(&producers->gate, NULL, (unsigned)job->producers + 1) == 0,
            "pthread_barrier_init");
#ifdef __linux__
    cpu_set_t loops;
    place_producers(&loops);
#endif
    for (int i = 0; i < producers->count; i++)
        require(pthread_create(&producers->threads[i], NULL, produce, producers) == 0,
                "pthread_create");
#ifdef __linux__
    place(&loops);
#endif
}

void producers_go(struct producers *producers)
{
    pthread_barrier_wait(&producers->gate);
}

void producers_join(struct producers *producers)
{
    for (int i = 0; i < producers->count; i++)
        pthread_join(producers->threads[i], NULL);
    require(producers->to_deliver == 0, "items were not delivered");
}
