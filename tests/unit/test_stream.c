/*
 * test_stream.c - streams over TCP, unix sockets and pipes: each test has a loop of its own
 * and holds the other end itself.
 */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <prefork/stream.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- counted and failing calls --------------------------------------------------- */

static unsigned controls;
static bool fail_controls;

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    controls++;
    if (fail_controls && op != EPOLL_CTL_DEL) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

/* ---- the stage ------------------------------------------------------------------- */

enum carrier {
    TCP,
    UNIX,
    PIPE,
    CARRIERS
};

static pf_loop *loop;
static pf_stream *stream;
static int peer;

/* What the callbacks have seen, in order: "r" read, "w" written, "c" closed, "o" connected,
 * "k" chunk; a capital letter if there was an error. */
static struct {
    char order[64];
    char data[1 << 20];
    size_t len; /* of the last read */
    size_t all; /* of all chunks, gathered in data */
    int err;    /* of the last callback */
    int closed; /* pf_stream_error() as the close callback got it */
    int result; /* what callbacks return */
} seen;

static bool inside_a_call; /* of the test's own: no callback may run */

static void note(char what, int err)
{
    assert_false(inside_a_call);
    size_t len = strlen(seen.order);
    if (len + 1 < sizeof seen.order)
        seen.order[len] = (char)(err ? what - 32 : what);
    seen.err = err;
}

static int on_read(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    (void)arg;
    assert_ptr_equal(from, stream);
    assert_non_null(data);
    assert_true(len <= sizeof seen.data);
    memcpy(seen.data, data, len);
    seen.len = len;
    note('r', err);
    return seen.result;
}

static int on_chunk(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    (void)arg;
    assert_ptr_equal(from, stream);
    assert_true(len > 0 && seen.all + len <= sizeof seen.data);
    memcpy(seen.data + seen.all, data, len);
    seen.all += len;
    note('k', err);
    return seen.result;
}

static int on_write(pf_stream *from, int err, void *arg)
{
    (void)from, (void)arg;
    note('w', err);
    return seen.result;
}

static int on_connect(pf_stream *from, int err, void *arg)
{
    (void)from, (void)arg;
    note('o', err);
    return seen.result;
}

static int on_close(pf_stream *from, int err, void *arg)
{
    (void)arg;
    assert_true(pf_stream_closed(from));
    assert_int_equal(err, pf_stream_error(from));
    note('c', err);
    seen.closed = err;
    return 0;
}

/* The call answers `expected`, and calls nothing back. */
#define asks(call, expected)                                                               \
    do {                                                                                   \
        inside_a_call = true;                                                              \
        int answer = (call);                                                               \
        inside_a_call = false;                                                             \
        assert_int_equal(answer, expected);                                                \
    } while (0)

static int64_t real_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * PF_SECOND + t.tv_nsec;
}

static void turn(int times)
{
    while (times-- > 0)
        assert_true(pf_loop_turn(loop, 0) >= 0);
}

#define turn_until(condition)                                                              \
    do {                                                                                   \
        int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;                    \
        while (!(condition)) {                                                             \
            assert_true(real_time() < give_up);                                            \
            turn(1);                                                                       \
            sched_yield();                                                                 \
        }                                                                                  \
    } while (0)

/* For much that flows between ends that are both ours: the deadline is for each step of the
 * amount, not for all of it, and nobody else's turn is waited for. */
#define turn_while_growing(amount, enough)                                                 \
    do {                                                                                   \
        int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;                    \
        for (size_t had = (amount); (amount) < (enough); turn(1)) {                        \
            if ((amount) != had)                                                           \
                give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;                    \
            assert_true(real_time() < give_up);                                            \
            had = (amount);                                                                \
        }                                                                                  \
    } while (0)

#define turn_until_seen(what) turn_until(strcmp(seen.order, what) == 0)

static int listen_tcp(struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in address;
    int listener = listen_tcp(&address);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, sizeof address), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fds[1] >= 0);
    close(listener);
}

static void pair(enum carrier carrier, int fds[2])
{
    if (carrier == TCP)
        tcp_pair(fds);
    else if (carrier == UNIX)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    else
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void open_loop(void)
{
    memset(&seen, 0, sizeof seen);
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
}

/* A stream that reads what is written into `peer`. */
static void open_reader(enum carrier carrier, const struct pf_stream_options *options)
{
    int fds[2];
    open_loop();
    pair(carrier, fds);
    peer = fds[1];
    assert_int_equal(pf_stream_new(loop, fds[0], options, &stream), 0);
    assert_int_equal(pf_stream_fd(stream), fds[0]);
    assert_ptr_equal(pf_stream_loop(stream), loop);
}

/* A stream whose bytes come out at `peer`, which does not block. */
static void open_writer(enum carrier carrier, const struct pf_stream_options *options)
{
    int fds[2];
    open_loop();
    pair(carrier, fds);
    peer = fds[0];
    assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pf_stream_new(loop, fds[1], options, &stream), 0);
}

static void shut(void)
{
    pf_stream_free(stream);
    stream = NULL;
    if (peer >= 0)
        close(peer);
    peer = -1;
    pf_loop_unref(loop);
}

static void say(const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

static void leave(void)
{
    close(peer);
    peer = -1;
}

static void assert_read(const char *text)
{
    assert_int_equal(seen.len, strlen(text));
    assert_memory_equal(seen.data, text, strlen(text));
}

static void forget(void)
{
    memset(seen.order, 0, sizeof seen.order);
    seen.all = 0;
}

static void assert_idle(void)
{
    struct pf_loop_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    turn(3);
    assert_int_equal(pf_loop_stats(loop, &before), 0);
    turn(50);
    assert_int_equal(pf_loop_stats(loop, &after), 0);
    assert_int_equal(after.events, before.events);
    assert_int_equal(after.timers, before.timers);
}

static char pattern(size_t at)
{
    return (char)('a' + (at * 7 + at / 251) % 26);
}

#define each_carrier(carrier)                                                              \
    for (enum carrier carrier = TCP; carrier < CARRIERS; carrier++)

/* ---- reading --------------------------------------------------------------------- */

static void reads_get_what_they_ask_for_and_leave_the_rest(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_read_until(stream, "\r\n", 2, on_read, NULL), 0);
        assert_true(pf_stream_reading(stream));
        say("one\r");
        turn(3);
        assert_string_equal(seen.order, "");
        say("\ntwo\r\nabcdefgh");
        turn_until_seen("r");
        assert_read("one\r\n");
        assert_false(pf_stream_reading(stream));
        asks(pf_stream_read_until(stream, "\r\n", 2, on_read, NULL), 0);
        turn_until_seen("rr");
        assert_read("two\r\n");
        asks(pf_stream_read_bytes(stream, 3, false, on_read, NULL), 0);
        turn_until_seen("rrr");
        assert_read("abc");
        asks(pf_stream_read_bytes(stream, 0, false, on_read, NULL), 0);
        turn_until_seen("rrrr");
        assert_read("");
        asks(pf_stream_read_bytes(stream, 100, true, on_read, NULL), 0);
        turn_until_seen("rrrrr");
        assert_read("defgh");
        assert_int_equal(pf_stream_buffered(stream), 0);
        assert_idle();
        shut();
    }
}

static void read_into_fills_the_callers_memory(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        char mine[16] = "";
        open_reader(carrier, NULL);
        asks(pf_stream_read_bytes(stream, 2, false, on_read, NULL), 0);
        say("abcd");
        turn_until_seen("r");
        asks(pf_stream_read_into(stream, mine, 6, false, on_read, NULL), 0);
        turn(3);
        assert_string_equal(seen.order, "r");
        say("efghij");
        turn_until_seen("rr");
        assert_read("cdefgh");
        assert_memory_equal(mine, "cdefgh", 7);
        asks(pf_stream_read_into(stream, mine, sizeof mine, true, on_read, NULL), 0);
        turn_until_seen("rrr");
        assert_read("ij");
        asks(pf_stream_read_into(stream, mine, 8, false, on_read, NULL), 0);
        say("half");
        leave();
        turn_until_seen("rrrR");
        assert_read("half");
        assert_int_equal(seen.err, -EPIPE);
        shut();
    }
}

static void one_read_at_a_time(void **unused)
{
    (void)unused;
    char c;
    open_reader(UNIX, NULL);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
    asks(pf_stream_read_until(stream, "x", 1, on_read, NULL), -EALREADY);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), -EALREADY);
    asks(pf_stream_read_into(stream, &c, 1, false, on_read, NULL), -EALREADY);
    asks(pf_stream_read_until_close(stream, on_read, NULL), -EALREADY);
    asks(pf_stream_read_chunks(stream, 1, on_chunk, on_read, NULL), -EALREADY);
    say("x");
    turn_until_seen("r");
    shut();
}

static void reading_until_close_gets_all(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
        say("hello ");
        turn(3);
        say("world");
        leave();
        turn_until_seen("rc");
        assert_read("hello world");
        assert_int_equal(pf_stream_error(stream), 0);
        asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
        turn_until_seen("rcr");
        assert_read("");
        shut();
    }
}

static void chunks_come_as_they_are_and_then_the_end(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_read_bytes(stream, 2, false, on_read, NULL), 0);
        say("abcd");
        turn_until_seen("r");
        forget();
        asks(pf_stream_read_chunks(stream, 6, on_chunk, on_read, NULL), 0);
        turn_until_seen("k"); /* what was buffered */
        say("efghij");
        turn_until_seen("kkr");
        assert_int_equal(seen.len, 0);
        assert_memory_equal(seen.data, "cdefgh", 6);
        forget();
        asks(pf_stream_read_chunks(stream, PF_STREAM_TO_END, on_chunk, on_read, NULL), 0);
        turn_until_seen("k");
        say("kl");
        turn_until_seen("kk");
        leave();
        turn_until_seen("kkr");
        assert_int_equal(seen.all, 4);
        assert_memory_equal(seen.data, "ijkl", 4);
        shut();
    }
}

static void wants_a_character(int times)
{
    for (int i = 0; i < times; i++) {
        forget();
        asks(pf_stream_read_bytes(stream, 1000, false, on_read, NULL), 0);
        turn_until_seen("r");
        for (size_t j = 0; j < 1000; j++)
            assert_true(seen.data[j] == pattern((size_t)i * 1000 + j));
    }
}

static void small_reads_never_take_more_than_the_buffer_may_hold(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        static char much[60000];
        struct pf_stream_options options = {PF_STREAM_OPTIONS, .max_buffer_size = 10000};
        for (size_t i = 0; i < sizeof much; i++)
            much[i] = pattern(i);
        open_reader(carrier, &options);
        assert_int_equal(write(peer, much, sizeof much), sizeof much);
        wants_a_character(60);
        assert_false(pf_stream_closed(stream));
        shut();
    }
}

static void exact_fit_is_fine_and_one_more_closes(void **unused)
{
    (void)unused;
    for (int over = 0; over <= 1; over++) {
        for (int inline_too = 0; inline_too <= 1; inline_too++) {
            open_reader(UNIX, NULL);
            asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
            if (inline_too) { /* the bytes are buffered already */
                asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
                say("xabcdef\r\nextra");
                turn_until_seen("r");
                forget();
            }
            size_t max = over ? 7 : 8;
            asks(pf_stream_read_until_max(stream, "\r\n", 2, max, on_read, NULL), 0);
            if (!inline_too)
                say("abcdef\r\nextra");
            turn_until_seen(over ? "RC" : "r");
            if (over)
                assert_int_equal(pf_stream_error(stream), -EMSGSIZE);
            else
                assert_read("abcdef\r\n");
            shut();
        }
    }
}

static void limit_of_the_buffer_is_exact_for_every_read(void **unused)
{
    (void)unused;
    struct pf_stream_options options = {PF_STREAM_OPTIONS, .max_buffer_size = 8};
    open_reader(UNIX, &options);
    asks(pf_stream_read_bytes(stream, 9, false, on_read, NULL), -EMSGSIZE);
    asks(pf_stream_read_bytes(stream, 8, false, on_read, NULL), 0);
    say("12345678123456\r\n");
    turn_until_seen("r");
    assert_read("12345678");
    asks(pf_stream_read_until(stream, "\r\n", 2, on_read, NULL), 0);
    turn_until_seen("rr");
    assert_read("123456\r\n");
    asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
    say("12345678");
    turn(5);
    leave();
    turn_until_seen("rrr");
    assert_read("12345678");
    shut();

    open_reader(UNIX, &options);
    asks(pf_stream_read_until(stream, "\r\n", 2, on_read, NULL), 0);
    say("1234567\r\n");
    turn_until_seen("R");
    assert_int_equal(seen.err, -EMSGSIZE);
    assert_true(pf_stream_closed(stream));
    shut();

    open_reader(UNIX, &options);
    asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
    say("123456789");
    turn_until_seen("R");
    assert_int_equal(seen.err, -EMSGSIZE);
    assert_read("12345678");
    shut();
}

static unsigned long long bytes_searched;

/* glibc's, counted: a search that began from the start each time would show. */
void *memmem(const void *in, size_t in_len, const void *what, size_t what_len)
{
    bytes_searched += in_len;
    const char *at = in;
    for (; in_len >= what_len; at++, in_len--)
        if (memcmp(at, what, what_len) == 0)
            return (void *)(uintptr_t)at;
    return NULL;
}

static void long_read_until_looks_at_each_byte_once(void **unused)
{
    (void)unused;
    static char much[512 * 1024];
    memset(much, 'x', sizeof much);
    memcpy(much + sizeof much - 2, "\r\n", 2);
    open_reader(UNIX, NULL);
    asks(pf_stream_read_until(stream, "\r\n", 2, on_read, NULL), 0);
    assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
    size_t sent = 0;
    bytes_searched = 0;
    turn_until((sent += sent < sizeof much
                            ? (size_t)(write(peer, much + sent, 1024) == 1024 ? 1024 : 0)
                            : 0,
                seen.order[0] == 'r'));
    assert_int_equal(seen.len, sizeof much);
    assert_true(bytes_searched < 2 * sizeof much);
    shut();
}

static size_t lines;

static int on_line(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    if (err)
        return 0;
    assert_int_equal(len, 2);
    assert_int_equal(data[1], '\n');
    lines++;
    return pf_stream_read_until(from, "\n", 1, on_line, arg);
}

static int count_turns(pf_loop *of, void *arg)
{
    (void)of;
    ++*(int *)arg;
    return 0;
}

static void reads_asked_for_in_callbacks_do_not_starve_the_loop(void **unused)
{
    (void)unused;
    open_reader(UNIX, NULL);
    lines = 0;
    static char text[10001];
    for (int i = 0; i < 10000; i += 2)
        memcpy(text + i, "x\n", 2);
    say(text);
    asks(pf_stream_read_until(stream, "\n", 1, on_line, NULL), 0);
    int turns = 0;
    turn_until((pf_loop_add_callback(loop, count_turns, &turns) == 0 && lines == 5000));
    assert_true(turns > 5000 / 100);
    assert_idle();
    shut();
}

static void chunks_of_a_closed_stream_are_what_is_left(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        say("1234");
        leave();
        turn_until_seen("r");
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        turn_until_seen("rr");
        asks(pf_stream_close(stream), 0);
        turn_until_seen("rrc");
        asks(pf_stream_read_chunks(stream, PF_STREAM_TO_END, on_chunk, on_read, NULL), 0);
        turn_until_seen("rrckr");
        assert_memory_equal(seen.data, "34", 2);
        shut();
    }
}

/* Numbers that look random and are the same in each run. */
static uint32_t next_number(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t checked; /* bytes of the pattern that have been read */
static uint32_t numbers;
static char place[8192];

static int on_piece(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    (void)arg;
    assert_int_equal(err, 0);
    for (size_t i = 0; i < len; i++)
        assert_true(data[i] == pattern(checked + i));
    checked += len;
    size_t n = next_number(&numbers) % sizeof place;
    switch (next_number(&numbers) % 5) {
    case 0:
        return pf_stream_read_bytes(from, n + 1, true, on_piece, NULL);
    case 1:
        return pf_stream_read_into(from, place, n, false, on_piece, NULL);
    case 2:
        return pf_stream_read_into(from, place, n + 1, true, on_piece, NULL);
    case 3: /* every letter comes soon */
        return pf_stream_read_until(from, "q", 1, on_piece, NULL);
    default:
        return pf_stream_read_bytes(from, n, false, on_piece, NULL);
    }
}

static void reads_of_all_kinds_in_any_order_see_each_byte_once(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        struct pf_stream_options options = {PF_STREAM_OPTIONS, .max_buffer_size = 10000,
                                            .read_chunk_size = 3000};
        static char much[65536];
        size_t sent = 0, enough = 4 << 20;
        checked = 0;
        numbers = 1 + carrier;
        open_reader(carrier, &options);
        assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
        asks(pf_stream_read_bytes(stream, 0, false, on_piece, NULL), 0);
        int64_t last = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;
        while (checked < enough) {
            size_t had = checked;
            size_t len = next_number(&numbers) % sizeof much;
            for (size_t i = 0; i < len; i++)
                much[i] = pattern(sent + i);
            ssize_t n = write(peer, much, len);
            sent += n > 0 ? (size_t)n : 0;
            turn(1 + (int)(next_number(&numbers) % 3));
            assert_false(pf_stream_closed(stream));
            if (checked != had) /* the deadline is for each step, not for all of it */
                last = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;
            assert_true(real_time() < last);
        }
        shut();
    }
}

static pf_stream *source;

static int on_written(pf_stream *from, int err, void *arg)
{
    size_t *written = arg;
    static char much[100000];
    assert_int_equal(err, 0);
    if (*written >= 10 << 20)
        return 0;
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = pattern(*written + i);
    *written += sizeof much;
    return pf_stream_write(from, much, sizeof much, on_written, arg);
}

static void ten_megabytes_flow_through_a_small_buffer(void **unused)
{
    (void)unused;
    struct pf_stream_options small = {PF_STREAM_OPTIONS, .max_buffer_size = 10000,
                                      .max_write_buffer_size = 100000};
    each_carrier(carrier)
    {
        size_t written = 0;
        checked = 0;
        numbers = 7;
        open_reader(carrier, &small);
        assert_int_equal(pf_stream_new(loop, peer, &small, &source), 0);
        peer = -1;
        asks(on_written(source, 0, &written), 0);
        asks(pf_stream_read_bytes(stream, 0, false, on_piece, NULL), 0);
        turn_while_growing(checked, (10 << 20) - 2 * sizeof place + 1);
        assert_true(written >= 10 << 20);
        pf_stream_free(source);
        shut();
    }
}

/* ---- writing --------------------------------------------------------------------- */

static char heard[2 << 20];

static size_t hear(size_t most)
{
    size_t got = 0;
    ssize_t n;
    while (got < most && (n = read(peer, heard + got, most - got)) > 0)
        got += (size_t)n;
    return got;
}

static void writes_arrive_in_order_and_are_told_from_the_loop(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_writer(carrier, NULL);
        asks(pf_stream_write(stream, "one", 3, on_write, NULL), 0);
        asks(pf_stream_write(stream, NULL, 0, on_write, NULL), 0);
        asks(pf_stream_write(stream, "two", 3, NULL, NULL), 0);
        assert_int_equal(pf_stream_writing(stream), 0);
        assert_int_equal(hear(100), 6);
        assert_memory_equal(heard, "onetwo", 6);
        turn_until_seen("ww");
        assert_idle();
        shut();
    }
}

static void large_write_waits_for_its_reader(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        static char much[1 << 20];
        struct pf_stream_options options = {PF_STREAM_OPTIONS,
                                            .max_write_buffer_size = 2 << 20};
        for (size_t i = 0; i < sizeof much; i++)
            much[i] = pattern(i);
        open_writer(carrier, &options);
        int small = 4096;
        (void)setsockopt(pf_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        size_t written = 0;
        while (pf_stream_writing(stream) == 0) {
            asks(pf_stream_write(stream, much, sizeof much, on_write, NULL), 0);
            written += sizeof much;
        }
        turn(5);
        size_t waits = pf_stream_writing(stream);
        assert_true(waits > 0 && waits <= sizeof much);
        assert_idle();
        size_t fits = (2 << 20) - waits;
        asks(pf_stream_write(stream, NULL, fits + 1, NULL, NULL), -EINVAL);
        asks(pf_stream_write(stream, heard, fits + 1, on_write, NULL), -ENOBUFS);
        assert_int_equal(pf_stream_writing(stream), waits);
        asks(pf_stream_write(stream, much, 10, on_write, NULL), 0);
        forget();
        for (size_t got = 0; got < written + 10;) {
            size_t n = hear(65536);
            for (size_t i = 0; i < n; i++)
                assert_true(heard[i] == pattern((got + i) % written % sizeof much));
            got += n;
            turn(1);
        }
        turn_until(seen.order[0] == 'w' && seen.order[1] == 'w');
        assert_int_equal(pf_stream_writing(stream), 0);
        assert_idle();
        shut();
    }
}

static void writing_to_a_peer_that_is_gone_closes_quietly(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_writer(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        leave();
        struct sigaction standard = {.sa_handler = SIG_DFL}, before;
        sigaction(SIGPIPE, &standard, &before);
        if (carrier == PIPE) {
            asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
            turn_until_seen("WC");
            assert_int_equal(seen.closed, -EPIPE);
        } else {
            turn_until(pf_stream_write(stream, "x", 1, NULL, NULL) == -EPIPE);
            turn_until(seen.order[0]);
        }
        sigset_t pending;
        sigpending(&pending);
        assert_int_equal(sigismember(&pending, SIGPIPE), 0);
        sigaction(SIGPIPE, &before, NULL);
        asks(pf_stream_write(stream, "x", 1, on_write, NULL), -EPIPE);
        shut();
    }
}

static void reader_of_a_pipe_that_leaves_is_noticed_by_an_idle_writer(void **unused)
{
    (void)unused;
    open_writer(PIPE, NULL);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    assert_idle();
    leave();
    turn_until_seen("C");
    assert_int_equal(seen.closed, -EPIPE);
    shut();
}

static void what_the_peer_said_before_it_left_is_read_though_a_write_breaks(void **unused)
{
    (void)unused;
    open_reader(UNIX, NULL);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    asks(pf_stream_read_until(stream, "\n", 1, on_read, NULL), 0);
    say("sorry\n");
    leave();
    asks(pf_stream_write(stream, "request", 7, on_write, NULL), 0);
    turn_until_seen("rWC");
    assert_read("sorry\n");
    assert_int_equal(seen.closed, -EPIPE);
    shut();
}

static int write_then_look(pf_stream *from, const char *data, size_t len, int err,
                           void *arg)
{
    if (seen.order[0]) /* the rest */
        return on_read(from, data, len, err, arg);
    assert_int_equal(pf_stream_write(from, "x", 1, NULL, NULL), 0);
    assert_true(pf_stream_closed(from));
    for (size_t i = 0; i + 1 < len; i++)
        assert_int_equal(data[i], 'a');
    return on_read(from, data, len, err, arg);
}

static void data_stays_for_the_call_though_a_write_in_it_breaks(void **unused)
{
    (void)unused;
    for (int chunks = 0; chunks <= 1; chunks++) {
        char text[4001];
        memset(text, 'a', 899);
        text[899] = '\n';
        memset(text + 900, 'b', 3100);
        text[4000] = 0;
        open_reader(UNIX, NULL);
        if (chunks)
            asks(pf_stream_read_chunks(stream, 900, write_then_look, on_read, NULL), 0);
        else
            asks(pf_stream_read_until(stream, "\n", 1, write_then_look, NULL), 0);
        say(text);
        leave();
        turn_until_seen(chunks ? "rr" : "r");
        forget();
        asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
        turn_until_seen("R"); /* it has broken */
        assert_read(text + 900);
        shut();
    }
}

static int write_without_memory(pf_stream *from, const char *data, size_t len, int err,
                                void *arg)
{
    pf_alloc_fail(1);
    int result = write_then_look(from, data, len, err, arg);
    assert_int_equal(pf_alloc_stop(), 1);
    return result;
}

static void data_stays_though_there_is_no_memory_for_what_comes(void **unused)
{
    (void)unused;
    pf_alloc_needed();
    open_reader(UNIX, NULL);
    asks(pf_stream_read_until(stream, "\n", 1, write_without_memory, NULL), 0);
    say("aaaa\nrest");
    leave();
    turn_until_seen("r");
    assert_read("aaaa\n");
    asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
    turn_until_seen("rR");
    assert_read("rest");
    shut();
}

static void what_comes_behind_a_read_into_is_kept_when_a_write_breaks(void **unused)
{
    (void)unused;
    char mine[32];
    open_reader(UNIX, NULL);
    asks(pf_stream_read_into(stream, mine, 4, false, on_read, NULL), 0);
    say("abcdefghij");
    leave();
    asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
    turn_until_seen("rW");
    assert_read("abcd");
    asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
    turn_until_seen("rWR");
    assert_read("efghij");
    shut();

    /* What is buffered up to the limit makes room, too. */
    struct pf_stream_options options = {PF_STREAM_OPTIONS, .max_buffer_size = 8};
    open_reader(UNIX, &options);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    say("12345678abcdef");
    turn_until(pf_stream_buffered(stream) == 8);
    asks(pf_stream_read_into(stream, mine, 20, false, on_read, NULL), 0);
    leave();
    asks(pf_stream_write(stream, "x", 1, NULL, NULL), 0);
    turn_until_seen("RC");
    assert_read("12345678abcdef");
    shut();
}

static void ends_of_a_pipe_do_one_thing_only(void **unused)
{
    (void)unused;
    open_reader(PIPE, NULL);
    asks(pf_stream_write(stream, "x", 1, NULL, NULL), -EBADF);
    asks(pf_stream_set_nodelay(stream, true), -ENOTSUP);
    struct sockaddr_un nowhere = {.sun_family = AF_UNIX};
    asks(pf_stream_connect(stream, (struct sockaddr *)&nowhere, sizeof nowhere, NULL, NULL),
         -ENOTSOCK);
    shut();
    open_writer(PIPE, NULL);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), -EBADF);
    shut();
}

static void nodelay_is_set_on_tcp_alone(void **unused)
{
    (void)unused;
    int value = 0;
    socklen_t len = sizeof value;
    open_reader(TCP, NULL);
    asks(pf_stream_set_nodelay(stream, true), 0);
    getsockopt(pf_stream_fd(stream), IPPROTO_TCP, TCP_NODELAY, &value, &len);
    assert_int_equal(value, 1);
    asks(pf_stream_close(stream), 0);
    asks(pf_stream_set_nodelay(stream, true), -EPIPE);
    shut();
    open_reader(UNIX, NULL);
    asks(pf_stream_set_nodelay(stream, true), -ENOTSUP);
    shut();
}

/* ---- connecting ------------------------------------------------------------------ */

static void writes_before_the_connection_are_flushed_after(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    open_loop();
    int listener = listen_tcp(&address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pf_stream_new(loop, fd, NULL, &stream), 0);
    asks(pf_stream_connect(stream, (struct sockaddr *)&address, sizeof address, on_connect,
                           NULL),
         0);
    asks(pf_stream_connect(stream, (struct sockaddr *)&address, sizeof address, on_connect,
                           NULL),
         -EALREADY);
    asks(pf_stream_write(stream, "early", 5, on_write, NULL), 0);
    asks(pf_stream_read_bytes(stream, 4, false, on_read, NULL), 0);
    turn_until_seen("ow");
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(hear(5), 5);
    assert_memory_equal(heard, "early", 5);
    say("late");
    turn_until_seen("owr");
    close(listener);
    shut();
}

static int listen_unix(struct sockaddr_un *address, socklen_t *len)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX}; /* the kernel picks a name */
    *len = sizeof *address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, len), 0);
    return fd;
}

static void connection_that_was_made_is_told_though_it_is_over(void **unused)
{
    (void)unused;
    for (int local = 0; local <= 1; local++) {
        struct sockaddr_in in;
        struct sockaddr_un un;
        socklen_t len = sizeof in;
        open_loop();
        int listener = local ? listen_unix(&un, &len) : listen_tcp(&in);
        int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(pf_stream_new(loop, fd, NULL, &stream), 0);
        asks(pf_stream_set_close_callback(stream, NULL, NULL), 0);
        asks(local
                 ? pf_stream_connect(stream, (struct sockaddr *)&un, len, on_connect, NULL)
                 : pf_stream_connect(stream, (struct sockaddr *)&in, len, on_connect, NULL),
             0);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_write(stream, "once", 4, on_write, NULL), 0);
        asks(pf_stream_close_when_written(stream), 0);
        turn_until(strlen(seen.order) == 3);
        assert_string_equal(seen.order, "owc");
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(hear(100), 4);
        close(listener);
        shut();
    }
}

static void connection_that_cannot_be_watched_is_not_made(void **unused)
{
    (void)unused;
    if (pf_backend()->ops != &pf_poller_epoll)
        skip();
    struct sockaddr_in first, second;
    open_loop();
    int listeners[] = {listen_tcp(&first), listen_tcp(&second)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pf_stream_new(loop, fd, NULL, &stream), 0);
    fail_controls = true;
    asks(pf_stream_connect(stream, (struct sockaddr *)&first, sizeof first, on_connect,
                           NULL),
         -ENOSPC);
    fail_controls = false;
    asks(pf_stream_connect(stream, (struct sockaddr *)&second, sizeof second, on_connect,
                           NULL),
         0);
    turn_until_seen("o");
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    assert_int_equal(getpeername(pf_stream_fd(stream), (struct sockaddr *)&to, &len), 0);
    assert_int_equal(to.sin_port, second.sin_port);
    close(listeners[0]);
    close(listeners[1]);
    peer = -1;
    shut();
}

static void refused_connection_is_told_and_closes(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/x"};
    close(listen_tcp(&address));
    for (int local = 0; local <= 1; local++) {
        open_loop();
        peer = -1;
        int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(pf_stream_new(loop, fd, NULL, &stream), 0);
        asks(pf_stream_set_close_callback(stream, NULL, NULL), 0);
        asks(local ? pf_stream_connect(stream, (struct sockaddr *)&nowhere, sizeof nowhere,
                                       on_connect, NULL)
                   : pf_stream_connect(stream, (struct sockaddr *)&address, sizeof address,
                                       on_connect, NULL),
             0);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        if (!pf_stream_closed(stream)) {
            asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
            asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
            turn_until_seen("ORWC");
        } else {
            turn_until_seen("OC");
        }
        assert_int_equal(seen.closed, local ? -ENOENT : -ECONNREFUSED);
        assert_int_equal(pf_stream_fd(stream), -1);
        shut();
    }
}

static void connection_is_told_before_what_needs_no_bytes(void **unused)
{
    (void)unused;
    struct sockaddr_in address;
    open_loop();
    int listener = listen_tcp(&address);
    for (int refused = 0; refused <= 1; refused++) {
        if (refused)
            close(listener);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(pf_stream_new(loop, fd, NULL, &stream), 0);
        asks(pf_stream_connect(stream, (struct sockaddr *)&address, sizeof address,
                               on_connect, NULL),
             0);
        asks(pf_stream_write(stream, NULL, 0, on_write, NULL), 0);
        asks(pf_stream_read_bytes(stream, 0, false, on_read, NULL), 0);
        turn_until(strlen(seen.order) == 3);
        assert_string_equal(seen.order, refused ? "Orw" : "orw");
        forget();
        pf_stream_free(stream);
    }
    stream = NULL;
    peer = -1;
    shut();
}

/* ---- the end --------------------------------------------------------------------- */

static void close_callback_waits_for_the_reads_that_are_buffered(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        say("12");
        leave();
        turn_until_seen("r");
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        turn_until_seen("rrc");
        assert_read("2");
        shut();
    }
}

static void data_in_the_kernel_is_read_after_the_peer_has_closed(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        struct pf_stream_options options = {PF_STREAM_OPTIONS, .read_chunk_size = 256};
        char text[513];
        memset(text, 'A', 512);
        text[512] = 0;
        open_reader(carrier, &options);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_read_bytes(stream, 256, false, on_read, NULL), 0);
        say(text);
        leave();
        turn_until(seen.order[0] == 'r');
        assert_int_equal(seen.len, 256);
        asks(pf_stream_read_bytes(stream, 256, false, on_read, NULL), 0);
        turn_until_seen("rrc");
        assert_int_equal(seen.len, 256);
        assert_int_equal(seen.closed, 0);
        shut();
    }
}

static void pending_read_and_writes_are_told_before_the_close(void **unused)
{
    (void)unused;
    static char much[1 << 20];
    open_reader(UNIX, NULL);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    asks(pf_stream_read_bytes(stream, 10, false, on_read, NULL), 0);
    say("half");
    turn(3);
    while (pf_stream_writing(stream) == 0)
        asks(pf_stream_write(stream, much, sizeof much, NULL, NULL), 0);
    asks(pf_stream_write(stream, much, 1, on_write, NULL), 0);
    asks(pf_stream_close(stream), 0);
    assert_true(pf_stream_closed(stream));
    assert_int_equal(pf_stream_writing(stream), 0);
    turn_until_seen("RWc");
    shut();
}

static void closing_by_oneself_tells_the_close_callback_once(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_close(stream), 0);
        asks(pf_stream_close(stream), 0);
        turn_until_seen("c");
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        turn(5);
        assert_string_equal(seen.order, "c");
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), -EPIPE);
        shut();
        open_reader(carrier, NULL);
        asks(pf_stream_close(stream), 0);
        turn(3);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        turn_until_seen("c");
        shut();
    }
}

static void read_that_is_refused_takes_nothing(void **unused)
{
    (void)unused;
    char mine[8];
    open_reader(UNIX, NULL);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
    say("1234");
    turn_until_seen("r");
    asks(pf_stream_close(stream), 0);
    asks(pf_stream_read_into(stream, mine, 8, false, on_read, NULL), -EPIPE);
    asks(pf_stream_read_until(stream, "x", 1, on_read, NULL), -EPIPE);
    assert_int_equal(pf_stream_buffered(stream), 3);
    asks(pf_stream_read_into(stream, mine, 2, false, on_read, NULL), 0);
    turn_until_seen("rr");
    assert_read("23");
    asks(pf_stream_read_until_close(stream, on_read, NULL), 0);
    turn_until_seen("rrr");
    assert_read("4");
    shut();
}

static void idle_stream_with_a_close_callback_notices_the_end(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        assert_idle();
        leave();
        turn_until_seen("c");
        shut();
    }
}

static void idle_stream_takes_no_more_than_a_piece(void **unused)
{
    (void)unused;
    static char much[32768];
    open_reader(UNIX, NULL);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    assert_int_equal(write(peer, much, sizeof much), sizeof much);
    turn_until(pf_stream_buffered(stream) > 0);
    turn(10);
    assert_true(pf_stream_buffered(stream) <= 1024);
    assert_idle();
    asks(pf_stream_read_bytes(stream, sizeof much, false, on_read, NULL), 0);
    turn_until_seen("r");
    shut();
}

static void stream_closes_when_all_is_written(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        static char much[1 << 20];
        open_writer(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        size_t written = 0, got = 0;
        while (pf_stream_writing(stream) == 0) {
            asks(pf_stream_write(stream, much, sizeof much, NULL, NULL), 0);
            written += sizeof much;
        }
        asks(pf_stream_close_when_written(stream), 0);
        asks(pf_stream_write(stream, "x", 1, NULL, NULL), -EPIPE);
        assert_false(pf_stream_closed(stream));
        turn_until((got += hear(65536)) == written && seen.order[0]);
        assert_string_equal(seen.order, "c");
        assert_int_equal(read(peer, heard, 1), 0);
        shut();
        open_writer(carrier, NULL);
        asks(pf_stream_close_when_written(stream), 0);
        assert_true(pf_stream_closed(stream));
        shut();
    }
}

static void reset_is_kept_as_the_error(void **unused)
{
    (void)unused;
    open_reader(TCP, NULL);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
    struct linger reset = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    leave();
    turn_until_seen("RC");
    assert_int_equal(seen.closed, -ECONNRESET);
    shut();
}

static unsigned reports;
static int reported;

static void on_error(pf_loop *of, const struct pf_loop_error *error, void *arg)
{
    (void)of, (void)arg;
    reports++;
    reported = error->error;
}

static void callback_that_fails_closes_the_stream_and_is_reported(void **unused)
{
    (void)unused;
    for (int buffered = 0; buffered <= 1; buffered++) {
        struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
        options.on_error = on_error;
        int fds[2];
        memset(&seen, 0, sizeof seen);
        reports = 0;
        assert_int_equal(pf_loop_new(&options, &loop), 0);
        pair(UNIX, fds);
        peer = fds[1];
        assert_int_equal(pf_stream_new(loop, fds[0], NULL, &stream), 0);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        if (buffered) {
            say("x");
            turn_until(pf_stream_buffered(stream) == 1);
        }
        seen.result = -EPROTO;
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        if (!buffered)
            say("x");
        turn_until_seen("rC");
        assert_int_equal(seen.closed, -EPROTO);
        turn(3);
        assert_int_equal(reports, 1);
        assert_int_equal(reported, -EPROTO);
        shut();
    }
}

static void callback_that_fails_with_epipe_closes_the_stream_silently(void **unused)
{
    (void)unused;
    for (int buffered = 0; buffered <= 1; buffered++) {
        struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
        options.on_error = on_error;
        int fds[2];
        memset(&seen, 0, sizeof seen);
        reports = 0;
        assert_int_equal(pf_loop_new(&options, &loop), 0);
        pair(UNIX, fds);
        peer = fds[1];
        assert_int_equal(pf_stream_new(loop, fds[0], NULL, &stream), 0);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        seen.result = -EPIPE;
        asks(pf_stream_read_bytes(stream, buffered ? 0 : 1, false, on_read, NULL), 0);
        say("x");
        turn_until_seen("rC");
        assert_int_equal(seen.closed, -EPIPE);
        turn(3);
        assert_int_equal(reports, 0);
        shut();
    }
}

static void each_callback_that_fails_is_reported(void **unused)
{
    (void)unused;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.on_error = on_error;
    int fds[2];
    memset(&seen, 0, sizeof seen);
    reports = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    pair(UNIX, fds);
    peer = fds[1];
    assert_int_equal(pf_stream_new(loop, fds[0], NULL, &stream), 0);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    seen.result = -EPROTO;
    say("x");
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
    asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
    asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
    turn_until(strlen(seen.order) == 4);
    turn(3);
    assert_int_equal(seen.closed, -EPROTO);
    assert_int_equal(reports, 3);
    assert_int_equal(reported, -EPROTO);
    shut();
}

static int free_it(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    (void)data, (void)arg;
    assert_int_equal(len, 2);
    pf_stream_free(from);
    pf_stream_free(from);
    stream = NULL;
    note('r', err);
    return data[1] == 'e' ? -EPIPE : 0; /* still there */
}

static int free_it_when_told(pf_stream *from, int err, void *arg)
{
    (void)arg;
    pf_stream_free(from);
    stream = NULL;
    note('f', err);
    return 0;
}

static void stream_may_be_freed_in_each_callback(void **unused)
{
    (void)unused;
    open_reader(UNIX, NULL);
    asks(pf_stream_read_bytes(stream, 2, false, free_it, NULL), 0);
    asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    say("he");
    turn_until(!stream);
    turn(3);
    assert_true(strcmp(seen.order, "wr") == 0 || strcmp(seen.order, "r") == 0);
    shut();

    open_reader(UNIX, NULL);
    asks(pf_stream_read_chunks(stream, 10, free_it, on_read, NULL), 0);
    say("ab");
    turn_until_seen("r");
    shut();

    open_reader(UNIX, NULL);
    asks(pf_stream_write(stream, "x", 1, free_it_when_told, NULL), 0);
    asks(pf_stream_write(stream, "x", 1, on_write, NULL), 0);
    turn_until_seen("f");
    shut();

    open_reader(UNIX, NULL);
    asks(pf_stream_set_close_callback(stream, free_it_when_told, NULL), 0);
    leave();
    turn_until_seen("f");
    turn(3);
    shut();
}

static void freeing_calls_nobody(void **unused)
{
    (void)unused;
    each_carrier(carrier)
    {
        open_reader(carrier, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        pf_stream_free(stream);
        stream = NULL;
        turn(5);
        assert_string_equal(seen.order, "");
        shut();
    }
    pf_stream_free(NULL);
}

/* ---- guards ---------------------------------------------------------------------- */

static void child_cannot_touch_it_but_may_free_it(void *arg)
{
    bool discards_first = *(bool *)arg;
    assert_int_equal(pf_stream_read_bytes(stream, 1, false, on_read, NULL), -ECHILD);
    assert_int_equal(pf_stream_write(stream, "x", 1, NULL, NULL), -ECHILD);
    assert_int_equal(pf_stream_close(stream), -ECHILD);
    assert_int_equal(pf_stream_set_close_callback(stream, NULL, NULL), -ECHILD);
    assert_true(pf_stream_closed(stream));
    assert_false(pf_stream_reading(stream));
    int fds = pf_test_count_fds();
    if (discards_first) {
        assert_int_equal(pf_loop_discard(loop), 0);
        fds = pf_test_count_fds();
        assert_int_equal(pf_stream_write(stream, "x", 1, NULL, NULL), -ECHILD);
    }
    pf_stream_free(stream);
    assert_int_equal(pf_test_count_fds(), fds - 1);
    if (!discards_first)
        assert_int_equal(pf_loop_discard(loop), 0);
}

static void stream_of_a_parent_lives_on_when_its_child_has_gone(void **unused)
{
    (void)unused;
    for (int first = 0; first <= 1; first++) {
        bool discards_first = first;
        open_reader(UNIX, NULL);
        asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
        pf_test_in_child(child_cannot_touch_it_but_may_free_it, &discards_first);
        pf_test_in_raw_clone(child_cannot_touch_it_but_may_free_it, &discards_first);
        say("x");
        turn_until_seen("r");
        shut();
    }
}

static int fork_in_it(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    (void)data, (void)len, (void)err;
    pid_t *pid = arg;
    *pid = fork();
    if (*pid == 0)
        return -EPROTO; /* closes nothing here: it is the parent's */
    return pf_stream_read_bytes(from, 2, false, on_read, NULL);
}

static void fork_inside_a_callback_leaves_the_stream_to_the_parent(void **unused)
{
    (void)unused;
    pid_t pid = -1;
    open_reader(UNIX, NULL);
    asks(pf_stream_read_bytes(stream, 2, false, fork_in_it, &pid), 0);
    say("abcd");
    int64_t last = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;
    while (pid == -1 && real_time() < last)
        (void)pf_loop_turn(loop, 0);
    if (pid == 0) {
        int status = pf_stream_closed(stream) && fcntl(pf_stream_fd(stream), F_GETFD) != -1;
        pf_stream_free(stream);
        (void)pf_loop_discard(loop);
        _exit(status ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    turn_until_seen("r");
    assert_read("cd");
    shut();
}

static void *other_thread(void *arg)
{
    (void)arg;
    static int answers[4];
    answers[0] = pf_stream_read_bytes(stream, 1, false, on_read, NULL);
    answers[1] = pf_stream_write(stream, "x", 1, NULL, NULL);
    answers[2] = pf_stream_close(stream);
    pf_stream_free(stream); /* nothing */
    return answers;
}

static void foreign_thread_is_refused(void **unused)
{
    (void)unused;
    pthread_t thread;
    void *answers;
    open_reader(UNIX, NULL);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, &answers);
    for (int i = 0; i < 3; i++)
        assert_int_equal(((int *)answers)[i], -EPERM);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
    say("x");
    turn_until_seen("r");
    shut();
}

static void stream_outlives_its_loop_and_closes_once(void **unused)
{
    (void)unused;
    for (int all_fds = 0; all_fds <= 1; all_fds++) {
        open_reader(UNIX, NULL);
        asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
        int fd = pf_stream_fd(stream);
        assert_int_equal(pf_loop_close(loop, all_fds), 0);
        assert_int_equal(fcntl(fd, F_GETFD) == -1, all_fds);
        int stranger = all_fds ? fcntl(peer, F_DUPFD_CLOEXEC, fd) : -1;
        asks(pf_stream_write(stream, "x", 1, NULL, NULL), -ESTALE);
        assert_null(pf_stream_loop(stream));
        pf_stream_free(stream);
        stream = NULL;
        if (all_fds) { /* its number is somebody else's now */
            assert_int_not_equal(fcntl(stranger, F_GETFD), -1);
            close(stranger);
        }
        shut();
    }
}

static void mistakes_are_answered(void **unused)
{
    (void)unused;
    struct pf_stream_options bad = {.size = 1};
    int fds[2];
    open_loop();
    pair(UNIX, fds);
    peer = fds[1];
    assert_int_equal(pf_stream_new(NULL, fds[0], NULL, &stream), -EINVAL);
    assert_int_equal(pf_stream_new(loop, fds[0], NULL, NULL), -EINVAL);
    assert_int_equal(pf_stream_new(loop, fds[0], &bad, &stream), -EINVAL);
    assert_int_equal(pf_stream_new(loop, -1, NULL, &stream), -EBADF);
    int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pf_stream_new(loop, file, NULL, &stream), -ENOTSUP);
    close(file);
    assert_int_equal(pf_stream_new(loop, fds[0], NULL, &stream), 0);
    asks(pf_stream_read_until(stream, "", 0, on_read, NULL), -EINVAL);
    asks(pf_stream_read_until(stream, heard, PF_STREAM_DELIMITER_MAX + 1, on_read, NULL),
         -EINVAL);
    asks(pf_stream_read_bytes(stream, 1, false, NULL, NULL), -EINVAL);
    asks(pf_stream_read_bytes(NULL, 1, false, on_read, NULL), -EINVAL);
    asks(pf_stream_read_into(stream, NULL, 1, false, on_read, NULL), -EINVAL);
    asks(pf_stream_read_chunks(stream, 1, NULL, on_read, NULL), -EINVAL);
    asks(pf_stream_write(stream, NULL, 1, NULL, NULL), -EINVAL);
    asks(pf_stream_connect(stream, NULL, 0, NULL, NULL), -EINVAL);
    assert_int_equal(pf_stream_error(NULL), -EINVAL);
    assert_int_equal(pf_stream_fd(NULL), -1);
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), 0);
    shut();
}

static int context_now; /* 0: none */
static int contexts[3]; /* captured and not released */

static void *capture(void *arg)
{
    (void)arg;
    if (!context_now)
        return NULL;
    contexts[context_now]++;
    return &contexts[context_now];
}

static void *enter(void *context, void *arg)
{
    static int before[8];
    static unsigned depth;
    (void)arg;
    int *kept = &before[depth++ % 8];
    *kept = context_now;
    context_now = (int)((int *)context - contexts);
    return kept;
}

static void leave_context(void *context, void *entered, void *arg)
{
    (void)context, (void)arg;
    context_now = *(int *)entered;
}

static void release_context(void *context, void *arg)
{
    (void)arg;
    --*(int *)context;
}

static int on_read_in_context(pf_stream *from, const char *data, size_t len, int err,
                              void *arg)
{
    assert_int_equal(context_now, *(int *)arg);
    return on_read(from, data, len, err, arg);
}

static void callbacks_run_in_the_context_of_the_stream(void **unused)
{
    (void)unused;
    struct pf_context_hooks hooks = {sizeof hooks,  capture,         enter,
                                     leave_context, release_context, NULL};
    for (int of = 0; of <= 2; of++) {
        int fds[2];
        open_loop();
        assert_int_equal(pf_loop_set_context_hooks(loop, &hooks), 0);
        pair(UNIX, fds);
        peer = fds[1];
        context_now = of;
        assert_int_equal(pf_stream_new(loop, fds[0], NULL, &stream), 0);
        context_now = 1; /* what is around the calls does not matter */
        asks(pf_stream_read_bytes(stream, 1, false, on_read_in_context, &of), 0);
        context_now = 0;
        say("x");
        turn_until_seen("r"); /* by its descriptor */
        asks(pf_stream_read_bytes(stream, 0, false, on_read_in_context, &of), 0);
        turn_until_seen("rr"); /* by its timer */
        asks(pf_stream_read_bytes(stream, 1, false, on_read_in_context, &of), 0);
        say("x");
        turn_until_seen("rrr");
        assert_int_equal(context_now, 0);
        shut();
        assert_int_equal(contexts[1], 0);
        assert_int_equal(contexts[2], 0);
    }
}

/* ---- cost and scarcity ----------------------------------------------------------- */

static int on_ping(pf_stream *from, const char *data, size_t len, int err, void *arg)
{
    if (err)
        return 0;
    ++*(int *)arg;
    (void)pf_stream_write(from, data, len, NULL, NULL);
    return pf_stream_read_until(from, "\n", 1, on_ping, arg);
}

static void request_and_answer_change_no_registration_and_allocate_nothing(void **unused)
{
    (void)unused;
    int pings = 0;
    open_reader(UNIX, NULL);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    asks(pf_stream_read_until(stream, "\n", 1, on_ping, &pings), 0);
    say("warm\n");
    turn_until(pings == 1);
    controls = 0;
    pf_alloc_fail(0);
    for (int i = 0; i < 100; i++) {
        say("ping\n");
        turn_until(pings == 2 + i);
    }
    assert_int_equal(pf_alloc_stop(), 0);
    assert_int_equal(controls, 0);
    shut();
}

static void registration_that_fails_is_answered_or_closes(void **unused)
{
    (void)unused;
    if (pf_backend()->ops != &pf_poller_epoll)
        skip();
    open_reader(UNIX, NULL);
    fail_controls = true;
    asks(pf_stream_read_bytes(stream, 1, false, on_read, NULL), -ENOSPC);
    asks(pf_stream_set_close_callback(stream, on_close, NULL), -ENOSPC);
    assert_false(pf_stream_reading(stream));
    fail_controls = false;
    asks(pf_stream_set_close_callback(stream, on_close, NULL), 0);
    static char much[1 << 20];
    fail_controls = true;
    while (!pf_stream_closed(stream))
        asks(pf_stream_write(stream, much, sizeof much, NULL, NULL), 0);
    fail_controls = false;
    turn_until_seen("C");
    assert_int_equal(seen.closed, -ENOSPC);
    shut();
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    pf_alloc_needed();
    static char much[1 << 20];
    int most = 1;
    for (int n = 1; n <= most; n++) {
        int fds[2];
        open_loop();
        pair(UNIX, fds);
        peer = fds[1];
        stream = NULL;
        pf_alloc_fail(n);
        int err = pf_stream_new(loop, fds[0], NULL, &stream);
        if (!err)
            err = pf_stream_set_close_callback(stream, on_close, NULL);
        if (!err)
            err = pf_stream_read_until(stream, "\n", 1, on_read, NULL);
        if (!err)
            err = pf_stream_write(stream, much, sizeof much, on_write, NULL);
        (void)write(peer, "hello\n", 6);
        for (int i = 0; i < 5; i++)
            (void)pf_loop_turn(loop, 0);
        int allocated = pf_alloc_stop();
        if (n == 1)
            most = allocated + 8;
        assert_true(err == 0 || err == -ENOMEM);
        if (!stream)
            close(fds[0]);
        else if (pf_stream_closed(stream))
            assert_int_equal(pf_stream_error(stream), -ENOMEM);
        shut();
        if (n > allocated)
            return; /* nothing failed */
    }
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(reads_get_what_they_ask_for_and_leave_the_rest),
        pf_test(read_into_fills_the_callers_memory),
        pf_test(one_read_at_a_time),
        pf_test(reading_until_close_gets_all),
        pf_test(chunks_come_as_they_are_and_then_the_end),
        pf_test(small_reads_never_take_more_than_the_buffer_may_hold),
        pf_test(exact_fit_is_fine_and_one_more_closes),
        pf_test(limit_of_the_buffer_is_exact_for_every_read),
        pf_test(long_read_until_looks_at_each_byte_once),
        pf_test(reads_asked_for_in_callbacks_do_not_starve_the_loop),
        pf_test(chunks_of_a_closed_stream_are_what_is_left),
        pf_test(reads_of_all_kinds_in_any_order_see_each_byte_once),
        pf_test(ten_megabytes_flow_through_a_small_buffer),
        pf_test(writes_arrive_in_order_and_are_told_from_the_loop),
        pf_test(large_write_waits_for_its_reader),
        pf_test(writing_to_a_peer_that_is_gone_closes_quietly),
        pf_test(reader_of_a_pipe_that_leaves_is_noticed_by_an_idle_writer),
        pf_test(what_the_peer_said_before_it_left_is_read_though_a_write_breaks),
        pf_test(data_stays_for_the_call_though_a_write_in_it_breaks),
        pf_test(data_stays_though_there_is_no_memory_for_what_comes),
        pf_test(what_comes_behind_a_read_into_is_kept_when_a_write_breaks),
        pf_test(ends_of_a_pipe_do_one_thing_only),
        pf_test(nodelay_is_set_on_tcp_alone),
        pf_test(writes_before_the_connection_are_flushed_after),
        pf_test(connection_that_was_made_is_told_though_it_is_over),
        pf_test(connection_that_cannot_be_watched_is_not_made),
        pf_test(refused_connection_is_told_and_closes),
        pf_test(connection_is_told_before_what_needs_no_bytes),
        pf_test(close_callback_waits_for_the_reads_that_are_buffered),
        pf_test(data_in_the_kernel_is_read_after_the_peer_has_closed),
        pf_test(pending_read_and_writes_are_told_before_the_close),
        pf_test(closing_by_oneself_tells_the_close_callback_once),
        pf_test(read_that_is_refused_takes_nothing),
        pf_test(idle_stream_with_a_close_callback_notices_the_end),
        pf_test(idle_stream_takes_no_more_than_a_piece),
        pf_test(stream_closes_when_all_is_written),
        pf_test(reset_is_kept_as_the_error),
        pf_test(callback_that_fails_closes_the_stream_and_is_reported),
        pf_test(callback_that_fails_with_epipe_closes_the_stream_silently),
        pf_test(each_callback_that_fails_is_reported),
        pf_test(stream_may_be_freed_in_each_callback),
        pf_test(freeing_calls_nobody),
        pf_test(stream_of_a_parent_lives_on_when_its_child_has_gone),
        pf_test(fork_inside_a_callback_leaves_the_stream_to_the_parent),
        pf_test(foreign_thread_is_refused),
        pf_test(stream_outlives_its_loop_and_closes_once),
        pf_test(mistakes_are_answered),
        pf_test(callbacks_run_in_the_context_of_the_stream),
        pf_test(request_and_answer_change_no_registration_and_allocate_nothing),
        pf_test(registration_that_fails_is_answered_or_closes),
        pf_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
