/* lock_file.c - see lock_file.h. */
#include "net/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How often a lock that another has is tried. */
#define TRY_NS (5 * PF_MILLISECOND)

/* Only what a lock of ours can hold: nothing, or a process id. */
static int read_holder(int fd, int *holder)
{
    struct stat st;
    char text[32] = "";
    ssize_t len =
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text - 1) : -1;
    if (len < 0 || st.st_size > len || strspn(text, "0123456789\n") != (size_t)len)
        return -EEXIST;
    *holder = (int)strtol(text, NULL, 10);
    return 0;
}

/* A disk that is full leaves the lock without a name: it holds all the same. */
static void write_holder(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        (void)!ftruncate(fd, 0); /* half a number would be another's */
}

static bool is_at(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* -ESTALE: its holder has removed it since it was opened. */
static int lock(int fd, const char *path, int *holder)
{
    int pid = 0;
    int err = read_holder(fd, &pid);
    if (!err && flock(fd, LOCK_EX | LOCK_NB) != 0)
        err = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
    if (err == -EADDRINUSE)
        *holder = pid;
    return !err && !is_at(fd, path) ? -ESTALE : err;
}

/* No event tells that a lock is free again. */
static bool may_try_again(int64_t *waited_ns)
{
    struct timespec pause = {.tv_nsec = TRY_NS};
    if (*waited_ns >= PF_LOCK_FILE_WAIT_NS)
        return false;
    *waited_ns += TRY_NS;
    (void)nanosleep(&pause, NULL);
    return true;
}

int pf_lock_file_take(const char *path, mode_t mode, int *holder)
{
    for (int64_t waited_ns = 0;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
        if (fd == -1) /* a symbolic link, or a directory */
            return errno == ELOOP || errno == EISDIR || errno == ENXIO ? -EEXIST : -errno;
        int err = lock(fd, path, holder);
        if (!err) {
            write_holder(fd);
            return fd;
        }
        close(fd);
        if (err != -ESTALE && !(err == -EADDRINUSE && may_try_again(&waited_ns)))
            return err;
    }
}

void pf_lock_file_remove(int fd, const char *path)
{
    if (is_at(fd, path))
        (void)unlink(path);
}
