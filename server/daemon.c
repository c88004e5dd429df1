/* daemon.c - see daemon.h. */
#include "server/daemon.h"

#include <prefork/base.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void give_nothing(int to_fd)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd == -1)
        return; /* as it was, then */
    (void)dup2(fd, to_fd);
    close(fd);
}

/* ---- the first process ----------------------------------------------------------- */

/* Print what comes, up to a NUL: then the child is up. False at the end of the pipe. */
static bool pass_on(int fd, bool *is_up)
{
    char text[4096];
    ssize_t n = read(fd, text, sizeof text);
    if (n <= 0)
        return n == -1 && errno == EINTR;
    const char *end = memchr(text, '\0', (size_t)n);
    *is_up = end != NULL;
    fwrite(text, 1, end ? (size_t)(end - text) : (size_t)n, stdout);
    return !end;
}

/* Or until the child has ended. Workers hold the pipe too: where there are no pidfds, its
 * end waits for theirs. */
static bool wait_until_up(int fd, pid_t child)
{
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    bool is_up = false, more = true;
    while (more) {
        wait[0].revents = wait[1].revents = 0;
        (void)poll(wait, 2, -1);
        if (wait[0].revents)
            more = pass_on(fd, &is_up);
        else if (wait[1].revents)
            more = false;
    }
    fflush(stdout);
    if (pidfd != -1)
        close(pidfd);
    close(fd);
    return is_up;
}

static int status_of(pid_t child, const char *program)
{
    int status = 0;
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) != PF_EXIT_OK)
        return WEXITSTATUS(status);
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: --daemon: ended by signal %d before it was up\n", program,
                WTERMSIG(status));
    else
        fprintf(stderr, "%s: --daemon: stopped before it was up\n", program);
    return PF_EXIT_SOFTWARE;
}

/* ---- the child ------------------------------------------------------------------- */

/* Until it is up it shares the fate of who waits for it. */
static void live(pid_t parent)
{
    (void)setsid(); /* a child leads no group: it cannot fail */
    give_nothing(STDIN_FILENO);
    give_nothing(STDOUT_FILENO);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(PF_EXIT_SOFTWARE);
}

int pf__daemon_begin(struct pf__daemon *daemon, const char *program, int *status)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -errno;
    fflush(NULL); /* or both write it */
    pid_t parent = getpid(), child = fork();
    if (child == -1) {
        int err = -errno;
        close(fds[0]);
        close(fds[1]);
        return err;
    }
    close(fds[child == 0 ? 0 : 1]);
    if (child == 0) {
        live(parent);
        daemon->fd = fds[1];
        return 0;
    }
    *status = wait_until_up(fds[0], child) ? PF_EXIT_OK : status_of(child, program);
    return 1;
}

void pf__daemon_up(struct pf__daemon *daemon)
{
    if (daemon->fd == -1)
        return;
    (void)prctl(PR_SET_PDEATHSIG, 0);
    ssize_t n = write(daemon->fd, "", 1);
    (void)n; /* nobody waits any more: it is up all the same */
    close(daemon->fd);
    daemon->fd = -1;
}
