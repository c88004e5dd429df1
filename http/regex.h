/*
 * regex.h - paths by regular expression, where a pattern (pattern.h) cannot say it.
 *
 * PCRE2's, if the library was built with it. As in Tornado an expression has to match the
 * whole path, as the client sent it, and its groups are what is captured.
 */
#ifndef PREFORK_HTTP_REGEX_H
#define PREFORK_HTTP_REGEX_H

#include "http/pattern.h"

/* How much one match may try before it is given up: expressions like (a+)+b can go on
 * forever. */
#define PF__REGEX_STEPS_MAX 100000

struct pf__regex;

/*
 * Compile an expression. Returns 0, -ENOTSUP (built without PCRE2), -EINVAL (no valid
 * expression, or with more than PF__PATTERN_CAPTURES_MAX groups; in `why`, of why_len
 * bytes, is what is wrong), or -ENOMEM.
 */
int pf__regex_new(const char *expression, char *why, size_t why_len,
                  struct pf__regex **out);

/* NULL is fine. */
void pf__regex_free(struct pf__regex *regex);

/*
 * Returns 0 and *captures, borrowed from the path: a group that took no part is {NULL, 0}.
 * Or -ENOENT (no match), -E2BIG (given up: see PF__REGEX_STEPS_MAX), -ENOMEM; -ENOTSUP.
 * One thread at a time for each regex. The first matches may allocate.
 */
int pf__regex_match(struct pf__regex *regex, struct pf__text path,
                    struct pf__captures *captures);

#endif
