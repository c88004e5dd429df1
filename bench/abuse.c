/*
 * abuse.c - what do well-behaved clients notice while others do their worst? An honest open
 * loop runs beside adversaries (adversary.h) in a process of their own; the verdict, the
 * latencies and the errors are the honest ones'. Of the adversaries it is told how many the
 * server cut off, and after how long.
 *
 * Only against this machine: a server of somebody else's is refused, whatever the reason.
 * On loopback each kind comes from an address of its own, so that a server's limits by
 * client tell them from the honest ones.
 */
#include "bench/cli.h"

#include "bench/adversary.h"
#include "bench/descriptors.h"
#include "bench/local.h"
#include "bench/mode.h"
#include "bench/spread.h"
#include "bench/squad.h"
#include "bench/steady.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* How long the adversaries have to take their places before the honest ones come. A server
 * that does not even accept them all has the rest queueing. */
#define ABUSE_READY_MS 10000

static pf_option_parse_fn parse_mix;

static const struct pf_option options[] = {
    {.name = "mix",
     .type = PF_OPTION_CUSTOM,
     .parse = parse_mix,
     .at = 0,
     .argument = "KIND:N,...",
     .help = "slowloris, slowread, slowpost, halfopen, idle, garbage; reset:200/s"},
    {0},
};

/* What the adversaries' process shares with this one. */
struct abuse {
    struct adversary_mix mix;
    struct pf_address target, sources[ADVERSARY_KINDS];
    bool spread;
    const char *authority, *path;
    struct adversary_counts counts;
};

static int parse_mix(const char *value, void *field, char *why, size_t why_len)
{
    return adversary_parse(value, field, why, why_len);
}

/* ---- in the adversaries' process ------------------------------------------------- */

static int member_on_ready(pf_loop *loop, void *arg)
{
    (void)loop;
    squad_say_ready(arg);
    return 0;
}

static struct adversaries *members; /* of that process */

static int member_begin(void *arg, struct squad_member *me, pf_loop *loop)
{
    struct abuse *abuse = arg;
    struct adversary_options wanted = {
        .target = &abuse->target,
        .sources = abuse->spread ? abuse->sources : NULL,
        .authority = abuse->authority,
        .path = abuse->path,
        .mix = abuse->mix,
        .on_ready = member_on_ready,
        .arg = me,
    };
    (void)descriptors_raise();
    return adversaries_new(loop, &wanted, &abuse->counts, &members);
}

static void member_end(void *arg, struct squad_member *me, pf_loop *loop)
{
    (void)arg, (void)me, (void)loop;
    adversaries_free(members);
}

/* ---- here ------------------------------------------------------------------------ */

static int refuse_what_cannot_be(const struct abuse *abuse, const struct cli *cli)
{
    char text[PF_ADDRESS_TEXT_MAX];
    if (!local_is_ours(&cli->plan.target))
        return cli_fail("%s: %s is not an address of this machine; abuse is only for a "
                        "server of your own, on loopback or an interface here",
                        cli->plan.url, pf_address_format(&cli->plan.target, text));
    unsigned wanted = adversary_descriptors(&abuse->mix), most = descriptors_spare();
    if (wanted == 0)
        return cli_fail("abuse needs --mix KIND:N,... such as --mix slowloris:500,idle:1k");
    if (wanted > most)
        return cli_fail("--mix: %u connections, and a process may have %u; take fewer, or "
                        "raise the hard limit (ulimit -n)",
                        wanted, most);
    return -1;
}

/* Shared, for what comes back in it. NULL without memory. */
static struct abuse *make_shared(const struct adversary_mix *mix)
{
    struct abuse *abuse = mmap(NULL, sizeof *abuse, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (abuse == MAP_FAILED)
        return NULL;
    abuse->mix = *mix;
    adversary_counts_init(&abuse->counts);
    return abuse;
}

/* How long the cut ones stood; the adversaries still run. */
static void fill_in_times(const struct hdr *live, struct hdr *copy,
                          struct result_adversary *out)
{
    hdr_copy(copy, live);
    out->cut_p50_ns = copy->count ? hdr_percentile(copy, 50 * HDR_PERCENT) : -1;
    out->cut_max_ns = copy->count ? copy->max : -1;
}

static int fill_in(const struct abuse *abuse, struct result *result)
{
    struct hdr *copy = malloc(sizeof *copy);
    result->adversaries = calloc(ADVERSARY_KINDS, sizeof *result->adversaries);
    if (!result->adversaries || !copy) {
        free(copy);
        return -ENOMEM;
    }
    const struct adversary_counts *counts = &abuse->counts;
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++) {
        if (abuse->mix.count[kind] == 0)
            continue;
        struct result_adversary *out = &result->adversaries[result->adversary_count++];
        snprintf(out->kind, sizeof out->kind, "%s", adversary_name(kind));
        out->asked = abuse->mix.count[kind];
        out->opened = tally_read(&counts->opened[kind]);
        out->cut = tally_read(&counts->cut[kind]);
        out->open = tally_read(&counts->open[kind]);
        fill_in_times(&counts->cut_after[kind], copy, out);
    }
    free(copy);
    return 0;
}

/* The result holds what the honest ones saw. Returns what run_plan() does. */
static int run_beside(struct abuse *abuse, struct cli *cli, struct result *result)
{
    struct squad_job job = {member_begin, member_end, abuse};
    struct squad *squad;
    int err = squad_start(1, &job, &squad);
    if (err)
        return err;
    int ready = squad_ready(squad, ABUSE_READY_MS);
    if (ready < 0)
        err = ready;
    else
        err = run_plan(&cli->plan, &cli->watcher, cli->progress, result);
    int filled = fill_in(abuse, result);
    server_side_end(cli->server, &result->server); /* before all of them are closed */
    unsigned failed = squad_stop(squad);
    if (!err && failed > 0) {
        result->validity.incomplete = true;
        snprintf(result->validity.died, sizeof result->validity.died,
                 "the adversaries' process has failed or stood still");
        err = -ECHILD;
    }
    return err ? err : filled;
}

static int measure(struct abuse *abuse, struct cli *cli, struct result *result)
{
    abuse->target = cli->plan.target;
    abuse->authority = cli->url.authority;
    abuse->path = cli->url.path;
    abuse->spread = spread_is_loopback(&abuse->target);
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++)
        spread_source(kind, &abuse->sources[kind]);
    steady_unless_open(&cli->plan);
    int err = run_beside(abuse, cli, result);
    return mode_end(cli, result, err, EXIT_RUN_OK, NULL);
}

static int abuse_main(const struct mode *mode, int argc, char **argv)
{
    struct adversary_mix mix = {0};
    struct cli cli;
    int status = cli_parse(mode, argc, argv, options, &mix, &cli);
    if (status >= 0)
        return status;
    struct abuse *abuse = make_shared(&mix);
    struct result *result = NULL;
    if (!abuse)
        status = cli_fail("out of memory");
    if (status < 0)
        status = mode_refuse_repeat(&cli);
    if (status < 0)
        status = refuse_what_cannot_be(abuse, &cli);
    if (status < 0) {
        result = mode_result(&cli);
        status = result ? measure(abuse, &cli, result) : EXIT_INVALID;
    }
    result_free(result);
    if (abuse)
        munmap(abuse, sizeof *abuse);
    cli_free(&cli);
    return status;
}

const struct mode mode_abuse = {
    .name = "abuse",
    .usage = "--mix KIND:N,... [options] URL",
    .help =
        "Let slow and broken clients loose on a server of this machine; honest ones judge.",
    .main = abuse_main,
    .without = (const char *const[]){"from", "repeat", "vs", NULL},
};
