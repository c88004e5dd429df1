/* adoption.c - another lane's listeners, taken in and given back: see internal.h. */
#include "worker/internal.h"

#include <errno.h>
#include <prefork/log.h>
#include <stdlib.h>
#include <unistd.h>

/* Another lane's listeners, on their way to or from one of ours. */
struct adoption {
    struct pf__seat *seat;
    struct pf__ipc_lane named; /* as the master did */
    size_t count;
    struct pf__listener listeners[];
};

static pf_callback_fn worker_on_not_adopted;

/* ---- on a lane's thread ---------------------------------------------------------- */

static int lane_on_adopt(pf_loop *loop, void *arg)
{
    (void)loop;
    struct adoption *adoption = arg;
    int err = pf__lane_adopt(&adoption->seat->lane, adoption->named.owner,
                             adoption->listeners, adoption->count);
    if (!err) {
        pf_log(PF_LOG_DEBUG, "adopted", "lane=%u thread=%u", adoption->named.owner,
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
    pf__lane_release(&adoption->seat->lane, adoption->named.owner);
    pf_log(PF_LOG_DEBUG, "released", "lane=%u thread=%u", adoption->named.owner,
           adoption->seat->lane.thread);
    free(adoption);
    return 0;
}

/* ---- on the main thread ---------------------------------------------------------- */

static int worker_on_not_adopted(pf_loop *loop, void *arg)
{
    (void)loop;
    struct adoption *adoption = arg;
    pf_log(PF_LOG_WARN, "not-adopted", "lane=%u", adoption->named.owner);
    pf__self_tell(adoption->seat->worker, PF_IPC_RELEASE, &adoption->named,
                  sizeof adoption->named);
    free(adoption);
    return 0;
}

/* How many listeners a lane has of its own. */
static size_t count_own(const struct pf__worker_setup *setup)
{
    size_t count = 0;
    for (size_t i = 0; i < setup->listen_count; i++)
        count += setup->listeners[i].mode == PF_ACCEPT_OWN;
    return count;
}

/* What comes are the other lane's own listeners, in the order of the addresses. Returns
 * NULL if it is not so, as without descriptors for them, or without memory. */
static struct adoption *new_adoption(struct pf__seat *seat,
                                     const struct pf__ipc_lane *named,
                                     const struct pf_message *message)
{
    const struct pf__worker_setup *setup = seat->worker->setup;
    if (message->fd_count != count_own(setup))
        return NULL;
    struct adoption *adoption =
        malloc(sizeof *adoption + message->fd_count * sizeof *adoption->listeners);
    if (!adoption)
        return NULL;
    *adoption = (struct adoption){.seat = seat, .named = *named};
    for (size_t i = 0; i < setup->listen_count; i++) {
        const struct pf__listener *ours = &setup->listeners[i];
        if (ours->mode != PF_ACCEPT_OWN)
            continue;
        adoption->listeners[adoption->count] = *ours;
        adoption->listeners[adoption->count].fd = message->fds[adoption->count];
        adoption->count++;
    }
    return adoption;
}

void pf__self_adopt(struct pf__self *worker, const struct pf_message *message)
{
    struct pf__ipc_lane lane = {0};
    struct pf__seat *seat = pf__seat_of(worker, message, &lane);
    struct adoption *adoption =
        seat && seat->loop ? new_adoption(seat, &lane, message) : NULL;
    int err =
        adoption ? pf_loop_add_callback(seat->loop, lane_on_adopt, adoption) : -EINVAL;
    if (err) {
        free(adoption);
        pf_log(PF_LOG_WARN, "not-adopted", "lane=%u", lane.owner);
        pf__self_tell(worker, PF_IPC_RELEASE, message->payload, message->len);
        return;
    }
    for (size_t i = 0; i < message->fd_count; i++)
        message->fds[i] = -1;
}

void pf__self_release(struct pf__self *worker, const struct pf_message *message)
{
    struct pf__ipc_lane lane;
    struct pf__seat *seat = pf__seat_of(worker, message, &lane);
    if (!seat || !seat->loop)
        return;
    struct adoption *adoption = malloc(sizeof *adoption);
    if (!adoption)
        return; /* watched by two from now on: nothing is lost */
    *adoption = (struct adoption){.seat = seat, .named = lane};
    if (pf_loop_add_callback(seat->loop, lane_on_release, adoption) != 0)
        free(adoption);
}
