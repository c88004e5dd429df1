/*
 * internal.h - the inside of a worker's process: one struct, and who does what with it.
 *
 *     run.c        boot and end; in between the main thread's loop
 *     seats.c      a place for each lane, and the lanes' threads
 *     orders.c     who moves the worker: the master's messages, its death, signals
 *     moves.c      from state to state: go, drain, stop, and what each lane does for it
 *     adoption.c   another lane's listeners, taken in and given back
 *     reports.c    what the lanes have come to, and what the master is told of it
 *
 * THREADS. Lane 0 lives on the main thread, where everything runs but the functions whose
 * names begin with lane_on_, and a seat's thread itself. The two sides talk by
 * pf_loop_add_callback() only: commands go to a lane's loop, a lane's states come to ours.
 */
#ifndef PREFORK_WORKER_INTERNAL_H
#define PREFORK_WORKER_INTERNAL_H

#include "ipc/catalogue.h"
#include "worker/run.h"

#include <pthread.h>

struct pf__self;

/* A lane and what the main thread knows of it. */
struct pf__seat {
    struct pf__self *worker;
    struct pf_lane lane; /* its thread's */
    pf_loop *loop;       /* to post to; NULL until the lane is ready */
    pthread_t thread;
    bool running; /* a thread of its own, to be joined */
    bool accepts; /* has accepted at all */
};

/* The worker, as it knows itself. */
struct pf__self {
    const struct pf__worker_setup *setup;
    enum pf_worker_state state;
    pf_loop *loop;
    pf_channel *channel;
    struct pf__seat *seats;
    unsigned ready, accepting, drained, left;
    bool last;       /* drained for good: nobody else accepts from our listeners */
    const char *why; /* it drains */
    int status;
};

/* ---- moves.c --------------------------------------------------------------------- */

/* The only writer of the state. */
void pf__self_set_state(struct pf__self *worker, enum pf_worker_state to);

void pf__self_go(struct pf__self *worker);
void pf__self_stop(struct pf__self *worker);

/* `last`: what stands in the queues is served by nobody else. */
void pf__self_drain(struct pf__self *worker, bool last, const char *why);

/* Have it called on the lane's thread. A lane that is not ready yet learns what the worker
 * wants when it is. */
void pf__seat_post(struct pf__seat *seat, pf_callback_fn *fn, void *arg);

void pf__seat_stop(struct pf__seat *seat);

/* ---- orders.c -------------------------------------------------------------------- */

/* Hear them from now on. Returns 0, or what the loop says. */
int pf__orders_take(struct pf__self *worker);

/* Tell the master. It may be gone; then the death pipe says so in the same iteration. */
void pf__self_tell(struct pf__self *worker, enum pf_ipc_type type, const void *payload,
                   size_t len);

/* The lane of ours that a message names; NULL: none, or no such message. */
struct pf__seat *pf__seat_of(struct pf__self *worker, const struct pf_message *message,
                             struct pf__ipc_lane *lane);

/* ---- adoption.c ------------------------------------------------------------------ */

void pf__self_adopt(struct pf__self *worker, const struct pf_message *message);
void pf__self_release(struct pf__self *worker, const struct pf_message *message);

/* ---- reports.c ------------------------------------------------------------------- */

/* On a lane's thread: the report that belongs to each state. */
void pf__seat_on_state(struct pf_lane *lane, void *arg);

/* ---- seats.c --------------------------------------------------------------------- */

/* Returns 0, or -ENOMEM and what pf__lane_init() says; run.c gives back what is there. */
int pf__seats_make(struct pf__self *worker);

/* What a lane's thread needs before anything of it is allocated. */
void pf__seat_enter_thread(struct pf__seat *seat);

/* The calling thread's loop. */
int pf__seat_make_loop(pf_loop **loop);

/* Start all lanes, each on its thread. If not all can, all leave: see
 * worker_on_lane_left(). */
void pf__seats_start(struct pf__self *worker);

/* Our loop has ended. Can all threads be told to leave, if they have not? One whose lane
 * was not heard to be ready cannot. */
bool pf__seats_can_join(const struct pf__self *worker);

/* Wait until the threads have left, lane 0's apart. */
void pf__seats_join(struct pf__self *worker);

/* ---- run.c ----------------------------------------------------------------------- */

void pf__log_boot_failure(const char *step, int err);

#endif
