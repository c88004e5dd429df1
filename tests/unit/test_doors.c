/* test_doors.c - the listening sockets of a lane: which are watched, and which are closed.
 * What a lane does with them is in test_lane.c. */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"

#include "net/listener.h"
#include "worker/lane.h"
#include <prefork/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    OWNERS = 3,
    KINDS = 3 /* of each owner: its own, a shared one, one for datagrams */
};

static struct pf_test_clock test_clock;
static pf_loop *loop;
static pf_scoreboard *board;
static pf_lane lane;
static struct pf__doors *doors;
static struct pf__listener from[OWNERS][KINDS];
static struct pf_address addresses[OWNERS][KINDS];
static int came, came_datagrams;

static void on_connection(pf_lane *to, int fd, const struct sockaddr *peer, socklen_t len,
                          void *arg)
{
    (void)peer, (void)len, (void)arg;
    came++;
    close(fd);
    assert_int_equal(pf_lane_closed(to, fd), 0);
}

static void on_datagram(pf_lane *to, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)to, (void)fd, (void)data, (void)len, (void)peer, (void)peer_len, (void)arg;
    came_datagrams++;
}

static const struct pf_service service = {.size = sizeof service,
                                          .name = "test",
                                          .on_connection = on_connection,
                                          .on_datagram = on_datagram};

static void open_stage(void)
{
    static const char *const texts[KINDS] = {"127.0.0.1:0", "127.0.0.1:0",
                                             "udp:127.0.0.1:0"};
    const struct pf_listener_options options = {.backlog = 16};
    char why[128];
    came = came_datagrams = 0;
    test_clock = (struct pf_test_clock){0};
    assert_int_equal(pf_test_loop_new(&test_clock, &loop), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* it has all its descriptors */
    assert_int_equal(pf_scoreboard_new(pf__columns, PF__COLUMNS, 1, &board), 0);
    const struct pf__lane_setup setup = {.service = &service, .board = board};
    assert_int_equal(pf__lane_init(&lane, &setup), 0);
    lane.loop = loop;
    doors = &lane.doors;
    for (unsigned owner = 0; owner < OWNERS; owner++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct pf_address *address = &addresses[owner][kind];
            assert_int_equal(pf_address_parse(texts[kind], address, why, sizeof why), 1);
            int fd = pf_listener_open(address, &options, PF_LISTENER_ALONE);
            assert_true(fd >= 0);
            from[owner][kind] =
                (struct pf__listener){.fd = fd,
                                      .mode = kind == 1 ? PF_ACCEPT_SHARED : PF_ACCEPT_OWN,
                                      .datagram = kind == 2};
        }
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void close_stage(void)
{
    pf__doors_close_all(doors);
    for (unsigned owner = 0; owner < OWNERS; owner++)
        for (int kind = 0; kind < KINDS; kind++)
            if (is_open(from[owner][kind].fd))
                close(from[owner][kind].fd);
    pf__lane_fini(&lane);
    pf_scoreboard_free(board);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
}

static int open_doors(unsigned owner)
{
    return pf__doors_open(&lane, owner, from[owner], KINDS);
}

/* One comes to each listener of an owner, and waits there unless it is watched. */
static void knock(unsigned owner)
{
    for (int kind = 0; kind < KINDS; kind++) {
        const struct pf_address *to = &addresses[owner][kind];
        int fd =
            socket(AF_INET, (to->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&to->storage, to->len), 0);
        if (to->datagram)
            assert_int_equal(send(fd, "x", 1, 0), 1);
        close(fd);
    }
    assert_true(pf_test_run_until_idle(loop) >= 0);
}

static void assert_came(int connections, int datagrams)
{
    assert_int_equal(came, connections);
    assert_int_equal(came_datagrams, datagrams);
}

static void those_of_one_owner_come_and_go_together(void **state)
{
    (void)state;
    open_stage();
    for (unsigned owner = 0; owner < OWNERS; owner++) {
        assert_false(pf__doors_have(doors, owner));
        assert_int_equal(open_doors(owner), 0);
        assert_true(pf__doors_have(doors, owner));
    }
    knock(1);
    assert_came(2, 1);
    pf__doors_close(doors, 1);
    assert_true(pf__doors_have(doors, 0));
    assert_false(pf__doors_have(doors, 1));
    assert_true(pf__doors_have(doors, 2));
    assert_false(is_open(from[1][0].fd));
    assert_true(is_open(from[1][1].fd)); /* the shared one */
    assert_false(is_open(from[1][2].fd));
    knock(0);
    knock(2);
    assert_came(6, 3);
    pf__doors_close(doors, 7); /* nobody's */
    assert_int_equal(doors->count, 2 * KINDS);
    pf__doors_close_all(doors);
    assert_int_equal(doors->count, 0);
    assert_true(is_open(from[0][1].fd) && is_open(from[2][1].fd));
    assert_false(is_open(from[0][0].fd) || is_open(from[2][2].fd));
    close_stage();
}

static void what_is_paused_waits_and_so_does_what_comes_meanwhile(void **state)
{
    (void)state;
    open_stage();
    assert_int_equal(open_doors(0), 0);
    pf__doors_pause(doors);
    assert_int_equal(open_doors(1), 0);
    knock(0);
    knock(1);
    assert_came(0, 0);
    pf__doors_resume(doors);
    assert_true(pf_test_run_until_idle(loop) >= 0);
    assert_came(4, 2);
    assert_int_equal(open_doors(2), 0); /* not paused any more */
    knock(2);
    assert_came(6, 3);
    close_stage();
}

static void emptying_takes_what_waits_though_it_is_paused_up_to_so_many(void **state)
{
    (void)state;
    open_stage();
    assert_int_equal(open_doors(0), 0);
    pf__doors_pause(doors);
    for (int i = 0; i < 5; i++)
        knock(0);
    pf__doors_empty(doors, 2);
    assert_came(4, 2); /* of each */
    pf__doors_empty(doors, 100);
    assert_came(10, 5);
    pf__doors_empty(doors, 100);
    assert_came(10, 5);
    close_stage();
}

/* Whichever of them cannot be watched. */
static void if_one_cannot_be_watched_none_is_and_none_is_ours(void **state)
{
    (void)state;
    for (int bad = 0; bad < KINDS; bad++) {
        open_stage();
        assert_int_equal(open_doors(0), 0);
        struct pf__listener some[KINDS];
        memcpy(some, from[1], sizeof some);
        some[bad].fd = -1;
        assert_int_equal(pf__doors_open(&lane, 1, some, KINDS), -EBADF);
        assert_false(pf__doors_have(doors, 1));
        for (int kind = 0; kind < KINDS; kind++)
            assert_true(is_open(from[1][kind].fd));
        knock(1);
        assert_came(0, 0);
        knock(0);
        assert_came(2, 1);
        assert_int_equal(open_doors(1), 0);
        assert_true(pf_test_run_until_idle(loop) >= 0);
        assert_came(4, 2);
        close_stage();
    }
}

static void without_memory_none_is_watched_and_none_is_ours(void **state)
{
    (void)state;
    pf_alloc_needed();
    int failures = 0;
    for (int n = 1;; n++) {
        open_stage();
        assert_int_equal(open_doors(0), 0);
        pf_alloc_fail(n);
        int err = open_doors(1);
        bool failed = pf_alloc_stop() >= n;
        if (err) {
            failures++;
            assert_int_equal(err, -ENOMEM);
            assert_false(pf__doors_have(doors, 1));
            for (int kind = 0; kind < KINDS; kind++)
                assert_true(is_open(from[1][kind].fd));
            assert_int_equal(open_doors(1), 0);
        }
        knock(1);
        assert_came(2, 1);
        close_stage();
        if (!failed)
            break;
        assert_true(n < 100);
    }
    assert_true(failures > 1);
}

static void none_at_all_is_fine(void **state)
{
    (void)state;
    open_stage();
    assert_int_equal(pf__doors_open(&lane, 0, NULL, 0), 0);
    assert_false(pf__doors_have(doors, 0));
    pf__doors_pause(doors);
    pf__doors_empty(doors, 10);
    pf__doors_resume(doors);
    pf__doors_close(doors, 0);
    pf__doors_close_all(doors);
    pf__doors_close_all(doors);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(those_of_one_owner_come_and_go_together),
        pf_test(what_is_paused_waits_and_so_does_what_comes_meanwhile),
        pf_test(emptying_takes_what_waits_though_it_is_paused_up_to_so_many),
        pf_test(if_one_cannot_be_watched_none_is_and_none_is_ours),
        pf_test(without_memory_none_is_watched_and_none_is_ours),
        pf_test(none_at_all_is_fine),
    };
    return cmocka_run_group_tests_name("doors", tests, NULL, NULL);
}
