/*
 * periodic.h - a callback every so often; Tornado's PeriodicCallback.
 *
 *     pf_periodic *tick;
 *     int err = pf_periodic_new(loop, PF_SECOND, on_second, arg, &tick);
 *     ...
 *     pf_periodic_start(tick);        the first call comes one period later
 *     pf_periodic_free(tick);
 *
 * Calls lie on a grid: start + k * period. A call that takes longer than a period loses the
 * ones it overran and does not shift the grid. If the clock goes back the next call is one
 * period after the last.
 *
 * It belongs to its loop and is used on that loop's thread: in a child every call answers
 * -ECHILD, elsewhere -EPERM, and -ESTALE once the loop is closed.
 */
#ifndef PREFORK_PERIODIC_H
#define PREFORK_PERIODIC_H

#include <prefork/base.h>
#include <prefork/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_periodic pf_periodic;

/*
 * Make one, not started. fn returns 0 to go on, PF_DONE to stop; a negative errno is
 * reported and the schedule goes on. It may stop, restart and free the periodic; then
 * PF_DONE says no more.
 *
 * period_ns  more than 0
 *
 * Returns 0, or -EINVAL, -ENOMEM. Free it with pf_periodic_free().
 */
PF_API int pf_periodic_new(pf_loop *loop, int64_t period_ns, pf_callback_fn *fn, void *arg,
                           pf_periodic **out);

/* The same, with where it was called. */
PF_API int pf_periodic_new_at(pf_loop *loop, int64_t period_ns, pf_callback_fn *fn,
                              void *arg, const char *where, pf_periodic **out);
#define pf_periodic_new(loop, period_ns, fn, arg, out)                                     \
    pf_periodic_new_at((loop), (period_ns), (fn), (arg), PF_HERE, (out))

/*
 * Vary each period at random by up to fraction / 2 in both directions, so that many
 * processes do not act in step. 0 (the default) to 1. Returns 0 or -EINVAL.
 */
PF_API int pf_periodic_set_jitter(pf_periodic *periodic, double fraction);

/* Start, or start over: the next call is one period from now. Returns 0, or -ENOMEM,
 * -EOVERFLOW (now + period). */
PF_API int pf_periodic_start(pf_periodic *periodic);

/* No call comes any more until the next start. Returns 0, also if it was not running. */
PF_API int pf_periodic_stop(pf_periodic *periodic);

/* Does a call come? False in a child, on another thread, and once the loop is closed. */
PF_API bool pf_periodic_is_running(const pf_periodic *periodic);

/* Stop it and free it. NULL is fine. In a child: frees the memory. On another thread it
 * does nothing while the loop is open. */
PF_API void pf_periodic_free(pf_periodic *periodic);

#ifdef __cplusplus
}
#endif
#endif
