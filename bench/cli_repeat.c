/*
 * cli_repeat.c - one run, or several: the unit of statistics is the run.
 *
 * Two servers take turns, A B B A A B ..., so that what drifts meanwhile, a clock rate or
 * a neighbour, falls on both.
 *
 * What is reported is A's last run that reached the server, but it ends as badly as the
 * worst of all, and a goal that one of A's missed is missed. A run that cannot be made ends
 * the series; what was measured before is reported.
 */
#include "bench/cli_internal.h"

#include "bench/compare.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_once(struct cli *cli, const struct plan *plan, struct result *result)
{
    int err = cli_set_environment(cli, result);
    if (err)
        return err;
    err = run_plan(plan, &cli->watcher, cli->progress, result);
    if (err == 0 || err == -EINTR || err == -ECHILD)
        server_side_end(cli->server, &result->server);
    return err;
}

static struct result_run line_of(const struct result *result, char side)
{
    struct result_run run = compare_as_run(result);
    run.side = side;
    return run;
}

/* The n-th of A B B A A B B A ... */
static char side_of(const struct cli *cli, unsigned n)
{
    return cli->url_b && (n + 1) / 2 % 2 == 1 ? 'B' : 'A';
}

/* What the runs have come to. */
struct outcome {
    int exit_code;
    char why[sizeof((struct result *)0)->exit_why + sizeof "run 4294967295 (B): "];
    struct result_slo slos[RESULT_SLOS_MAX];
    size_t slo_count;
};

static void take_in(struct outcome *outcome, struct result *result, char side, unsigned run)
{
    bool other = side == 'B';
    cli_set_ending(result);
    /* The goals are A's: B may be the slow one that it is compared with. */
    if (cli_badness(result->exit_code) > cli_badness(outcome->exit_code) &&
        !(other && result->exit_code == EXIT_SLO)) {
        outcome->exit_code = result->exit_code;
        snprintf(outcome->why, sizeof outcome->why, "run %u%s: %s", run,
                 other ? " (B)" : "", result->exit_why);
    }
    if (other)
        return;
    for (size_t i = 0; i < result->slo_count; i++)
        if (i >= outcome->slo_count || outcome->slos[i].pass)
            outcome->slos[i] = result->slos[i];
    outcome->slo_count = result->slo_count;
}

static void hand_out(const struct outcome *outcome, struct result *result)
{
    if (outcome->exit_code != EXIT_RUN_OK)
        result_set_exit(result, outcome->exit_code, "%s", outcome->why);
    memcpy(result->slos, outcome->slos, sizeof result->slos);
    result->slo_count = outcome->slo_count;
}

/* One run into a result of its own, which is NULL if there is none. */
static int run_side(struct cli *cli, char side, struct result **out)
{
    *out = NULL;
    struct cli other = *cli;
    struct result *result = result_new();
    if (!result)
        return -ENOMEM;
    if (side == 'B')
        other.server = cli->server_b;
    other.watcher.arg = &other;
    int err = run_once(&other, side == 'B' ? &cli->plan_b : &cli->plan, result);
    if (err && err != -EINTR && err != -ECHILD) {
        result_free(result);
        return err;
    }
    cli_judge(cli, result);
    *out = result;
    return err;
}

/* The later one, but rather one of which there is something to tell. */
static void keep_better(struct result **kept, struct result *result)
{
    if (*kept && (!result || result->totals.opened == 0)) {
        result_free(result);
        return;
    }
    result_free(*kept);
    *kept = result;
}

static int run_all(struct cli *cli, struct result_run *runs, unsigned count,
                   struct result **last)
{
    struct outcome outcome = {.exit_code = EXIT_RUN_OK};
    unsigned done = 0;
    int err = 0;
    while (done < count && !err) {
        char side = side_of(cli, done);
        struct result *result;
        err = run_side(cli, side, &result);
        if (!err) {
            runs[done++] = line_of(result, side);
            take_in(&outcome, result, side, done);
        }
        if (side == 'A')
            keep_better(last, result);
        else
            result_free(result);
        if (!err && cli->progress != RUN_SILENT)
            fprintf(stderr, "run %u of %u: %c  %.0f/s\n", done, count, side,
                    runs[done - 1].rate_ok);
    }
    if (*last) {
        if (done > 0)
            hand_out(&outcome, *last);
        (*last)->runs = runs;
        (*last)->run_count = done;
        if (cli->url_b && !((*last)->plan.vs = strdup(cli->url_b)) && !err)
            err = -ENOMEM;
    }
    return err;
}

int cli_run(struct cli *cli, struct result **result)
{
    unsigned count = cli->repeat * (cli->url_b ? 2 : 1);
    if (count == 1) {
        *result = result_new();
        return *result ? run_once(cli, &cli->plan, *result) : -ENOMEM;
    }
    *result = NULL;
    struct result_run *runs = calloc(count, sizeof *runs);
    int err = runs ? run_all(cli, runs, count, result) : -ENOMEM;
    if (!*result)
        free(runs);
    return err;
}
