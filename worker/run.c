/*
 * run.c - the life of one worker: boot, ready, accepting, draining, exiting.
 *
 * The worker decides nothing about its life: the master's messages move it, or a signal
 * sent to it, or the master's death. The states are in ipc/catalogue.h;
 * pf__self_set_state() is the only writer.
 *
 *     boot       pf__worker_run(): loop, channel, death pipe, signals, application, lanes
 *     ready      told the master; waits for GO with its listeners unwatched
 *     accepting  pf__self_go(): each lane accepts and hands its connections to the service
 *     draining   pf__self_drain(): each lane closes its listeners and finishes
 *     exiting    pf__self_stop(), or the last lane has finished: the loop returns
 */
#include "worker/internal.h"

#include "worker/crash.h"
#include "worker/orphan.h"

#include <prefork/log.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long after the drain limit a worker without a master is killed, if it has not left:
 * its loop does not turn. */
#define ORPHAN_GRACE_NS (2 * PF_SECOND)

void pf__log_boot_failure(const char *step, int err)
{
    pf_log(PF_LOG_ERROR, "boot-failed", "step=%s error=%s", step, strerror(-err));
}

static int boot_kernel_side(struct pf__self *worker)
{
    const struct pf__worker_setup *setup = worker->setup;
    int err = pf__seats_make(worker);
    if (err)
        return err;
    err = pf__crash_install(setup->crash_fd);
    if (err) /* the application has those signals */
        pf_log(PF_LOG_WARN, "no-backtraces", "error=%s", strerror(-err));
    pf__seat_enter_thread(&worker->seats[0]);
    err = pf__seat_make_loop(&worker->loop);
    if (err)
        return err;
    return pf__orders_take(worker);
}

/* What came so far is due. The master's death is told by a signal too, for a handler may
 * block the loop by then. */
static void unblock_signals(const struct pf__self *worker)
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

static int serve(struct pf__self *worker)
{
    pf__seats_start(worker);
    int err = pf_loop_start(worker->loop);
    if (err) {
        pf_log(PF_LOG_ERROR, "loop-failed", "error=%s exiting", strerror(-err));
        worker->status = PF_EXIT_SOFTWARE;
    }
    if (!pf__seats_can_join(worker)) {
        pf_log(PF_LOG_ERROR, "loop-ended", "before-all-lanes-were-ready exiting");
        _exit(PF_EXIT_SOFTWARE);
    }
    pf__seats_join(worker);
    pf__lane_end(&worker->seats[0].lane);
    return worker->status;
}

static int boot_and_serve(struct pf__self *worker)
{
    const struct pf_service *service = worker->setup->service;
    unblock_signals(worker);
    int err = service->worker_init ? service->worker_init(service->arg) : 0;
    if (err) {
        pf__log_boot_failure("worker_init", err < 0 ? err : -err);
        return PF_EXIT_CONFIG;
    }
    pf__orphan_renew(); /* it may have become another user */
    int status = serve(worker);
    if (service->worker_exit)
        service->worker_exit(service->arg);
    return status;
}

/* None may end the process any more while it gives things back. */
static void leave_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

static void end(struct pf__self *worker)
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
    struct pf__self worker = {.setup = setup, .state = PF_WORKER_BOOT};
    int status = PF_EXIT_SOFTWARE;
    int err = boot_kernel_side(&worker);
    if (err)
        pf__log_boot_failure("loop", err);
    else
        status = boot_and_serve(&worker);
    leave_signals();
    pf__crash_thread_end();
    end(&worker);
    return status;
}
