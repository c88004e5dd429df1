/*
 * test_receiver.c - datagrams: real sockets, a loop with a clock of its own.
 *
 * recvfrom is defined here, to count it and to let it fail.
 */
#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include "net/listener.h"
#include "net/receiver.h"
#include <prefork/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned receives;
static int receive_error; /* what the next receive_failures calls answer */
static int receive_failures;

/* __SOCKADDR_ARG: the C library's declaration has a union of pointers here. */
ssize_t recvfrom(int fd, void *data, size_t len, int flags, __SOCKADDR_ARG peer,
                 socklen_t *peer_len)
{
    receives++;
    if (receive_failures > 0) {
        receive_failures--;
        errno = receive_error;
        return -1;
    }
    return syscall(SYS_recvfrom, fd, data, len, flags, peer.__sockaddr__, peer_len);
}

/* ---- the stage ------------------------------------------------------------------- */

static pf_loop *loop;
static int64_t now_ns;
static int server, client;
static struct pf_address address;
static pf_receiver *receiver;

static int got;
static size_t last_len;
static char last_data[PF_RECEIVER_BUFFER];
static struct pf_address last_peer;
static void (*do_receive)(void);
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

static void on_datagram(pf_receiver *from, int fd, const void *data, size_t len,
                        const struct pf_address *peer, void *arg)
{
    assert_ptr_equal(from, receiver);
    assert_int_equal(fd, server);
    assert_ptr_equal(arg, &got);
    got++;
    last_len = len;
    memcpy(last_data, data, len);
    last_peer = *peer;
    if (do_receive)
        do_receive();
}

static void open_stage(void)
{
    receives = 0;
    receive_failures = 0;
    got = 0;
    do_receive = NULL;
    warnings = 0;
    pf_log_set_sink(count_warning, NULL);
    now_ns = 1000 * PF_SECOND;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = test_clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0);
    char why[128];
    const struct pf_listener_options none = {0};
    assert_int_equal(pf_address_parse("udp:127.0.0.1:0", &address, why, sizeof why), 1);
    server = pf_listener_open(&address, &none, PF_LISTENER_ALONE);
    assert_true(server >= 0);
    client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address.storage, address.len), 0);
    assert_int_equal(pf_receiver_new(loop, server, on_datagram, &got, &receiver), 0);
}

static void close_stage(void)
{
    pf_receiver_free(receiver);
    close(server);
    close(client);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    pf_log_set_sink(NULL, NULL);
}

static void turn(int times)
{
    while (times-- > 0)
        assert_true(pf_loop_turn(loop, 0) >= 0);
}

/* On 127.0.0.1 a datagram is in the queue when send(2) returns. */
static void send_many(int count)
{
    while (count-- > 0)
        assert_int_equal(send(client, "hello", 5, 0), 5);
}

/* ---- receiving ------------------------------------------------------------------- */

static void answer(void)
{
    assert_int_equal(sendto(server, "world", 5, 0,
                            (const struct sockaddr *)&last_peer.storage, last_peer.len),
                     5);
}

static void datagram_is_handed_over_with_its_sender_who_can_be_answered(void **unused)
{
    (void)unused;
    open_stage();
    do_receive = answer;
    send_many(1);
    turn(1);
    assert_int_equal(got, 1);
    assert_int_equal(last_len, 5);
    assert_memory_equal(last_data, "hello", 5);
    struct pf_address own = {.len = sizeof own.storage, .datagram = true};
    assert_int_equal(getsockname(client, (struct sockaddr *)&own.storage, &own.len), 0);
    assert_true(pf_address_equal(&own, &last_peer));
    char text[16];
    assert_int_equal(recv(client, text, sizeof text, MSG_DONTWAIT), 5);
    assert_memory_equal(text, "world", 5);
    close_stage();
}

static void datagrams_of_every_length_come_whole(void **unused)
{
    (void)unused;
    static const size_t lengths[] = {0, 1, 1472, 9000, 65507};
    static char data[65507];
    open_stage();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        last_len = 99999;
        assert_int_equal(send(client, data, lengths[i], 0), (ssize_t)lengths[i]);
        turn(1);
        assert_int_equal(got, i + 1);
        assert_int_equal(last_len, lengths[i]);
        assert_memory_equal(last_data, data, lengths[i]);
    }
    close_stage();
}

static void crowd_is_read_in_bursts(void **unused)
{
    (void)unused;
    open_stage();
    send_many(2 * PF_RECEIVER_BURST + 5);
    turn(1);
    assert_int_equal(got, PF_RECEIVER_BURST);
    turn(1);
    assert_int_equal(got, 2 * PF_RECEIVER_BURST);
    turn(1);
    assert_int_equal(got, 2 * PF_RECEIVER_BURST + 5);
    turn(3);
    assert_int_equal(receives, 2 * PF_RECEIVER_BURST + 6);
    close_stage();
}

static void error_of_an_earlier_answer_is_skipped(void **unused)
{
    (void)unused;
    static const int weather[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EINTR, EPROTO};
    for (size_t i = 0; i < sizeof weather / sizeof weather[0]; i++) {
        open_stage();
        receive_error = weather[i];
        receive_failures = 3;
        send_many(2);
        turn(1);
        assert_int_equal(got, 2);
        assert_int_equal(warnings, 0);
        close_stage();
    }
}

static void error_that_never_ends_does_not_hold_the_loop(void **unused)
{
    (void)unused;
    open_stage();
    receive_error = ECONNREFUSED;
    receive_failures = 1000000;
    send_many(1);
    turn(2);
    assert_int_equal(receives, 2 * PF_RECEIVER_BURST);
    close_stage();
}

static void any_other_error_is_a_rest(void **unused)
{
    (void)unused;
    static const int errors[] = {ENOMEM, ENOBUFS, EINVAL};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        open_stage();
        receive_error = errors[i];
        receive_failures = 1;
        send_many(1);
        turn(20);
        assert_int_equal(receives, 1);
        assert_int_equal(warnings, 1);
        now_ns += PF_RECEIVER_REST_NS - 1;
        turn(2);
        assert_int_equal(receives, 1);
        now_ns += 1;
        turn(2);
        assert_int_equal(got, 1);
        close_stage();
    }
}

/* ---- pausing, ending ------------------------------------------------------------- */

static void paused_receiver_leaves_the_queue_until_it_is_resumed(void **unused)
{
    (void)unused;
    open_stage();
    send_many(3);
    assert_int_equal(pf_receiver_pause(receiver), 0);
    turn(3);
    assert_int_equal(receives, 0);
    assert_int_equal(pf_receiver_drain(receiver, 1), 1);
    assert_int_equal(got, 1);
    assert_int_equal(pf_receiver_resume(receiver), 0);
    turn(1);
    assert_int_equal(got, 3);
    close_stage();
}

static void pause_it(void)
{
    assert_int_equal(pf_receiver_pause(receiver), 0);
}

static void free_it(void)
{
    pf_receiver_free(receiver);
    receiver = NULL;
}

static void receiver_may_be_paused_or_freed_inside_its_function(void **unused)
{
    (void)unused;
    for (int freeing = 0; freeing <= 1; freeing++) {
        open_stage();
        do_receive = freeing ? free_it : pause_it;
        send_many(3);
        turn(3);
        assert_int_equal(got, 1);
        close_stage();
    }
}

static void drain_takes_what_stands_in_the_queue(void **unused)
{
    (void)unused;
    open_stage();
    assert_int_equal(pf_receiver_drain(receiver, 10), 0);
    send_many(20);
    assert_int_equal(pf_receiver_drain(receiver, 15), 15);
    assert_int_equal(pf_receiver_drain(receiver, 1000), 5);
    assert_int_equal(got, 20);
    close_stage();
}

static void wrong_arguments_are_refused(void **unused)
{
    (void)unused;
    pf_receiver *none = NULL;
    open_stage();
    assert_int_equal(pf_receiver_new(loop, server, NULL, NULL, &none), -EINVAL);
    assert_int_equal(pf_receiver_new(loop, server, on_datagram, NULL, NULL), -EINVAL);
    assert_int_equal(pf_receiver_new(loop, server, on_datagram, NULL, &none), -EEXIST);
    assert_int_equal(pf_receiver_new(loop, -1, on_datagram, NULL, &none), -EBADF);
    assert_null(none);
    pf_receiver_free(NULL);
    close_stage();
}

static void child_body(void *unused)
{
    (void)unused;
    assert_int_equal(pf_receiver_drain(receiver, 10), -ECHILD);
    assert_int_equal(pf_receiver_pause(receiver), -ECHILD);
    assert_int_equal(pf_receiver_resume(receiver), -ECHILD);
    assert_int_equal(receives, 0);
    pf_receiver_free(receiver);
}

static void child_takes_nothing_from_its_parents_queue(void **unused)
{
    (void)unused;
    open_stage();
    send_many(2);
    pf_test_in_child(child_body, NULL);
    pf_test_in_raw_clone(child_body, NULL);
    turn(1);
    assert_int_equal(got, 2);
    close_stage();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(datagram_is_handed_over_with_its_sender_who_can_be_answered),
        pf_test(datagrams_of_every_length_come_whole),
        pf_test(crowd_is_read_in_bursts),
        pf_test(error_of_an_earlier_answer_is_skipped),
        pf_test(error_that_never_ends_does_not_hold_the_loop),
        pf_test(any_other_error_is_a_rest),
        pf_test(paused_receiver_leaves_the_queue_until_it_is_resumed),
        pf_test(receiver_may_be_paused_or_freed_inside_its_function),
        pf_test(drain_takes_what_stands_in_the_queue),
        pf_test(wrong_arguments_are_refused),
        pf_test(child_takes_nothing_from_its_parents_queue),
    };
    return cmocka_run_group_tests_name("receiver", tests, NULL, NULL);
}
