/*
 * test_acceptor.c - accepting: real listening sockets, a loop with a clock of its own.
 *
 * accept4 and epoll_ctl are defined here, to count them and to let them fail.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "net/acceptor.h"
#include "net/listener.h"
#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned accepts;
static int accept_error; /* what the next accept_failures calls answer */
static int accept_failures;
static int control_failures; /* so many epoll_ctl() calls answer ENOMEM */

/* __SOCKADDR_ARG: the C library's declaration has a union of pointers here. */
int accept4(int fd, __SOCKADDR_ARG peer, socklen_t *len, int flags)
{
    accepts++;
    if (accept_failures > 0) {
        accept_failures--;
        errno = accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, peer.__sockaddr__, len, flags);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (control_failures > 0) {
        control_failures--;
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

/* ---- the stage ------------------------------------------------------------------- */

#define CLIENTS 150

static pf_loop *loop;
static int64_t now_ns;
static int listener;
static struct pf_address address;
static pf_acceptor *acceptor;

static int clients[CLIENTS];
static int client_count;
static int accepted[CLIENTS];
static int accepted_count;
static struct pf_address last_peer;
static enum pf_accept_mode mode; /* of the next stage; a test that sets it puts it back */
static pf_accept_fn *refuse;
static void (*do_accept)(void);
static unsigned warnings;

static int64_t test_clock(void *arg)
{
    (void)arg;
    return now_ns;
}

static void count_warning(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)line, (void)len, (void)arg;
    warnings += level == PF_LOG_WARN;
}

static void on_accept(pf_acceptor *from, int fd, const struct pf_address *peer, void *arg)
{
    (void)from;
    assert_ptr_equal(arg, &accepted);
    accepted[accepted_count++] = fd;
    last_peer = *peer;
    if (do_accept)
        do_accept();
}

static void open_stage(void)
{
    accepts = 0;
    accept_failures = control_failures = 0;
    client_count = accepted_count = 0;
    do_accept = NULL;
    warnings = 0;
    pf_log_set_sink(count_warning, NULL);
    now_ns = 1000 * PF_SECOND;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = test_clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* it has all its descriptors */
    char why[128];
    assert_int_equal(pf_address_parse("127.0.0.1:0", &address, why, sizeof why), 1);
    const struct pf_listener_options listening = {.backlog = 4096};
    listener = pf_listener_open(&address, &listening, PF_LISTENER_JOINS);
    assert_true(listener >= 0);
    const struct pf_acceptor_options accepting = {
        .mode = mode, .fn = on_accept, .refuse = refuse, .arg = &accepted};
    assert_int_equal(pf_acceptor_new(loop, listener, &accepting, &acceptor), 0);
}

static void close_stage(void)
{
    pf_acceptor_free(acceptor);
    close(listener);
    for (int i = 0; i < client_count; i++)
        close(clients[i]);
    for (int i = 0; i < accepted_count; i++)
        close(accepted[i]);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    pf_log_set_sink(NULL, NULL);
}

static void turn(int times)
{
    while (times-- > 0)
        assert_true(pf_loop_turn(loop, 0) >= 0);
}

/* On 127.0.0.1 a blocking connect() returns when the connection stands in the queue. */
static void connect_clients(int count)
{
    while (count-- > 0) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address.storage, address.len), 0);
        clients[client_count++] = fd;
    }
}

static uint64_t events_so_far(void)
{
    struct pf_loop_stats stats = {.size = sizeof stats};
    assert_int_equal(pf_loop_stats(loop, &stats), 0);
    return stats.events;
}

/* ---- accepting ------------------------------------------------------------------- */

static void connection_is_handed_over_with_its_peer(void **unused)
{
    (void)unused;
    open_stage();
    connect_clients(1);
    turn(1);
    assert_int_equal(accepted_count, 1);
    struct pf_address own = {.len = sizeof own.storage};
    getsockname(clients[0], (struct sockaddr *)&own.storage, &own.len);
    char expected[PF_ADDRESS_TEXT_MAX], told[PF_ADDRESS_TEXT_MAX];
    assert_string_equal(pf_address_format(&last_peer, told),
                        pf_address_format(&own, expected));
    close_stage();
}

static void accepted_socket_needs_no_further_option(void **unused)
{
    (void)unused;
    open_stage();
    connect_clients(1);
    turn(1);
    int fd = accepted[0], nodelay = 0;
    socklen_t len = sizeof nodelay;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
    assert_true(nodelay);
    close_stage();
}

static void crowd_is_taken_in_bursts(void **unused)
{
    (void)unused;
    open_stage();
    connect_clients(CLIENTS);
    int before = 0, turns = 0;
    while (accepted_count < CLIENTS) {
        turn(1);
        assert_in_range(accepted_count - before, 1, PF_ACCEPTOR_BURST);
        before = accepted_count;
        turns++;
    }
    assert_in_range(turns, 3, 12);
    close_stage();
}

static void connections_one_at_a_time_rarely_fetch_an_empty_queue(void **unused)
{
    (void)unused;
    open_stage();
    for (int i = 1; i <= 100; i++) {
        connect_clients(1);
        turn(1);
        assert_int_equal(accepted_count, i);
    }
    assert_in_range(accepts, 100, 160);
    close_stage();
}

static void connection_that_died_in_the_queue_is_skipped(void **unused)
{
    (void)unused;
    static const int weather[] = {ECONNABORTED, EPROTO,       EPERM,       EINTR,
                                  ENETDOWN,     EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT};
    for (size_t i = 0; i < sizeof weather / sizeof weather[0]; i++) {
        open_stage();
        accept_error = weather[i];
        accept_failures = 3;
        connect_clients(2);
        turn(6);
        assert_int_equal(accepted_count, 2);
        assert_int_equal(warnings, 0);
        close_stage();
    }
}

static void failure_that_never_ends_does_not_hold_the_loop(void **unused)
{
    (void)unused;
    open_stage();
    accept_error = EPERM;
    accept_failures = 1000000;
    connect_clients(1);
    turn(10);
    assert_in_range(accepts, 1, 10 * PF_ACCEPTOR_BURST);
    assert_int_equal(pf_acceptor_drain(acceptor, 5), 5);
    close_stage();
}

/* ---- shortage -------------------------------------------------------------------- */

static void shortage_pauses_accepting_and_ends(void **unused)
{
    (void)unused;
    static const int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL};
    for (size_t i = 0; i < sizeof shortages / sizeof shortages[0]; i++) {
        open_stage();
        accept_error = shortages[i];
        accept_failures = 2;
        connect_clients(1);
        turn(1);
        assert_int_equal(accepts, 1);
        now_ns += PF_ACCEPTOR_REST_NS - 1;
        turn(50);
        assert_int_equal(accepts, 1);
        assert_int_equal(events_so_far(), 1);
        now_ns += 1; /* the second failure: it rests again */
        turn(50);
        assert_int_equal(accepts, 2);
        now_ns += PF_ACCEPTOR_REST_NS;
        turn(3);
        assert_int_equal(accepted_count, 1);
        assert_int_equal(warnings, 1);
        close_stage();
    }
}

static void shortage_that_lasts_is_told_now_and_then(void **unused)
{
    (void)unused;
    open_stage();
    accept_error = EMFILE;
    accept_failures = 1000000;
    connect_clients(1);
    for (int64_t t = 0; t < 60 * PF_SECOND; t += PF_ACCEPTOR_REST_NS) {
        turn(3);
        now_ns += PF_ACCEPTOR_REST_NS;
    }
    assert_in_range(accepts, 500, 700);
    assert_in_range(warnings, 2, 8);
    close_stage();
}

static void pause_that_cannot_end_for_want_of_memory_is_tried_again(void **unused)
{
    (void)unused;
    if (pf_backend()->ops == &pf_poller_select)
        return; /* which needs none */
    open_stage();
    accept_error = EMFILE;
    accept_failures = 1;
    connect_clients(1);
    turn(1);
    control_failures = 1;
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(3);
    assert_int_equal(control_failures, 0);
    assert_int_equal(accepted_count, 0);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(3);
    assert_int_equal(accepted_count, 1);
    close_stage();
}

static void use_up_descriptors(void *unused)
{
    (void)unused;
    open_stage();
    connect_clients(2);
    int first_free = dup(0);
    close(first_free);
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)first_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    turn(20);
    assert_int_equal(accepted_count, 0);
    assert_int_equal(events_so_far(), 1);
    assert_int_equal(warnings, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    turn(20);
    assert_int_equal(accepted_count, 0);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5);
    assert_int_equal(accepted_count, 2);
    close_stage();
}

static void process_without_descriptors_rests_and_then_goes_on(void **unused)
{
    (void)unused;
    pf_test_skip_under_valgrind(); /* it emulates RLIMIT_NOFILE */
    pf_test_in_child(use_up_descriptors, NULL);
}

/* ---- ending, draining ------------------------------------------------------------ */

static void free_it(void)
{
    pf_acceptor_free(acceptor);
    acceptor = NULL;
}

static void acceptor_may_be_freed_inside_its_function(void **unused)
{
    (void)unused;
    for (int draining = 0; draining <= 1; draining++) {
        open_stage();
        do_accept = free_it;
        connect_clients(3);
        if (draining)
            assert_int_equal(pf_acceptor_drain(acceptor, 10), 1);
        turn(5);
        assert_int_equal(accepted_count, 1);
        assert_null(acceptor);
        close_stage();
    }
}

static void freed_while_it_rests_it_does_not_come_back(void **unused)
{
    (void)unused;
    open_stage();
    accept_error = EMFILE;
    accept_failures = 1;
    connect_clients(1);
    turn(1);
    free_it();
    now_ns += 2 * PF_ACCEPTOR_REST_NS;
    turn(5);
    assert_int_equal(accepts, 1);
    assert_int_equal(accepted_count, 0);
    close_stage();
}

static void drain_takes_what_stands_in_the_queue(void **unused)
{
    (void)unused;
    open_stage();
    assert_int_equal(pf_acceptor_drain(acceptor, 10), 0);
    connect_clients(100);
    assert_int_equal(pf_acceptor_drain(acceptor, 10), 10);
    assert_int_equal(pf_acceptor_drain(acceptor, 1000), 90);
    assert_int_equal(accepted_count, 100);
    close_stage();
}

static void drain_and_free(void)
{
    do_accept = NULL;
    assert_int_equal(pf_acceptor_drain(acceptor, 1), 1);
    free_it();
}

static void draining_inside_the_function_works(void **unused)
{
    (void)unused;
    open_stage();
    do_accept = drain_and_free;
    connect_clients(5);
    turn(3);
    assert_int_equal(accepted_count, 2);
    close_stage();
}

/* ---- forks ----------------------------------------------------------------------- */

static void child_body(void *unused)
{
    (void)unused;
    assert_int_equal(pf_acceptor_drain(acceptor, 10), -ECHILD);
    assert_int_equal(accepted_count, 0);
    pf_acceptor_free(acceptor);
}

static void child_takes_nothing_from_its_parents_queue(void **unused)
{
    (void)unused;
    open_stage();
    connect_clients(2);
    pf_test_in_child(child_body, NULL);
    pf_test_in_raw_clone(child_body, NULL);
    turn(3);
    assert_int_equal(accepted_count, 2);
    close_stage();
}

static pid_t forked;

static void fork_here(void)
{
    do_accept = NULL;
    fflush(NULL);
    forked = fork();
    assert_true(forked >= 0);
}

static void child_forked_inside_the_function_takes_nothing_either(void **unused)
{
    (void)unused;
    open_stage();
    do_accept = fork_here;
    connect_clients(5);
    int before = pf_acceptor_drain(acceptor, 10);
    if (forked == 0)
        _exit(before == 1 && accepted_count == 1 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(forked, &status, 0), forked);
    assert_int_equal(status, 0);
    assert_int_equal(before, 5);
    close_stage();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(connection_is_handed_over_with_its_peer),
        pf_test(accepted_socket_needs_no_further_option),
        pf_test(crowd_is_taken_in_bursts),
        pf_test(connections_one_at_a_time_rarely_fetch_an_empty_queue),
        pf_test(connection_that_died_in_the_queue_is_skipped),
        pf_test(failure_that_never_ends_does_not_hold_the_loop),
        pf_test(shortage_pauses_accepting_and_ends),
        pf_test(shortage_that_lasts_is_told_now_and_then),
        pf_test(pause_that_cannot_end_for_want_of_memory_is_tried_again),
        pf_test(process_without_descriptors_rests_and_then_goes_on),
        pf_test(acceptor_may_be_freed_inside_its_function),
        pf_test(freed_while_it_rests_it_does_not_come_back),
        pf_test(drain_takes_what_stands_in_the_queue),
        pf_test(draining_inside_the_function_works),
        pf_test(child_takes_nothing_from_its_parents_queue),
        pf_test(child_forked_inside_the_function_takes_nothing_either),
    };
    return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
