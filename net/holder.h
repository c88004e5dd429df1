/*
 * holder.h - who listens on an address, as far as /proc tells this user: /proc/net names a
 * socket's inode, /proc/PID/fd who has it open. listener.h has the answer as text.
 */
#ifndef PREFORK_NET_HOLDER_H
#define PREFORK_NET_HOLDER_H

#include "net/address.h"

/* Sockets of one address: a group has one for each lane. More are not looked at. */
#define PF_HOLDER_SOCKETS_MAX 1024

struct pf_holder_sockets {
    size_t count;
    unsigned long inodes[PF_HOLDER_SOCKETS_MAX];
};

/* The sockets that take what is sent to this address: those that listen on it, or on all
 * addresses of its kind; bound ones if it is a datagram's. None: count 0. */
void pf_holder_find(const struct pf_address *address, struct pf_holder_sockets *out);

/* Has this process one of them open? False too if its descriptors may not be looked at. A
 * system call for each of its descriptors, up to the first that is meant. */
bool pf_holder_has(long pid, const struct pf_holder_sockets *sockets);

/* Of a master and its workers, which all hold them, the master: the first process found
 * whose parent has none of them. Returns its pid, or -ENOENT. Slow: reads /proc. */
long pf_holder_root(const struct pf_holder_sockets *sockets);

#endif
