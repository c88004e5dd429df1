/*
 * conn.c - buffered connections; see conn.h.
 *
 * Reading order: conn_on_ready() is all that the loop calls; on_readable() → feed() is the
 * hot path; settle() is what every way out of a callback ends in.
 *
 * A connection is always in exactly one of the lists of its pf_conns: the one of the
 * deadline that it waits for, or the one of those that wait for none. Within a list all
 * timeouts are the same, so appending keeps it in order.
 *
 * Callbacks may end any connection, their own included: ending closes the descriptor at
 * once, and the memory goes when no callback of that connection is running any more.
 */
#include "net/conn.h"

#include "loop/assert.h"
#include "loop/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Lists behind the protocol's deadline classes. */
enum {
    LIST_STALL = PF_CONN_CLASSES_MAX, /* output is blocked */
    LIST_LINGER,
    LIST_DUE,   /* input stands, to be shown in the next turn */
    LIST_PROBE, /* the peer has finished sending, and the protocol waits for nothing */
    LIST_NONE,  /* no deadline */
    LISTS,
};

enum {
    FIRST_BUFFER = 1024,
    STAGED_MAX = PF_CONN_READ_MAX / 4, /* more is not copied for the sake of one read */
    FILE_PIECE =
        2 * 1024 * 1024, /* what one sendfile(2) is asked for, and one turn sends */
};

struct buffer {
    size_t len, capacity;
    size_t at; /* output: bytes before it are sent */
    char bytes[];
};

/* On its way behind the output. */
struct file {
    int fd;
    off_t offset;
    uint64_t left;
};

struct pf_conn {
    pf_conns *conns;
    pf_conn *next, *prev; /* in its list */
    int64_t deadline_ns;
    struct buffer *in;  /* bytes that on_data has not used up; NULL: none */
    struct buffer *out; /* bytes that the peer does not take; NULL: none */
    struct file *file;  /* NULL: none */
    int fd;
    uint32_t linger_left; /* bytes that may still be dropped */
    uint32_t visited;     /* by pf_conns_each() */
    uint8_t state;        /* enum pf_conn_state */
    uint8_t class;        /* what the protocol waits for: a class, or LIST_NONE */
    uint8_t list;         /* where it is now */
    uint8_t watched;      /* PF_READ, PF_WRITE or 0, as the loop knows it */
    uint8_t busy;         /* callbacks that run */
    bool eof;
    bool linger;
    bool held;   /* input is not shown */
    bool due;    /* what stands is shown in the next turn */
    bool anyway; /* be it nothing */
    max_align_t protocol_state[];
};

struct list {
    pf_conn *first, *last;
};

struct pf_conns {
    pf_loop *loop;
    uint64_t cookie; /* of the process that made them: loop/guard.h */
    struct pf_conns_options options;
    struct list lists[LISTS];
    int64_t timeouts_ns[LISTS];
    size_t count;
    pf_timer timer;
    int64_t timer_at; /* PF_NEVER: not armed */
    pf_conn *cursor;  /* pf_conns_each(): the next one */
    uint32_t visit;
    bool ignores_pipe_signal; /* this process, when they were made */
    pf_conn *owner; /* in whose callback the batch is being filled; NULL: nobody's */
    size_t batch_len;
    char batch[PF_CONN_BATCH_MAX];
    char input[PF_CONN_READ_MAX];
};

static pf_io_fn conn_on_ready;
static pf_callback_fn conns_on_timer;

/* ---- states ---------------------------------------------------------------------- */

static void set_state(pf_conn *conn, enum pf_conn_state to)
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

/* ---- lists and deadlines --------------------------------------------------------- */

static void unlist(pf_conn *conn)
{
    pf_conns *conns = conn->conns;
    struct list *list = &conns->lists[conn->list];
    if (conns->cursor == conn)
        conns->cursor = conn->next;
    *(conn->prev ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next ? &conn->next->prev : &list->last) = conn->prev;
}

static void append(pf_conn *conn, uint8_t to)
{
    struct list *list = &conn->conns->lists[to];
    conn->list = to;
    conn->next = NULL;
    conn->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = conn;
    list->last = conn;
}

/* Something waits for the peer to read. */
static bool is_blocked(const pf_conn *conn)
{
    return conn->out || conn->file;
}

static uint8_t list_for(const pf_conn *conn)
{
    if (is_blocked(conn))
        return LIST_STALL;
    if (conn->due && conn->state == PF_CONN_OPEN)
        return LIST_DUE;
    if (conn->state == PF_CONN_LINGERING)
        return LIST_LINGER;
    if (conn->state != PF_CONN_OPEN)
        return LIST_NONE;
    return conn->eof && conn->class == LIST_NONE ? LIST_PROBE : conn->class;
}

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
    unlist(conn);
    append(conn, list_for(conn));
    if (conn->list == LIST_NONE)
        return;
    conn->deadline_ns = now + conns->timeouts_ns[conn->list];
    if (conn->deadline_ns < conns->timer_at)
        arm_timer(conns, conn->deadline_ns);
}

static void restart_deadline(pf_conn *conn)
{
    restart_deadline_at(conn, pf_loop_now(conn->conns->loop));
}

/* The same, unless it waits for what it waited for. */
static void check_deadline(pf_conn *conn)
{
    if (conn->list != list_for(conn))
        restart_deadline(conn);
}

/* ---- the end --------------------------------------------------------------------- */

static void drop_file(pf_conn *conn)
{
    if (!conn->file)
        return;
    close(conn->file->fd);
    free(conn->file);
    conn->file = NULL;
}

static void release(pf_conn *conn)
{
    pf_conns *conns = conn->conns;
    int fd = ~conn->fd; /* as end() left it */
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

static void end(pf_conn *conn, int reason)
{
    pf_conns *conns = conn->conns;
    set_state(conn, PF_CONN_CLOSED);
    if (is_blocked(conn)) /* output is lost */
        close_by_reset(conn);
    if (pf_loop_remove_and_close(conns->loop, conn->fd) != 0)
        close(conn->fd);
    conn->fd = ~conn->fd; /* negative: closed, and its number is still to be told */
    drop_file(conn);
    unlist(conn);
    conns->count--;
    conn->busy++;
    if (conns->options.protocol->on_close)
        conns->options.protocol->on_close(conn, reason);
    if (--conn->busy == 0)
        release(conn);
}

/* A callback may fork and return in the child too, into our midst. There the connection is
 * still the parent's: nothing may be sent, shut down or told. */
static bool is_inherited(const pf_conn *conn)
{
    return !pf__process_is(conn->conns->cookie);
}

/* ---- what the loop watches ------------------------------------------------------- */

static bool wants_input(const pf_conn *conn)
{
    bool is_full =
        conn->held && conn->in && conn->in->len >= conn->conns->options.input_max;
    return conn->state == PF_CONN_OPEN && !conn->eof && !is_full;
}

static void watch(pf_conn *conn)
{
    unsigned events = 0;
    if (is_blocked(conn))
        events = PF_WRITE;
    else if (conn->state == PF_CONN_LINGERING || wants_input(conn))
        events = PF_READ;
    if (events == conn->watched)
        return;
    int err = pf_loop_update_handler(conn->conns->loop, conn->fd, events);
    if (err)
        end(conn, err);
    else
        conn->watched = (uint8_t)events;
}

/* Everything is out: say good-bye, or be gone. */
static void finish(pf_conn *conn)
{
    if (!conn->linger) {
        end(conn, 0);
        return;
    }
    (void)shutdown(conn->fd, SHUT_WR); /* ENOTCONN: gone, which reading will tell */
    set_state(conn, PF_CONN_LINGERING);
    conn->linger_left = PF_CONN_LINGER_BYTES;
    check_deadline(conn);
    watch(conn);
}

/* After any callback, and after any event: bring list, watch and state in line. The last
 * thing done to a connection, which may be gone afterwards. */
static void settle(pf_conn *conn)
{
    if (conn->busy || is_inherited(conn))
        return; /* whoever runs it will; in the other case, the parent */
    if (conn->state == PF_CONN_CLOSED) {
        release(conn);
    } else if (conn->state == PF_CONN_FLUSHING && !is_blocked(conn)) {
        finish(conn);
    } else {
        check_deadline(conn);
        watch(conn);
    }
}

/* ---- output ---------------------------------------------------------------------- */

static struct buffer *grow(struct buffer *buffer, size_t capacity)
{
    struct buffer *grown = realloc(buffer, sizeof *buffer + capacity);
    if (!grown)
        return NULL;
    if (!buffer)
        grown->len = grown->at = 0;
    grown->capacity = capacity;
    return grown;
}

/* Keep what the peer does not take. */
static int keep_output(pf_conn *conn, const char *data, size_t len)
{
    struct buffer *out = conn->out;
    if (out && out->at) { /* room in front first */
        memmove(out->bytes, out->bytes + out->at, out->len - out->at);
        out->len -= out->at;
        out->at = 0;
    }
    size_t needed = (out ? out->len : 0) + len;
    if (!out || needed > out->capacity) {
        size_t capacity = out ? out->capacity * 2 : FIRST_BUFFER;
        out = grow(out, capacity > needed ? capacity : needed);
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
        end(conn, (int)n);
        return (int)n;
    }
    return 0;
}

/* The batch of the connection in whose callback we are; it may end here. flags: MSG_MORE if
 * more follows at once. */
static void flush_batch(pf_conn *conn, int flags)
{
    pf_conns *conns = conn->conns;
    size_t len = conns->batch_len;
    conns->batch_len = 0;
    if (len && conn->state != PF_CONN_CLOSED)
        (void)send_or_keep(conn, conns->batch, len, flags);
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
    if (conns->owner != conn || is_blocked(conn))
        return false;
    if (conns->batch_len + len > PF_CONN_BATCH_MAX)
        flush_batch(conn, 0);
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
    if (conn->busy == 1 && conn->out && conn->state == PF_CONN_OPEN)
        watch(conn); /* may fail and end it: before settle() lets go of it */
    conn->busy--;
    err = conn->state == PF_CONN_CLOSED ? -EPIPE : 0;
    settle(conn);
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
    return is_blocked(conn);
}

static bool ignores_pipe_signal(void)
{
    struct sigaction action;
    return sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* sendfile(2) has no MSG_NOSIGNAL: where SIGPIPE is not ignored, as it is in a worker, this
 * thread's is blocked meanwhile and taken back. */
static ssize_t send_quietly(const pf_conn *conn, struct file *file, size_t len)
{
    if (conn->conns->ignores_pipe_signal)
        return sendfile(conn->fd, file->fd, &file->offset, len);
    sigset_t pipe_signal, before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t n = sendfile(conn->fd, file->fd, &file->offset, len);
    int err = errno;
    if (n == -1 && err == EPIPE && !sigismember(&before, SIGPIPE))
        (void)sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return n;
}

/* Send of the file what the peer takes, within a turn's share. Returns 0 or the reason of
 * the end that the connection is then to meet. */
static int send_file(pf_conn *conn)
{
    struct file *file = conn->file;
    size_t piece = file->left < FILE_PIECE ? (size_t)file->left : FILE_PIECE;
    ssize_t n = send_quietly(conn, file, piece);
    if (n == 0)
        return -EIO; /* it has become shorter */
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    file->left -= (uint64_t)n;
    if (file->left == 0)
        drop_file(conn);
    return 0;
}

static int begin_file(pf_conn *conn, int fd, uint64_t offset, uint64_t len)
{
    struct file *file = len ? malloc(sizeof *file) : NULL;
    if (!file) {
        close(fd);
        return len ? -ENOMEM : 0;
    }
    *file = (struct file){.fd = fd, .offset = (off_t)offset, .left = len};
    conn->busy++;
    if (conn->conns->owner == conn)
        flush_batch(conn, MSG_MORE);
    conn->file = file;
    int err = conn->state == PF_CONN_CLOSED ? -EPIPE : 0;
    if (err)
        drop_file(conn);
    else if (!conn->out)
        err = send_file(conn);
    if (err && conn->state != PF_CONN_CLOSED)
        end(conn, err);
    if (conn->busy == 1 && is_blocked(conn) && conn->state == PF_CONN_OPEN)
        watch(conn);
    conn->busy--;
    err = conn->state == PF_CONN_CLOSED ? -EPIPE : 0;
    settle(conn);
    return err;
}

int pf_conn_send_file(pf_conn *conn, int fd, uint64_t offset, uint64_t len)
{
    int err = pf_loop_check(conn->conns->loop);
    if (!err && conn->state != PF_CONN_OPEN)
        err = -EPIPE;
    if (!err && conn->file)
        err = -EBUSY;
    if (err) {
        close(fd);
        return err;
    }
    return begin_file(conn, fd, offset, len);
}

/* ---- input ----------------------------------------------------------------------- */

/* Bracket a callback: what it writes is one batch; what it ends is freed behind it. */
static void enter(pf_conn *conn)
{
    conn->busy++;
    conn->conns->owner = conn;
}

static void leave(pf_conn *conn)
{
    if (is_inherited(conn))
        conn->conns->batch_len = 0; /* the parent sends it */
    else
        flush_batch(conn, 0);
    conn->conns->owner = NULL;
    conn->busy--;
}

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
        struct buffer *in = grow(conn->in, len < FIRST_BUFFER ? FIRST_BUFFER : len);
        if (!in)
            return -ENOMEM;
        conn->in = in;
    }
    memmove(conn->in->bytes, data, len);
    conn->in->len = len;
    return 0;
}

/* Show the protocol all that stands. The connection may be CLOSED afterwards, not freed. */
static void feed(pf_conn *conn, const char *data, size_t len)
{
    pf_conns *conns = conn->conns;
    enter(conn);
    size_t used = conns->options.protocol->on_data(conn, data, len);
    leave(conn);
    if (conn->state != PF_CONN_OPEN || is_inherited(conn))
        return;
    pf_assert(used <= len);
    if (used == len && !conn->in)
        return; /* nothing stands, and nothing did */
    conn->busy++;
    int err = keep_input(conn, data + used, len - used);
    if (!err && used == 0 && len >= conns->options.input_max && !is_blocked(conn) &&
        !conn->held)
        err = -ENOBUFS;
    if (err)
        end(conn, err);
    conn->busy--;
}

/* Where the next bytes go: into the shared buffer, behind a copy of what little stands, so
 * that a read is large whatever the last one left over; else behind those that stand. */
static int input_room(pf_conn *conn, char **at, size_t *room)
{
    struct buffer *in = conn->in;
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
        in = grow(in, capacity);
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
        set_state(conn, PF_CONN_FLUSHING);
        return;
    }
    enter(conn);
    on_eof(conn);
    leave(conn);
}

/* Input has come: for the protocol, or to stand until it may be shown. */
static void show(pf_conn *conn, const char *data, size_t len)
{
    if (!conn->held) {
        feed(conn, data, len);
        return;
    }
    conn->busy++;
    int err = keep_input(conn, data, len);
    if (err)
        end(conn, err);
    conn->busy--;
}

/* Read once: a short read is the end of what there is. Returns 1 if something came, 0 if
 * nothing did, or the reason of the end, which the connection has then met. */
static int on_readable(pf_conn *conn)
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
        end(conn, err);
        conn->busy--;
        return err;
    }
    size_t kept = conn->in ? conn->in->len : 0;
    if (n == 0 && conn->eof) { /* said before; now there is nobody to read either */
        conn->busy++;
        end(conn, -ECONNRESET);
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

static uint64_t to_send(const pf_conn *conn)
{
    return (conn->out ? conn->out->len - conn->out->at : 0) +
           (conn->file ? conn->file->left : 0);
}

/* Returns 0 or the reason of the end. */
static int send_kept(pf_conn *conn)
{
    struct buffer *out = conn->out;
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
        enter(conn);
        fn(conn);
        leave(conn);
    }
    if (conn->state == PF_CONN_OPEN && conn->in && !conn->held && !is_blocked(conn) &&
        !is_inherited(conn))
        feed(conn, conn->in->bytes, conn->in->len);
}

/* The peer reads again. */
static void on_writable(pf_conn *conn)
{
    uint64_t waited = to_send(conn);
    int err = conn->out ? send_kept(conn) : 0;
    if (!err && !conn->out && conn->file)
        err = send_file(conn);
    if (err) {
        conn->busy++;
        end(conn, err);
        conn->busy--;
        return;
    }
    if (to_send(conn) < waited)
        restart_deadline(conn); /* progress */
    if (!is_blocked(conn))
        on_drained(conn);
}

/* Said all, heard enough: drop what still comes, so that the last answer is not lost to a
 * reset (RFC 9112, section 9.6). */
static void on_lingering(pf_conn *conn)
{
    ssize_t n = recv(conn->fd, conn->conns->input, PF_CONN_READ_MAX, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && (size_t)n < conn->linger_left) {
        conn->linger_left -= (uint32_t)n;
        return;
    }
    conn->busy++;
    end(conn, 0); /* the peer is through, or too talkative */
    conn->busy--;
}

static int conn_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    pf_conn *conn = arg;
    if (is_blocked(conn))
        on_writable(conn);
    else if (conn->state == PF_CONN_LINGERING)
        on_lingering(conn);
    else
        (void)on_readable(conn);
    settle(conn);
    return 0;
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
    if (is_blocked(conn) || conn->eof || conn->held)
        return 0;
    int got = on_readable(conn);
    settle(conn);
    return got;
}

size_t pf_conn_pending(const pf_conn *conn)
{
    return conn->in ? conn->in->len : 0;
}

/* ---- deadlines ------------------------------------------------------------------- */

static void show_what_stands(pf_conn *conn)
{
    if (conn->in && !conn->held)
        feed(conn, conn->in->bytes, conn->in->len);
    else if (conn->anyway && !conn->held)
        feed(conn, conn->conns->input, 0);
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
    if (list == LIST_LINGER) {
        end(conn, 0);
    } else if (list == LIST_DUE) {
        conn->due = false;
        restart_deadline(conn);
        show_what_stands(conn);
    } else if (list == LIST_PROBE && is_reset(conn)) {
        end(conn, -ECONNRESET);
    } else if (list == LIST_PROBE) {
        restart_deadline(conn);
    } else if (list == LIST_STALL || !on_deadline) {
        end(conn, -ETIMEDOUT);
    } else {
        conn->class = LIST_NONE; /* before the call, which may set another */
        restart_deadline(conn);
        enter(conn);
        on_deadline(conn);
        leave(conn);
    }
    conn->busy--;
    settle(conn);
}

static int conns_on_timer(pf_loop *loop, void *arg)
{
    pf_conns *conns = arg;
    int64_t now = pf_loop_now(loop), next = PF_NEVER;
    conns->timer = (pf_timer){0};
    conns->timer_at = PF_NEVER;
    for (int i = 0; i < LIST_NONE; i++)
        while (pf_loop_check(loop) == 0 &&
               conns->lists[i].first && /* on_deadline may fork */
               conns->lists[i].first->deadline_ns <= now)
            expire(conns->lists[i].first);
    for (int i = 0; i < LIST_NONE; i++)
        if (conns->lists[i].first && conns->lists[i].first->deadline_ns < next)
            next = conns->lists[i].first->deadline_ns;
    if (next < conns->timer_at)
        arm_timer(conns, next);
    return 0;
}

void pf_conn_set_deadline(pf_conn *conn, unsigned which)
{
    int64_t now = pf_loop_now(conn->conns->loop);
    if (now < 0 || conn->state != PF_CONN_OPEN) /* the guards */
        return;
    pf_assert(which < PF_CONN_CLASSES_MAX && conn->conns->timeouts_ns[which] > 0);
    conn->class = (uint8_t)which;
    if (!is_blocked(conn)) /* else when the peer reads again */
        restart_deadline_at(conn, now);
}

void pf_conn_clear_deadline(pf_conn *conn)
{
    if (pf_loop_check(conn->conns->loop) != 0 || conn->state != PF_CONN_OPEN)
        return;
    conn->class = LIST_NONE;
    check_deadline(conn);
}

void pf_conn_hold(pf_conn *conn)
{
    if (pf_loop_check(conn->conns->loop) != 0)
        return;
    conn->held = true;
    conn->due = false;
    settle(conn);
}

void pf_conn_go_on(pf_conn *conn, bool anyway)
{
    if (pf_loop_check(conn->conns->loop) != 0 || !conn->held)
        return;
    conn->held = false;
    conn->due = conn->in || anyway;
    conn->anyway = anyway;
    settle(conn);
}

/* ---- life ------------------------------------------------------------------------ */

int pf_conn_close(pf_conn *conn, bool linger)
{
    int err = pf_loop_check(conn->conns->loop);
    if (err)
        return err;
    if (conn->state != PF_CONN_OPEN)
        return 0;
    set_state(conn, PF_CONN_FLUSHING);
    conn->linger = linger;
    settle(conn);
    return 0;
}

int pf_conn_abort(pf_conn *conn, int reason)
{
    int err = pf_loop_check(conn->conns->loop);
    if (err)
        return err;
    if (conn->conns->owner == conn)
        flush_batch(conn, 0);
    if (conn->state != PF_CONN_CLOSED)
        end(conn, reason);
    return 0;
}

int pf_conn_reset(pf_conn *conn, int reason)
{
    if (pf_loop_check(conn->conns->loop) == 0 && conn->state != PF_CONN_CLOSED)
        close_by_reset(conn);
    return pf_conn_abort(conn, reason);
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
    conn->class = LIST_NONE;
    append(conn, LIST_NONE);
    conns->count++;
    if (out)
        *out = conn;
    return 0;
}

int pf_conns_new(pf_loop *loop, const struct pf_conns_options *options, pf_conns **out)
{
    int err = pf_loop_check(loop);
    if (err)
        return err;
    if (!options || !options->protocol || !options->protocol->on_data || !out)
        return -EINVAL;
    pf_conns *conns = malloc(sizeof *conns); /* the two buffers need no zeroing */
    if (!conns)
        return -ENOMEM;
    memset(conns, 0, offsetof(struct pf_conns, batch));
    conns->loop = pf_loop_ref(loop);
    conns->cookie = pf__process_cookie();
    conns->options = *options;
    conns->ignores_pipe_signal = ignores_pipe_signal();
    if (!conns->options.input_max)
        conns->options.input_max = PF_CONN_INPUT_MAX;
    if (!conns->options.output_max)
        conns->options.output_max = PF_CONN_OUTPUT_MAX;
    memcpy(conns->timeouts_ns, options->timeouts_ns, sizeof options->timeouts_ns);
    conns->timeouts_ns[LIST_STALL] = PF_CONN_STALL_NS;
    conns->timeouts_ns[LIST_LINGER] = PF_CONN_LINGER_NS;
    conns->timeouts_ns[LIST_PROBE] = PF_CONN_PROBE_NS;
    conns->timer_at = PF_NEVER;
    *out = conns;
    return 0;
}

/* In a child, or after the loop was closed: what is ours in this process, and no more. */
static void let_go(pf_conn *conn)
{
    unlist(conn);
    close(conn->fd);
    drop_file(conn);
    free(conn->in);
    free(conn->out);
    free(conn);
}

void pf_conns_free(pf_conns *conns)
{
    if (!conns)
        return;
    int err = pf_loop_check(conns->loop);
    if (err == -EPERM)
        return; /* a foreign thread: better leaked than freed under the loop's feet */
    bool usable = err == 0;
    for (int i = 0; i < LISTS; i++) {
        while (conns->lists[i].first) {
            if (usable)
                end(conns->lists[i].first, 0);
            else
                let_go(conns->lists[i].first);
        }
    }
    if (usable)
        (void)pf_loop_remove_timeout(conns->loop, conns->timer);
    pf_loop_unref(conns->loop);
    free(conns);
}

/* ---- looking in ------------------------------------------------------------------ */

size_t pf_conns_count(const pf_conns *conns)
{
    return conns->count;
}

/* fn may move connections between lists, end them, and so on: the cursor is kept right by
 * unlist(), and a mark tells the ones that moved behind it. */
void pf_conns_each(pf_conns *conns, void (*fn)(pf_conn *conn, void *arg), void *arg)
{
    if (pf_loop_check(conns->loop) != 0)
        return;
    conns->visit++;
    for (int i = 0; i < LISTS; i++) {
        conns->cursor = conns->lists[i].first;
        while (conns->cursor) {
            pf_conn *conn = conns->cursor;
            conns->cursor = conn->next;
            if (conn->visited != conns->visit) {
                conn->visited = conns->visit;
                fn(conn, arg);
            }
        }
    }
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
