/*
 * names.h - the names of a worker's addresses, in the log.
 *
 * A process of its own looks them up, forked from the master: the master neither waits for
 * it nor trusts what it reads. Worker and helper are images of the same master, so an
 * address means the same in both, except in what the worker loaded later; while it lives,
 * its /proc/PID/maps tells where that is.
 *
 * With libbacktrace (a part of gcc's run-time) static and inlined functions are named, with
 * file and line if there is debug information. Built without it, exported functions alone.
 */
#ifndef PREFORK_MASTER_NAMES_H
#define PREFORK_MASTER_NAMES_H

#include "ipc/crash.h"

/* A helper that takes longer is ended by SIGALRM. */
#define PF__NAMES_LIMIT_S 20

/*
 * Log the frames of a record: one line each, level warn, event "backtrace":
 *
 *     worker=3 pid=4712 lane=0 #0 spin at examples/app.c:12
 *     worker=3 pid=4712 lane=0 #1 pick at loop/loop.c:80 inlined in turn at loop/loop.c:91
 *     worker=3 pid=4712 lane=0 #2 read+0x4c in libc.so.6+0xf7af0
 *     worker=3 pid=4712 lane=0 #3 [app.so+0x11e0]
 *     worker=3 pid=4712 lane=0 #4 [0x7f3a81c011e0]
 *
 * or one line that says no-frames; it ends where the worker's own life begins. The number
 * after an object is what addr2line(1) takes. The lane is "-" for PF_CRASH_LANE_NONE.
 *
 * record  one that pf__crash_valid() has passed; borrowed.
 * slot    the worker's.
 *
 * Never fails: what is not found is printed as a number. May read much and takes its time
 * (some 10 ms for each object with debug information), and keeps memory: call it where the
 * process ends soon. Not thread-safe, not from a signal handler. Source: backtrace.h.
 */
void pf__names_print(const struct pf_crash_record *record, int slot);

/*
 * Fork a helper that does that, and ends.
 *
 * let_go  called in the child first, with arg: gives up what the master owns. May be NULL.
 *
 * Returns the helper's pid, in the master only, which reaps it; it ends with 0, or by
 * SIGALRM after PF__NAMES_LIMIT_S. Or a negative errno: -EAGAIN, -ENOMEM (fork(2)). Writes
 * stdio's buffers out first, as each fork here. Main thread; not from a signal handler.
 */
int pf__names_start(const struct pf_crash_record *record, int slot,
                    void (*let_go)(void *arg), void *arg);

#endif
