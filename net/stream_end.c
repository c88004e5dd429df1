/* stream_end.c - closing, and telling it: see stream_internal.h. */
#include "net/stream_internal.h"

void pf__stream_on_loop_closes(int fd, void *arg)
{
    pf_stream *stream = arg;
    (void)fd;
    stream->transport.ops->close(&stream->transport);
}

void pf__stream_close_descriptor(pf_stream *stream)
{
    if (stream->transport.fd < 0)
        return;
    if (!stream->is_watched ||
        pf_loop_remove_and_close(stream->member.loop, stream->transport.fd) != 0)
        stream->transport.ops->close(&stream->transport);
    stream->is_watched = false;
    stream->watched = 0;
}

void pf__stream_end(pf_stream *stream, int error)
{
    if (stream->closed)
        return;
    stream->closed = true;
    stream->error = error;
    pf__stream_close_descriptor(stream);
    pf__stream_buffer_fini(&stream->out);
    if (!stream->busy)
        pf__stream_schedule(stream);
}

void pf__stream_tell_closed(pf_stream *stream)
{
    stream->close_told = true;
    pf__stream_tell(stream, stream->on_close, stream->error);
}

int pf_stream_set_close_callback(pf_stream *stream, pf_stream_fn *fn, void *arg)
{
    int err = pf__stream_check(stream);
    if (err)
        return err;
    struct pf__stream_call before = stream->on_close;
    stream->on_close = (struct pf__stream_call){fn, arg};
    err = pf__stream_asked(stream);
    if (err)
        stream->on_close = before;
    return err;
}

int pf_stream_close(pf_stream *stream)
{
    int err = pf__stream_check(stream);
    if (!err)
        pf__stream_end(stream, 0);
    return err;
}

int pf_stream_close_when_written(pf_stream *stream)
{
    int err = pf__stream_check(stream);
    if (err || stream->closed)
        return err;
    stream->closes_when_written = true;
    pf__stream_finish_when_written(stream);
    return 0;
}

bool pf_stream_closed(const pf_stream *stream)
{
    return pf__stream_check(stream) != 0 || stream->closed;
}

int pf_stream_error(const pf_stream *stream)
{
    return stream ? stream->error : -EINVAL;
}
