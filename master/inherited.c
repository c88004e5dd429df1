/* inherited.c - see inherited.h. */
#include "master/inherited.h"

#include <prefork/log.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SD_LISTEN_FDS_START. */
enum {
    FIRST_FD = 3
};

/* How many; 0 if they are for another process. */
static unsigned count_for_us(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!count)
        return 0;
    if (!pid || strtol(pid, NULL, 10) != getpid()) {
        pf_log(PF_LOG_INFO, "sockets-not-for-us", "LISTEN_FDS=%s LISTEN_PID=%s left-alone",
               count, pid ? pid : "");
        return 0;
    }
    bool is_number = *count && !count[strspn(count, "0123456789")] && strlen(count) < 6;
    unsigned long n = is_number ? strtoul(count, NULL, 10) : 0;
    if (!is_number || n > PF__INHERITED_MAX)
        pf_log(PF_LOG_WARN, "sockets-ignored", "LISTEN_FDS=%s; at most %d are taken", count,
               PF__INHERITED_MAX);
    return n > PF__INHERITED_MAX ? PF__INHERITED_MAX : (unsigned)n;
}

/* The i-th of names with colons between them. */
static const char *name_at(const char *names, unsigned i, int *len)
{
    for (; names && i; i--) {
        names = strchr(names, ':');
        names = names ? names + 1 : NULL;
    }
    *len = names ? (int)strcspn(names, ":") : 0;
    return names ? names : "";
}

static void take_one(struct pf__inherited *out, unsigned i,
                     const struct pf_listener_options *options)
{
    struct pf__inherited_socket *socket = &out->sockets[out->count];
    char text[PF_ADDRESS_TEXT_MAX];
    int len, fd = FIRST_FD + (int)i;
    const char *name = name_at(getenv("LISTEN_FDNAMES"), i, &len);
    int err = pf_listener_adopt(fd, options, &socket->address, &socket->dual);
    if (err) {
        pf_log(PF_LOG_WARN, "socket-not-usable", "fd=%d name=%.*s error=%s left-alone", fd,
               len, name, strerror(-err));
        return;
    }
    pf_log(PF_LOG_INFO, "socket-inherited", "fd=%d name=%.*s address=%s", fd, len, name,
           pf_address_format(&socket->address, text));
    socket->fd = fd;
    out->count++;
}

void pf__inherited_take(struct pf__inherited *out,
                        const struct pf_listener_options *options)
{
    out->count = 0;
    unsigned count = count_for_us();
    for (unsigned i = 0; i < count; i++)
        take_one(out, i, options);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
}

static bool is_any_ipv4(const struct pf_address *address)
{
    struct sockaddr_in in;
    if (address->storage.ss_family != AF_INET)
        return false;
    memcpy(&in, &address->storage, sizeof in);
    return in.sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool is_any_ipv6(const struct pf_address *address)
{
    struct sockaddr_in6 in;
    if (address->storage.ss_family != AF_INET6)
        return false;
    memcpy(&in, &address->storage, sizeof in);
    return IN6_IS_ADDR_UNSPECIFIED(&in.sin6_addr);
}

static bool covers(const struct pf__inherited_socket *socket,
                   const struct pf_address *address)
{
    return socket->dual && is_any_ipv6(&socket->address) && is_any_ipv4(address) &&
           socket->address.datagram == address->datagram &&
           pf_address_port(&socket->address) == pf_address_port(address);
}

struct pf__inherited_socket *pf__inherited_find(struct pf__inherited *inherited,
                                                const struct pf_address *address)
{
    for (size_t i = 0; i < inherited->count; i++)
        if (pf_address_equal(&inherited->sockets[i].address, address))
            return &inherited->sockets[i];
    for (size_t i = 0; i < inherited->count; i++)
        if (covers(&inherited->sockets[i], address))
            return &inherited->sockets[i];
    return NULL;
}

void pf__inherited_close(struct pf__inherited *inherited)
{
    char text[PF_ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < inherited->count; i++) {
        struct pf__inherited_socket *socket = &inherited->sockets[i];
        if (socket->fd == -1)
            continue;
        pf_log(PF_LOG_WARN, "socket-not-wanted", "fd=%d address=%s closed; no --bind is it",
               socket->fd, pf_address_format(&socket->address, text));
        close(socket->fd);
        socket->fd = -1;
    }
}
