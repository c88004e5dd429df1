/* test_server.c - the built server as its users meet it: real processes, sockets, signals.
 */
#include "tests/lib/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define GET       "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

static char answer[65536];

static const char *get(int port, const char *request)
{
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) >= 0);
    close(fd);
    return answer;
}

static void assert_hello(const char *text)
{
    assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(text, "\r\n\r\nhello"));
}

/* ---- serving --------------------------------------------------------------------- */

static void the_banner_tells_address_workers_control_and_how_to_stop(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("--workers", "2"));
    assert_int_equal(server.worker_count, 2);
    pid_t children[8];
    assert_int_equal(pf_test_children(server.pid, children, 8), 2);
    for (int i = 0; i < 2; i++)
        assert_true(children[i] == server.workers[0] || children[i] == server.workers[1]);
    assert_int_equal(access(server.control, F_OK), 0);
    char stop[64];
    snprintf(stop, sizeof stop, "kill %d", server.pid);
    assert_non_null(strstr(server.text, stop));
    assert_hello(get(server.port, GET_CLOSE));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void each_worker_runs_where_the_banner_says(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    for (unsigned i = 0; i < server.worker_count; i++) {
        char path[64], text[4096];
        snprintf(path, sizeof path, "/proc/%d/status", server.workers[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        assert_true(n > 0);
        text[n] = 0;
        const char *list = strstr(text, "Cpus_allowed_list:");
        assert_non_null(list);
        if (server.cpus[i] >= 0)
            assert_int_equal(strtol(list + 18, NULL, 10), server.cpus[i]);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);

    pf_test_server_start(&server, ARGS("-w", "2", "--pin", "none"));
    assert_int_equal(server.cpus[0], -1);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static int count_links(pid_t pid, const char *prefix)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        char path[64], target[128];
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        if (len <= 0)
            continue;
        target[len] = 0;
        n += strncmp(target, prefix, strlen(prefix)) == 0;
    }
    return n;
}

/* Soon: it closes a connection when it sees that the client has, and what it has done for a
 * neighbour that was long in coming it gives back. */
static void expect_links(pid_t pid, const char *prefix, int count)
{
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (count_links(pid, prefix) != count && time(NULL) < end)
        (void)poll(NULL, 0, 1);
    assert_int_equal(count_links(pid, prefix), count);
}

static void a_worker_holds_nothing_of_its_siblings_or_its_master(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "4"));
    assert_hello(get(server.port, GET_CLOSE));
    for (unsigned i = 0; i < 4; i++) {
        /* its listener and its channel */
        expect_links(server.workers[i], "socket:", 2);
        assert_int_equal(count_links(server.workers[i], "anon_inode:[eventpoll]"), 1);
        assert_int_equal(count_links(server.workers[i], "anon_inode:[signalfd]"), 0);
        /* the waker's two ends, the death pipe, the crash pipe, the test's own twice */
        assert_int_equal(count_links(server.workers[i], "pipe:"), 6);
        assert_int_equal(count_links(server.workers[i], server.directory), 0);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_connection_is_kept_and_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    int fd = pf_test_connect(server.port);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pf_test_send_text(fd, GET), 0);
        assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
        assert_hello(answer);
        assert_non_null(strstr(answer, "\r\nDate: "));
    }
    assert_int_equal(pf_test_send_text(fd, GET
                                       "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
                                       "GET /none HTTP/1.1\r\nHost: a\r\n\r\n" GET_CLOSE),
                     0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
    close(fd);
    const char *second = strstr(answer + 1, "HTTP/1.1 200");
    const char *third = strstr(answer, "HTTP/1.1 404");
    assert_non_null(second);
    assert_non_null(third);
    assert_true(second < third);
    assert_non_null(strstr(third, "HTTP/1.1 200"));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void echo_sends_back_what_it_gets(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2", "echo"));
    int fd = pf_test_connect(server.port);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(pf_test_send(fd, "some\0bytes", 10), 0);
        char back[10];
        assert_int_equal(recv(fd, back, 10, MSG_WAITALL), 10);
        assert_memory_equal(back, "some\0bytes", 10);
    }
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- bad input over the wire ----------------------------------------------------- */

static void nonsense_gets_the_right_refusal_and_the_server_goes_on(void **state)
{
    (void)state;
    static char long_head[100 * 1024];
    memset(long_head, 'a', sizeof long_head - 1);
    memcpy(long_head, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
    static char many[16 * 1024] = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 500; i++)
        memcpy(many + strlen(many), "X-Many: field\r\n", 16);
    static const char tls_hello[] =
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on";
    const struct {
        const char *request, *status;
    } rows[] = {
        {"garbage garbage garbage\r\n\r\n", "HTTP/1.1 4"},
        {tls_hello, "HTTP/1.1 400"},
        {long_head, "HTTP/1.1 431"},
        {many, "HTTP/1.1 431"},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"}, /* no Host */
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
         "chunked\r\n\r\n",
         "HTTP/1.1 400"},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505"},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501"},
        {"DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 405"},
    };
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = pf_test_connect(server.port);
        (void)pf_test_send_text(fd, rows[i].request); /* the end may be refused unread */
        assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
        assert_memory_equal(answer, rows[i].status, strlen(rows[i].status));
        assert_non_null(strstr(answer, "Connection: close"));
        close(fd);
        assert_hello(get(server.port, GET_CLOSE));
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void half_a_request_is_answered_408_at_the_head_timeout(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--head-timeout", "100ms"));
    assert_non_null(strstr(get(server.port, "GET / HTT"), "HTTP/1.1 408"));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- a worker's death ------------------------------------------------------------ */

static void wait_for_new_worker(struct pf_test_server *server, size_t from)
{
    pf_test_server_expect(server, from, "worker-accepts");
}

static void a_killed_worker_is_replaced_every_time(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    for (int i = 0; i < 5; i++) {
        pid_t children[8];
        assert_int_equal(pf_test_children(server.pid, children, 8), 2);
        size_t from = server.text_len;
        assert_int_equal(kill(children[i % 2], SIGKILL), 0);
        wait_for_new_worker(&server, from);
        assert_non_null(strstr(server.text + from, "cause=killed signal=9"));
        assert_int_equal(pf_test_children(server.pid, children, 8), 2);
        assert_hello(get(server.port, GET_CLOSE));
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void connections_queued_when_a_worker_dies_are_served_by_its_successor(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    assert_int_equal(kill(server.workers[0], SIGSTOP), 0); /* it accepts nothing any more */
    enum {
        QUEUED = 50
    };
    int fds[QUEUED];
    for (int i = 0; i < QUEUED; i++) {
        fds[i] = pf_test_connect(server.port);
        assert_true(fds[i] >= 0);
        assert_int_equal(pf_test_send_text(fds[i], GET_CLOSE), 0);
    }
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    for (int i = 0; i < QUEUED; i++) {
        assert_true(pf_test_read_all(fds[i], answer, sizeof answer) > 0);
        assert_hello(answer);
        close(fds[i]);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_worker_told_to_leave_by_a_signal_finishes_and_is_replaced(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHo"), 0);
    /* Another connection answered proves that the first was accepted too: one queue. */
    assert_hello(get(server.port, GET_CLOSE));
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGTERM), 0);
    pf_test_server_expect(&server, from, "draining");
    assert_int_equal(pf_test_send_text(fd, "st: a\r\n\r\n"), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
    assert_hello(answer);
    assert_non_null(strstr(answer, "Connection: close"));
    close(fd);
    wait_for_new_worker(&server, from);
    pf_test_server_expect(&server, from, "cause=commanded status=0");
    assert_hello(get(server.port, GET_CLOSE));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- stopping -------------------------------------------------------------------- */

static void a_graceful_stop_finishes_the_request_that_was_begun(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGQUIT};
    for (size_t i = 0; i < 2; i++) {
        struct pf_test_server server;
        pf_test_server_start(&server, ARGS("-w", "1"));
        int busy = pf_test_connect(server.port), idle = pf_test_connect(server.port);
        assert_int_equal(pf_test_send_text(busy, "GET / HTTP/1.1\r\nHo"), 0);
        assert_int_equal(pf_test_send_text(idle, GET), 0);
        assert_true(pf_test_read_response(idle, answer, sizeof answer) > 0);
        size_t from = server.text_len;
        assert_int_equal(kill(server.pid, signals[i]), 0);
        pf_test_server_expect(&server, from, "draining");
        assert_int_equal(pf_test_read_all(idle, answer, sizeof answer), 0); /* closed */
        assert_int_equal(pf_test_connect(server.port), -1); /* no new ones */
        assert_int_equal(errno, ECONNREFUSED);
        assert_int_equal(pf_test_send_text(busy, "st: a\r\n\r\n"), 0);
        assert_true(pf_test_read_all(busy, answer, sizeof answer) > 0);
        assert_hello(answer);
        close(busy);
        close(idle);
        assert_int_equal(pf_test_server_wait(&server), 0);
        assert_int_equal(kill(server.workers[0], 0), -1);
    }
}

static void a_graceful_stop_serves_what_stands_in_the_queue(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    assert_int_equal(kill(server.workers[0], SIGSTOP), 0);
    enum {
        QUEUED = 100
    };
    int fds[QUEUED];
    for (int i = 0; i < QUEUED; i++) {
        fds[i] = pf_test_connect(server.port);
        assert_int_equal(pf_test_send_text(fds[i], GET), 0);
    }
    size_t from = server.text_len;
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    pf_test_server_expect(&server, from, "stopping");
    assert_int_equal(kill(server.workers[0], SIGCONT), 0);
    for (int i = 0; i < QUEUED; i++) {
        assert_true(pf_test_read_all(fds[i], answer, sizeof answer) > 0);
        assert_hello(answer);
        close(fds[i]);
    }
    assert_int_equal(pf_test_server_wait(&server), 0);
}

static void open_connections_end_at_the_drain_limit(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--drain-timeout", "200ms"));
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHo"), 0);
    assert_hello(get(server.port, GET_CLOSE));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_non_null(strstr(server.text, "drain-limit"));
    close(fd);
}

static void int_stops_at_once(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHo"), 0);
    assert_int_equal(pf_test_server_stop(&server, SIGINT), 0);
    close(fd);
}

static void asked_again_it_stops_faster(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHo"), 0);
    assert_hello(get(server.port, GET_CLOSE));
    size_t from = server.text_len;
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    pf_test_server_expect(&server, from, "draining");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_non_null(strstr(server.text, "how=at-once"));
    close(fd);
}

static void a_worker_that_does_not_listen_is_killed_at_the_third_request(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    assert_int_equal(kill(server.workers[0], SIGSTOP), 0);
    size_t from = server.text_len;
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    pf_test_server_expect(&server, from, "how=gracefully");
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    pf_test_server_expect(&server, from, "how=at-once");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_non_null(strstr(server.text, "how=by-force"));
}

static void other_signals_are_logged_and_ignored(void **state)
{
    (void)state;
    static const int signals[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH};
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        size_t from = server.text_len;
        assert_int_equal(kill(server.pid, signals[i]), 0);
        pf_test_server_expect(&server, from, "signal-ignored");
        assert_int_equal(kill(server.workers[0], signals[i]), 0);
    }
    assert_hello(get(server.port, GET_CLOSE));
    pid_t children[8];
    assert_int_equal(pf_test_children(server.pid, children, 8), 1);
    assert_int_equal(children[0], server.workers[0]);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void workers_leave_when_their_master_is_killed(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    int busy = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(busy, "GET / HTTP/1.1\r\nHo"), 0);
    assert_hello(get(server.port, GET_CLOSE));
    assert_hello(get(server.port, GET_CLOSE));
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    pf_test_server_expect(&server, 0, "master-gone");
    assert_int_equal(pf_test_send_text(busy, "st: a\r\n\r\n"), 0);
    ssize_t n = pf_test_read_all(busy, answer, sizeof answer);
    if (n > 0) /* accepted before the end: then it is finished */
        assert_hello(answer);
    close(busy);
    assert_int_equal(pf_test_server_wait(&server),
                     128 + SIGKILL); /* all holders are gone */
}

/* ---- under load ------------------------------------------------------------------ */

enum {
    CLIENTS = 32
};

struct client {
    int fd;
    size_t got; /* bytes of the response that is being read */
    char text[1024];
};

static void ask(struct client *client, int port)
{
    if (client->fd == -1)
        client->fd = pf_test_connect(port);
    client->got = 0;
    if (client->fd != -1 && pf_test_send_text(client->fd, GET) != 0) {
        close(client->fd);
        client->fd = -1;
    }
}

/* Is the response whole? */
static bool is_whole(const struct client *client)
{
    const char *end = memmem(client->text, client->got, "\r\n\r\n", 4);
    return end && (size_t)(end - client->text) + 4 + 5 == client->got;
}

/* One round of reading; returns how many responses were cut off. */
static unsigned serve_clients(struct client *clients, int port, unsigned *answered)
{
    struct pollfd wait[CLIENTS];
    unsigned cut = 0;
    for (int i = 0; i < CLIENTS; i++)
        wait[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
    if (poll(wait, CLIENTS, 100) < 0)
        return 0;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        if (client->fd == -1 || !wait[i].revents)
            continue;
        ssize_t n = recv(client->fd, client->text + client->got,
                         sizeof client->text - client->got, 0);
        if (n <= 0) {
            cut += client->got > 0;
            close(client->fd);
            client->fd = -1;
            continue;
        }
        client->got += (size_t)n;
        if (is_whole(client)) {
            ++*answered;
            ask(client, port);
        }
    }
    return cut;
}

/* Each request that was sent before the stop is answered, whole. Clients that have their
 * answer ask no more. */
static void a_graceful_stop_under_load_answers_every_request(void **state)
{
    (void)state;
    static struct client clients[CLIENTS];
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    unsigned answered = 0, cut = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.fd = -1};
        ask(&clients[i], server.port);
    }
    while (answered < 2000)
        cut += serve_clients(clients, server.port, &answered);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(clients[i].fd >= 0);
        while (!is_whole(&clients[i])) {
            struct client *client = &clients[i];
            ssize_t n = recv(client->fd, client->text + client->got,
                             sizeof client->text - client->got, 0);
            assert_true(n > 0);
            client->got += (size_t)n;
        }
        close(clients[i].fd);
    }
    assert_int_equal(cut, 0);
    assert_int_equal(pf_test_server_wait(&server), 0);
}

static void killed_workers_under_load_lose_only_what_they_had_accepted(void **state)
{
    (void)state;
    static struct client clients[CLIENTS];
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    unsigned answered = 0, refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.fd = -1};
        ask(&clients[i], server.port);
    }
    for (int kills = 0; kills < 5; kills++) {
        pid_t children[8];
        while (pf_test_children(server.pid, children, 8) != 2)
            serve_clients(clients, server.port, &answered);
        assert_int_equal(kill(children[kills % 2], SIGKILL), 0);
        for (unsigned until = answered + 300; answered < until;) {
            (void)serve_clients(clients, server.port, &answered);
            for (int i = 0; i < CLIENTS; i++)
                if (clients[i].fd == -1) {
                    ask(&clients[i], server.port);
                    refused += clients[i].fd == -1 && errno == ECONNREFUSED;
                }
        }
    }
    assert_int_equal(refused, 0); /* the queue was there all the time */
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].fd != -1)
            close(clients[i].fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- the command line ------------------------------------------------------------ */

static void a_wrong_command_line_gets_one_line_that_names_it_and_the_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        int status;
        const char *says[3];
    } rows[] = {
        {{"--workers", "0"}, 64, {"--workers", "0", "1 to 1024"}},
        {{"--workers=-1"}, 64, {"--workers", "-1", "1 to 1024"}},
        {{"-w", "x"}, 64, {"--workers", "x", "1 to 1024"}},
        {{"-w", "100000"}, 64, {"--workers", "100000", "1 to 1024"}},
        {{"-w", "2x"}, 64, {"--workers", "2x", "1 to 1024"}},
        {{"-w", ""}, 64, {"--workers", "1 to 1024", ""}},
        {{"-w"}, 64, {"--workers", "needs a value", ""}},
        {{"--bind", "127.0.0.1:99999"}, 64, {"--bind", "127.0.0.1:99999", "port"}},
        {{"--bind", "1.2.3:80"}, 64, {"--bind", "1.2.3:80", ""}},
        {{"--bind", "8080"}, 64, {"--bind", "8080", ":"}},
        {{"--bind", "[::1:80"}, 64, {"--bind", "[::1:80", ""}},
        {{"--bind", "unix:tmp/x"}, 64, {"--bind", "unix:tmp/x", "absolute"}},
        {{"--bind", "192.0.2.1:8099"}, 69, {"--bind", "192.0.2.1:8099", "machine"}},
        {{"--frobnicate"}, 64, {"--frobnicate", "--help", ""}},
        {{"-Z"}, 64, {"-Z", "--help", ""}},
        {{"--pin", "maybe"}, 64, {"--pin", "maybe", "none"}},
        {{"frob"}, 64, {"APP", "frob", "hello"}},
        {{"hello", "-w"}, 64, {"-w", "before", ""}},
        {{"--drain-timeout", "soon"}, 64, {"--drain-timeout", "soon", ""}},
        {{"--hang-soft", "31s"}, 64, {"--hang-soft 31s", "--hang-hard", "lower it"}},
        {{"-d", "--unix-mode", "660"}, 64, {"--unix-mode 660", "unix:/PATH", ""}},
        {{"--preload", "hello"}, 64, {"--preload: hello is no module", "", ""}},
        {{"--ctl", "/nonexistent/x", "-b", "127.0.0.1:0"},
         69,
         {"--ctl", "/nonexistent/x", ""}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *args[5] = {0};
        memcpy(args, rows[i].args, sizeof rows[i].args);
        struct pf_test_server server;
        int status = pf_test_server_run(&server, args);
        if (status != rows[i].status)
            fail_msg("row %zu: status %d, said: %s", i, status, server.text);
        for (int j = 0; j < 3; j++)
            if (!strstr(server.text, rows[i].says[j]))
                fail_msg("row %zu: no \"%s\" in: %s", i, rows[i].says[j], server.text);
        const char *newline = strchr(server.text, '\n');
        assert_non_null(newline);
        if (newline[1])
            fail_msg("row %zu: more than one line: %s", i, server.text);
    }
}

static void help_and_version_are_answered(void **state)
{
    (void)state;
    struct pf_test_server server;
    assert_int_equal(pf_test_server_run(&server, ARGS("--help")), 0);
    assert_non_null(strstr(server.text, "--workers"));
    assert_non_null(strstr(server.text, "echo"));
    assert_int_equal(pf_test_server_run(&server, ARGS("--version")), 0);
    assert_non_null(strstr(server.text, "prefork 0."));
}

static void an_address_in_use_is_refused_and_its_holder_named(void **state)
{
    (void)state;
    struct pf_test_server first, second;
    pf_test_server_start(&first, ARGS("-w", "2"));
    char address[64], holder[64];
    snprintf(address, sizeof address, "127.0.0.1:%d", first.port);
    snprintf(holder, sizeof holder, "pid %d", first.pid);
    assert_int_equal(pf_test_server_run(&second, ARGS("-w", "2", "-b", address)), 69);
    assert_non_null(strstr(second.text, address));
    assert_non_null(strstr(second.text, holder));
    snprintf(address, sizeof address, ":%d",
             first.port); /* all interfaces overlap with it */
    assert_int_equal(pf_test_server_run(&second, ARGS("-b", address)), 69);
    assert_hello(get(first.port, GET_CLOSE));
    assert_int_equal(pf_test_server_stop(&first, SIGTERM), 0);
}

static void a_stranger_on_the_address_is_named_too(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char text[64], holder[64];
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
    snprintf(holder, sizeof holder, "pid %d", getpid());
    struct pf_test_server server;
    assert_int_equal(pf_test_server_run(&server, ARGS("-b", text)), 69);
    assert_non_null(strstr(server.text, holder));
    close(fd);
}

static void the_control_socket_answers_and_goes_with_the_server(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    static const struct {
        const char *request, *expected;
    } rows[] = {{"ping\n", "{\"ok\":true,"}, {"nonsense\r\n", "{\"ok\":false,"}};
    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%.100s", server.control);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(pf_test_send_text(fd, rows[i].request), 0);
        assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
        assert_memory_equal(answer, rows[i].expected, strlen(rows[i].expected));
        close(fd);
    }
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    pf_test_server_expect(&server, 0, "stopping");
    char control[128];
    memcpy(control, server.control, sizeof control);
    assert_int_equal(pf_test_server_wait(&server), 0);
    assert_int_equal(access(control, F_OK), -1);
}

static void a_control_path_that_is_somebodys_file_is_refused_and_kept(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".lock"}; /* the socket's place, the lock's */
    for (int i = 0; i < 2; i++) {
        char directory[] = "/tmp/prefork-test-XXXXXX", file[128], ctl[64], back[16] = "";
        assert_non_null(mkdtemp(directory));
        snprintf(ctl, sizeof ctl, "%s/x", directory);
        snprintf(file, sizeof file, "%s%s", ctl, names[i]);
        int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "precious", 8), 8);
        struct pf_test_server server;
        assert_int_equal(
            pf_test_server_run(&server, ARGS("-w", "1", "-b", "127.0.0.1:0", "--ctl", ctl)),
            69);
        assert_non_null(strstr(server.text, ctl));
        assert_int_equal(pread(fd, back, sizeof back, 0), 8);
        assert_int_equal(access(file, F_OK), 0);
        close(fd);
        unlink(file);
        snprintf(file, sizeof file, "%s.lock", ctl);
        unlink(file);
        assert_int_equal(rmdir(directory), 0);
    }
}

static void addresses_that_overlap_are_told_apart_from_a_stranger(void **state)
{
    (void)state;
    struct pf_test_server first, server;
    pf_test_server_start(&first, ARGS("-w", "1")); /* for a port that is free afterwards */
    char one[32], all[32];
    snprintf(one, sizeof one, "127.0.0.1:%d", first.port);
    snprintf(all, sizeof all, ":%d", first.port);
    assert_int_equal(pf_test_server_stop(&first, SIGTERM), 0);
    assert_int_equal(pf_test_server_run(&server, ARGS("-b", one, "-b", all)), 69);
    assert_non_null(strstr(server.text, "overlaps"));
}

static void a_server_without_standard_descriptors_serves(void **state)
{
    (void)state;
    struct pf_test_server other;
    pf_test_server_start(&other, ARGS("-w", "1"));
    char address[32];
    int port = other.port;
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    assert_int_equal(pf_test_server_stop(&other, SIGTERM), 0);
    char directory[] = "/tmp/prefork-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    const char *build = getenv("BUILD");
    char program[256], ctl[64];
    snprintf(program, sizeof program, "%s/bin/prefork-server",
             build ? build : "build/release");
    snprintf(ctl, sizeof ctl, "%s/ctl", directory);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        execl(program, program, "-w", "2", "-b", address, "--ctl", ctl, (char *)NULL);
        _exit(127);
    }
    int fd = -1;
    for (int i = 0; i < PF_TEST_DEADLINE_S * 10 && fd == -1; i++) {
        fd = pf_test_connect(port);
        if (fd == -1)
            poll(NULL, 0, 100);
    }
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, GET_CLOSE), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
    assert_hello(answer);
    close(fd);
    int status;
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(ctl, sizeof ctl, "%s/ctl.lock", directory);
    unlink(ctl);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_banner_tells_address_workers_control_and_how_to_stop),
        pf_test(each_worker_runs_where_the_banner_says),
        pf_test(a_worker_holds_nothing_of_its_siblings_or_its_master),
        pf_test(a_connection_is_kept_and_pipelined_requests_are_answered_in_order),
        pf_test(echo_sends_back_what_it_gets),
        pf_test(nonsense_gets_the_right_refusal_and_the_server_goes_on),
        pf_test(half_a_request_is_answered_408_at_the_head_timeout),
        pf_test(a_killed_worker_is_replaced_every_time),
        pf_test(connections_queued_when_a_worker_dies_are_served_by_its_successor),
        pf_test(a_worker_told_to_leave_by_a_signal_finishes_and_is_replaced),
        pf_test(a_graceful_stop_finishes_the_request_that_was_begun),
        pf_test(a_graceful_stop_serves_what_stands_in_the_queue),
        pf_test(open_connections_end_at_the_drain_limit),
        pf_test(int_stops_at_once),
        pf_test(asked_again_it_stops_faster),
        pf_test(a_worker_that_does_not_listen_is_killed_at_the_third_request),
        pf_test(other_signals_are_logged_and_ignored),
        pf_test(workers_leave_when_their_master_is_killed),
        pf_test(a_graceful_stop_under_load_answers_every_request),
        pf_test(killed_workers_under_load_lose_only_what_they_had_accepted),
        pf_test(a_wrong_command_line_gets_one_line_that_names_it_and_the_remedy),
        pf_test(help_and_version_are_answered),
        pf_test(an_address_in_use_is_refused_and_its_holder_named),
        pf_test(a_stranger_on_the_address_is_named_too),
        pf_test(the_control_socket_answers_and_goes_with_the_server),
        pf_test(a_control_path_that_is_somebodys_file_is_refused_and_kept),
        pf_test(addresses_that_overlap_are_told_apart_from_a_stranger),
        pf_test(a_server_without_standard_descriptors_serves),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
