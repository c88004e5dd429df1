/*
 * poller.h - how a loop asks the kernel, as a table of functions.
 *
 * The loop brings three: epoll, else kqueue, else select, whichever the system has. A test
 * brings another (pf_loop_options.poller) and so decides what is ready and how long a sleep
 * lasts. All functions are called by the loop's owner only, except close(), which a child
 * that discards a loop calls too.
 */
#ifndef PREFORK_POLLER_H
#define PREFORK_POLLER_H

#include <prefork/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One ready descriptor: the tag given at add or modify, and PF_READ | PF_WRITE | PF_ERROR.
 */
struct pf_poll_event {
    uint64_t tag;
    unsigned events;
};

/* Begin the initialiser with PF_POLLER_OPS. A table of another size than the library's is
 * an older one if smaller, and refused by pf_loop_new() with -EINVAL. */
struct pf_poller_ops {
    size_t size;
    const char *name;

    /*
     * Make a poller into *state. `arg` is pf_loop_options.poller_arg. Returns 0 or a
     * negative errno; -ENOSYS alone means "this kernel has none", anything else fails the
     * creation of the loop.
     */
    int (*open)(void *arg, void **state);

    /*
     * Give everything back: memory, and descriptors by close(2) alone. Never unregisters:
     * in a forked child the kernel object is still the parent's.
     */
    void (*close)(void *state);

    /*
     * Watch fd, level-triggered, for `events` and always for PF_ERROR. PF_EXCLUSIVE, which
     * comes to add() alone, may be ignored. Returns 0, -EEXIST, -ENOENT (modify: not
     * watched), -ENOTSUP (not pollable), -EBADF, -ENOSPC or -ENOMEM.
     */
    int (*add)(void *state, int fd, unsigned events, uint64_t tag);
    int (*modify)(void *state, int fd, unsigned events, uint64_t tag);

    /* Stop watching fd. A descriptor that is closed already is no error: returns 0. */
    int (*remove)(void *state, int fd);

    /*
     * Sleep until something is ready or timeout_ns have passed (0: do not sleep, negative:
     * no limit), never shorter. Returns how many of `events` were filled, at most `max`; 0
     * also after a signal; or a negative errno.
     */
    int (*wait)(void *state, struct pf_poll_event *events, int max, int64_t timeout_ns);

    /* A descriptor that polls readable when wait() would return, or -ENOTSUP. */
    int (*fd)(void *state);

    /*
     * Become what `fresh` is, a state of the same kind, and consume it: from now on `state`
     * watches what `fresh` watched and nothing else. Its descriptor keeps its number, since
     * a host may be polling it. Returns 0, or a negative errno with both as they were.
     * NULL: a poller that never reports a descriptor which was closed.
     */
    int (*replace)(void *state, void *fresh);

    /* close(2) is as good as remove(), once the loop has forgotten the tag. */
    bool close_removes;

    /* Make room, so that add() of descriptors below `fds` needs no memory. Returns 0 or
     * -ENOMEM. NULL: it never does. */
    int (*reserve)(void *state, size_t fds);
};

#define PF_POLLER_OPS .size = sizeof(struct pf_poller_ops)

/* Linux epoll(7). Sleeps with nanosecond timeouts where epoll_pwait2(2) exists (5.11). Only
 * on Linux. */
PF_API extern const struct pf_poller_ops pf_poller_epoll;

/* kqueue(2). Only on the BSDs and macOS. */
PF_API extern const struct pf_poller_ops pf_poller_kqueue;

/* select(2), everywhere. Descriptors from FD_SETSIZE on answer -ENOSPC; a wait costs time
 * in proportion to the highest one. */
PF_API extern const struct pf_poller_ops pf_poller_select;

/* The poller of that name, or NULL if this system has none. With NULL: the best one. */
PF_API const struct pf_poller_ops *pf_poller_find(const char *name);

#ifdef __cplusplus
}
#endif
#endif
