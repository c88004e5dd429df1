/*
 * The loop and memory: each allocation fails once, and nothing has changed; after a reserve
 * nothing is allocated; loops that come and go leave nothing behind.
 *
 * The sanitizers and valgrind have allocators of their own, so there the tests that count
 * are skipped.
 */
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"

#include "tests/lib/backend.h"
#include "tests/lib/fake.h"

#include <prefork/loop.h>
#include <prefork/periodic.h>
#include <prefork/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- tools ----------------------------------------------------------------------- */

static int do_nothing(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

static int handle_nothing(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events, (void)arg;
    return 0;
}

static void count_destroyed(void *arg)
{
    ++*(int *)arg;
}

static pf_loop *make(void)
{
    pf_loop *loop;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static struct pf_loop_stats stats_of(pf_loop *loop)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats;
}

/* ---- each allocation fails ------------------------------------------------------- */

static void a_loop_that_runs_out_of_memory_is_not_made_and_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    drop(make()); /* what is made once per process is made */
    int fds = pf_test_count_fds(), err = -ENOMEM, failing = 0;
    while (err) {
        pf_loop *loop = NULL;
        size_t before = pf_alloc_bytes();
        pf_alloc_fail(++failing);
        err = pf_loop_new(NULL, &loop);
        (void)pf_alloc_stop();
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_null(loop);
            assert_null(pf_loop_current(false));
            assert_null(pf_loop_owned());
            assert_int_equal(pf_alloc_bytes(), before);
            assert_int_equal(pf_test_count_fds(), fds);
        } else {
            drop(loop);
        }
    }
    assert_true(failing > 2); /* it does allocate, or this tests nothing */
}

static void current_and_instance_are_null_without_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_alloc_fail(-1);
    pf_loop *current = pf_loop_current(true), *instance = pf_loop_instance();
    (void)pf_alloc_stop();
    assert_null(current);
    assert_null(instance);
    assert_false(pf_loop_initialized());
    assert_null(pf_loop_owned());
}

static int add_a_callback(pf_loop *loop, int *destroyed)
{
    return pf_loop_add_callback_full(loop, do_nothing, destroyed, count_destroyed, NULL);
}

static int add_a_timer(pf_loop *loop, int *destroyed)
{
    pf_timer timer = {77};
    int err = pf_loop_call_later_full(loop, PF_NEVER, do_nothing, destroyed,
                                      count_destroyed, NULL, &timer);
    assert_true(err == 0 || timer.id == 77);
    return err;
}

static int add_a_handler(pf_loop *loop, int *destroyed)
{
    int fd = dup(STDIN_FILENO), beyond = fd < 300 ? 300 : fd + 1;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, beyond);
    close(fd);
    int err = pf_loop_add_handler_full(loop, moved, PF_READ, handle_nothing, destroyed,
                                       count_destroyed, NULL);
    if (err)
        close(moved);
    return err;
}

static void fail_each_allocation(int (*add)(pf_loop *loop, int *destroyed), int count)
{
    int failing = 0, refused = 0, added = 0, destroyed = 0;
    pf_loop *loop = make();
    while (added < count) {
        struct pf_loop_stats before = stats_of(loop);
        pf_alloc_fail(++failing);
        int err = add(loop, &destroyed);
        int allocated = pf_alloc_stop();
        if (err == 0) {
            added++;
            failing = 0;
            continue;
        }
        assert_int_equal(err, -ENOMEM);
        assert_int_equal(allocated, failing);
        struct pf_loop_stats after = stats_of(loop);
        assert_memory_equal(&before, &after, sizeof before);
        refused++;
    }
    assert_true(refused > 0);
    assert_int_equal(destroyed, 0);
    assert_int_equal(pf_loop_close(loop, true), 0);
    assert_int_equal(destroyed, added); /* each that was added, and none that was not */
    pf_loop_unref(loop);
}

static void a_refused_callback_or_timer_changes_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    fail_each_allocation(add_a_callback, 300);
    fail_each_allocation(add_a_timer, 300);
}

static void a_refused_handler_changes_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    int fds[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    fail_each_allocation(add_a_handler, 3);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    } else {
        close(STDIN_FILENO);
    }
    close(fds[0]);
    close(fds[1]);
}

static void a_reserve_that_fails_can_be_repeated(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    int failing = 0, err = -ENOMEM, destroyed = 0;
    assert_int_equal(add_a_callback(loop, &destroyed), 0);
    assert_int_equal(add_a_timer(loop, &destroyed), 0);
    while (err) {
        pf_alloc_fail(++failing);
        err = pf_loop_reserve(loop, 1000, 1000, 1000);
        (void)pf_alloc_stop();
        assert_true(err == 0 || err == -ENOMEM);
        assert_int_equal(pf_loop_turn(loop, 0), failing == 1);
    }
    assert_true(failing > 3); /* what succeeded stays, so it gets further each time */
    drop(loop);
    assert_int_equal(destroyed, 2);
}

static void room_for_more_than_there_is_memory_is_refused(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    int fds[2], destroyed = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, handle_nothing, NULL), 0);
    assert_int_equal(add_a_timer(loop, &destroyed), 0);
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX / 16,
                                   SIZE_MAX / 64};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(pf_loop_reserve(loop, sizes[i], 0, 0), -ENOMEM);
        assert_int_equal(pf_loop_reserve(loop, 0, sizes[i], 0), -ENOMEM);
        assert_int_equal(pf_loop_reserve(loop, 0, 0, sizes[i]), -ENOMEM);
    }
    assert_int_equal(pf_loop_reserve(loop, 0, 0, 0), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
    assert_int_equal(destroyed, 1);
    close(fds[0]);
    close(fds[1]);
}

static int nothing_signal(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo, (void)arg;
    return 0;
}

static void a_refused_signal_changes_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct sigaction before, after;
    assert_int_equal(sigaction(SIGUSR1, NULL, &before), 0);
    int failing = 0, err = -ENOMEM, destroyed = 0;
    while (err) { /* each time a new loop, since what succeeded stays with it */
        pf_loop *loop = make();
        pf_alloc_fail(++failing);
        err = pf_loop_add_signal_full(loop, SIGUSR1, nothing_signal, &destroyed,
                                      count_destroyed, NULL);
        (void)pf_alloc_stop();
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(sigaction(SIGUSR1, NULL, &after), 0);
            assert_ptr_equal(before.sa_handler, after.sa_handler);
            assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), -ENOENT);
            assert_int_equal(pf_loop_add_signal_full(loop, SIGUSR1, nothing_signal,
                                                     &destroyed, count_destroyed, NULL),
                             0);
            assert_int_equal(raise(SIGUSR1), 0);
            assert_int_equal(pf_loop_turn(loop, 0), 1);
        }
        drop(loop);
        assert_int_equal(destroyed, failing);
    }
    assert_true(failing > 1);
    assert_int_equal(sigaction(SIGUSR1, NULL, &after), 0);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
}

static void a_refused_periodic_changes_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    int failing = 0, err = -ENOMEM, refused = 0;
    while (err) {
        pf_loop *loop = make();
        pf_periodic *periodic = NULL;
        size_t before = pf_alloc_bytes();
        pf_alloc_fail(++failing);
        err = pf_periodic_new(loop, PF_SECOND, do_nothing, NULL, &periodic);
        if (!err)
            err = pf_periodic_start(periodic);
        (void)pf_alloc_stop();
        assert_true(err == 0 || err == -ENOMEM);
        refused += err != 0;
        if (err && periodic) {
            assert_false(pf_periodic_is_running(periodic));
            assert_int_equal(pf_periodic_start(periodic), 0); /* later there is memory */
            assert_true(pf_periodic_is_running(periodic));
        } else if (err) {
            assert_int_equal(pf_alloc_bytes(), before);
        }
        pf_periodic_free(periodic);
        drop(loop);
    }
    assert_true(refused > 1);
}

static void a_restart_without_memory_leaves_the_schedule_as_it_was(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct pf_fake_clock clock = {0};
    struct pf_fake_poller poller = {.clock = &clock};
    struct pf_loop_options options = pf_fake_options(&poller);
    pf_loop *loop;
    pf_periodic *periodic;
    int destroyed = 0, added = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_periodic_new(loop, PF_SECOND, do_nothing, NULL, &periodic), 0);
    assert_int_equal(pf_periodic_start(periodic), 0);
    pf_alloc_fail(-1);
    while (add_a_timer(loop, &destroyed) == 0) /* until there is no room without more */
        added++;
    clock.now = PF_SECOND / 2;
    int err = pf_periodic_start(periodic);
    int64_t next = 0;
    int asked = pf_loop_next_deadline(loop, &next);
    (void)pf_alloc_stop();
    assert_int_equal(err, -ENOMEM);
    assert_int_equal(asked, 0);
    assert_true(next == PF_SECOND);
    assert_true(pf_periodic_is_running(periodic));
    pf_periodic_free(periodic);
    drop(loop);
    assert_int_equal(destroyed, added);
}

static void the_first_start_needs_no_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    int destroyed = 0;
    assert_int_equal(add_a_callback(loop, &destroyed), 0);
    pf_alloc_fail(-1);
    int ran = pf_loop_turn(loop, 0);
    (void)pf_alloc_stop();
    assert_int_equal(ran, 1);
    drop(loop);
}

static void descriptions_closers_and_moves_need_no_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    int fds[2];
    pf_timer timer;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, handle_nothing, NULL), 0);
    assert_int_equal(pf_loop_call_later(loop, PF_SECOND, do_nothing, NULL, &timer), 0);
    pf_alloc_fail(-1);
    int answers = pf_loop_describe_handler(loop, fds[0], "pipe");
    answers |= pf_loop_describe_timeout(loop, timer, "patience");
    answers |= pf_loop_set_closer(loop, fds[0], NULL);
    for (int64_t delay = 1; delay < PF_NEVER / 2; delay *= 2)
        answers |= pf_loop_update_timeout(loop, timer, delay);
    answers |= pf_loop_remove_and_close(loop, fds[0]);
    int allocated = pf_alloc_stop();
    assert_int_equal(answers, 0);
    assert_int_equal(allocated, 0);
    drop(loop);
    close(fds[1]);
}

static void watching_for_blocks_needs_memory_or_says_so(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    int failing = 0, err = -ENOMEM;
    while (err) {
        pf_alloc_fail(++failing);
        err = pf_loop_set_blocking_threshold(loop, 3600 * PF_SECOND, 0);
        (void)pf_alloc_stop();
        assert_true(err == 0 || err == -ENOMEM || err == -EAGAIN);
    }
    assert_true(failing > 1);
    drop(loop);
}

static void a_tests_loop_that_runs_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct pf_test_clock clock = {0};
    int fds = pf_test_count_fds(), err = -ENOMEM, failing = 0;
    while (err) {
        pf_loop *loop = NULL;
        size_t before = pf_alloc_bytes();
        pf_alloc_fail(++failing);
        err = pf_test_loop_new(&clock, &loop);
        (void)pf_alloc_stop();
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_null(loop);
            assert_int_equal(pf_alloc_bytes(), before);
            assert_int_equal(pf_test_count_fds(), fds);
        } else {
            drop(loop);
        }
    }
    assert_true(failing > 3);
}

/* ---- nothing is allocated -------------------------------------------------------- */

static void a_descriptor_that_is_not_open_makes_no_table_grow(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    pf_alloc_fail(0);
    int err = pf_loop_add_handler(loop, 1 << 20, PF_READ, handle_nothing, NULL);
    int allocated = pf_alloc_stop();
    assert_int_equal(err, -EBADF);
    assert_int_equal(allocated, 0);
    drop(loop);
}

static void removing_and_pausing_need_no_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    enum {
        N = 200
    };
    pf_loop *loop = make();
    int fds[2], destroyed = 0, answers = 0;
    pf_timer timers[N];
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, handle_nothing, NULL), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(pf_loop_call_later_full(loop, PF_SECOND, do_nothing, &destroyed,
                                                 count_destroyed, NULL, &timers[i]),
                         0);
    pf_alloc_fail(-1);
    for (int i = 0; i < N; i++)
        answers |= pf_loop_remove_timeout(loop, timers[i]);
    answers |= pf_loop_update_handler(loop, fds[0], 0);
    answers |= pf_loop_update_handler(loop, fds[0], PF_READ);
    answers |= pf_loop_remove_handler(loop, fds[0]);
    answers |= pf_loop_close(loop, false);
    pf_loop_unref(loop);
    (void)pf_alloc_stop();
    assert_int_equal(answers, 0);
    assert_int_equal(destroyed, N);
    close(fds[0]);
    close(fds[1]);
}

enum {
    ROOM = 1000
};

/* An iteration at the edge of what was reserved. */
static int work(pf_loop *loop, int fd)
{
    int err = pf_loop_add_handler(loop, fd, PF_READ, handle_nothing, NULL);
    for (int i = 0; i < ROOM; i++) {
        err |= pf_loop_add_callback(loop, do_nothing, NULL);
        err |= pf_loop_call_later(loop, 0, do_nothing, NULL, NULL);
    }
    int ran = pf_loop_turn(loop, 0);
    err |= pf_loop_remove_handler(loop, fd);
    return err || ran < 2 * ROOM ? -1 : 0;
}

static int allocations_of_work(pf_loop *loop)
{
    int fds[2], err = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    pf_alloc_fail(0);
    for (int i = 0; i < 20; i++)
        err |= work(loop, fds[0]);
    int allocated = pf_alloc_stop();
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(err, 0);
    return allocated;
}

static void what_was_reserved_needs_no_allocation_later(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    assert_int_equal(pf_loop_reserve(loop, 100, ROOM, ROOM), 0);
    assert_int_equal(allocations_of_work(loop), 0);
    drop(loop);
}

static int reserve_inside(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_reserve(loop, 100, ROOM, ROOM);
}

static int failed;

static void count_failed(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)error, (void)arg;
    failed++;
}

static void what_a_callback_reserved_needs_no_allocation_later_either(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *loop;
    failed = 0;
    options.on_error = count_failed;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_add_callback(loop, reserve_inside, NULL), 0);
    assert_int_equal(pf_loop_add_callback(loop, do_nothing, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_int_equal(failed, 0);
    assert_int_equal(allocations_of_work(loop), 0);
    drop(loop);
}

static void what_was_reserved_outlasts_a_burst(void **state)
{
    (void)state;
    pf_alloc_needed();
    enum {
        BURST = 60000
    };
    pf_loop *loop = make();
    assert_int_equal(pf_loop_reserve(loop, 100, ROOM, ROOM), 0);
    for (int pass = 0; pass < 2; pass++) { /* one for each of the lists that take turns */
        for (int i = 0; i < BURST; i++)
            assert_int_equal(pf_loop_add_callback(loop, do_nothing, NULL), 0);
        assert_int_equal(pf_loop_turn(loop, 0), BURST);
    }
    assert_int_equal(allocations_of_work(loop), 0);
    drop(loop);
}

/* Timers of all distances, added, moved, removed and run, in room for ROOM of them. */
static int work_with_timers(pf_loop *loop, struct pf_fake_clock *clock)
{
    static pf_timer timers[ROOM];
    int err = 0;
    for (int i = 0; i < ROOM; i++)
        err |= pf_loop_call_later(loop, INT64_C(1) << i % 50, do_nothing, NULL, &timers[i]);
    for (int i = 0; i < ROOM; i += 3)
        err |= pf_loop_update_timeout(loop, timers[i], clock->now + (1 << i % 31));
    for (int i = 1; i < ROOM; i += 3)
        err |= pf_loop_remove_timeout(loop, timers[i]);
    for (int i = 0; i < 20; i++)
        err |= pf_loop_turn(loop, -1) < 0;
    for (int i = 0; i < ROOM; i++)
        (void)pf_loop_remove_timeout(loop, timers[i]);
    return err;
}

static void timers_that_were_reserved_need_no_allocation_however_far(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct pf_fake_clock clock = {.now = 12345};
    struct pf_fake_poller poller = {.clock = &clock};
    struct pf_loop_options options = pf_fake_options(&poller);
    pf_loop *loop;
    int err = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_reserve(loop, 0, ROOM, 0), 0);
    pf_alloc_fail(0);
    for (int i = 0; i < 20; i++)
        err |= work_with_timers(loop, &clock);
    int allocated = pf_alloc_stop();
    assert_int_equal(err, 0);
    assert_int_equal(allocated, 0);
    drop(loop);
}

static void a_million_timers_added_and_removed_take_no_more_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    enum {
        ALIVE = 1000
    };
    pf_loop *loop = make();
    static pf_timer timers[ALIVE];
    size_t before = 0;
    for (int i = 0; i < 1000000; i++) {
        if (i == 2 * ALIVE)
            before = pf_alloc_bytes();
        pf_timer *timer = &timers[i % ALIVE];
        if (i >= ALIVE)
            assert_int_equal(pf_loop_remove_timeout(loop, *timer), 0);
        assert_int_equal(pf_loop_call_later(loop, (i % 60000 + 1) * PF_MILLISECOND,
                                            do_nothing, NULL, timer),
                         0);
    }
    assert_int_equal(pf_alloc_bytes(), before);
    assert_int_equal(stats_of(loop).timers_live, ALIVE);
    drop(loop);
}

static int count_tick(pf_loop *loop, void *arg)
{
    (void)loop;
    ++*(int *)arg;
    return 0;
}

static void a_schedule_goes_on_when_memory_is_exhausted(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct pf_fake_clock clock = {0};
    struct pf_fake_poller poller = {.clock = &clock};
    struct pf_loop_options options = pf_fake_options(&poller);
    pf_loop *loop;
    pf_periodic *first, *second;
    int ticks = 0, destroyed = 0, added = 0, failures = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_periodic_new(loop, PF_SECOND, count_tick, &ticks, &first), 0);
    assert_int_equal(pf_periodic_new(loop, PF_SECOND, count_tick, &ticks, &second), 0);
    assert_int_equal(pf_periodic_set_jitter(second, 0.5), 0);
    assert_int_equal(pf_periodic_start(first), 0);
    assert_int_equal(pf_periodic_start(second), 0);
    pf_alloc_fail(-1);
    while (add_a_timer(loop, &destroyed) == 0)
        added++;
    int asked = pf_alloc_stop();
    pf_alloc_fail(-1);
    while (ticks < 2000)
        failures += pf_loop_turn(loop, -1) < 0;
    int allocated = pf_alloc_stop();
    assert_int_equal(failures, 0);
    assert_true(asked > 0); /* there was no room left */
    assert_int_equal(allocated, 0);
    pf_periodic_free(first);
    pf_periodic_free(second);
    drop(loop);
    assert_int_equal(destroyed, added);
}

static void signals_that_are_taken_need_no_allocation(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, nothing_signal, NULL), 0);
    pf_alloc_fail(-1);
    int err = 0;
    for (int i = 0; i < 100; i++)
        err |= raise(SIGUSR1) || pf_loop_turn(loop, 0) != 1 ||
               pf_loop_remove_signal(loop, SIGUSR1) ||
               pf_loop_add_signal(loop, SIGUSR1, nothing_signal, NULL);
    int allocated = pf_alloc_stop();
    assert_int_equal(err, 0);
    assert_int_equal(allocated, 0);
    drop(loop);
}

static void a_burst_of_callbacks_does_not_keep_its_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    size_t before = pf_alloc_bytes();
    for (int i = 0; i < 500000; i++)
        assert_int_equal(pf_loop_add_callback(loop, do_nothing, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 500000);
    assert_true(pf_alloc_bytes() < before + (1u << 20));
    drop(loop);
}

/* ---- coming and going ------------------------------------------------------------ */

static int stop_loop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static void live_once(int round)
{
    pf_loop *loop = make();
    assert_int_equal(pf_loop_call_later(loop, PF_SECOND, do_nothing, NULL, NULL), 0);
    assert_int_equal(pf_loop_add_callback(loop, stop_loop, NULL), 0);
    if (round % 2 == 0)
        assert_int_equal(pf_loop_start(loop), 0);
    else if (round % 5)
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    if (round % 3 == 0)
        assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void a_hundred_thousand_loops_come_and_go_without_a_trace(void **state)
{
    (void)state;
    enum {
        ROUNDS = PF_ALLOC_OWN ? 100000 : 5000
    };
    const char *preload = getenv("LD_PRELOAD"); /* valgrind is slow, and counts by itself */
    int rounds = preload && strstr(preload, "vgpreload") ? 500 : ROUNDS;
    int fds = pf_test_count_fds();
    live_once(0);
    size_t before = pf_alloc_bytes();
    for (int i = 0; i < rounds; i++)
        live_once(i);
    assert_int_equal(pf_test_count_fds(), fds);
    if (PF_ALLOC_OWN)
        assert_int_equal(pf_alloc_bytes(), before);
}

static void loops_made_by_current_and_instance_go_when_they_are_closed(void **state)
{
    (void)state;
    pf_alloc_needed();
    drop(make());
    size_t before = pf_alloc_bytes();
    for (int i = 0; i < 10; i++) {
        pf_loop *current = pf_loop_current(true);
        assert_non_null(current);
        assert_int_equal(pf_loop_close(current, false), 0);
        pf_loop *instance = pf_loop_instance();
        assert_non_null(instance);
        assert_int_equal(pf_loop_close(instance, false), 0);
    }
    assert_int_equal(pf_alloc_bytes(), before);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_loop_that_runs_out_of_memory_is_not_made_and_leaves_nothing),
        pf_test(current_and_instance_are_null_without_memory),
        pf_test(a_refused_callback_or_timer_changes_nothing),
        pf_test(a_refused_handler_changes_nothing),
        pf_test(a_refused_signal_changes_nothing),
        pf_test(a_refused_periodic_changes_nothing),
        pf_test(a_restart_without_memory_leaves_the_schedule_as_it_was),
        pf_test(the_first_start_needs_no_memory),
        pf_test(descriptions_closers_and_moves_need_no_memory),
        pf_test(watching_for_blocks_needs_memory_or_says_so),
        pf_test(a_tests_loop_that_runs_out_of_memory_leaves_nothing),
        pf_test(a_reserve_that_fails_can_be_repeated),
        pf_test(room_for_more_than_there_is_memory_is_refused),
        pf_test(a_descriptor_that_is_not_open_makes_no_table_grow),
        pf_test(removing_and_pausing_need_no_memory),
        pf_test(what_was_reserved_needs_no_allocation_later),
        pf_test(what_a_callback_reserved_needs_no_allocation_later_either),
        pf_test(what_was_reserved_outlasts_a_burst),
        pf_test(timers_that_were_reserved_need_no_allocation_however_far),
        pf_test(a_million_timers_added_and_removed_take_no_more_memory),
        pf_test(a_schedule_goes_on_when_memory_is_exhausted),
        pf_test(signals_that_are_taken_need_no_allocation),
        pf_test(a_burst_of_callbacks_does_not_keep_its_memory),
        pf_test(a_hundred_thousand_loops_come_and_go_without_a_trace),
        pf_test(loops_made_by_current_and_instance_go_when_they_are_closed),
    };
    return cmocka_run_group_tests_name("loop memory", tests, NULL, NULL);
}
