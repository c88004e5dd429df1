#include "bench/mode_line.h"

#include "bench/arguments.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of a command that makes no load. */
#define OPTIONS_MAX 32

struct common {
    bool help;
};

static const struct pf_option common_options[] = {
    {.name = "help",
     .letter = 'h',
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct common, help),
     .help = "show this and exit"},
    {0},
};

static int print_help(const struct mode_line *line)
{
    const struct mode *mode = line->mode;
    printf("usage: prefork-bench %s %s\n\n%s\n\n", mode->name, mode->usage, mode->help);
    struct pf_option all[OPTIONS_MAX + 2]; /* one table: one column of explanations */
    size_t count = 0;
    for (; line->options[count].name && count < OPTIONS_MAX; count++)
        all[count] = line->options[count];
    memcpy(all + count, common_options, sizeof common_options);
    pf_options_help(all, stdout);
    fputs(line->ending, stdout);
    return EXIT_RUN_OK;
}

int mode_line_read(const struct mode_line *line, void *config, int argc, char **argv,
                   const char **words, int most, int *count)
{
    struct common common = {.help = false};
    const struct pf_option_set sets[] = {
        {line->options, config}, {common_options, &common}, {NULL, NULL}};
    char error[PF_OPTION_ERROR_MAX];
    *count = arguments_parse(sets, argc, argv, words, most, error);
    if (*count == -E2BIG)
        return cli_fail("%s: %s; see --help", error, line->excess);
    if (*count < 0)
        return cli_fail("%s", error);
    return common.help ? print_help(line) : -1;
}
