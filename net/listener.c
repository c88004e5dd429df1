/* listener.c - listening sockets: made and probed; see listener.h. */
#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

static int set(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on) == 0 ? 0 : -errno;
}

/* A socket bound to the address. IPV6_V6ONLY always, so that [::] and 0.0.0.0 are two. */
static int open_bound(const struct pf_address *address, bool reuseport)
{
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    int err = set(fd, SOL_SOCKET, SO_REUSEADDR);
    if (!err && family == AF_INET6)
        err = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (!err && reuseport)
        err = set(fd, SOL_SOCKET, SO_REUSEPORT);
    if (!err && bind(fd, (const struct sockaddr *)&address->storage, address->len) != 0)
        err = -errno;
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

int pf_listener_probe(const struct pf_address *address)
{
    int fd = open_bound(address, false);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

int pf_listener_open(struct pf_address *address, int backlog)
{
    int fd = open_bound(address, true);
    if (fd < 0)
        return fd;
    struct pf_address bound = {.len = sizeof bound.storage};
    int err = set(fd, IPPROTO_TCP, TCP_NODELAY);
    if (!err && listen(fd, backlog) != 0)
        err = -errno;
    if (!err && getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len) != 0)
        err = -errno;
    if (err) {
        close(fd);
        return err;
    }
    *address = bound;
    return fd;
}
