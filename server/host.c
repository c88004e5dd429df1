/*
 * host.c - joins what does not know of each other: lanes of workers, and HTTP.
 *
 * An application of raw connections is a service already. One with routes gets an HTTP
 * server on each lane, which reports to the lane through the observer's functions.
 */
#include "http/server.h"
#include "server/internal.h"
#include "worker/lane.h"

#include <prefork/log.h>

#include <errno.h>
#include <string.h>

/* ---- HTTP: the server tells the lane --------------------------------------------- */

static void http_on_response(void *arg, int status, size_t bytes)
{
    (void)status;
    (void)pf_lane_answered(arg, bytes);
}

static void http_on_gone(void *arg, int fd)
{
    (void)pf_lane_closed(arg, fd);
}

static const struct pf_http_observer observer = {.on_response = http_on_response,
                                                 .on_gone = http_on_gone};

/* ---- HTTP: the lane tells the server --------------------------------------------- */

static int http_lane_init(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    struct pf_http_server_options options = {
        .routes = hosted->app->routes,
        .observer = &observer,
        .observer_arg = lane,
        .head_timeout_ns = hosted->http.head_timeout_ns,
        .idle_timeout_ns = hosted->http.idle_timeout_ns,
    };
    pf_http_server *server;
    int err = pf_http_server_new(pf_lane_loop(lane), &options, &server);
    if (err)
        return err;
    if (hosted->app->lane_init)
        err = hosted->app->lane_init(lane, hosted->app->arg);
    if (err)
        pf_http_server_free(server);
    else
        lane->host_data = server;
    return err;
}

static void http_on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                               socklen_t peer_len, void *arg)
{
    (void)peer_len, (void)arg;
    int err = pf_http_server_adopt(lane->host_data, fd, peer);
    if (!err)
        return;
    pf_log(PF_LOG_WARN, "connection-dropped", "error=%s", strerror(-err));
    (void)pf_lane_closed(lane, fd);
}

static void http_on_drain(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app->on_drain)
        hosted->app->on_drain(lane, hosted->app->arg);
    (void)pf_http_server_drain(lane->host_data);
}

static void http_lane_exit(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app->lane_exit)
        hosted->app->lane_exit(lane, hosted->app->arg);
    pf_http_server_free(lane->host_data);
}

static void http_on_refused(pf_lane *lane, int fd, bool scarce, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app->on_refused)
        hosted->app->on_refused(lane, fd, scarce, hosted->app->arg);
    else
        pf_http_server_refuse(lane->host_data, fd, scarce);
}

static int http_worker_init(void *arg)
{
    const struct pf__hosted *hosted = arg;
    return hosted->app->worker_init ? hosted->app->worker_init(hosted->app->arg) : 0;
}

static void http_worker_exit(void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app->worker_exit)
        hosted->app->worker_exit(hosted->app->arg);
}

static int http_pre_fork(void *arg)
{
    const struct pf__hosted *hosted = arg;
    return hosted->app->pre_fork ? hosted->app->pre_fork(hosted->app->arg) : 0;
}

static void http_on_ready(void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app->on_ready)
        hosted->app->on_ready(hosted->app->arg);
}

static void http_on_crash(const struct pf_crash *crash, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app->on_crash)
        hosted->app->on_crash(crash, hosted->app->arg);
}

/* ---- either ---------------------------------------------------------------------- */

static void host_http(const struct pf__hosted *hosted, struct pf_service *service)
{
    *service = (struct pf_service){
        .size = sizeof *service,
        .name = hosted->app->name,
        .arg = (void *)(uintptr_t)
            hosted, /* handed back to the functions above, which read it */
        .worker_init = http_worker_init,
        .lane_init = http_lane_init,
        .on_connection = http_on_connection,
        .on_drain = http_on_drain,
        .lane_exit = http_lane_exit,
        .worker_exit = http_worker_exit,
        .pre_fork = http_pre_fork,
        .on_ready = http_on_ready,
        .on_refused = http_on_refused,
        .on_crash = http_on_crash,
    };
}

static void host_raw(const struct pf_app *app, struct pf_service *service)
{
    *service = (struct pf_service){
        .size = sizeof *service,
        .name = app->name,
        .arg = app->arg,
        .worker_init = app->worker_init,
        .lane_init = app->lane_init,
        .on_connection = app->on_connection,
        .on_drain = app->on_drain,
        .lane_exit = app->lane_exit,
        .worker_exit = app->worker_exit,
        .pre_fork = app->pre_fork,
        .on_ready = app->on_ready,
        .on_datagram = app->on_datagram,
        .on_refused = app->on_refused,
        .on_crash = app->on_crash,
    };
}

int pf__host(const struct pf__hosted *hosted, struct pf_service *service)
{
    const struct pf_app *app = hosted->app;
    if (!app || !app->name || !app->routes == !(app->on_connection || app->on_datagram))
        return -EINVAL;
    if (app->routes)
        host_http(hosted, service);
    else
        host_raw(app, service);
    return 0;
}
