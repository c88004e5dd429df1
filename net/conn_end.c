/*
 * conn_end.c - the end of a connection; see conn_internal.h.
 *
 * Whoever has said all closes: output is flushed, and then the peer is given time to hear
 * it, if that was asked for. Everything else ends at once.
 */
#include "net/conn_internal.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void pf__conn_release(pf_conn *conn)
{
    pf_conns *conns = conn->conns;
    int fd = ~conn->fd; /* as pf__conn_end() left it */
    free(conn->in);
    free(conn->out);
    free(conn);
    if (conns->options.on_gone)
        conns->options.on_gone(conns, fd, conns->options.arg);
}

/* A FIN would say that this was all. */
static void close_by_reset(const pf_conn *conn)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

void pf__conn_end(pf_conn *conn, int reason)
{
    pf_conns *conns = conn->conns;
    pf__conn_set_state(conn, PF_CONN_CLOSED);
    if (pf__conn_is_blocked(conn)) /* output is lost */
        close_by_reset(conn);
    if (pf_loop_remove_and_close(conns->loop, conn->fd) != 0)
        close(conn->fd);
    conn->fd = ~conn->fd; /* negative: closed, and its number is still to be told */
    pf__conn_drop_file(conn);
    pf__conn_unlist(conn);
    conns->count--;
    conn->busy++;
    if (conns->options.protocol->on_close)
        conns->options.protocol->on_close(conn, reason);
    if (--conn->busy == 0)
        pf__conn_release(conn);
}

void pf__conn_finish(pf_conn *conn)
{
    if (!conn->linger) {
        pf__conn_end(conn, 0);
        return;
    }
    (void)shutdown(conn->fd, SHUT_WR); /* ENOTCONN: gone, which reading will tell */
    pf__conn_set_state(conn, PF_CONN_LINGERING);
    conn->linger_left = PF_CONN_LINGER_BYTES;
    pf__conn_check_deadline(conn);
    pf__conn_watch(conn);
}

/* Said all, heard enough: drop what still comes, so that the last answer is not lost to a
 * reset (RFC 9112, section 9.6). One that is too talkative is heard no more; for the rest
 * of its time it cannot send, and so finds the answer if it looks. */
void pf__conn_linger(pf_conn *conn)
{
    ssize_t n = recv(conn->fd, conn->conns->input, PF_CONN_READ_MAX, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        conn->linger_left -=
            (size_t)n < conn->linger_left ? (uint32_t)n : conn->linger_left;
        return;
    }
    conn->busy++;
    pf__conn_end(conn, 0); /* the peer is through */
    conn->busy--;
}

int pf_conn_close(pf_conn *conn, bool linger)
{
    int err = pf_loop_check(conn->conns->loop);
    if (err)
        return err;
    if (conn->state != PF_CONN_OPEN)
        return 0;
    pf__conn_set_state(conn, PF_CONN_FLUSHING);
    conn->linger = linger;
    pf__conn_settle(conn);
    return 0;
}

int pf_conn_abort(pf_conn *conn, int reason)
{
    int err = pf_loop_check(conn->conns->loop);
    if (err)
        return err;
    if (conn->conns->owner == conn)
        pf__conn_flush_batch(conn, 0);
    if (conn->state != PF_CONN_CLOSED)
        pf__conn_end(conn, reason);
    return 0;
}

int pf_conn_reset(pf_conn *conn, int reason)
{
    if (pf_loop_check(conn->conns->loop) == 0 && conn->state != PF_CONN_CLOSED)
        close_by_reset(conn);
    return pf_conn_abort(conn, reason);
}
