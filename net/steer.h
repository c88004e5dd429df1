/*
 * steer.h - which member of a SO_REUSEPORT group gets a new connection or datagram.
 *
 * The kernel's way is a hash over addresses and ports. A small program of the classic BPF
 * (Linux alone) decides otherwise: by the CPU that the packet came in on, or so that a
 * member gets nothing any more. pf_steer_program() writes it and touches nothing,
 * pf_steer_attach() hands it to the kernel, as often as the membership changes.
 *
 * A member is known by its index in the group: listeners have the order of their listen(2),
 * datagram sockets of their bind(2), and when one is closed the last takes its place. An
 * index that nobody has is answered with the kernel's hash, so a program that is late by a
 * change loses no connection. Source: SO_ATTACH_REUSEPORT_CBPF in socket(7),
 * net/core/sock_reuseport.c.
 */
#ifndef PREFORK_NET_STEER_H
#define PREFORK_NET_STEER_H

#include <prefork/base.h>

#include <linux/filter.h>

/* Members of a group. */
#define PF_STEER_MEMBERS_MAX 1024

/* Instructions of the longest program for that many; BPF_MAXINSNS is 4096. */
#define PF_STEER_PROGRAM_MAX 4096

enum pf_steer {
    /*
     * Evenly. With nobody excluded it is the kernel's hash, without a program. Else chance
     * among the others, which for connections is as good: a handshake is kept by the member
     * that got its first packet. Datagrams of one sender then go to different members, and
     * under the hash many change theirs whenever a member comes or goes: lanes that keep
     * something about a sender must be ready for either.
     */
    PF_STEER_HASH,
    /* To a member on the CPU that took the packet in; by chance among several there. */
    PF_STEER_CPU,
};

struct pf_steer_member {
    int cpu; /* the operating system's number; -1: not pinned */
    bool excluded;
};

/*
 * Write the program for these members, by index, into out[max].
 *
 * What comes in on the CPU of excluded members alone goes to the nearest index that is not
 * excluded, the lower of two; on a CPU without a member to the one with the index "number
 * of the CPU, modulo how many are not excluded" among those. With all excluded it is as if
 * nobody were.
 *
 * Returns the number of instructions; 0 if the kernel's hash does it (then detach); -EINVAL
 * (no members, or more than PF_STEER_MEMBERS_MAX), -E2BIG (more than `max`; not with
 * PF_STEER_PROGRAM_MAX). Pure: no system call, no memory.
 */
int pf_steer_program(enum pf_steer how, const struct pf_steer_member *members,
                     unsigned count, struct sock_filter *out, unsigned max);

/*
 * Let this program steer the whole group from the next packet on; fd is any member. 0
 * instructions: the kernel's hash again. Needs no privilege, and nothing is lost by it.
 * Only when all members are open: a program on a socket that does not listen yet makes its
 * listen(2) fail with EADDRINUSE.
 *
 * Returns 0, -EINVAL (not in a group: ALONE, or the FIRST while nobody has joined),
 * -ENOMEM (the program is longer than net.core.optmem_max allows) or -EBADF; then it steers
 * as before. One system call.
 */
int pf_steer_attach(int fd, const struct sock_filter *program, unsigned count);

#endif
