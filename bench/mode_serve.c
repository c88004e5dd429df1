/*
 * mode_serve.c - `prefork-bench serve`: the null server (null_server.h), for tests of load
 * tools. What it does is known beforehand, so what is measured of it can be checked.
 *
 * Each address it listens on is a line on standard output, and in the end, at SIGTERM or
 * SIGINT, a line says how many requests it has answered.
 */
#include "bench/cli.h"

#include "bench/descriptors.h"
#include "bench/mode_line.h"
#include "bench/null_server.h"
#include "net/listener_file.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BACKLOG 65535

struct config {
    const char *bind;
    struct pf_option_list stalls;
    const char *stall_every;
    int64_t body, status, close_after, garbage, delay_ns;
};

#define AT(field) .at = offsetof(struct config, field)

static const struct pf_option options[] = {
    {.name = "bind",
     .letter = 'b',
     .type = PF_OPTION_STRING,
     AT(bind),
     .argument = "ADDR",
     .help = "where to listen (127.0.0.1:0: a port that the kernel picks)"},
    {.name = "body",
     .type = PF_OPTION_SIZE,
     AT(body),
     .max = NULL_SERVER_BODY_MAX,
     .argument = "SIZE",
     .help = "bytes of each answer's body (13)"},
    {.name = "status",
     .type = PF_OPTION_INT,
     AT(status),
     .min = 200,
     .max = 599,
     .argument = "N",
     .help = "status of each answer (200)"},
    {.name = "delay",
     .type = PF_OPTION_DURATION,
     AT(delay_ns),
     .min = 1,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "answer each request so much later (at once)"},
    {.name = "stall",
     .type = PF_OPTION_LIST,
     AT(stalls),
     .argument = "D@T",
     .help = "stand still for D, from T after the first request on; repeatable"},
    {.name = "stall-every",
     .type = PF_OPTION_STRING,
     AT(stall_every),
     .argument = "D/T",
     .help = "stand still for D, once in each T"},
    {.name = "close-after",
     .type = PF_OPTION_INT,
     AT(close_after),
     .min = 1,
     .max = INT64_MAX,
     .argument = "N",
     .help = "close a connection behind N answers, without saying so in the last"},
    {.name = "garbage",
     .type = PF_OPTION_INT,
     AT(garbage),
     .min = 1,
     .max = INT64_MAX,
     .argument = "N",
     .help = "each N-th answer is no HTTP, and the last of its connection"},
    {0},
};

/* ---- from the command line to the server's options ------------------------------- */

static int parse_script(const struct config *config, struct serve_script *script)
{
    char why[PF_OPTION_ERROR_MAX];
    for (size_t i = 0; i < config->stalls.count; i++)
        if (serve_script_add(script, config->stalls.values[i], why, sizeof why) != 0)
            return cli_fail("--stall %s: %s", config->stalls.values[i], why);
    if (config->stall_every &&
        serve_script_every(script, config->stall_every, why, sizeof why) != 0)
        return cli_fail("--stall-every %s: %s", config->stall_every, why);
    return 0;
}

/* ---- listening ------------------------------------------------------------------- */

struct listeners {
    int fds[PF_ADDRESSES_MAX];
    size_t count;
    struct pf_listener_file file; /* of a unix socket with one */
};

static void close_listeners(struct listeners *listeners)
{
    while (listeners->count)
        close(listeners->fds[--listeners->count]);
    pf_listener_file_release(&listeners->file);
}

static int open_listener(struct pf_address *address, struct pf_listener_file *file)
{
    const struct pf_listener_options how = {.backlog = BACKLOG};
    const char *path = pf_address_path(address);
    int holder;
    return path ? pf_listener_file_open(file, path, &how, &holder)
                : pf_listener_open(address, &how, PF_LISTENER_ALONE);
}

/* One line for each address, so that who started us can find a port that the kernel picked.
 */
static int open_listeners(const char *text, struct listeners *listeners)
{
    struct pf_address addresses[PF_ADDRESSES_MAX];
    char why[PF_OPTION_ERROR_MAX], name[PF_ADDRESS_TEXT_MAX];
    int count = pf_address_parse(text, addresses, why, sizeof why);
    if (count < 0)
        return cli_fail("-b %s: %s", text, why);
    for (int i = 0; i < count; i++) {
        if (i && pf_address_port(&addresses[i]) == 0) /* the same one for all */
            pf_address_set_port(&addresses[i], pf_address_port(&addresses[0]));
        int fd = open_listener(&addresses[i], &listeners->file);
        if (fd < 0)
            return cli_fail("-b %s: %s; choose another address", text, strerror(-fd));
        listeners->fds[listeners->count++] = fd;
        printf("listening on %s\n", pf_address_format(&addresses[i], name));
    }
    if (fflush(stdout) != 0)
        return cli_fail("cannot write to standard output: %s", strerror(errno));
    return 0;
}

/* ---- serving --------------------------------------------------------------------- */

static pf_signal_fn on_stop;

static int on_stop(pf_loop *loop, int signo, void *arg)
{
    (void)signo, (void)arg;
    return pf_loop_stop(loop);
}

static int run(pf_loop *loop, const struct null_server_options *how)
{
    struct null_server *server;
    int err = pf_loop_add_signal(loop, SIGTERM, on_stop, NULL);
    if (!err)
        err = pf_loop_add_signal(loop, SIGINT, on_stop, NULL);
    if (!err)
        err = null_server_new(loop, how, &server);
    if (err)
        return err;
    err = pf_loop_start(loop);
    printf("answered %" PRIu64 " requests on %" PRIu64 " connections\n",
           null_server_answers(server), null_server_connections(server));
    null_server_free(server);
    return err;
}

static int serve(const struct null_server_options *how)
{
    pf_loop *loop;
    (void)descriptors_raise();           /* else accepting will tell */
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* ns; refused: delays are 50 us longer */
    int err = pf_loop_new(NULL, &loop);
    if (!err) {
        err = run(loop, how);
        (void)pf_loop_close(loop, true); /* with the connections that are open */
        pf_loop_unref(loop);
    }
    if (!err)
        return EXIT_RUN_OK;
    (void)cli_fail("cannot serve: %s", strerror(-err));
    return EXIT_INVALID;
}

static const struct mode_line line = {
    .mode = &mode_serve,
    .options = options,
    .ending = "",
    .excess = "serve takes options only",
};

static int serve_main(const struct mode *mode, int argc, char **argv)
{
    (void)mode;
    struct config config = {.bind = "127.0.0.1:0", .body = 13, .status = 200};
    struct null_server_options how = {0};
    struct listeners listeners = {.file = PF_LISTENER_FILE_NONE};
    int count, status = mode_line_read(&line, &config, argc, argv, NULL, 0, &count);
    if (status >= 0)
        return status;
    how.body = (size_t)config.body;
    how.status = (unsigned)config.status;
    how.close_after = (uint64_t)config.close_after;
    how.garbage = (uint64_t)config.garbage;
    how.delay_ns = config.delay_ns;
    status = parse_script(&config, &how.script);
    if (!status)
        status = open_listeners(config.bind, &listeners);
    how.listeners = listeners.fds;
    how.listener_count = listeners.count;
    if (!status)
        status = serve(&how);
    close_listeners(&listeners);
    return status;
}

const struct mode mode_serve = {
    .name = "serve",
    .usage = "[options]",
    .help = "A null server: it answers every request, and may misbehave as told.",
    .main = serve_main,
};
