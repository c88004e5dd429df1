/*
 * test_inherited.c - listening sockets that a service manager hands over:
 * tests/apps/launcher.
 */
#include "tests/lib/server.h"

#include "master/inherited.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SERVER    "bin/prefork-server"
#define GET       "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

static const char *launcher(void)
{
    static char path[256];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/tests/apps/launcher", build ? build : "build/release");
    return path;
}

/* An abstract address that is this process's alone. */
static const char *own_name(void)
{
    static char name[64];
    snprintf(name, sizeof name, "unix:@prefork-inherited-%d", getpid());
    return name;
}

static void assert_serves(int fd)
{
    char answer[512];
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, GET), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    close(fd);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

struct place {
    char directory[64], path[80], address[96];
};

static void place_up(struct place *place)
{
    snprintf(place->directory, sizeof place->directory, "/tmp/prefork-inherit-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/s", place->directory);
    snprintf(place->address, sizeof place->address, "unix:%s", place->path);
}

static void place_down(const struct place *place)
{
    assert_int_equal(unlink(place->path), 0); /* it was not the server's to remove */
    assert_int_equal(rmdir(place->directory), 0);
}

static void without_an_address_all_that_was_handed_over_is_served(void **state)
{
    (void)state;
    static struct pf_test_server server;
    struct place place;
    place_up(&place);
    pf_test_program_spawn(&server, ARGS(launcher(), "127.0.0.1:0", place.address, "--"),
                          SERVER, ARGS("-w", "2"));
    pf_test_server_read_banner(&server);
    assert_non_null(strstr(server.text, "socket-inherited fd=3 name=web address=127.0"));
    assert_non_null(strstr(server.text, "socket-inherited fd=4 name=other address=unix:"));
    assert_null(strstr(server.text, ":8888"));
    for (int i = 0; i < 10; i++) {
        assert_serves(pf_test_connect(server.port));
        assert_serves(connect_unix(place.path));
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    place_down(&place);
}

static void with_addresses_those_that_match_are_taken_and_others_closed(void **state)
{
    (void)state;
    static struct pf_test_server server;
    struct place place;
    place_up(&place);
    pf_test_program_spawn(&server, ARGS(launcher(), own_name(), place.address, "--"),
                          SERVER,
                          ARGS("-w", "2", "-b", "127.0.0.1:0", "-b", place.address));
    pf_test_server_read_banner(&server);
    assert_non_null(strstr(server.text, "socket-not-wanted fd=3"));
    assert_null(strstr(server.text, "socket-not-wanted fd=4"));
    assert_serves(pf_test_connect(server.port));
    assert_serves(connect_unix(place.path));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    place_down(&place);
}

/* As managers make them: one socket for :PORT, which two of ours would be. */
static void one_socket_for_both_families_stands_for_two_addresses(void **state)
{
    (void)state;
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    bool has_ipv6 = probe >= 0 && bind(probe, (struct sockaddr *)&any, sizeof any) == 0;
    if (probe >= 0)
        close(probe);
    if (!has_ipv6)
        skip();
    static const char *const ways[] = {"-b :$PORT", "-b 0.0.0.0:$PORT",
                                       "-b 0.0.0.0:$PORT -b [::]:$PORT",
                                       "-b [::]:$PORT -b 0.0.0.0:$PORT"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        static struct pf_test_server server;
        char script[128];
        snprintf(script, sizeof script, "exec \"$0\" -w 2 -b 127.0.0.1:0 %s", ways[i]);
        pf_test_program_spawn(&server,
                              ARGS(launcher(), "dual:0", "--", "/bin/sh", "-c", script),
                              SERVER, ARGS("hello"));
        pf_test_server_expect(&server, 0, "  stop ");
        const char *at = strstr(server.text, "address=[::]:");
        assert_non_null(at);
        assert_serves(pf_test_connect((int)strtol(at + 13, NULL, 10)));
        assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    }
}

static void what_is_for_another_process_is_left_alone(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS(launcher(), "LISTEN_PID=1", own_name(), "--"),
                          SERVER, ARGS("-w", "1", "-b", "127.0.0.1:0"));
    pf_test_server_read_banner(&server);
    assert_non_null(
        strstr(server.text, "sockets-not-for-us LISTEN_FDS=1 LISTEN_PID=1 left-alone"));
    assert_null(strstr(server.text, "socket-inherited"));
    assert_serves(pf_test_connect(server.port));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void what_is_no_listener_is_told_and_the_rest_served(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS(launcher(), "pipe", "127.0.0.1:0", "--"), SERVER,
                          ARGS("-w", "1"));
    pf_test_server_read_banner(&server);
    assert_non_null(strstr(server.text, "socket-not-usable fd=3 name=web"));
    assert_serves(pf_test_connect(server.port));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void datagrams_come_in_by_a_socket_that_was_handed_over(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS(launcher(), "udp:127.0.0.1:0", "--"),
                          "tests/apps/datagram", ARGS("-w", "2"));
    pf_test_server_read_banner(&server);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = PF_TEST_DEADLINE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)server.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 20; i++) {
        char answer[16];
        assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&to, sizeof to), 4);
        assert_int_equal(recv(fd, answer, sizeof answer, 0), 4);
    }
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void an_application_that_cannot_take_it_is_told(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS(launcher(), "udp:127.0.0.1:0", "--"), SERVER,
                          ARGS("-w", "1"));
    assert_int_equal(pf_test_server_wait(&server), 64);
    assert_non_null(strstr(server.text, "LISTEN_FDS, udp:127.0.0.1:"));
    assert_non_null(strstr(server.text, "takes no datagrams"));
}

/* The queue is the socket's: a worker that dies leaves it to the others. */
static void a_killed_workers_successor_serves_it_too(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS(launcher(), "127.0.0.1:0", "--"), SERVER,
                          ARGS("-w", "1"));
    pf_test_server_read_banner(&server);
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    for (int i = 0; i < 10; i++)
        assert_serves(pf_test_connect(server.port));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void forget_the_variables(void *arg)
{
    (void)arg;
    static const char *const counts[] = {"0", "x", "65", "-1", ""};
    const struct pf_listener_options options = {.backlog = 1};
    struct pf__inherited inherited;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        setenv("LISTEN_FDS", counts[i], 1);
        setenv("LISTEN_PID", i == 2 ? "1" : pid, 1);
        setenv("LISTEN_FDNAMES", "a:b", 1);
        pf__inherited_take(&inherited, &options);
        assert_int_equal(inherited.count, 0);
        assert_null(getenv("LISTEN_FDS"));
        assert_null(getenv("LISTEN_PID"));
        assert_null(getenv("LISTEN_FDNAMES"));
    }
}

static void nobody_who_comes_later_believes_that_they_are_for_him(void **state)
{
    (void)state;
    pf_test_in_child(forget_the_variables, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(without_an_address_all_that_was_handed_over_is_served),
        pf_test(with_addresses_those_that_match_are_taken_and_others_closed),
        pf_test(one_socket_for_both_families_stands_for_two_addresses),
        pf_test(what_is_for_another_process_is_left_alone),
        pf_test(what_is_no_listener_is_told_and_the_rest_served),
        pf_test(datagrams_come_in_by_a_socket_that_was_handed_over),
        pf_test(an_application_that_cannot_take_it_is_told),
        pf_test(a_killed_workers_successor_serves_it_too),
        pf_test(nobody_who_comes_later_believes_that_they_are_for_him),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
