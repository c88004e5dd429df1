/* stream_read.c - the read that is pending: see stream_internal.h. */
#include "net/stream_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what it waits for ----------------------------------------------------------- */

static int until_ready(pf_stream *stream, size_t *n)
{
    struct pf__stream_read *read = &stream->read;
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

void pf__stream_read_take(pf_stream *stream)
{
    struct pf__stream_read *read = &stream->read;
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
    const struct pf__stream_read *read = &stream->read;
    size_t len = pf__stream_buffer_len(&stream->in);
    bool ready = false;
    switch (read->kind) {
    case PF__READ_UNTIL:
        return until_ready(stream, n);
    case PF__READ_INTO:
        *n = len < read->n - read->got ? read->got + len : read->n;
        ready = *n == read->n || (read->partial && *n > 0);
        break;
    case PF__READ_BYTES:
        *n = len < read->n ? len : read->n;
        ready = len >= read->n || (read->partial && len > 0);
        break;
    case PF__READ_CHUNKS:
        *n = len < read->n ? len : read->n;
        ready = len > 0 || read->n == 0;
        break;
    case PF__READ_TO_END:
    case PF__READ_NONE:
        break;
    }
    return ready ? 0 : -EAGAIN;
}

bool pf__stream_read_is_due(pf_stream *stream)
{
    size_t n;
    return stream->read.kind != PF__READ_NONE &&
           (stream->closed || read_ready(stream, &n) != -EAGAIN);
}

/* ---- what it gets ---------------------------------------------------------------- */

/* What stands in `in` stays there for the call, or in `lent`: see keep_lent(). */
static void lend(pf_stream *stream, pf_stream_read_fn *fn, const char *data, size_t n,
                 int err, void *arg)
{
    stream->lends = true;
    int result = fn(stream, data, n, err, arg);
    stream->lends = false;
    if (stream->lent) {
        free(stream->lent);
        stream->lent = NULL;
    }
    pf__stream_called(stream, result);
}

static void tell_chunk(pf_stream *stream, size_t n)
{
    const struct pf__stream_read *read = &stream->read;
    const char *data = pf__stream_buffer_data(&stream->in);
    pf__stream_buffer_take(&stream->in, n);
    if (!read->endless)
        stream->read.n -= n;
    lend(stream, read->on_chunk, data, n, 0, read->arg);
}

/* The read is over, with n bytes, before the call: which may ask for the next. */
static void finish_read(pf_stream *stream, size_t n, int err)
{
    if (stream->read.kind == PF__READ_INTO)
        pf__stream_read_take(stream);
    struct pf__stream_read read = stream->read;
    const char *data = read.into;
    stream->read.kind = PF__READ_NONE;
    if (read.kind != PF__READ_INTO) {
        data = n ? pf__stream_buffer_data(&stream->in) : "";
        pf__stream_buffer_take(&stream->in, n);
    }
    lend(stream, read.fn, data, n, err, read.arg);
}

static void fail_read(pf_stream *stream)
{
    const struct pf__stream_read *read = &stream->read;
    size_t n = 0;
    if (read->kind == PF__READ_TO_END)
        n = pf__stream_buffer_len(&stream->in);
    else if (read->kind == PF__READ_INTO)
        (void)read_ready(stream, &n);
    bool is_end =
        read->kind == PF__READ_TO_END || (read->kind == PF__READ_CHUNKS && read->endless);
    finish_read(stream, n, is_end ? stream->error : pf__stream_reason(stream));
}

bool pf__stream_tell_read(pf_stream *stream)
{
    size_t n = 0;
    if (stream->read.kind == PF__READ_NONE)
        return false;
    int err = read_ready(stream, &n);
    if (err == -EMSGSIZE)
        pf__stream_end(stream, err);
    if (err && !stream->closed)
        return false;
    if (err)
        fail_read(stream);
    else if (stream->read.kind == PF__READ_CHUNKS && stream->read.n > 0)
        tell_chunk(stream, n);
    else
        finish_read(stream, stream->read.kind == PF__READ_CHUNKS ? 0 : n, 0);
    return true;
}

/* ---- asking ---------------------------------------------------------------------- */

/* Begin the read that is all in *read. */
static int begin_read(pf_stream *stream, const struct pf__stream_read *read)
{
    int err = pf__stream_check(stream);
    if (!err && !read->fn)
        err = -EINVAL;
    if (!err && stream->read.kind != PF__READ_NONE)
        err = -EALREADY;
    if (!err && !stream->transport.can_read)
        err = -EBADF;
    if (err)
        return err;
    size_t n;
    stream->read = *read;
    bool at_end =
        read->kind == PF__READ_TO_END || (read->kind == PF__READ_CHUNKS && read->endless);
    if (stream->closed && !at_end && read_ready(stream, &n) != 0)
        err = -EPIPE;
    if (!err)
        err = pf__stream_asked(stream);
    if (err)
        stream->read.kind = PF__READ_NONE;
    return err;
}

int pf_stream_read_until_max(pf_stream *stream, const void *delimiter, size_t len,
                             size_t max, pf_stream_read_fn *fn, void *arg)
{
    if (!stream || !delimiter || len == 0 || len > PF_STREAM_DELIMITER_MAX)
        return -EINVAL;
    struct pf__stream_read read = {
        .kind = PF__READ_UNTIL, .fn = fn, .arg = arg, .n = max, .delimiter_len = len};
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
        stream,
        &(struct pf__stream_read){
            .kind = PF__READ_BYTES, .partial = partial, .fn = fn, .arg = arg, .n = n});
}

int pf_stream_read_into(pf_stream *stream, void *buffer, size_t n, bool partial,
                        pf_stream_read_fn *fn, void *arg)
{
    if (!buffer)
        return -EINVAL;
    return begin_read(stream, &(struct pf__stream_read){.kind = PF__READ_INTO,
                                                        .partial = partial,
                                                        .fn = fn,
                                                        .arg = arg,
                                                        .n = n,
                                                        .into = buffer});
}

int pf_stream_read_until_close(pf_stream *stream, pf_stream_read_fn *fn, void *arg)
{
    return begin_read(
        stream, &(struct pf__stream_read){.kind = PF__READ_TO_END, .fn = fn, .arg = arg});
}

int pf_stream_read_chunks(pf_stream *stream, size_t n, pf_stream_read_fn *on_chunk,
                          pf_stream_read_fn *fn, void *arg)
{
    if (!on_chunk)
        return -EINVAL;
    return begin_read(stream, &(struct pf__stream_read){.kind = PF__READ_CHUNKS,
                                                        .fn = fn,
                                                        .on_chunk = on_chunk,
                                                        .arg = arg,
                                                        .n = n,
                                                        .endless = n == PF_STREAM_TO_END});
}

bool pf_stream_reading(const pf_stream *stream)
{
    return pf__stream_check(stream) == 0 && stream->read.kind != PF__READ_NONE;
}

size_t pf_stream_buffered(const pf_stream *stream)
{
    return stream ? pf__stream_buffer_len(&stream->in) : 0;
}
