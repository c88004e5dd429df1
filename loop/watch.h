/*
 * watch.h - notice from outside that a loop is blocked.
 *
 * The loop leaves its pulse in memory: an odd number while it calls things, an even one
 * while it sleeps or does not run, another one each time. One thread for all watched loops
 * of the process looks at it four times in each threshold. It counts its own periods and
 * not the clock, so that time in which the process was stopped, or the machine slept, does
 * not make a loop look blocked.
 */
#ifndef PREFORK_LOOP_WATCH_H
#define PREFORK_LOOP_WATCH_H

#include <prefork/loop.h>
#include <pthread.h>
#include <stdatomic.h>

struct pf__pulse {
    atomic_ullong beat;          /* odd while it calls things; never the same twice */
    _Atomic(const char *) kind;  /* of what it calls */
    _Atomic(const char *) where; /* that was registered */
    _Atomic(pthread_t) thread;   /* that runs it */
};

struct pf__watch;

/* Watch the loop, or change how it is watched. Returns 0, -ENOMEM or -EAGAIN. */
int pf__watch_set(pf_loop *loop, int64_t threshold_ns, int signo);

/* No longer; no signal is sent once this returns. In a child: only forgets. */
void pf__watch_end(pf_loop *loop);

/* The loop's thread is about to leave start: no signal is sent to it once this returns. */
void pf__watch_rest(pf_loop *loop);

#endif
