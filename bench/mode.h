/*
 * mode.h - what commands that make one measurement have in common, between cli_parse() and
 * cli_finish().
 */
#ifndef PREFORK_BENCH_MODE_H
#define PREFORK_BENCH_MODE_H

#include "bench/cli.h"

/* --repeat and --vs are not for this command: says so and returns EXIT_USAGE; -1 if neither
 * was given. More is said of them than of others that a command is without. */
int mode_refuse_repeat(const struct cli *cli);

/* A result with its environment, before the measurement. NULL after saying why. */
struct result *mode_result(const struct cli *cli);

/*
 * The end: `err` is what run_plan() answered, or what kept it from being called. With a
 * result that is worth it the summary, the files and its exit status, which `code` and
 * `why` set (EXIT_RUN_OK: by what is in the result); else a line on standard error.
 */
int mode_end(struct cli *cli, struct result *result, int err, enum exit_status code,
             const char *why);

#endif
