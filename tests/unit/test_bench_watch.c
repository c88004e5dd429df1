/* Two watchers as one; and the small things that modes share. */
#include "tests/lib/test.h"

#include "bench/footprint.h"
#include "bench/pace.h"
#include "bench/steady.h"
#include "bench/watch.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char told[64]; /* who was called, in order: b begin, r row, e end ... */

/* A watcher's number, and what it answers. */
struct one {
    char number;
    int error;
    bool stop;
};

static void tell(void *arg, char what)
{
    size_t len = strlen(told);
    told[len] = what;
    told[len + 1] = ((struct one *)arg)->number;
    told[len + 2] = '\0';
}

static int one_begin(void *arg, pf_loop *loop, int64_t began_ns)
{
    (void)loop, (void)began_ns;
    tell(arg, 'b');
    return ((struct one *)arg)->error;
}

static bool one_row(void *arg, const struct result_row *row)
{
    (void)row;
    tell(arg, 'r');
    return ((struct one *)arg)->stop;
}

static void one_end(void *arg, pf_loop *loop)
{
    (void)loop;
    tell(arg, 'e');
}

static void one_sample(void *arg, struct result_row *row)
{
    (void)row;
    tell(arg, 's');
}

static bool one_judge(void *arg, struct result *so_far)
{
    (void)so_far;
    tell(arg, 'j');
    return ((struct one *)arg)->stop;
}

static struct run_watcher watcher_of(struct one *one)
{
    return (struct run_watcher){one_begin, one_row, one_end, one_sample, one_judge, one};
}

static void both_are_called_in_order(void **state)
{
    (void)state;
    static const struct {
        struct one first, second;
        int err;   /* of begin */
        bool stop; /* of row and judge */
        const char *expected;
    } rows[] = {
        {{'1', 0, false}, {'2', 0, false}, 0, false, "b1b2r1r2s1s2j1j2e1e2"},
        {{'1', 0, true}, {'2', 0, false}, 0, true, "b1b2r1r2s1s2j1j2e1e2"},
        {{'1', 0, false}, {'2', 0, true}, 0, true, "b1b2r1r2s1s2j1j2e1e2"},
        {{'1', -EIO, false}, {'2', 0, false}, -EIO, false, "b1"},
        /* who has begun is ended, and nobody else: so it is done, as with a single one */
        {{'1', 0, false}, {'2', -EIO, false}, -EIO, false, "b1b2e1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one one = rows[i].first, two = rows[i].second;
        struct run_watcher first = watcher_of(&one), second = watcher_of(&two), both;
        struct watch watch;
        told[0] = '\0';
        watch_join(&watch, &first, &second, &both);
        assert_int_equal(both.begin(both.arg, NULL, 1), rows[i].err);
        if (!rows[i].err) { /* else the run calls none of these */
            assert_int_equal(both.row(both.arg, NULL), rows[i].stop);
            both.sample(both.arg, NULL);
            assert_int_equal(both.judge(both.arg, NULL), rows[i].stop);
            both.end(both.arg, NULL);
        }
        assert_string_equal(told, rows[i].expected);
    }
}

static void one_that_does_nothing_is_fine_and_costs_no_judging(void **state)
{
    (void)state;
    struct run_watcher none = {0}, both;
    struct watch watch;
    watch_join(&watch, &none, &none, &both);
    assert_int_equal(both.begin(both.arg, NULL, 1), 0);
    assert_false(both.row(both.arg, NULL));
    both.sample(both.arg, NULL);
    both.end(both.arg, NULL);
    assert_null(both.judge);
}

static void a_steady_plan_has_its_rate_all_the_time(void **state)
{
    (void)state;
    struct plan *plan = calloc(1, sizeof *plan);
    plan->warmup_ns = PF_SECOND;
    plan->duration_ns = 4 * PF_SECOND;
    steady_unless_open(plan);
    assert_int_equal(plan->load, PLAN_OPEN);
    assert_true(fabs(pace_amount(plan, 5 * PF_SECOND) - 5.0 * STEADY_RATE) < 1e-6);
    steady_set(plan, 250);
    assert_true(fabs(plan_mean_rate(plan) - 250) < 1e-6);
    steady_unless_open(plan); /* it is */
    assert_true(fabs(plan_mean_rate(plan) - 250) < 1e-6);
    /* By number: for as long as they take. */
    plan->duration_ns = 0;
    plan->requests = 1000;
    steady_set(plan, 100);
    assert_true(pace_amount(plan, 3600 * PF_SECOND) >= 1000);
    steady_close(plan);
    assert_int_equal(plan->load, PLAN_CLOSED);
    free(plan);
}

static void memory_that_is_used_is_seen(void **state)
{
    (void)state;
    int64_t before = footprint_user();
    assert_true(before > 0);
    size_t size = 8 << 20;
    volatile char *memory = malloc(size); /* touched, whatever the compiler thinks of it */
    for (size_t i = 0; i < size; i += 512)
        memory[i] = 1;
    int64_t after = footprint_user();
    /* Freed pages may have been given back meanwhile: not to the byte. */
    assert_true(after - before > (int64_t)size / 2);
    free((void *)(uintptr_t)memory);
    assert_true(footprint_kernel() > 0);
    assert_true(fabs(footprint_each(1000, 3000, 100) - 20) < 1e-9);
    assert_true(isnan(footprint_each(-1, 3000, 100)));
    assert_true(isnan(footprint_each(3000, -1, 100)));
    assert_true(isnan(footprint_each(1000, 3000, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(both_are_called_in_order),
        pf_test(one_that_does_nothing_is_fine_and_costs_no_judging),
        pf_test(a_steady_plan_has_its_rate_all_the_time),
        pf_test(memory_that_is_used_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
