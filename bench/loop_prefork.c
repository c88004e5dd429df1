/*
 * loop_prefork.c - our own loop under the workloads of loop_bench.h.
 *
 * Where the others count delays from the beginning of a turn, ours counts from a clock that
 * it was asked for once: pf_loop_call_later() would read it for each timer.
 */
#include "bench/loop_bench.h"
#include "bench/loop_dice.h"
#include "bench/loop_pairs.h"
#include "bench/loop_producers.h"

#include <prefork/loop.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

static pf_loop *new_loop(const struct job *job)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    if (job && job->poller)
        options.poller = pf_poller_find(job->poller);
    if (job && job->family == POSTS)
        options.callbacks_max = (size_t)job->ops;
    pf_loop *loop;
    require(pf_loop_new(&options, &loop) == 0, "pf_loop_new");
    return loop;
}

static const char *backend(void)
{
    return pf_loop_poller(new_loop(NULL));
}

static bool has_poller(const char *name)
{
    return pf_poller_find(name) != NULL;
}

static int on_never(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    require(false, "a timer fired that must not");
    return 0;
}

/* ---- pipes ----------------------------------------------------------------------- */

static struct pairs pairs;

static int on_readable(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events;
    if (pairs_pass(&pairs, (int)(intptr_t)arg))
        pf_loop_stop(loop);
    return 0;
}

static void pipes(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, job->pairs);
    pf_loop *loop = new_loop(job);
    for (int i = 0; i < pairs.count; i++)
        require(pf_loop_add_handler(loop, pairs.at[i].read_fd, PF_READ, on_readable,
                                    (void *)(intptr_t)i) == 0,
                "pf_loop_add_handler");
    require(pf_loop_turn(loop, 0) == 0, "a turn with nothing to do");
    pairs_begin(&pairs, job->active, job->ops);
    watch_start(watch);
    require(pf_loop_start(loop) == 0, "pf_loop_start");
    watch_lap(watch, "run");
    require(pairs.to_read == 0, "bytes were lost");
}

/* ---- timers ---------------------------------------------------------------------- */

static long left;

static int on_timer(pf_loop *loop, void *arg)
{
    (void)arg;
    if (--left == 0)
        pf_loop_stop(loop);
    return 0;
}

/* Each timer is added and removed once, so that every table has its size and its pages. */
static pf_timer *new_timers(pf_loop *loop, long count)
{
    pf_timer *timers = new_array((size_t)count, sizeof *timers);
    require(pf_loop_reserve(loop, 0, (size_t)count, 0) == 0, "pf_loop_reserve");
    for (long i = 0; i < count; i++)
        pf_loop_call_later(loop, DELAY_FAR_MAX_MS * PF_MILLISECOND, on_never, NULL,
                           &timers[i]);
    for (long i = count; i-- > 0;)
        pf_loop_remove_timeout(loop, timers[i]);
    require(pf_loop_turn(loop, 0) == 0, "a turn with nothing to do");
    return timers;
}

static void add_timers(pf_loop *loop, pf_timer *timers, const int *delays, long count,
                       pf_callback_fn *fn)
{
    int64_t now = pf_loop_now(loop);
    for (long i = 0; i < count; i++)
        pf_loop_call_at(loop, now + delays[i] * PF_MILLISECOND, fn, NULL, &timers[i]);
}

static void fire(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    pf_loop *loop = new_loop(job);
    pf_timer *timers = new_timers(loop, job->ops);
    left = job->ops;
    watch_start(watch);
    add_timers(loop, timers, delays, job->ops, on_timer);
    watch_lap(watch, "add");
    require(pf_loop_start(loop) == 0, "pf_loop_start");
    watch_lap(watch, "fire");
    require(left == 0, "timers did not fire");
}

static void require_timers(pf_loop *loop, long count)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    require(pf_loop_stats(loop, &stats) == 0 && stats.timers_live == (uint64_t)count,
            "not as many timers wait as should");
}

static void cancel(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    uint32_t *order = dice_order((size_t)job->ops);
    pf_loop *loop = new_loop(job);
    pf_timer *timers = new_timers(loop, job->ops);
    watch_start(watch);
    add_timers(loop, timers, delays, job->ops, on_never);
    pf_loop_turn(loop, 0);
    watch_lap(watch, "add");
    long removed = 0;
    for (long i = 0; i < job->ops; i++)
        removed += pf_loop_remove_timeout(loop, timers[order[i]]) == 0;
    pf_loop_turn(loop, 0);
    watch_lap(watch, "cancel");
    require(removed == job->ops, "timers could not be removed");
    require_timers(loop, 0);
}

struct rearming {
    pf_timer *timers;
    uint32_t count;
    bool constant;
    struct dice dice;
};

static void rearm_random(pf_loop *loop, struct rearming *r)
{
    int64_t now = pf_loop_now(loop);
    for (int i = 0; i < REARMS_IN_A_TURN; i++) {
        pf_timer timer = r->timers[dice_below(&r->dice, r->count)];
        int64_t delay_ms =
            DELAY_FAR_MIN_MS + dice_below(&r->dice, DELAY_FAR_MAX_MS - DELAY_FAR_MIN_MS);
        left -= pf_loop_update_timeout(loop, timer, now + delay_ms * PF_MILLISECOND) == 0;
    }
}

static void rearm_idle(pf_loop *loop, struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++) {
        pf_timer timer = r->timers[dice_below(&r->dice, r->count)];
        int64_t deadline = pf_loop_now(loop) + DELAY_FAR_MAX_MS * PF_MILLISECOND;
        left -= pf_loop_update_timeout(loop, timer, deadline) == 0;
    }
}

static int on_rearm(pf_loop *loop, void *arg)
{
    struct rearming *r = arg;
    if (r->constant)
        rearm_idle(loop, r);
    else
        rearm_random(loop, r);
    return left > 0 ? pf_loop_add_callback(loop, on_rearm, r) : pf_loop_stop(loop);
}

static void rearm(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->timers);
    pf_loop *loop = new_loop(job);
    struct rearming r = {.timers = new_timers(loop, job->timers),
                         .count = (uint32_t)job->timers,
                         .constant = job->constant,
                         .dice = DICE_INIT};
    add_timers(loop, r.timers, delays, job->timers, on_never);
    pf_loop_turn(loop, 0);
    left = job->ops;
    pf_loop_add_callback(loop, on_rearm, &r);
    watch_start(watch);
    require(pf_loop_start(loop) == 0, "pf_loop_start");
    watch_lap(watch, "run");
    require(left == 0, "timers could not be re-armed");
    require_timers(loop, job->timers);
}

/* ---- posts ----------------------------------------------------------------------- */

static int on_item(pf_loop *loop, void *arg)
{
    if (producers_delivered(arg))
        pf_loop_stop(loop);
    return 0;
}

static struct producers producers;

static void post(void *arg)
{
    require(pf_loop_add_callback(arg, on_item, &producers) == 0, "pf_loop_add_callback");
}

static int on_warm_up(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

/* As queue_init() does for the others: room for all, with its pages there. One table fills
 * while the other is run, so it takes two turns to touch both. */
static void warm_queue(pf_loop *loop, long count)
{
    require(pf_loop_reserve(loop, 0, 0, (size_t)count) == 0, "pf_loop_reserve");
    for (int turn = 0; turn < 2; turn++) {
        for (long i = 0; i < count; i++)
            pf_loop_add_callback(loop, on_warm_up, NULL);
        require(pf_loop_turn(loop, 0) == count, "callbacks were lost");
    }
}

static void posts(const struct job *job, struct watch *watch)
{
    pf_loop *loop = new_loop(job);
    warm_queue(loop, job->ops);
    producers_start(&producers, job, post, loop);
    watch_start(watch);
    producers_go(&producers);
    require(pf_loop_start(loop) == 0, "pf_loop_start");
    watch_lap(watch, "run");
    producers_join(&producers);
}

/* ---- churn ----------------------------------------------------------------------- */

static void churn(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, 2);
    pairs_stuff(&pairs, 1);
    pf_loop *loop = new_loop(job);
    int fd = pairs.at[1].read_fd;
    require(pf_loop_add_handler(loop, pairs.at[0].read_fd, PF_READ, on_readable, NULL) == 0,
            "pf_loop_add_handler");
    pf_loop_turn(loop, 0);
    long done = 0;
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        done += pf_loop_add_handler(loop, fd, PF_READ, on_readable, NULL) == 0;
        done += pf_loop_turn(loop, 0) == 0;
        done += pf_loop_update_handler(loop, fd, PF_READ | PF_WRITE) == 0;
        done += pf_loop_turn(loop, 0) == 0;
        done += pf_loop_remove_handler(loop, fd) == 0;
        done += pf_loop_turn(loop, 0) == 0;
    }
    watch_lap(watch, "run");
    require(done == 6 * job->ops, "a step failed, or something was ready");
}

/* ---- turns ----------------------------------------------------------------------- */

static int on_turn(pf_loop *loop, void *arg)
{
    return --left > 0 ? pf_loop_add_callback(loop, on_turn, arg) : pf_loop_stop(loop);
}

static void turns(const struct job *job, struct watch *watch)
{
    pf_loop *loop = new_loop(job);
    left = job->ops;
    pf_loop_add_callback(loop, on_turn, NULL);
    watch_start(watch);
    require(pf_loop_start(loop) == 0, "pf_loop_start");
    watch_lap(watch, "run");
    struct pf_loop_stats stats = {.size = sizeof stats};
    require(pf_loop_stats(loop, &stats) == 0 && stats.polls >= (uint64_t)job->ops - 1,
            "turns without a poll");
}

/* ---- signals --------------------------------------------------------------------- */

static int on_signal(pf_loop *loop, int signo, void *arg)
{
    (void)arg;
    if (--left == 0)
        return pf_loop_stop(loop);
    kill(getpid(), signo);
    return 0;
}

static void signals(const struct job *job, struct watch *watch)
{
    pf_loop *loop = new_loop(job);
    require(pf_loop_add_signal(loop, SIGUSR1, on_signal, NULL) == 0, "pf_loop_add_signal");
    pf_loop_turn(loop, 0);
    left = job->ops;
    watch_start(watch);
    kill(getpid(), SIGUSR1);
    require(pf_loop_start(loop) == 0, "pf_loop_start");
    watch_lap(watch, "run");
    require(left == 0, "signals were lost");
}

/* ---- loops ----------------------------------------------------------------------- */

static void loops(const struct job *job, struct watch *watch)
{
    long done = 0;
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        pf_loop *loop = new_loop(job);
        if (job->used) /* the first turn opens the way in for other threads */
            done -= pf_loop_turn(loop, 0) != 0;
        done += pf_loop_close(loop, false) == 0;
        pf_loop_unref(loop);
    }
    watch_lap(watch, "run");
    require(done == job->ops, "a loop that could not be turned or closed");
}

const struct subject subject = {
    .name = "prefork",
    .version = pf_version,
    .backend = backend,
    .has_poller = has_poller,
    .run = {[PIPES] = pipes,
            [FIRE] = fire,
            [CANCEL] = cancel,
            [REARM] = rearm,
            [POSTS] = posts,
            [CHURN] = churn,
            [TURNS] = turns,
            [SIGNALS] = signals,
            [LOOPS] = loops},
};
