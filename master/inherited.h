/*
 * inherited.h - listening sockets that the service manager has handed over: LISTEN_FDS, as
 * in sd_listen_fds(3), by hand.
 *
 * Which is which is told by their addresses, not by their order or their names. They cannot
 * be multiplied, so that all lanes share one.
 */
#ifndef PREFORK_MASTER_INHERITED_H
#define PREFORK_MASTER_INHERITED_H

#include "net/listener.h"

#define PF__INHERITED_MAX 64

struct pf__inherited_socket {
    int fd;    /* -1: somebody has taken it */
    bool dual; /* [::] that serves IPv4 as well */
    struct pf_address address;
};

struct pf__inherited {
    size_t count;
    struct pf__inherited_socket sockets[PF__INHERITED_MAX];
};

/*
 * Take what LISTEN_FDS says, if LISTEN_PID is ours, make it ours with pf_listener_adopt(),
 * and unset LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES. What is not for us, or cannot be
 * used, is told to the log, and left as it is. To be called before descriptors are opened.
 */
void pf__inherited_take(struct pf__inherited *out,
                        const struct pf_listener_options *options);

/* The one for this address: exactly, or a dual one for 0.0.0.0; taken or not. NULL: none.
 */
struct pf__inherited_socket *pf__inherited_find(struct pf__inherited *inherited,
                                                const struct pf_address *address);

/* Close what nobody has taken, each with a warning. */
void pf__inherited_close(struct pf__inherited *inherited);

#endif
