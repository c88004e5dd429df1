/*
 * guard.h - may this process fork? Asked before the first fork, and only then.
 */
#ifndef PREFORK_MASTER_GUARD_H
#define PREFORK_MASTER_GUARD_H

#include <prefork/base.h>

/*
 * Refuse what a fork would break: a loop of the program's, see loop.h on forks; and other
 * threads, because locks that they hold stay locked in a child for ever.
 *
 * allow_threads  other threads are only warned of, in the log
 * why, len       where the loop was made, or which threads, in one line; untouched when the
 *                answer is yes; may be NULL
 *
 * Returns 0 or -EBUSY.
 */
int pf__guard_fork(bool allow_threads, char *why, size_t len);

#endif
