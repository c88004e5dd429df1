/*
 * host.c - joins what does not know of each other: lanes of workers, and HTTP.
 *
 * An application of raw connections is a service almost as it is. One with routes gets an
 * HTTP server on each lane, which reports to the lane through the observer's functions.
 *
 * Whatever is called here looks at hosted->app when it is called, and not before: a module
 * is not there until worker_init has loaded it.
 */
#include "http/server.h"
#include "server/internal.h"
#include "worker/lane.h"

#include <prefork/log.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- any application ------------------------------------------------------------- */

static int load(struct pf__hosted *hosted)
{
    char error[1536];
    if (!hosted->module || hosted->app.size)
        return 0;
    if (pf__module_load(hosted->module, error, sizeof error) != PF_EXIT_OK) {
        pf_log(PF_LOG_ERROR, "module-not-loaded", "%s", error);
        return -ENOEXEC;
    }
    hosted->app = hosted->module->app;
    return 0;
}

static int host_worker_init(void *arg)
{
    struct pf__hosted *hosted = arg;
    int err = load(hosted);
    if (!err && hosted->app.worker_init)
        err = hosted->app.worker_init(hosted->app.arg);
    return err;
}

static void host_worker_exit(void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.worker_exit)
        hosted->app.worker_exit(hosted->app.arg);
}

static int host_pre_fork(void *arg)
{
    const struct pf__hosted *hosted = arg;
    return hosted->app.pre_fork ? hosted->app.pre_fork(hosted->app.arg) : 0;
}

static void host_on_ready(void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.on_ready)
        hosted->app.on_ready(hosted->app.arg);
}

static void host_on_crash(const struct pf_crash *crash, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.on_crash)
        hosted->app.on_crash(crash, hosted->app.arg);
}

static void host_on_reopen(void *arg)
{
    struct pf__hosted *hosted = arg;
    pf__access_log_reopen(&hosted->access_log);
}

/* ---- raw ------------------------------------------------------------------------- */

static int raw_lane_init(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    return hosted->app.lane_init ? hosted->app.lane_init(lane, hosted->app.arg) : 0;
}

static void raw_on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                              socklen_t peer_len, void *arg)
{
    const struct pf__hosted *hosted = arg;
    hosted->app.on_connection(lane, fd, peer, peer_len, hosted->app.arg);
}

static void raw_on_datagram(pf_lane *lane, int fd, const void *data, size_t len,
                            const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    const struct pf__hosted *hosted = arg;
    hosted->app.on_datagram(lane, fd, data, len, peer, peer_len, hosted->app.arg);
}

static void raw_on_refused(pf_lane *lane, int fd, bool scarce, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.on_refused)
        hosted->app.on_refused(lane, fd, scarce, hosted->app.arg);
    else
        close(fd);
}

static void raw_on_drain(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.on_drain)
        hosted->app.on_drain(lane, hosted->app.arg);
}

static void raw_lane_exit(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.lane_exit)
        hosted->app.lane_exit(lane, hosted->app.arg);
}

/* ---- HTTP: the server tells the lane --------------------------------------------- */

static void http_on_gone(void *arg, int fd)
{
    (void)pf_lane_closed(arg, fd);
}

/* The route is counted without asking the guards again. */
static void count_route(const pf_lane *lane, const struct pf__hosted *hosted,
                        const pf_http_request *request)
{
    const struct pf_http_route *route = pf__http_request_route(request);
    size_t number = route ? (size_t)(route - hosted->app.routes) : SIZE_MAX;
    if (number < hosted->facts.route_columns)
        pf_count(lane->own_cells[hosted->facts.own_columns + number], 1);
}

/* The loop's clock is read anew for a line of the log: in the turn that a request came with
 * the one that its handlers see stands still. */
static int64_t time_since(pf_lane *lane, int64_t began_ns)
{
    int64_t now = began_ns;
    (void)pf_loop_time(pf_lane_loop(lane), &now); /* cannot fail where a handler ran */
    return now - began_ns;
}

static void http_on_request(void *arg, pf_http_request *request, int status, uint64_t bytes,
                            int64_t began_ns)
{
    pf_lane *lane = arg;
    struct pf__hosted *hosted = lane->service->arg;
    if (pf_lane_answered(lane, (size_t)bytes) != 0)
        return; /* a child of the worker's */
    count_route(lane, hosted, request);
    if (hosted->access_log.fd == -1)
        return;
    struct pf__access access = {.status = status,
                                .bytes = bytes,
                                .duration_ns = time_since(lane, began_ns),
                                .now_s = time(NULL),
                                .worker = pf_lane_slot(lane)};
    pf__access_log_write(&hosted->access_log, request, &access);
}

static const struct pf_http_observer observer = {.on_request = http_on_request,
                                                 .on_gone = http_on_gone};

pf_lane *pf_http_get_lane(pf_http_request *request)
{
    return pf__http_request_observer(request);
}

/* ---- HTTP: the lane tells the server --------------------------------------------- */

/* The command line's word goes before the application's. */
static void fill_in(const struct pf__hosted *hosted, struct pf_http_server_options *options)
{
    const struct pf__http_settings *http = &hosted->http;
    const struct pf_app *app = &hosted->app;
    options->routes = app->routes;
    options->middleware = app->middleware;
    options->on_error = app->on_error;
    options->on_error_arg = app->arg;
    options->head_timeout_ns = http->head_timeout_ns;
    options->idle_timeout_ns = http->idle_timeout_ns;
    options->body_timeout_ns = http->body_timeout_ns;
    options->body_max = http->body_max ? (size_t)http->body_max : app->body_max;
    options->bodies_max = http->bodies_max ? (size_t)http->bodies_max : app->bodies_max;
    options->requests_max =
        http->requests_max ? (unsigned)http->requests_max : app->requests_max;
    options->age_max_ns = http->age_max_ns ? http->age_max_ns : app->age_max_ns;
    options->xheaders = http->xheaders;
    options->proxy_protocol = http->proxy_protocol;
    options->trusted = &http->trusted.networks;
    options->threads = app->blocking_threads;
}

static int make_server(pf_lane *lane, const struct pf__hosted *hosted,
                       pf_http_server **server)
{
    char error[512] = "";
    struct pf_http_server_options options = {.observer = &observer,
                                             .observer_arg = lane,
                                             .error = error,
                                             .error_len = sizeof error};
    fill_in(hosted, &options);
    int err = pf_http_server_new(pf_lane_loop(lane), &options, server);
    if (err && error[0])
        pf_log(PF_LOG_ERROR, "bad-routes", "app=%s: %s", hosted->app.name, error);
    return err;
}

static int http_lane_init(pf_lane *lane, void *arg)
{
    const struct pf__hosted *hosted = arg;
    pf_http_server *server;
    int err = make_server(lane, hosted, &server);
    if (err)
        return err;
    err = raw_lane_init(lane, arg);
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
    raw_on_drain(lane, arg);
    (void)pf_http_server_drain(lane->host_data);
}

static void http_lane_exit(pf_lane *lane, void *arg)
{
    raw_lane_exit(lane, arg);
    pf_http_server_free(lane->host_data);
}

static bool http_on_full(pf_lane *lane, void *arg)
{
    (void)arg;
    return pf_http_server_spare(lane->host_data);
}

static void http_on_refused(pf_lane *lane, int fd, bool scarce, void *arg)
{
    const struct pf__hosted *hosted = arg;
    if (hosted->app.on_refused)
        hosted->app.on_refused(lane, fd, scarce, hosted->app.arg);
    else
        pf_http_server_refuse(lane->host_data, fd, scarce);
}

/* ---- either ---------------------------------------------------------------------- */

static void host_http(struct pf_service *service)
{
    service->lane_init = http_lane_init;
    service->on_connection = http_on_connection;
    service->on_drain = http_on_drain;
    service->lane_exit = http_lane_exit;
    service->on_refused = http_on_refused;
    service->on_full = http_on_full;
}

static void host_raw(const struct pf__facts *facts, struct pf_service *service)
{
    service->lane_init = raw_lane_init;
    service->on_connection = facts->on_connection ? raw_on_connection : NULL;
    service->on_datagram = facts->on_datagram ? raw_on_datagram : NULL;
    service->on_drain = raw_on_drain;
    service->lane_exit = raw_lane_exit;
    service->on_refused = raw_on_refused;
}

static void take_columns(struct pf__hosted *hosted, struct pf_service *service)
{
    const struct pf__facts *facts = &hosted->facts;
    service->columns = hosted->columns;
    service->column_count = facts->own_columns + facts->route_columns;
    for (size_t i = 0; i < service->column_count; i++)
        hosted->columns[i] = (struct pf_column){.name = facts->columns[i].name,
                                                .kind = facts->columns[i].kind,
                                                .writer = PF_COLUMN_LANE};
}

void pf__host(struct pf__hosted *hosted, struct pf_service *service)
{
    *service = (struct pf_service){
        .size = sizeof *service,
        .name = hosted->facts.name,
        .arg = hosted,
        .worker_init = host_worker_init,
        .worker_exit = host_worker_exit,
        .pre_fork = host_pre_fork,
        .on_ready = host_on_ready,
        .on_crash = host_on_crash,
    };
    if (hosted->access_log.fd != -1)
        service->on_reopen = host_on_reopen;
    if (hosted->facts.http)
        host_http(service);
    else
        host_raw(&hosted->facts, service);
    take_columns(hosted, service);
}
