/* doors.c - see doors.h. */
#include "worker/doors.h"

#include "worker/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* How long connections wait before some are told that there are no descriptors. */
#define PATIENCE_NS (3 * PF_SECOND)

static int open_one(struct pf_lane *lane, const struct pf__listener *listener,
                    struct pf__door *door)
{
    if (listener->datagram)
        return pf_receiver_new(lane->loop, listener->fd, pf__lane_on_datagram, lane,
                               &door->receiver);
    struct pf_acceptor_options options = {.mode = listener->mode,
                                          .fn = pf__lane_on_accept,
                                          .refuse = pf__lane_on_shortage,
                                          .patience_ns = PATIENCE_NS,
                                          .arg = lane};
    return pf_acceptor_new(lane->loop, listener->fd, &options, &door->acceptor);
}

static void pause_one(const struct pf__door *door)
{
    if (door->acceptor)
        pf_acceptor_pause(door->acceptor);
    else
        pf_receiver_pause(door->receiver);
}

static void close_one(struct pf__door *door)
{
    pf_acceptor_free(door->acceptor);
    pf_receiver_free(door->receiver);
    if (door->ours)
        close(door->fd);
}

static bool make_room(struct pf__doors *doors, size_t count)
{
    if (doors->room - doors->count >= count)
        return true;
    struct pf__door *at = realloc(doors->at, (doors->count + count) * sizeof *at);
    if (!at)
        return false;
    doors->at = at;
    doors->room = doors->count + count;
    return true;
}

int pf__doors_open(struct pf_lane *lane, unsigned owner, const struct pf__listener *from,
                   size_t count)
{
    struct pf__doors *doors = &lane->doors;
    if (!make_room(doors, count))
        return -ENOMEM;
    size_t before = doors->count;
    for (size_t i = 0; i < count; i++) {
        struct pf__door *door = &doors->at[doors->count];
        *door = (struct pf__door){.owner = owner, .fd = from[i].fd};
        int err = open_one(lane, &from[i], door);
        if (err) {
            while (doors->count > before)
                close_one(&doors->at[--doors->count]);
            return err;
        }
        if (doors->paused)
            pause_one(door);
        doors->count++;
    }
    for (size_t i = before; i < doors->count; i++)
        doors->at[i].ours = from[i - before].mode == PF_ACCEPT_OWN; /* not if one fails */
    return 0;
}

bool pf__doors_have(const struct pf__doors *doors, unsigned owner)
{
    for (size_t i = 0; i < doors->count; i++)
        if (doors->at[i].owner == owner)
            return true;
    return false;
}

void pf__doors_close(struct pf__doors *doors, unsigned owner)
{
    size_t kept = 0;
    for (size_t i = 0; i < doors->count; i++)
        if (doors->at[i].owner == owner)
            close_one(&doors->at[i]);
        else
            doors->at[kept++] = doors->at[i];
    doors->count = kept;
}

void pf__doors_close_all(struct pf__doors *doors)
{
    while (doors->count)
        close_one(&doors->at[--doors->count]);
    free(doors->at);
    *doors = (struct pf__doors){0};
}

void pf__doors_pause(struct pf__doors *doors)
{
    doors->paused = true;
    for (size_t i = 0; i < doors->count; i++)
        pause_one(&doors->at[i]);
}

void pf__doors_resume(struct pf__doors *doors)
{
    doors->paused = false;
    for (size_t i = 0; i < doors->count; i++)
        if (doors->at[i].acceptor)
            (void)pf_acceptor_resume(doors->at[i].acceptor); /* tried again by itself */
        else
            (void)pf_receiver_resume(doors->at[i].receiver);
}

void pf__doors_empty(struct pf__doors *doors, int max)
{
    for (size_t i = 0; i < doors->count; i++)
        if (doors->at[i].acceptor)
            (void)pf_acceptor_drain(doors->at[i].acceptor, max);
        else
            (void)pf_receiver_drain(doors->at[i].receiver, max);
}
