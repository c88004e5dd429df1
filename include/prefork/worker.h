/*
 * worker.h - what a worker runs: a service, on lanes.
 *
 * A lane is one loop of a worker process with its own listening sockets: the process's main
 * thread has one, and each further thread another. A service is the code that is handed the
 * connections a lane accepts; it knows nothing of processes, and the worker knows nothing
 * of its protocol.
 *
 * Which function runs where and when:
 *
 *     master   pre_fork                        once, before the first fork
 *     worker   worker_init                     once in each process
 *     lane     lane_init                       once on each lane's thread, its loop current
 *     worker   on_ready                        when all lanes accept
 *     lane     on_connection, on_datagram, on_refused
 *     lane     on_drain                        no more connections come
 *     lane     lane_exit
 *     worker   worker_exit
 *     master   on_crash                        a worker ended that should not have
 *     both     on_reopen                       SIGUSR1 has come to the master
 *
 * "worker" is the process's main thread, where lane 0 lives too. What takes a lane is
 * called on that lane's thread only. pf_loop_add_callback() on pf_lane_loop() is the way
 * from one lane, or from any other thread, into another.
 */
#ifndef PREFORK_WORKER_H
#define PREFORK_WORKER_H

#include <prefork/ipc.h>
#include <prefork/loop.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_lane pf_lane;

/* Facts about a worker that ended badly; borrowed for the call. */
struct pf_crash {
    size_t size;
    unsigned slot;
    int pid;
    const char *cause; /* "crash", "hung", "out-of-memory" ...: see prefork(7) */
    int signal;        /* that ended it; 0: it exited */
    int status;        /* its exit status, if it exited */
    bool core_dumped;
    int64_t uptime_ns;
};

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
     * Needed for addresses of connections, as on_datagram is for those of datagrams.
     *
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

    /*
     * In the master, once, after it has bound its sockets and before the first fork: for
     * what all workers are to share, copied on write. It must leave no loop and no thread
     * behind. Non-zero: the server does not start.
     */
    int (*pre_fork)(void *arg);

    /* Once in each process, when all its lanes accept. */
    void (*on_ready)(void *arg);

    /*
     * A datagram came to one of the lane's sockets. Answer with sendto(fd, ..., peer,
     * peer_len); fd is the lane's, stays open, and is not to be read. `data` is borrowed
     * for the call.
     */
    void (*on_datagram)(pf_lane *lane, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg);

    /*
     * A connection is over a limit: answer it shortly and close fd, which is yours and does
     * not count as a connection. `scarce`: descriptors have run out, so close it before
     * returning. NULL: it is closed without a word.
     */
    void (*on_refused)(pf_lane *lane, int fd, bool scarce, void *arg);

    /* In the master, when a worker has ended badly: a crash, a failed boot, killed by us
     * for hanging or by others. It must not block. */
    void (*on_crash)(const struct pf_crash *crash, void *arg);

    /* In the master, and then in each worker on its main thread: SIGUSR1 has come, open
     * logs anew. It must not block. NULL: the signal is ignored. */
    void (*on_reopen)(void *arg);

    /* Columns of its own in the scoreboard, written by lanes (PF_COLUMN_LANE), under names
     * that the framework's do not have; borrowed. See pf_lane_count(). */
    const struct pf_column *columns;
    size_t column_count; /* at most PF_SERVICE_COLUMNS_MAX */

    /* The lane has as many connections as it may, or descriptors have run out, and another
     * comes: end one that can be spared, if there is any, before returning. Returns whether
     * one was. NULL: none can. */
    bool (*on_full)(pf_lane *lane, void *arg);
};
#define PF_SERVICE_COLUMNS_MAX 192

/* The lane's loop, borrowed. From any thread. */
PF_API pf_loop *pf_lane_loop(pf_lane *lane);

/* The worker's slot, 0..workers-1: it outlives the process in it. From any thread. */
PF_API unsigned pf_lane_slot(const pf_lane *lane);

/* Which of the worker's lanes it is, 0..threads-1. From any thread. */
PF_API unsigned pf_lane_thread(const pf_lane *lane);

/* A pointer of the service's own, NULL at first. */
PF_API void pf_lane_set_data(pf_lane *lane, void *data);
PF_API void *pf_lane_get_data(const pf_lane *lane);

/*
 * The connection that on_connection was given as fd has ended: call it when you close fd,
 * directly before or after. Returns 0, -EINVAL (none is open: said once too often), or the
 * guards of the lane's loop: -ECHILD, -EPERM, -ESTALE.
 */
PF_API int pf_lane_closed(pf_lane *lane, int fd);

/* Count an answer in the scoreboard: one request, and so many bytes sent for it. Returns 0
 * or the guards' errors. */
PF_API int pf_lane_answered(pf_lane *lane, size_t bytes);

/*
 * Add n to the service's own column, counted from 0 in its table. Totals over all workers,
 * past ones too, are in the status. Returns 0, -EINVAL (no such column), or the guards'
 * errors. Cost: as pf_lane_answered(), a load and a store.
 */
PF_API int pf_lane_count(pf_lane *lane, size_t column, uint64_t n);

/* The longest time that pf_lane_busy() grants at once. */
#define PF_LANE_BUSY_MAX_NS (3600 * PF_SECOND)

/*
 * Say that the lane will not turn its loop for up to for_ns, and that this is meant: it
 * does not count as hung so long. 0 takes it back. Returns 0, -EINVAL (negative or over
 * PF_LANE_BUSY_MAX_NS), or the guards' errors.
 */
PF_API int pf_lane_busy(pf_lane *lane, int64_t for_ns);

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
