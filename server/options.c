/*
 * options.c - the options of a server, in a table: see settings.h.
 */
#include "server/settings.h"

#include <prefork/log.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct pf__pin *pin = field;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0) {
            *pin = (struct pf__pin){.how = (enum pf_pin)i};
            return 0;
        }
    if (!*value || value[strspn(value, "0123456789,-")]) {
        snprintf(why, why_len, "must be auto, none, strict, or CPUs such as 0,2-5");
        return -EINVAL;
    }
    *pin = (struct pf__pin){.how = PF_PIN_LIST, .list = value};
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
    trusted->text = value;
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

#define AT(field) .at = offsetof(struct pf__settings, field)
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
             "(" PF__DEFAULT_BIND ")"},
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
    {.name = "bodies-max",
     .type = PF_OPTION_SIZE,
     AT(http.bodies_max),
     .min = 1,
     .max = INT64_MAX,
     .argument = "SIZE",
     .help = "bytes of bodies that a worker's loop collects at one time; beyond: 503 "
             "(256m, or the application's)"},
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

/* Beside the server's; NULL: none. */
static const struct pf_option *own_options(const struct pf_app *const *apps)
{
    return apps[1] ? choice_options : apps[0]->options;
}

void pf__settings_help(const struct pf_app *const *apps)
{
    if (own_options(apps)) {
        pf_options_help(own_options(apps), stdout);
        printf("\nOptions of the server:\n");
    }
    pf_options_help(options, stdout);
}

int pf__settings_parse(int argc, char **argv, const struct pf_app *const *apps,
                       struct pf__settings *settings, char *error)
{
    const struct pf_option_set sets[] = {
        {options, settings},
        {own_options(apps), apps[1] ? settings : apps[0]->config},
        {0}};
    int at = pf_options_parse_sets(sets, argc, argv, error);
    /* Behind a module are options of its own, and this one is everybody's. */
    for (int i = at; at > 0 && i < argc && pf__module_is_meant(argv[at]); i++)
        settings->help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (!settings->http.trusted.text)
        (void)pf__networks_parse(pf__text_of(DEFAULT_TRUSTED), NULL,
                                 &settings->http.trusted.networks); /* it is well-formed */
    return at;
}
