/*
 * result.h - all that is known of a measurement: what every report is made from, and what
 * the JSON document holds. A report of a finished run and one that `report X.json` makes of
 * its document go through the same code, because both begin with one of these.
 *
 *     modes (run, search, hold ...) --> struct result --> cli_finish()
 *         --> report_text, report_json, report_html, report_csv, report_events, hlog, hgrm
 *
 * A number that is not known is RESULT_UNKNOWN (or NAN): null in JSON, "-" in a table;
 * never 0. Times are in ns; series and errors count them from the start of the measurement.
 */
#ifndef PREFORK_BENCH_RESULT_H
#define PREFORK_BENCH_RESULT_H

#include "bench/hdr.h"
#include "bench/tally.h"
#include <prefork/base.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESULT_SCHEMA  "prefork-bench/1"
#define RESULT_UNKNOWN INT64_C(-1)

/* No number of a result is larger, so that sums of several do not overflow: in ns this is
 * 36 years. What is "without limit" is this. */
#define RESULT_MOST (INT64_C(1) << 60)

/* Texts are owned by the result, allocated; NULL: unknown. */
struct result_environment {
    char *kernel, *cpu, *governor, *clocksource;
    int64_t cores, nofile, port_low, port_high, somaxconn, tcp_tw_reuse;
    char *time_utc; /* when it began: 2026-01-31T12:00:00Z */
    bool offline;   /* in a network namespace without a way out */
};

struct result_plan {
    char *mode, *target, *address; /* target: the URL; address: what it was connected to */
    char *vs;                      /* the URL of side B, or NULL */
    char *load;                    /* "closed", "open" */
    char *arrival;                 /* "const", "poisson"; NULL if closed */
    char *stages;                  /* as given, or NULL */
    int64_t connections, loops, procs, pipeline, reqs_per_conn, requests;
    int64_t warmup_ns, duration_ns, timeout_ns, think_ns;
    double rate_per_s; /* mean of the measurement; NAN if closed */
    uint64_t seed;
};

enum result_verdict {
    RESULT_VALID,
    RESULT_SUSPECT, /* the generator may have been what was measured */
    RESULT_INVALID, /* it was, or the numbers contradict one another */
};

#define RESULT_REASONS_MAX 16
#define RESULT_REASON_MAX  160

struct result_validity {
    enum result_verdict verdict;
    unsigned reason_count;
    char reasons[RESULT_REASONS_MAX][RESULT_REASON_MAX]; /* each with what to do */
    double *loop_busy;   /* of each unit, the share of time in which it had a CPU or waited
                            for one, 0..1; owned */
    double *loop_waited; /* of that the part it waited; NAN: unknown; owned */
    unsigned loops;
    uint64_t backlog_max;
    int64_t stall_ns; /* the longest time that one of them stood still; or unknown */
    bool incomplete; /* a part of the load died: of what it had under way no times are known
                      */
    char died[64];   /* with that: "process 123 of the load was killed by SIGKILL"; or "" */
    double littles_law; /* in flight on average / (rate * mean response); NAN: unknown */
};

struct result_totals {
    uint64_t planned, sent, ok, wrong, failed, dropped, unsent, censored;
    uint64_t bytes_in, bytes_out, opened, reused;
    int64_t elapsed_ns; /* the measurement's time: as planned, or until the last of a number
                           of requests was answered, or until it was stopped */
    int64_t ok_in_time; /* of ok: those that came within it, and not in the drain behind it;
                           or unknown: all */
    int64_t setup_ns;
    int64_t gap_ns; /* the longest time without an ok answer (gaps.h); 0: not measured */
};

struct result_latency {
    struct hdr *hdr;        /* owned; NULL: not measured in this mode */
    int64_t censored_at_ns; /* percentiles from here on are lower bounds: ">="; or -1 */
};

enum result_kind {
    RESULT_RESPONSE,
    RESULT_SERVICE,
    RESULT_TTFB,
    RESULT_CONNECT,
    RESULT_REFUSED, /* "error" in JSON */
    RESULT_LAG,
    RESULT_KINDS,
};

/* The latency heat map: log bins of 5 to a decade, from 1 us (what is below is in the
 * first) to 100 s (above: in the last). */
#define RESULT_HEAT_BINS 40

/* One interval of a second, or of several if the run was long: see series.h. */
struct result_row {
    int64_t t_ns, span_ns; /* its end, and its length */
    uint64_t planned, sent, ok, err, in_flight, backlog;
    int64_t p50_ns, p99_ns, max_ns;    /* of response, or service; unknown: none came */
    int64_t server_cpu_ns, server_rss; /* in the interval; at its end */
    uint32_t heat[RESULT_HEAT_BINS];
};

/* Something that happened at a time: a reload, a worker's end. */
#define RESULT_MARKS_MAX 256
struct result_mark {
    int64_t t_ns;
    char text[64];
};

struct result_worker {
    int64_t pid, requests, connections_min, connections_max, cpu_ns, rss, restarts;
};

enum result_source {
    RESULT_SOURCE_NONE,
    RESULT_SOURCE_PROC,  /* /proc of the process tree */
    RESULT_SOURCE_STATS, /* that, and the control socket */
};

struct result_server {
    enum result_source source;
    char *name;                                 /* of the program, or NULL */
    int64_t cpu_ns, cpu_user_ns, cpu_system_ns; /* during the measurement, all processes */
    int64_t rss_max, context_switches;
    int64_t requests;                                    /* as it counted them itself */
    int64_t listen_drops, listen_overflows, syn_retries; /* of this network namespace */
    double jain; /* over the workers' requests, else their CPU time; NAN: unknown */
    struct result_worker *workers; /* owned */
    unsigned worker_count;
    char unseen[RESULT_REASON_MAX]; /* what of it could not be looked at, and what to do; ""
                                       if it was all there is */
};

#define RESULT_SLOS_MAX 16
struct result_slo {
    char expr[64]; /* "p99<5ms" */
    char actual_text[32];
    double actual; /* NAN: unknown, which fails */
    bool pass;
};

struct result_trial {
    double rate, achieved; /* per second */
    int64_t p50_ns, p99_ns;
    bool pass, confirm;
    char why[96]; /* it failed */
};

struct result_search {
    double pass_max, fail_min;   /* per second; NAN: none */
    struct result_trial *trials; /* owned */
    unsigned trial_count;
};

/* One run of several: the number that statistics across runs are made of. */
struct result_run {
    char side; /* 'A', or 'B' with --vs */
    double rate_ok;
    int64_t p50_ns, p99_ns, max_ns, mean_ns;
    double cpu_ns_per_req;
    enum result_verdict verdict;
};

struct result_hold {
    uint64_t asked, held, lost; /* standing at the end; closed meanwhile by the server */
    double user_bytes, kernel_bytes; /* of this side, per connection; NAN: unknown */
    double server_user_bytes, server_kernel_bytes;
    int64_t connect_ns; /* it took to open them */
};

#define RESULT_ADVERSARIES_MAX 16
struct result_adversary {
    char kind[16];
    uint64_t asked, opened, cut, open; /* cut: ended by the server; open: at the end */
    int64_t cut_p50_ns, cut_max_ns;    /* from its open to being cut */
};

struct result_reload {
    uint64_t commands, commands_failed;
    uint64_t lost, retryable, harmless;  /* tally_loss_of() */
    int64_t blackout_ns;                 /* the longest time without an ok answer */
    int64_t p99_quiet_ns, p99_reload_ns; /* of seconds without, and with, a command */
    int64_t generations; /* of workers met, the first included; or unknown */
};

struct result {
    int argc;    /* the command, as given */
    char **argv; /* owned */
    struct result_environment environment;
    struct result_plan plan;
    struct result_validity validity;
    struct result_totals totals;
    struct result_latency latency[RESULT_KINDS];
    uint64_t status[TALLY_STATUS_MAX];
    struct tally_error errors[TALLY_ERRORS_MAX]; /* first_ns from the start; < 0: before */
    size_t error_count;
    uint64_t errors_beyond;
    struct result_row *rows; /* owned */
    size_t row_count;
    struct result_mark marks[RESULT_MARKS_MAX];
    size_t mark_count;
    struct result_server server;
    struct result_slo slos[RESULT_SLOS_MAX];
    size_t slo_count;
    struct result_search *search; /* owned; these are NULL in other modes */
    struct result_hold *hold;
    struct result_reload *reload;
    struct result_adversary *adversaries;
    unsigned adversary_count;
    struct result_run *runs; /* owned; of --repeat */
    unsigned run_count;
    int exit_code;
    char exit_why[128]; /* "" with 0 */
};

/* All unknown. Heap memory: a result is large. NULL without memory. */
struct result *result_new(void);
void result_free(struct result *result);

/* Fill in environment and argv of this machine and program. Returns 0 or -ENOMEM. */
int result_set_environment(struct result *result, int argc, char *const argv[]);

/* How it ends: the exit status, and why. What is too long for exit_why ends at a word, with
 * "...". */
void result_set_exit(struct result *result, int code, const char *format, ...)
    PF_PRINTF(3, 4);

/* The latency that a mode is judged by: response in an open loop, else service. */
const struct result_latency *result_main_latency(const struct result *result);

/* The busiest of the generator's loops: its number, how busy it was, and what of that it
 * had a CPU and waited for one, NAN if that is not known. False: there is none. */
struct result_load {
    unsigned loop;
    double busy, had, waited;
};
bool result_busiest(const struct result *result, struct result_load *out);

/* Ok answers per second, of those that came within the measurement's time: what is answered
 * in the drain is no feat of that. 0 if nothing was measured. */
double result_rate(const struct result *result);

/* The time in seconds that all ok answers would have taken at that rate: what to divide by
 * for the rate of anything that was counted as long as they (bytes, CPU time). 0 if nothing
 * was measured. */
double result_seconds(const struct result *result);

/* The server's CPU time per ok answer in ns; NAN if it is not known. */
double result_cpu_per_request(const struct result *result);

/* Requests lost: never more than were planned. Those that tally_loss_of() says so of,
 * retryable ones not counted; and if connects failed, those that were due and never sent.
 */
uint64_t result_lost(const struct result *result);

/* Connects that failed by the other side's doing: what this machine ran out of is for the
 * verdict. Not requests: each may be tried many times for one. */
uint64_t result_refused(const struct result *result);

/* How often bytes came that nobody had asked for, behind all answers. */
uint64_t result_unasked(const struct result *result);

/* Did it fail for want of something of this machine: ports, descriptors, memory? */
bool result_is_shortage(const struct tally_error *error);

#endif
