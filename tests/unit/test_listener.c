#include "tests/lib/test.h"

#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct pf_listener_options options = {.backlog = 16};

static int open_one(struct pf_address *address, enum pf_listener_role role)
{
    return pf_listener_open(address, &options, role);
}

/* What the first socket of a group meets: 0 if nobody listens there. */
static int probe(const struct pf_address *address)
{
    struct pf_address copy = *address;
    int fd = open_one(&copy, PF_LISTENER_FIRST);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static struct pf_address address_of(const char *text)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[160];
    assert_in_range(pf_address_parse(text, found, why, sizeof why), 1, PF_ADDRESSES_MAX);
    return found[0];
}

static int get(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

/* Not every machine has IPv6. */
static bool has_ipv6(void)
{
    struct pf_address address = address_of("[::1]:0");
    return probe(&address) == 0;
}

/* ---- opening --------------------------------------------------------------------- */

static void listener_has_the_options_that_connections_inherit(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    assert_true(pf_address_port(&address) > 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void lanes_of_one_address_share_its_port(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fds[4];
    fds[0] = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fds[0] >= 0);
    unsigned port = pf_address_port(&address);
    for (int i = 1; i < 4; i++) {
        fds[i] = open_one(&address, PF_LISTENER_JOINS);
        assert_true(fds[i] >= 0);
        assert_int_equal(pf_address_port(&address), port);
    }
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

static void both_families_may_have_every_interface(void **unused)
{
    (void)unused;
    if (!has_ipv6())
        skip();
    struct pf_address four = address_of("0.0.0.0:0"), six = address_of("[::]:0");
    int fd6 = open_one(&six, PF_LISTENER_JOINS);
    assert_true(fd6 >= 0);
    assert_int_equal(get(fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    pf_address_set_port(&four, pf_address_port(&six));
    int fd4 = open_one(&four, PF_LISTENER_JOINS);
    if (fd4 != -EADDRINUSE) /* somebody else's IPv4 socket may have the port */
        assert_true(fd4 >= 0);
    close(fd6);
    if (fd4 >= 0)
        close(fd4);
}

static void opening_that_fails_says_why_and_leaves_nothing(void **unused)
{
    (void)unused;
    struct pf_address far = address_of("192.0.2.1:0"); /* RFC 5737: nobody's */
    struct pf_address before = far;
    assert_int_equal(open_one(&far, PF_LISTENER_JOINS), -EADDRNOTAVAIL);
    assert_memory_equal(&far, &before, sizeof far);
    assert_int_equal(probe(&far), -EADDRNOTAVAIL);
    struct pf_address none = {0};
    assert_true(open_one(&none, PF_LISTENER_JOINS) < 0);
    assert_true(probe(&none) < 0);
}

/* ---- probing --------------------------------------------------------------------- */

static void probe_sees_a_listener_that_reuseport_would_join(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    assert_int_equal(probe(&address), 0);
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    assert_int_equal(probe(&address), -EADDRINUSE);
    struct pf_address any = address_of("0.0.0.0:0");
    pf_address_set_port(&any, pf_address_port(&address));
    assert_int_equal(probe(&any), -EADDRINUSE);
    close(fd);
    assert_int_equal(probe(&address), 0);
}

/* A server is started again while connections of its predecessor linger on the port. */
static void probe_is_not_disturbed_by_old_connections(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int listener = open_one(&address, PF_LISTENER_JOINS);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address.storage, address.len), 0);
    int server;
    do
        server = accept(listener, NULL, NULL);
    while (server < 0 && errno == EAGAIN);
    assert_true(server >= 0);
    close(server); /* closes first: TIME_WAIT will be on its side */
    close(client);
    close(listener);
    assert_int_equal(probe(&address), 0);
    listener = open_one(&address, PF_LISTENER_JOINS);
    assert_true(listener >= 0);
    close(listener);
}

/* ---- holders --------------------------------------------------------------------- */

static void assert_held_by(const struct pf_address *address, pid_t pid)
{
    char text[128], expected[32];
    assert_int_equal(pf_listener_holder(address, text, sizeof text), 0);
    snprintf(expected, sizeof expected, " (pid %d)", (int)pid);
    assert_true(strlen(text) > strlen(expected));
    assert_string_equal(text + strlen(text) - strlen(expected), expected);
}

static void holder_of_a_listener_is_named(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i][0] == '[' && !has_ipv6())
            continue;
        struct pf_address address = address_of(texts[i]);
        int fd = open_one(&address, PF_LISTENER_JOINS);
        assert_true(fd >= 0);
        assert_held_by(&address, getpid());
        close(fd);
    }
}

static void holder_of_an_overlapping_address_is_named(void **unused)
{
    (void)unused;
    struct pf_address one = address_of("127.0.0.1:0"), any = address_of("0.0.0.0:0");
    int fd = open_one(&one, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    pf_address_set_port(&any, pf_address_port(&one));
    assert_held_by(&any, getpid());
    close(fd);

    any = address_of("0.0.0.0:0");
    fd = open_one(&any, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    pf_address_set_port(&one, pf_address_port(&any));
    assert_held_by(&one, getpid());
    struct pf_address sibling = address_of("127.0.0.2:0");
    pf_address_set_port(&sibling, pf_address_port(&any));
    assert_held_by(&sibling, getpid());
    close(fd);
}

static void dual_stack_holder_of_an_ipv4_port_is_named(void **unused)
{
    (void)unused;
    if (!has_ipv6())
        skip();
    struct pf_address six = address_of("[::]:0"), four = address_of("127.0.0.1:0");
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&six.storage, six.len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&six.storage, &six.len), 0);
    pf_address_set_port(&four, pf_address_port(&six));
    assert_int_equal(probe(&four), -EADDRINUSE);
    assert_held_by(&four, getpid());
    close(fd);
}

static void nobody_holds_a_port_without_listener(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    char text[128] = "untouched";
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    struct pf_address sibling = address_of("127.0.0.2:0");
    pf_address_set_port(&sibling, pf_address_port(&address));
    assert_int_equal(pf_listener_holder(&sibling, text, sizeof text), -ENOENT);
    close(fd);
    assert_int_equal(pf_listener_holder(&address, text, sizeof text), -ENOENT);
    assert_string_equal(text, "untouched");
}

/* A master with two workers, in a process of its own; told through pipes, so that nothing
 * depends on time. `ready` is written to when the workers exist, `hold` read until its end.
 */
static pid_t start_family(struct pf_address *address, const char *name, int hold[2])
{
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    int fd = open_one(address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    fflush(NULL);
    pid_t master = fork();
    assert_true(master >= 0);
    if (master == 0) {
        char c;
        close(hold[1]);
        (void)prctl(PR_SET_NAME, name);
        for (int i = 0; i < 2; i++) {
            if (fork() == 0) {
                (void)!read(hold[0], &c, 1);
                _exit(0);
            }
        }
        (void)!write(ready[1], "r", 1);
        while (wait(NULL) > 0)
            ;
        _exit(0);
    }
    char c;
    close(fd);
    close(hold[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return master;
}

static void end_family(pid_t master, int hold[2])
{
    close(hold[1]);
    int status;
    assert_int_equal(waitpid(master, &status, 0), master);
    assert_int_equal(status, 0);
}

static void master_is_named_not_one_of_its_workers(void **unused)
{
    (void)unused;
    static const char *const names[] = {"master", "m) S 1 (x", "a\nb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct pf_address address = address_of("127.0.0.1:0");
        int hold[2];
        pid_t master = start_family(&address, names[i], hold);
        assert_held_by(&address, master);
        char text[128];
        assert_int_equal(pf_listener_holder(&address, text, sizeof text), 0);
        assert_null(strchr(text, '\n'));
        end_family(master, hold);
    }
}

static void name_is_cut_to_the_room_there_is(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    char text[8];
    memset(text, '!', sizeof text);
    assert_int_equal(pf_listener_holder(&address, text, 5), 0);
    assert_int_equal(strlen(text), 4);
    assert_int_equal(text[5], '!');
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(listener_has_the_options_that_connections_inherit),
        pf_test(lanes_of_one_address_share_its_port),
        pf_test(both_families_may_have_every_interface),
        pf_test(opening_that_fails_says_why_and_leaves_nothing),
        pf_test(probe_sees_a_listener_that_reuseport_would_join),
        pf_test(probe_is_not_disturbed_by_old_connections),
        pf_test(holder_of_a_listener_is_named),
        pf_test(holder_of_an_overlapping_address_is_named),
        pf_test(dual_stack_holder_of_an_ipv4_port_is_named),
        pf_test(nobody_holds_a_port_without_listener),
        pf_test(master_is_named_not_one_of_its_workers),
        pf_test(name_is_cut_to_the_room_there_is),
    };
    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
