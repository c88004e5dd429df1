/* guard.c - see guard.h. */
#include "master/guard.h"

#include <prefork/log.h>
#include <prefork/loop.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ThreadSanitizer runs a thread of its own in every program. */
#if defined(__SANITIZE_THREAD__)
#define OWN_THREADS 2
#else
#define OWN_THREADS 1
#endif

/* The names of this process's threads; returns how many there are. */
static int list_threads(char *names, size_t len)
{
    int count = 0;
    size_t used = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *d = tasks ? readdir(tasks) : NULL; d; d = readdir(tasks)) {
        if (d->d_name[0] == '.')
            continue;
        count++;
        char path[64], name[32] = "?\n";
        snprintf(path, sizeof path, "/proc/self/task/%.16s/comm", d->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd == -1 ? 0 : read(fd, name, sizeof name - 1);
        if (fd != -1)
            close(fd);
        name[n > 0 ? n : 1] = 0;
        name[strcspn(name, "\n")] = 0;
        if (used < len)
            used += (size_t)snprintf(names + used, len - used, "%s%s(%.16s)",
                                     used ? " " : "", name, d->d_name);
    }
    if (tasks)
        closedir(tasks);
    return count;
}

int pf__guard_fork(bool allow_threads, char *why, size_t len)
{
    const char *where = pf_loop_owned();
    len = why ? len : 0;
    if (where) {
        snprintf(why, len, "a loop exists before the fork, made at %s: make it afterwards",
                 where);
        return -EBUSY;
    }
    char names[256] = "";
    if (list_threads(names, sizeof names) <= OWN_THREADS)
        return 0;
    if (allow_threads) {
        pf_log(PF_LOG_WARN, "forking-with-threads", "threads=%s", names);
        return 0;
    }
    snprintf(why, len, "other threads run before the fork: %s; start them afterwards",
             names);
    return -EBUSY;
}
