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
#include <stdatomic.h>
#include <sys/types.h>

struct pf__process {
    uint64_t cookie;   /* 0 until the first loop is made in this process */
    pid_t pid;         /* set before the cookie */
    unsigned lock;     /* guards `loops`; zero is unlocked, so a fork unlocks it */
    pf_loop *loops;    /* open loops, through pf_loop.next_open */
    pf_loop *instance; /* see current.c */
    _Atomic(struct pf__signals *) signals; /* who takes signals: see signal.c */
    atomic_uint signal_users;              /* handlers that look at them now */
    struct pf__watcher *watcher;           /* see watch.c */
    struct pf_executor *executor;          /* the default one: see executor.c */
};

/* The page; NULL only if there is no memory for it. */
struct pf__process *pf__process(void);

/* Where it is, or NULL as long as nobody has asked: for pf__process_is(), which is in every
 * call. Hidden, and of the initial-exec model, so that a shared library needs no table to
 * reach them. */
extern __attribute__((visibility("hidden"))) struct pf__process *pf__page;
extern __attribute__((visibility("hidden"),
                      tls_model("initial-exec"))) _Thread_local char pf__mark;

/* This process's cookie, never 0, making one if needed. 0 if there is no memory. */
uint64_t pf__process_cookie(void);

/* Is `cookie` this process's? No system call. */
static inline bool pf__process_is(uint64_t cookie)
{
    const struct pf__process *process = __atomic_load_n(&pf__page, __ATOMIC_ACQUIRE);
    return process && __atomic_load_n(&process->cookie, __ATOMIC_RELAXED) == cookie;
}

void pf__process_lock(struct pf__process *process);
void pf__process_unlock(struct pf__process *process);

/* Names the calling thread among all that live: an address in its own storage. */
static inline const void *pf__thread_mark(void)
{
    return &pf__mark;
}

#endif
