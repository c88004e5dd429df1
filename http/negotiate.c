/*
 * negotiate.c - see negotiate.h.
 */
#include "http/negotiate.h"

#define UNSAID (-1)

/* "q=0.5" in thousandths, RFC 9110 section 12.4.2; or -1. */
static int quality_of(struct pf__text weight)
{
    int quality = 0, unit = 1000;
    if (weight.len < 3 || weight.len > strlen("q=0.000") ||
        pf__to_lower(weight.at[0]) != 'q' || weight.at[1] != '=')
        return -1;
    for (size_t i = 2; i < weight.len; i++) {
        if (i == 3 && weight.at[i] == '.')
            continue;
        if (i == 3 || !pf__is_digit(weight.at[i]))
            return -1;
        quality += unit * (weight.at[i] - '0');
        unit /= 10;
    }
    return quality <= 1000 ? quality : -1;
}

static void read_item(struct pf__text item, struct pf__accepted *accepted, int *others)
{
    int quality = 1000;
    struct pf__text name = {item.at, pf__text_find(item, ';')};
    if (name.len < item.len)
        quality = quality_of(pf__text_trim(pf__text_skip(item, name.len + 1)));
    name = pf__text_trim(name);
    if (quality < 0)
        return;
    if (pf__text_is_word(name, "gzip") || pf__text_is_word(name, "x-gzip"))
        accepted->quality[PF__CODING_GZIP] = quality;
    else if (pf__text_is_word(name, "br"))
        accepted->quality[PF__CODING_BR] = quality;
    else if (pf__text_is_word(name, "identity"))
        accepted->quality[PF__CODING_IDENTITY] = quality;
    else if (pf__text_is_word(name, "*"))
        *others = quality;
}

void pf__negotiate_read(struct pf__texts lines, struct pf__accepted *accepted)
{
    int others = UNSAID;
    for (int i = 0; i < PF__CODINGS; i++)
        accepted->quality[i] = UNSAID;
    for (size_t i = 0; i < lines.count; i++) {
        struct pf__text rest = lines.at[i], item;
        while (pf__text_split(&rest, ',', &item))
            read_item(item, accepted, &others);
    }
    for (int i = 0; i < PF__CODINGS; i++) {
        if (accepted->quality[i] != UNSAID)
            continue;
        int unnamed = i == PF__CODING_IDENTITY ? 1 : 0;
        accepted->quality[i] = others != UNSAID ? others : unnamed;
    }
}

enum pf__coding pf__negotiate_choose(const struct pf__accepted *accepted,
                                     const bool there[PF__CODINGS])
{
    enum pf__coding chosen = PF__CODING_IDENTITY;
    for (enum pf__coding coding = PF__CODING_GZIP; coding < PF__CODINGS; coding++) {
        int quality = accepted->quality[coding];
        if (there[coding] && quality > 0 && quality >= accepted->quality[chosen])
            chosen = coding;
    }
    return chosen;
}
