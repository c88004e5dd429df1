#include "bench/result.h"

#include "bench/sysctl.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Of a reason: what is longer is not even looked at. */
#define RESULT_WHY_TRIED 1024

/* Of a line of /proc or /sys that is read here. */
#define LINE_MAX_BYTES 512

struct result *result_new(void)
{
    struct result *result = calloc(1, sizeof *result);
    if (!result)
        return NULL;
    struct result_environment *environment = &result->environment;
    environment->cores = environment->nofile = environment->port_low =
        environment->port_high = environment->somaxconn = environment->tcp_tw_reuse =
            RESULT_UNKNOWN;
    struct result_plan *plan = &result->plan;
    plan->connections = plan->loops = plan->procs = plan->pipeline = plan->reqs_per_conn =
        plan->requests = plan->warmup_ns = plan->duration_ns = plan->timeout_ns =
            plan->think_ns = RESULT_UNKNOWN;
    plan->rate_per_s = NAN;
    result->validity.littles_law = NAN;
    result->validity.stall_ns = RESULT_UNKNOWN;
    result->totals.elapsed_ns = result->totals.setup_ns = result->totals.ok_in_time =
        RESULT_UNKNOWN;
    for (int kind = 0; kind < RESULT_KINDS; kind++)
        result->latency[kind].censored_at_ns = RESULT_UNKNOWN;
    struct result_server *server = &result->server;
    server->cpu_ns = server->cpu_user_ns = server->cpu_system_ns = server->rss_max =
        server->context_switches = server->requests = server->listen_drops =
            server->listen_overflows = server->syn_retries = RESULT_UNKNOWN;
    server->jain = NAN;
    return result;
}

static void free_argv(struct result *result)
{
    for (int i = 0; i < result->argc; i++)
        free(result->argv[i]);
    free(result->argv);
    result->argv = NULL;
    result->argc = 0;
}

static void free_environment(struct result_environment *environment)
{
    free(environment->kernel);
    free(environment->cpu);
    free(environment->governor);
    free(environment->clocksource);
    free(environment->time_utc);
}

static void free_plan(struct result_plan *plan)
{
    free(plan->mode);
    free(plan->target);
    free(plan->vs);
    free(plan->address);
    free(plan->load);
    free(plan->arrival);
    free(plan->stages);
}

void result_free(struct result *result)
{
    if (!result)
        return;
    free_argv(result);
    free_environment(&result->environment);
    free_plan(&result->plan);
    free(result->validity.loop_busy);
    free(result->validity.loop_waited);
    for (int kind = 0; kind < RESULT_KINDS; kind++)
        free(result->latency[kind].hdr);
    free(result->rows);
    free(result->server.name);
    free(result->server.workers);
    if (result->search)
        free(result->search->trials);
    free(result->search);
    free(result->hold);
    free(result->reload);
    free(result->adversaries);
    free(result->runs);
    free(result);
}

/* ---- the environment ----------------------------------------------------------------- */

/* The first line of a file without its end; false if it cannot be read. */
static bool read_line(const char *path, char *line)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, LINE_MAX_BYTES, file) != NULL;
    fclose(file);
    if (got)
        line[strcspn(line, "\n")] = '\0';
    return got;
}

/* NULL too if there is no such file: that is unknown. */
static char *copy_line(const char *path)
{
    char line[LINE_MAX_BYTES];
    return read_line(path, line) ? strdup(line) : NULL;
}

/* "model name : X" of /proc/cpuinfo; machines other than a PC have other words for it. */
static char *copy_cpu(void)
{
    static const char *const names[] = {"model name", "Model", "cpu model", "uarch"};
    char line[LINE_MAX_BYTES];
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return NULL;
    char *cpu = NULL;
    while (!cpu && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        for (size_t i = 0; colon && i < sizeof names / sizeof names[0]; i++) {
            size_t len = strlen(names[i]);
            if (strncmp(line, names[i], len) != 0 || !strchr("\t :", line[len]))
                continue;
            line[strcspn(line, "\n")] = '\0';
            cpu = strdup(colon + 1 + strspn(colon + 1, " \t"));
            break;
        }
    }
    fclose(file);
    return cpu;
}

static char *copy_kernel(void)
{
    struct utsname name;
    char text[sizeof name.sysname + sizeof name.release + sizeof name.machine + 3];
    if (uname(&name) != 0)
        return NULL;
    snprintf(text, sizeof text, "%s %s %s", name.sysname, name.release, name.machine);
    return strdup(text);
}

static char *copy_time(void)
{
    time_t now = time(NULL);
    struct tm utc;
    char text[sizeof "-2147483648-12-31T23:59:59Z"];
    if (!gmtime_r(&now, &utc) ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        return NULL;
    return strdup(text);
}

/* No route but those of loopback, and no address but its: /proc/net/route lists IPv4's,
 * /proc/net/ipv6_route IPv6's, where the last word is the device. */
static bool is_offline(void)
{
    char line[LINE_MAX_BYTES], device[64];
    FILE *file = fopen("/proc/net/route", "re");
    if (!file)
        return false;
    bool offline = true;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%63s", device) == 1 && strcmp(device, "Iface") != 0 &&
            strcmp(device, "lo") != 0)
            offline = false;
    fclose(file);
    file = fopen("/proc/net/ipv6_route", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *last = strrchr(line, ' ');
        if (last && strcmp(last + 1, "lo") != 0)
            offline = false;
    }
    if (file)
        fclose(file);
    return offline;
}

static int copy_argv(struct result *result, int argc, char *const argv[])
{
    free_argv(result);
    result->argv = calloc((size_t)argc + 1, sizeof *result->argv);
    if (!result->argv)
        return -ENOMEM;
    for (int i = 0; i < argc; i++) {
        result->argv[i] = strdup(argv[i]);
        if (!result->argv[i])
            return -ENOMEM;
        result->argc = i + 1;
    }
    return 0;
}

int result_set_environment(struct result *result, int argc, char *const argv[])
{
    struct result_environment *environment = &result->environment;
    free_environment(environment);
    environment->kernel = copy_kernel();
    environment->cpu = copy_cpu();
    environment->governor =
        copy_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    environment->clocksource =
        copy_line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    environment->time_utc = copy_time();
    environment->cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        environment->nofile =
            limit.rlim_cur > RESULT_MOST ? RESULT_MOST : (int64_t)limit.rlim_cur;
    int64_t range[2];
    if (sysctl_read("net/ipv4/ip_local_port_range", range, 2) == 2) {
        environment->port_low = range[0];
        environment->port_high = range[1];
    }
    (void)sysctl_read("net/core/somaxconn", &environment->somaxconn, 1);
    (void)sysctl_read("net/ipv4/tcp_tw_reuse", &environment->tcp_tw_reuse, 1);
    environment->offline = is_offline();
    return copy_argv(result, argc, argv);
}

/* ---- how it ends ----------------------------------------------------------------------
 */

/* Where to end a text that is too long, to have `room` bytes at most: behind a word; of a
 * single one, behind a character of UTF-8. */
static size_t end_of_words(const char *text, size_t room)
{
    size_t end = room;
    while (end > 0 && text[end] != ' ')
        end--;
    if (end > 0)
        return end;
    for (end = room; end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80;)
        end--;
    return end;
}

void result_set_exit(struct result *result, int code, const char *format, ...)
{
    static const char cut[] = "...";
    char text[RESULT_WHY_TRIED];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    result->exit_code = code;
    const size_t room = sizeof result->exit_why - sizeof cut;
    if (strlen(text) >= sizeof result->exit_why)
        memcpy(text + end_of_words(text, room), cut, sizeof cut);
    memcpy(result->exit_why, text, strlen(text) + 1);
}

/* ---- what follows from the rest ------------------------------------------------------ */

const struct result_latency *result_main_latency(const struct result *result)
{
    const struct result_latency *latency = result->latency;
    bool open = result->plan.load && strcmp(result->plan.load, "open") == 0;
    if (open && latency[RESULT_RESPONSE].hdr)
        return &latency[RESULT_RESPONSE];
    return &latency[RESULT_SERVICE];
}

static double ok_in_time(const struct result_totals *totals)
{
    bool known = totals->ok_in_time >= 0 && (uint64_t)totals->ok_in_time <= totals->ok;
    return known ? (double)totals->ok_in_time : (double)totals->ok;
}

bool result_busiest(const struct result *result, struct result_load *out)
{
    const struct result_validity *validity = &result->validity;
    double busy = -1;
    for (unsigned i = 0; validity->loop_busy && i < validity->loops; i++) {
        if (!(validity->loop_busy[i] > busy))
            continue;
        double waited = validity->loop_waited ? validity->loop_waited[i] : (double)NAN;
        busy = validity->loop_busy[i];
        *out = (struct result_load){i, busy, fmax(busy - waited, 0), waited};
        if (isnan(waited))
            out->had = NAN; /* fmax(3) would drop it */
    }
    return busy >= 0;
}

double result_rate(const struct result *result)
{
    const struct result_totals *totals = &result->totals;
    return totals->elapsed_ns > 0 ? ok_in_time(totals) / ((double)totals->elapsed_ns / 1e9)
                                  : 0;
}

double result_seconds(const struct result *result)
{
    const struct result_totals *totals = &result->totals;
    double seconds = totals->elapsed_ns > 0 ? (double)totals->elapsed_ns / 1e9 : 0;
    double ok = ok_in_time(totals);
    return ok > 0 ? seconds * (double)totals->ok / ok : seconds;
}

double result_cpu_per_request(const struct result *result)
{
    if (result->server.cpu_ns < 0 || result->totals.ok == 0)
        return NAN;
    return (double)result->server.cpu_ns / (double)result->totals.ok;
}

bool result_is_shortage(const struct tally_error *error)
{
    static const int shortages[] = {EADDRNOTAVAIL, EADDRINUSE, EMFILE,
                                    ENFILE,        ENOBUFS,    ENOMEM};
    for (size_t i = 0; i < sizeof shortages / sizeof shortages[0]; i++)
        if (error->phase == TALLY_CONNECT && error->reason == shortages[i])
            return true;
    return false;
}

uint64_t result_refused(const struct result *result)
{
    uint64_t refused = 0;
    for (size_t i = 0; i < result->error_count; i++)
        if (result->errors[i].when == TALLY_OPENING &&
            !result_is_shortage(&result->errors[i]))
            refused += result->errors[i].count;
    return refused;
}

uint64_t result_unasked(const struct result *result)
{
    uint64_t unasked = 0;
    for (size_t i = 0; i < result->error_count; i++)
        if (result->errors[i].when == TALLY_ANSWERED &&
            result->errors[i].reason == TALLY_UNASKED)
            unasked += result->errors[i].count;
    return unasked;
}

/* An attempt to connect is no request, and what was answered is not lost, even if it is
 * wrong or more follows. */
static bool is_lost_request(const struct tally_error *error)
{
    return tally_loss_of(error) == TALLY_LOST && error->when != TALLY_OPENING &&
           error->when != TALLY_ANSWERED;
}

uint64_t result_lost(const struct result *result)
{
    uint64_t lost = 0, planned = result->totals.planned;
    for (size_t i = 0; i < result->error_count; i++)
        if (is_lost_request(&result->errors[i]))
            lost += result->errors[i].count;
    if (result_refused(result))
        lost += result->totals.unsent;
    return planned && lost > planned ? planned : lost;
}
