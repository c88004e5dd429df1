/* Answers that are due later. */
#include "tests/lib/test.h"

#include "bench/owed.h"
#include <errno.h>

static void they_come_out_in_the_order_in_which_they_went_in(void **state)
{
    (void)state;
    struct owed_queue queue = {0};
    int64_t in = 0, out = 0;
    assert_int_equal(owed_due(&queue), INT64_MAX);
    /* Round and round the ring, and through all its sizes up to 4096. */
    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < 3; i++, in++)
            assert_int_equal(
                owed_push(&queue, (struct owed){in, (int)in % 7, 0, CANNED_HEAD}), 0);
        for (int i = 0; i < 2; i++, out++) {
            assert_int_equal(owed_due(&queue), out);
            struct owed owed = owed_take(&queue);
            assert_int_equal(owed.due_ns, out);
            assert_int_equal(owed.fd, (int)out % 7);
        }
    }
    assert_int_equal(queue.count, in - out);
    owed_free(&queue);
    assert_int_equal(owed_due(&queue), INT64_MAX);
}

static void there_may_be_so_many_and_no_more(void **state)
{
    (void)state;
    struct owed_queue queue = {0};
    const struct owed owed = {5, 1, 0, CANNED};
    for (size_t i = 0; i < OWED_MAX; i++)
        if (owed_push(&queue, owed) != 0)
            fail_msg("%zu", i);
    assert_int_equal(owed_push(&queue, owed), -ENOBUFS);
    assert_int_equal(queue.count, OWED_MAX);
    (void)owed_take(&queue);
    assert_int_equal(owed_push(&queue, owed), 0);
    assert_int_equal(owed_push(&queue, owed), -ENOBUFS);
    owed_free(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(they_come_out_in_the_order_in_which_they_went_in),
        pf_test(there_may_be_so_many_and_no_more),
    };
    return cmocka_run_group_tests_name("owed", tests, NULL, NULL);
}
