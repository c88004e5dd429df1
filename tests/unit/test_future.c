/*
 * Futures, sentence by sentence of prefork/future.h: who is called when, what becomes of
 * results and of errors that nobody asks for, and every path on which a wait or a future
 * ends; then futures that are done when several are.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "tests/lib/alloc.h"
#include "tests/lib/fake.h"

#include <prefork/future.h>

#include <pthread.h>
#include <stdio.h>

/* ---- tools ----------------------------------------------------------------------- */

static char trace[512];

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

/* What the error hook was told last. */
static struct {
    int count, error;
    char kind[16], where[32];
} report;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)loop, (void)arg;
    report.count++;
    report.error = error->error;
    snprintf(report.kind, sizeof report.kind, "%s", error->kind);
    snprintf(report.where, sizeof report.where, "%s", error->where ? error->where : "");
}

static void assert_reported(int count, int error)
{
    assert_int_equal(report.count, count);
    if (count) {
        assert_int_equal(report.error, error);
        assert_string_equal(report.kind, "future");
    }
    report.count = 0;
}

/* A loop that never sleeps for long: what is not due fails the test. */
struct world {
    struct pf_fake_clock clock;
    struct pf_fake_poller poller;
    pf_loop *loop;
};

static void make_with(struct world *world, size_t callbacks_max)
{
    *world = (struct world){.poller = {.clock = &world->clock}};
    struct pf_loop_options options = pf_fake_options(&world->poller);
    options.on_error = on_error;
    options.callbacks_max = callbacks_max;
    assert_int_equal(pf_loop_new(&options, &world->loop), 0);
    report.count = 0;
    trace[0] = 0;
}

static pf_loop *make(struct world *world)
{
    make_with(world, 0);
    return world->loop;
}

static void drop(const struct world *world)
{
    assert_int_equal(pf_loop_close(world->loop, false), 0);
    pf_loop_unref(world->loop);
    assert_reported(0, 0);
}

static int turn(pf_loop *loop)
{
    int ran = pf_loop_turn(loop, 0);
    assert_true(ran >= 0);
    return ran;
}

static pf_future *new_future(pf_loop *loop)
{
    pf_future *future;
    assert_int_equal(pf_future_new(loop, &future), 0);
    return future;
}

/* One that waits: notes its word, with the outcome behind it, and does what is to be done.
 */
struct waiter {
    const char *word;
    int result, calls, destroyed;
    void (*act)(pf_loop *loop, pf_future *future, struct waiter *waiter);
    pf_future *other;
    struct waiter *other_waiter;
    bool incurious; /* does not ask for the result */
};

static int on_done(pf_loop *loop, pf_future *future, void *arg)
{
    struct waiter *waiter = arg;
    char text[64];
    int error = 77;
    void *value = NULL;
    waiter->calls++;
    if (waiter->incurious)
        snprintf(text, sizeof text, "%s", waiter->word);
    else if (pf_future_result(future, &error, &value) != 0)
        fail_msg("%s was called for a future that is not done", waiter->word);
    else if (error)
        snprintf(text, sizeof text, "%s(%d)", waiter->word, error);
    else
        snprintf(text, sizeof text, "%s:%s", waiter->word,
                 value ? (const char *)value : "nothing");
    note(text);
    if (waiter->act)
        waiter->act(loop, future, waiter);
    return waiter->result;
}

static void count_destroyed(void *arg)
{
    ((struct waiter *)arg)->destroyed++;
}

static void wait_for(pf_loop *loop, pf_future *future, struct waiter *waiter)
{
    assert_int_equal(
        pf_loop_add_future_full(loop, future, on_done, waiter, count_destroyed, "here"), 0);
}

static char value_text[] = "value";
static int values_destroyed;

static void count_value(void *value)
{
    assert_ptr_equal(value, value_text);
    values_destroyed++;
}

static void set(pf_future *future)
{
    assert_int_equal(pf_future_set_value(future, value_text, NULL), 0);
}

static int note_word(pf_loop *loop, void *arg)
{
    (void)loop;
    note(arg);
    return 0;
}

static void say(pf_loop *loop, char *word)
{
    assert_int_equal(pf_loop_add_callback(loop, note_word, word), 0);
}

/* ---- being set ------------------------------------------------------------------- */

static void whoever_waits_is_called_in_the_iteration_after_the_future_was_set(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter waiter = {.word = "got"};
    wait_for(loop, future, &waiter);
    assert_int_equal(turn(loop), 0);
    set(future);
    assert_happened("");
    assert_int_equal(turn(loop), 1);
    assert_happened("got:value");
    assert_int_equal(waiter.destroyed, 1);
    assert_int_equal(turn(loop), 0);
    pf_future_unref(future);
    drop(&world);
}

static void whoever_waits_for_one_that_is_done_is_called_later_all_the_same(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter waiter = {.word = "got"};
    set(future);
    wait_for(loop, future, &waiter);
    assert_happened("");
    assert_int_equal(turn(loop), 1);
    assert_happened("got:value");
    assert_int_equal(waiter.destroyed, 1);
    pf_future_unref(future);
    drop(&world);
}

static int set_it(pf_loop *loop, void *arg)
{
    (void)loop;
    note("set");
    set(arg);
    return 0;
}

static void those_who_wait_are_called_in_order_among_the_callbacks(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter first = {.word = "first"}, second = {.word = "second"};
    char before[] = "before", after[] = "after";
    wait_for(loop, future, &first);
    wait_for(loop, future, &second);
    assert_int_equal(pf_loop_add_callback(loop, set_it, future), 0);
    assert_int_equal(turn(loop), 1);
    assert_happened("set");
    assert_int_equal(turn(loop), 2);
    assert_happened("first:value second:value");

    pf_future_unref(future);
    future = new_future(loop);
    wait_for(loop, future, &first);
    say(loop, before);
    wait_for(loop, future, &second);
    set(future);
    say(loop, after);
    assert_int_equal(turn(loop), 4);
    assert_happened("before first:value second:value after");
    pf_future_unref(future);
    drop(&world);
}

static void a_future_is_set_once_and_another_value_stays_the_callers(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *good = new_future(loop), *bad = new_future(loop);
    int error = 77;
    void *value = NULL;
    values_destroyed = 0;
    set(good);
    assert_int_equal(pf_future_set_error(bad, -EIO), 0);
    assert_int_equal(pf_future_set_value(good, value_text, count_value), -EALREADY);
    assert_int_equal(pf_future_set_value(bad, value_text, count_value), -EALREADY);
    assert_int_equal(pf_future_set_error(good, -EPROTO), -EALREADY);
    assert_int_equal(pf_future_set_error(bad, -EPROTO), -EALREADY);
    assert_int_equal(pf_future_result(good, &error, &value), 0);
    assert_int_equal(error, 0);
    assert_ptr_equal(value, value_text);
    assert_int_equal(pf_future_result(bad, &error, &value), 0);
    assert_int_equal(error, -EIO);
    assert_null(value);
    pf_future_unref(good);
    pf_future_unref(bad);
    assert_int_equal(values_destroyed, 0);
    drop(&world);
}

static void an_error_is_a_negative_errno(void **state)
{
    (void)state;
    struct world world;
    pf_future *future = new_future(make(&world));
    assert_int_equal(pf_future_set_error(future, 0), -EINVAL);
    assert_int_equal(pf_future_set_error(future, EIO), -EINVAL);
    assert_false(pf_future_is_done(future));
    pf_future_unref(future);
    drop(&world);
}

static void the_result_can_be_asked_for_once_it_is_there(void **state)
{
    (void)state;
    struct world world;
    pf_future *future = new_future(make(&world));
    int error = 77;
    void *value = &error;
    assert_false(pf_future_is_done(future));
    assert_int_equal(pf_future_result(future, &error, &value), -EINPROGRESS);
    assert_int_equal(error, 77);
    assert_ptr_equal(value, &error);
    set(future);
    assert_true(pf_future_is_done(future));
    assert_int_equal(pf_future_result(future, NULL, NULL), 0);
    assert_int_equal(pf_future_result(future, &error, NULL), 0);
    assert_int_equal(error, 0);
    assert_int_equal(pf_future_result(future, NULL, &value), 0);
    assert_ptr_equal(value, value_text);
    pf_future_unref(future);
    drop(&world);
}

static void a_value_is_destroyed_once_when_the_last_reference_goes(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter waiter = {.word = "got"};
    values_destroyed = 0;
    wait_for(loop, future, &waiter);
    assert_int_equal(pf_future_set_value(future, value_text, count_value), 0);
    assert_ptr_equal(pf_future_ref(future), future);
    pf_future_unref(future);
    pf_future_unref(future);
    assert_int_equal(values_destroyed, 0); /* it is still to be called */
    assert_int_equal(turn(loop), 1);
    assert_happened("got:value");
    assert_int_equal(values_destroyed, 1);
    pf_future_unref(NULL);
    assert_null(pf_future_ref(NULL));
    assert_false(pf_future_is_done(NULL));
    drop(&world);
}

/* ---- waiting --------------------------------------------------------------------- */

static void a_wait_that_was_removed_is_not_called(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter gone = {.word = "gone"}, stays = {.word = "stays"};
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &gone), -ENOENT);
    wait_for(loop, future, &gone);
    wait_for(loop, future, &stays);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &gone), 0);
    assert_int_equal(gone.destroyed, 1);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &gone), -ENOENT);
    set(future);
    assert_int_equal(turn(loop), 1);
    assert_happened("stays:value");
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &stays), -ENOENT);
    assert_int_equal(gone.destroyed, 1);
    pf_future_unref(future);
    drop(&world);
}

static void a_wait_can_be_removed_even_when_its_future_is_done(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter gone = {.word = "gone"}, stays = {.word = "stays"};
    values_destroyed = 0;
    wait_for(loop, future, &gone);
    wait_for(loop, future, &stays);
    assert_int_equal(pf_future_set_value(future, value_text, count_value), 0);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &gone), 0);
    assert_int_equal(gone.destroyed, 1);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &stays), 0);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &stays), -ENOENT);
    pf_future_unref(future);
    assert_int_equal(values_destroyed, 1); /* places in the queue do not hold it */
    (void)turn(loop);
    assert_happened("");
    assert_int_equal(gone.destroyed + stays.destroyed, 2);
    drop(&world);
}

static void the_same_wait_twice_is_two_and_the_first_is_removed_first(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter twice = {.word = "twice"}, between = {.word = "between"};
    wait_for(loop, future, &twice);
    wait_for(loop, future, &between);
    wait_for(loop, future, &twice);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &twice), 0);
    set(future);
    assert_int_equal(turn(loop), 2);
    assert_happened("between:value twice:value");
    assert_int_equal(twice.destroyed, 2);
    pf_future_unref(future);
    drop(&world);
}

static void remove_other(pf_loop *loop, pf_future *future, struct waiter *waiter)
{
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, waiter), -ENOENT);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, waiter->other_waiter), 0);
}

static void one_who_is_called_can_remove_the_next_but_not_itself(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter next = {.word = "next"}, last = {.word = "last"};
    struct waiter remover = {.word = "remover", .act = remove_other, .other_waiter = &next};
    wait_for(loop, future, &remover);
    wait_for(loop, future, &next);
    wait_for(loop, future, &last);
    set(future);
    (void)turn(loop);
    assert_happened("remover:value last:value");
    assert_int_equal(next.destroyed, 1);
    assert_int_equal(remover.destroyed, 1);
    pf_future_unref(future);
    drop(&world);
}

static void unref(pf_loop *loop, pf_future *future, struct waiter *waiter)
{
    int error;
    (void)loop, (void)waiter;
    pf_future_unref(future);
    assert_int_equal(pf_future_result(future, &error, NULL),
                     0); /* it is there till the end */
}

static void one_who_is_called_can_drop_the_last_reference(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter dropper = {.word = "dropper", .act = unref}, next = {.word = "next"};
    values_destroyed = 0;
    wait_for(loop, future, &dropper);
    wait_for(loop, future, &next);
    assert_int_equal(pf_future_set_value(future, value_text, count_value), 0);
    assert_int_equal(turn(loop), 2);
    assert_happened("dropper:value next:value");
    assert_int_equal(values_destroyed, 1);
    drop(&world);
}

static void set_other(pf_loop *loop, pf_future *future, struct waiter *waiter)
{
    (void)loop, (void)future;
    set(waiter->other);
}

static void wait_again(pf_loop *loop, pf_future *future, struct waiter *waiter)
{
    waiter->act = NULL;
    wait_for(loop, future, waiter);
}

static void what_one_who_is_called_sets_or_adds_is_heard_of_an_iteration_later(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop), *other = new_future(loop);
    struct waiter setter = {.word = "setter", .act = set_other, .other = other};
    struct waiter again = {.word = "again", .act = wait_again}, hears = {.word = "hears"};
    wait_for(loop, future, &setter);
    wait_for(loop, future, &again);
    wait_for(loop, other, &hears);
    set(future);
    assert_int_equal(turn(loop), 2);
    assert_happened("setter:value again:value");
    assert_int_equal(turn(loop), 2);
    assert_happened("hears:value again:value");
    assert_int_equal(again.destroyed, 2);
    pf_future_unref(future);
    pf_future_unref(other);
    drop(&world);
}

static void close_loop(pf_loop *loop, pf_future *future, struct waiter *waiter)
{
    (void)future, (void)waiter;
    assert_int_equal(pf_loop_close(loop, false), -EBUSY);
    assert_int_equal(pf_loop_start(loop), -EBUSY);
}

static void one_who_is_called_cannot_close_the_loop(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter closer = {.word = "closer", .act = close_loop};
    wait_for(loop, future, &closer);
    set(future);
    assert_int_equal(turn(loop), 1);
    assert_happened("closer:value");
    pf_future_unref(future);
    drop(&world);
}

static void what_one_who_is_called_fails_with_is_reported(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    static const int results[] = {-EIO, -EPIPE, 0, PF_DONE, 42};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        pf_future *future = new_future(loop);
        struct waiter waiter = {.word = "got", .result = results[i]};
        wait_for(loop, future, &waiter);
        set(future);
        assert_int_equal(turn(loop), 1);
        assert_happened("got:value");
        if (results[i] < 0)
            assert_string_equal(report.where, "here");
        assert_reported(results[i] < 0, results[i]);
        pf_future_unref(future);
    }
    drop(&world);
}

static void a_wait_has_its_place_in_a_queue_that_is_full(void **state)
{
    (void)state;
    struct world world;
    make_with(&world, 2);
    pf_loop *loop = world.loop;
    pf_future *future = new_future(loop);
    struct waiter first = {.word = "first"}, second = {.word = "second"}, third = {0};
    char text[] = "callback";
    wait_for(loop, future, &first);
    wait_for(loop, future, &second);
    assert_int_equal(pf_loop_add_future(loop, future, on_done, &third), -ENOSPC);
    say(loop, text); /* that others wait for a future locks nobody out */
    say(loop, text);
    assert_int_equal(pf_loop_add_callback(loop, note_word, text), -ENOSPC);
    set(future);
    assert_int_equal(pf_loop_add_future(loop, future, on_done, &third), -ENOSPC);
    assert_int_equal(pf_loop_add_callback(loop, note_word, text), -ENOSPC);
    assert_int_equal(turn(loop), 4);
    assert_happened("callback callback first:value second:value");

    /* What was removed has given its place back, sooner or later. */
    for (int i = 0; i < 10; i++) {
        wait_for(loop, future, &first);
        assert_int_equal(pf_loop_remove_future(loop, future, on_done, &first), 0);
        (void)turn(loop);
    }
    pf_future *pending = new_future(loop);
    for (int i = 0; i < 10; i++) {
        wait_for(loop, pending, &first);
        assert_int_equal(pf_loop_remove_future(loop, pending, on_done, &first), 0);
    }
    pf_future_unref(pending);
    pf_future_unref(future);
    drop(&world);
}

static int count_call(pf_loop *loop, pf_future *future, void *arg)
{
    (void)loop, (void)future;
    ++*(int *)arg;
    return 0;
}

static void a_hundred_thousand_can_wait_for_one_future(void **state)
{
    (void)state;
    enum {
        MANY = 100000
    };
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    int calls = 0;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pf_loop_add_future(loop, future, count_call, &calls), 0);
    set(future);
    assert_int_equal(turn(loop), MANY);
    assert_int_equal(calls, MANY);
    pf_future_unref(future);
    drop(&world);
}

/* ---- refusals -------------------------------------------------------------------- */

static void a_null_where_none_is_allowed_is_refused(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop), *out = NULL;
    assert_int_equal(pf_future_new(NULL, &out), -EINVAL);
    assert_int_equal(pf_future_new(loop, NULL), -EINVAL);
    assert_int_equal(pf_future_set_value(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(pf_future_set_error(NULL, -EIO), -EINVAL);
    assert_int_equal(pf_future_on_cancel(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(pf_future_result(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(pf_future_cancel(NULL), -EINVAL);
    assert_int_equal(pf_loop_add_future(NULL, future, on_done, NULL), -EINVAL);
    assert_int_equal(pf_loop_add_future(loop, NULL, on_done, NULL), -EINVAL);
    assert_int_equal(pf_loop_add_future(loop, future, NULL, NULL), -EINVAL);
    assert_int_equal(pf_loop_remove_future(NULL, future, on_done, NULL), -EINVAL);
    assert_int_equal(pf_loop_remove_future(loop, NULL, on_done, NULL), -EINVAL);
    assert_int_equal(pf_loop_remove_future(loop, future, NULL, NULL), -EINVAL);
    assert_null(out);
    pf_future_unref(future);
    drop(&world);
}

static void another_loops_future_cannot_be_waited_for(void **state)
{
    (void)state;
    struct world world, elsewhere;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(make(&elsewhere)), *whole = NULL;
    assert_int_equal(pf_loop_add_future(loop, future, on_done, NULL), -EXDEV);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, NULL), -EXDEV);
    assert_int_equal(pf_future_all(loop, &future, 1, &whole), -EXDEV);
    assert_int_equal(pf_future_any(loop, &future, 1, &whole), -EXDEV);
    assert_null(whole);
    pf_future_unref(future);
    drop(&elsewhere);
    drop(&world);
}

struct elsewhere {
    pf_loop *loop, *own;
    pf_future *future, *out;
    int answers[10];
    bool done;
};

static void *call_all(void *arg)
{
    struct elsewhere *in = arg;
    int *answer = in->answers;
    *answer++ = pf_future_new(in->loop, &in->out);
    *answer++ = pf_future_set_value(in->future, NULL, NULL);
    *answer++ = pf_future_set_error(in->future, -EIO);
    *answer++ = pf_future_on_cancel(in->future, NULL, NULL);
    *answer++ = pf_future_result(in->future, NULL, NULL);
    *answer++ = pf_future_cancel(in->future);
    *answer++ = pf_loop_add_future(in->loop, in->future, on_done, NULL);
    *answer++ = pf_loop_remove_future(in->loop, in->future, on_done, NULL);
    *answer++ = pf_future_all(in->loop, &in->future, 1, &in->out);
    *answer++ = pf_future_any(in->loop, &in->future, 1, &in->out);
    in->done = pf_future_is_done(in->future);
    (void)pf_future_ref(in->future);
    for (int i = 0; i < 5; i++)
        pf_future_unref(in->future);
    return NULL;
}

static void a_foreign_thread_is_refused_and_counts_nothing(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct elsewhere in = {.loop = loop, .future = new_future(loop)};
    pthread_t thread;
    values_destroyed = 0;
    assert_int_equal(pf_future_set_value(in.future, value_text, count_value), 0);
    assert_int_equal(pthread_create(&thread, NULL, call_all, &in), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(in.answers[i], -EPERM);
    assert_false(in.done);
    assert_null(in.out);
    assert_true(pf_future_is_done(in.future));
    assert_int_equal(values_destroyed, 0);
    pf_future_unref(in.future);
    assert_int_equal(values_destroyed, 1);
    drop(&world);
}

/* ---- the loop is closed ---------------------------------------------------------- */

static void a_closed_loop_calls_nobody_and_destroys_each_arg_once(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *pending = new_future(loop), *done = new_future(loop), *out = NULL;
    struct waiter waits = {.word = "waits"}, queued = {.word = "queued"};
    struct waiter removed = {.word = "removed"};
    values_destroyed = 0;
    wait_for(loop, pending, &waits);
    wait_for(loop, done, &queued);
    wait_for(loop, done, &removed);
    assert_int_equal(pf_future_set_value(done, value_text, count_value), 0);
    assert_int_equal(pf_loop_remove_future(loop, done, on_done, &removed), 0);
    pf_loop_ref(loop);
    drop(&world);
    assert_happened("");
    assert_int_equal(waits.destroyed, 1);
    assert_int_equal(queued.destroyed, 1);
    assert_int_equal(removed.destroyed, 1);

    assert_int_equal(pf_future_set_value(pending, NULL, NULL), -ESTALE);
    assert_int_equal(pf_future_set_error(pending, -EIO), -ESTALE);
    assert_int_equal(pf_future_on_cancel(pending, NULL, NULL), -ESTALE);
    assert_int_equal(pf_future_cancel(pending), -ESTALE);
    assert_int_equal(pf_future_result(done, NULL, NULL), -ESTALE);
    assert_int_equal(pf_loop_add_future(loop, done, on_done, NULL), -ESTALE);
    assert_int_equal(pf_loop_remove_future(loop, done, on_done, NULL), -ESTALE);
    assert_int_equal(pf_future_new(loop, &out), -ESTALE);
    assert_int_equal(pf_future_all(loop, &done, 1, &out), -ESTALE);
    assert_int_equal(pf_future_any(loop, &done, 1, &out), -ESTALE);
    assert_false(pf_future_is_done(done));
    pf_loop_unref(loop);
    assert_int_equal(values_destroyed, 0);
    assert_ptr_equal(pf_future_ref(done), done);
    pf_future_unref(done);
    pf_future_unref(done);
    assert_int_equal(values_destroyed, 1);
    pf_future_unref(pending);
}

static void unref_future(void *arg)
{
    pf_future_unref(arg);
}

static void those_who_wait_may_hold_what_they_wait_for(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *pending = new_future(loop), *done = new_future(loop);
    values_destroyed = 0;
    assert_int_equal(
        pf_loop_add_future_full(loop, pending, on_done, pending, unref_future, NULL), 0);
    assert_int_equal(pf_loop_add_future_full(loop, done, on_done, done, unref_future, NULL),
                     0);
    assert_int_equal(pf_future_set_value(done, value_text, count_value), 0);
    drop(&world);
    assert_int_equal(values_destroyed, 1);
}

static void a_future_of_a_closed_loop_makes_no_report(void **state)
{
    (void)state;
    struct world world;
    pf_future *future = new_future(make(&world));
    assert_int_equal(pf_future_set_error(future, -EIO), 0);
    drop(&world);
    pf_future_unref(future);
    assert_reported(0, 0);
}

/* ---- references ------------------------------------------------------------------ */

static void those_who_wait_for_a_future_that_is_dropped_get_ecanceled(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter waiter = {.word = "got"}, other = {.word = "other"};
    char expected[64];
    wait_for(loop, future, &waiter);
    wait_for(loop, future, &other);
    pf_future_unref(future);
    assert_happened("");
    assert_int_equal(turn(loop), 2);
    snprintf(expected, sizeof expected, "got(%d) other(%d)", -ECANCELED, -ECANCELED);
    assert_happened(expected);
    drop(&world);
}

static void dropping_one_that_nobody_waits_for_is_no_error(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter waiter = {.word = "never"};
    wait_for(loop, future, &waiter);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &waiter), 0);
    pf_future_unref(future);
    assert_int_equal(turn(loop), 0);
    drop(&world);
}

static pf_future *failed_future(pf_loop *loop)
{
    pf_future *future;
    assert_int_equal(pf_future_new_at(loop, "there", &future), 0);
    assert_int_equal(pf_future_set_error(future, -EIO), 0);
    return future;
}

static void an_error_that_nobody_has_asked_for_is_reported_with_the_last_reference(
    void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = failed_future(loop);
    void *value;
    assert_int_equal(pf_future_result(future, NULL, &value), 0); /* does not ask for it */
    pf_future_ref(future);
    pf_future_unref(future);
    assert_reported(0, 0);
    pf_future_unref(future);
    assert_string_equal(report.where, "there");
    assert_reported(1, -EIO);

    int error;
    future = failed_future(loop);
    assert_int_equal(pf_future_result(future, &error, NULL), 0);
    pf_future_unref(future);
    assert_reported(0, 0);

    struct waiter incurious = {.word = "called", .incurious = true};
    future = failed_future(loop);
    wait_for(loop, future, &incurious);
    pf_future_unref(future);
    assert_reported(0, 0);
    assert_int_equal(turn(loop), 1);
    assert_reported(1, -EIO);
    assert_happened("called");
    drop(&world);
}

static void close_and_drop(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)arg;
    assert_int_equal(error->error, -EIO);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void the_report_may_be_the_end_of_the_loop(void **state)
{
    (void)state;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *loop;
    options.on_error = close_and_drop;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    pf_future_unref(failed_future(loop));
}

/* ---- cancelling ------------------------------------------------------------------ */

static void a_cancelled_future_fails_with_ecanceled(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter waiter = {.word = "got", .incurious = true};
    int error = 0;
    wait_for(loop, future, &waiter);
    assert_int_equal(pf_future_cancel(future), 0);
    assert_true(pf_future_is_done(future));
    assert_int_equal(turn(loop), 1);
    assert_happened("got");
    assert_int_equal(pf_future_cancel(future), -EALREADY);
    pf_future_unref(future); /* no report: whoever cancels knows */

    future = new_future(loop);
    assert_int_equal(pf_future_cancel(future), 0);
    assert_int_equal(pf_future_result(future, &error, NULL), 0);
    assert_int_equal(error, -ECANCELED);
    pf_future_unref(future);
    drop(&world);
}

static void of_cancelling_and_setting_the_first_one_counts(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *cancelled = new_future(loop), *resolved = new_future(loop);
    int error;
    values_destroyed = 0;
    assert_int_equal(pf_future_cancel(cancelled), 0);
    assert_int_equal(pf_future_set_value(cancelled, value_text, count_value), -EALREADY);
    assert_int_equal(pf_future_set_error(cancelled, -EIO), -EALREADY);
    set(resolved);
    assert_int_equal(pf_future_cancel(resolved), -EALREADY);
    assert_int_equal(pf_future_result(resolved, &error, NULL), 0);
    assert_int_equal(error, 0);
    assert_int_equal(values_destroyed, 0);
    pf_future_unref(cancelled);
    pf_future_unref(resolved);
    drop(&world);
}

struct worker {
    int asked, answer;
    bool sets, cancels, drops;
};

static int on_cancel(pf_future *future, void *arg)
{
    struct worker *worker = arg;
    worker->asked++;
    if (worker->sets)
        set(future);
    if (worker->cancels)
        assert_int_equal(pf_future_cancel(future), -EBUSY);
    if (worker->drops)
        pf_future_unref(future);
    return worker->answer;
}

static void work_that_cannot_be_stopped_goes_on(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct worker worker = {.answer = -EBUSY};
    assert_int_equal(pf_future_on_cancel(future, on_cancel, &worker), 0);
    assert_int_equal(pf_future_cancel(future), -EBUSY);
    assert_int_equal(pf_future_cancel(future), -EBUSY);
    assert_int_equal(worker.asked, 2);
    assert_false(pf_future_is_done(future));
    worker.answer = PF_DONE; /* as good as 0 */
    assert_int_equal(pf_future_cancel(future), 0);
    assert_int_equal(pf_future_cancel(future), -EALREADY);
    assert_int_equal(worker.asked, 3);
    assert_int_equal(pf_future_on_cancel(future, on_cancel, &worker), -EALREADY);
    pf_future_unref(future);

    future = new_future(loop);
    assert_int_equal(pf_future_on_cancel(future, on_cancel, &worker), 0);
    assert_int_equal(pf_future_on_cancel(future, NULL, NULL), 0);
    assert_int_equal(pf_future_cancel(future), 0);
    assert_int_equal(worker.asked, 3);
    pf_future_unref(future);
    drop(&world);
}

static void nobody_is_asked_when_a_future_is_set_or_dropped(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *done = new_future(loop), *dropped = new_future(loop);
    struct worker worker = {0};
    struct waiter waiter = {.word = "got"};
    assert_int_equal(pf_future_on_cancel(done, on_cancel, &worker), 0);
    assert_int_equal(pf_future_on_cancel(dropped, on_cancel, &worker), 0);
    wait_for(loop, dropped, &waiter);
    set(done);
    pf_future_unref(done);
    pf_future_unref(dropped);
    assert_int_equal(turn(loop), 1);
    assert_int_equal(worker.asked, 0);
    drop(&world);
}

static void one_who_is_asked_to_stop_may_do_the_wrong_thing(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct worker worker = {.sets = true};
    pf_future *future = new_future(loop);
    assert_int_equal(pf_future_on_cancel(future, on_cancel, &worker), 0);
    assert_int_equal(pf_future_cancel(future), -EALREADY);
    pf_future_unref(future);

    worker = (struct worker){.cancels = true};
    future = new_future(loop);
    assert_int_equal(pf_future_on_cancel(future, on_cancel, &worker), 0);
    assert_int_equal(pf_future_cancel(future), 0);
    assert_int_equal(worker.asked, 1);
    pf_future_unref(future);

    worker = (struct worker){.drops = true};
    future = new_future(loop);
    assert_int_equal(pf_future_on_cancel(future, on_cancel, &worker), 0);
    assert_int_equal(pf_future_cancel(future), 0);
    drop(&world);
}

/* ---- context --------------------------------------------------------------------- */

struct hooks {
    int captured, released, inside;
    bool reported_inside;
    char request; /* its address is the context */
};

static void *capture(void *arg)
{
    struct hooks *hooks = arg;
    hooks->captured++;
    return &hooks->request;
}

static void *enter(void *context, void *arg)
{
    struct hooks *hooks = arg;
    assert_ptr_equal(context, &hooks->request);
    assert_int_equal(hooks->inside++, 0);
    note("enter");
    return &hooks->inside;
}

static void leave(void *context, void *entered, void *arg)
{
    struct hooks *hooks = arg;
    assert_ptr_equal(context, &hooks->request);
    assert_ptr_equal(entered, &hooks->inside);
    hooks->inside--;
    note("leave");
}

static void release(void *context, void *arg)
{
    struct hooks *hooks = arg;
    assert_ptr_equal(context, &hooks->request);
    assert_int_equal(hooks->inside, 0);
    hooks->released++;
}

static void on_error_inside(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    struct hooks *hooks = arg;
    (void)loop;
    if (error->error == -EPROTO)
        hooks->reported_inside = hooks->inside == 1;
}

static void what_was_around_the_wait_is_around_the_call(void **state)
{
    (void)state;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    struct hooks hooks = {0};
    struct pf_context_hooks table = {sizeof table, capture, enter, leave, release, &hooks};
    struct waiter called = {.word = "called", .result = -EPROTO};
    struct waiter removed = {.word = "removed"}, late = {.word = "late"};
    pf_loop *loop;
    trace[0] = 0;
    options.on_error = on_error_inside;
    options.on_error_arg = &hooks;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_set_context_hooks(loop, &table), 0);
    pf_future *future = new_future(loop), *pending = new_future(loop);
    assert_int_equal(hooks.captured, 0);
    wait_for(loop, future, &called);
    wait_for(loop, future, &removed);
    wait_for(loop, future, &late);
    wait_for(loop, pending, &removed);
    wait_for(loop, pending, &late);
    assert_int_equal(hooks.captured, 5);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), -EBUSY);
    set(future);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), -EBUSY);
    assert_int_equal(hooks.captured, 5); /* not in the context of whoever sets it */
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &removed), 0);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &late), 0);
    assert_int_equal(pf_loop_remove_future(loop, pending, on_done, &removed), 0);
    assert_int_equal(hooks.released, 3);
    (void)turn(loop);
    assert_happened("enter called:value leave");
    assert_true(hooks.reported_inside);
    assert_int_equal(hooks.released, 4);
    wait_for(loop, future, &late); /* queued, and dropped by the close */
    assert_int_equal(pf_loop_close(loop, false), 0);
    assert_int_equal(hooks.released, 6);
    assert_int_equal(hooks.captured, 6);
    pf_future_unref(future);
    pf_future_unref(pending);
    pf_loop_unref(loop);
}

/* ---- looking in ------------------------------------------------------------------ */

struct seen {
    int futures, others;
    void *args[4];
};

static int look(const struct pf_loop_item *item, void *arg)
{
    struct seen *seen = arg;
    if (item->kind != PF_LOOP_FUTURE) {
        seen->others++;
        return 0;
    }
    assert_string_equal(item->where, "here");
    assert_int_equal(item->fd, -1);
    assert_true(seen->futures < 4);
    seen->args[seen->futures++] = item->arg;
    return 0;
}

static int end_walk(const struct pf_loop_item *item, void *arg)
{
    (void)item;
    ++*(int *)arg;
    return 42;
}

static void those_who_wait_show_in_a_walk_until_they_are_called(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop);
    struct waiter first = {.word = "first"}, second = {.word = "second"};
    wait_for(loop, future, &first);
    wait_for(loop, future, &second);
    for (int done = 0; done < 2; done++) {
        struct seen seen = {0};
        assert_int_equal(pf_loop_walk(loop, look, &seen), 0);
        assert_int_equal(seen.futures, 2);
        assert_int_equal(seen.others, 0);
        assert_ptr_equal(seen.args[0], &first);
        assert_ptr_equal(seen.args[1], &second);
        if (!done)
            set(future);
    }
    int seen_by_walk = 0;
    assert_int_equal(pf_loop_walk(loop, end_walk, &seen_by_walk), 42);
    assert_int_equal(seen_by_walk, 1);
    assert_int_equal(pf_loop_remove_future(loop, future, on_done, &first), 0);
    struct seen seen = {0};
    assert_int_equal(pf_loop_walk(loop, look, &seen), 0);
    assert_int_equal(seen.futures, 1);
    (void)turn(loop);
    assert_int_equal(pf_loop_walk(loop, look, &seen), 0);
    assert_int_equal(seen.futures + seen.others, 1);
    pf_future_unref(future);
    drop(&world);
}

/* ---- memory ---------------------------------------------------------------------- */

static void a_wait_or_future_that_runs_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = NULL;
    pf_alloc_fail(1);
    int err = pf_future_new(loop, &future);
    (void)pf_alloc_stop();
    assert_int_equal(err, -ENOMEM);
    assert_null(future);
    future = new_future(loop);

    struct waiter waiter = {.word = "got"};
    int added = 0, refused = 0, failing = 0;
    while (added < 300) {
        pf_alloc_fail(++failing);
        err =
            pf_loop_add_future_full(loop, future, on_done, &waiter, count_destroyed, NULL);
        (void)pf_alloc_stop();
        assert_true(err == 0 || err == -ENOMEM);
        refused += err != 0;
        if (err == 0) {
            failing = 0;
            added++;
        }
    }
    assert_true(refused > added); /* the wait, and now and then the queue */
    assert_int_equal(waiter.destroyed, 0);
    waiter.incurious = true;
    pf_alloc_fail(-1); /* what follows needs no memory */
    err = pf_future_set_value(future, value_text, NULL);
    int ran = pf_loop_turn(loop, 0);
    (void)pf_alloc_stop();
    trace[0] = 0;
    assert_int_equal(err, 0);
    assert_int_equal(ran, added);
    assert_int_equal(waiter.calls, added);
    assert_int_equal(waiter.destroyed, added);
    pf_future_unref(future);
    drop(&world);
}

static void removing_cancelling_and_dropping_need_no_memory(void **state)
{
    (void)state;
    pf_alloc_needed();
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *future = new_future(loop), *cancelled = new_future(loop);
    struct waiter waiter = {.word = "got", .incurious = true};
    wait_for(loop, future, &waiter);
    wait_for(loop, future, &waiter);
    wait_for(loop, cancelled, &waiter);
    pf_alloc_fail(-1);
    int answers = pf_loop_remove_future(loop, future, on_done, &waiter);
    answers |= pf_future_cancel(cancelled);
    pf_future_unref(cancelled);
    pf_future_unref(future);
    int ran = pf_loop_turn(loop, 0);
    (void)pf_alloc_stop();
    assert_int_equal(answers, 0);
    assert_int_equal(ran, 2);
    assert_int_equal(waiter.destroyed, 3);
    assert_happened("got got");
    assert_reported(1, -ECANCELED); /* the dropped one's */
    drop(&world);
}

/* ---- all ------------------------------------------------------------------------- */

static pf_future *all_of(pf_loop *loop, pf_future *const *futures, size_t count)
{
    pf_future *whole = NULL;
    assert_int_equal(pf_future_all(loop, futures, count, &whole), 0);
    return whole;
}

static pf_future *any_of(pf_loop *loop, pf_future *const *futures, size_t count)
{
    pf_future *whole = NULL;
    assert_int_equal(pf_future_any(loop, futures, count, &whole), 0);
    return whole;
}

static void make_futures(pf_loop *loop, pf_future **futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        futures[i] = new_future(loop);
}

static void unref_all(pf_future *const *futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pf_future_unref(futures[i]);
}

static void all_are_done_when_the_last_one_is(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[3];
    make_futures(loop, parts, 3);
    set(parts[1]); /* also one that is done already */
    pf_future *whole = all_of(loop, parts, 3);
    struct waiter waiter = {.word = "all"};
    wait_for(loop, whole, &waiter);
    set(parts[2]);
    (void)turn(loop);
    (void)turn(loop);
    assert_false(pf_future_is_done(whole));
    set(parts[0]);
    (void)turn(loop);
    assert_true(pf_future_is_done(whole));
    assert_happened("");
    (void)turn(loop);
    assert_happened("all:nothing");
    unref_all(parts, 3);
    pf_future_unref(whole);
    drop(&world);
}

static void all_fail_with_the_first_of_the_list_that_did(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[4];
    int error = 0;
    make_futures(loop, parts, 4);
    pf_future *whole = all_of(loop, parts, 4);
    assert_int_equal(pf_future_set_error(parts[3], -EPROTO), 0);
    assert_int_equal(pf_future_set_error(parts[1], -EIO), 0);
    set(parts[0]);
    (void)turn(loop);
    assert_false(pf_future_is_done(whole));
    set(parts[2]);
    (void)turn(loop);
    assert_int_equal(pf_future_result(whole, &error, NULL), 0);
    assert_int_equal(error, -EIO);
    unref_all(parts, 4); /* no reports: all were asked */
    pf_future_unref(whole);
    drop(&world);
}

static void all_of_none_are_done_at_once(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *whole = all_of(loop, NULL, 0);
    int error = 77;
    assert_int_equal(pf_future_result(whole, &error, NULL), 0);
    assert_int_equal(error, 0);
    pf_future_unref(whole);
    drop(&world);
}

static void cancelling_all_cancels_those_that_are_pending(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[3];
    struct worker worker = {.answer = -EBUSY};
    int error = 0;
    make_futures(loop, parts, 3);
    assert_int_equal(pf_future_on_cancel(parts[2], on_cancel, &worker), 0);
    pf_future *whole = all_of(loop, parts, 3);
    set(parts[0]);
    assert_int_equal(pf_future_cancel(whole), 0);
    assert_int_equal(pf_future_result(whole, &error, NULL), 0);
    assert_int_equal(error, -ECANCELED);
    assert_int_equal(pf_future_result(parts[0], &error, NULL), 0);
    assert_int_equal(error, 0);
    assert_int_equal(pf_future_result(parts[1], &error, NULL), 0);
    assert_int_equal(error, -ECANCELED);
    assert_int_equal(worker.asked, 1);
    assert_false(pf_future_is_done(parts[2])); /* cannot be stopped */
    (void)turn(loop);
    set(parts[2]);
    (void)turn(loop);
    unref_all(parts, 3);
    pf_future_unref(whole);
    drop(&world);
}

static void one_that_is_in_the_list_twice_counts_twice(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *part = new_future(loop);
    pf_future *const twice[] = {part, part};
    pf_future *all = all_of(loop, twice, 2), *any = any_of(loop, twice, 2);
    set(part);
    (void)turn(loop);
    assert_true(pf_future_is_done(all));
    assert_true(pf_future_is_done(any));
    pf_future_unref(part);
    pf_future_unref(all);
    pf_future_unref(any);
    drop(&world);
}

/* ---- any ------------------------------------------------------------------------- */

static void any_is_the_first_one_that_is_done(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    for (int fails = 0; fails < 2; fails++) {
        pf_future *parts[3], *won = NULL;
        int error = 77;
        make_futures(loop, parts, 3);
        pf_future *whole = any_of(loop, parts, 3);
        (void)turn(loop);
        assert_false(pf_future_is_done(whole));
        if (fails)
            assert_int_equal(pf_future_set_error(parts[1], -EIO), 0);
        else
            set(parts[1]);
        set(parts[0]); /* too late */
        (void)turn(loop);
        unref_all(parts, 3);
        assert_int_equal(pf_future_result(whole, &error, (void **)&won), 0);
        assert_int_equal(error, 0);
        assert_ptr_equal(won, parts[1]); /* which the whole holds */
        assert_int_equal(pf_future_result(won, &error, NULL), 0);
        assert_int_equal(error, fails ? -EIO : 0);
        pf_future_unref(whole);
        (void)turn(loop);
    }
    drop(&world);
}

static void of_those_that_were_done_before_any_is_the_first_of_the_list(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[3], *won = NULL;
    make_futures(loop, parts, 3);
    set(parts[2]);
    set(parts[1]);
    pf_future *whole = any_of(loop, parts, 3);
    assert_false(pf_future_is_done(whole));
    (void)turn(loop);
    assert_int_equal(pf_future_result(whole, NULL, (void **)&won), 0);
    assert_ptr_equal(won, parts[1]);
    unref_all(parts, 3);
    pf_future_unref(whole);
    drop(&world);
}

static void the_others_of_any_go_on_and_are_let_go(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[2];
    struct waiter waiter = {.word = "other"};
    char expected[64];
    make_futures(loop, parts, 2);
    pf_future *whole = any_of(loop, parts, 2);
    wait_for(loop, parts[1], &waiter);
    set(parts[0]);
    (void)turn(loop);
    assert_true(pf_future_is_done(whole));
    assert_false(pf_future_is_done(parts[1]));
    pf_future_unref(parts[1]); /* the last one: whoever waits for it hears of it */
    (void)turn(loop);
    snprintf(expected, sizeof expected, "other(%d)", -ECANCELED);
    assert_happened(expected);
    pf_future_unref(parts[0]);
    pf_future_unref(whole);
    drop(&world);
}

static void cancelling_any_cancels_none(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[2];
    make_futures(loop, parts, 2);
    pf_future *whole = any_of(loop, parts, 2);
    set(parts[0]);
    assert_int_equal(pf_future_cancel(whole), 0);
    (void)turn(loop);
    assert_false(pf_future_is_done(parts[1]));
    unref_all(parts, 2);
    pf_future_unref(whole);
    drop(&world);
}

/* ---- both ------------------------------------------------------------------------ */

typedef int group_fn(pf_loop *loop, pf_future *const *futures, size_t count,
                     pf_future **out);

static group_fn *const groups[] = {pf_future_all, pf_future_any};

static void a_group_of_nothing_is_refused(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *parts[2] = {new_future(loop), NULL}, *out = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(groups[i](NULL, parts, 1, &out), -EINVAL);
        assert_int_equal(groups[i](loop, NULL, 1, &out), -EINVAL);
        assert_int_equal(groups[i](loop, parts, 1, NULL), -EINVAL);
        assert_int_equal(groups[i](loop, parts, 2, &out), -EINVAL);
    }
    assert_int_equal(pf_future_any(loop, parts, 0, &out), -EINVAL);
    assert_null(out);
    pf_future_unref(parts[0]);
    drop(&world);
}

static void a_group_that_nobody_wants_any_more_is_no_error(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    for (int i = 0; i < 2; i++) {
        pf_future *parts[2], *whole;
        make_futures(loop, parts, 2);
        assert_int_equal(groups[i](loop, parts, 2, &whole), 0);
        pf_future_unref(whole);
        (void)turn(loop);
        set(parts[0]);
        set(parts[1]);
        (void)turn(loop);
        unref_all(parts, 2);
    }
    drop(&world);
}

static void a_failure_of_all_that_nobody_asks_for_is_reported(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    pf_future *part = new_future(loop);
    pf_future_unref(all_of(loop, &part, 1));
    assert_int_equal(pf_future_set_error(part, -EIO), 0);
    (void)turn(loop);
    assert_reported(1, -EIO);
    pf_future_unref(part);
    drop(&world);
}

static void a_group_ends_with_its_loop(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        for (int done = 0; done < 2; done++)
            for (int held = 0; held < 2; held++) {
                struct world world;
                pf_loop *loop = make(&world);
                pf_future *parts[2], *whole;
                make_futures(loop, parts, 2);
                assert_int_equal(groups[i](loop, parts, 2, &whole), 0);
                if (done)
                    set(parts[1]);
                if (!held) {
                    pf_future_unref(whole);
                    unref_all(parts, 2);
                }
                drop(&world);
                if (held) {
                    assert_int_equal(pf_future_cancel(whole), -ESTALE);
                    pf_future_unref(whole);
                    unref_all(parts, 2);
                }
            }
}

static void a_group_that_runs_out_of_memory_lets_all_go(void **state)
{
    (void)state;
    pf_alloc_needed();
    for (int i = 0; i < 2; i++) {
        struct world world;
        pf_loop *loop = make(&world);
        pf_future *parts[3], *whole = NULL;
        make_futures(loop, parts, 3);
        set(parts[2]);
        assert_int_equal(pf_loop_reserve(loop, 0, 0, 100), 0);
        int failing = 0, err = -ENOMEM;
        while (err) {
            size_t before = pf_alloc_bytes();
            pf_alloc_fail(++failing);
            err = groups[i](loop, parts, 3, &whole);
            (void)pf_alloc_stop();
            if (err) {
                assert_int_equal(err, -ENOMEM);
                assert_null(whole);
                (void)turn(loop);
                assert_int_equal(pf_alloc_bytes(), before);
            }
        }
        assert_int_equal(failing, 1 + 1 + 3 + 1); /* the group, the whole, three waits */
        unref_all(parts, 2);
        pf_future_unref(whole);
        pf_future_unref(parts[2]);
        drop(&world);
    }
}

static void a_group_that_finds_no_places_lets_all_go(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        make_with(&world, 2);
        pf_loop *loop = world.loop;
        pf_future *parts[3], *whole = NULL;
        make_futures(loop, parts, 3);
        assert_int_equal(groups[i](loop, parts, 3, &whole), -ENOSPC);
        assert_null(whole);
        assert_int_equal(groups[i](loop, parts, 2, &whole), 0);
        pf_future_unref(whole);
        unref_all(parts, 3);
        drop(&world);
    }
}

/* ---- in a child ------------------------------------------------------------------ */

struct inherited {
    pf_loop *loop;
    pf_future *pending, *done;
    struct waiter waits, queued;
};

static void frees_then_discards(void *arg)
{
    struct inherited *in = arg;
    values_destroyed = 0;
    pf_future_unref(pf_future_ref(in->done));
    assert_int_equal(values_destroyed, 0);
    pf_future_unref(in->pending);
    pf_future_unref(in->done);
    assert_int_equal(in->waits.destroyed, 1);
    assert_int_equal(pf_loop_discard(in->loop), 0);
    assert_int_equal(in->queued.destroyed, 1);
    assert_int_equal(values_destroyed, 1);
    assert_int_equal(in->waits.calls + in->queued.calls + report.count, 0);
}

static void discards_then_frees(void *arg)
{
    struct inherited *in = arg;
    values_destroyed = 0;
    assert_int_equal(pf_loop_discard(in->loop), 0);
    assert_int_equal(in->waits.destroyed, 1);
    assert_int_equal(in->queued.destroyed, 1);
    assert_int_equal(pf_future_set_value(in->pending, NULL, NULL), -ECHILD);
    assert_int_equal(pf_future_result(in->done, NULL, NULL), -ECHILD);
    pf_future_unref(in->pending);
    pf_future_unref(in->done);
    assert_int_equal(values_destroyed, 1);
    assert_int_equal(in->waits.destroyed + in->queued.destroyed, 2);
}

static void in_a_child_futures_are_memory_and_their_args_are_destroyed(void **state)
{
    (void)state;
    struct world world;
    pf_loop *loop = make(&world);
    struct inherited in = {.loop = loop,
                           .pending = new_future(loop),
                           .done = new_future(loop),
                           .waits = {.word = "waits"},
                           .queued = {.word = "queued"}};
    values_destroyed = 0;
    wait_for(loop, in.pending, &in.waits);
    wait_for(loop, in.done, &in.queued);
    assert_int_equal(pf_future_set_value(in.done, value_text, count_value), 0);
    pf_test_in_child(frees_then_discards, &in);
    pf_test_in_child(discards_then_frees, &in);
    set(in.pending);
    assert_int_equal(turn(loop), 2);
    assert_happened("queued:value waits:value");
    pf_future_unref(in.pending);
    pf_future_unref(in.done);
    assert_int_equal(values_destroyed, 1);
    drop(&world);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(whoever_waits_is_called_in_the_iteration_after_the_future_was_set),
        pf_test(whoever_waits_for_one_that_is_done_is_called_later_all_the_same),
        pf_test(those_who_wait_are_called_in_order_among_the_callbacks),
        pf_test(a_future_is_set_once_and_another_value_stays_the_callers),
        pf_test(an_error_is_a_negative_errno),
        pf_test(the_result_can_be_asked_for_once_it_is_there),
        pf_test(a_value_is_destroyed_once_when_the_last_reference_goes),
        pf_test(a_wait_that_was_removed_is_not_called),
        pf_test(a_wait_can_be_removed_even_when_its_future_is_done),
        pf_test(the_same_wait_twice_is_two_and_the_first_is_removed_first),
        pf_test(one_who_is_called_can_remove_the_next_but_not_itself),
        pf_test(one_who_is_called_can_drop_the_last_reference),
        pf_test(what_one_who_is_called_sets_or_adds_is_heard_of_an_iteration_later),
        pf_test(one_who_is_called_cannot_close_the_loop),
        pf_test(what_one_who_is_called_fails_with_is_reported),
        pf_test(a_wait_has_its_place_in_a_queue_that_is_full),
        pf_test(a_hundred_thousand_can_wait_for_one_future),
        pf_test(a_null_where_none_is_allowed_is_refused),
        pf_test(another_loops_future_cannot_be_waited_for),
        pf_test(a_foreign_thread_is_refused_and_counts_nothing),
        pf_test(a_closed_loop_calls_nobody_and_destroys_each_arg_once),
        pf_test(those_who_wait_may_hold_what_they_wait_for),
        pf_test(a_future_of_a_closed_loop_makes_no_report),
        pf_test(those_who_wait_for_a_future_that_is_dropped_get_ecanceled),
        pf_test(dropping_one_that_nobody_waits_for_is_no_error),
        pf_test(an_error_that_nobody_has_asked_for_is_reported_with_the_last_reference),
        pf_test(the_report_may_be_the_end_of_the_loop),
        pf_test(a_cancelled_future_fails_with_ecanceled),
        pf_test(of_cancelling_and_setting_the_first_one_counts),
        pf_test(work_that_cannot_be_stopped_goes_on),
        pf_test(nobody_is_asked_when_a_future_is_set_or_dropped),
        pf_test(one_who_is_asked_to_stop_may_do_the_wrong_thing),
        pf_test(what_was_around_the_wait_is_around_the_call),
        pf_test(those_who_wait_show_in_a_walk_until_they_are_called),
        pf_test(a_wait_or_future_that_runs_out_of_memory_changes_nothing),
        pf_test(removing_cancelling_and_dropping_need_no_memory),
        pf_test(all_are_done_when_the_last_one_is),
        pf_test(all_fail_with_the_first_of_the_list_that_did),
        pf_test(all_of_none_are_done_at_once),
        pf_test(cancelling_all_cancels_those_that_are_pending),
        pf_test(one_that_is_in_the_list_twice_counts_twice),
        pf_test(any_is_the_first_one_that_is_done),
        pf_test(of_those_that_were_done_before_any_is_the_first_of_the_list),
        pf_test(the_others_of_any_go_on_and_are_let_go),
        pf_test(cancelling_any_cancels_none),
        pf_test(a_group_of_nothing_is_refused),
        pf_test(a_group_that_nobody_wants_any_more_is_no_error),
        pf_test(a_failure_of_all_that_nobody_asks_for_is_reported),
        pf_test(a_group_ends_with_its_loop),
        pf_test(a_group_that_runs_out_of_memory_lets_all_go),
        pf_test(a_group_that_finds_no_places_lets_all_go),
        pf_test(in_a_child_futures_are_memory_and_their_args_are_destroyed),
    };
    return cmocka_run_group_tests_name("future", tests, NULL, NULL);
}
