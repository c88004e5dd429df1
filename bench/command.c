#include "bench/command.h"

#include <errno.h>
#include <prefork/subprocess.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct command {
    pf_loop *loop;
    struct command_options options;
    pf_timer next, linger;
    int64_t due_ns; /* of the next run, on the loop's clock */
    unsigned number;
    pf_subprocess *process; /* NULL: none is running */
    bool exited, silent;    /* it has ended; its pipe has */
    int status;
    size_t output_len;
    char output[COMMAND_OUTPUT_MAX];
};

static pf_callback_fn command_on_due, command_on_linger;
static pf_subprocess_fn command_on_exit;
static pf_stream_read_fn command_on_output, command_on_silence;

static void tell(struct command *command, bool ended, int status)
{
    struct command_event event = {command->number, ended, status, command->output};
    command->options.on_event(&event, command->options.arg);
}

static void finish(struct command *command)
{
    (void)pf_loop_remove_timeout(command->loop, command->linger); /* if there is one */
    pf_subprocess_free(command->process);
    command->process = NULL;
    tell(command, true, command->status);
}

static int command_on_exit(pf_subprocess *process, int status, void *arg)
{
    (void)process;
    struct command *command = arg;
    command->exited = true;
    command->status = status;
    if (!command->silent)
        return pf_loop_call_later(command->loop, COMMAND_LINGER_NS, command_on_linger,
                                  command, &command->linger);
    finish(command);
    return 0;
}

static int command_on_linger(pf_loop *loop, void *arg)
{
    (void)loop;
    finish(arg);
    return 0;
}

static int command_on_output(pf_stream *stream, const char *data, size_t len, int err,
                             void *arg)
{
    (void)stream, (void)err;
    struct command *command = arg;
    for (size_t i = 0; i < len && command->output_len < COMMAND_OUTPUT_MAX - 1; i++) {
        unsigned char byte = (unsigned char)data[i];
        command->output[command->output_len++] =
            byte < ' ' || byte == 127 ? ' ' : (char)byte;
    }
    command->output[command->output_len] = '\0';
    return 0;
}

static int command_on_silence(pf_stream *stream, const char *data, size_t len, int err,
                              void *arg)
{
    (void)stream, (void)data, (void)len, (void)err;
    struct command *command = arg;
    command->silent = true;
    if (command->exited)
        finish(command);
    return 0;
}

static int run(struct command *command)
{
    /* The text is an argument, so that no quoting is needed. */
    const char *argv[] = {"/bin/sh", "-c", "exec 2>&1; eval \"$1\"", "sh", NULL, NULL};
    argv[4] = command->options.text;
    struct pf_subprocess_options options = {
        PF_SUBPROCESS_OPTIONS,
        .argv = argv,
        .standard = {PF_STDIO_NULL, PF_STDIO_STREAM, PF_STDIO_NULL},
        .on_exit = command_on_exit,
        .arg = command,
    };
    command->exited = command->silent = false;
    command->output_len = 0;
    command->output[0] = '\0';
    int err = pf_subprocess_start(command->loop, &options, &command->process);
    if (err)
        return err;
    /* Without memory for that nobody hears what it says; its end is told all the same. */
    if (pf_stream_read_chunks(pf_subprocess_stream(command->process, 1), PF_STREAM_TO_END,
                              command_on_output, command_on_silence, command) != 0)
        command->silent = true;
    return 0;
}

static int command_on_due(pf_loop *loop, void *arg)
{
    struct command *command = arg;
    command->due_ns += command->options.every_ns;
    if (!command->process) {
        command->number++;
        tell(command, false, 0);
        if (run(command))
            tell(command, true, COMMAND_NOT_RUN);
    }
    return pf_loop_call_at(loop, command->due_ns, command_on_due, command, &command->next);
}

void command_ending(int status, char *text, size_t text_len)
{
    if (status == COMMAND_NOT_RUN)
        snprintf(text, text_len, "could not be run");
    else if (status < 0)
        snprintf(text, text_len, "ended by signal %d", -status);
    else
        snprintf(text, text_len, "exit status %d", status);
}

int command_start(pf_loop *loop, const struct command_options *options,
                  struct command **out)
{
    struct command *command = calloc(1, sizeof *command);
    if (!command)
        return -ENOMEM;
    command->loop = loop;
    command->options = *options;
    int err = pf_loop_time(loop, &command->due_ns);
    command->due_ns += options->every_ns;
    if (!err)
        err =
            pf_loop_call_at(loop, command->due_ns, command_on_due, command, &command->next);
    if (err) {
        free(command);
        return err;
    }
    *out = command;
    return 0;
}

void command_stop(struct command *command)
{
    if (!command)
        return;
    (void)pf_loop_remove_timeout(command->loop, command->next);
    (void)pf_loop_remove_timeout(command->loop, command->linger); /* if there is one */
    if (command->process) {
        pid_t pid = pf_subprocess_pid(command->process);
        bool runs = pf_subprocess_kill(command->process, SIGKILL) == 0;
        pf_subprocess_free(command->process);
        while (runs && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(command);
}
