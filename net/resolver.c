/*
 * resolver.c - names to addresses; see resolver.h.
 *
 * A question has two parts. What the loop knows of it goes when it is answered or
 * cancelled. The look-up itself may be in the hands of a thread then, which cannot be
 * stopped: it is the executor's while it waits, then the thread's, then the value of its
 * future, and whoever has it last frees it.
 */
#include <prefork/resolver.h>

#include "loop/executor.h"
#include "loop/member.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct lookup {
    char host[PF_RESOLVER_HOST_MAX];
    unsigned port;
    int family;
    int err;
    const char *why;
    size_t count;
    struct pf_endpoint addresses[PF_RESOLVER_ADDRESSES_MAX];
};

struct pf_resolving {
    pf_resolver *resolver;
    pf_resolving *next, **at;
    pf_resolve_fn *fn;
    void *arg;
    pf_future *future;     /* NULL: the timer brings the answer, which is there: */
    struct lookup *lookup; /* ours; NULL if there is a future */
    pf_timer timer;
};

struct pf_resolver {
    struct pf__member member;
    struct pf_resolver_options options;
    pf_resolving *pending;
    size_t count;
};

static pf_callback_fn resolving_on_turn;
static pf_future_fn resolving_on_found, forgotten_on_found;

/* ---- looking up ------------------------------------------------------------------ */

static int errno_of(int gai)
{
    switch (gai) {
    case EAI_NONAME:
        return -ENOENT;
    case EAI_NODATA:
        return -ENODATA;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_FAIL:
        return -EIO;
    case EAI_FAMILY:
    case EAI_ADDRFAMILY:
        return -EAFNOSUPPORT;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : -EIO;
    default:
        return -EINVAL;
    }
}

static void add(struct lookup *lookup, const struct sockaddr *address, socklen_t len)
{
    if (lookup->count == PF_RESOLVER_ADDRESSES_MAX ||
        len > sizeof lookup->addresses->storage)
        return;
    struct pf_endpoint *to = &lookup->addresses[lookup->count++];
    to->len = len;
    memcpy(&to->storage, address, len);
}

/* Returns false if it was to be numeric and is a name. */
static bool ask_system(struct lookup *lookup, int flags)
{
    char port[8];
    struct addrinfo *found = NULL, hints = {.ai_family = lookup->family,
                                            .ai_socktype = SOCK_STREAM,
                                            .ai_flags = flags | AI_NUMERICSERV};
    snprintf(port, sizeof port, "%u", lookup->port);
    int gai = getaddrinfo(lookup->host, port, &hints, &found);
    if (gai == EAI_NONAME && (flags & AI_NUMERICHOST))
        return false;
    lookup->err = gai ? errno_of(gai) : 0;
    lookup->why = gai ? gai_strerror(gai) : NULL;
    for (const struct addrinfo *at = gai ? NULL : found; at; at = at->ai_next)
        add(lookup, at->ai_addr, at->ai_addrlen);
    if (!gai)
        freeaddrinfo(found);
    return true;
}

static int look_up(void *arg, void **value)
{
    (void)ask_system(arg, 0);
    *value = arg;
    return 0;
}

static void set_port(struct pf_endpoint *endpoint, unsigned port)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (endpoint->storage.ss_family == AF_INET) {
        memcpy(&in, &endpoint->storage, sizeof in);
        in.sin_port = in.sin_port ? in.sin_port : htons((uint16_t)port);
        memcpy(&endpoint->storage, &in, sizeof in);
    } else if (endpoint->storage.ss_family == AF_INET6) {
        memcpy(&in6, &endpoint->storage, sizeof in6);
        in6.sin6_port = in6.sin6_port ? in6.sin6_port : htons((uint16_t)port);
        memcpy(&endpoint->storage, &in6, sizeof in6);
    }
}

static void take_override(struct lookup *lookup, const struct pf_resolver_override *from)
{
    for (size_t i = 0; i < from->count; i++) {
        int family = from->addresses[i].storage.ss_family;
        if (lookup->family != AF_UNSPEC && lookup->family != family)
            continue;
        add(lookup, (const struct sockaddr *)&from->addresses[i].storage,
            from->addresses[i].len);
        if (lookup->count)
            set_port(&lookup->addresses[lookup->count - 1], lookup->port);
    }
    int gai = from->count ? EAI_NODATA : EAI_NONAME;
    lookup->err = lookup->count ? 0 : errno_of(gai);
    lookup->why = lookup->count ? NULL : gai_strerror(gai);
}

/* Is the answer to be had without a thread? */
static bool is_known(const pf_resolver *resolver, struct lookup *lookup)
{
    for (size_t i = 0; i < resolver->options.override_count; i++) {
        if (strcasecmp(resolver->options.overrides[i].host, lookup->host) == 0) {
            take_override(lookup, &resolver->options.overrides[i]);
            return true;
        }
    }
    return ask_system(lookup, AI_NUMERICHOST);
}

/* ---- questions ------------------------------------------------------------------- */

static void unlist(pf_resolving *resolving)
{
    *resolving->at = resolving->next;
    if (resolving->next)
        resolving->next->at = resolving->at;
    resolving->resolver->count--;
}

/* The question is closed before the answer, inside which anything may be freed. */
static int answer(pf_resolving *resolving, const struct pf_resolved *result)
{
    pf_resolve_fn *fn = resolving->fn;
    void *arg = resolving->arg;
    unlist(resolving);
    free(resolving);
    return fn(result, arg);
}

static int answer_with(pf_resolving *resolving, const struct lookup *lookup)
{
    return answer(resolving, &(struct pf_resolved){lookup->err, lookup->why,
                                                   lookup->addresses, lookup->count});
}

static int resolving_on_turn(pf_loop *loop, void *arg)
{
    pf_resolving *resolving = arg;
    struct lookup *lookup = resolving->lookup;
    (void)loop;
    int result = answer_with(resolving, lookup);
    free(lookup);
    return result;
}

static int resolving_on_found(pf_loop *loop, pf_future *future, void *arg)
{
    pf_resolving *resolving = arg;
    int err = 0, result;
    void *lookup = NULL;
    (void)loop;
    (void)pf_future_result(future, &err, &lookup); /* it is done */
    if (err)
        result =
            answer(resolving, &(struct pf_resolved){.err = err, .why = strerror(-err)});
    else
        result = answer_with(resolving, lookup);
    pf_future_unref(future);
    return result;
}

/* Asked for, so that nobody reports that nobody did. */
static int forgotten_on_found(pf_loop *loop, pf_future *future, void *arg)
{
    (void)loop, (void)arg;
    int err;
    (void)pf_future_result(future, &err, NULL);
    return 0;
}

/* Give up what was asked of the executor. What a thread has, or what is on its way back,
 * goes on by itself. */
static void drop_future(pf_loop *loop, pf_future *future)
{
    if (pf_future_cancel(future) == -EBUSY)
        (void)pf_loop_add_future(loop, future, forgotten_on_found, NULL);
    else
        (void)forgotten_on_found(loop, future, NULL);
    pf_future_unref(future);
}

/* Get the look-up going. Returns 0; or an error, and the look-up is not the caller's any
 * more. */
static int begin(pf_resolving *resolving, struct lookup *lookup)
{
    pf_resolver *resolver = resolving->resolver;
    pf_loop *loop = resolver->member.loop;
    int err;
    if (is_known(resolver, lookup)) {
        resolving->lookup = lookup;
        err = pf_loop_call_at(loop, pf_loop_now(loop), resolving_on_turn, resolving,
                              &resolving->timer);
        if (err)
            free(lookup);
        return err;
    }
    err = pf__loop_run_work(loop, resolver->options.executor,
                            &(struct pf__work){look_up, lookup, free, free, PF_HERE},
                            &resolving->future);
    if (err) {
        free(lookup);
        return err;
    }
    err = pf_loop_add_future(loop, resolving->future, resolving_on_found, resolving);
    if (err)
        drop_future(loop, resolving->future);
    return err;
}

static int check_question(const pf_resolver *resolver, const char *host, unsigned port,
                          int family, pf_resolve_fn *fn)
{
    int err = resolver ? pf__member_check(&resolver->member) : -EINVAL;
    if (err)
        return err;
    if (!host || !*host || !fn || port > 65535 ||
        (family != AF_UNSPEC && family != AF_INET && family != AF_INET6))
        return -EINVAL;
    if (strlen(host) >= PF_RESOLVER_HOST_MAX)
        return -ENAMETOOLONG;
    return resolver->count < resolver->options.pending_max ? 0 : -EAGAIN;
}

int pf_resolve(pf_resolver *resolver, const char *host, unsigned port, int family,
               pf_resolve_fn *fn, void *arg, pf_resolving **out)
{
    int err = check_question(resolver, host, port, family, fn);
    if (err)
        return err;
    pf_resolving *resolving = calloc(1, sizeof *resolving);
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!resolving || !lookup) {
        free(lookup);
        free(resolving);
        return -ENOMEM;
    }
    memcpy(lookup->host, host, strlen(host) + 1);
    lookup->port = port;
    lookup->family = family;
    resolving->resolver = resolver;
    resolving->fn = fn;
    resolving->arg = arg;
    err = begin(resolving, lookup);
    if (err) {
        free(resolving);
        return err;
    }
    resolving->at = &resolver->pending;
    resolving->next = resolver->pending;
    if (resolving->next)
        resolving->next->at = &resolving->next;
    resolver->pending = resolving;
    resolver->count++;
    if (out)
        *out = resolving;
    return 0;
}

/* Also when the loop is gone, and with it its timers and waits. */
static void drop(pf_resolving *resolving)
{
    pf_loop *loop = resolving->resolver->member.loop;
    if (resolving->future) {
        (void)pf_loop_remove_future(loop, resolving->future, resolving_on_found, resolving);
        drop_future(loop, resolving->future);
    } else {
        (void)pf_loop_remove_timeout(loop, resolving->timer);
        free(resolving->lookup);
    }
    unlist(resolving);
    free(resolving);
}

int pf_resolve_cancel(pf_resolving *resolving)
{
    int err = resolving ? pf__member_check(&resolving->resolver->member) : 0;
    if (resolving && !err)
        drop(resolving);
    return err;
}

/* ---- resolvers ------------------------------------------------------------------- */

static void forget_loop(struct pf__member *member)
{
    (void)member; /* its timers and waits go with the loop */
}

int pf_resolver_new(pf_loop *loop, const struct pf_resolver_options *options,
                    pf_resolver **out)
{
    int err = pf_loop_check(loop);
    if (!err && (!out || (options && options->size < sizeof options->size)))
        err = -EINVAL;
    if (err)
        return err;
    pf_resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return -ENOMEM;
    if (options)
        memcpy(&resolver->options, options,
               options->size < sizeof *options ? options->size : sizeof *options);
    if (!resolver->options.pending_max)
        resolver->options.pending_max = PF_RESOLVER_PENDING_MAX;
    pf__member_join(&resolver->member, loop, forget_loop);
    *out = resolver;
    return 0;
}

void pf_resolver_free(pf_resolver *resolver)
{
    if (!resolver || pf__member_check(&resolver->member) == -EPERM)
        return;
    while (resolver->pending)
        drop(resolver->pending);
    pf__member_part(&resolver->member);
    free(resolver);
}
