/*
 * places.h - the CPUs that may be given to lanes, in the order of preference.
 */
#ifndef PREFORK_MASTER_PLACES_H
#define PREFORK_MASTER_PLACES_H

#include "master/plan.h"

/* What decides about the order, the weightiest first; less comes earlier. */
enum pf__place_key {
    PF__BY_THREAD,   /* among the allowed ones of its core, from 0 */
    PF__BY_KIND,     /* less: a faster core */
    PF__BY_DISTANCE, /* 0: near the request's CPUs */
    PF__BY_POSITION, /* in the topology */
    PF__PLACE_KEYS,
};

/* A CPU that may be given. */
struct pf__place {
    struct pf_cpu_seat seat;
    hwloc_obj_t pu, core, cache; /* NULL: not known */
    unsigned node;               /* by the topology's order, from 1; 0: not known */
    int key[PF__PLACE_KEYS];
    bool taken;
};

struct pf__places {
    struct pf__place *place;
    unsigned count;
    unsigned left;                 /* not taken */
    unsigned cores, caches, nodes; /* that have an allowed CPU */
    unsigned *counts;              /* room to count places by cache or node */
    unsigned companies;            /* caches or nodes, and "not known" */
};

/*
 * Put all allowed CPUs of the request into an all-zero pool; of those that the topology
 * does not know, PF_LANES_MAX at most. Returns 0 or -ENOMEM; call pf__places_fini() in both
 * cases.
 */
int pf__places_fill(struct pf__places *pool, const struct pf_plan_request *request);

void pf__places_fini(struct pf__places *pool);

/*
 * Take CPUs for a worker's `threads` seats, as near to each other as can be; when the pool
 * is empty it is filled again with the same. The pool has at least one CPU.
 */
void pf__places_take(struct pf__places *pool, struct pf_cpu_seat *seats, unsigned threads);

/* The place of a CPU, taken or not, or NULL. */
const struct pf__place *pf__places_find(const struct pf__places *pool, int cpu);

#endif
