/*
 * server.h - an application and a main() for it.
 *
 *     static const struct pf_app app = {PF_APP, .name = "hello", .routes = routes};
 *     int main(int argc, char **argv) { return pf_main(argc, argv, &app); }
 *
 * The program then is a server with prefork-server's options, signals and exit statuses.
 */
#ifndef PREFORK_SERVER_H
#define PREFORK_SERVER_H

#include <prefork/http.h>
#include <prefork/ipc.h>
#include <prefork/options.h>
#include <prefork/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * An application, at one of two heights: HTTP, if it has routes; raw, if it has
 * on_connection, on_datagram or both. Begin the initialiser with PF_APP; fields are only
 * ever added at the end, and what is not wanted is NULL. What the functions are for, and
 * where each runs, is told in prefork/worker.h.
 */
struct pf_app {
    size_t size;
    const char *name;
    const char *summary; /* one line, for help */
    void *arg;           /* handed to each function */

    const struct pf_http_route *routes; /* ends with {0} */
    void (*on_connection)(pf_lane *lane, int fd, const struct sockaddr *peer,
                          socklen_t peer_len, void *arg);

    int (*worker_init)(void *arg);
    int (*lane_init)(pf_lane *lane, void *arg);
    void (*on_drain)(pf_lane *lane, void *arg);
    void (*lane_exit)(pf_lane *lane, void *arg);
    void (*worker_exit)(void *arg);

    int (*pre_fork)(void *arg);
    void (*on_ready)(void *arg);
    void (*on_datagram)(pf_lane *lane, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg);
    void (*on_refused)(pf_lane *lane, int fd, bool scarce,
                       void *arg); /* with routes: 503 */
    void (*on_crash)(const struct pf_crash *crash, void *arg);

    unsigned interface; /* PF_APP_INTERFACE; filled in by PF_APP */

    /* With routes. What the command line says goes before. */
    const struct pf_http_middleware *middleware; /* ends with {0} */
    /* Answer with this status, 400 to 599, instead of the standard page. */
    void (*on_error)(pf_http_request *request, int status, void *arg);
    size_t body_max;           /* bytes of a body; 0: 1 MiB */
    unsigned requests_max;     /* of one connection; 0: no limit */
    int64_t age_max_ns;        /* of one connection; 0: no limit */
    unsigned blocking_threads; /* of each lane, for PF_HTTP_BLOCKING; 0: the default */

    /* Options of its own, as pf_options_parse() takes them, and the struct that they are
     * written to, before the first fork: in a program they stand among the server's, which
     * win if a name is the same; of a module behind its name. NULL: none. */
    const struct pf_option *options;
    void *config;

    /* Columns of its own in the scoreboard: see pf_lane_count(). */
    const struct pf_column *columns;
    size_t column_count;

    size_t bodies_max; /* bytes of bodies that a lane collects at one time; 0: 256 MiB */
};
#define PF_APP_INTERFACE 1
#define PF_APP           .size = sizeof(struct pf_app), .interface = PF_APP_INTERFACE

/*
 * What prefork-server looks for in a module, unless it is given another name behind a
 * colon: `prefork-server ./app.so` or `./app.so:other`. Defined by the module,
 *
 *     const struct pf_app prefork_app = {PF_APP, .name = "app", .routes = routes};
 *
 * which is a shared object and not linked with libprefork: the server has it.
 */
extern PF_API const struct pf_app prefork_app;

/*
 * Run an application as a server: parse the command line, bind, fork, serve until told to
 * stop. Prints the banner to standard output, a mistake in the command line to standard
 * error. Returns the exit status (enum pf_exit). Call it from main, before any loop is
 * made. While it runs, what argv points to is overwritten with what ps(1) shows: see
 * `titles` in prefork/master.h.
 */
PF_API int pf_main(int argc, char **argv, const struct pf_app *app);

/* The lane that a request came to: its pf_lane_get_data() is what lane_init left there.
 * Borrowed; from any thread. */
PF_API pf_lane *pf_http_get_lane(pf_http_request *request);

#ifdef __cplusplus
}
#endif
#endif
