/*
 * loops.c - a loop on each poller that this system has: a pipe, a timer, and the end.
 *
 * `make macos` builds it for macOS, where there is none of the tests' libraries. Says what
 * it did; exits with 0 if all went well.
 */
#include <prefork/loop.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int on_readable(pf_loop *loop, int fd, unsigned events, void *arg)
{
    char byte;
    int *left = arg;
    if (!(events & PF_READ) || read(fd, &byte, 1) != 1)
        return -EIO;
    return --*left == 0 ? pf_loop_stop(loop) : 0;
}

static int on_timer(pf_loop *loop, void *arg)
{
    int *left = arg;
    return --*left == 0 ? pf_loop_stop(loop) : 0;
}

static int on_deadline(pf_loop *loop, void *arg)
{
    (void)arg;
    return pf_loop_stop(loop);
}

static int run_on(const struct pf_poller_ops *poller)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    pf_loop *loop;
    int fds[2], left = 2;
    options.poller = poller;
    int err = pf_loop_new(&options, &loop);
    if (err)
        return err;
    if (pipe(fds) != 0 || write(fds[1], "x", 1) != 1)
        return -errno;
    err = pf_loop_add_handler(loop, fds[0], PF_READ, on_readable, &left);
    if (!err)
        err = pf_loop_call_later(loop, PF_MILLISECOND, on_timer, &left, NULL);
    if (!err)
        err = pf_loop_call_later(loop, 10 * PF_SECOND, on_deadline, NULL, NULL);
    if (!err)
        err = pf_loop_start(loop);
    pf_loop_unref(loop);
    close(fds[0]);
    close(fds[1]);
    return err || left == 0 ? err : -ETIMEDOUT;
}

int main(void)
{
    static const char *const names[] = {"epoll", "kqueue", "select"};
    int failed = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct pf_poller_ops *poller = pf_poller_find(names[i]);
        int err = poller ? run_on(poller) : 0;
        failed += err != 0;
        printf("%s: %s\n", names[i], !poller ? "none here" : err ? strerror(-err) : "runs");
    }
    return failed;
}
