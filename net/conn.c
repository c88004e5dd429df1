/*
 * conn.c - buffered connections; see conn.h, and conn_internal.h for the other files.
 *
 * Reading order: conn_on_ready() is all that the loop calls; pf__conn_read() and what it
 * calls, in conn_in.c, is the hot path; pf__conn_settle() is what every way out of a
 * callback ends in.
 */
#include "net/conn_internal.h"

#include "loop/assert.h"

#include <stdlib.h>
#include <unistd.h>

static pf_io_fn conn_on_ready;

void pf__conn_set_state(pf_conn *conn, enum pf_conn_state to)
{
    static const char *const names[] = {"open", "flushing", "lingering", "closed"};
    static const unsigned moves[] = {
        [PF_CONN_OPEN] = 1u << PF_CONN_FLUSHING | 1u << PF_CONN_CLOSED,
        [PF_CONN_FLUSHING] = 1u << PF_CONN_LINGERING | 1u << PF_CONN_CLOSED,
        [PF_CONN_LINGERING] = 1u << PF_CONN_CLOSED,
        [PF_CONN_CLOSED] = 0,
    };
    pf_assert(moves[conn->state] & 1u << to);
    if (pf_log_enabled(PF_LOG_DEBUG))
        pf_log(PF_LOG_DEBUG, "state", "connection=%d %s->%s", conn->fd, names[conn->state],
               names[to]);
    conn->state = (uint8_t)to;
}

struct pf__conn_buffer *pf__conn_grow(struct pf__conn_buffer *buffer, size_t capacity)
{
    struct pf__conn_buffer *grown = realloc(buffer, sizeof *buffer + capacity);
    if (!grown)
        return NULL;
    if (!buffer)
        grown->len = grown->at = 0;
    grown->capacity = capacity;
    return grown;
}

static bool wants_input(const pf_conn *conn)
{
    if (conn->state == PF_CONN_LINGERING)
        return conn->linger_left > 0;
    bool is_full =
        conn->held && conn->in && conn->in->len >= conn->conns->options.input_max;
    return conn->state == PF_CONN_OPEN && !conn->eof && !is_full;
}

void pf__conn_watch(pf_conn *conn)
{
    unsigned events = 0;
    if (pf__conn_is_blocked(conn))
        events = PF_WRITE;
    else if (wants_input(conn))
        events = PF_READ;
    if (events == conn->watched)
        return;
    int err = pf_loop_update_handler(conn->conns->loop, conn->fd, events);
    if (err)
        pf__conn_end(conn, err);
    else
        conn->watched = (uint8_t)events;
}

void pf__conn_settle(pf_conn *conn)
{
    if (conn->busy || pf__conn_is_inherited(conn))
        return; /* whoever runs it will; in the other case, the parent */
    if (conn->state == PF_CONN_CLOSED) {
        pf__conn_release(conn);
    } else if (conn->state == PF_CONN_FLUSHING && !pf__conn_is_blocked(conn)) {
        pf__conn_finish(conn);
    } else {
        pf__conn_check_deadline(conn);
        pf__conn_watch(conn);
    }
}

static int conn_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    pf_conn *conn = arg;
    if (pf__conn_is_blocked(conn))
        pf__conn_send_on(conn);
    else if (conn->state == PF_CONN_LINGERING)
        pf__conn_linger(conn);
    else
        (void)pf__conn_read(conn);
    pf__conn_settle(conn);
    return 0;
}

int pf_conn_open(pf_conns *conns, int fd, pf_conn **out)
{
    int err = pf_loop_check(conns->loop);
    if (err == -ECHILD) {
        close(fd); /* ours, in this process */
        return err;
    }
    pf_conn *conn = NULL;
    if (!err) {
        conn = calloc(1, sizeof *conn + conns->options.protocol->state_size);
        err = conn ? pf_loop_add_handler(conns->loop, fd, PF_READ, conn_on_ready, conn)
                   : -ENOMEM;
    }
    if (err) {
        free(conn);
        close(fd);
        return err;
    }
    conn->conns = conns;
    conn->fd = fd;
    conn->watched = PF_READ;
    conn->class = PF__LIST_NONE;
    pf__conn_append(conn, PF__LIST_NONE);
    conns->count++;
    if (out)
        *out = conn;
    return 0;
}

void *pf_conn_state(pf_conn *conn)
{
    return conn->protocol_state;
}

void *pf_conn_arg(pf_conn *conn)
{
    return conn->conns->options.arg;
}

pf_conns *pf_conn_owner(pf_conn *conn)
{
    return conn->conns;
}

int pf_conn_fd(const pf_conn *conn)
{
    return conn->fd >= 0 ? conn->fd : -1;
}

enum pf_conn_state pf_conn_get_state(const pf_conn *conn)
{
    return (enum pf_conn_state)conn->state;
}
