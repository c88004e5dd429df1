/*
 * loop.c - the event loop, running. Start reading at iterate().
 *
 * The rest of the loop: calls.c is what it calls, life.c makes and ends it, register.c adds
 * and removes, signal.c takes signals, current.c knows this thread's and this process's
 * loop, inspect.c looks in. handlers.c, timers.c, callbacks.c and waker.c are the parts,
 * the pollers (pollers.c) ask the kernel, guard.c tells processes and threads apart,
 * spin.c, watch.c and ghosts.c see what goes wrong without an error.
 *
 * Invariant: nothing here touches a descriptor before the guards have said that the loop
 * was made in this process and is owned by this thread.
 */
#include "loop/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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
    int64_t passed = pf__loop_time_between(loop->measured, pf__loop_now(loop));
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
    ran += pf__loop_run_callbacks(loop, until, ring_until);
    ran += pf__loop_run_signals(loop);

    /* 3. Timers, earliest first. */
    if (loop->timers.waiting)
        ran += pf__loop_run_due_timers(loop);

    /* 4. Leave if stopped, or in another process by now. */
    if (pf__loop_is_inherited(loop))
        return -ECHILD;
    if (ran)
        loop->now_known = false; /* they took their time */
    *stopped = loop->stop_asked;
    if (loop->stop_asked)
        return ran;

    /* 5. Poll. */
    pf__loop_look_at_suspect_again(loop);
    int n = poll_events(loop, events, max_ns);
    if (n < 0)
        return n;

    /* 6. Handlers of what is ready. */
    ran += pf__loop_run_handlers(loop, events, n);
    if (pf__loop_is_inherited(loop))
        return -ECHILD;
    if (loop->ghosts)
        pf__loop_exorcise(loop);
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
    pf__loop_note(loop, "nothing yet", NULL);
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
