/* A run as modes make it, against small servers in threads of the test: how it begins and
 * ends, and what is counted of it. */
#include "tests/lib/bench.h"

#include "bench/pace.h"
#include "bench/requests.h"
#include "bench/run.h"
#include "bench/steady.h"
#include "bench/watch.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct plan plan;
static struct requests *requests;
static struct result *result;

/* A closed loop of one connection, until changed. */
static void plan_for(const struct pf_peer *peer)
{
    char why[256], address[64];
    struct pf_address addresses[PF_ADDRESSES_MAX];
    const struct request_line line = {
        .method = "GET", .target = "/", .authority = "localhost"};
    plan = (struct plan){.mode = "run",
                         .url = peer->url,
                         .burst = 1,
                         .seed = 1,
                         .connections = 1,
                         .connections_max = 1,
                         .threads = 1,
                         .procs = 1,
                         .pipeline = 1,
                         .timeout_ns = 60 * PF_SECOND,
                         .drain_ns = 60 * PF_SECOND,
                         .nodelay = true};
    snprintf(address, sizeof address, "127.0.0.1:%u", peer->port);
    assert_int_equal(pf_address_parse(address, addresses, why, sizeof why), 1);
    plan.target = addresses[0];
    assert_int_equal(requests_one(&line, &requests, why, sizeof why), 0);
    plan.requests_set = requests;
    result = result_new();
    assert_non_null(result);
}

static void plan_free(void)
{
    requests_free(requests);
    result_free(result);
}

/* tally.h's equations. */
static void assert_balanced(void)
{
    const struct result_totals *totals = &result->totals;
    uint64_t answers = 0;
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        answers += result->status[i];
    assert_int_equal(totals->planned, totals->sent + totals->dropped + totals->unsent);
    assert_int_equal(totals->sent, answers + totals->failed + totals->censored);
}

/* ---- watchers -------------------------------------------------------------------- */

static unsigned ended_one, ended_other;

static void end_one(void *arg, pf_loop *loop)
{
    (void)loop;
    ++*(unsigned *)arg;
}

static int begin_well(void *arg, pf_loop *loop, int64_t began_ns)
{
    (void)arg, (void)loop, (void)began_ns;
    return 0;
}

static int begin_badly(void *arg, pf_loop *loop, int64_t began_ns)
{
    (void)arg, (void)loop, (void)began_ns;
    return -EIO;
}

static void who_has_begun_is_ended_once_and_nobody_else(void **state)
{
    (void)state;
    static const int64_t warmups[] = {0, 20 * PF_MILLISECOND};
    for (size_t i = 0; i < 2; i++) {
        struct pf_peer peer = {.serve = pf_peer_serve_always};
        pf_peer_start(&peer);
        plan_for(&peer);
        plan.warmup_ns = warmups[i];
        plan.duration_ns = 3600 * PF_SECOND;
        struct run_watcher good = {.begin = begin_well, .end = end_one, .arg = &ended_one};
        struct run_watcher bad = {
            .begin = begin_badly, .end = end_one, .arg = &ended_other};
        struct run_watcher both;
        struct watch watch;
        ended_one = ended_other = 0;
        watch_join(&watch, &good, &bad, &both);
        assert_int_equal(run_plan(&plan, &both, RUN_SILENT, result), -EIO);
        assert_int_equal(ended_one, 1);
        assert_int_equal(ended_other, 0);
        plan_free();
        pf_peer_stop(&peer);
    }
}

/* ---- the schedule ---------------------------------------------------------------- */

static void random_slots_of_a_number_are_there_for_every_unit(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        plan = (struct plan){.requests = 64, .arrival = PLAN_POISSON, .seed = seed};
        steady_set(&plan, 4);
        for (unsigned unit = 0; unit < 64; unit++) {
            struct pace pace;
            pace_init(&pace, &plan, unit, 64);
            assert_true(pace_due(&pace) < INT64_MAX);
        }
    }
}

static void schedule_that_ends_before_its_number_is_reached_ends_the_run(void **state)
{
    (void)state;
    static const double rates[] = {100, 1e-3};
    for (size_t i = 0; i < 2; i++) {
        struct pf_peer peer = {.serve = pf_peer_serve_always};
        pf_peer_start(&peer);
        plan_for(&peer);
        plan.load = PLAN_OPEN;
        plan.requests = 1000;
        plan.stages[0] = (struct plan_stage){50 * PF_MILLISECOND, rates[i], rates[i]};
        plan.stage_count = 1;
        assert_int_equal(run_plan(&plan, NULL, RUN_SILENT, result), 0);
        assert_balanced();
        assert_int_equal(result->totals.planned, 1000);
        assert_int_equal(result->totals.ok, i == 0 ? 5 : 0);
        plan_free();
        pf_peer_stop(&peer);
    }
}

/* ---- the rate -------------------------------------------------------------------- */

/* The first connection's 11th answer comes so long behind the end of the measurement. */
static int64_t late_ns = 150 * PF_MILLISECOND;

static atomic_bool is_late; /* it has been asked for */

static void serve_one_late(struct pf_peer *peer, int fd, unsigned index)
{
    for (unsigned i = 0; pf_peer_read_request(peer, fd); i++) {
        if (index == 0 && i == 10) {
            atomic_store(&is_late, true);
            pf_peer_pass_gate(peer);
        }
        pf_peer_say(fd, PF_PEER_HELLO);
    }
}

static int open_gate(pf_loop *loop, void *arg)
{
    (void)loop;
    pf_peer_open_gate(arg, 1);
    return 0;
}

static bool asked_in_time; /* before the end of the measurement */

/* Counted from here, so that a stall of this program shortens no wait. */
static int wait_for_gate(pf_loop *loop, void *arg)
{
    asked_in_time = atomic_load(&is_late);
    return pf_loop_call_later(loop, late_ns, open_gate, arg, NULL);
}

static int begin_gate(void *arg, pf_loop *loop, int64_t began_ns)
{
    return pf_loop_call_at(loop, began_ns + plan.duration_ns, wait_for_gate, arg, NULL);
}

/* Where a machine is so slow that there are no eleven answers in that time: in longer. */
static void run_with_one_late(struct pf_peer *peer)
{
    struct run_watcher watcher = {.begin = begin_gate, .arg = peer};
    bool was_late = false;
    for (int64_t ms = 200; !was_late && ms <= 20000; ms *= 10) {
        if (ms > 200) { /* all anew */
            plan_free();
            pf_peer_stop(peer);
            *peer = (struct pf_peer){.serve = serve_one_late};
            pf_peer_start(peer);
            plan_for(peer);
        }
        plan.duration_ns = ms * PF_MILLISECOND;
        plan.connections = plan.connections_max = 2;
        atomic_store(&is_late, false);
        assert_int_equal(run_plan(&plan, &watcher, RUN_SILENT, result), 0);
        assert_balanced();
        assert_int_equal(result->totals.ok, result->totals.sent);
        was_late = asked_in_time;
    }
    assert_true(was_late);
}

static void late_answer_is_counted_but_is_no_part_of_the_rate(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_one_late};
    const struct result_totals *totals;
    pf_peer_start(&peer);
    plan_for(&peer);
    run_with_one_late(&peer);
    totals = &result->totals;
    assert_int_equal(totals->elapsed_ns, plan.duration_ns);
    assert_true(totals->ok_in_time > 0);
    assert_true(totals->ok_in_time < (int64_t)totals->ok);
    assert_true(result->latency[RESULT_SERVICE].hdr->max >= late_ns);
    double rate = (double)totals->ok_in_time / ((double)plan.duration_ns / 1e9);
    assert_true(result_rate(result) > rate * 0.999 && result_rate(result) < rate * 1.001);
    double all = result_rate(result) * result_seconds(result);
    assert_true(all > (double)totals->ok - 0.5 && all < (double)totals->ok + 0.5);
    plan_free();
    pf_peer_stop(&peer);
}

static void long_drain_has_a_row_of_its_own(void **state)
{
    (void)state;
    static const int64_t lates[] = {0, 1500 * PF_MILLISECOND};
    for (size_t i = 0; i < 2; i++) {
        struct pf_peer peer = {.serve = serve_one_late};
        pf_peer_start(&peer);
        plan_for(&peer);
        late_ns = lates[i];
        run_with_one_late(&peer);
        uint64_t ok = 0;
        for (size_t n = 0; n < result->row_count; n++)
            ok += result->rows[n].ok;
        assert_int_equal(ok, result->totals.ok);
        /* The last row of the measurement, each of which lasts a second at the most. */
        size_t rows = (size_t)((plan.duration_ns + PF_SECOND - 1) / PF_SECOND);
        assert_true(result->row_count >= rows);
        const struct result_row *row = &result->rows[rows - 1];
        assert_true(row->t_ns >= plan.duration_ns);
        if (i == 1) {
            assert_int_equal(result->row_count, rows + 1);
            assert_true(row->ok > 0);
            assert_true(row[1].span_ns >= PF_SECOND);
            assert_true(row[1].ok >= 1);
            assert_int_equal(row->t_ns + row[1].span_ns, row[1].t_ns);
        }
        plan_free();
        pf_peer_stop(&peer);
    }
    late_ns = 150 * PF_MILLISECOND;
}

/* Of a schedule of 40 slots in 200 ms one connection can have but a few answered. */
static void what_a_drain_works_off_is_no_part_of_the_rate(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_one_late};
    pf_peer_start(&peer);
    plan_for(&peer);
    plan.load = PLAN_OPEN;
    plan.stages[0] = (struct plan_stage){200 * PF_MILLISECOND, 200, 200};
    plan.stage_count = 1;
    plan.duration_ns = 200 * PF_MILLISECOND;
    struct run_watcher watcher = {.begin = begin_gate, .arg = &peer};
    assert_int_equal(run_plan(&plan, &watcher, RUN_SILENT, result), 0);
    assert_balanced();
    assert_int_equal(result->totals.ok, 40);
    assert_int_equal(result->totals.elapsed_ns, plan.duration_ns);
    assert_true(result->totals.ok_in_time <= 10);
    assert_true(result_rate(result) <= 10 / 0.2 + 1e-6);
    plan_free();
    pf_peer_stop(&peer);
}

static void all_answers_of_a_number_are_in_time(void **state)
{
    (void)state;
    static const double rates[] = {0, 1000};
    for (size_t i = 0; i < 2; i++) {
        struct pf_peer peer = {.serve = pf_peer_serve_always};
        pf_peer_start(&peer);
        plan_for(&peer);
        plan.requests = 50;
        if (rates[i] > 0)
            steady_set(&plan, rates[i]);
        assert_int_equal(run_plan(&plan, NULL, RUN_SILENT, result), 0);
        assert_balanced();
        assert_int_equal(result->totals.ok, 50);
        assert_int_equal(result->totals.ok_in_time, 50);
        plan_free();
        pf_peer_stop(&peer);
    }
}

/* ---- what is left over ----------------------------------------------------------- */

static void serve_nothing(struct pf_peer *peer, int fd, unsigned index)
{
    (void)peer, (void)index;
    pf_peer_wait_for_end(fd);
}

static void what_was_due_and_never_sent_has_its_age_as_the_least(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_nothing};
    pf_peer_start(&peer);
    plan_for(&peer);
    plan.load = PLAN_OPEN;
    plan.warmup_ns = 50 * PF_MILLISECOND;
    plan.duration_ns = 100 * PF_MILLISECOND;
    plan.drain_ns = 40 * PF_MILLISECOND;
    plan.stages[0] = (struct plan_stage){150 * PF_MILLISECOND, 200, 200};
    plan.stage_count = 1;
    assert_int_equal(run_plan(&plan, NULL, RUN_SILENT, result), 0);
    assert_balanced();
    const struct result_latency *response = &result->latency[RESULT_RESPONSE];
    assert_int_equal(result->totals.planned, 20);
    /* The one under way is of the warm-up. */
    assert_int_equal(result->totals.unsent, 20);
    assert_int_equal(response->hdr->count, 20);
    assert_int_equal(result->latency[RESULT_SERVICE].hdr->count, 0);
    /* From 97.5 ms before the end of the schedule to 2.5 ms, and half a drain behind it. */
    assert_true(response->hdr->max >= 117 * PF_MILLISECOND);
    assert_true(response->hdr->min >= 22 * PF_MILLISECOND);
    assert_true(response->hdr->max - response->hdr->min >= 94 * PF_MILLISECOND);
    assert_true(response->censored_at_ns <= response->hdr->min);
    assert_true(response->censored_at_ns >= 22 * PF_MILLISECOND);
    plan_free();
    pf_peer_stop(&peer);
}

/* ---- units that fail ------------------------------------------------------------- */

/* With few descriptors a thread cannot make its loop: the run is to say so, and no thread
 * is to end the program by itself, which would leave the terminal to a screen. Nobody
 * accepts here, or answers: a server's thread would want descriptors, too. */
static void thread_that_fails_ends_the_run_and_not_the_program(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct pf_peer peer = {.listener =
                               pf_peer_listen(AF_INET, (struct sockaddr *)&at, len)};
    assert_true(peer.listener >= 0);
    assert_int_equal(getsockname(peer.listener, (struct sockaddr *)&at, &len), 0);
    peer.port = ntohs(at.sin_port);
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    int failed = 0, lowest = dup(peer.listener);
    close(lowest);
    for (int more = 4; more < 40; more++) {
        plan_for(&peer);
        plan.duration_ns = plan.drain_ns = PF_MILLISECOND;
        plan.connections = plan.connections_max = plan.threads = 2;
        limit.rlim_cur = (rlim_t)(lowest + more);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        int err = run_plan(&plan, NULL, RUN_SILENT, result);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        failed += err == -EMFILE;
        assert_true(err == 0 || err == -EMFILE);
        plan_free();
    }
    assert_true(failed > 0);
    close(peer.listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(who_has_begun_is_ended_once_and_nobody_else),
        pf_test(random_slots_of_a_number_are_there_for_every_unit),
        pf_test(schedule_that_ends_before_its_number_is_reached_ends_the_run),
        pf_test(late_answer_is_counted_but_is_no_part_of_the_rate),
        pf_test(long_drain_has_a_row_of_its_own),
        pf_test(what_a_drain_works_off_is_no_part_of_the_rate),
        pf_test(all_answers_of_a_number_are_in_time),
        pf_test(what_was_due_and_never_sent_has_its_age_as_the_least),
        pf_test(thread_that_fails_ends_the_run_and_not_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
