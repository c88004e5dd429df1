/*
 * worker.h - what a worker runs: a service, on lanes.
 *
 * A lane is one loop of a worker process with its own listening sockets. A service is the
 * code that is handed the connections a lane accepts; it knows nothing of processes, and
 * the worker knows nothing of its protocol.
 *
 * All functions of a service are called in the worker, never in the master; those that take
 * a lane on that lane's thread, with its loop current.
 */
#ifndef PREFORK_WORKER_H
#define PREFORK_WORKER_H

#include <prefork/loop.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_lane pf_lane;

/* Fields are only ever added at the end; a function that is not wanted is NULL. */
struct pf_service {
    size_t size; /* sizeof(struct pf_service) */
    const char *name;
    void *arg; /* handed to each function */

    /* Once in each process, before its lanes. Non-zero: the worker cannot boot. */
    int (*worker_init)(void *arg);

    /* Once for each lane, its loop made and current. Non-zero: the worker cannot boot. */
    int (*lane_init)(pf_lane *lane, void *arg);

    /*
     * A connection was accepted: fd is yours, non-blocking and close-on-exec, and so is the
     * duty to call pf_lane_closed() once, when it has ended.
     */
    void (*on_connection)(pf_lane *lane, int fd, const struct sockaddr *peer,
                          socklen_t peer_len, void *arg);

    /* No more connections come: finish what is open. The worker leaves when all connections
     * are closed, or at the drain limit. */
    void (*on_drain)(pf_lane *lane, void *arg);

    /* Once for each lane whose lane_init succeeded, before its loop is closed. */
    void (*lane_exit)(pf_lane *lane, void *arg);

    /* Once in each process whose worker_init succeeded. */
    void (*worker_exit)(void *arg);
};

/* The lane's loop, borrowed. */
PF_API pf_loop *pf_lane_loop(pf_lane *lane);

/* The worker's slot, 0..workers-1: it outlives the process in it. */
PF_API unsigned pf_lane_slot(const pf_lane *lane);

/* A pointer of the service's own, NULL at first. */
PF_API void pf_lane_set_data(pf_lane *lane, void *data);
PF_API void *pf_lane_get_data(const pf_lane *lane);

/*
 * A connection that on_connection was given has ended. Returns 0, -EINVAL (none is open:
 * said once too often), or the guards of the lane's loop: -ECHILD, -EPERM, -ESTALE.
 */
PF_API int pf_lane_closed(pf_lane *lane);

/* Count an answer in the scoreboard: one request, and so many bytes sent for it. Returns 0
 * or the guards' errors. */
PF_API int pf_lane_answered(pf_lane *lane, size_t bytes);

/* Who is at the other end of a unix socket. */
struct pf_credentials {
    int pid; /* 0: in a pid namespace that cannot be seen from here */
    unsigned uid, gid;
};

/*
 * Who connected: the process and its ids at the time of its connect(2), as the kernel knows
 * them; it may have passed the socket on since. Returns 0, -ENOTSUP (not a connected unix
 * socket, or a system without SO_PEERCRED) or -EBADF. Any thread. One system call. Source:
 * unix(7).
 */
PF_API int pf_peer_credentials(int fd, struct pf_credentials *out);

#ifdef __cplusplus
}
#endif
#endif
