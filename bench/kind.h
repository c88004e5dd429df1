/*
 * kind.h - the names of the latencies that a result holds, as documents have them.
 */
#ifndef PREFORK_BENCH_KIND_H
#define PREFORK_BENCH_KIND_H

#include "bench/result.h"

/* "response", "service", "ttfb", "connect", "error", "lag", "probe". */
const char *kind_name(enum result_kind kind);

/* Whose name it is; RESULT_KINDS: nobody's. */
enum result_kind kind_of(const char *name);

/* The kind of one of a result's own latencies. */
enum result_kind kind_at(const struct result *result, const struct result_latency *latency);

#endif
