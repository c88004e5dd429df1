/*
 * plan.h - which lane runs on which CPU: pure policy over a hwloc topology.
 *
 * A server has W workers of T threads; each thread is a lane, and lane slot * T + thread
 * has a seat in the plan. The plan is a function of its request: no system call, so that it
 * is tested over synthetic topologies. What the machine says is read by cpus.h and nic.h.
 */
#ifndef PREFORK_MASTER_PLAN_H
#define PREFORK_MASTER_PLAN_H

#include <hwloc.h>
#include <prefork/master.h>

/* No quota: all allowed CPUs may be used all the time. */
#define PF_QUOTA_NONE 0

struct pf_plan_request {
    hwloc_topology_t topology;    /* may be NULL, or know less than `allowed` */
    hwloc_const_bitmap_t allowed; /* operating system's numbers; may have no end */
    unsigned workers;             /* 0: auto, by what is allowed and paid for */
    unsigned threads;             /* of each worker; 0: 1 */
    enum pf_pin pin;
    const unsigned short *list; /* PF_PIN_LIST: the CPUs of the lanes, in order */
    unsigned list_len;
    unsigned quota_milli;      /* thousandths of a CPU, or PF_QUOTA_NONE */
    hwloc_const_bitmap_t near; /* CPUs to be preferred, such as a NIC's; or NULL */
};

/* Where a lane runs. Numbers that are not known are -1. */
struct pf_cpu_seat {
    int cpu;   /* operating system's number; in a group, the one that stands for the lane;
                  -1: not pinned */
    int core;  /* by the topology's order, from 0 */
    int cache; /* domain of the last-level cache, likewise */
    int node;  /* NUMA node, operating system's number */
    hwloc_const_bitmap_t
        group; /* the CPUs that the lane may use, the plan's; NULL: `cpu` */
};

struct pf_cpu_plan {
    unsigned workers, threads, lanes;    /* lanes = workers * threads */
    bool wraps;                          /* more lanes than CPUs to give: some share */
    bool grouped;                        /* lanes have groups of CPUs */
    unsigned cpus, cores, caches, nodes; /* how many are allowed, as far as known */
    struct pf_cpu_seat seat[PF_LANES_MAX];

    /* private */
    unsigned group_count;
    hwloc_bitmap_t groups[PF_LANES_MAX];
};

/*
 * How many workers "auto" means: as many as the allowed CPUs, and not more than the quota
 * (in thousandths of a CPU, rounded up) pays for; at least 1, at most PF_WORKERS_MAX.
 */
unsigned pf__plan_workers(hwloc_const_bitmap_t allowed, unsigned quota_milli);

/*
 * Give each lane a seat among the allowed CPUs.
 *
 * How many: with workers 0, as many lanes as pf__plan_workers() says, or CPUs in the list
 * if that is fewer, made up to whole workers.
 *
 * Which: one hardware thread of every core comes first, then the second ones, and so on;
 * among these, the fastest kind of core first, then those `near`, then the topology's
 * order, in which neighbours share caches and NUMA nodes; CPUs that the topology does not
 * know come last, in ascending order. No CPU gets a second lane before each has one. The
 * lanes of a worker get CPUs of one cache if enough are free, else of one NUMA node, before
 * cores share; workers follow each other in the same order.
 *
 * How: PF_PIN_AUTO pins each lane to its CPU alone, unless the quota is below the allowed
 * CPUs: others then use them too, and a lane whose CPU is taken would wait with quota left.
 * Its seat is then the group of all allowed CPUs around its own: of the last-level cache,
 * or, where that is no more than the core, of the node or the machine. PF_PIN_STRICT pins
 * to CPUs alone all the same, PF_PIN_LIST to the list's, from its start again when it ends;
 * with PF_PIN_NONE all seats are -1.
 *
 * why   a buffer for a phrase that says what is wrong, if -EINVAL is returned; why_len may
 *       be 0.
 *
 * Returns 0, and *out is to be given back with pf__plan_fini(); or -EINVAL (nothing
 * allowed, too many workers, threads or lanes, a listed CPU that is not allowed, no list),
 * -ENOMEM; *out is then untouched. Cost: workers times CPUs.
 */
int pf__plan_make(const struct pf_plan_request *request, char *why, size_t why_len,
                  struct pf_cpu_plan *out);

/* Give back what the plan holds. An all-zero plan is fine. */
void pf__plan_fini(struct pf_cpu_plan *plan);

/*
 * Read a list such as "4,2,0-1" into cpus[max], in its order: 4, 2, 0, 1. A CPU may be
 * listed twice. Returns how many, at least 1; or -EINVAL, with a phrase in why[why_len]
 * that says what is wrong and what would be right.
 */
int pf__plan_parse_list(const char *text, unsigned short *cpus, unsigned max, char *why,
                        size_t why_len);

/*
 * How far apart two lanes run: 0 on one CPU, 1 core, 2 last-level cache or group, 3 NUMA
 * node, 4 farther, not known or not pinned. A lane is at 0 from itself.
 */
int pf__plan_near(const struct pf_cpu_plan *plan, unsigned lane_a, unsigned lane_b);

#endif
