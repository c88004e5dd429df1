/*
 * Executors, sentence by sentence of prefork/executor.h: work runs on other threads, its
 * results come into futures of the loop, none is lost and none is destroyed twice, whether
 * the work is cancelled, the executor freed or the loop closed before it is done.
 *
 * Work that must not end too early stands before a gate.
 */
#include "loop/executor.h"
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <prefork/executor.h>
#include <prefork/log.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#define TSAN __has_feature(thread_sanitizer)
#else
#define TSAN 0
#endif

/* ---- waiting for threads --------------------------------------------------------- */

static int64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void wait_until(bool (*is_so)(void *arg), void *arg)
{
    int64_t deadline = seconds_now() + PF_TEST_DEADLINE_S;
    while (!is_so(arg)) {
        if (seconds_now() > deadline)
            fail_msg("it never came to that");
        sched_yield();
    }
}

struct gate {
    atomic_int entered, left;
    int awaited;
    atomic_bool open;
};

static bool is_open(void *arg)
{
    struct gate *gate = arg;
    return atomic_load(&gate->open);
}

static bool have_entered(void *arg)
{
    struct gate *gate = arg;
    return atomic_load(&gate->entered) >= gate->awaited;
}

static void wait_for_entered(struct gate *gate, int count)
{
    gate->awaited = count;
    wait_until(have_entered, gate);
}

static void open_gate(struct gate *gate)
{
    atomic_store(&gate->open, true);
}

/* The work: stands before the gate, and gives the gate. */
static int pass(void *arg, void **value)
{
    struct gate *gate = arg;
    atomic_fetch_add(&gate->entered, 1);
    while (!is_open(gate))
        sched_yield();
    atomic_fetch_add(&gate->left, 1);
    *value = gate;
    return 0;
}

static bool waits_for_nothing(void *executor)
{
    size_t waiting = 1;
    assert_int_equal(pf_executor_load(executor, &waiting, NULL), 0);
    return waiting == 0;
}

static bool runs_nothing(void *executor)
{
    size_t waiting = 1, running = 1;
    assert_int_equal(pf_executor_load(executor, &waiting, &running), 0);
    return waiting == 0 && running == 0;
}

static void assert_load(pf_executor *executor, size_t waiting, size_t running)
{
    size_t waits = 77, runs = 77;
    assert_int_equal(pf_executor_load(executor, &waits, &runs), 0);
    assert_int_equal(waits, waiting);
    assert_int_equal(runs, running);
}

/* ---- tools ----------------------------------------------------------------------- */

static struct {
    int count, error;
} report;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)arg;
    assert_string_equal(error->kind, "future");
    report.count++;
    report.error = error->error;
}

static pf_loop *make_with(size_t callbacks_max)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *loop;
    options.on_error = on_error;
    options.callbacks_max = callbacks_max;
    report.count = 0;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    return loop;
}

static pf_loop *make(void)
{
    return make_with(0);
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    assert_int_equal(report.count, 0);
}

static pf_executor *new_executor(unsigned threads, size_t queue_max)
{
    struct pf_executor_options options = {PF_EXECUTOR_OPTIONS, threads, queue_max, "test"};
    pf_executor *executor;
    assert_int_equal(pf_executor_new(&options, &executor), 0);
    return executor;
}

static pf_future *submit(pf_loop *loop, pf_executor *executor, pf_work_fn *work, void *arg)
{
    pf_future *future = NULL;
    assert_int_equal(pf_loop_run_in_executor(loop, executor, work, arg, &future), 0);
    return future;
}

static int give_future(pf_loop *loop, void *future, pf_future **out)
{
    (void)loop;
    *out = pf_future_ref(future);
    return 0;
}

/* Run the loop until the future is done; returns its error. */
static int await(pf_loop *loop, pf_future *future, void **value)
{
    int error = 77;
    assert_int_equal(pf_loop_run_sync(loop, give_future, future,
                                      PF_TEST_DEADLINE_S * PF_SECOND, &error, value),
                     0);
    return error;
}

static void await_and_unref(pf_loop *loop, pf_future *future, int expected)
{
    assert_int_equal(await(loop, future, NULL), expected);
    pf_future_unref(future);
}

static void destroy_counter(void *value)
{
    atomic_fetch_add((atomic_int *)value, 1);
}

static int give_arg(void *arg, void **value)
{
    *value = arg;
    return 0;
}

static int fail_with_eio(void *arg, void **value)
{
    (void)arg, (void)value;
    return -EIO;
}

/* ---- results --------------------------------------------------------------------- */

struct answer {
    pthread_t asker, worker;
    int calls;
};

static int answer(void *arg, void **value)
{
    struct answer *answer = arg;
    answer->worker = pthread_self();
    *value = answer;
    return 0;
}

static int on_answer(pf_loop *loop, pf_future *future, void *arg)
{
    struct answer *answer = arg;
    void *value = NULL;
    answer->calls++;
    assert_true(pthread_equal(pthread_self(), answer->asker));
    assert_int_equal(pf_future_result(future, NULL, &value), 0);
    assert_ptr_equal(value, answer);
    return pf_loop_stop(loop);
}

static void work_runs_on_another_thread_and_its_result_comes_back_to_the_loop(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(2, 0);
    struct answer got = {.asker = pthread_self()};
    pf_future *future = submit(loop, executor, answer, &got);
    assert_int_equal(pf_loop_add_future(loop, future, on_answer, &got), 0);
    assert_int_equal(pf_loop_start(loop), 0);
    assert_int_equal(got.calls, 1);
    assert_false(pthread_equal(got.asker, got.worker));
    pf_future_unref(future);
    pf_executor_free(executor);
    drop(loop);
}

static int give_a_positive_number(void *arg, void **value)
{
    *value = arg;
    return 42;
}

static void a_negative_result_is_the_futures_error_and_any_other_is_success(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    void *value = NULL;
    await_and_unref(loop, submit(loop, executor, fail_with_eio, NULL), -EIO);
    pf_future *future = submit(loop, executor, give_a_positive_number, loop);
    assert_int_equal(await(loop, future, &value), 0);
    assert_ptr_equal(value, loop);
    pf_future_unref(future);
    pf_executor_free(executor);
    drop(loop);
}

static void the_value_is_destroyed_with_the_future(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    atomic_int destroyed = 0;
    pf_future *future;
    assert_int_equal(pf_loop_run_in_executor_full(loop, executor, give_arg, &destroyed,
                                                  destroy_counter, "here", &future),
                     0);
    assert_int_equal(await(loop, future, NULL), 0);
    assert_int_equal(destroyed, 0);
    pf_future_unref(future);
    assert_int_equal(destroyed, 1);

    /* There is none with an error. */
    assert_int_equal(pf_loop_run_in_executor_full(loop, executor, fail_with_eio, NULL,
                                                  destroy_counter, "here", &future),
                     0);
    await_and_unref(loop, future, -EIO);
    pf_executor_free(executor);
    drop(loop);
}

static void what_nobody_wants_is_destroyed_and_a_failure_is_reported(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    atomic_int destroyed = 0;
    assert_int_equal(pf_loop_run_in_executor_full(loop, executor, give_arg, &destroyed,
                                                  destroy_counter, NULL, NULL),
                     0);
    assert_int_equal(pf_loop_run_in_executor(loop, executor, fail_with_eio, NULL, NULL), 0);
    await_and_unref(loop, submit(loop, executor, give_arg, NULL), 0);
    assert_int_equal(destroyed, 1);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.error, -EIO);
    report.count = 0;
    pf_executor_free(executor);
    drop(loop);
}

static int do_nothing(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

static void a_result_finds_its_place_in_a_queue_that_is_full(void **state)
{
    (void)state;
    pf_loop *loop = make_with(4);
    pf_executor *executor = new_executor(1, 0);
    struct gate gate = {0};
    pf_future *future = submit(loop, executor, pass, &gate), *none = NULL;
    pf_future *second = submit(loop, executor, pass, &gate);
    struct answer got = {.asker = pthread_self()};
    assert_int_equal(pf_loop_add_future(loop, second, on_answer, &got), 0);
    assert_int_equal(pf_loop_add_future(loop, future, on_answer, &got), 0);
    assert_int_equal(pf_loop_run_in_executor(loop, executor, pass, &gate, &none), -ENOSPC);
    assert_null(none);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pf_loop_add_callback(loop, do_nothing, NULL), 0);
    assert_int_equal(pf_loop_add_callback(loop, do_nothing, NULL), -ENOSPC);
    open_gate(&gate);
    wait_until(runs_nothing, executor);
    assert_int_equal(pf_loop_run_in_executor(loop, executor, pass, &gate, &none), -ENOSPC);
    while (!pf_future_is_done(second))
        assert_true(pf_loop_turn(loop, PF_TEST_DEADLINE_S * PF_SECOND) >= 0);
    assert_true(pf_future_is_done(future));
    assert_int_equal(pf_loop_remove_future(loop, future, on_answer, &got), 0);
    assert_int_equal(pf_loop_remove_future(loop, second, on_answer, &got), 0);
    pf_future_unref(future);
    pf_future_unref(second);
    pf_executor_free(executor);
    drop(loop);
}

static int set_error(pf_loop *loop, void *future)
{
    (void)loop;
    return pf_future_set_error(future, -EPROTO);
}

static void a_result_that_somebody_else_has_set_is_dropped(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    atomic_int destroyed = 0;
    pf_future *future;
    assert_int_equal(pf_loop_run_in_executor_full(loop, executor, give_arg, &destroyed,
                                                  destroy_counter, NULL, &future),
                     0);
    assert_int_equal(set_error(loop, future), 0);
    assert_int_equal(await(loop, future, NULL), -EPROTO);
    await_and_unref(loop, submit(loop, executor, give_arg, NULL), 0);
    assert_int_equal(destroyed, 1);
    pf_future_unref(future);
    pf_executor_free(executor);
    drop(loop);
}

/* ---- threads --------------------------------------------------------------------- */

static char order[256];
static atomic_int order_length;

static int note_letter(void *arg, void **value)
{
    (void)value;
    order[atomic_fetch_add(&order_length, 1)] = *(const char *)arg;
    return 0;
}

static void work_is_taken_oldest_first(void **state)
{
    (void)state;
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    struct gate gate = {0};
    pf_future *first = submit(loop, executor, pass, &gate);
    char letters[sizeof text];
    memcpy(letters, text, sizeof text);
    memset(order, 0, sizeof order);
    atomic_store(&order_length, 0);
    pf_future *futures[26];
    for (int i = 0; i < 26; i++)
        futures[i] = submit(loop, executor, note_letter, &letters[i]);
    /* From the middle, the beginning and the end. */
    assert_int_equal(pf_future_cancel(futures[12]), 0);
    assert_int_equal(pf_future_cancel(futures[0]), 0);
    assert_int_equal(pf_future_cancel(futures[25]), 0);
    open_gate(&gate);
    await_and_unref(loop, first, 0);
    for (int i = 0; i < 26; i++)
        await_and_unref(loop, futures[i], i == 12 || i == 0 || i == 25 ? -ECANCELED : 0);
    assert_string_equal(order, "bcdefghijklnopqrstuvwxy");
    pf_executor_free(executor);
    drop(loop);
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void threads_are_started_when_there_is_work_for_them_and_no_more_than_told(
    void **state)
{
    (void)state;
    enum {
        JOBS = 5,
        THREADS = 3
    };
    int before = count_threads();
    pf_loop *loop = make();
    pf_executor *executor = new_executor(THREADS, 0);
    struct gate gate = {0};
    pf_future *futures[JOBS];
    assert_int_equal(count_threads(), before);
    assert_load(executor, 0, 0);
    for (int i = 0; i < JOBS; i++) {
        futures[i] = submit(loop, executor, pass, &gate);
        assert_int_equal(count_threads(), before + (i < THREADS ? i + 1 : THREADS));
    }
    wait_for_entered(&gate, THREADS);
    assert_load(executor, JOBS - THREADS, THREADS);
    assert_int_equal(pf_executor_load(executor, NULL, NULL), 0);
    open_gate(&gate);
    for (int i = 0; i < JOBS; i++)
        await_and_unref(loop, futures[i], 0);
    assert_load(executor, 0, 0);
    await_and_unref(loop, submit(loop, executor, pass, &gate), 0);
    assert_int_equal(count_threads(), before + THREADS);
    pf_executor_free(executor);
    assert_int_equal(count_threads(), before);
    drop(loop);
}

struct look {
    char name[32];
    bool blocked;
};

static int look_around(void *arg, void **value)
{
    struct look *look = arg;
    sigset_t mask;
    (void)value;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    look->blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD) &&
                    sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGALRM);
    return -pthread_getname_np(pthread_self(), look->name, sizeof look->name);
}

static void threads_have_a_name_and_take_no_signals(void **state)
{
    (void)state;
    static const char *const names[][2] = {{NULL, "pf-executor"},
                                           {"resolver", "resolver"},
                                           {"0123456789abcdefgh", "0123456789abcde"}};
    pf_loop *loop = make();
    sigset_t before, after;
    memset(&before, 0, sizeof before); /* the kernel fills in only a part */
    memset(&after, 0, sizeof after);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct pf_executor_options options = {PF_EXECUTOR_OPTIONS, .name = names[i][0]};
        struct look look = {0};
        pf_executor *executor;
        assert_int_equal(pf_executor_new(&options, &executor), 0);
        await_and_unref(loop, submit(loop, executor, look_around, &look), 0);
        assert_string_equal(look.name, names[i][1]);
        assert_true(look.blocked);
        pf_executor_free(executor);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_memory_equal(&before, &after, sizeof before);
    drop(loop);
}

static void leave_with_three(int signo)
{
    (void)signo;
    _exit(3);
}

static int fault(void *arg, void **value)
{
    (void)arg, (void)value;
    return raise(SIGSEGV);
}

static void faults_of_work_reach_the_programs_handler(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which has a status of its own for the child */
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pf_loop *loop;
        alarm(PF_TEST_DEADLINE_S);
        struct sigaction leave = {.sa_handler = leave_with_three};
        if (sigaction(SIGSEGV, &leave, NULL) != 0 || pf_loop_new(NULL, &loop) != 0 ||
            pf_loop_run_in_executor(loop, NULL, fault, NULL, NULL) != 0)
            _exit(1);
        (void)pf_loop_start(loop);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

static int add_callbacks(void *arg, void **value)
{
    (void)value;
    int err = 0;
    for (int i = 0; !err && i < 100; i++)
        err = pf_loop_add_callback(arg, do_nothing, NULL);
    return err;
}

static void work_may_add_callbacks_to_the_loop(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    await_and_unref(loop, submit(loop, executor, add_callbacks, loop), 0);
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    assert_true(stats.callbacks >= 100);
    pf_executor_free(executor);
    drop(loop);
}

/* ---- cancelling ------------------------------------------------------------------ */

static void work_that_waits_is_taken_out_of_the_queue(void **state)
{
    (void)state;
    pf_loop *loop = make_with(2);
    pf_executor *executor = new_executor(1, 1);
    struct gate gate = {0}, never = {0};
    pf_future *first = submit(loop, executor, pass, &gate), *none = NULL;
    wait_for_entered(&gate, 1);
    for (int i = 0; i < 10; i++) { /* which gives its places back */
        pf_future *future = submit(loop, executor, pass, &never);
        assert_load(executor, 1, 1);
        assert_int_equal(pf_loop_run_in_executor(loop, executor, pass, &never, &none),
                         -ENOSPC);
        assert_int_equal(pf_future_cancel(future), 0);
        assert_load(executor, 0, 1);
        assert_true(pf_future_is_done(future));
        assert_int_equal(pf_future_cancel(future), -EALREADY);
        pf_future_unref(future);
    }
    open_gate(&gate);
    await_and_unref(loop, first, 0);
    assert_null(none);
    assert_int_equal(never.entered, 0);
    pf_executor_free(executor);
    drop(loop);
}

static void work_that_runs_is_not_cancelled(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    struct gate gate = {0};
    pf_future *future = submit(loop, executor, pass, &gate);
    void *value = NULL;
    wait_for_entered(&gate, 1);
    assert_int_equal(pf_future_cancel(future), -EBUSY);
    open_gate(&gate);
    wait_until(runs_nothing, executor);
    assert_int_equal(pf_future_cancel(future), -EBUSY); /* done, but not delivered */
    assert_int_equal(await(loop, future, &value), 0);
    assert_ptr_equal(value, &gate);
    assert_int_equal(pf_future_cancel(future), -EALREADY);
    pf_future_unref(future);
    pf_executor_free(executor);
    drop(loop);
}

static int count_run(void *arg, void **value)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    *value = arg;
    return 0;
}

static void work_either_runs_or_is_cancelled(void **state)
{
    (void)state;
    enum {
        JOBS = 2000
    };
    pf_loop *loop = make();
    pf_executor *executor = new_executor(2, 0);
    static pf_future *futures[JOBS];
    static bool cancelled[JOBS];
    atomic_int runs = 0;
    int kept = 0;
    for (int i = 0; i < JOBS; i++) {
        futures[i] = submit(loop, executor, count_run, &runs);
        if (i % 3 == 0)
            sched_yield();
        int answer = pf_future_cancel(futures[i - i % 5]);
        assert_true(answer == 0 || answer == -EBUSY || answer == -EALREADY);
        cancelled[i - i % 5] |= answer == 0;
    }
    for (int i = 0; i < JOBS; i++) {
        kept += !cancelled[i];
        await_and_unref(loop, futures[i], cancelled[i] ? -ECANCELED : 0);
        cancelled[i] = false;
    }
    assert_int_equal(runs, kept);
    pf_executor_free(executor);
    drop(loop);
}

/* ---- limits and refusals --------------------------------------------------------- */

static void a_full_queue_refuses_work_and_has_lost_none(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 2);
    struct gate gate = {0};
    pf_future *futures[3], *none = NULL;
    futures[0] = submit(loop, executor, pass, &gate);
    wait_for_entered(&gate, 1);
    futures[1] = submit(loop, executor, pass, &gate);
    futures[2] = submit(loop, executor, pass, &gate);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pf_loop_run_in_executor(loop, executor, pass, &gate, &none),
                         -EAGAIN);
    assert_null(none);
    assert_load(executor, 2, 1);
    open_gate(&gate);
    for (int i = 0; i < 3; i++)
        await_and_unref(loop, futures[i], 0);
    assert_int_equal(gate.entered, 3);
    await_and_unref(loop, submit(loop, executor, pass, &gate), 0);
    pf_executor_free(executor);
    drop(loop);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = NULL;
    pf_future *future = NULL;
    struct pf_executor_options many = {PF_EXECUTOR_OPTIONS,
                                       .threads = PF_EXECUTOR_THREADS_MAX + 1};
    struct pf_executor_options none = {.size = 0};
    assert_int_equal(pf_executor_new(NULL, NULL), -EINVAL);
    assert_int_equal(pf_executor_new(&many, &executor), -EINVAL);
    assert_int_equal(pf_executor_new(&none, &executor), -EINVAL);
    assert_null(executor);
    assert_int_equal(pf_executor_load(NULL, NULL, NULL), -EINVAL);
    pf_executor_free(NULL);
    assert_int_equal(pf_executor_new(NULL, &executor), 0);
    assert_int_equal(pf_loop_run_in_executor(NULL, executor, give_arg, NULL, &future),
                     -EINVAL);
    assert_int_equal(pf_loop_run_in_executor(loop, executor, NULL, NULL, &future), -EINVAL);
    pf_loop_ref(loop);
    drop(loop);
    assert_int_equal(pf_loop_run_in_executor(loop, executor, give_arg, NULL, &future),
                     -ESTALE);
    assert_null(future);
    pf_loop_unref(loop);
    pf_executor_free(executor);
}

static void a_caller_that_knows_fewer_options_gets_the_defaults(void **state)
{
    (void)state;
    struct pf_executor_options options = {.size = sizeof options.size,
                                          .threads = PF_EXECUTOR_THREADS_MAX + 1};
    pf_executor *executor;
    assert_int_equal(pf_executor_new(&options, &executor), 0);
    pf_executor_free(executor);
    options = (struct pf_executor_options){PF_EXECUTOR_OPTIONS, PF_EXECUTOR_THREADS_MAX};
    assert_int_equal(pf_executor_new(&options, &executor), 0);
    pf_executor_free(executor);
}

struct foreign {
    pf_loop *loop;
    pf_executor *executor;
    pf_future *future;
    int answer, load;
};

static void *submit_elsewhere(void *arg)
{
    struct foreign *in = arg;
    in->answer = pf_loop_run_in_executor(in->loop, in->executor, give_arg, in, &in->future);
    in->load = pf_executor_load(in->executor, NULL, NULL);
    return NULL;
}

static void work_for_a_loop_is_added_on_its_thread(void **state)
{
    (void)state;
    struct foreign in = {.loop = make(), .executor = new_executor(1, 0)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, submit_elsewhere, &in), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(in.answer, -EPERM);
    assert_int_equal(in.load, 0);
    assert_null(in.future);
    pf_executor_free(in.executor);
    drop(in.loop);
}

/* ---- memory ---------------------------------------------------------------------- */

static void an_executor_that_runs_out_of_memory_is_not_made(void **state)
{
    (void)state;
    pf_alloc_needed();
    int failing = 0, err = -ENOMEM;
    pf_executor *executor = NULL;
    drop(make()); /* what is made once per process is made */
    while (err) {
        size_t before = pf_alloc_bytes();
        pf_alloc_fail(++failing);
        err = pf_executor_new(NULL, &executor);
        (void)pf_alloc_stop();
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_null(executor);
            assert_int_equal(pf_alloc_bytes(), before);
        }
    }
    assert_int_equal(failing, 3);
    pf_executor_free(executor);
}

static void work_that_finds_no_memory_is_refused(void **state)
{
    (void)state;
    pf_alloc_needed();
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    int accepted = 0, refused = 0, failing = 0;
    await_and_unref(loop, submit(loop, executor, give_arg, NULL), 0); /* has its thread */
    while (accepted < 200) {
        pf_future *future = NULL;
        pf_alloc_fail(++failing);
        int err = pf_loop_run_in_executor(loop, executor, give_arg, NULL, &future);
        (void)pf_alloc_stop();
        if (err == 0) {
            accepted++;
            failing = 0;
            pf_future_unref(future);
            continue;
        }
        refused++;
        assert_int_equal(err, -ENOMEM);
        assert_null(future);
    }
    assert_true(refused >= 2 * accepted); /* the job and its future */
    while (!runs_nothing(executor))
        sched_yield();
    await_and_unref(loop, submit(loop, executor, give_arg, NULL), 0);
    pf_executor_free(executor);
    drop(loop);
}

/* No room for a thread's stack, unless one of an earlier thread is left over. */
static void finds_no_room_for_a_thread(void *arg)
{
    pf_executor *executor = new_executor(2, 0);
    pf_loop *loop = make();
    pf_future *future = NULL;
    struct rlimit limit, none = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
    (void)arg;
    assert_int_equal(pf_loop_reserve(loop, 0, 0, 100), 0);
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    none.rlim_max = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    int err = pf_loop_run_in_executor(loop, executor, give_arg, NULL, &future);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_int_equal(err, -EAGAIN);
    assert_null(future);
    assert_load(executor, 0, 0);

    /* With one thread the next one need not be. */
    struct gate gate = {0};
    pf_future *first = submit(loop, executor, pass, &gate);
    wait_for_entered(&gate, 1);
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    err = pf_loop_run_in_executor(loop, executor, give_arg, NULL, &future);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_int_equal(err, 0);
    open_gate(&gate);
    await_and_unref(loop, first, 0);
    await_and_unref(loop, future, 0);
    pf_executor_free(executor);
    drop(loop);
}

static void without_a_single_thread_work_is_refused(void **state)
{
    (void)state;
    pf_alloc_needed(); /* the sanitizers and valgrind need more room themselves */
    pf_test_in_child(finds_no_room_for_a_thread, NULL);
}

/* ---- many ------------------------------------------------------------------------ */

struct producer {
    pf_executor *executor;
    int jobs, delivered;
    atomic_int *runs;
};

static int count_delivered(pf_loop *loop, pf_future *future, void *arg)
{
    struct producer *producer = arg;
    int error = 77;
    assert_int_equal(pf_future_result(future, &error, NULL), 0);
    assert_int_equal(error, 0);
    return ++producer->delivered == producer->jobs ? pf_loop_stop(loop) : 0;
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    pf_loop *loop;
    if (pf_loop_new(NULL, &loop) != 0)
        return NULL;
    int err = 0;
    for (int i = 0; !err && i < producer->jobs; i++) {
        pf_future *future;
        err = pf_loop_run_in_executor(loop, producer->executor, count_run, producer->runs,
                                      &future);
        if (!err)
            err = pf_loop_add_future(loop, future, count_delivered, producer);
        if (!err)
            pf_future_unref(future);
    }
    if (!err)
        err = pf_loop_start(loop);
    pf_loop_unref(loop);
    return err ? NULL : producer;
}

static void of_ten_thousand_jobs_of_four_loops_none_is_lost(void **state)
{
    (void)state;
    enum {
        LOOPS = 4,
        JOBS = 2500
    };
    pf_executor *executor = new_executor(4, 0);
    struct producer producers[LOOPS];
    pthread_t threads[LOOPS];
    atomic_int runs = 0;
    for (int i = 0; i < LOOPS; i++) {
        producers[i] = (struct producer){executor, JOBS, 0, &runs};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++) {
        void *ended = NULL;
        assert_int_equal(pthread_join(threads[i], &ended), 0);
        assert_ptr_equal(ended, &producers[i]);
        assert_int_equal(producers[i].delivered, JOBS);
    }
    assert_int_equal(runs, LOOPS * JOBS);
    assert_load(executor, 0, 0);
    pf_executor_free(executor);
}

/* ---- the loop is closed first ---------------------------------------------------- */

static int wait_and_count(void *arg, void **value)
{
    struct gate *gate = arg;
    void *same;
    int result = pass(gate, &same);
    *value = &gate->left;
    return result;
}

static void a_closed_loop_drops_the_values_and_the_work_still_runs(void **state)
{
    (void)state;
    enum {
        QUEUED = 3
    };
    for (int held = 0; held < 2; held++) {
        pf_loop *loop = make();
        pf_executor *executor = new_executor(2, 0);
        struct gate now = {.open = true}, later = {0};
        pf_future *futures[2 + QUEUED];
        pf_future *done = submit(loop, executor, pass, &now);
        await_and_unref(loop, done, 0);
        /* One that is done and not delivered, one that runs, some that wait. */
        for (int i = 0; i < 2 + QUEUED; i++) {
            struct gate *gate = i == 0 ? &now : &later;
            assert_int_equal(pf_loop_run_in_executor_full(loop, executor, wait_and_count,
                                                          gate, destroy_counter, NULL,
                                                          &futures[i]),
                             0);
            if (i == 0)
                wait_until(runs_nothing, executor);
        }
        wait_for_entered(&later, 2);
        if (!held)
            for (int i = 0; i < 2 + QUEUED; i++)
                pf_future_unref(futures[i]);
        drop(loop);
        open_gate(&later);
        wait_until(runs_nothing, executor);
        pf_executor_free(executor); /* by now all values are dropped */
        assert_int_equal(now.entered, 2);
        assert_int_equal(now.left, 2 + 1); /* and one value */
        assert_int_equal(later.entered, 1 + QUEUED);
        assert_int_equal(later.left, 2 * (1 + QUEUED)); /* and as many values */
        for (int i = 0; held && i < 2 + QUEUED; i++) {
            assert_int_equal(pf_future_cancel(futures[i]), -ESTALE);
            pf_future_unref(futures[i]);
        }
    }
}

static void closing_races_with_the_results(void **state)
{
    (void)state;
    enum {
        ROUNDS = 50,
        JOBS = 20
    };
    pf_executor *executor = new_executor(4, 0);
    atomic_int runs = 0, destroyed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        pf_loop *loop = make();
        for (int j = 0; j < JOBS; j++)
            assert_int_equal(pf_loop_run_in_executor_full(loop, executor, give_arg,
                                                          &destroyed, destroy_counter, NULL,
                                                          NULL),
                             0);
        await_and_unref(loop, submit(loop, executor, count_run, &runs), 0);
        drop(loop);
    }
    pf_executor_free(executor);
    assert_int_equal(runs, ROUNDS);
    assert_int_equal(destroyed, ROUNDS * JOBS);
}

/* ---- the executor is freed first ------------------------------------------------- */

struct freer {
    pf_executor *executor;
    struct gate *gate;
};

/* While the gate is closed the executor cannot go: it is safe to look at. */
static void *open_when_nothing_waits(void *arg)
{
    struct freer *freer = arg;
    while (!waits_for_nothing(freer->executor))
        sched_yield();
    open_gate(freer->gate);
    return NULL;
}

static void a_freed_executor_cancels_what_waits_and_waits_for_what_runs(void **state)
{
    (void)state;
    enum {
        QUEUED = 3
    };
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    struct gate gate = {0};
    struct freer freer = {executor, &gate};
    pf_future *futures[1 + QUEUED];
    pthread_t thread;
    for (int i = 0; i < 1 + QUEUED; i++)
        futures[i] = submit(loop, executor, pass, &gate);
    wait_for_entered(&gate, 1);
    assert_int_equal(pthread_create(&thread, NULL, open_when_nothing_waits, &freer), 0);
    pf_executor_free(executor);
    assert_int_equal(gate.left, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 1 + QUEUED; i++) /* they are told by the loop, as ever */
        assert_false(pf_future_is_done(futures[i]));
    assert_int_equal(pf_future_cancel(futures[1]), -EBUSY); /* it is on its way */
    await_and_unref(loop, futures[0], 0);
    for (int i = 1; i < 1 + QUEUED; i++)
        await_and_unref(loop, futures[i], -ECANCELED);
    assert_int_equal(gate.entered, 1);
    drop(loop);
}

static void *free_executor(void *executor)
{
    pf_executor_free(executor);
    return NULL;
}

static void an_executor_that_ends_takes_no_work(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    struct gate gate = {0};
    pf_future *first = submit(loop, executor, pass, &gate), *none = NULL;
    wait_for_entered(&gate, 1);
    pf_future *second = submit(loop, executor, pass, &gate);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, free_executor, executor), 0);
    wait_until(waits_for_nothing, executor); /* so it has begun */
    assert_int_equal(pf_loop_run_in_executor(loop, executor, pass, &gate, &none), -ESTALE);
    assert_null(none);
    open_gate(&gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    await_and_unref(loop, first, 0);
    await_and_unref(loop, second, -ECANCELED);
    drop(loop);
}

static void results_of_a_freed_executor_go_with_the_loop(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    atomic_int destroyed = 0;
    pf_future *future;
    assert_int_equal(pf_loop_run_in_executor_full(loop, executor, give_arg, &destroyed,
                                                  destroy_counter, NULL, &future),
                     0);
    wait_until(runs_nothing, executor);
    pf_executor_free(executor);
    drop(loop);
    assert_int_equal(destroyed, 1);
    pf_future_unref(future);
}

static char logged[256];

static void keep_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)arg;
    snprintf(logged, sizeof logged, "%.*s", (int)len, line);
}

static int free_its_own(void *arg, void **value)
{
    (void)value;
    pf_executor_free(arg);
    return 0;
}

static void an_executor_cannot_be_freed_by_its_own_thread(void **state)
{
    (void)state;
    pf_loop *loop = make();
    pf_executor *executor = new_executor(1, 0);
    pf_log_set_sink(keep_line, NULL);
    await_and_unref(loop, submit(loop, executor, free_its_own, executor), 0);
    pf_log_set_sink(NULL, NULL);
    assert_non_null(strstr(logged, "executor-freed-by-its-own-thread"));
    assert_load(executor, 0, 0);
    pf_executor_free(executor);
    drop(loop);
}

/* ---- work that owns its argument ------------------------------------------------- */

struct owned {
    pf_loop *loop;
    pf_executor *executor;
    struct gate gate; /* before which the only thread stands */
    pf_future *blocks, *future;
    atomic_int destroyed, ran;
};

static int count_as_run(void *arg, void **value)
{
    struct owned *owned = arg;
    owned->ran++;
    *value = NULL;
    return 0;
}

static void destroy_owned(void *arg)
{
    struct owned *owned = arg;
    owned->destroyed++;
}

static int run_owned(struct owned *owned)
{
    return pf__loop_run_work(
        owned->loop, owned->executor,
        &(struct pf__work){.run = count_as_run, .arg = owned, .destroy_arg = destroy_owned},
        &owned->future);
}

/* Work that owns its argument waits behind work that runs. */
static void open_owned(struct owned *owned)
{
    memset(owned, 0, sizeof *owned);
    owned->loop = make();
    owned->executor = new_executor(1, 1);
    owned->blocks = submit(owned->loop, owned->executor, pass, &owned->gate);
    wait_for_entered(&owned->gate, 1);
    assert_int_equal(run_owned(owned), 0);
}

static void end_executor_of(struct owned *owned)
{
    struct freer freer = {owned->executor, &owned->gate};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_when_nothing_waits, &freer), 0);
    pf_executor_free(owned->executor);
    owned->executor = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void close_owned(struct owned *owned)
{
    open_gate(&owned->gate);
    pf_future_unref(owned->blocks);
    pf_future_unref(owned->future);
    pf_executor_free(owned->executor);
}

static void an_argument_is_given_back_if_its_work_is_never_run(void **state)
{
    (void)state;
    struct owned owned;
    open_owned(&owned); /* it is cancelled */
    assert_int_equal(pf_future_cancel(owned.future), 0);
    assert_int_equal(owned.destroyed, 1);
    close_owned(&owned);
    drop(owned.loop);

    open_owned(&owned); /* the executor ends, and the loop hears of it */
    end_executor_of(&owned);
    assert_int_equal(await(owned.loop, owned.future, NULL), -ECANCELED);
    assert_int_equal(owned.destroyed, 1);
    close_owned(&owned);
    drop(owned.loop);

    open_owned(&owned); /* the loop closes before it has heard */
    end_executor_of(&owned);
    drop(owned.loop);
    assert_int_equal(owned.destroyed, 1);
    close_owned(&owned);

    open_owned(&owned); /* the loop closes, then the executor ends */
    drop(owned.loop);
    assert_int_equal(owned.destroyed, 0);
    end_executor_of(&owned);
    assert_int_equal(owned.destroyed, 1);
    close_owned(&owned);
    assert_int_equal(owned.destroyed, 1);
    assert_int_equal(owned.ran, 0);
}

static void an_argument_is_the_works_once_that_runs(void **state)
{
    (void)state;
    for (int closed = 0; closed <= 1; closed++) {
        struct owned owned;
        open_owned(&owned);
        if (closed)
            drop(owned.loop);
        open_gate(&owned.gate);
        wait_until(runs_nothing, owned.executor);
        if (!closed)
            assert_int_equal(await(owned.loop, owned.future, NULL), 0);
        close_owned(&owned);
        if (!closed)
            drop(owned.loop);
        assert_int_equal(owned.ran, 1);
        assert_int_equal(owned.destroyed, 0);
    }
}

static void an_argument_of_work_that_is_refused_is_the_callers(void **state)
{
    (void)state;
    struct owned owned;
    open_owned(&owned);
    pf_future *waits = owned.future;
    assert_int_equal(run_owned(&owned), -EAGAIN); /* the queue holds one */
    assert_ptr_equal(owned.future, waits);
    assert_int_equal(owned.destroyed, 0);
    open_gate(&owned.gate);
    assert_int_equal(await(owned.loop, owned.future, NULL), 0);
    close_owned(&owned);
    drop(owned.loop);
    assert_int_equal(owned.destroyed, 0);
}

/* Of the work that ran at the fork nobody knows how far it was. */
static void owned_in_a_child(void *arg)
{
    struct owned *owned = arg;
    pf_executor_free(owned->executor);
    assert_int_equal(pf_loop_discard(owned->loop), 0);
    pf_future_unref(owned->blocks);
    pf_future_unref(owned->future);
    assert_int_equal(owned->destroyed, 1);
    assert_int_equal(owned->ran, 0);
}

static void an_argument_is_given_back_in_a_child_too(void **state)
{
    (void)state;
    struct owned owned;
    pf_test_skip_under_valgrind(); /* as below */
    open_owned(&owned);
    pf_test_in_child(owned_in_a_child, &owned);
    pf_test_in_raw_clone(owned_in_a_child, &owned);
    open_gate(&owned.gate);
    assert_int_equal(await(owned.loop, owned.future, NULL), 0);
    close_owned(&owned);
    drop(owned.loop);
    assert_int_equal(owned.destroyed, 0);
}

/* ---- forks ----------------------------------------------------------------------- */

struct inherited {
    pf_loop *loop;
    pf_executor *executor;
    pf_future *futures[3]; /* one that is done, one that runs, one that waits */
    struct gate gate;
    atomic_int destroyed;
};

static void is_refused(struct inherited *in)
{
    pf_future *none = NULL;
    size_t waiting = 77, running = 77;
    assert_int_equal(pf_executor_load(in->executor, &waiting, &running), -ECHILD);
    assert_true(waiting == 77 && running == 77);
    assert_int_equal(pf_loop_run_in_executor(in->loop, in->executor, give_arg, NULL, &none),
                     -ECHILD);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pf_future_cancel(in->futures[i]), -ECHILD);

    pf_loop *own = make(); /* another process's executor is none for a loop of one's own */
    assert_int_equal(pf_loop_run_in_executor(own, in->executor, give_arg, NULL, &none),
                     -ECHILD);
    assert_null(none);
    drop(own);
}

static void frees_then_discards(void *arg)
{
    struct inherited *in = arg;
    is_refused(in);
    pf_executor_free(in->executor);
    for (int i = 0; i < 3; i++)
        pf_future_unref(in->futures[i]);
    assert_int_equal(pf_loop_discard(in->loop), 0);
    assert_int_equal(in->destroyed, 1); /* the one that was on its way */
}

static void discards_then_frees(void *arg)
{
    struct inherited *in = arg;
    assert_int_equal(pf_loop_discard(in->loop), 0);
    assert_int_equal(in->destroyed, 1);
    for (int i = 0; i < 3; i++)
        pf_future_unref(in->futures[i]);
    assert_int_equal(pf_executor_load(in->executor, NULL, NULL), -ECHILD);
    pf_executor_free(in->executor);
}

static int is_callback(const struct pf_loop_item *item, void *arg)
{
    (void)arg;
    return item->kind == PF_LOOP_CALLBACK;
}

static bool has_a_result(void *loop)
{
    return pf_loop_walk(loop, is_callback, NULL) == 1;
}

static void a_child_has_no_use_for_its_parents_executor(void **state)
{
    (void)state;
    static struct inherited in;
    pf_test_skip_under_valgrind(); /* which holds what threads leave in a child for lost */
    memset(&in, 0, sizeof in);
    in.loop = make();
    in.executor = new_executor(1, 0);
    assert_int_equal(pf_loop_run_in_executor_full(in.loop, in.executor, give_arg,
                                                  &in.destroyed, destroy_counter, NULL,
                                                  &in.futures[0]),
                     0);
    wait_until(has_a_result, in.loop);
    in.futures[1] = submit(in.loop, in.executor, pass, &in.gate);
    in.futures[2] = submit(in.loop, in.executor, pass, &in.gate);
    wait_for_entered(&in.gate, 1);
    pf_test_in_child(frees_then_discards, &in);
    pf_test_in_child(discards_then_frees, &in);
    pf_test_in_raw_clone(frees_then_discards, &in);
    open_gate(&in.gate);
    for (int i = 0; i < 3; i++)
        await_and_unref(in.loop, in.futures[i], 0);
    assert_int_equal(in.destroyed, 1);
    assert_int_equal(in.gate.left, 2);
    pf_executor_free(in.executor);
    drop(in.loop);
}

/* ---- the default executor -------------------------------------------------------- */

static void uses_the_default_executor(void *arg)
{
    (void)arg;
    pf_loop *loop = make();
    struct look look = {0};
    await_and_unref(loop, submit(loop, NULL, look_around, &look), 0);
    assert_string_equal(look.name, "pf-executor");
    drop(loop);
}

static void the_default_executor_is_made_when_it_is_needed(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* its threads never end */
    int before = count_threads();
    uses_the_default_executor(NULL);
    assert_int_equal(count_threads(), before + 1);
    uses_the_default_executor(NULL);
    assert_true(count_threads() <= before + 2);
}

static void uses_it_one_fork_further(void *arg)
{
    uses_the_default_executor(arg);
    pf_test_in_child(uses_the_default_executor, arg);
}

static void a_child_has_a_default_executor_of_its_own(void **state)
{
    (void)state;
    if (TSAN)
        skip(); /* it allows no threads in a child of a process that has some */
    pf_test_skip_under_valgrind();
    uses_the_default_executor(NULL);
    pf_test_in_child(uses_it_one_fork_further, NULL);
    pf_test_in_raw_clone(uses_the_default_executor, NULL);
    uses_the_default_executor(NULL);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(without_a_single_thread_work_is_refused), /* before there was any thread */
        pf_test(work_runs_on_another_thread_and_its_result_comes_back_to_the_loop),
        pf_test(a_negative_result_is_the_futures_error_and_any_other_is_success),
        pf_test(the_value_is_destroyed_with_the_future),
        pf_test(what_nobody_wants_is_destroyed_and_a_failure_is_reported),
        pf_test(a_result_finds_its_place_in_a_queue_that_is_full),
        pf_test(a_result_that_somebody_else_has_set_is_dropped),
        pf_test(work_is_taken_oldest_first),
        pf_test(threads_are_started_when_there_is_work_for_them_and_no_more_than_told),
        pf_test(threads_have_a_name_and_take_no_signals),
        pf_test(faults_of_work_reach_the_programs_handler),
        pf_test(work_may_add_callbacks_to_the_loop),
        pf_test(work_that_waits_is_taken_out_of_the_queue),
        pf_test(work_that_runs_is_not_cancelled),
        pf_test(work_either_runs_or_is_cancelled),
        pf_test(a_full_queue_refuses_work_and_has_lost_none),
        pf_test(what_makes_no_sense_is_refused),
        pf_test(a_caller_that_knows_fewer_options_gets_the_defaults),
        pf_test(work_for_a_loop_is_added_on_its_thread),
        pf_test(an_executor_that_runs_out_of_memory_is_not_made),
        pf_test(work_that_finds_no_memory_is_refused),
        pf_test(of_ten_thousand_jobs_of_four_loops_none_is_lost),
        pf_test(a_closed_loop_drops_the_values_and_the_work_still_runs),
        pf_test(closing_races_with_the_results),
        pf_test(a_freed_executor_cancels_what_waits_and_waits_for_what_runs),
        pf_test(an_executor_that_ends_takes_no_work),
        pf_test(results_of_a_freed_executor_go_with_the_loop),
        pf_test(an_executor_cannot_be_freed_by_its_own_thread),
        pf_test(an_argument_is_given_back_if_its_work_is_never_run),
        pf_test(an_argument_is_the_works_once_that_runs),
        pf_test(an_argument_of_work_that_is_refused_is_the_callers),
        pf_test(an_argument_is_given_back_in_a_child_too),
        pf_test(a_child_has_no_use_for_its_parents_executor),
        pf_test(the_default_executor_is_made_when_it_is_needed),
        pf_test(a_child_has_a_default_executor_of_its_own),
    };
    return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
