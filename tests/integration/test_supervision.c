/*
 * test_supervision.c - workers and masters that die, under clients that count what they
 * lose.
 *
 * PF_TEST_LONG=1 in the environment makes the storms as long as they should be now and
 * then.
 */
#include "tests/lib/server.h"
#include "tests/lib/swarm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define GREETER     "tests/apps/greeter"
#define FAULTY      "tests/apps/faulty"
#define PID_REQUEST "GET /pid HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
#define GET         "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

static char answer[65536];

static int long_ms(int short_ms, int ms)
{
    const char *value = getenv("PF_TEST_LONG");
    return value && strcmp(value, "1") == 0 ? ms : short_ms;
}

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

/* ---- workers killed under load --------------------------------------------------- */

enum {
    SLOTS = 2,
    KILLS_LEAST = 5,
    KILLS_MAX = 1000
};

struct storm {
    struct pf_test_server server;
    pf_swarm *swarm;
    size_t read_to; /* of the server's words */
    struct {
        pid_t accepts; /* 0: killed, its successor does not accept yet */
        long long killed_at_us;
    } slots[SLOTS];
    unsigned kills, returns;
    long long times_us[KILLS_MAX]; /* from the kill until the slot accepts again */
    unsigned dice;
};

/* Which slots accept again, by the log. */
static void look(struct storm *storm)
{
    static const char word[] = "worker-accepts worker=";
    pf_test_server_listen(&storm->server);
    for (;;) {
        const char *at = strstr(storm->server.text + storm->read_to, word);
        const char *end = at ? strchr(at, '\n') : NULL;
        if (!end)
            return;
        unsigned slot;
        int pid;
        assert_int_equal(sscanf(at + strlen(word), "%u pid=%d", &slot, &pid), 2);
        assert_true(slot < SLOTS);
        storm->read_to = (size_t)(end - storm->server.text);
        if (storm->slots[slot].accepts || storm->returns == KILLS_MAX)
            continue;
        storm->slots[slot].accepts = pid;
        storm->times_us[storm->returns++] = now_us() - storm->slots[slot].killed_at_us;
    }
}

static void serve_for(struct storm *storm, int ms)
{
    for (long long end = now_us() + ms * 1000LL; now_us() < end;) {
        pf_swarm_run(storm->swarm, 1);
        look(storm);
    }
}

static bool is_stopped(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *state = strrchr(text, ')');
    return state && strncmp(state, ") T", 3) == 0;
}

/* Between two instructions of its own, and with a queue before it that grows. */
static void stop_and_note(struct storm *storm, pid_t pid)
{
    assert_int_equal(kill(pid, SIGSTOP), 0);
    while (!is_stopped(pid))
        pf_swarm_run(storm->swarm, 1);
    if (!pf_swarm_mark(storm->swarm, pid)) {
        pf_swarm_free(storm->swarm);
        (void)pf_test_server_stop(&storm->server, SIGKILL);
        pf_swarm_records_end();
        skip(); /* pidfd_getfd(2) is not permitted here */
    }
    pf_swarm_run(storm->swarm, 5);
}

static void kill_one(struct storm *storm, bool stopped)
{
    storm->dice = storm->dice * 1103515245u + 12345u;
    unsigned slot = storm->dice >> 16 & 1;
    if (!storm->slots[slot].accepts)
        slot ^= 1;
    pid_t pid = storm->slots[slot].accepts;
    if (!pid)
        return;
    if (stopped)
        stop_and_note(storm, pid);
    storm->slots[slot].accepts = 0;
    storm->slots[slot].killed_at_us = now_us();
    assert_int_equal(kill(pid, SIGKILL), 0);
    storm->kills++;
}

static int compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static void print_times(struct storm *storm)
{
    if (storm->returns == 0)
        return;
    qsort(storm->times_us, storm->returns, sizeof *storm->times_us, compare);
    print_message(
        "# %u kills; slot accepts again, with its back-off, after: median %.1f ms, "
        "longest %.1f ms\n",
        storm->kills, (double)storm->times_us[storm->returns / 2] / 1e3,
        (double)storm->times_us[storm->returns - 1] / 1e3);
}

/* For so long, and on a slow machine until there have been some kills. */
static void kill_and_serve(struct storm *storm, bool stopped)
{
    long long began = now_us(), last = began + PF_TEST_DEADLINE_S * 1000000LL;
    long long end = began + long_ms(4000, 20000) * 1000LL;
    while (now_us() < end || (storm->kills < KILLS_LEAST && now_us() < last)) {
        serve_for(storm, 100);
        kill_one(storm, stopped);
    }
}

static void rage(bool stopped)
{
    static struct storm storm;
    storm = (struct storm){.dice = 4711};
    pf_swarm_records();
    pf_test_program_start(&storm.server, GREETER, ARGS("--bind", "127.0.0.1:0", "-w", "2"));
    storm.read_to = storm.server.text_len;
    for (unsigned i = 0; i < SLOTS; i++)
        storm.slots[i].accepts = storm.server.workers[i];
    struct pf_swarm_options options = {
        .port = storm.server.port, .connections = 32, .request = "pid\n", .greeting = true};
    storm.swarm = pf_swarm_new(&options);
    kill_and_serve(&storm, stopped);
    assert_int_equal(pf_swarm_finish(storm.swarm), 0);
    look(&storm);
    const struct pf_swarm_counts *counts = pf_swarm_counts(storm.swarm);
    pf_swarm_print(storm.swarm, stopped ? "killed with a queue" : "killed at any moment");
    print_times(&storm);
    assert_true(storm.kills >= KILLS_LEAST);
    assert_true(counts->served > storm.kills);
    assert_int_equal(counts->refused, 0);
    assert_int_equal(counts->not_connected, 0);
    if (stopped)
        assert_int_equal(counts->lost_queued, 0);
    else /* the one between accept4(2) and its record: see swarm.h */
        assert_true(counts->lost_queued <= storm.kills);
    assert_int_equal(counts->attempted, counts->served + counts->lost_queued +
                                            counts->lost_accepted + counts->lost_asking);
    pf_swarm_free(storm.swarm);
    assert_int_equal(pf_test_server_stop(&storm.server, SIGTERM), 0);
    pf_swarm_records_end();
}

static void no_queued_connection_is_lost_with_a_killed_worker(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* whose processes hold descriptors of their own */
    rage(true);
}

static void workers_killed_at_any_moment_are_replaced_and_nobody_is_refused(void **state)
{
    (void)state;
    rage(false);
}

/* ---- the master killed ----------------------------------------------------------- */

static int ask(int port, const char *request)
{
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    return fd;
}

static void workers_without_a_master_leave_and_a_new_master_starts_at_once(void **state)
{
    (void)state;
    enum {
        OPEN = 10
    };
    static struct pf_test_server old, new;
    pf_test_program_start(&old, "bin/prefork-server",
                          ARGS("-b", "127.0.0.1:0", "-w", "2", "--drain-timeout", "2s"));
    int fds[OPEN];
    for (int i = 0; i < OPEN; i++) {
        fds[i] = ask(old.port, GET);
        assert_true(pf_test_read_response(fds[i], answer, sizeof answer) > 0);
    }
    int begun = ask(old.port, "GET / HTTP/1.1\r\nHo");
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", old.port);
    pf_test_server_kill(&old);
    pf_test_program_start(&new, "bin/prefork-server", ARGS("-b", address, "-w", "2"));
    assert_int_equal(new.port, old.port);
    /* The request that was begun holds its worker until the drain limit. */
    assert_int_equal(pf_test_server_wait(&old), 128 + SIGKILL);
    for (int i = 0; i < OPEN; i++)
        close(fds[i]);
    close(begun);
    struct pf_swarm_options options = {
        .port = new.port, .connections = 8, .total = 200, .request = GET};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000), 0);
    assert_int_equal(pf_swarm_counts(swarm)->served, 200);
    pf_swarm_free(swarm);
    assert_int_equal(pf_test_server_stop(&new, SIGTERM), 0);
}

static void a_blocked_worker_without_a_master_leaves_at_the_drain_limit_too(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "2", "--drain-timeout", "1s"));
    /* Longer than any wait here: it would be seen. */
    int fd = ask(server.port, "GET /block?ms=3600000 HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "faulty: blocks pid=");
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    assert_int_equal(pf_test_server_wait(&server),
                     128 + SIGKILL); /* nobody holds the pipe */
    close(fd);
}

static void orphans_that_are_told_to_die_do_so_at_once(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--orphan", "die", "--drain-timeout", "1h"));
    int fd = ask(server.port, "GET /pid HTTP/1.1\r\nHo");
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    assert_int_equal(pf_test_server_wait(&server), 128 + SIGKILL);
    close(fd);
}

/* ---- boots that fail ------------------------------------------------------------- */

static void unset_faults(void)
{
    unsetenv("PF_FAULTY_BOOT");
    unsetenv("PF_FAULTY_SLOT");
    unsetenv("PF_FAULTY_IF");
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Of the children that have ended, and theirs. */
static double cpu_of_children(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static void a_server_that_cannot_boot_backs_off_and_ends_with_78(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* its own CPU time */
    static const char *const ways[] = {"crash", "exit", "error"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        static struct pf_test_server server;
        double before = cpu_of_children();
        long long began = now_us();
        setenv("PF_FAULTY_BOOT", ways[i], 1);
        pf_test_program_spawn(&server, NULL, FAULTY, ARGS("-b", "127.0.0.1:0", "-w", "1"));
        assert_int_equal(pf_test_server_wait(&server), 78);
        unset_faults();
        double cpu = cpu_of_children() - before, lasted = (double)(now_us() - began) / 1e6;
        double first = 0, last = 0;
        unsigned delays = 0;
        const char *at = server.text;
        for (; (at = strstr(at, "next-in=")); at++, delays++) {
            last = strtod(at + strlen("next-in="), NULL);
            first = delays ? first : last;
        }
        print_message(
            "# boot fails by %s: %u delays, %.1f s to %.1f s, %.2f of %.1f s on a CPU\n",
            ways[i], delays, first, last, cpu, lasted);
        assert_true(delays >= 3);
        assert_true(last > first);
        assert_true(cpu < lasted * 0.9); /* it waits, and does not spin */
        assert_non_null(strstr(server.text, "boot-failure"));
        /* Its last words stand where the server says that it gives up. */
        const char *end = strstr(server.text, "faulty: there is no database here");
        assert_non_null(end);
        for (const char *next = end; next; next = strstr(end + 1, "cause=boot-failure"))
            end = next;
        assert_non_null(strstr(end, "there is no database here"));
    }
}

/* 400 connections, one at a time on each of 8 clients, all served. */
static void assert_all_are_served(int port)
{
    struct pf_swarm_options options = {
        .port = port, .connections = 8, .total = 400, .request = PID_REQUEST};
    pf_swarm *swarm = pf_swarm_new(&options);
    unsigned open = pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000);
    pf_swarm_print(swarm, "one bad slot of four");
    assert_int_equal(open, 0);
    assert_int_equal(pf_swarm_counts(swarm)->served, 400);
    pf_swarm_free(swarm);
}

static void one_slot_that_goes_bad_costs_no_connection(void **state)
{
    (void)state;
    static struct pf_test_server server;
    char file[] = "/tmp/prefork-faulty-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    unlink(file);
    setenv("PF_FAULTY_BOOT", "crash", 1);
    setenv("PF_FAULTY_SLOT", "2", 1);
    setenv("PF_FAULTY_IF", file, 1);
    pf_test_program_start(&server, FAULTY, ARGS("-b", "127.0.0.1:0", "-w", "4"));
    unset_faults();
    fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[2], SIGKILL), 0);
    pf_test_server_expect(&server, from, "cause=boot-failure");
    assert_all_are_served(server.port);
    pf_test_server_listen(&server);
    assert_null(strstr(server.text + from, "worker-accepts worker=2"));
    /* It is well again: then its slot is filled, without anybody's doing. */
    assert_int_equal(unlink(file), 0);
    pf_test_server_expect(&server, from, "worker-accepts worker=2");
    assert_all_are_served(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void one_slot_that_never_boots_costs_no_connection(void **state)
{
    (void)state;
    static struct pf_test_server server;
    char address[32];
    int port = free_port();
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    setenv("PF_FAULTY_BOOT", "crash", 1);
    setenv("PF_FAULTY_SLOT", "2", 1);
    pf_test_program_spawn(&server, NULL, FAULTY, ARGS("-b", address, "-w", "4"));
    unset_faults();
    pf_test_server_expect(&server, 0, "worker-accepts worker=0");
    pf_test_server_expect(&server, 0, "worker-accepts worker=1");
    pf_test_server_expect(&server, 0, "worker-accepts worker=3");
    assert_all_are_served(port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- recycling ------------------------------------------------------------------- */

static void recycled_workers_fail_no_request(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_program_start(
        &server, "bin/prefork-server",
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--recycle-requests", "200"));
    struct pf_swarm_options options = {
        .port = server.port, .connections = 16, .requests = 10, .request = GET};
    pf_swarm *swarm = pf_swarm_new(&options);
    /* Each slot more than once: the successors are recycled too. */
    long long end = now_us() + PF_TEST_DEADLINE_S * 1000000LL;
    while (count_of(server.text, "cause=recycled") < 4 && now_us() < end) {
        pf_swarm_run(swarm, 20);
        pf_test_server_listen(&server);
    }
    assert_int_equal(pf_swarm_finish(swarm), 0);
    const struct pf_swarm_counts *counts = pf_swarm_counts(swarm);
    pf_swarm_print(swarm, "recycling");
    assert_true(count_of(server.text, "cause=recycled") >= 4);
    assert_int_equal(counts->attempted, counts->served);
    assert_int_equal(counts->errors, 0);
    pf_swarm_free(swarm);
    pid_t now[8];
    unsigned count = pf_test_children(server.pid, now, 8);
    assert_true(count >= 2); /* and perhaps one that still leaves */
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- process 1 ------------------------------------------------------------------- */

/* Run a program to its end; returns its exit status. */
static int run(const char *const argv[], int input)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDWR);
        dup2(input >= 0 ? input : nothing, STDIN_FILENO);
        dup2(nothing, STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until that process has so many children; polled, for nothing tells it. */
static void wait_for_children(pid_t parent, unsigned count)
{
    pid_t pids[16];
    long long end = now_us() + PF_TEST_DEADLINE_S * 1000000LL;
    while (pf_test_children(parent, pids, 16) != count) {
        if (now_us() > end)
            fail_msg("process %d does not come to have %u children", parent, count);
        (void)poll(NULL, 0, 5);
    }
}

#define UNSHARE "unshare", "--fork", "--pid", "--mount-proc", "--kill-child"

static void as_process_1_it_reaps_strangers_and_ends_when_told(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    if (run(ARGS(UNSHARE, "true"), -1) != 0)
        skip(); /* no namespaces for us */
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS(UNSHARE), "bin/prefork-server",
                          ARGS("-b", "127.0.0.1:0", "-w", "2"));
    pf_test_server_read_banner(&server);
    pid_t init;
    assert_int_equal(pf_test_children(server.pid, &init, 1), 1);
    wait_for_children(init, 2);

    /* One whose parent leaves before it does: it becomes the server's child. It waits for
     * the end of a pipe, and then ends with a status that is none of ours. */
    int fds[2];
    char target[16];
    snprintf(target, sizeof target, "%d", init);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(run(ARGS("nsenter", "--target", target, "--pid", "--mount", "sh", "-c",
                              "exec 3<&0; (read line <&3; exit 78) & exit 0"),
                         fds[0]),
                     0);
    wait_for_children(init, 3);
    close(fds[1]);
    close(fds[0]);
    wait_for_children(init, 2);

    struct pf_swarm_options options = {
        .port = server.port, .connections = 4, .total = 50, .request = GET};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000), 0);
    assert_int_equal(pf_swarm_counts(swarm)->served, 50);
    pf_swarm_free(swarm);
    assert_int_equal(kill(init, SIGTERM), 0);
    assert_int_equal(pf_test_server_wait(&server), 0);
    assert_null(strstr(server.text, "worker-ended worker=0 cause=crash"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(no_queued_connection_is_lost_with_a_killed_worker),
        pf_test(workers_killed_at_any_moment_are_replaced_and_nobody_is_refused),
        pf_test(workers_without_a_master_leave_and_a_new_master_starts_at_once),
        pf_test(a_blocked_worker_without_a_master_leaves_at_the_drain_limit_too),
        pf_test(orphans_that_are_told_to_die_do_so_at_once),
        pf_test(a_server_that_cannot_boot_backs_off_and_ends_with_78),
        pf_test(one_slot_that_goes_bad_costs_no_connection),
        pf_test(one_slot_that_never_boots_costs_no_connection),
        pf_test(recycled_workers_fail_no_request),
        pf_test(as_process_1_it_reaps_strangers_and_ends_when_told),
    };
    return cmocka_run_group_tests_name("supervision", tests, NULL, NULL);
}
