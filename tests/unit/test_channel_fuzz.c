/* test_channel_fuzz.c - the inputs that taught something about a channel, tried again. */
#include "tests/lib/test.h"

#include "tests/lib/corpus.h"

#include "tests/fuzz/fuzz_ipc.c"

#define CORPUS "tests/fuzz/corpus/ipc"

static void the_corpus_is_heard_as_the_model_says_and_leaves_nothing_open(void **state)
{
    (void)state;
    assert_true(pf_test_corpus(CORPUS, LLVMFuzzerTestOneInput) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_corpus_is_heard_as_the_model_says_and_leaves_nothing_open),
    };
    return cmocka_run_group_tests_name("channel-fuzz", tests, NULL, NULL);
}
