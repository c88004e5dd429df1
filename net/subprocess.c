/*
 * subprocess.c - other programs; see subprocess.h.
 *
 * Everything that can fail is made before the fork. The child tells by a pipe, which exec
 * closes, why it could not become the program. Whoever learns that a child has ended, by
 * its own descriptor or by SIGCHLD, waits for it, and has its timer tell the program: the
 * timer is made with the subprocess, so that cannot fail.
 */
#include <prefork/subprocess.h>

#include "loop/member.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__) && defined(__has_include)
#if __has_include(<sys/pidfd.h>)
#include <sys/pidfd.h>
#define HAVE_PIDFD 1
#endif
#endif

struct pf_subprocess {
    struct pf__member member;
    pid_t pid;
    int pidfd; /* -1: SIGCHLD tells, and it is in `by_signal` */
    pf_subprocess *next, **at;
    pf_timer timer;
    pf_stream *streams[3];
    pf_subprocess_fn *on_exit;
    void *arg;
    pf_future *ended; /* NULL: nobody asked yet */
    pf_future *ended_checked;
    bool over, told, busy, freed;
    int status;
};

/* What the child needs, and all descriptors until they have found their place. */
struct plan {
    const struct pf_subprocess_options *options;
    int child[3];  /* -1: inherited */
    int parent[3]; /* -1: no stream */
    int report[2]; /* errno of a failed exec */
};

/* Of this thread's loops. */
static _Thread_local pf_subprocess *by_signal;

static pf_io_fn process_on_pidfd;
static pf_signal_fn process_on_signal;
static pf_callback_fn process_on_turn;

static int check(const pf_subprocess *process)
{
    return process ? pf__member_check(&process->member) : -EINVAL;
}

/* ---- in the child ---------------------------------------------------------------- */

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
static int place_descriptors(struct plan *plan)
{
    for (int i = 0; i < 3; i++) {
        if (plan->child[i] >= 0)
            plan->child[i] = fcntl(plan->child[i], F_DUPFD_CLOEXEC, 3);
        if (plan->child[i] == -1 && plan->options->standard[i] != PF_STDIO_INHERIT)
            return -1;
    }
    for (int i = 0; i < 3; i++)
        if (plan->child[i] >= 0 && dup2(plan->child[i], i) == -1)
            return -1;
    return 0;
}

static void become(struct plan *plan)
{
    const struct pf_subprocess_options *options = plan->options;
    extern char **environ;
    reset_signals();
    int report = fcntl(plan->report[1], F_DUPFD_CLOEXEC, 3);
    if (report >= 0 && place_descriptors(plan) == 0 &&
        (!options->cwd || chdir(options->cwd) == 0)) {
        /* exec takes what it never changes without const. */
        char *const *argv = (char *const *)(uintptr_t)options->argv;
        char *const *env =
            options->env ? (char *const *)(uintptr_t)options->env : (char *const *)environ;
        execvpe(argv[0], argv, env);
    }
    int err = errno;
    (void)!write(report >= 0 ? report : plan->report[1], &err, sizeof err);
    _exit(127);
}

/* ---- starting -------------------------------------------------------------------- */

static void close_all(int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static int open_standard(struct plan *plan, int which)
{
    int ends[2];
    switch (plan->options->standard[which]) {
    case PF_STDIO_INHERIT:
        return 0;
    case PF_STDIO_NULL:
        plan->child[which] = open("/dev/null", O_RDWR | O_CLOEXEC);
        return plan->child[which] == -1 ? -errno : 0;
    case PF_STDIO_STREAM:
        if (pipe2(ends, O_CLOEXEC) == -1)
            return -errno;
        plan->child[which] = ends[which == 0 ? 0 : 1];
        plan->parent[which] = ends[which == 0 ? 1 : 0];
        return 0;
    }
    return -EINVAL;
}

static int open_plan(struct plan *plan, const struct pf_subprocess_options *options)
{
    *plan = (struct plan){options, {-1, -1, -1}, {-1, -1, -1}, {-1, -1}};
    int err = pipe2(plan->report, O_CLOEXEC) == -1 ? -errno : 0;
    for (int i = 0; i < 3 && !err; i++)
        err = open_standard(plan, i);
    return err;
}

static void close_plan(struct plan *plan)
{
    close_all(plan->child, 3);
    close_all(plan->parent, 3);
    close_all(plan->report, 2);
}

static int make_streams(pf_subprocess *process, struct plan *plan)
{
    const struct pf_stream_options *options =
        plan->options->stream.size ? &plan->options->stream : NULL;
    for (int i = 0; i < 3; i++) {
        if (plan->parent[i] < 0)
            continue;
        int err = pf_stream_new(process->member.loop, plan->parent[i], options,
                                &process->streams[i]);
        if (err)
            return err;
        plan->parent[i] = -1; /* the stream's now */
    }
    return 0;
}

/* No handler of ours may run in the child: so all signals wait until that is impossible. */
static int fork_into(pf_subprocess *process, struct plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int err = pid == -1 ? -errno : 0;
    if (pid == 0)
        become(plan);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    process->pid = pid;
    return err;
}

static void wait_now(pid_t pid)
{
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
}

/* Returns 0 when it has become the program, or why it has not; then it is gone. */
static int hear_of_exec(pf_subprocess *process, struct plan *plan)
{
    int said = 0;
    ssize_t n;
    close_all(&plan->report[1], 1);
    do
        n = read(plan->report[0], &said, sizeof said);
    while (n == -1 && errno == EINTR);
    if (n != sizeof said)
        return 0; /* or was killed before: its status will tell */
    wait_now(process->pid);
    return said ? -said : -EIO;
}

/* ---- its end --------------------------------------------------------------------- */

/* Nothing has to be watched any more. */
static void unwatch(pf_subprocess *process)
{
    bool usable = check(process) == 0;
    pf_loop *loop = process->member.loop;
    if (process->pidfd >= 0) {
        if (!usable || pf_loop_remove_and_close(loop, process->pidfd) != 0)
            close(process->pidfd);
        process->pidfd = -1;
    }
    if (!process->at)
        return;
    *process->at = process->next;
    if (process->next)
        process->next->at = process->at;
    process->at = NULL;
    for (pf_subprocess *other = by_signal; other; other = other->next)
        if (other->member.loop == loop)
            return;
    if (usable)
        (void)pf_loop_remove_signal(loop, SIGCHLD);
}

/* Has it ended? Then it is waited for, and its timer will tell. */
static void reap(pf_subprocess *process)
{
    int status;
    pid_t pid;
    if (process->over)
        return;
    do
        pid = waitpid(process->pid, &status, WNOHANG);
    while (pid == -1 && errno == EINTR);
    if (pid == 0)
        return;
    process->over = true;
    if (pid == -1)
        process->status = 255; /* somebody else has waited for it: nobody knows */
    else
        process->status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    unwatch(process);
    pf_loop *loop = process->member.loop;
    (void)pf_loop_update_timeout(loop, process->timer, pf_loop_now(loop));
}

static int process_on_pidfd(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    reap(arg);
    return 0;
}

static int process_on_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo, (void)arg;
    for (pf_subprocess *process = by_signal, *next; process; process = next) {
        next = process->next;
        if (process->member.loop == loop)
            reap(process);
    }
    return 0;
}

static int watch_by_signal(pf_subprocess *process)
{
    pf_loop *loop = process->member.loop;
    bool is_first = true;
    for (const pf_subprocess *other = by_signal; other; other = other->next)
        is_first &= other->member.loop != loop;
    int err = is_first ? pf_loop_add_signal(loop, SIGCHLD, process_on_signal, NULL) : 0;
    if (err)
        return err;
    process->at = &by_signal;
    process->next = by_signal;
    if (process->next)
        process->next->at = &process->next;
    by_signal = process;
    /* It may have ended before. */
    return pf_loop_update_timeout(loop, process->timer, pf_loop_now(loop));
}

static int watch(pf_subprocess *process)
{
#ifdef HAVE_PIDFD
    process->pidfd = pidfd_open(process->pid, 0);
#endif
    if (process->pidfd < 0)
        return watch_by_signal(process);
    int err = pf_loop_add_handler(process->member.loop, process->pidfd, PF_READ,
                                  process_on_pidfd, process);
    if (err) {
        close(process->pidfd);
        process->pidfd = -1;
    } else {
        (void)pf_loop_describe_handler(process->member.loop, process->pidfd, "subprocess");
    }
    return err;
}

static int park_timer(pf_subprocess *process)
{
    return pf_loop_call_at(process->member.loop, PF_NEVER, process_on_turn, process,
                           &process->timer);
}

static void settle_futures(pf_subprocess *process)
{
    if (process->ended)
        (void)pf_future_set_value(process->ended, NULL, NULL);
    if (process->ended_checked && process->status == 0)
        (void)pf_future_set_value(process->ended_checked, NULL, NULL);
    else if (process->ended_checked)
        (void)pf_future_set_error(process->ended_checked, -EPROTO);
}

static int process_on_turn(pf_loop *loop, void *arg)
{
    pf_subprocess *process = arg;
    int result = 0;
    (void)loop;
    (void)park_timer(process); /* in the slot that has just become free */
    reap(process);
    if (!process->over)
        return 0;
    settle_futures(process);
    if (process->told || !process->on_exit)
        return 0;
    process->told = true;
    process->busy = true;
    result = process->on_exit(process, process->status, process->arg);
    process->busy = false;
    if (process->freed)
        free(process);
    return result;
}

/* ---- life ------------------------------------------------------------------------ */

static void on_gone(struct pf__member *member)
{
    /* Its timer and its handler go with the loop; the descriptor is closed by free. */
    pf_subprocess *process = (pf_subprocess *)member; /* its first field */
    if (process->at)
        unwatch(process);
}

/* As a loop that is closed with all its descriptors does it. */
static void on_loop_closes(int fd, void *arg)
{
    pf_subprocess *process = arg;
    close(fd);
    process->pidfd = -1;
}

static int start(pf_subprocess *process, struct plan *plan)
{
    int err = park_timer(process);
    if (!err)
        err = make_streams(process, plan);
    if (!err)
        err = fork_into(process, plan);
    if (err)
        return err;
    close_all(plan->child, 3);
    err = hear_of_exec(process, plan);
    if (err)
        return err;
    err = watch(process);
    if (err) { /* nobody would hear of its end */
        (void)kill(process->pid, SIGKILL);
        wait_now(process->pid);
    } else if (process->pidfd >= 0) {
        (void)pf_loop_set_closer(process->member.loop, process->pidfd, on_loop_closes);
    }
    return err;
}

int pf_subprocess_start(pf_loop *loop, const struct pf_subprocess_options *options,
                        pf_subprocess **out)
{
    struct pf_subprocess_options chosen = {PF_SUBPROCESS_OPTIONS};
    struct plan plan;
    int err = pf_loop_check(loop);
    if (!err && (!out || !options || options->size < sizeof options->size))
        err = -EINVAL;
    if (err)
        return err;
    memcpy(&chosen, options, options->size < sizeof chosen ? options->size : sizeof chosen);
    if (!chosen.argv || !chosen.argv[0])
        return -EINVAL;
    pf_subprocess *process = calloc(1, sizeof *process);
    if (!process)
        return -ENOMEM;
    process->pidfd = -1;
    process->on_exit = chosen.on_exit;
    process->arg = chosen.arg;
    pf__member_join(&process->member, loop, on_gone);
    err = open_plan(&plan, &chosen);
    if (!err)
        err = start(process, &plan);
    close_plan(&plan);
    if (err)
        pf_subprocess_free(process);
    else
        *out = process;
    return err;
}

/* Those who wait for it get -ECANCELED, unless it is set. */
static void drop_future(pf_future *future)
{
    if (future)
        (void)pf_future_cancel(future);
    pf_future_unref(future);
}

void pf_subprocess_free(pf_subprocess *process)
{
    if (!process || check(process) == -EPERM || process->freed)
        return;
    unwatch(process);
    for (int i = 0; i < 3; i++)
        pf_stream_free(process->streams[i]);
    if (check(process) == 0)
        (void)pf_loop_remove_timeout(process->member.loop, process->timer);
    drop_future(process->ended);
    drop_future(process->ended_checked);
    pf__member_part(&process->member);
    process->freed = true;
    if (!process->busy)
        free(process);
}

/* ---- looking at it --------------------------------------------------------------- */

pf_stream *pf_subprocess_stream(const pf_subprocess *process, int which)
{
    return process && which >= 0 && which < 3 ? process->streams[which] : NULL;
}

pid_t pf_subprocess_pid(const pf_subprocess *process)
{
    return process ? process->pid : -1;
}

int pf_subprocess_status(const pf_subprocess *process, int *status)
{
    if (!process || !status)
        return -EINVAL;
    if (!process->over)
        return -EINPROGRESS;
    *status = process->status;
    return 0;
}

int pf_subprocess_set_exit_callback(pf_subprocess *process, pf_subprocess_fn *fn, void *arg)
{
    int err = check(process);
    if (err)
        return err;
    process->on_exit = fn;
    process->arg = arg;
    if (process->over && !process->told)
        err = pf_loop_update_timeout(process->member.loop, process->timer,
                                     pf_loop_now(process->member.loop));
    return err;
}

int pf_subprocess_wait_for_exit(pf_subprocess *process, bool checked, pf_future **out)
{
    int err = check(process);
    if (!err && !out)
        err = -EINVAL;
    if (err)
        return err;
    pf_future **kept = checked ? &process->ended_checked : &process->ended;
    if (!*kept)
        err = pf_future_new(process->member.loop, kept);
    if (err)
        return err;
    if (process->over)
        settle_futures(process);
    *out = pf_future_ref(*kept);
    return 0;
}

int pf_subprocess_kill(pf_subprocess *process, int signo)
{
    int err = check(process);
    if (!err && process->over)
        err = -ESRCH;
    if (!err && kill(process->pid, signo) == -1) /* not waited for: the number is its own */
        err = -errno;
    return err;
}
