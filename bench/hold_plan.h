/*
 * hold_plan.h - over how many processes and source addresses N idle connections are to be
 * spread. Pure.
 *
 * A process has a limit of descriptors, a source address one of ports. Each process gets
 * addresses of its own, so that no two look for the same free port.
 */
#ifndef PREFORK_BENCH_HOLD_PLAN_H
#define PREFORK_BENCH_HOLD_PLAN_H

#include "bench/spread.h"

struct hold_wish {
    uint64_t connections;
    unsigned procs;        /* 0: as many as it takes */
    unsigned descriptors;  /* that a process may use for them */
    unsigned procs_max;    /* of a squad */
    unsigned source_count; /* given by the user; 0: none */
    bool tcp, loopback;    /* the target: TCP at all; an address of 127.0.0.0/8 */
    struct spread_ports ports;
};

struct hold_plan {
    unsigned procs;
    unsigned sources; /* to be made on loopback; 0: those given, or the kernel's choice */
};

/* Returns 0, or -EMFILE (descriptors), -EADDRNOTAVAIL (ports), with the remedy in `why`. */
int hold_plan_make(const struct hold_wish *wish, struct hold_plan *out, char *why,
                   size_t why_len);

/* The share of process `index`: connections, and the first and number of `sources`
 * addresses; each process has its own, or, if there are fewer, all have all. */
uint64_t hold_plan_connections(uint64_t connections, unsigned procs, unsigned index);
void hold_plan_sources(unsigned sources, unsigned procs, unsigned index, unsigned *first,
                       unsigned *count);

#endif
