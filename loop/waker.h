/*
 * waker.h - a pipe that ends a loop's sleep.
 *
 * Whoever adds work wakes the loop only if it sleeps, or is about to, and only if nobody
 * has done so already: one byte for any number of callbacks. The order that makes it safe:
 * a producer adds, then looks at `asleep`; the loop sets `asleep`, then looks for work. One
 * of the two sees the other: callbacks, because both happen under the queue's lock;
 * signals, because there both are sequentially consistent.
 */
#ifndef PREFORK_LOOP_WAKER_H
#define PREFORK_LOOP_WAKER_H

#include <prefork/base.h>
#include <stdatomic.h>

struct pf__waker {
    int read_fd, write_fd; /* -1 until it is opened, which the loop's first run does */
    atomic_bool
        asleep;        /* the loop polls, or is not running; false while there is no pipe */
    atomic_bool woken; /* a byte is in the pipe, or about to be */
    atomic_ullong wakes;
};

void pf__waker_init(struct pf__waker *waker);

/* Returns 0, -EMFILE or -ENFILE. Others may call pf__waker_wake() meanwhile. */
int pf__waker_open(struct pf__waker *waker);

/* Close both ends, if they are open. */
void pf__waker_close(struct pf__waker *waker);

/* Is it the caller's to write the byte? Then it must, with pf__waker_write(). */
static inline bool pf__waker_claim(struct pf__waker *waker)
{
    return atomic_load(&waker->asleep) && !atomic_exchange(&waker->woken, true);
}

/* Write it. Async-signal-safe; keeps errno. */
void pf__waker_write(struct pf__waker *waker);

/* Both. */
void pf__waker_wake(struct pf__waker *waker);

/* The pipe polled readable: empty it. Look for work after this, not before. */
void pf__waker_drain(struct pf__waker *waker);

/* The same, if there is a byte in it. */
void pf__waker_drain_if_woken(struct pf__waker *waker);

#endif
