/*
 * cpus.c - what this process may really use: affinity, cpuset, CPU quota, topology.
 *
 * Counting the machine's CPUs is the classic mistake of servers in containers: taskset, a
 * cpuset and a CPU quota each leave less, and none of them shows in that count. hwloc knows
 * of cpusets only, so the rest is asked from the kernel here. The topology is loaded whole,
 * and the plan intersects it with what is allowed.
 */
#include "master/cpus.h"

#include <errno.h>
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

/* The first line of dir/name, or "" if there is none to read. */
static const char *read_line(const char *dir, const char *name, char *line, int len)
{
    char path[PATH_MAX];
    FILE *file = NULL;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path)
        file = fopen(path, "re");
    if (!file || !fgets(line, len, file))
        line[0] = '\0';
    if (file)
        (void)fclose(file); /* only read */
    return line;
}

/* The quota that one cgroup sets; 0 for "max", -1, and what is not there. */
static unsigned quota_of(const char *dir)
{
    char line[64], *rest;
    long long quota = strtoll(read_line(dir, "cpu.max", line, sizeof line), &rest, 10);
    if (rest != line)
        return in_milli(quota, strtoll(rest, NULL, 10));
    quota = strtoll(read_line(dir, "cpu.cfs_quota_us", line, sizeof line), NULL, 10);
    long long period =
        strtoll(read_line(dir, "cpu.cfs_period_us", line, sizeof line), NULL, 10);
    return in_milli(quota, period);
}

/*
 * Lower *least to the smallest quota of root/mount/path and of the directories above it, up
 * to root/mount. A container often sees its own cgroup mounted as the root, under which the
 * path as the host knows it is missing: then the root alone speaks.
 */
static void lower_along(unsigned *least, const char *root, const char *mount,
                        const char *path)
{
    char dir[PATH_MAX];
    size_t root_len = strlen(root) + strlen(mount) + 1;
    if (snprintf(dir, sizeof dir, "%s/%s%s", root, mount, path) >= (int)sizeof dir)
        return;
    char *slash;
    do {
        unsigned quota = quota_of(dir);
        if (quota != 0 && (*least == 0 || quota < *least))
            *least = quota;
        slash = strrchr(dir, '/');
        *slash = '\0';
    } while ((size_t)(slash - dir) >= root_len);
}

/* Is "cpu" one of "cpu,cpuacct"? */
static bool lists_cpu(const char *controllers)
{
    for (const char *at = controllers;; at++) {
        size_t len = strcspn(at, ",");
        if (len == strlen("cpu") && strncmp(at, "cpu", len) == 0)
            return true;
        at += len;
        if (!*at)
            return false;
    }
}

/* Take one line of /proc/self/cgroup, "id:controllers:path"; see cgroups(7). */
static void lower_by(unsigned *least, const char *sys_root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return;
    *controllers++ = '\0';
    *path++ = '\0';
    /* Moved out of its cgroup namespace, see cgroup_namespaces(7): nothing above the
     * process can be seen, and what can be seen is not above it. */
    if (strcmp(path, "/..") == 0 || strncmp(path, "/../", strlen("/../")) == 0)
        return;
    if (!*controllers) { /* version 2, alone or beside version 1 */
        lower_along(least, sys_root, "", path);
        lower_along(least, sys_root, "unified", path);
    } else if (lists_cpu(
                   controllers)) { /* version 1, where "cpu" may be a link or missing */
        lower_along(least, sys_root, "cpu", path);
        lower_along(least, sys_root, controllers, path);
    }
}

unsigned pf__cpus_quota(const char *proc_root, const char *sys_root)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s/cgroup", proc_root) >= (int)sizeof name)
        return 0;
    FILE *file = fopen(name, "re");
    if (!file)
        return 0;
    unsigned least = 0;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0)
        lower_by(&least, sys_root, line);
    free(line);
    (void)fclose(file); /* only read */
    return least;
}

/* ---- topology -------------------------------------------------------------------- */

/* Only cores, threads, caches and NUMA nodes are asked for, without moving this process
 * from CPU to CPU to look at each. */
static int load(hwloc_topology_t topology)
{
    const unsigned long flags =
        HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING |
        HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
        HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
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

int pf__cpus_pin(hwloc_topology_t topology, int cpu)
{
    /* Over another machine's topology (HWLOC_XMLFILE) hwloc binds nothing and says 0. */
    if (!topology || !hwloc_topology_is_thissystem(topology))
        return -ENOTSUP;
    if (cpu < 0 ||
        !hwloc_bitmap_isset(hwloc_topology_get_complete_cpuset(topology), (unsigned)cpu))
        return -EINVAL;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (!set)
        return -ENOMEM;
    int err = 0;
    if (hwloc_bitmap_only(set, (unsigned)cpu) < 0 ||
        hwloc_set_cpubind(topology, set, HWLOC_CPUBIND_PROCESS) < 0)
        err = -errno;
    hwloc_bitmap_free(set);
    return err;
}
