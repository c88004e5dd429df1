/*
 * The load that prefork-bench makes, against real servers: that its books balance, that
 * they agree with the server's own, and that what goes wrong is where it belongs.
 */
#include "tests/lib/bench.h"
#include "tests/lib/server.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static struct pf_bench bench; /* large */
static struct pf_test_server server;

static double total(const char *name)
{
    return pf_bench_number(&bench, "totals", name);
}

/* tally.h's equations; of the statuses the sum. */
static void assert_balanced(void)
{
    double answered = 0;
    const char *at = strstr(bench.json, "\"status\":");
    assert_non_null(at);
    const char *end = strchr(at, '}');
    for (at = strchr(at, '{'); at && at < end;) {
        const char *colon = strchr(at, ':');
        if (!colon || colon > end)
            break;
        char *next;
        answered += strtod(colon + 1, &next);
        at = next;
    }
    double sent = total("sent");
    if (answered + total("failed") + total("censored") != sent)
        print_error("%s\n", bench.json);
    assert_true(answered + total("failed") + total("censored") == sent);
    assert_true(sent + total("dropped") + total("unsent") == total("planned"));
}

/* A real server; its own count of requests by `preforkctl status --json`. */
static void server_start(const char *workers)
{
    const char *const args[] = {"--workers", workers, NULL};
    pf_test_server_start(&server, args);
}

static void run_against_server(const char *options)
{
    char line[512];
    snprintf(line, sizeof line, "%s http://127.0.0.1:%d/", options, server.port);
    pf_bench_run(&bench, line, NULL);
}

static double server_requests(void)
{
    static struct pf_test_server ctl;
    const char *const args[] = {"--ctl", server.control, "status", "--json", NULL};
    memset(&ctl, 0, sizeof ctl);
    pf_test_program_spawn(&ctl, NULL, "bin/preforkctl", args);
    assert_int_equal(pf_test_server_wait(&ctl), 0);
    const char *at = strstr(ctl.text, "\"requests\":");
    assert_non_null(at);
    return strtod(at + strlen("\"requests\":"), NULL);
}

/* ---- counts ---------------------------------------------------------------------- */

static void every_way_of_asking_balances_and_agrees_with_the_servers_own_count(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "-c 4 -n 500",
        "-c 5 -t 3 -n 1001",
        "-c 4 -t 4 --procs 2 -n 400",
        "-c 6 -t 3 --procs 3 -d 200ms",
        "-c 3 -n 300 --pipeline 7",
        "-c 4 -d 200ms --pipeline 16",
        "-c 4 -n 50 --no-keepalive",
        "-c 4 -n 100 --reqs-per-conn 7",
        "-c 4 -n 100 --reqs-per-conn 3 --close rst",
        "-c 4 -n 60 --no-keepalive --close server",
        "-c 4 -n 200 -m HEAD",
        "-c 4 -n 40 --think 1ms",
        "-c 8 -d 200ms --ramp 100ms",
        "-c 4 -d 300ms -R 2k",
        "-c 4 -t 2 -d 300ms -R 2k --arrival poisson",
        "-c 4 -n 333 -R 5k",
        "-c 4 -t 3 -n 100 -R 5k --arrival poisson",
        "-c 2 -d 300ms -R 2k --burst 20 --pipeline 8",
        "-c 2 -d 200ms -R 2k --pace spin",
        "-c 1 -d 200ms -R 3k --burst 50 --overflow connect",
        "--stages 100ms:1k,200ms:3k -c 4",
        "-c 4 -n 100 -R 4k --reqs-per-conn 5",
    };
    server_start("2");
    double before = server_requests();
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        run_against_server(lines[i]);
        pf_bench_measured(&bench);
        assert_balanced();
        double now = server_requests();
        if (total("ok") != now - before)
            print_error("%s: %.0f ok, %.0f served\n", lines[i], total("ok"), now - before);
        assert_true(total("ok") == now - before);
        assert_true(total("ok") == total("planned"));
        before = now;
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void warm_up_is_in_none_of_the_numbers(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "-c 4 -n 100 --warmup 100ms", "-c 4 -t 2 -n 100 --warmup 100ms -R 2k",
        "-c 4 -n 96 --warmup 50ms --pipeline 8", "-c 2 -n 50 --warmup 50ms --think 1ms"};
    static const double counts[] = {100, 100, 96, 50};
    server_start("1");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        run_against_server(lines[i]);
        pf_bench_measured(&bench);
        assert_balanced();
        assert_true(total("ok") == counts[i]);
    }
    run_against_server("-c 4 -d 300ms --warmup 300ms -R 1k");
    pf_bench_measured(&bench);
    assert_balanced();
    assert_true(total("planned") == 300);
    assert_true(total("conns_opened") == 4);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void open_schedule_is_kept_to_the_last_slot(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        double planned;
    } rows[] = {
        {"-c 4 -d 500ms -R 1k", 500},
        {"-c 4 -t 3 -d 500ms -R 1k", 500},
        {"-c 4 -t 2 -d 500ms -R 1k --burst 10", 500},
        {"--stages 200ms:1k,200ms:3k,100ms:0 -c 4", 200 + 400 + 150},
        {"-c 2 -t 2 --procs 2 -d 100ms -R 70", 7},
    };
    server_start("1");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run_against_server(rows[i].line);
        pf_bench_measured(&bench);
        assert_balanced();
        assert_true(total("planned") == rows[i].planned);
        assert_true(total("ok") == rows[i].planned);
        assert_true(pf_bench_number(&bench, "response", "n") == rows[i].planned);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- response and service -------------------------------------------------------- */

/* Each request is answered when the gate lets it pass: the test decides how long that is.
 */
static void serve_one_by_one(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    for (unsigned i = 0; pf_peer_read_request(peer, fd); i++) {
        if (i == 10)
            pf_peer_pass_gate(peer);
        pf_peer_say(fd, PF_PEER_HELLO);
    }
}

static void stall_of_the_server_shows_in_response_and_not_in_service(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_one_by_one};
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "-c 1 -d 1s -R 500 --timeout 60s --drain 60s -o -", &peer);
    /* The 11th request is under way. Let it wait until some hundred others are due. */
    pf_peer_wait_until(&peer.requests, 11);
    int64_t began = pf_bench_now_ms();
    while (pf_bench_now_ms() < began + 300)
        (void)poll(NULL, 0, 10);
    pf_peer_open_gate(&peer, 1);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_measured(&bench);
    snprintf(bench.json, sizeof bench.json, "%s", bench.out);
    assert_balanced();
    assert_true(total("ok") == 500);
    /* One request was slow; a hundred and more were due meanwhile, and had to wait. */
    assert_true(pf_bench_number(&bench, "service", "max_ns") >= 290e6);
    assert_true(pf_bench_number(&bench, "response", "mean_ns") >= 20e6);
    assert_true(pf_bench_number(&bench, "response", "mean_ns") >
                5 * pf_bench_number(&bench, "service", "mean_ns"));
}

static void serve_nothing(struct pf_peer *peer, int fd, unsigned index)
{
    (void)peer;
    (void)index;
    pf_peer_wait_for_end(fd);
}

static void what_is_never_answered_is_planned_sent_or_unsent_and_not_ok(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        double sent, dropped, unsent;
        int status;
    } rows[] = {
        {"-c 2 -d 200ms -R 100 --drain 50ms", 2, 0, 18, 2},
        {"-c 2 -d 200ms -R 100 --drain 50ms --overflow drop", 2, 18, 0, 2},
        {"-c 2 -d 200ms -R 100 --drain 50ms --pipeline 4", 8, 0, 12, 2},
        {"-c 3 -d 100ms --drain 50ms", 3, 0, 0, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer peer = {.serve = serve_nothing};
        pf_peer_start(&peer);
        pf_bench_run(&bench, rows[i].line, &peer);
        pf_peer_stop(&peer);
        if (rows[i].status == 0)
            pf_bench_measured(&bench);
        else
            pf_bench_exits(&bench, rows[i].status);
        assert_balanced();
        assert_true(total("sent") == rows[i].sent);
        assert_true(total("censored") == rows[i].sent);
        assert_true(total("dropped") == rows[i].dropped);
        assert_true(total("unsent") == rows[i].unsent);
    }
}

/* Not even read: until it is reset. */
static void serve_unread(struct pf_peer *peer, int fd, unsigned index)
{
    (void)peer;
    (void)index;
    struct pollfd end = {.fd = fd};
    (void)poll(&end, 1, PF_TEST_DEADLINE_S * 1000);
}

/* Large requests are handed over as the kernel takes them, and not kept by the batch. */
static void large_requests_go_as_there_is_room(void **state)
{
    (void)state;
    static const char *const loads[] = {"", "-R 1000 "};
    char name[] = "/tmp/pf-bench-XXXXXX", line[256];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        struct pf_peer peer = {.serve = serve_unread};
        pf_peer_start(&peer);
        snprintf(
            line, sizeof line,
            "-c 1 --pipeline 256 %s-d 300ms --drain 50ms --close rst --sndbuf 65536 -b @%s",
            loads[i], name);
        pf_bench_run(&bench, line, &peer);
        pf_peer_stop(&peer);
        pf_bench_exits(&bench, 2);
        assert_balanced();
        assert_true(total("sent") > 0);
        assert_true(total("sent") < 128); /* more than that has no room in any kernel */
    }
    unlink(name);
}

/* ---- right and wrong answers ----------------------------------------------------- */

static void answers_that_are_not_as_expected_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
        double ok, wrong;
        const char *reason;
    } rows[] = {
        {"-c 2 -n 20 --expect status=200,len=5,body=~ell,hash", 0, 20, 0, "200"},
        {"-c 2 -n 20 --expect len=6", 4, 0, 20, "wrong length"},
        {"-c 2 -n 20 --expect status=204", 4, 0, 20, "wrong status"},
        {"-c 2 -n 20 --expect body=~nothing", 4, 0, 20, "wrong body"},
        {"-c 2 -n 20 --expect hash=00000001", 4, 0, 20, "wrong hash"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer peer = {.serve = pf_peer_serve_always};
        pf_peer_start(&peer);
        pf_bench_run(&bench, rows[i].line, &peer);
        pf_peer_stop(&peer);
        if (rows[i].status == 0)
            pf_bench_measured(&bench);
        else
            pf_bench_exits(&bench, rows[i].status);
        assert_balanced();
        assert_true(total("ok") == rows[i].ok);
        assert_true(total("wrong") == rows[i].wrong);
        pf_bench_says(bench.out, rows[i].reason);
    }
}

static void mix_is_asked_for_by_its_weights(void **state)
{
    (void)state;
    char path[64], line[256];
    snprintf(path, sizeof path, "/tmp/prefork-test-mix.%ld", (long)getpid());
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    fputs("3 GET /{seq}\n    X-Rand: {rand}\n1 HEAD /\n1 GET /fixed\n", to);
    assert_int_equal(fclose(to), 0);
    server_start("1");
    double before = server_requests();
    snprintf(line, sizeof line, "-c 3 -t 2 -n 500 --pipeline 3 --requests %s", path);
    run_against_server(line);
    unlink(path);
    assert_balanced();
    assert_true(server_requests() - before == 500);
    pf_bench_says(bench.out, "status ");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- other addresses and protocols ------------------------------------------------ */

static void unix_sockets_are_loaded_too(void **state)
{
    (void)state;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/prefork-test-bench.%ld.sock",
             (long)getpid());
    int listener = pf_peer_listen(AF_UNIX, (struct sockaddr *)&at, sizeof at);
    assert_true(listener >= 0);
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start_on(&peer, listener);
    pf_bench_run(&bench, "-c 2 -n 50", &peer);
    pf_peer_stop(&peer);
    unlink(at.sun_path);
    pf_bench_measured(&bench);
    assert_true(total("ok") == 50);
    pf_bench_says(peer.request, "GET / HTTP/1.1\r\nHost: localhost\r\n");
}

static void serve_echo(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        atomic_fetch_add(&peer->requests, (unsigned)n);
        if (peer->answer && atomic_load(&peer->requests) > 100)
            bytes[0] = '?';
        (void)!send(fd, bytes, (size_t)n, MSG_NOSIGNAL);
    }
}

static void raw_bytes_are_to_come_back_as_they_were_sent(void **state)
{
    (void)state;
    static const struct {
        const char *options, *answer;
        int status;
    } rows[] = {
        {"-c 2 -n 100 -b 12345", NULL, 0},
        {"-c 2 -n 100 -b 12345 --pipeline 5", NULL, 0},
        {"-c 2 -d 100ms -R 200 -b 12345", NULL, 0},
        {"-c 1 -n 50 -b 12345", "wrong", 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer peer = {.serve = serve_echo, .answer = rows[i].answer};
        pf_peer_start(&peer);
        char line[256];
        snprintf(line, sizeof line, "%s tcp://127.0.0.1:%u", rows[i].options, peer.port);
        pf_bench_run(&bench, line, NULL);
        pf_peer_stop(&peer);
        if (rows[i].status == 0)
            pf_bench_measured(&bench);
        else
            pf_bench_exits(&bench, rows[i].status);
        assert_balanced();
        if (rows[i].status == 0)
            assert_true(total("bytes_out") == 5 * total("sent"));
        else
            pf_bench_says(bench.out, "other bytes than were sent");
    }
}

static void serve_and_close_each(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    if (pf_peer_read_request(peer, fd))
        pf_peer_say(fd,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
}

static void connections_that_the_server_ends_are_made_anew_also_in_an_open_loop(
    void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_and_close_each};
    pf_peer_start(&peer);
    pf_bench_run(&bench, "-c 2 -d 300ms -R 100", &peer);
    pf_peer_stop(&peer);
    pf_bench_measured(&bench);
    assert_balanced();
    assert_true(total("ok") == 30);
    assert_true(total("conns_opened") >= 30);
    assert_true(total("failed") == 0);
}

/* Every tenth answer is the last one, as the server says. */
static void serve_ten(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    for (unsigned i = 1; pf_peer_read_request(peer, fd); i++) {
        if (i < 10) {
            pf_peer_say(fd, PF_PEER_HELLO);
            continue;
        }
        pf_peer_say(fd,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        break;
    }
}

static void nothing_is_asked_on_a_connection_whose_last_answer_has_come(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "-c 1 -n 100 --close server",
        "-c 3 -n 100 --close server -R 2k",
        "-c 1 -n 100 --close fin",
        "-c 1 -n 100 --close rst",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct pf_peer peer = {.serve = serve_ten};
        pf_peer_start(&peer);
        pf_bench_run(&bench, lines[i], &peer);
        pf_peer_stop(&peer);
        pf_bench_measured(&bench);
        assert_balanced();
        assert_true(total("ok") == 100);
        assert_true(total("failed") == 0);
    }
}

/* ---- ends ------------------------------------------------------------------------ */

static void interrupt_in_the_warm_up_leaves_nothing_measured(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        double planned; /* of a number, what is left of it */
    } rows[] = {
        {"-c 4 -t 2 -d 1h", 0},
        {"-c 4 -t 2 -d 1h -R 2k", 0},
        {"-c 4 -n 1000", 1000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer peer = {.serve = pf_peer_serve_always};
        char line[256];
        pf_peer_start(&peer);
        snprintf(line, sizeof line, "%s --warmup 1h --server none -o - %s", rows[i].options,
                 peer.url);
        memset(&bench, 0, sizeof bench);
        pf_bench_start(&bench, line);
        pf_peer_wait_until(&peer.requests, 100);
        kill(bench.pid, SIGINT);
        pf_bench_wait(&bench);
        pf_peer_stop(&peer);
        pf_bench_exits(&bench, 130);
        snprintf(bench.json, sizeof bench.json, "%s", bench.out);
        assert_balanced();
        assert_true(total("sent") == 0);
        assert_true(total("ok") == 0);
        assert_true(total("planned") == rows[i].planned);
        assert_true(total("elapsed_ns") == 0);
        assert_true(total("conns_opened") == 4);
    }
}

static void killed_process_of_the_load_ends_the_run_with_its_report(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pid_t children[8];
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "-c 4 -t 2 --procs 2 -d 1h", &peer);
    pf_peer_wait_until(&peer.requests, 100);
    assert_int_equal(pf_test_children(bench.pid, children, 8), 2);
    kill(children[0], SIGKILL);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.err,
                  "of the load was killed by SIGKILL: what it had under way is lost");
    pf_bench_says(bench.out, "  INVALID ");
    pf_bench_says(bench.out, "of the load was killed by SIGKILL\n");
    pf_bench_says(bench.out, "  rate ");
    pf_bench_silent_about(bench.out, "miscounted");
}

/* Of a number of requests none goes missing: what it was to ask is planned, and unsent. */
static void killed_process_of_the_load_leaves_the_books_balanced(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pid_t children[8];
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "-c 4 -t 2 --procs 2 -n 100M --pipeline 4 -o -", &peer);
    pf_peer_wait_until(&peer.requests, 100);
    assert_int_equal(pf_test_children(bench.pid, children, 8), 2);
    kill(children[1], SIGKILL);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    snprintf(bench.json, sizeof bench.json, "%s", bench.out);
    assert_balanced();
    assert_true(total("planned") == 100e6);
    pf_bench_silent_about(bench.err, "miscounted");
}

/* One that stands still does not hold up the end for ever. */
static void stopped_process_of_the_load_is_given_up(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pid_t children[8];
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "-c 4 -t 2 --procs 2 -d 1h --drain 10ms", &peer);
    pf_peer_wait_until(&peer.requests, 100);
    assert_int_equal(pf_test_children(bench.pid, children, 8), 2);
    pf_bench_stop_process(children[0]);
    kill(bench.pid, SIGINT);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.out, "of the load stood still and was given up");
}

/* Nor where only a number says when that is, or in front of the run: what the server has
 * answered is reported, and the rest is missing. */
static void stopped_process_does_not_hold_up_a_number_of_requests(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pid_t children[8];
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "-c 4 -t 2 --procs 2 -n 100M -o -", &peer);
    pf_peer_wait_until(&peer.requests, 100);
    assert_int_equal(pf_test_children(bench.pid, children, 8), 2);
    pf_bench_stop_process(children[0]);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.err, "of the load stood still and was given up: what it had under "
                             "way is lost");
    snprintf(bench.json, sizeof bench.json, "%s", bench.out);
    assert_balanced();
    assert_true(total("planned") == 100e6);
    assert_true(total("unsent") > 0);
    assert_true(total("ok") > 0);
}

static void processes_end_with_the_program(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "-c 4 -t 2 --procs 2 -d 1h", &peer);
    pf_peer_wait_until(&peer.requests, 100);
    kill(bench.pid, SIGINT);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer); /* waits for all connections to end */
    pf_bench_exits(&bench, 130);
    pf_bench_says(bench.out, "exit 130: interrupted");
}

static void goals_that_are_missed_are_exit_99(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    pf_bench_run(&bench, "-c 1 -n 100 --slo 'p50<1h,max<1ns'", &peer);
    pf_bench_exits(&bench, 99);
    pf_bench_says(bench.out, "FAIL max<1ns");
    pf_bench_run(&bench, "-c 1 -d 1h --slo 'max<1ns' --abort-on-slo", &peer);
    pf_bench_exits(&bench, 99);
    pf_peer_stop(&peer);
}

static void several_runs_take_turns(void **state)
{
    (void)state;
    struct pf_peer a = {.serve = pf_peer_serve_always}, b = {.serve = pf_peer_serve_always};
    char line[512];
    pf_peer_start(&a);
    pf_peer_start(&b);
    snprintf(line, sizeof line, "-c 1 -n 10 --repeat 3 --vs %s %s", b.url, a.url);
    pf_bench_run(&bench, line, NULL);
    pf_peer_stop(&a);
    pf_peer_stop(&b);
    pf_bench_measured(&bench);
    assert_int_equal(a.requests, 30);
    assert_int_equal(b.requests, 30);
    assert_true(total("ok") == 10);
    pf_bench_says(bench.out, "A x 3");
    pf_bench_says(bench.out, "B x 3");
    char host[64];
    snprintf(host, sizeof host, "Host: 127.0.0.1:%u\r\n", b.port);
    pf_bench_says(b.request, host);
}

static void what_contradicts_is_refused_with_the_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says[3];
    } rows[] = {
        {"-R 0 http://127.0.0.1:1/", {"rate", "0", "above 0"}},
        {"-R 1e9 http://127.0.0.1:1/", {"rate", "1e9", "at most 100M"}},
        {"--connect-to foo http://127.0.0.1:1/", {"--connect-to foo", "HOST:PORT"}},
        {"--connect-to foo:0 http://127.0.0.1:1/", {"--connect-to foo:0"}},
        {"--plain storm http://127.0.0.1:1/", {"storm", "goes first"}},
        {"-s x.lua http://127.0.0.1:1/", {"-s x.lua", "--requests"}},
        {"--arrival poisson http://127.0.0.1:1/", {"--arrival", "-R"}},
        {"--overflow drop http://127.0.0.1:1/", {"--overflow", "-R"}},
        {"--stages 10s http://127.0.0.1:1/", {"--stages", "'10s'", "TIME:RATE"}},
        {"--stages 1s:0 http://127.0.0.1:1/", {"--stages", "nothing would be sent"}},
        {"--stages 1s:1k -d 5s http://127.0.0.1:1/", {"-d and --stages", "one of them"}},
        {"-R 1k --think 1s http://127.0.0.1:1/", {"--think", "one of them"}},
        {"--procs 2 http://127.0.0.1:1/", {"--procs 2", "-t 2"}},
        {"--close server --reqs-per-conn 3 http://127.0.0.1:1/",
         {"--close server", "--no-keepalive"}},
        {"--cpus 0-x http://127.0.0.1:1/", {"--cpus 0-x", "4-7,9"}},
        {"--src nowhere http://127.0.0.1:1/", {"--src 'nowhere'", "address"}},
        {"--src ::1 http://127.0.0.1:1/", {"--src '::1'", "family"}},
        {"--src 192.0.2.1 http://127.0.0.1:1/", {"--src 192.0.2.1", "ip address"}},
        {"--slo p99 http://127.0.0.1:1/", {"--slo p99"}},
        {"--expect wat=1 http://127.0.0.1:1/", {"--expect wat=1"}},
        {"-o /no/such/place http://127.0.0.1:1/", {"/no/such/place", "No such file"}},
        {"-b @/no/such/file http://127.0.0.1:1/", {"-b @/no/such/file", "No such file"}},
        {"--requests /no/such/file http://127.0.0.1:1/", {"/no/such/file", "No such file"}},
        {"-m HEAD tcp://127.0.0.1:1", {"tcp://127.0.0.1:1", "-b"}},
        {"--vs http://127.0.0.1:2/ http://127.0.0.1:1/", {"--vs", "--repeat"}},
        {"http://no-such-host.invalid/", {"no-such-host.invalid"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(&bench, 0, sizeof bench);
        pf_bench_start(&bench, rows[i].line);
        pf_bench_wait(&bench);
        pf_bench_exits(&bench, 1);
        assert_string_equal(bench.out, "");
        pf_bench_says(bench.err, "prefork-bench: ");
        assert_ptr_equal(strchr(bench.err, '\n'), bench.err + strlen(bench.err) - 1);
        for (int j = 0; j < 3 && rows[i].says[j]; j++)
            pf_bench_says(bench.err, rows[i].says[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(every_way_of_asking_balances_and_agrees_with_the_servers_own_count),
        pf_test(warm_up_is_in_none_of_the_numbers),
        pf_test(open_schedule_is_kept_to_the_last_slot),
        pf_test(stall_of_the_server_shows_in_response_and_not_in_service),
        pf_test(what_is_never_answered_is_planned_sent_or_unsent_and_not_ok),
        pf_test(large_requests_go_as_there_is_room),
        pf_test(answers_that_are_not_as_expected_are_wrong),
        pf_test(mix_is_asked_for_by_its_weights),
        pf_test(unix_sockets_are_loaded_too),
        pf_test(raw_bytes_are_to_come_back_as_they_were_sent),
        pf_test(connections_that_the_server_ends_are_made_anew_also_in_an_open_loop),
        pf_test(nothing_is_asked_on_a_connection_whose_last_answer_has_come),
        pf_test(interrupt_in_the_warm_up_leaves_nothing_measured),
        pf_test(killed_process_of_the_load_ends_the_run_with_its_report),
        pf_test(killed_process_of_the_load_leaves_the_books_balanced),
        pf_test(stopped_process_of_the_load_is_given_up),
        pf_test(stopped_process_does_not_hold_up_a_number_of_requests),
        pf_test(processes_end_with_the_program),
        pf_test(goals_that_are_missed_are_exit_99),
        pf_test(several_runs_take_turns),
        pf_test(what_contradicts_is_refused_with_the_remedy),
    };
    return cmocka_run_group_tests_name("load of prefork-bench", tests, NULL, NULL);
}
