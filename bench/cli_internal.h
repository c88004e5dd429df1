/*
 * cli_internal.h - the command line that all commands share, in ten files:
 *
 *     cli_options.c   the tables of options, and their values as given
 *     cli.c           from those to the plan, and what contradicts
 *     cli_from.c      the options of an earlier run
 *     cli_help.c      what --help says
 *     cli_without.c   which of the options mean nothing to a command
 *     cli_target.c    whom to ask, and from where
 *     cli_requests.c  what to ask
 *     cli_machine.c   what is asked of this machine
 *     cli_finish.c    what is done with the result
 *     cli_repeat.c    several runs, one against another
 */
#ifndef PREFORK_BENCH_CLI_INTERNAL_H
#define PREFORK_BENCH_CLI_INTERNAL_H

#include "bench/cli.h"

/* Values as given; NULL, 0: not. */
struct cli_config {
    int64_t connections, threads, duration_ns, count;
    struct pf_option_list headers;
    const char *method, *body, *requests, *expect;
    int64_t pipeline, reqs_per_conn;
    bool no_keepalive;

    double rate;
    int arrival, overflow;
    const char *stages;
    int64_t ramp_ns, warmup_ns, burst, think_ns;

    const char *src, *connect_to;
    bool only4, only6, nodelay;
    int64_t rcvbuf, sndbuf;
    int close;

    int64_t procs, nice;
    const char *cpus;
    int pace;
    int64_t timeout_ns, drain_ns, seed;

    struct pf_option_list slos;
    bool abort_on_slo;
    int64_t repeat;
    const char *vs, *server;

    const char *json, *csv, *html, *hlog, *hgrm, *events, *baseline;
    bool quiet, plain, tui;
    bool latency, uncorrected;
    const char *script, *from;
    bool help, version, wrk_version;
};

#define CLI_CONNECTIONS_MAX 1000000
#define CLI_THREADS_MAX     256
#define CLI_PIPELINE_MAX    1024

extern const struct cli_config cli_defaults;

/* Set by cli_options.c: all tables, with their headings for the help. */
#define CLI_SECTIONS 6
struct cli_section {
    const char *title;
    const struct pf_option *table;
};
extern const struct cli_section cli_sections[CLI_SECTIONS];

/* ---- cli.c: options into config, and the URL if there is one, else NULL. Returns 0, or an
 * exit status after it has said why. */
int cli_read_options(int argc, char **argv, const struct pf_option *more, void *more_config,
                     struct cli_config *config, const char **url);

/* ---- cli_from.c: read config->from, and then the same options again on top of its. As
 * above. */
int cli_from(int argc, char **argv, struct cli *out, struct cli_config *config,
             const char **url);

/* ---- cli_without.c: is that shared option none of the command's? One that was given all
 * the same is refused: 0, or an exit status after saying so. */
bool cli_is_without(const struct mode *mode, const char *name);
int cli_refuse_without(const struct mode *mode, const struct cli_config *config);

/* ---- cli_help.c: to standard output. `own`: the command's own options, or NULL. */
void cli_help(const struct mode *mode, const struct pf_option *own);

/* A phrase that says what is wrong. */
#define PHRASE_MAX 256

/* The steps from options to plan: each returns 0, or an exit status after it has said why.
 */

/* ---- cli_target.c */

/* The address of `text`, and of --vs, whose URL goes into *other. */
int cli_find_targets(const struct cli_config *config, const char *text, struct cli *out,
                     struct url *other);
int cli_find_sources(const struct cli_config *config, struct cli *out);

/* ---- cli_requests.c */

/* `text` names the URL in errors. */
int cli_make_requests(const struct cli_config *config, const struct url *url,
                      const char *text, struct requests **out);

/* ---- cli_machine.c */

int cli_set_machine(const struct cli_config *config, struct plan *plan);
/* Would the plan only measure that this machine is out of something? EXIT_INVALID. */
int cli_check_machine(const struct plan *plan);
/* Can the files be written that are asked for? */
int cli_check_files(const struct cli *cli);

/* ---- cli_finish.c */

/* Verdict and goals of a run into its result. */
void cli_judge(const struct cli *cli, struct result *result);
/* Then its exit status, by what is in it, unless it has one. */
void cli_set_ending(struct result *result);

#endif
