/* test_channel.c - records and descriptors between two ends, whatever the other end does.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include <prefork/ipc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a channel has told us. */
struct heard {
    unsigned messages;
    uint32_t last_sequence;
    uint16_t last_type;
    size_t last_len;
    char last[64];
    size_t fds_seen;
    bool fds_lost; /* of the last message */
    int taken_fd;  /* the first descriptor of the last message, if `take` */
    bool take;
    bool closed;
    int reason;
    bool free_in_message, free_in_closed;
    int fd; /* if not 0: the channel's, looked at after it was freed in a message */
    bool fd_is_open;
    pf_channel *channel;
};

static void on_message(pf_channel *channel, const struct pf_message *message, void *arg)
{
    struct heard *heard = arg;
    heard->messages++;
    heard->last_sequence = message->sequence;
    heard->last_type = message->type;
    heard->last_len = message->len;
    memcpy(heard->last, message->payload,
           message->len < sizeof heard->last ? message->len : sizeof heard->last);
    heard->fds_seen += message->fd_count;
    heard->fds_lost = message->fds_lost;
    if (heard->take && message->fd_count) {
        heard->taken_fd = message->fds[0];
        message->fds[0] = -1;
    }
    if (heard->free_in_message)
        pf_channel_free(channel);
    if (heard->fd)
        heard->fd_is_open = fcntl(heard->fd, F_GETFD) != -1;
}

static void on_closed(pf_channel *channel, int reason, void *arg)
{
    struct heard *heard = arg;
    heard->closed = true;
    heard->reason = reason;
    if (heard->free_in_closed)
        pf_channel_free(channel);
}

struct rig {
    pf_loop *loop;
    pf_channel *a;
    struct heard at_a;
    int fd; /* the channel's */
    int b;  /* the other end, spoken by hand or by a second channel */
};

static void rig_up(struct rig *rig)
{
    *rig = (struct rig){.at_a = {.taken_fd = -1}};
    int fds[2];
    assert_int_equal(pf_loop_new(NULL, &rig->loop), 0);
    assert_int_equal(pf_ipc_pair(fds), 0);
    struct pf_channel_options options = {PF_CHANNEL_OPTIONS, .on_message = on_message,
                                         .on_closed = on_closed, .arg = &rig->at_a};
    assert_int_equal(pf_channel_new(rig->loop, fds[0], &options, &rig->a), 0);
    rig->fd = fds[0];
    rig->b = fds[1];
}

static void rig_down(struct rig *rig)
{
    pf_channel_free(rig->a);
    if (rig->b != -1)
        close(rig->b);
    assert_int_equal(pf_loop_close(rig->loop, false), 0);
    pf_loop_unref(rig->loop);
}

static struct pf_ipc_header header_of(uint32_t sequence)
{
    return (struct pf_ipc_header){
        .magic = PF_IPC_MAGIC, .type = 1, .version = PF_IPC_VERSION, .sequence = sequence};
}

/* Send bytes and descriptors as one record, whatever a channel would think of them. */
static void send_by_hand(int to, const void *bytes, size_t len, const int *fds,
                         size_t count)
{
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(PF_IPC_FDS_MAX * sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    assert_int_equal(sendmsg(to, &message, 0), len);
}

static void turn(struct rig *rig)
{
    assert_true(pf_loop_turn(rig->loop, 0) >= 0);
}

static pf_channel *channel_at_b(struct rig *rig, struct heard *heard)
{
    struct pf_channel_options options = {PF_CHANNEL_OPTIONS, .on_message = on_message,
                                         .on_closed = on_closed, .arg = heard};
    pf_channel *channel;
    assert_int_equal(pf_channel_new(rig->loop, rig->b, &options, &channel), 0);
    rig->b = -1;
    return channel;
}

static void a_record_arrives_whole_with_type_sequence_and_payload(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    assert_int_equal(pf_channel_send(b, 7, "first", 5, NULL, 0), 0);
    assert_int_equal(pf_channel_send(b, 8, NULL, 0, NULL, 0), 0);
    turn(&rig);
    assert_int_equal(rig.at_a.messages, 2);
    assert_int_equal(rig.at_a.last_type, 8);
    assert_int_equal(rig.at_a.last_sequence, 1);
    assert_int_equal(rig.at_a.last_len, 0);
    assert_memory_equal(rig.at_a.last, "first", 5);
    pf_channel_free(b);
    rig_down(&rig);
}

static void the_longest_record_fits_and_a_longer_one_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    char *big = calloc(1, PF_IPC_PAYLOAD_MAX + 1);
    assert_non_null(big);
    assert_int_equal(pf_channel_send(b, 1, big, PF_IPC_PAYLOAD_MAX + 1, NULL, 0),
                     -EMSGSIZE);
    assert_int_equal(pf_channel_send(b, 1, big, PF_IPC_PAYLOAD_MAX, NULL, 0), 0);
    turn(&rig);
    assert_int_equal(rig.at_a.last_len, PF_IPC_PAYLOAD_MAX);
    free(big);
    pf_channel_free(b);
    rig_down(&rig);
}

static void descriptors_come_with_their_record_and_the_untaken_are_closed(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    rig.at_a.take = true;
    assert_int_equal(pf_channel_send(b, 1, "x", 1, pipe_fds, 2), 0);
    turn(&rig);
    assert_int_equal(rig.at_a.fds_seen, 2);
    assert_true(rig.at_a.taken_fd >= 0);
    assert_int_equal(fcntl(rig.at_a.taken_fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(pipe_fds[1], "!", 1), 1); /* the same pipe, through the copy */
    char c = 0;
    assert_int_equal(read(rig.at_a.taken_fd, &c, 1), 1);
    assert_int_equal(c, '!');
    close(rig.at_a.taken_fd);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    pf_channel_free(b);
    rig_down(&rig); /* the fixture counts what is left open */
}

static void as_many_descriptors_as_the_kernel_allows_and_no_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    int fds[PF_IPC_FDS_MAX + 1];
    for (int i = 0; i <= PF_IPC_FDS_MAX; i++)
        fds[i] = STDERR_FILENO;
    assert_int_equal(pf_channel_send(b, 1, NULL, 0, fds, PF_IPC_FDS_MAX + 1), -EMSGSIZE);
    assert_int_equal(pf_channel_send(b, 1, NULL, 0, fds, PF_IPC_FDS_MAX), 0);
    turn(&rig);
    assert_int_equal(rig.at_a.fds_seen, PF_IPC_FDS_MAX);
    pf_channel_free(b);
    rig_down(&rig);
}

static void what_the_socket_does_not_take_waits_in_order_up_to_the_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    char block[4096] = "";
    unsigned sent = 0;
    int err;
    while ((err = pf_channel_send(rig.a, 1, block, sizeof block, NULL, 0)) == 0)
        sent++;
    assert_int_equal(err, -ENOBUFS);
    assert_int_equal(pf_channel_queued(rig.a), PF_IPC_QUEUE_MAX);
    /* A record with a descriptor waits like the others would; room comes when b reads. */
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    for (int i = 0; i < 10000 && at_b.messages < sent; i++)
        turn(&rig);
    assert_int_equal(at_b.messages, sent);
    assert_int_equal(at_b.last_sequence, sent - 1);
    assert_int_equal(pf_channel_queued(rig.a), 0);
    pf_channel_free(b);
    rig_down(&rig);
}

static void the_socket_itself_holds_more_than_the_default(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    int plain[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, plain), 0);
    char record[64] = "";
    unsigned usual = 0, ours = 0;
    while (send(plain[0], record, sizeof record, 0) == (ssize_t)sizeof record)
        usual++;
    while (pf_channel_queued(rig.a) == 0) {
        assert_int_equal(pf_channel_send(rig.a, 1, record, 48, NULL, 0), 0);
        ours++;
    }
    int bytes = 0;
    socklen_t len = sizeof bytes;
    assert_int_equal(getsockopt(plain[0], SOL_SOCKET, SO_SNDBUF, &bytes, &len), 0);
    assert_true(ours >= usual);
    if (bytes <= 212992) /* the kernel's default, unless an administrator raised it */
        assert_true(ours > usual + usual / 2);
    close(plain[0]);
    close(plain[1]);
    rig_down(&rig);
}

static void large_records_wait_up_to_a_limit_of_bytes(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    static char block[PF_IPC_PAYLOAD_MAX];
    int err;
    while ((err = pf_channel_send(rig.a, 1, block, sizeof block, NULL, 0)) == 0)
        ;
    assert_int_equal(err, -ENOBUFS);
    int waiting = pf_channel_queued(rig.a);
    assert_true(waiting < PF_IPC_QUEUE_MAX);
    assert_true((size_t)waiting * sizeof block <= PF_IPC_QUEUE_BYTES_MAX);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    for (int i = 0; i < 10000 && pf_channel_queued(rig.a) > 0; i++)
        turn(&rig);
    for (int i = 0; i < 200; i++) /* what was freed counts no more */
        assert_int_equal(pf_channel_send(rig.a, 1, block, 0, NULL, 0), 0);
    pf_channel_free(b);
    rig_down(&rig);
}

/* unix(7), ETOOMANYREFS: a user without privileges may have as many descriptors in flight
 * as may be open. The socket has room all the while, so it must not be polled for that. */
static void send_more_than_may_be_in_flight(void *arg)
{
    struct rig *rig = arg;
    *rig = (struct rig){0};
    struct rlimit low = {64, 64};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    if (setresuid(61234, 61234, 61234) != 0)
        return; /* a user namespace that has no other users */
    rig_up(rig);
    int fds[16];
    for (int i = 0; i < 16; i++)
        fds[i] = STDERR_FILENO;
    unsigned sent = 0;
    while (pf_channel_queued(rig->a) == 0) {
        assert_int_equal(pf_channel_send(rig->a, 1, NULL, 0, fds, 16), 0);
        assert_true(++sent < 100);
    }
    assert_int_equal(pf_channel_send(rig->a, 1, NULL, 0, NULL, 0), 0);
    assert_int_equal(pf_channel_queued(rig->a), 2);
    for (int i = 0; i < 10; i++)
        turn(rig);
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(rig->loop, &stats), 0);
    assert_int_equal(stats.events, 0);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(rig, &at_b);
    while (at_b.messages < sent + 1)
        assert_true(pf_loop_turn(rig->loop, PF_SECOND) >= 0);
    assert_int_equal(at_b.fds_seen, 16 * sent);
    assert_int_equal(at_b.last_sequence, sent);
    pf_channel_free(b);
    rig_down(rig);
}

static void too_many_descriptors_in_flight_are_waited_for_without_spinning(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which has limits of its own */
    if (geteuid() != 0)
        skip();
    struct rig rig;
    pf_test_in_child(send_more_than_may_be_in_flight, &rig);
}

static void a_waiting_record_keeps_its_descriptors_though_the_sender_closes_his(
    void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    char block[4096] = "";
    while (pf_channel_queued(rig.a) == 0)
        assert_int_equal(pf_channel_send(rig.a, 1, block, sizeof block, NULL, 0), 0);
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(pf_channel_send(rig.a, 2, NULL, 0, pipe_fds, 1), 0);
    close(pipe_fds[0]);
    struct heard at_b = {.taken_fd = -1, .take = true};
    pf_channel *b = channel_at_b(&rig, &at_b);
    for (int i = 0; i < 1000 && at_b.taken_fd == -1; i++)
        turn(&rig);
    assert_int_equal(write(pipe_fds[1], "!", 1), 1);
    char c = 0;
    assert_int_equal(read(at_b.taken_fd, &c, 1), 1);
    close(at_b.taken_fd);
    close(pipe_fds[1]);
    pf_channel_free(b);
    rig_down(&rig);
}

static void records_that_wait_are_dropped_with_the_channel(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    char block[4096] = "";
    int fd = STDERR_FILENO;
    while (pf_channel_send(rig.a, 1, block, sizeof block, &fd, 1) == 0)
        ;
    assert_int_equal(pf_channel_queued(rig.a), PF_IPC_QUEUE_MAX);
    rig_down(&rig); /* the fixture finds duplicates that were not closed */
}

static void the_peer_closing_is_told_once_and_sending_then_fails(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    close(rig.b);
    rig.b = -1;
    turn(&rig);
    assert_true(rig.at_a.closed);
    assert_int_equal(rig.at_a.reason, 0);
    assert_int_equal(pf_channel_send(rig.a, 1, "x", 1, NULL, 0), -EPIPE);
    rig.at_a.closed = false;
    turn(&rig);
    assert_false(rig.at_a.closed);
    rig_down(&rig);
}

static void the_last_words_of_a_peer_that_died_with_unread_records_are_heard(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    assert_int_equal(pf_channel_send(rig.a, 1, "unread", 6, NULL, 0), 0);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    assert_int_equal(pf_channel_send(b, 9, "bye", 3, NULL, 0), 0);
    pf_channel_free(b);
    for (int i = 0; i < 10 && !rig.at_a.closed; i++)
        turn(&rig);
    assert_int_equal(rig.at_a.messages, 1);
    assert_memory_equal(rig.at_a.last, "bye", 3);
    assert_int_equal(rig.at_a.reason, -ECONNRESET);
    rig_down(&rig);
}

/* More than are handled in one go. */
static void last_words_of_any_number_are_heard_before_the_reason(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    assert_int_equal(pf_channel_send(rig.a, 1, "unread", 6, NULL, 0), 0);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    for (int i = 0; i < 200; i++)
        assert_int_equal(pf_channel_send(b, 9, "bye", 3, NULL, 0), 0);
    assert_int_equal(pf_channel_queued(b), 0);
    pf_channel_free(b);
    for (int i = 0; i < 10 && !rig.at_a.closed; i++)
        turn(&rig);
    assert_int_equal(rig.at_a.messages, 200);
    assert_int_equal(rig.at_a.reason, -ECONNRESET);
    rig_down(&rig);
}

/* The kernel tells of it once, to whoever asks first. */
static void a_death_that_a_send_was_told_of_is_no_orderly_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    assert_int_equal(pf_channel_send(rig.a, 1, "unread", 6, NULL, 0), 0);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    assert_int_equal(pf_channel_send(b, 9, "bye", 3, NULL, 0), 0);
    pf_channel_free(b);
    assert_int_equal(pf_channel_send(rig.a, 1, "x", 1, NULL, 0), -EPIPE);
    for (int i = 0; i < 10 && !rig.at_a.closed; i++)
        turn(&rig);
    assert_int_equal(rig.at_a.messages, 1);
    assert_int_equal(rig.at_a.reason, -ECONNRESET);
    rig_down(&rig);
}

static void what_is_no_record_ends_the_channel(void **state)
{
    (void)state;
    struct pf_ipc_header good = header_of(0);
    struct {
        struct pf_ipc_header header;
        size_t len; /* of what is sent */
    } rows[] = {
        {good, 3},               /* shorter than a header */
        {good, sizeof good + 1}, /* longer than it says */
        {good, sizeof good},     /* magic */
        {good, sizeof good},     /* version */
        {good, sizeof good},     /* length */
        {good, sizeof good},     /* descriptors that did not come */
        {good, sizeof good},     /* sequence */
    };
    rows[2].header.magic ^= 1;
    rows[3].header.version++;
    rows[4].header.length = 5;
    rows[5].header.descriptors = 1;
    rows[6].header.sequence = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig rig;
        rig_up(&rig);
        char bytes[64] = "";
        memcpy(bytes, &rows[i].header, sizeof good);
        assert_int_equal(send(rig.b, bytes, rows[i].len, 0), rows[i].len);
        turn(&rig);
        assert_true(rig.at_a.closed);
        assert_int_equal(rig.at_a.reason, -EPROTO);
        assert_int_equal(rig.at_a.messages, 0);
        rig_down(&rig);
    }
}

static void descriptors_that_were_not_declared_are_closed(void **state)
{
    (void)state;
    struct pf_ipc_header none = header_of(0), two = header_of(0);
    two.descriptors = 2;
    struct {
        const void *bytes;
        size_t len, sent;
    } rows[] = {
        {&none, sizeof none, 1},
        {&two, sizeof two, 3},
        {&none, 5, 2}, /* no header, but descriptors */
        {"", 0, 2},    /* reads like the end of the file */
    };
    int fds[3] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig rig;
        rig_up(&rig);
        send_by_hand(rig.b, rows[i].bytes, rows[i].len, fds, rows[i].sent);
        turn(&rig);
        assert_true(rig.at_a.closed);
        assert_int_equal(rig.at_a.reason, -EPROTO);
        assert_int_equal(rig.at_a.messages, 0);
        rig_down(&rig); /* the fixture finds what was kept */
    }
}

static void without_room_for_its_descriptors_a_record_comes_without_them(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* the same */
    struct rig rig;
    rig_up(&rig);
    struct heard at_b = {.taken_fd = -1};
    pf_channel *b = channel_at_b(&rig, &at_b);
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = STDERR_FILENO;
    assert_int_equal(pf_channel_send(b, 1, NULL, 0, fds, 8), 0);
    int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    assert_true(next >= 0);
    close(next);
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)next + 3; /* some of them fit */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    turn(&rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(rig.at_a.closed);
    assert_int_equal(rig.at_a.messages, 1);
    assert_true(rig.at_a.fds_lost);
    assert_int_equal(rig.at_a.fds_seen, 0);
    assert_int_equal(pf_channel_send(b, 1, NULL, 0, fds, 1), 0);
    turn(&rig);
    assert_int_equal(rig.at_a.messages, 2);
    assert_false(rig.at_a.fds_lost);
    pf_channel_free(b);
    rig_down(&rig);
}

static void a_record_out_of_sequence_ends_the_channel(void **state)
{
    (void)state;
    static const uint32_t second[] = {0, 2, UINT32_MAX};
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        struct rig rig;
        rig_up(&rig);
        struct pf_ipc_header first = header_of(0), then = header_of(second[i]);
        assert_int_equal(send(rig.b, &first, sizeof first, 0), sizeof first);
        assert_int_equal(send(rig.b, &then, sizeof then, 0), sizeof then);
        turn(&rig);
        assert_int_equal(rig.at_a.messages, 1);
        assert_int_equal(rig.at_a.reason, -EPROTO);
        rig_down(&rig);
    }
}

static void a_channel_may_be_freed_in_its_own_callbacks(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    rig.at_a.free_in_message = true;
    rig.at_a.fd = rig.fd;
    struct pf_ipc_header header = header_of(0);
    assert_int_equal(send(rig.b, &header, sizeof header, 0), sizeof header);
    header = header_of(1);
    assert_int_equal(send(rig.b, &header, sizeof header, 0), sizeof header);
    turn(&rig);
    assert_int_equal(rig.at_a.messages, 1);
    assert_false(rig.at_a.fd_is_open); /* a fork in there might never return */
    rig.a = NULL;
    rig_down(&rig);

    rig_up(&rig);
    rig.at_a.free_in_closed = true;
    close(rig.b);
    rig.b = -1;
    turn(&rig);
    assert_true(rig.at_a.closed);
    rig.a = NULL;
    rig_down(&rig);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    struct pf_channel_options none = {0};
    pf_channel *out = NULL;
    assert_int_equal(pf_ipc_pair(NULL), -EINVAL);
    assert_int_equal(pf_channel_new(rig.loop, rig.b, &none, &out), -EINVAL);
    assert_int_equal(pf_channel_new(rig.loop, rig.b, NULL, &out), -EINVAL);
    struct pf_channel_options options = {PF_CHANNEL_OPTIONS, .on_message = on_message,
                                         .on_closed = on_closed, .arg = NULL};
    assert_int_equal(pf_channel_new(rig.loop, -1, &options, &out), -EBADF);
    assert_int_equal(pf_channel_new(NULL, rig.b, &options, &out), -EINVAL);
    assert_null(out);
    assert_int_equal(pf_channel_send(rig.a, 1, NULL, 1, NULL, 0), -EINVAL);
    assert_int_equal(pf_channel_send(rig.a, 1, NULL, 0, NULL, 1), -EINVAL);
    assert_int_equal(pf_channel_send(NULL, 1, NULL, 0, NULL, 0), -EINVAL);
    pf_channel_free(NULL);
    rig_down(&rig);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_record_arrives_whole_with_type_sequence_and_payload),
        pf_test(the_longest_record_fits_and_a_longer_one_is_refused),
        pf_test(descriptors_come_with_their_record_and_the_untaken_are_closed),
        pf_test(as_many_descriptors_as_the_kernel_allows_and_no_more),
        pf_test(what_the_socket_does_not_take_waits_in_order_up_to_the_limit),
        pf_test(the_socket_itself_holds_more_than_the_default),
        pf_test(large_records_wait_up_to_a_limit_of_bytes),
        pf_test(too_many_descriptors_in_flight_are_waited_for_without_spinning),
        pf_test(a_waiting_record_keeps_its_descriptors_though_the_sender_closes_his),
        pf_test(records_that_wait_are_dropped_with_the_channel),
        pf_test(the_peer_closing_is_told_once_and_sending_then_fails),
        pf_test(the_last_words_of_a_peer_that_died_with_unread_records_are_heard),
        pf_test(last_words_of_any_number_are_heard_before_the_reason),
        pf_test(a_death_that_a_send_was_told_of_is_no_orderly_end),
        pf_test(what_is_no_record_ends_the_channel),
        pf_test(descriptors_that_were_not_declared_are_closed),
        pf_test(without_room_for_its_descriptors_a_record_comes_without_them),
        pf_test(a_record_out_of_sequence_ends_the_channel),
        pf_test(a_channel_may_be_freed_in_its_own_callbacks),
        pf_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
