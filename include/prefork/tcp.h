/*
 * tcp.h - streams to and from others: connecting by name, and a server.
 *
 * Both hang on one loop and are for its thread: -EPERM elsewhere, -ECHILD in a child,
 * -ESTALE after the loop was closed. Not signal-safe.
 */
#ifndef PREFORK_TCP_H
#define PREFORK_TCP_H

#include <prefork/base.h>
#include <prefork/loop.h>
#include <prefork/resolver.h>
#include <prefork/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- connecting ------------------------------------------------------------------ */

typedef struct pf_tcp_connecting pf_tcp_connecting;

/* Where the options say 0. */
#define PF_TCP_CONNECT_NS       (20 * PF_SECOND)
#define PF_TCP_CONNECT_DELAY_NS (250 * PF_MILLISECOND)

struct pf_tcp_connect_options {
    size_t size;
    int64_t timeout_ns;            /* for all of it; 0: PF_TCP_CONNECT_NS; PF_NEVER: none */
    int64_t delay_ns;              /* between two attempts; 0: PF_TCP_CONNECT_DELAY_NS */
    int family;                    /* AF_UNSPEC (0), AF_INET, AF_INET6 */
    pf_resolver *resolver;         /* borrowed until fn is called; NULL: one of its own */
    const struct sockaddr *source; /* to be bound to, copied; NULL: the kernel picks */
    socklen_t source_len;
    struct pf_stream_options stream; /* all zeros: the defaults */
};
#define PF_TCP_CONNECT_OPTIONS .size = sizeof(struct pf_tcp_connect_options)

/* stream is yours; or NULL, and err says why: of the address that failed last. */
typedef int pf_tcp_connect_fn(pf_stream *stream, int err, void *arg);

/*
 * Connect to `host`, a name or a literal without brackets, at `port`: to all its addresses,
 * one after the other, the families taking turns. The next is tried when one fails, or when
 * delay_ns have passed; the first that is there is taken, the others are closed. fn is
 * called once, from the loop.
 *
 * out  for pf_tcp_connect_cancel(); valid until fn is called or the loop closed. May be
 * NULL
 *
 * Returns 0, or -EINVAL, -EOVERFLOW (timeout_ns) or what pf_resolve() answers. fn may get
 * -ETIMEDOUT, what pf_resolved says, or an error of socket(2), bind(2) or connect(2).
 * Source: RFC 8305.
 */
PF_API int pf_tcp_connect(pf_loop *loop, const char *host, unsigned port,
                          const struct pf_tcp_connect_options *options,
                          pf_tcp_connect_fn *fn, void *arg, pf_tcp_connecting **out);

/* Give up; fn is not called. NULL is fine. Returns 0. */
PF_API int pf_tcp_connect_cancel(pf_tcp_connecting *connecting);

/* ---- serving --------------------------------------------------------------------- */

typedef struct pf_tcp_server pf_tcp_server;

/* Connections that may wait to be accepted, where the options say 0. */
#define PF_TCP_SERVER_BACKLOG 128

/*
 * Somebody has connected. `stream` is yours; `peer` is borrowed for the call. May stop and
 * free the server.
 */
typedef void pf_tcp_server_fn(pf_tcp_server *server, pf_stream *stream,
                              const struct sockaddr *peer, socklen_t peer_len, void *arg);

struct pf_tcp_server_options {
    size_t size;
    pf_tcp_server_fn *on_connection;
    void *arg;
    int backlog;                     /* 0: PF_TCP_SERVER_BACKLOG */
    struct pf_stream_options stream; /* of each stream; all zeros: the defaults */
};
#define PF_TCP_SERVER_OPTIONS .size = sizeof(struct pf_tcp_server_options)

/* Make one that listens nowhere yet. Returns 0, or -EINVAL (no on_connection), -ENOMEM. */
PF_API int pf_tcp_server_new(pf_loop *loop, const struct pf_tcp_server_options *options,
                             pf_tcp_server **out);

/*
 * Listen and accept at `address`: "127.0.0.1:8888", "[::1]:80", ":80" (all interfaces of
 * both families, where there are two), "name:80" (blocks for the look-up), "unix:/path",
 * "unix:@name". Several calls add up. With port 0 the kernel picks, once for all addresses
 * of the text.
 *
 * why  gets a phrase about what failed, at most why_len - 1 bytes; may be NULL
 *
 * Returns 0, or -EINVAL (the text), -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -ENOMEM, or
 * another error of socket(2), bind(2), listen(2); then none of its addresses is listened
 * on.
 */
PF_API int pf_tcp_server_listen(pf_tcp_server *server, const char *address, char *why,
                                size_t why_len);

/* Accept from sockets that listen already; they are the server's from now on. Returns 0; or
 * -ENOMEM, or what pf_loop_add_handler() answers, and all are the caller's as before. */
PF_API int pf_tcp_server_add_sockets(pf_tcp_server *server, const int *fds, size_t count);

/* The port of its first TCP listener, or 0. */
PF_API unsigned pf_tcp_server_port(const pf_tcp_server *server);

/* Stop accepting and close the listeners; streams live on. Twice is fine, and listening
 * again later. Returns 0. */
PF_API int pf_tcp_server_stop(pf_tcp_server *server);

/* Stop and free it. In a child: closes the child's copies. When the loop is closed or
 * discarded its listeners go with it. From another thread: nothing. NULL is fine. */
PF_API void pf_tcp_server_free(pf_tcp_server *server);

#ifdef __cplusplus
}
#endif
#endif
