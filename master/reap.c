/*
 * reap.c - the end of a worker: why, and what it means for its slot.
 */
#include "master/cpus.h"
#include "master/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static bool by_signal(const siginfo_t *info)
{
    return info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED;
}

static bool is_news(enum pf__end end)
{
    return end != PF__END_COMMANDED && end != PF__END_CLEAN && end != PF__END_RECYCLED;
}

/* delay_ns  until the slot is filled again; negative: it is, or is not to be */
static void log_end(const struct pf__worker *worker, const siginfo_t *info,
                    enum pf__end end, int64_t uptime_ns, int64_t delay_ns)
{
    char next[48] = "";
    if (delay_ns > 0)
        snprintf(next, sizeof next, " next-in=%.1fs", (double)delay_ns / 1e9);
    else if (delay_ns == 0)
        snprintf(next, sizeof next, " next=now");
    pf_log(is_news(end) ? PF_LOG_WARN : PF_LOG_INFO, "worker-ended",
           "worker=%u pid=%ld cause=%s %s=%d%s uptime=%.1fs%s", worker->slot->number,
           (long)worker->pid, pf__end_name(end), by_signal(info) ? "signal" : "status",
           info->si_status, info->si_code == CLD_DUMPED ? " core=yes" : "",
           (double)uptime_ns / 1e9, next);
}

static void tell_application(const struct pf__worker *worker, const siginfo_t *info,
                             enum pf__end end, int64_t uptime_ns)
{
    const struct pf_service *service = worker->slot->master->options->service;
    if (!is_news(end))
        return;
    worker->slot->master->tally.crashes++;
    if (!service->on_crash)
        return;
    struct pf_crash crash = {.size = sizeof crash,
                             .slot = worker->slot->number,
                             .pid = worker->pid,
                             .cause = pf__end_name(end),
                             .signal = by_signal(info) ? info->si_status : 0,
                             .status = by_signal(info) ? 0 : info->si_status,
                             .core_dumped = info->si_code == CLD_DUMPED,
                             .uptime_ns = uptime_ns};
    service->on_crash(&crash, service->arg);
}

static enum pf__how how_of(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED && info->si_status == 0)
        return PF__HOW_ZERO;
    bool killed = info->si_code == CLD_KILLED && info->si_status == SIGKILL;
    return killed ? PF__HOW_KILL : PF__HOW_OTHER;
}

/* Has the kernel killed somebody of our cgroup for want of memory since we looked last? */
static bool memory_was_short(struct pf__master *master)
{
    int64_t kills = pf__cpus_oom_kills("/proc/self", "/sys/fs/cgroup");
    bool more = master->oom_kills >= 0 && kills > master->oom_kills;
    master->oom_kills = kills;
    return more;
}

static enum pf__end classify(struct pf__worker *worker, const siginfo_t *info)
{
    enum pf__how how = how_of(info);
    bool memory = how == PF__HOW_KILL && memory_was_short(worker->slot->master);
    return pf__policy_classify(worker->fate, worker->was_ready, how, memory);
}

/* What the end means for the slot. Returns when it is filled again, -1: not because of it.
 */
static int64_t judge(struct pf__worker *worker, enum pf__end end, int64_t uptime_ns)
{
    struct pf__slot *slot = worker->slot;
    struct pf__master *master = slot->master;
    bool is_current = worker == pf__slot_worker(slot);
    if (!is_current && end != PF__END_BOOT)
        return -1; /* it has a successor, which accepts */
    slot->failures = pf__policy_failures(slot->failures, end, uptime_ns);
    if (master->stop != PF__STOP_NOT)
        return -1;
    int64_t delay =
        pf__policy_delay(slot->failures, worker->was_ready, pf__slots_accepting(master) > 0,
                         pf__policy_spread(pf__master_now(master)));
    pf__slot_refill(slot, delay);
    return delay;
}

static void ended(struct pf__worker *worker, const siginfo_t *info)
{
    struct pf__slot *slot = worker->slot;
    struct pf__master *master = slot->master;
    int64_t now = pf__master_now(master);
    int64_t uptime = now - worker->born_ns;
    enum pf__end end = classify(worker, info);
    if (worker->was_ready && uptime >= PF__MIN_UPTIME_NS)
        master->healthy_at_ns = now;
    snprintf(slot->last_end, sizeof slot->last_end, "%s %s %d", pf__end_name(end),
             by_signal(info) ? "signal" : "status", info->si_status);
    pf__ear_close(&worker->ear); /* its last words first */
    if (end == PF__END_BOOT)
        pf__ear_last_words(&worker->ear, master->last_words, sizeof master->last_words);
    worker->state = PF_WORKER_EXITING; /* it does not accept any more */
    int64_t delay = judge(worker, end, uptime);
    log_end(worker, info, end, uptime, delay);
    tell_application(worker, info, end, uptime);
    pf__lanes_forget(worker);
    pf__worker_clear(worker);
}

static bool is_namer(struct pf__master *master, pid_t pid)
{
    for (int i = 0; i < PF__NAMERS_MAX; i++)
        if (master->namers[i] == pid) {
            master->namers[i] = 0;
            return true;
        }
    return false;
}

void pf__reap(struct pf__master *master)
{
    pf__crash_read(master); /* who is reaped is not known any more */
    for (;;) {              /* one SIGCHLD may stand for many: signal(7) */
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
            break;
        struct pf__worker *worker = pf__slots_find(master, info.si_pid);
        if (worker)
            ended(worker, &info);
        else if (!is_namer(master, info.si_pid) && !pf__scale_reaped(master, info.si_pid) &&
                 !pf__undead_ended(master, info.si_pid))
            pf_log(PF_LOG_DEBUG, "stranger-reaped", "child=%ld", (long)info.si_pid);
    }
    pf__master_review(master);
}
