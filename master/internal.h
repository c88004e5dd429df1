/*
 * internal.h - the master's inside: one struct, and who does what with it.
 *
 *     master.c   start-up, the two state machines, what messages and signals mean
 *     slots.c    the workers' places: spawn, reap, replace, stop
 *     spawn.c    the fork itself, and what a child does first
 *     policy.c, plan.c   decisions without system calls
 *     listeners.c, cpus.c, control.c, signals.c   one kind of kernel object each
 *     places.c, cgroup.c, nic.c, plan_table.c   what the plan is made from, and how it is
 * shown
 */
#ifndef PREFORK_MASTER_INTERNAL_H
#define PREFORK_MASTER_INTERNAL_H

#include "ipc/catalogue.h"
#include "master/control.h"
#include "master/listeners.h"
#include "master/plan.h"

#include <prefork/master.h>
#include <signal.h>
#include <sys/types.h>

enum pf__master_state {
    PF__MASTER_STARTING,
    PF__MASTER_RUNNING,
    PF__MASTER_STOPPING,
    PF__MASTER_STATES,
};

const char *pf__master_state_name(enum pf__master_state state);
bool pf__master_may_move(enum pf__master_state from, enum pf__master_state to);

/* How urgently the master stops; each further request may only raise it. */
enum pf__stop {
    PF__STOP_NOT,
    PF__STOP_GRACEFUL, /* finish what is open, within the drain limit */
    PF__STOP_FAST,     /* drop what is open */
    PF__STOP_KILL,     /* SIGKILL */
};

/* What the program had before: given back at the end, and the mask to the workers. */
struct pf__signals {
    int fd; /* -1: not open */
    sigset_t mask;
    struct sigaction child, pipe;
};

struct pf__master;

/* A worker's place. It outlives the process in it. */
struct pf__slot {
    struct pf__master *master;
    unsigned number;
    pid_t pid;                  /* 0: nobody is here */
    enum pf_worker_state state; /* the worker's, by its messages */
    bool was_ready;
    bool commanded; /* told to leave */
    unsigned failures;
    int64_t born_ns;
    pf_channel *channel;
    pf_timer timer; /* empty: when to fill it; booting: the boot limit */
};

struct pf__master {
    const struct pf_master_options *options;
    enum pf__master_state state;
    enum pf__stop stop;
    int status; /* what pf_master_run() returns */
    pf_loop *loop;
    struct pf__signals signals;
    int death_pipe[2]; /* workers watch [0]; [1] is held here alone */
    struct pf__listeners listeners;
    struct pf__control control;
    pf_scoreboard *board;
    hwloc_topology_t topology; /* NULL: not known */
    struct pf_cpu_plan plan;
    struct pf__slot *slots;
    unsigned slot_count;
    bool ever_ready;
    bool announced;        /* on_ready has been called */
    int64_t healthy_at_ns; /* when a worker was last known to be past PF__MIN_UPTIME_NS */
    int64_t started_ns;
    pf_timer stop_timer;
};

/* ---- slots.c --------------------------------------------------------------------- */

/* Fill an empty slot. If the fork fails, it is tried again later; returns why, or 0. */
int pf__slot_fill(struct pf__slot *slot);

/* Reap every child that has ended; a worker's slot is filled again if policy says so. */
void pf__slots_reap(struct pf__master *master);

/* Tell all workers to leave, as urgently as master->stop says. */
void pf__slots_stop(struct pf__master *master);

/* Workers that live; workers that accept. */
unsigned pf__slots_alive(const struct pf__master *master);
unsigned pf__slots_accepting(const struct pf__master *master);

/* ---- spawn.c --------------------------------------------------------------------- */

/* Fork a worker into the slot. Returns its pid, in the master only, and the master's end of
 * its channel in *channel_fd; or a negative errno. */
int pf__spawn(struct pf__slot *slot, int *channel_fd);

/* ---- signals.c ------------------------------------------------------------------- */

/* Block the master's signals and open a descriptor that tells of them. Returns 0 or a
 * negative errno. */
int pf__signals_open(struct pf__signals *signals);

/* In a child: default dispositions for all that the master handles. Leaves them blocked. */
void pf__signals_reset(void);

/* Close, and put mask and dispositions back. */
void pf__signals_close(struct pf__signals *signals);

/* ---- master.c -------------------------------------------------------------------- */

/* A worker's slot has changed: is everything up, or over, or hopeless? */
void pf__master_review(struct pf__master *master);

#endif
