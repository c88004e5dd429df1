/*
 * storm_plan.h - are there ports enough for so many connections a second? Pure.
 *
 * A connection that this side closes first keeps its port for 60 s, or 1 s where the kernel
 * may use it again (spread.h). A reset, or the server's close, keeps none here.
 */
#ifndef PREFORK_BENCH_STORM_PLAN_H
#define PREFORK_BENCH_STORM_PLAN_H

#include "bench/plan.h"
#include "bench/spread.h"

/* Source addresses on loopback for a closed loop, whose rate nobody knows before. */
#define STORM_SOURCES 8

#define STORM_TEXT_MAX 256

struct storm_wish {
    double rate; /* per second; 0: a closed loop, as fast as it goes */
    int64_t duration_ns;
    unsigned source_count; /* given by the user; 0: none */
    bool tcp, loopback;
    enum plan_close close;
    struct spread_ports ports;
};

struct storm_plan {
    unsigned sources;          /* to be made on loopback; 0: those given, or the kernel's */
    char text[STORM_TEXT_MAX]; /* one line: what the ports are good for */
};

/* Returns 0, or -EADDRNOTAVAIL with the remedy in `why`. */
int storm_plan_make(const struct storm_wish *wish, struct storm_plan *out, char *why,
                    size_t why_len);

#endif
