/*
 * prefork-bench as its user meets it: the built program is run against small servers that
 * live in threads of this test, and its exit status and its words are looked at.
 */
#include "tests/lib/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- rate, table, status --------------------------------------------------------- */

static struct pf_bench bench; /* large */

/* One for each second that it takes: "   1s  ..."; mostly it takes less than one. */
static void assert_only_rows(const char *text)
{
    while (*text) {
        long second = 0;
        int len = 0;
        assert_int_equal(sscanf(text, "%ld%n", &second, &len), 1);
        assert_memory_equal(text + len, "s  ", 3);
        text = strchr(text, '\n');
        assert_non_null(text);
        text++;
    }
}

static void summary_holds_the_rows_in_their_order(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = pf_peer_serve_always};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 2 -n 200", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    static const char *const rows[] = {
        "prefork-bench ", "generator ",           "  rate ",    " p99.9 ", "  service ",
        "  connect ",     "  status   200 x 200", "closed loop"};
    const char *at = bench.out;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pf_bench_says(at, rows[i]);
        at = strstr(at, rows[i]);
    }
    assert_true(strstr(bench.out, "  VALID") || strstr(bench.out, "  SUSPECT"));
    pf_bench_says(bench.out, "200 ok in ");
    pf_bench_silent_about(bench.out, "  errors ");
    assert_only_rows(bench.err);
    assert_int_equal(server.requests, 200);
}

static void number_of_requests_is_met_exactly_by_all_threads_together(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "-c 5 -t 3 -n 101", "-c 4 -t 4 -n 2", "-c 3 -t 2 -n 100 --pipeline 7",
        "-c 1 -n 1",        "-c 8 -n 3",
    };
    static const unsigned counts[] = {101, 2, 100, 1, 3};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct pf_peer server = {.serve = pf_peer_serve_always};
        pf_peer_start(&server);
        pf_bench_run(&bench, lines[i], &server);
        pf_peer_stop(&server);
        pf_bench_exits(&bench, 0);
        assert_int_equal(server.requests, counts[i]);
    }
}

static void duration_ends_the_run_and_the_connections_are_counted(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = pf_peer_serve_always};
    pf_peer_start(&server);
    int64_t began = pf_bench_now_ms();
    pf_bench_run(&bench, "-c 3 -d 300ms --latency", &server);
    assert_true(pf_bench_now_ms() - began >= 300);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "n=3");
    pf_bench_says(bench.out, "3 opened");
    assert_int_equal(server.connections, 3);
}

/* The fields of a row of the table: "-" or a time. */
static void assert_row(const char *out, const char *name, const char *const *dashes)
{
    const char *at = strstr(out, name);
    assert_non_null(at);
    char field[8][16];
    assert_int_equal(sscanf(at + strlen(name), "%15s %15s %15s %15s %15s %15s %15s %15s",
                            field[0], field[1], field[2], field[3], field[4], field[5],
                            field[6], field[7]),
                     8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(strcmp(field[i], "-") == 0, dashes[i][0] == '-');
}

static void percentile_needs_ten_samples_beyond_it_to_be_shown(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *dashes[8]; /* min p50 p90 p99 p99.9 p99.99 max mean */
    } rows[] = {
        {"-c 1 -n 19", {"x", "-", "-", "-", "-", "-", "x", "x"}},
        {"-c 1 -n 20", {"x", "x", "-", "-", "-", "-", "x", "x"}},
        {"-c 1 -n 999 --pipeline 9", {"x", "x", "x", "-", "-", "-", "x", "x"}},
        {"-c 1 -n 1000 --pipeline 10", {"x", "x", "x", "x", "-", "-", "x", "x"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer server = {.serve = pf_peer_serve_always};
        pf_peer_start(&server);
        pf_bench_run(&bench, rows[i].line, &server);
        pf_peer_stop(&server);
        assert_row(bench.out, "  service", rows[i].dashes);
    }
}

static void error_statuses_are_kept_out_of_the_service_times(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = pf_peer_serve_always,
                             .answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 2 -n 50", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 2); /* nothing succeeded */
    pf_bench_says(bench.out, "status   503 x 50");
    pf_bench_says(bench.out, "  error ");
    pf_bench_silent_about(bench.out, "  service");
}

static void serve_mixed(struct pf_peer *server, int fd, unsigned index)
{
    (void)index;
    for (unsigned i = 0; pf_peer_read_request(server, fd); i++)
        pf_peer_say(fd, i % 4 ? PF_PEER_HELLO
                              : "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno");
}

static void statuses_are_counted_each(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_mixed};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 40", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "status   200 x 30   404 x 10\n");
    pf_bench_says(bench.out, "30 ok in ");
}

/* ---- what is sent ---------------------------------------------------------------- */

static void request_is_the_path_the_host_and_the_given_fields(void **state)
{
    (void)state;
    static const struct {
        const char *options, *after, *request; /* %u: the port, where there is one */
    } rows[] = {
        {"", "", "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n"},
        {"", "a/b?c=d#e", "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n"},
        {"-H 'X-One: 1' -H 'X-Two:  2 3'", "",
         "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-One: 1\r\nX-Two: 2 3\r\n\r\n"},
        {"-H 'host: example.org'", "", "GET / HTTP/1.1\r\nhost: example.org\r\n\r\n"},
        {"", " -H 'X-Late: yes' -c 1",
         "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-Late: yes\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_peer server = {.serve = pf_peer_serve_always};
        pf_peer_start(&server);
        char line[512], expected[512];
        snprintf(line, sizeof line, "-c 1 -n 1 %s %s%s", rows[i].options, server.url,
                 rows[i].after);
        pf_bench_run(&bench, line, NULL);
        pf_peer_stop(&server);
        pf_bench_exits(&bench, 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(expected, sizeof expected, rows[i].request, server.port);
#pragma GCC diagnostic pop
        assert_string_equal(server.request, expected);
    }
}

/* Answers nothing until all eight of a batch have come. */
static void serve_batches(struct pf_peer *server, int fd, unsigned index)
{
    (void)index;
    for (unsigned i = 1; pf_peer_read_request(server, fd); i++)
        for (unsigned j = 0; i % 8 == 0 && j < 8; j++)
            pf_peer_say(fd, PF_PEER_HELLO);
}

static void pipelined_batch_is_sent_at_once(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_batches};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 2 -n 160 --pipeline 8", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "status   200 x 160\n");
}

/* Reads nothing until the test lets it: a batch larger than all socket buffers stands half
 * sent meanwhile. */
static void serve_behind_gate(struct pf_peer *server, int fd, unsigned index)
{
    pf_peer_pass_gate(server);
    pf_peer_serve_always(server, fd, index);
}

static void batch_larger_than_the_socket_buffers_is_sent_in_parts(void **state)
{
    (void)state;
    enum {
        FIELD = 6000
    };
    static char line[FIELD + 256];
    struct pf_peer server = {.serve = serve_behind_gate};
    int small = 4096;
    pf_peer_start(&server);
    setsockopt(server.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    int len =
        snprintf(line, sizeof line, "-c 1 -n 2000 --pipeline 1000 --timeout 60s -H 'X: ");
    memset(line + len, 'x', FIELD);
    snprintf(line + len + FIELD, sizeof line - (size_t)len - FIELD, "' %s", server.url);
    bench = (struct pf_bench){0};
    pf_bench_start(&bench, line);
    pf_peer_wait_until(&server.connections, 1);
    pf_peer_open_gate(&server, 1);
    pf_bench_wait(&bench);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "status   200 x 2,000\n");
}

/* ---- what is understood ---------------------------------------------------------- */

/* The answer comes byte by byte, each in a segment of its own as far as TCP allows. */
static void serve_in_bytes(struct pf_peer *server, int fd, unsigned index)
{
    (void)index;
    while (pf_peer_read_request(server, fd))
        for (const char *at = server->answer; *at; at++) {
            const char one[] = {*at, '\0'};
            pf_peer_say(fd, one);
        }
}

static void answers_are_understood_however_they_are_framed_and_cut(void **state)
{
    (void)state;
    static const char *const answers[] = {
        PF_PEER_HELLO,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" PF_PEER_HELLO,
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    };
    static pf_peer_serve_fn *const ways[] = {pf_peer_serve_always, serve_in_bytes};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        for (size_t way = 0; way < 2; way++) {
            struct pf_peer server = {.serve = ways[way], .answer = answers[i]};
            pf_peer_start(&server);
            pf_bench_run(&bench, "-c 2 -n 12 --pipeline 3", &server);
            pf_peer_stop(&server);
            pf_bench_exits(&bench, 0);
            pf_bench_says(bench.out, "12 ok in ");
            pf_bench_silent_about(bench.out, "  errors ");
            assert_int_equal(server.connections, 2);
        }
}

static void serve_once(struct pf_peer *server, int fd, unsigned index)
{
    (void)index;
    if (pf_peer_read_request(server, fd))
        pf_peer_say(fd, server->answer);
}

static void announced_close_is_no_error_and_the_connection_is_made_again(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct pf_peer server = {.serve = serve_once, .answer = answers[i]};
        pf_peer_start(&server);
        pf_bench_run(&bench, "-c 2 -n 30 -H 'Connection: close'", &server);
        pf_peer_stop(&server);
        pf_bench_exits(&bench, 0);
        pf_bench_says(bench.out, "status   200 x 30\n");
        pf_bench_silent_about(bench.out, "  errors ");
        /* Both may reconnect when only one request is left. */
        assert_true(server.connections == 30 || server.connections == 31);
    }
}

/* ---- what goes wrong ------------------------------------------------------------- */

static void unannounced_close_with_a_request_on_the_way_is_retryable(void **state)
{
    (void)state;
    /* Each connection answers one request and closes without a word: every second request
     * is met by the close. */
    struct pf_peer server = {.serve = serve_once, .answer = PF_PEER_HELLO};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 10", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "retryable");
    pf_bench_says(bench.out, " 0 lost ");
    pf_bench_silent_about(bench.out, "10 ok in");
}

static void serve_half(struct pf_peer *server, int fd, unsigned index)
{
    if (!pf_peer_read_request(server, fd))
        return;
    pf_peer_say(fd, index == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
                               : PF_PEER_HELLO);
    if (index > 0)
        pf_peer_serve_always(server, fd, index);
}

static void close_in_mid_response_is_lost(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_half};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 10", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 4);
    pf_bench_says(bench.out, "in mid-response");
    pf_bench_says(bench.out, "9 ok in ");
}

static void pipelined_requests_behind_a_lost_one_are_told_apart(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_half};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 4 --pipeline 4", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "4 failed   0 wrong   1 lost ");
    pf_bench_says(bench.out, "in mid-response");
    pf_bench_says(bench.out, "  3 ");
    pf_bench_says(bench.out, "retryable");
}

/* The first connection closes after its answer and waits until the client has closed too;
 * only then the second gets its answer. */
static void serve_idle_close(struct pf_peer *server, int fd, unsigned index)
{
    if (!pf_peer_read_request(server, fd))
        return;
    if (index > 0)
        pf_peer_pass_gate(server);
    pf_peer_say(fd, PF_PEER_HELLO);
    if (index > 0)
        return;
    shutdown(fd, SHUT_WR);
    pf_peer_wait_for_end(fd);
    pf_peer_open_gate(server, 1);
}

static void close_of_an_idle_connection_is_harmless(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_idle_close};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 2 -n 2", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "harmless");
    pf_bench_says(bench.out, "2 ok in ");
}

static void serve_nothing(struct pf_peer *server, int fd, unsigned index)
{
    (void)server;
    (void)index;
    pf_peer_wait_for_end(fd);
}

static void timeout_is_recorded_at_its_age(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_nothing};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 2 -n 4 --timeout 500ms", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "timeout  ETIMEDOUT             4 ");
    pf_bench_says(bench.out, "no answer");
    /* The row holds the four, none younger than the timeout. */
    const char *row = strstr(bench.out, "  service");
    assert_non_null(row);
    double least;
    char unit[8];
    assert_int_equal(sscanf(row + strlen("  service"), "%lf%7s", &least, unit), 2);
    assert_true(strcmp(unit, "s") == 0 || (strcmp(unit, "ms") == 0 && least >= 500));
    assert_int_equal(server.connections, 4);
}

static void request_that_the_end_cut_off_is_mentioned(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_nothing};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 3 -d 100ms --drain 100ms", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "censored 3");
    assert_true(pf_bench_number(&bench, "totals", "sent") == 3);
    assert_true(pf_bench_number(&bench, "totals", "censored") == 3);
}

static void bytes_that_are_not_http_are_a_parse_error(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 two OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n..",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct pf_peer server = {.serve = pf_peer_serve_always, .answer = answers[i]};
        pf_peer_start(&server);
        pf_bench_run(&bench, "-c 1 -n 3", &server);
        pf_peer_stop(&server);
        pf_bench_exits(&bench, 2);
        pf_bench_says(bench.out, "not HTTP              3 ");
    }
}

static void another_protocol_that_nobody_asked_for_is_wrong(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = pf_peer_serve_always,
                             .answer = "HTTP/1.1 101 Switching Protocols\r\n"
                                       "Connection: upgrade\r\nUpgrade: x\r\n\r\n"};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 3", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 4);
    pf_bench_says(bench.out, "3 wrong answers");
}

static void answer_that_nobody_asked_for_is_a_parse_error(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = pf_peer_serve_always,
                             .answer = PF_PEER_HELLO PF_PEER_HELLO};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 3", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 4);
    pf_bench_says(bench.out, "bytes nobody asked for");
}

static void head_beyond_the_limit_is_a_parse_error(void **state)
{
    (void)state;
    static char answer[PF_PEER_BYTES_MAX];
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n");
    while (len < 50000)
        len += snprintf(answer + len, sizeof answer - (size_t)len, "A: %0100d\r\n", 0);
    struct pf_peer server = {.serve = pf_peer_serve_always, .answer = answer};
    pf_peer_start(&server);
    pf_bench_run(&bench, "-c 1 -n 1", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "  parse ");
}

static void server_that_goes_away_does_not_hang_a_number_of_requests(void **state)
{
    (void)state;
    struct pf_peer server = {.serve = serve_behind_gate};
    pf_peer_start(&server);
    char line[256];
    snprintf(line, sizeof line, "-c 1 -n 1000000 --timeout 1s --server none %s",
             server.url);
    bench = (struct pf_bench){0};
    pf_bench_start(&bench, line);
    /* The connection stands; its request is never answered, and no other is accepted. */
    pf_peer_wait_until(&server.connections, 1);
    shutdown(server.listener, SHUT_RDWR);
    pf_bench_wait(&bench);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 2);
    pf_bench_says(bench.out, "ECONNREFUSED");
    pf_bench_says(bench.out, "999,999 requests were never sent");
}

static void unreachable_server_is_said_in_one_line(void **state)
{
    (void)state;
    /* A port that is bound and does not listen refuses. */
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    char line[128], expected[128];
    snprintf(line, sizeof line, "-c 200 -t 2 -d 60s http://127.0.0.1:%u/",
             ntohs(at.sin_port));
    snprintf(expected, sizeof expected,
             "prefork-bench: cannot connect to 127.0.0.1:%u: Connection refused\n",
             ntohs(at.sin_port));
    pf_bench_run(&bench, line, NULL);
    close(fd);
    pf_bench_exits(&bench, 2);
    assert_string_equal(bench.err, expected);
    pf_bench_silent_about(bench.out, "  rate ");
}

/* ---- ends from outside ----------------------------------------------------------- */

static void interrupt_with(int signo)
{
    struct pf_peer server = {.serve = pf_peer_serve_always};
    pf_peer_start(&server);
    char line[256];
    snprintf(line, sizeof line, "-c 4 -t 2 -d 1h --timeout 60s %s", server.url);
    bench = (struct pf_bench){0};
    pf_bench_start(&bench, line);
    pf_peer_wait_until(&server.requests, 100);
    kill(bench.pid, signo);
    pf_bench_wait(&bench);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 130);
    pf_bench_says(bench.out, "  status   200 x ");
    pf_bench_says(bench.out, "  rate ");
}

static void interrupt_ends_the_run_with_its_summary(void **state)
{
    (void)state;
    interrupt_with(SIGINT);
    interrupt_with(SIGTERM);
}

/* Long before a loop can take it: here while the requests are read, from a pipe. */
static void interrupt_before_the_run_has_its_summary(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    char pipe_name[] = "/tmp/pf-bench-XXXXXX", line[256];
    assert_non_null(mkdtemp(pipe_name));
    char fifo[64];
    snprintf(fifo, sizeof fifo, "%s/mix", pipe_name);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct pf_peer server = {.serve = pf_peer_serve_always};
    pf_peer_start(&server);
    for (size_t i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "-c 1 -d 1h --requests %s %s", fifo, server.url);
        bench = (struct pf_bench){0};
        pf_bench_start(&bench, line);
        int fd = open(fifo, O_WRONLY | O_CLOEXEC); /* until it reads */
        assert_true(fd >= 0);
        kill(bench.pid, signals[i]);
        assert_int_equal(write(fd, "1 GET /\n", 8), 8);
        close(fd);
        pf_bench_wait(&bench);
        pf_bench_exits(&bench, 130);
        pf_bench_says(bench.out, "exit 130: interrupted");
    }
    pf_peer_stop(&server);
    unlink(fifo);
    rmdir(pipe_name);
}

/* ---- names and addresses --------------------------------------------------------- */

static void host_name_is_looked_up(void **state)
{
    (void)state;
    pf_test_skip_without_localhost();
    struct pf_peer server = {.serve = pf_peer_serve_always};
    pf_peer_start(&server);
    char line[128];
    snprintf(line, sizeof line, "-c 1 -n 5 http://localhost:%u/", server.port);
    pf_bench_run(&bench, line, NULL);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    assert_int_equal(server.requests, 5);
    assert_int_equal(server.connections, 1);
}

static void ipv6_literal_stands_in_brackets(void **state)
{
    (void)state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int listener = pf_peer_listen(AF_INET6, (struct sockaddr *)&any, sizeof any);
    if (listener < 0)
        skip(); /* no IPv6 here */
    struct pf_peer server = {.serve = pf_peer_serve_always};
    pf_peer_start_on(&server, listener);
    pf_bench_run(&bench, "-c 1 -n 5", &server);
    pf_peer_stop(&server);
    pf_bench_exits(&bench, 0);
    pf_bench_says(server.request, "\r\nHost: [::1]:");
}

/* ---- the command line ------------------------------------------------------------ */

static void wrong_usage_is_one_line_with_the_option_the_value_and_the_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says[3];
    } rows[] = {
        {"", {"http://127.0.0.1"}},
        {"-c 0 http://127.0.0.1:1/", {"0", "1000000"}},
        {"-c many http://127.0.0.1:1/", {"many"}},
        {"-d soon http://127.0.0.1:1/", {"soon"}},
        {"-n 5 -d 1s http://127.0.0.1:1/", {"-d", "-n", "one of them"}},
        {"-c 2 -t 3 http://127.0.0.1:1/", {"-t 3", "-c 3"}},
        {"--pipeline 100000 http://127.0.0.1:1/", {"pipeline", "100000", "1024"}},
        {"--no-such http://127.0.0.1:1/", {"no-such"}},
        {"-d 1m30 http://127.0.0.1:1/", {"--duration 1m30", "1ms to 1000h"}},
        {"--nodelay=maybe http://127.0.0.1:1/", {"--nodelay", "maybe", "yes or no"}},
        {"-m 'G T' http://127.0.0.1:1/", {"-m 'G T'", "one word, such as GET"}},
        {"-m '' http://127.0.0.1:1/", {"-m ''", "one word, such as GET"}},
        {"-H 'Host: a' -H 'host: b' http://127.0.0.1:1/",
         {"-H 'host: b'", "'Host: a'", "give one"}},
        {"-b '{seq' http://127.0.0.1:1/", {"{seq is not closed", "{seq}"}},
        {"-H Broken http://127.0.0.1:1/", {"-H 'Broken'", "Name: value"}},
        {"-c 1 storm http://127.0.0.1:1/", {"a command goes first"}},
        {"-H ': x' http://127.0.0.1:1/", {"-H ': x'", "Name: value"}},
        {"-H 'A: b\nC: d' http://127.0.0.1:1/", {"-H 'A: ...'", "one line"}},
        {"http://127.0.0.1:1/ http://127.0.0.1:2/",
         {"one URL", "127.0.0.1:1", "127.0.0.1:2"}},
        {"127.0.0.1:1", {"127.0.0.1:1", "http://"}},
        {"https://127.0.0.1:1/", {"https://", "TLS"}},
        {"http://", {"no host"}},
        {"http:///path", {"no host"}},
        {"http://:80/", {"no host"}},
        {"http://user@127.0.0.1/", {"user name", "-H"}},
        {"http://127.0.0.1:0/", {"port", "65535"}},
        {"http://127.0.0.1:65536/", {"65536"}},
        {"http://127.0.0.1:http/", {"127.0.0.1:http"}},
        {"http://[::1/", {"[::1"}},
        {"'http://127.0.0.1:1/a b'", {"blanks"}},
        {"--stages '1s:1k,\n\033[1mx' http://127.0.0.1:1/", {"--stages ", "?[1mx"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pf_bench_run(&bench, rows[i].line, NULL);
        pf_bench_exits(&bench, 1);
        assert_string_equal(bench.out, "");
        pf_bench_says(bench.err, "prefork-bench: ");
        assert_ptr_equal(strchr(bench.err, '\n'), bench.err + strlen(bench.err) - 1);
        for (int j = 0; j < 3 && rows[i].says[j]; j++)
            pf_bench_says(bench.err, rows[i].says[j]);
    }
}

static void what_is_no_command_is_said_with_the_commands(void **state)
{
    (void)state;
    static const char *const lines[] = {"serach http://127.0.0.1:1/", "localhost"};
    for (size_t i = 0; i < 2; i++) {
        memset(&bench, 0, sizeof bench);
        pf_bench_start(&bench, lines[i]);
        pf_bench_wait(&bench);
        pf_bench_exits(&bench, 1);
        pf_bench_says(bench.err, ": neither a command (run, search, storm");
        pf_bench_says(bench.err, "nor a URL, such as http://127.0.0.1:8888/\n");
    }
}

static void a_value_beyond_all_bounds_does_not_hide_what_is_wrong_with_it(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof bench);
    pf_bench_start(&bench, "\"http://127.0.0.1:1/$(printf %030000d 0)\"");
    pf_bench_wait(&bench);
    pf_bench_exits(&bench, 1);
    pf_bench_says(bench.err, "prefork-bench: http://127.0.0.1:1/000");
    pf_bench_says(bench.err, "000: has too long a path; use less than 8000 bytes\n");
    assert_true(strlen(bench.err) < 1000);
}

static void output_that_cannot_be_written_is_no_success(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "--version", "storm --help",
                                        "compare --help", "serve --help"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s > /dev/full", lines[i]);
        memset(&bench, 0, sizeof bench);
        pf_bench_start(&bench, line);
        pf_bench_wait(&bench);
        pf_bench_exits(&bench, 1);
        pf_bench_says(bench.err, "cannot write to standard output: No space left");
    }
}

static void help_and_version_are_printed_and_succeed(void **state)
{
    (void)state;
    pf_bench_run(&bench, "--help", NULL);
    pf_bench_exits(&bench, 0);
    static const char *const options[] = {"--connections", "--threads", "--duration",
                                          "--requests",    "--header",  "--timeout",
                                          "--pipeline",    "--latency", "--version"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        pf_bench_says(bench.out, options[i]);
    pf_bench_run(&bench, "--version", NULL);
    pf_bench_exits(&bench, 0);
    pf_bench_says(bench.out, "prefork-bench ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(summary_holds_the_rows_in_their_order),
        pf_test(number_of_requests_is_met_exactly_by_all_threads_together),
        pf_test(duration_ends_the_run_and_the_connections_are_counted),
        pf_test(percentile_needs_ten_samples_beyond_it_to_be_shown),
        pf_test(error_statuses_are_kept_out_of_the_service_times),
        pf_test(statuses_are_counted_each),
        pf_test(request_is_the_path_the_host_and_the_given_fields),
        pf_test(pipelined_batch_is_sent_at_once),
        pf_test(batch_larger_than_the_socket_buffers_is_sent_in_parts),
        pf_test(answers_are_understood_however_they_are_framed_and_cut),
        pf_test(announced_close_is_no_error_and_the_connection_is_made_again),
        pf_test(unannounced_close_with_a_request_on_the_way_is_retryable),
        pf_test(close_in_mid_response_is_lost),
        pf_test(pipelined_requests_behind_a_lost_one_are_told_apart),
        pf_test(close_of_an_idle_connection_is_harmless),
        pf_test(timeout_is_recorded_at_its_age),
        pf_test(request_that_the_end_cut_off_is_mentioned),
        pf_test(bytes_that_are_not_http_are_a_parse_error),
        pf_test(another_protocol_that_nobody_asked_for_is_wrong),
        pf_test(answer_that_nobody_asked_for_is_a_parse_error),
        pf_test(head_beyond_the_limit_is_a_parse_error),
        pf_test(server_that_goes_away_does_not_hang_a_number_of_requests),
        pf_test(unreachable_server_is_said_in_one_line),
        pf_test(interrupt_ends_the_run_with_its_summary),
        pf_test(interrupt_before_the_run_has_its_summary),
        pf_test(host_name_is_looked_up),
        pf_test(ipv6_literal_stands_in_brackets),
        pf_test(wrong_usage_is_one_line_with_the_option_the_value_and_the_remedy),
        pf_test(what_is_no_command_is_said_with_the_commands),
        pf_test(a_value_beyond_all_bounds_does_not_hide_what_is_wrong_with_it),
        pf_test(output_that_cannot_be_written_is_no_success),
        pf_test(help_and_version_are_printed_and_succeed),
    };
    return cmocka_run_group_tests_name("prefork-bench", tests, NULL, NULL);
}
