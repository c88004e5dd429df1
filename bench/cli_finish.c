/*
 * cli_finish.c - what is done with a result: judged, printed, written.
 */
#include "bench/cli_internal.h"

#include "bench/report_files.h"
#include "bench/slo.h"
#include "bench/verdict.h"
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- how it ends ----------------------------------------------------------------- */

#define set(result, code, ...) (result_set_exit(result, (int)(code), __VA_ARGS__), true)

static bool any_shortage(const struct result *result)
{
    for (size_t i = 0; i < result->error_count; i++)
        if (result_is_shortage(&result->errors[i]))
            return true;
    return false;
}

static bool is_fruitless(struct result *result)
{
    const struct result_totals *totals = &result->totals;
    /* Nobody was even asked: the verdict says what ran out. */
    if (totals->opened == 0 && any_shortage(result))
        return false;
    /* Wrong answers are worth saying more of. */
    if (totals->ok > 0 || totals->wrong > 0)
        return false;
    /* That they are held is worth something, if nobody was asked. */
    if (result->hold)
        return totals->sent > 0 && set(result, EXIT_NO_SUCCESS,
                                       "%" PRIu64 " of %" PRIu64 " are held, but no probe "
                                       "succeeded",
                                       result->hold->held, result->hold->asked);
    if (totals->opened == 0)
        return set(result, EXIT_NO_SUCCESS, "cannot connect");
    if (totals->planned == 0 && totals->sent == 0)
        return set(result, EXIT_NO_SUCCESS, "nothing was due: raise the rate or the time");
    return set(result, EXIT_NO_SUCCESS, "nothing succeeded");
}

static bool is_invalid(struct result *result)
{
    const struct result_validity *validity = &result->validity;
    if (validity->verdict != RESULT_INVALID)
        return false;
    /* What it says, without what to do: that stands at the top. */
    const char *why = validity->reason_count ? validity->reasons[0] : "";
    return set(result, EXIT_INVALID, "not a valid measurement: %.*s",
               (int)strcspn(why, ";"), why);
}

static bool is_lossy(struct result *result)
{
    const struct result_totals *totals = &result->totals;
    uint64_t lost = result_lost(result);
    if (totals->wrong > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " wrong answers", totals->wrong);
    if (lost > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " lost", lost);
    if (result_refused(result) > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " connects failed",
                   result_refused(result));
    if (result_unasked(result) > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " times %s", result_unasked(result),
                   tally_reason_name(TALLY_UNASKED));
    if (result->plan.requests > 0 && totals->unsent > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " requests were not sent", totals->unsent);
    return false;
}

static bool misses_goals(struct result *result)
{
    unsigned failed = 0;
    for (size_t i = 0; i < result->slo_count; i++)
        failed += !result->slos[i].pass;
    if (failed == 0)
        return false;
    return set(result, EXIT_SLO, "%u of %zu SLOs failed", failed, result->slo_count);
}

unsigned cli_badness(int exit_code)
{
    static const int endings[] = {EXIT_RUN_OK,  EXIT_SLO,  EXIT_INTERRUPTED,
                                  EXIT_INVALID, EXIT_LOST, EXIT_NO_SUCCESS};
    for (unsigned i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (endings[i] == exit_code)
            return i;
    return 0;
}

void cli_set_ending(struct result *result)
{
    if (result->exit_code != EXIT_RUN_OK)
        return;
    (void)(is_fruitless(result) || is_invalid(result) || is_lossy(result) ||
           misses_goals(result));
}

/* Fewer CPUs for both together than they have threads to run. */
static bool shares_cpus(const struct cli *cli, const struct result *result)
{
    cpu_set_t own, theirs, both;
    int64_t pid = server_side_pid(cli->server);
    if (pid <= 0 || sched_getaffinity(0, sizeof own, &own) != 0 ||
        sched_getaffinity((pid_t)pid, sizeof theirs, &theirs) != 0)
        return false;
    CPU_AND(&both, &own, &theirs);
    if (CPU_COUNT(&both) == 0)
        return false;
    CPU_OR(&both, &own, &theirs);
    return CPU_COUNT(&both) < (int)(result->validity.loops + result->server.worker_count);
}

void cli_judge(const struct cli *cli, struct result *result)
{
    memcpy(result->slos, cli->slos, sizeof result->slos);
    result->slo_count = cli->slo_count;
    (void)slo_judge(result);
    struct verdict_facts facts = {.stall_ns = result->validity.stall_ns,
                                  .shares_cpus = shares_cpus(cli, result)};
    verdict_give(result, &facts);
}

/* ---- files ----------------------------------------------------------------------- */

static struct report_files files_of(const struct cli *cli)
{
    return (struct report_files){.json = cli->json,
                                 .html = cli->html,
                                 .csv = cli->csv,
                                 .events = cli->events,
                                 .hlog = cli->hlog,
                                 .hgrm = cli->hgrm,
                                 .baseline = cli->baseline};
}

/* ---- all of it ------------------------------------------------------------------- */

/* Nothing was measured: why? */
static void say_unreachable(const struct cli *cli, const struct result *result)
{
    char address[PF_ADDRESS_TEXT_MAX];
    const char *why = "nobody answered";
    for (size_t i = result->error_count; i-- > 0;)
        if (result->errors[i].phase == TALLY_CONNECT && result->errors[i].reason < 1000)
            why = strerror(result->errors[i].reason);
    (void)cli_fail("cannot connect to %s: %s",
                   pf_address_format(&cli->plan.target, address), why);
}

/* The last measurement reached nobody; but others before it, or beside it? */
static bool has_more_to_tell(const struct result *result)
{
    return result->run_count > 0 || result->adversary_count > 0 ||
           (result->search && result->search->trial_count > 0);
}

/* To standard error if a document goes to standard output: another program reads it. */
static int print_summary(const struct cli *cli, const struct report_files *files,
                         const struct result *result)
{
    bool taken = report_files_to_stdout(files);
    FILE *to = taken ? stderr : stdout;
    int err = report_text(result, &cli->style, to);
    if (!err && fflush(to) != 0)
        err = -errno;
    err = report_files_why(to, err);
    return err ? cli_fail("cannot write the summary: %s", strerror(-err)) : 0;
}

/* The rows are in their file by now: see events.h. */
static int write_files(struct cli *cli, struct report_files *files,
                       const struct result *result)
{
    int err = cli->rows ? events_end(cli->rows, result) : 0;
    if (err)
        err = cli_fail("--events %s: %s", cli->events, strerror(-err));
    files->events = NULL;
    return err | report_files_write(files, result);
}

/* A command's first argument is its own name: the program's stands before it. */
int cli_set_environment(const struct cli *cli, struct result *result)
{
    char **argv = calloc((size_t)cli->argc + 1, sizeof *argv);
    if (!argv)
        return -ENOMEM;
    argv[0] = program_invocation_name;
    int named = strcmp(cli->argv[0], cli->mode->name) == 0;
    memcpy(argv + named, cli->argv, (size_t)cli->argc * sizeof *argv);
    int err = result_set_environment(result, cli->argc + named, argv);
    free(argv);
    return err;
}

int cli_finish(struct cli *cli, struct result *result)
{
    if (!result->environment.kernel)
        (void)cli_set_environment(cli, result); /* unknown then */
    if (result->server.source == RESULT_SOURCE_NONE)
        server_side_end(cli->server, &result->server);
    if (result->run_count == 0) /* several were judged one by one */
        cli_judge(cli, result);
    cli_set_ending(result);
    struct report_files files = files_of(cli);
    /* First, so that the summary's last line tells how it ends. */
    int err = write_files(cli, &files, result);
    if (err && result->exit_code == EXIT_RUN_OK)
        result_set_exit(result, err, "a file could not be written");
    bool unreachable = result->totals.opened == 0 && result->exit_code == EXIT_NO_SUCCESS;
    if (unreachable)
        say_unreachable(cli, result);
    if (!unreachable || has_more_to_tell(result))
        err |= print_summary(cli, &files, result);
    return result->exit_code ? result->exit_code : err;
}
