/* test_policy.c - the master's decisions, row by row. */
#include "tests/lib/test.h"

#include "ipc/catalogue.h"
#include "master/internal.h"
#include "master/policy.h"

#include <string.h>

static void an_end_is_classified(void **state)
{
    (void)state;
    static const struct {
        bool commanded, was_ready;
        enum pf__how how;
        enum pf__end expected;
    } rows[] = {
        {true, true, PF__HOW_ZERO, PF__END_COMMANDED},
        {true, true, PF__HOW_KILL, PF__END_COMMANDED},
        {true, false, PF__HOW_OTHER, PF__END_COMMANDED},
        {false, true, PF__HOW_ZERO, PF__END_CLEAN},
        {false, true, PF__HOW_KILL, PF__END_KILLED},
        {false, true, PF__HOW_OTHER, PF__END_CRASH},
        {false, false, PF__HOW_ZERO, PF__END_BOOT},
        {false, false, PF__HOW_KILL, PF__END_BOOT},
        {false, false, PF__HOW_OTHER, PF__END_BOOT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(
            pf__policy_classify(rows[i].commanded, rows[i].was_ready, rows[i].how),
            rows[i].expected);
}

static void failures_in_a_row_are_counted_and_a_healthy_life_forgives(void **state)
{
    (void)state;
    const int64_t young = PF__MIN_UPTIME_NS - 1, old = PF__MIN_UPTIME_NS;
    static const unsigned most = 1000;
    assert_int_equal(pf__policy_failures(0, PF__END_CRASH, young), 1);
    assert_int_equal(pf__policy_failures(4, PF__END_CRASH, young), 5);
    assert_int_equal(pf__policy_failures(4, PF__END_CRASH, old), 1);
    assert_int_equal(pf__policy_failures(4, PF__END_BOOT, old),
                     5); /* a slow boot is no life */
    assert_int_equal(pf__policy_failures(4, PF__END_CLEAN, young), 5);
    assert_int_equal(pf__policy_failures(0, PF__END_KILLED, young), 1);
    assert_int_equal(pf__policy_failures(1, PF__END_KILLED, young), 2);
    assert_int_equal(pf__policy_failures(2, PF__END_KILLED, young), 2); /* from outside */
    assert_int_equal(pf__policy_failures(5, PF__END_KILLED, young), 5);
    assert_int_equal(pf__policy_failures(5, PF__END_KILLED, old), 1);
    assert_int_equal(pf__policy_failures(4, PF__END_CLEAN, old), 0);
    assert_int_equal(pf__policy_failures(4, PF__END_COMMANDED, young), 0);
    assert_int_equal(pf__policy_failures(most, PF__END_BOOT, 0), most);
}

static void the_delay_doubles_up_to_its_limit(void **state)
{
    (void)state;
    const int64_t ms = PF_MILLISECOND;
    static const struct {
        unsigned failures;
        bool ready, siblings;
        int64_t expected_ms;
    } rows[] = {
        {0, true, false, 0},       {1, true, false, 0},         {2, true, false, 100},
        {3, true, false, 200},     {4, true, false, 400},       {1, false, false, 100},
        {2, false, false, 200},    {5, false, false, 1600},     {9, false, false, 25600},
        {11, false, false, 60000}, {1000, false, false, 60000}, {9, false, true, 2000},
        {5, false, true, 1600},    {1000, true, true, 2000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(
            pf__policy_delay(rows[i].failures, rows[i].ready, rows[i].siblings, 1.0),
            rows[i].expected_ms * ms);
    assert_int_equal(pf__policy_delay(2, true, false, 0.5), 50 * ms);
    assert_int_equal(pf__policy_delay(2, true, false, 1.5), 150 * ms);
}

static void a_server_gives_up_only_if_nothing_works(void **state)
{
    (void)state;
    assert_int_equal(pf__policy_give_up(false, PF__BOOT_FAILURES_MAX - 1, 0), 0);
    assert_int_equal(pf__policy_give_up(false, PF__BOOT_FAILURES_MAX, 0), PF_EXIT_CONFIG);
    assert_int_equal(pf__policy_give_up(true, 1000, PF__ALL_FAILING_NS - 1), 0);
    assert_int_equal(pf__policy_give_up(true, 0, PF__ALL_FAILING_NS), PF_EXIT_TEMPFAIL);
}

/* Every cell of state x state, against a table written from the picture in the header. */
static void a_worker_moves_only_as_the_picture_shows(void **state)
{
    (void)state;
    static const char *const may[PF_WORKER_STATES] = {
        [PF_WORKER_BOOT] = "010001",      [PF_WORKER_READY] = "001001",
        [PF_WORKER_ACCEPTING] = "000111", [PF_WORKER_PAUSED] = "001011",
        [PF_WORKER_DRAINING] = "000001",  [PF_WORKER_EXITING] = "000000",
    };
    for (unsigned from = 0; from < PF_WORKER_STATES; from++)
        for (unsigned to = 0; to < PF_WORKER_STATES; to++)
            assert_int_equal(
                pf__worker_may_move((enum pf_worker_state)from, (enum pf_worker_state)to),
                may[from][to] == '1');
    assert_false(pf__worker_may_move(PF_WORKER_BOOT, PF_WORKER_STATES));
    assert_false(pf__worker_may_move(PF_WORKER_STATES, PF_WORKER_EXITING));
}

static void the_master_moves_only_forward(void **state)
{
    (void)state;
    static const char *const may[PF__MASTER_STATES] = {"011", "001", "000"};
    for (unsigned from = 0; from < PF__MASTER_STATES; from++)
        for (unsigned to = 0; to < PF__MASTER_STATES; to++)
            assert_int_equal(
                pf__master_may_move((enum pf__master_state)from, (enum pf__master_state)to),
                may[from][to] == '1');
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PF_WORKER_STATES; i++)
        assert_string_not_equal(pf__worker_state_name((enum pf_worker_state)i), "?");
    for (unsigned i = 0; i < PF__MASTER_STATES; i++)
        assert_string_not_equal(pf__master_state_name((enum pf__master_state)i), "?");
    assert_string_equal(pf__worker_state_name(PF_WORKER_STATES), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(an_end_is_classified),
        pf_test(failures_in_a_row_are_counted_and_a_healthy_life_forgives),
        pf_test(the_delay_doubles_up_to_its_limit),
        pf_test(a_server_gives_up_only_if_nothing_works),
        pf_test(a_worker_moves_only_as_the_picture_shows),
        pf_test(the_master_moves_only_forward),
        pf_test(every_state_has_a_name),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
