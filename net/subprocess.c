/*
 * subprocess.c - other programs; see subprocess.h.
 *
 * Everything that can fail is made before the fork: exec.h. Whoever learns that a child has
 * ended, by its own descriptor or by SIGCHLD, waits for it, and has its timer tell the
 * program: the timer is made with the subprocess, so that cannot fail.
 */
#include <prefork/subprocess.h>

#include "loop/member.h"
#include "net/exec.h"

#include <errno.h>
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

/* Of this thread's loops. */
static _Thread_local pf_subprocess *by_signal;

static pf_io_fn process_on_pidfd;
static pf_signal_fn process_on_signal;
static pf_callback_fn process_on_turn;

static int check(const pf_subprocess *process)
{
    return process ? pf__member_check(&process->member) : -EINVAL;
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

static int make_streams(pf_subprocess *process, struct pf__exec *exec)
{
    const struct pf_stream_options *options =
        exec->options->stream.size ? &exec->options->stream : NULL;
    for (int i = 0; i < 3; i++) {
        if (exec->parent[i] < 0)
            continue;
        int err = pf_stream_new(process->member.loop, exec->parent[i], options,
                                &process->streams[i]);
        if (err)
            return err;
        exec->parent[i] = -1; /* the stream's now */
    }
    return 0;
}

static int start(pf_subprocess *process, struct pf__exec *exec)
{
    int err = park_timer(process);
    if (!err)
        err = make_streams(process, exec);
    if (!err)
        err = pf__exec_fork(exec, &process->pid);
    if (err)
        return err;
    err = pf__exec_hear(exec, process->pid);
    if (err)
        return err;
    err = watch(process);
    if (err) { /* nobody would hear of its end */
        (void)kill(process->pid, SIGKILL);
        pf__exec_wait(process->pid);
    } else if (process->pidfd >= 0) {
        (void)pf_loop_set_closer(process->member.loop, process->pidfd, on_loop_closes);
    }
    return err;
}

int pf_subprocess_start(pf_loop *loop, const struct pf_subprocess_options *options,
                        pf_subprocess **out)
{
    struct pf_subprocess_options chosen = {PF_SUBPROCESS_OPTIONS};
    struct pf__exec exec;
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
    err = pf__exec_open(&exec, &chosen);
    if (!err)
        err = start(process, &exec);
    pf__exec_close(&exec);
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
