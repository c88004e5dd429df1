/*
 * footprint.h - memory that connections take: a process's own, and the kernel's.
 */
#ifndef PREFORK_BENCH_FOOTPRINT_H
#define PREFORK_BENCH_FOOTPRINT_H

#include <stdint.h>

/* Bytes of memory that this process has to itself (anonymous pages), exactly; -1 if the
 * kernel does not tell (smaps_rollup of proc(5), Linux 4.14). */
int64_t footprint_user(void);

/* Bytes of all kernel objects of this machine: "Slab" of /proc/meminfo; -1: unknown. */
int64_t footprint_kernel(void);

/* What `count` things cost each, from a sum before and after them; NAN if either is
 * unknown, or there is no more than before. */
double footprint_each(int64_t before, int64_t after, uint64_t count);

#endif
