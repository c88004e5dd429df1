/* transport.c - see transport.h. */
#include "net/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static ssize_t result_of(ssize_t n)
{
    if (n != -1)
        return n;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* ---- sockets --------------------------------------------------------------------- */

static ssize_t socket_read(struct pf__transport *transport, void *data, size_t len)
{
    ssize_t n;
    do
        n = recv(transport->fd, data, len, 0);
    while (n == -1 && errno == EINTR);
    return result_of(n);
}

static ssize_t socket_write(struct pf__transport *transport, const void *data, size_t len)
{
    ssize_t n;
    do
        n = send(transport->fd, data, len, MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return result_of(n);
}

static void socket_shutdown(struct pf__transport *transport)
{
    (void)shutdown(transport->fd, SHUT_WR); /* ENOTCONN: the peer knows */
}

static void plain_close(struct pf__transport *transport)
{
    (void)close(transport->fd); /* whatever it says, it is gone: close(2) */
    transport->fd = -1;
}

static unsigned plain_wants(const struct pf__transport *transport, unsigned events)
{
    (void)transport;
    return events;
}

static const struct pf__transport_ops sockets = {socket_read, socket_write, socket_shutdown,
                                                 plain_close, plain_wants};

/* ---- pipes ----------------------------------------------------------------------- */

static ssize_t pipe_read(struct pf__transport *transport, void *data, size_t len)
{
    ssize_t n;
    do
        n = read(transport->fd, data, len);
    while (n == -1 && errno == EINTR);
    if (n == -1 && errno == EIO) /* a terminal whose other side is gone */
        return 0;
    return result_of(n);
}

static bool is_pending(int signo)
{
    sigset_t pending;
    sigemptyset(&pending);
    (void)sigpending(&pending);
    return sigismember(&pending, signo) == 1;
}

/* There is no MSG_NOSIGNAL for pipes. SIGPIPE goes to the thread that wrote (write(2)), so
 * it can be held back there and taken, unless one was waiting before. */
static ssize_t pipe_write(struct pf__transport *transport, const void *data, size_t len)
{
    sigset_t pipe_signal, before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    bool had_one = sigismember(&before, SIGPIPE) == 1 && is_pending(SIGPIPE);
    ssize_t n;
    do
        n = write(transport->fd, data, len);
    while (n == -1 && errno == EINTR);
    n = result_of(n);
    if (n == -EPIPE && !had_one && is_pending(SIGPIPE)) {
        int taken;
        (void)sigwait(&pipe_signal, &taken); /* it is there: does not wait */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

static void pipe_shutdown(struct pf__transport *transport)
{
    (void)transport; /* a pipe's end is the last close, and nothing else */
}

static const struct pf__transport_ops pipes = {pipe_read, pipe_write, pipe_shutdown,
                                               plain_close, plain_wants};

/* ---- choosing -------------------------------------------------------------------- */

int pf__transport_open(struct pf__transport *transport, int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || fstat(fd, &st) == -1)
        return -errno;
    bool is_socket = S_ISSOCK(st.st_mode);
    if (!is_socket && !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return -ENOTSUP;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
        return -errno;
    int access = flags & O_ACCMODE;
    *transport = (struct pf__transport){
        .ops = is_socket ? &sockets : &pipes,
        .fd = fd,
        .is_socket = is_socket,
        .can_read = access != O_WRONLY,
        .can_write = access != O_RDONLY,
    };
    return 0;
}
