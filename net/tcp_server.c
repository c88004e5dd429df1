/* tcp_server.c - listeners whose connections become streams; see tcp.h. */
#include <prefork/tcp.h>

#include "loop/member.h"
#include "net/acceptor.h"
#include "net/listener.h"
#include "net/listener_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listener {
    struct listener *next;
    int fd;
    pf_acceptor *acceptor;
    struct pf_listener_file file;
};

struct pf_tcp_server {
    struct pf__member member;
    struct pf_tcp_server_options options;
    struct listener *first, **last;
};

static int check(const pf_tcp_server *server)
{
    return server ? pf__member_check(&server->member) : -EINVAL;
}

/* ---- listeners ------------------------------------------------------------------- */

/* The server may be gone when on_connection returns. */
static void server_on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                             void *arg)
{
    pf_tcp_server *server = arg;
    const struct pf_stream_options *options =
        server->options.stream.size ? &server->options.stream : NULL;
    pf_stream *stream;
    (void)acceptor;
    if (pf_stream_new(server->member.loop, fd, options, &stream) != 0) {
        close(fd); /* no memory: the peer sees that we hang up */
        return;
    }
    server->options.on_connection(server, stream, (const struct sockaddr *)&peer->storage,
                                  peer->len, server->options.arg);
}

/* The listener's own close comes later: when a loop is closed with all its descriptors this
 * is asked first. */
static void leave_open(int fd, void *arg)
{
    (void)fd, (void)arg;
}

/* Those from *from on; their sockets only if they are ours. */
static void drop(pf_tcp_server *server, struct listener **from, bool ours)
{
    struct listener *listener = *from;
    *from = NULL;
    server->last = from;
    while (listener) {
        struct listener *next = listener->next;
        pf_acceptor_free(listener->acceptor);
        if (ours)
            close(listener->fd);
        pf_listener_file_release(&listener->file);
        free(listener);
        listener = next;
    }
}

/* Accept from fd, which stays the caller's after an error. */
static int add(pf_tcp_server *server, int fd, const struct pf_listener_file *file)
{
    struct pf_acceptor_options options = {
        .mode = PF_ACCEPT_OWN, .fn = server_on_accept, .arg = server};
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    int err = pf_acceptor_new(server->member.loop, fd, &options, &listener->acceptor);
    if (err) {
        free(listener);
        return err;
    }
    (void)pf_loop_set_closer(server->member.loop, fd, leave_open);
    listener->fd = fd;
    listener->file = *file;
    *server->last = listener;
    server->last = &listener->next;
    return 0;
}

int pf_tcp_server_add_sockets(pf_tcp_server *server, const int *fds, size_t count)
{
    const struct pf_listener_file none = PF_LISTENER_FILE_NONE;
    int err = check(server);
    if (!err && !fds && count)
        err = -EINVAL;
    if (err)
        return err;
    struct listener **from = server->last;
    for (size_t i = 0; i < count && !err; i++)
        err = add(server, fds[i], &none);
    if (err)
        drop(server, from, false);
    return err;
}

static int open_one(const pf_tcp_server *server, struct pf_address *address,
                    struct pf_listener_file *file)
{
    struct pf_listener_options options = {.backlog = server->options.backlog};
    const char *path = pf_address_path(address);
    int holder;
    if (path)
        return pf_listener_file_open(file, path, &options, &holder);
    return pf_listener_open(address, &options, PF_LISTENER_ALONE);
}

static int listen_on(pf_tcp_server *server, struct pf_address *address)
{
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    int fd = address->datagram ? -EINVAL : open_one(server, address, &file);
    if (fd < 0)
        return fd;
    int err = add(server, fd, &file);
    if (err) {
        close(fd);
        pf_listener_file_release(&file);
    }
    return err;
}

/* All of them, but for a family that this machine does not have, if another one is there.
 */
static int listen_on_all(pf_tcp_server *server, struct pf_address *addresses, int count)
{
    int err = 0, there = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && pf_address_port(&addresses[i]) == 0)
            pf_address_set_port(&addresses[i], pf_address_port(&addresses[0]));
        int one = listen_on(server, &addresses[i]);
        if (one == 0)
            there++;
        else if (one != -EAFNOSUPPORT)
            return one;
        else
            err = one;
    }
    return there ? 0 : err;
}

int pf_tcp_server_listen(pf_tcp_server *server, const char *address, char *why,
                         size_t why_len)
{
    struct pf_address addresses[PF_ADDRESSES_MAX];
    char unused[1];
    int err = check(server);
    if (!err && !address)
        err = -EINVAL;
    if (err)
        return err;
    if (!why || why_len == 0) {
        why = unused;
        why_len = sizeof unused;
    }
    int count = pf_address_parse(address, addresses, why, why_len);
    if (count < 0)
        return count;
    struct listener **from = server->last;
    err = listen_on_all(server, addresses, count);
    if (err) {
        drop(server, from, true);
        snprintf(why, why_len, "%s", strerror(-err));
    }
    return err;
}

unsigned pf_tcp_server_port(const pf_tcp_server *server)
{
    for (const struct listener *at = server ? server->first : NULL; at; at = at->next) {
        struct pf_address address = {.len = sizeof address.storage};
        if (getsockname(at->fd, (struct sockaddr *)&address.storage, &address.len) == 0 &&
            pf_address_port(&address))
            return pf_address_port(&address);
    }
    return 0;
}

/* ---- life ------------------------------------------------------------------------ */

static void on_gone(struct pf__member *member)
{
    pf_tcp_server *server = (pf_tcp_server *)member; /* its first field */
    drop(server, &server->first, true);
}

int pf_tcp_server_new(pf_loop *loop, const struct pf_tcp_server_options *options,
                      pf_tcp_server **out)
{
    struct pf_tcp_server_options chosen = {PF_TCP_SERVER_OPTIONS};
    int err = pf_loop_check(loop);
    if (!err && (!out || !options || options->size < sizeof options->size))
        err = -EINVAL;
    if (err)
        return err;
    memcpy(&chosen, options, options->size < sizeof chosen ? options->size : sizeof chosen);
    if (!chosen.on_connection)
        return -EINVAL;
    if (chosen.backlog <= 0)
        chosen.backlog = PF_TCP_SERVER_BACKLOG;
    pf_tcp_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->options = chosen;
    server->last = &server->first;
    pf__member_join(&server->member, loop, on_gone);
    *out = server;
    return 0;
}

int pf_tcp_server_stop(pf_tcp_server *server)
{
    int err = check(server);
    if (!err)
        drop(server, &server->first, true);
    return err;
}

void pf_tcp_server_free(pf_tcp_server *server)
{
    if (!server || check(server) == -EPERM)
        return;
    drop(server, &server->first, true);
    pf__member_part(&server->member);
    free(server);
}
