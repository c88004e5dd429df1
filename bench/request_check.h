/*
 * request_check.h - what is accepted as a request: nothing that could break its framing,
 * and nothing that a server has to refuse by itself. RFC 9110 and 9112.
 */
#ifndef PREFORK_BENCH_REQUEST_CHECK_H
#define PREFORK_BENCH_REQUEST_CHECK_H

#include "bench/placeholder.h"
#include "bench/requests.h"

/* Check all of it, and measure its body. Returns 0, or -EINVAL with a phrase in `why`.
 * Placeholders are checked in the body only. A field that is none is one of -H: those of a
 * mix were looked at line by line. */
int request_check(const struct request_line *line, struct placeholder_measure *body,
                  char *why, size_t why_len);

/* How many of the first characters may stand in a name: RFC 9110 section 5.6.2. */
size_t request_token_len(const char *text);

/* The length of the name if `field` is "Name: value" on one line, else 0. */
size_t request_field_name(const char *field);

/* Of such a field: its value without the blanks around it, borrowed. */
const char *request_field_value(const char *field);
size_t request_field_value_len(const char *field);

/* Is it the field of that name? */
bool request_field_is(const char *field, const char *name);

#endif
