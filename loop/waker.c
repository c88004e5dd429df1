/* waker.c - see waker.h. */
#include "loop/waker.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_pipe(int fds[2])
{
#ifdef __APPLE__ /* no pipe2(2): what another thread executes just now may inherit it */
    if (pipe(fds) != 0)
        return -1;
    for (int i = 0; i < 2; i++) { /* of a pipe of our own these cannot fail */
        (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
#else
    return pipe2(fds, O_CLOEXEC | O_NONBLOCK);
#endif
}

void pf__waker_init(struct pf__waker *waker)
{
    waker->read_fd = waker->write_fd = -1;
    atomic_init(&waker->asleep, false);
    atomic_init(&waker->woken, false);
    atomic_init(&waker->wakes, 0);
}

int pf__waker_open(struct pf__waker *waker)
{
    int fds[2];
    if (open_pipe(fds) != 0)
        return -errno;
    waker->read_fd = fds[0];
    waker->write_fd = fds[1];
    return 0;
}

void pf__waker_close(struct pf__waker *waker)
{
    if (waker->read_fd == -1)
        return;
    close(waker->read_fd);
    close(waker->write_fd);
    waker->read_fd = waker->write_fd = -1;
}

void pf__waker_write(struct pf__waker *waker)
{
    int saved = errno;
    atomic_fetch_add(&waker->wakes, 1);
    ssize_t n;
    do
        n = write(waker->write_fd, "", 1);
    while (n == -1 && errno == EINTR);
    /* EAGAIN: the pipe is full, so it is readable, which is all a wake has to achieve. */
    errno = saved;
}

void pf__waker_wake(struct pf__waker *waker)
{
    if (pf__waker_claim(waker))
        pf__waker_write(waker);
}

void pf__waker_drain(struct pf__waker *waker)
{
    char bytes[64];
    ssize_t n;
    do
        n = read(waker->read_fd, bytes, sizeof bytes);
    while (n == sizeof bytes || (n == -1 && errno == EINTR));
    atomic_store(&waker->woken, false);
}

void pf__waker_drain_if_woken(struct pf__waker *waker)
{
    if (atomic_load(&waker->woken))
        pf__waker_drain(waker);
}
