/*
 * daemon.h - a server in the background, whose starter waits until it is up.
 *
 * The process that was started forks; its child is the server, in a session of its own. The
 * first one stays until the server serves, and ends with 0, or has failed, and ends with
 * its status: whoever started it need not guess. Is it killed while it waits, the server
 * stops too.
 */
#ifndef PREFORK_SERVER_DAEMON_H
#define PREFORK_SERVER_DAEMON_H

struct pf__daemon {
    int fd; /* what is written here, the first process prints; -1: none, or it is up */
};
#define PF__DAEMON_NONE                                                                    \
    {                                                                                      \
        .fd = -1                                                                           \
    }

/*
 * Fork. The child's standard input and output are /dev/null, so that whoever reads what the
 * first process prints sees its end; its standard error, where the log goes, stays. Call it
 * with one thread and no loop. Workers that are forked before it is up inherit the
 * descriptor, which nobody reads any more by then.
 *
 * Returns 0 in the child; 1 in the first process, when it may end, with its exit status in
 * *status: what the child ended with, PF_EXIT_SOFTWARE if that was a signal, or 0 without
 * having been up, with one line to standard error. Or a negative errno: nothing was forked.
 */
int pf__daemon_begin(struct pf__daemon *daemon, const char *program, int *status);

/* It serves: the first process may end. Nothing if it is none. */
void pf__daemon_up(struct pf__daemon *daemon);

#endif
