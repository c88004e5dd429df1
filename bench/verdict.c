/* verdict.c - see verdict.h. */
#include "bench/verdict.h"
#include "bench/figure.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <prefork/base.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct evidence {
    const struct result *result;
    const struct verdict_facts *facts;
    char *reason; /* RESULT_REASON_MAX bytes */
};

/* Does the rule apply? Then it says so, and what to do. */
typedef bool rule_fn(const struct evidence *evidence);

static bool say(const struct evidence *evidence, const char *format, ...) PF_PRINTF(2, 3);
static bool say(const struct evidence *evidence, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(evidence->reason, RESULT_REASON_MAX, format, args);
    va_end(args);
    return true;
}

/* ---- what makes it invalid --------------------------------------------------------- */

static bool nothing_was_connected_to(const struct evidence *evidence)
{
    const struct result *result = evidence->result;
    if (result->plan.connections <= 0 || result->totals.opened || result->totals.sent)
        return false;
    return say(evidence, "no connection was made: nothing was measured; is the server "
                         "listening there?");
}

static bool nothing_was_answered(const struct evidence *evidence)
{
    const struct result *result = evidence->result;
    uint64_t answers = 0;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        answers += result->status[i];
    return result->totals.sent > 0 && answers == 0 && !result->hold &&
           say(evidence, "not one request was answered: nothing was measured; try it with "
                         "curl, or raise --timeout and --drain");
}

static uint64_t connect_errors(const struct result *result, int reason)
{
    uint64_t count = 0;
    for (size_t i = 0; i < result->error_count; i++)
        if (result->errors[i].phase == TALLY_CONNECT && result->errors[i].reason == reason)
            count += result->errors[i].count;
    return count;
}

static bool ran_out(const struct evidence *evidence, int reason, const char *what,
                    const char *remedy)
{
    uint64_t count = connect_errors(evidence->result, reason);
    return count && say(evidence, "%s ran out (%" PRIu64 " x %s): %s", what, count,
                        tally_reason_name(reason), remedy);
}

static bool ports_ran_out(const struct evidence *evidence)
{
    static const char remedy[] = "add source addresses (--src auto), widen "
                                 "net.ipv4.ip_local_port_range, or keep connections";
    return ran_out(evidence, EADDRNOTAVAIL, "local ports", remedy) ||
           ran_out(evidence, EADDRINUSE, "local ports", remedy);
}

static bool descriptors_ran_out(const struct evidence *evidence)
{
    return ran_out(evidence, EMFILE, "descriptors of a process",
                   "raise ulimit -n, or spread over --procs") ||
           ran_out(evidence, ENFILE, "descriptors of the system",
                   "raise sysctl fs.file-max");
}

static bool memory_ran_out(const struct evidence *evidence)
{
    static const char remedy[] = "lower -c, --rcvbuf and --sndbuf, or raise "
                                 "sysctl net.ipv4.tcp_mem";
    return ran_out(evidence, ENOBUFS, "socket memory", remedy) ||
           ran_out(evidence, ENOMEM, "kernel memory", remedy);
}

static bool requests_were_dropped(const struct evidence *evidence)
{
    uint64_t dropped = evidence->result->totals.dropped;
    char count[FIGURE_MAX];
    return dropped && say(evidence,
                          "%s due requests were dropped, so the plan was not carried out: "
                          "raise -c, lower -R, or --overflow queue",
                          figure_groups(dropped, count));
}

static bool a_part_died(const struct evidence *evidence)
{
    const struct result_validity *validity = &evidence->result->validity;
    return validity->incomplete &&
           say(evidence, "%s: what it had under way has no answer; run it again",
               validity->died[0] ? validity->died
                                 : "a part of the load has ended too early");
}

static bool counters_contradict(const struct evidence *evidence)
{
    const struct result *result = evidence->result;
    const struct result_totals *totals = &result->totals;
    uint64_t answers = 0;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        answers += result->status[i];
    uint64_t ends = answers + totals->failed + totals->censored;
    if (answers == 0 || ends == totals->sent || result->validity.incomplete)
        return false;
    return say(evidence,
               "%" PRIu64 " requests were sent, but %" PRIu64 " have ended: this tool has "
               "miscounted; please report it",
               totals->sent, ends);
}

/* ---- lag --------------------------------------------------------------------------- */

struct lag {
    int percent;
    int64_t lag_ns, response_ns;
};

int verdict_lag_percent(const struct hdr *lag)
{
    static const int percents[] = {99, 90, 50};
    for (size_t i = 0; lag && i < sizeof percents / sizeof percents[0]; i++)
        if (hdr_can_tell(lag, percents[i] * HDR_PERCENT))
            return percents[i];
    return 0;
}

/* At the highest percentile that can be told. False: there is none, or no schedule. */
static bool find_lag(const struct result *result, struct lag *out)
{
    const struct hdr *lag = result->latency[RESULT_LAG].hdr;
    const struct hdr *response = result->latency[RESULT_RESPONSE].hdr;
    int percent = verdict_lag_percent(lag);
    if (!response || percent == 0)
        return false;
    *out = (struct lag){percent, hdr_percentile(lag, percent * HDR_PERCENT),
                        hdr_percentile(response, percent * HDR_PERCENT)};
    return true;
}

/* Only of the same requests can one be a part of the other: what failed or was dropped was
 * due, and has no response time. */
static bool is_comparable(const struct result *result)
{
    const struct hdr *lag = result->latency[RESULT_LAG].hdr;
    const struct hdr *response = result->latency[RESULT_RESPONSE].hdr;
    return (double)response->count >= VERDICT_LAG_ANSWERED * (double)lag->count;
}

static bool exceeds(const struct lag *lag, double share, int64_t least)
{
    return lag->lag_ns > least && (double)lag->lag_ns > share * (double)lag->response_ns;
}

static bool say_lag(const struct evidence *evidence, const struct lag *lag,
                    const char *what)
{
    char own[FIGURE_MAX], all[FIGURE_MAX], waited[64] = "";
    struct result_load load;
    /* More threads would wait as well. */
    bool starved = result_busiest(evidence->result, &load) && load.waited > load.had;
    if (starved)
        snprintf(waited, sizeof waited,
                 "it waited for a CPU for %.0f%% of the time: ", load.waited * 100);
    return say(evidence, "lag p%d %s of response p%d %s: %s; %s%s", lag->percent,
               figure_time(lag->lag_ns, own), lag->percent,
               figure_time(lag->response_ns, all), what, waited,
               starved ? "free this machine, or pin with --cpus"
                       : "add -t N, use --pace spin, lower -R or free this machine");
}

static bool lag_is_what_was_measured(const struct evidence *evidence)
{
    struct lag lag;
    return find_lag(evidence->result, &lag) && is_comparable(evidence->result) &&
           exceeds(&lag, VERDICT_LAG_INVALID_SHARE, VERDICT_LAG_INVALID_LEAST) &&
           say_lag(evidence, &lag, "mostly the generator was measured");
}

static bool lag_is_too_large(const struct evidence *evidence)
{
    struct lag lag;
    char own[FIGURE_MAX];
    if (!find_lag(evidence->result, &lag))
        return false;
    if (!is_comparable(evidence->result))
        return lag.lag_ns > VERDICT_LAG_INVALID_LEAST &&
               say(evidence,
                   "lag p%d %s: the generator was late; add -t N, use --pace spin, "
                   "lower -R or free this machine",
                   lag.percent, figure_time(lag.lag_ns, own));
    return !lag_is_what_was_measured(evidence) &&
           exceeds(&lag, VERDICT_LAG_SHARE, VERDICT_LAG_LEAST) &&
           say_lag(evidence, &lag, "the generator was late");
}

/* ---- what makes it suspect --------------------------------------------------------- */

/* It would not have been busy with a CPU of its own: others are in the way. */
static bool say_waited(const struct evidence *evidence, const struct result_load *load)
{
    return say(
        evidence,
        "loop %u of %u was busy for %.0f%% of the time, but had a CPU for %.0f%% and "
        "waited for one for %.0f%%: others had it; free this machine, or pin with "
        "--cpus",
        load->loop + 1, evidence->result->validity.loops, load->busy * 100, load->had * 100,
        load->waited * 100);
}

static bool say_worked(const struct evidence *evidence, const struct result_load *load)
{
    unsigned loops = evidence->result->validity.loops;
    int64_t cores = evidence->result->environment.cores;
    const char *what = isnan(load->waited) ? "" : " with its own work";
    if (cores > 0 && loops >= cores)
        return say(evidence,
                   "loop %u of %u was busy for %.0f%% of the time%s: the generator may be "
                   "the limit; run it on a machine with more than %" PRId64 " CPUs",
                   load->loop + 1, loops, load->busy * 100, what, cores);
    return say(evidence,
               "loop %u of %u was busy for %.0f%% of the time%s: the generator may be the "
               "limit; add threads: -t %u",
               load->loop + 1, loops, load->busy * 100, what, loops + 1);
}

static bool loop_was_busy(const struct evidence *evidence)
{
    struct result_load load;
    int64_t elapsed = evidence->result->totals.elapsed_ns;
    if (!result_busiest(evidence->result, &load) || load.busy < VERDICT_BUSY_MOST ||
        (elapsed >= 0 && elapsed < VERDICT_BUSY_LEAST))
        return false;
    return load.had < VERDICT_BUSY_MOST ? say_waited(evidence, &load)
                                        : say_worked(evidence, &load);
}

static bool loop_stood_still(const struct evidence *evidence)
{
    char text[FIGURE_MAX];
    int64_t stall_ns = evidence->facts->stall_ns;
    return stall_ns > VERDICT_STALL_MOST && say(evidence,
                                                "a loop of the generator stood still for "
                                                "%s: something else had its CPU; free "
                                                "this machine, or pin with --cpus",
                                                figure_time(stall_ns, text));
}

static bool littles_law_is_off(const struct evidence *evidence)
{
    double ratio = evidence->result->validity.littles_law;
    /* A hair's width for the rounding of a ratio that was computed. */
    return fabs(ratio - 1) > VERDICT_LITTLES_MOST + 1e-9 &&
           say(evidence,
               "Little's law is off: in flight / (rate x mean time) = %.2f, not 1; measure "
               "longer (-d), or with a warm-up",
               ratio);
}

/* ---- notes ------------------------------------------------------------------------- */

static bool cpus_are_shared(const struct evidence *evidence)
{
    return evidence->facts->shares_cpus &&
           say(evidence,
               "note: server and generator share their CPUs and slow one another: "
               "compare CPU per request, or pin them apart (--cpus)");
}

static bool governor_saves_power(const struct evidence *evidence)
{
    static const char *const savers[] = {"powersave", "ondemand", "conservative"};
    const char *governor = evidence->result->environment.governor;
    for (size_t i = 0; governor && i < sizeof savers / sizeof savers[0]; i++)
        if (strcmp(governor, savers[i]) == 0)
            return say(
                evidence,
                "note: the CPU governor is %s, so that times depend on the load; set "
                "performance: cpupower frequency-set -g performance",
                governor);
    return false;
}

static bool syns_were_sent_again(const struct evidence *evidence)
{
    int64_t retries = evidence->result->server.syn_retries;
    return retries > 0 &&
           say(evidence,
               "note: %" PRId64
               " SYNs of this machine were sent again, at a second or more each; if "
               "to this server: raise its backlog and net.core.somaxconn",
               retries);
}

/* ---- the verdict ------------------------------------------------------------------- */

/* The gravest first. RESULT_VALID: a note. */
static const struct {
    enum result_verdict verdict;
    rule_fn *applies;
} rules[] = {
    {RESULT_INVALID, a_part_died},
    {RESULT_INVALID, ports_ran_out},
    {RESULT_INVALID, descriptors_ran_out},
    {RESULT_INVALID, memory_ran_out},
    {RESULT_INVALID, nothing_was_connected_to},
    {RESULT_INVALID, nothing_was_answered},
    {RESULT_INVALID, requests_were_dropped},
    {RESULT_INVALID, lag_is_what_was_measured},
    {RESULT_INVALID, counters_contradict},
    {RESULT_SUSPECT, loop_was_busy},
    {RESULT_SUSPECT, lag_is_too_large},
    {RESULT_SUSPECT, loop_stood_still},
    {RESULT_SUSPECT, littles_law_is_off},
    {RESULT_VALID, cpus_are_shared},
    {RESULT_VALID, governor_saves_power},
    {RESULT_VALID, syns_were_sent_again},
};

_Static_assert(sizeof rules / sizeof rules[0] <= RESULT_REASONS_MAX, "a reason for each");

void verdict_give(struct result *result, const struct verdict_facts *facts)
{
    struct result_validity *validity = &result->validity;
    validity->verdict = RESULT_VALID;
    validity->reason_count = 0;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct evidence evidence = {result, facts,
                                    validity->reasons[validity->reason_count]};
        if (!rules[i].applies(&evidence))
            continue;
        validity->reason_count++;
        if (rules[i].verdict > validity->verdict)
            validity->verdict = rules[i].verdict;
    }
}

const char *verdict_name(enum result_verdict verdict)
{
    switch (verdict) {
    case RESULT_VALID:
        return "VALID";
    case RESULT_SUSPECT:
        return "SUSPECT";
    case RESULT_INVALID:
        return "INVALID";
    }
    return "?";
}
