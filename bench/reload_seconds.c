#include "bench/reload_seconds.h"

#include <stdlib.h>
#include <string.h>

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Did a command begin, run or end between the two times? */
static bool ran_between(const struct result *result, int64_t from_ns, int64_t to_ns)
{
    bool runs = false; /* at the mark at hand */
    for (size_t i = 0; i < result->mark_count; i++) {
        const struct result_mark *mark = &result->marks[i];
        bool begins = begins_with(mark->text, RELOAD_MARK_BEGIN);
        if (!begins && !begins_with(mark->text, RELOAD_MARK_END))
            continue;
        if (mark->t_ns >= to_ns)
            break;
        if (mark->t_ns >= from_ns)
            return true;
        runs = begins;
    }
    return runs;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The lower one of two in the middle: it was measured. */
static int64_t median(int64_t *values, size_t count)
{
    if (count == 0)
        return RESULT_UNKNOWN;
    qsort(values, count, sizeof *values, compare);
    return values[(count - 1) / 2];
}

/* The end of what the marks tell: once there is no room for more, the last one. */
static int64_t known_until(const struct result *result)
{
    return result->mark_count == RESULT_MARKS_MAX
               ? result->marks[result->mark_count - 1].t_ns
               : INT64_MAX;
}

void reload_seconds(const struct result *result, int64_t *quiet_ns, int64_t *reload_ns)
{
    *quiet_ns = *reload_ns = RESULT_UNKNOWN;
    /* From both ends of one array. */
    int64_t *values = calloc(result->row_count + 1, sizeof *values);
    if (!values)
        return;
    int64_t until_ns = known_until(result);
    size_t quiet = 0, reload = 0;
    for (size_t i = 0; i < result->row_count; i++) {
        const struct result_row *row = &result->rows[i];
        if (row->p99_ns < 0 || row->t_ns > until_ns)
            continue;
        if (ran_between(result, row->t_ns - row->span_ns, row->t_ns))
            values[result->row_count - ++reload] = row->p99_ns;
        else
            values[quiet++] = row->p99_ns;
    }
    *quiet_ns = median(values, quiet);
    *reload_ns = median(values + result->row_count - reload, reload);
    free(values);
}
