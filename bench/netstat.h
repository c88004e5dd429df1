/*
 * netstat.h - what the kernel has counted for all sockets of this network namespace.
 */
#ifndef PREFORK_BENCH_NETSTAT_H
#define PREFORK_BENCH_NETSTAT_H

#include <stdint.h>

/* -1: not known here. */
struct netstat {
    int64_t listen_drops; /* connections and handshakes that a listener has thrown away */
    int64_t listen_overflows; /* of these: its queue was full */
    int64_t syn_retries;      /* SYNs sent again */
};

/* Reads /proc/net/netstat. */
void netstat_read(struct netstat *out);

/* Find `name` of the group ("TcpExt") in a text like that of /proc/net/netstat or snmp: a
 * line of names, then a line of values. -1: not there. */
int64_t netstat_find(const char *text, const char *group, const char *name);

#endif
