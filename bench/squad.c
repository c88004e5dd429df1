#include "bench/squad.h"

#include "bench/child.h"
#include "bench/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct squad {
    unsigned count, ready;
    int ready_fd; /* a byte from each member; its end: no member is left */
    int end_fd;   /* its closing tells them to end */
    pid_t pids[SQUAD_MAX];
    unsigned stopped[SQUAD_MAX]; /* child_is_stuck() */
};

struct member {
    struct squad_member me;
    const struct squad_job *job;
};

/* ---- in a member ----------------------------------------------------------------- */

void squad_say_ready(struct squad_member *me)
{
    /* Who would read it may have ended: then so do we, by the other pipe. */
    if (write(me->ready_fd, "", 1) < 0)
        return;
}

static int member_on_end(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events, (void)arg;
    return pf_loop_stop(loop);
}

static int member_run(struct member *member, int end_fd)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.spin_allowed = true; /* on the server's account, not on ours */
    pf_loop *loop;
    int err = pf_loop_new(&options, &loop);
    if (err)
        return err;
    err = pf_loop_add_handler(loop, end_fd, PF_READ, member_on_end, member);
    if (!err)
        err = member->job->begin(member->job->arg, &member->me, loop);
    if (!err) {
        err = pf_loop_start(loop);
        member->job->end(member->job->arg, &member->me, loop);
    }
    (void)pf_loop_close(loop, false); /* the process ends */
    pf_loop_unref(loop);
    return err;
}

static void member_main(const struct squad_job *job, unsigned index, const int ready[2],
                        const int end[2], pid_t parent)
{
    struct member member = {.me = {index, ready[1]}, .job = job};
    close(ready[0]);
    close(end[1]);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGTERM, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the pipe is enough, if that cannot be had */
    if (getppid() != parent)
        _exit(0);
    _exit(member_run(&member, end[0]) ? 1 : 0);
}

/* ---- in the program -------------------------------------------------------------- */

static void close_pair(int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

int squad_start(unsigned count, const struct squad_job *job, struct squad **out)
{
    if (count == 0 || count > SQUAD_MAX)
        return -EINVAL;
    struct squad *squad = calloc(1, sizeof *squad);
    int ready[2], end[2];
    if (!squad)
        return -ENOMEM;
    int err = -ENOMEM;
    if (pipe2(ready, O_CLOEXEC) < 0) {
        err = -errno;
        goto free_squad;
    }
    if (pipe2(end, O_CLOEXEC) < 0) {
        err = -errno;
        goto close_ready;
    }
    squad->ready_fd = ready[0];
    squad->end_fd = end[1];
    pid_t parent = getpid();
    err = 0;
    while (squad->count < count && !err) {
        pid_t pid = fork();
        if (pid == 0)
            member_main(job, squad->count, ready, end, parent);
        else if (pid > 0)
            squad->pids[squad->count++] = pid;
        else
            err = -errno;
    }
    close(ready[1]);
    close(end[0]);
    if (err) {
        (void)squad_stop(squad); /* no member has done anything yet */
        return err;
    }
    *out = squad;
    return 0;

close_ready:
    close_pair(ready);
free_squad:
    free(squad);
    return err;
}

int squad_ready(struct squad *squad, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = squad->ready_fd, .events = POLLIN};
    int64_t until_ns = clock_ns() + timeout_ms * PF_MILLISECOND;
    while (squad->ready < squad->count) {
        int64_t left_ms = (until_ns - clock_ns()) / PF_MILLISECOND;
        int ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready < 0)
            return -errno;
        if (ready == 0)
            break;
        char bytes[SQUAD_MAX];
        ssize_t len = read(squad->ready_fd, bytes, squad->count - squad->ready);
        if (len < 0 && errno != EINTR)
            return -errno;
        if (len == 0)
            return -ECHILD;
        if (len > 0)
            squad->ready += (unsigned)len;
    }
    return (int)squad->ready;
}

bool squad_is_gone(const struct squad *squad, unsigned index, int *signal)
{
    siginfo_t info = {.si_pid = 0};
    *signal = 0;
    /* It stays a zombie, for squad_stop(). */
    if (waitid(P_PID, (id_t)squad->pids[index], &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return errno != EINTR;
    if (info.si_pid != 0 && info.si_code != CLD_EXITED)
        *signal = info.si_status;
    return info.si_pid != 0;
}

void squad_tend(struct squad *squad)
{
    for (unsigned i = 0; i < squad->count; i++)
        if (child_is_stuck(squad->pids[i], &squad->stopped[i]))
            (void)kill(squad->pids[i], SIGKILL);
}

/* The pipe's end says that all have ended; what comes before is of no interest now. */
static void wait_for_all(const struct squad *squad)
{
    struct pollfd poll_fd = {.fd = squad->ready_fd, .events = POLLIN};
    char bytes[SQUAD_MAX];
    for (;;) {
        int ready = poll(&poll_fd, 1, SQUAD_STOP_MS);
        if (ready == 0)
            break;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0 || read(squad->ready_fd, bytes, sizeof bytes) == 0)
            return;
    }
    for (unsigned i = 0; i < squad->count; i++)
        kill(squad->pids[i], SIGKILL);
}

unsigned squad_stop(struct squad *squad)
{
    if (!squad)
        return 0;
    unsigned failed = 0;
    close(squad->end_fd);
    wait_for_all(squad);
    close(squad->ready_fd);
    for (unsigned i = 0; i < squad->count; i++) {
        int status;
        pid_t pid;
        do
            pid = waitpid(squad->pids[i], &status, 0);
        while (pid < 0 && errno == EINTR);
        failed += pid < 0 || status != 0;
    }
    free(squad);
    return failed;
}
