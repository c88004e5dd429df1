/*
 * placeholder.h - numbers in the text of a request: {seq}, {rand} and {conn}, as requests.h
 * describes them.
 */
#ifndef PREFORK_BENCH_PLACEHOLDER_H
#define PREFORK_BENCH_PLACEHOLDER_H

#include <stdbool.h>
#include <stddef.h>

enum placeholder {
    PLACEHOLDER_TEXT, /* none: bytes as they are */
    PLACEHOLDER_SEQ,
    PLACEHOLDER_RAND,
    PLACEHOLDER_CONN,
    PLACEHOLDER_LENGTH, /* of the body, if that depends on the numbers: never written by a
                           user */
    PLACEHOLDER_KINDS,
};

struct placeholder_token {
    enum placeholder kind;
    const char *bytes; /* borrowed from the text */
    size_t len;
};

/* Take one token from *at, which is moved behind it. Returns 1, 0 at the end, or -EINVAL:
 * the token is a {word} that is no placeholder, or one that no brace closes. */
int placeholder_next(const char **at, const char *end, struct placeholder_token *out);

/* What a text comes to when the numbers are known. */
struct placeholder_measure {
    size_t fixed;                       /* bytes */
    unsigned counts[PLACEHOLDER_KINDS]; /* of each number */
};

/* Measure a text; verbatim: it has no placeholders, whatever it looks like. Returns 0, or
 * -EINVAL with a phrase in `why`. */
int placeholder_measure(const char *text, size_t len, bool verbatim,
                        struct placeholder_measure *out, char *why, size_t why_len);

/* Does its length depend on the numbers? */
bool placeholder_measure_varies(const struct placeholder_measure *of);

#endif
