/* test_listeners.c - an address that somebody has who is about to let it go.
 *
 * The pauses between two tries are wrapped when the test is linked: no time passes, and the
 * address is let go in the one that the test says.
 */
#include "tests/lib/test.h"

#include "master/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int held = -1;      /* who has the address */
static unsigned pauses;    /* so far */
static unsigned let_go_in; /* 0: in none */

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time, (void)left;
    if (++pauses == let_go_in)
        close(held);
    return 0;
}

static void take(pf_lane *lane, int fd, const struct sockaddr *peer, socklen_t len,
                 void *arg)
{
    (void)lane, (void)fd, (void)peer, (void)len, (void)arg;
}

/* Bound, and does not listen: no table of listeners has it. */
static void hold(char *text, size_t len)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_len = sizeof address;
    held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(held >= 0);
    assert_int_equal(bind(held, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(held, (struct sockaddr *)&address, &address_len), 0);
    snprintf(text, len, "127.0.0.1:%d", ntohs(address.sin_port));
}

/* A server is to listen on what `held` has and lets go in that pause. */
static int open_there(const char *text, unsigned pause)
{
    char error[256] = "";
    const char *const binds[] = {text};
    const struct pf_service service = {
        .size = sizeof service, .name = "test", .on_connection = take};
    struct pf_master_options options = PF_MASTER_OPTIONS_INIT;
    static struct pf__listeners listeners; /* large */
    options.service = &service;
    options.binds = binds;
    options.bind_count = 1;
    options.backlog = 1;
    options.error = error;
    options.error_len = sizeof error;
    pauses = 0;
    let_go_in = pause;
    int status = pf__listeners_open(&listeners, 2, &options);
    if (status == PF_EXIT_OK)
        pf__listeners_fini(&listeners);
    else
        assert_non_null(strstr(error, "in use by another server"));
    return status;
}

static int open_where(unsigned pause)
{
    char text[32];
    hold(text, sizeof text);
    return open_there(text, pause);
}

/* As between the try to bind and the look who has it. */
static void what_nobody_is_seen_to_hold_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(open_where(1), PF_EXIT_OK);
    assert_int_equal(pauses, 1);
    assert_int_equal(open_where(3), PF_EXIT_OK);
    assert_int_equal(pauses, 3);
}

static void who_does_not_let_go_is_not_waited_for_any_longer(void **state)
{
    (void)state;
    assert_int_equal(open_where(0), PF_EXIT_UNAVAILABLE);
    assert_true(pauses > 1);
    close(held);
}

/* ---- unix sockets ---------------------------------------------------------------- */

static char directory[32], path[64], text_of_path[80];

/* The process that listens is the maker, who has it besides us if it lives. */
static void listen_on_path(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
}

static void hold_path(bool maker_lives)
{
    snprintf(directory, sizeof directory, "/tmp/prefork-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    snprintf(text_of_path, sizeof text_of_path, "unix:%s", path);
    held = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(held >= 0);
    if (maker_lives) {
        listen_on_path(held);
        return;
    }
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        listen_on_path(held);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void leave_path(void)
{
    char lock[80];
    snprintf(lock, sizeof lock, "%s.lock", path);
    (void)unlink(path); /* a server that ends removes it */
    (void)unlink(lock);
    assert_int_equal(rmdir(directory), 0);
}

static void a_unix_socket_whose_maker_is_gone_is_waited_for(void **state)
{
    (void)state;
    hold_path(false);
    assert_int_equal(open_there(text_of_path, 2), PF_EXIT_OK);
    assert_int_equal(pauses, 2);
    leave_path();
}

static void a_unix_socket_whose_maker_has_it_is_refused_at_once(void **state)
{
    (void)state;
    hold_path(true);
    assert_int_equal(open_there(text_of_path, 1), PF_EXIT_UNAVAILABLE);
    assert_int_equal(pauses, 0);
    close(held);
    leave_path();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(what_nobody_is_seen_to_hold_is_tried_again),
        pf_test(who_does_not_let_go_is_not_waited_for_any_longer),
        pf_test(a_unix_socket_whose_maker_is_gone_is_waited_for),
        pf_test(a_unix_socket_whose_maker_has_it_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
