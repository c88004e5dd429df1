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
    assert_int_equal(pf__timers_add(timers, deadline, &call, NULL, &timer), 0);
    assert_true(timer.id != 0);
    return timer;
}

static int cancel(struct pf__timers *timers, pf_timer timer)
{
    struct pf__timer_call call;
    struct pf__timer_more more;
    return pf__timers_remove(timers, timer, &call, &more);
}

static void collect(struct pf__timers *timers, int64_t now)
{
    pf__timers_set_due(timers, now);
}

static bool take(struct pf__timers *timers, struct pf__timer_call *call)
{
    struct pf__timer_more more;
    int64_t late;
    bool is_due = pf__timers_take(timers, call, &more, &late);
    if (is_due)
        assert_true(late >= 0 || timers->due_until > INT64_MAX / 2); /* not in an int64_t */
    return is_due;
}

static void assert_next_is(struct pf__timers *timers, const void *arg)
{
    struct pf__timer_call call = {0};
    assert_true(take(timers, &call));
    assert_ptr_equal(call.arg, arg);
}

static void assert_no_more_are_due(struct pf__timers *timers)
{
    struct pf__timer_call call;
    assert_false(take(timers, &call));
}

/* Every parent is no later than its children. Returns how many keys are live. */
static uint32_t assert_is_a_heap(const struct pf__timers *timers)
{
    enum {
        HEAP = PF__TIMER_LEVELS * PF__TIMER_BUCKETS + 3
    };
    uint32_t live = 0;
    for (uint32_t i = 0; i < timers->heap_count; i++) {
        const struct pf__timer_key *key = &timers->heap[i];
        const struct pf__timer_slot *slot = &timers->slots[key->slot];
        live += slot->list == HEAP && slot->sequence == key->sequence;
        if (i > 0)
            assert_true(timers->heap[(i - 1) / 4].deadline <= key->deadline);
    }
    return live;
}

/* Follow a list both ways; returns how many are in it. */
static uint32_t assert_is_a_list(const struct pf__timers *timers,
                                 struct pf__timer_list list, uint16_t number)
{
    uint32_t count = 0, previous = UINT32_MAX;
    for (uint32_t at = list.head; at != UINT32_MAX; at = timers->slots[at].next) {
        assert_int_equal(timers->slots[at].previous, previous);
        assert_int_equal(timers->slots[at].list, number);
        previous = at;
        count++;
    }
    assert_int_equal(list.tail, previous);
    return count;
}

/* Near ones are near, a bucket holds what belongs to it, and nothing is lost. */
static void assert_is_sound(const struct pf__timers *timers)
{
    enum {
        BUCKETS = PF__TIMER_LEVELS * PF__TIMER_BUCKETS
    };
    uint32_t count = assert_is_a_heap(timers);
    count += assert_is_a_list(timers, timers->run, BUCKETS);
    count += assert_is_a_list(timers, timers->never, BUCKETS + 1);
    count += assert_is_a_list(timers, timers->aside, BUCKETS + 2);
    for (uint16_t bucket = 0; timers->wheel && bucket < BUCKETS; bucket++) {
        unsigned level = bucket / PF__TIMER_BUCKETS, shift = level * 8;
        unsigned digit = bucket % PF__TIMER_BUCKETS;
        if (!(timers->wheel->occupied[level][digit / 64] >> digit % 64 & 1))
            continue;
        struct pf__timer_list list = timers->wheel->buckets[bucket];
        uint32_t here = assert_is_a_list(timers, list, bucket);
        assert_true(here > 0);
        for (uint32_t at = list.head; at != UINT32_MAX; at = timers->slots[at].next) {
            int64_t deadline = timers->slots[at].deadline;
            uint64_t tick = ((uint64_t)deadline ^ UINT64_C(1) << 63) >> 20;
            uint64_t start = (timers->tick >> shift >> 8 << 8 | digit) << shift;
            assert_true(start > timers->tick && tick >= start);
            assert_true(timers->wheel->least[bucket] <= deadline);
        }
        count += here;
    }
    assert_int_equal(count, timers->waiting);
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
    collect(timers, now);
    struct entry *e;
    while ((e = earliest_of_reference()) && e->deadline <= now) {
        assert_next_is(timers, e);
        e->waiting = false;
        assert_int_equal(cancel(timers, e->timer), -ENOENT);
    }
    assert_no_more_are_due(timers);
}

/* The next deadline is never too late, nor so early that a loop would spin for it. */
static void assert_next_agrees(struct pf__timers *timers, int64_t now)
{
    const struct entry *first = earliest_of_reference();
    int64_t next = pf__timers_next(timers);
    assert_true(next <= (first ? first->deadline : PF_NEVER));
    assert_true(next > now || (first && next == first->deadline));
}

/* Adds, moves, removes and fires at random, with deadlines up to `span` ahead. */
static void agree_with_the_reference(uint64_t seed, uint64_t span, int64_t now)
{
    struct pf__timers timers;
    uint32_t waiting = 0;
    uint64_t order = 0;
    reference_count = 0;
    pf__timers_init(&timers);
    while (reference_count < REFERENCE_MAX) {
        uint64_t dice = next_random(&seed) % 100;
        int64_t deadline = now - 5 + (int64_t)(next_random(&seed) % span);
        struct entry *e = &reference[reference_count];
        if (dice < 50) {
            *e = (struct entry){.deadline = deadline, .order = order++, .waiting = true};
            e->timer = add(&timers, e->deadline, e);
            reference_count++;
            waiting++;
        } else if (dice < 75 && reference_count > 0) {
            e = &reference[next_random(&seed) % reference_count];
            assert_int_equal(cancel(&timers, e->timer), e->waiting ? 0 : -ENOENT);
            waiting -= e->waiting;
            e->waiting = false;
        } else if (dice < 95 && reference_count > 0) {
            e = &reference[next_random(&seed) % reference_count];
            assert_int_equal(pf__timers_move(&timers, e->timer, deadline),
                             e->waiting ? 0 : -ENOENT);
            e->deadline = deadline;
            e->order = order++;
        } else {
            now += (int64_t)(next_random(&seed) % (span / 2));
            fire_until(&timers, now);
            waiting = timers.waiting;
            assert_is_sound(&timers);
        }
        assert_next_agrees(&timers, now);
        assert_int_equal(timers.waiting, waiting);
    }
    assert_is_sound(&timers);
    fire_until(&timers, INT64_MAX - 1);
    assert_int_equal(timers.waiting, 0);
    pf__timers_fini(&timers);
}

static void random_operations_agree_with_a_sorted_reference(void **state)
{
    (void)state;
    /* From few distinct deadlines, so that many are equal, to all levels of the wheel. */
    static const uint64_t spans[] = {50,
                                     100 * PF_MICROSECOND,
                                     20 * PF_MILLISECOND,
                                     PF_SECOND,
                                     3600 * PF_SECOND,
                                     365 * 86400 * PF_SECOND,
                                     UINT64_C(1) << 52};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        agree_with_the_reference(i * 77 + 1, spans[i], 0);
        agree_with_the_reference(i * 77 + 2, spans[i], 123456789 * PF_SECOND);
        agree_with_the_reference(i * 77 + 3, spans[i], -77 * PF_SECOND);
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
    collect(&timers, 7);
    for (size_t i = 0; i < N; i++)
        assert_next_is(&timers, &args[i]);
    assert_no_more_are_due(&timers);
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
    collect(&timers, INT64_MAX);
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
    collect(&timers, INT64_MAX);
    assert_no_more_are_due(&timers);
    assert_int_equal(pf__timers_next(&timers), PF_NEVER);
    assert_int_equal(timers.waiting, 1);
    assert_int_equal(cancel(&timers, timer), 0);
    pf__timers_fini(&timers);
}

static void a_timer_is_not_due_before_its_deadline(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 100, NULL);
    collect(&timers, 99);
    assert_no_more_are_due(&timers);
    collect(&timers, 100);
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
    assert_int_equal(timers.waiting, 1);
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
    assert_int_equal(timers.waiting, 2);
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
        collect(&timers, 10);
        for (size_t i = 0; i < 4; i++) {
            if (!removed[row][i])
                continue;
            assert_int_equal(cancel(&timers, names[i]), 0);
            assert_int_equal(cancel(&timers, names[i]), -ENOENT);
            assert_int_equal(timers.waiting, --left);
        }
        for (size_t i = 0; i < 4; i++)
            if (!removed[row][i])
                assert_next_is(&timers, &args[i]);
        assert_no_more_are_due(&timers);
        pf__timers_fini(&timers);
    }
}

static void one_added_while_others_are_due_waits_for_the_next_collect(void **state)
{
    (void)state;
    static char args[3];
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer first = add(&timers, 1, &args[0]);
    add(&timers, 2, &args[1]);
    collect(&timers, 10);
    assert_int_equal(cancel(&timers, first), 0);
    add(&timers, 0, &args[2]); /* overdue, and perhaps in the slot of the removed one */
    assert_next_is(&timers, &args[1]);
    assert_no_more_are_due(&timers);
    collect(&timers, 10);
    assert_next_is(&timers, &args[2]);
    pf__timers_fini(&timers);
}

static void one_moved_while_it_is_due_waits_again(void **state)
{
    (void)state;
    static char args[2];
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer first = add(&timers, 1, &args[0]);
    add(&timers, 2, &args[1]);
    collect(&timers, 10);
    assert_int_equal(pf__timers_move(&timers, first, 20), 0);
    assert_int_equal(timers.waiting, 2);
    assert_next_is(&timers, &args[1]);
    assert_no_more_are_due(&timers);
    collect(&timers, 20);
    assert_next_is(&timers, &args[0]);
    assert_int_equal(pf__timers_move(&timers, first, 30), -ENOENT);
    pf__timers_fini(&timers);
}

/* ---- the wheel ------------------------------------------------------------------- */

static void timers_of_one_delay_never_need_the_heap(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    for (int64_t now = 0; now < 10000; now++) {
        add(&timers, (now + 30000) * PF_MICROSECOND, NULL);
        collect(&timers, now * PF_MICROSECOND);
        assert_no_more_are_due(&timers);
        assert_int_equal(timers.heap_count, 0);
    }
    for (int64_t now = 30000; now < 40000; now++) {
        collect(&timers, now * PF_MICROSECOND);
        assert_next_is(&timers, NULL);
        assert_int_equal(timers.heap_count, 0);
    }
    pf__timers_fini(&timers);
}

static void a_removed_far_timer_costs_one_early_look_at_most(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 100 * PF_SECOND, NULL);
    pf_timer removed = add(&timers, 99 * PF_SECOND, NULL);
    assert_int_equal(pf__timers_next(&timers), 99 * PF_SECOND);
    assert_int_equal(cancel(&timers, removed), 0);
    int64_t early = pf__timers_next(&timers);
    assert_true(early <= 100 * PF_SECOND);
    collect(&timers, early);
    assert_no_more_are_due(&timers);
    assert_int_equal(pf__timers_next(&timers), 100 * PF_SECOND);
    pf__timers_fini(&timers);
}

static void a_timer_that_is_moved_on_and_on_stays_where_it_is(void **state)
{
    (void)state;
    static char args[2];
    struct pf__timers timers;
    pf__timers_init(&timers);
    pf_timer idle = add(&timers, 60 * PF_SECOND, &args[0]);
    add(&timers, 300 * PF_SECOND, &args[1]);
    uint16_t bucket = timers.slots[0].list;
    int looks = 0;
    for (int64_t now = 0; now < 200; now++) {
        assert_int_equal(pf__timers_move(&timers, idle, (now + 60) * PF_SECOND), 0);
        looks += timers.slots[0].list != bucket;
        bucket = timers.slots[0].list;
        collect(&timers, now * PF_SECOND);
        assert_no_more_are_due(&timers);
        assert_is_sound(&timers);
    }
    assert_true(looks <= 10); /* not 200 */
    collect(&timers, 258 * PF_SECOND);
    assert_no_more_are_due(&timers);
    collect(&timers, 259 * PF_SECOND);
    assert_next_is(&timers, &args[0]);
    assert_no_more_are_due(&timers);
    pf__timers_fini(&timers);
}

static void a_clock_that_goes_back_changes_no_order(void **state)
{
    (void)state;
    static char args[3];
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 1000 * PF_SECOND, &args[2]);
    collect(&timers, 900 * PF_SECOND);
    assert_no_more_are_due(&timers);
    collect(&timers, 5); /* back */
    assert_no_more_are_due(&timers);
    add(&timers, 20 * PF_SECOND, &args[1]);
    add(&timers, 10 * PF_SECOND, &args[0]);
    assert_int_equal(pf__timers_next(&timers), 10 * PF_SECOND);
    collect(&timers, 10 * PF_SECOND - 1);
    assert_no_more_are_due(&timers);
    collect(&timers, 1000 * PF_SECOND);
    for (size_t i = 0; i < 3; i++)
        assert_next_is(&timers, &args[i]);
    pf__timers_fini(&timers);
}

static void each_due_timer_says_how_late_it_is(void **state)
{
    (void)state;
    struct pf__timers timers;
    struct pf__timer_call call;
    struct pf__timer_more more;
    int64_t late;
    pf__timers_init(&timers);
    add(&timers, 100, NULL);
    add(&timers, 70, NULL);
    add(&timers, 101, NULL);
    collect(&timers, 100);
    assert_true(pf__timers_take(&timers, &call, &more, &late));
    assert_int_equal(late, 30);
    assert_true(pf__timers_take(&timers, &call, &more, &late));
    assert_int_equal(late, 0);
    assert_no_more_are_due(&timers);
    pf__timers_fini(&timers);
}

static void what_is_added_while_others_are_taken_is_not_due(void **state)
{
    (void)state;
    static char args[6];
    struct pf__timers timers;
    pf__timers_init(&timers);
    /* The second one waits in a bucket that is emptied only when the first one was taken.
     */
    add(&timers, 5, &args[0]);
    add(&timers, 5 * PF_MILLISECOND, &args[1]);
    pf_timer moved = add(&timers, 6 * PF_MILLISECOND, &args[2]);
    collect(&timers, 10 * PF_MILLISECOND);
    assert_next_is(&timers, &args[0]);
    add(&timers, 1, &args[3]);                  /* among the near ones */
    add(&timers, 4 * PF_MILLISECOND, &args[4]); /* in a bucket of its own */
    add(&timers, 5 * PF_MILLISECOND, &args[5]); /* in the same */
    assert_int_equal(pf__timers_move(&timers, moved, 2), 0);
    assert_next_is(&timers, &args[1]);
    assert_no_more_are_due(&timers);
    assert_is_sound(&timers);
    assert_int_equal(timers.waiting, 4);
    assert_int_equal(pf__timers_next(&timers), 1);
    collect(&timers, 10 * PF_MILLISECOND);
    assert_next_is(&timers, &args[3]);
    assert_next_is(&timers, &args[2]);
    assert_next_is(&timers, &args[4]);
    assert_next_is(&timers, &args[5]);
    assert_no_more_are_due(&timers);
    pf__timers_fini(&timers);
}

static void one_put_aside_can_be_removed(void **state)
{
    (void)state;
    static char args[3];
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 5, &args[0]);
    add(&timers, 7, &args[1]);
    collect(&timers, 10);
    pf_timer late = add(&timers, 1, &args[2]);
    assert_next_is(&timers, &args[0]); /* which put the late one aside */
    assert_int_equal(cancel(&timers, late), 0);
    assert_int_equal(cancel(&timers, late), -ENOENT);
    assert_next_is(&timers, &args[1]);
    assert_no_more_are_due(&timers);
    assert_is_sound(&timers);
    assert_int_equal(timers.waiting, 0);
    pf__timers_fini(&timers);
}

static void those_put_aside_are_due_already(void **state)
{
    (void)state;
    static char args[3];
    struct pf__timers timers;
    pf__timers_init(&timers);
    add(&timers, 5, &args[0]);
    add(&timers, 7, &args[1]);
    collect(&timers, 10);
    add(&timers, 1, &args[2]);
    assert_next_is(&timers, &args[0]); /* which put the late one aside */
    assert_next_is(&timers, &args[1]);
    assert_true(pf__timers_next(&timers) <= 10);
    assert_no_more_are_due(&timers);
    assert_true(pf__timers_next(&timers) == 1);
    pf__timers_fini(&timers);
}

/* ---- memory ---------------------------------------------------------------------- */

static void near_timers_that_come_and_go_for_ever_take_no_more_room(void **state)
{
    (void)state;
    struct pf__timers timers;
    pf__timers_init(&timers);
    collect(&timers, PF_SECOND);
    assert_no_more_are_due(&timers);
    add(&timers, PF_SECOND - 1, NULL); /* the run; what is earlier goes to the heap */
    for (int i = 0; i < 100000; i++) {
        pf_timer timer = add(&timers, PF_SECOND - 10 - i % 7, NULL);
        pf_timer other = add(&timers, PF_SECOND - 20 - i % 5, NULL);
        assert_int_equal(pf__timers_move(&timers, other, PF_SECOND - 30), 0);
        assert_int_equal(cancel(&timers, timer), 0);
        assert_int_equal(cancel(&timers, other), 0);
    }
    assert_int_equal(timers.capacity, 64);
    assert_true(timers.heap_count <= 2 * timers.capacity);
    assert_is_sound(&timers);
    collect(&timers, PF_SECOND);
    assert_next_is(&timers, NULL);
    assert_no_more_are_due(&timers);
    pf__timers_fini(&timers);
}

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
        collect(&timers, i);
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
    assert_int_equal(pf__timers_reserve(&timers, UINT32_MAX), -ENOMEM);
    assert_int_equal(pf__timers_reserve(&timers, SIZE_MAX), -ENOMEM);
    assert_int_equal(timers.capacity, capacity);
    assert_int_equal(cancel(&timers, timer), 0);
    pf__timers_fini(&timers);
}

static void a_walk_shows_what_waits_and_what_is_due_once(void **state)
{
    (void)state;
    static char args[5];
    pf_timer names[5];
    struct pf__timers timers;
    pf__timers_init(&timers);
    for (int i = 0; i < 5; i++)
        names[i] = add(&timers, i, &args[i]);
    collect(&timers, 2);                            /* 0, 1, 2 are due; 3, 4 wait */
    assert_next_is(&timers, &args[0]);              /* 0 is the caller's by now */
    assert_int_equal(cancel(&timers, names[1]), 0); /* and so are 1 */
    assert_int_equal(cancel(&timers, names[3]), 0); /* and 3 */
    int shown[5] = {0};
    struct pf__timer_call call;
    struct pf__timer_more more;
    pf_timer timer;
    int64_t deadline;
    for (uint32_t at = 0; pf__timers_each(&timers, &at, &timer, &deadline, &call, &more);) {
        assert_int_equal(timer.id, names[deadline].id);
        assert_ptr_equal(call.arg, &args[deadline]);
        shown[deadline]++;
    }
    pf__timers_fini(&timers);
    static const int expected[5] = {0, 0, 1, 0, 1};
    assert_memory_equal(shown, expected, sizeof expected);
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
        pf_test(one_added_while_others_are_due_waits_for_the_next_collect),
        pf_test(one_moved_while_it_is_due_waits_again),
        pf_test(timers_of_one_delay_never_need_the_heap),
        pf_test(a_removed_far_timer_costs_one_early_look_at_most),
        pf_test(a_timer_that_is_moved_on_and_on_stays_where_it_is),
        pf_test(a_clock_that_goes_back_changes_no_order),
        pf_test(each_due_timer_says_how_late_it_is),
        pf_test(what_is_added_while_others_are_taken_is_not_due),
        pf_test(one_put_aside_can_be_removed),
        pf_test(those_put_aside_are_due_already),
        pf_test(near_timers_that_come_and_go_for_ever_take_no_more_room),
        pf_test(adding_and_removing_for_ever_takes_no_more_room),
        pf_test(more_than_fits_is_refused_and_nothing_changes),
        pf_test(a_walk_shows_what_waits_and_what_is_due_once),
    };
    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
