/*
 * squad.h - processes beside the load, each with a loop of its own: they hold idle
 * connections, or are adversaries.
 *
 *     squad_start(count, &job, &squad)     forks; this process must own no loop yet
 *     squad_ready(squad, timeout_ms)       how many have said that they are
 *     squad_tend(squad)                    each second: members that were stopped
 *     squad_is_gone(squad, index, &signal) has it ended too early?
 *     squad_stop(squad)                    tells them to end, and waits until they have
 *
 * What a member finds out it leaves in memory that is shared: the job's. A member ends when
 * its pipe does, so none outlives the program; SIGINT is for the program alone.
 */
#ifndef PREFORK_BENCH_SQUAD_H
#define PREFORK_BENCH_SQUAD_H

#include <prefork/loop.h>
#include <stdbool.h>

/* Processes of a squad. */
#define SQUAD_MAX 256
/* A member that has not ended by then is killed. */
#define SQUAD_STOP_MS 10000

struct squad;

/* One member, in its own process. */
struct squad_member {
    unsigned index;
    int ready_fd;
};

struct squad_job {
    /* Set to work on the loop, in the member's process: add handlers, timers. A negative
     * errno ends the member at once. */
    int (*begin)(void *arg, struct squad_member *me, pf_loop *loop);
    /* It is to end, the loop still there. */
    void (*end)(void *arg, struct squad_member *me, pf_loop *loop);
    void *arg; /* shared memory, or what is only read */
};

/* Returns 0, or -EINVAL (more than SQUAD_MAX, or none), -EAGAIN (processes), -EMFILE,
 * -ENOMEM, with none left running. *out is to be ended with squad_stop(). */
int squad_start(unsigned count, const struct squad_job *job, struct squad **out);

/* In a member: say that it is ready. Once. */
void squad_say_ready(struct squad_member *me);

/*
 * Wait until all are ready, at most so long. Returns how many have said so by now; -EINTR
 * after a signal; -ECHILD if none is left that could say so.
 */
int squad_ready(struct squad *squad, int timeout_ms);

/* Has the index-th member ended? None does by itself before squad_stop(). *signal: what
 * killed it; 0: it ended otherwise. */
bool squad_is_gone(const struct squad *squad, unsigned index, int *signal);

/* Each second: kill whoever stands still (child.h); it has gone then. */
void squad_tend(struct squad *squad);

/* Tell all to end and wait for it. Frees the squad. NULL: nothing. Returns how many had
 * ended before, or had to be killed: 0 if all went well. */
unsigned squad_stop(struct squad *squad);

#endif
