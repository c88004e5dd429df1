/*
 * test_conn.c - connections against a scripted protocol: each test has a real loop with a
 * clock of its own, and holds the other end of each socket itself.
 *
 * recv, send, epoll_ctl and malloc are defined here, so that a test can count them.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "net/conn.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- counted calls --------------------------------------------------------------- */

static int fail_controls;
static unsigned recvs, sends, controls, mallocs;

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    recvs++;
    return syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    sends++;
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    controls++;
    if (fail_controls) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

#ifdef __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#if !SANITIZED
void *__libc_malloc(size_t size); /* glibc's own */
void *malloc(size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}
#endif

/* ---- a protocol that does what the test says ------------------------------------- */

#define STATE_MARK 0x5ca1ab1e

struct state {
    unsigned mark;
    unsigned number; /* which of the test's connections it is */
};

/* Everything that happened, to all connections of the test. */
static struct {
    unsigned datas, eofs, deadlines, closes, gone;
    int reason;       /* of the last close */
    size_t most_seen; /* longest input shown */
} seen;

static pf_loop *loop;
static pf_conns *conns;
static int64_t now_ns;

static size_t (*do_data)(pf_conn *conn, const char *data, size_t len);
static void (*do_eof)(pf_conn *conn);
static void (*do_deadline)(pf_conn *conn);
static void (*do_close)(pf_conn *conn);

static size_t on_data(pf_conn *conn, const char *data, size_t len)
{
    seen.datas++;
    if (len > seen.most_seen)
        seen.most_seen = len;
    return do_data(conn, data, len);
}

static void on_eof(pf_conn *conn)
{
    seen.eofs++;
    if (do_eof)
        do_eof(conn);
}

static void on_deadline(pf_conn *conn)
{
    seen.deadlines++;
    if (do_deadline)
        do_deadline(conn);
}

static void on_close(pf_conn *conn, int reason)
{
    const struct state *state = pf_conn_state(conn);
    assert_true(state->mark == 0 || state->mark == STATE_MARK);
    assert_int_equal(pf_conn_get_state(conn), PF_CONN_CLOSED);
    seen.closes++;
    seen.reason = reason;
    if (do_close)
        do_close(conn);
}

static void on_gone(pf_conns *from, int fd, void *arg)
{
    assert_true(fd >= 0);
    assert_ptr_equal(from, conns);
    assert_ptr_equal(arg, &seen);
    seen.gone++;
}

static const struct pf_conn_protocol full_protocol = {.name = "scripted",
                                                      .state_size = sizeof(struct state),
                                                      .on_data = on_data,
                                                      .on_eof = on_eof,
                                                      .on_deadline = on_deadline,
                                                      .on_close = on_close};

/* No function but the one that must be. */
static const struct pf_conn_protocol bare_protocol = {.name = "bare",
                                                      .state_size = sizeof(struct state),
                                                      .on_data = on_data,
                                                      .on_close = on_close};

/* Answers each line with itself, until the peer stops reading. */
static size_t echo_lines(pf_conn *conn, const char *data, size_t len)
{
    size_t used = 0;
    while (!pf_conn_blocked(conn)) {
        const char *end = memchr(data + used, '\n', len - used);
        if (!end)
            break;
        size_t line = (size_t)(end - data) + 1 - used;
        char *room = pf_conn_reserve(conn, line);
        if (room) {
            memcpy(room, data + used, line);
            pf_conn_wrote(conn, line);
        } else if (pf_conn_write(conn, data + used, line) != 0) {
            break;
        }
        used += line;
    }
    return used;
}

static size_t use_nothing(pf_conn *conn, const char *data, size_t len)
{
    (void)conn, (void)data, (void)len;
    return 0;
}

/* ---- the stage ------------------------------------------------------------------- */

#define INPUT_MAX  8192
#define OUTPUT_MAX (256 * 1024)

/* The deadline classes. */
enum {
    SHORT,
    LONG,
    UNUSED
};
#define SHORT_NS (10 * PF_SECOND)
#define LONG_NS  (75 * PF_SECOND)

static int64_t test_clock(void *arg)
{
    (void)arg;
    return now_ns;
}

static void open_stage(const struct pf_conn_protocol *protocol)
{
    memset(&seen, 0, sizeof seen);
    now_ns = 1000 * PF_SECOND;
    do_data = echo_lines;
    do_eof = NULL;
    do_deadline = NULL;
    do_close = NULL;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = test_clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    struct pf_conns_options conn_options = {.protocol = protocol,
                                            .arg = &seen,
                                            .input_max = INPUT_MAX,
                                            .output_max = OUTPUT_MAX,
                                            .timeouts_ns = {SHORT_NS, LONG_NS},
                                            .on_gone = on_gone};
    assert_int_equal(pf_conns_new(loop, &conn_options, &conns), 0);
}

static void close_stage(void)
{
    pf_conns_free(conns);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void turn(int times)
{
    while (times-- > 0)
        assert_true(pf_loop_turn(loop, 0) >= 0);
}

static int64_t real_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * PF_SECOND + t.tv_nsec;
}

/* Turn the loop until the condition holds; fails the test after PF_TEST_DEADLINE_S. */
#define turn_until(condition)                                                              \
    do {                                                                                   \
        int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;                    \
        while (!(condition)) {                                                             \
            assert_true(real_time() < give_up);                                            \
            turn(1);                                                                       \
            sched_yield();                                                                 \
        }                                                                                  \
    } while (0)

static uint64_t events_so_far(void)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats.events;
}

static void assert_idle(void)
{
    turn(3); /* what is due comes first */
    uint64_t before = events_so_far();
    turn(50);
    assert_int_equal(events_so_far(), before);
}

static pf_conn *open_conn(int fd)
{
    pf_conn *conn;
    assert_int_equal(pf_conn_open(conns, fd, &conn), 0);
    struct state *state = pf_conn_state(conn);
    assert_int_equal(state->mark, 0);
    return conn;
}

/* A connection over a socket pair, with small buffers; *peer is non-blocking too. */
static pf_conn *open_pair(int *peer)
{
    int fds[2], small = 8192;
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    *peer = fds[1];
    return open_conn(fds[0]);
}

static pf_conn *open_tcp(int *peer)
{
    struct pf_address address;
    char why[128];
    int small = 8192;
    assert_int_equal(pf_address_parse("127.0.0.1:0", &address, why, sizeof why), 1);
    int listener = pf_listener_open(&address, &(struct pf_listener_options){.backlog = 16},
                                    PF_LISTENER_JOINS);
    assert_true(listener >= 0);
    *peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(*peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(*peer, (struct sockaddr *)&address.storage, address.len), 0);
    assert_int_equal(fcntl(*peer, F_SETFL, O_NONBLOCK), 0);
    int fd;
    do
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EAGAIN);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    close(listener);
    return open_conn(fd);
}

static void say(int peer, const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

static void assert_hears(int peer, const char *text)
{
    char heard[4096];
    ssize_t n = read(peer, heard, sizeof heard);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(heard, text, strlen(text));
}

static void assert_hears_nothing(int peer)
{
    char c;
    assert_int_equal(read(peer, &c, 1), -1);
    assert_int_equal(errno, EAGAIN);
}

static void assert_hears_the_end(int peer)
{
    char c;
    assert_int_equal(read(peer, &c, 1), 0);
}

/* Close so that the other side gets a reset (TCP). */
static void reset_peer(int peer)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(peer);
}

/* A pattern that shows a lost, doubled or moved byte. */
static char pattern(size_t at)
{
    return (char)('a' + (at * 7 + at / 251) % 26);
}

static char big[OUTPUT_MAX];

static void fill_big(void)
{
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = pattern(i);
}

/* Fill the pipe until output waits. Returns how much was written in all. */
static size_t block(pf_conn *conn)
{
    size_t written = 0;
    fill_big();
    while (!pf_conn_blocked(conn)) {
        assert_true(written + 4096 <= sizeof big);
        assert_int_equal(pf_conn_write(conn, big + written, 4096), 0);
        written += 4096;
    }
    return written;
}

/* Read `want` bytes of the pattern while the loop turns. */
static void drain_pattern(int peer, size_t want)
{
    static char heard[OUTPUT_MAX];
    size_t got = 0;
    int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;
    while (got < want) {
        ssize_t n = read(peer, heard + got, want - got);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            assert_true(n > 0);
        got += n > 0 ? (size_t)n : 0;
        assert_true(real_time() < give_up);
        turn(1);
    }
    assert_int_equal(got, want);
    for (size_t i = 0; i < want; i++)
        assert_true(heard[i] == pattern(i));
}

/* ---- input and output ------------------------------------------------------------ */

static void whole_request_costs_one_recv_and_one_send(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_set_deadline(conn, LONG);
    say(peer, "warm up\n");
    turn(1);
    assert_hears(peer, "warm up\n");
    for (int i = 0; i < 100; i++) {
        now_ns += PF_MILLISECOND;
        pf_conn_set_deadline(conn, LONG);
        say(peer, "hello\n");
        recvs = sends = controls = mallocs = 0;
        turn(1);
        assert_int_equal(recvs, 1);
        assert_int_equal(sends, 1);
        assert_int_equal(controls, 0);
        assert_int_equal(mallocs, 0);
        assert_hears(peer, "hello\n");
    }
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_int_equal(stats.timers, 0);
    assert_int_equal(stats.timers_live, 1);
    close(peer);
    close_stage();
}

static void pipelined_requests_are_answered_in_order_with_one_send(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    open_pair(&peer);
    say(peer, "a\nbb\nccc\ndddd\n");
    sends = 0;
    turn(1);
    assert_int_equal(sends, 1);
    assert_int_equal(seen.datas, 1);
    assert_hears(peer, "a\nbb\nccc\ndddd\n");
    close(peer);
    close_stage();
}

static void input_left_over_comes_again_in_front_of_more(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    const char *text = "one\ntwo\nthr";
    for (const char *c = text; *c; c++) {
        assert_int_equal(write(peer, c, 1), 1);
        turn(1);
    }
    assert_hears(peer, "one\ntwo\n");
    assert_int_equal(seen.most_seen, 4);
    assert_int_equal(pf_conn_pending(conn), 3);
    say(peer, "ee\nfour\nfi");
    turn(1);
    assert_hears(peer, "three\nfour\n");
    say(peer, "ve\n");
    turn(1);
    assert_hears(peer, "five\n");
    assert_int_equal(pf_conn_pending(conn), 0);
    close(peer);
    close_stage();
}

static void long_input_in_pieces_arrives_unharmed(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    open_pair(&peer);
    fill_big();
    size_t line = INPUT_MAX - 1;
    for (size_t at = 0; at < line; at += 1000) {
        size_t n = line - at < 1000 ? line - at : 1000;
        assert_int_equal(write(peer, big + at, n), n);
        turn(2);
    }
    say(peer, "\n");
    drain_pattern(peer, line);
    assert_hears(peer, "\n");
    assert_int_equal(seen.most_seen, INPUT_MAX);
    close(peer);
    close_stage();
}

static void input_that_is_never_used_up_ends_the_connection(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    open_pair(&peer);
    fill_big();
    assert_int_equal(write(peer, big, INPUT_MAX - 1), INPUT_MAX - 1);
    turn(3);
    assert_int_equal(seen.closes, 0);
    assert_int_equal(write(peer, big, 1), 1);
    turn(3);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, -ENOBUFS);
    assert_int_equal(pf_conns_count(conns), 0);
    close(peer);
    close_stage();
}

static size_t answer_big(pf_conn *conn, const char *data, size_t len)
{
    (void)data;
    assert_int_equal(pf_conn_write(conn, big, 200), 0);
    assert_int_equal(pf_conn_write(conn, big + 200, sizeof big - 200 - PF_CONN_BATCH_MAX),
                     0);
    assert_true(pf_conn_blocked(conn));
    assert_null(pf_conn_reserve(conn, 10));
    assert_int_equal(
        pf_conn_write(conn, big + sizeof big - PF_CONN_BATCH_MAX, PF_CONN_BATCH_MAX), 0);
    return len;
}

static void answer_larger_than_every_buffer_arrives_whole(void **unused)
{
    (void)unused;
    for (int tcp = 0; tcp <= 1; tcp++) {
        open_stage(&full_protocol);
        fill_big();
        do_data = answer_big;
        int peer;
        pf_conn *conn = tcp ? open_tcp(&peer) : open_pair(&peer);
        say(peer, "?");
        turn_until(seen.datas == 1);
        assert_true(pf_conn_blocked(conn));
        drain_pattern(peer, sizeof big);
        turn_until(!pf_conn_blocked(conn));
        close(peer);
        close_stage();
    }
}

static void nothing_is_read_while_output_is_blocked(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    size_t written = block(conn);
    say(peer, "later\n");
    assert_idle();
    assert_int_equal(seen.datas, 0);
    drain_pattern(peer, written);
    turn_until(seen.datas == 1);
    assert_hears(peer, "later\n");
    close(peer);
    close_stage();
}

static size_t block_then_wait(pf_conn *conn, const char *data, size_t len)
{
    if (seen.datas == 1) {
        block(conn);
        return 2;
    }
    return echo_lines(conn, data, len);
}

static void input_left_because_of_blocked_output_comes_again_when_it_is_out(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = block_then_wait;
    int peer;
    pf_conn *conn = open_pair(&peer);
    say(peer, "1\nagain\nhalf");
    turn(5);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(pf_conn_pending(conn), strlen("again\nhalf"));
    char sink[65536];
    turn_until(!pf_conn_blocked(conn) || read(peer, sink, sizeof sink) == 0);
    assert_int_equal(seen.datas, 2);
    assert_int_equal(pf_conn_pending(conn), 4);
    say(peer, "\n");
    turn(1);
    assert_int_equal(seen.datas, 3);
    close(peer);
    close_stage();
}

static void writing_more_than_may_wait_is_refused_and_takes_nothing(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    fill_big();
    assert_int_equal(pf_conn_write(conn, big, sizeof big), 0);
    assert_int_equal(pf_conn_write(conn, big, sizeof big), -ENOBUFS);
    drain_pattern(peer, sizeof big);
    turn(2);
    assert_hears_nothing(peer);
    assert_int_equal(seen.closes, 0);
    assert_int_equal(pf_conn_write(conn, "more", 4), 0);
    assert_hears(peer, "more");
    close(peer);
    close_stage();
}

static void writing_outside_a_callback_sends_at_once(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    assert_null(pf_conn_reserve(conn, 10));
    assert_int_equal(pf_conn_write(conn, "hi", 2), 0);
    assert_hears(peer, "hi");
    assert_int_equal(pf_conn_write(conn, "", 0), 0);
    assert_hears_nothing(peer);
    close(peer);
    close_stage();
}

static pf_conn *other;

static size_t tell_the_other(pf_conn *conn, const char *data, size_t len)
{
    assert_int_equal(pf_conn_write(conn, "mine", 4), 0);
    assert_null(pf_conn_reserve(other, 4));
    assert_int_equal(pf_conn_write(other, data, len), 0);
    return len;
}

static void callback_of_one_connection_may_write_to_another(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = tell_the_other;
    int peers[2];
    open_pair(&peers[0]);
    other = open_pair(&peers[1]);
    say(peers[0], "pssst");
    turn(1);
    assert_hears(peers[0], "mine");
    assert_hears(peers[1], "pssst");
    close(peers[0]);
    close(peers[1]);
    close_stage();
}

/* ---- how peers leave ------------------------------------------------------------- */

static void answer_at_eof(pf_conn *conn)
{
    assert_int_equal(pf_conn_write(conn, "bye", 3), 0);
    assert_int_equal(pf_conn_close(conn, true), 0);
}

static void half_closed_peer_still_gets_its_answer(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_eof = answer_at_eof;
    int peer;
    open_tcp(&peer);
    say(peer, "unfinished");
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    turn_until(seen.closes == 1);
    assert_int_equal(seen.eofs, 1);
    assert_int_equal(seen.reason, 0);
    assert_hears(peer, "bye");
    assert_hears_the_end(peer);
    close(peer);
    close_stage();
}

static void peer_that_closes_ends_a_protocol_without_on_eof_in_order(void **unused)
{
    (void)unused;
    open_stage(&bare_protocol);
    int peer;
    open_pair(&peer);
    close(peer);
    turn(3);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, 0);
    assert_int_equal(seen.gone, 1);
    close_stage();
}

static void half_closed_connection_that_is_kept_does_not_spin(void **unused)
{
    (void)unused;
    for (int tcp = 0; tcp <= 1; tcp++) {
        open_stage(&full_protocol);
        int peer;
        pf_conn *conn = tcp ? open_tcp(&peer) : open_pair(&peer);
        assert_int_equal(shutdown(peer, SHUT_WR), 0);
        turn_until(seen.eofs == 1);
        assert_idle();
        assert_int_equal(seen.eofs, 1);
        size_t written = block(conn);
        drain_pattern(peer, written);
        turn_until(!pf_conn_blocked(conn));
        assert_idle();
        now_ns += PF_CONN_PROBE_NS;
        turn(3);
        assert_int_equal(seen.closes, 0);
        if (tcp)
            reset_peer(peer);
        else
            close(peer);
        assert_idle();
        assert_int_equal(seen.closes, 0);
        now_ns += PF_CONN_PROBE_NS;
        turn(3);
        assert_int_equal(seen.closes, tcp); /* the other may still be written to */
        if (tcp)
            assert_int_equal(seen.reason, -ECONNRESET);
        close_stage();
    }
}

static void bytes_sent_before_the_end_are_seen_before_the_end(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_eof = answer_at_eof;
    int peer;
    open_pair(&peer);
    say(peer, "last\n");
    close(peer);
    turn(1);
    assert_int_equal(seen.datas, 1);
    turn(3);
    assert_int_equal(seen.closes, 1);
    close_stage();
}

static void reset_peer_is_told_as_such(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    open_tcp(&peer);
    turn(1);
    reset_peer(peer);
    turn_until(seen.closes == 1);
    assert_int_equal(seen.reason, -ECONNRESET);
    assert_int_equal(seen.eofs, 0);
    close_stage();
}

static void reset_while_output_is_blocked_ends_the_connection(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_tcp(&peer);
    block(conn);
    reset_peer(peer);
    turn_until(seen.closes == 1);
    assert_int_equal(seen.reason, -ECONNRESET);
    close_stage();
}

static void peer_gone_while_output_is_blocked_ends_the_connection(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    block(conn);
    close(peer);
    turn_until(seen.closes == 1);
    assert_true(seen.reason == -EPIPE || seen.reason == -ECONNRESET);
    close_stage();
}

static void writing_to_a_peer_that_is_gone_is_an_error_not_a_signal(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    close(peer);
    assert_true(pf_conn_write(conn, "?", 1) < 0);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.gone, 1);
    close_stage();
}

/* ---- closing --------------------------------------------------------------------- */

static size_t answer_and_close(pf_conn *conn, const char *data, size_t len)
{
    (void)data;
    assert_int_equal(pf_conn_write(conn, "answer", 6), 0);
    assert_int_equal(pf_conn_close(conn, false), 0);
    assert_int_equal(pf_conn_write(conn, "more", 4), -EPIPE);
    assert_null(pf_conn_reserve(conn, 1));
    assert_int_equal(pf_conn_close(conn, true), 0);
    assert_int_equal(seen.closes, 0);
    return len;
}

static void closing_sends_what_was_written_before(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = answer_and_close;
    int peer;
    open_pair(&peer);
    say(peer, "?");
    turn(1);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, 0);
    assert_hears(peer, "answer");
    assert_hears_the_end(peer);
    close(peer);
    close_stage();
}

static void closing_waits_for_blocked_output(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    size_t written = block(conn);
    assert_int_equal(pf_conn_close(conn, false), 0);
    assert_int_equal(pf_conn_get_state(conn), PF_CONN_FLUSHING);
    say(peer, "ignored\n");
    assert_idle();
    assert_int_equal(seen.closes, 0);
    drain_pattern(peer, written);
    turn_until(seen.closes == 1);
    assert_int_equal(seen.reason, 0);
    assert_int_equal(seen.datas, 0);
    close(peer);
    close_stage();
}

static size_t refuse_and_linger(pf_conn *conn, const char *data, size_t len)
{
    (void)data;
    assert_int_equal(pf_conn_write(conn, "too large", 9), 0);
    assert_int_equal(pf_conn_close(conn, true), 0);
    return len;
}

static void lingering_close_saves_the_answer_from_a_reset(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = refuse_and_linger;
    int peer;
    pf_conn *conn = open_tcp(&peer);
    say(peer, "first part of much");
    turn_until(pf_conn_get_state(conn) == PF_CONN_LINGERING);
    fill_big();
    for (int i = 0; i < 20; i++) {
        ssize_t n = write(peer, big, 10000);
        assert_true(n > 0 || errno == EAGAIN);
        turn(3);
    }
    assert_int_equal(seen.closes, 0);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(pf_conns_count(conns), 1);
    assert_hears(peer, "too large");
    assert_hears_the_end(peer);
    close(peer);
    turn_until(seen.closes == 1);
    assert_int_equal(seen.reason, 0);
    close_stage();
}

static void lingering_ends_after_its_time(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = refuse_and_linger;
    int peer;
    open_pair(&peer);
    say(peer, "?");
    turn(2);
    now_ns += PF_CONN_LINGER_NS - 1;
    say(peer, "still talking");
    turn(2);
    assert_int_equal(seen.closes, 0);
    now_ns += 1;
    turn(2);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, 0);
    close(peer);
    close_stage();
}

/* One that sends without end reads the answer as soon as it can send no more, which it
 * could not if a reset had come first. */
static void lingering_hears_so_many_bytes_and_leaves_time_to_read(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = refuse_and_linger;
    int peer;
    pf_conn *conn = open_tcp(&peer);
    say(peer, "?");
    turn_until(pf_conn_get_state(conn) == PF_CONN_LINGERING);
    fill_big();
    size_t sent = 0;
    int before = 0, unread = 0;
    while (unread == 0 || unread != before) { /* a turn has left what stood there */
        ssize_t n = write(peer, big, 30000);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        assert_int_equal(ioctl(pf_conn_fd(conn), FIONREAD, &before), 0);
        turn(1);
        assert_int_equal(seen.closes, 0);
        assert_int_equal(ioctl(pf_conn_fd(conn), FIONREAD, &unread), 0);
    }
    assert_true(sent - (size_t)unread >= PF_CONN_LINGER_BYTES);
    assert_idle();
    assert_hears(peer, "too large");
    assert_hears_the_end(peer);
    now_ns += PF_CONN_LINGER_NS;
    turn_until(seen.closes == 1);
    assert_int_equal(seen.reason, 0);
    close(peer);
    close_stage();
}

/* ---- deadlines ------------------------------------------------------------------- */

static void deadline_passes_at_its_time_and_not_before(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_set_deadline(conn, SHORT);
    now_ns += SHORT_NS - 1;
    turn(2);
    assert_int_equal(seen.deadlines, 0);
    now_ns += 1;
    turn(2);
    assert_int_equal(seen.deadlines, 1);
    now_ns += LONG_NS;
    turn(2);
    assert_int_equal(seen.deadlines, 1);
    assert_int_equal(seen.closes, 0);
    close(peer);
    close_stage();
}

static void deadline_set_again_or_cleared_does_not_pass(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    for (int i = 0; i < 100; i++) {
        pf_conn_set_deadline(conn, i % 2 ? SHORT : LONG);
        now_ns += SHORT_NS - 1;
        turn(2);
    }
    assert_int_equal(seen.deadlines, 0);
    pf_conn_clear_deadline(conn);
    now_ns += 2 * LONG_NS;
    turn(2);
    assert_int_equal(seen.deadlines, 0);
    close(peer);
    close_stage();
}

static void shorter_deadline_passes_before_a_longer_one_set_earlier(void **unused)
{
    (void)unused;
    open_stage(&bare_protocol);
    int peers[2];
    pf_conn *slow = open_pair(&peers[0]), *fast = open_pair(&peers[1]);
    pf_conn_set_deadline(slow, LONG);
    turn(1);
    pf_conn_set_deadline(fast, SHORT);
    now_ns += SHORT_NS;
    turn(2);
    assert_int_equal(seen.closes, 1); /* no on_deadline: aborted */
    assert_int_equal(seen.reason, -ETIMEDOUT);
    assert_int_equal(pf_conns_count(conns), 1);
    now_ns += LONG_NS - SHORT_NS;
    turn(2);
    assert_int_equal(seen.closes, 2);
    close(peers[0]);
    close(peers[1]);
    close_stage();
}

static void set_it_again(pf_conn *conn)
{
    pf_conn_set_deadline(conn, SHORT);
}

static void deadline_may_be_set_again_in_on_deadline(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_deadline = set_it_again;
    int peer;
    pf_conn_set_deadline(open_pair(&peer), SHORT);
    for (unsigned i = 1; i <= 10; i++) {
        now_ns += SHORT_NS;
        turn(2);
        assert_int_equal(seen.deadlines, i);
    }
    close(peer);
    close_stage();
}

static void one_timer_serves_all_connections(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    pf_conn *all[50];
    int peers[50];
    for (int i = 0; i < 50; i++) {
        all[i] = open_pair(&peers[i]);
        pf_conn_set_deadline(all[i], LONG);
    }
    for (int i = 0; i < 5000; i++) { /* five seconds of requests */
        now_ns += PF_MILLISECOND;
        pf_conn_set_deadline(all[i % 50], i % 3 ? LONG : SHORT);
        turn(1);
    }
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_int_equal(stats.timers_live, 1);
    assert_in_range(stats.timers, 0, 2);
    for (int i = 0; i < 50; i++)
        close(peers[i]);
    close_stage();
}

static void blocked_output_without_progress_times_out(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    assert_int_equal(pf_conn_write(conn, big, sizeof big), 0);
    for (int i = 0; i < 3; i++) { /* progress keeps it alive */
        now_ns += PF_CONN_STALL_NS - 1;
        char sink[65536];
        while (read(peer, sink, sizeof sink) > 0)
            ;
        turn(3);
        assert_int_equal(seen.closes, 0);
        assert_true(pf_conn_blocked(conn));
    }
    now_ns += PF_CONN_STALL_NS;
    turn(3);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, -ETIMEDOUT);
    assert_int_equal(seen.deadlines, 0);
    close(peer);
    close_stage();
}

static void protocol_deadline_starts_anew_when_output_is_out(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_set_deadline(conn, SHORT);
    size_t written = block(conn);
    pf_conn_set_deadline(conn, SHORT);
    now_ns += 2 * SHORT_NS;
    turn(2);
    assert_int_equal(seen.deadlines, 0);
    drain_pattern(peer, written);
    turn_until(!pf_conn_blocked(conn));
    now_ns += SHORT_NS - 1;
    turn(2);
    assert_int_equal(seen.deadlines, 0);
    now_ns += 1;
    turn(2);
    assert_int_equal(seen.deadlines, 1);
    close(peer);
    close_stage();
}

/* ---- ending from inside callbacks ------------------------------------------------ */

static size_t abort_self(pf_conn *conn, const char *data, size_t len)
{
    assert_int_equal(pf_conn_write(conn, "sent", 4), 0);
    assert_int_equal(pf_conn_abort(conn, -ECANCELED), 0);
    assert_int_equal(pf_conn_get_state(conn), PF_CONN_CLOSED);
    assert_int_equal(pf_conn_abort(conn, -EIO), 0);
    struct state *state = pf_conn_state(conn); /* still there, as is the input */
    state->mark = STATE_MARK;
    assert_int_equal(memcmp(data, "xy", 2), 0);
    return len;
}

static void connection_may_abort_itself_in_on_data(void **unused)
{
    (void)unused;
    for (int standing = 0; standing <= 1; standing++) {
        open_stage(&full_protocol);
        int peer;
        open_pair(&peer);
        if (standing) { /* the input is then in the connection's own buffer */
            do_data = use_nothing;
            say(peer, "x");
            turn(1);
            say(peer, "y");
        } else {
            say(peer, "xy");
        }
        do_data = abort_self;
        turn(1);
        assert_int_equal(seen.closes, 1);
        assert_int_equal(seen.reason, -ECANCELED);
        assert_int_equal(seen.gone, 1);
        char text[4]; /* the kernel had room for it */
        assert_int_equal(read(peer, text, sizeof text), 4);
        assert_memory_equal(text, "sent", 4);
        assert_hears_the_end(peer);
        close(peer);
        close_stage();
    }
}

static void abort_any(pf_conn *conn, void *arg)
{
    (void)arg;
    assert_int_equal(pf_conn_abort(conn, -ECANCELED), 0);
}

static size_t abort_all(pf_conn *conn, const char *data, size_t len)
{
    (void)conn, (void)data;
    pf_conns_each(conns, abort_any, NULL);
    return len;
}

static void callback_may_abort_every_connection(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = abort_all;
    int peers[10];
    for (int i = 0; i < 10; i++)
        pf_conn_set_deadline(open_pair(&peers[i]), SHORT);
    for (int i = 0; i < 10; i++)
        say(peers[i], "?"); /* all are ready in the same turn */
    turn(2);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(seen.closes, 10);
    assert_int_equal(seen.gone, 10);
    assert_int_equal(pf_conns_count(conns), 0);
    for (int i = 0; i < 10; i++)
        close(peers[i]);
    close_stage();
}

static void abort_the_others(pf_conn *conn, void *arg)
{
    (void)arg;
    if (other && other != conn)
        (void)pf_conn_abort(other, -ECANCELED);
    other = NULL;
}

static void walk_survives_the_end_of_any_connection(void **unused)
{
    (void)unused;
    for (unsigned victim = 0; victim < 5; victim++) {
        open_stage(&full_protocol);
        pf_conn *all[5];
        int peers[5];
        for (int i = 0; i < 5; i++)
            all[i] = open_pair(&peers[i]);
        other = all[victim];
        pf_conns_each(conns, abort_the_others, NULL);
        assert_in_range(seen.closes, 0, 1);
        assert_int_equal(pf_conns_count(conns), 5 - seen.closes);
        pf_conns_each(conns, abort_any, NULL);
        assert_int_equal(pf_conns_count(conns), 0);
        assert_int_equal(seen.gone, 5);
        for (int i = 0; i < 5; i++)
            close(peers[i]);
        close_stage();
    }
}

static void abort_other_on_close(pf_conn *conn)
{
    pf_conn *victim = other;
    other = NULL;
    if (victim && victim != conn)
        (void)pf_conn_abort(victim, -EIO);
}

static void ending_one_in_the_on_close_of_another_works(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_close = abort_other_on_close;
    int peers[2];
    pf_conn *first = open_pair(&peers[0]);
    other = open_pair(&peers[1]);
    assert_int_equal(pf_conn_abort(first, 0), 0);
    assert_int_equal(seen.closes, 2);
    assert_int_equal(seen.gone, 2);
    close(peers[0]);
    close(peers[1]);
    close_stage();
}

static void close_it(pf_conn *conn)
{
    assert_int_equal(pf_conn_close(conn, false), 0);
}

static void connection_may_close_in_on_deadline(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_deadline = close_it;
    int peers[3];
    for (int i = 0; i < 3; i++)
        pf_conn_set_deadline(open_pair(&peers[i]), SHORT);
    now_ns += SHORT_NS;
    turn(2);
    assert_int_equal(seen.deadlines, 3);
    assert_int_equal(seen.closes, 3);
    for (int i = 0; i < 3; i++) {
        assert_hears_the_end(peers[i]);
        close(peers[i]);
    }
    close_stage();
}

/* ---- looking before closing ------------------------------------------------------ */

static size_t poll_inside(pf_conn *conn, const char *data, size_t len)
{
    (void)data;
    assert_int_equal(pf_conn_poll(conn), -EBUSY);
    assert_int_equal(pf_conn_poll(other), -EBUSY);
    return len;
}

static void polling_finds_input_that_was_not_announced(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer, other_peer;
    pf_conn *conn = open_pair(&peer);
    other = open_pair(&other_peer);
    assert_int_equal(pf_conn_poll(conn), 0);
    say(peer, "here\n");
    assert_int_equal(pf_conn_poll(conn), 1);
    assert_hears(peer, "here\n");
    assert_int_equal(pf_conn_poll(conn), 0);

    do_data = poll_inside;
    say(peer, "?");
    turn(1);
    assert_int_equal(seen.datas, 2);

    do_data = answer_and_close;
    say(peer, "?");
    assert_int_equal(pf_conn_poll(conn), 1); /* and conn is gone */
    assert_int_equal(seen.closes, 1);
    close(peer);
    close(other_peer);
    close_stage();
}

static void polling_does_not_read_while_output_is_blocked(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    block(conn);
    say(peer, "?");
    assert_int_equal(pf_conn_poll(conn), 0);
    assert_int_equal(seen.datas, 0);
    close(peer);
    close_stage();
}

/* ---- life, forks, threads -------------------------------------------------------- */

static void freeing_ends_every_connection(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peers[3];
    for (int i = 0; i < 3; i++)
        open_pair(&peers[i]);
    block(open_conn(dup(peers[0]))); /* a fourth, over the other end: it fills the first */
    pf_conns_free(conns);
    assert_int_equal(seen.closes, 4);
    assert_int_equal(seen.gone, 4);
    for (int i = 1; i < 3; i++)
        assert_hears_the_end(peers[i]);
    for (int i = 0; i < 3; i++)
        close(peers[i]);
    assert_idle();
    pf_conns_free(NULL);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void opening_over_what_cannot_be_watched_fails_and_closes_it(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    pf_conn *conn = NULL;
    assert_int_equal(pf_conn_open(conns, fd, &conn), -ENOTSUP);
    assert_null(conn);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(pf_conns_count(conns), 0);
    close_stage();
}

static void idle_connection_is_small(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    assert_int_equal(pf_loop_reserve(loop, 1024, 16, 16), 0);
    pf_conn *conn = open_pair(&peer);
    say(peer, "a\nb"); /* has had a buffer */
    turn(1);
    say(peer, "\n");
    turn(1);
    assert_int_equal(pf_conn_pending(conn), 0);
    /* From the struct's start to the end of the protocol's state. */
    size_t size =
        (size_t)((char *)pf_conn_state(conn) - (char *)conn) + sizeof(struct state);
    assert_in_range(size, 1, 112);
    close(peer);
    close_stage();
}

static void child_body(void *arg)
{
    pf_conn *conn = arg;
    assert_int_equal(pf_conn_write(conn, "child", 5), -ECHILD);
    assert_int_equal(pf_conn_close(conn, true), -ECHILD);
    assert_int_equal(pf_conn_abort(conn, 0), -ECHILD);
    assert_int_equal(pf_conn_poll(conn), -ECHILD);
    assert_null(pf_conn_reserve(conn, 1));
    pf_conn_set_deadline(conn, SHORT);
    pf_conn_clear_deadline(conn);
    pf_conns_each(conns, abort_any, NULL);
    int fd = dup(0), fds = pf_test_count_fds();
    assert_int_equal(pf_conn_open(conns, fd, NULL), -ECHILD);
    assert_int_equal(pf_test_count_fds(), fds - 1);
    pf_conns_free(conns);
    assert_int_equal(pf_test_count_fds(), fds - 2);
    assert_int_equal(seen.closes, 0);
    assert_int_equal(seen.gone, 0);
}

static void child_cannot_touch_the_connections_of_its_parent(void **unused)
{
    (void)unused;
    for (int raw = 0; raw <= 1; raw++) {
        open_stage(&full_protocol);
        int peer;
        pf_conn *conn = open_pair(&peer);
        pf_conn_set_deadline(conn, LONG);
        if (raw)
            pf_test_in_raw_clone(child_body, conn);
        else
            pf_test_in_child(child_body, conn);
        assert_hears_nothing(peer);
        say(peer, "parent\n");
        turn(1);
        assert_hears(peer, "parent\n");
        close(peer);
        close_stage();
    }
}

/* The child comes back out of on_data into the library, with a batch and an end pending. */
static pid_t forked;
static bool close_too;

static size_t fork_inside(pf_conn *conn, const char *data, size_t len)
{
    (void)data;
    assert_int_equal(pf_conn_write(conn, "once", 4), 0);
    if (close_too)
        assert_int_equal(pf_conn_close(conn, true), 0);
    fflush(NULL);
    forked = fork();
    assert_true(forked >= 0);
    return len;
}

static void fork_inside_on_data_sends_the_answer_once(void **unused)
{
    (void)unused;
    for (int i = 0; i <= 1; i++) {
        open_stage(&full_protocol);
        do_data = fork_inside;
        close_too = i;
        int peer;
        open_pair(&peer);
        say(peer, "?");
        (void)pf_loop_turn(loop, 0);
        if (forked == 0)
            _exit(0);
        int status;
        assert_int_equal(waitpid(forked, &status, 0), forked);
        assert_int_equal(status, 0);
        assert_hears(peer, "once");
        assert_int_equal(seen.closes, 0);
        close(peer);
        turn(2);
        if (close_too) {
            assert_int_equal(seen.closes, 1);
            assert_int_equal(seen.reason, 0);
        }
        close_stage();
    }
}

static void *foreign_thread(void *arg)
{
    pf_conn *conn = arg;
    intptr_t wrong = 0;
    wrong += pf_conn_write(conn, "x", 1) != -EPERM;
    wrong += pf_conn_close(conn, false) != -EPERM;
    wrong += pf_conn_abort(conn, 0) != -EPERM;
    wrong += pf_conn_poll(conn) != -EPERM;
    pf_conns_free(conns);
    return (void *)wrong;
}

static void foreign_thread_is_refused(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    pthread_t thread;
    void *wrong;
    assert_int_equal(pthread_create(&thread, NULL, foreign_thread, conn), 0);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    assert_hears_nothing(peer);
    say(peer, "owner\n");
    turn(1);
    assert_hears(peer, "owner\n");
    close(peer);
    close_stage();
}

/* ---- everything at once ---------------------------------------------------------- */

#define CROWD 16

static pf_conn *crowd[CROWD]; /* NULL: gone */
static int crowd_peers[CROWD];
static unsigned long long dice = 88172645463325252ull;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13; /* xorshift64, by G. Marsaglia */
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice >> 33) % sides;
}

/* Something a callback might do, to any connection of the crowd. */
static void act(void)
{
    pf_conn *conn = crowd[roll(CROWD)];
    if (!conn)
        return;
    switch (roll(8)) {
    case 0:
        (void)pf_conn_close(conn, roll(2));
        break;
    case 1:
        (void)pf_conn_abort(conn, -EIO);
        break;
    case 2:
        pf_conn_set_deadline(conn, roll(2));
        break;
    case 3:
        pf_conn_clear_deadline(conn);
        break;
    case 4:
        (void)pf_conn_poll(conn);
        break;
    default:
        (void)pf_conn_write(conn, big, roll(sizeof big / 8));
        break;
    }
}

static size_t act_on_data(pf_conn *conn, const char *data, size_t len)
{
    char *room =
        pf_conn_get_state(conn) == PF_CONN_OPEN ? pf_conn_reserve(conn, 100) : NULL;
    if (room) {
        memset(room, 'r', 100);
        pf_conn_wrote(conn, 100);
    }
    act();
    assert_true(data[0] || data[len - 1] || true); /* readable to its last byte */
    return roll(2) ? len : roll((unsigned)len + 1);
}

static void act_on_event(pf_conn *conn)
{
    (void)conn;
    act();
}

static void forget_on_close(pf_conn *conn)
{
    struct state *state = pf_conn_state(conn);
    crowd[state->number] = NULL;
    act();
}

static void act_on_each(pf_conn *conn, void *arg)
{
    (void)conn, (void)arg;
    act();
}

static void crowd_of_random_connections_neither_breaks_nor_leaks(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    fill_big();
    do_data = act_on_data;
    do_eof = act_on_event;
    do_deadline = act_on_event;
    do_close = forget_on_close;
    unsigned opened = 0;
    for (int i = 0; i < CROWD; i++)
        crowd_peers[i] = -1;
    for (int step = 0; step < 20000; step++) {
        unsigned i = roll(CROWD);
        char sink[20000];
        if (!crowd[i]) {
            if (crowd_peers[i] >= 0)
                close(crowd_peers[i]);
            crowd[i] = roll(8) ? open_pair(&crowd_peers[i]) : open_tcp(&crowd_peers[i]);
            struct state *state = pf_conn_state(crowd[i]);
            *state = (struct state){.mark = STATE_MARK, .number = i};
            opened++;
        }
        switch (roll(8)) {
        case 0:
            (void)shutdown(crowd_peers[i], SHUT_WR);
            break;
        case 1:
            pf_conns_each(conns, act_on_each, NULL);
            break;
        case 2:
        case 3:
            (void)!read(crowd_peers[i], sink, sizeof sink);
            break;
        default:
            (void)send(crowd_peers[i], big, 1 + roll(3000), MSG_NOSIGNAL);
        }
        now_ns += roll(20) ? PF_MILLISECOND : PF_SECOND;
        turn(1);
        assert_int_equal(opened - seen.gone, pf_conns_count(conns));
    }
    do_close = NULL;
    pf_conns_each(conns, abort_any, NULL);
    assert_int_equal(seen.closes, opened);
    assert_int_equal(seen.gone, opened);
    for (int i = 0; i < CROWD; i++)
        close(crowd_peers[i]);
    close_stage();
}

static void write_that_cannot_be_watched(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    shutdown(peer, SHUT_WR);
    turn(2);
    assert_int_equal(seen.eofs, 1);
    fail_controls = 1;
    int err = 0;
    fill_big();
    for (int i = 0; i < 60 && !seen.gone && !err; i++)
        err = pf_conn_write(conn, big, 4096);
    fail_controls = 0;
    assert_true(err == -EPIPE || !seen.gone);
    close(peer);
    close_stage();
}

/* ---- holding, going on ----------------------------------------------------------- */

static pf_conn *holder;

/* Takes one line, and holds until told to go on. */
static size_t take_a_line(pf_conn *conn, const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);
    if (!end)
        return 0;
    pf_conn_hold(conn);
    holder = conn;
    (void)pf_conn_write(conn, data, (size_t)(end + 1 - data));
    return (size_t)(end + 1 - data);
}

static void held_connection_shows_nothing_until_it_goes_on(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = take_a_line;
    int peer;
    pf_conn *conn = open_pair(&peer);
    say(peer, "a\nb\n");
    turn(3);
    assert_hears(peer, "a\n");
    say(peer, "c\n");
    turn(3);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(pf_conn_pending(conn), 4); /* what has come since stands behind */
    pf_conn_hold(conn);                         /* in vain */
    assert_int_equal(pf_conn_poll(conn), 0);
    pf_conn_go_on(conn, false);
    assert_int_equal(seen.datas, 1); /* not inside the call */
    turn(2);
    assert_int_equal(seen.datas, 2);
    assert_hears(peer, "b\n");
    pf_conn_go_on(conn, false);
    pf_conn_go_on(conn, false); /* in vain */
    turn(2);
    assert_int_equal(seen.datas, 3);
    assert_hears(peer, "c\n");
    pf_conn_go_on(conn, false); /* nothing stands */
    turn(3);
    assert_int_equal(seen.datas, 3);
    assert_idle();
    close(peer);
    close_stage();
}

static void going_on_anyway_shows_nothing_if_nothing_stands(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = use_nothing;
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_go_on(conn, true); /* it was not held */
    turn(2);
    assert_int_equal(seen.datas, 0);
    pf_conn_hold(conn);
    pf_conn_go_on(conn, true);
    assert_int_equal(seen.datas, 0);
    turn(2);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(seen.most_seen, 0);
    pf_conn_hold(conn);
    pf_conn_go_on(conn, true);
    pf_conn_hold(conn); /* changed its mind */
    turn(2);
    assert_int_equal(seen.datas, 1);
    close(peer);
    close_stage();
}

static void held_connection_reads_up_to_its_limit_and_no_more(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = use_nothing;
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_hold(conn);
    fill_big();
    size_t sent = 0;
    ssize_t n;
    while ((n = write(peer, big, 4096)) > 0) {
        sent += (size_t)n;
        turn(2);
        assert_true(sent < sizeof big);
    }
    assert_true(sent > INPUT_MAX);
    assert_int_equal(pf_conn_pending(conn), INPUT_MAX);
    assert_int_equal(seen.datas, 0);
    assert_int_equal(seen.closes, 0);
    assert_idle(); /* nor does the loop spin over what is not read */
    do_data = echo_lines;
    close(peer);
    close_stage();
}

static size_t use_all(pf_conn *conn, const char *data, size_t len)
{
    (void)conn, (void)data;
    return len;
}

static void held_connection_that_is_full_goes_on(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = use_all;
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_hold(conn);
    fill_big();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(write(peer, big, 4096), 4096);
        turn(2);
    }
    assert_int_equal(pf_conn_pending(conn), INPUT_MAX);
    pf_conn_go_on(conn, false);
    turn(5);
    assert_int_equal(pf_conn_pending(conn), 0);
    assert_true(seen.datas >= 2);
    assert_int_equal(seen.closes, 0);
    assert_int_equal(pf_conns_count(conns), 1);
    close(peer);
    close_stage();
}

static void held_connection_is_told_the_end_and_still_shows_what_stands(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_hold(conn);
    say(peer, "a\nb\n");
    shutdown(peer, SHUT_WR);
    turn(3);
    assert_int_equal(seen.eofs, 1);
    assert_int_equal(seen.datas, 0);
    assert_idle();
    pf_conn_go_on(conn, false);
    turn(3);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(seen.eofs, 1);
    assert_hears(peer, "a\nb\n");
    close(peer);
    close_stage();
}

static void held_connection_may_end_before_it_goes_on(void **unused)
{
    (void)unused;
    for (int way = 0; way < 3; way++) {
        open_stage(&full_protocol);
        do_data = take_a_line;
        int peer;
        pf_conn *conn = open_pair(&peer);
        say(peer, "a\nb\n");
        turn(3);
        pf_conn_go_on(conn, true);
        if (way == 0)
            assert_int_equal(pf_conn_abort(conn, -ECANCELED), 0);
        else if (way == 1)
            assert_int_equal(pf_conn_close(conn, true), 0);
        turn(3);
        assert_int_equal(seen.datas, way == 2 ? 2 : 1);
        close(peer);
        turn(3);
        close_stage(); /* with a second line held, in the last case */
        assert_int_equal(seen.gone, 1);
    }
}

static void deadline_runs_while_held_and_after_going_on(void **unused)
{
    (void)unused;
    open_stage(&full_protocol);
    do_data = take_a_line;
    int peer;
    pf_conn *conn = open_pair(&peer);
    pf_conn_hold(conn);
    pf_conn_set_deadline(conn, SHORT);
    say(peer, "a\nb\n");
    turn(2);
    now_ns += SHORT_NS;
    turn(2);
    assert_int_equal(seen.deadlines, 1);
    pf_conn_set_deadline(conn, SHORT);
    pf_conn_go_on(conn, false);
    turn(2);
    assert_int_equal(seen.datas, 1);
    assert_int_equal(seen.deadlines, 1);
    now_ns += SHORT_NS;
    turn(2);
    assert_int_equal(seen.deadlines, 2); /* it began anew when the line was shown */
    close(peer);
    close_stage();
}

/* ---- files ----------------------------------------------------------------------- */

#define FILE_LEN (2 * 1024 * 1024 + 5)

static unsigned drains;
static void (*do_drained)(pf_conn *conn);

static void on_drained(pf_conn *conn)
{
    drains++;
    assert_false(pf_conn_blocked(conn));
    if (do_drained)
        do_drained(conn);
}

static const struct pf_conn_protocol drained_protocol = {.name = "drained",
                                                         .state_size = sizeof(struct state),
                                                         .on_data = on_data,
                                                         .on_eof = on_eof,
                                                         .on_drained = on_drained,
                                                         .on_deadline = on_deadline,
                                                         .on_close = on_close};

static int make_file(void)
{
    static char bytes[FILE_LEN];
    for (size_t i = 0; i < FILE_LEN; i++)
        bytes[i] = (char)('a' + i % 23);
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, FILE_LEN), FILE_LEN);
    return fd;
}

static size_t got; /* bytes of the file, so far */

/* Take what stands, and see that it is the file's, from `got` on. */
static void take_file(int peer, size_t offset)
{
    static char bytes[65536];
    ssize_t n;
    while ((n = read(peer, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++, got++)
            if (bytes[i] != (char)('a' + (offset + got) % 23))
                fail_msg("byte %zu differs", got);
}

static pf_conn *open_drained(int *peer)
{
    open_stage(&drained_protocol);
    drains = 0;
    do_drained = NULL;
    got = 0;
    turn(1); /* the loop has its own descriptors from its first turn on */
    return open_pair(peer);
}

static void file_goes_out_behind_what_was_written(void **unused)
{
    (void)unused;
    int peer;
    pf_conn *conn = open_drained(&peer);
    int fds = pf_test_count_fds();
    assert_int_equal(pf_conn_write(conn, "head\n", 5), 0);
    assert_int_equal(pf_conn_send_file(conn, make_file(), 7, FILE_LEN - 7), 0);
    assert_true(pf_conn_blocked(conn));
    assert_int_equal(pf_conn_write(conn, "x", 1), -EBUSY);
    int second = make_file();
    assert_int_equal(pf_conn_send_file(conn, second, 0, 1), -EBUSY);
    assert_int_equal(pf_test_count_fds(), fds + 1); /* the second is closed */
    char head[5];
    assert_int_equal(read(peer, head, 5), 5);
    assert_memory_equal(head, "head\n", 5);
    turn_until((take_file(peer, 7), got == FILE_LEN - 7));
    turn(2);
    assert_int_equal(drains, 1);
    assert_int_equal(pf_test_count_fds(), fds);
    assert_int_equal(pf_conn_write(conn, "tail\n", 5), 0);
    assert_hears(peer, "tail\n");
    assert_int_equal(drains, 1); /* that was not blocked */
    assert_idle();
    close(peer);
    close_stage();
}

static void small_or_empty_file_goes_out_at_once(void **unused)
{
    (void)unused;
    int peer;
    pf_conn *conn = open_drained(&peer);
    int fds = pf_test_count_fds();
    assert_int_equal(pf_conn_send_file(conn, make_file(), 0, 0), 0);
    assert_int_equal(pf_conn_send_file(conn, make_file(), 23, 3), 0);
    assert_false(pf_conn_blocked(conn));
    assert_int_equal(pf_test_count_fds(), fds);
    assert_hears(peer, "abc");
    turn(2);
    assert_int_equal(drains, 0);
    close(peer);
    close_stage();
}

static int file_to_send;

/* An answer to each line: a word, and the file behind it. */
static size_t answer_with_file(pf_conn *conn, const char *data, size_t len)
{
    size_t used = 0;
    const char *end;
    while (!pf_conn_blocked(conn) && (end = memchr(data + used, '\n', len - used))) {
        char *room = pf_conn_reserve(conn, 2);
        assert_non_null(room);
        memcpy(room, "> ", 2);
        pf_conn_wrote(conn, 2);
        int fd = fcntl(file_to_send, F_DUPFD_CLOEXEC, 0);
        assert_int_equal(pf_conn_send_file(conn, fd, 0, 4096), 0);
        used = (size_t)(end + 1 - data);
    }
    return used;
}

static void file_in_on_data_goes_out_behind_the_batch_and_input_waits_for_it(void **unused)
{
    (void)unused;
    int peer;
    (void)open_drained(&peer);
    char answer[4098];
    file_to_send = make_file();
    do_data = answer_with_file;
    say(peer, "1\n2\n3\n4\n5\n6\n7\n8\n");
    for (int i = 0; i < 8; i++) {
        size_t len = 0;
        ssize_t n;
        turn_until((n = read(peer, answer + len, sizeof answer - len),
                    len += n > 0 ? (size_t)n : 0, len == sizeof answer));
        assert_memory_equal(answer, "> abc", 5);
    }
    assert_int_equal(read(peer, answer, sizeof answer), -1);
    assert_true(drains > 0);
    close(file_to_send);
    close(peer);
    close_stage();
}

static void file_that_is_too_short_ends_the_connection(void **unused)
{
    (void)unused;
    int peer;
    pf_conn *conn = open_drained(&peer);
    assert_int_equal(pf_conn_send_file(conn, make_file(), FILE_LEN, 1), -EPIPE);
    assert_int_equal(seen.reason, -EIO);
    assert_int_equal(seen.gone, 1);
    close(peer);
    conn = open_pair(&peer);
    int fd = make_file(), mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(pf_conn_send_file(conn, fd, 0, FILE_LEN), 0);
    assert_int_equal(ftruncate(mine, 1024 * 1024), 0); /* while it is on its way */
    turn_until((take_file(peer, 0), seen.gone == 2));
    assert_int_equal(seen.reason, -EIO);
    assert_true(got <= 1024 * 1024);
    assert_int_equal(drains, 0);
    close(mine);
    close(peer);
    close_stage();
}

static void file_is_closed_however_its_connection_ends(void **unused)
{
    (void)unused;
    for (int way = 0; way < 6; way++) {
        int peer;
        pf_conn *conn = open_drained(&peer);
        int fds = pf_test_count_fds();
        assert_int_equal(pf_conn_send_file(conn, make_file(), 0, FILE_LEN), 0);
        assert_int_equal(pf_test_count_fds(), fds + 1);
        if (way == 0) {
            assert_int_equal(pf_conn_abort(conn, -ECANCELED), 0);
        } else if (way == 1) { /* what was written goes out first */
            assert_int_equal(pf_conn_close(conn, false), 0);
            int second = make_file();
            assert_int_equal(pf_conn_send_file(conn, second, 0, 1), -EPIPE);
            turn_until((take_file(peer, 0), seen.gone == 1));
            take_file(peer, 0);
            assert_int_equal(got, FILE_LEN);
            assert_int_equal(drains, 0); /* there is nobody to write more */
        } else if (way == 2) {           /* the peer goes */
            close(peer);
            peer = -1;
            turn_until(seen.gone == 1);
            assert_true(seen.reason < 0);
        } else if (way == 3) { /* and one that reads never */
            now_ns += PF_CONN_STALL_NS;
            turn(2);
            assert_int_equal(seen.reason, -ETIMEDOUT);
        } else if (way == 4) {
            pf_conns_free(conns);
            conns = NULL;
        }
        assert_int_equal(pf_test_count_fds() - fds,
                         way == 5 ? 1 : (way == 2 ? -2 : -1)); /* conn's, and peer's */
        if (peer >= 0)
            close(peer);
        close_stage();
    }
}

static void free_in_child(void *arg)
{
    (void)arg;
    int before = pf_test_count_fds();
    pf_conns_free(conns);
    assert_int_equal(pf_test_count_fds(), before - 2); /* socket and file */
    pf_loop_discard(loop);
}

static void child_closes_the_file_and_sends_nothing_of_it(void **unused)
{
    (void)unused;
    int peer;
    pf_conn *conn = open_drained(&peer);
    assert_int_equal(pf_conn_send_file(conn, make_file(), 0, FILE_LEN), 0);
    pf_test_in_child(free_in_child, NULL);
    turn_until((take_file(peer, 0), got == FILE_LEN));
    close(peer);
    close_stage();
}

/* ---- drained --------------------------------------------------------------------- */

static void write_again(pf_conn *conn)
{
    do_drained = NULL;
    assert_int_equal(pf_conn_write(conn, "again\n", 6), 0);
}

static size_t drop_bytes(int peer)
{
    static char bytes[65536];
    ssize_t n;
    size_t sum = 0;
    while ((n = read(peer, bytes, sizeof bytes)) > 0)
        sum += (size_t)n;
    return sum;
}

static void drained_is_told_once_when_all_is_out_and_may_write(void **unused)
{
    (void)unused;
    int peer;
    pf_conn *conn = open_drained(&peer);
    size_t taken = 0;
    got = 0;
    fill_big();
    while (pf_conn_write(conn, big, 4096) == 0)
        taken += 4096;
    assert_true(pf_conn_room(conn) < 4096);
    size_t room = pf_conn_room(conn);
    assert_int_equal(pf_conn_write(conn, big, room + 1), -ENOBUFS);
    assert_int_equal(pf_conn_write(conn, big, room), 0);
    assert_int_equal(pf_conn_room(conn), 0);
    taken += room;
    turn(3);
    assert_int_equal(drains, 0);
    do_drained = write_again;
    turn_until((got += drop_bytes(peer), got == taken + 6));
    turn(3);
    assert_int_equal(drains, 1);
    assert_int_equal(pf_conn_room(conn), OUTPUT_MAX);
    assert_idle();
    close(peer);
    close_stage();
}

static void abort_it(pf_conn *conn)
{
    (void)pf_conn_abort(conn, -ECANCELED);
}

static void drained_may_end_its_connection(void **unused)
{
    (void)unused;
    int peer;
    pf_conn *conn = open_drained(&peer);
    do_drained = abort_it;
    assert_int_equal(pf_conn_send_file(conn, make_file(), 0, FILE_LEN), 0);
    turn_until((take_file(peer, 0), seen.gone == 1));
    assert_int_equal(seen.reason, -ECANCELED);
    assert_int_equal(drains, 1);
    close(peer);
    close_stage();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(write_that_cannot_be_watched),
        pf_test(whole_request_costs_one_recv_and_one_send),
        pf_test(pipelined_requests_are_answered_in_order_with_one_send),
        pf_test(input_left_over_comes_again_in_front_of_more),
        pf_test(long_input_in_pieces_arrives_unharmed),
        pf_test(input_that_is_never_used_up_ends_the_connection),
        pf_test(answer_larger_than_every_buffer_arrives_whole),
        pf_test(nothing_is_read_while_output_is_blocked),
        pf_test(input_left_because_of_blocked_output_comes_again_when_it_is_out),
        pf_test(writing_more_than_may_wait_is_refused_and_takes_nothing),
        pf_test(writing_outside_a_callback_sends_at_once),
        pf_test(callback_of_one_connection_may_write_to_another),
        pf_test(half_closed_peer_still_gets_its_answer),
        pf_test(peer_that_closes_ends_a_protocol_without_on_eof_in_order),
        pf_test(half_closed_connection_that_is_kept_does_not_spin),
        pf_test(bytes_sent_before_the_end_are_seen_before_the_end),
        pf_test(reset_peer_is_told_as_such),
        pf_test(reset_while_output_is_blocked_ends_the_connection),
        pf_test(peer_gone_while_output_is_blocked_ends_the_connection),
        pf_test(writing_to_a_peer_that_is_gone_is_an_error_not_a_signal),
        pf_test(closing_sends_what_was_written_before),
        pf_test(closing_waits_for_blocked_output),
        pf_test(lingering_close_saves_the_answer_from_a_reset),
        pf_test(lingering_ends_after_its_time),
        pf_test(lingering_hears_so_many_bytes_and_leaves_time_to_read),
        pf_test(deadline_passes_at_its_time_and_not_before),
        pf_test(deadline_set_again_or_cleared_does_not_pass),
        pf_test(shorter_deadline_passes_before_a_longer_one_set_earlier),
        pf_test(deadline_may_be_set_again_in_on_deadline),
        pf_test(one_timer_serves_all_connections),
        pf_test(blocked_output_without_progress_times_out),
        pf_test(protocol_deadline_starts_anew_when_output_is_out),
        pf_test(connection_may_abort_itself_in_on_data),
        pf_test(callback_may_abort_every_connection),
        pf_test(walk_survives_the_end_of_any_connection),
        pf_test(ending_one_in_the_on_close_of_another_works),
        pf_test(connection_may_close_in_on_deadline),
        pf_test(polling_finds_input_that_was_not_announced),
        pf_test(polling_does_not_read_while_output_is_blocked),
        pf_test(freeing_ends_every_connection),
        pf_test(opening_over_what_cannot_be_watched_fails_and_closes_it),
        pf_test(idle_connection_is_small),
        pf_test(child_cannot_touch_the_connections_of_its_parent),
        pf_test(fork_inside_on_data_sends_the_answer_once),
        pf_test(foreign_thread_is_refused),
        pf_test(crowd_of_random_connections_neither_breaks_nor_leaks),
        pf_test(held_connection_shows_nothing_until_it_goes_on),
        pf_test(going_on_anyway_shows_nothing_if_nothing_stands),
        pf_test(held_connection_reads_up_to_its_limit_and_no_more),
        pf_test(held_connection_that_is_full_goes_on),
        pf_test(held_connection_is_told_the_end_and_still_shows_what_stands),
        pf_test(held_connection_may_end_before_it_goes_on),
        pf_test(deadline_runs_while_held_and_after_going_on),
        pf_test(file_goes_out_behind_what_was_written),
        pf_test(small_or_empty_file_goes_out_at_once),
        pf_test(file_in_on_data_goes_out_behind_the_batch_and_input_waits_for_it),
        pf_test(file_that_is_too_short_ends_the_connection),
        pf_test(file_is_closed_however_its_connection_ends),
        pf_test(child_closes_the_file_and_sends_nothing_of_it),
        pf_test(drained_is_told_once_when_all_is_out_and_may_write),
        pf_test(drained_may_end_its_connection),
    };
    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
