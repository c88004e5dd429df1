#include "bench/report_text.h"

#include "bench/figure.h"
#include "bench/utf8.h"
#include "bench/verdict.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <prefork/base.h>
#include <stdarg.h>
#include <string.h>

/* Response beyond service by this factor, and this time, is said in a sentence. */
#define QUEUE_FACTOR 2
#define QUEUE_LEAST  PF_MILLISECOND
/* It was the generator's own lateness if that is at least the response by this factor. */
#define QUEUE_OWN 4

#define ITEM_MAX 512

void text_row(struct text *text, const char *name)
{
    text->column = fprintf(text->to, "  %-*s", TEXT_INDENT - 2, name);
}

/* Characters; each has a column. */
static int columns(const char *item)
{
    int count = 0;
    for (; *item; count++)
        utf8_next(&item);
    return count;
}

/* Foreign text may be in it. */
static void put(const struct text *text, const char *item)
{
    while (*item) {
        uint32_t character = utf8_next(&item);
        bool shown = !utf8_is_control(character) && (character < 0x80 || text->style->utf8);
        utf8_put(shown ? character : '?', text->to);
    }
}

/* Room for an item of that width: in this line, or in a new one. */
static void make_room(struct text *text, int gap, int width)
{
    if (text->column == TEXT_INDENT) {
        gap = 0;
    } else if (text->column + gap + width > TEXT_COLUMNS) {
        fprintf(text->to, "\n%*s", TEXT_INDENT, "");
        text->column = TEXT_INDENT;
        gap = 0;
    }
    fprintf(text->to, "%*s", gap, "");
    text->column += gap + width;
}

void text_item(struct text *text, int gap, const char *format, ...)
{
    char item[ITEM_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(item, sizeof item, format, args);
    va_end(args);
    make_room(text, gap, columns(item));
    put(text, item);
}

void text_item_in(struct text *text, int gap, enum text_colour colour, const char *head,
                  const char *format, ...)
{
    char item[ITEM_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(item, sizeof item, format, args);
    va_end(args);
    make_room(text, gap, columns(head) + columns(item));
    fputs(text_colour(text, colour), text->to);
    put(text, head);
    fputs(text_plain(text), text->to);
    put(text, item);
}

void text_end(struct text *text)
{
    fputc('\n', text->to);
}

void text_foreign(struct text *text, const char *foreign)
{
    text->column += utf8_print(foreign, !text->style->utf8, text->to);
}

void text_words(struct text *text, const char *sentence)
{
    while (*sentence) {
        size_t len = strcspn(sentence, " ");
        text_item(text, 1, "%.*s", (int)len, sentence);
        sentence += len + strspn(sentence + len, " ");
    }
}

const char *text_colour(const struct text *text, enum text_colour colour)
{
    if (!text->style->colour)
        return "";
    switch (colour) {
    case TEXT_GREEN:
        return "\033[32m";
    case TEXT_YELLOW:
        return "\033[33m";
    case TEXT_RED:
        break;
    }
    return "\033[31m";
}

const char *text_plain(const struct text *text)
{
    return text->style->colour ? "\033[0m" : "";
}

/* ---- the head ------------------------------------------------------------------------ */

static bool is_open(const struct result *result)
{
    return result->plan.load && strcmp(result->plan.load, "open") == 0;
}

static void print_title(struct text *text)
{
    const struct result_plan *plan = &text->result->plan;
    char figure[FIGURE_MAX];
    FILE *to = text->to;
    fprintf(to, "prefork-bench %d.%d  ", PF_VERSION_MAJOR, PF_VERSION_MINOR);
    if (plan->mode && strcmp(plan->mode, "run") != 0) {
        text_foreign(text, plan->mode);
        fputs("  ", to);
    }
    text_foreign(text, plan->target ? plan->target : "-");
    if (plan->load) {
        fputs("  ", to);
        text_foreign(text, plan->load);
    }
    if (is_open(text->result)) {
        fprintf(to, " %s/s ", figure_rate(plan->rate_per_s, figure));
        text_foreign(text, plan->arrival ? plan->arrival : "");
    }
    if (plan->connections >= 0)
        fprintf(to, "  c=%" PRId64, plan->connections);
    if (plan->loops >= 0)
        fprintf(to, " t=%" PRId64, plan->loops);
    if (plan->procs > 1)
        fprintf(to, " procs=%" PRId64, plan->procs);
    if (plan->pipeline > 1)
        fprintf(to, " pipeline=%" PRId64, plan->pipeline);
    if (plan->requests > 0)
        fprintf(to, "  n=%s", figure_groups((uint64_t)plan->requests, figure));
    else if (plan->duration_ns > 0)
        fprintf(to, "  %s", figure_span(plan->duration_ns, figure));
    if (plan->warmup_ns > 0)
        fprintf(to, " (+%s warm-up)", figure_span(plan->warmup_ns, figure));
    fputc('\n', to);
}

static enum text_colour verdict_colour(enum result_verdict verdict)
{
    return verdict == RESULT_VALID     ? TEXT_GREEN
           : verdict == RESULT_SUSPECT ? TEXT_YELLOW
                                       : TEXT_RED;
}

static void print_verdict(struct text *text)
{
    const struct result *result = text->result;
    const struct result_validity *validity = &result->validity;
    char figure[FIGURE_MAX];
    struct result_load load;
    text->column = fprintf(
        text->to, "  %s%-*s%s", text_colour(text, verdict_colour(validity->verdict)),
        TEXT_INDENT - 2, verdict_name(validity->verdict), text_plain(text));
    text->column = TEXT_INDENT;
    if (result_busiest(result, &load)) {
        bool told = !isnan(load.waited);
        text_item(text, 1, "generator %.0f%% of %u loop%s%s", load.busy * 100,
                  validity->loops, validity->loops == 1 ? "" : "s", told ? "" : ",");
        if (told)
            text_item(text, 1, "(%.0f%% CPU, %.0f%% waiting for one),", load.had * 100,
                      load.waited * 100);
    }
    const struct hdr *lag = result->latency[RESULT_LAG].hdr;
    int percent = verdict_lag_percent(lag);
    if (percent)
        text_item(text, 1, "lag p%d %s,", percent,
                  figure_time(hdr_percentile(lag, percent * HDR_PERCENT), figure));
    else if (lag && lag->count)
        text_item(text, 1, "lag max %s,", figure_time(lag->max, figure));
    if (is_open(result)) {
        text_item(text, 1, "backlog %s,", figure_groups(validity->backlog_max, figure));
        text_item(text, 1, "%s dropped,", figure_groups(result->totals.dropped, figure));
    }
    text_item(text, 1, "censored %s", figure_groups(result->totals.censored, figure));
    text_end(text);
    for (unsigned i = 0; i < validity->reason_count; i++) {
        text_row(text, "");
        text_words(text, validity->reasons[i]);
        text_end(text);
    }
}

static void print_rate(struct text *text)
{
    const struct result *result = text->result;
    const struct result_totals *totals = &result->totals;
    char figure[FIGURE_MAX], out[FIGURE_MAX];
    if (totals->elapsed_ns <= 0)
        return;
    /* Working off a backlog takes longer than the schedule did. */
    double seconds = result_seconds(result);
    text_row(text, "rate");
    if (is_open(result)) {
        double rate = result->plan.rate_per_s;
        text_item(text, 2, "%s/s planned",
                  figure_rate(rate > 0 ? rate : (double)totals->planned / seconds, figure));
        text_item(text, 2, "%s/s sent",
                  figure_rate((double)totals->sent / seconds, figure));
    }
    text_item(text, 2, "%s/s ok", figure_rate(result_rate(result), figure));
    text_item(text, 3, "%s/s in  %s/s out",
              figure_bytes((double)totals->bytes_in / seconds, figure),
              figure_bytes((double)totals->bytes_out / seconds, out));
    if (!is_open(result)) {
        char time[FIGURE_MAX];
        uint64_t in_time =
            totals->ok_in_time < 0 ? totals->ok : (uint64_t)totals->ok_in_time;
        text_item(text, 3, "%s ok in %s", figure_groups(in_time, figure),
                  figure_time(totals->elapsed_ns, time));
        if (totals->ok > in_time)
            text_item(text, 1, "and %s later", figure_groups(totals->ok - in_time, figure));
    }
    text_end(text);
}

/* ---- the end ------------------------------------------------------------------------- */

static void print_slos(struct text *text)
{
    const struct result *result = text->result;
    if (result->slo_count == 0)
        return;
    text_row(text, "slo");
    for (size_t i = 0; i < result->slo_count; i++) {
        const struct result_slo *slo = &result->slos[i];
        text_item_in(text, 3, slo->pass ? TEXT_GREEN : TEXT_RED,
                     slo->pass ? "PASS" : "FAIL", " %s (%s)", slo->expr,
                     slo->actual_text[0] ? slo->actual_text : "unknown");
    }
    text_end(text);
}

/* The client waited much longer than the server took: it was the queue before it. */
static void print_queue_note(struct text *text)
{
    const struct result *result = text->result;
    const struct hdr *response = result->latency[RESULT_RESPONSE].hdr;
    const struct hdr *service = result->latency[RESULT_SERVICE].hdr;
    if (!is_open(result) || !response || !service || response->count == 0 ||
        service->count == 0)
        return;
    int64_t waited = hdr_percentile(response, 99000);
    int64_t served = hdr_percentile(service, 99000);
    if (waited / QUEUE_FACTOR < served || waited - served < QUEUE_LEAST)
        return;
    char figure[FIGURE_MAX];
    text_row(text, "note");
    /* A queue that the generator made itself is not the server's fault. */
    const struct hdr *lag = result->latency[RESULT_LAG].hdr;
    int64_t own = lag && lag->count ? hdr_percentile(lag, 99000) : 0;
    /* Lag beyond the response time is of requests that failed: it made no queue of these.
     */
    bool late = own >= waited / QUEUE_OWN && own <= waited;
    text_item(text, 0, "response >> service: %s, backlog %s",
              late ? "the generator was late itself"
                   : "the server could not keep up with the rate",
              figure_groups(result->validity.backlog_max, figure));
    text_end(text);
}

static void print_notes(struct text *text)
{
    const struct result *result = text->result;
    const struct result_totals *totals = &result->totals;
    char figure[FIGURE_MAX];
    print_queue_note(text);
    if (totals->censored) {
        text_row(text, "note");
        text_item(text, 0,
                  "%s unanswered at the end: \">=\" marks what is at least so long",
                  figure_groups(totals->censored, figure));
        text_end(text);
    }
    if (totals->unsent) {
        text_row(text, "note");
        text_item(text, 0, "%s requests were never sent",
                  figure_groups(totals->unsent, figure));
        text_end(text);
    }
    const char *mode = result->plan.mode;
    if (result->plan.load && !is_open(result) && mode && strcmp(mode, "run") == 0) {
        text_row(text, "note");
        text_item(text, 0, "closed loop: latency excludes waiting; use -R or search");
        text_end(text);
    }
}

/* The reason of the exit status, or what there is to be glad of. */
static void print_why(struct text *text)
{
    const struct result *result = text->result;
    if (result->exit_why[0]) {
        text_foreign(text, result->exit_why);
        return;
    }
    if (result->exit_code == 0) {
        fputs(verdict_name(result->validity.verdict), text->to);
        if (result->slo_count)
            fprintf(text->to, ", %zu of %zu SLOs hold", result->slo_count,
                    result->slo_count);
    }
}

static void print_exit(struct text *text)
{
    const struct result *result = text->result;
    bool bad = result->exit_code != 0;
    fprintf(text->to, "%sexit %d%s: ",
            text_colour(text, bad ? TEXT_RED : verdict_colour(result->validity.verdict)),
            result->exit_code, text_plain(text));
    print_why(text);
    fputc('\n', text->to);
}

static void print_line(struct text *text)
{
    const struct result *result = text->result;
    const struct hdr *hdr = result_main_latency(result)->hdr;
    char figure[FIGURE_MAX];
    FILE *to = text->to;
    fprintf(to, "%s  ", verdict_name(result->validity.verdict));
    text_foreign(text, result->plan.target ? result->plan.target : "-");
    fprintf(to, "  %s/s ok", figure_rate(result_rate(result), figure));
    static const struct {
        const char *name;
        int64_t percent;
    } percents[] = {{"p50", 50000}, {"p99", 99000}, {"p99.9", 99900}};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
        if (hdr && hdr_can_tell(hdr, percents[i].percent))
            fprintf(to, "  %s %s", percents[i].name,
                    figure_time(hdr_percentile(hdr, percents[i].percent), figure));
    fprintf(to, "  %s failed",
            figure_groups(result->totals.failed + result->totals.wrong, figure));
    fprintf(to, "  exit %d", result->exit_code);
    if (result->exit_why[0]) {
        fputs(": ", to);
        text_foreign(text, result->exit_why);
    }
    fputc('\n', to);
}

int report_text(const struct result *result, const struct report_style *style, FILE *to)
{
    struct text text = {.result = result, .style = style, .to = to};
    if (style->quiet) {
        print_line(&text);
    } else {
        print_title(&text);
        print_verdict(&text);
        print_rate(&text);
        text_latency(&text);
        text_spark(&text);
        text_errors(&text);
        text_server(&text);
        text_modes(&text);
        print_slos(&text);
        print_notes(&text);
        print_exit(&text);
    }
    return text.error ? text.error : ferror(to) ? -EIO : 0;
}
