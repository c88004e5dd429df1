#include "bench/figure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct unit {
    double size;
    const char *name;
};

static const struct unit times[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
static const struct unit bytes_units[] = {
    {1e12, " TB"}, {1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}, {1, " B"}};
static const struct unit counts[] = {
    {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};

static char *unknown(char *text)
{
    memcpy(text, "-", 2);
    return text;
}

/* So many that there are three digits in all. */
static int decimals_of(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

/* Three digits, in the first unit that the value reaches 1 of. */
static char *in_units(double value, const struct unit *units, char *text)
{
    /* 999.6 would be printed as 1000: that is 1.00 of the next unit. */
    while (units->size > 1 && value < units->size * 0.9995)
        units++;
    double scaled = value / units->size;
    int decimals = units->size <= 1 ? 0 : decimals_of(scaled);
    snprintf(text, FIGURE_MAX, "%.*f%s", decimals, scaled, units->name);
    return text;
}

char *figure_time(int64_t ns, char *text)
{
    return ns < 0 ? unknown(text) : in_units((double)ns, times, text);
}

/* Take noughts away from behind the point, and the point with them. */
static char *strip(char *text)
{
    char *point = strchr(text, '.');
    if (!point)
        return text;
    char *end = point + 1 + strspn(point + 1, "0123456789"), *last = end;
    while (last[-1] == '0')
        last--;
    if (last[-1] == '.')
        last--;
    memmove(last, end, strlen(end) + 1);
    return text;
}

char *figure_span(int64_t ns, char *text)
{
    return strip(figure_time(ns, text));
}

char *figure_brief(double number, char *text)
{
    return strip(number < 999.5 ? figure_decimal(number, text)
                                : figure_count(number, text));
}

char *figure_bytes(double bytes, char *text)
{
    return bytes >= 0 ? in_units(bytes, bytes_units, text) : unknown(text);
}

char *figure_count(double number, char *text)
{
    return number >= 0 ? in_units(number, counts, text) : unknown(text);
}

char *figure_groups(uint64_t number, char *text)
{
    char digits[FIGURE_MAX];
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

char *figure_rate(double per_second, char *text)
{
    if (!(per_second >= 0))
        return unknown(text);
    if (per_second >= 1e18)
        return figure_count(per_second, text);
    if (per_second >= 99.95 || per_second == floor(per_second))
        return figure_groups((uint64_t)(per_second + 0.5), text);
    return figure_decimal(per_second, text);
}

char *figure_decimal(double number, char *text)
{
    if (!(number >= 0))
        return unknown(text);
    if (number >= 1e18)
        return figure_count(number, text);
    snprintf(text, FIGURE_MAX, "%.*f", decimals_of(number), number);
    return text;
}

char *figure_share(double share, char *text)
{
    if (!(share >= 0))
        return unknown(text);
    double percent = share * 100;
    int decimals = 0;
    if (percent > 0 && percent < 9.95)
        decimals = percent >= 0.1 ? 1 : percent >= 0.01 ? 2 : percent >= 0.001 ? 3 : 4;
    snprintf(text, FIGURE_MAX, "%.*f%%", decimals, percent > 1e9 ? 1e9 : percent);
    return text;
}
