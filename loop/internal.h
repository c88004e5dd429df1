/*
 * internal.h - the loop's inside, shared by loop.c (running), life.c (from new to close),
 * register.c (what is added and removed) and current.c (this thread's, the process's loop).
 */
#ifndef PREFORK_LOOP_INTERNAL_H
#define PREFORK_LOOP_INTERNAL_H

#include "loop/callbacks.h"
#include "loop/guard.h"
#include "loop/handlers.h"
#include "loop/timers.h"
#include "loop/waker.h"

#include <prefork/loop.h>
#include <stdatomic.h>
#include <sys/types.h>

/* Events fetched from the poller at once. */
#define PF__LOOP_EVENTS 512

/* The waker's tag; no descriptor has it, since none is ~0. */
#define PF__WAKER_TAG UINT64_MAX

struct pf_loop {
    /* who may use it */
    uint64_t cookie;             /* of the process that made it */
    pid_t pid;                   /* the same, for messages */
    _Atomic(const void *) owner; /* thread mark */
    atomic_uint references;      /* the program's; the last one closes */
    atomic_uint holds;   /* of the memory: one by all references, one by each thread whose
                            current loop it is or was when another thread closed it */
    atomic_bool running; /* in start, turn or close */
    atomic_bool closed;
    atomic_uint signal_users; /* signal handlers inside add_callback_from_signal */

    /* what it was made with */
    struct pf_loop_options options;
    const char *where;
    bool discarded;     /* in a child, inside a callback: freed when that has returned */
    bool implicit;      /* made by pf_loop_current(): its reference goes with the close */
    pf_loop *next_open; /* list of this process's open loops */

    /* what it watches */
    const struct pf_poller_ops *poller;
    void *poll_state;
    struct pf__waker waker;
    struct pf__handlers handlers;
    struct pf__timers timers;
    struct pf__callbacks callbacks;
    struct pf__signal_ring signals;

    /* where it is */
    bool stop_asked;
    int stop_error;        /* PF_ERROR_STOP: what start returns */
    bool changed_in_batch; /* a handler was removed or changed since the last poll */
    bool ghosts; /* events came for registrations that were gone before the poll */
    bool now_known;
    int64_t now;
    uint64_t running_tag; /* of the handler that runs, or the waker's */
    pf_destroy_fn
        *late_destroy; /* for its arg, when it has returned: it was removed inside */
    void *late_arg;

    uint64_t *beat;
    struct pf_loop_stats stats;
    struct pf_poll_event events[PF__LOOP_EVENTS];
};

/* Have it to ourselves, as start, turn and close need it: only one thread at a time may
 * run, take over or close a loop. Returns 0, -ECHILD (logged, with the name of the call),
 * -ESTALE or -EBUSY. Ends by clearing `running`. */
int pf__loop_begin(pf_loop *loop, const char *call);

/* Leave the beat: it runs callbacks, or sleeps. */
void pf__loop_beat(pf_loop *loop, bool runs);

/* Make this thread the owner of a loop that is not running. Compares process ids too, and
 * logs. Returns 0, -ECHILD, -ESTALE or -EBUSY. */
int pf__loop_take_over(pf_loop *loop);

/* Keep the memory of a loop, whatever becomes of its references; and let go. In a child
 * that inherited it both do nothing. */
void pf__loop_hold(pf_loop *loop);
void pf__loop_release(pf_loop *loop);

/* current.c: make it current, without a question; NULL is none. */
void pf__current_set(pf_loop *loop);

/* current.c: it is not this thread's current loop any more, if it was. */
void pf__current_forget(pf_loop *loop);

/* current.c: it is not the process's instance any more, if it was; drops that reference. */
void pf__instance_forget(pf_loop *loop);

int pf__loop_watch(pf_loop *loop, int fd, struct pf__handler *handler, unsigned events);

/* Stop asking the kernel about it; the registration stays. */
void pf__loop_unwatch(pf_loop *loop, int fd, struct pf__handler *handler);

/* A callback has returned `error`, which is negative: the error hook, and the policy. */
void pf__loop_report(pf_loop *loop, const struct pf_loop_error *error);

#endif
