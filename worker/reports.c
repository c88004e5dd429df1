/*
 * reports.c - what the lanes have come to, and what the master is told of it: see
 * internal.h.
 *
 * Each lane reports each of its states; the worker is ready when all lanes are, accepts
 * when all do, and leaves when all have left.
 */
#include "worker/internal.h"

#include <prefork/log.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell_of_lane(struct pf__seat *seat, enum pf_ipc_type type)
{
    struct pf__ipc_lane lane = {.thread = seat->lane.thread,
                                .owner =
                                    seat->worker->setup->first_lane + seat->lane.thread};
    pf__self_tell(seat->worker, type, &lane, sizeof lane);
}

/* Its own standard error: until now the master read along, to be able to say what a worker
 * said before it failed to boot. An application that has closed it may have something else
 * there by now. */
static void put_stderr_back(struct pf__self *worker)
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
    struct pf__seat *seat = arg;
    struct pf__self *worker = seat->worker;
    seat->loop = seat->lane.loop;
    if (worker->state != PF_WORKER_BOOT)
        pf__seat_stop(seat);
    else if (++worker->ready == worker->setup->threads) {
        pf__self_set_state(worker, PF_WORKER_READY);
        put_stderr_back(worker);
        pf__self_tell(worker, PF_IPC_READY, NULL, 0);
    }
    return 0;
}

static int worker_on_lane_accepting(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__seat *seat = arg;
    struct pf__self *worker = seat->worker;
    if (seat->accepts) {
        tell_of_lane(seat, PF_IPC_ACCEPTING);
        return 0;
    }
    seat->accepts = true;
    if (++worker->accepting < worker->setup->threads)
        return 0;
    pf__self_tell(worker, PF_IPC_ACCEPTING, NULL, 0);
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

static size_t connections_of(const struct pf__self *worker)
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
    struct pf__seat *seat = arg;
    struct pf__self *worker = seat->worker;
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
    struct pf__seat *seat = arg;
    struct pf__self *worker = seat->worker;
    if (worker->state == PF_WORKER_BOOT)
        worker->status = PF_EXIT_CONFIG;
    else if (worker->state != PF_WORKER_DRAINING && worker->state != PF_WORKER_EXITING)
        worker->status = PF_EXIT_SOFTWARE;
    worker->left++;
    if (worker->state != PF_WORKER_DRAINING || worker->left == worker->setup->threads)
        pf__self_stop(worker);
    if (worker->left == worker->setup->threads)
        pf_loop_stop(loop);
    return 0;
}

void pf__seat_on_state(struct pf_lane *lane, void *arg)
{
    static pf_callback_fn *const reports[PF_WORKER_STATES] = {
        [PF_WORKER_READY] = worker_on_lane_ready,
        [PF_WORKER_ACCEPTING] = worker_on_lane_accepting,
        [PF_WORKER_PAUSED] = worker_on_lane_paused,
        [PF_WORKER_DRAINING] = worker_on_lane_draining,
        [PF_WORKER_EXITING] = worker_on_lane_left,
    };
    struct pf__seat *seat = arg;
    int err = pf_loop_add_callback(seat->worker->loop, reports[lane->state], seat);
    if (err)
        pf_log(PF_LOG_ERROR, "lane-not-heard", "thread=%u error=%s", lane->thread,
               strerror(-err));
    if (lane->state == PF_WORKER_EXITING && seat->running)
        pf_loop_stop(lane->loop);
}
