#include "bench/unit_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Connections in the making at once while setting up: well below any backlog. */
#define SETUP_AT_ONCE 64

/* The scan comes SCANS_PER_TIMEOUT times in each timeout, within limits. */
#define SCANS_PER_TIMEOUT 8
#define SCAN_LEAST        PF_MILLISECOND
#define SCAN_MOST         (100 * PF_MILLISECOND)
/* A scan that comes so late shows that this program stood still. */
#define SCAN_LATE (20 * PF_MILLISECOND)

static pf_callback_fn unit_on_start, unit_on_warm, unit_on_time_over, unit_on_give_up,
    unit_on_drained, unit_on_scan, unit_on_ramp, unit_on_thought;
static pf_io_fn unit_on_steering;

/* ---- the end --------------------------------------------------------------------- */

static void finish(struct unit *unit)
{
    if (unit->state == UNIT_DONE)
        return;
    int64_t now = unit_now();
    if (unit->warming)
        unit_books_forget(unit);
    else if (unit->state == UNIT_RUNNING)
        unit_books_close(unit, now);
    if (unit_is_live(unit) && !unit->warming)
        unit_books_end(unit, now);
    unit->state = UNIT_DONE;
    /* This turn of the loop goes on, and may bring answers: they are nobody's any more. */
    for (unsigned i = 0; i < unit->conn_count; i++)
        pf__http_client_close(&unit->conns[i].http);
    (void)pf_loop_stop(unit->loop); /* our own running loop: cannot fail */
}

/*
 * Nothing new falls due. What is due is sent and waited for, but not for ever: in the first
 * half of the drain it is still sent, and the second half is for the answers. So requests
 * that end unanswered are old ones, and say something. Nobody waits for a warm-up.
 */
static int drain(struct unit *unit)
{
    if (unit->warming) {
        finish(unit);
        return 0;
    }
    int64_t now = unit_now(), whole = unit->plan->drain_ns;
    if (unit->open_loop)
        unit_pace_take(unit, now < unit->end_ns ? now : unit->end_ns - 1, now);
    unit_books_close(unit, now < unit->end_ns ? now : unit->end_ns);
    unit->state = UNIT_DRAINING;
    if (whole == 0)
        finish(unit);
    unit_settle(unit);
    if (unit->state == UNIT_DONE)
        return 0;
    int err = pf_loop_call_at(unit->loop, now + whole / 2, unit_on_give_up, unit, NULL);
    return err ? err
               : pf_loop_call_at(unit->loop, now + whole, unit_on_drained, unit, NULL);
}

/* What has not been sent by now will not be. */
static int unit_on_give_up(pf_loop *loop, void *arg)
{
    (void)loop;
    struct unit *unit = arg;
    if (unit->state != UNIT_DRAINING)
        return 0;
    unit->backlog = 0;
    unit_books_backlog(unit);
    unit_settle(unit);
    return 0;
}

static int unit_on_time_over(pf_loop *loop, void *arg)
{
    (void)loop;
    struct unit *unit = arg;
    return unit->state == UNIT_RUNNING ? drain(unit) : 0;
}

static int unit_on_drained(pf_loop *loop, void *arg)
{
    (void)loop;
    finish(arg);
    return 0;
}

/* ---- setting up ------------------------------------------------------------------ */

/* None was made and one failed: trying the rest would only take longer to say the same. */
static bool is_hopeless(const struct unit *unit)
{
    return unit->tally->opened == 0 && unit->tally->error_count > 0;
}

static void open_more(struct unit *unit)
{
    while (unit->opened < unit->wanted && !is_hopeless(unit) &&
           unit->opened - unit->tried < SETUP_AT_ONCE)
        unit_conn_open(&unit->conns[unit->opened++]);
}

static void settle_setup(struct unit *unit)
{
    open_more(unit);
    if (unit->tried < unit->opened)
        return;
    unit->state = UNIT_READY;
    unit->tally->setup_ns = unit_now() - unit->made_ns;
    unit->share.on_ready(unit->share.arg);
}

static bool nothing_left(const struct unit *unit)
{
    if (unit->under_way > 0 || unit->backlog > 0)
        return false;
    if (unit->state == UNIT_DRAINING || unit->left == 0)
        return true;
    /* A schedule that is to go until a number is reached may end before. */
    return unit->open_loop && !unit->plan->duration_ns && pace_due(&unit->due) == INT64_MAX;
}

void unit_settle(struct unit *unit)
{
    if (unit->state == UNIT_SETUP)
        settle_setup(unit);
    else if (unit_is_live(unit) && nothing_left(unit))
        finish(unit);
}

/* ---- the scan -------------------------------------------------------------------- */

static int scan_again(struct unit *unit)
{
    int64_t pause = unit->plan->timeout_ns / SCANS_PER_TIMEOUT;
    if (pause < SCAN_LEAST)
        pause = SCAN_LEAST;
    if (pause > SCAN_MOST)
        pause = SCAN_MOST;
    unit->scan_at_ns = unit_now() + pause;
    return pf_loop_call_at(unit->loop, unit->scan_at_ns, unit_on_scan, unit, NULL);
}

/* After a stall of our own, answers may stand in the sockets, unread: the poll comes behind
 * the timers. So a scan that is late judges nobody, and leaves it to the next, late or not.
 */
static bool scan_may_expire(struct unit *unit, int64_t now)
{
    int64_t late = now - unit->scan_at_ns;
    if (unit->state == UNIT_RUNNING && late > unit->tally->stall_ns)
        unit->tally->stall_ns = late;
    unit->scan_was_late = late > SCAN_LATE && !unit->scan_was_late;
    return !unit->scan_was_late;
}

/* A number of requests would never be reached if the server has gone for good. */
static bool is_deserted(struct unit *unit, int64_t now)
{
    if (unit->standing > 0)
        unit->alive_ns = now;
    return unit->state == UNIT_RUNNING && unit->plan->requests && unit->under_way == 0 &&
           now - unit->alive_ns > unit->plan->timeout_ns;
}

static int unit_on_scan(pf_loop *loop, void *arg)
{
    (void)loop;
    struct unit *unit = arg;
    if (unit->state == UNIT_DONE)
        return 0;
    int64_t now = unit_now();
    bool may_expire = scan_may_expire(unit, now);
    /* While setting up, those that were not begun are not the scan's to open. */
    unsigned count = unit->state == UNIT_SETUP ? unit->opened : unit->wanted;
    for (unsigned i = 0; i < count; i++)
        unit_conn_scan(&unit->conns[i], now, may_expire);
    unit_settle(unit);
    if (is_deserted(unit, now))
        finish(unit);
    return scan_again(unit);
}

/* ---- the measurement ------------------------------------------------------------- */

static void keep_setup(struct unit *unit)
{
    hdr_init(unit->setup_connect);
    hdr_merge(unit->setup_connect, &unit->tally->connect);
    unit->setup_opened = unit->tally->opened;
}

void unit_end_warmup(struct unit *unit, int64_t now)
{
    int64_t from = now;
    if (unit->open_loop) {
        from = unit->start_ns + unit->plan->warmup_ns;
        unit_pace_take(unit, from - 1, now);
    }
    unit->warming = false; /* only now: the slots above are not of the number asked for */
    unit_books_begin(unit, from, now);
}

static int unit_on_warm(pf_loop *loop, void *arg)
{
    (void)loop;
    struct unit *unit = arg;
    if (unit->warming && unit->state == UNIT_RUNNING)
        unit_end_warmup(unit, unit_now());
    return 0;
}

/* Open those whose time has come: evenly, the last at the end of the ramp. */
static int unit_on_ramp(pf_loop *loop, void *arg)
{
    struct unit *unit = arg;
    unsigned all = unit->share.connections;
    int64_t step = unit->plan->ramp_ns / (all > 1 ? all - 1 : 1);
    int64_t now = unit_now();
    while (unit->state == UNIT_RUNNING && unit->wanted < all &&
           unit->start_ns + step * unit->wanted <= now)
        unit_conn_open(&unit->conns[unit->wanted++]);
    if (unit->state != UNIT_RUNNING || unit->wanted >= all)
        return 0;
    return pf_loop_call_at(loop, unit->start_ns + step * unit->wanted, unit_on_ramp, unit,
                           NULL);
}

/* The connections that have thought long enough; all think equally long. */
static int unit_on_thought(pf_loop *loop, void *arg)
{
    struct unit *unit = arg;
    int64_t now = unit_now();
    struct conn *conn;
    while (unit->state == UNIT_RUNNING && (conn = unit->thinking.first) &&
           conn->since_ns <= now)
        unit_conn_ask_on(conn, now);
    unit_settle(unit);
    if (unit->state != UNIT_RUNNING)
        return 0;
    conn = unit->thinking.first;
    int64_t next = conn ? conn->since_ns : now + unit->plan->think_ns;
    return pf_loop_call_at(loop, next, unit_on_thought, unit, NULL);
}

/* What else is to happen at its time. */
static int set_times(struct unit *unit)
{
    const struct plan *plan = unit->plan;
    int64_t start = unit->start_ns;
    int err = 0;
    if (unit->warming)
        err =
            pf_loop_call_at(unit->loop, start + plan->warmup_ns, unit_on_warm, unit, NULL);
    if (!err && plan->duration_ns)
        err = pf_loop_call_at(unit->loop, unit->end_ns, unit_on_time_over, unit, NULL);
    if (!err && unit->wanted < unit->share.connections)
        err = pf_loop_call_at(unit->loop, start, unit_on_ramp, unit, NULL);
    if (!err && plan->think_ns && !unit->open_loop)
        err = pf_loop_call_at(unit->loop, start + plan->think_ns, unit_on_thought, unit,
                              NULL);
    if (!err && unit->open_loop)
        err = unit_pace_start(unit);
    return err;
}

static void ask_all(struct unit *unit, int64_t now)
{
    for (unsigned i = 0; i < unit->wanted; i++) {
        struct conn *conn = &unit->conns[i];
        if (conn->state == CONN_DOWN)
            unit_conn_open(conn);
        else if (conn->state == CONN_IDLE && !unit->open_loop)
            unit_conn_ask_on(conn, now);
    }
}

static int unit_on_start(pf_loop *loop, void *arg)
{
    (void)loop;
    struct unit *unit = arg;
    const struct plan *plan = unit->plan;
    if (unit->state != UNIT_READY)
        return 0;
    int64_t now = unit_now();
    unit->state = UNIT_RUNNING;
    unit->warming = plan->warmup_ns > 0;
    unit->alive_ns = now;
    unit->end_ns = plan->duration_ns ? unit->start_ns + plan->warmup_ns + plan->duration_ns
                                     : INT64_MAX;
    if (unit->warming)
        keep_setup(unit);
    unit_books_begin(unit, unit->start_ns, now);
    int err = set_times(unit);
    if (err)
        return err;
    ask_all(unit, now);
    unit_settle(unit);
    return 0;
}

static int go(struct unit *unit)
{
    unit->start_ns = __atomic_load_n(unit->share.go_ns, __ATOMIC_ACQUIRE);
    return pf_loop_call_at(unit->loop, unit->start_ns, unit_on_start, unit, NULL);
}

/* Bytes of orders; its end is one too: who gave them has gone. */
static int unit_on_steering(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)events;
    struct unit *unit = arg;
    char order;
    ssize_t n = read(fd, &order, 1);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 1 && order == UNIT_GO)
        return go(unit);
    if (n == 1 && unit->state == UNIT_RUNNING)
        return drain(unit);
    finish(unit);
    return PF_DONE;
}

/* ---- life ------------------------------------------------------------------------ */

int unit_new(const struct unit_share *share, struct unit **out)
{
    const struct plan *plan = share->plan;
    struct unit *unit = calloc(1, sizeof *unit);
    if (!unit)
        return -ENOMEM;
    unit->share = *share;
    unit->plan = plan;
    unit->tally = share->tally;
    unit->open_loop = plan->load == PLAN_OPEN;
    unit->conn_count = share->connections;
    if (plan->overflow == PLAN_CONNECT && share->connections_max > unit->conn_count)
        unit->conn_count = share->connections_max;
    unit->wanted = plan->ramp_ns ? 1 : share->connections;
    unit->left = plan->requests ? share->requests : UINT64_MAX;
    unit->end_ns = INT64_MAX;
    unit->conns = calloc(unit->conn_count, sizeof *unit->conns);
    unit->stamps = calloc((size_t)unit->conn_count * plan->pipeline, sizeof *unit->stamps);
    unit->setup_connect = plan->warmup_ns ? malloc(sizeof *unit->setup_connect) : NULL;
    if (!unit->conns || !unit->stamps || (plan->warmup_ns && !unit->setup_connect) ||
        unit_ask_init(unit) != 0) {
        unit_free(unit);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < unit->conn_count; i++)
        unit_conn_init(&unit->conns[i], unit, i);
    *out = unit;
    return 0;
}

void unit_free(struct unit *unit)
{
    if (!unit)
        return;
    unit_ask_fini(unit);
    free(unit->setup_connect);
    free(unit->stamps);
    free(unit->conns);
    free(unit);
}

static int make_loop(struct unit *unit)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_NEVER;
    /* What fails here is a timer that cannot be set: the run would never end. */
    options.error_policy = PF_ERROR_STOP;
    int err = pf_loop_new(&options, &unit->loop);
    if (err)
        return err;
    pf__http_client_share(&unit->shared, unit->loop);
    err = pf_loop_add_handler(unit->loop, unit->share.steering, PF_READ, unit_on_steering,
                              unit);
    return err ? err : scan_again(unit);
}

int unit_run(struct unit *unit)
{
    (void)prctl(PR_SET_TIMERSLACK, 1); /* a request is late by what the kernel dawdles */
    unit->made_ns = unit_now();
    int err = make_loop(unit);
    if (!err) {
        unit_settle(unit);
        err = pf_loop_start(unit->loop);
    }
    for (unsigned i = 0; i < unit->conn_count; i++)
        pf__http_client_fini(&unit->conns[i].http);
    if (unit->loop) {
        (void)pf_loop_close(unit->loop, false); /* ours and not running: cannot fail */
        pf_loop_unref(unit->loop);
    }
    if (!err)
        unit->share.on_done(unit->share.arg);
    return err;
}
