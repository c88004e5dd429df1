/*
 * transport.h - what is under a stream: how bytes get to and from its descriptor.
 *
 * A stream knows buffers, callbacks and the end; a transport knows the system calls. This
 * is the one for what the kernel carries as it is: sockets, pipes, terminals. Another one
 * may encrypt, or have reads completed before it is asked.
 */
#ifndef PREFORK_NET_TRANSPORT_H
#define PREFORK_NET_TRANSPORT_H

#include <prefork/base.h>
#include <sys/types.h>

struct pf__transport;

struct pf__transport_ops {
    /* Up to len (at least 1) bytes. Returns how many, 0 at the end, -EAGAIN (later), or
     * another negative errno: it is broken. Never blocks, is never interrupted. */
    ssize_t (*read)(struct pf__transport *transport, void *data, size_t len);

    /* The same; 0 is for len 0 alone. No signal comes of it. */
    ssize_t (*write)(struct pf__transport *transport, const void *data, size_t len);

    /* Tell the peer that this was all, though another process may hold the descriptor. */
    void (*shutdown)(struct pf__transport *transport);

    /* Give up the descriptor and all else. */
    void (*close)(struct pf__transport *transport);

    /* The events to be watched so that a read (PF_READ) or a write (PF_WRITE) gets on. */
    unsigned (*wants)(const struct pf__transport *transport, unsigned events);
};

struct pf__transport {
    const struct pf__transport_ops *ops;
    int fd; /* -1: closed */
    bool is_socket;
    bool can_read, can_write;
};

/*
 * Over fd, made non-blocking. It is the transport's from now on; after an error it is the
 * caller's. Returns 0, -EBADF or -ENOTSUP (neither socket, pipe nor terminal).
 */
int pf__transport_open(struct pf__transport *transport, int fd);

#endif
