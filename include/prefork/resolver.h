/*
 * resolver.h - host names to addresses, without blocking the loop.
 *
 * A resolver hangs on one loop and asks getaddrinfo(3) on the threads of an executor.
 * Addresses written as such, and names of its own table, need no thread; their answer, too,
 * comes from the loop, never inside the call that asked.
 *
 * Everything but what it says is for the loop's thread: -EPERM elsewhere, -ECHILD in a
 * child, -ESTALE after the loop was closed; no answer comes then. Not signal-safe.
 */
#ifndef PREFORK_RESOLVER_H
#define PREFORK_RESOLVER_H

#include <prefork/base.h>
#include <prefork/executor.h>
#include <prefork/loop.h>

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_resolver pf_resolver;
typedef struct pf_resolving pf_resolving; /* a question that is open */

/* Addresses of one answer; what is more is left out. */
#define PF_RESOLVER_ADDRESSES_MAX 16
/* Questions that may be open at once, where the options say 0. */
#define PF_RESOLVER_PENDING_MAX 1000
/* Bytes of a host name, its NUL included. */
#define PF_RESOLVER_HOST_MAX 256

/* A socket address with its length; by value. */
struct pf_endpoint {
    socklen_t len;
    struct sockaddr_storage storage;
};

/* A name whose answer is known: `count` addresses, none: it does not exist. One with port 0
 * gets the port that was asked for. */
struct pf_resolver_override {
    const char *host; /* letter case does not matter */
    const struct pf_endpoint *addresses;
    size_t count;
};

struct pf_resolver_options {
    size_t size;
    pf_executor *executor; /* NULL: the process's default one. Borrowed */
    const struct pf_resolver_override *overrides; /* borrowed, all of it */
    size_t override_count;
    size_t pending_max; /* 0: PF_RESOLVER_PENDING_MAX */
};
#define PF_RESOLVER_OPTIONS .size = sizeof(struct pf_resolver_options)

struct pf_resolved {
    /*
     * 0, or -ENOENT (no such name), -ENODATA (it has no address of that family), -EAGAIN
     * (no name server answers now), -EIO (one refuses), -EAFNOSUPPORT, -ENOMEM, -ECANCELED
     * (the executor ended), or what the system failed with.
     */
    int err;
    const char *why; /* in words, with an error: gai_strerror(3)'s; static text */
    const struct pf_endpoint *addresses; /* in getaddrinfo(3)'s order; borrowed */
    size_t count;                        /* at least 1 without an error */
};

/* The answer, for the call. A negative result is reported by the loop. */
typedef int pf_resolve_fn(const struct pf_resolved *result, void *arg);

/* Make one; `options` may be NULL. Returns 0, or -EINVAL, -ENOMEM. */
PF_API int pf_resolver_new(pf_loop *loop, const struct pf_resolver_options *options,
                           pf_resolver **out);

/* Free it and forget its questions: no answer comes. Also inside an answer, in a child, and
 * after the loop was closed; not before what was told to use it. From another thread:
 * nothing. NULL is fine. */
PF_API void pf_resolver_free(pf_resolver *resolver);

/*
 * Ask for the stream addresses of `host`, a name or a literal without brackets, with
 * `port`, 0 to 65535.
 *
 * family  AF_UNSPEC, AF_INET or AF_INET6
 * out     the question, for pf_resolve_cancel(); valid until fn is called. May be NULL
 *
 * Returns 0, or -EINVAL (also an empty host), -ENAMETOOLONG, -EAGAIN (pending_max questions
 * are open, or the executor is full), -ENOMEM, -ENOSPC (as pf_loop_add_future()).
 * Source: getaddrinfo(3).
 */
PF_API int pf_resolve(pf_resolver *resolver, const char *host, unsigned port, int family,
                      pf_resolve_fn *fn, void *arg, pf_resolving **out);

/* Forget a question that is open: fn will not be called. A look-up that runs goes on by
 * itself. NULL is fine. Returns 0. */
PF_API int pf_resolve_cancel(pf_resolving *resolving);

#ifdef __cplusplus
}
#endif
#endif
