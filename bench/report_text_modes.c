/* The rows of the summary that only some modes have. */
#include "bench/report_text.h"

#include "bench/compare.h"
#include "bench/figure.h"
#include "bench/stats.h"
#include "bench/verdict.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_conns(struct text *text)
{
    const struct result_totals *totals = &text->result->totals;
    char figure[FIGURE_MAX];
    if (totals->opened == 0)
        return;
    text_row(text, "conns");
    text_item(text, 3, "%s opened", figure_groups(totals->opened, figure));
    text_item(text, 3, "%s requests on one used before",
              figure_groups(totals->reused, figure));
    if (totals->setup_ns > 0)
        text_item(text, 3, "set up in %s", figure_time(totals->setup_ns, figure));
    if (totals->elapsed_ns > 0 && text->result->plan.mode &&
        strcmp(text->result->plan.mode, "storm") == 0)
        text_item(
            text, 3, "%s/s",
            figure_rate((double)totals->opened * 1e9 / (double)totals->elapsed_ns, figure));
    text_end(text);
}

static void print_search(struct text *text)
{
    const struct result_search *search = text->result->search;
    char rate[FIGURE_MAX], achieved[FIGURE_MAX], p50[FIGURE_MAX], p99[FIGURE_MAX];
    if (!search)
        return;
    text_row(text, "search");
    fprintf(text->to, "%10s %10s %8s %8s\n", "rate/s", "achieved", "p50", "p99");
    for (unsigned i = 0; i < search->trial_count; i++) {
        const struct result_trial *trial = &search->trials[i];
        text_row(text, trial->confirm ? "confirm" : "");
        fprintf(text->to, "%10s %10s %8s %8s  %s%s%s", figure_rate(trial->rate, rate),
                figure_rate(trial->achieved, achieved), figure_time(trial->p50_ns, p50),
                figure_time(trial->p99_ns, p99),
                text_colour(text, trial->pass ? TEXT_GREEN : TEXT_RED),
                trial->pass ? "pass" : "FAIL", text_plain(text));
        if (!trial->pass && trial->why[0]) {
            fputc(' ', text->to);
            text_foreign(text, trial->why);
        }
        text_end(text);
    }
    text_row(text, "highest");
    if (isnan(search->pass_max))
        text_item(text, 0, "no rate held the SLO");
    else
        text_item(text, 0, "%s/s holds", figure_rate(search->pass_max, rate));
    if (!isnan(search->fail_min))
        text_item(text, 3, "%s/s does not", figure_rate(search->fail_min, rate));
    text_end(text);
}

static void print_side(struct text *text, const char *side, double user, double kernel)
{
    char figure[FIGURE_MAX], figure2[FIGURE_MAX];
    if (isnan(user) && isnan(kernel))
        return;
    text_item(text, 3, "%s %s user + %s kernel", side, figure_bytes(user, figure),
              figure_bytes(kernel, figure2));
}

static void print_hold(struct text *text)
{
    const struct result_hold *hold = text->result->hold;
    char held[FIGURE_MAX], asked[FIGURE_MAX], figure[FIGURE_MAX];
    if (!hold)
        return;
    text_row(text, "hold");
    text_item(text, 3, "%s of %s held", figure_groups(hold->held, held),
              figure_groups(hold->asked, asked));
    text_item(text, 3, "%s lost", figure_groups(hold->lost, figure));
    if (hold->connect_ns > 0) {
        text_item(text, 3, "opened in %s", figure_time(hold->connect_ns, figure));
        text_item(
            text, 1, "(%s/s)",
            figure_count((double)(hold->held + hold->lost) * 1e9 / (double)hold->connect_ns,
                         figure));
    }
    text_end(text);
    if (isnan(hold->user_bytes) && isnan(hold->kernel_bytes) &&
        isnan(hold->server_user_bytes) && isnan(hold->server_kernel_bytes))
        return;
    text_row(text, "each");
    print_side(text, "here", hold->user_bytes, hold->kernel_bytes);
    print_side(text, "server", hold->server_user_bytes, hold->server_kernel_bytes);
    text_end(text);
}

static void print_reload(struct text *text)
{
    const struct result_reload *reload = text->result->reload;
    char figure[FIGURE_MAX], other[FIGURE_MAX];
    if (!reload)
        return;
    text_row(text, "reload");
    char lost[FIGURE_MAX + 8];
    snprintf(lost, sizeof lost, "LOST %s", figure_groups(reload->lost, figure));
    text_item_in(text, 2, reload->lost ? TEXT_RED : TEXT_GREEN, lost, " of %s",
                 figure_groups(text->result->totals.sent, other));
    text_item(text, 2, "%s retryable", figure_groups(reload->retryable, figure));
    text_item(text, 2, "%s idle closes", figure_groups(reload->harmless, figure));
    if (reload->blackout_ns >= 0)
        text_item(text, 2, "blackout %s", figure_time(reload->blackout_ns, figure));
    text_end(text);
    text_row(text, "");
    text_item(text, 2, "%s commands", figure_groups(reload->commands, figure));
    if (reload->commands_failed)
        text_item(text, 2, "%s of them failed",
                  figure_groups(reload->commands_failed, figure));
    if (reload->generations > 0)
        text_item(text, 2, "%s generations met",
                  figure_groups((uint64_t)reload->generations, figure));
    if (reload->p99_reload_ns >= 0)
        text_item(text, 2, "p99 %s in seconds with one",
                  figure_time(reload->p99_reload_ns, figure));
    if (reload->p99_quiet_ns >= 0)
        text_item(text, 2, "%s without", figure_time(reload->p99_quiet_ns, figure));
    text_end(text);
}

static void print_adversaries(struct text *text)
{
    const struct result *result = text->result;
    char asked[FIGURE_MAX], opened[FIGURE_MAX], cut[FIGURE_MAX], open[FIGURE_MAX],
        p50[FIGURE_MAX], max[FIGURE_MAX];
    if (result->adversary_count == 0)
        return;
    text_row(text, "abuse");
    fprintf(text->to, "%-10s %8s %8s %8s %8s %9s %9s\n", "kind", "asked", "opened", "cut",
            "open", "cut p50", "cut max");
    for (unsigned i = 0; i < result->adversary_count; i++) {
        const struct result_adversary *adversary = &result->adversaries[i];
        text_row(text, "");
        text_foreign(text, adversary->kind);
        fprintf(text->to, "%*s %8s %8s %8s %8s %9s %9s\n", TEXT_INDENT + 10 - text->column,
                "", figure_groups(adversary->asked, asked),
                figure_groups(adversary->opened, opened),
                figure_groups(adversary->cut, cut), figure_groups(adversary->open, open),
                figure_time(adversary->cut ? adversary->cut_p50_ns : -1, p50),
                figure_time(adversary->cut ? adversary->cut_max_ns : -1, max));
    }
}

/* ---- several runs -------------------------------------------------------------------- */

static void print_side_of_runs(struct text *text, char side, unsigned count)
{
    const struct result *result = text->result;
    double rates[STATS_RUNS_MAX], p99s[STATS_RUNS_MAX], low, high;
    char figure[FIGURE_MAX], from[FIGURE_MAX], to[FIGURE_MAX];
    size_t n = 0, known = 0, doubtful = 0;
    for (unsigned i = 0; i < result->run_count && n < STATS_RUNS_MAX; i++) {
        if (result->runs[i].side != side)
            continue;
        rates[n++] = result->runs[i].rate_ok;
        if (result->runs[i].p99_ns >= 0) /* else nothing succeeded */
            p99s[known++] = (double)result->runs[i].p99_ns;
        doubtful += result->runs[i].verdict != RESULT_VALID;
    }
    bool sure = stats_median_interval(rates, n, &low, &high);
    text_row(text, "runs");
    text_item(text, 2, "%c x %u", side, count);
    text_item(text, 2, "median %s/s ok (%s %s to %s)",
              figure_rate(stats_median(rates, n), figure), sure ? "95%" : "range",
              figure_rate(low, from), figure_rate(high, to));
    int64_t p99 = known ? (int64_t)stats_median(p99s, known) : RESULT_UNKNOWN;
    text_item(text, 2, "p99 %s", figure_time(p99, figure));
    if (doubtful)
        text_item(text, 2, "%zu not VALID", doubtful);
    text_end(text);
}

static void print_change(struct text *text, enum compare_number number,
                         const struct compare_row *row)
{
    if (row->verdict == COMPARE_UNKNOWN)
        return;
    if (row->verdict == COMPARE_SAME) {
        text_item(text, 3, "%s ~", compare_name(number));
        return;
    }
    bool worse = row->verdict == COMPARE_WORSE;
    text_item(text, 3, "%s %+.1f%%", compare_name(number), row->change * 100);
    text_item_in(text, 1, worse ? TEXT_RED : TEXT_GREEN, worse ? "worse" : "better", "%s",
                 "");
}

/* What B does to A's numbers, if there are both. */
static void print_sides(struct text *text)
{
    struct result_run *a = NULL, *b = NULL;
    struct compare_row rows[COMPARE_NUMBERS];
    int a_count = compare_side(text->result, 'A', &a);
    int b_count = compare_side(text->result, 'B', &b);
    int err = a_count < 0 ? a_count : b_count < 0 ? b_count : 0;
    if (a_count > 0 && b_count > 0)
        err =
            compare_runs(a, (size_t)a_count, b, (size_t)b_count, COMPARE_MIN_EFFECT, rows);
    if (err == -ENOMEM)
        text->error = err;
    if (a_count > 0 && b_count > 0 && !err) {
        text_row(text, "A to B");
        for (int i = 0; i < COMPARE_NUMBERS; i++)
            print_change(text, (enum compare_number)i, &rows[i]);
        text_end(text);
    }
    free(a);
    free(b);
}

static void print_runs(struct text *text)
{
    const struct result *result = text->result;
    for (char side = 'A'; side <= 'B'; side++) {
        unsigned count = 0;
        for (unsigned i = 0; i < result->run_count; i++)
            count += result->runs[i].side == side;
        if (count > 1)
            print_side_of_runs(text, side, count);
    }
    if (text->result->run_count)
        print_sides(text);
}

void text_modes(struct text *text)
{
    print_conns(text);
    print_search(text);
    print_hold(text);
    print_reload(text);
    print_adversaries(text);
    print_runs(text);
}
