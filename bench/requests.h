/*
 * requests.h - what is sent: one request, or a mix of several with weights.
 *
 * A file describes a mix. A line that begins in the first column starts a request: a
 * weight, a method and a target; the lines below it that begin with white space belong to
 * it: header fields, and its body.
 *
 *     # seven of ten are the front page
 *     7  GET   /
 *     2  GET   /users/{seq}
 *            Accept: application/json
 *     1  POST  /echo
 *            Content-Type: text/plain
 *            = hello {rand}
 *            = (a second line of the body)
 *     1  PUT   /files/a
 *            @ body.bin
 *
 * The lines of a body are joined by newlines, without one at the end; a file's bytes are
 * taken as they are, its name from the mix's folder. A line that begins with # is a
 * comment, and a blank one is nothing. A field of a request stands instead of a default of
 * its name.
 *
 * {seq} is the number of the request in its unit's stride, unique over all units; {rand} a
 * random number of 64 bits; {conn} the number of the connection: decimal, in targets,
 * values of fields and bodies. Another {word} is an error, and so is {seq without its
 * brace; {{ is a brace, and so is { before anything but a word and a }: JSON goes as it
 * is.
 *
 * Host is added, and Content-Length if there is a body or the method is one that wants it,
 * right for each request. A request without a placeholder is written once and only copied.
 * Nothing that is accepted here can break the framing of a request.
 */
#ifndef PREFORK_BENCH_REQUESTS_H
#define PREFORK_BENCH_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUESTS_MAX              256                /* in a mix */
#define REQUESTS_BODY_MAX         (64 * 1024 * 1024) /* bytes of a body */
#define REQUESTS_FILE_MAX         (16 * 1024 * 1024) /* bytes of a mix */
#define REQUESTS_FIELDS_MAX       128                /* of one request, defaults included */
#define REQUESTS_WEIGHT_MAX       1000000
#define REQUESTS_PLACEHOLDERS_MAX 1024 /* in one request */

/* Room for the text of any placeholder. */
#define REQUESTS_NUMBER_MAX 20

struct requests;

/* One of a mix. */
struct request {
    const char *name; /* "GET /users/{seq}": for reports */
    unsigned index;   /* in the mix: requests_at() */
    uint64_t weight;
    bool head;         /* its answer has no body */
    bool fixed;        /* no placeholder: `bytes` is the request */
    const char *bytes; /* fixed: borrowed, len bytes; else of no use outside */
    size_t len;
    size_t len_max; /* of what request_write() writes */
};

/* A single one, as the command line gives it. */
struct request_line {
    const char *method;         /* "GET" */
    const char *target;         /* "/path?query", may hold placeholders */
    const char *authority;      /* for Host, unless a header names one */
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    const char *body; /* NULL: none; may hold placeholders */
    size_t body_len;
    bool verbatim; /* the body holds no placeholders: a file's */
    bool close;    /* add Connection: close */
};

/* Everything is copied. Returns 0, -ENOMEM, or -EINVAL with a line in `why` that says what
 * is wrong and what would be right. *out is to be freed. Placeholders that are not known
 * are an error. */
int requests_one(const struct request_line *line, struct requests **out, char *why,
                 size_t why_len);

/* Read a mix. `defaults` gives the authority, the headers that all get and `close`; its
 * method, target and body are not read. Errors as above, with the file's name and line;
 * -ENOENT ... too, if the file cannot be read. */
int requests_read(const char *path, const struct request_line *defaults,
                  struct requests **out, char *why, size_t why_len);

/* Raw bytes, for PLAN_ECHO: one "request" of these. Copied. Returns 0, -ENOMEM, or -EINVAL
 * if there are none. */
int requests_raw(const void *bytes, size_t len, struct requests **out);

void requests_free(struct requests *requests);

unsigned requests_count(const struct requests *requests);
const struct request *requests_at(const struct requests *requests, unsigned index);

/* Pick one by its weight; `dice` is evenly random, of 64 bits. Cost: a few steps of a
 * search. */
const struct request *requests_pick(const struct requests *requests, uint64_t dice);

/* The values of the placeholders. */
struct request_numbers {
    uint64_t seq, rand, conn;
};

/* Write a request that is not fixed into `to`, of at least len_max bytes; returns how many
 * were written. A fixed one is copied. Allocates nothing. */
size_t request_write(const struct request *request, const struct request_numbers *numbers,
                     char *to);

#endif
