/* test_offer.c - bytes that are taken at once or not at all: pipes, sockets, terminals and
 * files that are full, and are not ours alone. */
#include "tests/lib/test.h"

#include "loop/offer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECE = 512,
    MANY = 100000, /* more than anything takes */
    TIMES = 20000
};

/* Returns how many pieces it took until it was full. */
static int fill(int fd)
{
    char piece[PIECE];
    int taken = 0;
    memset(piece, 'x', sizeof piece);
    while (taken < MANY && pf__offer(fd, piece, sizeof piece))
        taken++;
    return taken;
}

static void assert_full_and_blocking(int fd)
{
    int taken = fill(fd);
    assert_in_range(taken, 1, MANY - 1);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0); /* others have it, too */
}

static void a_full_pipe_takes_nothing_and_stays_as_it_is(void **state)
{
    (void)state;
    int fds[2];
    char piece[PIECE];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_full_and_blocking(fds[1]);
    while (!pf__offer(fds[1], "word", 4)) /* what it lacked was room */
        assert_true(read(fds[0], piece, sizeof piece) > 0);
    close(fds[0]);
    close(fds[1]);
}

static void a_full_socket_takes_nothing(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_full_and_blocking(fds[1]);
    close(fds[0]);
    assert_true(pf__offer(fds[1], "x", 1)); /* nobody is there: no signal either */
    close(fds[1]);
}

static void a_terminal_that_nobody_reads_takes_nothing(void **state)
{
    (void)state;
    int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ours == -1 || grantpt(ours) != 0 || unlockpt(ours) != 0)
        skip();
    int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(theirs >= 0);
    assert_full_and_blocking(theirs);
    close(theirs);
    close(ours);
}

static void a_file_takes_everything_at_its_end(void **state)
{
    (void)state;
    int fd = memfd_create("file", MFD_CLOEXEC);
    char text[16] = "";
    assert_true(fd >= 0);
    assert_true(pf__offer(fd, "one ", 4));
    assert_true(pf__offer(fd, "two", 3));
    assert_int_equal(pread(fd, text, sizeof text, 0), 7);
    assert_string_equal(text, "one two");
    close(fd);
    assert_true(pf__offer(fd, "x", 1)); /* nor does what is closed take anything later */
}

/* ---- others who write --------------------------------------------------------------- */

static atomic_bool over;

static void *fill_all_the_time(void *arg)
{
    const int *fd = arg;
    char piece[4096];
    memset(piece, 'y', sizeof piece);
    while (!over)
        (void)!write(*fd, piece, sizeof piece);
    return NULL;
}

/* Between the question whether there is room and the write another one fills the pipe: who
 * only asks before hangs here sooner or later, since nobody reads meanwhile. */
static void a_pipe_that_others_fill_holds_up_nobody(void **state)
{
    (void)state;
    int fds[2];
    char piece[4096], path[32];
    pthread_t other;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(own >= 0);
    over = false;
    assert_int_equal(pthread_create(&other, NULL, fill_all_the_time, &own), 0);
    for (int i = 0; i < TIMES; i++) {
        assert_true(read(fds[0], piece, sizeof piece) > 0);
        (void)pf__offer(fds[1], "xyz", 3);
    }
    over = true;
    pthread_join(other, NULL);
    close(own);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_full_pipe_takes_nothing_and_stays_as_it_is),
        pf_test(a_full_socket_takes_nothing),
        pf_test(a_terminal_that_nobody_reads_takes_nothing),
        pf_test(a_file_takes_everything_at_its_end),
        pf_test(a_pipe_that_others_fill_holds_up_nobody),
    };
    return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}
