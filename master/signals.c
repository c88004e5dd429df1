/*
 * signals.c - the master's signals, as a descriptor.
 *
 * signalfd(2) and no handlers: nothing runs between two instructions of the master, and a
 * signal that comes while a child is being forked waits instead of running in the child.
 */
#include "master/internal.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int handled[] = {SIGCHLD, SIGTERM, SIGQUIT, SIGINT,  SIGHUP,
                              SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH};
enum {
    HANDLED = sizeof handled / sizeof *handled
};

int pf__signals_open(struct pf__signals *signals)
{
    sigset_t mine;
    sigemptyset(&mine);
    for (int i = 0; i < HANDLED; i++)
        sigaddset(&mine, handled[i]);
    if (sigprocmask(SIG_BLOCK, &mine, &signals->mask) != 0)
        return -errno;
    signals->fd = signalfd(-1, &mine, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd == -1) {
        int err = -errno;
        sigprocmask(SIG_SETMASK, &signals->mask, NULL);
        return err;
    }
    /* SIG_IGN survives an exec, and with it no child would ever be waited for: wait(2). */
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &action, &signals->child);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, &signals->pipe);
    sigaction(SIGXFSZ, &action, &signals->file_size); /* a log that may not grow: EFBIG */
    return 0;
}

void pf__signals_reset(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int i = 0; i < HANDLED; i++)
        sigaction(handled[i], &action, NULL);
}

void pf__signals_close(struct pf__signals *signals)
{
    if (signals->fd == -1)
        return;
    close(signals->fd);
    signals->fd = -1;
    sigaction(SIGCHLD, &signals->child, NULL);
    sigaction(SIGPIPE, &signals->pipe, NULL);
    sigaction(SIGXFSZ, &signals->file_size, NULL);
    sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}
