/*
 * lane.h - one loop of a worker: its listeners, its connections, its row of the scoreboard.
 *
 *     boot -> ready -> accepting <-> paused
 *       |       |          |           |
 *       |       |          +-> draining <-+
 *       +-------+-------------> exiting
 *
 * A lane lives on its own thread, and everything here is called there. It decides when it
 * has enough connections, and when it is done draining; for the rest it is told.
 *
 * LIMITS. At the soft one it stops watching its listeners (paused) until a tenth of its
 * connections have gone; told that nobody else can take them, it goes on up to the hard
 * one, and there refuses each, unless the service can spare another one for it. So it does
 * with a client that has too many, for which none is spared.
 */
#ifndef PREFORK_WORKER_LANE_H
#define PREFORK_WORKER_LANE_H

#include "ipc/catalogue.h"
#include "worker/clients.h"
#include "worker/doors.h"

#include <prefork/worker.h>

/* How long a pause at the soft limit lasts at least: it costs the master and a neighbour
 * some work. */
#define PF__LANE_REST_NS (250 * PF_MILLISECOND)

/* Connections; 0: no limit. */
struct pf__lane_limits {
    size_t soft, hard, per_client;
};

struct pf_lane {
    pf_loop *loop;
    const struct pf_service *service;
    unsigned slot, thread;
    enum pf_worker_state state;
    void *data;         /* the service's */
    void *host_data;    /* of whoever hosts an application in a service: server/host.c */
    size_t connections; /* given to the service and not closed yet */
    struct pf__lane_limits limits;
    struct pf__clients *clients; /* NULL: not limited */
    int64_t paused_ns;           /* when it paused last */
    pf_timer rest;               /* until it may resume */
    bool overflow; /* paused, but there is nobody else: accepts all the same */
    bool started;  /* lane_init has run */
    uint64_t *cells[PF__COLUMNS];
    uint64_t **own_cells; /* of the service's columns; NULL: it has none */
    struct pf__doors doors;
    int64_t drain_ns;

    /* The state has changed. Called last, on the lane's thread. */
    void (*on_state)(struct pf_lane *lane, void *arg);
    void *on_state_arg;
};

/* What a lane is made with. */
struct pf__lane_setup {
    const struct pf_service *service;
    unsigned slot, thread;
    const pf_scoreboard *board;
    unsigned row;
    struct pf__lane_limits limits;
    int64_t drain_ns;
};

/* Fill in, before its thread runs: state boot. Returns 0 or -ENOMEM. */
int pf__lane_init(struct pf_lane *lane, const struct pf__lane_setup *setup);
void pf__lane_fini(struct pf_lane *lane);

/* On the lane's thread, with its loop: the loop beats in the row, the service's lane_init
 * runs. Returns 0, the lane ready; or lane_init's error, made negative, the lane exiting.
 */
int pf__lane_start(struct pf_lane *lane, pf_loop *loop);

/* Watch its own listeners; `owner` is its number as the master counts: accepting, from
 * ready. Returns 0, or a negative errno with none watched, the lane exiting. */
int pf__lane_go(struct pf_lane *lane, unsigned owner, const struct pf__listener *listeners,
                size_t count);

/* Nobody else accepts: beyond the soft limit, then. */
void pf__lane_overflow(struct pf_lane *lane);

/* Watch the listeners of another lane too; their descriptors are ours, if it succeeds. */
int pf__lane_adopt(struct pf_lane *lane, unsigned owner,
                   const struct pf__listener *listeners, size_t count);

/* Give another lane's listeners back: unwatched and closed. Unknown ones: nothing. */
void pf__lane_release(struct pf_lane *lane, unsigned owner);

/*
 * No more connections: stop watching, tell the service, be exiting when the last connection
 * has ended or the drain limit is over. With `last`, what stands in the queues is served
 * first; what joins a queue between the last look and the close is reset: no other moment
 * is left for it.
 */
void pf__lane_drain(struct pf_lane *lane, bool last);

/* Exiting, at once. */
void pf__lane_stop(struct pf_lane *lane);

/* What doors call: a connection, one when descriptors have run out, a datagram. */
void pf__lane_on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                        void *arg);
void pf__lane_on_shortage(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                          void *arg);
void pf__lane_on_datagram(pf_receiver *receiver, int fd, const void *data, size_t len,
                          const struct pf_address *peer, void *arg);

/* The service's lane_exit, if lane_init had run; watches nothing any more. */
void pf__lane_end(struct pf_lane *lane);

#endif
