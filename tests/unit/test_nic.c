/* test_nic.c - where a network interface is, in fake trees of sysfs and procfs. */
#include "tests/lib/test.h"

#include "master/nic.h"
#include "tests/lib/tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is known of eth0, as text: node, local CPUs, interrupts, their CPUs, CPUs to prefer.
 */
static void assert_nic(const char *expected)
{
    struct pf_nic nic;
    char local[64], irq_cpus[64], near[64] = "none", got[256];
    assert_int_equal(pf__nic_init("eth0", pf_tree_sys, pf_tree_proc, &nic), 0);
    assert_string_equal(nic.name, "eth0");
    hwloc_bitmap_list_snprintf(local, sizeof local, nic.local);
    hwloc_bitmap_list_snprintf(irq_cpus, sizeof irq_cpus, nic.irq_cpus);
    if (pf__nic_near(&nic))
        hwloc_bitmap_list_snprintf(near, sizeof near, pf__nic_near(&nic));
    (void)snprintf(got, sizeof got, "node=%d local=%s irqs=%u on=%s near=%s", nic.node,
                   local, nic.irqs, irq_cpus, near);
    assert_string_equal(got, expected);
    pf__nic_fini(&nic);
    pf__nic_fini(&nic); /* once more harms nothing */
}

static void a_device_of_a_node_is_near_its_cpus(void **state)
{
    (void)state;
    pf_tree_put("sys/class/net/eth0/device/numa_node", "1\n");
    assert_nic("node=1 local= irqs=0 on= near=none");
    pf_tree_put("sys/class/net/eth0/device/local_cpulist", "4-7,12-15\n");
    assert_nic("node=1 local=4-7,12-15 irqs=0 on= near=4-7,12-15");
}

static void interrupts_are_where_they_arrive_now_else_where_they_may(void **state)
{
    (void)state;
    pf_tree_put("sys/class/net/eth0/device/numa_node", "1\n");
    pf_tree_put("sys/class/net/eth0/device/local_cpulist", "4-7\n");
    pf_tree_put("sys/class/net/eth0/device/msi_irqs/31", "msix\n");
    pf_tree_put("sys/class/net/eth0/device/msi_irqs/32", "msix\n");
    pf_tree_put("sys/class/net/eth0/device/msi_irqs/33", "msix\n");
    pf_tree_put("proc/irq/9/smp_affinity_list", "0\n"); /* another device's */
    pf_tree_put("proc/irq/31/smp_affinity_list", "0-7\n");
    pf_tree_put("proc/irq/31/effective_affinity_list", "5\n");
    pf_tree_put("proc/irq/32/smp_affinity_list", "6-7\n");
    assert_nic("node=1 local=4-7 irqs=2 on=5-7 near=4-7");
    pf_tree_put("proc/irq/33/effective_affinity_list", "\n"); /* not set up yet */
    pf_tree_put("proc/irq/33/smp_affinity_list", "2\n");
    assert_nic("node=1 local=4-7 irqs=3 on=2,5-7 near=4-7");
}

static void without_a_node_the_interrupts_tell_what_is_near(void **state)
{
    (void)state;
    pf_tree_put("sys/class/net/eth0/device/numa_node", "-1\n");
    pf_tree_put("sys/class/net/eth0/device/local_cpulist", "0-15\n");
    assert_nic("node=-1 local= irqs=0 on= near=none");
    pf_tree_put("sys/class/net/eth0/device/msi_irqs/31", "msix\n");
    pf_tree_put("proc/irq/31/smp_affinity_list", "3\n");
    assert_nic("node=-1 local= irqs=1 on=3 near=3");
}

static void a_virtio_device_is_where_its_pci_device_is(void **state)
{
    (void)state;
    pf_tree_put("sys/devices/pci0000:00/0000:00:02.0/virtio2/features", "1\n");
    pf_tree_put("sys/devices/pci0000:00/0000:00:02.0/numa_node", "0\n");
    pf_tree_put("sys/devices/pci0000:00/0000:00:02.0/local_cpulist", "0-3\n");
    pf_tree_put("sys/devices/pci0000:00/0000:00:02.0/msi_irqs/40", "msix\n");
    pf_tree_put("proc/irq/40/smp_affinity_list", "1\n");
    pf_tree_link("sys/class/net/eth0/device",
                 "../../../devices/pci0000:00/0000:00:02.0/virtio2");
    assert_nic("node=0 local=0-3 irqs=1 on=1 near=0-3");
}

static void an_interface_without_a_device_is_anywhere(void **state)
{
    (void)state;
    pf_tree_put("sys/class/net/eth0/mtu", "1500\n");
    assert_nic("node=-1 local= irqs=0 on= near=none");
}

static void what_cannot_be_understood_is_not_known(void **state)
{
    (void)state;
    static const char *const nodes[] = {"", "\n", "x\n", "99999999999999999999\n", "-7\n"};
    pf_tree_put("sys/class/net/eth0/device/local_cpulist", "0-3\n");
    pf_tree_put("sys/class/net/eth0/device/msi_irqs/31", "msix\n");
    pf_tree_put("sys/class/net/eth0/device/msi_irqs/none", "msix\n");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        pf_tree_put("sys/class/net/eth0/device/numa_node", nodes[i]);
        assert_nic("node=-1 local= irqs=0 on= near=none");
    }
    pf_tree_put("sys/class/net/eth0/device/numa_node", "2\n");
    pf_tree_put("sys/class/net/eth0/device/local_cpulist", "garbage\n");
    pf_tree_put("proc/irq/31/smp_affinity_list", "3-\n"); /* without end */
    assert_nic("node=2 local= irqs=0 on= near=none");
    pf_tree_put("sys/class/net/eth0/device/local_cpulist", "0-\n");
    assert_nic("node=2 local= irqs=0 on= near=none");
}

static void an_unknown_interface_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {
        "eth1", "", ".", "..", "eth0/device", "../net/eth0", "a-name-of-16-chars"};
    pf_tree_put("sys/class/net/eth0/device/numa_node", "1\n");
    struct pf_nic nic, before;
    memset(&nic, 0x55, sizeof nic);
    memcpy(&before, &nic, sizeof nic);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(pf__nic_init(names[i], pf_tree_sys, pf_tree_proc, &nic), -ENODEV);
    assert_int_equal(pf__nic_init("eth0", "/nonexistent", "/nonexistent", &nic), -ENODEV);
    assert_memory_equal(&nic, &before, sizeof nic);
}

static void this_machines_loopback_is_anywhere(void **state)
{
    (void)state;
    struct pf_nic nic;
    if (pf__nic_init("lo", "/sys", "/proc", &nic) == -ENODEV)
        skip(); /* no /sys here */
    assert_int_equal(nic.node, -1);
    assert_null(pf__nic_near(&nic));
    pf__nic_fini(&nic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_tree_test(a_device_of_a_node_is_near_its_cpus),
        pf_tree_test(interrupts_are_where_they_arrive_now_else_where_they_may),
        pf_tree_test(without_a_node_the_interrupts_tell_what_is_near),
        pf_tree_test(a_virtio_device_is_where_its_pci_device_is),
        pf_tree_test(an_interface_without_a_device_is_anywhere),
        pf_tree_test(what_cannot_be_understood_is_not_known),
        pf_tree_test(an_unknown_interface_is_refused_and_changes_nothing),
        pf_test(this_machines_loopback_is_anywhere),
    };
    return cmocka_run_group_tests_name("nic", tests, NULL, NULL);
}
