/*
 * current.c - this thread's loop, and the process's.
 *
 * Both are borrowed pointers that a fork must not carry over: the thread's is checked
 * against the process cookie each time it is asked for, the process's lies in the wiped
 * page.
 */
#include "loop/internal.h"

#include <errno.h>
#include <pthread.h>

static _Thread_local pf_loop *current;        /* its memory is held */
static _Thread_local uint64_t current_cookie; /* of the process that set it */

/* A thread that ends lets go of the loop whose memory it held. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static bool has_key;

static void release_at_thread_end(void *arg)
{
    pf_loop *loop = arg;
    /* Nobody else knows of a loop that was made for this thread, unless he holds it. */
    if (pf__process_is(current_cookie) && atomic_load(&loop->owner) == pf__thread_mark() &&
        atomic_exchange(&loop->implicit, false))
        pf_loop_unref(loop); /* which may close it, and so forget it */
    pf__current_set(NULL);
}

static void make_key(void)
{
    has_key = pthread_key_create(&at_thread_end, release_at_thread_end) == 0;
}

void pf__current_set(pf_loop *loop)
{
    pf_loop *before = current;
    bool inherited = before && !pf__process_is(current_cookie);
    pthread_once(&once, make_key);
    pf__loop_hold(loop);
    current = loop;
    current_cookie = loop ? loop->cookie : 0;
    if (has_key)
        (void)pthread_setspecific(at_thread_end,
                                  loop); /* without: a leak at the thread's end */
    if (!inherited) /* its memory may be gone by now: see pf_loop_discard() */
        pf__loop_release(before);
}

void pf__current_forget(pf_loop *loop)
{
    if (current == loop)
        pf__current_set(NULL);
}

pf_loop *pf_loop_current(bool make)
{
    if (current && (!pf__process_is(current_cookie) || atomic_load(&current->closed)))
        pf__current_set(NULL); /* inherited, or closed by another thread */
    if (current || !make)
        return current;
    pf_loop *loop = NULL;
    if (pf_loop_new_at(NULL, "pf_loop_current", &loop) != 0)
        return NULL;
    loop->implicit = true;
    if (current != loop) /* pf_loop_configure() may say that new loops do not become it */
        pf__current_set(loop);
    return loop;
}

int pf_loop_make_current(pf_loop *loop)
{
    int err = pf__loop_take_over(loop);
    if (!err)
        pf__current_set(loop);
    return err;
}

void pf_loop_clear_current(void)
{
    pf__current_set(NULL);
}

pf_loop *pf_loop_instance(void)
{
    struct pf__process *process = pf__process();
    if (!process)
        return NULL;
    pf_loop *loop = __atomic_load_n(&process->instance, __ATOMIC_ACQUIRE);
    if (loop)
        return loop;
    pf_loop *fresh;
    if (pf_loop_new_at(NULL, "pf_loop_instance", &fresh) != 0)
        return NULL;
    if (__atomic_compare_exchange_n(&process->instance, &loop, fresh, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return fresh;
    pf_loop_unref(fresh); /* another thread was first */
    return loop;
}

bool pf_loop_initialized(void)
{
    const struct pf__process *process = pf__process();
    return process && __atomic_load_n(&process->instance, __ATOMIC_ACQUIRE) != NULL;
}

int pf_loop_install(pf_loop *loop)
{
    int err = pf__loop_check(loop);
    if (err)
        return err;
    pf_loop *none = NULL;
    pf_loop_ref(loop);
    if (__atomic_compare_exchange_n(&pf__process()->instance, &none, loop, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return 0;
    pf_loop_unref(loop);
    return -EEXIST;
}

void pf_loop_clear_instance(void)
{
    struct pf__process *process = pf__process();
    if (process)
        pf_loop_unref(__atomic_exchange_n(&process->instance, NULL, __ATOMIC_SEQ_CST));
}

void pf__instance_forget(pf_loop *loop)
{
    pf_loop *was = loop;
    if (__atomic_compare_exchange_n(&pf__process()->instance, &was, NULL, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        pf_loop_unref(loop);
}
