/*
 * report_html_tiles.c - what the page is about, at a glance: of a run its numbers, of a
 * search its answer, of two sides both and their ratio.
 */
#include "bench/report_html.h"

#include "bench/compare.h"
#include "bench/stats.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void put_tile(const struct page *page, const char *name, const char *value,
                     const char *class)
{
    fprintf(page->to,
            "<div class=\"tile\"><span>%s</span><strong%s%s%s>%s</strong></div>\n", name,
            class ? " class=\"" : "", class ? class : "", class ? "\"" : "", value);
}

static void put_percentile_tile(const struct page *page, const char *name, int64_t percent)
{
    const struct result_latency *latency = result_main_latency(page->result);
    char figure[FIGURE_MAX], cell[FIGURE_MAX + 8];
    if (!latency->hdr || !hdr_can_tell(latency->hdr, percent)) {
        put_tile(page, name, "&ndash;", "mute");
        return;
    }
    int64_t ns = hdr_percentile(latency->hdr, percent);
    bool at_least = latency->censored_at_ns >= 0 && ns >= latency->censored_at_ns;
    snprintf(cell, sizeof cell, "%s%s", at_least ? "&ge;" : "", figure_time(ns, figure));
    put_tile(page, name, cell, NULL);
}

static void put_run(const struct page *page)
{
    const struct result *result = page->result;
    const struct result_totals *totals = &result->totals;
    char figure[FIGURE_MAX], cell[FIGURE_MAX + 8];
    uint64_t bad = totals->failed + totals->wrong;
    double cpu = result_cpu_per_request(result);
    snprintf(cell, sizeof cell, "%s/s", figure_rate(result_rate(result), figure));
    put_tile(page, "ok", cell, NULL);
    put_percentile_tile(page, "p50", 50000);
    put_percentile_tile(page, "p99", 99000);
    put_percentile_tile(page, "p99.9", 99900);
    put_tile(page, "failed or wrong", figure_groups(bad, figure), bad ? "bad" : "good");
    if (isnan(cpu))
        put_tile(page, "server CPU/request", "&ndash;", "mute");
    else
        put_tile(page, "server CPU/request", figure_time((int64_t)cpu, figure), NULL);
}

/* ---- a search ------------------------------------------------------------------------ */

/* The trial at that rate that says most of it: the last, which confirmed it. */
static const struct result_trial *trial_at(const struct result_search *search, double rate)
{
    for (unsigned i = search->trial_count; i-- > 0;)
        if (search->trials[i].pass && fabs(search->trials[i].rate - rate) <= rate * 1e-9)
            return &search->trials[i];
    return NULL;
}

static void put_rate(const struct page *page, const char *name, double rate)
{
    char figure[FIGURE_MAX], cell[FIGURE_MAX + 8];
    snprintf(cell, sizeof cell, "%s/s", figure_rate(rate, figure));
    put_tile(page, name, isnan(rate) ? "none" : cell, isnan(rate) ? "mute" : NULL);
}

static void put_time(const struct page *page, const char *name, int64_t ns)
{
    char figure[FIGURE_MAX];
    put_tile(page, name, ns < 0 ? "&ndash;" : figure_time(ns, figure),
             ns < 0 ? "mute" : NULL);
}

static void put_search(const struct page *page)
{
    const struct result_search *search = page->result->search;
    const struct result_trial *trial = trial_at(search, search->pass_max);
    char figure[FIGURE_MAX];
    put_rate(page, "highest that holds", search->pass_max);
    put_rate(page, "lowest that does not", search->fail_min);
    put_time(page, "p50 where it holds", trial ? trial->p50_ns : RESULT_UNKNOWN);
    put_time(page, "p99 where it holds", trial ? trial->p99_ns : RESULT_UNKNOWN);
    put_tile(page, "trials", figure_groups(search->trial_count, figure), NULL);
}

/* ---- two sides ----------------------------------------------------------------------- */

static unsigned runs_of(const struct result *result, char side)
{
    unsigned count = 0;
    for (unsigned i = 0; i < result->run_count; i++)
        count += result->runs[i].side == side;
    return count;
}

bool page_has_sides(const struct page *page)
{
    return runs_of(page->result, 'A') && runs_of(page->result, 'B');
}

/* The median of a side's runs that know the number; NAN: none does. */
static double median_of(const struct result *result, char side, bool rate)
{
    double values[STATS_RUNS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < result->run_count && count < STATS_RUNS_MAX; i++) {
        const struct result_run *run = &result->runs[i];
        if (run->side == side && (rate || run->p99_ns >= 0))
            values[count++] = rate ? run->rate_ok : (double)run->p99_ns;
    }
    return count ? stats_median(values, count) : (double)NAN;
}

static void put_ratio(const struct page *page, const char *name, double a, double b)
{
    char cell[FIGURE_MAX];
    bool known = a > 0 && isfinite(b);
    snprintf(cell, sizeof cell, "%.2f", b / a);
    put_tile(page, name, known ? cell : "&ndash;", known ? NULL : "mute");
}

static void put_sides(const struct page *page)
{
    const struct result *result = page->result;
    double a = median_of(result, 'A', true), b = median_of(result, 'B', true);
    double a_p99 = median_of(result, 'A', false), b_p99 = median_of(result, 'B', false);
    put_rate(page, "ok, A", a);
    put_rate(page, "ok, B", b);
    put_ratio(page, "ok, B/A", a, b);
    put_time(page, "p99, A", isnan(a_p99) ? RESULT_UNKNOWN : (int64_t)a_p99);
    put_time(page, "p99, B", isnan(b_p99) ? RESULT_UNKNOWN : (int64_t)b_p99);
    put_ratio(page, "p99, B/A", a_p99, b_p99);
}

/* ---- all of it ----------------------------------------------------------------------- */

/* What the parts below are of. */
static void put_remark(const struct page *page, const char *remark)
{
    fprintf(page->to, "<p class=\"remark\">%s</p>\n", remark);
}

void page_tiles(const struct page *page)
{
    bool search = page->result->search && page->result->search->trial_count;
    bool sides = page_has_sides(page);
    fputs("<div class=\"tiles\">\n", page->to);
    if (search)
        put_search(page);
    else if (sides)
        put_sides(page);
    else
        put_run(page);
    fputs("</div>\n", page->to);
    if (search)
        put_remark(page, "Percentiles, seconds, server and errors below are those of the "
                         "last trial.");
    else if (sides)
        put_remark(page, "Medians of the runs of each side. Percentiles, seconds, server "
                         "and errors below are those of A's last run.");
}
