/* test_plan_table.c - the plan as it is printed, to the letter. */
#include "tests/lib/test.h"

#include "master/plan_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hwloc_bitmap_t cpus(const char *list)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    assert_non_null(set);
    assert_int_equal(hwloc_bitmap_list_sscanf(set, list), 0);
    return set;
}

/* Plan over `machine` (NULL: no topology), print, and compare. */
static void assert_printed(const char *machine, const char *list,
                           struct pf_plan_request request, const struct pf_nic *nic,
                           const char *expected)
{
    static struct pf_cpu_plan plan;
    hwloc_bitmap_t allowed = cpus(list);
    request.allowed = allowed;
    if (machine) {
        assert_int_equal(hwloc_topology_init(&request.topology), 0);
        assert_int_equal(hwloc_topology_set_xml(request.topology, machine), 0);
        assert_int_equal(hwloc_topology_load(request.topology), 0);
    }
    request.near = nic ? pf__nic_near(nic) : NULL;
    assert_int_equal(pf__plan_make(&request, NULL, 0, &plan), 0);

    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    struct pf_plan_facts facts = {allowed, request.quota_milli, request.pin, nic};
    assert_int_equal(pf__plan_print(to, &plan, &facts), 0);
    assert_int_equal(fclose(to), 0);
    assert_string_equal(text, expected);

    free(text);
    pf__plan_fini(&plan);
    if (request.topology)
        hwloc_topology_destroy(request.topology);
    hwloc_bitmap_free(allowed);
}

#define XML "tests/data/topology/two-nodes.xml"

static void lanes_are_printed_with_whom_they_share(void **state)
{
    (void)state;
    assert_printed(
        XML, "0-1,8,70", (struct pf_plan_request){.workers = 6}, NULL,
        "allowed  CPUs 0-1,8,70: 4 CPUs, 2 cores, 1 last-level cache, 1 NUMA node\n"
        "quota    none\n"
        "pin      auto: a CPU for each lane\n"
        "lanes    6: 6 workers of 1 thread, more than CPUs: some share\n"
        "\n"
        "worker  thread  cpu  core  cache  node  note\n"
        "     0       0    0     0      0     0\n"
        "     1       0    1     1      0     0\n"
        "     2       0    8     0      0     0  SMT sibling of worker 0\n"
        "     3       0   70     -      -     -\n"
        "     4       0    0     0      0     0  shared with worker 0\n"
        "     5       0    1     1      0     0  shared with worker 1\n");
}

static void threads_and_the_nic_are_printed(void **state)
{
    (void)state;
    struct pf_nic nic = {.name = "eth0", .node = 1, .irqs = 2};
    nic.local = cpus("4-7,12-15");
    nic.irq_cpus = cpus("4-5");
    assert_printed(
        XML, "0-15",
        (struct pf_plan_request){.workers = 2, .threads = 4, .pin = PF_PIN_STRICT}, &nic,
        "allowed  CPUs 0-15: 16 CPUs, 8 cores, 4 last-level caches, 2 NUMA nodes\n"
        "quota    none\n"
        "NIC      eth0, NUMA node 1 (CPUs 4-7,12-15), 2 interrupts on CPUs 4-5\n"
        "pin      strict: a CPU for each lane\n"
        "lanes    8: 2 workers of 4 threads\n"
        "\n"
        "worker  thread  cpu  core  cache  node  note\n"
        "     0       0    4     4      2     1\n"
        "     0       1    5     5      2     1\n"
        "     0       2    6     6      3     1\n"
        "     0       3    7     7      3     1\n"
        "     1       0    0     0      0     0\n"
        "     1       1    1     1      0     0\n"
        "     1       2    2     2      1     0\n"
        "     1       3    3     3      1     0\n");
    pf__nic_fini(&nic);
}

static void a_sibling_is_named_by_its_thread(void **state)
{
    (void)state;
    struct pf_nic nic = {.name = "veth7", .node = -1};
    nic.local = cpus("");
    nic.irq_cpus = cpus("");
    assert_printed(
        XML, "3,11",
        (struct pf_plan_request){.workers = 1, .threads = 3, .pin = PF_PIN_AUTO}, &nic,
        "allowed  CPUs 3,11: 2 CPUs, 1 core, 1 last-level cache, 1 NUMA node\n"
        "quota    none\n"
        "NIC      veth7, NUMA node not known\n"
        "pin      auto: a CPU for each lane\n"
        "lanes    3: 1 worker of 3 threads, more than CPUs: some share\n"
        "\n"
        "worker  thread  cpu  core  cache  node  note\n"
        "     0       0    3     3      1     0\n"
        "     0       1   11     3      1     0  SMT sibling of worker 0 thread 0\n"
        "     0       2    3     3      1     0  shared with worker 0 thread 0\n");
    pf__nic_fini(&nic);
}

static void groups_widen_their_column(void **state)
{
    (void)state;
    assert_printed(
        XML, "0-15", (struct pf_plan_request){.workers = 3, .quota_milli = 2500}, NULL,
        "allowed  CPUs 0-15: 16 CPUs, 8 cores, 4 last-level caches, 2 NUMA nodes\n"
        "quota    2.500 CPUs\n"
        "pin      auto: a group of CPUs for each lane, since the quota pays for fewer than "
        "are allowed\n"
        "lanes    3: 3 workers of 1 thread\n"
        "\n"
        "worker  thread        cpu  core  cache  node  note\n"
        "     0       0    0-1,8-9     0      0     0\n"
        "     1       0    0-1,8-9     1      0     0\n"
        "     2       0  2-3,10-11     2      1     0\n");
}

static void lists_and_no_pins_are_printed(void **state)
{
    (void)state;
    static const unsigned short list[] = {1, 0};
    assert_printed(NULL, "0-1",
                   (struct pf_plan_request){
                       .workers = 2, .pin = PF_PIN_LIST, .list = list, .list_len = 2},
                   NULL,
                   "allowed  CPUs 0-1: 2 CPUs\n"
                   "quota    none\n"
                   "pin      list: the CPUs that are listed, lane by lane\n"
                   "lanes    2: 2 workers of 1 thread\n"
                   "\n"
                   "worker  thread  cpu  core  cache  node  note\n"
                   "     0       0    1     -      -     -\n"
                   "     1       0    0     -      -     -\n");
    assert_printed(NULL, "5", (struct pf_plan_request){.workers = 1, .pin = PF_PIN_NONE},
                   NULL,
                   "allowed  CPU 5: 1 CPU\n"
                   "quota    none\n"
                   "pin      none: the kernel moves the lanes\n"
                   "lanes    1: 1 worker of 1 thread\n"
                   "\n"
                   "worker  thread  cpu  core  cache  node  note\n"
                   "     0       0  any     -      -     -\n");
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    static struct pf_cpu_plan plan;
    hwloc_bitmap_t allowed = cpus("0");
    struct pf_plan_request request = {.allowed = allowed};
    assert_int_equal(pf__plan_make(&request, NULL, 0, &plan), 0);
    struct pf_plan_facts facts = {.allowed = allowed};
    FILE *to = fopen("/dev/full", "we");
    assert_non_null(to);
    assert_int_equal(pf__plan_print(to, &plan, &facts), -EIO);
    (void)fclose(to); /* fails once more */
    pf__plan_fini(&plan);
    hwloc_bitmap_free(allowed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(lanes_are_printed_with_whom_they_share),
        pf_test(threads_and_the_nic_are_printed),
        pf_test(a_sibling_is_named_by_its_thread),
        pf_test(groups_widen_their_column),
        pf_test(lists_and_no_pins_are_printed),
        pf_test(a_full_disk_is_reported),
    };
    return cmocka_run_group_tests_name("plan_table", tests, NULL, NULL);
}
