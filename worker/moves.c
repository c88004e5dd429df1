/*
 * moves.c - from state to state: see internal.h.
 *
 * The main thread decides, and tells each lane; a lane does it on its own thread.
 */
#include "worker/internal.h"

#include "loop/assert.h"

#include <errno.h>
#include <prefork/log.h>
#include <string.h>

void pf__self_set_state(struct pf__self *worker, enum pf_worker_state to)
{
    pf_assert(pf__worker_may_move(worker->state, to));
    pf_log(PF_LOG_DEBUG, "state", "worker=%u %s->%s", worker->setup->slot,
           pf__worker_state_name(worker->state), pf__worker_state_name(to));
    worker->state = to;
    if (worker->setup->on_state)
        worker->setup->on_state(to, worker->setup->on_state_arg);
}

/* ---- on a lane's thread ---------------------------------------------------------- */

static int lane_on_go(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__seat *seat = arg;
    const struct pf__worker_setup *setup = seat->worker->setup;
    unsigned thread = seat->lane.thread;
    int err =
        pf__lane_go(&seat->lane, setup->first_lane + thread,
                    setup->listeners + thread * setup->listen_count, setup->listen_count);
    if (err)
        pf_log(PF_LOG_ERROR, "accept-not-started", "thread=%u error=%s exiting", thread,
               strerror(-err));
    return 0;
}

static int lane_on_drain(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__seat *seat = arg;
    pf__lane_drain(&seat->lane, seat->worker->last);
    return 0;
}

static int lane_on_stop(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__seat *seat = arg;
    pf__lane_stop(&seat->lane);
    return 0;
}

/* ---- from the main thread -------------------------------------------------------- */

void pf__seat_post(struct pf__seat *seat, pf_callback_fn *fn, void *arg)
{
    int err = seat->loop ? pf_loop_add_callback(seat->loop, fn, arg) : 0;
    if (err && err != -ESTALE) /* its loop is closed: it has left */
        pf_log(PF_LOG_ERROR, "lane-not-told", "thread=%u error=%s", seat->lane.thread,
               strerror(-err));
}

static void post_all(struct pf__self *worker, pf_callback_fn *fn)
{
    for (unsigned i = 0; i < worker->setup->threads; i++)
        pf__seat_post(&worker->seats[i], fn, &worker->seats[i]);
}

void pf__seat_stop(struct pf__seat *seat)
{
    pf__seat_post(seat, lane_on_stop, seat);
}

void pf__self_stop(struct pf__self *worker)
{
    if (worker->state == PF_WORKER_EXITING)
        return;
    pf__self_set_state(worker, PF_WORKER_EXITING);
    post_all(worker, lane_on_stop);
}

void pf__self_go(struct pf__self *worker)
{
    if (worker->state != PF_WORKER_READY)
        return;
    pf__self_set_state(worker, PF_WORKER_ACCEPTING);
    post_all(worker, lane_on_go);
}

void pf__self_drain(struct pf__self *worker, bool last, const char *why)
{
    if (worker->state == PF_WORKER_DRAINING)
        return;
    pf__self_go(worker);
    if (worker->state != PF_WORKER_ACCEPTING) {
        pf__self_stop(worker);
        return;
    }
    worker->last = last;
    worker->why = why;
    pf__self_set_state(worker, PF_WORKER_DRAINING);
    post_all(worker, lane_on_drain);
}
