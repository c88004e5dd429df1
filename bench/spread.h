/*
 * spread.h - how far connections must be spread over source addresses, and what that
 * costs in ports.
 *
 * A connection is told apart by its four numbers; to one address and port there can be as
 * many from one source address as there are local ports: 28,232 by default. Any address of
 * 127.0.0.0/8 is a source for a target on loopback, without being set up. One that the
 * client closes first keeps its port for a minute (time_wait.h), or for a second where the
 * kernel may use it again (net.ipv4.tcp_tw_reuse). Pure, but for spread_read().
 */
#ifndef PREFORK_BENCH_SPREAD_H
#define PREFORK_BENCH_SPREAD_H

#include "net/address.h"
#include <stdint.h>

/* Addresses that are handed out on loopback: 127.64.0.1 and up. */
#define SPREAD_SOURCES_MAX 65000

/* What this machine allows. */
struct spread_ports {
    unsigned low, high; /* net.ipv4.ip_local_port_range */
    int reuse;          /* net.ipv4.tcp_tw_reuse: 0 no, 1 yes, 2 on loopback; -1: unknown */
};

/* Read both; where that fails, the kernel's defaults. */
void spread_read(struct spread_ports *out);

/* Ports of one source address. */
unsigned spread_ports_each(const struct spread_ports *ports);

/* Is the target one that sources of 127.0.0.0/8 reach? */
bool spread_is_loopback(const struct pf_address *target);

/* Source addresses that so many connections at once need; at least 1. */
unsigned spread_sources_for(const struct spread_ports *ports, uint64_t connections);

/* How many they should have, where addresses cost nothing: connect(2) looks for a free port
 * among every second one first, and when those are all taken each call looks through them
 * in vain, which takes milliseconds. Source: __inet_hash_connect() of Linux. */
unsigned spread_sources_fast(const struct spread_ports *ports, uint64_t connections);

/* The n-th source address on loopback, port 0. n below SPREAD_SOURCES_MAX. */
void spread_source(unsigned n, struct pf_address *out);

/* Ports that rest at a time, when so many connections a second are closed here first, for
 * so long: no more than there are in all. */
uint64_t spread_resting(const struct spread_ports *ports, double opens_per_s,
                        int64_t duration_ns, bool loopback);

/* Connections per second that can be made and closed for ever from so many sources, when
 * each stays in TIME_WAIT here. */
double spread_rate_most(const struct spread_ports *ports, unsigned sources, bool loopback);

#endif
