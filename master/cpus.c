/*
 * cpus.c - what this process may really use: affinity, cpuset, CPU quota, topology.
 *
 * Counting the machine's CPUs is the classic mistake of servers in containers: taskset, a
 * cpuset and a CPU quota each leave less, and none of them shows in that count. hwloc knows
 * of cpusets only, so the rest is asked from the kernel here. The topology is loaded whole,
 * and the plan intersects it with what is allowed.
 */
#include "master/cpus.h"

#include "master/cgroup.h"

#include <errno.h>
#include <hwloc/linux.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More CPUs than any kernel is built for (8192 by default on x86); where growing stops. */
#define CPUS_MAX ((size_t)1 << 20)

/* ---- affinity -------------------------------------------------------------------- */

static int bitmap_of(const cpu_set_t *set, size_t size, hwloc_bitmap_t *out)
{
    hwloc_bitmap_t bitmap = hwloc_bitmap_alloc();
    if (!bitmap)
        return -ENOMEM;
    for (unsigned cpu = 0; cpu < size * CHAR_BIT; cpu++) {
        if (CPU_ISSET_S(cpu, size, set) && hwloc_bitmap_set(bitmap, cpu) < 0) {
            hwloc_bitmap_free(bitmap);
            return -ENOMEM;
        }
    }
    *out = bitmap;
    return 0;
}

int pf__cpus_allowed(hwloc_bitmap_t *out)
{
    /* sched_getaffinity(2): EINVAL if the set is smaller than the kernel's. */
    int err = -EINVAL;
    for (size_t cpus = CPU_SETSIZE; err == -EINVAL && cpus <= CPUS_MAX; cpus *= 2) {
        size_t size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            return -ENOMEM;
        err = sched_getaffinity(0, size, set) < 0 ? -errno : bitmap_of(set, size, out);
        CPU_FREE(set);
    }
    return err;
}

/* ---- CPU quota ------------------------------------------------------------------- */

/* quota of every period, both in microseconds, in thousandths of a CPU, rounded up. */
static unsigned in_milli(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota > LLONG_MAX / 1000)
        return 0;
    long long milli = (quota * 1000 - 1) / period + 1;
    return milli <= UINT_MAX ? (unsigned)milli : 0;
}

/* The quota that one cgroup sets; 0 for "max", -1, and what is not there. */
static unsigned quota_of(const char *dir)
{
    char line[64], *rest;
    long long quota =
        strtoll(pf__cgroup_line(dir, "cpu.max", line, sizeof line), &rest, 10);
    if (rest != line)
        return in_milli(quota, strtoll(rest, NULL, 10));
    quota = strtoll(pf__cgroup_line(dir, "cpu.cfs_quota_us", line, sizeof line), NULL, 10);
    long long period =
        strtoll(pf__cgroup_line(dir, "cpu.cfs_period_us", line, sizeof line), NULL, 10);
    return in_milli(quota, period);
}

static pf__cgroup_fn lower_quota;
static bool lower_quota(const char *dir, void *arg)
{
    unsigned *least = arg, quota = quota_of(dir);
    if (quota != 0 && (*least == 0 || quota < *least))
        *least = quota;
    return true;
}

unsigned pf__cpus_quota(const char *proc_root, const char *sys_root)
{
    unsigned least = 0;
    pf__cgroup_walk(proc_root, sys_root, "cpu", lower_quota, &least);
    return least;
}

/* ---- what happened to this cgroup -------------------------------------------------- */

static pf__cgroup_fn add_throttled;
static bool add_throttled(const char *dir, void *arg)
{
    int64_t *sum = arg, count = pf__cgroup_count(dir, "cpu.stat", "nr_throttled");
    if (count >= 0)
        *sum = (*sum < 0 ? 0 : *sum) + count;
    return true;
}

int64_t pf__cpus_throttled(const char *proc_root, const char *sys_root)
{
    int64_t sum = -1;
    pf__cgroup_walk(proc_root, sys_root, "cpu", add_throttled, &sum);
    return sum;
}

static pf__cgroup_fn find_oom_kills;
static bool find_oom_kills(const char *dir, void *arg)
{
    int64_t *count = arg;
    *count = pf__cgroup_count(dir, "memory.events", "oom_kill");
    if (*count < 0)
        *count = pf__cgroup_count(dir, "memory.oom_control", "oom_kill");
    return *count < 0;
}

int64_t pf__cpus_oom_kills(const char *proc_root, const char *sys_root)
{
    int64_t count = -1;
    pf__cgroup_walk(proc_root, sys_root, "memory", find_oom_kills, &count);
    return count;
}

/* ---- drift ------------------------------------------------------------------------ */

bool pf__cpus_changed(hwloc_const_bitmap_t allowed, unsigned quota_milli,
                      const char *proc_root, const char *sys_root)
{
    if (pf__cpus_quota(proc_root, sys_root) != quota_milli)
        return true;
    hwloc_bitmap_t now;
    if (pf__cpus_allowed(&now) != 0)
        return false;
    bool changed = !hwloc_bitmap_isequal(now, allowed);
    hwloc_bitmap_free(now);
    return changed;
}

/* ---- topology -------------------------------------------------------------------- */

/* Only cores and their kinds, threads, caches and NUMA nodes are asked for, without moving
 * this process from CPU to CPU to look at each. Devices would take ten times as long. */
static int load(hwloc_topology_t topology)
{
    const unsigned long flags =
        HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING |
        HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS;
    if (hwloc_topology_set_flags(topology, flags) < 0 ||
        hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) < 0 ||
        hwloc_topology_set_icache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) < 0)
        return -1;
    return hwloc_topology_load(topology);
}

int pf__cpus_topology(hwloc_topology_t *out)
{
    hwloc_topology_t topology;
    errno = 0;
    if (hwloc_topology_init(&topology) < 0)
        return -ENOMEM;
    if (load(topology) < 0) {
        int err = errno == ENOMEM ? -ENOMEM : -ENOTSUP;
        hwloc_topology_destroy(topology);
        return err;
    }
    *out = topology;
    return 0;
}

/* ---- pinning ---------------------------------------------------------------------- */

/* The CPUs of a seat in a new bitmap. */
static int cpus_of(hwloc_topology_t topology, const struct pf_cpu_seat *seat,
                   hwloc_bitmap_t *out)
{
    unsigned cpu = (unsigned)seat->cpu;
    hwloc_bitmap_t set = NULL;
    if (seat->group)
        set = hwloc_bitmap_dup(seat->group);
    else if (!hwloc_bitmap_isset(hwloc_topology_get_complete_cpuset(topology), cpu))
        return -EINVAL;
    else if ((set = hwloc_bitmap_alloc()) && hwloc_bitmap_only(set, cpu) < 0) {
        hwloc_bitmap_free(set);
        set = NULL;
    }
    *out = set;
    return set ? 0 : -ENOMEM;
}

/* Without HWLOC_MEMBIND_STRICT this is MPOL_PREFERRED, see set_mempolicy(2): when the node
 * is full, memory comes from elsewhere. */
static int bind_memory(hwloc_topology_t topology, int node)
{
    if (node < 0)
        return -ENODEV;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (!set)
        return -ENOMEM;
    int err = 0;
    if (hwloc_bitmap_only(set, (unsigned)node) < 0 ||
        hwloc_set_membind(topology, set, HWLOC_MEMBIND_BIND,
                          HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET) < 0)
        err = -errno;
    hwloc_bitmap_free(set);
    return err;
}

static void read_back(hwloc_const_bitmap_t wanted, struct pf_pin_result *result)
{
    hwloc_bitmap_t now;
    (void)hwloc_bitmap_list_snprintf(result->requested, sizeof result->requested, wanted);
    if (pf__cpus_allowed(&now) != 0)
        return;
    (void)hwloc_bitmap_list_snprintf(result->effective, sizeof result->effective, now);
    result->exact = hwloc_bitmap_isequal(now, wanted);
    hwloc_bitmap_free(now);
}

int pf__cpus_pin(hwloc_topology_t topology, const struct pf_cpu_seat *seat,
                 struct pf_pin_result *result)
{
    struct pf_pin_result unread;
    if (!result)
        result = &unread;
    *result = (struct pf_pin_result){.exact = true};
    if (seat->cpu < 0)
        return 0;
    /* Over another machine's topology (HWLOC_XMLFILE) hwloc binds nothing and says 0. */
    if (!topology || !hwloc_topology_is_thissystem(topology))
        return -ENOTSUP;
    hwloc_bitmap_t set;
    int err = cpus_of(topology, seat, &set);
    if (err)
        return err;
    if (hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_THREAD) < 0)
        err = -errno;
    else
        result->memory = bind_memory(topology, seat->node);
    read_back(set, result);
    hwloc_bitmap_free(set);
    return err;
}

int pf__cpus_pin_task(hwloc_topology_t topology, const struct pf_cpu_seat *seat, int tid,
                      hwloc_const_bitmap_t allowed)
{
    if (tid <= 0)
        return -ESRCH; /* 0 would be the caller */
    if (!topology || !hwloc_topology_is_thissystem(topology))
        return -ENOTSUP;
    if (seat->cpu < 0)
        return hwloc_linux_set_tid_cpubind(topology, tid, allowed) < 0 ? -errno : 0;
    hwloc_bitmap_t set;
    int err = cpus_of(topology, seat, &set);
    if (err)
        return err;
    if (hwloc_linux_set_tid_cpubind(topology, tid, set) < 0)
        err = -errno;
    hwloc_bitmap_free(set);
    return err;
}
