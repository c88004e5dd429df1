#include "bench/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1e9
#define RATE_MAX  1e8

size_t quantity_read(const char *text, int rate, double *out)
{
    /* No sign, no hexadecimal, no "inf", which strtod(3) would all take. */
    size_t digits = strspn(text, "0123456789.");
    char number[32], *end;
    if (digits == 0 || digits >= sizeof number)
        return 0;
    memcpy(number, text, digits);
    number[digits] = '\0';
    double value = strtod(number, &end);
    if (*end != '\0' || end == number)
        return 0;
    const char *at = text + digits;
    switch (tolower((unsigned char)*at)) {
    case 'g':
        value *= 1000;
        /* fall through */
    case 'm':
        value *= 1000;
        /* fall through */
    case 'k':
        value *= 1000;
        at++;
        break;
    default:
        break;
    }
    if (rate && strncmp(at, "/s", 2) == 0)
        at += 2;
    *out = value;
    return (size_t)(at - text);
}

int quantity_parse_count(const char *value, void *field, char *why, size_t why_len)
{
    double number;
    size_t len = quantity_read(value, 0, &number);
    if (len == 0 || value[len] != '\0' || number < 1 || number > COUNT_MAX ||
        number != floor(number)) {
        snprintf(why, why_len, "must be a whole number from 1, such as 500, 10k or 1M");
        return -EINVAL;
    }
    *(int64_t *)field = (int64_t)number;
    return 0;
}

int quantity_parse_rate(const char *value, void *field, char *why, size_t why_len)
{
    double number;
    size_t len = quantity_read(value, 1, &number);
    if (len == 0 || value[len] != '\0' || !(number > 0) || number > RATE_MAX) {
        snprintf(why, why_len,
                 "must be a rate above 0, at most 100M, such as 500, 20k or 100/s");
        return -EINVAL;
    }
    *(double *)field = number;
    return 0;
}
