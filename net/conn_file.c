/*
 * conn_file.c - a file on its way behind the output; see conn_internal.h.
 */
#include "net/conn_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_PIECE =
        2 * 1024 * 1024, /* what one sendfile(2) is asked for, and one turn sends */
};

bool pf__conn_ignores_pipe_signal(void)
{
    struct sigaction action;
    return sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void pf__conn_drop_file(pf_conn *conn)
{
    if (!conn->file)
        return;
    close(conn->file->fd);
    free(conn->file);
    conn->file = NULL;
}

/* sendfile(2) has no MSG_NOSIGNAL: where SIGPIPE is not ignored, as it is in a worker, this
 * thread's is blocked meanwhile and taken back. */
static ssize_t send_quietly(const pf_conn *conn, struct pf__conn_file *file, size_t len)
{
    if (conn->conns->ignores_pipe_signal)
        return sendfile(conn->fd, file->fd, &file->offset, len);
    sigset_t pipe_signal, before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t n = sendfile(conn->fd, file->fd, &file->offset, len);
    int err = errno;
    if (n == -1 && err == EPIPE && !sigismember(&before, SIGPIPE))
        (void)sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return n;
}

/* Send of the file what the peer takes, within a turn's share. Returns 0 or the reason of
 * the end that the connection is then to meet. */
int pf__conn_send_file(pf_conn *conn)
{
    struct pf__conn_file *file = conn->file;
    size_t piece = file->left < FILE_PIECE ? (size_t)file->left : FILE_PIECE;
    ssize_t n = send_quietly(conn, file, piece);
    if (n == 0)
        return -EIO; /* it has become shorter */
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    file->left -= (uint64_t)n;
    if (file->left == 0)
        pf__conn_drop_file(conn);
    return 0;
}

static int begin_file(pf_conn *conn, int fd, uint64_t offset, uint64_t len)
{
    struct pf__conn_file *file = len ? malloc(sizeof *file) : NULL;
    if (!file) {
        close(fd);
        return len ? -ENOMEM : 0;
    }
    *file = (struct pf__conn_file){.fd = fd, .offset = (off_t)offset, .left = len};
    conn->busy++;
    if (conn->conns->owner == conn)
        pf__conn_flush_batch(conn, MSG_MORE);
    conn->file = file;
    int err = conn->state == PF_CONN_CLOSED ? -EPIPE : 0;
    if (err)
        pf__conn_drop_file(conn);
    else if (!conn->out)
        err = pf__conn_send_file(conn);
    if (err && conn->state != PF_CONN_CLOSED)
        pf__conn_end(conn, err);
    if (conn->busy == 1 && pf__conn_is_blocked(conn) && conn->state == PF_CONN_OPEN)
        pf__conn_watch(conn);
    conn->busy--;
    err = conn->state == PF_CONN_CLOSED ? -EPIPE : 0;
    pf__conn_settle(conn);
    return err;
}

int pf_conn_send_file(pf_conn *conn, int fd, uint64_t offset, uint64_t len)
{
    int err = pf_loop_check(conn->conns->loop);
    if (!err && conn->state != PF_CONN_OPEN)
        err = -EPIPE;
    if (!err && conn->file)
        err = -EBUSY;
    if (err) {
        close(fd);
        return err;
    }
    return begin_file(conn, fd, offset, len);
}
