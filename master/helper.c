/* helper.c - see helper.h. */
#include "master/helper.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

/* The master may have blocked or handled it. */
void pf__helper_limit(unsigned seconds)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigaction(SIGALRM, &standard, NULL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    alarm(seconds);
}

void pf__helper_end(pid_t pid)
{
    if (!pid)
        return;
    (void)kill(pid, SIGKILL); /* ours until reaped: it cannot be another process */
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        continue;
}
