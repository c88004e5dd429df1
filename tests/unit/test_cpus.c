/* test_cpus.c - CPU quotas in fake cgroup trees; affinity and topology of this machine. */
#include "tests/lib/test.h"

#include "master/cpus.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a fake tree ----------------------------------------------------------------- */

static char root[] = "/tmp/prefork-cpus-XXXXXX";
static char proc_root[PATH_MAX], sys_root[PATH_MAX];

static int plant(void **state)
{
    memcpy(root + strlen(root) - 6, "XXXXXX", 6);
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(proc_root, sizeof proc_root, "%s/proc", root);
    (void)snprintf(sys_root, sizeof sys_root, "%s/sys", root);
    return pf_test_setup(state);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int fell(void **state)
{
    int failed = nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return pf_test_teardown(state) || failed ? -1 : 0;
}

/* Write a file of the tree, and the directories that lead to it. */
static void put(const char *name, const char *content)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *at = path + strlen(root); (at = strchr(at + 1, '/'));) {
        *at = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *at = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static unsigned quota(void)
{
    return pf__cpus_quota(proc_root, sys_root);
}

/* ---- quota ----------------------------------------------------------------------- */

static void version_2_limits_by_cpu_max(void **state)
{
    (void)state;
    static const struct {
        const char *cpu_max;
        unsigned milli;
    } rows[] = {
        {"max 100000\n", 0},
        {"150000 100000\n", 1500},
        {"200000 100000", 2000},
        {"1000 1000000\n", 1},
        {"100 1000000\n", 1}, /* rounded up: it is a limit, however small */
        {"33333 100000\n", 334},
        {"", 0},
        {"\n", 0},
        {"garbage\n", 0},
        {"100000\n", 0},
        {"100000 0\n", 0},
        {"-5 100000\n", 0},
        {"9223372036854775807 1\n", 0},
        {"99999999999999999999999 100000\n", 0},
        {"9000000000000000 1\n", 0},
    };
    put("proc/cgroup", "0::/app\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("sys/app/cpu.max", rows[i].cpu_max);
        assert_int_equal(quota(), rows[i].milli);
    }
}

static void the_smallest_quota_on_the_way_up_counts(void **state)
{
    (void)state;
    put("proc/cgroup", "0::/slice/pod/container\n");
    put("sys/slice/pod/container/cpu.max", "400000 100000\n");
    put("sys/slice/pod/cpu.max", "max 100000\n");
    put("sys/slice/cpu.max", "50000 20000\n"); /* 2.5 CPUs, by another period */
    put("sys/slice/other/cpu.max", "1000 100000\n");
    assert_int_equal(quota(), 2500);
    put("sys/slice/pod/cpu.max", "300000 200000\n");
    assert_int_equal(quota(), 1500);
    put("sys/cpu.max", "100000 100000\n"); /* as a container sees its own */
    assert_int_equal(quota(), 1000);
    put("sys/slice/pod/container/cpu.max", "70000 100000\n");
    assert_int_equal(quota(), 700);
}

static void version_1_limits_by_the_cpu_controller(void **state)
{
    (void)state;
    put("proc/cgroup", "12:memory:/app\n"
                       "4:cpuset:/small\n"
                       "3:cpu,cpuacct:/app/one\n"
                       "1:name=systemd:/small\n");
    put("sys/cpu/app/one/cpu.cfs_quota_us", "-1\n");
    put("sys/cpu/app/one/cpu.cfs_period_us", "100000\n");
    put("sys/cpuset/small/cpu.cfs_quota_us", "1000\n");
    put("sys/cpuset/small/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
    put("sys/cpu/app/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(quota(), 0); /* without a period it cannot be read */
    put("sys/cpu/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 2500);
    put("sys/cpu/app/one/cpu.cfs_quota_us", "120000\n");
    assert_int_equal(quota(), 1200);
}

static void version_1_is_found_where_no_link_names_it_cpu(void **state)
{
    (void)state;
    put("proc/cgroup", "3:cpuacct,cpu:/app\n");
    put("sys/cpuacct,cpu/app/cpu.cfs_quota_us", "50000\n");
    put("sys/cpuacct,cpu/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 500);
}

static void a_controller_that_only_begins_with_cpu_does_not_count(void **state)
{
    (void)state;
    put("proc/cgroup", "3:cpuacct:/app\n2:cpuset:/app\n");
    put("sys/cpu/app/cpu.cfs_quota_us", "50000\n");
    put("sys/cpu/app/cpu.cfs_period_us", "100000\n");
    put("sys/cpuacct/app/cpu.cfs_quota_us", "50000\n");
    put("sys/cpuacct/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
}

static void a_container_that_sees_its_own_cgroup_as_the_root_is_limited(void **state)
{
    (void)state;
    put("proc/cgroup", "5:cpu:/docker/0123456789abcdef\n0::/docker/0123456789abcdef\n");
    put("sys/cpu/cpu.cfs_quota_us", "150000\n");
    put("sys/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 1500);
}

static void on_a_hybrid_system_both_versions_limit(void **state)
{
    (void)state;
    put("proc/cgroup", "3:cpu,cpuacct:/one\n0::/two\n");
    put("sys/cpu/one/cpu.cfs_quota_us", "300000\n");
    put("sys/cpu/one/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 3000);
    put("sys/unified/two/cpu.max", "200000 100000\n");
    assert_int_equal(quota(), 2000);
    put("sys/cpu/one/cpu.cfs_quota_us", "100000\n");
    assert_int_equal(quota(), 1000);
}

static void a_cgroup_outside_the_namespace_is_not_looked_for_inside(void **state)
{
    (void)state;
    put("sys/cpu.max", "100000 100000\n");
    put("sys/x/cpu.max", "100000 100000\n");
    put("x/cpu.max", "100000 100000\n"); /* where sys/../x leads */
    put("cpu.max", "100000 100000\n");
    put("proc/cgroup", "0::/../x\n");
    assert_int_equal(quota(), 0);
    put("proc/cgroup", "0::/..\n");
    assert_int_equal(quota(), 0);
    put("proc/cgroup", "0::/../../x/y\n");
    assert_int_equal(quota(), 0);
    put("sys/..x/cpu.max", "50000 100000\n"); /* an odd name, but inside */
    put("proc/cgroup", "0::/..x\n");
    assert_int_equal(quota(), 500);
}

static void the_root_cgroup_and_nothing_above_it_is_read(void **state)
{
    (void)state;
    put("proc/cgroup", "0::/\n");
    put("cpu.max", "10000 100000\n"); /* above the tree */
    put("sys/memory.max", "max\n");
    assert_int_equal(quota(), 0);
    put("sys/cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 1000);
}

static void what_cannot_be_read_does_not_limit(void **state)
{
    (void)state;
    assert_int_equal(quota(), 0); /* no tree at all */
    put("proc/cgroup", "");
    assert_int_equal(quota(), 0);
    put("proc/cgroup", "garbage\n::\n:\n\n0:\n0::\n0::relative\n3:cpu:/a (deleted)\n");
    assert_int_equal(quota(), 0);
    put("proc/cgroup", "0::/a\n");
    put("sys/a/cpu.max/file", ""); /* a directory by that name */
    assert_int_equal(quota(), 0);
    assert_int_equal(pf__cpus_quota("/nonexistent", "/nonexistent"), 0);
}

static void a_path_that_is_too_long_does_not_limit(void **state)
{
    (void)state;
    static char line[3 * PATH_MAX] = "0::/";
    memset(line + 4, 'x', sizeof line - 5);
    put("proc/cgroup", line);
    put("sys/cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 0);
    assert_int_equal(pf__cpus_quota(line, sys_root), 0);
}

/* ---- this machine ---------------------------------------------------------------- */

static void this_machine_has_a_quota_or_none(void **state)
{
    (void)state;
    unsigned milli = pf__cpus_quota("/proc/self", "/sys/fs/cgroup");
    assert_int_equal(pf__cpus_quota("/proc/self", "/sys/fs/cgroup"), milli);
}

static int count_allowed(void)
{
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    int weight = hwloc_bitmap_weight(allowed);
    hwloc_bitmap_free(allowed);
    return weight;
}

static void narrow_to_one(void *arg)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t) * (int *)arg, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);

    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    assert_int_equal(hwloc_bitmap_weight(allowed), 1);
    assert_int_equal(hwloc_bitmap_first(allowed), *(int *)arg);
    hwloc_bitmap_free(allowed);
}

static void allowed_cpus_follow_the_affinity(void **state)
{
    (void)state;
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) { /* fails beyond 1024 CPUs */
        assert_int_equal(hwloc_bitmap_weight(allowed), CPU_COUNT(&set));
        int last = hwloc_bitmap_last(allowed);
        pf_test_in_child(narrow_to_one, &last);
    }
    hwloc_bitmap_free(allowed);
}

static void the_topology_is_not_narrowed_by_the_affinity(void *arg)
{
    narrow_to_one(arg);
    hwloc_topology_t topology;
    assert_int_equal(pf__cpus_topology(&topology), 0);
    assert_int_equal(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU), *((int *)arg + 1));
    assert_int_equal(count_allowed(), 1); /* and loading it has not moved us */
    hwloc_topology_destroy(topology);
}

static void the_topology_knows_the_allowed_cpus(void **state)
{
    (void)state;
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    assert_int_equal(pf__cpus_topology(&topology), 0);
    assert_true(
        hwloc_bitmap_isincluded(allowed, hwloc_topology_get_topology_cpuset(topology)));
    int first_and_count[] = {hwloc_bitmap_first(allowed),
                             hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU)};
    hwloc_topology_destroy(topology);
    hwloc_bitmap_free(allowed);
    pf_test_in_child(the_topology_is_not_narrowed_by_the_affinity, first_and_count);
}

static void *report_affinity(void *arg)
{
    pthread_barrier_t *barrier = arg;
    pthread_barrier_wait(barrier); /* this thread lives: pin */
    pthread_barrier_wait(barrier); /* pinned */
    return (void *)(intptr_t)count_allowed();
}

static void pin_everywhere(void *arg)
{
    (void)arg;
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed, now;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    assert_int_equal(pf__cpus_topology(&topology), 0);
    int cpu;
    hwloc_bitmap_foreach_begin(cpu, allowed)
    {
        assert_int_equal(pf__cpus_pin(topology, cpu), 0);
        assert_int_equal(pf__cpus_allowed(&now), 0);
        assert_true(hwloc_bitmap_isset(now, (unsigned)cpu));
        assert_int_equal(hwloc_bitmap_weight(now), 1);
        hwloc_bitmap_free(now);
    }
    hwloc_bitmap_foreach_end();

    /* Pinning is for the process, all its threads. */
    pthread_t thread;
    pthread_barrier_t barrier;
    void *weight;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, report_affinity, &barrier), 0);
    pthread_barrier_wait(&barrier);
    assert_int_equal(pf__cpus_pin(topology, hwloc_bitmap_first(allowed)), 0);
    pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(thread, &weight), 0);
    assert_int_equal((intptr_t)weight, 1);
    pthread_barrier_destroy(&barrier);

    hwloc_topology_destroy(topology);
    hwloc_bitmap_free(allowed);
}

static void a_process_is_pinned_to_any_allowed_cpu(void **state)
{
    (void)state;
    pf_test_in_child(pin_everywhere, NULL);
}

static void pinning_where_there_is_no_cpu_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    hwloc_topology_t topology;
    int before = count_allowed();
    assert_int_equal(pf__cpus_topology(&topology), 0);
    assert_int_equal(pf__cpus_pin(topology, -1), -EINVAL);
    assert_int_equal(pf__cpus_pin(topology, INT_MAX), -EINVAL);
    assert_int_equal(pf__cpus_pin(topology, INT_MIN), -EINVAL);
    assert_int_equal(pf__cpus_pin(topology, 1 << 19), -EINVAL);
    assert_int_equal(pf__cpus_pin(NULL, 0), -ENOTSUP);
    assert_int_equal(count_allowed(), before);
    hwloc_topology_destroy(topology);
}

static void another_machines_topology_does_not_pin(void **state)
{
    (void)state;
    hwloc_topology_t topology;
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, "numa:1 core:2 pu:2"), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    assert_int_equal(pf__cpus_pin(topology, 0), -ENOTSUP);
    hwloc_topology_destroy(topology);
}

#define tree_test(name) cmocka_unit_test_setup_teardown(name, plant, fell)

int main(void)
{
    const struct CMUnitTest tests[] = {
        tree_test(version_2_limits_by_cpu_max),
        tree_test(the_smallest_quota_on_the_way_up_counts),
        tree_test(version_1_limits_by_the_cpu_controller),
        tree_test(version_1_is_found_where_no_link_names_it_cpu),
        tree_test(a_controller_that_only_begins_with_cpu_does_not_count),
        tree_test(a_container_that_sees_its_own_cgroup_as_the_root_is_limited),
        tree_test(on_a_hybrid_system_both_versions_limit),
        tree_test(a_cgroup_outside_the_namespace_is_not_looked_for_inside),
        tree_test(the_root_cgroup_and_nothing_above_it_is_read),
        tree_test(what_cannot_be_read_does_not_limit),
        tree_test(a_path_that_is_too_long_does_not_limit),
        pf_test(this_machine_has_a_quota_or_none),
        pf_test(allowed_cpus_follow_the_affinity),
        pf_test(the_topology_knows_the_allowed_cpus),
        pf_test(a_process_is_pinned_to_any_allowed_cpu),
        pf_test(pinning_where_there_is_no_cpu_is_refused_and_changes_nothing),
        pf_test(another_machines_topology_does_not_pin),
    };
    return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
