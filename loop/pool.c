/* pool.c - see pool.h. */
#include "loop/pool.h"

#include "loop/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct pf__pool_thread {
    pthread_t id;
    struct pf__pool *pool;
    struct pf__task *task; /* that runs on it */
};

int pf__pool_init(struct pf__pool *pool, unsigned threads_max, size_t queue_max,
                  const char *name)
{
    *pool = (struct pf__pool){
        .threads_max = threads_max, .queue_max = queue_max, .end = &pool->first};
    pool->threads = calloc(threads_max, sizeof *pool->threads);
    if (!pool->threads)
        return -ENOMEM;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pthread_mutex_init(&pool->lock, NULL); /* neither fails with default attributes */
    pthread_cond_init(&pool->changed, NULL);
    return 0;
}

void pf__pool_fini(struct pf__pool *pool, bool in_child)
{
    if (!in_child) { /* where they may be in use for ever */
        pthread_mutex_destroy(&pool->lock);
        pthread_cond_destroy(&pool->changed);
    }
    free(pool->threads);
}

/* ---- the queue: with the lock held ----------------------------------------------- */

static void append(struct pf__pool *pool, struct pf__task *task)
{
    *task = (struct pf__task){.waits = true, .at = pool->end};
    *pool->end = task;
    pool->end = &task->next;
    pool->waiting++;
}

static void take_out(struct pf__pool *pool, struct pf__task *task)
{
    *task->at = task->next;
    if (task->next)
        task->next->at = task->at;
    else
        pool->end = task->at;
    task->waits = false;
    pool->waiting--;
}

/* ---- threads --------------------------------------------------------------------- */

static void set_name(const char *name)
{
#ifdef __APPLE__
    (void)pthread_setname_np(name);
#elif defined(__linux__)
    (void)pthread_setname_np(pthread_self(), name);
#else
    (void)name;
#endif
}

/* The next task for this thread; NULL: end. */
static struct pf__task *next_task(struct pf__pool_thread *self)
{
    struct pf__pool *pool = self->pool;
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending) {
        pool->idle++;
        pthread_cond_wait(&pool->changed, &pool->lock);
        pool->idle--;
    }
    struct pf__task *task = pool->first;
    if (task) {
        take_out(pool, task);
        pool->running++;
        self->task = task;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void has_run(struct pf__pool_thread *self)
{
    struct pf__pool *pool = self->pool;
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    self->task = NULL;
    pthread_mutex_unlock(&pool->lock);
}

static void *live(void *arg)
{
    struct pf__pool_thread *self = arg;
    struct pf__pool *pool = self->pool;
    struct pf__task *task;
    set_name(pool->name);
    while ((task = next_task(self)) != NULL) {
        pool->run(task);
        has_run(self);
        pool->done(task);
    }
    return NULL;
}

/* One more, with the lock held. Returns 0 or -EAGAIN. */
static int start_thread(struct pf__pool *pool)
{
    struct pf__pool_thread *thread = &pool->threads[pool->started];
    thread->pool = pool;
    if (pf__thread_start(&thread->id, live, thread) != 0)
        return -EAGAIN;
    pool->started++;
    return 0;
}

bool pf__pool_is_own_thread(struct pf__pool *pool)
{
    bool own = false;
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++)
        own |= pthread_equal(pool->threads[i].id, pthread_self()) != 0;
    pthread_mutex_unlock(&pool->lock);
    return own;
}

/* ---- tasks ----------------------------------------------------------------------- */

static int add_locked(struct pf__pool *pool, struct pf__task *task)
{
    if (pool->ending)
        return -ESTALE;
    if (pool->waiting >= pool->queue_max)
        return -EAGAIN;
    append(pool, task);
    int err = 0;
    if (pool->waiting > pool->idle && pool->started < pool->threads_max)
        err = start_thread(pool);
    if (err && pool->started == 0) {
        take_out(pool, task);
        return err;
    }
    pthread_cond_signal(&pool->changed);
    return 0;
}

int pf__pool_add(struct pf__pool *pool, struct pf__task *task)
{
    pthread_mutex_lock(&pool->lock);
    int err = add_locked(pool, task);
    pthread_mutex_unlock(&pool->lock);
    return err;
}

bool pf__pool_remove(struct pf__pool *pool, struct pf__task *task)
{
    pthread_mutex_lock(&pool->lock);
    bool waits = task->waits;
    if (waits)
        take_out(pool, task);
    pthread_mutex_unlock(&pool->lock);
    return waits;
}

void pf__pool_load(struct pf__pool *pool, size_t *waiting, size_t *running)
{
    pthread_mutex_lock(&pool->lock);
    *waiting = pool->waiting;
    *running = pool->running;
    pthread_mutex_unlock(&pool->lock);
}

void pf__pool_end(struct pf__pool *pool, pf__task_fn *drop)
{
    struct pf__task *task;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->changed);
    while ((task = pool->first) != NULL) {
        take_out(pool, task);
        pthread_mutex_unlock(&pool->lock); /* nothing of others' is called under it */
        drop(task);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i].id, NULL);
}

void pf__pool_abandon(struct pf__pool *pool, pf__task_fn *drop)
{
    struct pf__task *task;
    if (pthread_mutex_trylock(&pool->lock) != 0)
        return;
    while ((task = pool->first) != NULL) {
        take_out(pool, task);
        drop(task);
    }
    for (unsigned i = 0; i < pool->started; i++)
        if (pool->threads[i].task)
            drop(pool->threads[i].task);
    pthread_mutex_unlock(&pool->lock);
}
