/* test_clients.c - how many connections each client has: against a plain count of them. */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"

#include "worker/clients.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static struct pf__clients *clients;

static void open_stage(size_t max)
{
    assert_int_equal(pf__clients_new(max, &clients), 0);
}

static void close_stage(void)
{
    pf__clients_free(clients);
}

/* "10.0.0.1", "2001:db8::1", or "unix". */
static struct sockaddr_storage peer(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(1234)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(&storage, &in, sizeof in);
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(&storage, &in6, sizeof in6);
    else
        memcpy(&storage, &un, sizeof un);
    return storage;
}

static bool enter(int fd, const char *from)
{
    struct sockaddr_storage storage = peer(from);
    return pf__clients_enter(clients, fd, (const struct sockaddr *)&storage);
}

static bool enter_number(int fd, uint32_t from)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    struct sockaddr_storage storage = {0};
    memcpy(&storage, &in, sizeof in);
    return pf__clients_enter(clients, fd, (const struct sockaddr *)&storage);
}

/* ---- who is one client ----------------------------------------------------------- */

static void a_client_may_have_so_many_connections_and_no_more(void **state)
{
    (void)state;
    for (int max = 1; max <= 3; max++) {
        open_stage((size_t)max);
        for (int fd = 0; fd < max; fd++)
            assert_true(enter(fd, "10.0.0.1"));
        assert_false(enter(max, "10.0.0.1"));
        assert_false(enter(max, "10.0.0.1"));
        assert_true(enter(max, "10.0.0.2")); /* another one may */
        assert_int_equal(pf__clients_count(clients), 2);
        pf__clients_leave(clients, 0);
        assert_true(enter(0, "10.0.0.1"));
        assert_false(enter(max + 1, "10.0.0.1"));
        close_stage();
    }
}

static void who_is_one_client_and_who_are_two(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "10.0.1.1", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.2", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true}, /* of one /64 */
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"2001:db8:0:1::1", "2001:db8:0:101::1", false},
        {"2001:db8::1", "10.0.0.1", false},
        {"2001:db8::1", "32.1.13.184", false}, /* the same four bytes, */
        {"2001:db8::1", "184.13.1.32", false}, /* either way */
        {"::1", "127.0.0.1", false},
        {"::1", "0.0.0.1", false},
        {"fe80::1", "fe80::2", true},
        {"unix", "unix", false}, /* not counted at all */
        {"unix", "10.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_stage(1);
        assert_true(enter(10, rows[i].one));
        if (enter(11, rows[i].other) == rows[i].same)
            fail_msg("%s and %s", rows[i].one, rows[i].other);
        close_stage();
    }
}

static void peers_without_an_address_are_not_counted(void **state)
{
    (void)state;
    open_stage(1);
    for (int fd = 0; fd < 100; fd++)
        assert_true(enter(fd, "unix"));
    assert_int_equal(pf__clients_count(clients), 0);
    for (int fd = 0; fd < 100; fd++)
        pf__clients_leave(clients, fd);
    assert_int_equal(pf__clients_count(clients), 0);
    close_stage();
}

/* ---- leaving --------------------------------------------------------------------- */

static void a_connection_that_was_refused_or_never_came_leaves_nothing(void **state)
{
    (void)state;
    open_stage(1);
    pf__clients_leave(clients, 5); /* nobody has come yet */
    assert_true(enter(5, "10.0.0.1"));
    assert_false(enter(6, "10.0.0.1"));
    pf__clients_leave(clients, 6);
    pf__clients_leave(clients, 7);
    pf__clients_leave(clients, -1);
    pf__clients_leave(clients, 1000000);
    assert_int_equal(pf__clients_count(clients), 1);
    assert_false(enter(6, "10.0.0.1"));
    pf__clients_leave(clients, 5);
    pf__clients_leave(clients, 5); /* once is enough */
    assert_int_equal(pf__clients_count(clients), 0);
    assert_true(enter(6, "10.0.0.1"));
    close_stage();
}

static void a_descriptor_that_is_used_again_counts_for_its_new_client(void **state)
{
    (void)state;
    open_stage(2);
    for (int i = 0; i < 1000; i++) {
        assert_true(enter(3, i % 2 ? "10.0.0.1" : "10.0.0.2"));
        assert_int_equal(pf__clients_count(clients), 1);
        pf__clients_leave(clients, 3);
    }
    assert_int_equal(pf__clients_count(clients), 0);
    assert_true(enter(3, "10.0.0.1"));
    assert_true(enter(4, "10.0.0.1"));
    assert_false(enter(5, "10.0.0.1"));
    assert_true(enter(5, "unix")); /* nor does it count for the one before */
    pf__clients_leave(clients, 5);
    assert_false(enter(5, "10.0.0.1"));
    close_stage();
}

static void a_negative_descriptor_is_let_in_uncounted(void **state)
{
    (void)state;
    open_stage(1);
    assert_true(enter(-1, "10.0.0.1"));
    assert_true(enter(-1, "10.0.0.1"));
    assert_int_equal(pf__clients_count(clients), 0);
    close_stage();
}

/* ---- many ------------------------------------------------------------------------ */

enum {
    MANY = 20000
};

static void many_clients_are_told_apart_while_the_table_grows(void **state)
{
    (void)state;
    open_stage(2);
    for (int i = 0; i < MANY; i++)
        assert_true(enter_number(i, (uint32_t)i));
    assert_int_equal(pf__clients_count(clients), MANY);
    for (int i = 0; i < MANY; i++)
        assert_true(enter_number(MANY + i, (uint32_t)i));
    for (int i = 0; i < MANY; i++)
        assert_false(enter_number(2 * MANY, (uint32_t)i));
    assert_int_equal(pf__clients_count(clients), MANY);
    for (int i = 0; i < MANY; i += 2)
        pf__clients_leave(clients, i);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(enter_number(2 * MANY + i, (uint32_t)i), i % 2 == 0);
    for (int i = 0; i < 3 * MANY; i++)
        pf__clients_leave(clients, i);
    assert_int_equal(pf__clients_count(clients), 0);
    close_stage();
}

enum {
    CLIENTS = 300,
    FDS = 900,
    STEPS = 200000,
    MAX = 4
};

/* Who comes and who goes is by chance, always the same one. */
static void after_any_steps_it_says_what_a_plain_count_says(void **state)
{
    (void)state;
    static int of_fd[FDS], counted[CLIENTS]; /* of_fd: 1 + the client, 0: free */
    memset(of_fd, 0, sizeof of_fd);
    memset(counted, 0, sizeof counted);
    size_t present = 0;
    uint64_t dice = 1;
    open_stage(MAX);
    for (int step = 0; step < STEPS; step++) {
        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int fd = (int)((dice >> 33) % FDS), client = (int)((dice >> 48) % CLIENTS);
        if (of_fd[fd]) {
            pf__clients_leave(clients, fd);
            present -= --counted[of_fd[fd] - 1] == 0;
            of_fd[fd] = 0;
        } else {
            bool may = counted[client] < MAX;
            assert_int_equal(enter_number(fd, (uint32_t)client * 0x10001), may);
            if (may) {
                present += counted[client]++ == 0;
                of_fd[fd] = client + 1;
            }
        }
        assert_int_equal(pf__clients_count(clients), present);
    }
    close_stage();
}

/* ---- without memory -------------------------------------------------------------- */

static void without_memory_there_is_none_and_freeing_none_is_fine(void **state)
{
    (void)state;
    pf_alloc_needed();
    size_t before = pf_alloc_bytes();
    struct pf__clients *none = NULL;
    pf_alloc_fail(1);
    assert_int_equal(pf__clients_new(1, &none), -ENOMEM);
    pf_alloc_stop();
    assert_null(none);
    pf__clients_free(none);
    assert_int_equal(pf_alloc_bytes(), before);
}

/* Each allocation fails once, while 200 come: those whom it hits come in uncounted; the
 * counts of the others are right, and so are theirs when they come again. */
static void who_comes_while_memory_is_short_comes_in_uncounted(void **state)
{
    (void)state;
    pf_alloc_needed();
    enum {
        COME = 200
    };
    size_t before = pf_alloc_bytes();
    bool failed = true;
    for (int n = 1; failed; n++) {
        size_t counted = 0;
        open_stage(1);
        pf_alloc_fail(n);
        for (int i = 0; i < COME; i++) {
            bool in = enter_number(i, (uint32_t)i);
            size_t now = pf__clients_count(clients);
            if (!in || now < counted || now > counted + 1)
                fail_msg("allocation %d, client %d", n, i);
            counted = now;
        }
        failed = pf_alloc_stop() >= n;
        assert_int_equal(counted, failed ? COME - 1 : COME);
        size_t again = 0; /* one more of each: the limit is 1 */
        for (int i = 0; i < COME; i++)
            again += enter_number(COME + i, (uint32_t)i);
        assert_int_equal(again, failed ? 1 : 0);
        for (int i = 0; i < 2 * COME; i++)
            pf__clients_leave(clients, i);
        assert_int_equal(pf__clients_count(clients), 0);
        close_stage();
        assert_int_equal(pf_alloc_bytes(), before);
        assert_true(n < 100);
    }
}

static void without_any_memory_everybody_comes_in(void **state)
{
    (void)state;
    pf_alloc_needed();
    open_stage(1);
    pf_alloc_fail(-1);
    bool in = true;
    for (int i = 0; i < 10; i++)
        in = in && enter(i, "10.0.0.1");
    pf_alloc_stop();
    assert_true(in);
    assert_int_equal(pf__clients_count(clients), 0);
    for (int i = 0; i < 10; i++)
        pf__clients_leave(clients, i);
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_client_may_have_so_many_connections_and_no_more),
        pf_test(who_is_one_client_and_who_are_two),
        pf_test(peers_without_an_address_are_not_counted),
        pf_test(a_connection_that_was_refused_or_never_came_leaves_nothing),
        pf_test(a_descriptor_that_is_used_again_counts_for_its_new_client),
        pf_test(a_negative_descriptor_is_let_in_uncounted),
        pf_test(many_clients_are_told_apart_while_the_table_grows),
        pf_test(after_any_steps_it_says_what_a_plain_count_says),
        pf_test(without_memory_there_is_none_and_freeing_none_is_fine),
        pf_test(who_comes_while_memory_is_short_comes_in_uncounted),
        pf_test(without_any_memory_everybody_comes_in),
    };
    return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
