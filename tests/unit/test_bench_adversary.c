/* Adversaries against a socket that this test listens on; the clock is moved by hand. */
#include "tests/lib/test.h"

#include "bench/adversary.h"
#include "bench/spread.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX 64
#define TENTH     (100 * PF_MILLISECOND)

static struct {
    int64_t now;
    pf_loop *loop;
    int listener;
    struct pf_address target;
    struct adversary_counts counts;
    struct adversaries *all;
    bool ready;
    int peers[PEERS_MAX]; /* accepted */
    unsigned peer_count;
} bench; /* large: kept off the stack */

static int64_t bench_clock(void *arg)
{
    (void)arg;
    return bench.now;
}

static int bench_on_ready(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    bench.ready = true;
    return 0;
}

static void start(const char *mix)
{
    char why[256] = "";
    memset(&bench, 0, sizeof bench);
    bench.now = PF_SECOND;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = bench_clock;
    assert_int_equal(pf_loop_new(&options, &bench.loop), 0);
    spread_source(0, &bench.target);
    bench.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr *address = (struct sockaddr *)&bench.target.storage;
    assert_int_equal(bind(bench.listener, address, bench.target.len), 0);
    assert_int_equal(listen(bench.listener, PEERS_MAX), 0);
    assert_int_equal(getsockname(bench.listener, address, &bench.target.len), 0);
    adversary_counts_init(&bench.counts);
    struct adversary_options wanted = {
        .target = &bench.target, .authority = "a", .path = "/", .on_ready = bench_on_ready};
    assert_int_equal(adversary_parse(mix, &wanted.mix, why, sizeof why), 0);
    assert_int_equal(adversaries_new(bench.loop, &wanted, &bench.counts, &bench.all), 0);
}

static void stop(void)
{
    adversaries_free(bench.all);
    for (unsigned i = 0; i < bench.peer_count; i++)
        close(bench.peers[i]);
    close(bench.listener);
    pf_loop_close(bench.loop, false);
    pf_loop_unref(bench.loop);
}

/* Run what is due and ready now, connects over loopback included, which a busy machine may
 * put off a little. */
static void settle(void)
{
    int fd;
    while (pf_loop_turn(bench.loop, 5 * PF_MILLISECOND) > 0)
        ;
    while (bench.peer_count < PEERS_MAX &&
           (fd = accept4(bench.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        bench.peers[bench.peer_count++] = fd;
}

static void pass(int64_t ns)
{
    for (int64_t end = bench.now + ns; bench.now < end;) {
        settle();
        bench.now += TENTH;
    }
    settle();
}

/* All that has come on a connection by now; the result is that of the last recv(2), 0 or
 * -errno. */
static int hear(int fd, char *text, size_t size)
{
    size_t have = 0;
    ssize_t len;
    while ((len = recv(fd, text + have, size - 1 - have, 0)) > 0)
        have += (size_t)len;
    text[have] = '\0';
    return len < 0 ? -errno : 0;
}

static void the_mix_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wrong; /* what the phrase says; NULL: it is right */
    } rows[] = {
        {"slowloris:500,slowread:200,slowpost:100,halfopen:1k,idle:5k,garbage:50,reset:200/"
         "s",
         NULL},
        {"idle:1", NULL},
        {"reset:7", NULL},
        {"", "no kind"},
        {"idle", "idle:500"},
        {"idle:", "idle:500"},
        {"idle:0", "idle:500"},
        {"idle:5/s", "idle:500"},
        {"reset:x", "reset:200/s"},
        {"idle:5,", "no kind"},
        {"idle:5,idle:6", "twice"},
        {"loris:5", "\"loris\" is no kind"},
        {"idle:5;reset:3", "idle:500"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[256] = "";
        struct adversary_mix mix;
        int err = adversary_parse(rows[i].text, &mix, why, sizeof why);
        assert_int_equal(err, rows[i].wrong ? -EINVAL : 0);
        assert_true(!rows[i].wrong || strstr(why, rows[i].wrong));
    }
    struct adversary_mix mix;
    char why[256];
    adversary_parse(rows[0].text, &mix, why, sizeof why);
    assert_int_equal(mix.count[ADVERSARY_SLOWLORIS], 500);
    assert_int_equal(mix.count[ADVERSARY_HALFOPEN], 1000);
    assert_int_equal(mix.count[ADVERSARY_IDLE], 5000);
    assert_int_equal(mix.count[ADVERSARY_RESET], 200);
    assert_int_equal(adversary_descriptors(&mix), 500 + 200 + 100 + 1000 + 5000 + 50 + 200);
}

static void as_many_as_asked_for_are_there_within_a_second(void **state)
{
    (void)state;
    start("slowloris:5,slowread:4,slowpost:3,halfopen:6,idle:25,garbage:2");
    assert_false(bench.ready);
    pass(PF_SECOND);
    assert_true(bench.ready);
    assert_int_equal(bench.peer_count, 45);
    static const unsigned expected[] = {5, 4, 3, 6, 25, 2, 0};
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++) {
        assert_int_equal(bench.counts.open[kind], expected[kind]);
        assert_int_equal(bench.counts.opened[kind], expected[kind]);
        assert_int_equal(bench.counts.cut[kind], 0);
    }
    stop();
}

static void each_does_what_its_name_says(void **state)
{
    (void)state;
    static const struct {
        const char *mix;
        const char *at_once, *in_three_seconds; /* what has come */
        bool ends;
    } rows[] = {
        {"slowloris:1", "GET / HTTP/1.1\r\nHost: a\r\n",
         "X-Slow: y\r\nX-Slow: y\r\nX-Slow: y\r\n", false},
        {"slowpost:1", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
         "xxx", false},
        {"halfopen:1", "", "", true},
        {"idle:1", "", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[4096];
        start(rows[i].mix);
        settle();
        assert_int_equal(bench.peer_count, 1);
        int end = rows[i].ends ? 0 : -EAGAIN;
        assert_int_equal(hear(bench.peers[0], text, sizeof text), end);
        assert_string_equal(text, rows[i].at_once);
        pass(3 * PF_SECOND);
        assert_int_equal(hear(bench.peers[0], text, sizeof text), end);
        assert_string_equal(text, rows[i].in_three_seconds);
        assert_int_equal(bench.peer_count, 1);
        stop();
    }
}

static void garbage_is_no_http(void **state)
{
    (void)state;
    char text[4096];
    start("garbage:1");
    settle();
    assert_int_equal(hear(bench.peers[0], text, sizeof text), -EAGAIN);
    assert_true(memcmp(text, "GET", 3) != 0);
    stop();
}

static void a_slow_reader_asks_and_sips(void **state)
{
    (void)state;
    char text[65536];
    start("slowread:1");
    settle();
    assert_int_equal(hear(bench.peers[0], text, sizeof text), -EAGAIN);
    unsigned asked = 0;
    for (const char *at = text; (at = strstr(at, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
         at++)
        asked++;
    assert_true(asked > 1);
    /* Answer until nothing fits: its window is small, and is filled again by little. */
    memset(text, 'x', sizeof text);
    while (send(bench.peers[0], text, sizeof text, MSG_NOSIGNAL) > 0)
        ;
    pass(3 * PF_SECOND);
    assert_int_equal(bench.counts.open[ADVERSARY_SLOWREAD], 1);
    assert_int_equal(bench.counts.cut[ADVERSARY_SLOWREAD], 0);
    /* The server gives up: it is seen though its answers are not read. */
    struct linger reset = {.l_onoff = 1};
    setsockopt(bench.peers[0], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(bench.peers[0]);
    bench.peer_count = 0;
    pass(PF_SECOND);
    assert_int_equal(bench.counts.cut[ADVERSARY_SLOWREAD], 1);
    stop();
}

static void one_that_is_cut_is_counted_and_comes_back(void **state)
{
    (void)state;
    start("slowloris:4,idle:6");
    pass(2 * PF_SECOND);
    assert_int_equal(bench.peer_count, 10);
    int64_t lived = bench.now - PF_SECOND; /* at the most: they came within a second */
    for (unsigned i = 0; i < 10; i++)
        close(bench.peers[i]);
    bench.peer_count = 0;
    settle();
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++)
        assert_int_equal(bench.counts.open[kind], 0);
    assert_int_equal(bench.counts.cut[ADVERSARY_SLOWLORIS], 4);
    assert_int_equal(bench.counts.cut[ADVERSARY_IDLE], 6);
    const struct hdr *after = &bench.counts.cut_after[ADVERSARY_IDLE];
    assert_int_equal(after->count, 6);
    assert_int_equal(after->max, lived);
    assert_true(after->min >= lived - PF_SECOND && after->min < lived);
    pass(PF_SECOND);
    assert_int_equal(bench.peer_count, 10);
    assert_int_equal(bench.counts.opened[ADVERSARY_IDLE], 12);
    assert_int_equal(bench.counts.open[ADVERSARY_SLOWLORIS], 4);
    stop();
}

static void resets_come_by_the_second_in_the_middle_of_a_request(void **state)
{
    (void)state;
    char text[4096];
    start("reset:20/s");
    pass(2 * PF_SECOND);
    assert_true(bench.ready);
    assert_int_equal(bench.counts.opened[ADVERSARY_RESET], 40);
    assert_int_equal(bench.counts.open[ADVERSARY_RESET], 0);
    assert_int_equal(bench.counts.cut[ADVERSARY_RESET], 0);
    assert_int_equal(bench.peer_count, 40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(hear(bench.peers[i], text, sizeof text), -ECONNRESET);
    stop();
}

static void those_that_are_refused_were_tried(void **state)
{
    (void)state;
    start("idle:10,reset:5/s");
    close(bench.listener);
    pass(PF_SECOND);
    assert_true(bench.ready);
    assert_int_equal(bench.counts.opened[ADVERSARY_IDLE], 0);
    assert_true(bench.counts.refused[ADVERSARY_IDLE] >= 10);
    assert_int_equal(bench.counts.refused[ADVERSARY_RESET], 5);
    bench.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_mix_is_read),
        pf_test(as_many_as_asked_for_are_there_within_a_second),
        pf_test(each_does_what_its_name_says),
        pf_test(garbage_is_no_http),
        pf_test(a_slow_reader_asks_and_sips),
        pf_test(one_that_is_cut_is_counted_and_comes_back),
        pf_test(resets_come_by_the_second_in_the_middle_of_a_request),
        pf_test(those_that_are_refused_were_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
