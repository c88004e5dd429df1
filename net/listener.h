/*
 * listener.h - listening sockets, made and looked at; acceptor.h accepts from them,
 * receiver.h reads datagrams.
 *
 * The maker (the master) opens one socket for each lane, all in one SO_REUSEPORT group; a
 * lane accepts from its own. Or it opens one for all lanes (PF_LISTENER_ALONE): unix
 * sockets know no other way. Options set on a listener are inherited by what it accepts, so
 * that no connection costs a setsockopt(2).
 *
 * Listeners are inherited over a fork: who must not have one closes it, and never calls
 * shutdown(2), which ends it for all who hold it.
 */
#ifndef PREFORK_NET_LISTENER_H
#define PREFORK_NET_LISTENER_H

#include "net/address.h"

/* How a listener is made; all members of a group alike. Zeros are good, but for backlog. */
struct pf_listener_options {
    int backlog; /* listen(2); the kernel clips it: pf_listener_clipped() */

    /* TCP_DEFER_ACCEPT: a connection is not handed over before its first bytes have come,
     * for about so many seconds; then it is, or is dropped. 0: at once. */
    int defer_accept_s;

    /* TCP_FASTOPEN: data in the first packet of clients that were here before; at most so
     * many that have not finished the handshake. 0: off. */
    int fastopen;

    /* Permission bits of a unix socket's file: connecting asks for the right to write.
     * 0: 0777 less what umask(2) takes, which mostly leaves the owner alone. */
    unsigned unix_mode;
};

/*
 * SO_REUSEPORT would let a second server of the same user bind silently and take half the
 * connections. So the first socket of a group is bound and listened on without it, which
 * only one program can do, and is opened for others only then; they join.
 */
enum pf_listener_role {
    PF_LISTENER_FIRST, /* of a group: one for each lane */
    PF_LISTENER_JOINS, /* the others of the group */
    PF_LISTENER_ALONE, /* one for all lanes: never SO_REUSEPORT */
};

/*
 * Make a socket, bound to `address` and listening: non-blocking, close-on-exec. A TCP one
 * has SO_REUSEADDR, IPV6_V6ONLY, and for what it accepts TCP_NODELAY and SO_KEEPALIVE. A
 * datagram one is bound, and has IPV6_V6ONLY. With port 0 the kernel picks; *address then
 * says which. An abstract unix socket has to be ALONE; one with a file is opened by
 * pf_listener_file_open().
 *
 * The index of a socket in its group, which steer.h is about, is the order in which they
 * were opened; closing one moves the last into its place.
 *
 * Returns the descriptor, yours, or -EADDRINUSE, -EACCES (a port below 1024 without the
 * privilege), -EADDRNOTAVAIL (not an address of this machine), -EAFNOSUPPORT, -EINVAL (a
 * unix socket with a file, or not ALONE; an option out of its range) or another errno of
 * socket(2), bind(2), listen(2), setsockopt(2); then *address is as it was. Thread-safe.
 * Source: tcp(7), socket(7), ipv6(7), udp(7).
 */
int pf_listener_open(struct pf_address *address, const struct pf_listener_options *options,
                     enum pf_listener_role role);

/*
 * Take over a socket that somebody else has bound, and listens on if it is a stream's: it
 * gets non-blocking, close-on-exec, and what pf_listener_open() sets on its own, as far as
 * that can be set now; backlog, unix_mode and IPV6_V6ONLY stay. *address says where it is,
 * *dual whether it is an IPv6 one that serves IPv4 as well.
 *
 * Returns 0, or -EBADF, -ENOTSOCK, -EPROTOTYPE (neither streams nor datagrams),
 * -EAFNOSUPPORT (neither IP nor unix), -ENOTCONN (a stream's that does not listen) or what
 * setsockopt(2) fails with: then it is not ours. Some ten system calls. Source: socket(7),
 * SO_ACCEPTCONN; ipv6(7).
 */
int pf_listener_adopt(int fd, const struct pf_listener_options *options,
                      struct pf_address *address, bool *dual);

/* What the kernel makes of a backlog: it clips to net.core.somaxconn, silently. Returns
 * the smaller of the two, or `backlog` if /proc does not say. Reads a file. */
int pf_listener_clipped(int backlog);

/*
 * How many connections wait in a TCP listener's queue, and how many may. Returns 0, or
 * -ENOTSUP (not TCP, or not a listener), -EBADF. One system call. Source: tcpi_unacked and
 * tcpi_sacked in tcp(7), net/ipv4/tcp.c.
 */
int pf_listener_queue(int fd, unsigned *queued, unsigned *max);

/* Does at least one connection or datagram wait? For every kind of socket; false if it
 * cannot be told. One system call: poll(2). */
bool pf_listener_has_queue(int fd);

/*
 * Who listens on this address, as far as /proc tells this user: "nginx (pid 4711)" into
 * text, at most len - 1 bytes. Returns 0, or -ENOENT if nobody is found. Slow: reads /proc.
 */
int pf_listener_holder(const struct pf_address *address, char *text, size_t len);

#endif
