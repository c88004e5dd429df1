#include "tests/lib/test.h"

#include <prefork/worker.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_un name;
static int listener;

/* The kernel picks an abstract name: unix(7), autobind. */
static socklen_t open_listener(void)
{
    socklen_t len = sizeof name;
    name = (struct sockaddr_un){.sun_family = AF_UNIX};
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    return len;
}

static void peer_of_a_unix_socket_is_the_process_that_connected(void **unused)
{
    (void)unused;
    socklen_t len = open_listener();
    int hold[2], status;
    assert_int_equal(pipe(hold), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        close(hold[1]);
        if (connect(fd, (struct sockaddr *)&name, len) != 0)
            _exit(1);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    struct pf_credentials peer = {0};
    assert_int_equal(pf_peer_credentials(fd, &peer), 0);
    assert_int_equal(peer.pid, child);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.gid, getegid());
    close(hold[0]);
    close(hold[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    peer.pid = 0; /* it is told of one that has gone, too */
    assert_int_equal(pf_peer_credentials(fd, &peer), 0);
    assert_int_equal(peer.pid, child);
    close(fd);
    close(listener);
}

static void other_descriptors_have_no_credentials(void **unused)
{
    (void)unused;
    struct pf_credentials peer = {.pid = 7, .uid = 8, .gid = 9};
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ends[2];
    int alone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pf_peer_credentials(tcp, &peer), -ENOTSUP);
    assert_int_equal(pf_peer_credentials(alone, &peer), -ENOTSUP);
    assert_int_equal(pf_peer_credentials(ends[0], &peer), -ENOTSUP);
    assert_int_equal(pf_peer_credentials(-1, &peer), -EBADF);
    assert_true(peer.pid == 7 && peer.uid == 8 && peer.gid == 9);
    close(tcp);
    close(alone);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(peer_of_a_unix_socket_is_the_process_that_connected),
        pf_test(other_descriptors_have_no_credentials),
    };
    return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
