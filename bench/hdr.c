/* hdr.c - see hdr.h. */
#include "bench/hdr.h"

#include <math.h>
#include <string.h>

/* For sums beyond 64 bits; gcc and clang have it on all 64-bit machines. */
__extension__ typedef unsigned __int128 wide;

/* Below this every value has a slot of its own. */
#define LINEAR (2u << HDR_SHIFT)

/* How far values of this slot were shifted to the right to find it. */
static unsigned slot_shift(unsigned slot)
{
    return slot < LINEAR ? 0 : (slot >> HDR_SHIFT) - 1;
}

int64_t hdr_slot_low(unsigned slot)
{
    unsigned shift = slot_shift(slot);
    return (int64_t)(slot - (shift << HDR_SHIFT)) << shift;
}

int64_t hdr_slot_width(unsigned slot)
{
    return INT64_C(1) << slot_shift(slot);
}

static int64_t slot_top(unsigned slot)
{
    return hdr_slot_low(slot) + hdr_slot_width(slot) - 1;
}

static int64_t slot_middle(unsigned slot)
{
    return hdr_slot_low(slot) + hdr_slot_width(slot) / 2;
}

void hdr_init(struct hdr *hdr)
{
    memset(hdr, 0, sizeof *hdr);
    hdr->min = INT64_MAX;
}

static uint64_t read_u64(const uint64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static int64_t read_i64(const int64_t *from)
{
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

/* The slots that hold something. */
struct span {
    unsigned first, last; /* of no meaning while count is 0 */
    uint64_t count;
};

static void span_add(struct span *span, unsigned slot, uint64_t count)
{
    if (span->count == 0)
        span->first = slot;
    span->last = slot;
    span->count += count;
}

/* Take in the minimum and maximum that were read beside these slots. The writer may have
 * been between the two: then what the slots say bounds them. */
static void take_in_ends(struct hdr *hdr, const struct span *span, int64_t min, int64_t max)
{
    if (span->count == 0)
        return;
    if (min > slot_top(span->first) && span->first != HDR_SLOTS - 1)
        min = hdr_slot_low(span->first);
    if (max < hdr_slot_low(span->last))
        max = slot_top(span->last);
    if (min < hdr->min)
        hdr->min = min;
    if (max > hdr->max)
        hdr->max = max;
}

void hdr_merge(struct hdr *hdr, const struct hdr *from)
{
    struct span span = {0};
    for (unsigned i = 0; i < HDR_SLOTS; i++) {
        uint64_t count = read_u64(&from->slots[i]);
        if (count == 0)
            continue;
        hdr->slots[i] += count;
        span_add(&span, i, count);
    }
    hdr->count += span.count;
    hdr->clamped += read_u64(&from->clamped);
    hdr->sum += read_u64(&from->sum);
    take_in_ends(hdr, &span, read_i64(&from->min), read_i64(&from->max));
}

void hdr_copy(struct hdr *to, const struct hdr *from)
{
    hdr_init(to);
    hdr_merge(to, from);
}

void hdr_subtract(struct hdr *out, const struct hdr *now, const struct hdr *before)
{
    int64_t min = now->min, max = now->max;
    struct span span = {0};
    out->clamped = now->clamped - before->clamped;
    out->sum = now->sum - before->sum;
    for (unsigned i = 0; i < HDR_SLOTS; i++) {
        uint64_t count = now->slots[i] - before->slots[i];
        out->slots[i] = count;
        if (count)
            span_add(&span, i, count);
    }
    out->count = span.count;
    out->min = INT64_MAX;
    out->max = 0;
    if (span.count == 0)
        return;
    int64_t low = hdr_slot_low(span.first), top = slot_top(span.last);
    out->min = low > min ? low : min;
    /* The last slot also holds what was clamped: only the exact maximum bounds it. */
    out->max = top < max && span.last != HDR_SLOTS - 1 ? top : max;
}

int64_t hdr_percentile(const struct hdr *hdr, int64_t percent)
{
    if (hdr->count == 0)
        return 0;
    if (percent <= 0)
        return hdr->min;
    /* The rank as HdrHistogram has it: rounded to the nearest, at least the first. */
    const uint64_t whole = 100 * HDR_PERCENT;
    uint64_t share = (uint64_t)percent;
    uint64_t rank =
        hdr->count / whole * share + (hdr->count % whole * share + whole / 2) / whole;
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    unsigned slot = 0;
    while (slot < HDR_SLOTS - 1 && (seen += hdr->slots[slot]) < rank)
        slot++;
    int64_t highest = slot_top(slot);
    /* The last slot also holds what was clamped: only the exact maximum bounds it. */
    if (highest > hdr->max || slot == HDR_SLOTS - 1)
        return hdr->max;
    return highest < hdr->min ? hdr->min : highest;
}

uint64_t hdr_needed(int64_t percent)
{
    const uint64_t whole = 100 * HDR_PERCENT;
    uint64_t beyond = whole - (uint64_t)percent;
    return beyond == 0 ? 0 : (10 * whole + beyond - 1) / beyond;
}

bool hdr_can_tell(const struct hdr *hdr, int64_t percent)
{
    uint64_t needed = hdr_needed(percent);
    return needed != 0 && hdr->count >= needed;
}

/* The sum by the middles of the slots: within 0.05 % if nothing was clamped. */
static double sum_of_middles(const struct hdr *hdr)
{
    double sum = 0;
    for (unsigned i = 0; i < HDR_SLOTS; i++)
        if (hdr->slots[i])
            sum += (double)hdr->slots[i] * (double)slot_middle(i);
    return sum;
}

/*
 * The exact sum: `sum` is that modulo 2^64, and how often it went round is known from the
 * middles of the slots as long as that is below a thousand times. No run gets there.
 */
static wide exact_sum(const struct hdr *hdr)
{
    wide sum = hdr->sum;
    if ((wide)hdr->count * (uint64_t)hdr->max <= UINT64_MAX || hdr->clamped)
        return sum;
    double rounds = (sum_of_middles(hdr) - (double)hdr->sum) / 0x1p64;
    return rounds > 0 ? sum + ((wide)llround(rounds) << 64) : sum;
}

int64_t hdr_mean(const struct hdr *hdr)
{
    return hdr->count ? (int64_t)(exact_sum(hdr) / hdr->count) : 0;
}

double hdr_stdev(const struct hdr *hdr)
{
    if (hdr->count == 0)
        return 0;
    double mean = (double)exact_sum(hdr) / (double)hdr->count, squares = 0;
    for (unsigned i = 0; i < HDR_SLOTS; i++) {
        if (hdr->slots[i] == 0)
            continue;
        double off = (double)slot_middle(i) - mean;
        squares += (double)hdr->slots[i] * off * off;
    }
    return sqrt(squares / (double)hdr->count);
}
