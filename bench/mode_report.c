/*
 * mode_report.c - `prefork-bench report X.json`: any form of a result from its document.
 */
#include "bench/cli.h"

#include "bench/mode_line.h"
#include "bench/report_files.h"
#include <errno.h>
#include <string.h>

/* The summary, unless another form has standard output for itself. */
static int print_summary(const struct report_options *options, const struct result *result)
{
    if (report_files_to_stdout(&options->files))
        return 0;
    struct report_style style = report_style(options->quiet, options->plain);
    int err = report_text(result, &style, stdout);
    if (!err && fflush(stdout) != 0)
        err = -errno;
    err = report_files_why(stdout, err);
    return err ? cli_fail("cannot write the summary: %s", strerror(-err)) : 0;
}

static const struct mode_line line = {
    .mode = &mode_report,
    .options = report_options,
    .ending = "\nExit status: 0 done; 1 wrong usage, or no document.\n",
    .excess = "one document is enough",
};

static int report_main(const struct mode *mode, int argc, char **argv)
{
    (void)mode;
    struct report_options options = {.quiet = false};
    const char *path;
    int count, status = mode_line_read(&line, &options, argc, argv, &path, 1, &count);
    if (status >= 0)
        return status;
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
