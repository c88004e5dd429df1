/* listener.c - see listener.h. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/* SO_REUSEADDR is for connections of a predecessor that linger; datagram sockets that have
 * it may share an address. */
static int set_stream_options(int fd, const struct pf_listener_options *options)
{
    int err = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!err)
        err = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!err)
        err = set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!err && options->defer_accept_s)
        err = set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options->defer_accept_s);
    if (!err && options->fastopen)
        err = set(fd, IPPROTO_TCP, TCP_FASTOPEN, options->fastopen);
    return err;
}

/* IPV6_V6ONLY always, so that [::] and 0.0.0.0 are two. */
static int set_options(int fd, const struct pf_address *address,
                       const struct pf_listener_options *options)
{
    int err = 0;
    if (address->storage.ss_family == AF_INET6)
        err = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (err || address->datagram || pf_address_is_unix(address))
        return err;
    return set_stream_options(fd, options);
}

/* Of two programs that bind before either listens, SO_REUSEADDR lets both; then the second
 * listen(2) fails. The kernel looks at SO_REUSEPORT anew for each socket that joins. */
static int bind_and_listen(int fd, const struct pf_address *address, int backlog,
                           enum pf_listener_role role)
{
    int err = role == PF_LISTENER_JOINS ? set(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
    if (err)
        return err;
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) != 0 ||
        (!address->datagram && listen(fd, backlog) != 0))
        return -errno;
    return role == PF_LISTENER_FIRST ? set(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
}

static bool is_possible(const struct pf_address *address,
                        const struct pf_listener_options *options,
                        enum pf_listener_role role)
{
    if (options->defer_accept_s < 0 || options->fastopen < 0)
        return false;
    return !pf_address_is_unix(address) ||
           (role == PF_LISTENER_ALONE && !pf_address_path(address));
}

int pf_listener_open(struct pf_address *address, const struct pf_listener_options *options,
                     enum pf_listener_role role)
{
    if (!is_possible(address, options, role))
        return -EINVAL;
    int type = address->datagram ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(address->storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    struct pf_address bound = {.len = sizeof bound.storage, .datagram = address->datagram};
    int err = set_options(fd, address, options);
    if (!err)
        err = bind_and_listen(fd, address, options->backlog, role);
    if (!err && getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len) != 0)
        err = -errno;
    if (err) {
        close(fd);
        return err;
    }
    *address = bound;
    return fd;
}

static int get(int fd, int level, int option, int *value)
{
    socklen_t len = sizeof *value;
    return getsockopt(fd, level, option, value, &len) == 0 ? 0 : -errno;
}

/* Is it one that we can serve? */
static int look_at(int fd, struct pf_address *address)
{
    int type = 0, listens = 0;
    int err = get(fd, SOL_SOCKET, SO_TYPE, &type);
    if (!err && type != SOCK_STREAM && type != SOCK_DGRAM)
        err = -EPROTOTYPE;
    if (!err)
        err = get(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
    if (!err && type == SOCK_STREAM && !listens)
        err = -ENOTCONN;
    if (err)
        return err;
    *address =
        (struct pf_address){.len = sizeof address->storage, .datagram = type == SOCK_DGRAM};
    if (getsockname(fd, (struct sockaddr *)&address->storage, &address->len) != 0)
        return -errno;
    int family = address->storage.ss_family;
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX ? 0 : -EAFNOSUPPORT;
}

int pf_listener_adopt(int fd, const struct pf_listener_options *options,
                      struct pf_address *address, bool *dual)
{
    struct pf_address found;
    int only_ipv6 = 1;
    int err = look_at(fd, &found);
    if (!err && found.storage.ss_family == AF_INET6)
        err = get(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6);
    if (!err && !found.datagram && !pf_address_is_unix(&found))
        err = set_stream_options(fd, options);
    if (err)
        return err;
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return -errno;
    *address = found;
    *dual = !only_ipv6;
    return 0;
}

int pf_listener_clipped(int backlog)
{
    int most;
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
    bool known = file && fscanf(file, "%d", &most) == 1;
    if (file)
        fclose(file);
    return known && most < backlog ? most : backlog;
}

int pf_listener_queue(int fd, unsigned *queued, unsigned *max)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return errno == EBADF ? -EBADF : -ENOTSUP;
    if (info.tcpi_state != TCP_LISTEN)
        return -ENOTSUP;
    *queued = info.tcpi_unacked;
    *max = info.tcpi_sacked;
    return 0;
}

bool pf_listener_has_queue(int fd)
{
    struct pollfd ask = {.fd = fd, .events = POLLIN};
    return poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN) != 0;
}
