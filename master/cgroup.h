/*
 * cgroup.h - this process's place in the control groups, version 1 and version 2.
 *
 * Which directory that is, is told by /proc/self/cgroup and by where things are mounted:
 * see cgroups(7). What cannot be found or read is passed over: a container may see all of
 * it, a part, or nothing.
 */
#ifndef PREFORK_MASTER_CGROUP_H
#define PREFORK_MASTER_CGROUP_H

#include <prefork/base.h>

/* Is handed one directory; it may be missing. Returns whether to go on. */
typedef bool pf__cgroup_fn(const char *dir, void *arg);

/*
 * Call visit for the group in which `controller` ("cpu", "memory") has this process, then
 * for each above it, up to the mounted root; if both versions are mounted, for both. Each
 * directory is handed out once. A group outside of the cgroup namespace is passed over, and
 * all above it.
 *
 * proc_root, sys_root   "/proc/self" and "/sys/fs/cgroup", or a fake tree in a test.
 */
void pf__cgroup_walk(const char *proc_root, const char *sys_root, const char *controller,
                     pf__cgroup_fn *visit, void *arg);

/* The first line of dir/file into line[len], "" if there is none to read. Returns line. */
const char *pf__cgroup_line(const char *dir, const char *file, char *line, int len);

/* The number that stands after `key` and a space in dir/file, or -1. */
int64_t pf__cgroup_count(const char *dir, const char *file, const char *key);

#endif
