/*
 * uri.h - percent-encoding (RFC 3986), queries and forms, and paths that name files.
 *
 * Everything is decoded once and only once, into the caller's buffer, which ends with a NUL
 * that is not counted. Pure functions: any thread, any process. Cost: linear in the text.
 */
#ifndef PREFORK_HTTP_URI_H
#define PREFORK_HTTP_URI_H

#include "http/text.h"

enum pf__uri_part {
    PF__URI_PATH, /* a plus is a plus */
    PF__URI_FORM, /* a plus is a space: queries, application/x-www-form-urlencoded */
};

/*
 * Decode into out[size]; text.len + 1 bytes are always enough, and `out` may be text.at
 * itself. Returns the length, -EINVAL (a % without two hexadecimal digits, or a NUL, sent
 * as it is or encoded), or -ENOBUFS.
 */
int pf__uri_decode(struct pf__text text, enum pf__uri_part part, char *out, size_t size);

/*
 * The next name=value pair of a query or form: taken off *rest, not decoded. A pair without
 * '=' has an empty value; empty pairs (a&&b) are passed over. False: no more.
 */
bool pf__form_next(struct pf__text *rest, struct pf__text *name, struct pf__text *value);

/*
 * The next pair in *rest whose decoded name is `name`: its value, decoded into out[size].
 * *rest is moved behind the pair, so that a name that comes several times is found several
 * times. Names with a bad escape are nobody's.
 *
 * Returns the length, -ENOENT (there is none), -EINVAL or -ENOBUFS as pf__uri_decode().
 */
int pf__form_find(struct pf__text *rest, const char *name, char *out, size_t size);

/*
 * Decode the path of a request into a name of a file below some directory: "a/b" for
 * "/a/b", "" for "/". A slash at the end stays: "a/" for "/a/". What comes out has no
 * segment that is empty, `.` or `..`, so it cannot lead out of the directory by itself;
 * links are for openat2(2) to stop.
 *
 * Returns the length, or for the first thing that is wrong: -EINVAL (no slash in front, a
 * bad escape, a NUL, an encoded slash, a backslash however it was sent, an empty segment
 * that is not the last, `.` or `..`), -EACCES (a name that begins with a dot: hidden),
 * -EILSEQ (not UTF-8, or an overlong form of it), -ENOBUFS.
 */
int pf__uri_file_name(struct pf__text path, char *out, size_t size);

#endif
