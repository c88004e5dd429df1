/*
 * backend.h - which poller the loops of a test program use.
 *
 * A program that calls pf_backend_configure() at the start of main() is run by `make test`
 * once for each poller: PF_TEST_POLLER names it. On Linux kqueue runs over a double
 * (kqueue_double.h).
 */
#ifndef PREFORK_TESTS_LIB_BACKEND_H
#define PREFORK_TESTS_LIB_BACKEND_H

#include <prefork/loop.h>
#include <prefork/poller.h>

/* All that this system has, and the doubles; then NULL. */
extern const struct pf_poller_ops *const pf_backends[];

/* What tests must know of the poller under a loop. */
struct pf_backend {
    const struct pf_poller_ops *ops;
    int descriptors; /* that a poller holds: 0 or 1 */
    int inherited;   /* and of those that a forked child finds open */
    int fd_end;      /* numbers from here on cannot be watched: -ENOSPC */
    bool has_fd;     /* pf_loop_fd() works */
    bool has_ghosts; /* may report a descriptor that was closed */
};

/* Make PF_TEST_POLLER the poller of the loops that name none; the system's best without.
 * Leaves the program if there is none of that name. */
void pf_backend_configure(void);

/* The one that loops use now. */
const struct pf_backend *pf_backend(void);

/* Skip the test if signals from elsewhere would interrupt pselect(2) under valgrind, which
 * may then repeat the call with arguments of its own and fail it with -EFAULT. */
void pf_backend_skip_select_under_valgrind(void);

/* Does pf_loop_fd(loop) poll readable? Without such a descriptor: `otherwise`. */
bool pf_backend_polls_readable(pf_loop *loop, bool otherwise);

#endif
