/*
 * callbacks.h - functions waiting to be called by the loop's thread.
 *
 * Two ways in. The queue takes them from any thread, under a mutex; the loop takes the
 * whole queue by swapping it for an empty one, which is also its snapshot: what is added
 * from then on runs in the next iteration. The ring takes them from signal handlers: a
 * bounded lock-free queue (D. Vyukov's bounded MPMC queue, with one consumer), in which a
 * handler never waits for whatever it interrupted.
 */
#ifndef PREFORK_LOOP_CALLBACKS_H
#define PREFORK_LOOP_CALLBACKS_H

#include <prefork/loop.h>
#include <pthread.h>
#include <stdatomic.h>

struct pf__callback {
    pf_callback_fn *fn;
    void *arg;
    pf_destroy_fn *destroy;
    const char *where;
};

struct pf__callback_list {
    struct pf__callback *at;
    size_t count, capacity;
    size_t taken; /* of a batch: those before have run, or run now */
};

struct pf__callbacks {
    pthread_mutex_t lock;           /* guards `queue` and `closed` */
    struct pf__callback_list queue; /* waiting */
    struct pf__callback_list batch; /* taken by the loop's thread, and only its */
    atomic_size_t waiting;          /* queue.count, to be looked at without the lock */
    size_t max;
    size_t reserved; /* capacity not given back after a burst */
    bool closed;
};

struct pf__signal_cell {
    atomic_uint turn; /* which producer or consumer may use the cell next */
    pf_callback_fn *fn;
    void *arg;
};

struct pf__signal_ring {
    struct pf__signal_cell cells[PF_LOOP_SIGNAL_CALLBACKS_MAX];
    atomic_uint head; /* next cell to fill */
    unsigned tail;    /* next cell to empty; the loop's thread only */
};

void pf__callbacks_init(struct pf__callbacks *callbacks, size_t max);

/* Drop all that wait, calling their destroy functions; refuse more from now on (-ESTALE).
 */
void pf__callbacks_close(struct pf__callbacks *callbacks);

/* The same in a child. A queue that another thread was just changing is left alone. */
void pf__callbacks_discard(struct pf__callbacks *callbacks);

/* After the close, when nobody else can call any more. */
void pf__callbacks_fini(struct pf__callbacks *callbacks);

/* Room for `count` waiting ones without allocation. Returns 0 or -ENOMEM. */
int pf__callbacks_reserve(struct pf__callbacks *callbacks, size_t count);

/* Returns 0, -ESTALE, -ENOSPC or -ENOMEM. Holds the lock when it returns 0, so that the
 * caller can wake the loop before a close takes the waker away: then unlock. */
int pf__callbacks_add_locked(struct pf__callbacks *callbacks,
                             const struct pf__callback *add);

/* Take all that wait into `batch`, which must be empty. */
void pf__callbacks_take(struct pf__callbacks *callbacks);

/* The next of `batch`, which counts as run from now on. */
bool pf__callbacks_next(struct pf__callbacks *callbacks, struct pf__callback *out);

/* `batch` has run: forget it. */
void pf__callbacks_done(struct pf__callbacks *callbacks);

void pf__signal_ring_init(struct pf__signal_ring *ring);

/* Async-signal-safe. Returns 0 or -EAGAIN. */
int pf__signal_ring_put(struct pf__signal_ring *ring, pf_callback_fn *fn, void *arg);

/* How many were put so far; get() up to that many is a snapshot. */
unsigned pf__signal_ring_head(struct pf__signal_ring *ring);

/* The next one, if it was put before `head`. */
bool pf__signal_ring_get(struct pf__signal_ring *ring, unsigned head,
                         struct pf__callback *out);

bool pf__signal_ring_empty(struct pf__signal_ring *ring);

#endif
