/*
 * sample_result.h - results made by hand, for tests of what is made from them: one of an
 * open loop with everything that a run can have, and one with the other modes' parts. For
 * tests that are linked with the load tool's library; all functions are static.
 */
#ifndef PREFORK_TESTS_LIB_SAMPLE_RESULT_H
#define PREFORK_TESTS_LIB_SAMPLE_RESULT_H

#include "bench/result.h"
#include "bench/series.h"
#include <errno.h>
#include <math.h>
#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hdr *sample_hdr(struct result *result, enum result_kind kind)
{
    struct hdr *hdr = malloc(sizeof *hdr);
    assert_non_null(hdr);
    hdr_init(hdr);
    free(result->latency[kind].hdr);
    result->latency[kind].hdr = hdr;
    return hdr;
}

/* `count` values around `middle`: from half of it to ten times as much, like latencies. */
static void sample_fill(struct hdr *hdr, uint64_t count, double middle)
{
    for (int step = 1; step <= 1000; step++) {
        double u = (step - 0.5) / 1000;
        hdr_record(hdr, (int64_t)(middle * (0.5 + 0.5 * -log2(1 - u))), count / 1000);
    }
}

static void sample_rows(struct result *result, size_t count)
{
    result->rows = calloc(count, sizeof *result->rows);
    assert_non_null(result->rows);
    result->row_count = count;
    for (size_t i = 0; i < count; i++) {
        struct result_row *row = &result->rows[i];
        bool slow = i == 5;
        row->t_ns = (int64_t)(i + 1) * PF_SECOND;
        row->span_ns = PF_SECOND;
        row->planned = row->sent = 50000;
        row->ok = slow ? 48100 : 50000 + (i % 3) * 100;
        row->err = slow ? 3 : 0;
        row->in_flight = 5;
        row->backlog = slow ? 120 : 0;
        row->p50_ns = 88000 + (int64_t)i * 100;
        row->p99_ns = slow ? 2200000 : 402000;
        row->max_ns = slow ? 11200000 : 1900000;
        row->server_cpu_ns = 2310000000;
        row->server_rss = 38400000;
        row->heat[9] = 20000;
        row->heat[10] = 29000;
        row->heat[11] = 1000;
        row->heat[slow ? 18 : 13] = slow ? 2000 : 90;
    }
}

static struct tally_error *sample_error(struct result *result, enum tally_phase phase,
                                        enum tally_when when, int reason, uint64_t count,
                                        int64_t first_ns, const char *sample)
{
    struct tally_error *error = &result->errors[result->error_count++];
    *error = (struct tally_error){.phase = phase,
                                  .when = when,
                                  .reason = reason,
                                  .count = count,
                                  .first_ns = first_ns};
    snprintf(error->sample, sizeof error->sample, "%s", sample);
    return error;
}

static char *sample_text(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

static void sample_plan(struct result *result, const char *mode, const char *load)
{
    struct result_plan *plan = &result->plan;
    plan->mode = sample_text(mode);
    plan->target = sample_text("http://127.0.0.1:8080/");
    plan->address = sample_text("127.0.0.1:8080");
    plan->load = sample_text(load);
    plan->connections = 256;
    plan->loops = 4;
    plan->procs = 1;
    plan->pipeline = 1;
    plan->reqs_per_conn = 0;
    plan->requests = 0;
    plan->warmup_ns = 2 * PF_SECOND;
    plan->duration_ns = 10 * PF_SECOND;
    plan->timeout_ns = 2 * PF_SECOND;
    plan->think_ns = 0;
    plan->seed = UINT64_C(0xFEDCBA9876543210);
    if (strcmp(load, "open") == 0) {
        plan->arrival = sample_text("poisson");
        plan->rate_per_s = 50000;
    }
}

static void sample_environment(struct result *result)
{
    struct result_environment *environment = &result->environment;
    environment->kernel = sample_text("Linux 6.1.0 x86_64");
    environment->cpu = sample_text("A CPU @ 3.00GHz <\"fast\">");
    environment->clocksource = sample_text("tsc");
    environment->time_utc = sample_text("2026-01-31T12:00:00Z");
    environment->cores = 8;
    environment->nofile = 1048576;
    environment->port_low = 32768;
    environment->port_high = 60999;
    environment->somaxconn = 4096;
    environment->tcp_tw_reuse = 2;
    result->argc = 4;
    result->argv = calloc(5, sizeof *result->argv);
    assert_non_null(result->argv);
    result->argv[0] = sample_text("prefork-bench");
    result->argv[1] = sample_text("-R");
    result->argv[2] = sample_text("50k");
    result->argv[3] = sample_text("http://127.0.0.1:8080/");
}

static void sample_server(struct result *result)
{
    struct result_server *server = &result->server;
    static const int64_t requests[] = {122800, 127200, 127500, 122500};
    server->source = RESULT_SOURCE_STATS;
    server->name = sample_text("prefork-server");
    server->cpu_ns = 23100000000;
    server->cpu_user_ns = 8500000000;
    server->cpu_system_ns = 14600000000;
    server->rss_max = 38400000;
    server->context_switches = 12345;
    server->requests = 500000;
    server->listen_drops = 0;
    server->listen_overflows = 0;
    server->syn_retries = 0;
    server->jain = 0.9996;
    server->worker_count = 4;
    server->workers = calloc(4, sizeof *server->workers);
    assert_non_null(server->workers);
    for (unsigned i = 0; i < 4; i++)
        server->workers[i] = (struct result_worker){.pid = 100 + i,
                                                    .requests = requests[i],
                                                    .connections_min = 61 + i,
                                                    .connections_max = 64 + i,
                                                    .cpu_ns = 5500000000 + 150000000 * i,
                                                    .rss = 9600000,
                                                    .restarts = 0};
}

/* A run of an open loop: ten seconds at 50,000/s with one slow second. */
static struct result *sample_open(void)
{
    struct result *result = result_new();
    assert_non_null(result);
    sample_environment(result);
    sample_plan(result, "run", "open");
    sample_server(result);
    sample_rows(result, 10);
    result->validity.loops = 4;
    result->validity.loop_busy = calloc(4, sizeof(double));
    assert_non_null(result->validity.loop_busy);
    result->validity.loop_waited = calloc(4, sizeof(double));
    assert_non_null(result->validity.loop_waited);
    for (int i = 0; i < 4; i++) {
        result->validity.loop_busy[i] = 0.58 + 0.01 * i;
        result->validity.loop_waited[i] = 0.05 * i;
    }
    result->validity.littles_law = 0.99;
    result->totals = (struct result_totals){.planned = 500000,
                                            .sent = 499998,
                                            .ok = 499980,
                                            .wrong = 2,
                                            .failed = 4,
                                            .dropped = 0,
                                            .unsent = 2,
                                            .censored = 0,
                                            .bytes_in = 612000000,
                                            .bytes_out = 71000000,
                                            .opened = 256,
                                            .reused = 499742,
                                            .elapsed_ns = 10 * PF_SECOND,
                                            .ok_in_time = 499980,
                                            .setup_ns = 12100000};
    result->status[200] = 499982;
    result->status[503] = 12;
    sample_error(result, TALLY_READ, TALLY_SENT, ECONNRESET, 3, 5120000000, "");
    sample_error(result, TALLY_READ, TALLY_PARTIAL, 0, 1, 5300000000, "HTTP/1.1 200 OK");
    sample_error(result, TALLY_VALIDATE, TALLY_ANSWERED, TALLY_LENGTH, 2, 120000000,
                 "12 bytes <b>\xc3\xa4\"");
    sample_error(result, TALLY_CONNECT, TALLY_OPENING, ECONNREFUSED, 1, -1, "");
    sample_fill(sample_hdr(result, RESULT_RESPONSE), 500000, 88000);
    sample_fill(sample_hdr(result, RESULT_SERVICE), 500000, 86000);
    sample_fill(sample_hdr(result, RESULT_TTFB), 500000, 80000);
    sample_fill(sample_hdr(result, RESULT_LAG), 500000, 5000);
    sample_fill(sample_hdr(result, RESULT_CONNECT), 1000, 58000);
    sample_fill(sample_hdr(result, RESULT_REFUSED), 1000, 20000);
    result->marks[0] = (struct result_mark){.t_ns = 5 * PF_SECOND, .text = "reload"};
    result->mark_count = 1;
    result->slo_count = 2;
    result->slos[0] = (struct result_slo){
        .expr = "p99<1ms", .actual_text = "402us", .actual = 402000, .pass = true};
    result->slos[1] = (struct result_slo){
        .expr = "err<0.001%", .actual_text = "0.003%", .actual = 3e-5, .pass = false};
    result->exit_code = 99;
    snprintf(result->exit_why, sizeof result->exit_why, "1 of 2 SLOs failed");
    return result;
}

/* A closed loop, of which little is known, with the parts of all other modes. */
static struct result *sample_modes(void)
{
    struct result *result = result_new();
    assert_non_null(result);
    sample_plan(result, "search", "closed");
    result->totals.sent = result->totals.ok = 1000;
    result->totals.elapsed_ns = PF_SECOND;
    sample_fill(sample_hdr(result, RESULT_SERVICE), 1000, 500000);
    result->search = calloc(1, sizeof *result->search);
    assert_non_null(result->search);
    result->search->pass_max = 48000;
    result->search->fail_min = 50400;
    result->search->trial_count = 3;
    result->search->trials = calloc(3, sizeof *result->search->trials);
    assert_non_null(result->search->trials);
    result->search->trials[0] =
        (struct result_trial){24000, 24001.5, 90000, 300000, true, false, ""};
    result->search->trials[1] = (struct result_trial){
        50400, 49000, 900000, 30000000, false, false, "p99<5ms (30.0ms)"};
    result->search->trials[2] =
        (struct result_trial){48000, 47999, 100000, 400000, true, true, ""};
    result->hold = calloc(1, sizeof *result->hold);
    assert_non_null(result->hold);
    *result->hold = (struct result_hold){.asked = 100000,
                                         .held = 99999,
                                         .lost = 1,
                                         .user_bytes = 48.5,
                                         .kernel_bytes = 3700,
                                         .server_user_bytes = 220,
                                         .server_kernel_bytes = NAN,
                                         .connect_ns = 2100000000};
    result->reload = calloc(1, sizeof *result->reload);
    assert_non_null(result->reload);
    *result->reload = (struct result_reload){.commands = 5,
                                             .commands_failed = 1,
                                             .lost = 0,
                                             .retryable = 2,
                                             .harmless = 17,
                                             .blackout_ns = 1500000,
                                             .p99_quiet_ns = 400000,
                                             .p99_reload_ns = 1300000,
                                             .generations = 6};
    result->adversary_count = 2;
    result->adversaries = calloc(2, sizeof *result->adversaries);
    assert_non_null(result->adversaries);
    result->adversaries[0] =
        (struct result_adversary){"slowloris", 500, 500, 480, 20, 10000000000, 12000000000};
    result->adversaries[1] = (struct result_adversary){"idle", 5000, 5000, 0, 5000, -1, -1};
    result->run_count = 14;
    result->runs = calloc(14, sizeof *result->runs);
    assert_non_null(result->runs);
    for (unsigned i = 0; i < 14; i++) {
        bool b = i % 4 == 1 || i % 4 == 2;
        result->runs[i] = (struct result_run){.side = b ? 'B' : 'A',
                                              .rate_ok = (b ? 45000 : 50000) + 10.5 * i,
                                              .p50_ns = 90000 + (int64_t)i * 10,
                                              .p99_ns = (b ? 500000 : 400000) + (int64_t)i,
                                              .max_ns = 9000000,
                                              .mean_ns = 100000,
                                              .cpu_ns_per_req = b ? 40000 + 10.0 * i : NAN,
                                              .verdict = RESULT_VALID};
    }
    return result;
}

/* What a report writes, as a string to be freed. */
#define SAMPLE_WRITTEN(out, call)                                                          \
    do {                                                                                   \
        size_t sample_len;                                                                 \
        FILE *to = open_memstream(&(out), &sample_len);                                    \
        assert_non_null(to);                                                               \
        assert_int_equal(call, 0);                                                         \
        assert_int_equal(fclose(to), 0);                                                   \
    } while (0)

#endif
