#include "bench/hdr.h"

#include <string.h>

/* Below this every value has a slot of its own. */
#define LINEAR (2u << HDR_SHIFT)

/* How far values of this slot were shifted to the right to find it. */
static unsigned slot_shift(unsigned slot)
{
    return slot < LINEAR ? 0 : (slot >> HDR_SHIFT) - 1;
}

unsigned hdr_slot(int64_t value)
{
    uint64_t v = (uint64_t)value;
    if (v < LINEAR)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - HDR_SHIFT;
    return (shift << HDR_SHIFT) + (unsigned)(v >> shift);
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

void hdr_init(struct hdr *hdr)
{
    memset(hdr, 0, sizeof *hdr);
    hdr->min = INT64_MAX;
}

void hdr_record(struct hdr *hdr, int64_t value, uint64_t times)
{
    if (value < 0)
        value = 0;
    if (times == 0)
        return;
    hdr->count += times;
    hdr->sum += (uint64_t)value * times;
    if (value < hdr->min)
        hdr->min = value;
    if (value > hdr->max)
        hdr->max = value;
    if (value > HDR_HIGHEST) {
        hdr->clamped += times;
        hdr->slots[HDR_SLOTS - 1] += times;
        return;
    }
    hdr->slots[hdr_slot(value)] += times;
}

void hdr_merge(struct hdr *hdr, const struct hdr *from)
{
    hdr->count += from->count;
    hdr->clamped += from->clamped;
    hdr->sum += from->sum;
    if (from->min < hdr->min)
        hdr->min = from->min;
    if (from->max > hdr->max)
        hdr->max = from->max;
    for (unsigned i = 0; i < HDR_SLOTS; i++)
        hdr->slots[i] += from->slots[i];
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
    int64_t highest = hdr_slot_low(slot) + hdr_slot_width(slot) - 1;
    /* The last slot also holds what was clamped: only the exact maximum bounds it. */
    if (highest > hdr->max || slot == HDR_SLOTS - 1)
        return hdr->max;
    return highest < hdr->min ? hdr->min : highest;
}

bool hdr_can_tell(const struct hdr *hdr, int64_t percent)
{
    const uint64_t whole = 100 * HDR_PERCENT;
    uint64_t beyond = whole - (uint64_t)percent;
    return beyond != 0 && hdr->count >= (10 * whole + beyond - 1) / beyond;
}

int64_t hdr_mean(const struct hdr *hdr)
{
    return hdr->count ? (int64_t)(hdr->sum / hdr->count) : 0;
}
