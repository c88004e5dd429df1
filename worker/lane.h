/*
 * lane.h - one loop of a worker: its listeners, its connections, its row of the scoreboard.
 */
#ifndef PREFORK_WORKER_LANE_H
#define PREFORK_WORKER_LANE_H

#include "ipc/catalogue.h"
#include "net/acceptor.h"

#include <prefork/worker.h>

/* Listeners of one lane: addresses a server may bind. */
#define PF_LANE_LISTENERS_MAX 64

struct pf_lane {
    pf_loop *loop;
    const struct pf_service *service;
    unsigned slot;
    void *data;         /* the service's */
    void *host_data;    /* of whoever hosts an application in a service: server/host.c */
    size_t connections; /* given to the service and not closed yet */
    uint64_t *cells[PF__COLUMNS];
    pf_acceptor *acceptors[PF_LANE_LISTENERS_MAX];
    size_t acceptor_count;
    bool started;

    /* The last connection was closed. */
    void (*on_empty)(struct pf_lane *lane, void *arg);
    void *on_empty_arg;
};

/* Fill in; lets the loop beat in the row. */
void pf__lane_init(struct pf_lane *lane, pf_loop *loop, const struct pf_service *service,
                   const pf_scoreboard *board, unsigned row, unsigned slot);

/* The service's lane_init. Returns 0 or its error, made negative. */
int pf__lane_start(struct pf_lane *lane);

/* Accept from each of the listeners. Returns 0 or a negative errno with none accepted from.
 */
int pf__lane_accept(struct pf_lane *lane, const int *listen_fds, size_t count);

/* Serve what stands in the queues, then close the listeners. What joins a queue between the
 * last look and the close is reset: no other moment is left for it. */
void pf__lane_stop_accepting(struct pf_lane *lane, const int *listen_fds, size_t count);

/* The service's on_drain. */
void pf__lane_drain(struct pf_lane *lane);

/* The service's lane_exit, if it was started; stops accepting. */
void pf__lane_end(struct pf_lane *lane);

#endif
