/*
 * parser_refuse.c - what is wrong with a head that is refused; see parser_internal.h.
 */
#include "http/parser_internal.h"

#include <string.h>

/* "gzip, chunked" and the like are good HTTP that nobody here decodes: 501. Anything else
 * but "chunked" leaves in doubt where the body ends. */
int pf__parser_refuse_codings(const char *value, size_t len)
{
    static const char *const known[] = {"gzip", "x-gzip", "deflate", "compress",
                                        "x-compress"};
    const char *list = value, *end = value + len, *at;
    size_t n;
    while (pf__parser_next_element(&list, end, &at, &n)) {
        if (list > end)
            return pf__parser_is_word(at, n, "chunked") ? -501 : -400;
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            is_known |= pf__parser_is_word(at, n, known[i]);
        if (!is_known)
            return -400;
    }
    return -400;
}

/* llhttp does not know the method. A token in front of something that can be asked for is a
 * method of somebody's: 501. Anything else, such as a TLS handshake, is no HTTP: 400. */
int pf__parser_refuse_method(const struct pf_http_parser *parser, const char *base,
                             size_t len)
{
    const char *p = base + parser->line_at;
    size_t rest = len - parser->line_at;
    size_t n = (size_t)(pf__skip(p, p + rest, PF__TOKEN) - p);
    if (n > PF__METHOD_MAX)
        return -400;
    if (n == rest || (n > 0 && p[n] == ' ' && n + 1 == rest))
        return PF_HTTP_MORE;
    return n > 0 && p[n] == ' ' && (p[n + 1] == '/' || p[n + 1] == '*') ? -501 : -400;
}

/* llhttp stopped at base[seen], in a version or right behind it: 505 if it is a number of
 * more digits, such as 1.10, or of another protocol. */
static int refuse_version(const struct pf_http_parser *parser, const char *base,
                          size_t seen)
{
    const char *end = base + seen;
    const char *slash = memrchr(base + parser->line_at, '/', seen - parser->line_at);
    const char *version = slash ? slash + 1 : end;
    if (!pf__parser_is_version(version, (size_t)(end - version)))
        return -400;
    /* [3] made llhttp stop. */
    return version[0] == '1' && !pf__char_is(version[3], PF__DIGIT) ? -400 : -505;
}

int pf__parser_refuse_head(struct pf_http_parser *parser, llhttp_errno_t error,
                           const char *base, size_t seen)
{
    uint8_t method = pf__parser_llhttp(parser)->method;
    if (parser->side == PF_HTTP_RESPONSE || method == HTTP_PRI)
        return -400;
    if (error == HPE_INVALID_CONSTANT && method >= HTTP_DESCRIBE) /* methods of RTSP */
        return -501;
    return error == HPE_INVALID_VERSION ? refuse_version(parser, base, seen) : -400;
}
