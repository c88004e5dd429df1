/*
 * mode_merge.c - `prefork-bench merge A.json B.json ...`: what several generators measured
 * of one server at the same time, as one result.
 */
#include "bench/cli.h"

#include "bench/merge.h"
#include "bench/mode_line.h"
#include "bench/report_files.h"
#include "bench/slo.h"
#include <errno.h>
#include <string.h>

#define FILES_MAX 256

/* The worst of all: the order of the documents does not matter. */
static void merge_ending(struct result *into, const struct result *from)
{
    if (cli_badness(from->exit_code) <= cli_badness(into->exit_code))
        return;
    into->exit_code = from->exit_code;
    memcpy(into->exit_why, from->exit_why, sizeof into->exit_why);
}

static void judge(struct result *result)
{
    unsigned failed = slo_judge(result);
    if (cli_badness(result->exit_code) > cli_badness(EXIT_SLO))
        return; /* it says more; goals missed are those of the sum */
    result->exit_code = EXIT_RUN_OK;
    result->exit_why[0] = '\0';
    if (failed)
        result_set_exit(result, EXIT_SLO, "%u of %zu SLOs failed", failed,
                        result->slo_count);
}

/* Does one of those before hold the same measurement? */
static int refuse_twins(struct result *const *all, const char *const *paths, int index)
{
    for (int i = 0; i < index; i++)
        if (merge_is_same(all[i], all[index]))
            return cli_fail("merge %s: is the same measurement as %s; name each once",
                            paths[index], paths[i]);
    return 0;
}

static int read_files(const char *const *paths, int count, struct result **all)
{
    int err = 0;
    for (int i = 0; i < count && !err; i++) {
        err = report_file_read("merge", paths[i], &all[i]);
        if (!err)
            err = refuse_twins(all, paths, i);
    }
    return err;
}

static int add_up(const char *const *paths, int count, struct result *const *all)
{
    struct result *into = all[0];
    char why[160] = "";
    for (int i = 1; i < count; i++) {
        int err = merge_result(into, all[i], why, sizeof why);
        if (err)
            return cli_fail("merge %s: %s", paths[i], why[0] ? why : strerror(-err));
        merge_ending(into, all[i]);
    }
    judge(into);
    return 0;
}

static int merge_files(const char *const *paths, int count, struct result **out)
{
    struct result *all[FILES_MAX] = {NULL};
    int err = read_files(paths, count, all);
    if (!err)
        err = add_up(paths, count, all);
    for (int i = err ? 0 : 1; i < count; i++)
        result_free(all[i]);
    if (!err)
        *out = all[0];
    return err;
}

static int write_all(const struct report_options *options, const struct result *result)
{
    struct report_files files = options->files;
    if (!report_files_any(&files))
        files.json = "-";
    if (!report_files_to_stdout(&files)) {
        struct report_style style = report_style(options->quiet, options->plain);
        int err = report_text(result, &style, stdout);
        if (!err && fflush(stdout) != 0)
            err = -errno;
        err = report_files_why(stdout, err);
        if (err)
            return cli_fail("cannot write the summary: %s", strerror(-err));
    }
    return report_files_write(&files, result);
}

static const struct mode_line line = {
    .mode = &mode_merge,
    .options = report_options,
    .ending = "\nWithout an option that names a file the document is written to standard "
              "output.\n"
              "\nExit status: 0 done; 1 wrong usage, no document, or of another plan.\n",
    .excess = "too many documents",
};

static int merge_main(const struct mode *mode, int argc, char **argv)
{
    (void)mode;
    struct report_options options = {.quiet = false};
    const char *paths[FILES_MAX];
    int count,
        status = mode_line_read(&line, &options, argc, argv, paths, FILES_MAX, &count);
    if (status >= 0)
        return status;
    if (count < 2)
        return cli_fail("merge: give two documents or more");
    struct result *result;
    int err = report_files_check(&options.files);
    if (!err)
        err = merge_files(paths, count, &result);
    if (err)
        return err;
    err = write_all(&options, result);
    result_free(result);
    return err;
}

const struct mode mode_merge = {
    .name = "merge",
    .usage = "[options] DOCUMENT DOCUMENT...",
    .help = "Add up what several generators measured of one server at the same time.",
    .main = merge_main};
