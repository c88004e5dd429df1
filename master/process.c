/*
 * process.c - see process.h.
 *
 * The parent is one loop around sigtimedwait(2): fork who is due, wait for a signal or for
 * the next who will be, see who has ended. SIGCHLD and the signals that stop are blocked
 * from before the first fork on, so none is lost between looking and waiting, and none runs
 * a handler of the parent's in a child that is not ready for it.
 *
 * A child is waited for by its pid, never "any child": the program may have others.
 */
#include "master/cpus.h"
#include "master/guard.h"
#include "master/plan.h"
#include "master/policy.h"

#include <prefork/log.h>
#include <prefork/loop.h>
#include <prefork/process.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Static_assert(PF_FORK_MAX == PF_WORKERS_MAX, "as many as there can be workers");

enum stop {
    STOP_NOT,
    STOP_TOLD,
    STOP_KILLED,
};

/* What the program had before. */
struct before {
    sigset_t mask;
    struct sigaction child;
};

/* A number. It outlives the process that has it. */
struct child {
    pid_t pid;      /* 0: nobody */
    int64_t due_ns; /* when it is forked (again) */
    int64_t born_ns;
    unsigned failures; /* in a row */
};

struct family {
    struct child *children;
    int count;
    int restarts, max_restarts;
    sigset_t signals; /* that the parent takes */
    enum stop stop;
    int64_t kill_ns; /* when those that were told to leave are killed */
    int result;      /* of the call */
};

/* Who this process is. */
static struct {
    int id; /* below 0: no child of ours */
    pid_t pid, parent;
} task = {.id = -ENOENT};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

/* ---- signals --------------------------------------------------------------------- */

static void take_signals(struct family *family, struct before *before)
{
    static const int stopping[] = {SIGTERM, SIGINT, SIGQUIT};
    sigemptyset(&family->signals);
    sigaddset(&family->signals, SIGCHLD);
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
        struct sigaction action;
        if (sigaction(stopping[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&family->signals, stopping[i]);
    }
    sigprocmask(SIG_BLOCK, &family->signals, &before->mask);
    /* Ignored, it would take the children's statuses with it: wait(2). */
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &action, &before->child);
}

/* The program's other children that have ended meanwhile: one that ignores SIGCHLD counts
 * on the kernel to reap them, and one that does not was told by a SIGCHLD that came here.
 */
static void return_strangers(const struct before *before)
{
    if (before->child.sa_handler == SIG_IGN || before->child.sa_flags & SA_NOCLDWAIT)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    else
        raise(SIGCHLD); /* stays pending until the mask is as before */
}

/* ---- a child's first steps ------------------------------------------------------- */

int pf_task_watch_parent(void)
{
    if (task.id < 0 || task.pid != getpid())
        return -ENOENT;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* fails only for what is no signal */
    if (getppid() != task.parent)           /* it ended before we asked */
        kill(task.pid, SIGTERM);
    return 0;
}

static void be_child(int number, pid_t parent)
{
    task.id = number;
    task.pid = getpid();
    task.parent = parent;
    setpgid(0, 0);
    (void)pf_task_watch_parent(); /* not -ENOENT */
}

/* Returns 1 in the child, 0 in the parent, or a negative errno. */
static int fork_child(struct family *family, int number)
{
    pid_t parent = getpid();
    fflush(NULL); /* or the child holds a copy of what is not written yet */
    pid_t pid = fork();
    if (pid == -1)
        return -errno;
    if (pid == 0) {
        be_child(number, parent);
        return 1;
    }
    struct child *child = &family->children[number];
    child->pid = pid;
    child->born_ns = now_ns();
    child->due_ns = PF_NEVER;
    return 0;
}

/* ---- stopping -------------------------------------------------------------------- */

static void tell_all(const struct family *family, int number)
{
    for (int i = 0; i < family->count; i++)
        if (family->children[i].pid) /* ours until reaped: it cannot be another process */
            kill(family->children[i].pid, number);
}

static void begin_stop(struct family *family, int number, int result)
{
    family->stop = STOP_TOLD;
    family->result = result;
    family->kill_ns = now_ns() + PF_FORK_STOP_NS;
    for (int i = 0; i < family->count; i++)
        family->children[i].due_ns = PF_NEVER;
    tell_all(family, number);
}

static void kill_all(struct family *family, const char *why)
{
    pf_log(PF_LOG_WARN, "children-killed", "why=%s", why);
    family->stop = STOP_KILLED;
    family->kill_ns = PF_NEVER;
    tell_all(family, SIGKILL);
}

static void take_signal(struct family *family, int number)
{
    if (number == SIGCHLD)
        return;
    if (family->stop == STOP_NOT) {
        pf_log(PF_LOG_INFO, "stopping", "signal=%d", number);
        begin_stop(family, number, -ECANCELED);
    } else if (family->stop == STOP_TOLD) {
        kill_all(family, "told-again");
    }
}

/* ---- restarting ------------------------------------------------------------------ */

static bool has_others(const struct family *family, const struct child *child)
{
    for (int i = 0; i < family->count; i++)
        if (family->children[i].pid && &family->children[i] != child)
            return true;
    return false;
}

/* Fork the child again, later, if there is a restart left for it; else give up. `what`
 * happened to it, for the log. */
static void restart(struct family *family, int number, const char *event, const char *what,
                    int64_t delay_ns)
{
    struct child *child = &family->children[number];
    if (family->restarts == family->max_restarts) {
        pf_log(PF_LOG_ERROR, event, "child=%d %s next=none", number, what);
        pf_log(PF_LOG_ERROR, "giving-up", "why=no-restarts-left restarts=%d",
               family->restarts);
        begin_stop(family, SIGTERM, -EAGAIN);
        return;
    }
    family->restarts++;
    child->due_ns = now_ns() + delay_ns;
    pf_log(PF_LOG_WARN, event, "child=%d %s next-in=%.1fs restarts=%d/%d", number, what,
           (double)delay_ns / 1e9, family->restarts, family->max_restarts);
}

static void fork_failed(struct family *family, int number, int err)
{
    struct child *child = &family->children[number];
    if (child->born_ns == 0) { /* its first */
        pf_log(PF_LOG_ERROR, "fork-failed", "child=%d error=%s next=none", number,
               strerror(-err));
        begin_stop(family, SIGTERM, err);
        return;
    }
    char what[64];
    snprintf(what, sizeof what, "error=%s", strerror(-err));
    child->failures++;
    restart(family, number, "fork-failed", what,
            pf__policy_delay(child->failures, false, has_others(family, child), 1.0));
}

/* Returns 1 in a child. */
static int fork_due(struct family *family)
{
    for (int i = 0; i < family->count; i++) {
        if (family->children[i].due_ns > now_ns())
            continue;
        int err = fork_child(family, i);
        if (err == 1)
            return 1;
        if (err)
            fork_failed(family, i, err);
    }
    return 0;
}

/* ---- reaping --------------------------------------------------------------------- */

static enum pf__how how_of(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return info->si_status == 0 ? PF__HOW_ZERO : PF__HOW_OTHER;
    return info->si_status == SIGKILL ? PF__HOW_KILL : PF__HOW_OTHER;
}

static void child_ended(struct family *family, int number, const siginfo_t *info)
{
    struct child *child = &family->children[number];
    enum pf__end end =
        pf__policy_classify(family->stop != STOP_NOT ? PF__FATE_LEAVE : PF__FATE_LIVE, true,
                            how_of(info), false);
    int64_t now = now_ns(), uptime = now - child->born_ns;
    char what[96];
    snprintf(what, sizeof what, "pid=%ld cause=%s %s=%d uptime=%.1fs", (long)child->pid,
             pf__end_name(end), info->si_code == CLD_EXITED ? "status" : "signal",
             info->si_status, (double)uptime / 1e9);
    child->pid = 0;
    child->failures = pf__policy_failures(child->failures, end, uptime);
    if (end == PF__END_CLEAN || end == PF__END_COMMANDED)
        pf_log(PF_LOG_INFO, "child-ended", "child=%d %s", number, what);
    else
        restart(family, number, "child-ended", what,
                pf__policy_delay(child->failures, true, has_others(family, child),
                                 pf__policy_spread(now)));
}

static void reap(struct family *family)
{
    for (int i = 0; i < family->count; i++) {
        siginfo_t info = {0};
        pid_t pid = family->children[i].pid;
        if (pid == 0)
            continue;
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) != 0) {
            info.si_pid = pid; /* ECHILD: it is gone, and its status with it */
            info.si_code = CLD_EXITED;
            info.si_status = -1;
        }
        if (info.si_pid == pid)
            child_ended(family, i, &info);
    }
}

/* ---- the parent ------------------------------------------------------------------ */

/* When there is something to do without a signal. */
static int64_t next_ns(const struct family *family)
{
    int64_t next = family->kill_ns;
    for (int i = 0; i < family->count; i++)
        if (family->children[i].due_ns < next)
            next = family->children[i].due_ns;
    return next;
}

static bool is_over(const struct family *family)
{
    for (int i = 0; i < family->count; i++)
        if (family->children[i].pid || family->children[i].due_ns != PF_NEVER)
            return false;
    return true;
}

static void await_signal(struct family *family)
{
    struct timespec limit;
    int64_t next = next_ns(family), left = next - now_ns();
    if (left < 0)
        left = 0;
    limit.tv_sec = (time_t)(left / PF_SECOND);
    limit.tv_nsec = (long)(left % PF_SECOND);
    int number = sigtimedwait(&family->signals, NULL, next == PF_NEVER ? NULL : &limit);
    if (number > 0) /* else the time has come, or a handler of the program's ran */
        take_signal(family, number);
}

/* Returns 1 in a child; in the parent what is in process.h. */
static int look_after(struct family *family)
{
    for (;;) {
        if (fork_due(family) == 1)
            return 1;
        if (is_over(family))
            return family->result;
        await_signal(family);
        reap(family);
        if (family->kill_ns <= now_ns())
            kill_all(family, "stop-limit");
    }
}

static int run(struct family *family)
{
    struct before before;
    take_signals(family, &before);
    pf_log(PF_LOG_INFO, "starting", "processes=%d max-restarts=%d", family->count,
           family->max_restarts);
    int result = look_after(family);
    sigaction(SIGCHLD, &before.child, NULL);
    if (result != 1)
        return_strangers(&before);
    sigprocmask(SIG_SETMASK, &before.mask, NULL);
    return result;
}

/* ---- public ---------------------------------------------------------------------- */

int pf_fork_processes(int n, int max_restarts, int *id)
{
    if (task.id >= 0)
        return -EALREADY;
    if (n > PF_FORK_MAX)
        return -EINVAL;
    char why[400];
    int result = pf__guard_fork(false, why, sizeof why);
    if (result) {
        pf_log(PF_LOG_ERROR, "fork-refused", "why=\"%s\"", why);
        return result;
    }
    struct family family = {.count = n > 0 ? n : pf_cpu_count(), .kill_ns = PF_NEVER};
    if (family.count < 0)
        return family.count;
    family.max_restarts = max_restarts < 0 ? PF_FORK_RESTARTS : max_restarts;
    family.children = calloc((size_t)family.count, sizeof *family.children);
    if (!family.children)
        return -ENOMEM;
    result = run(&family);
    free(family.children);
    if (result == 1 && id)
        *id = task.id;
    return result;
}

int pf_task_id(void)
{
    return task.id;
}

int pf_cpu_count(void)
{
    hwloc_bitmap_t allowed;
    int err = pf__cpus_allowed(&allowed);
    if (err)
        return err;
    unsigned count =
        pf__plan_workers(allowed, pf__cpus_quota("/proc/self", "/sys/fs/cgroup"));
    hwloc_bitmap_free(allowed);
    return (int)count;
}
