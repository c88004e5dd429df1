/* orders.c - who moves the worker: the master, its death, signals. See internal.h. */
#include "worker/internal.h"

#include <prefork/log.h>
#include <signal.h>
#include <string.h>

/* How long a TERM waits for the master's word. */
#define SIGNAL_GRACE_NS (100 * PF_MILLISECOND)

/* ---- the master's messages ------------------------------------------------------- */

void pf__self_tell(struct pf__self *worker, enum pf_ipc_type type, const void *payload,
                   size_t len)
{
    int err = pf_channel_send(worker->channel, (uint16_t)type, payload, len, NULL, 0);
    if (err)
        pf_log(PF_LOG_DEBUG, "message-not-sent", "type=%d error=%s", (int)type,
               strerror(-err));
}

struct pf__seat *pf__seat_of(struct pf__self *worker, const struct pf_message *message,
                             struct pf__ipc_lane *lane)
{
    if (message->len != sizeof *lane)
        return NULL;
    memcpy(lane, message->payload, sizeof *lane);
    return lane->thread < worker->setup->threads ? &worker->seats[lane->thread] : NULL;
}

static int lane_on_overflow(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__seat *seat = arg;
    pf__lane_overflow(&seat->lane);
    return 0;
}

/* The turn that this takes is the answer. */
static int lane_on_ping(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

static void drain_as_told(struct pf__self *worker, const struct pf_message *message)
{
    struct pf__ipc_drain how = {.last = true};
    if (message->len == sizeof how)
        memcpy(&how, message->payload, sizeof how);
    pf__self_drain(worker, how.last, how.last ? "stop" : "replaced");
}

static void post_named(struct pf__self *worker, const struct pf_message *message,
                       pf_callback_fn *fn)
{
    struct pf__ipc_lane lane;
    struct pf__seat *seat = pf__seat_of(worker, message, &lane);
    if (seat)
        pf__seat_post(seat, fn, seat);
}

static void channel_on_message(pf_channel *channel, const struct pf_message *message,
                               void *arg)
{
    (void)channel;
    struct pf__self *worker = arg;
    if (message->type == PF_IPC_GO)
        pf__self_go(worker);
    else if (message->type == PF_IPC_DRAIN)
        drain_as_told(worker, message);
    else if (message->type == PF_IPC_STOP)
        pf__self_stop(worker);
    else if (message->type == PF_IPC_OVERFLOW)
        post_named(worker, message, lane_on_overflow);
    else if (message->type == PF_IPC_ADOPT)
        pf__self_adopt(worker, message);
    else if (message->type == PF_IPC_RELEASE)
        pf__self_release(worker, message);
    else if (message->type == PF_IPC_PING)
        post_named(worker, message, lane_on_ping);
    else
        pf_log(PF_LOG_WARN, "unknown-message", "type=%u ignored", message->type);
}

/* ---- its death ------------------------------------------------------------------- */

static void master_is_gone(struct pf__self *worker)
{
    if (worker->state == PF_WORKER_EXITING || worker->state == PF_WORKER_DRAINING)
        return;
    if (worker->setup->die_with_master) {
        pf_log(PF_LOG_WARN, "master-gone", "exiting");
        pf__self_stop(worker);
        return;
    }
    pf_log(PF_LOG_WARN, "master-gone", "finishing what is open, then exiting");
    pf__self_drain(worker, true, "master-gone");
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

/* ---- signals --------------------------------------------------------------------- */

/* The master holds our listeners, and fills the slot while we finish. It is told that this
 * end was asked for, or it would count as a failure of one so young. */
static void tell_of_leaving(struct pf__self *worker)
{
    if (worker->state < PF_WORKER_DRAINING)
        pf__self_tell(worker, PF_IPC_DRAIN, NULL, 0);
}

static int on_signal_grace_over(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__self *worker = arg;
    tell_of_leaving(worker);
    pf__self_drain(worker, false, "signal");
    return 0;
}

/* One that the whole family was sent reaches the master as well, which closes its listeners
 * before it says DRAIN: wait for that, or what joins the queue in between is reset. */
static int on_drain_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo;
    if (pf_loop_call_later(loop, SIGNAL_GRACE_NS, on_signal_grace_over, arg, NULL) != 0)
        (void)on_signal_grace_over(loop, arg);
    return 0;
}

static int on_stop_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo;
    tell_of_leaving(arg);
    pf__self_stop(arg);
    return 0;
}

static int on_reopen_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo;
    const struct pf__self *worker = arg;
    const struct pf_service *service = worker->setup->service;
    service->on_reopen(service->arg);
    return 0;
}

static int take_signals(struct pf__self *worker)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGHUP, SIGUSR2,
                                  SIGTTIN, SIGTTOU, SIGUSR1};
    bool reopens = worker->setup->service->on_reopen != NULL;
    size_t count = sizeof ignored / sizeof *ignored;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < count - reopens; i++) /* that would forget one that has come */
        sigaction(ignored[i], &ignore, NULL);
    int err = pf_loop_add_signal(worker->loop, SIGTERM, on_drain_signal, worker);
    if (!err)
        err = pf_loop_add_signal(worker->loop, SIGQUIT, on_drain_signal, worker);
    if (!err)
        err = pf_loop_add_signal(worker->loop, SIGINT, on_stop_signal, worker);
    if (!err && reopens)
        err = pf_loop_add_signal(worker->loop, SIGUSR1, on_reopen_signal, worker);
    return err;
}

/* ---- all of them ----------------------------------------------------------------- */

int pf__orders_take(struct pf__self *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    struct pf_channel_options channel = {PF_CHANNEL_OPTIONS,
                                         .on_message = channel_on_message,
                                         .on_closed = channel_on_closed, .arg = worker};
    int err = pf_channel_new(worker->loop, setup->channel_fd, &channel, &worker->channel);
    if (err)
        return err;
    err = pf_loop_add_handler(worker->loop, setup->death_fd, PF_READ, death_on_hangup,
                              worker);
    if (err)
        return err;
    return take_signals(worker);
}
