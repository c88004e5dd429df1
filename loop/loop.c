/*
 * loop.c - the event loop, running. Start reading at iterate().
 *
 * The rest of the loop: life.c makes and ends it, register.c adds and removes, current.c
 * knows this thread's and this process's loop; handlers.c, timers.c, callbacks.c and
 * waker.c are the parts, epoll.c asks the kernel, guard.c tells processes and threads
 * apart.
 *
 * Invariant: nothing here touches a descriptor before the guards have said that the loop
 * was made in this process and is owned by this thread.
 */
#include "loop/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- guards ---------------------------------------------------------------------- */

int pf_loop_check(pf_loop *loop)
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

static int check_process(const pf_loop *loop, const char *call)
{
    if (!loop)
        return -EINVAL;
    if (pf__process_is(loop->cookie) && loop->pid == getpid())
        return 0;
    pf_log(PF_LOG_ERROR, "loop-crossed-fork",
           "call=%s made-in=%ld at=%s advice=make-the-loop-after-the-fork", call,
           (long)loop->pid, loop->where ? loop->where : "?");
    return -ECHILD;
}

/* ---- errors of callbacks --------------------------------------------------------- */

static void log_error(const struct pf_loop_error *error)
{
    pf_log(PF_LOG_ERROR, "callback-failed", "kind=%s fd=%d error=%s registered-at=%s%s",
           error->kind, error->fd, strerror(-error->error),
           error->where ? error->where : "?", error->disabled ? " now=disabled" : "");
}

void pf__loop_report(pf_loop *loop, const struct pf_loop_error *error)
{
    if (loop->options.on_error)
        loop->options.on_error(loop, error, loop->options.on_error_arg);
    else
        log_error(error);
    if (loop->options.error_policy == PF_ERROR_STOP) {
        loop->stop_asked = true;
        if (loop->stop_error == 0) /* the first one tells more than what follows from it */
            loop->stop_error = error->error;
    }
}

/* ---- one iteration --------------------------------------------------------------- */

static int64_t read_clock(pf_loop *loop)
{
    if (loop->options.clock)
        return loop->options.clock(loop->options.clock_arg);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

void pf__loop_beat(pf_loop *loop, bool runs)
{
    if (loop->beat)
        __atomic_store_n(loop->beat, loop->stats.turns * 2 + runs, __ATOMIC_RELAXED);
}

/*
 * A callback may fork, and the child return from it into the middle of its parent's loop.
 * Then nothing more is run, and start answers -ECHILD.
 */
static bool is_inherited(const pf_loop *loop)
{
    return !pf__process_is(loop->cookie);
}

static void run_callback(pf_loop *loop, const char *kind,
                         const struct pf__callback *callback)
{
    int result = callback->fn(loop, callback->arg);
    if (callback->destroy)
        callback->destroy(callback->arg);
    if (result < 0 && !is_inherited(loop))
        pf__loop_report(
            loop, &(struct pf_loop_error){
                      .error = result, .fd = -1, .kind = kind, .where = callback->where});
}

static int run_callbacks(pf_loop *loop, unsigned signals_until)
{
    int ran = 0;
    struct pf__callback callback;
    for (; !is_inherited(loop) && pf__callbacks_next(&loop->callbacks, &callback); ran++)
        run_callback(loop, "callback", &callback);
    if (is_inherited(loop))
        return ran;
    pf__callbacks_done(&loop->callbacks);
    for (; !is_inherited(loop) &&
           pf__signal_ring_get(&loop->signals, signals_until, &callback);
         ran++)
        run_callback(loop, "callback", &callback);
    loop->stats.callbacks += (uint64_t)ran;
    return ran;
}

static int run_due_timers(pf_loop *loop)
{
    int ran = 0;
    struct pf__timer_call call;
    for (; !is_inherited(loop) && pf__timers_take(&loop->timers, &call); ran++)
        run_callback(loop, "timer",
                     &(struct pf__callback){call.fn, call.arg, call.destroy, call.where});
    loop->stats.timers += (uint64_t)ran;
    return ran;
}

static void collect_due_timers(pf_loop *loop)
{
    if (pf__timers_next(&loop->timers) != PF_NEVER)
        pf__timers_collect(&loop->timers, pf_loop_now(loop));
}

static bool callbacks_wait(pf_loop *loop)
{
    return atomic_load(&loop->callbacks.waiting) != 0 ||
           !pf__signal_ring_empty(&loop->signals);
}

/* How long the poll may sleep: not at all if a callback waits, else until the next timer.
 */
static int64_t sleep_limit(pf_loop *loop, int64_t max_ns)
{
    if (callbacks_wait(loop) || max_ns == 0)
        return 0;
    int64_t next = pf__timers_next(&loop->timers);
    if (next == PF_NEVER)
        return max_ns;
    int64_t now = read_clock(loop); /* fresh: the callbacks took their time */
    int64_t left = next <= now ? 0 : (int64_t)((uint64_t)next - (uint64_t)now);
    if (left < 0) /* a deadline and a clock from far ends of the range */
        left = INT64_MAX;
    return max_ns < 0 || left < max_ns ? left : max_ns;
}

static int poll_events(pf_loop *loop, int64_t max_ns)
{
    /* Announce the sleep before looking for work a last time: see waker.h. */
    atomic_store(&loop->waker.asleep, true);
    pf__loop_beat(loop, false);
    int n = loop->poller->wait(loop->poll_state, loop->events, PF__LOOP_EVENTS,
                               sleep_limit(loop, max_ns));
    atomic_store(&loop->waker.asleep, false);
    loop->stats.turns++;
    loop->stats.polls++;
    pf__loop_beat(loop, true);
    loop->now_known = false;
    loop->changed_in_batch = false;
    return n;
}

/* Count a failure; returns whether the handler is disabled for it. The registration may be
 * gone, or another one, by the time its handler has returned: NULL. */
static bool count_failure(pf_loop *loop, struct pf__handler *handler, int fd, int result)
{
    if (!handler)
        return false;
    bool disable = ++handler->failures >= PF_HANDLER_FAILURES_MAX ||
                   (loop->options.error_policy == PF_ERROR_DISABLE && result != -EPIPE);
    if (disable) {
        pf__loop_unwatch(loop, fd, handler);
        handler->failures = 0;
    }
    return disable;
}

static void handler_returned(pf_loop *loop, uint64_t tag, const char *where, int result)
{
    struct pf__handler *handler = pf__handlers_by_tag(&loop->handlers, tag);
    int fd = pf__tag_fd(tag);
    if (result >= 0) {
        if (handler)
            handler->failures = 0;
        if (handler && result == PF_DONE)
            pf_loop_remove_handler(loop, fd);
        return;
    }
    bool disabled = count_failure(loop, handler, fd, result);
    if (result != -EPIPE || disabled)
        pf__loop_report(loop, &(struct pf_loop_error){.error = result,
                                                      .fd = fd,
                                                      .kind = "handler",
                                                      .where = where,
                                                      .disabled = disabled});
}

static void run_handler(pf_loop *loop, const struct pf__handler *handler, uint64_t tag,
                        unsigned events)
{
    const char *where = handler->where;
    loop->running_tag = tag;
    int result = handler->fn(loop, pf__tag_fd(tag), events, handler->arg);
    loop->running_tag = PF__WAKER_TAG;
    if (!is_inherited(loop))
        handler_returned(loop, tag, where,
                         result); /* `handler` may point anywhere by now */
    if (loop->late_destroy) {
        pf_destroy_fn *destroy = loop->late_destroy;
        loop->late_destroy = NULL;
        destroy(loop->late_arg);
    }
}

static int run_handlers(pf_loop *loop, int n)
{
    int ran = 0;
    for (int i = 0; i < n && !is_inherited(loop); i++) {
        uint64_t tag = loop->events[i].tag;
        if (tag == PF__WAKER_TAG) {
            pf__waker_drain(&loop->waker);
            continue;
        }
        const struct pf__handler *handler = pf__handlers_by_tag(&loop->handlers, tag);
        unsigned events = 0;
        if (handler && handler->events)
            events = loop->events[i].events & (handler->events | PF_ERROR);
        if (events) {
            run_handler(loop, handler, tag, events);
            ran++;
        } else {
            loop->stats.stale++;
            loop->ghosts |= !loop->changed_in_batch;
        }
    }
    loop->stats.events += (uint64_t)ran;
    return ran;
}

/*
 * A descriptor that was closed without being removed, while another process still holds the
 * same open file, keeps sending events that nobody can deregister any more (epoll(7),
 * questions and answers, 6). A fresh poller does not know it.
 */
static void exorcise(pf_loop *loop)
{
    loop->ghosts = false;
    void *fresh;
    if (!loop->poller->replace || loop->poller->open(loop->options.poller_arg, &fresh) != 0)
        return; /* the events are dropped anyway; the next one tries again */
    int err = loop->poller->add(fresh, loop->waker.read_fd, PF_READ, PF__WAKER_TAG);
    for (size_t fd = 0; !err && fd < loop->handlers.capacity; fd++) {
        const struct pf__handler *handler = pf__handlers_find(&loop->handlers, (int)fd);
        if (handler && handler->events)
            err = loop->poller->add(fresh, (int)fd, handler->events,
                                    pf__handler_tag((int)fd, handler));
        if (err == -EBADF || err == -ENOTSUP)
            err = 0; /* closed without being removed: gone, or something else by now */
    }
    if (!err)
        err = loop->poller->replace(loop->poll_state, fresh);
    if (err)
        loop->poller->close(fresh);
}

/*
 * One iteration, as loop.h has it. Returns how many callbacks, timers and handlers ran, or
 * what the poll failed with; *stopped says whether a stop was asked for.
 */
static int iterate(pf_loop *loop, int64_t max_ns, bool *stopped)
{
    int ran = 0;

    /* 1. What is to run now; what they add runs in the next iteration. */
    pf__callbacks_take(&loop->callbacks);
    unsigned signals_until = pf__signal_ring_head(&loop->signals);
    collect_due_timers(loop);

    /* 2. Callbacks, oldest first. */
    ran += run_callbacks(loop, signals_until);

    /* 3. Timers, earliest first. */
    ran += run_due_timers(loop);

    /* 4. Leave if stopped, or in another process by now. */
    if (is_inherited(loop))
        return -ECHILD;
    *stopped = loop->stop_asked;
    if (loop->stop_asked)
        return ran;

    /* 5. Poll. */
    int n = poll_events(loop, max_ns);
    if (n < 0)
        return n;

    /* 6. Handlers of what is ready. */
    ran += run_handlers(loop, n);
    if (is_inherited(loop))
        return -ECHILD;
    if (loop->ghosts)
        exorcise(loop);
    return ran;
}

/* ---- running --------------------------------------------------------------------- */

/* Only one thread at a time may run, take over or close a loop. */
static int begin_running(pf_loop *loop)
{
    if (atomic_exchange(&loop->running, true))
        return -EBUSY;
    atomic_store(&loop->owner, pf__thread_mark());
    atomic_store(&loop->waker.asleep, false);
    pf__loop_beat(loop, true);
    loop->now_known = false;
    return 0;
}

static void end_running(pf_loop *loop)
{
    loop->now_known = false;
    if (is_inherited(loop)) /* the beat and the pipe are the parent's too */
        return;
    pf__loop_beat(loop, false);
    atomic_store(&loop->waker.asleep, true);
    if (callbacks_wait(loop)) /* added while it was awake: a host's poll must see them */
        pf__waker_wake(&loop->waker);
    atomic_store(&loop->running, false); /* from here on another thread may close it */
}

int pf__loop_begin(pf_loop *loop, const char *call)
{
    int err = check_process(loop, call);
    if (err)
        return err;
    if (atomic_load(&loop->closed))
        return -ESTALE;
    err = begin_running(loop);
    if (!err && atomic_load(&loop->closed)) { /* meanwhile, in another thread */
        atomic_store(&loop->running, false);
        err = -ESTALE;
    }
    return err;
}

/* The loop is current while it runs, and lives: a callback may drop the program's last
 * reference, to it or to the one that was current before. */
static pf_loop *enter(pf_loop *loop)
{
    pf_loop *previous = pf_loop_current(false);
    pf__loop_hold(previous);
    pf__current_set(pf_loop_ref(loop));
    return previous;
}

static void leave(pf_loop *loop, pf_loop *previous)
{
    if (is_inherited(loop)) { /* `previous` is another process's too */
        if (loop->discarded)
            free(loop);
        return;
    }
    pf__current_set(previous);
    pf__loop_release(previous);
    pf_loop_unref(loop);
}

static int spend_stop(pf_loop *loop)
{
    int error = loop->stop_error;
    loop->stop_asked = false;
    loop->stop_error = 0;
    return error;
}

int pf_loop_start(pf_loop *loop)
{
    int err = pf__loop_begin(loop, "start");
    if (err)
        return err;
    pf_loop *previous = enter(loop);
    bool stopped = loop->stop_asked; /* before the start: run nothing */
    int result = 0;
    while (!stopped && result >= 0)
        result = iterate(loop, -1, &stopped);
    if (stopped)
        result = spend_stop(loop);
    end_running(loop);
    leave(loop, previous);
    return result;
}

int pf_loop_turn(pf_loop *loop, int64_t max_ns)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    err = begin_running(loop);
    if (err)
        return err;
    pf_loop *previous = enter(loop);
    bool stopped = false;
    int result = iterate(loop, max_ns, &stopped);
    if (stopped)
        (void)spend_stop(loop);
    end_running(loop);
    leave(loop, previous);
    return result;
}

int pf_loop_stop(pf_loop *loop)
{
    int err = pf_loop_check(loop);
    if (!err)
        loop->stop_asked = true;
    return err;
}

int pf__loop_take_over(pf_loop *loop)
{
    int err = check_process(loop, "make_current");
    if (err)
        return err;
    if (atomic_load(&loop->closed))
        return -ESTALE;
    if (atomic_load(&loop->owner) == pf__thread_mark())
        return 0;
    err = begin_running(loop);
    if (!err)
        end_running(loop);
    return err;
}

/* ---- looking in ------------------------------------------------------------------ */

int pf_loop_time(pf_loop *loop, int64_t *out_ns)
{
    int err = out_ns ? pf_loop_check(loop) : -EINVAL;
    if (!err)
        *out_ns = read_clock(loop);
    return err;
}

int64_t pf_loop_now(pf_loop *loop)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    if (!loop->now_known || !atomic_load_explicit(&loop->running, memory_order_relaxed)) {
        loop->now = read_clock(loop);
        loop->now_known = true;
    }
    return loop->now;
}

int pf_loop_fd(pf_loop *loop)
{
    int err = pf_loop_check(loop);
    return err ? err : loop->poller->fd(loop->poll_state);
}

int pf_loop_next_deadline(pf_loop *loop, int64_t *out_ns)
{
    int err = out_ns ? pf_loop_check(loop) : -EINVAL;
    if (!err)
        *out_ns = callbacks_wait(loop) ? read_clock(loop) : pf__timers_next(&loop->timers);
    return err;
}

int pf_loop_stats(pf_loop *loop, struct pf_loop_stats *stats)
{
    int err = pf_loop_check(loop);
    if (!err && (!stats || stats->size < sizeof stats->size))
        err = -EINVAL;
    if (err)
        return err;
    struct pf_loop_stats now = loop->stats;
    now.wakes = atomic_load(&loop->waker.wakes);
    now.handlers = loop->handlers.count;
    now.timers_live = loop->timers.count + loop->timers.due_count;
    size_t size = stats->size < sizeof now ? stats->size : sizeof now;
    memcpy(stats, &now, size);
    stats->size = size;
    return 0;
}

int pf_loop_set_beat(pf_loop *loop, uint64_t *beat)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    loop->beat = beat;
    pf__loop_beat(loop, atomic_load(&loop->running));
    return 0;
}
