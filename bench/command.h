/*
 * command.h - a shell command that is run again and again beside the load.
 *
 *     command_start(loop, &options, &command)      the first time after `every_ns`
 *     command_stop(command)
 *
 * Each run is told twice: when it begins and when it has ended. One that is still running
 * when the next is due is waited for; the next follows at the time due after that. What it
 * says, on either descriptor, is kept up to COMMAND_OUTPUT_MAX bytes; the rest is thrown
 * away, so that it never waits for us.
 */
#ifndef PREFORK_BENCH_COMMAND_H
#define PREFORK_BENCH_COMMAND_H

#include <prefork/loop.h>

#define COMMAND_OUTPUT_MAX 512

/* The status of one that could not be run. */
#define COMMAND_NOT_RUN (-256)

/* How long after its end what it said is waited for: a program that it left behind may hold
 * the pipe for ever. */
#define COMMAND_LINGER_NS (200 * PF_MILLISECOND)

struct command;

struct command_event {
    unsigned number; /* 1: the first run */
    bool ended;
    int status;         /* of its end: 0 to 255, -signal, or COMMAND_NOT_RUN */
    const char *output; /* of its end: the first it said, printable, on one line */
};

typedef void command_event_fn(const struct command_event *event, void *arg);

struct command_options {
    const char *text; /* for sh -c; borrowed */
    int64_t every_ns;
    command_event_fn *on_event;
    void *arg;
};

/* Returns 0, -ENOMEM, or what pf_loop_call_later() answers. */
int command_start(pf_loop *loop, const struct command_options *options,
                  struct command **out);

/* "exit status 7", "ended by signal 15", "could not be run". */
void command_ending(int status, char *text, size_t text_len);

/* No more runs; one that is under way is killed (the shell, with SIGKILL) and waited for,
 * and not told of. NULL: nothing. */
void command_stop(struct command *command);

#endif
