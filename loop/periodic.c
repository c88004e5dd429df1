/*
 * periodic.c - a callback every so often, on a grid.
 *
 * Between two calls there is a timer, and during a call there is one, too, which never
 * comes: it keeps the place of the next one, so that a schedule cannot end for want of
 * memory.
 */
#include <prefork/periodic.h>

#include "loop/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct pf_periodic {
    struct pf__member member;
    int64_t period_ns;
    double jitter;
    uint64_t random; /* state of next_random() */
    pf_callback_fn *fn;
    void *arg;
    const char *where;
    pf_timer timer; /* {0}: not running */
    int64_t next_ns;
    bool is_called; /* fn runs */
    bool is_freed;  /* meanwhile: the memory goes when it returns */
};

/* splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014); for jitter it is random enough. */
static double next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ z >> 31) >> 11) / (double)(UINT64_C(1) << 53);
}

static int64_t next_period(struct pf_periodic *periodic)
{
    if (periodic->jitter == 0)
        return periodic->period_ns;
    double factor = 1 + periodic->jitter * (next_random(&periodic->random) - 0.5);
    double period = (double)periodic->period_ns * factor;
    return period < 1 ? 1 : period < 0x1p63 ? (int64_t)period : INT64_MAX;
}

/* The first point of the grid after now; the one after the last call if the clock went
 * back. */
static int64_t next_call(struct pf_periodic *periodic, int64_t now)
{
    int64_t period = next_period(periodic), from = periodic->next_ns, step = period, next;
    if (now >= from) { /* unsigned, since they may lie at far ends of the range */
        uint64_t passed = (uint64_t)now - (uint64_t)from;
        step -= (int64_t)(passed % (uint64_t)period);
        from = now;
    }
    return __builtin_add_overflow(from, step, &next) ? PF_NEVER : next;
}

static void forget_loop(struct pf__member *member)
{
    (void)member; /* its timer goes with the loop */
}

int pf_periodic_new_at(pf_loop *loop, int64_t period_ns, pf_callback_fn *fn, void *arg,
                       const char *where, pf_periodic **out)
{
    int err = pf__loop_check(loop);
    if (!err && (period_ns <= 0 || !fn || !out))
        err = -EINVAL;
    if (err)
        return err;
    struct pf_periodic *periodic = calloc(1, sizeof *periodic);
    if (!periodic)
        return -ENOMEM;
    periodic->period_ns = period_ns;
    periodic->fn = fn;
    periodic->arg = arg;
    periodic->where = where;
    periodic->random = (uint64_t)pf__loop_clock(loop) ^ (uint64_t)getpid() << 40;
    pf__member_join(&periodic->member, loop, forget_loop);
    *out = periodic;
    return 0;
}

int(pf_periodic_new)(pf_loop *loop, int64_t period_ns, pf_callback_fn *fn, void *arg,
                     pf_periodic **out)
{
    return pf_periodic_new_at(loop, period_ns, fn, arg, NULL, out);
}

int pf_periodic_set_jitter(pf_periodic *periodic, double fraction)
{
    int err = periodic ? pf__member_check(&periodic->member) : -EINVAL;
    if (!err && !(fraction >= 0 && fraction <= 1)) /* and not NaN */
        err = -EINVAL;
    if (!err)
        periodic->jitter = fraction;
    return err;
}

static pf_callback_fn periodic_on_tick;

static int add_timer(struct pf_periodic *periodic, int64_t when_ns)
{
    pf_timer timer;
    pf_loop *loop = periodic->member.loop;
    int err = pf_loop_call_at_full(loop, when_ns, periodic_on_tick, periodic, NULL,
                                   periodic->where, &timer);
    if (err)
        return err;
    (void)pf_loop_describe_timeout(loop, timer, "periodic");
    periodic->timer = timer;
    return 0;
}

static void remove_timer(struct pf_periodic *periodic)
{
    (void)pf_loop_remove_timeout(periodic->member.loop, periodic->timer);
    periodic->timer = (pf_timer){0};
}

static int periodic_on_tick(pf_loop *loop, void *arg)
{
    struct pf_periodic *periodic = arg;
    (void)add_timer(periodic, PF_NEVER); /* in the slot that has just become free */
    pf_timer kept = periodic->timer;
    periodic->is_called = true;
    int result = periodic->fn(loop, periodic->arg);
    periodic->is_called = false;
    if (periodic->is_freed) {
        free(periodic);
    } else if (!pf__loop_is_inherited(loop) && periodic->timer.id == kept.id) {
        periodic->next_ns = next_call(periodic, pf__loop_clock(loop));
        if (result == PF_DONE)
            remove_timer(periodic);
        else
            (void)pf_loop_update_timeout(loop, kept, periodic->next_ns);
    }
    return result == PF_DONE ? 0 : result;
}

int pf_periodic_start(pf_periodic *periodic)
{
    int64_t now = 0, first;
    int err = periodic ? pf__member_check(&periodic->member) : -EINVAL;
    if (!err)
        err = pf_loop_time(periodic->member.loop, &now);
    if (!err && __builtin_add_overflow(now, next_period(periodic), &first))
        err = -EOVERFLOW;
    if (err)
        return err;
    pf_timer before = periodic->timer;
    err = add_timer(periodic, first);
    if (err)
        return err;
    (void)pf_loop_remove_timeout(periodic->member.loop, before);
    periodic->next_ns = first;
    return 0;
}

int pf_periodic_stop(pf_periodic *periodic)
{
    int err = periodic ? pf__member_check(&periodic->member) : -EINVAL;
    if (!err)
        remove_timer(periodic);
    return err;
}

bool pf_periodic_is_running(const pf_periodic *periodic)
{
    return periodic && pf__member_check(&periodic->member) == 0 && periodic->timer.id != 0;
}

void pf_periodic_free(pf_periodic *periodic)
{
    if (!periodic || pf__member_check(&periodic->member) == -EPERM)
        return;
    if (pf__member_check(&periodic->member) == 0)
        remove_timer(periodic);
    pf__member_part(&periodic->member);
    periodic->is_freed = true;
    if (!periodic->is_called)
        free(periodic);
}
