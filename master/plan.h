/*
 * plan.h - which worker runs on which CPU: pure policy over a hwloc topology.
 *
 * The plan is a function of (topology, allowed CPUs, quota, wanted workers): no system
 * call, so that it is tested over synthetic topologies. What the machine says is read by
 * cpus.h.
 */
#ifndef PREFORK_MASTER_PLAN_H
#define PREFORK_MASTER_PLAN_H

#include <hwloc.h>
#include <prefork/base.h>

/* Workers at the most; also the limit of --workers. */
#define PF_WORKERS_MAX 1024

/* No quota: all allowed CPUs may be used all the time. */
#define PF_QUOTA_NONE 0

struct pf_cpu_plan {
    unsigned workers;        /* how many workers the plan is for */
    bool wraps;              /* more workers than CPUs: some share */
    int cpu[PF_WORKERS_MAX]; /* slot -> operating system's CPU number, or -1 */
};

/*
 * How many workers "auto" means: as many as the allowed CPUs, and not more than the quota
 * (in thousandths of a CPU, rounded up) pays for; at least 1, at most PF_WORKERS_MAX.
 */
unsigned pf__plan_workers(hwloc_const_bitmap_t allowed, unsigned quota_milli);

/*
 * Give each of `workers` slots a CPU of `allowed`: first one hardware thread of every core,
 * in the topology's order (so neighbours share caches and NUMA nodes), then the second
 * threads, and so on; then from the start again. `topology` may be NULL or know less than
 * `allowed`: CPUs it does not know come last, in ascending order.
 *
 * Returns 0, or -EINVAL (workers not 1..PF_WORKERS_MAX, or nothing allowed), -ENOMEM.
 */
int pf__plan_make(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, unsigned workers,
                  struct pf_cpu_plan *out);

#endif
