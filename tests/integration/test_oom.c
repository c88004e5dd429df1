/*
 * test_oom.c - whom the kernel would kill when memory runs out.
 */
#include "tests/lib/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static long score_of(pid_t pid)
{
    char path[64], text[32];
    snprintf(path, sizeof path, "/proc/%ld/oom_score_adj", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = 0;
    return strtol(text, NULL, 10);
}

static long at_most_1000(long score)
{
    return score < 1000 ? score : 1000;
}

static void workers_go_before_their_master(void **state)
{
    (void)state;
    static struct pf_test_server server;
    static const char *const by[] = {"17", "1000"};
    long ours = score_of(getpid());
    for (size_t i = 0; i < 2; i++) {
        pf_test_server_start(&server, ARGS("-w", "2", "--oom-score-adj", by[i]));
        assert_int_equal(score_of(server.pid), ours);
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(score_of(server.workers[k]),
                             at_most_1000(ours + strtol(by[i], NULL, 10)));
        assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    }
}

static void so_they_do_as_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    static struct pf_test_server server;
    long ours = score_of(getpid());
    pf_test_server_start(&server, ARGS("-w", "1", "--oom-score-adj", "17", "--user",
                                       "54321", "--group", "54321"));
    assert_int_equal(score_of(server.workers[0]), at_most_1000(ours + 17));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void without_the_option_all_stay_as_they_are(void **state)
{
    (void)state;
    static struct pf_test_server server;
    long ours = score_of(getpid());
    pf_test_server_start(&server, ARGS("-w", "1"));
    assert_int_equal(score_of(server.pid), ours);
    assert_int_equal(score_of(server.workers[0]), ours);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(workers_go_before_their_master),
        pf_test(so_they_do_as_another_user),
        pf_test(without_the_option_all_stay_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
