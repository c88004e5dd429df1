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

#define EVENTS_ALL (PF_READ | PF_WRITE | PF_ERROR | PF_EXCLUSIVE)

/* PF_ERROR is always watched, and PF_EXCLUSIVE says how: alone they are no interest. */
static bool wants_something(unsigned events)
{
    return (events & (PF_READ | PF_WRITE)) != 0;
}

int pf__loop_watch(pf_loop *loop, int fd, struct pf__handler *handler, unsigned events)
{
    uint64_t tag = pf__handler_tag(fd, handler);
    if (handler->events && ((handler->events | events) & PF_EXCLUSIVE))
        pf__loop_unwatch(loop, fd, handler);
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

/* 0 is no generation, so that no tag is 0. */
static uint32_t next_generation(uint32_t generation)
{
    return generation == UINT32_MAX ? 1 : generation + 1;
}

int pf_loop_add_handler_full(pf_loop *loop, int fd, unsigned events, pf_io_fn *fn,
                             void *arg, pf_destroy_fn *destroy, const char *where)
{
    int err = pf__loop_check(loop);
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
    *handler = (struct pf__handler){
        .arg = arg, .where = where, .generation = next_generation(handler->generation)};
    err = pf__loop_watch(loop, fd, handler, events);
    if (err)
        return err;
    handler->fn = fn;
    loop->handlers.count++;
    void *context = pf__context_capture(&loop->hooks);
    if (destroy || context) {
        struct pf__handler_more *more = pf__handlers_add_more(&loop->handlers, fd);
        more->destroy = destroy;
        more->context = context;
    }
    return 0;
}

int(pf_loop_add_handler)(pf_loop *loop, int fd, unsigned events, pf_io_fn *fn, void *arg)
{
    return pf_loop_add_handler_full(loop, fd, events, fn, arg, NULL, NULL);
}

int pf_loop_update_handler(pf_loop *loop, int fd, unsigned events)
{
    int err = pf__loop_check(loop);
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
    err = pf__loop_watch(loop, fd, handler, events);
    loop->changed_in_batch |= !err;
    return err;
}

/* Forget a registration that the kernel has been told about. */
static void forget(pf_loop *loop, int fd, struct pf__handler *handler)
{
    struct pf__handler_more more = pf__handlers_more(&loop->handlers, fd);
    void *arg = handler->arg;
    handler->fn = NULL;
    loop->handlers.count--;
    if (loop->running_tag == pf__handler_tag(fd, handler))
        pf__loop_end_late(loop, more.destroy, arg, more.context);
    else
        pf__loop_end(loop, more.destroy, arg, more.context);
}

int pf_loop_remove_handler(pf_loop *loop, int fd)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    struct pf__handler *handler = pf__handlers_find(&loop->handlers, fd);
    if (!handler)
        return -ENOENT;
    pf__loop_unwatch(loop, fd, handler);
    forget(loop, fd, handler);
    return 0;
}

void pf__loop_close_descriptor(pf_loop *loop, int fd)
{
    pf_close_fn *closer = pf__handlers_more(&loop->handlers, fd).closer;
    if (closer)
        closer(fd, loop->handlers.at[fd].arg);
    else
        (void)close(fd); /* whatever it says, it is gone: close(2) */
}

int pf_loop_remove_and_close(pf_loop *loop, int fd)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    struct pf__handler *handler = pf__handlers_find(&loop->handlers, fd);
    if (!handler)
        return -ENOENT;
    bool is_enough =
        loop->poller->close_removes && !pf__handlers_more(&loop->handlers, fd).closer;
    if (is_enough)
        handler->events = 0; /* another process may still hold the file: see exorcise() */
    pf__loop_unwatch(loop, fd, handler);
    pf__loop_close_descriptor(loop, fd);
    forget(loop, fd, handler);
    return 0;
}

static int find_more(pf_loop *loop, int fd, struct pf__handler_more **out)
{
    int err = pf__loop_check(loop);
    if (!err && !pf__handlers_find(&loop->handlers, fd))
        err = -ENOENT;
    if (!err)
        *out = pf__handlers_add_more(&loop->handlers, fd);
    return err;
}

int pf_loop_set_closer(pf_loop *loop, int fd, pf_close_fn *closer)
{
    struct pf__handler_more *more;
    int err = find_more(loop, fd, &more);
    if (!err)
        more->closer = closer;
    return err;
}

void pf__context_share(pf_loop *loop, pf_timer timer, int fd)
{
    struct pf__handler_more *more;
    void *around = pf__timers_context(&loop->timers, timer), *context = NULL;
    if (!loop->hooks.capture)
        return;
    if (around) {
        void *entered = pf__context_enter(&loop->hooks, around);
        context = pf__context_capture(&loop->hooks);
        pf__context_leave(&loop->hooks, around, entered);
    }
    if (find_more(loop, fd, &more) == 0) {
        void *before = more->context;
        more->context = context;
        context = before;
    }
    pf__context_release(&loop->hooks, context);
}

int pf_loop_describe_handler(pf_loop *loop, int fd, const char *what)
{
    struct pf__handler_more *more;
    int err = find_more(loop, fd, &more);
    if (!err)
        more->what = what;
    return err;
}

/* ---- callbacks ------------------------------------------------------------------- */

/*
 * It is in the queue, which is locked: wake the loop, once the lock is free. close() waits
 * for `wakers`, and so cannot take the pipe away meanwhile. The owner's own loop is awake,
 * or about to look.
 */
static void wake_and_unlock(pf_loop *loop)
{
    bool wake =
        atomic_load_explicit(&loop->owner, memory_order_relaxed) != pf__thread_mark() &&
        pf__waker_claim(&loop->waker);
    if (wake)
        atomic_fetch_add(&loop->wakers, 1);
    pthread_mutex_unlock(&loop->callbacks.lock);
    if (!wake)
        return;
    pf__waker_write(&loop->waker);
    atomic_fetch_sub(&loop->wakers, 1);
}

static int add_callback(pf_loop *loop, const struct pf__callback *callback)
{
    int err = pf__callbacks_add_locked(&loop->callbacks, callback);
    if (!err)
        wake_and_unlock(loop);
    return err;
}

static int check_anywhere(const pf_loop *loop, pf_callback_fn *fn)
{
    if (!loop || !fn)
        return -EINVAL;
    return pf__loop_is_inherited(loop) ? -ECHILD : 0;
}

int pf_loop_add_callback_full(pf_loop *loop, pf_callback_fn *fn, void *arg,
                              pf_destroy_fn *destroy, const char *where)
{
    int err = check_anywhere(loop, fn);
    if (err)
        return err;
    void *context = pf__context_capture(&loop->hooks);
    err = add_callback(loop, &(struct pf__callback){fn, arg, destroy, where, context});
    if (err)
        pf__context_release(&loop->hooks, context);
    return err;
}

int(pf_loop_add_callback)(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    return pf_loop_add_callback_full(loop, fn, arg, NULL, NULL);
}

int pf_loop_spawn_callback(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    int err = check_anywhere(loop, fn);
    return err ? err : add_callback(loop, &(struct pf__callback){.fn = fn, .arg = arg});
}

int pf__loop_promise(pf_loop *loop)
{
    return pf__callbacks_promise(&loop->callbacks);
}

void pf__loop_unpromise(pf_loop *loop)
{
    pf__callbacks_unpromise(&loop->callbacks);
}

int pf__loop_keep_promise(pf_loop *loop, const struct pf__callback *callback)
{
    int err = pf__callbacks_keep_locked(&loop->callbacks, callback);
    if (!err)
        wake_and_unlock(loop);
    return err;
}

int pf_loop_add_callback_from_signal(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    int err = check_anywhere(loop, fn);
    if (err)
        return err;
    /* close() sets `closed`, then waits for those it may have missed. */
    atomic_fetch_add(&loop->wakers, 1);
    err = -ESTALE;
    if (!atomic_load(&loop->closed)) {
        err = pf__signal_ring_put(&loop->ring, fn, arg);
        pf__waker_wake(&loop->waker);
    }
    atomic_fetch_sub(&loop->wakers, 1);
    return err;
}

/* ---- timers ---------------------------------------------------------------------- */

int pf_loop_call_at_full(pf_loop *loop, int64_t when_ns, pf_callback_fn *fn, void *arg,
                         pf_destroy_fn *destroy, const char *where, pf_timer *out)
{
    int err = pf__loop_check(loop);
    if (!err && !fn)
        err = -EINVAL;
    if (err)
        return err;
    struct pf__timer_call call = {fn, arg, destroy, where};
    struct pf__timer_more more = {.context = pf__context_capture(&loop->hooks)};
    pf__timers_set_now(&loop->timers, loop->now);
    err = pf__timers_add(&loop->timers, when_ns, &call, more.context ? &more : NULL, out);
    if (err)
        pf__context_release(&loop->hooks, more.context);
    return err;
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
    loop->now = when;
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
    int err = pf__loop_check(loop);
    if (err)
        return err;
    struct pf__timer_call call;
    struct pf__timer_more more;
    err = pf__timers_remove(&loop->timers, timer, &call, &more);
    if (!err)
        pf__loop_end(loop, call.destroy, call.arg, more.context);
    return err;
}

int pf_loop_update_timeout(pf_loop *loop, pf_timer timer, int64_t when_ns)
{
    int err = pf__loop_check(loop);
    return err ? err : pf__timers_move(&loop->timers, timer, when_ns);
}

int pf_loop_describe_timeout(pf_loop *loop, pf_timer timer, const char *what)
{
    int err = pf__loop_check(loop);
    return err ? err : pf__timers_describe(&loop->timers, timer, what);
}

/* ---- room ------------------------------------------------------------------------ */

int pf_loop_reserve(pf_loop *loop, size_t fds, size_t timers, size_t callbacks)
{
    int err = pf__loop_check(loop);
    if (!err)
        err = pf__handlers_reserve(&loop->handlers, fds);
    if (!err && loop->poller->reserve)
        err = loop->poller->reserve(loop->poll_state, fds);
    if (!err)
        err = pf__timers_reserve(&loop->timers, timers);
    if (!err)
        err = pf__callbacks_reserve(&loop->callbacks, callbacks);
    return err;
}
