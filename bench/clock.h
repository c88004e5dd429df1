/*
 * clock.h - the one clock that times of a measurement are of.
 */
#ifndef PREFORK_BENCH_CLOCK_H
#define PREFORK_BENCH_CLOCK_H

#include <prefork/base.h>
#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC, the same in all processes of the machine; a loop's clock, too. Cost:
 * some 20 ns, no system call. */
static inline int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

#endif
