/*
 * libev.c - libev's loop under the workloads of loop_bench.h. Written for 4.33.
 *
 * What is done in its favour, or must be known:
 * - EVFLAG_NOENV: LIBEV_FLAGS of the environment changes nothing.
 * - It puts registrations off to the next turn, and never deregisters: a descriptor that is
 *   removed stays in the kernel's set until it is closed or reports something. Its churn
 *   has no removal; adding again costs it an add that fails and a modification.
 * - Times are doubles, counted from the beginning of the turn; it sleeps whole
 *   milliseconds.
 * - EVFLAG_SIGNALFD, which its manual calls faster. Like all users of signalfd(2) it then
 *   keeps the signal blocked.
 */
#include "bench/loop_bench.h"
#include "bench/loop_dice.h"
#include "bench/loop_pairs.h"
#include "bench/loop_producers.h"
#include "bench/peers/queue.h"

#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct ev_loop *new_loop(unsigned flags)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV | flags);
    require(loop != NULL, "ev_loop_new");
    return loop;
}

static const char *version(void)
{
    static char text[16];
    snprintf(text, sizeof text, "%d.%d", ev_version_major(), ev_version_minor());
    return text;
}

static const char *backend(void)
{
    switch (ev_backend(new_loop(0))) {
    case EVBACKEND_EPOLL:
        return "epoll";
    case EVBACKEND_KQUEUE:
        return "kqueue";
    default:
        return "other";
    }
}

/* ---- pipes ----------------------------------------------------------------------- */

static struct pairs pairs;

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    if (pairs_pass(&pairs, (int)(intptr_t)io->data))
        ev_break(loop, EVBREAK_ONE);
}

static void watch_pair(struct ev_loop *loop, ev_io *io, int i)
{
    ev_io_init(io, on_readable, pairs.at[i].read_fd, EV_READ);
    io->data = (void *)(intptr_t)i;
    ev_io_start(loop, io);
}

static void pipes(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, job->pairs);
    struct ev_loop *loop = new_loop(0);
    ev_io *ios = new_array((size_t)pairs.count, sizeof *ios);
    for (int i = 0; i < pairs.count; i++)
        watch_pair(loop, &ios[i], i);
    ev_run(loop, EVRUN_NOWAIT);
    pairs_begin(&pairs, job->active, job->ops);
    watch_start(watch);
    ev_run(loop, 0);
    watch_lap(watch, "run");
    require(pairs.to_read == 0, "bytes were lost");
}

/* ---- timers ---------------------------------------------------------------------- */

static long left;

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    left--;
}

static void on_never(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    require(false, "a timer fired that must not");
}

static void start_timer(struct ev_loop *loop, ev_timer *timer, int delay_ms)
{
    ev_timer_set(timer, delay_ms / 1e3, 0.);
    ev_timer_start(loop, timer);
}

/* Each timer is started and stopped once, so that every table has its size and its pages.
 */
static ev_timer *new_timers(struct ev_loop *loop, long count,
                            void (*fn)(struct ev_loop *, ev_timer *, int))
{
    ev_timer *timers = new_array((size_t)count, sizeof *timers);
    for (long i = 0; i < count; i++) {
        ev_init(&timers[i], fn);
        start_timer(loop, &timers[i], DELAY_FAR_MAX_MS);
    }
    for (long i = count; i-- > 0;)
        ev_timer_stop(loop, &timers[i]);
    ev_now_update(loop);
    return timers;
}

static void fire(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    struct ev_loop *loop = new_loop(0);
    ev_timer *timers = new_timers(loop, job->ops, on_timer);
    left = job->ops;
    watch_start(watch);
    for (long i = 0; i < job->ops; i++)
        start_timer(loop, &timers[i], delays[i]);
    watch_lap(watch, "add");
    ev_run(loop, 0);
    watch_lap(watch, "fire");
    require(left == 0, "timers did not fire");
}

static void cancel(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    uint32_t *order = dice_order((size_t)job->ops);
    struct ev_loop *loop = new_loop(0);
    ev_timer *timers = new_timers(loop, job->ops, on_never);
    watch_start(watch);
    for (long i = 0; i < job->ops; i++)
        start_timer(loop, &timers[i], delays[i]);
    ev_run(loop, EVRUN_NOWAIT);
    watch_lap(watch, "add");
    for (long i = 0; i < job->ops; i++)
        ev_timer_stop(loop, &timers[order[i]]);
    int alive = ev_run(loop, EVRUN_NOWAIT);
    watch_lap(watch, "cancel");
    require(!alive, "a timer is left");
}

struct rearming {
    ev_timer *timers;
    uint32_t count;
    bool constant;
    struct dice dice;
};

/* The manual: ev_timer_again() is far cheaper than stop and start. */
static void rearm_random(struct ev_loop *loop, struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++) {
        ev_timer *timer = &r->timers[dice_below(&r->dice, r->count)];
        uint32_t delay_ms =
            DELAY_FAR_MIN_MS + dice_below(&r->dice, DELAY_FAR_MAX_MS - DELAY_FAR_MIN_MS);
        timer->repeat = delay_ms / 1e3;
        ev_timer_again(loop, timer);
        left -= ev_is_active(timer) != 0;
    }
}

static void rearm_idle(struct ev_loop *loop, struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++) {
        ev_timer *timer = &r->timers[dice_below(&r->dice, r->count)];
        ev_timer_again(loop, timer);
        left -= ev_is_active(timer) != 0;
    }
}

static void on_rearm(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)events;
    struct rearming *r = idle->data;
    if (r->constant)
        rearm_idle(loop, r);
    else
        rearm_random(loop, r);
    if (left <= 0)
        ev_break(loop, EVBREAK_ONE);
}

static void rearm(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->timers);
    struct ev_loop *loop = new_loop(0);
    struct rearming r = {.timers = new_timers(loop, job->timers, on_never),
                         .count = (uint32_t)job->timers,
                         .constant = job->constant,
                         .dice = DICE_INIT};
    for (long i = 0; i < job->timers; i++) {
        r.timers[i].repeat = delays[i] / 1e3;
        ev_timer_again(loop, &r.timers[i]);
    }
    ev_run(loop, EVRUN_NOWAIT);
    ev_idle idle;
    ev_idle_init(&idle, on_rearm);
    idle.data = &r;
    ev_idle_start(loop, &idle);
    left = job->ops;
    watch_start(watch);
    ev_run(loop, 0);
    watch_lap(watch, "run");
    require(left == 0, "timers could not be re-armed");
}

/* ---- posts ----------------------------------------------------------------------- */

static struct producers producers;
static struct queue queue;
static ev_async async;

static void on_item(void *arg)
{
    if (producers_delivered(&producers))
        ev_break(arg, EVBREAK_ONE);
}

static void on_async(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop, (void)watcher, (void)events;
    queue_run(&queue);
}

static void post(void *arg)
{
    if (queue_push(&queue, on_item, arg))
        ev_async_send(arg, &async);
}

static void posts(const struct job *job, struct watch *watch)
{
    struct ev_loop *loop = new_loop(0);
    queue_init(&queue, (size_t)job->ops);
    ev_async_init(&async, on_async);
    ev_async_start(loop, &async);
    ev_run(loop, EVRUN_NOWAIT);
    producers_start(&producers, job, post, loop);
    watch_start(watch);
    producers_go(&producers);
    ev_run(loop, 0);
    watch_lap(watch, "run");
    producers_join(&producers);
}

/* ---- churn ----------------------------------------------------------------------- */

/* ev_io_modify() keeps libev from asking whether the descriptor is another one by now. */
static void modify(struct ev_loop *loop, ev_io *io, int events)
{
    ev_io_stop(loop, io);
    ev_io_modify(io, events);
    ev_io_start(loop, io);
}

static void churn(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, 2);
    pairs_stuff(&pairs, 1);
    struct ev_loop *loop = new_loop(0);
    ev_io alive, io;
    watch_pair(loop, &alive, 0);
    watch_pair(loop, &io, 1);
    ev_run(loop, EVRUN_NOWAIT);
    ev_io_stop(loop, &io);
    unsigned before = ev_iteration(loop);
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        ev_io_modify(&io, EV_READ);
        ev_io_start(loop, &io);
        ev_run(loop, EVRUN_NOWAIT);
        modify(loop, &io, EV_READ | EV_WRITE);
        ev_run(loop, EVRUN_NOWAIT);
        ev_io_stop(loop, &io);
        ev_run(loop, EVRUN_NOWAIT);
    }
    watch_lap(watch, "run");
    require(ev_iteration(loop) - before == 3 * (unsigned long)job->ops,
            "turns are missing");
}

/* ---- turns ----------------------------------------------------------------------- */

static void on_turn(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)events;
    if (--left == 0)
        ev_idle_stop(loop, idle);
}

static void turns(const struct job *job, struct watch *watch)
{
    struct ev_loop *loop = new_loop(0);
    ev_idle idle;
    ev_idle_init(&idle, on_turn);
    ev_idle_start(loop, &idle);
    left = job->ops;
    watch_start(watch);
    ev_run(loop, 0);
    watch_lap(watch, "run");
    require(ev_iteration(loop) >= (unsigned long)job->ops, "turns are missing");
}

/* ---- signals --------------------------------------------------------------------- */

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    if (--left == 0)
        ev_signal_stop(loop, watcher);
    else
        kill(getpid(), SIGUSR1);
}

static void signals(const struct job *job, struct watch *watch)
{
    struct ev_loop *loop = new_loop(EVFLAG_SIGNALFD);
    ev_signal watcher;
    ev_signal_init(&watcher, on_signal, SIGUSR1);
    ev_signal_start(loop, &watcher);
    ev_run(loop, EVRUN_NOWAIT);
    left = job->ops;
    watch_start(watch);
    kill(getpid(), SIGUSR1);
    ev_run(loop, 0);
    watch_lap(watch, "run");
    require(left == 0, "signals were lost");
}

/* ---- loops ----------------------------------------------------------------------- */

static void use(struct ev_loop *loop)
{
    ev_async watcher;
    ev_async_init(&watcher, on_async);
    ev_async_start(loop, &watcher);
    ev_run(loop, EVRUN_NOWAIT);
    ev_async_stop(loop, &watcher);
}

static void loops(const struct job *job, struct watch *watch)
{
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        struct ev_loop *loop = new_loop(0);
        if (job->used)
            use(loop);
        ev_loop_destroy(loop);
    }
    watch_lap(watch, "run");
}

const struct subject subject = {
    .name = "libev",
    .version = version,
    .backend = backend,
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
