/*
 * guard.h - what a fork wipes, and which thread is asking.
 *
 * One page per process holds everything that must not cross a fork: a cookie that names
 * this process, the list of its open loops, its instance. The kernel hands a child the page
 * full of zeros (MADV_WIPEONFORK), also after a raw clone(2) that runs no atfork handler,
 * so a child starts with no loops at all, and a loop that stored its maker's cookie can
 * tell for the price of one comparison that it has been carried into another process.
 */
#ifndef PREFORK_LOOP_GUARD_H
#define PREFORK_LOOP_GUARD_H

#include <prefork/loop.h>

struct pf__process {
    uint64_t cookie;   /* 0 until the first loop is made in this process */
    unsigned lock;     /* guards `loops`; zero is unlocked, so a fork unlocks it */
    pf_loop *loops;    /* open loops, through pf_loop.next_open */
    pf_loop *instance; /* see current.c */
};

/* The page; NULL only if there is no memory for it. */
struct pf__process *pf__process(void);

/* This process's cookie, never 0, making one if needed. 0 if there is no memory. */
uint64_t pf__process_cookie(void);

/* Is `cookie` this process's? No system call. */
bool pf__process_is(uint64_t cookie);

void pf__process_lock(struct pf__process *process);
void pf__process_unlock(struct pf__process *process);

/* Names the calling thread among all that live: an address in its own storage. */
const void *pf__thread_mark(void);

#endif
