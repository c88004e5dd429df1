/*
 * quantity.h - numbers as wrk's users write them: 100, 50k, 1.5M; rates also as 200/s.
 * k, M and G are powers of 1000, in either case.
 */
#ifndef PREFORK_BENCH_QUANTITY_H
#define PREFORK_BENCH_QUANTITY_H

#include <stddef.h>

/* Read a number of that form, of at least 0; "/s" may stand behind it if `rate`. Returns
 * how many bytes it has, 0 if there is none. Of what follows nothing is looked at. */
size_t quantity_read(const char *text, int rate, double *out);

/* For option tables (pf_option_parse_fn): a whole number of 1 to 1,000 million into an
 * int64_t; a rate above 0, up to 100 million per second, into a double. */
int quantity_parse_count(const char *value, void *field, char *why, size_t why_len);
int quantity_parse_rate(const char *value, void *field, char *why, size_t why_len);

#endif
