/*
 * unit_pace.c - the open loop of a unit: what falls due, and which connection sends it.
 *
 * Two cursors walk the same schedule. `due` goes with the clock: a slot that it steps over
 * is planned, and how late it was seen is the generator's own lag. `sent` steps over a slot
 * when its request goes out. The slots between them are the backlog.
 */
#include "bench/unit_internal.h"

static pf_callback_fn on_due, on_spin;

/* When the next slot falls due; INT64_MAX: none will. */
static int64_t next_due(const struct unit *unit)
{
    int64_t due = pace_due(&unit->due);
    if (unit->left == 0 || due == INT64_MAX || unit->state != UNIT_RUNNING)
        return INT64_MAX;
    return unit->start_ns + due;
}

static void take_slot(struct unit *unit, int64_t due, int64_t now)
{
    unit->backlog++;
    pace_next(&unit->due);
    hdr_record(&unit->tally->lag, now - due, 1);
    if (due < unit->from_ns)
        return;
    tally_count(&unit->tally->planned, 1);
    if (unit->plan->requests && !unit->warming)
        unit->left--;
}

void unit_pace_take(struct unit *unit, int64_t up_to, int64_t now)
{
    int64_t due;
    while ((due = next_due(unit)) <= up_to && due != INT64_MAX)
        take_slot(unit, due, now);
    unit_books_backlog(unit);
}

int64_t unit_pace_next(struct unit *unit)
{
    int64_t due = unit->start_ns + pace_due(&unit->sent);
    pace_next(&unit->sent);
    unit->backlog--;
    return due;
}

/* One more connection for each that is due and has none; those in the making count. */
static void open_more(struct unit *unit)
{
    while (unit->connecting < unit->backlog && unit->wanted < unit->conn_count)
        unit_conn_open(&unit->conns[unit->wanted++]);
}

static void overflow(struct unit *unit)
{
    switch (unit->plan->overflow) {
    case PLAN_QUEUE:
        break;
    case PLAN_DROP:
        while (unit->backlog > 0)
            unit_books_dropped(unit, unit_pace_next(unit));
        break;
    case PLAN_CONNECT:
        open_more(unit);
        break;
    }
}

void unit_pace_send(struct unit *unit, int64_t now)
{
    if (unit->backlog == 0)
        return;
    struct conn *conn;
    while (unit->backlog > 0 &&
           (conn = unit->idle.first ? unit->idle.first : unit->roomy.first)) {
        size_t listed = unit->idle.count + unit->roomy.count;
        uint64_t count = (unit->backlog + listed - 1) / listed; /* evenly */
        unsigned room = unit_conn_room(conn);
        unit_conn_ask(conn, count < room ? (unsigned)count : room, now);
    }
    if (unit->backlog > 0)
        overflow(unit);
    unit_books_backlog(unit);
}

/* Let the timer stand at the next slot. */
static int arm(struct unit *unit)
{
    int64_t due = next_due(unit);
    if (unit->plan->spin || due == INT64_MAX ||
        (unit->pace_armed && due == unit->pace_at_ns))
        return 0;
    unit->pace_at_ns = due;
    if (unit->pace_armed)
        return pf_loop_update_timeout(unit->loop, unit->pace_timer, due);
    unit->pace_armed = true;
    return pf_loop_call_at(unit->loop, due, on_due, unit, &unit->pace_timer);
}

static int advance(struct unit *unit, int64_t now)
{
    if (unit->warming && unit->state == UNIT_RUNNING &&
        now >= unit->start_ns + unit->plan->warmup_ns)
        unit_end_warmup(unit, now);
    unit_pace_take(unit, now, now);
    unit_pace_send(unit, now);
    return arm(unit);
}

void unit_pace_advance(struct unit *unit, int64_t now)
{
    if (now < next_due(unit)) {
        unit_pace_send(unit, now);
        return;
    }
    (void)advance(unit, now); /* the timer stands, at worst too early: it is moved then */
}

static int on_due(pf_loop *loop, void *arg)
{
    (void)loop;
    struct unit *unit = arg;
    unit->pace_armed = false;
    if (!unit_is_live(unit))
        return 0;
    int err = advance(unit, unit_now());
    unit_settle(unit);
    return err;
}

/* Every turn of the loop, which so never sleeps. */
static int on_spin(pf_loop *loop, void *arg)
{
    struct unit *unit = arg;
    if (unit->state != UNIT_RUNNING)
        return 0;
    int64_t now = unit_now();
    if (unit->spun)
        unit->spun_ns += now - unit->spun_at_ns;
    unit->spun = true;
    unit->spun_at_ns = now;
    unit_pace_advance(unit, now);
    unit_settle(unit);
    return pf_loop_add_callback(loop, on_spin, unit);
}

int unit_pace_start(struct unit *unit)
{
    pace_init(&unit->due, unit->plan, unit->share.index, unit->share.units);
    unit->sent = unit->due;
    if (unit->plan->spin)
        return pf_loop_add_callback(unit->loop, on_spin, unit);
    return arm(unit);
}
