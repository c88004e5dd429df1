/*
 * status.h - what the server is and does, as one line of JSON.
 *
 * The view is plain facts, all borrowed for the call; nothing here knows where they come
 * from. The keys are documented in preforkctl(1): a name is only ever added.
 */
#ifndef PREFORK_MASTER_STATUS_H
#define PREFORK_MASTER_STATUS_H

#include <prefork/base.h>

struct pf__status_counts {
    uint64_t accepted;    /* connections, ever */
    uint64_t connections; /* open now */
    uint64_t requests;    /* answered, ever */
    uint64_t bytes_out;   /* of answers, ever */
    uint64_t refused;     /* connections closed for a limit's sake, ever */
};

/* One loop of a worker. */
struct pf__status_lane {
    int thread;        /* 0 ... within the worker */
    int cpu;           /* the operating system's number; -1: not pinned */
    const char *state; /* as the lane itself tells it; NULL: not known */
    bool stuck;        /* inside one handler longer than the soft limit */
    int64_t
        beat_age_ms; /* since its loop was last seen to turn or to sleep; -1: not known */
    int adopted_by;  /* slot * threads + thread of the lane that serves its queue; -1 */
    struct pf__status_counts counts;
};

/* A worker's place, and who is in it. */
struct pf__status_worker {
    unsigned slot;
    int pid;           /* 0: nobody */
    const char *state; /* "accepting" ...; NULL: nobody */
    int64_t uptime_ns; /* of this process; -1: nobody */
    uint64_t starts;   /* processes this place has had */
    unsigned failures; /* in a row */
    const char
        *last_end; /* how its last process ended, "crash signal 11"; NULL: none has */
    int64_t next_start_ns; /* from now, when the place is to be filled; -1: it is not */
    const struct pf__status_lane *lanes;
    size_t lane_count;
};

struct pf__status_address {
    const char *text;    /* "127.0.0.1:8888" */
    const char *kind;    /* "tcp", "unix", "udp" */
    int64_t queue;       /* connections that wait to be accepted; -1: not known */
    int64_t queue_limit; /* and how many may; -1: not known */
};

/* How often the master had to step in, since it started. */
struct pf__status_supervision {
    uint64_t restarts;  /* workers started in the place of others */
    uint64_t crashes;   /* workers that ended badly */
    uint64_t adoptions; /* queues given to a neighbour */
    uint64_t stuck;     /* lanes found stuck */
    uint64_t undead;    /* workers that SIGKILL did not end */
};

/* A column of the application's: a counter's total, a gauge's sum. */
struct pf__status_column {
    const char *name;
    uint64_t value;
};

struct pf__status_view {
    int pid;
    const char *version, *state;
    int64_t uptime_ns;
    const char *accept, *steer, *pin; /* as on the command line */
    unsigned workers, threads;        /* wanted; threads: lanes of each */
    struct pf__status_counts totals;
    struct pf__status_supervision supervision;
    const struct pf__status_address *addresses;
    size_t address_count;
    const struct pf__status_worker *slots;
    size_t slot_count;
    const struct pf__status_column *columns;
    size_t column_count;
};

/*
 * Write it. *out is text of *len bytes, a NUL behind it, without a newline: yours to free.
 * It is valid JSON whatever the strings hold, and begins with "ok": true. Returns 0 or
 * -ENOMEM. Cost: about 200 bytes and a microsecond for a lane.
 */
int pf__status_write(const struct pf__status_view *view, char **out, size_t *len);

#endif
