/*
 * signal.h - signals as events of a loop.
 *
 * The process has one handler for all signals that loops take. It finds the loops of this
 * process in a list, marks the signal in those that take it, and wakes them: nothing else
 * happens in signal context. A mark is set before the wake and cleared before the functions
 * run, so signals coalesce and the last one is never lost.
 *
 * The list's head lies in the page that a fork wipes: in a child the handler finds no loop,
 * gives the signal back to the disposition that was there before, and raises it again.
 */
#ifndef PREFORK_LOOP_SIGNAL_H
#define PREFORK_LOOP_SIGNAL_H

#include <prefork/loop.h>
#include <stdatomic.h>

#define PF__SIGNALS 64 /* numbers from 1 on */

struct pf__signal_entry {
    pf_signal_fn *fn; /* NULL: not taken */
    void *arg;
    pf_destroy_fn *destroy;
    const char *where;
    void *context;
};

/* The signals of one loop. */
struct pf__signals {
    pf_loop *loop;
    atomic_ullong taken;    /* a bit for each */
    atomic_ullong pending;  /* came since the last iteration began */
    unsigned long long due; /* came before, and is not told yet */
    _Atomic(struct pf__signals *) next;
    int running; /* the one whose function runs, or 0 */
    struct pf__signal_entry at[PF__SIGNALS + 1];
};

/* What is pending now is due. */
void pf__signal_collect(struct pf__signals *signals);

/* The next one that is due, taken out; or 0. */
int pf__signal_next(struct pf__signals *signals);

/* Close: give the signals back, and end the registrations. Waits for handlers in other
 * threads. */
void pf__signal_close(pf_loop *loop);

/* The same in a child, where the dispositions are the child's own business. */
void pf__signal_discard(pf_loop *loop);

#endif
