/*
 * utf8.h - which bytes are UTF-8, RFC 3629.
 */
#ifndef PREFORK_HTTP_UTF8_H
#define PREFORK_HTTP_UTF8_H

#include "http/text.h"

/* The length of the character that the text begins with, 1 to 4; 0 if it begins with none:
 * empty, cut short, overlong, a surrogate, beyond U+10FFFF, or not UTF-8 at all. */
size_t pf__utf8_next(struct pf__text text);

/* Is all of it UTF-8? Nothing is. */
bool pf__utf8_is_valid(struct pf__text text);

#endif
