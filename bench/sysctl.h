/*
 * sysctl.h - numbers that the kernel is set to.
 */
#ifndef PREFORK_BENCH_SYSCTL_H
#define PREFORK_BENCH_SYSCTL_H

#include <stdint.h>

/* The numbers of a setting, at most `most`, by its name below /proc/sys:
 * "net/ipv4/ip_local_port_range". Returns how many there are; 0 if it is not there, is
 * none, or is beyond 64 bits. What was not read stays as it was. Reads /proc. */
unsigned sysctl_read(const char *name, int64_t *out, unsigned most);

#endif
