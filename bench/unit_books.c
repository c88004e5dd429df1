/*
 * unit_books.c - every number that goes to the tally goes there through here.
 *
 * A request is counted or not from the moment it is asked: `epoch` says in which part of
 * the run it fell due. So those of the warm-up that are answered later, or never, change
 * nothing, and at any time
 *
 *     sent = status + failed + those counted and under way
 */
#include "bench/unit_internal.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

int64_t unit_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Source: Documentation/scheduler/sched-stats.rst. */
static struct unit_used read_used(void)
{
    char text[96] = "";
    long long ran, waited;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n > 0 && sscanf(text, "%lld %lld", &ran, &waited) == 2)
        return (struct unit_used){ran, waited};
    return (struct unit_used){read_clock(CLOCK_THREAD_CPUTIME_ID), -1};
}

/* ---- what is under way ----------------------------------------------------------- */

static void integrate(struct unit *unit, int64_t now)
{
    if (now <= unit->counted_at_ns)
        return;
    unit->tally->in_flight_ns +=
        (double)unit->counted * (double)(now - unit->counted_at_ns);
    unit->counted_at_ns = now;
}

static bool is_counted(const struct unit *unit, const struct stamp *stamp)
{
    return stamp->epoch == unit->epoch;
}

static int64_t began(const struct stamp *stamp)
{
    return stamp->sent_ns < 0 ? -stamp->sent_ns : stamp->sent_ns;
}

void unit_books_asked(struct conn *conn, struct stamp *stamp, int64_t now)
{
    struct unit *unit = conn->unit;
    struct tally *tally = unit->tally;
    unit->spun = false;
    unit->under_way++;
    tally_set(&tally->in_flight, unit->under_way);
    stamp->epoch = 0;
    if (unit->open_loop && stamp->due_ns < unit->from_ns)
        return;
    stamp->epoch = unit->epoch;
    integrate(unit, now);
    unit->counted++;
    tally_count(&tally->sent, 1);
    if (!unit->open_loop)
        tally_count(&tally->planned, 1);
    if (conn->made > 0)
        tally_count(&tally->reused, 1);
}

void unit_books_gone(struct conn *conn, struct stamp *stamp, int64_t now)
{
    /* In flight since it was asked, in service from now on. */
    if (is_counted(conn->unit, stamp))
        conn->unit->tally->unrecorded_ns += now + stamp->sent_ns;
    stamp->sent_ns = now;
}

/* The oldest is under way no more. Returns whether it is counted. */
static bool take_stamp(struct conn *conn, struct stamp *out, int64_t now)
{
    struct unit *unit = conn->unit;
    *out = *unit_stamp(conn, 0);
    conn->count--;
    conn->first = conn->first + 1 == unit->plan->pipeline ? 0 : conn->first + 1;
    unit->under_way--;
    tally_set(&unit->tally->in_flight, unit->under_way);
    if (!is_counted(unit, out))
        return false;
    integrate(unit, now);
    unit->counted--;
    return true;
}

/* ---- answers --------------------------------------------------------------------- */

static void record_wrong(struct unit *unit, int reason, int64_t now)
{
    struct tally_error error = {.phase = TALLY_VALIDATE,
                                .when = TALLY_ANSWERED,
                                .reason = reason,
                                .count = 1,
                                .first_ns = now};
    memcpy(error.sample, unit->sample, sizeof error.sample);
    tally_error(unit->tally, &error);
    tally_count(&unit->tally->wrong, 1);
}

void unit_books_answered(struct conn *conn, unsigned status, int reason, int64_t now)
{
    struct unit *unit = conn->unit;
    struct tally *tally = unit->tally;
    struct stamp stamp;
    unit->spun = false;
    if (!take_stamp(conn, &stamp, now))
        return;
    tally_count(&tally->status[status < TALLY_STATUS_MAX ? status : 0], 1);
    int64_t sent = began(&stamp);
    if (reason) {
        record_wrong(unit, reason, now);
    } else if (status < 400 || unit->plan->expect) {
        tally_count(&tally->ok, 1);
        gaps_ok(&tally->gaps, now);
        hdr_record(&tally->service, now - sent, 1);
        hdr_record(&tally->ttfb, conn->first_ns - sent, 1);
        if (unit->open_loop)
            hdr_record(&tally->response, now - stamp.due_ns, 1);
        return;
    }
    hdr_record(&tally->refused, now - sent, 1);
}

/* ---- errors ---------------------------------------------------------------------- */

void unit_books_sample(struct tally_error *error, const char *bytes, size_t len)
{
    size_t n = 0;
    for (; n < len && n < sizeof error->sample - 1; n++)
        error->sample[n] = bytes[n] >= ' ' && bytes[n] <= '~' ? bytes[n] : '.';
    error->sample[n] = '\0';
}

void unit_books_error(struct unit *unit, const struct tally_error *error)
{
    tally_error(unit->tally, error);
}

static void record_unanswered(struct unit *unit, const struct stamp *stamp, int64_t now)
{
    hdr_record(&unit->tally->service, now - began(stamp), 1);
    if (unit->open_loop)
        hdr_record(&unit->tally->response, now - stamp->due_ns, 1);
}

void unit_books_broken(struct conn *conn, const struct tally_error *how, bool begun,
                       int64_t now)
{
    struct unit *unit = conn->unit;
    for (bool first = true; conn->count > 0; first = false) {
        struct stamp stamp;
        if (!take_stamp(conn, &stamp, now))
            continue;
        struct tally_error error = *how;
        /* Of several that were read the server may have meant to answer only the first. */
        error.when = !first                     ? TALLY_SENT
                     : begun                    ? TALLY_PARTIAL
                     : how->when == TALLY_TAKEN ? TALLY_TAKEN
                                                : TALLY_SENT;
        error.count = 1;
        error.first_ns = now;
        tally_error(unit->tally, &error);
        tally_count(&unit->tally->failed, 1);
        if (how->phase == TALLY_TIMEOUT)
            record_unanswered(unit, &stamp, now);
        else
            unit->tally->unrecorded_ns += now - began(&stamp);
    }
}

/* ---- open loop ------------------------------------------------------------------- */

void unit_books_dropped(struct unit *unit, int64_t due_ns)
{
    if (due_ns >= unit->from_ns)
        tally_count(&unit->tally->dropped, 1);
}

void unit_books_backlog(struct unit *unit)
{
    tally_set(&unit->tally->backlog, unit->backlog);
    if (unit->backlog > unit->tally->backlog_max)
        tally_set(&unit->tally->backlog_max, unit->backlog);
}

void unit_books_bytes(struct unit *unit)
{
    tally_set(&unit->tally->bytes_in, unit->shared.bytes_in - unit->bytes_in);
    tally_set(&unit->tally->bytes_out, unit->shared.bytes_out - unit->bytes_out);
}

/* ---- begin and end --------------------------------------------------------------- */

/* All at nought, except what the set-up has cost: *setup_connect was put by at the start of
 * the warm-up. */
static void clear(struct unit *unit)
{
    struct tally *tally = unit->tally;
    int64_t setup_ns = tally->setup_ns;
    uint64_t backlog = unit->backlog;
    tally_init(tally);
    tally->setup_ns = setup_ns;
    hdr_merge(&tally->connect, unit->setup_connect);
    tally_set(&tally->opened, unit->setup_opened);
    tally_set(&tally->in_flight, unit->under_way);
    tally_set(&tally->backlog, backlog);
    tally_set(&tally->backlog_max, backlog);
}

void unit_books_forget(struct unit *unit)
{
    clear(unit);
    tally_set(&unit->tally->in_flight, 0);
    tally_set(&unit->tally->backlog, 0);
    tally_set(&unit->tally->backlog_max, 0);
    if (unit->plan->requests) {
        unit->tally->unsent = unit->left;
        tally_count(&unit->tally->planned, unit->left);
    }
}

void unit_books_begin(struct unit *unit, int64_t from_ns, int64_t now)
{
    if (unit->epoch > 0)
        clear(unit);
    unit->epoch++;
    unit->from_ns = from_ns;
    unit->counted = 0;
    unit->counted_at_ns = now;
    unit->bytes_in = unit->shared.bytes_in;
    unit->bytes_out = unit->shared.bytes_out;
    unit->used = read_used();
    unit->spun_ns = 0;
    gaps_begin(&unit->tally->gaps, from_ns);
    /* The coordinator reads nothing of it before: what was cleared is cleared. */
    __atomic_store_n(&unit->tally->began_ns, from_ns, __ATOMIC_RELEASE);
}

static double share(int64_t part_ns, double wall_ns)
{
    double share = (double)part_ns / wall_ns;
    return share < 0 ? 0 : share < 1 ? share : 1;
}

void unit_books_close(struct unit *unit, int64_t now)
{
    struct tally *tally = unit->tally;
    double wall = (double)(now - tally->began_ns + 1);
    struct unit_used used = read_used();
    bool told = used.waited_ns >= 0 && unit->used.waited_ns >= 0;
    int64_t waited_ns = told ? used.waited_ns - unit->used.waited_ns : 0;
    int64_t had_ns = used.had_ns - unit->used.had_ns - unit->spun_ns;
    tally->busy = share(had_ns + waited_ns, wall);
    tally->waited = told ? share(waited_ns, wall) : (double)NAN;
    tally->ended_ns = now;
    tally->ok_in_time = tally->ok;
}

static void censor(struct conn *conn, int64_t now)
{
    struct unit *unit = conn->unit;
    while (conn->count > 0) {
        struct stamp stamp;
        if (!take_stamp(conn, &stamp, now))
            continue;
        unit->tally->censored++;
        int64_t age = now - began(&stamp);
        if (age < unit->tally->censored_ns)
            unit->tally->censored_ns = age;
        record_unanswered(unit, &stamp, now);
    }
}

/* What was due and never sent: the slots between the two cursors. */
static void censor_unsent(struct unit *unit, int64_t now)
{
    for (; unit->sent.slot < unit->due.slot; pace_next(&unit->sent)) {
        int64_t due = unit->start_ns + pace_due(&unit->sent);
        if (due < unit->from_ns)
            continue;
        hdr_record(&unit->tally->response, now - due, 1);
        if (now - due < unit->tally->unsent_ns)
            unit->tally->unsent_ns = now - due;
    }
}

void unit_books_end(struct unit *unit, int64_t now)
{
    struct tally *tally = unit->tally;
    for (unsigned i = 0; i < unit->conn_count; i++)
        censor(&unit->conns[i], now);
    censor_unsent(unit, now);
    gaps_end(&tally->gaps, tally->ended_ns);
    if (unit->open_loop)
        tally->unsent = tally->planned - tally->sent - tally->dropped;
    if (unit->plan->requests) {
        tally->unsent += unit->left;
        tally_count(&tally->planned, unit->left);
    }
    unit_books_bytes(unit);
}
