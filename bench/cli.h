/*
 * cli.h - the command line that all commands that make load have in common, and what is
 * done with the result in the end.
 *
 *     struct cli cli;
 *     int status = cli_parse(&mode, argc, argv, more, &my_config, &cli);
 *     if (status >= 0)
 *         return status;                     wrong usage, or --help
 *     ... run_plan(&cli.plan, &cli.watcher, cli.progress, result), or cli_run() ...
 *     status = cli_finish(&cli, result);     verdict, SLOs, summary, files; the exit status
 *     cli_free(&cli);
 */
#ifndef PREFORK_BENCH_CLI_H
#define PREFORK_BENCH_CLI_H

#include "bench/events.h"
#include "bench/expect.h"
#include "bench/plan.h"
#include "bench/report.h"
#include "bench/requests.h"
#include "bench/result.h"
#include "bench/run.h"
#include "bench/server_side.h"
#include "bench/url.h"
#include <prefork/options.h>

enum exit_status {
    EXIT_RUN_OK = 0,
    EXIT_USAGE = 1,
    EXIT_NO_SUCCESS = 2,    /* unreachable, or nothing succeeded */
    EXIT_INVALID = 3,       /* the measurement: generator, ports, descriptors */
    EXIT_LOST = 4,          /* lost or wrong responses */
    EXIT_SLO = 99,          /* k6's code */
    EXIT_INTERRUPTED = 130, /* the summary is printed still */
};

/* A command of prefork-bench. */
struct mode {
    const char *name, *usage;                                    /* "[options] URL" */
    const char *help;                                            /* one line */
    int (*main)(const struct mode *mode, int argc, char **argv); /* argv[0]: the name */
    const char *const *without; /* shared options that mean nothing to it: not in its
                                   --help; ends with NULL. NULL: none */
};

/* How bad an ending is, of several: the larger the worse; 0: EXIT_RUN_OK. */
unsigned cli_badness(int exit_code);

extern const struct mode mode_run, mode_search, mode_storm, mode_hold, mode_abuse,
    mode_reload, mode_loop, mode_compare, mode_report, mode_merge, mode_preflight,
    mode_serve;

struct cli {
    const struct mode *mode;
    int argc;
    char **argv;
    struct plan plan;
    struct url url;
    struct requests *requests; /* owned; the plan borrows it */
    struct expect expect;
    struct pf_address *sources; /* owned; the plan borrows it */
    struct server_side *server; /* owned; of --server */
    const char *url_b;          /* of --vs; NULL without it */
    struct pf_address target_b; /* of --vs */
    struct plan plan_b;
    struct requests *requests_b;  /* owned; plan_b borrows it */
    struct server_side *server_b; /* owned */
    struct result_slo slos[RESULT_SLOS_MAX];
    size_t slo_count;
    bool abort_on_slo;
    unsigned repeat;
    enum run_progress progress;
    struct run_watcher watcher; /* samples the server, writes --events; a mode may add */
    struct result *from;        /* owned; of --from: options are borrowed from it */
    struct events *rows;        /* owned; of --events, NULL without it */
    struct report_style style;
    const char *json, *csv, *html, *hlog, *hgrm, *events, *baseline; /* files, or NULL */
};

/*
 * Parse options common to all, and those of `more` (NULL: none) into `more_config`, and the
 * URL; resolve it, read the mix, look for the server, raise the limit of descriptors, and
 * check what contradicts. Says in one line what is wrong, with the option, the value and
 * the remedy. Returns -1 to go on, or the exit status to end with.
 */
int cli_parse(const struct mode *mode, int argc, char **argv, const struct pf_option *more,
              void *more_config, struct cli *out);

/*
 * Run the plan, or as many times as --repeat says: with --vs in turn, A B B A. The result
 * is that of the last run of A, environment and server's numbers included, with all runs as
 * a line each in its runs. Returns what run_plan() does; *result is to be freed, and NULL
 * only if nothing was run.
 */
int cli_run(struct cli *cli, struct result **result);

/*
 * The end of every run: environment and server's numbers, if they are not there yet, SLOs
 * and verdict into the result, the summary to standard output, the files that were asked
 * for. Returns the exit status, which is in result->exit_code too.
 *
 * An exit_code that a mode has set before (interrupted; its own verdict) stays. Else the
 * first of these that applies: nothing succeeded 2; requests lost, never sent or answered
 * wrongly 4; not a valid measurement 3; a goal missed 99.
 */
int cli_finish(struct cli *cli, struct result *result);
void cli_free(struct cli *cli);

/* Fill in the environment, and the command with the program's name. Returns 0 or -ENOMEM.
 */
int cli_set_environment(const struct cli *cli, struct result *result);

/* One line on standard error: "prefork-bench: ...". Returns EXIT_USAGE. */
int cli_fail(const char *format, ...) PF_PRINTF(1, 2);

#endif
