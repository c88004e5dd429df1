/*
 * acceptor.h - accepting from a listening socket, on a loop.
 */
#ifndef PREFORK_NET_ACCEPTOR_H
#define PREFORK_NET_ACCEPTOR_H

#include "net/address.h"
#include <prefork/loop.h>

/* Connections accepted before other descriptors get their turn, from a socket of our own.
 */
#define PF_ACCEPTOR_BURST 64
/* How long accepting rests when the process or system is out of descriptors or memory. */
#define PF_ACCEPTOR_REST_NS (100 * PF_MILLISECOND)
/* Accepted connections after which an exclusive acceptor queues behind the others. */
#define PF_ACCEPTOR_READD 16

typedef struct pf_acceptor pf_acceptor;

/* fd is yours now: non-blocking, close-on-exec. `peer` is borrowed for the call. May pause,
 * drain or free the acceptor. */
typedef void pf_accept_fn(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                          void *arg);

enum pf_accept_mode {
    /* The socket is one lane's: up to PF_ACCEPTOR_BURST connections a wake. */
    PF_ACCEPT_OWN,
    /* Several lanes watch the same socket, and all wake: one connection a wake, so that
     * each gets some. */
    PF_ACCEPT_SHARED,
    /* The same with PF_EXCLUSIVE: few wake. The kernel prefers whoever watches longest, so
     * after every PF_ACCEPTOR_READD connections the socket is watched anew. */
    PF_ACCEPT_EXCLUSIVE,
};

struct pf_acceptor_options {
    enum pf_accept_mode mode;
    pf_accept_fn *fn;
    /*
     * When descriptors have been short for patience_ns without a connection accepted: for
     * one connection at each further rest, to say no and close fd before it returns. Until
     * then they just wait: most shortages pass. May be NULL. The acceptor then keeps a
     * spare descriptor, which is given up for it and opened again afterwards.
     */
    pf_accept_fn *refuse;
    int64_t patience_ns; /* 0: none, from the first rest on */
    void *arg;           /* handed to both */
};

/*
 * Accept on `loop` from listen_fd (borrowed, non-blocking). The options are copied.
 *
 * Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM, or anything unheard of) it
 * rests for PF_ACCEPTOR_REST_NS and says so in the log, now and then, instead of spinning;
 * the connections wait in the queue. Long out of descriptors, `refuse` gets one connection
 * before each rest, if the spare was there: it is missing while even /dev/null cannot be
 * opened, which is tried again at each rest. A connection that died in the queue is
 * skipped.
 *
 * Returns 0, -EINVAL (no fn), -ENOMEM, or what pf_loop_add_handler() answers.
 */
int pf_acceptor_new(pf_loop *loop, int listen_fd, const struct pf_acceptor_options *options,
                    pf_acceptor **out);

/*
 * Accept once more until the queue is empty, at most `max` connections, though it be
 * paused. For a drain: what stood in the queue is served. Ends early if fn pauses or
 * resumes. Returns how many came, or the loop's guard errors.
 */
int pf_acceptor_drain(pf_acceptor *acceptor, int max);

/*
 * Stop accepting, at once, and go on. Connections wait in the queue meanwhile. They do not
 * add up: one resume ends any number of pauses. Resuming without memory is tried again by
 * itself after PF_ACCEPTOR_REST_NS. Both return 0 or the loop's guard errors, nothing else.
 * Cost: one system call, none if it is so already.
 */
int pf_acceptor_pause(pf_acceptor *acceptor);
int pf_acceptor_resume(pf_acceptor *acceptor);

/* Stop accepting and free it; the listening socket stays open. In a child: frees, and
 * closes the child's copy of the spare, before pf_loop_discard(). From a foreign thread:
 * nothing. NULL is fine. May be called inside fn and refuse. */
void pf_acceptor_free(pf_acceptor *acceptor);

#endif
