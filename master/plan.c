/*
 * plan.c - which lane runs on which CPU: pure policy over a hwloc topology.
 *
 * How many lanes, and how each is pinned, is decided here; which CPU is the next to be
 * given, in places.c.
 */
#include "master/plan.h"

#include "master/places.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- seats ----------------------------------------------------------------------- */

static void seat_by_list(const struct pf_plan_request *request,
                         const struct pf__places *pool, struct pf_cpu_plan *plan)
{
    for (unsigned lane = 0; lane < plan->lanes; lane++) {
        int cpu = request->list[lane % request->list_len];
        const struct pf__place *place = pf__places_find(pool, cpu);
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
static int reach(const struct pf__place *place, hwloc_const_bitmap_t allowed,
                 hwloc_bitmap_t group)
{
    if (!place->pu)
        return hwloc_bitmap_copy(group, allowed) < 0 ? -ENOMEM : 0;
    hwloc_const_bitmap_t core = (place->core ? place->core : place->pu)->cpuset;
    for (hwloc_obj_t obj = place->cache ? place->cache : place->pu; obj;
         obj = obj->parent) {
        if (obj != place->cache && obj->memory_arity == 0 && obj->parent)
            continue;
        if (hwloc_bitmap_and(group, obj->cpuset, allowed) < 0)
            return -ENOMEM;
        if (!hwloc_bitmap_isincluded(group, core))
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

static int group(const struct pf_plan_request *request, const struct pf__places *pool,
                 struct pf_cpu_plan *plan)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int err = set ? 0 : -ENOMEM;
    for (unsigned lane = 0; lane < plan->lanes && !err; lane++) {
        struct pf_cpu_seat *seat = &plan->seat[lane];
        err = reach(pf__places_find(pool, seat->cpu), request->allowed, set);
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

static int seat_all(const struct pf_plan_request *request, struct pf__places *pool,
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
        pf__places_take(pool, plan->seat + worker * plan->threads, plan->threads);
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
    struct pf__places pool = {0};
    err = pf__places_fill(&pool, request);
    if (!err) {
        plan->cpus = pool.count;
        plan->cores = pool.cores;
        plan->caches = pool.caches;
        plan->nodes = pool.nodes;
        err = seat_all(request, &pool, plan);
    }
    if (err)
        pf__plan_fini(plan);
    else
        *out = *plan;
    pf__places_fini(&pool);
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
