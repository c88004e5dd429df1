/*
 * report_text.h - the parts of the terminal summary, each in a file of its own: private to
 * report_text*.c.
 *
 * A row is a name of eight columns and what there is to say; a row without anything to say
 * is not there. Texts that came from outside pass through text_foreign().
 */
#ifndef PREFORK_BENCH_REPORT_TEXT_H
#define PREFORK_BENCH_REPORT_TEXT_H

#include "bench/report.h"
#include <prefork/base.h>

#define TEXT_COLUMNS 80
#define TEXT_INDENT  11 /* where what there is to say begins */

struct text {
    const struct result *result;
    const struct report_style *style;
    FILE *to;
    int column; /* of the row being written */
    int error;  /* -ENOMEM: a row is not whole */
};

/* Begin a row: "  rate     ". A name of "" goes on with the one before. */
void text_row(struct text *text, const char *name);

/* More of the row: `gap` blanks before it unless it is the first; on a new line if this
 * one has no room for it. It may hold foreign text: no control passes. */
void text_item(struct text *text, int gap, const char *format, ...) PF_PRINTF(3, 4);

void text_end(struct text *text);

/* A foreign text without what would control the terminal, at its place in the row. */
void text_foreign(struct text *text, const char *foreign);

/* A sentence, broken between its words where the line ends. */
void text_words(struct text *text, const char *sentence);

enum text_colour {
    TEXT_GREEN,
    TEXT_YELLOW,
    TEXT_RED,
};

/* The same; it begins with `head` in that colour. */
void text_item_in(struct text *text, int gap, enum text_colour colour, const char *head,
                  const char *format, ...) PF_PRINTF(5, 6);

/* "\033[32m" and "\033[0m", or "". */
const char *text_colour(const struct text *text, enum text_colour colour);
const char *text_plain(const struct text *text);

/* The parts, in their order. */
void text_latency(struct text *text); /* the table of percentiles */
void text_spark(struct text *text);   /* req/s and p99/s over time */
void text_errors(struct text *text);  /* status, errors */
void text_server(struct text *text);  /* server, workers */
void text_modes(struct text *text);   /* search, hold, reload, adversaries, runs */

#endif
