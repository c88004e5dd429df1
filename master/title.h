/*
 * title.h - what ps(1) shows of this process: "prefork-server: worker 3 accepting".
 *
 * The title is written over the arguments of main(), which is where the kernel reads
 * /proc/PID/cmdline from, and on over the environment behind them, whose strings are moved
 * away before. The name of the process (comm, what pgrep(1) looks at) stays.
 *
 * One title for the process. Fork: a child has its parent's, and sets its own.
 */
#ifndef PREFORK_MASTER_TITLE_H
#define PREFORK_MASTER_TITLE_H

#include <prefork/base.h>

/* A longer title is cut; the kernel shows no more than a page. */
#define PF__TITLE_MAX 1024

/*
 * From now on titles can be set. What argv of main() points to is the title's, until
 * pf__title_close(): whoever needs the arguments has copied them. Strings of the
 * environment that stand there are copied, once, and environ points to the copies for good;
 * so does program_invocation_name.
 *
 * Returns 0, -ENOTSUP (it cannot be told where the arguments are: no /proc, or the process
 * runs inside another, as under valgrind), or -ENOMEM; then titles are not shown. Call it
 * from main's thread, while no other reads the environment. Reads a file.
 * Source: arg_start, arg_end and env_end in proc(5).
 */
int pf__title_open(void);

/* Show the program's name, ": " and this. Nothing if it is not open. Not for two threads at
 * once; not from a signal handler. No system call. */
void pf__title_set(const char *format, ...) PF_PRINTF(1, 2);

/* Show the arguments again. */
void pf__title_close(void);

#endif
