/*
 * conditional.h - is a request to be carried out, given what the client knows already?
 * RFC 9110 section 13.
 *
 * Pure functions: any thread, any process. Cost: linear in the fields.
 */
#ifndef PREFORK_HTTP_CONDITIONAL_H
#define PREFORK_HTTP_CONDITIONAL_H

#include "http/etag.h"

/* No date is known. */
#define PF__NO_DATE INT64_MIN

/* What the request says; zeroed, it says nothing. */
struct pf__conditions {
    bool is_get; /* or HEAD */
    struct pf__texts if_match;
    struct pf__texts if_none_match;
    struct pf__text if_unmodified_since; /* `at` is NULL if it was not sent, or twice */
    struct pf__text if_modified_since;
    struct pf__text if_range;
    int64_t now; /* in seconds since 1970, for dates of two digits: when.h */
};

/* What there is: the representation that GET would send now. */
struct pf__current {
    bool exists;
    struct pf__etag etag;
    int64_t modified; /* in seconds since 1970, or PF__NO_DATE */
};

/*
 * Go through the conditions in the order of section 13.2.2: If-Match, else
 * If-Unmodified-Since; then If-None-Match, else (GET and HEAD) If-Modified-Since.
 *
 * Returns 0 (carry it out; then see pf__conditional_wants_range()), 304 or 412. A date that
 * cannot be read is ignored, as is any date when there is none to compare with; of a list
 * counts what comes before the first thing that is no tag.
 */
int pf__conditional_check(const struct pf__conditions *conditions,
                          const struct pf__current *current);

/* Does If-Range let a Range field count? Yes without one; else only if it is the very same
 * strong tag or the very date of the last change. */
bool pf__conditional_wants_range(const struct pf__conditions *conditions,
                                 const struct pf__current *current);

#endif
