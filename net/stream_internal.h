/*
 * stream_internal.h - the stream's inside: one struct, and who does what with it.
 *
 *     stream.c          its life, and the loop's side: what is watched, who is called when
 *     stream_read.c     the read that is pending: what it waits for, what it gets
 *     stream_in.c       bytes from the descriptor into the buffer
 *     stream_write.c    bytes out, and who waits for them
 *     stream_connect.c  connecting
 *     stream_end.c      closing, and telling it
 *
 * Whatever the program asks for is noted down in the struct; then pf__stream_asked() sees
 * to it that the loop comes by. What is due is told by the functions that are called
 * pf__stream_tell_..., one callback each. After it everything may be closed, or freed:
 * `freed` says so, and the memory goes when no callback runs any more.
 */
#ifndef PREFORK_NET_STREAM_INTERNAL_H
#define PREFORK_NET_STREAM_INTERNAL_H

#include <prefork/stream.h>

#include "loop/member.h"
#include "net/stream_buffer.h"
#include "net/transport.h"

#include <errno.h>

enum pf__read_kind {
    PF__READ_NONE,
    PF__READ_UNTIL,
    PF__READ_BYTES,
    PF__READ_INTO,
    PF__READ_TO_END,
    PF__READ_CHUNKS,
};

struct pf__stream_read {
    enum pf__read_kind kind;
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

struct pf__stream_call { /* and its arg; fn NULL: nobody */
    pf_stream_fn *fn;
    void *arg;
};

/* A write whose function waits for its last byte. */
struct pf__stream_write {
    struct pf__stream_write *next;
    uint64_t end; /* of all bytes ever written */
    struct pf__stream_call call;
};

enum pf__connecting {
    PF__CONNECT_NONE, /* or never asked for */
    PF__CONNECT_RUNS,
    PF__CONNECT_DONE, /* made, to be told */
    PF__CONNECT_TOLD,
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
    bool lends; /* a callback looks at what was taken from `in` */
    bool closed, close_told;
    bool closes_when_written;
    int error;  /* why it closed */
    int failed; /* what a callback returned: the loop's to report */

    enum pf__connecting connecting;
    struct pf__stream_call on_connect, on_close;
    struct pf__stream_read read;
    struct pf__stream_buffer in, out;
    char *lent; /* what `in` was, if a callback still looks at it: `lends` */
    size_t piece;
    uint64_t sent; /* bytes that are out, of all */
    struct pf__stream_write *writes, **last_write;
};

/* ---- small questions ------------------------------------------------------------- */

static inline int pf__stream_check(const pf_stream *stream)
{
    return stream ? pf__member_check(&stream->member) : -EINVAL;
}

/* Why something did not come about. */
static inline int pf__stream_reason(const pf_stream *stream)
{
    return stream->error ? stream->error : -EPIPE;
}

static inline bool pf__stream_is_idle(const pf_stream *stream)
{
    return stream->read.kind == PF__READ_NONE && stream->on_close.fn &&
           pf__stream_buffer_len(&stream->in) == 0;
}

/* What is to be told: that it is connected, or never will be; that a write is out, or never
 * will be; that it is closed. */
static inline bool pf__stream_connect_is_due(const pf_stream *stream)
{
    return stream->connecting == PF__CONNECT_DONE ||
           (stream->connecting == PF__CONNECT_RUNS && stream->closed);
}

static inline bool pf__stream_write_is_due(const pf_stream *stream)
{
    return stream->writes && (stream->closed || stream->writes->end <= stream->sent);
}

static inline bool pf__stream_close_is_due(const pf_stream *stream)
{
    return stream->closed && !stream->close_told && stream->on_close.fn;
}

/* ---- stream.c -------------------------------------------------------------------- */

/* Have the loop come by and tell what is due. */
void pf__stream_schedule(pf_stream *stream);

/* A call has noted down what it wants. Returns 0, or why that cannot be watched. */
int pf__stream_asked(pf_stream *stream);

/* Call one, if there is one; and take what a callback has returned. */
void pf__stream_tell(pf_stream *stream, struct pf__stream_call call, int err);
void pf__stream_called(pf_stream *stream, int result);

/* ---- stream_read.c --------------------------------------------------------------- */

/* Is there something to tell or to decide about the read? */
bool pf__stream_read_is_due(pf_stream *stream);

/* Copy what is buffered to where it is wanted. */
void pf__stream_read_take(pf_stream *stream);

/* Returns false if there was nothing to tell. */
bool pf__stream_tell_read(pf_stream *stream);

/* ---- stream_in.c ----------------------------------------------------------------- */

/* Read what the stream wants and the descriptor has; closes it at the end of that. */
void pf__stream_fill(pf_stream *stream);

/* It breaks over a write: what the peer said before it left is not lost, within the limits.
 */
void pf__stream_break_off(pf_stream *stream, int error);

/* ---- stream_write.c -------------------------------------------------------------- */

/* Write what waits, as far as it goes. */
void pf__stream_drain(pf_stream *stream);

/* Close it, if that is all it waited for. */
void pf__stream_finish_when_written(pf_stream *stream);

void pf__stream_tell_written(pf_stream *stream);

/* ---- stream_connect.c ------------------------------------------------------------ */

/* The descriptor is ready: it is connected, or it is not. */
void pf__stream_finish_connecting(pf_stream *stream);

void pf__stream_tell_connected(pf_stream *stream);

/* ---- stream_end.c ---------------------------------------------------------------- */

/* The loop closes the descriptor, whether by itself or because we say so. */
void pf__stream_on_loop_closes(int fd, void *arg);

/* Close it, by the loop if that watches it. */
void pf__stream_close_descriptor(pf_stream *stream);

/* The last thing before its callbacks; a second end changes nothing. */
void pf__stream_end(pf_stream *stream, int error);

void pf__stream_tell_closed(pf_stream *stream);

#endif
