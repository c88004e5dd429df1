/*
 * loop_bench.h - the loop benchmark: the same workloads, run by each library's own loop.
 *
 * A program measures one library: the library's file defines `subject`, loop_bench.c brings
 * main() and the catalogue of jobs. One run of the program does one job, prints one line of
 * JSON and ends, and with it all that it opened: nobody's memory is warm from another job,
 * and nobody cleans up while the watch runs or afterwards.
 *
 * A run function prepares what it needs, starts the watch, works, laps it, and then makes
 * sure by require() that all of the work was done. What all libraries do alike (pipes,
 * threads, random numbers) is compiled once and shared: loop_pairs.h, loop_producers.h,
 * loop_dice.h.
 */
#ifndef PREFORK_BENCH_LOOP_BENCH_H
#define PREFORK_BENCH_LOOP_BENCH_H

#include "bench/loop_watch.h"

#include <stdbool.h>
#include <stddef.h>

enum family {
    PIPES,
    FIRE,
    CANCEL,
    REARM,
    POSTS,
    CHURN,
    TURNS,
    SIGNALS,
    LOOPS,
    FAMILIES
};

struct job {
    const char *name;
    enum family family;
    long ops;
    long ops_traced;    /* enough to count system calls; 0: not worth a trace */
    int pairs;          /* PIPES */
    int active;         /* PIPES: bytes on their way at a time */
    long timers;        /* REARM: how many wait, of which one after the other is re-armed */
    bool constant;      /* FIRE, REARM: always the same delay */
    int producers;      /* POSTS */
    bool one_by_one;    /* POSTS: each item waits until the one before was delivered */
    bool used;          /* LOOPS: ready for other threads, and turned once */
    const char *poller; /* PIPES: one of ours, by name; NULL: the best one */
};

typedef void run_fn(const struct job *job, struct watch *watch);

struct subject {
    const char *name;
    const char *(*version)(void);
    const char *(*backend)(void);         /* of the loops that the jobs use */
    bool (*has_poller)(const char *name); /* NULL: its pollers are not to be chosen */
    run_fn *run[FAMILIES];
};

extern const struct subject subject;

/* Delays of timers that must not fire while the job lasts, and of those that shall. */
#define DELAY_FAR_MIN_MS   10000
#define DELAY_FAR_MAX_MS   60000
#define DELAY_NEAR_MIN_MS  1
#define DELAY_NEAR_MAX_MS  200
#define DELAY_NEAR_SAME_MS 100

/* Re-arms in one callback: a loop turns, and reads its clock, between two of them. */
#define REARMS_IN_A_TURN 1000

/* What the job says of itself is not so: say `what`, exit with 1. */
void require(bool ok, const char *what);

/* The delays of so many of this job's timers. */
int *job_delays_ms(const struct job *job, long count);

/* Zeroed memory whose pages are there already, so that no page fault is timed. */
void *new_array(size_t count, size_t size);

#endif
