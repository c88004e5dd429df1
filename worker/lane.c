/* lane.c - see lane.h. */
#include "worker/lane.h"

#include "loop/assert.h"

#include <errno.h>
#include <unistd.h>

/* Connections taken from one queue when accepting ends: as many as the longest --backlog,
 * for new ones may join as fast as they are taken. */
enum {
    DRAIN_MAX = 1000000
};

void pf__lane_init(struct pf_lane *lane, pf_loop *loop, const struct pf_service *service,
                   const pf_scoreboard *board, unsigned row, unsigned slot)
{
    *lane = (struct pf_lane){.loop = loop, .service = service, .slot = slot};
    for (unsigned column = 0; column < PF__COLUMNS; column++)
        lane->cells[column] = pf_scoreboard_cell(board, row, column);
    (void)pf_loop_set_beat(loop, lane->cells[PF__COLUMN_BEAT]);
}

int pf__lane_start(struct pf_lane *lane)
{
    const struct pf_service *service = lane->service;
    int err = service->lane_init ? service->lane_init(lane, service->arg) : 0;
    lane->started = err == 0;
    return err > 0 ? -err : err;
}

static void acceptor_on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                               void *arg)
{
    (void)acceptor;
    struct pf_lane *lane = arg;
    lane->connections++;
    pf_count(lane->cells[PF__COLUMN_ACCEPTED], 1);
    pf_score(lane->cells[PF__COLUMN_CONNECTIONS], lane->connections);
    lane->service->on_connection(lane, fd, (const struct sockaddr *)&peer->storage,
                                 peer->len, lane->service->arg);
}

static void free_acceptors(struct pf_lane *lane)
{
    while (lane->acceptor_count)
        pf_acceptor_free(lane->acceptors[--lane->acceptor_count]);
}

int pf__lane_accept(struct pf_lane *lane, const int *listen_fds, size_t count)
{
    pf_assert(count <= PF_LANE_LISTENERS_MAX);
    struct pf_acceptor_options options = {.fn = acceptor_on_accept, .arg = lane};
    for (size_t i = 0; i < count; i++) {
        int err = pf_acceptor_new(lane->loop, listen_fds[i], &options, &lane->acceptors[i]);
        if (err) {
            free_acceptors(lane);
            return err;
        }
        lane->acceptor_count++;
    }
    return 0;
}

/*
 * The listener is taken out of the loop before it is closed: its description lives on in
 * the master, and would go on sending events (epoll(7), questions and answers, 6).
 */
void pf__lane_stop_accepting(struct pf_lane *lane, const int *listen_fds, size_t count)
{
    for (size_t i = 0; i < lane->acceptor_count; i++)
        (void)pf_acceptor_drain(lane->acceptors[i], DRAIN_MAX);
    free_acceptors(lane);
    for (size_t i = 0; i < count; i++)
        close(listen_fds[i]);
}

void pf__lane_drain(struct pf_lane *lane)
{
    if (lane->service->on_drain)
        lane->service->on_drain(lane, lane->service->arg);
}

void pf__lane_end(struct pf_lane *lane)
{
    free_acceptors(lane);
    if (lane->started && lane->service->lane_exit)
        lane->service->lane_exit(lane, lane->service->arg);
    lane->started = false;
}

pf_loop *pf_lane_loop(pf_lane *lane)
{
    return lane->loop;
}

unsigned pf_lane_slot(const pf_lane *lane)
{
    return lane->slot;
}

void pf_lane_set_data(pf_lane *lane, void *data)
{
    lane->data = data;
}

void *pf_lane_get_data(const pf_lane *lane)
{
    return lane->data;
}

int pf_lane_closed(pf_lane *lane)
{
    int err = pf_loop_check(lane->loop);
    if (!err && lane->connections == 0)
        err = -EINVAL;
    if (err)
        return err;
    lane->connections--;
    pf_score(lane->cells[PF__COLUMN_CONNECTIONS], lane->connections);
    if (lane->connections == 0 && lane->on_empty)
        lane->on_empty(lane, lane->on_empty_arg);
    return 0;
}

int pf_lane_answered(pf_lane *lane, size_t bytes)
{
    int err = pf_loop_check(lane->loop);
    if (err)
        return err;
    pf_count(lane->cells[PF__COLUMN_REQUESTS], 1);
    pf_count(lane->cells[PF__COLUMN_BYTES_OUT], bytes);
    return 0;
}
