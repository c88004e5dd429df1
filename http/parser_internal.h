/*
 * parser_internal.h - the inside of the parser of HTTP/1.
 *
 *     parser.c         a message: the lines of its head, and what they mean together
 *     parser_body.c    its body; what llhttp is told; where it begins, and how it may end
 *     parser_words.c   hosts, elements of lists, names of fields
 *     parser_refuse.c  what is wrong with a head that is refused
 *
 * Only these know of llhttp, which reads heads: the Makefile joins them with it. What every
 * head passes through stands in parser.c as a whole, and is inlined into one function: with
 * the start line in a file of its own a request took 1 % more instructions.
 */
#ifndef PREFORK_HTTP_PARSER_INTERNAL_H
#define PREFORK_HTTP_PARSER_INTERNAL_H

#include "http/parser.h"
#include "http/text.h"

#include <llhttp/llhttp.h>

#if !LLHTTP_STRICT_MODE
#error "llhttp's lenient mode is a way in for request smuggling"
#endif

/* No method known to HTTP is longer. */
#define PF__METHOD_MAX 32

enum pf__phase {
    PF__PHASE_START, /* before the end of the start line */
    PF__PHASE_FIELDS,
    PF__PHASE_HEAD_END, /* the empty line has come */
    PF__PHASE_BODY,     /* also without one: what follows HEAD_DONE */
    PF__PHASE_DONE,
    PF__PHASE_FAILED,
};

_Static_assert(sizeof(llhttp_t) <= sizeof(((struct pf_http_parser *)0)->state),
               "PF_HTTP_PARSER_WORDS is too small for llhttp's state");

static inline llhttp_t *pf__parser_llhttp(struct pf_http_parser *parser)
{
    return (llhttp_t *)(void *)parser->state;
}

static inline struct pf_http_span pf__parser_span(const char *base, const char *at,
                                                  const char *end)
{
    return (struct pf_http_span){(uint32_t)(at - base), (uint32_t)(end - at)};
}

/* Is it `word`, which is in lower case, in upper or lower case? Most are not, which their
 * first letter shows. */
static inline bool pf__parser_is_word(const char *p, size_t len, const char *word)
{
    if (len != strlen(word))
        return false;
    size_t same = 0;
    while (same < len && pf__to_lower(p[same]) == word[same])
        same++;
    return same == len;
}

/* At a %: do two hexadecimal digits follow? */
static inline bool pf__parser_is_escape(const char *p, const char *end)
{
    return end - p >= 3 && pf__char_is(p[1], PF__HEX) && pf__char_is(p[2], PF__HEX);
}

static inline bool pf__parser_is_version(const char *p, size_t len)
{
    return len >= 3 && pf__char_is(p[0], PF__DIGIT) && p[1] == '.' &&
           pf__char_is(p[2], PF__DIGIT);
}

/* Is the end of the body that of the connection? */
static inline bool pf__parser_lasts_until_close(const struct pf_http_parser *parser)
{
    return parser->has_body && !parser->chunked && parser->content_length == UINT64_MAX;
}

/* ---- parser_body.c --------------------------------------------------------------- */

/* llhttp forgets what it has read, and begins a message. */
void pf__parser_start_llhttp(struct pf_http_parser *parser);

/* The body goes on at base[*used]. Return as pf__http_parser_run() does. */
int pf__parser_run_chunked(struct pf_http_parser *parser, const char *base, size_t len,
                           size_t *used, struct pf_http_span *body);

/* A body with a length, without one (until the peer closes), or none at all. */
int pf__parser_run_plain(struct pf_http_parser *parser, size_t len, size_t *used,
                         struct pf_http_span *body);

/* ---- parser_words.c -------------------------------------------------------------- */

/* A host with an optional port, RFC 3986 section 3.2; without user information. It may be
 * empty, in Host, but then has no port. */
bool pf__parser_host_is_valid(const char *p, const char *end);

/* Take the next element off a comma-separated list, without the white space around it. */
bool pf__parser_next_element(const char **list, const char *end, const char **at,
                             size_t *len);

/* ---- parser_refuse.c ------------------------------------------------------------- */

/* llhttp does not know the method: 400, 501, or PF_HTTP_MORE. */
int pf__parser_refuse_method(const struct pf_http_parser *parser, const char *base,
                             size_t len);

/* What llhttp's error means; it came at base[seen]. */
int pf__parser_refuse_head(struct pf_http_parser *parser, llhttp_errno_t error,
                           const char *base, size_t seen);

/* Of a Transfer-Encoding other than chunked. */
int pf__parser_refuse_codings(const char *value, size_t len);

#endif
