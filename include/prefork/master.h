/*
 * master.h - the master process: binds, forks early, pins, supervises, stops.
 *
 * The master owns the listening sockets for as long as it lives: a worker's death loses no
 * connection that it had not accepted. It is single-threaded, never blocks, serves no
 * application traffic, and runs no application code after start-up.
 *
 *     starting -> running -> stopping
 *
 * SIGNALS. TERM and QUIT stop gracefully: workers finish what is open. INT stops at once.
 * The same again is faster: graceful, at once, SIGKILL. Others that a server may be sent
 * (HUP, USR1, USR2, WINCH, TTIN, TTOU) are logged and ignored.
 */
#ifndef PREFORK_MASTER_H
#define PREFORK_MASTER_H

#include <prefork/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pf_pin {
    PF_PIN_AUTO, /* a CPU for each lane; a group of CPUs if the quota pays for fewer */
    PF_PIN_NONE,
    PF_PIN_STRICT, /* a CPU for each lane, whatever the quota */
    PF_PIN_LIST,   /* the CPUs that are listed, lane by lane */
};

struct pf_worker_status {
    int pid;
    int cpu; /* operating system's number; -1: not pinned */
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
    unsigned workers; /* 0: as many as the CPUs this process may really use */
    enum pf_pin pin;
    int backlog;         /* 0: PF_MASTER_BACKLOG */
    int64_t drain_ns;    /* 0: PF_MASTER_DRAIN_NS */
    int64_t boot_ns;     /* 0: PF_MASTER_BOOT_NS */
    const char *control; /* control socket; NULL: by address, in the runtime directory */
    bool allow_threads;  /* fork although other threads run, with a warning; they must block
                            the master's signals */

    /* Runs in the master, once, when all workers accept; prints a banner. May be NULL. */
    void (*on_ready)(const struct pf_master_status *status, void *arg);
    void *arg;

    /* If start-up fails, one line that names the option, the value and the remedy. */
    char *error;
    size_t error_len;
};
#define PF_MASTER_OPTIONS_INIT                                                             \
    {                                                                                      \
        .size = sizeof(struct pf_master_options)                                           \
    }

#define PF_MASTER_BACKLOG  4096
#define PF_MASTER_DRAIN_NS (30 * PF_SECOND)
#define PF_MASTER_BOOT_NS  (30 * PF_SECOND)
/* The longest drain_ns and boot_ns. */
#define PF_MASTER_LIMIT_NS (366 * 86400 * PF_SECOND)

/*
 * Bind, fork, supervise, until told to stop. Workers never return from here: they leave
 * with _exit(2).
 *
 * Returns the exit status the program should end with:
 *     PF_EXIT_OK           stopped as told
 *     PF_EXIT_USAGE        an option's value is wrong; `error` says which
 *     PF_EXIT_UNAVAILABLE  cannot bind; `error` says what and, if known, who holds it
 *     PF_EXIT_SOFTWARE     out of memory or descriptors at start-up; `error` says at what
 *     PF_EXIT_TEMPFAIL     all workers kept failing
 *     PF_EXIT_CONFIG       no worker could boot
 * or, before anything was done, -EINVAL (no service, no bind), or -EBUSY: the program owns
 * a loop, or other threads run (see allow_threads); `error` names where the loop was made,
 * or the threads. Call it from main, before any loop is made.
 *
 * While it runs the process's signal mask, SIGCHLD and SIGPIPE are the master's; restored
 * afterwards. Children that are not workers are reaped silently.
 */
PF_API int pf_master_run(const struct pf_master_options *options);

#ifdef __cplusplus
}
#endif
#endif
