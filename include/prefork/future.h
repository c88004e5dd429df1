/*
 * future.h - a result that comes later; Tornado's Future, add_future and run_sync.
 *
 *     pf_future *answer;
 *     int err = pf_future_new(loop, &answer);
 *     ...
 *     pf_loop_add_future(loop, answer, on_answer, arg);
 *     ...
 *     pf_future_set_value(answer, text, free);     on_answer runs in the next iteration
 *     pf_future_unref(answer);
 *
 * A future is set once: with a value or with an error, which are kept apart. Whoever waits
 * is called in a later iteration of the loop, never from inside the call that set it, also
 * if it was set already when the wait began. That call can no longer fail: what it needs
 * was put aside when the wait began.
 *
 * A future belongs to a loop and is used on that loop's thread alone: elsewhere every call
 * answers -EPERM, in a child -ECHILD, after the loop is closed -ESTALE. Another thread that
 * has the result adds a callback to the loop which sets it; executor.h does so.
 *
 * References are counted. If the last one goes while nothing has been set, those who wait
 * get -ECANCELED. An error that nobody has asked for, by pf_future_result() or by
 * cancelling, is reported to the loop's error hook, as kind "future", when the last
 * reference goes.
 */
#ifndef PREFORK_FUTURE_H
#define PREFORK_FUTURE_H

#include <prefork/base.h>
#include <prefork/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_future pf_future;

/* `future` is done, and borrowed: take a reference to keep it. A negative result is
 * reported. */
typedef int pf_future_fn(pf_loop *loop, pf_future *future, void *arg);

/*
 * Asked when somebody cancels a pending future: stop the work that was to set it. Returns 0
 * if the work will not go on, so that the future fails with -ECANCELED, or a negative
 * errno, which pf_future_cancel() then answers. Must not set the future.
 */
typedef int pf_cancel_fn(pf_future *future, void *arg);

/* ---- for whoever will have the result -------------------------------------------- */

/* Make a pending future with one reference. Returns 0 or -ENOMEM. */
PF_API int pf_future_new(pf_loop *loop, pf_future **out);

/* The same, with where it was called. */
PF_API int pf_future_new_at(pf_loop *loop, const char *where, pf_future **out);
#define pf_future_new(loop, out) pf_future_new_at((loop), PF_HERE, (out))

/*
 * Set the value. `destroy`, which may be NULL, is called for it when the last reference to
 * the future has gone. Returns 0, or -EALREADY: it is done, and the value stays the
 * caller's.
 */
PF_API int pf_future_set_value(pf_future *future, void *value, pf_destroy_fn *destroy);

/* Set the error, a negative errno. Returns 0, or -EALREADY, -EINVAL (not negative). */
PF_API int pf_future_set_error(pf_future *future, int error);

/* Be asked when somebody cancels. One function; NULL: none, and cancelling always succeeds.
 * Forgotten when the future is done. Returns 0, or -EALREADY. */
PF_API int pf_future_on_cancel(pf_future *future, pf_cancel_fn *fn, void *arg);

/* ---- for whoever wants it -------------------------------------------------------- */

/* Hold it; returns it. On another thread neither this nor the next does anything. */
PF_API pf_future *pf_future_ref(pf_future *future);

/* Drop a reference. NULL is fine. In a child, and after the loop is closed, too: the last
 * one frees the memory, and destroys the value and the args of those who waited. */
PF_API void pf_future_unref(pf_future *future);

/* Is it set? False in a child, on another thread, and once the loop is closed. */
PF_API bool pf_future_is_done(const pf_future *future);

/*
 * What it was set to: *error is 0 or the negative errno; *value is the value, borrowed,
 * valid as long as the future; NULL with an error. Either may be NULL. Returns 0, or
 * -EINPROGRESS. */
PF_API int pf_future_result(pf_future *future, int *error, void **value);

/*
 * Give up: a pending future fails with -ECANCELED, unless its work cannot be stopped.
 * Returns 0, -EALREADY (done), or what the work answered, such as -EBUSY (running; also
 * from inside a pf_cancel_fn of its own).
 */
PF_API int pf_future_cancel(pf_future *future);

/*
 * Call fn(loop, future, arg) once the future is done, in a later iteration. Several may
 * wait; they are called in the order in which they came, among the callbacks.
 *
 * Returns 0, or -ENOMEM, -ENOSPC (pf_loop_options.callbacks_max wait for futures and
 * executors of this loop, or twice as many for those and in its queue), -EXDEV (another
 * loop's future).
 */
PF_API int pf_loop_add_future(pf_loop *loop, pf_future *future, pf_future_fn *fn,
                              void *arg);

PF_API int pf_loop_add_future_full(pf_loop *loop, pf_future *future, pf_future_fn *fn,
                                   void *arg, pf_destroy_fn *destroy, const char *where);
#define pf_loop_add_future(loop, future, fn, arg)                                          \
    pf_loop_add_future_full((loop), (future), (fn), (arg), NULL, PF_HERE)

/* Wait no longer: the first wait with this fn and arg will not be called, even if the
 * future is done by now. Returns 0 or -ENOENT. */
PF_API int pf_loop_remove_future(pf_loop *loop, pf_future *future, pf_future_fn *fn,
                                 void *arg);

/* ---- several at once ------------------------------------------------------------- */

/*
 * A future that is done when all of `futures` are. Its error is that of the first in the
 * list which failed, and it asks for the errors of the others, too; its value is NULL: read
 * each one. With count 0 it is done at once. Cancelling it cancels those that are pending.
 *
 * Takes a reference to each. Returns 0, or -ENOMEM, -ENOSPC, -EXDEV.
 */
PF_API int pf_future_all(pf_loop *loop, pf_future *const *futures, size_t count,
                         pf_future **out);

/*
 * A future that is done when one of `futures` is, whether with a value or an error. Its
 * value is that pf_future, borrowed. The others go on; cancel them if they are not wanted.
 *
 * Takes a reference to each. Returns 0, or -EINVAL (count 0), -ENOMEM, -ENOSPC, -EXDEV.
 */
PF_API int pf_future_any(pf_loop *loop, pf_future *const *futures, size_t count,
                         pf_future **out);

/* ---- running to an end ----------------------------------------------------------- */

/*
 * What pf_loop_run_sync() runs. May put a future into *out, handing over a reference, and
 * return 0: then the run ends when that is done. Else it ends at once, with the function's
 * own result, if that is negative, as the error; a future is cancelled then.
 */
typedef int pf_sync_fn(pf_loop *loop, void *arg, pf_future **out);

/*
 * Start the loop, run fn(loop, arg, ...) in it, and stop when its result is there.
 *
 * timeout_ns  from now; PF_NEVER: none; fn is run, whatever it is
 * error       what fn or its future failed with, or 0; not NULL
 * value       the future's value; may be NULL. If it has a destroy function the value is
 * gone when this returns: keep a reference to the future to use it.
 *
 * Returns 0 when the result is there, whatever it is: see *error. Else -ETIMEDOUT (the
 * future is cancelled, and not waited for), -EINTR (the loop was stopped by somebody else,
 * or before fn ran), -EBUSY (it runs already), -EOVERFLOW (now + timeout_ns), -ENOMEM,
 * -ENOSPC, -EXDEV (another loop's future), or what pf_loop_start() answers; then *error and
 * *value are untouched. The loop can be used again in any case, and a stop that was asked
 * for before is spent.
 */
PF_API int pf_loop_run_sync(pf_loop *loop, pf_sync_fn *fn, void *arg, int64_t timeout_ns,
                            int *error, void **value);

#ifdef __cplusplus
}
#endif
#endif
