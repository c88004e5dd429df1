/*
 * search.c - the highest rate at which a server holds its goals, with the curve that leads
 * there. search_policy.h says which rate comes next; here a trial is run and judged:
 *
 *     an open loop at the rate, --settle excluded, for --trial (or --confirm); given up
 *     when its backlog grows three rows running; then --rest
 *
 * It passes if all goals hold, 99 % of what was planned was answered, and the measurement
 * is not INVALID. One that is SUSPECT may pass: a generator that was late can only have
 * made the latencies worse.
 *
 * A trial lasts longer if its goals need more samples than it would have; where that would
 * take too long, or nothing is answered, the search ends without an answer.
 *
 * The report is the last trial's, with all trials in result->search.
 */
#include "bench/cli_internal.h"

#include "bench/figure.h"
#include "bench/interrupt.h"
#include "bench/mode.h"
#include "bench/search_policy.h"
#include "bench/slo.h"
#include "bench/steady.h"
#include "bench/watch.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct search_config {
    int64_t probe_ns, trial_ns, confirm_ns, settle_ns, rest_ns;
};

#define DURATION_OF(field)                                                                 \
    .type = PF_OPTION_DURATION, .at = offsetof(struct search_config, field)

static const struct pf_option options[] = {
    {.name = "probe",
     DURATION_OF(probe_ns),
     .min = 10 * PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "closed loop at first, for a rate to begin from (3s)"},
    {.name = "trial",
     DURATION_OF(trial_ns),
     .min = 10 * PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "of each rate that is tried (5s)"},
    {.name = "confirm",
     DURATION_OF(confirm_ns),
     .min = 10 * PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "of each of the two trials of the answer (15s)"},
    {.name = "settle",
     DURATION_OF(settle_ns),
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "at the begin of each, not counted (1s)"},
    {.name = "rest",
     DURATION_OF(rest_ns),
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "between them (1s)"},
    {0},
};

struct search {
    struct search_config config;
    struct cli *cli;
    struct search_policy policy;
    struct result_search *found; /* until it is the result's */
    struct result *result;       /* of the last trial; NULL: none yet */
    uint64_t samples;            /* that the goals need of each trial */
    /* of the trial at hand */
    struct search_backlog backlog;
    bool backlog_grew;
    unsigned unanswered; /* trials on end */
    /* why it was given up; EXIT_RUN_OK: it was not */
    enum exit_status ending;
    char why[128];
};

/* ---- one trial ------------------------------------------------------------------- */

static bool search_row(void *arg, const struct result_row *row)
{
    struct search *search = arg;
    search->backlog_grew =
        search_backlog_grows(&search->backlog, row->backlog, search->policy.rate);
    return search->backlog_grew;
}

/* Run what the plan says, and make its result the last one. Returns what run_plan() does.
 */
static int run_once(struct search *search, int64_t settle_ns, int64_t duration_ns)
{
    struct cli *cli = search->cli;
    struct result *result = mode_result(cli);
    struct watch watch;
    struct run_watcher mine = {.row = search_row, .arg = search}, both;
    if (!result)
        return -ENOMEM;
    cli->plan.warmup_ns = settle_ns;
    cli->plan.duration_ns = duration_ns;
    cli->plan.requests = 0;
    if (search->policy.phase == SEARCH_PROBE)
        steady_close(&cli->plan);
    else
        steady_set(&cli->plan, search->policy.rate);
    search->backlog = (struct search_backlog){0};
    search->backlog_grew = false;
    watch_join(&watch, &cli->watcher, &mine, &both);
    int err = run_plan(&cli->plan, &both, RUN_SILENT, result);
    if (err && err != -EINTR && err != -ECHILD) {
        result_free(result);
        return err;
    }
    server_side_end(cli->server, &result->server);
    cli_judge(cli, result);
    result_free(search->result);
    search->result = result;
    return err;
}

static bool has_passed(const struct search *search, struct result_trial *trial)
{
    const struct result *result = search->result;
    struct search_outcome outcome = {.planned = result->totals.planned,
                                     .ok = result->totals.ok,
                                     .backlog_grew = search->backlog_grew};
    char missed[128], invalid[RESULT_REASON_MAX];
    for (size_t i = 0; i < result->slo_count && !outcome.slo; i++) {
        const struct result_slo *slo = &result->slos[i];
        if (slo->pass)
            continue;
        snprintf(missed, sizeof missed, "%s (was %s)", slo->expr, slo->actual_text);
        outcome.slo = missed;
    }
    if (result->validity.verdict == RESULT_INVALID) {
        const char *why = result->validity.reason_count ? result->validity.reasons[0]
                                                        : "the measurement is invalid";
        /* What it says, without what to do: there is a line for both. */
        snprintf(invalid, sizeof invalid, "%.*s", (int)strcspn(why, ";"), why);
        outcome.invalid = invalid;
    }
    return search_judge(&outcome, trial->why, sizeof trial->why);
}

static void tell(const struct search *search, const struct result_trial *trial)
{
    char rate[FIGURE_MAX], achieved[FIGURE_MAX], p99[FIGURE_MAX];
    if (search->cli->progress == RUN_SILENT)
        return;
    fprintf(stderr, "%-8s %10s/s  %10s/s ok  p99 %8s  %s%s%s\n",
            search_phase_name(search->policy.phase), figure_rate(trial->rate, rate),
            figure_rate(trial->achieved, achieved), figure_time(trial->p99_ns, p99),
            trial->pass ? "pass" : "FAIL", trial->why[0] ? ": " : "", trial->why);
}

static void give_up(struct search *search, enum exit_status ending)
{
    search->ending = ending;
    search_give_up(&search->policy);
}

/* A server that is gone would fail each rate, down to the least. */
static void see_whether_anybody_is_there(struct search *search)
{
    const struct result *result = search->result;
    char rate[FIGURE_MAX];
    uint64_t answers = result->totals.wrong;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        answers += result->status[i];
    search->unanswered = answers > 0 ? 0 : search->unanswered + 1;
    if (answers > 0 ||
        (result->totals.opened > 0 && search->unanswered < SEARCH_UNANSWERED_MOST))
        return;
    snprintf(search->why, sizeof search->why, "no answer: nothing was answered at %s/s",
             figure_rate(search->found->trials[search->found->trial_count - 1].rate, rate));
    give_up(search, EXIT_NO_SUCCESS);
}

static void take_down(struct search *search)
{
    const struct result *result = search->result;
    struct result_trial *trial = &search->found->trials[search->found->trial_count++];
    const struct result_latency *latency = result_main_latency(result);
    const struct hdr *hdr = latency ? latency->hdr : NULL;
    bool any = hdr && hdr->count > 0;
    *trial = (struct result_trial){
        .rate = search->policy.rate,
        .achieved = result_rate(result),
        .p50_ns = any ? hdr_percentile(hdr, 50 * HDR_PERCENT) : RESULT_UNKNOWN,
        .p99_ns = any ? hdr_percentile(hdr, 99 * HDR_PERCENT) : RESULT_UNKNOWN,
        .confirm = search->policy.phase == SEARCH_CONFIRM,
    };
    trial->pass = has_passed(search, trial);
    tell(search, trial);
    search_tried(&search->policy, trial->pass);
    see_whether_anybody_is_there(search);
}

/* ---- all of them ----------------------------------------------------------------- */

static int rest(const struct search *search)
{
    struct timespec time = {search->config.rest_ns / PF_SECOND,
                            search->config.rest_ns % PF_SECOND};
    nanosleep(&time, NULL); /* cut short by the signal */
    return interrupt_is_noted() ? -EINTR : 0;
}

static int probe(struct search *search)
{
    char rate[FIGURE_MAX];
    int err = run_once(search, search->config.settle_ns, search->config.probe_ns);
    if (err)
        return err;
    double reached = result_rate(search->result);
    if (search->cli->progress != RUN_SILENT)
        fprintf(stderr, "probe    closed loop: %s/s\n", figure_rate(reached, rate));
    search_probed(&search->policy, reached);
    return 0;
}

static void say_too_few(struct search *search, int64_t longest_ns)
{
    char rate[FIGURE_MAX], time[FIGURE_MAX];
    bool none = isnan(search->policy.pass_max) && search->found->trial_count > 0;
    snprintf(search->why, sizeof search->why,
             "%s; %s of %s/s have not the %" PRIu64 " samples of the goals",
             none ? "no rate held the SLO" : "no answer: too noisy",
             figure_time(longest_ns, time), figure_rate(search->policy.rate, rate),
             search->samples);
}

static int try_next(struct search *search)
{
    const struct search_config *config = &search->config;
    bool confirm = search->policy.phase == SEARCH_CONFIRM;
    int64_t asked_ns = confirm ? config->confirm_ns : config->trial_ns;
    int64_t duration_ns = search_duration(&search->policy, asked_ns, search->samples);
    if (duration_ns < 0) {
        say_too_few(search, asked_ns * SEARCH_LONGER_MOST);
        give_up(search, EXIT_SLO);
        return 0;
    }
    int err = rest(search);
    if (!err)
        err = run_once(search, config->settle_ns, duration_ns);
    if (err)
        return err;
    take_down(search);
    return 0;
}

/* Returns 0, or what run_plan() answers. */
static int search_all(struct search *search)
{
    search_begin(&search->policy);
    int err = probe(search);
    while (!err && search->policy.phase != SEARCH_DONE)
        err = try_next(search);
    /* Of one that was interrupted: what was known by then, confirmed or not. */
    search->found->pass_max = search->policy.pass_max;
    search->found->fail_min = search->policy.fail_min;
    return err;
}

static int finish(struct search *search, int err)
{
    struct result *result = search->result;
    bool none = isnan(search->found->pass_max) && search->found->trial_count > 0;
    if (search->found->trial_count > 0 || !err) {
        result->search = search->found;
        search->found = NULL;
    }
    if (search->ending != EXIT_RUN_OK)
        return mode_end(search->cli, result, err, search->ending, search->why);
    return mode_end(search->cli, result, err, none ? EXIT_SLO : EXIT_RUN_OK,
                    "no rate held the SLO");
}

static int measure(struct search *search)
{
    search->found = calloc(1, sizeof *search->found);
    if (search->found)
        search->found->trials = calloc(SEARCH_TRIALS_MAX, sizeof *search->found->trials);
    int status = EXIT_INVALID;
    if (!search->found || !search->found->trials) {
        (void)cli_fail("out of memory");
    } else {
        int err = search_all(search);
        if (search->result && (!err || err == -EINTR || err == -ECHILD))
            status = finish(search, err);
        else
            (void)cli_fail("cannot run: %s", strerror(-err));
    }
    if (search->found)
        free(search->found->trials);
    free(search->found);
    result_free(search->result);
    return status;
}

static int search_main(const struct mode *mode, int argc, char **argv)
{
    struct cli cli;
    struct search search = {.config = {.probe_ns = 3 * PF_SECOND,
                                       .trial_ns = 5 * PF_SECOND,
                                       .confirm_ns = 15 * PF_SECOND,
                                       .settle_ns = PF_SECOND,
                                       .rest_ns = PF_SECOND},
                            .cli = &cli};
    int status = cli_parse(mode, argc, argv, options, &search.config, &cli);
    if (status >= 0)
        return status;
    status = mode_refuse_repeat(&cli);
    if (status < 0 && cli.slo_count == 0)
        status = cli_fail("search needs --slo GOALS, such as --slo 'p99<5ms,err<0.1%%'");
    for (size_t i = 0; i < cli.slo_count; i++)
        if (slo_samples(cli.slos[i].expr) > search.samples)
            search.samples = slo_samples(cli.slos[i].expr);
    if (status < 0)
        status = measure(&search);
    cli_free(&cli);
    return status;
}

const struct mode mode_search = {
    .name = "search",
    .usage = "--slo GOALS [options] URL",
    .help = "Find the highest rate at which a server holds its goals.",
    .main = search_main,
    .without = (const char *const[]){"from", "rate", "duration", "count", "stages",
                                     "warmup", "repeat", "vs", NULL},
};
