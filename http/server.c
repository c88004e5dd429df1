/*
 * server.c - the HTTP/1.1 server of one lane, from its birth to its end; see server.h.
 */
#include "http/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPARE_TRIES = 8, /* connections that are looked at for one that can be spared */
};

_Static_assert(sizeof(struct pf__http_client) <= 48,
               "an idle connection is to cost little");

/* ---- birth ----------------------------------------------------------------------- */

static int64_t or_default(int64_t value, int64_t standard)
{
    return value ? value : standard;
}

static void fill_in(pf_http_server *server, const struct pf_http_server_options *options)
{
    server->options = *options;
    server->options.body_max = options->body_max ? options->body_max : PF_HTTP_BODY_MAX;
    server->options.bodies_max =
        options->bodies_max ? options->bodies_max : PF_HTTP_BODIES_MAX;
    const struct pf_http_middleware *m = options->middleware;
    for (; m && (m->before || m->after || m->before_body); m++) {
        server->middleware_count++;
        server->asks_for_bodies = server->asks_for_bodies || m->before_body;
    }
}

static void on_gone(pf_conns *conns, int fd, void *arg)
{
    (void)conns;
    const pf_http_server *server = arg;
    const struct pf_http_observer *observer = server->options.observer;
    if (observer && observer->on_gone)
        observer->on_gone(server->options.observer_arg, fd);
}

static int make_conns(pf_http_server *server)
{
    const struct pf_http_server_options *options = &server->options;
    struct pf_conns_options conns = {
        .protocol = &pf__http_protocol,
        .arg = server,
        /* Answering stops while output is blocked, so no more than a batch stands before.
         */
        .output_max = PF_HTTP_RESPONSE_BODY_MAX + PF__HTTP_HEAD_MAX +
                      PF_HTTP_RESPONSE_HEAD_MAX + PF_CONN_BATCH_MAX,
        .timeouts_ns = {[PF__HTTP_IDLE] =
                            or_default(options->idle_timeout_ns, PF_HTTP_IDLE_TIMEOUT_NS),
                        [PF__HTTP_HEAD] =
                            or_default(options->head_timeout_ns, PF_HTTP_HEAD_TIMEOUT_NS),
                        [PF__HTTP_BODY] =
                            or_default(options->body_timeout_ns, PF_HTTP_BODY_TIMEOUT_NS),
                        [PF__HTTP_LAME] = PF_HTTP_LAME_NS},
        .on_gone = on_gone,
    };
    return pf_conns_new(server->loop, &conns, &server->conns);
}

static int initialize(const struct pf_http_resource *resource, void *arg)
{
    int err = resource->initialize ? resource->initialize(arg) : 0;
    return err > 0 ? -err : err;
}

int pf_http_server_new(pf_loop *loop, const struct pf_http_server_options *options,
                       pf_http_server **out)
{
    int err = pf_loop_check(loop); /* before anything is allocated: rule of the fork */
    if (err)
        return err;
    if (!options || !options->routes || !out)
        return -EINVAL;
    pf_http_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->cookie = pf__process_cookie();
    fill_in(server, options);
    pf__http_date_refresh(&server->date);
    err = pf__http_routes_new(options->routes, options->error, options->error_len,
                              &server->routes);
    if (err)
        goto free_server;
    err = pf__http_routes_each_resource(server->routes, initialize);
    if (err)
        goto free_routes;
    err = make_conns(server);
    if (err)
        goto free_routes;
    *out = server;
    return 0;

free_routes:
    pf__http_routes_free(server->routes);
free_server:
    free(server);
    return err;
}

/* ---- connections ----------------------------------------------------------------- */

/* As little of it as is asked for later. */
void pf__http_note_peer(struct pf__http_client *client, const struct sockaddr *peer)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    client->family = (uint8_t)peer->sa_family;
    client->port = 0;
    if (peer->sa_family == AF_INET) {
        memcpy(&in, peer, sizeof in);
        memcpy(client->address, &in.sin_addr, sizeof in.sin_addr);
        client->port = ntohs(in.sin_port);
    } else if (peer->sa_family == AF_INET6) {
        memcpy(&in6, peer, sizeof in6);
        memcpy(client->address, &in6.sin6_addr, sizeof in6.sin6_addr);
        client->port = ntohs(in6.sin6_port);
    }
}

static bool must_send_proxy_header(const pf_http_server *server,
                                   const struct pf__http_client *client)
{
    const struct pf_http_server_options *options = &server->options;
    if (!options->proxy_protocol || !options->trusted)
        return false;
    struct pf_address peer = pf__http_client_address(client);
    return pf__networks_have(options->trusted, &peer);
}

int pf_http_server_adopt(pf_http_server *server, int fd, const struct sockaddr *peer)
{
    pf_conn *conn;
    int err = pf_conn_open(server->conns, fd, &conn);
    if (err)
        return err;
    struct pf__http_client *client = pf__http_client_of(conn);
    client->born_ns = pf_loop_now(server->loop);
    if (peer)
        pf__http_note_peer(client, peer);
    client->awaits_proxy = must_send_proxy_header(server, client);
    pf_conn_set_deadline(conn, PF__HTTP_HEAD); /* one that says nothing is not idle yet */
    return 0;
}

size_t pf_http_server_connections(const pf_http_server *server)
{
    return pf_conns_count(server->conns);
}

/* One whose next request is on its way is served, and is not the one. */
bool pf_http_server_spare(pf_http_server *server)
{
    size_t count = pf_conns_count(server->conns);
    const pf_conn *last = NULL;
    for (int i = 0; i < SPARE_TRIES && pf_conns_count(server->conns) == count; i++) {
        pf_conn *conn = pf_conns_first(server->conns, PF__HTTP_IDLE);
        if (!conn || conn == last)
            break;
        last = conn;
        int got = pf_conn_poll(conn);
        if (got == 0)
            (void)pf_conn_close(conn, false);
        if (got == -EBUSY)
            break;
    }
    return pf_conns_count(server->conns) < count;
}

/* ---- the end --------------------------------------------------------------------- */

/* A request that was begun, or stands behind answers that the client does not take yet, is
 * answered, and its answer closes. */
static void drain_one(pf_conn *conn, void *arg)
{
    (void)arg;
    if (pf__http_client_of(conn)->request || pf_conn_pending(conn) > 0)
        return;
    if (pf_conn_blocked(conn))
        (void)pf_conn_close(conn, true);
    else if (pf_conn_poll(conn) == 0) /* the next request may be on its way */
        pf_conn_set_deadline(conn, PF__HTTP_LAME);
}

int pf_http_server_drain(pf_http_server *server)
{
    int err = pf_loop_check(server->loop);
    if (err)
        return err;
    server->draining = true;
    pf_conns_each(server->conns, drain_one, NULL);
    return 0;
}

void pf_http_server_free(pf_http_server *server)
{
    if (!server)
        return;
    pf__http_blocking_fini(server);
    pf_conns_free(server->conns);
    pf_conns_free(server->refused);
    pf__http_requests_fini(server);
    pf__http_routes_free(server->routes);
    free(server);
}
