/*
 * arguments.h - a command line of options and words in any order, as wrk allows.
 */
#ifndef PREFORK_BENCH_ARGUMENTS_H
#define PREFORK_BENCH_ARGUMENTS_H

#include <prefork/options.h>

/*
 * Parse the options, and put what is none into words[0..most): borrowed. argv[0] is the
 * name of who asks. Returns how many words there are; -EINVAL with a line in `error`; or
 * -E2BIG with the first word that is too many in it.
 */
int arguments_parse(const struct pf_option_set *sets, int argc, char **argv,
                    const char **words, int most, char error[PF_OPTION_ERROR_MAX]);

#endif
