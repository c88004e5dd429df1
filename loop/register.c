/*
 * register.c - what a loop is told to watch and to call: handlers, callbacks, timers.
 *
 * Each function first asks the guards, then changes one table. None calls back, none
 * sleeps.
 */
#include "loop/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- descriptors ----------------------------------------------------------------- */

#define EVENTS_ALL (PF_READ | PF_WRITE | PF_ERROR)

/* What is asked of the kernel: PF_ERROR is always watched, and alone it is no interest. */
static bool wants_something(unsigned events)
{
    return (events & (PF_READ | PF_WRITE)) != 0;
}

int pf__loop_watch(pf_loop *loop, int fd, struct pf__handler *handler, unsigned events)
{
    uint64_t tag = pf__handler_tag(fd, handler);
    int err = handler->events ? loop->poller->modify(loop->poll_state, fd, events, tag)
                              : loop->poller->add(loop->poll_state, fd, events, tag);
    if (!err)
        handler->events = (uint16_t)events;
    return err;
}

void pf__loop_unwatch(pf_loop *loop, int fd, struct pf__handler *handler)
{
    if (handler->events)
        (void)loop->poller->remove(loop->poll_state, fd);
    handler->events = 0;
    loop->changed_in_batch = true;
}

int pf_loop_add_handler_full(pf_loop *loop, int fd, unsigned events, pf_io_fn *fn,
                             void *arg, pf_destroy_fn *destroy, const char *where)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    if (!fn || !wants_something(events) || (events & ~EVENTS_ALL))
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    if (pf__handlers_find(&loop->handlers, fd))
        return -EEXIST;
    /* The table is as long as the highest number in it: do not grow it for one that is not
     * even open. */
    if ((size_t)fd >= loop->handlers.capacity && fcntl(fd, F_GETFD) == -1)
        return -EBADF;
    err = pf__handlers_reserve(&loop->handlers, (size_t)fd + 1);
    if (err)
        return err;

    struct pf__handler *handler = &loop->handlers.at[fd];
    *handler = (struct pf__handler){.arg = arg,
                                    .destroy = destroy,
                                    .where = where,
                                    .generation = handler->generation + 1};
    err = pf__loop_watch(loop, fd, handler, events);
    if (err)
        return err;
    handler->fn = fn;
    loop->handlers.count++;
    return 0;
}

int(pf_loop_add_handler)(pf_loop *loop, int fd, unsigned events, pf_io_fn *fn, void *arg)
{
    return pf_loop_add_handler_full(loop, fd, events, fn, arg, NULL, NULL);
}

int pf_loop_update_handler(pf_loop *loop, int fd, unsigned events)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    struct pf__handler *handler = pf__handlers_find(&loop->handlers, fd);
    if (!handler)
        return -ENOENT;
    if (events & ~EVENTS_ALL)
        return -EINVAL;
    if (events == 0) {
        pf__loop_unwatch(loop, fd, handler);
        return 0;
    }
    if (!wants_something(events))
        return -EINVAL;
    if (events == handler->events)
        return 0;
    loop->changed_in_batch = true;
    return pf__loop_watch(loop, fd, handler, events);
}

int pf_loop_remove_handler(pf_loop *loop, int fd)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    struct pf__handler *handler = pf__handlers_find(&loop->handlers, fd);
    if (!handler)
        return -ENOENT;
    pf__loop_unwatch(loop, fd, handler);
    handler->fn = NULL;
    loop->handlers.count--;
    if (!handler->destroy)
        return 0;
    if (loop->running_tag == pf__handler_tag(fd, handler)) {
        loop->late_destroy = handler->destroy; /* it runs: its arg must outlive it */
        loop->late_arg = handler->arg;
    } else {
        handler->destroy(handler->arg);
    }
    return 0;
}

int pf_loop_remove_and_close(pf_loop *loop, int fd)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    struct pf__handler *handler = pf__handlers_find(&loop->handlers, fd);
    if (!handler)
        return -ENOENT;
    if (loop->poller->close_removes)
        handler->events = 0; /* another process may still hold the file: see exorcise() */
    (void)pf_loop_remove_handler(loop, fd);
    (void)close(fd); /* whatever it says, it is gone: close(2) */
    return 0;
}

/* ---- callbacks ------------------------------------------------------------------- */

static int add_callback(pf_loop *loop, const struct pf__callback *callback)
{
    if (!loop || !callback->fn)
        return -EINVAL;
    if (!pf__process_is(loop->cookie))
        return -ECHILD;
    int err = pf__callbacks_add_locked(&loop->callbacks, callback);
    if (err)
        return err;
    /* Under the lock, so that close() cannot take the pipe away in between. The owner's own
     * loop is awake, or about to look. */
    if (atomic_load(&loop->owner) != pf__thread_mark())
        pf__waker_wake(&loop->waker);
    pthread_mutex_unlock(&loop->callbacks.lock);
    return 0;
}

int pf_loop_add_callback_full(pf_loop *loop, pf_callback_fn *fn, void *arg,
                              pf_destroy_fn *destroy, const char *where)
{
    return add_callback(loop, &(struct pf__callback){fn, arg, destroy, where});
}

int(pf_loop_add_callback)(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    return pf_loop_add_callback_full(loop, fn, arg, NULL, NULL);
}

int pf_loop_spawn_callback(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    return add_callback(loop, &(struct pf__callback){.fn = fn, .arg = arg});
}

int pf_loop_add_callback_from_signal(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    if (!loop || !fn)
        return -EINVAL;
    if (!pf__process_is(loop->cookie))
        return -ECHILD;
    /* close() sets `closed`, then waits for the users it may have missed. */
    atomic_fetch_add(&loop->signal_users, 1);
    int err = -ESTALE;
    if (!atomic_load(&loop->closed)) {
        err = pf__signal_ring_put(&loop->signals, fn, arg);
        pf__waker_wake(&loop->waker);
    }
    atomic_fetch_sub(&loop->signal_users, 1);
    return err;
}

/* ---- timers ---------------------------------------------------------------------- */

int pf_loop_call_at_full(pf_loop *loop, int64_t when_ns, pf_callback_fn *fn, void *arg,
                         pf_destroy_fn *destroy, const char *where, pf_timer *out)
{
    int err = pf_loop_check(loop);
    if (!err && !fn)
        err = -EINVAL;
    if (err)
        return err;
    struct pf__timer_call call = {fn, arg, destroy, where};
    return pf__timers_add(&loop->timers, when_ns, &call, out);
}

int(pf_loop_call_at)(pf_loop *loop, int64_t when_ns, pf_callback_fn *fn, void *arg,
                     pf_timer *out)
{
    return pf_loop_call_at_full(loop, when_ns, fn, arg, NULL, NULL, out);
}

int pf_loop_call_later_full(pf_loop *loop, int64_t delay_ns, pf_callback_fn *fn, void *arg,
                            pf_destroy_fn *destroy, const char *where, pf_timer *out)
{
    int64_t when = 0;
    int err = pf_loop_time(loop, &when);
    if (err)
        return err;
    if (delay_ns == PF_NEVER)
        when = PF_NEVER;
    else if (__builtin_add_overflow(when, delay_ns, &when))
        return -EOVERFLOW;
    return pf_loop_call_at_full(loop, when, fn, arg, destroy, where, out);
}

int(pf_loop_call_later)(pf_loop *loop, int64_t delay_ns, pf_callback_fn *fn, void *arg,
                        pf_timer *out)
{
    return pf_loop_call_later_full(loop, delay_ns, fn, arg, NULL, NULL, out);
}

int pf_loop_remove_timeout(pf_loop *loop, pf_timer timer)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    struct pf__timer_call call;
    err = pf__timers_remove(&loop->timers, timer, &call);
    if (!err && call.destroy)
        call.destroy(call.arg);
    return err;
}

/* ---- room ------------------------------------------------------------------------ */

int pf_loop_reserve(pf_loop *loop, size_t fds, size_t timers, size_t callbacks)
{
    int err = pf_loop_check(loop);
    if (!err)
        err = pf__handlers_reserve(&loop->handlers, fds);
    if (!err)
        err = pf__timers_reserve(&loop->timers, timers);
    if (!err)
        err = pf__callbacks_reserve(&loop->callbacks, callbacks);
    return err;
}
