/* ghosts.c - events of descriptors that nobody can remove any more. */
#include "loop/internal.h"

#define REST_NS PF_SECOND

/*
 * A descriptor that was closed without being removed, while another process still holds the
 * same open file, keeps sending events that nobody can deregister any more (epoll(7),
 * questions and answers, 6). A fresh poller does not know it.
 */
static int change_poller(pf_loop *loop)
{
    void *fresh;
    int err = loop->poller->open(loop->options.poller_arg, &fresh);
    if (err)
        return err;
    err = loop->poller->add(fresh, loop->waker.read_fd, PF_READ, PF__WAKER_TAG);
    for (size_t fd = 0; !err && fd < loop->handlers.capacity; fd++) {
        const struct pf__handler *handler = pf__handlers_find(&loop->handlers, (int)fd);
        if (handler && handler->events)
            err = loop->poller->add(fresh, (int)fd, handler->events,
                                    pf__handler_tag((int)fd, handler));
        if (err == -EBADF || err == -ENOTSUP)
            err = 0; /* closed without being removed: gone, or something else by now */
    }
    if (!err)
        err = loop->poller->replace(loop->poll_state, fresh);
    if (err)
        loop->poller->close(fresh);
    return err;
}

/* It asks for a system call for each handler: if it fails, not again in every turn. */
void pf__loop_exorcise(pf_loop *loop)
{
    int64_t now = pf__loop_now(loop);
    if (now < loop->ghosts_again)
        return;
    loop->ghosts = false;
    bool failed = loop->poller->replace && change_poller(loop) != 0;
    if (failed && __builtin_add_overflow(now, REST_NS, &loop->ghosts_again))
        loop->ghosts_again = PF_NEVER;
}
