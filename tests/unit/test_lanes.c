/*
 * test_lanes.c - who adopts whose listeners, told over real channels whose other ends are
 * the test's.
 */
#include "tests/lib/test.h"

#include "master/internal.h"
#include <prefork/log.h>
#include <prefork/testing.h>

#include <string.h>

enum {
    SLOTS = 3,
    HEARD_MAX = 1024
};

static struct pf_test_clock test_clock;
static struct pf_master_options options = PF_MASTER_OPTIONS_INIT;
static struct pf__master master;
static struct pf__slot slots[SLOTS];
static struct pf__lane lanes[SLOTS];

/* What each worker has been told: its ends of the channels. */
static struct {
    pf_channel *channel;
    unsigned count;
    struct {
        uint16_t type;
        struct pf__ipc_lane lane;
    } said[HEARD_MAX];
} workers[SLOTS];

static void worker_on_message(pf_channel *channel, const struct pf_message *message,
                              void *arg)
{
    (void)channel;
    size_t i = (size_t)(uintptr_t)arg;
    assert_true(workers[i].count < HEARD_MAX);
    assert_int_equal(message->len, sizeof(struct pf__ipc_lane));
    workers[i].said[workers[i].count].type = message->type;
    memcpy(&workers[i].said[workers[i].count++].lane, message->payload, message->len);
}

static void on_nothing(pf_channel *channel, const struct pf_message *message, void *arg)
{
    (void)channel, (void)message, (void)arg;
}

static void on_closed(pf_channel *channel, int reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
}

static void quiet(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

static void open_worker(size_t i)
{
    int pair[2];
    struct pf_channel_options ours = {PF_CHANNEL_OPTIONS, .on_message = on_nothing,
                                      .on_closed = on_closed};
    struct pf_channel_options theirs = {PF_CHANNEL_OPTIONS, .on_message = worker_on_message,
                                        .on_closed = on_closed, .arg = (void *)i};
    assert_int_equal(pf_ipc_pair(pair), 0);
    slots[i] = (struct pf__slot){.master = &master, .number = (unsigned)i};
    for (unsigned seat = 0; seat < 2; seat++)
        slots[i].seats[seat] = (struct pf__worker){.slot = &slots[i], .seat = seat};
    slots[i].seats[0].pid = 1;
    slots[i].seats[0].state = PF_WORKER_ACCEPTING;
    assert_int_equal(
        pf_channel_new(master.loop, pair[0], &ours, &slots[i].seats[0].channel), 0);
    memset(&workers[i], 0, sizeof workers[i]);
    assert_int_equal(pf_channel_new(master.loop, pair[1], &theirs, &workers[i].channel), 0);
    lanes[i] = (struct pf__lane){.adopter = PF__NOBODY};
}

static void open_stage(void)
{
    test_clock = (struct pf_test_clock){.now_ns = 1000 * PF_SECOND};
    master = (struct pf__master)PF__MASTER_INIT;
    master.options = &options;
    master.slots = slots;
    master.lanes = lanes;
    master.slot_count = master.lane_count = SLOTS;
    master.threads = 1;
    master.lanes_have_own = true;
    assert_int_equal(pf_test_loop_new(&test_clock, &master.loop), 0);
    pf_log_set_sink(quiet, NULL);
    for (size_t i = 0; i < SLOTS; i++)
        open_worker(i);
}

static void close_stage(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        pf_channel_free(slots[i].seats[0].channel);
        pf_channel_free(workers[i].channel);
    }
    pf_log_set_sink(NULL, NULL);
    assert_int_equal(pf_loop_close(master.loop, false), 0);
    pf_loop_unref(master.loop);
}

/* Whatever is stuck is adopted, and told. */
static void review(unsigned owner, bool is_stuck)
{
    lanes[owner].stuck = is_stuck;
    pf__lanes_review(&master);
}

static void settle(void)
{
    assert_true(pf_test_run_until_idle(master.loop) >= 0);
}

static void a_late_answer_does_not_undo_the_next_adoption(void **state)
{
    (void)state;
    open_stage();
    review(0, true);
    review(0, false);
    review(0, true); /* all before it has said anything */
    settle();
    int adopter = lanes[0].adopter;
    assert_int_equal(adopter, 1);
    assert_int_equal(workers[1].count, 3);
    assert_int_equal(workers[1].said[0].type, PF_IPC_ADOPT);
    assert_int_equal(workers[1].said[1].type, PF_IPC_RELEASE);
    assert_int_equal(workers[1].said[2].type, PF_IPC_ADOPT);

    pf__lanes_unable(&master, 1, &workers[1].said[0].lane); /* the first, which is over */
    pf__lanes_review(&master);
    assert_int_equal(lanes[0].adopter, 1);
    settle();
    assert_int_equal(workers[2].count, 0);

    pf__lanes_unable(&master, 1, &workers[1].said[2].lane); /* the present one */
    assert_int_equal(lanes[0].adopter, PF__NOBODY);
    pf__lanes_review(&master);
    assert_int_equal(lanes[0].adopter, 2); /* the other is not asked again so soon */
    settle();
    assert_int_equal(workers[2].count, 1);
    close_stage();
}

/* A worker that reads nothing has a full queue: what is sent to it is lost. */
static void who_cannot_be_told_adopts_nothing(void **state)
{
    (void)state;
    open_stage();
    struct pf__ipc_lane named = {.thread = 0};
    while (pf__worker_tell(&slots[1].seats[0], PF_IPC_PING, &named, sizeof named, NULL,
                           0) == 0)
        continue;
    review(0, true);
    assert_int_equal(lanes[0].adopter, PF__NOBODY);
    assert_int_equal(master.tally.adoptions, 0);
    pf__lanes_review(&master);
    assert_int_equal(lanes[0].adopter, 2);
    assert_int_equal(master.tally.adoptions, 1);
    close_stage();
}

/* And who watched until then goes on: it is released when the next one has been told. */
static void an_adopter_stays_until_the_next_one_is_told(void **state)
{
    (void)state;
    open_stage();
    review(0, true);
    assert_int_equal(lanes[0].adopter, 1);
    struct pf__ipc_lane named = {.thread = 0};
    while (pf__worker_tell(&slots[2].seats[0], PF_IPC_PING, &named, sizeof named, NULL,
                           0) == 0)
        continue;
    lanes[1].full = true; /* it has enough */
    pf__lanes_review(&master);
    assert_int_equal(lanes[0].adopter, 1);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_late_answer_does_not_undo_the_next_adoption),
        pf_test(who_cannot_be_told_adopts_nothing),
        pf_test(an_adopter_stays_until_the_next_one_is_told),
    };
    return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
