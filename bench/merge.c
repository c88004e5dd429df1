#include "bench/merge.h"

#include "bench/error_kind.h"
#include "bench/row.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Clocks of two machines, and the time a program takes to start. */
#define MERGE_CLOCKS_S 5

/* ---- do they belong together? -------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const char *difference(const struct result_plan *a, const struct result_plan *b)
{
    const struct {
        const char *name;
        bool same;
    } rows[] = {
        {"mode", same_text(a->mode, b->mode)},
        {"target", same_text(a->target, b->target)},
        {"load", same_text(a->load, b->load)},
        {"arrival", same_text(a->arrival, b->arrival)},
        {"stages", same_text(a->stages, b->stages)},
        {"pipeline", a->pipeline == b->pipeline},
        {"reqs_per_conn", a->reqs_per_conn == b->reqs_per_conn},
        {"duration_ns", a->duration_ns == b->duration_ns},
        {"warmup_ns", a->warmup_ns == b->warmup_ns},
        {"timeout_ns", a->timeout_ns == b->timeout_ns},
        {"think_ns", a->think_ns == b->think_ns},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!rows[i].same)
            return rows[i].name;
    return NULL;
}

/* "2026-11-27T11:12:40Z": seconds since 1970; false if it is another text, or none. */
static bool read_time(const char *text, int64_t *out)
{
    struct tm time = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &time) : NULL;
    if (!end || *end)
        return false;
    *out = timegm(&time);
    return true;
}

/* From its time_utc, which is that of its begin, in whole seconds. */
static int64_t lasted_s(const struct result *result)
{
    int64_t ns = result->plan.warmup_ns > 0 ? result->plan.warmup_ns : 0;
    ns = ns < RESULT_MOST - result->totals.elapsed_ns ? ns + result->totals.elapsed_ns
                                                      : RESULT_MOST;
    return ns / PF_SECOND + MERGE_CLOCKS_S;
}

/* Did one begin after the other's end, as far as both clocks tell? */
static bool were_apart(const struct result *a, const struct result *b)
{
    int64_t a_at, b_at;
    if (!read_time(a->environment.time_utc, &a_at) ||
        !read_time(b->environment.time_utc, &b_at))
        return false;
    return a_at > b_at + lasted_s(b) || b_at > a_at + lasted_s(a);
}

static int check(const struct result *into, const struct result *from, char *why,
                 size_t why_len)
{
    const char *name = difference(&into->plan, &from->plan);
    if (name)
        snprintf(why, why_len, "its plan.%s differs; merge results of one plan", name);
    else if (into->search || from->search || into->reload || from->reload ||
             into->adversary_count || from->adversary_count)
        snprintf(why, why_len, "the answer of %s is no sum; merge results of run or storm",
                 into->plan.mode ? into->plan.mode : "this mode");
    else if (were_apart(into, from))
        snprintf(why, why_len,
                 "it is of %s and the first of %s: they were not taken at the same time; "
                 "see compare",
                 from->environment.time_utc, into->environment.time_utc);
    else if (into->run_count || from->run_count)
        snprintf(why, why_len, "it holds several runs; see compare");
    else
        return 0;
    return -EINVAL;
}

/* ---- the rows of the series ---------------------------------------------------------- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Of two known ones. */
static int64_t sum_of(int64_t a, int64_t b)
{
    return a + b < RESULT_MOST ? a + b : RESULT_MOST;
}

/* Pairs become one: a row spans twice the time. Returns how many there are. */
static size_t join_pairs(struct result_row *rows, size_t count)
{
    for (size_t i = 0; 2 * i < count; i++) {
        struct result_row row = rows[2 * i];
        if (2 * i + 1 < count)
            row_join(&row, &rows[2 * i + 1]);
        rows[i] = row;
    }
    return (count + 1) / 2;
}

/* Of a long run rows span 2, 4, 8 ... seconds: those of the shorter spans are joined until
 * both span the same. */
static int merge_rows(struct result *into, const struct result *from)
{
    size_t count = from->row_count;
    if (count == 0)
        return 0;
    size_t room = count > into->row_count ? count : into->row_count;
    struct result_row *rows = calloc(room, sizeof *rows);
    struct result_row *mine = calloc(room, sizeof *mine);
    if (!rows || !mine) {
        free(rows);
        free(mine);
        return -ENOMEM;
    }
    memcpy(rows, from->rows, count * sizeof *rows);
    if (into->row_count)
        memcpy(mine, into->rows, into->row_count * sizeof *mine);
    while (into->row_count > 1 && count > 1 && rows[0].span_ns >= mine[0].span_ns * 3 / 2)
        into->row_count = join_pairs(mine, into->row_count);
    while (into->row_count > 1 && count > 1 && mine[0].span_ns >= rows[0].span_ns * 3 / 2)
        count = join_pairs(rows, count);
    for (size_t i = 0; i < count; i++) {
        if (i < into->row_count)
            row_add(&mine[i], &rows[i]);
        else
            mine[i] = rows[i];
    }
    into->row_count = count > into->row_count ? count : into->row_count;
    /* The last row of a run may be cut short: the time goes on all the same. */
    for (size_t i = 1; i < into->row_count; i++)
        if (mine[i].t_ns <= mine[i - 1].t_ns)
            mine[i].t_ns = mine[i - 1].t_ns + 1;
    free(rows);
    free(into->rows);
    into->rows = mine;
    return 0;
}

/* ---- the rest ------------------------------------------------------------------------ */

static int merge_latencies(struct result *into, const struct result *from)
{
    for (int kind = 0; kind < RESULT_KINDS; kind++) {
        struct result_latency *mine = &into->latency[kind];
        const struct result_latency *other = &from->latency[kind];
        if (!other->hdr)
            continue;
        if (!mine->hdr) {
            mine->hdr = malloc(sizeof *mine->hdr);
            if (!mine->hdr)
                return -ENOMEM;
            hdr_init(mine->hdr);
        }
        hdr_merge(mine->hdr, other->hdr);
        if (other->censored_at_ns >= 0 &&
            (mine->censored_at_ns < 0 || other->censored_at_ns < mine->censored_at_ns))
            mine->censored_at_ns = other->censored_at_ns;
    }
    return 0;
}

static void merge_error(struct result *into, const struct tally_error *error)
{
    struct tally_error *mine = error_kind_find(into->errors, into->error_count, error);
    if (mine) {
        uint64_t count = mine->count + error->count;
        if (error->first_ns < mine->first_ns)
            *mine = *error;
        mine->count = count;
    } else if (into->error_count < TALLY_ERRORS_MAX) {
        into->errors[into->error_count++] = *error;
    } else {
        into->errors_beyond += error->count;
    }
}

static int64_t in_time(const struct result_totals *totals)
{
    return totals->ok_in_time < 0 ? (int64_t)totals->ok : totals->ok_in_time;
}

static void merge_totals(struct result_totals *into, const struct result_totals *from)
{
    into->planned += from->planned;
    into->sent += from->sent;
    into->ok_in_time = in_time(into) + in_time(from);
    into->ok += from->ok;
    into->wrong += from->wrong;
    into->failed += from->failed;
    into->dropped += from->dropped;
    into->unsent += from->unsent;
    into->censored += from->censored;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    into->opened += from->opened;
    into->reused += from->reused;
    into->elapsed_ns = larger(into->elapsed_ns, from->elapsed_ns);
    into->setup_ns = larger(into->setup_ns, from->setup_ns);
    into->gap_ns = 0; /* the gaps of each are not those of all */
}

/* Requests under way on average: the ratio is one of averages, so these add up. */
static double in_flight(const struct result *result)
{
    const struct hdr *hdr = result_main_latency(result)->hdr;
    if (!hdr || hdr->count == 0)
        return NAN;
    return result->validity.littles_law * result_rate(result) * (double)hdr->sum /
           (double)hdr->count;
}

/* Room for all of them, and one more, so that it is never NULL. */
static double *grow(double **list, unsigned count)
{
    double *more = realloc(*list, (count + 1) * sizeof **list);
    if (more)
        *list = more;
    return more;
}

/* Of one who does not tell how long its loops waited, that is not known. */
static int merge_loops(struct result_validity *mine, const struct result_validity *other)
{
    unsigned count = mine->loops + other->loops;
    bool told = mine->loop_waited != NULL;
    if (!grow(&mine->loop_busy, count) || !grow(&mine->loop_waited, count))
        return -ENOMEM;
    for (unsigned i = 0; !told && i < mine->loops; i++)
        mine->loop_waited[i] = NAN;
    for (unsigned i = 0; i < other->loops; i++) {
        mine->loop_busy[mine->loops] = other->loop_busy[i];
        mine->loop_waited[mine->loops++] =
            other->loop_waited ? other->loop_waited[i] : (double)NAN;
    }
    return 0;
}

static int merge_validity(struct result *into, const struct result *from)
{
    struct result_validity *mine = &into->validity;
    const struct result_validity *other = &from->validity;
    int err = merge_loops(mine, other);
    if (err)
        return err;
    if (other->verdict > mine->verdict)
        mine->verdict = other->verdict;
    for (unsigned i = 0; i < other->reason_count; i++) {
        bool known = mine->reason_count == RESULT_REASONS_MAX;
        for (unsigned n = 0; n < mine->reason_count; n++)
            known |= strcmp(mine->reasons[n], other->reasons[i]) == 0;
        if (!known)
            memcpy(mine->reasons[mine->reason_count++], other->reasons[i],
                   RESULT_REASON_MAX);
    }
    mine->backlog_max += other->backlog_max;
    mine->stall_ns = larger(mine->stall_ns, other->stall_ns);
    return 0;
}

static void add_known(int64_t *into, int64_t from)
{
    *into = *into < 0 || from < 0 ? RESULT_UNKNOWN : sum_of(*into, from);
}

static void merge_plan(struct result_plan *into, const struct result_plan *from)
{
    add_known(&into->connections, from->connections);
    add_known(&into->loops, from->loops);
    add_known(&into->procs, from->procs);
    add_known(&into->requests, from->requests);
    into->rate_per_s += from->rate_per_s;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int merge_server(struct result_server *into, const struct result_server *from)
{
    if (into->source != RESULT_SOURCE_NONE || from->source == RESULT_SOURCE_NONE)
        return 0;
    struct result_worker *workers = calloc(from->worker_count + 1, sizeof *workers);
    char *name = copy(from->name);
    if (!workers || (from->name && !name)) {
        free(workers);
        free(name);
        return -ENOMEM;
    }
    if (from->worker_count)
        memcpy(workers, from->workers, from->worker_count * sizeof *workers);
    free(into->name);
    free(into->workers);
    *into = *from;
    into->name = name;
    into->workers = workers;
    return 0;
}

static double mean_of(double a, uint64_t a_count, double b, uint64_t b_count)
{
    return (a * (double)a_count + b * (double)b_count) / (double)(a_count + b_count);
}

static int merge_hold(struct result *into, const struct result *from)
{
    const struct result_hold *other = from->hold;
    struct result_hold *mine = into->hold;
    if (!other)
        return 0;
    if (!mine) {
        into->hold = malloc(sizeof *into->hold);
        if (!into->hold)
            return -ENOMEM;
        *into->hold = *other;
        return 0;
    }
    if (mine->held + other->held) {
        mine->user_bytes =
            mean_of(mine->user_bytes, mine->held, other->user_bytes, other->held);
        mine->kernel_bytes =
            mean_of(mine->kernel_bytes, mine->held, other->kernel_bytes, other->held);
    }
    /* The server's bytes are those of all connections: of nobody's alone. */
    mine->server_user_bytes = mine->server_kernel_bytes = NAN;
    mine->asked += other->asked;
    mine->held += other->held;
    mine->lost += other->lost;
    mine->connect_ns = larger(mine->connect_ns, other->connect_ns);
    return 0;
}

static void merge_marks(struct result *into, const struct result *from)
{
    for (size_t i = 0; i < from->mark_count && into->mark_count < RESULT_MARKS_MAX; i++)
        into->marks[into->mark_count++] = from->marks[i];
}

int merge_result(struct result *into, const struct result *from, char *why, size_t why_len)
{
    int err = check(into, from, why, why_len);
    if (err)
        return err;
    double under_way = in_flight(into) + in_flight(from);
    if ((err = merge_latencies(into, from)) || (err = merge_rows(into, from)) ||
        (err = merge_validity(into, from)) ||
        (err = merge_server(&into->server, &from->server)) ||
        (err = merge_hold(into, from)))
        return err;
    merge_totals(&into->totals, &from->totals);
    merge_plan(&into->plan, &from->plan);
    merge_marks(into, from);
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        into->status[i] += from->status[i];
    for (size_t i = 0; i < from->error_count; i++)
        merge_error(into, &from->errors[i]);
    into->errors_beyond += from->errors_beyond;
    into->validity.littles_law = 1;
    into->validity.littles_law = under_way / in_flight(into);
    return 0;
}

bool merge_is_same(const struct result *a, const struct result *b)
{
    const struct hdr *one = result_main_latency(a)->hdr;
    const struct hdr *other = result_main_latency(b)->hdr;
    return one && other && one->count > 0 && a->totals.elapsed_ns == b->totals.elapsed_ns &&
           one->sum == other->sum &&
           memcmp(one->slots, other->slots, sizeof one->slots) == 0;
}
