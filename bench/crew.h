/*
 * crew.h - who of a server's processes are its workers, and what each has had and done
 * since the measurement began. Pure: it is told what others have seen.
 *
 *     crew_init(&crew);
 *     each time:  crew_see(&crew, procs, count, ...);   proc_tree.h
 *                 crew_hear(&crew, &status);            ctl.h, of a prefork server
 *                 crew_seat(&crew);                     of another one
 *     crew_begin(&crew);  after the first             crew_end(&crew);  before the last
 *     crew_tell(&crew, &result->server);
 *
 * A worker has a place, and keeps it when another process takes over: what the one before
 * has had stays counted there, and that there was a change is counted too. A prefork server
 * says whose place is whose: its slots. Elsewhere a worker that is born since the beginning
 * takes over the place of one that has ended, whichever of the two was seen first.
 *
 * The CPU time of all processes together is what those here have had, and the ones that
 * have gone up to when they were last seen; or, if that is more, what the kernel has added
 * to processes and to the parents that waited for their children.
 */
#ifndef PREFORK_BENCH_CREW_H
#define PREFORK_BENCH_CREW_H

#include "bench/ctl.h"
#include "bench/proc_tree.h"
#include "bench/result.h"

#define CREW_PLACES_MAX CTL_WORKERS_MAX

/* What a process has had. */
struct crew_use {
    int64_t cpu_ns, user_ns, system_ns;
};

struct crew_process {
    int64_t pid;
    uint64_t born;
    bool here;   /* seen the last time */
    bool worker; /* as its owner says: see crew_see() */
    int64_t rss;
    int place; /* -1: none */
    struct crew_use start, now;
};

struct crew_place {
    int64_t pid;      /* who sits there, or sat there last; -1: nobody yet */
    bool young;       /* made since the beginning, and no other place's successor */
    int64_t cpu_gone; /* of those who have left */
    int64_t restarts;
    int64_t requests_start, requests_now; /* -1: unknown */
    int64_t starts_start, starts_now;
    int64_t connections_min, connections_max; /* -1: unknown */
};

struct crew {
    bool begun, ended;
    bool heard;     /* a server has said who its workers are */
    int64_t server; /* its root, as it says itself */
    size_t process_count, place_count;
    struct crew_process processes[PROC_TREE_MAX];
    struct crew_place places[CREW_PLACES_MAX];
    struct crew_use gone;         /* those who have left, workers and others */
    int64_t kept_start, kept_now; /* CPU time of those here and their late children */
    int64_t rss_now, rss_max;     /* of all */
    int64_t requests_start, requests_now; /* as the server counts them; -1: unknown */
};

/* Large: some 300 kB, for the heap. */
void crew_init(struct crew *crew);

/* Is it a worker? Asked once for each process, when it is first seen. */
typedef bool crew_is_worker_fn(void *arg, const struct proc *proc);

/* All processes there are now. */
void crew_see(struct crew *crew, const struct proc *procs, size_t count,
              crew_is_worker_fn *is_worker, void *arg);

/* What the server says: its slots are the places. After crew_see(). */
void crew_hear(struct crew *crew, const struct ctl_status *status);

/* Without that: find a place for each worker that has none. After crew_see(). */
void crew_seat(struct crew *crew);

/* From now on it counts. */
void crew_begin(struct crew *crew);

/* The load is over: connections that the server has now, or has no more, say nothing about
 * it; all else goes on being counted. */
void crew_end(struct crew *crew);

/* CPU time of all since the beginning. */
int64_t crew_cpu_ns(const struct crew *crew);

/*
 * Fill in what it knows: CPU times, rss_max, requests, jain, workers. The workers are
 * allocated: returns 0 or -ENOMEM, then the rest is filled in.
 */
int crew_tell(const struct crew *crew, struct result_server *out);

#endif
