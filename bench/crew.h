/*
 * crew.h - processes beside the load, each with a loop of its own: they hold idle
 * connections, or are adversaries.
 *
 *     crew_start(count, &job, &crew)     forks; this process must own no loop yet
 *     crew_ready(crew, timeout_ms)       how many have said that they are
 *     crew_stop(crew)                    tells them to end, and waits until they have
 *
 * What a member finds out it leaves in memory that is shared: the job's. A member ends when
 * its pipe does, so none outlives the program; SIGINT is for the program alone.
 */
#ifndef PREFORK_BENCH_CREW_H
#define PREFORK_BENCH_CREW_H

#include <prefork/loop.h>

/* Processes of a crew. */
#define CREW_MAX 256
/* A member that has not ended by then is killed. */
#define CREW_STOP_MS 10000

struct crew;

/* One member, in its own process. */
struct crew_member {
    unsigned index;
    int ready_fd;
};

struct crew_job {
    /* Set to work on the loop, in the member's process: add handlers, timers. A negative
     * errno ends the member at once. */
    int (*begin)(void *arg, struct crew_member *me, pf_loop *loop);
    /* It is to end, the loop still there. */
    void (*end)(void *arg, struct crew_member *me, pf_loop *loop);
    void *arg; /* shared memory, or what is only read */
};

/* Returns 0, or -EINVAL (more than CREW_MAX, or none), -EAGAIN (processes), -EMFILE,
 * -ENOMEM, with none left running. *out is to be ended with crew_stop(). */
int crew_start(unsigned count, const struct crew_job *job, struct crew **out);

/* In a member: say that it is ready. Once. */
void crew_say_ready(struct crew_member *me);

/*
 * Wait until all are ready, at most so long. Returns how many have said so by now; -EINTR
 * after a signal; -ECHILD if none is left that could say so.
 */
int crew_ready(struct crew *crew, int timeout_ms);

/* Tell all to end and wait for it. Frees the crew. NULL: nothing. Returns how many had
 * ended before, or had to be killed: 0 if all went well. */
unsigned crew_stop(struct crew *crew);

#endif
