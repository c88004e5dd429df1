/*
 * undead.c - workers that not even SIGKILL ends: they sleep in the kernel, uninterruptibly,
 * as for a disk or a file server that does not answer.
 *
 * Nothing can be done about one but to go on without it: its seat is free for another, and
 * it is remembered by its pid alone until it ends after all. As each successor may go the
 * same way, they are limited: one beyond that keeps its seat, and with two such a slot is
 * left to its neighbours.
 */
#include "master/internal.h"
#include "master/task.h"

#include <prefork/log.h>

static bool remember(struct pf__master *master, pid_t pid)
{
    for (int i = 0; i < PF__UNDEAD_MAX; i++)
        if (!master->undead[i]) {
            master->undead[i] = pid;
            return true;
        }
    return false;
}

bool pf__undead_ended(struct pf__master *master, pid_t pid)
{
    for (int i = 0; i < PF__UNDEAD_MAX; i++)
        if (master->undead[i] == pid) {
            master->undead[i] = 0;
            pf_log(PF_LOG_INFO, "undead-ended", "pid=%ld", (long)pid);
            return true;
        }
    return false;
}

void pf__undead_give_up(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    char wchan[64];
    bool is_free = remember(master, worker->pid) || master->stop != PF__STOP_NOT;
    pf_log(PF_LOG_ERROR, "worker-undead", "worker=%u pid=%ld state=%c wchan=%s seat=%s",
           worker->slot->number, (long)worker->pid,
           pf__task_state(worker->pid, (uint64_t)worker->pid),
           pf__task_read(worker->pid, (uint64_t)worker->pid, "wchan", wchan, sizeof wchan),
           is_free ? "free" : "kept");
    master->tally.undead++;
    if (!is_free)
        return;
    pf__lanes_forget(worker);
    pf__worker_clear(worker);
    pf__master_review(master);
}
