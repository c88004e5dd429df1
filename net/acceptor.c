/* acceptor.c - see acceptor.h. */
#include "net/acceptor.h"

#include "net/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* After an accept4(2) that fetched EAGAIN, so many full bursts go by before the next risk.
 */
#define CALM 16

struct pf_acceptor {
    struct pf__gate gate;
    struct pf_acceptor_options options;
    int burst_max;          /* PF_ACCEPTOR_BURST, or 1 from a shared socket */
    int burst;              /* how many to take next time: see acceptor_on_ready() */
    int calm;               /* full bursts to come before a larger one is tried */
    unsigned accepted;      /* since it was watched anew */
    int64_t short_since_ns; /* 0: descriptors are not short */
    int spare;              /* descriptor that refuse() can have; -1: none */
    int depth;              /* holds: see hold() */
    bool freed;             /* by fn */
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

static void destroy(pf_acceptor *acceptor)
{
    if (acceptor->spare != -1)
        close(acceptor->spare);
    free(acceptor);
}

/* While held, an acceptor that fn frees stays in memory. */
static void hold(pf_acceptor *acceptor)
{
    acceptor->depth++;
}

static void release(pf_acceptor *acceptor)
{
    if (--acceptor->depth == 0 && acceptor->freed)
        destroy(acceptor);
}

/* Returns 0 or what accept4(2) failed with. */
static int accept_one(pf_acceptor *acceptor, pf_accept_fn *fn)
{
    struct pf_address peer = {.len = sizeof peer.storage};
    int fd = accept4(acceptor->gate.fd, (struct sockaddr *)&peer.storage, &peer.len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1)
        return errno;
    if (fn == acceptor->options.fn)
        acceptor->short_since_ns = 0;
    fn(acceptor, fd, &peer, acceptor->options.arg);
    return 0;
}

static void keep_spare(pf_acceptor *acceptor)
{
    if (acceptor->options.refuse && acceptor->spare == -1 && !acceptor->freed)
        acceptor->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: one connection gets the spare one, for long enough to hear why. */
static void refuse_one(pf_acceptor *acceptor)
{
    keep_spare(acceptor); /* if it is missing since the last time */
    if (acceptor->spare == -1)
        return;
    close(acceptor->spare);
    acceptor->spare = -1;
    (void)accept_one(acceptor, acceptor->options.refuse);
    keep_spare(acceptor);
}

static bool has_lost_patience(pf_acceptor *acceptor)
{
    int64_t now = pf_loop_now(acceptor->gate.loop);
    if (!acceptor->short_since_ns)
        acceptor->short_since_ns = now;
    return now - acceptor->short_since_ns >= acceptor->options.patience_ns;
}

static void rest(pf_acceptor *acceptor, int err)
{
    pf__gate_rest(&acceptor->gate, err, "accept-paused");
    if ((err == EMFILE || err == ENFILE) && has_lost_patience(acceptor))
        refuse_one(acceptor);
}

/*
 * Accept up to `max`; returns how many came, those that died in the queue included: so it
 * ends whatever accept4(2) says for ever. Fewer than max: the queue is empty, or accepting
 * pauses. fn may fork, so the guard is asked each time: the queue is the parent's. The
 * acceptor may be gone afterwards, unless it is held.
 */
static int accept_some(pf_acceptor *acceptor, int max)
{
    int came = 0;
    bool paused = acceptor->gate.paused;
    hold(acceptor);
    for (; came < max && !acceptor->freed && acceptor->gate.paused == paused &&
           pf_loop_check(acceptor->gate.loop) == 0;
         came++) {
        int err = accept_one(acceptor, acceptor->options.fn);
        if (err && !is_weather(err)) {
            if (err != EAGAIN)
                rest(acceptor, err);
            break;
        }
    }
    release(acceptor);
    return came;
}

/* Taking as many as the last time emptied the queue saves the accept4(2) that would only
 * fetch EAGAIN: what came in between wakes the loop again. A full burst may have left some
 * behind, so twice as many are tried the next time; not at once when that was in vain. */
static void learn(pf_acceptor *acceptor, int max, int came)
{
    if (came < max) {
        acceptor->burst = came > 0 ? came : 1;
        acceptor->calm = CALM;
    } else if (acceptor->calm > 0) {
        acceptor->calm--;
    } else {
        acceptor->burst = max < acceptor->burst_max / 2 ? max * 2 : acceptor->burst_max;
    }
}

/* Of those who wait exclusively the kernel wakes the one who came first. */
static void give_way(pf_acceptor *acceptor, int came)
{
    acceptor->accepted += (unsigned)came;
    if (acceptor->accepted < PF_ACCEPTOR_READD)
        return;
    acceptor->accepted = 0;
    pf__gate_requeue(&acceptor->gate);
}

static int acceptor_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    pf_acceptor *acceptor = arg;
    int max = acceptor->burst;
    hold(acceptor);
    int came = accept_some(acceptor, max);
    learn(acceptor, max, came);
    if (acceptor->options.mode == PF_ACCEPT_EXCLUSIVE && !acceptor->freed)
        give_way(acceptor, came);
    release(acceptor);
    return 0;
}

int pf_acceptor_new(pf_loop *loop, int listen_fd, const struct pf_acceptor_options *options,
                    pf_acceptor **out)
{
    if (!options || !options->fn || !out)
        return -EINVAL;
    pf_acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor)
        return -ENOMEM;
    unsigned how = options->mode == PF_ACCEPT_EXCLUSIVE ? PF_EXCLUSIVE : 0;
    *acceptor =
        (pf_acceptor){.gate = {.loop = loop,
                               .fd = listen_fd,
                               .events = PF_READ | how,
                               .rest_ns = PF_ACCEPTOR_REST_NS},
                      .options = *options,
                      .burst_max = options->mode == PF_ACCEPT_OWN ? PF_ACCEPTOR_BURST : 1,
                      .burst = 1,
                      .spare = -1};
    int err = pf__gate_open(&acceptor->gate, acceptor_on_ready, acceptor);
    if (err) {
        free(acceptor);
        return err;
    }
    keep_spare(acceptor);
    *out = acceptor;
    return 0;
}

int pf_acceptor_drain(pf_acceptor *acceptor, int max)
{
    int err = pf_loop_check(acceptor->gate.loop);
    return err ? err : accept_some(acceptor, max);
}

int pf_acceptor_pause(pf_acceptor *acceptor)
{
    return pf__gate_pause(&acceptor->gate);
}

int pf_acceptor_resume(pf_acceptor *acceptor)
{
    return pf__gate_resume(&acceptor->gate);
}

void pf_acceptor_free(pf_acceptor *acceptor)
{
    if (!acceptor || pf_loop_check(acceptor->gate.loop) == -EPERM)
        return;
    pf__gate_close(&acceptor->gate);
    if (acceptor->depth > 0)
        acceptor->freed = true;
    else
        destroy(acceptor);
}
