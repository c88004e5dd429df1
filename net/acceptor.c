/* acceptor.c - accepting from a listening socket; see listener.h. */
#include "net/listener.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pf_acceptor {
    pf_loop *loop;
    int fd;
    pf_accept_fn *fn;
    void *arg;
    pf_timer pause; /* {0}: accepting */
    bool busy;      /* in fn */
    bool freed;     /* inside it: free when it returns */
};

static pf_io_fn acceptor_on_ready;

/* What accept4(2) may say that is the matter of one connection, or of nobody: go on. */
static bool is_weather(int err)
{
    switch (err) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM: /* a firewall rule */
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static int acceptor_on_pause_end(pf_loop *loop, void *arg)
{
    pf_acceptor *acceptor = arg;
    acceptor->pause = (pf_timer){0};
    return pf_loop_update_handler(loop, acceptor->fd, PF_READ);
}

/* Out of descriptors or memory: a listener that stays readable would make the loop spin. */
static void rest(pf_acceptor *acceptor, int err)
{
    if (acceptor->pause.id)
        return;
    pf_log(PF_LOG_WARN, "accept-paused", "error=%s for=100ms", strerror(err));
    if (pf_loop_call_later(acceptor->loop, PF_LISTENER_PAUSE_NS, acceptor_on_pause_end,
                           acceptor, &acceptor->pause) == 0)
        (void)pf_loop_update_handler(acceptor->loop, acceptor->fd, 0); /* cannot fail */
}

/* Accept up to `max`; returns how many. Free of the acceptor is left to the caller. */
static int accept_some(pf_acceptor *acceptor, int max)
{
    int accepted = 0;
    acceptor->busy = true;
    while (accepted < max && !acceptor->freed) {
        struct pf_address peer = {.len = sizeof peer.storage};
        int fd = accept4(acceptor->fd, (struct sockaddr *)&peer.storage, &peer.len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted++;
            acceptor->fn(acceptor, fd, &peer, acceptor->arg);
        } else if (!is_weather(errno)) {
            if (errno != EAGAIN)
                rest(acceptor, errno);
            break;
        }
    }
    acceptor->busy = false;
    if (acceptor->freed)
        free(acceptor);
    return accepted;
}

static int acceptor_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    (void)accept_some(arg, PF_LISTENER_BURST);
    return 0;
}

int pf_acceptor_new(pf_loop *loop, int listen_fd, pf_accept_fn *fn, void *arg,
                    pf_acceptor **out)
{
    if (!fn || !out)
        return -EINVAL;
    pf_acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor)
        return -ENOMEM;
    *acceptor = (pf_acceptor){.loop = loop, .fd = listen_fd, .fn = fn, .arg = arg};
    int err = pf_loop_add_handler(loop, listen_fd, PF_READ, acceptor_on_ready, acceptor);
    if (err) {
        free(acceptor);
        return err;
    }
    *out = acceptor;
    return 0;
}

int pf_acceptor_drain(pf_acceptor *acceptor, int max)
{
    int err = pf_loop_check(acceptor->loop);
    return err ? err : accept_some(acceptor, max);
}

void pf_acceptor_free(pf_acceptor *acceptor)
{
    if (!acceptor)
        return;
    (void)pf_loop_remove_handler(acceptor->loop, acceptor->fd); /* in a child: refused */
    (void)pf_loop_remove_timeout(acceptor->loop, acceptor->pause);
    if (acceptor->busy)
        acceptor->freed = true;
    else
        free(acceptor);
}
