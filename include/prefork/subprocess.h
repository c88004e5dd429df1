/*
 * subprocess.h - other programs, their pipes as streams, and their end as a callback;
 * Tornado's Subprocess.
 *
 *     const char *argv[] = {"sort", "-u", NULL};
 *     struct pf_subprocess_options options = {
 *         PF_SUBPROCESS_OPTIONS, .argv = argv,
 *         .standard = {PF_STDIO_STREAM, PF_STDIO_STREAM, PF_STDIO_INHERIT}};
 *     pf_subprocess_start(loop, &options, &sort);
 *     pf_stream_write(pf_subprocess_stream(sort, 0), text, len, NULL, NULL);
 *     pf_stream_close_when_written(pf_subprocess_stream(sort, 0));
 *
 * Only children that were started here are ever waited for. On Linux 5.3 and later the loop
 * watches a descriptor of the child (pidfd_open(2)); elsewhere it takes SIGCHLD, which the
 * program cannot take on that loop then.
 *
 * For the loop's thread: -EPERM elsewhere, -ECHILD in a child, -ESTALE after the loop was
 * closed. Not signal-safe.
 */
#ifndef PREFORK_SUBPROCESS_H
#define PREFORK_SUBPROCESS_H

#include <prefork/base.h>
#include <prefork/future.h>
#include <prefork/loop.h>
#include <prefork/stream.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_subprocess pf_subprocess;

/* What the program finds as descriptor 0, 1 or 2. */
enum pf_stdio {
    PF_STDIO_INHERIT, /* ours */
    PF_STDIO_NULL,    /* /dev/null */
    PF_STDIO_STREAM,  /* a pipe, whose other end is a stream here */
};

/* It has ended, and been waited for: with status 0 to 255, or killed by signal -status. A
 * negative result is reported by the loop. */
typedef int pf_subprocess_fn(pf_subprocess *process, int status, void *arg);

struct pf_subprocess_options {
    size_t size;
    const char *const *argv; /* NULL at its end; argv[0] is looked for in PATH */
    const char *const *env;  /* "NAME=value", NULL at its end; NULL: ours */
    const char *cwd;         /* NULL: ours */
    enum pf_stdio standard[3];
    struct pf_stream_options stream; /* of the streams; all zeros: the defaults */
    pf_subprocess_fn *on_exit;       /* may be NULL, and be set later */
    void *arg;
};
#define PF_SUBPROCESS_OPTIONS .size = sizeof(struct pf_subprocess_options)

/*
 * Start a program. It gets no descriptor but 0 to 2 and those that are not close-on-exec;
 * all signals have their default action there, and none is blocked.
 *
 * Waits until the program runs or has failed to: returns 0, or -ENOENT, -EACCES, -ENOTDIR
 * and what else chdir(2) or execve(2) say; -EMFILE, -ENFILE, -EAGAIN, -ENOMEM; -EEXIST
 * (SIGCHLD is needed, and taken by the program); then there is no child. Cost: a fork(2),
 * so the more memory is in use, the longer.
 */
PF_API int pf_subprocess_start(pf_loop *loop, const struct pf_subprocess_options *options,
                               pf_subprocess **out);

/* Its stream for descriptor `which`, 0 to 2, of this end of the pipe; borrowed: freed with
 * the subprocess. NULL without PF_STDIO_STREAM. */
PF_API pf_stream *pf_subprocess_stream(const pf_subprocess *process, int which);

/* Its process id, also after its end. */
PF_API pid_t pf_subprocess_pid(const pf_subprocess *process);

/* Into *status what pf_subprocess_fn gets. Returns 0, or -EINPROGRESS: it has not ended, as
 * far as the loop knows. */
PF_API int pf_subprocess_status(const pf_subprocess *process, int *status);

/* Call fn once when it has ended, from the loop; also if it has by now. NULL: nobody.
 * Returns 0. */
PF_API int pf_subprocess_set_exit_callback(pf_subprocess *process, pf_subprocess_fn *fn,
                                           void *arg);

/*
 * A future that is set when it has ended: pf_subprocess_status() says how. Beside the exit
 * callback, and before it. With `check`, a status that is not 0 is its error -EPROTO. The
 * reference is yours. Returns 0, or what pf_future_new() answers.
 */
PF_API int pf_subprocess_wait_for_exit(pf_subprocess *process, bool check, pf_future **out);

/* Send it a signal. Returns 0, or -ESRCH (it has ended), -EINVAL, -EPERM. Never reaches
 * another process that has got its number. */
PF_API int pf_subprocess_kill(pf_subprocess *process, int signo);

/*
 * Free it and its streams; futures of its end fail with -ECANCELED. One that has not ended
 * lives on, and is the program's to wait for. Also inside its callbacks, in a child, and
 * after the loop was closed. From another thread: nothing. NULL is fine.
 */
PF_API void pf_subprocess_free(pf_subprocess *process);

#ifdef __cplusplus
}
#endif
#endif
