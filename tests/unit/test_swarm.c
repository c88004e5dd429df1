/* test_swarm.c - the swarm of tests/lib counts rightly: what is lost here is lost by hand.
 */
#include "tests/lib/swarm.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENTS = 10,
    ACCEPTED = 3
};

static int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* All of them stand in the queue of `port`. */
static pf_swarm *queue_up(int port)
{
    struct pf_swarm_options options = {.port = port,
                                       .connections = CLIENTS,
                                       .total = CLIENTS,
                                       .request = "x\n",
                                       .greeting = true};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, 20), CLIENTS);
    return swarm;
}

static void a_queue_that_is_closed_is_lost_in_the_queue(void **state)
{
    (void)state;
    int port;
    pf_swarm_records();
    int listener = listen_somewhere(&port);
    pf_swarm *swarm = queue_up(port);
    close(listener);
    assert_int_equal(pf_swarm_finish(swarm), 0);
    const struct pf_swarm_counts *counts = pf_swarm_counts(swarm);
    assert_int_equal(counts->lost_queued, CLIENTS);
    assert_int_equal(counts->lost_accepted + counts->served + counts->refused, 0);
    pf_swarm_free(swarm);
    pf_swarm_records_end();
}

static void what_a_marked_process_had_accepted_is_counted_apart(void **state)
{
    (void)state;
    int port, fds[ACCEPTED];
    pf_swarm_records();
    int listener = listen_somewhere(&port);
    pf_swarm *swarm = queue_up(port);
    for (int i = 0; i < ACCEPTED; i++) {
        fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    bool marked = pf_swarm_mark(swarm, getpid());
    for (int i = 0; i < ACCEPTED; i++)
        close(fds[i]);
    close(listener);
    assert_int_equal(pf_swarm_finish(swarm), 0);
    unsigned long accepted = pf_swarm_counts(swarm)->lost_accepted;
    unsigned long queued = pf_swarm_counts(swarm)->lost_queued;
    pf_swarm_free(swarm);
    pf_swarm_records_end();
    if (!marked)
        skip(); /* pidfd_getfd(2) is not permitted here */
    assert_int_equal(accepted, ACCEPTED);
    assert_int_equal(queued, CLIENTS - ACCEPTED);
}

static void nobody_listening_is_a_refusal(void **state)
{
    (void)state;
    int port;
    pf_swarm_records();
    close(listen_somewhere(&port));
    struct pf_swarm_options options = {.port = port,
                                       .connections = CLIENTS,
                                       .total = CLIENTS,
                                       .request = "x\n",
                                       .greeting = true};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000), 0);
    assert_int_equal(pf_swarm_counts(swarm)->refused, CLIENTS);
    pf_swarm_free(swarm);
    pf_swarm_records_end();
}

static void who_is_never_answered_is_still_open(void **state)
{
    (void)state;
    int port;
    pf_swarm_records();
    int listener = listen_somewhere(&port);
    pf_swarm *swarm = queue_up(port);
    assert_int_equal(pf_swarm_counts(swarm)->attempted, CLIENTS);
    assert_int_equal(pf_swarm_run(swarm, 20), CLIENTS);
    pf_swarm_free(swarm);
    close(listener);
    pf_swarm_records_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_queue_that_is_closed_is_lost_in_the_queue),
        pf_test(what_a_marked_process_had_accepted_is_counted_apart),
        pf_test(nobody_listening_is_a_refusal),
        pf_test(who_is_never_answered_is_still_open),
    };
    return cmocka_run_group_tests_name("swarm", tests, NULL, NULL);
}
