/*
 * conn_in.c - bytes that come; see conn_internal.h.
 *
 * A read goes into the buffer that all connections share, and the protocol is shown the
 * bytes there. Only what it leaves over is copied, into a buffer of the connection's own.
 */
#include "net/conn_internal.h"

#include "loop/assert.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    STAGED_MAX = PF_CONN_READ_MAX / 4, /* more is not copied for the sake of one read */
};

/* Keep what on_data has not used up of bytes that stand in the shared buffer or in our own.
 */
static int keep_input(pf_conn *conn, const char *data, size_t len)
{
    if (len == 0) {
        free(conn->in);
        conn->in = NULL;
        return 0;
    }
    if (!conn->in || conn->in->capacity < len) {
        struct pf__conn_buffer *in = pf__conn_grow(
            conn->in, len < PF__CONN_FIRST_BUFFER ? PF__CONN_FIRST_BUFFER : len);
        if (!in)
            return -ENOMEM;
        conn->in = in;
    }
    memmove(conn->in->bytes, data, len);
    conn->in->len = len;
    return 0;
}

void pf__conn_feed(pf_conn *conn, const char *data, size_t len)
{
    pf_conns *conns = conn->conns;
    pf__conn_enter(conn);
    size_t used = conns->options.protocol->on_data(conn, data, len);
    pf__conn_leave(conn);
    if (conn->state != PF_CONN_OPEN || pf__conn_is_inherited(conn))
        return;
    pf_assert(used <= len);
    if (used == len && !conn->in)
        return; /* nothing stands, and nothing did */
    conn->busy++;
    int err = keep_input(conn, data + used, len - used);
    if (!err && used == 0 && len >= conns->options.input_max &&
        !pf__conn_is_blocked(conn) && !conn->held)
        err = -ENOBUFS;
    if (err)
        pf__conn_end(conn, err);
    conn->busy--;
}

void pf__conn_show_what_stands(pf_conn *conn)
{
    if (conn->in && !conn->held)
        pf__conn_feed(conn, conn->in->bytes, conn->in->len);
    else if (conn->anyway && !conn->held)
        pf__conn_feed(conn, conn->conns->input, 0);
}

/* Where the next bytes go: into the shared buffer, behind a copy of what little stands, so
 * that a read is large whatever the last one left over; else behind those that stand. */
static int input_room(pf_conn *conn, char **at, size_t *room)
{
    struct pf__conn_buffer *in = conn->in;
    size_t max = conn->conns->options.input_max;
    if (!in || (in->len <= STAGED_MAX && in->len < max)) {
        size_t kept = in ? in->len : 0;
        if (kept)
            memcpy(conn->conns->input, in->bytes, kept);
        *at = conn->conns->input + kept;
        *room = (PF_CONN_READ_MAX < max ? PF_CONN_READ_MAX : max) - kept;
        return 0;
    }
    if (in->len == in->capacity && in->capacity < max) {
        size_t capacity = in->capacity * 2 < max ? in->capacity * 2 : max;
        in = pf__conn_grow(in, capacity);
        if (!in)
            return -ENOMEM;
        conn->in = in;
    }
    *at = in->bytes + in->len;
    *room = in->capacity - in->len;
    return *room ? 0 : -ENOBUFS;
}

static void take_eof(pf_conn *conn)
{
    conn->eof = true;
    void (*on_eof)(pf_conn *) = conn->conns->options.protocol->on_eof;
    if (!on_eof) {
        pf__conn_set_state(conn, PF_CONN_FLUSHING);
        return;
    }
    pf__conn_enter(conn);
    on_eof(conn);
    pf__conn_leave(conn);
}

/* Input has come: for the protocol, or to stand until it may be shown. */
static void show(pf_conn *conn, const char *data, size_t len)
{
    if (!conn->held) {
        pf__conn_feed(conn, data, len);
        return;
    }
    conn->busy++;
    int err = keep_input(conn, data, len);
    if (err)
        pf__conn_end(conn, err);
    conn->busy--;
}

/* Read once: a short read is the end of what there is. Returns 1 if something came, 0 if
 * nothing did, or the reason of the end, which the connection has then met. */
int pf__conn_read(pf_conn *conn)
{
    char *at;
    size_t room;
    int err = input_room(conn, &at, &room);
    ssize_t n = 0;
    if (!err) {
        n = recv(conn->fd, at, room, 0);
        if (n == -1)
            err = -errno;
    }
    if (err == -EAGAIN || err == -EINTR)
        return 0;
    if (err) {
        conn->busy++;
        pf__conn_end(conn, err);
        conn->busy--;
        return err;
    }
    size_t kept = conn->in ? conn->in->len : 0;
    if (n == 0 && conn->eof) { /* said before; now there is nobody to read either */
        conn->busy++;
        pf__conn_end(conn, -ECONNRESET);
        conn->busy--;
    } else if (n == 0) {
        take_eof(conn);
    } else {
        if (kept && at == conn->in->bytes + kept)
            conn->in->len += (size_t)n;
        show(conn, at - kept, kept + (size_t)n);
    }
    return 1;
}

int pf_conn_poll(pf_conn *conn)
{
    int err = pf_loop_check(conn->conns->loop);
    if (err)
        return err;
    if (conn->state != PF_CONN_OPEN)
        return -EPIPE;
    if (conn->busy || conn->conns->owner)
        return -EBUSY;
    if (pf__conn_is_blocked(conn) || conn->eof || conn->held)
        return 0;
    int got = pf__conn_read(conn);
    pf__conn_settle(conn);
    return got;
}

size_t pf_conn_pending(const pf_conn *conn)
{
    return conn->in ? conn->in->len : 0;
}

void pf_conn_hold(pf_conn *conn)
{
    if (pf_loop_check(conn->conns->loop) != 0)
        return;
    conn->held = true;
    conn->due = false;
    pf__conn_settle(conn);
}

void pf_conn_go_on(pf_conn *conn, bool anyway)
{
    if (pf_loop_check(conn->conns->loop) != 0 || !conn->held)
        return;
    conn->held = false;
    conn->due = conn->in || anyway;
    conn->anyway = anyway;
    pf__conn_settle(conn);
}
