/*
 * loop_watch.h - CPU time and elapsed time of a workload, phase by phase.
 *
 *     watch_start(watch);
 *     ...add...
 *     watch_lap(watch, "add");
 *     ...fire...
 *     watch_lap(watch, "fire");
 *
 * CPU time is the process's, all its threads', user and system. Reading it is a system call
 * and not a vDSO one, so the readings stand in a trace as marks of what was timed.
 */
#ifndef PREFORK_BENCH_LOOP_WATCH_H
#define PREFORK_BENCH_LOOP_WATCH_H

#include <stdint.h>

#define WATCH_LAPS_MAX 4

struct watch_lap {
    const char *name;
    int64_t cpu_ns;
    int64_t wall_ns;
};

struct watch {
    struct watch_lap laps[WATCH_LAPS_MAX];
    int count;
    /* private */
    int64_t cpu_at, wall_at;
};

void watch_start(struct watch *watch);

/* End a phase, begin the next. `name` is static text. */
void watch_lap(struct watch *watch, const char *name);

#endif
