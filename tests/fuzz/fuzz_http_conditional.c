/*
 * fuzz_http_conditional.c - ranges, dates and tags as anybody may send them.
 *
 * A libFuzzer target; test_http_conditional.c includes it and replays the corpus. The first
 * byte of an input is the size of the file; the rest is lines: Range, a date, tags.
 */
#include <prefork/base.h>

#include <stdlib.h>
#include <string.h>

#include "http/conditional.h"
#include "http/range.h"
#include "http/when.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_range(struct pf__text field, uint64_t size)
{
    struct pf__ranges ranges = {0};
    uint64_t total = 0;
    int status = pf__range_parse(field, size, &ranges);
    must(status == 200 || status == 206 || status == 416);
    must((status == 206) == (ranges.count > 0));
    for (size_t i = 0; i < ranges.count; i++) {
        char out[PF__CONTENT_RANGE_MAX];
        must(ranges.at[i].len > 0 && ranges.at[i].first < size);
        must(ranges.at[i].len <= size - ranges.at[i].first);
        total += ranges.at[i].len;
        must(pf__range_format(&ranges.at[i], size, out) < PF__CONTENT_RANGE_MAX);
    }
    must(total <= size);
}

static void check_date(struct pf__text field)
{
    int64_t second;
    if (pf__when_parse(field, 784111777, &second) == 0)
        must(second >= INT64_C(-62167219200) && second <= INT64_C(253402300800));
}

static void check_tags(struct pf__text field, struct pf__text date)
{
    struct pf__text rest = field;
    struct pf__etag tag;
    size_t left = rest.len + 1;
    while (pf__etag_next(&rest, &tag) > 0) {
        must(rest.len < left && tag.text.at > field.at);
        must(tag.text.at + tag.text.len < field.at + field.len);
        must(pf__text_find(tag.text, '"') == tag.text.len);
        left = rest.len;
    }
    struct pf__current current = {true, {{"a", 1}, false}, 784111777};
    for (int i = 0; i < 4; i++) {
        struct pf__conditions conditions = {.is_get = i & 1, .if_modified_since = date};
        conditions.if_range = i & 2 ? date : field;
        conditions.if_unmodified_since = date;
        *(i & 2 ? &conditions.if_match : &conditions.if_none_match) =
            (struct pf__texts){&field, 1};
        int status = pf__conditional_check(&conditions, &current);
        must(status == 0 || status == 412 || (status == 304 && conditions.is_get));
        (void)pf__conditional_wants_range(&conditions, &current);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *copy = malloc(size);
    must(copy != NULL);
    memcpy(copy, data, size);
    struct pf__text rest = {copy + 1, size - 1}, range = {0}, date = {0}, tags;
    (void)pf__text_split(&rest, '\n', &range);
    (void)pf__text_split(&rest, '\n', &date);
    tags = rest;
    check_range(range, data[0]);
    check_range(range, UINT64_MAX - data[0]);
    check_date(date);
    check_tags(tags, date);
    free(copy);
    return 0;
}
