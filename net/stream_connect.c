/*
 * stream_connect.c - a socket is connected: see stream_internal.h.
 *
 * While it is, nothing is read or written, and the descriptor is watched for being ready:
 * then the socket says how it went, and what was written meanwhile goes out. Also what
 * connect(2) says at once is told from the loop.
 */
#include "net/stream_internal.h"

void pf__stream_finish_connecting(pf_stream *stream)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(stream->transport.fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        error = errno;
    if (error) {
        pf__stream_end(stream, -error);
    } else {
        stream->connecting = PF__CONNECT_DONE;
        pf__stream_drain(stream);
    }
}

void pf__stream_tell_connected(pf_stream *stream)
{
    int err = stream->connecting == PF__CONNECT_DONE ? 0 : pf__stream_reason(stream);
    stream->connecting = PF__CONNECT_TOLD;
    pf__stream_tell(stream, stream->on_connect, err);
}

/* It cannot be watched: as if it had not been asked for. Source: connect(2), AF_UNSPEC. */
static void take_back(pf_stream *stream)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(stream->transport.fd, &nobody, sizeof nobody);
    stream->connecting = PF__CONNECT_NONE;
}

int pf_stream_connect(pf_stream *stream, const struct sockaddr *address, socklen_t len,
                      pf_stream_fn *fn, void *arg)
{
    int err = pf__stream_check(stream);
    if (!err && !address)
        err = -EINVAL;
    if (!err && stream->connecting != PF__CONNECT_NONE)
        err = -EALREADY;
    if (!err && stream->closed)
        err = -EPIPE;
    if (!err && !stream->transport.is_socket)
        err = -ENOTSOCK;
    if (err)
        return err;
    stream->on_connect = (struct pf__stream_call){fn, arg};
    stream->connecting = PF__CONNECT_RUNS;
    if (connect(stream->transport.fd, address, len) == 0)
        stream->connecting = PF__CONNECT_DONE;
    else if (errno != EINPROGRESS && errno != EINTR) /* after EINTR it goes on as well */
        pf__stream_end(stream, -errno);
    err = pf__stream_asked(stream);
    if (err)
        take_back(stream);
    return err;
}
