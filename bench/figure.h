/*
 * figure.h - numbers as people read them: three digits and a unit. "402us", "1.94ms",
 * "48.1k", "61.2 MB", "499,998".
 *
 * Each writes into text[FIGURE_MAX] and returns it, so that it stands in an argument list.
 * A number that is not known (below 0, or NAN) is "-".
 */
#ifndef PREFORK_BENCH_FIGURE_H
#define PREFORK_BENCH_FIGURE_H

#include <stdint.h>

#define FIGURE_MAX 32

char *figure_time(int64_t ns, char *text); /* "1.90ms": in a table, with all digits */
char *figure_span(int64_t ns, char *text); /* "10s", "1.5s": without noughts at its end */
char *figure_bytes(double bytes, char *text);     /* "61.2 MB" */
char *figure_count(double number, char *text);    /* "48.1k"; below 1000 as it is */
char *figure_brief(double number, char *text);    /* "20k", "1.5M": no noughts */
char *figure_groups(uint64_t number, char *text); /* "499,998" */
char *figure_rate(double per_second, char *text); /* "49,998", below 100 "12.5" */

char *figure_decimal(double number, char *text); /* "46.2", "1234": without a unit */

/* A share in percent with the digits that tell it from 0: "12%", "0.9%", "0.003%". */
char *figure_share(double share, char *text);

#endif
