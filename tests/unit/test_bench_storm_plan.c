/* Whether there are ports enough for a storm. */
#include "tests/lib/test.h"

#include "bench/storm_plan.h"
#include <errno.h>
#include <string.h>

#define S INT64_C(1000000000)

static void a_storm_is_refused_when_its_ports_do_not_last(void **state)
{
    (void)state;
    static const struct {
        double rate;
        int64_t duration_ns;
        unsigned given;
        bool loopback;
        enum plan_close close;
        int reuse;
        int err;
        unsigned sources; /* made */
        const char *says; /* in the text, or in the remedy */
    } rows[] = {
        /* ports that are used again after a second */
        {20000, 10 * S, 0, true, PLAN_CLOSE_FIN, 2, 0, 0, "at most 28,232/s"},
        {60000, 10 * S, 0, true, PLAN_CLOSE_FIN, 2, 0, 3, "3 sources x 28,232 ports"},
        {20000, 10 * S, 0, false, PLAN_CLOSE_FIN, 1, 0, 0, "for 1 s"},
        /* and those that are not */
        {470, 3600 * S, 0, false, PLAN_CLOSE_FIN, 0, 0, 0, "for 60 s: at most 471/s"},
        {480, 3600 * S, 0, false, PLAN_CLOSE_FIN, 0, -EADDRNOTAVAIL, 0, "--close rst"},
        {480, 3600 * S, 0, false, PLAN_CLOSE_FIN, 2, -EADDRNOTAVAIL, 0, "tcp_tw_reuse=1"},
        {480, 3600 * S, 0, true, PLAN_CLOSE_FIN, 0, 0, 2, "2 sources"},
        {480, 3600 * S, 1, true, PLAN_CLOSE_FIN, 0, -EADDRNOTAVAIL, 0, "--src with 2"},
        {480, 3600 * S, 2, true, PLAN_CLOSE_FIN, 0, 0, 0, "2 sources"},
        /* a run that is over before a port would be needed twice */
        {2800, 10 * S, 0, false, PLAN_CLOSE_FIN, 0, 0, 0, ""},
        {2900, 10 * S, 0, false, PLAN_CLOSE_FIN, 0, -EADDRNOTAVAIL, 0, "--src with 2"},
        /* no port rests here */
        {50000, 3600 * S, 0, false, PLAN_CLOSE_RST, 0, 0, 0, "--close rst"},
        {50000, 3600 * S, 0, false, PLAN_CLOSE_SERVER, 0, 0, 0, "the server closes"},
        /* closed: nobody knows how fast */
        {0, 10 * S, 0, true, PLAN_CLOSE_FIN, 2, 0, STORM_SOURCES, "8 sources"},
        {0, 10 * S, 0, false, PLAN_CLOSE_FIN, 0, 0, 0, "at most 471/s"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct storm_wish wish = {.rate = rows[i].rate,
                                  .duration_ns = rows[i].duration_ns,
                                  .source_count = rows[i].given,
                                  .tcp = true,
                                  .loopback = rows[i].loopback,
                                  .close = rows[i].close,
                                  .ports = {32768, 60999, rows[i].reuse}};
        struct storm_plan plan = {.sources = 0};
        char why[256] = "";
        assert_int_equal(storm_plan_make(&wish, &plan, why, sizeof why), rows[i].err);
        assert_int_equal(plan.sources, rows[i].sources);
        assert_non_null(strstr(rows[i].err ? why : plan.text, rows[i].says));
    }
}

static void a_unix_socket_has_no_ports(void **state)
{
    (void)state;
    struct storm_wish wish = {.rate = 1e6, .duration_ns = 3600 * S, .ports = {1, 2, 0}};
    struct storm_plan plan;
    char why[256];
    assert_int_equal(storm_plan_make(&wish, &plan, why, sizeof why), 0);
    assert_int_equal(plan.sources, 0);
    assert_non_null(strstr(plan.text, "unix"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_storm_is_refused_when_its_ports_do_not_last),
        pf_test(a_unix_socket_has_no_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
