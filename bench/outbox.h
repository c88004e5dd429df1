/*
 * outbox.h - what a connection did not take at once: pieces of memory that somebody else
 * keeps, sent in order, without copying what is in them.
 */
#ifndef PREFORK_BENCH_OUTBOX_H
#define PREFORK_BENCH_OUTBOX_H

#include <stddef.h>
#include <sys/uio.h>

/* Pieces in one send: IOV_MAX in sendmsg(2). */
#define OUTBOX_PIECES_MAX 1024

struct outbox; /* NULL: nothing waits */

/*
 * Send these pieces, or, if others wait already, put them behind those. What the socket
 * does not take is kept in *box. The array is scratch afterwards.
 *
 * Returns 0 (all is out), 1 (some waits: call outbox_resume() when the socket is writable),
 * or -ENOMEM, or what sendmsg(2) failed with: then the peer is as good as gone.
 */
int outbox_send(struct outbox **box, int fd, struct iovec *pieces, size_t count);

/* Send what waits: the same results. */
int outbox_resume(struct outbox **box, int fd);

void outbox_free(struct outbox *box);

#endif
