/* listener.c - listening sockets, made; see listener.h. */
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

/* IPV6_V6ONLY always, so that [::] and 0.0.0.0 are two. */
static int set_options(int fd, int family)
{
    int err = set(fd, SOL_SOCKET, SO_REUSEADDR);
    if (!err && family == AF_INET6)
        err = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return err ? err : set(fd, IPPROTO_TCP, TCP_NODELAY);
}

/* Of two programs that bind before either listens, SO_REUSEADDR lets both; then the second
 * listen(2) fails. The kernel looks at SO_REUSEPORT anew for each socket that joins. */
static int bind_and_listen(int fd, const struct pf_address *address, int backlog,
                           enum pf_listener_role role)
{
    int err = role == PF_LISTENER_JOINS ? set(fd, SOL_SOCKET, SO_REUSEPORT) : 0;
    if (err)
        return err;
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) != 0 ||
        listen(fd, backlog) != 0)
        return -errno;
    return role == PF_LISTENER_FIRST ? set(fd, SOL_SOCKET, SO_REUSEPORT) : 0;
}

int pf_listener_open(struct pf_address *address, int backlog, enum pf_listener_role role)
{
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    struct pf_address bound = {.len = sizeof bound.storage};
    int err = set_options(fd, family);
    if (!err)
        err = bind_and_listen(fd, address, backlog, role);
    if (!err && getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len) != 0)
        err = -errno;
    if (err) {
        close(fd);
        return err;
    }
    *address = bound;
    return fd;
}
