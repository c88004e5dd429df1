/*
 * latency.h - the latencies that a result holds: their names in documents.
 */
#ifndef PREFORK_BENCH_LATENCY_H
#define PREFORK_BENCH_LATENCY_H

#include "bench/result.h"

/* "response", "service", "ttfb", "connect", "error", "lag". */
const char *latency_name(enum result_kind kind);

#endif
