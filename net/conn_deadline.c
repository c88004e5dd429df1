/*
 * conn_deadline.c - what a connection waits for, and until when; see conn_internal.h.
 *
 * One timer for all of a set: it is armed for the earliest of the first ones of the lists.
 */
#include "net/conn_internal.h"

#include "loop/assert.h"

#include <sys/socket.h>

static pf_callback_fn conns_on_timer;

/* ---- lists ----------------------------------------------------------------------- */

void pf__conn_unlist(pf_conn *conn)
{
    pf_conns *conns = conn->conns;
    struct pf__conn_list *list = &conns->lists[conn->list];
    if (conns->cursor == conn)
        conns->cursor = conn->next;
    *(conn->prev ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next ? &conn->next->prev : &list->last) = conn->prev;
}

void pf__conn_append(pf_conn *conn, uint8_t to)
{
    struct pf__conn_list *list = &conn->conns->lists[to];
    conn->list = to;
    conn->next = NULL;
    conn->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = conn;
    list->last = conn;
}

static uint8_t list_for(const pf_conn *conn)
{
    if (pf__conn_is_blocked(conn))
        return PF__LIST_STALL;
    if (conn->due && conn->state == PF_CONN_OPEN)
        return PF__LIST_DUE;
    if (conn->state == PF_CONN_LINGERING)
        return PF__LIST_LINGER;
    if (conn->state != PF_CONN_OPEN)
        return PF__LIST_NONE;
    return conn->eof && conn->class == PF__LIST_NONE ? PF__LIST_PROBE : conn->class;
}

/* ---- deadlines ------------------------------------------------------------------- */

static void arm_timer(pf_conns *conns, int64_t at)
{
    (void)pf_loop_remove_timeout(conns->loop, conns->timer);
    conns->timer_at = PF_NEVER;
    if (at != PF_NEVER &&
        pf_loop_call_at(conns->loop, at, conns_on_timer, conns, &conns->timer) == 0)
        conns->timer_at =
            at; /* else: no memory; the next deadline that is set tries again */
}

/* Start the timeout that fits what the connection now waits for. */
static void restart_deadline_at(pf_conn *conn, int64_t now)
{
    pf_conns *conns = conn->conns;
    pf__conn_unlist(conn);
    pf__conn_append(conn, list_for(conn));
    if (conn->list == PF__LIST_NONE)
        return;
    conn->deadline_ns = now + conns->timeouts_ns[conn->list];
    if (conn->deadline_ns < conns->timer_at)
        arm_timer(conns, conn->deadline_ns);
}

void pf__conn_restart_deadline(pf_conn *conn)
{
    restart_deadline_at(conn, pf_loop_now(conn->conns->loop));
}

void pf__conn_check_deadline(pf_conn *conn)
{
    if (conn->list != list_for(conn))
        pf__conn_restart_deadline(conn);
}

/* A reset that came behind its end. */
static bool is_reset(const pf_conn *conn)
{
    int err = 0;
    socklen_t len = sizeof err;
    return getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err != 0;
}

static void expire(pf_conn *conn)
{
    void (*on_deadline)(pf_conn *) = conn->conns->options.protocol->on_deadline;
    uint8_t list = conn->list;
    conn->busy++;
    if (list == PF__LIST_LINGER) {
        pf__conn_end(conn, 0);
    } else if (list == PF__LIST_DUE) {
        conn->due = false;
        pf__conn_restart_deadline(conn);
        pf__conn_show_what_stands(conn);
    } else if (list == PF__LIST_PROBE && is_reset(conn)) {
        pf__conn_end(conn, -ECONNRESET);
    } else if (list == PF__LIST_PROBE) {
        pf__conn_restart_deadline(conn);
    } else if (list == PF__LIST_STALL || !on_deadline) {
        pf__conn_end(conn, -ETIMEDOUT);
    } else {
        conn->class = PF__LIST_NONE; /* before the call, which may set another */
        pf__conn_restart_deadline(conn);
        pf__conn_enter(conn);
        on_deadline(conn);
        pf__conn_leave(conn);
    }
    conn->busy--;
    pf__conn_settle(conn);
}

static int conns_on_timer(pf_loop *loop, void *arg)
{
    pf_conns *conns = arg;
    int64_t now = pf_loop_now(loop), next = PF_NEVER;
    conns->timer = (pf_timer){0};
    conns->timer_at = PF_NEVER;
    for (int i = 0; i < PF__LIST_NONE; i++)
        while (pf_loop_check(loop) == 0 &&
               conns->lists[i].first && /* on_deadline may fork */
               conns->lists[i].first->deadline_ns <= now)
            expire(conns->lists[i].first);
    for (int i = 0; i < PF__LIST_NONE; i++)
        if (conns->lists[i].first && conns->lists[i].first->deadline_ns < next)
            next = conns->lists[i].first->deadline_ns;
    if (next < conns->timer_at)
        arm_timer(conns, next);
    return 0;
}

/* ---- for protocols --------------------------------------------------------------- */

void pf_conn_set_deadline(pf_conn *conn, unsigned which)
{
    int64_t now = pf_loop_now(conn->conns->loop);
    if (now < 0 || conn->state != PF_CONN_OPEN) /* the guards */
        return;
    pf_assert(which < PF_CONN_CLASSES_MAX && conn->conns->timeouts_ns[which] > 0);
    conn->class = (uint8_t)which;
    if (!pf__conn_is_blocked(conn)) /* else when the peer reads again */
        restart_deadline_at(conn, now);
}

void pf_conn_clear_deadline(pf_conn *conn)
{
    if (pf_loop_check(conn->conns->loop) != 0 || conn->state != PF_CONN_OPEN)
        return;
    conn->class = PF__LIST_NONE;
    pf__conn_check_deadline(conn);
}
