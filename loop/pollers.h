/*
 * pollers.h - what the pollers have in common, and in which order they are tried.
 */
#ifndef PREFORK_LOOP_POLLERS_H
#define PREFORK_LOOP_POLLERS_H

#include <prefork/poller.h>
#include <sys/types.h>

/* The systems that bring kqueue(2). The tests bring one too, and say so themselves. */
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) ||                   \
    defined(__OpenBSD__) || defined(__DragonFly__)
#define PF__HAVE_KQUEUE
#endif

/* This system's, best first, then NULL. The next one is for -ENOSYS alone. */
extern const struct pf_poller_ops *const pf__pollers[];

/*
 * May fd be watched? What epoll refuses is refused by the pollers that would not: it never
 * makes anybody wait, so a handler of it would make the loop spin. Returns 0 and the type
 * (fstat(2)'s st_mode), -EBADF, or -ENOTSUP for files, directories and disks, and for
 * /dev/null, /dev/zero and /dev/urandom. (epoll knows of every driver whether it can be
 * polled; other devices that cannot are ready here.)
 */
int pf__poller_check(int fd, mode_t *type);

#endif
