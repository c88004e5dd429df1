/*
 * when.h - dates of HTTP as seconds; date.h is the other way round.
 */
#ifndef PREFORK_HTTP_WHEN_H
#define PREFORK_HTTP_WHEN_H

#include "http/text.h"

/*
 * Read any of the three forms of RFC 9110 section 5.6.7:
 *
 *     Sun, 06 Nov 1994 08:49:37 GMT      IMF-fixdate
 *     Sunday, 06-Nov-94 08:49:37 GMT     RFC 850: the latest such year that is not more
 *                                        than 50 years after `now`, in seconds since 1970
 *     Sun Nov  6 08:49:37 1994           asctime
 *
 * in exactly this spelling; that the weekday is the right one is not asked. A leap second
 * (:60) counts as the next. Returns 0 and *second, since 1970, or -EINVAL: to be ignored,
 * as if the field had not been sent. Pure.
 */
int pf__when_parse(struct pf__text text, int64_t now, int64_t *second);

#endif
