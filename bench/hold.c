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
#include "bench/cli.h"

#include "bench/footprint.h"
#include "bench/hold_plan.h"
#include "bench/hold_pool.h"
#include "bench/local.h"
#include "bench/mode.h"
#include "bench/quantity.h"
#include "bench/squad.h"
#include "bench/steady.h"
#include "bench/watch.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Connections of the probe: as many as its own load hardly needs. */
#define PROBE_CONNECTIONS 8
/* Fewer than that, and the growth of memory says nothing about them. */
#define MEASURABLE 1000

struct hold_config {
    int64_t connections, procs;
    double rate, probe;
    bool ask;
};

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
     .help = "ask once on each, so that it is idle between requests; else it never says a "
             "word"},
    {.name = "procs",
     .type = PF_OPTION_INT,
     .at = offsetof(struct hold_config, procs),
     .min = 1,
     .max = SQUAD_MAX,
     .argument = "N",
     .help = "processes that hold them (as many as the limit of descriptors asks for)"},
    {0},
};

/* What a member leaves. */
struct share {
    struct hold_counts counts;
    int64_t user_before, user_after; /* its own memory, bytes; -1: unknown */
};

/* In shared memory: read by all, written by each in its own share. */
struct hold {
    struct hold_config config;
    struct pf_address target;
    const struct pf_address *sources; /* before the fork: in all processes */
    unsigned source_count;
    unsigned procs;
    int64_t timeout_ns;
    const struct request *request; /* to be asked once; NULL: none */
    struct share shares[];
};

/* What is only of the program. */
struct probe {
    struct hold *hold;
    struct result *result;
    int64_t began_ns; /* of the measurement; 0: it has not begun */
    int64_t opening_ns;
    int64_t kernel_before, server_before;
};

/* ---- in a member's process ------------------------------------------------------- */

static struct {
    struct share *share;
    struct squad_member *me;
    struct hold_pool *pool;
} member;

static int member_on_opened(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    member.share->user_after = footprint_user();
    squad_say_ready(member.me);
    return 0;
}

static int member_begin(void *arg, struct squad_member *me, pf_loop *loop)
{
    const struct hold *hold = arg;
    unsigned first, count;
    member.me = me;
    member.share = &((struct hold *)arg)->shares[me->index];
    (void)hold_descriptors(); /* raises the limit */
    hold_plan_sources(hold->source_count, hold->procs, me->index, &first, &count);
    struct hold_options wanted = {
        .target = &hold->target,
        .sources = hold->sources + first,
        .source_count = count,
        .connections = (unsigned)hold_plan_connections((uint64_t)hold->config.connections,
                                                       hold->procs, me->index),
        .rate = hold->config.rate / hold->procs,
        .timeout_ns = hold->timeout_ns,
        .request = hold->request ? hold->request->bytes : NULL,
        .request_len = hold->request ? hold->request->len : 0,
        .on_opened = member_on_opened,
    };
    member.share->user_before = footprint_user();
    return hold_pool_new(loop, &wanted, &member.share->counts, &member.pool);
}

static void member_end(void *arg, struct squad_member *me, pf_loop *loop)
{
    (void)arg, (void)me, (void)loop;
    hold_pool_free(member.pool);
}

/* ---- opening --------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

static uint64_t sum(const struct hold *hold, size_t counter)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < hold->procs; i++)
        all +=
            tally_read((const uint64_t *)((const char *)&hold->shares[i].counts + counter));
    return all;
}
#define SUM(hold, counter) sum(hold, offsetof(struct hold_counts, counter))

/* Until each connection has been tried. Returns 0, -EINTR, or -ECHILD. */
static int wait_until_opened(const struct hold *hold, struct squad *squad, bool progress)
{
    /* No loop is there yet that could take the signal. */
    struct sigaction action = {.sa_handler = on_interrupt}, before;
    sigaction(SIGINT, &action, &before);
    int ready = 0;
    while (ready >= 0 && (unsigned)ready < hold->procs && !interrupted) {
        ready = squad_ready(squad, 1000);
        if (progress)
            fprintf(stderr,
                    "opening  %" PRIu64 " of %" PRId64 " held  %" PRIu64 " failed\n",
                    SUM(hold, held), hold->config.connections, SUM(hold, failed));
    }
    sigaction(SIGINT, &before, NULL);
    if (interrupted)
        return -EINTR;
    return ready < 0 ? ready : 0;
}

/* ---- what came of it ------------------------------------------------------------- */

static int probe_begin(void *arg, pf_loop *loop, int64_t began_ns)
{
    (void)loop;
    ((struct probe *)arg)->began_ns = began_ns;
    return 0;
}

static void add_error(struct result *result, const struct tally_error *error,
                      int64_t began_ns)
{
    struct tally_error *at = result->errors, *end = at + result->error_count;
    while (at < end && (at->phase != error->phase || at->when != error->when ||
                        at->reason != error->reason))
        at++;
    int64_t first_ns = error->first_ns - began_ns;
    if (at < end) {
        at->count += error->count;
        if (first_ns < at->first_ns)
            at->first_ns = first_ns;
    } else if (result->error_count < TALLY_ERRORS_MAX) {
        *at = *error;
        at->first_ns = first_ns;
        result->error_count++;
    } else {
        result->errors_beyond += error->count;
    }
}

/* Half of the kernel's memory is the server's, if it runs on this machine. */
static void fill_in_bytes(const struct probe *probe, struct result_hold *out,
                          int64_t server_after)
{
    const struct hold *hold = probe->hold;
    int64_t before = 0, after = 0;
    out->user_bytes = out->kernel_bytes = NAN;
    out->server_user_bytes = out->server_kernel_bytes = NAN;
    for (unsigned i = 0; i < hold->procs; i++) {
        if (hold->shares[i].user_before < 0 || hold->shares[i].user_after < 0)
            before = -1;
        if (before < 0)
            break;
        before += hold->shares[i].user_before;
        after += hold->shares[i].user_after;
    }
    if (out->held < MEASURABLE)
        return;
    out->user_bytes = footprint_each(before, after, out->held);
    out->server_user_bytes = footprint_each(probe->server_before, server_after, out->held);
    double kernel = footprint_each(probe->kernel_before, footprint_kernel(), out->held);
    bool is_here = local_is_ours(&hold->target);
    out->kernel_bytes = is_here ? kernel / 2 : kernel;
    if (is_here)
        out->server_kernel_bytes = kernel / 2;
}

static int fill_in(const struct probe *probe, int64_t server_after)
{
    const struct hold *hold = probe->hold;
    struct result *result = probe->result;
    struct result_hold *out = calloc(1, sizeof *out);
    struct hdr *connect = result->latency[RESULT_CONNECT].hdr;
    if (out && !connect && (connect = calloc(1, sizeof *connect))) {
        hdr_init(connect);
        result->latency[RESULT_CONNECT].hdr = connect;
    }
    if (!out || !connect) {
        free(out);
        return -ENOMEM;
    }
    result->hold = out;
    out->asked = (uint64_t)hold->config.connections;
    out->held = SUM(hold, held);
    out->lost = SUM(hold, lost);
    for (unsigned i = 0; i < hold->procs; i++) {
        const struct hold_counts *counts = &hold->shares[i].counts;
        if (counts->opened_ns - probe->opening_ns > out->connect_ns)
            out->connect_ns = counts->opened_ns - probe->opening_ns;
        hdr_merge(connect, &counts->connect);
        for (unsigned e = 0; e < counts->error_count; e++)
            add_error(result, &counts->errors[e],
                      probe->began_ns ? probe->began_ns : probe->opening_ns);
    }
    fill_in_bytes(probe, out, server_after);
    return 0;
}

/* Of what stands in the result: none held is nothing reached, fewer than asked for is a
 * loss, unless it was for want of descriptors or ports here. */
static enum exit_status judge(const struct result *result)
{
    const struct result_hold *hold = result->hold;
    if (hold->held == hold->asked)
        return EXIT_RUN_OK;
    if (hold->held == 0 && hold->lost == 0)
        return EXIT_NO_SUCCESS;
    for (size_t i = 0; i < result->error_count; i++) {
        int reason = result->errors[i].reason;
        if (reason == EMFILE || reason == ENFILE || reason == EADDRNOTAVAIL ||
            reason == ENOMEM || reason == ENOBUFS)
            return EXIT_INVALID;
    }
    return EXIT_LOST;
}

/* ---- all of it ------------------------------------------------------------------- */

static int64_t server_memory(struct cli *cli)
{
    struct result_row row = {.server_rss = RESULT_UNKNOWN};
    server_side_sample(cli->server, &row);
    return row.server_rss > 0 ? row.server_rss : -1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

static int run_probe(struct probe *probe, struct cli *cli)
{
    struct plan *plan = &cli->plan;
    struct watch watch;
    struct run_watcher mine = {.begin = probe_begin, .arg = probe};
    struct run_watcher both;
    watch_join(&watch, &cli->watcher, &mine, &both);
    plan->connections =
        PROBE_CONNECTIONS > plan->threads ? PROBE_CONNECTIONS : plan->threads;
    plan->connections_max = plan->connections;
    plan->procs = 1;
    steady_set(plan, probe->hold->config.probe);
    return run_plan(plan, &both, cli->progress, probe->result);
}

static int hold_and_probe(struct probe *probe, struct cli *cli)
{
    struct squad_job job = {member_begin, member_end, probe->hold};
    struct squad *squad;
    server_side_begin(cli->server);
    probe->server_before = server_memory(cli);
    probe->kernel_before = footprint_kernel();
    probe->opening_ns = now_ns();
    int err = squad_start(probe->hold->procs, &job, &squad);
    if (err)
        return err;
    err = wait_until_opened(probe->hold, squad, cli->progress != RUN_SILENT);
    if (!err)
        err = run_probe(probe, cli);
    int filled = 0;
    if (!err || err == -EINTR) {
        filled = fill_in(probe, server_memory(cli));
        /* Before all are closed at once, which costs the server, too. */
        server_side_end(cli->server, &probe->result->server);
    }
    (void)squad_stop(squad); /* they have nothing more to tell */
    return err ? err : filled;
}

static int measure(struct probe *probe, struct cli *cli)
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
    return mode_end(cli, result, err, judge(result), why);
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
    return sizeof(struct hold) + procs * sizeof(struct share);
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
    struct probe probe = {.result = mode_result(cli)};
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
        .descriptors = hold_descriptors(),
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
    .help = "many idle connections: what they cost, and how the server fares under them",
    .main = hold_main,
};
