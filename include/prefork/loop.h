/*
 * loop.h - the event loop: descriptors, timers, callbacks; Tornado's IOLoop in C.
 *
 *     pf_loop *loop;
 *     int err = pf_loop_new(NULL, &loop);
 *     ...
 *     pf_loop_add_handler(loop, fd, PF_READ, on_readable, conn);
 *     pf_loop_call_later(loop, 5 * PF_SECOND, on_timeout, conn, &conn->timer);
 *     pf_loop_start(loop);             returns after pf_loop_stop(loop)
 *     pf_loop_close(loop, false);
 *     pf_loop_unref(loop);
 *
 * One iteration, in this order:
 *     1. take the callbacks queued so far, and the timers that are due; run nothing yet
 *     2. run those callbacks, oldest first
 *     3. run those timers, earliest first, skipping the ones removed meanwhile
 *     4. leave if the loop was stopped
 *     5. poll: without sleeping if callbacks are queued, else until the next timer
 *     6. run the handler of each ready descriptor
 * What a callback or timer adds runs in the next iteration, so neither can starve the
 * descriptors.
 *
 * THREADS. A loop belongs to the thread that made it; make_current, start and close from
 * another thread take over a loop that is not running, and while its owner is in no other
 * call of it. add_callback is the way in for other threads. Callable anywhere:
 * add_callback, spawn_callback, ref, unref, instance, initialized. Everything else answers
 * -EPERM in a foreign thread.
 *
 * FORK. A loop never crosses a fork, by fork(2) or by a raw clone(2). Every function that
 * takes a loop answers -ECHILD in a child, before it touches a descriptor that the parent
 * shares, and without a system call; start, close and make_current also ask for the process
 * id and write both into the log. pf_loop_discard() is the one call for a child. A child
 * that returns from a callback in which it was made leaves start at once, with -ECHILD.
 *
 * SIGNALS. Only pf_loop_add_callback_from_signal() may be called from a signal handler;
 * with pf_loop_add_signal() a program needs no handler at all.
 *
 * What hangs on a loop has headers of its own: periodic.h, future.h, executor.h. testing.h
 * helps an application's tests, poller.h says how a loop asks the kernel.
 *
 * Every function may return, beside what its comment lists:
 *     -EINVAL  a NULL where none is allowed, or a value out of its range
 *     -ECHILD  the loop was made in another process
 *     -EPERM   called from a thread that does not own the loop
 *     -ESTALE  the loop is closed
 * After an error nothing has changed.
 */
#ifndef PREFORK_LOOP_H
#define PREFORK_LOOP_H

#include <prefork/base.h>
#include <prefork/poller.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_loop pf_loop;

/* A timer's name: slot and generation. {0} names none. Copy it freely; it never dangles:
 * using one whose timer is gone answers -ENOENT. */
typedef struct {
    uint64_t id;
} pf_timer;

/* Events; the values are epoll's, as in Tornado. */
#define PF_READ  0x001u
#define PF_WRITE 0x004u
#define PF_ERROR 0x018u /* error or hang-up; always watched */

/* Beside PF_READ or PF_WRITE: of all the processes and threads whose loops watch the same
 * open file with this flag the kernel wakes one or more, but not all. Only epoll can do so;
 * on the other pollers the flag is allowed and changes nothing. The one woken is mostly the
 * same, the one that asked first, so a server asks anew now and then. Source:
 * EPOLLEXCLUSIVE in epoll_ctl(2), Linux 4.5. */
#define PF_EXCLUSIVE 0x1000u

/* A handler or callback that returns this is finished; see the table below. */
#define PF_DONE 1

/* A deadline that never comes. */
#define PF_NEVER INT64_MAX

/*
 * What callbacks return:
 *
 *                       descriptor handler   callback, timer   signal
 *     0                 stays registered     done              stays registered
 *     PF_DONE           is removed           done              is removed
 *     -EPIPE            silent, stays        reported          reported, stays
 *     other negative    reported, stays      reported          reported, stays
 *
 * "Reported" means the error hook. A handler that fails 16 times in a row is disabled:
 * deregistered from the kernel, reported once, still in the table; pf_loop_update_handler()
 * revives it. pf_loop_options.error_policy can make that sooner, or stop the loop. So is
 * one that makes the loop spin (-ELOOP is reported): it ran in PF_LOOP_SPIN_TURNS turns on
 * end, and in PF_LOOP_SPIN_PROOFS or more that took PF_LOOP_SPIN_NS without a byte moved.
 *
 * Callbacks may call anything,
 * add and remove anything, themselves included; start and turn answer -EBUSY inside them.
 * None is ever called from the call that registered it, nor after the call that removed it.
 */
typedef int pf_io_fn(pf_loop *loop, int fd, unsigned events, void *arg);
typedef int pf_callback_fn(pf_loop *loop, void *arg);

/* Called exactly once for the arg of a *_full registration, however that ends: run to
 * completion, removed, or dropped by close, unref or discard. In the last case it runs in
 * the child. Must not call the loop it came from. */
typedef void pf_destroy_fn(void *arg);

/* The clock: nanoseconds from any fixed point, never going back. */
typedef int64_t pf_clock_fn(void *arg);

/* Closes a descriptor in place of close(2); see pf_loop_set_closer(). */
typedef void pf_close_fn(int fd, void *arg);

/* Consecutive failures after which a handler is disabled under PF_ERROR_KEEP. */
#define PF_HANDLER_FAILURES_MAX 16

/* Turns on end in which one handler ran before it is watched for progress; how many more
 * without any, and for how long, until it is disabled. Bytes are counted on TCP sockets (on
 * Linux); on pipes and unix sockets only an end that is ignored is found, on others
 * nothing. */
#define PF_LOOP_SPIN_TURNS  1024
#define PF_LOOP_SPIN_PROOFS 64
#define PF_LOOP_SPIN_NS     (100 * PF_MILLISECOND)

enum pf_error_policy {
    PF_ERROR_KEEP,    /* report, go on; disable after PF_HANDLER_FAILURES_MAX in a row */
    PF_ERROR_DISABLE, /* report, disable a failing handler at once */
    PF_ERROR_STOP,    /* report, stop the loop; start returns the error */
};

struct pf_loop_error {
    int error;         /* the negative errno that a callback returned */
    int fd;            /* of a handler; -1 for callbacks and timers */
    const char *kind;  /* "handler", "callback", "timer", "signal", "future" */
    const char *where; /* "file.c:42", where it was registered, or NULL */
    bool disabled;     /* the handler was disabled for this */
    const char *what;  /* as pf_loop_describe_*() put it, or NULL */
};

/* The error hook; runs on the loop's thread, may call anything a callback may. */
typedef void pf_error_fn(pf_loop *loop, const struct pf_loop_error *error, void *arg);

enum pf_make_current {
    PF_CURRENT_IF_NONE, /* become this thread's current loop unless it has one */
    PF_CURRENT_ALWAYS,  /* -EEXIST if this thread has one */
    PF_CURRENT_NEVER,
};

/* Callbacks that may wait in a loop's queue before add_callback answers -ENOSPC. */
#define PF_LOOP_CALLBACKS_MAX 1000000
/* Callbacks from signal handlers that may wait before -EAGAIN. */
#define PF_LOOP_SIGNAL_CALLBACKS_MAX 256

/*
 * Options, by value; begin with PF_LOOP_OPTIONS_INIT. Fields are only ever added at the
 * end, and `size` tells the library which ones the caller knows.
 */
struct pf_loop_options {
    size_t size;
    enum pf_make_current make_current;
    enum pf_error_policy error_policy;
    pf_error_fn *on_error; /* NULL: the log, at error level */
    void *on_error_arg;
    pf_clock_fn *clock; /* NULL: CLOCK_MONOTONIC */
    void *clock_arg;
    const struct pf_poller_ops *poller; /* NULL: as configured, or the machine's best */
    void *poller_arg;
    size_t callbacks_max; /* 0: PF_LOOP_CALLBACKS_MAX */
    bool internal;        /* a framework's own loop: does not count as the program's */
    bool spin_allowed;    /* do not look for handlers that make the loop spin */
};
/* clang-format off */
#define PF_LOOP_OPTIONS_INIT \
    {sizeof(struct pf_loop_options), PF_CURRENT_IF_NONE, PF_ERROR_KEEP, NULL, NULL, NULL, \
     NULL, NULL, NULL, 0, false, false}
/* clang-format on */

/* ---- life ------------------------------------------------------------------------ */

/*
 * Make a loop, owned by this thread, with one reference. `options` may be NULL: those of
 * pf_loop_configure(), or the defaults.
 *
 * Returns 0, or -EEXIST (PF_CURRENT_ALWAYS and this thread has a current loop), -EMFILE,
 * -ENFILE, -ENOMEM, or what the poller's open() answers.
 * Any thread. Cost: one system call with epoll; the waker pipe is opened by the first
 * start, turn or pf_loop_fd(), which may fail with -EMFILE or -ENFILE for it.
 */
PF_API int pf_loop_new(const struct pf_loop_options *options, pf_loop **out);

/* As pf_loop_new(), naming where: "file.c:42", static text. */
PF_API int pf_loop_new_at(const struct pf_loop_options *options, const char *where,
                          pf_loop **out);
#define pf_loop_new(options, out) pf_loop_new_at((options), PF_HERE, (out))

/*
 * Options of the loops that are made without any: by pf_loop_new(NULL),
 * pf_loop_current(true) and pf_loop_instance(). Their poller also serves where options
 * leave it NULL. NULL goes back to the defaults. Copied; what it points to is borrowed for
 * the life of the process.
 *
 * Returns 0 or -EINVAL, with nothing changed. Any thread, before others make loops;
 * inherited over a fork. Source: Tornado's Configurable.
 */
PF_API int pf_loop_configure(const struct pf_loop_options *options);

/*
 * Hold the loop, so that other threads may go on calling add_callback on it, and get
 * -ESTALE after it was closed. Returns `loop`. Any thread; NULL gives NULL. In a child both
 * do nothing.
 */
PF_API pf_loop *pf_loop_ref(pf_loop *loop);

/* Drop a reference. The last one frees the memory, after a close if none came before. */
PF_API void pf_loop_unref(pf_loop *loop);

/*
 * Give up the kernel's resources; drop what is queued and registered. With all_fds, close
 * every registered descriptor too, by its closer where pf_loop_set_closer() named one. The
 * references stay: others may hold the loop.
 *
 * Returns 0, or -EBUSY (running, also from inside a callback), -ESTALE (closed already).
 * Any thread, if the loop is not running and its owner is in no other call of it.
 */
PF_API int pf_loop_close(pf_loop *loop, bool all_fds);

/*
 * In a child: free a loop that was inherited over a fork. Closes the loop's own descriptors
 * and changes no registration, so the parent's loop goes on undisturbed. Registered
 * descriptors stay open. Destroy functions of *_full registrations run. Other threads may
 * have been adding callbacks to it at the fork, and one may have been running it; but a
 * loop whose handlers, timers or futures another thread was changing just then may be
 * discarded by nobody.
 *
 * Returns 0, or -EBUSY if the loop belongs to this process: use pf_loop_close().
 * The pointer is dead afterwards, whatever references there were.
 */
PF_API int pf_loop_discard(pf_loop *loop);

/*
 * Make room now, so that as many descriptors (by number: 0..fds-1), timers and queued
 * callbacks need no allocation later. What waits for a future or runs in an executor takes
 * one of those callbacks. Returns 0, or -ENOMEM (also for more callbacks than
 * callbacks_max). Never shrinks.
 */
PF_API int pf_loop_reserve(pf_loop *loop, size_t fds, size_t timers, size_t callbacks);

/* ---- this thread's loop, and the process's --------------------------------------- */

/*
 * This thread's current loop, borrowed: valid until it is closed. With none: NULL, or, if
 * `make`, a new one that becomes current; NULL then means it could not be made. Closing a
 * loop that was made here gives up all of it, unless somebody took a reference; so does the
 * end of its thread, if it is still current there. A loop inherited over a fork is never
 * returned.
 */
PF_API pf_loop *pf_loop_current(bool make);

/* Make it this thread's current loop, and this thread its owner. Returns 0, or -EBUSY
 * (running in another thread). */
PF_API int pf_loop_make_current(pf_loop *loop);

/* This thread has no current loop any more. */
PF_API void pf_loop_clear_current(void);

/*
 * The process's loop, made by the first call from whichever thread; borrowed. Every thread
 * gets the same one. NULL only if it cannot be made. Closing it forgets it, too. In a
 * child: a new one.
 */
PF_API pf_loop *pf_loop_instance(void);

/* Has this process an instance? */
PF_API bool pf_loop_initialized(void);

/* Make it the process's instance; takes a reference. Returns 0, or -EEXIST if there is one.
 */
PF_API int pf_loop_install(pf_loop *loop);

/* Forget the instance and drop its reference; does not close what others hold. No-op
 * without one. */
PF_API void pf_loop_clear_instance(void);

/* ---- running --------------------------------------------------------------------- */

/*
 * Run until pf_loop_stop(). The loop is this thread's current one meanwhile.
 *
 * Returns 0 when stopped; -EBUSY if it runs already (also from inside a callback); under
 * PF_ERROR_STOP the error that stopped it; or what the poller's wait() failed with.
 * May be called again after it returned.
 */
PF_API int pf_loop_start(pf_loop *loop);

/*
 * Stop: from a callback or timer, after this iteration's callbacks and timers; from a
 * handler, after the rest of the batch and one more pass of callbacks and timers. Before
 * start: the next start returns at once and runs nothing. Twice counts once. Callbacks left
 * over run at the next start. From another thread: add_callback a function that stops.
 */
PF_API int pf_loop_stop(pf_loop *loop);

/*
 * One iteration, for a host that owns the main loop: steps 1 to 6, sleeping at most max_ns
 * (0: not at all, negative: no limit) in step 5. Returns the number of callbacks, timers
 * and handlers run, -EBUSY inside a callback, under PF_ERROR_STOP the error that was
 * reported, or what the poller's wait() failed with. A stop that was asked for is over.
 */
PF_API int pf_loop_turn(pf_loop *loop, int64_t max_ns);

/* A descriptor, borrowed, that polls readable when handlers are due or a callback was added
 * from another thread. Timers do not show in it: see pf_loop_next_deadline(). Or -ENOTSUP:
 * a poller without a descriptor, such as select's. */
PF_API int pf_loop_fd(pf_loop *loop);

/* When pf_loop_turn() is wanted next, on the loop's clock: now if callbacks are queued,
 * else never after the earliest timer (a timer that was moved on or removed may bring it
 * forward, once), else PF_NEVER; into *out. */
PF_API int pf_loop_next_deadline(pf_loop *loop, int64_t *out_ns);

/* The loop's clock, read now, into *out. Deadlines are on this clock. */
PF_API int pf_loop_time(pf_loop *loop, int64_t *out_ns);

/* The same clock, read at most once a batch of handlers, callbacks or timers: for hot paths
 * that need "about now". Returns it, or a negative errno. */
PF_API int64_t pf_loop_now(pf_loop *loop);

/* May the calling thread use this loop? 0, -ECHILD, -EPERM or -ESTALE, as every other call
 * answers. For objects that hang on a loop and share its guards. No system call. */
PF_API int pf_loop_check(pf_loop *loop);

/* ---- descriptors ----------------------------------------------------------------- */

/*
 * Call fn whenever `fd` becomes ready for `events`, until it is removed.
 *
 * fd      open and non-blocking; stays the caller's. Remove it before closing it.
 * events  PF_READ | PF_WRITE, at least one; PF_ERROR is always watched. PF_EXCLUSIVE too,
 *         if not all who watch the same open file are to be woken.
 * arg     handed to fn; borrowed.
 *
 * Returns 0, or -EINVAL (no event, an unknown one; PF_EXCLUSIVE of an epoll descriptor),
 * -EBADF, -EEXIST (already registered),
 * -ENOTSUP (not pollable, such as a regular file), -ENOSPC (kernel's watch limit), -ENOMEM.
 * Cost: one system call. Source: epoll_ctl(2).
 */
PF_API int pf_loop_add_handler(pf_loop *loop, int fd, unsigned events, pf_io_fn *fn,
                               void *arg);

/* The same, with a destroy function for arg (may be NULL) and where it was called. */
PF_API int pf_loop_add_handler_full(pf_loop *loop, int fd, unsigned events, pf_io_fn *fn,
                                    void *arg, pf_destroy_fn *destroy, const char *where);
#define pf_loop_add_handler(loop, fd, events, fn, arg)                                     \
    pf_loop_add_handler_full((loop), (fd), (events), (fn), (arg), NULL, PF_HERE)

/*
 * Watch for other events. 0 pauses: the descriptor is deregistered from the kernel, so that
 * not even a hang-up wakes the loop, until the next update. An event of this iteration that
 * is no longer asked for is not delivered.
 *
 * Returns 0, or -ENOENT (not registered), -EINVAL, -EBADF, -ENOTSUP (fd was closed, and is
 * something else now), -ENOSPC, -ENOMEM. The kernel cannot change a registration that has
 * PF_EXCLUSIVE, or is to get it: it is ended and made again, and after an error fd is
 * paused.
 * Cost: one system call if the events differ, two with PF_EXCLUSIVE.
 */
PF_API int pf_loop_update_handler(pf_loop *loop, int fd, unsigned events);

/*
 * Stop watching fd; its handler is not called again, not even for an event of this
 * iteration. Returns 0 or -ENOENT; cannot fail otherwise, even if fd is closed by now.
 */
PF_API int pf_loop_remove_handler(pf_loop *loop, int fd);

/*
 * The same, and close fd: one system call where the kernel forgets a descriptor that is
 * closed (epoll does), else two. Returns 0, or -ENOENT with nothing closed.
 */
PF_API int pf_loop_remove_and_close(pf_loop *loop, int fd);

/*
 * Close fd by `closer(fd, arg of the handler)` and not by close(2), where the loop closes
 * it: pf_loop_close() with all_fds and pf_loop_remove_and_close(). NULL: close(2) again.
 * For descriptors that are part of something larger. Must not call the loop. Returns 0 or
 * -ENOENT.
 */
PF_API int pf_loop_set_closer(pf_loop *loop, int fd, pf_close_fn *closer);

/* Say what the descriptor is for: "client", "death pipe". Borrowed text, shown by
 * pf_loop_walk() and in reports. Returns 0 or -ENOENT. */
PF_API int pf_loop_describe_handler(pf_loop *loop, int fd, const char *what);

/* ---- callbacks ------------------------------------------------------------------- */

/*
 * Call fn(loop, arg) once, in the next iteration, on the loop's thread. Every callback is
 * delivered, each thread's in the order it added them; nothing coalesces.
 *
 * Returns 0, or -ENOSPC (pf_loop_options.callbacks_max wait), -ENOMEM, -ESTALE.
 * Any thread; not from a signal handler. Cost: a mutex, and at most one write(2) for all
 * callbacks added while the loop sleeps; none when it is awake.
 */
PF_API int pf_loop_add_callback(pf_loop *loop, pf_callback_fn *fn, void *arg);

PF_API int pf_loop_add_callback_full(pf_loop *loop, pf_callback_fn *fn, void *arg,
                                     pf_destroy_fn *destroy, const char *where);
#define pf_loop_add_callback(loop, fn, arg)                                                \
    pf_loop_add_callback_full((loop), (fn), (arg), NULL, PF_HERE)

/*
 * The same from a signal handler: async-signal-safe, no lock, no allocation, errno kept.
 * The caller must hold a reference for as long as the handler may run.
 *
 * Returns 0, or -EAGAIN (PF_LOOP_SIGNAL_CALLBACKS_MAX wait; the loop was woken all the
 * same), -ESTALE.
 */
PF_API int pf_loop_add_callback_from_signal(pf_loop *loop, pf_callback_fn *fn, void *arg);

/* As add_callback, but detached from the caller's context: context hooks are not applied.
 */
PF_API int pf_loop_spawn_callback(pf_loop *loop, pf_callback_fn *fn, void *arg);

/* ---- timers ---------------------------------------------------------------------- */

/*
 * Call fn(loop, arg) once, at `when_ns` on the loop's clock or soon after, never before.
 * A deadline in the past is due at once; PF_NEVER never is. Equal deadlines fire in the
 * order they were added.
 *
 * out     the timer's name, for pf_loop_remove_timeout(); may be NULL.
 *
 * Returns 0 or -ENOMEM. Cost: O(log n), no system call.
 */
PF_API int pf_loop_call_at(pf_loop *loop, int64_t when_ns, pf_callback_fn *fn, void *arg,
                           pf_timer *out);

PF_API int pf_loop_call_at_full(pf_loop *loop, int64_t when_ns, pf_callback_fn *fn,
                                void *arg, pf_destroy_fn *destroy, const char *where,
                                pf_timer *out);
#define pf_loop_call_at(loop, when_ns, fn, arg, out)                                       \
    pf_loop_call_at_full((loop), (when_ns), (fn), (arg), NULL, PF_HERE, (out))

/* The same, delay_ns from now: from this moment, not from the start of the iteration.
 * Returns -EOVERFLOW too, if now + delay_ns does not fit; PF_NEVER is allowed. */
PF_API int pf_loop_call_later(pf_loop *loop, int64_t delay_ns, pf_callback_fn *fn,
                              void *arg, pf_timer *out);

PF_API int pf_loop_call_later_full(pf_loop *loop, int64_t delay_ns, pf_callback_fn *fn,
                                   void *arg, pf_destroy_fn *destroy, const char *where,
                                   pf_timer *out);
#define pf_loop_call_later(loop, delay_ns, fn, arg, out)                                   \
    pf_loop_call_later_full((loop), (delay_ns), (fn), (arg), NULL, PF_HERE, (out))

/*
 * Remove a timer; it will not fire, not even if it is due in this iteration. Returns 0, or
 * -ENOENT for one that has fired, was removed, or is {0}: harmless. Cannot fail otherwise.
 */
PF_API int pf_loop_remove_timeout(pf_loop *loop, pf_timer timer);

/*
 * Move a timer that has not fired to another deadline; among equals it is the last one now.
 * Cheaper than removing and adding, and it keeps its name. Returns 0 or -ENOENT; cannot
 * fail otherwise. Cost: O(1) for deadlines more than about a millisecond away, else O(log
 * n).
 */
PF_API int pf_loop_update_timeout(pf_loop *loop, pf_timer timer, int64_t when_ns);

/* As pf_loop_describe_handler(). */
PF_API int pf_loop_describe_timeout(pf_loop *loop, pf_timer timer, const char *what);

/* ---- signals --------------------------------------------------------------------- */

typedef int pf_signal_fn(pf_loop *loop, int signo, void *arg);

/*
 * Call fn on the loop's thread after the process got signal `signo`, until it is removed.
 * Signals that come before fn has run count once; one that comes while it runs, or after,
 * is never lost: it runs again. Several loops may take the same signal; each is told.
 *
 * The process's disposition is put back when the last registration of a signal goes. In a
 * child the old one is in force again from the first signal on, unless a loop of the
 * child's own takes it. Threads must not block the signal, or not all of them.
 *
 * Returns 0, or -EINVAL (no signal, SIGKILL, SIGSTOP), -ENOTSUP (SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL: the instruction would just run again), -EEXIST (this loop takes it already),
 * -EMFILE, -ENFILE (no waker), -ENOMEM. Cost: one or two system calls. Source:
 * sigaction(2).
 */
PF_API int pf_loop_add_signal(pf_loop *loop, int signo, pf_signal_fn *fn, void *arg);

PF_API int pf_loop_add_signal_full(pf_loop *loop, int signo, pf_signal_fn *fn, void *arg,
                                   pf_destroy_fn *destroy, const char *where);
#define pf_loop_add_signal(loop, signo, fn, arg)                                           \
    pf_loop_add_signal_full((loop), (signo), (fn), (arg), NULL, PF_HERE)

/* Stop taking it; one that has come and was not told yet is dropped. Returns 0 or -ENOENT.
 */
PF_API int pf_loop_remove_signal(pf_loop *loop, int signo);

/* ---- context --------------------------------------------------------------------- */

/*
 * What was around a registration is around its call again: Tornado's stack_context. For
 * request ids, tracing spans, transactions.
 *
 * capture asks for the context, at each registration (handler, callback, timer, future,
 * signal), on the thread that makes it, under no lock; NULL is none. enter runs just before
 * the call, and its result goes to leave, which runs just after it, when a failure has been
 * reported: the error hook still runs inside. release runs once for each captured context,
 * however the registration ends, and must not call the loop.
 *
 * pf_loop_add_callback_from_signal() and pf_loop_spawn_callback() capture nothing. Each of
 * the four may be NULL.
 */
struct pf_context_hooks {
    size_t size;
    void *(*capture)(void *arg);
    void *(*enter)(void *context, void *arg);
    void (*leave)(void *context, void *entered, void *arg);
    void (*release)(void *context, void *arg);
    void *arg;
};

/*
 * Use these hooks (copied; NULL: none) for what is registered from now on: before other
 * threads know the loop. Returns 0, or -EBUSY if something is registered or queued already.
 * Cost of hooks: a call of each for each call.
 */
PF_API int pf_loop_set_context_hooks(pf_loop *loop, const struct pf_context_hooks *hooks);

/* ---- looking in ------------------------------------------------------------------ */

/* Histograms are of powers of two: bucket i counts what took 2^i ns or longer, and less
 * than 2^(i+1); bucket 0 also what took less, the last one also what took longer. */
#define PF_LOOP_BUCKETS 40

/* Counts since the loop was made; fields are only ever added at the end. */
struct pf_loop_stats {
    size_t size;
    uint64_t turns;       /* iterations */
    uint64_t polls;       /* calls of the poller's wait() */
    uint64_t events;      /* handlers run */
    uint64_t stale;       /* events of registrations that were gone: dropped */
    uint64_t callbacks;   /* callbacks run */
    uint64_t timers;      /* timers run */
    uint64_t wakes;       /* bytes written to the waker pipe */
    uint64_t handlers;    /* registered now */
    uint64_t timers_live; /* waiting now */
    uint64_t signals;     /* signal functions run */
    uint64_t spins;       /* handlers disabled because they made the loop spin */
    int64_t busy_ns;      /* running things, from sleep to sleep; pf_loop_start() only */
    int64_t idle_ns;      /* asleep in the poller */
    uint64_t handler_ns[PF_LOOP_BUCKETS];  /* how long handlers ran */
    uint64_t lateness_ns[PF_LOOP_BUCKETS]; /* how long after its deadline a timer was due */
};

/* Fill *stats; set stats->size = sizeof *stats before. */
PF_API int pf_loop_stats(pf_loop *loop, struct pf_loop_stats *stats);

/* The least power of two, in ns, that at least `share` (0 to 1) of a histogram's values,
 * and one of them, stay below; 0 for an empty one. The last bucket's is no bound. Any
 * thread. */
PF_API int64_t pf_loop_quantile(const uint64_t buckets[PF_LOOP_BUCKETS], double share);

enum pf_loop_kind {
    PF_LOOP_HANDLER,
    PF_LOOP_TIMER,
    PF_LOOP_CALLBACK, /* queued */
    PF_LOOP_SIGNAL,
    PF_LOOP_FUTURE, /* waited for with pf_loop_add_future() */
};

/* One thing that a loop will call. */
struct pf_loop_item {
    size_t size;
    enum pf_loop_kind kind;
    const char *where; /* "file.c:42", or NULL */
    const char *what;  /* as described, or NULL */
    void *arg;
    int fd;              /* of a handler, else -1 */
    unsigned events;     /* of a handler; 0: paused or disabled */
    pf_timer timer;      /* of a timer */
    int64_t deadline_ns; /* of a timer */
    int signo;           /* of a signal */
};

/* Not 0 ends the walk and is its result. Must not change the loop. */
typedef int pf_walk_fn(const struct pf_loop_item *item, void *arg);

/* Show all that is registered and queued, kind by kind. Returns 0 or what fn ended it with.
 */
PF_API int pf_loop_walk(pf_loop *loop, pf_walk_fn *fn, void *arg);

/* The name of the loop's poller: "epoll". NULL only for NULL. Any thread. */
PF_API const char *pf_loop_poller(const pf_loop *loop);

/*
 * Notice when the loop has been calling things for threshold_ns or longer since it last
 * polled, and say so once: in the log, with where the running call was registered (signo
 * 0), or by sending `signo` to the loop's thread, whose default action may well end the
 * process. threshold_ns 0 ends it.
 *
 * A thread of its own looks four times in each threshold; a loop that sleeps in its poller
 * is never blocked, and of a time in which the whole process stood still it counts no more
 * than half a threshold. A log sink is called by that thread, and must not wait for the
 * loop's. Returns 0, -EINVAL (a threshold below 1 ms, not a signal), or -ENOMEM, -EAGAIN
 * (no thread). Cost: one store for each call.
 */
PF_API int pf_loop_set_blocking_threshold(pf_loop *loop, int64_t threshold_ns, int signo);

/*
 * Let others see from outside whether the loop turns: from now on it stores its beat in
 * *beat, which lies in memory of the caller's, often shared. The beat is turns * 2 while
 * the loop sleeps in its poller and turns * 2 + 1 while it runs callbacks, so one that
 * stays odd and the same is stuck. NULL ends it. Cost: two stores an iteration.
 */
PF_API int pf_loop_set_beat(pf_loop *loop, uint64_t *beat);

/*
 * Does the program own a loop in this process, other than internal ones? Returns where one
 * was made ("file.c:42"), or NULL if there is none. Any thread.
 */
PF_API const char *pf_loop_owned(void);

#ifdef __cplusplus
}
#endif
#endif
