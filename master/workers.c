/*
 * workers.c - one worker process, as its master knows it: forked, talked to, told to leave.
 *
 * Two things end it, in either order: SIGCHLD, after which it is reaped (reap.c), and the
 * end of its channel, which is only noted. A seat is free when the process is reaped, never
 * before, so its pid cannot be anybody else's.
 */
#include "master/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool pf__worker_accepts(const struct pf__worker *worker)
{
    return worker->pid && worker->state == PF_WORKER_ACCEPTING &&
           worker->fate == PF__FATE_LIVE;
}

static unsigned row_of(const struct pf__worker *worker, unsigned thread)
{
    return pf__row(worker->slot->number, worker->seat, worker->slot->master->threads,
                   thread);
}

uint64_t pf__worker_get(const struct pf__worker *worker, unsigned thread,
                        enum pf__column column)
{
    return pf_scoreboard_get(worker->slot->master->board, row_of(worker, thread), column);
}

/* The state as its messages tell it; it has checked its own moves, so a wrong one here
 * means a message of a worker that is not right in its head. */
static bool set_state(struct pf__worker *worker, enum pf_worker_state to)
{
    if (!pf__worker_may_move(worker->state, to)) {
        pf_log(PF_LOG_WARN, "worker-out-of-order", "worker=%u %s->%s ignored",
               worker->slot->number, pf__worker_state_name(worker->state),
               pf__worker_state_name(to));
        return false;
    }
    worker->state = to;
    return true;
}

/* ---- talking --------------------------------------------------------------------- */

int pf__worker_tell(struct pf__worker *worker, enum pf_ipc_type type, const void *payload,
                    size_t len, const int *fds, size_t fd_count)
{
    int err = worker->channel ? pf_channel_send(worker->channel, (uint16_t)type, payload,
                                                len, fds, fd_count)
                              : -EPIPE;
    if (err)
        pf_log(PF_LOG_DEBUG, "message-not-sent", "worker=%u type=%d error=%s",
               worker->slot->number, (int)type, strerror(-err));
    return err;
}

void pf__worker_drain(struct pf__worker *worker, bool last)
{
    struct pf__ipc_drain how = {.last = last};
    int err = worker->channel ? pf_channel_send(worker->channel, PF_IPC_DRAIN, &how,
                                                sizeof how, NULL, 0)
                              : -EPIPE;
    if (err) /* as good as it gets */
        kill(worker->pid, SIGTERM);
}

static void clear_timer(struct pf__worker *worker)
{
    (void)pf_loop_remove_timeout(worker->slot->master->loop, worker->timer);
    worker->timer = (pf_timer){0};
}

/* It may have ended, and we have been held up and not reaped it yet. */
static bool has_ended(const struct pf__worker *worker)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == worker->pid;
}

static int worker_on_death_limit(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__worker *worker = arg;
    worker->timer = (pf_timer){0};
    if (!has_ended(worker))
        pf__undead_give_up(worker);
    return 0;
}

void pf__worker_kill(struct pf__worker *worker, int signal_number, const char *why)
{
    pf_log(PF_LOG_WARN, "worker-killed", "worker=%u pid=%ld signal=%d why=%s",
           worker->slot->number, (long)worker->pid, signal_number, why);
    kill(worker->pid, signal_number); /* ours until reaped: it cannot be another process */
    if (signal_number != SIGKILL)
        return;
    clear_timer(worker);
    (void)pf_loop_call_later(worker->slot->master->loop, PF__DEATH_NS,
                             worker_on_death_limit, worker, &worker->timer);
}

static void on_ready(struct pf__worker *worker)
{
    if (!set_state(worker, PF_WORKER_READY))
        return;
    worker->was_ready = true;
    worker->slot->master->ever_ready = true;
    if (worker->fate == PF__FATE_LIVE)
        (void)pf__worker_tell(worker, PF_IPC_GO, NULL, 0, NULL, 0); /* else: boot limit */
}

/* The lane of the worker that a message names; NULL: none, or no such message. */
static struct pf__lane *lane_of(const struct pf__worker *worker,
                                const struct pf_message *message,
                                struct pf__ipc_lane *named)
{
    struct pf__master *master = worker->slot->master;
    if (message->len != sizeof *named)
        return NULL;
    memcpy(named, message->payload, sizeof *named);
    if (named->thread >= master->threads || pf__slot_worker(worker->slot) != worker)
        return NULL;
    return &master->lanes[worker->slot->number * master->threads + named->thread];
}

static void on_accepting(struct pf__worker *worker)
{
    if (!set_state(worker, PF_WORKER_ACCEPTING))
        return;
    clear_timer(worker); /* from here on its beats are looked at */
    pf_log(PF_LOG_INFO, "worker-accepts", "worker=%u pid=%ld after=%.3fs",
           worker->slot->number, (long)worker->pid,
           (double)(pf__master_now(worker->slot->master) - worker->born_ns) / 1e9);
}

static void on_lane_accepting(struct pf__worker *worker, const struct pf_message *message)
{
    struct pf__ipc_lane named;
    struct pf__lane *lane = lane_of(worker, message, &named);
    if (lane)
        lane->full = lane->overflow = false;
}

static void on_paused(struct pf__worker *worker, const struct pf_message *message)
{
    struct pf__ipc_lane named;
    struct pf__lane *lane = lane_of(worker, message, &named);
    if (!lane)
        return;
    lane->full = true;
    pf_log(PF_LOG_WARN, "connections-limit", "worker=%u thread=%u at=soft",
           worker->slot->number, named.thread);
}

static void on_not_adopted(struct pf__worker *worker, const struct pf_message *message)
{
    struct pf__ipc_lane named;
    struct pf__master *master = worker->slot->master;
    if (lane_of(worker, message, &named) && named.owner < master->lane_count)
        pf__lanes_unable(master, worker->slot->number * master->threads + named.thread,
                         &named);
}

/* A signal told it to, not we. */
static void on_leaving(struct pf__worker *worker)
{
    if (worker->fate != PF__FATE_LIVE)
        return; /* its end has begun already */
    worker->fate = PF__FATE_ASKED;
    if (worker->state == PF_WORKER_READY) /* it was told GO, and has not said so yet */
        worker->state = PF_WORKER_ACCEPTING;
    if (set_state(worker,
                  worker->state == PF_WORKER_BOOT ? PF_WORKER_EXITING : PF_WORKER_DRAINING))
        pf__worker_limit_leaving(worker);
}

static void worker_on_message(pf_channel *channel, const struct pf_message *message,
                              void *arg)
{
    (void)channel;
    struct pf__worker *worker = arg;
    if (message->type == PF_IPC_READY)
        on_ready(worker);
    else if (message->type == PF_IPC_ACCEPTING && message->len == 0)
        on_accepting(worker);
    else if (message->type == PF_IPC_ACCEPTING)
        on_lane_accepting(worker, message);
    else if (message->type == PF_IPC_PAUSED)
        on_paused(worker, message);
    else if (message->type == PF_IPC_RELEASE)
        on_not_adopted(worker, message);
    else if (message->type == PF_IPC_DRAIN)
        on_leaving(worker);
    else
        pf_log(PF_LOG_WARN, "unknown-message", "worker=%u type=%u ignored",
               worker->slot->number, message->type);
    pf__master_review(worker->slot->master);
}

/* Its end, which SIGCHLD tells of; or it has closed the channel and lives: nobody can tell
 * it anything any more. */
static void worker_on_closed(pf_channel *channel, int reason, void *arg)
{
    (void)channel;
    struct pf__worker *worker = arg;
    pf_log(PF_LOG_DEBUG, "channel-closed", "worker=%u reason=%s", worker->slot->number,
           reason ? strerror(-reason) : "closed");
    pf_channel_free(worker->channel);
    worker->channel = NULL; /* signals tell it what to do from now on */
    if (reason == -EPROTO)
        pf__worker_kill(worker, SIGKILL, "channel-broken");
}

/* ---- life ------------------------------------------------------------------------ */

static int worker_on_leave_limit(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__worker *worker = arg;
    worker->timer = (pf_timer){0};
    pf__worker_kill(worker, SIGKILL, "drain-limit");
    return 0;
}

void pf__worker_limit_leaving(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    clear_timer(worker);
    (void)pf_loop_call_later(master->loop, master->options->drain_ns + PF__STOP_GRACE_NS,
                             worker_on_leave_limit, worker, &worker->timer);
}

static int worker_on_boot_limit(pf_loop *loop, void *arg)
{
    struct pf__worker *worker = arg;
    worker->timer = (pf_timer){0};
    if (pf__tick_is_late(worker->slot->master)) { /* its READY may wait to be read */
        (void)pf_loop_call_later(loop, PF_SECOND, worker_on_boot_limit, worker,
                                 &worker->timer);
        return 0;
    }
    pf__worker_kill(worker, SIGKILL, "boot-limit");
    return 0;
}

static void note_in_scoreboard(const struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    for (unsigned i = 0; i < master->threads; i++) {
        unsigned row = row_of(worker, i);
        uint64_t cpu =
            (uint64_t)(int64_t)master->plan.seat[worker->slot->number * master->threads + i]
                .cpu;
        pf_score(pf_scoreboard_cell(master->board, row, PF__COLUMN_SLOT),
                 worker->slot->number);
        pf_score(pf_scoreboard_cell(master->board, row, PF__COLUMN_PID),
                 (uint64_t)worker->pid);
        pf_score(pf_scoreboard_cell(master->board, row, PF__COLUMN_CPU), cpu);
    }
}

static void be_born(struct pf__worker *worker, pid_t pid)
{
    struct pf__master *master = worker->slot->master;
    const struct pf_master_options *options = master->options;
    struct pf__wear limits = {.requests = options->recycle_requests,
                              .lifetime_ns = options->recycle_after_ns,
                              .memory_bytes = options->recycle_memory};
    int64_t now = pf__master_now(master);
    worker->pid = pid;
    worker->born_ns = now;
    worker->wear = pf__policy_wear(&limits, pf__policy_spread(now));
    worker->requests_before = pf__worker_requests(worker);
    pf_count(pf_scoreboard_cell(master->board, row_of(worker, 0), PF__COLUMN_STARTS), 1);
    note_in_scoreboard(worker);
}

int pf__worker_start(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    *worker = (struct pf__worker){.slot = worker->slot, .seat = worker->seat};
    struct pf__lines lines;
    int pid = pf__spawn(worker, &lines);
    if (pid < 0)
        return pid;
    be_born(worker, pid);
    (void)pf_loop_call_later(master->loop, master->options->boot_ns, worker_on_boot_limit,
                             worker, &worker->timer);
    (void)pf__ear_open(&worker->ear, master->loop, lines.stderr_fd); /* else unheard */
    struct pf_channel_options options = {PF_CHANNEL_OPTIONS,
                                         .on_message = worker_on_message,
                                         .on_closed = worker_on_closed, .arg = worker};
    int err = pf_channel_new(master->loop, lines.channel_fd, &options, &worker->channel);
    if (err) { /* it cannot be told to begin: let it end, and be reaped like any other */
        close(lines.channel_fd);
        pf__worker_kill(worker, SIGKILL, "no-channel");
    }
    return 0;
}

void pf__worker_clear(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    clear_timer(worker);
    pf__ear_close(&worker->ear);
    pf_channel_free(worker->channel);
    for (unsigned i = 0; i < master->threads; i++)
        pf_scoreboard_clear_gauges(master->board, row_of(worker, i));
    *worker = (struct pf__worker){.slot = worker->slot, .seat = worker->seat};
    note_in_scoreboard(worker);
    if (worker == pf__slot_worker(worker->slot))
        pf__lanes_anew(worker->slot);
}
