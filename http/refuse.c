/*
 * refuse.c - 503 for connections that are one too many; see pf_http_server_refuse().
 *
 * They have connections of their own, apart from those that are served: they are told to
 * nobody and count nowhere, and there are few of them.
 */
#include "http/internal.h"

#include <sys/socket.h>
#include <unistd.h>

/* RFC 9110 section 6.6.1 lets a 5xx do without a Date. */
static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                             "Server: prefork\r\n"
                             "Retry-After: 1\r\n"
                             "Content-Length: 0\r\n"
                             "Connection: close\r\n"
                             "\r\n";

static size_t drop_data(pf_conn *conn, const char *data, size_t len)
{
    (void)conn, (void)data;
    return len;
}

static const struct pf_conn_protocol protocol = {.name = "refused", .on_data = drop_data};

/* What has come is read first, or closing would send a reset, and that may overtake the
 * answer. */
static void refuse_at_once(int fd)
{
    char request[4096];
    (void)!recv(fd, request, sizeof request, MSG_DONTWAIT);
    (void)!send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    close(fd);
}

static bool has_room(pf_http_server *server)
{
    const struct pf_conns_options options = {.protocol = &protocol};
    if (!server->refused && pf_conns_new(server->loop, &options, &server->refused) != 0)
        return false;
    return pf_conns_count(server->refused) < PF_HTTP_REFUSING_MAX;
}

void pf_http_server_refuse(pf_http_server *server, int fd, bool scarce)
{
    pf_conn *conn;
    if (scarce || !has_room(server))
        refuse_at_once(fd);
    else if (pf_conn_open(server->refused, fd, &conn) == 0 &&
             pf_conn_write(conn, answer, sizeof answer - 1) == 0)
        pf_conn_close(conn, true);
}
