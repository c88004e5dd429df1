/* slo.c - see slo.h. */
#include "bench/slo_internal.h"

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

struct slo_metric {
    const char *name;
    slo_actual_fn *actual;
    slo_text_fn *text;
    const struct unit *units;
    double most; /* of a limit; 0: any */
    const char *example;
};

static const struct slo_metric metrics[] = {
    {"err", slo_actual_err, slo_text_share, shares, 1, "err<0.1%"},
    {"lost", slo_actual_lost, slo_text_count, plain, 0, "lost<=0"},
    {"rate", slo_actual_rate, slo_text_rate, rates, 0, "rate>=49k"},
    {"cpu", slo_actual_cpu, slo_text_time, times, 0, "cpu<60us"},
    {"rss", slo_actual_rss, slo_text_bytes, sizes, 0, "rss<100m"},
    {"fair", slo_actual_fair, slo_text_index, plain, 1, "fair>0.95"},
};

static const struct slo_metric latency_metric = {
    NULL, slo_actual_latency, slo_text_time, times, 0, "p99<5ms"};

static const struct {
    const char *name;
    int kind; /* enum result_kind */
} kinds[] = {
    {"response", RESULT_RESPONSE}, {"service", RESULT_SERVICE}, {"ttfb", RESULT_TTFB},
    {"connect", RESULT_CONNECT},   {"error", RESULT_REFUSED},   {"lag", RESULT_LAG},
};

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
static bool parse_statistic(const char *text, size_t len, struct slo_goal *out)
{
    out->statistic = SLO_PERCENTILE;
    if (is_name(text, len, "mean"))
        out->statistic = SLO_MEAN;
    else if (is_name(text, len, "min"))
        out->percent = 0;
    else if (is_name(text, len, "max"))
        out->percent = 100 * HDR_PERCENT;
    else
        return len > 0 && *text == 'p' && parse_percent(text + 1, len - 1, &out->percent);
    return true;
}

static bool parse_latency(const char *text, size_t len, struct slo_goal *out)
{
    out->metric = &latency_metric;
    out->kind = SLO_KIND_MAIN;
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

static bool parse_metric(const char *text, size_t len, struct slo_goal *out)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        if (is_name(text, len, metrics[i].name)) {
            out->metric = &metrics[i];
            return true;
        }
    return parse_latency(text, len, out);
}

/* Its length, or 0. */
static size_t parse_operator(const char *text, enum slo_comparison *out)
{
    bool less = *text == '<';
    if (!less && *text != '>')
        return 0;
    bool equal = text[1] == '=';
    *out = less ? (equal ? SLO_AT_MOST : SLO_LESS) : (equal ? SLO_AT_LEAST : SLO_MORE);
    return equal ? 2 : 1;
}

static int refuse(const char *part, char *why, size_t why_len, const char *what,
                  const char *example)
{
    snprintf(why, why_len, "'%.40s' %s%s", part, what, example);
    return -EINVAL;
}

/* A part without blanks. */
static int parse_goal(const char *part, struct slo_goal *out, char *why, size_t why_len)
{
    *out = (struct slo_goal){0};
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
    struct slo_goal goal;
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

static bool holds(const struct slo_goal *goal, double actual, bool bound)
{
    switch (goal->op) {
    case SLO_LESS:
        return !bound && actual < goal->limit;
    case SLO_AT_MOST:
        return !bound && actual <= goal->limit;
    case SLO_MORE:
        return actual > goal->limit;
    case SLO_AT_LEAST:
        return actual >= goal->limit;
    }
    return false;
}

static void judge(const struct result *result, struct result_slo *slo)
{
    struct slo_goal goal;
    char why[256], text[FIGURE_MAX];
    bool bound = false;
    slo->actual = NAN;
    if (parse_goal(slo->expr, &goal, why, sizeof why) == 0)
        slo->actual = goal.metric->actual(result, &goal, &bound);
    slo->pass = !isnan(slo->actual) && holds(&goal, slo->actual, bound);
    if (isnan(slo->actual))
        snprintf(slo->actual_text, sizeof slo->actual_text, "%s",
                 bound ? "too few samples" : "unknown");
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
    struct slo_goal goal;
    struct result_slo slo;
    char why[256];
    if (slo_parse(expr, &slo, 1, why, sizeof why) != 1 ||
        parse_goal(slo.expr, &goal, why, sizeof why) != 0)
        return NAN;
    bool told = goal.metric == &latency_metric && goal.kind == SLO_KIND_MAIN &&
                goal.statistic == SLO_PERCENTILE &&
                (goal.op == SLO_LESS || goal.op == SLO_AT_MOST);
    return told && goal.limit < (double)RESULT_MOST ? goal.limit : NAN;
}

uint64_t slo_samples(const char *expr)
{
    struct slo_goal goal;
    char why[256];
    if (parse_goal(expr, &goal, why, sizeof why) != 0 || goal.metric != &latency_metric ||
        goal.kind == RESULT_CONNECT || goal.kind == RESULT_REFUSED)
        return 0;
    return slo_samples_of(&goal);
}
