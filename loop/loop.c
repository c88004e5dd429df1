/*
 * loop.c - the event loop, running. Start reading at iterate().
 *
 * The rest of the loop: life.c makes and ends it, register.c adds and removes, signal.c
 * takes signals, current.c knows this thread's and this process's loop, inspect.c looks in.
 * handlers.c, timers.c, callbacks.c and waker.c are the parts, the pollers (pollers.c) ask
 * the kernel, guard.c tells processes and threads apart, spin.c and watch.c see what goes
 * wrong without an error.
 *
 * Invariant: nothing here touches a descriptor before the guards have said that the loop
 * was made in this process and is owned by this thread.
 */
#include "loop/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GHOSTS_REST_NS PF_SECOND

/* ---- guards ---------------------------------------------------------------------- */

int pf_loop_check(pf_loop *loop)
{
    return pf__loop_check(loop);
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

/* ---- calling things -------------------------------------------------------------- */

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

/* Tell whoever watches the loop what it is about to call. */
static void note(pf_loop *loop, const char *kind, const char *where)
{
    atomic_store_explicit(&loop->pulse.kind, kind, memory_order_relaxed);
    atomic_store_explicit(&loop->pulse.where, where, memory_order_relaxed);
}

/*
 * A callback may fork, and the child return from it into the middle of its parent's loop.
 * Then nothing more is run, and start answers -ECHILD.
 */
static void run_callback(pf_loop *loop, const char *kind, const char *what,
                         const struct pf__callback *callback)
{
    note(loop, kind, callback->where);
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

static int run_callbacks(pf_loop *loop, uint64_t until, unsigned ring_until)
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
    note(loop, "signal", entry.where);
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

static int run_signals(pf_loop *loop)
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

static int run_due_timers(pf_loop *loop)
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
    note(loop, "handler", where);
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
static void look_at_suspect_again(pf_loop *loop)
{
    uint64_t tag = loop->spin.suspect;
    if (loop->spin.proofs == 0 || !pf__handlers_by_tag(&loop->handlers, tag))
        return;
    struct pf__spin_look now = pf__spin_look(pf__tag_fd(tag));
    pf__spin_look_again(&loop->spin, &now);
}

/* A clock may be a test's, and cross its whole range at once, or go back. */
static int64_t time_between(int64_t from, int64_t to)
{
    int64_t ns;
    if (to <= from)
        return 0;
    return __builtin_sub_overflow(to, from, &ns) ? INT64_MAX : ns;
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
    count_time(loop->stats.handler_ns, time_between(began, loop->now));
}

static int run_handlers(pf_loop *loop, const struct pf_poll_event *events, int n)
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

/*
 * A descriptor that was closed without being removed, while another process still holds the
 * same open file, keeps sending events that nobody can deregister any more (epoll(7),
 * questions and answers, 6). A fresh poller does not know it.
 */
static int change_poller(pf_loop *loop)
{
    void *fresh;
    int err = loop->poller->open(loop->options.poller_arg, &fresh);
    if (err)
        return err;
    err = loop->poller->add(fresh, loop->waker.read_fd, PF_READ, PF__WAKER_TAG);
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
    return err;
}

/* It asks for a system call for each handler: if it fails, not again in every turn. */
static void exorcise(pf_loop *loop)
{
    int64_t now = pf__loop_now(loop);
    if (now < loop->ghosts_again)
        return;
    loop->ghosts = false;
    bool failed = loop->poller->replace && change_poller(loop) != 0;
    if (failed && __builtin_add_overflow(now, GHOSTS_REST_NS, &loop->ghosts_again))
        loop->ghosts_again = PF_NEVER;
}

/* ---- one iteration --------------------------------------------------------------- */

int64_t pf__loop_clock(const pf_loop *loop)
{
    if (loop->options.clock)
        return loop->options.clock(loop->options.clock_arg);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

int64_t pf__loop_now(pf_loop *loop)
{
    if (!loop->now_known) {
        loop->now = pf__loop_clock(loop);
        loop->now_known = true;
    }
    return loop->now;
}

void pf__loop_beat(pf_loop *loop, bool runs)
{
    unsigned long long pulse =
        atomic_load_explicit(&loop->pulse.beat, memory_order_relaxed);
    bool ran = pulse % 2 != 0;
    pulse += ran != runs ? 1 : runs ? 2 : 0; /* 2: another turn, without a sleep */
    atomic_store_explicit(&loop->pulse.beat, pulse, memory_order_relaxed);
    if (loop->beat)
        __atomic_store_n(loop->beat, loop->stats.turns * 2 + runs, __ATOMIC_RELAXED);
}

static void find_due_timers(pf_loop *loop)
{
    if (loop->timers.waiting)
        pf__timers_set_due(&loop->timers, pf__loop_now(loop));
}

static bool has_signals(pf_loop *loop)
{
    return !pf__signal_ring_empty(&loop->ring) ||
           (loop->signals && atomic_load(&loop->signals->pending) != 0);
}

bool pf__loop_has_calls(pf_loop *loop)
{
    return pf__callbacks_wait(&loop->callbacks) || has_signals(loop);
}

bool pf__loop_fall_asleep(pf_loop *loop)
{
    /* Announce the sleep before looking for work a last time: see waker.h. */
    atomic_store(&loop->waker.asleep, true);
    return !pf__callbacks_wait_locked(&loop->callbacks) && !has_signals(loop);
}

/* Add to a total what has passed since this was last done; nothing if it never was. */
static void pass_time(pf_loop *loop, int64_t *total)
{
    int64_t passed = time_between(loop->measured, pf__loop_now(loop));
    if (__builtin_add_overflow(*total, passed, total))
        *total = INT64_MAX;
    loop->measured = loop->now;
}

/* How long the poll may sleep: not at all if a callback waits, else until the next timer.
 */
static int64_t sleep_limit(pf_loop *loop, int64_t max_ns)
{
    if (max_ns == 0 || pf__loop_has_calls(loop))
        return 0;
    pass_time(loop, &loop->stats.busy_ns);
    int64_t next = pf__timers_next(&loop->timers);
    if (next == PF_NEVER)
        return max_ns;
    int64_t left = next <= loop->now ? 0 : (int64_t)((uint64_t)next - (uint64_t)loop->now);
    if (left < 0) /* a deadline and a clock from far ends of the range */
        left = INT64_MAX;
    return max_ns < 0 || left < max_ns ? left : max_ns;
}

static int sleep_and_poll(pf_loop *loop, struct pf_poll_event *events, int64_t limit)
{
    pf__loop_beat(loop, false);
    if (!pf__loop_fall_asleep(loop))
        limit = 0;
    int n = loop->poller->wait(loop->poll_state, events, PF__LOOP_EVENTS, limit);
    atomic_store_explicit(&loop->waker.asleep, false, memory_order_relaxed);
    loop->now_known = false;
    pass_time(loop, &loop->stats.idle_ns);
    if (n == 0) /* perhaps a signal: its byte need not end the next sleep, too */
        pf__waker_drain_if_woken(&loop->waker);
    return n;
}

static int poll_events(pf_loop *loop, struct pf_poll_event *events, int64_t max_ns)
{
    int64_t limit = sleep_limit(loop, max_ns);
    loop->now_known = false;
    int n = limit ? sleep_and_poll(loop, events, limit)
                  : loop->poller->wait(loop->poll_state, events, PF__LOOP_EVENTS, 0);
    loop->stats.turns++;
    loop->stats.polls++;
    pf__loop_beat(loop, true);
    loop->changed_in_batch = false;
    return n;
}

/*
 * One iteration, as loop.h has it. Returns how many callbacks, timers and handlers ran, or
 * what the poll failed with; *stopped says whether a stop was asked for.
 */
static int iterate(pf_loop *loop, int64_t max_ns, bool *stopped)
{
    struct pf_poll_event events[PF__LOOP_EVENTS];
    int ran = 0;

    /* 1. What is to run now; what they add runs in the next iteration. */
    uint64_t until = pf__callbacks_mark(&loop->callbacks);
    unsigned ring_until = pf__signal_ring_head(&loop->ring);
    pf__signal_collect(loop->signals);
    find_due_timers(loop);

    /* 2. Callbacks, oldest first; signals. */
    ran += run_callbacks(loop, until, ring_until);
    ran += run_signals(loop);

    /* 3. Timers, earliest first. */
    if (loop->timers.waiting)
        ran += run_due_timers(loop);

    /* 4. Leave if stopped, or in another process by now. */
    if (pf__loop_is_inherited(loop))
        return -ECHILD;
    if (ran)
        loop->now_known = false; /* they took their time */
    *stopped = loop->stop_asked;
    if (loop->stop_asked)
        return ran;

    /* 5. Poll. */
    look_at_suspect_again(loop);
    int n = poll_events(loop, events, max_ns);
    if (n < 0)
        return n;

    /* 6. Handlers of what is ready. */
    ran += run_handlers(loop, events, n);
    if (pf__loop_is_inherited(loop))
        return -ECHILD;
    if (loop->ghosts)
        exorcise(loop);
    return ran;
}

/* ---- running --------------------------------------------------------------------- */

static void end(pf_loop *loop)
{
    /* From here on another thread may close it. */
    atomic_store_explicit(&loop->running, false, memory_order_release);
}

/* Only one thread at a time may run, take over or close a loop. */
static int begin(pf_loop *loop)
{
    if (atomic_exchange(&loop->running, true))
        return -EBUSY;
    if (atomic_load(&loop->closed)) { /* meanwhile, in another thread */
        end(loop);
        return -ESTALE;
    }
    if (atomic_load_explicit(&loop->owner, memory_order_relaxed) != pf__thread_mark())
        atomic_store(&loop->owner, pf__thread_mark());
    return 0;
}

/* From here on it turns, or not at all: then it has ended. */
static int begin_running(pf_loop *loop)
{
    int err = pf__loop_open_waker(loop);
    if (err) {
        end(loop);
        return err;
    }
    atomic_store_explicit(&loop->waker.asleep, false, memory_order_relaxed);
    atomic_store_explicit(&loop->pulse.thread, pthread_self(), memory_order_relaxed);
    note(loop, "nothing yet", NULL);
    pf__loop_beat(loop, true);
    loop->now_known = false;
    loop->measured = PF_NEVER;
    return 0;
}

static void end_running(pf_loop *loop)
{
    if (pf__loop_is_inherited(loop)) { /* the beat and the pipe are the parent's too */
        end(loop);
        return;
    }
    pf__loop_beat(loop, false);
    pf__watch_rest(loop);
    if (!pf__loop_fall_asleep(
            loop)) /* added while it was awake: a host's poll must see it */
        pf__waker_wake(&loop->waker);
    end(loop);
}

int pf__loop_begin(pf_loop *loop, const char *call)
{
    int err = check_process(loop, call);
    if (err)
        return err;
    if (atomic_load(&loop->closed))
        return -ESTALE;
    return begin(loop);
}

/* The loop is current while it runs, and lives: a callback may drop the program's last
 * reference, to it or to the one that was current before. */
static pf_loop *enter(pf_loop *loop)
{
    pf_loop *previous = pf_loop_current(false);
    pf_loop_ref(loop);
    if (previous == loop)
        return previous;
    pf__loop_hold(previous);
    pf__current_set(loop);
    return previous;
}

static void leave(pf_loop *loop, pf_loop *previous)
{
    if (pf__loop_is_inherited(loop)) { /* `previous` is another process's too */
        if (loop->discarded)
            free(loop);
        return;
    }
    if (pf_loop_current(false) != previous)
        pf__current_set(previous);
    if (previous != loop)
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
    if (!err)
        err = begin_running(loop);
    if (err)
        return err;
    pf_loop *previous = enter(loop);
    bool stopped = loop->stop_asked; /* before the start: run nothing */
    int result = 0;
    loop->measured = pf__loop_now(loop);
    while (!stopped && result >= 0)
        result = iterate(loop, -1, &stopped);
    if (stopped)
        result = spend_stop(loop);
    if (!pf__loop_is_inherited(loop))
        pass_time(loop, &loop->stats.busy_ns);
    end_running(loop);
    leave(loop, previous);
    return result;
}

int pf_loop_turn(pf_loop *loop, int64_t max_ns)
{
    int err = pf__loop_check(loop);
    if (!err)
        err = begin(loop);
    if (!err)
        err = begin_running(loop);
    if (err)
        return err;
    pf_loop *previous = enter(loop);
    bool stopped = false;
    int result = iterate(loop, max_ns, &stopped);
    int error = stopped ? spend_stop(loop) : 0;
    if (error < 0)
        result = error;
    end_running(loop);
    leave(loop, previous);
    return result;
}

int pf_loop_stop(pf_loop *loop)
{
    int err = pf__loop_check(loop);
    if (!err)
        loop->stop_asked = true;
    return err;
}

int pf__loop_take_over(pf_loop *loop)
{
    int err = pf__loop_begin(loop, "make_current");
    if (!err)
        end(loop);
    else if (err == -EBUSY && atomic_load(&loop->owner) == pf__thread_mark())
        err = 0; /* inside a callback of it */
    return err;
}
