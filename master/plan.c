/*
 * plan.c - which lane runs on which CPU: pure policy over a hwloc topology.
 *
 * All CPUs that may be given are put into a pool in the order of preference; workers then
 * take their lanes' CPUs out of it. Only allowed CPUs are ever in the pool, so a plan
 * cannot ask for what the kernel would refuse.
 */
#include "master/plan.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What decides about the order in the pool, the weightiest first; less comes earlier. */
enum {
    BY_THREAD,
    BY_KIND,
    BY_DISTANCE,
    BY_POSITION,
    KEYS
};

/* A CPU that may be given. */
struct place {
    hwloc_obj_t pu; /* NULL: the topology does not know it */
    struct pf_cpu_seat seat;
    int key[KEYS];
    unsigned node; /* by the topology's order, from 1; 0: not known */
    bool taken;
};

struct pool {
    struct place *places;
    unsigned count;
    unsigned *counts;   /* room to count places by cache or node */
    unsigned companies; /* caches or nodes, and "not known" */
    unsigned left;      /* not taken */
};

/* What the CPUs of one worker should have in common; the best first. */
enum common {
    SAME_CACHE,
    SAME_NODE,
    SAME_NODE_SHARED_CORES,
    NOTHING,
    COMMONS
};

/* ---- how many -------------------------------------------------------------------- */

static unsigned at_most(unsigned most, unsigned value)
{
    return value < most ? value : most;
}

/* Of `cpus` CPUs, those that the quota pays for, rounded up. */
static unsigned paid(unsigned cpus, unsigned quota_milli)
{
    if (quota_milli != PF_QUOTA_NONE)
        cpus = at_most(cpus, quota_milli / 1000 + (quota_milli % 1000 != 0));
    return cpus > 0 ? at_most(PF_WORKERS_MAX, cpus) : 1;
}

static unsigned weight(hwloc_const_bitmap_t set)
{
    int count = hwloc_bitmap_weight(set); /* -1: without end */
    return count < 0 ? UINT_MAX : (unsigned)count;
}

unsigned pf__plan_workers(hwloc_const_bitmap_t allowed, unsigned quota_milli)
{
    return paid(weight(allowed), quota_milli);
}

static unsigned workers_of(const struct pf_plan_request *request, unsigned threads)
{
    if (request->workers > 0)
        return request->workers;
    unsigned lanes = request->pin == PF_PIN_LIST
                         ? paid(request->list_len, request->quota_milli)
                         : pf__plan_workers(request->allowed, request->quota_milli);
    return at_most(PF_LANES_MAX / threads, (lanes + threads - 1) / threads);
}

/* ---- the pool -------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const struct place *one = a, *other = b;
    for (int i = 0; i < KEYS; i++)
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
                      hwloc_obj_t pu, struct pool *pool)
{
    hwloc_const_bitmap_t core = walk->core ? walk->core->cpuset : pu->cpuset;
    bool is_near = request->near && hwloc_bitmap_intersects(core, request->near);
    struct place *place = &pool->places[pool->count];
    *place = (struct place){
        .pu = pu,
        .seat = {.cpu = (int)pu->os_index,
                 .core = walk->cores - 1,
                 .cache = walk->cache ? walk->caches - 1 : -1,
                 .node = walk->node},
        .key = {[BY_THREAD] = walk->thread++,
                [BY_KIND] = -efficiency(request->topology, pu),
                [BY_DISTANCE] = !is_near,
                [BY_POSITION] = (int)pool->count},
        .node = walk->node >= 0 ? walk->nodes : 0,
    };
    pool->count++;
}

/* Count what has an allowed CPU for the plan's reader. */
static void count_known(struct walk *walk, const struct place *place,
                        struct pf_cpu_plan *plan)
{
    plan->cores += place->seat.core != walk->last_core;
    plan->caches += place->seat.cache >= 0 && place->seat.cache != walk->last_cache;
    plan->nodes += place->node != 0 && place->node != walk->last_node;
    walk->last_core = place->seat.core;
    walk->last_cache = place->seat.cache;
    walk->last_node = place->node;
}

/* The allowed CPUs that the topology does not know, as many as could ever be given. */
static void add_unknown(const struct pf_plan_request *request, struct pool *pool)
{
    hwloc_const_bitmap_t known =
        request->topology ? hwloc_topology_get_topology_cpuset(request->topology) : NULL;
    unsigned added = 0;
    for (int cpu = hwloc_bitmap_first(request->allowed); cpu >= 0 && added < PF_LANES_MAX;
         cpu = hwloc_bitmap_next(request->allowed, cpu)) {
        if (known && hwloc_bitmap_isset(known, (unsigned)cpu))
            continue;
        pool->places[pool->count] = (struct place){
            .seat = {.cpu = cpu, .core = -1, .cache = -1, .node = -1},
            .key = {[BY_THREAD] = INT_MAX, [BY_POSITION] = (int)pool->count}};
        pool->count++;
        added++;
    }
}

static int fill(struct pool *pool, const struct pf_plan_request *request,
                struct pf_cpu_plan *plan)
{
    hwloc_topology_t topology = request->topology;
    int pus = topology ? hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU) : 0;
    size_t most = (pus > 0 ? (size_t)pus : 0) + PF_LANES_MAX;
    pool->places = calloc(most, sizeof *pool->places);
    pool->counts = calloc(most + 1, sizeof *pool->counts);
    if (!pool->places || !pool->counts)
        return -ENOMEM;
    struct walk walk = {.last_core = -1, .last_cache = -1};
    for (hwloc_obj_t pu = NULL;
         topology && (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu));) {
        step(topology, &walk, pu);
        if (!hwloc_bitmap_isset(request->allowed, pu->os_index))
            continue;
        add_known(request, &walk, pu, pool);
        count_known(&walk, &pool->places[pool->count - 1], plan);
    }
    add_unknown(request, pool);
    qsort(pool->places, pool->count, sizeof *pool->places, compare_places);
    pool->companies =
        1 + (walk.nodes > (unsigned)walk.caches ? walk.nodes : (unsigned)walk.caches);
    pool->left = pool->count;
    plan->cpus = pool->count;
    return 0;
}

static void drain(struct pool *pool)
{
    free(pool->places);
    free(pool->counts);
}

/* ---- taking ---------------------------------------------------------------------- */

/* With which others could this place serve a worker? */
static unsigned company(const struct place *place, enum common common)
{
    if (common == NOTHING)
        return 0;
    return common == SAME_CACHE ? (unsigned)(place->seat.cache + 1) : place->node;
}

/* May it be taken for a worker whose best place is `first`? */
static bool suits(const struct place *place, const struct place *first, enum common common)
{
    return !place->taken && (common >= SAME_NODE_SHARED_CORES ||
                             place->key[BY_THREAD] == first->key[BY_THREAD]);
}

/* The first place that has `wanted` in common with others, itself included; or NULL. */
static struct place *find(struct pool *pool, struct place *first, unsigned wanted,
                          enum common common)
{
    struct place *end = pool->places + pool->count;
    memset(pool->counts, 0, pool->companies * sizeof *pool->counts);
    for (struct place *place = first; place < end; place++)
        if (suits(place, first, common))
            pool->counts[company(place, common)]++;
    for (struct place *place = first; place < end; place++)
        if (suits(place, first, common) && pool->counts[company(place, common)] >= wanted)
            return place;
    return NULL;
}

/* Take as many as wanted (not more than are left), as near to each other as can be, in the
 * order of the pool. */
static void take(struct pool *pool, unsigned wanted, struct pf_cpu_seat *seats)
{
    struct place *first = pool->places, *place = NULL;
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

static void refill(struct pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++)
        pool->places[i].taken = false;
    pool->left = pool->count;
}

static void seat_worker(struct pool *pool, struct pf_cpu_seat *seats, unsigned threads)
{
    for (unsigned seated = 0; seated < threads;) {
        if (pool->left == 0)
            refill(pool);
        unsigned wanted = at_most(pool->left, threads - seated);
        take(pool, wanted, seats + seated);
        seated += wanted;
    }
}

static const struct place *place_of(const struct pool *pool, int cpu)
{
    for (unsigned i = 0; i < pool->count; i++)
        if (pool->places[i].seat.cpu == cpu)
            return &pool->places[i];
    return NULL;
}

static void seat_by_list(const struct pf_plan_request *request, const struct pool *pool,
                         struct pf_cpu_plan *plan)
{
    for (unsigned lane = 0; lane < plan->lanes; lane++) {
        int cpu = request->list[lane % request->list_len];
        const struct place *place = place_of(pool, cpu);
        plan->seat[lane] =
            place ? place->seat : (struct pf_cpu_seat){cpu, -1, -1, -1, NULL};
    }
    plan->wraps = plan->lanes > request->list_len;
}

static void seat_nobody(struct pf_cpu_plan *plan)
{
    for (unsigned lane = 0; lane < plan->lanes; lane++)
        plan->seat[lane] = (struct pf_cpu_seat){-1, -1, -1, -1, NULL};
}

/* ---- groups ---------------------------------------------------------------------- */

/*
 * The allowed CPUs around one, into `group`: of its last-level cache, of its node, of the
 * machine, whichever is the first to reach beyond its core. Returns 0 or -ENOMEM.
 */
static int reach(const struct pf_plan_request *request, hwloc_obj_t pu,
                 hwloc_bitmap_t group)
{
    if (!pu)
        return hwloc_bitmap_copy(group, request->allowed) < 0 ? -ENOMEM : 0;
    hwloc_obj_t core =
        hwloc_get_ancestor_obj_by_type(request->topology, HWLOC_OBJ_CORE, pu);
    hwloc_obj_t cache = last_cache(pu);
    for (hwloc_obj_t obj = cache ? cache : pu; obj; obj = obj->parent) {
        if (obj != cache && obj->memory_arity == 0 && obj->parent)
            continue;
        if (hwloc_bitmap_and(group, obj->cpuset, request->allowed) < 0)
            return -ENOMEM;
        if (!hwloc_bitmap_isincluded(group, core ? core->cpuset : pu->cpuset))
            break;
    }
    return 0;
}

/* One bitmap for all lanes that have the same group. */
static hwloc_const_bitmap_t keep_group(struct pf_cpu_plan *plan, hwloc_const_bitmap_t group)
{
    for (unsigned i = 0; i < plan->group_count; i++)
        if (hwloc_bitmap_isequal(plan->groups[i], group))
            return plan->groups[i];
    hwloc_bitmap_t kept = hwloc_bitmap_dup(group);
    if (kept)
        plan->groups[plan->group_count++] = kept;
    return kept;
}

static int group(const struct pf_plan_request *request, const struct pool *pool,
                 struct pf_cpu_plan *plan)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int err = set ? 0 : -ENOMEM;
    for (unsigned lane = 0; lane < plan->lanes && !err; lane++) {
        struct pf_cpu_seat *seat = &plan->seat[lane];
        err = reach(request, place_of(pool, seat->cpu)->pu, set);
        if (!err && !(seat->group = keep_group(plan, set)))
            err = -ENOMEM;
    }
    plan->grouped = true;
    hwloc_bitmap_free(set);
    return err;
}

/* A quota is spent by all CPUs together. */
static bool is_short(const struct pf_plan_request *request)
{
    return request->quota_milli != PF_QUOTA_NONE &&
           request->quota_milli / 1000 < weight(request->allowed);
}

/* ---- the plan -------------------------------------------------------------------- */

static int check_list(const struct pf_plan_request *request, char *why, size_t why_len)
{
    if (!request->list || request->list_len == 0) {
        (void)snprintf(why, why_len, "no CPU is listed");
        return -EINVAL;
    }
    for (unsigned i = 0; i < request->list_len; i++) {
        if (hwloc_bitmap_isset(request->allowed, request->list[i]))
            continue;
        char allowed[64];
        (void)hwloc_bitmap_list_snprintf(allowed, sizeof allowed, request->allowed);
        (void)snprintf(why, why_len, "CPU %u is not one that may be used here: %s",
                       request->list[i], allowed);
        return -EINVAL;
    }
    return 0;
}

static int check(const struct pf_plan_request *request, unsigned workers, unsigned threads,
                 char *why, size_t why_len)
{
    if (threads > PF_THREADS_MAX)
        (void)snprintf(why, why_len, "%u threads are too many for a worker, at most %u",
                       threads, PF_THREADS_MAX);
    else if (workers > PF_LANES_MAX / threads)
        (void)snprintf(why, why_len, "%u workers of %u threads are too many, at most %u",
                       workers, threads, PF_LANES_MAX / threads);
    else if (hwloc_bitmap_iszero(request->allowed))
        (void)snprintf(why, why_len, "no CPU may be used here");
    else
        return request->pin == PF_PIN_LIST ? check_list(request, why, why_len) : 0;
    return -EINVAL;
}

static int seat_all(const struct pf_plan_request *request, struct pool *pool,
                    struct pf_cpu_plan *plan)
{
    switch (request->pin) {
    case PF_PIN_NONE:
        seat_nobody(plan);
        return 0;
    case PF_PIN_LIST:
        seat_by_list(request, pool, plan);
        return 0;
    case PF_PIN_AUTO:
    case PF_PIN_STRICT:
        break;
    }
    for (unsigned worker = 0; worker < plan->workers; worker++)
        seat_worker(pool, plan->seat + worker * plan->threads, plan->threads);
    plan->wraps = plan->lanes > pool->count;
    return request->pin == PF_PIN_AUTO && is_short(request) ? group(request, pool, plan)
                                                            : 0;
}

int pf__plan_make(const struct pf_plan_request *request, char *why, size_t why_len,
                  struct pf_cpu_plan *out)
{
    unsigned threads = request->threads > 0 ? request->threads : 1;
    unsigned workers = workers_of(request, at_most(PF_THREADS_MAX, threads));
    int err = check(request, workers, threads, why, why_len);
    if (err)
        return err;

    struct pf_cpu_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return -ENOMEM;
    plan->workers = workers;
    plan->threads = threads;
    plan->lanes = workers * threads;
    struct pool pool = {0};
    err = fill(&pool, request, plan);
    if (!err)
        err = seat_all(request, &pool, plan);
    if (err)
        pf__plan_fini(plan);
    else
        *out = *plan;
    drain(&pool);
    free(plan);
    return err;
}

void pf__plan_fini(struct pf_cpu_plan *plan)
{
    for (unsigned i = 0; i < plan->group_count; i++)
        hwloc_bitmap_free(plan->groups[i]);
    plan->group_count = 0;
}

int pf__plan_near(const struct pf_cpu_plan *plan, unsigned lane_a, unsigned lane_b)
{
    if (lane_a >= plan->lanes || lane_b >= plan->lanes)
        return 4;
    const struct pf_cpu_seat *a = &plan->seat[lane_a], *b = &plan->seat[lane_b];
    if (lane_a == lane_b)
        return 0;
    /* In a group the CPU and the core only stand for the lane. */
    if (!plan->grouped && a->cpu >= 0 && a->cpu == b->cpu)
        return 0;
    if (!plan->grouped && a->core >= 0 && a->core == b->core)
        return 1;
    if ((a->cache >= 0 && a->cache == b->cache) || (a->group && a->group == b->group))
        return 2;
    return a->node >= 0 && a->node == b->node ? 3 : 4;
}

/* ---- lists ------------------------------------------------------------------------ */

/* A CPU's number at *at, which moves behind it; or -1. */
static long read_number(const char **at)
{
    long number = 0;
    if (!isdigit((unsigned char)**at))
        return -1;
    for (; isdigit((unsigned char)**at); ++*at)
        if (number <= USHRT_MAX)
            number = number * 10 + (**at - '0');
    return number;
}

/* "N" or "N-M" at *at, which moves behind it. Returns what is wrong, or NULL. */
static const char *read_range(const char **at, long *first, long *last)
{
    *first = *last = read_number(at);
    if (**at == '-' && *first >= 0) {
        ++*at;
        *last = read_number(at);
    }
    if (*first < 0 || *last < 0 || (**at && **at != ','))
        return "is no list of CPUs: write numbers and ranges, such as 0,2-5";
    if (*first > USHRT_MAX || *last > USHRT_MAX)
        return "has a number too high for a CPU: at most 65535";
    return *first > *last ? "has a range that goes down: write the lower number first"
                          : NULL;
}

int pf__plan_parse_list(const char *text, unsigned short *cpus, unsigned max, char *why,
                        size_t why_len)
{
    unsigned count = 0;
    for (const char *at = text;; at++) {
        long first, last;
        const char *wrong = read_range(&at, &first, &last);
        if (wrong) {
            (void)snprintf(why, why_len, "\"%.40s\" %s", text, wrong);
            return -EINVAL;
        }
        if ((unsigned long)(last - first) >= max - count) {
            (void)snprintf(why, why_len, "\"%.40s\" lists too many CPUs: at most %u", text,
                           max);
            return -EINVAL;
        }
        while (first <= last)
            cpus[count++] = (unsigned short)first++;
        if (!*at)
            return (int)count;
    }
}
