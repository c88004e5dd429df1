/* pollers.c - see pollers.h. */
#include "loop/pollers.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const struct pf_poller_ops *const pf__pollers[] = {
#ifdef __linux__
    &pf_poller_epoll,
#endif
#ifdef PF__HAVE_KQUEUE
    &pf_poller_kqueue,
#endif
    &pf_poller_select,
    NULL,
};

const struct pf_poller_ops *pf_poller_find(const char *name)
{
    const struct pf_poller_ops *const *at = pf__pollers;
    while (*at && name && strcmp((*at)->name, name) != 0)
        at++;
    return *at;
}

static bool is_never_waited_for(dev_t device)
{
    static const char *const paths[] = {"/dev/null", "/dev/zero", "/dev/urandom"};
    struct stat known;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (stat(paths[i], &known) == 0 && S_ISCHR(known.st_mode) &&
            known.st_rdev == device)
            return true;
    return false;
}

int pf__poller_check(int fd, mode_t *type)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return -errno;
    if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) || S_ISBLK(file.st_mode) ||
        (S_ISCHR(file.st_mode) && is_never_waited_for(file.st_rdev)))
        return -ENOTSUP;
    *type = file.st_mode;
    return 0;
}
