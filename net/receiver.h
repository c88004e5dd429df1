/*
 * receiver.h - datagrams from a socket, on a loop.
 */
#ifndef PREFORK_NET_RECEIVER_H
#define PREFORK_NET_RECEIVER_H

#include "net/address.h"
#include <prefork/loop.h>

/* Datagrams handed over before other descriptors get their turn. */
#define PF_RECEIVER_BURST 64
/* The receiver's buffer: no datagram of UDP is longer, so that none is cut. */
#define PF_RECEIVER_BUFFER 65536
/* How long receiving rests when recvfrom(2) fails for another reason than a datagram. */
#define PF_RECEIVER_REST_NS (100 * PF_MILLISECOND)

typedef struct pf_receiver pf_receiver;

/*
 * A datagram, of 0 bytes or more, from `peer`: all borrowed for the call. fd is the socket,
 * for an answer by sendto(2): non-blocking, an answer that does not fit is lost, as
 * datagrams may be. May pause, drain or free the receiver.
 */
typedef void pf_receive_fn(pf_receiver *receiver, int fd, const void *data, size_t len,
                           const struct pf_address *peer, void *arg);

/*
 * Call fn on `loop` for each datagram that comes to fd (borrowed, non-blocking): up to
 * PF_RECEIVER_BURST each time it is ready. Errors that an earlier answer brought back, such
 * as ECONNREFUSED, are skipped.
 *
 * Returns 0, -EINVAL, -ENOMEM, or what pf_loop_add_handler() answers. Memory: the buffer.
 * Cost: one recvfrom(2) for each datagram, and one more when fewer than a burst came.
 */
int pf_receiver_new(pf_loop *loop, int fd, pf_receive_fn *fn, void *arg, pf_receiver **out);

/* As pf_acceptor_drain(), pf_acceptor_pause(), pf_acceptor_resume(). */
int pf_receiver_drain(pf_receiver *receiver, int max);
int pf_receiver_pause(pf_receiver *receiver);
int pf_receiver_resume(pf_receiver *receiver);

/* Stop receiving and free it; fd stays open. In a child: only frees, before
 * pf_loop_discard(). From a foreign thread: nothing. NULL is fine. May be called inside fn.
 */
void pf_receiver_free(pf_receiver *receiver);

#endif
