/*
 * mode_line.h - the command line of commands that make no load: options of their own, words
 * in any order, and --help, which all of them have.
 *
 *     static const struct mode_line line = {&mode_x, options, "..."};
 *     int status = mode_line_read(&line, &config, argc, argv, words, most, &count);
 *     if (status >= 0)
 *         return status;                     wrong usage, or --help
 */
#ifndef PREFORK_BENCH_MODE_LINE_H
#define PREFORK_BENCH_MODE_LINE_H

#include "bench/cli.h"

struct mode_line {
    const struct mode *mode;
    const struct pf_option *options; /* without --help */
    const char *ending;              /* behind them in its help: lines, or "" */
    const char *excess;              /* of a word too many: "loop takes options only" */
};

/*
 * Options into config, and what is none into words[0..most): borrowed. Returns -1 to go on,
 * with their number in *count, or the exit status to end with: after the help, or a line
 * that says what is wrong.
 */
int mode_line_read(const struct mode_line *line, void *config, int argc, char **argv,
                   const char **words, int most, int *count);

#endif
