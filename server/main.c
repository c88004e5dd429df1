/*
 * main.c - pf_main(): from a command line to a running server.
 */
#include "master/standard.h"
#include "server/daemon.h"
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
    int64_t threads;
    struct pf_option_list binds;
    int accept, steer;
    struct pin {
        enum pf_pin how;
        const char *list;
    } pin;
    const char *nic;
    int64_t backlog, defer_accept_ns, fast_open;
    unsigned unix_mode;
    int64_t connections_soft, connections_max, connections_per_client;
    int64_t drain_ns, boot_ns, hang_soft_ns, hang_hard_ns, spin_ns;
    int64_t recycle_requests, recycle_after_ns, recycle_memory;
    int orphan, all_failing;
    const char *user, *group, *chroot;
    int no_new_privileges;
    const char *pid_file;
    int64_t oom_score_adj;
    const char *control;
    struct pf__http_settings http;
    struct pf__static_options files;
    const char *access_log;
    int access_log_format;
    int log_format;
    bool preload, daemon, print_plan, help, version;
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

/* A list of CPUs is looked at when the plan is made: it depends on what is allowed. */
static int parse_pin(const char *value, void *field, char *why, size_t why_len)
{
    static const char *const words[] = {
        [PF_PIN_AUTO] = "auto", [PF_PIN_NONE] = "none", [PF_PIN_STRICT] = "strict"};
    struct pin *pin = field;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0) {
            *pin = (struct pin){.how = (enum pf_pin)i};
            return 0;
        }
    if (!*value || value[strspn(value, "0123456789,-")]) {
        snprintf(why, why_len, "must be auto, none, strict, or CPUs such as 0,2-5");
        return -EINVAL;
    }
    *pin = (struct pin){.how = PF_PIN_LIST, .list = value};
    return 0;
}

/* Whoever can connect from here is trusted, if nobody is named. */
#define DEFAULT_TRUSTED "127.0.0.0/8, ::1, unix"

static int parse_trusted(const char *value, void *field, char *why, size_t why_len)
{
    struct pf__trusted *trusted = field;
    struct pf__text bad = {0};
    int err = pf__networks_parse(pf__text_of(value), &bad, &trusted->networks);
    if (err == -ENOSPC)
        snprintf(why, why_len, "must be at most %d networks", PF__NETWORKS_MAX);
    else if (err)
        snprintf(why, why_len, "must be networks such as 10.0.0.0/8,::1,unix; not %.*s",
                 (int)(bad.len < 60 ? bad.len : 60), bad.at ? bad.at : "");
    trusted->is_given = err == 0;
    return err ? -EINVAL : 0;
}

static int parse_mode(const char *value, void *field, char *why, size_t why_len)
{
    unsigned *mode = field;
    char *end;
    long n = *value ? strtol(value, &end, 8) : -1;
    if (n < 1 || n > 0777 || *end || value[strspn(value, "01234567")]) {
        snprintf(why, why_len, "must be octal permissions, 1 to 777, such as 660");
        return -EINVAL;
    }
    *mode = (unsigned)n;
    return 0;
}

/* The levels are the log's own. */
static int parse_log(const char *value, void *field, char *why, size_t why_len)
{
    (void)field;
    return pf_log_set_levels(value, why, why_len) ? -EINVAL : 0;
}

static const char *const accepts[] = {"reuseport", "exclusive", "shared", NULL};
static const char *const steers[] = {"hash", "cpu", NULL};
static const char *const orphans[] = {"drain", "die", NULL};
static const char *const all_failing[] = {"exit", "stay", NULL};
static const char *const no_new[] = {"auto", "yes", "no", NULL};
static const char *const access_formats[] = {"combined", "json", NULL};
static const char *const log_formats[] = {"auto", "plain", "pretty", "json", NULL};

#define AT(field) .at = offsetof(struct settings, field)
#define TIME(option, field, text)                                                          \
    {                                                                                      \
        .name = (option), .type = PF_OPTION_DURATION, AT(field), .min = PF_MILLISECOND,    \
        .max = 86400 * PF_SECOND, .argument = "TIME", .help = (text)                       \
    }
#define COUNT(option, field, most, text)                                                   \
    {                                                                                      \
        .name = (option), .type = PF_OPTION_INT, AT(field), .min = 1, .max = (most),       \
        .argument = "N", .help = (text)                                                    \
    }
#define CHOICE(option, field, words, word, text)                                           \
    {                                                                                      \
        .name = (option), .type = PF_OPTION_CHOICE, AT(field), .choices = (words),         \
        .argument = (word), .help = (text)                                                 \
    }
#define NAMED(option, field, word, text)                                                   \
    {                                                                                      \
        .name = (option), .type = PF_OPTION_STRING, AT(field), .argument = (word),         \
        .help = (text)                                                                     \
    }
#define CONNECTIONS_MAX 100000000

static const struct pf_option options[] = {
    {.name = "workers",
     .letter = 'w',
     .type = PF_OPTION_CUSTOM,
     AT(workers),
     .parse = parse_workers,
     .argument = "N",
     .help = "worker processes, or auto: as many as the CPUs this process may use (auto)"},
    COUNT("threads", threads, PF_THREADS_MAX,
          "event loops of each worker, each on a thread and with sockets of its own (1)"),
    {.name = "bind",
     .letter = 'b',
     .type = PF_OPTION_LIST,
     AT(binds),
     .argument = "ADDR",
     .help = "HOST:PORT to listen on; :PORT is every interface, IPv4 and IPv6; port 0 lets "
             "the kernel pick; unix:/PATH, unix:@NAME, udp:HOST:PORT; repeatable "
             "(" DEFAULT_BIND ")"},
    CHOICE(
        "accept", accept, accepts, "HOW",
        "reuseport: each loop has a socket of its own; exclusive: one for all, few wake; "
        "shared: one for all, all wake (reuseport)"),
    CHOICE(
        "steer", steer, steers, "HOW",
        "which loop gets a connection, with reuseport: hash, evenly; cpu, the one on the "
        "CPU that took it in (hash)"),
    {.name = "pin",
     .type = PF_OPTION_CUSTOM,
     AT(pin),
     .parse = parse_pin,
     .argument = "HOW",
     .help =
         "auto: a CPU for each loop, a group of CPUs if the quota pays for fewer; none; "
         "strict: a CPU for each, whatever the quota; or CPUs in order, such as 0,2-5 "
         "(auto)"},
    {.name = "nic",
     .type = PF_OPTION_STRING,
     AT(nic),
     .argument = "IF",
     .help = "network interface whose CPUs are preferred"},
    {.name = "print-plan",
     .type = PF_OPTION_FLAG,
     AT(print_plan),
     .help = "show which loop would run on which CPU, and exit"},
    COUNT("backlog", backlog, 1000000,
          "connections that may wait to be accepted, per loop and address (4096)"),
    {.name = "defer-accept",
     .type = PF_OPTION_DURATION,
     AT(defer_accept_ns),
     .min = PF_SECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "accept a connection when its first bytes have come, or after so long (off)"},
    COUNT("fast-open", fast_open, 1000000,
          "TCP fast open, with so many unfinished handshakes at the most (off)"),
    {.name = "unix-mode",
     .type = PF_OPTION_CUSTOM,
     AT(unix_mode),
     .parse = parse_mode,
     .argument = "MODE",
     .help = "permissions of unix sockets' files, such as 660 (by umask)"},
    COUNT("soft-connections", connections_soft, CONNECTIONS_MAX,
          "connections of a worker at which the others take the new ones (no limit)"),
    COUNT("max-connections", connections_max, CONNECTIONS_MAX,
          "connections of a worker at which new ones are refused (no limit)"),
    COUNT("client-connections", connections_per_client, CONNECTIONS_MAX,
          "connections of one client address on one loop, further ones are refused (no "
          "limit)"),
    TIME("drain-timeout", drain_ns,
         "how long open connections may take to finish at a graceful stop (30s)"),
    TIME("boot-timeout", boot_ns, "how long a worker may take to get ready (30s)"),
    TIME("hang-soft", hang_soft_ns,
         "a loop this long in one handler is stuck: others serve its queue (2s)"),
    TIME("hang-hard", hang_hard_ns,
         "a loop this long in one handler is hung: its worker is replaced (30s)"),
    TIME("spin-warning", spin_ns,
         "CPU time in one handler after which the log says where it is (1s)"),
    COUNT("recycle-requests", recycle_requests, INT64_MAX,
          "replace a worker after so many requests (never)"),
    {.name = "recycle-after",
     .type = PF_OPTION_DURATION,
     AT(recycle_after_ns),
     .min = PF_SECOND,
     .max = 366 * 86400 * PF_SECOND,
     .argument = "TIME",
     .help = "replace a worker after so long (never)"},
    {.name = "recycle-memory",
     .type = PF_OPTION_SIZE,
     AT(recycle_memory),
     .min = 1024 * 1024,
     .max = INT64_MAX,
     .argument = "SIZE",
     .help = "replace a worker that has so much memory of its own, such as 512M (never)"},
    CHOICE(
        "on-all-failing", all_failing, all_failing, "WHAT",
        "when all workers keep failing for a minute: exit, with status 75, or stay (exit)"),
    CHOICE("orphan", orphan, orphans, "WHAT",
           "workers whose master was killed: drain, finish what is open; die (drain)"),
    NAMED("user", user, "NAME", "user of the workers, by name or number (the master's)"),
    NAMED("group", group, "NAME",
          "group of the workers, by name or number (the user's, else the master's)"),
    NAMED("chroot", chroot, "DIR", "root directory of the workers (the master's)"),
    CHOICE("no-new-privileges", no_new_privileges, no_new, "HOW",
           "no program that a worker starts has more privileges than it: yes; no; auto, "
           "yes with --user (auto)"),
    {.name = "daemon",
     .letter = 'd',
     .type = PF_OPTION_FLAG,
     AT(daemon),
     .help = "serve in the background; return when the server is up, or has failed"},
    NAMED("pid-file", pid_file, "PATH",
          "file with the master's process id while it runs, held against a second server "
          "(none)"),
    COUNT("oom-score-adj", oom_score_adj, 1000,
          "added to the workers' oom_score_adj, so that the kernel rather kills them than "
          "the master (0)"),
    TIME("head-timeout", http.head_timeout_ns,
         "how long the head of an HTTP request may take to arrive (10s)"),
    TIME("idle-timeout", http.idle_timeout_ns,
         "how long an HTTP connection may stay open between requests (75s)"),
    TIME("body-timeout", http.body_timeout_ns,
         "how long the body of an HTTP request may pause (30s)"),
    {.name = "body-max",
     .type = PF_OPTION_SIZE,
     AT(http.body_max),
     .min = 1,
     .max = INT64_MAX,
     .argument = "SIZE",
     .help = "largest body of an HTTP request, for routes without a limit of their own "
             "(1m, or the application's)"},
    COUNT("requests-max", http.requests_max, INT32_MAX,
          "requests of an HTTP connection after which it is closed (no limit)"),
    {.name = "age-max",
     .type = PF_OPTION_DURATION,
     AT(http.age_max_ns),
     .min = PF_MILLISECOND,
     .max = 366 * 86400 * PF_SECOND,
     .argument = "TIME",
     .help = "age of an HTTP connection after which it is closed behind a response (no "
             "limit)"},
    {.name = "xheaders",
     .type = PF_OPTION_FLAG,
     AT(http.xheaders),
     .help = "believe X-Forwarded-For, X-Real-Ip, X-Scheme and X-Forwarded-Proto of "
             "trusted peers (off)"},
    {.name = "proxy-protocol",
     .type = PF_OPTION_FLAG,
     AT(http.proxy_protocol),
     .help = "a PROXY header, version 1 or 2, must come first from trusted peers (off)"},
    {.name = "trusted",
     .type = PF_OPTION_CUSTOM,
     AT(http.trusted),
     .parse = parse_trusted,
     .argument = "NETS",
     .help = "networks of proxies, and unix for unix sockets, for the two above "
             "(" DEFAULT_TRUSTED ")"},
    NAMED("access-log", access_log, "PATH",
          "a line for each HTTP request; - is standard output, stderr standard error; "
          "reopened on USR1 (none)"),
    CHOICE("access-log-format", access_log_format, access_formats, "HOW",
           "combined, as other servers have it, or json (combined)"),
    {.name = "ctl",
     .type = PF_OPTION_STRING,
     AT(control),
     .argument = "PATH",
     .help = "control socket (named by the address, in $RUNTIME_DIRECTORY, "
             "$XDG_RUNTIME_DIR/prefork, /run/prefork or /tmp/prefork-UID)"},
    {.name = "log",
     .type = PF_OPTION_CUSTOM,
     .parse = parse_log,
     .argument = "LEVELS",
     .help = "debug, info, warn or error; behind it, or alone, for parts of the "
             "application and for access, NAME=LEVEL: info,app.db=debug (info)"},
    CHOICE("log-format", log_format, log_formats, "HOW",
           "plain, key=value; pretty, with the time, coloured on a terminal; json; auto, "
           "pretty on a terminal, else plain (auto)"),
    {.name = "help", .letter = 'h', .type = PF_OPTION_FLAG, AT(help), .help = "this text"},
    {.name = "version",
     .letter = 'V',
     .type = PF_OPTION_FLAG,
     AT(version),
     .help = "the version"},
    {0}};

/* Those of a program that lets one choose what it serves. */
static const struct pf_option choice_options[] = {
    {.name = "preload",
     .type = PF_OPTION_FLAG,
     AT(preload),
     .help = "load ./APP.so once, before the fork, and not in each worker"},
    {.name = "listing",
     .type = PF_OPTION_FLAG,
     AT(files.listing),
     .help = "static:DIR answers a directory without an index with the names in it"},
    NAMED("index", files.index, "NAME",
          "the file that static:DIR sends for its directory; \"\": none (index.html)"),
    NAMED("cache-control", files.cache_control, "TEXT",
          "Cache-Control of files of static:DIR, such as max-age=3600 (not sent)"),
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

/* What is to be served: an application of the program's own, or a module. */
struct choice {
    const struct pf_app *app;
    struct pf__static files;
    struct pf__module module;
    bool is_module;
    struct pf__facts facts;
};

static void help_apps(const struct pf_app *const *apps)
{
    for (size_t i = 0; apps[i]; i++)
        printf("  %-12s %s%s\n", apps[i]->name, apps[i]->summary ? apps[i]->summary : "",
               i == 0 ? " (default)" : "");
    printf("  %-12s HTTP; the files below the directory DIR\n", "static:DIR");
    printf("  %-12s %s\n\n", "./APP.so",
           "a module; ./APP.so:SYMBOL if it is not "
           "called " PF__MODULE_SYMBOL);
}

/* Beside the server's; NULL: none. */
static const struct pf_option *own_options(const struct pf_app *const *apps)
{
    return apps[1] ? choice_options : apps[0]->options;
}

static void help(const char *program, const struct pf_app *const *apps)
{
    bool choice = apps[1] != NULL;
    printf("usage: %s [options]%s\n\n", program, choice ? " [APP [options of APP]]" : "");
    if (choice)
        help_apps(apps);
    if (own_options(apps)) {
        pf_options_help(own_options(apps), stdout);
        printf("\nOptions of the server:\n");
    }
    pf_options_help(options, stdout);
    printf(
        "\nTERM or QUIT stops gracefully, INT at once. Exit status: 0 stopped as told, 64 "
        "bad\n"
        "command line, 69 cannot bind, 70 out of memory or descriptors at start, 75 all\n"
        "workers keep failing, 78 bad application, or no worker could boot.\n");
}

static const struct pf_app *find_app(const struct pf_app *const *apps, const char *name)
{
    for (; *apps; apps++)
        if (strcmp((*apps)->name, name) == 0)
            return *apps;
    return NULL;
}

static int refuse_app(const struct pf_app *const *apps, const char *word, char *error,
                      size_t error_len)
{
    int n = snprintf(error, error_len, "APP %s: unknown; use", word);
    for (size_t i = 0; apps[i] && n > 0 && (size_t)n < error_len; i++)
        n += snprintf(error + n, error_len - (size_t)n, " %s,", apps[i]->name);
    if (n > 0 && (size_t)n < error_len)
        snprintf(error + n, error_len - (size_t)n, " static:DIR, or a module, as ./APP.so");
    return PF_EXIT_USAGE;
}

/* The options of static:DIR, without it. */
static int refuse_files_option(const struct pf__static_options *files, char *error,
                               size_t error_len)
{
    const char *name = files->listing         ? "listing"
                       : files->index         ? "index"
                       : files->cache_control ? "cache-control"
                                              : NULL;
    if (!name)
        return PF_EXIT_OK;
    snprintf(error, error_len, "--%s: only for APP static:DIR; leave it out", name);
    return PF_EXIT_USAGE;
}

static int choose_module(const struct settings *settings, int argc, char **argv,
                         struct choice *choice, char *error, size_t error_len)
{
    int status = pf__module_open(&choice->module, argc, argv, error, error_len);
    choice->is_module = true;
    if (status == PF_EXIT_OK)
        status = pf__module_probe(&choice->module, settings->help,
                                  settings->boot_ns ? settings->boot_ns : PF_MASTER_BOOT_NS,
                                  &choice->facts, error, error_len);
    return status;
}

/* An application of that name, which has no options of its own. */
static int choose_by_name(const struct pf_app *const *apps, const struct settings *settings,
                          const char *word, struct choice *choice, char *error,
                          size_t error_len)
{
    if (pf__static_is_meant(word)) {
        choice->app = &choice->files.app;
        return pf__static_init(&choice->files, word, &settings->files, error, error_len)
                   ? PF_EXIT_USAGE
                   : PF_EXIT_OK;
    }
    choice->app = find_app(apps, word);
    return choice->app ? refuse_files_option(&settings->files, error, error_len)
                       : refuse_app(apps, word, error, error_len);
}

/* What stands behind the options: an application's name, and what is its own. */
static int choose_app(const struct pf_app *const *apps, const struct settings *settings,
                      int argc, char **argv, struct choice *choice, char *error,
                      size_t error_len)
{
    choice->app = apps[0];
    if (argc == 0)
        return refuse_files_option(&settings->files, error, error_len);
    if (!apps[1]) {
        snprintf(error, error_len, "%s: unexpected; this program takes options only",
                 argv[0]);
        return PF_EXIT_USAGE;
    }
    if (pf__module_is_meant(argv[0])) {
        int status = refuse_files_option(&settings->files, error, error_len);
        return status == PF_EXIT_OK
                   ? choose_module(settings, argc, argv, choice, error, error_len)
                   : status;
    }
    int status = choose_by_name(apps, settings, argv[0], choice, error, error_len);
    if (status == PF_EXIT_OK && argc > 1) {
        snprintf(error, error_len, "%s: unexpected after APP %s; options come before APP",
                 argv[1], argv[0]);
        return PF_EXIT_USAGE;
    }
    return status;
}

/* What makes a URL of an address; of a unix socket nothing does. */
static const char *scheme_of(const struct pf__facts *facts, const char *address)
{
    return facts->http && strncmp(address, "unix:", 5) != 0 ? "http://" : "";
}

static void write_banner(FILE *to, const struct pf_master_status *status,
                         const struct pf__facts *facts)
{
    fprintf(to, "prefork %s serves %s", pf_version(), facts->name);
    for (size_t i = 0; i < status->address_count; i++)
        fprintf(to, "%s %s%s", i ? "," : " on", scheme_of(facts, status->addresses[i]),
                status->addresses[i]);
    fprintf(to, "\n");
    for (unsigned i = 0; i < status->worker_count; i++) {
        fprintf(to, "  worker %-4u ", i);
        if (!status->workers[i].pid) {
            fprintf(to, "does not run; see the log\n");
            continue;
        }
        fprintf(to, "pid %d", status->workers[i].pid);
        if (status->workers[i].cpu >= 0)
            fprintf(to, "  cpu %d\n", status->workers[i].cpu);
        else
            fprintf(to, "  not pinned\n");
    }
    fprintf(to, "  control     %s\n", status->control ? status->control : "none");
    fprintf(to, "  stop        kill %d (finishes what is open), or Ctrl-C (at once)\n",
            status->pid);
}

/* What is done when the server is up. */
struct announcement {
    const struct pf__facts *facts;
    struct pf__daemon *daemon;
};

/* The master must not be held up by whoever does not read what it prints: what does
 * not fit is left out. POLLOUT on a pipe promises PIPE_BUF bytes. */
static void print_banner(const struct pf_master_status *status,
                         const struct pf__facts *facts, int fd)
{
    char *text = NULL;
    size_t len = 0, at = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return;
    write_banner(to, status, facts);
    fclose(to);
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    while (at < len && poll(&out, 1, 0) == 1 && (out.revents & POLLOUT)) {
        size_t part = len - at < PIPE_BUF ? len - at : PIPE_BUF;
        ssize_t n = write(fd, text + at, part);
        if (n < 0)
            break;
        at += (size_t)n;
    }
    free(text);
}

static void announce(const struct pf_master_status *status, void *arg)
{
    const struct announcement *what = arg;
    int fd = what->daemon->fd;
    print_banner(status, what->facts, fd == -1 ? STDOUT_FILENO : fd);
    pf__daemon_up(what->daemon);
}

static void take_settings(const struct settings *settings, struct pf_master_options *master)
{
    static const char *const default_bind[] = {DEFAULT_BIND};
    master->binds = settings->binds.count ? settings->binds.values : default_bind;
    master->bind_count = settings->binds.count ? settings->binds.count : 1;
    master->workers = settings->workers;
    master->threads = (unsigned)settings->threads;
    master->distribution = (enum pf_distribution)settings->accept;
    master->steering = (enum pf_steering)settings->steer;
    master->pin = settings->pin.how;
    master->pin_list = settings->pin.list;
    master->nic = settings->nic;
    master->backlog = (int)settings->backlog;
    master->defer_accept_ns = settings->defer_accept_ns;
    master->fast_open = (unsigned)settings->fast_open;
    master->unix_mode = settings->unix_mode;
    master->connections_soft = (size_t)settings->connections_soft;
    master->connections_max = (size_t)settings->connections_max;
    master->connections_per_client = (size_t)settings->connections_per_client;
    master->drain_ns = settings->drain_ns;
    master->boot_ns = settings->boot_ns;
    master->hang_soft_ns = settings->hang_soft_ns;
    master->hang_hard_ns = settings->hang_hard_ns;
    master->spin_ns = settings->spin_ns;
    master->recycle_requests = (uint64_t)settings->recycle_requests;
    master->recycle_after_ns = settings->recycle_after_ns;
    master->recycle_memory = (uint64_t)settings->recycle_memory;
    master->stay = settings->all_failing == 1;
    master->die_with_master = settings->orphan == 1;
    master->control = settings->control;
    master->titles = true;
    master->oom_score_adj = (unsigned)settings->oom_score_adj;
    master->pid_file = settings->pid_file;
    master->inherit = settings->binds.count ? PF_INHERIT_MATCHING : PF_INHERIT_INSTEAD;
    master->user = settings->user;
    master->group = settings->group;
    master->chroot = settings->chroot;
    master->no_new_privileges = settings->no_new_privileges
                                    ? settings->no_new_privileges == 1
                                    : settings->user != NULL;
}

/* Everything of the application that the master needs. Returns an exit status. */
static int host(const struct settings *settings, struct choice *choice,
                struct pf__hosted *hosted, char *error, size_t error_len)
{
    char why[256];
    hosted->http = settings->http;
    hosted->facts = choice->facts;
    if (choice->is_module) {
        hosted->module = &choice->module;
        int status = PF_EXIT_OK;
        if (settings->preload)
            status = pf__module_load(&choice->module, error, error_len);
        hosted->app = choice->module.app;
        return status;
    }
    hosted->app = *choice->app;
    if (pf__app_facts(&hosted->app, &hosted->facts, why, sizeof why) != 0) {
        snprintf(error, error_len, "the application: %s", why);
        return PF_EXIT_USAGE;
    }
    return PF_EXIT_OK;
}

/* Options of HTTP that something else would not heed. */
static int check_http_options(const struct settings *settings,
                              const struct pf__hosted *hosted, char *error,
                              size_t error_len)
{
    const struct pf__http_settings *http = &settings->http;
    const char *name = http->xheaders           ? "xheaders"
                       : http->proxy_protocol   ? "proxy-protocol"
                       : http->trusted.is_given ? "trusted"
                       : settings->access_log   ? "access-log"
                                                : NULL;
    if (hosted->facts.http || !name)
        return PF_EXIT_OK;
    snprintf(error, error_len, "--%s: %s speaks no HTTP; leave it out", name,
             hosted->facts.name);
    return PF_EXIT_USAGE;
}

static int open_access_log(const struct settings *settings, struct pf__hosted *hosted,
                           char *error, size_t error_len)
{
    if (!settings->access_log || settings->print_plan)
        return PF_EXIT_OK;
    int err = pf__access_log_open(&hosted->access_log, settings->access_log,
                                  (enum pf__access_format)settings->access_log_format);
    if (err)
        snprintf(error, error_len, "--access-log %s: %s", settings->access_log,
                 err == -ENXIO ? "nobody reads this pipe" : strerror(-err));
    return err ? PF_EXIT_USAGE : PF_EXIT_OK;
}

static int run_master(const struct settings *settings, struct pf__hosted *hosted,
                      struct pf__daemon *daemon, char *error, size_t error_len)
{
    struct pf_service service;
    pf__host(hosted, &service);
    struct pf_master_options master = PF_MASTER_OPTIONS_INIT;
    take_settings(settings, &master);
    master.service = &service;
    struct announcement what = {.facts = &hosted->facts, .daemon = daemon};
    master.on_ready = announce;
    master.arg = &what;
    master.error = error;
    master.error_len = error_len;
    return settings->print_plan ? pf_master_print_plan(&master, stdout)
                                : pf_master_run(&master);
}

static int serve(const char *program, const struct settings *settings,
                 struct choice *choice, struct pf__daemon *daemon)
{
    char error[1536] = "";
    struct pf__hosted hosted = {.access_log = PF__ACCESS_LOG_NONE};
    int status = host(settings, choice, &hosted, error, sizeof error);
    if (status == PF_EXIT_OK)
        status = check_http_options(settings, &hosted, error, sizeof error);
    if (status == PF_EXIT_OK)
        status = open_access_log(settings, &hosted, error, sizeof error);
    if (status == PF_EXIT_OK)
        status = run_master(settings, &hosted, daemon, error, sizeof error);
    pf__access_log_close(&hosted.access_log);
    if (error[0])
        complain(program, error);
    else if (status < 0)
        complain(program, strerror(-status));
    return status < 0 ? PF_EXIT_SOFTWARE : status;
}

/* The options point into it, and titles are written over the arguments. */
static char **copy_arguments(int argc, char *const *argv)
{
    size_t len = ((size_t)argc + 1) * sizeof *argv, at = len;
    for (int i = 0; i < argc; i++)
        len += strlen(argv[i]) + 1;
    char **copy = malloc(len);
    for (int i = 0; copy && i < argc; i++) {
        size_t size = strlen(argv[i]) + 1;
        copy[i] = memcpy((char *)copy + at, argv[i], size);
        at += size;
    }
    if (copy)
        copy[argc] = NULL;
    return copy;
}

/* The server's options, and among them those of a program's only application. */
static int parse(int argc, char **argv, const struct pf_app *const *apps,
                 struct settings *settings, char *error)
{
    const struct pf_option_set sets[] = {
        {options, settings},
        {own_options(apps), apps[1] ? settings : apps[0]->config},
        {0}};
    int at = pf_options_parse_sets(sets, argc, argv, error);
    /* Behind a module are options of its own, and this one is everybody's. */
    for (int i = at; at > 0 && i < argc && pf__module_is_meant(argv[at]); i++)
        settings->help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    return at;
}

static int begin_daemon(const char *program, struct pf__daemon *daemon, int *status)
{
    *status = PF_EXIT_SOFTWARE;
    int is_first = pf__daemon_begin(daemon, program, status);
    if (is_first < 0)
        complain(program, strerror(-is_first));
    return is_first;
}

static int run_choice(const char *program, const struct settings *settings,
                      const struct pf_app *const *apps, int argc, char **argv,
                      struct choice *choice)
{
    char error[1536];
    int status = choose_app(apps, settings, argc, argv, choice, error, sizeof error);
    if (status != PF_EXIT_OK) {
        complain(program, error);
        return status;
    }
    if (settings->help)
        return status;
    struct pf__daemon daemon = PF__DAEMON_NONE;
    if (settings->daemon && !settings->print_plan &&
        begin_daemon(program, &daemon, &status) != 0)
        return status;
    return serve(program, settings, choice, &daemon);
}

static int run(int argc, char **argv, const struct pf_app *const *apps)
{
    const char *program = program_name(argv[0]);
    struct settings settings = {0};
    char error[PF_OPTION_ERROR_MAX + 256];
    pf_log_set_level(PF_LOG_INFO);
    (void)pf_log_set_named_level(PF__ACCESS_NAME, PF_LOG_INFO); /* whatever the others' */
    int at = parse(argc, argv, apps, &settings, error);
    if (at < 0)
        return complain(program, error);
    if (settings.help)
        help(program, apps);
    if (settings.version && !settings.help)
        printf("prefork %s\n", pf_version());
    if (settings.version || (settings.help && at == argc))
        return PF_EXIT_OK;
    if (!settings.http.trusted.is_given)
        (void)pf__networks_parse(pf__text_of(DEFAULT_TRUSTED), NULL,
                                 &settings.http.trusted.networks); /* it is well-formed */
    static const enum pf_log_format formats[] = {PF_LOG_AUTO, PF_LOG_PLAIN, PF_LOG_PRETTY,
                                                 PF_LOG_JSON};
    pf_log_set_format(formats[settings.log_format]);
    struct choice choice = {.module = PF__MODULE_NONE};
    int status = run_choice(program, &settings, apps, argc - at, argv + at, &choice);
    pf__static_fini(&choice.files);
    pf__module_close(&choice.module);
    return status;
}

int pf__main(int argc, char **argv, const struct pf_app *const *apps)
{
    pf__standard_descriptors(); /* before anything is opened, or said */
    char **copy = copy_arguments(argc, argv);
    if (!copy) {
        complain(program_name(argv[0]), strerror(ENOMEM));
        return PF_EXIT_SOFTWARE;
    }
    int status = run(argc, copy, apps);
    free(copy);
    return status;
}

int pf_main(int argc, char **argv, const struct pf_app *app)
{
    struct pf_app taken;
    char why[256] = "there is none", line[300];
    if (!app || pf__app_take(app, &taken, why, sizeof why) != 0) {
        snprintf(line, sizeof line, "the application: %s", why);
        return complain(program_name(argv[0]), line);
    }
    const struct pf_app *const apps[] = {&taken, NULL};
    return pf__main(argc, argv, apps);
}
