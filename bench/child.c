#include "bench/child.h"

#include <sys/wait.h>

/* Its state is looked at, not taken: the same is answered until it goes on. */
static bool is_stopped(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

bool child_is_stuck(pid_t pid, unsigned *looks)
{
    *looks = is_stopped(pid) ? *looks + 1 : 0;
    return *looks == CHILD_STOPPED_MOST;
}
