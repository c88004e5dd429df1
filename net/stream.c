/*
 * stream.c - buffered streams; see stream.h.
 *
 * Reading order: stream_on_ready() and stream_on_turn() are all that the loop calls; both
 * end in run(), the only place where callbacks are called, one after the other, as long as
 * one is due. What the program asks for is only noted down, and asked() sees to it that the
 * loop comes by.
 *
 * A stream keeps one timer for its whole life, which never comes: moving it to now cannot
 * fail, so what is due can always be told.
 *
 * Callbacks may close and free the stream: closing gives up the descriptor at once, the
 * memory goes when no callback runs any more. They may fork, too, and return in the child
 * into our midst: there the stream is still the parent's, and nothing is touched.
 */
#include <prefork/stream.h>

#include "loop/member.h"
#include "net/stream_buffer.h"
#include "net/transport.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum {
    READS_MAX = 16,     /* pieces read from one stream before others get their turn */
    CALLBACKS_MAX = 64, /* the same for callbacks */
    FIRST_PIECE = 1024, /* asked of the kernel at first; doubled when it was filled */
};

enum kind {
    READ_NONE,
    READ_UNTIL,
    READ_BYTES,
    READ_INTO,
    READ_TO_END,
    READ_CHUNKS,
};

struct read {
    enum kind kind;
    bool partial;
    bool endless; /* chunks: until the stream is closed */
    pf_stream_read_fn *fn, *on_chunk;
    void *arg;
    size_t n;        /* bytes wanted; until: the most that may be; chunks: still wanted */
    size_t searched; /* until: the delimiter does not begin before */
    char *into;
    size_t got; /* into */
    size_t delimiter_len;
    char delimiter[PF_STREAM_DELIMITER_MAX];
};

struct call { /* and its arg; fn NULL: nobody */
    pf_stream_fn *fn;
    void *arg;
};

/* A write whose function waits for its last byte. */
struct write {
    struct write *next;
    uint64_t end; /* of all bytes ever written */
    struct call call;
};

enum connecting {
    CONNECT_NONE, /* or never asked for */
    CONNECT_RUNS,
    CONNECT_DONE, /* to be told */
    CONNECT_TOLD,
};

struct pf_stream {
    struct pf__member member;
    struct pf__transport transport;
    struct pf_stream_options options;
    pf_timer timer;
    bool scheduled; /* the timer is due now */
    bool is_watched;
    unsigned watched; /* events, as the loop knows them */
    unsigned busy;    /* in run(), or in a call that must not be undercut */
    bool freed;
    bool closed, close_told;
    bool closes_when_written;
    int error;  /* why it closed */
    int failed; /* what a callback returned: the loop's to report */

    enum connecting connecting;
    struct call on_connect, on_close;
    struct read read;
    struct pf__stream_buffer in, out;
    size_t piece;
    uint64_t sent; /* bytes that are out, of all */
    struct write *writes, **last_write;
};

static pf_io_fn stream_on_ready;
static pf_callback_fn stream_on_turn;

/* ---- the loop's side ------------------------------------------------------------- */

static int check(const pf_stream *stream)
{
    return stream ? pf__member_check(&stream->member) : -EINVAL;
}

/* The loop closes the descriptor, whether by itself or because we say so. */
static void on_loop_closes(int fd, void *arg)
{
    pf_stream *stream = arg;
    (void)fd;
    stream->transport.ops->close(&stream->transport);
}

static void close_descriptor(pf_stream *stream)
{
    if (stream->transport.fd < 0)
        return;
    if (!stream->is_watched ||
        pf_loop_remove_and_close(stream->member.loop, stream->transport.fd) != 0)
        stream->transport.ops->close(&stream->transport);
    stream->is_watched = false;
    stream->watched = 0;
}

/* Have the loop call stream_on_turn(). */
static void schedule(pf_stream *stream)
{
    if (stream->scheduled)
        return;
    pf_loop *loop = stream->member.loop;
    stream->scheduled = pf_loop_update_timeout(loop, stream->timer, pf_loop_now(loop)) == 0;
}

static int park_timer(pf_stream *stream)
{
    int err = pf_loop_call_at_full(stream->member.loop, PF_NEVER, stream_on_turn, stream,
                                   NULL, PF_HERE, &stream->timer);
    if (!err)
        (void)pf_loop_describe_timeout(stream->member.loop, stream->timer, "stream");
    return err;
}

/* The last thing before its callbacks; a second end changes nothing. */
static void end(pf_stream *stream, int error)
{
    if (stream->closed)
        return;
    stream->closed = true;
    stream->error = error;
    close_descriptor(stream);
    pf__stream_buffer_fini(&stream->out);
    if (!stream->busy)
        schedule(stream);
}

/* ---- the read that is pending ---------------------------------------------------- */

static int until_ready(pf_stream *stream, size_t *n)
{
    struct read *read = &stream->read;
    size_t len = pf__stream_buffer_len(&stream->in);
    size_t most = len < read->n ? len : read->n;
    if (most >= read->delimiter_len && most > read->searched) {
        const char *data = pf__stream_buffer_data(&stream->in);
        const char *found = memmem(data + read->searched, most - read->searched,
                                   read->delimiter, read->delimiter_len);
        if (found) {
            *n = (size_t)(found - data) + read->delimiter_len;
            return 0;
        }
        read->searched = most - read->delimiter_len + 1;
    }
    return len >= read->n ? -EMSGSIZE : -EAGAIN;
}

/* Copy what is buffered to where it is wanted. */
static void fill_into(pf_stream *stream)
{
    struct read *read = &stream->read;
    size_t len = pf__stream_buffer_len(&stream->in);
    size_t n = len < read->n - read->got ? len : read->n - read->got;
    if (n > 0)
        memcpy(read->into + read->got, pf__stream_buffer_data(&stream->in), n);
    read->got += n;
    pf__stream_buffer_take(&stream->in, n);
}

/* Can it be told? Returns 0 with how many bytes, -EAGAIN, or -EMSGSIZE: it never can. */
static int read_ready(pf_stream *stream, size_t *n)
{
    const struct read *read = &stream->read;
    size_t len = pf__stream_buffer_len(&stream->in);
    bool ready = false;
    switch (read->kind) {
    case READ_UNTIL:
        return until_ready(stream, n);
    case READ_INTO:
        *n = len < read->n - read->got ? read->got + len : read->n;
        ready = *n == read->n || (read->partial && *n > 0);
        break;
    case READ_BYTES:
        *n = len < read->n ? len : read->n;
        ready = len >= read->n || (read->partial && len > 0);
        break;
    case READ_CHUNKS:
        *n = len < read->n ? len : read->n;
        ready = len > 0 || read->n == 0;
        break;
    case READ_TO_END:
    case READ_NONE:
        break;
    }
    return ready ? 0 : -EAGAIN;
}

/* Is there something for run() to tell or to decide about the read? */
static bool read_is_due(pf_stream *stream)
{
    size_t n;
    return stream->read.kind != READ_NONE &&
           (stream->closed || read_ready(stream, &n) != -EAGAIN);
}

/* ---- what the loop watches ------------------------------------------------------- */

static bool is_idle(const pf_stream *stream)
{
    return stream->read.kind == READ_NONE && stream->on_close.fn &&
           pf__stream_buffer_len(&stream->in) == 0;
}

static unsigned wanted(const pf_stream *stream)
{
    unsigned events = 0;
    if (stream->closed)
        return 0;
    if (stream->connecting == CONNECT_RUNS)
        return PF_WRITE;
    if (stream->read.kind != READ_NONE || is_idle(stream))
        events |= PF_READ;
    if (pf__stream_buffer_len(&stream->out) > 0)
        events |= PF_WRITE;
    return events ? stream->transport.ops->wants(&stream->transport, events) : 0;
}

static int watch(pf_stream *stream)
{
    unsigned events = wanted(stream);
    pf_loop *loop = stream->member.loop;
    int fd = stream->transport.fd, err = 0;
    if (events == stream->watched)
        return 0;
    if (stream->is_watched) {
        err = pf_loop_update_handler(loop, fd, events);
    } else {
        err = pf_loop_add_handler_full(loop, fd, events, stream_on_ready, stream, NULL,
                                       PF_HERE);
        stream->is_watched = !err;
        if (!err) {
            (void)pf_loop_describe_handler(loop, fd, "stream");
            (void)pf_loop_set_closer(loop, fd, on_loop_closes);
        }
    }
    if (!err)
        stream->watched = events;
    return err;
}

/* ---- bytes in -------------------------------------------------------------------- */

static bool wants_more(pf_stream *stream)
{
    if (stream->closed || !stream->transport.can_read)
        return false;
    return stream->read.kind == READ_NONE ? is_idle(stream) : !read_is_due(stream);
}

/* The limit is reached, and more is wanted: of a read to the end that was all, if the end
 * is what comes next. */
static ssize_t probe(pf_stream *stream)
{
    char more;
    ssize_t n = stream->transport.ops->read(&stream->transport, &more, 1);
    return n > 0 ? -EMSGSIZE : n;
}

static ssize_t read_into(pf_stream *stream, bool *filled)
{
    struct read *read = &stream->read;
    fill_into(stream); /* first what came first */
    size_t left = read->n - read->got;
    if (left == 0)
        return 0;
    ssize_t n =
        stream->transport.ops->read(&stream->transport, read->into + read->got, left);
    if (n > 0)
        read->got += (size_t)n;
    *filled = n > 0 && (size_t)n == left;
    return n;
}

/* Returns as the transport does; *filled: there may be more. */
static ssize_t read_some(pf_stream *stream, bool *filled)
{
    *filled = false;
    if (stream->read.kind == READ_INTO)
        return read_into(stream, filled);
    size_t room,
        left = stream->options.max_buffer_size - pf__stream_buffer_len(&stream->in);
    size_t piece = stream->piece < left ? stream->piece : left;
    char *to;
    if (piece == 0)
        return probe(stream);
    if (pf__stream_buffer_room(&stream->in, piece, &to, &room) != 0)
        return -ENOMEM;
    ssize_t n = stream->transport.ops->read(&stream->transport, to, piece);
    if (n <= 0)
        return n;
    pf__stream_buffer_added(&stream->in, (size_t)n);
    *filled = (size_t)n == piece;
    if (*filled && stream->piece < stream->options.read_chunk_size) {
        stream->piece *= 2;
        if (stream->piece > stream->options.read_chunk_size)
            stream->piece = stream->options.read_chunk_size;
    }
    return n;
}

/* It breaks over a write: what the peer said before it left is not lost, within the limits.
 */
static void break_off(pf_stream *stream, int error)
{
    bool filled = stream->transport.can_read;
    for (int i = 0; i < READS_MAX && filled; i++)
        if (pf__stream_buffer_len(&stream->in) == stream->options.max_buffer_size ||
            read_some(stream, &filled) <= 0)
            break;
    end(stream, error);
}

static void fill(pf_stream *stream)
{
    bool filled = true;
    for (int i = 0; i < READS_MAX && filled && wants_more(stream); i++) {
        ssize_t n = read_some(stream, &filled);
        if (n <= 0 && n != -EAGAIN)
            end(stream, (int)n);
    }
}

/* ---- bytes out ------------------------------------------------------------------- */

static void finish_when_written(pf_stream *stream)
{
    if (!stream->closes_when_written || stream->connecting == CONNECT_RUNS ||
        pf__stream_buffer_len(&stream->out) > 0)
        return;
    stream->transport.ops->shutdown(&stream->transport);
    end(stream, 0);
}

static void drain(pf_stream *stream)
{
    while (!stream->closed && pf__stream_buffer_len(&stream->out) > 0) {
        size_t len = pf__stream_buffer_len(&stream->out);
        ssize_t n = stream->transport.ops->write(&stream->transport,
                                                 pf__stream_buffer_data(&stream->out), len);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            break_off(stream, (int)n);
            return;
        }
        stream->sent += (size_t)n;
        pf__stream_buffer_take(&stream->out, (size_t)n);
        if ((size_t)n < len)
            return; /* so there is no room for more */
    }
    pf__stream_buffer_trim(&stream->out);
    if (!stream->closed)
        finish_when_written(stream);
}

/* ---- callbacks ------------------------------------------------------------------- */

/* Why something did not come about. */
static int reason(const pf_stream *stream)
{
    return stream->error ? stream->error : -EPIPE;
}

/* Is it still ours to go on with, after a callback? */
static bool goes_on(const pf_stream *stream)
{
    return !stream->freed && check(stream) == 0;
}

static void called(pf_stream *stream, int result)
{
    if (result >= 0 || !goes_on(stream))
        return;
    stream->failed = result;
    end(stream, result);
}

static void tell(pf_stream *stream, struct call call, int err)
{
    if (call.fn)
        called(stream, call.fn(stream, err, call.arg));
}

static bool tell_connected(pf_stream *stream)
{
    if (stream->connecting == CONNECT_RUNS && stream->closed)
        stream->connecting = CONNECT_DONE;
    if (stream->connecting != CONNECT_DONE)
        return false;
    stream->connecting = CONNECT_TOLD;
    tell(stream, stream->on_connect, stream->closed ? reason(stream) : 0);
    return true;
}

static void tell_chunk(pf_stream *stream, size_t n)
{
    const struct read *read = &stream->read;
    const char *data = pf__stream_buffer_data(&stream->in);
    pf__stream_buffer_take(&stream->in, n);
    if (!read->endless)
        stream->read.n -= n;
    called(stream, read->on_chunk(stream, data, n, 0, read->arg));
}

/* The read is over, with n bytes, before the call: which may ask for the next. */
static void finish_read(pf_stream *stream, size_t n, int err)
{
    if (stream->read.kind == READ_INTO)
        fill_into(stream);
    struct read read = stream->read;
    const char *data = read.into;
    stream->read.kind = READ_NONE;
    if (read.kind != READ_INTO) {
        data = n ? pf__stream_buffer_data(&stream->in) : "";
        pf__stream_buffer_take(&stream->in, n);
    }
    called(stream, read.fn(stream, data, n, err, read.arg));
}

static void fail_read(pf_stream *stream)
{
    const struct read *read = &stream->read;
    size_t n = 0;
    if (read->kind == READ_TO_END)
        n = pf__stream_buffer_len(&stream->in);
    else if (read->kind == READ_INTO)
        (void)read_ready(stream, &n);
    bool is_end = read->kind == READ_TO_END || (read->kind == READ_CHUNKS && read->endless);
    finish_read(stream, n, is_end ? stream->error : reason(stream));
}

static bool tell_read(pf_stream *stream)
{
    size_t n = 0;
    if (stream->read.kind == READ_NONE)
        return false;
    int err = read_ready(stream, &n);
    if (err == -EMSGSIZE)
        end(stream, err);
    if (err && !stream->closed)
        return false;
    if (err)
        fail_read(stream);
    else if (stream->read.kind == READ_CHUNKS && stream->read.n > 0)
        tell_chunk(stream, n);
    else
        finish_read(stream, stream->read.kind == READ_CHUNKS ? 0 : n, 0);
    return true;
}

static bool write_is_due(const pf_stream *stream)
{
    return stream->writes && (stream->closed || stream->writes->end <= stream->sent);
}

static bool tell_written(pf_stream *stream)
{
    if (!write_is_due(stream))
        return false;
    struct write *write = stream->writes;
    struct call call = write->call;
    int err = write->end <= stream->sent ? 0 : reason(stream);
    stream->writes = write->next;
    if (!stream->writes)
        stream->last_write = &stream->writes;
    free(write);
    tell(stream, call, err);
    return true;
}

static bool close_is_due(const pf_stream *stream)
{
    return stream->closed && !stream->close_told && stream->on_close.fn;
}

static bool tell_closed(pf_stream *stream)
{
    if (!close_is_due(stream))
        return false;
    stream->close_told = true;
    tell(stream, stream->on_close, stream->error);
    return true;
}

static bool is_due(pf_stream *stream)
{
    return stream->connecting == CONNECT_DONE ||
           (stream->connecting == CONNECT_RUNS && stream->closed) || read_is_due(stream) ||
           write_is_due(stream) || close_is_due(stream);
}

static bool tell_one(pf_stream *stream)
{
    return tell_connected(stream) || tell_read(stream) || tell_written(stream) ||
           tell_closed(stream);
}

/* ---- life ------------------------------------------------------------------------ */

static void release(pf_stream *stream)
{
    while (stream->writes) {
        struct write *write = stream->writes;
        stream->writes = write->next;
        free(write);
    }
    pf__stream_buffer_fini(&stream->in);
    pf__stream_buffer_fini(&stream->out);
    free(stream);
}

/* After the callbacks: bring watch and memory in line. */
static void settle(pf_stream *stream)
{
    if (stream->busy)
        return;
    if (stream->freed) {
        release(stream);
        return;
    }
    if (check(stream) != 0)
        return; /* the parent's */
    pf__stream_buffer_trim(&stream->in);
    int err = watch(stream);
    if (err)
        end(stream, err);
    if (is_due(stream))
        schedule(stream);
}

/* Tell what is due, though not without end. Returns what a callback failed with. The stream
 * may be gone afterwards. */
static int run(pf_stream *stream)
{
    stream->busy++;
    for (int i = 0; i < CALLBACKS_MAX && goes_on(stream) && tell_one(stream); i++)
        ;
    stream->busy--;
    int failed = stream->failed;
    stream->failed = 0;
    settle(stream);
    return failed;
}

static void finish_connecting(pf_stream *stream)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(stream->transport.fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        error = errno;
    stream->connecting = CONNECT_DONE;
    if (error)
        end(stream, -error);
    else
        drain(stream);
}

static int stream_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    pf_stream *stream = arg;
    (void)loop, (void)fd;
    stream->busy++;
    if (stream->connecting == CONNECT_RUNS) {
        finish_connecting(stream);
    } else {
        fill(stream);
        drain(stream);
        /* Of the writing end of a pipe: its reader is gone, and there is nothing to read
         * that would say so. */
        if ((events & PF_ERROR) && !stream->transport.can_read)
            end(stream, -EPIPE);
    }
    stream->busy--;
    return run(stream);
}

static int stream_on_turn(pf_loop *loop, void *arg)
{
    pf_stream *stream = arg;
    (void)loop;
    (void)park_timer(stream); /* in the slot that has just become free */
    stream->scheduled = false;
    return run(stream);
}

/* A call has noted down what it wants. Returns 0, or why that cannot be watched. */
static int asked(pf_stream *stream)
{
    if (stream->busy)
        return 0; /* run() will see */
    if (is_due(stream)) {
        schedule(stream);
        return 0;
    }
    return watch(stream);
}

/* A caller compiled against an older library knows fewer options: the rest are 0. */
static int choose_options(struct pf_stream_options *to,
                          const struct pf_stream_options *from)
{
    *to = (struct pf_stream_options){PF_STREAM_OPTIONS};
    if (from && from->size < sizeof from->size)
        return -EINVAL;
    if (from)
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    if (!to->max_buffer_size)
        to->max_buffer_size = PF_STREAM_READ_MAX;
    if (!to->max_write_buffer_size)
        to->max_write_buffer_size = PF_STREAM_WRITE_MAX;
    if (!to->read_chunk_size)
        to->read_chunk_size = PF_STREAM_CHUNK;
    return to->max_buffer_size <= SSIZE_MAX && to->max_write_buffer_size <= SSIZE_MAX &&
                   to->read_chunk_size <= SSIZE_MAX
               ? 0
               : -EINVAL;
}

static void forget_loop(struct pf__member *member)
{
    (void)member; /* its timer and its handler go with the loop */
}

int pf_stream_new(pf_loop *loop, int fd, const struct pf_stream_options *options,
                  pf_stream **out)
{
    struct pf_stream_options chosen;
    int err = pf_loop_check(loop);
    if (!err)
        err = out ? choose_options(&chosen, options) : -EINVAL;
    if (err)
        return err;
    pf_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return -ENOMEM;
    stream->options = chosen;
    stream->piece =
        chosen.read_chunk_size < FIRST_PIECE ? chosen.read_chunk_size : FIRST_PIECE;
    stream->last_write = &stream->writes;
    pf__member_join(&stream->member, loop, forget_loop);
    err = park_timer(stream);
    if (!err)
        err = pf__transport_open(&stream->transport, fd);
    if (err) {
        (void)pf_loop_remove_timeout(loop, stream->timer);
        pf__member_part(&stream->member);
        free(stream);
        return err;
    }
    *out = stream;
    return 0;
}

void pf_stream_free(pf_stream *stream)
{
    int err = check(stream);
    if (!stream || err == -EPERM || stream->freed)
        return;
    if (!err) {
        close_descriptor(stream);
        (void)pf_loop_remove_timeout(stream->member.loop, stream->timer);
    } else if (stream->transport.fd >= 0) {
        stream->transport.ops->close(&stream->transport); /* no word to the loop */
    }
    pf__member_part(&stream->member);
    stream->freed = stream->closed = true;
    if (!stream->busy)
        release(stream);
}

/* ---- connecting ------------------------------------------------------------------ */

int pf_stream_connect(pf_stream *stream, const struct sockaddr *address, socklen_t len,
                      pf_stream_fn *fn, void *arg)
{
    int err = check(stream);
    if (!err && !address)
        err = -EINVAL;
    if (!err && stream->connecting != CONNECT_NONE)
        err = -EALREADY;
    if (!err && stream->closed)
        err = -EPIPE;
    if (!err && !stream->transport.is_socket)
        err = -ENOTSOCK;
    if (err)
        return err;
    stream->on_connect = (struct call){fn, arg};
    stream->connecting = CONNECT_RUNS;
    if (connect(stream->transport.fd, address, len) == 0)
        stream->connecting = CONNECT_DONE;
    else if (errno != EINPROGRESS && errno != EINTR) /* after EINTR it goes on as well */
        end(stream, -errno);
    err = asked(stream);
    if (err)
        stream->connecting = CONNECT_NONE;
    return err;
}

/* ---- reading --------------------------------------------------------------------- */

/* Begin the read that is all in *read. */
static int begin_read(pf_stream *stream, const struct read *read)
{
    int err = check(stream);
    if (!err && !read->fn)
        err = -EINVAL;
    if (!err && stream->read.kind != READ_NONE)
        err = -EALREADY;
    if (!err && !stream->transport.can_read)
        err = -EBADF;
    if (err)
        return err;
    size_t n;
    stream->read = *read;
    bool at_end = read->kind == READ_TO_END || (read->kind == READ_CHUNKS && read->endless);
    if (stream->closed && !at_end && read_ready(stream, &n) != 0)
        err = -EPIPE;
    if (!err)
        err = asked(stream);
    if (err)
        stream->read.kind = READ_NONE;
    return err;
}

int pf_stream_read_until_max(pf_stream *stream, const void *delimiter, size_t len,
                             size_t max, pf_stream_read_fn *fn, void *arg)
{
    if (!stream || !delimiter || len == 0 || len > PF_STREAM_DELIMITER_MAX)
        return -EINVAL;
    struct read read = {
        .kind = READ_UNTIL, .fn = fn, .arg = arg, .n = max, .delimiter_len = len};
    if (read.n > stream->options.max_buffer_size)
        read.n = stream->options.max_buffer_size;
    memcpy(read.delimiter, delimiter, len);
    return begin_read(stream, &read);
}

int pf_stream_read_until(pf_stream *stream, const void *delimiter, size_t len,
                         pf_stream_read_fn *fn, void *arg)
{
    return pf_stream_read_until_max(stream, delimiter, len, SIZE_MAX, fn, arg);
}

int pf_stream_read_bytes(pf_stream *stream, size_t n, bool partial, pf_stream_read_fn *fn,
                         void *arg)
{
    if (!stream)
        return -EINVAL;
    if (!partial && n > stream->options.max_buffer_size)
        return -EMSGSIZE;
    return begin_read(
        stream, &(struct read){
                    .kind = READ_BYTES, .partial = partial, .fn = fn, .arg = arg, .n = n});
}

int pf_stream_read_into(pf_stream *stream, void *buffer, size_t n, bool partial,
                        pf_stream_read_fn *fn, void *arg)
{
    if (!buffer)
        return -EINVAL;
    return begin_read(stream, &(struct read){.kind = READ_INTO,
                                             .partial = partial,
                                             .fn = fn,
                                             .arg = arg,
                                             .n = n,
                                             .into = buffer});
}

int pf_stream_read_until_close(pf_stream *stream, pf_stream_read_fn *fn, void *arg)
{
    return begin_read(stream, &(struct read){.kind = READ_TO_END, .fn = fn, .arg = arg});
}

int pf_stream_read_chunks(pf_stream *stream, size_t n, pf_stream_read_fn *on_chunk,
                          pf_stream_read_fn *fn, void *arg)
{
    if (!on_chunk)
        return -EINVAL;
    return begin_read(stream, &(struct read){.kind = READ_CHUNKS,
                                             .fn = fn,
                                             .on_chunk = on_chunk,
                                             .arg = arg,
                                             .n = n,
                                             .endless = n == PF_STREAM_TO_END});
}

bool pf_stream_reading(const pf_stream *stream)
{
    return check(stream) == 0 && stream->read.kind != READ_NONE;
}

size_t pf_stream_buffered(const pf_stream *stream)
{
    return stream ? pf__stream_buffer_len(&stream->in) : 0;
}

/* ---- writing --------------------------------------------------------------------- */

/* Note down who waits for byte number `end`. */
static void add_write(pf_stream *stream, struct write *write, uint64_t end_of_it,
                      pf_stream_fn *fn, void *arg)
{
    *write = (struct write){.end = end_of_it, .call = {fn, arg}};
    *stream->last_write = write;
    stream->last_write = &write->next;
}

/* Send what the kernel takes, keep the rest. Returns 0, also if the stream broke over it,
 * or -ENOMEM: nothing was taken. */
static int send_or_keep(pf_stream *stream, const char *data, size_t len)
{
    ssize_t n = 0;
    if (pf__stream_buffer_len(&stream->out) == 0 && stream->connecting != CONNECT_RUNS &&
        len > 0) {
        n = stream->transport.ops->write(&stream->transport, data, len);
        if (n < 0 && n != -EAGAIN) {
            break_off(stream, (int)n);
            return 0;
        }
        n = n > 0 ? n : 0;
    }
    stream->sent += (size_t)n;
    int err = pf__stream_buffer_add(&stream->out, data + n, len - (size_t)n);
    if (err && n > 0) { /* nothing can follow half a write */
        end(stream, err);
        err = 0;
    }
    return err;
}

static int check_write(const pf_stream *stream, const void *data, size_t len)
{
    int err = check(stream);
    if (!err && !data && len > 0)
        err = -EINVAL;
    if (!err && (stream->closed || stream->closes_when_written))
        err = -EPIPE;
    if (!err && !stream->transport.can_write)
        err = -EBADF;
    if (!err &&
        len > stream->options.max_write_buffer_size - pf__stream_buffer_len(&stream->out))
        err = -ENOBUFS;
    return err;
}

int pf_stream_write(pf_stream *stream, const void *data, size_t len, pf_stream_fn *fn,
                    void *arg)
{
    int err = check_write(stream, data, len);
    if (err)
        return err;
    struct write *write = fn ? malloc(sizeof *write) : NULL;
    if (fn && !write)
        return -ENOMEM;
    uint64_t end_of_it = stream->sent + pf__stream_buffer_len(&stream->out) + len;
    err = send_or_keep(stream, data, len);
    if (err) {
        free(write);
        return err;
    }
    if (write)
        add_write(stream, write, end_of_it, fn, arg);
    err = asked(stream);
    if (err)
        end(stream, err);
    return 0;
}

size_t pf_stream_writing(const pf_stream *stream)
{
    return stream ? pf__stream_buffer_len(&stream->out) : 0;
}

int pf_stream_set_nodelay(pf_stream *stream, bool on)
{
    int err = check(stream), value = on;
    if (!err && stream->closed)
        err = -EPIPE;
    if (!err && setsockopt(stream->transport.fd, IPPROTO_TCP, TCP_NODELAY, &value,
                           sizeof value) == -1)
        err = errno == ENOTSOCK || errno == ENOPROTOOPT || errno == EOPNOTSUPP ? -ENOTSUP
                                                                               : -errno;
    return err;
}

/* ---- the end --------------------------------------------------------------------- */

int pf_stream_set_close_callback(pf_stream *stream, pf_stream_fn *fn, void *arg)
{
    int err = check(stream);
    if (err)
        return err;
    struct call before = stream->on_close;
    stream->on_close = (struct call){fn, arg};
    err = asked(stream);
    if (err)
        stream->on_close = before;
    return err;
}

int pf_stream_close(pf_stream *stream)
{
    int err = check(stream);
    if (!err)
        end(stream, 0);
    return err;
}

int pf_stream_close_when_written(pf_stream *stream)
{
    int err = check(stream);
    if (err || stream->closed)
        return err;
    stream->closes_when_written = true;
    finish_when_written(stream);
    return 0;
}

bool pf_stream_closed(const pf_stream *stream)
{
    return check(stream) != 0 || stream->closed;
}

int pf_stream_error(const pf_stream *stream)
{
    return stream ? stream->error : -EINVAL;
}

int pf_stream_fd(const pf_stream *stream)
{
    return stream ? stream->transport.fd : -1;
}

pf_loop *pf_stream_loop(const pf_stream *stream)
{
    return stream ? stream->member.loop : NULL;
}
