/* kqueue_double.c - see kqueue_double.h. */
#include "tests/lib/kqueue_double.h"

#include "tests/lib/double/sys/event.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FDS = 1 << 16, /* descriptors from here on cannot be watched */
    READ = 0,
    WRITE = 1,
    FILTERS = 2,
    BATCH = 512, /* events of one call */
};

/* One filter of one descriptor. */
struct knote {
    unsigned closes; /* of the descriptor, when it was added: see is_alive() */
    bool added, enabled, oneshot;
    void *udata;
};

struct kq {
    unsigned closes; /* of the kqueue's own descriptor, when it was opened */
    pid_t pid;
    int end; /* above the highest descriptor watched */
    struct knote knotes[FDS][FILTERS];
    bool write_next[FDS]; /* which filter to report if there is room for one */
};

int pf_kqueue_double_error, pf_kqueue_double_write_error;

/* By the kqueue's number; mapped by the first one that has it, used again by the next. */
static struct kq *kqueues[FDS];

/* How often each number was closed. */
static atomic_uint closes[FDS];

/* ---- closing --------------------------------------------------------------------- */

static int (*next_close)(int);
static int (*next_dup2)(int, int);
static int (*next_dup3)(int, int, int);

static void count_close(int fd)
{
    if (fd >= 0 && fd < FDS)
        atomic_fetch_add(&closes[fd], 1);
}

/* Those of the C library, or of a sanitizer. */
int close(int fd)
{
    count_close(fd);
    return next_close ? next_close(fd) : (int)syscall(SYS_close, fd);
}

int dup2(int from, int to)
{
    if (from != to && fcntl(from, F_GETFD) != -1)
        count_close(to);
    return next_dup2(from, to);
}

int dup3(int from, int to, int flags)
{
    if (fcntl(from, F_GETFD) != -1)
        count_close(to);
    return next_dup3(from, to, flags);
}

static struct kq *find(int fd)
{
    struct kq *kq = fd >= 0 && fd < FDS ? kqueues[fd] : NULL;
    bool mine = kq && kq->closes == atomic_load(&closes[fd]) && kq->pid == getpid();
    return mine ? kq : NULL;
}

/* A kqueue stays with its parent. A raw clone(2) skips this, and finds pid another's. */
static void close_in_child(void)
{
    for (int fd = 0; fd < FDS; fd++)
        if (kqueues[fd] && kqueues[fd]->closes == atomic_load(&closes[fd]))
            close(fd);
}

static void find_function(const char *name, void *function)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found); /* ISO C has no cast for it */
}

__attribute__((constructor)) static void prepare(void)
{
    find_function("close", &next_close);
    find_function("dup2", &next_dup2);
    find_function("dup3", &next_dup3);
    pthread_atfork(NULL, NULL, close_in_child);
}

/* ---- kqueue ---------------------------------------------------------------------- */

static int take(int *error)
{
    int taken = *error;
    *error = 0;
    return taken;
}

int kqueue(void)
{
    if (pf_kqueue_double_error) {
        errno = take(&pf_kqueue_double_error);
        return -1;
    }
    int fd = epoll_create1(0); /* close-on-exec is the caller's business */
    if (fd < 0 || fd >= FDS)
        return -1;
    unsigned closed = atomic_load(&closes[fd]); /* after whoever had this number */
    if (!kqueues[fd]) {
        void *map = mmap(NULL, sizeof *kqueues[fd], PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) {
            close(fd);
            errno = ENOMEM;
            return -1;
        }
        kqueues[fd] = map;
    }
    struct kq *kq = kqueues[fd];
    memset(kq->knotes, 0, (size_t)kq->end * sizeof *kq->knotes);
    kq->end = 0;
    kq->closes = closed;
    kq->pid = getpid();
    return fd;
}

static bool is_alive(const struct kq *kq, int fd, int filter)
{
    const struct knote *knote = &kq->knotes[fd][filter];
    return knote->added && knote->closes == atomic_load(&closes[fd]);
}

static bool is_watched(const struct kq *kq, int fd)
{
    return is_alive(kq, fd, READ) || is_alive(kq, fd, WRITE);
}

/* Tell epoll what is watched of fd. Returns 0 or an errno. */
static int tell_epoll(int epoll, const struct kq *kq, int fd)
{
    struct epoll_event want = {.data.fd = fd};
    for (int filter = READ; filter <= WRITE; filter++)
        if (is_alive(kq, fd, filter) && kq->knotes[fd][filter].enabled)
            want.events |= filter == READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
    /* One that is disabled must not report errors either. */
    if (!want.events) {
        (void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &want) == 0 ||
        (errno == ENOENT && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &want) == 0))
        return 0;
    return errno;
}

/*
 * Drop the knotes of descriptors that were closed. Their files may live on in another
 * process, and epoll with them: it is replaced by a fresh one, under the same number.
 */
static void bury(int epoll, struct kq *kq)
{
    bool found = false;
    for (int fd = 0; fd < kq->end; fd++) {
        for (int filter = READ; filter <= WRITE; filter++) {
            if (kq->knotes[fd][filter].added && !is_alive(kq, fd, filter)) {
                kq->knotes[fd][filter].added = false;
                found = true;
            }
        }
    }
    if (!found)
        return;
    int flags = fcntl(epoll, F_GETFD);
    int fresh = epoll_create1(0);
    if (fresh == -1)
        return; /* the next call tries again */
    for (int fd = 0; fd < kq->end; fd++)
        if (is_watched(kq, fd))
            (void)tell_epoll(fresh, kq, fd);
    (void)syscall(SYS_dup3, fresh, epoll, (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
    close(fresh);
}

/* ---- changes --------------------------------------------------------------------- */

static bool has_no_reader(int fd)
{
    struct stat file;
    struct pollfd ask = {.fd = fd, .events = POLLOUT};
    return fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) && poll(&ask, 1, 0) == 1 &&
           (ask.revents & POLLERR);
}

/* Returns 0 or an errno. */
static int add_knote(int epoll, struct kq *kq, int fd, int filter,
                     const struct kevent *change)
{
    struct knote *knote = &kq->knotes[fd][filter], before = *knote;
    if (filter == WRITE && pf_kqueue_double_write_error)
        return take(&pf_kqueue_double_write_error);
    if (filter == WRITE && has_no_reader(fd))
        return EPIPE;
    *knote = (struct knote){.closes = atomic_load(&closes[fd]),
                            .added = true,
                            .enabled = !(change->flags & EV_DISABLE),
                            .oneshot = (change->flags & EV_ONESHOT) != 0,
                            .udata = change->udata};
    if (kq->end <= fd)
        kq->end = fd + 1;
    int err = tell_epoll(epoll, kq, fd);
    if (err)
        *knote = before;
    return err == EPERM ? ENODEV : err;
}

/* Returns 0 or an errno. */
static int make_change(int epoll, struct kq *kq, const struct kevent *change)
{
    const unsigned known =
        EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_ONESHOT | EV_RECEIPT;
    if ((change->filter != EVFILT_READ && change->filter != EVFILT_WRITE) ||
        (change->flags & ~known))
        return EINVAL;
    int filter = change->filter == EVFILT_READ ? READ : WRITE;
    int fd = change->ident < FDS ? (int)change->ident : -1;
    if (fcntl(fd, F_GETFD) == -1)
        return EBADF;
    struct knote *knote = &kq->knotes[fd][filter];
    if (change->flags & EV_ADD)
        return add_knote(epoll, kq, fd, filter, change);
    if (!is_alive(kq, fd, filter))
        return ENOENT;
    if (change->flags & EV_DELETE)
        knote->added = false;
    if (change->flags & (EV_ENABLE | EV_DISABLE))
        knote->enabled = (change->flags & EV_ENABLE) != 0;
    return tell_epoll(epoll, kq, fd);
}

/* Returns how many answers there are, or -1 with errno: an error for which there is no
 * room. */
static int make_changes(int epoll, struct kq *kq, const struct kevent *changes,
                        int nchanges, struct kevent *answers, int room)
{
    int n = 0;
    for (int i = 0; i < nchanges; i++) {
        int err = make_change(epoll, kq, &changes[i]);
        if (!err && !(changes[i].flags & EV_RECEIPT))
            continue;
        if (n < room) {
            answers[n] = changes[i];
            answers[n].flags = EV_ERROR;
            answers[n++].data = err;
        } else if (err) {
            errno = err;
            return -1;
        }
    }
    return n;
}

/* ---- events ---------------------------------------------------------------------- */

static int64_t bytes_to_read(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : 0;
}

static int64_t room_to_write(int fd)
{
    int room = 0, queued = 0;
    socklen_t len = sizeof room;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &len) == 0)
        return ioctl(fd, TIOCOUTQ, &queued) == 0 && queued < room ? room - queued : 0;
    room = fcntl(fd, F_GETPIPE_SZ);
    return room > 0 ? room - bytes_to_read(fd) : 0;
}

static bool report(struct kq *kq, int fd, int filter, unsigned ready, struct kevent *out)
{
    struct knote *knote = &kq->knotes[fd][filter];
    const unsigned ends = EPOLLHUP | EPOLLERR | (filter == READ ? EPOLLRDHUP : 0u);
    const unsigned wakes = ends | (filter == READ ? EPOLLIN : EPOLLOUT);
    if (!is_alive(kq, fd, filter) || !knote->enabled || !(ready & wakes))
        return false;
    *out = (struct kevent){.ident = (uintptr_t)fd,
                           .filter = filter == READ ? EVFILT_READ : EVFILT_WRITE,
                           .flags = ready & ends ? EV_EOF : 0,
                           .data = filter == READ ? bytes_to_read(fd) : room_to_write(fd),
                           .udata = knote->udata};
    /* The socket's error: which, cannot be told without taking it away (SO_ERROR). */
    struct stat file;
    if ((ready & EPOLLERR) && fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode))
        out->fflags = EIO;
    knote->added = !knote->oneshot;
    return true;
}

/* Half of them at first: each descriptor may have two. */
static int fetch(int epoll, struct kq *kq, struct kevent *events, int nevents)
{
    struct epoll_event ready[BATCH / 2];
    int most = (nevents + 1) / 2 < BATCH / 2 ? (nevents + 1) / 2 : BATCH / 2;
    int found = epoll_wait(epoll, ready, most, 0), n = 0;
    for (int i = 0; i < found; i++) {
        int fd = ready[i].data.fd;
        int first = kq->write_next[fd] ? WRITE : READ;
        n += n < nevents && report(kq, fd, first, ready[i].events, &events[n]);
        bool second = n < nevents && report(kq, fd, !first, ready[i].events, &events[n]);
        n += second;
        kq->write_next[fd] = !second && first == READ;
        if (kq->knotes[fd][READ].oneshot || kq->knotes[fd][WRITE].oneshot)
            (void)tell_epoll(epoll, kq, fd);
    }
    return n;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Returns false if the time is over, or -1 with errno in *n. */
static bool sleep_until_ready(int epoll, bool limited, int64_t deadline, int *n)
{
    int64_t left = limited ? deadline - now_ns() : 0;
    if (limited && left <= 0)
        return false;
    struct timespec limit = {left / 1000000000, left % 1000000000};
    if (ppoll(&(struct pollfd){.fd = epoll, .events = POLLIN}, 1, limited ? &limit : NULL,
              NULL) != -1)
        return true;
    *n = -1;
    return false;
}

int kevent(int epoll, const struct kevent *changes, int nchanges, struct kevent *events,
           int nevents, const struct timespec *timeout)
{
    struct kq *kq = find(epoll);
    if (!kq) {
        errno = EBADF;
        return -1;
    }
    bury(epoll, kq); /* before a number is used again */
    int n = make_changes(epoll, kq, changes, nchanges, events, nevents);
    if (n != 0 || nevents == 0)
        return n;
    int64_t limit = timeout ? (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec : 0;
    int64_t deadline = limit ? now_ns() + limit : 0;
    do {
        bury(epoll, kq);
        n = fetch(epoll, kq, events, nevents);
    } while (n == 0 && sleep_until_ready(epoll, timeout != NULL, deadline, &n));
    return n;
}
