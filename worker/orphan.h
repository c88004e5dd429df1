/*
 * orphan.h - a worker whose master was killed leaves, even if its loop is blocked.
 *
 * A loop that turns learns of the master's death from the death pipe and drains. This is
 * for one that does not: the kernel sends a signal when the master dies, and its handler
 * starts a timer that was made before, whose expiry is SIGKILL. Nothing else of the process
 * has to work for that.
 */
#ifndef PREFORK_WORKER_ORPHAN_H
#define PREFORK_WORKER_ORPHAN_H

#include <prefork/base.h>
#include <sys/types.h>

/*
 * From now on, SIGKILL ends this process limit_ns after its master has died.
 *
 * master    the pid of the caller's parent, as it was before the fork: it must have forked
 *           from a thread that lives as long as it does (PR_SET_PDEATHSIG(2const)).
 * limit_ns  > 0; longer than a drain may take.
 *
 * Call it after the last setuid(2) and setgid(2), which undo it without a word, and after
 * the last change of the signal mask: it lets PF_CRASH_SIGNAL_ORPHAN (ipc/crash.h) through.
 *
 * Returns 0; 1 if the master is gone already: the limit has begun, and the caller should
 * not; -EINVAL, -EALREADY (done in this process), -EBUSY (the application has a handler for
 * that signal), -EAGAIN or -ENOMEM as of timer_create(2): then nothing changed.
 * Once in a process, from its main thread; not from a signal handler. Fork: a child has
 * neither the timer nor the signal from the kernel. Cost: some eight system calls.
 */
int pf__orphan_arm(pid_t master, int64_t limit_ns);

/*
 * Again, after a setuid(2) or the like that may have undone it. Nothing if it was not armed
 * in this process. Its main thread.
 */
void pf__orphan_renew(void);

#endif
