/* seats.c - a place for each lane, and the lanes' threads: see internal.h. */
#include "worker/internal.h"

#include "worker/crash.h"

#include <errno.h>
#include <prefork/log.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The share of one lane, rounded up. */
static size_t share_of(size_t limit, unsigned lanes)
{
    return (limit + lanes - 1) / lanes;
}

int pf__seats_make(struct pf__self *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    worker->seats = calloc(setup->threads, sizeof *worker->seats);
    if (!worker->seats)
        return -ENOMEM;
    struct pf__lane_setup lane = {
        .service = setup->service,
        .slot = setup->slot,
        .board = setup->board,
        .limits = {.soft = share_of(setup->limits.soft, setup->threads),
                   .hard = share_of(setup->limits.hard, setup->threads),
                   .per_client = setup->limits.per_client},
        .drain_ns = setup->drain_ns};
    int err = 0;
    for (unsigned i = 0; i < setup->threads && !err; i++) {
        struct pf__seat *seat = &worker->seats[i];
        lane.thread = i;
        lane.row = setup->first_row + i;
        err = pf__lane_init(&seat->lane, &lane);
        seat->worker = worker;
        seat->lane.on_state = pf__seat_on_state;
        seat->lane.on_state_arg = seat;
    }
    return err;
}

void pf__seat_enter_thread(struct pf__seat *seat)
{
    const struct pf__worker_setup *setup = seat->worker->setup;
    unsigned thread = seat->lane.thread;
    setup->pin(thread, setup->pin_arg);
    int err = pf__crash_thread(thread);
    if (!err && setup->spin_ns)
        err = pf__crash_watch_cpu(seat->lane.cells[PF__COLUMN_BEAT], setup->spin_ns);
    if (err && err != -ENOTCONN) /* said already */
        pf_log(PF_LOG_WARN, "no-backtraces", "thread=%u error=%s", thread, strerror(-err));
}

int pf__seat_make_loop(pf_loop **loop)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_ALWAYS;
    return pf_loop_new(&options, loop);
}

/* Life on a loop of its own: returns when the lane has left. */
static void live(struct pf__seat *seat, pf_loop *loop)
{
    pf_loop_ref(loop); /* the main thread's: it posts here until it has joined us */
    int err = pf__lane_start(&seat->lane, loop);
    if (err) {
        pf__log_boot_failure("lane_init", err);
        pf_loop_unref(loop);
    } else {
        err = pf_loop_start(loop);
        if (err)
            pf_log(PF_LOG_ERROR, "loop-failed", "error=%s exiting", strerror(-err));
    }
    pf__lane_stop(&seat->lane);
    pf__lane_end(&seat->lane);
}

static void *seat_run(void *arg)
{
    struct pf__seat *seat = arg;
    pf__seat_enter_thread(seat);
    pf_loop *loop;
    int err = pf__seat_make_loop(&loop);
    if (err) {
        pf__log_boot_failure("loop", err);
        pf__lane_stop(&seat->lane);
    } else {
        live(seat, loop);
        (void)pf_loop_close(loop, false);
        pf_loop_unref(loop);
    }
    pf__crash_thread_end();
    return NULL;
}

/* Signals that have a meaning for the process are the main thread's; pf__crash_thread()
 * lets through what it handles. Returns how many lanes have a thread, lane 0 included. */
static unsigned start_threads(struct pf__self *worker)
{
    sigset_t quiet, before;
    sigfillset(&quiet);
    pthread_sigmask(SIG_SETMASK, &quiet, &before);
    unsigned started = 1;
    for (; started < worker->setup->threads; started++) {
        struct pf__seat *seat = &worker->seats[started];
        seat->running = true; /* before it looks */
        int err = -pthread_create(&seat->thread, NULL, seat_run, seat);
        if (err) {
            seat->running = false;
            pf__log_boot_failure("thread", err);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void pf__seats_start(struct pf__self *worker)
{
    unsigned started = start_threads(worker);
    struct pf_lane *first = &worker->seats[0].lane;
    for (unsigned i = started; i < worker->setup->threads; i++)
        pf__lane_stop(&worker->seats[i].lane);
    if (started < worker->setup->threads) {
        pf__lane_stop(first);
        return;
    }
    int err = pf__lane_start(first, worker->loop);
    if (err)
        pf__log_boot_failure("lane_init", err);
}

bool pf__seats_can_join(const struct pf__self *worker)
{
    bool can = true;
    for (unsigned i = 1; i < worker->setup->threads; i++)
        can = can && (worker->seats[i].loop || !worker->seats[i].running);
    return can || worker->left == worker->setup->threads;
}

void pf__seats_join(struct pf__self *worker)
{
    for (unsigned i = 1; i < worker->setup->threads; i++) {
        struct pf__seat *seat = &worker->seats[i];
        if (!seat->running)
            continue;
        pf__seat_stop(seat); /* nothing, if it has left */
        pthread_join(seat->thread, NULL);
        if (seat->loop)
            pf_loop_unref(seat->loop);
    }
}
