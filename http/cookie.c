/*
 * cookie.c - see cookie.h.
 */
#include "http/cookie.h"

#include <errno.h>
#include <stdio.h>

static struct pf__text without_quotes(struct pf__text value)
{
    if (value.len < 2 || value.at[0] != '"' || value.at[value.len - 1] != '"')
        return value;
    return (struct pf__text){value.at + 1, value.len - 2};
}

bool pf__cookie_next(struct pf__text *rest, struct pf__text *name, struct pf__text *value)
{
    struct pf__text pair;
    while (pf__text_split(rest, ';', &pair)) {
        size_t equals = pf__text_find(pair, '=');
        struct pf__text before = pf__text_trim((struct pf__text){pair.at, equals});
        if (equals == pair.len || before.len == 0)
            continue;
        *name = before;
        *value = without_quotes(pf__text_trim(pf__text_skip(pair, equals + 1)));
        return true;
    }
    return false;
}

bool pf__cookie_find(struct pf__texts lines, const char *name, struct pf__text *value)
{
    for (size_t i = 0; i < lines.count; i++) {
        struct pf__text rest = lines.at[i], found, its;
        while (pf__cookie_next(&rest, &found, &its))
            if (pf__text_equals(found, pf__text_of(name))) {
                *value = its;
                return true;
            }
    }
    return false;
}

/* ---- Set-Cookie ------------------------------------------------------------------ */

/* Visible ASCII and blanks, but none of `except`. */
static bool is_made_without(const char *text, const char *except)
{
    for (; *text; text++)
        if (pf__is_control(*text) || (unsigned char)*text > 0x7e || strchr(except, *text))
            return false;
    return true;
}

static bool is_domain(const char *text)
{
    bool any = false;
    for (; *text; text++, any = true)
        if (!pf__is_letter(*text) && !pf__is_digit(*text) && *text != '.' && *text != '-')
            return false;
    return any;
}

static bool is_valid(const struct pf__cookie *cookie)
{
    if (!cookie->name || !pf__is_token(pf__text_of(cookie->name)))
        return false;
    if (cookie->value && !is_made_without(cookie->value, " \",;\\"))
        return false;
    if (cookie->path && (cookie->path[0] != '/' || !is_made_without(cookie->path, ";")))
        return false;
    if (cookie->domain && !is_domain(cookie->domain))
        return false;
    if ((unsigned)cookie->same_site > PF__SAME_SITE_NONE)
        return false;
    return cookie->same_site != PF__SAME_SITE_NONE || cookie->secure;
}

int pf__cookie_write(const struct pf__cookie *cookie, char *out, size_t size)
{
    static const char *const same_site[] = {
        [PF__SAME_SITE_UNSAID] = "",
        [PF__SAME_SITE_LAX] = "; SameSite=Lax",
        [PF__SAME_SITE_STRICT] = "; SameSite=Strict",
        [PF__SAME_SITE_NONE] = "; SameSite=None",
    };
    char max_age[40] = "";
    if (!is_valid(cookie))
        return -EINVAL;
    if (cookie->max_age_s != 0)
        snprintf(max_age, sizeof max_age, "; Max-Age=%lld",
                 cookie->max_age_s > 0 ? (long long)cookie->max_age_s : 0);
    int len = snprintf(out, size, "%s=%s%s%s%s%s%s%s%s%s", cookie->name,
                       cookie->value ? cookie->value : "", cookie->path ? "; Path=" : "",
                       cookie->path ? cookie->path : "", cookie->domain ? "; Domain=" : "",
                       cookie->domain ? cookie->domain : "", max_age,
                       cookie->secure ? "; Secure" : "",
                       cookie->http_only ? "; HttpOnly" : "", same_site[cookie->same_site]);
    return len < 0 || (size_t)len >= size || len > PF__COOKIE_MAX ? -ENOBUFS : len;
}
