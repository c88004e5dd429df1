/* The part of the page that compares: with a baseline, or side A with side B. */
#include "bench/report_html.h"

#include "bench/compare.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* To a tenth, and no -0. */
static double percent(double share)
{
    double tenths = round(share * 1000) / 10;
    return tenths == 0 ? 0 : tenths;
}

static void put_compare_row(const struct page *page, enum compare_number number,
                            const struct compare_row *row)
{
    static const char *const classes[] = {"mute", "mute", "good", "bad"};
    static const char *const words[] = {"&ndash;", "~", "better", "worse"};
    char a[FIGURE_MAX], b[FIGURE_MAX];
    fprintf(page->to, "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>",
            compare_name(number), compare_figure(number, row->a, a),
            compare_figure(number, row->b, b));
    if (isnan(row->change))
        fputs("<td class=\"n\">&ndash;</td><td class=\"n\">&ndash;</td>", page->to);
    else if (isfinite(row->low) && isfinite(row->high))
        fprintf(page->to,
                "<td class=\"n\">%+.1f%%</td><td class=\"n\">%+.1f%% to %+.1f%%</td>",
                percent(row->change), percent(row->low), percent(row->high));
    else
        fprintf(page->to, "<td class=\"n\">%+.1f%%</td><td class=\"n\">too few runs</td>",
                percent(row->change));
    if (isnan(row->p))
        fputs("<td class=\"n\">&ndash;</td>", page->to);
    else
        fprintf(page->to, "<td class=\"n\">%.3f</td>", row->p);
    fprintf(page->to, "<td class=\"%s\">%s</td></tr>\n", classes[row->verdict],
            words[row->verdict]);
}

static void put_comparison(const struct page *page, const struct compare_row *rows,
                           size_t a_count, size_t b_count)
{
    char remark[160];
    snprintf(
        remark, sizeof remark,
        "%zu run%s against %zu: medians, the shift with its 95 %% interval, and p of an "
        "exact rank test.",
        a_count, a_count == 1 ? "" : "s", b_count);
    page_section(page, page->baseline ? "Against the baseline" : "A against B", remark);
    fprintf(
        page->to,
        "<div class=\"scroll\"><table class=\"wide\">\n<tr><th></th><th class=\"n\">%s</th>"
        "<th class=\"n\">%s</th><th class=\"n\">change</th><th class=\"n\">95 %%</th>"
        "<th class=\"n\">p</th><th></th></tr>\n",
        page->baseline ? "baseline" : "A", page->baseline ? "this" : "B");
    for (int i = 0; i < COMPARE_NUMBERS; i++)
        put_compare_row(page, (enum compare_number)i, &rows[i]);
    fputs("</table></div>\n", page->to);
    page_end(page);
}

void page_comparison(const struct page *page)
{
    struct compare_row rows[COMPARE_NUMBERS];
    const struct result *before = page->baseline ? page->baseline : page->result;
    struct result_run *a = NULL, *b = NULL;
    int a_count = compare_side(before, 'A', &a);
    int b_count = compare_side(page->result, page->baseline ? 'A' : 'B', &b);
    int err = a_count < 0 ? a_count : b_count < 0 ? b_count : 0;
    /* A document of a single run is one. */
    if (!err && page->baseline && a_count == 0)
        a[a_count++] = compare_as_run(page->baseline);
    if (!err && page->baseline && b_count == 0)
        b[b_count++] = compare_as_run(page->result);
    if (!err && a_count && b_count) {
        err =
            compare_runs(a, (size_t)a_count, b, (size_t)b_count, COMPARE_MIN_EFFECT, rows);
        if (!err)
            put_comparison(page, rows, (size_t)a_count, (size_t)b_count);
    }
    free(a);
    free(b);
    if (err && err != -E2BIG) /* so many are not compared */
        *page->error = err;
}
