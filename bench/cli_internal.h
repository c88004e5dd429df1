/*
 * cli_internal.h - the command line that all commands share, in four files:
 *
 *     cli_options.c   the tables of options, and their values as given
 *     cli.c           from those to the plan: look up, read, check what contradicts
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
    const char *script;
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

/* ---- cli_finish.c */

/* Verdict and goals of a run into its result. */
void cli_judge(const struct cli *cli, struct result *result);

#endif
