/*
 * The load tool looks at a real prefork-server: what it says of it must be what this test
 * has asked of the server, to the last request.
 */
#include "tests/lib/server.h"

#include "bench/ctl.h"
#include "bench/server_side.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct pf_test_server server; /* large */

static struct pf_address address_of(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pf_address address = {.len = sizeof in};
    memcpy(&address.storage, &in, sizeof in);
    return address;
}

static struct server_side *open_side(const char *spec)
{
    struct pf_address address = address_of(server.port);
    struct server_side *side;
    char why[256] = "";
    if (server_side_open(spec, &address, &side, why, sizeof why) != 0)
        fail_msg("%s: %s", spec, why);
    return side;
}

static void ask(int fd)
{
    char text[4096];
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fd, text, sizeof text) > 0);
    assert_non_null(strstr(text, "200 OK"));
}

static long long now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void forget(struct result_server *result)
{
    free(result->name);
    free(result->workers);
}

/* A worker counts a request when its answer is out, so maybe a moment after we have it:
 * look until the sum is there, or for the deadline. */
static void await_count(int64_t requests)
{
    static struct ctl_status status; /* large */
    long long deadline = now_s() + PF_TEST_DEADLINE_S;
    do
        assert_int_equal(ctl_ask(server.control, CTL_WAIT_OPEN_NS, &status), 0);
    while (status.requests != requests && now_s() < deadline);
    assert_int_equal(status.requests, requests);
}

static void end_with(struct server_side *side, int64_t requests, struct result_server *out)
{
    long long deadline = now_s() + PF_TEST_DEADLINE_S;
    server_side_end(side, out);
    while (out->requests != requests && now_s() < deadline) {
        forget(out);
        server_side_end(side, out);
    }
    assert_int_equal(out->requests, requests);
}

static void start(const char *workers)
{
    const char *const args[] = {"--workers", workers, NULL};
    pf_test_server_start(&server, args);
}

enum {
    CONNECTIONS = 8,
    EACH = 25
};

static void requests_are_counted_to_the_last_by_each_worker(void **state)
{
    (void)state;
    start("2");
    int fds[CONNECTIONS], early = pf_test_connect(server.port);
    ask(early); /* before the measurement */
    await_count(1);
    struct server_side *side = open_side("auto");
    assert_int_equal(server_side_pid(side), server.pid);
    server_side_begin(side);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = pf_test_connect(server.port);
        assert_true(fds[i] >= 0);
        for (int n = 0; n < EACH; n++)
            ask(fds[i]);
    }
    struct result_row row;
    server_side_sample(side, &row);
    assert_true(row.server_cpu_ns > 0);
    assert_true(row.server_rss > 0);
    struct result_server result;
    end_with(side, CONNECTIONS * EACH, &result);
    assert_int_equal(result.source, RESULT_SOURCE_STATS);
    assert_int_equal(result.worker_count, 2);
    int64_t requests = 0, connections = 0, cpu = 0;
    for (unsigned i = 0; i < result.worker_count; i++) {
        assert_int_equal(result.workers[i].pid, server.workers[i]);
        assert_int_equal(result.workers[i].restarts, 0);
        requests += result.workers[i].requests;
        connections += result.workers[i].connections_max;
        cpu += result.workers[i].cpu_ns;
    }
    assert_int_equal(requests, CONNECTIONS * EACH);
    assert_int_equal(connections, CONNECTIONS + 1);
    assert_true(cpu > 0 && cpu <= result.cpu_ns);
    double a = (double)result.workers[0].requests, b = (double)result.workers[1].requests;
    assert_true(result.jain > (a + b) * (a + b) / (2 * (a * a + b * b)) - 1e-9);
    assert_true(result.jain < (a + b) * (a + b) / (2 * (a * a + b * b)) + 1e-9);
    forget(&result);
    server_side_close(side);
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    close(early);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_worker_that_is_killed_keeps_what_it_had_counted(void **state)
{
    (void)state;
    start("1");
    struct server_side *side = open_side("auto");
    server_side_begin(side);
    int fd = pf_test_connect(server.port);
    for (int n = 0; n < EACH; n++)
        ask(fd);
    struct result_server before;
    end_with(side, EACH, &before);
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts");
    close(fd);
    fd = pf_test_connect(server.port);
    for (int n = 0; n < EACH; n++)
        ask(fd);
    struct result_server after;
    end_with(side, 2 * EACH, &after);
    assert_int_equal(after.worker_count, 1);
    assert_int_equal(after.workers[0].requests, 2 * EACH);
    assert_int_equal(after.workers[0].restarts, 1);
    assert_true(after.workers[0].pid != server.workers[0]);
    assert_true(after.workers[0].cpu_ns >= before.workers[0].cpu_ns);
    close(fd);
    forget(&before);
    forget(&after);
    server_side_close(side);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void it_is_found_by_its_control_socket_and_by_its_number(void **state)
{
    (void)state;
    start("1");
    char specs[2][160];
    snprintf(specs[0], sizeof specs[0], "unix:%s", server.control);
    snprintf(specs[1], sizeof specs[1], "pid:%d", (int)server.pid);
    for (size_t i = 0; i < 2; i++) {
        struct server_side *side = open_side(specs[i]);
        assert_int_equal(server_side_pid(side), server.pid);
        server_side_begin(side);
        int fd = pf_test_connect(server.port);
        ask(fd);
        close(fd);
        struct result_server result;
        end_with(side, 1, &result);
        assert_int_equal(result.source, RESULT_SOURCE_STATS);
        assert_true(result.cpu_ns > 0);
        forget(&result);
        server_side_close(side);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* What is asked of a master that is stopped is not waited for. */
static void a_stopped_server_holds_nobody_up(void **state)
{
    (void)state;
    start("1");
    struct server_side *side = open_side("auto");
    server_side_begin(side);
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    struct result_row row;
    server_side_sample(side, &row);
    assert_true(row.server_rss > 0);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    int fd = pf_test_connect(server.port);
    ask(fd);
    close(fd);
    struct result_server result;
    end_with(side, 1, &result);
    forget(&result);
    server_side_close(side);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(requests_are_counted_to_the_last_by_each_worker),
        pf_test(a_worker_that_is_killed_keeps_what_it_had_counted),
        pf_test(it_is_found_by_its_control_socket_and_by_its_number),
        pf_test(a_stopped_server_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
