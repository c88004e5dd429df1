/*
 * hdr.h - a histogram of times with three exact digits from 1 ns to an hour.
 *
 * The layout is HdrHistogram's (lowest value 1, 3 significant digits): values below 2048
 * have a slot each, above that every power of two is cut into 1024 equal slots, so that a
 * slot is narrower than 0.1 % of what it holds. Memory is constant, recording is a shift
 * and an increment, and two histograms add up without loss in any order: percentiles of
 * parts are never averaged.
 *
 * Beside the slots stand the exact count, minimum, maximum and sum. One thread records;
 * merge after it has finished. Plain memory: nothing to free, copying it copies it.
 */
#ifndef PREFORK_BENCH_HDR_H
#define PREFORK_BENCH_HDR_H

#include <stdbool.h>
#include <stdint.h>

/* The largest value with a slot of its own size: an hour in ns. A larger one is counted in
 * the last slot, in `clamped`, and still exactly in max and sum. */
#define HDR_HIGHEST INT64_C(3600000000000)

#define HDR_SHIFT   10 /* 1 << HDR_SHIFT slots per power of two */
#define HDR_BUCKETS 32 /* 2^(HDR_SHIFT + HDR_BUCKETS) > HDR_HIGHEST */
#define HDR_SLOTS   ((HDR_BUCKETS + 1) << HDR_SHIFT)

/* Percentiles are named in thousandths of a percent, so that 99.9 is exact. */
#define HDR_PERCENT 1000

struct hdr {
    uint64_t count;
    uint64_t clamped; /* values above HDR_HIGHEST */
    int64_t min, max; /* exact; of no meaning while count is 0 */
    uint64_t sum;
    uint64_t slots[HDR_SLOTS];
};

void hdr_init(struct hdr *hdr);

/* Count a value `times` times; a negative one is 0. */
void hdr_record(struct hdr *hdr, int64_t value, uint64_t times);

/* Add all that `from` holds. */
void hdr_merge(struct hdr *hdr, const struct hdr *from);

/*
 * The value that `percent` (0..100 * HDR_PERCENT) of the recorded ones do not exceed: the
 * highest that shares its slot, but never outside of min..max. 0 of an empty histogram.
 */
int64_t hdr_percentile(const struct hdr *hdr, int64_t percent);

/* Are there values enough for that percentile to mean something: at least ten beyond it? */
bool hdr_can_tell(const struct hdr *hdr, int64_t percent);

/* The exact mean; 0 of an empty histogram. */
int64_t hdr_mean(const struct hdr *hdr);

/* The slot of a value 0..HDR_HIGHEST, and back: its lowest value and how many it holds. */
unsigned hdr_slot(int64_t value);
int64_t hdr_slot_low(unsigned slot);
int64_t hdr_slot_width(unsigned slot);

#endif
