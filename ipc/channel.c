/*
 * channel.c - records over a SOCK_SEQPACKET pair; see prefork/ipc.h.
 *
 * Facts this rests on (unix(7), and tried): a record arrives whole or not at all, and never
 * glued to its neighbour; descriptors beyond the space given for them are dropped and
 * MSG_CTRUNC set; when the peer dies with records of ours unread, the first read fails with
 * ECONNRESET and its own last records come after that.
 */
#include <prefork/ipc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(struct pf_ipc_header) == 16, "the header is 16 bytes");

/* Records handled before other descriptors get their turn. */
enum {
    BURST = 64
};

/* One that waits; the payload follows the struct. */
struct waiting {
    struct waiting *next;
    struct pf_ipc_header header;
    int fds[PF_IPC_FDS_MAX];
    char payload[];
};

struct pf_channel {
    pf_loop *loop;
    int fd;
    struct pf_channel_options options;
    uint32_t next_sequence;
    struct waiting *first, **last;
    int waiting;
    bool deaf;  /* the peer is gone, or the loop */
    bool busy;  /* in a callback */
    bool freed; /* inside one: free when it returns */
};

static pf_io_fn channel_on_ready;

int pf_ipc_pair(int fds[2])
{
    int made[2];
    if (!fds)
        return -EINVAL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, made) != 0)
        return -errno;
    memcpy(fds, made, sizeof made);
    return 0;
}

int pf_channel_new(pf_loop *loop, int fd, const struct pf_channel_options *options,
                   pf_channel **out)
{
    if (!options || options->size < sizeof *options || !options->on_message ||
        !options->on_closed || !out)
        return -EINVAL;
    pf_channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return -ENOMEM;
    *channel = (pf_channel){.loop = loop, .fd = fd, .options = *options};
    channel->last = &channel->first;
    int err = pf_loop_add_handler(loop, fd, PF_READ, channel_on_ready, channel);
    if (err) {
        free(channel);
        return err;
    }
    pf_loop_ref(loop);
    *out = channel;
    return 0;
}

static void close_fds(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void drop_first(pf_channel *channel)
{
    struct waiting *first = channel->first;
    channel->first = first->next;
    if (!channel->first)
        channel->last = &channel->first;
    channel->waiting--;
    close_fds(first->fds, first->header.descriptors);
    free(first);
}

static void release(pf_channel *channel)
{
    while (channel->first)
        drop_first(channel);
    close(channel->fd);
    pf_loop_unref(channel->loop);
    free(channel);
}

void pf_channel_free(pf_channel *channel)
{
    if (!channel || pf_loop_check(channel->loop) == -EPERM)
        return;
    (void)pf_loop_remove_handler(channel->loop, channel->fd); /* a guard refuses: a child */
    channel->deaf = true;
    if (channel->busy)
        channel->freed = true;
    else
        release(channel);
}

/* ---- sending --------------------------------------------------------------------- */

static int send_record(const pf_channel *channel, const struct pf_ipc_header *header,
                       const void *payload, const int *fds)
{
    struct pf_ipc_header head = *header;
    struct iovec parts[2] = {{.iov_base = &head, .iov_len = sizeof head}};
    memcpy(&parts[1].iov_base, &payload, sizeof payload); /* sendmsg(2) only reads it */
    parts[1].iov_len = head.length;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(PF_IPC_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (head.descriptors) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(head.descriptors * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(head.descriptors * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, head.descriptors * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(channel->fd, &message, MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : 0;
}

/* Worth waiting for? ETOOMANYREFS: too many descriptors of ours are in flight already. */
static bool is_full(int err)
{
    return err == -EAGAIN || err == -ENOBUFS || err == -ETOOMANYREFS;
}

static int enqueue(pf_channel *channel, const struct pf_ipc_header *header,
                   const void *payload, const int *fds)
{
    if (channel->waiting >= PF_IPC_QUEUE_MAX)
        return -ENOBUFS;
    struct waiting *record = malloc(sizeof *record + header->length);
    if (!record)
        return -ENOMEM;
    record->next = NULL;
    record->header = *header;
    if (header->length)
        memcpy(record->payload, payload, header->length);
    int err = 0;
    size_t copied = 0;
    for (; copied < header->descriptors; copied++) {
        record->fds[copied] = fcntl(fds[copied], F_DUPFD_CLOEXEC, 0);
        if (record->fds[copied] == -1) {
            err = -errno;
            goto drop;
        }
    }
    if (!channel->first)
        err = pf_loop_update_handler(channel->loop, channel->fd, PF_READ | PF_WRITE);
    if (err)
        goto drop;
    *channel->last = record;
    channel->last = &record->next;
    channel->waiting++;
    return 0;

drop:
    close_fds(record->fds, copied);
    free(record);
    return err;
}

int pf_channel_send(pf_channel *channel, uint16_t type, const void *payload, size_t len,
                    const int *fds, size_t fd_count)
{
    if (!channel || (!payload && len) || (!fds && fd_count))
        return -EINVAL;
    int err = pf_loop_check(channel->loop);
    if (err)
        return err;
    if (channel->deaf)
        return -EPIPE;
    if (len > PF_IPC_PAYLOAD_MAX || fd_count > PF_IPC_FDS_MAX)
        return -EMSGSIZE;
    struct pf_ipc_header header = {.magic = PF_IPC_MAGIC,
                                   .type = type,
                                   .version = PF_IPC_VERSION,
                                   .descriptors = (uint8_t)fd_count,
                                   .length = (uint32_t)len,
                                   .sequence = channel->next_sequence};
    err = channel->first ? -EAGAIN : send_record(channel, &header, payload, fds);
    if (is_full(err))
        err = enqueue(channel, &header, payload, fds);
    if (err == 0)
        channel->next_sequence++;
    return err == -ECONNRESET ? -EPIPE : err;
}

int pf_channel_queued(pf_channel *channel)
{
    int err = channel ? pf_loop_check(channel->loop) : -EINVAL;
    return err ? err : channel->waiting;
}

static void send_waiting(pf_channel *channel)
{
    while (channel->first) {
        struct waiting *record = channel->first;
        int err = send_record(channel, &record->header, record->payload, record->fds);
        if (is_full(err))
            return;
        drop_first(channel); /* sent; or the peer is gone, which reading will tell */
    }
    (void)pf_loop_update_handler(channel->loop, channel->fd,
                                 PF_READ); /* less cannot fail */
}

/* ---- receiving ------------------------------------------------------------------- */

/* The peer is gone. The callback may free the channel. */
static void closed(pf_channel *channel, int reason)
{
    (void)pf_loop_remove_handler(channel->loop, channel->fd);
    channel->deaf = true;
    channel->options.on_closed(channel, reason, channel->options.arg);
}

struct received {
    char bytes[PF_IPC_RECORD_MAX];
    size_t len;
    int fds[PF_IPC_FDS_MAX + 1];
    size_t fd_count;
};

static void collect_fds(struct msghdr *message, struct received *in)
{
    in->fd_count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        in->fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(in->fds, CMSG_DATA(c), in->fd_count * sizeof(int));
    }
}

/* Returns 1 with a record, 0 at the end of file, -EAGAIN, or another negative errno. */
static int receive_record(const pf_channel *channel, struct received *in)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(PF_IPC_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = in->bytes, .iov_len = sizeof in->bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n <= 0)
        return n == 0 ? 0 : -errno;
    in->len = (size_t)n;
    collect_fds(&message, in);
    if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        close_fds(in->fds, in->fd_count);
        /* There was room for all that may come: we are out of descriptors, or of limits. */
        return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
    }
    return 1;
}

static bool is_record(const struct received *in, struct pf_ipc_header *header)
{
    if (in->len < sizeof *header)
        return false;
    memcpy(header, in->bytes, sizeof *header);
    return header->magic == PF_IPC_MAGIC && header->version == PF_IPC_VERSION &&
           header->length == in->len - sizeof *header &&
           header->descriptors == in->fd_count;
}

static int deliver(pf_channel *channel, struct received *in)
{
    struct pf_ipc_header header;
    int err = is_record(in, &header) ? 0 : -EPROTO;
    if (!err) {
        struct pf_message message = {.type = header.type,
                                     .sequence = header.sequence,
                                     .payload = in->bytes + sizeof header,
                                     .len = header.length,
                                     .fds = in->fds,
                                     .fd_count = in->fd_count};
        channel->options.on_message(channel, &message, channel->options.arg);
    }
    close_fds(in->fds, in->fd_count);
    return err;
}

/* One record, or the news that there is none. Returns 1 to go on, 0 to come back later, or
 * the reason for the end: PEER_CLOSED or a negative errno. */
enum {
    PEER_CLOSED = 2
};
static int receive_one(pf_channel *channel, struct received *in, bool *reset)
{
    int got = receive_record(channel, in);
    if (got == 1) {
        int err = deliver(channel, in);
        return err ? err : 1;
    }
    if (got == 0)
        return PEER_CLOSED;
    if (got == -EAGAIN)
        return 0;
    if (got != -ECONNRESET || *reset)
        return got;
    *reset = true; /* the last words stand behind it */
    return 1;
}

static void receive(pf_channel *channel)
{
    struct received in;
    bool reset = false;
    int got = 1;
    /* on_message may fork: what waits then is the parent's. */
    for (int i = 0;
         i < BURST && got == 1 && !channel->deaf && pf_loop_check(channel->loop) == 0; i++)
        got = receive_one(channel, &in, &reset);
    if (got == PEER_CLOSED)
        closed(channel, reset ? -ECONNRESET : 0);
    else if (got < 0)
        closed(channel, got);
}

static int channel_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd;
    pf_channel *channel = arg;
    channel->busy = true;
    if (events & PF_WRITE)
        send_waiting(channel);
    if (events & (PF_READ | PF_ERROR))
        receive(channel);
    channel->busy = false;
    if (channel->freed)
        release(channel);
    return 0;
}
