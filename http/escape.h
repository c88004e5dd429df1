/*
 * escape.h - text from outside inside of log lines, JSON and HTML.
 *
 * Into out[size], which ends with a NUL that is not counted. Each returns the length, or
 * -ENOBUFS; one byte becomes at most the number of bytes that is given. `out` and the text
 * are apart. Pure functions: any thread, any process. Cost: linear.
 */
#ifndef PREFORK_HTTP_ESCAPE_H
#define PREFORK_HTTP_ESCAPE_H

#include "http/text.h"

#define PF__ESCAPE_LOG_MAX  4
#define PF__ESCAPE_JSON_MAX 6
#define PF__ESCAPE_HTML_MAX 6

/* As nginx does: quotes, backslashes and all that is not visible ASCII or a blank become
 * \xNN, so that no line can be forged and no terminal be driven. */
int pf__escape_log(struct pf__text text, char *out, size_t size);

/* What goes between the quotes of a JSON string, RFC 8259 section 7. A byte that is no
 * UTF-8 becomes U+FFFD. */
int pf__escape_json(struct pf__text text, char *out, size_t size);

/* What goes into the text of an element or a quoted attribute: & < > " and '. */
int pf__escape_html(struct pf__text text, char *out, size_t size);

#endif
