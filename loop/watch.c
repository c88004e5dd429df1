/* watch.c - see watch.h. */
#include "loop/internal.h"
#include "loop/thread.h"

#include <errno.h>
#include <prefork/log.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum {
    LOOKS = 4 /* in a threshold */
};

struct pf__watch {
    pf_loop *loop;
    int64_t threshold_ns;
    int signo;
    unsigned long long beat; /* as last seen */
    int64_t same_ns;         /* since when, in time that the watcher has lived through */
    bool reported;
    struct pf__watch *next;
};

/* The thread and what it watches: one for a process, begun anew in a child, where neither
 * the thread nor the state of the locks can be relied on. */
struct pf__watcher {
    pthread_mutex_t control; /* one at a time starts, ends and changes watches */
    pthread_mutex_t lock;    /* guards `watches` */
    pthread_cond_t changed;
    pthread_t thread;
    struct pf__watch *watches; /* the thread runs while there are any */
};

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

static void report(const struct pf__watch *watch)
{
    const struct pf__pulse *pulse = &watch->loop->pulse;
    const char *kind = atomic_load_explicit(&pulse->kind, memory_order_relaxed);
    const char *where = atomic_load_explicit(&pulse->where, memory_order_relaxed);
    if (watch->signo)
        (void)pthread_kill(atomic_load(&pulse->thread), watch->signo);
    else
        pf_log(PF_LOG_WARN, "loop-blocked",
               "ms=%lld in=%s registered-at=%s loop-made-at=%s",
               (long long)(watch->same_ns / PF_MILLISECOND), kind ? kind : "?",
               where ? where : "?", watch->loop->where ? watch->loop->where : "?");
}

static void look(struct pf__watch *watch, int64_t passed_ns)
{
    unsigned long long beat = atomic_load(&watch->loop->pulse.beat);
    if (beat != watch->beat || beat % 2 == 0) {
        watch->beat = beat;
        watch->same_ns = 0;
        watch->reported = false;
        return;
    }
    watch->same_ns += passed_ns;
    if (watch->same_ns >= watch->threshold_ns && !watch->reported) {
        watch->reported = true;
        report(watch);
    }
}

static int64_t period_of(const struct pf__watcher *watcher)
{
    int64_t least = INT64_MAX;
    for (const struct pf__watch *watch = watcher->watches; watch; watch = watch->next)
        if (watch->threshold_ns / LOOKS < least)
            least = watch->threshold_ns / LOOKS;
    return least;
}

/* Until the period is over, or the watches have changed. */
static void rest(struct pf__watcher *watcher, int64_t period_ns)
{
#ifdef __APPLE__
    struct timespec limit = {.tv_sec = (time_t)(period_ns / PF_SECOND),
                             .tv_nsec = (long)(period_ns % PF_SECOND)};
    (void)pthread_cond_timedwait_relative_np(&watcher->changed, &watcher->lock, &limit);
#else
    int64_t until = monotonic_ns() + period_ns;
    struct timespec limit = {.tv_sec = (time_t)(until / PF_SECOND),
                             .tv_nsec = (long)(until % PF_SECOND)};
    (void)pthread_cond_timedwait(&watcher->changed, &watcher->lock, &limit);
#endif
}

static void *watch_all(void *arg)
{
    struct pf__watcher *watcher = arg;
    pthread_mutex_lock(&watcher->lock);
    while (watcher->watches) {
        int64_t period = period_of(watcher), began = monotonic_ns();
        rest(watcher, period);
        int64_t passed = monotonic_ns() - began;
        if (passed > 2 * period) /* we, too, stood still */
            passed = period;
        for (struct pf__watch *watch = watcher->watches; watch; watch = watch->next)
            look(watch, passed);
    }
    pthread_mutex_unlock(&watcher->lock);
    return NULL;
}

static void init(struct pf__watcher *watcher)
{
    *watcher = (struct pf__watcher){0};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifndef __APPLE__
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&watcher->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_mutex_init(&watcher->control, NULL);
}

static struct pf__watcher *the_watcher(void)
{
    static struct pf__watcher watcher;
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    if (!process->watcher) {
        init(&watcher);
        process->watcher = &watcher;
    }
    pf__process_unlock(process);
    return process->watcher;
}

static int add(struct pf__watcher *watcher, struct pf__watch *watch)
{
    pthread_mutex_lock(&watcher->lock);
    bool first = !watcher->watches;
    watch->next = watcher->watches;
    watcher->watches = watch;
    pthread_cond_signal(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
    int err = first ? pf__thread_start(&watcher->thread, watch_all, watcher) : 0;
    if (err) /* nobody else looks at it */
        watcher->watches = NULL;
    return err;
}

static void take_out(struct pf__watcher *watcher, const struct pf__watch *watch)
{
    pthread_mutex_lock(&watcher->lock);
    struct pf__watch **at = &watcher->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    bool last = !watcher->watches;
    pthread_cond_signal(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
    if (last)
        pthread_join(watcher->thread, NULL);
}

int pf__watch_set(pf_loop *loop, int64_t threshold_ns, int signo)
{
    struct pf__watcher *watcher = the_watcher();
    struct pf__watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    *watch = (struct pf__watch){.loop = loop, .threshold_ns = threshold_ns, .signo = signo};
    pthread_mutex_lock(&watcher->control);
    int err = add(watcher, watch);
    pthread_mutex_unlock(&watcher->control);
    if (err) {
        free(watch);
        return err;
    }
    pf__watch_end(loop); /* the one before */
    loop->watch = watch;
    return 0;
}

void pf__watch_end(pf_loop *loop)
{
    struct pf__watch *watch = loop->watch;
    loop->watch = NULL;
    if (!watch)
        return;
    if (pf__process_is(loop->cookie)) {
        struct pf__watcher *watcher = the_watcher();
        pthread_mutex_lock(&watcher->control);
        take_out(watcher, watch);
        pthread_mutex_unlock(&watcher->control);
    }
    free(watch);
}

void pf__watch_rest(pf_loop *loop)
{
    if (!loop->watch)
        return;
    struct pf__watcher *watcher = the_watcher();
    pthread_mutex_lock(&watcher->lock);
    pthread_mutex_unlock(&watcher->lock);
}
