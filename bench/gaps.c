#include "bench/gaps.h"

static int64_t length(const struct gap *gap)
{
    return gap->to_ns - gap->from_ns;
}

void gaps_keep(struct gaps *gaps, int64_t from_ns, int64_t to_ns)
{
    struct gap gap = {from_ns, to_ns};
    if (gaps->count < GAPS_MAX) {
        gaps->longest[gaps->count++] = gap;
        return;
    }
    struct gap *shortest = &gaps->longest[0];
    for (unsigned i = 1; i < GAPS_MAX; i++)
        if (length(&gaps->longest[i]) < length(shortest))
            shortest = &gaps->longest[i];
    if (length(&gap) > length(shortest))
        *shortest = gap;
}

void gaps_merge(struct gaps *gaps, const struct gaps *from)
{
    if (from->last_ns == 0)
        return;
    if (gaps->last_ns == 0) {
        *gaps = *from;
        return;
    }
    struct gaps both = {.last_ns =
                            from->last_ns > gaps->last_ns ? from->last_ns : gaps->last_ns};
    for (unsigned i = 0; i < gaps->count; i++)
        for (unsigned j = 0; j < from->count; j++) {
            const struct gap *a = &gaps->longest[i], *b = &from->longest[j];
            int64_t begin = a->from_ns > b->from_ns ? a->from_ns : b->from_ns;
            int64_t end = a->to_ns < b->to_ns ? a->to_ns : b->to_ns;
            if (end - begin >= GAPS_LEAST)
                gaps_keep(&both, begin, end);
        }
    *gaps = both;
}

struct gap gaps_longest(const struct gaps *gaps)
{
    struct gap longest = {0, 0};
    for (unsigned i = 0; i < gaps->count; i++)
        if (length(&gaps->longest[i]) > length(&longest))
            longest = gaps->longest[i];
    return longest;
}
