/*
 * executor.h - threads for work that would block a loop; Tornado's run_in_executor.
 *
 *     static int look_up(void *arg, void **value)      on a thread of the pool
 *     {
 *         struct addrinfo *found;
 *         ...
 *         *value = found;
 *         return 0;
 *     }
 *
 *     pf_future *future;
 *     int err = pf_loop_run_in_executor(loop, NULL, look_up, name, &future);
 *
 * Work waits in one queue, oldest first. Its result goes through the loop's add_callback
 * into a future of that loop; the place it needs there was put aside when the work was
 * accepted, so no result is lost for want of memory.
 *
 * FORK. Threads do not exist in a child. There an executor answers -ECHILD,
 * pf_executor_free() frees its memory, and the default executor (NULL) is made anew.
 *
 * Threads of an executor take no signals but those of their own faults. They are started
 * when there is work for them.
 */
#ifndef PREFORK_EXECUTOR_H
#define PREFORK_EXECUTOR_H

#include <prefork/base.h>
#include <prefork/future.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_executor pf_executor;

/*
 * The work itself. Runs on a thread of the pool, so it must not touch the loop but by
 * pf_loop_add_callback(). Returns 0, with its result in *value, or a negative errno: that
 * becomes the future's error.
 */
typedef int pf_work_fn(void *arg, void **value);

/* Threads of an executor whose options say 0, and the most that they may say. */
#define PF_EXECUTOR_THREADS     4
#define PF_EXECUTOR_THREADS_MAX 1024
/* Work that may wait before -EAGAIN, where the options say 0. */
#define PF_EXECUTOR_QUEUE_MAX 100000

struct pf_executor_options {
    size_t size;
    unsigned threads; /* 0: PF_EXECUTOR_THREADS */
    size_t queue_max; /* 0: PF_EXECUTOR_QUEUE_MAX */
    const char *name; /* of its threads, cut at 15 bytes; NULL: "pf-executor". Copied */
};
#define PF_EXECUTOR_OPTIONS .size = sizeof(struct pf_executor_options)

/* Make one; `options` may be NULL. No thread is started yet. Returns 0, or -EINVAL (more
 * than PF_EXECUTOR_THREADS_MAX threads), -ENOMEM. Any thread. */
PF_API int pf_executor_new(const struct pf_executor_options *options, pf_executor **out);

/*
 * End it: work that still waits is cancelled (its futures fail with -ECANCELED), work that
 * runs is waited for, the threads end, the memory goes. NULL is fine. Any thread but its
 * own, where it only writes the mistake into the log. In a child: frees the memory, waits
 * for nothing. Futures of its work live on.
 */
PF_API void pf_executor_free(pf_executor *executor);

/* How much work waits, and how much runs, into the two; either may be NULL. Returns 0 or
 * -ECHILD. Any thread. */
PF_API int pf_executor_load(pf_executor *executor, size_t *waiting, size_t *running);

/*
 * Run work(arg) on a thread, and give its result to a future of this loop.
 *
 * executor  NULL: the process's default one, made on the first use with default options and
 *           never freed
 * out       the future, with a reference that is the caller's; may be NULL if the result
 *           does not matter (a failure is then reported)
 *
 * Cancelling the future takes the work out of the queue; once it runs that answers -EBUSY.
 * If the loop is closed meanwhile the work still runs and its value is dropped by
 * `destroy`, on whichever thread comes last.
 *
 * Returns 0, or -EAGAIN (the queue is full, or not even one thread could be started),
 * -ENOMEM, -ENOSPC (as pf_loop_add_future()), -ECHILD (also for an executor of another
 * process), -EPERM, -ESTALE (also for an executor that ends). The loop's thread.
 */
PF_API int pf_loop_run_in_executor(pf_loop *loop, pf_executor *executor, pf_work_fn *work,
                                   void *arg, pf_future **out);

/* The same; `destroy`, which may be NULL, is for the value, and where says where it was
 * called. */
PF_API int pf_loop_run_in_executor_full(pf_loop *loop, pf_executor *executor,
                                        pf_work_fn *work, void *arg, pf_destroy_fn *destroy,
                                        const char *where, pf_future **out);
#define pf_loop_run_in_executor(loop, executor, work, arg, out)                            \
    pf_loop_run_in_executor_full((loop), (executor), (work), (arg), NULL, PF_HERE, (out))

#ifdef __cplusplus
}
#endif
#endif
