/* Idle connections, held against a socket that this test listens on. */
#include "tests/lib/test.h"

#include "bench/hold_pool.h"
#include "bench/spread.h"
#include "bench/squad.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 500

struct bench {
    pf_loop *loop;
    int listener;
    struct pf_address target;
    struct hold_counts counts;
    struct hold_pool *pool;
    bool opened;
    int accepted[CONNECTIONS];
    unsigned accepted_count;
};

/* Large: kept off the stack. */
static struct bench bench;

static int bench_on_opened(pf_loop *loop, void *arg)
{
    (void)loop;
    ((struct bench *)arg)->opened = true;
    return 0;
}

static void set_up(void)
{
    memset(&bench, 0, sizeof bench);
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    assert_int_equal(pf_loop_new(&options, &bench.loop), 0);
    bench.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    spread_source(0, &bench.target);
    bench.target.len = sizeof(struct sockaddr_in);
    assert_int_equal(
        bind(bench.listener, (struct sockaddr *)&bench.target.storage, bench.target.len),
        0);
    assert_int_equal(listen(bench.listener, CONNECTIONS), 0);
    assert_int_equal(getsockname(bench.listener, (struct sockaddr *)&bench.target.storage,
                                 &bench.target.len),
                     0);
    hold_counts_init(&bench.counts);
}

static void accept_all(void)
{
    int fd;
    while (bench.accepted_count < CONNECTIONS &&
           (fd = accept4(bench.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        bench.accepted[bench.accepted_count++] = fd;
}

static void start(unsigned connections, const struct pf_address *sources, unsigned count)
{
    struct hold_options options = {
        .target = &bench.target,
        .sources = sources,
        .source_count = count,
        .connections = connections,
        .timeout_ns = PF_TEST_DEADLINE_S * PF_SECOND,
        .on_opened = bench_on_opened,
        .arg = &bench,
    };
    assert_int_equal(hold_pool_new(bench.loop, &options, &bench.counts, &bench.pool), 0);
}

/* Turn the loop until `done`, within the deadline. */
static void turn_until(bool (*done)(void))
{
    int64_t now, until;
    pf_loop_time(bench.loop, &until);
    until += PF_TEST_DEADLINE_S * PF_SECOND;
    while (!done()) {
        pf_loop_time(bench.loop, &now);
        assert_true(now < until);
        assert_true(pf_loop_turn(bench.loop, 10 * PF_MILLISECOND) >= 0);
        accept_all();
    }
}

static bool is_opened(void)
{
    return bench.opened;
}

static bool all_are_lost(void)
{
    return bench.counts.held == 0;
}

static void tear_down(void)
{
    hold_pool_free(bench.pool);
    for (unsigned i = 0; i < bench.accepted_count; i++)
        close(bench.accepted[i]);
    close(bench.listener);
    pf_loop_close(bench.loop, false);
    pf_loop_unref(bench.loop);
}

static void all_are_opened_and_stay(void **state)
{
    (void)state;
    set_up();
    start(CONNECTIONS, NULL, 0);
    turn_until(is_opened);
    assert_int_equal(bench.counts.started, CONNECTIONS);
    assert_int_equal(bench.counts.held, CONNECTIONS);
    assert_int_equal(bench.counts.connect.count, CONNECTIONS);
    assert_int_equal(bench.counts.lost + bench.counts.failed, 0);
    assert_true(bench.counts.opened_ns > 0);
    tear_down();
}

/* Whatever a call before had to say of it. */
static void a_request_that_does_not_fit_fails_its_connection_for_that(void **state)
{
    (void)state;
    enum {
        TOO_MUCH = 64 << 20
    };
    char *request = calloc(1, TOO_MUCH);
    assert_non_null(request);
    set_up();
    struct hold_options options = {.target = &bench.target,
                                   .connections = 2,
                                   .timeout_ns = PF_TEST_DEADLINE_S * PF_SECOND,
                                   .request = request,
                                   .request_len = TOO_MUCH,
                                   .on_opened = bench_on_opened,
                                   .arg = &bench};
    assert_int_equal(hold_pool_new(bench.loop, &options, &bench.counts, &bench.pool), 0);
    turn_until(is_opened);
    struct tally_error error;
    assert_true(hold_counts_error(&bench.counts, 0, &error));
    assert_int_equal(error.reason, ENOBUFS);
    assert_int_equal(error.count, 2);
    assert_false(hold_counts_error(&bench.counts, 1, &error));
    assert_int_equal(bench.counts.failed, 2);
    assert_int_equal(bench.counts.held, 0);
    tear_down();
    free(request);
}

static void they_come_from_the_sources_in_turn(void **state)
{
    (void)state;
    struct pf_address sources[4];
    unsigned seen[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        spread_source(i + 1, &sources[i]);
    set_up();
    start(40, sources, 4);
    turn_until(is_opened);
    accept_all();
    assert_int_equal(bench.accepted_count, 40);
    for (unsigned i = 0; i < 40; i++) {
        struct sockaddr_in peer, source;
        socklen_t len = sizeof peer;
        getpeername(bench.accepted[i], (struct sockaddr *)&peer, &len);
        for (unsigned s = 0; s < 4; s++) {
            memcpy(&source, &sources[s].storage, sizeof source);
            seen[s] += source.sin_addr.s_addr == peer.sin_addr.s_addr;
        }
    }
    for (unsigned s = 0; s < 4; s++)
        assert_int_equal(seen[s], 10);
    tear_down();
}

static void those_that_the_server_closes_are_lost_with_the_reason(void **state)
{
    (void)state;
    set_up();
    start(100, NULL, 0);
    turn_until(is_opened);
    accept_all();
    for (unsigned i = 0; i < 100; i++) {
        struct linger reset = {.l_onoff = 1};
        if (i < 30) /* a reset; some say something before they close */
            setsockopt(bench.accepted[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        else if (i < 60)
            assert_int_equal(send(bench.accepted[i], "bye", 3, MSG_NOSIGNAL), 3);
        close(bench.accepted[i]);
    }
    bench.accepted_count = 0;
    turn_until(all_are_lost);
    assert_int_equal(bench.counts.lost, 100);
    assert_int_equal(bench.counts.bytes_in, 30 * 3);
    assert_int_equal(bench.counts.error_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct tally_error *error = &bench.counts.errors[i];
        assert_int_equal(error->when, TALLY_IDLE);
        assert_true(error->first_ns > 0);
        if (error->reason == ECONNRESET)
            assert_int_equal(error->count, 30);
        else
            assert_int_equal(error->count, error->reason == 0 ? 70 : 0);
    }
    tear_down();
}

#define ASKED 20

static bool all_are_accepted(void)
{
    return bench.accepted_count == ASKED;
}

/* As each row says: in two parts with the loop's turns between them, or in one. */
static void those_that_ask_are_held_when_a_good_answer_is_complete(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second; /* NULL: it closes */
        bool head;
        unsigned held;
        enum tally_phase phase;
        enum tally_when when;
        int reason;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer", "", false, ASKED, 0, 0, 0},
        {"HTTP/1.1 200 OK\r\nContent-Len", "gth: 2\r\n\r\nan", false, ASKED, 0, 0, 0},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 N", "o\r\n\r\n", false, ASKED, 0, 0, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "c\r\n0\r\n\r\n",
         false, ASKED, 0, 0, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "", true, ASKED, 0, 0, 0},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "", false, 0, TALLY_VALIDATE,
         TALLY_ANSWERED, TALLY_STATUS},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nans", NULL, false, 0, TALLY_READ,
         TALLY_PARTIAL, 0},
        {"", NULL, false, 0, TALLY_READ, TALLY_SENT, 0},
        {"answer", "\r\n\r\n", false, 0, TALLY_PARSE, TALLY_PARTIAL, TALLY_NOT_HTTP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        set_up();
        struct hold_options options = {.target = &bench.target,
                                       .connections = ASKED,
                                       .timeout_ns = PF_TEST_DEADLINE_S * PF_SECOND,
                                       .request = "hello",
                                       .request_len = 5,
                                       .request_head = rows[i].head,
                                       .on_opened = bench_on_opened,
                                       .arg = &bench};
        assert_int_equal(hold_pool_new(bench.loop, &options, &bench.counts, &bench.pool),
                         0);
        turn_until(all_are_accepted);
        for (unsigned c = 0; c < ASKED; c++) {
            char text[16] = "";
            struct pollfd poll_fd = {.fd = bench.accepted[c], .events = POLLIN};
            while (poll(&poll_fd, 1, 0) == 0)
                assert_true(pf_loop_turn(bench.loop, PF_MILLISECOND) >= 0);
            assert_int_equal(recv(bench.accepted[c], text, sizeof text, 0), 5);
            assert_string_equal(text, "hello");
        }
        assert_false(bench.opened);
        assert_int_equal(bench.counts.held, 0);
        for (unsigned part = 0; part < 2; part++) {
            const char *text = part ? rows[i].second : rows[i].first;
            for (unsigned c = 0; c < ASKED; c++) {
                if (text)
                    (void)send(bench.accepted[c], text, strlen(text), MSG_NOSIGNAL);
                else
                    shutdown(bench.accepted[c], SHUT_WR);
            }
            assert_true(pf_loop_turn(bench.loop, PF_MILLISECOND) >= 0);
        }
        turn_until(is_opened);
        assert_int_equal(bench.counts.held, rows[i].held);
        assert_int_equal(bench.counts.failed, ASKED - rows[i].held);
        struct tally_error error;
        bool failed = hold_counts_error(&bench.counts, 0, &error);
        assert_int_equal(failed, rows[i].held == 0);
        if (failed) {
            assert_int_equal(error.phase, rows[i].phase);
            assert_int_equal(error.when, rows[i].when);
            assert_int_equal(error.reason, rows[i].reason);
            assert_int_equal(error.count, ASKED);
        }
        tear_down();
    }
}

static void those_that_are_never_answered_are_given_up(void **state)
{
    (void)state;
    set_up();
    struct hold_options options = {.target = &bench.target,
                                   .connections = ASKED,
                                   .timeout_ns = 50 * PF_MILLISECOND,
                                   .request = "hello",
                                   .request_len = 5,
                                   .on_opened = bench_on_opened,
                                   .arg = &bench};
    assert_int_equal(hold_pool_new(bench.loop, &options, &bench.counts, &bench.pool), 0);
    turn_until(is_opened);
    assert_int_equal(bench.counts.held, 0);
    assert_int_equal(bench.counts.failed, ASKED);
    tear_down();
}

static void a_refused_connect_is_a_failed_one(void **state)
{
    (void)state;
    set_up();
    close(bench.listener);
    start(50, NULL, 0);
    turn_until(is_opened);
    assert_int_equal(bench.counts.failed, 50);
    assert_int_equal(bench.counts.held, 0);
    assert_int_equal(bench.counts.error_count, 1);
    assert_int_equal(bench.counts.errors[0].reason, ECONNREFUSED);
    bench.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tear_down();
}

/* ---- in processes of their own --------------------------------------------------- */

struct shared {
    struct pf_address target;
    struct hold_counts counts[2];
    struct squad_member *me; /* of each process */
    struct hold_pool *pool;
};

static int member_on_opened(pf_loop *loop, void *arg)
{
    (void)loop;
    squad_say_ready(arg);
    return 0;
}

static int member_begin(void *arg, struct squad_member *me, pf_loop *loop)
{
    struct shared *shared = arg;
    static struct hold_pool *pool; /* of this process */
    struct hold_options options = {.target = &shared->target,
                                   .connections = 100,
                                   .timeout_ns = PF_TEST_DEADLINE_S * PF_SECOND,
                                   .on_opened = member_on_opened,
                                   .arg = me};
    return hold_pool_new(loop, &options, &shared->counts[me->index], &pool);
}

static void member_end(void *arg, struct squad_member *me, pf_loop *loop)
{
    (void)arg, (void)me, (void)loop; /* the process ends, and closes them */
}

static void a_squad_holds_them_until_it_is_told_to_end(void **state)
{
    (void)state;
    set_up();
    pf_loop_close(bench.loop, false); /* no loop crosses a fork */
    pf_loop_unref(bench.loop);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    shared->target = bench.target;
    hold_counts_init(&shared->counts[0]);
    hold_counts_init(&shared->counts[1]);
    struct squad_job job = {member_begin, member_end, shared};
    struct squad *squad;
    assert_int_equal(squad_start(2, &job, &squad), 0);
    assert_int_equal(squad_ready(squad, PF_TEST_DEADLINE_S * 1000), 2);
    accept_all();
    assert_int_equal(bench.accepted_count, 200);
    assert_int_equal(shared->counts[0].held + shared->counts[1].held, 200);
    struct pollfd poll_fd = {.fd = bench.accepted[0], .events = POLLIN | POLLRDHUP};
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    assert_int_equal(squad_stop(squad), 0);
    assert_int_equal(poll(&poll_fd, 1, PF_TEST_DEADLINE_S * 1000), 1);
    munmap(shared, sizeof *shared);
    for (unsigned i = 0; i < bench.accepted_count; i++)
        close(bench.accepted[i]);
    close(bench.listener);
}

static int fail_to_begin(void *arg, struct squad_member *me, pf_loop *loop)
{
    (void)arg, (void)me, (void)loop;
    return -ENOMEM;
}

static void a_squad_whose_members_fail_says_so(void **state)
{
    (void)state;
    struct squad_job job = {fail_to_begin, member_end, NULL};
    struct squad *squad;
    assert_int_equal(squad_start(3, &job, &squad), 0);
    assert_int_equal(squad_ready(squad, PF_TEST_DEADLINE_S * 1000), -ECHILD);
    assert_int_equal(squad_stop(squad), 3);
    assert_int_equal(squad_start(0, &job, &squad), -EINVAL);
    assert_int_equal(squad_stop(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(all_are_opened_and_stay),
        pf_test(a_request_that_does_not_fit_fails_its_connection_for_that),
        pf_test(they_come_from_the_sources_in_turn),
        pf_test(those_that_the_server_closes_are_lost_with_the_reason),
        pf_test(those_that_ask_are_held_when_a_good_answer_is_complete),
        pf_test(those_that_are_never_answered_are_given_up),
        pf_test(a_refused_connect_is_a_failed_one),
        pf_test(a_squad_holds_them_until_it_is_told_to_end),
        pf_test(a_squad_whose_members_fail_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
