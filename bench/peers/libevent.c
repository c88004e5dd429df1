/*
 * libevent.c - libevent's loop under the workloads of loop_bench.h. Written for 2.1.12.
 *
 * What is done in its favour, or must be known:
 * - EVENT_BASE_FLAG_NOLOCK wherever only one thread is; locks only for posts and
 * loops-used.
 * - EVENT_BASE_FLAG_IGNORE_ENV: EVENT_* of the environment changes nothing.
 * - EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST: it puts registrations off to the next turn, and
 * so makes one system call of the two events it removes in churn. No descriptor here is a
 *   duplicate, which is the manual's condition.
 * - event_base_init_common_timeout() where all delays are the same: a list, not a heap.
 * - Events are assigned before the watch starts.
 * - event_active() from inside an event's own callback runs it again without a poll
 * between; max_dispatch_interval makes it one callback a turn.
 */
#include "bench/loop_bench.h"
#include "bench/loop_dice.h"
#include "bench/loop_pairs.h"
#include "bench/loop_producers.h"
#include "bench/peers/queue.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>
#include <signal.h>
#include <unistd.h>

static struct event_config *new_config(int flags)
{
    struct event_config *config = event_config_new();
    require(config != NULL, "event_config_new");
    flags |= EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST;
    require(event_config_set_flag(config, flags) == 0, "event_config_set_flag");
    return config;
}

static struct event_base *new_base(const struct event_config *config)
{
    struct event_base *base = event_base_new_with_config(config);
    require(base != NULL, "event_base_new_with_config");
    return base;
}

static struct event_base *new_single(void)
{
    return new_base(new_config(EVENT_BASE_FLAG_NOLOCK));
}

static struct event_config *new_threaded_config(void)
{
    require(evthread_use_pthreads() == 0, "evthread_use_pthreads");
    return new_config(0);
}

static const char *backend(void)
{
    return event_base_get_method(new_single());
}

/* ---- pipes ----------------------------------------------------------------------- */

static struct pairs pairs;
static struct event_base *base;

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events;
    if (pairs_pass(&pairs, (int)(intptr_t)arg))
        event_base_loopbreak(base);
}

static void watch_pair(struct event *event, int i)
{
    require(event_assign(event, base, pairs.at[i].read_fd, EV_READ | EV_PERSIST,
                         on_readable, (void *)(intptr_t)i) == 0,
            "event_assign");
    require(event_add(event, NULL) == 0, "event_add");
}

static void pipes(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, job->pairs);
    base = new_single();
    struct event *events = new_array((size_t)pairs.count, sizeof *events);
    for (int i = 0; i < pairs.count; i++)
        watch_pair(&events[i], i);
    event_base_loop(base, EVLOOP_NONBLOCK);
    pairs_begin(&pairs, job->active, job->ops);
    watch_start(watch);
    event_base_loop(base, 0);
    watch_lap(watch, "run");
    require(pairs.to_read == 0, "bytes were lost");
}

/* ---- timers ---------------------------------------------------------------------- */

static long left;

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    left--;
}

static void on_never(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    require(false, "a timer fired that must not");
}

static struct timeval from_ms(long ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* Each timer is added and deleted once, so that every table has its size and its pages. */
static struct event *new_timers(long count, event_callback_fn fn)
{
    struct event *timers = new_array((size_t)count, sizeof *timers);
    struct timeval delay = from_ms(DELAY_FAR_MAX_MS);
    for (long i = 0; i < count; i++) {
        evtimer_assign(&timers[i], base, fn, NULL);
        event_add(&timers[i], &delay);
    }
    for (long i = count; i-- > 0;)
        event_del(&timers[i]);
    return timers;
}

/* With `common`, all delays are that one. */
static void add_timers(struct event *timers, const int *delays, long count,
                       const struct timeval *common)
{
    for (long i = 0; i < count; i++) {
        struct timeval delay = from_ms(delays[i]);
        event_add(&timers[i], common ? common : &delay);
    }
}

static const struct timeval *common_delay(int delay_ms)
{
    struct timeval delay = from_ms(delay_ms);
    const struct timeval *common = event_base_init_common_timeout(base, &delay);
    require(common != NULL, "event_base_init_common_timeout");
    return common;
}

struct adding {
    struct event *timers;
    const int *delays;
    const struct timeval *common;
    long count;
    struct watch *watch;
};

static void on_adding(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events;
    struct adding *a = arg;
    watch_start(a->watch);
    add_timers(a->timers, a->delays, a->count, a->common);
    watch_lap(a->watch, "add");
}

/* It knows what time it is only inside its loop: outside each event_add() would ask. */
static void add_inside(struct adding adding)
{
    struct timeval at_once = {0, 0};
    require(event_base_once(base, -1, EV_TIMEOUT, on_adding, &adding, &at_once) == 0,
            "event_base_once");
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void fire(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    base = new_single();
    struct event *timers = new_timers(job->ops, on_timer);
    const struct timeval *common = job->constant ? common_delay(delays[0]) : NULL;
    left = job->ops;
    add_inside((struct adding){timers, delays, common, job->ops, watch});
    event_base_loop(base, 0);
    watch_lap(watch, "fire");
    require(left == 0, "timers did not fire");
}

static void cancel(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->ops);
    uint32_t *order = dice_order((size_t)job->ops);
    base = new_single();
    struct event *timers = new_timers(job->ops, on_never);
    add_inside((struct adding){timers, delays, NULL, job->ops, watch});
    long removed = 0;
    for (long i = 0; i < job->ops; i++)
        removed += event_del(&timers[order[i]]) == 0;
    int empty = event_base_loop(base, EVLOOP_NONBLOCK) == 1;
    watch_lap(watch, "cancel");
    require(removed == job->ops && empty, "a timer is left");
}

struct rearming {
    struct event *timers;
    const struct timeval *common; /* or NULL: random delays */
    uint32_t count;
    struct dice dice;
    struct event *self;
};

static void rearm_random(struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++) {
        struct event *timer = &r->timers[dice_below(&r->dice, r->count)];
        struct timeval delay = from_ms(
            DELAY_FAR_MIN_MS + dice_below(&r->dice, DELAY_FAR_MAX_MS - DELAY_FAR_MIN_MS));
        left -= event_add(timer, &delay) == 0;
    }
}

static void rearm_idle(struct rearming *r)
{
    for (int i = 0; i < REARMS_IN_A_TURN; i++)
        left -= event_add(&r->timers[dice_below(&r->dice, r->count)], r->common) == 0;
}

static void on_rearm(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events;
    struct rearming *r = arg;
    if (r->common)
        rearm_idle(r);
    else
        rearm_random(r);
    if (left > 0)
        event_active(r->self, EV_TIMEOUT, 0);
    else
        event_base_loopbreak(base);
}

/* A base whose events may activate themselves without keeping it from polling. */
static struct event_base *new_turning(void)
{
    struct event_config *config = new_config(EVENT_BASE_FLAG_NOLOCK);
    require(event_config_set_max_dispatch_interval(config, NULL, 1, 0) == 0,
            "event_config_set_max_dispatch_interval");
    return new_base(config);
}

static void rearm(const struct job *job, struct watch *watch)
{
    int *delays = job_delays_ms(job, job->timers);
    base = new_turning();
    struct event self;
    struct rearming r = {.timers = new_timers(job->timers, on_never),
                         .common = job->constant ? common_delay(delays[0]) : NULL,
                         .count = (uint32_t)job->timers,
                         .dice = DICE_INIT,
                         .self = &self};
    add_timers(r.timers, delays, job->timers, r.common);
    event_base_loop(base, EVLOOP_NONBLOCK);
    evtimer_assign(&self, base, on_rearm, &r);
    left = job->ops;
    event_active(&self, EV_TIMEOUT, 0);
    watch_start(watch);
    event_base_loop(base, 0);
    watch_lap(watch, "run");
    require(left == 0, "timers could not be re-armed");
}

/* ---- posts ----------------------------------------------------------------------- */

static struct producers producers;
static struct queue queue;

static void on_item(void *arg)
{
    (void)arg;
    if (producers_delivered(&producers))
        event_base_loopbreak(base);
}

static void on_queue(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    queue_run(&queue);
}

static void post(void *arg)
{
    if (queue_push(&queue, on_item, NULL))
        event_active(arg, EV_TIMEOUT, 0);
}

static void posts(const struct job *job, struct watch *watch)
{
    base = new_base(new_threaded_config());
    queue_init(&queue, (size_t)job->ops);
    struct event event;
    evtimer_assign(&event, base, on_queue, NULL);
    event_base_loop(base, EVLOOP_NONBLOCK);
    producers_start(&producers, job, post, &event);
    watch_start(watch);
    producers_go(&producers);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    watch_lap(watch, "run");
    producers_join(&producers);
}

/* ---- churn ----------------------------------------------------------------------- */

/* Reading and writing are two events of one descriptor: adding the second modifies. */
static void churn(const struct job *job, struct watch *watch)
{
    pairs_open(&pairs, 2);
    pairs_stuff(&pairs, 1);
    base = new_single();
    struct event alive, reads, writes;
    watch_pair(&alive, 0);
    watch_pair(&reads, 1);
    event_assign(&writes, base, pairs.at[1].read_fd, EV_WRITE | EV_PERSIST, on_readable,
                 NULL);
    event_del(&reads);
    event_base_loop(base, EVLOOP_NONBLOCK);
    long done = 0;
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        done += event_add(&reads, NULL) == 0;
        done += event_base_loop(base, EVLOOP_NONBLOCK) == 0;
        done += event_add(&writes, NULL) == 0;
        done += event_base_loop(base, EVLOOP_NONBLOCK) == 0;
        done += event_del(&writes) == 0 && event_del(&reads) == 0;
        done += event_base_loop(base, EVLOOP_NONBLOCK) == 0;
    }
    watch_lap(watch, "run");
    require(done == 6 * job->ops, "a step failed");
}

/* ---- turns ----------------------------------------------------------------------- */

static void on_turn(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events;
    if (--left > 0)
        event_active(arg, EV_TIMEOUT, 0);
}

static void turns(const struct job *job, struct watch *watch)
{
    base = new_turning();
    struct event self;
    evtimer_assign(&self, base, on_turn, &self);
    left = job->ops;
    event_active(&self, EV_TIMEOUT, 0);
    watch_start(watch);
    event_base_loop(base, 0);
    watch_lap(watch, "run");
    require(left == 0, "turns are missing");
}

/* ---- signals --------------------------------------------------------------------- */

static void on_signal(evutil_socket_t signo, short events, void *arg)
{
    (void)events;
    if (--left == 0)
        event_del(arg);
    else
        kill(getpid(), (int)signo);
}

static void signals(const struct job *job, struct watch *watch)
{
    base = new_single();
    struct event event;
    evsignal_assign(&event, base, SIGUSR1, on_signal, &event);
    require(event_add(&event, NULL) == 0, "event_add");
    event_base_loop(base, EVLOOP_NONBLOCK);
    left = job->ops;
    watch_start(watch);
    kill(getpid(), SIGUSR1);
    event_base_loop(base, 0);
    watch_lap(watch, "run");
    require(left == 0, "signals were lost");
}

/* ---- loops ----------------------------------------------------------------------- */

static void loops(const struct job *job, struct watch *watch)
{
    struct event_config *config =
        job->used ? new_threaded_config() : new_config(EVENT_BASE_FLAG_NOLOCK);
    watch_start(watch);
    for (long i = 0; i < job->ops; i++) {
        struct event_base *one = new_base(config);
        if (job->used)
            event_base_loop(one, EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY);
        event_base_free(one);
    }
    watch_lap(watch, "run");
}

const struct subject subject = {
    .name = "libevent",
    .version = event_get_version,
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
