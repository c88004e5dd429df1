/*
 * master.h - the master process: binds, forks early, pins, supervises, stops.
 *
 * The master owns the listening sockets for as long as it lives: a worker's death loses no
 * connection that it had not accepted. It is single-threaded, never blocks, serves no
 * application traffic, and after start-up runs no code of the application but on_crash.
 *
 *     starting -> running -> stopping
 *
 * SIGNALS. TERM and QUIT stop gracefully: workers finish what is open. INT stops at once.
 * The same again is faster: graceful, at once, SIGKILL. Others that a server may be sent
 * (HUP, USR1, USR2, WINCH, TTIN, TTOU) are logged and ignored; USR1 tells a service that
 * has on_reopen.
 */
#ifndef PREFORK_MASTER_H
#define PREFORK_MASTER_H

#include <prefork/worker.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pf_pin {
    PF_PIN_AUTO, /* a CPU for each lane; a group of CPUs if the quota pays for fewer */
    PF_PIN_NONE,
    PF_PIN_STRICT, /* a CPU for each lane, whatever the quota */
    PF_PIN_LIST,   /* the CPUs that are listed, lane by lane */
};

/* Which lane gets a new connection. */
enum pf_distribution {
    PF_DISTRIBUTE_REUSEPORT, /* each lane has a socket of its own: the kernel chooses */
    PF_DISTRIBUTE_EXCLUSIVE, /* one socket; the kernel wakes few (EPOLLEXCLUSIVE) */
    PF_DISTRIBUTE_SHARED,    /* one socket, and all wake */
};

/* How the kernel chooses among lanes with sockets of their own. */
enum pf_steering {
    PF_STEERING_HASH, /* evenly, by addresses and ports */
    PF_STEERING_CPU,  /* the lane on the CPU that took the connection in */
};

/* What is done with sockets that the service manager has handed over (LISTEN_FDS in
 * sd_listen_fds(3)). Lanes share such a socket: it cannot be multiplied. */
enum pf_inherit {
    PF_INHERIT_NOT,      /* nothing: they are not looked at */
    PF_INHERIT_MATCHING, /* serve those whose address is among `binds`, close the others */
    PF_INHERIT_INSTEAD,  /* serve them all; `binds` only if there are none */
};

struct pf_worker_status {
    int pid; /* 0: it does not run yet */
    int cpu; /* operating system's number, of its first lane; -1: not pinned */
};

/* Facts about a server that has begun to serve; borrowed for the call. */
struct pf_master_status {
    size_t size;
    int pid;
    const char *const *addresses; /* "127.0.0.1:8888", with the port the kernel picked */
    size_t address_count;
    const struct pf_worker_status *workers; /* worker_size bytes apart */
    size_t worker_size;
    unsigned worker_count;
    const char *control; /* path of the control socket, or NULL */
};

/* Begin with PF_MASTER_OPTIONS_INIT. Fields are only ever added at the end. */
struct pf_master_options {
    size_t size;
    const struct pf_service *service; /* what the workers run */
    const char *const *binds;         /* "HOST:PORT"; see --bind in prefork-server(1) */
    size_t bind_count;
    unsigned workers; /* 0: as many lanes as the CPUs this process may really use */
    enum pf_pin pin;
    int backlog;         /* 0: PF_MASTER_BACKLOG */
    int64_t drain_ns;    /* 0: PF_MASTER_DRAIN_NS */
    int64_t boot_ns;     /* 0: PF_MASTER_BOOT_NS */
    const char *control; /* control socket; NULL: by address, in the runtime directory */
    bool allow_threads;  /* fork although other threads run, with a warning; they must block
                            the master's signals */

    /* Runs in the master, once, when all workers accept, or have been tried and at least
     * one does; prints a banner. May be NULL. */
    void (*on_ready)(const struct pf_master_status *status, void *arg);
    void *arg;

    /* If start-up fails, one line that names the option, the value and the remedy. */
    char *error;
    size_t error_len;

    unsigned threads;     /* lanes of each worker; 0: 1 */
    const char *pin_list; /* PF_PIN_LIST: "4,2,0-1", the CPUs of the lanes in order */
    const char *nic;      /* network interface to be near to; NULL: none in particular */
    enum pf_distribution distribution;
    enum pf_steering steering;
    int64_t defer_accept_ns; /* TCP_DEFER_ACCEPT, in whole seconds; 0: not */
    unsigned fast_open;      /* TCP_FASTOPEN, length of its queue; 0: not */
    unsigned unix_mode;      /* permissions of unix sockets' files; 0: by umask(2) */

    /* A loop that has been in one handler for so long is stuck: neighbours take its
     * connections. For hang_hard_ns: it is killed, and replaced. 0: the defaults. */
    int64_t hang_soft_ns, hang_hard_ns;
    int64_t spin_ns; /* CPU time in one handler that is worth a backtrace in the log; 0: the
                        default, negative: none is */

    /* Connections of each worker at which it takes no more (others do), and at which each
     * more is refused; and of each client's address on one lane. 0: no limit. */
    size_t connections_soft, connections_max, connections_per_client;

    /* A worker is replaced when it has answered so many requests, lived so long, or has so
     * many bytes of its own in memory; one at a time. 0: never. */
    uint64_t recycle_requests;
    int64_t recycle_after_ns;
    uint64_t recycle_memory;

    bool stay;            /* all workers failing does not end a server that has served */
    bool die_with_master; /* workers drop what is open when the master was killed */

    /* Show in ps(1) what each process is. It is written over the arguments of main() and
     * the environment behind them while the server runs: copy what you need of argv; what
     * getenv(3) returned before is overwritten, what it returns afterwards is not. */
    bool titles;

    /* Workers become this user and group, by name or number, with the user's other groups;
     * NULL: as the master, which stays what it is. With the group alone they have no other.
     * Their root directory; NULL: the master's. Whether no program that they start may have
     * more privileges than they: PR_SET_NO_NEW_PRIVS(2const). All before worker_init. */
    const char *user, *group, *chroot;
    bool no_new_privileges;

    enum pf_inherit inherit;

    /* A file that holds the master's process id while it runs; one that a living server
     * holds is refused, whatever number stands in it. NULL: none. */
    const char *pid_file;

    /* Added to the workers' oom_score_adj, up to 1000: the kernel, when memory runs out,
     * rather kills one of them than the master, which stays as it is. */
    unsigned oom_score_adj;
};
#define PF_MASTER_OPTIONS_INIT                                                             \
    {                                                                                      \
        .size = sizeof(struct pf_master_options)                                           \
    }

#define PF_MASTER_BACKLOG      4096
#define PF_MASTER_DRAIN_NS     (30 * PF_SECOND)
#define PF_MASTER_BOOT_NS      (30 * PF_SECOND)
#define PF_MASTER_HANG_SOFT_NS (2 * PF_SECOND)
#define PF_MASTER_HANG_HARD_NS (30 * PF_SECOND)
#define PF_MASTER_SPIN_NS      PF_SECOND
/* The longest of the times above. */
#define PF_MASTER_LIMIT_NS (366 * 86400 * PF_SECOND)
/* The most workers, threads of each, and lanes in all. */
#define PF_WORKERS_MAX 1024
#define PF_THREADS_MAX 256
#define PF_LANES_MAX   1024

/*
 * Bind, fork, supervise, until told to stop. Workers never return from here: they leave
 * with _exit(2).
 *
 * Returns the exit status the program should end with:
 *     PF_EXIT_OK           stopped as told
 *     PF_EXIT_USAGE        an option's value is wrong; `error` says which
 *     PF_EXIT_UNAVAILABLE  cannot bind, or the control socket or pid file cannot be had;
 *                          `error` says what and, if known, who holds it
 *     PF_EXIT_SOFTWARE     out of memory or descriptors at start-up, or pre_fork has left a
 *                          loop or a thread behind; `error` says what
 *     PF_EXIT_TEMPFAIL     all workers kept failing
 *     PF_EXIT_CONFIG       no worker could boot, `error` has what the last one said; or
 *                          pre_fork failed
 * or, before anything was done, -EINVAL (no service, none for what it binds, no bind, a
 * number beyond its limits), or -EBUSY: the program owns
 * a loop, or other threads run (see allow_threads); `error` names where the loop was made,
 * or the threads. Call it from main, before any loop is made.
 *
 * While it runs the process's signal mask, SIGCHLD and SIGPIPE are the master's; restored
 * afterwards. Children that are not workers are reaped silently.
 */
PF_API int pf_master_run(const struct pf_master_options *options);

/*
 * Print what runs on which CPU with these options, as a table to be read, and start
 * nothing. Returns the exit status, like pf_master_run(): PF_EXIT_OK, PF_EXIT_USAGE,
 * PF_EXIT_SOFTWARE, or -EINVAL.
 */
PF_API int pf_master_print_plan(const struct pf_master_options *options, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
