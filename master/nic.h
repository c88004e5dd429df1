/*
 * nic.h - where a network interface is: its NUMA node, and the CPUs its interrupts go to.
 */
#ifndef PREFORK_MASTER_NIC_H
#define PREFORK_MASTER_NIC_H

#include <hwloc.h>
#include <net/if.h>
#include <prefork/base.h>

struct pf_nic {
    char name[IF_NAMESIZE];
    int node; /* -1: not known, as of lo, veth, bridges, most virtual machines */
    hwloc_bitmap_t local;    /* the node's CPUs; empty if it is not known */
    hwloc_bitmap_t irq_cpus; /* CPUs that get interrupts of its queues; may be empty */
    unsigned irqs;           /* how many interrupts have such CPUs */
};

/*
 * Look up the interface `name`: the NUMA node of its device (or, of a virtio device, of the
 * PCI device that carries it), and of each of the device's message interrupts the CPU that
 * gets it now, else the CPUs that may.
 *
 * sys_root, proc_root   "/sys" and "/proc", or a fake tree in a test.
 *
 * Returns 0, and *out is to be given back with pf__nic_fini(); or -ENODEV (no such
 * interface), -ENOMEM; *out is then untouched. What cannot be read is not known.
 * Source: Documentation/ABI/testing/sysfs-bus-pci, Documentation/core-api/irq/irq-affinity.
 */
int pf__nic_init(const char *name, const char *sys_root, const char *proc_root,
                 struct pf_nic *out);

/* Give back what it holds. An all-zero one is fine. */
void pf__nic_fini(struct pf_nic *nic);

/* The CPUs that a plan should prefer: those of the node; where it is not known those of the
 * interrupts; NULL: nothing to prefer. Borrowed until pf__nic_fini(). */
hwloc_const_bitmap_t pf__nic_near(const struct pf_nic *nic);

#endif
