/*
 * libuv.c - libuv's loop under the workloads of loop_bench.h. Written for 1.44.
 *
 * What is done in its favour, or must be known:
 * - Handles are initialised before the watch starts, and closed after it or never: a
 *   uv_close() costs a turn more, and uv_poll_init() probes the descriptor with system
 *   calls.
 * - uv_run() does not poll when nothing is alive; churn and turns keep something alive.
 * - Times are whole milliseconds, counted from the beginning of the turn.
 */
#include "bench/loop_bench.h"
#include "bench/loop_dice.h"
#include "bench/loop_pairs.h"
#include "bench/loop_producers.h"
#include "bench/peers/queue.h"

#include <signal.h>
#include <unistd.h>
#include <uv.h>

static uv_loop_t *new_loop(void)
{
    static uv_loop_t loop;
    require(uv_loop_init(&loop) == 0, "uv_loop_init");
    return &loop;
}

static const char *backend(void)
{
#ifdef __linux__
    return "epoll"; /* it has no other there, and no call that tells */
#else
    return "kqueue";
#endif
}

/* ---- pipes ----------------------------------------------------------------------- */

static struct pairs pairs;

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    require(status == 0, "uv_poll_t");
    if (pairs_pass(&pairs, (int)(intptr_t)poll->data))
        uv_stop(poll->loop);
}

static void watch_pair(uv_loop_t *loop, uv_poll_t *poll, int i)
{
    require(uv_poll_init(loop, poll, pairs.at[i].read_fd) == 0, "uv_poll_init");
    poll->data = (void *)(intptr_t)i;
    require(uv_poll_start(poll, UV_READABLE, on_readable) == 0, "uv_poll_start");
}

static void pipes(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, job->pairs);
    uv_loop_t *loop = new_loop();
    uv_poll_t *polls = new_array((size_t)pairs.count, sizeof *polls);
    for (int i = 0; i < pairs.count; i++)
        watch_pair(loop, &polls[i], i);
    uv_run(loop, UV_RUN_NOWAIT);
    pairs_begin(&pairs, job->active, job->ops);
    watch_start(watch);
    uv_run(loop, UV_RUN_DEFAULT);
    watch_lap(watch, "run");
    require(pairs.to_read == 0, "bytes were lost");
}

/* ---- timers ---------------------------------------------------------------------- */

static long left;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    left--;
}

static void on_never(uv_timer_t *timer)
{
    (void)timer;
    require(false, "a timer fired that must not");
}

/* Each timer is started and stopped once, so that every table has its size and its pages.
 */
static uv_timer_t *new_timers(uv_loop_t *loop, long count)
{
    uv_timer_t *timers = new_array((size_t)count, sizeof *timers);
    for (long i = 0; i < count; i++) {
        uv_timer_init(loop, &timers[i]);
        uv_timer_start(&timers[i], on_never, DELAY_FAR_MAX_MS, 0);
    }
    for (long i = count; i-- > 0;)
        uv_timer_stop(&timers[i]);
    uv_update_time(loop);
    return timers;
}

static void start_timers(uv_timer_t *timers, const int *delays, long count, uv_timer_cb fn,
                         uint64_t repeat_ms)
{
    for (long i = 0; i < count; i++)
        uv_timer_start(&timers[i], fn, (uint64_t)delays[i], repeat_ms);
}

static void fire(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    uv_loop_t *loop = new_loop();
    uv_timer_t *timers = new_timers(loop, job->ops);
    left = job->ops;
    watch_start(watch);
    start_timers(timers, delays, job->ops, on_timer, 0);
    watch_lap(watch, "add");
    uv_run(loop, UV_RUN_DEFAULT);
    watch_lap(watch, "fire");
    require(left == 0, "timers did not fire");
}

static void cancel(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    uint32_t *order = dice_order((size_t)job->ops);
    uv_loop_t *loop = new_loop();
    uv_timer_t *timers = new_timers(loop, job->ops);
    watch_start(watch);
    start_timers(timers, delays, job->ops, on_never, 0);
    uv_run(loop, UV_RUN_NOWAIT);
    watch_lap(watch, "add");
    for (long i = 0; i < job->ops; i++)
        uv_timer_stop(&timers[order[i]]);
    uv_run(loop, UV_RUN_NOWAIT);
    watch_lap(watch, "cancel");
    require(!uv_loop_alive(loop), "a timer is left");
}

struct rearming {
    uv_timer_t *timers;
    uint32_t count;
    bool constant;
    struct dice dice;
};

static void rearm_random(struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++) {
        uv_timer_t *timer = &r->timers[dice_below(&r->dice, r->count)];
        uint32_t delay_ms =
            DELAY_FAR_MIN_MS + dice_below(&r->dice, DELAY_FAR_MAX_MS - DELAY_FAR_MIN_MS);
        left -= uv_timer_start(timer, on_never, delay_ms, 0) == 0;
    }
}

static void rearm_idle(struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++)
        left -= uv_timer_again(&r->timers[dice_below(&r->dice, r->count)]) == 0;
}

static void on_rearm(uv_idle_t *idle)
{
    struct rearming *r = idle->data;
    if (r->constant)
        rearm_idle(r);
    else
        rearm_random(r);
    if (left <= 0)
        uv_stop(idle->loop);
}

static void rearm(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->timers);
    uv_loop_t *loop = new_loop();
    struct rearming r = {.timers = new_timers(loop, job->timers),
                         .count = (uint32_t)job->timers,
                         .constant = job->constant,
                         .dice = DICE_INIT};
    start_timers(r.timers, delays, job->timers, on_never, DELAY_FAR_MAX_MS);
    uv_run(loop, UV_RUN_NOWAIT);
    uv_idle_t idle = {.data = &r};
    uv_idle_init(loop, &idle);
    uv_idle_start(&idle, on_rearm);
    left = job->ops;
    watch_start(watch);
    uv_run(loop, UV_RUN_DEFAULT);
    watch_lap(watch, "run");
    require(left == 0, "timers could not be re-armed");
}

/* ---- posts ----------------------------------------------------------------------- */

static struct producers producers;
static struct queue queue;
static uv_async_t async;

static void on_item(void *arg)
{
    if (producers_delivered(&producers))
        uv_stop(arg);
}

static void on_async(uv_async_t *handle)
{
    (void)handle;
    queue_run(&queue);
}

static void post(void *arg)
{
    if (queue_push(&queue, on_item, arg))
        uv_async_send(&async);
}

static void posts(const struct job *job, struct watch *watch)
{
    uv_loop_t *loop = new_loop();
    queue_init(&queue, (size_t)job->ops);
    require(uv_async_init(loop, &async, on_async) == 0, "uv_async_init");
    uv_run(loop, UV_RUN_NOWAIT);
    producers_start(&producers, job, post, loop);
    watch_start(watch);
    producers_go(&producers);
    uv_run(loop, UV_RUN_DEFAULT);
    watch_lap(watch, "run");
    producers_join(&producers);
}

/* ---- churn ----------------------------------------------------------------------- */

static void churn(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, 2);
    pairs_stuff(&pairs, 1);
    uv_loop_t *loop = new_loop();
    uv_poll_t alive, poll;
    watch_pair(loop, &alive, 0);
    watch_pair(loop, &poll, 1);
    uv_poll_stop(&poll);
    uv_run(loop, UV_RUN_NOWAIT);
    long done = 0;
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        done += uv_poll_start(&poll, UV_READABLE, on_readable) == 0;
        done += uv_run(loop, UV_RUN_NOWAIT) != 0;
        done += uv_poll_start(&poll, UV_READABLE | UV_WRITABLE, on_readable) == 0;
        done += uv_run(loop, UV_RUN_NOWAIT) != 0;
        done += uv_poll_stop(&poll) == 0;
        done += uv_run(loop, UV_RUN_NOWAIT) != 0;
    }
    watch_lap(watch, "run");
    require(done == 6 * job->ops, "a step failed");
}

/* ---- turns ----------------------------------------------------------------------- */

static void on_turn(uv_idle_t *idle)
{
    if (--left == 0)
        uv_idle_stop(idle);
}

static void turns(const struct job *job, struct watch *watch)
{
    uv_loop_t *loop = new_loop();
    uv_idle_t idle;
    uv_idle_init(loop, &idle);
    uv_idle_start(&idle, on_turn);
    left = job->ops;
    watch_start(watch);
    uv_run(loop, UV_RUN_DEFAULT);
    watch_lap(watch, "run");
    require(left == 0, "turns are missing");
}

/* ---- signals --------------------------------------------------------------------- */

static void on_signal(uv_signal_t *handle, int signo)
{
    if (--left == 0)
        uv_signal_stop(handle);
    else
        kill(getpid(), signo);
}

static void signals(const struct job *job, struct watch *watch)
{
    uv_loop_t *loop = new_loop();
    uv_signal_t handle;
    uv_signal_init(loop, &handle);
    require(uv_signal_start(&handle, on_signal, SIGUSR1) == 0, "uv_signal_start");
    uv_run(loop, UV_RUN_NOWAIT);
    left = job->ops;
    watch_start(watch);
    kill(getpid(), SIGUSR1);
    uv_run(loop, UV_RUN_DEFAULT);
    watch_lap(watch, "run");
    require(left == 0, "signals were lost");
}

/* ---- loops ----------------------------------------------------------------------- */

static void use(uv_loop_t *loop)
{
    uv_async_t handle;
    require(uv_async_init(loop, &handle, on_async) == 0, "uv_async_init");
    uv_run(loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&handle, NULL);
    uv_run(loop, UV_RUN_NOWAIT); /* a loop with a closing handle cannot be closed */
}

static void loops(const struct job *job, struct watch *watch)
{
    long done = 0;
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        uv_loop_t *loop = new_loop();
        if (job->used)
            use(loop);
        done += uv_loop_close(loop) == 0;
    }
    watch_lap(watch, "run");
    require(done == job->ops, "a loop that could not be closed");
}

const struct subject subject = {
    .name = "libuv",
    .version = uv_version_string,
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
