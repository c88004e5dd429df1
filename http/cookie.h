/*
 * cookie.h - cookies, RFC 6265: reading what browsers send, writing Set-Cookie.
 *
 * Pure functions: any thread, any process. Cost: linear in the text.
 */
#ifndef PREFORK_HTTP_COOKIE_H
#define PREFORK_HTTP_COOKIE_H

#include "http/text.h"

/* More than this no browser keeps: name, value and attributes. A NUL is not counted. */
#define PF__COOKIE_MAX 4096

/*
 * The next cookie of a Cookie field: taken off *rest. Names and values are borrowed and as
 * sent, without the blanks around them and without the quotes around a value; nothing in
 * them is decoded. What has no name or no '=' is passed over. False: no more.
 */
bool pf__cookie_next(struct pf__text *rest, struct pf__text *name, struct pf__text *value);

/* The first cookie of that name, in upper and lower case as given, in the lines of a
 * request. False if there is none: *value is untouched. Browsers send the one with the
 * longest path first. */
bool pf__cookie_find(struct pf__texts lines, const char *name, struct pf__text *value);

enum pf__same_site {
    PF__SAME_SITE_UNSAID, /* browsers take it for lax */
    PF__SAME_SITE_LAX,
    PF__SAME_SITE_STRICT,
    PF__SAME_SITE_NONE,
};

/* What Set-Cookie says. */
struct pf__cookie {
    const char *name;
    const char *value;  /* NULL: empty */
    const char *path;   /* NULL: not said */
    const char *domain; /* NULL: not said, so this host alone */
    int64_t max_age_s;  /* 0: until the browser ends; negative: be gone */
    bool secure;
    bool http_only;
    enum pf__same_site same_site;
};

/*
 * Write the value of a Set-Cookie field into out[size], with a NUL. Nothing is quoted or
 * encoded: what could be read as something else is refused.
 *
 * Returns the length, -ENOBUFS (size is too small, or PF__COOKIE_MAX is), or -EINVAL: a
 * name that is no token; a value with blanks, controls, quotes, commas, semicolons,
 * backslashes or bytes above 0x7e; a path without a slash in front or with a semicolon, a
 * control or such bytes; a domain that is not letters, digits, dots and hyphens; SameSite
 * none without Secure, which browsers drop, or none of the four.
 */
int pf__cookie_write(const struct pf__cookie *cookie, char *out, size_t size);

#endif
