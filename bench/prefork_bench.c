/*
 * prefork-bench - a load generator for HTTP/1.1 and raw bytes in the habits of wrk.
 *
 *     command line --> struct plan (cli.c) --> run_plan (run.c: processes and threads)
 *         each thread: unit.c (its connections: http/client.h) --> tally.c, hdr.c
 *     all tallies --> struct result (run_result.c) --> verdict, goals, reports
 * (cli_finish.c)
 *
 * It never invents samples, says first whether it was itself the bottleneck, and tells
 * requests that were lost from connections that closed harmlessly.
 */
#include "bench/cli_internal.h"

#include "bench/interrupt.h"
#include "bench/report_files.h"
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct mode *const modes[] = {
    &mode_run,    &mode_search, &mode_storm,   &mode_hold,      &mode_abuse, &mode_reload,
    &mode_report, &mode_merge,  &mode_compare, &mode_preflight, &mode_serve, &mode_loop,
};

static int run_main(const struct mode *mode, int argc, char **argv)
{
    struct cli cli;
    int status = cli_parse(mode, argc, argv, NULL, NULL, &cli);
    if (status >= 0)
        return status;
    struct result *result;
    int err = cli_run(&cli, &result);
    if (err == -EINTR && result) {
        result_set_exit(result, EXIT_INTERRUPTED, "interrupted");
    } else if (err == -ECHILD && result) {
        const char *died = result->validity.died;
        result_set_exit(result, EXIT_INVALID, "%s",
                        died[0] ? died : "a process of the load has ended too early");
    } else if (err && result && result->run_count > 0) {
        result_set_exit(result, EXIT_INVALID, "run %u: cannot run: %s",
                        result->run_count + 1, strerror(-err));
    } else if (err) {
        (void)cli_fail("cannot run: %s", strerror(-err));
        result_free(result);
        cli_free(&cli);
        return EXIT_INVALID;
    }
    status = cli_finish(&cli, result);
    result_free(result);
    cli_free(&cli);
    return status;
}

const struct mode mode_run = {.name = "run",
                              .usage =
                                  "[-c N] [-t N] [-d TIME | -n N] [-R RATE] [options] URL",
                              .help = "Load a server and say how fast it answered.",
                              .main = run_main};

static void list_modes(void)
{
    puts("\nCommands: prefork-bench COMMAND --help tells more.");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        printf("  %-10s %s\n", modes[i]->name, modes[i]->help);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i]->name, name) == 0)
            return modes[i];
    return NULL;
}

/* These have something to tell when they are interrupted. */
static bool is_measuring(const struct mode *mode)
{
    return mode == &mode_run || mode == &mode_search || mode == &mode_storm ||
           mode == &mode_hold || mode == &mode_abuse || mode == &mode_reload;
}

/* No option, and no attempt at a URL. */
static bool is_a_word(const char *text)
{
    return text[0] != '-' && text[0] != '\0' && !strpbrk(text, ":/.");
}

/* What was printed, a help or a table, may stand in a buffer still: on a full disk it is no
 * success. Whoever has said so already has another status. */
static int written(int status)
{
    bool whole = fflush(stdout) == 0 && !ferror(stdout);
    if (whole || status != EXIT_RUN_OK)
        return status;
    return cli_fail("cannot write to standard output: %s",
                    strerror(-report_files_why(stdout, -EIO)));
}

/* A file that grows beyond the limit (ulimit -f) is EFBIG, like a disk that is full. */
static void bear_limits(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGXFSZ, &ignore, NULL);
}

int main(int argc, char **argv)
{
    interrupt_note();
    bear_limits();
    (void)setlocale(LC_CTYPE, ""); /* bars in the terminal's own characters, if it can */
    const struct mode *mode = argc > 1 ? find_mode(argv[1]) : NULL;
    if (argc > 1 && !mode && is_a_word(argv[1]))
        return cli_fail("%s: neither a command (%s ...; see --help) nor a URL, such as "
                        "http://127.0.0.1:8888/",
                        argv[1], "run, search, storm, hold, abuse, reload");
    if (!mode) {
        int status = run_main(&mode_run, argc, argv);
        if (status == EXIT_RUN_OK && asks_for_help(argc, argv))
            list_modes();
        return written(status);
    }
    if (!is_measuring(mode))
        interrupt_forget();
    return written(mode->main(mode, argc - 1, argv + 1));
}
