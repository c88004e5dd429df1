/*
 * server.h - the HTTP/1.1 server of one lane: its connections, their limits, their end.
 *
 * Knows nothing of processes: it is handed connected sockets, and it reports what it does
 * through a table of functions.
 *
 * Requests of a connection are answered in order, one after the other, those of one read in
 * one send if their handlers answer at once. What is not HTTP gets one error answer, behind
 * those of the requests before it, and is the connection's end.
 */
#ifndef PREFORK_HTTP_SERVER_H
#define PREFORK_HTTP_SERVER_H

#include "http/forwarded.h"

#include <prefork/http.h>
#include <prefork/loop.h>

typedef struct pf_http_server pf_http_server;

/* Defaults. */
#define PF_HTTP_HEAD_TIMEOUT_NS (10 * PF_SECOND) /* a whole head, from its first byte */
#define PF_HTTP_IDLE_TIMEOUT_NS (75 * PF_SECOND) /* between requests */
#define PF_HTTP_BODY_TIMEOUT_NS (30 * PF_SECOND) /* without a byte of a body */
#define PF_HTTP_LAME_NS         (100 * PF_MILLISECOND) /* idle connections in a drain */
#define PF_HTTP_BODY_MAX        (1024 * 1024)
#define PF_HTTP_BODIES_MAX      (256 * 1024 * 1024)
/* A body slower than so many bytes a second is cut, once it has taken the grace. */
#define PF_HTTP_BODY_RATE     500
#define PF_HTTP_BODY_GRACE_NS (5 * PF_SECOND)
/* Requests that are kept for reuse. */
#define PF_HTTP_FREE_MAX 64

/* What the server tells whoever runs it; each may be NULL. */
struct pf_http_observer {
    void (*on_response)(void *arg, int status, size_t bytes); /* one response is finished */
    void (*on_gone)(void *arg, int fd); /* one connection ended, its socket is closed */
    /* A response is finished, and its request still there to be asked: for a log. began:
     * when the loop woke up for the head's first byte, by its clock; pf_loop_time() says
     * how long ago that was. */
    void (*on_request)(void *arg, pf_http_request *request, int status, uint64_t bytes,
                       int64_t began_ns);
};

struct pf_http_server_options {
    const struct pf_http_route *routes; /* ends with {0}; borrowed */
    const struct pf_http_observer *observer;
    void *observer_arg;
    int64_t head_timeout_ns; /* 0: the default, as for the rest */
    int64_t idle_timeout_ns;
    int64_t body_timeout_ns;
    size_t body_max;
    size_t bodies_max; /* bytes of bodies that wait, collected, at one time; beyond: 503 */
    const struct pf_http_middleware *middleware; /* ends with {0}; NULL: none */
    /* Answer with this status instead of the standard page; NULL. */
    void (*on_error)(pf_http_request *request, int status, void *arg);
    void *on_error_arg;
    unsigned requests_max; /* of one connection; 0: no limit */
    int64_t age_max_ns;    /* of one connection; 0: no limit */
    unsigned threads;      /* for blocking handlers; 0: PF_EXECUTOR_THREADS */
    /* Who is behind trusted peers: as their fields say (forwarded.h), and as the PROXY
     * header says (net/proxy.h) that must come first on their connections; one that is
     * wrong or missing ends the connection without a word. */
    bool xheaders, proxy_protocol;
    const struct pf__networks *trusted; /* borrowed; NULL: nobody */
    char *error; /* for a phrase about what is wrong with the routes; or NULL */
    size_t error_len;
};

/*
 * Returns 0, -ENOMEM, what a resource's initialize answered, or what
 * pf__http_routes_new() did: routes that are wrong, with a phrase in options->error.
 */
int pf_http_server_new(pf_loop *loop, const struct pf_http_server_options *options,
                       pf_http_server **out);

/* Serve a connected socket: ours from now on. `peer` may be NULL. Returns 0, or a negative
 * errno (fd closed). */
int pf_http_server_adopt(pf_http_server *server, int fd, const struct sockaddr *peer);

/*
 * Answer 503 over a connected socket, which is ours from now on, and end it: the observer
 * is told nothing. Up to PF_HTTP_REFUSING_MAX at a time are closed lingering, so that the
 * answer is not lost to a reset; beyond that, and if `scarce`, fd is closed before this
 * returns.
 */
#define PF_HTTP_REFUSING_MAX 64
void pf_http_server_refuse(pf_http_server *server, int fd, bool scarce);

/* Close the connection that has waited longest for its next request, so that another may
 * come. Returns whether there was one. Not inside a handler. */
bool pf_http_server_spare(pf_http_server *server);

/*
 * Say good-bye: each connection answers the requests that have come, the last of them with
 * `Connection: close`, and ends; a request that was begun is waited for. An idle connection
 * is closed PF_HTTP_LAME_NS later, for its next request may be on its way. Returns 0,
 * -ECHILD or -EPERM. Not inside a handler.
 */
int pf_http_server_drain(pf_http_server *server);

/* The observer_arg of its server: who runs it. From any thread. */
void *pf__http_request_observer(const pf_http_request *request);

/* For an observer: the request's route, as it stands in options->routes; NULL: none. And
 * has its head come whole? Of one that was refused before there is little to ask. */
const struct pf_http_route *pf__http_request_route(const pf_http_request *request);
bool pf__http_request_has_head(const pf_http_request *request);

size_t pf_http_server_connections(const pf_http_server *server);

/* Abort what is left, telling the observer, and free it; requests that the application has
 * not finished are gone with it. Waits for blocking handlers that run. In a child: close
 * the descriptors and free the memory, without a word. NULL is fine. Not inside a handler.
 */
void pf_http_server_free(pf_http_server *server);

#endif
