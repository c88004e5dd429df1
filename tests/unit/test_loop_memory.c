/*
 * The loop and memory: each allocation fails once, and nothing has changed; after a reserve
 * nothing is allocated; loops that come and go leave nothing behind.
 *
 * The allocator below stands in front of glibc's for the whole program. The sanitizers have
 * one of their own, so there the tests that count are skipped.
 */
#include "tests/lib/test.h"

#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ALLOCATOR 0
#elif defined(__has_feature)
#define OWN_ALLOCATOR                                                                      \
    (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define OWN_ALLOCATOR 1
#endif

/* ---- an allocator that fails when told ------------------------------------------- */

static int allocations; /* since the last reset */
static int fail_at;     /* the n-th fails, 1 is the next; 0: none; -1: all */

#if OWN_ALLOCATOR
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool fails(void)
{
    allocations++;
    bool now = fail_at == -1 || allocations == fail_at;
    if (now)
        errno = ENOMEM;
    return now;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
#endif

static void count_from_here(int failing)
{
    allocations = 0;
    fail_at = failing;
}

static int stop_counting(void)
{
    fail_at = 0;
    return allocations;
}

static void need_own_allocator(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (!OWN_ALLOCATOR || (preload && strstr(preload, "vgpreload")))
        skip(); /* valgrind, too, has its own */
}

static size_t bytes_in_use(void)
{
    return mallinfo2().uordblks;
}

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
    need_own_allocator();
    drop(make()); /* what is made once per process is made */
    int fds = pf_test_count_fds(), err = -ENOMEM, failing = 0;
    while (err) {
        pf_loop *loop = NULL;
        size_t before = bytes_in_use();
        count_from_here(++failing);
        err = pf_loop_new(NULL, &loop);
        (void)stop_counting();
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_null(loop);
            assert_null(pf_loop_current(false));
            assert_null(pf_loop_owned());
            assert_int_equal(bytes_in_use(), before);
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
    need_own_allocator();
    count_from_here(-1);
    pf_loop *current = pf_loop_current(true), *instance = pf_loop_instance();
    (void)stop_counting();
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
        count_from_here(++failing);
        int err = add(loop, &destroyed);
        int allocated = stop_counting();
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
    need_own_allocator();
    fail_each_allocation(add_a_callback, 300);
    fail_each_allocation(add_a_timer, 300);
}

static void a_refused_handler_changes_nothing(void **state)
{
    (void)state;
    need_own_allocator();
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
    need_own_allocator();
    pf_loop *loop = make();
    int failing = 0, err = -ENOMEM, destroyed = 0;
    assert_int_equal(add_a_callback(loop, &destroyed), 0);
    assert_int_equal(add_a_timer(loop, &destroyed), 0);
    while (err) {
        count_from_here(++failing);
        err = pf_loop_reserve(loop, 1000, 1000, 1000);
        (void)stop_counting();
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
    need_own_allocator();
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

/* ---- nothing is allocated -------------------------------------------------------- */

static void a_descriptor_that_is_not_open_makes_no_table_grow(void **state)
{
    (void)state;
    need_own_allocator();
    pf_loop *loop = make();
    count_from_here(0);
    int err = pf_loop_add_handler(loop, 1 << 20, PF_READ, handle_nothing, NULL);
    int allocated = stop_counting();
    assert_int_equal(err, -EBADF);
    assert_int_equal(allocated, 0);
    drop(loop);
}

static void removing_and_pausing_need_no_memory(void **state)
{
    (void)state;
    need_own_allocator();
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
    count_from_here(-1);
    for (int i = 0; i < N; i++)
        answers |= pf_loop_remove_timeout(loop, timers[i]);
    answers |= pf_loop_update_handler(loop, fds[0], 0);
    answers |= pf_loop_update_handler(loop, fds[0], PF_READ);
    answers |= pf_loop_remove_handler(loop, fds[0]);
    answers |= pf_loop_close(loop, false);
    pf_loop_unref(loop);
    (void)stop_counting();
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
    count_from_here(0);
    for (int i = 0; i < 20; i++)
        err |= work(loop, fds[0]);
    int allocated = stop_counting();
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(err, 0);
    return allocated;
}

static void what_was_reserved_needs_no_allocation_later(void **state)
{
    (void)state;
    need_own_allocator();
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
    need_own_allocator();
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
    need_own_allocator();
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

static void a_burst_of_callbacks_does_not_keep_its_memory(void **state)
{
    (void)state;
    need_own_allocator();
    pf_loop *loop = make();
    size_t before = bytes_in_use();
    for (int i = 0; i < 500000; i++)
        assert_int_equal(pf_loop_add_callback(loop, do_nothing, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 500000);
    assert_true(bytes_in_use() < before + (1u << 20));
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
    if (round % 3 == 0)
        assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void a_hundred_thousand_loops_come_and_go_without_a_trace(void **state)
{
    (void)state;
    enum {
        ROUNDS = OWN_ALLOCATOR ? 100000 : 5000
    };
    const char *preload = getenv("LD_PRELOAD"); /* valgrind is slow, and counts by itself */
    int rounds = preload && strstr(preload, "vgpreload") ? 500 : ROUNDS;
    int fds = pf_test_count_fds();
    live_once(0);
    size_t before = bytes_in_use();
    for (int i = 0; i < rounds; i++)
        live_once(i);
    assert_int_equal(pf_test_count_fds(), fds);
    if (OWN_ALLOCATOR)
        assert_int_equal(bytes_in_use(), before);
}

static void loops_made_by_current_and_instance_go_when_they_are_closed(void **state)
{
    (void)state;
    need_own_allocator();
    drop(make());
    size_t before = bytes_in_use();
    for (int i = 0; i < 10; i++) {
        pf_loop *current = pf_loop_current(true);
        assert_non_null(current);
        assert_int_equal(pf_loop_close(current, false), 0);
        pf_loop *instance = pf_loop_instance();
        assert_non_null(instance);
        assert_int_equal(pf_loop_close(instance, false), 0);
    }
    assert_int_equal(bytes_in_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_loop_that_runs_out_of_memory_is_not_made_and_leaves_nothing),
        pf_test(current_and_instance_are_null_without_memory),
        pf_test(a_refused_callback_or_timer_changes_nothing),
        pf_test(a_refused_handler_changes_nothing),
        pf_test(a_reserve_that_fails_can_be_repeated),
        pf_test(room_for_more_than_there_is_memory_is_refused),
        pf_test(a_descriptor_that_is_not_open_makes_no_table_grow),
        pf_test(removing_and_pausing_need_no_memory),
        pf_test(what_was_reserved_needs_no_allocation_later),
        pf_test(what_a_callback_reserved_needs_no_allocation_later_either),
        pf_test(what_was_reserved_outlasts_a_burst),
        pf_test(a_burst_of_callbacks_does_not_keep_its_memory),
        pf_test(a_hundred_thousand_loops_come_and_go_without_a_trace),
        pf_test(loops_made_by_current_and_instance_go_when_they_are_closed),
    };
    return cmocka_run_group_tests_name("loop memory", tests, NULL, NULL);
}
