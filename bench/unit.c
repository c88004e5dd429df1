#include "bench/client.h"

#include "http/parser.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Bytes read at once, behind what was kept of a head. */
#define READ_SIZE 65536

/* Connections in the making at once while setting up: well below any backlog. */
#define SETUP_AT_ONCE 64

/* The scan for timeouts and for connections to make again: SCANS_PER_TIMEOUT, within
 * limits. */
#define SCANS_PER_TIMEOUT 8
#define SCAN_LEAST        PF_MILLISECOND
#define SCAN_MOST         (100 * PF_MILLISECOND)
/* A scan that comes so late shows that this program stood still. */
#define SCAN_LATE (20 * PF_MILLISECOND)

enum conn_state {
    CONN_DOWN,
    CONN_CONNECTING,
    CONN_IDLE, /* nothing asked */
    CONN_BUSY, /* `owed` answers to come */
};

struct conn {
    struct client *client;
    enum conn_state state;
    int fd;
    bool tried;     /* the first attempt to connect has ended */
    bool blocked;   /* waits for PF_WRITE with `unsent` bytes */
    bool begun;     /* bytes of the answer that comes next are here */
    bool head_done; /* its head is complete */
    uint32_t owed;
    size_t unsent;    /* of the batch, at its end */
    int64_t since_ns; /* when the connect began, or the batch was sent */
    char *kept;       /* the beginning of a head, PF_HTTP_HEAD_MAX bytes once needed */
    size_t kept_len;
    struct pf_http_parser parser;
};

enum client_state {
    CLIENT_SETUP,
    CLIENT_READY,
    CLIENT_RUNNING,
    CLIENT_DONE,
};

struct client {
    struct client_share share;
    const struct plan *plan;
    pf_loop *loop;
    enum client_state state;
    uint64_t left;          /* requests to send yet */
    uint64_t owed;          /* of all connections */
    unsigned opened, tried; /* while setting up: connections begun, and ended */
    int64_t alive_ns;       /* when a connection stood last, as far as is known */
    int64_t made_ns;        /* start of the set-up */
    int64_t used_ns;        /* of the thread, when the measurement began */
    int64_t scan_at_ns;     /* when the next scan is due */
    bool scan_was_late;
    _Atomic uint64_t answers, failures;
    struct tally tally;
    char buffer[PF_HTTP_HEAD_MAX + READ_SIZE];
    struct conn conns[];
};

static pf_io_fn conn_on_event;
static pf_callback_fn client_on_scan, client_on_time_over;

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

static int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* What this thread has had of a CPU and what it has waited for one: either is time in which
 * it could not take in an answer. Source: Documentation/scheduler/sched-stats.rst. */
static int64_t used_ns(void)
{
    char text[96] = "";
    long long ran, waited;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n > 0 && sscanf(text, "%lld %lld", &ran, &waited) == 2)
        return ran + waited;
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

/* One writer: no locked instruction is needed. */
static void count_up(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* ---- one connection -------------------------------------------------------------- */

static void count_error(struct conn *conn, enum tally_phase phase, enum tally_when when,
                        int error, uint64_t count)
{
    struct tally_error entry = {phase, when, error, count, now_ns()};
    tally_error(&conn->client->tally, &entry);
    if (when != TALLY_IDLE)
        count_up(&conn->client->failures, count);
}

/* Count what a connection that breaks now takes with it. */
static void count_broken(struct conn *conn, enum tally_phase phase, int error)
{
    uint32_t owed = conn->owed;
    if (owed == 0) {
        count_error(conn, phase, TALLY_IDLE, error, 1);
        return;
    }
    if (conn->begun) {
        count_error(conn, phase, TALLY_PARTIAL, error, 1);
        owed--;
    }
    if (owed)
        count_error(conn, phase, TALLY_SENT, error, owed);
}

static void conn_close(struct conn *conn)
{
    if (conn->state == CONN_DOWN)
        return;
    pf_loop_remove_handler(conn->client->loop, conn->fd);
    close(conn->fd);
    conn->client->owed -= conn->owed;
    conn->owed = 0;
    conn->state = CONN_DOWN;
}

static void conn_tried(struct conn *conn)
{
    if (conn->tried)
        return;
    conn->tried = true;
    conn->client->tried++;
}

/* A connect failed; the next scan tries again. */
static void conn_fail_open(struct conn *conn, int error)
{
    count_error(conn, TALLY_CONNECT, TALLY_OPENING, error, 1);
    conn_close(conn);
    conn_tried(conn);
}

/* Returns a connecting socket or a negative errno. */
static int open_socket(const struct pf_address *to)
{
    int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a hint */
    if (connect(fd, (const struct sockaddr *)&to->storage, to->len) == 0 ||
        errno == EINPROGRESS)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

static void conn_open(struct conn *conn)
{
    conn->since_ns = now_ns();
    int fd = open_socket(&conn->client->plan->target);
    if (fd < 0) {
        conn_fail_open(conn, -fd);
        return;
    }
    int err = pf_loop_add_handler(conn->client->loop, fd, PF_WRITE, conn_on_event, conn);
    if (err) {
        close(fd);
        conn_fail_open(conn, -err);
        return;
    }
    conn->fd = fd;
    conn->state = CONN_CONNECTING;
}

static void conn_reopen(struct conn *conn)
{
    conn_close(conn);
    if (conn->client->state == CLIENT_RUNNING && conn->client->left)
        conn_open(conn);
}

static void conn_break(struct conn *conn, enum tally_phase phase, int error)
{
    count_broken(conn, phase, error);
    conn_reopen(conn);
}

static void conn_send(struct conn *conn)
{
    const struct plan *plan = conn->client->plan;
    ssize_t sent = send(conn->fd, plan->batch + plan->batch_len - conn->unsent,
                        conn->unsent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        conn_break(conn, TALLY_WRITE, errno);
        return;
    }
    if (sent > 0) {
        conn->unsent -= (size_t)sent;
        conn->client->tally.bytes_out += (uint64_t)sent;
    }
    bool blocked = conn->unsent > 0;
    if (blocked == conn->blocked)
        return;
    conn->blocked = blocked;
    int err = pf_loop_update_handler(conn->client->loop, conn->fd,
                                     blocked ? PF_READ | PF_WRITE : PF_READ);
    if (err)
        conn_break(conn, TALLY_WRITE, -err);
}

static void expect_answer(struct conn *conn)
{
    conn->begun = conn->head_done = false;
    conn->kept_len = 0;
    pf__http_parser_start(&conn->parser, PF_HTTP_RESPONSE, false);
}

/* Send the next batch, if there is one to send. */
static void conn_ask(struct conn *conn)
{
    struct client *client = conn->client;
    uint64_t count = client->plan->pipeline;
    if (count > client->left)
        count = client->left;
    if (client->state != CLIENT_RUNNING || count == 0) {
        conn->state = CONN_IDLE;
        return;
    }
    client->left -= count;
    client->owed += count;
    conn->owed = (uint32_t)count;
    conn->unsent = count * client->plan->request_len;
    conn->state = CONN_BUSY;
    conn->since_ns = now_ns();
    conn_send(conn);
}

static void conn_established(struct conn *conn, unsigned events)
{
    struct client *client = conn->client;
    int error = 0;
    socklen_t len = sizeof error;
    if (events & PF_ERROR)
        (void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len); /* own descriptor */
    if (!error)
        error = -pf_loop_update_handler(client->loop, conn->fd, PF_READ);
    if (error) {
        conn_fail_open(conn, error);
        return;
    }
    client->alive_ns = now_ns();
    hdr_record(&client->tally.connect, client->alive_ns - conn->since_ns, 1);
    conn->blocked = false;
    expect_answer(conn);
    conn_tried(conn);
    conn_ask(conn);
}

/* A complete response. False if the connection ended with it. */
static bool conn_answered(struct conn *conn, int64_t now)
{
    struct client *client = conn->client;
    if (conn->parser.status < 200) { /* interim: the answer follows, RFC 9110 15.2 */
        expect_answer(conn);
        return true;
    }
    tally_answer(&client->tally, conn->parser.status, now - conn->since_ns);
    count_up(&client->answers, 1);
    conn->owed--;
    client->owed--;
    conn->begun = false;
    /* An answer to a request that is not even sent: what is left of it would be garbage. */
    bool too_early = conn->owed == 0 && conn->unsent > 0;
    if (!conn->parser.keep_alive || too_early) {
        if (conn->owed)
            count_broken(conn, TALLY_READ, 0);
        conn_reopen(conn);
        return false;
    }
    expect_answer(conn);
    return true;
}

/* Keep the beginning of a head until the rest comes. */
static int keep_head(struct conn *conn, const char *bytes, size_t len)
{
    if (len > PF_HTTP_HEAD_MAX)
        return -EMSGSIZE;
    if (!conn->kept && !(conn->kept = malloc(PF_HTTP_HEAD_MAX)))
        return -ENOMEM;
    memcpy(conn->kept, bytes, len);
    conn->kept_len = len;
    return 0;
}

/* Go through bytes[0..len), of which the first kept_len were parsed before. */
static void conn_parse(struct conn *conn, const char *bytes, size_t len, int64_t now)
{
    size_t at = 0, used = conn->kept_len;
    struct pf_http_span body;
    conn->kept_len = 0;
    while (at < len) {
        if (conn->owed == 0) { /* nobody asked */
            conn_break(conn, TALLY_PARSE, EPROTO);
            return;
        }
        conn->begun = true;
        int step = pf__http_parser_run(&conn->parser, bytes + at, len - at, &used, &body);
        if (step < 0) {
            conn_break(conn, TALLY_PARSE, EBADMSG);
            return;
        }
        if (step == PF_HTTP_HEAD_DONE)
            conn->head_done = true;
        if (step == PF_HTTP_MORE) {
            int err = conn->head_done ? 0 : keep_head(conn, bytes + at, len - at);
            if (err)
                conn_break(conn, TALLY_PARSE, -err);
            return;
        }
        if (step == PF_HTTP_DONE) {
            at += used;
            used = 0;
            if (!conn_answered(conn, now))
                return;
        }
    }
    if (conn->owed == 0)
        conn_ask(conn);
}

/* The peer closed (error 0), or the connection failed. */
static void conn_ended(struct conn *conn, int error, int64_t now)
{
    if (error == 0 && conn->head_done &&
        pf__http_parser_eof(&conn->parser) == PF_HTTP_DONE) {
        conn->parser.keep_alive = false; /* a body that lasts until the close */
        (void)conn_answered(conn, now);  /* false: it is closed */
        return;
    }
    conn_break(conn, TALLY_READ, error);
}

static void conn_read(struct conn *conn)
{
    char *buffer = conn->client->buffer;
    if (conn->kept_len)
        memcpy(buffer, conn->kept, conn->kept_len);
    ssize_t got = recv(conn->fd, buffer + conn->kept_len, READ_SIZE, 0);
    int error = got < 0 ? errno : 0;
    if (error == EAGAIN)
        return;
    int64_t now = now_ns();
    if (got <= 0) {
        conn_ended(conn, error, now);
        return;
    }
    conn->client->tally.bytes_in += (uint64_t)got;
    conn_parse(conn, buffer, conn->kept_len + (size_t)got, now);
}

/* ---- all of them ----------------------------------------------------------------- */

static void client_finish(struct client *client)
{
    int64_t now = now_ns();
    struct tally *tally = &client->tally;
    if (client->state == CLIENT_RUNNING) {
        tally->ended_ns = now;
        int64_t wall = now_ns() - tally->began_ns;
        double busy = (double)(used_ns() - client->used_ns) / (double)(wall + 1);
        if (tally->service.count + tally->refused.count) /* else it had nothing to do */
            tally->busy = busy < 1 ? busy : 1;
        if (client->plan->requests)
            tally->unsent = client->left;
    }
    for (unsigned i = 0; i < client->share.connections; i++) {
        const struct conn *conn = &client->conns[i];
        if (conn->owed && now - conn->since_ns > tally->oldest_ns)
            tally->oldest_ns = now - conn->since_ns;
        tally->unfinished += conn->owed;
    }
    client->state = CLIENT_DONE;
    (void)pf_loop_stop(client->loop); /* our own running loop: cannot fail */
    client->share.on_done(client->share.arg);
}

/* None was made and one failed: trying the rest would only take longer to say the same. */
static bool is_hopeless(const struct client *client)
{
    return client->tally.connect.count == 0 && client->tally.error_count > 0;
}

static void open_more(struct client *client)
{
    while (client->opened < client->share.connections && !is_hopeless(client) &&
           client->opened - client->tried < SETUP_AT_ONCE)
        conn_open(&client->conns[client->opened++]);
}

/* After each event: go on to the next state if its time has come. */
static void client_settle(struct client *client)
{
    if (client->state == CLIENT_SETUP) {
        open_more(client);
        if (client->tried == client->opened) {
            client->state = CLIENT_READY;
            client->tally.setup_ns = now_ns() - client->made_ns;
            client->share.on_ready(client->share.arg);
        }
    } else if (client->state == CLIENT_RUNNING && client->left == 0 && client->owed == 0) {
        client_finish(client);
    }
}

static int conn_on_event(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop;
    (void)fd;
    struct conn *conn = arg;
    if (conn->client->state == CLIENT_DONE)
        return 0;
    if (conn->state == CONN_CONNECTING)
        conn_established(conn, events);
    else if (events & (PF_READ | PF_ERROR))
        conn_read(conn);
    else
        conn_send(conn);
    client_settle(conn->client);
    return 0;
}

static void conn_expire(struct conn *conn)
{
    struct client *client = conn->client;
    if (conn->state == CONN_CONNECTING) {
        conn_fail_open(conn, ETIMEDOUT);
        return;
    }
    hdr_record(&client->tally.service, now_ns() - conn->since_ns, conn->owed);
    conn_break(conn, TALLY_TIMEOUT, ETIMEDOUT);
}

static void conn_scan(struct conn *conn, int64_t now, bool may_expire)
{
    struct client *client = conn->client;
    switch (conn->state) {
    case CONN_DOWN:
        if (client->state == CLIENT_RUNNING && client->left)
            conn_open(conn);
        break;
    case CONN_CONNECTING:
    case CONN_BUSY:
        if (may_expire && now - conn->since_ns > client->plan->timeout_ns)
            conn_expire(conn);
        break;
    case CONN_IDLE:
        break;
    }
}

static int scan_again(struct client *client)
{
    int64_t pause = client->plan->timeout_ns / SCANS_PER_TIMEOUT;
    if (pause < SCAN_LEAST)
        pause = SCAN_LEAST;
    if (pause > SCAN_MOST)
        pause = SCAN_MOST;
    client->scan_at_ns = now_ns() + pause;
    return pf_loop_call_later(client->loop, pause, client_on_scan, client, NULL);
}

/* After a stall of our own, answers may stand in the sockets, unread: the poll comes behind
 * the timers. So a scan that is late judges nobody, and leaves it to the next, late or not.
 */
static bool scan_may_expire(struct client *client, int64_t now)
{
    int64_t late = now - client->scan_at_ns;
    if (client->state == CLIENT_RUNNING && late > client->tally.stall_ns)
        client->tally.stall_ns = late;
    client->scan_was_late = late > SCAN_LATE && !client->scan_was_late;
    return !client->scan_was_late;
}

static int client_on_scan(pf_loop *loop, void *arg)
{
    (void)loop;
    struct client *client = arg;
    if (client->state == CLIENT_DONE)
        return 0;
    int64_t now = now_ns();
    bool may_expire = scan_may_expire(client, now);
    if (client->owed)
        client->alive_ns = now;
    for (unsigned i = 0; i < client->share.connections; i++)
        conn_scan(&client->conns[i], now, may_expire);
    client_settle(client);
    /* A number of requests would never be reached if the server has gone for good. */
    if (client->state == CLIENT_RUNNING && client->plan->requests && client->owed == 0 &&
        now - client->alive_ns > client->plan->timeout_ns)
        client_finish(client);
    return scan_again(client);
}

static int client_on_time_over(pf_loop *loop, void *arg)
{
    (void)loop;
    struct client *client = arg;
    if (client->state == CLIENT_RUNNING)
        client_finish(client);
    return 0;
}

int client_on_stop(pf_loop *loop, void *arg)
{
    (void)loop;
    struct client *client = arg;
    if (client->state != CLIENT_DONE)
        client_finish(client);
    return 0;
}

int client_on_go(pf_loop *loop, void *arg)
{
    struct client *client = arg;
    if (client->state != CLIENT_READY)
        return 0;
    client->state = CLIENT_RUNNING;
    client->used_ns = used_ns();
    client->tally.began_ns = client->alive_ns = now_ns();
    for (unsigned i = 0; i < client->share.connections; i++) {
        struct conn *conn = &client->conns[i];
        if (conn->state == CONN_IDLE)
            conn_ask(conn);
        else if (conn->state == CONN_DOWN)
            conn_open(conn);
    }
    client_settle(client);
    if (client->plan->requests)
        return 0;
    return pf_loop_call_later(loop, client->plan->duration_ns, client_on_time_over, client,
                              NULL);
}

/* ---- life ------------------------------------------------------------------------ */

int client_new(const struct client_share *share, struct client **out)
{
    struct client *client =
        calloc(1, sizeof *client + share->connections * sizeof client->conns[0]);
    if (!client)
        return -ENOMEM;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.make_current = PF_CURRENT_NEVER;
    /* What fails here is a timer that cannot be set: the run would never end. */
    options.error_policy = PF_ERROR_STOP;
    int err = pf_loop_new(&options, &client->loop);
    if (err) {
        free(client);
        return err;
    }
    client->share = *share;
    client->plan = share->plan;
    client->left = share->plan->requests ? share->requests : UINT64_MAX;
    for (unsigned i = 0; i < share->connections; i++)
        client->conns[i].client = client;
    tally_init(&client->tally);
    *out = client;
    return 0;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    pf_loop_unref(client->loop);
    for (unsigned i = 0; i < client->share.connections; i++)
        free(client->conns[i].kept);
    free(client);
}

pf_loop *client_loop(struct client *client)
{
    return client->loop;
}

int client_run(struct client *client)
{
    int err = pf_loop_make_current(client->loop);
    if (err)
        return err;
    client->made_ns = now_ns();
    err = scan_again(client);
    if (err)
        return err;
    client_settle(client);
    err = pf_loop_start(client->loop);
    for (unsigned i = 0; i < client->share.connections; i++)
        conn_close(&client->conns[i]);
    (void)pf_loop_close(client->loop, false); /* ours and not running: cannot fail */
    return err;
}

const struct tally *client_tally(const struct client *client)
{
    return &client->tally;
}

uint64_t client_answers(const struct client *client)
{
    return atomic_load_explicit(&client->answers, memory_order_relaxed);
}

uint64_t client_failures(const struct client *client)
{
    return atomic_load_explicit(&client->failures, memory_order_relaxed);
}
