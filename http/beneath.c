/*
 * beneath.c - opening files beneath a directory, and nowhere else.
 */
#include "http/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Non-blocking, for a FIFO would wait for its writer; a terminal must not become ours. */
#define FLAGS (O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

/* A rename somewhere while a link's `..` is looked at makes the kernel give up. */
#define TRIES_MAX 8

static int open_at_once(int root, const char *name)
{
    struct open_how how = {.flags = FLAGS,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    for (int i = 0; i < TRIES_MAX && fd == -1; i++) {
        fd = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd == -1 && errno != EAGAIN && errno != EINTR)
            break;
    }
    return fd == -1 ? -errno : (int)fd;
}

/* Open the segment name[0..len) of `dir`, which is closed unless it is the root. */
static int step(int root, int dir, const char *name, size_t len, int flags)
{
    char segment[NAME_MAX + 1];
    int fd = -1, err = -ENAMETOOLONG;
    if (len <= NAME_MAX) {
        memcpy(segment, name, len);
        segment[len] = '\0';
        bool leads_out = len == 0 || strcmp(segment, "..") == 0;
        fd = leads_out ? -1 : openat(dir, segment, flags | O_NOFOLLOW | O_CLOEXEC);
        err = leads_out ? -EXDEV : -errno;
    }
    if (dir != root)
        close(dir);
    return fd == -1 ? err : fd;
}

/* One segment after the other, so that none can be a link. */
static int open_by_steps(int root, const char *name)
{
    int fd = root;
    while (fd >= 0 && *name) {
        size_t len = strcspn(name, "/");
        bool is_dir = name[len] == '/', is_last = !name[len + is_dir];
        fd = step(root, fd, name, len,
                  (is_last ? FLAGS : O_PATH) | (is_dir ? O_DIRECTORY : 0));
        name += len + is_dir;
    }
    return fd;
}

int pf__beneath_open(int root, const char *name)
{
    if (!*name)
        name = ".";
    int fd = open_at_once(root, name);
    return fd == -ENOSYS || fd == -EPERM ? open_by_steps(root, name) : fd;
}
