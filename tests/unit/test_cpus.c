/* test_cpus.c - quotas and counts in fake cgroup trees; affinity and topology of this
 * machine. */
#include "tests/lib/test.h"

#include "master/cpus.h"
#include "tests/lib/tree.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned quota(void)
{
    return pf__cpus_quota(pf_tree_proc, pf_tree_sys);
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
    pf_tree_put("proc/cgroup", "0::/app\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pf_tree_put("sys/app/cpu.max", rows[i].cpu_max);
        assert_int_equal(quota(), rows[i].milli);
    }
}

static void the_smallest_quota_on_the_way_up_counts(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "0::/slice/pod/container\n");
    pf_tree_put("sys/slice/pod/container/cpu.max", "400000 100000\n");
    pf_tree_put("sys/slice/pod/cpu.max", "max 100000\n");
    pf_tree_put("sys/slice/cpu.max", "50000 20000\n"); /* 2.5 CPUs, by another period */
    pf_tree_put("sys/slice/other/cpu.max", "1000 100000\n");
    assert_int_equal(quota(), 2500);
    pf_tree_put("sys/slice/pod/cpu.max", "300000 200000\n");
    assert_int_equal(quota(), 1500);
    pf_tree_put("sys/cpu.max", "100000 100000\n"); /* as a container sees its own */
    assert_int_equal(quota(), 1000);
    pf_tree_put("sys/slice/pod/container/cpu.max", "70000 100000\n");
    assert_int_equal(quota(), 700);
}

static void version_1_limits_by_the_cpu_controller(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "12:memory:/app\n"
                               "4:cpuset:/small\n"
                               "3:cpu,cpuacct:/app/one\n"
                               "1:name=systemd:/small\n");
    pf_tree_put("sys/cpu/app/one/cpu.cfs_quota_us", "-1\n");
    pf_tree_put("sys/cpu/app/one/cpu.cfs_period_us", "100000\n");
    pf_tree_put("sys/cpuset/small/cpu.cfs_quota_us", "1000\n");
    pf_tree_put("sys/cpuset/small/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
    pf_tree_put("sys/cpu/app/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(quota(), 0); /* without a period it cannot be read */
    pf_tree_put("sys/cpu/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 2500);
    pf_tree_put("sys/cpu/app/one/cpu.cfs_quota_us", "120000\n");
    assert_int_equal(quota(), 1200);
}

static void version_1_is_found_where_no_link_names_it_cpu(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "3:cpuacct,cpu:/app\n");
    pf_tree_put("sys/cpuacct,cpu/app/cpu.cfs_quota_us", "50000\n");
    pf_tree_put("sys/cpuacct,cpu/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 500);
}

static void a_controller_that_only_begins_with_cpu_does_not_count(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "3:cpuacct:/app\n2:cpuset:/app\n");
    pf_tree_put("sys/cpu/app/cpu.cfs_quota_us", "50000\n");
    pf_tree_put("sys/cpu/app/cpu.cfs_period_us", "100000\n");
    pf_tree_put("sys/cpuacct/app/cpu.cfs_quota_us", "50000\n");
    pf_tree_put("sys/cpuacct/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
}

static void a_container_that_sees_its_own_cgroup_as_the_root_is_limited(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup",
                "5:cpu:/docker/0123456789abcdef\n0::/docker/0123456789abcdef\n");
    pf_tree_put("sys/cpu/cpu.cfs_quota_us", "150000\n");
    pf_tree_put("sys/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 1500);
}

static void on_a_hybrid_system_both_versions_limit(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "3:cpu,cpuacct:/one\n0::/two\n");
    pf_tree_put("sys/cpu/one/cpu.cfs_quota_us", "300000\n");
    pf_tree_put("sys/cpu/one/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 3000);
    pf_tree_put("sys/unified/two/cpu.max", "200000 100000\n");
    assert_int_equal(quota(), 2000);
    pf_tree_put("sys/cpu/one/cpu.cfs_quota_us", "100000\n");
    assert_int_equal(quota(), 1000);
}

static void a_cgroup_outside_the_namespace_is_not_looked_for_inside(void **state)
{
    (void)state;
    pf_tree_put("sys/cpu.max", "100000 100000\n");
    pf_tree_put("sys/x/cpu.max", "100000 100000\n");
    pf_tree_put("x/cpu.max", "100000 100000\n"); /* where sys/../x leads */
    pf_tree_put("cpu.max", "100000 100000\n");
    pf_tree_put("proc/cgroup", "0::/../x\n");
    assert_int_equal(quota(), 0);
    pf_tree_put("proc/cgroup", "0::/..\n");
    assert_int_equal(quota(), 0);
    pf_tree_put("proc/cgroup", "0::/../../x/y\n");
    assert_int_equal(quota(), 0);
    pf_tree_put("sys/..x/cpu.max", "50000 100000\n"); /* an odd name, but inside */
    pf_tree_put("proc/cgroup", "0::/..x\n");
    assert_int_equal(quota(), 500);
}

static void the_root_cgroup_and_nothing_above_it_is_read(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "0::/\n");
    pf_tree_put("cpu.max", "10000 100000\n"); /* above the tree */
    pf_tree_put("sys/memory.max", "max\n");
    assert_int_equal(quota(), 0);
    pf_tree_put("sys/cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 1000);
}

static void what_cannot_be_read_does_not_limit(void **state)
{
    (void)state;
    assert_int_equal(quota(), 0); /* no tree at all */
    pf_tree_put("proc/cgroup", "");
    assert_int_equal(quota(), 0);
    pf_tree_put("proc/cgroup",
                "garbage\n::\n:\n\n0:\n0::\n0::relative\n3:cpu:/a (deleted)\n");
    assert_int_equal(quota(), 0);
    pf_tree_put("proc/cgroup", "0::/a\n");
    pf_tree_put("sys/a/cpu.max/file", ""); /* a directory by that name */
    assert_int_equal(quota(), 0);
    assert_int_equal(pf__cpus_quota("/nonexistent", "/nonexistent"), 0);
}

static void a_path_that_is_too_long_does_not_limit(void **state)
{
    (void)state;
    static char line[3 * PATH_MAX] = "0::/";
    memset(line + 4, 'x', sizeof line - 5);
    pf_tree_put("proc/cgroup", line);
    pf_tree_put("sys/cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 0);
    assert_int_equal(pf__cpus_quota(line, pf_tree_sys), 0);
}

static void a_directory_is_asked_once_whatever_its_names(void **state)
{
    (void)state;
    pf_tree_put("sys/cpu,cpuacct/app/cpu.stat", "nr_periods 9\nnr_throttled 4\n");
    pf_tree_link("sys/cpu", "cpu,cpuacct");
    pf_tree_put("proc/cgroup", "3:cpu,cpuacct:/app\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 4);
    pf_tree_put("sys/cpu.stat", "usage_usec 1\nnr_throttled 8\n");
    pf_tree_put("proc/cgroup", "0::/\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 8);
}

/* ---- throttled periods, kills for want of memory --------------------------------- */

static void throttled_periods_add_up_along_the_way_up(void **state)
{
    (void)state;
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), -1);
    pf_tree_put("proc/cgroup", "0::/pod/app\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), -1);
    pf_tree_put("sys/cpu.stat", "usage_usec 5\nuser_usec 3\n"); /* a root has no quota */
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), -1);
    pf_tree_put("sys/pod/app/cpu.stat",
                "usage_usec 5\nnr_periods 7\nnr_throttled 0\nthrottled_usec 3\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 0);
    pf_tree_put("sys/pod/cpu.stat", "nr_throttled_more 9\nnr_throttled 12\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 12);
    pf_tree_put("sys/pod/app/cpu.stat", "nr_throttled 5000000000\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 5000000012);
    pf_tree_put("sys/pod/other/cpu.stat", "nr_throttled 1000\n"); /* not above us */
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 5000000012);
}

static void throttled_periods_of_version_1_are_the_cpu_controllers(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "4:cpuset:/set\n3:cpu,cpuacct:/app\n0::/app\n");
    pf_tree_put("sys/cpuset/set/cpu.stat", "nr_throttled 100\n");
    pf_tree_put("sys/cpu/app/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 1\n");
    pf_tree_put("sys/unified/app/cpu.stat", "usage_usec 1\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 4);
    pf_tree_put("sys/cpu/cpu.stat", "nr_periods 0\nnr_throttled 1\nthrottled_time 0\n");
    assert_int_equal(pf__cpus_throttled(pf_tree_proc, pf_tree_sys), 5);
}

static void kills_for_want_of_memory_are_those_of_the_own_cgroup(void **state)
{
    (void)state;
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), -1);
    pf_tree_put("proc/cgroup", "0::/pod/app\n");
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), -1);
    /* Where a container sees its own cgroup as the root, or the controller ends above. */
    pf_tree_put("sys/pod/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 9\n");
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), 2);
    pf_tree_put("sys/pod/app/memory.events", "low 0\noom 1\noom_kill 0\n");
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), 0);
}

static void kills_of_version_1_are_the_memory_controllers(void **state)
{
    (void)state;
    pf_tree_put("proc/cgroup", "3:cpu:/app\n2:memory:/app\n0::/app\n");
    pf_tree_put("sys/cpu/app/memory.oom_control", "oom_kill 9\n");
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), -1);
    pf_tree_put("sys/memory/app/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n");
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), 6);
    pf_tree_put("sys/memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n");
    assert_int_equal(pf__cpus_oom_kills(pf_tree_proc, pf_tree_sys), -1); /* before 4.13 */
}

static void drift_is_another_quota_or_another_affinity(void **state)
{
    (void)state;
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    pf_tree_put("proc/cgroup", "0::/app\n");
    assert_false(pf__cpus_changed(allowed, PF_QUOTA_NONE, pf_tree_proc, pf_tree_sys));
    assert_true(pf__cpus_changed(allowed, 1000, pf_tree_proc, pf_tree_sys));
    pf_tree_put("sys/app/cpu.max", "150000 100000\n");
    assert_true(pf__cpus_changed(allowed, PF_QUOTA_NONE, pf_tree_proc, pf_tree_sys));
    assert_false(pf__cpus_changed(allowed, 1500, pf_tree_proc, pf_tree_sys));
    hwloc_bitmap_set(allowed, 5000);
    assert_true(pf__cpus_changed(allowed, 1500, pf_tree_proc, pf_tree_sys));
    hwloc_bitmap_free(allowed);
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

static struct pf_cpu_seat seat_on(int cpu)
{
    return (struct pf_cpu_seat){.cpu = cpu, .core = -1, .cache = -1, .node = -1};
}

static void *report_affinity(void *arg)
{
    pthread_barrier_t *barrier = arg;
    pthread_barrier_wait(barrier); /* this thread lives: pin */
    pthread_barrier_wait(barrier); /* pinned */
    return (void *)(intptr_t)count_allowed();
}

static void assert_pinned(hwloc_topology_t topology, const struct pf_cpu_seat *seat)
{
    struct pf_pin_result result;
    hwloc_bitmap_t now;
    char text[64];
    assert_int_equal(pf__cpus_pin(topology, seat, &result), 0);
    assert_int_equal(pf__cpus_allowed(&now), 0);
    assert_true(hwloc_bitmap_isset(now, (unsigned)seat->cpu));
    assert_int_equal(hwloc_bitmap_weight(now), 1);
    (void)snprintf(text, sizeof text, "%d", seat->cpu);
    assert_string_equal(result.requested, text);
    assert_string_equal(result.effective, text);
    assert_true(result.exact);
    hwloc_bitmap_free(now);
}

static void pin_everywhere(void *arg)
{
    (void)arg;
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    assert_int_equal(pf__cpus_topology(&topology), 0);

    /* Pinning is for the calling thread alone. */
    pthread_t thread;
    pthread_barrier_t barrier;
    void *weight;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, report_affinity, &barrier), 0);
    pthread_barrier_wait(&barrier);
    int cpu;
    hwloc_bitmap_foreach_begin(cpu, allowed)
    {
        struct pf_cpu_seat seat = seat_on(cpu);
        assert_pinned(topology, &seat);
    }
    hwloc_bitmap_foreach_end();
    pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(thread, &weight), 0);
    assert_int_equal((intptr_t)weight, hwloc_bitmap_weight(allowed));
    pthread_barrier_destroy(&barrier);

    hwloc_topology_destroy(topology);
    hwloc_bitmap_free(allowed);
}

static void a_thread_is_pinned_to_any_allowed_cpu_and_leaves_others_alone(void **state)
{
    (void)state;
    pf_test_in_child(pin_everywhere, NULL);
}

/* A plan of the real machine, each of its seats taken: what a server's lanes do. */
static void pin_by_plan(void *arg)
{
    struct pf_plan_request request = {.pin = *(enum pf_pin *)arg, .threads = 2};
    static struct pf_cpu_plan plan;
    hwloc_bitmap_t allowed, now;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    assert_int_equal(pf__cpus_topology(&request.topology), 0);
    request.allowed = allowed;
    request.quota_milli = hwloc_bitmap_weight(allowed) > 1 ? 1000 : 500; /* short */
    assert_int_equal(pf__plan_make(&request, NULL, 0, &plan), 0);
    for (unsigned lane = 0; lane < plan.lanes; lane++) {
        const struct pf_cpu_seat *seat = &plan.seat[lane];
        struct pf_pin_result result;
        assert_int_equal(pf__cpus_pin(request.topology, seat, &result), 0);
        assert_true(result.exact);
        assert_int_equal(pf__cpus_allowed(&now), 0);
        if (seat->group)
            assert_true(hwloc_bitmap_isequal(now, seat->group));
        else
            assert_int_equal(hwloc_bitmap_weight(now), 1);
        assert_true(hwloc_bitmap_isset(now, (unsigned)seat->cpu));
        assert_true(hwloc_bitmap_isincluded(now, allowed));
        hwloc_bitmap_free(now);
    }
    pf__plan_fini(&plan);
    hwloc_topology_destroy(request.topology);
    hwloc_bitmap_free(allowed);
}

static void a_plan_of_this_machine_can_be_followed(void **state)
{
    (void)state;
    enum pf_pin pins[] = {PF_PIN_AUTO, PF_PIN_STRICT};
    pf_test_in_child(pin_by_plan, &pins[0]);
    pf_test_in_child(pin_by_plan, &pins[1]);
}

static void plan_when_narrow(void *arg)
{
    narrow_to_one(arg);
    pin_by_plan(&(enum pf_pin){PF_PIN_AUTO});
    pin_by_plan(&(enum pf_pin){PF_PIN_STRICT});
    assert_int_equal(count_allowed(), 1);
}

static void under_a_narrowed_affinity_a_plan_stays_inside(void **state)
{
    (void)state;
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    int last = hwloc_bitmap_last(allowed);
    hwloc_bitmap_free(allowed);
    pf_test_in_child(plan_when_narrow, &last);
}

static void prefer_the_node(void *arg)
{
    (void)arg;
    hwloc_topology_t topology;
    assert_int_equal(pf__cpus_topology(&topology), 0);
    hwloc_obj_t node = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, 0);
    struct pf_cpu_seat seat = seat_on(hwloc_bitmap_first(node->cpuset));
    struct pf_pin_result result;
    seat.node = (int)node->os_index;
    assert_int_equal(pf__cpus_pin(topology, &seat, &result), 0);
    if (result.memory == 0) { /* else a sandbox forbids it, or the kernel cannot */
        hwloc_bitmap_t set = hwloc_bitmap_alloc();
        hwloc_membind_policy_t policy;
        assert_int_equal(hwloc_get_membind(topology, set, &policy,
                                           HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET),
                         0);
        assert_int_equal(policy, HWLOC_MEMBIND_BIND);
        assert_int_equal(hwloc_bitmap_first(set), seat.node);
        hwloc_bitmap_free(set);
    } else {
        assert_true(result.memory == -EPERM || result.memory == -ENOSYS);
    }
    seat.node = -1;
    assert_int_equal(pf__cpus_pin(topology, &seat, &result), 0);
    assert_int_equal(result.memory, -ENODEV);
    seat.node = 900;
    assert_int_equal(pf__cpus_pin(topology, &seat, &result), 0); /* pinned all the same */
    assert_int_not_equal(result.memory, 0);
    assert_true(result.exact);
    hwloc_topology_destroy(topology);
}

static void memory_is_bound_to_the_node_and_its_failure_is_told(void **state)
{
    (void)state;
    pf_test_in_child(prefer_the_node, NULL);
}

static void a_seat_without_a_cpu_pins_nothing(void **state)
{
    (void)state;
    int before = count_allowed();
    struct pf_cpu_seat seat = seat_on(-1);
    struct pf_pin_result result;
    assert_int_equal(pf__cpus_pin(NULL, &seat, &result), 0);
    assert_int_equal(pf__cpus_pin(NULL, &seat, NULL), 0);
    assert_string_equal(result.requested, "");
    assert_true(result.exact);
    assert_int_equal(result.memory, 0);
    assert_int_equal(count_allowed(), before);
}

static void pinning_where_there_is_no_cpu_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const int nowhere[] = {INT_MAX, 1 << 19};
    hwloc_topology_t topology;
    int before = count_allowed();
    assert_int_equal(pf__cpus_topology(&topology), 0);
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        struct pf_cpu_seat seat = seat_on(nowhere[i]);
        assert_int_equal(pf__cpus_pin(topology, &seat, NULL), -EINVAL);
    }
    struct pf_cpu_seat seat = seat_on(0);
    assert_int_equal(pf__cpus_pin(NULL, &seat, NULL), -ENOTSUP);
    hwloc_bitmap_t far = hwloc_bitmap_alloc();
    hwloc_bitmap_only(far, 5000);
    seat.group = far; /* a group that has gone as a whole */
    assert_int_equal(pf__cpus_pin(topology, &seat, NULL), -EINVAL);
    assert_int_equal(count_allowed(), before);
    hwloc_bitmap_free(far);
    hwloc_topology_destroy(topology);
}

static void pin_to_a_group(void *arg)
{
    hwloc_topology_t topology;
    hwloc_bitmap_t group;
    assert_int_equal(pf__cpus_allowed(&group), 0);
    assert_int_equal(pf__cpus_topology(&topology), 0);
    struct pf_cpu_seat seat = seat_on(*(int *)arg);
    struct pf_pin_result result;
    seat.group = group;
    assert_int_equal(pf__cpus_pin(topology, &seat, &result), 0);
    assert_true(result.exact);
    assert_string_equal(result.requested, result.effective);
    narrow_to_one(arg); /* a mask of our own making does not hold us */
    assert_int_equal(pf__cpus_pin(topology, &seat, &result), 0);
    assert_true(result.exact);
    assert_int_equal(count_allowed(), hwloc_bitmap_weight(group));
    hwloc_bitmap_free(group);
    hwloc_topology_destroy(topology);
}

static void a_thread_is_pinned_to_a_group(void **state)
{
    (void)state;
    hwloc_bitmap_t allowed;
    assert_int_equal(pf__cpus_allowed(&allowed), 0);
    int last = hwloc_bitmap_last(allowed);
    hwloc_bitmap_free(allowed);
    pf_test_in_child(pin_to_a_group, &last);
}

static void another_machines_topology_does_not_pin(void **state)
{
    (void)state;
    hwloc_topology_t topology;
    struct pf_cpu_seat seat = seat_on(0);
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, "numa:1 core:2 pu:2"), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    assert_int_equal(pf__cpus_pin(topology, &seat, NULL), -ENOTSUP);
    hwloc_topology_destroy(topology);
}

static void this_machine_counts_or_does_not(void **state)
{
    (void)state;
    int64_t throttled = pf__cpus_throttled("/proc/self", "/sys/fs/cgroup");
    int64_t kills = pf__cpus_oom_kills("/proc/self", "/sys/fs/cgroup");
    assert_true(throttled >= -1 && kills >= -1);
    assert_true(pf__cpus_throttled("/proc/self", "/sys/fs/cgroup") >= throttled);
    assert_true(pf__cpus_oom_kills("/proc/self", "/sys/fs/cgroup") >= kills);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_tree_test(version_2_limits_by_cpu_max),
        pf_tree_test(the_smallest_quota_on_the_way_up_counts),
        pf_tree_test(version_1_limits_by_the_cpu_controller),
        pf_tree_test(version_1_is_found_where_no_link_names_it_cpu),
        pf_tree_test(a_controller_that_only_begins_with_cpu_does_not_count),
        pf_tree_test(a_container_that_sees_its_own_cgroup_as_the_root_is_limited),
        pf_tree_test(on_a_hybrid_system_both_versions_limit),
        pf_tree_test(a_cgroup_outside_the_namespace_is_not_looked_for_inside),
        pf_tree_test(the_root_cgroup_and_nothing_above_it_is_read),
        pf_tree_test(what_cannot_be_read_does_not_limit),
        pf_tree_test(a_path_that_is_too_long_does_not_limit),
        pf_tree_test(a_directory_is_asked_once_whatever_its_names),
        pf_tree_test(throttled_periods_add_up_along_the_way_up),
        pf_tree_test(throttled_periods_of_version_1_are_the_cpu_controllers),
        pf_tree_test(kills_for_want_of_memory_are_those_of_the_own_cgroup),
        pf_tree_test(kills_of_version_1_are_the_memory_controllers),
        pf_tree_test(drift_is_another_quota_or_another_affinity),
        pf_test(this_machine_has_a_quota_or_none),
        pf_test(this_machine_counts_or_does_not),
        pf_test(allowed_cpus_follow_the_affinity),
        pf_test(the_topology_knows_the_allowed_cpus),
        pf_test(a_thread_is_pinned_to_any_allowed_cpu_and_leaves_others_alone),
        pf_test(a_thread_is_pinned_to_a_group),
        pf_test(a_plan_of_this_machine_can_be_followed),
        pf_test(under_a_narrowed_affinity_a_plan_stays_inside),
        pf_test(memory_is_bound_to_the_node_and_its_failure_is_told),
        pf_test(a_seat_without_a_cpu_pins_nothing),
        pf_test(pinning_where_there_is_no_cpu_is_refused_and_changes_nothing),
        pf_test(another_machines_topology_does_not_pin),
    };
    return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
