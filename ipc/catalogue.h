/*
 * catalogue.h - the words that master and worker share: messages, states, columns.
 *
 *     master                         worker
 *       | fork, wire up                |  boots: loop, application
 *       |<----------- READY -----------|
 *       |------------ GO ------------->|  watches its listeners
 *       |<--------- ACCEPTING ---------|
 *       |             ...              |
 *       |----------- DRAIN ----------->|  empties the queue, closes its listeners,
 *       |                              |  finishes what is open, exits with 0
 *       |----------- STOP ------------>|  drops everything, exits with 0
 *
 * No message has a payload yet; one that gains a payload keeps its number.
 */
#ifndef PREFORK_IPC_CATALOGUE_H
#define PREFORK_IPC_CATALOGUE_H

#include <prefork/ipc.h>

enum pf_ipc_type {
    PF_IPC_READY = 1,
    PF_IPC_GO = 2,
    PF_IPC_ACCEPTING = 3,
    PF_IPC_DRAIN = 4,
    PF_IPC_STOP = 5,
};

/*
 * A worker's states, as it and its master count them:
 *
 *     boot -> ready -> accepting <-> paused
 *       |       |          |           |
 *       |       |          +-> draining <-+
 *       |       |                |
 *       +-------+---> exiting <--+
 */
enum pf_worker_state {
    PF_WORKER_BOOT,
    PF_WORKER_READY,
    PF_WORKER_ACCEPTING,
    PF_WORKER_PAUSED,
    PF_WORKER_DRAINING,
    PF_WORKER_EXITING,
    PF_WORKER_STATES,
};

/* "boot", "ready" ... */
const char *pf__worker_state_name(enum pf_worker_state state);

/* May a worker go from one state to the other? */
bool pf__worker_may_move(enum pf_worker_state from, enum pf_worker_state to);

/* The scoreboard's columns, in this order; applications' own columns will follow them. */
enum pf__column {
    /* written by the lane */
    PF__COLUMN_BEAT,
    PF__COLUMN_STATE,
    PF__COLUMN_ACCEPTED,
    PF__COLUMN_CONNECTIONS,
    PF__COLUMN_REQUESTS,
    PF__COLUMN_BYTES_OUT,
    /* written by the master */
    PF__COLUMN_SLOT,
    PF__COLUMN_PID,
    PF__COLUMN_CPU,
    PF__COLUMN_STARTS,
    PF__COLUMNS,
};

/* The table of them, for pf_scoreboard_new(). */
extern const struct pf_column pf__columns[PF__COLUMNS];

#endif
