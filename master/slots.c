/*
 * slots.c - the workers' places: filled, and filled anew before a worker leaves.
 *
 * What a slot wants is decided by pf__policy_slot(); here it is done. A slot has two seats,
 * so that a successor can be ready, and accept, before its predecessor stops.
 */
#include "master/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

unsigned pf__slots_alive(const struct pf__master *master)
{
    unsigned n = 0;
    for (unsigned i = 0; i < master->slot_count; i++)
        for (unsigned seat = 0; seat < 2; seat++)
            n += master->slots[i].seats[seat].pid != 0;
    return n;
}

unsigned pf__slots_accepting(const struct pf__master *master)
{
    unsigned n = 0;
    for (unsigned i = 0; i < master->slot_count; i++)
        n += pf__worker_accepts(&master->slots[i].seats[master->slots[i].current]);
    return n;
}

struct pf__worker *pf__slots_find(struct pf__master *master, pid_t pid)
{
    for (unsigned i = 0; i < master->slot_count; i++)
        for (unsigned seat = 0; seat < 2; seat++)
            if (master->slots[i].seats[seat].pid == pid)
                return &master->slots[i].seats[seat];
    return NULL;
}

/* ---- when it is due -------------------------------------------------------------- */

static int slot_on_due(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__slot *slot = arg;
    slot->refill = (pf_timer){0};
    pf__master_review(slot->master);
    return 0;
}

void pf__slot_refill(struct pf__slot *slot, int64_t delay_ns)
{
    struct pf__master *master = slot->master;
    slot->due_ns = pf__master_now(master) + delay_ns;
    (void)pf_loop_remove_timeout(master->loop, slot->refill);
    slot->refill = (pf_timer){0};
    if (delay_ns == 0)
        return;
    int err = pf_loop_call_later(master->loop, delay_ns, slot_on_due, slot, &slot->refill);
    if (err) /* each slot has a place reserved: see master.c; the tick looks as well */
        pf_log(PF_LOG_ERROR, "slot-not-timed", "worker=%u error=%s", slot->number,
               strerror(-err));
}

/* ---- doing what policy wants ----------------------------------------------------- */

static enum pf__seat_kind kind_of(const struct pf__worker *worker)
{
    if (!worker->pid)
        return PF__SEAT_EMPTY;
    if (worker->fate != PF__FATE_LIVE || worker->state >= PF_WORKER_DRAINING)
        return PF__SEAT_LEAVING;
    return worker->state == PF_WORKER_ACCEPTING ? PF__SEAT_ACCEPTING : PF__SEAT_BOOTING;
}

/* Is another slot replacing its worker? One at a time. */
static bool replaces_elsewhere(const struct pf__slot *slot)
{
    const struct pf__master *master = slot->master;
    for (unsigned i = 0; i < master->slot_count; i++) {
        const struct pf__slot *other = &master->slots[i];
        enum pf__seat_kind kind = kind_of(&other->seats[!other->current]);
        if (other != slot && (kind == PF__SEAT_BOOTING || kind == PF__SEAT_ACCEPTING))
            return true;
    }
    return false;
}

static enum pf__slot_action wanted(struct pf__slot *slot, const char **worn)
{
    struct pf__master *master = slot->master;
    struct pf__slot_view view = {.current = kind_of(pf__slot_worker(slot)),
                                 .other = kind_of(pf__slot_other(slot)),
                                 .stopping = master->stop != PF__STOP_NOT,
                                 .due = pf__master_now(master) >= slot->due_ns};
    if (view.current == PF__SEAT_ACCEPTING)
        *worn = pf__worker_worn(pf__slot_worker(slot));
    view.worn = *worn != NULL;
    view.turn = view.worn && !replaces_elsewhere(slot);
    return pf__policy_slot(&view);
}

/* It costs little to try, so it is tried again soon, with siblings or without. */
static void fork_failed(struct pf__slot *slot, int err)
{
    if (!slot->master->begun) {
        pf_log(PF_LOG_ERROR, "fork-failed", "worker=%u error=%s next=none the-server-stops",
               slot->number, strerror(-err));
        return;
    }
    slot->failures++;
    int64_t delay = pf__policy_delay(slot->failures, false, true, 1);
    pf_log(PF_LOG_WARN, "fork-failed", "worker=%u error=%s next-in=%.1fs", slot->number,
           strerror(-err), (double)delay / 1e9);
    pf__slot_refill(slot, delay);
}

/* Told once for all slots and a while: they may be many, and wait for each other. */
static void fork_later(struct pf__slot *slot, int64_t wait_ns)
{
    struct pf__master *master = slot->master;
    int64_t now = pf__master_now(master);
    pf__slot_refill(slot, wait_ns > PF__TICK_NS ? wait_ns : PF__TICK_NS);
    if (master->fork_limit_ns && now - master->fork_limit_ns < PF__FORKS_WINDOW_NS)
        return;
    master->fork_limit_ns = now;
    pf_log(PF_LOG_WARN, "fork-limit", "worker=%u next-in=%.1fs", slot->number,
           (double)wait_ns / 1e9);
}

/* Fork, unless too much has been forked; if that fails, later. */
static int start(struct pf__worker *worker)
{
    struct pf__slot *slot = worker->slot;
    struct pf__master *master = slot->master;
    int64_t used_up_ns = master->forks_used_up_ns;
    int64_t wait_ns =
        pf__policy_fork(&used_up_ns, master->slot_count, pf__master_now(master));
    if (wait_ns) {
        fork_later(slot, wait_ns);
        return 0;
    }
    int err = pf__worker_start(worker);
    if (err)
        fork_failed(slot, err);
    else
        master->forks_used_up_ns = used_up_ns;
    return err;
}

static void promote(struct pf__slot *slot)
{
    pf__lanes_forget(pf__slot_worker(slot));
    slot->current = !slot->current;
    pf__lanes_anew(slot);
}

static void swap(struct pf__slot *slot)
{
    struct pf__worker *old = pf__slot_worker(slot);
    promote(slot);
    old->fate = PF__FATE_RECYCLE;
    slot->master->tally.recycled++;
    slot->master->healthy_at_ns = pf__master_now(slot->master); /* however short its life */
    pf__worker_drain(old, false);
    pf__worker_limit_leaving(old);
}

static void tell_to_stop(struct pf__worker *worker)
{
    if (pf__worker_tell(worker, PF_IPC_STOP, NULL, 0, NULL, 0) != 0)
        kill(worker->pid, SIGINT); /* as good as it gets */
}

/* What it has open is dropped; the other one still finishes its own. */
static void evict(struct pf__worker *old)
{
    if (old->fate == PF__FATE_EVICT || old->fate == PF__FATE_HANG)
        return; /* on its way out as fast as it can */
    pf_log(PF_LOG_WARN, "evicting", "worker=%u pid=%ld why=both-seats-leave",
           old->slot->number, (long)old->pid);
    old->fate = PF__FATE_EVICT;
    tell_to_stop(old);
}

static int act(struct pf__slot *slot)
{
    const char *worn = NULL;
    switch (wanted(slot, &worn)) {
    case PF__SLOT_WAIT:
    case PF__SLOT_ACTIONS:
        return 0;
    case PF__SLOT_START:
        return start(pf__slot_worker(slot));
    case PF__SLOT_REPLACE:
        if (worn)
            pf_log(PF_LOG_INFO, "recycling", "worker=%u pid=%ld why=%s", slot->number,
                   (long)pf__slot_worker(slot)->pid, worn);
        return start(pf__slot_other(slot));
    case PF__SLOT_PROMOTE:
        promote(slot);
        return 0;
    case PF__SLOT_SWAP:
        swap(slot);
        return 0;
    case PF__SLOT_EVICT:
        evict(pf__slot_other(slot));
        return 0;
    }
    return 0;
}

int pf__slots_review(struct pf__master *master)
{
    int err = 0;
    for (unsigned i = 0; i < master->slot_count && (!err || master->begun); i++)
        err = act(&master->slots[i]);
    return master->begun ? 0 : err;
}

/* ---- stopping -------------------------------------------------------------------- */

static void stop_one(struct pf__worker *worker, enum pf__stop how)
{
    if (!worker->pid)
        return;
    if (worker->fate != PF__FATE_HANG)
        worker->fate = PF__FATE_LEAVE;
    if (how == PF__STOP_KILL)
        pf__worker_kill(worker, SIGKILL, "stop");
    else if (how == PF__STOP_GRACEFUL)
        pf__worker_drain(worker, true);
    else
        tell_to_stop(worker);
}

void pf__slots_stop(struct pf__master *master)
{
    for (unsigned i = 0; i < master->slot_count; i++) {
        struct pf__slot *slot = &master->slots[i];
        (void)pf_loop_remove_timeout(master->loop, slot->refill);
        slot->refill = (pf_timer){0};
        for (unsigned seat = 0; seat < 2; seat++)
            stop_one(&slot->seats[seat], master->stop);
    }
}
