/*
 * run.c - the life of one worker: boot, ready, accepting, draining, exiting.
 *
 * The worker decides nothing about its life: the master's messages move it, or a signal
 * sent to it, or the master's death. The states are in ipc/catalogue.h; set_state() is the
 * only writer.
 *
 *     boot       pf__worker_run(): loop, channel, death pipe, signals, application, lanes
 *     ready      told the master; waits for GO with its listeners unwatched
 *     accepting  go(): each lane accepts and hands its connections to the service
 *     draining   drain(): each lane closes its listeners and finishes
 *     exiting    stop(), or the last lane has finished: the loop returns
 *
 * THREADS. Lane 0 lives on the main thread, where everything here runs but seat_run() and
 * what is between the lines of "on a lane's thread" below. The two sides talk by
 * pf_loop_add_callback() only: commands go to a lane's loop, a lane's states come to ours.
 */
#include "worker/run.h"

#include "ipc/catalogue.h"
#include "loop/assert.h"
#include "worker/crash.h"
#include "worker/orphan.h"

#include <prefork/log.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a TERM waits for the master's word. */
#define SIGNAL_GRACE_NS (100 * PF_MILLISECOND)
/* How long after the drain limit a worker without a master is killed, if it has not left:
 * its loop does not turn. */
#define ORPHAN_GRACE_NS (2 * PF_SECOND)

struct worker;

/* A lane and what the main thread knows of it. */
struct seat {
    struct worker *worker;
    struct pf_lane lane; /* its thread's */
    pf_loop *loop;       /* to post to; NULL until the lane is ready */
    pthread_t thread;
    bool running; /* a thread of its own, to be joined */
    bool accepts; /* has accepted at all */
};

struct worker {
    const struct pf__worker_setup *setup;
    enum pf_worker_state state;
    pf_loop *loop;
    pf_channel *channel;
    struct seat *seats;
    unsigned ready, accepting, drained, left;
    bool last;       /* drained for good: nobody else accepts from our listeners */
    const char *why; /* it drains */
    int status;
};

static void set_state(struct worker *worker, enum pf_worker_state to)
{
    pf_assert(pf__worker_may_move(worker->state, to));
    pf_log(PF_LOG_DEBUG, "state", "worker=%u %s->%s", worker->setup->slot,
           pf__worker_state_name(worker->state), pf__worker_state_name(to));
    worker->state = to;
    if (worker->setup->on_state)
        worker->setup->on_state(to, worker->setup->on_state_arg);
}

/* The master may be gone; then the death pipe says so in the same iteration. */
static void tell(struct worker *worker, enum pf_ipc_type type, const void *payload,
                 size_t len)
{
    int err = pf_channel_send(worker->channel, (uint16_t)type, payload, len, NULL, 0);
    if (err)
        pf_log(PF_LOG_DEBUG, "message-not-sent", "type=%d error=%s", (int)type,
               strerror(-err));
}

static void tell_of_lane(struct seat *seat, enum pf_ipc_type type)
{
    struct pf__ipc_lane lane = {.thread = seat->lane.thread,
                                .owner =
                                    seat->worker->setup->first_lane + seat->lane.thread};
    tell(seat->worker, type, &lane, sizeof lane);
}

/* ---- on a lane's thread: commands ------------------------------------------------ */

static int lane_on_go(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    const struct pf__worker_setup *setup = seat->worker->setup;
    unsigned thread = seat->lane.thread;
    int err =
        pf__lane_go(&seat->lane, setup->first_lane + thread,
                    setup->listeners + thread * setup->listen_count, setup->listen_count);
    if (err)
        pf_log(PF_LOG_ERROR, "accept-not-started", "thread=%u error=%s exiting", thread,
               strerror(-err));
    return 0;
}

static int lane_on_drain(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    pf__lane_drain(&seat->lane, seat->worker->last);
    return 0;
}

static int lane_on_stop(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    pf__lane_stop(&seat->lane);
    return 0;
}

static int lane_on_overflow(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    pf__lane_overflow(&seat->lane);
    return 0;
}

/* The turn that this takes is the answer. */
static int lane_on_ping(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

/* Another lane's listeners, on their way to or from one of ours. */
struct adoption {
    struct seat *seat;
    unsigned owner;
    size_t count;
    struct pf__listener listeners[];
};

static pf_callback_fn worker_on_not_adopted;

static int lane_on_adopt(pf_loop *loop, void *arg)
{
    (void)loop;
    struct adoption *adoption = arg;
    int err = pf__lane_adopt(&adoption->seat->lane, adoption->owner, adoption->listeners,
                             adoption->count);
    if (!err) {
        pf_log(PF_LOG_DEBUG, "adopted", "lane=%u thread=%u", adoption->owner,
               adoption->seat->lane.thread);
        free(adoption);
        return 0;
    }
    for (size_t i = 0; i < adoption->count; i++)
        close(adoption->listeners[i].fd);
    if (err == -EEXIST || pf_loop_add_callback(adoption->seat->worker->loop,
                                               worker_on_not_adopted, adoption) != 0)
        free(adoption);
    return 0;
}

static int lane_on_release(pf_loop *loop, void *arg)
{
    (void)loop;
    struct adoption *adoption = arg;
    pf__lane_release(&adoption->seat->lane, adoption->owner);
    pf_log(PF_LOG_DEBUG, "released", "lane=%u thread=%u", adoption->owner,
           adoption->seat->lane.thread);
    free(adoption);
    return 0;
}

/* ---- commands, from the main thread ---------------------------------------------- */

/* A lane that is not ready yet learns what the worker wants when it is. */
static void post(struct seat *seat, pf_callback_fn *fn, void *arg)
{
    int err = seat->loop ? pf_loop_add_callback(seat->loop, fn, arg) : 0;
    if (err && err != -ESTALE) /* its loop is closed: it has left */
        pf_log(PF_LOG_ERROR, "lane-not-told", "thread=%u error=%s", seat->lane.thread,
               strerror(-err));
}

static void post_all(struct worker *worker, pf_callback_fn *fn)
{
    for (unsigned i = 0; i < worker->setup->threads; i++)
        post(&worker->seats[i], fn, &worker->seats[i]);
}

static void stop(struct worker *worker)
{
    if (worker->state == PF_WORKER_EXITING)
        return;
    set_state(worker, PF_WORKER_EXITING);
    post_all(worker, lane_on_stop);
}

static void go(struct worker *worker)
{
    if (worker->state != PF_WORKER_READY)
        return;
    set_state(worker, PF_WORKER_ACCEPTING);
    post_all(worker, lane_on_go);
}

/* `last`: what stands in the queues is served by nobody else. */
static void drain(struct worker *worker, bool last, const char *why)
{
    if (worker->state == PF_WORKER_DRAINING)
        return;
    go(worker);
    if (worker->state != PF_WORKER_ACCEPTING) {
        stop(worker);
        return;
    }
    worker->last = last;
    worker->why = why;
    set_state(worker, PF_WORKER_DRAINING);
    post_all(worker, lane_on_drain);
}

/* ---- what lanes report ----------------------------------------------------------- */

/* Its own standard error: until now the master read along, to be able to say what a worker
 * said before it failed to boot. An application that has closed it may have something else
 * there by now. */
static void put_stderr_back(struct worker *worker)
{
    int fd = worker->setup->stderr_fd;
    struct stat now;
    if (fd < 0)
        return;
    if (fstat(STDERR_FILENO, &now) == 0 && S_ISFIFO(now.st_mode) &&
        now.st_ino == worker->setup->stderr_pipe)
        (void)dup2(fd, STDERR_FILENO); /* else the master goes on reading along */
    close(fd);
}

static int worker_on_lane_ready(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    struct worker *worker = seat->worker;
    seat->loop = seat->lane.loop;
    if (worker->state != PF_WORKER_BOOT)
        post(seat, lane_on_stop, seat);
    else if (++worker->ready == worker->setup->threads) {
        set_state(worker, PF_WORKER_READY);
        put_stderr_back(worker);
        tell(worker, PF_IPC_READY, NULL, 0);
    }
    return 0;
}

static int worker_on_lane_accepting(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    struct worker *worker = seat->worker;
    if (seat->accepts) {
        tell_of_lane(seat, PF_IPC_ACCEPTING);
        return 0;
    }
    seat->accepts = true;
    if (++worker->accepting < worker->setup->threads)
        return 0;
    tell(worker, PF_IPC_ACCEPTING, NULL, 0);
    if (worker->setup->service->on_ready)
        worker->setup->service->on_ready(worker->setup->service->arg);
    return 0;
}

static int worker_on_lane_paused(pf_loop *loop, void *arg)
{
    (void)loop;
    tell_of_lane(arg, PF_IPC_PAUSED);
    return 0;
}

static size_t connections_of(const struct worker *worker)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < worker->setup->threads; i++)
        sum += __atomic_load_n(worker->seats[i].lane.cells[PF__COLUMN_CONNECTIONS],
                               __ATOMIC_RELAXED);
    return (size_t)sum;
}

/* Listeners that all lanes share are closed when none of them watches any more. */
static int worker_on_lane_draining(pf_loop *loop, void *arg)
{
    (void)loop;
    struct seat *seat = arg;
    struct worker *worker = seat->worker;
    const struct pf__worker_setup *setup = worker->setup;
    if (++worker->drained < setup->threads)
        return 0;
    pf_log(PF_LOG_INFO, "draining", "why=%s connections=%zu limit=%.1fs", worker->why,
           connections_of(worker), (double)setup->drain_ns / 1e9);
    for (size_t i = 0; i < setup->listen_count; i++)
        if (setup->listeners[i].mode != PF_ACCEPT_OWN)
            close(setup->listeners[i].fd);
    return 0;
}

static int worker_on_lane_left(pf_loop *loop, void *arg)
{
    struct seat *seat = arg;
    struct worker *worker = seat->worker;
    if (worker->state == PF_WORKER_BOOT)
        worker->status = PF_EXIT_CONFIG;
    else if (worker->state != PF_WORKER_DRAINING && worker->state != PF_WORKER_EXITING)
        worker->status = PF_EXIT_SOFTWARE;
    worker->left++;
    if (worker->state != PF_WORKER_DRAINING || worker->left == worker->setup->threads)
        stop(worker);
    if (worker->left == worker->setup->threads)
        pf_loop_stop(loop);
    return 0;
}

static int worker_on_not_adopted(pf_loop *loop, void *arg)
{
    (void)loop;
    struct adoption *adoption = arg;
    struct pf__ipc_lane lane = {.thread = adoption->seat->lane.thread,
                                .owner = adoption->owner};
    pf_log(PF_LOG_WARN, "not-adopted", "lane=%u", lane.owner);
    tell(adoption->seat->worker, PF_IPC_RELEASE, &lane, sizeof lane);
    free(adoption);
    return 0;
}

/* On a lane's thread: the report that belongs to each state. */
static void lane_on_state(struct pf_lane *lane, void *arg)
{
    static pf_callback_fn *const reports[PF_WORKER_STATES] = {
        [PF_WORKER_READY] = worker_on_lane_ready,
        [PF_WORKER_ACCEPTING] = worker_on_lane_accepting,
        [PF_WORKER_PAUSED] = worker_on_lane_paused,
        [PF_WORKER_DRAINING] = worker_on_lane_draining,
        [PF_WORKER_EXITING] = worker_on_lane_left,
    };
    struct seat *seat = arg;
    int err = pf_loop_add_callback(seat->worker->loop, reports[lane->state], seat);
    if (err)
        pf_log(PF_LOG_ERROR, "lane-not-heard", "thread=%u error=%s", lane->thread,
               strerror(-err));
    if (lane->state == PF_WORKER_EXITING && seat->running)
        pf_loop_stop(lane->loop);
}

/* ---- what moves it --------------------------------------------------------------- */

/* The lane of ours that a message names; NULL: none, or no such message. */
static struct seat *seat_of(struct worker *worker, const struct pf_message *message,
                            struct pf__ipc_lane *lane)
{
    if (message->len != sizeof *lane)
        return NULL;
    memcpy(lane, message->payload, sizeof *lane);
    return lane->thread < worker->setup->threads ? &worker->seats[lane->thread] : NULL;
}

/* What comes are the other lane's own listeners, in the order of the addresses. Returns
 * NULL if it is not so, or without memory. */
static struct adoption *new_adoption(struct seat *seat, unsigned owner,
                                     const struct pf_message *message)
{
    const struct pf__worker_setup *setup = seat->worker->setup;
    struct adoption *adoption =
        malloc(sizeof *adoption + message->fd_count * sizeof *adoption->listeners);
    if (!adoption)
        return NULL;
    *adoption = (struct adoption){.seat = seat, .owner = owner};
    for (size_t i = 0; i < setup->listen_count; i++) {
        const struct pf__listener *ours = &setup->listeners[i];
        if (ours->mode != PF_ACCEPT_OWN || adoption->count == message->fd_count)
            continue;
        adoption->listeners[adoption->count] = *ours;
        adoption->listeners[adoption->count].fd = message->fds[adoption->count];
        adoption->count++;
    }
    if (adoption->count == message->fd_count)
        return adoption;
    free(adoption);
    return NULL;
}

static void adopt(struct worker *worker, const struct pf_message *message)
{
    struct pf__ipc_lane lane = {0};
    struct seat *seat = seat_of(worker, message, &lane);
    struct adoption *adoption =
        seat && seat->loop ? new_adoption(seat, lane.owner, message) : NULL;
    int err =
        adoption ? pf_loop_add_callback(seat->loop, lane_on_adopt, adoption) : -EINVAL;
    if (err) {
        free(adoption);
        pf_log(PF_LOG_WARN, "not-adopted", "lane=%u", lane.owner);
        tell(worker, PF_IPC_RELEASE, message->payload, message->len);
        return;
    }
    for (size_t i = 0; i < message->fd_count; i++)
        message->fds[i] = -1;
}

static void release(struct worker *worker, const struct pf_message *message)
{
    struct pf__ipc_lane lane;
    struct seat *seat = seat_of(worker, message, &lane);
    if (!seat || !seat->loop)
        return;
    struct adoption *adoption = malloc(sizeof *adoption);
    if (!adoption)
        return; /* watched by two from now on: nothing is lost */
    *adoption = (struct adoption){.seat = seat, .owner = lane.owner};
    if (pf_loop_add_callback(seat->loop, lane_on_release, adoption) != 0)
        free(adoption);
}

static void drain_as_told(struct worker *worker, const struct pf_message *message)
{
    struct pf__ipc_drain how = {.last = true};
    if (message->len == sizeof how)
        memcpy(&how, message->payload, sizeof how);
    drain(worker, how.last, how.last ? "stop" : "replaced");
}

static void post_named(struct worker *worker, const struct pf_message *message,
                       pf_callback_fn *fn)
{
    struct pf__ipc_lane lane;
    struct seat *seat = seat_of(worker, message, &lane);
    if (seat)
        post(seat, fn, seat);
}

static void channel_on_message(pf_channel *channel, const struct pf_message *message,
                               void *arg)
{
    (void)channel;
    struct worker *worker = arg;
    if (message->type == PF_IPC_GO)
        go(worker);
    else if (message->type == PF_IPC_DRAIN)
        drain_as_told(worker, message);
    else if (message->type == PF_IPC_STOP)
        stop(worker);
    else if (message->type == PF_IPC_OVERFLOW)
        post_named(worker, message, lane_on_overflow);
    else if (message->type == PF_IPC_ADOPT)
        adopt(worker, message);
    else if (message->type == PF_IPC_RELEASE)
        release(worker, message);
    else if (message->type == PF_IPC_PING)
        post_named(worker, message, lane_on_ping);
    else
        pf_log(PF_LOG_WARN, "unknown-message", "type=%u ignored", message->type);
}

static void master_is_gone(struct worker *worker)
{
    if (worker->state == PF_WORKER_EXITING || worker->state == PF_WORKER_DRAINING)
        return;
    if (worker->setup->die_with_master) {
        pf_log(PF_LOG_WARN, "master-gone", "exiting");
        stop(worker);
        return;
    }
    pf_log(PF_LOG_WARN, "master-gone", "finishing what is open, then exiting");
    drain(worker, true, "master-gone");
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

/* The master holds our listeners, and fills the slot while we finish. */
static int on_signal_grace_over(pf_loop *loop, void *arg)
{
    (void)loop;
    struct worker *worker = arg;
    if (worker->state == PF_WORKER_ACCEPTING)
        tell(worker, PF_IPC_DRAIN, NULL, 0);
    drain(worker, false, "signal");
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
    stop(arg);
    return 0;
}

static int on_reopen_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo;
    const struct worker *worker = arg;
    const struct pf_service *service = worker->setup->service;
    service->on_reopen(service->arg);
    return 0;
}

static int take_signals(struct worker *worker)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU, SIGUSR1};
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

/* None may end the process any more while it gives things back. */
static void leave_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

/* ---- lanes' threads -------------------------------------------------------------- */

/* What a lane's thread needs before anything of it is allocated. */
static void enter_thread(struct seat *seat)
{
    const struct pf__worker_setup *setup = seat->worker->setup;
    unsigned thread = seat->lane.thread;
    setup->pin(thread, setup->pin_arg);
    int err = pf__crash_thread(thread);
    if (!err && setup->spin_ns)
        err = pf__crash_watch_cpu(seat->lane.cells[PF__COLUMN_BEAT], setup->spin_ns);
    if (err && err != -ENOTCONN) /* said already */
        pf_log(PF_LOG_WARN, "no-backtraces", "thread=%u error=%s", thread, strerror(-err));
}

static int make_loop(pf_loop **loop)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_ALWAYS;
    return pf_loop_new(&options, loop);
}

static void log_boot_failure(const char *step, int err)
{
    pf_log(PF_LOG_ERROR, "boot-failed", "step=%s error=%s", step, strerror(-err));
}

/* Life on a loop of its own: returns when the lane has left. */
static void live(struct seat *seat, pf_loop *loop)
{
    pf_loop_ref(loop); /* the main thread's: it posts here until it has joined us */
    int err = pf__lane_start(&seat->lane, loop);
    if (err) {
        log_boot_failure("lane_init", err);
        pf_loop_unref(loop);
    } else {
        err = pf_loop_start(loop);
        if (err)
            pf_log(PF_LOG_ERROR, "loop-failed", "error=%s exiting", strerror(-err));
    }
    pf__lane_stop(&seat->lane);
    pf__lane_end(&seat->lane);
}

static void *seat_run(void *arg)
{
    struct seat *seat = arg;
    enter_thread(seat);
    pf_loop *loop;
    int err = make_loop(&loop);
    if (err) {
        log_boot_failure("loop", err);
        pf__lane_stop(&seat->lane);
    } else {
        live(seat, loop);
        (void)pf_loop_close(loop, false);
        pf_loop_unref(loop);
    }
    pf__crash_thread_end();
    return NULL;
}

/* Signals that have a meaning for the process are the main thread's; pf__crash_thread()
 * lets through what it handles. Returns how many lanes
 * have a thread, lane 0 included. */
static unsigned start_threads(struct worker *worker)
{
    sigset_t quiet, before;
    sigfillset(&quiet);
    pthread_sigmask(SIG_SETMASK, &quiet, &before);
    unsigned started = 1;
    for (; started < worker->setup->threads; started++) {
        struct seat *seat = &worker->seats[started];
        seat->running = true; /* before it looks */
        int err = -pthread_create(&seat->thread, NULL, seat_run, seat);
        if (err) {
            seat->running = false;
            log_boot_failure("thread", err);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void join_threads(struct worker *worker)
{
    for (unsigned i = 1; i < worker->setup->threads; i++) {
        struct seat *seat = &worker->seats[i];
        if (!seat->running)
            continue;
        post(seat, lane_on_stop, seat); /* nothing, if it has left */
        pthread_join(seat->thread, NULL);
        if (seat->loop)
            pf_loop_unref(seat->loop);
    }
}

/* ---- boot and end ---------------------------------------------------------------- */

/* The share of one lane, rounded up. */
static size_t share_of(size_t limit, unsigned lanes)
{
    return (limit + lanes - 1) / lanes;
}

static int make_seats(struct worker *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    worker->seats = calloc(setup->threads, sizeof *worker->seats);
    if (!worker->seats)
        return -ENOMEM;
    struct pf__lane_setup lane = {
        .service = setup->service,
        .slot = setup->slot,
        .board = setup->board,
        .limits = {.soft = share_of(setup->limits.soft, setup->threads),
                   .hard = share_of(setup->limits.hard, setup->threads),
                   .per_client = setup->limits.per_client},
        .drain_ns = setup->drain_ns};
    int err = 0;
    for (unsigned i = 0; i < setup->threads && !err; i++) {
        struct seat *seat = &worker->seats[i];
        lane.thread = i;
        lane.row = setup->first_row + i;
        err = pf__lane_init(&seat->lane, &lane);
        seat->worker = worker;
        seat->lane.on_state = lane_on_state;
        seat->lane.on_state_arg = seat;
    }
    return err;
}

static int boot_kernel_side(struct worker *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    int err = make_seats(worker);
    if (err)
        return err;
    err = pf__crash_install(setup->crash_fd);
    if (err) /* the application has those signals */
        pf_log(PF_LOG_WARN, "no-backtraces", "error=%s", strerror(-err));
    enter_thread(&worker->seats[0]);
    err = make_loop(&worker->loop);
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
    return take_signals(worker);
}

/* What came so far is due. The master's death is told by a signal too, for a handler may
 * block the loop by then. */
static void unblock_signals(const struct worker *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    sigset_t mask = *setup->signal_mask;
    sigdelset(&mask, PF_CRASH_SIGNAL_DUMP);
    sigdelset(&mask, PF_CRASH_SIGNAL_TICK);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    int64_t limit = setup->die_with_master ? 0 : setup->drain_ns;
    int err = pf__orphan_arm(setup->master, limit + ORPHAN_GRACE_NS);
    if (err < 0) /* without it only the loop learns of it */
        pf_log(PF_LOG_WARN, "orphan-limit-not-set", "error=%s", strerror(-err));
}

/* If not all lanes can start, all leave: see worker_on_lane_left(). */
static void start_lanes(struct worker *worker)
{
    unsigned started = start_threads(worker);
    struct pf_lane *first = &worker->seats[0].lane;
    for (unsigned i = started; i < worker->setup->threads; i++)
        pf__lane_stop(&worker->seats[i].lane);
    if (started < worker->setup->threads) {
        pf__lane_stop(first);
        return;
    }
    int err = pf__lane_start(first, worker->loop);
    if (err)
        log_boot_failure("lane_init", err);
}

static int serve(struct worker *worker)
{
    start_lanes(worker);
    int err = pf_loop_start(worker->loop);
    if (err) {
        pf_log(PF_LOG_ERROR, "loop-failed", "error=%s exiting", strerror(-err));
        worker->status = PF_EXIT_SOFTWARE;
    }
    join_threads(worker);
    pf__lane_end(&worker->seats[0].lane);
    return worker->status;
}

static int boot_and_serve(struct worker *worker)
{
    const struct pf_service *service = worker->setup->service;
    unblock_signals(worker);
    int err = service->worker_init ? service->worker_init(service->arg) : 0;
    if (err) {
        log_boot_failure("worker_init", err < 0 ? err : -err);
        return PF_EXIT_CONFIG;
    }
    pf__orphan_renew(); /* it may have become another user */
    int status = serve(worker);
    if (service->worker_exit)
        service->worker_exit(service->arg);
    return status;
}

static void end(struct worker *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    pf_channel_free(worker->channel);
    if (worker->loop) {
        (void)pf_loop_remove_handler(worker->loop, setup->death_fd); /* or the master is */
        (void)pf_loop_close(worker->loop, false);
        pf_loop_unref(worker->loop);
    }
    close(setup->death_fd);
    for (unsigned i = 0; worker->seats && i < setup->threads; i++)
        pf__lane_fini(&worker->seats[i].lane);
    free(worker->seats);
}

int pf__worker_run(const struct pf__worker_setup *setup)
{
    struct worker worker = {.setup = setup, .state = PF_WORKER_BOOT};
    int status = PF_EXIT_SOFTWARE;
    int err = boot_kernel_side(&worker);
    if (err)
        log_boot_failure("loop", err);
    else
        status = boot_and_serve(&worker);
    leave_signals();
    pf__crash_thread_end();
    end(&worker);
    return status;
}
