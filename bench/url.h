/*
 * url.h - what prefork-bench is pointed at:
 *
 *     http://HOST[:PORT][/PATH]       HTTP over TCP; port 80 if none is given
 *     http+unix:/SOCKET[:/PATH]       HTTP over a unix socket; http+unix:@NAME[:/PATH] over
 *                                     one of Linux's abstract name space
 *     tcp://HOST:PORT                 bytes that are to come back, over TCP
 *     tcp+unix:/SOCKET                the same over a unix socket, or tcp+unix:@NAME
 *
 * A socket's name ends at the first ":/": a path that holds one cannot be given.
 */
#ifndef PREFORK_BENCH_URL_H
#define PREFORK_BENCH_URL_H

#include "bench/plan.h"
#include <stddef.h>

#define URL_AUTHORITY_MAX 300 /* a host name is at most 255 bytes */
#define URL_PATH_MAX      8000

struct url {
    enum plan_protocol protocol;
    char authority[URL_AUTHORITY_MAX]; /* as given, for the Host field: "[::1]:8080"; of a
                                          unix socket "localhost" */
    char address[URL_AUTHORITY_MAX]; /* as pf_address_parse() reads it: with a port always,
                                        or "unix:/SOCKET" */
    char path[URL_PATH_MAX]; /* with the query, without the fragment; at least "/"; "" of
                                tcp */
};

/*
 * Take a URL apart. The host is a name or a literal, an IPv6 literal in brackets; whether
 * it or the socket exists is not looked at. Returns 0, or -EINVAL with a phrase in `why`
 * that says what is wrong and what would be right; *out is then untouched.
 */
int url_parse(const char *text, struct url *out, char *why, size_t why_len);

#endif
