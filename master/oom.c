/* oom.c - see oom.h. */
#include "master/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int pf__oom_raise(unsigned by)
{
    char text[32] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    int err = read(fd, text, sizeof text - 1) > 0 ? 0 : -EIO;
    long score = strtol(text, NULL, 10) + (long)by;
    int len = snprintf(text, sizeof text, "%ld", score < PF__OOM_MAX ? score : PF__OOM_MAX);
    if (!err && pwrite(fd, text, (size_t)len, 0) != len)
        err = -errno;
    close(fd);
    return err;
}
