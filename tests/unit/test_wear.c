/* test_wear.c - what a worker has used up: a scoreboard and a clock of the test's, and this
 * very process in the place of a worker. */
#include "tests/lib/test.h"

#include "master/internal.h"
#include <prefork/testing.h>

#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SLOTS = 2,
    THREADS = 2,
    TURN_NS = 2 * PF_SECOND / SLOTS /* until another one's memory is looked at */
};

static struct pf_test_clock test_clock;
static struct pf__master master;
static struct pf__slot slots[SLOTS];

static void open_stage(struct pf__wear limits)
{
    test_clock = (struct pf_test_clock){.now_ns = 1000 * PF_SECOND};
    master = (struct pf__master)PF__MASTER_INIT;
    master.slots = slots;
    master.slot_count = SLOTS;
    master.threads = THREADS;
    assert_int_equal(pf_test_loop_new(&test_clock, &master.loop), 0);
    assert_int_equal(
        pf_scoreboard_new(pf__columns, PF__COLUMNS, 2 * SLOTS * THREADS, &master.board), 0);
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i] = (struct pf__slot){.master = &master, .number = i};
        for (unsigned seat = 0; seat < 2; seat++)
            slots[i].seats[seat] = (struct pf__worker){.slot = &slots[i],
                                                       .seat = seat,
                                                       .pid = getpid(),
                                                       .born_ns = test_clock.now_ns,
                                                       .wear = limits};
    }
}

static void close_stage(void)
{
    pf_scoreboard_free(master.board);
    assert_int_equal(pf_loop_close(master.loop, false), 0);
    pf_loop_unref(master.loop);
}

static void add(unsigned slot, unsigned seat, unsigned thread, enum pf__column column,
                uint64_t n)
{
    unsigned row = pf__row(slot, seat, THREADS, thread);
    pf_count(pf_scoreboard_cell(master.board, row, column), n);
}

/* Until the helper has said what it found, and has ended. */
static void await_helper(void)
{
    pid_t helper = master.scale.pid;
    while (master.scale.fd != -1) {
        assert_true(pf_loop_turn(master.loop, 0) >= 0);
        sched_yield();
    }
    if (helper) {
        assert_int_equal(waitpid(helper, NULL, 0), helper);
        assert_true(pf__scale_reaped(&master, helper));
    }
}

static void assert_worn(struct pf__worker *worker, const char *why)
{
    (void)pf__worker_worn(worker);
    await_helper();
    const char *worn = pf__worker_worn(worker);
    if (!why)
        assert_null(worn);
    else
        assert_string_equal(worn ? worn : "not worn", why);
}

static void a_worker_without_limits_is_never_worn(void **state)
{
    (void)state;
    open_stage((struct pf__wear){0});
    add(0, 0, 0, PF__COLUMN_REQUESTS, UINT32_MAX);
    test_clock.now_ns += PF_MASTER_LIMIT_NS;
    assert_worn(&slots[0].seats[0], NULL);
    close_stage();
}

static void requests_of_all_its_lanes_wear_a_worker_and_nobody_elses_do(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.requests = 100});
    add(0, 0, 0, PF__COLUMN_REQUESTS, 60);
    add(0, 0, 1, PF__COLUMN_REQUESTS, 39);
    add(0, 1, 0, PF__COLUMN_REQUESTS, 1); /* the other seat's */
    add(1, 0, 0, PF__COLUMN_REQUESTS, 1);
    assert_worn(&slots[0].seats[0], NULL);
    add(0, 0, 1, PF__COLUMN_REQUESTS, 1);
    assert_worn(&slots[0].seats[0], "requests");
    assert_worn(&slots[0].seats[1], NULL);
    assert_worn(&slots[1].seats[0], NULL);
    close_stage();
}

/* Rows are totals of all who had the seat. An answered datagram is one request. */
static void what_its_predecessors_did_does_not_wear_a_worker(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.requests = 100});
    struct pf__worker *worker = &slots[0].seats[0];
    add(0, 0, 0, PF__COLUMN_REQUESTS, 500);
    add(0, 0, 0, PF__COLUMN_DATAGRAMS, 500);
    worker->requests_before = 500; /* as at its birth */
    assert_worn(worker, NULL);
    add(0, 0, 0, PF__COLUMN_REQUESTS, 99);
    add(0, 0, 0, PF__COLUMN_DATAGRAMS, 99);
    assert_worn(worker, NULL);
    add(0, 0, 0, PF__COLUMN_REQUESTS, 1);
    assert_worn(worker, "requests");
    close_stage();
}

static void a_worker_is_worn_by_its_lifetime(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.lifetime_ns = 60 * PF_SECOND});
    test_clock.now_ns += 60 * PF_SECOND - 1;
    assert_worn(&slots[0].seats[0], NULL);
    test_clock.now_ns++;
    assert_worn(&slots[0].seats[0], "lifetime");
    close_stage();
}

/* Three looks in a row, its slot's turns; asking more often changes nothing. */
static void a_worker_is_worn_by_memory_when_it_is_over_three_times_in_a_row(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.memory_bytes = 1});
    for (int look = 1; look <= 3; look++) {
        test_clock.now_ns += TURN_NS;
        for (int i = 0; i < 5; i++)
            assert_worn(&slots[0].seats[0], look == 3 ? "memory" : NULL);
        test_clock.now_ns += TURN_NS;
        assert_worn(&slots[1].seats[0], look == 3 ? "memory" : NULL);
    }
    close_stage();
}

static void one_look_below_the_limit_starts_the_count_anew(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.memory_bytes = 1});
    master.slot_count = 1;
    struct pf__worker *worker = &slots[0].seats[0];
    static const bool over[] = {true, true, false, true, true, true};
    for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
        worker->wear.memory_bytes = over[i] ? 1 : UINT64_MAX;
        test_clock.now_ns += 2 * PF_SECOND;
        assert_worn(worker, i == 5 ? "memory" : NULL);
    }
    close_stage();
}

/* What wears it out is not looked at in the master: nothing is known until the helper has
 * answered, and what it says of one that has been replaced is nobody's. */
static void the_master_does_not_wait_for_a_weight(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.memory_bytes = 1});
    master.slot_count = 1;
    struct pf__worker *worker = &slots[0].seats[0];
    for (int i = 0; i < 4; i++) {
        test_clock.now_ns += 2 * PF_SECOND;
        (void)pf__worker_worn(worker);
        assert_true(master.scale.pid > 0);
        assert_int_equal(worker->over_memory, 0);
        if (i < 3)
            worker->pid = getppid(); /* as if it had ended meanwhile */
        await_helper();
        worker->pid = getpid();
    }
    assert_int_equal(worker->over_memory, 1);
    close_stage();
}

static void one_helper_is_there_at_a_time(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.memory_bytes = 1});
    (void)pf__worker_worn(&slots[0].seats[0]);
    pid_t helper = master.scale.pid;
    test_clock.now_ns += TURN_NS;
    (void)pf__worker_worn(&slots[1].seats[0]);
    assert_int_equal(master.scale.pid, helper);
    await_helper();
    assert_int_equal(slots[0].seats[0].over_memory, 1);
    assert_int_equal(slots[1].seats[0].over_memory, 0);
    close_stage();
}

static void a_worker_that_is_gone_has_no_memory(void **state)
{
    (void)state;
    open_stage((struct pf__wear){.memory_bytes = 1});
    master.slot_count = 1;
    slots[0].seats[0].pid = 0x7fffffff; /* more than any: proc(5), pid_max */
    for (int i = 0; i < 5; i++) {
        test_clock.now_ns += 2 * PF_SECOND;
        assert_worn(&slots[0].seats[0], NULL);
    }
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_worker_without_limits_is_never_worn),
        pf_test(requests_of_all_its_lanes_wear_a_worker_and_nobody_elses_do),
        pf_test(what_its_predecessors_did_does_not_wear_a_worker),
        pf_test(a_worker_is_worn_by_its_lifetime),
        pf_test(a_worker_is_worn_by_memory_when_it_is_over_three_times_in_a_row),
        pf_test(one_look_below_the_limit_starts_the_count_anew),
        pf_test(the_master_does_not_wait_for_a_weight),
        pf_test(one_helper_is_there_at_a_time),
        pf_test(a_worker_that_is_gone_has_no_memory),
    };
    return cmocka_run_group_tests_name("wear", tests, NULL, NULL);
}
