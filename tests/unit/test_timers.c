/* loop/timers.h by itself: the order, the names, and what is counted. Random operations run
 * against a plain array that is searched from end to end. */
#include "tests/lib/test.h"

#include "loop/timers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* xorshift64*: the same values in each run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static int never_called(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

static pf_timer add(struct pf__timers *timers, int64_t deadline, void *arg)
{
    struct pf__timer_call call = {.fn = never_called, .arg = arg};
    pf_timer timer = {0};
    assert_int_equal(pf__timers_add(timers, deadline, &call, &timer), 0);
    assert_true(timer.id != 0);
    return timer;
}

static int cancel(struct pf__timers *timers, pf_timer timer)
{
    struct pf__timer_call call;
    return pf__timers_remove(timers, timer, &call);
}

static void assert_next_is(struct pf__timers *timers, const void *arg)
{
    struct pf__timer_call call = {0};
    assert_true(pf__timers_take(timers, &call));
    assert_ptr_equal(call.arg, arg);
}

static void assert_chain_is_empty(struct pf__timers *timers)
{
    struct pf__timer_call call;
    assert_false(pf__timers_take(timers, &call));
    assert_int_equal(timers->due_count, 0);
}

/* Every parent is no later than its children, and each slot knows its place. */
static void assert_is_a_heap(const struct pf__timers *timers)
{
    for (uint32_t i = 0; i < timers->count; i++) {
        const struct pf__timer_key *key = &timers->heap[i];
        assert_int_equal(timers->slots[key->slot].link, i);
        if (i > 0)
            assert_true(timers->heap[(i - 1) / 4].deadline <= key->deadline);
    }
}

/* ---- the reference --------------------------------------------------------------- */

enum {
    REFERENCE_MAX = 3000
};

struct entry {
    pf_timer timer;
    int64_t deadline;
    uint64_t order;
    bool waiting;
};

static struct entry reference[REFERENCE_MAX];
static size_t reference_count;

static struct entry *earliest_of_reference(void)
{
    struct entry *least = NULL;
    for (size_t i = 0; i < reference_count; i++) {
        struct entry *e = &reference[i];
        if (e->waiting && (!least || e->deadline < least->deadline ||
                           (e->deadline == least->deadline && e->order < least->order)))
            least = e;
    }
    return least;
}

static void fire_until(struct pf__timers *timers, int64_t now)
{
    pf__timers_collect(timers, now);
    struct entry *e;
    while ((e = earliest_of_reference()) && e->deadline <= now) {
        assert_next_is(timers, e);
        e->waiting = false;
        assert_int_equal(cancel(timers, e->timer), -ENOENT);
    }
    assert_chain_is_empty(timers);
}

static void random_operations_agree_with_a_sorted_reference(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 20; round++) {
        struct pf__timers timers;
        uint64_t seed = round * 77;
        int64_t now = 0;
        uint32_t waiting = 0;
        reference_count = 0;
        pf__timers_init(&timers);
        while (reference_count < REFERENCE_MAX) {
            uint64_t dice = next_random(&seed) % 100;
            struct entry *e = &reference[reference_count];
            if (dice < 55) {
                /* few distinct deadlines, so that many are equal; some in the past */
                *e =
                    (struct entry){.deadline = now - 5 + (int64_t)(next_random(&seed) % 50),
                                   .order = reference_count,
                                   .waiting = true};
                e->timer = add(&timers, e->deadline, e);
                reference_count++;
                waiting++;
            } else if (dice < 95 && reference_count > 0) {
                e = &reference[next_random(&seed) % reference_count];
                assert_int_equal(cancel(&timers, e->timer), e->waiting ? 0 : -ENOENT);
                waiting -= e->waiting;
                e->waiting = false;
            } else {
                fire_until(&timers, now += (int64_t)(next_random(&seed) % 20));
                waiting = timers.count;
            }
            const struct entry *first = earliest_of_reference();
            assert_int_equal(pf__timers_next(&timers), first ? first->deadline : PF_NEVER);
            assert_int_equal(timers.count, waiting);
        }
        assert_is_a_heap(&timers);
        fire_until(&timers, INT64_MAX - 1);
        assert_int_equal(timers.count, 0);
        pf__timers_fini(&timers);
    }
}

/* ---- order ----------------------------------------------------------------------- */

static void equal_deadlines_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    enum {
        N = 1000
    };
    static char args[N];
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer victim =
        add(&timers, 7, NULL); /* its slot is used again: order is not slot's */
    for (size_t i = 0; i < N; i++) {
        if (i == N / 2)
            assert_int_equal(cancel(&timers, victim), 0);
        add(&timers, 7, &args[i]);
    }
    pf__timers_collect(&timers, 7);
    for (size_t i = 0; i < N; i++)
        assert_next_is(&timers, &args[i]);
    assert_chain_is_empty(&timers);
    pf__timers_fini(&timers);
}

static void the_ends_of_the_range_are_deadlines_like_others(void **state)
{
    (void)state;
    static char args[4];
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, INT64_MAX - 1, &args[3]);
    add(&timers, 0, &args[2]);
    add(&timers, -1, &args[1]);
    add(&timers, INT64_MIN, &args[0]);
    pf__timers_collect(&timers, INT64_MAX);
    for (size_t i = 0; i < 4; i++)
        assert_next_is(&timers, &args[i]);
    pf__timers_fini(&timers);
}

static void never_is_not_even_due_at_the_end_of_time(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    assert_int_equal(pf__timers_next(&timers), PF_NEVER);
    pf_timer timer = add(&timers, PF_NEVER, NULL);
    pf__timers_collect(&timers, INT64_MAX);
    assert_chain_is_empty(&timers);
    assert_int_equal(pf__timers_next(&timers), PF_NEVER);
    assert_int_equal(timers.count, 1);
    assert_int_equal(cancel(&timers, timer), 0);
    pf__timers_fini(&timers);
}

static void a_timer_is_not_due_before_its_deadline(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 100, NULL);
    pf__timers_collect(&timers, 99);
    assert_chain_is_empty(&timers);
    pf__timers_collect(&timers, 100);
    assert_next_is(&timers, NULL);
    pf__timers_fini(&timers);
}

/* ---- names ----------------------------------------------------------------------- */

static void a_stale_name_never_hits_the_slots_next_user(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer stale[100];
    for (size_t i = 0; i < 100; i++) {
        stale[i] = add(&timers, 1, NULL);
        assert_int_equal(cancel(&timers, stale[i]), 0);
    }
    assert_int_equal(timers.slots_used, 1); /* all in the same slot */
    pf_timer live = add(&timers, 1, NULL);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(cancel(&timers, stale[i]), -ENOENT);
    assert_int_equal(timers.count, 1);
    assert_int_equal(cancel(&timers, live), 0);
    assert_int_equal(cancel(&timers, live), -ENOENT);
    pf__timers_fini(&timers);
}

static void names_that_were_never_given_are_unknown(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    static const uint64_t strange[] = {0, 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
            if (pass == 1 && strange[i] == UINT64_C(1) << 32)
                continue; /* slot 0, generation 1: that one exists by now */
            assert_int_equal(cancel(&timers, (pf_timer){strange[i]}), -ENOENT);
        }
        add(&timers, 1, NULL);
    }
    assert_int_equal(timers.count, 2);
    pf__timers_fini(&timers);
}

static void a_generation_that_wraps_gives_no_zero_name(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer old = add(&timers, 1, NULL);
    assert_int_equal(cancel(&timers, old), 0);
    timers.slots[0].generation = UINT32_MAX;
    pf_timer wrapped = add(&timers, 1, NULL);
    assert_true(wrapped.id != 0 && wrapped.id >> 32 != 0);
    assert_int_equal(cancel(&timers, wrapped), 0);
    pf__timers_fini(&timers);
}

/* ---- while due ------------------------------------------------------------------- */

static void one_removed_while_it_is_due_does_not_come_out(void **state)
{
    (void)state;
    static char args[4];
    /* first, in the middle, last, and all */
    static const bool removed[][4] = {{true, false, false, false},
                                      {false, true, true, false},
                                      {false, false, false, true},
                                      {true, true, true, true}};
    for (size_t row = 0; row < sizeof removed / sizeof *removed; row++) {
        struct pf__timers timers;
        pf_timer names[4];
        uint32_t left = 4;
        pf__timers_init(&timers);
        for (size_t i = 0; i < 4; i++)
            names[i] = add(&timers, (int64_t)i, &args[i]);
        pf__timers_collect(&timers, 10);
        assert_int_equal(timers.due_count, 4);
        for (size_t i = 0; i < 4; i++) {
            if (!removed[row][i])
                continue;
            assert_int_equal(cancel(&timers, names[i]), 0);
            assert_int_equal(cancel(&timers, names[i]), -ENOENT);
            assert_int_equal(timers.due_count, --left);
        }
        for (size_t i = 0; i < 4; i++)
            if (!removed[row][i])
                assert_next_is(&timers, &args[i]);
        assert_chain_is_empty(&timers);
        pf__timers_fini(&timers);
    }
}

static void a_slot_removed_while_due_is_not_reused_before_the_chain_has_passed_it(
    void **state)
{
    (void)state;
    static char args[3];
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer first = add(&timers, 1, &args[0]);
    add(&timers, 2, &args[1]);
    pf__timers_collect(&timers, 10);
    assert_int_equal(cancel(&timers, first), 0);
    pf_timer fresh = add(&timers, 0, &args[2]);
    assert_true((uint32_t)fresh.id != (uint32_t)first.id);
    assert_next_is(&timers, &args[1]); /* and not the fresh one, which is not collected */
    assert_chain_is_empty(&timers);
    pf__timers_collect(&timers, 10);
    assert_next_is(&timers, &args[2]);
    pf__timers_fini(&timers);
}

static void a_second_collect_queues_behind_the_first(void **state)
{
    (void)state;
    static char args[3];
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 5, &args[0]);
    add(&timers, 6, &args[1]);
    pf__timers_collect(&timers, 10);
    add(&timers, 1, &args[2]);
    pf__timers_collect(&timers, 10);
    for (size_t i = 0; i < 3; i++)
        assert_next_is(&timers, &args[i]);
    assert_chain_is_empty(&timers);
    pf__timers_fini(&timers);
}

/* ---- memory ---------------------------------------------------------------------- */

static void adding_and_removing_for_ever_takes_no_more_room(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    assert_int_equal(pf__timers_reserve(&timers, 64), 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(cancel(&timers, add(&timers, i, NULL)), 0);
    for (int i = 0; i < 100000; i++) {
        add(&timers, i, NULL);
        pf__timers_collect(&timers, i);
        assert_next_is(&timers, NULL);
    }
    assert_int_equal(timers.capacity, 64);
    assert_int_equal(timers.slots_used, 1);
    pf__timers_fini(&timers);
}

static void more_than_fits_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer timer = add(&timers, 3, NULL);
    uint32_t capacity = timers.capacity;
    assert_int_equal(pf__timers_reserve(&timers, PF__TIMER_NONE), -ENOMEM);
    assert_int_equal(pf__timers_reserve(&timers, SIZE_MAX), -ENOMEM);
    assert_int_equal(timers.capacity, capacity);
    assert_int_equal(cancel(&timers, timer), 0);
    pf__timers_fini(&timers);
}

static void count_one(void *arg)
{
    ++*(int *)arg;
}

static void fini_destroys_what_waits_and_what_is_due_once(void **state)
{
    (void)state;
    int destroyed[5] = {0};
    pf_timer names[5];
    struct pf__timers timers;
    pf__timers_init(&timers);
    for (int i = 0; i < 5; i++) {
        struct pf__timer_call call = {never_called, &destroyed[i], count_one, NULL};
        assert_int_equal(pf__timers_add(&timers, i, &call, &names[i]), 0);
    }
    struct pf__timer_call out;
    pf__timers_collect(&timers, 2);                 /* 0, 1, 2 are due; 3, 4 wait */
    assert_true(pf__timers_take(&timers, &out));    /* 0 is the caller's by now */
    assert_int_equal(cancel(&timers, names[1]), 0); /* and so are 1 */
    assert_int_equal(cancel(&timers, names[3]), 0); /* and 3 */
    pf__timers_fini(&timers);
    static const int expected[5] = {0, 0, 1, 0, 1};
    assert_memory_equal(destroyed, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(random_operations_agree_with_a_sorted_reference),
        pf_test(equal_deadlines_come_out_in_the_order_they_went_in),
        pf_test(the_ends_of_the_range_are_deadlines_like_others),
        pf_test(never_is_not_even_due_at_the_end_of_time),
        pf_test(a_timer_is_not_due_before_its_deadline),
        pf_test(a_stale_name_never_hits_the_slots_next_user),
        pf_test(names_that_were_never_given_are_unknown),
        pf_test(a_generation_that_wraps_gives_no_zero_name),
        pf_test(one_removed_while_it_is_due_does_not_come_out),
        pf_test(a_slot_removed_while_due_is_not_reused_before_the_chain_has_passed_it),
        pf_test(a_second_collect_queues_behind_the_first),
        pf_test(adding_and_removing_for_ever_takes_no_more_room),
        pf_test(more_than_fits_is_refused_and_nothing_changes),
        pf_test(fini_destroys_what_waits_and_what_is_due_once),
    };
    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
