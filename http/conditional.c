/*
 * conditional.c - preconditions; see conditional.h. Sections are RFC 9110's.
 */
#include "http/conditional.h"
#include "http/when.h"

static bool lists_tag(struct pf__texts lines, const struct pf__current *current,
                      bool strong)
{
    for (size_t i = 0; i < lines.count; i++) {
        struct pf__text rest = lines.at[i];
        struct pf__etag tag;
        if (pf__text_is_word(pf__text_trim(rest), "*") && current->exists)
            return true;
        while (pf__etag_next(&rest, &tag) > 0)
            if (current->exists && pf__etag_is_same(tag, current->etag, strong))
                return true;
    }
    return false;
}

/* Is there a date to compare the last change with? */
static bool has_date(const struct pf__conditions *conditions, struct pf__text field,
                     const struct pf__current *current, int64_t *date)
{
    return field.at && current->exists && current->modified != PF__NO_DATE &&
           pf__when_parse(field, conditions->now, date) == 0;
}

/* Steps 1 and 2 of section 13.2.2. */
static bool is_as_expected(const struct pf__conditions *conditions,
                           const struct pf__current *current)
{
    int64_t date;
    if (conditions->if_match.count > 0)
        return lists_tag(conditions->if_match, current, true);
    if (has_date(conditions, conditions->if_unmodified_since, current, &date))
        return current->modified <= date;
    return true;
}

/* Steps 3 and 4. */
static bool is_known(const struct pf__conditions *conditions,
                     const struct pf__current *current)
{
    int64_t date;
    if (conditions->if_none_match.count > 0)
        return lists_tag(conditions->if_none_match, current, false);
    if (conditions->is_get &&
        has_date(conditions, conditions->if_modified_since, current, &date))
        return current->modified <= date;
    return false;
}

int pf__conditional_check(const struct pf__conditions *conditions,
                          const struct pf__current *current)
{
    if (!is_as_expected(conditions, current))
        return 412;
    if (!is_known(conditions, current))
        return 0;
    return conditions->is_get ? 304 : 412;
}

/* Section 13.1.5. */
bool pf__conditional_wants_range(const struct pf__conditions *conditions,
                                 const struct pf__current *current)
{
    struct pf__text field = conditions->if_range;
    struct pf__etag tag, none;
    int64_t date;
    if (!field.at)
        return true;
    if (pf__etag_next(&field, &tag) > 0 && pf__etag_next(&field, &none) == 0)
        return current->exists && pf__etag_is_same(tag, current->etag, true);
    return has_date(conditions, conditions->if_range, current, &date) &&
           date == current->modified;
}
