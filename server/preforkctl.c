/*
 * preforkctl - ask a running server, and show what it says.
 *
 *     command line (here) -> find.c: which server -> ask.c: one line out, one line in
 *                         -> table.c: the answer for people, unless --json
 */
#include "server/ctl/ask.h"
#include "server/ctl/find.h"
#include "server/ctl/table.h"

#include <prefork/options.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    const char *control, *server;
    int64_t timeout_ns;
    bool json, help, version;
};

static const struct pf_option options[] = {
    {.name = "ctl",
     .type = PF_OPTION_STRING,
     .at = offsetof(struct settings, control),
     .argument = "PATH",
     .help = "the server's control socket, as its banner names it"},
    {.name = "server",
     .type = PF_OPTION_STRING,
     .at = offsetof(struct settings, server),
     .argument = "ADDR",
     .help = "the server whose first address this is, or :PORT (the only one there is)"},
    {.name = "json",
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct settings, json),
     .help = "print the server's answer as it is: one line of JSON"},
    {.name = "timeout",
     .type = PF_OPTION_DURATION,
     .at = offsetof(struct settings, timeout_ns),
     .min = PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "give up on an answer after this (10s)"},
    {.name = "help",
     .letter = 'h',
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct settings, help),
     .help = "this text"},
    {.name = "version",
     .letter = 'V',
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct settings, version),
     .help = "the version"},
    {0}};

struct command {
    const char *name, *summary;
    int (*print)(FILE *to, const char *answer, char *error);
};

static const struct command commands[] = {
    {"status", "what the server is and does: its workers, its counts", print_status},
    {"ping", "whether it answers", print_ping},
    {0}};

static int complain(int status, const char *line)
{
    fprintf(stderr, "preforkctl: %s\n", line);
    return status;
}

static void help(void)
{
    printf("usage: preforkctl [options] COMMAND\n\n");
    for (const struct command *command = commands; command->name; command++)
        printf("  %-10s %s\n", command->name, command->summary);
    putchar('\n');
    pf_options_help(options, stdout);
    printf(
        "\nExit status: 0 answered, 64 bad command line, 69 no server there or no answer "
        "in\ntime, 70 the answer is a refusal or not understood.\n");
}

static const struct command *find_command(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

/* Options may stand before and behind the command. */
static int parse(int argc, char **argv, struct settings *settings,
                 const struct command **command, char *error)
{
    int at = pf_options_parse(options, settings, argc, argv, error);
    if (at < 0 || settings->help || settings->version)
        return at < 0 ? at : 0;
    if (at == argc) {
        snprintf(error, CTL_ERROR_MAX, "COMMAND: missing; use status or ping");
        return -EINVAL;
    }
    *command = find_command(argv[at]);
    if (!*command) {
        snprintf(error, CTL_ERROR_MAX, "COMMAND %.100s: unknown; use status or ping",
                 argv[at]);
        return -EINVAL;
    }
    int more = pf_options_parse(options, settings, argc - at, argv + at, error);
    if (more < 0)
        return more;
    if (at + more < argc) {
        snprintf(error, CTL_ERROR_MAX,
                 "%.100s: unexpected behind %s; one command at a time", argv[at + more],
                 (*command)->name);
        return -EINVAL;
    }
    if (settings->control && settings->server) {
        snprintf(error, CTL_ERROR_MAX,
                 "--server %.100s: --ctl names one already; use either", settings->server);
        return -EINVAL;
    }
    return 0;
}

static int run(const struct settings *settings, const struct command *command, char *error)
{
    char path[PATH_MAX], *answer;
    int status = PF_EXIT_OK;
    if (settings->control)
        snprintf(path, sizeof path, "%s", settings->control);
    else
        status = find_socket(settings->server, path, sizeof path, error);
    if (status == PF_EXIT_OK)
        status = ask_server(path, command->name, settings->timeout_ns, &answer, error);
    if (status != PF_EXIT_OK)
        return status;
    if (settings->json)
        puts(answer);
    else
        status = command->print(stdout, answer, error);
    free(answer);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings = {.timeout_ns = 10 * PF_SECOND};
    const struct command *command = NULL;
    char error[CTL_ERROR_MAX > PF_OPTION_ERROR_MAX ? CTL_ERROR_MAX : PF_OPTION_ERROR_MAX];
    if (parse(argc, argv, &settings, &command, error) != 0)
        return complain(PF_EXIT_USAGE, error);
    int status = PF_EXIT_OK;
    if (settings.help)
        help();
    else if (settings.version)
        printf("preforkctl %s\n", pf_version());
    else
        status = run(&settings, command, error);
    if (status != PF_EXIT_OK)
        return complain(status, error);
    if (fflush(stdout) != 0) {
        snprintf(error, sizeof error, "cannot write the answer: %s", strerror(errno));
        return complain(PF_EXIT_SOFTWARE, error);
    }
    return PF_EXIT_OK;
}
