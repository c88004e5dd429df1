/* null_server.c - see null_server.h. */
#include "bench/null_server.h"

#include "bench/clock.h"
#include "bench/outbox.h"
#include "bench/owed.h"
#include "http/parser.h"
#include "net/acceptor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024 /* of requests at once, more than a head may have */
};

/* A request that has not come whole. */
struct partial {
    struct pf_http_parser parser;
    bool in_body;     /* its head is complete, and no longer kept */
    size_t len, used; /* bytes kept, and of these looked at */
    char bytes[];
};

struct conn {
    uint32_t generation; /* of the descriptor: tells a connection from the one before */
    bool closing;        /* when its answers are out */
    uint64_t answered;
    struct partial *partial;
    struct outbox *outbox; /* answers that the peer did not take at once */
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

    struct canned canned;
    struct owed_queue owed;

    struct iovec batch[OUTBOX_PIECES_MAX]; /* for the connection at hand */
    size_t batch_count;

    struct pf_http_parser parser; /* of the request at hand */
    bool in_body;
    char in[READ_SIZE];
};

static pf_io_fn on_ready;
static pf_callback_fn on_due;
static pf_accept_fn on_connection;

/* ---- standing still -------------------------------------------------------------- */

/*
 * Called by each handler before it does anything: in a stall all stands still, as it would
 * if the process hung. A signal ends it, for those that are handled end the server.
 */
static void stand_still(const struct null_server *server)
{
    if (!server->first_ns ||
        (!server->options.script.count && !server->options.script.every.for_ns))
        return;
    int64_t since = clock_ns() - server->first_ns;
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
    outbox_free(conn->outbox);
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

/* Send the batch. False: the connection is closed. */
static bool flush(struct null_server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    bool waited = conn->outbox != NULL;
    int left = outbox_send(&conn->outbox, fd, server->batch, server->batch_count);
    server->batch_count = 0;
    if (left < 0 || (left == 0 && conn->closing)) {
        close_conn(server, fd);
        return false;
    }
    return left == 0 || waited || watch(server, fd, PF_WRITE);
}

static void on_writable(struct null_server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    int left = outbox_resume(&conn->outbox, fd);
    if (left < 0 || (left == 0 && conn->closing))
        close_conn(server, fd);
    else if (left == 0)
        (void)watch(server, fd, PF_READ); /* closed: there is nothing more to do */
}

/* ---- answers --------------------------------------------------------------------- */

/* Add an answer to the batch; behind a last one nothing more is answered. */
static void answer(struct null_server *server, int fd, enum canned_kind kind)
{
    const struct null_server_options *options = &server->options;
    struct conn *conn = &server->conns[fd];
    if (conn->closing)
        return;
    server->answers++;
    conn->answered++;
    if (options->garbage && server->answers % options->garbage == 0)
        kind = CANNED_GARBAGE;
    conn->closing = canned_is_last(kind) || conn->answered == options->close_after;
    server->batch[server->batch_count++] = server->canned.answer[kind];
}

static int arm(struct null_server *server)
{
    return pf_loop_call_at(server->loop, owed_due(&server->owed), on_due, server, NULL);
}

/* What is due, with one send for those of a connection that stand side by side. */
static int on_due(pf_loop *loop, void *arg)
{
    struct null_server *server = arg;
    (void)loop;
    stand_still(server);
    int64_t now = clock_ns();
    int fd = -1;
    while (owed_due(&server->owed) <= now) {
        struct owed owed = owed_take(&server->owed);
        if (fd >= 0 && (fd != owed.fd || server->batch_count == OUTBOX_PIECES_MAX))
            (void)flush(server, fd); /* closed: what else it was owed is passed over */
        fd = server->conns[owed.fd].generation == owed.generation ? owed.fd : -1;
        if (fd >= 0)
            answer(server, fd, owed.kind);
    }
    if (fd >= 0)
        (void)flush(server, fd);
    return server->owed.count ? arm(server) : 0;
}

static int owe(struct null_server *server, int fd, enum canned_kind kind, int64_t due_ns)
{
    int err = owed_push(&server->owed,
                        (struct owed){due_ns, fd, server->conns[fd].generation, kind});
    return err || server->owed.count > 1 ? err : arm(server);
}

/* A request is whole: answer it now, or when it is due. False: the connection is closed. */
static bool take(struct null_server *server, int fd, enum canned_kind kind, int64_t due_ns)
{
    if (!server->options.delay_ns) {
        answer(server, fd, kind);
        return server->batch_count < OUTBOX_PIECES_MAX || flush(server, fd);
    }
    if (owe(server, fd, kind, due_ns) == 0)
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

static enum canned_kind kind_of(const struct pf_http_parser *parser)
{
    bool head = parser->method == PF_HTTP_HEAD;
    if (parser->keep_alive)
        return head ? CANNED_HEAD : CANNED;
    return head ? CANNED_LAST_HEAD : CANNED_LAST;
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
    int64_t due_ns = server->options.delay_ns ? clock_ns() + server->options.delay_ns : 0;
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
        if (!take(server, fd, progress < 0 ? CANNED_BAD : kind_of(&server->parser), due_ns))
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
        server->first_ns = clock_ns();
        stand_still(server);
    }
    serve(server, fd, len + (size_t)n, used);
}

static int on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct null_server *server = arg;
    (void)loop, (void)events;
    stand_still(server);
    if (server->conns[fd].outbox)
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
    int err = canned_init(&server->canned, options->status, options->body);
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
        outbox_free(server->conns[i].outbox);
    }
    canned_fini(&server->canned);
    owed_free(&server->owed);
    free(server->conns);
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
