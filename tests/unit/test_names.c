/*
 * A worker's addresses get their names in the log, from a process of their own: static and
 * inlined functions too, and those of what the worker alone has loaded.
 */
#include "tests/lib/test.h"

#include "master/names.h"
#include "worker/crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <prefork/log.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

/* ---- the log --------------------------------------------------------------------- */

static char text[PF_CRASH_FRAMES_MAX * PF_LOG_LINE_MAX]; /* what the helper has logged */

static void write_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    char copy[PF_LOG_LINE_MAX + 2];
    int n = snprintf(copy, sizeof copy, "%d %.*s\n", (int)level, (int)len, line);
    if (write(*(int *)arg, copy, (size_t)n) != n)
        _exit(97);
}

static int let_go_arg;

static void close_it(void *arg)
{
    pf_log(PF_LOG_INFO, "let-go", "arg=%d", *(int *)arg);
}

/* Let a helper name the record's frames, and take its lines as `text`. */
static void name(const struct pf_crash_record *record)
{
    int log[2], status = -1;
    size_t len = 0;
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    pf_log_set_sink(write_line, &log[1]);
    let_go_arg = 4711;
    pid_t pid = pf__names_start(record, 5, close_it, &let_go_arg);
    pf_log_set_sink(NULL, NULL);
    close(log[1]);
    assert_true(pid > 0);
    for (ssize_t n; (n = read(log[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    text[len] = '\0';
    close(log[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void assert_says(const char *words)
{
    if (!strstr(text, words))
        fail_msg("no \"%s\" in:\n%s", words, text);
}

static unsigned count_lines(const char *words)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, words)); p++)
        n++;
    return n;
}

/* Without libbacktrace static functions have no names. */
static void skip_without_libbacktrace(void)
{
#ifndef PF__HAVE_LIBBACKTRACE
    skip();
#endif
}

/* ---- a worker that blocks -------------------------------------------------------- */

static int records[2], go[2];

static void wait_for_go(void)
{
    struct pollfd wait = {.fd = go[0], .events = POLLIN};
    while (poll(&wait, 1, -1) != 1) /* no signal restarts it: signal(7) */
        continue;
}

static inline __attribute__((always_inline)) void inlined_wait(void)
{
    wait_for_go();
    __asm__ volatile("");
}

static NOINLINE void block_here(void)
{
    inlined_wait();
    __asm__ volatile(""); /* no tail call, that would leave no frame */
}

static pid_t start_blocked(void)
{
    assert_int_equal(pipe2(records, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (pf__crash_install(records[1]) != 0 || pf__crash_thread(2) != 0)
        _exit(1);
    raise(PF_CRASH_SIGNAL_DUMP); /* it is ready */
    block_here();
    _exit(0);
}

static void take_record(pid_t pid, struct pf_crash_record *out)
{
    struct pf_crash_record bytes;
    struct pollfd wait = {.fd = records[0], .events = POLLIN};
    assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
    ssize_t len = read(records[0], &bytes, sizeof bytes);
    assert_true(len > 0 && pf__crash_valid(&bytes, (size_t)len, pid, out));
}

static void end_blocked(pid_t pid)
{
    int status = -1;
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(records[i]);
        close(go[i]);
    }
}

/* Asleep in poll(2): only there it is sure to be in block_here(). */
static bool is_asleep(pid_t pid)
{
    char path[64], line[512], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    if (fgets(line, sizeof line, file))
        state = strrchr(line, ')')[2];
    fclose(file);
    return state == 'S';
}

static void a_blocked_function_is_named_though_it_is_static(void **state)
{
    (void)state;
    struct pf_crash_record record;
    char expected[128];
    skip_without_libbacktrace();
    pid_t pid = start_blocked();
    take_record(pid, &record);
    while (!is_asleep(pid))
        sched_yield();
    assert_int_equal(kill(pid, PF_CRASH_SIGNAL_DUMP), 0);
    take_record(pid, &record);
    name(&record);
    end_blocked(pid);
    assert_says("block_here at unit/test_names.c:");
    assert_says("inlined_wait at unit/test_names.c:");
    assert_says(" inlined in block_here at unit/test_names.c:");
    assert_says("start_blocked at unit/test_names.c:");
    assert_says("let-go arg=4711");
    snprintf(expected, sizeof expected, "backtrace worker=5 pid=%d lane=2 #", (int)pid);
    assert_int_equal(count_lines(expected), record.count);
    assert_int_equal(count_lines("\n2 "), record.count); /* each a warning */
}

/* ---- records made here ----------------------------------------------------------- */

static pid_t pid_of_nobody(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static struct pf_crash_record record_of(pid_t pid, uint64_t pc)
{
    return (struct pf_crash_record){
        .pid = pid, .tid = pid, .lane = PF_CRASH_LANE_NONE, .count = 1, .pc = {pc}};
}

static void one_that_is_dead_is_named_by_the_masters_own_image(void **state)
{
    (void)state;
    skip_without_libbacktrace();
    struct pf_crash_record record = record_of(pid_of_nobody(), (uintptr_t)block_here);
    name(&record);
    assert_says("lane=- #0 block_here at unit/test_names.c:");
}

static void what_has_no_debug_information_is_named_by_its_symbol(void **state)
{
    (void)state;
    void *address = dlsym(RTLD_DEFAULT, "qsort");
    assert_non_null(address);
    struct pf_crash_record record = record_of(getpid(), (uintptr_t)address);
    name(&record);
    if (!strstr(text, "qsort at ")) /* it has some after all, or a wrapper */
        assert_says("#0 qsort");
}

static void an_address_of_nothing_is_printed_as_it_is(void **state)
{
    (void)state;
    struct pf_crash_record record = record_of(getpid(), 0);
    record.count = 3;
    record.pc[1] = 1;
    record.pc[2] = UINT64_MAX;
    name(&record);
    assert_says("#0 [0x0]\n");
    assert_says("#1 [0x1]\n");
    assert_says("#2 [0xffffffffffffffff]\n");
}

static void a_record_without_frames_says_so(void **state)
{
    (void)state;
    struct pf_crash_record record = record_of(getpid(), 0);
    record.count = 0;
    name(&record);
    assert_says("no-frames\n");
    assert_int_equal(count_lines("backtrace"), 1);
}

/* The library as a shared object, beside this program: nothing here has it loaded. */
static void find_module(char path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 64);
    assert_true(len > 0);
    path[len] = '\0';
    for (int i = 0; i < 3; i++)
        *strrchr(path, '/') = '\0';
    memcpy(path + strlen(path), "/lib/libprefork.so", sizeof "/lib/libprefork.so");
}

static void what_the_worker_alone_has_loaded_is_named_while_it_lives(void **state)
{
    (void)state;
    char path[PATH_MAX];
    uint64_t address = 0;
    skip_without_libbacktrace();
    pf_test_skip_under_valgrind(); /* under which the program is another */
    find_module(path);
    if (access(path, R_OK) != 0)
        skip();
    assert_int_equal(pipe2(records, O_CLOEXEC), 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        void *function = module ? dlsym(module, "pf_version") : NULL;
        if (write(records[1], &function, sizeof function) != sizeof function)
            _exit(1);
        wait_for_go();
        _exit(0);
    }
    assert_int_equal(read(records[0], &address, sizeof(void *)), sizeof(void *));
    assert_true(address != 0);
    struct pf_crash_record record = record_of(pid, address);
    name(&record);
    end_blocked(pid);
    assert_says("#0 pf_version at loop/version.c:");

    name(&record); /* it is dead: nobody knows any more */
    char expected[64];
    snprintf(expected, sizeof expected, "#0 [0x%llx]\n", (unsigned long long)address);
    assert_says(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_blocked_function_is_named_though_it_is_static),
        pf_test(one_that_is_dead_is_named_by_the_masters_own_image),
        pf_test(what_has_no_debug_information_is_named_by_its_symbol),
        pf_test(an_address_of_nothing_is_printed_as_it_is),
        pf_test(a_record_without_frames_says_so),
        pf_test(what_the_worker_alone_has_loaded_is_named_while_it_lives),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
