/*
 * spawn.c - the fork, and what a child does first.
 *
 * The child lets go of everything of the master's, by name and not by number, so that what
 * the application opened before the fork stays: the other workers' channels (or it would
 * hide the master's death from them), the death pipe's writing end (the same), the other
 * lanes' listeners, the control socket, the signal descriptor (an inherited one never tells
 * of the child's own signals), and the master's loop, without a word to the kernel about
 * it.
 *
 * All handled signals stay blocked until the worker's own handlers stand.
 */
#include "master/cpus.h"
#include "master/internal.h"
#include "worker/run.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void let_go(struct pf__master *master, unsigned kept_lane)
{
    for (unsigned i = 0; i < master->slot_count; i++) {
        pf_channel_free(master->slots[i].channel);
        master->slots[i].channel = NULL;
    }
    pf__control_close(&master->control);
    (void)pf_loop_discard(master->loop);
    master->loop = NULL;
    close(master->signals.fd);
    close(master->death_pipe[1]);
    pf__listeners_close_others(&master->listeners, kept_lane);
}

static void pin(const struct pf__master *master, const struct pf_cpu_seat *seat)
{
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

/* Sanitizers look for leaks at exit(), which a worker must not call: it would flush the
 * master's stdio buffers and run its atexit functions a second time. */
#if defined(__SANITIZE_ADDRESS__)
void __lsan_do_leak_check(void);
#define CHECK_LEAKS() __lsan_do_leak_check()
#else
#define CHECK_LEAKS() ((void)0)
#endif

static void live(struct pf__slot *slot, int channel_fd)
{
    struct pf__master *master = slot->master;
    char role[32];
    snprintf(role, sizeof role, "worker=%u", slot->number);
    pf_log_set_role(role);
    setpgid(0, 0); /* a terminal's Ctrl-C is for the master alone */
    const struct pf_cpu_seat *seat = &master->plan.seat[slot->number];
    let_go(master, slot->number);
    pf__signals_reset();
    pin(master, seat);
    struct pf__worker_setup setup = {
        .slot = slot->number,
        .service = master->options->service,
        .listen_fds = pf__listeners_of(&master->listeners, slot->number),
        .listen_count = master->listeners.count,
        .channel_fd = channel_fd,
        .death_fd = master->death_pipe[0],
        .board = master->board,
        .row = slot->number,
        .drain_ns = master->options->drain_ns,
        .signal_mask = &master->signals.mask,
    };
    int status = pf__worker_run(&setup);
    CHECK_LEAKS();
    fflush(
        NULL); /* the application's own words; the master's were written before the fork */
    _exit(status);
}

int pf__spawn(struct pf__slot *slot, int *channel_fd)
{
    int pair[2];
    int err = pf_ipc_pair(pair);
    if (err)
        return err;
    fflush(NULL); /* or the child holds a copy of what is not written yet */
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        live(slot, pair[1]);
    }
    if (pid == -1) {
        err = -errno;
        close(pair[0]);
        close(pair[1]);
        return err;
    }
    close(pair[1]);
    *channel_fd = pair[0];
    return pid;
}
