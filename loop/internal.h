/*
 * internal.h - the loop's inside, shared by loop.c (running), calls.c (what it calls),
 * ghosts.c, life.c (from new to close), register.c (what is added and removed), signal.c,
 * inspect.c (looking in), current.c (this thread's, the process's loop), and what hangs on
 * a loop: periodic.c, future.c, executor.c.
 */
#ifndef PREFORK_LOOP_INTERNAL_H
#define PREFORK_LOOP_INTERNAL_H

#include "loop/callbacks.h"
#include "loop/context.h"
#include "loop/guard.h"
#include "loop/handlers.h"
#include "loop/member.h"
#include "loop/signal.h"
#include "loop/spin.h"
#include "loop/timers.h"
#include "loop/waker.h"
#include "loop/watch.h"

#include <errno.h>
#include <prefork/loop.h>
#include <stdatomic.h>
#include <sys/types.h>

/* Events fetched from the poller at once. */
#define PF__LOOP_EVENTS 512

/* The waker's tag; no descriptor has it, since none is ~0. */
#define PF__WAKER_TAG UINT64_MAX

/* What a call that removed its own registration leaves to be done when it has returned:
 * until then its arg must live. */
struct pf__late {
    bool set;
    pf_destroy_fn *destroy;
    void *arg, *context;
};

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
    atomic_uint wakers; /* threads and signal handlers that may write into the waker */

    /* what it was made with */
    struct pf_loop_options options;
    struct pf_context_hooks hooks;
    const char *where;
    bool discarded;       /* in a child, inside a callback: freed when that has returned */
    atomic_bool implicit; /* made by pf_loop_current(): its reference goes with the close,
                             or with its thread */
    pf_loop *next_open;   /* list of this process's open loops */

    /* what it watches */
    const struct pf_poller_ops *poller;
    void *poll_state;
    struct pf__waker waker;
    struct pf__handlers handlers;
    struct pf__timers timers;
    struct pf__callbacks callbacks;
    struct pf__signals *signals; /* NULL until it takes one */
    struct pf__member *members;  /* futures and periodics */

    /* where it is */
    bool stop_asked;
    int stop_error;        /* PF_ERROR_STOP: what start returns */
    bool changed_in_batch; /* a handler was removed or changed since the last poll */
    bool ghosts;          /* events came for registrations that were gone before the poll */
    int64_t ghosts_again; /* what failed against them is not tried again before */
    bool now_known;       /* `now` is about now: see pf__loop_now() */
    int64_t now;          /* the clock, when it was last read */
    int64_t measured;     /* up to when busy_ns and idle_ns go; PF_NEVER: not measured */
    uint64_t running_tag; /* of the handler that runs, or the waker's */
    struct pf__late late;
    struct pf__spin spin;

    /* what others see of it */
    struct pf__pulse pulse;
    struct pf__watch *watch; /* NULL: nobody minds if it is blocked */
    uint64_t *beat;
    struct pf_loop_stats stats;

    struct pf__signal_ring ring; /* the last: see allocate() */
};

/* pf_loop_check(), to be inlined: the guards of every call. */
static inline int pf__loop_check(const pf_loop *loop)
{
    if (!loop)
        return -EINVAL;
    if (!pf__process_is(loop->cookie))
        return -ECHILD;
    if (atomic_load_explicit(&loop->owner, memory_order_relaxed) != pf__thread_mark())
        return -EPERM;
    if (atomic_load_explicit(&loop->closed, memory_order_relaxed))
        return -ESTALE;
    return 0;
}

/* Have it to ourselves, as start, turn and close need it: only one thread at a time may
 * run, take over or close a loop. Returns 0, -ECHILD (logged, with the name of the call),
 * -ESTALE or -EBUSY. Ends by clearing `running`. */
int pf__loop_begin(pf_loop *loop, const char *call);

/*
 * calls.c. Each returns how many it has called; behind each the loop may be another
 * process's. Callbacks: those up to the marks. Timers: those that are due. Handlers: of
 * these n events, as far as they are registered still.
 */
int pf__loop_run_callbacks(pf_loop *loop, uint64_t until, unsigned ring_until);
int pf__loop_run_signals(pf_loop *loop);
int pf__loop_run_due_timers(pf_loop *loop);
int pf__loop_run_handlers(pf_loop *loop, const struct pf_poll_event *events, int n);

/* Tell whoever watches the loop what it is about to call. */
static inline void pf__loop_note(pf_loop *loop, const char *kind, const char *where)
{
    atomic_store_explicit(&loop->pulse.kind, kind, memory_order_relaxed);
    atomic_store_explicit(&loop->pulse.where, where, memory_order_relaxed);
}

/* Has the handler that seems to spin got somewhere, by way of a callback or a timer? */
void pf__loop_look_at_suspect_again(pf_loop *loop);

/* ghosts.c: events came for registrations that were gone before the poll; be rid of them.
 */
void pf__loop_exorcise(pf_loop *loop);

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

/* The loop's clock, read now. */
int64_t pf__loop_clock(const pf_loop *loop);

/* The same, read at most once between two sleeps and two handlers. */
int64_t pf__loop_now(pf_loop *loop);

/* A clock may be a test's, and cross its whole range at once, or go back. */
static inline int64_t pf__loop_time_between(int64_t from, int64_t to)
{
    int64_t ns;
    if (to <= from)
        return 0;
    return __builtin_sub_overflow(to, from, &ns) ? INT64_MAX : ns;
}

/* Was it made in another process? */
static inline bool pf__loop_is_inherited(const pf_loop *loop)
{
    return !pf__process_is(loop->cookie);
}

/* Does a callback wait, or a signal? */
bool pf__loop_has_calls(pf_loop *loop);

/* From here on whoever adds something wakes it. Returns false if something waits already.
 */
bool pf__loop_fall_asleep(pf_loop *loop);

/* The poller of loops whose options name none: configured, or the first of pollers.h. */
const struct pf_poller_ops *pf__loop_default_poller(void **arg);

/* Make sure that the loop can be woken. Returns 0, -EMFILE, -ENFILE or what the poller
 * says. */
int pf__loop_open_waker(pf_loop *loop);

/* Close a registered descriptor, by its closer if it has one. */
void pf__loop_close_descriptor(pf_loop *loop, int fd);

/* A registration has ended: give back its context and its arg. */
static inline void pf__loop_end(pf_loop *loop, pf_destroy_fn *destroy, void *arg,
                                void *context)
{
    pf__context_release(&loop->hooks, context);
    if (destroy)
        destroy(arg);
}

/* The same for one that runs at this moment: when it has returned. */
void pf__loop_end_late(pf_loop *loop, pf_destroy_fn *destroy, void *arg, void *context);
void pf__loop_end_what_is_late(pf_loop *loop);

/* Put a place in the queue aside, so that keeping the promise later cannot fail. The loop's
 * thread. Returns 0, -ENOSPC or -ENOMEM. */
int pf__loop_promise(pf_loop *loop);

/* Give the place back; any thread, while the loop's memory is held. */
void pf__loop_unpromise(pf_loop *loop);

/* Add a callback in a promised place; any thread. Captures no context: `callback` brings
 * its own. Returns 0, or -ESTALE if the loop was closed meanwhile. */
int pf__loop_keep_promise(pf_loop *loop, const struct pf__callback *callback);

#endif
