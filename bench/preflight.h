/*
 * preflight.h - can this machine carry out the plan? Asked before a run, since a generator
 * that is out of descriptors, ports or memory in the middle of it measures just that.
 *
 *     preflight_check(&plan, why, sizeof why)        all in one: before each run
 *
 *     preflight_gather(&facts)                       what the machine has
 *     preflight_needs_of(&plan, &needs)              what the plan wants
 *     preflight_judge(&facts, &needs, findings)      pure: a finding for each matter
 *
 * What is not known is not judged.
 */
#ifndef PREFORK_BENCH_PREFLIGHT_H
#define PREFORK_BENCH_PREFLIGHT_H

#include "bench/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREFLIGHT_UNKNOWN INT64_C(-1)

/* The machine; each may be unknown. */
struct preflight_facts {
    int64_t nofile_soft, nofile_hard; /* RLIMIT_NOFILE; unlimited is INT64_MAX */
    int64_t nr_open, file_max, files; /* fs.nr_open, fs.file-max; files open now */
    int64_t port_low, port_high;      /* net.ipv4.ip_local_port_range */
    int64_t somaxconn, syn_backlog;   /* net.core.somaxconn, tcp_max_syn_backlog */
    int64_t memory;                   /* bytes that could be had now */
    int64_t time_wait;                /* connections in TIME_WAIT now, all of them */
    int64_t tw_reuse;                 /* net.ipv4.tcp_tw_reuse: 2 is for loopback */
    int64_t cpus;                     /* that this process may use */
    char governor[32];                /* of the first CPU; "": unknown, or there is none */
};

/* The plan. */
struct preflight_needs {
    int64_t connections; /* at a time */
    int64_t procs, threads;
    bool tcp;              /* else a unix socket: no ports */
    bool loopback;         /* TCP to 127.0.0.0/8: any of it will do as a source */
    bool local;            /* the server is on this machine: its ends count, too */
    int64_t sources;       /* addresses to connect from: 1, or as many as given */
    double opens_per_s;    /* connections opened; 0: they stay; negative: unknown */
    int64_t opens;         /* in all; INT64_MAX: unknown */
    bool leaves_time_wait; /* this side closes first, and politely */
    int64_t ramp_ns;       /* the connections come evenly over so long; 0: all at once */
};

enum preflight_severity {
    PREFLIGHT_OK,
    PREFLIGHT_WARN, /* it may disturb the measurement */
    PREFLIGHT_FAIL, /* it cannot work */
};

#define PREFLIGHT_TEXT_MAX     200
#define PREFLIGHT_FINDINGS_MAX 16

struct preflight_finding {
    enum preflight_severity severity;
    const char *matter;              /* "descriptors", "ports" ...: static */
    char text[PREFLIGHT_TEXT_MAX];   /* what there is, and what is wanted */
    char remedy[PREFLIGHT_TEXT_MAX]; /* a line for a shell, or options; "" if all is well */
};

/* Connections of one source address to one target, at a time, with the default range. */
#define PREFLIGHT_PORTS_DEFAULT 28232
/* The kernel's memory for an end of a TCP connection without data in it: sockets, inode,
 * file, dentry, epoll item: 2368 + 832 + 192 + 192 + 128 bytes. */
#define PREFLIGHT_END_BYTES 3712
/* Descriptors of a process beside its connections, and for each thread. */
#define PREFLIGHT_FDS_BESIDE     32
#define PREFLIGHT_FDS_PER_THREAD 8

void preflight_gather(struct preflight_facts *out);

/* Of a plan that is complete. Connections that reqs_per_conn ends are opened anew. */
void preflight_needs_of(const struct plan *plan, struct preflight_needs *out);

/* Judge each matter that is known and of any weight; returns how many findings there are.
 */
size_t preflight_judge(const struct preflight_facts *facts,
                       const struct preflight_needs *needs,
                       struct preflight_finding findings[PREFLIGHT_FINDINGS_MAX]);

const char *preflight_severity_name(enum preflight_severity severity); /* "ok" ... */

/*
 * Gather and judge: 0 if it may begin, or -ENOSPC with a line in `why`: the first finding
 * that fails, and its remedy. The caller ends with EXIT_INVALID.
 */
int preflight_check(const struct plan *plan, char *why, size_t why_len);

#endif
