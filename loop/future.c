/*
 * future.c - a result that comes later, and who waits for it.
 *
 * A wait promises itself a place in the loop's queue when it begins and takes it when the
 * future is done, so that setting a future cannot fail. It stays in its future's list until
 * it has been called: pf_loop_remove_future() finds it there, even if its place in the
 * queue is taken by then; that place then does nothing.
 *
 * Invariant: once a future is done each wait in its list is queued and holds a reference;
 * before that none is, and none does. So a future that nobody will set any more goes, and
 * tells those who wait for it.
 */
#include "loop/future.h"
#include "loop/internal.h"

#include <errno.h>
#include <stdlib.h>

struct waiter {
    pf_loop *loop;
    pf_future *future; /* NULL: removed, while queued */
    pf_future_fn *fn;
    void *arg;
    pf_destroy_fn *destroy;
    const char *where;
    void *context;
    bool called;
    struct waiter *next;
};

struct pf_future {
    struct pf__member member;
    unsigned references; /* the program's, and one for each wait that is queued */
    bool done;
    bool asked;      /* somebody knows of the error */
    bool cancelling; /* on_cancel runs */
    int error;
    void *value;
    pf_destroy_fn *destroy;
    pf_cancel_fn *on_cancel;
    void *cancel_arg;
    struct waiter *waits, **end; /* in the order in which they came */
    const char *where;
};

static int check(const pf_future *future)
{
    return future ? pf__member_check(&future->member) : -EINVAL;
}

/* ---- waits ----------------------------------------------------------------------- */

static void release(pf_future *future);

static void unlink_wait(struct waiter *wait)
{
    pf_future *future = wait->future;
    struct waiter **at = &future->waits;
    while (*at != wait) /* mostly the first: they are called in the list's order */
        at = &(*at)->next;
    *at = wait->next;
    if (!wait->next)
        future->end = at;
}

static void end_wait(struct waiter *wait)
{
    pf__loop_end(wait->loop, wait->destroy, wait->arg, wait->context);
    free(wait);
}

int pf__future_call(pf_loop *loop, void *arg)
{
    struct waiter *wait = arg;
    if (!wait->future)
        return 0; /* removed */
    atomic_store_explicit(&loop->pulse.kind, "future", memory_order_relaxed);
    wait->called = true;
    void *entered = pf__context_enter(&loop->hooks, wait->context);
    int result = wait->fn(loop, wait->future, wait->arg);
    if (result < 0 && !pf__loop_is_inherited(loop))
        pf__loop_report(
            loop, &(struct pf_loop_error){
                      .error = result, .fd = -1, .kind = "future", .where = wait->where});
    pf__context_leave(&loop->hooks, wait->context, entered);
    return 0;
}

/* Its place in the queue is gone: it was called, or never will be. */
static void leave_queue(void *arg)
{
    struct waiter *wait = arg;
    pf_future *future = wait->future;
    if (!future) {
        free(wait);
        return;
    }
    unlink_wait(wait);
    end_wait(wait);
    release(future);
}

static void enter_queue(struct waiter *wait)
{
    struct pf__callback callback = {
        .fn = pf__future_call, .arg = wait, .destroy = leave_queue, .where = wait->where};
    wait->future->references++;
    if (pf__loop_keep_promise(wait->loop, &callback) != 0)
        leave_queue(wait);
}

/* Nobody will ever call those who wait: the loop is gone, or another process's. */
static void end_waits(pf_future *future)
{
    while (!future->done && future->waits) {
        struct waiter *wait = future->waits;
        unlink_wait(wait);
        end_wait(wait);
    }
}

/* ---- life ------------------------------------------------------------------------ */

static void on_gone(struct pf__member *member)
{
    pf_future *future = (pf_future *)member; /* its first field */
    future->references++; /* a destroy function may drop the last one of the program's */
    end_waits(future);
    release(future);
}

static int show(struct pf__member *member, pf_walk_fn *fn, void *arg)
{
    const pf_future *future = (const pf_future *)member;
    int result = 0;
    for (const struct waiter *wait = future->waits; !result && wait; wait = wait->next)
        if (!wait->called)
            result = fn(&(struct pf_loop_item){.size = sizeof(struct pf_loop_item),
                                               .kind = PF_LOOP_FUTURE,
                                               .where = wait->where,
                                               .arg = wait->arg,
                                               .fd = -1},
                        arg);
    return result;
}

int pf_future_new_at(pf_loop *loop, const char *where, pf_future **out)
{
    int err = out ? pf__loop_check(loop) : -EINVAL;
    if (err)
        return err;
    pf_future *future = calloc(1, sizeof *future);
    if (!future)
        return -ENOMEM;
    future->references = 1;
    future->end = &future->waits;
    future->where = where;
    pf__member_join(&future->member, loop, on_gone);
    future->member.each = show;
    *out = future;
    return 0;
}

int(pf_future_new)(pf_loop *loop, pf_future **out)
{
    return pf_future_new_at(loop, NULL, out);
}

static void complete(pf_future *future, int error)
{
    future->done = true;
    future->error = error;
    future->on_cancel = NULL;
    for (struct waiter *wait = future->waits, *next; wait; wait = next) {
        next = wait->next;
        enter_queue(wait);
    }
}

/* The hook may close the loop, and drop it: both have to outlast that. */
static void report_unasked(pf_future *future)
{
    pf_loop *loop = future->member.loop;
    struct pf_loop_error error = {
        .error = future->error, .fd = -1, .kind = "future", .where = future->where};
    pf__loop_hold(loop);
    future->references++;
    pf__loop_report(loop, &error);
    future->references--;
    if (pf__process_is(future->member.cookie)) /* else the hook may have discarded it */
        pf__loop_release(loop);
}

static void bury(pf_future *future)
{
    pf__member_part(&future->member);
    end_waits(future);
    if (future->destroy)
        future->destroy(future->value);
    free(future);
}

static void release(pf_future *future)
{
    if (--future->references > 0)
        return;
    bool usable = pf__member_check(&future->member) == 0;
    if (usable && !future->done && future->waits) {
        complete(future, -ECANCELED); /* those who wait hold it now */
        return;
    }
    if (usable && future->error && !future->asked)
        report_unasked(future);
    bury(future);
}

pf_future *pf_future_ref(pf_future *future)
{
    if (future && check(future) != -EPERM)
        future->references++;
    return future;
}

void pf_future_unref(pf_future *future)
{
    if (future && check(future) != -EPERM)
        release(future);
}

/* ---- for whoever will have the result -------------------------------------------- */

static int check_pending(const pf_future *future)
{
    int err = check(future);
    return !err && future->done ? -EALREADY : err;
}

int pf_future_set_value(pf_future *future, void *value, pf_destroy_fn *destroy)
{
    int err = check_pending(future);
    if (err)
        return err;
    future->value = value;
    future->destroy = destroy;
    complete(future, 0);
    return 0;
}

int pf_future_set_error(pf_future *future, int error)
{
    int err = error < 0 ? check_pending(future) : -EINVAL;
    if (!err)
        complete(future, error);
    return err;
}

int pf_future_on_cancel(pf_future *future, pf_cancel_fn *fn, void *arg)
{
    int err = check_pending(future);
    if (err)
        return err;
    future->on_cancel = fn;
    future->cancel_arg = arg;
    return 0;
}

/* ---- for whoever wants it -------------------------------------------------------- */

bool pf_future_is_done(const pf_future *future)
{
    return check(future) == 0 && future->done;
}

int pf_future_result(pf_future *future, int *error, void **value)
{
    int err = check(future);
    if (!err && !future->done)
        err = -EINPROGRESS;
    if (err)
        return err;
    if (error) {
        future->asked = true;
        *error = future->error;
    }
    if (value)
        *value = future->value;
    return 0;
}

static int ask_to_cancel(pf_future *future)
{
    if (!future->on_cancel)
        return 0;
    future->cancelling = true;
    int err = future->on_cancel(future, future->cancel_arg);
    future->cancelling = false;
    return err < 0 ? err : 0;
}

int pf_future_cancel(pf_future *future)
{
    int err = check_pending(future);
    if (!err && future->cancelling)
        err = -EBUSY;
    if (err)
        return err;
    future->references++; /* whoever does the work may drop the last one of the program's */
    err = ask_to_cancel(future);
    if (!err)
        err = pf_future_set_error(future, -ECANCELED);
    if (!err)
        future->asked = true;
    release(future);
    return err;
}

int pf__future_check(const pf_future *future, const pf_loop *loop)
{
    if (!future)
        return -EINVAL;
    if (!pf__process_is(future->member.cookie))
        return -ECHILD;
    if (!future->member.loop)
        return -ESTALE;
    return future->member.loop == loop ? 0 : -EXDEV;
}

int pf_loop_add_future_full(pf_loop *loop, pf_future *future, pf_future_fn *fn, void *arg,
                            pf_destroy_fn *destroy, const char *where)
{
    int err = fn ? pf__loop_check(loop) : -EINVAL;
    if (!err)
        err = pf__future_check(future, loop);
    if (err)
        return err;
    struct waiter *wait = malloc(sizeof *wait);
    err = wait ? pf__loop_promise(loop) : -ENOMEM;
    if (err) {
        free(wait);
        return err;
    }
    *wait = (struct waiter){.loop = loop,
                            .future = future,
                            .fn = fn,
                            .arg = arg,
                            .destroy = destroy,
                            .where = where,
                            .context = pf__context_capture(&loop->hooks)};
    *future->end = wait;
    future->end = &wait->next;
    if (future->done)
        enter_queue(wait);
    return 0;
}

int(pf_loop_add_future)(pf_loop *loop, pf_future *future, pf_future_fn *fn, void *arg)
{
    return pf_loop_add_future_full(loop, future, fn, arg, NULL, NULL);
}

static struct waiter *find_wait(const pf_future *future, pf_future_fn *fn, const void *arg)
{
    struct waiter *wait = future->waits;
    while (wait && (wait->called || wait->fn != fn || wait->arg != arg))
        wait = wait->next;
    return wait;
}

int pf_loop_remove_future(pf_loop *loop, pf_future *future, pf_future_fn *fn, void *arg)
{
    int err = fn ? pf__loop_check(loop) : -EINVAL;
    if (!err)
        err = pf__future_check(future, loop);
    if (err)
        return err;
    struct waiter *wait = find_wait(future, fn, arg);
    if (!wait)
        return -ENOENT;
    unlink_wait(wait);
    if (future->done) {
        wait->future = NULL;
        pf__loop_end(loop, wait->destroy, wait->arg, wait->context);
        release(future);
    } else {
        pf__loop_unpromise(loop);
        end_wait(wait);
    }
    return 0;
}
