#include "bench/report.h"

#include <errno.h>
#include <inttypes.h>
#include <prefork/base.h>
#include <string.h>

/* Room for any piece of text below. */
#define TEXT_MAX 32

struct unit {
    double size;
    const char *name;
};

/* `value` in the first unit that it reaches 1 of, with three digits: "1.94ms", "402us". */
static const char *in_units(double value, const struct unit *units, char *text)
{
    /* 999.6 would be printed as 1000: that is 1.00 of the next unit. */
    while (units->size > 1 && value < units->size * 0.9995)
        units++;
    double scaled = value / units->size;
    int decimals = units->size <= 1 ? 0 : scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
    snprintf(text, TEXT_MAX, "%.*f%s", decimals, scaled, units->name);
    return text;
}

static const char *in_time(int64_t ns, char *text)
{
    static const struct unit units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    return in_units((double)ns, units, text);
}

static const char *in_bytes(double bytes, char *text)
{
    static const struct unit units[] = {
        {1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}, {1, " B"}};
    return in_units(bytes, units, text);
}

/* 1234567 as "1,234,567". */
static const char *in_groups(uint64_t number, char *text)
{
    char digits[TEXT_MAX];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *out = text;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

static int64_t elapsed_ns(const struct tally *tally)
{
    return tally->ended_ns - tally->began_ns;
}

static void print_title(FILE *to, const struct plan *plan)
{
    char text[TEXT_MAX];
    fprintf(to, "prefork-bench %s  %s  closed c=%u t=%u", PF_VERSION, plan->url,
            plan->connections, plan->threads);
    if (plan->pipeline > 1)
        fprintf(to, " pipeline=%u", plan->pipeline);
    if (plan->requests)
        fprintf(to, "  n=%s\n", in_groups(plan->requests, text));
    else
        fprintf(to, "  %s\n", in_time(plan->duration_ns, text));
}

/* Errors of this machine, not of the server: they make the measurement doubtful. */
static bool is_shortage(int error)
{
    return error == EADDRNOTAVAIL || error == EMFILE || error == ENFILE ||
           error == ENOBUFS || error == ENOMEM;
}

static int find_shortage(const struct tally *tally)
{
    for (size_t i = 0; i < tally->error_count; i++)
        if (is_shortage(tally->errors[i].error))
            return tally->errors[i].error;
    return 0;
}

static void print_verdict(FILE *to, const struct plan *plan, const struct tally *tally)
{
    int shortage = find_shortage(tally);
    bool too_busy = tally->busy > REPORT_BUSY_MOST;
    bool stalled = tally->stall_ns > REPORT_STALL_MOST;
    char stall[TEXT_MAX];
    fprintf(to, "  %-8s generator %.0f%% busy",
            too_busy || shortage || stalled ? "SUSPECT" : "VALID", tally->busy * 100);
    if (plan->threads > 1)
        fprintf(to, " in the busiest of %u threads", plan->threads);
    if (too_busy)
        fprintf(to, ": it may be the limit, not the server; try -t %u", plan->threads + 1);
    if (stalled)
        fprintf(to, "; it stood still for %s", in_time(tally->stall_ns, stall));
    if (shortage)
        fprintf(to, "; out of %s",
                shortage == EADDRNOTAVAIL ? "local ports" : strerror(shortage));
    fputc('\n', to);
}

static void print_rate(FILE *to, const struct tally *tally)
{
    char rate[TEXT_MAX], in[TEXT_MAX], out[TEXT_MAX], ok[TEXT_MAX], time[TEXT_MAX];
    double seconds = (double)elapsed_ns(tally) / 1e9;
    fprintf(to, "  %-8s %s/s ok   %s/s in   %s/s out   %s ok in %s\n", "rate",
            in_groups((uint64_t)((double)tally->ok / seconds + 0.5), rate),
            in_bytes((double)tally->bytes_in / seconds, in),
            in_bytes((double)tally->bytes_out / seconds, out), in_groups(tally->ok, ok),
            in_time(elapsed_ns(tally), time));
}

static const int64_t percents[] = {50000, 90000, 99000, 99900};

static void print_table_head(FILE *to)
{
    fprintf(to, "  %-8s %7s %7s %7s %7s %7s %7s %7s\n", "", "min", "p50", "p90", "p99",
            "p99.9", "max", "mean");
}

static void print_times(FILE *to, const char *name, const struct hdr *hdr,
                        const char *remark)
{
    if (hdr->count == 0)
        return;
    char text[TEXT_MAX];
    fprintf(to, "  %-8s %7s", name, in_time(hdr->min, text));
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
        fprintf(to, " %7s",
                hdr_can_tell(hdr, percents[i])
                    ? in_time(hdr_percentile(hdr, percents[i]), text)
                    : "-");
    fprintf(to, " %7s", in_time(hdr->max, text));
    fprintf(to, " %7s   %s\n", in_time(hdr_mean(hdr), text), remark);
}

static void print_table(FILE *to, const struct tally *tally)
{
    char count[TEXT_MAX], setup[TEXT_MAX], remark[3 * TEXT_MAX];
    snprintf(remark, sizeof remark, "n=%s, set up in %s",
             in_groups(tally->connect.count, count), in_time(tally->setup_ns, setup));
    print_table_head(to);
    print_times(to, "service", &tally->service, "from send");
    print_times(to, "4xx,5xx", &tally->refused, "from send");
    print_times(to, "connect", &tally->connect, remark);
}

static void print_status(FILE *to, const struct tally *tally)
{
    char text[TEXT_MAX];
    bool any = false;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        if (tally->status[i] == 0)
            continue;
        fprintf(to, "%s%u x %s", any ? "   " : "  status   ", i,
                in_groups(tally->status[i], text));
        any = true;
    }
    if (any)
        fputc('\n', to);
}

static const char *phase_name(enum tally_phase phase)
{
    switch (phase) {
    case TALLY_CONNECT:
        return "connect";
    case TALLY_WRITE:
        return "write";
    case TALLY_READ:
        return "read";
    case TALLY_PARSE:
        return "parse";
    case TALLY_TIMEOUT:
        return "timeout";
    }
    return "?";
}

static const char *what_it_means(const struct tally_error *error)
{
    switch (error->when) {
    case TALLY_OPENING:
        return "";
    case TALLY_IDLE:
        return error->phase == TALLY_PARSE ? "" : ", idle: harmless";
    case TALLY_SENT:
        return error->phase == TALLY_READ || error->phase == TALLY_WRITE
                   ? ", sent, no byte back: retryable"
                   : ", sent, no byte back";
    case TALLY_PARTIAL:
        return error->phase == TALLY_PARSE ? "" : ", in mid-response: lost";
    }
    return "";
}

static const char *reason(int error)
{
    switch (error) {
    case 0:
        return "closed";
    case EBADMSG:
        return "not HTTP";
    case EPROTO:
        return "bytes nobody asked for";
    default:
        break;
    }
    const char *name = strerrorname_np(error);
    return name ? name : "unknown";
}

static void print_error(FILE *to, const char *head, const struct tally *tally,
                        const struct tally_error *error)
{
    char count[TEXT_MAX], first[TEXT_MAX];
    fprintf(to, "  %-8s %s %s x %s  first ", head, phase_name(error->phase),
            reason(error->error), in_groups(error->count, count));
    if (tally->began_ns == 0 || error->first_ns < tally->began_ns)
        fputs("while setting up", to);
    else
        fprintf(to, "at %s", in_time(error->first_ns - tally->began_ns, first));
    fprintf(to, "%s\n", what_it_means(error));
}

static void print_errors(FILE *to, const struct tally *tally)
{
    char text[TEXT_MAX];
    for (size_t i = 0; i < tally->error_count; i++)
        print_error(to, i ? "" : "errors", tally, &tally->errors[i]);
    if (tally->errors_beyond)
        fprintf(to, "  %-8s of further kinds x %s\n", "",
                in_groups(tally->errors_beyond, text));
}

static void print_notes(FILE *to, const struct tally *tally)
{
    char count[TEXT_MAX], age[TEXT_MAX];
    /* Requests that the end cut off are in no row: say so if one would have been the worst.
     */
    if (tally->unfinished && tally->oldest_ns > tally->service.max)
        fprintf(
            to, "  %-8s %s unanswered at the end, the oldest for %s: not in the table\n",
            "note", in_groups(tally->unfinished, count), in_time(tally->oldest_ns, age));
    if (tally->unsent)
        fprintf(to,
                "  %-8s %s requests were not sent: no connection could be made any more\n",
                "note", in_groups(tally->unsent, count));
    fprintf(to,
            "  %-8s closed loop: latency excludes the waiting of requests not yet sent\n",
            "note");
}

void report_print(FILE *to, const struct plan *plan, const struct tally *tally)
{
    print_title(to, plan);
    if (elapsed_ns(tally) > 0) {
        print_verdict(to, plan, tally);
        print_rate(to, tally);
    }
    print_table(to, tally);
    print_status(to, tally);
    print_errors(to, tally);
    print_notes(to, tally);
}
