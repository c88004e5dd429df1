/* The rows of the summary that say what went wrong, and what answers came. */
#include "bench/report_text.h"

#include "bench/figure.h"
#include <inttypes.h>
#include <string.h>

static void print_status(struct text *text)
{
    char figure[FIGURE_MAX];
    bool any = false;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        if (text->result->status[i] == 0)
            continue;
        if (!any)
            text_row(text, "status");
        any = true;
        text_item(text, 3, "%u x %s", i, figure_groups(text->result->status[i], figure));
    }
    if (any)
        text_end(text);
}

/* What was under way, and what that means for whoever asked. */
static const char *meaning(const struct tally_error *error)
{
    switch (tally_loss_of(error)) {
    case TALLY_HARMLESS:
        return "nothing asked: harmless";
    case TALLY_RETRYABLE:
        return "0 bytes back: retryable";
    case TALLY_LOST:
        break;
    }
    switch (error->when) {
    case TALLY_OPENING:
        return result_is_shortage(error) ? "not connected: for want of it here"
                                         : "not connected: no request";
    case TALLY_PARTIAL:
        return "in mid-response: lost";
    case TALLY_ANSWERED:
        return error->phase == TALLY_VALIDATE ? "complete, but wrong"
                                              : "behind all answers";
    case TALLY_TAKEN:
        return "read, 0 bytes back: lost";
    case TALLY_IDLE:
        return "nothing asked: lost";
    case TALLY_SENT:
        break;
    }
    return "no answer: lost";
}

static void print_error(struct text *text, const struct tally_error *error)
{
    char count[FIGURE_MAX], first[FIGURE_MAX];
    if (error->first_ns < 0)
        snprintf(first, sizeof first, "set-up");
    else
        figure_time(error->first_ns, first);
    text_row(text, "");
    fprintf(text->to, "%-8s %-13s %9s %7s  %s\n", tally_phase_name(error->phase),
            tally_reason_name(error->reason), figure_groups(error->count, count), first,
            meaning(error));
    if (error->sample[0]) {
        text_row(text, "");
        fputs("  \"", text->to);
        text_foreign(text, error->sample);
        fputs("\"\n", text->to);
    }
}

void text_errors(struct text *text)
{
    const struct result *result = text->result;
    const struct result_totals *totals = &result->totals;
    char figure[FIGURE_MAX], share[FIGURE_MAX];
    print_status(text);
    if (result->error_count == 0 && result->errors_beyond == 0)
        return;
    uint64_t bad = totals->wrong + totals->failed;
    text_row(text, "errors");
    text_item(text, 3, "%s failed", figure_groups(totals->failed, figure));
    text_item(text, 3, "%s wrong", figure_groups(totals->wrong, figure));
    text_item(text, 3, "%s lost", figure_groups(result_lost(result), figure));
    if (result_refused(result))
        text_item(text, 3, "%s connects failed",
                  figure_groups(result_refused(result), figure));
    if (totals->sent && bad)
        text_item(text, 3, "%s of those sent",
                  figure_share((double)bad / (double)totals->sent, share));
    text_end(text);
    text_row(text, "");
    fprintf(text->to, "%-8s %-13s %9s %7s  %s\n", "phase", "reason", "count", "first",
            "meaning");
    for (size_t i = 0; i < result->error_count; i++)
        print_error(text, &result->errors[i]);
    if (result->errors_beyond) {
        text_row(text, "");
        fprintf(text->to, "%-22s %9s\n", "of further kinds",
                figure_groups(result->errors_beyond, figure));
    }
}
