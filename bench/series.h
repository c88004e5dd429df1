/*
 * series.h - one row for each second, in a memory that does not grow: when all rows are
 * taken, pairs of them become one and from then on a row spans twice the time.
 *
 * The coordinator hands in the sum of all tallies each second; the row is what has come
 * since the one before. Percentiles of a joined row are those of its heat bins, whose width
 * is a fifth of a decade: the upper end of the bin, but never above the row's maximum. Its
 * counters and its CPU time are sums, its backlog and memory the larger ones, what is in
 * flight is that at its end.
 *
 * The row of the newest second always stands by itself, however many a row spans by now: it
 * joins those before it when the next one comes. So the caller may show each second, and
 * fill in what it knows of the server then. The last row of a series may be shorter.
 */
#ifndef PREFORK_BENCH_SERIES_H
#define PREFORK_BENCH_SERIES_H

#include "bench/result.h"

#define SERIES_ROWS_MAX 1200 /* even */

struct series {
    struct result_row *rows;         /* owned */
    size_t count;                    /* the newest second included */
    unsigned seconds_per_row;        /* 1, 2, 4 ... */
    unsigned seconds_pending;        /* of the row in the making; 0: all rows are full */
    bool fresh;                      /* the last row is a second by itself */
    struct hdr *before;              /* owned; the histogram at the last row's end */
    uint64_t planned, sent, ok, err; /* totals then */
    int64_t last_ns;
};

/* The sums at one time. */
struct series_sample {
    int64_t t_ns; /* from the start of the measurement */
    uint64_t planned, sent, ok, err, in_flight, backlog;
    const struct hdr *hdr; /* of response (open) or service, since the start; a copy that
                              nobody writes meanwhile */
};

int series_init(struct series *series); /* 0 or -ENOMEM */
void series_fini(struct series *series);

/* Make a row of what came since the last sample. Returns it, the series': its server fields
 * are unknown and may be filled in; valid until the next call. Cost: a walk over the
 * histogram, some 50 us. */
struct result_row *series_add(struct series *series, const struct series_sample *sample);

/* Join the rows in pairs: called by add when all are taken; public for its test. */
void series_join(struct series *series);

/* The bin of a latency, and the largest latency in a bin: of the last one nominally, it
 * also holds what is above. */
unsigned series_bin(int64_t ns);
int64_t series_bin_top(unsigned bin);

#endif
