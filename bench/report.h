/*
 * report.h - the summary on standard output: the same rows in the same order, the verdict
 * first; rows that would be empty are left out.
 */
#ifndef PREFORK_BENCH_REPORT_H
#define PREFORK_BENCH_REPORT_H

#include "bench/plan.h"
#include "bench/tally.h"
#include <stdio.h>

/* A generator busier than this share of its time may itself be what limits the rate. */
#define REPORT_BUSY_MOST 0.85

void report_print(FILE *to, const struct plan *plan, const struct tally *tally);

#endif
