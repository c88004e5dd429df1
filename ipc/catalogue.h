/*
 * catalogue.h - the words that master and worker share: messages, states, columns.
 *
 *     master                         worker
 *       | fork, wire up                |  boots: loops, application
 *       |<----------- READY -----------|
 *       |------------ GO ------------->|  watches its listeners
 *       |<--------- ACCEPTING ---------|
 *       |             ...              |
 *       |<---------- PAUSED -----------|  a lane has as many connections as it wants
 *       |<--------- ACCEPTING ---------|  ... and room again; both name the lane
 *       |---------- OVERFLOW --------->|  nobody else can: accept beyond the soft limit
 *       |----------- ADOPT ----------->|  watch another lane's listeners (they come along)
 *       |---------- RELEASE ---------->|  give them back
 *       |<--------- RELEASE -----------|  cannot watch them
 *       |------------ PING ----------->|  a queue stands though the lane sleeps: wake it
 *       |<----------- DRAIN -----------|  a signal told it to leave; fill its slot
 *       |             ...              |
 *       |----------- DRAIN ----------->|  closes its listeners, finishes what is open,
 *       |                              |  exits with 0
 *       |----------- STOP ------------>|  drops everything, exits with 0
 *
 * A message that gains a payload, or a longer one, keeps its number.
 */
#ifndef PREFORK_IPC_CATALOGUE_H
#define PREFORK_IPC_CATALOGUE_H

#include <prefork/ipc.h>

enum pf_ipc_type {
    PF_IPC_READY = 1,
    PF_IPC_GO = 2,
    PF_IPC_ACCEPTING = 3, /* without a payload: all lanes, for the first time */
    PF_IPC_DRAIN = 4,     /* struct pf__ipc_drain */
    PF_IPC_STOP = 5,
    PF_IPC_PAUSED = 6, /* these carry a struct pf__ipc_lane */
    PF_IPC_OVERFLOW = 7,
    PF_IPC_ADOPT = 8, /* and the listeners */
    PF_IPC_RELEASE = 9,
    PF_IPC_PING = 10,
};

struct pf__ipc_lane {
    uint32_t thread;   /* the lane, as its worker counts */
    uint32_t owner;    /* of the listeners: a lane, as the master counts */
    uint32_t adoption; /* which one of that lane: an answer says what it answers */
};

struct pf__ipc_drain {
    uint32_t last; /* nobody else accepts from its listeners: empty their queues first */
};

/*
 * The states of a worker and of each of its lanes, as it and its master count them; only a
 * lane is ever paused:
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

/* The scoreboard's columns, in this order; the service's own follow them. */
enum pf__column {
    /* written by the lane */
    PF__COLUMN_BEAT,
    PF__COLUMN_STATE,
    PF__COLUMN_ACCEPTED,
    PF__COLUMN_CONNECTIONS,
    PF__COLUMN_REQUESTS,
    PF__COLUMN_BYTES_OUT,
    PF__COLUMN_DATAGRAMS,
    PF__COLUMN_REFUSED,    /* connections over a limit */
    PF__COLUMN_SAMPLED,    /* connections whose CPU was looked at ... */
    PF__COLUMN_AWAY,       /* ... and that another CPU than the lane's had received */
    PF__COLUMN_BUSY_UNTIL, /* CLOCK_MONOTONIC in ns: not hung until then */
    PF__COLUMN_TID,
    /* written by the master */
    PF__COLUMN_SLOT,
    PF__COLUMN_PID,
    PF__COLUMN_CPU,
    PF__COLUMN_STARTS,
    PF__COLUMNS,
};

/*
 * The rows: each slot has two seats, for a worker that leaves and its successor count at
 * the same time; and each seat a row for each lane.
 */
static inline unsigned pf__row(unsigned slot, unsigned seat, unsigned threads,
                               unsigned thread)
{
    return (slot * 2 + seat) * threads + thread;
}

/* The table of them, for pf_scoreboard_new(). */
extern const struct pf_column pf__columns[PF__COLUMNS];

#endif
