/* privileges.c - see privileges.h. */
#include "master/privileges.h"

#include "master/complain.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- names ----------------------------------------------------------------------- */

/* A number stands for itself; the highest means "leave it" to setresuid(2). */
static bool is_number(const char *text, unsigned *out)
{
    if (!*text || text[strspn(text, "0123456789")] || strlen(text) > 10)
        return false;
    unsigned long n = strtoul(text, NULL, 10);
    *out = (unsigned)n;
    return n < UINT_MAX;
}

/* Not found has many numbers: "0 or ENOENT or ESRCH or EBADF or EPERM or ...",
 * getpwnam(3). */
static const char *why_not(const char *not_found)
{
    bool failed = errno == EIO || errno == EINTR || errno == ENOMEM || errno == EMFILE ||
                  errno == ENFILE;
    return failed ? strerror(errno) : not_found;
}

static int find_group(const struct pf_master_options *options, gid_t *gid)
{
    errno = 0;
    const struct group *group = getgrnam(options->group);
    if (group)
        *gid = group->gr_gid;
    else if (!is_number(options->group, gid))
        return pf__complain(options, PF_EXIT_USAGE,
                            "--group %s: %s; use one that getent(1) shows, or a number",
                            options->group, why_not("no such group"));
    endgrent();
    return PF_EXIT_OK;
}

static int take_groups(struct pf__privileges *out, const char *name,
                       const struct pf_master_options *options)
{
    out->group_count = PF__GROUPS_MAX;
    if (getgrouplist(name, out->gid, out->groups, &out->group_count) >= 0)
        return PF_EXIT_OK;
    return pf__complain(options, PF_EXIT_USAGE,
                        "--user %s: is in more than %d groups; use one that is in fewer",
                        options->user, PF__GROUPS_MAX);
}

/* A number need not have a name; then its group has to be given. */
static int find_user(struct pf__privileges *out, const struct pf_master_options *options)
{
    unsigned number = 0;
    errno = 0;
    const struct passwd *user = getpwnam(options->user);
    bool is_numeric = !user && is_number(options->user, &number);
    if (is_numeric)
        user = getpwuid(number);
    if (!user && !is_numeric)
        return pf__complain(options, PF_EXIT_USAGE,
                            "--user %s: %s; use one that getent(1) shows, or a number",
                            options->user, why_not("no such user"));
    if (!user && !options->group)
        return pf__complain(options, PF_EXIT_USAGE,
                            "--user %s: has no entry in passwd(5), so no group is known; "
                            "give --group too",
                            options->user);
    out->uid = user ? user->pw_uid : number;
    if (!options->group)
        out->gid = user->pw_gid;
    out->groups[0] = out->gid;
    out->group_count = 1;
    int status = user ? take_groups(out, user->pw_name, options) : PF_EXIT_OK;
    endpwent();
    endgrent();
    return status;
}

/* ---- may we? --------------------------------------------------------------------- */

static bool have(unsigned capability)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &head, data) != 0)
        return geteuid() == 0;
    return (data[capability / 32].effective >> capability % 32 & 1) != 0;
}

/* Is it what we are? Groups that are more than those of the user are given up, too. */
static bool are_ours(const struct pf__privileges *ids)
{
    gid_t ours[PF__GROUPS_MAX];
    int count = getgroups(PF__GROUPS_MAX, ours);
    for (int i = 0; i < count; i++) {
        bool found = ours[i] == ids->gid;
        for (int k = 0; k < ids->group_count && !found; k++)
            found = ours[i] == ids->groups[k];
        if (!found)
            return false;
    }
    return count >= 0 && ids->uid == getuid() && ids->uid == geteuid() &&
           ids->gid == getgid() && ids->gid == getegid();
}

static int refuse_ids(const struct pf_master_options *options)
{
    return pf__complain(options, PF_EXIT_USAGE,
                        "--%s %s: not allowed; start as root, which may (CAP_SETUID, "
                        "CAP_SETGID, CAP_KILL), or leave it out",
                        options->user ? "user" : "group",
                        options->user ? options->user : options->group);
}

static int look_at_root(const struct pf_master_options *options)
{
    struct stat st;
    if (options->chroot[0] != '/')
        return pf__complain(options, PF_EXIT_USAGE,
                            "--chroot %s: must begin with /; name the whole path",
                            options->chroot);
    int err = stat(options->chroot, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (err)
        return pf__complain(options, PF_EXIT_USAGE, "--chroot %s: %s; name a directory",
                            options->chroot, strerror(err));
    if (!have(CAP_SYS_CHROOT))
        return pf__complain(options, PF_EXIT_USAGE,
                            "--chroot %s: not allowed; start as root, which may "
                            "(CAP_SYS_CHROOT), or leave it out",
                            options->chroot);
    return PF_EXIT_OK;
}

int pf__privileges_resolve(struct pf__privileges *privileges,
                           const struct pf_master_options *options)
{
    struct pf__privileges out = {.uid = getuid(),
                                 .gid = getgid(),
                                 .chroot = options->chroot,
                                 .no_new = options->no_new_privileges};
    int status = options->group ? find_group(options, &out.gid) : PF_EXIT_OK;
    out.groups[0] = out.gid;
    out.group_count = 1;
    if (status == PF_EXIT_OK && options->user)
        status = find_user(&out, options);
    if (status == PF_EXIT_OK && (options->user || options->group) && !are_ours(&out)) {
        out.change = true;
        if (!have(CAP_SETUID) || !have(CAP_SETGID) || !have(CAP_KILL))
            status = refuse_ids(options);
    }
    if (status == PF_EXIT_OK && options->chroot)
        status = look_at_root(options);
    if (status == PF_EXIT_OK)
        *privileges = out;
    return status;
}

bool pf__privileges_hide_workers(const struct pf__privileges *privileges)
{
    return privileges->change && !have(CAP_SYS_PTRACE);
}

/* ---- giving up ------------------------------------------------------------------- */

static int give_up(const struct pf__privileges *privileges, const char **step)
{
    *step = "chroot";
    if (privileges->chroot && (chroot(privileges->chroot) != 0 || chdir("/") != 0))
        return -errno;
    if (privileges->change) {
        *step = "setgroups";
        if (setgroups((size_t)privileges->group_count, privileges->groups) != 0)
            return -errno;
        *step = "setgid";
        if (setresgid(privileges->gid, privileges->gid, privileges->gid) != 0)
            return -errno;
        *step = "setuid";
        if (setresuid(privileges->uid, privileges->uid, privileges->uid) != 0)
            return -errno;
    }
    *step = "no-new-privileges";
    if (privileges->no_new && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return 0;
}

int pf__privileges_drop(const struct pf__privileges *privileges, const char **step)
{
    int err = give_up(privileges, step);
    if (!err && privileges->change)
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* fails for no value that is 1 */
    return err;
}
