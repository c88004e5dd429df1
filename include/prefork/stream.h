/*
 * stream.h - bytes to and from a socket or a pipe, buffered; Tornado's IOStream in C.
 *
 *     pf_stream_new(loop, fd, NULL, &stream);
 *     pf_stream_set_close_callback(stream, on_close, NULL);       frees the stream
 *     pf_stream_read_until(stream, "\n", 1, on_line, NULL);
 *
 *     static int on_line(pf_stream *stream, const char *data, size_t len, int err,
 *                        void *arg)
 *     {
 *         if (err)
 *             return 0;                                           on_close will hear of it
 *         pf_stream_write(stream, data, len, NULL, NULL);
 *         return pf_stream_read_until(stream, "\n", 1, on_line, arg);
 *     }
 *
 * One read at a time; any number of writes, which go out in order. Every read and every
 * write that has a function gets it called exactly once, unless the stream is freed before:
 * from the loop, never inside the call that asked.
 *
 * THE END. A stream closes when the program says so, when the peer has closed, and when it
 * breaks; pf_stream_error() then says why: 0 for the first two. What is buffered can still
 * be read. A read that will not get what it asked for and writes that are not out are told;
 * then the close callback is called, once. A stream that has a close callback notices the
 * peer's end while nothing is read, too, if nothing is buffered. A peer that only shut down
 * its sending side has closed, as in Tornado: use pf_conn, which knows half-closed ones.
 *
 * LIMITS. What is read but not asked for stays with the kernel, up to one piece. A read
 * that would need more than max_buffer_size bytes, or more than its own limit, closes the
 * stream with -EMSGSIZE; just as many is fine. A write that does not fit into
 * max_write_buffer_size is refused with -ENOBUFS.
 *
 * CALLBACKS may call anything, and free the stream. One that returns a negative errno
 * closes the stream with it, and the loop reports it (-EPIPE silently). Their context
 * (pf_loop_set_context_hooks) is that of pf_stream_new().
 *
 * A stream belongs to the thread of its loop. Every function that returns int may answer,
 * beside what its comment lists, -EINVAL, -ECHILD (made in another process), -EPERM
 * (another thread) and -ESTALE (the loop is closed; no callback comes any more, free it);
 * then nothing has changed. Not signal-safe.
 */
#ifndef PREFORK_STREAM_H
#define PREFORK_STREAM_H

#include <prefork/base.h>
#include <prefork/loop.h>

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_stream pf_stream;

/*
 * What was read: data[0..len), borrowed for the call. err is 0, or the negative errno for
 * which the read ends without all it asked for: the stream's, or -EPIPE after an orderly
 * close.
 */
typedef int pf_stream_read_fn(pf_stream *stream, const char *data, size_t len, int err,
                              void *arg);

/* The connection is made, the bytes are with the kernel, or the stream is closed; err is 0
 * or a negative errno. */
typedef int pf_stream_fn(pf_stream *stream, int err, void *arg);

/* Where the options say 0. */
#define PF_STREAM_READ_MAX  (100 * 1024 * 1024) /* buffered, or asked for, by one read */
#define PF_STREAM_WRITE_MAX (100 * 1024 * 1024) /* written, and not with the kernel yet */
#define PF_STREAM_CHUNK     (64 * 1024)         /* of one read(2) */

/* The longest delimiter. */
#define PF_STREAM_DELIMITER_MAX 32

/* Bytes for pf_stream_read_chunks() that never come: up to the end. */
#define PF_STREAM_TO_END SIZE_MAX

struct pf_stream_options {
    size_t size;
    size_t max_buffer_size;       /* 0: PF_STREAM_READ_MAX */
    size_t max_write_buffer_size; /* 0: PF_STREAM_WRITE_MAX */
    size_t read_chunk_size;       /* 0: PF_STREAM_CHUNK */
};
#define PF_STREAM_OPTIONS .size = sizeof(struct pf_stream_options)

/*
 * Make a stream over `fd`: a connected socket or one that is to be (TCP, unix), or one end
 * of a pipe, or a terminal. It is made non-blocking, and is the stream's from now on; after
 * an error it is the caller's as before. `options` may be NULL. A loop that is closed with
 * all_fds closes it if the stream waits for something.
 *
 * Returns 0, or -EBADF, -ENOTSUP (a file, a directory), -ENOMEM. Cost: two or three system
 * calls; nothing is watched before something is to be waited for.
 */
PF_API int pf_stream_new(pf_loop *loop, int fd, const struct pf_stream_options *options,
                         pf_stream **out);

/*
 * Close it if it is open, without a callback, and free it. What was written and is not out
 * is lost. NULL is fine. Also inside its callbacks. In a child, before or after
 * pf_loop_discard(): closes the child's copy of the descriptor, and frees. On another
 * thread: nothing.
 */
PF_API void pf_stream_free(pf_stream *stream);

/*
 * Connect the socket to `address`, then call fn(stream, err, arg), which may be NULL. Reads
 * and writes may be asked for meanwhile. A refusal closes the stream: fn is called before
 * the reads, the writes and the close callback.
 *
 * Returns 0 (whatever connect(2) says: fn hears it), or -EALREADY (asked before),
 * -ENOTSOCK, -EPIPE (closed), or what pf_loop_add_handler() answers. Source: connect(2).
 */
PF_API int pf_stream_connect(pf_stream *stream, const struct sockaddr *address,
                             socklen_t len, pf_stream_fn *fn, void *arg);

/* ---- reading --------------------------------------------------------------------- */

/*
 * All reads return 0, or -EALREADY (one is pending), -EPIPE (closed, and what is buffered
 * does not do), -EBADF (the writing end of a pipe), or what pf_loop_add_handler() answers.
 * Cost: no system call; one when the kernel is to watch for something else than before.
 */

/* Up to and with `delimiter`, 1 to PF_STREAM_DELIMITER_MAX bytes, copied. Each byte that
 * comes is looked at once. */
PF_API int pf_stream_read_until(pf_stream *stream, const void *delimiter, size_t len,
                                pf_stream_read_fn *fn, void *arg);

/* The same, if the delimiter ends within `max` bytes; else the stream is closed with
 * -EMSGSIZE. */
PF_API int pf_stream_read_until_max(pf_stream *stream, const void *delimiter, size_t len,
                                    size_t max, pf_stream_read_fn *fn, void *arg);

/* n bytes; if `partial`, as soon as there is any, and at most n. 0 bytes come at once.
 * Returns -EMSGSIZE too: n is more than max_buffer_size, and not partial. */
PF_API int pf_stream_read_bytes(pf_stream *stream, size_t n, bool partial,
                                pf_stream_read_fn *fn, void *arg);

/* The same into buffer[0..n), borrowed until fn is called or the stream freed; fn gets it
 * as `data`. n has no limit. If the stream ends before, fn gets what has come, and err. */
PF_API int pf_stream_read_into(pf_stream *stream, void *buffer, size_t n, bool partial,
                               pf_stream_read_fn *fn, void *arg);

/* All that comes, when the stream is closed; err is the stream's error. On a closed stream:
 * what is left, maybe nothing. */
PF_API int pf_stream_read_until_close(pf_stream *stream, pf_stream_read_fn *fn, void *arg);

/*
 * n bytes, or, with PF_STREAM_TO_END, all until the stream is closed, in pieces as they
 * come: on_chunk(stream, data, len, 0, arg) for each, then fn with none.
 */
PF_API int pf_stream_read_chunks(pf_stream *stream, size_t n, pf_stream_read_fn *on_chunk,
                                 pf_stream_read_fn *fn, void *arg);

/* Is a read pending? False in a child and on another thread. */
PF_API bool pf_stream_reading(const pf_stream *stream);

/* Bytes that have been read and not been asked for. */
PF_API size_t pf_stream_buffered(const pf_stream *stream);

/* ---- writing --------------------------------------------------------------------- */

/*
 * Write data[0..len): at once as far as the kernel takes it, the rest is copied. fn, which
 * may be NULL, is called when these bytes are out. If the stream breaks over it this still
 * returns 0: fn and the close callback hear it.
 *
 * Returns 0, or, with nothing taken, -ENOBUFS (does not fit into max_write_buffer_size with
 * what waits), -EPIPE (closed, or closing when written), -EBADF (the reading end of a
 * pipe), -ENOMEM. Cost: one system call, three or more on a pipe, where SIGPIPE is held
 * back.
 */
PF_API int pf_stream_write(pf_stream *stream, const void *data, size_t len,
                           pf_stream_fn *fn, void *arg);

/* Bytes that are not out yet: for back-pressure. */
PF_API size_t pf_stream_writing(const pf_stream *stream);

/* Small writes leave at once (TCP_NODELAY), or not. Returns 0, -EPIPE (closed), -ENOTSUP
 * (not TCP). Source: tcp(7). */
PF_API int pf_stream_set_nodelay(pf_stream *stream, bool on);

/* ---- the end --------------------------------------------------------------------- */

/* Call fn(stream, err, arg) once the stream is closed, after all other callbacks that were
 * due; err is pf_stream_error(). NULL: nobody. Also on one that is closed, if none has been
 * called. Returns 0, or what pf_loop_add_handler() answers. */
PF_API int pf_stream_set_close_callback(pf_stream *stream, pf_stream_fn *fn, void *arg);

/* Close it now; what was written and is not out is lost. Returns 0, also when it is closed
 * already. */
PF_API int pf_stream_close(pf_stream *stream);

/* Close it when all that was written is out; no more can be written. Reads go on until
 * then. Returns 0. */
PF_API int pf_stream_close_when_written(pf_stream *stream);

/* Is it closed? Also true in a child. */
PF_API bool pf_stream_closed(const pf_stream *stream);

/* Why it closed, a negative errno; 0 while it is open, and after an orderly end. */
PF_API int pf_stream_error(const pf_stream *stream);

/* Its descriptor, borrowed; -1 when it is closed. */
PF_API int pf_stream_fd(const pf_stream *stream);

/* Its loop; NULL once that is gone. */
PF_API pf_loop *pf_stream_loop(const pf_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
