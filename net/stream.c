/*
 * stream.c - the life of a stream, and its loop's side; see stream_internal.h.
 *
 * Reading order: stream_on_ready() and stream_on_turn() are all that the loop calls; both
 * end in run(), the only place where callbacks are called, one after the other, as long as
 * one is due. What the program asks for is only noted down, and pf__stream_asked() sees to
 * it that the loop comes by.
 *
 * A stream keeps one timer for its whole life, which never comes: moving it to now cannot
 * fail, so what is due can always be told.
 *
 * Callbacks may close and free the stream: closing gives up the descriptor at once, the
 * memory goes when no callback runs any more. They may fork, too, and return in the child
 * into our midst: there the stream is still the parent's, and nothing is touched.
 */
#include "loop/context.h"
#include "net/stream_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLBACKS_MAX = 64, /* told by one stream before others get their turn */
    FIRST_PIECE = 1024, /* asked of the kernel at first; doubled when it was filled */
};

static pf_io_fn stream_on_ready;
static pf_callback_fn stream_on_turn;

/* ---- the loop's side ------------------------------------------------------------- */

void pf__stream_schedule(pf_stream *stream)
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

static unsigned wanted(const pf_stream *stream)
{
    unsigned events = 0;
    if (stream->closed)
        return 0;
    if (stream->connecting == PF__CONNECT_RUNS)
        return PF_WRITE;
    if (stream->read.kind != PF__READ_NONE || pf__stream_is_idle(stream))
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
            (void)pf_loop_set_closer(loop, fd, pf__stream_on_loop_closes);
            pf__context_share(loop, stream->timer, fd); /* that of pf_stream_new() */
        }
    }
    if (!err)
        stream->watched = events;
    return err;
}

/* ---- callbacks ------------------------------------------------------------------- */

/* Is it still ours to go on with, after a callback? */
static bool goes_on(const pf_stream *stream)
{
    return !stream->freed && pf__stream_check(stream) == 0;
}

void pf__stream_called(pf_stream *stream, int result)
{
    if (result >= 0 || !goes_on(stream))
        return;
    stream->failed = result;
    pf__stream_end(stream, result);
}

void pf__stream_tell(pf_stream *stream, struct pf__stream_call call, int err)
{
    if (call.fn)
        pf__stream_called(stream, call.fn(stream, err, call.arg));
}

/* That comes first, also before what needs no bytes. */
static bool is_connecting(const pf_stream *stream)
{
    return stream->connecting == PF__CONNECT_RUNS && !stream->closed;
}

static bool is_due(pf_stream *stream)
{
    if (is_connecting(stream))
        return false;
    return pf__stream_connect_is_due(stream) || pf__stream_read_is_due(stream) ||
           pf__stream_write_is_due(stream) || pf__stream_close_is_due(stream);
}

/* The order is the header's. */
static bool tell_one(pf_stream *stream)
{
    if (is_connecting(stream))
        return false;
    if (pf__stream_connect_is_due(stream))
        pf__stream_tell_connected(stream);
    else if (pf__stream_tell_read(stream))
        return true;
    else if (pf__stream_write_is_due(stream))
        pf__stream_tell_written(stream);
    else if (pf__stream_close_is_due(stream))
        pf__stream_tell_closed(stream);
    else
        return false;
    return true;
}

/* ---- life ------------------------------------------------------------------------ */

static void release(pf_stream *stream)
{
    while (stream->writes) {
        struct pf__stream_write *write = stream->writes;
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
    if (pf__stream_check(stream) != 0)
        return; /* the parent's */
    pf__stream_buffer_trim(&stream->in);
    int err = watch(stream);
    if (err)
        pf__stream_end(stream, err);
    if (is_due(stream))
        pf__stream_schedule(stream);
}

/* Tell what is due, though not without end, and only up to a callback that fails: the loop
 * reports one failure for each call. Returns what it failed with. The stream may be gone
 * afterwards. */
static int run(pf_stream *stream)
{
    stream->busy++;
    for (int i = 0; i < CALLBACKS_MAX && !stream->failed && goes_on(stream); i++)
        if (!tell_one(stream))
            break;
    stream->busy--;
    int failed = stream->failed;
    stream->failed = 0;
    settle(stream);
    return failed;
}

static int stream_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    pf_stream *stream = arg;
    (void)loop, (void)fd;
    stream->busy++;
    if (stream->connecting == PF__CONNECT_RUNS) {
        pf__stream_finish_connecting(stream);
    } else {
        pf__stream_fill(stream);
        pf__stream_drain(stream);
        /* Of the writing end of a pipe: its reader is gone, and there is nothing to read
         * that would say so. */
        if ((events & PF_ERROR) && !stream->transport.can_read)
            pf__stream_end(stream, -EPIPE);
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
    int failed = run(stream);
    return failed == -EPIPE ? 0 : failed; /* as silent as from a handler */
}

int pf__stream_asked(pf_stream *stream)
{
    if (stream->busy)
        return 0; /* run() will see */
    if (is_due(stream)) {
        pf__stream_schedule(stream);
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
    int err = pf__stream_check(stream);
    if (!stream || err == -EPERM || stream->freed)
        return;
    if (!err) {
        pf__stream_close_descriptor(stream);
        (void)pf_loop_remove_timeout(stream->member.loop, stream->timer);
    } else if (stream->transport.fd >= 0) {
        stream->transport.ops->close(&stream->transport); /* no word to the loop */
    }
    pf__member_part(&stream->member);
    stream->freed = stream->closed = true;
    if (!stream->busy)
        release(stream);
}

int pf_stream_fd(const pf_stream *stream)
{
    return stream ? stream->transport.fd : -1;
}

pf_loop *pf_stream_loop(const pf_stream *stream)
{
    return stream ? stream->member.loop : NULL;
}
