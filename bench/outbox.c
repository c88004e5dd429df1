/* outbox.c - see outbox.h. */
#include "bench/outbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct outbox {
    size_t count, at; /* at: those that are out */
    struct iovec pieces[];
};

/* Returns how many are out, having shortened the next one by what is out of it, or a
 * negative errno. */
static ssize_t send_some(int fd, struct iovec *pieces, size_t count)
{
    size_t out = 0;
    while (out < count) {
        size_t left = count - out;
        struct msghdr message = {.msg_iov = pieces + out,
                                 .msg_iovlen =
                                     left < OUTBOX_PIECES_MAX ? left : OUTBOX_PIECES_MAX};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? (ssize_t)out : -errno;
        while (out < count && (size_t)n >= pieces[out].iov_len)
            n -= (ssize_t)pieces[out++].iov_len;
        if (n > 0) {
            pieces[out].iov_base = (char *)pieces[out].iov_base + n;
            pieces[out].iov_len -= (size_t)n;
        }
    }
    return (ssize_t)out;
}

static int keep(struct outbox **box, const struct iovec *pieces, size_t count)
{
    size_t had = *box ? (*box)->count : 0;
    struct outbox *grown =
        realloc(*box, sizeof *grown + (had + count) * sizeof grown->pieces[0]);
    if (!grown)
        return -ENOMEM;
    if (!had)
        grown->at = 0;
    memcpy(grown->pieces + had, pieces, count * sizeof pieces[0]);
    grown->count = had + count;
    *box = grown;
    return 1;
}

int outbox_send(struct outbox **box, int fd, struct iovec *pieces, size_t count)
{
    if (*box)
        return keep(box, pieces, count);
    ssize_t out = send_some(fd, pieces, count);
    if (out < 0)
        return (int)out;
    return (size_t)out == count ? 0 : keep(box, pieces + out, count - (size_t)out);
}

int outbox_resume(struct outbox **box, int fd)
{
    struct outbox *all = *box;
    ssize_t out = send_some(fd, all->pieces + all->at, all->count - all->at);
    if (out < 0)
        return (int)out;
    all->at += (size_t)out;
    if (all->at < all->count)
        return 1;
    outbox_free(all);
    *box = NULL;
    return 0;
}

void outbox_free(struct outbox *box)
{
    free(box);
}
