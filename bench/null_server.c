/* null_server.c - see null_server.h. */
#include "bench/null_server.h"

#include "http/parser.h"
#include "net/acceptor.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024, /* of requests at once, more than a head may have */
    BATCH_MAX = 1024,      /* answers in one send: IOV_MAX in sendmsg(2) */
    HEAD_ROOM = 256,
    QUEUE_FIRST = 1024, /* answers that wait, to begin with */
};

enum kind {
    ANSWER,      /* head and body */
    ANSWER_HEAD, /* to a HEAD */
    LAST,        /* with Connection: close, and so it is */
    LAST_HEAD,
    BAD, /* to what is no request */
    KINDS,
};

/* A request that has not come whole. */
struct partial {
    struct pf_http_parser parser;
    bool in_body;     /* its head is complete, and no longer kept */
    size_t len, used; /* bytes kept, and of these looked at */
    char bytes[];
};

/* Answers that the peer did not take at once. */
struct pending {
    size_t count, at; /* at: those that are out */
    struct iovec iov[];
};

struct conn {
    uint32_t generation; /* of the descriptor: tells a connection from the one before */
    bool closing;        /* when its answers are out */
    uint64_t answered;
    struct partial *partial;
    struct pending *pending;
};

/* An answer that is due at a time. All wait equally long: they are due in order. */
struct owed {
    int64_t due_ns;
    int fd;
    uint32_t generation;
    enum kind kind;
};

struct null_server {
    pf_loop *loop;
    struct null_server_options options;
    size_t acceptor_count;
    pf_acceptor *acceptors[PF_ADDRESSES_MAX];
    struct conn *conns; /* by descriptor; pages come in only as they are used */
    size_t conns_max;
    uint64_t answers, connections;
    int64_t first_ns; /* when the first request came; 0: not yet */

    char *text[KINDS]; /* of the answers; *_HEAD share */
    struct iovec answer[KINDS];

    struct iovec batch[BATCH_MAX]; /* for the connection at hand */
    size_t batch_count;

    struct owed *queue; /* a ring */
    size_t queue_max, queue_at, queue_count;

    struct pf_http_parser parser; /* of the request at hand */
    bool in_body;
    char in[READ_SIZE];
};

static const char GARBAGE[] = "\x16\x03\x01 this is no answer\r\n\r\n";

static pf_io_fn on_ready;
static pf_callback_fn on_due;
static pf_accept_fn on_connection;

/* ---- standing still -------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

/*
 * Called by each handler before it does anything: in a stall all stands still, as it would
 * if the process hung. A signal ends it, for those that are handled end the server.
 */
static void stand_still(const struct null_server *server)
{
    if (!server->first_ns ||
        (!server->options.script.count && !server->options.script.every.for_ns))
        return;
    int64_t since = now_ns() - server->first_ns;
    int64_t resume = serve_script_resume(&server->options.script, since);
    if (resume == since)
        return;
    resume += server->first_ns;
    struct timespec until = {resume / PF_SECOND, resume % PF_SECOND};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* ---- a connection ---------------------------------------------------------------- */

static void close_conn(struct null_server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    free(conn->partial);
    free(conn->pending);
    *conn = (struct conn){.generation = conn->generation + 1};
    (void)pf_loop_remove_and_close(server->loop, fd); /* it is registered */
}

/* False: out of memory, and the connection is closed. */
static bool watch(struct null_server *server, int fd, unsigned events)
{
    if (pf_loop_update_handler(server->loop, fd, events) == 0)
        return true;
    close_conn(server, fd);
    return false;
}

/* Send from iov; returns how many of them are out, having shortened the next one by what is
 * out of it, or -1: the peer is gone. */
static ssize_t send_some(int fd, struct iovec *iov, size_t count)
{
    size_t out = 0;
    while (out < count) {
        struct msghdr message = {.msg_iov = iov + out,
                                 .msg_iovlen =
                                     count - out < BATCH_MAX ? count - out : BATCH_MAX};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? (ssize_t)out : -1;
        while (n > 0 && (size_t)n >= iov[out].iov_len)
            n -= (ssize_t)iov[out++].iov_len;
        if (n > 0) {
            iov[out].iov_base = (char *)iov[out].iov_base + n;
            iov[out].iov_len -= (size_t)n;
        }
    }
    return (ssize_t)out;
}

/* Keep what is left of the batch, behind what is kept already. False: no memory. */
static bool keep_pending(struct null_server *server, struct conn *conn, size_t from)
{
    size_t had = conn->pending ? conn->pending->count : 0;
    size_t more = server->batch_count - from;
    struct pending *pending =
        realloc(conn->pending, sizeof *pending + (had + more) * sizeof pending->iov[0]);
    if (!pending)
        return false;
    if (!had)
        pending->at = 0;
    memcpy(pending->iov + had, server->batch + from, more * sizeof pending->iov[0]);
    pending->count = had + more;
    conn->pending = pending;
    return true;
}

/* Send the batch. False: the connection is closed. */
static bool flush(struct null_server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    bool waited = conn->pending != NULL;
    ssize_t out = waited ? 0 : send_some(fd, server->batch, server->batch_count);
    bool left = out >= 0 && (size_t)out < server->batch_count;
    bool ok = out >= 0 && (!left || keep_pending(server, conn, (size_t)out));
    server->batch_count = 0;
    if (!ok || (conn->closing && !conn->pending)) {
        close_conn(server, fd);
        return false;
    }
    return !conn->pending || waited || watch(server, fd, PF_WRITE);
}

static void on_writable(struct null_server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    struct pending *pending = conn->pending;
    ssize_t out = send_some(fd, pending->iov + pending->at, pending->count - pending->at);
    if (out >= 0)
        pending->at += (size_t)out;
    if (out >= 0 && pending->at < pending->count)
        return;
    if (out < 0 || conn->closing) {
        close_conn(server, fd);
        return;
    }
    free(pending);
    conn->pending = NULL;
    (void)watch(server, fd, PF_READ); /* closed: then there is nothing more to do */
}

/* ---- answers --------------------------------------------------------------------- */

/* Add an answer to the batch; behind a last one nothing more is answered. */
static void answer(struct null_server *server, int fd, enum kind kind)
{
    const struct null_server_options *options = &server->options;
    struct conn *conn = &server->conns[fd];
    if (conn->closing)
        return;
    struct iovec iov = server->answer[kind];
    server->answers++;
    conn->answered++;
    conn->closing = kind >= LAST || conn->answered == options->close_after;
    if (options->garbage && server->answers % options->garbage == 0) {
        iov = (struct iovec){(void *)(uintptr_t)GARBAGE, sizeof GARBAGE - 1};
        conn->closing = true;
    }
    server->batch[server->batch_count++] = iov;
}

/* The ring, twice as long, with what it holds at its beginning. */
static bool grow_queue(struct null_server *server)
{
    size_t max = server->queue_max ? server->queue_max * 2 : QUEUE_FIRST;
    struct owed *queue = calloc(max, sizeof *queue);
    if (!queue)
        return false;
    for (size_t i = 0; i < server->queue_count; i++)
        queue[i] = server->queue[(server->queue_at + i) % server->queue_max];
    free(server->queue);
    server->queue = queue;
    server->queue_max = max;
    server->queue_at = 0;
    return true;
}

static bool arm(struct null_server *server)
{
    int64_t due = server->queue[server->queue_at].due_ns;
    return pf_loop_call_at(server->loop, due, on_due, server, NULL) == 0;
}

/* False: no memory. */
static bool owe(struct null_server *server, int fd, enum kind kind, int64_t due_ns)
{
    if (server->queue_count == server->queue_max && !grow_queue(server))
        return false;
    server->queue[(server->queue_at + server->queue_count++) % server->queue_max] =
        (struct owed){due_ns, fd, server->conns[fd].generation, kind};
    return server->queue_count > 1 || arm(server);
}

/* What is due, with one send for those of a connection that stand side by side. */
static int on_due(pf_loop *loop, void *arg)
{
    struct null_server *server = arg;
    (void)loop;
    stand_still(server);
    int64_t now = now_ns();
    int fd = -1;
    while (server->queue_count && server->queue[server->queue_at].due_ns <= now) {
        struct owed owed = server->queue[server->queue_at];
        server->queue_at = (server->queue_at + 1) % server->queue_max;
        server->queue_count--;
        if (fd >= 0 && (fd != owed.fd || server->batch_count == BATCH_MAX))
            (void)flush(server, fd); /* closed: what else it was owed is passed over */
        fd = server->conns[owed.fd].generation == owed.generation ? owed.fd : -1;
        if (fd >= 0)
            answer(server, fd, owed.kind);
    }
    if (fd >= 0)
        (void)flush(server, fd);
    return server->queue_count && !arm(server) ? -ENOMEM : 0;
}

/* A request is whole: answer it now, or when it is due. False: the connection is closed. */
static bool take(struct null_server *server, int fd, enum kind kind, int64_t due_ns)
{
    if (!server->options.delay_ns) {
        answer(server, fd, kind);
        return server->batch_count < BATCH_MAX || flush(server, fd);
    }
    if (owe(server, fd, kind, due_ns))
        return true;
    close_conn(server, fd);
    return false;
}

/* ---- requests -------------------------------------------------------------------- */

/* Keep what of the request at hand has come: its bytes as long as the head goes on. */
static bool keep_partial(const struct null_server *server, struct conn *conn,
                         const char *bytes, size_t len)
{
    size_t kept = server->in_body ? 0 : len;
    struct partial *partial = realloc(conn->partial, sizeof *partial + kept);
    if (!partial)
        return false;
    partial->parser = server->parser;
    partial->in_body = server->in_body;
    partial->len = partial->used = kept; /* all has been looked at */
    memcpy(partial->bytes, bytes, kept);
    conn->partial = partial;
    return true;
}

static void next_request(struct null_server *server)
{
    pf__http_parser_start(&server->parser, PF_HTTP_REQUEST, false);
    server->in_body = false;
}

static enum kind kind_of(const struct pf_http_parser *parser)
{
    bool head = parser->method == PF_HTTP_HEAD;
    if (parser->keep_alive)
        return head ? ANSWER_HEAD : ANSWER;
    return head ? LAST_HEAD : LAST;
}

/* Parse it on. Returns PF_HTTP_DONE, PF_HTTP_MORE, or below 0: it is none. */
static int parse(struct null_server *server, const char *bytes, size_t len, size_t *used)
{
    for (;;) {
        struct pf_http_span body;
        int progress = pf__http_parser_run(&server->parser, bytes, len, used, &body);
        if (progress != PF_HTTP_HEAD_DONE && progress != PF_HTTP_BODY)
            return progress;
        server->in_body = true;
    }
}

/* in[0..len) is all that is known of a connection's requests; in[0..used) was parsed. */
static void serve(struct null_server *server, int fd, size_t len, size_t used)
{
    struct conn *conn = &server->conns[fd];
    int64_t due_ns = server->options.delay_ns ? now_ns() + server->options.delay_ns : 0;
    const char *at = server->in;
    while (len > used) {
        int progress = parse(server, at, len, &used);
        if (progress == PF_HTTP_MORE && keep_partial(server, conn, at, len))
            break;
        if (progress == PF_HTTP_MORE) {
            close_conn(server, fd);
            return;
        }
        free(conn->partial);
        conn->partial = NULL;
        if (!take(server, fd, progress < 0 ? BAD : kind_of(&server->parser), due_ns))
            return;
        if (progress < 0)
            break;
        at += used;
        len -= used;
        used = 0;
        next_request(server);
    }
    if (server->batch_count)
        (void)flush(server, fd);
}

static void on_readable(struct null_server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    struct partial *partial = conn->partial;
    size_t len = 0, used = 0;
    if (partial) {
        server->parser = partial->parser;
        server->in_body = partial->in_body;
        memcpy(server->in, partial->bytes, partial->len);
        len = partial->len;
        used = partial->used;
    } else {
        next_request(server);
    }
    ssize_t n = recv(fd, server->in + len, sizeof server->in - len, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            close_conn(server, fd);
        return;
    }
    if (!server->first_ns) {
        server->first_ns = now_ns();
        stand_still(server);
    }
    serve(server, fd, len + (size_t)n, used);
}

static int on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct null_server *server = arg;
    (void)loop, (void)events;
    stand_still(server);
    if (server->conns[fd].pending)
        on_writable(server, fd);
    else
        on_readable(server, fd);
    return 0;
}

static void on_connection(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                          void *arg)
{
    struct null_server *server = arg;
    (void)acceptor, (void)peer;
    stand_still(server);
    if ((size_t)fd >= server->conns_max ||
        pf_loop_add_handler(server->loop, fd, PF_READ, on_ready, server) != 0) {
        close(fd);
        return;
    }
    server->connections++;
}

/* ---- life ------------------------------------------------------------------------ */

/* RFC 9110 6.4.1: these have no body, and 204 has no length either. */
static bool has_body(unsigned status)
{
    return status != 204 && status != 304;
}

static int make_answer(struct null_server *server, enum kind kind, unsigned status,
                       size_t body)
{
    char length[64] = "";
    if (has_body(status))
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body);
    else
        body = 0;
    char *text = malloc(HEAD_ROOM + body);
    if (!text)
        return -ENOMEM;
    int head = snprintf(text, HEAD_ROOM, "HTTP/1.1 %u%s\r\n%s%s\r\n", status,
                        status == 200 ? " OK" : " ", length,
                        kind >= LAST ? "Connection: close\r\n" : "");
    for (size_t i = 0; i < body; i++)
        text[(size_t)head + i] = (char)('a' + i % 26);
    server->text[kind] = text;
    server->answer[kind] = (struct iovec){text, (size_t)head + body};
    if (kind != BAD)
        server->answer[kind + 1] = (struct iovec){text, (size_t)head};
    return 0;
}

static int make_conns(struct null_server *server)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -errno;
    server->conns_max = limit.rlim_cur;
    server->conns = calloc(server->conns_max, sizeof *server->conns);
    return server->conns ? 0 : -ENOMEM;
}

static int make_acceptors(struct null_server *server)
{
    const struct null_server_options *options = &server->options;
    struct pf_acceptor_options how = {
        .mode = PF_ACCEPT_OWN, .fn = on_connection, .arg = server};
    int err = 0;
    for (size_t i = 0; !err && i < options->listener_count && i < PF_ADDRESSES_MAX; i++) {
        err = pf_acceptor_new(server->loop, options->listeners[i], &how,
                              &server->acceptors[i]);
        server->acceptor_count += err == 0;
    }
    return err;
}

int null_server_new(pf_loop *loop, const struct null_server_options *options,
                    struct null_server **out)
{
    struct null_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->options = *options;
    int err = make_answer(server, ANSWER, options->status, options->body);
    if (!err)
        err = make_answer(server, LAST, options->status, options->body);
    if (!err)
        err = make_answer(server, BAD, 400, 0);
    if (!err)
        err = make_conns(server);
    if (!err)
        err = make_acceptors(server);
    if (err) {
        null_server_free(server);
        return err;
    }
    *out = server;
    return 0;
}

/* Its connections end with the loop: pf_loop_close() closes what is registered. */
void null_server_free(struct null_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < server->acceptor_count; i++)
        pf_acceptor_free(server->acceptors[i]);
    for (size_t i = 0; server->conns && i < server->conns_max; i++) {
        free(server->conns[i].partial);
        free(server->conns[i].pending);
    }
    for (size_t i = 0; i < KINDS; i++)
        free(server->text[i]);
    free(server->conns);
    free(server->queue);
    free(server);
}

uint64_t null_server_answers(const struct null_server *server)
{
    return server->answers;
}

uint64_t null_server_connections(const struct null_server *server)
{
    return server->connections;
}
