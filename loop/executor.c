/*
 * executor.c - work on other threads, its results in a loop's futures.
 *
 * A job has two sides. The loop's holds the future and is touched by the loop's thread
 * alone; it hears as a member when the loop is gone. The executor's is the work, in the
 * pool's queue and then on a thread. When that is done the job goes into the loop's queue,
 * in the place that was promised to it, and both sides are the loop's. Only if the loop was
 * closed meanwhile they part, and the last one frees the job.
 *
 * A job holds the memory of its loop and of its executor, so that neither side finds one
 * gone: a thread may look at a closed loop, and a loop cancel what a freed executor had.
 */
#include "loop/executor.h"

#include "loop/internal.h"
#include "loop/pool.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pf_executor {
    uint64_t cookie;
    atomic_uint holds; /* the program's, and one for each job */
    struct pf__pool pool;
};

struct job {
    struct pf__member member; /* the loop's side, as `future` */
    pf_future *future;
    atomic_int sides;
    pf_loop *loop;         /* its memory is held */
    pf_executor *executor; /* the same */

    struct pf__task task;
    struct pf__work work;
    bool owns_arg; /* it is accepted, and does not run yet */
    int error;
    void *value;
    bool has_value; /* that is still ours to drop */
};

static struct job *job_of(struct pf__task *task)
{
    return (struct job *)(void *)((char *)task - offsetof(struct job, task));
}

/* ---- a job's end ----------------------------------------------------------------- */

static void release(pf_executor *executor)
{
    if (atomic_fetch_sub(&executor->holds, 1) != 1)
        return;
    pf__pool_fini(&executor->pool, !pf__process_is(executor->cookie));
    free(executor);
}

static void free_job(struct job *job)
{
    if (job->owns_arg && job->work.destroy_arg)
        job->work.destroy_arg(job->work.arg);
    if (pf__process_is(job->executor->cookie)) /* in a child it may have been discarded */
        pf__loop_release(job->loop);
    release(job->executor);
    free(job);
}

static void drop_value(struct job *job)
{
    if (job->has_value && job->work.destroy)
        job->work.destroy(job->value);
    job->has_value = false;
}

/* One side is done with it. */
static void put(struct job *job)
{
    if (atomic_fetch_sub(&job->sides, 1) == 1)
        free_job(job);
}

/* Both are, and this is the loop's. */
static void end_job(void *arg)
{
    struct job *job = arg;
    pf__member_part(&job->member);
    drop_value(job);
    pf_future_unref(job->future);
    free_job(job);
}

static void on_gone(struct pf__member *member)
{
    struct job *job = (struct job *)member; /* its first field */
    pf_future_unref(job->future);
    put(job);
}

/* ---- on a thread of the pool ----------------------------------------------------- */

static void run(struct pf__task *task)
{
    struct job *job = job_of(task);
    job->owns_arg = false;
    int result = job->work.run(job->work.arg, &job->value);
    job->error = result < 0 ? result : 0;
    job->has_value = result >= 0;
}

static int deliver(pf_loop *loop, void *arg)
{
    struct job *job = arg;
    (void)loop;
    if (job->error)
        (void)pf_future_set_error(job->future, job->error); /* unless somebody else did */
    else if (pf_future_set_value(job->future, job->value, job->work.destroy) == 0)
        job->has_value = false;
    return 0;
}

static void hand_over(struct pf__task *task)
{
    struct job *job = job_of(task);
    struct pf__callback callback = {
        .fn = deliver, .arg = job, .destroy = end_job, .where = job->work.where};
    if (pf__loop_keep_promise(job->loop, &callback) == 0)
        return; /* and may be gone by now */
    drop_value(job);
    put(job);
}

/* ---- executors ------------------------------------------------------------------- */

/* A caller compiled against an older library knows fewer options: the rest are 0. */
static int choose_options(struct pf_executor_options *to,
                          const struct pf_executor_options *from)
{
    *to = (struct pf_executor_options){PF_EXECUTOR_OPTIONS};
    if (from && from->size < sizeof from->size)
        return -EINVAL;
    if (from)
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    if (!to->threads)
        to->threads = PF_EXECUTOR_THREADS;
    if (!to->queue_max)
        to->queue_max = PF_EXECUTOR_QUEUE_MAX;
    if (!to->name)
        to->name = "pf-executor";
    return to->threads <= PF_EXECUTOR_THREADS_MAX ? 0 : -EINVAL;
}

int pf_executor_new(const struct pf_executor_options *options, pf_executor **out)
{
    struct pf_executor_options chosen;
    int err = out ? choose_options(&chosen, options) : -EINVAL;
    if (err)
        return err;
    uint64_t cookie = pf__process_cookie();
    pf_executor *executor = cookie ? calloc(1, sizeof *executor) : NULL;
    if (!executor)
        return -ENOMEM;
    executor->cookie = cookie;
    atomic_init(&executor->holds, 1);
    err = pf__pool_init(&executor->pool, chosen.threads, chosen.queue_max, chosen.name);
    if (err) {
        free(executor);
        return err;
    }
    executor->pool.run = run;
    executor->pool.done = hand_over;
    *out = executor;
    return 0;
}

static void cancel(struct pf__task *task)
{
    job_of(task)->error = -ECANCELED;
    hand_over(task);
}

static void abandon(struct pf__task *task)
{
    put(job_of(task));
}

void pf_executor_free(pf_executor *executor)
{
    if (!executor)
        return;
    if (!pf__process_is(executor->cookie)) {
        pf__pool_abandon(&executor->pool, abandon);
    } else if (pf__pool_is_own_thread(&executor->pool)) {
        pf_log(PF_LOG_ERROR, "executor-freed-by-its-own-thread", "name=%s now=ignored",
               executor->pool.name);
        return;
    } else {
        pf__pool_end(&executor->pool, cancel);
    }
    release(executor);
}

int pf_executor_load(pf_executor *executor, size_t *waiting, size_t *running)
{
    if (!executor)
        return -EINVAL;
    if (!pf__process_is(executor->cookie))
        return -ECHILD;
    size_t waits, runs;
    pf__pool_load(&executor->pool, &waits, &runs);
    if (waiting)
        *waiting = waits;
    if (running)
        *running = runs;
    return 0;
}

/* The process's own: in a child another one, and the memory of the parent's goes. */
static pf_executor *default_executor(void)
{
    static _Atomic(pf_executor *) latest;
    pf_executor **at = &pf__process()->executor; /* there is a loop, so there is a page */
    pf_executor *executor = __atomic_load_n(at, __ATOMIC_ACQUIRE), *fresh;
    if (executor)
        return executor;
    if (pf_executor_new(NULL, &fresh) != 0)
        return NULL;
    if (!__atomic_compare_exchange_n(at, &executor, fresh, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        pf_executor_free(fresh); /* another thread was first */
        return executor;
    }
    pf_executor_free(atomic_exchange(&latest, fresh));
    return fresh;
}

/* ---- running --------------------------------------------------------------------- */

static int on_cancel(pf_future *future, void *arg)
{
    struct job *job = arg;
    (void)future;
    if (!pf__pool_remove(&job->executor->pool, &job->task))
        return -EBUSY;
    pf__loop_unpromise(job->loop);
    end_job(job);
    return 0;
}

/* The loop's side. Returns 0, -ENOSPC or -ENOMEM. */
static int make_job(pf_loop *loop, const struct pf__work *work, struct job **out)
{
    struct job *job = calloc(1, sizeof *job);
    int err = job ? pf_future_new_at(loop, work->where, &job->future) : -ENOMEM;
    if (!err)
        err = pf__loop_promise(loop);
    if (err) {
        if (job)
            pf_future_unref(job->future);
        free(job);
        return err;
    }
    atomic_init(&job->sides, 2);
    job->work = *work;
    job->loop = loop;
    pf__loop_hold(loop);
    pf__member_join(&job->member, loop, on_gone);
    (void)pf_future_on_cancel(job->future, on_cancel, job); /* new: it is pending */
    *out = job;
    return 0;
}

/* The executor, or the default one. Returns 0, -ENOMEM or -ECHILD. */
static int find_executor(pf_executor **executor)
{
    if (!*executor)
        *executor = default_executor();
    if (!*executor)
        return -ENOMEM;
    return pf__process_is((*executor)->cookie) ? 0 : -ECHILD;
}

/* The pool may be done with the job before this returns; the loop is not. Returns 0,
 * -EAGAIN or -ESTALE: then the job is gone. */
static int submit(struct job *job, pf_executor *executor)
{
    job->executor = executor;
    atomic_fetch_add(&executor->holds, 1);
    job->owns_arg = true;
    int err = pf__pool_add(&executor->pool, &job->task);
    if (err) {
        job->owns_arg = false;
        pf__loop_unpromise(job->loop);
        end_job(job);
    }
    return err;
}

int pf__loop_run_work(pf_loop *loop, pf_executor *executor, const struct pf__work *work,
                      pf_future **out)
{
    struct job *job = NULL;
    int err = work->run ? pf__loop_check(loop) : -EINVAL;
    if (!err)
        err = find_executor(&executor);
    if (!err)
        err = make_job(loop, work, &job);
    if (err)
        return err;
    pf_future *future = pf_future_ref(job->future);
    err = submit(job, executor);
    if (err || !out)
        pf_future_unref(future);
    else
        *out = future;
    return err;
}

int pf_loop_run_in_executor_full(pf_loop *loop, pf_executor *executor, pf_work_fn *work,
                                 void *arg, pf_destroy_fn *destroy, const char *where,
                                 pf_future **out)
{
    return pf__loop_run_work(
        loop, executor,
        &(struct pf__work){.run = work, .arg = arg, .destroy = destroy, .where = where},
        out);
}

int(pf_loop_run_in_executor)(pf_loop *loop, pf_executor *executor, pf_work_fn *work,
                             void *arg, pf_future **out)
{
    return pf_loop_run_in_executor_full(loop, executor, work, arg, NULL, NULL, out);
}
