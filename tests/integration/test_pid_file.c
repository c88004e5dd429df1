/*
 * test_pid_file.c - the file that says which process the server is.
 */
#include "tests/lib/server.h"

#include "net/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

struct place {
    char directory[64], path[80];
};

static void place_up(struct place *place)
{
    snprintf(place->directory, sizeof place->directory, "/tmp/prefork-pid-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/pid", place->directory);
}

/* Nothing is left there. */
static void place_down(const struct place *place)
{
    assert_int_equal(rmdir(place->directory), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const char *read_file(const char *path)
{
    static char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void assert_says(const char *path, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof text, "%d\n", pid);
    assert_string_equal(read_file(path), text);
}

static void it_says_who_the_master_is_and_goes_with_him(void **state)
{
    (void)state;
    static struct pf_test_server server;
    struct place place;
    struct stat st;
    place_up(&place);
    mode_t mask = umask(022);
    pf_test_server_start(&server, ARGS("-w", "1", "--pid-file", place.path));
    umask(mask);
    assert_says(place.path, server.pid);
    assert_int_equal(lstat(place.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    place_down(&place);
}

static void a_second_server_is_refused_and_told_who_holds_it(void **state)
{
    (void)state;
    static struct pf_test_server first, second;
    struct place place;
    char words[64];
    place_up(&place);
    pf_test_server_start(&first, ARGS("-w", "1", "--pid-file", place.path));
    assert_int_equal(pf_test_server_run(&second, ARGS("-w", "1", "-b", "127.0.0.1:0",
                                                      "--pid-file", place.path)),
                     69);
    snprintf(words, sizeof words, "held by another server (pid %d); stop it", first.pid);
    assert_non_null(strstr(second.text, words));
    assert_says(place.path, first.pid);
    assert_int_equal(pf_test_server_stop(&first, SIGTERM), 0);
    place_down(&place);
}

/* Its workers live on for a while: they do not hold it. */
static void what_a_killed_server_left_is_taken_over_at_once(void **state)
{
    (void)state;
    static struct pf_test_server old, new;
    struct place place;
    place_up(&place);
    pf_test_server_start(
        &old, ARGS("-w", "2", "--pid-file", place.path, "--drain-timeout", "1h"));
    int fd = pf_test_connect(old.port); /* open: its worker drains for long */
    char answer[512];
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    pf_test_server_kill(&old); /* not reaped: the number is still taken */
    assert_says(place.path, old.pid);
    pf_test_server_start(&new, ARGS("-w", "1", "--pid-file", place.path));
    assert_says(place.path, new.pid);
    close(fd);
    assert_int_equal(pf_test_server_wait(&old), 128 + SIGKILL);
    assert_int_equal(pf_test_server_stop(&new, SIGTERM), 0);
    place_down(&place);
}

/* Init's, the test's own: it may be anybody's by now. */
static void the_number_of_a_living_process_means_nothing(void **state)
{
    (void)state;
    static struct pf_test_server server;
    static const char *const texts[] = {"1\n", "", "999999999"};
    struct place place;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        place_up(&place);
        write_file(place.path, texts[i]);
        pf_test_server_start(&server, ARGS("-w", "1", "--pid-file", place.path));
        assert_says(place.path, server.pid);
        assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
        place_down(&place);
    }
}

static void what_is_not_ours_is_left_alone(void **state)
{
    (void)state;
    static struct pf_test_server server;
    struct place place;
    place_up(&place);
    write_file(place.path, "dear diary\n");
    const char *const args[] = {"-w",         "1",        "-b", "127.0.0.1:0",
                                "--pid-file", place.path, NULL};
    assert_int_equal(pf_test_server_run(&server, args), 69);
    assert_non_null(strstr(server.text, "what stands there is no server's; move it away"));
    assert_string_equal(read_file(place.path), "dear diary\n");
    assert_int_equal(unlink(place.path), 0);
    place_down(&place);

    assert_int_equal(pf_test_server_run(&server, args), 69); /* no such directory */
    assert_non_null(strstr(server.text, "No such file or directory; name a path"));

    /* Somebody has put another in its place meanwhile. */
    place_up(&place);
    pf_test_server_start(&server, ARGS("-w", "1", "--pid-file", place.path));
    assert_int_equal(unlink(place.path), 0);
    write_file(place.path, "4711\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_string_equal(read_file(place.path), "4711\n");
    assert_int_equal(unlink(place.path), 0);
    place_down(&place);
}

static void a_start_that_fails_leaves_no_file(void **state)
{
    (void)state;
    static struct pf_test_server server;
    struct place place;
    place_up(&place);
    assert_int_equal(pf_test_server_run(&server, ARGS("-w", "1", "-b", "192.0.2.1:1",
                                                      "--pid-file", place.path)),
                     69);
    place_down(&place);
}

/* ---- one that is about to let go --------------------------------------------------- */

static struct {
    int fd; /* has the lock */
    pid_t taker;
    atomic_bool over;
} hold;

static bool sleeps(pid_t tid)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    long call = n > 0 && text[0] != 'r' ? strtol(text, NULL, 10) : -1;
    return call == SYS_nanosleep || call == SYS_clock_nanosleep;
}

static void *let_go(void *arg)
{
    while (!hold.over && !sleeps(hold.taker))
        sched_yield();
    close(hold.fd);
    return arg;
}

/* Lets go when the other one has begun to wait: on a slow machine that may be too late, and
 * is tried again. Who does not wait never gets it. */
static void a_lock_is_waited_for_that_is_about_to_be_let_go(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    struct place place;
    int fd = -EADDRINUSE, holder = 0;
    place_up(&place);
    hold.taker = gettid();
    if (access("/proc/self/syscall", R_OK) != 0)
        skip();
    for (time_t end = time(NULL) + PF_TEST_DEADLINE_S; fd == -EADDRINUSE;) {
        pthread_t thread;
        assert_true(time(NULL) < end);
        hold.over = false;
        hold.fd = pf_lock_file_take(place.path, 0644, &holder);
        assert_true(hold.fd >= 0);
        assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
        fd = pf_lock_file_take(place.path, 0644, &holder);
        hold.over = true;
        pthread_join(thread, NULL);
    }
    assert_true(fd >= 0);
    pf_lock_file_remove(fd, place.path);
    close(fd);
    place_down(&place);
}

enum {
    CHILDREN = 4,
    TURNS = 400
};

/* Each counts in a file while it holds the lock: no two may at a time. */
static void take_turns(const char *path, int inside)
{
    for (int turns = 0; turns < TURNS;) {
        int holder = 0, fd = pf_lock_file_take(path, 0644, &holder);
        if (fd == -EADDRINUSE)
            continue;
        char mark = 'x';
        if (fd < 0 || pread(inside, &mark, 1, 0) != 1 || mark != '0' ||
            pwrite(inside, "1", 1, 0) != 1 || pwrite(inside, "0", 1, 0) != 1)
            _exit(1);
        pf_lock_file_remove(fd, path);
        close(fd);
        turns++;
    }
    _exit(0);
}

static void those_who_take_and_remove_it_never_hold_it_together(void **state)
{
    (void)state;
    struct place place;
    char mark[80];
    place_up(&place);
    snprintf(mark, sizeof mark, "%s/inside", place.directory);
    write_file(mark, "0");
    int inside = open(mark, O_RDWR | O_CLOEXEC), status;
    assert_true(inside >= 0);
    fflush(NULL);
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0)
            take_turns(place.path, inside);
    for (int i = 0; i < CHILDREN; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close(inside);
    assert_int_equal(unlink(mark), 0);
    place_down(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(it_says_who_the_master_is_and_goes_with_him),
        pf_test(a_second_server_is_refused_and_told_who_holds_it),
        pf_test(what_a_killed_server_left_is_taken_over_at_once),
        pf_test(the_number_of_a_living_process_means_nothing),
        pf_test(what_is_not_ours_is_left_alone),
        pf_test(a_start_that_fails_leaves_no_file),
        pf_test(a_lock_is_waited_for_that_is_about_to_be_let_go),
        pf_test(those_who_take_and_remove_it_never_hold_it_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
