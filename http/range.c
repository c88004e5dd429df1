/*
 * range.c - byte ranges; see range.h.
 */
#include "http/range.h"

#include <inttypes.h>
#include <stdio.h>

/* Take a number off the text, as large as there is if it is larger. False: no digit. */
static bool take_number(struct pf__text *rest, uint64_t *number)
{
    size_t digits = 0;
    *number = 0;
    for (; digits < rest->len && pf__is_digit(rest->at[digits]); digits++) {
        uint64_t digit = (uint64_t)(rest->at[digits] - '0');
        bool fits = *number <= (UINT64_MAX - digit) / 10;
        *number = fits ? *number * 10 + digit : UINT64_MAX;
    }
    *rest = pf__text_skip(*rest, digits);
    return digits > 0;
}

/* What first-last, first- or -suffix means: 1: *range, 0: nothing that is there, -1: it is
 * malformed. */
static int parse_one(struct pf__text spec, uint64_t size, struct pf__range *range)
{
    uint64_t first, last;
    bool has_first = take_number(&spec, &first);
    if (spec.len == 0 || spec.at[0] != '-')
        return -1;
    spec = pf__text_skip(spec, 1);
    bool has_last = take_number(&spec, &last);
    if (spec.len > 0 || (!has_first && !has_last) ||
        (has_first && has_last && last < first))
        return -1;
    if (!has_first) { /* the last so many bytes */
        first = last < size ? size - last : 0;
        if (last == 0)
            return 0;
    }
    if (first >= size)
        return 0;
    if (!has_first || !has_last || last >= size)
        last = size - 1;
    *range = (struct pf__range){first, last - first + 1};
    return 1;
}

static bool overlaps(const struct pf__ranges *ranges, const struct pf__range *range)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const struct pf__range *other = &ranges->at[i];
        if (range->first < other->first + other->len &&
            other->first < range->first + range->len)
            return true;
    }
    return false;
}

int pf__range_parse(struct pf__text field, uint64_t size, struct pf__ranges *ranges)
{
    struct pf__ranges found = {0};
    struct pf__text rest = pf__text_trim(field), unit = {NULL, 0}, spec;
    size_t asked = 0;
    bool any_of_nothing = false;
    if (!pf__text_split(&rest, '=', &unit) || !pf__text_is_word(unit, "bytes"))
        return 200;
    while (pf__text_split(&rest, ',', &spec)) {
        struct pf__range range;
        spec = pf__text_trim(spec);
        if (spec.len == 0)
            continue;
        int meaning = parse_one(spec, size, &range);
        if (meaning < 0 || ++asked > PF__RANGES_MAX ||
            (meaning > 0 && overlaps(&found, &range)))
            return 200;
        if (meaning > 0)
            found.at[found.count++] = range;
        /* The last bytes of an empty file are all of it, but no range can say so. */
        any_of_nothing |= meaning == 0 && size == 0 && spec.at[0] == '-';
    }
    if (asked == 0 || any_of_nothing)
        return 200;
    if (found.count == 0)
        return 416;
    *ranges = found;
    return 206;
}

int pf__range_format(const struct pf__range *range, uint64_t size, char *out)
{
    if (!range)
        return snprintf(out, PF__CONTENT_RANGE_MAX, "bytes */%" PRIu64, size);
    return snprintf(out, PF__CONTENT_RANGE_MAX, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                    range->first, range->first + range->len - 1, size);
}
