/*
 * cli_finish.c - what is done with a result: judged, printed, written.
 */
#include "bench/cli_internal.h"

#include "bench/slo.h"
#include "bench/verdict.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- how it ends ----------------------------------------------------------------- */

static bool set(struct result *result, enum exit_status code, const char *format, ...)
    PF_PRINTF(3, 4);

static bool set(struct result *result, enum exit_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    result->exit_code = code;
    vsnprintf(result->exit_why, sizeof result->exit_why, format, args);
    va_end(args);
    return true;
}

static bool is_fruitless(struct result *result)
{
    const struct result_totals *totals = &result->totals;
    /* Wrong answers are worth saying more of. */
    if (totals->ok > 0 || totals->wrong > 0 || result->hold)
        return false;
    if (totals->opened == 0)
        return set(result, EXIT_NO_SUCCESS, "cannot connect");
    return set(result, EXIT_NO_SUCCESS, "nothing succeeded");
}

static bool is_invalid(struct result *result)
{
    const struct result_validity *validity = &result->validity;
    if (validity->verdict != RESULT_INVALID)
        return false;
    return set(result, EXIT_INVALID, "not a valid measurement: %s",
               validity->reason_count ? validity->reasons[0] : "");
}

static bool is_lossy(struct result *result)
{
    const struct result_totals *totals = &result->totals;
    uint64_t lost = result_lost(result);
    if (totals->wrong > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " wrong answers", totals->wrong);
    if (lost > 0)
        return set(result, EXIT_LOST, "%" PRIu64 " lost", lost);
    if (totals->dropped > 0)
        return set(result, EXIT_LOST,
                   "%" PRIu64 " requests dropped: no connection was idle", totals->dropped);
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

static void set_ending(struct result *result)
{
    if (result->exit_code != EXIT_RUN_OK)
        return;
    (void)(is_fruitless(result) || is_invalid(result) || is_lossy(result) ||
           misses_goals(result));
}

void cli_judge(const struct cli *cli, struct result *result)
{
    memcpy(result->slos, cli->slos, sizeof result->slos);
    result->slo_count = cli->slo_count;
    (void)slo_judge(result);
    struct verdict_facts facts = {.stall_ns = result->validity.stall_ns};
    verdict_give(result, &facts);
}

/* ---- files ----------------------------------------------------------------------- */

typedef int report_fn(const struct result *result, FILE *to);

static int write_file(const char *option, const char *path, report_fn *report,
                      const struct result *result)
{
    if (!path)
        return 0;
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *to = to_stdout ? stdout : fopen(path, "we");
    if (!to)
        return cli_fail("%s %s: %s", option, path, strerror(errno));
    int err = report(result, to);
    if (!err && fflush(to) != 0)
        err = -errno;
    if (!to_stdout && fclose(to) != 0 && !err)
        err = -errno;
    return err ? cli_fail("%s %s: %s", option, path, strerror(-err)) : 0;
}

static int read_baseline(const char *path, struct result **out)
{
    char why[256] = "";
    FILE *from = fopen(path, "re");
    if (!from)
        return cli_fail("--baseline %s: %s", path, strerror(errno));
    int err = report_read_json(from, out, why, sizeof why);
    fclose(from);
    return err ? cli_fail("--baseline %s: %s", path, why[0] ? why : strerror(-err)) : 0;
}

static const struct result *baseline; /* for the one call below */

static int write_page(const struct result *result, FILE *to)
{
    return report_html(result, baseline, to);
}

static int write_html(const struct cli *cli, const struct result *result)
{
    struct result *earlier = NULL;
    int err = cli->html && cli->baseline ? read_baseline(cli->baseline, &earlier) : 0;
    if (err)
        return err;
    baseline = earlier;
    err = write_file("--html", cli->html, write_page, result);
    baseline = NULL;
    result_free(earlier);
    return err;
}

/* All of them, also when one fails. */
static int write_files(const struct cli *cli, const struct result *result)
{
    int err = write_file("-o", cli->json, report_json, result);
    err |= write_file("--csv", cli->csv, report_csv, result);
    err |= write_file("--events", cli->events, report_events, result);
    err |= write_file("--hlog", cli->hlog, report_hlog, result);
    err |= write_file("--hgrm", cli->hgrm, report_hgrm, result);
    return err | write_html(cli, result);
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

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* To standard error if a document goes to standard output: another program reads it. */
static int print_summary(const struct cli *cli, const struct result *result)
{
    bool taken = is_stdout(cli->json) || is_stdout(cli->csv) || is_stdout(cli->html) ||
                 is_stdout(cli->events) || is_stdout(cli->hlog) || is_stdout(cli->hgrm);
    FILE *to = taken ? stderr : stdout;
    int err = report_text(result, &cli->style, to);
    if (!err && fflush(to) != 0)
        err = -errno;
    return err ? cli_fail("cannot write the summary: %s", strerror(-err)) : 0;
}

int cli_finish(struct cli *cli, struct result *result)
{
    if (!result->environment.kernel)
        (void)result_set_environment(result, cli->argc, cli->argv); /* unknown then */
    if (result->server.source == RESULT_SOURCE_NONE)
        server_side_end(cli->server, &result->server);
    cli_judge(cli, result);
    set_ending(result);
    int err = 0;
    if (result->totals.opened == 0 && result->exit_code == EXIT_NO_SUCCESS)
        say_unreachable(cli, result);
    else
        err = print_summary(cli, result);
    err |= write_files(cli, result);
    return result->exit_code ? result->exit_code : err;
}
