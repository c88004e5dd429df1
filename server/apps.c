/*
 * apps.c - the built-in applications: hello (HTTP) and echo (raw TCP).
 */
#include "net/conn.h"
#include "server/internal.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- hello ----------------------------------------------------------------------- */

static int hello_on_get(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, "text/plain; charset=utf-8", "hello", 5);
}

static const struct pf_http_route hello_routes[] = {
    {.method = "GET", .path = "/", .handler = hello_on_get}, {0}};

static const struct pf_app hello = {PF_APP, .name = "hello",
                                    .summary = "HTTP; GET / answers hello",
                                    .routes = hello_routes};

/* ---- echo ------------------------------------------------------------------------ */

/* A connection without a byte for so long is closed; in a drain, where the first silence is
 * the only end that an echo has, for so long. */
#define ECHO_IDLE_NS (300 * PF_SECOND)
#define ECHO_LAME_NS (100 * PF_MILLISECOND)
enum {
    ECHO_IDLE,
    ECHO_LAME
};

struct echo {
    pf_lane *lane;
    pf_conns *conns;
    unsigned silence; /* deadline class */
};

static size_t echo_on_data(pf_conn *conn, const char *data, size_t len)
{
    const struct echo *echo = pf_conn_arg(conn);
    pf_conn_set_deadline(conn, echo->silence);
    if (pf_conn_write(conn, data, len) != 0)
        pf_conn_abort(conn, 0);
    else
        (void)pf_lane_answered(echo->lane, len);
    return len;
}

static void echo_on_deadline(pf_conn *conn)
{
    pf_conn_close(conn, false);
}

static void echo_on_gone(pf_conns *conns, int fd, void *arg)
{
    (void)conns;
    const struct echo *echo = arg;
    (void)pf_lane_closed(echo->lane, fd);
}

static const struct pf_conn_protocol echo_protocol = {
    .name = "echo", .on_data = echo_on_data, .on_deadline = echo_on_deadline};

static int echo_lane_init(pf_lane *lane, void *arg)
{
    (void)arg;
    struct echo *echo = malloc(sizeof *echo);
    if (!echo)
        return -ENOMEM;
    *echo = (struct echo){.lane = lane, .silence = ECHO_IDLE};
    struct pf_conns_options options = {
        .protocol = &echo_protocol,
        .arg = echo,
        .timeouts_ns = {[ECHO_IDLE] = ECHO_IDLE_NS, [ECHO_LAME] = ECHO_LAME_NS},
        .on_gone = echo_on_gone};
    int err = pf_conns_new(pf_lane_loop(lane), &options, &echo->conns);
    if (err)
        free(echo);
    else
        pf_lane_set_data(lane, echo);
    return err;
}

static void echo_on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                               socklen_t peer_len, void *arg)
{
    (void)peer, (void)peer_len, (void)arg;
    const struct echo *echo = pf_lane_get_data(lane);
    pf_conn *conn;
    int err = pf_conn_open(echo->conns, fd, &conn);
    if (!err) {
        pf_conn_set_deadline(conn, echo->silence);
        return;
    }
    pf_log(PF_LOG_WARN, "connection-dropped", "error=%s", strerror(-err));
    (void)pf_lane_closed(lane, fd);
}

/* Back to where it came from; what the socket does not take is lost, as datagrams may be.
 */
static void echo_on_datagram(pf_lane *lane, int fd, const void *data, size_t len,
                             const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)arg;
    if (sendto(fd, data, len, 0, peer, peer_len) == (ssize_t)len)
        (void)pf_lane_answered(lane, len);
}

static void drain_one(pf_conn *conn, void *arg)
{
    (void)arg;
    pf_conn_set_deadline(conn, ECHO_LAME);
}

static void echo_on_drain(pf_lane *lane, void *arg)
{
    (void)arg;
    struct echo *echo = pf_lane_get_data(lane);
    echo->silence = ECHO_LAME;
    pf_conns_each(echo->conns, drain_one, NULL);
}

static void echo_lane_exit(pf_lane *lane, void *arg)
{
    (void)arg;
    struct echo *echo = pf_lane_get_data(lane);
    pf_conns_free(echo->conns);
    free(echo);
}

static const struct pf_app echo = {PF_APP,
                                   .name = "echo",
                                   .summary =
                                       "TCP, UDP, unix sockets; sends back what it gets",
                                   .on_connection = echo_on_connection,
                                   .on_datagram = echo_on_datagram,
                                   .lane_init = echo_lane_init,
                                   .on_drain = echo_on_drain,
                                   .lane_exit = echo_lane_exit};

const struct pf_app *const pf__apps[] = {&hello, &echo, NULL};
