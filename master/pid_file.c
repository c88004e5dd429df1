/* pid_file.c - see pid_file.h. */
#include "master/pid_file.h"

#include "master/complain.h"
#include "net/lock_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int refuse(const struct pf_master_options *options, int err, int holder)
{
    const char *path = options->pid_file;
    if (err == -EADDRINUSE)
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--pid-file %s: held by another server (pid %d); stop it", path,
                            holder);
    if (err == -EEXIST)
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--pid-file %s: what stands there is no server's; move it away",
                            path);
    return pf__complain(options, PF_EXIT_UNAVAILABLE,
                        "--pid-file %s: %s; name a path in a directory of yours", path,
                        strerror(-err));
}

int pf__pid_file_open(struct pf__pid_file *file, const struct pf_master_options *options)
{
    *file = (struct pf__pid_file)PF__PID_FILE_NONE;
    if (!options->pid_file)
        return PF_EXIT_OK;
    int holder = 0;
    int fd = pf_lock_file_take(options->pid_file, 0644, &holder);
    if (fd < 0)
        return refuse(options, fd, holder);
    *file = (struct pf__pid_file){.fd = fd, .owner = getpid(), .path = options->pid_file};
    return PF_EXIT_OK;
}

void pf__pid_file_close(struct pf__pid_file *file)
{
    if (file->fd == -1)
        return;
    if (file->owner == getpid())
        pf_lock_file_remove(file->fd, file->path);
    close(file->fd);
    *file = (struct pf__pid_file)PF__PID_FILE_NONE;
}
