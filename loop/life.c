/*
 * life.c - a loop is made, counted by reference, closed; and discarded in a child.
 *
 * Close gives up the kernel's side: from then on every call answers -ESTALE. The memory
 * stays for as long as somebody holds it: the references together, and each thread whose
 * current loop it is.
 */
#include "loop/internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct pf_poller_ops *default_poller(void)
{
    return &pf_poller_epoll;
}

static void list_open(pf_loop *loop)
{
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    loop->next_open = process->loops;
    process->loops = loop;
    pf__process_unlock(process);
}

static void unlist_open(pf_loop *loop)
{
    struct pf__process *process = pf__process();
    pf__process_lock(process);
    pf_loop **at = &process->loops;
    while (*at && *at != loop)
        at = &(*at)->next_open;
    if (*at)
        *at = loop->next_open;
    pf__process_unlock(process);
}

const char *pf_loop_owned(void)
{
    struct pf__process *process = pf__process();
    if (!process)
        return NULL;
    const char *where = NULL;
    pf__process_lock(process);
    for (pf_loop *loop = process->loops; loop && !where; loop = loop->next_open)
        if (!loop->options.internal)
            where = loop->where ? loop->where : "?";
    pf__process_unlock(process);
    return where;
}

/* A caller compiled against an older library knows fewer options: the rest are 0. */
static void copy_options(struct pf_loop_options *to, const struct pf_loop_options *from)
{
    *to = (struct pf_loop_options)PF_LOOP_OPTIONS_INIT;
    if (from)
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    to->size = sizeof *to;
    if (!to->callbacks_max)
        to->callbacks_max = PF_LOOP_CALLBACKS_MAX;
}

static bool are_options_valid(const struct pf_loop_options *options)
{
    return options->make_current <= PF_CURRENT_NEVER &&
           options->error_policy <= PF_ERROR_STOP &&
           (!options->poller || options->poller->size >= sizeof *options->poller);
}

static int open_kernel_side(pf_loop *loop)
{
    int err = pf__waker_open(&loop->waker);
    if (err)
        return err;
    err = loop->poller->open(loop->options.poller_arg, &loop->poll_state);
    if (err)
        goto close_waker;
    err = loop->poller->add(loop->poll_state, loop->waker.read_fd, PF_READ, PF__WAKER_TAG);
    if (err)
        goto close_poller;
    return 0;

close_poller:
    loop->poller->close(loop->poll_state);
close_waker:
    pf__waker_close(&loop->waker);
    return err;
}

int pf_loop_new_at(const struct pf_loop_options *options, const char *where, pf_loop **out)
{
    if (!out || (options && options->size < sizeof options->size))
        return -EINVAL;
    uint64_t cookie = pf__process_cookie();
    pf_loop *loop = cookie ? calloc(1, sizeof *loop) : NULL;
    if (!loop)
        return -ENOMEM;
    copy_options(&loop->options, options);
    int err = are_options_valid(&loop->options) ? 0 : -EINVAL;
    if (err)
        goto free_loop;
    enum pf_make_current make_current = loop->options.make_current;
    pf_loop *current = pf_loop_current(false);
    err = make_current == PF_CURRENT_ALWAYS && current ? -EEXIST : 0;
    if (err)
        goto free_loop;

    loop->cookie = cookie;
    loop->pid = getpid();
    atomic_init(&loop->owner, pf__thread_mark());
    atomic_init(&loop->references, 1);
    atomic_init(&loop->holds, 1);
    loop->where = where;
    loop->poller = loop->options.poller ? loop->options.poller : default_poller();
    loop->running_tag = PF__WAKER_TAG;
    loop->stats.size = sizeof loop->stats;
    pf__timers_init(&loop->timers);
    pf__callbacks_init(&loop->callbacks, loop->options.callbacks_max);
    pf__signal_ring_init(&loop->signals);
    err = open_kernel_side(loop);
    if (err)
        goto free_loop;

    list_open(loop);
    if (make_current != PF_CURRENT_NEVER && !current)
        pf__current_set(loop);
    *out = loop;
    return 0;

free_loop:
    free(loop);
    return err;
}

int(pf_loop_new)(const struct pf_loop_options *options, pf_loop **out)
{
    return pf_loop_new_at(options, NULL, out);
}

/* What a close and a discard have in common: what is left besides the descriptors. */
static void drop_registrations(pf_loop *loop)
{
    pf__handlers_fini(&loop->handlers);
    pf__timers_fini(&loop->timers);
}

int pf_loop_close(pf_loop *loop, bool all_fds)
{
    int err = pf__loop_begin(loop, "close");
    if (err)
        return err;
    atomic_store(&loop->closed, true);
    pf__callbacks_close(&loop->callbacks); /* no other thread wakes it from here on */
    while (atomic_load(&loop->signal_users) != 0)
        sched_yield(); /* a signal handler in another thread is about to */
    unlist_open(loop);
    pf__current_forget(loop);

    for (size_t fd = 0; all_fds && fd < loop->handlers.capacity; fd++)
        if (pf__handlers_find(&loop->handlers, (int)fd))
            (void)close((int)fd); /* whatever it says, it is gone: close(2) */
    loop->poller->close(loop->poll_state);
    pf__waker_close(&loop->waker);
    drop_registrations(loop);
    pf__loop_beat(loop, false);
    loop->beat = NULL;
    bool implicit = loop->implicit;
    loop->implicit = false;
    atomic_store(&loop->running, false);
    pf__instance_forget(loop); /* may drop the last reference, as this may: */
    if (implicit)
        pf_loop_unref(loop);
    return 0;
}

/* The handler that runs now, if one does, keeps its arg until it returns. */
static void keep_running_arg(pf_loop *loop)
{
    struct pf__handler *handler = pf__handlers_by_tag(&loop->handlers, loop->running_tag);
    if (!handler || !handler->destroy)
        return;
    loop->late_destroy = handler->destroy;
    loop->late_arg = handler->arg;
    handler->destroy = NULL;
}

int pf_loop_discard(pf_loop *loop)
{
    if (!loop)
        return -EINVAL;
    if (pf__process_is(loop->cookie))
        return -EBUSY;
    pf__current_forget(loop);
    if (!atomic_load(&loop->closed)) {
        atomic_store(&loop->closed, true);
        keep_running_arg(loop);
        loop->poller->close(loop->poll_state);
        pf__waker_close(&loop->waker);
        pf__callbacks_discard(&loop->callbacks);
        drop_registrations(loop);
    }
    loop->discarded = atomic_load(&loop->running); /* in a callback of it: see leave() */
    if (!loop->discarded)
        free(loop);
    return 0;
}

pf_loop *pf_loop_ref(pf_loop *loop)
{
    if (loop && pf__process_is(loop->cookie))
        atomic_fetch_add(&loop->references, 1);
    return loop;
}

void pf_loop_unref(pf_loop *loop)
{
    if (!loop || !pf__process_is(loop->cookie))
        return;
    if (atomic_fetch_sub(&loop->references, 1) != 1)
        return;
    if (!atomic_load(&loop->closed))
        (void)pf_loop_close(loop, false); /* not running: start holds a reference */
    pf__loop_release(loop);
}

void pf__loop_hold(pf_loop *loop)
{
    if (loop && pf__process_is(loop->cookie))
        atomic_fetch_add(&loop->holds, 1);
}

void pf__loop_release(pf_loop *loop)
{
    if (!loop || !pf__process_is(loop->cookie) || atomic_fetch_sub(&loop->holds, 1) != 1)
        return;
    pf__callbacks_fini(&loop->callbacks);
    free(loop);
}
