/*
 * cpus.h - what this process may really use: affinity, cpuset, CPU quota, topology.
 */
#ifndef PREFORK_MASTER_CPUS_H
#define PREFORK_MASTER_CPUS_H

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

/*
 * Bind the calling process to one CPU, through hwloc. Returns 0 or a negative errno
 * (-EINVAL: not allowed any more; -ENOTSUP: no topology, or not this machine's); the
 * process then runs unpinned as before.
 */
int pf__cpus_pin(hwloc_topology_t topology, int cpu);

#endif
