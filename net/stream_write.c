/* stream_write.c - bytes out, and who waits for them: see stream_internal.h. */
#include "net/stream_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/* ---- what waits ------------------------------------------------------------------ */

void pf__stream_finish_when_written(pf_stream *stream)
{
    if (!stream->closes_when_written || stream->connecting == PF__CONNECT_RUNS ||
        pf__stream_buffer_len(&stream->out) > 0)
        return;
    stream->transport.ops->shutdown(&stream->transport);
    pf__stream_end(stream, 0);
}

void pf__stream_drain(pf_stream *stream)
{
    while (!stream->closed && pf__stream_buffer_len(&stream->out) > 0) {
        size_t len = pf__stream_buffer_len(&stream->out);
        ssize_t n = stream->transport.ops->write(&stream->transport,
                                                 pf__stream_buffer_data(&stream->out), len);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            pf__stream_break_off(stream, (int)n);
            return;
        }
        stream->sent += (size_t)n;
        pf__stream_buffer_take(&stream->out, (size_t)n);
        if ((size_t)n < len)
            return; /* so there is no room for more */
    }
    pf__stream_buffer_trim(&stream->out);
    if (!stream->closed)
        pf__stream_finish_when_written(stream);
}

void pf__stream_tell_written(pf_stream *stream)
{
    struct pf__stream_write *write = stream->writes;
    struct pf__stream_call call = write->call;
    int err = write->end <= stream->sent ? 0 : pf__stream_reason(stream);
    stream->writes = write->next;
    if (!stream->writes)
        stream->last_write = &stream->writes;
    free(write);
    pf__stream_tell(stream, call, err);
}

/* ---- asking ---------------------------------------------------------------------- */

/* Note down who waits for byte number `end`. */
static void add_write(pf_stream *stream, struct pf__stream_write *write, uint64_t end_of_it,
                      pf_stream_fn *fn, void *arg)
{
    *write = (struct pf__stream_write){.end = end_of_it, .call = {fn, arg}};
    *stream->last_write = write;
    stream->last_write = &write->next;
}

/* Send what the kernel takes, keep the rest. Returns 0, also if the stream broke over it,
 * or -ENOMEM: nothing was taken. */
static int send_or_keep(pf_stream *stream, const char *data, size_t len)
{
    ssize_t n = 0;
    if (pf__stream_buffer_len(&stream->out) == 0 &&
        stream->connecting != PF__CONNECT_RUNS && len > 0) {
        n = stream->transport.ops->write(&stream->transport, data, len);
        if (n < 0 && n != -EAGAIN) {
            pf__stream_break_off(stream, (int)n);
            return 0;
        }
        n = n > 0 ? n : 0;
    }
    stream->sent += (size_t)n;
    if ((size_t)n == len)
        return 0;
    int err = pf__stream_buffer_add(&stream->out, data + n, len - (size_t)n);
    if (err && n > 0) { /* nothing can follow half a write */
        pf__stream_end(stream, err);
        err = 0;
    }
    return err;
}

static int check_write(const pf_stream *stream, const void *data, size_t len)
{
    int err = pf__stream_check(stream);
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
    struct pf__stream_write *write = fn ? malloc(sizeof *write) : NULL;
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
    err = pf__stream_asked(stream);
    if (err)
        pf__stream_end(stream, err);
    return 0;
}

size_t pf_stream_writing(const pf_stream *stream)
{
    return stream ? pf__stream_buffer_len(&stream->out) : 0;
}

int pf_stream_set_nodelay(pf_stream *stream, bool on)
{
    int err = pf__stream_check(stream), value = on;
    if (!err && stream->closed)
        err = -EPIPE;
    if (!err && setsockopt(stream->transport.fd, IPPROTO_TCP, TCP_NODELAY, &value,
                           sizeof value) == -1)
        err = errno == ENOTSOCK || errno == ENOPROTOOPT || errno == EOPNOTSUPP ? -ENOTSUP
                                                                               : -errno;
    return err;
}
