/* view.c - what the master knows, laid out for status.h. */
#include "master/view.h"

#include "master/internal.h"
#include "master/status.h"
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct pf__status_counts counts_of(const struct pf__master *master, unsigned first,
                                          unsigned rows)
{
    const pf_scoreboard *board = master->board;
    return (struct pf__status_counts){
        .accepted = pf_scoreboard_sum(board, PF__COLUMN_ACCEPTED, first, rows),
        .connections = pf_scoreboard_sum(board, PF__COLUMN_CONNECTIONS, first, rows),
        .requests = pf_scoreboard_sum(board, PF__COLUMN_REQUESTS, first, rows),
        .bytes_out = pf_scoreboard_sum(board, PF__COLUMN_BYTES_OUT, first, rows),
        .refused = pf_scoreboard_sum(board, PF__COLUMN_REFUSED, first, rows),
    };
}

static void add(struct pf__status_counts *to, const struct pf__status_counts *from)
{
    to->accepted += from->accepted;
    to->connections += from->connections;
    to->requests += from->requests;
    to->bytes_out += from->bytes_out;
    to->refused += from->refused;
}

/* ---- lanes and workers ----------------------------------------------------------- */

static void view_lane(struct pf__slot *slot, unsigned thread, int64_t now,
                      struct pf__status_lane *out)
{
    const struct pf__master *master = slot->master;
    const struct pf__worker *worker = pf__slot_worker(slot);
    unsigned at = slot->number * master->threads + thread;
    const struct pf__lane *lane = &master->lanes[at];
    *out = (struct pf__status_lane){.thread = (int)thread,
                                    .cpu = master->plan.seat[at].cpu,
                                    .stuck = lane->stuck,
                                    .adopted_by = lane->adopter,
                                    .beat_age_ms = -1};
    for (unsigned seat = 0; seat < 2; seat++) {
        unsigned row = pf__row(slot->number, seat, master->threads, thread);
        struct pf__status_counts counts = counts_of(master, row, 1);
        add(&out->counts, &counts);
    }
    if (!worker->pid)
        return;
    out->state = pf__worker_state_name(
        (enum pf_worker_state)pf__worker_get(worker, thread, PF__COLUMN_STATE));
    if (lane->pulse.still_since_ns)
        out->beat_age_ms = (now - lane->pulse.still_since_ns) / PF_MILLISECOND;
}

static void view_slot(struct pf__slot *slot, int64_t now, struct pf__status_worker *out,
                      struct pf__status_lane *lanes)
{
    const struct pf__master *master = slot->master;
    const struct pf__worker *worker = pf__slot_worker(slot);
    *out = (struct pf__status_worker){
        .slot = slot->number,
        .pid = worker->pid,
        .uptime_ns = worker->pid ? now - worker->born_ns : -1,
        .state = worker->pid ? pf__worker_state_name(worker->state) : NULL,
        .failures = slot->failures,
        .last_end = slot->last_end[0] ? slot->last_end : NULL,
        .next_start_ns = worker->pid || slot->due_ns < now ? -1 : slot->due_ns - now,
        .lanes = lanes,
        .lane_count = master->threads};
    for (unsigned thread = 0; thread < master->threads; thread++)
        view_lane(slot, thread, now, &lanes[thread]);
    for (unsigned seat = 0; seat < 2; seat++)
        out->starts += pf_scoreboard_get(master->board,
                                         pf__row(slot->number, seat, master->threads, 0),
                                         PF__COLUMN_STARTS);
}

/* ---- addresses ------------------------------------------------------------------- */

static const char *kind_of(const struct pf_address *address)
{
    if (pf_address_is_unix(address))
        return "unix";
    return address->datagram ? "udp" : "tcp";
}

/* All lanes' queues together: what waits now, and how much may. */
static void view_queue(const struct pf__listeners *listeners, size_t at,
                       struct pf__status_address *out)
{
    unsigned lanes = listeners->modes[at] == PF_ACCEPT_OWN ? listeners->lanes : 1;
    int64_t queue = 0, limit = 0;
    for (unsigned lane = 0; lane < lanes; lane++) {
        unsigned queued, max;
        if (pf_listener_queue(pf__listeners_fd(listeners, lane, at), &queued, &max) != 0)
            return;
        queue += queued;
        limit += max;
    }
    out->queue = queue;
    out->queue_limit = limit;
}

static void view_addresses(const struct pf__listeners *listeners,
                           char texts[][PF_ADDRESS_TEXT_MAX],
                           struct pf__status_address *out)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct pf_address *address = &listeners->addresses[i];
        out[i] = (struct pf__status_address){.text = pf_address_format(address, texts[i]),
                                             .kind = kind_of(address),
                                             .queue = -1,
                                             .queue_limit = -1};
        view_queue(listeners, i, &out[i]);
    }
}

/* ---- the whole ------------------------------------------------------------------- */

static struct pf__status_supervision supervision_of(const struct pf__master *master)
{
    uint64_t starts = pf_scoreboard_total(master->board, PF__COLUMN_STARTS);
    return (struct pf__status_supervision){
        .restarts = starts > master->slot_count ? starts - master->slot_count : 0,
        .crashes = master->tally.crashes,
        .adoptions = master->tally.adoptions,
        .stuck = master->tally.stuck,
        .undead = master->tally.undead};
}

static size_t view_columns(const struct pf__master *master, struct pf__status_column *out)
{
    const struct pf_service *service = master->options->service;
    for (size_t i = 0; i < service->column_count; i++)
        out[i] = (struct pf__status_column){
            .name = service->columns[i].name,
            .value = pf_scoreboard_total(master->board, PF__COLUMNS + (unsigned)i)};
    return service->column_count;
}

static int write_view(struct pf__master *master, struct pf__status_worker *workers,
                      struct pf__status_lane *lanes, char **out, size_t *len)
{
    static const char *const accepts[] = {"reuseport", "exclusive", "shared"};
    static const char *const steers[] = {"hash", "cpu"};
    static const char *const pins[] = {"auto", "none", "strict", "list"};
    const struct pf_master_options *options = master->options;
    int64_t now = pf__master_now(master);
    for (unsigned i = 0; i < master->slot_count; i++)
        view_slot(&master->slots[i], now, &workers[i], &lanes[i * master->threads]);
    struct pf__status_address addresses[PF__ADDRESSES_MAX];
    char texts[PF__ADDRESSES_MAX][PF_ADDRESS_TEXT_MAX];
    view_addresses(&master->listeners, texts, addresses);
    struct pf__status_column columns[PF_SERVICE_COLUMNS_MAX];
    size_t column_count = view_columns(master, columns);
    struct pf__status_view view = {
        .pid = getpid(),
        .version = pf_version(),
        .state = pf__master_state_name(master->state),
        .uptime_ns = now - master->started_ns,
        .accept = accepts[options->distribution],
        .steer = steers[options->steering],
        .pin = pins[options->pin],
        .workers = master->slot_count,
        .threads = master->threads,
        .totals = counts_of(master, 0, pf_scoreboard_rows(master->board)),
        .supervision = supervision_of(master),
        .addresses = addresses,
        .address_count = master->listeners.count,
        .slots = workers,
        .slot_count = master->slot_count,
        .columns = columns,
        .column_count = column_count,
    };
    return pf__status_write(&view, out, len);
}

static int answer_status(void *arg, char **out, size_t *len)
{
    struct pf__master *master = arg;
    struct pf__status_worker *workers = calloc(master->slot_count, sizeof *workers);
    struct pf__status_lane *lanes = calloc(master->lane_count, sizeof *lanes);
    int err = -ENOMEM;
    if (workers && lanes)
        err = write_view(master, workers, lanes, out, len);
    free(workers);
    free(lanes);
    return err;
}

const struct pf__control_command pf__view_commands[] = {{"status", answer_status}, {0}};
