/*
 * etag.h - entity tags, RFC 9110 section 8.8.3.
 */
#ifndef PREFORK_HTTP_ETAG_H
#define PREFORK_HTTP_ETAG_H

#include "http/text.h"

struct pf__etag {
    struct pf__text text; /* between the quotes; `at` is NULL if there is no tag */
    bool weak;
};

/*
 * The next tag of a list ("a", W/"b,c"): taken off *rest; empty elements are passed over.
 * Returns 1, 0 (no more), or -EINVAL (what follows is no tag: nothing behind it counts).
 * Pure. Cost: linear.
 */
int pf__etag_next(struct pf__text *rest, struct pf__etag *tag);

/* Are they the same by the strong comparison (neither is weak) or the weak one? A tag that
 * is not there equals none. */
bool pf__etag_is_same(struct pf__etag a, struct pf__etag b, bool strong);

#endif
