/*
 * mode_preflight.c - `prefork-bench preflight`: what preflight.h finds, all of it, for a
 * run with these options.
 */
#include "bench/cli.h"

#include "bench/mode_line.h"
#include "bench/preflight.h"
#include "bench/quantity.h"
#include "bench/sources.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config {
    int64_t connections, threads, procs, duration_ns, count, reqs_per_conn, ramp_ns;
    double rate;
    bool no_keepalive;
    const char *src;
    int close;
};

static const char *const closes[] = {"fin", "rst", "server", NULL};

#define AT(field) .at = offsetof(struct config, field)

/* Those of a run that matter here. */
static const struct pf_option options[] = {
    {.name = "connections",
     .letter = 'c',
     .type = PF_OPTION_CUSTOM,
     AT(connections),
     .parse = quantity_parse_count,
     .argument = "N",
     .help = "connections (64)"},
    {.name = "threads",
     .letter = 't',
     .type = PF_OPTION_CUSTOM,
     AT(threads),
     .parse = quantity_parse_count,
     .argument = "N",
     .help = "threads (1)"},
    {.name = "procs",
     .type = PF_OPTION_CUSTOM,
     AT(procs),
     .parse = quantity_parse_count,
     .argument = "N",
     .help = "processes (1)"},
    {.name = "duration",
     .letter = 'd',
     .type = PF_OPTION_DURATION,
     AT(duration_ns),
     .min = 1,
     .max = 1000 * 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "how long (10s)"},
    {.name = "count",
     .letter = 'n',
     .type = PF_OPTION_CUSTOM,
     AT(count),
     .parse = quantity_parse_count,
     .argument = "N",
     .help = "requests, instead of -d"},
    {.name = "rate",
     .letter = 'R',
     .type = PF_OPTION_CUSTOM,
     AT(rate),
     .parse = quantity_parse_rate,
     .argument = "RATE",
     .help = "open loop: requests per second"},
    {.name = "reqs-per-conn",
     .type = PF_OPTION_CUSTOM,
     AT(reqs_per_conn),
     .parse = quantity_parse_count,
     .argument = "N",
     .help = "requests on a connection before it is closed (no limit)"},
    {.name = "no-keepalive",
     .type = PF_OPTION_FLAG,
     AT(no_keepalive),
     .help = "one request on each connection"},
    {.name = "ramp",
     .type = PF_OPTION_DURATION,
     AT(ramp_ns),
     .max = 1000 * 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "open the connections evenly over this time (all at once)"},
    {.name = "src",
     .type = PF_OPTION_STRING,
     AT(src),
     .argument = "auto|CIDR|LIST",
     .help = "addresses to connect from (auto)"},
    {.name = "close",
     .type = PF_OPTION_CHOICE,
     AT(close),
     .choices = closes,
     .argument = "fin|rst|server",
     .help = "how connections are closed (fin)"},
    {0},
};

static int find_target(const char *text, struct plan *plan)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[PF_OPTION_ERROR_MAX];
    struct url *url = malloc(sizeof *url); /* it has room for a long path */
    if (!url)
        return cli_fail("out of memory");
    int err = url_parse(text, url, why, sizeof why);
    if (!err)
        err = pf_address_parse(url->address, found, why, sizeof why) < 0 ? -EINVAL : 0;
    free(url);
    if (err)
        return cli_fail("%s: %s", text, why);
    plan->target = found[0];
    return 0;
}

/* A plan as far as preflight_needs_of() looks at it. *sources is to be freed. */
static int make_plan(const struct config *config, const char *url, struct plan *plan,
                     struct pf_address **sources)
{
    char why[PF_OPTION_ERROR_MAX];
    int status = find_target(url, plan);
    if (status)
        return status;
    int count = sources_parse(config->src, &plan->target, (uint64_t)config->connections,
                              sources, why, sizeof why);
    if (count < 0)
        return cli_fail("--src %s: %s", config->src, count == -ENOMEM ? "no memory" : why);
    plan->sources = *sources;
    plan->source_count = (unsigned)count;
    plan->connections = (unsigned)config->connections;
    plan->threads = (unsigned)config->threads;
    plan->procs = (unsigned)config->procs;
    plan->ramp_ns = config->ramp_ns;
    plan->close = (enum plan_close)config->close;
    plan->reqs_per_conn = config->no_keepalive ? 1 : (uint64_t)config->reqs_per_conn;
    plan->requests = (uint64_t)config->count;
    plan->duration_ns = config->count ? 0 : config->duration_ns;
    if (config->rate > 0) {
        plan->load = PLAN_OPEN;
        plan->stages[0] =
            (struct plan_stage){config->duration_ns, config->rate, config->rate};
        plan->stage_count = 1;
    }
    return 0;
}

/* Returns the exit status. */
static int show(const struct plan *plan)
{
    struct preflight_facts facts;
    struct preflight_needs needs;
    struct preflight_finding findings[PREFLIGHT_FINDINGS_MAX];
    char address[PF_ADDRESS_TEXT_MAX];
    preflight_gather(&facts);
    preflight_needs_of(plan, &needs);
    size_t count = preflight_judge(&facts, &needs, findings);
    int status = EXIT_RUN_OK;
    printf("preflight  %" PRId64 " connections to %s\n", needs.connections,
           pf_address_format(&plan->target, address));
    for (size_t i = 0; i < count; i++) {
        const struct preflight_finding *finding = &findings[i];
        printf("  %-4s  %-12s  %s\n", preflight_severity_name(finding->severity),
               finding->matter, finding->text);
        if (finding->remedy[0])
            printf("  %4s  %-12s  -> %s\n", "", "", finding->remedy);
        if (finding->severity == PREFLIGHT_FAIL)
            status = EXIT_INVALID;
    }
    return fflush(stdout) == 0 ? status : cli_fail("cannot write: %s", strerror(errno));
}

static int preflight(const struct config *config, const char *url)
{
    struct pf_address *sources = NULL;
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return cli_fail("out of memory");
    int status = make_plan(config, url, plan, &sources);
    if (!status)
        status = show(plan);
    free(sources);
    free(plan);
    return status;
}

static const struct mode_line line = {
    .mode = &mode_preflight,
    .options = options,
    .ending = "\nExit status: 0 it may begin; 3 it cannot work.\n",
    .excess = "one URL is enough",
};

static int preflight_main(const struct mode *mode, int argc, char **argv)
{
    (void)mode;
    struct config config = {.connections = 64,
                            .threads = 1,
                            .procs = 1,
                            .duration_ns = 10 * PF_SECOND,
                            .src = "auto"};
    const char *url = NULL;
    int count, status = mode_line_read(&line, &config, argc, argv, &url, 1, &count);
    return status >= 0 ? status : preflight(&config, url ? url : "http://127.0.0.1:8888/");
}

const struct mode mode_preflight = {
    .name = "preflight",
    .usage = "[options] [URL]",
    .help = "Can this machine carry out such a run? Without a URL: to 127.0.0.1.",
    .main = preflight_main,
};
