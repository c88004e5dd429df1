/*
 * spawn.c - the fork, and what a child does first.
 *
 * The child lets go of everything of the master's, by name and not by number, so that what
 * the application opened before the fork stays: the workers' channels (or it would hide the
 * master's death from them), the death pipe's writing end (the same), the other lanes'
 * listeners, the control socket, the signal descriptor (an inherited one never tells of the
 * child's own signals), and the master's loop, without a word to the kernel about it.
 *
 * All handled signals stay blocked until the worker's own handlers stand.
 */
#include "master/cpus.h"
#include "master/internal.h"
#include "master/oom.h"
#include "master/title.h"
#include "worker/run.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void pf__let_go(struct pf__master *master, unsigned kept_slot)
{
    for (unsigned i = 0; i < master->slot_count; i++)
        for (unsigned seat = 0; seat < 2; seat++) {
            struct pf__worker *worker = &master->slots[i].seats[seat];
            pf_channel_free(worker->channel);
            worker->channel = NULL;
            pf__ear_close(&worker->ear);
        }
    pf__scale_close(master);
    pf__control_close(&master->control);
    pf__notify_let_go(&master->notify);
    pf__pid_file_close(&master->pid_file);
    (void)pf_loop_discard(master->loop);
    master->loop = NULL;
    close(master->signals.fd);
    close(master->death_pipe[1]);
    close(master->crash_pipe[0]);
    unsigned lanes = kept_slot < master->slot_count ? master->threads : 0;
    pf__listeners_keep(&master->listeners, kept_slot * master->threads, lanes);
}

/* Called by each lane's thread. */
static void pin_thread(unsigned thread, void *arg)
{
    const struct pf__worker *worker = arg;
    const struct pf__master *master = worker->slot->master;
    const struct pf_cpu_seat *seat =
        &master->plan.seat[worker->slot->number * master->threads + thread];
    struct pf_pin_result result;
    int err = pf__cpus_pin(master->topology, seat, &result);
    if (err)
        pf_log(PF_LOG_WARN, "not-pinned", "cpu=%d error=%s running=unpinned", seat->cpu,
               strerror(-err));
    else if (!result.exact)
        pf_log(PF_LOG_WARN, "pinned-otherwise", "wanted=%s granted=%s", result.requested,
               result.effective);
    if (result.memory)
        pf_log(PF_LOG_DEBUG, "memory-not-bound", "node=%d error=%s", seat->node,
               strerror(-result.memory));
}

static void show_state(enum pf_worker_state state, void *arg)
{
    const struct pf__worker *worker = arg;
    pf__title_set("worker %u %s", worker->slot->number, pf__worker_state_name(state));
}

/* Sanitizers look for leaks at exit(), which a worker must not call: it would flush the
 * master's stdio buffers and run its atexit functions a second time. */
#if defined(__SANITIZE_ADDRESS__)
void __lsan_do_leak_check(void);
#define CHECK_LEAKS() __lsan_do_leak_check()
#else
#define CHECK_LEAKS() ((void)0)
#endif

/* The child's ends. */
struct ends {
    int channel_fd;
    int stderr_fd;
};

/* From here on the master reads what it says. Returns the standard error that it had. */
static int redirect_stderr(int fd, ino_t *pipe_number)
{
    struct stat st;
    int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    *pipe_number = fstat(fd, &st) == 0 ? st.st_ino : 0;
    if (before >= 0)
        (void)dup2(fd, STDERR_FILENO); /* else the master hears nothing */
    close(fd);
    return before;
}

static struct pf__listener *listeners_of(const struct pf__master *master, unsigned slot)
{
    const struct pf__listeners *all = &master->listeners;
    struct pf__listener *ours = calloc(master->threads * all->count, sizeof *ours);
    for (unsigned thread = 0; ours && thread < master->threads; thread++)
        for (size_t i = 0; i < all->count; i++)
            ours[thread * all->count + i] = (struct pf__listener){
                .fd = pf__listeners_fd(all, slot * master->threads + thread, i),
                .mode = all->modes[i],
                .datagram = all->addresses[i].datagram};
    return ours;
}

static void raise_oom_score(unsigned by)
{
    int err = by ? pf__oom_raise(by) : 0;
    if (err)
        pf_log(PF_LOG_WARN, "oom-score-not-raised", "by=%u error=%s", by, strerror(-err));
}

static bool drop_privileges(const struct pf__master *master)
{
    const char *step;
    int err = pf__privileges_drop(&master->privileges, &step);
    if (err)
        pf_log(PF_LOG_ERROR, "boot-failed", "step=%s error=%s", step, strerror(-err));
    return err == 0;
}

static int run(struct pf__worker *worker, const struct ends *ends, pid_t parent)
{
    struct pf__master *master = worker->slot->master;
    const struct pf_master_options *options = master->options;
    unsigned slot = worker->slot->number;
    struct pf__listener *listeners = listeners_of(master, slot);
    if (!listeners)
        return PF_EXIT_SOFTWARE;
    ino_t stderr_pipe;
    int stderr_fd = redirect_stderr(ends->stderr_fd, &stderr_pipe);
    struct pf__worker_setup setup = {
        .slot = slot,
        .threads = master->threads,
        .service = options->service,
        .first_lane = slot * master->threads,
        .listeners = listeners,
        .listen_count = master->listeners.count,
        .channel_fd = ends->channel_fd,
        .death_fd = master->death_pipe[0],
        .crash_fd = master->crash_pipe[1],
        .stderr_fd = stderr_fd,
        .stderr_pipe = stderr_pipe,
        .board = master->board,
        .first_row = pf__row(slot, worker->seat, master->threads, 0),
        .limits = {.soft = options->connections_soft,
                   .hard = options->connections_max,
                   .per_client = options->connections_per_client},
        .drain_ns = options->drain_ns,
        .spin_ns = options->spin_ns > 0 ? options->spin_ns : 0,
        .master = parent,
        .die_with_master = options->die_with_master,
        .signal_mask = &master->signals.mask,
        .pin = pin_thread,
        .pin_arg = worker,
        .on_state = show_state,
        .on_state_arg = worker,
    };
    int status = PF_EXIT_CONFIG;
    raise_oom_score(options->oom_score_adj);
    if (drop_privileges(master)) /* before the worker arms what that undoes */
        status = pf__worker_run(&setup);
    free(listeners);
    return status;
}

static void live(struct pf__worker *worker, const struct ends *ends, pid_t parent)
{
    char role[32];
    snprintf(role, sizeof role, "worker=%u", worker->slot->number);
    pf_log_set_role(role);
    setpgid(0, 0); /* a terminal's Ctrl-C is for the master alone */
    pf__let_go(worker->slot->master, worker->slot->number);
    pf__signals_reset();
    show_state(PF_WORKER_BOOT, worker);
    int status = run(worker, ends, parent);
    CHECK_LEAKS();
    fflush(
        NULL); /* the application's own words; the master's were written before the fork */
    _exit(status);
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

int pf__spawn(struct pf__worker *worker, struct pf__lines *lines)
{
    int pair[2], words[2];
    int err = pf_ipc_pair(pair);
    if (err)
        return err;
    if (pipe2(words, O_CLOEXEC) != 0) {
        err = -errno;
        close_pair(pair);
        return err;
    }
    (void)fcntl(words[0], F_SETFL, O_NONBLOCK); /* the reader's end alone; cannot fail */
    fflush(NULL); /* or the child holds a copy of what is not written yet */
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(pair[0]);
        close(words[0]);
        live(worker, &(struct ends){pair[1], words[1]}, parent);
    }
    if (pid == -1) {
        err = -errno;
        close_pair(pair);
        close_pair(words);
        return err;
    }
    close(pair[1]);
    close(words[1]);
    *lines = (struct pf__lines){.channel_fd = pair[0], .stderr_fd = words[0]};
    return pid;
}
