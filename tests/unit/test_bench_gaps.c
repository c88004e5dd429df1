/* Times without an answer: of one unit, and over several. */
#include "tests/lib/test.h"

#include "bench/gaps.h"
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)

static struct gap longest_of(const int64_t *answers_ms, size_t count, int64_t end_ms)
{
    struct gaps gaps;
    gaps_begin(&gaps, MS);
    for (size_t i = 0; i < count; i++)
        gaps_ok(&gaps, answers_ms[i] * MS);
    gaps_end(&gaps, end_ms * MS);
    return gaps_longest(&gaps);
}

static void the_longest_gap_may_be_at_either_end(void **state)
{
    (void)state;
    static const struct {
        int64_t answers[4], end, from, to; /* ms; it begins at 1 */
    } rows[] = {
        {{2, 3, 4, 5}, 6, 1, 2},     {{10, 11, 12, 13}, 14, 1, 10},
        {{2, 3, 20, 21}, 22, 3, 20}, {{2, 3, 4, 5}, 50, 5, 50},
        {{2, 9, 9, 16}, 17, 2, 9}, /* of equals the first */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gap gap = longest_of(rows[i].answers, 4, rows[i].end);
        assert_int_equal(gap.from_ns, rows[i].from * MS);
        assert_int_equal(gap.to_ns, rows[i].to * MS);
    }
    assert_int_equal(longest_of(NULL, 0, 9).to_ns, 9 * MS);
}

static void short_ones_push_no_long_one_out(void **state)
{
    (void)state;
    struct gaps gaps;
    gaps_begin(&gaps, MS);
    int64_t now = MS;
    gaps_ok(&gaps, now += 500 * MS);
    for (int i = 0; i < 10 * GAPS_MAX; i++)
        gaps_ok(&gaps, now += (1 + i % 7) * MS);
    assert_int_equal(gaps.count, GAPS_MAX);
    struct gap gap = gaps_longest(&gaps);
    assert_int_equal(gap.from_ns, MS);
    assert_int_equal(gap.to_ns, 501 * MS);
}

/* Below `sides`; the same throws for a seed each time. */
static unsigned roll(uint64_t *seed, unsigned sides)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*seed >> 33) % sides;
}

/* Answers of several units, at random: the gaps of their sum are those of all answers in
 * one row. */
static void over_several_units_a_gap_is_one_of_all(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        uint64_t seed = round + 1;
        unsigned units = 1 + roll(&seed, 4);
        struct gaps each[4], all, sum;
        memset(&sum, 0, sizeof sum);
        gaps_begin(&all, MS);
        for (unsigned u = 0; u < units; u++)
            gaps_begin(&each[u], MS);
        int64_t now = MS;
        for (int i = 0; i < 25; i++) {
            now += roll(&seed, 100) * MS;
            gaps_ok(&each[roll(&seed, units)], now);
            gaps_ok(&all, now);
        }
        for (unsigned u = 0; u < units; u++) {
            gaps_end(&each[u], now + MS);
            gaps_merge(&sum, &each[u]);
        }
        gaps_end(&all, now + MS);
        struct gap gap = gaps_longest(&sum), expected = gaps_longest(&all);
        assert_int_equal(gap.to_ns - gap.from_ns, expected.to_ns - expected.from_ns);
    }
}

static void a_unit_that_has_not_begun_says_nothing(void **state)
{
    (void)state;
    struct gaps gaps, none, sum;
    memset(&none, 0, sizeof none);
    memset(&sum, 0, sizeof sum);
    gaps_begin(&gaps, MS);
    gaps_end(&gaps, 8 * MS);
    gaps_merge(&sum, &none);
    gaps_merge(&sum, &gaps);
    gaps_merge(&sum, &none);
    assert_int_equal(gaps_longest(&sum).to_ns, 8 * MS);
    assert_int_equal(gaps_longest(&none).to_ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_longest_gap_may_be_at_either_end),
        pf_test(short_ones_push_no_long_one_out),
        pf_test(over_several_units_a_gap_is_one_of_all),
        pf_test(a_unit_that_has_not_begun_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
