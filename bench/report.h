/*
 * report.h - the summary on standard output: the same rows in the same order, the verdict
 * first; rows that would be empty are left out.
 */
#ifndef PREFORK_BENCH_REPORT_H
#define PREFORK_BENCH_REPORT_H

#include "bench/plan.h"
#include "bench/tally.h"
#include <prefork/base.h>
#include <stdio.h>

/* A generator busier than this share of its time may itself be what limits the rate. */
#define REPORT_BUSY_MOST 0.85

/* A generator that stood still for longer has put that into the times. */
#define REPORT_STALL_MOST (100 * PF_MILLISECOND)

void report_print(FILE *to, const struct plan *plan, const struct tally *tally);

#endif
