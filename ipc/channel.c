/*
 * channel.c - records over a SOCK_SEQPACKET pair; see prefork/ipc.h.
 *
 * Facts this rests on (unix(7), and tried): a record arrives whole or not at all, and never
 * glued to its neighbour; descriptors beyond the space given for them are dropped and
 * MSG_CTRUNC set; a record of no bytes reads like the end of the file, and may bring
 * descriptors all the same; when the peer dies with records of ours unread, the first read
 * or send fails with ECONNRESET and its own last records come after that.
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

/* The socket says it has room, and the kernel still refuses: too many descriptors of this
 * user are in flight (ETOOMANYREFS), or no memory. Polling for room would spin. */
#define RETRY_NS (10 * PF_MILLISECOND)

/* Bytes asked for, of which the kernel counts overhead too: the default holds no more than
 * 278 small records. */
enum {
    SEND_BUFFER = 512 * 1024
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
    uint32_t next_sequence; /* of what is sent */
    uint32_t next_expected; /* of what is received */
    struct waiting *first, **last;
    int waiting;
    size_t waiting_bytes;
    pf_timer retry;
    bool reset; /* the peer died with records of ours unread */
    bool deaf;  /* the peer is gone, or the loop */
    bool busy;  /* in a callback */
    bool freed; /* inside one: free when it returns */
};

static pf_io_fn channel_on_ready;
static pf_callback_fn channel_on_retry;

/* As much as we may; what is refused leaves the default. */
static void raise_send_buffer(int fd)
{
    int bytes = 0;
    socklen_t len = sizeof bytes;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len) == 0 && bytes >= SEND_BUFFER)
        return;
    bytes = SEND_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

int pf_ipc_pair(int fds[2])
{
    int made[2];
    if (!fds)
        return -EINVAL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, made) != 0)
        return -errno;
    raise_send_buffer(made[0]);
    raise_send_buffer(made[1]);
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
    channel->waiting_bytes -= first->header.length;
    close_fds(first->fds, first->header.descriptors);
    free(first);
}

static void release(pf_channel *channel)
{
    while (channel->first)
        drop_first(channel);
    if (channel->fd != -1)
        close(channel->fd);
    pf_loop_unref(channel->loop);
    free(channel);
}

void pf_channel_free(pf_channel *channel)
{
    if (!channel || pf_loop_check(channel->loop) == -EPERM)
        return;
    (void)pf_loop_remove_handler(channel->loop, channel->fd); /* a guard refuses: a child */
    (void)pf_loop_remove_timeout(channel->loop, channel->retry);
    channel->deaf = true;
    if (!channel->busy) {
        release(channel);
        return;
    }
    close(channel->fd); /* now: a child forked in the callback never returns from it */
    channel->fd = -1;
    channel->freed = true;
}

/* ---- sending --------------------------------------------------------------------- */

static int send_record(pf_channel *channel, const struct pf_ipc_header *header,
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
    if (n >= 0)
        return 0;
    if (errno != ECONNRESET)
        return -errno;
    channel->reset = true; /* told once: reading would find only the end */
    return -EPIPE;
}

/* Worth waiting for? */
static bool is_full(int err)
{
    return err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM || err == -ETOOMANYREFS;
}

/* Come back when the socket has room; if it is not that, a little later. */
static int wait_for_room(pf_channel *channel, int why)
{
    if (why != -EAGAIN &&
        pf_loop_update_handler(channel->loop, channel->fd, PF_READ) == 0 &&
        pf_loop_call_later(channel->loop, RETRY_NS, channel_on_retry, channel,
                           &channel->retry) == 0)
        return 0;
    return pf_loop_update_handler(channel->loop, channel->fd, PF_READ | PF_WRITE);
}

/* `why` is what send_record() answered; 0 if others wait already. */
static int enqueue(pf_channel *channel, int why, const struct pf_ipc_header *header,
                   const void *payload, const int *fds)
{
    if (channel->waiting >= PF_IPC_QUEUE_MAX ||
        header->length > PF_IPC_QUEUE_BYTES_MAX - channel->waiting_bytes)
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
    if (why)
        err = wait_for_room(channel, why);
    if (err)
        goto drop;
    *channel->last = record;
    channel->last = &record->next;
    channel->waiting++;
    channel->waiting_bytes += header->length;
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
    if (!channel->first)
        err = send_record(channel, &header, payload, fds);
    if (channel->first || is_full(err))
        err = enqueue(channel, err, &header, payload, fds);
    if (err == 0)
        channel->next_sequence++;
    return err;
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
        if (is_full(err)) {
            (void)wait_for_room(channel, err); /* else as it is watched now: for writing */
            return;
        }
        drop_first(channel); /* sent; or the peer is gone, which reading will tell */
    }
    (void)pf_loop_update_handler(channel->loop, channel->fd,
                                 PF_READ); /* less cannot fail */
}

static int channel_on_retry(pf_loop *loop, void *arg)
{
    (void)loop;
    pf_channel *channel = arg;
    channel->retry = (pf_timer){0};
    send_waiting(channel);
    return 0;
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
    bool fds_lost;
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
    if (n == -1)
        return -errno;
    in->len = (size_t)n;
    collect_fds(&message, in);
    if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        close_fds(in->fds, in->fd_count);
        in->fd_count = 0;
    }
    if (message.msg_flags & MSG_TRUNC)
        return -EPROTO;
    /* There was room for all that may come: we are out of descriptors, or of limits. */
    in->fds_lost = message.msg_flags & MSG_CTRUNC;
    return in->len || in->fd_count || in->fds_lost;
}

static bool is_record(const pf_channel *channel, const struct received *in,
                      struct pf_ipc_header *header)
{
    if (in->len < sizeof *header)
        return false;
    memcpy(header, in->bytes, sizeof *header);
    return header->magic == PF_IPC_MAGIC && header->version == PF_IPC_VERSION &&
           header->length == in->len - sizeof *header &&
           (in->fds_lost ? header->descriptors > 0 : header->descriptors == in->fd_count) &&
           header->sequence == channel->next_expected;
}

static int deliver(pf_channel *channel, struct received *in)
{
    struct pf_ipc_header header;
    int err = is_record(channel, in, &header) ? 0 : -EPROTO;
    if (!err) {
        channel->next_expected++;
        struct pf_message message = {.type = header.type,
                                     .sequence = header.sequence,
                                     .payload = in->bytes + sizeof header,
                                     .len = header.length,
                                     .fds = in->fds,
                                     .fd_count = in->fd_count,
                                     .fds_lost = in->fds_lost};
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
static int receive_one(pf_channel *channel, struct received *in)
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
    if (got != -ECONNRESET || channel->reset)
        return got;
    channel->reset = true; /* the last words stand behind it */
    return 1;
}

static void receive(pf_channel *channel)
{
    struct received in;
    int got = 1;
    /* on_message may fork: what waits then is the parent's. */
    for (int i = 0;
         i < BURST && got == 1 && !channel->deaf && pf_loop_check(channel->loop) == 0; i++)
        got = receive_one(channel, &in);
    if (got == PEER_CLOSED)
        closed(channel, channel->reset ? -ECONNRESET : 0);
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
