/*
 * run.h - the child's entry: all that the master knows of a worker.
 */
#ifndef PREFORK_WORKER_RUN_H
#define PREFORK_WORKER_RUN_H

#include <prefork/ipc.h>
#include <prefork/worker.h>
#include <signal.h>

struct pf__worker_setup {
    unsigned slot;
    const struct pf_service *service;
    const int *listen_fds; /* one for each address; the worker's from now on */
    size_t listen_count;
    int channel_fd; /* to the master; the worker's from now on */
    int death_fd;   /* polls hung-up when the master is gone; the worker's from now on */
    pf_scoreboard *board;
    unsigned row;
    int64_t drain_ns;
    const sigset_t *signal_mask; /* to run with, once the worker's handlers stand */
};

/*
 * Live a worker's life, in a child that has let go of everything of its master's that is
 * not in `setup`: boot, accept, serve, drain. Returns the exit status (enum pf_exit).
 */
int pf__worker_run(const struct pf__worker_setup *setup);

#endif
