/*
 * The null server: its script by tables, and what it does by a client that talks to it over
 * sockets. It runs in a child process; what it has counted comes back when it is stopped.
 */
#include "tests/lib/test.h"

#include "bench/null_server.h"
#include "bench/serve_script.h"
#include "net/listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the script ------------------------------------------------------------------ */

#define S  PF_SECOND
#define MS PF_MILLISECOND

static void a_script_says_when_it_goes_on(void **state)
{
    (void)state;
    static const struct {
        const char *stalls[4], *every;
        int64_t now, resume;
    } rows[] = {
        {{NULL}, NULL, 0, 0},
        {{"1s@5s"}, NULL, 0, 0},
        {{"1s@5s"}, NULL, 5 * S - 1, 5 * S - 1},
        {{"1s@5s"}, NULL, 5 * S, 6 * S},
        {{"1s@5s"}, NULL, 6 * S - 1, 6 * S},
        {{"1s@5s"}, NULL, 6 * S, 6 * S},
        {{"300ms@0"}, NULL, 0, 300 * MS},
        {{"1s@5s", "2s@8s"}, NULL, 9 * S, 10 * S},
        {{"1s@5s", "2s@6s"}, NULL, 5 * S, 8 * S},  /* one behind the other */
        {{"2s@6s", "1s@5s"}, NULL, 5 * S, 8 * S},  /* in any order */
        {{"5s@5s", "1s@6s"}, NULL, 6 * S, 10 * S}, /* one within the other */
        {{NULL}, "50ms/1s", 0, 0},                 /* not with the first request */
        {{NULL}, "50ms/1s", 1 * S - 1, 1 * S - 1},
        {{NULL}, "50ms/1s", 1 * S, 1050 * MS},
        {{NULL}, "50ms/1s", 7 * S + 49 * MS, 7050 * MS},
        {{NULL}, "50ms/1s", 7 * S + 50 * MS, 7050 * MS},
        {{"1s@2s"}, "100ms/1s", 2 * S, 3100 * MS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct serve_script script = {.count = 0};
        char why[128];
        for (size_t n = 0; n < 4 && rows[i].stalls[n]; n++)
            assert_int_equal(serve_script_add(&script, rows[i].stalls[n], why, sizeof why),
                             0);
        if (rows[i].every)
            assert_int_equal(serve_script_every(&script, rows[i].every, why, sizeof why),
                             0);
        int64_t resume = serve_script_resume(&script, rows[i].now);
        if (resume != rows[i].resume)
            fail_msg("row %zu: %lld", i, (long long)resume);
    }
}

static void a_script_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const stalls[] = {
        "",         "1s",     "@",      "1s@",
        "@5s",      "0@5s",   "-1s@5s", "1s@x",
        "1s@5s@6s", "1s@-5s", "1s/5s",  "1111111111111111111111111111111111s@1s"};
    static const char *const everies[] = {"",      "1s",    "1s/",  "/1s",
                                          "1s/1s", "2s/1s", "0/1s", "1s@2s"};
    struct serve_script script = {.count = 0};
    char why[128];
    for (size_t i = 0; i < sizeof stalls / sizeof stalls[0]; i++) {
        why[0] = 0;
        assert_int_equal(serve_script_add(&script, stalls[i], why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, "1s@5s"));
    }
    for (size_t i = 0; i < sizeof everies / sizeof everies[0]; i++) {
        why[0] = 0;
        assert_int_equal(serve_script_every(&script, everies[i], why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, "50ms/1s"));
    }
    assert_int_equal(script.count, 0);
    for (int i = 0; i < SERVE_STALLS_MAX; i++)
        assert_int_equal(serve_script_add(&script, "1ms@1s", why, sizeof why), 0);
    assert_int_equal(serve_script_add(&script, "1ms@1s", why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "64"));
}

/* ---- a server in a child --------------------------------------------------------- */

struct server {
    pid_t pid;
    uint16_t port;
    int counts; /* at its end it writes its two counters there */
};

static pf_signal_fn on_stop;

static int on_stop(pf_loop *loop, int signo, void *arg)
{
    (void)signo, (void)arg;
    return pf_loop_stop(loop);
}

static void serve_forever(int listener, struct null_server_options options, int counts)
{
    pf_loop *loop;
    struct null_server *server;
    options.listeners = &listener;
    options.listener_count = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (pf_loop_new(NULL, &loop) != 0 ||
        pf_loop_add_signal(loop, SIGTERM, on_stop, NULL) != 0 ||
        null_server_new(loop, &options, &server) != 0)
        _exit(1);
    (void)!write(counts, "r", 1);
    int err = pf_loop_start(loop);
    sigset_t term; /* one that comes when the loop takes it no more would kill */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    uint64_t counted[2] = {null_server_answers(server), null_server_connections(server)};
    (void)!write(counts, counted, sizeof counted);
    null_server_free(server);
    (void)pf_loop_close(loop, true);
    pf_loop_unref(loop);
    _exit(err ? 1 : 0);
}

static void start(struct server *server, struct null_server_options options)
{
    pf_test_skip_under_valgrind(); /* it cannot deliver the signal that ends it */
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pf_address address = {.len = sizeof in};
    memcpy(&address.storage, &in, sizeof in);
    const struct pf_listener_options how = {.backlog = 64};
    int listener = pf_listener_open(&address, &how, PF_LISTENER_ALONE), fds[2];
    assert_true(listener >= 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    if (!options.status)
        options.status = 200;
    server->port = (uint16_t)pf_address_port(&address);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        close(fds[0]);
        serve_forever(listener, options, fds[1]);
    }
    close(fds[1]);
    close(listener);
    server->counts = fds[0];
    char ready;
    assert_int_equal(read(server->counts, &ready, 1), 1);
}

static void stop(struct server *server, uint64_t answers, uint64_t connections)
{
    uint64_t counted[2];
    int status;
    assert_int_equal(kill(server->pid, SIGTERM), 0);
    assert_int_equal(read(server->counts, counted, sizeof counted), sizeof counted);
    assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
    assert_int_equal(status, 0);
    close(server->counts);
    assert_int_equal(counted[0], answers);
    assert_int_equal(counted[1], connections);
}

/* ---- a client -------------------------------------------------------------------- */

static int dial(const struct server *server)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(server->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = PF_TEST_DEADLINE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Exactly these bytes come next. */
static void hear(int fd, const char *text)
{
    static char got[1 << 20];
    size_t len = strlen(text), at = 0;
    assert_true(len < sizeof got);
    while (at < len) {
        ssize_t n = recv(fd, got + at, len - at, 0);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    got[at] = 0;
    assert_string_equal(got, text);
}

/* And then nothing more: the server closes. */
static void hear_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

#define GET     "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define ANSWER3 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

/* ---- what it answers ------------------------------------------------------------- */

static void each_request_gets_what_it_must_get(void **state)
{
    (void)state;
    static const struct {
        struct null_server_options options;
        const char *says, *hears;
        bool ends;
    } rows[] = {
        {{.body = 3}, GET, ANSWER3, false},
        {{.body = 3}, GET GET GET, ANSWER3 ANSWER3 ANSWER3, false},
        {{.body = 0}, GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {{.body = 3},
         "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET,
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" ANSWER3,
         false},
        {{.body = 3},
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1\r\n\r\n2345" GET,
         ANSWER3 ANSWER3,
         false},
        {{.body = 3},
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nab\r\n0\r\n\r\n" GET,
         ANSWER3 ANSWER3,
         false},
        {{.body = 3},
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET,
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
         true},
        {{.body = 3},
         "GET / HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
         true},
        {{.body = 3},
         "what?\r\n\r\n",
         "HTTP/1.1 400 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
         true},
        {{.body = 3, .status = 503},
         GET,
         "HTTP/1.1 503 \r\nContent-Length: 3\r\n\r\nabc",
         false},
        {{.body = 3, .status = 204}, GET, "HTTP/1.1 204 \r\n\r\n", false},
        {{.body = 3, .close_after = 2}, GET GET GET, ANSWER3 ANSWER3, true},
        {{.body = 3, .garbage = 2},
         GET GET GET,
         ANSWER3 "\x16\x03\x01 this is no answer\r\n\r\n",
         true},
        {{.body = 3, .delay_ns = MS}, GET GET GET, ANSWER3 ANSWER3 ANSWER3, false},
        {{.body = 3, .delay_ns = MS, .close_after = 1}, GET GET, ANSWER3, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server server;
        start(&server, rows[i].options);
        int fd = dial(&server);
        say(fd, rows[i].says);
        hear(fd, rows[i].hears);
        if (rows[i].ends)
            hear_end(fd);
        close(fd);
        uint64_t answers = 0;
        for (const char *at = rows[i].hears; (at = strstr(at, "HTTP/1.1")); at++)
            answers++;
        stop(&server, answers + (rows[i].options.garbage != 0), 1);
    }
}

/* However the bytes of requests are cut. */
static void a_request_may_come_in_pieces(void **state)
{
    (void)state;
    static const char says[] =
        GET "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345"
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GET;
    struct server server;
    start(&server, (struct null_server_options){.body = 3});
    for (size_t cut = 1; cut < 8; cut += 3) {
        int fd = dial(&server), on = 1;
        setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
        for (size_t at = 0; at < strlen(says); at += cut) {
            size_t left = strlen(says) - at;
            assert_true(send(fd, says + at, left < cut ? left : cut, MSG_NOSIGNAL) > 0);
        }
        hear(fd, ANSWER3 ANSWER3 ANSWER3 ANSWER3);
        close(fd);
    }
    stop(&server, 12, 3);
}

/* More than any socket buffer holds: the rest waits until the client reads. */
static void answers_that_are_not_taken_wait(void **state)
{
    (void)state;
    enum {
        BODY = 1 << 20,
        COUNT = 64
    };
    static char bytes[65536];
    struct server server;
    start(&server, (struct null_server_options){.body = BODY});
    int fd = dial(&server);
    for (int i = 0; i < COUNT; i++)
        say(fd, GET);
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n";
    size_t answer = strlen(head) + BODY, wanted = answer * COUNT, at = 0;
    while (at < wanted) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++, at++) {
            size_t in = at % answer;
            char right =
                in < strlen(head) ? head[in] : (char)('a' + (in - strlen(head)) % 26);
            if (bytes[i] != right)
                fail_msg("byte %zu is wrong", at);
        }
    }
    say(fd, GET); /* and it reads again */
    assert_int_equal(recv(fd, bytes, 8, MSG_WAITALL), 8);
    close(fd);
    stop(&server, COUNT + 1, 1);
}

static void many_connections_are_served(void **state)
{
    (void)state;
    enum {
        COUNT = 50
    };
    int fds[COUNT];
    struct server server;
    start(&server, (struct null_server_options){.body = 3, .delay_ns = MS});
    for (int i = 0; i < COUNT; i++) {
        fds[i] = dial(&server);
        say(fds[i], GET GET);
    }
    for (int i = COUNT; i-- > 0;) {
        hear(fds[i], ANSWER3 ANSWER3);
        close(fds[i]);
    }
    stop(&server, 2 * COUNT, COUNT);
}

/* Connections that are gone when their answers are due: those that have their descriptors
 * by then get none of them. */
static void what_is_owed_to_one_that_is_gone_goes_to_nobody(void **state)
{
    (void)state;
    enum {
        COUNT = 16
    };
    int fds[COUNT];
    struct server server;
    start(&server, (struct null_server_options){.body = 3, .delay_ns = 100 * MS});
    for (int i = 0; i < COUNT; i++) {
        int fd = dial(&server);
        say(fd, GET GET GET);
        close(fd);
        fds[i] = dial(&server);
        say(fds[i], "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    for (int i = 0; i < COUNT; i++) {
        hear(fds[i], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
        hear_end(fds[i]);
        close(fds[i]);
    }
    uint64_t counted[2];
    kill(server.pid, SIGTERM);
    assert_int_equal(read(server.counts, counted, sizeof counted), sizeof counted);
    waitpid(server.pid, NULL, 0);
    close(server.counts);
    assert_int_equal(counted[1], 2 * COUNT);
    assert_true(counted[0] >= COUNT && counted[0] <= 4 * COUNT); /* some closed late */
}

/* ---- when it answers: a slow machine can only make it later ----------------------- */

static void a_delay_is_never_shorter(void **state)
{
    (void)state;
    struct server server;
    start(&server, (struct null_server_options){.body = 3, .delay_ns = 30 * MS});
    int fd = dial(&server);
    for (int i = 0; i < 3; i++) {
        int64_t sent = now_ns();
        say(fd, GET GET);
        hear(fd, ANSWER3 ANSWER3);
        assert_true(now_ns() - sent >= 30 * MS);
    }
    close(fd);
    stop(&server, 6, 1);
}

static void wait_until(int64_t when)
{
    struct pollfd none = {.fd = -1};
    for (int64_t left; (left = when - now_ns()) > 0;)
        poll(&none, 1, (int)(left / MS) + 1);
}

/* Returns false if this process was too slow to ask within the stall. */
static bool ask_in_a_stall(void)
{
    struct server server;
    struct null_server_options options = {.body = 3};
    char why[128];
    assert_int_equal(serve_script_add(&options.script, "200ms@50ms", why, sizeof why), 0);
    start(&server, options);
    int fd = dial(&server);
    /* Its time counts from between these two. */
    int64_t sent = now_ns();
    say(fd, GET);
    hear(fd, ANSWER3);
    int64_t heard = now_ns();
    wait_until(heard + 50 * MS);
    int64_t asked = now_ns();
    say(fd, GET);
    hear(fd, ANSWER3);
    int64_t answered = now_ns();
    bool within = asked < sent + 250 * MS;
    if (within)
        assert_true(answered >= sent + 250 * MS);
    say(fd, GET); /* and it goes on */
    hear(fd, ANSWER3);
    close(fd);
    stop(&server, 3, 1);
    return within;
}

static void in_a_stall_nothing_is_answered(void **state)
{
    (void)state;
    for (int i = 0; i < 100 && !ask_in_a_stall(); i++)
        ;
}

static void the_first_request_may_find_it_stalled(void **state)
{
    (void)state;
    struct server server;
    struct null_server_options options = {.body = 3};
    char why[128];
    assert_int_equal(serve_script_add(&options.script, "150ms@0", why, sizeof why), 0);
    start(&server, options);
    int fd = dial(&server);
    int64_t sent = now_ns();
    say(fd, GET);
    hear(fd, ANSWER3);
    assert_true(now_ns() - sent >= 150 * MS);
    close(fd);
    stop(&server, 1, 1);
}

static void a_signal_ends_a_stall(void **state)
{
    (void)state;
    struct server server;
    struct null_server_options options = {.body = 3};
    char why[128];
    assert_int_equal(serve_script_add(&options.script, "1000h@0", why, sizeof why), 0);
    start(&server, options);
    int fd = dial(&server);
    say(fd, GET);
    int64_t deadline = now_ns() + PF_TEST_DEADLINE_S * PF_SECOND;
    int status = 0;
    pid_t ended = 0; /* a signal that comes before it stalls ends nothing: again */
    while (ended == 0 && now_ns() < deadline) {
        kill(server.pid, SIGTERM);
        ended = waitpid(server.pid, &status, WNOHANG);
    }
    assert_int_equal(ended, server.pid);
    assert_int_equal(status, 0);
    close(server.counts);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_script_says_when_it_goes_on),
        pf_test(a_script_that_is_none_is_refused),
        pf_test(each_request_gets_what_it_must_get),
        pf_test(a_request_may_come_in_pieces),
        pf_test(answers_that_are_not_taken_wait),
        pf_test(many_connections_are_served),
        pf_test(what_is_owed_to_one_that_is_gone_goes_to_nobody),
        pf_test(a_delay_is_never_shorter),
        pf_test(in_a_stall_nothing_is_answered),
        pf_test(the_first_request_may_find_it_stalled),
        pf_test(a_signal_ends_a_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
