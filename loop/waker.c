/* waker.c - see waker.h. */
#include "loop/waker.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int pf__waker_open(struct pf__waker *waker)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    waker->read_fd = fds[0];
    waker->write_fd = fds[1];
    atomic_init(&waker->asleep, true);
    atomic_init(&waker->woken, false);
    atomic_init(&waker->wakes, 0);
    return 0;
}

void pf__waker_close(struct pf__waker *waker)
{
    close(waker->read_fd);
    close(waker->write_fd);
    waker->read_fd = waker->write_fd = -1;
}

void pf__waker_wake(struct pf__waker *waker)
{
    if (!atomic_load(&waker->asleep) || atomic_exchange(&waker->woken, true))
        return;
    int saved = errno;
    atomic_fetch_add(&waker->wakes, 1);
    ssize_t n;
    do
        n = write(waker->write_fd, "", 1);
    while (n == -1 && errno == EINTR);
    /* EAGAIN: the pipe is full, so it is readable, which is all a wake has to achieve. */
    errno = saved;
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
