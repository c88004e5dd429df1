/*
 * Signals as events of a loop: told on its thread, counted once until they are told, never
 * lost; the process's dispositions come back, and a child has the old ones.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "loop/internal.h"
#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * ThreadSanitizer holds a signal back until the next system call that it knows to block; it
 * does not know epoll_pwait2(2), which a loop sleeps in, but epoll_wait(2), by which it
 * only looks.
 */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

/* How often something is tried: less where each takes much longer. */
static int rounds(int many, int few)
{
    const char *preload = getenv("LD_PRELOAD");
    return UNDER_TSAN || (preload && strstr(preload, "vgpreload")) ? few : many;
}

/* ---- what is called -------------------------------------------------------------- */

struct told;
typedef void act_fn(pf_loop *loop, struct told *told);

/* The arg of all signal functions here. */
struct told {
    int times;
    int signo;
    pthread_t thread;
    act_fn *act;
    int result;
    struct told *other;
    int destroyed;
};

static int on_signal(pf_loop *loop, int signo, void *arg)
{
    struct told *told = arg;
    told->times++;
    told->signo = signo;
    told->thread = pthread_self();
    if (told->act)
        told->act(loop, told);
    return told->result;
}

static void count_destroyed(void *arg)
{
    struct told *told = arg;
    told->destroyed++;
}

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

static pf_loop *make(void)
{
    pf_loop *loop;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.on_error = on_error;
    memset(&reported, 0, sizeof reported);
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void take(pf_loop *loop, int signo, struct told *told)
{
    assert_int_equal(
        pf_loop_add_signal_full(loop, signo, on_signal, told, count_destroyed, NULL), 0);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PF_SECOND + now.tv_nsec;
}

/* One turn that sleeps if it must. */
static int turn(pf_loop *loop)
{
    return pf_loop_turn(loop, UNDER_TSAN ? 0 : PF_TEST_DEADLINE_S * PF_SECOND);
}

/* Turn until `*count` is there; it may be changed by another thread. */
static void turn_until(pf_loop *loop, const int *count, int enough)
{
    int64_t deadline = now_ns() + PF_TEST_DEADLINE_S * PF_SECOND;
    while (*count < enough) {
        assert_true(now_ns() < deadline);
        assert_true(turn(loop) >= 0);
    }
}

/* ---- dispositions ---------------------------------------------------------------- */

static atomic_int handled; /* by the program's own handler */

static void handle(int signo)
{
    (void)signo;
    atomic_fetch_add(&handled, 1);
}

static void dispose(int signo, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(signo, &action, NULL), 0);
}

static void *disposition(int signo)
{
    struct sigaction action;
    assert_int_equal(sigaction(signo, NULL, &action), 0);
    void *handler;
    memcpy(&handler, &action.sa_handler, sizeof handler);
    return handler;
}

static void *pointer(void (*handler)(int))
{
    void *p;
    memcpy(&p, &handler, sizeof p);
    return p;
}

/* ---- coming and being told ------------------------------------------------------- */

static void a_signal_is_told_once_however_often_it_came_before(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    take(loop, SIGUSR1, &told);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* none came */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(told.times, 0); /* never from inside the signal handler */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(told.times, 1);
    assert_int_equal(told.signo, SIGUSR1);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_int_equal(stats.signals, 2);
    drop(loop);
}

static void act_raise_again(pf_loop *loop, struct told *told)
{
    (void)loop;
    if (told->times == 1)
        assert_int_equal(raise(told->signo), 0);
}

static void one_that_comes_while_it_is_told_is_told_again(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {.act = act_raise_again};
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_turn(loop, PF_NEVER), 1); /* does not sleep over it */
    assert_int_equal(told.times, 2);
    drop(loop);
}

static void every_number_that_may_be_taken_is_told_as_itself(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* it keeps the last one for itself */
    pf_loop *loop = make();
    struct told told[65] = {{0}};
    int taken = 0;
    for (int signo = 1; signo <= 64; signo++) {
        int err = pf_loop_add_signal(loop, signo, on_signal, &told[signo]);
        bool refused = signo == SIGKILL || signo == SIGSTOP || signo == SIGSEGV ||
                       signo == SIGBUS || signo == SIGFPE || signo == SIGILL ||
                       (signo >= 32 && signo < SIGRTMIN); /* the C library's own */
        assert_int_equal(err != 0, refused);
        taken += !err;
        if (err)
            told[signo].times = -1;
    }
    for (int signo = 1; signo <= 64; signo++)
        if (told[signo].times == 0)
            assert_int_equal(raise(signo), 0);
    turn_until(loop, &told[64].times, 1);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    for (int signo = 1; signo <= 64; signo++)
        if (told[signo].times != -1) {
            assert_int_equal(told[signo].times, 1);
            assert_int_equal(told[signo].signo, signo);
        }
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_int_equal(stats.signals, taken);
    drop(loop);
}

static void bad_registrations_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    static const struct {
        int signo, err;
    } rows[] = {
        {SIGKILL, -EINVAL},  {SIGSTOP, -EINVAL}, {0, -EINVAL},         {-1, -EINVAL},
        {65, -EINVAL},       {1000, -EINVAL},    {INT32_MIN, -EINVAL}, {32, -EINVAL},
        {SIGSEGV, -ENOTSUP}, {SIGBUS, -ENOTSUP}, {SIGFPE, -ENOTSUP},   {SIGILL, -ENOTSUP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(pf_loop_add_signal_full(loop, rows[i].signo, on_signal, &told,
                                                 count_destroyed, NULL),
                         rows[i].err);
        assert_int_equal(pf_loop_remove_signal(loop, rows[i].signo), -ENOENT);
    }
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, NULL, NULL), -EINVAL);
    assert_int_equal(pf_loop_add_signal(NULL, SIGUSR1, on_signal, NULL), -EINVAL);
    assert_int_equal(pf_loop_remove_signal(NULL, SIGUSR1), -EINVAL);
    assert_ptr_equal(disposition(SIGUSR1), pointer(SIG_DFL));
    take(loop, SIGUSR1, &told);
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, on_signal, &reported), -EEXIST);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(told.times, 1); /* the first one's arg */
    assert_int_equal(told.destroyed, 0);
    pf_loop_ref(loop);
    drop(loop);
    assert_int_equal(told.destroyed, 1);
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, on_signal, &told), -ESTALE);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), -ESTALE);
    pf_loop_unref(loop);
}

static void *call_from_outside(void *arg)
{
    int a = pf_loop_add_signal(arg, SIGUSR1, on_signal, NULL);
    int b = pf_loop_remove_signal(arg, SIGUSR1);
    return (void *)(intptr_t)(a == -EPERM && b == -EPERM);
}

static void only_the_owner_takes_signals(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pthread_t thread;
    void *good;
    assert_int_equal(pthread_create(&thread, NULL, call_from_outside, loop), 0);
    assert_int_equal(pthread_join(thread, &good), 0);
    assert_non_null(good);
    drop(loop);
}

static void errors_are_reported_and_the_function_stays(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {.result = -EIO};
    assert_int_equal(
        pf_loop_add_signal_full(loop, SIGUSR1, on_signal, &told, NULL, "here.c:1"), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 1);
    assert_int_equal(reported.last.error, -EIO);
    assert_int_equal(reported.last.fd, -1);
    assert_string_equal(reported.last.kind, "signal");
    assert_string_equal(reported.last.where, "here.c:1");
    told.result = -EPIPE; /* no exception here */
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 2);
    told.result = 7;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(reported.count, 2);
    assert_int_equal(told.times, 3);
    drop(loop);
}

static void the_stop_policy_ends_start_with_a_signals_error(void **state)
{
    (void)state;
    pf_loop *loop;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    struct told told = {.result = -EIO};
    options.on_error = on_error;
    options.error_policy = PF_ERROR_STOP;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_start(loop), -EIO);
    drop(loop);
}

/* ---- changes from inside --------------------------------------------------------- */

static void act_remove_own(pf_loop *loop, struct told *told)
{
    assert_int_equal(pf_loop_remove_signal(loop, told->signo), 0);
    assert_int_equal(told->destroyed, 0); /* it runs */
    assert_int_equal(pf_loop_remove_signal(loop, told->signo), -ENOENT);
}

static void act_replace(pf_loop *loop, struct told *told)
{
    act_remove_own(loop, told);
    take(loop, told->signo, told->other);
}

static void act_remove_other(pf_loop *loop, struct told *told)
{
    (void)told;
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR2), 0);
}

static void act_replace_other(pf_loop *loop, struct told *told)
{
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR2), 0);
    take(loop, SIGUSR2, told->other);
}

static void act_take_other(pf_loop *loop, struct told *told)
{
    take(loop, SIGUSR2, told->other);
}

static void a_function_that_is_done_is_removed(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {.result = PF_DONE};
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(told.destroyed, 1);
    assert_ptr_equal(disposition(SIGUSR1), pointer(SIG_DFL));
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), -ENOENT);
    drop(loop);
    assert_int_equal(told.destroyed, 1);
}

static void a_function_may_remove_itself_and_another_may_take_its_place(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told removed = {.act = act_remove_own};
    take(loop, SIGUSR1, &removed);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(removed.destroyed, 1);
    assert_ptr_equal(disposition(SIGUSR1), pointer(SIG_DFL));

    /* PF_DONE is about the registration that ran, not about the one in its place. */
    struct told next = {0};
    struct told replaced = {.act = act_replace, .other = &next, .result = PF_DONE};
    take(loop, SIGUSR1, &replaced);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(replaced.destroyed, 1);
    assert_int_equal(next.destroyed, 0);
    assert_int_equal(next.times, 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(next.times, 1);
    drop(loop);
    assert_int_equal(next.destroyed, 1);
    assert_int_equal(replaced.destroyed, 1);
}

static void one_that_is_removed_while_it_waits_to_be_told_is_not_told(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told first = {.act = act_remove_other}, second = {0};
    take(loop, SIGUSR1, &first);
    take(loop, SIGUSR2, &second);
    assert_true(SIGUSR1 < SIGUSR2); /* told in this order */
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(second.times, 0);
    assert_int_equal(second.destroyed, 1);

    take(loop, SIGUSR2, &second); /* nor by whoever takes it next */
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR2), 0);
    take(loop, SIGUSR2, &second);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(second.times, 0);
    drop(loop);
}

static int remove_and_take_again(pf_loop *loop, void *arg)
{
    int err = pf_loop_remove_signal(loop, SIGUSR2);
    return err ? err : pf_loop_add_signal(loop, SIGUSR2, on_signal, arg);
}

static void who_takes_a_signal_in_its_turn_is_not_told_of_one_from_before(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told new = {0}, old = {0}, first = {.act = act_replace_other, .other = &new};
    take(loop, SIGUSR1, &first);
    take(loop, SIGUSR2, &old);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(old.times, 0);
    assert_int_equal(new.times, 0);

    /* The same, by a callback of that iteration. */
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(pf_loop_add_callback(loop, remove_and_take_again, &old), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(new.times, 0);
    assert_int_equal(old.times, 0);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(old.times, 1);
    drop(loop);
    assert_int_equal(reported.count, 0);
}

static void one_that_is_taken_inside_a_function_is_told_from_then_on(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told second = {0}, first = {.act = act_take_other, .other = &second};
    take(loop, SIGUSR1, &first);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(second.times, 1);
    drop(loop);
}

/* ---- the process's dispositions -------------------------------------------------- */

static void the_old_disposition_comes_back_with_the_last_removal(void **state)
{
    (void)state;
    static void (*const before[])(int) = {SIG_DFL, SIG_IGN, handle};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        pf_loop *loop = make(), *other = make();
        struct told told = {0};
        dispose(SIGUSR1, before[i]);
        take(loop, SIGUSR1, &told);
        take(other, SIGUSR1, &told);
        assert_ptr_not_equal(disposition(SIGUSR1), pointer(before[i]));
        assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
        assert_ptr_not_equal(disposition(SIGUSR1), pointer(before[i]));
        assert_int_equal(pf_loop_close(other, false), 0);
        assert_ptr_equal(disposition(SIGUSR1), pointer(before[i]));
        take(loop, SIGUSR1, &told); /* and once more */
        drop(loop);
        pf_loop_unref(other);
        assert_ptr_equal(disposition(SIGUSR1), pointer(before[i]));
    }
    dispose(SIGUSR1, SIG_DFL);
}

static void flags_and_mask_of_the_old_disposition_come_back_too(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    struct sigaction before = {.sa_handler = handle, .sa_flags = SA_NODEFER}, after;
    sigemptyset(&before.sa_mask);
    sigaddset(&before.sa_mask, SIGUSR2);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    take(loop, SIGUSR1, &told);
    drop(loop);
    assert_int_equal(sigaction(SIGUSR1, NULL, &after), 0);
    assert_int_equal(after.sa_flags & SA_NODEFER, SA_NODEFER);
    assert_int_equal(sigismember(&after.sa_mask, SIGUSR2), 1);
    dispose(SIGUSR1, SIG_DFL);
}

static void the_programs_own_handler_is_not_called_while_a_loop_takes_the_signal(
    void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    atomic_store(&handled, 0);
    dispose(SIGUSR1, handle);
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(atomic_load(&handled), 0);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(atomic_load(&handled), 1);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(told.times, 1);
    drop(loop);
    dispose(SIGUSR1, SIG_DFL);
}

static void a_loop_closed_with_a_signal_pending_does_not_hear_of_it(void **state)
{
    (void)state;
    pf_loop *loop = make(), *other = make();
    struct told told = {0}, others = {0};
    take(loop, SIGUSR1, &told);
    take(other, SIGUSR1, &others);
    assert_int_equal(raise(SIGUSR1), 0);
    drop(loop);
    assert_int_equal(told.times, 0);
    assert_int_equal(told.destroyed, 1);
    assert_int_equal(pf_loop_turn(other, 0), 1);
    assert_int_equal(others.times, 1);
    drop(other);
    assert_int_equal(others.destroyed, 1);
}

static void fill(int fd)
{
    char bytes[4096] = {0};
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
}

static void a_signal_keeps_errno_even_if_the_waker_is_full(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    take(loop, SIGUSR1, &told);
    errno = EXDEV;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    fill(loop->waker.write_fd);
    errno = EXDEV;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(told.times, 2);
    assert_int_equal(raise(SIGUSR1), 0); /* and it was drained */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
}

static void a_signal_shows_in_the_loops_descriptor_and_its_next_deadline(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    int64_t next, now;
    take(loop, SIGUSR1, &told);
    assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
    assert_true(next == PF_NEVER);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_true(next <= now);
    struct pollfd ready = {.fd = pf_loop_fd(loop), .events = POLLIN};
    if (ready.fd != -ENOTSUP) /* select has none */
        assert_int_equal(poll(&ready, 1, 0), 1);
    drop(loop);
}

/* ---- threads --------------------------------------------------------------------- */

static atomic_int sent; /* the number of the last one that was sent */

struct sender {
    int count;
    pid_t to;
    bool to_thread;
    pthread_t thread;
};

static void *send_storm(void *arg)
{
    const struct sender *sender = arg;
    for (int i = 1; i <= sender->count; i++) {
        atomic_store(&sent, i);
        if (sender->to_thread)
            pthread_kill(sender->thread, SIGUSR1);
        else
            kill(sender->to, SIGUSR1);
    }
    return NULL;
}

static int seen; /* the number that was sent last when the function ran last */

static void act_look_what_was_sent(pf_loop *loop, struct told *told)
{
    (void)loop, (void)told;
    seen = atomic_load(&sent);
}

static void a_storm_from_another_thread_never_loses_the_last_one(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    for (int to_thread = 0; to_thread < 2; to_thread++) {
        pf_loop *loop = make();
        struct told told = {.act = act_look_what_was_sent};
        struct sender sender = {rounds(100000, 2000), getpid(), to_thread, pthread_self()};
        pthread_t thread;
        seen = 0;
        take(loop, SIGUSR1, &told);
        assert_int_equal(pthread_create(&thread, NULL, send_storm, &sender), 0);
        turn_until(loop, &seen, sender.count);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(told.times <= sender.count);
        drop(loop);
    }
}

static atomic_int *shared_sent; /* with a child */

static void act_look_what_the_child_sent(pf_loop *loop, struct told *told)
{
    (void)loop, (void)told;
    seen = atomic_load(shared_sent);
}

static void a_storm_from_a_child_never_loses_the_last_one(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    int count = rounds(100000, 2000), status;
    shared_sent = mmap(NULL, sizeof *shared_sent, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared_sent, MAP_FAILED);
    pf_loop *loop = make();
    struct told told = {.act = act_look_what_the_child_sent};
    seen = 0;
    take(loop, SIGUSR1, &told);
    pid_t parent = getpid(), child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (int i = 1; i <= count; i++) {
            atomic_store(shared_sent, i);
            kill(parent, SIGUSR1);
        }
        _exit(0);
    }
    turn_until(loop, &seen, count);
    drop(loop);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    munmap(shared_sent, sizeof *shared_sent);
}

static void *send_one_by_one(void *arg)
{
    sem_t *seen_it = arg;
    for (int i = 0; i < 2000; i++) {
        kill(getpid(), SIGUSR1);
        while (sem_wait(seen_it) != 0)
            continue;
    }
    return NULL;
}

static sem_t told_sem;

static void act_post(pf_loop *loop, struct told *told)
{
    (void)loop, (void)told;
    sem_post(&told_sem);
}

static void every_signal_wakes_a_loop_that_is_about_to_sleep(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    pf_loop *loop = make();
    struct told told = {.act = act_post};
    pthread_t thread;
    sem_init(&told_sem, 0, 0);
    take(loop, SIGUSR1, &told);
    assert_int_equal(pthread_create(&thread, NULL, send_one_by_one, &told_sem), 0);
    turn_until(loop, &told.times, 2000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(told.times, 2000);
    drop(loop);
    sem_destroy(&told_sem);
}

static void *let_signals_in(void *arg)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    sem_post(&told_sem);
    while (sem_wait(arg) != 0) /* interrupted by them */
        continue;
    return NULL;
}

static void a_signal_that_strikes_another_thread_is_told_on_the_loops(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    pf_loop *loop = make();
    struct told told = {0};
    sigset_t usr1, before;
    pthread_t thread;
    sem_t over;
    sem_init(&told_sem, 0, 0);
    sem_init(&over, 0, 0);
    take(loop, SIGUSR1, &told);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &usr1, &before), 0);
    assert_int_equal(pthread_create(&thread, NULL, let_signals_in, &over), 0);
    while (sem_wait(&told_sem) != 0)
        continue;
    int64_t deadline = now_ns() + PF_TEST_DEADLINE_S * PF_SECOND;
    do { /* again: ThreadSanitizer may keep one that strikes as a wait begins, for ever */
        assert_true(now_ns() < deadline);
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
    } while (UNDER_TSAN && turn(loop) == 0);
    turn_until(loop, &told.times, 1);
    assert_true(pthread_equal(told.thread, pthread_self()));
    sem_post(&over);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    drop(loop);
    sem_destroy(&told_sem);
    sem_destroy(&over);
}

struct second {
    sem_t ready;
    int err;
    struct told told;
};

static void *run_second_loop(void *arg)
{
    struct second *second = arg;
    pf_loop *loop;
    second->err = pf_loop_new(NULL, &loop);
    if (!second->err)
        second->err = pf_loop_add_signal(loop, SIGUSR1, on_signal, &second->told);
    sem_post(&second->ready);
    int64_t deadline = now_ns() + PF_TEST_DEADLINE_S * PF_SECOND;
    while (!second->err && second->told.times == 0 && now_ns() < deadline)
        second->err = turn(loop) < 0;
    pf_loop_unref(loop);
    return NULL;
}

static void loops_of_two_threads_are_both_told(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    pf_loop *loop = make();
    struct told told = {0};
    struct second second = {.err = -1};
    pthread_t thread;
    sem_init(&second.ready, 0, 0);
    take(loop, SIGUSR1, &told);
    assert_int_equal(pthread_create(&thread, NULL, run_second_loop, &second), 0);
    while (sem_wait(&second.ready) != 0)
        continue;
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    turn_until(loop, &told.times, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(second.err, 0);
    assert_int_equal(second.told.times, 1);
    assert_false(pthread_equal(second.told.thread, told.thread));
    drop(loop);
    assert_ptr_equal(disposition(SIGUSR1), pointer(SIG_DFL));
    sem_destroy(&second.ready);
}

static atomic_bool enough;

static void *raise_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough))
        (void)raise(SIGUSR1);
    return NULL;
}

/* Another thread is struck while the signal is given back and taken again; with a handler
 * before, so that one that nobody takes does not end the process. */
static void a_signal_taken_anew_is_told_whatever_strikes_meanwhile(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    pf_loop *loop = make();
    pthread_t thread;
    atomic_store(&enough, false);
    dispose(SIGUSR1, handle);
    assert_int_equal(pthread_create(&thread, NULL, raise_all_the_time, NULL), 0);
    int missed = 0;
    for (int round = 0; round < rounds(20000, 500); round++) {
        struct told told = {0};
        take(loop, SIGUSR1, &told);
        assert_int_equal(raise(SIGUSR1), 0);
        assert_true(pf_loop_turn(loop, 0) >= 0);
        missed += told.times == 0;
        assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
        assert_int_equal(told.destroyed, 1);
    }
    atomic_store(&enough, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(missed, 0);
    drop(loop);
    assert_ptr_equal(disposition(SIGUSR1), pointer(handle));
    dispose(SIGUSR1, SIG_DFL);
}

static void *open_and_close_loops(void *arg)
{
    int *failed = arg;
    while (!atomic_load(&enough)) {
        pf_loop *loop;
        struct told told = {0};
        *failed += pf_loop_new(NULL, &loop) != 0 ||
                   pf_loop_add_signal_full(loop, SIGUSR1, on_signal, &told, count_destroyed,
                                           NULL) != 0 ||
                   pf_loop_close(loop, false) != 0 || told.destroyed != 1;
        pf_loop_unref(loop);
    }
    return NULL;
}

static void loops_close_while_signals_strike(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    pf_loop *loop =
        make(); /* takes it all the time, so the others do not change anything */
    struct told told = {0};
    pthread_t threads[2];
    int failed[2] = {0};
    atomic_store(&enough, false);
    take(loop, SIGUSR1, &told);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, open_and_close_loops, &failed[i]), 0);
    for (int i = 0; i < rounds(20000, 500); i++) {
        int before = told.times;
        assert_int_equal(pthread_kill(threads[i % 2], SIGUSR1), 0);
        assert_int_equal(raise(SIGUSR1), 0);
        assert_true(pf_loop_turn(loop, 0) >= 0);
        assert_true(told.times > before);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failed[i], 0);
    }
    drop(loop);
    assert_ptr_equal(disposition(SIGUSR1), pointer(SIG_DFL));
}

/* ---- interrupted system calls ---------------------------------------------------- */

struct alarm_timer {
    int64_t when_ns;
    int early;
    int *left;
};

static int on_timer(pf_loop *loop, void *arg)
{
    struct alarm_timer *timer = arg;
    timer->early = now_ns() < timer->when_ns;
    return --*timer->left == 0 ? pf_loop_stop(loop) : 0;
}

static void run_timers_in_a_storm(pf_loop *loop)
{
    enum {
        TIMERS = 50
    };
    struct itimerval storm = {{0, 100}, {0, 100}}, quiet = {{0, 0}, {0, 0}};
    struct alarm_timer timers[TIMERS];
    int left = TIMERS;
    int64_t now;
    assert_int_equal(pf_loop_time(loop, &now), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &storm, NULL), 0);
    for (int i = 0; i < TIMERS; i++) {
        timers[i] = (struct alarm_timer){now + (i + 1) * 1700 * PF_MICROSECOND, 0, &left};
        assert_int_equal(
            pf_loop_call_at(loop, timers[i].when_ns, on_timer, &timers[i], NULL), 0);
    }
    assert_int_equal(pf_loop_start(loop), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &quiet, NULL), 0);
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(timers[i].early, 0);
}

static void in_a_storm_of_interruptions_timers_are_never_early(void **state)
{
    (void)state;
    pf_backend_skip_select_under_valgrind();
    pf_loop *loop = make();
    struct told told = {0};
    atomic_store(&handled, 0);
    dispose(SIGALRM, handle); /* the program's own: interrupts, and wakes nobody */
    run_timers_in_a_storm(loop);
    assert_true(atomic_load(&handled) > 0);
    take(loop, SIGALRM, &told); /* taken: wakes each time */
    run_timers_in_a_storm(loop);
    assert_true(told.times > 0);
    drop(loop);
    dispose(SIGALRM, SIG_IGN); /* valgrind may still hold one back */
}

/* ---- children -------------------------------------------------------------------- */

static pid_t clone_raw(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t clone_by_fork(void)
{
    return fork();
}

typedef pid_t clone_fn(void);
static clone_fn *const clones[] = {clone_by_fork, clone_raw};

/* Let the child do `body`, and say how it ended, as waitpid does. */
static int status_of(clone_fn *clone_it, int (*body)(void *arg), void *arg)
{
    int status = -1;
    fflush(NULL);
    pid_t child = clone_it();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body(arg));
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int raise_it(void *arg)
{
    (void)raise(*(int *)arg);
    return 42; /* it did not end the process */
}

static void in_a_child_the_old_disposition_is_in_force(void **state)
{
    (void)state;
    static int signo = SIGTERM;
    for (size_t i = 0; i < 2; i++) {
        pf_loop *loop = make();
        struct told told = {0};
        take(loop, SIGTERM, &told);
        int status = status_of(clones[i], raise_it, &signo);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGTERM);
        assert_int_equal(raise(SIGTERM), 0); /* the parent goes on as before */
        assert_int_equal(pf_loop_turn(loop, 0), 1);
        assert_int_equal(told.times, 1);
        drop(loop);

        dispose(SIGTERM, SIG_IGN);
        loop = make();
        take(loop, SIGTERM, &told);
        status = status_of(clones[i], raise_it, &signo);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
        drop(loop);
        dispose(SIGTERM, SIG_DFL);
    }
}

static int raise_and_count(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        (void)raise(SIGUSR1);
    return atomic_load(&handled);
}

static void in_a_child_the_programs_own_handler_is_in_force(void **state)
{
    (void)state;
    atomic_store(&handled, 0);
    dispose(SIGUSR1, handle);
    for (size_t i = 0; i < 2; i++) {
        pf_loop *loop = make();
        struct told told = {0};
        take(loop, SIGUSR1, &told);
        int status = status_of(clones[i], raise_and_count, NULL);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 3);   /* the first one, too */
        assert_int_equal(pf_loop_turn(loop, 0), 0); /* and no byte came to the parent */
        drop(loop);
    }
    dispose(SIGUSR1, SIG_DFL);
}

static void *wait_for_child_signal(void *arg)
{
    sem_post(arg);
    for (;;)
        pause();
    return NULL;
}

static int be_killed_in_a_thread(void *arg)
{
    sem_t ready;
    pthread_t thread;
    (void)arg;
    sem_init(&ready, 0, 0);
    if (pthread_create(&thread, NULL, wait_for_child_signal, &ready) != 0)
        return 1;
    while (sem_wait(&ready) != 0)
        continue;
    pthread_kill(thread, SIGTERM);
    pthread_join(thread, NULL);
    return 2;
}

static void a_threaded_child_is_ended_by_it_too(void **state)
{
    (void)state;
    if (UNDER_TSAN)
        skip(); /* it makes no threads after a fork of a process with threads */
    pf_loop *loop = make();
    struct told told = {0};
    take(loop, SIGTERM, &told);
    int status = status_of(clone_by_fork, be_killed_in_a_thread, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    drop(loop);
}

static void use_a_loop_of_ones_own(void *arg)
{
    pf_loop *inherited = arg, *loop;
    struct told told = {0};
    assert_int_equal(pf_loop_add_signal(inherited, SIGUSR2, on_signal, &told), -ECHILD);
    assert_int_equal(pf_loop_remove_signal(inherited, SIGUSR1), -ECHILD);
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(told.times, 1);
    assert_int_equal(pf_loop_discard(inherited), 0);
    assert_int_equal(raise(SIGUSR1), 0); /* the discard took nothing from it */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    drop(loop);
    assert_ptr_equal(disposition(SIGUSR1), pointer(handle)); /* the parent's old one */
}

static void a_childs_own_loop_takes_the_signal_and_the_parent_hears_nothing(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {0};
    dispose(SIGUSR1, handle);
    take(loop, SIGUSR1, &told);
    pf_test_in_child(use_a_loop_of_ones_own, loop);
    pf_test_in_raw_clone(use_a_loop_of_ones_own, loop);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(told.times, 1);
    drop(loop);
    assert_ptr_equal(disposition(SIGUSR1), pointer(handle));
    dispose(SIGUSR1, SIG_DFL);
}

static pid_t parent, forked;

static void act_fork_and_discard(pf_loop *loop, struct told *told)
{
    fflush(NULL);
    forked = fork();
    if (forked == 0 && (pf_loop_discard(loop) != 0 || told->destroyed != 0))
        _exit(1);
}

static void act_fork_remove_and_discard(pf_loop *loop, struct told *told)
{
    act_remove_own(loop, told);
    act_fork_and_discard(loop, told);
}

/* Start the loop; the child comes back from it, too. */
static void run_into_child(pf_loop *loop, const struct told *told)
{
    parent = getpid();
    int ran = pf_loop_turn(loop, 0), status;
    if (getpid() != parent)
        _exit(ran == -ECHILD && told->destroyed == 1 ? 0 : 2);
    assert_int_equal(ran, 1);
    assert_int_equal(waitpid(forked, &status, 0), forked);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_child_made_by_a_signal_function_may_discard_the_loop_there(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct told told = {.act = act_fork_and_discard};
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    run_into_child(loop, &told);
    assert_int_equal(told.destroyed, 0);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    told = (struct told){.act = act_fork_remove_and_discard};
    take(loop, SIGUSR1, &told);
    assert_int_equal(raise(SIGUSR1), 0);
    run_into_child(loop, &told);
    assert_int_equal(told.destroyed, 1);
    drop(loop);
    assert_int_equal(told.destroyed, 1);
}

/* Valgrind cannot let the stack grow in the middle of a storm of signals. */
static void grow_stack(void)
{
    volatile char deep[256 * 1024];
    for (size_t i = 0; i < sizeof deep; i += 1024)
        deep[i] = 1;
}

int main(void)
{
    pf_backend_configure();
    grow_stack();
    const struct CMUnitTest tests[] = {
        pf_test(a_signal_is_told_once_however_often_it_came_before),
        pf_test(one_that_comes_while_it_is_told_is_told_again),
        pf_test(every_number_that_may_be_taken_is_told_as_itself),
        pf_test(bad_registrations_are_refused_and_nothing_changes),
        pf_test(only_the_owner_takes_signals),
        pf_test(errors_are_reported_and_the_function_stays),
        pf_test(the_stop_policy_ends_start_with_a_signals_error),
        pf_test(a_function_that_is_done_is_removed),
        pf_test(a_function_may_remove_itself_and_another_may_take_its_place),
        pf_test(one_that_is_removed_while_it_waits_to_be_told_is_not_told),
        pf_test(who_takes_a_signal_in_its_turn_is_not_told_of_one_from_before),
        pf_test(one_that_is_taken_inside_a_function_is_told_from_then_on),
        pf_test(the_old_disposition_comes_back_with_the_last_removal),
        pf_test(flags_and_mask_of_the_old_disposition_come_back_too),
        pf_test(the_programs_own_handler_is_not_called_while_a_loop_takes_the_signal),
        pf_test(a_loop_closed_with_a_signal_pending_does_not_hear_of_it),
        pf_test(a_signal_keeps_errno_even_if_the_waker_is_full),
        pf_test(a_signal_shows_in_the_loops_descriptor_and_its_next_deadline),
        pf_test(a_storm_from_another_thread_never_loses_the_last_one),
        pf_test(a_storm_from_a_child_never_loses_the_last_one),
        pf_test(every_signal_wakes_a_loop_that_is_about_to_sleep),
        pf_test(a_signal_that_strikes_another_thread_is_told_on_the_loops),
        pf_test(loops_of_two_threads_are_both_told),
        pf_test(a_signal_taken_anew_is_told_whatever_strikes_meanwhile),
        pf_test(loops_close_while_signals_strike),
        pf_test(in_a_storm_of_interruptions_timers_are_never_early),
        pf_test(in_a_child_the_old_disposition_is_in_force),
        pf_test(in_a_child_the_programs_own_handler_is_in_force),
        pf_test(a_threaded_child_is_ended_by_it_too),
        pf_test(a_childs_own_loop_takes_the_signal_and_the_parent_hears_nothing),
        pf_test(a_child_made_by_a_signal_function_may_discard_the_loop_there),
    };
    return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
