/* exec.c - see exec.h. */
#include "net/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Only async-signal-safe calls from here to exec: other threads may have held any lock. */

static void reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int signo = 1; signo <= SIGRTMAX; signo++)
        (void)sigaction(signo, &standard, NULL); /* EINVAL: SIGKILL and the like */
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All are above 2 first, so that none is in another's place. */
static int place_descriptors(struct pf__exec *exec)
{
    for (int i = 0; i < 3; i++) {
        if (exec->child[i] >= 0)
            exec->child[i] = fcntl(exec->child[i], F_DUPFD_CLOEXEC, 3);
        if (exec->child[i] == -1 && exec->options->standard[i] != PF_STDIO_INHERIT)
            return -1;
    }
    for (int i = 0; i < 3; i++)
        if (exec->child[i] >= 0 && dup2(exec->child[i], i) == -1)
            return -1;
    return 0;
}

static void become(struct pf__exec *exec)
{
    const struct pf_subprocess_options *options = exec->options;
    extern char **environ;
    reset_signals();
    int report = fcntl(exec->report[1], F_DUPFD_CLOEXEC, 3);
    if (report >= 0 && place_descriptors(exec) == 0 &&
        (!options->cwd || chdir(options->cwd) == 0)) {
        /* exec takes what it never changes without const. */
        char *const *argv = (char *const *)(uintptr_t)options->argv;
        char *const *env =
            options->env ? (char *const *)(uintptr_t)options->env : (char *const *)environ;
        execvpe(argv[0], argv, env);
    }
    int err = errno;
    (void)!write(report >= 0 ? report : exec->report[1], &err, sizeof err);
    _exit(127);
}

/* ---- in the parent --------------------------------------------------------------- */

static void close_all(int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static int open_standard(struct pf__exec *exec, int which)
{
    int ends[2];
    switch (exec->options->standard[which]) {
    case PF_STDIO_INHERIT:
        return 0;
    case PF_STDIO_NULL:
        exec->child[which] = open("/dev/null", O_RDWR | O_CLOEXEC);
        return exec->child[which] == -1 ? -errno : 0;
    case PF_STDIO_STREAM:
        if (pipe2(ends, O_CLOEXEC) == -1)
            return -errno;
        exec->child[which] = ends[which == 0 ? 0 : 1];
        exec->parent[which] = ends[which == 0 ? 1 : 0];
        return 0;
    }
    return -EINVAL;
}

int pf__exec_open(struct pf__exec *exec, const struct pf_subprocess_options *options)
{
    *exec = (struct pf__exec){options, {-1, -1, -1}, {-1, -1, -1}, {-1, -1}};
    int err = pipe2(exec->report, O_CLOEXEC) == -1 ? -errno : 0;
    for (int i = 0; i < 3 && !err; i++)
        err = open_standard(exec, i);
    return err;
}

void pf__exec_close(struct pf__exec *exec)
{
    close_all(exec->child, 3);
    close_all(exec->parent, 3);
    close_all(exec->report, 2);
}

/* No handler of ours may run in the child: so all signals wait until that is impossible. */
int pf__exec_fork(struct pf__exec *exec, pid_t *pid)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    int err = *pid == -1 ? -errno : 0;
    if (*pid == 0)
        become(exec);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

void pf__exec_wait(pid_t pid)
{
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
}

int pf__exec_hear(struct pf__exec *exec, pid_t pid)
{
    int said = 0;
    ssize_t n;
    close_all(exec->child, 3);
    close_all(&exec->report[1], 1);
    do
        n = read(exec->report[0], &said, sizeof said);
    while (n == -1 && errno == EINTR);
    if (n != sizeof said)
        return 0; /* or was killed before: its status will tell */
    pf__exec_wait(pid);
    return said ? -said : -EIO;
}
