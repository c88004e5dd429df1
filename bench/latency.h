/*
 * latency.h - the latencies that a result holds: their names in documents, and what is
 * computed of one beside its percentiles.
 */
#ifndef PREFORK_BENCH_LATENCY_H
#define PREFORK_BENCH_LATENCY_H

#include "bench/result.h"

/* "response", "service", "ttfb", "connect", "error", "lag", "probe". */
const char *latency_name(enum result_kind kind);

/* Whose name it is; RESULT_KINDS: nobody's. */
enum result_kind latency_kind(const char *name);

/* The standard deviation, as exact as the slots are; 0 of an empty histogram. */
double latency_deviation(const struct hdr *hdr);

#endif
