/* test_plan.c - the CPU plan over synthetic machines: exact tables. */
#include "tests/lib/test.h"

#include "master/plan.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Two NUMA nodes of four cores of two threads, numbered as Linux does: the second threads
 * follow after all the first ones. */
#define TWO_NODES "numa:2 core:4 pu:2(indexes=0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15)"

/* The same machine, numbered in turns over the nodes: node 0 has the even CPUs. */
#define TWO_NODES_IN_TURNS                                                                 \
    "numa:2 core:4 pu:2(indexes=0,8,2,10,4,12,6,14,1,9,3,11,5,13,7,15)"

/* Descriptions name their NUMA nodes: adding the missing ones, hwloc 2.9.0 copies over
 * overlapping memory, at which valgrind stops. */
static hwloc_topology_t machine(const char *description)
{
    hwloc_topology_t topology;
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, description), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    return topology;
}

static hwloc_bitmap_t cpus(const char *list)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    assert_non_null(set);
    assert_int_equal(hwloc_bitmap_list_sscanf(set, list), 0);
    return set;
}

struct row {
    const char *machine; /* NULL: no topology */
    const char *allowed;
    unsigned workers;
    bool wraps;
    int cpu[18]; /* `workers` of them */
};

static void assert_planned(const struct row *row)
{
    static struct pf_cpu_plan plan;
    hwloc_topology_t topology = row->machine ? machine(row->machine) : NULL;
    hwloc_bitmap_t allowed = cpus(row->allowed);
    memset(&plan, 0x55, sizeof plan);
    assert_int_equal(pf__plan_make(topology, allowed, row->workers, &plan), 0);
    assert_int_equal(plan.workers, row->workers);
    assert_int_equal(plan.wraps, row->wraps);
    assert_memory_equal(plan.cpu, row->cpu, row->workers * sizeof *row->cpu);
    for (unsigned slot = row->workers; slot < PF_WORKERS_MAX; slot++)
        assert_int_equal(plan.cpu[slot], -1);
    hwloc_bitmap_free(allowed);
    if (topology)
        hwloc_topology_destroy(topology);
}

static void cores_come_first_and_their_second_threads_after_all(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {TWO_NODES, "0-15", 3, false, {0, 1, 2}},
        {TWO_NODES, "0-15", 8, false, {0, 1, 2, 3, 4, 5, 6, 7}},
        {TWO_NODES,
         "0-15",
         16,
         false,
         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
        {"numa:2 core:2 pu:4",
         "0-15",
         16,
         false,
         {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_planned(&rows[i]);
}

static void a_node_is_filled_before_the_next_whatever_its_numbers(void **state)
{
    (void)state;
    static const struct row row = {
        TWO_NODES_IN_TURNS, "0-15", 10, false, {0, 2, 4, 6, 1, 3, 5, 7, 8, 10}};
    assert_planned(&row);
}

static void only_allowed_cpus_are_planned(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Core 1 may use only its second thread, 9: it counts as a first one. */
        {TWO_NODES, "0,8-9,3", 4, false, {0, 9, 3, 8}},
        /* One node alone. */
        {TWO_NODES, "4-7,12-15", 8, false, {4, 5, 6, 7, 12, 13, 14, 15}},
        {TWO_NODES, "11", 1, false, {11}},
        {TWO_NODES, "15,2,13", 3, false, {2, 13, 15}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_planned(&rows[i]);
}

static void more_workers_than_cpus_wrap_in_the_same_order(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"numa:1 pu:1", "0", 3, true, {0, 0, 0}},
        {"numa:1 pu:1", "0", 1, false, {0}},
        {TWO_NODES, "0,8,1", 7, true, {0, 1, 8, 0, 1, 8, 0}},
        {NULL, "3,5", 5, true, {3, 5, 3, 5, 3}},
        {TWO_NODES,
         "0-15",
         18,
         true,
         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_planned(&rows[i]);
}

static void a_machine_without_cores_is_planned_thread_by_thread(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"numa:1 pu:4", "0-3", 4, false, {0, 1, 2, 3}},
        {"numa:2 pu:2(indexes=0,2,1,3)", "0-3", 4, false, {0, 2, 1, 3}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_planned(&rows[i]);
}

static void what_the_topology_does_not_know_comes_last_in_ascending_order(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"numa:1 core:2 pu:2(indexes=8,9,10,11)",
         "2,1,8-11,64",
         7,
         false,
         {8, 10, 9, 11, 1, 2, 64}},
        {"numa:1 core:2 pu:2", "900,3,7", 4, true, {3, 7, 900, 3}},
        {"numa:1 core:2 pu:2", "6,5", 2, false, {5, 6}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_planned(&rows[i]);
}

static void without_a_topology_cpus_are_taken_in_ascending_order(void **state)
{
    (void)state;
    static const struct row row = {NULL, "7,0-1,40,1023", 5, false, {0, 1, 7, 40, 1023}};
    assert_planned(&row);
}

static void cores_of_unequal_size_are_planned(void **state)
{
    (void)state;
    static struct pf_cpu_plan plan;
    static const int expected[] = {0, 3, 4, 1, 5};
    hwloc_topology_t topology = machine("numa:1 core:4 pu:2");
    hwloc_bitmap_t left = cpus("0,1,3,4,5"), allowed = cpus("0-7");
    assert_int_equal(hwloc_topology_restrict(topology, left, 0), 0);
    hwloc_bitmap_clr_range(allowed, 6, 7);
    hwloc_bitmap_clr(allowed, 2);
    assert_int_equal(pf__plan_make(topology, allowed, 5, &plan), 0);
    assert_memory_equal(plan.cpu, expected, sizeof expected);
    assert_false(plan.wraps);
    hwloc_bitmap_free(allowed);
    hwloc_bitmap_free(left);
    hwloc_topology_destroy(topology);
}

static void a_big_machine_gives_each_of_its_threads_once(void **state)
{
    (void)state;
    static struct pf_cpu_plan plan;
    hwloc_topology_t topology = machine("numa:2 core:32 pu:2");
    hwloc_bitmap_t allowed = cpus("0-127");
    assert_int_equal(pf__plan_make(topology, allowed, 128, &plan), 0);
    for (int core = 0; core < 64; core++) {
        assert_int_equal(plan.cpu[core], 2 * core);
        assert_int_equal(plan.cpu[64 + core], 2 * core + 1);
    }
    assert_false(plan.wraps);

    assert_int_equal(pf__plan_make(topology, allowed, PF_WORKERS_MAX, &plan), 0);
    for (int slot = 128; slot < PF_WORKERS_MAX; slot++)
        assert_int_equal(plan.cpu[slot], plan.cpu[slot - 128]);
    assert_true(plan.wraps);
    hwloc_bitmap_free(allowed);
    hwloc_topology_destroy(topology);
}

static void an_endless_set_of_cpus_ends_with_the_workers(void **state)
{
    (void)state;
    static struct pf_cpu_plan plan;
    hwloc_bitmap_t allowed = cpus("2-");
    assert_int_equal(pf__plan_workers(allowed, PF_QUOTA_NONE), PF_WORKERS_MAX);
    assert_int_equal(pf__plan_make(NULL, allowed, PF_WORKERS_MAX, &plan), 0);
    assert_int_equal(plan.cpu[0], 2);
    assert_int_equal(plan.cpu[PF_WORKERS_MAX - 1], PF_WORKERS_MAX + 1);
    assert_false(plan.wraps);
    hwloc_bitmap_free(allowed);
}

static void an_impossible_plan_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static struct pf_cpu_plan plan, before;
    memset(&plan, 0x55, sizeof plan);
    memcpy(&before, &plan, sizeof plan);
    hwloc_bitmap_t allowed = cpus("0-3"), none = hwloc_bitmap_alloc();
    assert_int_equal(pf__plan_make(NULL, allowed, 0, &plan), -EINVAL);
    assert_int_equal(pf__plan_make(NULL, allowed, PF_WORKERS_MAX + 1, &plan), -EINVAL);
    assert_int_equal(pf__plan_make(NULL, none, 1, &plan), -EINVAL);
    assert_memory_equal(&plan, &before, sizeof plan);
    hwloc_bitmap_free(none);
    hwloc_bitmap_free(allowed);
}

static void auto_is_what_both_cpus_and_quota_allow(void **state)
{
    (void)state;
    static const struct {
        const char *allowed;
        unsigned quota_milli, workers;
    } rows[] = {
        {"0-7", PF_QUOTA_NONE, 8},
        {"0-7", 2000, 2},
        {"0-7", 2001, 3}, /* rounded up */
        {"0-7", 1500, 2},
        {"0-7", 1, 1}, /* never 0 */
        {"0-7", 8000, 8},
        {"0-7", 64000, 8}, /* more than there is */
        {"0-7", UINT_MAX, 8},
        {"3,5,900", PF_QUOTA_NONE, 3},
        {"", PF_QUOTA_NONE, 1},
        {"0-4095", PF_QUOTA_NONE, PF_WORKERS_MAX},
        {"0-4095", 2000000, PF_WORKERS_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hwloc_bitmap_t allowed = cpus(rows[i].allowed);
        assert_int_equal(pf__plan_workers(allowed, rows[i].quota_milli), rows[i].workers);
        hwloc_bitmap_free(allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(cores_come_first_and_their_second_threads_after_all),
        pf_test(a_node_is_filled_before_the_next_whatever_its_numbers),
        pf_test(only_allowed_cpus_are_planned),
        pf_test(more_workers_than_cpus_wrap_in_the_same_order),
        pf_test(a_machine_without_cores_is_planned_thread_by_thread),
        pf_test(what_the_topology_does_not_know_comes_last_in_ascending_order),
        pf_test(without_a_topology_cpus_are_taken_in_ascending_order),
        pf_test(cores_of_unequal_size_are_planned),
        pf_test(a_big_machine_gives_each_of_its_threads_once),
        pf_test(an_endless_set_of_cpus_ends_with_the_workers),
        pf_test(an_impossible_plan_is_refused_and_changes_nothing),
        pf_test(auto_is_what_both_cpus_and_quota_allow),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
