/* slo.c - see slo.h. */
#include "bench/slo.h"
#include "bench/figure.h"

#include <errno.h>
#include <math.h>
#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- numbers with units ------------------------------------------------------------ */

/* Worth 10^exponent * factor. The power of ten becomes a part of the decimal number, so
 * that 0.7% is the same as 7 of 1000. */
struct unit {
    const char *name;
    int exponent;
    double factor;
};

static const struct unit times[] = {{"ns", 0, 1}, {"us", 3, 1},   {"ms", 6, 1}, {"s", 9, 1},
                                    {"m", 9, 60}, {"h", 9, 3600}, {0}};
static const struct unit shares[] = {{"%", -2, 1}, {"", 0, 1}, {0}};
static const struct unit plain[] = {{"", 0, 1}, {0}};
static const struct unit rates[] = {{"", 0, 1},  {"/s", 0, 1},  {"k", 3, 1}, {"k/s", 3, 1},
                                    {"m", 6, 1}, {"m/s", 6, 1}, {0}};
static const struct unit sizes[] = {{"", 0, 1},        {"b", 0, 1},       {"k", 0, 0x1p10},
                                    {"kb", 0, 0x1p10}, {"m", 0, 0x1p20},  {"mb", 0, 0x1p20},
                                    {"g", 0, 0x1p30},  {"gb", 0, 0x1p30}, {0}};

/* More digits than that are no number that anybody means. */
#define DIGITS_MAX 20

/* How many characters are digits, perhaps with a fraction; 0: no number. strtod(3) alone
 * would take "inf", "0x1" and "-0" too. */
static size_t number_len(const char *text)
{
    size_t whole = strspn(text, "0123456789"), len = whole;
    if (whole && text[whole] == '.')
        len += 1 + strspn(text + whole + 1, "0123456789");
    return whole && text[len - 1] != '.' && len <= DIGITS_MAX ? len : 0;
}

static bool parse_value(const char *text, const struct unit *units, double *out)
{
    char number[DIGITS_MAX + 8];
    size_t len = number_len(text);
    for (; len && units->name; units++) {
        if (strcasecmp(text + len, units->name) != 0)
            continue;
        snprintf(number, sizeof number, "%.*se%d", (int)len, text, units->exponent);
        *out = strtod(number, NULL) * units->factor;
        return true;
    }
    return false;
}

/* ---- metrics ----------------------------------------------------------------------- */

enum comparison {
    LESS,
    AT_MOST,
    MORE,
    AT_LEAST,
};

struct goal;

/* What was reached; NAN: unknown. *bound: it may be more than that. */
typedef double actual_fn(const struct result *result, const struct goal *goal, bool *bound);

static actual_fn actual_latency, actual_err, actual_lost, actual_rate, actual_cpu,
    actual_rss, actual_fair;

/* As figure.h's, of what actual_fn gives. */
typedef char *text_fn(double value, char *text);

static text_fn time_text, share_text, count_text, rate_text, bytes_text, index_text;

struct metric {
    const char *name;
    actual_fn *actual;
    text_fn *text;
    const struct unit *units;
    double most; /* of a limit; 0: any */
    const char *example;
};

static const struct metric metrics[] = {
    {"err", actual_err, share_text, shares, 1, "err<0.1%"},
    {"lost", actual_lost, count_text, plain, 0, "lost<=0"},
    {"rate", actual_rate, rate_text, rates, 0, "rate>=49k"},
    {"cpu", actual_cpu, time_text, times, 0, "cpu<60us"},
    {"rss", actual_rss, bytes_text, sizes, 0, "rss<100m"},
    {"fair", actual_fair, index_text, plain, 1, "fair>0.95"},
};

static const struct metric latency_metric = {NULL, actual_latency, time_text, times,
                                             0,    "p99<5ms"};

enum {
    KIND_MAIN = -1
};

static const struct {
    const char *name;
    int kind; /* enum result_kind */
} kinds[] = {
    {"response", RESULT_RESPONSE}, {"service", RESULT_SERVICE}, {"ttfb", RESULT_TTFB},
    {"connect", RESULT_CONNECT},   {"error", RESULT_REFUSED},   {"lag", RESULT_LAG},
};

enum statistic {
    STATISTIC_PERCENTILE,
    STATISTIC_MEAN,
};

struct goal {
    const struct metric *metric;
    int kind; /* of a latency: enum result_kind, or KIND_MAIN */
    enum statistic statistic;
    int64_t percent; /* in HDR_PERCENT */
    enum comparison op;
    double limit;
};

/* ---- what was reached -------------------------------------------------------------- */

static double actual_latency(const struct result *result, const struct goal *goal,
                             bool *bound)
{
    const struct result_latency *latency = goal->kind == KIND_MAIN
                                               ? result_main_latency(result)
                                               : &result->latency[goal->kind];
    if (!latency->hdr || latency->hdr->count == 0)
        return NAN;
    bool mean = goal->statistic == STATISTIC_MEAN;
    int64_t value =
        mean ? hdr_mean(latency->hdr) : hdr_percentile(latency->hdr, goal->percent);
    /* Any of the missing ones would move the mean. */
    *bound = latency->censored_at_ns >= 0 && (mean || value >= latency->censored_at_ns);
    return (double)value;
}

/* Answers of 400 and above that nobody allowed: the ones that are neither ok nor wrong. */
static uint64_t refused(const struct result *result)
{
    const struct result_totals *totals = &result->totals;
    uint64_t answers = 0, from_400 = 0;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++) {
        answers += result->status[i];
        from_400 += i >= 400 ? result->status[i] : 0;
    }
    uint64_t told = totals->ok + totals->wrong;
    uint64_t untold = answers > told ? answers - told : 0;
    return untold < from_400 ? untold : from_400;
}

static double actual_err(const struct result *result, const struct goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    const struct result_totals *totals = &result->totals;
    uint64_t errors = totals->failed + totals->wrong + refused(result);
    return totals->sent ? (double)errors / (double)totals->sent : NAN;
}

static double actual_lost(const struct result *result, const struct goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return (double)result_lost(result);
}

static double actual_rate(const struct result *result, const struct goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return result->totals.elapsed_ns > 0 ? result_rate(result) : NAN;
}

static double actual_cpu(const struct result *result, const struct goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return result_cpu_per_request(result);
}

static double actual_rss(const struct result *result, const struct goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return result->server.rss_max >= 0 ? (double)result->server.rss_max : NAN;
}

static double actual_fair(const struct result *result, const struct goal *goal, bool *bound)
{
    (void)goal;
    (void)bound;
    return result->server.jain;
}

static char *time_text(double value, char *text)
{
    return figure_time(value < 0x1p62 ? llround(value) : INT64_MAX, text);
}

static char *share_text(double value, char *text)
{
    return figure_share(value, text);
}

static char *count_text(double value, char *text)
{
    return figure_rate(value, text);
}

static char *rate_text(double value, char *text)
{
    char number[FIGURE_MAX];
    snprintf(text, FIGURE_MAX, "%.28s/s", figure_rate(value, number));
    return text;
}

static char *bytes_text(double value, char *text)
{
    return figure_bytes(value, text);
}

static char *index_text(double value, char *text)
{
    snprintf(text, FIGURE_MAX, "%.4f", value);
    return text;
}

/* ---- parsing ----------------------------------------------------------------------- */

/* "99.9" of p99.9: at most three decimals, 0 to 100. */
static bool parse_percent(const char *text, size_t len, int64_t *out)
{
    char digits[8];
    double percent;
    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = 0;
    const char *point = strchr(digits, '.');
    if (!parse_value(digits, plain, &percent) || percent > 100 ||
        (point && strlen(point + 1) > 3))
        return false;
    *out = llround(percent * HDR_PERCENT);
    return true;
}

static bool is_name(const char *text, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(text, name, len) == 0;
}

/* "p99", "max", "mean" ... */
static bool parse_statistic(const char *text, size_t len, struct goal *out)
{
    out->statistic = STATISTIC_PERCENTILE;
    if (is_name(text, len, "mean"))
        out->statistic = STATISTIC_MEAN;
    else if (is_name(text, len, "min"))
        out->percent = 0;
    else if (is_name(text, len, "max"))
        out->percent = 100 * HDR_PERCENT;
    else
        return len > 0 && *text == 'p' && parse_percent(text + 1, len - 1, &out->percent);
    return true;
}

static bool parse_latency(const char *text, size_t len, struct goal *out)
{
    out->metric = &latency_metric;
    out->kind = KIND_MAIN;
    if (is_name(text, len, "lag")) {
        text = "lag.p99";
        len = strlen(text);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t prefix = strlen(kinds[i].name);
        if (len > prefix && memcmp(text, kinds[i].name, prefix) == 0 &&
            text[prefix] == '.') {
            out->kind = kinds[i].kind;
            return parse_statistic(text + prefix + 1, len - prefix - 1, out);
        }
    }
    return parse_statistic(text, len, out);
}

static bool parse_metric(const char *text, size_t len, struct goal *out)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        if (is_name(text, len, metrics[i].name)) {
            out->metric = &metrics[i];
            return true;
        }
    return parse_latency(text, len, out);
}

/* Its length, or 0. */
static size_t parse_operator(const char *text, enum comparison *out)
{
    bool less = *text == '<';
    if (!less && *text != '>')
        return 0;
    bool equal = text[1] == '=';
    *out = less ? (equal ? AT_MOST : LESS) : (equal ? AT_LEAST : MORE);
    return equal ? 2 : 1;
}

static int refuse(const char *part, char *why, size_t why_len, const char *what,
                  const char *example)
{
    snprintf(why, why_len, "'%.40s' %s%s", part, what, example);
    return -EINVAL;
}

/* A part without blanks. */
static int parse_goal(const char *part, struct goal *out, char *why, size_t why_len)
{
    *out = (struct goal){0};
    size_t len = strcspn(part, "<>=!");
    if (!parse_metric(part, len, out))
        return refuse(
            part, why, why_len,
            "is no goal; there are pN min max mean (also service.p99 ...) err lost "
            "rate cpu rss fair lag, such as ",
            "p99<5ms");
    size_t op_len = parse_operator(part + len, &out->op);
    if (op_len == 0)
        return refuse(part, why, why_len, "has no < <= > or >=; write ",
                      out->metric->example);
    if (!parse_value(part + len + op_len, out->metric->units, &out->limit))
        return refuse(part, why, why_len,
                      out->metric->units == times
                          ? "must have a number with ns, us, ms, s, m or h behind it: "
                          : "must have a number behind it: ",
                      out->metric->example);
    if (out->metric->most > 0 && out->limit > out->metric->most)
        return refuse(part, why, why_len, "can never be beyond 1; write ",
                      out->metric->example);
    return 0;
}

/* Cut the next part off, without blanks. Returns what is behind its comma, or NULL. */
static const char *next_part(const char *text, char *part, size_t room)
{
    size_t len = 0;
    for (; *text && *text != ','; text++)
        if (*text != ' ' && *text != '\t' && len < room - 1)
            part[len++] = *text;
    part[len] = 0;
    return *text ? text + 1 : NULL;
}

int slo_parse(const char *text, struct result_slo *out, size_t max, char *why,
              size_t why_len)
{
    struct goal goal;
    struct result_slo slo;
    size_t count = 0;
    for (const char *rest = text; rest; count++) {
        char part[sizeof slo.expr + 1];
        rest = next_part(rest, part, sizeof part);
        if (strlen(part) >= sizeof slo.expr)
            return refuse(part, why, why_len, "is too long; use at most 63 characters", "");
        int err = parse_goal(part, &goal, why, why_len);
        if (err)
            return err;
        if (count == max) {
            snprintf(why, why_len, "too many goals; there may be %d in all",
                     RESULT_SLOS_MAX);
            return -EINVAL;
        }
    }
    const char *rest = text;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct result_slo){.actual = NAN};
        rest = next_part(rest, out[i].expr, sizeof out[i].expr);
    }
    return (int)count;
}

/* ---- judging ----------------------------------------------------------------------- */

static bool holds(const struct goal *goal, double actual, bool bound)
{
    switch (goal->op) {
    case LESS:
        return !bound && actual < goal->limit;
    case AT_MOST:
        return !bound && actual <= goal->limit;
    case MORE:
        return actual > goal->limit;
    case AT_LEAST:
        return actual >= goal->limit;
    }
    return false;
}

static void judge(const struct result *result, struct result_slo *slo)
{
    struct goal goal;
    char why[256], text[FIGURE_MAX];
    bool bound = false;
    slo->actual = NAN;
    if (parse_goal(slo->expr, &goal, why, sizeof why) == 0)
        slo->actual = goal.metric->actual(result, &goal, &bound);
    slo->pass = !isnan(slo->actual) && holds(&goal, slo->actual, bound);
    if (isnan(slo->actual))
        snprintf(slo->actual_text, sizeof slo->actual_text, "unknown");
    else
        snprintf(slo->actual_text, sizeof slo->actual_text, "%s%.28s", bound ? ">=" : "",
                 goal.metric->text(slo->actual, text));
}

unsigned slo_judge(struct result *result)
{
    unsigned failed = 0;
    for (size_t i = 0; i < result->slo_count; i++) {
        judge(result, &result->slos[i]);
        failed += !result->slos[i].pass;
    }
    return failed;
}

double slo_time_limit(const char *expr)
{
    struct goal goal;
    struct result_slo slo;
    char why[256];
    if (slo_parse(expr, &slo, 1, why, sizeof why) != 1 ||
        parse_goal(slo.expr, &goal, why, sizeof why) != 0)
        return NAN;
    bool told = goal.metric == &latency_metric && goal.kind == KIND_MAIN &&
                goal.statistic == STATISTIC_PERCENTILE &&
                (goal.op == LESS || goal.op == AT_MOST);
    return told && goal.limit < (double)RESULT_MOST ? goal.limit : NAN;
}
