/*
 * plan_table.h - the CPU plan as a table to be read: what --print-plan shows.
 */
#ifndef PREFORK_MASTER_PLAN_TABLE_H
#define PREFORK_MASTER_PLAN_TABLE_H

#include "master/nic.h"
#include "master/plan.h"

#include <stdio.h>

/* What the plan was made from. */
struct pf_plan_facts {
    hwloc_const_bitmap_t allowed;
    unsigned quota_milli; /* or PF_QUOTA_NONE */
    enum pf_pin pin;
    const struct pf_nic *nic; /* NULL: none was named */
};

/*
 * Print what was found, then a line for each lane: worker, thread, CPU or group of CPUs,
 * core, last-level cache, NUMA node ("-": not known), and with whom it shares. Plain text
 * in aligned columns. Returns 0, -ENOMEM, or -EIO if writing failed.
 */
int pf__plan_print(FILE *to, const struct pf_cpu_plan *plan,
                   const struct pf_plan_facts *facts);

#endif
