/* receiver.c - see receiver.h. */
#include "net/receiver.h"

#include "net/gate.h"

#include <errno.h>
#include <stdlib.h>

struct pf_receiver {
    struct pf__gate gate;
    pf_receive_fn *fn;
    void *arg;
    int depth;  /* holds: see hold() */
    bool freed; /* by fn */
    char buffer[PF_RECEIVER_BUFFER];
};

static pf_io_fn receiver_on_ready;

/* What recvfrom(2) may say of an answer that was sent earlier (ICMP), or of nobody. */
static bool is_weather(int err)
{
    switch (err) {
    case EINTR:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EMSGSIZE:
    case ENETDOWN:
    case ENETUNREACH:
    case ENOPROTOOPT:
    case EPROTO:
        return true;
    default:
        return false;
    }
}

/* While held, a receiver that fn frees stays in memory. */
static void hold(pf_receiver *receiver)
{
    receiver->depth++;
}

static void release(pf_receiver *receiver)
{
    if (--receiver->depth == 0 && receiver->freed)
        free(receiver);
}

/* Returns 0 or what recvfrom(2) failed with. */
static int receive_one(pf_receiver *receiver)
{
    struct pf_address peer = {.len = sizeof peer.storage, .datagram = true};
    ssize_t len = recvfrom(receiver->gate.fd, receiver->buffer, sizeof receiver->buffer,
                           MSG_DONTWAIT, (struct sockaddr *)&peer.storage, &peer.len);
    if (len == -1)
        return errno;
    receiver->fn(receiver, receiver->gate.fd, receiver->buffer, (size_t)len, &peer,
                 receiver->arg);
    return 0;
}

/* As the acceptor's: errors count, so that it ends, and fn may pause, fork or free. */
static int receive_some(pf_receiver *receiver, int max)
{
    int came = 0;
    bool paused = receiver->gate.paused;
    hold(receiver);
    for (; came < max && !receiver->freed && receiver->gate.paused == paused &&
           pf_loop_check(receiver->gate.loop) == 0;
         came++) {
        int err = receive_one(receiver);
        if (err && !is_weather(err)) {
            if (err != EAGAIN)
                pf__gate_rest(&receiver->gate, err, "receive-paused");
            break;
        }
    }
    release(receiver);
    return came;
}

static int receiver_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    (void)receive_some(arg, PF_RECEIVER_BURST); /* the rest wakes the loop again */
    return 0;
}

int pf_receiver_new(pf_loop *loop, int fd, pf_receive_fn *fn, void *arg, pf_receiver **out)
{
    if (!fn || !out)
        return -EINVAL;
    pf_receiver *receiver = malloc(sizeof *receiver);
    if (!receiver)
        return -ENOMEM;
    receiver->gate = (struct pf__gate){
        .loop = loop, .fd = fd, .events = PF_READ, .rest_ns = PF_RECEIVER_REST_NS};
    receiver->fn = fn;
    receiver->arg = arg;
    receiver->depth = 0;
    receiver->freed = false;
    int err = pf__gate_open(&receiver->gate, receiver_on_ready, receiver);
    if (err) {
        free(receiver);
        return err;
    }
    *out = receiver;
    return 0;
}

int pf_receiver_drain(pf_receiver *receiver, int max)
{
    int err = pf_loop_check(receiver->gate.loop);
    return err ? err : receive_some(receiver, max);
}

int pf_receiver_pause(pf_receiver *receiver)
{
    return pf__gate_pause(&receiver->gate);
}

int pf_receiver_resume(pf_receiver *receiver)
{
    return pf__gate_resume(&receiver->gate);
}

void pf_receiver_free(pf_receiver *receiver)
{
    if (!receiver || pf_loop_check(receiver->gate.loop) == -EPERM)
        return;
    pf__gate_close(&receiver->gate);
    if (receiver->depth > 0)
        receiver->freed = true;
    else
        free(receiver);
}
