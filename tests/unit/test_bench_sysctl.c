/* Settings of the kernel, as they are here. */
#include "tests/lib/test.h"

#include "bench/sysctl.h"

static void numbers_are_read_as_many_as_there_are(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned most, count;
    } rows[] = {
        {"kernel/pid_max", 1, 1},
        {"kernel/pid_max", 4, 1},
        {"fs/file-nr", 1, 1}, /* there are three */
        {"fs/file-nr", 2, 2},
        {"fs/file-nr", 4, 3},
        {"kernel/ostype", 4, 0}, /* a word */
        {"kernel/no_such_setting", 4, 0},
        {"kernel", 4, 0},
        {"kernel/a-name-that-is-longer-than-any-setting-has-one/a-name-that-is-longer-than-"
         "any-setting-has-one/a-name-that-is-longer-than-any-setting-has-one",
         4, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t numbers[4] = {-7, -7, -7, -7};
        if (sysctl_read(rows[i].name, numbers, rows[i].most) != rows[i].count)
            fail_msg("%s", rows[i].name);
        for (unsigned n = 0; n < 4; n++)
            assert_true(n < rows[i].count ? numbers[n] >= 0 : numbers[n] == -7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(numbers_are_read_as_many_as_there_are),
    };
    return cmocka_run_group_tests_name("sysctl", tests, NULL, NULL);
}
