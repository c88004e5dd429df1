/*
 * hold.c - as many idle connections as asked for, held in processes of their own, while an
 * open loop on a few connections probes how the server fares under them.
 *
 *     1. how many processes and source addresses it takes: hold_plan.h
 *     2. a squad opens them, each member with a hold_pool, at --rate in all
 *     3. when all have been tried, the probe is a run like any other, for -d
 *     4. what stands then is held, what the server closed meanwhile is lost; memory is
 *        compared with what it was before
 *
 * What a connection costs: a member's own memory exactly (its anonymous pages, before and
 * after); the kernel's as the growth of all its objects, half of it for each side if the
 * server is on this machine; the server's as the growth of its resident memory. Other work
 * on the machine counts in the latter two, so they are of use for many connections only.
 */
#include "bench/hold_internal.h"

#include "bench/clock.h"
#include "bench/descriptors.h"
#include "bench/footprint.h"
#include "bench/hold_plan.h"
#include "bench/mode.h"
#include "bench/quantity.h"
#include "bench/steady.h"
#include "bench/watch.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Connections of the probe: as many as its own load hardly needs. */
#define PROBE_CONNECTIONS 8

static const struct pf_option options[] = {
    {.name = "connections",
     .letter = 'c',
     .type = PF_OPTION_CUSTOM,
     .parse = quantity_parse_count,
     .at = offsetof(struct hold_config, connections),
     .argument = "N",
     .help = "idle connections to hold: 100k, 1M (10k)"},
    {.name = "rate",
     .letter = 'R',
     .type = PF_OPTION_CUSTOM,
     .parse = quantity_parse_rate,
     .at = offsetof(struct hold_config, rate),
     .argument = "RATE",
     .help = "open so many a second (50k)"},
    {.name = "probe",
     .type = PF_OPTION_CUSTOM,
     .parse = quantity_parse_rate,
     .at = offsetof(struct hold_config, probe),
     .argument = "RATE",
     .help = "requests a second meanwhile, on connections of their own (100/s)"},
    {.name = "ask",
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct hold_config, ask),
     .help =
         "ask once on each: it is held when that was answered, below 400; else it never "
         "says a word"},
    {.name = "procs",
     .type = PF_OPTION_INT,
     .at = offsetof(struct hold_config, procs),
     .min = 1,
     .max = SQUAD_MAX,
     .argument = "N",
     .help = "processes that hold them (as many as the limit of descriptors asks for)"},
    {0},
};

/* ---- all of it ------------------------------------------------------------------- */

static int64_t server_memory(struct cli *cli)
{
    struct result_row row = {.server_rss = RESULT_UNKNOWN};
    server_side_sample(cli->server, &row);
    return row.server_rss > 0 ? row.server_rss : -1;
}

static int probe_begin(void *arg, pf_loop *loop, int64_t began_ns)
{
    (void)loop;
    ((struct hold_probe *)arg)->began_ns = began_ns;
    return 0;
}

/* What is left of a measurement when one of those that hold has ended is none. */
static bool probe_row(void *arg, const struct result_row *row)
{
    (void)row;
    const struct hold_probe *probe = arg;
    squad_tend(probe->squad);
    return hold_any_is_gone(probe->hold, probe->squad);
}

static int run_probe(struct hold_probe *probe, struct cli *cli)
{
    struct plan *plan = &cli->plan;
    struct watch watch;
    struct run_watcher mine = {.begin = probe_begin, .row = probe_row, .arg = probe};
    struct run_watcher both;
    watch_join(&watch, &cli->watcher, &mine, &both);
    plan->connections =
        PROBE_CONNECTIONS > plan->threads ? PROBE_CONNECTIONS : plan->threads;
    plan->connections_max = plan->connections;
    plan->procs = 1;
    steady_set(plan, probe->hold->config.probe);
    return run_plan(plan, &both, cli->progress, probe->result);
}

static int hold_and_probe(struct hold_probe *probe, struct cli *cli)
{
    struct squad_job job = hold_job;
    job.arg = probe->hold;
    server_side_begin(cli->server);
    probe->server_before = server_memory(cli);
    probe->kernel_before = footprint_kernel();
    probe->opening_ns = clock_ns();
    int err = squad_start(probe->hold->procs, &job, &probe->squad);
    if (err)
        return err;
    err = hold_wait_until_opened(probe->hold, probe->squad, cli->progress != RUN_SILENT);
    if (!err)
        err = run_probe(probe, cli);
    int filled = 0;
    if (hold_find_gone(probe->hold, probe->squad, probe->gone, sizeof probe->gone) > 0)
        err = err ? err : -ECHILD;
    if (!err || err == -EINTR || err == -ECHILD) {
        filled = hold_fill_in(probe, server_memory(cli));
        /* Before all are closed at once, which costs the server, too. */
        server_side_end(cli->server, &probe->result->server);
    }
    if (squad_stop(probe->squad) > 0 && !err) { /* what they held was not looked after */
        snprintf(probe->gone, sizeof probe->gone,
                 "a process that held connections stood still");
        err = -ECHILD;
    }
    return err ? err : filled;
}

static int measure(struct hold_probe *probe, struct cli *cli)
{
    struct result *result = probe->result;
    char why[128] = "";
    int err = hold_and_probe(probe, cli);
    if (!result->hold) { /* it never came so far */
        (void)cli_fail("cannot run: %s", err == -ECHILD ? "a process that was to hold "
                                                          "connections has ended"
                                                        : strerror(-err));
        return EXIT_INVALID;
    }
    snprintf(why, sizeof why, "%" PRIu64 " of %" PRIu64 " connections are held",
             result->hold->held, result->hold->asked);
    if (err == -ECHILD && probe->gone[0]) { /* ours, not the server's doing */
        result->validity.incomplete = true;
        snprintf(result->validity.died, sizeof result->validity.died,
                 "a process that held connections has ended");
        return mode_end(cli, result, 0, EXIT_INVALID, probe->gone);
    }
    return mode_end(cli, result, err, hold_judge(result), why);
}

/* Sources of our own, or the user's. Returns 0 or -ENOMEM. */
static int take_sources(struct hold *hold, unsigned own, const struct cli *cli)
{
    hold->sources = cli->plan.sources;
    hold->source_count = cli->plan.source_count;
    if (own == 0)
        return 0;
    struct pf_address *sources = calloc(own, sizeof *sources);
    if (!sources)
        return -ENOMEM;
    for (unsigned i = 0; i < own; i++)
        spread_source(i, &sources[i]);
    hold->sources = sources;
    hold->source_count = own;
    return 0;
}

static size_t size_of(unsigned procs)
{
    return sizeof(struct hold) + procs * sizeof(struct hold_share);
}

static int make_shared(const struct hold_config *config, const struct cli *cli,
                       const struct hold_plan *plan, struct hold **out)
{
    struct hold *hold = mmap(NULL, size_of(plan->procs), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (hold == MAP_FAILED)
        return -ENOMEM;
    hold->config = *config;
    hold->target = cli->plan.target;
    hold->procs = plan->procs;
    hold->timeout_ns = cli->plan.timeout_ns;
    hold->request = config->ask ? requests_at(cli->requests, 0) : NULL;
    for (unsigned i = 0; i < plan->procs; i++)
        hold_counts_init(&hold->shares[i].counts);
    int err = take_sources(hold, plan->sources, cli);
    if (err)
        munmap(hold, size_of(plan->procs));
    else
        *out = hold;
    return err;
}

static int hold_with(const struct hold_config *config, struct cli *cli,
                     const struct hold_plan *plan)
{
    struct hold_probe probe = {.result = mode_result(cli)};
    int status = EXIT_INVALID;
    if (!probe.result)
        return status;
    if (make_shared(config, cli, plan, &probe.hold)) {
        (void)cli_fail("out of memory");
    } else {
        status = measure(&probe, cli);
        if (plan->sources > 0)
            free((void *)(uintptr_t)probe.hold->sources); /* made by take_sources() */
        munmap(probe.hold, size_of(plan->procs));
    }
    result_free(probe.result);
    return status;
}

static int hold_main(const struct mode *mode, int argc, char **argv)
{
    struct hold_config config = {.connections = 10000, .rate = 50000, .probe = 100};
    struct cli cli;
    char why[256];
    int status = cli_parse(mode, argc, argv, options, &config, &cli);
    if (status >= 0)
        return status;
    struct hold_wish wish = {
        .connections = (uint64_t)config.connections,
        .procs = (unsigned)config.procs,
        .descriptors = descriptors_spare(),
        .procs_max = SQUAD_MAX,
        .source_count = cli.plan.source_count,
        .tcp = !pf_address_is_unix(&cli.plan.target),
        .loopback = spread_is_loopback(&cli.plan.target),
    };
    struct hold_plan plan;
    spread_read(&wish.ports);
    status = mode_refuse_repeat(&cli);
    if (status < 0 && config.ask && !requests_at(cli.requests, 0)->fixed)
        status = cli_fail("--ask: the request must be without placeholders");
    if (status < 0 && hold_plan_make(&wish, &plan, why, sizeof why)) {
        (void)cli_fail("-c %" PRId64 ": %s", config.connections, why);
        status = EXIT_INVALID;
    }
    if (status < 0)
        status = hold_with(&config, &cli, &plan);
    cli_free(&cli);
    return status;
}

const struct mode mode_hold = {
    .name = "hold",
    .usage = "-c N [options] URL",
    .help = "Hold idle connections, and say what each costs and how the server answers "
            "meanwhile.",
    .main = hold_main,
    .without = (const char *const[]){"from", "stages", "think", "repeat", "vs", NULL},
};
