/*
 * future.h - what the loop's other parts know of futures.
 */
#ifndef PREFORK_LOOP_FUTURE_H
#define PREFORK_LOOP_FUTURE_H

#include <prefork/future.h>

/* What a wait whose future is done stands in the loop's queue with. Its future shows it to
 * pf_loop_walk(), so the queue need not. */
pf_callback_fn pf__future_call;

/* Is it one of this loop, which has been checked? 0, -EINVAL (NULL), -ECHILD, -ESTALE or
 * -EXDEV. Looks at no other loop, which may be another thread's. */
int pf__future_check(const pf_future *future, const pf_loop *loop);

#endif
