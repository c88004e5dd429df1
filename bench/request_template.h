/*
 * request_template.h - one request, checked and made ready to be written: its bytes, or the
 * pieces between placeholders. requests.h is the interface; this is its inside.
 */
#ifndef PREFORK_BENCH_REQUEST_TEMPLATE_H
#define PREFORK_BENCH_REQUEST_TEMPLATE_H

#include "bench/placeholder.h"
#include "bench/requests.h"

struct request_piece {
    enum placeholder kind;
    size_t at, len; /* PLACEHOLDER_TEXT: in `text` */
};

struct request_template {
    struct request request; /* first: request_write() finds the rest by it */
    char *name, *text;      /* owned */
    struct request_piece *pieces;
    size_t piece_count;
    struct placeholder_measure body;
    unsigned used[PLACEHOLDER_KINDS]; /* in the whole request */
};

/* Check a request and make it ready. Returns 0, -ENOMEM, or -EINVAL with a phrase in `why`;
 * *out is then untouched, else to be ended with request_template_fini(). */
int request_compile(const struct request_line *line, struct request_template *out,
                    char *why, size_t why_len);

/* Make bytes a template without pieces. 0 or -ENOMEM. */
int request_compile_raw(const void *bytes, size_t len, struct request_template *out);

void request_template_fini(struct request_template *request);

#endif
