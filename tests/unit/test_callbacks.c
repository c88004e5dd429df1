/*
 * The queue of callbacks where only a child can find it: another thread was at it when its
 * process forked.
 */
#include "tests/lib/test.h"

#include "loop/callbacks.h"

#include <string.h>

enum {
    MANY = PF__CHUNK + 44
};

static int dropped[MANY];

static int never_called(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    fail_msg("it was called");
    return 0;
}

static void count_drop(const struct pf__callback *callback, void *arg)
{
    (void)arg;
    ++*(int *)callback->arg;
}

static void add_many(struct pf__callbacks *callbacks)
{
    pf__callbacks_init(callbacks, MANY);
    memset(dropped, 0, sizeof dropped);
    for (int i = 0; i < MANY; i++) {
        struct pf__callback add = {.fn = never_called, .arg = &dropped[i]};
        assert_int_equal(pf__callbacks_add_locked(callbacks, &add), 0);
        pthread_mutex_unlock(&callbacks->lock);
    }
}

/* As many as have been taken are not dropped, each of the others once. */
static void assert_dropped_from(int first)
{
    for (int i = 0; i < MANY; i++)
        assert_int_equal(dropped[i], i >= first);
}

static void a_discard_drops_each_that_waits_once_wherever_the_taker_was(void **state)
{
    (void)state;
    for (int taken = 0; taken <= PF__CHUNK + 1; taken++) {
        struct pf__callbacks callbacks;
        struct pf__callback callback;
        add_many(&callbacks);
        uint64_t mark = pf__callbacks_mark(&callbacks);
        for (int i = 0; i < taken; i++)
            assert_true(pf__callbacks_next(&callbacks, mark, &callback));
        pf__callbacks_discard(&callbacks, count_drop, NULL);
        assert_dropped_from(taken);
        pf__callbacks_fini(&callbacks);
    }
}

/* The last one of a chunk counts as taken before the chunk goes: for that the taker waits
 * until it gets the lock. */
static void a_discard_knows_a_chunk_that_was_about_to_go(void **state)
{
    (void)state;
    struct pf__callbacks callbacks;
    add_many(&callbacks);
    atomic_store(&callbacks.done, PF__CHUNK);
    pf__callbacks_discard(&callbacks, count_drop, NULL);
    assert_dropped_from(PF__CHUNK);
    pf__callbacks_fini(&callbacks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_discard_drops_each_that_waits_once_wherever_the_taker_was),
        pf_test(a_discard_knows_a_chunk_that_was_about_to_go),
    };
    return cmocka_run_group_tests_name("callbacks", tests, NULL, NULL);
}
