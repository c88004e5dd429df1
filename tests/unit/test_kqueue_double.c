/*
 * The double of kqueue(2), sentence by sentence of FreeBSD's manual as far as
 * loop/kqueue.c relies on it: a test on a double is worth what the double is.
 */
#include "tests/lib/test.h"

#include "tests/lib/double/sys/event.h"
#include "tests/lib/kqueue_double.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- tools ----------------------------------------------------------------------- */

static int kq, fds[2]; /* fds: a pipe */
static struct kevent got[8];

static int set_up(void **state)
{
    (void)pf_test_setup(state);
    kq = kqueue();
    return kq >= 0 && pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    close(kq);
    close(fds[0]);
    close(fds[1]);
    return pf_test_teardown(state);
}

static int do_change(int fd, short filter, unsigned short flags)
{
    struct kevent change;
    EV_SET(&change, (uintptr_t)fd, filter, flags, 0, 0, &kq);
    return kevent(kq, &change, 1, NULL, 0, NULL) == 0 ? 0 : -errno;
}

static int fetch(int room)
{
    static const struct timespec none = {0};
    return kevent(kq, NULL, 0, got, room, &none);
}

static void say(const char *text, size_t len)
{
    assert_int_equal(write(fds[1], text, len), len);
}

/* ---- sentences ------------------------------------------------------------------- */

static void an_event_has_the_number_the_filter_the_bytes_and_the_users_data(void **state)
{
    (void)state;
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ADD), 0);
    assert_int_equal(fetch(8), 0);
    say("hello", 5);
    for (int i = 0; i < 2; i++) { /* and again, until it is read */
        assert_int_equal(fetch(8), 1);
        assert_int_equal(got[0].ident, fds[0]);
        assert_int_equal(got[0].filter, EVFILT_READ);
        assert_int_equal(got[0].flags, 0);
        assert_int_equal(got[0].data, 5);
        assert_ptr_equal(got[0].udata, &kq);
    }
    assert_int_equal(do_change(fds[1], EVFILT_WRITE, EV_ADD), 0);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_DELETE), 0);
    assert_int_equal(fetch(8), 1);
    assert_int_equal(got[0].filter, EVFILT_WRITE);
    assert_int_equal(got[0].data, fcntl(fds[1], F_GETPIPE_SZ) - 5);
}

static void the_filters_of_one_descriptor_are_reported_apart(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(do_change(pair[0], EVFILT_READ, EV_ADD), 0);
    assert_int_equal(do_change(pair[0], EVFILT_WRITE, EV_ADD), 0);
    assert_int_equal(fetch(8), 2);
    assert_int_equal(got[0].filter + got[1].filter, EVFILT_READ + EVFILT_WRITE);
    assert_int_equal(fetch(1), 1);
    short first = got[0].filter;
    assert_int_equal(fetch(1), 1); /* the other one has its turn */
    assert_int_equal(got[0].filter + first, EVFILT_READ + EVFILT_WRITE);
    close(pair[0]);
    close(pair[1]);
}

static void errors_of_changes_are_errno_or_answers(void **state)
{
    (void)state;
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_DELETE), -ENOENT);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ENABLE), -ENOENT);
    assert_int_equal(do_change(-1, EVFILT_READ, EV_ADD), -EBADF);
    assert_int_equal(do_change(fds[0], -3, EV_ADD), -EINVAL);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ADD | EV_CLEAR), -EINVAL);
    assert_int_equal(kevent(fds[0], NULL, 0, got, 8, NULL), -1);
    assert_int_equal(errno, EBADF);

    say("x", 1);
    struct kevent changes[3];
    EV_SET(&changes[0], (uintptr_t)fds[0], EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 0, NULL);
    EV_SET(&changes[1], (uintptr_t)fds[0], EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
    EV_SET(&changes[2], (uintptr_t)fds[1], EVFILT_WRITE, EV_ADD, 0, 0, NULL);
    assert_int_equal(kevent(kq, changes, 3, got, 8, NULL), 2); /* no events among them */
    assert_true(got[0].flags == EV_ERROR && got[0].data == 0);
    assert_true(got[1].flags == EV_ERROR && got[1].data == ENOENT);
    assert_int_equal(fetch(8), 2);
}

static void the_end_of_a_pipe_is_reported_beside_its_bytes(void **state)
{
    (void)state;
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ADD), 0);
    say("hello", 5);
    close(fds[1]);
    assert_int_equal(fetch(8), 1);
    assert_true(got[0].flags == EV_EOF && got[0].data == 5 && got[0].fflags == 0);
    char bytes[8];
    assert_int_equal(read(fds[0], bytes, sizeof bytes), 5);
    assert_int_equal(fetch(8), 1);
    assert_true(got[0].flags == EV_EOF && got[0].data == 0);
    fds[1] = -1;
}

static void a_pipe_without_readers_takes_no_writing_filter(void **state)
{
    (void)state;
    assert_int_equal(do_change(fds[1], EVFILT_WRITE, EV_ADD), 0);
    close(fds[0]);
    assert_int_equal(fetch(8), 1);
    assert_int_equal(got[0].flags, EV_EOF);
    assert_int_equal(do_change(fds[1], EVFILT_WRITE, EV_DELETE), 0);
    assert_int_equal(do_change(fds[1], EVFILT_WRITE, EV_ADD), -EPIPE);
    assert_int_equal(do_change(fds[1], EVFILT_READ, EV_ADD), 0);
    assert_int_equal(fetch(8), 1);
    assert_int_equal(got[0].flags, EV_EOF);
    fds[0] = -1;
}

static void half_a_socket_ends_for_one_filter(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(do_change(pair[0], EVFILT_READ, EV_ADD), 0);
    assert_int_equal(do_change(pair[0], EVFILT_WRITE, EV_ADD), 0);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    assert_int_equal(fetch(8), 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(got[i].flags, got[i].filter == EVFILT_READ ? EV_EOF : 0);
    close(pair[1]);
    assert_int_equal(fetch(8), 2);
    assert_true(got[0].flags == EV_EOF && got[1].flags == EV_EOF);
    close(pair[0]);
}

static void a_oneshot_comes_once_and_a_disabled_one_not_at_all(void **state)
{
    (void)state;
    say("x", 1);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    assert_int_equal(fetch(8), 1);
    assert_int_equal(fetch(8), 0);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_DELETE), -ENOENT);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ADD | EV_DISABLE), 0);
    assert_int_equal(fetch(8), 0);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ENABLE), 0);
    assert_int_equal(fetch(8), 1);
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_DISABLE), 0);
    assert_int_equal(fetch(8), 0);
}

static void a_close_removes_though_another_descriptor_holds_the_file(void **state)
{
    (void)state;
    int copy = dup(fds[0]), more = dup(fds[0]);
    say("x", 1);
    assert_int_equal(do_change(copy, EVFILT_READ, EV_ADD), 0);
    assert_int_equal(do_change(more, EVFILT_READ, EV_ADD), 0);
    assert_int_equal(fetch(8), 2);
    close(copy);
    assert_int_equal(dup2(fds[0], more), more); /* closes, too */
    assert_int_equal(fetch(8), 0);
    assert_int_equal(do_change(copy, EVFILT_READ, EV_DELETE), -EBADF);
    assert_int_equal(do_change(more, EVFILT_READ, EV_DELETE), -ENOENT);
    close(more);
}

static void the_next_owner_of_a_number_is_watched_instead(void **state)
{
    (void)state;
    int copy = dup(fds[0]), number = copy;
    say("x", 1);
    assert_int_equal(do_change(copy, EVFILT_READ, EV_ADD), 0);
    close(copy); /* the file lives on in fds[0] */
    copy = fcntl(fds[1], F_DUPFD_CLOEXEC, number);
    assert_int_equal(copy, number);
    assert_int_equal(do_change(copy, EVFILT_READ, EV_ADD), 0);
    assert_int_equal(fetch(8), 0);
    struct pollfd quiet = {.fd = kq, .events = POLLIN};
    assert_int_equal(poll(&quiet, 1, 0), 0);
    close(copy);
}

static void look_for_it(void *arg)
{
    (void)arg;
    assert_int_equal(fetch(8), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(fcntl(kq, F_GETFD), -1);
}

static void look_for_it_after_clone(void *arg)
{
    (void)arg;
    assert_int_equal(fetch(8), -1);
    assert_int_equal(errno, EBADF);
}

static void a_child_does_not_inherit_it(void **state)
{
    (void)state;
    assert_int_equal(do_change(fds[0], EVFILT_READ, EV_ADD), 0);
    say("x", 1);
    pf_test_in_child(look_for_it, NULL);
    assert_int_equal(fetch(8), 1);
    pf_test_in_raw_clone(look_for_it_after_clone, NULL); /* its descriptor is there */
    assert_int_equal(fetch(8), 1);
}

static void what_takes_its_number_in_the_parent_stays_open_in_a_child(void *arg)
{
    assert_true(fcntl(*(int *)arg, F_GETFD) != -1);
}

static void the_next_owner_of_its_number_is_inherited(void **state)
{
    (void)state;
    int number = kq;
    close(kq);
    kq = dup(fds[0]);
    assert_int_equal(kq, number);
    pf_test_in_child(what_takes_its_number_in_the_parent_stays_open_in_a_child, &number);
}

/* clang-format off */
#define with_kqueue(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_kqueue(an_event_has_the_number_the_filter_the_bytes_and_the_users_data),
        with_kqueue(the_filters_of_one_descriptor_are_reported_apart),
        with_kqueue(errors_of_changes_are_errno_or_answers),
        with_kqueue(the_end_of_a_pipe_is_reported_beside_its_bytes),
        with_kqueue(a_pipe_without_readers_takes_no_writing_filter),
        with_kqueue(half_a_socket_ends_for_one_filter),
        with_kqueue(a_oneshot_comes_once_and_a_disabled_one_not_at_all),
        with_kqueue(a_close_removes_though_another_descriptor_holds_the_file),
        with_kqueue(the_next_owner_of_a_number_is_watched_instead),
        with_kqueue(a_child_does_not_inherit_it),
        with_kqueue(the_next_owner_of_its_number_is_inherited),
    };
    return cmocka_run_group_tests_name("kqueue double", tests, NULL, NULL);
}
