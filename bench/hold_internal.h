/*
 * hold_internal.h - the command hold, in three files:
 *
 *     hold.c         options, what is asked for, and the probe
 *     hold_squad.c   the processes that hold the connections
 *     hold_result.c  what came of it, and what each cost
 */
#ifndef PREFORK_BENCH_HOLD_INTERNAL_H
#define PREFORK_BENCH_HOLD_INTERNAL_H

#include "bench/cli.h"
#include "bench/hold_pool.h"
#include "bench/squad.h"
#include <stdlib.h>

struct hold_config {
    int64_t connections, procs;
    double rate, probe;
    bool ask;
};

/* What a member leaves. */
struct hold_share {
    struct hold_counts counts;
    int64_t user_before, user_after; /* its own memory, bytes; -1: unknown */
    bool gone; /* it has ended too early, and its connections with it */
};

/* In shared memory: read by all, written by each in its own share. */
struct hold {
    struct hold_config config;
    struct pf_address target;
    const struct pf_address *sources; /* before the fork: in all processes */
    unsigned source_count;
    unsigned procs;
    int64_t timeout_ns;
    const struct request *request; /* to be asked once; NULL: none */
    struct hold_share shares[];
};

/* What is only of the program. */
struct hold_probe {
    struct hold *hold;
    struct squad *squad;
    struct result *result;
    int64_t began_ns; /* of the measurement; 0: it has not begun */
    int64_t opening_ns;
    int64_t kernel_before, server_before;
    char gone[128]; /* which process has ended too early; "": none */
};

/* Over all processes. */
uint64_t hold_sum(const struct hold *hold, size_t counter);
#define HOLD_SUM(hold, counter) hold_sum(hold, offsetof(struct hold_counts, counter))

/* ---- hold_squad.c: what each process does; wait, with no loop in this process yet, until
 * each connection has been tried. Returns 0, -EINTR (SIGINT), or -ECHILD. */

extern const struct squad_job hold_job; /* its arg is to be set: a struct hold */
int hold_wait_until_opened(const struct hold *hold, struct squad *squad, bool progress);

/* Mark the shares of those that have ended. Returns how many; if there are any, room bytes
 * at `why` say which was the first. */
unsigned hold_find_gone(struct hold *hold, const struct squad *squad, char *why,
                        size_t room);
bool hold_any_is_gone(const struct hold *hold, const struct squad *squad);

/* ---- hold_result.c: fill in result->hold and add connects and errors to the rest; which
 * exit status stands for that. 0 or -ENOMEM. */

int hold_fill_in(const struct hold_probe *probe, int64_t server_after);
enum exit_status hold_judge(const struct result *result);

#endif
