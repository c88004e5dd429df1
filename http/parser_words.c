/*
 * parser_words.c - hosts, elements of lists, and names of fields; see parser_internal.h.
 */
#include "http/parser_internal.h"

#include <string.h>
#include <strings.h>

/* Behind an IPv6 address in brackets; NULL: it is none. */
static const char *skip_address(const char *p, const char *end)
{
    const char *stop = p + 1;
    while (stop < end && (pf__char_is(*stop, PF__HEX) || *stop == ':' || *stop == '.'))
        stop++;
    return stop < end && *stop == ']' && stop - p >= 3 ? stop + 1 : NULL;
}

/* Behind a name or an IPv4 address; NULL: with a % that begins no escape. */
static const char *skip_name(const char *p, const char *end)
{
    while ((p = pf__skip(p, end, PF__HOST)) < end && *p == '%') {
        if (!pf__parser_is_escape(p, end))
            return NULL;
        p += 3;
    }
    return p;
}

bool pf__parser_host_is_valid(const char *p, const char *end)
{
    const char *stop = p < end && *p == '[' ? skip_address(p, end) : skip_name(p, end);
    if (stop && stop > p && stop < end && *stop == ':')
        stop = pf__skip(stop + 1, end, PF__DIGIT);
    return stop == end;
}

bool pf__parser_next_element(const char **list, const char *end, const char **at,
                             size_t *len)
{
    const char *p = *list;
    if (p > end)
        return false;
    const char *comma = memchr(p, ',', (size_t)(end - p));
    const char *stop = comma ? comma : end;
    *list = stop + 1;
    while (p < stop && pf__is_blank(*p))
        p++;
    while (p < stop && pf__is_blank(stop[-1]))
        stop--;
    *at = p;
    *len = (size_t)(stop - p);
    return true;
}

const char *pf__http_parser_field(const struct pf_http_parser *parser, const char *base,
                                  const char *name, size_t *len)
{
    size_t len_of_name = strlen(name);
    for (uint32_t i = 0; i < parser->field_count; i++) {
        const struct pf_http_field *field = &parser->fields[i];
        if (field->name.len == len_of_name &&
            strncasecmp(base + field->name.at, name, len_of_name) == 0) {
            *len = field->value.len;
            return base + field->value.at;
        }
    }
    return NULL;
}
