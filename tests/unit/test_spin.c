/*
 * The handler that makes a loop spin is found, on what bytes can be counted; and a busy one
 * never is, however little it does at a time.
 *
 * The functions that look at a descriptor are counted below: they stand in front of the C
 * library's for the whole program. The sanitizers have ones of their own there.
 */
#include "tests/lib/test.h"

#include <prefork/loop.h>
#include <prefork/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_CALLS 0
#elif defined(__has_feature)
#define OWN_CALLS (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define OWN_CALLS 1
#endif

static long looks; /* system calls made to look at a descriptor */

#if OWN_CALLS
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    looks++;
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    looks++;
    return (int)syscall(SYS_getsockopt, fd, level, option, value, size);
}

int fstat(int fd, struct stat *status)
{
    looks++;
    return (int)syscall(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH);
}
#endif

/* Turns in which a busy handler must not be suspected; fewer where each takes longer. */
enum {
    TURNS = 5 * (PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS)
};

static int many_turns(void)
{
    const char *preload = getenv("LD_PRELOAD");
    bool slow = !OWN_CALLS || (preload && strstr(preload, "vgpreload"));
    return slow ? TURNS : 100000;
}

/* ---- descriptors ----------------------------------------------------------------- */

enum kind {
    PIPE,
    UNIX,
    TCP,
    KINDS
};

static void make_tcp_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ends[1], (struct sockaddr *)&address, size), 0);
    ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(ends[0] >= 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

/* What is written to ends[1] is read from ends[0]. */
static void make_ends(enum kind kind, int ends[2])
{
    if (kind == PIPE)
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    else if (kind == UNIX)
        assert_int_equal(
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    else
        make_tcp_pair(ends);
}

static void close_end(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

static void put_byte(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

/* ---- a loop and its reports ------------------------------------------------------ */

static struct {
    int count;
    struct pf_loop_error last;
} reported;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)arg;
    reported.count++;
    reported.last = *error;
}

/* A millisecond passes each time it is asked for. */
static int64_t quick_clock(void *arg)
{
    static int64_t now;
    (void)arg;
    return now += PF_MILLISECOND;
}

static int64_t stopped_now;

static int64_t stopped_clock(void *arg)
{
    (void)arg;
    return stopped_now;
}

static pf_loop *make_with(bool spin_allowed, pf_clock_fn *clock)
{
    pf_loop *loop;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = clock;
    options.on_error = on_error;
    options.spin_allowed = spin_allowed;
    memset(&reported, 0, sizeof reported);
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    return loop;
}

static pf_loop *make(void)
{
    return make_with(false, quick_clock);
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static uint64_t spins_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats.spins;
}

/* The arg of the handlers here. */
struct deed {
    int runs;
    int peer;
    int failed; /* reads and writes that did not do what they should */
};

static int do_nothing(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)loop, (void)fd, (void)events;
    deed->runs++;
    return 0;
}

/* It is found, in about as many turns as are promised, and reported once. */
static void assert_disabled(pf_loop *loop, int fd)
{
    int turns = 0;
    while (reported.count == 0) {
        assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_true(++turns <= PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS + 102);
    }
    assert_true(turns > PF_LOOP_SPIN_TURNS);
    assert_int_equal(reported.last.error, -ELOOP);
    assert_int_equal(reported.last.fd, fd);
    assert_string_equal(reported.last.kind, "handler");
    assert_string_equal(reported.last.where, "spin.c:1");
    assert_string_equal(reported.last.what, "spinner");
    assert_true(reported.last.disabled);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 0); /* not asked for any more */
    assert_int_equal(reported.count, 1);
}

static void watch_spinner(pf_loop *loop, int fd, unsigned events, struct deed *deed)
{
    assert_int_equal(
        pf_loop_add_handler_full(loop, fd, events, do_nothing, deed, NULL, "spin.c:1"), 0);
    assert_int_equal(pf_loop_describe_handler(loop, fd, "spinner"), 0);
}

/* ---- handlers that spin ---------------------------------------------------------- */

static void assert_spins(int ends[2], int end, unsigned events)
{
    pf_loop *loop = make();
    struct deed deed = {0};
    watch_spinner(loop, ends[end], events, &deed);
    assert_disabled(loop, ends[end]);
    assert_int_equal(spins_of(loop), 1);

    /* An update revives it, and it is found again. */
    reported.count = 0;
    assert_int_equal(pf_loop_update_handler(loop, ends[end], events), 0);
    assert_disabled(loop, ends[end]);
    assert_int_equal(spins_of(loop), 2);
    drop(loop);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void a_reader_that_ignores_the_end_is_disabled(void **state)
{
    (void)state;
    for (enum kind kind = PIPE; kind < KINDS; kind++) {
        int ends[2];
        make_ends(kind, ends);
        close_end(&ends[1]);
        assert_spins(ends, 0, PF_READ);
    }
}

static void a_reader_that_ignores_that_its_peer_will_send_no_more_is_disabled(void **state)
{
    (void)state;
    for (enum kind kind = UNIX; kind < KINDS; kind++) {
        int ends[2];
        make_ends(kind, ends);
        assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
        assert_spins(ends, 0, PF_READ);
    }
}

static void a_writer_that_ignores_a_hang_up_is_disabled(void **state)
{
    (void)state;
    for (enum kind kind = PIPE; kind < KINDS; kind++) {
        int ends[2];
        make_ends(kind, ends);
        close_end(&ends[0]);
        assert_spins(ends, 1, PF_WRITE);
    }
}

static void a_reset_that_is_ignored_is_found_too(void **state)
{
    (void)state;
    int ends[2];
    struct linger reset = {1, 0};
    make_ends(TCP, ends);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close_end(&ends[1]);
    assert_spins(ends, 0, PF_READ);
}

static void a_reader_that_never_reads_is_disabled(void **state)
{
    (void)state;
    int ends[2];
    make_ends(TCP, ends);
    put_byte(ends[1]);
    assert_spins(ends, 0, PF_READ);
}

static void one_is_disabled_only_after_a_while(void **state)
{
    (void)state;
    pf_loop *loop = make_with(false, stopped_clock);
    int ends[2];
    struct deed deed = {0};
    make_ends(TCP, ends);
    put_byte(ends[1]);
    watch_spinner(loop, ends[0], PF_READ, &deed);
    for (int i = 0; i < 3 * (PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS); i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1); /* no time has passed */
    stopped_now += PF_LOOP_SPIN_NS - 1;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 0);
    stopped_now++;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 1);
    drop(loop);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void a_writer_that_never_stops_asking_is_disabled(void **state)
{
    (void)state;
    int ends[2];
    make_ends(TCP, ends);
    assert_spins(ends, 1, PF_WRITE);
}

static int read_byte(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    char byte;
    (void)loop, (void)events;
    deed->runs++;
    deed->failed += read(fd, &byte, 1) != 1;
    return 0;
}

static int read_and_refill(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)read_byte(loop, fd, events, arg);
    deed->failed += write(deed->peer, "x", 1) != 1;
    return 0;
}

static void a_spinner_is_found_among_busy_handlers(void **state)
{
    (void)state;
    enum {
        BUSY = 5
    };
    pf_loop *loop = make();
    int idle[2], busy[BUSY][2];
    struct deed spinner = {0}, deeds[BUSY];
    make_ends(TCP, idle);
    watch_spinner(loop, idle[1], PF_WRITE, &spinner);
    for (int i = 0; i < BUSY; i++) {
        make_ends(TCP, busy[i]);
        put_byte(busy[i][1]);
        deeds[i] = (struct deed){.peer = busy[i][1]};
        assert_int_equal(
            pf_loop_add_handler(loop, busy[i][0], PF_READ, read_and_refill, &deeds[i]), 0);
    }
    int limit = 20 * (PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS);
    while (reported.count == 0) {
        assert_true(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND) > 0);
        assert_true(limit-- > 0);
    }
    assert_int_equal(reported.last.fd, idle[1]);
    assert_int_equal(reported.last.error, -ELOOP);
    drop(loop);
    close_end(&idle[0]);
    close_end(&idle[1]);
    for (int i = 0; i < BUSY; i++) {
        assert_int_equal(deeds[i].failed, 0);
        close_end(&busy[i][0]);
        close_end(&busy[i][1]);
    }
}

static void under_the_stop_policy_a_spinner_ends_the_loop(void **state)
{
    (void)state;
    pf_loop *loop;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    int ends[2];
    struct deed deed = {0};
    options.on_error = on_error;
    options.error_policy = PF_ERROR_STOP;
    memset(&reported, 0, sizeof reported);
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    make_ends(TCP, ends);
    watch_spinner(loop, ends[1], PF_WRITE, &deed);
    assert_int_equal(pf_loop_start(loop), -ELOOP);
    assert_int_equal(reported.count, 1);
    drop(loop);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void where_spinning_is_allowed_nobody_looks(void **state)
{
    (void)state;
    pf_loop *loop = make_with(true, quick_clock);
    int ends[2];
    struct deed deed = {0};
    make_ends(PIPE, ends);
    put_byte(ends[1]);
    watch_spinner(loop, ends[0], PF_READ, &deed);
    long before = looks;
    int turns = 3 * (PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS);
    for (int i = 0; i < turns; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(deed.runs, turns);
    assert_int_equal(looks, before);
    assert_int_equal(reported.count, 0);
    drop(loop);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

/* ---- handlers that are busy ------------------------------------------------------ */

/* Let it run in every turn; `between` does what the peer does. */
typedef void between_fn(struct deed *deed, const int ends[2]);

static void assert_busy_for(int turns, enum kind kind, int end, unsigned events,
                            pf_io_fn *fn, between_fn *between)
{
    pf_loop *loop = make();
    int ends[2];
    make_ends(kind, ends);
    struct deed deed = {.peer = ends[!end]};
    if (end == 0)
        put_byte(ends[1]);
    assert_int_equal(pf_loop_add_handler(loop, ends[end], events, fn, &deed), 0);
    while (deed.runs < turns && reported.count == 0) {
        assert_true(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND) > 0);
        if (between)
            between(&deed, ends);
    }
    assert_int_equal(reported.count, 0);
    assert_int_equal(spins_of(loop), 0);
    assert_int_equal(deed.failed, 0);
    drop(loop);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static void assert_busy(enum kind kind, int end, unsigned events, pf_io_fn *fn,
                        between_fn *between)
{
    assert_busy_for(many_turns(), kind, end, events, fn, between);
}

static void refill(struct deed *deed, const int ends[2])
{
    (void)deed;
    put_byte(ends[1]);
}

static void drain(struct deed *deed, const int ends[2])
{
    char bytes[4096];
    (void)deed;
    while (read(ends[0], bytes, sizeof bytes) > 0)
        continue;
}

static void drain_now_and_then(struct deed *deed, const int ends[2])
{
    if (deed->runs % 50 == 0)
        drain(deed, ends);
}

static int write_byte(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)loop, (void)events;
    deed->runs++;
    deed->failed += write(fd, "x", 1) != 1;
    return 0;
}

static void a_reader_of_one_byte_a_turn_is_never_disabled(void **state)
{
    (void)state;
    for (enum kind kind = PIPE; kind < KINDS; kind++)
        assert_busy(kind, 0, PF_READ, read_byte, refill);
}

static void a_writer_of_one_byte_a_turn_is_never_disabled(void **state)
{
    (void)state;
    for (enum kind kind = PIPE; kind < KINDS; kind++) {
        assert_busy(kind, 1, PF_WRITE, write_byte, drain_now_and_then);
        assert_busy_for(TURNS, kind, 1, PF_WRITE, write_byte, drain);
    }
}

/* A peer so quick that it has answered before the handler returns. */
static void a_reader_whose_peer_keeps_step_is_never_disabled(void **state)
{
    (void)state;
    for (enum kind kind = PIPE; kind < KINDS; kind++)
        assert_busy(kind, 0, PF_READ, read_and_refill, NULL);
}

static int write_and_drain(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    char byte;
    (void)write_byte(loop, fd, events, arg);
    ssize_t n;
    do
        n = read(deed->peer, &byte, 1);
    while (n == -1 && errno == EAGAIN);
    deed->failed += n != 1;
    return 0;
}

static void a_writer_whose_peer_keeps_step_is_never_disabled(void **state)
{
    (void)state;
    assert_busy(TCP, 1, PF_WRITE, write_and_drain, NULL);
}

/* The handler only says that there is something to read; who waits for it reads it. */
static int on_read_later(pf_loop *loop, void *arg)
{
    struct deed *deed = arg;
    char byte;
    (void)loop;
    deed->failed += read(deed->peer, &byte, 1) != 1;
    return 0;
}

static int read_later(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)events;
    deed->runs++;
    deed->peer = fd;
    return pf_loop_add_callback(loop, on_read_later, deed);
}

static void one_that_leaves_the_reading_to_a_callback_is_never_disabled(void **state)
{
    (void)state;
    for (enum kind kind = PIPE; kind < KINDS; kind++) {
        pf_loop *loop = make();
        int ends[2];
        struct deed deed = {0};
        make_ends(kind, ends);
        assert_int_equal(pf_loop_add_handler(loop, ends[0], PF_READ, read_later, &deed), 0);
        while (deed.runs < TURNS && reported.count == 0) {
            put_byte(ends[1]);
            assert_int_equal(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND), 1);
            assert_int_equal(pf_loop_turn(loop, 0), 1); /* reads it */
        }
        assert_int_equal(reported.count, 0);
        assert_int_equal(deed.failed, 0);
        drop(loop);
        close_end(&ends[0]);
        close_end(&ends[1]);
    }
}

/* Asked for PF_WRITE only while there is something to write, which another one decides. */
static int pause_writing(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)events;
    deed->runs++;
    return pf_loop_update_handler(loop, fd, 0);
}

static void one_that_pauses_itself_is_never_disabled(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int ends[2];
    struct deed deed = {0};
    make_ends(UNIX, ends);
    assert_int_equal(pf_loop_add_handler(loop, ends[1], PF_WRITE, pause_writing, &deed), 0);
    for (int i = 1; i <= TURNS; i++) {
        assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_int_equal(deed.runs, i);
        assert_int_equal(pf_loop_update_handler(loop, ends[1], PF_WRITE), 0);
    }
    assert_int_equal(reported.count, 0);
    drop(loop);
    close_end(&ends[0]);
    close_end(&ends[1]);
}

static int accept_one(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    (void)loop, (void)events;
    deed->runs++;
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    deed->failed += got == -1;
    close(got);
    return 0;
}

static void one_that_accepts_is_never_disabled(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct linger reset = {1, 0};
    struct deed deed = {0};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pf_loop_add_handler(loop, listener, PF_READ, accept_one, &deed), 0);
    int turns = 3 * (PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS);
    for (int i = 0; i < turns; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
        assert_int_equal(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND), 1);
        /* leaves no port waiting */
        (void)setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(client);
    }
    assert_int_equal(reported.count, 0);
    assert_int_equal(deed.failed, 0);
    drop(loop);
    close(listener);
}

static int receive_one(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct deed *deed = arg;
    char bytes[16];
    (void)loop, (void)events;
    deed->runs++;
    deed->failed += recv(fd, bytes, sizeof bytes, 0) != 5;
    deed->failed += send(deed->peer, "hello", 5, 0) != 5;
    return 0;
}

static void datagrams_of_one_size_are_never_suspected(void **state)
{
    (void)state;
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        pf_loop *loop = make();
        int ends[2];
        assert_int_equal(
            socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        struct deed deed = {.peer = ends[1]};
        assert_int_equal(send(ends[1], "hello", 5, 0), 5);
        assert_int_equal(pf_loop_add_handler(loop, ends[0], PF_READ, receive_one, &deed),
                         0);
        while (deed.runs < TURNS)
            assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_int_equal(reported.count, 0);
        assert_int_equal(deed.failed, 0);
        drop(loop);
        close_end(&ends[0]);
        close_end(&ends[1]);
    }
}

static void what_has_no_bytes_to_count_is_never_suspected(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    struct deed deed = {0};
    assert_true(fd >= 0);
    assert_int_equal(pf_loop_add_handler(loop, fd, PF_READ, do_nothing, &deed), 0);
    for (int i = 0; i < 3 * (PF_LOOP_SPIN_TURNS + PF_LOOP_SPIN_PROOFS); i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 0);
    drop(loop);
    close(fd);
}

/* ---- its price ------------------------------------------------------------------- */

static void a_busy_handler_is_looked_at_twice_in_a_thousand_turns(void **state)
{
    (void)state;
    if (!OWN_CALLS)
        skip();
    for (enum kind kind = PIPE; kind < KINDS; kind++) {
        pf_loop *loop = make();
        int ends[2];
        struct deed deed = {0};
        make_ends(kind, ends);
        assert_int_equal(pf_loop_add_handler(loop, ends[0], PF_READ, read_byte, &deed), 0);
        long before = looks;
        for (int i = 0; i < 20 * PF_LOOP_SPIN_TURNS; i++) {
            put_byte(ends[1]);
            assert_int_equal(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND), 1);
        }
        assert_true((looks - before) / 20 <= 16); /* a look is five or six calls */
        drop(loop);
        close_end(&ends[0]);
        close_end(&ends[1]);
    }
}

static int resume(pf_loop *loop, void *arg)
{
    return pf_loop_update_handler(loop, *(const int *)arg, PF_READ);
}

static int pause_and_come_back(pf_loop *loop, void *arg)
{
    int err = pf_loop_update_handler(loop, *(const int *)arg, 0);
    return err ? err : pf_loop_call_later(loop, PF_SECOND, resume, arg, NULL);
}

static int leave_it_for_a_second(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events;
    return pf_loop_add_callback(loop, pause_and_come_back, arg);
}

/* It ignores a hang-up, but not in turns on end. */
static void one_that_looks_once_a_second_is_never_disabled(void **state)
{
    (void)state;
    struct pf_test_clock clock = {0};
    struct pf_loop_options options = pf_test_options(&clock);
    pf_loop *loop;
    int ends[2];
    options.on_error = on_error;
    memset(&reported, 0, sizeof reported);
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    make_ends(PIPE, ends);
    close_end(&ends[1]);
    assert_int_equal(
        pf_loop_add_handler(loop, ends[0], PF_READ, leave_it_for_a_second, &ends[0]), 0);
    for (int i = 0; i < 2 * PF_LOOP_SPIN_TURNS; i++)
        assert_true(pf_test_advance(loop, &clock, PF_SECOND) >= 1);
    assert_int_equal(reported.count, 0);
    assert_int_equal(spins_of(loop), 0);
    drop(loop);
    close_end(&ends[0]);
}

static void busy_handlers_in_turns_are_not_looked_at(void **state)
{
    (void)state;
    if (!OWN_CALLS)
        skip();
    pf_loop *loop = make();
    int ends[2][2];
    struct deed deed = {0};
    for (int i = 0; i < 2; i++) {
        make_ends(UNIX, ends[i]);
        assert_int_equal(pf_loop_add_handler(loop, ends[i][0], PF_READ, read_byte, &deed),
                         0);
    }
    long before = looks;
    for (int i = 0; i < 20 * PF_LOOP_SPIN_TURNS; i++) {
        put_byte(ends[i % 2][1]);
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    }
    assert_int_equal(looks, before);
    drop(loop);
    for (int i = 0; i < 4; i++)
        close_end(&ends[i / 2][i % 2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_reader_that_ignores_the_end_is_disabled),
        pf_test(a_reader_that_ignores_that_its_peer_will_send_no_more_is_disabled),
        pf_test(a_writer_that_ignores_a_hang_up_is_disabled),
        pf_test(a_reset_that_is_ignored_is_found_too),
        pf_test(a_reader_that_never_reads_is_disabled),
        pf_test(one_is_disabled_only_after_a_while),
        pf_test(a_writer_that_never_stops_asking_is_disabled),
        pf_test(a_spinner_is_found_among_busy_handlers),
        pf_test(under_the_stop_policy_a_spinner_ends_the_loop),
        pf_test(where_spinning_is_allowed_nobody_looks),
        pf_test(a_reader_of_one_byte_a_turn_is_never_disabled),
        pf_test(a_writer_of_one_byte_a_turn_is_never_disabled),
        pf_test(a_reader_whose_peer_keeps_step_is_never_disabled),
        pf_test(a_writer_whose_peer_keeps_step_is_never_disabled),
        pf_test(one_that_leaves_the_reading_to_a_callback_is_never_disabled),
        pf_test(one_that_pauses_itself_is_never_disabled),
        pf_test(one_that_looks_once_a_second_is_never_disabled),
        pf_test(one_that_accepts_is_never_disabled),
        pf_test(datagrams_of_one_size_are_never_suspected),
        pf_test(what_has_no_bytes_to_count_is_never_suspected),
        pf_test(a_busy_handler_is_looked_at_twice_in_a_thousand_turns),
        pf_test(busy_handlers_in_turns_are_not_looked_at),
    };
    return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
