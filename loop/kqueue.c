/*
 * kqueue.c - the poller of the BSDs and macOS. Source: kqueue(2) of FreeBSD, OpenBSD,
 * NetBSD and macOS.
 *
 * A kqueue watches reading and writing of a descriptor as two things (filters) and reports
 * them apart; wait() joins what belongs to one descriptor. A registration ends with the
 * close(2) of its descriptor, so there are no events of closed ones. It is not inherited
 * over a fork: in a child the number may be anything's.
 *
 * Errors come with whichever filter is there, as "end of file" (EV_EOF). On a pipe that is
 * a hang-up: PF_READ | PF_ERROR. On a socket the reading filter reports it also if the peer
 * has shut its own direction only, which is no more than PF_READ; poll(2), asked about
 * writing, tells the two apart. What it cannot see: macOS does not report that the last
 * writer of a named FIFO has gone (pipes are fine).
 */
#include "loop/pollers.h"

#ifdef PF__HAVE_KQUEUE

#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* What one call fetches at the most; more wait for the next. */
enum {
    BATCH = 512,
    FIRST_CAPACITY = 256,
};

/* The longest sleep that every system takes (macOS: a hundred million seconds). */
#define SLEEP_MAX_NS (100000000 * PF_SECOND)

/* "Answer each change, and with nothing else." Where it is missing the answers of changes
 * that failed still come first. */
#ifndef EV_RECEIPT
#define EV_RECEIPT 0
#endif

/* A tag has 64 bits and a kevent's udata may have 32, so tags are kept by descriptor. */
struct watched {
    uint64_t tag;
    uint16_t slot;  /* of its event in the batch, if that is its: see slot_of() */
    uint8_t events; /* asked for; 0: not watched */
    bool is_socket;
};

struct state {
    int fd;
    pid_t pid; /* that opened it */
    struct watched *by_fd;
    int capacity;
};

static int make_room(struct state *s, int fd)
{
    if (fd < s->capacity)
        return 0;
    size_t capacity = s->capacity ? (size_t)s->capacity : FIRST_CAPACITY;
    while (capacity <= (size_t)fd)
        capacity *= 2;
    struct watched *by_fd = calloc(capacity, sizeof *by_fd);
    if (!by_fd)
        return -ENOMEM;
    if (s->capacity)
        memcpy(by_fd, s->by_fd, (size_t)s->capacity * sizeof *by_fd);
    free(s->by_fd);
    s->by_fd = by_fd;
    s->capacity = (int)capacity;
    return 0;
}

static int kqueue_reserve(void *state, size_t fds)
{
    return fds == 0 ? 0 : fds > INT_MAX ? -ENOMEM : make_room(state, (int)fds - 1);
}

static void kqueue_close(void *state)
{
    struct state *s = state;
    if (s->fd != -1 && s->pid == getpid())
        close(s->fd);
    free(s->by_fd);
    free(s);
}

static int kqueue_open(void *arg, void **state)
{
    (void)arg;
    struct state *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct state){.fd = kqueue(), .pid = getpid()};
    int err = s->fd == -1 || fcntl(s->fd, F_SETFD, FD_CLOEXEC) == -1 ? -errno : 0;
    if (!err)
        err = make_room(s, 0); /* so that most never grow */
    if (err)
        kqueue_close(s);
    else
        *state = s;
    return err;
}

static bool is_unwatchable(int64_t error)
{
    return error == EINVAL || error == ENODEV || error == EPERM || error == ENOTSUP ||
           error == EOPNOTSUPP;
}

/* What an answer to a change comes to. That there was nothing to delete is no error. */
static int error_of(const struct kevent *answer, unsigned events)
{
    unsigned filter = answer->filter == EVFILT_READ ? PF_READ : PF_WRITE;
    if (!(answer->flags & EV_ERROR) || answer->data == 0 || !(events & filter))
        return 0;
    return is_unwatchable(answer->data) ? -ENOTSUP : -(int)answer->data;
}

/* Have exactly these filters, whatever there were; one system call. */
static int set_filters(const struct state *s, int fd, unsigned events)
{
    struct kevent change[2], answer[2];
    const struct timespec none = {0};
    unsigned short read = (events & PF_READ) ? EV_ADD | EV_RECEIPT : EV_DELETE | EV_RECEIPT;
    unsigned short write =
        (events & PF_WRITE) ? EV_ADD | EV_RECEIPT : EV_DELETE | EV_RECEIPT;
    EV_SET(&change[0], (uintptr_t)fd, EVFILT_READ, read, 0, 0, 0);
    EV_SET(&change[1], (uintptr_t)fd, EVFILT_WRITE, write, 0, 0, 0);
    int n = kevent(s->fd, change, 2, answer, 2, &none);
    if (n == -1)
        return errno == EINTR ? 0 : -errno; /* EINTR: the changes are made */
    int err = 0;
    for (int i = 0; i < n && !err; i++)
        err = error_of(&answer[i], events);
    return err;
}

/*
 * A pipe whose last reader has gone takes no writing filter (EPIPE; epoll takes it and
 * reports the error). The reading filter reports that end of file, and wait() knows that
 * nobody asked to read.
 */
static int watch(const struct state *s, int fd, unsigned events)
{
    int err = set_filters(s, fd, events);
    return err == -EPIPE ? set_filters(s, fd, PF_READ) : err;
}

/* Like epoll's, add and modify ask for what is right now, whatever was before. */
static int kqueue_watch(void *state, int fd, unsigned events, uint64_t tag)
{
    struct state *s = state;
    mode_t type;
    int err = fd < 0 ? -EBADF : pf__poller_check(fd, &type);
    if (!err)
        err = make_room(s, fd);
    if (err)
        return err;
    struct watched *watched = &s->by_fd[fd];
    err = watch(s, fd, events);
    if (err) {
        (void)watch(s, fd, watched->events);
        return err;
    }
    watched->tag = tag;
    watched->events = (uint8_t)(events & (PF_READ | PF_WRITE));
    watched->is_socket = S_ISSOCK(type);
    return 0;
}

static int kqueue_remove(void *state, int fd)
{
    struct state *s = state;
    if (fd < 0 || fd >= s->capacity)
        return 0;
    (void)set_filters(s, fd, 0); /* EBADF, ENOENT: closed by now */
    s->by_fd[fd].events = 0;
    return 0;
}

/* Have both directions of this socket ended? */
static bool is_hung_up(int fd)
{
    struct pollfd ask = {.fd = fd, .events = POLLOUT};
    return poll(&ask, 1, 0) == 1 && (ask.revents & (POLLERR | POLLHUP)) != 0;
}

static unsigned events_of(const struct kevent *event, const struct watched *watched)
{
    int fd = (int)event->ident;
    bool end = (event->flags & EV_EOF) != 0;
    if (event->flags & EV_ERROR)
        return PF_ERROR;
    if (event->filter == EVFILT_WRITE)
        return end ? PF_WRITE | PF_ERROR : PF_WRITE;
    if (!(watched->events & PF_READ)) /* see watch() */
        return PF_WRITE | PF_ERROR;
    if (end && (event->fflags != 0 || !watched->is_socket || is_hung_up(fd)))
        return PF_READ | PF_ERROR;
    return PF_READ;
}

/* The event of fd among the n so far, or a new one at the end: one for each descriptor. */
static struct pf_poll_event *slot_of(struct watched *watched, int fd,
                                     struct pf_poll_event *out, int *fds, int *n)
{
    if (watched->slot < *n && fds[watched->slot] == fd)
        return &out[watched->slot];
    watched->slot = (uint16_t)*n;
    fds[*n] = fd;
    out[*n] = (struct pf_poll_event){.tag = watched->tag};
    return &out[(*n)++];
}

static int kqueue_wait(void *state, struct pf_poll_event *out, int max, int64_t timeout_ns)
{
    struct state *s = state;
    struct kevent events[BATCH];
    int fds[BATCH];
    if (timeout_ns > SLEEP_MAX_NS)
        timeout_ns = SLEEP_MAX_NS;
    struct timespec limit = {.tv_sec = (time_t)(timeout_ns / PF_SECOND),
                             .tv_nsec = (long)(timeout_ns % PF_SECOND)};
    int count = kevent(s->fd, NULL, 0, events, max < BATCH ? max : BATCH,
                       timeout_ns < 0 ? NULL : &limit);
    if (count == -1)
        return errno == EINTR ? 0 : -errno;
    int n = 0;
    for (int i = 0; i < count; i++) {
        int fd = (int)events[i].ident;
        if (fd >= 0 && fd < s->capacity && s->by_fd[fd].events)
            slot_of(&s->by_fd[fd], fd, out, fds, &n)->events |=
                events_of(&events[i], &s->by_fd[fd]);
    }
    return n;
}

static int kqueue_fd(void *state)
{
    const struct state *s = state;
    return s->fd;
}

const struct pf_poller_ops pf_poller_kqueue = {
    PF_POLLER_OPS,           .name = "kqueue",          .open = kqueue_open,
    .close = kqueue_close,   .add = kqueue_watch,       .modify = kqueue_watch,
    .remove = kqueue_remove, .wait = kqueue_wait,       .fd = kqueue_fd,
    .close_removes = true,   .reserve = kqueue_reserve,
};

#endif
