/*
 * mode_report.c - `prefork-bench report X.json`: any form of a result from its document.
 */
#include "bench/cli.h"

#include "bench/report_files.h"
#include <errno.h>
#include <string.h>

static int print_help(const struct mode *mode)
{
    printf("usage: prefork-bench %s %s\n\n%s\n\n", mode->name, mode->usage, mode->help);
    pf_options_help(report_options, stdout);
    puts("\nExit status: 0 done; 1 wrong usage, or no document.");
    return EXIT_RUN_OK;
}

/* The summary, unless another form has standard output for itself. */
static int print_summary(const struct report_options *options, const struct result *result)
{
    if (report_files_to_stdout(&options->files))
        return 0;
    struct report_style style = report_style_of(options);
    int err = report_text(result, &style, stdout);
    if (!err && fflush(stdout) != 0)
        err = -errno;
    err = report_files_why(stdout, err);
    return err ? cli_fail("cannot write the summary: %s", strerror(-err)) : 0;
}

static int report_main(const struct mode *mode, int argc, char **argv)
{
    struct report_options options = {.help = false};
    const struct pf_option_set sets[] = {{report_options, &options}, {NULL, NULL}};
    const char *path;
    int count = report_arguments(sets, argc, argv, &path, 1);
    if (count < 0)
        return EXIT_USAGE;
    if (options.help)
        return print_help(mode);
    if (count == 0)
        return cli_fail("report: no document; give the file that a run wrote with -o");
    struct result *result;
    int err = report_files_check(&options.files);
    if (!err)
        err = report_file_read("report", path, &result);
    if (err)
        return err;
    err = print_summary(&options, result);
    err |= report_files_write(&options.files, result);
    result_free(result);
    return err;
}

const struct mode mode_report = {.name = "report",
                                 .usage = "[options] DOCUMENT",
                                 .help = "Show a result again, in any form.",
                                 .main = report_main};
