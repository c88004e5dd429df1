/*
 * offer.c - see offer.h.
 *
 * Each kind of descriptor has a way of its own:
 *
 *     socket     send(2) with MSG_DONTWAIT
 *     pipe       pwritev2(2) with RWF_NOWAIT, which pipes know from Linux 6.4 on
 *     pipe, terminal  through a description of our own, opened anew by /proc/self/fd,
 *                non-blocking; refused for what another user has opened
 *     else       write(2), which files do not hold up
 *
 * Where none is to be had poll(2) is asked before write(2), the best that is left.
 */
#include "loop/offer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t write_if_polled(int fd, const void *bytes, size_t len)
{
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    if (poll(&out, 1, 0) != 0)
        return write(fd, bytes, len);
    errno = EAGAIN;
    return -1;
}

/* O_APPEND is for a file that has taken its place since. */
static ssize_t write_anew(int fd, const void *bytes, size_t len)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* always fits */
    int own = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own == -1)
        return write_if_polled(fd, bytes, len);
    ssize_t n = write(own, bytes, len);
    int err = errno;
    close(own);
    errno = err;
    return n;
}

static ssize_t write_to_pipe(int fd, const void *bytes, size_t len)
{
#ifdef RWF_NOWAIT
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    ssize_t n = pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (n != -1 || errno == EAGAIN || errno == EINTR || errno == EPIPE)
        return n;
#endif
    return write_anew(fd, bytes, len);
}

static ssize_t write_now(int fd, const void *bytes, size_t len)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    if (S_ISSOCK(st.st_mode))
        return send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (S_ISFIFO(st.st_mode))
        return write_to_pipe(fd, bytes, len);
    if (S_ISCHR(st.st_mode))
        return write_anew(fd, bytes, len);
    return write(fd, bytes, len);
}

bool pf__offer(int fd, const void *bytes, size_t len)
{
    ssize_t n;
    do
        n = write_now(fd, bytes, len);
    while (n == -1 && errno == EINTR);
    return n != -1 || errno != EAGAIN;
}
