/*
 * prefork-bench as its user meets it: the built program is run against small servers that
 * live in threads of this test, and its exit status and its words are looked at.
 */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a server that does as it is told -------------------------------------------- */

#define CONNECTIONS_MAX 256
#define BYTES_MAX       65536

struct server;

/* Serve one connection, the index-th; returning closes it. */
typedef void serve_fn(struct server *server, int fd, unsigned index);

struct server {
    serve_fn *serve;
    const char *answer; /* for those that answer always the same */
    int listener;
    uint16_t port;
    char url[64];
    pthread_t thread;
    atomic_uint connections, requests;
    int gate[2]; /* a pipe: lets one connection wait for another, or for the test */
    char request[BYTES_MAX]; /* the first one; to be read when the server has stopped */
};

struct visit {
    struct server *server;
    int fd;
    unsigned index;
    pthread_t thread;
};

static void *visit_thread(void *arg)
{
    struct visit *visit = arg;
    visit->server->serve(visit->server, visit->fd, visit->index);
    close(visit->fd);
    return NULL;
}

/* Accept until the listener is shut down; then wait for the connections to end. */
static void *server_thread(void *arg)
{
    struct server *server = arg;
    struct visit *visits = calloc(CONNECTIONS_MAX, sizeof *visits);
    unsigned count = 0;
    while (visits && count < CONNECTIONS_MAX) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            break;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        visits[count] = (struct visit){.server = server, .fd = fd, .index = count};
        pthread_create(&visits[count].thread, NULL, visit_thread, &visits[count]);
        count++;
        atomic_fetch_add(&server->connections, 1);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(visits[i].thread, NULL);
    free(visits);
    return NULL;
}

static int listen_on(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, address, len) == 0 && listen(fd, CONNECTIONS_MAX) == 0)
        return fd;
    close(fd);
    return -1;
}

static void server_start_on(struct server *server, int listener)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    server->listener = listener;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    /* The port stands in the same place in both kinds of addresses. */
    server->port = ntohs(((const struct sockaddr_in *)&at)->sin_port);
    snprintf(server->url, sizeof server->url, "http://%s:%u/",
             at.ss_family == AF_INET6 ? "[::1]" : "127.0.0.1", server->port);
    assert_int_equal(pipe2(server->gate, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, server_thread, server), 0);
}

static void server_start(struct server *server)
{
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = listen_on(AF_INET, (struct sockaddr *)&any, sizeof any);
    assert_true(listener >= 0);
    server_start_on(server, listener);
}

/* Let so many connections pass the gate. */
static void gate_open(struct server *server, size_t count)
{
    static const char bytes[CONNECTIONS_MAX];
    assert_int_equal(write(server->gate[1], bytes, count), count);
}

static void server_stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    gate_open(server, CONNECTIONS_MAX); /* whoever still waits there */
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->gate[0]);
    close(server->gate[1]);
    close(server->listener);
}

static void gate_pass(struct server *server)
{
    char byte;
    (void)!read(server->gate[0], &byte, 1);
}

/* The length of the request that begins the text, or 0 if its end is not there yet. */
static size_t request_len(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    return end ? (size_t)(end - text) + 4 : 0;
}

static void remember_first(struct server *server, const char *request)
{
    if (atomic_fetch_add(&server->requests, 1) == 0)
        snprintf(server->request, sizeof server->request, "%s", request);
}

/* Read one request, and nothing of the next. False at the end of the connection. */
static bool read_request(struct server *server, int fd)
{
    char text[BYTES_MAX];
    size_t len = 0, end = 0;
    while (end == 0) {
        ssize_t seen = recv(fd, text + len, sizeof text - 1 - len, MSG_PEEK);
        if (seen <= 0)
            return false;
        text[len + (size_t)seen] = '\0';
        end = request_len(text);
        size_t take = end ? end - len : (size_t)seen;
        if (recv(fd, text + len, take, 0) != (ssize_t)take)
            return false;
        len += take;
    }
    text[end] = '\0';
    remember_first(server, text);
    return true;
}

static void say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL); /* the peer may have gone */
}

static void wait_for_end(int fd)
{
    char bytes[1024];
    while (read(fd, bytes, sizeof bytes) > 0)
        continue;
}

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void serve_always(struct server *server, int fd, unsigned index)
{
    (void)index;
    while (read_request(server, fd))
        say(fd, server->answer ? server->answer : HELLO);
}

/* ---- the program ----------------------------------------------------------------- */

struct bench {
    int status;
    char out[BYTES_MAX], err[BYTES_MAX];
    pid_t pid;
    int out_fd, err_fd;
};

static const char *program(void)
{
    static char path[4096];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/bin/prefork-bench", build ? build : "build/release");
    return path;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* `line` is split at blanks; a word in it that stands between apostrophes may hold blanks.
 */
static void bench_start(struct bench *bench, const char *line)
{
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    fflush(NULL);
    bench->pid = fork();
    assert_true(bench->pid >= 0);
    if (bench->pid == 0) {
        char command[8192];
        snprintf(command, sizeof command, "exec %s %s", program(), line);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    bench->out_fd = out[0];
    bench->err_fd = err[0];
}

/* Take what is there to read; false at the end. */
static bool drain(int fd, char *text)
{
    size_t len = strlen(text);
    ssize_t got = read(fd, text + len, BYTES_MAX - 1 - len);
    if (got > 0)
        text[len + (size_t)got] = '\0';
    return got > 0;
}

/* Collect its output until it ends; after the deadline it is killed and the test fails. */
static void bench_wait(struct bench *bench)
{
    int64_t deadline = now_ms() + PF_TEST_DEADLINE_S * 1000;
    struct pollfd fds[] = {{.fd = bench->out_fd, .events = POLLIN},
                           {.fd = bench->err_fd, .events = POLLIN}};
    char *texts[] = {bench->out, bench->err};
    bool late = false;
    while (!late && (fds[0].fd >= 0 || fds[1].fd >= 0)) {
        int64_t left = deadline - now_ms();
        late = left <= 0 || poll(fds, 2, (int)left) == 0;
        for (int i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, texts[i]))
                fds[i].fd = -1;
    }
    if (late)
        kill(bench->pid, SIGKILL);
    assert_int_equal(waitpid(bench->pid, &bench->status, 0), bench->pid);
    close(bench->out_fd);
    close(bench->err_fd);
    assert_false(late);
    assert_true(WIFEXITED(bench->status));
    bench->status = WEXITSTATUS(bench->status);
}

/* Run it to its end with these options, and the server's URL if there is one. Its own
 * timeout is set where no test waits for it: a slow machine is no error. */
static void bench_run(struct bench *bench, const char *options, const struct server *server)
{
    char line[4096];
    snprintf(line, sizeof line, "--timeout 60s %s %s", options, server ? server->url : "");
    *bench = (struct bench){0};
    bench_start(bench, line);
    bench_wait(bench);
}

static void assert_says(const char *text, const char *what)
{
    if (!strstr(text, what))
        print_error("no \"%s\" in:\n%s\n", what, text);
    assert_non_null(strstr(text, what));
}

static void assert_silent_about(const char *text, const char *what)
{
    if (strstr(text, what))
        print_error("\"%s\" in:\n%s\n", what, text);
    assert_null(strstr(text, what));
}

static void assert_exits(const struct bench *bench, int status)
{
    if (bench->status != status)
        print_error("standard output:\n%s\nstandard error:\n%s\n", bench->out, bench->err);
    assert_int_equal(bench->status, status);
}

/* Wait until the counter has come so far, or a deadline that no working program meets. */
static void wait_until(atomic_uint *counter, unsigned least)
{
    int64_t deadline = now_ms() + PF_TEST_DEADLINE_S * 1000;
    while (atomic_load(counter) < least && now_ms() < deadline)
        (void)poll(NULL, 0, 1);
    assert_true(atomic_load(counter) >= least);
}

/* ---- rate, table, status --------------------------------------------------------- */

static struct bench bench; /* large */

static void summary_holds_the_rows_in_their_order(void **state)
{
    (void)state;
    struct server server = {.serve = serve_always};
    server_start(&server);
    bench_run(&bench, "-c 2 -n 200", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    static const char *const rows[] = {
        "prefork-bench ", "generator ",           "  rate ",    " p99.9 ", "  service ",
        "  connect ",     "  status   200 x 200", "closed loop"};
    const char *at = bench.out;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_says(at, rows[i]);
        at = strstr(at, rows[i]);
    }
    assert_true(strstr(bench.out, "  VALID") || strstr(bench.out, "  SUSPECT"));
    assert_says(bench.out, "200 ok in ");
    assert_silent_about(bench.out, "errors");
    assert_string_equal(bench.err, "");
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
        struct server server = {.serve = serve_always};
        server_start(&server);
        bench_run(&bench, lines[i], &server);
        server_stop(&server);
        assert_exits(&bench, 0);
        assert_int_equal(server.requests, counts[i]);
    }
}

static void duration_ends_the_run_and_the_connections_are_counted(void **state)
{
    (void)state;
    struct server server = {.serve = serve_always};
    server_start(&server);
    int64_t began = now_ms();
    bench_run(&bench, "-c 3 -d 300ms --latency", &server);
    assert_true(now_ms() - began >= 300);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "n=3, set up in ");
    assert_int_equal(server.connections, 3);
}

/* The fields of a row of the table: "-" or a time. */
static void assert_row(const char *out, const char *name, const char *const *dashes)
{
    const char *at = strstr(out, name);
    assert_non_null(at);
    char field[7][16];
    assert_int_equal(sscanf(at + strlen(name), "%15s %15s %15s %15s %15s %15s %15s",
                            field[0], field[1], field[2], field[3], field[4], field[5],
                            field[6]),
                     7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(strcmp(field[i], "-") == 0, dashes[i][0] == '-');
}

static void percentile_needs_ten_samples_beyond_it_to_be_shown(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *dashes[7]; /* min p50 p90 p99 p99.9 max mean */
    } rows[] = {
        {"-c 1 -n 19", {"x", "-", "-", "-", "-", "x", "x"}},
        {"-c 1 -n 20", {"x", "x", "-", "-", "-", "x", "x"}},
        {"-c 1 -n 999 --pipeline 9", {"x", "x", "x", "-", "-", "x", "x"}},
        {"-c 1 -n 1000 --pipeline 10", {"x", "x", "x", "x", "-", "x", "x"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server server = {.serve = serve_always};
        server_start(&server);
        bench_run(&bench, rows[i].line, &server);
        server_stop(&server);
        assert_row(bench.out, "  service", rows[i].dashes);
    }
}

static void error_statuses_are_kept_out_of_the_service_times(void **state)
{
    (void)state;
    struct server server = {.serve = serve_always,
                            .answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"};
    server_start(&server);
    bench_run(&bench, "-c 2 -n 50", &server);
    server_stop(&server);
    assert_exits(&bench, 2); /* nothing succeeded */
    assert_says(bench.out, "status   503 x 50");
    assert_says(bench.out, "  4xx,5xx");
    assert_silent_about(bench.out, "  service");
}

static void serve_mixed(struct server *server, int fd, unsigned index)
{
    (void)index;
    for (unsigned i = 0; read_request(server, fd); i++)
        say(fd, i % 4 ? HELLO : "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno");
}

static void statuses_are_counted_each(void **state)
{
    (void)state;
    struct server server = {.serve = serve_mixed};
    server_start(&server);
    bench_run(&bench, "-c 1 -n 40", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "status   200 x 30   404 x 10\n");
    assert_says(bench.out, "30 ok in ");
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
         "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-One: 1\r\nX-Two:  2 3\r\n\r\n"},
        {"-H 'host: example.org'", "", "GET / HTTP/1.1\r\nhost: example.org\r\n\r\n"},
        {"", " -H 'X-Late: yes' -c 1",
         "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-Late: yes\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server server = {.serve = serve_always};
        server_start(&server);
        char line[512], expected[512];
        snprintf(line, sizeof line, "-c 1 -n 1 %s %s%s", rows[i].options, server.url,
                 rows[i].after);
        bench_run(&bench, line, NULL);
        server_stop(&server);
        assert_exits(&bench, 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(expected, sizeof expected, rows[i].request, server.port);
#pragma GCC diagnostic pop
        assert_string_equal(server.request, expected);
    }
}

/* Answers nothing until all eight of a batch have come. */
static void serve_batches(struct server *server, int fd, unsigned index)
{
    (void)index;
    for (unsigned i = 1; read_request(server, fd); i++)
        for (unsigned j = 0; i % 8 == 0 && j < 8; j++)
            say(fd, HELLO);
}

static void pipelined_batch_is_sent_at_once(void **state)
{
    (void)state;
    struct server server = {.serve = serve_batches};
    server_start(&server);
    bench_run(&bench, "-c 2 -n 160 --pipeline 8", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "status   200 x 160\n");
}

/* Reads nothing until the test lets it: a batch larger than all socket buffers stands half
 * sent meanwhile. */
static void serve_behind_gate(struct server *server, int fd, unsigned index)
{
    gate_pass(server);
    serve_always(server, fd, index);
}

static void batch_larger_than_the_socket_buffers_is_sent_in_parts(void **state)
{
    (void)state;
    enum {
        FIELD = 6000
    };
    static char line[FIELD + 256];
    struct server server = {.serve = serve_behind_gate};
    int small = 4096;
    server_start(&server);
    setsockopt(server.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    int len =
        snprintf(line, sizeof line, "-c 1 -n 2000 --pipeline 1000 --timeout 60s -H 'X: ");
    memset(line + len, 'x', FIELD);
    snprintf(line + len + FIELD, sizeof line - (size_t)len - FIELD, "' %s", server.url);
    bench = (struct bench){0};
    bench_start(&bench, line);
    wait_until(&server.connections, 1);
    gate_open(&server, 1);
    bench_wait(&bench);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "status   200 x 2,000\n");
}

/* ---- what is understood ---------------------------------------------------------- */

/* The answer comes byte by byte, each in a segment of its own as far as TCP allows. */
static void serve_in_bytes(struct server *server, int fd, unsigned index)
{
    (void)index;
    while (read_request(server, fd))
        for (const char *at = server->answer; *at; at++) {
            const char one[] = {*at, '\0'};
            say(fd, one);
        }
}

static void answers_are_understood_however_they_are_framed_and_cut(void **state)
{
    (void)state;
    static const char *const answers[] = {
        HELLO,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" HELLO,
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    };
    static serve_fn *const ways[] = {serve_always, serve_in_bytes};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        for (size_t way = 0; way < 2; way++) {
            struct server server = {.serve = ways[way], .answer = answers[i]};
            server_start(&server);
            bench_run(&bench, "-c 2 -n 12 --pipeline 3", &server);
            server_stop(&server);
            assert_exits(&bench, 0);
            assert_says(bench.out, "12 ok in ");
            assert_silent_about(bench.out, "errors");
            assert_int_equal(server.connections, 2);
        }
}

static void serve_once(struct server *server, int fd, unsigned index)
{
    (void)index;
    if (read_request(server, fd))
        say(fd, server->answer);
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
        struct server server = {.serve = serve_once, .answer = answers[i]};
        server_start(&server);
        bench_run(&bench, "-c 2 -n 30 -H 'Connection: close'", &server);
        server_stop(&server);
        assert_exits(&bench, 0);
        assert_says(bench.out, "status   200 x 30\n");
        assert_silent_about(bench.out, "errors");
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
    struct server server = {.serve = serve_once, .answer = HELLO};
    server_start(&server);
    bench_run(&bench, "-c 1 -n 10", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "sent, no byte back: retryable");
    assert_silent_about(bench.out, "lost");
    assert_silent_about(bench.out, "10 ok in");
}

static void serve_half(struct server *server, int fd, unsigned index)
{
    if (!read_request(server, fd))
        return;
    say(fd, index == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" : HELLO);
    if (index > 0)
        serve_always(server, fd, index);
}

static void close_in_mid_response_is_lost(void **state)
{
    (void)state;
    struct server server = {.serve = serve_half};
    server_start(&server);
    bench_run(&bench, "-c 1 -n 10", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "read closed x 1  first at ");
    assert_says(bench.out, ", in mid-response: lost\n");
    assert_says(bench.out, "9 ok in ");
}

static void pipelined_requests_behind_a_lost_one_are_told_apart(void **state)
{
    (void)state;
    struct server server = {.serve = serve_half};
    server_start(&server);
    bench_run(&bench, "-c 1 -n 4 --pipeline 4", &server);
    server_stop(&server);
    assert_exits(&bench, 2);
    assert_says(bench.out, "x 1  first at ");
    assert_says(bench.out, "in mid-response: lost");
    assert_says(bench.out, "x 3  first at ");
    assert_says(bench.out, "no byte back");
}

/* The first connection closes after its answer and waits until the client has closed too;
 * only then the second gets its answer. */
static void serve_idle_close(struct server *server, int fd, unsigned index)
{
    if (!read_request(server, fd))
        return;
    if (index > 0)
        gate_pass(server);
    say(fd, HELLO);
    if (index > 0)
        return;
    shutdown(fd, SHUT_WR);
    wait_for_end(fd);
    gate_open(server, 1);
}

static void close_of_an_idle_connection_is_harmless(void **state)
{
    (void)state;
    struct server server = {.serve = serve_idle_close};
    server_start(&server);
    bench_run(&bench, "-c 2 -n 2", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(bench.out, "read closed x 1 ");
    assert_says(bench.out, ", idle: harmless\n");
    assert_says(bench.out, "2 ok in ");
}

static void serve_nothing(struct server *server, int fd, unsigned index)
{
    (void)server;
    (void)index;
    wait_for_end(fd);
}

static void timeout_is_recorded_at_its_age(void **state)
{
    (void)state;
    struct server server = {.serve = serve_nothing};
    server_start(&server);
    bench_run(&bench, "-c 2 -n 4 --timeout 500ms", &server);
    server_stop(&server);
    assert_exits(&bench, 2);
    assert_says(bench.out, "timeout ETIMEDOUT x 4 ");
    assert_says(bench.out, ", sent, no byte back\n");
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
    struct server server = {.serve = serve_nothing};
    server_start(&server);
    bench_run(&bench, "-c 3 -d 100ms", &server);
    server_stop(&server);
    assert_exits(&bench, 2);
    assert_says(bench.out, "3 unanswered at the end, the oldest for ");
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
        struct server server = {.serve = serve_always, .answer = answers[i]};
        server_start(&server);
        bench_run(&bench, "-c 1 -n 3", &server);
        server_stop(&server);
        assert_exits(&bench, 2);
        assert_says(bench.out, "parse not HTTP x 3 ");
    }
}

static void answer_that_nobody_asked_for_is_a_parse_error(void **state)
{
    (void)state;
    struct server server = {.serve = serve_always, .answer = HELLO HELLO};
    server_start(&server);
    bench_run(&bench, "-c 1 -n 3", &server);
    server_stop(&server);
    assert_says(bench.out, "parse bytes nobody asked for x ");
}

static void head_beyond_the_limit_is_a_parse_error(void **state)
{
    (void)state;
    static char answer[BYTES_MAX];
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\n");
    while (len < 50000)
        len += snprintf(answer + len, sizeof answer - (size_t)len, "A: %0100d\r\n", 0);
    struct server server = {.serve = serve_always, .answer = answer};
    server_start(&server);
    bench_run(&bench, "-c 1 -n 1", &server);
    server_stop(&server);
    assert_exits(&bench, 2);
    assert_says(bench.out, "parse ");
}

static void server_that_goes_away_does_not_hang_a_number_of_requests(void **state)
{
    (void)state;
    struct server server = {.serve = serve_behind_gate};
    server_start(&server);
    char line[256];
    snprintf(line, sizeof line, "-c 1 -n 1000000 --timeout 1s %s", server.url);
    bench = (struct bench){0};
    bench_start(&bench, line);
    /* The connection stands; its request is never answered, and no other is accepted. */
    wait_until(&server.connections, 1);
    shutdown(server.listener, SHUT_RDWR);
    bench_wait(&bench);
    server_stop(&server);
    assert_exits(&bench, 2);
    assert_says(bench.out, "connect ECONNREFUSED x ");
    assert_says(bench.out, "requests were not sent");
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
    bench_run(&bench, line, NULL);
    close(fd);
    assert_exits(&bench, 2);
    assert_string_equal(bench.err, expected);
    assert_string_equal(bench.out, "");
}

/* ---- ends from outside ----------------------------------------------------------- */

static void interrupt_ends_the_run_with_its_summary(void **state)
{
    (void)state;
    struct server server = {.serve = serve_always};
    server_start(&server);
    char line[128];
    snprintf(line, sizeof line, "-c 4 -t 2 -d 1h --timeout 60s %s", server.url);
    bench = (struct bench){0};
    bench_start(&bench, line);
    wait_until(&server.requests, 100);
    kill(bench.pid, SIGINT);
    bench_wait(&bench);
    server_stop(&server);
    assert_exits(&bench, 130);
    assert_says(bench.out, "  status   200 x ");
    assert_says(bench.out, "  rate ");
}

/* ---- names and addresses --------------------------------------------------------- */

static void host_name_is_looked_up(void **state)
{
    (void)state;
    pf_test_skip_without_localhost();
    struct server server = {.serve = serve_always};
    server_start(&server);
    char line[128];
    snprintf(line, sizeof line, "-c 1 -n 5 http://localhost:%u/", server.port);
    bench_run(&bench, line, NULL);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_int_equal(server.requests, 5);
    assert_int_equal(server.connections, 1);
}

static void ipv6_literal_stands_in_brackets(void **state)
{
    (void)state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int listener = listen_on(AF_INET6, (struct sockaddr *)&any, sizeof any);
    if (listener < 0)
        skip(); /* no IPv6 here */
    struct server server = {.serve = serve_always};
    server_start_on(&server, listener);
    bench_run(&bench, "-c 1 -n 5", &server);
    server_stop(&server);
    assert_exits(&bench, 0);
    assert_says(server.request, "\r\nHost: [::1]:");
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
        {"-H Broken http://127.0.0.1:1/", {"-H 'Broken'", "Name: value"}},
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
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_run(&bench, rows[i].line, NULL);
        assert_exits(&bench, 1);
        assert_string_equal(bench.out, "");
        assert_says(bench.err, "prefork-bench: ");
        assert_ptr_equal(strchr(bench.err, '\n'), bench.err + strlen(bench.err) - 1);
        for (int j = 0; j < 3 && rows[i].says[j]; j++)
            assert_says(bench.err, rows[i].says[j]);
    }
}

static void help_and_version_are_printed_and_succeed(void **state)
{
    (void)state;
    bench_run(&bench, "--help", NULL);
    assert_exits(&bench, 0);
    static const char *const options[] = {"--connections", "--threads", "--duration",
                                          "--requests",    "--header",  "--timeout",
                                          "--pipeline",    "--latency", "--version"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        assert_says(bench.out, options[i]);
    bench_run(&bench, "--version", NULL);
    assert_exits(&bench, 0);
    assert_says(bench.out, "prefork-bench ");
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
        pf_test(answer_that_nobody_asked_for_is_a_parse_error),
        pf_test(head_beyond_the_limit_is_a_parse_error),
        pf_test(server_that_goes_away_does_not_hang_a_number_of_requests),
        pf_test(unreachable_server_is_said_in_one_line),
        pf_test(interrupt_ends_the_run_with_its_summary),
        pf_test(host_name_is_looked_up),
        pf_test(ipv6_literal_stands_in_brackets),
        pf_test(wrong_usage_is_one_line_with_the_option_the_value_and_the_remedy),
        pf_test(help_and_version_are_printed_and_succeed),
    };
    return cmocka_run_group_tests_name("prefork-bench", tests, NULL, NULL);
}
