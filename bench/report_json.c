/* A result as the document of schema RESULT_SCHEMA. What follows from other fields (a rate,
 * a mean, percentiles) is written for those who read it with other programs; reading back
 * passes it over. */
#include "bench/report.h"

#include "bench/document.h"
#include "bench/hdr_codec.h"
#include "bench/latency.h"
#include <errno.h>
#include <math.h>
#include <prefork/base.h>
#include <stdlib.h>
#include <string.h>

static void write_tool(struct json_writer *json, const struct result *result)
{
    json_open(json, "tool", '{');
    json_put_text(json, "version", PF_VERSION);
    json_open_flat(json, "argv", '[');
    for (int i = 0; i < result->argc; i++)
        json_put_text(json, NULL, result->argv[i]);
    json_close(json);
    json_close(json);
}

static void write_environment(struct json_writer *json, const struct result *result)
{
    json_open(json, "env", '{');
    document_write(json, document_environment, &result->environment);
    json_open(json, "sysctl", '{');
    document_write(json, document_sysctl, &result->environment);
    json_close(json);
    json_close(json);
}

/* "10s:1k,30s:20k" as an array of its pieces. */
static int write_stages(struct json_writer *json, const char *stages)
{
    json_open_flat(json, "stages", '[');
    while (stages) {
        const char *comma = strchrnul(stages, ',');
        char *stage = strndup(stages, (size_t)(comma - stages));
        if (!stage)
            return -ENOMEM;
        json_put_text(json, NULL, stage);
        free(stage);
        stages = *comma ? comma + 1 : NULL;
    }
    json_close(json);
    return 0;
}

static int write_plan(struct json_writer *json, const struct result *result)
{
    const struct result_plan *plan = &result->plan;
    bool run = plan->mode && strcmp(plan->mode, "run") == 0;
    json_open(json, "plan", '{');
    json_put_text(json, "mode", run ? plan->load : plan->mode);
    document_write(json, document_plan, plan);
    int err = write_stages(json, plan->stages);
    if (err)
        return err;
    json_open_flat(json, "ips", '[');
    if (plan->address)
        json_put_text(json, NULL, plan->address);
    json_close(json);
    json_close(json);
    return 0;
}

static void write_lag(struct json_writer *json, const struct hdr *lag)
{
    if (!lag || lag->count == 0) {
        json_put_null(json, "lag_ns");
        return;
    }
    json_open_flat(json, "lag_ns", '{');
    json_put_int(json, "p50", hdr_percentile(lag, 50000));
    json_put_int(json, "p99", hdr_percentile(lag, 99000));
    json_put_int(json, "max", lag->max);
    json_close(json);
}

static void write_validity(struct json_writer *json, const struct result *result)
{
    const struct result_validity *validity = &result->validity;
    json_open(json, "validity", '{');
    json_put_text(json, "verdict", document_verdicts[validity->verdict]);
    json_open(json, "reasons", '[');
    for (unsigned i = 0; i < validity->reason_count; i++)
        json_put_text(json, NULL, validity->reasons[i]);
    json_close(json);
    json_open_flat(json, "loop_busy", '[');
    for (unsigned i = 0; i < validity->loops; i++)
        json_put_real(json, NULL, validity->loop_busy[i]);
    json_close(json);
    json_open_flat(json, "loop_waited", '[');
    for (unsigned i = 0; validity->loop_waited && i < validity->loops; i++)
        json_put_real(json, NULL, validity->loop_waited[i]);
    json_close(json);
    write_lag(json, result->latency[RESULT_LAG].hdr);
    document_write(json, document_validity, validity);
    json_put_int(json, "dropped", (int64_t)result->totals.dropped);
    json_put_int(json, "censored", (int64_t)result->totals.censored);
    json_close(json);
}

static void write_totals(struct json_writer *json, const struct result *result)
{
    json_open(json, "totals", '{');
    document_write(json, document_totals, &result->totals);
    json_put_real(json, "rate_ok_per_s",
                  result->totals.elapsed_ns > 0 ? result_rate(result) : NAN);
    json_put_int(json, "retried", 0); /* a request that failed is never asked again */
    json_close(json);
}

/* ---- latencies ----------------------------------------------------------------------- */

/* Those that there are values enough for. */
static void write_percentiles(struct json_writer *json, const struct hdr *hdr)
{
    static const int64_t percents[] = {1000,  5000,  10000, 25000, 50000, 75000,
                                       90000, 95000, 99000, 99900, 99990, 99999};
    json_open_flat(json, "q", '[');
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        if (!hdr_can_tell(hdr, percents[i]))
            continue;
        json_open(json, NULL, '[');
        json_put_real(json, NULL, (double)percents[i] / HDR_PERCENT);
        json_put_int(json, NULL, hdr_percentile(hdr, percents[i]));
        json_close(json);
    }
    json_close(json);
}

static int write_latency(struct json_writer *json, const char *name,
                         const struct result_latency *latency)
{
    const struct hdr *hdr = latency->hdr;
    char *text;
    if (!hdr) {
        json_put_null(json, name);
        return 0;
    }
    int err = hdr_encode(hdr, &text);
    if (err)
        return err;
    json_open(json, name, '{');
    json_put_int(json, "n", (int64_t)hdr->count);
    if (hdr->count) {
        json_put_int(json, "min_ns", hdr->min);
        json_put_int(json, "max_ns", hdr->max);
        json_put_int(json, "mean_ns", hdr_mean(hdr));
        json_put_int(json, "stdev_ns", (int64_t)hdr_stdev(hdr));
    }
    json_put_wide(json, "sum_ns", hdr->sum);
    json_put_int(json, "clamped", (int64_t)hdr->clamped);
    write_percentiles(json, hdr);
    if (latency->censored_at_ns < 0)
        json_put_null(json, "censored_at");
    else
        json_put_int(json, "censored_at", latency->censored_at_ns);
    json_put_int(json, "digits", 3);
    json_put_text(json, "hdr_v2", text);
    json_close(json);
    free(text);
    return 0;
}

static int write_latencies(struct json_writer *json, const struct result *result)
{
    int err = 0;
    json_open(json, "latency", '{');
    for (int kind = 0; !err && kind < RESULT_KINDS; kind++)
        err = write_latency(json, latency_name((enum result_kind)kind),
                            &result->latency[kind]);
    json_put_null(json, "tls");
    json_close(json);
    return err;
}

/* ---- what came ----------------------------------------------------------------------- */

static void write_status(struct json_writer *json, const struct result *result)
{
    char key[16];
    json_open_flat(json, "status", '{');
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        if (result->status[i] == 0)
            continue;
        snprintf(key, sizeof key, "%u", i);
        json_put_int(json, key, (int64_t)result->status[i]);
    }
    json_close(json);
}

static void write_errors(struct json_writer *json, const struct result *result)
{
    json_open(json, "errors", '[');
    for (size_t i = 0; i < result->error_count; i++) {
        const struct tally_error *error = &result->errors[i];
        json_open_flat(json, NULL, '{');
        json_put_text(json, "phase", tally_phase_name(error->phase));
        json_put_text(json, "reason", tally_reason_name(error->reason));
        json_put_int(json, "code", error->reason);
        json_put_text(json, "when", tally_when_name(error->when));
        json_put_int(json, "n", (int64_t)error->count);
        json_put_int(json, "first_ns", error->first_ns);
        json_put_text(json, "sample", error->sample);
        json_close(json);
    }
    json_close(json);
    json_put_int(json, "errors_beyond", (int64_t)result->errors_beyond);
}

static void write_series(struct json_writer *json, const struct result *result)
{
    json_open(json, "series", '[');
    for (size_t i = 0; i < result->row_count; i++)
        document_write_row(json, &result->rows[i]);
    json_close(json);
    json_open(json, "marks", '[');
    for (size_t i = 0; i < result->mark_count; i++) {
        json_open_flat(json, NULL, '{');
        document_write(json, document_mark, &result->marks[i]);
        json_close(json);
    }
    json_close(json);
}

static void write_server(struct json_writer *json, const struct result *result)
{
    const struct result_server *server = &result->server;
    json_open(json, "server", '{');
    json_put_text(json, "source", document_sources[server->source]);
    document_write(json, document_server, server);
    json_put_real(json, "cpu_ns_per_req", result_cpu_per_request(result));
    json_put_null(json, "syscalls");
    json_open(json, "workers", '[');
    for (unsigned i = 0; i < server->worker_count; i++) {
        json_open_flat(json, NULL, '{');
        document_write(json, document_worker, &server->workers[i]);
        json_close(json);
    }
    json_close(json);
    json_close(json);
}

static void write_slos(struct json_writer *json, const struct result *result)
{
    json_open(json, "slo", '[');
    for (size_t i = 0; i < result->slo_count; i++) {
        json_open_flat(json, NULL, '{');
        document_write(json, document_slo, &result->slos[i]);
        json_close(json);
    }
    json_close(json);
}

/* ---- other modes --------------------------------------------------------------------- */

static void write_search(struct json_writer *json, const struct result *result)
{
    const struct result_search *search = result->search;
    if (!search) {
        json_put_null(json, "search");
        return;
    }
    json_open(json, "search", '{');
    document_write(json, document_search, search);
    json_open(json, "trials", '[');
    for (unsigned i = 0; i < search->trial_count; i++) {
        json_open_flat(json, NULL, '{');
        document_write(json, document_trial, &search->trials[i]);
        json_close(json);
    }
    json_close(json);
    json_close(json);
}

static void write_part(struct json_writer *json, const char *key,
                       const struct document_field *table, const void *part)
{
    if (!part) {
        json_put_null(json, key);
        return;
    }
    json_open(json, key, '{');
    document_write(json, table, part);
    json_close(json);
}

static void write_adversaries(struct json_writer *json, const struct result *result)
{
    json_open(json, "adversaries", '[');
    for (unsigned i = 0; i < result->adversary_count; i++) {
        json_open_flat(json, NULL, '{');
        document_write(json, document_adversary, &result->adversaries[i]);
        json_close(json);
    }
    json_close(json);
}

static void write_runs(struct json_writer *json, const struct result *result)
{
    json_open(json, "repeat", '[');
    for (unsigned i = 0; i < result->run_count; i++) {
        const struct result_run *run = &result->runs[i];
        json_open_flat(json, NULL, '{');
        json_put_text(json, "side", run->side == 'B' ? "B" : "A");
        json_put_text(json, "verdict", document_verdicts[run->verdict]);
        document_write(json, document_run, run);
        json_close(json);
    }
    json_close(json);
}

static void write_exit(struct json_writer *json, const struct result *result)
{
    json_open_flat(json, "exit", '{');
    json_put_int(json, "code", result->exit_code);
    json_put_text(json, "why", result->exit_why);
    json_close(json);
}

int report_json(const struct result *result, FILE *to)
{
    struct json_writer json = {.to = to};
    json_open(&json, NULL, '{');
    json_put_text(&json, "schema", RESULT_SCHEMA);
    write_tool(&json, result);
    write_environment(&json, result);
    int err = write_plan(&json, result);
    if (err)
        return err;
    write_validity(&json, result);
    write_totals(&json, result);
    err = write_latencies(&json, result);
    if (err)
        return err;
    write_status(&json, result);
    write_errors(&json, result);
    write_series(&json, result);
    write_server(&json, result);
    write_slos(&json, result);
    write_search(&json, result);
    write_part(&json, "hold", document_hold, result->hold);
    write_part(&json, "reload", document_reload, result->reload);
    write_adversaries(&json, result);
    write_runs(&json, result);
    write_exit(&json, result);
    json_close(&json);
    fputc('\n', to);
    return ferror(to) ? -EIO : 0;
}
