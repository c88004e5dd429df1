/*
 * plan.c - which worker runs on which CPU: pure policy over a hwloc topology.
 *
 * The order of preference is written straight into the slots: the first hardware threads of
 * all cores, the second ones, ..., what the topology does not know, and the same again.
 * Only allowed CPUs are ever counted, so a plan cannot ask for what the kernel would
 * refuse.
 */
#include "master/plan.h"

#include <errno.h>

unsigned pf__plan_workers(hwloc_const_bitmap_t allowed, unsigned quota_milli)
{
    int weight = hwloc_bitmap_weight(allowed); /* -1: without end */
    unsigned workers = weight < 0 ? PF_WORKERS_MAX : (unsigned)weight;
    unsigned paid = quota_milli / 1000 + (quota_milli % 1000 != 0);
    if (quota_milli != PF_QUOTA_NONE && paid < workers)
        workers = paid;
    if (workers > PF_WORKERS_MAX)
        workers = PF_WORKERS_MAX;
    return workers > 0 ? workers : 1;
}

/* Add a CPU to the plan; false when every slot has one. */
static bool give(struct pf_cpu_plan *plan, unsigned *given, unsigned cpu)
{
    if (*given < plan->workers)
        plan->cpu[(*given)++] = (int)cpu;
    return *given < plan->workers;
}

/*
 * Give the n-th allowed hardware thread of every core. Returns how many cores had one. The
 * threads of a core are neighbours among the PUs; a PU outside any core is its own core.
 */
static unsigned give_threads(hwloc_topology_t topology, hwloc_const_bitmap_t allowed,
                             unsigned n, struct pf_cpu_plan *plan, unsigned *given)
{
    hwloc_obj_t core = NULL, pu = NULL;
    unsigned thread = 0, found = 0;
    while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu))) {
        hwloc_obj_t of = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
        if (!of || of != core)
            thread = 0;
        core = of;
        if (!hwloc_bitmap_isset(allowed, pu->os_index) || thread++ != n)
            continue;
        found++;
        if (!give(plan, given, pu->os_index))
            break;
    }
    return found;
}

/* Give the allowed CPUs that the topology does not know, in ascending order. */
static void give_unknown(hwloc_topology_t topology, hwloc_const_bitmap_t allowed,
                         struct pf_cpu_plan *plan, unsigned *given)
{
    hwloc_const_bitmap_t known =
        topology ? hwloc_topology_get_topology_cpuset(topology) : NULL;
    for (int cpu = hwloc_bitmap_first(allowed); cpu >= 0;
         cpu = hwloc_bitmap_next(allowed, cpu))
        if (!known || !hwloc_bitmap_isset(known, (unsigned)cpu))
            if (!give(plan, given, (unsigned)cpu))
                break;
}

int pf__plan_make(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, unsigned workers,
                  struct pf_cpu_plan *out)
{
    if (workers < 1 || workers > PF_WORKERS_MAX || hwloc_bitmap_iszero(allowed))
        return -EINVAL;

    unsigned given = 0;
    out->workers = workers;
    for (unsigned n = 0; topology && given < workers; n++)
        if (give_threads(topology, allowed, n, out, &given) == 0)
            break;
    if (given < workers)
        give_unknown(topology, allowed, out, &given);

    unsigned cpus = given;
    for (; given < workers; given++)
        out->cpu[given] = out->cpu[given - cpus];
    for (unsigned slot = workers; slot < PF_WORKERS_MAX; slot++)
        out->cpu[slot] = -1;
    out->wraps = workers > cpus;
    return 0;
}
