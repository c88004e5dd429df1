/*
 * crash.h - the handlers of a worker that tell its master where it is: when it is asked,
 * when a handler of the application spins, and when the worker crashes.
 *
 *     pf__crash_install(fd)            once in the worker, after its last sigaction()
 *     pf__crash_thread(lane)           in each lane's thread, after its last sigmask change
 *     pf__crash_watch_cpu(beat, ns)    the same, once the loop beats there
 *     pf__crash_thread_end()           before the thread ends
 *
 * The handlers use async-signal-safe calls alone (signal-safety(7)), and backtrace(3): it
 * loads libgcc_s when first called, which the installation does, and from then on finds its
 * tables without a lock (_dl_find_object(3), glibc 2.35). They name nothing; that is done
 * in another process: master/names.h.
 *
 * Fork: a child has the handlers too, but they know that they are not the worker and write
 * nothing. Its timers and its lanes are not inherited.
 */
#ifndef PREFORK_WORKER_CRASH_H
#define PREFORK_WORKER_CRASH_H

#include "ipc/crash.h"

/* A loop that spins is told of at most this often in each thread. */
#define PF__CRASH_SPIN_EVERY_NS (10 * PF_SECOND)

/*
 * Install the handlers in this process:
 *
 * - PF_CRASH_SIGNAL_DUMP sends a record of the thread that it interrupts, which goes on: a
 *   system call is restarted where signal(7) allows, errno is kept. Sent to the process it
 *   interrupts any of the threads that let it through, the first one as a rule; tgkill(2)
 *   picks one.
 * - SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and SIGSYS send a record; then the default
 *   action is taken, a fault by letting the instruction fault again: the core dump and the
 *   wait status are those of the same fault without us. One that somebody else handles or
 *   ignores already (the application, a sanitizer) is left to them.
 * - PF_CRASH_SIGNAL_TICK is for pf__crash_watch_cpu().
 *
 * fd  a pipe's writing end, O_NONBLOCK; the handlers' from now on: it stays open until the
 *     process ends. A record that it has no room for is dropped. Ignore SIGPIPE, or a
 *     reader that is gone ends the process.
 *
 * Returns 0; -EBADF, or -EINVAL (cannot be written, or blocks); -EALREADY (installed in
 * this process); -EBUSY (the application has a handler for one of our own two signals):
 * then nothing changed. From one thread, at start; not from a signal handler. Unblocks
 * nothing: pf__crash_thread(). Cost: some ten system calls, and loading libgcc_s.
 */
int pf__crash_install(int fd);

/*
 * The calling thread runs this lane: say so in its records, give it an alternate stack for
 * the handlers, so that a stack overflow is told of too, and let their signals through in
 * its mask. A stack that the thread has already (sanitizers give one) is kept.
 *
 * lane  its number; PF_CRASH_LANE_NONE is allowed.
 *
 * Returns 0; -ENOTCONN (not installed in this process), -EALREADY (the thread has a lane),
 * or -ENOMEM; then nothing changed. Threads without one are told of too, on their own
 * stack, with PF_CRASH_LANE_NONE. Not from a signal handler. Cost: five system calls;
 * 64 KiB of address space, of which a page or two is used, if ever.
 */
int pf__crash_thread(unsigned lane);

/* Undo pf__crash_thread() and pf__crash_watch_cpu() in the calling thread, except for the
 * mask; never fails, and harmless if there is nothing to undo. Not from a signal handler.
 */
void pf__crash_thread_end(void);

/*
 * Send a record (PF_CRASH_SPIN) when the calling thread has used CPU for a while inside one
 * handler of its loop. A timer interrupts it each time it has used cpu_ns, so what blocks
 * or sleeps is never interrupted and costs nothing; a stall is found after one to two times
 * cpu_ns. Each is told of once, and at most one in PF__CRASH_SPIN_EVERY_NS.
 *
 * beat    where the thread's loop leaves its beat (pf_loop_set_beat()); borrowed until
 *         pf__crash_unwatch().
 * cpu_ns  of the thread's own CPU time, > 0; CPU time passes in ticks of the kernel's, 4 ms
 *         or so.
 *
 * Returns 0; -EINVAL; -ENOTCONN (not installed in this process); -EALREADY (the thread
 * watches); -EAGAIN or -ENOMEM as of timer_create(2): then nothing changed. System calls
 * of the thread are restarted where signal(7) allows. Not from a signal handler. Cost: two
 * system calls, then one signal each cpu_ns of CPU used: 0.001 % at 100 ms.
 */
int pf__crash_watch_cpu(const uint64_t *beat, int64_t cpu_ns);

/* End that; harmless if nothing is watched. Not from a signal handler. */
void pf__crash_unwatch(void);

#endif
