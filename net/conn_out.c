/*
 * conn_out.c - bytes that go; see conn_internal.h.
 *
 * What a callback writes is put together in the batch, which is the set's, and leaves in
 * one send(2) behind it. What the peer does not take is kept, and from then on all output
 * queues up behind it.
 */
#include "net/conn_internal.h"

#include "loop/assert.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- sending --------------------------------------------------------------------- */

/* Keep what the peer does not take. */
static int keep_output(pf_conn *conn, const char *data, size_t len)
{
    struct pf__conn_buffer *out = conn->out;
    if (out && out->at) { /* room in front first */
        memmove(out->bytes, out->bytes + out->at, out->len - out->at);
        out->len -= out->at;
        out->at = 0;
    }
    size_t needed = (out ? out->len : 0) + len;
    if (!out || needed > out->capacity) {
        size_t capacity = out ? out->capacity * 2 : PF__CONN_FIRST_BUFFER;
        out = pf__conn_grow(out, capacity > needed ? capacity : needed);
        if (!out)
            return -ENOMEM;
        conn->out = out;
    }
    memcpy(out->bytes + out->len, data, len);
    out->len += len;
    return 0;
}

static ssize_t send_some(const pf_conn *conn, const char *data, size_t len, int flags)
{
    ssize_t n;
    do
        n = send(conn->fd, data, len, MSG_NOSIGNAL | flags);
    while (n == -1 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN ? 0 : -errno;
}

/* Send what the peer takes, keep the rest; end the connection if it is broken. Returns 0 or
 * the reason of the end. */
static int send_or_keep(pf_conn *conn, const char *data, size_t len, int flags)
{
    ssize_t n = conn->out ? 0 : send_some(conn, data, len, flags);
    if (n >= 0 && (size_t)n < len)
        n = keep_output(conn, data + n, len - (size_t)n);
    if (n < 0) {
        pf__conn_end(conn, (int)n);
        return (int)n;
    }
    return 0;
}

/* ---- the batch ------------------------------------------------------------------- */

/* The batch of the connection in whose callback we are; it may end here. flags: MSG_MORE if
 * more follows at once. */
void pf__conn_flush_batch(pf_conn *conn, int flags)
{
    pf_conns *conns = conn->conns;
    size_t len = conns->batch_len;
    conns->batch_len = 0;
    if (len && conn->state != PF_CONN_CLOSED)
        (void)send_or_keep(conn, conns->batch, len, flags);
}

void pf__conn_enter(pf_conn *conn)
{
    conn->busy++;
    conn->conns->owner = conn;
}

void pf__conn_leave(pf_conn *conn)
{
    if (pf__conn_is_inherited(conn))
        conn->conns->batch_len = 0; /* the parent sends it */
    else
        pf__conn_flush_batch(conn, 0);
    conn->conns->owner = NULL;
    conn->busy--;
}

static size_t waiting(const pf_conn *conn)
{
    size_t len = conn->out ? conn->out->len - conn->out->at : 0;
    return conn->conns->owner == conn ? len + conn->conns->batch_len : len;
}

size_t pf_conn_room(const pf_conn *conn)
{
    return conn->conns->options.output_max - waiting(conn);
}

static inline bool joins_batch(pf_conn *conn, size_t len)
{
    pf_conns *conns = conn->conns;
    if (conns->owner != conn || pf__conn_is_blocked(conn))
        return false;
    if (conns->batch_len + len > PF_CONN_BATCH_MAX)
        pf__conn_flush_batch(conn, 0);
    return conn->state == PF_CONN_OPEN && !conn->out && len <= PF_CONN_BATCH_MAX;
}

int pf_conn_write(pf_conn *conn, const void *data, size_t len)
{
    int err = pf_loop_check(conn->conns->loop);
    if (err)
        return err;
    if (conn->state != PF_CONN_OPEN)
        return -EPIPE;
    if (conn->file)
        return -EBUSY;
    if (len > pf_conn_room(conn))
        return -ENOBUFS;
    conn->busy++;
    if (joins_batch(conn, len)) {
        memcpy(conn->conns->batch + conn->conns->batch_len, data, len);
        conn->conns->batch_len += len;
    } else if (conn->state == PF_CONN_OPEN) {
        (void)send_or_keep(conn, data, len, 0);
    }
    /* It may fail and end it: before pf__conn_settle() lets go of it. */
    if (conn->busy == 1 && conn->out && conn->state == PF_CONN_OPEN)
        pf__conn_watch(conn);
    conn->busy--;
    err = conn->state == PF_CONN_CLOSED ? -EPIPE : 0;
    pf__conn_settle(conn);
    return err;
}

char *pf_conn_reserve(pf_conn *conn, size_t len)
{
    if (conn->state != PF_CONN_OPEN || len > pf_conn_room(conn) || !joins_batch(conn, len))
        return NULL;
    return conn->conns->batch + conn->conns->batch_len;
}

void pf_conn_wrote(pf_conn *conn, size_t len)
{
    pf_assert(conn->conns->owner == conn);
    pf_assert(len <= PF_CONN_BATCH_MAX - conn->conns->batch_len);
    conn->conns->batch_len += len;
}

bool pf_conn_blocked(const pf_conn *conn)
{
    return pf__conn_is_blocked(conn);
}

/* ---- what the peer did not take -------------------------------------------------- */

static uint64_t to_send(const pf_conn *conn)
{
    return (conn->out ? conn->out->len - conn->out->at : 0) +
           (conn->file ? conn->file->left : 0);
}

/* Returns 0 or the reason of the end. */
static int send_kept(pf_conn *conn)
{
    struct pf__conn_buffer *out = conn->out;
    ssize_t n = send_some(conn, out->bytes + out->at, out->len - out->at,
                          conn->file ? MSG_MORE : 0);
    if (n < 0)
        return (int)n;
    out->at += (size_t)n;
    if (out->at == out->len) {
        free(out);
        conn->out = NULL;
    }
    return 0;
}

/* All is out. */
static void on_drained(pf_conn *conn)
{
    void (*fn)(pf_conn *) = conn->conns->options.protocol->on_drained;
    if (fn && conn->state == PF_CONN_OPEN) {
        pf__conn_enter(conn);
        fn(conn);
        pf__conn_leave(conn);
    }
    if (conn->state == PF_CONN_OPEN && conn->in && !conn->held &&
        !pf__conn_is_blocked(conn) && !pf__conn_is_inherited(conn))
        pf__conn_feed(conn, conn->in->bytes, conn->in->len);
}

void pf__conn_send_on(pf_conn *conn)
{
    uint64_t waited = to_send(conn);
    int err = conn->out ? send_kept(conn) : 0;
    if (!err && !conn->out && conn->file)
        err = pf__conn_send_file(conn);
    if (err) {
        conn->busy++;
        pf__conn_end(conn, err);
        conn->busy--;
        return;
    }
    if (to_send(conn) < waited)
        pf__conn_restart_deadline(conn); /* progress */
    if (!pf__conn_is_blocked(conn))
        on_drained(conn);
}
