/* The rows of the summary that hold times: the table of percentiles, and the sparklines. */
#include "bench/report_text.h"

#include "bench/figure.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Of a column of the table. */
#define CELL 7

/* Up to this many rows stand in one line with each other, more in two. */
#define SPARK_SHORT 10
#define SPARK_LONG  40

static const struct {
    const char *name;
    int64_t percent;
} percents[] = {
    {"p50", 50000}, {"p90", 90000}, {"p99", 99000}, {"p99.9", 99900}, {"p99.99", 99990}};

#define PERCENTS (sizeof percents / sizeof percents[0])

static void print_head(struct text *text)
{
    fprintf(text->to, "  %-8s%*s", "", CELL, "min");
    for (size_t i = 0; i < PERCENTS; i++)
        fprintf(text->to, "%*s", CELL, percents[i].name);
    fprintf(text->to, "%*s%*s\n", CELL, "max", CELL, "mean");
}

/* A time that may be a lower bound. At least a blank stands before it, however wide. */
static void print_cell(struct text *text, int64_t ns, bool at_least)
{
    char figure[FIGURE_MAX], cell[FIGURE_MAX + 2];
    snprintf(cell, sizeof cell, "%s%s", at_least ? ">=" : "", figure_time(ns, figure));
    fprintf(text->to, " %*s", CELL - 1, cell);
}

static void print_times(struct text *text, const char *name, enum result_kind kind,
                        const char *remark)
{
    const struct result_latency *latency = &text->result->latency[kind];
    const struct hdr *hdr = latency->hdr;
    if (!hdr || hdr->count == 0)
        return;
    int64_t bound = latency->censored_at_ns < 0 ? INT64_MAX : latency->censored_at_ns;
    fprintf(text->to, "  %-8s", name);
    print_cell(text, hdr->min, hdr->min >= bound);
    for (size_t i = 0; i < PERCENTS; i++) {
        int64_t ns = hdr_percentile(hdr, percents[i].percent);
        if (hdr_can_tell(hdr, percents[i].percent))
            print_cell(text, ns, ns >= bound);
        else
            fprintf(text->to, "%*s", CELL, "-");
    }
    print_cell(text, hdr->max, hdr->max >= bound);
    print_cell(text, hdr_mean(hdr), bound != INT64_MAX);
    fprintf(text->to, "  %s\n", remark);
}

void text_latency(struct text *text)
{
    const struct result *result = text->result;
    bool any = false;
    /* Lag stands in the row of the verdict. */
    for (int kind = 0; kind < RESULT_KINDS; kind++)
        any |= kind != RESULT_LAG && result->latency[kind].hdr &&
               result->latency[kind].hdr->count;
    if (!any)
        return;
    const struct hdr *connect = result->latency[RESULT_CONNECT].hdr;
    char count[FIGURE_MAX] = "", remark[FIGURE_MAX + 2];
    if (connect)
        figure_count((double)connect->count, count);
    snprintf(remark, sizeof remark, "n=%s", count);
    print_head(text);
    print_times(text, "response", RESULT_RESPONSE, "from due");
    print_times(text, "service", RESULT_SERVICE, "from send");
    print_times(text, "ttfb", RESULT_TTFB, "from send");
    print_times(text, "error", RESULT_REFUSED, "from send");
    print_times(text, "connect", RESULT_CONNECT, remark);
}

/* ---- over time ----------------------------------------------------------------------- */

/* A row of bars: each is of one row of the series, or of several: the lowest of them, or
 * the highest, since it is the extremes that are looked for. */
struct spark {
    const char *name;
    double (*value)(const struct result_row *row);
    bool lowest;
};

static double row_rate(const struct result_row *row)
{
    return row->span_ns > 0 ? (double)row->ok * 1e9 / (double)row->span_ns : 0;
}

static double row_p99(const struct result_row *row)
{
    return row->p99_ns < 0 ? 0 : (double)row->p99_ns;
}

static const struct spark spark_rate = {"req/s", row_rate, true};
static const struct spark spark_p99 = {"p99/s", row_p99, false};

static void print_bar(struct text *text, double share)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ascii[] = "_.:-=+*#";
    int level = share > 0 ? (int)(share * 8) : 0;
    if (level > 7)
        level = 7;
    if (text->style->utf8)
        fputs(blocks[level], text->to);
    else
        fputc(ascii[level], text->to);
    text->column++;
}

/* Rates are of the measurement's time: a row of the drain behind it says nothing of them.
 */
static size_t rows_in_time(const struct result *result)
{
    size_t count = result->row_count;
    int64_t elapsed_ns = result->totals.elapsed_ns;
    while (count > 1 && elapsed_ns > 0 &&
           result->rows[count - 1].t_ns - result->rows[count - 1].span_ns >= elapsed_ns)
        count--;
    return count;
}

static double joined(const struct result *result, const struct spark *spark, size_t from,
                     size_t to)
{
    double value = spark->value(&result->rows[from]);
    for (size_t i = from + 1; i < to; i++) {
        double other = spark->value(&result->rows[i]);
        if (spark->lowest ? other < value : other > value)
            value = other;
    }
    return value;
}

static void print_bars(struct text *text, const struct spark *spark)
{
    const struct result *result = text->result;
    if (text->style->plain)
        return;
    size_t count = spark->lowest ? rows_in_time(result) : result->row_count;
    size_t bars = count < SPARK_LONG ? count : SPARK_LONG;
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, spark->value(&result->rows[i]));
    for (size_t i = 0; i < bars; i++) {
        double value = joined(result, spark, i * count / bars, (i + 1) * count / bars);
        print_bar(text, most > 0 ? value / most : 0);
    }
    fputs("  ", text->to);
    text->column += 2;
}

static void print_rate_remark(struct text *text)
{
    const struct result *result = text->result;
    double least = INFINITY, sum = 0, squares = 0;
    size_t count = rows_in_time(result);
    for (size_t i = 0; i < count; i++) {
        double rate = row_rate(&result->rows[i]);
        least = fmin(least, rate);
        sum += rate;
    }
    double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += pow(row_rate(&result->rows[i]) - mean, 2);
    char figure[FIGURE_MAX], share[FIGURE_MAX];
    int width = fprintf(text->to, "min %s", figure_count(floor(least), figure));
    /* The spread of two or more, as a share of their mean. */
    if (count > 1 && mean > 0)
        width += fprintf(text->to, "  sd %s",
                         figure_share(sqrt(squares / (double)(count - 1)) / mean, share));
    text->column += width;
}

static void print_p99_remark(struct text *text)
{
    const struct result *result = text->result;
    const struct result_row *worst = &result->rows[0];
    for (size_t i = 1; i < result->row_count; i++)
        if (result->rows[i].p99_ns > worst->p99_ns)
            worst = &result->rows[i];
    char time[FIGURE_MAX];
    int64_t began = worst->t_ns > worst->span_ns ? worst->t_ns - worst->span_ns : 0;
    fprintf(text->to, "worst %s at %" PRId64 "s", figure_time(worst->p99_ns, time),
            began / PF_SECOND);
}

void text_spark(struct text *text)
{
    const struct result *result = text->result;
    if (result->row_count < 2)
        return;
    bool any_p99 = false;
    for (size_t i = 0; i < result->row_count; i++)
        any_p99 |= result->rows[i].p99_ns >= 0;
    text_row(text, spark_rate.name);
    print_bars(text, &spark_rate);
    print_rate_remark(text);
    if (any_p99 && (result->row_count <= SPARK_SHORT || text->style->plain)) {
        fprintf(text->to, "   %s ", spark_p99.name);
    } else if (any_p99) {
        text_end(text);
        text_row(text, spark_p99.name);
    }
    if (any_p99) {
        print_bars(text, &spark_p99);
        print_p99_remark(text);
    }
    text_end(text);
}
