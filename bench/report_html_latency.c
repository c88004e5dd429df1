/* The parts of the page about latency: percentiles, what it consists of, and the curve of a
 * search. */
#include "bench/report_html.h"

#include "bench/slo.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Points of a percentile line, and places that say their values. */
#define CURVE_POINTS 240
#define CURVE_PLACES 80

/* ---- percentiles --------------------------------------------------------------------- */

/* What is left above the percentile at x: x = log10(1 / (1 - q)). */
static double left_at(double x)
{
    return pow(10, -x);
}

/* The value at x, in thousandths of a percent the nearest there is. */
static double value_at(const struct hdr *hdr, double x)
{
    uint64_t rank = (uint64_t)ceil((double)hdr->count * (1 - left_at(x)));
    uint64_t seen = 0;
    for (unsigned slot = 0; slot < HDR_SLOTS; slot++) {
        seen += hdr->slots[slot];
        if (seen < rank || seen == 0)
            continue;
        int64_t top = hdr_slot_low(slot) + hdr_slot_width(slot) - 1;
        return (double)(top > hdr->max || slot == HDR_SLOTS - 1 ? hdr->max : top);
    }
    return (double)hdr->max;
}

/* The whole curve in one walk over the slots. */
static void put_curve(struct plot *plot, const struct hdr *hdr, const char *class)
{
    plot_begin(plot, class);
    uint64_t seen = hdr->slots[0];
    unsigned slot = 0;
    double end = fmin(plot->x_high, log10((double)hdr->count));
    for (int i = 0; i <= CURVE_POINTS; i++) {
        double x = end * i / CURVE_POINTS;
        uint64_t rank = (uint64_t)ceil((double)hdr->count * (1 - left_at(x)));
        while (slot < HDR_SLOTS - 1 && (seen < rank || seen == 0))
            seen += hdr->slots[++slot];
        int64_t top = hdr_slot_low(slot) + hdr_slot_width(slot) - 1;
        plot_to(plot, x,
                (double)(top > hdr->max || slot == HDR_SLOTS - 1 ? hdr->max : top));
    }
    plot_end(plot);
}

static void stretch(struct plot *plot, const struct hdr *hdr)
{
    plot->x_high = fmax(plot->x_high, log10((double)hdr->count));
    plot->y_low = fmin(plot->y_low, (double)(hdr->min > 0 ? hdr->min : 1));
    plot->y_high = fmax(plot->y_high, (double)hdr->max);
}

static const char *const curve_classes[RESULT_KINDS] = {
    [RESULT_RESPONSE] = "a", [RESULT_SERVICE] = "b"};
static const char *const curve_names[RESULT_KINDS] = {
    [RESULT_RESPONSE] = "response, from when it was due",
    [RESULT_SERVICE] = "service, from when it was sent"};

static const struct hdr *baseline_hdr(const struct page *page)
{
    const struct hdr *hdr =
        page->baseline ? result_main_latency(page->baseline)->hdr : NULL;
    return hdr && hdr->count ? hdr : NULL;
}

static void put_percent_ticks(const struct plot *plot)
{
    static const char *const labels[] = {"0",      "90%",     "99%",      "99.9%",
                                         "99.99%", "99.999%", "99.9999%", "99.99999%"};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0] && (double)i <= plot->x_high;
         i++)
        plot_tick(plot, (double)i, labels[i]);
}

static void put_places(const struct page *page, const struct plot *plot)
{
    char figure[FIGURE_MAX];
    for (int i = 0; i < CURVE_PLACES; i++) {
        double x0 = plot->x_high * i / CURVE_PLACES;
        double x1 = plot->x_high * (i + 1) / CURVE_PLACES;
        plot_say(plot, x0, x1);
        fprintf(page->to, "p%.*f", x1 < 1 ? 0 : (int)x1, 100 * (1 - left_at(x1)));
        for (int kind = 0; kind < RESULT_KINDS; kind++)
            if (curve_classes[kind] && page_has(page->result, (enum result_kind)kind))
                fprintf(page->to, "\n%.*s %s", (int)strcspn(curve_names[kind], ","),
                        curve_names[kind],
                        figure_time((int64_t)value_at(page->result->latency[kind].hdr, x1),
                                    figure));
        if (baseline_hdr(page))
            fprintf(page->to, "\nbaseline %s",
                    figure_time((int64_t)value_at(baseline_hdr(page), x1), figure));
        plot_said(plot);
    }
}

static void put_percentile_plot(const struct page *page, struct plot *plot, uint64_t count)
{
    const struct result *result = page->result;
    plot_open(plot, "latency by percentile");
    double few = log10((double)count / 10);
    if (few < plot->x_high)
        plot_cell(plot, "few", fmax(few, 0), plot->x_high, plot->y_low, plot->y_high);
    plot_grid(plot, page_label_time);
    put_percent_ticks(plot);
    if (baseline_hdr(page))
        put_curve(plot, baseline_hdr(page), "e dash");
    for (int kind = RESULT_KINDS - 1; kind >= 0; kind--)
        if (curve_classes[kind] && page_has(result, (enum result_kind)kind))
            put_curve(plot, result->latency[kind].hdr, curve_classes[kind]);
    for (size_t i = 0; i < result->slo_count; i++)
        if (!isnan(slo_time_limit(result->slos[i].expr)))
            plot_limit(plot, slo_time_limit(result->slos[i].expr), result->slos[i].expr);
    put_places(page, plot);
    plot_close(plot);
}

void page_percentiles(const struct page *page)
{
    const struct result *result = page->result;
    struct plot plot = {
        .to = page->to, .height = 340, .x_high = 1, .y_low = INFINITY, .y_log = true};
    uint64_t count = 0;
    for (int kind = 0; kind < RESULT_KINDS; kind++) {
        if (!curve_classes[kind] || !page_has(result, (enum result_kind)kind))
            continue;
        stretch(&plot, result->latency[kind].hdr);
        if (result->latency[kind].hdr->count > count)
            count = result->latency[kind].hdr->count;
    }
    if (count == 0)
        return;
    if (baseline_hdr(page))
        stretch(&plot, baseline_hdr(page));
    for (size_t i = 0; i < result->slo_count; i++) {
        double limit = slo_time_limit(result->slos[i].expr);
        if (limit > 0)
            plot.y_high = fmax(plot.y_high, limit);
    }
    plot.y_low *= 0.9;
    plot.y_high *= 1.15;
    page_section(page, "Latency by percentile",
                 "Each step to the right leaves a tenth of the requests. Grey: fewer than "
                 "ten values are beyond, too few to rely on.");
    put_percentile_plot(page, &plot, count);
    fputs("<p class=\"legend\">\n", page->to);
    for (int kind = 0; kind < RESULT_KINDS; kind++)
        if (curve_classes[kind] && page_has(result, (enum result_kind)kind))
            page_key(page, curve_classes[kind], curve_names[kind]);
    if (baseline_hdr(page))
        page_key(page, "e dash", "the baseline's");
    fputs("</p>\n", page->to);
    page_end(page);
}

/* ---- what it consists of ------------------------------------------------------------- */

struct piece {
    const char *class, *name;
    int64_t ns;
};

static int64_t at_percent(const struct page *page, enum result_kind kind, int64_t percent)
{
    const struct hdr *hdr = page->result->latency[kind].hdr;
    return page_has(page->result, kind) && hdr_can_tell(hdr, percent)
               ? hdr_percentile(hdr, percent)
               : 0;
}

static int64_t above_nought(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/* Is connecting a part of most requests? */
static bool connects_each(const struct result *result)
{
    return result->totals.reused < result->totals.sent / 2;
}

static void put_stack(const struct page *page, const char *name, int64_t percent)
{
    int64_t response = at_percent(page, RESULT_RESPONSE, percent);
    int64_t service = at_percent(page, RESULT_SERVICE, percent);
    int64_t ttfb = at_percent(page, RESULT_TTFB, percent);
    const struct piece pieces[] = {
        {"fd", "connect",
         connects_each(page->result) ? at_percent(page, RESULT_CONNECT, percent) : 0},
        {"fa", "waiting to be sent", above_nought(response - service)},
        {"fb", "to the first byte", ttfb},
        {"fc", "the rest of the answer", above_nought(service - ttfb)},
    };
    char figure[FIGURE_MAX];
    int64_t whole = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        whole += pieces[i].ns;
    if (whole == 0 || service == 0)
        return;
    fprintf(page->to, "<p>%s</p>\n<div class=\"stack\">", name);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        if (pieces[i].ns)
            fprintf(page->to,
                    "<div class=\"%s\" style=\"flex:%.4f 0 0\" title=\"%s %s\"></div>",
                    pieces[i].class, (double)pieces[i].ns / (double)whole, pieces[i].name,
                    figure_time(pieces[i].ns, figure));
    fputs("</div>\n<p class=\"legend\" style=\"margin:-6px 0 12px\">", page->to);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        if (pieces[i].ns)
            fprintf(page->to, "<span><i class=\"%s\"></i>%s %s</span>\n", pieces[i].class,
                    pieces[i].name, figure_time(pieces[i].ns, figure));
    fputs("</p>\n", page->to);
}

void page_stages(const struct page *page)
{
    if (at_percent(page, RESULT_SERVICE, 50000) == 0 ||
        !page_has(page->result, RESULT_TTFB))
        return;
    page_section(page, "Where the time goes",
                 "Each part by its own percentile: together they are near the whole, not "
                 "equal to it.");
    put_stack(page, "median", 50000);
    put_stack(page, "p99", 99000);
    page_end(page);
}

/* ---- the curve of a search ----------------------------------------------------------- */

static int by_rate(const void *a, const void *b)
{
    const struct result_trial *l = a, *r = b;
    return (l->rate > r->rate) - (l->rate < r->rate);
}

static int64_t p50_of(const struct result_trial *trial)
{
    return trial->p50_ns;
}

static int64_t p99_of(const struct result_trial *trial)
{
    return trial->p99_ns;
}

/* Trials that only confirm have their dot, and no part in the line: they would bend it back
 * on itself. */
static void put_trial_line(struct plot *plot, const char *class,
                           const struct result_trial *trials, unsigned count,
                           int64_t (*time)(const struct result_trial *trial))
{
    plot_begin(plot, class);
    for (unsigned i = 0; i < count; i++)
        if (!trials[i].confirm && time(&trials[i]) > 0)
            plot_to(plot, trials[i].rate, (double)time(&trials[i]));
    plot_end(plot);
}

static void put_trials(const struct page *page, struct plot *plot,
                       const struct result_trial *trials, unsigned count)
{
    char figure[FIGURE_MAX];
    put_trial_line(plot, "b thin", trials, count, p50_of);
    put_trial_line(plot, "a", trials, count, p99_of);
    double reach = (plot->x_high - plot->x_low) / 60;
    for (unsigned i = 0; i < count; i++) {
        const struct result_trial *trial = &trials[i];
        if (trial->p99_ns <= 0)
            continue;
        plot_dot(plot, trial->pass ? "pass" : "fail", trial->rate, (double)trial->p99_ns);
        plot_say(plot, fmax(trial->rate - reach, plot->x_low), trial->rate + reach);
        fprintf(page->to, "asked %s/s", figure_rate(trial->rate, figure));
        fprintf(page->to, "\nachieved %s/s", figure_rate(trial->achieved, figure));
        fprintf(page->to, "\np50 %s", figure_time(trial->p50_ns, figure));
        fprintf(page->to, "\np99 %s\n%s%s ", figure_time(trial->p99_ns, figure),
                trial->confirm ? "confirming: " : "", trial->pass ? "pass" : "fail");
        plot_text(page->to, trial->why);
        plot_said(plot);
    }
}

static void put_answer(const struct page *page)
{
    const struct result_search *search = page->result->search;
    char figure[FIGURE_MAX];
    fputs("<p class=\"remark\">", page->to);
    if (isnan(search->pass_max))
        fputs("No rate held the goals.", page->to);
    else
        fprintf(page->to, "<b class=\"good\">%s/s</b> holds.",
                figure_rate(search->pass_max, figure));
    if (!isnan(search->fail_min))
        fprintf(page->to, " <b class=\"bad\">%s/s</b> does not.",
                figure_rate(search->fail_min, figure));
    fputs("</p>\n", page->to);
}

void page_search(const struct page *page)
{
    const struct result_search *search = page->result->search;
    struct plot plot = {.to = page->to, .height = 260, .y_low = INFINITY, .y_log = true};
    if (!search || search->trial_count == 0)
        return;
    struct result_trial *trials = calloc(search->trial_count, sizeof *trials);
    if (!trials) {
        *page->error = -ENOMEM;
        return;
    }
    unsigned count = 0;
    for (unsigned i = 0; i < search->trial_count; i++) {
        const struct result_trial *trial = &search->trials[i];
        if (!(trial->rate >= 0) || trial->p99_ns <= 0)
            continue;
        trials[count++] = *trial;
        plot.x_high = fmax(plot.x_high, trial->rate * 1.05);
        plot.y_low =
            fmin(plot.y_low, (double)(trial->p50_ns > 0 ? trial->p50_ns : trial->p99_ns));
        plot.y_high = fmax(plot.y_high, (double)trial->p99_ns);
    }
    page_section(page, "Latency against rate", "");
    put_answer(page);
    if (count && plot.x_high > 0) {
        plot.y_low *= 0.8;
        plot.y_high *= 1.3;
        qsort(trials, count, sizeof *trials, by_rate);
        plot_open(&plot, "latency against rate");
        plot_grid(&plot, page_label_time);
        plot_grid_x(&plot, figure_brief);
        put_trials(page, &plot, trials, count);
        plot_close(&plot);
        fputs("<p class=\"legend\">\n", page->to);
        page_key(page, "a", "p99 (full dots: the goals held)");
        page_key(page, "b thin", "p50");
        fputs("<span>across: requests per second asked for</span></p>\n", page->to);
    }
    free(trials);
    page_end(page);
}
