/*
 * main.c - pf_main(): from a command line to a running server.
 */
#include "master/plan.h"
#include "server/internal.h"

#include <prefork/log.h>
#include <prefork/master.h>
#include <prefork/options.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BIND "127.0.0.1:8888"

struct settings {
    unsigned workers; /* 0: auto */
    struct pf_option_list binds;
    int pin;
    int64_t backlog;
    const char *control;
    int64_t drain_ns, boot_ns;
    struct pf__http_settings http;
    int log_level;
    bool help, version;
};

static int parse_workers(const char *value, void *field, char *why, size_t why_len)
{
    unsigned *workers = field;
    if (strcmp(value, "auto") == 0) {
        *workers = 0;
        return 0;
    }
    /* Digits only: strtol(3) takes signs and spaces too. */
    bool digits = *value && strspn(value, "0123456789") == strlen(value);
    long n = digits && strlen(value) < 9 ? strtol(value, NULL, 10) : 0;
    if (n < 1 || n > PF_WORKERS_MAX) {
        snprintf(why, why_len, "must be 1 to %d, or auto", PF_WORKERS_MAX);
        return -EINVAL;
    }
    *workers = (unsigned)n;
    return 0;
}

static const char *const pins[] = {"auto", "none", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

#define AT(field) .at = offsetof(struct settings, field)
static const struct pf_option options[] = {
    {.name = "workers",
     .letter = 'w',
     .type = PF_OPTION_CUSTOM,
     AT(workers),
     .parse = parse_workers,
     .argument = "N",
     .help = "worker processes, or auto: as many as the CPUs this process may use (auto)"},
    {.name = "bind",
     .letter = 'b',
     .type = PF_OPTION_LIST,
     AT(binds),
     .argument = "ADDR",
     .help = "HOST:PORT to listen on; :PORT is every interface, IPv4 and IPv6; port 0 lets "
             "the kernel pick; repeatable (" DEFAULT_BIND ")"},
    {.name = "pin",
     .type = PF_OPTION_CHOICE,
     AT(pin),
     .choices = pins,
     .argument = "HOW",
     .help =
         "auto: a CPU for each worker, unless a CPU quota makes that harmful; none (auto)"},
    {.name = "backlog",
     .type = PF_OPTION_INT,
     AT(backlog),
     .min = 1,
     .max = 1000000,
     .argument = "N",
     .help = "connections that may wait to be accepted, per worker and address (4096)"},
    {.name = "drain-timeout",
     .type = PF_OPTION_DURATION,
     AT(drain_ns),
     .min = PF_MILLISECOND,
     .max = 86400 * PF_SECOND,
     .argument = "TIME",
     .help = "how long open connections may take to finish at a graceful stop (30s)"},
    {.name = "boot-timeout",
     .type = PF_OPTION_DURATION,
     AT(boot_ns),
     .min = PF_MILLISECOND,
     .max = 86400 * PF_SECOND,
     .argument = "TIME",
     .help = "how long a worker may take to get ready (30s)"},
    {.name = "head-timeout",
     .type = PF_OPTION_DURATION,
     AT(http.head_timeout_ns),
     .min = PF_MILLISECOND,
     .max = 86400 * PF_SECOND,
     .argument = "TIME",
     .help = "how long the head of an HTTP request may take to arrive (10s)"},
    {.name = "idle-timeout",
     .type = PF_OPTION_DURATION,
     AT(http.idle_timeout_ns),
     .min = PF_MILLISECOND,
     .max = 86400 * PF_SECOND,
     .argument = "TIME",
     .help = "how long an HTTP connection may stay open between requests (75s)"},
    {.name = "ctl",
     .type = PF_OPTION_STRING,
     AT(control),
     .argument = "PATH",
     .help = "control socket (named by the address, in $RUNTIME_DIRECTORY, "
             "$XDG_RUNTIME_DIR/prefork, /run/prefork or /tmp/prefork-UID)"},
    {.name = "log",
     .type = PF_OPTION_CHOICE,
     AT(log_level),
     .choices = levels,
     .argument = "LEVEL",
     .help = "debug, info, warn or error (info)"},
    {.name = "help", .letter = 'h', .type = PF_OPTION_FLAG, AT(help), .help = "this text"},
    {.name = "version",
     .letter = 'V',
     .type = PF_OPTION_FLAG,
     AT(version),
     .help = "the version"},
    {0}};

static const char *program_name(const char *argv0)
{
    if (!argv0)
        return "prefork-server";
    const char *slash = strrchr(argv0, '/');
    return slash ? slash + 1 : argv0;
}

static int complain(const char *program, const char *line)
{
    fprintf(stderr, "%s: %s\n", program, line);
    return PF_EXIT_USAGE;
}

static void help(const char *program, const struct pf_app *const *apps)
{
    bool choice = apps[1] != NULL;
    printf("usage: %s [options]%s\n\n", program, choice ? " [APP]" : "");
    for (size_t i = 0; choice && apps[i]; i++)
        printf("  %-10s %s%s\n", apps[i]->name, apps[i]->summary ? apps[i]->summary : "",
               i == 0 ? " (default)" : "");
    if (choice)
        putchar('\n');
    pf_options_help(options, stdout);
    printf(
        "\nTERM or QUIT stops gracefully, INT at once. Exit status: 0 stopped as told, 64 "
        "bad\n"
        "command line, 69 cannot bind, 70 out of memory or descriptors at start, 75 all\n"
        "workers keep failing, 78 no worker could boot.\n");
}

static const struct pf_app *find_app(const struct pf_app *const *apps, const char *name)
{
    for (; *apps; apps++)
        if (strcmp((*apps)->name, name) == 0)
            return *apps;
    return NULL;
}

/* What stands behind the options: at most one word, an application's name. */
static int choose_app(const struct pf_app *const *apps, int argc, char **argv, int at,
                      const struct pf_app **app, char *error, size_t error_len)
{
    *app = apps[0];
    if (at == argc)
        return 0;
    if (!apps[1]) {
        snprintf(error, error_len, "%s: unexpected; this program takes options only",
                 argv[at]);
        return -EINVAL;
    }
    *app = find_app(apps, argv[at]);
    if (!*app) {
        int n = snprintf(error, error_len, "APP %s: unknown; use", argv[at]);
        for (size_t i = 0; apps[i] && n > 0 && (size_t)n < error_len; i++)
            n += snprintf(error + n, error_len - (size_t)n, "%s %s", i ? " or" : "",
                          apps[i]->name);
        return -EINVAL;
    }
    if (at + 1 < argc) {
        snprintf(error, error_len, "%s: unexpected after APP %s; options come before APP",
                 argv[at + 1], argv[at]);
        return -EINVAL;
    }
    return 0;
}

static void write_banner(FILE *to, const struct pf_master_status *status,
                         const struct pf_app *app)
{
    fprintf(to, "prefork %s serves %s", pf_version(), app->name);
    for (size_t i = 0; i < status->address_count; i++)
        fprintf(to, "%s %s%s", i ? "," : " on", app->routes ? "http://" : "",
                status->addresses[i]);
    fprintf(to, "\n");
    for (unsigned i = 0; i < status->worker_count; i++) {
        fprintf(to, "  worker %-4u pid %d", i, status->workers[i].pid);
        if (status->workers[i].cpu >= 0)
            fprintf(to, "  cpu %d\n", status->workers[i].cpu);
        else
            fprintf(to, "  not pinned\n");
    }
    fprintf(to, "  control     %s\n", status->control ? status->control : "none");
    fprintf(to, "  stop        kill %d (finishes what is open), or Ctrl-C (at once)\n",
            status->pid);
}

/* The master must not be held up by whoever does not read its standard output: what does
 * not fit is left out. POLLOUT on a pipe promises PIPE_BUF bytes. */
static void print_banner(const struct pf_master_status *status, void *arg)
{
    char *text = NULL;
    size_t len = 0, at = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return;
    write_banner(to, status, arg);
    fclose(to);
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    while (at < len && poll(&out, 1, 0) == 1 && (out.revents & POLLOUT)) {
        size_t part = len - at < PIPE_BUF ? len - at : PIPE_BUF;
        ssize_t n = write(STDOUT_FILENO, text + at, part);
        if (n < 0)
            break;
        at += (size_t)n;
    }
    free(text);
}

static int serve(const char *program, const struct settings *settings,
                 const struct pf_app *app)
{
    struct pf__hosted hosted = {.app = app, .http = settings->http};
    struct pf_service service;
    if (pf__host(&hosted, &service) != 0)
        return complain(program, "the application has neither routes nor on_connection, or "
                                 "both: give it one");
    static const char *const default_bind[] = {DEFAULT_BIND};
    char error[512] = "";
    struct pf_master_options master = PF_MASTER_OPTIONS_INIT;
    master.service = &service;
    master.binds = settings->binds.count ? settings->binds.values : default_bind;
    master.bind_count = settings->binds.count ? settings->binds.count : 1;
    master.workers = settings->workers;
    master.pin = (enum pf_pin)settings->pin;
    master.backlog = (int)settings->backlog;
    master.drain_ns = settings->drain_ns;
    master.boot_ns = settings->boot_ns;
    master.control = settings->control;
    master.on_ready = print_banner;
    master.arg = (void *)(uintptr_t)app; /* print_banner only reads it */
    master.error = error;
    master.error_len = sizeof error;
    int status = pf_master_run(&master);
    if (error[0])
        complain(program, error);
    else if (status < 0)
        complain(program, strerror(-status));
    return status < 0 ? PF_EXIT_SOFTWARE : status;
}

/* A descriptor that is missing would go to a socket or the scoreboard, and the banner and
 * the log would be written into that. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int pf__main(int argc, char **argv, const struct pf_app *const *apps)
{
    fill_standard_descriptors();
    const char *program = program_name(argv[0]);
    struct settings settings = {.log_level = PF_LOG_INFO};
    char error[PF_OPTION_ERROR_MAX + 256];
    int at = pf_options_parse(options, &settings, argc, argv, error);
    if (at < 0)
        return complain(program, error);
    if (settings.help) {
        help(program, apps);
        return PF_EXIT_OK;
    }
    if (settings.version) {
        printf("prefork %s\n", pf_version());
        return PF_EXIT_OK;
    }
    const struct pf_app *app;
    if (choose_app(apps, argc, argv, at, &app, error, sizeof error) != 0)
        return complain(program, error);
    pf_log_set_level((enum pf_log_level)settings.log_level);
    return serve(program, &settings, app);
}

int pf_main(int argc, char **argv, const struct pf_app *app)
{
    const struct pf_app *const apps[] = {app, NULL};
    return pf__main(argc, argv, apps);
}
