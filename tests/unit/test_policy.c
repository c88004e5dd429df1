/* test_policy.c - the master's decisions, row by row. */
#include "tests/lib/test.h"

#include "ipc/catalogue.h"
#include "master/internal.h"
#include "master/policy.h"

#include <string.h>

static void an_end_is_classified(void **state)
{
    (void)state;
    enum {
        NO,
        YES
    };
    static const struct {
        enum pf__fate fate;
        bool was_ready;
        enum pf__how how;
        bool memory;
        enum pf__end expected;
    } rows[] = {
        {PF__FATE_LEAVE, YES, PF__HOW_ZERO, NO, PF__END_COMMANDED},
        {PF__FATE_LEAVE, YES, PF__HOW_KILL, YES, PF__END_COMMANDED},
        {PF__FATE_LEAVE, NO, PF__HOW_OTHER, NO, PF__END_COMMANDED},
        {PF__FATE_ASKED, YES, PF__HOW_ZERO, NO, PF__END_COMMANDED},
        {PF__FATE_ASKED, NO, PF__HOW_ZERO, NO, PF__END_COMMANDED},
        {PF__FATE_ASKED, YES, PF__HOW_OTHER, NO, PF__END_CRASH},
        {PF__FATE_ASKED, NO, PF__HOW_OTHER, NO, PF__END_BOOT},
        {PF__FATE_ASKED, YES, PF__HOW_KILL, NO, PF__END_KILLED},
        {PF__FATE_HANG, YES, PF__HOW_OTHER, NO, PF__END_HUNG},
        {PF__FATE_HANG, YES, PF__HOW_KILL, YES, PF__END_HUNG},
        {PF__FATE_RECYCLE, YES, PF__HOW_ZERO, NO, PF__END_RECYCLED},
        {PF__FATE_RECYCLE, YES, PF__HOW_OTHER, NO, PF__END_CRASH},
        {PF__FATE_RECYCLE, YES, PF__HOW_KILL, NO, PF__END_KILLED},
        {PF__FATE_LIVE, YES, PF__HOW_ZERO, NO, PF__END_CLEAN},
        {PF__FATE_LIVE, YES, PF__HOW_KILL, NO, PF__END_KILLED},
        {PF__FATE_LIVE, YES, PF__HOW_KILL, YES, PF__END_MEMORY},
        {PF__FATE_LIVE, YES, PF__HOW_OTHER, YES, PF__END_CRASH},
        {PF__FATE_LIVE, NO, PF__HOW_ZERO, NO, PF__END_BOOT},
        {PF__FATE_LIVE, NO, PF__HOW_KILL, YES, PF__END_BOOT},
        {PF__FATE_LIVE, NO, PF__HOW_OTHER, NO, PF__END_BOOT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(pf__policy_classify(rows[i].fate, rows[i].was_ready, rows[i].how,
                                             rows[i].memory),
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
    assert_int_equal(pf__policy_failures(4, PF__END_RECYCLED, young), 0);
    assert_int_equal(pf__policy_failures(4, PF__END_HUNG, young), 5);
    assert_int_equal(pf__policy_failures(4, PF__END_MEMORY, young), 5);
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

/* As many as there are slots and some may be forked at once; after that one by one, at the
 * rate at which there are so many in ten seconds. */
static void forks_are_limited_and_none_waits_for_long(void **state)
{
    (void)state;
    static const unsigned slots[] = {1, 2, 8, 1024};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        unsigned burst = slots[i] + PF__FORKS_SPARE, forks = 0;
        int64_t each = PF__FORKS_WINDOW_NS / burst, now = 1000 * PF_SECOND, used_up = 0;
        while (pf__policy_fork(&used_up, slots[i], now) == 0)
            assert_true(++forks <= burst);
        assert_int_equal(forks, burst);
        int64_t wait = pf__policy_fork(&used_up, slots[i], now);
        assert_in_range(wait, 1, each);
        assert_true(pf__policy_fork(&used_up, slots[i], now + wait - 1) > 0);
        assert_int_equal(pf__policy_fork(&used_up, slots[i], now + wait), 0);
        assert_int_equal(pf__policy_fork(&used_up, slots[i], now + wait), each);
        for (int64_t end = now + wait + 10 * PF__FORKS_WINDOW_NS; now < end;
             now += each / 3)
            forks += pf__policy_fork(&used_up, slots[i], now) == 0;
        assert_in_range(forks, 10 * burst, 12 * burst);
        now += 10 * PF__FORKS_WINDOW_NS; /* what was not forked then is not saved up */
        for (forks = 0; pf__policy_fork(&used_up, slots[i], now) == 0; forks++)
            continue;
        assert_int_equal(forks, burst);
    }
}

static void a_server_gives_up_only_if_nothing_works(void **state)
{
    (void)state;
    const unsigned boots = PF__BOOT_FAILURES_MAX;
    const int64_t limit = PF__ALL_FAILING_NS;
    assert_int_equal(pf__policy_give_up(false, boots - 1, 0, false), 0);
    assert_int_equal(pf__policy_give_up(false, boots, 0, false), PF_EXIT_CONFIG);
    assert_int_equal(pf__policy_give_up(false, boots, 0, true), PF_EXIT_CONFIG);
    assert_int_equal(pf__policy_give_up(true, 1000, limit - 1, false), 0);
    assert_int_equal(pf__policy_give_up(true, 0, limit, false), PF_EXIT_TEMPFAIL);
    assert_int_equal(pf__policy_give_up(true, 0, limit, true), 0);
}

static void a_spread_is_between_a_half_and_one_and_a_half(void **state)
{
    (void)state;
    for (int64_t now = 0; now < 3 * PF_MILLISECOND; now += 997) {
        double spread = pf__policy_spread(now);
        assert_true(spread >= 0.5 && spread < 1.5);
    }
    assert_true(pf__policy_spread(1000000) - pf__policy_spread(1) > 0.9);
}

/* ---- slots ----------------------------------------------------------------------- */

/* What the text of this case says is wanted: see the next test. */
static enum pf__slot_action expected(const struct pf__slot_view *slot)
{
    if (slot->stopping || slot->current == PF__SEAT_BOOTING)
        return PF__SLOT_WAIT;
    bool comes = slot->other == PF__SEAT_BOOTING || slot->other == PF__SEAT_ACCEPTING;
    bool alone = slot->other == PF__SEAT_EMPTY;
    if (slot->current == PF__SEAT_ACCEPTING)
        return slot->other == PF__SEAT_ACCEPTING                ? PF__SLOT_SWAP
               : alone && slot->worn && slot->turn && slot->due ? PF__SLOT_REPLACE
                                                                : PF__SLOT_WAIT;
    if (comes)
        return PF__SLOT_PROMOTE;
    if (slot->current == PF__SEAT_EMPTY)
        return slot->due ? PF__SLOT_START : PF__SLOT_WAIT;
    if (!slot->due)
        return PF__SLOT_WAIT;
    return alone ? PF__SLOT_REPLACE : PF__SLOT_EVICT;
}

/* Rows that a reader can check, then all cells of seat x seat x facts: never two successors
 * for one worker, never a start in a seat that is taken, nothing once the server stops. */
static void a_slot_wants_one_worker_that_accepts(void **state)
{
    (void)state;
    const enum pf__seat_kind none = PF__SEAT_EMPTY, boots = PF__SEAT_BOOTING,
                             serves = PF__SEAT_ACCEPTING, leaves = PF__SEAT_LEAVING;
    const struct {
        struct pf__slot_view view;
        enum pf__slot_action action;
    } rows[] = {
        /*         current other  stopping due worn turn */
        {{none, none, false, true, false, false}, PF__SLOT_START},
        {{none, none, false, false, false, false}, PF__SLOT_WAIT},
        {{none, none, true, true, false, false}, PF__SLOT_WAIT},
        {{none, leaves, false, true, false, false}, PF__SLOT_START},
        {{none, boots, false, true, false, false}, PF__SLOT_PROMOTE},
        {{boots, none, false, true, false, false}, PF__SLOT_WAIT},
        {{serves, none, false, true, false, true}, PF__SLOT_WAIT},
        {{serves, none, false, true, true, false}, PF__SLOT_WAIT},
        {{serves, none, false, true, true, true}, PF__SLOT_REPLACE},
        {{serves, none, false, false, true, true}, PF__SLOT_WAIT},
        {{serves, boots, false, true, true, true}, PF__SLOT_WAIT},
        {{serves, leaves, false, true, true, true}, PF__SLOT_WAIT},
        {{serves, serves, false, true, true, true}, PF__SLOT_SWAP},
        {{leaves, none, false, true, false, false}, PF__SLOT_REPLACE},
        {{leaves, boots, false, true, false, false}, PF__SLOT_PROMOTE},
        {{leaves, leaves, false, true, false, false}, PF__SLOT_EVICT},
        {{leaves, leaves, false, false, false, false}, PF__SLOT_WAIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(pf__policy_slot(&rows[i].view), rows[i].action);
    for (unsigned bits = 0; bits < 16 * 16; bits++) {
        struct pf__slot_view view = {(enum pf__seat_kind)(bits & 3),
                                     (enum pf__seat_kind)(bits >> 2 & 3),
                                     bits >> 4 & 1,
                                     bits >> 5 & 1,
                                     bits >> 6 & 1,
                                     bits >> 7 & 1};
        enum pf__slot_action action = pf__policy_slot(&view);
        assert_int_equal(action, expected(&view));
        assert_true(action != PF__SLOT_START || view.current == none);
        assert_true(action != PF__SLOT_REPLACE || view.other == none);
    }
}

static void a_worker_is_worn_by_what_comes_first(void **state)
{
    (void)state;
    const struct pf__wear limits = {100, 10 * PF_SECOND, 1000}, none = {0};
    struct pf__wear worker = {99, 10 * PF_SECOND - 1, 999};
    assert_null(pf__policy_worn(&limits, &worker));
    worker.memory_bytes = 1000;
    assert_string_equal(pf__policy_worn(&limits, &worker), "memory");
    worker.lifetime_ns++;
    assert_string_equal(pf__policy_worn(&limits, &worker), "lifetime");
    worker.requests++;
    assert_string_equal(pf__policy_worn(&limits, &worker), "requests");
    assert_null(pf__policy_worn(&none, &worker));
}

static void limits_are_taken_a_little_early_and_never_late(void **state)
{
    (void)state;
    const struct pf__wear limits = {1000, 1000, 1000};
    assert_int_equal(pf__policy_wear(&limits, 0.5).requests, 1000);
    assert_int_equal(pf__policy_wear(&limits, 1.5).requests, 800);
    assert_int_equal(pf__policy_wear(&limits, 1.0).lifetime_ns, 900);
    assert_int_equal(pf__policy_wear(&limits, 1.5).memory_bytes, 1000);
    const struct pf__wear none = {0};
    assert_int_equal(pf__policy_wear(&none, 1.5).requests, 0);
}

/* ---- hung workers ---------------------------------------------------------------- */

/* One look after the other at one lane. */
static void a_lane_is_stuck_only_inside_a_handler_and_for_long(void **state)
{
    (void)state;
    const int64_t s = PF_SECOND;
    const enum pf__verdict fine = PF__PULSE_FINE, ping = PF__PULSE_PING,
                           stuck = PF__PULSE_STUCK, hung = PF__PULSE_HUNG;
    const struct {
        const char *what;
        uint64_t beat; /* odd: in a handler */
        int64_t at;
        int64_t busy_until;
        bool queue, stopped, throttled;
        enum pf__verdict expected;
    } rows[] = {
        {"the first look", 7, 0, 0, false, false, false, fine},
        {"it turns", 9, 5 * s, 0, true, false, false, fine},
        {"the same handler, for a while", 9, 7 * s - 1, 0, true, false, false, fine},
        {"too long", 9, 7 * s, 0, true, false, false, stuck},
        {"still", 9, 34 * s, 0, false, false, false, stuck},
        {"much too long", 9, 35 * s, 0, false, false, false, hung},
        {"it turns again", 11, 36 * s, 0, false, false, false, fine},
        {"throttled: twice as long", 11, 39 * s, 0, false, false, true, fine},
        {"but no longer", 11, 40 * s, 0, false, false, true, stuck},
        {"a debugger", 11, 90 * s, 0, false, true, false, fine},
        {"its stop does not count", 11, 95 * s, 0, false, false, false, fine},
        {"afterwards it does", 11, 97 * s, 0, false, false, false, stuck},
        {"declared busy", 11, 100 * s, 101 * s, false, false, false, fine},
        {"the time is over", 11, 101 * s, 101 * s, false, false, false, fine},
        {"two seconds ago", 11, 102 * s, 101 * s, false, false, false, stuck},
        {"it sleeps", 12, 103 * s, 0, false, false, false, fine},
        {"and sleeps", 12, 900 * s, 0, false, false, false, fine},
        {"somebody waits", 12, 901 * s - 1, 0, true, false, false, fine},
        {"is it asleep?", 12, 901 * s, 0, true, false, false, ping},
        {"no answer yet", 12, 902 * s, 0, true, false, false, fine},
        {"no answer", 12, 903 * s, 0, true, false, false, stuck},
        {"others serve its queue", 12, 904 * s, 0, false, false, false, stuck},
        {"stopped by somebody", 12, 950 * s, 0, false, true, false, stuck},
        {"or it was, at the last look", 12, 951 * s, 0, false, false, false, stuck},
        {"no: it is hung", 12, 952 * s, 0, false, false, false, hung},
        {"it has woken", 14, 953 * s, 0, true, false, false, fine},
    };
    struct pf__pulse pulse = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf__pulse_facts facts = {.beat = rows[i].beat,
                                        .now_ns = rows[i].at,
                                        .busy_until_ns = rows[i].busy_until,
                                        .queue = rows[i].queue,
                                        .stopped = rows[i].stopped,
                                        .throttled = rows[i].throttled,
                                        .soft_ns = 2 * s,
                                        .hard_ns = 30 * s};
        enum pf__verdict verdict = pf__policy_pulse(&pulse, &facts);
        if (verdict != rows[i].expected)
            fail_msg("%s: %d", rows[i].what, verdict);
    }
}

static void a_jump_of_the_clock_judges_nobody(void **state)
{
    (void)state;
    struct pf__pulse pulse = {0};
    struct pf__pulse_facts facts = {.beat = 9, .soft_ns = 2, .hard_ns = 30};
    assert_int_equal(pf__policy_pulse(&pulse, &facts), PF__PULSE_FINE);
    pf__policy_pulse_reset(&pulse, 1000);
    facts.now_ns = 1001;
    assert_int_equal(pf__policy_pulse(&pulse, &facts), PF__PULSE_FINE);
    facts.now_ns = 1002;
    assert_int_equal(pf__policy_pulse(&pulse, &facts), PF__PULSE_STUCK);
}

/* ---- adoption -------------------------------------------------------------------- */

/* Lanes in pairs share a core, in fours a cache. */
static int in_pairs(const void *arg, unsigned a, unsigned b)
{
    (void)arg;
    return a / 2 == b / 2 ? 1 : a / 4 == b / 4 ? 2 : 3;
}

/* A lane in a text: S serves, u serves but cannot adopt, o needs an adopter, 0..7 needs one
 * and has this one, b is neither (it boots). Expected: who adopts, - for nobody. */
static void a_lane_nobody_serves_goes_to_the_nearest_that_does(void **state)
{
    (void)state;
    static const struct {
        const char *lanes, *expected;
    } rows[] = {
        {"SSSS", "----"},         {"oSSS", "1---"},         {"SoSS", "-0--"},
        {"ooSS", "23--"},         {"ooSo", "22-2"},         {"oooo", "----"},
        {"3SSS", "3---"},                           /* kept, though another is nearer */
        {"ouSS", "2---"},         {"1oSS", "23--"}, /* its adopter needs one itself */
        {"bSSS", "----"},         {"obbb", "----"},         {"o", "-"},
        {"SSSSoSSS", "----5---"}, {"SSSSooSS", "----67--"}, {"SSSSoooo", "----0123"},
        {"Sooooooo", "-0000000"}, {"5SSS4SSS", "5---5---"}, /* 4 itself does not serve */
        {"22SSoSSS", "22--5---"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf__lane_view lanes[8];
        int adopters[8];
        unsigned count = (unsigned)strlen(rows[i].lanes);
        for (unsigned lane = 0; lane < count; lane++) {
            char c = rows[i].lanes[lane];
            bool has = c >= '0' && c <= '7';
            lanes[lane] = (struct pf__lane_view){.serves = c == 'S' || c == 'u',
                                                 .orphaned = c == 'o' || has,
                                                 .unable = c == 'u',
                                                 .adopter = has ? c - '0' : PF__NOBODY};
        }
        pf__policy_adopters(lanes, count, in_pairs, NULL, adopters);
        char text[9] = "";
        for (unsigned lane = 0; lane < count; lane++)
            text[lane] = adopters[lane] == PF__NOBODY ? '-' : (char)('0' + adopters[lane]);
        if (strcmp(text, rows[i].expected) != 0)
            fail_msg("%s: %s, not %s", rows[i].lanes, text, rows[i].expected);
    }
}

/* ---- states ---------------------------------------------------------------------- */

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
    for (unsigned i = 0; i < PF__ENDS; i++)
        assert_string_not_equal(pf__end_name((enum pf__end)i), "?");
    assert_string_equal(pf__worker_state_name(PF_WORKER_STATES), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(an_end_is_classified),
        pf_test(failures_in_a_row_are_counted_and_a_healthy_life_forgives),
        pf_test(the_delay_doubles_up_to_its_limit),
        pf_test(forks_are_limited_and_none_waits_for_long),
        pf_test(a_server_gives_up_only_if_nothing_works),
        pf_test(a_spread_is_between_a_half_and_one_and_a_half),
        pf_test(a_slot_wants_one_worker_that_accepts),
        pf_test(a_worker_is_worn_by_what_comes_first),
        pf_test(limits_are_taken_a_little_early_and_never_late),
        pf_test(a_lane_is_stuck_only_inside_a_handler_and_for_long),
        pf_test(a_jump_of_the_clock_judges_nobody),
        pf_test(a_lane_nobody_serves_goes_to_the_nearest_that_does),
        pf_test(a_worker_moves_only_as_the_picture_shows),
        pf_test(the_master_moves_only_forward),
        pf_test(every_state_has_a_name),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
