/*
 * test_adoption.c - a worker that is told to adopt: it does, or says which adoption it
 * refuses. The master's end of the channel is the test's; the lane has not begun to accept.
 */
#include "tests/lib/test.h"

#include "worker/internal.h"
#include <prefork/log.h>
#include <prefork/testing.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTENERS = 2
};

static struct pf_test_clock test_clock;
static const struct pf__listener listeners[LISTENERS] = {{.fd = -1, .mode = PF_ACCEPT_OWN},
                                                         {.fd = -1, .mode = PF_ACCEPT_OWN}};
static struct pf__worker_setup setup;
static struct pf__seat seat;
static struct pf__self worker;
static pf_channel *master;
static struct {
    unsigned count;
    struct pf__ipc_lane last;
} refused;

static void master_on_message(pf_channel *channel, const struct pf_message *message,
                              void *arg)
{
    (void)channel, (void)arg;
    assert_int_equal(message->type, PF_IPC_RELEASE);
    assert_int_equal(message->len, sizeof refused.last);
    memcpy(&refused.last, message->payload, message->len);
    refused.count++;
}

static void worker_on_message(pf_channel *channel, const struct pf_message *message,
                              void *arg)
{
    (void)channel, (void)arg;
    pf__self_adopt(&worker, message);
}

static void on_closed(pf_channel *channel, int reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
}

static void quiet(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

static void open_stage(void)
{
    int pair[2];
    struct pf_channel_options ours = {PF_CHANNEL_OPTIONS, .on_message = worker_on_message,
                                      .on_closed = on_closed};
    struct pf_channel_options theirs = {PF_CHANNEL_OPTIONS, .on_message = master_on_message,
                                        .on_closed = on_closed};
    test_clock = (struct pf_test_clock){0};
    memset(&refused, 0, sizeof refused);
    setup = (struct pf__worker_setup){
        .threads = 1, .listeners = listeners, .listen_count = LISTENERS};
    worker = (struct pf__self){.setup = &setup, .seats = &seat};
    assert_int_equal(pf_test_loop_new(&test_clock, &worker.loop), 0);
    seat = (struct pf__seat){.worker = &worker, .loop = worker.loop};
    seat.lane.loop = worker.loop;
    seat.lane.state = PF_WORKER_READY;
    assert_int_equal(pf_ipc_pair(pair), 0);
    assert_int_equal(pf_channel_new(worker.loop, pair[0], &ours, &worker.channel), 0);
    assert_int_equal(pf_channel_new(worker.loop, pair[1], &theirs, &master), 0);
    pf_log_set_sink(quiet, NULL);
}

static void close_stage(void)
{
    pf_log_set_sink(NULL, NULL);
    pf_channel_free(worker.channel);
    pf_channel_free(master);
    assert_int_equal(pf_loop_close(worker.loop, false), 0);
    pf_loop_unref(worker.loop);
}

static void tell(const struct pf__ipc_lane *lane, size_t fd_count)
{
    int fds[LISTENERS + 1] = {0};
    for (size_t i = 0; i < fd_count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(
        pf_channel_send(master, PF_IPC_ADOPT, lane, sizeof *lane, fds, fd_count), 0);
    assert_true(pf_test_run_until_idle(worker.loop) >= 0);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
}

static void assert_refused(const struct pf__ipc_lane *lane)
{
    assert_int_equal(refused.count, 1);
    assert_memory_equal(&refused.last, lane, sizeof *lane);
    refused.count = 0;
}

static void a_lane_that_does_not_accept_says_which_adoption_it_refuses(void **state)
{
    (void)state;
    open_stage();
    const struct pf__ipc_lane lane = {.thread = 0, .owner = 3, .adoption = 4711};
    tell(&lane, LISTENERS);
    assert_refused(&lane);
    close_stage();
}

/* A worker that is out of descriptors loses those that come, and would watch nothing. */
static void listeners_that_did_not_come_are_not_adopted(void **state)
{
    (void)state;
    open_stage();
    seat.lane.state = PF_WORKER_ACCEPTING;
    const struct pf__ipc_lane lane = {.thread = 0, .owner = 3, .adoption = 4712};
    for (size_t fd_count = 0; fd_count <= LISTENERS + 1; fd_count++) {
        if (fd_count == LISTENERS)
            continue;
        tell(&lane, fd_count);
        assert_refused(&lane);
    }
    close_stage();
}

static void a_lane_that_is_not_there_refuses(void **state)
{
    (void)state;
    open_stage();
    const struct pf__ipc_lane lane = {.thread = 1, .owner = 3, .adoption = 4713};
    tell(&lane, LISTENERS);
    assert_refused(&lane);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_lane_that_does_not_accept_says_which_adoption_it_refuses),
        pf_test(listeners_that_did_not_come_are_not_adopted),
        pf_test(a_lane_that_is_not_there_refuses),
    };
    return cmocka_run_group_tests_name("adoption", tests, NULL, NULL);
}
