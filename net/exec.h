/*
 * exec.h - a child becomes another program, or tells why it cannot.
 *
 *     pf__exec_open(&exec, options)     pipes and /dev/null: all that can fail before
 *     pf__exec_fork(&exec, &pid)
 *     pf__exec_hear(&exec, pid)         it is the program now, or gone
 *     pf__exec_close(&exec)             whatever happened
 *
 * The child tells by a pipe, which exec closes, why it could not become the program. Knows
 * nothing of loops.
 */
#ifndef PREFORK_NET_EXEC_H
#define PREFORK_NET_EXEC_H

#include <prefork/subprocess.h>

/* What the child needs, and all descriptors until they have found their place. */
struct pf__exec {
    const struct pf_subprocess_options *options;
    int child[3];  /* -1: inherited */
    int parent[3]; /* -1: no stream */
    int report[2]; /* errno of a failed exec */
};

/* Make what the child needs. Returns 0 or a negative errno; pf__exec_close() in each case.
 */
int pf__exec_open(struct pf__exec *exec, const struct pf_subprocess_options *options);

/* Returns 0, or what fork(2) says; *pid is -1 then. */
int pf__exec_fork(struct pf__exec *exec, pid_t *pid);

/* Let go of what is the child's, and hear of it. Returns 0 when it has become the program,
 * or why it has not; then it is gone. */
int pf__exec_hear(struct pf__exec *exec, pid_t pid);

/* Close all descriptors that are still there: a stream takes one by setting it to -1. */
void pf__exec_close(struct pf__exec *exec);

/* Wait for a child that is about to end. */
void pf__exec_wait(pid_t pid);

#endif
