/*
 * document_read.h - from somebody's JSON into the fields of a result: nothing of it is
 * believed before it has been looked at. Private to report_read*.c.
 *
 * Each function that reads returns 0, -ENOMEM, or -EINVAL after saying in a phrase which
 * field is wrong and what would be right. What is not there stays as it is: unknown.
 */
#ifndef PREFORK_BENCH_DOCUMENT_READ_H
#define PREFORK_BENCH_DOCUMENT_READ_H

#include "bench/document.h"
#include <jansson.h>
#include <prefork/base.h>

struct document_reader {
    char *why;
    size_t why_len;
};

/* Write the phrase; returns -EINVAL. */
int document_refuse(const struct document_reader *reader, const char *format, ...)
    PF_PRINTF(2, 3);

/* Single values; false if it is none. An int is 0..RESULT_MOST, or null for unknown; a wide
 * one has 64 bits and may be a string of digits. */
bool document_int(const json_t *value, int64_t *out);
bool document_signed(const json_t *value, int64_t *out);
bool document_wide(const json_t *value, uint64_t *out);
bool document_real(const json_t *value, double *out);

/* Which of the words, ended by NULL, it is; or -1. */
int document_word(const json_t *value, const char *const *words);

/* Copy a string, or NULL for null; frees what *out was. Returns 0 or -ENOMEM. */
int document_text(const json_t *value, char **out);

/* The fields of `base` from an object; `place` is what phrases call it. */
int document_read(const struct document_reader *reader, const json_t *object,
                  const char *place, const struct document_field *table, void *base);

/* The array under that name, NULL if there is none; *count is how many it has, at most
 * `most`. */
int document_array(const struct document_reader *reader, const json_t *object,
                   const char *key, size_t most, const json_t **array, size_t *count);

/* The fields of one of an array's objects that no table has. */
typedef int document_entry_fn(const struct document_reader *reader, const json_t *entry,
                              const char *place, void *at);

struct document_array {
    const char *key;
    size_t most, size; /* entries; bytes of one */
    const struct document_field *table;
    document_entry_fn *more; /* or NULL */
};

/* An array of objects into memory of its own, to be freed also after a failure; *entries is
 * untouched if there are none. */
int document_read_array(const struct document_reader *reader, const json_t *object,
                        const struct document_array *form, void **entries, size_t *count);

/* The same into a place for form->most of them. */
int document_read_array_into(const struct document_reader *reader, const json_t *object,
                             const struct document_array *form, void *entries,
                             size_t *count);

int document_read_reals(const struct document_reader *reader, const json_t *object,
                        const char *key, double **out, unsigned *count);

/* A part of the document, from its root into the result. */
typedef int document_part_fn(const struct document_reader *reader, const json_t *root,
                             struct result *result);

document_part_fn document_read_latencies, document_read_status, document_read_errors,
    document_read_series, document_read_server, document_read_slos, document_read_search,
    document_read_hold_and_reload, document_read_adversaries, document_read_runs,
    document_read_exit;

#endif
