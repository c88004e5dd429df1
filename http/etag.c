/*
 * etag.c - see etag.h.
 */
#include "http/etag.h"

#include <errno.h>

/* RFC 9110 section 8.8.3: etagc. */
static bool is_tag_byte(char c)
{
    return !pf__is_control(c) && c != ' ' && c != '"';
}

/* What stands between quotes, and how long it is with them; 0: there is no such thing. */
static size_t quoted_len(struct pf__text text)
{
    size_t i = 1;
    if (text.len < 2 || text.at[0] != '"')
        return 0;
    while (i < text.len && is_tag_byte(text.at[i]))
        i++;
    return i < text.len && text.at[i] == '"' ? i + 1 : 0;
}

int pf__etag_next(struct pf__text *rest, struct pf__etag *tag)
{
    struct pf__text text = pf__text_trim(*rest);
    while (text.len > 0 && text.at[0] == ',')
        text = pf__text_trim(pf__text_skip(text, 1));
    if (text.len == 0) {
        *rest = text;
        return 0;
    }
    bool weak = text.len > 2 && text.at[0] == 'W' && text.at[1] == '/';
    struct pf__text quoted = weak ? pf__text_skip(text, 2) : text;
    size_t len = quoted_len(quoted);
    struct pf__text behind = pf__text_trim(pf__text_skip(quoted, len));
    if (len == 0 || (behind.len > 0 && behind.at[0] != ','))
        return -EINVAL;
    *tag = (struct pf__etag){{quoted.at + 1, len - 2}, weak};
    *rest = behind;
    return 1;
}

bool pf__etag_is_same(struct pf__etag a, struct pf__etag b, bool strong)
{
    if (!a.text.at || !b.text.at || (strong && (a.weak || b.weak)))
        return false;
    return pf__text_equals(a.text, b.text);
}
