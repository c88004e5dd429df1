/*
 * cpus.h - what this process may really use: affinity, cpuset, CPU quota, topology.
 */
#ifndef PREFORK_MASTER_CPUS_H
#define PREFORK_MASTER_CPUS_H

#include "master/plan.h"

#include <hwloc.h>
#include <prefork/base.h>

/*
 * The CPUs that sched_getaffinity(2) grants (taskset and cpuset are in it) into *out, a new
 * bitmap, yours. Works for any number of CPUs. Returns 0 or a negative errno.
 */
int pf__cpus_allowed(hwloc_bitmap_t *out);

/*
 * The CPU quota of this process in thousandths of a CPU, 0 if there is none: the smallest
 * of its cgroup and all above it; version 2 (cpu.max) and version 1 (cpu.cfs_quota_us).
 * What cannot be read does not limit.
 *
 * proc_root, sys_root   "/proc/self" and "/sys/fs/cgroup", or a fake tree in a test.
 */
unsigned pf__cpus_quota(const char *proc_root, const char *sys_root);

/* Load the machine's topology, unrestricted by hwloc itself. Returns 0, -ENOMEM or -ENOTSUP
 * (nothing to learn here, no /sys): then plan with NULL. Free: hwloc_topology_destroy(). */
int pf__cpus_topology(hwloc_topology_t *out);

/* What became of pf__cpus_pin(), in words for the log: lists of CPUs such as "0,2-3", cut
 * off where they do not fit. */
struct pf_pin_result {
    char requested[64]; /* "": nothing was */
    char effective[64]; /* what the kernel grants now; "": not known */
    bool exact;         /* the same; else some CPUs of a group are not granted any more */
    int memory;         /* 0, or why memory is not bound to the node: a negative errno */
};

/*
 * Bind the calling thread to its seat's CPU or group, through hwloc, and prefer the seat's
 * NUMA node for the memory that it touches from now on. Call it before the thread's first
 * allocation: what was touched before stays where it is.
 *
 * seat     borrowed; with cpu -1 nothing is done, and that is no error.
 * result   may be NULL; filled in whatever is returned. That memory cannot be bound is said
 *          here and is no error: -ENODEV (node not known), -EPERM (a sandbox), -ENOSYS.
 *
 * Returns 0, or -EINVAL (none of it is allowed any more), -ENOTSUP (no topology, or not
 * this machine's), -ENOMEM; the thread then runs unpinned as before.
 * Threads: any, at the same time over one topology. Fork: inherited. Source:
 * sched_setaffinity(2), set_mempolicy(2).
 */
int pf__cpus_pin(hwloc_topology_t topology, const struct pf_cpu_seat *seat,
                 struct pf_pin_result *result);

/*
 * The same for another thread, by its id (gettid(2)), whose memory stays where it is; with
 * cpu -1 it may run on all that is `allowed`. Returns 0, or -ESRCH (it has ended), -EPERM
 * (another user's), -EINVAL, -ENOTSUP, -ENOMEM.
 */
int pf__cpus_pin_task(hwloc_topology_t topology, const struct pf_cpu_seat *seat, int tid,
                      hwloc_const_bitmap_t allowed);

/*
 * Is what the kernel grants another than it was, when pf__cpus_allowed() gave `allowed` and
 * pf__cpus_quota() quota_milli? (A container may be resized while it runs.) To be called
 * in a thread that was never pinned. What cannot be read has not changed. Cost: a few small
 * files.
 */
bool pf__cpus_changed(hwloc_const_bitmap_t allowed, unsigned quota_milli,
                      const char *proc_root, const char *sys_root);

/*
 * How many periods the CPU quotas of this process's cgroup and of those above it ended
 * early, or -1 where nothing counts them. Only ever grows: compare two readings.
 */
int64_t pf__cpus_throttled(const char *proc_root, const char *sys_root);

/*
 * How many processes the kernel killed for want of memory in this process's cgroup (with
 * version 2 also in those below it), or -1 where nothing counts them.
 */
int64_t pf__cpus_oom_kills(const char *proc_root, const char *sys_root);

#endif
