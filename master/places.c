/*
 * places.c - the CPUs that may be given to lanes, in the order of preference.
 *
 * All that are allowed are sorted once; workers then take their lanes' CPUs out, mostly
 * from the front, further behind where CPUs of one cache or node are still together. Only
 * allowed CPUs are ever in the pool, so a plan cannot ask for what the kernel would refuse.
 */
#include "master/places.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What the CPUs of one worker should have in common; the best first. */
enum common {
    SAME_CACHE,
    SAME_NODE,
    SAME_NODE_SHARED_CORES,
    NOTHING,
};

/* ---- filling --------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const struct pf__place *one = a, *other = b;
    for (int i = 0; i < PF__PLACE_KEYS; i++)
        if (one->key[i] != other->key[i])
            return one->key[i] < other->key[i] ? -1 : 1;
    return 0;
}

/* The largest cache above a hardware thread: of all these, the one that most CPUs share. */
static hwloc_obj_t last_cache(hwloc_obj_t pu)
{
    hwloc_obj_t cache = NULL;
    for (hwloc_obj_t obj = pu->parent; obj; obj = obj->parent)
        if (hwloc_obj_type_is_dcache(obj->type))
            cache = obj;
    return cache;
}

/* How fast a core is among unequal ones; -1 for all where hwloc cannot rank them. */
static int efficiency(hwloc_topology_t topology, hwloc_obj_t pu)
{
    int rank = -1;
    int kind = hwloc_cpukinds_get_by_cpuset(topology, pu->cpuset, 0);
    if (kind >= 0)
        (void)hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, &rank, NULL, NULL, 0);
    return rank;
}

/* Where the walk over the topology's hardware threads stands. */
struct walk {
    hwloc_obj_t core, cache;
    int cores, caches, node; /* cores and caches so far; operating system's node */
    unsigned nodes;
    int thread;                /* allowed ones of this core so far */
    int last_core, last_cache; /* the last that had an allowed one */
    unsigned last_node;
};

/* The threads of a core, cache or node are neighbours among the PUs; a PU outside any core
 * is its own core. */
static void step(hwloc_topology_t topology, struct walk *walk, hwloc_obj_t pu)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    hwloc_obj_t cache = last_cache(pu);
    int node = hwloc_bitmap_first(pu->nodeset);
    if (!core || core != walk->core) {
        walk->thread = 0;
        walk->cores++;
    }
    if (cache && cache != walk->cache)
        walk->caches++;
    if (node >= 0 && (walk->nodes == 0 || node != walk->node))
        walk->nodes++;
    walk->core = core;
    walk->cache = cache;
    walk->node = node;
}

static void add_known(const struct pf_plan_request *request, struct walk *walk,
                      hwloc_obj_t pu, struct pf__places *pool)
{
    hwloc_const_bitmap_t core = walk->core ? walk->core->cpuset : pu->cpuset;
    bool is_near = request->near && hwloc_bitmap_intersects(core, request->near);
    struct pf__place *place = &pool->place[pool->count];
    *place = (struct pf__place){
        .pu = pu,
        .core = walk->core,
        .cache = walk->cache,
        .seat = {.cpu = (int)pu->os_index,
                 .core = walk->cores - 1,
                 .cache = walk->cache ? walk->caches - 1 : -1,
                 .node = walk->node},
        .key = {[PF__BY_THREAD] = walk->thread++,
                [PF__BY_KIND] = -efficiency(request->topology, pu),
                [PF__BY_DISTANCE] = !is_near,
                [PF__BY_POSITION] = (int)pool->count},
        .node = walk->node >= 0 ? walk->nodes : 0,
    };
    pool->count++;
}

/* Count what has an allowed CPU. */
static void count_known(struct walk *walk, const struct pf__place *place,
                        struct pf__places *pool)
{
    pool->cores += place->seat.core != walk->last_core;
    pool->caches += place->seat.cache >= 0 && place->seat.cache != walk->last_cache;
    pool->nodes += place->node != 0 && place->node != walk->last_node;
    walk->last_core = place->seat.core;
    walk->last_cache = place->seat.cache;
    walk->last_node = place->node;
}

/* The allowed CPUs that the topology does not know, as many as could ever be given. */
static void add_unknown(const struct pf_plan_request *request, struct pf__places *pool)
{
    hwloc_const_bitmap_t known =
        request->topology ? hwloc_topology_get_topology_cpuset(request->topology) : NULL;
    unsigned added = 0;
    for (int cpu = hwloc_bitmap_first(request->allowed); cpu >= 0 && added < PF_LANES_MAX;
         cpu = hwloc_bitmap_next(request->allowed, cpu)) {
        if (known && hwloc_bitmap_isset(known, (unsigned)cpu))
            continue;
        pool->place[pool->count] = (struct pf__place){
            .seat = {.cpu = cpu, .core = -1, .cache = -1, .node = -1},
            .key = {[PF__BY_THREAD] = INT_MAX, [PF__BY_POSITION] = (int)pool->count}};
        pool->count++;
        added++;
    }
}

int pf__places_fill(struct pf__places *pool, const struct pf_plan_request *request)
{
    hwloc_topology_t topology = request->topology;
    int pus = topology ? hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU) : 0;
    size_t most = (pus > 0 ? (size_t)pus : 0) + PF_LANES_MAX;
    pool->place = calloc(most, sizeof *pool->place);
    pool->counts = calloc(most + 1, sizeof *pool->counts);
    if (!pool->place || !pool->counts)
        return -ENOMEM;
    struct walk walk = {.last_core = -1, .last_cache = -1};
    for (hwloc_obj_t pu = NULL;
         topology && (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu));) {
        step(topology, &walk, pu);
        if (!hwloc_bitmap_isset(request->allowed, pu->os_index))
            continue;
        add_known(request, &walk, pu, pool);
        count_known(&walk, &pool->place[pool->count - 1], pool);
    }
    add_unknown(request, pool);
    qsort(pool->place, pool->count, sizeof *pool->place, compare_places);
    pool->companies =
        1 + (walk.nodes > (unsigned)walk.caches ? walk.nodes : (unsigned)walk.caches);
    pool->left = pool->count;
    return 0;
}

void pf__places_fini(struct pf__places *pool)
{
    free(pool->place);
    free(pool->counts);
}

/* ---- taking ---------------------------------------------------------------------- */

/* With which others could this place serve a worker? */
static unsigned company(const struct pf__place *place, enum common common)
{
    if (common == NOTHING)
        return 0;
    return common == SAME_CACHE ? (unsigned)(place->seat.cache + 1) : place->node;
}

/* May it be taken for a worker whose best place is `first`? */
static bool suits(const struct pf__place *place, const struct pf__place *first,
                  enum common common)
{
    return !place->taken && (common >= SAME_NODE_SHARED_CORES ||
                             place->key[PF__BY_THREAD] == first->key[PF__BY_THREAD]);
}

/* The first place that has `wanted` in common with others, itself included; or NULL. */
static struct pf__place *find(struct pf__places *pool, struct pf__place *first,
                              unsigned wanted, enum common common)
{
    struct pf__place *end = pool->place + pool->count;
    memset(pool->counts, 0, pool->companies * sizeof *pool->counts);
    for (struct pf__place *place = first; place < end; place++)
        if (suits(place, first, common))
            pool->counts[company(place, common)]++;
    for (struct pf__place *place = first; place < end; place++)
        if (suits(place, first, common) && pool->counts[company(place, common)] >= wanted)
            return place;
    return NULL;
}

/* Take as many as wanted (not more than are left), as near to each other as can be, in the
 * order of the pool. */
static void take(struct pf__places *pool, unsigned wanted, struct pf_cpu_seat *seats)
{
    struct pf__place *first = pool->place, *place = NULL;
    while (first->taken)
        first++;
    int common = SAME_CACHE;
    while (!(place = find(pool, first, wanted, (enum common)common)))
        common++;
    unsigned with = company(place, (enum common)common);
    for (unsigned n = 0; n < wanted; place++) {
        if (!suits(place, first, (enum common)common) ||
            company(place, (enum common)common) != with)
            continue;
        place->taken = true;
        seats[n++] = place->seat;
    }
    pool->left -= wanted;
}

static void refill(struct pf__places *pool)
{
    for (unsigned i = 0; i < pool->count; i++)
        pool->place[i].taken = false;
    pool->left = pool->count;
}

void pf__places_take(struct pf__places *pool, struct pf_cpu_seat *seats, unsigned threads)
{
    for (unsigned seated = 0; seated < threads;) {
        if (pool->left == 0)
            refill(pool);
        unsigned wanted = threads - seated < pool->left ? threads - seated : pool->left;
        take(pool, wanted, seats + seated);
        seated += wanted;
    }
}

const struct pf__place *pf__places_find(const struct pf__places *pool, int cpu)
{
    for (unsigned i = 0; i < pool->count; i++)
        if (pool->place[i].seat.cpu == cpu)
            return &pool->place[i];
    return NULL;
}
