/* Numbers as users write them. */
#include "tests/lib/test.h"

#include "bench/quantity.h"
#include <errno.h>
#include <math.h>

static void numbers_have_suffixes_of_thousands(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rate;
        size_t len;
        double value;
    } rows[] = {
        {"0", 0, 1, 0},
        {"100", 0, 3, 100},
        {"50k", 0, 3, 50000},
        {"50K", 0, 3, 50000},
        {"1.5M", 0, 4, 1500000},
        {"2g", 0, 2, 2e9},
        {"100/s", 1, 5, 100},
        {"1k/s", 1, 4, 1000},
        {"100/s", 0, 3, 100},
        {"200,idle", 0, 3, 200},
        {"", 0, 0, 0},
        {"k", 0, 0, 0},
        {"-1", 0, 0, 0},
        {"1.2.3", 0, 0, 0},
        {".", 0, 0, 0},
        {"0x10", 0, 1, 0},
        {"1e3", 0, 1, 1},
        {"inf", 0, 0, 0},
        {"123456789012345678901234567890123", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double value = 0;
        assert_int_equal(quantity_read(rows[i].text, rows[i].rate, &value), rows[i].len);
        assert_true(rows[i].len == 0 || fabs(value - rows[i].value) < 1e-6);
    }
}

static void options_take_no_other_and_say_what_is_right(void **state)
{
    (void)state;
    static const char *const counts[] = {"0", "1.5", "10x", "", "2000M", "-3", "1k/s"};
    static const char *const rates[] = {"0", "x", "1k/m", "", "200M", "-3"};
    char why[128];
    int64_t count = 7;
    double rate = 7;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        why[0] = '\0';
        assert_int_equal(quantity_parse_count(counts[i], &count, why, sizeof why), -EINVAL);
        assert_true(why[0] != '\0');
    }
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        assert_int_equal(quantity_parse_rate(rates[i], &rate, why, sizeof why), -EINVAL);
    assert_int_equal(count, 7);
    assert_true(rate > 6.9 && rate < 7.1);
    assert_int_equal(quantity_parse_count("100k", &count, why, sizeof why), 0);
    assert_int_equal(count, 100000);
    assert_int_equal(quantity_parse_rate("0.5/s", &rate, why, sizeof why), 0);
    assert_true(rate > 0.4 && rate < 0.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(numbers_have_suffixes_of_thousands),
        pf_test(options_take_no_other_and_say_what_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
