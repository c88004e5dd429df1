/*
 * waker.h - a pipe that ends a loop's sleep.
 *
 * Whoever adds work wakes the loop only if it sleeps, or is about to, and only if nobody
 * has done so already: one byte for any number of callbacks. The order that makes it safe:
 * a producer adds, then looks at `asleep`; the loop sets `asleep`, then looks for work. One
 * of the two sees the other.
 */
#ifndef PREFORK_LOOP_WAKER_H
#define PREFORK_LOOP_WAKER_H

#include <prefork/base.h>
#include <stdatomic.h>

struct pf__waker {
    int read_fd, write_fd;
    atomic_bool asleep; /* the loop polls, or is not running */
    atomic_bool woken;  /* a byte is in the pipe, or about to be */
    atomic_ullong wakes;
};

/* Returns 0, -EMFILE or -ENFILE. */
int pf__waker_open(struct pf__waker *waker);

/* Close both ends. */
void pf__waker_close(struct pf__waker *waker);

/* Async-signal-safe; keeps errno. The pipe must be open. */
void pf__waker_wake(struct pf__waker *waker);

/* The pipe polled readable: empty it. Look for work after this, not before. */
void pf__waker_drain(struct pf__waker *waker);

#endif
