/* orphan.c - see orphan.h. */
#include "worker/orphan.h"

#include "ipc/crash.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static struct {
    _Atomic pid_t self; /* 0: not armed */
    _Atomic pid_t master;
    timer_t timer;
    struct itimerspec limit;
    atomic_flag begun; /* a foster parent's death must not start it again */
} orphan = {.begun = ATOMIC_FLAG_INIT};

/* timer_settime(2) may be called from a handler: signal-safety(7). */
static void begin(void)
{
    if (!atomic_flag_test_and_set(&orphan.begun))
        timer_settime(orphan.timer, 0, &orphan.limit, NULL);
}

/* The kernel sends it when the thread that forked ends, too, though its process may live.
 */
static void on_master_death(int signo)
{
    (void)signo;
    int before = errno;
    if (atomic_load(&orphan.self) == getpid() && getppid() != atomic_load(&orphan.master))
        begin();
    errno = before;
}

static int take_signal(void)
{
    struct sigaction action = {.sa_handler = on_master_death,
                               .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction before;
    sigaction(PF_CRASH_SIGNAL_ORPHAN, NULL, &before);
    if (before.sa_handler != SIG_DFL && before.sa_handler != on_master_death)
        return -EBUSY;
    sigemptyset(&action.sa_mask);
    sigaction(PF_CRASH_SIGNAL_ORPHAN, &action, NULL);
    return 0;
}

static void let_signal_through(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, PF_CRASH_SIGNAL_ORPHAN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int pf__orphan_arm(pid_t master, int64_t limit_ns)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    if (master <= 0 || limit_ns <= 0)
        return -EINVAL;
    if (atomic_load(&orphan.self) == getpid())
        return -EALREADY;
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return -errno;
    int err = take_signal();
    if (err) {
        timer_delete(timer);
        return err;
    }
    orphan.timer = timer;
    orphan.limit.it_value = (struct timespec){limit_ns / PF_SECOND, limit_ns % PF_SECOND};
    atomic_flag_clear(&orphan.begun);
    atomic_store(&orphan.master, master);
    atomic_store(&orphan.self, getpid());
    let_signal_through();
    (void)prctl(PR_SET_PDEATHSIG, PF_CRASH_SIGNAL_ORPHAN); /* fails for no real signal */
    if (getppid() == master)
        return 0;
    begin();
    return 1;
}

void pf__orphan_renew(void)
{
    if (atomic_load(&orphan.self) != getpid())
        return;
    (void)prctl(PR_SET_PDEATHSIG, PF_CRASH_SIGNAL_ORPHAN);
    if (getppid() != atomic_load(&orphan.master))
        begin();
}
