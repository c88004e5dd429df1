#include "bench/report_files.h"

#include "bench/cli.h"
#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_standard(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* ---- reading ------------------------------------------------------------------------- */

int report_file_read(const char *option, const char *path, struct result **out)
{
    char why[256] = "";
    FILE *from = is_standard(path) ? stdin : fopen(path, "re");
    if (!from)
        return cli_fail("%s %s: %s", option, path, strerror(errno));
    int err = report_read_json(from, out, why, sizeof why);
    if (from != stdin)
        fclose(from);
    if (err == -EINVAL)
        return cli_fail("%s %s: %s", option, path, why);
    return err ? cli_fail("%s %s: %s", option, path, strerror(-err)) : 0;
}

/* ---- writing ------------------------------------------------------------------------- */

typedef int report_fn(const struct result *result, FILE *to);

int report_files_why(FILE *to, int err)
{
    if (err != -EIO || !ferror(to))
        return err;
    /* What has failed was one of many calls: the next one fails for the same reason. */
    clearerr(to);
    errno = 0;
    if ((fputc('\n', to) == EOF || fflush(to) != 0) && errno)
        return -errno;
    return err;
}

static int finish(const char *option, const char *path, FILE *to, int err)
{
    if (!err && fflush(to) != 0)
        err = -errno;
    err = report_files_why(to, err);
    if (to != stdout && fclose(to) != 0 && !err)
        err = -errno;
    return err ? cli_fail("%s %s: %s", option, path, strerror(-err)) : 0;
}

static int write_one(const char *option, const char *path, report_fn *report,
                     const struct result *result)
{
    if (!path)
        return 0;
    FILE *to = is_standard(path) ? stdout : fopen(path, "we");
    if (!to)
        return cli_fail("%s %s: %s", option, path, strerror(errno));
    return finish(option, path, to, report(result, to));
}

static int write_page(const struct report_files *files, const struct result *result)
{
    struct result *baseline = NULL;
    if (!files->html)
        return 0;
    int err =
        files->baseline ? report_file_read("--baseline", files->baseline, &baseline) : 0;
    if (err)
        return err;
    FILE *to = is_standard(files->html) ? stdout : fopen(files->html, "we");
    err = to ? finish("--html", files->html, to, report_html(result, baseline, to))
             : cli_fail("--html %s: %s", files->html, strerror(errno));
    result_free(baseline);
    return err;
}

int report_files_write(const struct report_files *files, const struct result *result)
{
    int err = write_one("--json", files->json, report_json, result);
    err |= write_one("--csv", files->csv, report_csv, result);
    err |= write_one("--events", files->events, report_events, result);
    err |= write_one("--hlog", files->hlog, report_hlog, result);
    err |= write_one("--hgrm", files->hgrm, report_hgrm, result);
    return err | write_page(files, result);
}

int report_files_check(const struct report_files *files)
{
    const struct {
        const char *option, *path;
    } rows[] = {{"--json", files->json},        {"--html", files->html},
                {"--csv", files->csv},          {"--events", files->events},
                {"--hlog", files->hlog},        {"--hgrm", files->hgrm},
                {"--baseline", files->baseline}};
    const size_t count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < i; n++)
            if (rows[i].path && rows[n].path && strcmp(rows[i].path, rows[n].path) == 0 &&
                strncmp(rows[i].path, "/dev/", 5) != 0 &&
                (i + 1 < count || !is_standard(rows[i].path)))
                return cli_fail("%s %s: %s goes there, too; name another file",
                                rows[i].option, rows[i].path, rows[n].option);
    if (files->baseline && !files->html)
        return cli_fail("--baseline %s: it is drawn in a page; add --html FILE",
                        files->baseline);
    if (!files->baseline || is_standard(files->baseline))
        return 0;
    struct result *baseline;
    int err = report_file_read("--baseline", files->baseline, &baseline);
    if (!err)
        result_free(baseline);
    return err;
}

bool report_files_any(const struct report_files *files)
{
    return files->json || files->html || files->csv || files->events || files->hlog ||
           files->hgrm;
}

bool report_files_to_stdout(const struct report_files *files)
{
    return is_standard(files->json) || is_standard(files->html) ||
           is_standard(files->csv) || is_standard(files->events) ||
           is_standard(files->hlog) || is_standard(files->hgrm);
}

/* ---- options ------------------------------------------------------------------------- */

#define FILE_OPTION(option, short_form, field, text)                                       \
    {                                                                                      \
        .name = option, .letter = short_form, .type = PF_OPTION_STRING,                    \
        .at = offsetof(struct report_options, files.field), .argument = "FILE",            \
        .help = text                                                                       \
    }

const struct pf_option report_options[] = {
    FILE_OPTION("json", 'o', json, "the document (-: to standard output, as for all)"),
    FILE_OPTION("html", 0, html, "a page with plots"),
    FILE_OPTION("csv", 0, csv, "a row for each second"),
    FILE_OPTION("events", 0, events, "the same as NDJSON"),
    FILE_OPTION("hlog", 0, hlog, "an HdrHistogram V2 log"),
    FILE_OPTION("hgrm", 0, hgrm, "a table of percentiles for HdrHistogram's plotter"),
    FILE_OPTION("baseline", 0, baseline, "a document to compare with, in the page"),
    {.name = "quiet",
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct report_options, quiet),
     .help = "one line"},
    {.name = "plain",
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct report_options, plain),
     .help = "no bars, no colours"},
    {0},
};

/* https://no-color.org: set and not empty. */
static bool may_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
           !(terminal && strcmp(terminal, "dumb") == 0);
}

struct report_style report_style(bool quiet, bool plain)
{
    return (struct report_style){
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .quiet = quiet,
        .plain = plain,
        .colour = !plain && may_colour(),
    };
}
