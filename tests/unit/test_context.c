/*
 * Context hooks: what was around a registration is around its call, and each captured
 * context is released exactly once, and not before it was left.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "tests/lib/fake.h"

#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- hooks that keep books ------------------------------------------------------- */

enum {
    CONTEXTS = 32
};

/* One captured context. */
struct captured {
    const char *name; /* what was around when it was captured */
    int inside;       /* entered and not left */
    int released;
};

static struct {
    const char *around; /* the context of this moment; NULL: none */
    struct captured all[CONTEXTS];
    int captures, enters, leaves, releases;
    int wrong; /* entered, left or released out of turn */
} books;

static void *capture(void *arg)
{
    assert_ptr_equal(arg, &books);
    if (!books.around)
        return NULL;
    assert_true(books.captures < CONTEXTS);
    struct captured *captured = &books.all[books.captures++];
    *captured = (struct captured){.name = books.around};
    return captured;
}

static void *enter(void *context, void *arg)
{
    struct captured *captured = context;
    assert_ptr_equal(arg, &books);
    books.enters++;
    books.wrong += captured->released || captured->inside;
    captured->inside++;
    const char *before = books.around;
    books.around = captured->name;
    return (void *)(uintptr_t)before;
}

static void leave(void *context, void *entered, void *arg)
{
    struct captured *captured = context;
    assert_ptr_equal(arg, &books);
    books.leaves++;
    books.wrong += captured->released || captured->inside != 1;
    captured->inside--;
    books.around = entered;
}

static void release(void *context, void *arg)
{
    struct captured *captured = context;
    assert_ptr_equal(arg, &books);
    books.releases++;
    books.wrong += captured->released || captured->inside;
    captured->released++;
}

static const struct pf_context_hooks hooks = {
    sizeof hooks, capture, enter, leave, release, &books,
};

/* Nothing is entered any more, all is released, and it happened in order. */
static void assert_books_are_closed(int captures)
{
    assert_int_equal(books.wrong, 0);
    assert_int_equal(books.captures, captures);
    assert_int_equal(books.releases, captures);
    assert_int_equal(books.enters, books.leaves);
    assert_null(books.around);
    for (int i = 0; i < books.captures; i++)
        assert_int_equal(books.all[i].released, 1);
}

/* ---- what is called -------------------------------------------------------------- */

/* The arg of all functions here: they note what is around them. */
struct visit;
typedef void act_fn(pf_loop *loop, struct visit *visit);

struct visit {
    const char *around;
    int calls;
    int result;
    act_fn *act;
    int fd;
    pf_timer timer;
    struct visit *other;
    int destroyed;
};

static int do_callback(pf_loop *loop, void *arg)
{
    struct visit *visit = arg;
    visit->calls++;
    visit->around = books.around;
    if (visit->act)
        visit->act(loop, visit);
    return visit->result;
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

static void count_destroyed(void *arg)
{
    struct visit *visit = arg;
    visit->destroyed++;
}

/* Where the error hook found itself, and what it does. */
static struct {
    int count;
    const char *around;
    act_fn *act;
    struct visit *visit;
} reported;

static void on_error(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    (void)error, (void)arg;
    reported.count++;
    reported.around = books.around;
    if (reported.act)
        reported.act(loop, reported.visit);
}

/* ---- loops ----------------------------------------------------------------------- */

static struct pf_fake_clock fake_clock;
static struct pf_fake_poller fake_poller;

static pf_loop *make(void)
{
    pf_loop *loop;
    fake_clock = (struct pf_fake_clock){.now = 1000};
    fake_poller = (struct pf_fake_poller){.clock = &fake_clock};
    memset(&books, 0, sizeof books);
    memset(&reported, 0, sizeof reported);
    struct pf_loop_options options = pf_fake_options(&fake_poller);
    options.on_error = on_error;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_set_context_hooks(loop, &hooks), 0);
    return loop;
}

static void drop(pf_loop *loop)
{
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static int open_ready(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    pf_fake_poller_ready(&fake_poller, fd, PF_READ);
    return fd;
}

static void around(const char *name)
{
    books.around = name;
}

/* Each kind of registration, made inside "a". */

static void watch(pf_loop *loop, struct visit *visit)
{
    around("a");
    assert_int_equal(pf_loop_add_handler_full(loop, visit->fd, PF_READ, do_handler, visit,
                                              count_destroyed, NULL),
                     0);
    around(NULL);
}

static void add(pf_loop *loop, struct visit *visit)
{
    around("a");
    assert_int_equal(
        pf_loop_add_callback_full(loop, do_callback, visit, count_destroyed, NULL), 0);
    around(NULL);
}

static void call_at(pf_loop *loop, int64_t when_ns, struct visit *visit)
{
    around("a");
    assert_int_equal(pf_loop_call_at_full(loop, when_ns, do_callback, visit,
                                          count_destroyed, NULL, &visit->timer),
                     0);
    around(NULL);
}

static void take(pf_loop *loop, struct visit *visit)
{
    around("a");
    assert_int_equal(
        pf_loop_add_signal_full(loop, SIGUSR1, do_signal, visit, count_destroyed, NULL), 0);
    around(NULL);
}

/* ---- around a call --------------------------------------------------------------- */

static void each_kind_of_call_runs_inside_what_was_around_its_registration(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit handler = {.fd = open_ready()}, callback = {0}, timer = {0}, taken = {0};
    watch(loop, &handler);
    add(loop, &callback);
    call_at(loop, 0, &timer);
    take(loop, &taken);
    around("b"); /* of the moment, which is not theirs */
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 4);
    assert_string_equal(books.around, "b");
    around(NULL);
    assert_string_equal(handler.around, "a");
    assert_string_equal(callback.around, "a");
    assert_string_equal(timer.around, "a");
    assert_string_equal(taken.around, "a");
    assert_int_equal(books.enters, 4);
    assert_int_equal(books.releases, 2); /* the callback's and the timer's */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(books.enters, 5); /* a handler's each time */
    drop(loop);
    assert_books_are_closed(4);
    close(handler.fd);
}

static void without_anything_around_nothing_is_entered(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit callback = {0}, timer = {0};
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &callback), 0);
    assert_int_equal(pf_loop_call_at(loop, 0, do_callback, &timer, NULL), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_int_equal(books.enters, 0);
    drop(loop);
    assert_books_are_closed(0);
}

static void spawned_and_signalled_callbacks_have_no_context(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit spawned = {.around = "?"}, signalled = {.around = "?"};
    around("a");
    assert_int_equal(pf_loop_spawn_callback(loop, do_callback, &spawned), 0);
    assert_int_equal(pf_loop_add_callback_from_signal(loop, do_callback, &signalled), 0);
    around(NULL);
    assert_int_equal(pf_loop_turn(loop, 0), 2);
    assert_null(spawned.around);
    assert_null(signalled.around);
    drop(loop);
    assert_books_are_closed(0);
}

static void act_add_other(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_add_callback(loop, do_callback, visit->other), 0);
}

static void a_context_goes_on_through_what_is_added_inside_it(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit third = {0}, second = {.act = act_add_other, .other = &third};
    struct visit first = {.act = act_add_other, .other = &second};
    add(loop, &first);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(third.around, "a");
    drop(loop);
    assert_books_are_closed(3);
}

static void *add_elsewhere(void *arg)
{
    (void)pf_loop_add_callback(pf_loop_instance(), do_callback, arg);
    return NULL;
}

static void capture_is_asked_on_the_thread_that_registers(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit visit = {0};
    pthread_t thread;
    assert_int_equal(pf_loop_install(loop), 0);
    around("elsewhere"); /* nobody else looks at it until the join */
    assert_int_equal(pthread_create(&thread, NULL, add_elsewhere, &visit), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    around(NULL);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(visit.around, "elsewhere");
    pf_loop_clear_instance();
    drop(loop);
    assert_books_are_closed(1);
}

static void the_error_hook_runs_inside_the_context_that_failed(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit handler = {.fd = open_ready(), .result = -EIO};
    struct visit callback = {.result = -EIO}, timer = {.result = -EIO};
    struct visit taken = {.result = -EIO};
    add(loop, &callback);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(reported.around, "a");
    reported.around = NULL;
    call_at(loop, 0, &timer);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(reported.around, "a");
    reported.around = NULL;
    take(loop, &taken);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(reported.around, "a");
    reported.around = NULL;
    watch(loop, &handler);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(reported.around, "a");
    assert_int_equal(reported.count, 4);
    drop(loop);
    assert_books_are_closed(4);
    close(handler.fd);
}

/* ---- released once, whichever way it ends ---------------------------------------- */

static void act_remove_handler(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_remove_handler(loop, visit->fd), 0);
    assert_int_equal(visit->destroyed, 0); /* it runs */
}

static void act_remove_and_close(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_remove_and_close(loop, visit->fd), 0);
    assert_int_equal(visit->destroyed, 0);
}

static void act_replace_handler(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_remove_handler(loop, visit->fd), 0);
    assert_int_equal(
        pf_loop_add_handler(loop, visit->fd, PF_READ, do_handler, visit->other), 0);
}

static void act_remove_signal(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    assert_int_equal(visit->destroyed, 0);
}

static void act_replace_signal(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, do_signal, visit->other), 0);
}

static void a_handlers_context_is_released_after_it_was_left(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit done = {.fd = open_ready(), .result = PF_DONE};
    watch(loop, &done);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(done.destroyed, 1);
    assert_books_are_closed(1);

    struct visit removed = {.fd = done.fd, .act = act_remove_handler};
    watch(loop, &removed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(removed.destroyed, 1);
    assert_books_are_closed(2);

    struct visit outside = {.fd = done.fd};
    watch(loop, &outside);
    assert_int_equal(pf_loop_remove_handler(loop, outside.fd), 0);
    assert_int_equal(outside.destroyed, 1);
    assert_books_are_closed(3);

    struct visit next = {0}, replaced = {.fd = done.fd, .act = act_replace_handler};
    replaced.other = &next;
    watch(loop, &replaced);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(books.releases, 4);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(next.around, "a");
    assert_int_equal(pf_loop_remove_handler(loop, done.fd), 0);
    assert_books_are_closed(5);

    struct visit closed = {.fd = done.fd, .act = act_remove_and_close};
    watch(loop, &closed);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(closed.destroyed, 1);
    drop(loop);
    assert_books_are_closed(6);
}

static void the_error_hook_may_remove_what_failed(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit handler = {.fd = open_ready(), .result = -EIO}, taken = {.result = -EIO};
    watch(loop, &handler);
    reported.act = act_remove_handler;
    reported.visit = &handler;
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(handler.destroyed, 1);
    assert_books_are_closed(1);
    take(loop, &taken);
    reported.act = act_remove_signal;
    reported.visit = &taken;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(taken.destroyed, 1);
    assert_int_equal(reported.count, 2);
    drop(loop);
    assert_books_are_closed(2);
    close(handler.fd);
}

static void a_signals_context_is_released_after_it_was_left(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit done = {.result = PF_DONE};
    take(loop, &done);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(done.destroyed, 1);
    assert_books_are_closed(1);

    struct visit removed = {.act = act_remove_signal};
    take(loop, &removed);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(removed.destroyed, 1);
    assert_books_are_closed(2);

    struct visit next = {0}, replaced = {.act = act_replace_signal, .other = &next};
    take(loop, &replaced);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(books.releases, 3);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    assert_books_are_closed(4);
    drop(loop);
}

static void act_remove_other_timer(pf_loop *loop, struct visit *visit)
{
    assert_int_equal(pf_loop_remove_timeout(loop, visit->other->timer), 0);
}

static void a_timers_context_is_released_when_it_is_removed(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit outside = {0}, due = {0};
    struct visit remover = {.act = act_remove_other_timer, .other = &due};
    call_at(loop, PF_SECOND, &outside);
    assert_int_equal(pf_loop_describe_timeout(loop, outside.timer, "described"), 0);
    assert_int_equal(pf_loop_update_timeout(loop, outside.timer, 2 * PF_SECOND), 0);
    assert_int_equal(books.releases, 0);
    assert_int_equal(pf_loop_remove_timeout(loop, outside.timer), 0);
    assert_books_are_closed(1);
    call_at(loop, 0, &remover);
    call_at(loop, 0, &due);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(due.calls, 0);
    assert_int_equal(due.destroyed, 1);
    drop(loop);
    assert_books_are_closed(3);
}

static void close_releases_what_is_left(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit handler = {.fd = open_ready()}, callback = {0}, timer = {0}, taken = {0};
    watch(loop, &handler);
    add(loop, &callback);
    call_at(loop, PF_NEVER, &timer);
    take(loop, &taken);
    drop(loop);
    assert_books_are_closed(4);
    assert_int_equal(handler.destroyed, 1);
    assert_int_equal(callback.destroyed, 1);
    assert_int_equal(timer.destroyed, 1);
    assert_int_equal(taken.destroyed, 1);
    close(handler.fd);
}

static void a_registration_that_fails_releases_what_it_captured(void **state)
{
    (void)state;
    struct pf_loop_options options;
    struct visit visit = {.fd = -1};
    pf_loop *loop = make();
    drop(loop);
    options = pf_fake_options(&fake_poller);
    options.callbacks_max = 1;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_set_context_hooks(loop, &hooks), 0);
    add(loop, &visit);
    around("b");
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &visit), -ENOSPC);
    assert_int_equal(pf_loop_add_handler(loop, -1, PF_READ, do_handler, &visit), -EBADF);
    fake_poller.add_error = -ENOSPC;
    assert_int_equal(pf_loop_add_handler(loop, STDIN_FILENO, PF_READ, do_handler, &visit),
                     -ENOSPC);
    assert_int_equal(pf_loop_add_signal(loop, SIGKILL, do_signal, &visit), -EINVAL);
    assert_int_equal(pf_loop_call_later(loop, INT64_MAX - 1, do_callback, &visit, NULL),
                     -EOVERFLOW);
    around(NULL);
    int captures = books.captures;
    assert_int_equal(books.releases, captures - 1); /* the first one waits */
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    pf_loop_ref(loop);
    drop(loop);
    around("b");
    assert_int_equal(pf_loop_add_callback(loop, do_callback, &visit), -ESTALE);
    around(NULL);
    captures = books.captures;
    assert_books_are_closed(captures);
    pf_loop_unref(loop);
    assert_int_equal(visit.destroyed, 1);
}

/* ---- in a child ------------------------------------------------------------------ */

static void discard_in_child(void *arg)
{
    assert_int_equal(pf_loop_discard(arg), 0);
    assert_books_are_closed(4);
}

static void a_child_that_discards_releases_its_copies(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit handler = {.fd = open_ready()}, callback = {0}, timer = {0}, taken = {0};
    watch(loop, &handler);
    add(loop, &callback);
    call_at(loop, PF_NEVER, &timer);
    take(loop, &taken);
    pf_test_in_child(discard_in_child, loop);
    assert_int_equal(books.releases, 0);
    drop(loop);
    assert_books_are_closed(4);
    close(handler.fd);
}

static pid_t parent, child;

static void act_fork_and_discard(pf_loop *loop, struct visit *visit)
{
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (pf_loop_discard(loop) != 0 || visit->destroyed != 0)
            _exit(1);
    }
}

/* Run the loop; in the child, which comes back from inside a call, see that everything was
 * left and released, this call's context last. */
static void run_into_child(pf_loop *loop, const struct visit *visit, int captures)
{
    parent = getpid();
    int ran = pf_loop_turn(loop, 0);
    if (getpid() != parent)
        _exit(ran == -ECHILD && books.wrong == 0 && books.releases == captures &&
                      books.enters == books.leaves && visit->destroyed == 1
                  ? 0
                  : 2);
    int status;
    assert_int_equal(ran, 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_child_made_inside_a_call_leaves_and_releases_its_context(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit waiting = {0}, callback = {.act = act_fork_and_discard};
    call_at(loop, PF_NEVER, &waiting);
    add(loop, &callback);
    run_into_child(loop, &callback, 2);

    struct visit timer = {.act = act_fork_and_discard};
    call_at(loop, 0, &timer);
    run_into_child(loop, &timer, 3);

    struct visit taken = {.act = act_fork_and_discard};
    take(loop, &taken);
    assert_int_equal(raise(SIGUSR1), 0);
    run_into_child(loop, &taken, 4);

    struct visit handler = {.fd = open_ready(), .act = act_fork_and_discard};
    watch(loop, &handler);
    run_into_child(loop, &handler, 5);
    drop(loop);
    assert_books_are_closed(5);
    close(handler.fd);
}

/* ---- nested loops, and the hooks themselves -------------------------------------- */

static struct visit inner_visit;

static void act_run_inner_loop(pf_loop *loop, struct visit *visit)
{
    pf_loop *inner;
    struct pf_fake_clock clock = {0};
    struct pf_fake_poller poller = {.clock = &clock};
    struct pf_loop_options options = pf_fake_options(&poller);
    assert_int_equal(pf_loop_turn(loop, 0), -EBUSY);
    assert_int_equal(pf_loop_new(&options, &inner), 0);
    assert_int_equal(pf_loop_set_context_hooks(inner, &hooks), 0);
    assert_int_equal(pf_loop_add_callback(inner, do_callback, &inner_visit), 0);
    around("inner");
    assert_int_equal(pf_loop_turn(inner, 0), 1);
    assert_string_equal(books.around, "inner");
    around("a");
    assert_int_equal(visit->destroyed, 0);
    drop(inner);
}

static void a_loop_that_runs_inside_a_call_has_contexts_of_its_own(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit outer = {.act = act_run_inner_loop};
    inner_visit = (struct visit){0};
    add(loop, &outer);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_string_equal(inner_visit.around, "a");
    drop(loop);
    assert_books_are_closed(2);
}

static void hooks_are_not_changed_while_something_is_registered(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct visit visit = {.fd = open_ready()};
    watch(loop, &visit);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), -EBUSY);
    assert_int_equal(pf_loop_remove_handler(loop, visit.fd), 0);
    call_at(loop, PF_NEVER, &visit);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), -EBUSY);
    assert_int_equal(pf_loop_remove_timeout(loop, visit.timer), 0);
    take(loop, &visit);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), -EBUSY);
    assert_int_equal(pf_loop_remove_signal(loop, SIGUSR1), 0);
    add(loop, &visit);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), -EBUSY);
    assert_int_equal(pf_loop_turn(loop, 0), 1);
    assert_int_equal(pf_loop_set_context_hooks(loop, NULL), 0);
    int captures = books.captures;
    add(loop, &visit);
    assert_int_equal(books.captures, captures);
    drop(loop);
    assert_books_are_closed(captures);
    close(visit.fd);
}

static void bad_hooks_are_refused(void **state)
{
    (void)state;
    pf_loop *loop = make();
    struct pf_context_hooks bad = hooks;
    bad.size = sizeof bad.size - 1;
    assert_int_equal(pf_loop_set_context_hooks(loop, &bad), -EINVAL);
    assert_int_equal(pf_loop_set_context_hooks(NULL, &hooks), -EINVAL);
    struct visit visit = {0};
    add(loop, &visit); /* the good ones are still in force */
    assert_int_equal(books.captures, 1);
    drop(loop);
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    pf_loop_ref(loop);
    drop(loop);
    assert_int_equal(pf_loop_set_context_hooks(loop, &hooks), -ESTALE);
    pf_loop_unref(loop);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(each_kind_of_call_runs_inside_what_was_around_its_registration),
        pf_test(without_anything_around_nothing_is_entered),
        pf_test(spawned_and_signalled_callbacks_have_no_context),
        pf_test(a_context_goes_on_through_what_is_added_inside_it),
        pf_test(capture_is_asked_on_the_thread_that_registers),
        pf_test(the_error_hook_runs_inside_the_context_that_failed),
        pf_test(a_handlers_context_is_released_after_it_was_left),
        pf_test(the_error_hook_may_remove_what_failed),
        pf_test(a_signals_context_is_released_after_it_was_left),
        pf_test(a_timers_context_is_released_when_it_is_removed),
        pf_test(close_releases_what_is_left),
        pf_test(a_registration_that_fails_releases_what_it_captured),
        pf_test(a_child_that_discards_releases_its_copies),
        pf_test(a_child_made_inside_a_call_leaves_and_releases_its_context),
        pf_test(a_loop_that_runs_inside_a_call_has_contexts_of_its_own),
        pf_test(hooks_are_not_changed_while_something_is_registered),
        pf_test(bad_hooks_are_refused),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
