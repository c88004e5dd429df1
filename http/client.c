/*
 * client.c - a connection of client.h: its opening, its end, and what is sent; see
 * client_internal.h.
 */
#include "http/client_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static pf_io_fn conn_on_event;

/* ---- the end --------------------------------------------------------------------- */

void pf__http_client_close(struct pf__http_client_conn *conn)
{
    if (conn->state == PF__HTTP_CLIENT_DOWN)
        return;
    if (pf_loop_remove_and_close(conn->shared->loop, conn->fd) != 0)
        close(conn->fd); /* the loop is closed, or another process's */
    conn->fd = -1;
    conn->state = PF__HTTP_CLIENT_DOWN;
    conn->life++;
    conn->owed = 0;
    conn->begun = conn->head_done = conn->blocked = conn->announced = false;
    conn->head_len = conn->unsent_at = conn->unsent_len = 0;
}

/*
 * Whoever closes with bytes that he has not read resets the connection, and so does one who
 * gets them later; neither acknowledges them. So an end in good order with nothing left to
 * be acknowledged means that they were read. Source: tcp_close() of Linux; RFC 9293 3.10.4;
 * unix_release_sock() for unix sockets.
 */
static bool was_taken(const struct pf__http_client_conn *conn,
                      const struct pf__http_client_end *how)
{
    int unacknowledged;
    if (how->phase != PF__HTTP_CLIENT_READ_ON || how->error || conn->owed == 0 ||
        conn->begun || conn->announced || conn->unsent_len > 0)
        return false;
    return ioctl(conn->fd, TIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
}

void pf__http_client_tell_end(struct pf__http_client_conn *conn,
                              const struct pf__http_client_end *how, int64_t now)
{
    struct pf__http_client_end told = *how;
    told.announced = conn->announced;
    told.begun = conn->begun;
    told.owed = conn->owed;
    told.taken = was_taken(conn, how);
    pf__http_client_close(conn);
    conn->ops->on_close(conn, &told, now);
}

void pf__http_client_fail(struct pf__http_client_conn *conn,
                          enum pf__http_client_phase phase, int error, int64_t now)
{
    pf__http_client_tell_end(
        conn, &(struct pf__http_client_end){.phase = phase, .error = error}, now);
}

/* ---- sending --------------------------------------------------------------------- */

static int watch(struct pf__http_client_conn *conn, bool blocked)
{
    if (conn->blocked == blocked)
        return 0;
    int err = pf_loop_update_handler(conn->shared->loop, conn->fd,
                                     blocked ? PF_READ | PF_WRITE : PF_READ);
    if (err == 0)
        conn->blocked = blocked;
    return err;
}

/* Room behind what is kept, of which the sent beginning goes first. */
static int make_room(struct pf__http_client_conn *conn, size_t len)
{
    if (len > PF__HTTP_CLIENT_UNSENT_MAX - conn->unsent_len)
        return -ENOBUFS;
    if (conn->unsent_len)
        memmove(conn->unsent, conn->unsent + conn->unsent_at, conn->unsent_len);
    conn->unsent_at = 0;
    if (conn->unsent_len + len <= conn->unsent_size)
        return 0;
    size_t size = conn->unsent_len + len;
    if (size < 2 * conn->unsent_size)
        size = 2 * conn->unsent_size;
    char *larger = realloc(conn->unsent, size);
    if (!larger)
        return -ENOMEM;
    conn->unsent = larger;
    conn->unsent_size = size;
    return 0;
}

static int keep_unsent(struct pf__http_client_conn *conn, const char *bytes, size_t len)
{
    int err = make_room(conn, len);
    if (err)
        return err;
    memcpy(conn->unsent + conn->unsent_len, bytes, len);
    conn->unsent_len += len;
    return watch(conn, true);
}

/* Returns how many bytes the kernel took, perhaps none, or a negative errno. */
static ssize_t send_some(struct pf__http_client_conn *conn, const char *bytes, size_t len)
{
    ssize_t sent = send(conn->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    conn->shared->bytes_out += (uint64_t)sent;
    return sent;
}

int pf__http_client_send(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                         unsigned answers)
{
    if (conn->state != PF__HTTP_CLIENT_OPEN)
        return -ENOTCONN;
    ssize_t sent = conn->unsent_len ? 0 : send_some(conn, bytes, len);
    if (sent < 0)
        return (int)sent;
    if ((size_t)sent < len) {
        int err = keep_unsent(conn, bytes + sent, len - (size_t)sent);
        if (err)
            return err;
    }
    conn->owed += answers;
    return 0;
}

static void flush(struct pf__http_client_conn *conn)
{
    ssize_t sent = send_some(conn, conn->unsent + conn->unsent_at, conn->unsent_len);
    int err = (int)(sent < 0 ? sent : 0);
    if (sent > 0) {
        conn->unsent_at += (size_t)sent;
        conn->unsent_len -= (size_t)sent;
    }
    if (err == 0 && conn->unsent_len == 0)
        err = watch(conn, false);
    if (err)
        pf__http_client_fail(conn, PF__HTTP_CLIENT_WRITE, -err,
                             pf__http_client_clock(conn));
    else if (sent > 0 && conn->ops->on_sent)
        conn->ops->on_sent(conn, pf__http_client_clock(conn));
}

/* ---- opening --------------------------------------------------------------------- */

static void established(struct pf__http_client_conn *conn, unsigned events)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (events & PF_ERROR)
        (void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len); /* own descriptor */
    if (!error)
        error = -pf_loop_update_handler(conn->shared->loop, conn->fd, PF_READ);
    int64_t now = pf__http_client_clock(conn);
    if (error) {
        pf__http_client_fail(conn, PF__HTTP_CLIENT_CONNECT, error, now);
        return;
    }
    conn->state = PF__HTTP_CLIENT_OPEN;
    conn->ops->on_open(conn, now);
}

static int conn_on_event(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    struct pf__http_client_conn *conn = arg;
    if (conn->state == PF__HTTP_CLIENT_CONNECTING)
        established(conn, events);
    else if (events & (PF_READ | PF_ERROR)) /* what can be written then waits a turn */
        pf__http_client_receive(conn);
    else
        flush(conn);
    return 0;
}

/* Hints: whatever of it the kernel refuses changes only how fast it goes. */
static void set_options(int fd, const struct pf__http_client_options *options)
{
    int on = 1;
    if (options->nodelay && !pf_address_is_unix(options->to))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options->rcvbuf)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->rcvbuf, sizeof(int));
    if (options->sndbuf)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options->sndbuf, sizeof(int));
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    if (options->reset)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

static int bind_to(int fd, const struct pf_address *from)
{
#ifdef IP_BIND_ADDRESS_NO_PORT
    int on = 1;
    if (pf_address_port(from) == 0)
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
#endif
    return bind(fd, (const struct sockaddr *)&from->storage, from->len) == 0 ? 0 : -errno;
}

/* Returns a connecting socket or a negative errno. */
static int open_socket(const struct pf__http_client_options *options)
{
    const struct pf_address *to = options->to;
    int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_options(fd, options);
    int err = options->from ? bind_to(fd, options->from) : 0;
    if (err == 0 && connect(fd, (const struct sockaddr *)&to->storage, to->len) != 0 &&
        errno != EINPROGRESS)
        err = -errno;
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

int pf__http_client_connect(struct pf__http_client_conn *conn,
                            const struct pf__http_client_options *options)
{
    if (conn->state != PF__HTTP_CLIENT_DOWN)
        return -EALREADY;
    int fd = open_socket(options);
    if (fd < 0)
        return fd;
    int err = pf_loop_add_handler(conn->shared->loop, fd, PF_WRITE, conn_on_event, conn);
    if (err) {
        close(fd);
        return err;
    }
    conn->fd = fd;
    conn->state = PF__HTTP_CLIENT_CONNECTING;
    conn->await_close = options->await_close;
    return 0;
}

/* ---- life ------------------------------------------------------------------------ */

void pf__http_client_share(struct pf__http_client_shared *shared, pf_loop *loop)
{
    shared->loop = loop;
    shared->bytes_in = shared->bytes_out = 0;
}

void pf__http_client_init(struct pf__http_client_conn *conn,
                          struct pf__http_client_shared *shared,
                          const struct pf__http_client_ops *ops)
{
    *conn = (struct pf__http_client_conn){.shared = shared, .ops = ops, .fd = -1};
}

void pf__http_client_fini(struct pf__http_client_conn *conn)
{
    pf__http_client_close(conn);
    free(conn->parser);
    free(conn->head);
    free(conn->unsent);
    conn->parser = NULL;
    conn->head = conn->unsent = NULL;
}
