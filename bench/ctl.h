/*
 * ctl.h - what a prefork server says of itself on its control socket: who its workers are,
 * and what they have counted. A line out, a line of JSON back; see master/control.h.
 */
#ifndef PREFORK_BENCH_CTL_H
#define PREFORK_BENCH_CTL_H

#include <stddef.h>
#include <stdint.h>

/* Workers of a server: as many as there may be. */
#define CTL_WORKERS_MAX 1024

/* No server has counted so far, nor has such a pid; so many of all workers still are one
 * number (RESULT_MOST). */
#define CTL_COUNT_MAX (INT64_C(1) << 50)

/* How long an answer is waited for: each second of a measurement, at its two ends, and when
 * a user names the socket. A server that takes longer has other work, or is stopped. */
#define CTL_WAIT_SAMPLE_NS INT64_C(200000000)
#define CTL_WAIT_END_NS    INT64_C(1000000000)
#define CTL_WAIT_OPEN_NS   INT64_C(5000000000)

#define CTL_PATH_MAX 108

struct ctl_worker {
    int64_t slot, pid; /* pid: -1 while it has none */
    int64_t starts, requests, connections;
};

struct ctl_status {
    int64_t pid, requests;
    size_t worker_count;
    struct ctl_worker workers[CTL_WORKERS_MAX];
};

/*
 * The path of the control socket that this process listens on: one that ends with ".ctl",
 * as the server names them all. Returns 0, or -ENOENT (none, or its descriptors may not be
 * looked at). Reads /proc.
 */
int ctl_find(int64_t pid, char path[CTL_PATH_MAX]);

/*
 * Ask for the status. Returns 0; -ENOENT, -ECONNREFUSED, -EACCES (connect(2)); -ETIMEDOUT
 * after twice timeout_ns at the most; -EPROTO (the answer is none of such a server, or a
 * refusal); -ENOMEM. Blocks meanwhile.
 */
int ctl_ask(const char *path, int64_t timeout_ns, struct ctl_status *out);

/* Read an answer, a JSON text of len bytes. Returns 0, or -EPROTO: also if a number is
 * below 0, or beyond CTL_COUNT_MAX. */
int ctl_parse(const char *text, size_t len, struct ctl_status *out);

#endif
