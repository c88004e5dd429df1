/*
 * json.h - values of JSON (RFC 8259) for answers of one line.
 *
 * Written by hand rather than with printf(3) alone: its %f asks the locale of the
 * application for the decimal point, and strings may hold anything.
 */
#ifndef PREFORK_MASTER_JSON_H
#define PREFORK_MASTER_JSON_H

#include <prefork/base.h>
#include <stdio.h>

/* A string, quoted and escaped: control characters as \u00XX, bytes that are no UTF-8 (RFC
 * 3629) as U+FFFD. NULL: null. Errors stay with the stream. */
void pf__json_string(FILE *to, const char *text);

/* Nanoseconds as seconds with three digits, rounded down; negative: null. */
void pf__json_seconds(FILE *to, int64_t ns);

/* An integer; negative: null. */
void pf__json_or_null(FILE *to, int64_t value);

/* A count. Above INT64_MAX it is INT64_MAX: more than readers take for an integer, and
 * nothing that anybody has counted. */
void pf__json_count(FILE *to, uint64_t value);

#endif
