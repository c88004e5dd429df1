/* test_plan.c - the CPU plan over synthetic machines: exact tables. */
#include "tests/lib/alloc.h"
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

/* Machines from files; see the README beside them. XML is TWO_NODES with two caches to each
 * node. Tests run in the folder above tests/. */
#define XML    "tests/data/topology/two-nodes.xml"
#define HOLES  "tests/data/topology/holes.xml"
#define HYBRID "tests/data/topology/hybrid.xml"

/* Descriptions name their NUMA nodes: adding the missing ones, hwloc 2.9.0 copies over
 * overlapping memory, at which valgrind stops. */
static hwloc_topology_t machine(const char *description)
{
    hwloc_topology_t topology;
    assert_int_equal(hwloc_topology_init(&topology), 0);
    int err = strstr(description, ".xml")
                  ? hwloc_topology_set_xml(topology, description)
                  : hwloc_topology_set_synthetic(topology, description);
    assert_int_equal(err, 0);
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

/* The plan for a request, over `description` (NULL: no topology) and the allowed CPUs. */
static struct pf_cpu_plan plan;

static int make(const char *description, const char *list, struct pf_plan_request request)
{
    hwloc_topology_t topology = description ? machine(description) : NULL;
    hwloc_bitmap_t allowed = cpus(list);
    char why[128] = "";
    request.topology = topology;
    request.allowed = allowed;
    memset(&plan, 0x55, sizeof plan);
    int err = pf__plan_make(&request, why, sizeof why, &plan);
    assert_int_equal(why[0] != '\0', err == -EINVAL);
    hwloc_bitmap_free(allowed);
    if (topology)
        hwloc_topology_destroy(topology);
    return err;
}

static void assert_cpus(const int *expected, unsigned lanes)
{
    assert_int_equal(plan.lanes, lanes);
    for (unsigned lane = 0; lane < lanes; lane++)
        assert_int_equal(plan.seat[lane].cpu, expected[lane]);
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
    assert_int_equal(
        make(row->machine, row->allowed, (struct pf_plan_request){.workers = row->workers}),
        0);
    assert_int_equal(plan.workers, row->workers);
    assert_int_equal(plan.threads, 1);
    assert_int_equal(plan.wraps, row->wraps);
    assert_false(plan.grouped);
    assert_cpus(row->cpu, row->workers);
    pf__plan_fini(&plan);
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

static void offline_cpus_and_what_they_leave_of_cores_are_planned_around(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {HOLES, "0-15", 9, false, {1, 2, 3, 6, 15, 9, 10, 11, 14}},
        {HOLES, "2,10,15", 3, false, {2, 15, 10}},
    };
    /* The topology does not know the offline ones: allowed all the same, they come last. */
    static const int all[] = {1, 2, 3, 6, 15, 9, 10, 11, 14, 0, 4, 5, 7, 8, 12, 13};
    assert_int_equal(make(HOLES, "0-15", (struct pf_plan_request){.workers = 0}), 0);
    assert_cpus(all, 16);
    pf__plan_fini(&plan);
    assert_planned(&rows[1]);
    assert_planned(&rows[0]);
}

static void fast_cores_come_before_slow_ones_and_these_before_second_threads(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {HYBRID, "0,2,4,6,8-11", 8, false, {8, 10, 0, 2, 4, 6, 9, 11}},
        {HYBRID, "0,2,9", 3, false, {9, 0, 2}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_planned(&rows[i]);
}

static void cpus_near_the_nic_come_first(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *near;
        unsigned workers;
        int cpu[16];
    } rows[] = {
        {TWO_NODES, "4-7,12-15", 5, {4, 5, 6, 7, 0}},
        {TWO_NODES,
         "4-7,12-15",
         16,
         {4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11}},
        /* An interrupt goes to a core's second thread: the core is near. */
        {TWO_NODES, "10", 3, {2, 0, 1}},
        {TWO_NODES, "900", 3, {0, 1, 2}},
        {HYBRID, "2", 4, {8, 10, 2, 0}}, /* a faster core weighs more */
        {NULL, "3", 2, {0, 1}},          /* where is it? */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hwloc_bitmap_t near = cpus(rows[i].near);
        struct pf_plan_request request = {.workers = rows[i].workers, .near = near};
        assert_int_equal(make(rows[i].machine, "0-15", request), 0);
        assert_cpus(rows[i].cpu, rows[i].workers);
        hwloc_bitmap_free(near);
        pf__plan_fini(&plan);
    }
}

static void lanes_of_a_worker_share_a_cache_or_a_node(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *allowed;
        unsigned workers, threads;
        bool wraps;
        int cpu[18];
    } rows[] = {
        {XML, "0-15", 2, 2, false, {0, 1, 2, 3}},
        {XML, "0-15", 3, 4, false, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
        /* One core of cache 0 is missing: the pair that shares a cache goes first. */
        {XML, "1-7,9-15", 2, 2, false, {2, 3, 4, 5}},
        {XML, "1-7,9-15", 3, 2, false, {2, 3, 4, 5, 6, 7}},
        /* Then those of one node and cache, by sharing cores, rather than of two nodes. */
        {XML, "1-3,4-6,9-11,12-14", 3, 2, false, {2, 3, 4, 5, 1, 9}},
        /* Three of a node, and no three of a cache. */
        {XML, "0-15", 2, 3, false, {0, 1, 2, 4, 5, 6}},
        /* More than a node has: there is no choice. */
        {XML, "0-3,8-15", 1, 12, false, {0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11}},
        {XML, "0,4", 1, 2, false, {0, 4}},
        {XML, "0,4", 3, 2, true, {0, 4, 0, 4, 0, 4}},
        {XML, "0-2", 2, 2, true, {0, 1, 2, 0}},
        {"numa:1 pu:1", "0", 2, 3, true, {0, 0, 0, 0, 0, 0}},
        {NULL, "3,5,7", 2, 2, true, {3, 5, 7, 3}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf_plan_request request = {.workers = rows[i].workers,
                                          .threads = rows[i].threads};
        assert_int_equal(make(rows[i].machine, rows[i].allowed, request), 0);
        assert_int_equal(plan.workers, rows[i].workers);
        assert_int_equal(plan.threads, rows[i].threads);
        assert_int_equal(plan.wraps, rows[i].wraps);
        assert_cpus(rows[i].cpu, rows[i].workers * rows[i].threads);
        pf__plan_fini(&plan);
    }
}

static void seats_tell_core_cache_and_node(void **state)
{
    (void)state;
    static const struct pf_cpu_seat expected[] = {
        {0, 0, 0, 0, NULL}, {1, 1, 0, 0, NULL}, {2, 2, 1, 0, NULL},
        {7, 7, 3, 1, NULL}, {8, 0, 0, 0, NULL}, {70, -1, -1, -1, NULL}, /* not known */
    };
    assert_int_equal(make(XML, "0-2,7-8,70", (struct pf_plan_request){.workers = 6}), 0);
    for (int lane = 0; lane < 6; lane++) {
        assert_int_equal(plan.seat[lane].cpu, expected[lane].cpu);
        assert_int_equal(plan.seat[lane].core, expected[lane].core);
        assert_int_equal(plan.seat[lane].cache, expected[lane].cache);
        assert_int_equal(plan.seat[lane].node, expected[lane].node);
        assert_null(plan.seat[lane].group);
    }
    assert_int_equal(plan.cpus, 6);
    assert_int_equal(plan.cores, 4);
    assert_int_equal(plan.caches, 3);
    assert_int_equal(plan.nodes, 2);
    pf__plan_fini(&plan);
}

static void distance_grows_from_cpu_to_core_cache_node_and_beyond(void **state)
{
    (void)state;
    /* Lane 0 runs on CPU 0; the others: */
    static const unsigned short list[] = {0, 0, 8, 1, 9, 2, 11, 4, 15, 70, 70};
    static const int distance[] = {0, 0, 1, 2, 2, 3, 3, 4, 4, 4, 4};
    struct pf_plan_request request = {
        .workers = 11, .pin = PF_PIN_LIST, .list = list, .list_len = 11};
    assert_int_equal(make(XML, "0-15,70", request), 0);
    for (unsigned lane = 0; lane < 11; lane++) {
        assert_int_equal(pf__plan_near(&plan, 0, lane), distance[lane]);
        assert_int_equal(pf__plan_near(&plan, lane, 0), distance[lane]);
        assert_int_equal(pf__plan_near(&plan, lane, lane), 0);
    }
    assert_int_equal(pf__plan_near(&plan, 9, 10), 0); /* the same, though not known */
    assert_int_equal(pf__plan_near(&plan, 0, 11), 4);
    assert_int_equal(pf__plan_near(&plan, UINT_MAX, 0), 4);
    pf__plan_fini(&plan);

    /* In groups the CPU and the core only stand for the lane; without pins nothing does. */
    request = (struct pf_plan_request){.workers = 16, .quota_milli = 8000};
    assert_int_equal(make(XML, "0-15", request), 0);
    assert_int_equal(pf__plan_near(&plan, 0, 8), 2); /* CPUs 0 and 8 */
    assert_int_equal(pf__plan_near(&plan, 0, 2), 3);
    assert_int_equal(pf__plan_near(&plan, 0, 4), 4);
    pf__plan_fini(&plan);
    request = (struct pf_plan_request){.workers = 2, .pin = PF_PIN_NONE};
    assert_int_equal(make(XML, "0-15", request), 0);
    assert_int_equal(pf__plan_near(&plan, 0, 1), 4);
    assert_int_equal(pf__plan_near(&plan, 1, 1), 0);
    pf__plan_fini(&plan);
}

static void a_short_quota_pins_to_groups_unless_told_otherwise(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *allowed;
        unsigned quota_milli, workers;
        enum pf_pin pin;
        const char *group[5]; /* NULL: pinned to a CPU alone */
    } rows[] = {
        {XML, "0-15", 2500, 3, PF_PIN_AUTO, {"0-1,8-9", "0-1,8-9", "2-3,10-11"}},
        {XML, "0-15", 15999, 1, PF_PIN_AUTO, {"0-1,8-9"}},
        {XML, "0-15", 16000, 2, PF_PIN_AUTO, {NULL, NULL}}, /* pays for all of them */
        {XML, "0-15", PF_QUOTA_NONE, 2, PF_PIN_AUTO, {NULL, NULL}},
        {XML, "0-15", 2500, 2, PF_PIN_STRICT, {NULL, NULL}},
        /* Only allowed ones; where the cache leaves the core alone, the node; the machine
         */
        {XML, "0-2,8-11", 2000, 3, PF_PIN_AUTO, {"0-1,8-9", "0-1,8-9", "2,10-11"}},
        {XML, "0,2,8", 2000, 2, PF_PIN_AUTO, {"0,2,8", "0,2,8"}},
        {XML, "0,4", 1000, 2, PF_PIN_AUTO, {"0,4", "0,4"}},
        {XML, "0,8", 1000, 1, PF_PIN_AUTO, {"0,8"}},
        /* No cache at all, or each core its own: the node. */
        {TWO_NODES,
         "0-15",
         2000,
         5,
         PF_PIN_AUTO,
         {"0-3,8-11", "0-3,8-11", "0-3,8-11", "0-3,8-11", "4-7,12-15"}},
        {"numa:2 core:2 l2:1 pu:2", "0-7", 2000, 3, PF_PIN_AUTO, {"0-3", "0-3", "4-7"}},
        {NULL, "3,5,7", 2000, 2, PF_PIN_AUTO, {"3,5,7", "3,5,7"}},
        {"numa:1 core:1 pu:2", "1,7", 1000, 2, PF_PIN_AUTO, {"1", "1,7"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf_plan_request request = {.workers = rows[i].workers,
                                          .pin = rows[i].pin,
                                          .quota_milli = rows[i].quota_milli};
        assert_int_equal(make(rows[i].machine, rows[i].allowed, request), 0);
        assert_int_equal(plan.grouped, rows[i].group[0] != NULL);
        for (unsigned lane = 0; lane < rows[i].workers; lane++) {
            const struct pf_cpu_seat *seat = &plan.seat[lane];
            char text[64] = "";
            if (seat->group)
                hwloc_bitmap_list_snprintf(text, sizeof text, seat->group);
            assert_string_equal(text, rows[i].group[lane] ? rows[i].group[lane] : "");
            assert_true(!seat->group ||
                        hwloc_bitmap_isset(seat->group, (unsigned)seat->cpu));
        }
        pf__plan_fini(&plan);
    }
}

static void without_pins_all_seats_are_free(void **state)
{
    (void)state;
    struct pf_plan_request request = {.workers = 20, .pin = PF_PIN_NONE};
    assert_int_equal(make(XML, "0-15", request), 0);
    for (unsigned lane = 0; lane < 20; lane++) {
        assert_int_equal(plan.seat[lane].cpu, -1);
        assert_int_equal(plan.seat[lane].core, -1);
        assert_int_equal(plan.seat[lane].cache, -1);
        assert_int_equal(plan.seat[lane].node, -1);
        assert_null(plan.seat[lane].group);
    }
    assert_false(plan.wraps);
    assert_int_equal(plan.cores, 8);
    pf__plan_fini(&plan);
}

static void a_list_pins_lane_by_lane_and_starts_again(void **state)
{
    (void)state;
    static const unsigned short list[] = {4, 2, 0, 9};
    static const int twice[] = {4, 2, 0, 9, 4, 2};
    struct pf_plan_request request = {.workers = 3,
                                      .threads = 2,
                                      .pin = PF_PIN_LIST,
                                      .list = list,
                                      .list_len = 4,
                                      .quota_milli = 1000};
    assert_int_equal(make(XML, "0-15", request), 0);
    assert_cpus(twice, 6);
    assert_true(plan.wraps);
    assert_false(plan.grouped); /* asked for by name, whatever the quota */
    assert_int_equal(plan.seat[0].node, 1);
    assert_int_equal(plan.seat[3].core, 1);
    pf__plan_fini(&plan);

    request.workers = 2;
    assert_int_equal(make(NULL, "0-15", request), 0);
    assert_cpus(twice, 4);
    assert_false(plan.wraps);
    pf__plan_fini(&plan);
}

static void a_big_machine_gives_each_of_its_threads_once(void **state)
{
    (void)state;
    const char *big = "numa:2 core:32 pu:2";
    assert_int_equal(make(big, "0-127", (struct pf_plan_request){.workers = 0}), 0);
    assert_int_equal(plan.workers, 128);
    for (int core = 0; core < 64; core++) {
        assert_int_equal(plan.seat[core].cpu, 2 * core);
        assert_int_equal(plan.seat[64 + core].cpu, 2 * core + 1);
    }
    assert_false(plan.wraps);
    pf__plan_fini(&plan);

    assert_int_equal(make(big, "0-127", (struct pf_plan_request){.workers = PF_LANES_MAX}),
                     0);
    for (int lane = 128; lane < PF_LANES_MAX; lane++)
        assert_int_equal(plan.seat[lane].cpu, plan.seat[lane - 128].cpu);
    assert_true(plan.wraps);
    pf__plan_fini(&plan);

    struct pf_plan_request threads = {.workers = 4, .threads = 32};
    assert_int_equal(make(big, "0-127", threads), 0);
    for (unsigned lane = 0; lane < 128; lane++) /* nodes 0, 1, 0, 1 */
        assert_int_equal(plan.seat[lane].node, lane / 32 % 2);
    pf__plan_fini(&plan);
}

static void an_endless_set_of_cpus_ends_with_the_lanes(void **state)
{
    (void)state;
    assert_int_equal(make(NULL, "2-", (struct pf_plan_request){.workers = 0}), 0);
    assert_int_equal(plan.workers, PF_WORKERS_MAX);
    assert_int_equal(plan.seat[0].cpu, 2);
    assert_int_equal(plan.seat[PF_WORKERS_MAX - 1].cpu, PF_WORKERS_MAX + 1);
    assert_false(plan.wraps);
    pf__plan_fini(&plan);
}

static void an_impossible_plan_is_refused_with_a_reason_and_changes_nothing(void **state)
{
    (void)state;
    static const unsigned short list[] = {2, 9};
    static const struct {
        const char *allowed;
        struct pf_plan_request request;
        const char *why;
    } rows[] = {
        {"", {.workers = 1}, "no CPU"},
        {"0-3", {.workers = 1025}, "1025 workers"},
        {"0-3", {.workers = 257, .threads = 4}, "at most 256"},
        {"0-3", {.workers = UINT_MAX, .threads = 256}, "at most 4"},
        {"0-3", {.threads = 257}, "257 threads"},
        {"0-3", {.threads = UINT_MAX}, "threads"},
        {"0-3",
         {.workers = 2, .pin = PF_PIN_LIST, .list = list, .list_len = 2},
         "CPU 9 is not one that may be used here: 0-3"},
        {"0-3", {.pin = PF_PIN_LIST}, "no CPU is listed"},
        {"0-3", {.workers = 1, .pin = PF_PIN_LIST, .list = list}, "no CPU is listed"},
    };
    static struct pf_cpu_plan before;
    memset(&before, 0x55, sizeof before);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[128] = "";
        hwloc_bitmap_t allowed = cpus(rows[i].allowed);
        struct pf_plan_request request = rows[i].request;
        request.allowed = allowed;
        memset(&plan, 0x55, sizeof plan);
        assert_int_equal(pf__plan_make(&request, why, sizeof why, &plan), -EINVAL);
        assert_non_null(strstr(why, rows[i].why));
        assert_int_equal(pf__plan_make(&request, NULL, 0, &plan), -EINVAL);
        assert_memory_equal(&plan, &before, sizeof plan);
        hwloc_bitmap_free(allowed);
    }
}

static void without_memory_there_is_no_plan_and_nothing_is_kept(void **state)
{
    (void)state;
    pf_alloc_needed();
    static struct pf_cpu_plan before;
    memset(&before, 0x55, sizeof before);
    hwloc_topology_t topology = machine(XML);
    hwloc_bitmap_t allowed = cpus("0-15,70");
    struct pf_plan_request request = {.topology = topology,
                                      .allowed = allowed,
                                      .workers = 10,
                                      .threads = 2,
                                      .quota_milli = 9000};
    int err = -ENOMEM, failures = 0;
    for (int n = 1; err; n++) {
        size_t bytes = pf_alloc_bytes();
        memset(&plan, 0x55, sizeof plan);
        pf_alloc_fail(n);
        err = pf__plan_make(&request, NULL, 0, &plan);
        pf_alloc_stop();
        if (!err)
            break;
        failures++;
        assert_int_equal(err, -ENOMEM);
        assert_memory_equal(&plan, &before, sizeof plan);
        assert_int_equal(pf_alloc_bytes(), bytes);
    }
    assert_true(failures > 3); /* ours are three; hwloc's depend on its version */
    pf__plan_fini(&plan);
    hwloc_bitmap_free(allowed);
    hwloc_topology_destroy(topology);
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

static void auto_makes_up_whole_workers(void **state)
{
    (void)state;
    static const unsigned short list[] = {1, 2, 3};
    static const struct {
        const char *allowed;
        unsigned threads, quota_milli, list_len, workers;
    } rows[] = {
        {"0-7", 0, PF_QUOTA_NONE, 0, 8},
        {"0-7", 1, PF_QUOTA_NONE, 0, 8},
        {"0-7", 4, PF_QUOTA_NONE, 0, 2},
        {"0-7", 3, PF_QUOTA_NONE, 0, 3}, /* rounded up */
        {"0-7", 8, PF_QUOTA_NONE, 0, 1},
        {"0-7", 256, PF_QUOTA_NONE, 0, 1},
        {"0-7", 2, 4500, 0, 3},
        {"0-4095", 3, PF_QUOTA_NONE, 0, 341}, /* 342 would be 1026 lanes */
        {"0-4095", 256, PF_QUOTA_NONE, 0, 4},
        {"0-7", 1, PF_QUOTA_NONE, 3, 3}, /* by the list, not by what is allowed */
        {"0-7", 2, PF_QUOTA_NONE, 3, 2},
        {"0-7", 1, 2000, 3, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf_plan_request request = {
            .threads = rows[i].threads,
            .quota_milli = rows[i].quota_milli,
            .pin = rows[i].list_len ? PF_PIN_LIST : PF_PIN_AUTO,
            .list = list,
            .list_len = rows[i].list_len,
        };
        assert_int_equal(make(NULL, rows[i].allowed, request), 0);
        assert_int_equal(plan.workers, rows[i].workers);
        assert_int_equal(plan.lanes, plan.workers * plan.threads);
        pf__plan_fini(&plan);
    }
}

static void a_list_is_read_in_its_order(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int count;
        unsigned short cpus[8];
    } rows[] = {
        {"0", 1, {0}},
        {"4,2,0-1", 4, {4, 2, 0, 1}},
        {"0,2-5,7", 6, {0, 2, 3, 4, 5, 7}},
        {"3-3", 1, {3}},
        {"1,1", 2, {1, 1}},
        {"65535", 1, {65535}},
        {"00012", 1, {12}},
        {"1-8", 8, {1, 2, 3, 4, 5, 6, 7, 8}},
        {"65533-65535", 3, {65533, 65534, 65535}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned short got[8];
        char why[128] = "";
        assert_int_equal(pf__plan_parse_list(rows[i].text, got, 8, why, sizeof why),
                         rows[i].count);
        assert_memory_equal(got, rows[i].cpus, (size_t)rows[i].count * sizeof *got);
        assert_string_equal(why, "");
    }
}

static void what_is_no_list_is_refused_with_a_remedy(void **state)
{
    (void)state;
    static const char numbers[] = "write numbers and ranges, such as 0,2-5";
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", numbers},
        {",", numbers},
        {"0,", numbers},
        {",0", numbers},
        {"0,,1", numbers},
        {"-1", numbers},
        {"1-", numbers},
        {"1-2-3", numbers},
        {"1--2", numbers},
        {" 1", numbers},
        {"1, 2", numbers},
        {"1;2", numbers},
        {"0x1", numbers},
        {"cpu0", numbers},
        {"+1", numbers},
        {"65536", "at most 65535"},
        {"0-65536", "at most 65535"},
        {"99999999999999999999999", "at most 65535"},
        {"5-2", "the lower number first"},
        {"0-8", "at most 8"},
        {"0,1-8", "at most 8"},
        {"0-7,8", "at most 8"},
        {"0-65535", "at most 8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned short got[8];
        char why[128] = "";
        assert_int_equal(pf__plan_parse_list(rows[i].text, got, 8, why, sizeof why),
                         -EINVAL);
        assert_non_null(strstr(why, rows[i].why));
        assert_int_equal(pf__plan_parse_list(rows[i].text, got, 8, NULL, 0), -EINVAL);
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
        pf_test(offline_cpus_and_what_they_leave_of_cores_are_planned_around),
        pf_test(fast_cores_come_before_slow_ones_and_these_before_second_threads),
        pf_test(cpus_near_the_nic_come_first),
        pf_test(lanes_of_a_worker_share_a_cache_or_a_node),
        pf_test(seats_tell_core_cache_and_node),
        pf_test(distance_grows_from_cpu_to_core_cache_node_and_beyond),
        pf_test(a_short_quota_pins_to_groups_unless_told_otherwise),
        pf_test(without_pins_all_seats_are_free),
        pf_test(a_list_pins_lane_by_lane_and_starts_again),
        pf_test(a_big_machine_gives_each_of_its_threads_once),
        pf_test(an_endless_set_of_cpus_ends_with_the_lanes),
        pf_test(an_impossible_plan_is_refused_with_a_reason_and_changes_nothing),
        pf_test(without_memory_there_is_no_plan_and_nothing_is_kept),
        pf_test(auto_is_what_both_cpus_and_quota_allow),
        pf_test(auto_makes_up_whole_workers),
        pf_test(a_list_is_read_in_its_order),
        pf_test(what_is_no_list_is_refused_with_a_remedy),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
