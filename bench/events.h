/*
 * events.h - the rows of a run as they come: a line of JSON each, written out at once, so
 * that others can follow the file.
 *
 *     events_new("run.ndjson", &events);
 *     events_add(events, row);          each second, and at the end of a run
 *     events_end(events, result);
 *     events_free(events);
 *
 * What was written stays as it is. So in a run of more than SERIES_ROWS_MAX seconds each
 * second keeps its line, where the result's rows have been joined; otherwise the lines are
 * the result's rows. Of several runs (--repeat, search) all rows are there, one run behind
 * the other, each with times from its own start.
 */
#ifndef PREFORK_BENCH_EVENTS_H
#define PREFORK_BENCH_EVENTS_H

#include "bench/result.h"

struct events;

/* `path` is borrowed; "-": standard output. The file is made, or emptied, with the first
 * row. Returns 0 or -ENOMEM. */
int events_new(const char *path, struct events **out);
void events_free(struct events *events);

/* Cost: a write(2). What fails is told by events_end(). */
void events_add(struct events *events, const struct result_row *row);

/* It is over: a result whose rows did not come one by one is written now. Returns 0, or the
 * first error there was as a negative errno. */
int events_end(struct events *events, const struct result *result);

#endif
