/*
 * run_result.c - from the tallies of all units to the result.
 */
#include "bench/run_internal.h"

#include "bench/pace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct hdr *run_main_hdr(const struct run *run, const struct tally *tally)
{
    return run->plan->load == PLAN_OPEN ? &tally->response : &tally->service;
}

/* A unit that comes late to the end of the warm-up still holds the numbers of that. */
static bool has_begun(const struct run *run, const struct tally *unit)
{
    return __atomic_load_n(&unit->began_ns, __ATOMIC_ACQUIRE) >= run->began_ns;
}

void run_sum_live(struct run *run)
{
    struct tally *sum = run->sum;
    struct hdr *hdr = run->plan->load == PLAN_OPEN ? &sum->response : &sum->service;
    hdr_init(hdr);
    sum->planned = sum->sent = sum->ok = sum->wrong = sum->failed = sum->dropped = 0;
    sum->in_flight = sum->backlog = 0;
    for (unsigned i = 0; i < run->plan->threads; i++) {
        const struct tally *unit = &run->shared->tallies[i];
        if (!has_begun(run, unit))
            continue;
        hdr_merge(hdr, run_main_hdr(run, unit));
        sum->planned += tally_read(&unit->planned);
        sum->sent += tally_read(&unit->sent);
        sum->ok += tally_read(&unit->ok);
        sum->wrong += tally_read(&unit->wrong);
        sum->failed += tally_read(&unit->failed);
        sum->dropped += tally_read(&unit->dropped);
        sum->in_flight += tally_read(&unit->in_flight);
        sum->backlog += tally_read(&unit->backlog);
    }
}

/* ---- the plan -------------------------------------------------------------------- */

static int set_text(char **to, const char *text)
{
    free(*to);
    *to = text ? strdup(text) : NULL;
    return text && !*to ? -ENOMEM : 0;
}

/* Of the measurement: the warm-up has slots of its own. */
static double mean_rate(const struct plan *plan)
{
    if (plan->load != PLAN_OPEN)
        return NAN;
    if (plan->duration_ns == 0)
        return plan_mean_rate(plan);
    double slots = pace_amount(plan, plan->warmup_ns + plan->duration_ns) -
                   pace_amount(plan, plan->warmup_ns);
    return slots / ((double)plan->duration_ns / 1e9);
}

static int fill_plan(const struct plan *plan, struct result_plan *out)
{
    bool open_loop = plan->load == PLAN_OPEN;
    char address[PF_ADDRESS_TEXT_MAX];
    int err = set_text(&out->mode, plan->mode);
    err |= set_text(&out->target, plan->url);
    err |= set_text(&out->address, pf_address_format(&plan->target, address));
    err |= set_text(&out->load, open_loop ? "open" : "closed");
    const char *arrival = plan->arrival == PLAN_POISSON ? "poisson" : "const";
    err |= set_text(&out->arrival, open_loop ? arrival : NULL);
    err |= set_text(&out->stages, plan->stages_text);
    out->connections = plan->connections;
    out->loops = plan->threads;
    out->procs = plan->procs;
    out->pipeline = plan->pipeline;
    out->reqs_per_conn = (int64_t)plan->reqs_per_conn;
    out->requests = (int64_t)plan->requests;
    out->warmup_ns = plan->warmup_ns;
    out->duration_ns = plan->duration_ns;
    out->timeout_ns = plan->timeout_ns;
    out->think_ns = plan->think_ns;
    out->rate_per_s = mean_rate(plan);
    out->seed = plan->seed;
    return err ? -ENOMEM : 0;
}

/* ---- the numbers ----------------------------------------------------------------- */

static void fill_totals(const struct tally *sum, struct result_totals *out)
{
    out->planned = sum->planned;
    out->sent = sum->sent;
    out->ok = sum->ok;
    out->ok_in_time = (int64_t)sum->ok_in_time;
    out->wrong = sum->wrong;
    out->failed = sum->failed;
    out->dropped = sum->dropped;
    out->unsent = sum->unsent;
    out->censored = sum->censored;
    out->bytes_in = sum->bytes_in;
    out->bytes_out = sum->bytes_out;
    out->opened = sum->opened;
    out->reused = sum->reused;
    out->elapsed_ns = sum->began_ns ? sum->ended_ns - sum->began_ns : 0;
    out->setup_ns = sum->setup_ns;
    struct gap gap = gaps_longest(&sum->gaps);
    out->gap_ns = gap.to_ns - gap.from_ns;
}

static int fill_latency(struct result *result, enum result_kind kind,
                        const struct hdr *from, int64_t censored_ns)
{
    struct result_latency *latency = &result->latency[kind];
    if (!latency->hdr && !(latency->hdr = malloc(sizeof *latency->hdr)))
        return -ENOMEM;
    *latency->hdr = *from;
    latency->censored_at_ns = censored_ns;
    return 0;
}

static int fill_latencies(const struct run *run, struct result *result)
{
    const struct tally *sum = run->sum;
    bool open_loop = run->plan->load == PLAN_OPEN;
    int64_t service = sum->censored ? sum->censored_ns : RESULT_UNKNOWN;
    int64_t response = service;
    if (sum->unsent_ns != INT64_MAX && (response < 0 || sum->unsent_ns < response))
        response = sum->unsent_ns;
    int err = fill_latency(result, RESULT_SERVICE, &sum->service, service);
    err |= fill_latency(result, RESULT_TTFB, &sum->ttfb, RESULT_UNKNOWN);
    err |= fill_latency(result, RESULT_CONNECT, &sum->connect, RESULT_UNKNOWN);
    err |= fill_latency(result, RESULT_REFUSED, &sum->refused, RESULT_UNKNOWN);
    if (open_loop) {
        err |= fill_latency(result, RESULT_RESPONSE, &sum->response, response);
        err |= fill_latency(result, RESULT_LAG, &sum->lag, RESULT_UNKNOWN);
    }
    return err ? -ENOMEM : 0;
}

static void fill_errors(const struct tally *sum, struct result *result)
{
    for (size_t i = 0; i < sum->error_count; i++) {
        result->errors[i] = sum->errors[i];
        if (sum->began_ns)
            result->errors[i].first_ns -= sum->began_ns;
        else
            result->errors[i].first_ns = RESULT_UNKNOWN;
    }
    result->error_count = sum->error_count;
    result->errors_beyond = sum->errors_beyond;
}

/*
 * Little's law: requests in flight on average, counted as they come and go, against the
 * times that were recorded of them. Both sides are of the whole system between "asked" and
 * "answered"; they can only differ if times are lost, made up, or taken wrong.
 */
static double littles_law(const struct tally *sum)
{
    double recorded =
        (double)sum->service.sum + (double)sum->refused.sum + (double)sum->unrecorded_ns;
    return recorded > 0 ? sum->in_flight_ns / recorded : (double)NAN;
}

static int fill_validity(const struct run *run, struct result_validity *out)
{
    unsigned loops = run->plan->threads;
    free(out->loop_busy);
    free(out->loop_waited);
    out->loops = 0;
    out->loop_busy = malloc(loops * sizeof *out->loop_busy);
    out->loop_waited = malloc(loops * sizeof *out->loop_waited);
    if (!out->loop_busy || !out->loop_waited)
        return -ENOMEM;
    for (unsigned i = 0; i < loops; i++) {
        out->loop_busy[i] = run->shared->tallies[i].busy;
        out->loop_waited[i] = run->shared->tallies[i].waited;
    }
    out->loops = loops;
    out->backlog_max = run->sum->backlog_max;
    out->stall_ns = run->sum->stall_ns;
    out->incomplete = run->died || run->error;
    memcpy(out->died, run->how_died, sizeof out->died);
    out->littles_law = out->incomplete ? NAN : littles_law(run->sum);
    return 0;
}

static int fill_rows(struct run *run, struct result *result)
{
    size_t size = run->series.count * sizeof *result->rows;
    free(result->rows);
    result->rows = NULL;
    result->row_count = 0;
    if (size == 0)
        return 0;
    result->rows = malloc(size);
    if (!result->rows)
        return -ENOMEM;
    memcpy(result->rows, run->series.rows, size);
    result->row_count = run->series.count;
    return 0;
}

int run_fill_so_far(struct run *run, int64_t elapsed_ns, struct result *result)
{
    tally_init(run->sum);
    for (unsigned i = 0; i < run->plan->threads; i++)
        if (has_begun(run, &run->shared->tallies[i]))
            tally_merge_live(run->sum, &run->shared->tallies[i]);
    fill_totals(run->sum, &result->totals);
    result->totals.elapsed_ns = elapsed_ns;
    result->totals.ok_in_time = (int64_t)run->sum->ok;
    return fill_latencies(run, result);
}

int run_fill_result(struct run *run)
{
    struct result *result = run->result;
    tally_init(run->sum);
    for (unsigned i = 0; i < run->plan->threads; i++)
        tally_merge(run->sum, &run->shared->tallies[i]);
    fill_totals(run->sum, &result->totals);
    memcpy(result->status, run->sum->status, sizeof result->status);
    fill_errors(run->sum, result);
    int err = fill_plan(run->plan, &result->plan);
    if (!err)
        err = fill_latencies(run, result);
    if (!err)
        err = fill_validity(run, &result->validity);
    return err ? err : fill_rows(run, result);
}
