/*
 * child.h - a process of ours that stands still: whoever stops one (SIGSTOP) does not tell,
 * and what it was to do is waited for in vain. So it is looked at each second, and given up
 * when it was found so CHILD_STOPPED_MOST times in a row. Looks are counted, not seconds:
 * who was stopped together with it has not looked.
 */
#ifndef PREFORK_BENCH_CHILD_H
#define PREFORK_BENCH_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#define CHILD_STOPPED_MOST 5

/* Look at it; *looks holds in how many it was stopped so far, at first 0. True: once, when
 * it is to be given up. False too if it is no child of this process. */
bool child_is_stuck(pid_t pid, unsigned *looks);

#endif
