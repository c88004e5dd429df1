/*
 * test_notify.c - what a server tells its service manager, who is this test.
 */
#include "tests/lib/server.h"

#include "master/notify.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SERVER    "bin/prefork-server"

/* The manager's end. */
struct manager {
    char directory[64];
    char variable[128]; /* "NOTIFY_SOCKET=..." */
    struct sockaddr_un address;
    socklen_t len;
    int fd;
    char heard[8192];
    size_t heard_len;
    unsigned alive; /* signs of life, which are not kept */
};

static void listen_at(struct manager *manager)
{
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager->fd >= 0);
    assert_int_equal(bind(manager->fd, (struct sockaddr *)&manager->address, manager->len),
                     0);
}

static void manager_up(struct manager *manager)
{
    *manager = (struct manager){.directory = "/tmp/prefork-notify-XXXXXX",
                                .address.sun_family = AF_UNIX,
                                .len = sizeof manager->address};
    assert_non_null(mkdtemp(manager->directory));
    snprintf(manager->address.sun_path, sizeof manager->address.sun_path, "%s/n",
             manager->directory);
    snprintf(manager->variable, sizeof manager->variable, "NOTIFY_SOCKET=%s",
             manager->address.sun_path);
    listen_at(manager);
}

/* Without a file. */
static void manager_up_abstract(struct manager *manager)
{
    *manager = (struct manager){.address.sun_family = AF_UNIX};
    int n = snprintf(manager->address.sun_path + 1, sizeof manager->address.sun_path - 1,
                     "prefork-notify-%d", getpid());
    manager->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    snprintf(manager->variable, sizeof manager->variable, "NOTIFY_SOCKET=@%s",
             manager->address.sun_path + 1);
    listen_at(manager);
}

static void manager_down(struct manager *manager)
{
    close(manager->fd);
    if (!manager->directory[0])
        return;
    assert_int_equal(unlink(manager->address.sun_path), 0);
    assert_int_equal(rmdir(manager->directory), 0);
}

/* One datagram, with a newline behind it; false if none comes in time. */
static bool hear(struct manager *manager, int wait_ms)
{
    struct pollfd wait = {.fd = manager->fd, .events = POLLIN};
    if (poll(&wait, 1, wait_ms) != 1)
        return false;
    char text[PF__NOTIFY_MAX];
    ssize_t n = recv(manager->fd, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    if (strcmp(text, "WATCHDOG=1") == 0) {
        manager->alive++;
        return true;
    }
    int put = snprintf(manager->heard + manager->heard_len,
                       sizeof manager->heard - manager->heard_len, "%s\n", text);
    manager->heard_len += (size_t)put;
    assert_true(manager->heard_len < sizeof manager->heard);
    return true;
}

static void expect(struct manager *manager, const char *line)
{
    while (!strstr(manager->heard, line))
        if (!hear(manager, PF_TEST_DEADLINE_S * 1000))
            fail_msg("\"%s\" was not told, but: %s", line, manager->heard);
}

static void start(struct pf_test_server *server, const struct manager *manager)
{
    pf_test_program_spawn(server, ARGS("env", manager->variable), SERVER,
                          ARGS("-w", "2", "-b", "127.0.0.1:0"));
}

static void the_manager_is_told_when_it_is_ready_and_when_it_stops(void **state)
{
    (void)state;
    static struct pf_test_server server;
    static struct manager manager;
    char line[64];
    for (int abstract = 0; abstract < 2; abstract++) {
        (abstract ? manager_up_abstract : manager_up)(&manager);
        start(&server, &manager);
        expect(&manager, "READY=1\n");
        snprintf(line, sizeof line, "\nMAINPID=%d\n", server.pid);
        expect(&manager, line);
        expect(&manager, "\nSTATUS=2 of 2 workers accept\n");
        assert_null(strstr(manager.heard, "STOPPING=1"));
        pf_test_server_read_banner(&server);
        assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
        expect(&manager, "STOPPING=1\n");
        assert_int_equal(manager.alive, 0);
        manager_down(&manager);
    }
}

/* Its queue is full when the server is ready. */
static void a_manager_that_is_busy_is_told_later(void **state)
{
    (void)state;
    static struct pf_test_server server;
    static struct manager manager;
    manager_up(&manager);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ssize_t n;
    do
        n = sendto(fd, "x", 1, 0, (struct sockaddr *)&manager.address, manager.len);
    while (n == 1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
    start(&server, &manager);
    pf_test_server_read_banner(&server);
    int http = pf_test_connect(server.port);
    char answer[512];
    assert_int_equal(pf_test_send_text(http, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    assert_true(pf_test_read_response(http, answer, sizeof answer) > 0);
    close(http);
    expect(&manager, "READY=1\n"); /* behind what stood there */
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    manager_down(&manager);
}

/* With WATCHDOG_PID as the shell writes it. */
static void start_watched(struct pf_test_server *server, const struct manager *manager,
                          const char *pid)
{
    char script[256];
    snprintf(script, sizeof script,
             "export %s WATCHDOG_USEC=20000 WATCHDOG_PID=%s; exec \"$@\"",
             manager->variable, pid);
    pf_test_program_spawn(server, ARGS("sh", "-c", script, "sh"), SERVER,
                          ARGS("-w", "1", "-b", "127.0.0.1:0"));
}

static void signs_of_life_are_sent_if_they_are_wanted_of_this_process(void **state)
{
    (void)state;
    static struct pf_test_server server;
    static struct manager manager;
    manager_up(&manager);
    start_watched(&server, &manager, "$$");
    while (manager.alive < 5)
        if (!hear(&manager, PF_TEST_DEADLINE_S * 1000))
            fail_msg("only %u signs of life", manager.alive);
    expect(&manager, "READY=1\n");
    pf_test_server_read_banner(&server);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    manager_down(&manager);

    manager_up(&manager);
    start_watched(&server, &manager, "1");
    pf_test_server_read_banner(&server);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    expect(&manager, "STOPPING=1\n");
    while (hear(&manager, 0))
        ;
    assert_int_equal(manager.alive, 0);
    manager_down(&manager);
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

static void a_manager_that_is_not_there_is_warned_of_once(void **state)
{
    (void)state;
    static struct pf_test_server server;
    static const char *const names[] = {"/tmp/prefork-none-such/n", "@prefork-none-such",
                                        "vsock:2:1234", "relative", "@"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static struct manager manager;
        snprintf(manager.variable, sizeof manager.variable, "NOTIFY_SOCKET=%s", names[i]);
        start_watched(&server, &manager, "$$");
        pf_test_server_read_banner(&server);
        assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
        assert_int_equal(count_of(server.text, "manager-not-notified"), 1);
        assert_int_equal(count_of(server.text, names[i]), 1);
    }
}

/* A worker that could speak would speak for the master. */
static void a_child_forgets_it(void *arg)
{
    struct manager *manager = arg;
    pf_loop *loop;
    struct pf__notify notify;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    setenv("NOTIFY_SOCKET", manager->address.sun_path, 1);
    setenv("WATCHDOG_USEC", "3600000000", 1);
    pf__notify_open(&notify, loop);
    assert_true(notify.fd >= 0);
    assert_int_equal(notify.alive_ns, 1800 * PF_SECOND);
    pf__notify_let_go(&notify);
    pf__notify_state(&notify, "READY=1"); /* nobody hears it */
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static void a_worker_cannot_speak_for_its_master(void **state)
{
    (void)state;
    static struct manager manager;
    manager_up(&manager);
    pf_test_in_child(a_child_forgets_it, &manager);
    assert_false(hear(&manager, 0));
    manager_down(&manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_manager_is_told_when_it_is_ready_and_when_it_stops),
        pf_test(a_manager_that_is_busy_is_told_later),
        pf_test(signs_of_life_are_sent_if_they_are_wanted_of_this_process),
        pf_test(a_manager_that_is_not_there_is_warned_of_once),
        pf_test(a_worker_cannot_speak_for_its_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
