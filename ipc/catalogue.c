/* catalogue.c - see catalogue.h. */
#include "ipc/catalogue.h"

static const char *const names[PF_WORKER_STATES] = {
    [PF_WORKER_BOOT] = "boot",           [PF_WORKER_READY] = "ready",
    [PF_WORKER_ACCEPTING] = "accepting", [PF_WORKER_PAUSED] = "paused",
    [PF_WORKER_DRAINING] = "draining",   [PF_WORKER_EXITING] = "exiting",
};

const char *pf__worker_state_name(enum pf_worker_state state)
{
    return state < PF_WORKER_STATES ? names[state] : "?";
}

bool pf__worker_may_move(enum pf_worker_state from, enum pf_worker_state to)
{
#define TO(state) (1u << PF_WORKER_##state)
    static const unsigned moves[PF_WORKER_STATES] = {
        [PF_WORKER_BOOT] = TO(READY) | TO(EXITING),
        [PF_WORKER_READY] = TO(ACCEPTING) | TO(EXITING),
        [PF_WORKER_ACCEPTING] = TO(PAUSED) | TO(DRAINING) | TO(EXITING),
        [PF_WORKER_PAUSED] = TO(ACCEPTING) | TO(DRAINING) | TO(EXITING),
        [PF_WORKER_DRAINING] = TO(EXITING),
        [PF_WORKER_EXITING] = 0,
    };
#undef TO
    return from < PF_WORKER_STATES && to < PF_WORKER_STATES && (moves[from] & (1u << to));
}

const struct pf_column pf__columns[PF__COLUMNS] = {
    [PF__COLUMN_BEAT] = {"beat", PF_COLUMN_GAUGE, PF_COLUMN_LANE},
    [PF__COLUMN_STATE] = {"state", PF_COLUMN_GAUGE, PF_COLUMN_LANE},
    [PF__COLUMN_ACCEPTED] = {"accepted", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_CONNECTIONS] = {"connections", PF_COLUMN_GAUGE, PF_COLUMN_LANE},
    [PF__COLUMN_REQUESTS] = {"requests", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_BYTES_OUT] = {"bytes_out", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_DATAGRAMS] = {"datagrams", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_REFUSED] = {"refused", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_SAMPLED] = {"sampled", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_AWAY] = {"away", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    [PF__COLUMN_BUSY_UNTIL] = {"busy_until", PF_COLUMN_GAUGE, PF_COLUMN_LANE},
    [PF__COLUMN_TID] = {"tid", PF_COLUMN_GAUGE, PF_COLUMN_LANE},
    [PF__COLUMN_SLOT] = {"slot", PF_COLUMN_ID, PF_COLUMN_MASTER},
    [PF__COLUMN_PID] = {"pid", PF_COLUMN_ID, PF_COLUMN_MASTER},
    [PF__COLUMN_CPU] = {"cpu", PF_COLUMN_ID, PF_COLUMN_MASTER},
    [PF__COLUMN_STARTS] = {"starts", PF_COLUMN_COUNTER, PF_COLUMN_MASTER},
};
