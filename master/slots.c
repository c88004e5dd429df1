/*
 * slots.c - the workers' places: filled, watched, emptied, filled again.
 *
 * Two things end a worker's time in its slot, in either order: SIGCHLD, after which it is
 * reaped here, and the end of its channel, which is only noted. The slot is free when the
 * process is reaped, never before, so its pid cannot be anybody else's.
 */
#include "master/internal.h"
#include "master/policy.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

unsigned pf__slots_alive(const struct pf__master *master)
{
    unsigned n = 0;
    for (unsigned i = 0; i < master->slot_count; i++)
        n += master->slots[i].pid != 0;
    return n;
}

unsigned pf__slots_accepting(const struct pf__master *master)
{
    unsigned n = 0;
    for (unsigned i = 0; i < master->slot_count; i++)
        n += master->slots[i].pid != 0 && master->slots[i].state == PF_WORKER_ACCEPTING;
    return n;
}

/* The worker's state as its messages tell it; it has checked its own moves, so a wrong one
 * here means a message of a worker that is not right in its head. */
static bool set_state(struct pf__slot *slot, enum pf_worker_state to)
{
    if (!pf__worker_may_move(slot->state, to)) {
        pf_log(PF_LOG_WARN, "worker-out-of-order", "worker=%u %s->%s ignored", slot->number,
               pf__worker_state_name(slot->state), pf__worker_state_name(to));
        return false;
    }
    slot->state = to;
    return true;
}

static void tell(struct pf__slot *slot, enum pf_ipc_type type)
{
    int err = pf_channel_send(slot->channel, (uint16_t)type, NULL, 0, NULL, 0);
    if (err)
        pf_log(PF_LOG_DEBUG, "message-not-sent", "worker=%u type=%d error=%s", slot->number,
               (int)type, strerror(-err));
}

static void kill_worker(const struct pf__slot *slot, const char *why)
{
    pf_log(PF_LOG_WARN, "worker-killed", "worker=%u pid=%ld why=%s", slot->number,
           (long)slot->pid, why);
    kill(slot->pid, SIGKILL); /* ours until reaped: it cannot be another process */
}

static void clear_timer(struct pf__slot *slot)
{
    (void)pf_loop_remove_timeout(slot->master->loop, slot->timer);
    slot->timer = (pf_timer){0};
}

/* ---- filling --------------------------------------------------------------------- */

static int slot_on_refill(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__slot *slot = arg;
    slot->timer = (pf_timer){0};
    (void)pf__slot_fill(slot); /* tried again if it fails */
    return 0;
}

static int slot_on_boot_limit(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__slot *slot = arg;
    slot->timer = (pf_timer){0};
    kill_worker(slot, "boot-limit");
    return 0;
}

static void refill_later(struct pf__slot *slot, int64_t delay_ns)
{
    int err = pf_loop_call_later(slot->master->loop, delay_ns, slot_on_refill, slot,
                                 &slot->timer);
    if (err) /* the table of timers has one place for each slot: see reserve in master.c */
        pf_log(PF_LOG_ERROR, "slot-not-refilled", "worker=%u error=%s", slot->number,
               strerror(-err));
}

static void slot_on_message(pf_channel *channel, const struct pf_message *message,
                            void *arg)
{
    (void)channel;
    struct pf__slot *slot = arg;
    if (message->type == PF_IPC_READY) {
        if (!set_state(slot, PF_WORKER_READY))
            return;
        slot->was_ready = true;
        slot->master->ever_ready = true;
        if (!slot->commanded)
            tell(slot, PF_IPC_GO);
    } else if (message->type == PF_IPC_ACCEPTING) {
        if (!set_state(slot, PF_WORKER_ACCEPTING))
            return;
        clear_timer(slot);
        pf_log(PF_LOG_INFO, "worker-accepts", "worker=%u pid=%ld cpu=%d", slot->number,
               (long)slot->pid, slot->master->plan.seat[slot->number].cpu);
        pf__master_review(slot->master);
    }
}

static void slot_on_closed(pf_channel *channel, int reason, void *arg)
{
    struct pf__slot *slot = arg;
    slot->channel = NULL;
    pf_channel_free(channel);
    if (reason == -EPROTO)
        kill_worker(slot, "broken-message");
}

static void score(struct pf__slot *slot)
{
    const struct pf__master *master = slot->master;
    pf_score(pf_scoreboard_cell(master->board, slot->number, PF__COLUMN_SLOT),
             slot->number);
    pf_score(pf_scoreboard_cell(master->board, slot->number, PF__COLUMN_PID),
             (uint64_t)slot->pid);
    pf_score(pf_scoreboard_cell(master->board, slot->number, PF__COLUMN_CPU),
             (uint64_t)(int64_t)master->plan.seat[slot->number].cpu);
}

int pf__slot_fill(struct pf__slot *slot)
{
    struct pf__master *master = slot->master;
    int channel_fd;
    int pid = pf__spawn(slot, &channel_fd);
    if (pid < 0) {
        pf_log(PF_LOG_ERROR, "fork-failed", "worker=%u error=%s", slot->number,
               strerror(-pid));
        slot->failures++;
        refill_later(slot, pf__policy_delay(slot->failures, false, false, 1.0));
        pf__master_review(master);
        return pid;
    }
    slot->pid = pid;
    slot->state = PF_WORKER_BOOT;
    slot->was_ready = slot->commanded = false;
    (void)pf_loop_time(master->loop, &slot->born_ns);
    pf_count(pf_scoreboard_cell(master->board, slot->number, PF__COLUMN_STARTS), 1);
    score(slot);

    struct pf_channel_options channel = {PF_CHANNEL_OPTIONS, .on_message = slot_on_message,
                                         .on_closed = slot_on_closed, .arg = slot};
    int err = pf_channel_new(master->loop, channel_fd, &channel, &slot->channel);
    if (err) {
        close(channel_fd);
        kill_worker(slot, "no-channel");
    }
    (void)pf_loop_call_later(master->loop, master->options->boot_ns, slot_on_boot_limit,
                             slot, &slot->timer);
    return 0;
}

/* ---- reaping --------------------------------------------------------------------- */

/* 0.5 to 1.5: the low digits of a moment in nanoseconds are chance enough, and the
 * program's random(3) stays the program's. */
static double spread(int64_t now_ns)
{
    enum {
        STEPS = 1000003
    };
    return 0.5 + (double)(now_ns % STEPS) / STEPS;
}

static void log_end(const struct pf__slot *slot, const siginfo_t *info, enum pf__end end,
                    int64_t uptime_ns, int64_t delay_ns)
{
    bool by_signal = info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED;
    char next[48] = "";
    if (delay_ns > 0)
        snprintf(next, sizeof next, " next-in=%.1fs", (double)delay_ns / 1e9);
    else if (delay_ns == 0)
        snprintf(next, sizeof next, " next=now");
    pf_log(end == PF__END_COMMANDED || end == PF__END_CLEAN ? PF_LOG_INFO : PF_LOG_WARN,
           "worker-ended", "worker=%u pid=%ld cause=%s %s=%d%s uptime=%.1fs%s",
           slot->number, (long)slot->pid, pf__end_name(end),
           by_signal ? "signal" : "status", info->si_status,
           info->si_code == CLD_DUMPED ? " core=yes" : "", (double)uptime_ns / 1e9, next);
}

static enum pf__how how_of(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED && info->si_status == 0)
        return PF__HOW_ZERO;
    bool killed = info->si_code == CLD_KILLED && info->si_status == SIGKILL;
    return killed ? PF__HOW_KILL : PF__HOW_OTHER;
}

static void slot_ended(struct pf__slot *slot, const siginfo_t *info)
{
    struct pf__master *master = slot->master;
    enum pf__end end = pf__policy_classify(slot->commanded, slot->was_ready, how_of(info));
    int64_t now = 0;
    (void)pf_loop_time(master->loop, &now);
    int64_t uptime = now - slot->born_ns, delay = -1;
    if (slot->was_ready && uptime >= PF__MIN_UPTIME_NS)
        master->healthy_at_ns = now;

    (void)set_state(slot, PF_WORKER_EXITING); /* it does not accept any more */
    slot->failures = pf__policy_failures(slot->failures, end, uptime);
    if (master->stop == PF__STOP_NOT)
        delay = pf__policy_delay(slot->failures, slot->was_ready,
                                 pf__slots_accepting(master) > 0, spread(now));
    log_end(slot, info, end, uptime, delay);
    clear_timer(slot);
    pf_channel_free(slot->channel);
    slot->channel = NULL;
    slot->pid = 0;
    pf_scoreboard_clear_gauges(master->board, slot->number);
    score(slot);

    pf__master_review(master); /* which may decide to stop */
    if (master->stop != PF__STOP_NOT)
        return;
    if (delay == 0)
        (void)pf__slot_fill(slot);
    else
        refill_later(slot, delay);
}

static struct pf__slot *slot_of(struct pf__master *master, pid_t pid)
{
    for (unsigned i = 0; i < master->slot_count; i++)
        if (master->slots[i].pid == pid)
            return &master->slots[i];
    return NULL;
}

void pf__slots_reap(struct pf__master *master)
{
    for (;;) { /* one SIGCHLD may stand for many: signal(7) */
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
            return;
        struct pf__slot *slot = slot_of(master, info.si_pid);
        if (slot)
            slot_ended(slot, &info);
        else
            pf_log(PF_LOG_DEBUG, "stranger-reaped", "child=%ld", (long)info.si_pid);
    }
}

/* ---- stopping -------------------------------------------------------------------- */

static void stop_one(struct pf__slot *slot, enum pf__stop how)
{
    if (slot->pid == 0) {
        clear_timer(slot); /* no refill any more; a boot limit still holds */
        return;
    }
    slot->commanded = true;
    if (how == PF__STOP_KILL)
        kill_worker(slot, "stop");
    else if (slot->channel)
        tell(slot, how == PF__STOP_GRACEFUL ? PF_IPC_DRAIN : PF_IPC_STOP);
    else
        kill(slot->pid, how == PF__STOP_GRACEFUL ? SIGTERM : SIGINT);
}

void pf__slots_stop(struct pf__master *master)
{
    for (unsigned i = 0; i < master->slot_count; i++)
        stop_one(&master->slots[i], master->stop);
}
