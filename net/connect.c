/*
 * connect.c - connecting by name, to several addresses; see tcp.h.
 *
 * Happy eyeballs after RFC 8305: one attempt is a stream that connects. A connecting is
 * owned by nobody but the loop: it frees itself when it is told, cancelled, or when the
 * loop goes.
 */
#include <prefork/tcp.h>

#include "loop/member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct attempt {
    pf_tcp_connecting *connecting;
    pf_stream *stream; /* NULL: not begun, or over */
};

struct pf_tcp_connecting {
    struct pf__member member;
    struct pf_tcp_connect_options options;
    struct sockaddr_storage source;
    pf_tcp_connect_fn *fn;
    void *arg;
    pf_resolver *own_resolver; /* NULL: it is the caller's */
    pf_resolving *resolving;   /* NULL: answered */
    pf_timer deadline, next;
    int error; /* of the attempt that failed last */
    size_t count, begun, live;
    struct pf_endpoint addresses[PF_RESOLVER_ADDRESSES_MAX];
    struct attempt attempts[PF_RESOLVER_ADDRESSES_MAX];
};

static pf_stream_fn attempt_on_connect;
static pf_callback_fn connecting_on_deadline, connecting_on_delay;
static pf_resolve_fn connecting_on_resolved;

/* Free all of it, in the loop's life and after. */
static void destroy(pf_tcp_connecting *connecting)
{
    pf_loop *loop = connecting->member.loop;
    for (size_t i = 0; i < connecting->begun; i++)
        pf_stream_free(connecting->attempts[i].stream);
    if (loop) {
        (void)pf_loop_remove_timeout(loop, connecting->deadline);
        (void)pf_loop_remove_timeout(loop, connecting->next);
        (void)pf_resolve_cancel(connecting->resolving);
    }
    pf_resolver_free(connecting->own_resolver);
    pf__member_part(&connecting->member);
    free(connecting);
}

static void on_gone(struct pf__member *member)
{
    destroy((pf_tcp_connecting *)member); /* its first field */
}

static int finish(pf_tcp_connecting *connecting, pf_stream *stream, int err)
{
    pf_tcp_connect_fn *fn = connecting->fn;
    void *arg = connecting->arg;
    destroy(connecting);
    return fn(stream, err, arg);
}

/* ---- attempts -------------------------------------------------------------------- */

static int open_socket(const pf_tcp_connecting *connecting, int family)
{
    const struct pf_tcp_connect_options *options = &connecting->options;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return -errno;
    if (options->source &&
        bind(fd, (const struct sockaddr *)&connecting->source, options->source_len) == -1) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static int begin(pf_tcp_connecting *connecting, size_t i)
{
    const struct pf_endpoint *to = &connecting->addresses[i];
    struct attempt *attempt = &connecting->attempts[i];
    const struct pf_stream_options *options =
        connecting->options.stream.size ? &connecting->options.stream : NULL;
    attempt->connecting = connecting;
    int fd = open_socket(connecting, to->storage.ss_family);
    if (fd < 0)
        return fd;
    int err = pf_stream_new(connecting->member.loop, fd, options, &attempt->stream);
    if (err) {
        close(fd);
        return err;
    }
    err = pf_stream_connect(attempt->stream, (const struct sockaddr *)&to->storage, to->len,
                            attempt_on_connect, attempt);
    if (err) {
        pf_stream_free(attempt->stream);
        attempt->stream = NULL;
    }
    return err;
}

/* Try the next address that can be tried. Returns what fn does, if that was the last. */
static int go_on(pf_tcp_connecting *connecting)
{
    pf_loop *loop = connecting->member.loop;
    (void)pf_loop_remove_timeout(loop, connecting->next);
    connecting->next = (pf_timer){0};
    while (connecting->begun < connecting->count) {
        int err = begin(connecting, connecting->begun++);
        if (!err) {
            connecting->live++;
            break;
        }
        connecting->error = err;
    }
    if (connecting->live == 0)
        return finish(connecting, NULL, connecting->error);
    if (connecting->begun < connecting->count) /* without memory: when this one fails */
        (void)pf_loop_call_later(loop, connecting->options.delay_ns, connecting_on_delay,
                                 connecting, &connecting->next);
    return 0;
}

static int attempt_on_connect(pf_stream *stream, int err, void *arg)
{
    struct attempt *attempt = arg;
    pf_tcp_connecting *connecting = attempt->connecting;
    attempt->stream = NULL;
    connecting->live--;
    if (!err)
        return finish(connecting, stream, 0);
    pf_stream_free(stream);
    connecting->error = err;
    return go_on(connecting);
}

static int connecting_on_delay(pf_loop *loop, void *arg)
{
    (void)loop;
    return go_on(arg);
}

static int connecting_on_deadline(pf_loop *loop, void *arg)
{
    (void)loop;
    return finish(arg, NULL, -ETIMEDOUT);
}

/* ---- names ----------------------------------------------------------------------- */

/* The families take turns, beginning with that of the first address; within one the order
 * stays: RFC 8305, section 4. */
static void interleave(pf_tcp_connecting *connecting, const struct pf_resolved *result)
{
    bool taken[PF_RESOLVER_ADDRESSES_MAX] = {false};
    sa_family_t last = AF_UNSPEC;
    while (connecting->count < result->count) {
        size_t next = result->count;
        for (size_t i = 0; i < result->count; i++) {
            if (taken[i])
                continue;
            bool turns = result->addresses[i].storage.ss_family != last;
            if (turns || next == result->count)
                next = i;
            if (turns)
                break;
        }
        taken[next] = true;
        last = result->addresses[next].storage.ss_family;
        connecting->addresses[connecting->count++] = result->addresses[next];
    }
}

static int connecting_on_resolved(const struct pf_resolved *result, void *arg)
{
    pf_tcp_connecting *connecting = arg;
    connecting->resolving = NULL;
    if (result->err)
        return finish(connecting, NULL, result->err);
    interleave(connecting, result);
    return go_on(connecting);
}

/* ---- life ------------------------------------------------------------------------ */

static int choose_options(pf_tcp_connecting *connecting,
                          const struct pf_tcp_connect_options *from)
{
    struct pf_tcp_connect_options *to = &connecting->options;
    if (from && from->size < sizeof from->size)
        return -EINVAL;
    if (from)
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    if (to->source && to->source_len > sizeof connecting->source)
        return -EINVAL;
    if (to->source)
        memcpy(&connecting->source, to->source, to->source_len);
    if (!to->timeout_ns)
        to->timeout_ns = PF_TCP_CONNECT_NS;
    if (!to->delay_ns)
        to->delay_ns = PF_TCP_CONNECT_DELAY_NS;
    return to->timeout_ns > 0 && to->delay_ns > 0 ? 0 : -EINVAL;
}

static int start(pf_tcp_connecting *connecting, pf_loop *loop, const char *host,
                 unsigned port)
{
    int err = pf_loop_call_later(loop, connecting->options.timeout_ns,
                                 connecting_on_deadline, connecting, &connecting->deadline);
    pf_resolver *resolver = connecting->options.resolver;
    if (!err && !resolver) {
        err = pf_resolver_new(loop, NULL, &connecting->own_resolver);
        resolver = connecting->own_resolver;
    }
    if (!err)
        err = pf_resolve(resolver, host, port, connecting->options.family,
                         connecting_on_resolved, connecting, &connecting->resolving);
    return err;
}

int pf_tcp_connect(pf_loop *loop, const char *host, unsigned port,
                   const struct pf_tcp_connect_options *options, pf_tcp_connect_fn *fn,
                   void *arg, pf_tcp_connecting **out)
{
    int err = pf_loop_check(loop);
    if (!err && !fn)
        err = -EINVAL;
    if (err)
        return err;
    pf_tcp_connecting *connecting = calloc(1, sizeof *connecting);
    if (!connecting)
        return -ENOMEM;
    connecting->fn = fn;
    connecting->arg = arg;
    err = choose_options(connecting, options);
    if (err) {
        free(connecting);
        return err;
    }
    pf__member_join(&connecting->member, loop, on_gone);
    err = start(connecting, loop, host, port);
    if (err)
        destroy(connecting);
    else if (out)
        *out = connecting;
    return err;
}

int pf_tcp_connect_cancel(pf_tcp_connecting *connecting)
{
    int err = connecting ? pf__member_check(&connecting->member) : 0;
    if (connecting && !err)
        destroy(connecting);
    return err;
}
