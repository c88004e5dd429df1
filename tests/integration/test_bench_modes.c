/*
 * prefork-bench's modes against real servers: search, storm, hold, abuse, reload. Short
 * trials, and no numbers that depend on how fast the machine is.
 */
#include "tests/lib/bench.h"
#include "tests/lib/server.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Large: kept off the stack. */
static struct pf_bench bench;
static struct pf_test_server server;

static void start_server(const char *option)
{
    const char *const args[] = {"--workers", "2", option, NULL};
    pf_test_server_start(&server, args);
}

static void start_demo(void)
{
    const char *const args[] = {"--bind", "127.0.0.1:0", "--workers", "2", NULL};
    pf_test_program_start(&server, "examples/demo", args);
}

static void stop_server(void)
{
    pf_test_server_stop(&server, SIGINT);
}

/* Run a mode to its end; its document comes on standard output. */
static void run(const char *mode, const char *options, const char *path)
{
    char line[4096];
    snprintf(line, sizeof line,
             "%s --timeout 60s --server none -o - %s http://127.0.0.1:%d%s", mode, options,
             server.port, path); /* a later --server stands */
    memset(&bench, 0, sizeof bench);
    pf_bench_start(&bench, line);
    pf_bench_wait(&bench);
    memcpy(bench.json, bench.out,
           sizeof bench.json < sizeof bench.out ? sizeof bench.json : sizeof bench.out);
}

static double number(const char *object, const char *name)
{
    return pf_bench_number(&bench, object, name);
}

/* The first child of the program. */
static pid_t first_child(pid_t pid)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *from = fopen(path, "re");
    if (from) {
        if (fscanf(from, "%d", &child) != 1)
            child = 0;
        fclose(from);
    }
    return child;
}

/* ---- help ------------------------------------------------------------------------ */

static void help_of_a_mode_tells_its_own_meaning_of_an_option_alone(void **state)
{
    (void)state;
    static const struct {
        const char *line, *once, *never;
    } rows[] = {
        {"--help", "-c, --connections", "--probe"},
        {"--help", "  -R, --rate", "--trial"},
        {"hold --help", "-c, --connections", "over all threads (64)"},
        {"hold --help", "  -R, --rate", "open loop: so many requests"},
        {"hold --help", "      --procs", "--repeat"},
        {"hold --help", "-d, --duration", "--stages"},
        {"search --help", "      --trial", "--duration"},
        {"search --help", "      --probe", "--rate"},
        {"reload --help", "      --cmd", "--vs"},
        {"abuse --help", "      --mix", "--vs"},
        {"storm --help", "  -R, --rate", "--trial"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(&bench, 0, sizeof bench);
        pf_bench_start(&bench, rows[i].line);
        pf_bench_wait(&bench);
        pf_bench_exits(&bench, 0);
        pf_bench_says(bench.out, rows[i].once);
        const char *at = strstr(bench.out, rows[i].once);
        pf_bench_silent_about(at + 1, rows[i].once);
        pf_bench_silent_about(bench.out, rows[i].never);
    }
}

/* ---- repeat ---- */

/* The first connection: half an answer to its first request, or 503; the others are well.
 */
static void serve_badly_at_first(struct pf_peer *peer, int fd, unsigned index)
{
    if (index == 0 && pf_peer_read_request(peer, fd)) {
        pf_peer_say(fd, peer->answer);
        if (strstr(peer->answer, "half"))
            return;
    }
    while (pf_peer_read_request(peer, fd))
        pf_peer_say(fd, PF_PEER_HELLO);
}

static void a_bad_run_is_not_made_good_by_the_next_ones(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *options;
        int status;
        const char *says;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf", "", 4,
         "exit 4: run 1: 1 lost"},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "", 0, "exit 0"},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "--slo 'err<=0,max<1h'", 99,
         "exit 99: run 1: 1 of 2 SLOs failed"},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "--slo 'err<=0,max<1h'", 99,
         "FAIL err<=0 (20%)   PASS max<1h"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf", "--slo 'max<1h'", 4,
         "exit 4: run 1: 1 lost"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer peer = {.serve = serve_badly_at_first, .answer = rows[i].answer};
        char options[128];
        pf_peer_start(&peer);
        snprintf(options, sizeof options, "--repeat 3 -c 1 -n 5 %s", rows[i].options);
        pf_bench_run(&bench, options, &peer);
        pf_peer_stop(&peer);
        if (bench.status == 3 && rows[i].status != 4 && pf_bench_blames_machine(bench.out))
            continue; /* a slow machine: that is worse than a goal missed */
        pf_bench_exits(&bench, rows[i].status);
        pf_bench_says(bench.out, rows[i].says);
    }
}

/* Each failure for itself might be asked again: nothing of it was answered. */
static void serve_nobody(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    (void)pf_peer_read_request(peer, fd);
}

static void a_comparison_with_one_that_never_answers_is_no_success(void **state)
{
    (void)state;
    struct pf_peer a = {.serve = pf_peer_serve_always}, b = {.serve = serve_nobody};
    char options[256];
    pf_peer_start(&a);
    pf_peer_start(&b);
    snprintf(options, sizeof options, "--repeat 2 -c 1 -n 5 --vs %s", b.url);
    pf_bench_run(&bench, options, &a);
    pf_peer_stop(&a);
    pf_peer_stop(&b);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "exit 2: run 2 (B): nothing succeeded");
    pf_bench_says(bench.out, "5 ok in ");
    pf_bench_says(bench.out, "A x 2");
    pf_bench_says(bench.out, "B x 2");
}

/* Gone for good after five requests. */
static void serve_five(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    while (pf_peer_read_request(peer, fd)) {
        if (atomic_load(&peer->requests) == 5)
            shutdown(peer->listener, SHUT_RDWR);
        pf_peer_say(fd, PF_PEER_HELLO);
    }
}

static void runs_of_a_server_that_has_gone_do_not_hide_the_others(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_five};
    pf_peer_start(&peer);
    pf_bench_run(&bench, "--repeat 3 -c 1 -n 5", &peer);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "5 ok in ");
    pf_bench_says(bench.out, "A x 3");
    pf_bench_says(bench.out, "exit 2: run 2: cannot connect");
    assert_true(number("totals", "ok") == 5);
}

static void an_option_that_means_nothing_to_a_command_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *options, *says;
    } rows[] = {
        {"search", "--slo 'p99<1s' -R 5", "--rate: means nothing to search"},
        {"search", "--slo 'p99<1s' -d 5s", "--duration: means nothing to search"},
        {"search", "--slo 'p99<1s' --stages 1s:5", "--stages: means nothing to search"},
        {"hold", "--think 1s", "--think: means nothing to hold"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(rows[i].mode, rows[i].options, "/");
        pf_bench_exits(&bench, 1);
        pf_bench_says(bench.err, rows[i].says);
    }
}

/* ---- search ---------------------------------------------------------------------- */

#define SHORT_TRIALS                                                                       \
    "-c 4 --probe 100ms --trial 100ms --confirm 100ms --settle 10ms --rest 1ms "           \
    "--drain 20ms "

/* Where a machine is so slow that nothing is answered in such short trials, in longer ones.
 */
static const char *const longer_trials[] = {
    SHORT_TRIALS, SHORT_TRIALS "--probe 1s --trial 500ms --confirm 500ms --drain 200ms ",
    SHORT_TRIALS "--probe 5s --trial 3s --confirm 3s --drain 2s "};

enum {
    TRIALS = sizeof longer_trials / sizeof longer_trials[0],
    NOTHING_ANSWERED = 2,
    NO_RATE_HELD = 99
};

/* Returns in which of them. */
static size_t search(const char *goals)
{
    size_t i = 0;
    do {
        char options[512];
        snprintf(options, sizeof options, "%s--slo '%s'", longer_trials[i], goals);
        run("search", options, "/");
    } while (bench.status == NOTHING_ANSWERED && ++i < TRIALS);
    return i < TRIALS ? i : TRIALS - 1;
}

static void search_without_goals_is_refused(void **state)
{
    (void)state;
    start_server(NULL);
    run("search", SHORT_TRIALS, "/");
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "search needs --slo");
    run("search", SHORT_TRIALS "--slo 'err<1%' --repeat 3", "/");
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "--repeat");
    stop_server();
}

static void search_tells_the_rates_it_tried(void **state)
{
    (void)state;
    start_server(NULL);
    search("err<1%");
    /* Whatever it found: a rate, or that this machine can hold none. */
    if (bench.status != 99)
        pf_bench_measured(&bench);
    pf_bench_says(bench.json, "\"trials\"");
    assert_true(number("search", "rate_per_s") > 0);
    pf_bench_says(bench.err, "probe ");
    pf_bench_says(bench.err, "climb ");
    double pass_max = number("search", "pass_max_per_s");
    if (bench.status == 0)
        assert_true(pass_max > 0);
    if (bench.status == 99)
        assert_true(isnan(pass_max));
    stop_server();
}

static void search_for_what_no_rate_holds_finds_none(void **state)
{
    (void)state;
    start_server(NULL);
    search("p50<1ns");
    pf_bench_exits(&bench, 99);
    assert_true(isnan(number("search", "pass_max_per_s")));
    assert_true(number("search", "fail_min_per_s") > 0);
    pf_bench_says(bench.json, "no rate held the SLO");
    stop_server();
}

static void search_of_nothing_that_answers_ends(void **state)
{
    (void)state;
    server.port = 1; /* nobody is there */
    run("search", SHORT_TRIALS "--slo 'p50<1s'", "/");
    pf_bench_exits(&bench, 2);
}

/* Each connection but the first ones ends unanswered: the probe has a rate, and the first
 * trials find nobody. */
static void serve_the_probe_alone(struct pf_peer *peer, int fd, unsigned index)
{
    while (pf_peer_read_request(peer, fd) && index < 4)
        pf_peer_say(fd, PF_PEER_HELLO);
}

static void search_of_a_server_that_dies_ends_at_once(void **state)
{
    (void)state;
    char options[512];
    double found = 0; /* the probe's rate; if it is too low a trial asks nothing */
    bench.status = 0;
    for (size_t i = 0; i < TRIALS && !(found > 0 && bench.status == NOTHING_ANSWERED);
         i++) {
        struct pf_peer peer = {.serve = serve_the_probe_alone};
        pf_peer_start(&peer);
        server.port = peer.port;
        snprintf(options, sizeof options, "%s--slo 'max<1h'", longer_trials[i]);
        run("search", options, "/");
        pf_peer_stop(&peer);
        const char *rate = strstr(bench.err, "closed loop: ");
        assert_non_null(rate);
        found = strtod(rate + strlen("closed loop: "), NULL);
    }
    assert_true(found > 0);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.json, "no answer: nothing was answered at ");
    unsigned trials = 0;
    for (const char *at = bench.err; (at = strstr(at, "climb ")); at++)
        trials++;
    assert_int_equal(trials, 2);
}

static void search_that_would_take_too_long_to_tell_has_no_answer(void **state)
{
    (void)state;
    static const char *const ten_trials[TRIALS] = {"1.00s of ", "5.00s of ", "30.0s of "};
    start_server(NULL);
    size_t length = search("p99.999<1h");
    pf_bench_exits(&bench, 99);
    pf_bench_says(bench.json, "no answer: too noisy; ");
    pf_bench_says(bench.json, ten_trials[length]);
    assert_true(isnan(number("search", "pass_max_per_s")));
    stop_server();
}

/* ---- storm ----------------------------------------------------------------------- */

static void storm_makes_a_connection_for_each_request(void **state)
{
    (void)state;
    static const char *const closes[] = {"fin", "rst", "server"};
    start_server(NULL);
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        char options[128];
        snprintf(options, sizeof options, "-c 4 -n 200 --close %s", closes[i]);
        run("storm", options, "/");
        pf_bench_exits(&bench, 0);
        assert_int_equal(number("totals", "ok"), 200);
        assert_int_equal(number("totals", "conns_reused"), 0);
        assert_true(number("totals", "conns_opened") >= 200);
        pf_bench_says(bench.err, "ports ");
    }
    stop_server();
}

static void storm_that_its_ports_do_not_bear_is_refused(void **state)
{
    (void)state;
    start_server(NULL);
    run("storm", "-R 90M -d 10s --src 127.0.0.1", "/");
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.err, "--close rst");
    stop_server();
}

static void search_ends_with_its_report_if_a_process_of_the_load_is_killed(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "search -c 2 -t 2 --procs 2 --slo 'p99<1h' --probe 1h",
                      &peer);
    pf_peer_wait_until(&peer.requests, 10);
    pid_t child = first_child(bench.pid);
    assert_true(child > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.out, "  INVALID ");
    pf_bench_says(bench.out, "of the load was killed by SIGKILL\n");
    pf_bench_silent_about(bench.err, "cannot run");
}

/* Nobody is let in behind the eighth: the probe and a trial are made, and no more. */
static void serve_eight(struct pf_peer *peer, int fd, unsigned index)
{
    if (index == 7)
        shutdown(peer->listener, SHUT_RDWR);
    pf_peer_serve_always(peer, fd, index);
}

static void search_of_a_server_that_goes_shows_the_trials_before(void **state)
{
    (void)state;
    size_t i = 0;
    do { /* on a slow machine the first trial may be the last: no rate can be held */
        struct pf_peer peer = {.serve = serve_eight};
        char options[512];
        pf_peer_start(&peer);
        server.port = peer.port;
        snprintf(options, sizeof options, "%s--slo 'p99<1h'", longer_trials[i]);
        run("search", options, "/");
        pf_peer_stop(&peer);
    } while (bench.status == NO_RATE_HELD && ++i < TRIALS);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.err, "cannot connect to 127.0.0.1:");
    pf_bench_says(bench.err, "  search       rate/s   achieved");
}

/* ---- hold ------------------------------------------------------------------------ */

static void hold_holds_as_many_as_asked_for(void **state)
{
    (void)state;
    start_server(NULL);
    run("hold", "-c 1k --procs 3 --rate 1M --probe 50/s -d 300ms", "/");
    pf_bench_measured(&bench);
    assert_int_equal(number("hold", "asked"), 1000);
    assert_int_equal(number("plan", "connections"), 1000);
    assert_int_equal(number("hold", "held"), 1000);
    assert_int_equal(number("hold", "lost"), 0);
    assert_true(number("hold", "connect_ns") > 0);
    assert_true(number("totals", "ok") > 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* much of their own   \
                                                                     */
    /* 8 bytes each, and what three processes have for themselves. */
    double bytes = number("hold", "user_bytes");
    assert_true(isnan(bytes) || bytes < 2048);
#endif
    stop_server();
}

static void hold_asks_once_if_told_so(void **state)
{
    (void)state;
    start_server("--head-timeout=2s"); /* a slow machine has that to ask */
    /* Between two requests it is the idle timeout that counts. */
    run("hold", "-c 50 --ask -d 2500ms", "/");
    pf_bench_measured(&bench);
    assert_int_equal(number("hold", "held"), 50);
    stop_server();
}

static void hold_tells_those_that_the_server_closed(void **state)
{
    (void)state;
    static const char *const durations[] = {"-c 50 -d 3s", "-c 50 -d 30s"};
    start_server("--head-timeout=200ms");
    for (size_t i = 0; i == 0 || (i < 2 && number("hold", "held") > 0); i++)
        run("hold", durations[i], "/"); /* a slow server has not closed them all so soon */
    pf_bench_exits(&bench, 4);
    assert_int_equal(number("hold", "held"), 0);
    assert_int_equal(number("hold", "lost"), 50);
    pf_bench_says(bench.json, "0 of 50 connections are held");
    pf_bench_says(bench.json, "\"idle\"");
    stop_server();
}

static void hold_whose_probes_all_fail_is_no_success(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_nobody};
    pf_peer_start(&peer);
    server.port = peer.port;
    run("hold", "-c 4 --probe 50/s -d 300ms", "/");
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.json, "4 of 4 are held, but no probe succeeded");
}

static void hold_is_no_measurement_if_one_that_holds_is_killed(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "hold -c 20 --procs 2 --probe 20/s -d 1h --timeout 60s -o -",
                      &peer);
    /* The probe answers: they have all been opened. */
    pf_peer_wait_until(&peer.requests, 1);
    pid_t child = first_child(bench.pid);
    assert_true(child > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    pf_bench_wait(&bench);
    memcpy(bench.json, bench.out, sizeof bench.out);
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.err, "process 1 of 2 has ended by SIGKILL, and its 10 connections");
    pf_bench_says(bench.err, "INVALID");
    assert_int_equal(number("hold", "held"), 10);
    assert_int_equal(number("hold", "lost"), 10);
    pf_peer_stop(&peer);
}

static void hold_does_not_wait_for_one_that_is_stopped(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = pf_peer_serve_always};
    pf_peer_start(&peer);
    /* So slow that it would be opening for an hour. */
    pf_bench_start_at(&bench, "hold -c 200 --procs 2 --rate 0.1 -d 1s --timeout 60s",
                      &peer);
    pf_peer_wait_until(&peer.connections, 2); /* one of each: both are at work */
    pf_bench_stop_process(first_child(bench.pid));
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    /* Its connection may have been there without its having seen that. */
    pf_bench_says(bench.out, "process 1 of 2 has ended by SIGKILL, and its ");
    pf_bench_says(bench.out, "  hold     1 of 200 held");
}

static void hold_of_more_than_there_can_be_is_refused_with_the_remedy(void **state)
{
    (void)state;
    start_server(NULL);
    run("hold", "-c 900M", "/");
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.err, "ulimit -n");
    run("hold", "-c 10x", "/");
    pf_bench_exits(&bench, 1);
    stop_server();
    server.port = 1;
    run("hold", "-c 10 -d 100ms", "/");
    pf_bench_exits(&bench, 2);
}

/* ---- abuse ----------------------------------------------------------------------- */

/* A number of one kind of adversary. */
static double of_kind(const char *kind, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "\"kind\": \"%s\"", kind);
    const char *at = strstr(bench.json, text);
    assert_non_null(at);
    snprintf(text, sizeof text, "\"%s\":", name);
    at = strstr(at, text);
    assert_non_null(at);
    double value = 0;
    assert_int_equal(sscanf(at + strlen(text), "%lf", &value), 1);
    return value;
}

#define ABUSE                                                                              \
    "--mix slowloris:20,slowread:5,slowpost:5,halfopen:5,idle:20,garbage:5,reset:20/s "    \
    "-c 4 -R 200 "

static bool all_were_cut(void)
{
    return of_kind("slowloris", "cut") > 0 && of_kind("idle", "cut") > 0 &&
           of_kind("garbage", "cut") > 0;
}

static void abuse_lets_the_honest_ones_judge(void **state)
{
    (void)state;
    static const char *const options[] = {ABUSE "-d 2s", ABUSE "-d 20s"};
    start_server("--head-timeout=300ms");
    for (size_t i = 0; i == 0 || (i < 2 && !all_were_cut()); i++)
        run("abuse", options[i], "/"); /* a slow server cuts them later */
    pf_bench_measured(&bench);         /* nothing was lost */
    assert_true(number("totals", "ok") > 10 * number("totals", "failed"));
    /* They were there, and those that the server has a limit for were cut. */
    assert_true(of_kind("slowloris", "opened") >= 20);
    assert_true(of_kind("slowloris", "cut") > 0);
    assert_true(of_kind("slowloris", "cut_p50_ns") >= 0.9 * 300e6);
    assert_true(of_kind("idle", "cut") > 0);
    assert_true(of_kind("garbage", "cut") > 0);
    assert_true(of_kind("reset", "opened") > 0);
    stop_server();
}

static void abuse_of_others_is_refused(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof bench);
    /* RFC 5737: an address of nobody's; nothing is sent there. */
    pf_bench_start(&bench, "abuse --mix idle:1 http://192.0.2.1/");
    pf_bench_wait(&bench);
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "not an address of this machine");
    start_server(NULL);
    run("abuse", "", "/");
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "--mix");
    run("abuse", "--mix trolls:3", "/");
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "trolls");
    stop_server();
}

static void serve_gated(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    while (pf_peer_read_request(peer, fd)) {
        pf_peer_pass_gate(peer);
        pf_peer_say(fd, PF_PEER_HELLO);
    }
}

static void abuse_is_no_measurement_if_the_adversaries_are_killed(void **state)
{
    (void)state;
    struct pf_peer peer = {.serve = serve_gated};
    pf_peer_start(&peer);
    pf_bench_start_at(&bench, "abuse --mix idle:2 -R 20 -c 1 -n 1 --timeout 60s", &peer);
    pf_peer_wait_until(&peer.requests, 1);
    pid_t child = first_child(bench.pid);
    assert_true(child > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    pf_peer_open_gate(&peer, 1);
    pf_bench_wait(&bench);
    pf_peer_stop(&peer);
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.out, "the adversaries' process has failed or stood still");
    pf_bench_says(bench.out, "  INVALID ");
}

/* ---- reload ---------------------------------------------------------------------- */

static void reload_of_this_server_loses_nothing(void **state)
{
    (void)state;
    char options[256];
    start_server(NULL);
    snprintf(options, sizeof options, "--cmd 'kill -HUP %ld' --every 500ms -R 500 -d 2s",
             (long)server.pid);
    run("reload", options, "/");
    pf_bench_measured(&bench);
    assert_int_equal(number("reload", "lost"), 0);
    assert_true(number("reload", "commands") >= 1);
    assert_int_equal(number("reload", "commands_failed"), 0);
    assert_true(number("reload", "blackout_ns") > 0);
    assert_true(isnan(number("reload", "generations"))); /* nobody was asked */
    pf_bench_says(bench.json, "command 1");
    stop_server();
}

/* The server says itself how often each worker's place was taken anew. */
static void reload_tells_the_generations_that_the_server_counted(void **state)
{
    (void)state;
    char options[256];
    start_server(NULL);
    snprintf(options, sizeof options,
             "--server auto --cmd 'kill -9 %ld' --every 1s -R 200 -d 1500ms",
             (long)server.workers[0]);
    run("reload", options, "/");
    /* On a slow machine it runs again: then there is nobody left to kill. */
    assert_true(number("reload", "commands") >= 1);
    assert_int_equal(number("reload", "commands_failed"), number("reload", "commands") - 1);
    assert_int_equal(number("reload", "generations"), 2);
    pf_bench_says(bench.err, "2 generations met"); /* the document is on standard output */
    stop_server();
}

static void reload_finds_what_a_killed_worker_had_read(void **state)
{
    (void)state;
    char options[256];
    start_demo();
    /* Some twenty requests are with each worker at any time. */
    snprintf(options, sizeof options, "--cmd 'kill -9 %ld %ld' --every 1s -R 200 -d 1500ms",
             (long)server.workers[0], (long)server.workers[1]);
    run("reload", options, "/sleep/200");
    pf_bench_exits(&bench, 4);
    assert_true(number("reload", "lost") > 0);
    assert_true(number("reload", "commands") >= 1);
    pf_bench_says(bench.json, "\"taken\"");
    stop_server();
}

static void reload_says_that_its_command_failed(void **state)
{
    (void)state;
    start_server(NULL);
    run("reload", "--cmd 'echo no such thing; exit 7' --every 200ms -d 3s", "/");
    pf_bench_exits(&bench, 3); /* nothing was reloaded */
    pf_bench_says(bench.json, "--cmd failed each of ");
    assert_true(number("reload", "commands_failed") >= 1);
    pf_bench_says(bench.err, "exit status 7: no such thing");
    run("reload", "--cmd= -d 500ms", "/");
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "is no command");
    run("reload", "-d 500ms", "/");
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "reload needs --cmd");
    stop_server();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(help_of_a_mode_tells_its_own_meaning_of_an_option_alone),
        pf_test(a_bad_run_is_not_made_good_by_the_next_ones),
        pf_test(a_comparison_with_one_that_never_answers_is_no_success),
        pf_test(runs_of_a_server_that_has_gone_do_not_hide_the_others),
        pf_test(an_option_that_means_nothing_to_a_command_is_refused),
        pf_test(search_without_goals_is_refused),
        pf_test(search_ends_with_its_report_if_a_process_of_the_load_is_killed),
        pf_test(search_of_a_server_that_goes_shows_the_trials_before),
        pf_test(search_tells_the_rates_it_tried),
        pf_test(search_for_what_no_rate_holds_finds_none),
        pf_test(search_of_nothing_that_answers_ends),
        pf_test(search_of_a_server_that_dies_ends_at_once),
        pf_test(search_that_would_take_too_long_to_tell_has_no_answer),
        pf_test(storm_makes_a_connection_for_each_request),
        pf_test(storm_that_its_ports_do_not_bear_is_refused),
        pf_test(hold_holds_as_many_as_asked_for),
        pf_test(hold_asks_once_if_told_so),
        pf_test(hold_whose_probes_all_fail_is_no_success),
        pf_test(hold_is_no_measurement_if_one_that_holds_is_killed),
        pf_test(hold_tells_those_that_the_server_closed),
        pf_test(hold_does_not_wait_for_one_that_is_stopped),
        pf_test(hold_of_more_than_there_can_be_is_refused_with_the_remedy),
        pf_test(abuse_lets_the_honest_ones_judge),
        pf_test(abuse_is_no_measurement_if_the_adversaries_are_killed),
        pf_test(abuse_of_others_is_refused),
        pf_test(reload_of_this_server_loses_nothing),
        pf_test(reload_tells_the_generations_that_the_server_counted),
        pf_test(reload_finds_what_a_killed_worker_had_read),
        pf_test(reload_says_that_its_command_failed),
    };
    return cmocka_run_group_tests_name("bench modes", tests, NULL, NULL);
}
