/* The parts of the page that go along with time: the heat map of latencies, and rates. */
#include "bench/report_html.h"

#include "bench/row.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Columns of a drawing: of more rows, neighbours are joined. */
#define COLUMNS_MAX 240

/* Bins of the heat map to a decade, and the first one's lower end in ns. */
#define BINS_PER_DECADE 5
#define BINS_FROM       1e3

/* Space between two marks that are both named, as a share of the width. */
#define MARK_SPACE 0.06
/* How high the tick of a second with errors is, as a share of the plot. */
#define ERROR_TICK 0.04

struct columns {
    struct result_row *rows; /* joined: owned */
    size_t count;
    double end_s;
};

/* Sums, and the worst of times: a drawing is to show what was bad. */
static void join_row(struct result_row *into, const struct result_row *row)
{
    int64_t p50_ns = row->p50_ns > into->p50_ns ? row->p50_ns : into->p50_ns;
    int64_t p99_ns = row->p99_ns > into->p99_ns ? row->p99_ns : into->p99_ns;
    row_join(into, row);
    into->p50_ns = p50_ns;
    into->p99_ns = p99_ns;
}

/* False if there is nothing to draw. */
static bool make_columns(const struct page *page, struct columns *columns)
{
    const struct result *result = page->result;
    size_t rows = result->row_count;
    columns->count = rows < COLUMNS_MAX ? rows : COLUMNS_MAX;
    if (rows < 2)
        return false;
    columns->rows = calloc(columns->count, sizeof *columns->rows);
    if (!columns->rows) {
        *page->error = -ENOMEM;
        return false;
    }
    for (size_t i = 0; i < columns->count; i++) {
        size_t from = i * rows / columns->count, to = (i + 1) * rows / columns->count;
        columns->rows[i] = result->rows[from];
        for (size_t row = from + 1; row < to; row++)
            join_row(&columns->rows[i], &result->rows[row]);
    }
    columns->end_s = (double)result->rows[rows - 1].t_ns / 1e9;
    return true;
}

static double begin_s(const struct result_row *row)
{
    return (double)(row->t_ns - row->span_ns) / 1e9;
}

static double end_s(const struct result_row *row)
{
    return (double)row->t_ns / 1e9;
}

static double per_second(uint64_t count, const struct result_row *row)
{
    return (double)count * 1e9 / (double)row->span_ns;
}

static char *label_seconds(double seconds, char *text)
{
    if (seconds >= 600)
        snprintf(text, FIGURE_MAX, "%gm", round(seconds / 6) / 10);
    else
        snprintf(text, FIGURE_MAX, "%gs", seconds);
    return text;
}

/* Lines down where something happened; of a crowd only the first has its name. */
static void put_marks(const struct page *page, const struct plot *plot)
{
    double named = -INFINITY;
    for (size_t i = 0; i < page->result->mark_count; i++) {
        const struct result_mark *mark = &page->result->marks[i];
        double at = (double)mark->t_ns / 1e9;
        if (at < plot->x_low || at > plot->x_high)
            continue;
        bool crowd = at - named < (plot->x_high - plot->x_low) * MARK_SPACE *
                                      (1 + (double)strlen(mark->text) / 10);
        plot_event(plot, at, crowd ? "" : mark->text);
        if (!crowd)
            named = at;
    }
}

/* ---- the heat map -------------------------------------------------------------------- */

static double bin_low(int bin)
{
    return BINS_FROM * pow(10, (double)bin / BINS_PER_DECADE);
}

/* The lowest and highest bin that hold something; false if none does. */
static bool find_bins(const struct columns *columns, int *low, int *high, uint32_t *most)
{
    *low = RESULT_HEAT_BINS;
    *high = -1;
    *most = 0;
    for (size_t i = 0; i < columns->count; i++)
        for (int bin = 0; bin < RESULT_HEAT_BINS; bin++) {
            uint32_t count = columns->rows[i].heat[bin];
            if (count == 0)
                continue;
            *low = bin < *low ? bin : *low;
            *high = bin > *high ? bin : *high;
            *most = count > *most ? count : *most;
        }
    return *high >= 0;
}

/* By the logarithm: one value beside a million is seen still. */
static const char *shade_of(uint32_t count, uint32_t most)
{
    static const char *const shades[] = {"h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"};
    const size_t last = sizeof shades / sizeof shades[0] - 1;
    double share = most > 1 ? log((double)count) / log((double)most) : 1;
    size_t shade = (size_t)(share * (double)(last + 1));
    return shades[shade > last ? last : shade];
}

static void put_cells(const struct plot *plot, const struct columns *columns, uint32_t most)
{
    fputs("<g class=\"heat\">\n", plot->to);
    for (size_t i = 0; i < columns->count; i++) {
        const struct result_row *row = &columns->rows[i];
        for (int bin = 0; bin < RESULT_HEAT_BINS; bin++) {
            if (row->heat[bin] == 0)
                continue;
            plot_cell(plot, shade_of(row->heat[bin], most), begin_s(row), end_s(row),
                      bin_low(bin), bin_low(bin + 1));
        }
    }
    fputs("</g>\n", plot->to);
}

static void put_heat_places(const struct page *page, const struct plot *plot,
                            const struct columns *columns)
{
    char figure[FIGURE_MAX];
    for (size_t i = 0; i < columns->count; i++) {
        const struct result_row *row = &columns->rows[i];
        plot_say(plot, begin_s(row), end_s(row));
        fprintf(page->to, "%s", label_seconds(begin_s(row), figure));
        fprintf(page->to, " to %s", label_seconds(end_s(row), figure));
        fprintf(page->to, "\np50 %s", figure_time(row->p50_ns, figure));
        fprintf(page->to, "\np99 %s", figure_time(row->p99_ns, figure));
        fprintf(page->to, "\nmax %s", figure_time(row->max_ns, figure));
        plot_said(plot);
    }
}

static void put_rate_strip(const struct page *page, const struct columns *columns)
{
    struct plot plot = {.to = page->to, .height = 60, .x_high = columns->end_s};
    for (size_t i = 0; i < columns->count; i++)
        plot.y_high =
            fmax(plot.y_high, per_second(columns->rows[i].ok, &columns->rows[i]) * 1.05);
    if (plot.y_high <= 0)
        return;
    char figure[FIGURE_MAX];
    fprintf(page->to,
            "<svg viewBox=\"0 0 %d %.0f\" class=\"plot\" role=\"img\" "
            "aria-label=\"ok per second\">\n",
            PLOT_WIDTH, plot.height + PLOT_TOP + 4);
    fprintf(page->to,
            "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"y\" x=\"%d\" y=\"%.1f\">"
            "%s</text>\n",
            PLOT_LEFT, plot_y(&plot, plot.y_high / 1.05), PLOT_WIDTH - PLOT_RIGHT,
            PLOT_LEFT - 8, plot_y(&plot, plot.y_high / 1.05),
            figure_brief(plot.y_high / 1.05, figure));
    plot_begin(&plot, "c");
    for (size_t i = 0; i < columns->count; i++) {
        const struct result_row *row = &columns->rows[i];
        plot_to(&plot, (begin_s(row) + end_s(row)) / 2, per_second(row->ok, row));
    }
    plot_end(&plot);
    plot_close(&plot);
}

void page_heat(const struct page *page)
{
    struct columns columns;
    int low, high;
    uint32_t most;
    if (!make_columns(page, &columns))
        return;
    if (find_bins(&columns, &low, &high, &most)) {
        struct plot plot = {.to = page->to,
                            .height = 280,
                            .x_high = columns.end_s,
                            .y_low = bin_low(low > 0 ? low - 1 : 0),
                            .y_high = bin_low(high + 2),
                            .y_log = true};
        page_section(page, "Latency over time",
                     "How many answers took how long: darker is more, by its logarithm. "
                     "Above: answers per second.");
        put_rate_strip(page, &columns);
        plot_open(&plot, "latency over time");
        plot_grid(&plot, page_label_time);
        plot_grid_x(&plot, label_seconds);
        put_cells(&plot, &columns, most);
        put_marks(page, &plot);
        put_heat_places(page, &plot, &columns);
        plot_close(&plot);
        page_end(page);
    }
    free(columns.rows);
}

/* ---- rates --------------------------------------------------------------------------- */

typedef uint64_t counter_fn(const struct result_row *row);

static uint64_t planned_of(const struct result_row *row)
{
    return row->planned;
}

static uint64_t sent_of(const struct result_row *row)
{
    return row->sent;
}

static uint64_t ok_of(const struct result_row *row)
{
    return row->ok;
}

static void put_rate(struct plot *plot, const struct columns *columns, counter_fn *counter,
                     const char *class)
{
    plot_begin(plot, class);
    for (size_t i = 0; i < columns->count; i++) {
        const struct result_row *row = &columns->rows[i];
        plot_to(plot, (begin_s(row) + end_s(row)) / 2, per_second(counter(row), row));
    }
    plot_end(plot);
}

/* A tick below for each second that had errors: how many, the place itself says. */
static void put_error_ticks(const struct plot *plot, const struct columns *columns)
{
    double top = plot->y_low + (plot->y_high - plot->y_low) * ERROR_TICK;
    for (size_t i = 0; i < columns->count; i++) {
        const struct result_row *row = &columns->rows[i];
        if (row->err > 0)
            plot_cell(plot, "err", begin_s(row), end_s(row), plot->y_low, top);
    }
}

static void put_rate_places(const struct page *page, const struct plot *plot,
                            const struct columns *columns, bool open)
{
    char figure[FIGURE_MAX];
    for (size_t i = 0; i < columns->count; i++) {
        const struct result_row *row = &columns->rows[i];
        plot_say(plot, begin_s(row), end_s(row));
        fprintf(page->to, "%s", label_seconds(begin_s(row), figure));
        fprintf(page->to, " to %s", label_seconds(end_s(row), figure));
        if (open)
            fprintf(page->to, "\nplanned %s/s",
                    figure_rate(per_second(row->planned, row), figure));
        fprintf(page->to, "\nsent %s/s", figure_rate(per_second(row->sent, row), figure));
        fprintf(page->to, "\nok %s/s", figure_rate(per_second(row->ok, row), figure));
        if (row->err)
            fprintf(page->to, "\nerrors %s", figure_groups(row->err, figure));
        if (row->backlog)
            fprintf(page->to, "\nbacklog %s", figure_groups(row->backlog, figure));
        plot_said(plot);
    }
}

void page_rates(const struct page *page)
{
    const struct result *result = page->result;
    bool open = result->plan.load && strcmp(result->plan.load, "open") == 0;
    bool errors = false;
    struct columns columns;
    if (!make_columns(page, &columns))
        return;
    struct plot plot = {.to = page->to, .height = 220, .x_high = columns.end_s};
    for (size_t i = 0; i < columns.count; i++) {
        const struct result_row *row = &columns.rows[i];
        plot.y_high = fmax(plot.y_high, per_second(row->ok, row));
        plot.y_high = fmax(plot.y_high, per_second(row->sent, row));
        if (open)
            plot.y_high = fmax(plot.y_high, per_second(row->planned, row));
        errors |= row->err > 0;
    }
    plot.y_high = plot.y_high > 0 ? plot.y_high * 1.1 : 1;
    page_section(page, "Requests per second", "");
    plot_open(&plot, "requests per second");
    plot_grid(&plot, figure_brief);
    plot_grid_x(&plot, label_seconds);
    put_error_ticks(&plot, &columns);
    put_marks(page, &plot);
    if (open)
        put_rate(&plot, &columns, planned_of, "e dash thin");
    put_rate(&plot, &columns, sent_of, "a thin");
    put_rate(&plot, &columns, ok_of, "b");
    put_rate_places(page, &plot, &columns, open);
    plot_close(&plot);
    fputs("<p class=\"legend\">\n", page->to);
    if (open)
        page_key(page, "e dash thin", "planned");
    page_key(page, "a thin", "sent");
    page_key(page, "b", "ok");
    if (errors)
        fputs("<span><i style=\"background:var(--bad)\"></i>with errors</span>\n",
              page->to);
    fputs("</p>\n", page->to);
    page_end(page);
    free(columns.rows);
}
