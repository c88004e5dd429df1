/*
 * lanes.c - who watches whose listeners: adoption, and what is steered where.
 *
 * Each lane has listening sockets of its own, and what stands in their queues waits for it.
 * If nobody serves a lane (its slot is empty, its loop is stuck, it has enough) a neighbour
 * watches its sockets too until it serves again, and new connections are steered past it.
 * The new watcher comes before the old one is told to go: two are harmless, none is not.
 *
 * Listeners that all lanes share need none of this.
 */
#include "master/internal.h"

#include "net/steer.h"

#include <prefork/log.h>

#include <stdlib.h>
#include <string.h>

/* A lane that could not adopt is not asked again for so long. */
#define UNABLE_NS PF_SECOND

/* ---- what there is --------------------------------------------------------------- */

/* Nobody has accepted here for a while, or will not: a boot is mostly over before. */
static bool is_absent(struct pf__slot *slot)
{
    int64_t now = pf__master_now(slot->master);
    if (!slot->empty_since_ns)
        slot->empty_since_ns = now;
    return now - slot->empty_since_ns >= PF__ABSENT_NS ||
           slot->due_ns - now >= PF__ABSENT_NS;
}

static struct pf__lane_view view_of(struct pf__master *master, unsigned at)
{
    const struct pf__lane *lane = &master->lanes[at];
    struct pf__slot *slot = &master->slots[at / master->threads];
    bool accepts = pf__worker_accepts(pf__slot_worker(slot));
    if (accepts)
        slot->empty_since_ns = 0;
    struct pf__lane_view view = {.serves = accepts && !lane->stuck && !lane->full,
                                 .unable = lane->unable_until_ns > pf__master_now(master),
                                 .adopter = lane->adopter};
    view.orphaned = master->lanes_have_own && !view.serves && (accepts || is_absent(slot));
    return view;
}

static int distance(const void *arg, unsigned a, unsigned b)
{
    return pf__plan_near(arg, a, b);
}

/* ---- adoption -------------------------------------------------------------------- */

static int tell_adopter(struct pf__master *master, int adopter, enum pf_ipc_type type,
                        unsigned owner)
{
    struct pf__ipc_lane named = {.thread = (unsigned)adopter % master->threads,
                                 .owner = owner,
                                 .adoption = master->lanes[owner].adoption};
    int fds[PF__ADDRESSES_MAX];
    size_t count = 0;
    if (type == PF_IPC_ADOPT)
        count = pf__listeners_own(&master->listeners, owner, fds);
    return pf__worker_tell(pf__lane_worker(master, (unsigned)adopter), type, &named,
                           sizeof named, fds, count);
}

/* Lanes are told as WORKER.THREAD. */
static void log_adoption(const struct pf__master *master, const char *event, unsigned at,
                         int by)
{
    unsigned threads = master->threads, adopter = (unsigned)by;
    pf_log(PF_LOG_INFO, event, "lane=%u.%u by=%u.%u", at / threads, at % threads,
           adopter / threads, adopter % threads);
}

static void unable(struct pf__master *master, unsigned adopter)
{
    master->lanes[adopter].unable_until_ns = pf__master_now(master) + UNABLE_NS;
}

/* Returns whether it could be told. */
static bool adopt(struct pf__master *master, unsigned at, int by)
{
    struct pf__lane *lane = &master->lanes[at];
    lane->adoption++;
    if (tell_adopter(master, by, PF_IPC_ADOPT, at) != 0) {
        lane->adoption--;
        unable(master, (unsigned)by);
        return false;
    }
    lane->adopter = by;
    master->tally.adoptions++;
    log_adoption(master, "adoption", at, by);
    return true;
}

static void change_adopter(struct pf__master *master, unsigned at, int to)
{
    struct pf__lane *lane = &master->lanes[at];
    int from = lane->adopter;
    if (to != PF__NOBODY && !adopt(master, at, to))
        return; /* as it was, until the next one is asked */
    lane->adopter = to;
    if (from != PF__NOBODY) {
        (void)tell_adopter(master, from, PF_IPC_RELEASE, at); /* else two watch */
        log_adoption(master, "adoption-over", at, from);
    }
}

/* An answer to an earlier adoption says nothing about the present one. */
void pf__lanes_unable(struct pf__master *master, unsigned adopter,
                      const struct pf__ipc_lane *named)
{
    struct pf__lane *lane = &master->lanes[named->owner];
    if (lane->adopter != (int)adopter || lane->adoption != named->adoption)
        return;
    unable(master, adopter);
    lane->adopter = PF__NOBODY;
}

void pf__lanes_forget(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    for (unsigned i = 0; i < master->lane_count; i++) {
        struct pf__lane *lane = &master->lanes[i];
        if (lane->adopter != PF__NOBODY &&
            pf__lane_worker(master, (unsigned)lane->adopter) == worker)
            lane->adopter = PF__NOBODY;
    }
}

/* A successor may have paused before it was the current one: nobody listened then. */
void pf__lanes_anew(struct pf__slot *slot)
{
    struct pf__master *master = slot->master;
    struct pf__worker *worker = pf__slot_worker(slot);
    for (unsigned i = 0; i < master->threads; i++) {
        struct pf__lane *lane = &master->lanes[slot->number * master->threads + i];
        lane->full =
            worker->pid && pf__worker_get(worker, i, PF__COLUMN_STATE) == PF_WORKER_PAUSED;
        lane->overflow = lane->stuck = lane->queue = false;
        lane->pulse = (struct pf__pulse){0};
    }
}

/* A lane that is full and has nobody to take over goes on up to its hard limit. */
static void let_overflow(struct pf__master *master, unsigned at)
{
    struct pf__lane *lane = &master->lanes[at];
    if (!lane->full || lane->overflow || lane->adopter != PF__NOBODY)
        return;
    struct pf__ipc_lane named = {.thread = at % master->threads, .owner = at};
    lane->overflow = pf__worker_tell(pf__lane_worker(master, at), PF_IPC_OVERFLOW, &named,
                                     sizeof named, NULL, 0) == 0;
}

/* ---- steering -------------------------------------------------------------------- */

static void steer(struct pf__master *master)
{
    struct pf_steer_member *members = calloc(master->lane_count, sizeof *members);
    struct sock_filter *program = calloc(BPF_MAXINSNS, sizeof *program);
    int count = -1;
    if (members && program) {
        for (unsigned i = 0; i < master->lane_count; i++)
            members[i] = (struct pf_steer_member){.cpu = master->plan.seat[i].cpu,
                                                  .excluded = master->lanes[i].excluded};
        count = pf_steer_program((enum pf_steer)master->options->steering, members,
                                 master->lane_count, program, BPF_MAXINSNS);
    }
    if (count >= 0)
        pf__listeners_steer(&master->listeners, program, (unsigned)count);
    else
        pf_log(PF_LOG_WARN, "not-steered", "error=%s", strerror(members ? -count : 12));
    free(members);
    free(program);
}

/* Note who is to get nothing new; returns whether that has changed. */
static bool exclude(struct pf__master *master, const struct pf__lane_view *views)
{
    bool any_serves = false, changed = false;
    for (unsigned i = 0; i < master->lane_count; i++)
        any_serves = any_serves || views[i].serves;
    for (unsigned i = 0; i < master->lane_count; i++) {
        bool excluded = any_serves && views[i].orphaned;
        changed = changed || excluded != master->lanes[i].excluded;
        master->lanes[i].excluded = excluded;
    }
    return changed;
}

/* ---- the review ------------------------------------------------------------------ */

void pf__lanes_review(struct pf__master *master)
{
    unsigned count = master->lane_count;
    struct pf__lane_view *views = calloc(count, sizeof *views);
    int *adopters = calloc(count, sizeof *adopters);
    if (!views || !adopters) {
        free(views);
        free(adopters);
        return; /* looked at again with the next event or tick */
    }
    for (unsigned i = 0; i < count; i++)
        views[i] = view_of(master, i);
    pf__policy_adopters(views, count, distance, &master->plan, adopters);
    for (unsigned i = 0; i < count; i++) {
        if (adopters[i] != master->lanes[i].adopter)
            change_adopter(master, i, adopters[i]);
        let_overflow(master, i);
    }
    if (exclude(master, views) || !master->steered)
        steer(master);
    master->steered = true;
    free(views);
    free(adopters);
}
