/* Schedules and source addresses as the command line gives them. */
#include "tests/lib/test.h"

#include "bench/sources.h"
#include "bench/stages.h"

#include <errno.h>
#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stages_go_from_rate_to_rate(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int count;
        struct plan_stage stages[4];
    } rows[] = {
        {"10s:1k", 1, {{10 * PF_SECOND, 1000, 1000}}},
        {"10s:1k,30s:20k,5s:0",
         3,
         {{10 * PF_SECOND, 1000, 1000},
          {30 * PF_SECOND, 1000, 20000},
          {5 * PF_SECOND, 20000, 0}}},
        {"500ms:0-2k", 1, {{PF_SECOND / 2, 0, 2000}}},
        {"10:50/s,10:100-100", 2, {{10 * PF_SECOND, 50, 50}, {10 * PF_SECOND, 100, 100}}},
        {"1m:1.5k,1m:1", 2, {{60 * PF_SECOND, 1500, 1500}, {60 * PF_SECOND, 1500, 1}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_stage stages[PLAN_STAGES_MAX];
        char why[200] = "";
        assert_int_equal(stages_parse(rows[i].text, stages, why, sizeof why),
                         rows[i].count);
        for (int j = 0; j < rows[i].count; j++) {
            assert_int_equal(stages[j].duration_ns, rows[i].stages[j].duration_ns);
            assert_true(stages[j].from == rows[i].stages[j].from);
            assert_true(stages[j].to == rows[i].stages[j].to);
        }
    }
}

static void wrong_stages_are_told_by_their_part(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "''"},
        {"10s", "'10s': must be TIME:RATE"},
        {"10s:1k,x", "'x'"},
        {"soon:1k", "'soon:1k': must begin with a time"},
        {"0s:1k", "'0s:1k'"},
        {"10s:fast", "'10s:fast': must end with a rate"},
        {"10s:1k-", "'10s:1k-'"},
        {"10s:1k-2k-3k", "'10s:1k-2k-3k'"},
        {"10s:-5", "'10s:-5'"},
        {"10s:0,5s:0", "nothing would be sent"},
        {"900h:1,900h:1", "1000 hours"},
        {"1s:1,", "''"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_stage stages[PLAN_STAGES_MAX];
        char why[200] = "";
        assert_int_equal(stages_parse(rows[i].text, stages, why, sizeof why), -EINVAL);
        if (!strstr(why, rows[i].says))
            print_error("%s: %s\n", rows[i].text, why);
        assert_non_null(strstr(why, rows[i].says));
    }
    char many[PLAN_STAGES_MAX * 8 + 16] = "1s:1";
    for (int i = 1; i <= PLAN_STAGES_MAX; i++)
        strncat(many, ",1s:1", sizeof many - strlen(many) - 1);
    struct plan_stage stages[PLAN_STAGES_MAX];
    char why[200] = "";
    assert_int_equal(stages_parse(many, stages, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "64"));
}

static void warm_up_holds_the_rate_at_which_the_first_stage_begins(void **state)
{
    (void)state;
    struct plan_stage stages[PLAN_STAGES_MAX] = {{PF_SECOND, 10, 20}, {PF_SECOND, 20, 0}};
    assert_int_equal(stages_warm_up(stages, 2, 5 * PF_SECOND), 3);
    assert_int_equal(stages[0].duration_ns, 5 * PF_SECOND);
    assert_true(stages[0].from == 10 && stages[0].to == 10);
    assert_true(stages[2].from == 20 && stages[2].to == 0);
    assert_int_equal(stages_duration(stages, 3), 7 * PF_SECOND);
    struct plan_stage rising[PLAN_STAGES_MAX] = {{PF_SECOND, 0, 20}};
    assert_int_equal(stages_warm_up(rising, 1, PF_SECOND), 2);
    assert_true(rising[0].from == 20 && rising[0].to == 20);
    assert_int_equal(stages_warm_up(stages, PLAN_STAGES_MAX, 1), -EINVAL);
}

/* ---- sources --------------------------------------------------------------------- */

static struct pf_address address_of(const char *text)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[200];
    assert_true(pf_address_parse(text, found, why, sizeof why) >= 1);
    return found[0];
}

static void sources_are_networks_lists_or_as_many_as_the_ports_call_for(void **state)
{
    (void)state;
    static const struct {
        const char *text, *target;
        uint64_t connections;
        int count;
        const char *first, *last; /* NULL: none */
    } rows[] = {
        {"10.0.0.0/28", "10.0.0.99:80", 1, 14, "10.0.0.1:0", "10.0.0.14:0"},
        {"10.0.0.7/29", "10.0.0.99:80", 1, 6, "10.0.0.1:0", "10.0.0.6:0"},
        {"10.0.0.8/31", "10.0.0.99:80", 1, 2, "10.0.0.8:0", "10.0.0.9:0"},
        {"10.0.0.8/32", "10.0.0.99:80", 1, 1, "10.0.0.8:0", "10.0.0.8:0"},
        {"10.0.0.0/8", "10.0.0.99:80", 1, PLAN_SOURCES_MAX, "10.0.0.1:0", NULL},
        {"127.0.0.2", "127.0.0.1:80", 1, 1, "127.0.0.2:0", "127.0.0.2:0"},
        {"127.0.0.2,127.0.0.9", "127.0.0.1:80", 1, 2, "127.0.0.2:0", "127.0.0.9:0"},
        {"::1,fd00::2", "[::1]:80", 1, 2, "[::1]:0", "[fd00::2]:0"},
        {"auto", "127.0.0.1:80", 100, 0, NULL, NULL},
        {"auto", "10.0.0.1:80", 1000000, 0, NULL, NULL},
        {"auto", "unix:/x", 1000000, 0, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_address target = address_of(rows[i].target), *sources;
        char why[200] = "", text[PF_ADDRESS_TEXT_MAX];
        int count = sources_parse(rows[i].text, &target, rows[i].connections, &sources, why,
                                  sizeof why);
        if (count != rows[i].count)
            print_error("%s: %d %s\n", rows[i].text, count, why);
        assert_int_equal(count, rows[i].count);
        if (rows[i].first)
            assert_string_equal(pf_address_format(&sources[0], text), rows[i].first);
        if (rows[i].last)
            assert_string_equal(pf_address_format(&sources[count - 1], text), rows[i].last);
        assert_true(count > 0 || sources == NULL);
        free(sources);
    }
    struct pf_address target = address_of("127.0.0.1:80"), *sources;
    char why[200];
    int count = sources_parse("auto", &target, 200000, &sources, why, sizeof why);
    assert_true(count >=
                2); /* however wide the range of ports is here, it is below 65536 */
    free(sources);
}

static void wrong_sources_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "10.0.0.0/33",  "10.0.0.0/",  "10.0.0.0/x", "10.0.0/24", "/24",
        "::1/64",       "here",       "10.0.0.1,,", "",          "::1",
        "10.0.0.1,::1", "1.2.3.4:80",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_address target = address_of("10.0.0.99:80"), *sources = NULL;
        char why[200] = "";
        assert_int_equal(sources_parse(rows[i], &target, 1, &sources, why, sizeof why),
                         -EINVAL);
        assert_true(why[0] != '\0');
        assert_null(sources);
    }
    struct pf_address target = address_of("unix:/x"), *sources = NULL;
    char why[200] = "";
    assert_int_equal(sources_parse("10.0.0.1", &target, 1, &sources, why, sizeof why),
                     -EINVAL);
    assert_non_null(strstr(why, "unix"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(stages_go_from_rate_to_rate),
        pf_test(wrong_stages_are_told_by_their_part),
        pf_test(warm_up_holds_the_rate_at_which_the_first_stage_begins),
        pf_test(sources_are_networks_lists_or_as_many_as_the_ports_call_for),
        pf_test(wrong_sources_are_refused),
    };
    return cmocka_run_group_tests_name("stages and sources", tests, NULL, NULL);
}
