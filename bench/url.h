/*
 * url.h - the one kind of URL that prefork-bench asks for: http://HOST[:PORT][/PATH].
 */
#ifndef PREFORK_BENCH_URL_H
#define PREFORK_BENCH_URL_H

#include <stddef.h>

#define URL_AUTHORITY_MAX 300 /* a host name is at most 255 bytes */
#define URL_PATH_MAX      8000

struct url {
    char authority[URL_AUTHORITY_MAX]; /* as given, for the Host field: "[::1]:8080" */
    char address[URL_AUTHORITY_MAX];   /* with a port always, for pf_address_parse() */
    char path[URL_PATH_MAX]; /* with the query, without the fragment; at least "/" */
};

/*
 * Take a URL apart. The host is a name or a literal, an IPv6 literal in brackets; whether
 * it exists is not looked at. Returns 0, or -EINVAL with a phrase in `why` that says what
 * is wrong and what would be right.
 */
int url_parse(const char *text, struct url *out, char *why, size_t why_len);

#endif
