/*
 * epoll.c - the poller of Linux. Source: epoll_ctl(2), epoll_wait(2).
 */
#include <prefork/loop.h>
#include <prefork/poller.h>

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(PF_READ == EPOLLIN && PF_WRITE == EPOLLOUT, "events are epoll's");
_Static_assert(PF_ERROR == (EPOLLERR | EPOLLHUP), "events are epoll's");

/* What one call fetches at the most; more wait for the next. */
enum {
    BATCH = 512
};

struct state {
    int fd;
};

static int epoll_open(void *arg, void **state)
{
    (void)arg;
    struct state *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd == -1) {
        int err = -errno;
        free(s);
        return err;
    }
    *state = s;
    return 0;
}

static void epoll_close(void *state)
{
    struct state *s = state;
    close(s->fd);
    free(s);
}

static int control(const struct state *s, int op, int fd, unsigned events, uint64_t tag)
{
    struct epoll_event event = {.events = events & (PF_READ | PF_WRITE | PF_ERROR),
                                .data.u64 = tag};
    if (events & PF_EXCLUSIVE)
        event.events |= EPOLLEXCLUSIVE;
    if (epoll_ctl(s->fd, op, fd, &event) == 0)
        return 0;
    return errno == EPERM ? -ENOTSUP : -errno; /* EPERM: a file that cannot be polled */
}

/*
 * The loop has checked its own table. If the kernel still disagrees, the descriptor was
 * closed and its number used again behind the loop's back (dup2(2) can even leave the old
 * entry alive): what is asked for now is right. An entry with EPOLLEXCLUSIVE takes no
 * EPOLL_CTL_MOD, so an old one is replaced.
 */
static int epoll_add(void *state, int fd, unsigned events, uint64_t tag)
{
    int err = control(state, EPOLL_CTL_ADD, fd, events, tag);
    if (err != -EEXIST)
        return err;
    (void)control(state, EPOLL_CTL_DEL, fd, 0, 0);
    return control(state, EPOLL_CTL_ADD, fd, events, tag);
}

static int epoll_modify(void *state, int fd, unsigned events, uint64_t tag)
{
    int err = control(state, EPOLL_CTL_MOD, fd, events, tag);
    return err == -ENOENT ? control(state, EPOLL_CTL_ADD, fd, events, tag) : err;
}

static int epoll_remove(void *state, int fd)
{
    (void)control(state, EPOLL_CTL_DEL, fd, 0, 0); /* EBADF, ENOENT: closed by now */
    return 0;
}

#ifdef SYS_epoll_pwait2
/* -ENOSYS: an old kernel, or a seccomp filter, which may also say EPERM. Never ask again.
 */
static int wait_ns(int fd, struct epoll_event *events, int max, int64_t timeout_ns)
{
    static atomic_bool missing;
    if (atomic_load_explicit(&missing, memory_order_relaxed))
        return -ENOSYS;
    struct timespec limit = {.tv_sec = (time_t)(timeout_ns / PF_SECOND),
                             .tv_nsec = (long)(timeout_ns % PF_SECOND)};
    long n = syscall(SYS_epoll_pwait2, fd, events, max, &limit, NULL, (size_t)0);
    if (n >= 0)
        return (int)n;
    if (errno != ENOSYS && errno != EPERM)
        return -errno;
    atomic_store_explicit(&missing, true, memory_order_relaxed);
    return -ENOSYS;
}
#else
static int wait_ns(int fd, struct epoll_event *events, int max, int64_t timeout_ns)
{
    (void)fd, (void)events, (void)max, (void)timeout_ns;
    return -ENOSYS;
}
#endif

static int wait_ms(int fd, struct epoll_event *events, int max, int64_t timeout_ns)
{
    int ms = -1;
    if (timeout_ns >=
        0) { /* rounded up: rounding down would end the sleep early and spin */
        int64_t up = timeout_ns / PF_MILLISECOND + (timeout_ns % PF_MILLISECOND != 0);
        ms = up < INT_MAX ? (int)up : INT_MAX;
    }
    int n = epoll_wait(fd, events, max, ms);
    return n == -1 ? -errno : n;
}

static int epoll_poll(void *state, struct pf_poll_event *out, int max, int64_t timeout_ns)
{
    const struct state *s = state;
    struct epoll_event events[BATCH];
    if (max > BATCH)
        max = BATCH;
    int n = timeout_ns > 0 ? wait_ns(s->fd, events, max, timeout_ns) : -ENOSYS;
    if (n == -ENOSYS)
        n = wait_ms(s->fd, events, max, timeout_ns);
    if (n == -EINTR)
        return 0;
    for (int i = 0; i < n; i++) {
        out[i].tag = events[i].data.u64;
        out[i].events = events[i].events & (PF_READ | PF_WRITE | PF_ERROR);
    }
    return n;
}

static int epoll_fd(void *state)
{
    const struct state *s = state;
    return s->fd;
}

static int epoll_replace(void *state, void *fresh)
{
    const struct state *s = state, *f = fresh;
    if (dup3(f->fd, s->fd, O_CLOEXEC) == -1)
        return -errno;
    epoll_close(fresh);
    return 0;
}

const struct pf_poller_ops pf_poller_epoll = {
    PF_POLLER_OPS,          .name = "epoll",
    .open = epoll_open,     .close = epoll_close,
    .add = epoll_add,       .modify = epoll_modify,
    .remove = epoll_remove, .wait = epoll_poll,
    .fd = epoll_fd,         .replace = epoll_replace,
    .close_removes = true,
};

#endif
