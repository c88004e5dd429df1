/*
 * inspect.c - looking into a loop: the clock, counts, histograms, what is registered, and
 * for others from outside the beat and the watch for a blocked loop.
 */
#include "loop/future.h"
#include "loop/internal.h"

#include <errno.h>
#include <string.h>

/* ---- time, and a host's questions ------------------------------------------------ */

int pf_loop_time(pf_loop *loop, int64_t *out_ns)
{
    int err = out_ns ? pf__loop_check(loop) : -EINVAL;
    if (!err)
        *out_ns = pf__loop_clock(loop);
    return err;
}

int64_t pf_loop_now(pf_loop *loop)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    bool runs = atomic_load_explicit(&loop->running, memory_order_relaxed);
    return runs ? pf__loop_now(loop) : pf__loop_clock(loop);
}

int pf_loop_fd(pf_loop *loop)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    int fd = loop->poller->fd(loop->poll_state);
    if (fd >= 0)
        err = pf__loop_open_waker(loop); /* so that it shows what other threads add */
    return err ? err : fd;
}

int pf_loop_next_deadline(pf_loop *loop, int64_t *out_ns)
{
    int err = out_ns ? pf__loop_check(loop) : -EINVAL;
    if (!err)
        *out_ns = pf__loop_has_calls(loop) ? pf__loop_clock(loop)
                                           : pf__timers_next(&loop->timers);
    return err;
}

/* ---- counts ---------------------------------------------------------------------- */

int pf_loop_stats(pf_loop *loop, struct pf_loop_stats *stats)
{
    int err = pf__loop_check(loop);
    if (!err && (!stats || stats->size < sizeof stats->size))
        err = -EINVAL;
    if (err)
        return err;
    struct pf_loop_stats now = loop->stats;
    now.wakes = atomic_load(&loop->waker.wakes);
    now.handlers = loop->handlers.count;
    now.timers_live = loop->timers.waiting;
    size_t size = stats->size < sizeof now ? stats->size : sizeof now;
    memcpy(stats, &now, size);
    stats->size = size;
    return 0;
}

int64_t pf_loop_quantile(const uint64_t buckets[PF_LOOP_BUCKETS], double share)
{
    uint64_t total = 0, below = 0;
    for (int i = 0; i < PF_LOOP_BUCKETS; i++)
        total += buckets[i];
    if (total == 0)
        return 0;
    int last = 0;
    for (int i = 0; i < PF_LOOP_BUCKETS; i++) {
        if (buckets[i] == 0)
            continue;
        last = i;
        below += buckets[i];
        if ((double)below >= share * (double)total)
            break;
    }
    return INT64_C(1) << (last + 1);
}

const char *pf_loop_poller(const pf_loop *loop)
{
    return loop ? loop->poller->name : NULL;
}

/* ---- what is registered ---------------------------------------------------------- */

struct walk {
    pf_walk_fn *fn;
    void *arg;
};

static struct pf_loop_item item_of(enum pf_loop_kind kind, const char *where, void *arg)
{
    return (struct pf_loop_item){.size = sizeof(struct pf_loop_item),
                                 .kind = kind,
                                 .where = where,
                                 .arg = arg,
                                 .fd = -1};
}

static int walk_handlers(pf_loop *loop, const struct walk *walk)
{
    int result = 0;
    for (size_t fd = 0; !result && fd < loop->handlers.capacity; fd++) {
        const struct pf__handler *handler = pf__handlers_find(&loop->handlers, (int)fd);
        if (!handler)
            continue;
        struct pf_loop_item item = item_of(PF_LOOP_HANDLER, handler->where, handler->arg);
        item.what = pf__handlers_more(&loop->handlers, (int)fd).what;
        item.fd = (int)fd;
        item.events = handler->events;
        result = walk->fn(&item, walk->arg);
    }
    return result;
}

static int walk_timers(pf_loop *loop, const struct walk *walk)
{
    int result = 0;
    struct pf__timer_call call;
    struct pf__timer_more more;
    pf_timer timer;
    int64_t deadline;
    for (uint32_t at = 0;
         !result && pf__timers_each(&loop->timers, &at, &timer, &deadline, &call, &more);) {
        struct pf_loop_item item = item_of(PF_LOOP_TIMER, call.where, call.arg);
        item.what = more.what;
        item.timer = timer;
        item.deadline_ns = deadline;
        result = walk->fn(&item, walk->arg);
    }
    return result;
}

static int walk_callback(const struct pf__callback *callback, void *arg)
{
    const struct walk *walk = arg;
    if (callback->fn == pf__future_call)
        return 0; /* a future's member shows it, as what it is */
    struct pf_loop_item item = item_of(PF_LOOP_CALLBACK, callback->where, callback->arg);
    return walk->fn(&item, walk->arg);
}

static int walk_signals(pf_loop *loop, const struct walk *walk)
{
    int result = 0;
    for (int signo = 1; loop->signals && !result && signo <= PF__SIGNALS; signo++) {
        const struct pf__signal_entry *entry = &loop->signals->at[signo];
        if (!entry->fn)
            continue;
        struct pf_loop_item item = item_of(PF_LOOP_SIGNAL, entry->where, entry->arg);
        item.signo = signo;
        result = walk->fn(&item, walk->arg);
    }
    return result;
}

static int walk_members(pf_loop *loop, const struct walk *walk)
{
    int result = 0;
    for (struct pf__member *member = loop->members; !result && member;
         member = member->next)
        if (member->each)
            result = member->each(member, walk->fn, walk->arg);
    return result;
}

int pf_loop_walk(pf_loop *loop, pf_walk_fn *fn, void *arg)
{
    int err = fn ? pf__loop_check(loop) : -EINVAL;
    if (err)
        return err;
    struct walk walk = {fn, arg};
    int result = walk_handlers(loop, &walk);
    if (!result)
        result = walk_timers(loop, &walk);
    if (!result)
        result = pf__callbacks_each(&loop->callbacks, walk_callback, &walk);
    if (!result)
        result = pf__signal_ring_each(&loop->ring, walk_callback, &walk);
    if (!result)
        result = walk_signals(loop, &walk);
    if (!result)
        result = walk_members(loop, &walk);
    return result;
}

/* ---- for others ------------------------------------------------------------------ */

int pf_loop_set_beat(pf_loop *loop, uint64_t *beat)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    loop->beat = beat;
    pf__loop_beat(loop, atomic_load(&loop->running));
    return 0;
}

int pf_loop_set_blocking_threshold(pf_loop *loop, int64_t threshold_ns, int signo)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    if (signo < 0 || signo > PF__SIGNALS || threshold_ns < 0 ||
        (threshold_ns > 0 && threshold_ns < PF_MILLISECOND))
        return -EINVAL;
    if (threshold_ns > 0)
        return pf__watch_set(loop, threshold_ns, signo);
    pf__watch_end(loop);
    return 0;
}

/* Nothing may be registered: what has no context of these hooks must not meet them. */
static int ends_the_walk(const struct pf_loop_item *item, void *arg)
{
    (void)item, (void)arg;
    return -EBUSY;
}

int pf_loop_set_context_hooks(pf_loop *loop, const struct pf_context_hooks *hooks)
{
    int err = pf__loop_check(loop);
    if (!err && hooks && hooks->size < sizeof hooks->size)
        err = -EINVAL;
    if (!err)
        err = pf_loop_walk(loop, ends_the_walk, NULL);
    if (err)
        return err;
    struct pf_context_hooks copy = {0};
    if (hooks)
        memcpy(&copy, hooks, hooks->size < sizeof copy ? hooks->size : sizeof copy);
    loop->hooks = copy;
    return 0;
}
