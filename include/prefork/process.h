/*
 * process.h - only the fork: N children of a program that goes on in each of them.
 *
 *     int fd = ...                                bind and listen first
 *     int err = pf_fork_processes(4, -1, &id);
 *     if (err == 1)
 *         serve(fd, id);                          a child: makes its loop now
 *     return err < 0;                             the parent, after the last child
 *
 * The parent stays inside the call and looks after its children. One that ends with status
 * 0 is done. One that a signal ends, or that ends with another status, is forked again with
 * the same id: it returns from the same call once more. A crash loop is slowed down: the
 * first crash of a child costs nothing, then it waits 100 ms, 200 ms and so on, at most two
 * seconds while other children run and a minute otherwise, until it has lived ten seconds.
 *
 * A program that wants the sockets looked after, too, calls pf_master_run(): see master.h.
 */
#ifndef PREFORK_PROCESS_H
#define PREFORK_PROCESS_H

#include <prefork/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most children, and what max_restarts below 0 means. */
#define PF_FORK_MAX      1024
#define PF_FORK_RESTARTS 100
/* What children that were told to leave may take, before they are killed. */
#define PF_FORK_STOP_NS (30 * PF_SECOND)

/*
 * Fork n children, and look after them until the last has ended.
 *
 * n             1 to PF_FORK_MAX; 0 and below: pf_cpu_count()
 * max_restarts  how often, over all children and all the time, one may be forked again; 0:
 *               never; below 0: PF_FORK_RESTARTS
 * id            in a child its number, 0 to n - 1; may be NULL: pf_task_id() tells it, too
 *
 * Returns 1 in each child, and in the parent
 *     0            all children have ended with status 0
 *     -EAGAIN      gave up: a child ended badly and there are no restarts left
 *     -ECANCELED   stopped by SIGTERM, SIGINT or SIGQUIT
 *     -EAGAIN, -ENOMEM   one of the first n forks failed: fork(2)
 * in each case without a child left; or, before anything was done, -EINVAL (n above
 * PF_FORK_MAX), -EBUSY (the program owns a loop, or other threads run: the log names where
 * the loop was made, or the threads), -EALREADY (this is such a child), -ENOMEM, or what
 * pf_cpu_count() says. Each failure is in the log, and so is each child's end. The parent
 * may call it again.
 *
 * Stopping: the children are sent the signal that the parent was sent, SIGTERM if it gives
 * up, and SIGKILL PF_FORK_STOP_NS later or at the parent's next signal. A child whose
 * parent is gone, even by SIGKILL, is sent SIGTERM; see pf_task_watch_parent().
 *
 * Signals: while the parent is in the call SIGCHLD is its own, and so are SIGTERM, SIGINT
 * and SIGQUIT, as far as the program does not ignore them: also those that are blocked, and
 * without a call of the program's handlers. Others do to the parent what they always do.
 * In a child, and after the call, mask and dispositions are as before; a signal that a
 * child is sent earlier waits until then. Each child leads a process group: a terminal's
 * Ctrl-C is for the parent alone, which passes it on.
 * Other children of the program are neither waited for nor counted; in case one has ended
 * meanwhile, the program gets a SIGCHLD when the call returns.
 *
 * Fork: a child has the parent's descriptors and memory; stdio is flushed before. A random
 * number generator of the program's has one seed in all children: seed it in the child.
 * Threads: only from the main thread of a program with no other. Not from a signal handler.
 * Cost: one waitpid(2) per child whenever one ends. Source: Tornado's fork_processes().
 */
PF_API int pf_fork_processes(int n, int max_restarts, int *id);

/*
 * The number of this child, 0 to n - 1; -ENOENT in a process that pf_fork_processes() did
 * not make. A process that a child forks by itself inherits it. Any thread; signal-safe.
 */
PF_API int pf_task_id(void);

/*
 * In a child: be sent SIGTERM when the parent ends, or now if it has ended already.
 * Children of pf_fork_processes() are born so, but the kernel forgets it when a process
 * changes its user or group: one that drops its privileges calls this afterwards.
 *
 * Returns 0, or -ENOENT (not a child of pf_fork_processes(), or only a child's child).
 * Threads: only from the thread that was forked. Source: PR_SET_PDEATHSIG in prctl(2).
 */
PF_API int pf_task_watch_parent(void);

/*
 * How many CPUs this process may really use, 1 to 1024: those that its affinity and its
 * cpuset leave, and no more than its CPU quota pays for, rounded up.
 *
 * Returns the count, or -ENOMEM, or another error of sched_getaffinity(2). Any thread.
 * Cost: a few files are read.
 */
PF_API int pf_cpu_count(void);

#ifdef __cplusplus
}
#endif
#endif
