/*
 * privileges.h - what a worker gives up before it runs a line of the application.
 *
 * Names are looked up in the master, once, so that a worker that is started later, or in
 * another root directory, needs no file for it. The master keeps what it has.
 */
#ifndef PREFORK_MASTER_PRIVILEGES_H
#define PREFORK_MASTER_PRIVILEGES_H

#include <prefork/master.h>
#include <sys/types.h>

/* Supplementary groups; a user with more is refused. */
#define PF__GROUPS_MAX 256

struct pf__privileges {
    bool change; /* the ids below */
    uid_t uid;
    gid_t gid;
    int group_count;
    gid_t groups[PF__GROUPS_MAX];
    const char *chroot; /* borrowed from the options; NULL: stay */
    bool no_new;
};

/*
 * Look up what options->user, group and chroot name, and whether the master may do it:
 * CAP_SETUID, CAP_SETGID and CAP_KILL (to end a worker of another user), CAP_SYS_CHROOT.
 * What changes nothing needs nothing.
 *
 * Returns PF_EXIT_OK, or PF_EXIT_USAGE with one line in options->error. May block, for name
 * services; reads files. Source: getpwnam(3), getgrouplist(3), capabilities(7).
 */
int pf__privileges_resolve(struct pf__privileges *privileges,
                           const struct pf_master_options *options);

/* Will the workers' /proc files that ask for PTRACE_MODE_READ (smaps_rollup, wchan) be
 * closed to the master? They are of another user, and CAP_SYS_PTRACE is lacking, which
 * containers mostly take away. */
bool pf__privileges_hide_workers(const struct pf__privileges *privileges);

/*
 * In a worker, with one thread: chroot, groups, gid, uid, no new privileges, in this order.
 * Core dumps stay possible. Undoes PR_SET_PDEATHSIG: what arms that comes later.
 *
 * Returns 0, or a negative errno with the step that failed in *step; then what has been
 * given up is gone, and the worker must not go on. Source: credentials(7).
 */
int pf__privileges_drop(const struct pf__privileges *privileges, const char **step);

#endif
