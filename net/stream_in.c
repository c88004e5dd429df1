/*
 * stream_in.c - bytes from the descriptor into the buffer; see stream_internal.h.
 *
 * No more is read than somebody waits for, but for one piece; what is left makes the
 * descriptor readable again.
 */
#include "net/stream_internal.h"

enum {
    READS_MAX = 16, /* pieces read from one stream before others get their turn */
};

static bool wants_more(pf_stream *stream)
{
    if (stream->closed || !stream->transport.can_read)
        return false;
    return stream->read.kind == PF__READ_NONE ? pf__stream_is_idle(stream)
                                              : !pf__stream_read_is_due(stream);
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
    struct pf__stream_read *read = &stream->read;
    size_t left = read->n - read->got;
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
    if (stream->read.kind == PF__READ_INTO) {
        pf__stream_read_take(stream); /* first what came first */
        if (stream->read.got < stream->read.n)
            return read_into(stream, filled);
    }
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

/* Inside a callback that looks at bytes in our memory: what comes goes into another.
 * Returns 0 or -ENOMEM. */
static int keep_lent(pf_stream *stream)
{
    struct pf__stream_buffer fresh = {0};
    size_t len = pf__stream_buffer_len(&stream->in);
    if (len > 0 &&
        pf__stream_buffer_add(&fresh, pf__stream_buffer_data(&stream->in), len) != 0)
        return -ENOMEM;
    stream->lent = stream->in.bytes;
    stream->in = fresh;
    return 0;
}

void pf__stream_break_off(pf_stream *stream, int error)
{
    bool filled = stream->transport.can_read;
    if (filled && stream->lends)
        filled = keep_lent(stream) == 0;
    for (int i = 0; i < READS_MAX && filled && read_some(stream, &filled) > 0; i++)
        ;
    pf__stream_end(stream, error);
}

void pf__stream_fill(pf_stream *stream)
{
    bool filled = true;
    for (int i = 0; i < READS_MAX && filled && wants_more(stream); i++) {
        ssize_t n = read_some(stream, &filled);
        if (n <= 0 && n != -EAGAIN)
            pf__stream_end(stream, (int)n);
    }
}
