/*
 * sync.c - run a loop until one result is there: pf_loop_run_sync().
 *
 * The function is run by a timer that is due at once, and not by a callback: a timer can be
 * removed, so nothing is left behind if the loop stops before its turn comes.
 */
#include "loop/internal.h"

#include <prefork/future.h>

#include <errno.h>

#define WHERE "pf_loop_run_sync"

/* No result and no failure yet. */
#define PENDING 1

struct run {
    pf_sync_fn *fn;
    void *arg;
    pf_future *future; /* what fn gave; ours to drop */
    int outcome;       /* PENDING, or what to return */
    int error;         /* with outcome 0 */
    void *value;
    pf_timer begin, limit;
};

static int on_done(pf_loop *loop, pf_future *future, void *arg)
{
    (void)future, (void)arg; /* collect() looks */
    return pf_loop_stop(loop);
}

static int end(pf_loop *loop, struct run *run, int outcome)
{
    run->outcome = outcome;
    return pf_loop_stop(loop);
}

static int on_begin(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    int result = run->fn(loop, run->arg, &run->future);
    if (result < 0 || !run->future) {
        run->error = result < 0 ? result : 0;
        return end(loop, run, 0);
    }
    int err = pf_loop_add_future_full(loop, run->future, on_done, run, NULL, WHERE);
    return err ? end(loop, run, err) : 0;
}

static int on_limit(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    return run->outcome == PENDING ? end(loop, run, -ETIMEDOUT) : 0;
}

static int set_timers(pf_loop *loop, struct run *run, int64_t timeout_ns)
{
    int err = pf_loop_call_later_full(loop, 0, on_begin, run, NULL, WHERE, &run->begin);
    if (err || timeout_ns == PF_NEVER)
        return err;
    if (timeout_ns < 0) /* not before fn */
        timeout_ns = 0;
    err =
        pf_loop_call_later_full(loop, timeout_ns, on_limit, run, NULL, WHERE, &run->limit);
    if (err)
        (void)pf_loop_remove_timeout(loop, run->begin);
    return err;
}

/* The loop has stopped, for whatever reason; a result that is there is the result. */
static void collect(struct run *run, int started)
{
    if (run->outcome != 0 && pf_future_is_done(run->future)) {
        (void)pf_future_result(run->future, &run->error, &run->value);
        run->outcome = 0;
    }
    if (run->outcome == PENDING)
        run->outcome = started < 0 ? started : -EINTR;
    else if (run->future)
        (void)pf_future_cancel(run->future); /* if it is pending: nobody waits for it */
}

static void clear(pf_loop *loop, struct run *run)
{
    (void)pf_loop_remove_timeout(loop, run->begin);
    (void)pf_loop_remove_timeout(loop, run->limit);
    if (run->future)
        (void)pf_loop_remove_future(loop, run->future, on_done, run);
}

int pf_loop_run_sync(pf_loop *loop, pf_sync_fn *fn, void *arg, int64_t timeout_ns,
                     int *error, void **value)
{
    int err = fn && error ? pf__loop_check(loop) : -EINVAL;
    if (!err && atomic_load(&loop->running))
        err = -EBUSY;
    struct run run = {.fn = fn, .arg = arg, .outcome = PENDING};
    if (!err)
        err = set_timers(loop, &run, timeout_ns);
    if (err)
        return err;

    pf_loop_ref(loop); /* a callback may drop the program's last one */
    int started = pf_loop_start(loop);
    if (started != -ECHILD) { /* else we are in a child, where the loop may be gone */
        collect(&run, started);
        clear(loop, &run);
        pf_loop_unref(loop);
    }
    pf_future_unref(run.future);
    if (started == -ECHILD)
        return started;
    if (run.outcome == 0) {
        *error = run.error;
        if (value)
            *value = run.value;
    }
    return run.outcome;
}
