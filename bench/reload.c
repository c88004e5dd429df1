/*
 * reload.c - does a server lose anything while a command runs again and again? The verdict
 * is what came of the requests:
 *
 *     LOST       refused, cut in the middle of an answer, timed out: exit 4
 *     retryable  asked, and closed without a byte: a client may ask again
 *     harmless   an idle connection was closed
 *     blackout   the longest time without an ok answer, over all units (gaps.h)
 *
 * If the command failed each time, none of that says anything: exit 3.
 *
 * and the p99 of a second in which the command ran beside that of one in which it did not:
 * of either kind the median second's, since percentiles do not add up.
 */
#include "bench/cli.h"

#include "bench/clock.h"
#include "bench/command.h"
#include "bench/mode.h"
#include "bench/reload_seconds.h"
#include "bench/steady.h"
#include "bench/watch.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reload_config {
    const char *command;
    int64_t every_ns;
};

static const struct pf_option options[] = {
    {.name = "cmd",
     .type = PF_OPTION_STRING,
     .at = offsetof(struct reload_config, command),
     .argument = "COMMAND",
     .help = "run this again and again: 'kill -HUP $(cat pid)'"},
    {.name = "every",
     .type = PF_OPTION_DURATION,
     .at = offsetof(struct reload_config, every_ns),
     .min = 10 * PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "how often (2s)"},
    {0},
};

struct reload {
    struct reload_config config;
    struct result *result;
    struct command *command;
    int64_t began_ns;
    unsigned runs, ended, failed;
};

static command_event_fn reload_on_command;

static void mark(const struct reload *reload, const char *text)
{
    struct result *result = reload->result;
    if (result->mark_count == RESULT_MARKS_MAX)
        return;
    struct result_mark *mark = &result->marks[result->mark_count++];
    mark->t_ns = clock_ns() - reload->began_ns;
    snprintf(mark->text, sizeof mark->text, "%s", text);
}

/* Ends are marked as well: a command may take seconds. */
static void reload_on_command(const struct command_event *event, void *arg)
{
    struct reload *reload = arg;
    char text[64];
    if (!event->ended) {
        reload->runs++;
        snprintf(text, sizeof text, RELOAD_MARK_BEGIN "%u", event->number);
        mark(reload, text);
        return;
    }
    char ending[32];
    reload->ended++;
    command_ending(event->status, ending, sizeof ending);
    snprintf(text, sizeof text, RELOAD_MARK_END "%u%s%s", event->number,
             event->status ? ": " : "", event->status ? ending : "");
    mark(reload, text);
    if (event->status != 0 && reload->failed++ == 0)
        fprintf(stderr, "prefork-bench: --cmd %s: %s: %s\n", reload->config.command, ending,
                event->output[0] ? event->output : "it said nothing");
}

static int reload_begin(void *arg, pf_loop *loop, int64_t began_ns)
{
    struct reload *reload = arg;
    struct command_options command = {.text = reload->config.command,
                                      .every_ns = reload->config.every_ns,
                                      .on_event = reload_on_command,
                                      .arg = reload};
    reload->began_ns = began_ns;
    return command_start(loop, &command, &reload->command);
}

static void reload_end(void *arg, pf_loop *loop)
{
    (void)loop;
    struct reload *reload = arg;
    command_stop(reload->command);
    reload->command = NULL;
}

/* Each reload gives each place a successor: one more than the most that any place had, as
 * the server itself counts them. Only one of prefork does; and another one that has taken
 * over meanwhile counts anew: nobody knows then. */
static int64_t count_generations(const struct result_server *server)
{
    int64_t most = RESULT_UNKNOWN;
    if (server->source != RESULT_SOURCE_STATS)
        return RESULT_UNKNOWN;
    for (unsigned i = 0; i < server->worker_count; i++) {
        const struct result_worker *worker = &server->workers[i];
        if (worker->requests < 0 || worker->restarts < 0)
            return RESULT_UNKNOWN;
        if (worker->restarts > most)
            most = worker->restarts;
    }
    return most < 0 ? RESULT_UNKNOWN : most + 1;
}

static int fill_in(const struct reload *reload)
{
    struct result *result = reload->result;
    struct result_reload *out = calloc(1, sizeof *out);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < result->error_count; i++) {
        const struct tally_error *error = &result->errors[i];
        switch (tally_loss_of(error)) {
        case TALLY_HARMLESS:
            out->harmless += error->count;
            break;
        case TALLY_RETRYABLE:
            out->retryable += error->count;
            break;
        case TALLY_LOST:
            break; /* result_lost() */
        }
    }
    out->lost = result_lost(result);
    out->commands = reload->runs;
    out->commands_failed = reload->failed;
    out->blackout_ns = result->totals.gap_ns > 0 ? result->totals.gap_ns : RESULT_UNKNOWN;
    out->generations = count_generations(&result->server);
    reload_seconds(result, &out->p99_quiet_ns, &out->p99_reload_ns);
    result->reload = out;
    return 0;
}

static int measure(struct reload *reload, struct cli *cli)
{
    struct result *result = reload->result;
    struct watch watch;
    struct run_watcher mine = {.begin = reload_begin, .end = reload_end, .arg = reload};
    struct run_watcher both;
    watch_join(&watch, &cli->watcher, &mine, &both);
    steady_unless_open(&cli->plan);
    int err = run_plan(&cli->plan, &both, cli->progress, result);
    if (err && err != -EINTR)
        return mode_end(cli, result, err, EXIT_RUN_OK, NULL);
    server_side_end(cli->server, &result->server);
    if (fill_in(reload))
        return mode_end(cli, result, -ENOMEM, EXIT_RUN_OK, NULL);
    char why[64];
    uint64_t lost = result->reload->lost;
    snprintf(why, sizeof why, "%" PRIu64 " lost", lost);
    bool served = result->totals.ok > 0;
    enum exit_status code = lost && served ? EXIT_LOST : EXIT_RUN_OK;
    if (code == EXIT_RUN_OK && served && reload->ended > 0 &&
        reload->failed == reload->ended) { /* nothing was tried that could have lost any */
        code = EXIT_INVALID;
        snprintf(why, sizeof why, "--cmd failed each of %u times: nothing was reloaded",
                 reload->ended);
    }
    return mode_end(cli, result, err, code, why);
}

static int reload_main(const struct mode *mode, int argc, char **argv)
{
    struct reload reload = {.config = {.every_ns = 2 * PF_SECOND}};
    struct cli cli;
    int status = cli_parse(mode, argc, argv, options, &reload.config, &cli);
    if (status >= 0)
        return status;
    status = mode_refuse_repeat(&cli);
    if (status < 0 && reload.config.command &&
        reload.config.command[strspn(reload.config.command, " \t\n")] == '\0')
        status = cli_fail("--cmd '%s': is no command", reload.config.command);
    if (status < 0 && !reload.config.command)
        status =
            cli_fail("reload needs --cmd COMMAND, such as --cmd 'kill -HUP $(cat pid)'");
    if (status < 0) {
        reload.result = mode_result(&cli);
        status = reload.result ? measure(&reload, &cli) : EXIT_INVALID;
        result_free(reload.result);
    }
    cli_free(&cli);
    return status;
}

const struct mode mode_reload = {
    .name = "reload",
    .usage = "--cmd COMMAND [options] URL",
    .help = "Load a server while a command is run again and again, and say what was lost.",
    .main = reload_main,
    .without = (const char *const[]){"from", "repeat", "vs", NULL},
};
