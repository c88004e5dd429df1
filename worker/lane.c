/* lane.c - see lane.h. */
#include "worker/lane.h"

#include "loop/assert.h"

#include <prefork/log.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Taken from one queue when accepting ends for good: as many as the longest --backlog, for
 * new ones may join as fast as they are taken. */
enum {
    DRAIN_MAX = 1000000
};

/* Of so many connections the CPU that received one is looked at: a system call each. */
enum {
    SAMPLE_EVERY = 64
};

/* Without descriptors so many connections make room at one time. */
enum {
    SPARED_MAX = 16
};

/* ---- state ----------------------------------------------------------------------- */

static void set_state(struct pf_lane *lane, enum pf_worker_state to)
{
    pf_assert(pf__worker_may_move(lane->state, to));
    pf_log(PF_LOG_DEBUG, "state", "lane=%u.%u %s->%s", lane->slot, lane->thread,
           pf__worker_state_name(lane->state), pf__worker_state_name(to));
    lane->state = to;
    pf_score(lane->cells[PF__COLUMN_STATE], to);
    lane->on_state(lane, lane->on_state_arg);
}

static bool is_open(const struct pf_lane *lane)
{
    return lane->state == PF_WORKER_ACCEPTING || lane->state == PF_WORKER_PAUSED;
}

/* ---- limits ---------------------------------------------------------------------- */

static void pause_at_soft_limit(struct pf_lane *lane)
{
    size_t soft = lane->limits.soft;
    if (!soft || lane->connections < soft || lane->state != PF_WORKER_ACCEPTING)
        return;
    pf__doors_pause(&lane->doors);
    lane->paused_ns = pf_loop_now(lane->loop);
    set_state(lane, PF_WORKER_PAUSED);
}

static void resume_below_soft_limit(struct pf_lane *lane);

static int lane_on_rest_over(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf_lane *lane = arg;
    lane->rest = (pf_timer){0};
    resume_below_soft_limit(lane);
    return 0;
}

/* A pause costs the master and a neighbour some work, so it lasts a little. Returns whether
 * it may end now; if not, it is looked at again. */
static bool has_rested(struct pf_lane *lane)
{
    int64_t left = lane->paused_ns + PF__LANE_REST_NS - pf_loop_now(lane->loop);
    if (left <= 0)
        return true;
    return !lane->rest.id &&
           pf_loop_call_later(lane->loop, left, lane_on_rest_over, lane, &lane->rest) != 0;
}

/* A tenth below, or a server at its limit would pause and resume with each connection. */
static void resume_below_soft_limit(struct pf_lane *lane)
{
    size_t soft = lane->limits.soft;
    if (lane->state != PF_WORKER_PAUSED || lane->connections >= soft - soft / 10 ||
        !has_rested(lane))
        return;
    lane->overflow = false;
    pf__doors_resume(&lane->doors);
    set_state(lane, PF_WORKER_ACCEPTING);
}

void pf__lane_overflow(struct pf_lane *lane)
{
    if (lane->state != PF_WORKER_PAUSED || lane->overflow)
        return;
    lane->overflow = true;
    pf__doors_resume(&lane->doors);
}

static void refuse(struct pf_lane *lane, int fd, bool scarce)
{
    pf_count(lane->cells[PF__COLUMN_REFUSED], 1);
    if (lane->service->on_refused)
        lane->service->on_refused(lane, fd, scarce, lane->service->arg);
    else
        close(fd);
}

static bool can_spare(struct pf_lane *lane)
{
    return lane->service->on_full && lane->service->on_full(lane, lane->service->arg);
}

/* For one more, which may take the place of another. */
static bool has_room(struct pf_lane *lane)
{
    size_t hard = lane->limits.hard;
    return !hard || lane->connections < hard ||
           (can_spare(lane) && lane->connections < hard);
}

static bool may_enter(struct pf_lane *lane, int fd, const struct pf_address *peer)
{
    const struct sockaddr *client = (const struct sockaddr *)&peer->storage;
    if (lane->clients && !pf__clients_enter(lane->clients, fd, client))
        return false; /* before anybody makes room for it */
    if (has_room(lane))
        return true;
    if (lane->clients)
        pf__clients_leave(lane->clients, fd);
    return false;
}

/* ---- what comes in --------------------------------------------------------------- */

/* Does the CPU that received this connection belong to another lane? SO_INCOMING_CPU in
 * socket(7); what has none says -1. */
static void sample(struct pf_lane *lane, int fd)
{
    int cpu = -1;
    socklen_t len = sizeof cpu;
    if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &len) != 0 || cpu < 0)
        return;
    pf_count(lane->cells[PF__COLUMN_SAMPLED], 1);
    pf_count(lane->cells[PF__COLUMN_AWAY], cpu != sched_getcpu());
}

void pf__lane_on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                        void *arg)
{
    (void)acceptor;
    struct pf_lane *lane = arg;
    if (!may_enter(lane, fd, peer)) {
        refuse(lane, fd, false);
        return;
    }
    uint64_t *accepted = lane->cells[PF__COLUMN_ACCEPTED];
    if (*accepted % SAMPLE_EVERY == 0)
        sample(lane, fd);
    lane->connections++;
    pf_count(accepted, 1);
    pf_score(lane->cells[PF__COLUMN_CONNECTIONS], lane->connections);
    lane->service->on_connection(lane, fd, (const struct sockaddr *)&peer->storage,
                                 peer->len, lane->service->arg);
    pause_at_soft_limit(lane);
}

void pf__lane_on_shortage(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                          void *arg)
{
    (void)acceptor, (void)peer;
    struct pf_lane *lane = arg;
    for (int i = 0; i < SPARED_MAX && can_spare(lane); i++)
        ; /* those who come next are accepted */
    refuse(lane, fd, true);
}

void pf__lane_on_datagram(pf_receiver *receiver, int fd, const void *data, size_t len,
                          const struct pf_address *peer, void *arg)
{
    (void)receiver;
    struct pf_lane *lane = arg;
    pf_count(lane->cells[PF__COLUMN_DATAGRAMS], 1);
    lane->service->on_datagram(lane, fd, data, len, (const struct sockaddr *)&peer->storage,
                               peer->len, lane->service->arg);
}

/* ---- life ------------------------------------------------------------------------ */

static void nobody_asked(struct pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
}

/* The service's columns follow the framework's. */
static int find_own_cells(struct pf_lane *lane, const struct pf__lane_setup *setup)
{
    size_t count = setup->service->column_count;
    if (count == 0)
        return 0;
    lane->own_cells = calloc(count, sizeof *lane->own_cells);
    if (!lane->own_cells)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        lane->own_cells[i] =
            pf_scoreboard_cell(setup->board, setup->row, PF__COLUMNS + (unsigned)i);
    return 0;
}

int pf__lane_init(struct pf_lane *lane, const struct pf__lane_setup *setup)
{
    *lane = (struct pf_lane){.service = setup->service,
                             .slot = setup->slot,
                             .thread = setup->thread,
                             .state = PF_WORKER_BOOT,
                             .limits = setup->limits,
                             .drain_ns = setup->drain_ns,
                             .on_state = nobody_asked};
    for (unsigned column = 0; column < PF__COLUMNS; column++)
        lane->cells[column] = pf_scoreboard_cell(setup->board, setup->row, column);
    int err = find_own_cells(lane, setup);
    if (err || !setup->limits.per_client)
        return err;
    return pf__clients_new(setup->limits.per_client, &lane->clients);
}

void pf__lane_fini(struct pf_lane *lane)
{
    pf__clients_free(lane->clients);
    lane->clients = NULL;
    free(lane->own_cells);
    lane->own_cells = NULL;
}

int pf__lane_start(struct pf_lane *lane, pf_loop *loop)
{
    const struct pf_service *service = lane->service;
    lane->loop = loop;
    pf_score(lane->cells[PF__COLUMN_TID], (uint64_t)gettid());
    (void)pf_loop_set_beat(loop, lane->cells[PF__COLUMN_BEAT]);
    int err = service->lane_init ? service->lane_init(lane, service->arg) : 0;
    lane->started = err == 0;
    set_state(lane, err ? PF_WORKER_EXITING : PF_WORKER_READY);
    return err > 0 ? -err : err;
}

int pf__lane_go(struct pf_lane *lane, unsigned owner, const struct pf__listener *listeners,
                size_t count)
{
    if (lane->state != PF_WORKER_READY)
        return 0;
    int err = pf__doors_open(lane, owner, listeners, count);
    set_state(lane, err ? PF_WORKER_EXITING : PF_WORKER_ACCEPTING);
    return err;
}

int pf__lane_adopt(struct pf_lane *lane, unsigned owner,
                   const struct pf__listener *listeners, size_t count)
{
    if (!is_open(lane))
        return -ESHUTDOWN;
    if (pf__doors_have(&lane->doors, owner))
        return -EEXIST;
    return pf__doors_open(lane, owner, listeners, count);
}

void pf__lane_release(struct pf_lane *lane, unsigned owner)
{
    pf__doors_close(&lane->doors, owner);
}

static void leave_if_empty(struct pf_lane *lane)
{
    if (lane->connections == 0 && lane->state == PF_WORKER_DRAINING)
        set_state(lane, PF_WORKER_EXITING);
}

static int lane_on_drain_limit(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf_lane *lane = arg;
    if (lane->state == PF_WORKER_DRAINING)
        pf_log(PF_LOG_WARN, "drain-limit", "connections=%zu closing-them",
               lane->connections);
    pf__lane_stop(lane);
    return 0;
}

void pf__lane_drain(struct pf_lane *lane, bool last)
{
    if (!is_open(lane)) {
        if (lane->state != PF_WORKER_DRAINING)
            pf__lane_stop(lane);
        return;
    }
    if (last) {
        lane->limits.soft = 0; /* what is taken now, nobody else takes */
        pf__doors_empty(&lane->doors, DRAIN_MAX);
    }
    pf__doors_close_all(&lane->doors);
    set_state(lane, PF_WORKER_DRAINING); /* now the last connection ends it */
    if (pf_loop_call_later(lane->loop, lane->drain_ns, lane_on_drain_limit, lane, NULL) !=
        0)
        pf__lane_stop(lane); /* no memory for a limit: better an end than none */
    else if (lane->service->on_drain)
        lane->service->on_drain(lane, lane->service->arg);
    leave_if_empty(lane);
}

void pf__lane_stop(struct pf_lane *lane)
{
    if (lane->state != PF_WORKER_EXITING)
        set_state(lane, PF_WORKER_EXITING);
}

void pf__lane_end(struct pf_lane *lane)
{
    pf__doors_close_all(&lane->doors);
    if (lane->started && lane->service->lane_exit)
        lane->service->lane_exit(lane, lane->service->arg);
    lane->started = false;
}

/* ---- for the service ------------------------------------------------------------- */

pf_loop *pf_lane_loop(pf_lane *lane)
{
    return lane->loop;
}

unsigned pf_lane_slot(const pf_lane *lane)
{
    return lane->slot;
}

unsigned pf_lane_thread(const pf_lane *lane)
{
    return lane->thread;
}

void pf_lane_set_data(pf_lane *lane, void *data)
{
    lane->data = data;
}

void *pf_lane_get_data(const pf_lane *lane)
{
    return lane->data;
}

int pf_lane_closed(pf_lane *lane, int fd)
{
    int err = pf_loop_check(lane->loop);
    if (!err && lane->connections == 0)
        err = -EINVAL;
    if (err)
        return err;
    lane->connections--;
    pf_score(lane->cells[PF__COLUMN_CONNECTIONS], lane->connections);
    if (lane->clients)
        pf__clients_leave(lane->clients, fd);
    resume_below_soft_limit(lane);
    leave_if_empty(lane);
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

int pf_lane_count(pf_lane *lane, size_t column, uint64_t n)
{
    int err = pf_loop_check(lane->loop);
    if (!err && (column >= lane->service->column_count || !lane->own_cells[column]))
        err = -EINVAL;
    if (err)
        return err;
    pf_count(lane->own_cells[column], n);
    return 0;
}

int pf_lane_busy(pf_lane *lane, int64_t for_ns)
{
    if (for_ns < 0 || for_ns > PF_LANE_BUSY_MAX_NS)
        return -EINVAL;
    int64_t now;
    int err = pf_loop_time(lane->loop, &now);
    if (err)
        return err;
    pf_score(lane->cells[PF__COLUMN_BUSY_UNTIL], for_ns ? (uint64_t)(now + for_ns) : 0);
    return 0;
}
