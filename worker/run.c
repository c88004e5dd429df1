/*
 * run.c - the life of one worker: boot, ready, accepting, draining, exiting.
 *
 * The worker decides nothing about its life: the master's messages move it, or a signal
 * sent to it, or the master's death. The states are in ipc/catalogue.h; set_state() is the
 * only writer.
 *
 *     boot       pf__worker_run(): loop, channel, death pipe, signals, application
 *     ready      told the master; waits for GO with its listeners unwatched
 *     accepting  go(): accepts and hands each connection to the service
 *     draining   drain(): serves what stood in the queue, closes the listeners, waits
 *     exiting    stop(): the loop returns
 */
#include "worker/run.h"

#include "ipc/catalogue.h"
#include "loop/assert.h"
#include "worker/lane.h"

#include <prefork/log.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* How long a TERM waits for the master's word. */
#define SIGNAL_GRACE_NS (100 * PF_MILLISECOND)

struct worker {
    const struct pf__worker_setup *setup;
    enum pf_worker_state state;
    pf_loop *loop;
    pf_channel *channel;
    struct pf_lane lane;
};

static void set_state(struct worker *worker, enum pf_worker_state to)
{
    pf_assert(pf__worker_may_move(worker->state, to));
    pf_log(PF_LOG_DEBUG, "state", "worker=%u %s->%s", worker->setup->slot,
           pf__worker_state_name(worker->state), pf__worker_state_name(to));
    worker->state = to;
    pf_score(worker->lane.cells[PF__COLUMN_STATE], to);
}

/* The master may be gone; then the death pipe says so in the same iteration. */
static void tell(struct worker *worker, enum pf_ipc_type type)
{
    int err = pf_channel_send(worker->channel, (uint16_t)type, NULL, 0, NULL, 0);
    if (err)
        pf_log(PF_LOG_DEBUG, "message-not-sent", "type=%d error=%s", (int)type,
               strerror(-err));
}

/* ---- moves ----------------------------------------------------------------------- */

static void stop(struct worker *worker)
{
    if (worker->state == PF_WORKER_EXITING)
        return;
    set_state(worker, PF_WORKER_EXITING);
    pf_loop_stop(worker->loop);
}

static void lane_on_empty(struct pf_lane *lane, void *arg)
{
    (void)lane;
    struct worker *worker = arg;
    if (worker->state == PF_WORKER_DRAINING)
        stop(worker);
}

static void go(struct worker *worker)
{
    if (worker->state != PF_WORKER_READY)
        return;
    int err = pf__lane_accept(&worker->lane, worker->setup->listen_fds,
                              worker->setup->listen_count);
    if (err) {
        pf_log(PF_LOG_ERROR, "accept-not-started", "error=%s exiting", strerror(-err));
        stop(worker);
        return;
    }
    set_state(worker, PF_WORKER_ACCEPTING);
    tell(worker, PF_IPC_ACCEPTING);
}

static int drain_on_deadline(pf_loop *loop, void *arg)
{
    (void)loop;
    struct worker *worker = arg;
    pf_log(PF_LOG_WARN, "drain-limit", "connections=%zu closing-them",
           worker->lane.connections);
    stop(worker);
    return 0;
}

static void drain(struct worker *worker, const char *why)
{
    if (worker->state == PF_WORKER_DRAINING)
        return;
    go(worker); /* from ready: what stands in the queue is served by nobody else */
    if (worker->state != PF_WORKER_ACCEPTING && worker->state != PF_WORKER_PAUSED) {
        stop(worker);
        return;
    }
    pf__lane_stop_accepting(&worker->lane, worker->setup->listen_fds,
                            worker->setup->listen_count);
    set_state(worker, PF_WORKER_DRAINING); /* now the last connection ends the worker */
    pf_log(PF_LOG_INFO, "draining", "why=%s connections=%zu limit=%.1fs", why,
           worker->lane.connections, (double)worker->setup->drain_ns / 1e9);
    if (pf_loop_call_later(worker->loop, worker->setup->drain_ns, drain_on_deadline, worker,
                           NULL) != 0)
        stop(worker); /* no memory for a limit: better an end than none */
    pf__lane_drain(&worker->lane);
    if (worker->lane.connections == 0)
        stop(worker);
}

/* ---- what moves it --------------------------------------------------------------- */

static void channel_on_message(pf_channel *channel, const struct pf_message *message,
                               void *arg)
{
    (void)channel;
    struct worker *worker = arg;
    if (message->type == PF_IPC_GO)
        go(worker);
    else if (message->type == PF_IPC_DRAIN)
        drain(worker, "master");
    else if (message->type == PF_IPC_STOP)
        stop(worker);
    else
        pf_log(PF_LOG_WARN, "unknown-message", "type=%u ignored", message->type);
}

static void master_is_gone(struct worker *worker)
{
    if (worker->state == PF_WORKER_DRAINING || worker->state == PF_WORKER_EXITING)
        return;
    pf_log(PF_LOG_WARN, "master-gone", "finishing what is open, then exiting");
    drain(worker, "master-gone");
}

static void channel_on_closed(pf_channel *channel, int reason, void *arg)
{
    (void)channel, (void)reason;
    master_is_gone(arg);
}

/* The pipe's other end is the master's alone: it closes when the master ends, however. */
static int death_on_hangup(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    master_is_gone(arg);
    return PF_DONE;
}

static int on_signal_grace_over(pf_loop *loop, void *arg)
{
    (void)loop;
    drain(arg, "signal");
    return 0;
}

/* One that the whole family was sent reaches the master as well, which closes its listeners
 * before it says DRAIN: wait for that, or what joins the queue in between is reset. */
static int on_drain_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo;
    if (pf_loop_call_later(loop, SIGNAL_GRACE_NS, on_signal_grace_over, arg, NULL) != 0)
        drain(arg, "signal");
    return 0;
}

static int on_stop_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo;
    stop(arg);
    return 0;
}

static int take_signals(struct worker *worker)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        sigaction(ignored[i], &ignore, NULL);
    int err = pf_loop_add_signal(worker->loop, SIGTERM, on_drain_signal, worker);
    if (!err)
        err = pf_loop_add_signal(worker->loop, SIGQUIT, on_drain_signal, worker);
    if (!err)
        err = pf_loop_add_signal(worker->loop, SIGINT, on_stop_signal, worker);
    if (!err) /* what came so far is due */
        sigprocmask(SIG_SETMASK, worker->setup->signal_mask, NULL);
    return err;
}

/* None may end the process any more while it gives things back. */
static void leave_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

/* ---- boot and end ---------------------------------------------------------------- */

static int boot_kernel_side(struct worker *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    struct pf_loop_options loop_options = PF_LOOP_OPTIONS_INIT;
    loop_options.make_current = PF_CURRENT_ALWAYS;
    int err = pf_loop_new(&loop_options, &worker->loop);
    if (err)
        return err;
    struct pf_channel_options channel = {PF_CHANNEL_OPTIONS,
                                         .on_message = channel_on_message,
                                         .on_closed = channel_on_closed, .arg = worker};
    err = pf_channel_new(worker->loop, setup->channel_fd, &channel, &worker->channel);
    if (err)
        return err;
    err = pf_loop_add_handler(worker->loop, setup->death_fd, PF_READ, death_on_hangup,
                              worker);
    if (err)
        return err;
    pf__lane_init(&worker->lane, worker->loop, setup->service, setup->board, setup->row,
                  setup->slot);
    worker->lane.on_empty = lane_on_empty;
    worker->lane.on_empty_arg = worker;
    return take_signals(worker);
}

static int serve(struct worker *worker)
{
    int err = pf__lane_start(&worker->lane);
    if (err) {
        pf_log(PF_LOG_ERROR, "boot-failed", "step=lane_init error=%s", strerror(-err));
        return PF_EXIT_CONFIG;
    }
    set_state(worker, PF_WORKER_READY);
    tell(worker, PF_IPC_READY);
    err = pf_loop_start(worker->loop);
    if (err)
        pf_log(PF_LOG_ERROR, "loop-failed", "error=%s exiting", strerror(-err));
    pf__lane_end(&worker->lane);
    return err ? PF_EXIT_SOFTWARE : PF_EXIT_OK;
}

int pf__worker_run(const struct pf__worker_setup *setup)
{
    struct worker worker = {.setup = setup, .state = PF_WORKER_BOOT};
    const struct pf_service *service = setup->service;
    int status = PF_EXIT_SOFTWARE;
    int err = boot_kernel_side(&worker);
    if (err) {
        pf_log(PF_LOG_ERROR, "boot-failed", "step=loop error=%s", strerror(-err));
        return status;
    }
    err = service->worker_init ? service->worker_init(service->arg) : 0;
    if (err) {
        pf_log(PF_LOG_ERROR, "boot-failed", "step=worker_init error=%s",
               strerror(err < 0 ? -err : err));
        status = PF_EXIT_CONFIG;
    } else {
        status = serve(&worker);
        if (service->worker_exit)
            service->worker_exit(service->arg);
    }
    leave_signals();
    pf_channel_free(worker.channel);
    (void)pf_loop_remove_handler(worker.loop, setup->death_fd); /* gone if the master is */
    close(setup->death_fd);
    (void)pf_loop_close(worker.loop, false);
    pf_loop_unref(worker.loop);
    return status;
}
