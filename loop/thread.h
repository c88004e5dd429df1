/*
 * thread.h - threads of the library's own, which the program's signals pass by.
 */
#ifndef PREFORK_LOOP_THREAD_H
#define PREFORK_LOOP_THREAD_H

#include <pthread.h>

/*
 * Start a thread that runs fn(arg) with all signals blocked but those of its own faults: a
 * fault whose signal is blocked kills the process without the program's handler.
 *
 * Returns 0, or -EAGAIN with nothing started.
 */
int pf__thread_start(pthread_t *id, void *(*fn)(void *), void *arg);

#endif
