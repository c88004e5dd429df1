/*
 * report.h - a result in the forms that people and programs read. Each writes all of one
 * result to one stream and keeps nothing; returns 0, -ENOMEM or the stream's error as a
 * negative errno.
 */
#ifndef PREFORK_BENCH_REPORT_H
#define PREFORK_BENCH_REPORT_H

#include "bench/result.h"
#include <stdio.h>

struct report_style {
    bool utf8;  /* else bars are ASCII */
    bool quiet; /* one line */
    bool plain; /* for logs: no bars at all */
    bool colour;
};

/* The summary on the terminal: verdict first and last, always the same order of rows. */
int report_text(const struct result *result, const struct report_style *style, FILE *to);

/* The document of schema RESULT_SCHEMA, and back. report_read_json() returns 0 with *out to
 * be freed, -ENOMEM, or -EINVAL with a phrase in `why`: not JSON (with the line), another
 * schema, a field of the wrong type. Fields it does not know are passed over. */
int report_json(const struct result *result, FILE *to);
int report_read_json(FILE *from, struct result **out, char *why, size_t why_len);

/* The series, one row a line; the same as one JSON object a line. */
int report_csv(const struct result *result, FILE *to);
int report_events(const struct result *result, FILE *to);

/* One row of it as report_events() writes it, for a run that is under way. */
int report_event(const struct result_row *row, FILE *to);

/* HDR V2 log of all latencies, tagged; percentile table of the main one. */
int report_hlog(const struct result *result, FILE *to);
int report_hgrm(const struct result *result, FILE *to);

/* One page that needs neither network nor script. `baseline` may be NULL: drawn dashed. */
int report_html(const struct result *result, const struct result *baseline, FILE *to);

#endif
