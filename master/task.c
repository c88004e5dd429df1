/* task.c - see task.h. */
#include "master/task.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *pf__task_read(pid_t pid, uint64_t tid, const char *name, char *text, size_t len)
{
    char path[80];
    snprintf(path, sizeof path, "/proc/%ld/task/%llu/%s", (long)pid,
             (unsigned long long)tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : read(fd, text, len - 1);
    if (fd != -1)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* The name before it may hold anything, parentheses included. */
char pf__task_state(pid_t pid, uint64_t tid)
{
    char text[256];
    const char *end = strrchr(pf__task_read(pid, tid, "stat", text, sizeof text), ')');
    return end && end[1] == ' ' ? end[2] : '?';
}
