/*
 * `prefork-bench serve` and `preflight` as their user meets them. What the server has been
 * told to do, the load tool must find; what it has answered, the two must agree about.
 */
#include "tests/lib/bench_serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pf_bench server, bench; /* large */
static char url[256];

static void serve(const char *options)
{
    pf_bench_serve(&server, options, url, sizeof url);
}

static void load(const char *options)
{
    char line[768];
    snprintf(line, sizeof line, "%s %s", options, url);
    pf_bench_run(&bench, line, NULL);
}

/* Ends by itself, with its counts. */
static void end(int signal_number, const char *says)
{
    assert_int_equal(kill(server.pid, signal_number), 0);
    pf_bench_wait(&server);
    pf_bench_exits(&server, 0);
    pf_bench_says(server.out, says);
}

static void what_it_answers_is_what_the_tool_counts(void **state)
{
    (void)state;
    serve("");
    load("-c 4 -n 1000");
    pf_bench_exits(&bench, 0);
    assert_int_equal(pf_bench_number(&bench, "totals", "ok"), 1000);
    end(SIGTERM, "\nanswered 1000 requests on 4 connections\n");
}

static void pipelined_ones_are_counted_each(void **state)
{
    (void)state;
    serve("--body 100");
    load("-c 2 -n 640 --pipeline 16 --expect len=100,hash");
    pf_bench_exits(&bench, 0);
    assert_int_equal(pf_bench_number(&bench, "totals", "ok"), 640);
    end(SIGINT, "\nanswered 640 requests on 2 connections\n");
}

static void statuses_are_as_told(void **state)
{
    (void)state;
    serve("--status 503");
    load("-c 1 -n 10");
    assert_int_equal(pf_bench_number(&bench, "status", "503"), 10);
    assert_int_equal(pf_bench_number(&bench, "totals", "ok"), 0);
    end(SIGTERM, "answered 10 requests");
}

static void garbage_is_found(void **state)
{
    (void)state;
    serve("--garbage 10");
    load("-c 1 -n 100");
    assert_int_equal(pf_bench_number(&bench, "totals", "ok"), 90);
    assert_int_equal(pf_bench_number(&bench, "totals", "failed"), 10);
    pf_bench_says(bench.out, "not HTTP");
    end(SIGTERM, "answered 100 requests");
}

static void a_delay_is_in_the_service_time(void **state)
{
    (void)state;
    serve("--delay 20ms");
    load("-c 1 -n 5");
    pf_bench_exits(&bench, 0);
    assert_true(pf_bench_number(&bench, "service", "min_ns") >= 20e6);
    end(SIGTERM, "answered 5 requests");
}

/* Requests are due all the time; in a closed loop one would wait it out. */
static void a_stall_is_in_the_response_time_of_an_open_loop(void **state)
{
    (void)state;
    serve("--stall 300ms@0");
    load("-c 1 -R 500 -d 500ms");
    assert_true(pf_bench_number(&bench, "response", "max_ns") >= 290e6);
    end(SIGTERM, "answered");
}

static void it_listens_on_unix_sockets_too(void **state)
{
    (void)state;
    char directory[] = "/tmp/prefork-test-XXXXXX", options[64], path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(options, sizeof options, "-b unix:%s/socket", directory);
    serve(options);
    load("-c 2 -n 20");
    pf_bench_exits(&bench, 0);
    end(SIGTERM, "answered 20 requests on 2 connections");
    snprintf(path, sizeof path, "%s/socket", directory);
    assert_int_not_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/socket.lock", directory);
    unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

static void run(const char *line)
{
    bench.out[0] = bench.err[0] = 0;
    pf_bench_start(&bench, line);
    pf_bench_wait(&bench);
}

static void what_cannot_be_is_said_in_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"serve --stall 1s", "prefork-bench: --stall 1s: must be"},
        {"serve --stall-every 2s/1s", "prefork-bench: --stall-every 2s/1s: must be"},
        {"serve --status 99", "prefork-bench: --status"},
        {"serve --body x", "prefork-bench: --body"},
        {"serve --delay -1s", "prefork-bench: --delay"},
        {"serve -b 300.0.0.1:1", "prefork-bench: -b 300.0.0.1:1: "},
        {"serve -b 192.0.2.1:0", "prefork-bench: -b 192.0.2.1:0: "}, /* RFC 5737 */
        {"serve -b unix:/nowhere/at/all", "prefork-bench: -b unix:/nowhere/at/all: "},
        {"serve http://a/", "prefork-bench: http://a/: serve takes options only"},
        {"preflight -c 0", "prefork-bench: --connections 0: "},
        {"preflight ftp://a/", "prefork-bench: ftp://a/: must begin with"},
        {"preflight --src x http://127.0.0.1/", "prefork-bench: --src x: "},
        {"preflight http://127.0.0.1/ http://b/", "prefork-bench: http://b/: one URL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(rows[i].line);
        pf_bench_exits(&bench, 1);
        pf_bench_says(bench.err, rows[i].says);
        assert_ptr_equal(strchr(bench.err, '\n'), bench.err + strlen(bench.err) - 1);
    }
}

static void preflight_says_whether_a_run_may_begin(void **state)
{
    (void)state;
    run("preflight -c 10");
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "preflight  10 connections to 127.0.0.1:");
    pf_bench_says(bench.out, "ok    ports");
    run("preflight -c 100k --procs 1000 --src 127.0.0.1 http://127.0.0.1:1/");
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.out, "fail  ports");
    pf_bench_says(bench.out, "-> --src auto: ");
    run("preflight -c 100 --no-keepalive -R 90k -d 60s --src 127.0.0.1");
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.out, "fail  TIME_WAIT");
    run("preflight -c 100 --no-keepalive -R 90k -d 60s --src 127.0.0.1 --close rst");
    pf_bench_exits(&bench, 0);
}

static void a_run_that_cannot_work_ends_before_it_begins(void **state)
{
    (void)state;
    run("-c 100k --procs 200 -t 200 --src 127.0.0.1 -d 1s http://127.0.0.1:1/");
    pf_bench_exits(&bench, 3);
    pf_bench_says(bench.err, "prefork-bench: ports: 100000 connections from 1 address");
    pf_bench_says(bench.err, "; --src auto: ");
    assert_string_equal(bench.out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(what_it_answers_is_what_the_tool_counts),
        pf_test(pipelined_ones_are_counted_each),
        pf_test(statuses_are_as_told),
        pf_test(garbage_is_found),
        pf_test(a_delay_is_in_the_service_time),
        pf_test(a_stall_is_in_the_response_time_of_an_open_loop),
        pf_test(it_listens_on_unix_sockets_too),
        pf_test(what_cannot_be_is_said_in_a_line),
        pf_test(preflight_says_whether_a_run_may_begin),
        pf_test(a_run_that_cannot_work_ends_before_it_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
