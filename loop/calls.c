/*
 * calls.c - what a loop calls: callbacks, signals, timers, handlers; see iterate() in
 * loop.c.
 *
 * A call may do anything: remove what it was called for, close or discard the loop, fork.
 * So nothing that was looked up before it is used behind it.
 */
#include "loop/internal.h"

#include <prefork/log.h>

#include <string.h>

/* ---- errors, and ends that wait -------------------------------------------------- */

static void log_error(const struct pf_loop_error *error)
{
    pf_log(PF_LOG_ERROR, "callback-failed", "kind=%s fd=%d error=%s registered-at=%s%s%s%s",
           error->kind, error->fd, strerror((int)(0u - (unsigned)error->error)),
           error->where ? error->where : "?", error->what ? " what=" : "",
           error->what ? error->what : "", error->disabled ? " now=disabled" : "");
}

void pf__loop_report(pf_loop *loop, const struct pf_loop_error *error)
{
    uint64_t cookie = loop->cookie;
    if (loop->options.on_error)
        loop->options.on_error(loop, error, loop->options.on_error_arg);
    else
        log_error(error);
    if (!pf__process_is(cookie)) /* the hook has forked, and perhaps discarded it */
        return;
    if (loop->options.error_policy == PF_ERROR_STOP) {
        loop->stop_asked = true;
        if (loop->stop_error == 0) /* the first one tells more than what follows from it */
            loop->stop_error = error->error;
    }
}

void pf__loop_end_late(pf_loop *loop, pf_destroy_fn *destroy, void *arg, void *context)
{
    loop->late = (struct pf__late){true, destroy, arg, context};
}

void pf__loop_end_what_is_late(pf_loop *loop)
{
    struct pf__late late = loop->late;
    if (!late.set)
        return;
    loop->late.set = false;
    pf__loop_end(loop, late.destroy, late.arg, late.context);
}

/* ---- callbacks, signals, timers -------------------------------------------------- */

/*
 * A callback may fork, and the child return from it into the middle of its parent's loop.
 * Then nothing more is run, and start answers -ECHILD.
 */
static void run_callback(pf_loop *loop, const char *kind, const char *what,
                         const struct pf__callback *callback)
{
    pf__loop_note(loop, kind, callback->where);
    void *entered = pf__context_enter(&loop->hooks, callback->context);
    int result = callback->fn(loop, callback->arg);
    if (result < 0 && !pf__loop_is_inherited(loop))
        pf__loop_report(loop, &(struct pf_loop_error){.error = result,
                                                      .fd = -1,
                                                      .kind = kind,
                                                      .where = callback->where,
                                                      .what = what});
    pf__context_leave(&loop->hooks, callback->context, entered);
    pf__loop_end(loop, callback->destroy, callback->arg, callback->context);
}

int pf__loop_run_callbacks(pf_loop *loop, uint64_t until, unsigned ring_until)
{
    int ran = 0;
    struct pf__callback callback;
    for (; !pf__loop_is_inherited(loop) &&
           pf__callbacks_next(&loop->callbacks, until, &callback);
         ran++)
        run_callback(loop, "callback", NULL, &callback);
    for (; !pf__loop_is_inherited(loop) &&
           pf__signal_ring_get(&loop->ring, ring_until, &callback);
         ran++)
        run_callback(loop, "callback", NULL, &callback);
    loop->stats.callbacks += (uint64_t)ran;
    return ran;
}

static void run_signal(pf_loop *loop, int signo)
{
    struct pf__signals *signals = loop->signals;
    const struct pf__signal_entry entry = signals->at[signo];
    pf__loop_note(loop, "signal", entry.where);
    signals->running = signo;
    void *entered = pf__context_enter(&loop->hooks, entry.context);
    int result = entry.fn(loop, signo, entry.arg);
    if (result < 0 && !pf__loop_is_inherited(loop))
        pf__loop_report(
            loop, &(struct pf_loop_error){
                      .error = result, .fd = -1, .kind = "signal", .where = entry.where});
    pf__context_leave(&loop->hooks, entry.context, entered);
    if (!pf__loop_is_inherited(loop)) { /* else it may have been discarded, too */
        bool replaced = signals->running != signo; /* removed, and perhaps added again */
        signals->running = 0;
        if (result == PF_DONE && !replaced)
            (void)pf_loop_remove_signal(loop, signo);
    }
    pf__loop_end_what_is_late(loop);
}

int pf__loop_run_signals(pf_loop *loop)
{
    int ran = 0;
    for (int signo;
         !pf__loop_is_inherited(loop) && (signo = pf__signal_next(loop->signals)) != 0;
         ran++)
        run_signal(loop, signo);
    loop->stats.signals += (uint64_t)ran;
    return ran;
}

static void count_time(uint64_t *buckets, int64_t ns)
{
    unsigned bucket = ns > 1 ? 63 - (unsigned)__builtin_clzll((uint64_t)ns) : 0;
    buckets[bucket < PF_LOOP_BUCKETS ? bucket : PF_LOOP_BUCKETS - 1]++;
}

int pf__loop_run_due_timers(pf_loop *loop)
{
    int ran = 0;
    int64_t late;
    struct pf__timer_call call;
    struct pf__timer_more more;
    for (; !pf__loop_is_inherited(loop) &&
           pf__timers_take(&loop->timers, &call, &more, &late);
         ran++) {
        count_time(loop->stats.lateness_ns, late);
        run_callback(loop, "timer", more.what,
                     &(struct pf__callback){call.fn, call.arg, call.destroy, call.where,
                                            more.context});
    }
    loop->stats.timers += (uint64_t)ran;
    return ran;
}

/* ---- handlers -------------------------------------------------------------------- */

/* Stop asking the kernel, until the next update. */
static void disable(pf_loop *loop, struct pf__handler *handler, int fd)
{
    pf__loop_unwatch(loop, fd, handler);
    handler->failures = 0;
}

/* Count a failure; returns whether the handler is disabled for it. The registration may be
 * gone, or another one, by the time its handler has returned: NULL. */
static bool count_failure(pf_loop *loop, struct pf__handler *handler, int fd, int result)
{
    if (!handler)
        return false;
    bool enough = ++handler->failures >= PF_HANDLER_FAILURES_MAX ||
                  (loop->options.error_policy == PF_ERROR_DISABLE && result != -EPIPE);
    if (enough)
        disable(loop, handler, fd);
    return enough;
}

static void handler_failed(pf_loop *loop, uint64_t tag, struct pf_loop_error *error)
{
    struct pf__handler *handler = pf__handlers_by_tag(&loop->handlers, tag);
    error->disabled = count_failure(loop, handler, error->fd, error->error);
    if (error->error != -EPIPE || error->disabled)
        pf__loop_report(loop, error);
}

static void handler_succeeded(pf_loop *loop, uint64_t tag, int result)
{
    struct pf__handler *handler = pf__handlers_by_tag(&loop->handlers, tag);
    if (!handler)
        return;
    handler->failures = 0;
    if (result == PF_DONE)
        (void)pf_loop_remove_handler(loop, pf__tag_fd(tag));
}

static void run_handler(pf_loop *loop, const struct pf__handler *handler, uint64_t tag,
                        unsigned events)
{
    int fd = pf__tag_fd(tag);
    bool failed_before = handler->failures != 0;
    const char *where = handler->where;
    struct pf__handler_more more = pf__handlers_more(&loop->handlers, fd);
    pf__loop_note(loop, "handler", where);
    loop->running_tag = tag;
    void *entered = pf__context_enter(&loop->hooks, more.context);
    int result = handler->fn(loop, fd, events, handler->arg);
    /* `handler` may point anywhere by now, and this may be another process. */
    if (result < 0 && !pf__loop_is_inherited(loop))
        handler_failed(loop, tag,
                       &(struct pf_loop_error){.error = result,
                                               .fd = fd,
                                               .kind = "handler",
                                               .where = where,
                                               .what = more.what});
    else if ((result == PF_DONE || failed_before) && !pf__loop_is_inherited(loop))
        handler_succeeded(loop, tag, result);
    pf__context_leave(&loop->hooks, more.context, entered);
    loop->running_tag = PF__WAKER_TAG; /* until here what ends it has to wait */
    pf__loop_end_what_is_late(loop);
}

/* A handler that ran in a thousand turns on end: does it get anywhere? */
static void run_suspect(pf_loop *loop, const struct pf__handler *handler, uint64_t tag,
                        unsigned events)
{
    int fd = pf__tag_fd(tag);
    struct pf_loop_error error = {
        .error = -ELOOP, .fd = fd, .kind = "handler", .where = handler->where};
    error.what = pf__handlers_more(&loop->handlers, fd).what;
    struct pf__spin_look before = pf__spin_look(fd);
    run_handler(loop, handler, tag, events);
    struct pf__handler *still =
        pf__loop_is_inherited(loop) ? NULL : pf__handlers_by_tag(&loop->handlers, tag);
    if (!still || still->events == 0) { /* it did something about it */
        loop->spin = (struct pf__spin){0};
        return;
    }
    struct pf__spin_look after = pf__spin_look(fd);
    if (!pf__spin_judge(&loop->spin, events, &before, &after, pf__loop_clock(loop)))
        return;
    loop->spin = (struct pf__spin){0};
    loop->stats.spins++;
    disable(loop, still, fd);
    error.disabled = true;
    pf__loop_report(loop, &error);
}

/* It may have left the work to a callback, or to a timer. */
void pf__loop_look_at_suspect_again(pf_loop *loop)
{
    uint64_t tag = loop->spin.suspect;
    if (loop->spin.proofs == 0 || !pf__handlers_by_tag(&loop->handlers, tag))
        return;
    struct pf__spin_look now = pf__spin_look(pf__tag_fd(tag));
    pf__spin_look_again(&loop->spin, &now);
}

/* The clock is read once for each handler: one's end is the next one's beginning. */
static void run_event(pf_loop *loop, const struct pf__handler *handler, uint64_t tag,
                      unsigned events)
{
    int64_t began = pf__loop_now(loop);
    loop->spin.ran |= tag == loop->spin.suspect;
    if (pf__spin_is_due(&loop->spin, tag))
        run_suspect(loop, handler, tag, events);
    else
        run_handler(loop, handler, tag, events);
    loop->now = pf__loop_clock(loop);
    count_time(loop->stats.handler_ns, pf__loop_time_between(began, loop->now));
}

int pf__loop_run_handlers(pf_loop *loop, const struct pf_poll_event *events, int n)
{
    int ran = 0;
    for (int i = 0; i < n && !pf__loop_is_inherited(loop); i++) {
        uint64_t tag = events[i].tag;
        if (tag == PF__WAKER_TAG) {
            pf__waker_drain(&loop->waker);
            continue;
        }
        const struct pf__handler *handler = pf__handlers_by_tag(&loop->handlers, tag);
        unsigned wanted = 0;
        if (handler && handler->events)
            wanted = events[i].events & (handler->events | PF_ERROR);
        if (wanted) {
            run_event(loop, handler, tag, wanted);
            ran++;
        } else {
            loop->stats.stale++;
            loop->ghosts |= !loop->changed_in_batch;
        }
    }
    loop->stats.events += (uint64_t)ran;
    if (!loop->options.spin_allowed) /* a turn without a handler acquits the suspect */
        pf__spin_turn(&loop->spin,
                      ran ? events[(unsigned)loop->stats.turns % (unsigned)n].tag : 0);
    return ran;
}
