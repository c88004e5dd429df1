/* What the command line asks of this machine: in a process of its own, whose limits it
 * changes. */
#include "tests/lib/test.h"

#include "bench/cli_internal.h"
#include "bench/preflight.h"
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

const struct mode mode_run; /* the program's, which is not linked here */

/* --overflow connect: how many connections at the most, with so many descriptors. */
static unsigned grown(int64_t connections, int64_t threads, int64_t procs, rlim_t nofile)
{
    int says[2];
    unsigned most = 0;
    assert_int_equal(pipe(says), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cli_config config = {
            .connections = connections, .threads = threads, .procs = procs};
        struct rlimit limit = {nofile, nofile};
        static struct plan plan;
        plan.overflow = PLAN_CONNECT;
        plan.connections = (unsigned)connections;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || cli_set_machine(&config, &plan) != 0)
            _exit(1);
        (void)!write(says[1], &plan.connections_max, sizeof plan.connections_max);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(says[0], &most, sizeof most), sizeof most);
    close(says[0]);
    close(says[1]);
    return most;
}

static void connections_that_are_added_leave_descriptors_for_the_rest(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* it keeps descriptors for itself */
    static const struct {
        int64_t connections, threads, procs;
        rlim_t nofile;
        unsigned most; /* 0: as many as there are descriptors for, but no more */
    } rows[] = {
        {4, 1, 1, 1024, 64},  /* many times what was asked for */
        {64, 1, 1, 1024, 0},  /* as many as the limit itself */
        {62, 1, 1, 1024, 0},  /* a few less */
        {100, 4, 1, 1024, 0}, /* threads want some, too */
        {100, 3, 2, 512, 0},  /* one process has twice the connections of the other */
        {100, 2, 2, 512, 0},
        {100, 1, 1, 64, 100}, /* too few from the start: that is told elsewhere */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t threads = rows[i].threads, procs = rows[i].procs;
        unsigned most = grown(rows[i].connections, threads, procs, rows[i].nofile);
        if (rows[i].most) {
            assert_int_equal(most, rows[i].most);
            continue;
        }
        int64_t own = (threads + procs - 1) / procs; /* of the fullest process */
        int64_t each = (most + threads - 1) / threads;
        int64_t want = own * (each + PREFLIGHT_FDS_PER_THREAD) + PREFLIGHT_FDS_BESIDE;
        assert_true(want <= (int64_t)rows[i].nofile);
        assert_true(want > (int64_t)rows[i].nofile - 2 * threads); /* and it is used */
        assert_true(most > rows[i].connections);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(connections_that_are_added_leave_descriptors_for_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
