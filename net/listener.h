/*
 * listener.h - listening sockets: made, and accepted from.
 *
 * The maker (the master) opens one socket for each lane, all in one SO_REUSEPORT group; a
 * lane accepts from its own. Options set on a listener are inherited by what it accepts, so
 * that no connection costs a setsockopt(2).
 */
#ifndef PREFORK_NET_LISTENER_H
#define PREFORK_NET_LISTENER_H

#include "net/address.h"
#include <prefork/loop.h>

/* Connections accepted before other descriptors get their turn. */
#define PF_LISTENER_BURST 64
/* How long accepting rests when the process or system is out of descriptors or memory. */
#define PF_LISTENER_PAUSE_NS (100 * PF_MILLISECOND)

/*
 * Make a TCP socket, bound to `address` and listening: non-blocking, close-on-exec,
 * SO_REUSEADDR, IPV6_V6ONLY, TCP_NODELAY (inherited by what it accepts). With port 0 the
 * kernel picks; *address then says which.
 *
 * SO_REUSEPORT would let a second server of the same user bind silently and take half the
 * connections. So the first socket of a group is bound and listened on without it, which
 * only one program can do, and is opened for others only then; they join.
 *
 * Returns the descriptor, yours, or -EADDRINUSE, -EACCES (a port below 1024 without the
 * privilege), -EADDRNOTAVAIL (not an address of this machine), -EAFNOSUPPORT or another
 * errno of socket(2), bind(2), listen(2).
 */
enum pf_listener_role {
    PF_LISTENER_FIRST,
    PF_LISTENER_JOINS,
};
int pf_listener_open(struct pf_address *address, int backlog, enum pf_listener_role role);

/*
 * Who listens on this address, as far as /proc tells this user: "nginx (pid 4711)" into
 * text, at most len - 1 bytes. Returns 0, or -ENOENT if nobody is found. Slow: reads /proc.
 */
int pf_listener_holder(const struct pf_address *address, char *text, size_t len);

typedef struct pf_acceptor pf_acceptor;

/* fd is yours now: non-blocking, close-on-exec. `peer` is borrowed for the call. */
typedef void pf_accept_fn(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                          void *arg);

/*
 * Accept on `loop` from listen_fd (borrowed, non-blocking): up to PF_LISTENER_BURST
 * connections each time it is ready. Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS,
 * ENOMEM) it rests for PF_LISTENER_PAUSE_NS and says so in the log, instead of spinning;
 * a connection that died in the queue is skipped.
 *
 * Returns 0 or what pf_loop_add_handler() answers.
 */
int pf_acceptor_new(pf_loop *loop, int listen_fd, pf_accept_fn *fn, void *arg,
                    pf_acceptor **out);

/*
 * Accept once more until the queue is empty, at most `max` connections. For a drain: what
 * stood in the queue is served. Returns how many came, or the loop's guard errors.
 */
int pf_acceptor_drain(pf_acceptor *acceptor, int max);

/* Stop accepting and free it; the listening socket stays open. In a child: only frees,
 * before pf_loop_discard(). From a foreign thread: nothing. NULL is fine. May be called
 * inside fn. */
void pf_acceptor_free(pf_acceptor *acceptor);

#endif
