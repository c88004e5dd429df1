/*
 * nic.c - where a network interface is: its NUMA node, and the CPUs its interrupts go to.
 *
 * Read from sysfs itself: hwloc would look at every device of the machine for the same
 * answer.
 */
#include "master/nic.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of CPUs, as many as any kernel prints. */
#define LIST_MAX 4096

/* The first line of dir/name, without its end, into line; false if there is nothing. */
static bool read_line(const char *dir, const char *name, char *line, int len)
{
    char path[PATH_MAX];
    FILE *file = NULL;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path)
        file = fopen(path, "re");
    bool found = file && fgets(line, len, file);
    if (file)
        (void)fclose(file); /* only read */
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found && line[0];
}

/* The list of CPUs in dir/name into `set`; false, and an empty set, if there is none. */
static bool read_cpus(const char *dir, const char *name, hwloc_bitmap_t set)
{
    char line[LIST_MAX];
    if (read_line(dir, name, line, sizeof line) &&
        hwloc_bitmap_list_sscanf(set, line) == 0 && hwloc_bitmap_weight(set) > 0)
        return true;
    hwloc_bitmap_zero(set);
    return false;
}

/* The directory of the interface's device that has `name`: its own, or the one above it,
 * since a virtio device knows nothing of PCI. False if none has. */
static bool find_device(const char *interface, const char *name, char *dir, size_t len)
{
    static const char *const devices[] = {"device", "device/.."};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char path[PATH_MAX];
        if (snprintf(dir, len, "%s/%s", interface, devices[i]) < (int)len &&
            snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path &&
            access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Without a node the kernel lists all CPUs as local, which tells nothing. */
static void read_node(const char *interface, struct pf_nic *nic)
{
    char dir[PATH_MAX], line[32], *rest;
    nic->node = -1;
    if (!find_device(interface, "numa_node", dir, sizeof dir) ||
        !read_line(dir, "numa_node", line, sizeof line))
        return;
    long node = strtol(line, &rest, 10);
    if (rest == line || node < 0 || node > INT_MAX)
        return;
    nic->node = (int)node;
    (void)read_cpus(dir, "local_cpulist", nic->local); /* else empty */
}

/* Returns 0 or -ENOMEM. */
static int add_irq(const char *proc_root, const char *number, hwloc_bitmap_t set,
                   struct pf_nic *nic)
{
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s/irq/%s", proc_root, number) >= (int)sizeof dir)
        return 0;
    if (!read_cpus(dir, "effective_affinity_list", set) &&
        !read_cpus(dir, "smp_affinity_list", set))
        return 0;
    nic->irqs++;
    return hwloc_bitmap_or(nic->irq_cpus, nic->irq_cpus, set) < 0 ? -ENOMEM : 0;
}

/* Returns 0 or -ENOMEM. */
static int read_irqs(const char *interface, const char *proc_root, struct pf_nic *nic)
{
    char dir[PATH_MAX], path[PATH_MAX];
    if (!find_device(interface, "msi_irqs", dir, sizeof dir) ||
        snprintf(path, sizeof path, "%s/msi_irqs", dir) >= (int)sizeof path)
        return 0;
    DIR *irqs = opendir(path);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int err = set ? 0 : -ENOMEM;
    for (struct dirent *d; irqs && !err && (d = readdir(irqs));)
        if (d->d_name[0] != '.')
            err = add_irq(proc_root, d->d_name, set, nic);
    if (irqs)
        closedir(irqs);
    hwloc_bitmap_free(set);
    return err;
}

static bool is_name(const char *name)
{
    return *name && strlen(name) < IF_NAMESIZE && !strchr(name, '/') &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int pf__nic_init(const char *name, const char *sys_root, const char *proc_root,
                 struct pf_nic *out)
{
    char interface[PATH_MAX];
    if (!is_name(name) || snprintf(interface, sizeof interface, "%s/class/net/%s", sys_root,
                                   name) >= (int)sizeof interface)
        return -ENODEV;
    if (access(interface, F_OK) != 0)
        return -ENODEV;
    struct pf_nic nic = {.local = hwloc_bitmap_alloc(), .irq_cpus = hwloc_bitmap_alloc()};
    int err = nic.local && nic.irq_cpus ? 0 : -ENOMEM;
    if (!err) {
        (void)snprintf(nic.name, sizeof nic.name, "%s", name);
        read_node(interface, &nic);
        err = read_irqs(interface, proc_root, &nic);
    }
    if (err)
        pf__nic_fini(&nic);
    else
        *out = nic;
    return err;
}

void pf__nic_fini(struct pf_nic *nic)
{
    hwloc_bitmap_free(nic->local);
    hwloc_bitmap_free(nic->irq_cpus);
    nic->local = nic->irq_cpus = NULL;
}

hwloc_const_bitmap_t pf__nic_near(const struct pf_nic *nic)
{
    if (!hwloc_bitmap_iszero(nic->local))
        return nic->local;
    return hwloc_bitmap_iszero(nic->irq_cpus) ? NULL : nic->irq_cpus;
}
