/*
 * document.h - which field of a result stands under which name in the document: tables
 * that writing and reading share, so that what one writes the other knows.
 *
 * A field is known, or null: RESULT_UNKNOWN, NAN, NULL. Private to report_json.c,
 * report_read.c and report_csv.c.
 */
#ifndef PREFORK_BENCH_DOCUMENT_H
#define PREFORK_BENCH_DOCUMENT_H

#include "bench/json_writer.h"
#include "bench/result.h"

enum document_type {
    DOCUMENT_INT,    /* int64_t, 0..RESULT_MOST, or unknown */
    DOCUMENT_SIGNED, /* int64_t, -RESULT_MOST..RESULT_MOST */
    DOCUMENT_COUNT,  /* uint64_t, 0..RESULT_MOST; never null */
    DOCUMENT_WIDE,   /* uint64_t, all of it; a string of digits when it is large */
    DOCUMENT_REAL,   /* double, or unknown */
    DOCUMENT_BOOL,
    DOCUMENT_TEXT,  /* char *, owned, or NULL */
    DOCUMENT_CHARS, /* char[size] */
};

struct document_field {
    const char *key; /* NULL ends a table */
    enum document_type type;
    size_t at;   /* offsetof() it in its struct */
    size_t size; /* DOCUMENT_CHARS */
};

/* Each of a struct of result.h. */
extern const struct document_field document_environment[], document_sysctl[],
    document_plan[], document_validity[], document_totals[], document_row[],
    document_mark[], document_server[], document_worker[], document_slo[],
    document_search[], document_trial[], document_run[], document_hold[],
    document_adversary[], document_reload[];

/* Write the fields of `base` into the object that is open. */
void document_write(struct json_writer *json, const struct document_field *table,
                    const void *base);

/* A row of the series, heat and all, on one line. */
void document_write_row(struct json_writer *json, const struct result_row *row);

/* Words for enumerations, ended by NULL. */
extern const char *const document_verdicts[], *const document_sources[];

/* How many of each a document may hold. */
#define DOCUMENT_ARGS_MAX    4096
#define DOCUMENT_LOOPS_MAX   65536
#define DOCUMENT_ROWS_MAX    65536
#define DOCUMENT_WORKERS_MAX 65536
#define DOCUMENT_TRIALS_MAX  4096
#define DOCUMENT_RUNS_MAX    4096

/* Bytes of one. */
#define DOCUMENT_MAX (64 * 1024 * 1024)

#endif
