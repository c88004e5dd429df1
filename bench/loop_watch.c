/* loop_watch.c - see loop_watch.h. */
#include "bench/loop_watch.h"

#include "bench/loop_bench.h"

#include <time.h>

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void watch_start(struct watch *watch)
{
    *watch = (struct watch){.wall_at = read_ns(CLOCK_MONOTONIC)};
    watch->cpu_at = read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void watch_lap(struct watch *watch, const char *name)
{
    int64_t cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t wall = read_ns(CLOCK_MONOTONIC);
    require(watch->count < WATCH_LAPS_MAX, "no lap left");
    watch->laps[watch->count++] =
        (struct watch_lap){name, cpu - watch->cpu_at, wall - watch->wall_at};
    watch->cpu_at = cpu;
    watch->wall_at = wall;
}
