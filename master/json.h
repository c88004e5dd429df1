/*
 * json.h - values of JSON (RFC 8259) for answers of one line.
 *
 * Written by hand rather than with stdio(3): printf's %f asks the locale of the application
 * for the decimal point, strings may hold anything, and a stream of open_memstream(3) that
 * runs out of memory loses some of what it was given and says nothing (tried: glibc 2.36).
 */
#ifndef PREFORK_MASTER_JSON_H
#define PREFORK_MASTER_JSON_H

#include <prefork/base.h>

/* A text that grows. Begin with {0}. When memory runs out it takes no more and says so. */
struct pf__json {
    char *text; /* from malloc(3); a NUL stands behind it; NULL at first */
    size_t len, room;
    bool failed;
};

/* Append as it is; keys and punctuation. */
void pf__json_put(struct pf__json *to, const char *text);

/* A string, quoted and escaped: control characters as \u00XX, bytes that are no UTF-8 (RFC
 * 3629) as U+FFFD. NULL: null. */
void pf__json_string(struct pf__json *to, const char *text);

/* Nanoseconds as seconds with three digits, rounded down; negative: null. */
void pf__json_seconds(struct pf__json *to, int64_t ns);

/* An integer; negative: null. */
void pf__json_or_null(struct pf__json *to, int64_t value);

/* A count. Above INT64_MAX it is INT64_MAX: more than readers take for an integer, and
 * nothing that anybody has counted. */
void pf__json_count(struct pf__json *to, uint64_t value);

#endif
