/*
 * The pollers, sentence by sentence of prefork/poller.h: each test runs on epoll, on kqueue
 * (over the double of it, on Linux) and on select. Where they differ the test says so.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"
#include "tests/lib/kqueue_double.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- tools ----------------------------------------------------------------------- */

static const struct pf_poller_ops *ops; /* the one under test */
static void *poller;
static struct pf_poll_event told[600];

static int set_up(void **state)
{
    ops = pf_backends[(uintptr_t)*state];
    (void)pf_test_setup(state);
    return ops->open(NULL, &poller);
}

static int tear_down(void **state)
{
    ops->close(poller);
    return pf_test_teardown(state);
}

static void watch(int fd, unsigned events, uint64_t tag)
{
    assert_int_equal(ops->add(poller, fd, events, tag), 0);
}

static void change(int fd, unsigned events, uint64_t tag)
{
    assert_int_equal(ops->modify(poller, fd, events, tag), 0);
}

static void unwatch(int fd)
{
    assert_int_equal(ops->remove(poller, fd), 0);
}

static int look(int max)
{
    memset(told, 0, sizeof told);
    return ops->wait(poller, told, max, 0);
}

static void assert_nothing_is_told(void)
{
    assert_int_equal(look(10), 0);
}

/* Exactly one, with all of these events; PF_ERROR is two bits, either of which will do.
 * Sleeps until it comes. */
static unsigned assert_told(uint64_t tag, unsigned events)
{
    memset(told, 0, sizeof told);
    assert_int_equal(ops->wait(poller, told, 10, PF_TEST_DEADLINE_S * PF_SECOND), 1);
    assert_true(told[0].tag == tag);
    unsigned seen = told[0].events | ((told[0].events & PF_ERROR) ? PF_ERROR : 0);
    assert_int_equal(seen & events, events);
    return seen;
}

static void make_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void make_readable_pipe(int fds[2])
{
    make_pipe(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
}

static void make_socket_pair(int fds[2])
{
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

/* ---- what is told ---------------------------------------------------------------- */

static void what_is_ready_is_told_with_its_tag_until_it_is_read(void **state)
{
    (void)state;
    int fds[2];
    char byte;
    make_pipe(fds);
    watch(fds[0], PF_READ, UINT64_C(0xfedcba9876543210));
    assert_nothing_is_told();
    assert_int_equal(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(assert_told(UINT64_C(0xfedcba9876543210), PF_READ), PF_READ);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_nothing_is_told();
    close_both(fds);
}

static void reading_and_writing_of_one_descriptor_are_one_event(void **state)
{
    (void)state;
    enum {
        N = 50
    };
    int fds[N][2];
    unsigned seen[N] = {0};
    for (size_t i = 0; i < N; i++) {
        make_socket_pair(fds[i]);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        watch(fds[i][0], PF_READ | PF_WRITE, i);
    }
    int n = look(600);
    assert_int_equal(n, N);
    for (int i = 0; i < n; i++) {
        assert_int_equal(seen[told[i].tag], 0);
        seen[told[i].tag] = told[i].events;
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(seen[i], PF_READ | PF_WRITE);
        close_both(fds[i]);
    }
}

static void only_what_was_asked_for_is_told(void **state)
{
    (void)state;
    int fds[2];
    make_socket_pair(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    watch(fds[0], PF_READ, 1); /* it is writable, too */
    assert_int_equal(assert_told(1, PF_READ), PF_READ);
    change(fds[0], PF_WRITE, 2);
    assert_int_equal(assert_told(2, PF_WRITE), PF_WRITE);
    change(fds[0], PF_READ | PF_WRITE, 3);
    assert_int_equal(assert_told(3, PF_READ), PF_READ | PF_WRITE);
    change(fds[0], PF_READ, 4);
    assert_int_equal(assert_told(4, PF_READ), PF_READ);
    unwatch(fds[0]);
    assert_nothing_is_told();
    close_both(fds);
}

/* The loop's table and the kernel's may differ: what is asked for now is right. */
static void adding_twice_or_changing_what_is_not_watched_takes_the_last_word(void **state)
{
    (void)state;
    int fds[2];
    make_socket_pair(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    watch(fds[0], PF_READ, 1);
    watch(fds[0], PF_WRITE, 2);
    assert_int_equal(assert_told(2, PF_WRITE), PF_WRITE);
    unwatch(fds[0]);
    change(fds[0], PF_READ, 3);
    assert_int_equal(assert_told(3, PF_READ), PF_READ);
    close_both(fds);
}

/* What epoll has registered, by /proc: events in hexadecimal; 0 if it does not know fd. */
static unsigned registered(int fd)
{
    char path[64], line[256];
    unsigned events = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", ops->fd(poller));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        int number;
        unsigned its;
        if (sscanf(line, "tfd: %d events: %x", &number, &its) == 2 && number == fd)
            events = its;
    }
    fclose(file);
    return events;
}

static void to_be_woken_exclusively_is_epolls_and_the_others_ignore_it(void **state)
{
    (void)state;
    int fds[2];
    make_socket_pair(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) {
        watch(fds[0], PF_READ | PF_EXCLUSIVE, 1);
        assert_int_equal(assert_told(1, PF_READ), PF_READ);
        if (ops == &pf_poller_epoll)
            assert_true(registered(fds[0]) & 1u << 28); /* EPOLLEXCLUSIVE */
        if (i == 0)
            unwatch(fds[0]);
    }
    watch(fds[0], PF_READ, 2); /* takes the last word all the same */
    assert_int_equal(assert_told(2, PF_READ), PF_READ);
    if (ops == &pf_poller_epoll)
        assert_false(registered(fds[0]) & 1u << 28);
    watch(fds[0], PF_WRITE | PF_EXCLUSIVE, 3);
    assert_int_equal(assert_told(3, PF_WRITE), PF_WRITE);
    unwatch(fds[0]);
    assert_nothing_is_told();
    close_both(fds);
}

static void descriptors_come_and_go_in_any_order(void **state)
{
    (void)state;
    enum {
        N = 300 /* past the first tables */
    };
    int fds[2], copies[N];
    make_readable_pipe(fds);
    for (int i = 0; i < N; i++)
        assert_true((copies[i] = dup(fds[0])) >= 0);
    for (int i = 0; i < N; i++)
        watch(copies[i * 7 % N], PF_READ, (uint64_t)(i * 7 % N)); /* 7 and 300: all */
    for (int i = 0; i < N; i += 2)
        unwatch(copies[i]);
    bool seen[N] = {false};
    for (int left = N / 2; left > 0;) {
        int n = look(600);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            assert_int_equal(told[i].tag % 2, 1);
            left -= !seen[told[i].tag];
            seen[told[i].tag] = true;
        }
    }
    for (int i = 1; i < N; i += 2)
        unwatch(copies[i]);
    assert_nothing_is_told();
    for (int i = 0; i < N; i++)
        close(copies[i]);
    close_both(fds);
}

/* ---- more than fits -------------------------------------------------------------- */

static void all_that_is_ready_gets_its_turn_however_few_are_told_at_once(void **state)
{
    (void)state;
    enum {
        N = 20
    };
    int fds[2], copies[N];
    make_readable_pipe(fds);
    for (size_t i = 0; i < N; i++) {
        assert_true((copies[i] = dup(fds[0])) >= 0);
        watch(copies[i], PF_READ, i);
    }
    for (int max = 1; max <= N; max++) {
        bool seen[N] = {false};
        int left = N, waits = 0;
        for (; left > 0 && waits < 2 * N; waits++) {
            int n = look(max);
            assert_in_range(n, 1, max);
            for (int i = 0; i < n; i++) {
                left -= !seen[told[i].tag];
                seen[told[i].tag] = true;
            }
        }
        assert_int_equal(left, 0);
    }
    for (size_t i = 0; i < N; i++)
        close(copies[i]);
    close_both(fds);
}

static void with_room_for_one_both_directions_are_told_in_the_end(void **state)
{
    (void)state;
    int fds[2];
    unsigned seen = 0;
    make_socket_pair(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    watch(fds[0], PF_READ | PF_WRITE, 9);
    for (int i = 0; i < 4; i++) { /* a kqueue may tell one at a time */
        assert_int_equal(look(1), 1);
        assert_true(told[0].tag == 9);
        seen |= told[0].events;
    }
    assert_int_equal(seen, PF_READ | PF_WRITE);
    close_both(fds);
}

/* ---- what is refused ------------------------------------------------------------- */

static void what_cannot_be_watched_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int closed = dup(directory);
    FILE *file = tmpfile();
    assert_true(null >= 0 && zero >= 0 && directory >= 0 && closed >= 0 && file);
    close(closed);
    const struct {
        int fd, expected;
    } rows[] = {
        {-1, -EBADF},          {-100, -EBADF},           {closed, -EBADF},
        {null, -ENOTSUP},      {zero, -ENOTSUP},         {1 << 28, -EBADF},
        {directory, -ENOTSUP}, {fileno(file), -ENOTSUP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ops->add(poller, rows[i].fd, PF_READ, 1), rows[i].expected);
        assert_int_equal(ops->modify(poller, rows[i].fd, PF_READ | PF_WRITE, 1),
                         rows[i].expected);
        assert_nothing_is_told();
        unwatch(rows[i].fd);
    }
    fclose(file);
    close(null);
    close(zero);
    close(directory);
}

static void select_refuses_numbers_that_do_not_fit_a_set(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < FD_SETSIZE + 10)
        skip();
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = FD_SETSIZE + 10;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int fds[2];
    make_readable_pipe(fds);
    int last = fcntl(fds[0], F_DUPFD_CLOEXEC, FD_SETSIZE - 1);
    int beyond = fcntl(fds[0], F_DUPFD_CLOEXEC, FD_SETSIZE);
    assert_int_equal(last, FD_SETSIZE - 1);
    assert_int_equal(beyond, FD_SETSIZE);
    int expected = ops == &pf_poller_select ? -ENOSPC : 0;
    assert_int_equal(ops->add(poller, beyond, PF_READ, 1), expected);
    assert_int_equal(ops->modify(poller, beyond, PF_READ, 1), expected);
    unwatch(beyond);
    watch(last, PF_READ, 2);
    assert_told(2, PF_READ);
    unwatch(last);
    close(last);
    close(beyond);
    close_both(fds);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* ---- errors and hang-ups --------------------------------------------------------- */

static void a_hang_up_of_a_pipe_is_told_beside_its_last_bytes(void **state)
{
    (void)state;
    int fds[2];
    char byte;
    make_readable_pipe(fds);
    watch(fds[0], PF_READ, 1);
    close(fds[1]);
    assert_int_equal(assert_told(1, PF_READ | PF_ERROR) & PF_WRITE, 0);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_told(1, PF_ERROR); /* kqueue: with PF_READ, for the end of the file */
    unwatch(fds[0]);
    assert_nothing_is_told();
    close(fds[0]);
}

static void a_pipe_without_readers_is_an_error_to_its_writer(void **state)
{
    (void)state;
    int fds[2];
    make_pipe(fds);
    watch(fds[1], PF_WRITE, 1);
    assert_int_equal(assert_told(1, PF_WRITE), PF_WRITE);
    close(fds[0]);
    assert_int_equal(assert_told(1, PF_WRITE | PF_ERROR), PF_WRITE | PF_ERROR);
    unwatch(fds[1]);
    assert_nothing_is_told();
    /* Also if it is so from the start, when kqueue refuses what was asked for. */
    watch(fds[1], PF_WRITE, 2);
    assert_int_equal(assert_told(2, PF_WRITE | PF_ERROR), PF_WRITE | PF_ERROR);
    change(fds[1], PF_WRITE, 3);
    assert_told(3, PF_WRITE | PF_ERROR);
    unwatch(fds[1]);
    assert_nothing_is_told();
    close(fds[1]);
}

static void a_socket_whose_peer_has_closed_is_readable_and_hung_up(void **state)
{
    (void)state;
    int fds[2];
    make_socket_pair(fds);
    watch(fds[0], PF_READ, 1);
    close(fds[1]);
    assert_int_equal(assert_told(1, PF_READ | PF_ERROR), PF_READ | PF_ERROR);
    change(fds[0], PF_WRITE, 2);
    assert_told(2, PF_ERROR);
    change(fds[0], PF_READ | PF_WRITE, 3);
    assert_told(3, PF_READ | PF_WRITE | PF_ERROR);
    close(fds[0]);
}

static void a_socket_whose_peer_writes_no_more_is_only_readable(void **state)
{
    (void)state;
    int fds[2];
    char byte;
    make_socket_pair(fds);
    watch(fds[0], PF_READ, 1);
    assert_nothing_is_told();
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    assert_int_equal(assert_told(1, PF_READ), PF_READ);
    change(fds[0], PF_READ | PF_WRITE, 1);
    assert_int_equal(assert_told(1, PF_READ), PF_READ | PF_WRITE);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close_both(fds);
}

/* A connected pair over TCP. */
static void make_connection(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, len), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(listener);
}

static void a_reset_connection_is_an_error_to_readers_and_to_writers(void **state)
{
    (void)state;
    for (unsigned events = PF_READ; events <= PF_WRITE; events += PF_WRITE - PF_READ) {
        int fds[2], error = 0;
        socklen_t len = sizeof error;
        make_connection(fds);
        watch(fds[0], events, events);
        struct linger reset = {.l_onoff = 1};
        assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset),
                         0);
        close(fds[1]);
        struct pollfd arrives = {.fd = fds[0]};
        assert_int_equal(poll(&arrives, 1, PF_TEST_DEADLINE_S * 1000), 1);
        assert_told(events, events | PF_ERROR);
        /* Asking has not taken the error away. */
        assert_int_equal(getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &error, &len), 0);
        assert_int_equal(error, ECONNRESET);
        unwatch(fds[0]);
        close(fds[0]);
    }
}

static void a_refused_connection_is_an_error(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int error = 0, taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(taken, (struct sockaddr *)&address, len), 0); /* no listen() */
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)connect(fd, (struct sockaddr *)&address, len);
    watch(fd, PF_WRITE, 1);
    assert_told(1, PF_WRITE | PF_ERROR);
    len = sizeof error;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, ECONNREFUSED);
    close(fd);
    close(taken);
}

/* ---- descriptors that are closed or doubled -------------------------------------- */

static void a_descriptor_closed_without_a_word_is_forgotten(void **state)
{
    (void)state;
    int gone[2], stays[2];
    make_readable_pipe(gone);
    make_readable_pipe(stays);
    watch(gone[0], PF_READ, 1);
    watch(stays[0], PF_READ, 2);
    close_both(gone);
    assert_told(2, PF_READ);
    assert_int_equal(ops->modify(poller, gone[0], PF_WRITE, 1), -EBADF);
    assert_told(2, PF_READ);
    unwatch(gone[0]);
    assert_told(2, PF_READ);
    unwatch(stays[0]);
    /* The next owner of the number begins anew. */
    int next[2];
    make_readable_pipe(next);
    assert_int_equal(next[0], gone[0]);
    assert_nothing_is_told();
    watch(next[0], PF_READ, 3);
    assert_told(3, PF_READ);
    close_both(next);
    close_both(stays);
}

static void a_closed_descriptor_does_not_shorten_the_sleep(void **state)
{
    (void)state;
    int fds[2], others[2];
    make_readable_pipe(fds);
    make_pipe(others);
    watch(fds[0], PF_READ, 1);
    watch(others[0], PF_READ, 2);
    close_both(fds);
    for (int i = 0; i < 2; i++) {
        int64_t start = now_ns();
        assert_int_equal(ops->wait(poller, told, 10, 5 * PF_MILLISECOND), 0);
        assert_true(now_ns() - start >= 5 * PF_MILLISECOND);
    }
    close_both(others);
}

static void two_descriptors_of_one_file_are_watched_apart(void **state)
{
    (void)state;
    int fds[2];
    make_readable_pipe(fds);
    int copy = dup(fds[0]);
    watch(fds[0], PF_READ, 1);
    watch(copy, PF_READ, 2);
    assert_int_equal(look(10), 2);
    assert_true(told[0].tag + told[1].tag == 3 && told[0].tag != told[1].tag);
    unwatch(fds[0]);
    assert_told(2, PF_READ);
    unwatch(copy);
    close(copy);
    close_both(fds);
}

/* The old file lives on as fds[0], and in epoll the entry with it. */
static void a_number_that_dup2_has_filled_can_be_watched(void **state)
{
    (void)state;
    int fds[2], others[2];
    make_readable_pipe(fds);
    make_readable_pipe(others);
    int copy = dup(fds[0]);
    watch(copy, PF_READ, 1);
    close(copy);
    unwatch(copy);
    assert_int_equal(dup2(fds[0], copy), copy);
    watch(copy, PF_READ, 2);
    assert_told(2, PF_READ);
    unwatch(copy);
    assert_nothing_is_told();
    watch(copy, PF_READ, 3);
    assert_int_equal(dup2(others[0], copy), copy); /* over what is watched */
    watch(copy, PF_READ, 4);
    int n = look(10), fresh = 0;
    for (int i = 0; i < n; i++)
        fresh += told[i].tag == 4;
    assert_int_equal(fresh, 1);
    assert_true(n == 1 || ops == &pf_poller_epoll); /* which still tells of the old one */
    close(copy);
    close_both(fds);
    close_both(others);
}

/* ---- time ------------------------------------------------------------------------ */

static void a_sleep_is_never_shorter_than_asked(void **state)
{
    (void)state;
    static const int64_t limits[] = {
        1,       999,     PF_MICROSECOND, PF_MICROSECOND + 1,     137137, 999999,
        1000001, 1234567, 2999999,        5 * PF_MILLISECOND + 1,
    };
    int fds[2];
    make_pipe(fds);
    watch(fds[0], PF_READ, 1);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        int64_t start = now_ns();
        assert_int_equal(ops->wait(poller, told, 10, limits[i]), 0);
        assert_true(now_ns() - start >= limits[i]);
    }
    unwatch(fds[0]);
    int64_t start = now_ns(); /* and with nothing to watch */
    assert_int_equal(ops->wait(poller, told, 10, PF_MILLISECOND), 0);
    assert_true(now_ns() - start >= PF_MILLISECOND);
    close_both(fds);
}

static void limits_of_any_size_are_taken(void **state)
{
    (void)state;
    static const int64_t limits[] = {
        INT64_MIN, -1, 0, 1, INT64_C(86400) * PF_SECOND, INT64_MAX - 1, INT64_MAX,
    };
    int fds[2];
    make_readable_pipe(fds);
    watch(fds[0], PF_READ, 1);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        assert_int_equal(ops->wait(poller, told, 10, limits[i]), 1);
    close_both(fds);
}

static void ignore_signal(int number)
{
    (void)number;
}

static void a_signal_ends_a_sleep_with_nothing_ready(void **state)
{
    (void)state;
    struct sigaction before, action = {.sa_handler = ignore_signal};
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    /* Again and again: one of them comes while it sleeps. */
    struct itimerval off = {{0, 0}, {0, 0}}, often = {{0, 1000}, {0, 1000}};
    static const int64_t limits[] = {-1, PF_TEST_DEADLINE_S * PF_SECOND};
    int fds[2], answers[2];
    int64_t slept[2];
    make_pipe(fds);
    watch(fds[0], PF_READ, 1);
    for (int i = 0; i < 2; i++) {
        int64_t start = now_ns();
        assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
        answers[i] = ops->wait(poller, told, 10, limits[i]);
        slept[i] = now_ns() - start;
        assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(answers[i], 0);
        assert_true(slept[i] >= PF_MILLISECOND); /* until the first signal */
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    close_both(fds);
}

/* ---- the poller's own descriptor ------------------------------------------------- */

static bool polls_readable(int fd)
{
    struct pollfd want = {.fd = fd, .events = POLLIN};
    return poll(&want, 1, 0) == 1 && want.revents == POLLIN;
}

static void its_descriptor_polls_readable_while_something_is_ready(void **state)
{
    (void)state;
    int fds[2], own = ops->fd(poller);
    if (ops == &pf_poller_select) {
        assert_int_equal(own, -ENOTSUP);
        return;
    }
    assert_true(own >= 0);
    assert_int_equal(fcntl(own, F_GETFD), FD_CLOEXEC);
    make_readable_pipe(fds);
    assert_false(polls_readable(own));
    watch(fds[0], PF_READ, 1);
    assert_true(polls_readable(own));
    assert_told(1, PF_READ);
    assert_true(polls_readable(own));
    unwatch(fds[0]);
    assert_false(polls_readable(own));
    close_both(fds);
}

static void without_descriptors_it_is_not_made(void **state)
{
    (void)state;
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    void *second = NULL;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int err = ops->open(NULL, &second);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(err, ops == &pf_poller_select ? 0 : -EMFILE); /* it needs none */
    if (second)
        ops->close(second);
}

static void one_can_take_the_place_of_another(void **state)
{
    (void)state;
    if (!ops->replace) /* those never tell of a descriptor that was closed */
        return;
    void *fresh;
    int fds[2], others[2], own = ops->fd(poller);
    make_readable_pipe(fds);
    make_readable_pipe(others);
    watch(fds[0], PF_READ, 1);
    assert_int_equal(ops->open(NULL, &fresh), 0);
    assert_int_equal(ops->add(fresh, others[0], PF_READ, 2), 0);
    assert_int_equal(ops->replace(poller, fresh), 0);
    assert_told(2, PF_READ);
    assert_int_equal(ops->fd(poller), own);
    assert_int_equal(fcntl(own, F_GETFD), FD_CLOEXEC);
    close_both(fds);
    close_both(others);
}

/* ---- processes ------------------------------------------------------------------- */

static void close_the_inherited(void *arg)
{
    (void)arg;
    ops->close(poller);
}

static void a_child_that_closes_it_leaves_the_parents_alone(void **state)
{
    (void)state;
    int fds[2];
    make_readable_pipe(fds);
    watch(fds[0], PF_READ, 1);
    pf_test_in_child(close_the_inherited, NULL);
    assert_told(1, PF_READ);
    pf_test_in_raw_clone(close_the_inherited, NULL);
    assert_told(1, PF_READ);
    unwatch(fds[0]);
    assert_nothing_is_told();
    close_both(fds);
}

/* A kqueue stays with its parent; its number may have another owner in the child. */
static void close_over_a_new_owner(void *arg)
{
    int number = *(int *)arg, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fcntl(number, F_GETFD) == -1 || null == number,
                     ops == &pf_poller_kqueue);
    if (ops != &pf_poller_kqueue)
        return;
    if (null != number)
        assert_int_equal(dup2(null, number), number);
    ops->close(poller);
    assert_true(fcntl(number, F_GETFD) != -1);
}

static void a_child_closes_no_number_that_was_not_inherited(void **state)
{
    (void)state;
    int number = ops->fd(poller);
    if (number >= 0)
        pf_test_in_child(close_over_a_new_owner, &number);
}

/* ---- which one ------------------------------------------------------------------- */

static void a_poller_is_found_by_its_name_and_the_best_without(void **state)
{
    (void)state;
    assert_ptr_equal(pf_poller_find("epoll"), &pf_poller_epoll);
    assert_ptr_equal(pf_poller_find("select"), &pf_poller_select);
    assert_ptr_equal(pf_poller_find(NULL), &pf_poller_epoll);
    assert_null(pf_poller_find("kqueue")); /* the double is no part of the library */
    assert_null(pf_poller_find("port"));
    assert_null(pf_poller_find(""));
}

static void what_kqueue_fails_with_is_handed_on(void **state)
{
    (void)state;
    void *none = NULL;
    pf_kqueue_double_error = ENOSYS;
    assert_int_equal(pf_poller_kqueue.open(NULL, &none), -ENOSYS);
    pf_kqueue_double_error = ENOMEM;
    assert_int_equal(pf_poller_kqueue.open(NULL, &none), -ENOMEM);
    assert_null(none);
}

static void a_change_that_kqueue_makes_by_half_is_taken_back(void **state)
{
    (void)state;
    int fds[2];
    make_socket_pair(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    watch(fds[0], PF_READ, 1);
    pf_kqueue_double_write_error = ENOMEM;
    assert_int_equal(ops->modify(poller, fds[0], PF_WRITE, 2), -ENOMEM);
    assert_int_equal(assert_told(1, PF_READ), PF_READ);
    unwatch(fds[0]);
    pf_kqueue_double_write_error = EINVAL; /* a device without this filter */
    assert_int_equal(ops->add(poller, fds[0], PF_READ | PF_WRITE, 3), -ENOTSUP);
    assert_nothing_is_told();
    close_both(fds);
}

static void each_says_whether_a_close_removes(void **state)
{
    (void)state;
    assert_true(pf_poller_epoll.close_removes && pf_poller_kqueue.close_removes);
    assert_false(pf_poller_select.close_removes);
    for (size_t i = 0; pf_backends[i]; i++)
        assert_int_equal(pf_backends[i]->size, sizeof(struct pf_poller_ops));
}

/* clang-format off */
#define ON(test, name, number) \
    {#test " (" name ")", test, set_up, tear_down, (void *)(uintptr_t)(number)}
#define ON_EACH(test) ON(test, "epoll", 0), ON(test, "kqueue", 1), ON(test, "select", 2)
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH(what_is_ready_is_told_with_its_tag_until_it_is_read),
        ON_EACH(reading_and_writing_of_one_descriptor_are_one_event),
        ON_EACH(only_what_was_asked_for_is_told),
        ON_EACH(adding_twice_or_changing_what_is_not_watched_takes_the_last_word),
        ON_EACH(to_be_woken_exclusively_is_epolls_and_the_others_ignore_it),
        ON_EACH(descriptors_come_and_go_in_any_order),
        ON_EACH(all_that_is_ready_gets_its_turn_however_few_are_told_at_once),
        ON_EACH(with_room_for_one_both_directions_are_told_in_the_end),
        ON_EACH(what_cannot_be_watched_is_refused_and_nothing_changes),
        ON_EACH(select_refuses_numbers_that_do_not_fit_a_set),
        ON_EACH(a_hang_up_of_a_pipe_is_told_beside_its_last_bytes),
        ON_EACH(a_pipe_without_readers_is_an_error_to_its_writer),
        ON_EACH(a_socket_whose_peer_has_closed_is_readable_and_hung_up),
        ON_EACH(a_socket_whose_peer_writes_no_more_is_only_readable),
        ON_EACH(a_reset_connection_is_an_error_to_readers_and_to_writers),
        ON_EACH(a_refused_connection_is_an_error),
        ON_EACH(a_descriptor_closed_without_a_word_is_forgotten),
        ON_EACH(a_closed_descriptor_does_not_shorten_the_sleep),
        ON_EACH(two_descriptors_of_one_file_are_watched_apart),
        ON_EACH(a_number_that_dup2_has_filled_can_be_watched),
        ON_EACH(a_sleep_is_never_shorter_than_asked),
        ON_EACH(limits_of_any_size_are_taken),
        ON_EACH(a_signal_ends_a_sleep_with_nothing_ready),
        ON_EACH(its_descriptor_polls_readable_while_something_is_ready),
        ON_EACH(without_descriptors_it_is_not_made),
        ON_EACH(one_can_take_the_place_of_another),
        ON_EACH(a_child_that_closes_it_leaves_the_parents_alone),
        ON_EACH(a_child_closes_no_number_that_was_not_inherited),
        pf_test(a_poller_is_found_by_its_name_and_the_best_without),
        pf_test(what_kqueue_fails_with_is_handed_on),
        ON(a_change_that_kqueue_makes_by_half_is_taken_back, "kqueue", 1),
        pf_test(each_says_whether_a_close_removes),
    };
    return cmocka_run_group_tests_name("poller", tests, NULL, NULL);
}
