/*
 * select.c - the poller of every system. Source: select(2), poll(2) in POSIX.1-2017.
 *
 * select says that a descriptor is readable or writable, and calls one with an error or a
 * hang-up readable; which it was, one poll(2) over the ready ones tells. A descriptor that
 * is watched for PF_WRITE alone and hangs up is therefore seen when it becomes writable,
 * and not before. macOS's poll(2) takes a socket whose peer has shut one direction for hung
 * up: there PF_ERROR may come with its PF_READ.
 *
 * It knows descriptors by number only. One that was closed without being removed is
 * forgotten when it is noticed; if the number was used again before that, the new file is
 * taken for the old one.
 */
#include "loop/pollers.h"

#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/stat.h>

_Static_assert(PF_READ == POLLIN && PF_WRITE == POLLOUT, "events are poll's");
_Static_assert(PF_ERROR == (POLLERR | POLLHUP), "events are poll's");

/* What one call reports at the most; more wait for the next. */
enum {
    BATCH = 512
};

/* The longest sleep that every system takes (macOS: a hundred million seconds). */
#define SLEEP_MAX_NS (100000000 * PF_SECOND)

struct state {
    fd_set read, write; /* those watched for it */
    int end;            /* above the highest one */
    int first;          /* where the next look at what is ready begins */
    uint64_t tags[FD_SETSIZE];
};

static int select_open(void *arg, void **state)
{
    (void)arg;
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    FD_ZERO(&s->read);
    FD_ZERO(&s->write);
    *state = s;
    return 0;
}

static unsigned events_in(int fd, const fd_set *read, const fd_set *write)
{
    return (FD_ISSET(fd, read) ? PF_READ : 0) | (FD_ISSET(fd, write) ? PF_WRITE : 0);
}

static void forget(struct state *s, int fd)
{
    FD_CLR(fd, &s->read);
    FD_CLR(fd, &s->write);
    while (s->end > 0 && !events_in(s->end - 1, &s->read, &s->write))
        s->end--;
}

/* Like epoll's, add and modify ask for what is right now, whatever was before. */
static int select_watch(void *state, int fd, unsigned events, uint64_t tag)
{
    struct state *s = state;
    mode_t type;
    int err = fd < 0 ? -EBADF : pf__poller_check(fd, &type);
    if (!err && fd >= FD_SETSIZE)
        err = -ENOSPC;
    if (err)
        return err;
    FD_CLR(fd, &s->read);
    FD_CLR(fd, &s->write);
    if (events & PF_READ)
        FD_SET(fd, &s->read);
    if (events & PF_WRITE)
        FD_SET(fd, &s->write);
    s->tags[fd] = tag;
    if (s->end <= fd)
        s->end = fd + 1;
    return 0;
}

static int select_remove(void *state, int fd)
{
    if (fd >= 0 && fd < FD_SETSIZE)
        forget(state, fd);
    return 0;
}

static bool is_closed(int fd)
{
    return fcntl(fd, F_GETFD) == -1;
}

/* select fails for all if one was closed. Returns whether there was one. */
static bool forget_closed(struct state *s)
{
    bool found = false;
    for (int fd = s->end - 1; fd >= 0; fd--) {
        if (events_in(fd, &s->read, &s->write) && is_closed(fd)) {
            forget(s, fd);
            found = true;
        }
    }
    return found;
}

/* Returns how many bits are set in the two sets, or a negative errno. */
static int sleep_until_ready(const struct state *s, int64_t timeout_ns, fd_set *read,
                             fd_set *write)
{
    struct timespec limit = {0};
    if (timeout_ns > SLEEP_MAX_NS)
        timeout_ns = SLEEP_MAX_NS;
    if (timeout_ns > 0) {
        /* Some kernels count in microseconds and cut off the rest. */
        int64_t up = (timeout_ns + PF_MICROSECOND - 1) / PF_MICROSECOND;
        limit.tv_sec = (time_t)(up / (PF_SECOND / PF_MICROSECOND));
        limit.tv_nsec = (long)(up % (PF_SECOND / PF_MICROSECOND) * PF_MICROSECOND);
    }
    *read = s->read;
    *write = s->write;
    int n = pselect(s->end, read, write, NULL, timeout_ns < 0 ? NULL : &limit, NULL);
    return n == -1 ? -errno : n;
}

/* The ready ones as questions for poll(2), at most max, beginning where the last call left
 * off: otherwise those with high numbers might never get their turn. */
static int collect(struct state *s, const fd_set *read, const fd_set *write,
                   struct pollfd *ready, int max)
{
    int n = 0;
    for (int i = 0; i < s->end && n < max; i++) {
        int fd = (s->first + i) % s->end;
        if (events_in(fd, read, write))
            ready[n++] = (struct pollfd){
                .fd = fd, .events = (short)events_in(fd, &s->read, &s->write)};
    }
    s->first = n == max ? ready[n - 1].fd + 1 : 0;
    return n;
}

static int select_wait(void *state, struct pf_poll_event *out, int max, int64_t timeout_ns)
{
    struct state *s = state;
    struct pollfd ready[BATCH];
    fd_set read, write;
    int n;
    do
        n = sleep_until_ready(s, timeout_ns, &read, &write);
    while (n == -EBADF && forget_closed(s));
    if (n <= 0)
        return n == -EINTR || n == -EBADF ? 0 : n;

    int count = collect(s, &read, &write, ready, max < BATCH ? max : BATCH);
    bool exact = poll(ready, (nfds_t)count, 0) != -1;
    n = 0;
    for (int i = 0; i < count; i++) {
        int fd = ready[i].fd;
        unsigned events = (unsigned)ready[i].revents & (PF_READ | PF_WRITE | PF_ERROR);
        bool refused = exact && (ready[i].revents & POLLNVAL) != 0;
        if (refused && is_closed(fd)) {
            forget(s, fd);
            continue;
        }
        if (!exact || refused) /* a device that poll(2) of this system does not take */
            events = events_in(fd, &read, &write);
        if (events)
            out[n++] = (struct pf_poll_event){s->tags[fd], events};
    }
    return n;
}

static int select_fd(void *state)
{
    (void)state;
    return -ENOTSUP;
}

const struct pf_poller_ops pf_poller_select = {
    PF_POLLER_OPS,           .name = "select",    .open = select_open,
    .close = free,           .add = select_watch, .modify = select_watch,
    .remove = select_remove, .wait = select_wait, .fd = select_fd,
};
