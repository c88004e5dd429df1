/*
 * master.c - the master process: start-up in order, then a loop that only reacts.
 *
 * Reading order: pf_master_run() is the start-up as a list; master_on_signal() and
 * pf__master_review() are all that ever happens afterwards, beside slots.c.
 */
#include "master/cpus.h"
#include "master/guard.h"
#include "master/internal.h"
#include "master/policy.h"
#include "master/view.h"

#include "loop/assert.h"
#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A draining worker ends itself at its limit; one that does not is stuck, and is killed
 * this long after. The same for one that was told to drop everything. */
#define STOP_GRACE_NS (2 * PF_SECOND)

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
    if (master->state != PF__MASTER_STOPPING)
        set_state(master, PF__MASTER_STOPPING);
    for (unsigned lane = 0; lane < master->slot_count; lane++)
        pf__listeners_close_lane(&master->listeners, lane);
    pf__slots_stop(master);

    (void)pf_loop_remove_timeout(master->loop, master->stop_timer);
    int64_t limit = STOP_GRACE_NS;
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
        workers[i] =
            (struct pf_worker_status){master->slots[i].pid, master->plan.seat[i].cpu};
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
    master->announced = true;
    if (master->options->on_ready)
        master->options->on_ready(&status, master->options->arg);
}

static void give_up(struct pf__master *master, int status)
{
    pf_log(PF_LOG_ERROR, "giving-up", "why=%s status=%d",
           status == PF_EXIT_CONFIG ? "no-worker-could-boot" : "all-workers-keep-failing",
           status);
    master->status = status;
    begin_stop(master, PF__STOP_FAST);
}

/* For how long has there been no worker that lived long enough to be called healthy? */
static int64_t all_failing_for(struct pf__master *master)
{
    int64_t now = 0;
    (void)pf_loop_time(master->loop, &now);
    for (unsigned i = 0; i < master->slot_count; i++)
        if (master->slots[i].pid && master->slots[i].state == PF_WORKER_ACCEPTING &&
            now - master->slots[i].born_ns >= PF__MIN_UPTIME_NS)
            master->healthy_at_ns = now;
    return now - master->healthy_at_ns;
}

static void judge(struct pf__master *master)
{
    unsigned worst = 0;
    for (unsigned i = 0; i < master->slot_count; i++)
        if (master->slots[i].failures > worst)
            worst = master->slots[i].failures;
    int status = pf__policy_give_up(master->ever_ready, worst, all_failing_for(master));
    if (status)
        give_up(master, status);
}

void pf__master_review(struct pf__master *master)
{
    if (master->stop != PF__STOP_NOT) {
        if (pf__slots_alive(master) == 0)
            pf_loop_stop(master->loop);
        return;
    }
    bool all_accept = pf__slots_accepting(master) == master->slot_count;
    if (all_accept && master->state == PF__MASTER_STARTING)
        set_state(master, PF__MASTER_RUNNING);
    if (all_accept && !master->announced)
        announce(master);
    judge(master);
}

/* After the rest of this batch of events: a worker's last words came before its end. */
static int master_on_children(pf_loop *loop, void *arg)
{
    (void)loop;
    pf__slots_reap(arg);
    return 0;
}

static void take_signal(struct pf__master *master, const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;
    if (number == SIGCHLD) {
        if (pf_loop_add_callback(master->loop, master_on_children, master) != 0)
            pf__slots_reap(master);
    } else if (number == SIGTERM || number == SIGQUIT || number == SIGINT) {
        stop_for_signal(master, number);
    } else {
        pf_log(PF_LOG_INFO, "signal-ignored", "signal=%s from=%u", strsignal(number),
               info->ssi_pid);
    }
}

static int master_on_signal(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)events;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        take_signal(arg, &info);
    return 0;
}

/* ---- start-up -------------------------------------------------------------------- */

static PF_PRINTF(2, 3) void say(const struct pf_master_options *options, const char *format,
                                ...)
{
    if (!options->error || !options->error_len)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(options->error, options->error_len, format, args);
    va_end(args);
}

static int out_of(const struct pf__master *master, const char *what, int err)
{
    say(master->options, "cannot start: %s: %s", what, strerror(-err));
    return PF_EXIT_SOFTWARE;
}

/* Where the workers run; an exit status. */
static int plan(struct pf__master *master)
{
    const struct pf_master_options *options = master->options;
    hwloc_bitmap_t allowed;
    int err = pf__cpus_allowed(&allowed);
    if (err)
        return out_of(master, "CPU plan", err);
    if (pf__cpus_topology(&master->topology) != 0)
        master->topology = NULL;
    struct pf_plan_request request = {
        .topology = master->topology,
        .allowed = allowed,
        .workers = options->workers,
        .pin = master->topology ? options->pin : PF_PIN_NONE,
        .quota_milli = pf__cpus_quota("/proc/self", "/sys/fs/cgroup"),
    };
    char why[128] = "";
    err = pf__plan_make(&request, why, sizeof why, &master->plan);
    hwloc_bitmap_free(allowed);
    if (err == -EINVAL) {
        say(options, "CPU plan: %s", why);
        return PF_EXIT_USAGE;
    }
    if (err)
        return out_of(master, "CPU plan", err);
    master->slot_count = master->plan.workers;
    if (master->plan.wraps)
        pf_log(PF_LOG_WARN, "cpus-shared", "workers=%u cpus=%u", master->slot_count,
               master->plan.cpus);
    return PF_EXIT_OK;
}

static int make_slots(struct pf__master *master)
{
    master->slots = calloc(master->slot_count, sizeof *master->slots);
    if (!master->slots)
        return -ENOMEM;
    for (unsigned i = 0; i < master->slot_count; i++)
        master->slots[i] = (struct pf__slot){.master = master, .number = i};
    return pf_scoreboard_new(pf__columns, PF__COLUMNS, master->slot_count, &master->board);
}

static int make_loop(struct pf__master *master)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_NEVER;
    options.internal = true;
    int err = pf_loop_new(&options, &master->loop);
    if (err)
        return err;
    /* One timer for each slot and one to stop: supervision's timers need no memory in a bad
     * moment. */
    err = pf_loop_reserve(master->loop, 64 + 2 * (size_t)master->slot_count,
                          master->slot_count + 8, 64);
    (void)pf_loop_time(master->loop, &master->healthy_at_ns);
    master->started_ns = master->healthy_at_ns;
    if (!err)
        err = pf_loop_add_handler(master->loop, master->signals.fd, PF_READ,
                                  master_on_signal, master);
    return err;
}

/* A server that may not write anywhere (a container's read-only file system) runs without a
 * control socket, unless it was asked for by name. */
static int open_control(struct pf__master *master)
{
    char path[PF__CONTROL_PATH_MAX], address[PF_ADDRESS_TEXT_MAX];
    const char *wanted = master->options->control;
    int err = 0, holder = 0;
    if (!wanted) {
        pf_address_format(&master->listeners.addresses[0], address);
        err = pf__control_default_path(address, path, sizeof path);
        wanted = path;
    }
    if (!err)
        err = pf__control_open(&master->control, master->loop, wanted, pf__view_commands,
                               master, &holder);
    if (err == -EADDRINUSE) {
        say(master->options, "--ctl %s: in use by another server (pid %d); stop it", wanted,
            holder);
        return PF_EXIT_UNAVAILABLE;
    }
    if (err && master->options->control) {
        say(master->options, "--ctl %s: %s; name a path in a directory of yours", wanted,
            strerror(-err));
        return PF_EXIT_UNAVAILABLE;
    }
    if (err)
        pf_log(PF_LOG_WARN, "no-control-socket", "error=%s serving=without-it",
               strerror(-err));
    return PF_EXIT_OK;
}

/* Descriptors are what connections are made of: take all that we may. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else with what there is */
    }
}

/* Everything that can fail before the first fork; what was made is given back by end(). */
static int start_up(struct pf__master *master)
{
    const struct pf_master_options *options = master->options;
    raise_descriptor_limit();
    int status = plan(master);
    if (status != PF_EXIT_OK)
        return status;
    status = pf__listeners_open(&master->listeners, options->binds, options->bind_count,
                                master->slot_count, options->backlog, options->error,
                                options->error_len);
    if (status != PF_EXIT_OK)
        return status;
    int err = make_slots(master);
    if (err)
        return out_of(master, "scoreboard", err);
    if (pipe2(master->death_pipe, O_CLOEXEC) != 0)
        return out_of(master, "death pipe", -errno);
    err = pf__signals_open(&master->signals);
    if (err)
        return out_of(master, "signals", err);
    err = make_loop(master);
    if (err)
        return out_of(master, "loop", err);
    return open_control(master);
}

static void close_pipe(int pipe[2])
{
    for (int i = 0; i < 2; i++)
        if (pipe[i] >= 0)
            close(pipe[i]);
}

static void end(struct pf__master *master)
{
    pf__control_close(&master->control);
    for (unsigned i = 0; master->slots && i < master->slot_count; i++) {
        if (master->slots[i].pid) /* only if the master's own loop failed */
            kill(master->slots[i].pid, SIGKILL);
        pf_channel_free(master->slots[i].channel);
    }
    if (master->loop) {
        (void)pf_loop_close(master->loop, false);
        pf_loop_unref(master->loop);
    }
    pf__signals_close(&master->signals);
    close_pipe(master->death_pipe);
    pf_scoreboard_free(master->board);
    free(master->slots);
    pf__listeners_fini(&master->listeners);
    pf__plan_fini(&master->plan);
    if (master->topology)
        hwloc_topology_destroy(master->topology);
}

static void fill_in(struct pf_master_options *to, const struct pf_master_options *from)
{
    *to = (struct pf_master_options)PF_MASTER_OPTIONS_INIT;
    memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    to->size = sizeof *to;
    to->backlog = to->backlog ? to->backlog : PF_MASTER_BACKLOG;
    to->drain_ns = to->drain_ns ? to->drain_ns : PF_MASTER_DRAIN_NS;
    to->boot_ns = to->boot_ns ? to->boot_ns : PF_MASTER_BOOT_NS;
}

int pf_master_run(const struct pf_master_options *given)
{
    if (!given || given->size < sizeof given->size)
        return -EINVAL;
    struct pf_master_options options;
    fill_in(&options, given);
    if (!options.service || !options.service->on_connection || !options.binds ||
        !options.bind_count || options.workers > PF_WORKERS_MAX || options.backlog < 0 ||
        options.drain_ns < 0 || options.drain_ns > PF_MASTER_LIMIT_NS ||
        options.boot_ns < 0 || options.boot_ns > PF_MASTER_LIMIT_NS)
        return -EINVAL;
    int refused = pf__guard_fork(options.allow_threads, options.error, options.error_len);
    if (refused)
        return refused;

    struct pf__master master = {.options = &options,
                                .signals = {.fd = -1},
                                .death_pipe = {-1, -1},
                                .control = PF__CONTROL_NONE};
    pf_log_set_role("master");
    master.status = start_up(&master);
    if (master.status == PF_EXIT_OK) {
        int err = 0;
        for (unsigned i = 0; i < master.slot_count && !err; i++)
            err = pf__slot_fill(&master.slots[i]);
        if (err) { /* a slot without a worker has queues that the kernel fills */
            master.status = out_of(&master, "worker", err);
            begin_stop(&master, PF__STOP_FAST);
        }
        err = pf_loop_start(master.loop);
        if (err)
            master.status = out_of(&master, "loop", err);
    }
    end(&master);
    return master.status;
}
