/*
 * listeners.h - the master's listening sockets: a row of addresses, a column for each lane.
 *
 * An address has a socket for each lane, all in one group, or one that all lanes share. As
 * long as the server runs, none of them is closed: what stands in a queue waits there for
 * whoever comes next.
 */
#ifndef PREFORK_MASTER_LISTENERS_H
#define PREFORK_MASTER_LISTENERS_H

#include "net/acceptor.h"
#include "net/address.h"
#include "net/listener_file.h"

#include <linux/filter.h>
#include <prefork/master.h>

/* Addresses in all; one --bind may stand for several. */
#define PF__ADDRESSES_MAX 64

struct pf__listeners {
    size_t count;   /* addresses */
    unsigned lanes; /* columns */
    struct pf_address addresses[PF__ADDRESSES_MAX];
    enum pf_accept_mode modes[PF__ADDRESSES_MAX]; /* PF_ACCEPT_OWN: a socket for each lane;
                                                     else the first lane's is everybody's */
    struct pf_listener_file files[PF__ADDRESSES_MAX]; /* of unix sockets that have one */
    int *fds; /* [lane * PF__ADDRESSES_MAX + address]; -1: none, or closed */
};

/*
 * Bind and listen on each of options->binds, only if nobody else does; or take what was
 * handed over, as options->inherit says: see inherited.h. A socket that a dead
 * server's worker is about to close, or nobody is seen to hold, is waited for,
 * PF__LISTENERS_WAIT_NS at the most.
 *
 * Returns PF_EXIT_OK, or PF_EXIT_USAGE, PF_EXIT_UNAVAILABLE or PF_EXIT_SOFTWARE with one
 * line in options->error; then nothing is open.
 */
#define PF__LISTENERS_WAIT_NS (2 * PF_SECOND)
int pf__listeners_open(struct pf__listeners *listeners, unsigned lanes,
                       const struct pf_master_options *options);

/* The socket that a lane accepts from at an address, be it everybody's; -1: closed. */
int pf__listeners_fd(const struct pf__listeners *listeners, unsigned lane, size_t address);

/* The sockets that are this lane's alone, in the order of the addresses, into fds[]; how
 * many. */
size_t pf__listeners_own(const struct pf__listeners *listeners, unsigned lane, int *fds);

/* Does something wait on the lane's own sockets? A system call for each. */
bool pf__listeners_wait(const struct pf__listeners *listeners, unsigned lane);

/* Steer all groups by this program (0 instructions: by the kernel's hash). */
void pf__listeners_steer(const struct pf__listeners *listeners,
                         const struct sock_filter *program, unsigned count);

/* Close the sockets of the lanes that are not among `count` from `first` on, those of all
 * lanes excepted, and give up the files' locks: for a worker, with its own lanes. */
void pf__listeners_keep(struct pf__listeners *listeners, unsigned first, unsigned count);

/* Close them all, and remove what is in the file system (not in a child). */
void pf__listeners_close(struct pf__listeners *listeners);

/* The same, and free the memory. */
void pf__listeners_fini(struct pf__listeners *listeners);

#endif
