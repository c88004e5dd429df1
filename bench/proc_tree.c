/* proc_tree.c - see proc_tree.h. Source: proc(5), clock_getcpuclockid(3). */
#include "bench/proc_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_ROOM = 96,
    TEXT_ROOM = 4096, /* of a file of fields; a list of children goes on beyond it */
};

/* All of a small file, with a NUL. Returns its length, or -1. */
static ssize_t read_file(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < room - 1) {
        n = read(fd, text + len, room - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    text[len] = 0;
    return n < 0 ? -1 : (ssize_t)len;
}

static int64_t ticks_to_ns(uint64_t ticks)
{
    return (int64_t)ticks * (PF_SECOND / sysconf(_SC_CLK_TCK));
}

/* ---- one process ----------------------------------------------------------------- */

/* The name stands in parentheses and may hold anything: the fields are behind the last. */
static int parse_stat(const char *text, struct proc *out)
{
    const char *fields = strrchr(text, ')');
    char state;
    uint64_t user, system;
    int64_t waited_user, waited_system;
    if (!fields ||
        sscanf(fields + 1,
               " %c %" SCNd64 " %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
               " %" SCNd64 " %" SCNd64 " %*s %*s %" SCNd64 " %*s %" SCNu64,
               &state, &out->parent, &user, &system, &waited_user, &waited_system,
               &out->threads, &out->born) != 8)
        return -ESRCH;
    out->ended = state == 'Z' || state == 'X';
    out->user_ns = ticks_to_ns(user);
    out->system_ns = ticks_to_ns(system);
    out->waited_ns = ticks_to_ns((uint64_t)(waited_user + waited_system));
    return 0;
}

static int64_t cpu_clock_ns(int64_t pid)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return -1;
    return time.tv_sec * PF_SECOND + time.tv_nsec;
}

static int64_t read_rss(int64_t pid)
{
    char path[PATH_ROOM], text[TEXT_ROOM];
    long long pages = 0;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/statm", pid);
    if (read_file(path, text, sizeof text) <= 0 || sscanf(text, "%*s %lld", &pages) != 1)
        return 0;
    return pages * sysconf(_SC_PAGESIZE);
}

int proc_read(int64_t pid, struct proc *out)
{
    char path[PATH_ROOM], text[TEXT_ROOM];
    struct proc proc = {.pid = pid};
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (pid <= 0 || read_file(path, text, sizeof text) <= 0 || parse_stat(text, &proc) != 0)
        return -ESRCH;
    proc.cpu_ns = cpu_clock_ns(pid);
    if (proc.cpu_ns < proc.user_ns + proc.system_ns) /* not to be read, or ended */
        proc.cpu_ns = proc.user_ns + proc.system_ns;
    proc.rss = read_rss(pid);
    *out = proc;
    return 0;
}

bool proc_is_open(int64_t pid)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/fd", pid);
    DIR *dir = opendir(path);
    bool closed = !dir && (errno == EACCES || errno == EPERM);
    if (dir)
        closedir(dir);
    return !closed;
}

void proc_name(int64_t pid, char name[PROC_NAME_MAX])
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", pid);
    if (read_file(path, name, PROC_NAME_MAX) < 0)
        name[0] = 0;
    name[strcspn(name, "\n")] = 0;
}

/* ---- its threads ----------------------------------------------------------------- */

/* Do `what` with each thread. Returns 0 or -ESRCH. */
typedef void task_fn(void *arg, int64_t pid, const char *tid);

static int each_task(int64_t pid, task_fn *what, void *arg)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -ESRCH;
    for (struct dirent *d = readdir(dir); d; d = readdir(dir))
        if (d->d_name[0] != '.')
            what(arg, pid, d->d_name);
    closedir(dir);
    return 0;
}

static task_fn add_switches;

static void add_switches(void *arg, int64_t pid, const char *tid)
{
    static const char voluntary[] = "\nvoluntary_ctxt_switches:",
                      forced[] = "\nnonvoluntary_ctxt_switches:";
    char path[PATH_ROOM], text[TEXT_ROOM];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%.20s/status", pid, tid);
    if (read_file(path, text, sizeof text) <= 0)
        return;
    const char *a = strstr(text, voluntary), *b = strstr(text, forced);
    int64_t *sum = arg;
    *sum += a ? strtoll(a + strlen(voluntary), NULL, 10) : 0;
    *sum += b ? strtoll(b + strlen(forced), NULL, 10) : 0;
}

int64_t proc_switches(int64_t pid)
{
    int64_t sum = 0;
    return each_task(pid, add_switches, &sum) == 0 ? sum : -1;
}

/* ---- its children ---------------------------------------------------------------- */

struct tree {
    struct proc *procs;
    size_t count, max;
};

static void add(struct tree *tree, int64_t pid)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->procs[i].pid == pid)
            return;
    if (tree->count < tree->max && proc_read(pid, &tree->procs[tree->count]) == 0)
        tree->count++;
}

/* Numbers with a space behind each; one that a read has cut in two is put together. */
static task_fn add_listed;

static void add_listed(void *arg, int64_t pid, const char *tid)
{
    struct tree *tree = arg;
    char path[PATH_ROOM], text[TEXT_ROOM];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%.20s/children", pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    int64_t child = 0;
    for (ssize_t n; (n = read(fd, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] != ' ') {
                child = child * 10 + (text[i] - '0');
                continue;
            }
            add(tree, child);
            child = 0;
        }
    close(fd);
}

/* By everybody's parent. */
static void add_searched(struct tree *tree, int64_t parent)
{
    DIR *dir = opendir("/proc");
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        struct proc proc;
        int64_t pid = strtoll(d->d_name, NULL, 10);
        if (pid > 0 && proc_read(pid, &proc) == 0 && proc.parent == parent)
            add(tree, pid);
    }
    if (dir)
        closedir(dir);
}

size_t proc_tree_read(int64_t root, struct proc *out, size_t max)
{
    struct tree tree = {.procs = out, .max = max};
    bool has_lists = access("/proc/thread-self/children", R_OK) == 0;
    add(&tree, root);
    for (size_t i = 0; i < tree.count; i++)
        if (!has_lists) /* a kernel without CONFIG_PROC_CHILDREN */
            add_searched(&tree, out[i].pid);
        else
            (void)each_task(out[i].pid, add_listed, &tree); /* gone: without children now */
    return tree.count;
}
