/*
 * The loop at its edges, on the kernel's descriptors: what becomes of events when handlers
 * close, reopen and duplicate descriptors under them, hang-ups and errors in all their
 * combinations, far deadlines, and threads that stop a loop or end while it runs.
 */
#include "tests/lib/test.h"

#include "loop/internal.h"
#include "tests/lib/fake.h"
#include <prefork/loop.h>
#include <prefork/poller.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- tools ----------------------------------------------------------------------- */

static int errors;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)error, (void)arg;
    errors++;
}

static pf_loop *make(void)
{
    pf_loop *loop;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.on_error = on_error;
    errors = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void make_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void close_pair(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static struct pf_loop_stats stats_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

static const int64_t patience_ns = PF_TEST_DEADLINE_S * PF_SECOND;

/* The arg of the handlers here: what came. */
struct seen {
    int runs;
    unsigned events; /* of the last run */
    int fd;
};

static int see(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct seen *seen = arg;
    (void)loop;
    seen->runs++;
    seen->events = events;
    seen->fd = fd;
    return 0;
}

static void watch(pf_loop *loop, int fd, unsigned events, struct seen *seen)
{
    assert_int_equal(pf_loop_add_handler(loop, fd, events, see, seen), 0);
}

static int stop_loop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static int count_up(pf_loop *loop, void *arg)
{
    (void)loop;
    ++*(int *)arg;
    return 0;
}

/* ---- dispatch -------------------------------------------------------------------- */

enum {
    MANY = 2500
};

static struct crowd {
    int fds[MANY];
    int runs;
    bool reopen;
    struct seen new; /* of the ones opened anew */
} crowd;

/* The first one closes all. */
static int close_them_all(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    if (crowd.runs++ > 0)
        return 0;
    for (int i = 0; i < MANY; i++)
        if (pf_loop_remove_and_close(loop, crowd.fds[i]) != 0)
            return -EIO;
    for (int i = 0; crowd.reopen && i < MANY; i += 2) {
        int fds[2]; /* two of the numbers that became free */
        make_pipe(fds);
        crowd.fds[i] = fds[0];
        crowd.fds[i + 1] = fds[1];
        if (pf_loop_add_handler(loop, fds[0], PF_READ, see, &crowd.new) != 0)
            return -EIO;
    }
    return 0;
}

/* Room for so many descriptors, or skip. */
static void need_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur >= count)
        return;
    limit.rlim_cur = limit.rlim_max < count ? limit.rlim_max : count;
    if (limit.rlim_cur < count || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        skip();
}

static void fill_crowd(pf_loop *loop, bool reopen)
{
    int fds[2];
    make_pipe(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    crowd = (struct crowd){.reopen = reopen};
    for (int i = 0; i < MANY; i++) { /* all are ready, at once and for ever */
        crowd.fds[i] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
        assert_true(crowd.fds[i] >= 0);
        assert_int_equal(
            pf_loop_add_handler(loop, crowd.fds[i], PF_READ, close_them_all, NULL), 0);
    }
    close_pair(fds);
}

static void of_2500_ready_ones_that_the_first_closes_no_other_runs(void **state)
{
    (void)state;
    need_descriptors(MANY + 64);
    pf_loop *loop = make();
    fill_crowd(loop, false);
    for (int i = 0; i < 10; i++)
        assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_int_equal(crowd.runs, 1);
    assert_int_equal(errors, 0);
    assert_int_equal(stats_of(loop).handlers, 0);
    drop(loop);
}

static void their_numbers_used_again_in_the_batch_get_none_of_their_events(void **state)
{
    (void)state;
    need_descriptors(MANY + 64);
    pf_loop *loop = make();
    fill_crowd(loop, true);
    for (int i = 0; i < 10; i++)
        assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_int_equal(crowd.runs, 1);
    assert_int_equal(crowd.new.runs, 0);
    assert_int_equal(errors, 0);
    assert_int_equal(write(crowd.fds[1], "x", 1), 1); /* and hear of their own */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(crowd.new.fd, crowd.fds[0]);
    drop(loop);
    for (int i = 0; i < MANY; i++)
        close(crowd.fds[i]);
}

struct adder {
    int fd;
    struct seen added;
};

static int add_ready_one(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct adder *adder = arg;
    (void)events;
    (void)pf_loop_remove_handler(loop, fd);
    return pf_loop_add_handler(loop, adder->fd, PF_READ, see, &adder->added);
}

static void a_ready_one_that_a_handler_adds_waits_for_the_next_poll(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int first[2], second[2];
    make_pipe(first);
    make_pipe(second);
    assert_int_equal(write(first[1], "x", 1), 1);
    assert_int_equal(write(second[1], "x", 1), 1);
    struct adder adder = {.fd = second[0]};
    assert_int_equal(pf_loop_add_handler(loop, first[0], PF_READ, add_ready_one, &adder),
                     0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(adder.added.runs, 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(adder.added.runs, 1);
    drop(loop);
    close_pair(first);
    close_pair(second);
}

static int rearm(pf_loop *loop, void *arg)
{
    ++*(int *)arg;
    return pf_loop_call_later(loop, 0, rearm, arg, NULL);
}

static void a_timer_that_rearms_itself_without_delay_starves_nobody(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int fds[2], timer = 0, callback = 0;
    struct seen seen = {0};
    make_pipe(fds);
    watch(loop, fds[0], PF_READ, &seen);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_call_later(loop, 0, rearm, &timer, NULL), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pf_loop_add_callback(loop, count_up, &callback), 0);
        assert_true(pf_loop_turn(loop, -1) >= 2); /* does not sleep either */
    }
    assert_int_equal(seen.runs, 100);
    assert_int_equal(callback, 100);
    assert_true(timer >= 99);
    drop(loop);
    close_pair(fds);
}

/* ---- descriptors ----------------------------------------------------------------- */

static void duplicates_are_registrations_of_their_own(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int fds[2];
    struct seen first = {0}, second = {0};
    make_pipe(fds);
    int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    watch(loop, fds[0], PF_READ, &first);
    watch(loop, copy, PF_READ, &second);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_int_equal(pf_loop_remove_and_close(loop, fds[0]), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1); /* the file lives on in the copy */
    assert_int_equal(first.runs, 1);
    assert_int_equal(second.runs, 2);
    drop(loop);
    close(copy);
    close(fds[1]);
}

static void a_number_that_dup2_gave_to_the_same_file_can_be_added_again(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int fds[2];
    struct seen seen = {0};
    make_pipe(fds);
    int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    watch(loop, copy, PF_READ, &seen);
    close(copy); /* behind the loop's back: the kernel's entry stays, as the file does */
    assert_int_equal(pf_loop_remove_handler(loop, copy), 0);
    assert_int_equal(dup3(fds[0], copy, O_CLOEXEC), copy);
    watch(loop, copy, PF_READ, &seen);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(seen.fd, copy);
    assert_int_equal(pf_loop_remove_handler(loop, copy), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    drop(loop);
    close(copy);
    close_pair(fds);
}

static void an_update_finds_a_number_that_became_another_file(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int old[2], new[2];
    struct seen seen = {0};
    make_pipe(old);
    make_pipe(new);
    watch(loop, old[0], PF_READ, &seen);
    assert_int_equal(dup3(new[0], old[0], O_CLOEXEC), old[0]);
    assert_int_equal(pf_loop_update_handler(loop, old[0], 0), 0);
    assert_int_equal(pf_loop_update_handler(loop, old[0], PF_READ), 0);
    assert_int_equal(write(new[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_remove_handler(loop, old[0]), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    drop(loop);
    close_pair(old);
    close_pair(new);
}

static void a_loop_can_be_watched_by_another(void **state)
{
    (void)state;
    pf_loop *outer = make(), *inner = make();
    int fds[2];
    struct seen in = {0}, out = {0};
    make_pipe(fds);
    watch(inner, fds[0], PF_READ, &in);
    int fd = pf_loop_fd(inner);
    assert_true(fd >= 0);
    watch(outer, fd, PF_READ, &out);
    assert_int_equal(pf_loop_turn(outer, 0), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(outer, patience_ns), 1);
    assert_int_equal(out.events, PF_READ);
    assert_int_equal(pf_loop_turn(inner, 0), 1);
    drop(inner);
    assert_int_equal(pf_loop_remove_handler(outer, fd), 0); /* it was closed with it */
    assert_int_equal(pf_loop_turn(outer, 0), 0);
    drop(outer);
    close_pair(fds);
}

static void what_cannot_be_polled_says_so(void **state)
{
    (void)state;
    static const char *const paths[] = {"/proc/self/exe", "/", "/dev/null", "/dev/zero"};
    pf_loop *loop = make();
    struct seen seen = {0};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pf_loop_add_handler(loop, fd, PF_READ, see, &seen), -ENOTSUP);
        assert_int_equal(pf_loop_remove_handler(loop, fd), -ENOENT);
        close(fd);
    }
    assert_int_equal(stats_of(loop).handlers, 0);
    drop(loop);
}

/* ---- hang-ups and errors --------------------------------------------------------- */

static void make_sockets(int ends[2])
{
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void make_tcp(int ends[2])
{
    struct sockaddr_in address = loopback();
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ends[1], (struct sockaddr *)&address, size), 0);
    ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(ends[0] >= 0);
    close(listener);
}

static void after_a_hang_up_all_that_was_sent_can_be_read(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        pf_loop *loop = make();
        int ends[2];
        char bytes[16];
        struct seen seen = {0};
        if (kind == 0)
            make_pipe(ends);
        else
            make_sockets(ends);
        assert_int_equal(write(ends[1], "goodbye", 7), 7);
        close(ends[1]);
        watch(loop, ends[0], PF_READ, &seen);
        assert_int_equal(pf_loop_turn(loop, patience_ns), 1);
        assert_int_equal(seen.events & PF_READ, PF_READ);
        assert_true((seen.events & PF_ERROR) != 0);
        assert_int_equal(read(ends[0], bytes, sizeof bytes), 7);
        assert_int_equal(read(ends[0], bytes, sizeof bytes), 0);
        drop(loop);
        close(ends[0]);
    }
}

static void a_hang_up_reaches_one_that_only_writes_once_a_turn(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int ends[2];
    struct seen seen = {0};
    make_sockets(ends);
    watch(loop, ends[0], PF_WRITE, &seen);
    close(ends[1]);
    assert_int_equal(pf_loop_turn(loop, patience_ns), 1); /* one call, not two */
    assert_int_equal(seen.runs, 1);
    assert_true((seen.events & PF_ERROR) != 0);
    assert_int_equal(seen.events & PF_READ, 0); /* was not asked for */
    drop(loop);
    close(ends[0]);
}

static void an_error_alone_reaches_the_handler(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int fds[2];
    char bytes[4096] = {0};
    struct seen seen = {0};
    make_pipe(fds);
    while (write(fds[1], bytes, sizeof bytes) > 0) /* full: not writable */
        continue;
    watch(loop, fds[1], PF_WRITE, &seen);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    close(fds[0]);
    assert_int_equal(pf_loop_turn(loop, patience_ns), 1);
    assert_true((seen.events & PF_ERROR) != 0);
    drop(loop);
    close(fds[1]);
}

static void a_refused_connection_is_an_error_that_can_be_asked_for(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct sockaddr_in address = loopback();
    socklen_t size = sizeof address;
    struct seen seen = {0};
    int nobody = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, not listening */
    assert_int_equal(bind(nobody, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(nobody, (struct sockaddr *)&address, &size), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = connect(fd, (struct sockaddr *)&address, size) == 0 ? 0 : errno;
    assert_true(err == EINPROGRESS || err == ECONNREFUSED);
    watch(loop, fd, PF_WRITE, &seen);
    assert_int_equal(pf_loop_turn(loop, patience_ns), 1);
    assert_true((seen.events & PF_ERROR) != 0);
    if (err == EINPROGRESS) {
        int pending = 0;
        size = sizeof pending;
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &size), 0);
        assert_int_equal(pending, ECONNREFUSED);
    }
    drop(loop);
    close(fd);
    close(nobody);
}

static void urgent_data_alone_wakes_nobody(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int ends[2];
    struct seen seen = {0};
    make_tcp(ends);
    watch(loop, ends[0], PF_READ, &seen);
    assert_int_equal(send(ends[1], "!", 1, MSG_OOB), 1);
    struct pollfd urgent = {.fd = ends[0], .events = POLLPRI};
    assert_int_equal(poll(&urgent, 1, PF_TEST_DEADLINE_S * 1000), 1); /* it is there */
    for (int i = 0; i < 10; i++)
        assert_true(pf_loop_turn(loop, 0) >= 0);
    assert_true(seen.runs <= 10 && !(seen.events & ~(PF_READ | PF_ERROR)));
    int before = seen.runs;
    assert_int_equal(send(ends[1], "x", 1, 0), 1);
    assert_int_equal(pf_loop_turn(loop, patience_ns), 1);
    assert_int_equal(seen.runs, before + 1);
    assert_int_equal(seen.events, PF_READ);
    drop(loop);
    close_pair(ends);
}

/* ---- time ------------------------------------------------------------------------ */

static void a_deadline_further_than_milliseconds_reach_holds_up_nothing(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int far = 0;
    static const int64_t delays[] = {INT64_C(60) * 86400 * PF_SECOND, /* > INT_MAX ms */
                                     INT64_C(100) * 365 * 86400 * PF_SECOND, INT64_MAX / 2};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++)
        assert_int_equal(pf_loop_call_later(loop, delays[i], count_up, &far, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(pf_loop_call_later(loop, PF_MILLISECOND, stop_loop, NULL, NULL), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_int_equal(far, 0);
    drop(loop);
}

static void any_length_of_sleep_is_one_the_poller_takes(void **state)
{
    (void)state;
    static const int64_t limits[] = {0,
                                     1,
                                     PF_MILLISECOND,
                                     INT64_C(0x7fffffff) * PF_MILLISECOND,
                                     INT64_C(0x80000000) * PF_MILLISECOND,
                                     INT64_C(0x100000000) * PF_MILLISECOND,
                                     INT64_MAX - 1,
                                     INT64_MAX,
                                     -1,
                                     INT64_MIN};
    const struct pf_poller_ops *poller = &pf_poller_epoll;
    void *poll_state;
    int fds[2];
    make_pipe(fds);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(poller->open(NULL, &poll_state), 0);
    assert_int_equal(poller->add(poll_state, fds[0], PF_READ, 42), 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct pf_poll_event event = {0};
        assert_int_equal(poller->wait(poll_state, &event, 1, limits[i]), 1);
        assert_true(event.tag == 42 && event.events == PF_READ);
    }
    assert_int_equal(poller->remove(poll_state, fds[0]), 0);
    for (size_t i = 0; i < 3; i++) { /* and the short ones end by themselves, not early */
        struct pf_poll_event event;
        int64_t began = now_ns();
        assert_int_equal(poller->wait(poll_state, &event, 1, limits[i]), 0);
        assert_true(now_ns() - began >= limits[i]);
    }
    poller->close(poll_state);
    close_pair(fds);
}

/* A poller that finds nothing, and comes back before its time: after a signal, say. */
static int wait_in_vain(void *poll_state, struct pf_poll_event *events, int max,
                        int64_t timeout_ns)
{
    (void)events, (void)max;
    struct pf_fake_clock *clock = *(struct pf_fake_clock **)poll_state;
    clock->now += timeout_ns > 10 ? timeout_ns / 10 : timeout_ns > 0;
    return 0;
}

static int open_in_vain(void *arg, void **poll_state)
{
    *poll_state = arg;
    return 0;
}

static void close_in_vain(void *poll_state)
{
    (void)poll_state;
}

static int add_in_vain(void *poll_state, int fd, unsigned events, uint64_t tag)
{
    (void)poll_state, (void)fd, (void)events, (void)tag;
    return 0;
}

static int remove_in_vain(void *poll_state, int fd)
{
    (void)poll_state, (void)fd;
    return 0;
}

static int fd_in_vain(void *poll_state)
{
    (void)poll_state;
    return -ENOTSUP;
}

static int64_t read_clock(void *arg)
{
    return ((struct pf_fake_clock *)arg)->now;
}

static void a_sleep_that_ends_for_nothing_makes_no_timer_early(void **state)
{
    (void)state;
    static const struct pf_poller_ops vain = {
        PF_POLLER_OPS,
        .name = "vain",
        .open = open_in_vain,
        .close = close_in_vain,
        .add = add_in_vain,
        .modify = add_in_vain,
        .remove = remove_in_vain,
        .wait = wait_in_vain,
        .fd = fd_in_vain,
    };
    struct pf_fake_clock clock = {.now = 1000}, *poll_state = &clock;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *loop;
    int fired = 0;
    options.poller = &vain;
    options.poller_arg = &poll_state;
    options.clock = read_clock;
    options.clock_arg = &clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_call_at(loop, PF_SECOND, count_up, &fired, NULL), 0);
    int turns = 0;
    while (fired == 0 && turns++ < 10000) {
        int64_t before = clock.now;
        assert_true(pf_loop_turn(loop, -1) >= 0);
        assert_true(fired == (before >= PF_SECOND));
    }
    assert_int_equal(fired, 1);
    drop(loop);
}

static void a_clock_that_goes_back_delays_timers_and_loses_none(void **state)
{
    (void)state;
    struct pf_fake_clock clock = {.now = 10 * PF_SECOND};
    struct pf_fake_poller poller = {.clock = &clock};
    struct pf_loop_options options = pf_fake_options(&poller);
    pf_loop *loop;
    int fired = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    for (int i = 1; i <= 20; i++)
        assert_int_equal(pf_loop_call_at(loop, i * PF_SECOND, count_up, &fired, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 10);
    clock.now = 2 * PF_SECOND;
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(pf_loop_call_at(loop, 3 * PF_SECOND, count_up, &fired, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, -1), 0); /* sleeps until then */
    assert_true(clock.now == 3 * PF_SECOND);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    clock.now = 20 * PF_SECOND;
    assert_int_equal(pf_loop_turn(loop, 0), 10);
    assert_int_equal(fired, 21);
    drop(loop);
}

static void a_turn_with_nothing_but_a_timer_gets_on_and_fires_it_once(void **state)
{
    (void)state;
    pf_loop *loop = make();
    int fired = 0;
    assert_int_equal(pf_loop_call_later(loop, 2 * PF_MILLISECOND, count_up, &fired, NULL),
                     0);
    assert_int_equal(pf_loop_turn(loop, -1), 0); /* sleeps until it is due */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(fired, 1);
    drop(loop);
}

/* ---- threads --------------------------------------------------------------------- */

struct producer {
    pf_loop *loop;
    int *count;
    int err;
};

static void *add_and_end(void *arg)
{
    struct producer *producer = arg;
    for (int i = 0; i < 100; i++)
        producer->err |= pf_loop_add_callback(producer->loop, count_up, producer->count);
    return NULL;
}

static void what_a_thread_added_runs_when_the_thread_is_gone(void **state)
{
    (void)state;
    enum {
        THREADS = 20
    };
    pf_loop *loop = make();
    int count = 0;
    for (int i = 0; i < THREADS; i++) {
        struct producer producer = {loop, &count, 0};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, add_and_end, &producer), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(producer.err, 0);
        if (i == THREADS / 2) /* some before it has a waker, some after */
            assert_int_equal(pf_loop_turn(loop, 0), (i + 1) * 100);
    }
    assert_int_equal(pf_loop_turn(loop, 0), (THREADS / 2 - 1) * 100);
    assert_int_equal(count, THREADS * 100);
    drop(loop);
}

static void *add_stops(void *arg)
{
    struct producer *producer = arg;
    for (int i = 0; i < *producer->count; i++)
        producer->err |= pf_loop_add_callback(producer->loop, stop_loop, NULL);
    return NULL;
}

static pthread_t stop_from_outside(struct producer *producer)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, add_stops, producer), 0);
    return thread;
}

struct stopper {
    pthread_t thread;
    struct producer *producer;
};

static int let_others_stop(pf_loop *loop, void *arg)
{
    struct stopper *stopper = arg;
    (void)loop;
    stopper->thread = stop_from_outside(stopper->producer);
    return 0;
}

static void another_thread_stops_it_before_it_starts_while_it_sleeps_and_twice(void **state)
{
    (void)state;
    pf_loop *loop = make();
    for (int times = 1; times <= 2; times++) {
        struct producer producer = {loop, &times, 0};
        pthread_t thread = stop_from_outside(&producer);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pf_loop_start(loop), 0); /* runs one turn, and twice is once */

        struct stopper inside = {.producer = &producer};
        assert_int_equal(pf_loop_add_callback(loop, let_others_stop, &inside), 0);
        assert_int_equal(pf_loop_start(loop), 0);
        assert_int_equal(pthread_join(inside.thread, NULL), 0);
        assert_int_equal(producer.err, 0);
        while (pf_loop_turn(loop, 0) > 0) /* the second stop may have come later */
            continue;
    }
    drop(loop);
}

static void a_full_waker_pipe_wakes_all_the_same(void **state)
{
    (void)state;
    pf_loop *loop = make();
    char bytes[4096] = {0};
    int count = 0;
    struct producer producer = {loop, &count, 0};
    pthread_t thread;
    assert_true(pf_loop_fd(loop) >= 0);
    for (int round = 0; round < 3; round++) {
        while (write(loop->waker.write_fd, bytes, sizeof bytes) > 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(pthread_create(&thread, NULL, add_and_end, &producer), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(producer.err, 0);
        assert_int_equal(pf_loop_turn(loop, patience_ns), 100);
        assert_int_equal(pf_loop_turn(loop, 0), 0);
        struct pollfd waker = {.fd = loop->waker.read_fd, .events = POLLIN};
        assert_int_equal(poll(&waker, 1, 0), 0); /* emptied */
    }
    drop(loop);
}

/* ---- coming and going ------------------------------------------------------------ */

static void a_loop_may_be_closed_with_everything_in_it(void **state)
{
    (void)state;
    enum {
        EACH = 1000
    };
    pf_loop *loop = make();
    int fds[2], count = 0;
    make_pipe(fds);
    struct seen seen = {0};
    watch(loop, fds[0], PF_READ, &seen);
    assert_int_equal(write(fds[1], "x", 1), 1);
    for (int i = 0; i < EACH; i++) {
        assert_int_equal(pf_loop_add_callback(loop, count_up, &count), 0);
        assert_int_equal(
            pf_loop_call_later(loop, i * PF_MILLISECOND, count_up, &count, NULL), 0);
    }
    drop(loop);
    assert_int_equal(count, 0);
    assert_int_equal(seen.runs, 0);
    close_pair(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(of_2500_ready_ones_that_the_first_closes_no_other_runs),
        pf_test(their_numbers_used_again_in_the_batch_get_none_of_their_events),
        pf_test(a_ready_one_that_a_handler_adds_waits_for_the_next_poll),
        pf_test(a_timer_that_rearms_itself_without_delay_starves_nobody),
        pf_test(duplicates_are_registrations_of_their_own),
        pf_test(a_number_that_dup2_gave_to_the_same_file_can_be_added_again),
        pf_test(an_update_finds_a_number_that_became_another_file),
        pf_test(a_loop_can_be_watched_by_another),
        pf_test(what_cannot_be_polled_says_so),
        pf_test(after_a_hang_up_all_that_was_sent_can_be_read),
        pf_test(a_hang_up_reaches_one_that_only_writes_once_a_turn),
        pf_test(an_error_alone_reaches_the_handler),
        pf_test(a_refused_connection_is_an_error_that_can_be_asked_for),
        pf_test(urgent_data_alone_wakes_nobody),
        pf_test(a_deadline_further_than_milliseconds_reach_holds_up_nothing),
        pf_test(any_length_of_sleep_is_one_the_poller_takes),
        pf_test(a_sleep_that_ends_for_nothing_makes_no_timer_early),
        pf_test(a_clock_that_goes_back_delays_timers_and_loses_none),
        pf_test(a_turn_with_nothing_but_a_timer_gets_on_and_fires_it_once),
        pf_test(what_a_thread_added_runs_when_the_thread_is_gone),
        pf_test(another_thread_stops_it_before_it_starts_while_it_sleeps_and_twice),
        pf_test(a_full_waker_pipe_wakes_all_the_same),
        pf_test(a_loop_may_be_closed_with_everything_in_it),
    };
    return cmocka_run_group_tests_name("loop edges", tests, NULL, NULL);
}
