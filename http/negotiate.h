/*
 * negotiate.h - which codings of content a client accepts; RFC 9110 section 12.5.3.
 *
 * Pure functions: any thread, any process. Cost: linear in the field.
 */
#ifndef PREFORK_HTTP_NEGOTIATE_H
#define PREFORK_HTTP_NEGOTIATE_H

#include "http/text.h"

enum pf__coding {
    PF__CODING_IDENTITY, /* as it is */
    PF__CODING_GZIP,
    PF__CODING_BR,
    PF__CODINGS,
};

/* How much a client likes each, in thousandths: 0 is not at all, 1000 is best. */
struct pf__accepted {
    int quality[PF__CODINGS];
};

/*
 * Read the lines of Accept-Encoding. x-gzip is gzip; `*` is for what is not named; what is
 * malformed is passed over; what is named twice counts by the last.
 *
 * Without the field, identity alone is accepted: a client that says nothing may know
 * nothing. Identity is accepted unless it is named with q=0, or `*` is and it is not; not
 * named at all it is liked least: 1.
 */
void pf__negotiate_read(struct pf__texts lines, struct pf__accepted *accepted);

/* The best liked of those that are `there`; between equals br before gzip before identity.
 * Identity is there always, and what is chosen where nothing is accepted. */
enum pf__coding pf__negotiate_choose(const struct pf__accepted *accepted,
                                     const bool there[PF__CODINGS]);

#endif
