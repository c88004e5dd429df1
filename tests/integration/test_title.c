/*
 * test_title.c - what ps(1) shows of a server's processes.
 */
#include "tests/lib/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The first word of what /proc says, which is all of a title. */
static const char *title_of(pid_t pid)
{
    static char text[4096];
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void expect_title(pid_t pid, const char *title)
{
    const struct timespec step = {.tv_nsec = 1000000};
    for (int i = 0; i < PF_TEST_DEADLINE_S * 1000; i++) {
        if (strcmp(title_of(pid), title) == 0)
            return;
        struct pollfd none = {.fd = -1};
        (void)ppoll(&none, 1, &step, NULL);
    }
    fail_msg("the title is \"%s\", not \"%s\"", title_of(pid), title);
}

static const char *name_of(pid_t pid)
{
    static char text[64];
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void each_process_shows_what_it_is_and_what_it_does(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    static struct pf_test_server server;
    char title[128];
    pf_test_server_start(&server, ARGS("--workers", "2"));
    snprintf(title, sizeof title, "prefork-server: master 127.0.0.1:%d", server.port);
    expect_title(server.pid, title);
    expect_title(server.workers[0], "prefork-server: worker 0 accepting");
    expect_title(server.workers[1], "prefork-server: worker 1 accepting");
    assert_string_equal(name_of(server.pid), "prefork-server\n");
    assert_string_equal(name_of(server.workers[1]), "prefork-server\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_draining_worker_says_so(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    static struct pf_test_server server;
    pf_test_program_start(&server, "tests/apps/greeter",
                          ARGS("--workers", "1", "--bind", "127.0.0.1:0"));
    expect_title(server.workers[0], "greeter: worker 0 accepting");
    int fd = pf_test_connect(server.port);
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1); /* accepted */
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    expect_title(server.workers[0], "greeter: worker 0 draining");
    close(fd);
    assert_int_equal(pf_test_server_wait(&server), 0);
}

/* It goes on where the environment was, which still says where the control socket is. */
static void a_title_that_is_longer_than_the_arguments_is_whole(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    static struct pf_test_server server;
    pf_test_program_start(&server, "bin/prefork-server",
                          ARGS("-w1", "-b127.0.0.1:0", "-b:0", "-b:0", "-b:0", "-b:0"));
    const char *on = strstr(server.text, "http://127.0.0.1:");
    char title[1024] = "prefork-server: master";
    for (; on && strncmp(on, "http://", 7) == 0; on = strchr(on + 7, 'h')) {
        size_t len = strlen(title), word = strcspn(on + 7, ",\n");
        assert_true(len + word + 2 < sizeof title);
        snprintf(title + len, word + 2, " %s", on + 7);
        if (on[7 + word] == '\n')
            break;
    }
    expect_title(server.pid, title);
    assert_memory_equal(server.control, server.directory, strlen(server.directory));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(each_process_shows_what_it_is_and_what_it_does),
        pf_test(a_draining_worker_says_so),
        pf_test(a_title_that_is_longer_than_the_arguments_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
