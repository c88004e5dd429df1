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
static int control_failures;    /* so many epoll_ctl() calls answer ENOMEM */
static unsigned exclusive_adds; /* epoll_ctl() calls that ask to be woken exclusively */

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
    exclusive_adds += op == EPOLL_CTL_ADD && (event->events & EPOLLEXCLUSIVE) != 0;
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
static int refused_count;
static void (*do_accept)(void);
static void (*do_refuse)(void);
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

/* "No" is all that it says. */
static void refuse_client(pf_acceptor *from, int fd, const struct pf_address *peer,
                          void *arg)
{
    (void)from;
    assert_ptr_equal(arg, &accepted);
    assert_true(pf_address_port(peer) > 0);
    refused_count++;
    assert_int_equal(send(fd, "no", 2, MSG_NOSIGNAL), 2);
    close(fd);
    if (do_refuse)
        do_refuse();
}

static void open_stage(void)
{
    accepts = 0;
    accept_failures = control_failures = 0;
    client_count = accepted_count = refused_count = 0;
    exclusive_adds = 0;
    do_accept = do_refuse = NULL;
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

/* ---- shared sockets -------------------------------------------------------------- */

static void open_stage_in(enum pf_accept_mode wanted)
{
    mode = wanted;
    open_stage();
    mode = PF_ACCEPT_OWN;
}

static void from_a_shared_socket_comes_one_connection_a_wake(void **unused)
{
    (void)unused;
    for (int i = PF_ACCEPT_SHARED; i <= PF_ACCEPT_EXCLUSIVE; i++) {
        open_stage_in((enum pf_accept_mode)i);
        connect_clients(40);
        for (int taken = 1; taken <= 40; taken++) {
            turn(1);
            assert_int_equal(accepted_count, taken);
        }
        turn(3);
        assert_int_equal(accepts, 40);
        assert_int_equal(events_so_far(), 40);
        close_stage();
    }
}

static void exclusive_acceptor_queues_anew_after_every_sixteen(void **unused)
{
    (void)unused;
    open_stage_in(PF_ACCEPT_EXCLUSIVE);
    bool is_epoll = pf_backend()->ops == &pf_poller_epoll;
    assert_int_equal(exclusive_adds, is_epoll ? 1 : 0);
    connect_clients(50);
    turn(50);
    assert_int_equal(accepted_count, 50);
    assert_int_equal(exclusive_adds, is_epoll ? 1 + 50 / PF_ACCEPTOR_READD : 0);
    close_stage();
    open_stage_in(PF_ACCEPT_SHARED);
    connect_clients(20);
    turn(20);
    assert_int_equal(exclusive_adds, 0);
    close_stage();
}

static void queueing_anew_without_memory_is_made_up_for(void **unused)
{
    (void)unused;
    if (pf_backend()->ops != &pf_poller_epoll)
        return;
    open_stage_in(PF_ACCEPT_EXCLUSIVE);
    connect_clients(PF_ACCEPTOR_READD + 1);
    turn(PF_ACCEPTOR_READD - 1);
    control_failures = 2; /* the removal is another's, whose failure nobody looks at */
    turn(5);
    assert_int_equal(control_failures, 0);
    assert_int_equal(accepted_count, PF_ACCEPTOR_READD);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5);
    assert_int_equal(accepted_count, PF_ACCEPTOR_READD + 1);
    close_stage();
}

/* Several loops of this thread, one socket: as several workers are. */
static void exclusive_acceptors_all_get_some(void **unused)
{
    (void)unused;
    enum {
        LOOPS = 3
    };
    pf_loop *loops[LOOPS];
    pf_acceptor *acceptors[LOOPS];
    int got[LOOPS] = {0};
    open_stage_in(PF_ACCEPT_EXCLUSIVE);
    const struct pf_acceptor_options accepting = {
        .mode = PF_ACCEPT_EXCLUSIVE, .fn = on_accept, .arg = &accepted};
    loops[0] = loop;
    acceptors[0] = acceptor;
    for (int i = 1; i < LOOPS; i++) {
        assert_int_equal(pf_loop_new(NULL, &loops[i]), 0);
        assert_int_equal(pf_acceptor_new(loops[i], listener, &accepting, &acceptors[i]), 0);
    }
    for (int sent = 0; sent < 120; sent++) {
        connect_clients(1);
        for (int i = 0; i < LOOPS; i++) {
            int before = accepted_count;
            assert_true(pf_loop_turn(loops[i], 0) >= 0);
            got[i] += accepted_count - before;
        }
    }
    assert_int_equal(accepted_count, 120);
    if (pf_backend()->ops ==
        &pf_poller_epoll) /* nobody sleeps here: the kernel tells all */
        assert_true(got[0] > 0);
    for (int i = 1; i < LOOPS; i++) {
        pf_acceptor_free(acceptors[i]);
        assert_int_equal(pf_loop_close(loops[i], false), 0);
        pf_loop_unref(loops[i]);
    }
    close_stage();
}

/* ---- pausing --------------------------------------------------------------------- */

static void paused_acceptor_leaves_the_queue_until_it_is_resumed(void **unused)
{
    (void)unused;
    for (int i = PF_ACCEPT_OWN; i <= PF_ACCEPT_EXCLUSIVE; i++) {
        open_stage_in((enum pf_accept_mode)i);
        connect_clients(3);
        assert_int_equal(pf_acceptor_pause(acceptor), 0);
        assert_int_equal(pf_acceptor_pause(acceptor), 0);
        turn(5);
        assert_int_equal(accepts, 0);
        assert_int_equal(events_so_far(), 0);
        assert_int_equal(pf_acceptor_resume(acceptor), 0);
        assert_int_equal(pf_acceptor_resume(acceptor), 0);
        turn(5);
        assert_int_equal(accepted_count, 3);
        close_stage();
    }
}

static void pause_it(void)
{
    assert_int_equal(pf_acceptor_pause(acceptor), 0);
}

static void pausing_inside_the_function_ends_the_burst(void **unused)
{
    (void)unused;
    open_stage();
    connect_clients(40);
    turn(3);
    int before = accepted_count;
    assert_in_range(before, 3, 39);
    do_accept = pause_it;
    turn(5);
    assert_int_equal(accepted_count, before + 1);
    do_accept = NULL;
    assert_int_equal(pf_acceptor_drain(acceptor, 5), 5); /* which is asked for by name */
    assert_int_equal(pf_acceptor_resume(acceptor), 0);
    turn(40);
    assert_int_equal(accepted_count, 40);
    close_stage();
}

static void resuming_without_memory_is_made_up_for(void **unused)
{
    (void)unused;
    if (pf_backend()->ops != &pf_poller_epoll)
        return;
    open_stage();
    connect_clients(1);
    assert_int_equal(pf_acceptor_pause(acceptor), 0);
    control_failures = 1;
    assert_int_equal(pf_acceptor_resume(acceptor), 0);
    assert_int_equal(control_failures, 0);
    turn(3);
    assert_int_equal(accepted_count, 0);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(3);
    assert_int_equal(accepted_count, 1);
    close_stage();
}

static void pause_and_shortage_end_each_for_itself(void **unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        open_stage();
        accept_error = EMFILE;
        accept_failures = 1;
        connect_clients(1);
        turn(1);
        assert_int_equal(pf_acceptor_pause(acceptor), 0);
        if (i == 0)
            assert_int_equal(pf_acceptor_resume(acceptor), 0); /* it still rests */
        turn(3);
        assert_int_equal(accepts, 1);
        now_ns += PF_ACCEPTOR_REST_NS;
        turn(3);
        assert_int_equal(accepted_count, i == 0 ? 1 : 0); /* it is still paused */
        assert_int_equal(pf_acceptor_resume(acceptor), 0);
        turn(3);
        assert_int_equal(accepted_count, 1);
        close_stage();
    }
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

/* Not one more from here on. Returns the limit to go back to. */
static struct rlimit use_up_the_rest(void)
{
    struct rlimit before, limit;
    int count = dup(0);
    close(count);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void use_up_descriptors(void *unused)
{
    (void)unused;
    open_stage();
    connect_clients(2);
    struct rlimit before = use_up_the_rest();
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

static void open_refusing_stage(void)
{
    refuse = refuse_client;
    open_stage();
    refuse = NULL;
}

/* What a client has heard: "no", then the end; or nothing yet. */
static bool was_refused(int client)
{
    char text[8];
    ssize_t n = recv(client, text, sizeof text, MSG_DONTWAIT);
    if (n == -1)
        return false;
    assert_int_equal(n, 2);
    assert_memory_equal(text, "no", 2);
    assert_int_equal(recv(client, text, sizeof text, MSG_DONTWAIT), 0);
    return true;
}

static void refuse_without_descriptors(void *unused)
{
    (void)unused;
    open_refusing_stage();
    connect_clients(5);
    struct rlimit before = use_up_the_rest();
    for (int rests = 1; rests <= 3; rests++) {
        turn(20);
        assert_int_equal(refused_count, rests);
        assert_int_equal(accepted_count, 0);
        assert_int_equal(events_so_far(), (uint64_t)rests);
        assert_true(was_refused(clients[rests - 1]));
        assert_false(was_refused(clients[rests]));
        now_ns += PF_ACCEPTOR_REST_NS;
    }
    assert_int_equal(warnings, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    turn(20);
    assert_int_equal(refused_count, 3);
    assert_int_equal(accepted_count, 2);
    close_stage();
}

static void without_descriptors_one_client_a_rest_hears_why(void **unused)
{
    (void)unused;
    pf_test_skip_under_valgrind();
    pf_test_in_child(refuse_without_descriptors, NULL);
}

static int thief; /* takes the descriptor that refuse() gave back */

static void steal(void)
{
    thief = dup(0);
    assert_true(thief >= 0);
}

static void lose_the_spare(void *unused)
{
    (void)unused;
    open_refusing_stage();
    connect_clients(5);
    struct rlimit before = use_up_the_rest();
    do_refuse = steal;
    turn(5);
    assert_int_equal(refused_count, 1);
    do_refuse = NULL;
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5); /* no spare: only a rest */
    assert_int_equal(refused_count, 1);
    assert_int_equal(accepted_count, 0);
    close(thief);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5); /* one is free: it is a client's, and the next shortage finds no spare */
    assert_int_equal(refused_count, 1);
    assert_int_equal(accepted_count, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5);
    assert_int_equal(accepted_count, 4);
    close_stage();
}

static void lost_spare_is_no_more_than_a_rest_without_an_answer(void **unused)
{
    (void)unused;
    pf_test_skip_under_valgrind();
    pf_test_in_child(lose_the_spare, NULL);
}

static void other_shortages_refuse_nobody(void **unused)
{
    (void)unused;
    static const int shortages[] = {ENOBUFS, ENOMEM, EINVAL};
    for (size_t i = 0; i < sizeof shortages / sizeof shortages[0]; i++) {
        open_refusing_stage();
        accept_error = shortages[i];
        accept_failures = 1;
        connect_clients(2);
        turn(5);
        assert_int_equal(accepts, 1);
        assert_int_equal(refused_count, 0);
        close_stage();
    }
}

static void refusing_that_fails_too_is_a_rest_all_the_same(void **unused)
{
    (void)unused;
    open_refusing_stage();
    accept_error = ENFILE;
    accept_failures = 2;
    connect_clients(2);
    turn(5);
    assert_int_equal(accepts, 2);
    assert_int_equal(refused_count, 0);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5);
    assert_int_equal(accepted_count, 2);
    close_stage();
}

static void free_it(void);

static void acceptor_may_be_freed_while_it_refuses(void **unused)
{
    (void)unused;
    open_refusing_stage();
    do_refuse = free_it;
    accept_error = EMFILE;
    accept_failures = 1;
    connect_clients(2);
    turn(5);
    assert_int_equal(refused_count, 1);
    assert_null(acceptor);
    now_ns += PF_ACCEPTOR_REST_NS;
    turn(5);
    assert_int_equal(accepts, 2);
    close_stage();
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
        pf_test(from_a_shared_socket_comes_one_connection_a_wake),
        pf_test(exclusive_acceptor_queues_anew_after_every_sixteen),
        pf_test(queueing_anew_without_memory_is_made_up_for),
        pf_test(exclusive_acceptors_all_get_some),
        pf_test(paused_acceptor_leaves_the_queue_until_it_is_resumed),
        pf_test(pausing_inside_the_function_ends_the_burst),
        pf_test(resuming_without_memory_is_made_up_for),
        pf_test(pause_and_shortage_end_each_for_itself),
        pf_test(without_descriptors_one_client_a_rest_hears_why),
        pf_test(lost_spare_is_no_more_than_a_rest_without_an_answer),
        pf_test(other_shortages_refuse_nobody),
        pf_test(refusing_that_fails_too_is_a_rest_all_the_same),
        pf_test(acceptor_may_be_freed_while_it_refuses),
        pf_test(acceptor_may_be_freed_inside_its_function),
        pf_test(freed_while_it_rests_it_does_not_come_back),
        pf_test(drain_takes_what_stands_in_the_queue),
        pf_test(draining_inside_the_function_works),
        pf_test(child_takes_nothing_from_its_parents_queue),
        pf_test(child_forked_inside_the_function_takes_nothing_either),
    };
    return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
