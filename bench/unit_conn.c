/*
 * unit_conn.c - one connection of a unit, from open to open.
 */
#include "bench/unit_internal.h"

#include <errno.h>
#include <string.h>

/* ---- lists ----------------------------------------------------------------------- */

void unit_list_add(struct conn_list *list, struct conn *conn)
{
    conn->list = list;
    conn->next = NULL;
    conn->before = list->last;
    if (list->last)
        list->last->next = conn;
    else
        list->first = conn;
    list->last = conn;
    list->count++;
}

void unit_list_remove(struct conn *conn)
{
    struct conn_list *list = conn->list;
    if (!list)
        return;
    if (conn->before)
        conn->before->next = conn->next;
    else
        list->first = conn->next;
    if (conn->next)
        conn->next->before = conn->before;
    else
        list->last = conn->before;
    list->count--;
    conn->list = NULL;
}

/* The only writer of the state: what lists it is in follows from it. */
static void set_state(struct conn *conn, enum conn_state state)
{
    struct unit *unit = conn->unit;
    unit->connecting -= conn->state == CONN_CONNECTING;
    unit->connecting += state == CONN_CONNECTING;
    unit->standing += state > CONN_CONNECTING;
    unit->standing -= conn->state > CONN_CONNECTING;
    conn->state = (uint8_t)state;
    unit_list_remove(conn);
    if (state == CONN_THINKING)
        unit_list_add(&unit->thinking, conn);
    else if (state == CONN_IDLE && unit->open_loop)
        unit_list_add(&unit->idle, conn);
    else if (state == CONN_BUSY && unit->open_loop && unit_conn_room(conn) > 0)
        unit_list_add(&unit->roomy, conn);
}

/* ---- open ------------------------------------------------------------------------ */

void unit_conn_init(struct conn *conn, struct unit *unit, unsigned index)
{
    conn->unit = unit;
    conn->number = unit->share.index + index * unit->share.units;
    conn->stamps = unit->stamps + (size_t)index * unit->plan->pipeline;
    pf__http_client_init(&conn->http, &unit->shared,
                         unit->plan->protocol == PLAN_ECHO ? &unit_echo_ops
                                                           : &unit_http_ops);
}

static void tried(struct conn *conn)
{
    if (conn->tried)
        return;
    conn->tried = true;
    conn->unit->tried++;
}

/* The next scan tries again. */
static void fail_open(struct conn *conn, int reason, int64_t now)
{
    unit_books_error(conn->unit, &(struct tally_error){.phase = TALLY_CONNECT,
                                                       .when = TALLY_OPENING,
                                                       .reason = reason,
                                                       .count = 1,
                                                       .first_ns = now});
    set_state(conn, CONN_DOWN);
    tried(conn);
}

void unit_conn_open(struct conn *conn)
{
    const struct plan *plan = conn->unit->plan;
    struct pf__http_client_options options = {
        .to = &plan->target,
        .from =
            plan->source_count ? &plan->sources[conn->number % plan->source_count] : NULL,
        .nodelay = plan->nodelay,
        .reset = plan->close == PLAN_CLOSE_RST,
        .await_close = plan->close == PLAN_CLOSE_SERVER,
        .rcvbuf = plan->rcvbuf,
        .sndbuf = plan->sndbuf,
    };
    conn->since_ns = unit_now();
    int err = pf__http_client_connect(&conn->http, &options);
    if (err)
        fail_open(conn, -err, conn->since_ns);
    else
        set_state(conn, CONN_CONNECTING);
}

/* Is there something to ask for, now or later? */
static bool is_wanted(const struct conn *conn)
{
    const struct unit *unit = conn->unit;
    if (unit->state == UNIT_DRAINING)
        return unit->backlog > 0;
    return unit->state == UNIT_RUNNING && (unit->left > 0 || unit->backlog > 0);
}

void unit_conn_reopen(struct conn *conn)
{
    pf__http_client_close(&conn->http);
    set_state(conn, CONN_DOWN);
    conn->batch = 0;
    if (is_wanted(conn))
        unit_conn_open(conn);
}

/* ---- ask ------------------------------------------------------------------------- */

static bool is_piecemeal(const struct unit *unit)
{
    return unit->at_once < unit->plan->pipeline;
}

/* Slots of its ring that are free, and what is left of its share. */
static unsigned room_for_all(const struct conn *conn)
{
    const struct plan *plan = conn->unit->plan;
    uint64_t room = plan->pipeline - conn->count;
    if (plan->reqs_per_conn && plan->reqs_per_conn - conn->made < room)
        room = plan->reqs_per_conn - conn->made;
    return (unsigned)room;
}

unsigned unit_conn_room(const struct conn *conn)
{
    unsigned room = room_for_all(conn);
    if (is_piecemeal(conn->unit)) {
        if (pf__http_client_unsent(&conn->http))
            return 0;
        if (room > conn->unit->at_once)
            room = conn->unit->at_once;
    }
    return room;
}

/* Of what was just asked some may not have gone: it begins when it goes. */
static void unstamp(struct conn *conn)
{
    uint64_t gone = conn->written - pf__http_client_unsent(&conn->http);
    for (unsigned i = conn->count; i-- > 0 && unit_stamp(conn, i)->begin >= gone;)
        if (unit_stamp(conn, i)->sent_ns > 0)
            unit_stamp(conn, i)->sent_ns = -unit_stamp(conn, i)->sent_ns;
}

static void break_off(struct conn *conn, enum tally_phase phase, int reason, bool begun,
                      int64_t now)
{
    struct tally_error how = {.phase = phase, .reason = reason};
    unit_books_broken(conn, &how, begun, now);
    unit_conn_reopen(conn);
}

void unit_conn_ask(struct conn *conn, unsigned count, int64_t now)
{
    struct unit *unit = conn->unit;
    for (unsigned i = 0; i < count; i++) {
        struct stamp *stamp = unit_stamp(conn, conn->count++);
        stamp->due_ns = unit->open_loop ? unit_pace_next(unit) : now;
        stamp->sent_ns = now;
        stamp->request = unit_ask_pick(unit);
        unit_books_asked(conn, stamp, now);
        conn->made++;
    }
    int err = unit_ask_send(conn, count);
    if (err) {
        break_off(conn, TALLY_WRITE, -err, conn->http.begun || conn->echoed, now);
        return;
    }
    if (pf__http_client_unsent(&conn->http))
        unstamp(conn);
    if (conn->state != CONN_BUSY || unit->open_loop)
        set_state(conn, CONN_BUSY);
}

/* Go on with the batch as far as the kernel takes it. False: nothing was asked. */
static bool ask_batch(struct conn *conn, int64_t now)
{
    struct unit *unit = conn->unit;
    bool asked = false;
    while (conn->batch > 0 && unit->state == UNIT_RUNNING) {
        uint64_t count = unit_conn_room(conn);
        if (count > conn->batch)
            count = conn->batch;
        if (count > unit->left)
            count = unit->left;
        if (count == 0)
            break;
        if (unit->plan->requests && !unit->warming)
            unit->left -= count;
        conn->batch -= (uint32_t)count;
        /* It takes a while to hand over so much. */
        unit_conn_ask(conn, (unsigned)count, asked ? unit_now() : now);
        asked = true;
    }
    return asked;
}

void unit_conn_ask_on(struct conn *conn, int64_t now)
{
    conn->batch = room_for_all(conn);
    if (!ask_batch(conn, now))
        set_state(conn, CONN_IDLE);
}

static void on_sent(struct pf__http_client_conn *http, int64_t now)
{
    struct conn *conn = (struct conn *)http;
    uint64_t gone = conn->written - pf__http_client_unsent(http);
    for (unsigned i = 0; i < conn->count; i++) {
        struct stamp *stamp = unit_stamp(conn, i);
        if (stamp->sent_ns < 0 && stamp->begin < gone)
            unit_books_gone(conn, stamp, now);
    }
    struct unit *unit = conn->unit;
    if (!is_piecemeal(unit) || conn->state != CONN_BUSY || !unit_is_live(unit))
        return;
    if (unit->open_loop) {
        set_state(conn, CONN_BUSY); /* it has room now */
        unit_pace_advance(unit, now);
    } else if (conn->count > 0) {
        (void)ask_batch(conn, now);
    }
}

/* ---- answers --------------------------------------------------------------------- */

/* Nothing will be asked on it any more: it had its share, or the server has said so. */
static bool is_used_up(const struct conn *conn)
{
    uint64_t most = conn->unit->plan->reqs_per_conn;
    return conn->http.announced || (most && conn->made >= most);
}

/* Nothing is under way on it. */
static void go_on(struct conn *conn, int64_t now)
{
    struct unit *unit = conn->unit;
    const struct plan *plan = unit->plan;
    if (!is_used_up(conn) && ask_batch(conn, now))
        return;
    if (is_used_up(conn)) {
        if (plan->close != PLAN_CLOSE_SERVER) {
            unit_conn_reopen(conn);
            return;
        }
        conn->since_ns = now;
        set_state(conn, CONN_LEAVING);
    } else if (unit->open_loop) {
        set_state(conn, CONN_IDLE);
    } else if (plan->think_ns > 0 && unit->state == UNIT_RUNNING) {
        conn->since_ns = now + plan->think_ns;
        set_state(conn, CONN_THINKING);
    } else {
        /* A batch takes a while to go through: its successor begins later. */
        unit_conn_ask_on(conn, plan->pipeline > 1 ? unit_now() : now);
    }
}

static void on_taken(struct pf__http_client_conn *http, int64_t now)
{
    struct conn *conn = (struct conn *)http;
    struct unit *unit = conn->unit;
    unit_books_bytes(unit);
    if (unit->state == UNIT_DONE)
        return;
    if (conn->count == 0 && conn->state == CONN_BUSY)
        go_on(conn, now);
    else if (conn->state == CONN_BUSY && unit->open_loop)
        set_state(conn, CONN_BUSY); /* it has room now */
    if (unit->open_loop)
        unit_pace_advance(unit, now);
    unit_settle(unit);
}

/* ---- open and closed ------------------------------------------------------------- */

static void on_open(struct pf__http_client_conn *http, int64_t now)
{
    struct conn *conn = (struct conn *)http;
    struct unit *unit = conn->unit;
    unit->alive_ns = now;
    hdr_record(&unit->tally->connect, now - conn->since_ns, 1);
    tally_count(&unit->tally->opened, 1);
    conn->made = conn->written = 0;
    conn->first = conn->count = 0;
    conn->echoed = 0;
    tried(conn);
    if (unit->open_loop) {
        set_state(conn, CONN_IDLE);
        if (unit_is_live(unit))
            unit_pace_advance(unit, now);
    } else {
        unit_conn_ask_on(conn, now);
    }
    unit_settle(unit);
}

static int reason_of(const struct pf__http_client_end *end)
{
    if (end->phase != PF__HTTP_CLIENT_PARSE)
        return end->error;
    if (end->error == EPROTO)
        return TALLY_UNASKED;
    return end->error == EBADMSG ? TALLY_NOT_HTTP : end->error;
}

static const enum tally_phase phases[] = {
    [PF__HTTP_CLIENT_CONNECT] = TALLY_CONNECT,
    [PF__HTTP_CLIENT_WRITE] = TALLY_WRITE,
    [PF__HTTP_CLIENT_READ_ON] = TALLY_READ,
    [PF__HTTP_CLIENT_PARSE] = TALLY_PARSE,
};

static void count_end(struct conn *conn, const struct pf__http_client_end *end, int64_t now)
{
    struct tally_error how = {.phase = phases[end->phase],
                              .when = TALLY_IDLE,
                              .reason = reason_of(end),
                              .count = 1,
                              .first_ns = now};
    if (end->phase == PF__HTTP_CLIENT_PARSE)
        unit_books_sample(&how, end->sample, end->sample_len);
    if (end->error == EPROTO && conn->made > 0)
        how.when = TALLY_ANSWERED; /* more than it said */
    if (end->taken)
        how.when = TALLY_TAKEN;
    if (conn->count > 0)
        unit_books_broken(conn, &how, end->begun || conn->echoed > 0, now);
    else if (end->phase == PF__HTTP_CLIENT_PARSE ||
             (!end->announced && conn->state != CONN_LEAVING))
        unit_books_error(conn->unit, &how);
}

static void on_close(struct pf__http_client_conn *http,
                     const struct pf__http_client_end *end, int64_t now)
{
    struct conn *conn = (struct conn *)http;
    struct unit *unit = conn->unit;
    unit_books_bytes(unit);
    if (unit->state == UNIT_DONE)
        return;
    if (conn->state == CONN_CONNECTING) {
        fail_open(conn, end->error ? end->error : ECONNREFUSED, now);
    } else {
        /* Nothing was even asked: who is so unwelcome does not come back at once. */
        bool unwelcome = conn->made == 0;
        count_end(conn, end, now);
        conn->batch = 0;
        if (unwelcome)
            set_state(conn, CONN_DOWN);
        else
            unit_conn_reopen(conn);
    }
    if (unit->open_loop && unit_is_live(unit))
        unit_pace_advance(unit, now);
    unit_settle(unit);
}

const struct pf__http_client_ops unit_http_ops = {
    .on_open = on_open,
    .on_first = unit_on_first,
    .on_body = unit_on_body,
    .on_answer = unit_on_answer,
    .on_taken = on_taken,
    .on_sent = on_sent,
    .on_close = on_close,
};

const struct pf__http_client_ops unit_echo_ops = {
    .on_open = on_open,
    .on_bytes = unit_on_bytes,
    .on_taken = on_taken,
    .on_sent = on_sent,
    .on_close = on_close,
};

/* ---- time ------------------------------------------------------------------------ */

static void expire(struct conn *conn, int64_t now)
{
    if (conn->state == CONN_CONNECTING) {
        pf__http_client_close(&conn->http);
        fail_open(conn, ETIMEDOUT, now);
    } else if (conn->state == CONN_LEAVING) {
        unit_books_error(conn->unit, &(struct tally_error){.phase = TALLY_TIMEOUT,
                                                           .when = TALLY_IDLE,
                                                           .reason = ETIMEDOUT,
                                                           .count = 1,
                                                           .first_ns = now});
        unit_conn_reopen(conn);
    } else {
        break_off(conn, TALLY_TIMEOUT, ETIMEDOUT, conn->http.begun || conn->echoed, now);
    }
}

void unit_conn_scan(struct conn *conn, int64_t now, bool may_expire)
{
    int64_t since = conn->since_ns;
    switch ((enum conn_state)conn->state) {
    case CONN_DOWN:
        if (is_wanted(conn))
            unit_conn_open(conn);
        return;
    case CONN_IDLE:
    case CONN_THINKING:
        return;
    case CONN_BUSY: {
        int64_t sent = unit_stamp(conn, 0)->sent_ns;
        since = sent < 0 ? -sent : sent;
        break;
    }
    case CONN_CONNECTING:
    case CONN_LEAVING:
        break;
    }
    if (may_expire && now - since > conn->unit->plan->timeout_ns)
        expire(conn, now);
}
