#include "bench/report_html.h"

#include "bench/verdict.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <prefork/base.h>
#include <stdlib.h>
#include <string.h>

void page_section(const struct page *page, const char *heading, const char *remark)
{
    fprintf(page->to, "<section>\n<h2>%s</h2>\n", heading);
    if (remark[0])
        fprintf(page->to, "<p class=\"remark\">%s</p>\n", remark);
}

void page_end(const struct page *page)
{
    fputs("</section>\n", page->to);
}

void page_key(const struct page *page, const char *class, const char *text)
{
    fprintf(page->to,
            "<span><svg viewBox=\"0 0 22 10\" aria-hidden=\"true\"><path class=\"line %s\" "
            "d=\"M1 5H21\"/></svg>%s</span>\n",
            class, text);
}

void page_facts(const struct page *page)
{
    fputs("<dl class=\"facts\">\n", page->to);
}

void page_fact(const struct page *page, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(page->to, "<dt>%s</dt><dd>", name);
    plot_text(page->to, value);
    fputs("</dd>\n", page->to);
}

void page_facts_end(const struct page *page)
{
    fputs("</dl>\n", page->to);
}

char *page_label_time(double ns, char *text)
{
    return figure_span(ns < (double)RESULT_MOST ? (int64_t)(ns + 0.5) : RESULT_MOST, text);
}

bool page_has(const struct result *result, enum result_kind kind)
{
    return result->latency[kind].hdr && result->latency[kind].hdr->count;
}

/* ---- the head ------------------------------------------------------------------------ */

static void put_pieces(FILE *to, const char *const *pieces)
{
    for (; *pieces; pieces++)
        fputs(*pieces, to);
}

static const char *text_or(const char *text, const char *other)
{
    return text ? text : other;
}

static void put_head(const struct page *page)
{
    const struct result_plan *plan = &page->result->plan;
    FILE *to = page->to;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"generator\" content=\"prefork-bench " PF_VERSION "\">\n<title>",
          to);
    plot_text(to, text_or(plan->target, "prefork-bench"));
    fputs(" - prefork-bench</title>\n<style>\n", to);
    put_pieces(to, page_style);
    fputs("</style>\n</head>\n<body>\n<main>\n<h1>", to);
    plot_text(to, text_or(plan->target, "prefork-bench"));
    fputs("</h1>\n", to);
}

/* "open 50,000/s poisson, 256 connections, 4 loops, 10s (+2s warm-up)" */
static void put_plan(const struct page *page)
{
    const struct result_plan *plan = &page->result->plan;
    char figure[FIGURE_MAX];
    FILE *to = page->to;
    if (plan->vs) {
        fputs("<p class=\"sub\">A against B: <b>", to);
        plot_text(to, plan->vs);
        fputs("</b></p>\n", to);
    }
    fputs("<p class=\"sub\">", to);
    plot_text(to, text_or(plan->mode, "run"));
    if (plan->load) {
        fputs(", ", to);
        plot_text(to, plan->load);
        fputs(" loop", to);
    }
    if (!isnan(plan->rate_per_s))
        fprintf(to, " at %s/s", figure_rate(plan->rate_per_s, figure));
    if (plan->arrival) {
        fputc(' ', to);
        plot_text(to, plan->arrival);
    }
    if (plan->connections > 0)
        fprintf(to, ", %s connection%s", figure_groups((uint64_t)plan->connections, figure),
                plan->connections == 1 ? "" : "s");
    if (plan->loops > 0)
        fprintf(to, ", %" PRId64 " loop%s", plan->loops, plan->loops == 1 ? "" : "s");
    if (plan->pipeline > 1)
        fprintf(to, ", %" PRId64 " pipelined", plan->pipeline);
    if (plan->requests > 0)
        fprintf(to, ", %s requests", figure_groups((uint64_t)plan->requests, figure));
    else if (plan->duration_ns > 0)
        fprintf(to, ", %s", figure_span(plan->duration_ns, figure));
    if (plan->warmup_ns > 0)
        fprintf(to, " (+%s warm-up)", figure_span(plan->warmup_ns, figure));
    if (page->result->environment.time_utc) {
        fputs(" &middot; ", to);
        plot_text(to, page->result->environment.time_utc);
    }
    fputs("</p>\n", to);
}

static void put_verdict(const struct page *page)
{
    static const char *const classes[] = {"valid", "suspect", "invalid"};
    const struct result *result = page->result;
    const struct result_validity *validity = &result->validity;
    char figure[FIGURE_MAX];
    FILE *to = page->to;
    struct result_load load;
    fprintf(to, "<div class=\"banner %s\"><b>%s</b>", classes[validity->verdict],
            verdict_name(validity->verdict));
    if (result_busiest(result, &load)) {
        fprintf(to, "generator %.0f%% of %u loop%s", load.busy * 100, validity->loops,
                validity->loops == 1 ? "" : "s");
        if (!isnan(load.waited))
            fprintf(to, " (%.0f%% CPU, %.0f%% waiting for one)", load.had * 100,
                    load.waited * 100);
        fputs(", ", to);
    }
    if (page_has(result, RESULT_LAG))
        fprintf(
            to, "lag p99 %s, ",
            figure_time(hdr_percentile(result->latency[RESULT_LAG].hdr, 99000), figure));
    fprintf(to, "backlog %s, ", figure_groups(validity->backlog_max, figure));
    fprintf(to, "%s dropped, ", figure_groups(result->totals.dropped, figure));
    fprintf(to, "%s censored &middot; exit %d",
            figure_groups(result->totals.censored, figure), result->exit_code);
    if (result->exit_why[0]) {
        fputs(": ", to);
        plot_text(to, result->exit_why);
    }
    if (validity->reason_count) {
        fputs("\n<ul>\n", to);
        for (unsigned i = 0; i < validity->reason_count; i++) {
            fputs("<li>", to);
            plot_text(to, validity->reasons[i]);
            fputs("</li>\n", to);
        }
        fputs("</ul>", to);
    }
    fputs("</div>\n", to);
}

static void put_slos(const struct page *page)
{
    const struct result *result = page->result;
    if (result->slo_count == 0)
        return;
    fputs("<p>", page->to);
    for (size_t i = 0; i < result->slo_count; i++) {
        const struct result_slo *slo = &result->slos[i];
        fprintf(page->to, "<span class=\"chip %s\">%s ", slo->pass ? "good" : "bad",
                slo->pass ? "&#10003;" : "&#10007;");
        plot_text(page->to, slo->expr);
        fputs(" (", page->to);
        plot_text(page->to, slo->actual_text[0] ? slo->actual_text : "unknown");
        fputs(")</span>", page->to);
    }
    fputs("</p>\n", page->to);
}

/* ---- the end ------------------------------------------------------------------------- */

static int put_end(const struct page *page)
{
    FILE *to = page->to;
    fputs("<footer>The numbers of this page stand in it as a document of schema "
          "<code>" RESULT_SCHEMA "</code>: <code>#data</code>.</footer>\n</main>\n"
          "<script type=\"application/json\" id=\"data\">\n",
          to);
    int err = report_json(page->result, to);
    if (err)
        return err;
    fputs("</script>\n<script>\n", to);
    put_pieces(to, page_script);
    fputs("</script>\n</body>\n</html>\n", to);
    return ferror(to) ? -EIO : 0;
}

int report_html(const struct result *result, const struct result *baseline, FILE *to)
{
    int error = 0;
    const struct page page = {
        .result = result, .baseline = baseline, .to = to, .error = &error};
    put_head(&page);
    put_plan(&page);
    put_verdict(&page);
    put_slos(&page);
    page_tiles(&page);
    if (page_has_sides(&page))
        page_comparison(&page);
    page_percentiles(&page);
    page_heat(&page);
    page_rates(&page);
    page_search(&page);
    page_workers(&page);
    page_stages(&page);
    page_modes(&page);
    page_errors(&page);
    if (!page_has_sides(&page))
        page_comparison(&page);
    page_environment(&page);
    int err = put_end(&page);
    return error ? error : err;
}
