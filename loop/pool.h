/*
 * pool.h - threads that take tasks out of one queue, oldest first.
 *
 * Threads are started when there is work and none is idle, up to a limit; all signals are
 * blocked in them. A task is embedded in what it belongs to. Knows nothing of loops.
 *
 * In a child there are no threads, and a lock that one of them held is never let go of:
 * there only pf__pool_abandon() and pf__pool_fini() may be called.
 */
#ifndef PREFORK_LOOP_POOL_H
#define PREFORK_LOOP_POOL_H

#include <prefork/base.h>
#include <pthread.h>

struct pf__task {
    bool waits; /* guarded by the pool's lock, as the list */
    struct pf__task *next, **at;
};

typedef void pf__task_fn(struct pf__task *task);

enum {
    PF__POOL_NAME = 16, /* bytes with the final 0: pthread_setname_np(3) */
};

struct pf__pool_thread;

struct pf__pool {
    pf__task_fn *run; /* on a thread */
    pf__task_fn
        *done; /* then: it no longer counts as running, and may be gone afterwards */
    unsigned threads_max;
    size_t queue_max;
    char name[PF__POOL_NAME];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct pf__task *first, **end;
    size_t waiting, running;
    struct pf__pool_thread *threads;
    unsigned started; /* of them */
    unsigned idle;    /* of those: they wait for work */
    bool ending;
};

/* The pool must not move afterwards. Returns 0 or -ENOMEM. */
int pf__pool_init(struct pf__pool *pool, unsigned threads_max, size_t queue_max,
                  const char *name);

/* Any thread. Returns 0, -EAGAIN (the queue is full, or there is no thread and none can be
 * started), or -ESTALE (it is ending). */
int pf__pool_add(struct pf__pool *pool, struct pf__task *task);

/* Take a task out of the queue; false if it is not there any more. */
bool pf__pool_remove(struct pf__pool *pool, struct pf__task *task);

void pf__pool_load(struct pf__pool *pool, size_t *waiting, size_t *running);

/* Is the calling thread one of its? */
bool pf__pool_is_own_thread(struct pf__pool *pool);

/* Hand what waits to `drop`, wait for what runs, end the threads. */
void pf__pool_end(struct pf__pool *pool, pf__task_fn *drop);

/* In a child: hand what waits and what ran at the fork to `drop`. A queue that a thread was
 * just changing is left alone. */
void pf__pool_abandon(struct pf__pool *pool, pf__task_fn *drop);

/* After the end; or in a child. */
void pf__pool_fini(struct pf__pool *pool, bool in_child);

#endif
