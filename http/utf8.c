/*
 * utf8.c - see utf8.h.
 */
#include "http/utf8.h"

/* RFC 3629 section 4: what the first byte says about the others. */
struct form {
    unsigned char first_min, first_max;
    unsigned char second_min, second_max; /* the rest is 80 to BF */
    size_t len;
};

static const struct form forms[] = {
    {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool is_within(char c, unsigned char min, unsigned char max)
{
    return (unsigned char)c >= min && (unsigned char)c <= max;
}

static bool goes_on(struct pf__text text, const struct form *form)
{
    if (text.len < form->len)
        return false;
    if (form->len > 1 && !is_within(text.at[1], form->second_min, form->second_max))
        return false;
    for (size_t i = 2; i < form->len; i++)
        if (!is_within(text.at[i], 0x80, 0xbf))
            return false;
    return true;
}

size_t pf__utf8_next(struct pf__text text)
{
    if (text.len == 0)
        return 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (is_within(text.at[0], forms[i].first_min, forms[i].first_max))
            return goes_on(text, &forms[i]) ? forms[i].len : 0;
    return 0;
}

bool pf__utf8_is_valid(struct pf__text text)
{
    while (text.len > 0) {
        size_t len = pf__utf8_next(text);
        if (len == 0)
            return false;
        text = pf__text_skip(text, len);
    }
    return true;
}
