/*
 * test_hang.c - handlers that do not return, and what only looks like it.
 *
 * Nothing here is judged by how long it takes. A handler blocks until the test lets it go;
 * what must not happen within a limit has not happened when another worker, which has been
 * still for less long, has been found to be beyond it.
 *
 * PF_TEST_LONG=1 in the environment: limits as long as they are in earnest.
 */
#include "tests/lib/server.h"
#include "tests/lib/swarm.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define FAULTY      "tests/apps/faulty"
#define PID_REQUEST "GET /pid HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

static struct pf_test_server server;

/* ---- handlers that block until they are let go ----------------------------------- */

static char block[64]; /* "/block" blocks while this file is there */

static int make_block(void **state)
{
    snprintf(block, sizeof block, "/tmp/prefork-block-XXXXXX");
    int fd = mkstemp(block);
    if (fd < 0)
        return -1;
    close(fd);
    setenv("PF_FAULTY_WHILE", block, 1);
    return pf_test_setup(state);
}

static void let_go(void)
{
    assert_int_equal(unlink(block), 0);
}

static int remove_block(void **state)
{
    (void)unlink(block); /* the test may have done it */
    return pf_test_teardown(state);
}

#define blocking_test(name) cmocka_unit_test_setup_teardown(name, make_block, remove_block)

/* ---- asking, and what the server says -------------------------------------------- */

static bool is_long(void)
{
    const char *value = getenv("PF_TEST_LONG");
    return value && strcmp(value, "1") == 0;
}

static int ask(const char *path)
{
    char request[128];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    return fd;
}

/* The worker that answers on fd, which is closed. */
static pid_t read_pid(int fd)
{
    char answer[4096];
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    close(fd);
    const char *at = strstr(answer, "pid=");
    assert_non_null(at);
    return (pid_t)strtol(at + strlen("pid="), NULL, 10);
}

/* Wait for `words`, and for the rest of their line, which is returned. */
static const char *expect_line(size_t from, const char *words)
{
    pf_test_server_expect(&server, from, words);
    const char *line = strstr(server.text + from, words);
    pf_test_server_expect(&server, (size_t)(line - server.text), "\n");
    return line;
}

/* The worker that says on its standard error that it begins to `what`. */
static pid_t expect_pid(size_t from, const char *what)
{
    char words[64];
    snprintf(words, sizeof words, "faulty: %s pid=", what);
    return (pid_t)strtol(expect_line(from, words) + strlen(words), NULL, 10);
}

/* "EVENT worker=SLOT pid=PID ", of one of the first workers. */
static const char *event_of(const char *event, pid_t pid)
{
    static char words[96];
    int slot = server.workers[0] == pid ? 0 : server.workers[1] == pid ? 1 : 2;
    assert_int_equal(server.workers[slot], pid);
    snprintf(words, sizeof words, "%s worker=%d pid=%d ", event, slot, (int)pid);
    return words;
}

static unsigned count(const char *words)
{
    unsigned n = 0;
    pf_test_server_listen(&server);
    for (const char *at = server.text; (at = strstr(at, words)); at++)
        n++;
    return n;
}

static void assert_never(const char *words)
{
    if (count(words) != 0)
        fail_msg("the server says \"%s\": %s", words, server.text);
}

/* The helper that names a backtrace says one line for each frame, in its own time. */
static void expect_backtrace(size_t from, const char *function)
{
    const char *first = expect_line(from, "backtrace");
    const char *name = expect_line((size_t)(first - server.text), function);
    const char *file = strstr(name, "faulty.c");
    assert_non_null(file);
    assert_true(file < strchr(name, '\n'));
}

/* Have another worker than the stopped `but` block, and return it. Whoever's queue a
 * connection goes to is the kernel's choice: one that `but` would have to take is given up.
 */
static pid_t block_another(pid_t but)
{
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    size_t from = server.text_len;
    struct pollfd wait = {.fd = server.output, .events = POLLIN};
    while (!strstr(server.text + from, "faulty: blocks pid=") && time(NULL) < end) {
        close(ask("/block"));
        (void)poll(&wait, 1, 100);
        pf_test_server_listen(&server);
    }
    pid_t pid = expect_pid(from, "blocks");
    assert_int_not_equal(pid, but);
    return pid;
}

/* ---- undead ------------------------------------------------------------------------ */

/* Its end is ours to reap first: until then it is there for its master, killed or not. */
static bool hold(pid_t pid)
{
    return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
}

static void let_end(pid_t pid)
{
    assert_int_equal(waitpid(pid, NULL, __WALL), pid);
}

static void a_worker_that_nothing_ends_is_done_without(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* a leak checker is a tracer itself, and there is one at a time */
#endif
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--recycle-requests", "1",
                               "--drain-timeout", "1s"));
    pid_t first = server.workers[0];
    if (!hold(first)) {
        (void)pf_test_server_stop(&server, SIGTERM);
        skip(); /* tracing is not permitted here */
    }
    size_t from = server.text_len;
    assert_int_equal(read_pid(ask("/pid")), first); /* and is to leave */
    pf_test_server_expect(&server, from, "worker-accepts");
    const char *line = expect_line(from, event_of("worker-undead", first));
    assert_non_null(strstr(line, "seat=free"));
    let_end(first);
    pf_test_server_expect(&server, from, "undead-ended pid=");

    pid_t second = 0; /* its successor, which is as good as any worker */
    assert_int_equal(pf_test_children(server.pid, &second, 1), 1);
    assert_true(hold(second));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    let_end(second);
    assert_int_equal(count("worker-undead"), 2);
}

/* ---- blocked --------------------------------------------------------------------- */

static void a_worker_that_stays_blocked_is_replaced_and_no_connection_is_lost(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* whose code has no names */
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "500ms",
                               "--hang-hard", is_long() ? "5s" : "2s"));
    size_t from = server.text_len;
    int blocked = ask("/block");
    pid_t pid = expect_pid(from, "blocks");
    assert_true(pid == server.workers[0] || pid == server.workers[1]);

    /* All of these are new: none has been accepted by the one that is blocked. */
    struct pf_swarm_options options = {
        .port = server.port, .connections = 8, .request = PID_REQUEST};
    pf_swarm *swarm = pf_swarm_new(&options);
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    do {
        (void)pf_swarm_run(swarm, 20);
        pf_test_server_listen(&server);
    } while (!strstr(server.text + from, "worker-accepts") && time(NULL) < end);
    assert_int_equal(pf_swarm_finish(swarm), 0);
    const struct pf_swarm_counts *counts = pf_swarm_counts(swarm);
    pf_swarm_print(swarm, "one of two blocked");
    assert_true(counts->served > 0);
    assert_int_equal(counts->attempted, counts->served);
    pf_swarm_free(swarm);

    pf_test_server_expect(&server, from, "worker-accepts");
    pf_test_server_expect(&server, from, "cause=hung"); /* its successor is there by then */
    expect_backtrace(from, "block_for_long");
    pid_t pids[8];
    unsigned children = pf_test_children(server.pid, pids, 8);
    for (unsigned i = 0; i < children; i++)
        assert_int_not_equal(pids[i], pid);
    assert_true(children >= 2);
    close(blocked);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void assert_200_are_served(void)
{
    struct pf_swarm_options options = {
        .port = server.port, .connections = 8, .total = 200, .request = PID_REQUEST};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000), 0);
    assert_int_equal(pf_swarm_counts(swarm)->served, 200);
    pf_swarm_free(swarm);
}

static void while_a_worker_is_blocked_others_serve_its_queue_until_it_comes_back(
    void **state)
{
    (void)state;
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "200ms", "--hang-hard", "1h"));
    int blocked = ask("/block");
    pid_t pid = expect_pid(0, "blocks");
    int early[16]; /* some of them in its queue: those that come later are steered past it
                    */
    for (size_t i = 0; i < sizeof early / sizeof *early; i++)
        early[i] = ask("/pid");
    pf_test_server_expect(&server, 0, event_of("lane-stuck", pid));
    for (size_t i = 0; i < sizeof early / sizeof *early; i++)
        assert_int_not_equal(read_pid(early[i]), pid);
    assert_200_are_served(); /* not by that one, which answers nobody until it is let go */
    let_go();
    assert_int_equal(read_pid(blocked), pid);
    assert_200_are_served();
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_null(strstr(server.text, "cause=hung"));
}

/* ---- spinning -------------------------------------------------------------------- */

static void a_handler_that_computes_for_long_is_named(void **state)
{
    (void)state;
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--spin-warning", "100ms",
                               "--hang-hard", "1h"));
    assert_int_equal(read_pid(ask("/spin?ms=1000")), server.workers[0]); /* it goes on */
    expect_backtrace(0, "spin_for_long");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- what is no hang ------------------------------------------------------------- */

static void a_worker_that_sleeps_is_never_hung(void **state)
{
    (void)state;
    /* As the limits are the same, the sleeper is not woken to adopt a queue in between. */
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "1s", "--hang-hard", "1s"));
    int fd = ask("/block");
    pid_t blocked = expect_pid(0, "blocks");
    pid_t sleeper = server.workers[server.workers[0] == blocked];
    pf_test_server_expect(&server, 0, event_of("worker-hung", blocked));
    assert_never(event_of("lane-stuck", sleeper)); /* though it was still for longer */
    assert_never(event_of("worker-hung", sleeper));
    pf_test_server_expect(&server, 0, "cause=hung");
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_never(event_of("worker-hung", sleeper));
}

static void a_worker_in_a_debugger_is_not_killed(void **state)
{
    (void)state;
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "2", "--hang-soft", "500ms", "--hang-hard", "3s"));
    /* Stopped in the middle of a handler, as at a breakpoint. */
    int fd = ask("/block");
    pid_t stopped = expect_pid(0, "blocks");
    assert_int_equal(kill(stopped, SIGSTOP), 0);
    pid_t blocked = block_another(stopped);
    pf_test_server_expect(&server, 0, event_of("worker-hung", blocked));
    assert_never(event_of("worker-hung", stopped)); /* though it was still for longer */
    let_go();
    pf_test_server_expect(&server, 0, "cause=hung");
    assert_int_equal(kill(stopped, SIGCONT), 0);
    assert_int_equal(read_pid(fd), stopped);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_never(event_of("worker-hung", stopped));
}

static bool proc_has(pid_t pid, const char *name, char *text, size_t len)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, len - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    return n > 0;
}

/* R, S, T ...: see proc(5). */
static char process_state(pid_t pid)
{
    char text[512];
    const char *end = proc_has(pid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    return end && end[1] == ' ' ? end[2] : '?';
}

/* Also of one that was stopped there. Where the kernel does not tell: it is believed. */
static bool is_in_poller(pid_t pid)
{
    char text[512];
    if (!proc_has(pid, "syscall", text, sizeof text))
        return true;
    long call = strtol(text, NULL, 10);
    return call == SYS_epoll_wait || call == SYS_epoll_pwait || call == SYS_epoll_pwait2;
}

static void wait_for_state(pid_t pid, char state)
{
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (process_state(pid) != state && time(NULL) < end)
        (void)poll(NULL, 0, 1);
    assert_int_equal(process_state(pid), state);
}

/* A worker that has just said that it accepts is on its way to its poller: one that is
 * stopped before it gets there is in the middle of a turn, and waited for. */
static void stop_in_its_sleep(pid_t pid)
{
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    do {
        assert_int_equal(kill(pid, SIGCONT), 0);
        wait_for_state(pid, 'S');
        assert_int_equal(kill(pid, SIGSTOP), 0);
        wait_for_state(pid, 'T');
    } while (!is_in_poller(pid) && time(NULL) < end);
    assert_true(is_in_poller(pid));
}

/* Each connection is served, by whom it may be, until the server has said it. */
static void ask_until(const char *words, unsigned times)
{
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (count(words) < times && time(NULL) < end)
        assert_true(read_pid(ask("/pid")) > 0);
    assert_true(count(words) >= times);
}

/* Stopped in its poller, as a debugger that attaches finds it mostly. */
static void the_queue_of_a_worker_stopped_in_its_sleep_is_served_by_others(void **state)
{
    (void)state;
    static const char stuck[] = "lane-stuck worker=0", back[] = "lane-recovered worker=0";
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "3", "--hang-soft", "800ms", "--hang-hard", "3s"));
    pid_t stopped = server.workers[0];
    stop_in_its_sleep(stopped);
    ask_until(stuck, 1); /* the first that comes to its queue waits for that */
    int fd = ask("/block");
    pid_t blocked = expect_pid(0, "blocks");
    ask_until(event_of("worker-hung", blocked), 1);
    assert_never(event_of("worker-hung", stopped)); /* though it was still for longer */
    /* A master that is late by a second forgets what it knew of everybody, and says so. */
    assert_true(count(back) <= count("clock-jumped"));
    let_go();
    pf_test_server_expect(&server, 0, "cause=hung");
    close(fd);
    assert_int_equal(kill(stopped, SIGCONT), 0);
    ask_until(back, count(stuck));
    time_t end = time(NULL) + PF_TEST_DEADLINE_S;
    while (read_pid(ask("/pid")) != stopped)
        assert_true(time(NULL) < end);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_never(event_of("worker-hung", stopped));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_worker_that_nothing_ends_is_done_without),
        blocking_test(a_worker_that_stays_blocked_is_replaced_and_no_connection_is_lost),
        blocking_test(while_a_worker_is_blocked_others_serve_its_queue_until_it_comes_back),
        pf_test(a_handler_that_computes_for_long_is_named),
        blocking_test(a_worker_that_sleeps_is_never_hung),
        blocking_test(a_worker_in_a_debugger_is_not_killed),
        blocking_test(the_queue_of_a_worker_stopped_in_its_sleep_is_served_by_others),
    };
    return cmocka_run_group_tests_name("hang", tests, NULL, NULL);
}
