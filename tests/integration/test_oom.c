/*
 * test_oom.c - whom the kernel would kill when memory runs out.
 */
#include "tests/lib/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* ---- when it has run out ---------------------------------------------------------- */

static bool write_to(const char *directory, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* Make a control group with little memory, of either version; false: not here. */
static bool make_group(char *directory, size_t len)
{
    static const char *const roots[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
    static const char *const limits[] = {"memory.limit_in_bytes", "memory.max"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(directory, len, "%s/prefork-test-%d", roots[i], (int)getpid());
        if (mkdir(directory, 0700) != 0)
            continue;
        if (write_to(directory, limits[i], "268435456"))
            return true;
        (void)rmdir(directory);
    }
    return false;
}

/* The first one already: what the kernel had counted before is known. */
static void a_worker_that_is_killed_for_memory_is_told_from_others(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    static struct pf_test_server server;
    char directory[64], script[128], answer[64];
    if (!make_group(directory, sizeof directory))
        skip();
    snprintf(script, sizeof script, "echo $$ >%s/cgroup.procs && exec \"$@\"", directory);
    pf_test_program_spawn(&server, ARGS("sh", "-c", script, "sh"), "tests/apps/faulty",
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--oom-score-adj", "1000"));
    pf_test_server_read_banner(&server);
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, "GET /eat HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) <= 0);
    close(fd);
    pf_test_server_expect(&server, 0, "uptime=");
    assert_non_null(strstr(server.text, "cause=out-of-memory signal=9"));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(workers_go_before_their_master),
        pf_test(so_they_do_as_another_user),
        pf_test(without_the_option_all_stay_as_they_are),
        pf_test(a_worker_that_is_killed_for_memory_is_told_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
