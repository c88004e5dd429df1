/*
 * settings.c - what the command line says, taken together: see settings.h.
 */
#include "server/settings.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what contradicts ------------------------------------------------------------ */

/* Where a line goes that names the option, its value and the remedy. */
struct refusal {
    char *error;
    size_t len;
};

static int refuse(const struct refusal *to, const char *format, ...) PF_PRINTF(2, 3);
static int refuse(const struct refusal *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(to->error, to->len, format, args);
    va_end(args);
    return PF_EXIT_USAGE;
}

typedef int check_fn(const struct pf__settings *settings, const struct refusal *to);
static check_fn check_hang, check_connections, check_addresses, check_cpus, check_logs,
    check_trust, check_paths;

/* As an option would have it, in whole units. */
static const char *write_time(int64_t ns, char text[32])
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {
        {PF_SECOND, "s"}, {PF_MILLISECOND, "ms"}, {PF_MICROSECOND, "us"}, {1, "ns"}};
    size_t i = 0;
    while (ns % units[i].ns != 0)
        i++;
    snprintf(text, 32, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
    return text;
}

/* One that is not given has its default. */
static int check_hang(const struct pf__settings *settings, const struct refusal *to)
{
    char soft_text[32], hard_text[32];
    bool has_soft = settings->hang_soft_ns > 0, has_hard = settings->hang_hard_ns > 0;
    int64_t soft = has_soft ? settings->hang_soft_ns : PF_MASTER_HANG_SOFT_NS;
    int64_t hard = has_hard ? settings->hang_hard_ns : PF_MASTER_HANG_HARD_NS;
    if (soft <= hard)
        return PF_EXIT_OK;
    write_time(soft, soft_text);
    write_time(hard, hard_text);
    if (has_soft)
        return refuse(to,
                      "--hang-soft %s: more than --hang-hard, which is %s; lower it, or "
                      "raise the other",
                      soft_text, hard_text);
    return refuse(to,
                  "--hang-hard %s: less than --hang-soft, which is %s; raise it, or lower "
                  "the other",
                  hard_text, soft_text);
}

static int check_connections(const struct pf__settings *settings, const struct refusal *to)
{
    const struct {
        const char *name;
        int64_t limit;
    } below[] = {{"soft-connections", settings->connections_soft},
                 {"client-connections", settings->connections_per_client}};
    int64_t max = settings->connections_max;
    for (size_t i = 0; max > 0 && i < sizeof below / sizeof *below; i++)
        if (below[i].limit > max)
            return refuse(to,
                          "--%s %" PRId64
                          ": never reached, for --max-connections is %" PRId64
                          "; lower it, or raise the other",
                          below[i].name, below[i].limit, max);
    return PF_EXIT_OK;
}

/* Is there an address that begins so, or, for NULL, one of TCP? Without any there is one of
 * TCP, or what the server is handed. */
static bool binds(const struct pf__settings *settings, const char *prefix)
{
    bool found = !prefix && settings->binds.count == 0;
    for (size_t i = 0; !found && i < settings->binds.count; i++) {
        const char *address = settings->binds.values[i];
        found = prefix
                    ? strncmp(address, prefix, strlen(prefix)) == 0
                    : strncmp(address, "unix:", 5) != 0 && strncmp(address, "udp:", 4) != 0;
    }
    return found;
}

static int check_addresses(const struct pf__settings *settings, const struct refusal *to)
{
    char text[32];
    if (settings->unix_mode && !binds(settings, "unix:/"))
        return refuse(to,
                      "--unix-mode %o: no address is a unix socket with a file; add --bind "
                      "unix:/PATH, or leave it out",
                      settings->unix_mode);
    if (settings->defer_accept_ns && !binds(settings, NULL))
        return refuse(to, "--defer-accept %s: no address is TCP; add one, or leave it out",
                      write_time(settings->defer_accept_ns, text));
    if (settings->fast_open && !binds(settings, NULL))
        return refuse(
            to, "--fast-open %" PRId64 ": no address is TCP; add one, or leave it out",
            settings->fast_open);
    return PF_EXIT_OK;
}

static int check_cpus(const struct pf__settings *settings, const struct refusal *to)
{
    static const char *const accepts[] = {"reuseport", "exclusive", "shared"};
    bool by_cpu = settings->steer == PF_STEERING_CPU;
    const struct pf__pin *pin = &settings->pin;
    if (by_cpu && settings->accept != PF_DISTRIBUTE_REUSEPORT)
        return refuse(to,
                      "--steer cpu: chooses a socket, and with --accept %s there is one; "
                      "leave one of the two out",
                      accepts[settings->accept]);
    if (by_cpu && pin->how == PF_PIN_NONE)
        return refuse(to, "--steer cpu: needs loops that are pinned; leave out --pin none");
    if (settings->nic && (pin->how == PF_PIN_NONE || pin->how == PF_PIN_LIST))
        return refuse(to,
                      "--nic %s: chooses CPUs, and --pin %s %s; leave one of the two out",
                      settings->nic, pin->how == PF_PIN_NONE ? "none" : pin->list,
                      pin->how == PF_PIN_NONE ? "wants none" : "names them");
    return PF_EXIT_OK;
}

static int check_logs(const struct pf__settings *settings, const struct refusal *to)
{
    if (settings->access_log_format == PF__ACCESS_JSON && !settings->access_log)
        return refuse(to,
                      "--access-log-format json: there is no such log; add --access-log "
                      "PATH, or leave it out");
    if (settings->daemon && settings->access_log && strcmp(settings->access_log, "-") == 0)
        return refuse(to,
                      "--access-log -: is standard output, which --daemon closes; name a "
                      "file, or stderr");
    return PF_EXIT_OK;
}

static int check_trust(const struct pf__settings *settings, const struct refusal *to)
{
    const struct pf__http_settings *http = &settings->http;
    if (!http->trusted.text || http->xheaders || http->proxy_protocol)
        return PF_EXIT_OK;
    return refuse(to,
                  "--trusted %s: nothing is taken from them; add --xheaders or "
                  "--proxy-protocol, or leave it out",
                  http->trusted.text);
}

/* Files that each are for one thing. */
static int check_paths(const struct pf__settings *settings, const struct refusal *to)
{
    const struct {
        const char *name, *path;
    } files[] = {{"pid-file", settings->pid_file},
                 {"ctl", settings->control},
                 {"access-log", settings->access_log}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t j = 0; j < i; j++)
            if (files[i].path && files[j].path && strcmp(files[i].path, files[j].path) == 0)
                return refuse(to, "--%s %s: is the path of --%s, too; name another",
                              files[i].name, files[i].path, files[j].name);
    return PF_EXIT_OK;
}

int pf__settings_check(const struct pf__settings *settings, char *error, size_t error_len)
{
    static check_fn *const checks[] = {check_hang, check_connections, check_addresses,
                                       check_cpus, check_logs,        check_trust,
                                       check_paths};
    const struct refusal to = {error, error_len};
    int status = PF_EXIT_OK;
    for (size_t i = 0; status == PF_EXIT_OK && i < sizeof checks / sizeof *checks; i++)
        status = checks[i](settings, &to);
    return status;
}

/* ---- what the application would not heed ----------------------------------------- */

static int check_http(const struct pf__settings *settings, const struct pf__facts *facts,
                      const struct refusal *to)
{
    const struct pf__http_settings *http = &settings->http;
    const struct {
        const char *name;
        bool is_given;
    } options[] = {{"xheaders", http->xheaders},
                   {"proxy-protocol", http->proxy_protocol},
                   {"access-log", settings->access_log != NULL},
                   {"head-timeout", http->head_timeout_ns > 0},
                   {"idle-timeout", http->idle_timeout_ns > 0},
                   {"body-timeout", http->body_timeout_ns > 0},
                   {"body-max", http->body_max > 0},
                   {"bodies-max", http->bodies_max > 0},
                   {"requests-max", http->requests_max > 0},
                   {"age-max", http->age_max_ns > 0}};
    for (size_t i = 0; !facts->http && i < sizeof options / sizeof *options; i++)
        if (options[i].is_given)
            return refuse(to, "--%s: %s speaks no HTTP; leave it out", options[i].name,
                          facts->name);
    return PF_EXIT_OK;
}

/* Where a module is read from: module.h. */
static bool has_proc(const char *root)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/proc/self/fd", root);
    return len > 0 && (size_t)len < sizeof path && access(path, F_OK) == 0;
}

int pf__settings_check_app(const struct pf__settings *settings,
                           const struct pf__facts *facts, bool is_module, char *error,
                           size_t error_len)
{
    const struct refusal to = {error, error_len};
    if (settings->preload && !is_module)
        return refuse(&to, "--preload: %s is no module; leave it out", facts->name);
    if (settings->chroot && is_module && !settings->preload && !has_proc(settings->chroot))
        return refuse(&to,
                      "--chroot %s: has no /proc, which workers need to load %s; add "
                      "--preload",
                      settings->chroot, facts->name);
    return check_http(settings, facts, &to);
}

/* ---- for the master -------------------------------------------------------------- */

void pf__settings_take(const struct pf__settings *settings,
                       struct pf_master_options *master)
{
    static const char *const default_bind[] = {PF__DEFAULT_BIND};
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
