/* events.c - see events.h. */
#include "bench/events.h"

#include "bench/report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct events {
    const char *path;
    FILE *to;   /* NULL: not open yet */
    bool begun; /* a row has come */
    int err;    /* the first there was: nothing is written any more */
};

int events_new(const char *path, struct events **out)
{
    struct events *events = calloc(1, sizeof *events);
    if (!events)
        return -ENOMEM;
    events->path = path;
    *out = events;
    return 0;
}

static void close_file(struct events *events)
{
    if (events->to && events->to != stdout && fclose(events->to) != 0 && !events->err)
        events->err = -errno;
    events->to = NULL;
}

void events_free(struct events *events)
{
    if (!events)
        return;
    close_file(events);
    free(events);
}

static void open_file(struct events *events)
{
    events->to = strcmp(events->path, "-") == 0 ? stdout : fopen(events->path, "we");
    if (!events->to)
        events->err = -errno;
}

void events_add(struct events *events, const struct result_row *row)
{
    events->begun = true;
    if (!events->to && !events->err)
        open_file(events);
    if (events->err)
        return;
    errno = 0;
    if (report_event(row, events->to) != 0 || fflush(events->to) != 0)
        events->err = errno ? -errno : -EIO;
}

int events_end(struct events *events, const struct result *result)
{
    if (!events->begun && !events->err) {
        open_file(events); /* empty without a row */
        for (size_t i = 0; i < result->row_count && !events->err; i++)
            events_add(events, &result->rows[i]);
    }
    close_file(events);
    return events->err;
}
