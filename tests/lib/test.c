#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fds_before;

int pf_test_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    int n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

int pf_test_setup(void **state)
{
    (void)state;
    fds_before = pf_test_count_fds();
    return 0;
}

/* So that one test's leftovers fail that test only. */
static void clear_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *file = fopen(path, "re");
    long pid;
    while (file && fscanf(file, "%ld", &pid) == 1)
        kill((pid_t)pid, SIGKILL);
    if (file)
        fclose(file);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

int pf_test_teardown(void **state)
{
    (void)state;
    int failed = 0;
    int fds = pf_test_count_fds();
    if (fds != fds_before) {
        print_error("the test left %d descriptors open\n", fds - fds_before);
        failed = -1;
    }
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid != -1 || errno != ECHILD) {
        print_error("the test left a child behind (waitpid: %d)\n", (int)pid);
        failed = -1;
        clear_children();
    }
    return failed;
}

void pf_test_skip_without_localhost(void)
{
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0)
        skip();
    freeaddrinfo(found);
}

void pf_test_skip_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "vgpreload"))
        skip();
}

void pf_test_skip_without(const char *program)
{
    char path[PATH_MAX];
    for (const char *at = getenv("PATH"); at && *at; at += *at == ':') {
        size_t len = strcspn(at, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)len, at, program);
        if (access(path, X_OK) == 0)
            return;
        at += len;
    }
    skip();
}

struct body {
    void (*run)(void *arg);
    void *arg;
};

static void run_body(void **state)
{
    struct body *body = *state;
    body->run(body->arg);
}

static int run_as_group(void (*run)(void *), void *arg)
{
    struct body body = {run, arg};
    const struct CMUnitTest tests[] = {
        {"in the child", run_body, NULL, NULL, &body},
    };
    /* Only the parent's own report goes to standard output. */
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    if (!freopen("/dev/null", "w", stdout))
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

static void assert_exits_with_zero(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void pf_test_in_child(void (*body)(void *), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_as_group(body, arg));
    assert_exits_with_zero(pid);
}

void pf_test_in_raw_clone(void (*body)(void *), void *arg)
{
    fflush(NULL);
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_as_group(body, arg));
    assert_exits_with_zero(pid);
}
