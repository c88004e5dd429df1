/* How idle connections are shared out over processes and addresses. */
#include "tests/lib/test.h"

#include "bench/hold_plan.h"
#include <errno.h>
#include <string.h>

static const struct hold_wish usual = {.connections = 100000,
                                       .descriptors = 19872,
                                       .procs_max = 256,
                                       .tcp = true,
                                       .loopback = true,
                                       .ports = {32768, 60999, 2}};

static void processes_and_addresses_are_as_many_as_it_takes(void **state)
{
    (void)state;
    static const struct {
        uint64_t connections;
        unsigned procs, descriptors; /* asked for; the limit */
        unsigned expected_procs, expected_sources;
    } rows[] = {
        {1, 0, 19872, 1, 0},          {14116, 0, 19872, 1, 0},
        {19872, 0, 19872, 1, 2},      {19873, 0, 19872, 2, 2},
        {100000, 0, 19872, 6, 12},    {100000, 8, 19872, 8, 8},
        {100000, 0, 1000000, 1, 8},   {1000000, 0, 19872, 51, 102},
        {1000000, 0, 1000000, 1, 71}, {1000000, 2, 1000000, 2, 72},
        {1000000, 5, 1000000, 5, 75}, /* 15 addresses each */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hold_wish wish = usual;
        struct hold_plan plan;
        char why[256];
        wish.connections = rows[i].connections;
        wish.procs = rows[i].procs;
        wish.descriptors = rows[i].descriptors;
        assert_int_equal(hold_plan_make(&wish, &plan, why, sizeof why), 0);
        assert_int_equal(plan.procs, rows[i].expected_procs);
        assert_int_equal(plan.sources, rows[i].expected_sources);
        /* No process has more connections than descriptors, or than ports. */
        uint64_t sum = 0;
        for (unsigned p = 0; p < plan.procs; p++) {
            uint64_t share = hold_plan_connections(wish.connections, plan.procs, p);
            unsigned first, count;
            hold_plan_sources(plan.sources, plan.procs, p, &first, &count);
            assert_true(share <= wish.descriptors);
            assert_true(count == 0 || share <= (uint64_t)count * 28232 / 2);
            assert_true(count == 0 || first == p * count);
            sum += share;
        }
        assert_int_equal(sum, wish.connections);
    }
}

static void what_cannot_be_is_refused_with_the_remedy(void **state)
{
    (void)state;
    static const struct {
        struct hold_wish change; /* fields that are not 0 */
        bool remote;
        int err;
        const char *remedy;
    } rows[] = {
        {{.procs = 2}, false, -EMFILE, "--procs 6"},
        {{.connections = 10000000}, false, -EMFILE, "ulimit -n"},
        {{.source_count = 3}, false, -EADDRNOTAVAIL, "--src with 4"},
        {{.connections = 28233}, true, -EADDRNOTAVAIL, "--src with 2"},
        {{.connections = 28232}, true, 0, ""},
        {{.source_count = 4}, true, 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hold_wish wish = usual;
        const struct hold_wish *change = &rows[i].change;
        struct hold_plan plan;
        char why[256] = "";
        if (change->connections)
            wish.connections = change->connections;
        wish.procs = change->procs;
        wish.source_count = change->source_count;
        wish.loopback = !rows[i].remote;
        assert_int_equal(hold_plan_make(&wish, &plan, why, sizeof why), rows[i].err);
        assert_non_null(strstr(why, rows[i].remedy));
    }
    struct hold_wish unix_socket = usual;
    struct hold_plan plan;
    char why[256];
    unix_socket.tcp = unix_socket.loopback = false;
    assert_int_equal(hold_plan_make(&unix_socket, &plan, why, sizeof why), 0);
    assert_int_equal(plan.sources, 0);
    struct hold_wish poor = usual;
    poor.descriptors = 0;
    assert_int_equal(hold_plan_make(&poor, &plan, why, sizeof why), -EMFILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(processes_and_addresses_are_as_many_as_it_takes),
        pf_test(what_cannot_be_is_refused_with_the_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
