/*
 * hdr.h - a histogram of times with three exact digits from 1 ns to an hour.
 *
 * The layout is HdrHistogram's (lowest value 1, 3 significant digits): values below 2048
 * have a slot each, above that every power of two is cut into 1024 equal slots, so that a
 * slot is narrower than 0.1 % of what it holds. Memory is constant, recording is a shift
 * and an increment, and two histograms add up without loss in any order: percentiles of
 * parts are never averaged.
 *
 * Beside the slots stand the exact count, minimum, maximum and sum. Plain memory: nothing
 * to free, copying it copies it; it may be shared between processes.
 *
 * One thread records. Others, of any process, may meanwhile hdr_copy() or hdr_merge() from
 * it: recording stores with relaxed atomics, which cost a plain move, and those two read
 * with them. What they take is a moment of each slot, not one of all; it is whole in itself
 * (its count is that of its slots). All other functions want a histogram that nobody
 * writes.
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
    uint64_t sum;     /* modulo 2^64: 584 years of waiting. hdr_mean() sees beyond it */
    uint64_t slots[HDR_SLOTS];
};

void hdr_init(struct hdr *hdr);

/* The slot of a value 0..HDR_HIGHEST. */
static inline unsigned hdr_slot(int64_t value)
{
    uint64_t v = (uint64_t)value;
    /* With the lower bits set there is no special case below 2048, where nothing shifts. */
    uint64_t filled = v | ((2u << HDR_SHIFT) - 1);
    unsigned shift = 63u - (unsigned)__builtin_clzll(filled) - HDR_SHIFT;
    return (shift << HDR_SHIFT) + (unsigned)(v >> shift);
}

/* And back: its lowest value and how many it holds. */
int64_t hdr_slot_low(unsigned slot);
int64_t hdr_slot_width(unsigned slot);

static inline void hdr__add(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + by,
                     __ATOMIC_RELAXED);
}

/* Count a value `times` times; a negative one is 0. Cost: four adds, no locked
 * instruction. */
static inline void hdr_record(struct hdr *hdr, int64_t value, uint64_t times)
{
    if (value < 0)
        value = 0;
    if (times == 0)
        return;
    unsigned slot = HDR_SLOTS - 1;
    if (value <= HDR_HIGHEST)
        slot = hdr_slot(value);
    else
        hdr__add(&hdr->clamped, times);
    hdr__add(&hdr->count, times);
    hdr__add(&hdr->sum, (uint64_t)value * times);
    if (value < __atomic_load_n(&hdr->min, __ATOMIC_RELAXED))
        __atomic_store_n(&hdr->min, value, __ATOMIC_RELAXED);
    if (value > __atomic_load_n(&hdr->max, __ATOMIC_RELAXED))
        __atomic_store_n(&hdr->max, value, __ATOMIC_RELAXED);
    hdr__add(&hdr->slots[slot], times);
}

/* Add all that `from` holds, which may be recorded into meanwhile. */
void hdr_merge(struct hdr *hdr, const struct hdr *from);

/* Make *to what `from` is at this moment; it may be recorded into meanwhile. Cost: about
 * 30 us. */
void hdr_copy(struct hdr *to, const struct hdr *from);

/*
 * Make *out what came to `now` since it was `before`: an earlier copy of the same one.
 * *out may be either of them. Of min and max only the slots are known: they are the slots'
 * ends, but never outside of now->min..now->max.
 */
void hdr_subtract(struct hdr *out, const struct hdr *now, const struct hdr *before);

/*
 * The value that `percent` (0..100 * HDR_PERCENT) of the recorded ones do not exceed: the
 * highest that shares its slot, but never outside of min..max. 0 of an empty histogram.
 */
int64_t hdr_percentile(const struct hdr *hdr, int64_t percent);

/* Are there values enough for that percentile to mean something: at least ten beyond it? */
bool hdr_can_tell(const struct hdr *hdr, int64_t percent);

/* How many it takes; 0: no number is enough. */
uint64_t hdr_needed(int64_t percent);

/* The exact mean, rounded down; 0 of an empty histogram. */
int64_t hdr_mean(const struct hdr *hdr);

/* The standard deviation of all values, each taken for the middle of its slot; 0 of an
 * empty histogram. */
double hdr_stdev(const struct hdr *hdr);

#endif
