/*
 * test_undead.c - a master without processes, on a clock of the test's: workers that cannot
 * be ended, and time that nobody is to be blamed for.
 */
#include "tests/lib/test.h"

#include "master/internal.h"
#include <prefork/log.h>
#include <prefork/testing.h>

#include <string.h>

enum {
    SLOTS = 2
};

static struct pf_test_clock test_clock;
static const struct pf_service service = {.size = sizeof service};
static struct pf_master_options options = PF_MASTER_OPTIONS_INIT;
static struct pf__master master;
static struct pf__slot slots[SLOTS];
static struct pf__lane lanes[SLOTS];
static unsigned kept; /* lines that say so */

static void on_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)len, (void)arg;
    kept += strstr(line, "worker-undead") && strstr(line, "seat=kept");
}

/* It has served, and nobody is due for a long time. */
static void open_stage(void)
{
    test_clock = (struct pf_test_clock){.now_ns = 1000 * PF_SECOND};
    options.service = &service;
    kept = 0;
    master = (struct pf__master)PF__MASTER_INIT;
    master.options = &options;
    master.state = PF__MASTER_RUNNING;
    master.begun = master.ever_ready = true;
    master.slots = slots;
    master.lanes = lanes;
    master.slot_count = master.lane_count = SLOTS;
    master.threads = 1;
    master.healthy_at_ns = test_clock.now_ns;
    master.planned_ns = PF_NEVER;
    assert_int_equal(pf_test_loop_new(&test_clock, &master.loop), 0);
    assert_int_equal(pf_scoreboard_new(pf__columns, PF__COLUMNS, 2 * SLOTS, &master.board),
                     0);
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i] = (struct pf__slot){.master = &master, .number = i, .due_ns = PF_NEVER};
        for (unsigned seat = 0; seat < 2; seat++)
            slots[i].seats[seat] = (struct pf__worker){.slot = &slots[i], .seat = seat};
        lanes[i] = (struct pf__lane){.adopter = PF__NOBODY};
    }
    pf_log_set_sink(on_line, NULL);
}

static void close_stage(void)
{
    pf_log_set_sink(NULL, NULL);
    pf_scoreboard_free(master.board);
    assert_int_equal(pf_loop_close(master.loop, false), 0);
    pf_loop_unref(master.loop);
}

/* Returns whether its seat is free then. */
static bool give_up(pid_t pid)
{
    struct pf__worker *worker = &slots[0].seats[0];
    worker->pid = pid;
    pf__undead_give_up(worker);
    bool is_free = worker->pid == 0;
    worker->pid = 0;
    return is_free;
}

/* No process has such a number: proc(5), pid_max. */
#define PID 0x40000000

static void a_seat_is_freed_for_so_many_at_a_time(void **state)
{
    (void)state;
    open_stage();
    for (int i = 0; i < PF__UNDEAD_MAX; i++)
        assert_true(give_up(PID + i));
    assert_int_equal(kept, 0);
    assert_false(give_up(PID + PF__UNDEAD_MAX));
    assert_int_equal(kept, 1);
    assert_int_equal(master.tally.undead, PF__UNDEAD_MAX + 1);

    assert_false(pf__undead_ended(&master, PID + PF__UNDEAD_MAX)); /* a worker, still */
    assert_true(pf__undead_ended(&master, PID + 3));
    assert_false(pf__undead_ended(&master, PID + 3));
    assert_true(give_up(PID + PF__UNDEAD_MAX));
    close_stage();
}

static void a_server_that_stops_frees_every_seat(void **state)
{
    (void)state;
    open_stage();
    for (int i = 0; i < PF__UNDEAD_MAX; i++)
        assert_true(give_up(PID + i));
    master.stop = PF__STOP_KILL;
    assert_true(give_up(PID + PF__UNDEAD_MAX));
    close_stage();
}

/* ---- time ------------------------------------------------------------------------- */

/* Nobody accepts, which is not for long yet; then the machine is suspended, or the
 * container is. */
static void a_pause_of_the_master_is_no_time_in_which_all_failed(void **state)
{
    (void)state;
    open_stage();
    assert_int_equal(pf__tick_start(&master), 0);
    for (int i = 0; i < 40; i++) /* ten seconds */
        assert_true(pf_test_advance(master.loop, &test_clock, PF__TICK_NS) >= 0);
    assert_int_equal(master.stop, PF__STOP_NOT);
    test_clock.now_ns += 10 * PF__ALL_FAILING_NS;
    pf__master_review(&master); /* something else wakes it before the tick */
    assert_int_equal(master.stop, PF__STOP_NOT);
    assert_true(pf_test_run_until_idle(master.loop) >= 0);
    assert_int_equal(master.stop, PF__STOP_NOT);
    while (master.stop == PF__STOP_NOT && master.ticks < 1000)
        assert_true(pf_test_advance(master.loop, &test_clock, PF__TICK_NS) >= 0);
    assert_int_equal(master.status, PF_EXIT_TEMPFAIL); /* its own time counts */
    assert_in_range(master.ticks, 230, 245);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_seat_is_freed_for_so_many_at_a_time),
        pf_test(a_server_that_stops_frees_every_seat),
        pf_test(a_pause_of_the_master_is_no_time_in_which_all_failed),
    };
    return cmocka_run_group_tests_name("undead", tests, NULL, NULL);
}
