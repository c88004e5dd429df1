/*
 * hold_pool.h - as many idle connections as asked for, on one loop, at a few bytes each.
 *
 *     hold_pool_new(loop, &options, counts, &pool)    opens them, at a rate
 *     ... options.on_opened: each has been tried ...
 *     hold_pool_free(pool)
 *
 * A connection that is held costs one slot of 8 bytes beyond what the kernel has for it:
 * all are in an epoll instance of the pool's own, which the loop knows as one descriptor,
 * and none has a handler, a timer or a buffer. Each is watched edge-triggered for all it
 * may ever tell, so that it takes one epoll_ctl(2) in its life:
 *
 *     connecting --> held --> lost (the server closed it)
 *          |          ^
 *          |--> asked-/   if there is a request: its answer is complete, and below 400
 *          |      |
 *          \------\--> failed
 *
 * At most HOLD_CONNECTING_MAX are connecting or asked at a time. They are closed with a
 * reset, which leaves no TIME_WAIT behind.
 */
#ifndef PREFORK_BENCH_HOLD_POOL_H
#define PREFORK_BENCH_HOLD_POOL_H

#include "bench/hold_counts.h"
#include "net/address.h"
#include <prefork/loop.h>

/* More would only fill the server's accept queue (4,096 as a rule), whose overflow costs
 * each a second. */
#define HOLD_CONNECTING_MAX 256

struct hold_pool;

struct hold_options {
    const struct pf_address *target;
    const struct pf_address *sources; /* port 0, taken in turn; borrowed */
    unsigned source_count;            /* 0: the kernel picks */
    unsigned connections;
    double rate;         /* opened per second; 0: as fast as it goes */
    int64_t timeout_ns;  /* of a connect, and of an answer */
    const char *request; /* sent once on each when it is connected; NULL: they are silent */
    size_t request_len;
    bool request_head; /* it is a HEAD: the answer has no body */
    pf_callback_fn *on_opened;
    void *arg;
};

/* Returns 0 or -ENOMEM, -EMFILE, or what pf_loop_add_handler() answers. */
int hold_pool_new(pf_loop *loop, const struct hold_options *options,
                  struct hold_counts *counts, struct hold_pool **out);

/* Close all. NULL: nothing. */
void hold_pool_free(struct hold_pool *pool);

#endif
