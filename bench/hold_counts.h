/*
 * hold_counts.h - what has become of the connections of a pool (hold_pool.h): how many were
 * begun, are held, were lost or never came to be, and why.
 */
#ifndef PREFORK_BENCH_HOLD_COUNTS_H
#define PREFORK_BENCH_HOLD_COUNTS_H

#include "bench/tally.h"
#include <stdbool.h>

/* Kinds of errors that are told apart. */
#define HOLD_ERRORS_MAX 16

/* In shared memory; the pool is the only writer. All of it is live: counters by
 * tally_read(), the histogram by hdr_merge(), errors by hold_counts_error(); opened_ns is
 * set before on_opened is called. */
struct hold_counts {
    uint64_t started, held, lost, failed;
    uint64_t bytes_in; /* answers, if they were asked; else, what nobody had asked for */
    struct hdr connect;
    struct tally_error errors[HOLD_ERRORS_MAX];
    unsigned error_count; /* set behind the error */
    int64_t opened_ns;    /* when all had been tried, on CLOCK_MONOTONIC; 0: not yet */
};

void hold_counts_init(struct hold_counts *counts);

/* One more ended so, at `now`; of more kinds than there is room for only the counters
 * tell. */
void hold_counts_add(struct hold_counts *counts, enum tally_phase phase,
                     enum tally_when when, int reason, int64_t now);

/* The index-th kind of error as it is now. False: there is none. */
bool hold_counts_error(const struct hold_counts *counts, unsigned index,
                       struct tally_error *out);

#endif
