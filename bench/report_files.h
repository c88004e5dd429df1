/*
 * report_files.h - documents and reports as files that a command line names: what cannot be
 * read or written is said in a line on standard error that begins with the option.
 */
#ifndef PREFORK_BENCH_REPORT_FILES_H
#define PREFORK_BENCH_REPORT_FILES_H

#include "bench/report.h"
#include <prefork/options.h>

/* Where to write each form; NULL: nowhere, "-": to standard output. */
struct report_files {
    const char *json, *html, *csv, *events, *hlog, *hgrm;
    const char *baseline; /* to read: drawn beside, in the page */
};

/* Read a document; "-": of standard input. Returns 0 with *out to be freed, or EXIT_USAGE
 * after saying "prefork-bench: OPTION PATH: what is wrong". */
int report_file_read(const char *option, const char *path, struct result **out);

/* Write all that are asked for, also when one fails. Returns 0 or EXIT_USAGE. */
int report_files_write(const struct report_files *files, const struct result *result);

/* Before anything is measured: can the baseline be read, is there a page for it, and has
 * each form a file of its own? Returns 0 or EXIT_USAGE after saying what is wrong. */
int report_files_check(const struct report_files *files);

/* A report answers -EIO for whatever kept its stream from being written: the errno that it
 * was, as far as it can be had. Other errors, and 0, are returned as they are. */
int report_files_why(FILE *to, int err);

bool report_files_any(const struct report_files *files);
/* Does one go to standard output? */
bool report_files_to_stdout(const struct report_files *files);

/* The options of a command that makes reports of documents. */
struct report_options {
    struct report_files files;
    bool quiet, plain;
};
extern const struct pf_option report_options[];

/* How the terminal wants it: its characters; colours, if it has some and NO_COLOR is not
 * set. */
struct report_style report_style(bool quiet, bool plain);

#endif
