/* preflight.c - see preflight.h. A rule is a function: from what there is and what is
 * wanted to one finding, or none. */
#include "bench/preflight.h"

#include "bench/local.h"
#include "bench/spread.h"
#include "bench/time_wait.h"
#include <errno.h>
#include <inttypes.h>
#include <prefork/base.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PORT_LEAST     1024
#define PORT_MOST      65535
#define CONNECTIONS_OK 128 /* so many at once no default backlog minds */

typedef bool rule_fn(const struct preflight_facts *facts,
                     const struct preflight_needs *needs, struct preflight_finding *out);

static void say(char text[PREFLIGHT_TEXT_MAX], const char *format, ...) PF_PRINTF(2, 3);

static void say(char text[PREFLIGHT_TEXT_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, PREFLIGHT_TEXT_MAX, format, args);
    va_end(args);
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static bool known(int64_t value)
{
    return value >= 0;
}

/* ---- descriptors ----------------------------------------------------------------- */

static int64_t descriptors_beside(const struct preflight_needs *needs)
{
    return PREFLIGHT_FDS_BESIDE +
           PREFLIGHT_FDS_PER_THREAD * divide_up(needs->threads, needs->procs);
}

/* The soft limit is no matter: every run raises it to the hard one. */
static rule_fn descriptors;

static bool descriptors(const struct preflight_facts *facts,
                        const struct preflight_needs *needs, struct preflight_finding *out)
{
    int64_t beside = descriptors_beside(needs);
    int64_t wanted = divide_up(needs->connections, needs->procs) + beside;
    if (!known(facts->nofile_hard))
        return false;
    out->matter = "descriptors";
    say(out->text, "%" PRId64 " in each of %" PRId64 " process%s, of %" PRId64, wanted,
        needs->procs, needs->procs == 1 ? "" : "es", facts->nofile_hard);
    if (wanted <= facts->nofile_hard)
        return true;
    out->severity = PREFLIGHT_FAIL;
    int64_t room = facts->nofile_hard - beside;
    int64_t procs = room > 0 ? divide_up(needs->connections, room) : 0;
    if (known(facts->nr_open) && wanted > facts->nr_open)
        say(out->remedy, "sysctl -w fs.nr_open=%" PRId64 " && ulimit -n %" PRId64, wanted,
            wanted);
    else
        say(out->remedy, "ulimit -n %" PRId64, wanted);
    size_t len = strlen(out->remedy);
    if (procs > 0)
        snprintf(out->remedy + len, sizeof out->remedy - len, ", or --procs %" PRId64,
                 procs);
    return true;
}

static rule_fn files;

static bool files(const struct preflight_facts *facts, const struct preflight_needs *needs,
                  struct preflight_finding *out)
{
    if (!known(facts->file_max) || !known(facts->files))
        return false;
    int64_t wanted = needs->connections * (needs->local ? 2 : 1) +
                     descriptors_beside(needs) * needs->procs;
    out->matter = "files";
    say(out->text,
        "%" PRId64 " beside the %" PRId64 " that are open on the machine, of %" PRId64,
        wanted, facts->files, facts->file_max);
    if (wanted <= facts->file_max - facts->files)
        return true;
    out->severity = PREFLIGHT_FAIL;
    say(out->remedy, "sysctl -w fs.file-max=%" PRId64, wanted + facts->files);
    return true;
}

/* ---- ports ----------------------------------------------------------------------- */

static int64_t ports_of_one(const struct preflight_facts *facts)
{
    return known(facts->port_low) && known(facts->port_high)
               ? facts->port_high - facts->port_low + 1
               : PREFLIGHT_PORTS_DEFAULT;
}

/* What gives so many ports: a wider range if that is enough, else more addresses. */
static void ask_for_ports(const struct preflight_facts *facts,
                          const struct preflight_needs *needs, int64_t wanted, char *remedy)
{
    const int64_t most = PORT_MOST - PORT_LEAST + 1;
    int64_t sources = divide_up(wanted, ports_of_one(facts));
    if (needs->loopback && sources <= PLAN_SOURCES_MAX)
        say(remedy, "--src auto: %" PRId64 " addresses of 127.0.0.0/8", sources);
    else if (wanted <= most * needs->sources)
        say(remedy, "sysctl -w net.ipv4.ip_local_port_range=\"%d %d\"", PORT_LEAST,
            PORT_MOST);
    else
        say(remedy,
            "sysctl -w net.ipv4.ip_local_port_range=\"%d %d\", and --src with %" PRId64
            " addresses of this machine",
            PORT_LEAST, PORT_MOST, divide_up(wanted, most));
}

static rule_fn ports;

static bool ports(const struct preflight_facts *facts, const struct preflight_needs *needs,
                  struct preflight_finding *out)
{
    if (!needs->tcp)
        return false;
    int64_t there = ports_of_one(facts) * needs->sources;
    out->matter = "ports";
    say(out->text,
        "%" PRId64 " connections from %" PRId64 " address%s, of %" PRId64 " ports each",
        needs->connections, needs->sources, needs->sources == 1 ? "" : "es",
        ports_of_one(facts));
    if (needs->connections <= there &&
        !time_wait_may_reuse(facts->tw_reuse, needs->loopback) &&
        needs->connections > there - facts->time_wait) {
        out->severity = PREFLIGHT_WARN;
        say(out->remedy, "wait %d s: %" PRId64 " connections in TIME_WAIT may hold some",
            TIME_WAIT_S, facts->time_wait);
    }
    if (needs->connections <= there)
        return true;
    out->severity = PREFLIGHT_FAIL;
    ask_for_ports(facts, needs, needs->connections, out->remedy);
    return true;
}

/* Each connection that is closed here keeps its port for a while. A run that opens fewer
 * than there are ports does not get there. */
static rule_fn time_wait;

static bool time_wait(const struct preflight_facts *facts,
                      const struct preflight_needs *needs, struct preflight_finding *out)
{
    if (!needs->tcp || !needs->leaves_time_wait || needs->opens_per_s == 0)
        return false;
    int64_t there = ports_of_one(facts) * needs->sources;
    int64_t seconds = time_wait_rest_s(facts->tw_reuse, needs->loopback);
    double most = (double)there / (double)seconds;
    out->matter = "TIME_WAIT";
    if (needs->opens_per_s < 0)
        say(out->text,
            "connections are opened as fast as it goes; %.0f/s are possible for long, "
            "since "
            "a port rests %" PRId64 " s",
            most, seconds);
    else
        say(out->text,
            "%.0f connections/s; %.0f/s are possible for long, since a port rests %" PRId64
            " s",
            needs->opens_per_s, most, seconds);
    bool unknown_rate = needs->opens_per_s < 0;
    if (needs->opens <= there || (!unknown_rate && needs->opens_per_s <= most) ||
        (unknown_rate && seconds == 1))
        return true;
    out->severity = unknown_rate ? PREFLIGHT_WARN : PREFLIGHT_FAIL;
    if (seconds > 1)
        say(out->remedy, "sysctl -w net.ipv4.tcp_tw_reuse=1, or --close rst");
    else
        say(out->remedy, "--close rst, or %s",
            needs->loopback ? "--src auto" : "--src with more addresses of this machine");
    return true;
}

/* ---- queues ---------------------------------------------------------------------- */

static bool all_at_once(const struct preflight_needs *needs)
{
    return needs->tcp && needs->local && needs->ramp_ns == 0 &&
           needs->connections > CONNECTIONS_OK;
}

/* The kernel clips each listener's backlog to it; what does not fit is tried again by the
 * client's kernel after a second. */
static rule_fn accept_queue;

static bool accept_queue(const struct preflight_facts *facts,
                         const struct preflight_needs *needs, struct preflight_finding *out)
{
    if (!all_at_once(needs) || !known(facts->somaxconn))
        return false;
    out->matter = "accept queue";
    say(out->text,
        "%" PRId64 " connections at once; a listener's queue holds at most %" PRId64,
        needs->connections, facts->somaxconn);
    if (needs->connections <= facts->somaxconn)
        return true;
    out->severity = PREFLIGHT_WARN;
    say(out->remedy, "--ramp 5s, or sysctl -w net.core.somaxconn=%d", PORT_MOST);
    return true;
}

static rule_fn syn_queue;

static bool syn_queue(const struct preflight_facts *facts,
                      const struct preflight_needs *needs, struct preflight_finding *out)
{
    if (!all_at_once(needs) || !known(facts->syn_backlog))
        return false;
    out->matter = "SYN queue";
    say(out->text,
        "%" PRId64 " connections at once; %" PRId64 " handshakes are remembered, beyond "
        "that SYN cookies are used, or SYNs dropped",
        needs->connections, facts->syn_backlog);
    if (needs->connections <= facts->syn_backlog)
        return true;
    out->severity = PREFLIGHT_WARN;
    say(out->remedy, "--ramp 5s, or sysctl -w net.ipv4.tcp_max_syn_backlog=%d", PORT_MOST);
    return true;
}

/* ---- memory and CPUs ------------------------------------------------------------- */

#define MIB (1024 * 1024)

static rule_fn memory;

static bool memory(const struct preflight_facts *facts, const struct preflight_needs *needs,
                   struct preflight_finding *out)
{
    if (!known(facts->memory))
        return false;
    int64_t ends = needs->connections * (needs->local ? 2 : 1);
    int64_t wanted = ends * PREFLIGHT_END_BYTES;
    out->matter = "memory";
    say(out->text,
        "%" PRId64 " MB of the kernel's for %" PRId64 " ends of connections, of %" PRId64
        " MB",
        wanted / MIB, ends, facts->memory / MIB);
    if (wanted <= facts->memory / 5 * 4)
        return true;
    out->severity = wanted > facts->memory ? PREFLIGHT_FAIL : PREFLIGHT_WARN;
    say(out->remedy, "fewer connections: -c %" PRId64,
        facts->memory / 5 * 4 / PREFLIGHT_END_BYTES / (needs->local ? 2 : 1));
    return true;
}

static rule_fn cpus;

static bool cpus(const struct preflight_facts *facts, const struct preflight_needs *needs,
                 struct preflight_finding *out)
{
    if (!known(facts->cpus))
        return false;
    out->matter = "CPUs";
    say(out->text, "%" PRId64 " thread%s on %" PRId64 " CPU%s%s", needs->threads,
        needs->threads == 1 ? "" : "s", facts->cpus, facts->cpus == 1 ? "" : "s",
        needs->local ? ", and the server" : "");
    if (needs->threads > facts->cpus) {
        out->severity = PREFLIGHT_WARN;
        say(out->remedy, "-t %" PRId64, facts->cpus);
    } else if (needs->local && needs->threads == facts->cpus) {
        out->severity = PREFLIGHT_WARN;
        if (facts->cpus > 1)
            say(out->remedy, "-t %" PRId64 ", and --cpus to keep them apart",
                facts->cpus - 1);
        else
            say(out->remedy, "a machine with more CPUs, or the server on another");
    }
    return true;
}

static rule_fn governor;

static bool governor(const struct preflight_facts *facts,
                     const struct preflight_needs *needs, struct preflight_finding *out)
{
    (void)needs;
    if (!facts->governor[0])
        return false;
    out->matter = "governor";
    say(out->text, "%s", facts->governor);
    if (strcmp(facts->governor, "performance") == 0)
        return true;
    out->severity = PREFLIGHT_WARN;
    say(out->remedy, "cpupower frequency-set -g performance");
    return true;
}

/* ---- all of them ----------------------------------------------------------------- */

size_t preflight_judge(const struct preflight_facts *facts,
                       const struct preflight_needs *needs,
                       struct preflight_finding findings[PREFLIGHT_FINDINGS_MAX])
{
    static rule_fn *const rules[] = {descriptors, files,  ports, time_wait, accept_queue,
                                     syn_queue,   memory, cpus,  governor};
    size_t count = 0;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        findings[count] = (struct preflight_finding){.severity = PREFLIGHT_OK};
        count += rules[i](facts, needs, &findings[count]);
    }
    return count;
}

const char *preflight_severity_name(enum preflight_severity severity)
{
    switch (severity) {
    case PREFLIGHT_OK:
        return "ok";
    case PREFLIGHT_WARN:
        return "warn";
    case PREFLIGHT_FAIL:
        return "fail";
    }
    return "?";
}

/* How many connections the requests take that end them. */
static void count_opens(const struct plan *plan, struct preflight_needs *out)
{
    double each = (double)plan->reqs_per_conn;
    double rate = plan->load == PLAN_OPEN ? plan_mean_rate(plan) : -1;
    double seconds = (double)(plan->warmup_ns + plan->duration_ns) / (double)PF_SECOND;
    out->opens_per_s = rate < 0 ? -1 : rate / each;
    out->opens = INT64_MAX;
    if (plan->requests)
        out->opens = (int64_t)((double)plan->requests / each);
    else if (rate >= 0)
        out->opens = (int64_t)(rate / each * seconds);
}

void preflight_needs_of(const struct plan *plan, struct preflight_needs *out)
{
    *out = (struct preflight_needs){
        .connections = plan->connections, /* what PLAN_CONNECT adds stays within limits */
        .procs = plan->procs ? plan->procs : 1,
        .threads = plan->threads ? plan->threads : 1,
        .tcp = !pf_address_is_unix(&plan->target),
        .loopback = spread_is_loopback(&plan->target),
        .local = local_is_ours(&plan->target),
        .sources = plan->source_count ? plan->source_count : 1,
        .leaves_time_wait = plan->close == PLAN_CLOSE_FIN,
        .ramp_ns = plan->ramp_ns,
        .opens = plan->connections,
    };
    if (plan->reqs_per_conn)
        count_opens(plan, out);
}

int preflight_check(const struct plan *plan, char *why, size_t why_len)
{
    struct preflight_facts facts;
    struct preflight_needs needs;
    struct preflight_finding findings[PREFLIGHT_FINDINGS_MAX];
    preflight_gather(&facts);
    preflight_needs_of(plan, &needs);
    size_t count = preflight_judge(&facts, &needs, findings);
    for (size_t i = 0; i < count; i++) {
        if (findings[i].severity != PREFLIGHT_FAIL)
            continue;
        snprintf(why, why_len, "%s: %s; %s", findings[i].matter, findings[i].text,
                 findings[i].remedy);
        return -ENOSPC;
    }
    return 0;
}
