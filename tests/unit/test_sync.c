/*
 * pf_loop_run_sync(), sentence by sentence of prefork/future.h: results, timeouts and
 * foreign stops are told apart, and whatever happens nothing is left behind in the loop.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "tests/lib/alloc.h"
#include "tests/lib/fake.h"

#include <prefork/future.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- tools ----------------------------------------------------------------------- */

struct world {
    struct pf_fake_clock clock;
    struct pf_fake_poller poller;
    pf_loop *loop;
    int reports;
};

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    struct world *world = arg;
    (void)loop, (void)error;
    world->reports++;
}

static pf_loop *make_with(struct world *world, size_t callbacks_max,
                          enum pf_error_policy policy)
{
    *world = (struct world){.poller = {.clock = &world->clock}};
    struct pf_loop_options options = pf_fake_options(&world->poller);
    options.on_error = on_error;
    options.on_error_arg = world;
    options.callbacks_max = callbacks_max;
    options.error_policy = policy;
    assert_int_equal(pf_loop_new(&options, &world->loop), 0);
    return world->loop;
}

static pf_loop *make(struct world *world)
{
    return make_with(world, 0, PF_ERROR_KEEP);
}

static int count_item(const struct pf_loop_item *item, void *arg)
{
    (void)item;
    ++*(int *)arg;
    return 0;
}

static int count_items(pf_loop *loop)
{
    int items = 0;
    assert_int_equal(pf_loop_walk(loop, count_item, &items), 0);
    return items;
}

static void assert_no_report(const struct world *world)
{
    assert_int_equal(world->reports, 0);
}

static void drop(const struct world *world)
{
    assert_no_report(world);
    assert_int_equal(count_items(world->loop), 0);
    assert_int_equal(pf_loop_close(world->loop, false), 0);
    pf_loop_unref(world->loop);
}

static char value_text[] = "value";

/* What fn is to do: it is the arg. */
struct task {
    int calls, result;
    pf_future *future; /* to be given, with a reference of its own */
    void (*act)(pf_loop *loop, struct task *task);
    struct world *world;
    int64_t delay_ns;
    int answer;
};

static int perform(pf_loop *loop, void *arg, pf_future **out)
{
    struct task *task = arg;
    task->calls++;
    assert_ptr_equal(pf_loop_current(false), loop);
    if (task->act)
        task->act(loop, task);
    if (task->future)
        *out = pf_future_ref(task->future);
    return task->result;
}

/* With out parameters that show whether they were touched. */
static int error_then;
static void *value_then;

static int run(pf_loop *loop, struct task *task, int64_t timeout_ns)
{
    error_then = 77;
    value_then = &error_then;
    return pf_loop_run_sync(loop, perform, task, timeout_ns, &error_then, &value_then);
}

static void assert_untouched(void)
{
    assert_int_equal(error_then, 77);
    assert_ptr_equal(value_then, &error_then);
}

static void assert_usable(pf_loop *loop)
{
    struct task task = {0};
    assert_int_equal(run(loop, &task, PF_SECOND), 0);
    assert_int_equal(task.calls, 1);
    assert_int_equal(error_then, 0);
}

static pf_future *new_future(pf_loop *loop)
{
    pf_future *future;
    assert_int_equal(pf_future_new(loop, &future), 0);
    return future;
}

static int set_value(pf_loop *loop, void *future)
{
    (void)loop;
    return pf_future_set_value(future, value_text, NULL);
}

static int set_error(pf_loop *loop, void *future)
{
    (void)loop;
    return pf_future_set_error(future, -EIO);
}

static int stop(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static void after(pf_loop *loop, int64_t delay_ns, pf_callback_fn *fn, void *arg)
{
    assert_int_equal(pf_loop_call_later(loop, delay_ns, fn, arg, NULL), 0);
}

/* ---- results --------------------------------------------------------------------- */

static void a_function_without_a_future_gives_its_own_result(void **state)
{
    (void)state;
    static const int results[][2] = {{0, 0}, {-EIO, -EIO}, {PF_DONE, 0}, {-EINTR, -EINTR}};
    struct world world;
    pf_loop *loop = make(&world);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        struct task task = {.result = results[i][0]};
        assert_int_equal(run(loop, &task, PF_NEVER), 0);
        assert_int_equal(task.calls, 1);
        assert_int_equal(error_then, results[i][1]);
        assert_null(value_then);
    }
    drop(&world);
}

static void a_function_with_a_future_gives_what_that_comes_to(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    for (int fails = 0; fails < 2; fails++) {
        struct task task = {.future = new_future(loop)};
        after(loop, PF_SECOND, fails ? set_error : set_value, task.future);
        assert_int_equal(run(loop, &task, PF_NEVER), 0);
        assert_int_equal(error_then, fails ? -EIO : 0);
        assert_ptr_equal(value_then, fails ? NULL : value_text);
        pf_future_unref(task.future); /* no report: the error was asked for */
    }
    drop(&world);
}

static void a_future_that_is_done_already_does_too(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    assert_int_equal(set_value(loop, task.future), 0);
    assert_int_equal(run(loop, &task, 0), 0);
    assert_int_equal(error_then, 0);
    assert_ptr_equal(value_then, value_text);
    pf_future_unref(task.future);
    drop(&world);
}

static void the_value_need_not_be_taken(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    int error = 77;
    after(loop, 0, set_value, task.future);
    assert_int_equal(pf_loop_run_sync(loop, perform, &task, PF_NEVER, &error, NULL), 0);
    assert_int_equal(error, 0);
    pf_future_unref(task.future);
    drop(&world);
}

static void destroy_value(void *value)
{
    ++*(int *)value;
}

static void the_reference_that_was_handed_over_is_dropped(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    int destroyed = 0;
    struct task task = {.future = new_future(loop)};
    pf_future *future = task.future;
    assert_int_equal(pf_future_set_value(future, &destroyed, destroy_value), 0);
    assert_int_equal(run(loop, &task, PF_NEVER), 0);
    assert_int_equal(destroyed, 0);
    pf_future_unref(future);
    assert_int_equal(destroyed, 1);
    drop(&world);
}

static void a_function_that_fails_needs_no_future(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop), .result = -EPROTO};
    int error = 0;
    assert_int_equal(run(loop, &task, PF_NEVER), 0);
    assert_int_equal(error_then, -EPROTO);
    assert_int_equal(pf_future_result(task.future, &error, NULL), 0);
    assert_int_equal(error, -ECANCELED);
    pf_future_unref(task.future);
    drop(&world);
}

/* ---- timeouts -------------------------------------------------------------------- */

static void a_result_that_does_not_come_in_time_is_cancelled(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    int error = 0;
    int64_t began = world.clock.now;
    assert_int_equal(run(loop, &task, 5 * PF_SECOND), -ETIMEDOUT);
    assert_untouched();
    assert_int_equal(world.clock.now - began, 5 * PF_SECOND);
    assert_int_equal(pf_future_result(task.future, &error, NULL), 0);
    assert_int_equal(error, -ECANCELED);
    pf_future_unref(task.future);
    assert_usable(loop);
    drop(&world);
}

static int refuse(pf_future *future, void *arg)
{
    (void)future;
    ++*(int *)arg;
    return -EBUSY;
}

static void work_that_cannot_be_cancelled_is_not_waited_for(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    int asked = 0;
    assert_int_equal(pf_future_on_cancel(task.future, refuse, &asked), 0);
    assert_int_equal(run(loop, &task, PF_SECOND), -ETIMEDOUT);
    assert_int_equal(asked, 1);
    assert_false(pf_future_is_done(task.future));
    assert_int_equal(count_items(loop), 0); /* nobody waits for it */
    assert_int_equal(set_value(loop, task.future), 0);
    pf_future_unref(task.future);
    drop(&world);
}

static void a_result_at_the_very_moment_of_the_timeout_is_in_time(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    after(loop, PF_SECOND, set_value, task.future);
    assert_int_equal(run(loop, &task, PF_SECOND), 0);
    assert_ptr_equal(value_then, value_text);
    pf_future_unref(task.future);
    drop(&world);
}

static void the_function_is_run_even_if_there_is_no_time(void **state)
{
    (void)state;
    static const int64_t none[] = {0, -1, INT64_MIN};
    struct world world;
    pf_loop *loop = make(&world);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct task task = {.result = -EIO}, slow = {.future = new_future(loop)};
        assert_int_equal(run(loop, &task, none[i]), 0);
        assert_int_equal(error_then, -EIO);
        assert_int_equal(run(loop, &slow, none[i]), -ETIMEDOUT);
        assert_int_equal(slow.calls, 1);
        pf_future_unref(slow.future);
    }
    drop(&world);
}

static void a_deadline_beyond_all_time_is_refused(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {0};
    world.clock.now = PF_SECOND;
    assert_int_equal(run(loop, &task, PF_NEVER - 1), -EOVERFLOW);
    assert_int_equal(task.calls, 0);
    assert_untouched();
    drop(&world);
}

static void the_timer_is_gone_when_the_result_was_in_time(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    int64_t next = 0;
    assert_usable(loop);
    assert_int_equal(pf_loop_next_deadline(loop, &next), 0);
    assert_int_equal(next, PF_NEVER);
    drop(&world);
}

/* ---- stops ----------------------------------------------------------------------- */

static void somebody_elses_stop_is_no_timeout(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    for (int limited = 0; limited < 2; limited++) {
        struct task task = {.future = new_future(loop)};
        after(loop, PF_SECOND, stop, NULL);
        assert_int_equal(run(loop, &task, limited ? 5 * PF_SECOND : PF_NEVER), -EINTR);
        assert_int_equal(task.calls, 1);
        assert_untouched();
        assert_false(pf_future_is_done(task.future)); /* it goes on */
        assert_int_equal(count_items(loop), 0);
        pf_future_unref(task.future);
        assert_usable(loop);
    }
    drop(&world);
}

static void a_stop_before_the_start_is_spent_and_nothing_is_run(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {0};
    assert_int_equal(pf_loop_stop(loop), 0);
    assert_int_equal(run(loop, &task, PF_SECOND), -EINTR);
    assert_int_equal(task.calls, 0);
    assert_untouched();
    assert_int_equal(count_items(loop), 0);
    assert_usable(loop);
    assert_int_equal(task.calls, 0);
    drop(&world);
}

static void stop_now(pf_loop *loop, struct task *task)
{
    (void)task;
    assert_int_equal(pf_loop_stop(loop), 0);
}

static void a_result_that_is_there_counts_whoever_stopped(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.result = -EIO, .act = stop_now};
    assert_int_equal(run(loop, &task, PF_SECOND), 0);
    assert_int_equal(error_then, -EIO);

    struct task future = {.future = new_future(loop), .act = stop_now};
    assert_int_equal(set_value(loop, future.future), 0);
    assert_int_equal(run(loop, &future, PF_SECOND), 0);
    assert_ptr_equal(value_then, value_text);
    pf_future_unref(future.future);
    assert_usable(loop);
    drop(&world);
}

static int fail_with_eproto(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return -EPROTO;
}

static void the_error_that_stopped_the_loop_is_the_answer(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make_with(&world, 0, PF_ERROR_STOP);
    struct task task = {.future = new_future(loop)};
    after(loop, 0, fail_with_eproto, NULL);
    assert_int_equal(run(loop, &task, PF_SECOND), -EPROTO);
    assert_untouched();
    pf_future_unref(task.future);

    struct task own = {.result = -EIO}; /* its own error stops nothing */
    assert_int_equal(run(loop, &own, PF_SECOND), 0);
    assert_int_equal(error_then, -EIO);
    assert_int_equal(world.reports, 1);
    world.reports = 0;
    drop(&world);
}

static void what_the_poller_fails_with_is_the_answer(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    world.poller.wait_error = -EIO;
    assert_int_equal(run(loop, &task, PF_SECOND), -EIO);
    assert_untouched();
    pf_future_unref(task.future);
    assert_usable(loop);
    drop(&world);

    loop = make(&world);
    struct task never = {0};
    world.poller.add_error = -ENOSPC; /* for the waker, which is opened by the start */
    assert_int_equal(run(loop, &never, PF_SECOND), -ENOSPC);
    assert_int_equal(never.calls, 0);
    assert_usable(loop);
    drop(&world);
}

/* ---- refusals -------------------------------------------------------------------- */

static void run_nested(pf_loop *loop, struct task *task)
{
    struct task inner = {0};
    int error = 77;
    task->answer = pf_loop_run_sync(loop, perform, &inner, PF_SECOND, &error, NULL);
    assert_int_equal(inner.calls, 0);
    assert_int_equal(error, 77);
}

static int run_in_callback(pf_loop *loop, void *task)
{
    run_nested(loop, task);
    return 0;
}

static void a_loop_that_runs_is_busy(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.act = run_nested}, called = {0};
    assert_int_equal(run(loop, &task, PF_SECOND), 0);
    assert_int_equal(task.answer, -EBUSY);
    assert_int_equal(pf_loop_add_callback(loop, run_in_callback, &called), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(called.answer, -EBUSY);
    drop(&world);
}

static void a_null_where_none_is_allowed_is_refused(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {0};
    int error;
    assert_int_equal(pf_loop_run_sync(NULL, perform, &task, 0, &error, NULL), -EINVAL);
    assert_int_equal(pf_loop_run_sync(loop, NULL, &task, 0, &error, NULL), -EINVAL);
    assert_int_equal(pf_loop_run_sync(loop, perform, &task, 0, NULL, NULL), -EINVAL);
    assert_int_equal(task.calls, 0);
    drop(&world);
}

static void a_closed_loop_is_refused(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {0};
    pf_loop_ref(loop);
    drop(&world);
    assert_int_equal(run(loop, &task, PF_SECOND), -ESTALE);
    assert_untouched();
    pf_loop_unref(loop);
}

static void *run_elsewhere(void *arg)
{
    struct task *task = arg;
    int error = 77;
    task->answer =
        pf_loop_run_sync(task->world->loop, perform, task, PF_SECOND, &error, NULL);
    return NULL;
}

static void a_foreign_thread_is_refused(void **state)
{
    (void)state;
    struct world world;
    pthread_t thread;
    struct task task = {.world = &world};
    make(&world);
    assert_int_equal(pthread_create(&thread, NULL, run_elsewhere, &task), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(task.answer, -EPERM);
    assert_int_equal(task.calls, 0);
    drop(&world);
}

static void another_loops_future_is_refused(void **state)
{
    (void)state;
    struct world world, elsewhere;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(make(&elsewhere))};
    assert_int_equal(run(loop, &task, PF_SECOND), -EXDEV);
    assert_untouched();
    pf_future_unref(task.future);
    drop(&elsewhere);
    assert_usable(loop);
    drop(&world);
}

static int hear_nothing(pf_loop *loop, pf_future *future, void *arg)
{
    (void)loop, (void)future, (void)arg;
    return 0;
}

static void let_others_wait(pf_loop *loop, struct task *task)
{
    while (pf_loop_add_future(loop, task->future, hear_nothing, NULL) == 0)
        ;
}

static void where_too_many_wait_there_is_no_place_for_one_more(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make_with(&world, 3, PF_ERROR_KEEP);
    struct task task = {.future = new_future(loop), .act = let_others_wait};
    int error = 0;
    assert_int_equal(run(loop, &task, PF_SECOND), -ENOSPC);
    assert_untouched();
    assert_int_equal(pf_future_result(task.future, &error, NULL), 0);
    assert_int_equal(error, -ECANCELED);
    pf_future_unref(task.future);
    assert_int_equal(pf_loop_turn(loop, 0), 3);
    assert_usable(loop);
    drop(&world);
}

/* ---- what is around it ----------------------------------------------------------- */

static void callbacks_that_waited_already_run_first(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.future = new_future(loop)};
    assert_int_equal(pf_loop_add_callback(loop, set_value, task.future), 0);
    assert_int_equal(run(loop, &task, PF_NEVER), 0);
    assert_ptr_equal(value_then, value_text);
    pf_future_unref(task.future);
    drop(&world);
}

static void drop_loop(pf_loop *loop, struct task *task)
{
    (void)task;
    pf_loop_unref(loop);
}

static void the_function_may_drop_the_last_reference_to_the_loop(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct task task = {.act = drop_loop, .result = -EIO};
    assert_int_equal(run(loop, &task, PF_SECOND), 0);
    assert_int_equal(error_then, -EIO);
    assert_null(pf_loop_current(false));
}

static void the_current_loop_is_put_back(void **state)
{
    (void)state;
    struct world first, second;
    make(&first);
    pf_loop *loop = make(&second);
    assert_ptr_equal(pf_loop_current(false), first.loop);
    assert_usable(loop);
    assert_ptr_equal(pf_loop_current(false), first.loop);
    drop(&second);
    drop(&first);
}

static void fork_and_return(pf_loop *loop, struct task *task)
{
    (void)loop;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) {
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        task->answer = status;
        return;
    }
    alarm(PF_TEST_DEADLINE_S);
    task->answer = -1;
    if (task->delay_ns) /* the child gives up the loop here and now */
        (void)pf_loop_discard(loop);
}

static void a_child_made_inside_leaves_at_once(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    for (int discards = 0; discards < 2; discards++)
        for (int waits = 0; waits < 2; waits++) {
            struct task task = {.act = fork_and_return, .delay_ns = discards};
            if (waits) {
                task.future = new_future(loop);
                after(loop, PF_SECOND, set_value, task.future);
            }
            int answer = run(loop, &task, 2 * PF_SECOND);
            if (task.answer == -1)
                _exit(answer == -ECHILD && error_then == 77 ? 0 : 1);
            assert_int_equal(answer, 0);
            assert_int_equal(task.answer, 0);
            pf_future_unref(task.future);
        }
    drop(&world);
}

static void a_run_that_runs_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    for (int waits = 0; waits < 2; waits++) {
        struct world world;
        pf_loop *loop = make(&world);
        int failing = 0, err = -ENOMEM;
        assert_int_equal(pf_loop_turn(loop, 0), 0); /* opens the waker */
        while (err) {
            struct task task = {0};
            if (waits) {
                task.future = new_future(loop);
                assert_int_equal(set_value(loop, task.future), 0);
            }
            pf_alloc_fail(++failing);
            err = run(loop, &task, PF_SECOND);
            (void)pf_alloc_stop();
            pf_future_unref(task.future);
            if (!err)
                break;
            assert_int_equal(err, -ENOMEM);
            assert_untouched();
            assert_int_equal(count_items(loop), 0);
        }
        assert_true(failing > 1 + waits);
        drop(&world);
    }
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_function_without_a_future_gives_its_own_result),
        pf_test(a_function_with_a_future_gives_what_that_comes_to),
        pf_test(a_future_that_is_done_already_does_too),
        pf_test(the_value_need_not_be_taken),
        pf_test(the_reference_that_was_handed_over_is_dropped),
        pf_test(a_function_that_fails_needs_no_future),
        pf_test(a_result_that_does_not_come_in_time_is_cancelled),
        pf_test(work_that_cannot_be_cancelled_is_not_waited_for),
        pf_test(a_result_at_the_very_moment_of_the_timeout_is_in_time),
        pf_test(the_function_is_run_even_if_there_is_no_time),
        pf_test(a_deadline_beyond_all_time_is_refused),
        pf_test(the_timer_is_gone_when_the_result_was_in_time),
        pf_test(somebody_elses_stop_is_no_timeout),
        pf_test(a_stop_before_the_start_is_spent_and_nothing_is_run),
        pf_test(a_result_that_is_there_counts_whoever_stopped),
        pf_test(the_error_that_stopped_the_loop_is_the_answer),
        pf_test(what_the_poller_fails_with_is_the_answer),
        pf_test(a_loop_that_runs_is_busy),
        pf_test(a_null_where_none_is_allowed_is_refused),
        pf_test(a_closed_loop_is_refused),
        pf_test(a_foreign_thread_is_refused),
        pf_test(another_loops_future_is_refused),
        pf_test(where_too_many_wait_there_is_no_place_for_one_more),
        pf_test(callbacks_that_waited_already_run_first),
        pf_test(the_function_may_drop_the_last_reference_to_the_loop),
        pf_test(the_current_loop_is_put_back),
        pf_test(a_child_made_inside_leaves_at_once),
        pf_test(a_run_that_runs_out_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests_name("run_sync", tests, NULL, NULL);
}
