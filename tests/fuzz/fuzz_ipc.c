/*
 * fuzz_ipc.c - a channel believes records that are right, and lets go of all the others.
 *
 * A libFuzzer target; test_channel_fuzz.c includes it and replays the corpus.
 * An input is a list of steps, each one record that a peer sends to a channel by hand:
 *
 *     how | descriptors | flip | length | length bytes
 *
 * `how` is a set of the bits below. With HEADER the bytes are a payload, behind a header
 * that fits them, of which `flip` then changes one bit or none; without, they are all there
 * is. A model beside it says what the channel must hear; all descriptors are the same end
 * of a pipe, whose other end tells whether a copy is left.
 */
#include <prefork/ipc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum how {
    HEADER = 1,
    TURN = 2,   /* let the channel read what there is so far */
    ANSWER = 4, /* the channel sends a record, which nobody reads */
    TAKE = 8,   /* on_message keeps the first descriptor of this record */
    MANY = 16,  /* as many descriptors as the kernel allows */
    LONG = 32,  /* the longest payload, with the bytes in front */
    FREE = 64,  /* on_message frees the channel at this record */
    FLIP = 128,
};

struct step {
    unsigned how, descriptors, flip;
    const uint8_t *bytes;
    size_t len;
};

/* What one record must lead to. */
struct expected {
    size_t len, fd_count;
    uint64_t sum; /* of the payload's bytes */
    bool take, free;
};

enum {
    STEPS_MAX = 256
};

struct fuzz {
    pf_loop *loop;
    pf_channel *channel; /* NULL: freed */
    int peer;
    int pipe[2];
    struct expected expected[STEPS_MAX];
    unsigned sent, valid, heard; /* records; those before the first that is wrong */
    bool ended;                  /* the first that is wrong, or that reads as an end */
    int reason;                  /* that the channel must tell */
    bool answered, closed;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t sum_of(const void *bytes, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + ((const uint8_t *)bytes)[i];
    return sum;
}

/* ---- the channel ----------------------------------------------------------------- */

static void fuzz_on_message(pf_channel *channel, const struct pf_message *message,
                            void *arg)
{
    struct fuzz *fuzz = arg;
    must(channel == fuzz->channel && !fuzz->closed && fuzz->heard < fuzz->valid);
    const struct expected *expected = &fuzz->expected[fuzz->heard];
    must(message->sequence == fuzz->heard && message->len == expected->len &&
         message->fd_count == expected->fd_count &&
         sum_of(message->payload, message->len) == expected->sum);
    for (size_t i = 0; i < message->fd_count; i++)
        must(fcntl(message->fds[i], F_GETFD) == FD_CLOEXEC);
    fuzz->heard++;
    if (expected->take && message->fd_count) {
        close(message->fds[0]);
        message->fds[0] = -1;
    }
    if (expected->free) {
        pf_channel_free(channel);
        fuzz->channel = NULL;
    }
}

static void fuzz_on_closed(pf_channel *channel, int reason, void *arg)
{
    struct fuzz *fuzz = arg;
    must(channel == fuzz->channel && !fuzz->closed && fuzz->heard == fuzz->valid &&
         reason == fuzz->reason);
    fuzz->closed = true;
}

/* ---- the peer -------------------------------------------------------------------- */

static bool is_right(const struct fuzz *fuzz, const uint8_t *record, size_t len,
                     size_t fd_count)
{
    const struct pf_ipc_header right = {.magic = PF_IPC_MAGIC,
                                        .version = PF_IPC_VERSION,
                                        .descriptors = (uint8_t)fd_count,
                                        .length = (uint32_t)(len - sizeof right),
                                        .sequence = fuzz->valid};
    struct pf_ipc_header header;
    if (len < sizeof header || len > PF_IPC_RECORD_MAX)
        return false;
    memcpy(&header, record, sizeof header);
    header.type = 0; /* any will do */
    return memcmp(&header, &right, sizeof header) == 0;
}

static void expect(struct fuzz *fuzz, const struct step *step, const uint8_t *record,
                   size_t len, size_t fd_count)
{
    if (fuzz->ended)
        return;
    if (!is_right(fuzz, record, len, fd_count)) {
        fuzz->ended = true;
        fuzz->reason = len || fd_count ? -EPROTO : 0;
        return;
    }
    struct expected *expected = &fuzz->expected[fuzz->valid++];
    *expected = (struct expected){.len = len - sizeof(struct pf_ipc_header),
                                  .fd_count = fd_count,
                                  .take = step->how & TAKE,
                                  .free = step->how & FREE};
    expected->sum = sum_of(record + sizeof(struct pf_ipc_header), expected->len);
    if (expected->free)
        fuzz->ended = true; /* nothing is heard behind it */
}

static ssize_t send_by_hand(const struct fuzz *fuzz, void *record, size_t len,
                            size_t fd_count)
{
    struct iovec part = {record, len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(PF_IPC_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (fd_count) {
        int fds[PF_IPC_FDS_MAX];
        for (size_t i = 0; i < fd_count; i++)
            fds[i] = fuzz->pipe[1];
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    return sendmsg(fuzz->peer, &message, MSG_NOSIGNAL);
}

static size_t make_record(const struct fuzz *fuzz, const struct step *step, size_t fd_count,
                          uint8_t *record)
{
    if (!(step->how & HEADER)) {
        memcpy(record, step->bytes, step->len);
        return step->len;
    }
    struct pf_ipc_header header = {.magic = PF_IPC_MAGIC,
                                   .type = (uint16_t)step->flip,
                                   .version = PF_IPC_VERSION,
                                   .descriptors = (uint8_t)fd_count,
                                   .sequence = fuzz->valid};
    size_t len = step->how & LONG ? PF_IPC_PAYLOAD_MAX : step->len;
    header.length = (uint32_t)len;
    memcpy(record, &header, sizeof header);
    if (step->how & FLIP)
        record[step->flip / 8 % sizeof header] ^= (uint8_t)(1u << step->flip % 8);
    memset(record + sizeof header, 0, len);
    memcpy(record + sizeof header, step->bytes, step->len);
    return len + sizeof header;
}

static void turn(const struct fuzz *fuzz)
{
    must(pf_loop_turn(fuzz->loop, 0) >= 0);
}

/* One step; false if the channel does not read any more and its socket is full. */
static bool take_step(struct fuzz *fuzz, const struct step *step)
{
    static uint8_t record[PF_IPC_RECORD_MAX];
    size_t fd_count = step->how & MANY ? PF_IPC_FDS_MAX : step->descriptors % 8;
    if (step->how & ANSWER && fuzz->channel && !fuzz->closed)
        fuzz->answered |= pf_channel_send(fuzz->channel, 1, "unread", 6, NULL, 0) == 0;
    size_t len = make_record(fuzz, step, fd_count, record);
    ssize_t n = send_by_hand(fuzz, record, len, fd_count);
    for (int i = 0; n == -1 && i < 100; i++) { /* full, or too much in flight */
        turn(fuzz);
        n = send_by_hand(fuzz, record, len, fd_count);
    }
    if (n == -1) /* nobody reads; EPIPE: it was freed */
        return false;
    must((size_t)n == len);
    expect(fuzz, step, record, len, fd_count);
    if (step->how & TURN)
        turn(fuzz);
    return true;
}

static bool next_step(const uint8_t **data, size_t *size, struct step *step)
{
    if (*size < 4)
        return false;
    const uint8_t *at = *data;
    *step =
        (struct step){.how = at[0], .descriptors = at[1], .flip = at[2], .bytes = at + 4};
    step->len = at[3] < *size - 4 ? at[3] : *size - 4;
    *data += 4 + step->len;
    *size -= 4 + step->len;
    return true;
}

/* ---- the target ------------------------------------------------------------------ */

static void begin(struct fuzz *fuzz)
{
    int fds[2];
    must(pf_loop_new(NULL, &fuzz->loop) == 0);
    must(pf_ipc_pair(fds) == 0);
    must(pipe2(fuzz->pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    struct pf_channel_options options = {PF_CHANNEL_OPTIONS, .on_message = fuzz_on_message,
                                         .on_closed = fuzz_on_closed, .arg = fuzz};
    must(pf_channel_new(fuzz->loop, fds[0], &options, &fuzz->channel) == 0);
    fuzz->peer = fds[1];
}

static void end(struct fuzz *fuzz)
{
    close(fuzz->peer);
    if (fuzz->reason == 0 && fuzz->answered && !fuzz->closed)
        fuzz->reason = -ECONNRESET; /* before whatever else there is to read */
    for (int i = 0; i < STEPS_MAX && fuzz->channel && !fuzz->closed; i++)
        turn(fuzz);
    turn(fuzz); /* nothing more is told */
    must(fuzz->heard == fuzz->valid && (fuzz->closed || !fuzz->channel));
    pf_channel_free(fuzz->channel);
    must(pf_loop_close(fuzz->loop, false) == 0);
    pf_loop_unref(fuzz->loop);
    close(fuzz->pipe[1]);
    char c;
    must(read(fuzz->pipe[0], &c, 1) == 0); /* the end: no copy is left anywhere */
    close(fuzz->pipe[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {0};
    struct step step;
    begin(&fuzz);
    while (fuzz.sent < STEPS_MAX && next_step(&data, &size, &step) &&
           take_step(&fuzz, &step))
        fuzz.sent++;
    end(&fuzz);
    return 0;
}
