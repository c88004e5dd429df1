/*
 * plan.h - what a run shall do: settled before it begins, and only read from then on, by
 * all threads and processes. Plain data; whoever made the strings and tables frees them.
 */
#ifndef PREFORK_BENCH_PLAN_H
#define PREFORK_BENCH_PLAN_H

#include "net/address.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who decides when a request is sent. */
enum plan_load {
    PLAN_CLOSED, /* the answer before it, and the time to think */
    PLAN_OPEN,   /* a schedule (pace.h) that waits for nobody */
};

enum plan_protocol {
    PLAN_HTTP,
    PLAN_ECHO, /* raw TCP or unix: the payload is sent and the same bytes come back */
};

enum plan_arrival {
    PLAN_CONST,   /* evenly */
    PLAN_POISSON, /* at random, with the rate as mean */
};

/* What a due request does that finds no idle connection. */
enum plan_overflow {
    PLAN_QUEUE,   /* wait for one: its response time counts from when it was due */
    PLAN_DROP,    /* never sent, counted, and the run has failed */
    PLAN_CONNECT, /* opens one more connection, up to connections_max */
};

/* How a connection is closed at its end. */
enum plan_close {
    PLAN_CLOSE_FIN,
    PLAN_CLOSE_RST,    /* SO_LINGER 0: leaves no TIME_WAIT here */
    PLAN_CLOSE_SERVER, /* wait for the server's: TIME_WAIT is there */
};

/* A piece of an open schedule: the rate goes evenly from `from` to `to`, per second. */
struct plan_stage {
    int64_t duration_ns;
    double from, to;
};

#define PLAN_STAGES_MAX  64
#define PLAN_SOURCES_MAX 4096 /* source addresses */

struct plan {
    const char *mode; /* the command: "run", "storm", "reload" ... */
    const char *url;  /* as given */
    struct pf_address target;
    enum plan_protocol protocol;

    enum plan_load load;
    enum plan_arrival arrival;
    enum plan_overflow overflow;
    struct plan_stage stages[PLAN_STAGES_MAX]; /* open: of the whole run, warm-up first */
    unsigned stage_count;
    unsigned burst; /* open: slots that fall due together, 1 or more */
    bool spin;      /* never sleep while the schedule runs: busy loop instead of a timer */
    uint64_t seed;

    unsigned connections;     /* over all units */
    unsigned connections_max; /* PLAN_CONNECT: up to so many */
    unsigned threads;         /* units, over all processes */
    unsigned procs;           /* processes; 1: none is forked */
    unsigned pipeline;        /* requests under way on a connection */
    uint64_t reqs_per_conn;   /* 0: no limit */
    int64_t think_ns;         /* closed: between an answer and the next request */
    int64_t ramp_ns;          /* open the connections evenly over this time */

    int64_t warmup_ns;   /* before the measurement; nothing in it is counted */
    int64_t duration_ns; /* of the measurement; 0: until `requests` have been made */
    uint64_t requests;   /* 0: until the time is over */
    int64_t timeout_ns;  /* of a connect, and of an answer */
    int64_t drain_ns;    /* at the end: wait so long for answers that are due; half of it is
                            for sending what is */

    const struct requests *requests_set; /* what to send: requests.h */
    const struct expect *expect;         /* NULL: any complete answer will do */

    const struct pf_address *sources; /* local addresses, taken in turn; port 0 */
    unsigned source_count;            /* 0: the kernel picks */
    enum plan_close close;
    bool nodelay;
    int rcvbuf, sndbuf; /* bytes; 0: the kernel's */

    const unsigned *cpus;    /* unit i runs on cpus[i % cpu_count]; borrowed */
    unsigned cpu_count;      /* 0: wherever the kernel puts it */
    const char *stages_text; /* as given, or NULL */
};

/* The rate of all stages together: requests divided by time. 0 if closed. */
double plan_mean_rate(const struct plan *plan);

#endif
