/* view.c - what the master knows, laid out for status.h. */
#include "master/view.h"

#include "master/internal.h"
#include "master/status.h"

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
    };
}

static void view_slot(const struct pf__slot *slot, int64_t now,
                      struct pf__status_worker *worker, struct pf__status_lane *lane)
{
    const struct pf__master *master = slot->master;
    unsigned row = slot->number;
    *lane = (struct pf__status_lane){.cpu = master->plan.seat[slot->number].cpu,
                                     .beat_age_ms = -1,
                                     .adopted_by = -1,
                                     .counts = counts_of(master, row, 1)};
    *worker = (struct pf__status_worker){
        .slot = slot->number,
        .pid = slot->pid,
        .uptime_ns = -1,
        .starts = pf_scoreboard_get(master->board, row, PF__COLUMN_STARTS),
        .failures = slot->failures,
        .next_start_ns = -1,
        .lanes = lane,
        .lane_count = 1};
    if (!slot->pid)
        return;
    worker->state = lane->state = pf__worker_state_name(slot->state);
    worker->uptime_ns = now - slot->born_ns;
}

static uint64_t restarts_of(const struct pf__master *master)
{
    uint64_t starts = pf_scoreboard_total(master->board, PF__COLUMN_STARTS);
    return starts > master->slot_count ? starts - master->slot_count : 0;
}

static int answer_status(void *arg, char **out, size_t *len)
{
    const struct pf__master *master = arg;
    int64_t now = 0;
    (void)pf_loop_time(master->loop, &now);
    int err = -ENOMEM;
    size_t slots = master->slot_count, count = master->listeners.count;
    struct pf__status_worker *workers = calloc(slots, sizeof *workers);
    struct pf__status_lane *lanes = calloc(slots, sizeof *lanes);
    if (!workers || !lanes)
        goto end;
    for (size_t i = 0; i < slots; i++)
        view_slot(&master->slots[i], now, &workers[i], &lanes[i]);
    struct pf__status_address addresses[PF__ADDRESSES_MAX];
    char texts[PF__ADDRESSES_MAX][PF_ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        addresses[i] = (struct pf__status_address){
            .text = pf_address_format(&master->listeners.addresses[i], texts[i]),
            .kind = "tcp",
            .queue = -1,
            .queue_limit = -1};
    struct pf__status_view view = {
        .pid = getpid(),
        .version = pf_version(),
        .state = pf__master_state_name(master->state),
        .uptime_ns = now - master->started_ns,
        .accept = "reuseport",
        .steer = "hash",
        .pin = master->options->pin == PF_PIN_NONE ? "none" : "auto",
        .workers = master->slot_count,
        .threads = 1,
        .totals = counts_of(master, 0, pf_scoreboard_rows(master->board)),
        .supervision = {.restarts = restarts_of(master)},
        .addresses = addresses,
        .address_count = count,
        .slots = workers,
        .slot_count = slots,
    };
    err = pf__status_write(&view, out, len);

end:
    free(workers);
    free(lanes);
    return err;
}

const struct pf__control_command pf__view_commands[] = {{"status", answer_status}, {0}};
