/*
 * client.c - see client.h.
 *
 * Answers are parsed where they were received, by the parser that all connections share.
 * Only at the end of what came, and in the middle of an answer, is its state put by: the
 * parser is copied, and of a head that is not complete the bytes too, because the parser
 * wants a head from its first byte on.
 *
 * A callback may close the connection, and even open it again. `life` tells: whatever goes
 * on behind a callback first compares it.
 */
#include "http/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A head that came in pieces begins with that much room. */
#define HEAD_ROOM 1024

static pf_io_fn conn_on_event;

static int64_t clock_of(const struct pf__http_client_conn *conn)
{
    int64_t now = 0;
    (void)pf_loop_time(conn->shared->loop, &now); /* in a callback of it: cannot fail */
    return now;
}

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

static void end(struct pf__http_client_conn *conn, const struct pf__http_client_end *how,
                int64_t now)
{
    struct pf__http_client_end told = *how;
    told.announced = conn->announced;
    told.begun = conn->begun;
    told.owed = conn->owed;
    told.taken = was_taken(conn, how);
    pf__http_client_close(conn);
    conn->ops->on_close(conn, &told, now);
}

static void fail(struct pf__http_client_conn *conn, enum pf__http_client_phase phase,
                 int error, int64_t now)
{
    end(conn, &(struct pf__http_client_end){.phase = phase, .error = error}, now);
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
        fail(conn, PF__HTTP_CLIENT_WRITE, -err, clock_of(conn));
    else if (sent > 0 && conn->ops->on_sent)
        conn->ops->on_sent(conn, clock_of(conn));
}

/* ---- receiving ------------------------------------------------------------------- */

static void refuse(struct pf__http_client_conn *conn, int error, const char *bytes,
                   size_t len, int64_t now)
{
    struct pf__http_client_end how = {
        .phase = PF__HTTP_CLIENT_PARSE, .error = error, .sample = bytes, .sample_len = len};
    end(conn, &how, now);
}

/* Put by what the parser knows: the fields that are there, and not the room for others. */
static int keep_parser(struct pf__http_client_conn *conn,
                       const struct pf_http_parser *parser)
{
    if (parser == conn->parser)
        return 0;
    if (!conn->parser && !(conn->parser = malloc(sizeof *conn->parser)))
        return -ENOMEM;
    memcpy(conn->parser, parser,
           offsetof(struct pf_http_parser, fields) +
               parser->field_count * sizeof parser->fields[0]);
    return 0;
}

static int keep_head(struct pf__http_client_conn *conn, const char *bytes, size_t len)
{
    if (len > PF_HTTP_HEAD_MAX)
        return -EMSGSIZE;
    if (len > conn->head_size) {
        size_t size = conn->head_size ? conn->head_size : HEAD_ROOM;
        while (size < len)
            size *= 2;
        char *larger = realloc(conn->head, size);
        if (!larger)
            return -ENOMEM;
        conn->head = larger;
        conn->head_size = size;
    }
    if (len) /* behind an interim answer nothing of the next may be here: then no room is */
        memcpy(conn->head, bytes, len);
    conn->head_len = len;
    return 0;
}

/* The message goes on in what is not here yet. */
static bool put_by(struct pf__http_client_conn *conn, const struct pf_http_parser *parser,
                   const char *bytes, size_t len, int64_t now)
{
    int err = keep_parser(conn, parser);
    if (err == 0 && !conn->head_done)
        err = keep_head(conn, bytes, len);
    if (err)
        refuse(conn, -err, bytes, len, now);
    return err == 0;
}

static void begin_message(struct pf__http_client_conn *conn, struct pf_http_parser *parser)
{
    conn->head_done = false;
    pf__http_parser_start(parser, PF_HTTP_RESPONSE, conn->head_request);
}

/* A message of 1xx is followed by another one, RFC 9110 section 15.2; not so 101. */
static bool is_interim(const struct pf_http_parser *parser)
{
    return parser->status < 200 && parser->status != 101;
}

/* Tell of a complete answer. False: the connection is not what it was. */
static bool answered(struct pf__http_client_conn *conn, struct pf_http_parser *parser,
                     int64_t now)
{
    uint32_t life = conn->life;
    conn->begun = false;
    conn->owed--;
    /* To a request that is not even sent: what is left of it would be garbage. */
    if (conn->owed == 0 && conn->unsent_len)
        parser->keep_alive = false;
    conn->announced = !parser->keep_alive;
    conn->ops->on_answer(conn, parser, now);
    return conn->life == life;
}

/* Behind the last answer. */
static void finish(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                   int64_t now)
{
    if (len > 0)
        refuse(conn, EPROTO, bytes, len, now);
    else if (!conn->await_close || conn->owed > 0)
        fail(conn, PF__HTTP_CLIENT_READ_ON, 0, now);
}

/* One step of the parser has got somewhere, in the message that begins at `bytes`. False:
 * the connection is not what it was. */
static bool tell_step(struct pf__http_client_conn *conn,
                      const struct pf_http_parser *parser, int step, const char *bytes,
                      struct pf_http_span body)
{
    uint32_t life = conn->life;
    if (step == PF_HTTP_BODY) {
        if (conn->ops->on_body && !is_interim(parser))
            conn->ops->on_body(conn, bytes + body.at, body.len);
    } else {
        conn->head_done = true;
        if (conn->ops->on_head && !is_interim(parser))
            conn->ops->on_head(conn, parser, bytes);
    }
    return conn->life == life;
}

/* Bytes of an answer that is new. False: the connection ended. */
static bool begin_answer(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                         int64_t now)
{
    if (conn->owed == 0) {
        refuse(conn, EPROTO, bytes, len, now);
        return false;
    }
    uint32_t life = conn->life;
    bool head_request = conn->ops->on_first(conn, now);
    if (conn->life != life)
        return false;
    conn->head_request = head_request;
    conn->begun = true;
    begin_message(conn, &conn->shared->parser);
    return true;
}

/* Go through bytes[0..len), of which the parser saw the first `used` before. False: the
 * connection ended. */
static bool take_in(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                    size_t used, int64_t now)
{
    struct pf_http_parser *parser = conn->begun ? conn->parser : &conn->shared->parser;
    struct pf_http_span body = {0, 0};
    size_t at = 0;
    while (at < len || conn->begun) {
        if (!conn->begun && !begin_answer(conn, bytes + at, len - at, now))
            return false;
        int step = pf__http_parser_run(parser, bytes + at, len - at, &used, &body);
        if (step < 0) {
            refuse(conn, EBADMSG, bytes + at, len - at, now);
            return false;
        }
        if (step == PF_HTTP_MORE)
            return put_by(conn, parser, bytes + at, len - at, now);
        if (step != PF_HTTP_DONE) {
            if (!tell_step(conn, parser, step, bytes + at, body))
                return false;
            continue;
        }
        at += used;
        used = 0;
        if (is_interim(parser)) {
            begin_message(conn, parser);
            continue;
        }
        if (!answered(conn, parser, now))
            return false;
        if (conn->announced) {
            uint32_t life = conn->life;
            finish(conn, bytes + at, len - at, now);
            return conn->life == life;
        }
        parser = &conn->shared->parser;
    }
    return true;
}

/* The peer closed (error 0), or the connection failed. */
static void ended(struct pf__http_client_conn *conn, int error)
{
    int64_t now = clock_of(conn);
    if (error == 0 && conn->begun && conn->head_done &&
        pf__http_parser_eof(conn->parser) == PF_HTTP_DONE) {
        conn->parser->keep_alive = false; /* a body that lasts until the close */
        if (!answered(conn, conn->parser, now))
            return;
    }
    fail(conn, PF__HTTP_CLIENT_READ_ON, error, now);
}

static void receive(struct pf__http_client_conn *conn)
{
    struct pf__http_client_shared *shared = conn->shared;
    size_t kept = conn->head_len;
    if (kept)
        memcpy(shared->buffer, conn->head, kept);
    ssize_t got = recv(conn->fd, shared->buffer + kept, PF__HTTP_CLIENT_READ, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        ended(conn, got < 0 ? errno : 0);
        return;
    }
    int64_t now = clock_of(conn);
    uint32_t life = conn->life;
    shared->bytes_in += (uint64_t)got;
    conn->head_len = 0;
    if (conn->ops->on_bytes)
        conn->ops->on_bytes(conn, shared->buffer, (size_t)got, now);
    else if (!take_in(conn, shared->buffer, kept + (size_t)got, kept, now))
        return;
    if (conn->life == life && conn->ops->on_taken)
        conn->ops->on_taken(conn, now);
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
    int64_t now = clock_of(conn);
    if (error) {
        fail(conn, PF__HTTP_CLIENT_CONNECT, error, now);
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
        receive(conn);
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
