#include "bench/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SCHEME       "http://"
#define DEFAULT_PORT ":80"

static int refuse(char *why, size_t why_len, const char *what)
{
    snprintf(why, why_len, "%s", what);
    return -EINVAL;
}

/* Is there a port behind the host? A colon inside of brackets is the literal's. */
static int has_port(const char *authority)
{
    const char *bracket = strrchr(authority, ']');
    return strchr(bracket ? bracket : authority, ':') != NULL;
}

/* A request line and a header are made of it: no blanks, no controls, nothing beyond ASCII.
 */
static int is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < '!' || *text > '~')
            return 0;
    return 1;
}

int url_parse(const char *text, struct url *out, char *why, size_t why_len)
{
    if (strncasecmp(text, "https://", 8) == 0)
        return refuse(why, why_len, "TLS is not supported; use http://");
    if (strncasecmp(text, SCHEME, strlen(SCHEME)) != 0)
        return refuse(why, why_len, "must begin with http://");
    if (!is_plain(text))
        return refuse(why, why_len, "percent-encode blanks and bytes beyond ASCII");

    const char *authority = text + strlen(SCHEME);
    size_t authority_len = strcspn(authority, "/?#");
    const char *path = authority + authority_len;
    size_t path_len = strcspn(path, "#");
    if (authority_len == 0 || *authority == ':')
        return refuse(why, why_len, "has no host; write http://HOST:PORT/");
    if (memchr(authority, '@', authority_len))
        return refuse(why, why_len,
                      "has a user name; give it with -H 'Authorization: ...'");
    if (authority_len > URL_AUTHORITY_MAX - sizeof DEFAULT_PORT)
        return refuse(why, why_len, "has too long a host");
    if (path_len > URL_PATH_MAX - 2)
        return refuse(why, why_len, "has too long a path");

    snprintf(out->authority, sizeof out->authority, "%.*s", (int)authority_len, authority);
    snprintf(out->address, sizeof out->address, "%.*s%s", (int)authority_len, authority,
             has_port(out->authority) ? "" : DEFAULT_PORT);
    snprintf(out->path, sizeof out->path, "%s%.*s", *path == '/' ? "" : "/", (int)path_len,
             path);
    return 0;
}
