/*
 * row.h - rows of a series that become one: seconds that follow one another, or the same
 * second as several generators saw it. Pure.
 *
 * Counts add up. Percentiles of what was added up are those of the heat bins, whose width
 * is a fifth of a decade: the upper end of the bin, but never above the row's maximum.
 * Where one of the two has no values they are the other's.
 */
#ifndef PREFORK_BENCH_ROW_H
#define PREFORK_BENCH_ROW_H

#include "bench/result.h"

/* `next` follows the row: it spans the time of both. */
void row_join(struct result_row *row, const struct result_row *next);

/* `other` is of the same time and of the same server, from another generator. */
void row_add(struct result_row *row, const struct result_row *other);

/* The latency that so many percent (1 to 100) of its values do not exceed, as near as its
 * bins tell; RESULT_UNKNOWN if it has none. */
int64_t row_percentile(const struct result_row *row, unsigned percent);

#endif
