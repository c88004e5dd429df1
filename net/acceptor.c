/* acceptor.c - accepting from a listening socket; see listener.h. */
#include "net/listener.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* After an accept4(2) that fetched EAGAIN, so many full bursts go by before the next risk.
 */
#define CALM 16

/* A shortage that lasts is told this often at the most. */
#define REPORT_EVERY_NS (10 * PF_SECOND)

struct pf_acceptor {
    pf_loop *loop;
    int fd;
    pf_accept_fn *fn;
    void *arg;
    int burst;      /* how many to take next time: see acceptor_on_ready() */
    int calm;       /* full bursts to come before a larger one is tried */
    pf_timer pause; /* {0}: accepting */
    uint64_t pauses;
    int64_t told_ns; /* when a pause was logged last */
    int depth;       /* holds: see hold() */
    bool freed;      /* by fn */
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

/* While held, an acceptor that fn frees stays in memory. */
static void hold(pf_acceptor *acceptor)
{
    acceptor->depth++;
}

static void release(pf_acceptor *acceptor)
{
    if (--acceptor->depth == 0 && acceptor->freed)
        free(acceptor);
}

static void tell(pf_acceptor *acceptor, int err)
{
    int64_t now = pf_loop_now(acceptor->loop);
    if (acceptor->pauses++ > 0 && now - acceptor->told_ns < REPORT_EVERY_NS)
        return;
    acceptor->told_ns = now;
    pf_log(PF_LOG_WARN, "accept-paused", "error=%s for=100ms pauses=%llu", strerror(err),
           (unsigned long long)acceptor->pauses);
}

static pf_callback_fn acceptor_on_pause_end;

/* Out of descriptors or memory: a listener that stays readable would make the loop spin.
 * The timer first: without memory for it, nothing would end the pause. */
static void rest(pf_acceptor *acceptor, int err)
{
    if (acceptor->pause.id)
        return;
    tell(acceptor, err);
    if (pf_loop_call_later(acceptor->loop, PF_LISTENER_PAUSE_NS, acceptor_on_pause_end,
                           acceptor, &acceptor->pause) == 0)
        (void)pf_loop_update_handler(acceptor->loop, acceptor->fd, 0); /* cannot fail */
}

static int acceptor_on_pause_end(pf_loop *loop, void *arg)
{
    pf_acceptor *acceptor = arg;
    acceptor->pause = (pf_timer){0};
    int err = pf_loop_update_handler(loop, acceptor->fd, PF_READ);
    if (err)
        rest(acceptor, -err); /* still no memory */
    return 0;
}

/*
 * Accept up to `max`; returns how many came, those that died in the queue included: so it
 * ends whatever accept4(2) says for ever. Fewer than max: the queue is empty, or accepting
 * pauses. fn may fork, so the guard is asked each time: the queue is the parent's. The
 * acceptor may be gone afterwards.
 */
static int accept_some(pf_acceptor *acceptor, int max)
{
    int came = 0;
    hold(acceptor);
    for (; came < max && !acceptor->freed && pf_loop_check(acceptor->loop) == 0; came++) {
        struct pf_address peer = {.len = sizeof peer.storage};
        int fd = accept4(acceptor->fd, (struct sockaddr *)&peer.storage, &peer.len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            acceptor->fn(acceptor, fd, &peer, acceptor->arg);
        } else if (!is_weather(errno)) {
            if (errno != EAGAIN)
                rest(acceptor, errno);
            break;
        }
    }
    release(acceptor);
    return came;
}

/* Taking as many as the last time emptied the queue saves the accept4(2) that would only
 * fetch EAGAIN: what came in between wakes the loop again. A full burst may have left some
 * behind, so twice as many are tried the next time; not at once when that was in vain. */
static int acceptor_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    pf_acceptor *acceptor = arg;
    int max = acceptor->burst;
    hold(acceptor);
    int came = accept_some(acceptor, max);
    if (came < max) {
        acceptor->burst = came > 0 ? came : 1;
        acceptor->calm = CALM;
    } else if (acceptor->calm > 0) {
        acceptor->calm--;
    } else {
        acceptor->burst = max < PF_LISTENER_BURST / 2 ? max * 2 : PF_LISTENER_BURST;
    }
    release(acceptor);
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
    *acceptor =
        (pf_acceptor){.loop = loop, .fd = listen_fd, .fn = fn, .arg = arg, .burst = 1};
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
    if (!acceptor || pf_loop_check(acceptor->loop) == -EPERM)
        return;
    (void)pf_loop_remove_handler(acceptor->loop, acceptor->fd); /* in a child: refused */
    (void)pf_loop_remove_timeout(acceptor->loop, acceptor->pause);
    if (acceptor->depth > 0)
        acceptor->freed = true;
    else
        free(acceptor);
}
