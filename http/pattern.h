/*
 * pattern.h - which of many path patterns does a path match?
 *
 *     /users/{id}         a capture: one whole segment, not empty
 *     /files/{path...}    the rest, slashes and all; may be empty, comes last
 *     /users/me           literal, byte for byte
 *
 * Patterns are compared with the path as the client sent it, not decoded: a slash that was
 * sent as %2F stays inside its segment, and captures are decoded by who uses them. But an
 * unreserved character (letters, digits, -._~) is the same with an escape and without, RFC
 * 3986 section 6.2.2.2: /users/%6De is /users/me.
 *
 * Where several patterns match, the first segment in which they differ decides: literal
 * before capture before rest. Two that match the very same paths are a conflict, found when
 * the table is made. Matching never allocates and changes nothing: any thread, any process.
 */
#ifndef PREFORK_HTTP_PATTERN_H
#define PREFORK_HTTP_PATTERN_H

#include "http/text.h"

#define PF__PATTERN_CAPTURES_MAX 8
/* A segment with escapes in it that is longer is no literal. */
#define PF__PATTERN_ESCAPED_MAX 1024
/* Segments of one pattern: how deep matching recurses. */
#define PF__PATTERN_SEGMENTS_MAX 32

struct pf__patterns;

/* What a match captured, in the pattern's order; borrowed from the path. */
struct pf__captures {
    size_t count;
    struct pf__text at[PF__PATTERN_CAPTURES_MAX];
};

/*
 * Make a table of `count` patterns, which are borrowed for as long as it lives.
 *
 * Returns 0, -ENOMEM, -EINVAL (a pattern without a slash in front, with braces that are no
 * capture of a whole segment, a name that is not letters, digits and underscores or comes
 * twice, a rest that is not last, or too many captures or segments), or -EEXIST (two match
 * the same paths); in `why` (why_len bytes) is then a phrase that names the pattern or
 * both.
 */
int pf__patterns_new(const char *const *patterns, size_t count, char *why, size_t why_len,
                     struct pf__patterns **out);

/* NULL is fine. */
void pf__patterns_free(struct pf__patterns *patterns);

/*
 * The index of the pattern that the path matches, or -ENOENT; *captures only if it does.
 * `escaped`: is there a % in the path?
 *
 * Cost: linear in the path, whose segments are compared with as many places of the table as
 * they could stand at: one, where literals and captures are no alternatives.
 */
int pf__patterns_match(const struct pf__patterns *patterns, struct pf__text path,
                       bool escaped, struct pf__captures *captures);

/* The name of a pattern's n-th capture, borrowed from its text; {NULL, 0} if it has no so
 * many. */
struct pf__text pf__pattern_capture_name(const char *pattern, size_t n);

#endif
