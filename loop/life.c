/*
 * life.c - a loop is made, counted by reference, closed; and discarded in a child.
 *
 * Close gives up the kernel's side: from then on every call answers -ESTALE. The memory
 * stays for as long as somebody holds it: the references together, and each thread whose
 * current loop it is.
 */
#include "loop/internal.h"
#include "loop/pollers.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of loops that are made without any; see pf_loop_configure(). */
static struct pf_loop_options configured = PF_LOOP_OPTIONS_INIT;

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
}

static bool are_options_valid(const struct pf_loop_options *options)
{
    return options->make_current <= PF_CURRENT_NEVER &&
           options->error_policy <= PF_ERROR_STOP &&
           (!options->poller || options->poller->size >= sizeof *options->poller);
}

int pf_loop_configure(const struct pf_loop_options *options)
{
    if (options && options->size < sizeof options->size)
        return -EINVAL;
    struct pf_loop_options copy;
    copy_options(&copy, options);
    if (!are_options_valid(&copy))
        return -EINVAL;
    configured = copy;
    return 0;
}

const struct pf_poller_ops *pf__loop_default_poller(void **arg)
{
    *arg = configured.poller ? configured.poller_arg : NULL;
    return configured.poller ? configured.poller : pf__pollers[0];
}

/* What a new loop is made with, complete. Returns 0 or -EINVAL. */
static int choose_options(struct pf_loop_options *to, const struct pf_loop_options *from)
{
    if (from && from->size < sizeof from->size)
        return -EINVAL;
    copy_options(to, from ? from : &configured);
    if (!to->poller) {
        to->poller = configured.poller;
        to->poller_arg = configured.poller_arg;
    }
    if (!to->callbacks_max)
        to->callbacks_max = PF_LOOP_CALLBACKS_MAX;
    return are_options_valid(to) ? 0 : -EINVAL;
}

static int open_poller(pf_loop *loop)
{
    const struct pf_poller_ops *asked = loop->options.poller;
    if (asked) {
        loop->poller = asked;
        return asked->open(loop->options.poller_arg, &loop->poll_state);
    }
    int err = -ENOSYS;
    for (size_t i = 0; err == -ENOSYS && pf__pollers[i]; i++) {
        loop->poller = pf__pollers[i];
        err = loop->poller->open(loop->options.poller_arg, &loop->poll_state);
    }
    return err;
}

int pf__loop_open_waker(pf_loop *loop)
{
    if (loop->waker.read_fd != -1)
        return 0;
    int err = pf__waker_open(&loop->waker);
    if (err)
        return err;
    err = loop->poller->add(loop->poll_state, loop->waker.read_fd, PF_READ, PF__WAKER_TAG);
    if (err) {
        pf__waker_close(&loop->waker);
        return err;
    }
    /* Whoever adds something from now on wakes it, unless it runs. */
    if (!atomic_load(&loop->running) && !pf__loop_fall_asleep(loop))
        pf__waker_wake(&loop->waker);
    return 0;
}

/* Zeros, but for the ring's cells, which need none; on cache lines of its own. */
static pf_loop *allocate(void)
{
    void *memory;
    if (posix_memalign(&memory, _Alignof(pf_loop), sizeof(pf_loop)) != 0)
        return NULL;
    return memset(memory, 0, offsetof(pf_loop, ring.cells));
}

int pf_loop_new_at(const struct pf_loop_options *options, const char *where, pf_loop **out)
{
    struct pf_loop_options chosen;
    int err = out ? choose_options(&chosen, options) : -EINVAL;
    if (err)
        return err;
    pf_loop *current = pf_loop_current(false);
    if (chosen.make_current == PF_CURRENT_ALWAYS && current)
        return -EEXIST;
    uint64_t cookie = pf__process_cookie();
    pf_loop *loop = cookie ? allocate() : NULL;
    if (!loop)
        return -ENOMEM;

    loop->options = chosen;
    loop->cookie = cookie;
    loop->pid = __atomic_load_n(&pf__process()->pid, __ATOMIC_RELAXED);
    atomic_init(&loop->owner, pf__thread_mark());
    atomic_init(&loop->references, 1);
    atomic_init(&loop->holds, 1);
    loop->where = where;
    loop->running_tag = PF__WAKER_TAG;
    loop->ghosts_again = INT64_MIN;
    loop->stats.size = sizeof loop->stats;
    pf__waker_init(&loop->waker);
    pf__timers_init(&loop->timers);
    pf__callbacks_init(&loop->callbacks, loop->options.callbacks_max);
    err = open_poller(loop);
    if (err) {
        free(loop);
        return err;
    }
    list_open(loop);
    if (chosen.make_current != PF_CURRENT_NEVER && !current)
        pf__current_set(loop);
    *out = loop;
    return 0;
}

int(pf_loop_new)(const struct pf_loop_options *options, pf_loop **out)
{
    return pf_loop_new_at(options, NULL, out);
}

static void drop_callback(const struct pf__callback *callback, void *loop)
{
    pf__loop_end(loop, callback->destroy, callback->arg, callback->context);
}

static void drop_handlers(pf_loop *loop)
{
    for (size_t fd = 0; fd < loop->handlers.capacity; fd++) {
        const struct pf__handler *handler = pf__handlers_find(&loop->handlers, (int)fd);
        if (!handler)
            continue;
        struct pf__handler_more more = pf__handlers_more(&loop->handlers, (int)fd);
        if (loop->running_tag == pf__handler_tag((int)fd, handler))
            pf__loop_end_late(loop, more.destroy, handler->arg, more.context);
        else
            pf__loop_end(loop, more.destroy, handler->arg, more.context);
    }
    pf__handlers_fini(&loop->handlers);
}

static void drop_timers(pf_loop *loop)
{
    struct pf__timer_call call;
    struct pf__timer_more more;
    pf_timer timer;
    int64_t deadline;
    for (uint32_t at = 0;
         pf__timers_each(&loop->timers, &at, &timer, &deadline, &call, &more);)
        pf__loop_end(loop, call.destroy, call.arg, more.context);
    pf__timers_fini(&loop->timers);
}

/* What a close and a discard have in common: what is left besides the kernel's side. */
static void drop_registrations(pf_loop *loop)
{
    pf__members_gone(&loop->members);
    drop_handlers(loop);
    drop_timers(loop);
}

static void close_descriptors(pf_loop *loop)
{
    for (size_t fd = 0; fd < loop->handlers.capacity; fd++)
        if (pf__handlers_find(&loop->handlers, (int)fd))
            pf__loop_close_descriptor(loop, (int)fd);
}

int pf_loop_close(pf_loop *loop, bool all_fds)
{
    int err = pf__loop_begin(loop, "close");
    if (err)
        return err;
    atomic_store(&loop->closed, true);
    pf__watch_end(loop);
    pf__signal_close(loop);
    /* No other thread wakes it from here on. */
    pf__callbacks_close(&loop->callbacks, drop_callback, loop);
    while (atomic_load(&loop->wakers) != 0)
        sched_yield(); /* but for one that is at it */
    unlist_open(loop);
    pf__current_forget(loop);

    if (all_fds)
        close_descriptors(loop);
    loop->poller->close(loop->poll_state);
    pf__waker_close(&loop->waker);
    drop_registrations(loop);
    pf__loop_beat(loop, false);
    loop->beat = NULL;
    bool implicit = atomic_exchange(&loop->implicit, false);
    atomic_store(&loop->running, false);
    pf__instance_forget(loop); /* may drop the last reference, as this may: */
    if (implicit)
        pf_loop_unref(loop);
    return 0;
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
        loop->poller->close(loop->poll_state);
        pf__waker_close(&loop->waker);
        pf__watch_end(loop);
        pf__signal_discard(loop);
        pf__callbacks_discard(&loop->callbacks, drop_callback, loop);
        drop_registrations(loop);
    }
    /* In a callback of it: see leave(). A thread that ran it elsewhere is not in the child.
     */
    loop->discarded =
        atomic_load(&loop->running) && atomic_load(&loop->owner) == pf__thread_mark();
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
