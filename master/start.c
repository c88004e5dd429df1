/*
 * start.c - everything before the first fork, in order, and after the last worker.
 *
 * pf__start() reads like the list that it is. Whatever fails, one line says which option it
 * was, and pf__end() gives back what has been made so far.
 */
#include "master/complain.h"
#include "master/cpus.h"
#include "master/guard.h"
#include "master/helper.h"
#include "master/internal.h"
#include "master/oom.h"
#include "master/standard.h"
#include "master/title.h"
#include "master/view.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int pf__start_failed(const struct pf__master *master, const char *what, int err)
{
    return pf__complain(master->options, PF_EXIT_SOFTWARE, "cannot start: %s: %s", what,
                        strerror(-err));
}

/* ---- options --------------------------------------------------------------------- */

static void set_default(int64_t *value, int64_t to)
{
    if (*value == 0)
        *value = to;
}

static bool is_time(int64_t ns)
{
    return ns >= 0 && ns <= PF_MASTER_LIMIT_NS;
}

static bool are_valid(const struct pf_master_options *o)
{
    return o->service && (o->service->on_connection || o->service->on_datagram) &&
           o->binds && o->bind_count && o->workers <= PF_WORKERS_MAX &&
           o->threads <= PF_THREADS_MAX && o->backlog >= 0 && is_time(o->drain_ns) &&
           is_time(o->boot_ns) && is_time(o->hang_soft_ns) && is_time(o->hang_hard_ns) &&
           is_time(o->defer_accept_ns) && is_time(o->recycle_after_ns) &&
           o->spin_ns <= PF_MASTER_LIMIT_NS && o->unix_mode <= 0777 &&
           o->oom_score_adj <= PF__OOM_MAX && o->fast_open <= INT32_MAX;
}

static bool have_columns(const struct pf_service *service)
{
    if (service->column_count > PF_SERVICE_COLUMNS_MAX ||
        (service->column_count && !service->columns))
        return false;
    for (size_t i = 0; i < service->column_count; i++)
        if (service->columns[i].writer != PF_COLUMN_LANE)
            return false;
    return true;
}

/* The service as it was when the program was compiled: what it has not is NULL. */
static int take_service(const struct pf_service *given, struct pf_service *out)
{
    if (!given || given->size < sizeof given->size)
        return -EINVAL;
    *out = (struct pf_service){.size = sizeof *out};
    memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
    return have_columns(out) ? 0 : -EINVAL;
}

int pf__start_options(const struct pf_master_options *given, struct pf_master_options *out,
                      struct pf_service *service)
{
    if (!given || given->size < sizeof given->size)
        return -EINVAL;
    *out = (struct pf_master_options)PF_MASTER_OPTIONS_INIT;
    memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
    out->size = sizeof *out;
    if (take_service(out->service, service) != 0)
        return -EINVAL;
    out->service = service;
    if (!are_valid(out))
        return -EINVAL;
    out->threads = out->threads ? out->threads : 1;
    out->backlog = out->backlog ? out->backlog : PF_MASTER_BACKLOG;
    set_default(&out->drain_ns, PF_MASTER_DRAIN_NS);
    set_default(&out->boot_ns, PF_MASTER_BOOT_NS);
    set_default(&out->hang_soft_ns, PF_MASTER_HANG_SOFT_NS);
    set_default(&out->hang_hard_ns, PF_MASTER_HANG_HARD_NS);
    set_default(&out->spin_ns, PF_MASTER_SPIN_NS);
    return 0;
}

/* ---- what supervision needs ------------------------------------------------------ */

/* The framework's columns, and behind them the service's. */
static int make_board(struct pf__master *master)
{
    const struct pf_service *service = master->options->service;
    struct pf_column columns[PF__COLUMNS + PF_SERVICE_COLUMNS_MAX];
    memcpy(columns, pf__columns, sizeof pf__columns);
    if (service->column_count)
        memcpy(columns + PF__COLUMNS, service->columns,
               service->column_count * sizeof *columns);
    return pf_scoreboard_new(columns, PF__COLUMNS + service->column_count,
                             2 * master->lane_count, &master->board);
}

static int make_slots(struct pf__master *master)
{
    master->slots = calloc(master->slot_count, sizeof *master->slots);
    master->lanes = calloc(master->lane_count, sizeof *master->lanes);
    if (!master->slots || !master->lanes)
        return -ENOMEM;
    for (unsigned i = 0; i < master->slot_count; i++) {
        struct pf__slot *slot = &master->slots[i];
        *slot = (struct pf__slot){.master = master, .number = i};
        for (unsigned seat = 0; seat < 2; seat++)
            slot->seats[seat] = (struct pf__worker){.slot = slot, .seat = seat};
    }
    for (unsigned i = 0; i < master->lane_count; i++)
        master->lanes[i].adopter = PF__NOBODY;
    return make_board(master);
}

static int make_pipes(struct pf__master *master)
{
    if (pipe2(master->death_pipe, O_CLOEXEC) != 0 ||
        pipe2(master->crash_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    return 0;
}

static int make_loop(struct pf__master *master)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_NEVER;
    options.internal = true;
    int err = pf_loop_new(&options, &master->loop);
    if (err)
        return err;
    /* Two workers and a timer for each slot, and a few: supervision needs no memory in a
     * bad moment. */
    err = pf_loop_reserve(master->loop, 64 + 4 * (size_t)master->slot_count,
                          3 * master->slot_count + 8, 64);
    master->started_ns = master->healthy_at_ns = pf__master_now(master);
    if (!err)
        err = pf_loop_add_handler(master->loop, master->signals.fd, PF_READ,
                                  pf__master_on_signal, master);
    if (!err)
        err = pf_loop_add_handler(master->loop, master->crash_pipe[0], PF_READ,
                                  pf__crash_on_record, master);
    return err ? err : pf__tick_start(master);
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
    if (err == -EADDRINUSE)
        return pf__complain(master->options, PF_EXIT_UNAVAILABLE,
                            "--ctl %s: in use by another server (pid %d); stop it", wanted,
                            holder);
    if (err == -ENAMETOOLONG && master->options->control)
        return pf__complain(master->options, PF_EXIT_USAGE,
                            "--ctl %s: too long; use a path of at most %d bytes", wanted,
                            PF_LISTENER_PATH_MAX - 1);
    if (err && master->options->control)
        return pf__complain(master->options, PF_EXIT_UNAVAILABLE,
                            "--ctl %s: %s; name a path in a directory of yours", wanted,
                            strerror(-err));
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

/* What workers leave behind is ours to reap: else it piles up where nobody looks. */
static void become_reaper(struct pf__master *master)
{
    int is_one = 1;
    if (prctl(PR_GET_CHILD_SUBREAPER, &is_one) == 0 && !is_one)
        master->is_reaper = prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

/* Before the application's code: what it keeps of the environment stays. */
static void open_title(const struct pf_master_options *options)
{
    int err = options->titles ? pf__title_open() : 0;
    if (err)
        pf_log(PF_LOG_DEBUG, "no-titles", "error=%s", strerror(-err));
}

static void show_title(const struct pf__master *master)
{
    char all[PF__TITLE_MAX] = "", address[PF_ADDRESS_TEXT_MAX];
    size_t len = 0;
    for (size_t i = 0; i < master->listeners.count && len < sizeof all; i++)
        len +=
            (size_t)snprintf(all + len, sizeof all - len, " %s",
                             pf_address_format(&master->listeners.addresses[i], address));
    pf__title_set("master%s", all);
}

/* ---- start and end --------------------------------------------------------------- */

static int guard(const struct pf_master_options *options)
{
    return pf__guard_fork(options->allow_threads, options->error, options->error_len);
}

/* The application's own start; it may break what a fork asks for. */
static int preload(struct pf__master *master)
{
    const struct pf_service *service = master->options->service;
    if (!service->pre_fork)
        return PF_EXIT_OK;
    int err = service->pre_fork(service->arg);
    if (err)
        return pf__complain(master->options, PF_EXIT_CONFIG,
                            "the application's pre_fork failed: %s",
                            strerror(err < 0 ? -err : err));
    return guard(master->options) == 0 ? PF_EXIT_OK : PF_EXIT_SOFTWARE;
}

int pf__start(struct pf__master *master)
{
    const struct pf_master_options *options = master->options;
    open_title(options);
    pf__standard_descriptors();
    raise_descriptor_limit();
    int status = pf__privileges_resolve(&master->privileges, options);
    if (status != PF_EXIT_OK)
        return status;
    if (options->recycle_memory && pf__privileges_hide_workers(&master->privileges))
        pf_log(PF_LOG_WARN, "memory-hidden",
               "option=--recycle-memory lacks=CAP_SYS_PTRACE no-worker-is-replaced-for-it");
    status = pf__pid_file_open(&master->pid_file, options);
    if (status != PF_EXIT_OK)
        return status;
    status = pf__planning(master);
    if (status != PF_EXIT_OK)
        return status;
    status = pf__listeners_open(&master->listeners, master->lane_count, options);
    if (status != PF_EXIT_OK)
        return status;
    int own[PF__ADDRESSES_MAX];
    master->lanes_have_own = pf__listeners_own(&master->listeners, 0, own) > 0;
    show_title(master);
    int err = make_slots(master);
    if (err)
        return pf__start_failed(master, "scoreboard", err);
    err = make_pipes(master);
    if (err)
        return pf__start_failed(master, "pipes", err);
    err = pf__signals_open(&master->signals);
    if (err)
        return pf__start_failed(master, "signals", err);
    become_reaper(master);
    master->oom_kills = pf__cpus_oom_kills("/proc/self", "/sys/fs/cgroup");
    status = preload(master);
    if (status != PF_EXIT_OK)
        return status;
    err = make_loop(master);
    if (err)
        return pf__start_failed(master, "loop", err);
    status = open_control(master);
    if (status == PF_EXIT_OK)
        pf__notify_open(&master->notify, master->loop);
    return status;
}

static void close_pipe(const int pipe[2])
{
    for (int i = 0; i < 2; i++)
        if (pipe[i] >= 0)
            close(pipe[i]);
}

static void end_workers(struct pf__master *master)
{
    for (unsigned i = 0; master->slots && i < master->slot_count; i++)
        for (unsigned seat = 0; seat < 2; seat++) {
            struct pf__worker *worker = &master->slots[i].seats[seat];
            if (worker->pid) /* only if the master's own loop failed */
                kill(worker->pid, SIGKILL);
            pf__ear_close(&worker->ear);
            pf_channel_free(worker->channel);
        }
}

/* None is left to the program, which knows nothing of them. */
static void end_helpers(struct pf__master *master)
{
    for (int i = 0; i < PF__NAMERS_MAX; i++)
        pf__helper_end(master->namers[i]);
    pf__helper_end(master->scale.pid);
    pf__scale_close(master);
}

void pf__end(struct pf__master *master)
{
    pf__control_close(&master->control);
    pf__notify_close(&master->notify);
    end_workers(master);
    end_helpers(master);
    if (master->loop) {
        (void)pf_loop_close(master->loop, false);
        pf_loop_unref(master->loop);
    }
    pf__signals_close(&master->signals);
    if (master->is_reaper)
        (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    close_pipe(master->death_pipe);
    close_pipe(master->crash_pipe);
    pf_scoreboard_free(master->board);
    free(master->slots);
    free(master->lanes);
    pf__listeners_fini(&master->listeners);
    pf__plan_fini(&master->plan);
    if (master->topology)
        hwloc_topology_destroy(master->topology);
    hwloc_bitmap_free(master->allowed);
    pf__title_close();
    pf__pid_file_close(&master->pid_file);
}
