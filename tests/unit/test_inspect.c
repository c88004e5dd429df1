/*
 * Looking into a loop: what is registered and queued, how long things took and how late
 * they were, who closes what; and the options of loops made without any.
 */
#include "tests/lib/test.h"

#include "tests/lib/fake.h"

#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct pf_fake_clock fake_clock;
static struct pf_fake_poller fake_poller;
static int fd_a, fd_b;

static char trace[256];

static void note(const char *word)
{
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "%s%s", used ? " " : "", word);
}

static void assert_happened(const char *expected)
{
    assert_string_equal(trace, expected);
    trace[0] = 0;
}

static int open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static pf_loop *make(void)
{
    pf_loop *loop;
    fake_clock = (struct pf_fake_clock){.now = 1000};
    fake_poller = (struct pf_fake_poller){.clock = &fake_clock};
    trace[0] = 0;
    struct pf_loop_options options = pf_fake_options(&fake_poller);
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    fd_a = open_null();
    fd_b = open_null();
    return loop;
}

static void close_if_open(int fd)
{
    if (fcntl(fd, F_GETFD) != -1)
        close(fd);
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    close_if_open(fd_a);
    close_if_open(fd_b);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static struct pf_loop_stats stats_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats;
}

/* The arg of the callbacks and handlers here. */
struct deed {
    const char *word;
    int64_t takes_ns;
    pf_timer *timer;
    int64_t to_ns;
    int answer, calls;
};

static int do_callback(pf_loop *loop, void *arg)
{
    struct deed *deed = arg;
    deed->calls++;
    fake_clock.now += deed->takes_ns;
    if (deed->word)
        note(deed->word);
    if (deed->timer)
        deed->answer = pf_loop_update_timeout(loop, *deed->timer, deed->to_ns);
    return 0;
}

static int do_handler(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events;
    return do_callback(loop, arg);
}

static int do_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo;
    return do_callback(loop, arg);
}

static pf_timer at(pf_loop *loop, int64_t when_ns, struct deed *deed)
{
    pf_timer timer;
    assert_int_equal(pf_loop_call_at(loop, when_ns, do_callback, deed, &timer), 0);
    return timer;
}

/* ---- walking --------------------------------------------------------------------- */

enum {
    ITEMS = 32
};

struct walked {
    struct pf_loop_item items[ITEMS];
    int count;
    int end_after, result;
};

static int collect(const struct pf_loop_item *item, void *arg)
{
    struct walked *walked = arg;
    assert_true(walked->count < ITEMS);
    assert_int_equal(item->size, sizeof *item);
    walked->items[walked->count++] = *item;
    return walked->count == walked->end_after ? walked->result : 0;
}

static struct walked walk(pf_loop *loop)
{
    struct walked walked = {0};
    assert_int_equal(pf_loop_walk(loop, collect, &walked), 0);
    return walked;
}

static void a_walk_shows_each_kind_of_thing(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed h = {0}, t = {0}, n = {0}, c = {0}, r = {0}, s = {0};
    pf_timer timer, never;
    assert_int_equal(walk(loop).count, 0);
    assert_int_equal(pf_loop_add_handler_full(loop, fd_a, PF_READ | PF_WRITE, do_handler,
                                              &h, NULL, "h.c:1"),
                     0);
    assert_int_equal(
        pf_loop_call_at_full(loop, 5000, do_callback, &t, NULL, "t.c:2", &timer), 0);
    assert_int_equal(
        pf_loop_call_at_full(loop, PF_NEVER, do_callback, &n, NULL, NULL, &never), 0);
    assert_int_equal(pf_loop_add_callback_full(loop, do_callback, &c, NULL, "c.c:3"), 0);
    assert_int_equal(pf_loop_add_callback_from_signal(loop, do_callback, &r), 0);
    assert_int_equal(pf_loop_add_signal_full(loop, SIGUSR1, do_signal, &s, NULL, "s.c:4"),
                     0);
    assert_int_equal(pf_loop_describe_handler(loop, fd_a, "client"), 0);
    assert_int_equal(pf_loop_describe_timeout(loop, timer, "patience"), 0);

    struct walked walked = walk(loop);
    assert_int_equal(walked.count, 6);
    const struct pf_loop_item *item = walked.items;
    assert_int_equal(item->kind, PF_LOOP_HANDLER);
    assert_string_equal(item->where, "h.c:1");
    assert_string_equal(item->what, "client");
    assert_ptr_equal(item->arg, &h);
    assert_int_equal(item->fd, fd_a);
    assert_int_equal(item->events, PF_READ | PF_WRITE);
    item++;
    assert_int_equal(item->kind, PF_LOOP_TIMER);
    assert_string_equal(item->where, "t.c:2");
    assert_string_equal(item->what, "patience");
    assert_ptr_equal(item->arg, &t);
    assert_int_equal(item->fd, -1);
    assert_true(item->timer.id == timer.id);
    assert_true(item->deadline_ns == 5000);
    item++;
    assert_int_equal(item->kind, PF_LOOP_TIMER);
    assert_null(item->where);
    assert_null(item->what);
    assert_true(item->timer.id == never.id);
    assert_true(item->deadline_ns == PF_NEVER);
    item++;
    assert_int_equal(item->kind, PF_LOOP_CALLBACK);
    assert_string_equal(item->where, "c.c:3");
    assert_ptr_equal(item->arg, &c);
    assert_int_equal(item->fd, -1);
    item++;
    assert_int_equal(item->kind, PF_LOOP_CALLBACK); /* from a signal handler */
    assert_null(item->where);
    assert_ptr_equal(item->arg, &r);
    item++;
    assert_int_equal(item->kind, PF_LOOP_SIGNAL);
    assert_string_equal(item->where, "s.c:4");
    assert_ptr_equal(item->arg, &s);
    assert_int_equal(item->signo, SIGUSR1);

    assert_int_equal(pf_loop_turn(loop, 0), 2); /* a walk has changed nothing */
    assert_int_equal(walk(loop).count, 4);
    drop(loop);
}

static void a_walk_ends_where_it_is_told_to(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {0};
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &deed), 0);
    assert_int_equal(pf_loop_add_handler(loop, fd_b, PF_READ, do_handler, &deed), 0);
    for (int i = 0; i < 2; i++) {
        (void)at(loop, PF_NEVER, &deed);
        assert_int_equal(pf_loop_add_callback(loop, do_callback, &deed), 0);
        assert_int_equal(pf_loop_add_callback_from_signal(loop, do_callback, &deed), 0);
    }
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, do_signal, &deed), 0);
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR2, do_signal, &deed), 0);
    for (int end = 1; end <= 10; end++) {
        struct walked walked = {.end_after = end, .result = end % 2 ? -end : end};
        assert_int_equal(pf_loop_walk(loop, collect, &walked), walked.result);
        assert_int_equal(walked.count, end);
    }
    assert_int_equal(pf_loop_walk(loop, NULL, NULL), -EINVAL);
    assert_int_equal(pf_loop_walk(NULL, collect, NULL), -EINVAL);
    drop(loop);
}

static void handlers_are_shown_paused_and_until_they_are_removed(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {0};
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &deed), 0);
    assert_int_equal(pf_loop_describe_handler(loop, fd_a, "old"), 0);
    assert_int_equal(pf_loop_update_handler(loop, fd_a, 0), 0);
    struct walked walked = walk(loop);
    assert_int_equal(walked.count, 1);
    assert_int_equal(walked.items[0].events, 0);
    assert_string_equal(walked.items[0].what, "old");
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), 0);
    assert_int_equal(walk(loop).count, 0);
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &deed), 0);
    assert_null(walk(loop).items[0].what); /* a new one, and not described */
    drop(loop);
}

static struct walked walked_inside;

static int walk_inside(pf_loop *loop, void *arg)
{
    (void)arg;
    walked_inside = walk(loop);
    return 0;
}

static void inside_a_call_a_walk_shows_what_is_still_to_come(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed before = {0}, after = {0}, due = {0};
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &before), 0);
    assert_int_equal(pf_loop_add_callback(loop, walk_inside, NULL), 0);
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &after), 0);
    (void)at(loop, 0, &due);
    assert_int_equal(pf_loop_turn(loop, 0), 4);
    assert_int_equal(walked_inside.count, 2);
    assert_ptr_equal(walked_inside.items[0].arg, &due);
    assert_ptr_equal(walked_inside.items[1].arg, &after);
    drop(loop);
}

static int describe_unknown(pf_loop *loop, int fd, pf_timer timer)
{
    int a = pf_loop_describe_handler(loop, fd, "x");
    int b = pf_loop_describe_timeout(loop, timer, "x");
    assert_int_equal(a, b);
    return a;
}

static void only_what_is_registered_can_be_described(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {0};
    pf_timer timer = at(loop, 0, &deed);
    assert_int_equal(describe_unknown(loop, fd_a, (pf_timer){0}), -ENOENT);
    assert_int_equal(describe_unknown(loop, -1, (pf_timer){UINT64_MAX}), -ENOENT);
    assert_int_equal(describe_unknown(loop, 1 << 30, (pf_timer){1}), -ENOENT);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(describe_unknown(loop, 0, timer), -ENOENT);
    assert_int_equal(describe_unknown(NULL, 0, timer), -EINVAL);
    drop(loop);
}

static struct pf_loop_error last_error;
static int errors;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)arg;
    errors++;
    last_error = *error;
}

static int fail_handler(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events, (void)arg;
    return -EIO;
}

static int fail_callback(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return -EIO;
}

static void reports_carry_the_description(void **state)
{
    (void)state;
    pf_loop *loop = make();
    drop(loop);
    struct pf_loop_options options = pf_fake_options(&fake_poller);
    options.on_error = on_error;
    errors = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    fd_a = open_null();
    pf_timer timer;
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, fail_handler, NULL), 0);
    assert_int_equal(pf_loop_describe_handler(loop, fd_a, "client"), 0);
    pf_fake_poller_ready(&fake_poller, fd_a, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(last_error.what, "client");
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), 0);
    assert_int_equal(pf_loop_call_at(loop, 0, fail_callback, NULL, &timer), 0);
    assert_int_equal(pf_loop_describe_timeout(loop, timer, "patience"), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(last_error.what, "patience");
    assert_int_equal(pf_loop_add_callback(loop, fail_callback, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_null(last_error.what);
    assert_int_equal(errors, 3);
    drop(loop);
}

/* ---- histograms ------------------------------------------------------------------ */

static void assert_buckets(const uint64_t buckets[PF_LOOP_BUCKETS], int bucket,
                           uint64_t count)
{
    for (int i = 0; i < PF_LOOP_BUCKETS; i++)
        assert_int_equal(buckets[i], i == bucket ? count : 0);
}

/* How long, and where it has to be counted. */
static const struct {
    int64_t ns;
    int bucket;
} durations[] = {
    {0, 0},
    {1, 0},
    {2, 1},
    {3, 1},
    {4, 2},
    {1023, 9},
    {1024, 10},
    {1025, 10},
    {(INT64_C(1) << 39) - 1, 38},
    {INT64_C(1) << 39, 39},
    {INT64_C(1) << 40, 39},
    {INT64_C(1) << 50, 39},
};

static void a_handlers_time_is_counted_where_it_belongs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        pf_loop *loop = make();
        struct deed deed = {.takes_ns = durations[i].ns};
        assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &deed), 0);
        pf_fake_poller_ready(&fake_poller, fd_a, PF_READ);
        for (int n = 0; n < 3; n++)
            assert_int_equal(pf_loop_turn(loop, 0), 1);
        struct pf_loop_stats stats = stats_of(loop);
        assert_buckets(stats.handler_ns, durations[i].bucket, 3);
        assert_buckets(stats.lateness_ns, 0, 0);
        drop(loop);
    }
}

static void handlers_of_one_batch_are_timed_each_for_itself(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed slow = {.takes_ns = 1 << 20}, quick = {.takes_ns = 1 << 10};
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &slow), 0);
    assert_int_equal(pf_loop_add_handler(loop, fd_b, PF_READ, do_handler, &quick), 0);
    pf_fake_poller_ready(&fake_poller, fd_a, PF_READ);
    pf_fake_poller_ready(&fake_poller, fd_b, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    struct pf_loop_stats stats = stats_of(loop);
    assert_int_equal(stats.handler_ns[20], 1);
    assert_int_equal(stats.handler_ns[10], 1);
    drop(loop);
}

static void a_timers_lateness_is_counted_where_it_belongs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        pf_loop *loop = make();
        struct deed deed = {0};
        fake_clock.now = 0;
        (void)at(loop, 5000, &deed);
        (void)at(loop, 5000, &deed);
        fake_clock.now = 5000 + durations[i].ns;
        assert_int_equal(pf_loop_turn(loop, 0), 2);
        struct pf_loop_stats stats = stats_of(loop);
        assert_buckets(stats.lateness_ns, durations[i].bucket, 2);
        assert_buckets(stats.handler_ns, 0, 0);
        drop(loop);
    }
}

static void a_timer_later_than_can_be_told_is_among_the_latest(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {0};
    (void)at(loop, INT64_MIN, &deed);
    (void)at(loop, -5, &deed);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    struct pf_loop_stats stats = stats_of(loop);
    assert_int_equal(stats.lateness_ns[PF_LOOP_BUCKETS - 1], 1);
    assert_int_equal(stats.lateness_ns[9], 1); /* 1005 */
    drop(loop);
}

static void a_timer_that_was_moved_is_late_by_its_last_deadline(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {0};
    pf_timer timer = at(loop, 2000, &deed);
    assert_int_equal(pf_loop_update_timeout(loop, timer, 8000), 0);
    fake_clock.now = 8004;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_buckets(stats_of(loop).lateness_ns, 2, 1);
    drop(loop);
}

static int stop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static void time_is_either_busy_or_idle(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed callback = {.takes_ns = 100}, handler = {.takes_ns = 2000};
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &callback), 0);
    assert_int_equal(pf_loop_call_later(loop, 5000, stop, NULL, NULL), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    struct pf_loop_stats stats = stats_of(loop);
    assert_true(stats.busy_ns == 100);
    assert_true(stats.idle_ns == 4900);
    fake_clock.now += 777; /* not running is neither */
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, do_handler, &handler), 0);
    pf_fake_poller_ready(&fake_poller, fd_a, PF_READ);
    assert_int_equal(pf_loop_call_later(loop, 1000, stop, NULL, NULL), 0);
    assert_int_equal(pf_loop_start(loop), 0); /* runs the handler, then is stopped */
    stats = stats_of(loop);
    assert_true(stats.busy_ns == 2100);
    assert_true(stats.idle_ns == 4900);
    assert_int_equal(pf_loop_remove_handler(loop, fd_a), 0);
    struct deed back = {.takes_ns =
                            -500000}; /* a clock that goes back takes nothing away */
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &back), 0);
    assert_int_equal(pf_loop_add_callback(loop, stop, NULL), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    stats = stats_of(loop);
    assert_true(stats.busy_ns == 2100);
    assert_true(stats.idle_ns == 4900);
    drop(loop);
}

static int cross_the_range(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    fake_clock.now = INT64_MAX;
    return pf_loop_stop(loop);
}

static void time_beyond_the_range_is_the_most_there_is(void **state)
{
    (void)state;
    pf_loop *loop = make();
    fake_clock.now = INT64_MIN;
    assert_int_equal(pf_loop_add_handler(loop, fd_a, PF_READ, cross_the_range, NULL), 0);
    pf_fake_poller_ready(&fake_poller, fd_a, PF_READ);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pf_loop_start(loop), 0);
        struct pf_loop_stats stats = stats_of(loop);
        assert_true(stats.busy_ns == INT64_MAX);
        assert_int_equal(stats.handler_ns[PF_LOOP_BUCKETS - 1], i + 1);
        fake_clock.now = INT64_MIN;
    }
    drop(loop);
}

static void a_quantile_is_the_bound_that_enough_stay_below(void **state)
{
    (void)state;
    uint64_t buckets[PF_LOOP_BUCKETS] = {0};
    assert_true(pf_loop_quantile(buckets, 0.5) == 0);
    buckets[3] = 90; /* 8 to 15 */
    buckets[10] = 9;
    buckets[20] = 1;
    assert_true(pf_loop_quantile(buckets, 0) <= 16);
    assert_true(pf_loop_quantile(buckets, 0.5) == 16);
    assert_true(pf_loop_quantile(buckets, 0.9) == 16);
    assert_true(pf_loop_quantile(buckets, 0.91) == 2048);
    assert_true(pf_loop_quantile(buckets, 0.99) == 2048);
    assert_true(pf_loop_quantile(buckets, 0.991) == 1 << 21);
    assert_true(pf_loop_quantile(buckets, 1) == 1 << 21);
    memset(buckets, 0, sizeof buckets);
    buckets[0] = 1;
    assert_true(pf_loop_quantile(buckets, 0.5) == 2);
    buckets[PF_LOOP_BUCKETS - 1] = 1;
    assert_true(pf_loop_quantile(buckets, 1) == INT64_C(1) << PF_LOOP_BUCKETS);
    buckets[PF_LOOP_BUCKETS - 1] = UINT64_C(1) << 60;
    assert_true(pf_loop_quantile(buckets, 0.5) == INT64_C(1) << PF_LOOP_BUCKETS);
}

static void stats_of_older_and_newer_callers_are_filled_as_far_as_both_know(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {0};
    (void)at(loop, 0, &deed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    for (size_t size = sizeof(size_t); size <= sizeof(struct pf_loop_stats); size += 8) {
        struct pf_loop_stats stats;
        memset(&stats, 0x5a, sizeof stats);
        stats.size = size;
        assert_int_equal(pf_loop_stats(loop, &stats), 0);
        assert_int_equal(stats.size, size);
        const unsigned char *bytes = (const unsigned char *)&stats;
        for (size_t i = size; i < sizeof stats; i++)
            assert_int_equal(bytes[i], 0x5a);
        if (size >= offsetof(struct pf_loop_stats, timers) + 8)
            assert_int_equal(stats.timers, 1);
    }
    struct {
        struct pf_loop_stats known;
        uint64_t new;
    } newer = {.known.size = sizeof newer, .new = 42};
    assert_int_equal(pf_loop_stats(loop, &newer.known), 0);
    assert_int_equal(newer.known.size, sizeof newer.known); /* as much as is true */
    assert_int_equal(newer.new, 42);
    struct pf_loop_stats bad = {.size = sizeof(size_t) - 1};
    assert_int_equal(pf_loop_stats(loop, &bad), -EINVAL);
    drop(loop);
}

static void the_poller_is_known_by_its_name(void **state)
{
    (void)state;
    pf_loop *fake = make(), *real;
    assert_string_equal(pf_loop_poller(fake), "fake");
    assert_null(pf_loop_poller(NULL));
    assert_int_equal(pf_loop_new(NULL, &real), 0);
    assert_string_equal(pf_loop_poller(real), "epoll");
    pf_loop_unref(real);
    drop(fake);
}

/* ---- closers --------------------------------------------------------------------- */

static void close_and_note(int fd, void *arg)
{
    const struct deed *deed = arg;
    note("close");
    note(deed->word);
    close(fd);
}

static void note_destroyed(void *arg)
{
    const struct deed *deed = arg;
    note("destroy");
    note(deed->word);
}

static int close_own(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)events, (void)arg;
    note("run");
    int err = pf_loop_remove_and_close(loop, fd);
    note("ran");
    return err;
}

static void watch_with_closer(pf_loop *loop, int fd, pf_io_fn *fn, struct deed *deed)
{
    assert_int_equal(
        pf_loop_add_handler_full(loop, fd, PF_READ, fn, deed, note_destroyed, NULL), 0);
    assert_int_equal(pf_loop_set_closer(loop, fd, close_and_note), 0);
}

static void a_loop_closes_all_descriptors_by_their_closers_before_it_destroys(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed a = {.word = "a"}, b = {.word = "b"};
    watch_with_closer(loop, fd_a, do_handler, &a);
    assert_int_equal(
        pf_loop_add_handler_full(loop, fd_b, PF_READ, do_handler, &b, note_destroyed, NULL),
        0);
    assert_int_equal(pf_loop_close(loop, true), 0);
    assert_happened("close a destroy a destroy b");
    assert_false(is_open(fd_a));
    assert_false(is_open(fd_b)); /* by close(2) */
    pf_loop_unref(loop);
}

static void without_all_fds_no_closer_is_called(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed a = {.word = "a"};
    watch_with_closer(loop, fd_a, do_handler, &a);
    pf_loop_unref(loop); /* closes it, too */
    assert_happened("destroy a");
    assert_true(is_open(fd_a));
    close(fd_a);
    close(fd_b);
}

static void removing_and_closing_goes_by_the_closer(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed a = {.word = "a"}, b = {.word = "b"};
    watch_with_closer(loop, fd_a, do_handler, &a);
    unsigned controls = fake_poller.controls;
    assert_int_equal(pf_loop_remove_and_close(loop, fd_a), 0);
    assert_happened("close a destroy a");
    assert_int_equal(fake_poller.controls, controls + 1); /* the closer may not close it */
    assert_int_equal(pf_loop_remove_and_close(loop, fd_a), -ENOENT);

    watch_with_closer(loop, fd_b, close_own, &b);
    pf_fake_poller_ready(&fake_poller, fd_b, PF_READ);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("run close b ran destroy b");
    assert_int_equal(stats_of(loop).handlers, 0);
    drop(loop);
}

static void a_closer_can_be_taken_back_and_goes_with_its_registration(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed a = {.word = "a"};
    watch_with_closer(loop, fd_a, do_handler, &a);
    assert_int_equal(pf_loop_set_closer(loop, fd_a, NULL), 0);
    assert_int_equal(pf_loop_remove_and_close(loop, fd_a), 0);
    assert_happened("destroy a");
    assert_false(is_open(fd_a));
    watch_with_closer(loop, fd_b, do_handler, &a);
    assert_int_equal(pf_loop_remove_handler(loop, fd_b), 0);
    assert_happened("destroy a");
    assert_int_equal(pf_loop_add_handler(loop, fd_b, PF_READ, do_handler, &a), 0);
    assert_int_equal(pf_loop_remove_and_close(loop, fd_b), 0);
    assert_happened("");
    assert_false(is_open(fd_b));
    assert_int_equal(pf_loop_set_closer(loop, fd_b, close_and_note), -ENOENT);
    assert_int_equal(pf_loop_set_closer(loop, -1, close_and_note), -ENOENT);
    drop(loop);
}

static void one_system_call_closes_and_forgets_where_the_kernel_does_both(void **state)
{
    (void)state;
    pf_loop *loop;
    int fds[2], again[2];
    struct deed deed = {0};
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, do_handler, &deed), 0);
    assert_int_equal(pf_loop_remove_and_close(loop, fds[0]), 0);
    assert_false(is_open(fds[0]));
    close(fds[1]);
    assert_int_equal(pipe2(again, O_CLOEXEC | O_NONBLOCK), 0); /* the same number */
    assert_int_equal(again[0], fds[0]);
    assert_int_equal(pf_loop_add_handler(loop, again[0], PF_READ, do_handler, &deed), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(write(again[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_close(loop, true), 0);
    assert_false(is_open(again[0]));
    pf_loop_unref(loop);
    close(again[1]);
}

static void closing_one_that_is_closed_already_forgets_it(void **state)
{
    (void)state;
    pf_loop *loop;
    int fds[2];
    struct deed deed = {0};
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, do_handler, &deed), 0);
    close(fds[0]);
    assert_int_equal(pf_loop_remove_and_close(loop, fds[0]), 0);
    assert_int_equal(stats_of(loop).handlers, 0);
    pf_loop_unref(loop);
    close(fds[1]);
}

static int saved_fd;

static void keep_open(int fd, void *arg)
{
    (void)arg;
    saved_fd = fd; /* part of something larger, which lives on */
}

static void a_closer_that_leaves_it_open_ends_the_registration_all_the_same(void **state)
{
    (void)state;
    pf_loop *loop;
    int fds[2];
    struct deed deed = {0};
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, do_handler, &deed), 0);
    assert_int_equal(pf_loop_set_closer(loop, fds[0], keep_open), 0);
    assert_int_equal(pf_loop_remove_and_close(loop, fds[0]), 0);
    assert_int_equal(saved_fd, fds[0]);
    assert_true(is_open(fds[0]));
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* the kernel was told, too */
    assert_int_equal(stats_of(loop).stale, 0);
    pf_loop_unref(loop);
    close(fds[0]);
    close(fds[1]);
}

/* ---- configuring ----------------------------------------------------------------- */

static struct pf_loop_options fake_defaults(void)
{
    fake_clock = (struct pf_fake_clock){.now = 4242};
    fake_poller = (struct pf_fake_poller){.clock = &fake_clock};
    return pf_fake_options(&fake_poller);
}

static void assert_poller(pf_loop *loop, const char *name)
{
    assert_non_null(loop);
    assert_string_equal(pf_loop_poller(loop), name);
    assert_int_equal(pf_loop_close(loop, false), 0);
}

/* A loop made without options, by each way there is, asks `name`. */
static void assert_implicit_pollers(const char *name)
{
    pf_loop *loop;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_poller(loop, name);
    pf_loop_unref(loop);
    assert_poller(pf_loop_current(true), name);
    assert_poller(pf_loop_instance(), name);
}

static void loops_made_without_options_have_the_configured_ones(void **state)
{
    (void)state;
    pf_loop *loop;
    struct pf_loop_options options = fake_defaults();
    options.error_policy = PF_ERROR_STOP;
    options.on_error = on_error;
    errors = 0;
    assert_int_equal(pf_loop_configure(&options), 0);
    memset(&options, 0, sizeof options); /* it was copied */
    assert_implicit_pollers("fake");

    int64_t now;
    loop = pf_loop_current(true);
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(now == 4242); /* the clock, too */
    assert_int_equal(pf_loop_add_callback(loop, fail_callback, NULL), 0);
    assert_int_equal(pf_loop_start(loop), -EIO); /* and the policy and the hook */
    assert_int_equal(errors, 1);
    assert_int_equal(pf_loop_close(loop, false), 0);

    /* Options of one's own take the poller from there, and nothing else. */
    struct pf_loop_options own = PF_LOOP_OPTIONS_INIT;
    own.on_error = on_error;
    assert_int_equal(pf_loop_new(&own, &loop), 0);
    assert_string_equal(pf_loop_poller(loop), "fake");
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(now != 4242);
    pf_loop_unref(loop);

    assert_int_equal(pf_loop_configure(NULL), 0);
    assert_implicit_pollers("epoll");
}

static void what_cannot_be_configured_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct pf_loop_options good = fake_defaults(), bad;
    assert_int_equal(pf_loop_configure(&good), 0);
    bad = good;
    bad.size = sizeof(size_t) - 1;
    bad.poller = &pf_poller_epoll;
    assert_int_equal(pf_loop_configure(&bad), -EINVAL);
    bad = good;
    bad.poller = &pf_poller_epoll;
    bad.make_current = (enum pf_make_current)77;
    assert_int_equal(pf_loop_configure(&bad), -EINVAL);
    bad.make_current = PF_CURRENT_IF_NONE;
    bad.error_policy = (enum pf_error_policy) - 1;
    assert_int_equal(pf_loop_configure(&bad), -EINVAL);
    assert_implicit_pollers("fake");
    assert_int_equal(pf_loop_configure(NULL), 0);
}

static void the_thread_keeps_the_loop_that_current_makes_whatever_is_configured(
    void **state)
{
    (void)state;
    static const enum pf_make_current rows[] = {PF_CURRENT_IF_NONE, PF_CURRENT_ALWAYS,
                                                PF_CURRENT_NEVER};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
        options.make_current = rows[i];
        assert_int_equal(pf_loop_configure(&options), 0);
        pf_loop *loop = pf_loop_current(true);
        assert_non_null(loop);
        assert_ptr_equal(pf_loop_current(true), loop);
        assert_ptr_equal(pf_loop_current(false), loop);
        assert_int_equal(pf_loop_close(loop, false), 0);
        assert_null(pf_loop_current(false));
        assert_null(pf_loop_owned());
    }
    assert_int_equal(pf_loop_configure(NULL), 0);
}

/* ---- moving timers --------------------------------------------------------------- */

static void a_waiting_timer_moves_both_ways_and_keeps_its_name(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {.word = "moved"};
    static const int64_t deadlines[] = {
        5000, 2000, PF_SECOND, 1500, PF_NEVER, 3 * 1000000, INT64_MAX - 1, 1400, 2000};
    pf_timer timer = at(loop, PF_SECOND, &deed);
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        int64_t next;
        assert_int_equal(pf_loop_update_timeout(loop, timer, deadlines[i]), 0);
        assert_true(walk(loop).items[0].deadline_ns == deadlines[i]);
        assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
        assert_true(next <= deadlines[i]);
    }
    fake_clock.now = 1999;
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    fake_clock.now = 2000;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_happened("moved");
    assert_int_equal(pf_loop_update_timeout(loop, timer, 3000), -ENOENT);
    assert_int_equal(pf_loop_update_timeout(loop, (pf_timer){0}, 3000), -ENOENT);
    assert_int_equal(pf_loop_update_timeout(NULL, timer, 3000), -EINVAL);
    assert_int_equal(stats_of(loop).timers_live, 0);
    drop(loop);
}

static void a_timer_that_is_due_may_be_moved_away_or_to_the_past(void **state)
{
    (void)state;
    static const int64_t deadlines[] = {3000, 1, PF_NEVER};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        pf_loop *loop = make();
        pf_timer timer;
        struct deed due = {.word = "due"};
        struct deed mover = {.word = "mover", .timer = &timer, .to_ns = deadlines[i]};
        (void)at(loop, 10, &mover);
        timer = at(loop, 20, &due);
        assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_happened("mover"); /* in this iteration it does not run any more */
        assert_int_equal(mover.answer, 0);
        assert_int_equal(stats_of(loop).timers_live, 1);
        assert_int_equal(pf_loop_turn(loop, 0), deadlines[i] == 1);
        fake_clock.now = 3000;
        assert_int_equal(pf_loop_turn(loop, 0), deadlines[i] == 3000);
        assert_int_equal(due.calls, deadlines[i] != PF_NEVER);
        drop(loop);
    }
}

static void a_timer_cannot_move_itself_while_it_runs(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_timer timer;
    struct deed self = {.timer = &timer, .to_ns = 5000};
    timer = at(loop, 0, &self);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(self.answer, -ENOENT); /* it has fired */
    drop(loop);
}

static void a_moved_timer_is_the_last_among_its_equals(void **state)
{
    (void)state;
    static const int64_t when[] = {2000, PF_SECOND, 3600 * PF_SECOND};
    for (size_t i = 0; i < sizeof when / sizeof *when; i++) {
        pf_loop *loop = make();
        struct deed a = {.word = "a"}, b = {.word = "b"}, c = {.word = "c"};
        struct deed d = {.word = "d"};
        pf_timer first = at(loop, when[i], &a);
        (void)at(loop, when[i], &b);
        pf_timer other = at(loop, 500 * PF_SECOND, &c);
        (void)at(loop, when[i], &d);
        assert_int_equal(pf_loop_update_timeout(loop, other, when[i]), 0);
        assert_int_equal(pf_loop_update_timeout(loop, first, when[i]), 0);
        fake_clock.now = when[i];
        assert_int_equal(pf_loop_turn(loop, 0), 4);
        assert_happened("b d c a");
        drop(loop);
    }
}

static void a_timer_may_be_moved_for_ever(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct deed deed = {.word = "idle"};
    pf_timer timer = at(loop, 10 * PF_SECOND, &deed);
    for (int i = 0; i < 100000; i++) { /* an idle timeout, re-armed by every request */
        fake_clock.now += 10 * PF_MILLISECOND;
        if (i % 100 == 0)
            assert_int_equal(pf_loop_turn(loop, 0), 0);
        assert_int_equal(
            pf_loop_update_timeout(loop, timer, fake_clock.now + 10 * PF_SECOND), 0);
    }
    assert_int_equal(deed.calls, 0);
    int64_t next, now = fake_clock.now;
    assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
    assert_true(next <= now + 10 * PF_SECOND);
    fake_clock.now = now + 10 * PF_SECOND - 1;
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    fake_clock.now++;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_walk_shows_each_kind_of_thing),
        pf_test(a_walk_ends_where_it_is_told_to),
        pf_test(handlers_are_shown_paused_and_until_they_are_removed),
        pf_test(inside_a_call_a_walk_shows_what_is_still_to_come),
        pf_test(only_what_is_registered_can_be_described),
        pf_test(reports_carry_the_description),
        pf_test(a_handlers_time_is_counted_where_it_belongs),
        pf_test(handlers_of_one_batch_are_timed_each_for_itself),
        pf_test(a_timers_lateness_is_counted_where_it_belongs),
        pf_test(a_timer_later_than_can_be_told_is_among_the_latest),
        pf_test(a_timer_that_was_moved_is_late_by_its_last_deadline),
        pf_test(time_is_either_busy_or_idle),
        pf_test(time_beyond_the_range_is_the_most_there_is),
        pf_test(a_quantile_is_the_bound_that_enough_stay_below),
        pf_test(stats_of_older_and_newer_callers_are_filled_as_far_as_both_know),
        pf_test(the_poller_is_known_by_its_name),
        pf_test(a_loop_closes_all_descriptors_by_their_closers_before_it_destroys),
        pf_test(without_all_fds_no_closer_is_called),
        pf_test(removing_and_closing_goes_by_the_closer),
        pf_test(a_closer_can_be_taken_back_and_goes_with_its_registration),
        pf_test(one_system_call_closes_and_forgets_where_the_kernel_does_both),
        pf_test(closing_one_that_is_closed_already_forgets_it),
        pf_test(a_closer_that_leaves_it_open_ends_the_registration_all_the_same),
        pf_test(loops_made_without_options_have_the_configured_ones),
        pf_test(what_cannot_be_configured_is_refused_and_nothing_changes),
        pf_test(the_thread_keeps_the_loop_that_current_makes_whatever_is_configured),
        pf_test(a_waiting_timer_moves_both_ways_and_keeps_its_name),
        pf_test(a_timer_that_is_due_may_be_moved_away_or_to_the_past),
        pf_test(a_timer_cannot_move_itself_while_it_runs),
        pf_test(a_moved_timer_is_the_last_among_its_equals),
        pf_test(a_timer_may_be_moved_for_ever),
    };
    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
