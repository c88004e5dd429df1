/*
 * request_template.h - one request, checked and made ready to be written: its bytes, or the
 * pieces between placeholders. requests.h is the interface; this is its inside.
 */
#ifndef PREFORK_BENCH_REQUEST_TEMPLATE_H
#define PREFORK_BENCH_REQUEST_TEMPLATE_H

#include "bench/requests.h"

enum request_piece_kind {
    PIECE_TEXT,
    PIECE_SEQ,
    PIECE_RAND,
    PIECE_CONN,
    PIECE_LENGTH, /* of the body, which depends on the numbers in it */
    PIECE_KINDS,
};

struct request_piece {
    enum request_piece_kind kind;
    size_t at, len; /* PIECE_TEXT: in `text` */
};

/* What a template comes to when the numbers are known. */
struct request_measure {
    size_t fixed;                 /* bytes of text */
    unsigned counts[PIECE_KINDS]; /* placeholders of each kind */
};

struct request_template {
    struct request request; /* first: request_write() finds the rest by it */
    char *name, *text;      /* owned */
    struct request_piece *pieces;
    size_t piece_count;
    struct request_measure body;
    unsigned used[PIECE_KINDS]; /* in the whole request */
};

/* Check a request and make it ready. Returns 0, -ENOMEM, or -EINVAL with a phrase in `why`;
 * *out is then untouched, else to be ended with request_template_fini(). */
int request_compile(const struct request_line *line, struct request_template *out,
                    char *why, size_t why_len);

/* Make bytes a template without pieces. 0 or -ENOMEM. */
int request_compile_raw(const void *bytes, size_t len, struct request_template *out);

void request_template_fini(struct request_template *request);

/* The length of the name if `field` is "Name: value" on one line, else 0. */
size_t request_field_name(const char *field);

#endif
