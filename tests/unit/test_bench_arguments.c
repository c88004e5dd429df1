/* Options and words in any order. */
#include "tests/lib/test.h"

#include "bench/arguments.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct config {
    int64_t number;
    bool flag;
};

static const struct pf_option options[] = {
    {.name = "number",
     .letter = 'n',
     .type = PF_OPTION_INT,
     .at = offsetof(struct config, number),
     .max = 100,
     .argument = "N",
     .help = "a number"},
    {.name = "flag",
     .letter = 'f',
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct config, flag),
     .help = "a flag"},
    {0},
};

static void words_stand_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *argv[8];
        int count;
        const char *words[2], *error;
        int64_t number;
        bool flag;
    } rows[] = {
        {{"name"}, 0, {NULL}, NULL, 0, false},
        {{"name", "a"}, 1, {"a"}, NULL, 0, false},
        {{"name", "-n", "5", "a", "-f"}, 1, {"a"}, NULL, 5, true},
        {{"name", "a", "-n5", "b"}, 2, {"a", "b"}, NULL, 5, false},
        {{"name", "a", "b", "--number=7", "-f"}, 2, {"a", "b"}, NULL, 7, true},
        {{"name", "a", "b", "-f", "c"}, -E2BIG, {"a", "b"}, "c", 0, true},
        {{"name", "a", "--none"}, -EINVAL, {"a"}, "--none", 0, false},
        {{"name", "a", "-n", "101"}, -EINVAL, {"a"}, "101", 0, false},
        {{"name", "a", "-n"}, -EINVAL, {"a"}, "-n", 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config = {0};
        const struct pf_option_set sets[] = {{options, &config}, {NULL, NULL}};
        char *argv[8] = {NULL}, error[PF_OPTION_ERROR_MAX] = "";
        const char *words[2] = {NULL, NULL};
        int argc = 0;
        for (; argc < 8 && rows[i].argv[argc]; argc++)
            argv[argc] = strdup(rows[i].argv[argc]);
        int count = arguments_parse(sets, argc, argv, words, 2, error);
        if (count != rows[i].count || (rows[i].error && !strstr(error, rows[i].error)))
            fail_msg("row %zu: %d, %s", i, count, error);
        for (int n = 0; n < 2 && rows[i].words[n]; n++)
            assert_string_equal(words[n], rows[i].words[n]);
        if (count >= 0)
            assert_int_equal(config.number, rows[i].number);
        assert_int_equal(config.flag, rows[i].flag);
        for (int n = 0; n < argc; n++)
            free(argv[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(words_stand_anywhere),
    };
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
