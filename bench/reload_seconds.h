/*
 * reload_seconds.h - the seconds of a run in which a command ran, and the others. Pure.
 */
#ifndef PREFORK_BENCH_RELOAD_SECONDS_H
#define PREFORK_BENCH_RELOAD_SECONDS_H

#include "bench/result.h"

/* How marks say that a command began, or has ended; its number follows. */
#define RELOAD_MARK_BEGIN "command "
#define RELOAD_MARK_END   "end of command "

/*
 * The median of the rows' p99, of those rows in which no command ran, and of those in which
 * one did: from its begin to its end, by the marks. Where RESULT_MARKS_MAX of them were
 * not enough, rows behind the last one are neither. RESULT_UNKNOWN: there were none.
 */
void reload_seconds(const struct result *result, int64_t *quiet_ns, int64_t *reload_ns);

#endif
