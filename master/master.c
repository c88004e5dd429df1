/*
 * master.c - the master process: start-up in order, then a loop that only reacts.
 *
 * Reading order: pf_master_run() and start.c are the start-up as a list; then events come,
 * and whatever they change, pf__master_review() puts in order.
 */
#include "master/guard.h"
#include "master/internal.h"

#include "loop/assert.h"
#include <prefork/log.h>

#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* ---- states ---------------------------------------------------------------------- */

const char *pf__master_state_name(enum pf__master_state state)
{
    static const char *const names[PF__MASTER_STATES] = {
        [PF__MASTER_STARTING] = "starting",
        [PF__MASTER_RUNNING] = "running",
        [PF__MASTER_STOPPING] = "stopping",
    };
    return state < PF__MASTER_STATES ? names[state] : "?";
}

bool pf__master_may_move(enum pf__master_state from, enum pf__master_state to)
{
    return from == PF__MASTER_STARTING
               ? to == PF__MASTER_RUNNING || to == PF__MASTER_STOPPING
               : from == PF__MASTER_RUNNING && to == PF__MASTER_STOPPING;
}

static void set_state(struct pf__master *master, enum pf__master_state to)
{
    pf_assert(pf__master_may_move(master->state, to));
    pf_log(PF_LOG_DEBUG, "state", "%s->%s", pf__master_state_name(master->state),
           pf__master_state_name(to));
    master->state = to;
}

/* ---- stopping -------------------------------------------------------------------- */

static void begin_stop(struct pf__master *master, enum pf__stop how);

static int master_on_stop_limit(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__master *master = arg;
    master->stop_timer = (pf_timer){0};
    begin_stop(master, PF__STOP_KILL);
    return 0;
}

/*
 * The master's listeners go first: each worker still holds its own, empties the queue of it
 * and closes it. What joins between the two, and what waits for a worker that is not there,
 * is reset.
 */
static void begin_stop(struct pf__master *master, enum pf__stop how)
{
    if (how <= master->stop)
        return;
    master->stop = how;
    if (master->state != PF__MASTER_STOPPING) {
        set_state(master, PF__MASTER_STOPPING);
        pf__notify_state(&master->notify, "STOPPING=1\nSTATUS=Finishing what is open");
    }
    pf__listeners_close(&master->listeners);
    pf__slots_stop(master);

    (void)pf_loop_remove_timeout(master->loop, master->stop_timer);
    int64_t limit = PF__STOP_GRACE_NS;
    if (how == PF__STOP_GRACEFUL)
        limit += master->options->drain_ns;
    if (how != PF__STOP_KILL)
        (void)pf_loop_call_later(master->loop, limit, master_on_stop_limit, master,
                                 &master->stop_timer);
    pf__master_review(master);
}

static void stop_for_signal(struct pf__master *master, int number)
{
    enum pf__stop how = number == SIGINT ? PF__STOP_FAST : PF__STOP_GRACEFUL;
    if (how <= master->stop) /* asked again: faster */
        how = master->stop < PF__STOP_KILL ? (enum pf__stop)(master->stop + 1)
                                           : PF__STOP_KILL;
    static const char *const names[] = {[PF__STOP_GRACEFUL] = "gracefully",
                                        [PF__STOP_FAST] = "at-once",
                                        [PF__STOP_KILL] = "by-force"};
    pf_log(PF_LOG_INFO, "stopping", "signal=%d how=%s", number, names[how]);
    begin_stop(master, how);
}

/* ---- what happens ---------------------------------------------------------------- */

static void announce(struct pf__master *master)
{
    struct pf_worker_status workers[PF_WORKERS_MAX];
    char texts[PF__ADDRESSES_MAX][PF_ADDRESS_TEXT_MAX];
    const char *addresses[PF__ADDRESSES_MAX];
    for (unsigned i = 0; i < master->slot_count; i++)
        workers[i] = (struct pf_worker_status){pf__slot_worker(&master->slots[i])->pid,
                                               master->plan.seat[i * master->threads].cpu};
    for (size_t i = 0; i < master->listeners.count; i++)
        addresses[i] = pf_address_format(&master->listeners.addresses[i], texts[i]);
    struct pf_master_status status = {
        .size = sizeof status,
        .pid = getpid(),
        .addresses = addresses,
        .address_count = master->listeners.count,
        .workers = workers,
        .worker_size = sizeof *workers,
        .worker_count = master->slot_count,
        .control = master->control.socket_fd != -1 ? master->control.file.path : NULL};
    if (master->options->on_ready)
        master->options->on_ready(&status, master->options->arg);
}

static void give_up(struct pf__master *master, int status)
{
    pf_log(PF_LOG_ERROR, "giving-up", "why=%s status=%d",
           status == PF_EXIT_CONFIG ? "no-worker-could-boot" : "all-workers-keep-failing",
           status);
    master->status = status;
    const struct pf_master_options *options = master->options;
    if (status == PF_EXIT_CONFIG && options->error && options->error_len)
        snprintf(options->error, options->error_len,
                 "no worker could boot; the last one said: %s",
                 master->last_words[0] ? master->last_words : "nothing");
    begin_stop(master, PF__STOP_FAST);
}

/* For how long has there been no worker that lived long enough to be called healthy? Time
 * in which the master was held up does not count: the tick puts that right. */
static int64_t all_failing_for(struct pf__master *master)
{
    int64_t now = pf__master_now(master);
    if (pf__tick_is_late(master))
        return 0;
    for (unsigned i = 0; i < master->slot_count; i++) {
        const struct pf__worker *worker = pf__slot_worker(&master->slots[i]);
        if (pf__worker_accepts(worker) && now - worker->born_ns >= PF__MIN_UPTIME_NS)
            master->healthy_at_ns = now;
    }
    return now - master->healthy_at_ns;
}

static void judge(struct pf__master *master)
{
    unsigned worst = 0;
    for (unsigned i = 0; i < master->slot_count; i++)
        if (master->slots[i].failures > worst)
            worst = master->slots[i].failures;
    int status = pf__policy_give_up(master->ever_ready, worst, all_failing_for(master),
                                    master->options->stay);
    if (status)
        give_up(master, status);
}

/* Each slot accepts, or has been tried and failed; and somebody accepts. */
static bool is_up(const struct pf__master *master)
{
    unsigned tried = 0;
    for (unsigned i = 0; i < master->slot_count; i++) {
        struct pf__slot *slot = &master->slots[i];
        tried += pf__worker_accepts(pf__slot_worker(slot)) || slot->failures > 0;
    }
    return tried == master->slot_count && pf__slots_accepting(master) > 0;
}

int64_t pf__master_now(const struct pf__master *master)
{
    int64_t now = 0;
    (void)pf_loop_time(master->loop, &now);
    return now;
}

static bool is_naming(const struct pf__master *master)
{
    for (int i = 0; i < PF__NAMERS_MAX; i++)
        if (master->namers[i])
            return true;
    return false;
}

/* Why the last worker crashed is worth the wait; not when somebody is in a hurry. */
static bool is_over(const struct pf__master *master)
{
    return pf__slots_alive(master) == 0 &&
           (master->stop == PF__STOP_KILL || !is_naming(master));
}

void pf__master_review(struct pf__master *master)
{
    if (master->stop != PF__STOP_NOT) {
        if (is_over(master))
            pf_loop_stop(master->loop);
        return;
    }
    (void)pf__slots_review(master); /* what fails is tried again */
    pf__lanes_review(master);
    if (master->state == PF__MASTER_STARTING && is_up(master)) {
        set_state(master, PF__MASTER_RUNNING);
        announce(master);
        pf__notify_state(&master->notify,
                         "READY=1\nMAINPID=%ld\nSTATUS=%u of %u workers "
                         "accept",
                         (long)getpid(), pf__slots_accepting(master), master->slot_count);
    }
    judge(master);
}

/* After the rest of this batch of events: a worker's last words came before its end. */
static int master_on_children(pf_loop *loop, void *arg)
{
    (void)loop;
    pf__reap(arg);
    return 0;
}

/* Workers that are on their way out write logs, too. */
static void reopen_logs(struct pf__master *master, const struct signalfd_siginfo *info)
{
    const struct pf_service *service = master->options->service;
    pf_log(PF_LOG_INFO, "logs-reopen", "signal=%s from=%u", strsignal((int)info->ssi_signo),
           info->ssi_pid);
    service->on_reopen(service->arg);
    for (unsigned i = 0; i < master->slot_count; i++)
        for (unsigned seat = 0; seat < 2; seat++)
            if (master->slots[i].seats[seat].pid)
                kill(master->slots[i].seats[seat].pid, SIGUSR1);
}

static void take_signal(struct pf__master *master, const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;
    if (number == SIGCHLD) {
        if (pf_loop_add_callback(master->loop, master_on_children, master) != 0)
            pf__reap(master);
    } else if (number == SIGTERM || number == SIGQUIT || number == SIGINT) {
        stop_for_signal(master, number);
    } else if (number == SIGUSR1 && master->options->service->on_reopen) {
        reopen_logs(master, info);
    } else {
        pf_log(PF_LOG_INFO, "signal-ignored", "signal=%s from=%u", strsignal(number),
               info->ssi_pid);
    }
}

int pf__master_on_signal(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)events;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        take_signal(arg, &info);
    return 0;
}

/* ---- the whole ------------------------------------------------------------------- */

static void serve(struct pf__master *master)
{
    int err = pf__slots_review(master); /* the first forks */
    if (err) { /* a slot without a worker has queues that the kernel fills */
        master->status = pf__start_failed(master, "worker", err);
        begin_stop(master, PF__STOP_FAST);
    }
    master->begun = true;
    err = pf_loop_start(master->loop);
    if (err)
        master->status = pf__start_failed(master, "loop", err);
}

int pf_master_run(const struct pf_master_options *given)
{
    struct pf_master_options options;
    struct pf_service service;
    int err = pf__start_options(given, &options, &service);
    if (!err)
        err = pf__guard_fork(options.allow_threads, options.error, options.error_len);
    if (err)
        return err;
    struct pf__master master = PF__MASTER_INIT;
    master.options = &options;
    pf_log_set_role("master");
    master.status = pf__start(&master);
    if (master.status == PF_EXIT_OK)
        serve(&master);
    pf__end(&master);
    return master.status;
}
