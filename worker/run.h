/*
 * run.h - the child's entry: all that the master knows of a worker.
 */
#ifndef PREFORK_WORKER_RUN_H
#define PREFORK_WORKER_RUN_H

#include "worker/doors.h"
#include "worker/lane.h"

#include <prefork/ipc.h>
#include <prefork/worker.h>
#include <signal.h>
#include <sys/types.h>

struct pf__worker_setup {
    unsigned slot;
    unsigned threads; /* lanes */
    const struct pf_service *service;
    unsigned first_lane; /* number of our lane 0, as the master counts lanes */
    const struct pf__listener *listeners; /* listen_count for each lane; the worker's now */
    size_t listen_count;
    int channel_fd;    /* to the master; the worker's from now on */
    int death_fd;      /* polls hung-up when the master is gone; the worker's from now on */
    int crash_fd;      /* where records of ipc/crash.h go; the worker's from now on */
    ino_t stderr_pipe; /* what is standard error until then */
    int stderr_fd; /* put back as standard error when the worker is ready; -1: leave it */
    pf_scoreboard *board;
    unsigned first_row;
    struct pf__lane_limits limits; /* of the whole worker */
    int64_t drain_ns;
    int64_t spin_ns; /* CPU time in one handler that is worth a report; 0: none is */
    pid_t master;
    bool die_with_master;        /* at once; else like a drain */
    const sigset_t *signal_mask; /* to run with, once the worker's handlers stand */

    /* Bind the calling thread to its lane's CPU. */
    void (*pin)(unsigned thread, void *arg);
    void *pin_arg;

    /* The worker's state has changed. On its main thread; may be NULL. */
    void (*on_state)(enum pf_worker_state state, void *arg);
    void *on_state_arg;
};

/*
 * Live a worker's life, in a child that has let go of everything of its master's that is
 * not in `setup`: boot, accept, serve, drain. Returns the exit status (enum pf_exit).
 */
int pf__worker_run(const struct pf__worker_setup *setup);

#endif
